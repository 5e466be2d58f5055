#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""secretvolctl exec: a command with a container's mounts and environment; nothing is left."""

import contextlib
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import termios

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness  # noqa: E402
from harness import (Daemon, check, check_eq, check_in, daemon_with, poll_until,  # noqa: E402
                     secret)

suite = harness.Suite("exec")

SUPPORT = os.path.dirname(os.path.abspath(harness.__file__))

# A path element that no machine has.
ABSENT = "sv-test-%d" % os.getpid()


# ---- objects ---------------------------------------------------------------------------------


def pod(name, mounts=(), volumes=None, namespace="default", container="c", spec=None, **fields):
    """A Pod with one container; mounts: (volume, mountPath[, more fields]).

    volumes: name -> secretName or the whole source; by default v is of Secret s.
    """
    volumes = {"v": "s"} if volumes is None else volumes
    sources = [{"name": n, "secret": {"secretName": s}} if isinstance(s, str) else dict(s, name=n)
               for n, s in volumes.items()]
    mounts = [dict({"name": m[0], "mountPath": m[1]}, **(m[2] if len(m) > 2 else {}))
              for m in mounts]
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace},
            "spec": dict({"containers": [dict({"name": container, "image": "img",
                                               "volumeMounts": mounts}, **fields)],
                          "volumes": sources}, **(spec or {}))}


def key_ref(name, secret_name, key):
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret_name, "key": key}}}


# ---- running ---------------------------------------------------------------------------------


def command(d, *args):
    return [os.path.join(harness.options.build, "secretvolctl"), "--socket", d.socket_path,
            "exec"] + list(args)


def run(d, *args, **options):
    """secretvolctl exec to its end, as text."""
    options = dict({"text": True, "capture_output": True, "timeout": harness.DEADLINE_S,
                    "cwd": "/"}, **options)
    if "input" not in options:
        options["stdin"] = subprocess.DEVNULL
    return subprocess.run(command(d, *args), check=False, **options)


def output(d, *args, **options):
    """What a command that succeeds prints."""
    result = run(d, *args, **options)
    check_eq((result.returncode, result.stderr), (0, "" if isinstance(result.stderr, str) else b""),
             "exec " + " ".join(args))
    return result.stdout


def shell(d, script, name="p", **options):
    return output(d, name, "--", "/bin/sh", "-ec", script, **options)


def check_fails(d, code, *args, texts=(), **options):
    """Nothing is run, and one line says why."""
    result = run(d, *args, **options)
    check_eq((result.returncode, result.stdout), (code, ""),
             "exec %s (%s)" % (" ".join(args), result.stderr.strip()))
    check_eq(result.stderr.count("\n"), 1, "lines on stderr: " + result.stderr)
    check(result.stderr.startswith("Error: "), "complaint: " + result.stderr)
    for text in texts:
        check_in(text, result.stderr, "complaint of exec " + " ".join(args))


class Child:
    """An exec that runs while the test goes on; it speaks in lines."""

    def __init__(self, d, *args, **options):
        self.process = subprocess.Popen(command(d, *args), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        cwd="/", **options)
        self.lines = harness.Lines(self.process.stdout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def line(self, deadline_s=harness.DEADLINE_S):
        text = self.lines.next("the command", deadline_s)
        if text is None:
            raise AssertionError("the command ended: " + self.process.stderr.read())
        return text

    def say(self, text="\n"):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def end(self, deadline_s=harness.DEADLINE_S):
        return self.process.wait(deadline_s)


def python(code):
    """A command line for a program that has the harness too."""
    return ["--", sys.executable, "-c",
            "import sys, os; sys.path.insert(0, %r); import harness\n%s" % (SUPPORT, code)]


# ---- the host --------------------------------------------------------------------------------


@contextlib.contextmanager
def furnished(path, options="mode=0750"):
    """A tmpfs of this test's own on a directory of the machine, for as long as the test runs."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "test", path], check=True)
    try:
        yield path
    finally:
        harness.unmount_below(path)
        harness.umount(path)


def host_state(*directories):
    """What a trace on the host would change."""
    listing = {}
    for path in ("/", "/etc", "/opt", "/mnt", "/srv") + directories:
        listing[path] = sorted((e.name, e.stat(follow_symlinks=False).st_ino)
                               for e in os.scandir(path))
    for path in ("/run", "/tmp", "/dev"):  # others write there, too
        listing[path] = [name for name in os.listdir(path) if ABSENT in name]
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        return listing, f.read()


@contextlib.contextmanager
def no_trace(*directories):
    before = host_state(*directories)
    yield
    check_eq(host_state(*directories), before, "the host's directories and mounts")


# ---- the examples of the Kubernetes page -----------------------------------------------------

PAGE = """\
apiVersion: v1
kind: Secret
metadata:
  name: test-secret
data:
  username: bXktYXBw
  password: Mzk1MjgkdmRnN0pi
---
apiVersion: v1
kind: Secret
metadata:
  name: backend-user
data:
  backend-username: YmFja2VuZC1hZG1pbg==
---
apiVersion: v1
kind: Secret
metadata:
  name: db-user
data:
  db-username: ZGItYWRtaW4=
---
apiVersion: v1
kind: Pod
metadata:
  name: secret-test-pod
spec:
  containers:
    - name: test-container
      image: nginx
      volumeMounts:
        # name must match the volume name below
        - name: secret-volume
          mountPath: /etc/secret-volume
          readOnly: true
  # The secret data is exposed to Containers in the Pod through a Volume.
  volumes:
    - name: secret-volume
      secret:
        secretName: test-secret
---
apiVersion: v1
kind: Pod
metadata:
  name: env-single-secret
spec:
  containers:
  - name: envars-test-container
    image: nginx
    env:
    - name: SECRET_USERNAME
      valueFrom:
        secretKeyRef:
          name: backend-user
          key: backend-username
---
apiVersion: v1
kind: Pod
metadata:
  name: envvars-multiple-secrets
spec:
  containers:
  - name: envars-test-container
    image: nginx
    env:
    - name: BACKEND_USERNAME
      valueFrom:
        secretKeyRef:
          name: backend-user
          key: backend-username
    - name: DB_USERNAME
      valueFrom:
        secretKeyRef:
          name: db-user
          key: db-username
---
apiVersion: v1
kind: Pod
metadata:
  name: envfrom-secret
spec:
  containers:
  - name: envars-test-container
    image: nginx
    envFrom:
    - secretRef:
        name: test-secret
"""


@suite.test
def the_examples_of_the_kubernetes_page():
    with Daemon(start=False) as d, contextlib.ExitStack() as stack:
        d.put("page.yaml", PAGE)
        d.start()
        stack.enter_context(no_trace())
        check_eq(output(d, "secret-test-pod", "--", "ls", "/etc/secret-volume"),
                 "password\nusername\n", "ls")
        check_eq(shell(d, 'echo "$( cat /etc/secret-volume/username )"\n'
                          'echo "$( cat /etc/secret-volume/password )"', "secret-test-pod"),
                 "my-app\n39528$vdg7Jb\n", "the files")
        check_eq(output(d, "env-single-secret", "--", "/bin/sh", "-c", "echo $SECRET_USERNAME"),
                 "backend-admin\n", "one variable")
        check_eq(output(d, "envvars-multiple-secrets", "--", "/bin/sh", "-c",
                        "env | grep _USERNAME | sort"),
                 "BACKEND_USERNAME=backend-admin\nDB_USERNAME=db-admin\n", "two variables")
        check_eq(output(d, "envfrom-secret", "--", "dash", "-c",
                        r'echo "username: $username\npassword: $password\n"'),
                 "username: my-app\npassword: 39528$vdg7Jb\n\n", "every key")


# ---- the command is the process --------------------------------------------------------------


@suite.test
def the_exit_code_is_the_commands():
    with daemon_with(pod("p", volumes={})) as d:
        for code in (0, 1, 2, 5, 7, 126, 127, 255):
            result = run(d, "p", "--", "sh", "-c", "echo out; echo err >&2; exit %d" % code)
            check_eq((result.returncode, result.stdout, result.stderr), (code, "out\n", "err\n"),
                     "exit %d" % code)
        for signum in (signal.SIGKILL, signal.SIGPIPE, signal.SIGSEGV):
            check_eq(run(d, "p", "--", "sh", "-c", "kill -%d $$" % signum).returncode, -signum,
                     "a command that ends by %s" % signum.name)


@suite.test
def signals_reach_the_command_as_if_it_had_been_started_directly():
    loop = "import signal, time\nprint(os.getpid(), flush=True)\nsignal.pause()"
    caught = ("import signal\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(42))\n"
              "print(os.getpid(), flush=True)\nsignal.pause()")
    with daemon_with(pod("p", volumes={})) as d:
        for code, signum, status in ((loop, signal.SIGTERM, -signal.SIGTERM),
                                     (loop, signal.SIGHUP, -signal.SIGHUP),
                                     (caught, signal.SIGTERM, 42)):
            with Child(d, "p", *python(code)) as child:
                check_eq(int(child.line()), child.process.pid, "process id")
                child.process.send_signal(signum)
                check_eq(child.end(), status, "status after %s" % signum.name)


@suite.test
def signal_dispositions_are_what_they_were():
    with daemon_with(pod("p", volumes={})) as d:
        show = ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]
        want = subprocess.run(show, capture_output=True, text=True, check=True).stdout
        check_eq(output(d, "p", "--", *show), want, "signals")


@suite.test
def standard_streams_are_passed_on():
    data = os.urandom(1 << 20)
    with daemon_with(pod("p", volumes={})) as d:
        got = run(d, "p", "--", "cat", text=False, input=data)
        check_eq((got.returncode, got.stdout == data, got.stderr), (0, True, b""), "cat")
        check_eq(shell(d, "wc -c", input="12345").strip(), "5", "wc")
        with Child(d, "p", "--", "cat") as child:
            for word in ("one", "two"):  # nothing is held back
                child.say(word + "\n")
                check_eq(child.line(), word, "echo")
            child.process.stdin.close()
            child.process.stdin = None
            check_eq(child.end(), 0, "cat at the end of its input")


@suite.test
def nothing_of_the_clients_is_inherited():
    """Least of all a connection to the daemon: it would count as root's for one who is not."""
    with daemon_with(pod("p", volumes={})) as d:
        names = shell(d, "for f in /proc/self/fd/*; do readlink $f || true; done").splitlines()
        check_eq([n for n in names if n.startswith(("socket:", "anon_inode"))], [], "descriptors")
        r, w = os.pipe()
        os.set_inheritable(w, True)
        shell(d, "echo mine >&%d" % w, pass_fds=[w])
        os.close(w)
        with os.fdopen(r) as f:
            check_eq(f.read(), "mine\n", "a descriptor of the caller's")


@suite.test
def a_terminal_is_the_commands():
    code = ("os.write(1, b'tty %d\\n' % (sys.stdin.isatty() and sys.stdout.isatty()))\n"
            "os.write(1, b'group %d\\n' % (os.tcgetpgrp(0) == os.getpgrp()))\n"
            "os.write(1, b'line ' + os.read(0, 100))\nimport signal\nos.write(1, b'ready\\n')\n"
            "signal.signal(signal.SIGINT, signal.SIG_DFL)\nsignal.pause()")
    with daemon_with(pod("p", volumes={})) as d:
        pid, master = pty.fork()
        if pid == 0:
            args = command(d, "p", *python(code))
            os.execv(args[0], args)
        seen = b""

        def until(part):
            nonlocal seen
            while part not in seen:
                ready, _, _ = select.select([master], [], [], harness.DEADLINE_S)
                check(ready, "the terminal shows only %r" % seen)
                seen += os.read(master, 4096)
        try:
            attributes = termios.tcgetattr(master)
            attributes[3] &= ~termios.ECHO
            termios.tcsetattr(master, termios.TCSANOW, attributes)
            until(b"group 1\r\n")
            check_in(b"tty 1", seen, "isatty")
            os.write(master, b"hello\n")
            until(b"line hello\r\n")
            until(b"ready")
            os.write(master, b"\x03")
            _, status = os.waitpid(pid, 0)
            pid = 0
            check(os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGINT,
                  "status after ^C: %d" % status)
        finally:
            if pid:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            os.close(master)


@suite.test
def a_command_that_cannot_be_run_is_126_or_127():
    with daemon_with(secret("s", {"script": "#!/bin/sh\necho no\n"}),
                     pod("p", [("v", "/mnt")],
                         {"v": {"secret": {"secretName": "s", "defaultMode": 0o755}}})) as d:
        check_fails(d, 127, "p", "--", ABSENT, texts=(ABSENT, "No such file"))
        check_fails(d, 127, "p", "--", "/" + ABSENT + "/x", texts=("No such file",))
        check_fails(d, 126, "p", "--", "/etc", texts=("Permission denied",))
        check_fails(d, 126, "p", "--", "/etc/passwd", texts=("Permission denied",))
        check_fails(d, 126, "p", "--", "/mnt/script", texts=("Permission denied",))  # noexec


@suite.test
def the_working_directory_stays_if_it_can():
    with daemon_with(secret("s", {"k": "v"}), pod("p", [("v", "/%s/deep" % ABSENT)])) as d, \
            furnished("/srv"):
        os.mkdir("/srv/here")
        check_eq(shell(d, "pwd", cwd="/srv/here"), "/srv/here\n", "working directory")
        check_eq(shell(d, "pwd; ls -d srv/here"), "/\nsrv/here\n", "the root directory, covered")
        gone = "/srv/gone"
        os.mkdir(gone)
        script = 'cd %s; rmdir %s; exec "$@"' % (gone, gone)
        got = subprocess.run(["sh", "-ec", script, "sh"] + command(d, "p", "--", "pwd"), text=True,
                             capture_output=True, check=False, timeout=harness.DEADLINE_S)
        check_eq((got.returncode, got.stdout), (0, "/\n"), "a directory that is no more")


# ---- the environment -------------------------------------------------------------------------


@suite.test
def only_four_variables_come_from_the_caller():
    caller = {"PATH": os.environ["PATH"], "HOME": "/h", "TERM": "t", "LANG": "C", "USER": "u",
              "LD_PRELOAD": "", "SECRETVOLD_SOCKET": "x", "IFS": "x"}
    with daemon_with(secret("s", {"HOME": "/of/secret", "k": "a\nb"}),
                     pod("p", volumes={}, envFrom=[{"secretRef": {"name": "s"}}],
                         env=[{"name": "A", "value": "$(HOME)$(PATH)"}]),
                     pod("none", volumes={})) as d:
        def variables(name, env):
            text = output(d, name, "--", "/usr/bin/env", "-0", env=env)
            return dict(entry.split("=", 1) for entry in text.split("\0") if entry)
        check_eq(variables("p", caller),
                 {"PATH": caller["PATH"], "HOME": "/of/secret", "TERM": "t", "LANG": "C",
                  "k": "a\nb", "A": "/of/secret$(PATH)"}, "environment")
        check_eq(variables("none", {"HOME": "/h", "X": "y"}), {"HOME": "/h"}, "without variables")


@suite.test
def the_containers_path_finds_the_command():
    place = harness.make_dir("bin.", 0o755)
    tool = os.path.join(place, "sv-tool")
    with open(tool, "w", encoding="ascii") as f:
        f.write("#!/bin/sh\necho tool\n")
    os.chmod(tool, 0o755)
    with daemon_with(pod("p", volumes={}, env=[{"name": "PATH", "value": place + ":/bin"}])) as d:
        check_eq(output(d, "p", "--", "sv-tool"), "tool\n", "a tool in the container's PATH")


@suite.test
def without_a_command_the_containers_runs():
    with daemon_with(secret("s", {"k": "v a"}),
                     pod("both", volumes={}, command=["printf", "%s|"], args=["$(K)", "$$(K)", ""],
                         env=[key_ref("K", "s", "k")]),
                     pod("args", volumes={}, args=["/bin/echo", "only", "args"]),
                     pod("none", volumes={}),
                     pod("multi", volumes={}, command=["/bin/echo", "app"],
                         spec={"initContainers": [{"name": "i", "image": "img",
                                                   "command": ["/bin/echo", "init"]}]})) as d:
        check_eq(output(d, "both"), "v a|$(K)||", "command and args")
        check_eq(output(d, "args"), "only args\n", "args alone")
        check_eq(output(d, "both", "--", "/bin/echo", "given"), "given\n", "a given command")
        check_eq(output(d, "multi"), "app\n", "the first container")
        check_eq(output(d, "multi", "-c", "i"), "init\n", "the init container")
        check_fails(d, 2, "none", texts=("container c has no command",))
        check_fails(d, 2, texts=("which pod",))
        check_fails(d, 4, "multi", "-c", "x", "--", "true", texts=('container "x" not found',))


@suite.test
def what_no_environment_can_hold_is_told_before_the_command():
    with daemon_with(secret("nul", {"K": b"a\0b"}), secret("large", {"K": b"x" * (128 << 10)}),
                     secret("fits", {"K": b"x" * ((128 << 10) - 3)}),
                     secret("many", {"K%02d" % i: b"x" * 120000 for i in range(8)}),
                     *(pod(n, volumes={}, envFrom=[{"secretRef": {"name": n}}])
                       for n in ("nul", "large", "fits")),
                     pod("many", volumes={}, envFrom=[
                         {"secretRef": {"name": "many"}, "prefix": p} for p in "ABC"]),
                     pod("arg", volumes={}, env=[key_ref("K", "large", "K")],
                         command=["/bin/echo", "$(K)"]),
                     pod("narg", volumes={}, env=[key_ref("K", "nul", "K")],
                         command=["/bin/echo", "$(K)"])) as d:
        check_fails(d, 1, "nul", "--", "echo", "ran", texts=("variable K", "NUL"))
        check_fails(d, 1, "large", "--", "echo", "ran", texts=("variable K", "131075 bytes"))
        check_eq(output(d, "fits", "--", "sh", "-c", "echo ${#K}"), "131069\n", "the largest")
        check_fails(d, 1, "many", "--", "echo", "ran", texts=("environment", "too large"))
        check_fails(d, 1, "arg", texts=("too large",))
        check_fails(d, 5, "narg", texts=("NUL", "command or args"))
        prefixed = {"secretRef": {"name": "s"}, "prefix": "A="}
        with daemon_with(pod("p", volumes={}, env=[{"name": "A=B", "value": "x"}]),
                         pod("q", volumes={}, envFrom=[prefixed])) as bad:
            check_fails(bad, 4, "p", "--", "true", texts=("not found",))
            check_fails(bad, 4, "q", "--", "true", texts=("not found",))


# ---- where mounts stand ----------------------------------------------------------------------


@suite.test
def a_mount_path_need_not_exist_at_any_depth():
    paths = {"root": "/" + ABSENT, "deep": "/%s/b/c/d" % ABSENT, "etc": "/etc/%s/x" % ABSENT,
             "opt": "/opt/x", "usr": "/usr/share/%s" % ABSENT, "link": "/bin/" + ABSENT,
             "run": "/run/%s/secrets" % ABSENT, "tmp": "/tmp/" + ABSENT, "dev": "/dev/" + ABSENT}
    objects = [secret("s", {"k": "value"})]
    objects += [pod(n, [("v", p)]) for n, p in paths.items()]
    objects.append(pod("all", [("v", p) for n, p in paths.items() if n != "root"]))
    with furnished("/opt") as opt, daemon_with(*objects) as d:
        with open(opt + "/entry", "w", encoding="ascii") as f:
            f.write("there")
        with no_trace("/usr/share", "/usr/bin"):
            for name, path in paths.items():
                got = shell(d, "cat %s/k; stat -c %%a %s; ls /opt; ls -A / | sort | tr '\\n' ' '"
                            % (path, path), name)
                lines = got.splitlines()
                check_eq(lines[0], "value1777", path)
                check_in("entry", lines, "what was in /opt")
                shown = set(lines[-1].split())
                check_eq(shown - set(os.listdir("/")),
                         {ABSENT} if path.startswith("/" + ABSENT) else set(), "new in / " + path)
                check_eq(set(os.listdir("/")) - shown, set(), "gone from / " + path)
            script = "for p in %s; do cat $p/k; done" % " ".join(
                p for n, p in paths.items() if n != "root")
            check_eq(shell(d, script, "all"), "value" * (len(paths) - 1), "all at once")


@suite.test
def a_mount_path_that_exists_is_covered_for_the_command_alone():
    with furnished("/srv") as srv, daemon_with(secret("s", {"k": "value"}),
                                               pod("p", [("v", "/srv/conf"), ("v", "/mnt")])) as d:
        os.mkdir(srv + "/conf")
        with open(srv + "/conf/own", "w", encoding="ascii") as f:
            f.write("host")
        with no_trace(srv + "/conf"):
            with Child(d, "p", "--", "sh", "-c", "ls /srv/conf; cat /mnt/k; echo; read x") as child:
                check_eq((child.line(), child.line()), ("k", "value"), "inside")
                check_eq(os.listdir(srv + "/conf"), ["own"], "outside, while it runs")
                check(not os.path.lexists("/mnt/k"), "the host sees the mount")
                child.say()
                check_eq(child.end(), 0, "exit status")


@suite.test
def mounts_stand_below_each_other():
    with daemon_with(
            secret("s", {"k": "outer"}), secret("t", {"k": "inner"}), secret("u", {"k": "third"}),
            pod("p", [("w", "/%s/v/nested/deep" % ABSENT), ("v", "/%s/v" % ABSENT),
                      ("x", "/%s/v-beside" % ABSENT), ("x", "/mnt/a/b"), ("v", "/mnt")],
                {"v": "s", "w": "t", "x": "u"}),
            pod("sub", [("v", "/srv"), ("w", "/srv/d", {"subPath": "e"})],
                {"v": "s", "w": "t"})) as d, no_trace():
        base = "/%s/v" % ABSENT
        check_eq(shell(d, "cd %s; cat k nested/deep/k ../v-beside/k; ls" % base),
                 "outerinnerthirda\nk\nnested\n", "nested in a new place")
        check_eq(shell(d, "cat /mnt/k /mnt/a/b/k"), "outerthird", "nested in an old place")
        check_eq(shell(d, "cat /srv/k; ls -A /srv/d | wc -l", "sub"), "outer0\n",
                 "a subPath that is not there, below another mount")


@suite.test
def paths_are_cleaned_as_the_kubelet_does():
    with daemon_with(secret("s", {"k": "value"}),
                     pod("p", [("v", "%s/relative" % ABSENT), ("v", "/mnt/../%s/up" % ABSENT),
                               ("v", "/../../%s//./dots/" % ABSENT)])) as d, no_trace():
        check_eq(shell(d, "cd /%s; ls; cat */k" % ABSENT), "dots\nrelative\nup\n" + "value" * 3,
                 "cleaned paths")


@suite.test
def mount_paths_that_cannot_be_had_are_refused_by_name():
    bad = {"root": "/", "dots": "/..", "proc": "/proc", "inproc": "/proc/x", "sys": "/sys/kernel/x",
           "rel": "proc", "dev": "/dev", "upproc": "/etc/../proc/1"}
    objects = [pod(n, [("v", p)]) for n, p in bad.items()]
    objects += [pod("same", [("v", "/mnt/x"), ("v", "/mnt/x/")]),
                pod("file", [("v", "/etc/passwd")]), pod("below", [("v", "/etc/passwd/x/y")]),
                pod("dir", [("v", "/mnt", {"subPath": "k"})])]
    with daemon_with(secret("s", {"k": "value"}), *objects) as d, no_trace():
        for name, path in bad.items():
            check_fails(d, 1, name, "--", "echo", "ran", 
                        texts=('mountPath "%s"' % path, "must not"))
        check_fails(d, 1, "same", "--", "echo", "ran", texts=("/mnt/x", "two mounts"))
        check_fails(d, 1, "file", "--", "echo", "ran", texts=("/etc/passwd", "is a file here"))
        check_fails(d, 1, "below", "--", "echo", "ran", texts=("/etc/passwd/x/y", "is a file"))
        check_fails(d, 1, "dir", "--", "echo", "ran", texts=("/mnt", "is a directory here"))


@suite.test
def a_file_can_be_mounted_where_there_is_one_and_where_there_is_none():
    with daemon_with(secret("s", {"k": "value"}),
                     pod("p", [("v", "/etc/hostname", {"subPath": "k"}),
                               ("v", "/etc/%s.conf" % ABSENT, {"subPath": "k"}),
                               ("v", "/%s/etc/app/key" % ABSENT, {"subPath": "k"})])) as d, \
            no_trace():
        check_eq(shell(d, "cat /etc/hostname /etc/%s.conf /%s/etc/app/key; test -f /etc/hostname; "
                          "! echo x 2>/dev/null >/etc/hostname" % (ABSENT, ABSENT)),
                 "value" * 3, "files")


@suite.test
def what_a_covered_directory_holds_is_still_there():
    with furnished("/srv", "mode=2751,size=64m") as srv, \
            daemon_with(secret("s", {"k": "value"}), pod("p", [("v", "/srv/new/x")])) as d:
        os.chown(srv, 7, 8)
        os.chmod(srv, 0o2751)
        for n in range(1500):
            with open("%s/file-%04d" % (srv, n), "w", encoding="ascii") as f:
                f.write(str(n))
        os.mkdir(srv + "/dir")
        os.mkdir(srv + "/mounted")
        subprocess.run(["mount", "-t", "tmpfs", "inner", srv + "/mounted"], check=True)
        with open(srv + "/mounted/inside", "w", encoding="ascii") as f:
            f.write("inside")
        os.symlink("dir", srv + "/link")
        os.symlink("/nowhere/" + ABSENT, srv + "/dangling")
        os.mkfifo(srv + "/fifo")
        os.mknod(srv + "/null", 0o666 | 0o020000, os.makedev(1, 3))
        os.chmod(srv + "/null", 0o666)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(srv + "/socket")
        listener.listen()
        odd = "a b\n'\"\\é"
        with open(srv + "/" + odd, "w", encoding="utf-8") as f:
            f.write("odd")
        os.chmod(srv + "/" + odd, 0o4750)
        code = "\n".join((
            "names = sorted(os.listdir('/srv'))", "print(len(names))",
            "print([oct(os.stat('/srv').st_mode), os.stat('/srv').st_uid, os.stat('/srv').st_gid])",
            "print(sum(int(open('/srv/file-%04d' % n).read()) for n in range(1500)))",
            "print(open('/srv/mounted/inside').read(), os.readlink('/srv/link'), "
            "os.readlink('/srv/dangling'))",
            "print([oct(os.lstat('/srv/' + n).st_mode) for n in names "
            "if n[0] != 'f' or n == 'fifo'])",
            "open('/srv/null', 'w').write('x')",
            "import socket; socket.socket(socket.AF_UNIX).connect('/srv/socket')",
            "print(open('/srv/new/x/k').read())"))
        names = sorted(os.listdir(srv))
        want = [str(len(names) + 1), str([oct(os.stat(srv).st_mode), 7, 8]),
                str(sum(range(1500))), "inside dir /nowhere/" + ABSENT]
        modes = {n: oct(os.lstat(srv + "/" + n).st_mode) for n in names}
        modes["new"] = oct(0o40755)
        want.append(str([modes[n] for n in sorted(modes) if n[0] != "f" or n == "fifo"]))
        want.append("value")
        with no_trace(srv + "/dir"):
            check_eq(output(d, "p", *python(code)).splitlines(), want, "the covered directory")
        listener.close()


@suite.test
def files_of_a_covered_directory_are_the_hosts_own():
    """Its entries are bound, not copied: what the command writes to them is written."""
    with furnished("/srv") as srv, \
            daemon_with(secret("s", {"k": "value"}), pod("p", [("v", "/srv/new")])) as d:
        os.mkdir(srv + "/dir")
        with open(srv + "/file", "w", encoding="ascii") as f:
            f.write("before")
        shell(d, "echo -n after >/srv/file; echo -n made >/srv/dir/made; "
                 "echo lost >/srv/lost || true")
        check_eq((harness.read_file(srv + "/file"), harness.read_file(srv + "/dir/made")),
                 (b"after", b"made"), "what was written")
        check_eq(sorted(os.listdir(srv)), ["dir", "file"], "entries")


@suite.test
def mounts_are_read_only_for_root():
    with daemon_with(secret("s", {"k": "value", "d": "x"}),
                     pod("p", [("v", "/mnt"), ("v", "/%s/f" % ABSENT, {"subPath": "k"}),
                               ("v", "/%s/e" % ABSENT, {"subPath": "none"}),
                               ("v", "/%s/part" % ABSENT, {"subPath": "..data"})])) as d:
        script = ("for c in 'touch /mnt/new' 'rm /mnt/k' 'chmod 0600 /mnt/..data/k' "
                  "'mv /mnt/k /mnt/j' 'tee /%s/f' 'touch /%s/e/new' "
                  "'touch /%s/part/new' 'tee /%s/part/k' 'chmod 0600 /%s/part/k'; do "
                  "$c 2>&1 </dev/null | grep -c 'Read-only file system'; done" % ((ABSENT,) * 5))
        check_eq(shell(d, script).split(), ["1"] * 9, "refusals")
        options = shell(d, "grep ' /mnt ' /proc/self/mountinfo").split()[5].split(",")
        check(set(options) >= {"ro", "nosuid", "nodev", "noexec"}, "mount options %s" % options)


@suite.test
def a_host_mount_below_root_is_still_seen():
    with furnished("/srv") as srv, furnished("/mnt") as mnt, \
            daemon_with(secret("s", {"k": "value"}), pod("p", [("v", "/" + ABSENT)])) as d:
        for path in (srv, mnt):
            with open(path + "/own", "w", encoding="ascii") as f:
                f.write(path)
        check_eq(shell(d, "cat /srv/own /mnt/own; ls /proc/self/status; "
                          "findmnt -n -o FSTYPE /proc"),
                 "/srv/mnt/proc/self/status\nproc\n", "mounts of the host")
        # The command's root is a mount of its own, and nothing of the old one lies below it.
        check_eq(shell(d, "grep -c ' / / ' /proc/self/mountinfo || true").strip(), "1", "roots")


# ---- updates ---------------------------------------------------------------------------------


@suite.test
def an_update_is_seen_while_the_command_runs():
    code = ("with harness.Inotify('/%s/v', harness.Inotify.MOVED_TO) as w:\n"
            "    print(open('/%s/v/k').read(), flush=True)\n"
            "    w.wait(lambda mask, name: name == '..data', 'a switch of ..data')\n"
            "    print(open('/%s/v/k').read(), os.listdir('/%s/v') != [], flush=True)\n"
            % ((ABSENT,) * 4))
    with Daemon() as d:
        d.put_objects("s.yaml", secret("s", {"k": "one"}))
        d.put_objects("p.yaml", pod("p", [("v", "/%s/v" % ABSENT)], env=[key_ref("K", "s", "k")]))
        d.wait_published("default", "p", "v")
        with Child(d, "p", *python(code)) as child:
            check_eq(child.line(), "one", "before")
            d.put_objects("s.yaml", secret("s", {"k": "two"}))
            check_eq(child.line(), "two True", "after")
            check_eq(child.end(), 0, "exit status")


@suite.test
def a_command_outlives_its_pod():
    """But a volume that was removed holds nothing any more, as for containers."""
    with Daemon() as d:
        d.put_objects("s.yaml", secret("s", {"k": "one"}))
        d.put_objects("p.yaml", pod("p", [("v", "/mnt")]))
        d.wait_published("default", "p", "v")
        script = "cat /mnt/k; echo; read x; ls /mnt; echo end"
        with Child(d, "p", "--", "sh", "-c", script) as child:
            check_eq(child.line(), "one", "before")
            d.delete("p.yaml")
            d.wait_gone("default", "p", "v")
            child.say()
            check_eq(child.line(), "end", "a volume that was taken down")
            check_eq(child.end(), 0, "exit status")


# ---- parts of a volume (R19, R62) ------------------------------------------------------------


@suite.test
def a_sub_path_keeps_what_it_had():
    items = {"secret": {"secretName": "s", "items": [{"key": "k", "path": "k"},
                                                     {"key": "k", "path": "d/e/k"}]}}
    with Daemon() as d:
        d.put_objects("s.yaml", secret("s", {"k": "one"}))
        d.put_objects("p.yaml", pod("p", [("v", "/mnt"), ("v", "/%s/f" % ABSENT, {"subPath": "k"}),
                                          ("v", "/%s/d" % ABSENT, {"subPath": "d"})],
                                    {"v": items}, spec={"securityContext": {"fsGroup": 4321}}))
        v = d.wait_published("default", "p", "v")
        first = os.readlink(v["path"] + "/..data")
        show = "cat /mnt/k /%s/f /%s/d/e/k; echo" % (ABSENT, ABSENT)
        modes = "stat -L -c '%%a %%g' %s %s/e %s/e/k"
        check_eq(shell(d, modes % (("/%s/d" % ABSENT,) * 3)), shell(d, modes % (("/mnt/d",) * 3)),
                 "modes and groups")
        loop = "%s; while read x; do %s; done" % (show, show)
        with Child(d, "p", "--", "sh", "-c", loop) as child:
            check_eq(child.line(), "oneoneone", "before")
            for n, word in enumerate(("two", "three", "four")):
                d.put_objects("s.yaml", secret("s", {"k": word}))
                d.wait_volume("default", "p", "v", harness.newer_than(v["generation"] + n))
                poll_until(lambda: len([x for x in os.listdir(v["path"])
                                        if harness.DATA_DIR_RE.match(x)]) == 1, "the grace period")
                check(not os.path.lexists(os.path.join(v["path"], first)), "the first generation")
                child.say()
                check_eq(child.line(), word + "oneone", "after update %d" % (n + 1))
        check_eq(shell(d, show), "four" * 3 + "\n", "a command that starts later")


@suite.test
def a_sub_path_stays_in_the_volume():
    with daemon_with(secret("s", {"k": "value"}),
                     *(pod(n, [("v", "/mnt", {"subPath": p})]) for n, p in
                       (("link", "out"), ("through", "out/passwd"), ("abs", "abs"),
                        ("inside", "..data"), ("missing", "no/such"), ("dots", "..x"))),
                     pod("up", [("v", "/mnt", {"subPath": "../x"})])) as d:
        for name in ("link", "through", "abs"):
            path = d.wait_published("default", name, "v")["path"]
            with harness.writable(path) as view:
                os.symlink("../../../../../../../etc", view + "/out")
                os.symlink("/etc", view + "/abs")
            check_fails(d, 1, name, "--", "ls", "/mnt",
                        texts=("subPath", "leads out of the volume"))
        check_eq(shell(d, "cat /mnt/k", "inside"), "value", "a link inside the volume")
        for name in ("missing", "dots"):
            check_eq(shell(d, "ls -A /mnt; stat -c %a /mnt; ! touch /mnt/x 2>/dev/null", name),
                     "1777\n", "a missing subPath is an empty directory")
        check_fails(d, 4, "up", "--", "true", texts=("not found",))  # the API refuses it


@suite.test
def a_sub_path_expression_is_of_the_environment():
    def with_expr(name, expr, **fields):
        return pod(name, [("v", "/mnt", {"subPathExpr": expr})], **fields)
    env = [{"name": "DIR", "value": "$(BASE)x"}, key_ref("BASE", "names", "base"),
           {"name": "NONE", "value": ""}, {"name": "UP", "value": "../x"},
           {"name": "ABS", "value": "/etc"},
           {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    items = {"v": {"secret": {"secretName": "s", "items": [{"key": "k", "path": "prod/p/k"}]}}}
    with daemon_with(secret("s", {"k": "value"}), secret("names", {"base": "prod"}),
                     with_expr("p", "$(BASE)/$(POD)", env=env, volumes=items),
                     with_expr("lit", "$$(BASE)", env=env, volumes=items),
                     with_expr("missing", "$(BASE)/$(NOPE)", env=env, volumes=items),
                     with_expr("empty", "$(NONE)", env=env, volumes=items),
                     with_expr("up", "$(UP)", env=env, volumes=items),
                     with_expr("abs", "$(ABS)", env=env, volumes=items)) as d:
        check_eq(shell(d, "cat /mnt/k"), "value", "expanded")
        check_eq(shell(d, "ls -A /mnt", "lit"), "", "an escaped reference is a name")
        check_fails(d, 5, "missing", "--", "true", texts=("missing value for NOPE",))
        check_fails(d, 5, "empty", "--", "true", texts=("missing value for NONE",))
        check_fails(d, 5, "up", "--", "true", texts=("subPathExpr", "'..'"))
        check_fails(d, 5, "abs", "--", "true", texts=("subPathExpr", "relative"))


# ---- users and groups ------------------------------------------------------------------------


@suite.test
def users_and_groups_are_the_pods():
    def ids(name, container=None, **context):
        fields = {"securityContext": container} if container else {}
        return pod(name, [("v", "/mnt")],
                   {"v": {"secret": {"secretName": "s", "defaultMode": 0o400}}},
                   spec={"securityContext": context}, **fields)
    cases = {
        "none": (ids("none"), "0 0 0"),
        "user": (ids("user", runAsUser=1234), "1234 0 0"),
        "both": (ids("both", runAsUser=1234, runAsGroup=77), "1234 77 77"),
        "fs": (ids("fs", runAsUser=1234, runAsGroup=77, fsGroup=2000), "1234 77 77 2000"),
        "more": (ids("more", runAsUser=1, fsGroup=2000, supplementalGroups=[5, 6]),
                 "1 0 0 5 6 2000"),
        "own": (ids("own", {"runAsUser": 99, "runAsGroup": 98}, runAsUser=1234, fsGroup=7),
                "99 98 98 7"),
        "group": (ids("group", runAsGroup=55), "0 55 55"),
        "zero": (ids("zero", runAsUser=0, fsGroup=0), "0 0 0"),
    }
    with daemon_with(secret("s", {"k": "value"}), *(p for p, _ in cases.values())) as d:
        for name, (_, want) in cases.items():
            got = shell(d, "id -u; id -g; id -G", name).split()
            check_eq((got[:2], sorted(set(got[2:]), key=int)),
                     (want.split()[:2], sorted(set(want.split()[2:]), key=int)), "ids of " + name)
        check_eq(shell(d, "cat /mnt/k; stat -c '%u %g %a' /mnt/..data/k", "fs"),
                 "value0 2000 440\n", "fsGroup opens a file of mode 0400")
        check_eq(run(d, "both", "--", "cat", "/mnt/k").returncode, 1, "without it nobody may read")
        # No way back, and no capabilities.
        check_eq(shell(d, "grep -E '^Cap(Eff|Prm):' /proc/self/status | grep -vc 0000000000000000"
                          " || true", "fs"), "0\n", "capabilities")


# ---- waiting (R58) ---------------------------------------------------------------------------


@suite.test
def a_refused_volume_is_told_at_once():
    with daemon_with(secret("s", {"k": "v"}),
                     pod("gone", [("v", "/mnt")], {"v": "nope"}),
                     pod("key", [("v", "/mnt")], {"v": {"secret": {
                         "secretName": "s", "items": [{"key": "nokey", "path": "x"}]}}}),
                     pod("unused", [("w", "/mnt")], {"v": "nope", "w": "s"})) as d:
        for options in ((), ("--no-wait",), ("--wait",)):
            check_fails(d, 5, "gone", *options, "--", "echo", "ran",
                        texts=("volume v is Refused", 'secret "nope" not found'))
        check_fails(d, 5, "key", "--", "echo", "ran",
                    texts=("references non-existent secret key: nokey",))
        check_eq(output(d, "unused", "--", "cat", "/mnt/k"), "v", "an unused volume does not count")
        check_fails(d, 2, "gone", "--wait", "--no-wait", "--", "true")
        check_fails(d, 2, "gone", "--timeout=soon", "--", "true")
        check_fails(d, 2, "gone", "--timeout=0s", "--", "true")


@suite.test
def a_stale_volume_is_good_enough():
    with Daemon() as d:
        d.put_objects("s.yaml", secret("s", {"k": "v"}))
        d.put_objects("p.yaml", pod("p", [("v", "/mnt")]))
        d.wait_published("default", "p", "v")
        d.delete("s.yaml")
        d.wait_volume("default", "p", "v", harness.in_state("Stale"))
        check_eq(output(d, "p", "--", "cat", "/mnt/k"), "v", "the last good content")


@contextlib.contextmanager
def failing(d):
    """No room for more directories in the daemon's root."""
    os.mkdir(d.root + "/filler")
    n = 0
    try:
        while True:
            os.mknod(d.root + "/filler/%d" % n)
            n += 1
    except OSError as e:
        check_eq(e.strerror, "No space left on device", "why no more files can be made")

    def relieve():
        subprocess.run(["rm", "-rf", d.root + "/filler"], check=True)
    yield relieve
    relieve()


@suite.test
def a_failed_volume_is_waited_for():
    root = harness.make_dir("small.", 0o755)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=64,mode=0755", "small", root],
                   check=True)
    try:
        with Daemon(root=root) as d, failing(d) as relieve:
            d.put_objects("o.yaml", secret("s", {"k": "v"}), pod("p", [("v", "/mnt")]))
            d.wait_volume("default", "p", "v", harness.in_state("Failed"))
            check_fails(d, 5, "p", "--no-wait", "--", "echo", "ran", texts=("volume v is Failed",))
            check_fails(d, 5, "p", "--timeout=300ms", "--", "echo", "ran",
                        texts=("timed out after 300ms", "volume v is Failed"))
            with Child(d, "p", "--timeout=1m", "--", "cat", "/mnt/k") as child:
                relieve()
                check_eq(child.line(), "v", "once there is room")
    finally:
        harness.unmount_below(root)
        harness.umount(root)


def without_manifests():
    """A daemon that waits for its manifest directory, and what makes it appear."""
    d = Daemon(start=False)
    away = d.manifest_dir + ".away"
    d.put_objects("o.yaml", secret("s", {"k": "v"}), pod("p", [("v", "/mnt")]))
    os.rename(d.manifest_dir, away)
    d.start(wait_ready=False)
    d.wait_alive()
    return d, lambda: os.rename(away, d.manifest_dir)


@suite.test
def a_daemon_that_is_starting_is_waited_for():
    d, come = without_manifests()
    with d:
        check_fails(d, 4, "p", "--no-wait", "--", "echo", "ran", texts=('pod "p" not found',))
        check_fails(d, 5, "p", "--timeout=300ms", "--", "echo", "ran",
                    texts=("timed out after 300ms",))
        with Child(d, "p", "--", "cat", "/mnt/k") as child:
            come()
            check_eq(child.line(), "v", "once the manifests are there")
        check_fails(d, 4, "other", "--", "true", texts=('pod "other" not found',))


@suite.test
def a_pod_that_goes_ends_the_waiting():
    with Daemon() as d:
        d.put_objects("s.yaml", secret("s", {"k": "v"}))
        d.put_objects("p.yaml", pod("p", [("v", "/mnt")]))
        d.wait_published("default", "p", "v")
        terminated = dict(pod("q", [("v", "/mnt")]), status={"phase": "Succeeded"})
        d.put_objects("q.yaml", terminated)
        d.marker()
        check_fails(d, 5, "q", "--", "echo", "ran", texts=("terminated",))
    root = harness.make_dir("small.", 0o755)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=64,mode=0755", "small", root],
                   check=True)
    try:
        with Daemon(root=root) as d, failing(d):
            d.put_objects("p.yaml", secret("s", {"k": "v"}), pod("p", [("v", "/mnt")]))
            d.wait_volume("default", "p", "v", harness.in_state("Failed"))
            with Child(d, "p", "--", "echo", "ran") as child:
                # It is waiting once the daemon has it as a peer.
                poll_until(lambda: connected(child.process.pid), "the client's connection")
                d.delete("p.yaml")
                check_eq(child.end(), 4, "exit status")
                check_in("the pod", child.process.stderr.read(), "complaint")
    finally:
        harness.unmount_below(root)
        harness.umount(root)


@suite.test
def a_pod_whose_predecessor_is_still_there_is_waited_for():
    """Of the same name and another uid; its volume cannot be removed, as something covers it."""
    def version(uid):
        made = pod("p", [("v", "/mnt")])
        made["metadata"]["uid"] = uid
        return secret("s", {"k": "v"}), made

    root = harness.make_dir("small.", 0o755)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=64,mode=0755", "small", root],
                   check=True)
    try:
        with Daemon(root=root) as d:
            d.put_objects("p.yaml", *version("a"))
            path = d.wait_published("default", "p", "v")["path"]
            subprocess.run(["mount", "--bind", "/etc", path], check=True)
            with failing(d) as relieve:
                d.put_objects("p.yaml", *version("b"))
                poll_until(lambda: {(v["podUid"], v["state"]) for v in d.volumes()} ==
                           {("a", "Removing"), ("b", "Failed")}, "both volumes")
                check_fails(d, 5, "p", "--timeout=300ms", "--", "true", texts=("timed out",))
                with Child(d, "p", "--", "cat", "/mnt/k") as child:
                    poll_until(lambda: connected(child.process.pid), "the client's connection")
                    harness.umount(path)
                    poll_until(lambda: {v["podUid"] for v in d.volumes()} == {"b"}, "the removal")
                    relieve()
                    check_eq(child.line(), "v", "once there is room")
    finally:
        harness.unmount_below(root)
        harness.umount(root)


def connected(pid):
    try:
        return any(os.readlink("/proc/%d/fd/%s" % (pid, fd)).startswith("socket:")
                   for fd in os.listdir("/proc/%d/fd" % pid))
    except OSError:
        return False


@suite.test
def a_daemon_that_has_not_read_its_sources_yet_or_restarts_is_waited_for():
    objects = (secret("s", {"k": "v"}), pod("p", [("v", "/mnt")]))
    with daemon_with(*objects) as d:
        d.stop()
        away = d.manifest_dir + ".away"
        os.rename(d.manifest_dir, away)
        d.start(wait_ready=False)
        d.wait_alive()
        with Child(d, "p", "--", "cat", "/mnt/k") as child:
            poll_until(lambda: 'watchers{topic="pods"} 1\n' in d.client.get("/metrics")[1],
                       "the client's watch")
            d.stop()
            d.start(wait_ready=False)
            d.wait_alive()
            check_fails(d, 5, "p", "--no-wait", "--", "true", texts=["volume v is Pending\n"])
            mounts = d.ctl("mounts", "p")
            check_eq((mounts.returncode, mounts.stdout, mounts.stderr),
                     (5, "", "Error: pod p is NotReady\n"), "mounts")
            os.rename(away, d.manifest_dir)
            check_eq((child.end(), child.process.stdout.read()), (0, "v"), "the command")


@suite.test
def without_a_daemon_it_is_3():
    with daemon_with(pod("p", volumes={})) as d:
        d.stop()
        check_fails(d, 3, "p", "--", "true")


# ---- volumes of other kinds ------------------------------------------------------------------


@suite.test
def volumes_that_are_no_secrets_are_left_out_and_told():
    with daemon_with(secret("s", {"k": "v"}),
                     pod("p", [("v", "/mnt"), ("e", "/srv")],
                         {"v": "s", "e": {"emptyDir": {}}})) as d, furnished("/srv") as srv:
        with open(srv + "/own", "w", encoding="ascii") as f:
            f.write("host")
        result = run(d, "p", "--", "cat", "/mnt/k", "/srv/own")
        check_eq((result.returncode, result.stdout), (0, "vhost"), "exec")
        check_eq(result.stderr, "Notice: volume e is not a Secret's: nothing is mounted at /srv\n",
                 "stderr")


@suite.test
def many_commands_at_once_do_not_meet():
    with daemon_with(*(o for n in range(12) for o in (
            secret("s%d" % n, {"k": "value-%d" % n}),
            pod("p%d" % n, [("v", "/%s/v" % ABSENT)], {"v": "s%d" % n})))) as d, no_trace():
        with contextlib.ExitStack() as stack:
            children = [stack.enter_context(
                Child(d, "p%d" % n, "--", "sh", "-c", "cat /%s/v/k; echo; read x" % ABSENT))
                for n in range(12)]
            check_eq([c.line() for c in children], ["value-%d" % n for n in range(12)], "values")


if __name__ == "__main__":
    sys.exit(suite.main())
