#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Figures for Prometheus: what they say, who may read them, and the rules and panels that use them."""

import contextlib
import grp
import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness  # noqa: E402
from harness import (Daemon, check, check_eq, check_in, in_state, manifest,  # noqa: E402
                     newer_than, pod, poll_until, secret)

suite = harness.Suite("metrics", jobs=2)

MONITORING = os.path.join(harness.REPO, "manifests", "monitoring")
OPERATIONS = "secretvold_volume_operations_total"
DURATIONS = "secretvold_volume_operation_duration_seconds"
PROPAGATION = "secretvold_propagation_seconds"
PROMTOOL = shutil.which("promtool")
NOBODY, MEMBERS = 65534, "games"

SAMPLE_RE = re.compile(r'^([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\[\\"n])*",?)+)\})? (\S+)$')
LABEL_RE = re.compile(r'([a-z]+)="((?:[^"\\]|\\.)*)"')
UNESCAPE = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


class Metrics:
    """The text format, read strictly: a line that is not understood is a failure."""

    def __init__(self, text):
        self.text = text
        self.types, self.help, self.samples = {}, {}, {}
        check(text.endswith("\n"), "the last line has no end")
        for line in text[:-1].split("\n"):
            self.take(line)

    def take(self, line):
        if line.startswith("#"):
            _, what, name, rest = line.split(" ", 3)
            table = {"HELP": self.help, "TYPE": self.types}[what]
            check(name not in table, "%s twice for %s" % (what, name))
            table[name] = rest
            return
        m = SAMPLE_RE.match(line)
        check(m, "not a sample: %r" % line)
        labels = tuple(sorted((k, re.sub(r"\\.", lambda e: UNESCAPE[e.group()], v))
                              for k, v in LABEL_RE.findall(m.group(2) or "")))
        key = (m.group(1), labels)
        check(key not in self.samples, "twice: %r" % (key,))
        self.samples[key] = float(m.group(3))

    def get(self, name, **labels):
        """One sample; how its labels are to be is the caller's to know."""
        key = (name, tuple(sorted(labels.items())))
        check(key in self.samples, "no sample %s %s" % (name, labels))
        return self.samples[key]

    def sum(self, name, **labels):
        return sum(self.select(name, **labels).values())

    def select(self, name, **labels):
        """labels -> value of the samples that have at least these."""
        return {key[1]: value for key, value in self.samples.items()
                if key[0] == name and set(labels.items()) <= set(key[1])}

    def family(self, name):
        """The metric that a sample belongs to."""
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        return base if self.types.get(base) == "histogram" else name

    def names(self):
        """All that a query can ask for, also while there is no sample."""
        names = set(self.types)
        for name, kind in self.types.items():
            if kind == "histogram":
                names |= {name + end for end in ("_bucket", "_sum", "_count")}
        return names


def scrape(d):
    status, headers, body = d.client.request("GET", "/metrics")
    check_eq(status, 200, "GET /metrics")
    check_eq(headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8", "content type")
    return Metrics(body.decode())


def operations(metrics):
    """{"publish success": 1, "update refusal TooLarge": 2} of what has happened at all."""
    return {" ".join(filter(None, (dict(k)["op"], dict(k)["result"], dict(k)["reason"]))): int(v)
            for k, v in metrics.select(OPERATIONS).items() if v}


def states(metrics):
    return {dict(k)["state"]: int(v) for k, v in metrics.select("secretvold_volumes").items() if v}


def quiet(d):
    """The figures once no old generation is left: cleaning has no event of its own."""
    def clean():
        metrics = scrape(d)
        return metrics if metrics.get("secretvold_old_generations") == 0 else None
    return poll_until(clean, "the end of the old generations")


# ---- the format ------------------------------------------------------------------------------


@suite.test
def the_text_is_well_formed():
    with Daemon(start=False) as d:
        d.put_objects("p.yaml", secret("s", {"k": "1"}), pod("p", {"v": "s"}),
                      pod("bad", {"v": {"secretName": ""}}))
        d.put("open.yaml", manifest(secret("open", {"k": "1"})), mode=0o644)
        d.start()
        d.wait_published("default", "p", "v")
        metrics = scrape(d)
    check_eq(set(metrics.types), set(metrics.help), "metrics with a type, and those with a help")
    for name, kind in metrics.types.items():
        check(name.startswith(("secretvold_", "process_")), "prefix of " + name)
        check_in(kind, ("counter", "gauge", "histogram"), "type of " + name)
        check_eq(kind == "counter", name.endswith("_total"), "%s ends with _total" % name)
        check(any(metrics.family(key[0]) == name for key in metrics.samples), name + " is empty")
    for name, _ in metrics.samples:
        check_in(metrics.family(name), metrics.types, "family of " + name)
    check_eq(len(metrics.select("secretvold_volumes")), 7, "states")


@suite.test
def histograms_are_consistent():
    with Daemon() as d:
        for i in range(5):
            d.put_objects("p.yaml", secret("s", {"k": str(i)}), pod("p", {"v": "s", "w": "s"}))
            for volume in "vw":
                d.wait_volume("default", "p", volume, newer_than(i))
        metrics = quiet(d)
        check_histogram(metrics, PROPAGATION, count=10)
        for op, n in (("publish", 2), ("update", 8), ("remove", 0)):
            check_histogram(metrics, DURATIONS, count=n, op=op)
        n = metrics.get(OPERATIONS, op="clean", result="success", reason="")
        check(1 <= n <= 8, "%d times cleaned" % n)
        check_histogram(metrics, DURATIONS, count=n, op="clean")
        check(metrics.get(PROPAGATION + "_sum") >=
              metrics.sum(DURATIONS + "_sum", op="publish") +
              metrics.sum(DURATIONS + "_sum", op="update"),
              "what became visible took less time than making it so")


def check_histogram(metrics, name, count, **labels):
    what = "%s %s" % (name, labels or "")
    buckets = [(float(dict(k)["le"]), v)
               for k, v in metrics.select(name + "_bucket", **labels).items()]
    bounds, values = [b for b, _ in buckets], [v for _, v in buckets]
    check_eq((bounds[0], bounds[-2], bounds[-1]), (0.0005, 10.0, float("inf")), what + ": bounds")
    check_eq(bounds, sorted(set(bounds)), what + ": order")
    check_eq(values, sorted(values), what + ": buckets hold those before them")
    check_eq(values[-1], metrics.get(name + "_count", **labels), what + ": +Inf and count")
    check_eq(values[-1], count, what + ": count")
    # the sum lies between the buckets' lower bounds and upper bounds
    low = high = before = 0
    for i, (bound, value) in enumerate(buckets):
        low += (value - before) * (bounds[i - 1] if i else 0)
        high += (value - before) * bound if value > before else 0
        before = value
    total = metrics.get(name + "_sum", **labels)
    check(low - 1e-4 <= total <= high + 1e-4, "%s: sum %g not within %g and %g"
          % (what, total, low, high))


@suite.test
def label_values_are_escaped():
    odd = 'a "quoted\\ one\nétoile\xff'.encode("latin-1")  # not UTF-8
    with Daemon(start=False) as d:
        path = os.path.join(os.fsencode(d.home), odd)
        os.mkdir(path, 0o700)
        d.manifest_dirs.append(os.fsdecode(path))
        d.start()
        metrics = scrape(d)
        sources = {dict(k)["source"] for k in metrics.select("secretvold_source_synced")}
        check_eq(sources, {d.manifest_dir, path.decode("utf-8", "replace")}, "sources")


# ---- what happens ----------------------------------------------------------------------------


@suite.test
def counters_follow_what_is_done():
    with Daemon() as d:
        metrics = scrape(d)
        check_eq(operations(metrics), {}, "operations at the start")
        check_eq(states(metrics), {}, "volumes at the start")
        check_eq(metrics.get(OPERATIONS, op="publish", result="success", reason=""), 0,
                 "a series that can come is there")
        d.put_objects("s.yaml", secret("s", {"k": "1234", "l": "5"}))
        d.put_objects("p.yaml", pod("p", {"v": "s"}))
        d.wait_published("default", "p", "v")
        metrics = scrape(d)
        check_eq(operations(metrics), {"publish success": 1}, "after the first")
        check_eq(states(metrics), {"Published": 1}, "volumes after the first")
        check_eq(metrics.get("secretvold_published_bytes"), 5, "bytes")
        check_eq(metrics.get("secretvold_pods", origin="manifest"), 1, "pods")
        check_eq(metrics.get("secretvold_secrets", origin="manifest"), 1, "secrets")
        check_eq(metrics.get(PROPAGATION + "_count"), 1, "changes")

        d.put_objects("s.yaml", secret("s", {"k": "12345678"}))
        d.wait_volume("default", "p", "v", newer_than(1))
        metrics = quiet(d)
        check_eq(operations(metrics), {"publish success": 1, "update success": 1,
                                       "clean success": 1}, "after the update")
        check_eq(metrics.get("secretvold_published_bytes"), 8, "bytes")
        check_eq(metrics.get(PROPAGATION + "_count"), 2, "changes")

        d.put_objects("q.yaml", pod("q", {"v": "nope"}))
        d.wait_volume("default", "q", "v", in_state("Refused"))
        d.put_objects("p.yaml", pod("p", {"v": {"secretName": "s", "items": [
            {"key": "gone", "path": "gone"}]}}))
        d.wait_volume("default", "p", "v", in_state("Stale"))
        metrics = scrape(d)
        check_eq(states(metrics), {"Stale": 1, "Refused": 1}, "volumes after the refusals")
        check_eq(metrics.get("secretvold_stale_volumes"), 1, "stale volumes")
        check_eq(metrics.get(OPERATIONS, op="publish", result="refusal", reason="SecretNotFound"),
                 1, "refusals to publish")
        check_eq(metrics.get(OPERATIONS, op="update", result="refusal", reason="KeyNotFound"), 1,
                 "refusals to update")
        check_eq(metrics.get(PROPAGATION + "_count"), 2, "changes: what is refused is not seen")

        d.delete("p.yaml")
        d.delete("q.yaml")
        d.wait_gone("default", "p", "v")
        d.wait_gone("default", "q", "v")
        metrics = scrape(d)
        check_eq(states(metrics), {}, "volumes at the end")
        check_eq(metrics.get(OPERATIONS, op="remove", result="success", reason=""), 1, "removals")
        check_eq(metrics.get("secretvold_published_bytes"), 0, "bytes at the end")
        check_eq(metrics.get("secretvold_pods", origin="manifest"), 0, "pods at the end")


@suite.test
def failures_count_and_so_does_the_time_they_took():
    uid = "11111111-2222-3333-4444-555555555555"
    with Daemon() as d:
        path = os.path.join(d.root, "pods", uid, "volumes/kubernetes.io~secret/v")
        os.makedirs(path, 0o750)
        subprocess.run(["mount", "-t", "tmpfs", "not-ours", path], check=True)
        with open(os.path.join(path, "in-the-way"), "w", encoding="utf-8"):
            pass
        d.put_objects("p.yaml", secret("s", {"k": "1"}), pod("p", {"v": "s"}, uid=uid))
        v = d.wait_volume("default", "p", "v", in_state("Failed"))
        start = time.monotonic()
        metrics = scrape(d)
        failures = metrics.select(OPERATIONS, op="publish", result="failure", reason=v["reason"])
        check(sum(failures.values()) >= 1, "no failure of reason %s: %r"
              % (v["reason"], operations(metrics)))
        check_eq(states(metrics), {"Failed": 1}, "volumes")
        check_eq(metrics.get(PROPAGATION + "_count"), 0, "changes")
        # A change that comes meanwhile does not make the wait any shorter.
        d.put_objects("p.yaml", secret("s", {"k": "2"}), pod("p", {"v": "s"}, uid=uid))
        d.marker()
        harness.umount(path)
        d.wait_published("default", "p", "v")
        took = time.monotonic() - start
        metrics = scrape(d)
        check_eq(metrics.get(OPERATIONS, op="publish", result="success", reason=""), 2,
                 "publications, the marker's included")
        check_eq(metrics.get(PROPAGATION + "_count"), 2, "changes")
        # The first retry comes after 500 ms, and the mount was away later than that.
        check(metrics.get(PROPAGATION + "_sum") >= min(0.5, took),
              "propagation of %g s though it took %g s" % (metrics.get(PROPAGATION + "_sum"), took))


def updates_for_want_of_room(grace_s):
    """Eight contents one after the other: metrics, or None if room came before the last of them."""
    big = 1000000  # a volume of at most 1 MiB has room for five
    with Daemon(args=["--volume-size-limit", "1Mi", "--generation-grace", "%ds" % grace_s]) as d:
        start = time.monotonic()
        for i in range(8):
            d.put_objects("p.yaml", secret("s", {"k": str(i) * big}), pod("p", {"v": "s"}))
            d.marker()  # it has been taken in
        if time.monotonic() - start >= grace_s:
            return None
        path = d.volume("default", "p", "v")["path"] + "/k"
        poll_until(lambda: harness.read_file(path) == b"7" * big, "the last content")
        return quiet(d)


@suite.test
def waiting_for_room_is_no_failure():
    for grace_s in (1, 4, 16):  # on a slow machine, longer
        metrics = updates_for_want_of_room(grace_s)
        if metrics:
            break
    check(metrics, "eight contents were not taken in within %d s" % grace_s)
    check_eq(metrics.sum(OPERATIONS, result="failure"), 0, "failures")
    check_eq(states(metrics), {"Published": 9}, "volumes")
    n = metrics.get(OPERATIONS, op="update", result="success", reason="")
    check(3 <= n < 7, "%d updates: nothing was merged" % n)
    check(metrics.get(PROPAGATION + "_sum") > 0.1, "propagation without the wait for room")


@suite.test
def time_spent_refused_or_unused_is_not_propagation():
    unused = pod("p", {"v": "s"}, mount=False)
    for first, state in ((pod("p", {"v": "s"}), "Refused"), (unused, "Unused")):
        with Daemon() as d:
            d.put_objects("p.yaml", first)
            d.wait_volume("default", "p", "v", in_state(state))
            time.sleep(0.3)  # what must not be counted
            start = time.monotonic()
            d.put_objects("p.yaml", secret("s", {"k": "1"}), pod("p", {"v": "s"}))
            d.wait_published("default", "p", "v")
            took = time.monotonic() - start
            metrics = scrape(d)
            check_eq(metrics.get(PROPAGATION + "_count"), 1, "changes")
            check(metrics.get(PROPAGATION + "_sum") <= took, "%s: propagation of %g s, not %g"
                  % (state, metrics.get(PROPAGATION + "_sum"), took))


@suite.test
def what_a_restart_finds_is_nobodys_doing():
    with Daemon() as d:
        d.put_objects("p.yaml", secret("s", {"k": "123"}), pod("p", {"v": "s"}))
        d.wait_published("default", "p", "v")
        d.restart()
        d.wait_published("default", "p", "v")
        metrics = scrape(d)
        check_eq(operations(metrics), {}, "operations")
        check_eq(states(metrics), {"Published": 1}, "volumes")
        check_eq(metrics.get("secretvold_published_bytes"), 3, "bytes")
        check_eq(metrics.get(PROPAGATION + "_count"), 0, "changes")
        d.put_objects("p.yaml", secret("s", {"k": "124"}), pod("p", {"v": "s"}))
        d.wait_volume("default", "p", "v", newer_than(1))
        metrics = quiet(d)
        check_eq(operations(metrics), {"update success": 1, "clean success": 1}, "operations")
        check_eq(metrics.get(PROPAGATION + "_count"), 1, "changes")


@suite.test
def environments_are_counted():
    p = pod("p", {"v": "s"})
    p["spec"]["containers"][0]["envFrom"] = [{"secretRef": {"name": "s"}}]
    with Daemon(start=False) as d:
        d.put_objects("p.yaml", secret("s", {"K": "1"}), p)
        d.start()
        v = d.wait_published("default", "p", "v")
        for pod_name, want in (("p", 200), ("p", 200), ("nobody", 404)):
            status, _, _ = d.client.request("POST", "/v1/env", json.dumps({"pod": pod_name}))
            check_eq(status, want, "environment of " + pod_name)
        metrics = scrape(d)
        check_eq(metrics.get("secretvold_environments_handed_out_total"), 2, "handed out")
        check_eq(metrics.get("secretvold_stale_environments"), 0, "stale")
        d.put_objects("p.yaml", secret("s", {"K": "2"}), p)
        d.wait_volume("default", "p", "v", newer_than(v["generation"]))
        check_eq(scrape(d).get("secretvold_stale_environments"), 1, "stale after the change")


@suite.test
def sources_and_what_is_wrong_with_them():
    with Daemon(n_manifest_dirs=2) as d:
        first, second = d.manifest_dirs
        d.put_objects("bad.yaml", pod("bad", {"v": {"secretName": ""}}))
        d.put("broken.yaml", "{", manifest_dir=second)
        d.put("open.yaml", manifest(secret("s", {"k": "1"})), mode=0o644, manifest_dir=second)
        d.wait_problem("InvalidPod")
        d.wait_problem("InvalidManifest")
        d.wait_status(lambda s: any(p["severity"] == "warning" for p in s["problems"]),
                      "the warning")
        problems = d.problems("error")
        metrics = scrape(d)
        check_eq(metrics.get("secretvold_source_errors", type="manifest", source=first,
                             reason="InvalidPod"),
                 sum(p["reason"] == "InvalidPod" for p in problems), "refused Pods")
        check_eq(metrics.get("secretvold_source_errors", type="manifest", source=second,
                             reason="InvalidManifest"), 1, "files that do not parse")
        check_eq(metrics.sum("secretvold_source_errors"), len(problems), "errors")
        check_eq(metrics.sum("secretvold_source_warnings", source=second),
                 len(d.problems("warning")), "warnings")
        for path in (first, second):
            check_eq(metrics.get("secretvold_source_synced", type="manifest", source=path), 1,
                     "synced " + path)
            age = time.time() - metrics.get("secretvold_source_last_sync_timestamp_seconds",
                                            type="manifest", source=path)
            check(-2 < age < 120, "last sync %g s ago" % age)
        d.delete("bad.yaml")
        d.delete("broken.yaml", manifest_dir=second)
        d.wait_status(lambda s: all(p["severity"] == "warning" for p in s["problems"]),
                      "the end of the errors")
        check_eq(scrape(d).sum("secretvold_source_errors"), 0, "errors at the end")
    with Daemon(start=False) as d:
        os.rmdir(d.manifest_dir)
        d.start(wait_ready=False)
        d.wait_alive()
        metrics = scrape(d)
        at = {"type": "manifest", "source": d.manifest_dir}
        check_eq(metrics.get("secretvold_source_synced", **at), 0, "synced, of no directory")
        check_eq(metrics.get("secretvold_source_last_sync_timestamp_seconds", **at), 0, "last sync")
        check_eq(metrics.get("secretvold_source_errors", reason="SourceUnavailable", **at), 1,
                 "errors")
        check_eq(metrics.get("secretvold_ready"), 0, "ready")
        os.mkdir(d.manifest_dir, 0o700)
        d.wait_ready()
        metrics = scrape(d)
        check_eq(metrics.get("secretvold_source_synced", **at), 1, "synced")
        check_eq(metrics.get("secretvold_ready"), 1, "ready")


@suite.test
def readers_of_the_socket_are_counted():
    def peers(n):
        """Seen by TCP, so that the one who asks is none of them; those of before may be closing."""
        poll_until(lambda: Metrics(ask(host, port)[2]).get("secretvold_status_peers") == n,
                   "%d peers" % n)
    with listening_daemon("127.0.0.1:0") as (d, host, port):
        check_eq(scrape(d).sum("secretvold_watchers"), 0, "watchers")
        peers(0)
        w = d.watch("/v1/pods")
        check_eq(next(w)["type"], "SYNCED", "first line")
        peers(1)
        metrics = scrape(d)
        check_eq(metrics.get("secretvold_watchers", topic="pods"), 1, "watchers of pods")
        check_eq(metrics.sum("secretvold_watchers"), 1, "watchers")
        w.close()
        peers(0)
        check_eq(scrape(d).sum("secretvold_watchers"), 0, "watchers at the end")


@suite.test
def the_process_describes_itself():
    with Daemon() as d:
        metrics = scrape(d)
        proc = "/proc/%d/" % d.process.pid
        n = len(os.listdir(proc + "fd"))
        check(abs(metrics.get("process_open_fds") - n) <= 2, "%g descriptors, not %d"
              % (metrics.get("process_open_fds"), n))
        with open(proc + "limits", encoding="ascii") as f:
            limit = re.search(r"^Max open files +(\d+)", f.read(), re.M).group(1)
        check_eq(metrics.get("process_max_fds"), float(limit), "most descriptors")
        with open(proc + "status", encoding="ascii") as f:
            text = f.read()
        for name, field in (("process_resident_memory_bytes", "VmRSS"),
                            ("process_virtual_memory_bytes", "VmSize")):
            kib = int(re.search(r"^%s:\s+(\d+)" % field, text, re.M).group(1))
            check(0.5 < metrics.get(name) / (kib * 1024) < 2, "%s: %g, not %d KiB"
                  % (name, metrics.get(name), kib))
        age = time.time() - metrics.get("process_start_time_seconds")
        check(-1 < age < 60, "started %g s ago" % age)
        check_eq(scrape(d).get("process_start_time_seconds"),
                 metrics.get("process_start_time_seconds"), "start, asked again")
        check(0 < metrics.get("process_cpu_seconds_total") < 60, "processor time")
        version = subprocess.run(
            [os.path.join(harness.options.build, "secretvold"), "--version"], text=True,
            capture_output=True, check=True).stdout.split()[1]
        check_eq(metrics.get("secretvold_build_info", version=version), 1, "build info")


@suite.test
def neither_values_nor_names_are_shown():
    planted = "planted-9c3a77"
    with Daemon() as d:
        d.put_objects("p.yaml", secret("the-secret", {"the-key": planted}, namespace="the-ns"),
                      pod("the-pod", {"the-volume": "the-secret"}, namespace="the-ns"),
                      pod("the-other", {"the-volume": "the-absent"}, namespace="the-ns"),
                      pod("the-bad", {"the-volume": {"secretName": ""}}, namespace="the-ns"))
        d.wait_published("the-ns", "the-pod", "the-volume")
        text = scrape(d).text
        for word in (planted, "the-ns", "the-pod", "the-other", "the-bad", "the-volume",
                     "the-secret", "the-key", "the-absent"):
            check(word not in text, word + " is shown")


# ---- who may read ----------------------------------------------------------------------------


@suite.test
def the_socket_gives_them_to_those_who_may_read_status():
    def asked_by_nobody(d, *groups):
        command = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY)]
        command += ["--groups", ",".join(map(str, groups))] if groups else ["--clear-groups"]
        r = subprocess.run(command + ["curl", "--silent", "--unix-socket", d.socket_path,
                                      "--write-out", "%{http_code}", "http://x/metrics"],
                           text=True, capture_output=True, cwd="/",
                           timeout=harness.DEADLINE_S)
        return r.stdout

    gid = grp.getgrnam(MEMBERS).gr_gid
    with Daemon(args=["--socket-group", MEMBERS]) as d:
        os.chmod(d.home, 0o755)
        answer = asked_by_nobody(d, gid)
        check(answer.endswith("200"), "a member got %s" % answer[-100:])
        check_in("secretvold_volumes{", answer, "answer to a member")
        check_eq(asked_by_nobody(d), "000", "a stranger who cannot connect")
        os.chmod(d.root, 0o755)
        os.chmod(d.socket_path, 0o666)
        answer = asked_by_nobody(d)
        check(answer.endswith("403") and "secretvold_" not in answer, "a stranger got " + answer)
        for method, want in (("HEAD", 200), ("POST", 405), ("DELETE", 405)):
            check_eq(d.client.request(method, "/metrics")[0], want, method)


def listeners(d):
    """Local addresses of the daemon's listening TCP sockets, as the kernel writes them."""
    inodes = set()
    for fd in os.listdir("/proc/%d/fd" % d.process.pid):
        with contextlib.suppress(OSError):
            target = os.readlink("/proc/%d/fd/%s" % (d.process.pid, fd))
            inodes.add(target.replace("socket:[", "").rstrip("]"))
    found = []
    for name in ("tcp", "tcp6"):
        with open("/proc/net/" + name, encoding="ascii") as f:
            for line in f.readlines()[1:]:
                field = line.split()
                if field[9] in inodes and field[3] == "0A":
                    found.append(field[1].rpartition(":")[0])
    return found


@contextlib.contextmanager
def listening_daemon(address, **options):
    """A daemon and the address that it says it listens on."""
    with Daemon(args=["--metrics-address", address], **options) as d:
        m = re.search(r"metrics on http://(.+):(\d+)/metrics", d.log())
        check(m, "the log does not say where")
        yield d, m.group(1).strip("[]"), int(m.group(2))


def ask(host, port, path="/metrics", method="GET", body=None):
    conn = http.client.HTTPConnection(host, port, timeout=harness.DEADLINE_S)
    try:
        conn.request(method, path, body=body)
        response = conn.getresponse()
        return response.status, response.headers, response.read().decode()
    finally:
        conn.close()


@suite.test
def no_address_no_listener():
    with Daemon() as d:
        check_eq(listeners(d), [], "listening TCP sockets")


@suite.test
def the_tcp_address_serves_metrics_and_nothing_else():
    with listening_daemon("127.0.0.1:0") as (d, host, port):
        d.put_objects("p.yaml", secret("s", {"k": "1"}), pod("p", {"v": "s"}))
        d.wait_published("default", "p", "v")
        status, headers, text = ask(host, port)
        check_eq(status, 200, "GET /metrics")
        check_eq(headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8", "type")
        metrics = Metrics(text)
        check_eq(states(metrics), {"Published": 1}, "volumes")
        check_eq(metrics.names(), scrape(d).names(), "metrics here and on the status socket")
        check_eq(ask(host, port, "/healthz")[::2], (200, "ok\n"), "GET /healthz")
        status, headers, text = ask(host, port, method="HEAD")
        check_eq((status, text), (200, ""), "HEAD")
        for path in ("/", "/readyz", "/livez", "/v1/status", "/v1/volumes", "/v1/volumes?watch=1",
                     "/v1/secrets", "/v1/events?watch=1", "/metrics/", "//metrics",
                     "/metrics/../v1/status", "/v1/env"):
            status, _, text = ask(host, port, path)
            check_eq(status, 404, "GET " + path)
            check("volumes\"" not in text and "items" not in text, "GET %s gives %s" % (path, text))
        check_eq(ask(host, port, "/v1/env", "POST", '{"pod":"p"}')[0], 404, "POST /v1/env")
        check_eq(ask(host, port, method="POST", body="x" * 100000)[0], 405, "POST /metrics")
        conn = http.client.HTTPConnection(host, port, timeout=harness.DEADLINE_S)
        for _ in range(3):  # one connection, as Prometheus keeps it
            conn.request("GET", "/metrics")
            check(len(conn.getresponse().read()) > 1000, "an answer")
            check(conn.sock, "the connection was closed")
        check_eq(d.stop(), 0, "exit status while somebody is connected")
        conn.close()


@suite.test
def sixteen_connections_may_be_idle_and_then_the_oldest_makes_room():
    def is_open(s):
        s.setblocking(False)
        try:
            return bool(s.recv(1))
        except BlockingIOError:
            return True

    with listening_daemon("127.0.0.1:0") as (_, host, port), contextlib.ExitStack() as stack:
        def connect():
            return stack.enter_context(socket.create_connection((host, port), harness.DEADLINE_S))

        kept = [connect() for _ in range(15)]
        check_eq(ask(host, port)[0], 200, "the 16th")
        check(all(is_open(s) for s in kept), "one of 16 was closed")
        kept.append(connect())
        check_eq(ask(host, port)[0], 200, "the 17th")
        kept[0].settimeout(harness.DEADLINE_S)
        check_eq(kept[0].recv(1), b"", "what the oldest hears")
        check(all(is_open(s) for s in kept[1:]), "another one was closed")


@suite.test
def loopback_unless_told_otherwise():
    loopback4, any4 = "0100007F", "00000000"
    for address, where in ((":0", loopback4), ("localhost:0", loopback4),
                           ("127.0.0.1:0", loopback4), ("0.0.0.0:0", any4)):
        with listening_daemon(address) as (d, _, port):
            check_eq(listeners(d), [where], "addresses with " + address)
            check_eq(ask("127.0.0.1", port)[0], 200, "GET by " + address)


@suite.test
def ipv6_stands_in_brackets():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
    except OSError as e:
        raise harness.Skip("no IPv6 here: %s" % e.strerror) from None
    with listening_daemon("[::1]:0") as (d, host, port):
        check_eq((host, listeners(d)), ("::1", ["0" * 24 + "01000000"]), "address")
        check_eq(ask(host, port)[0], 200, "GET")


@suite.test
def addresses_that_cannot_be_used():
    for text in ("", "9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
                 "127.0.0.1:80x", "example.com:80", "::1:9464", "[::1]", "[::1:9464", "[]:9464",
                 "[127.0.0.1]:1", "127.1:80", "*:9464", " :9464", "[%s]:1" % ("1" * 300)):
        with Daemon(start=False, args=["--metrics-address", text]) as d:
            r = d.run_once()
            check_eq(r.returncode, 2, "exit status with %r (%s)" % (text, r.stderr.strip()))
            check_in("metrics-address", r.stderr, "error with %r" % text)
            check_eq(r.stderr.count("\n"), 1, "lines of the error with %r" % text)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(1)
        with Daemon(start=False, args=["--metrics-address", ":%d" % s.getsockname()[1]]) as d:
            d.start(wait_ready=False)
            check_eq(d.wait_exit(), 1, "exit status with an address in use")
            check_in("Address already in use", d.log(), "message")
            check_eq(d.run_once().returncode, 0, "--once, which listens nowhere")


@suite.test
def the_address_comes_from_the_configuration_file():
    with Daemon(start=False) as d:
        path = os.path.join(d.home, "config.yaml")
        d.args = ["--config", path]

        def config(text):
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        config("metricsAddress: '127.0.0.1:0'\n")
        d.start()
        check_eq(len(listeners(d)), 1, "listening TCP sockets")
        config("{}\n")
        d.signal(signal.SIGHUP)
        poll_until(lambda: "metrics-address" in d.log(), "the warning")
        check_eq(len(listeners(d)), 1, "listening TCP sockets after the reload")


@suite.test
def idle_and_slow_peers_keep_nobody_out():
    with listening_daemon("127.0.0.1:0") as (d, host, port):
        before = len(os.listdir("/proc/%d/fd" % d.process.pid))
        with contextlib.ExitStack() as stack:
            for i in range(60):
                s = stack.enter_context(socket.create_connection((host, port), harness.DEADLINE_S))
                if i % 2:
                    s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: ")
            check_eq(ask(host, port)[0], 200, "GET /metrics among them")
            n = len(os.listdir("/proc/%d/fd" % d.process.pid))
            check(n - before <= 20, "%d descriptors more" % (n - before))
        check_eq(scrape(d).get("secretvold_ready"), 1, "ready")


@suite.test
def a_peer_that_drips_is_ended():
    with listening_daemon("127.0.0.1:0") as (d, host, port):
        with socket.create_connection((host, port), harness.DEADLINE_S) as s:
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: ")
            start = time.monotonic()

            def ended():
                if select.select([s], [], [], 0)[0]:
                    return True
                s.sendall(b"x")
                return False
            poll_until(ended, "the end", interval_s=0.2)
            took = time.monotonic() - start
            check(took > 8, "ended after %g s: a slow network would do that" % took)
        check_eq(ask(host, port)[0], 200, "GET /metrics afterwards")


# ---- rules and panels ------------------------------------------------------------------------


def promtool(*args, **options):
    if not PROMTOOL:
        raise harness.Skip("promtool is not installed (package prometheus)")
    return subprocess.run([PROMTOOL] + list(args), text=True, capture_output=True, check=False,
                          timeout=harness.DEADLINE_S, **options)


def read_rules():
    with open(os.path.join(MONITORING, "prometheusrule.yaml"), encoding="utf-8") as f:
        return yaml.safe_load(f)["spec"]


def read_panels():
    with open(os.path.join(MONITORING, "dashboard.json"), encoding="utf-8") as f:
        return json.load(f)["panels"]


def write(name, data):
    path = os.path.join(harness.make_dir("rules."), name)
    with open(path, "w", encoding="utf-8") as f:
        yaml.safe_dump(data, f)
    return path


def rule_queries():
    return [r["expr"] for g in read_rules()["groups"] for r in g["rules"]]


def panel_queries():
    """With the dashboard's variables filled in, as Grafana does."""
    return [t["expr"].replace("$instance", ".*").replace("$__rate_interval", "5m")
            for p in read_panels() for t in p.get("targets", [])]


def names_in(query):
    """The metrics that a query asks for."""
    bare = re.sub(r'"[^"]*"|\b(?:by|without|on|ignoring) *\([^)]*\)', " ", query)
    return set(re.findall(r"\b(?:secretvold|process)_\w+|\bup\b", bare))


@suite.test
def promtool_likes_the_metrics():
    with Daemon(start=False) as d:
        d.put_objects("p.yaml", secret("s", {"k": "1"}), pod("p", {"v": "s"}),
                      pod("bad", {"v": {"secretName": ""}}))
        d.start()
        d.wait_published("default", "p", "v")
        r = promtool("check", "metrics", input=scrape(d).text)
        check_eq((r.returncode, r.stdout, r.stderr), (0, "", ""), "promtool check metrics")


@suite.test
def promtool_likes_the_rules():
    r = promtool("check", "rules", write("rules.yaml", read_rules()))
    check_eq(r.returncode, 0, "promtool check rules: " + r.stdout + r.stderr)
    check_in("%d rules found" % len(rule_queries()), r.stdout, "promtool check rules")


@suite.test
def promtool_likes_the_dashboards_queries():
    queries = panel_queries()
    groups = {"groups": [{"name": "panels", "rules": [
        {"record": "panel:q%d:x" % i, "expr": query} for i, query in enumerate(queries)]}]}
    r = promtool("check", "rules", write("panels.yaml", groups))
    check_eq(r.returncode, 0, "promtool check rules: " + r.stdout + r.stderr)
    check_in("%d rules found" % len(queries), r.stdout, "promtool check rules")


@suite.test
def every_metric_that_is_asked_for_exists():
    with Daemon() as d:
        there = scrape(d).names() | {"up"}  # Prometheus' own
    queries = rule_queries() + panel_queries()
    check(len(queries) > 40, "only %d queries" % len(queries))
    for query in queries:
        names = names_in(query)
        check(names, "no metric in " + query)
        check_eq(names - there, set(), "metrics that do not exist in " + query)
    asked = {re.sub(r"_(bucket|sum|count)$", "", n) for q in panel_queries() for n in names_in(q)}
    unused = {n for n in there if re.sub(r"_(bucket|sum|count)$", "", n) not in asked} - {"up"}
    check_eq(unused, set(), "metrics that no panel shows")


@suite.test
def labels_that_are_asked_for_exist():
    with Daemon(start=False) as d:
        d.put("broken.yaml", "{")
        d.put("open.yaml", manifest(secret("s", {"k": "1"})), mode=0o644)
        d.start()
        d.wait_problem("InvalidManifest")
        metrics = scrape(d)
    for query in rule_queries() + panel_queries():
        for name, selector in re.findall(r"\b(secretvold_\w+)\{([^}]*)\}", query):
            for label, operator, value in re.findall(r'(\w+)(=~|!=|=)"([^"]*)"', selector):
                if label == "instance":  # Prometheus adds it
                    continue
                values = {dict(k).get(label) for k in metrics.select(name)}
                check(values and None not in values, "no label %s in %s" % (label, query))
                check_in(value, values, "%s %s in %s" % (label, operator, query))
        for by in re.findall(r"\bby *\(([^)]*)\)", query):
            for label in re.split(r", *", by):
                samples = [dict(k) for n in names_in(query) for k in metrics.select(n)]
                check(label == "instance" or any(label in s for s in samples),
                      "no label %s in %s" % (label, query))


@suite.test
def the_dashboard_is_whole():
    panels = read_panels()
    ids = [p["id"] for p in panels]
    check_eq(len(ids), len(set(ids)), "ids")
    taken = {}
    for p in panels:
        g = p["gridPos"]
        check(g["x"] + g["w"] <= 24, "%s is too wide" % p["title"])
        check_in(p["type"], ("row", "stat", "timeseries"), "type of " + p["title"])
        for cell in ((x, y) for x in range(g["x"], g["x"] + g["w"])
                     for y in range(g["y"], g["y"] + g["h"])):
            check(cell not in taken, "%s lies over %s" % (p["title"], taken.get(cell)))
            taken[cell] = p["title"]
        if p["type"] != "row":
            check(p["targets"], p["title"] + " shows nothing")
            for t in p["targets"]:
                check_eq(t["datasource"]["uid"], "${datasource}", "data source of " + p["title"])
                if t["expr"].count("{"):
                    check_in("$instance", t["expr"], "the node's choice in " + p["title"])


# Series that make an alert fire within 30 minutes, and others that must not.
FIRING = {
    "SecretvoldDown": {'up{job="secretvold",instance="n"}': "0x30"},
    "SecretvoldNotReady": {'secretvold_ready{instance="n"}': "0x30"},
    "SecretvoldRestarting": {
        'process_start_time_seconds{job="secretvold",instance="n"}': "0+60x30"},
    "SecretvoldVolumeFailed": {'secretvold_volumes{instance="n",state="Failed"}': "1x30"},
    "SecretvoldVolumeStale": {'secretvold_stale_volumes{instance="n"}': "2x30"},
    "SecretvoldVolumeRefused": {'secretvold_volumes{instance="n",state="Refused"}': "1x30"},
    "SecretvoldWorkersStuck": {'secretvold_stuck_workers{instance="n"}': "1x30"},
    "SecretvoldOperationsFailing": {
        OPERATIONS + '{instance="n",op="update",result="failure",reason="WriteFailed"}': "0+1x30"},
    "SecretvoldSourceNotSynced": {
        'secretvold_source_synced{instance="n",type="manifest",source="/x"}': "0x30"},
    "SecretvoldSourceOutOfStep": {
        'secretvold_source_last_sync_timestamp_seconds{instance="n",type="manifest",source="/x"}':
            "60x30"},
    "SecretvoldSourceErrors": {
        'secretvold_source_errors{instance="n",type="manifest",source="/x",reason="InvalidPod"}':
            "1x30"},
    "SecretvoldPropagationSlow": {
        PROPAGATION + '_bucket{instance="n",le="0.01"}': "0+90x30",
        PROPAGATION + '_bucket{instance="n",le="2.5"}': "0+100x30",
        PROPAGATION + '_bucket{instance="n",le="+Inf"}': "0+100x30"},
    "SecretvoldFileDescriptorsShort": {
        'process_open_fds{job="secretvold",instance="n"}': "900x30",
        'process_max_fds{job="secretvold",instance="n"}': "1024x30"},
}
WELL = {
    'up{job="secretvold",instance="n"}': "1x30",
    'secretvold_ready{instance="n"}': "1x30",
    'process_start_time_seconds{job="secretvold",instance="n"}': "5x30",
    'secretvold_volumes{instance="n",state="Published"}': "7x30",
    'secretvold_volumes{instance="n",state="Refused"}': "0x10 1x3 0x17",  # for 3 minutes only
    'secretvold_volumes{instance="n",state="Failed"}': "0x30",
    'secretvold_stale_volumes{instance="n"}': "0x30",
    'secretvold_stuck_workers{instance="n"}': "0x30",
    OPERATIONS + '{instance="n",op="update",result="success",reason=""}': "0+1x30",
    OPERATIONS + '{instance="n",op="update",result="failure",reason="WriteFailed"}': "3x30",
    'secretvold_source_synced{instance="n",type="manifest",source="/x"}': "1x30",
    'secretvold_source_last_sync_timestamp_seconds{instance="n",type="manifest",source="/x"}':
        "0+60x30",
    PROPAGATION + '_bucket{instance="n",le="0.01"}': "0+99.5x30",
    PROPAGATION + '_bucket{instance="n",le="2.5"}': "0+100x30",
    PROPAGATION + '_bucket{instance="n",le="+Inf"}': "0+100x30",
    'process_open_fds{job="secretvold",instance="n"}': "20x30",
    'process_max_fds{job="secretvold",instance="n"}': "1024x30",
}


def firing(series, time_m=30):
    """The names of the alerts that Prometheus itself raises for these series."""
    rules = read_rules()
    tests = {"rule_files": [write("rules.yaml", rules)], "evaluation_interval": "1m", "tests": [{
        "interval": "1m",
        "input_series": [{"series": k, "values": v} for k, v in series.items()],
        # promtool compares only: what is not expected is a complaint that names the alert
        "alert_rule_test": [{"eval_time": "%dm" % time_m, "alertname": r["alert"], "exp_alerts": []}
                            for g in rules["groups"] for r in g["rules"]]}]}
    r = promtool("test", "rules", write("test.yaml", tests))
    fired = re.findall(r"alertname: *(\w+), time: *\w+, *\n *exp:\[ *\], *\n *got:\[\s*0:",
                       r.stdout + r.stderr)
    check_eq(r.returncode != 0, bool(fired), "promtool test rules: " + r.stdout + r.stderr)
    return fired


@suite.test
def alerts_fire_when_they_should():
    check_eq(set(FIRING), {r["alert"] for g in read_rules()["groups"] for r in g["rules"]},
             "alerts that are tried")
    for alert, series in FIRING.items():
        check_eq(firing(dict(WELL, **series)), [alert], "what fires for %r" % series)
    check_eq(firing({k: v for k, v in WELL.items() if not k.startswith("up")}), ["SecretvoldDown"],
             "what fires when nothing is scraped")


@suite.test
def alerts_are_silent_when_all_is_well():
    check_eq(firing(WELL), [], "what fires")
    check_eq(firing(WELL, 14), [], "what fires while a volume is refused for a moment")


if __name__ == "__main__":
    sys.exit(suite.main())
