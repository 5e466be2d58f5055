# SPDX-License-Identifier: Apache-2.0
"""The section `kube` of bench.py: a node of 500 Pods on a real API server, and what it costs.

The API server is the one of tests/support/cluster.py; where there is none, the section is skipped
and says why. An update is timed by one thread that spins over three things: the connection on
which it was written, a bare watch of all Secrets (TLS, HTTP/1.1, no more than looking for the new
value in what arrives), and the file. So the floor of an update is of that same update.
"""

import base64
import concurrent.futures
import gc
import json
import os
import re
import socket
import ssl
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cluster  # noqa: E402
import harness  # noqa: E402

N_PODS = 500
N_UPDATES = 500
N_WRITERS = 4  # connections that create
SECRETS = "/api/v1/namespaces/default/secrets"
AFTER_OUTAGE_S = 10
DEADLINE_S = 60

# Measured once, on this kind of machine: another program's figure is quoted, not computed.
KUBELET = ("kubelet 1.20.2, default settings (syncFrequency 1m, change detection Watch), 12 Pods, "
           "24 updates, 2 processors: 41.0 s median, 7.0 to 83.2 s")


def name_of(i):
    return f"p{i:03d}"


def value(i, generation):
    return f"value-{i:03d}-{generation}"


def kib_of(pid, field):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return int(re.search(rf"^{field}:\s+(\d+)", f.read(), re.M).group(1))


def established(pid):
    """TCP connections of a process, as the kernel has them."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            inodes.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:
            pass  # closed meanwhile
    n = 0
    for table in ("tcp", "tcp6"):
        with open(f"/proc/{pid}/net/{table}", encoding="utf-8") as f:
            rows = [line.split() for line in f][1:]
        n += sum(row[3] == "01" and f"socket:[{row[9]}]" in inodes for row in rows)
    return n


def scheduled_ms(pid):
    """Over all threads: milliseconds on a processor, and milliseconds of waiting for one."""
    ran = waited = 0
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/schedstat", encoding="utf-8") as f:
            fields = f.read().split()
        ran += int(fields[0]) / 1e6
        waited += int(fields[1]) / 1e6
    return ran, waited


class Line:
    """A TLS connection to the API server as its admin, read without waiting."""

    def __init__(self, k):
        context = ssl.create_default_context(cafile=k.ca_file)
        context.load_cert_chain(os.path.join(k.dir, "pki", "admin.crt"),
                                os.path.join(k.dir, "pki", "admin.key"))
        raw = socket.create_connection(("127.0.0.1", k.port), DEADLINE_S)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(raw, server_hostname="127.0.0.1")
        self.data = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, method, path, body=None):
        text = b"" if body is None else json.dumps(body).encode()
        self.data = b""
        self.socket.setblocking(True)
        self.socket.sendall((f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                             "Accept: application/json\r\n"
                             "Content-Type: application/merge-patch+json\r\n"
                             f"Content-Length: {len(text)}\r\n\r\n").encode() + text)
        self.socket.setblocking(False)

    def look(self):
        try:
            data = self.socket.recv(65536)
        except ssl.SSLWantReadError:
            return
        if not data:
            raise AssertionError("the API server closed the connection")
        self.data += data

    def answered(self):
        """Is the answer whole?"""
        self.look()
        head, separator, body = self.data.partition(b"\r\n\r\n")
        if not separator:
            return False
        if not head.startswith(b"HTTP/1.1 200"):
            raise AssertionError("the API server refused an update: %s" % head[:80])
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        return len(body) >= int(length.group(1)) if length else body.endswith(b"0\r\n\r\n")

    def has(self, text):
        self.look()
        return text in self.data


class Node:
    """A daemon whose Pods and Secrets are at the API server."""

    def __init__(self, k, daemon):
        self.k = k
        self.daemon = daemon
        self.pid = daemon.process.pid  # setpriv has become it

    def path(self, i):
        return os.path.join(self.daemon.root, "by-name", "default", name_of(i), "v", "..data", "k")

    def published(self):
        return self.daemon.status()["counts"]["states"]["Published"]

    def connections(self):
        return sum(s["connections"] for s in self.daemon.status()["sources"]
                   if s["type"] == "kubernetes")

    def metrics(self):
        text = self.daemon.client.get("/metrics")[1]
        return text.decode() if isinstance(text, bytes) else text

    def sent(self):
        return int(re.search(r"^secretvold_api_requests_sent_total (\d+)", self.metrics(),
                             re.M).group(1))

    def ended(self):
        """Requests by "VERB CODE"."""
        return {f"{verb} {code}": int(n) for verb, code, n in re.findall(
            r'^secretvold_api_requests_total\{verb="(\w+)",code="(\w+)"\} (\d+)',
            self.metrics(), re.M)}

    def wait_live(self, i, generation):
        """A change made now arrives: it is in touch with the server again."""
        self.k.patch("Secret", name_of(i), {"stringData": {"k": value(i, generation)}})
        want = value(i, generation).encode()
        harness.poll_until(lambda: harness.read_file(self.path(i)) == want,
                           "an update after the outage", DEADLINE_S)


def in_parallel(function):
    """function(i) for each Pod; the times of the first and the last that was done."""
    def timed(i):
        function(i)
        return time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(N_WRITERS) as pool:
        done = list(pool.map(timed, range(N_PODS)))
    return min(done), max(done)


def bind_all(node):
    """Seconds until all are published: from the first and the last create acknowledged."""
    k = node.k
    in_parallel(lambda i: k.create(harness.secret(name_of(i), {"k": value(i, 0)})))
    first, last = in_parallel(
        lambda i: k.create(harness.pod(name_of(i), {"v": name_of(i)})))
    harness.poll_until(lambda: node.published() == N_PODS, "500 Pods published", DEADLINE_S, 0.005)
    now = time.monotonic()
    for i in range(N_PODS):
        harness.check_eq(harness.read_file(node.path(i)).decode(), value(i, 0), name_of(i))
    return now - first, now - last


def read(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.read(fd, 64)
    finally:
        os.close(fd)


def update_one(node, writer, watch, i, generation):
    """Milliseconds since the request was sent: acknowledged, event of the bare watch, content."""
    text = value(i, generation)
    encoded = base64.b64encode(text.encode())
    path, want = node.path(i), text.encode()
    acknowledged = arrived = visible = None
    watch.data = b""
    end = time.monotonic() + DEADLINE_S
    sent = time.perf_counter_ns()
    writer.send("PATCH", f"{SECRETS}/{name_of(i)}", {"data": {"k": encoded.decode()}})
    while acknowledged is None or arrived is None or visible is None:
        if acknowledged is None and writer.answered():
            acknowledged = time.perf_counter_ns()
        if arrived is None and watch.has(encoded):
            arrived = time.perf_counter_ns()
        if visible is None and read(path) == want:
            visible = time.perf_counter_ns()
        if time.monotonic() > end:
            raise AssertionError(f"update of {name_of(i)} not seen within {DEADLINE_S} s")
    return [(t - sent) / 1e6 for t in (acknowledged, arrived, visible)]


def update_all(node, updates):
    """What update_one() tells of each update."""
    version = node.k.request("GET", f"{SECRETS}?limit=1")["metadata"]["resourceVersion"]
    with Line(node.k) as writer, Line(node.k) as watch:
        watch.send("GET", f"{SECRETS}?watch=1&resourceVersion={version}")
        gc.disable()
        try:
            return [update_one(node, writer, watch, i * N_PODS // updates, 1)
                    for i in range(updates)]
        finally:
            gc.enable()


def outage(node, seconds):
    """Requests sent while the server was away; from its start on; and how the latter ended."""
    before = node.sent()
    node.k.stop_apiserver()
    try:
        time.sleep(seconds)  # that nothing answers is what is measured
        during, ended = node.sent(), node.ended()
    finally:
        node.k.start_apiserver()
    time.sleep(AFTER_OUTAGE_S)
    after, ended_after = node.sent(), node.ended()
    node.wait_live(0, 2)
    ends = [f"{n - ended[what]} {what}" for what, n in ended_after.items() if n > ended[what]]
    return during - before, after - during, ", ".join(ends)


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def add_updates(add, updates):
    early = sum(visible < acknowledged for acknowledged, _, visible in updates)
    bare = [max(0, arrived - acknowledged) for acknowledged, arrived, _ in updates]
    daemon = [max(0, visible - acknowledged) for acknowledged, _, visible in updates]
    note = f"{len(updates)} updates of a Secret each, {N_PODS} volumes present"
    add("kube", "acknowledged to bare watch: p50", percentile(bare, 50), "ms",
        note="the floor; it spins, so nobody has to be woken")
    add("kube", "acknowledged to bare watch: p99", percentile(bare, 99), "ms")
    add("kube", "acknowledged to content read: p50", percentile(daemon, 50), "ms", limit=5,
        note=note)
    add("kube", "acknowledged to content read: p99", percentile(daemon, 99), "ms", limit=25,
        note=f"longest {max(daemon):.1f}")
    add("kube", "visible before acknowledged", early, "", note="counted as 0 ms above")
    add("kube", "request sent to bare watch: p50", statistics.median(u[1] for u in updates), "ms")
    add("kube", "request sent to content read: p50", statistics.median(u[2] for u in updates), "ms")
    add("kube", "request sent to both: ratio",
        statistics.median(visible / arrived for _, arrived, visible in updates), "x",
        note=f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print(f"{'kube':<8} quoted, not measured here: {KUBELET}", flush=True)


def measure(add, build, outage_s, updates=N_UPDATES):
    """add(section, name, figure, unit, limit=, note=) for each figure; Skip without a server."""
    harness.options.build = build
    with cluster.Cluster() as k:
        version = k.request("GET", "/version")["gitVersion"]
        args = ["--kubeconfig", k.node_kubeconfig, "--node-name", k.node_name]
        with harness.Daemon(args=args, n_manifest_dirs=0) as daemon:
            node = Node(k, daemon)
            add("kube", "no Pods: VmRSS", kib_of(node.pid, "VmRSS") / 1024, "MiB",
                note=f"kube-apiserver {version}, etcd, TLS on loopback; as system:node")
            first, last = bind_all(node)
            add("kube", "500 Pods: from first create", first, "s",
                note=f"{N_WRITERS} connections; the server takes {first - last:.2f} s of it")
            add("kube", "500 Pods: from last create", last, "s", note="to all published")
            add("kube", "500 Secrets watched: VmRSS", kib_of(node.pid, "VmRSS") / 1024, "MiB",
                limit=25, note=f"anonymous {kib_of(node.pid, 'RssAnon') / 1024:.1f}, "
                f"high water {kib_of(node.pid, 'VmHWM') / 1024:.1f}")
            add("kube", "TCP connections", established(node.pid), "",
                note=f"by the kernel; by its own count {node.connections()}")
            before = scheduled_ms(node.pid)
            add_updates(add, update_all(node, updates))
            ran, waited = (b - a for a, b in zip(before, scheduled_ms(node.pid)))
            add("kube", "processor time of an update", ran / updates, "ms",
                note=f"and {waited / updates:.1f} of waiting for a processor that others had")
            add("kube", "VmRSS after the updates", kib_of(node.pid, "VmRSS") / 1024, "MiB",
                limit=25)
            during, after, ends = outage(node, outage_s)
            add("kube", f"outage of {outage_s} s: requests sent", during, "")
            add("kube", f"start and {AFTER_OUTAGE_S} s: requests sent", after, "",
                note=f"ended: {ends}; the others are open watches")
            harness.check_eq(daemon.stop(), 0, "exit status")
