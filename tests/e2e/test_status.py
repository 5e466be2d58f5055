#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Who may ask what, what is answered, and what secretvolctl makes of it."""

import base64
import contextlib
import grp
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import fake_api  # noqa: E402
import harness  # noqa: E402
from harness import (Daemon, check, check_eq, check_in, in_state, manifest,  # noqa: E402
                     newer_than, pod, poll_until, secret)

suite = harness.Suite("status", jobs=2)  # three tests wait for time-outs

RFC3339 = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
NOBODY, MEMBERS = 65534, "games"  # a user who is nobody, and a group that every Debian has

# A client that another user runs: N connections, each asked once and kept. One line: the statuses.
CLIENT = r"""
import socket, sys
statuses, kept = [], []
for _ in range(int(sys.argv[2])):
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect(sys.argv[1])  # blocks while the queue is full
        s.settimeout(20)
        s.sendall(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = s.recv(65536)
        statuses.append(int(answer.split()[1]) if answer else 0)
        kept.append(s)
    except PermissionError:
        statuses.append(-1)
    except OSError:
        statuses.append(0)
print(statuses, flush=True)
sys.stdin.read()
"""


def sample():
    """Pods p (volumes v, and w that no container mounts) and q (Secret missing)."""
    p = pod("p", {"v": "s", "w": "s"})
    p["spec"]["containers"][0]["volumeMounts"].pop()
    return manifest(secret("s", {"a": "1", "bb": "22"}), p, pod("q", {"v": "nope"}),
                    pod("p", {"v": "s"}, namespace="other"),
                    secret("s", {"k": "x"}, namespace="other"))


@contextlib.contextmanager
def sample_daemon(**options):
    with Daemon(start=False, **options) as d:
        d.put("sample.yaml", sample())
        d.start()
        yield d


def answer_to(d, data):
    """Status code and all of what comes for raw bytes; 0 if the connection is just closed."""
    with harness.connection(d) as s:
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
        except OSError:  # it has heard enough
            pass
        got = b""
        try:
            while True:
                more = s.recv(65536)
                if not more:
                    break
                got += more
        except ConnectionError:
            pass
    return (int(got.split()[1]) if got else 0), got


@contextlib.contextmanager
def other_user(d, n, groups=(), uid=NOBODY):
    """The statuses that another user gets on N connections, which are kept meanwhile."""
    command = ["setpriv", "--reuid", str(uid), "--regid", str(NOBODY)]
    command += ["--groups", ",".join(map(str, groups))] if groups else ["--clear-groups"]
    child = subprocess.Popen(command + ["/usr/bin/python3", "-c", CLIENT, d.socket_path, str(n)],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")
    try:
        yield json.loads(child.stdout.readline())
    finally:
        child.stdin.close()
        child.wait(harness.DEADLINE_S)
        child.stdout.close()


# ---- rights ----------------------------------------------------------------------------------


@suite.test
def the_socket_is_roots_alone():
    with sample_daemon() as d:
        check_eq(harness.describe(d.socket_path), {"mode": "0600", "uid": 0, "gid": 0}, "socket")
        for base, dirs, _ in os.walk(os.path.join(d.root, "by-name")):
            for name in dirs:
                path = os.path.join(base, name)
                check(os.path.islink(path) or harness.describe(path)["mode"] == "0750",
                      path + " is open to others")
        os.chmod(d.home, 0o755)
        with other_user(d, 1) as statuses:
            check_eq(statuses, [-1], "what a stranger gets")
        os.chmod(d.socket_path, 0o666)  # and if the rights were wrong
        with other_user(d, 2) as statuses:
            check_eq(statuses, [403, 403], "what a stranger gets who can connect")


@suite.test
def the_groups_members_may_read():
    gid = grp.getgrnam(MEMBERS).gr_gid
    with sample_daemon(args=["--socket-group", MEMBERS]) as d:
        os.chmod(d.home, 0o755)
        check_eq(harness.describe(d.socket_path), {"mode": "0660", "uid": 0, "gid": gid}, "socket")
        check_eq(harness.describe(d.root), {"mode": "0710", "uid": 0, "gid": gid}, "root directory")
        check_eq(harness.describe(os.path.join(d.root, "pods"))["mode"], "0750", "pods")
        with other_user(d, 1, groups=[gid]) as statuses:
            check_eq(statuses, [200], "what a member gets")
        with other_user(d, 1) as statuses:
            check_eq(statuses, [-1], "what a stranger gets")
        r = subprocess.run(["setpriv", "--reuid", str(NOBODY), "--regid", str(gid),
                            "--clear-groups", "ls", os.path.join(d.root, "pods")],
                           capture_output=True, check=False)
        check(r.returncode != 0, "a member may list pods/")


@suite.test
def an_unknown_group_is_refused():
    with Daemon(start=False, args=["--socket-group", "no-such-group"]) as d:
        d.start(wait_ready=False)
        check_eq(d.wait_exit(), 1, "exit status")
        check_in("no-such-group", d.log(), "message")


# ---- limits ----------------------------------------------------------------------------------


# Root waits for nobody, on however busy a machine: who is slow is ended after 10 s, not earlier.
SERVED_S = 5


def check_root_is_served(d):
    start = time.monotonic()
    check_eq(d.client.get("/healthz")[0], 200, "what root gets")
    took = time.monotonic() - start
    check(took < SERVED_S, "root had to wait %.2f s" % took)


@suite.test
def a_user_has_eight_connections_and_root_is_served():
    gid = grp.getgrnam(MEMBERS).gr_gid
    with sample_daemon(args=["--socket-group", MEMBERS]) as d:
        os.chmod(d.home, 0o755)
        with contextlib.ExitStack() as stack:
            for uid in range(NOBODY - 9, NOBODY + 1):
                statuses = stack.enter_context(other_user(d, 10, [gid], uid))
                check(statuses.count(200) <= 8, "a user got %d connections" % statuses.count(200))
                if uid == NOBODY - 9:
                    # The refusal may be lost where the request was still under way.
                    check_eq([x or 503 for x in statuses], [200] * 8 + [503] * 2,
                             "what the first user gets")
            check_root_is_served(d)
            watches = [d.watch("/v1/volumes") for _ in range(4)]
            for w in watches:
                next(w)
            check_root_is_served(d)
            for w in watches:
                w.close()
        with other_user(d, 8, [gid]) as statuses:
            check_eq(statuses, [200] * 8, "what a user gets when the others have gone")


@suite.test
def root_makes_room_for_root():
    with sample_daemon() as d, contextlib.ExitStack() as stack:
        idle = [stack.enter_context(harness.connection(d)) for _ in range(70)]
        check(idle, "no connections")

        def served():
            try:
                return d.client.get("/healthz")[0] == 200
            except OSError:
                return False
        poll_until(served, "an answer to root beside 70 idle connections", SERVED_S)


@suite.test
def abandoned_watches_are_closed():
    with sample_daemon() as d:
        for _ in range(100):
            w = d.watch("/v1/volumes")
            next(w)
            w.close()
        check_eq(d.client.get("/healthz")[0], 200, "what root gets after 100 watches")


@suite.test
def slow_requests_are_ended():
    with sample_daemon() as d, contextlib.ExitStack() as stack:
        start = time.monotonic()
        idle, dripping, body = [stack.enter_context(harness.connection(d)) for _ in range(3)]
        body.sendall(b"GET /v1/status HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx")
        ended = {}

        def wait(name, s):
            with contextlib.suppress(ConnectionError):
                while s.recv(4096):
                    pass
            ended[name] = time.monotonic() - start
        threads = [threading.Thread(target=wait, args=a)
                   for a in (("idle", idle), ("dripping", dripping), ("body", body))]
        for t in threads:
            t.start()
        head = b"GET /v1/status HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 1000
        for n in range(len(head)):
            if "dripping" in ended or time.monotonic() - start > 20:
                break
            with contextlib.suppress(OSError):
                dripping.sendall(head[n:n + 1])
            time.sleep(0.1)  # a byte now and then is the point
        for t in threads:
            t.join(10)
        check_eq(sorted(ended), ["body", "dripping", "idle"], "connections that were ended")
        for name, seconds in ended.items():
            check(seconds > 8, "the %s connection was ended after %.1f s" % (name, seconds))
        check_eq(d.client.get("/healthz")[0], 200, "health")


@suite.test
def watches_may_last():
    with sample_daemon() as d:
        w = d.watch("/v1/volumes", 60)
        while next(w)["type"] != "SYNCED":
            pass
        time.sleep(12)  # longer than a request may take
        d.put_objects("late.yaml", pod("late", {"v": "s"}))
        check_eq(next(w)["object"]["pod"], "late", "what is watched")
        w.close()


@suite.test
def large_and_wrong_requests():
    with sample_daemon() as d:
        small = b"X-Small: " + b"y" * 8000 + b"\r\n"
        check_eq(answer_to(d, b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + small + b"\r\n")[0], 200,
                 "status for a head of 8 KiB")
        for name, head in (("one line", b"X-Large: " + b"y" * 40000 + b"\r\n"),
                           ("many lines", b"X: y\r\n" * 20000)):
            status, _ = answer_to(d, b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n")
            check_in(status, (0, 400, 413, 431), "status for a large head of " + name)
        status, _ = answer_to(d, b"GET /" + b"z" * 40000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        check_in(status, (0, 400, 404, 414, 431), "status for a long path")
        status, _ = answer_to(d, b"GET /v1/status HTTP/1.1\r\nHost: x\r\nContent-Length: 70000"
                                 b"\r\n\r\n" + b"x" * 70000)
        check_eq(status, 413, "status for a large body")
        status, _ = answer_to(d, b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
                                 b"xyz")
        check_eq(status, 200, "status for a small body")
        for junk in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"HELLO\r\n\r\n",
                     b"GET\r\n\r\n", bytes(range(256)) * 10,
                     b"GET / HTTP/9.9\r\n\r\n", b"GET /%00%ff HTTP/1.1\r\nHost: x\r\n\r\n"):
            status, _ = answer_to(d, junk)
            check(status != 200, "junk %r is answered" % junk[:20])
        whole = b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"
        for part in [whole[:n] for n in range(1, len(whole))] + [b"\0" * 100]:
            with harness.connection(d) as s:  # and closed at once
                s.sendall(part)
        check_eq(d.client.get("/healthz")[0], 200, "health")
        check_eq(d.process.poll(), None, "exit status")


@suite.test
def methods_and_paths():
    with sample_daemon() as d:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            status, headers, body = d.client.request(method, "/v1/status", body=b"x")
            check_eq(status, 405, "status of " + method)
            check_in("error", json.loads(body), "body of " + method)
        check_in(d.client.request("HEAD", "/v1/status")[0], (200, 405), "status of HEAD")
        for path in ("/", "/v1", "/v1/", "/v1/statusx", "/v1/status/", "/v2/status", "/v1/nothing",
                     "//v1/status", "/../etc/passwd"):
            status, headers, body = d.client.request("GET", path)
            check_eq(status, 404, "status of " + path)
            check_in("error", json.loads(body), "body of " + path)
        for path, kind in (("/healthz", "text/plain"), ("/v1/status", "application/json")):
            _, headers, _ = d.client.request("GET", path)
            check_eq(headers["Content-Type"], kind, "type of " + path)
            check_eq(headers["Cache-Control"], "no-store", "caching of " + path)
        # two requests on one connection, as curl and Prometheus do it
        with harness.connection(d) as s:
            for _ in range(2):
                s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                check(s.recv(65536).startswith(b"HTTP/1.1 200"), "an answer on a kept connection")


@suite.test
def curl_can_ask():
    with sample_daemon() as d:
        r = subprocess.run(["curl", "-sS", "--unix-socket", d.socket_path,
                            "http://localhost/v1/status"], capture_output=True, text=True,
                           check=False)
        check_eq((r.returncode, r.stderr), (0, ""), "curl")
        check_eq(json.loads(r.stdout)["kind"], "Status", "kind")


# ---- answers ---------------------------------------------------------------------------------


@suite.test
def health_and_readiness():
    with Daemon(start=False) as d:
        away = d.manifest_dir + ".away"
        os.rename(d.manifest_dir, away)
        d.start(wait_ready=False)
        d.wait_alive()
        check_eq(d.client.get("/livez"), (200, "ok\n"), "/livez")
        status, body = d.client.get("/readyz")
        check_eq(status, 503, "/readyz without a source")
        check_in("[-]sources", body, "reasons")
        check_eq(d.status()["ready"], False, "ready")
        os.rename(away, d.manifest_dir)
        d.wait_ready()
        check_eq(d.client.get("/readyz"), (200, "ok\n"), "/readyz")
        for suffix in ("?verbose", "?verbose=1"):
            check_in("[+]sources ok", d.client.get("/readyz" + suffix)[1], "/readyz" + suffix)


@suite.test
def the_probes_of_the_daemonset_see_health_and_readiness():
    path = os.path.join(harness.REPO, "manifests", "kubernetes", "base", "daemonset.yaml")
    with open(path, encoding="utf-8") as f:
        (container,) = yaml.safe_load(f)["spec"]["template"]["spec"]["containers"]

    def probe(d, kind):
        environment = dict(d.environment(), SECRETVOLD_SOCKET=d.socket_path,
                           PATH="%s:%s" % (harness.options.build, os.environ["PATH"]))
        return subprocess.run(container[kind]["exec"]["command"], env=environment, check=False,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=harness.DEADLINE_S).returncode

    def both(d):
        return {kind: probe(d, kind) == 0 for kind in ("livenessProbe", "readinessProbe")}

    with Daemon(start=False) as d:
        os.rename(d.manifest_dir, d.manifest_dir + ".away")
        d.start(wait_ready=False).wait_alive()
        check_eq(both(d), {"livenessProbe": True, "readinessProbe": False}, "without a source")
        os.rename(d.manifest_dir + ".away", d.manifest_dir)
        d.wait_ready()
        check_eq(both(d), {"livenessProbe": True, "readinessProbe": True}, "with a source")
        d.put_objects("o.yaml", pod("p", {"v": "missing"}))
        d.wait_volume("default", "p", "v", in_state("Refused"))
        check_eq(both(d), {"livenessProbe": True, "readinessProbe": True}, "with a refusal")
        d.stop()
        check_eq(both(d), {"livenessProbe": False, "readinessProbe": False}, "without a daemon")


@suite.test
def the_status_document():
    with sample_daemon(args=["--node-name", "the-node"]) as d:
        s = d.status()
        check_eq((s["apiVersion"], s["kind"], s["pid"], s["rootDir"], s["nodeName"], s["ready"]),
                 ("secretvold/v1", "Status", d.process.pid, d.root, "the-node", True), "status")
        check(RFC3339.match(s["startedAt"]), "startedAt is " + s["startedAt"])
        check_eq(sorted(s["swap"]), ["how", "medium", "policy", "safe"], "fields of swap")
        source = s["sources"][0]
        check(RFC3339.match(source.pop("lastSync")), "lastSync")
        check_eq(source, {"type": "manifest", "name": d.manifest_dir, "synced": True, "files": 1,
                          "pods": 3, "secrets": 2, "ignored": 0, "error": ""}, "source")
        check_eq({k: s["counts"][k] for k in ("pods", "secrets", "volumes")},
                 {"pods": 3, "secrets": 2, "volumes": 4}, "counts")
        check_eq(s["counts"]["states"],
                 {"Pending": 0, "Published": 2, "Stale": 0, "Refused": 1, "Failed": 0,
                  "Removing": 0, "Unused": 1}, "states")
        check_eq(s["problems"], [], "problems: volumes are not among them")
        d.put_objects("bad.yaml", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}},
                      pod("y", {"v": {"secretName": ""}}))
        p = d.wait_problem("InvalidPod", field="secretName")
        check(RFC3339.match(p["since"]), "since is " + p["since"])
        check_eq({k: p[k] for k in ("source", "file", "document", "kind", "namespace", "name",
                                    "field", "category", "severity")},
                 {"source": "manifest", "file": os.path.join(d.manifest_dir, "bad.yaml"),
                  "document": 1, "kind": "Pod", "namespace": "default", "name": "y",
                  "field": "spec.volumes[0].secret.secretName", "category": "Required",
                  "severity": "error"}, "problem")


@suite.test
def lists_of_volumes_pods_and_secrets():
    with sample_daemon() as d:
        check_eq([(v["namespace"], v["pod"], v["volume"]) for v in d.volumes()],
                 [("default", "p", "v"), ("default", "p", "w"), ("default", "q", "v"),
                  ("other", "p", "v")], "volumes in order")
        check_eq([v["volume"] for v in d.volumes(namespace="default", pod="p")], ["v", "w"],
                 "volumes of a pod")
        check_eq(len(d.volumes(namespace="nowhere")), 0, "volumes of no namespace")
        v = d.volume("default", "p", "v")
        for k in ("publishedAt", "updatedAt"):
            check(RFC3339.match(v[k]), "%s is %s" % (k, v[k]))
        want = {"type": "secret", "source": "manifest", "state": "Published", "reason": "",
                "message": "", "generation": 1, "lastError": "", "nextRetryAt": None,
                "secrets": [{"name": "s", "resourceVersion": "", "optional": False,
                             "found": True}],
                "files": [{"path": n, "secret": "s", "key": n, "mode": "0644", "uid": 0, "gid": 0,
                           "size": len(n)} for n in ("a", "bb")]}
        check_eq({k: v[k] for k in want}, want, "volume")
        check_in(v["swapSafe"], ("noswap", "ramfs", "none"), "swapSafe")
        check_eq({k: v["mounts"][0][k] for k in ("container", "mountPath", "readOnly", "subPath")},
                 {"container": "c", "mountPath": "/v", "readOnly": True, "subPath": ""}, "mount")
        pods = {(p["namespace"], p["name"]): p for p in d.pods()}
        check_eq((pods["default", "p"]["state"], pods["default", "p"]["ready"],
                  pods["default", "p"]["wanted"]), ("Ready", 1, 1), "pod p")
        check_eq((pods["default", "q"]["state"], pods["default", "q"]["ready"],
                  pods["default", "q"]["wanted"]), ("NotReady", 0, 1), "pod q")
        check_eq([x["state"] for x in pods["default", "p"]["volumes"]], ["Published", "Unused"],
                 "volumes of pod p")
        s = [x for x in d.secrets() if x["namespace"] == "default"][0]
        check_eq((s["name"], s["type"], s["immutable"], s["keys"]),
                 ("s", "Opaque", False, [{"name": "a", "size": 1}, {"name": "bb", "size": 2}]),
                 "Secret")
        check_eq(sorted((u["pod"], u["volume"]) for u in s["usedBy"]), [("p", "v"), ("p", "w")],
                 "users of the Secret")


@suite.test
def events_are_counted():
    with Daemon() as d:
        d.put_objects("q.yaml", pod("q", {"v": "nope"}))
        d.put_objects("s.yaml", secret("s", {"k": "1"}))
        d.put_objects("p.yaml", pod("p", {"v": "s"}))
        v = d.wait_published("default", "p", "v")
        d.put_objects("s.yaml", secret("s", {"k": "2"}))
        d.wait_volume("default", "p", "v", newer_than(v["generation"]))
        d.delete("p.yaml")
        d.wait_gone("default", "p", "v")
        events = {e["reason"]: e for e in d.events()}
        check_eq(sorted(events), ["FailedMount", "SecretUpdated", "SuccessfulMountVolume",
                                  "VolumeRemoved"], "reasons")
        e = events["FailedMount"]
        check(RFC3339.match(e.pop("time")), "time")
        check_eq(e, {"type": "Warning", "reason": "FailedMount", "namespace": "default",
                     "pod": "q", "volume": "v", "count": 1, "message":
                     'MountVolume.SetUp failed for volume "v" : secret "nope" not found'}, "event")
        check_eq(events["SuccessfulMountVolume"]["type"], "Normal", "type")
        for n in range(2, 4):
            d.delete("q.yaml")
            d.wait_gone("default", "q", "v")
            d.put_objects("q.yaml", pod("q", {"v": "nope"}))
            d.wait_event(lambda e, n=n: e["reason"] == "FailedMount" and e["count"] == n,
                         "the repetition")


# ---- watches ---------------------------------------------------------------------------------


def until_synced(watch):
    events = []
    for event in watch:
        if event["type"] == "SYNCED":
            return events
        events.append(event)
    return events


@suite.test
def a_watch_tells_what_is_and_what_changes():
    with sample_daemon() as d:
        d.put_objects("a.yaml", pod("a", {"v": "s"}, uid="z"), pod("z", {"v": "s"}, uid="a"))
        for name in ("a", "z"):
            d.wait_published("default", name, "v")
        w = d.watch("/v1/volumes")
        first = until_synced(w)
        check_eq({e["type"] for e in first}, {"ADDED"}, "types before SYNCED")
        check_eq([(e["object"]["namespace"], e["object"]["pod"], e["object"]["volume"])
                  for e in first],
                 [("default", "a", "v"), ("default", "p", "v"), ("default", "p", "w"),
                  ("default", "q", "v"), ("default", "z", "v"), ("other", "p", "v")],
                 "objects before SYNCED")
        check_eq([e["object"] for e in first], d.volumes(), "objects of a list")
        d.put_objects("new.yaml", pod("new", {"v": "s"}))
        types = []
        for event in w:
            check_eq(event["object"]["pod"], "new", "what has changed")
            types.append(event["type"])
            if event["object"]["state"] == "Published":
                break
        check_eq(types[0], "ADDED", "the first event of a new volume")
        d.delete("new.yaml")
        for event in w:
            types.append(event["type"])
            if event["type"] == "DELETED":
                break
        check_eq(event["object"]["volume"], "v", "what was deleted")
        w.close()


@suite.test
def watches_are_filtered():
    with sample_daemon() as d:
        w = d.watch("/v1/volumes?namespace=other")
        check_eq([e["object"]["namespace"] for e in until_synced(w)], ["other"], "namespaces")
        one = d.watch("/v1/volumes?namespace=default&pod=q")
        check_eq([e["object"]["pod"] for e in until_synced(one)], ["q"], "pods")
        d.put_objects("a.yaml", pod("a", {"v": "s"}))
        d.wait_published("default", "a", "v")
        d.put_objects("nope.yaml", secret("nope", {"k": "1"}))
        event = next(one)
        check_eq(event["object"]["pod"], "q", "the next event of the pod")
        d.put_objects("b.yaml", pod("b", {"v": "s"}, namespace="other"))
        check_eq(next(w)["object"]["pod"], "b", "the next event of the namespace")
        for x in (w, one):
            x.close()


@suite.test
def events_of_a_namespace_or_a_pod_are_those_alone():
    def whose(events):
        return sorted({(e["namespace"], e["pod"]) for e in events})

    with sample_daemon() as d:
        listed = d.get_json("/v1/events?namespace=other")["items"]
        check_eq(whose(listed), [("other", "p")], "events of a namespace")
        w = d.watch("/v1/events?namespace=default&pod=q")
        check_eq(whose(e["object"] for e in until_synced(w)), [("default", "q")], "before SYNCED")
        d.put_objects("a.yaml", pod("a", {"v": "s"}))
        d.put_objects("nope.yaml", secret("nope", {"k": "1"}))
        check_eq(next(w)["object"]["pod"], "q", "the next event of the Pod")
        w.close()


@suite.test
def pods_and_events_can_be_watched():
    with sample_daemon() as d:
        pods, events = d.watch("/v1/pods"), d.watch("/v1/events")
        check_eq(len(until_synced(pods)), 3, "pods")
        until_synced(events)
        d.put_objects("new.yaml", pod("new", {"v": "s"}))
        states = []
        for event in pods:
            check_eq(event["object"]["name"], "new", "the pod that has changed")
            states.append((event["type"], event["object"]["state"]))
            if states[-1][1] == "Ready":
                break
        check_eq(states[0][0], "ADDED", "the first event of a pod")
        check_eq(next(events)["object"]["reason"], "SuccessfulMountVolume", "the next event")
        d.delete("new.yaml")
        for event in pods:
            if event["type"] == "DELETED":
                break
        check_eq(event["object"]["name"], "new", "the pod that was deleted")
        pods.close()
        events.close()


@suite.test
def a_watcher_that_never_reads_hurts_nobody():
    with sample_daemon() as d, harness.connection(d) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(b"GET /v1/volumes?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        w = d.watch("/v1/volumes", 60)
        until_synced(w)
        pods = [pod("x%d" % n, {"v": "s"}) for n in range(400)]
        for round_ in range(2):
            d.put_objects("many.yaml", *pods)
            left = {p["metadata"]["name"] for p in pods}
            for event in w:
                if event["object"]["state"] == "Published":
                    left.discard(event["object"]["pod"])
                if not left:
                    break
            check_root_is_served(d)
            d.delete("many.yaml")
            left = {p["metadata"]["name"] for p in pods}
            for event in w:
                if event["type"] == "DELETED":
                    left.discard(event["object"]["pod"])
                if not left:
                    break
        w.close()
        check_eq(d.status()["counts"]["volumes"], 4, "volumes in the end")


@suite.test
def a_stopping_daemon_ends_its_watches():
    with sample_daemon() as d:
        w = d.watch("/v1/volumes")
        until_synced(w)
        check_eq(d.stop(), 0, "exit status")
        try:
            next(w)
            raise AssertionError("the watch goes on")
        except AssertionError as e:
            check(re.search("ended it|connection lost", str(e)), str(e))


# ---- secretvolctl ----------------------------------------------------------------------------


def ctl(d, code, *args):
    """stdout of a command that has to end with this code; errors are one line on stderr."""
    r = d.ctl(*args)
    check_eq(r.returncode, code, "exit code of %s (%s)" % (" ".join(args), r.stderr.strip()))
    check("Traceback" not in r.stderr and r.stderr.count("\n") <= 1,
          "stderr of %s: %s" % (" ".join(args), r.stderr))
    return r.stdout if code == 0 or r.stdout else r.stderr


def cells(table):
    return [re.split(r" {2,}", line.strip()) for line in table.splitlines()]


@suite.test
def ctl_status():
    with sample_daemon() as d:
        text = ctl(d, 5, "status")
        check_in("default/q/v", text, "status")
        check_in('secret "nope" not found', text, "status")
        check_eq(json.loads(ctl(d, 5, "status", "-o", "json"))["kind"], "Status", "kind as JSON")
        check_eq(yaml.safe_load(ctl(d, 5, "status", "-o", "yaml"))["kind"], "Status",
                 "kind as YAML")
        d.put_objects("nope.yaml", secret("nope", {"k": "1"}))
        d.wait_published("default", "q", "v")
        check_in("Problems:  none", ctl(d, 0, "status"), "status when all is well")


@suite.test
def ctl_get():
    with sample_daemon() as d:
        table = cells(ctl(d, 0, "get", "volumes"))
        check_eq(table[0], ["NAME", "STATE", "REASON", "FILES", "GENERATION", "UPDATED"], "heads")
        check_eq([row[:4] for row in table[1:]],
                 [["p/v", "Published", "<none>", "2"], ["p/w", "Unused", "<none>", "0"],
                  ["q/v", "Refused", "SecretNotFound", "0"]], "rows")
        # All but the age, which may be a second more by now.
        check_eq([row[:-1] for row in cells(ctl(d, 0, "get", "volumes", "--no-headers"))],
                 [row[:-1] for row in table[1:]], "without heads")
        check_eq([row[:2] for row in cells(ctl(d, 0, "get", "vol", "-n", "other",
                                               "--no-headers"))], [["p/v", "Published"]], "-n")
        check_eq([row[:2] for row in cells(ctl(d, 0, "get", "vol", "-A", "--no-headers"))],
                 [["default", "p/v"], ["default", "p/w"], ["default", "q/v"], ["other", "p/v"]],
                 "-A")
        wide = cells(ctl(d, 0, "get", "volumes", "-o", "wide"))
        check_in("PATH", wide[0], "wide heads")
        check_in(d.volume("default", "p", "v")["path"], wide[1], "wide row")
        check_eq(ctl(d, 0, "get", "vol", "-o", "name").split(),
                 ["volume/p/v", "volume/p/w", "volume/q/v"], "names")
        for name in ("p/v", "default/p/v", "volume/p/v"):
            args = name.split("/", 1) if name.startswith("volume") else ("vol", name)
            got = json.loads(ctl(d, 0, "get", *args, "-o", "json"))
            check_eq((got["kind"], [v["volume"] for v in got["items"]]), ("VolumeList", ["v"]),
                     "get %s -o json" % name)
        check_eq(yaml.safe_load(ctl(d, 0, "get", "vol", "-A", "-o", "yaml")),
                 json.loads(ctl(d, 0, "get", "vol", "-A", "-o", "json")), "YAML and JSON")
        check_eq([row[:3] for row in cells(ctl(d, 0, "get", "po", "--no-headers"))],
                 [["p", "1/1", "Ready"], ["q", "0/1", "NotReady"]], "pods")
        check_eq([row[:5] for row in cells(ctl(d, 0, "get", "secrets", "--no-headers"))],
                 [["s", "Opaque", "2", "false", "p/v,p/w"]], "Secrets")
        check_in("not found", ctl(d, 4, "get", "volumes", "p/nothing"), "error")
        ctl(d, 4, "get", "pods", "nobody")
        ctl(d, 4, "get", "secrets", "nothing")
        ctl(d, 0, "get", "volumes", "-n", "empty")


@suite.test
def ctl_describe_and_events():
    with sample_daemon() as d:
        text = ctl(d, 0, "describe", "volume", "p/v")
        for part in ("Published", d.volume("default", "p", "v")["path"], "0644", "/v", "s/bb",
                     "SuccessfulMountVolume"):
            check_in(part, text, "describe volume")
        text = ctl(d, 0, "describe", "pod", "q")
        for part in ("NotReady", 'secret "nope" not found', "FailedMount"):
            check_in(part, text, "describe pod")
        ctl(d, 4, "describe", "volume", "p/nothing")
        ctl(d, 4, "describe", "pod", "nobody")
        table = cells(ctl(d, 0, "events"))
        check_eq(table[0], ["LAST-SEEN", "TYPE", "REASON", "OBJECT", "COUNT", "MESSAGE"], "heads")
        check_eq(sorted(row[3] for row in table[1:]),
                 ["default/p/v", "default/q/v", "other/p/v"], "objects")
        check_eq(json.loads(ctl(d, 0, "events", "-o", "json"))["kind"], "EventList", "kind")
        check_eq([row[3] for row in cells(ctl(d, 0, "events", "-n", "other", "--no-headers"))],
                 ["other/p/v"], "objects of a namespace")


@suite.test
def ctl_wait():
    with sample_daemon() as d:
        ctl(d, 0, "wait", "pod", "p", "--for=published")
        ctl(d, 0, "wait", "volume", "p/v", "--for=published", "--timeout=0")
        ctl(d, 0, "wait", "volume", "p/none", "--for=removed")
        for args in (("pod", "q", "--for=published"), ("volume", "q/v", "--for=published"),
                     ("pod", "p", "--for=removed"), ("pod", "nobody", "--for=published")):
            for timeout in ("0", "50ms"):
                ctl(d, 5, "wait", *args, "--timeout=" + timeout)
        results = {}

        def wait(*args):
            results[args] = d.ctl("wait", *args, "--timeout=30s").returncode
        waits = (("pod", "new", "--for=published"), ("volume", "p/v", "--for=removed"),
                 ("volume", "q/v", "--for=published"))
        threads = [threading.Thread(target=wait, args=a) for a in waits]
        for t in threads:
            t.start()
        d.put("sample.yaml", manifest(secret("nope", {"k": "1"}), pod("q", {"v": "nope"}),
                                      pod("new", {"v": "nope"})))
        for t in threads:
            t.join()
        check_eq(results, {w: 0 for w in waits}, "exit codes")


def n_connections(d):
    """Established ones on the daemon's socket, as the kernel lists them."""
    with open("/proc/net/unix", encoding="ascii", errors="replace") as f:
        rows = [line.split() for line in f if line.rstrip().endswith(" " + d.socket_path)]
    return len([row for row in rows if row[5] == "03"])


def is_asleep(pid):
    return harness.read_file("/proc/%d/stat" % pid).rpartition(b")")[2].split()[0] == b"S"


@suite.test
def ctl_wait_survives_a_restart():
    with sample_daemon() as d:
        env = dict(d.environment(), SECRETVOLD_SOCKET=d.socket_path)
        poll_until(lambda: n_connections(d) == 0, "the end of our own connections")
        waiter = subprocess.Popen([os.path.join(harness.options.build, "secretvolctl"), "wait",
                                   "pod", "q", "--for=published", "--timeout=30s"], env=env,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        poll_until(lambda: n_connections(d) == 1 and is_asleep(waiter.pid), "wait's request")
        for _ in range(2):  # answered after it, so it has its answer as well
            check_eq(d.client.get("/healthz")[0], 200, "health")
        d.restart()
        d.put_objects("nope.yaml", secret("nope", {"k": "1"}))
        out, err = waiter.communicate(timeout=harness.DEADLINE_S)
        check_eq((waiter.returncode, err), (0, ""), "wait across a restart (%s)" % out)


@suite.test
def ctl_watches():
    with sample_daemon() as d:
        env = dict(d.environment(), SECRETVOLD_SOCKET=d.socket_path)

        def follow(*args):
            return subprocess.Popen([os.path.join(harness.options.build, "secretvolctl")]
                                    + list(args), env=env, stdout=subprocess.PIPE, text=True,
                                    stderr=subprocess.PIPE)
        table, lines = follow("get", "volumes", "-w"), follow("events", "-w", "-o", "json")
        try:
            for _ in range(4):
                line = table.stdout.readline()
            check_in("q/v", line, "the last of the first rows")
            while json.loads(lines.stdout.readline())["type"] != "SYNCED":
                pass
            d.put_objects("nope.yaml", secret("nope", {"k": "1"}))
            check(re.match(r"q/v +Published ", table.stdout.readline()), "the row that follows")
            event = json.loads(lines.stdout.readline())["object"]
            check_eq((event["reason"], event["pod"]), ("SuccessfulMountVolume", "q"), "event")
            d.stop()
            for child in (table, lines):
                check_eq(child.wait(harness.DEADLINE_S), 3, "exit code when the daemon goes")
        finally:
            for child in (table, lines):
                child.kill()
                child.communicate()


@suite.test
def ctl_offline():
    with Daemon(start=False) as d:
        good, bad = os.path.join(d.home, "good.yaml"), os.path.join(d.home, "bad.yaml")
        for path, text in ((good, sample()),
                           (bad, "apiVersion: v1\nkind: Secret\nmetadata:\n  name: BAD\n")):
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        check_eq(ctl(d, 0, "check", "-f", good), "", "check")
        check_in("nope", ctl(d, 1, "check", "--strict", "-f", good), "check --strict")
        check(ctl(d, 1, "check", "-f", bad).startswith(bad + ":"), "FILE:LINE")
        check_eq(ctl(d, 1, "check", "-f", good, "-f", bad).count("\n"), 1, "complaints")
        text = ctl(d, 5, "render", "-f", good)
        check_in("default/p/v", text, "render")
        check_in('secret "nope" not found', text, "render")
        text = ctl(d, 0, "render", "-f", good, "other/p")
        check_in("other/p/v", text, "render of a pod")
        check_eq(len(json.loads(ctl(d, 0, "render", "-f", good, "other/p", "-o", "json"))["items"]),
                 1, "render as JSON")
        ctl(d, 4, "render", "-f", good, "nobody")
        check(ctl(d, 1, "check", "-f", "/nonexistent.yaml"), "no message")
        r = d.ctl("check", "-f", "-", input=sample())
        check_eq(r.returncode, 0, "check of standard input")


@suite.test
def ctl_render_has_what_the_daemon_shows():
    with sample_daemon() as d:
        p = pod("inner", {"v": {"secretName": "s", "items": [{"key": "a", "path": "x/y"}]}})
        p["spec"]["containers"][0]["volumeMounts"] += [
            {"name": "v", "mountPath": "/v/deep", "readOnly": False, "subPathExpr": "x"}]
        d.put_objects("inner.yaml", p, secret("BAD"))
        d.wait_published("default", "inner", "v")
        made = json.loads(d.ctl("render", "-f", d.manifest_dir, "-o", "json").stdout)
        shown = {"items": d.volumes(), "problems": d.problems()}
        for volume in shown["items"]:
            volume.update(path=volume["path"].replace(d.root, "/run/secretvold"), generation=0,
                          publishedAt=None, updatedAt=None, swapSafe="",
                          wantedGeneration=volume["wantedGeneration"] and 1)
            if volume["state"] == "Unused":
                volume["message"] = "no container mounts it"
        for problem in shown["problems"]:
            problem["since"] = None
        for key, objects in shown.items():
            check(objects, "no " + key)
            check_eq([list(o.items()) for o in made[key]], [list(o.items()) for o in objects], key)


@suite.test
def ctl_check_takes_a_directory_as_the_daemon_does():
    with Daemon(start=False) as d:
        outside = os.path.join(d.home, "outside.yaml")
        with open(outside, "w", encoding="utf-8") as f:
            f.write("{")
        d.put("inside", manifest(secret("s")))
        for name, target in (("out.yaml", outside), ("gone.yaml", "nothing"), ("in.yaml", "inside"),
                             ("loop.json", "loop.json")):
            os.symlink(target, os.path.join(d.manifest_dir, name))
        os.mkdir(os.path.join(d.manifest_dir, "dir.yaml"))
        os.mkfifo(os.path.join(d.manifest_dir, "fifo.yml"))
        want = ["dir.yaml: is not a plain file", "fifo.yml: is not a plain file",
                "gone.yaml: cannot open: No such file or directory",
                "loop.json: cannot open: Too many levels of symbolic links",
                "out.yaml: is a symbolic link that leads out of the directory"]
        got = ctl(d, 1, "check", "-f", d.manifest_dir).splitlines()
        check_eq(got, ["%s/%s" % (d.manifest_dir, line) for line in want], "check")
        made = json.loads(d.ctl("render", "-f", d.manifest_dir, "-o", "json").stdout)["problems"]
        d.start()
        check_eq([dict(p, since=None) for p in d.problems()], made, "problems")
        text = ctl(d, 0, "status")
        for line in want:
            path = os.path.join(d.manifest_dir, line.partition(":")[0])
            check_in("%s/%s; next: namei -l %s" % (d.manifest_dir, line, path), text, "advice")
        os.unlink(os.path.join(d.manifest_dir, "out.yaml"))
        ctl(d, 1, "check", "-f", outside)


@suite.test
def ctl_exit_codes():
    with Daemon(start=False) as d:
        for args in (("status",), ("get", "volumes"), ("describe", "pod", "p"), ("events",),
                     ("wait", "pod", "p", "--for=published", "--timeout=1s"),
                     ("get", "volumes", "-w")):
            check_in(d.socket_path, ctl(d, 3, *args), "error of " + " ".join(args))
        for args in ((), ("bogus",), ("get",), ("get", "nothing"), ("get", "vol", "-o", "bogus"),
                     ("get", "--bogus"), ("get", "vol", "novolume"), ("wait", "pod", "p"),
                     ("wait", "pod", "p", "--for=bogus"), ("status", "too", "many"),
                     ("wait", "pod", "p", "--for=published", "--timeout=soon"),
                     ("get", "vol", "p/v", "-A"), ("describe", "secret", "s"), ("--bogus",),
                     ("get", "secrets", "-w"), ("get", "vol", "-n"), ("check",), ("render",)):
            ctl(d, 2, *args)
        for args in (("--help",), ("help",), ("get", "--help"), ("--version",), ("help", "wait"),
                     ("get", "-h")):
            check(ctl(d, 0, *args), "no help")
        r = d.ctl("get", "volumes", "--socket", "/nonexistent")
        check_eq(r.returncode, 3, "exit code with --socket")
        check_in("/nonexistent", r.stderr, "error")


@suite.test
def status_is_not_well_before_every_source_was_read():
    with Daemon(start=False) as d:
        missing = os.path.join(d.home, "later")
        d.args += ["--manifest-dir", missing]
        d.start(wait_ready=False).wait_alive()
        d.wait_status(lambda s: [x["synced"] for x in s["sources"]] == [True, False], "one read")
        text = ctl(d, 5, "status")
        check_in("SYNCED", text, "what is there")
        check_in("next: namei -l " + missing, text, "what to do about a directory")
        os.mkdir(missing)
        d.wait_status(lambda s: all(x["synced"] for x in s["sources"]), "both read")
        ctl(d, 0, "status")


@suite.test
def status_is_not_well_while_the_pods_of_an_api_server_may_not_be_read():
    for code in (401, 403):
        with fake_api.FakeApi() as api:
            api.fault(what="status", status=code, forever=True)
            with Daemon(args=api.daemon_args("n"), start=False) as d:
                d.start(wait_ready=False).wait_alive()
                d.wait_status(lambda s: s["problems"], "a problem")
                ctl(d, 5, "status")
                api.clear_faults()
                d.wait_status(lambda s: all(x["synced"] for x in s["sources"]), "it is read")
                ctl(d, 0, "status")


# ---- the daemon's own command line -----------------------------------------------------------


def secretvold(*args, timeout=harness.DEADLINE_S, **options):
    return subprocess.run([os.path.join(harness.options.build, "secretvold")] + list(args),
                          capture_output=True, text=True, timeout=timeout, check=False,
                          stdin=subprocess.DEVNULL, **options)


@suite.test
def once():
    with Daemon(start=False) as d:
        d.put_objects("p.yaml", secret("s", {"k": "1"}), pod("p", {"v": "s"}))
        r = d.run_once()
        check_eq((r.returncode, r.stdout), (0, ""), "--once when all is well")
        by_name = os.path.join(d.root, "by-name/default/p/v")
        check_eq(harness.read_file(by_name + "/k"), b"1", "content that stays")
        check(not os.path.lexists(d.socket_path), "--once made a socket")
        d.put_objects("p.yaml", secret("s", {"k": "2"}), pod("p", {"v": "s"}))
        check_eq(d.run_once().returncode, 0, "--once with an update")
        check_eq(harness.read_file(by_name + "/k"), b"2", "content")
        check_eq(len(os.listdir(by_name)), 3, "entries: no old generation is left")
        d.put_objects("q.yaml", pod("q", {"v": "nope"}))
        r = d.run_once()
        check_eq(r.returncode, 1, "--once with a refusal")
        check_in('default/q/v: Refused: SecretNotFound: secret "nope" not found', r.stdout,
                 "what failed")
        check_eq(harness.read_file(by_name + "/k"), b"2", "content")
        d.put("q.yaml", "{")
        r = d.run_once()
        check_eq(r.returncode, 1, "--once with a file that does not parse")
        check_in("q.yaml", r.stdout, "what failed")
        d.delete("q.yaml")
        d.delete("p.yaml")
        check_eq(d.run_once().returncode, 0, "--once with a removal")
        check(not os.path.lexists(by_name), "what is no longer wanted is left")
        check_eq(harness.mounts_below(d.root), [], "mounts")
        os.rmdir(d.manifest_dir)
        check_eq(d.run_once(timeout=10).returncode, 1, "--once without the directory")


@suite.test
def once_and_a_signal_before_everything_is_known():
    with fake_api.FakeApi() as api:
        api.fault(what="hang", forever=True)
        with Daemon(args=api.daemon_args("n") + ["--once"], start=False) as d:
            for n, signum in enumerate((signal.SIGTERM, signal.SIGINT), 1):
                d.start(wait_ready=False)
                poll_until(lambda: d.log().count(" on node n") == n, "the start")
                d.signal(signum)
                check_eq(d.wait_exit(), 1, "exit status after %s" % signum.name)


@suite.test
def options_of_the_daemon():
    r = secretvold("--help")
    check_eq((r.returncode, r.stderr), (0, ""), "--help")
    for flag in ("--root-dir", "--manifest-dir", "--node-name", "--socket", "--socket-group",
                 "--swap-policy", "--volume-size-limit", "--manifest-size-limit",
                 "--generation-grace", "--log-level", "--log-format", "--once"):
        check_in(flag, r.stdout, "--help")
    r = secretvold("--version")
    check_eq(r.returncode, 0, "--version")
    check(re.match(r"secretvold \S+\n$", r.stdout), "--version prints %r" % r.stdout)
    for args, word in ((("--bogus",), "--bogus"), (("stray",), "stray"),
                       (("--generation-grace=soon",), "soon"), (("--log-level=loud",), "loud"),
                       (("--volume-size-limit=0",), "volume-size-limit"), (("--root-dir",),
                                                                           "--root-dir"),
                       (("--swap-policy=maybe",), "maybe"), (("--root-dir=relative",), "relative"),
                       (("--manifest-size-limit=-5",), "manifest-size-limit"),
                       (("--volume-size-limit=2Gi",), "below 2Gi"),
                       (("--volume-size-limit=1e", ), "not a size"),
                       (("-x",), "unknown option '-x'"), (("-xyz",), "unknown option '-xyz'"),
                       (("--once", "-xyz"), "unknown option '-xyz'"),
                       (("--manifest=/x",), "unknown option '--manifest'"),
                       (("--o",), "unknown option '--o'"), (("--k=never",), "option '--k'"),
                       (("--", "--once"), "unexpected argument '--once'"),
                       (("-", "b"), "unexpected argument '-'"),
                       (("--once=true",), "option '--once' takes no value")):
        r = secretvold(*args)
        check_eq(r.returncode, 2, "exit status of " + " ".join(args))
        check_in(word, r.stderr, "error of " + " ".join(args))
        check_eq(r.stderr.count("\n"), 1, "lines of the error of " + " ".join(args))
    for flag in re.findall(r"--(\S+)=", secretvold("--help").stdout):
        for args in (("--%s=" % flag,), ("--" + flag, "")):
            r = secretvold(*args)
            check_eq((r.returncode, r.stderr), (2, "secretvold: %s: the value is empty\n" % flag),
                     "an empty " + flag)


@suite.test
def the_configuration_file():
    def config(text):
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    with Daemon(start=False) as d:
        path = os.path.join(d.home, "config.yaml")
        d.args = ["--config", path]
        for text, word in (("bogus: 1\n", "bogus"), ("root-dir: /x\n", "root-dir"), ("- a\n", path),
                           ("generationGrace: 5\n", "generationGrace"), ("{", path),
                           ("once: maybe\n", "once"), ("a: 1\n---\nb: 2\n", path),
                           ("logLevel: [info]\n", "logLevel"), ("help: true\n", "help"),
                           ("socket: ''\n", "socket: the value is empty"),
                           ("manifestDir: ['']\n", "manifestDir: the value is empty"),
                           ("podLimit: 1.5\n", "podLimit")):
            config(text)
            r = d.run_once()
            check_eq(r.returncode, 2, "exit status with %r" % text)
            check_in(word, r.stderr, "error with %r" % text)
        os.unlink(path)
        check_eq(d.run_once().returncode, 1, "exit status without the file")
        config("nodeName: from-file\nvolumeSizeLimit: 10\nlogLevel: debug\n"
               "generationGrace: 100ms\nmanifestDirs: []\n")
        check_eq(d.run_once().returncode, 2, "exit status with a plural key")
        config("nodeName: from-file\nvolumeSizeLimit: 9.5\nmanifestSizeLimit: 1e6\n"
               "secretsSizeLimit: +16e6\ngenerationGrace: 0\nsocket: %s/other.sock\n"
               "manifestDir: [/nonexistent]\n" % d.home)
        d.socket_path = d.home + "/other.sock"
        d.client = harness.Client(d.socket_path)
        d.put_objects("p.yaml", secret("s", {"k": "x" * 11}), pod("p", {"v": "s"}))
        d.start()
        check_eq(d.status()["nodeName"], "from-file", "node name")
        check_eq([s["name"] for s in d.status()["sources"]], [d.manifest_dir],
                 "manifest directories: the flag wins")
        check_eq(d.wait_volume("default", "p", "v", in_state("Refused"))["reason"], "TooLarge",
                 "reason with a limit from the file")
        config("volumeSizeLimit: 11\nsocket: %s\n" % d.socket_path)
        d.signal(signal.SIGHUP)
        d.wait_published("default", "p", "v")
        config("volumeSizeLimit: nonsense\n")
        d.signal(signal.SIGHUP)
        poll_until(lambda: "the old configuration stays" in d.log(), "the complaint")
        check_eq(d.volume("default", "p", "v")["state"], "Published", "state")


@suite.test
def a_reload_changes_what_pods_of_the_api_server_may_have_and_says_what_it_cannot_change():
    def config(text):
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    def stored(name):
        return {"kind": "Pod", "metadata": {"name": name}, "spec": {
            "nodeName": "node-a", "containers": [
                {"name": "c", "image": "i", "env": [{"name": "A+B", "value": "x"}]}]}}
    with fake_api.FakeApi() as api, Daemon(start=False, n_manifest_dirs=0) as d:
        args = api.daemon_args("node-a")
        args.remove("--allow-insecure-kubeconfig")
        path = os.path.join(d.home, "config.yaml")
        d.args = args + ["--config", path]
        config("allowInsecureKubeconfig: true\n")
        api.put(stored("first"))
        d.start()
        d.wait_status(lambda s: s["sources"][0]["pods"] == 1, "the Pod")
        check_eq(d.status()["problems"], [], "problems with relaxed names")
        config("allowInsecureKubeconfig: true\nenvNames: strict\n")
        d.signal(signal.SIGHUP)
        d.wait_problem("InvalidPod", name="first", message="A+B")
        check("with a restart only" not in d.log(), "it is told to restart for that")
        api.put(stored("second"))
        d.wait_problem("InvalidPod", name="second", message="A+B")
        config("allowInsecureKubeconfig: false\n")
        d.signal(signal.SIGHUP)
        d.wait_no_problems()
        check_eq(d.log().count("with a restart only"), 1, "warnings")
        d.wait_status(lambda s: s["sources"][0]["pods"] == 2, "both Pods")


@suite.test
def logs_in_every_format():
    for form, pattern in (("text", r"^\d{4}-\S+Z +(info|warning) "), ("json", r'^\{"time":"'),
                          ("journal", r"^<[45]>")):
        with Daemon(args=["--log-format", form]) as d:
            d.put_objects("p.yaml", secret("s", {"k": "1"}), pod("p", {"v": "s"}),
                          pod("bad", {"v": {"secretName": ""}}))
            d.wait_published("default", "p", "v")
            d.wait_problem("InvalidPod")
            d.stop()
            lines = d.log().splitlines()
            check(len(lines) >= 4, "only %d lines" % len(lines))
            for line in lines:
                check(re.match(pattern, line), "a line in %s format: %s" % (form, line))
                if form == "json":
                    check({"level", "msg", "time"} <= set(json.loads(line)), "fields of " + line)


def until_told(notify_socket, text):
    """The messages to the service manager up to one that holds the text."""
    told = []
    while not told or text not in told[-1]:
        told.append(notify_socket.recv(4096).decode())
    return told


@suite.test
def systemd_is_told():
    with Daemon(start=False) as d:
        path = os.path.join(d.home, "notify")
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as s:
            s.bind(path)
            s.settimeout(harness.DEADLINE_S)
            d.env["NOTIFY_SOCKET"] = path
            d.put("sample.yaml", sample())
            d.start()
            check(until_told(s, "READY=1")[0].startswith("READY=1"), "something came before")
            d.signal(signal.SIGHUP)
            until_told(s, "RELOADING=1\nMONOTONIC_USEC=")
            until_told(s, "READY=1")
            d.stop()
            until_told(s, "STOPPING=1")


@suite.test
def a_reload_before_readiness_is_no_readiness():
    with fake_api.FakeApi() as api, contextlib.closing(
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as s:
        path = os.path.join(harness.make_dir(), "notify")
        s.bind(path)
        s.settimeout(harness.DEADLINE_S)
        api.fault(what="hang", forever=True)
        with Daemon(args=api.daemon_args("n"), n_manifest_dirs=0, start=False,
                    env={"NOTIFY_SOCKET": path}) as d:
            d.start(wait_ready=False).wait_alive()
            d.signal(signal.SIGHUP)
            poll_until(lambda: "sources are read again" in d.log(), "the reload")
            check_eq(until_told(s, "READY=1"),
                     ["READY=1\nSTATUS=waiting for a source that has not answered yet"], "told")
            d.signal(signal.SIGHUP)  # now systemd waits for its end
            check_eq(until_told(s, "READY=1")[1:], ["READY=1"], "told of the second reload")
            check_eq(d.client.get("/readyz")[0], 503, "readiness")
            d.stop()
            check_eq(until_told(s, "STOPPING=1"), ["STOPPING=1"], "told in the end")


# ---- values ----------------------------------------------------------------------------------

PLANTED = "planted-4f7c1e"
NUMBER = "4711000815"


def with_values():
    """Manifests, right and wrong in every way, with values that must not turn up anywhere."""
    encoded = base64.b64encode(PLANTED.encode()).decode()
    head = "apiVersion: v1\nkind: Secret\nmetadata: {name: %s}\n"
    return {
        "good.yaml": manifest(secret("good", {"k": PLANTED, "b": PLANTED.encode()}),
                              pod("good", {"v": "good", "w": "nope"})),
        "stale.yaml": manifest(secret("stale", {"k": PLANTED}, immutable=True)),
        "group.yaml": manifest(secret("group", {"k": PLANTED})),
        "base64.yaml": head % "a" + "data: {k: '%s*%s'}\n" % (PLANTED, PLANTED),
        "list.yaml": head % "b" + "stringData: {k: [%s]}\n" % PLANTED,
        "number.yaml": head % "c" + "stringData: {k: %s}\n" % NUMBER,
        "number-data.yaml": head % "d" + "data: {k: %s}\n" % NUMBER,
        "scalar.yaml": head % "e" + "data: %s\n" % PLANTED,
        "syntax.yaml": head % "f" + "stringData:\n  k: \"%s\n  l: %s: x: [\n" % (PLANTED, PLANTED),
        "tag.yaml": head % "g" + "stringData: {k: !!int %s}\n" % PLANTED,
        "anchor.yaml": head % "h" + "stringData: {k: *%s}\n" % PLANTED,
        "tab.yaml": head % "i" + "stringData:\n\tk: %s\n" % PLANTED,
        "short.json": '{"apiVersion":"v1","kind":"Secret","stringData":{"k":"%s' % PLANTED,
        "bad.json": '{"apiVersion":"v1","kind":"Secret","stringData":{"k":"%s" %s}}'
                    % (PLANTED, PLANTED),
        "escape.json": '{"apiVersion":"v1","kind":"Secret","stringData":{"k":"%s\\q"}}' % PLANTED,
        "encoded.yaml": head % "j" + "data: {k: %s===}\n" % encoded,
        "docker.yaml": manifest(secret("k", {".dockerconfigjson": PLANTED},
                                       type="kubernetes.io/dockerconfigjson")),
        "utf8.yaml": (head % "l").encode() + b"stringData: {k: '%s\xff'}\n" % PLANTED.encode(),
    }


@suite.test
def no_value_is_ever_shown():
    with Daemon(start=False, args=["--log-level", "debug"]) as d:
        for name, text in with_values().items():
            d.put(name, text, mode=0o644 if name == "group.yaml" else 0o600)
        d.start()
        v = d.wait_published("default", "good", "v")
        d.put("stale.yaml", manifest(secret("stale", {"k": PLANTED + "2"}, immutable=True)))
        d.put("good.yaml", manifest(secret("good", {"k": PLANTED + "3"}),
                                    pod("good", {"v": "good", "w": "nope"})))
        d.wait_volume("default", "good", "v", newer_than(v["generation"]))
        d.wait_problem("InvalidSecret", file="stale.yaml")
        check_in(PLANTED.encode(), harness.read_file(v["path"] + "/k"), "what is planted")
        outputs = {p: d.client.get(p)[1] for p in ("/v1/status", "/v1/volumes", "/v1/pods",
                                                   "/v1/secrets", "/v1/events", "/metrics")}
        for topic in ("volumes", "pods", "events"):
            w = d.watch("/v1/" + topic)
            outputs["watch " + topic] = json.dumps(until_synced(w))
            w.close()
        for args in (["status"], ["get", "volumes", "-o", "wide"], ["get", "pods", "-o", "yaml"],
                     ["get", "secrets", "-o", "yaml"], ["describe", "volume", "good/v"],
                     ["describe", "pod", "good"], ["events"], ["render", "-f", d.manifest_dir],
                     ["render", "-f", d.manifest_dir, "-o", "json"],
                     ["check", "-f", d.manifest_dir], ["check", "--strict", "-f", d.manifest_dir]):
            r = d.ctl(*args)
            outputs[" ".join(args)] = r.stdout + r.stderr
        for name in ("cmdline", "environ"):
            outputs[name] = harness.read_file("/proc/%d/%s" % (d.process.pid, name)).decode()
        d.stop()
        r = d.run_once()
        outputs["--once"] = r.stdout + r.stderr
        outputs["log"] = d.log()
        n = len(json.loads(outputs["/v1/status"])["problems"])
        check(n >= len(with_values()) - 2, "only %d of the files are complained about" % n)
        encoded = base64.b64encode(PLANTED.encode()).decode().rstrip("=")[:-1]
        shown = [(what, word) for what, text in outputs.items()
                 for word in (PLANTED, encoded, NUMBER) if word in text]
        check_eq(shown, [], "outputs that show a value")


@suite.test
def a_stopped_daemon_leaves_no_value_in_files():
    with Daemon() as d:
        d.put_objects("p.yaml", secret("s", {"k": PLANTED}), pod("p", {"v": "s"}))
        v = d.wait_published("default", "p", "v")
        check_eq(d.stop(), 0, "exit status")
        check(harness.mount_at(v["path"])["fstype"] in ("tmpfs", "ramfs"), "file system")
        check_eq(harness.read_file(v["path"] + "/k"), PLANTED.encode(), "what is in memory alone")
        for base, dirs, files in os.walk(d.root):
            dirs[:] = [x for x in dirs if not os.path.ismount(os.path.join(base, x))]
            for name in files:
                path = os.path.join(base, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    check(PLANTED.encode() not in harness.read_file(path), path)


if __name__ == "__main__":
    sys.exit(suite.main())
