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
tests are skipped and say why.

Each Cluster has a state directory and ten ports of its own, so that suites may run at the same
time. It ends with the suite that started it, also when that is killed.

With SV_CLUSTER=kubeconfig the server is one that is there already: that of the current context of
KUBECONFIG, whose user must be allowed everything. KUBECONFIG alone is not enough, as it may be
anybody's and any day's. See Elsewhere for what is done there; what needs a server of the suite's
own (own()) is skipped.
"""

import base64
import copy
import http.client
import json
import os
import re
import secrets
import select
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import urllib.parse

import harness
from harness import check

N_PORTS = 10
FIRST_PORT, LAST_PORT = 26500, 32490  # below what the kernel hands out to clients (32768)
UP_DEADLINE_S = 240
STOP_DEADLINE_S = 20  # as `down` has it
TOOLS = ("bash", "curl", "etcd", "kubectl", "openssl", "xz")
NOT_OURS = "needs an API server of its own, and SV_CLUSTER=kubeconfig"

IS_ELSEWHERE = os.environ.get("SV_CLUSTER") == "kubeconfig"
RUN = "secretvold-test-" + secrets.token_hex(4)
LABEL = "secretvold-test-run"  # of what apply() and make_namespace() have made; its value is RUN
# Where Pods and Secrets of a suite are.
NAMESPACE = RUN if IS_ELSEWHERE else "default"

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

# The same for what was made in a cluster that was there: $1 is a directory with its kubeconfig.
SWEEPER = """\
trap '' PIPE
read -r _
said=$(kubectl --kubeconfig "$1/admin.kubeconfig" --cache-dir "$1/kubectl-cache" delete "$2" -l "$3" \
    --ignore-not-found --timeout=300s 2>&1)  # it would end at a line that nobody reads
r=$?
rm -rf "$1"
echo "$said"
exit $r
"""
# The one that takes the others along comes last.
CLUSTER_KINDS = ("ClusterRoleBinding", "ClusterRole", "CustomResourceDefinition", "Namespace")


def scripts():
    """The directory that holds `up` and `down`, whether it exists or not."""
    return os.path.abspath(os.environ.get("SV_CLUSTER")
                           or os.path.join(harness.REPO, "..", "shared", "cluster"))


def why_not():
    """Why no API server can be had here; None where one can."""
    return why_not_elsewhere() if IS_ELSEWHERE else why_not_own()


def why_not_own():
    """Why no API server can be started here; None where it can."""
    if IS_ELSEWHERE:
        return NOT_OURS
    for name in ("up", "down"):
        if not os.access(os.path.join(scripts(), name), os.X_OK):
            return "no Kubernetes API server to start (SV_CLUSTER)"
    return missing_of(TOOLS)


def why_not_elsewhere():
    if not os.environ.get("KUBECONFIG"):
        return "SV_CLUSTER=kubeconfig, but no KUBECONFIG"
    return missing_of(("bash", "kubectl"))


def missing_of(tools):
    missing = [tool for tool in tools if not shutil.which(tool)]
    return "an API server needs " + ", ".join(missing) if missing else None


_shared = None
_shared_lock = threading.Lock()


def shared():
    """The one server of this suite: started when first asked for, left by main()."""
    global _shared
    reason = why_not()
    if reason:
        raise harness.Skip(reason)
    with _shared_lock:
        if _shared is None:
            _shared = Elsewhere() if IS_ELSEWHERE else Cluster()
            _shared.start()
        elif not _shared.is_up:
            raise AssertionError("the API server did not start, see the first test")
    return _shared


def own():
    """shared(), for tests that stop the server, sign with its CA or want a node's identity."""
    if IS_ELSEWHERE:
        raise harness.Skip(NOT_OURS)
    return shared()


def main(suite):
    """suite.main(), after which the shared server is taken down, or what was made there is gone."""
    try:
        return suite.main()
    finally:
        if _shared is not None:
            _shared.stop()


def clean_environment():
    """The caller's, less what would lead to somebody's cluster or through a proxy."""
    return {k: v for k, v in os.environ.items()
            if k != "KUBECONFIG" and not k.startswith("CLUSTER_")
            and not re.fullmatch("(https?|all|no)_proxy", k, re.I)}


class Api:
    """What suites do with an API server. Attributes, once it is up:

    url                  https://HOST:PORT
    ca_file              the CA of the server's certificate; None: one that the machine trusts
    node_name            a Pod created with this spec.nodeName is the node's (no scheduler)
    stranger_name        likewise of another node, of which no Node object exists
    admin_kubeconfig     may do everything
    node_kubeconfig      what the daemon is given
    dir                  private files, gone in the end
    label                selects what apply() and make_namespace() have made
    """

    label = "%s=%s" % (LABEL, RUN)

    def __init__(self):
        self.is_up = False
        self.dir = None
        self.keeper = None
        self.url = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def start(self):
        raise NotImplementedError

    def stop(self):
        """Takes it down, or away what was made there; nothing to do if it never started."""
        self.is_up = False
        if self.keeper is None:
            return
        keeper, self.keeper = self.keeper, None
        said, _ = keeper.communicate("done\n")
        check(keeper.returncode == 0 and not os.path.exists(self.dir),
              "the API server was not left: status %d: %s" % (keeper.returncode, said.strip()))

    def _keep(self, script, *args, **options):
        """Starts what cleans up when this process is gone, however it ends."""
        self.keeper = subprocess.Popen(
            ["bash", "-c", script, "cluster-keeper"] + list(args), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd="/",
            env=self._environment(), start_new_session=True, **options)

    def _environment(self):
        return clean_environment()

    def _connect(self, user):
        """A connection, and the headers that each request needs."""
        raise NotImplementedError

    # -- objects

    def request(self, method, path, body=None, content_type="application/json", want=(200, 201),
                as_user="admin"):
        """The answer's object: over one connection a thread, much quicker than kubectl."""
        mine = self.__dict__.setdefault("_connections", threading.local())
        connections = mine.__dict__.setdefault("by_user", {})
        if as_user not in connections:
            connections[as_user] = self._connect(as_user)
        connection, headers = connections[as_user]
        text = None if body is None else json.dumps(body)
        for last in (False, True):
            try:
                connection.request(method, path, text, dict(headers, **{"Content-Type": content_type}))
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
    def path_of(kind, name="", namespace=NAMESPACE):
        return "/api/v1/namespaces/%s/%ss%s" % (namespace, kind.lower(), "/" + name if name else "")

    def create(self, *objects):
        """Pods and Secrets, which must not exist yet; a Pod is bound to the node if it says nothing."""
        for o in objects:
            if o["kind"] == "Pod":
                o["spec"].setdefault("nodeName", self.node_name)
            self.request("POST", self.path_of(o["kind"], "", o["metadata"].get("namespace", NAMESPACE)),
                         o)

    def patch(self, kind, name, patch, namespace=NAMESPACE, subresource=""):
        path = self.path_of(kind, name, namespace) + subresource
        return self.request("PATCH", path, patch, "application/strategic-merge-patch+json")

    def remove(self, kind, *names, namespace=NAMESPACE, grace_s=0):
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
            check=False, pass_fds=[self.keeper.stdin.fileno()],  # which waits for it, too
            **({"stdin": subprocess.DEVNULL} if input is None else {"input": input}))
        if want_status is not None and done.returncode != want_status:
            raise AssertionError("kubectl %s: status %d: %s" % (
                " ".join(args), done.returncode, harness.shorten(done.stderr.strip())))
        return done

    def get(self, *args, **options):
        """What `kubectl get ARGS` gives, as an object."""
        return json.loads(self.kubectl("get", *args, "-o", "json", **options).stdout)

    def apply(self, *objects):
        """As kubectl does it, with a label of this run."""
        objects = copy.deepcopy(objects)
        for o in objects:
            o["metadata"].setdefault("labels", {})[LABEL] = RUN
        self._before_apply(objects)
        self.kubectl("apply", "-f", "-", input=harness.manifest(*objects))

    def _before_apply(self, objects):
        """Raises what speaks against it."""

    def delete(self, *args):
        """At once: no kubelet is there to confirm that a Pod has ended."""
        self.kubectl("delete", "--grace-period=0", "--force", "--ignore-not-found", *args)

    def make_namespace(self, name):
        """With its service account `default`."""
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
                   default_account(name))


class Cluster(Api):
    """An API server with the Node `node-a`, authorizers Node and RBAC, NodeRestriction, and TLS.

    with Cluster() as k: starts it and takes it down. More attributes, once it is up:

    node_kubeconfig      system:node:node-a, as its kubelet: Secrets by name, of its own Pods alone
    stranger_kubeconfig  system:node:node-b
    port                 of 127.0.0.1; etcd listens on the next one
    log_dir              etcd.log, kube-apiserver.log

    controllers=True also starts kube-controller-manager: service accounts and their tokens.
    """

    def __init__(self, controllers=False):
        super().__init__()
        self.mode = "--controllers" if controllers else ""
        self.node_name = "node-a"
        self.stranger_name = "node-b"
        self.port = None

    # -- start and stop

    def start(self):
        """Raises Skip where it cannot be had, AssertionError where it should have come up."""
        reason = why_not_own()
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
        self._keep(KEEPER, scripts(), self.mode, pass_fds=[lock.fileno()])
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

    def _environment(self):
        return dict(clean_environment(), CLUSTER_DIR=self.dir, CLUSTER_PORT=str(self.port))

    def _connect(self, user):
        context = ssl.create_default_context(cafile=self.ca_file)
        context.load_cert_chain(*(os.path.join(self.dir, "pki", user + end)
                                  for end in (".crt", ".key")))
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=context,
                                           timeout=harness.DEADLINE_S), {}

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


class Elsewhere(Api):
    """The API server of KUBECONFIG's current context, in which other things live.

    Pods and Secrets go into the namespace NAMESPACE, made for this run. Everything else that is
    made is in namespaces that the suite has made as well, or is one of CLUSTER_KINDS and has the
    run's label; where one of that name is there already, it is left alone and the test skipped. In
    the end all of it goes, also if the suite is killed.

    There is no Node object: a Node of ours would get Pods of the cluster's DaemonSets. A controller
    removes Pods of such nodes after 40 s, which no test takes.

    node_kubeconfig has the credentials of admin_kubeconfig: nobody gives us a node's.
    """

    def __init__(self):
        super().__init__()
        self.node_name = RUN + "-node"
        self.stranger_name = RUN + "-stranger"
        self.namespaces = set()

    def start(self):
        reason = why_not_elsewhere()
        if reason:
            raise harness.Skip(reason)
        # somebody's credentials: not on a disk, if we can help it
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.dir = tempfile.mkdtemp(prefix="secretvold-cluster.", dir=memory)
        self._keep(SWEEPER, self.dir,
                   ",".join(kind.lower() for kind in CLUSTER_KINDS), self.label)
        self.admin_kubeconfig = self.node_kubeconfig = os.path.join(self.dir, "admin.kubeconfig")
        try:
            self._take(current_context())
            self.make_namespace(NAMESPACE)
        except harness.Skip:
            self.stop()
            raise
        self.is_up = True
        return self

    def _take(self, config):
        """The parts that we need of a config that has one cluster and one user, without files."""
        self.cluster = config["clusters"][0]["cluster"]
        self.user = config["users"][0]["user"]
        self.url = self.cluster["server"].rstrip("/")
        self._write("admin.kubeconfig", json.dumps(config))
        self.ca_file = self._write_data("ca.crt", self.cluster.get("certificate-authority-data"))
        self.certificate = self._write_data("client.crt", self.user.get("client-certificate-data"))
        self.key = self._write_data("client.key", self.user.get("client-key-data"))

    def _write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write(text)
        return path

    def _write_data(self, name, data):
        return self._write(name, base64.b64decode(data).decode()) if data else None

    def _connect(self, user):
        if user != "admin":
            raise harness.Skip(NOT_OURS)
        url = urllib.parse.urlsplit(self.url)
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.certificate:
            context.load_cert_chain(self.certificate, self.key)
        token = self.user.get("token")
        return NamedConnection(url.hostname, url.port, self.cluster.get("tls-server-name"),
                               context=context, timeout=harness.DEADLINE_S), \
            {"Authorization": "Bearer " + token} if token else {}

    def request(self, method, path, *args, **options):
        if method != "GET":
            where = re.match("/apis?/.*?namespaces/([^/?]+)/", path)
            check(where and where.group(1) in self.namespaces,
                  "%s %s: not in a namespace of this run" % (method, path))
        return super().request(method, urllib.parse.urlsplit(self.url).path + path, *args, **options)

    def _before_apply(self, objects):
        for o in objects:
            namespace = o["metadata"].get("namespace")
            check(namespace in self.namespaces if namespace else o["kind"] in CLUSTER_KINDS,
                  "%s %s: not in a namespace of this run" % (o["kind"], o["metadata"]["name"]))
        found = self.kubectl("get", "-f", "-", "--ignore-not-found", "-o", "json",
                             input=harness.manifest(*objects)).stdout
        found = json.loads(found) if found.strip() else {"items": []}
        for o in found.get("items", [found]):
            if o["metadata"].get("namespace") not in self.namespaces and \
                    o["metadata"].get("labels", {}).get(LABEL) != RUN:
                raise harness.Skip("the cluster has a %s %s already, which is not ours"
                                   % (o["kind"], o["metadata"]["name"]))

    def make_namespace(self, name):
        if name in self.namespaces:
            return
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        self.namespaces.add(name)

        def account():  # a controller makes one at the same time, and then ours is a change of it
            try:
                self.apply(default_account(name))
                return True
            except AssertionError as e:
                if "already exists" in str(e) or "object has been modified" in str(e):
                    return False
                raise
        harness.poll_until(account, "the service account of namespace " + name, interval_s=0.1)


class NamedConnection(http.client.HTTPSConnection):
    """One whose server proves another name (tls-server-name) than that which it is reached by."""

    def __init__(self, host, port, name, context, timeout):
        super().__init__(host, port, context=context, timeout=timeout)
        self.context = context
        self.name = name or host

    def connect(self):
        http.client.HTTPConnection.connect(self)
        self.sock = self.context.wrap_socket(self.sock, server_hostname=self.name)


def current_context():
    """What KUBECONFIG says of its current context, with all files taken in; or Skip."""
    done = subprocess.run(["kubectl", "config", "view", "--raw", "--minify", "--flatten", "-o", "json"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          timeout=harness.DEADLINE_S)
    check(done.returncode == 0, "KUBECONFIG: " + done.stderr.strip())
    config = json.loads(done.stdout)
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    if not cluster["server"].startswith("https://") or cluster.get("insecure-skip-tls-verify"):
        raise harness.Skip("KUBECONFIG: the server is not asked to prove who it is")
    if "tokenFile" in user:  # kubectl has made it an absolute one
        user["token"] = harness.read_file(user.pop("tokenFile")).decode().strip()
    refused = set(user) - {"client-certificate-data", "client-key-data", "token"}
    refused |= {"proxy-url"} & set(cluster)
    if refused:
        raise harness.Skip("KUBECONFIG: secretvold does without " + ", ".join(sorted(refused)))
    return config


def default_account(namespace):
    """Without which no Pod is admitted."""
    return {"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": namespace},
            "automountServiceAccountToken": False}


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
