# SPDX-License-Identifier: Apache-2.0
"""A real Kubernetes API server for the suites that need one: etcd and kube-apiserver on loopback.

    import cluster

    @suite.test
    def a_pod_of_this_node_gets_its_volume():
        k = cluster.shared()                     # Skip, where there is none to start
        k.apply(harness.secret("s", {"k": "1"}))
        with Daemon(args=["--kubeconfig", k.node_kubeconfig, "--node-name", k.node_name]) as d:
            ...

    if __name__ == "__main__":
        sys.exit(cluster.main(suite))

The programs that start and stop it are no part of this repository: a directory with `up` and
`down`, named by the environment variable SV_CLUSTER, by default ../shared/cluster beside the
repository. `up` starts it on loopback, at ten ports from CLUSTER_PORT on, and returns when it is
ready; in CLUSTER_DIR it leaves admin.kubeconfig, node.kubeconfig, node-b.kubeconfig, pki/ca.crt,
log/, and run/kube-apiserver.pid, and started once more it starts what has ended. `down --purge`
ends it and removes that directory. Without them, or without etcd, kubectl, openssl, xz or curl,
tests are skipped and say why. A cluster that KUBECONFIG names is somebody's, and never used.

Each Cluster has a state directory and ten ports of its own, so that suites may run at the same
time. It ends with the suite that started it, also when that is killed.
"""

import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading

import harness
from harness import check

N_PORTS = 10
FIRST_PORT, LAST_PORT = 26500, 32490  # below what the kernel hands out to clients (32768)
UP_DEADLINE_S = 240
STOP_DEADLINE_S = 20  # as `down` has it
TOOLS = ("bash", "curl", "etcd", "kubectl", "openssl", "xz")

# Owns the cluster from its start to its end, which is when nobody holds the other end of stdin any
# more: so a killed suite leaves nothing behind, even one killed while `up` ran.
KEEPER = """\
"$1/up" $2 >"$CLUSTER_DIR/up.log" 2>&1
r=$?
trap '' PIPE
echo $r
read -r _
exec "$1/down" --purge 2>&1
"""


def scripts():
    """The directory that holds `up` and `down`, whether it exists or not."""
    return os.path.abspath(os.environ.get("SV_CLUSTER")
                           or os.path.join(harness.REPO, "..", "shared", "cluster"))


def why_not():
    """Why no API server can be started here; None where it can."""
    for name in ("up", "down"):
        if not os.access(os.path.join(scripts(), name), os.X_OK):
            return "no Kubernetes API server to start (SV_CLUSTER)"
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        return "an API server needs " + ", ".join(missing)
    return None


_shared = None
_shared_lock = threading.Lock()


def shared():
    """The one Cluster of this suite: started when first asked for, stopped by main()."""
    global _shared
    reason = why_not()
    if reason:
        raise harness.Skip(reason)
    with _shared_lock:
        if _shared is None:
            _shared = Cluster()
            _shared.start()
        elif not _shared.is_up:
            raise AssertionError("the API server did not start, see the first test")
    return _shared


def main(suite):
    """suite.main(), after which the shared cluster is taken down."""
    try:
        return suite.main()
    finally:
        if _shared is not None:
            _shared.stop()


class Cluster:
    """An API server with the Node `node-a`, authorizers Node and RBAC, NodeRestriction, and TLS.

    with Cluster() as k: starts it and takes it down. Attributes, once it is up:

    url                  https://127.0.0.1:PORT
    ca_file              the CA of the server's certificate
    node_name            node-a; a Pod created with this spec.nodeName is the node's (no scheduler)
    admin_kubeconfig     may do everything
    node_kubeconfig      system:node:node-a, as its kubelet: Secrets by name, of its own Pods alone
    stranger_kubeconfig  system:node:node-b, of which no Node object exists
    log_dir              etcd.log, kube-apiserver.log

    controllers=True also starts kube-controller-manager: service accounts and their tokens.
    """

    def __init__(self, controllers=False):
        self.mode = "--controllers" if controllers else ""
        self.node_name = "node-a"
        self.is_up = False
        self.dir = None
        self.keeper = None
        self.port = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    # -- start and stop

    def start(self):
        """Raises Skip where it cannot be had, AssertionError where it should have come up."""
        reason = why_not()
        if reason:
            raise harness.Skip(reason)
        for port in range(FIRST_PORT, LAST_PORT, N_PORTS):
            lock = reserve_ports(port)
            if lock is None:
                continue
            with lock:  # the keeper and all that it starts hold it on
                complaint = self._start_at(port, lock)
            if complaint is None:
                return self
            self.stop()
            # A program that does not know of our locks may have been quicker.
            check("address already in use" in complaint, "the API server: %s" % complaint)
        raise AssertionError("no %d free ports from %d to %d" % (N_PORTS, FIRST_PORT, LAST_PORT))

    def _start_at(self, port, lock):
        """None, or what `up` said."""
        self.dir = tempfile.mkdtemp(prefix="secretvold-cluster.")
        self.port = port
        self.url = "https://127.0.0.1:%d" % port
        self.ca_file = os.path.join(self.dir, "pki", "ca.crt")
        self.log_dir = os.path.join(self.dir, "log")
        self.keeper = subprocess.Popen(
            ["bash", "-c", KEEPER, "cluster-keeper", scripts(), self.mode],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=self._environment(), cwd="/", pass_fds=[lock.fileno()], start_new_session=True)
        ready, _, _ = select.select([self.keeper.stdout], [], [], UP_DEADLINE_S)
        if not ready or self.keeper.stdout.readline().strip() != "0":
            return self._said("up.log")
        # Copies, since `up` writes its own anew when it starts the API server again.
        for attribute, name in (("admin_kubeconfig", "admin"), ("node_kubeconfig", "node"),
                                ("stranger_kubeconfig", "node-b")):
            path = os.path.join(self.dir, "%s-copy.kubeconfig" % name)
            shutil.copy(os.path.join(self.dir, name + ".kubeconfig"), path)
            setattr(self, attribute, path)
        self.is_up = True
        return None

    def stop(self):
        """Takes it down and removes its state; nothing to do if it never started."""
        self.is_up = False
        if self.keeper is None:
            return
        keeper, self.keeper = self.keeper, None
        said, _ = keeper.communicate("done\n")
        check(keeper.returncode == 0 and not os.path.exists(self.dir),
              "the API server was not taken down: status %d: %s" % (keeper.returncode, said.strip()))

    def _environment(self):
        """The caller's, less what would lead to somebody's cluster or through a proxy."""
        env = {k: v for k, v in os.environ.items()
               if k != "KUBECONFIG" and not k.startswith("CLUSTER_")
               and not re.fullmatch("(https?|all|no)_proxy", k, re.I)}
        return dict(env, CLUSTER_DIR=self.dir, CLUSTER_PORT=str(self.port))

    def _said(self, *name):
        try:
            return harness.read_file(os.path.join(self.dir, *name)).decode("utf-8", "replace")
        except FileNotFoundError:
            return "nothing in %s" % os.path.join(*name)

    # -- outages

    def apiserver_pid(self):
        """For SIGSTOP and SIGCONT: a server that takes connections and does not answer."""
        return int(self._said("run", "kube-apiserver.pid").split()[0])

    def stop_apiserver(self, signum=signal.SIGKILL):
        """Returns when it has ended. Its clients see connections closed, then refused.

        SIGTERM refuses new ones at once and lets watches go on: it is killed after 20 s of that.
        """
        pidfd = os.pidfd_open(self.apiserver_pid())
        try:
            for s, deadline_s in ((signum, STOP_DEADLINE_S), (signal.SIGKILL, harness.DEADLINE_S)):
                signal.pidfd_send_signal(pidfd, s)
                if select.select([pidfd], [], [], deadline_s)[0]:
                    # `up` would take one that has ended, but is not reaped, for running
                    os.unlink(os.path.join(self.dir, "run", "kube-apiserver.pid"))
                    return
            raise harness.Deadline("kube-apiserver did not end")
        finally:
            os.close(pidfd)

    def start_apiserver(self):
        """After stop_apiserver(): same address, same objects. Returns when it is ready."""
        done = subprocess.run([os.path.join(scripts(), "up")] + self.mode.split(), text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env=self._environment(), cwd="/",
                              timeout=UP_DEADLINE_S, check=False, start_new_session=True)
        check(done.returncode == 0, "the API server did not start again: %s" % done.stdout)

    def restart_apiserver(self, signum=signal.SIGKILL):
        self.stop_apiserver(signum)
        self.start_apiserver()

    # -- objects

    def request(self, method, path, body=None, content_type="application/json", want=(200, 201),
                as_user="admin"):
        """The answer's object: over one connection a thread, much quicker than kubectl."""
        mine = self.__dict__.setdefault("_connections", threading.local())
        connections = mine.__dict__.setdefault("by_user", {})
        if as_user not in connections:
            context = ssl.create_default_context(cafile=self.ca_file)
            context.load_cert_chain(os.path.join(self.dir, "pki", as_user + ".crt"),
                                    os.path.join(self.dir, "pki", as_user + ".key"))
            connections[as_user] = http.client.HTTPSConnection("127.0.0.1", self.port,
                                                               context=context, timeout=30)
        connection = connections[as_user]
        text = None if body is None else json.dumps(body)
        for last in (False, True):
            try:
                connection.request(method, path, text, {"Content-Type": content_type})
                answer = connection.getresponse()
                data = answer.read()
                break
            except (http.client.HTTPException, OSError):  # the server closes idle connections
                connection.close()
                if last:
                    raise
        if want and answer.status not in want:
            raise AssertionError("%s %s: %d %s" % (method, path, answer.status,
                                                   harness.shorten(data.decode())))
        return json.loads(data)

    @staticmethod
    def path_of(kind, name="", namespace="default"):
        return "/api/v1/namespaces/%s/%ss%s" % (namespace, kind.lower(), "/" + name if name else "")

    def create(self, *objects):
        """Pods and Secrets, which must not exist yet; a Pod is bound to the node if it says nothing."""
        for o in objects:
            if o["kind"] == "Pod":
                o["spec"].setdefault("nodeName", self.node_name)
            self.request("POST", self.path_of(o["kind"], "", o["metadata"].get("namespace", "default")),
                         o)

    def patch(self, kind, name, patch, namespace="default", subresource=""):
        path = self.path_of(kind, name, namespace) + subresource
        return self.request("PATCH", path, patch, "application/strategic-merge-patch+json")

    def remove(self, kind, *names, namespace="default", grace_s=0):
        """Deletes; what is not there is fine."""
        for name in names:
            self.request("DELETE", self.path_of(kind, name, namespace) +
                         "?gracePeriodSeconds=%d" % grace_s, want=(200, 404))

    def kubectl(self, *args, kubeconfig=None, input=None, want_status=0, deadline_s=60):
        """CompletedProcess with text output, as the admin; want_status None takes any."""
        done = subprocess.run(
            ["kubectl", "--kubeconfig", kubeconfig or self.admin_kubeconfig,
             "--cache-dir", os.path.join(self.dir, "kubectl-cache")] + list(args),
            text=True, capture_output=True, timeout=deadline_s, env=self._environment(), cwd="/",
            check=False, **({"stdin": subprocess.DEVNULL} if input is None else {"input": input}))
        if want_status is not None and done.returncode != want_status:
            raise AssertionError("kubectl %s: status %d: %s" % (
                " ".join(args), done.returncode, harness.shorten(done.stderr.strip())))
        return done

    def get(self, *args, **options):
        """What `kubectl get ARGS` gives, as an object."""
        return json.loads(self.kubectl("get", *args, "-o", "json", **options).stdout)

    def apply(self, *objects):
        self.kubectl("apply", "-f", "-", input=harness.manifest(*objects))

    def delete(self, *args):
        """At once: no kubelet is there to confirm that a Pod has ended."""
        self.kubectl("delete", "--grace-period=0", "--force", "--ignore-not-found", *args)

    def make_namespace(self, name):
        """With the service account `default`, without which no Pod is admitted."""
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
                   {"apiVersion": "v1", "kind": "ServiceAccount",
                    "metadata": {"name": "default", "namespace": name},
                    "automountServiceAccountToken": False})


def reserve_ports(first):
    """A socket that reserves ten ports among suites for as long as it is open, or None.

    The name of an abstract socket is a lock that the kernel releases. The ports are tried as well:
    a cluster that was started by hand knows nothing of it.
    """
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        lock.bind("\0secretvold-test-cluster-%d" % first)
        for port in range(first, first + N_PORTS):
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # TIME_WAIT is free
                probe.bind(("127.0.0.1", port))
    except OSError:
        lock.close()
        return None
    return lock
