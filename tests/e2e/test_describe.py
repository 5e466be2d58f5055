#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""secretvolctl describe and status as one needs them at night: why, and what to do next."""

import contextlib
import fcntl
import http.server
import json
import os
import pty
import re
import select
import signal
import socketserver
import struct
import subprocess
import sys
import termios
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness  # noqa: E402
from harness import (Daemon, check, check_eq, check_in, in_state, newer_than, pod,  # noqa: E402
                     secret)

suite = harness.Suite("describe", jobs=2)

ENTER, LEAVE, HOME = b"\x1b[?1049h\x1b[?25l", b"\x1b[?25h\x1b[?1049l", b"\x1b[H\x1b[J"


def item(key, path):
    return {"key": key, "path": path}


@contextlib.contextmanager
def daemon(*objects, **options):
    with Daemon(start=False, **options) as d:
        if objects:
            d.put_objects("a.yaml", *objects)
        d.start()
        yield d


def describe(d, volume, kind="volume", code=0):
    """Text, and label -> rest of the line of the fields."""
    r = d.ctl("describe", kind, volume)
    check_eq((r.returncode, r.stderr), (code, ""), "describe %s %s" % (kind, volume))
    return r.stdout, dict(re.findall(r"^([A-Z][A-Za-z ]+): +(.*)$", r.stdout, re.M))


def not_found(d, kind, name, *args):
    """The one line that says so."""
    r = d.ctl("describe", kind, name, *args)
    check_eq((r.returncode, r.stdout, r.stderr.count("\n")), (4, "", 1),
             "describe %s %s (%s)" % (kind, name, r.stderr))
    return r.stderr


def findings(text, label="Findings"):
    m = re.search(r"^%s:\n((?:  .*\n)+)" % label, text, re.M)
    return [line.strip() for line in m.group(1).splitlines()] if m else []


# ---- describe --------------------------------------------------------------------------------


@suite.test
def a_missing_key_and_the_one_that_was_meant():
    volume = {"secretName": "s", "items": [item("usernmae", "u"), item("token", "t"),
                                           item("PASS_WORD", "p"), item("zzz", "z")]}
    with daemon(secret("s", {"username": "a", "pass-word": "b", "token": "c"}),
                pod("p", {"v": volume})) as d:
        text, fields = describe(d, "p/v")
        check_eq(findings(text),
                 ['Secret "s" has no key "usernmae" (for the file u); it has: pass-word, token, '
                  'username; did you mean "username"?',
                  'Secret "s" has no key "PASS_WORD" (for the file p); it has: pass-word, token, '
                  'username; did you mean "pass-word"?',
                  'Secret "s" has no key "zzz" (for the file z); it has: pass-word, token, '
                  'username'], "findings")
        check_eq(fields["Next step"], 'change the item\'s key to "username" in pod p, or add key '
                 '"usernmae" to Secret s', "next step")
        check_eq(fields["Generation"], "0 (none), and 1 is wanted", "generation")
        check_eq(fields["Next try"], "when the Pod or a Secret changes", "next try")
        check("Failures" not in fields, "failures of an input that is at fault")
        check_eq(d.volume("default", "p", "v")["items"],
                 [dict(item(k, p), secret="s", optional=False, found=k == "token")
                  for k, p in (("usernmae", "u"), ("token", "t"), ("PASS_WORD", "p"),
                               ("zzz", "z"))], "items as JSON")
        # What it says helps.
        volume["items"] = [item("username", "u")]
        d.put_objects("a.yaml", secret("s", {"username": "a"}), pod("p", {"v": volume}))
        d.wait_published("default", "p", "v")
        text, fields = describe(d, "p/v")
        check_eq((findings(text), fields["Next step"], fields["Generation"]),
                 ([], "nothing to do", "1, the one that is wanted"), "once it is mended")


@suite.test
def a_missing_secret_and_the_one_that_was_meant():
    with daemon(secret("database-login", {"k": "1"}), secret("x", {"k": "1"}),
                secret("away", {"k": "1"}, namespace="other"),
                pod("p", {"v": "databaze-login", "w": "away"})) as d:
        text, fields = describe(d, "p/v")
        check_eq(findings(text), ['there is no Secret "databaze-login"; namespace default has: '
                                  'database-login, x; did you mean "database-login"?'], "findings")
        check_eq(fields["Next step"], 'change secretName to "database-login" in pod p, or add '
                 'Secret "databaze-login" to namespace default', "next step")
        text, fields = describe(d, "p/w")
        check_eq(findings(text),
                 ['there is no Secret "away"; namespace default has: database-login, x; there is '
                  'one in namespace other, which is not this pod\'s'], "findings")
        check_eq(fields["Next step"], 'add Secret "away" to namespace default', "next step")


@suite.test
def many_names_are_cut_short():
    with daemon(secret("s", {"key-%02d" % n: "1" for n in range(40)}),
                pod("p", {"v": {"secretName": "s", "items": [item("key-399", "x")]}})) as d:
        line = findings(describe(d, "p/v")[0])[0]
        check_in("key-11 and 28 more; did you mean", line, "findings")


@suite.test
def optional_parts_that_are_left_out():
    with daemon(secret("s", {"a": "1"}),
                pod("p", {"v": {"secretName": "nope", "optional": True},
                          "w": {"secretName": "s", "optional": True,
                                "items": [item("b", "b")]}})) as d:
        text, fields = describe(d, "p/v")
        check_in("optional: its files are left out", findings(text)[0], "findings")
        check_eq((fields["State"], fields["Next step"]), ("Published", "nothing to do"), "fields")
        check_in('no key "b" (optional: the file is left out)', findings(describe(d, "p/w")[0])[0],
                 "findings")


@suite.test
def a_secret_that_is_refused():
    bad = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"k": "!"}}
    with daemon(pod("p", {"v": "s"})) as d:
        path = d.put_objects("s.yaml", bad)
        d.wait_problem("InvalidSecret", name="s")
        text, fields = describe(d, "p/v")
        check_eq(findings(text), ['there is no Secret "s": the one in the manifests is refused'],
                 "findings")
        check_in("Secret default/s: ", findings(text, "Manifests")[0], "manifests")
        check_eq(fields["Next step"], "mend the manifest: secretvolctl check -f " + path,
                 "next step")


@suite.test
def published_but_not_new():
    with daemon(pod("p", {"v": "s"})) as d:
        path = d.put_objects("s.yaml", secret("s", {"k": "1"}))
        d.wait_published("default", "p", "v")
        d.put_objects("s.yaml", dict(secret("s"), data={"k": "!"}))
        d.wait_problem("InvalidSecret", name="s")
        text, fields = describe(d, "p/v")
        check_eq((fields["State"], fields["Next step"]),
                 ("Published", "mend the manifest: secretvolctl check -f " + path), "an object")
        d.put_objects("s.yaml", secret("s", {"k": "1"}))
        d.wait_no_problems()
        path = d.put("s.yaml", "{")
        d.wait_problem("InvalidManifest")
        text, fields = describe(d, "p/v")
        check_eq((fields["State"], fields["Next step"]),
                 ("Published",
                  "if it should be newer, mend the manifest: secretvolctl check -f " + path),
                 "a file")
        check_in(path, findings(text, "Manifests")[0], "manifests")


@suite.test
def stale_with_the_generation_that_is_wanted():
    volume = {"v": {"secretName": "s", "items": [item("k", "k")]}}
    with daemon(secret("s", {"k": "1"}), pod("p", volume)) as d:
        d.wait_published("default", "p", "v")
        d.put_objects("a.yaml", secret("s", {"key": "1"}), pod("p", volume))
        v = d.wait_volume("default", "p", "v", in_state("Stale"))
        check_eq((v["generation"], v["wantedGeneration"]), (1, 2), "generations as JSON")
        text, fields = describe(d, "p/v")
        check_eq(fields["Generation"], "1, and 2 is wanted", "generation")
        check_in('has no key "k"', findings(text)[0], "findings")
        row = re.search(r"^Secrets:\n.*\n(.*)", text, re.M).group(1).split()
        check_eq((row[0], row[1], row[4], row[6]), ("s", "yes", "2", "1"),
                 "name, found, generation and keys of the Secret")
        check(re.match(r"\d+s$", row[5]), "age is " + row[5])


@suite.test
def failures_and_the_next_try():
    with Daemon() as d:
        # Something that is no volume where a volume belongs.
        d.put_objects("a.yaml", secret("s", {"k": "1"}), pod("p", {"v": "s"}, uid="u"))
        v = d.wait_published("default", "p", "v")
        d.delete("a.yaml")
        d.wait_gone("default", "p", "v")
        d.stop()
        os.makedirs(v["path"] + "/occupied", exist_ok=True)
        d.put_objects("a.yaml", secret("s", {"k": "1"}), pod("p", {"v": "s"}, uid="u"))
        d.start()
        v = d.wait_volume("default", "p", "v", lambda x: x and x["state"] in ("Failed", "Refused"))
        check_eq(v["reason"], "Busy", "reason")
        text, fields = describe(d, "p/v")
        check_in(v["path"], fields["Next step"], "next step")
        if v["nextRetryAt"]:
            check(re.match(r"in \d+m?\d*s? \(2", fields["Next try"]), fields["Next try"])
            check(re.match(r"\d+ in a row$", fields["Failures"]), text)


@suite.test
def immutable_secrets_that_are_kept():
    with daemon(pod("p", {"v": "s"})) as d:
        d.put_objects("s.yaml", secret("s", {"k": "1"}, immutable=True))
        d.wait_published("default", "p", "v")
        check_eq(d.volume("default", "p", "v")["keptSecrets"], [], "kept before")
        d.delete("s.yaml")
        d.wait_status(lambda s: s["counts"]["secrets"] == 0, "no Secret")
        v = d.volume("default", "p", "v")
        check_eq((v["state"], v["keptSecrets"]), ("Published", ["s"]), "kept")
        text, fields = describe(d, "p/v")
        check(any("is immutable and was replaced or deleted" in x for x in findings(text)), text)
        check_eq(fields["Next step"], "make a new pod, or a Secret of another name", "next step")


@suite.test
def parts_that_never_change():
    p = pod("p", {"v": "s"})
    p["spec"]["containers"][0]["volumeMounts"][0]["subPath"] = "k"
    with daemon(secret("s", {"k": "1"}), p) as d:
        check_eq(findings(describe(d, "p/v")[0]),
                 ["container c mounts a part (subPath): it keeps what was there when it started, "
                  "whatever changes"], "findings")


@suite.test
def unused_and_ten_events():
    with daemon(secret("s", {"k": "0"}), pod("p", {"v": "s"}),
                pod("q", {"v": "s"}, mount=False)) as d:
        check_in("volumeMount", describe(d, "q/v")[1]["Next step"], "next step")
        v = d.wait_published("default", "p", "v")
        for n in range(1, 13):
            d.put_objects("a.yaml", secret("s", {"k": str(n)}), pod("p", {"v": "s"}))
            v = d.wait_volume("default", "p", "v", newer_than(v["generation"]))
        events = describe(d, "p/v")[0].partition("\nEvents:\n")[2].splitlines()
        check(2 <= len(events) <= 11, "%d lines of events" % len(events))
        check(len(describe(d, "p/v")[0].splitlines()) <= 40, "more than a screen")


@suite.test
def what_is_not_there():
    with daemon(secret("s", {"k": "1"}), pod("web", {"cert": "s"}),
                pod("web", {"cert": "s"}, namespace="other"),
                pod("far", {"v": "s"}, namespace="other")) as d:
        check_in('did you mean "web/cert"?', not_found(d, "volume", "web/certs"), "a name like it")
        check_in('did you mean "web"?', not_found(d, "pod", "wbe"), "a name like it")
        check_in('there is one in namespace "other"', not_found(d, "pod", "far"), "elsewhere")
        check_in('there is one in namespace "other"', not_found(d, "volume", "far/v"), "elsewhere")
        text = not_found(d, "pod", "xyz")
        check("mean" not in text and "namespace \"other\"" not in text, text)
        path = d.put("b.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: bad}\nspec: {}\n")
        d.wait_problem("InvalidPod", name="bad")
        for kind, name in (("pod", "bad"), ("volume", "bad/v")):
            check_in("%s:" % path, not_found(d, kind, name), "why the pod is not there")
        check_in("some manifests are refused", not_found(d, "pod", "xyz"), "a hint")


@suite.test
def hostile_names_stay_on_their_line():
    nasty = "\x1b[31m\n'; rm -rf x \u202e"
    with daemon(secret("s", {"k": "1"}),
                pod("p", {"v": {"secretName": "s", "items": [item("k", "k")]}})) as d:
        d.put("n.yaml", json.dumps({"apiVersion": "v1", "kind": "Pod",
                                    "metadata": {"name": nasty}, "spec": {"containers": []}}))
        d.wait_problem("InvalidPod")
        for args in (["describe", "pod", nasty], ["describe", "volume", "p/" + nasty],
                     ["describe", "volume", "p/v"], ["status"]):
            r = d.ctl(*args)
            out = r.stdout + r.stderr
            check("\x1b" not in out and "\u202e" not in out, "raw characters: %r" % out)
            check(r.stderr.count("\n") <= 1, "lines on stderr: %r" % r.stderr)


# ---- status ----------------------------------------------------------------------------------


@suite.test
def a_problem_is_a_line_and_a_command_that_works():
    with daemon(secret("s", {"k": "1"}), pod("p", {"v": "nope", "ok": "s"})) as d:
        d.put_objects("open.yaml", secret("t", {"k": "1"}), mode=0o644)
        d.put("it's bad.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: bad}\nspec: {}\n")
        d.wait_problem("InvalidPod", name="bad")
        d.wait_problem("InsecurePermissions")
        r = d.ctl("status")
        check_eq(r.returncode, 5, "exit code")
        lines = findings(r.stdout, "Problems")
        check_eq(len(lines), 3, "problems: %s" % lines)
        codes = []
        for line in lines:
            command = line.rpartition("; next: ")[2]
            check(line.startswith(("error: ", "warning: ")) and command, line)
            env = dict(os.environ, SECRETVOLD_SOCKET=d.socket_path,
                       PATH=harness.options.build + ":" + os.environ["PATH"])
            codes.append(subprocess.run(["sh", "-c", command], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, env=env).returncode)
        check_eq(sorted(codes), [0, 0, 1], "describe, chmod and check")
        d.wait_status(lambda s: not any(p["severity"] == "warning" for p in s["problems"]),
                      "the warning's end")


@suite.test
def commands_ask_the_same_daemon():
    with daemon(pod("p", {"v": "nope"})) as d:
        r = subprocess.run([os.path.join(harness.options.build, "secretvolctl"), "--socket",
                            d.socket_path, "status"], text=True, capture_output=True,
                           stdin=subprocess.DEVNULL, env=d.environment())
        check_in("next: secretvolctl --socket %s describe volume -n default p/v" % d.socket_path,
                 r.stdout, "status")


@suite.test
def what_could_not_be_printed_is_a_failure():
    """Also where it was more than is kept back for the end, or the output goes on."""
    with daemon(secret("s", {"k%d" % i: "v" for i in range(100)}), pod("p", {"v": "s"})) as d, \
            open("/dev/full", "w") as full:
        for args in ("status", "get volumes -o json", "get volumes -w", "status -w", "events -w"):
            r = subprocess.run([os.path.join(harness.options.build, "secretvolctl")] + args.split(),
                               env=dict(d.environment(), SECRETVOLD_SOCKET=d.socket_path),
                               stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE,
                               text=True, timeout=harness.DEADLINE_S)
            check_eq(r.returncode, 1, "exit code of " + args)
            check_in("Error: cannot write to standard output: ", r.stderr, args)


class Watch:
    """secretvolctl status --watch, and what it has printed so far."""

    def __init__(self, d, *args, terminal=False, env=None):
        self.seen = b""
        command = [os.path.join(harness.options.build, "secretvolctl"), "status", "--watch"]
        environment = dict(d.environment(), SECRETVOLD_SOCKET=d.socket_path, TERM="xterm",
                           **(env or {}))
        if terminal:
            self.fd, child = pty.openpty()
            fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        else:
            self.fd, child = os.pipe()
        self.process = subprocess.Popen(
            command + list(args), stdin=child if terminal else subprocess.DEVNULL, stdout=child,
            stderr=subprocess.PIPE, env=environment, start_new_session=terminal)
        os.close(child)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        if self.fd >= 0:
            os.close(self.fd)

    def read(self, deadline):
        left = deadline - time.monotonic()
        check(left > 0 and select.select([self.fd], [], [], left)[0],
              "nothing more was printed; so far %r" % self.seen[-2000:])
        try:
            return os.read(self.fd, 65536)
        except OSError:  # a terminal that nobody has open any more
            return b""

    def wait_for(self, pattern):
        """Until what came since the last time matches; that is returned and taken away."""
        deadline = time.monotonic() + harness.DEADLINE_S
        while not re.search(pattern, self.seen, re.S):
            more = self.read(deadline)
            check(more, "ended before %r; so far %r" % (pattern, self.seen[-2000:]))
            self.seen += more
        seen, self.seen = self.seen, b""
        return seen

    def rest(self):
        deadline = time.monotonic() + harness.DEADLINE_S
        while True:
            more = self.read(deadline)
            if not more:
                return self.seen
            self.seen += more


@suite.test
def watching_on_a_pipe_prints_each_change():
    with daemon(pod("p", {"v": "s"})) as d, Watch(d) as w:
        w.wait_for(rb"Refused.*Problems:\n.*describe volume -n default p/v\n")
        d.put_objects("s.yaml", secret("s", {"k": "1"}))
        seen = w.wait_for(rb"Problems: +none\n")
        check(seen.startswith(b"\nDaemon: ") and b"\x1b" not in seen, "second status: %r" % seen)
        # A manifest that concerns no volume has no event, and is shown all the same.
        d.put("bad.yaml", "{")
        w.wait_for(rb"Problems:\n.*bad.yaml")
        d.stop()
        w.rest()
        check_eq(w.process.wait(harness.DEADLINE_S), 3, "exit code when the daemon has gone")
        check_eq(w.process.stderr.read().count(b"\n"), 1, "lines on stderr")


@suite.test
def watching_as_json_is_an_object_a_line():
    with daemon(pod("p", {"v": "s"})) as d, Watch(d, "-o", "json") as w:
        first = json.loads(w.wait_for(rb"\n"))
        check_eq((first["kind"], first["counts"]["states"]["Refused"]), ("Status", 1), "first")
        d.put_objects("s.yaml", secret("s", {"k": "1"}))
        seen = w.wait_for(rb'"Published":1[^\n]*\n')
        check_eq({json.loads(line)["kind"] for line in seen.splitlines()}, {"Status"}, "lines")


class Quiet(http.server.BaseHTTPRequestHandler):
    """A daemon where nothing happens but that its source is heard of; the third time it is busy."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        if "watch" in self.path:
            self.wfile.write(b'{"type":"SYNCED","object":{}}\n')
            self.rfile.read(1)  # until the client goes
            return
        self.server.asked += 1
        status = {"kind": "Status", "ready": self.server.asked < 3, "counts": {"states": {}},
                  "sources": [{"synced": True, "lastSync": "2026-01-01T00:00:%02dZ" %
                                                           self.server.asked}]}
        self.wfile.write(json.dumps(status).encode())


class QuietDaemon(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    asked = 0

    def environment(self):
        return dict(os.environ)


@suite.test
def watching_prints_nothing_while_nothing_changes():
    path = harness.make_dir("quiet.") + "/socket"
    with QuietDaemon(path, Quiet) as d:
        d.socket_path = path
        threading.Thread(target=d.serve_forever, daemon=True).start()
        with Watch(d, "-o", "json") as w:
            seen = w.wait_for(rb'"ready":false[^\n]*\n')
        check_eq([json.loads(line)["ready"] for line in seen.splitlines()], [True, False],
                 "what was printed")
        d.shutdown()


@suite.test
def watching_ends_when_nobody_reads():
    with daemon() as d, Watch(d) as w:
        w.wait_for(rb"Problems")
        os.close(w.fd)
        w.fd = -1
        check_eq(w.process.wait(harness.DEADLINE_S), 0, "exit code")


@suite.test
def watching_without_a_daemon():
    with daemon() as d:
        d.stop()
        with Watch(d) as w:
            check_eq((w.rest(), w.process.wait(harness.DEADLINE_S)), (b"", 3), "exit code")


@suite.test
def watching_on_a_terminal_draws_in_place():
    with daemon(pod("p", {"v": "s"})) as d, Watch(d, terminal=True) as w:
        seen = w.wait_for(rb"p/v")
        check(seen.startswith(ENTER + HOME), "how it begins: %r" % seen[:60])
        d.put_objects("s.yaml", secret("s", {"k": "1"}))
        check_in(HOME, w.wait_for(rb"Problems: +none"), "drawn again")
        check(b"\n\nDaemon" not in seen, "drawn below")
        d.stop()
        w.wait_for(rb"cannot reach secretvold|closed the connection")
        d.start()
        w.wait_for(rb"Problems: +none")
        w.process.send_signal(signal.SIGINT)
        check(w.rest().endswith(LEAVE), "the terminal is left as it was: %r" % w.seen[-60:])
        check_eq(w.process.wait(harness.DEADLINE_S), -signal.SIGINT, "how it ended")


@suite.test
def a_terminal_is_restored_for_a_stop():
    with daemon() as d, Watch(d, terminal=True) as w:
        w.wait_for(rb"Problems")
        w.process.send_signal(signal.SIGTSTP)
        check(w.wait_for(re.escape(LEAVE) + b"$").endswith(LEAVE), "left for the stop")
        check(os.WIFSTOPPED(os.waitpid(w.process.pid, os.WUNTRACED)[1]), "not stopped")
        w.process.send_signal(signal.SIGCONT)
        w.wait_for(re.escape(ENTER) + rb".*Problems")
        w.process.send_signal(signal.SIGTERM)
        check(w.rest().endswith(LEAVE), "left in the end")
        check_eq(w.process.wait(harness.DEADLINE_S), -signal.SIGTERM, "how it ended")


@suite.test
def a_small_terminal_is_not_overrun():
    with daemon(*[pod("p%d" % n, {"v": "nope"}) for n in range(60)]) as d:
        with Watch(d, terminal=True) as w:
            seen = w.wait_for("…".encode())
            check(seen.count(b"\r\n") < 40, "%d lines on 40 rows" % seen.count(b"\r\n"))


if __name__ == "__main__":
    sys.exit(suite.main())
