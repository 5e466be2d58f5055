#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The service, its socket and the Debian package, under a systemd that is booted for the purpose.

systemd-nspawn boots an overlay of this machine's own root: about a second, nothing downloaded, and
nothing of it outlives the suite. "The host" is PID 1's mount namespace in there; its files are reached
from here by /proc/PID/root. Where systemd-nspawn cannot boot at all, the suite is skipped and says why.
"""

import contextlib
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness  # noqa: E402
from harness import Daemon, Skip, check, check_eq, check_in, pod, poll_until, secret  # noqa: E402

suite = harness.Suite("systemd")

UNITS = os.path.join(harness.REPO, "systemd")
BOOT_DEADLINE_S = 60.0
SECURITY_THRESHOLD = 43  # of systemd-analyze security, which counts tenths
SECURITY_WITH_NETWORK = 45  # with the example drop-in for an API server
DROP_IN = "/usr/share/doc/secretvold/examples/secretvold.service.d/kubelet.conf"
TARGET = "secretvold-test.target"
HIDING = "[Service]\nProtectSystem=full\n"

# What a machine may have of its own: the tests start from nothing.
LEFTOVERS = ["/etc/secretvold", "/etc/systemd/system/secretvold.*",
             "/etc/systemd/system/*.wants/secretvold.*", "/usr/sbin/policy-rc.d"] + [
    prefix + rest for prefix in ("/usr", "/usr/local")
    for rest in ("/sbin/secretvold", "/bin/secretvolctl", "/lib/systemd/system/secretvold.*",
                 "/lib/sysusers.d/secretvold.conf", "/lib/tmpfiles.d/secretvold.conf")]


# ---- a machine -------------------------------------------------------------------------------


def cgroup2_root():
    for m in harness.mounts():
        if m["fstype"] == "cgroup2":
            return m["path"]
    raise Skip("no cgroup2 file system is mounted")


def only_child(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as f:
        (child,) = f.read().split()
    return int(child)


def remove_cgroups(name):
    """The machine's own, in each hierarchy that has one; they are empty when it has ended."""
    for m in harness.mounts():
        if m["fstype"] not in ("cgroup", "cgroup2"):
            continue
        for base, _, _ in os.walk(os.path.join(m["path"], name), topdown=False):
            poll_until(lambda path=base: remove_dir(path), "the end of " + base, 10.0)


def remove_stale_cgroups():
    """What runs left that were killed with no time to clean up."""
    for m in harness.mounts():
        for path in glob.glob(os.path.join(m["path"], "svt-*-*")) if "cgroup" in m["fstype"] else ():
            name = os.path.basename(path)
            if not os.path.exists("/proc/" + name.split("-")[1]):
                remove_cgroups(name)


def remove_dir(path):
    """A cgroup is busy until the last process that was killed has been reaped."""
    try:
        os.rmdir(path)
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True


class Plug:
    """What harness.end_at_once() pulls."""

    def __init__(self, machine_to_end):
        self.process = self
        self.machine = machine_to_end

    def kill(self):
        for signum in (signal.SIGTERM, signal.SIGINT):  # timeout(1) sends it twice
            signal.signal(signum, signal.SIG_IGN)
        self.machine.end()


class Machine(Daemon):
    """A booted systemd. What Daemon can ask and do goes to the daemon in there."""

    def __init__(self):
        self.name = "svt-%d-%d" % (os.getpid(), len(_machines))
        self.home = harness.make_dir("machine.")
        self.log_path = os.path.join(self.home, "console.log")
        self.leader = None
        self.process = None
        self.plug = Plug(self)
        self.env = {}
        self.n_markers = 0
        try:
            self._boot()
        except BaseException:
            self.end()
            raise
        self.root = "/run/secretvold"
        self.manifest_dir = self.path("/etc/secretvold/manifests")
        self.manifest_dirs = [self.manifest_dir]
        self.socket_path = self.path("/run/secretvold/secretvold.sock")
        self.client = harness.Client(self.socket_path)

    def _boot(self):
        self.tree = os.path.join(self.home, "root")
        for name in ("upper", "work", "root"):
            os.mkdir(os.path.join(self.home, name), 0o755)
        remove_stale_cgroups()
        cgroup = os.path.join(cgroup2_root(), self.name)
        try:
            os.mkdir(cgroup)
            run_here(["mount", "-t", "overlay", "machine", "-o", "lowerdir=/,upperdir=%s,workdir=%s"
                      % (os.path.join(self.home, "upper"), os.path.join(self.home, "work")),
                      self.tree])
        except (OSError, AssertionError) as e:
            raise Skip("nothing can be booted here: %s" % e) from e
        for pattern in LEFTOVERS:
            for path in glob.glob(self.tree + pattern):
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        write(self.tree + "/etc/machine-id", "")
        write(self.tree + "/etc/systemd/system/" + TARGET,
              "[Unit]\nRequires=sysinit.target\nAfter=sysinit.target\nAllowIsolate=yes\n")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(os.path.join(self.home, "notify"))
            with open(self.log_path, "wb") as log:
                self.process = subprocess.Popen(
                    # In a pid namespace that ends with us, even if we are killed.
                    ["setpriv", "--pdeathsig", "KILL", "--", "unshare", "--pid", "--fork",
                     "--kill-child", "--mount", "--mount-proc", "--propagation", "private", "--",
                     "sh", "-c", 'echo 0 >"$0/cgroup.procs" && exec "$@"', cgroup,
                     "systemd-nspawn", "--quiet", "--directory=" + self.tree, "--register=no",
                     "--keep-unit", "--boot", "--machine=" + self.name, "--private-network",
                     "--console=pipe", "--notify-ready=yes", "systemd.unit=" + TARGET],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                    env=dict(self.environment(), NOTIFY_SOCKET=ready.getsockname()))
            harness._running.add(self.plug)
            self._await_boot(ready)

    def _await_boot(self, ready):
        """systemd-nspawn says READY=1 when its child, the leader, has done so."""
        end = time.monotonic() + BOOT_DEADLINE_S
        while time.monotonic() < end:
            ready.settimeout(0.5)
            with contextlib.suppress(socket.timeout):
                text = ready.recv(4096).decode("utf-8", "replace")
                if re.search(r"^READY=1$", text, re.M):
                    self.leader = only_child(only_child(self.process.pid))
                    return
            if self.process.poll() is not None:
                break
        raise Skip("systemd-nspawn cannot boot here: %s" % (
            " / ".join(self.log().splitlines()[-3:]) or "it said nothing"))

    def end(self):
        """As pulling the plug: the tree is thrown away, and an orderly end takes seconds."""
        if self.process:
            self.process.kill()
            self.process.wait()
        harness._running.discard(self.plug)
        harness.umount(os.path.join(self.home, "root"))
        remove_cgroups(self.name)
        shutil.rmtree(self.home, ignore_errors=True)

    def path(self, path):
        """A path of the host in there, from here."""
        return "/proc/%d/root%s" % (self.leader, path)

    def run(self, *command, want=0, setpriv=()):
        """A command in there, its output; `want` is its exit status, None if any will do."""
        prefix = ["nsenter", "--target", str(self.leader), "--all", "--"]
        if setpriv:
            prefix += ["setpriv"] + list(setpriv) + ["--"]
        done = subprocess.run(prefix + list(command), text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
                              env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C",
                                   "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"})
        if want is not None:
            check_eq(done.returncode, want, "exit status of '%s' (%s)" % (
                " ".join(command), harness.shorten(done.stdout.strip())))
        return done.stdout

    def systemctl(self, *args, want=0):
        return self.run("systemctl", *args, want=want)

    def show(self, unit="secretvold.service"):
        text = self.systemctl("show", unit)
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def main_pid(self):
        return int(self.show()["MainPID"])

    def journal(self, *args):
        self.run("journalctl", "--sync")
        return self.run("journalctl", "--no-pager", "-q", "-u", "secretvold", *args)

    def mount(self, volume):
        """The volume's mount in PID 1's namespace, or None."""
        found = [m for m in harness.mounts(self.leader) if m["path"] == volume["path"]]
        check(len(found) <= 1, "more than one mount at %s" % volume["path"])
        return found[0] if found else None

    def identity(self, volume):
        """What a daemon that comes back must not change."""
        path = self.path(volume["path"])
        st = os.stat(os.path.join(path, "k"))
        return (self.mount(volume), os.readlink(os.path.join(path, "..data")), st.st_dev, st.st_ino,
                volume["generation"], volume["publishedAt"])

    @contextlib.contextmanager
    def drop_in(self, text):
        path = self.path("/etc/systemd/system/secretvold.service.d/test.conf")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write(path, text)
        self.systemctl("daemon-reload")
        try:
            yield
        finally:
            os.unlink(path)
            self.systemctl("daemon-reload")
            self.systemctl("reset-failed", "secretvold.service", "secretvold.socket", want=None)
            self.systemctl("restart", "secretvold.service")


def run_here(command, **kwargs):
    done = subprocess.run(command, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=600, check=False, **kwargs)
    check_eq(done.returncode, 0, "exit status of '%s' (%s)" % (
        " ".join(command), harness.shorten(done.stdout[-2000:].strip(), 2000)))
    return done.stdout


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


_machines = {}  # by kind; or the exception that tells why there is none
_booted = []


def machine(kind, prepare):
    """One for all the tests of a kind; a machine that could not be had is not tried again."""
    if kind not in _machines:
        try:
            for program in ("systemd-nspawn", "nsenter", "setpriv"):
                if not shutil.which(program):
                    raise Skip("no %s" % program)
            m = Machine()
            _booted.append(m)
            prepare(m)
            _machines[kind] = m
        except Exception as e:  # pylint: disable=broad-except; raised again by whoever asks
            _machines[kind] = e
    if isinstance(_machines[kind], Exception):
        raise _machines[kind].with_traceback(None)
    return _machines[kind]


def install(m):
    """As the README says, from the build under test."""
    run_here(["make", "-C", harness.REPO, "install", "BUILD=" + harness.options.build,
              "DESTDIR=" + m.tree, "PREFIX=/usr"], env=plain_environment())
    m.run("systemd-sysusers")
    m.run("systemd-tmpfiles", "--create", "secretvold.conf")
    if b"__asan_init" in harness.read_file(os.path.join(harness.options.build, "secretvold")):
        # To look for leaks at the end it would have to trace itself, and the unit forbids that.
        directory = m.path("/etc/systemd/system/secretvold.service.d")
        os.makedirs(directory)
        write(directory + "/sanitizer.conf", "[Service]\nEnvironment=ASAN_OPTIONS=detect_leaks=0\n")
    m.systemctl("daemon-reload")
    m.systemctl("start", "secretvold.service", want=None)
    check_eq(m.systemctl("is-active", "secretvold.service", want=None).strip(), "active",
             "state (%s)" % m.journal("-o", "cat"))


def plain_environment():
    """Without what an outer make told its own."""
    return {k: v for k, v in os.environ.items()
            if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "BUILD", "DESTDIR", "PREFIX",
                         "CC", "CFLAGS", "LDFLAGS", "SAN", "WERROR")}


def installed():
    return machine("installed", install)


def published(m, name, value="1", **spec):
    """A Secret and a Pod, both NAME, with volume v."""
    m.put_objects(name + ".yaml", secret(name, {"k": value}), pod(name, {"v": name}, **spec))
    return m.wait_published("default", name, "v")


def content(m, volume, key="k"):
    return harness.read_file(os.path.join(m.path(volume["path"]), key))


# ---- the units -------------------------------------------------------------------------------


@suite.test
def the_units_are_correct():
    m = installed()
    have_man = glob.glob(os.path.join(harness.REPO, "daemon", "*.8"))
    check_eq(m.run("systemd-analyze", "verify", "--recursive-errors=no",
                   "--man=%s" % ("yes" if have_man else "no"),
                   "secretvold.service", "secretvold.socket"), "", "complaints")


@suite.test
def the_service_is_confined():
    m = installed()
    m.run("systemd-analyze", "security", "--offline=yes", "--threshold=%d" % SECURITY_THRESHOLD,
          "/usr/lib/systemd/system/secretvold.service")


@suite.test
def the_drop_in_for_an_api_server_is_an_example_and_is_correct():
    m = installed()
    before = m.show()
    check_eq((before.get("DropInPaths", "").count("kubelet"), before["RestrictAddressFamilies"]),
             (0, "AF_UNIX"), "the drop-in, before it is put in place")
    with m.drop_in(harness.read_file(m.path(DROP_IN)).decode()):
        check_eq(m.run("systemd-analyze", "verify", "--recursive-errors=no", "--man=no",
                       "secretvold.service"), "", "complaints")
        for threshold, want in ((SECURITY_WITH_NETWORK, 0), (SECURITY_WITH_NETWORK - 1, 1)):
            m.run("systemd-analyze", "security", "--offline=yes", "--threshold=%d" % threshold,
                  "/usr/lib/systemd/system/secretvold.service", want=want)
        m.systemctl("restart", "secretvold.service")
        after = m.show()
        check_eq(set(after["RestrictAddressFamilies"].split()), {"AF_UNIX", "AF_INET", "AF_INET6"},
                 "address families")
        check_in("network-online.target", after["After"].split(), "what it comes after")
        check_in("network-online.target", after["Wants"].split(), "what it wants")


@suite.test
def without_the_drop_in_an_api_server_is_out_of_reach_and_status_says_why():
    m = installed()
    config = m.path("/etc/secretvold/config.yaml")
    before = harness.read_file(config).decode()

    def problem():
        m.systemctl("restart", "secretvold.service")
        return poll_until(lambda: m.run("secretvolctl", "status", want=None).partition(
            "Problems:\n")[2], "a problem")
    try:
        write(m.path("/root/kubeconfig"), json.dumps(
            {"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c",
                                                                            "user": "u"}}],
             "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
             "users": [{"name": "u", "user": {}}]}))
        write(config, "kubeconfig: /root/kubeconfig\nallowInsecureKubeconfig: true\n")
        text = problem()
        check_in("RestrictAddressFamilies=AF_INET AF_INET6", text, "why")
        check_in("next: systemctl edit secretvold", text, "advice")
        with m.drop_in(harness.read_file(m.path(DROP_IN)).decode()):
            check_in("Couldn't connect to server; next: curl ", problem(), "with the drop-in")
            write(config, before)
    finally:
        write(config, before)
        m.systemctl("restart", "secretvold.service")


@suite.test
def the_service_is_ready_and_says_so():
    m = installed()
    m.systemctl("is-active", "secretvold.service")
    m.systemctl("is-active", "secretvold.socket")
    check_eq(m.client.get("/readyz")[0], 200, "readyz")
    published(m, "status")
    poll_until(lambda: m.show()["StatusText"].startswith("1 volume"), "the status line")


@suite.test
def the_journal_has_the_lines_of_the_daemon():
    m = installed()
    published(m, "journal")
    lines = [json.loads(line) for line in m.journal("-o", "json").splitlines()]
    ready = [x for x in lines if str(x.get("MESSAGE", "")).startswith("ready, ")]
    check(ready, "no line about readiness: %s" % [x.get("MESSAGE") for x in lines])
    check_eq((ready[0]["_SYSTEMD_UNIT"], ready[0]["PRIORITY"]), ("secretvold.service", "5"),
             "unit and priority")


@suite.test
def the_commented_configuration_is_valid_when_uncommented():
    m = installed()
    with open(m.path("/etc/secretvold/config.yaml"), encoding="utf-8") as f:
        text = f.read()
    text, n = re.subn(r"^#(?=[a-z]\w*:|  - /)", "", text, flags=re.M)
    check(n >= 10, "only %d options are mentioned" % n)
    text = text.replace("rootDir: /run/secretvold", "rootDir: /run/other")
    text = text.replace("- /etc/secretvold/manifests", "- /etc/secretvold/none")
    text = re.sub(r"^kube(config|Context): .*\n", "", text, flags=re.M)  # there is no API server
    write(m.path("/run/config.yaml"), text)
    os.makedirs(m.path("/etc/secretvold/none"), exist_ok=True)
    m.run("secretvold", "--config", "/run/config.yaml", "--once")


# ---- volumes ---------------------------------------------------------------------------------


@suite.test
def a_volume_is_seen_by_the_host():
    m = installed()
    v = published(m, "host", "value")
    check_eq(m.mount(v)["fstype"], "tmpfs", "what is mounted")
    check_eq(content(m, v), b"value", "content")
    check_eq(m.run("cat", v["path"] + "/k"), "value", "content in there")


@suite.test
def an_update_is_seen_by_the_host():
    m = installed()
    v = published(m, "update", "old")
    mount = m.mount(v)
    m.put_objects("update.yaml", secret("update", {"k": "new"}), pod("update", {"v": "update"}))
    m.wait_volume("default", "update", "v", harness.newer_than(v["generation"]))
    check_eq((content(m, v), m.mount(v)), (b"new", mount), "content and mount")


@suite.test
def a_group_gets_its_volume_with_setgid_directories():
    m = installed()
    v = published(m, "group", securityContext={"fsGroup": 2000})
    tree = harness.read_tree(m.path(v["path"]))
    check_eq(tree["dir"], {"mode": "3777", "uid": 0, "gid": 2000}, "the volume")
    check_eq(tree["data_dir"], {"mode": "2755", "uid": 0, "gid": 2000}, "its data directory")
    check_eq((tree["files"]["k"]["mode"], tree["files"]["k"]["gid"]), ("0644", 2000), "its file")


@suite.test
def a_volume_that_is_no_longer_wanted_goes():
    m = installed()
    v = published(m, "goes")
    m.delete("goes.yaml")
    m.wait_gone("default", "goes", "v")
    check_eq(m.mount(v), None, "mount")


# ---- who may ask -----------------------------------------------------------------------------


@suite.test
def members_of_the_group_read_status_and_nobody_else():
    m = installed()
    published(m, "reader")
    gid = m.run("getent", "group", "secretvold").split(":")[2]
    user = ["--reuid=65534", "--regid=65534", "--inh-caps=-all"]
    m.systemctl("restart", "secretvold.service")  # which must not take the directory from the group
    text = m.run("secretvolctl", "get", "volumes", setpriv=user + ["--groups=" + gid])
    check_in("reader", text, "what a member sees")
    m.run("secretvolctl", "env", "reader", setpriv=user + ["--groups=" + gid], want=1)
    m.run("ls", "/run/secretvold", setpriv=user + ["--groups=" + gid], want=2)
    m.run("secretvolctl", "get", "volumes", setpriv=user + ["--clear-groups"], want=3)


@suite.test
def without_the_socket_unit_only_root_reads_status():
    m = installed()
    m.systemctl("stop", "secretvold.socket", "secretvold.service")
    m.systemctl("mask", "--runtime", "secretvold.socket")
    try:
        m.systemctl("start", "secretvold.service")
        check_eq(m.client.get("/readyz")[0], 200, "readyz")
        check_eq(harness.describe(m.socket_path)["mode"], "0600", "mode of the socket")
    finally:
        m.systemctl("unmask", "--runtime", "secretvold.socket")
        m.systemctl("stop", "secretvold.service")
        m.systemctl("start", "secretvold.service")
    m.systemctl("is-active", "secretvold.socket")


@suite.test
def metrics_over_tcp_need_a_drop_in_and_work_with_it():
    m = installed()
    config = m.path("/etc/secretvold/config.yaml")
    before = harness.read_file(config).decode()
    try:
        write(config, "metricsAddress: 127.0.0.1:9633\n")
        with m.drop_in("[Service]\nRestart=no\n"):
            m.systemctl("restart", "secretvold.service", want=1)
            check_in("127.0.0.1:9633", m.journal("-o", "cat", "-n", "5"), "the journal")
            write(config, before)
        write(config, "metricsAddress: 127.0.0.1:9633\n")
        with m.drop_in("[Service]\nRestrictAddressFamilies=AF_INET AF_INET6\n"):
            m.systemctl("restart", "secretvold.service")
            check_in("# TYPE secretvold_", m.run("curl", "-s", "http://127.0.0.1:9633/metrics"),
                     "metrics")
            write(config, before)
    finally:
        write(config, before)


# ---- reload, stop, crash ---------------------------------------------------------------------


@suite.test
def a_reload_reads_the_configuration_and_keeps_the_process():
    m = installed()
    pid = m.main_pid()
    config = m.path("/etc/secretvold/config.yaml")
    before = harness.read_file(config).decode()
    try:
        write(config, "volumeSizeLimit: 4Ki\n")
        m.systemctl("reload", "secretvold.service")
        m.put_objects("large.yaml", secret("large", {"k": "x" * 20000}), pod("large", {"v": "large"}))
        # systemctl returns when the signal is sent: it may be published under the old limit first
        refused = m.wait_volume("default", "large", "v", harness.in_state("Refused", "Stale"))
        check_eq(refused["reason"], "TooLarge", "reason")
        state = m.show()
        check_eq((int(state["MainPID"]), state["ActiveState"], state["SubState"]),
                 (pid, "active", "running"), "the service")
    finally:
        write(config, before)
        m.systemctl("reload", "secretvold.service")
        m.delete("large.yaml")


@suite.test
def a_reload_is_announced_to_systemd():
    m = installed()
    m.run("systemd-analyze", "log-level", "debug")  # PID 1 then logs what it is told
    try:
        m.systemctl("reload", "secretvold.service")
        told = r"Got notification message from PID \d+ \(RELOADING=1.*\(READY=1"
        poll_until(lambda: re.search(told, m.journal("-o", "cat"), re.S), "both messages")
    finally:
        m.run("systemd-analyze", "log-level", "info")
    poll_until(lambda: m.show()["ActiveState"] == "active", "the end of the reload")


@suite.test
def stopping_and_starting_leaves_the_mounts():
    m = installed()
    v = published(m, "stop")
    before = m.identity(v)
    m.systemctl("stop", "secretvold.socket", "secretvold.service")
    check_eq(m.show()["Result"], "success", "result")
    check_eq(m.mount(v), before[0], "mount when stopped")
    check_eq(content(m, v), b"1", "content when stopped")
    m.systemctl("start", "secretvold.service")
    check_eq(m.identity(m.wait_published("default", "stop", "v")), before, "the volume")


@suite.test
def a_killed_daemon_comes_back_and_leaves_the_mounts():
    m = installed()
    v = published(m, "kill")
    before, pid, restarts = m.identity(v), m.main_pid(), int(m.show()["NRestarts"])
    m.run("kill", "-KILL", str(pid))
    check_eq(m.client.get("/livez")[0], 200, "livez, asked while there was none to answer")
    check(m.main_pid() != pid, "it is the old process")
    check_eq(int(m.show()["NRestarts"]), restarts + 1, "restarts")
    check_eq(m.identity(m.wait_published("default", "kill", "v")), before, "the volume")


@suite.test
def a_daemon_that_hangs_is_killed_and_comes_back():
    m = installed()
    v = published(m, "hang")
    with m.drop_in("[Service]\nWatchdogSec=2s\n"):
        m.systemctl("restart", "secretvold.service")
        before, pid = m.identity(v), m.main_pid()
        m.run("kill", "-STOP", str(pid))
        check_eq(m.client.get("/livez")[0], 200, "livez, asked while it hung")
        check(m.main_pid() != pid, "it is the old process")
        check_eq(m.identity(m.wait_published("default", "hang", "v")), before, "the volume")
        text = m.journal("-o", "cat")
        check_in("Watchdog timeout", text, "the journal")
        check("dumped core" not in text and "core-dump" not in text, "there is a core dump")


@suite.test
def wrong_options_are_not_tried_again():
    m = installed()
    with m.drop_in("[Service]\nExecStart=\nExecStart=/usr/sbin/secretvold --nonsense\n"):
        m.systemctl("restart", "secretvold.service", want=1)
        state = m.show()
        check_eq((state["ActiveState"], state["ExecMainStatus"], state["NRestarts"]),
                 ("failed", "2", "0"), "the service")
        check_in("unknown option '--nonsense'", m.journal("-o", "cat"), "the journal")


@suite.test
def it_does_not_start_where_its_mounts_would_be_hidden():
    m = installed()
    v = published(m, "hidden")
    before = m.identity(v)
    with m.drop_in(HIDING):
        m.systemctl("restart", "secretvold.service", want=1)
        text = m.journal("-o", "cat")
        check_in("are not seen outside", text, "the journal")
        check_in("ProtectSystem=", text, "the journal")
        check_eq(m.mount(v), before[0], "mount")
    check_eq(m.identity(m.wait_published("default", "hidden", "v")), before, "the volume")


# ---- the socket ------------------------------------------------------------------------------


@suite.test
def asking_starts_the_daemon():
    m = installed()
    m.systemctl("stop", "secretvold.service")
    check_eq(m.show()["ActiveState"], "inactive", "state")
    check_eq(m.client.get("/livez")[0], 200, "livez")
    m.systemctl("is-active", "secretvold.service")


@suite.test
def no_request_is_lost_over_restarts():
    m = installed()
    for i in range(20):
        published(m, "busy-%d" % i)
    stop, answers, failures, pids = threading.Event(), [], [], set()

    def ask():
        while not stop.is_set():
            try:
                status, _, body = m.client.request("GET", "/v1/status")
                answers.append(status)
                pids.add(json.loads(body)["pid"])
            except Exception as e:  # pylint: disable=broad-except; each is a request that was lost
                failures.append(repr(e))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for t in threads:
        t.start()
    try:
        inode = os.stat(m.socket_path).st_ino
        for _ in range(5):
            n = len(answers)
            m.systemctl("restart", "secretvold.service")
            poll_until(lambda seen=n: len(answers) > seen or failures or None, "another answer")
        check_eq(os.stat(m.socket_path).st_ino, inode, "the socket's inode")
    finally:
        stop.set()
        for t in threads:
            t.join()
    check_eq(failures, [], "requests without an answer (of %d)" % (len(answers) + len(failures)))
    check_eq(set(answers), {200}, "answers")
    check(len(pids) >= 6, "answers came from %d daemons only" % len(pids))


@suite.test
def a_request_that_has_begun_is_finished_before_the_end():
    m = installed()
    pid = m.main_pid()
    with harness.connection(m) as s:
        s.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n")
        m.client.get("/livez")  # whoever comes first is let in first
        m.run("kill", "-TERM", str(pid))
        s.sendall(b"Connection: close\r\n\r\n")
        answer = b"".join(iter(lambda: s.recv(4096), b""))
    check(answer.startswith(b"HTTP/1.1 200 "), "answer: %r" % answer)
    check_eq(m.client.get("/livez")[0], 200, "livez of the next daemon")
    check(m.main_pid() != pid, "it is the old process")


@suite.test
def a_source_that_does_not_answer_delays_the_service_but_a_moment():
    m = installed()
    v = published(m, "late")
    before = m.mount(v)
    m.systemctl("stop", "secretvold.service")
    os.rename(m.manifest_dir, m.manifest_dir + ".away")
    try:
        m.systemctl("start", "secretvold.service")
        check_in("waiting for a source", m.show()["StatusText"], "status line")
        check_eq(m.client.get("/readyz")[0], 503, "readyz")
        check_eq(m.mount(v), before, "mount")
    finally:
        os.rename(m.manifest_dir + ".away", m.manifest_dir)
    m.wait_published("default", "late", "v")
    poll_until(lambda: "published" in m.show()["StatusText"], "the status line")


# ---- the Debian package ----------------------------------------------------------------------


def make_deb():
    missing = [p for p in ("dpkg-buildpackage", "dh", "dh_installsysusers") if not shutil.which(p)]
    if missing:
        raise Skip("the Debian package cannot be built: no %s" % ", ".join(missing))
    build = harness.make_dir("deb.")
    run_here(["make", "-C", harness.REPO, "deb", "BUILD=" + build], env=plain_environment())
    (path,) = glob.glob(build + "/secretvold_*.deb")
    return path


def install_deb(m):
    deb = make_deb()
    shutil.copy(deb, m.tree + "/root/secretvold.deb")
    m.run("dpkg", "-i", "/root/secretvold.deb")


def packaged():
    return machine("packaged", install_deb)


@suite.test
def the_package_is_clean():
    packaged()
    if not shutil.which("lintian"):
        raise Skip("no lintian")
    m = packaged()
    skip_man = [] if glob.glob(os.path.join(harness.REPO, "daemon", "*.8")) else [
        "--suppress-tags", "no-manual-page"]
    run_here(["lintian", "--fail-on", "error,warning"] + skip_man
             + [m.tree + "/root/secretvold.deb"])


@suite.test
def the_installed_package_publishes_the_example_manifests():
    m = packaged()
    m.systemctl("is-active", "secretvold.service")
    m.systemctl("is-enabled", "secretvold.service", "secretvold.socket")
    check_eq(harness.describe(m.manifest_dir)["mode"], "0700", "the manifest directory")
    m.run("sh", "-c", "install -m 0600 /usr/share/doc/secretvold/examples/secret-volume/*.yaml "
                      "/etc/secretvold/manifests/")
    m.wait_volume("default", "secret-test-pod", "secret-volume", harness.in_state("Published"))
    (v,) = m.volumes(pod="secret-test-pod")
    check_eq(content(m, v, "username"), b"my-app", "username")
    m.wait_no_problems()


@suite.test
def the_package_brings_the_examples_for_a_cluster():
    m = packaged()
    examples = os.path.dirname(os.path.dirname(m.path(DROP_IN)))
    for name in ("secretvold.service.d/kubelet.conf", "kubernetes/README.md",
                 "kubernetes/base/daemonset.yaml", "kubernetes/kubelet-identity/kustomization.yaml"):
        check(os.path.isfile(os.path.join(examples, name)), name + " is not there")
    check_eq(m.show().get("DropInPaths", "").count("kubelet"), 0, "the drop-in, in use")


@suite.test
def an_upgrade_restarts_the_daemon_and_keeps_volumes_and_socket():
    m = packaged()
    v = published(m, "upgrade")
    before, pid, inode = m.identity(v), m.main_pid(), os.stat(m.socket_path).st_ino
    write(m.path("/etc/secretvold/config.yaml"), "logLevel: debug # ours\n")
    m.run("dpkg", "-i", "--force-confdef", "--force-confold", "/root/secretvold.deb")
    check(m.main_pid() not in (0, pid), "the daemon was not restarted")
    check_eq(os.stat(m.socket_path).st_ino, inode, "the socket's inode")
    check_eq(m.identity(m.wait_published("default", "upgrade", "v")), before, "the volume")
    check_in(b"ours", harness.read_file(m.path("/etc/secretvold/config.yaml")), "configuration")


@suite.test
def purging_the_package_does_not_unmount_a_volume():
    m = packaged()
    v = published(m, "purge")
    before = m.mount(v)
    with open(os.path.join(m.path(v["path"]), "k"), "rb") as f:
        m.run("dpkg", "--purge", "secretvold")
        check_eq(m.mount(v), before, "mount")
        check_eq((f.read(), content(m, v)), (b"1", b"1"), "content")
    check_eq(m.systemctl("is-active", "secretvold.service", want=None).strip(), "inactive", "state")
    check(not os.path.exists(m.path("/etc/secretvold/config.yaml")), "the configuration is left")
    check(os.path.exists(m.path("/etc/secretvold/manifests/purge.yaml")),
          "the user's manifest is gone")


def main():
    try:
        return suite.main()
    finally:
        for m in _booted:
            m.end()


if __name__ == "__main__":
    sys.exit(main())
