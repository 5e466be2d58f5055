#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Values in memory: one copy while somebody needs them, none afterwards, and what that costs."""

import base64
import json
import os
import random
import re
import signal
import string
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import fake_api  # noqa: E402
import harness  # noqa: E402
from harness import (Daemon, check, check_eq, check_in, in_state, manifest, newer_than,  # noqa: E402
                     pod, poll_until, secret)

suite = harness.Suite("memory")

MIB = 1 << 20
KNOWN_S = 5.0  # how long values may take to go: they go when the queue is empty


def plain_build():
    if harness.is_sanitized():
        raise harness.Skip("a sanitizer's allocator neither wipes nor gives back")


# ---- values that can be found ------------------------------------------------------------------


class Marker:
    """Values full of one random word, and the forms in which memory might hold a piece of them.

    A value is a row of blocks of 24 bytes: the word (12) and as much that differs. Both lengths are
    multiples of 3, so that base64 of the value has the base64 of the word in it, and of 4, so that
    the word is found among the swapped words that a hash function makes of its input.
    """

    def __init__(self):
        self.word = self.random(12)
        word = self.word.encode()
        self.forms = {"plain": word, "base64": base64.b64encode(word)}
        for at in range(4):
            part = word[at:at + 8]
            self.forms["swapped at %d" % at] = part[3::-1] + part[7:3:-1]

    @staticmethod
    def random(n):
        return "".join(random.SystemRandom().choices(string.ascii_letters, k=n))

    def value(self, blocks=3):
        return "".join(self.word + self.random(12) for _ in range(blocks))

    def found_in(self, data, again=b""):
        """The form of each occurrence, but for those in @again, of which data are the rest."""
        return [form for form, needle in self.forms.items()
                for _ in range((again + data).count(needle) - again.count(needle))]


def mappings(pid):
    """(start, end, line) of what can be read."""
    with open("/proc/%d/maps" % pid, encoding="utf-8") as f:
        for line in f:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if m and "[vvar" not in line and "[vsyscall]" not in line:
                yield int(m.group(1), 16), int(m.group(2), 16), line.strip()


def scan(pid, marker):
    """Where in the whole memory of a process a marker is found: (form, mapping) for each time."""
    found, total = [], 0
    with open("/proc/%d/mem" % pid, "rb", buffering=0) as mem:
        for start, end, line in mappings(pid):
            tail = b""
            for at in range(start, end, 16 * MIB):
                try:
                    data = os.pread(mem.fileno(), min(16 * MIB, end - at), at)
                except OSError:  # a mapping that went meanwhile, or a device's
                    break
                total += len(data)
                found += [(form, line) for form in marker.found_in(data, tail)]
                tail = data[-64:]
    check(total > 4 * MIB, "only %d bytes of memory could be read" % total)
    return found


def expect_forgotten(d, marker, when):
    poll_until(lambda: not scan(d.process.pid, marker), "values to leave memory " + when, KNOWN_S,
               0.05)


def memory(pid):
    """Bytes, by the names of proc(5): VmRSS, VmHWM, RssAnon …"""
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        return {m.group(1): int(m.group(2)) * 1024
                for m in re.finditer(r"^(\w+):\s+(\d+) kB$", f.read(), re.M)}


def io_counter(pid, name):
    with open("/proc/%d/io" % pid, encoding="ascii") as f:
        return int(re.search(r"^%s: (\d+)$" % name, f.read(), re.M).group(1))


def content(volume, key="k"):
    return harness.read_file(os.path.join(volume["path"], key)).decode()


def published(d, name):
    return d.wait_published("default", name, "v")


def publish(d, name, value, **fields):
    d.put_objects(name + ".yaml", secret(name, {"k": value}, **fields), pod(name, {"v": name}))
    volume = published(d, name)
    check_eq(content(volume), value, "content of " + name)
    return volume


# ---- nothing is left ---------------------------------------------------------------------------


def texts(value):
    """The spellings of one value in a manifest."""
    b64 = base64.b64encode(value.encode()).decode()
    return ["data: {k: %s}" % b64, 'data: {k: "%s"}' % b64, "stringData: {k: %s}" % value,
            "stringData:\n  k: |-\n    %s" % value, "stringData:\n  k: >-\n    %s" % value,
            "stringData: {k: '%s'}" % value, "immutable: false\nstringData: {\"k\": \"%s\"}" % value]


def put_value(d, i, value, text):
    head = "apiVersion: v1\nkind: Secret\nmetadata: {name: s%d}\n" % i
    d.put("s%d.yaml" % i, head + text + "\n")
    return value


def ask_everything(d):
    """Whatever the daemon says about itself, and what its commands print."""
    for path in ("/v1/status", "/v1/volumes", "/v1/pods", "/v1/secrets", "/v1/events", "/metrics",
                 "/readyz?verbose"):
        yield path, d.client.get(path)[1].encode()
    for args in (("status",), ("get", "volumes", "-A", "-o", "yaml"), ("get", "secrets", "-A"),
                 ("describe", "volume", "p1/v"), ("describe", "pod", "p1"), ("events",)):
        done = d.ctl(*args)
        yield " ".join(args), (done.stdout + done.stderr).encode()


def files_below(top):
    """Every plain file below a directory, not into mounts."""
    device = os.stat(top).st_dev
    for directory, names, files in os.walk(top):
        names[:] = [n for n in names if os.stat(os.path.join(directory, n)).st_dev == device]
        for name in files:
            path = os.path.join(directory, name)
            if os.path.isfile(path) and not os.path.islink(path):
                yield path


@suite.test
def no_value_is_anywhere_after_a_thousand_publishes_and_updates():
    plain_build()
    marker = Marker()
    n = 100
    with Daemon(args=["--log-level", "debug"]) as d:
        values = {}
        for i in range(n):
            values[i] = put_value(d, i, marker.value(), texts(marker.value())[0])
            values[i] = marker.value(1 + i % 40 * 50)
            put_value(d, i, values[i], texts(values[i])[i % 7])
            d.put_objects("p%d.yaml" % i, pod("p%d" % i, {"v": "s%d" % i}))
        for i in range(n):
            published(d, "p%d" % i)
        for turn in range(9):
            for i in range(n):
                values[i] = marker.value(1 + (i + turn) % 40)
                put_value(d, i, values[i], texts(values[i])[(i + turn) % 7])
            for i in range(n):
                poll_until(lambda i=i: content(d.volume("default", "p%d" % i, "v")) == values[i],
                           "the content of p%d" % i)
        d.put("broken.yaml", "stringData: {k: %s}\n  - %s: [\n" % (marker.value(), marker.value()))
        d.put_objects("invalid.yaml", secret("invalid", {"a b": marker.value()}))
        d.put("refused.yaml", "{kind: Secret, apiVersion: v1, metadata: {name: r}, data: {k: '%s*'}}"
              % marker.value())
        d.put_objects("z-loser.yaml", secret("s1", {"k": marker.value()}))
        d.wait_problem("DuplicateObject")
        check_eq(len(d.ctl("env", "p1").stderr), 0, "errors of env")
        answers = dict(ask_everything(d))
        expect_forgotten(d, marker, "after updates")
        for name, text in answers.items():
            check(text, "%s says nothing" % name)
            check_eq(marker.found_in(text), [], name)
        check_eq(marker.found_in(d.log().encode()), [], "the log")
        pid = d.process.pid
        for name in ("cmdline", "environ", "comm"):
            check_eq(marker.found_in(harness.read_file("/proc/%d/%s" % (pid, name))), [], name)
        check_eq(io_counter(pid, "write_bytes"), 0, "bytes written to disks")
        check(os.path.islink(os.path.join(d.root, "by-name/default/p1/v")), "by-name links are here")
        check_eq(list(files_below(d.root)), [], "files outside of volumes")


@suite.test
def the_search_finds_a_value_that_is_kept():
    plain_build()
    marker = Marker()
    with Daemon(args=["--keep-values=always"]) as d:
        publish(d, "a", marker.value())
        check_in("plain", [form for form, _ in scan(d.process.pid, marker)], "what was found")


@suite.test
def a_value_is_there_once_however_many_volumes_use_it():
    plain_build()
    marker = Marker()
    value = marker.random(40000) + marker.word + marker.random(40000)
    with Daemon(args=["--keep-values=always"]) as d:
        d.put_objects("s.yaml", secret("s", {"k": value}))
        d.put_objects("p.yaml", *[pod("p%d" % i, {"v": "s"}) for i in range(50)])
        for i in range(50):
            check_eq(content(published(d, "p%d" % i)), value, "content of p%d" % i)
        poll_until(lambda: len(scan(d.process.pid, marker)) == 1, "the value to be there once",
                   KNOWN_S, 0.05)
        check_eq(scan(d.process.pid, marker)[0][0], "plain", "what was found")


@suite.test
def values_of_an_environment_go_when_it_was_handed_out():
    plain_build()
    marker = Marker()
    value = marker.value()
    p = pod("p", {"v": "s"})
    p["spec"]["containers"][0].update(
        envFrom=[{"secretRef": {"name": "s"}}], command=["sh"], args=["-c", "echo $(k)"],
        env=[{"name": "B", "value": "$(k)$(k)"},
             {"name": "C", "valueFrom": {"secretKeyRef": {"name": "other", "key": "k"}}}])
    with Daemon() as d:
        d.put_objects("s.yaml", secret("s", {"k": value}), secret("other", {"k": value}), p)
        published(d, "p")
        expect_forgotten(d, marker, "once published")
        for _ in range(3):
            out = d.ctl("env", "p", "-o", "json")
            check_eq(out.returncode, 0, out.stderr)
            env = {e["name"]: e["value"] for e in json.loads(out.stdout)["env"]}
            check_eq(env, {"k": value, "B": value * 2, "C": value}, "environment")
        expect_forgotten(d, marker, "once handed out")


@suite.test
def a_volume_that_is_refused_leaves_no_value():
    plain_build()
    marker = Marker()
    with Daemon(args=["--volume-size-limit=1Ki"]) as d:
        d.put_objects("a.yaml", secret("a", {"k": marker.value(100)}), pod("a", {"v": "a"}))
        d.wait_volume("default", "a", "v", in_state("Refused"))
        d.put_objects("b.yaml", secret("b", {"k": marker.value()}),
                      pod("b", {"v": {"secretName": "b", "items": [{"key": "x", "path": "x"}]}}))
        d.wait_volume("default", "b", "v", in_state("Refused"))
        d.put_objects("c.yaml", secret("c", {"k": marker.value()}))  # nobody's
        d.wait_status(lambda s: s["counts"]["secrets"] == 3, "three Secrets")
        expect_forgotten(d, marker, "after refusals")


@suite.test
def of_what_an_api_server_sent_the_value_alone_stays():
    plain_build()
    for keep, forms in (("auto", {"plain"}), ("never", set())):
        marker = Marker()
        with fake_api.FakeApi() as api:
            api.put_secret(key="default/s", keys="k=first")
            api.put_pod(key="default/p", node="node-a", volumes="v=s")
            with Daemon(n_manifest_dirs=0,
                        args=api.daemon_args("node-a") + ["--keep-values=" + keep]) as d:
                v = published(d, "p")
                api.put_secret(key="default/s", keys="k=" + marker.value())
                d.wait_volume("default", "p", "v", newer_than(v["generation"]))
                poll_until(lambda: {f for f, _ in scan(d.process.pid, marker)} == forms,
                           "what is in memory with --keep-values=" + keep, KNOWN_S, 0.05)
                api.put_secret(key="default/s", keys="k=last")
                d.wait_volume("default", "p", "v", newer_than(v["generation"] + 1))
                expect_forgotten(d, marker, "once another value is there")


# ---- how much ----------------------------------------------------------------------------------


@suite.test
def two_hundred_secrets_of_a_mebibyte_take_little_memory():
    plain_build()
    with Daemon(start=False) as d:
        for i in range(200):
            value = os.urandom(MIB // 2 + 1000 * i).hex()[:MIB]
            d.put_objects("%03d.yaml" % i, secret("s%d" % i, {"k": value}),
                          pod("p%d" % i, {"v": "s%d" % i}))
        d.start(wait_ready=False).wait_ready(120)
        for i in range(200):
            check_eq(published(d, "p%d" % i)["files"][0]["size"], MIB, "size of p%d" % i)
        check(memory(d.process.pid)["VmHWM"] < 20 * MIB, "peak of %d" % memory(d.process.pid)["VmHWM"])


@suite.test
def secrets_that_are_read_long_before_their_pods_do_not_pile_up():
    plain_build()
    with Daemon(start=False) as d:
        for i in range(40):
            d.put_objects("a%02d.yaml" % i, secret("s%d" % i, {"k": "%02d" % i * (MIB // 2)}))
        d.put_objects("pods.yaml", *[pod("p%d" % i, {"v": "s%d" % i}) for i in range(40)])
        d.start()
        for i in range(40):
            check_eq(content(published(d, "p%d" % i))[:2], "%02d" % i, "content of p%d" % i)
        check(memory(d.process.pid)["VmHWM"] < 40 * MIB, "peak of %d" % memory(d.process.pid)["VmHWM"])


@suite.test
def a_file_of_many_secrets_is_not_read_once_for_each():
    n = 300
    with Daemon() as d:
        path = d.put_objects("s.yaml", *[secret("s%d" % i, {"k": "%d" % i * 500}) for i in range(n)])
        d.wait_status(lambda s: s["counts"]["secrets"] == n, "all Secrets")
        before = io_counter(d.process.pid, "rchar")
        d.put_objects("z.yaml", *[pod("p%d" % i, {"v": "s%d" % i}) for i in range(n)])
        for i in range(n):
            check_eq(content(published(d, "p%d" % i)), "%d" % i * 500, "content of p%d" % i)
        times = (io_counter(d.process.pid, "rchar") - before) / os.stat(path).st_size
        check(1 <= times < 8, "read %.1f times" % times)


# ---- values that are needed again --------------------------------------------------------------


@suite.test
def a_new_pod_gets_a_secret_that_was_forgotten():
    marker = Marker()
    with Daemon() as d:
        value = marker.value()
        d.put_objects("s.yaml", secret("s", {"k": value}), pod("a", {"v": "s"}))
        published(d, "a")
        if not harness.is_sanitized():
            expect_forgotten(d, marker, "once published")
        d.put_objects("b.yaml", pod("b", {"v": "s", "w": {"secretName": "s", "optional": True}}))
        check_eq(content(published(d, "b")), value, "content")
        check_eq(content(d.wait_published("default", "b", "w")), value, "content of w")
        check_eq(d.problems("error"), [], "problems")


@suite.test
def a_file_that_broke_since_gives_no_values_and_harms_no_volume():
    with Daemon() as d:
        path = d.put_objects("s.yaml", secret("s", {"k": "old"}))
        d.put_objects("a.yaml", pod("a", {"v": "s"}))
        a = published(d, "a")
        d.put("s.yaml", "a: [")
        d.wait_problem("InvalidManifest")
        d.put_objects("b.yaml", pod("b", {"v": "s"}))
        b = d.wait_volume("default", "b", "v", in_state("Refused"))
        check_eq(b["reason"], "SourceUnavailable", "reason")
        check_in('secret "s"', b["message"], "message")
        check_in(path, b["message"], "message")
        out = d.ctl("env", "b")
        check_eq(out.returncode, 0, "env of a Pod that needs none: " + out.stderr)
        # looked at again: it has what it should have, so that no value is needed
        d.put_objects("a.yaml", pod("a", {"v": "s"}, terminationGracePeriodSeconds=1,
                                    securityContext={"runAsUser": 7}))
        d.signal(signal.SIGHUP)
        d.marker()
        check_eq(d.volume("default", "a", "v")["state"], "Published", "state of a")
        check_eq(d.volume("default", "a", "v")["generation"], a["generation"], "generation of a")
        # but it cannot be made anew
        d.put_objects("a.yaml", pod("a", {"v": {"secretName": "s", "defaultMode": 0o400}}))
        stale = d.wait_volume("default", "a", "v", in_state("Stale"))
        check_eq(stale["reason"], "SourceUnavailable", "reason of a")
        check_eq(content(stale), "old", "content of a")
        d.put_objects("s.yaml", secret("s", {"k": "old"}))
        check_eq(content(published(d, "b")), "old", "content of b")
        check_eq(d.wait_published("default", "a", "v")["files"][0]["mode"], "0400", "mode of a")


@suite.test
def a_file_without_the_values_is_not_read_once_for_each_volume():
    n = 40

    def file(value):
        ballast = secret("ballast", {"k%d" % i: "x" * 1000 for i in range(200)})
        return manifest(secret("s", {"k": value}, immutable=True), ballast)

    with Daemon() as d:
        def put_pods(**spec):
            d.put_objects("p.yaml", *[pod("p%d" % i, {"v": "s"}, **spec) for i in range(n)])

        put_pods()
        path = d.put("s.yaml", file("1"))
        for i in range(n):
            published(d, "p%d" % i)
        before = io_counter(d.process.pid, "rchar")
        d.put("s.yaml", file("2"))
        d.wait_problem("InvalidSecret", message="immutable")
        put_pods(securityContext={"runAsUser": 7})  # so that all volumes are looked at
        for _ in range(2):
            d.marker()  # another file is read: who waits for values looks again
        times = (io_counter(d.process.pid, "rchar") - before) / os.stat(path).st_size
        check(1 <= times < 3, "read %.1f times" % times)
        d.put_objects("late.yaml", pod("late", {"v": "s"}))
        late = d.wait_volume("default", "late", "v", in_state("Refused"))
        check_in("another version", late["message"], "message")
        d.put("s.yaml", file("1"))
        check_eq(content(published(d, "late")), "1", "content")


@suite.test
def a_directory_that_comes_back_gives_values_again():
    with Daemon(n_manifest_dirs=2) as d:
        d.put_objects("s.yaml", secret("s", {"k": "1"}), pod("a", {"v": "s"}),
                      manifest_dir=d.manifest_dirs[1])
        published(d, "a")
        away = d.manifest_dirs[1] + ".away"
        os.rename(d.manifest_dirs[1], away)
        d.wait_problem("SourceUnavailable")
        d.put_objects("b.yaml", pod("b", {"v": "s"}))
        b = d.wait_volume("default", "b", "v", in_state("Refused"))
        check_eq(b["reason"], "SourceUnavailable", "reason")
        os.rename(away, d.manifest_dirs[1])
        check_eq(content(published(d, "b")), "1", "content of b")


@suite.test
def a_file_that_was_replaced_unseen_is_read_before_its_values_are_used():
    with Daemon() as d:
        d.put_objects("s.yaml", secret("s", {"k": "1"}))
        published_before = publish(d, "other", "x")
        check_eq(published_before["state"], "Published", "state")
        for value in ("22", "333", "4444"):
            d.signal(signal.SIGSTOP)
            d.put_objects("b%s.yaml" % value, pod("b" + value, {"v": "s"}))
            d.put_objects("s.yaml", secret("s", {"k": value}))
            d.signal(signal.SIGCONT)
            poll_until(lambda v=value: content(published(d, "b" + v)) == v, "the content " + value)
        check_eq(d.problems("error"), [], "problems")


@suite.test
def a_retry_reads_its_secret_again():
    with Daemon() as d:
        os.makedirs(os.path.join(d.root, "pods"), exist_ok=True)
        blocker = os.path.join(d.root, "pods", "uid-of-a")
        with open(blocker, "w", encoding="ascii"):
            pass
        d.put_objects("s.yaml", secret("s", {"k": "1"}), pod("a", {"v": "s"}, uid="uid-of-a"))
        d.wait_volume("default", "a", "v", in_state("Failed"))
        os.unlink(blocker)
        check_eq(content(published(d, "a")), "1", "content")


@suite.test
def a_secret_that_counts_since_another_file_went_is_read_then():
    with Daemon() as d:
        d.put_objects("a.yaml", secret("s", {"k": "first"}))
        d.put_objects("b.yaml", secret("s", {"k": "second"}))
        d.put_objects("p.yaml", pod("p", {"v": "s"}))
        v = published(d, "p")
        check_eq(content(v), "first", "content")
        d.delete("a.yaml")
        check_eq(content(d.wait_volume("default", "p", "v", newer_than(v["generation"]))), "second",
                 "content")


@suite.test
def a_volume_keeps_an_immutable_secret_that_is_gone():
    with Daemon() as d:
        d.put_objects("s.yaml", secret("s", {"k": "1"}, immutable=True))
        d.put_objects("a.yaml", pod("a", {"v": "s"}))
        published(d, "a")
        d.delete("s.yaml")
        d.wait_status(lambda s: s["counts"]["secrets"] == 0, "no Secret")
        d.put_objects("s.yaml", secret("s", {"k": "2"}, immutable=True))
        d.put_objects("b.yaml", pod("b", {"v": "s"}))
        check_eq(content(published(d, "b")), "2", "content of b")
        d.signal(signal.SIGHUP)
        d.marker()
        a = d.volume("default", "a", "v")
        check_eq((a["state"], content(a)), ("Published", "1"), "volume of a")


# ---- what is kept ------------------------------------------------------------------------------


@suite.test
def what_is_kept_always_survives_its_file():
    with Daemon(args=["--keep-values=always"]) as d:
        publish(d, "s", "1")
        d.put("s.yaml", "a: [")
        d.wait_problem("InvalidManifest")
        d.put_objects("b.yaml", pod("b", {"v": "s"}))
        check_eq(content(published(d, "b")), "1", "content")


@suite.test
def what_is_never_kept_is_read_again():
    plain_build()
    marker = Marker()
    with Daemon(args=["--keep-values=never"]) as d:
        value = marker.value()
        publish(d, "s", value)
        expect_forgotten(d, marker, "once published")
        d.put_objects("b.yaml", pod("b", {"v": "s"}))
        check_eq(content(published(d, "b")), value, "content")
        expect_forgotten(d, marker, "once published again")


@suite.test
def a_reload_changes_what_is_kept():
    plain_build()
    marker = Marker()
    with Daemon(start=False) as d:
        config = os.path.join(d.home, "config.yaml")
        d.args = ["--config", config]

        def configure(text):
            with open(config, "w", encoding="ascii") as f:
                f.write(text)

        configure("keepValues: always\n")
        d.start()
        publish(d, "s", marker.value())
        check(scan(d.process.pid, marker), "the value is kept")
        configure("keepValues: auto\n")
        d.signal(signal.SIGHUP)
        expect_forgotten(d, marker, "by a reload")
        configure("keepValues: always\n")
        d.signal(signal.SIGHUP)
        poll_until(lambda: scan(d.process.pid, marker), "the value to be kept", KNOWN_S, 0.05)


@suite.test
def an_unknown_policy_is_named():
    with Daemon(args=["--keep-values=sometimes"], start=False) as d:
        done = d.run_once()
        check_eq(done.returncode, 2, "exit status")
        check_in("keep-values: unknown value 'sometimes'", done.stderr, "error")


# ---- who may look ------------------------------------------------------------------------------


@suite.test
def memory_leaves_no_core_and_is_not_shown_to_others():
    with Daemon() as d:
        limits = harness.read_file("/proc/%d/limits" % d.process.pid).decode()
        check(re.search(r"^Max core file size +0 +0 ", limits, re.M), "a core may be written")
        # all rights but that to look into every process: what may be dumped may be looked at
        may_open = ["setpriv", "--bounding-set=-sys_ptrace", "sh", "-c"]
        looked = subprocess.run(may_open + [": </proc/%d/mem" % d.process.pid],
                                capture_output=True, check=False)
        check(looked.returncode != 0, "memory may be opened")
        own = subprocess.run(may_open + ["sleep 60 & : </proc/$!/mem; r=$?; kill $!; exit $r"],
                             capture_output=True, check=False)
        check_eq(own.returncode, 0, "opening that of an ordinary process")


def unlocked(pid):
    """Private mappings that may be written to, have pages in memory and are not locked."""
    text = harness.read_file("/proc/%d/smaps" % pid).decode()
    found = []
    for part in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", text, flags=re.M)[1:]:
        head = part.splitlines()[0]
        resident = int(re.search(r"^Rss: +(\d+) kB$", part, re.M).group(1))
        flags = re.search(r"^VmFlags: (.*)$", part, re.M).group(1).split()
        if head.split()[1][1::2] == "wp" and resident and "lo" not in flags:
            found.append(head)
    return found


@suite.test
def memory_is_locked_once_it_is_used():
    plain_build()
    with Daemon(args=["--keep-values=always"]) as d:
        publish(d, "s", "x" * MIB)  # which is in a mapping of its own, made now
        m = memory(d.process.pid)
        if m["VmLck"] == 0:
            check_in("memory cannot be locked", d.log(), "log")
            raise harness.Skip("this machine does not let memory be locked")
        check_eq(unlocked(d.process.pid), [], "what is not locked")
        check(m["VmRSS"] < 20 * MIB, "what is locked is not what is used: %d" % m["VmRSS"])


if __name__ == "__main__":
    sys.exit(suite.main())
