#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""bench - what secretvold costs, beside a floor measured in the same run

The floor (floor.c) makes the same volumes by raw system calls, on the same kind of file
system, turn and turn about with what is measured. Every figure that has a goal is marked ok or
MISSED. One manifest file holds one Pod and its Secret as two documents: the form in which a
manifest is edited, and one change of a file is then one change of a volume. What comes from an API
server is in kube_api.py.

Everything happens in a private mount namespace, on tmpfs, as /run is. Needs root.
"""

import argparse
import base64
import ctypes
import gc
import http.client
import json
import os
import select
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import kube_api
from kube_api import percentile

NAMESPACE = "bench"
VOLUME = "secret"
KEYS = ("password", "username")
DEADLINE_S = 60
SETTLE_MS = 100  # a deleted manifest counts only after this long, so that editors may save

CLONE_NEWNS = 0x20000
MS_REC_PRIVATE = 0x4000 | 0x40000
IN_MOVED_TO = 0x80
IN_ONLYDIR = 0x1000000
INOTIFY_EVENT = struct.Struct("iIII")

libc = ctypes.CDLL(None, use_errno=True)


class BenchError(Exception):
    """A measurement that could not be made, or whose result is wrong."""


# ---- small things ------------------------------------------------------------------------------

def check_call(result):
    """The result of a C call, or its errno as an exception."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def enter_private_namespace():
    check_call(libc.unshare(CLONE_NEWNS))
    check_call(libc.mount(None, b"/", None, ctypes.c_ulong(MS_REC_PRIVATE), None))


def until(what, condition, wait=time.sleep):
    """Poll where no event exists. The pause grows with the time passed: 1 % of error at most."""
    begin = time.monotonic()
    while True:
        result = condition()
        passed = time.monotonic() - begin
        if result:
            return result
        if passed > DEADLINE_S:
            raise BenchError(f"{what}: not within {DEADLINE_S} s")
        wait(max(0.001, passed / 100))


def ratio(values, floors):
    """Median over neighbouring runs: what disturbs the machine for a while disturbs both."""
    return statistics.median(v / f for v, f in zip(values, floors))


def mounts_below(path):
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        return sum(line.split(" ", 5)[4].startswith(path + "/") for line in f)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=DEADLINE_S)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def get(path, url):
    """(status, body); status 0 while nobody answers."""
    connection = UnixConnection(path)
    try:
        connection.request("GET", url, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (FileNotFoundError, ConnectionError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


class Inotify:
    """Tells when ..data moved in one of the watched directories."""

    def __init__(self):
        self.fd = check_call(libc.inotify_init1(os.O_CLOEXEC))
        self.poll = select.poll()
        self.poll.register(self.fd, select.POLLIN)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def watch(self, path):
        mask = IN_MOVED_TO | IN_ONLYDIR
        return check_call(libc.inotify_add_watch(self.fd, os.fsencode(path), mask))

    def wait(self, watch, timeout_s):
        """True once something moved in the directory of this watch."""
        end = time.monotonic() + timeout_s
        while self.poll.poll(max(0, (end - time.monotonic()) * 1000)):
            data = os.read(self.fd, 65536)
            at = 0
            seen = False
            while at < len(data):
                wd, _, _, length = INOTIFY_EVENT.unpack_from(data, at)
                at += INOTIFY_EVENT.size + length
                seen = seen or wd == watch
            if seen:
                return True
        return False


# ---- the place where everything happens --------------------------------------------------------

def pod_name(i):
    return f"pod-{i:05d}"


def value(key, i, generation):
    return f"{key}-{i:05d}-{generation}".encode()


def manifest(i, generation=1):
    data = "".join(f"  {key}: {base64.b64encode(value(key, i, generation)).decode()}\n"
                   for key in KEYS)
    return f"""apiVersion: v1
kind: Pod
metadata:
  name: {pod_name(i)}
  namespace: {NAMESPACE}
spec:
  containers:
  - name: app
    image: registry.example/app:1
    volumeMounts:
    - name: {VOLUME}
      mountPath: /etc/secret
      readOnly: true
  volumes:
  - name: {VOLUME}
    secret:
      secretName: secret-{i:05d}
---
apiVersion: v1
kind: Secret
metadata:
  name: secret-{i:05d}
  namespace: {NAMESPACE}
type: Opaque
data:
{data}"""


class Site:
    """A fresh tmpfs with a root directory, a manifest directory and a spare one beside them."""

    def __init__(self, work):
        self.path = os.path.join(work, "site")
        self.root = os.path.join(self.path, "root")
        self.manifests = os.path.join(self.path, "manifests")
        self.spare = os.path.join(self.path, "spare")

    def __enter__(self):
        os.mkdir(self.path)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755,size=75%", "secretvold-bench",
                        self.path], check=True)
        for path in (self.root, self.manifests, self.spare):
            os.mkdir(path, 0o755)
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.path], check=True)  # with all that is mounted below
        os.rmdir(self.path)

    def file(self, i):
        return os.path.join(self.manifests, pod_name(i) + ".yaml")

    def volume(self, i):
        return os.path.join(self.root, "by-name", NAMESPACE, pod_name(i), VOLUME)

    def write_spare(self, i, generation):
        """A manifest beside the directory, to be renamed into it."""
        path = os.path.join(self.spare, pod_name(i) + ".yaml")
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as f:
            f.write(manifest(i, generation))
        return path

    def add_manifests(self, count):
        for i in range(count):
            os.rename(self.write_spare(i, 1), self.file(i))

    def read(self, i, key):
        with open(os.path.join(self.volume(i), "..data", key), "rb") as f:
            return f.read()

    def verify(self, count):
        """Every file of every volume holds what its manifest says, on a mount of its own."""
        for i in range(count):
            for key in KEYS:
                if self.read(i, key) != value(key, i, 1):
                    raise BenchError(f"volume of {pod_name(i)}: wrong content in '{key}'")
        if mounts_below(self.root) != count:
            raise BenchError(f"{mounts_below(self.root)} mounts instead of {count}")

    def generations(self, count):
        return [os.readlink(os.path.join(self.volume(i), "..data")) for i in range(count)]


class Daemon:
    """secretvold on a site; started and stopped as often as wanted."""

    def __init__(self, program, site):
        self.program = program
        self.site = site
        self.socket = os.path.join(site.root, "secretvold.sock")
        self.log = os.path.join(site.path, "log")
        self.process = None
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.notify.setblocking(False)
        self.notify_path = os.path.join(site.path, "notify")
        self.notify.bind(self.notify_path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.notify.close()

    def start(self, count):
        """Seconds from exec until `count` volumes are published and the daemon is ready."""
        with open(self.log, "ab") as log:
            begin = time.monotonic()
            self.process = subprocess.Popen(
                [self.program, "--root-dir", self.site.root, "--manifest-dir",
                 self.site.manifests, "--node-name", "bench"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={"PATH": os.environ.get("PATH", "/usr/bin"),
                     "NOTIFY_SOCKET": self.notify_path})
        until("ready", self.is_ready, self.wait_notify)
        until(f"{count} volumes published", lambda: self.published() == count)
        took = time.monotonic() - begin
        volumes = self.counts()["volumes"]
        if volumes != count:
            raise BenchError(f"{volumes} volumes instead of {count}")
        return took

    def is_ready(self):
        self.check_alive()
        return get(self.socket, "/readyz")[0] == 200

    def wait_notify(self, seconds):
        """READY=1 ends the pause early; /readyz still has the say."""
        if select.select([self.notify], [], [], seconds)[0]:
            self.notify.recv(4096)

    def check_alive(self):
        if self.process.poll() is not None:
            raise BenchError(f"secretvold ended with {self.process.returncode}: {self.log_tail()}")

    def log_tail(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return " | ".join(f.read().splitlines()[-5:]) or "(no output)"

    def counts(self):
        self.check_alive()
        status, body = get(self.socket, "/v1/status")
        if status != 200:
            raise BenchError(f"/v1/status: {status}")
        return json.loads(body)["counts"]

    def published(self):
        return self.counts()["states"]["Published"]

    def stop(self):
        """Seconds from SIGTERM to the end of the process."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            raise BenchError("secretvold does not stop") from None
        if code != 0:
            raise BenchError(f"secretvold ended with {code} after SIGTERM")
        return time.monotonic() - begin

    def memory_kib(self):
        """VmRSS, VmHWM and RssAnon once VmRSS has been the same for half a second."""
        last, since = None, time.monotonic()
        end = since + 5
        while time.monotonic() < end and time.monotonic() - since < 0.5:
            now = self.proc_status("")
            if now["VmRSS"] != last:
                last, since = now["VmRSS"], time.monotonic()
            time.sleep(0.05)  # nothing announces a change of size
        return {name: now[name] for name in ("VmRSS", "VmHWM", "RssAnon")}

    def proc_status(self, below):
        fields = {}
        with open(f"/proc/{self.process.pid}{below}/status", encoding="utf-8") as f:
            for line in f:
                name, _, text = line.partition(":")
                words = text.split()
                if words and words[0].isdigit():
                    fields[name] = int(words[0])
        return fields

    def activity(self):
        """Sums over all threads: wake-ups (voluntary switches) and processor time in ms."""
        wakeups, cpu_ms = 0, 0.0
        for tid in os.listdir(f"/proc/{self.process.pid}/task"):
            below = f"/task/{tid}"
            wakeups += self.proc_status(below)["voluntary_ctxt_switches"]
            cpu_ms += self.thread_cpu_ms(below)
        return wakeups, cpu_ms

    def thread_cpu_ms(self, below):
        try:
            with open(f"/proc/{self.process.pid}{below}/schedstat", encoding="utf-8") as f:
                return int(f.read().split()[0]) / 1e6
        except FileNotFoundError:  # a kernel without it counts in ticks
            with open(f"/proc/{self.process.pid}{below}/stat", encoding="utf-8") as f:
                user, system = f.read().rpartition(")")[2].split()[11:13]
            return (int(user) + int(system)) * 1000 / os.sysconf("SC_CLK_TCK")


# ---- results -----------------------------------------------------------------------------------

class Report:
    def __init__(self):
        self.rows = []
        self.errors = []
        self.skipped = []

    def add(self, section, name, figure, unit, limit=None, note=""):
        """One line; `limit` is the most that the goal allows."""
        ok = None if limit is None else figure <= limit
        self.rows.append({"section": section, "name": name, "value": round(figure, 3),
                          "unit": unit, "limit": limit, "ok": ok, "note": note})
        goal = "" if limit is None else f"<= {limit:g}"
        verdict = {None: "", True: "ok", False: "MISSED"}[ok]
        number = f"{figure:,.0f}" if figure == int(figure) else f"{figure:,.2f}"
        print(f"{section:<8} {name:<37} {number:>10} {unit:<6} {goal:>7} {verdict:<6} {note}"
              .rstrip(), flush=True)

    def fail(self, section, message):
        self.errors.append({"section": section, "error": message})
        print(f"{section:<8} NOT MEASURED: {message}", flush=True)

    def skip(self, section, reason):
        self.skipped.append({"section": section, "reason": reason})
        print(f"{section:<8} SKIPPED: {reason}", flush=True)

    def missed(self):
        return [row for row in self.rows if row["ok"] is False]


class Bench:
    def __init__(self, args, work, report):
        self.args = args
        self.work = work
        self.report = report
        self.daemon_program = os.path.join(args.build, "secretvold")

    def c_program(self, name, count, *options):
        """Run floor or publish on a fresh site; its JSON."""
        program = os.path.join(self.args.build, "tests", "bench", name)
        if not os.path.exists(program):
            raise BenchError(f"{program} does not exist")
        with Site(self.work) as site:
            run = subprocess.run([program, "--root", site.root, "--count", str(count), *options],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 check=False)
        if run.returncode != 0:
            raise BenchError(f"{name}: {run.stderr.strip() or run.returncode}")
        return json.loads(run.stdout)

    def floor_us(self, count, *options):
        return self.c_program("floor", count, *options)["per_volume_us"]

    def start_daemon(self, site, count):
        if not os.path.exists(self.daemon_program):
            raise BenchError(f"{self.daemon_program} does not exist")
        site.add_manifests(count)
        return Daemon(self.daemon_program, site)

    # ---- sections: one method each, in the order of SECTIONS ----

    def repeats(self, count):
        """More of what is short: a hundred volumes are 10 ms, which anything disturbs."""
        many = {1: 9, 100: 9, 1000: 5, 5000: 3}[count]
        return many // 5 or 1 if self.args.quick else many

    def counts(self):
        return (1, 100, 1000) if self.args.quick else (1, 100, 1000, 5000)

    def publish(self):
        add = self.report.add
        empty = statistics.median(self.publish_once(0) for _ in range(self.repeats(1)))
        add("publish", "start with no volumes", empty * 1e3, "ms", note="exec to ready")
        for count in self.counts():
            floor, daemon = [], []
            for _ in range(self.repeats(count)):
                floor.append(self.floor_us(count))
                daemon.append(self.publish_once(count) * 1e6 / count)
            daemon_us = statistics.median(daemon)
            name = f"{count} volume{'s' if count > 1 else ''} of 2 keys"
            add("publish", f"{name}: floor", statistics.median(floor), "us/vol")
            add("publish", f"{name}: secretvold", daemon_us, "us/vol",
                note=f"{daemon_us * count / 1e3:.1f} ms from exec to all published")
            add("publish", f"{name}: ratio", ratio(daemon, floor), "x",
                limit=3 if count == 1000 else None)

    def publish_once(self, count):
        with Site(self.work) as site, self.start_daemon(site, count) as daemon:
            took = daemon.start(count)
            site.verify(count)
            daemon.stop()
        return took

    def library(self):
        add = self.report.add
        costs = {}
        for count in [c for c in self.counts() if c > 1]:
            costs[count] = self.beside_floor(f"{count} plans to mounts", "per_volume_us", count,
                                             limit=1.5)
        most = max(costs)
        add("library", f"cost at {most} beside 100", costs[most] / costs[100], "x", limit=1.2,
            note="flat")
        self.beside_floor("1000 updates", "per_volume_us", 1000, "--update",
                          note="with a comparison before, and the old content overwritten")
        self.beside_floor("1000 removals", "remove_per_volume_us", 1000,
                          note="with the content overwritten")

    def beside_floor(self, name, field, count, *options, limit=None, note=""):
        """floor.c and publish.c in turn; what the library takes for a volume."""
        floor, library = [], []
        for _ in range(self.repeats(count)):
            floor.append(self.c_program("floor", count, *options)[field])
            library.append(self.c_program("publish", count, *options)[field])
        library_us = statistics.median(library)
        self.report.add("library", f"{name}: floor", statistics.median(floor), "us/vol")
        self.report.add("library", f"{name}: library", library_us, "us/vol", note=note)
        self.report.add("library", f"{name}: ratio", ratio(library, floor), "x", limit=limit)
        return library_us

    def update(self):
        updates = 100 if self.args.quick else 500
        floor = self.floor_us(updates, "--update")
        with Site(self.work) as site, self.start_daemon(site, 1000) as daemon, \
                Inotify() as inotify:
            daemon.start(1000)
            took = self.update_all(site, inotify, updates)
            kib = daemon.memory_kib()
            daemon.stop()
        add = self.report.add
        note = f"{updates} updates of one manifest each, 1000 volumes present"
        add("update", "floor", floor / 1e3, "ms", note="the file system's part alone")
        add("update", "rename to content read: p50", percentile(took, 50), "ms", limit=2,
            note=note)
        add("update", "rename to content read: p99", percentile(took, 99), "ms", limit=10)
        add("update", "rename to content read: longest", max(took), "ms")
        add("update", "VmRSS afterwards", kib["VmRSS"] / 1024, "MiB",
            note=f"anonymous {kib['RssAnon'] / 1024:.1f}, high water {kib['VmHWM'] / 1024:.1f}")

    def update_all(self, site, inotify, updates):
        """Milliseconds of each update, one after the other, each of another volume."""
        volumes = [i * 1000 // updates for i in range(updates)]
        watches = {i: inotify.watch(site.volume(i)) for i in volumes}
        gc.disable()
        try:
            return [self.update_one(site, inotify, watches[i], i) for i in volumes]
        finally:
            gc.enable()

    def update_one(self, site, inotify, watch, i):
        """From before the manifest is renamed into place until a reader has the new content."""
        spare, target, want = site.write_spare(i, 2), site.file(i), value("username", i, 2)
        begin = time.perf_counter_ns()
        os.rename(spare, target)
        while inotify.wait(watch, DEADLINE_S):
            if site.read(i, "username") == want:
                return (time.perf_counter_ns() - begin) / 1e6
        raise BenchError(f"update of {pod_name(i)} not seen within {DEADLINE_S} s")

    def restart(self):
        start, stop, rewritten = [], [], 0
        with Site(self.work) as site, self.start_daemon(site, 1000) as daemon:
            daemon.start(1000)
            before = site.generations(1000)
            for _ in range(self.repeats(1000)):
                stop.append(daemon.stop() * 1e3)
                start.append(daemon.start(1000) * 1e3)
            site.verify(1000)
            after = site.generations(1000)
            rewritten = sum(a != b for a, b in zip(before, after))
            daemon.stop()
        add = self.report.add
        add("restart", "1000 volumes mounted: stop", statistics.median(stop), "ms",
            note="SIGTERM to exit; the mounts stay")
        add("restart", "1000 volumes mounted: start", statistics.median(start), "ms",
            note="exec to ready")
        add("restart", "volumes written anew by it", rewritten, "", limit=0)

    def remove(self):
        floor, took = [], []
        for _ in range(self.repeats(1000)):
            floor.append(self.c_program("floor", 1000)["remove_per_volume_us"])
            took.append(self.remove_once())
        ms = statistics.median(took)
        self.report.add("remove", "floor", statistics.median(floor), "us/vol")
        self.report.add("remove", "1000 volumes", ms, "ms",
                        note=f"first manifest renamed away to last mount gone; "
                             f"{SETTLE_MS} ms of it are settle time")
        self.report.add("remove", "without the settle time", (ms - SETTLE_MS) * 1e3 / 1000,
                        "us/vol")

    def remove_once(self):
        with Site(self.work) as site, self.start_daemon(site, 1000) as daemon:
            daemon.start(1000)
            begin = time.monotonic()
            for i in range(1000):
                os.rename(site.file(i), os.path.join(site.spare, pod_name(i)))
            until("all volumes removed", lambda: daemon.counts()["volumes"] == 0)
            until("all mounts gone", lambda: mounts_below(site.root) == 0)
            took = (time.monotonic() - begin) * 1e3
            body = json.loads(get(daemon.socket, "/v1/volumes")[1])
            if body["items"]:
                raise BenchError(f"{len(body['items'])} volumes are still listed")
            daemon.stop()
        return took

    def memory(self):
        for count in (0, 100, 1000):
            with Site(self.work) as site, self.start_daemon(site, count) as daemon:
                daemon.start(count)
                kib = daemon.memory_kib()
                daemon.stop()
            self.report.add("memory", f"{count} volumes: VmRSS", kib["VmRSS"] / 1024, "MiB",
                            limit=12 if count == 1000 else None,
                            note=f"anonymous {kib['RssAnon'] / 1024:.1f}, "
                                 f"high water {kib['VmHWM'] / 1024:.1f}")

    def idle(self):
        seconds = 5 if self.args.quick else 10
        with Site(self.work) as site, self.start_daemon(site, 1000) as daemon:
            daemon.start(1000)
            daemon.memory_kib()  # waits until it has settled
            wakeups, cpu_ms = daemon.activity()
            time.sleep(seconds)  # that nothing happens is what is measured
            wakeups_after, cpu_ms_after = daemon.activity()
            daemon.check_alive()
            daemon.stop()
        self.report.add("idle", "1000 volumes: wake-ups in 5 s",
                        (wakeups_after - wakeups) * 5 / seconds, "", limit=1,
                        note=f"{wakeups_after - wakeups} in {seconds} s, all threads")
        self.report.add("idle", f"processor time in {seconds} s", cpu_ms_after - cpu_ms, "ms")

    def kube(self):
        try:
            kube_api.measure(self.report.add, self.args.build, self.args.outage,
                             100 if self.args.quick else kube_api.N_UPDATES)
        except kube_api.harness.Skip as e:
            self.report.skip("kube", str(e))


SECTIONS = ("publish", "library", "update", "restart", "remove", "memory", "idle", "kube")


# ---- main --------------------------------------------------------------------------------------

def parse_args():
    parser = argparse.ArgumentParser(description="Figures of secretvold beside a floor.")
    parser.add_argument("--build", default="build", help="build directory (build)")
    parser.add_argument("--only", action="append", choices=SECTIONS, metavar="SECTION",
                        help="repeatable: " + ", ".join(SECTIONS))
    parser.add_argument("--json", metavar="FILE", help="where the JSON goes (BUILD/bench.json)")
    parser.add_argument("--quick", action="store_true", help="no repeats, no 5000")
    parser.add_argument("--outage", type=int, metavar="SECONDS",
                        help="how long the API server is away (60; with --quick 10)")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a goal is missed")
    args = parser.parse_args()
    args.build = os.path.abspath(args.build)
    args.outage = args.outage or (10 if args.quick else 60)
    args.json = os.path.abspath(args.json or os.path.join(args.build, "bench.json"))
    return args


def machine():
    with open("/proc/meminfo", encoding="utf-8") as f:
        kib = int(f.readline().split()[1])
    return {"kernel": os.uname().release, "processors": os.cpu_count(),
            "memoryMiB": kib // 1024, "loadAtStart": os.getloadavg()[0]}


def run_sections(args, work, report):
    bench = Bench(args, work, report)
    for section in SECTIONS:
        if args.only and section not in args.only:
            continue
        try:
            getattr(bench, section)()
        except (BenchError, OSError, subprocess.SubprocessError, AssertionError) as e:
            report.fail(section, str(e))


def main():
    args = parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: needs root: it mounts")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that everything is cleaned up
    enter_private_namespace()

    result = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "machine": machine()}
    print(f"Linux {result['machine']['kernel']}, {result['machine']['processors']} processors, "
          f"load {result['machine']['loadAtStart']:.2f}; medians of several runs")
    report = Report()
    begin = time.monotonic()
    work = tempfile.mkdtemp(prefix="secretvold-bench.", dir="/run")
    try:
        run_sections(args, work, report)
    finally:
        shutil.rmtree(work)

    result["seconds"] = round(time.monotonic() - begin, 1)
    result["machine"]["loadAtEnd"] = os.getloadavg()[0]
    result["figures"] = report.rows
    result["errors"] = report.errors
    result["skipped"] = report.skipped
    with open(args.json, "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
        f.write("\n")
    print(json.dumps(result))
    goals = [row for row in report.rows if row["ok"] is not None]
    print(f"{len(goals) - len(report.missed())} of {len(goals)} goals met, "
          f"{len(report.errors)} sections not measured, {len(report.skipped)} skipped, "
          f"{result['seconds']} s; {args.json}")
    return 1 if report.errors or (args.strict and report.missed()) else 0


if __name__ == "__main__":
    sys.exit(main())
