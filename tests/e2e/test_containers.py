#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Real containers with mounts from secretvolctl mounts: runc, crun, podman, bubblewrap; and the daemon
itself in a container.

A runtime that is not installed, or that cannot run anything on this machine, is skipped with its
own words: whether it can is tried with a container that has nothing of ours.
"""

import atexit
import functools
import glob
import json
import os
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness  # noqa: E402
from harness import Daemon, Skip, check, check_eq, check_in, secret  # noqa: E402

suite = harness.Suite("containers")

APPLETS = ("sh", "cat", "ls", "id", "env", "stat", "touch", "readlink", "rm", "tee", "true", "grep")
RUN_S = 120  # a container takes well under a second on a quiet machine

PODMAN_CONF = """\
[containers]
default_ulimits=["nofile=1024:1024","nproc=1024:1024"]
[engine]
runtime="runc"
cgroup_manager="cgroupfs"
events_logger="none"
"""


# ---- objects ---------------------------------------------------------------------------------


def pod(name="p", mounts=(("v", "/etc/secret-volume"),), volumes=None, spec=None, **fields):
    volumes = volumes or {"v": {"secretName": "s"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": dict({
                "containers": [dict({"name": "c", "image": "img", "volumeMounts": [
                    dict({"name": m[0], "mountPath": m[1]}, **(m[2] if len(m) > 2 else {}))
                    for m in mounts]}, **fields)],
                "volumes": [{"name": n, "secret": s} for n, s in volumes.items()]}, **(spec or {}))}


def mounts_of(d, output, *args):
    result = d.ctl("mounts", "p", "-o", output, *args)
    check_eq((result.returncode, result.stderr), (0, ""), "secretvolctl mounts -o " + output)
    return result.stdout


def words_of(d, output):
    """The lines as a shell would take them."""
    return shlex.split(mounts_of(d, output))


# ---- runtimes --------------------------------------------------------------------------------


@functools.lru_cache(None)
def root_file_system():
    busybox = shutil.which("busybox")
    if not busybox:
        raise Skip("busybox is not installed")
    with open(busybox, "rb") as f:
        if b"/ld-linux" in f.read(4096):
            raise Skip("busybox is not a static one")
    return busybox


def new_root():
    """A root file system of its own for each container: a runtime makes mountpoints in it."""
    busybox = root_file_system()
    root = harness.make_dir("rootfs.", 0o755)
    for name in ("bin", "etc", "proc", "sys", "dev", "tmp", "run", "var"):
        os.mkdir(os.path.join(root, name))
    shutil.copy(busybox, root + "/bin/busybox")
    for name in APPLETS:
        os.symlink("busybox", root + "/bin/" + name)
    with open(root + "/etc/passwd", "w", encoding="ascii") as f:
        f.write("root:x:0:0::/:/bin/sh\n")
    with open(root + "/etc/group", "w", encoding="ascii") as f:
        f.write("root:x:0:\n")
    return root


class Container:
    """One that runs; it speaks in lines."""

    def __init__(self, command, **options):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, **options)
        self.lines = harness.Lines(self.process.stdout)

    def line(self):
        text = self.lines.next("the container", RUN_S)
        if text is None:
            raise AssertionError("the container ended: " + self.process.stderr.read())
        return text

    def ask(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.line()

    def end(self):
        """Its input ends, and with that it does."""
        _, stderr = self.process.communicate(timeout=RUN_S)
        check_eq((self.process.returncode, stderr), (0, ""), "the container's end")


class Oci:
    """runc, and crun where it only runs without the unified cgroup tree."""

    def __init__(self, program, prefix=()):
        self.name = program
        self.prefix = list(prefix)
        self.count = 0

    def bundle(self, args, mounts=(), user=None, env=()):
        directory = harness.make_dir("bundle.")
        subprocess.run(self.prefix + [self.name, "spec"], cwd=directory, check=True,
                       capture_output=True, timeout=RUN_S)
        path = os.path.join(directory, "config.json")
        with open(path, encoding="utf-8") as f:
            config = json.load(f)
        config["process"].update(terminal=False, args=list(args), user=user or {"uid": 0, "gid": 0})
        config["process"]["env"] += list(env)
        config["process"].pop("rlimits", None)  # this may not be allowed to raise them
        config["root"] = {"path": new_root(), "readonly": False}
        config["mounts"] += list(mounts)
        with open(path, "w", encoding="utf-8") as f:
            json.dump(config, f)
        return directory

    def command(self, bundle):
        self.count += 1
        name = "sv-test-%d-%d" % (os.getpid(), self.count)
        state = harness.make_dir("state.")
        return self.prefix + [self.name, "--root", state, "run", "--bundle", bundle, name]

    def mounts(self, d):
        return json.loads(mounts_of(d, "oci"))

    def build(self, d, args, user=None, groups=(), env_file=None):
        ids = {"uid": user or 0, "gid": user or 0, "additionalGids": list(groups)}
        env = open(env_file, encoding="utf-8").read().splitlines() if env_file else ()
        return self.command(self.bundle(args, self.mounts(d) if d else (), ids, env)), {}


class Podman:
    name = "podman"

    def __init__(self):
        self.cgroup = "/sv-test-%d" % os.getpid()
        atexit.register(self.remove_cgroups, os.getpid())
        self.home = harness.make_dir("podman.", 0o755)
        self.conf = os.path.join(self.home, "containers.conf")
        with open(self.conf, "w", encoding="ascii") as f:
            f.write(PODMAN_CONF)
        # Its locks and caches stay in this mount namespace, too.
        for path in ("/dev/shm", "/var/lib/containers", "/run/libpod", "/run/containers"):
            if os.path.isdir(path):
                subprocess.run(["mount", "-t", "tmpfs", "test", path], check=True)
        self.storage = ["--root", self.home + "/root", "--runroot", self.home + "/run",
                        "--tmpdir", self.home + "/tmp", "--storage-driver", "vfs"]

    def remove_cgroups(self, owner_pid):
        """podman leaves the parent of its containers' behind."""
        if os.getpid() != owner_pid:
            return
        for controller in glob.glob("/sys/fs/cgroup/*" + self.cgroup):
            for base, _, _ in os.walk(controller, topdown=False):
                try:
                    os.rmdir(base)
                except OSError as e:
                    print("left behind: %s: %s" % (base, e.strerror), file=sys.stderr)

    def build(self, d, args, user=None, groups=(), env_file=None):
        options = ["--rm", "-i", "--network=none", "--log-driver=none",
                   "--cgroup-parent=" + self.cgroup]
        if d:
            options += words_of(d, "podman")
        if user:
            options += ["--user", "%d:%d" % (user, user)]
        for gid in groups:
            options += ["--group-add", str(gid)]
        if env_file:
            options += ["--env-file", env_file]
        environment = dict(os.environ, CONTAINERS_CONF=self.conf, HOME=self.home,
                           XDG_RUNTIME_DIR=self.home)
        return (["podman"] + self.storage + ["run"] + options + ["--rootfs", new_root()]
                + list(args)), {"env": environment}


class Bwrap:
    name = "bwrap"

    def build(self, d, args, user=None, groups=(), env_file=None):
        command = ["bwrap", "--bind", new_root(), "/", "--proc", "/proc", "--dev", "/dev"]
        if d:
            command += words_of(d, "bwrap")
        if env_file:
            command.append("--clearenv")
            with open(env_file, encoding="utf-8") as f:
                for line in f.read().splitlines():
                    command += ["--setenv"] + line.split("=", 1)
        if user:  # bwrap itself knows no other users
            command = ["setpriv", "--reuid", str(user), "--regid", str(user)] + (
                ["--groups", ",".join(map(str, groups))] if groups else ["--clear-groups"]) + ["--"
                ] + command
        return command + ["--"] + list(args), {}


def without_unified_cgroup():
    """crun 1.8 refuses hybrid cgroups: without sight of the unified tree it takes the others."""
    return ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c",
            'umount -l /sys/fs/cgroup/unified 2>/dev/null; exec "$@"', "sh"]


@functools.lru_cache(None)
def runtime(name):
    """The runtime, or Skip with the reason why it runs nothing here."""
    if not shutil.which(name):
        raise Skip("%s is not installed" % name)
    if name == "podman" and not shutil.which("runc"):
        raise Skip("runc, which podman is to use, is not installed")
    result = {"runc": lambda: Oci("runc"),
              "crun": lambda: Oci("crun", without_unified_cgroup()),
              "podman": Podman, "bwrap": Bwrap}[name]()
    command, options = result.build(None, ["/bin/true"])
    got = subprocess.run(command, capture_output=True, text=True, timeout=RUN_S, check=False,
                         stdin=subprocess.DEVNULL, **options)
    if got.returncode:
        raise Skip("%s runs nothing on this machine: %s" % (
            name, got.stderr.strip().splitlines()[-1] if got.stderr.strip() else "no reason given"))
    return result


RUNTIMES = ("runc", "crun", "podman", "bwrap")


def with_each_runtime(function):
    """A test for each of them."""
    for name in RUNTIMES:
        suite.add("%s_%s" % (name, function.__name__),
                  functools.partial(lambda n, f: f(runtime(n)), name, function))
    return function


def run(container_runtime, d, script, **what):
    """(exit status, stdout, stderr) of a shell in a container."""
    command, options = container_runtime.build(d, ["/bin/sh", "-c", script], **what)
    got = subprocess.run(command, capture_output=True, text=True, timeout=RUN_S, check=False,
                         stdin=subprocess.DEVNULL, **options)
    return got.returncode, got.stdout, got.stderr


def output(container_runtime, d, script, **what):
    code, stdout, stderr = run(container_runtime, d, script, **what)
    check_eq(code, 0, "exit status of %s in %s (%s)" % (script, container_runtime.name, stderr))
    return stdout


# ---- tests -----------------------------------------------------------------------------------


@with_each_runtime
def reads_the_files_with_their_modes(r):
    items = [{"key": "username", "path": "my-group/user", "mode": 0o400}, {"key": "password",
                                                                          "path": "password"}]
    with Daemon() as d:
        d.put_objects("o.yaml", secret("s", {"username": "my-app", "password": "39528$vdg7Jb"}),
                      pod(mounts=[("v", "/etc/secret-volume"), ("w", "/a/b/c")],
                          volumes={"v": {"secretName": "s"},
                                   "w": {"secretName": "s", "items": items, "defaultMode": 0o640}}))
        d.wait_published("default", "p", "v")
        d.wait_published("default", "p", "w")
        check_eq(output(r, d, "ls /etc/secret-volume; cat /etc/secret-volume/username"),
                 "password\nusername\nmy-app", "files")
        got = output(r, d, "cd /a/b/c; stat -L -c '%n %a %u %g' . my-group my-group/user password; "
                           "readlink password; cat my-group/user")
        check_eq(got.splitlines(), [". 1777 0 0", "my-group 755 0 0", "my-group/user 400 0 0",
                                    "password 640 0 0", "..data/password", "my-app"], "modes")


@with_each_runtime
def cannot_write_though_it_is_root(r):
    with Daemon() as d:
        d.put_objects("o.yaml", secret("s", {"k": "v"}), pod(mounts=[("v", "/mnt")]))
        v = d.wait_published("default", "p", "v")
        got = output(r, d, "for c in 'touch /mnt/new' 'rm /mnt/k' 'tee /mnt/..data/k'; do "
                           "$c 2>&1 </dev/null | grep -c 'Read-only'; done; cat /mnt/k")
        check_eq(got, "1\n1\n1\nv", "refusals")
        check_eq(harness.read_file(v["path"] + "/k"), b"v", "the volume")


@with_each_runtime
def as_another_user_reads_by_fs_group(r):
    if r.name == "bwrap" and not os.path.exists("/proc/self/ns/user"):
        raise Skip("no user namespaces, which bwrap needs for others than root")
    with Daemon() as d:
        d.put_objects("o.yaml", secret("s", {"k": "v"}),
                      pod(mounts=[("v", "/mnt")], volumes={"v": {"secretName": "s",
                                                                 "defaultMode": 0o400}},
                          spec={"securityContext": {"runAsUser": 1000, "fsGroup": 2000}}))
        volume = d.wait_published("default", "p", "v")
        check_eq(harness.describe(volume["path"] + "/..data/k"),
                 {"mode": "0440", "uid": 0, "gid": 2000}, "the file")
        if r.name == "bwrap":
            # As a user it cannot walk the daemon's directories, which are root's alone.
            code, _, stderr = run(r, d, "cat /mnt/k", user=1000, groups=[2000])
            check(code != 0 and "Permission denied" in stderr, "bwrap as a user: " + stderr)
            return
        check_eq(output(r, d, "id -u; cat /mnt/k", user=1000, groups=[2000]), "1000\nv",
                 "with the group")
        code, stdout, stderr = run(r, d, "cat /mnt/k", user=1000)
        check_eq((code, stdout), (1, ""), "without the group")
        check_in("Permission denied", stderr, "without the group")


@with_each_runtime
def sees_an_update_without_a_restart(r):
    with Daemon() as d:
        d.put_objects("s.yaml", secret("s", {"k": "one"}))
        d.put_objects("p.yaml", pod(mounts=[("v", "/mnt"),
                                            ("v", "/etc/app.conf", {"subPath": "k"})]))
        v = d.wait_published("default", "p", "v")
        show = "cat /mnt/k; echo -n ' '; cat /etc/app.conf; echo"
        command, options = r.build(d, ["/bin/sh", "-c", "%s; while read x; do %s; done" % (show,
                                                                                         show)])
        container = Container(command, **options)
        try:
            check_eq(container.line(), "one one", "at the start")
            for n, word in enumerate(("two", "three")):
                d.put_objects("s.yaml", secret("s", {"k": word}))
                d.wait_volume("default", "p", "v", harness.newer_than(v["generation"] + n))
                # What a subPath led to at the start stays (R62).
                check_eq(container.ask(), word + " one", "after update %d" % (n + 1))
            container.end()
        finally:
            if container.process.poll() is None:
                container.process.kill()
                container.process.communicate()


@with_each_runtime
def has_the_environment_of_the_env_file(r):
    values = {"USER_NAME": "my-app", "PASS": "39528$vdg7Jb", "ODD": "a b=c 'd' \"e\" \\f #g $h"}
    with Daemon() as d:
        d.put_objects("o.yaml", secret("s", values),
                      pod(mounts=[("v", "/mnt")], envFrom=[{"secretRef": {"name": "s"}}],
                          env=[{"name": "GREETING", "value": "hello $(USER_NAME)"}]))
        d.wait_published("default", "p", "v")
        path = os.path.join(d.home, "env")
        result = d.ctl("env", "p", "-o", "env")
        check_eq(result.returncode, 0, "secretvolctl env: " + result.stderr)
        with open(path, "w", encoding="utf-8") as f:
            f.write(result.stdout)
        got = dict(line.split("=", 1) for line in
                   output(r, d, "env", env_file=path).splitlines() if "=" in line)
        want = dict(values, GREETING="hello my-app")
        check_eq({n: got.get(n) for n in want}, want, "environment")


@suite.test
def a_refused_pod_starts_nothing():
    for output_form in ("json", "oci", "podman", "docker", "systemd", "bwrap"):
        with Daemon() as d:
            d.put_objects("o.yaml", secret("s", {"k": "v"}),
                          pod(mounts=[("v", "/mnt"), ("w", "/srv")],
                              volumes={"v": {"secretName": "s"}, "w": {"secretName": "nope"}}))
            d.wait_volume("default", "p", "w", harness.in_state("Refused"))
            d.wait_published("default", "p", "v")
            result = d.ctl("mounts", "p", "-o", output_form)
            check_eq((result.returncode, result.stdout), (5, ""), "mounts -o " + output_form)
            check_in('secret "nope" not found', result.stderr, "complaint")
            check_in("p/w is Refused", result.stderr, "complaint")


@suite.test
def mounts_are_those_of_the_container():
    with Daemon() as d:
        p = pod(mounts=[("v", "/b"), ("v", "/a/../x/")])
        p["spec"]["containers"].append({"name": "d", "image": "img", "volumeMounts": [
            {"name": "v", "mountPath": "/d"}]})
        p["spec"]["initContainers"] = [{"name": "i", "image": "img", "volumeMounts": [
            {"name": "v", "mountPath": "/i"}]}]
        q = pod("q", mounts=[("v", "/q", {"subPathExpr": "$(X)"})])
        none = pod("none", mounts=[])
        d.put_objects("o.yaml", secret("s", {"k": "v"}), p, q, none)
        path = d.wait_published("default", "p", "v")["path"]
        d.wait_published("default", "q", "v")

        def targets(*args):
            return [(m["mountPath"], m["source"], m["readOnly"])
                    for m in json.loads(mounts_of(d, "json", *args))]
        check_eq(targets(), [("/b", path, True), ("/x", path, True)], "the first container")
        check_eq(targets("-c", "d"), [("/d", path, True)], "-c d")
        check_eq(targets("-c", "i"), [("/i", path, True)], "init container")
        for args, code, text in ((("p", "-c", "x"), 4, "not found"), (("nope",), 4, "not found"),
                                 (("q",), 1, "subPathExpr"), ((), 2, "which pod"),
                                 (("p", "-o", "xml"), 2, "xml")):
            result = d.ctl("mounts", *args)
            check_eq((result.returncode, result.stdout), (code, ""), "mounts %s" % (args,))
            check_in(text, result.stderr, "complaint")
        result = d.ctl("mounts", "none")
        check_eq((result.returncode, json.loads(result.stdout), result.stderr), (0, [], ""),
                 "a container without mounts")
        check_eq(d.ctl("mounts", "none", "-o", "bwrap").stdout, "", "the same for bwrap")


@suite.test
def docker_flags_are_those_of_docker():
    with Daemon() as d:
        d.put_objects("o.yaml", secret("s", {"k": "v"}),
                      pod(mounts=[("v", "/mnt"), ("v", "/a b/it's", {"subPath": "k"})]))
        path = d.wait_published("default", "p", "v")["path"]
        check_eq(words_of(d, "docker"),
                 ["--mount", "type=bind,source=%s/k,target=/a b/it's,readonly,"
                  "bind-propagation=rslave" % path,
                  "--mount", "type=bind,source=%s,target=/mnt,readonly,bind-propagation=rslave"
                  % path], "words")


@suite.test
def odd_mount_paths_reach_bwrap_as_they_are():
    r = runtime("bwrap")
    odd = "/sp ace/quo'te\"/dol$lar/back\\slash/co:lon/com,ma/per%cent/*"
    with Daemon() as d:
        d.put_objects("o.yaml", secret("s", {"k": "v"}), pod(mounts=[("v", odd)]))
        d.wait_published("default", "p", "v")
        check_eq(output(r, d, "cat %s/k" % shlex.quote(odd)), "v", "bwrap")
        result = d.ctl("mounts", "p", "-o", "podman")
        check_eq((result.returncode, result.stdout), (1, ""), "a comma ends a --mount option")
        check_in("cannot be part of a --mount option", result.stderr, "complaint")


SYSTEMD = "/lib/systemd/systemd"


def bind_paths(unit_text):
    """What systemd itself makes of a service's lines: "SOURCE:TARGET" of each, unescaped."""
    place = harness.make_dir("units.", 0o755)
    for name, text in (("sv-test.service", "[Service]\nExecStart=/bin/true\n" + unit_text),
                       ("sysinit.target", "[Unit]\n"), ("shutdown.target", "[Unit]\n"),
                       ("basic.target", "[Unit]\n")):
        path = os.path.join(place, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, 0o644)
    home = harness.make_dir("home.", 0o777)
    got = subprocess.run(
        ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", SYSTEMD, "--test",
         "--system", "--unit=sv-test.service"], text=True, capture_output=True, check=False,
        cwd="/", timeout=RUN_S, stdin=subprocess.DEVNULL,
        env={"SYSTEMD_LOG_LEVEL": "info", "SYSTEMD_UNIT_PATH": place, "HOME": home,
             "XDG_RUNTIME_DIR": home, "LC_ALL": "C.UTF-8"})
    text = got.stdout + got.stderr
    if "-> Unit sv-test.service:" not in text:
        raise Skip("systemd's test mode does not work here: "
                   + (text.strip().splitlines() or ["silence"])[-1])
    mark = "BindReadOnlyPaths: "
    return [line.strip()[len(mark):].rsplit(":", 1)[0] for line in text.splitlines()
            if line.strip().startswith(mark)]


@suite.test
def systemd_takes_the_lines():
    if not os.access(SYSTEMD, os.X_OK):
        raise Skip("systemd is not installed")
    paths = ["/etc/secret-volume", "/srv/a b", "/srv/per%cent", "/srv/co:lon", "/srv/quo\"te's",
             "/srv/back\\slash", "/srv/end ", "/srv/%h $HOME #;", "/srv/\u00e9"]
    with Daemon() as d:
        d.put_objects("o.yaml", secret("s", {"k": "v"}), pod(mounts=[("v", p) for p in paths]))
        source = d.wait_published("default", "p", "v")["path"]
        lines = mounts_of(d, "systemd")
        check_in("BindReadOnlyPaths=%s:/etc/secret-volume\n" % source, lines, "the plain one")
        check_eq(bind_paths(lines), ["%s:%s" % (source, p) for p in sorted(paths)], "paths")
        d.put_objects("o.yaml", secret("s", {"k": "v"}), pod("p", mounts=[("v", "/srv/a\nUser=x")]))
        d.marker()
        result = d.ctl("mounts", "p", "-o", "systemd")
        check_eq((result.returncode, result.stdout), (1, ""), "a line break")
        check_in("cannot be part of a unit", result.stderr, "complaint")


@suite.test
def systemd_analyze_has_nothing_to_say():
    if not shutil.which("systemd-analyze"):
        raise Skip("systemd-analyze is not installed")
    with Daemon() as d:
        d.put_objects("o.yaml", secret("s", {"k": "v"}),
                      pod(mounts=[("v", "/etc/secret-volume"), ("v", "/srv/a b")]))
        d.wait_published("default", "p", "v")
        lines = mounts_of(d, "systemd")

    def verify(text):
        unit = os.path.join(harness.make_dir("unit."), "sv-test.service")
        with open(unit, "w", encoding="utf-8") as f:
            f.write("[Service]\nExecStart=/bin/true\n" + text)
        got = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], text=True,
                             capture_output=True, timeout=RUN_S, check=False,
                             env=dict(os.environ, SYSTEMD_LOG_LEVEL="warning"))
        return [line for line in (got.stdout + got.stderr).splitlines() if "sv-test" in line]
    check(verify("BindReadOnlyPaths=relative:/x\n"), "a bad line is not complained of")
    check_eq(verify(lines), [], "complaints of systemd-analyze verify")


# ---- the daemon in a container ---------------------------------------------------------------

NEEDED = ["CAP_SYS_ADMIN", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID"]


class Contained(Daemon):
    """secretvold as PID 1 of a runc container, with its root directory from a shared mount.

    The paths are the host's in there too, so that all that a Daemon is asked works.
    """

    def __init__(self, propagation, rootfs_propagation=None):
        runtime("runc")  # or Skip
        root = harness.make_dir("shared.", 0o755)
        harness.bind_mount(root, root)
        subprocess.run(["mount", "--make-shared", root], check=True)
        self.propagation = propagation
        self.rootfs_propagation = rootfs_propagation
        super().__init__(root=root, start=False)
        self.put_objects("o.yaml", secret("s", {"k": "v"}), pod())

    def command(self, *extra):
        oci = runtime("runc")
        binds = [(self.root, "rw", self.propagation), (self.manifest_dir, "ro", "rprivate"),
                 (harness.options.build, "ro", "rprivate"), ("/usr", "ro", "rprivate")]
        bundle = oci.bundle(super().command(*extra), [
            {"destination": path, "type": "bind", "source": path, "options": ["rbind"] + list(how)}
            for path, *how in binds],
            env=["ASAN_OPTIONS=detect_leaks=0"])  # which takes the right to trace itself
        path = os.path.join(bundle, "config.json")
        with open(path, encoding="utf-8") as f:
            config = json.load(f)
        config["process"]["capabilities"] = {
            kind: NEEDED for kind in ("bounding", "effective", "permitted")}
        config["root"]["readonly"] = True
        for name in ("lib", "lib64"):
            os.symlink("usr/" + name, os.path.join(config["root"]["path"], name))
        if self.rootfs_propagation:
            config["linux"]["rootfsPropagation"] = self.rootfs_propagation
        with open(path, "w", encoding="utf-8") as f:
            json.dump(config, f)
        # In a pid namespace that ends with us, even if we are killed.
        return ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc",
                "--propagation", "unchanged", "--"] + oci.command(bundle)

    def end_of(self, signum):
        """The daemon gets a signal, and its container ends; its exit status."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.connect(self.socket_path)
            pid, _, _ = struct.unpack("iII", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        os.kill(pid, signum)
        return self.wait_exit()

    def cleanup(self):
        if self.is_running():
            try:
                self.end_of(signal.SIGKILL)  # so that runc takes the container away
            except OSError:
                pass
        super().cleanup()
        harness.umount(self.root)
        os.rmdir(self.root)


@suite.test
def a_daemon_in_a_container_mounts_for_the_host():
    with Contained("rshared", "rshared") as d:
        d.start()
        v = d.wait_published("default", "p", "v")
        check_eq(harness.read_file(v["path"] + "/k"), b"v", "content on the host")
        check("not seen" not in d.log(), "a complaint: " + d.log())
        before = (harness.mount_at(v["path"]), v["generation"], v["publishedAt"])
        check_eq(d.end_of(signal.SIGKILL), 128 + signal.SIGKILL, "exit status of the container")
        check_eq(harness.mount_at(v["path"]), before[0], "mount without a daemon")
        d.start()
        v = d.wait_published("default", "p", "v")
        check_eq((harness.mount_at(v["path"]), v["generation"], v["publishedAt"]), before,
                 "the volume that the next one took over")
        d.delete("o.yaml")
        d.wait_gone("default", "p", "v")
        check_eq(harness.mount_at(v["path"]), None, "mount on the host, no longer wanted")
        check_eq(d.end_of(signal.SIGTERM), 0, "exit status of the container")


@suite.test
def a_daemon_in_a_container_says_when_its_mounts_stay_there():
    for propagation in (("rprivate",), ("rslave", "rslave"), ("rshared", "rslave")):
        with Contained(*propagation) as d:
            d.start()
            v = d.wait_published("default", "p", "v")
            check_eq(harness.mount_at(v["path"]), None, "mount on the host, %s" % (propagation,))
            check_in("are not seen outside this container: the directory needs mount propagation "
                     "'Bidirectional'", d.log(), "log with %s" % (propagation,))


if __name__ == "__main__":
    sys.exit(suite.main())
