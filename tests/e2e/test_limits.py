#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Limits: each at its value and one over it, and what is beside it goes on.

Then those who are slow: clients that do not read, do not write or come by the thousand, and
worker threads that do not come back from a system call. None of them makes others wait.
"""

import concurrent.futures
import contextlib
import grp
import json
import os
import pwd
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness  # noqa: E402
from harness import (Daemon, check, check_eq, check_in, in_state, manifest,  # noqa: E402
                     newer_than, pod, poll_until, secret)

suite = harness.Suite("limits")

NOBODY = pwd.getpwnam("nobody").pw_uid
MEMBERS = "daemon"  # a group that every system has
FREEZER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support/freezer.py")


def problem(d, name):
    """What is wrong with a file, or None."""
    found = [p for p in d.problems("error") if os.path.basename(p["file"]) == name]
    return found[0] if found else None


def refused_file(d, name, says, reason="TooMany"):
    d.marker()
    p = problem(d, name)
    check(p, "no problem of " + name)
    check_eq(p["reason"], reason, "reason (%s)" % p["message"])
    check_in(says, p["message"], "message")


def accepted_file(d, name):
    d.marker()
    check_eq(problem(d, name), None, "the problem of " + name)


# ---- manifests ---------------------------------------------------------------------------------


@suite.test
def all_manifests_together_have_limits():
    small = secret("s", {"k": "1"})
    # the marker's Pod, volume and Secrets count, too: one each, and of the size below
    with Daemon(args=["--pod-limit=4", "--volume-limit=6", "--secrets-size-limit=100Ki"]) as d:
        d.put_objects("s.yaml", small)
        d.put_objects("a.yaml", *[pod("a%d" % n, {"v": "s"}) for n in range(3)])
        d.marker()  # the fourth Pod, and volume
        d.put_objects("b.yaml", pod("b", {"v": "s"}))
        d.wait_problem("TooMany", file="b.yaml")
        check_in("5 in all manifests: over the limit of 4 Pods (--pod-limit)",
                 problem(d, "b.yaml")["message"], "message")
        check_eq(d.ctl("status").returncode, 0, "exit status: all that is wanted is published")
        check_in("b.yaml", d.ctl("status").stdout, "status")
        check_eq(d.volume("default", "b", "v"), None, "a volume of a file that is refused")
        # what is there changes as it likes, and what is over takes its place when there is one
        d.put_objects("a.yaml", *[pod("a%d" % n, {"v": "s"}) for n in range(2)])
        d.wait_gone("default", "a2", "v")
        d.put_objects("b.yaml", pod("b", {"v": "s", "w": "s", "x": "s"}))
        d.wait_published("default", "b", "x")
        check_eq(problem(d, "b.yaml"), None, "the problem")
        d.put_objects("b.yaml", pod("b", {"v": "s", "w": "s", "x": "s", "y": "s"}))
        d.wait_problem("TooMany", file="b.yaml")
        check_in("7 in all manifests: over the limit of 6 volumes (--volume-limit)",
                 problem(d, "b.yaml")["message"], "message")
        for volume in ("v", "w", "x"):  # the last good version stays
            check_eq(d.volume("default", "b", volume)["state"], "Published", "state")
        d.delete("a.yaml")
        d.wait_published("default", "b", "y")
        # Secrets: s has 2 + 1024 bytes, the marker's one as much
        room = (100 << 10) - 2 * (1024 + 2) - 1024 - 1
        d.put_objects("big.yaml", secret("big", {"k": b"x" * room}))
        d.wait_no_problems()
        d.put_objects("big.yaml", secret("big", {"k": b"x" * (room + 1)}))
        p = d.wait_problem("TooMany", file="big.yaml")
        check_in("there would be %d bytes in all manifests: over the limit of %d bytes "
                 "(--secrets-size-limit)" % ((100 << 10) + 1, 100 << 10), p["message"], "message")


@suite.test
def limits_are_numbers():
    for flag, value in (("pod-limit", "0"), ("pod-limit", "x"), ("pod-limit", "1000001"),
                        ("volume-limit", "-1"), ("volume-limit", "1.5"),
                        ("secrets-size-limit", "0"), ("secrets-size-limit", "3Gi")):
        with Daemon(args=["--%s=%s" % (flag, value)], start=False) as d:
            d.start(wait_ready=False)
            check_eq(d.wait_exit(), 2, "exit status with %s=%s" % (flag, value))
            check_in(flag, d.log(), "message")
    config = os.path.join(harness.make_dir("config."), "c.yaml")
    with open(config, "w", encoding="ascii") as f:
        f.write("podLimit: 1\nvolumeLimit: 20000\nsecretsSizeLimit: 1Mi\n")
    with Daemon(args=["--config", config]) as d:
        d.put_objects("p.yaml", pod("p", {}), pod("q", {}))
        d.wait_problem("TooMany", file="p.yaml")
        with open(config, "w", encoding="ascii") as f:
            f.write("podLimit: 2\n")
        d.signal(signal.SIGHUP)
        d.wait_no_problems()
        check_eq(sorted(p["name"] for p in d.pods()), ["p", "q"], "Pods after a reload")


@suite.test
def a_file_has_its_size():
    with Daemon(args=["--manifest-size-limit=10Ki"]) as d:
        text = manifest(secret("s", {"k": "1"}))
        d.put("s.yaml", text + "#" * ((10 << 10) - len(text)))
        accepted_file(d, "s.yaml")
        d.put("s.yaml", text + "#" * ((10 << 10) - len(text) + 1))
        refused_file(d, "s.yaml", "file of 10241 bytes is over the limit of 10240 bytes",
                     "TooLarge")


@suite.test
def a_file_has_so_many_objects():
    def objects(n):
        return "{apiVersion: v1, kind: List, items: [%s]}" % ", ".join(
            "{apiVersion: v1, kind: Secret, metadata: {name: s%d}}" % i for i in range(n))
    with Daemon() as d:
        d.put("many.yaml", objects(20000))
        accepted_file(d, "many.yaml")
        check_eq(d.status()["counts"]["secrets"], 20001, "Secrets, the marker's included")
        d.put("many.yaml", objects(20001))
        refused_file(d, "many.yaml", "more than 20000 objects", "InvalidManifest")
        check_eq(d.status()["counts"]["secrets"], 20002, "the last good ones stay")


def fill(d, n):
    for i in range(n):
        with open(os.path.join(d.manifest_dir, "f%05d.yaml" % i), "w", encoding="ascii") as f:
            f.write("{apiVersion: v1, kind: Secret, metadata: {name: s%d}}" % i)
            os.fchmod(f.fileno(), 0o600)


@suite.test
def a_directory_has_so_many_manifests():
    with Daemon(start=False) as d:
        d.put_objects("zz.yaml", secret("s", {"k": "1"}), pod("p", {"v": "s"}))
        d.start()
        v = d.wait_published("default", "p", "v")
        d.stop()
        fill(d, 19999)
        d.start()
        check_eq(d.status()["sources"][0]["error"], "", "error with 20,000 manifests")
        check_eq(d.volume("default", "p", "v")["state"], "Published", "state")
        d.put_objects("one-more.yaml", secret("one-more", {}))
        d.wait_status(lambda s: "more than 20000 manifests" in s["sources"][0]["error"],
                      "the error of a directory with one more")
        check_eq(d.volume("default", "p", "v")["state"], "Published", "state")
        # After a restart nobody can say whose volumes the others' are: they stay.
        d.delete("zz.yaml")
        d.put_objects("zz.yaml", secret("s", {"k": "1"}), pod("p", {"v": "s"}))
        fill(d, 20100)
        d.stop()
        d.start(wait_ready=False)
        d.wait_alive()
        d.wait_status(lambda s: "more than 20000 manifests" in s["sources"][0]["error"],
                      "the error after a restart")
        check(os.path.exists(v["path"] + "/k"), "a volume was removed")
        check_eq(d.client.get("/readyz")[0], 503, "readiness")
        for i in range(1000):
            d.delete("f%05d.yaml" % i)
        d.signal(signal.SIGHUP)
        d.wait_ready()
        d.wait_published("default", "p", "v")
        check_eq(d.status()["sources"][0]["error"], "", "error in the end")


# ---- objects -----------------------------------------------------------------------------------


def crowd(n, names):
    return pod("crowd", {"%s%d" % (names, i): "s" for i in range(n)})


@suite.test
def a_pod_has_so_many_volumes():
    with Daemon() as d:
        d.put_objects("s.yaml", secret("s", {"k": "1"}))
        d.put_objects("crowd.yaml", crowd(1000, "v"))
        d.wait_status(lambda s: s["counts"]["states"]["Published"] == 1000, "1,000 volumes", 60)
        d.put_objects("crowd.yaml", crowd(1001, "v"))
        p = d.wait_problem("InvalidPod", file="crowd.yaml")
        check_eq((p["field"], p["category"], p["name"]), ("spec.volumes", "TooMany", "crowd"),
                 "field, category and name")
        check_in("spec.volumes: Too many: 1001: must have at most 1000 items", p["message"],
                 "message")
        check_eq(d.status()["counts"]["states"]["Published"], 1000, "the last good version")
        d.delete("crowd.yaml")
        d.wait_status(lambda s: s["counts"]["volumes"] == 0, "no more volumes", 60)


@suite.test
def a_secret_has_so_many_keys():
    with Daemon() as d:
        d.put_objects("p.yaml", pod("p", {"v": "s"}))
        d.put_objects("s.yaml", secret("s", {"k%05d" % i: "" for i in range(10000)}))
        v = d.wait_published("default", "p", "v")
        check_eq(len(v["files"]), 10000, "files")
        d.put_objects("s.yaml", secret("s", {"k%05d" % i: "" for i in range(10001)}))
        p = d.wait_problem("InvalidSecret", file="s.yaml")
        check_in("data: Too many: 10001: must have at most 10000 items", p["message"], "message")
        check_eq(d.volume("default", "p", "v")["state"], "Published", "the last good version")


@suite.test
def secrets_and_volumes_have_sizes():
    mib = b"x" * (1 << 20)
    with Daemon(args=["--volume-size-limit=2097151"]) as d:  # one less than two Secrets
        d.put_objects("s.yaml", secret("s", {"k": mib}), pod("p", {"v": "s"}))
        d.wait_published("default", "p", "v")
        d.put_objects("s.yaml", secret("s", {"k": mib + b"x"}), pod("p", {"v": "s"}))
        p = d.wait_problem("InvalidSecret", file="s.yaml")
        check_in("data: Too long: must have at most 1048576 bytes", p["message"], "message")
        two = pod("two", {"v": {"projected": {"sources": [
            {"secret": {"name": n, "items": [{"key": "k", "path": n}]}} for n in ("a", "b")]}}})
        d.put_objects("two.yaml", secret("a", {"k": mib}), secret("b", {"k": mib[1:]}), two)
        d.wait_published("default", "two", "v")
        d.put_objects("two.yaml", secret("a", {"k": mib}), secret("b", {"k": mib}), two)
        v = d.wait_volume("default", "two", "v", in_state("Stale"))
        check_eq(v["reason"], "TooLarge", "reason")
        check_in("volume of 2097152 bytes is over the limit of 2097151 bytes", v["message"],
                 "message")


@suite.test
def a_volume_gets_the_room_of_a_limit_that_is_raised():
    config = os.path.join(harness.make_dir("config."), "c.yaml")

    def limit(text):
        with open(config, "w", encoding="ascii") as f:
            f.write("volumeSizeLimit: %s\n" % text)

    def put(d, letter):
        d.put_objects("p.yaml", secret("s", {"k": letter * 900000}), pod("p", {"v": "s"}))

    limit("64Ki")
    with Daemon(args=["--config", config]) as d:
        d.put_objects("p.yaml", secret("s", {"k": "1"}), pod("p", {"v": "s"}))
        d.wait_published("default", "p", "v")
        put(d, "x")
        v = d.wait_volume("default", "p", "v", in_state("Stale"))
        check_eq(v["reason"], "TooLarge", "reason")
        limit("4Mi")
        d.signal(signal.SIGHUP)
        d.wait_volume("default", "p", "v", newer_than(1))
        put(d, "y")  # beside what is there
        d.wait_volume("default", "p", "v", newer_than(2))


# ---- requests ----------------------------------------------------------------------------------


def status_of(d, data):
    with harness.connection(d) as s:
        with contextlib.suppress(OSError):
            s.sendall(data)
        got = b""
        with contextlib.suppress(ConnectionError):
            while b"\r\n" not in got:
                part = s.recv(4096)
                if not part:
                    break
                got += part
        return int(got.split()[1]) if got else 0


@suite.test
def a_request_has_its_size():
    with Daemon() as d:
        fixed = b"Host: x\r\nConnection: close\r\n"
        for what, start, fill, end in (
                ("one long field", b"GET /healthz HTTP/1.1\r\nX-Fill: ", b"y", b"\r\n"),
                ("short fields", b"GET /healthz HTTP/1.1\r\nX-Fill: ", b"\r\nab: cdef", b"\r\n"),
                ("a long query", b"GET /healthz?", b"z", b" HTTP/1.1\r\n")):
            for size, want in ((16384, 200), (16385, 431), (40000, 431)):
                end_size = len(end + fixed) + 2
                times, rest = divmod(size - len(start) - end_size, len(fill))
                head = start + b"y" * rest + fill * times + end + fixed + b"\r\n"
                check_eq(len(head), size, "size of the head")
                check_eq(status_of(d, head), want, "status for a head of %d bytes with %s"
                         % (size, what))
        for size, want in ((65536, 400), (65537, 413)):  # 400: it is no JSON, but it was read
            body = b"x" * size
            check_eq(status_of(d, b"POST /v1/env HTTP/1.1\r\n" + fixed
                               + b"Content-Length: %d\r\n\r\n" % size + body), want,
                     "status for a body of %d bytes" % size)
            check_eq(status_of(d, b"POST /v1/env HTTP/1.1\r\n" + fixed
                               + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % size + body
                               + b"\r\n0\r\n\r\n"), want,
                     "status for a body of %d bytes in a chunk" % size)


@suite.test
def root_has_sixty_four_connections():
    ask = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    with Daemon() as d, contextlib.ExitStack() as stack:
        kept = [stack.enter_context(harness.connection(d)) for _ in range(64)]
        for s in kept:
            s.sendall(ask)
            check_in(b" 200 ", s.recv(4096), "answer to one of 64")
        check_eq(status_of(d, ask), 503, "status of the 65th")
        poll_until(lambda: status_of(d, ask) == 200, "the next one, as the oldest had to go", 5)
        check_eq(kept[0].recv(4096), b"", "what the oldest hears")
        for s in kept[8:]:
            s.sendall(ask)
            check_in(b" 200 ", s.recv(4096), "answer to one of those that stay")


# ---- those who are slow ------------------------------------------------------------------------


QUICK_S = 0.1
ROUNDS = 5


def best_round(measure, what):
    """measure() gives the times of one round: 95 % of them are quick, in one round at least.

    This machine has two processors and other work. What the daemon itself does wrong is there in
    every round; a processor that was busy elsewhere for a moment is not.
    """
    seen = []
    for _ in range(ROUNDS):
        times = sorted(measure())
        seen.append((times[int(len(times) * 0.95)], statistics.median(times)))
        if max(seen[-1]) < QUICK_S:
            return
    raise AssertionError("%s: 95th percentile and median of %d rounds: %s" % (
        what, ROUNDS, ", ".join("%.3f s, %.3f s" % x for x in seen)))


def check_quick(d, beside):
    """Root is answered within 100 ms."""
    def measure():
        for _ in range(40):
            start = time.monotonic()
            check_eq(d.client.get("/v1/status")[0], 200, "status beside " + beside)
            yield time.monotonic() - start
    best_round(measure, "answers beside " + beside)


# Connects as somebody else, does what its second argument says, and keeps all connections open;
# prints how many there are.
SLOW = r"""
import socket, sys
n, kind, path, query = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4].encode()
data = {"idle": b"", "head": b"GET /v1/volumes HTTP/1.1\r\nHost: x\r\nX: ",
        "body": b"POST /v1/env HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n{",
        "deaf": b"GET /v1/volumes?" + query + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        "watch": b"GET /v1/volumes?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n"}[kind]
kept = []
for i in range(n):
    s = socket.socket(socket.AF_UNIX)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    try:
        s.connect(path)  # blocks while the queue is full
    except OSError:
        continue
    s.settimeout(5)
    kept.append(s)
    try:
        s.sendall(data)
    except OSError:  # it was refused: there are too many
        pass
print(len(kept), flush=True)
sys.stdin.read()
"""


def as_member(uid, *command):
    """The command, run by a member of the socket's group."""
    return ["setpriv", "--reuid", str(uid), "--regid", str(NOBODY),
            "--groups", str(grp.getgrnam(MEMBERS).gr_gid), *command]


@contextlib.contextmanager
def slow_clients(d, n, kind, uid=NOBODY, query=""):
    command = ["/usr/bin/python3", "-c", SLOW, str(n), kind, d.socket_path, query]
    child = subprocess.Popen(as_member(uid, *command) if uid else command, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True, cwd="/")
    try:
        check_eq(child.stdout.readline(), "%d\n" % n, "slow clients that are connected")
        yield
    finally:
        child.stdin.close()
        child.wait(harness.DEADLINE_S)
        child.stdout.close()


# Asks once; who is refused at once may not get to the end of its question.
ASK = r"""
import contextlib, http.client, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])  # blocks while the queue is full
s.settimeout(30)
with contextlib.suppress(OSError):
    s.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % sys.argv[2].encode())
r = http.client.HTTPResponse(s)
r.begin()
print(r.status, r.read().decode())
"""


def ask_as(d, uid, path="/v1/status"):
    """(status, body) that another user gets, who is a member of the socket's group."""
    out = subprocess.run(as_member(uid, "/usr/bin/python3", "-c", ASK, d.socket_path, path),
                         capture_output=True, text=True, check=True, cwd="/").stdout
    status, _, body = out.partition(" ")
    return int(status), body.rstrip("\n")


def wait_peers(d, at_least, what):
    """So many connections are served, beside the one that asks."""
    poll_until(lambda: metric(d, "secretvold_status_peers") > at_least, what)


PER_USER, OF_OTHERS = 8, 56  # connections of one user, and of all who are not root


@suite.test
def others_than_root_have_fifty_six_connections():
    users = [NOBODY - 1 - n for n in range(OF_OTHERS // PER_USER)]
    with Daemon(args=["--socket-group", MEMBERS]) as d, contextlib.ExitStack() as stack:
        os.chmod(d.home, 0o755)
        with slow_clients(d, PER_USER - 1, "idle"):
            check_eq(ask_as(d, NOBODY)[0], 200, "a user's 8th")
        with slow_clients(d, PER_USER, "idle"):
            wait_peers(d, PER_USER, "all of one user")
            status, body = ask_as(d, NOBODY)
            check_eq(status, 503, "a user's 9th")
            check_in("too many connections", body, "what is said")
            check_eq(ask_as(d, users[0])[0], 200, "another user's first")
        for uid in users[1:]:
            stack.enter_context(slow_clients(d, PER_USER, "idle", uid))
        with slow_clients(d, PER_USER - 1, "idle", users[0]):
            wait_peers(d, OF_OTHERS - 1, "all but one")
            check_eq(ask_as(d, NOBODY)[0], 200, "the 56th")
        stack.enter_context(slow_clients(d, PER_USER, "idle", users[0]))
        wait_peers(d, OF_OTHERS, "all that others may have")
        check_eq(ask_as(d, NOBODY)[0], 503, "the 57th")
        for _ in range(8):  # places that are kept for root
            s = stack.enter_context(harness.connection(d))
            s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            check_in(b" 200 ", s.recv(4096), "answer to root")


@suite.test
def so_many_connections_wait_to_be_accepted():
    """The queue has 1,024 places, and the kernel takes one more than it is told."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    with Daemon() as d, contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        check(int(harness.read_file("/proc/sys/net/core/somaxconn")) >= 1024, "somaxconn")
        d.signal(signal.SIGSTOP)
        n = 0
        while n < 2000:
            s = stack.enter_context(contextlib.closing(socket.socket(socket.AF_UNIX)))
            s.setblocking(False)
            try:
                s.connect(d.socket_path)
            except BlockingIOError:
                break
            n += 1
        d.signal(signal.SIGCONT)
        check_eq(n, 1025, "connections that fit into the queue")
        d.wait_alive()


@suite.test
def slow_clients_do_not_keep_others_waiting():
    with Daemon(args=["--socket-group", MEMBERS]) as d:
        os.chmod(d.home, 0o755)
        d.put_objects("p.yaml", secret("s", {"k": "1"}),
                      *[pod("p%d" % n, {"v": "s"}) for n in range(200)])
        d.wait_status(lambda s: s["counts"]["states"]["Published"] == 200, "200 volumes")
        for kind in ("idle", "head", "body", "deaf", "watch"):
            for uid, n, served in ((NOBODY, 1000, PER_USER), (0, 40, 40)):
                with slow_clients(d, n, kind, uid):
                    beside = "%d clients of user %d: %s" % (n, uid, kind)
                    wait_peers(d, served, beside)
                    check_quick(d, beside)
                    d.put_objects("q.yaml", pod("q", {"v": "s"}))  # and volumes are published
                    d.wait_published("default", "q", "v")
                    d.delete("q.yaml")
                    d.wait_gone("default", "q", "v")


@suite.test
def a_thousand_connections_are_refused_or_served():
    """Root's own: one that finds no place is told so, and the next one has it."""
    ask = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

    def measure():
        with contextlib.ExitStack() as stack:
            for _ in range(1000):
                stack.enter_context(harness.connection(d))
            start = time.monotonic()
            poll_until(lambda: status_of(d, ask) == 200, "an answer beside 1,000 connections", 15)
            yield time.monotonic() - start
            check_quick(d, "1,000 connections")
            check(len(os.listdir("/proc/%d/fd" % d.process.pid)) < 150, "too many descriptors")

    with Daemon() as d:
        d.put_objects("p.yaml", secret("s", {"k": "1"}), pod("p", {"v": "s"}))
        d.wait_published("default", "p", "v")
        best_round(measure, "the first answer beside 1,000 connections")


DIRECTORY = "/".join(["d" * 250] * 15)


def put_list(d, name, n, length=10, odd=False, one_more=False):
    """A Pod with a volume of n files whose paths are long; the size of its list.

    By the length of one path, and by the decimal digits of values' sizes, it has any size.
    """
    paths = ["%s/%05d" % (DIRECTORY, i) for i in range(n)]
    paths.append("/".join(["x" * 250] * (length // 251) + ["y" * (length % 251 or 1)]))
    sizes = {"k": 1, "odd": 10 if odd else 9, "one-more": 10 if one_more else 9}
    items = [{"key": "k", "path": path} for path in paths] + [
        {"key": key, "path": key} for key in ("odd", "one-more")]
    d.put_objects(name + ".yaml", secret(name, {k: "x" * size for k, size in sizes.items()}),
                  pod(name, {"v": {"secretName": name, "items": items}}))
    want = sorted((item["path"], sizes[item["key"]]) for item in items)

    def is_there():
        v = d.volume("default", name, "v")
        return v and v["state"] == "Published" and [(f["path"], f["size"])
                                                    for f in v["files"]] == want
    poll_until(is_there, "the volume of " + name)
    return len(d.client.get("/v1/volumes?pod=" + name)[1])


@suite.test
def unread_answers_of_a_user_have_a_size():
    """Two lists that together are as large as they may be, and then larger by one byte.

    The limit for all users together, 256 MiB, is too large to be reached here: it would take 26
    users. It is compared in the same place as this one.
    """
    with Daemon(args=["--socket-group", MEMBERS, "--manifest-size-limit=32Mi"]) as d:
        os.chmod(d.home, 0o755)
        own, less = put_list(d, "a", 1200), put_list(d, "b", 900)
        each = (own - less) // 300
        missing = (16 << 20) - own - less
        n = 900 + missing // each
        length, odd = 10 + missing % each // 2, missing % each % 2  # a path is in the list twice
        with slow_clients(d, 1, "deaf", query="pod=a"):
            check_eq(put_list(d, "b", n, length, odd) + own, 16 << 20, "size of both lists")
            check_eq(ask_as(d, NOBODY, "/v1/volumes?pod=b")[0], 200, "what fits just so")
        with slow_clients(d, 1, "deaf", query="pod=a"):
            check_eq(put_list(d, "b", n, length, odd, True) + own, (16 << 20) + 1, "size of both")
            status, body = ask_as(d, NOBODY, "/v1/volumes?pod=b")
            check_eq(status, 503, "status for what is over by a byte")
            check_in("too many answers have not been read", body, "what is said")
            check_eq(ask_as(d, NOBODY - 1, "/v1/volumes?pod=b")[0], 200, "another user's")


@suite.test
def long_answers_that_nobody_reads_have_a_limit():
    """A list of 10 MB, asked for by those who do not read it: others get theirs."""
    with Daemon(args=["--socket-group", MEMBERS]) as d:
        os.chmod(d.home, 0o755)
        d.put_objects("s.yaml", secret("s", {"k" * 240 + "%05d" % i: "" for i in range(9000)}))
        d.put_objects("p.yaml", pod("p", {"v%d" % n: "s" for n in range(2)}))
        d.wait_status(lambda s: s["counts"]["states"]["Published"] == 2, "volumes", 60)
        size = len(d.client.get("/v1/volumes")[1])
        check(8 << 20 < size < 16 << 20, "the list has %d bytes" % size)

        def others(uid):
            return ask_as(d, uid, "/v1/volumes")[1] + "\n"

        with slow_clients(d, 1, "watch"):
            check_in("too many answers have not been read", others(NOBODY)[:200],
                     "what a user gets who does not read")
            check_eq(len(others(NOBODY - 2)), size, "what another user gets")
            check_eq(d.client.get("/v1/volumes")[0], 200, "what root gets")
            # who does not read is ended, and then there is room again
            poll_until(lambda: len(others(NOBODY)) == size, "a list after a while", 60, 0.5)
        with slow_clients(d, 8, "watch"), slow_clients(d, 8, "deaf", NOBODY - 1):
            check_eq(d.client.get("/v1/volumes")[0], 200, "what root gets")
            check_eq(len(others(NOBODY - 2)), size, "what another user gets")
            with open("/proc/%d/status" % d.process.pid, encoding="ascii") as f:
                peak = next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))
            check(peak < 300 << 10, "the daemon had %d KiB" % peak)


# ---- threads that do not come back -------------------------------------------------------------


class Frozen:
    """Some threads of a daemon stay in a system call until the end of the block."""

    def __init__(self, d, call, threads=1):
        self.child = subprocess.Popen(
            [sys.executable, FREEZER, "--pid", str(d.process.pid), "--call", call, "--threads",
             str(threads)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines = harness.Lines(self.child.stdout)
        if self.lines.next("the tracer") != "attached":
            said = self.child.communicate()[1].strip()
            raise harness.Skip("no tracing here: %s" % said)

    def __enter__(self):
        return self

    def wait_held(self, n=1):
        for _ in range(n):
            line = self.lines.next("a thread that is held")
            check(line and line.startswith("held "), "the tracer said %s" % line)

    def release(self):
        self.child.terminate()
        self.child.communicate()

    def __exit__(self, *_):
        if self.child.returncode is None:
            self.release()


def metric(d, name):
    for line in d.client.get("/metrics")[1].splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    raise AssertionError("no metric " + name)


def node_problems(d):
    return [p for p in d.problems() if p["source"] == "node"]


def stuck(d, name, state):
    v = d.wait_volume("default", name, "v", lambda x: x and x["reason"] == "Busy")
    check_eq(v["state"], state, "state of a volume whose work does not end")
    check(v["busySince"], "no time since when")
    return v


STUCK = (  # what is done to volume p, the call that does not return, the state meanwhile
    ("publish", "fsopen", "Failed"),
    ("update", "symlinkat", "Stale"),
    ("remove", "umount2", "Removing"),
)


def check_stuck(action, call, state):
    with Daemon() as d:
        d.put_objects("s.yaml", secret("s", {"k": "1"}), secret("t", {"k": "1"}),
                      pod("good", {"v": "t"}))
        d.wait_published("default", "good", "v")
        if action != "publish":
            d.put_objects("p.yaml", pod("p", {"v": "s"}))
            d.wait_published("default", "p", "v")
        with Frozen(d, call) as frozen:
            if action == "publish":
                d.put_objects("p.yaml", pod("p", {"v": "s"}))
            elif action == "update":
                d.put_objects("s.yaml", secret("s", {"k": "2"}), secret("t", {"k": "1"}),
                              pod("good", {"v": "t"}))
            else:
                d.delete("p.yaml")
            frozen.wait_held()
            v = stuck(d, "p", state)
            check_in("work on it has not come to an end, for ", v["message"], "message")
            check_in(" is at work that does not come to an end, for ",
                     "".join(p["message"] for p in node_problems(d)), "problems")
            check_eq(metric(d, "secretvold_stuck_workers"), 1, "stuck workers")
            check_in("work on it has not come to an end", d.log(), "log")
            check_in("Busy", d.ctl("status").stdout, "status")
            check_in("has not come to an end", d.ctl("describe", "volume", "p/v").stdout,
                     "description")
            check_eq(d.client.get("/healthz")[0], 200, "health")
            check_eq(d.client.get("/readyz")[0], 200, "readiness")
            # others are published, updated and removed meanwhile, many at a time
            d.put_objects("q.yaml", *[pod("q%d" % n, {"v": "t"}) for n in range(100)])
            d.wait_status(lambda s: s["counts"]["states"]["Published"] >= 101, "100 others")
            d.delete("q.yaml")
            d.wait_status(lambda s: s["counts"]["volumes"] == 2, "they are gone")
        if action == "remove":
            d.wait_gone("default", "p", "v")
        else:
            v = d.wait_published("default", "p", "v")
            check_eq((v["reason"], v["message"], v["busySince"]), ("", "", None), "afterwards")
            check_eq(harness.read_file(v["path"] + "/k"), b"2" if action == "update" else b"1",
                     "content afterwards")
        poll_until(lambda: metric(d, "secretvold_stuck_workers") == 0, "no stuck workers")
        check_eq(node_problems(d), [], "problems afterwards")
        check_in("has come to an end after", d.log(), "log")


@suite.test
def a_thread_that_does_not_come_back_is_told_and_stops_nobody():
    with concurrent.futures.ThreadPoolExecutor(len(STUCK)) as pool:  # each waits for seconds
        list(pool.map(lambda case: check_stuck(*case), STUCK))


MIB = 1 << 20
UNDER_WAY = (  # bytes of each volume, and how many of them are under way at a time
    (1, 32),  # 32 operations
    (MIB, 4),  # 4 MiB: with these the limit is reached
    (MIB - 1, 5),  # and with these it is not yet
)


@suite.test
def work_under_way_has_limits():
    for size, n in UNDER_WAY:
        with Daemon(args=["--manifest-size-limit=16Mi"]) as d, Frozen(d, "fsopen", 4) as frozen:
            d.put_objects("p.yaml", *[secret("s%d" % i, {"k": "x" * size}) for i in range(n + 2)],
                          *[pod("p%d" % i, {"v": "s%d" % i}) for i in range(n + 2)])
            frozen.wait_held(4)
            poll_until(lambda: (metric(d, "secretvold_worker_actions"),
                                metric(d, "secretvold_queue_length")) == (n, 2),
                       "%d volumes of %d bytes under way, two that wait" % (n, size), 4)
            check_eq(metric(d, "secretvold_stuck_workers"), 0, "and nothing is stuck so far")
            frozen.release()
            d.wait_status(lambda s: s["counts"]["states"]["Published"] == n + 2, "all of them")


@suite.test
def the_size_of_what_is_stuck_is_not_held_against_others():
    large = {"k%d" % n: b"x" * 1000000 for n in range(5)}  # more than is written at a time
    with Daemon() as d:
        for k, v in large.items():
            d.put_objects(k + ".yaml", secret(k, {"k": v}))
        d.put_objects("t.yaml", secret("t", {"k": "1"}))
        d.marker()
        with Frozen(d, "fsopen") as frozen:
            d.put_objects("p.yaml", pod("p", {"v": {"projected": {"sources": [
                {"secret": {"name": k, "items": [{"key": "k", "path": k}]}} for k in large]}}}))
            frozen.wait_held()
            d.put_objects("q.yaml", pod("q", {"v": "t"}))
            stuck(d, "p", "Failed")
            d.wait_published("default", "q", "v")
        d.wait_published("default", "p", "v")


@suite.test
def readiness_does_not_wait_for_a_thread_that_does_not_come_back():
    with Daemon(start=False) as d:
        os.rmdir(d.manifest_dir)
        d.start(wait_ready=False)
        d.wait_alive()
        with Frozen(d, "fsopen") as frozen:
            os.mkdir(d.manifest_dir + ".new", 0o700)
            d.put_objects("p.yaml", secret("s", {"k": "1"}), pod("p", {"v": "s"}),
                          manifest_dir=d.manifest_dir + ".new")
            os.rename(d.manifest_dir + ".new", d.manifest_dir)
            frozen.wait_held()
            d.wait_ready()
            stuck(d, "p", "Failed")


@suite.test
def with_all_threads_stuck_health_fails_and_the_watchdog_is_not_fed():
    with tempfile.TemporaryDirectory(prefix="secretvold-test.") as directory:
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(directory + "/notify")
        notify.settimeout(harness.DEADLINE_S)
        env = {"NOTIFY_SOCKET": directory + "/notify", "WATCHDOG_USEC": "1000000"}
        with Daemon(env=env) as d:

            def fed(within_s):
                """Is a sign of life given within this time?"""
                end = time.monotonic() + within_s
                while time.monotonic() < end:
                    notify.settimeout(max(end - time.monotonic(), 0.01))
                    try:
                        if b"WATCHDOG=1" in notify.recv(4096):
                            return True
                    except socket.timeout:
                        break
                return False

            def forget_signs():
                notify.settimeout(0.01)
                with contextlib.suppress(socket.timeout):
                    while True:
                        notify.recv(4096)

            check(fed(harness.DEADLINE_S), "no sign of life at all")
            with Frozen(d, "fsopen", 4) as frozen:
                d.put_objects("p.yaml", secret("s", {"k": "1"}),
                              *[pod("p%d" % n, {"v": "s"}) for n in range(6)])
                frozen.wait_held(4)
                poll_until(lambda: metric(d, "secretvold_stuck_workers") == 4, "four of them")
                for path in ("/healthz", "/livez", "/readyz"):
                    status, _, body = d.client.request("GET", path)
                    check_eq(status, 503, path)
                    check_in(b"[-]workers all are at work that does not come to an end", body, path)
                check_in("4 of 4 workers are at work that does not come to an end",
                         node_problems(d)[0]["message"], "problem")
                check_in("nothing is published or removed", node_problems(d)[0]["message"],
                         "problem")
                waits = d.wait_status(
                    lambda s: s["counts"]["states"]["Failed"] == 6 and s, "all six are Busy")
                check(waits, "the state of those that wait")
                check_eq(sorted({v["message"].split(",")[0] for v in d.volumes()}),
                         ["it waits for a worker", "work on it has not come to an end"],
                         "messages")
                check_eq(d.ctl("status").returncode, 5, "exit status of secretvolctl status")
                forget_signs()
                check(not fed(3), "a sign of life with no thread left")
            for n in range(6):
                d.wait_published("default", "p%d" % n, "v")
            check_eq(d.client.get("/healthz")[0], 200, "health afterwards")
            check(fed(harness.DEADLINE_S), "no sign of life afterwards")
        notify.close()


@suite.test
def a_daemon_stops_without_a_thread_that_does_not_come_back():
    with Daemon() as d:
        d.put_objects("p.yaml", secret("s", {"k": "1"}), pod("p", {"v": "s"}))
        v = d.wait_published("default", "p", "v")
        with Frozen(d, "fsopen") as frozen:
            d.put_objects("q.yaml", pod("q", {"v": "s"}))
            frozen.wait_held()
            d.process.terminate()
            # the tracer lets go only when it ends, and the kernel ends a process with its threads
            poll_until(lambda: "stopping without waiting for 1 operations" in d.log(),
                       "it gives up waiting", 15)
            check(not os.path.exists(d.socket_path), "the socket is still there")
        check_eq(d.wait_exit(), 0, "exit status")
        check_eq(harness.read_file(v["path"] + "/k"), b"1", "a volume afterwards")
        d.start()
        d.wait_published("default", "q", "v")
        check_eq(d.volume("default", "p", "v")["generation"], 1, "what was there is as it was")


if __name__ == "__main__":
    sys.exit(suite.main())
