# SPDX-License-Identifier: Apache-2.0
"""What the Python suites share: a private mount namespace, a daemon to test, and a test registry.

A suite looks like this (tests/e2e/test_x.py):

    import os, sys
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
    import harness
    from harness import Daemon, check_eq

    suite = harness.Suite("x")

    @suite.test
    def a_volume_appears_complete():
        with Daemon() as d:
            d.put("pod.yaml", POD)
            volume = d.wait_published("default", "p", "v")
            check_eq(harness.read_tree(volume["path"])["files"]["k"]["content"], b"1", "file k")

    if __name__ == "__main__":
        sys.exit(suite.main())

The whole program re-executes itself in a mount namespace of its own, so it sees the daemon's mounts
and the machine never does. Everything made lies below one fresh tmpfs.
"""

import argparse
import atexit
import base64
import concurrent.futures
import contextlib
import ctypes
import fnmatch
import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.parse

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NAMESPACE_MARKER = "SECRETVOLD_TEST_NAMESPACE"

# Generous: the machine may be busy, and a test that passes never waits for a deadline.
DEADLINE_S = 30.0
POLL_S = 0.005

MNT_DETACH = 2
_libc = ctypes.CDLL(None, use_errno=True)

options = argparse.Namespace(build=os.path.join(REPO, "build"), verbose=False)


# ---- failing, skipping, comparing ------------------------------------------------------------


class Skip(Exception):
    """Raised by a test that cannot run here; str() is the reason, which is counted and printed."""


class Deadline(AssertionError):
    """Something awaited did not come in time."""


def check(condition, message):
    if not condition:
        raise AssertionError(message)


def check_eq(got, want, what):
    if got != want:
        raise AssertionError("%s: got %s, want %s" % (what, shorten(got), shorten(want)))


def check_in(needle, haystack, what):
    if needle not in haystack:
        raise AssertionError("%s: %s not in %s" % (what, shorten(needle), shorten(haystack)))


def shorten(value, limit=600):
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= limit else text[:limit] + "… (%d characters)" % len(text)


def poll_until(condition, what, deadline_s=DEADLINE_S, interval_s=POLL_S):
    """For the few things that have no event. Returns the first true value of condition()."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise Deadline("%s: not within %g s" % (what, deadline_s))
        time.sleep(interval_s)


# ---- mount namespace and temporary directory -------------------------------------------------


def enter_private_mount_namespace():
    """Re-executes the program in a mount namespace of its own; returns in the new one."""
    if os.environ.get(NAMESPACE_MARKER):
        return
    os.environ[NAMESPACE_MARKER] = "1"
    os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", "--",
                          sys.executable, "-u"] + sys.argv)


_work_dir = None
_work_dir_lock = threading.Lock()


def work_dir():
    """A tmpfs made for this run, root's alone: /tmp would do for neither owner nor parents' modes."""
    global _work_dir
    with _work_dir_lock:
        if _work_dir is None:
            path = tempfile.mkdtemp(prefix="secretvold-test.", dir="/run")
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755,size=1g", "secretvold-test",
                            path], check=True)
            _work_dir = path
            atexit.register(_remove_work_dir, os.getpid())
    return _work_dir


def _remove_work_dir(owner_pid):
    if os.getpid() != owner_pid:  # a forked child has nothing to clean
        return
    unmount_below(_work_dir)
    umount(_work_dir)
    try:
        os.rmdir(_work_dir)
    except OSError as e:
        print("left behind: %s: %s" % (_work_dir, e.strerror), file=sys.stderr)


def make_dir(prefix="t.", mode=0o700):
    path = tempfile.mkdtemp(prefix=prefix, dir=work_dir())
    os.chmod(path, mode)
    return path


# ---- mounts ----------------------------------------------------------------------------------


def _unescape(field):
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m.group(1), 8)), field)


def mounts(pid="self"):
    """mountinfo as dicts: id, parent, root, path, options (set), fstype, source, super (set)."""
    result = []
    with open("/proc/%s/mountinfo" % pid, encoding="utf-8", errors="surrogateescape") as f:
        for line in f:
            left, _, right = line.rstrip("\n").partition(" - ")
            a, b = left.split(" "), right.split(" ")
            result.append({
                "id": int(a[0]), "parent": int(a[1]), "root": _unescape(a[3]),
                "path": _unescape(a[4]), "options": set(a[5].split(",")), "tags": a[6:],
                "fstype": b[0], "source": _unescape(b[1]), "super": set(b[2].split(",")),
            })
    return result


def mount_at(path):
    """The topmost mount whose mountpoint is exactly path, or None."""
    found = None
    for m in mounts():
        if m["path"] == path:
            found = m
    return found


def mounts_below(path):
    return [m for m in mounts() if m["path"].startswith(path.rstrip("/") + "/")]


def umount(path):
    """Lazy, and true if something was unmounted."""
    return _libc.umount2(os.fsencode(path), MNT_DETACH) == 0


def bind_mount(source, target, *mount_options):
    subprocess.run(["mount", "--bind"] + (["-o", ",".join(mount_options)] if mount_options else [])
                   + ["--", source, target], check=True)


@contextlib.contextmanager
def writable(volume_path):
    """A writable view of a published volume: what a crash leaves can be put there."""
    view = make_dir("view.")
    bind_mount(volume_path, view)
    try:
        subprocess.run(["mount", "-o", "remount,bind,rw", view], check=True)
        yield view
    finally:
        umount(view)
        os.rmdir(view)


def unmount_below(path):
    for m in reversed(mounts_below(path)):
        umount(m["path"])


# ---- reading a volume ------------------------------------------------------------------------

DATA_DIR_RE = re.compile(r"^\.\.\d{4}_\d\d_\d\d_\d\d_\d\d_\d\d\.\d+$")


def describe(path):
    """mode (four octal digits), uid and gid of one object, links not followed."""
    st = os.lstat(path)
    return {"mode": "%04o" % stat.S_IMODE(st.st_mode), "uid": st.st_uid, "gid": st.st_gid}


def read_file(path):
    with open(path, "rb") as f:
        return f.read()


def read_tree(path):
    """Everything in a volume directory.

    dir         mode, uid, gid of the volume root
    data        what ..data holds (None without it)
    data_dir    mode, uid, gid of that directory
    files       below ..data: path -> mode, uid, gid, content, ino
    dirs        below ..data: path -> mode, uid, gid
    links       links in the volume root other than ..data: name -> target
    extra_dirs  directories in the volume root (and below), but not the data directory's
    others      whatever else is there: old generations, plain files, temporary links

    An old generation may go, or a new one come, while we look: then we look again.
    """
    for _ in range(20):
        try:
            return _read_tree(path)
        except FileNotFoundError:
            if not os.path.isdir(path):
                raise
    return _read_tree(path)


def _read_tree(path):
    tree = {"dir": describe(path), "data": None, "data_dir": None, "files": {}, "dirs": {},
            "links": {}, "extra_dirs": {}, "others": []}
    data_link = os.path.join(path, "..data")
    if os.path.islink(data_link):
        tree["data"] = os.readlink(data_link)
        tree["data_dir"] = describe(os.path.join(path, tree["data"]))
        _read_data_dir(os.path.join(path, tree["data"]), tree)
    for name in sorted(os.listdir(path)):
        full = os.path.join(path, name)
        mode = os.lstat(full).st_mode
        if name in ("..data", tree["data"]):
            continue
        if stat.S_ISLNK(mode) and not name.startswith("..data_"):
            tree["links"][name] = os.readlink(full)
        elif stat.S_ISDIR(mode) and not name.startswith(".."):
            _read_extra_dir(full, name, tree)
        else:
            tree["others"].append(name)
    return tree


def _read_data_dir(top, tree):
    for base, dirs, files in os.walk(top):
        for name in dirs + files:
            full = os.path.join(base, name)
            rel = os.path.relpath(full, top)
            mode = os.lstat(full).st_mode
            if stat.S_ISDIR(mode):
                tree["dirs"][rel] = describe(full)
            elif stat.S_ISREG(mode):
                tree["files"][rel] = dict(describe(full), content=read_file(full),
                                          ino=os.lstat(full).st_ino)
            else:
                tree["others"].append("..data/" + rel)


def _read_extra_dir(top, name, tree):
    tree["extra_dirs"][name] = describe(top)
    for base, dirs, files in os.walk(top):
        rel = os.path.join(name, os.path.relpath(base, top)) if base != top else name
        for sub in dirs:
            tree["extra_dirs"][os.path.join(rel, sub)] = describe(os.path.join(base, sub))
        tree["others"] += [os.path.join(rel, sub) for sub in files]


# ---- HTTP over a Unix socket -----------------------------------------------------------------


def connect_unix(path, timeout=DEADLINE_S):
    """A stream socket, connected. Waits while the listener's queue is full.

    A socket with a timeout of Python's does not block, and would get EAGAIN at once (unix(7)).
    """
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(timeout) + 1, 0))
        s.connect(path)
        s.settimeout(timeout)
    except BaseException:
        s.close()
        raise
    return s


class UnixHTTPConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=DEADLINE_S):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = connect_unix(self.path, self.timeout)


class Client:
    """One request a connection, as curl does it."""

    def __init__(self, socket_path):
        self.socket_path = socket_path

    def request(self, method, path, body=None, headers=None, timeout=DEADLINE_S):
        """(status, headers, body bytes)"""
        conn = UnixHTTPConnection(self.socket_path, timeout)
        try:
            conn.request(method, path, body=body, headers=headers or {})
            response = conn.getresponse()
            return response.status, response.headers, response.read()
        finally:
            conn.close()

    def get(self, path):
        """(status, body text)"""
        status, _, body = self.request("GET", path)
        return status, body.decode("utf-8", "replace")

    def get_json(self, path, want_status=200):
        status, body = self.get(path)
        check_eq(status, want_status, "GET %s (%s)" % (path, shorten(body.strip())))
        try:
            return json.loads(body)
        except ValueError as e:
            raise AssertionError("GET %s: not JSON: %s: %s" % (path, e, shorten(body))) from None

    def watch(self, path, deadline_s=DEADLINE_S):
        """Yields the objects of a watch, one a line; Deadline when the time is up."""
        end = time.monotonic() + deadline_s
        conn = UnixHTTPConnection(self.socket_path, deadline_s)
        response = None
        try:
            conn.request("GET", path + ("&" if "?" in path else "?") + "watch=1")
            sock = conn.sock  # the connection forgets it when the server will close
            response = conn.getresponse()
            check_eq(response.status, 200, "GET %s with watch=1" % path)
            pending = b""
            while True:
                while b"\n" in pending:
                    line, _, pending = pending.partition(b"\n")
                    if line.strip():
                        yield json.loads(line)
                left = end - time.monotonic()
                if left <= 0:
                    raise Deadline("watch %s: nothing more within %g s" % (path, deadline_s))
                sock.settimeout(left)
                more = response.read1(65536)
                check(more, "watch %s: the daemon ended it" % path)
                pending += more
        except socket.timeout:
            raise Deadline("watch %s: nothing more within %g s" % (path, deadline_s)) from None
        except (OSError, http.client.HTTPException) as e:
            raise AssertionError("watch %s: connection lost: %r" % (path, e)) from None
        finally:
            if response is not None:
                response.close()
            conn.close()


# ---- what a program says ----------------------------------------------------------------------


class Lines:
    """The lines of a pipe, each awaited for so long and no longer.

    Reads around Python's buffers: select(2) does not know of lines that these hold already.
    """

    def __init__(self, pipe):
        self.fd = pipe.fileno()
        self.pending = b""

    def next(self, what, deadline_s=DEADLINE_S):
        """Without its newline, which the last one need not have; None after that."""
        end = time.monotonic() + deadline_s
        while b"\n" not in self.pending:
            left = max(end - time.monotonic(), 0)
            check(select.select([self.fd], [], [], left)[0],
                  "%s: nothing within %g s" % (what, deadline_s))
            more = os.read(self.fd, 65536)
            self.pending += more
            if not more:
                break
        if not self.pending:
            return None
        line, _, self.pending = self.pending.partition(b"\n")
        return line.decode("utf-8", "replace")


# ---- inotify ---------------------------------------------------------------------------------


class Inotify:
    """Raw events of directories, so that a test sees what a reader could see."""

    ACCESS, MODIFY, ATTRIB, CLOSE_WRITE = 0x1, 0x2, 0x4, 0x8
    MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x40, 0x80, 0x100, 0x200

    def __init__(self, path, mask):
        self.fd = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        check(self.fd >= 0, "inotify_init1: " + os.strerror(ctypes.get_errno()))
        wd = _libc.inotify_add_watch(self.fd, os.fsencode(path), mask)
        check(wd >= 0, "inotify_add_watch %s: %s" % (path, os.strerror(ctypes.get_errno())))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def read(self):
        """What has happened since the last time: [(mask, name)]"""
        events = []
        while True:
            try:
                data = os.read(self.fd, 65536)
            except BlockingIOError:
                return events
            at = 0
            while at < len(data):
                _, mask, _, length = struct.unpack_from("iIII", data, at)
                name = data[at + 16:at + 16 + length].rstrip(b"\0")
                events.append((mask, os.fsdecode(name)))
                at += 16 + length

    def wait(self, predicate, what, deadline_s=DEADLINE_S):
        """The first event that satisfies predicate(mask, name)."""
        end = time.monotonic() + deadline_s
        while True:
            for mask, name in self.read():
                if predicate(mask, name):
                    return mask, name
            left = end - time.monotonic()
            if left <= 0:
                raise Deadline("%s: not within %g s" % (what, deadline_s))
            select.select([self.fd], [], [], left)


# ---- manifests -------------------------------------------------------------------------------


def secret(name, data=None, namespace="default", **fields):
    """A Secret; data: key -> str (stringData) or bytes (data)."""
    result = {"apiVersion": "v1", "kind": "Secret",
              "metadata": {"name": name, "namespace": namespace}}
    for key, value in (data or {}).items():
        if isinstance(value, bytes):
            result.setdefault("data", {})[key] = base64.b64encode(value).decode("ascii")
        else:
            result.setdefault("stringData", {})[key] = value
    result.update(fields)
    return result


def pod(name, volumes, namespace="default", uid=None, mount=True, **spec):
    """A Pod; volumes: name -> secretName, or what stands below `secret`, or a whole volume."""
    metadata = {"name": name, "namespace": namespace}
    if uid is not None:
        metadata["uid"] = uid
    container = {"name": "c", "image": "img"}
    if mount:
        container["volumeMounts"] = [{"name": v, "mountPath": "/" + v} for v in volumes]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
            "spec": dict({"containers": [container],
                          "volumes": [_volume(v, source) for v, source in volumes.items()]},
                         **spec)}


def _volume(name, source):
    if isinstance(source, str):
        return {"name": name, "secret": {"secretName": source}}
    if "secretName" in source:
        return {"name": name, "secret": source}
    return dict(source, name=name)


def manifest(*objects):
    """The text of a YAML file with these objects, a document each."""
    return "".join("---\n%s\n" % json.dumps(o) for o in objects)


# ---- predicates for wait_volume --------------------------------------------------------------


def in_state(*states):
    """A predicate: the volume is in one of these states."""
    def predicate(volume):
        return volume is not None and volume["state"] in states
    predicate.__name__ = "state %s" % " or ".join(states)
    return predicate


def newer_than(generation, *states):
    """A predicate: a later generation than this one, in one of the states (Published)."""
    states = states or ("Published",)

    def predicate(volume):
        return (volume is not None and volume["generation"] > generation
                and volume["state"] in states)
    predicate.__name__ = "generation > %d, %s" % (generation, " or ".join(states))
    return predicate


def gone(volume):
    """A predicate: the daemon no longer lists the volume."""
    return volume is None


# ---- the daemon ------------------------------------------------------------------------------


class Daemon:
    """A secretvold of the build under test, with a root and manifest directory of its own.

    with Daemon() as d: starts it and cleans up whatever happens; with Daemon(start=False) as d:
    leaves the start to the test, which can put() manifests first. Attributes: root, manifest_dirs,
    manifest_dir (the first one), socket_path, process, client.

    args     more arguments; env: more environment; wrapper: a command that runs the daemon
    umask    the daemon's; nothing it makes may depend on it
    """

    def __init__(self, args=(), n_manifest_dirs=1, start=True, umask=0o077, env=None, root=None,
                 wrapper=()):
        self.home = make_dir("daemon.")
        self.root = root or os.path.join(self.home, "root")
        os.makedirs(self.root, exist_ok=True)
        os.chmod(self.root, 0o755)
        self.manifest_dirs = []
        for i in range(n_manifest_dirs):
            path = os.path.join(self.home, "manifests" + (str(i) if i else ""))
            os.mkdir(path)
            os.chmod(path, 0o700)
            self.manifest_dirs.append(path)
        self.manifest_dir = self.manifest_dirs[0] if self.manifest_dirs else None
        self.args = list(args)
        self.wrapper = list(wrapper)
        self.umask = umask
        self.start_on_enter = start
        self.env = env or {}
        self.log_path = os.path.join(self.home, "stderr.log")
        self.socket_path = os.path.join(self.root, "secretvold.sock")
        self.client = Client(self.socket_path)
        self.process = None
        self.n_markers = 0

    def __enter__(self):
        try:
            return self.start() if self.start_on_enter else self
        except BaseException as e:
            self.__exit__(type(e), e, None)
            raise

    def __exit__(self, exc_type, exc, tb):
        if isinstance(exc, AssertionError) and self.log().strip():
            exc.args = ("%s\n    daemon log:\n%s" % (exc, self.log_tail()),) + exc.args[1:]
        self.cleanup()

    # -- processes

    def command(self, *extra):
        """The full command line; useful with --once as well."""
        cmd = [os.path.join(options.build, "secretvold"), "--root-dir", self.root]
        for path in self.manifest_dirs:
            cmd += ["--manifest-dir", path]
        return cmd + self.args + list(extra)

    def environment(self):
        """The caller's, less what would make the daemon think that systemd started it."""
        env = {k: v for k, v in os.environ.items()
               if k not in ("NOTIFY_SOCKET", "JOURNAL_STREAM", "LISTEN_FDS", "LISTEN_PID",
                            "LISTEN_FDNAMES", "WATCHDOG_USEC", "SECRETVOLD_SOCKET")}
        env.update(self.env)
        return env

    def start(self, wait_ready=True):
        # setpriv: a daemon never outlives a suite that was killed.
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--"] + self.wrapper + self.command(),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment(),
                umask=self.umask, cwd="/")
        _running.add(self)
        if wait_ready:
            self.wait_ready()
        return self

    def wait_ready(self, deadline_s=DEADLINE_S):
        """/readyz is 200. Polled: before the socket exists there is nothing to wait on."""
        return self._wait_health("/readyz", "the daemon's readiness", deadline_s)

    def wait_alive(self, deadline_s=DEADLINE_S):
        """It answers, though its sources may not have been read."""
        return self._wait_health("/healthz", "the daemon's first answer", deadline_s)

    def _wait_health(self, path, what, deadline_s):
        def good():
            if self.process.poll() is not None:
                raise AssertionError("the daemon ended with status %d: no %s"
                                     % (self.process.returncode, what))
            try:
                return self.client.get(path)[0] == 200
            except OSError:  # no socket yet, or an old one that nobody listens on
                return False
        poll_until(good, what, deadline_s)
        return self

    def run_once(self, *extra, timeout=DEADLINE_S):
        """secretvold --once to its end: CompletedProcess with text output."""
        return subprocess.run(self.wrapper + self.command("--once", *extra), text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout,
                              env=self.environment(), umask=self.umask, cwd="/")

    def signal(self, signum):
        self.process.send_signal(signum)

    def stop(self, deadline_s=DEADLINE_S):
        """SIGTERM, and the exit status (negative: the signal that killed it)."""
        self.process.terminate()
        return self.wait_exit(deadline_s)

    def wait_exit(self, deadline_s=DEADLINE_S):
        try:
            return self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise Deadline("the daemon did not end within %g s" % deadline_s) from None

    def kill(self):
        """SIGKILL: the crash that mounts must outlive."""
        self.process.kill()
        return self.process.wait()

    def restart(self):
        check_eq(self.stop(), 0, "exit status at restart")
        return self.start()

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def cleanup(self):
        if self.is_running():
            self.process.kill()
            self.process.wait()
        _running.discard(self)
        unmount_below(self.home)
        unmount_below(self.root)
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.rmtree(self.home, ignore_errors=True)

    def log(self):
        try:
            return read_file(self.log_path).decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def log_tail(self, n=15):
        return "\n".join("      " + shorten(line) for line in self.log().splitlines()[-n:])

    # -- manifests

    def put(self, name, text, mode=0o600, manifest_dir=None):
        """A whole new file in one step, as careful editors and config managers write it."""
        directory = manifest_dir or self.manifest_dir
        temporary = os.path.join(directory, ".#" + name)
        data = text if isinstance(text, bytes) else text.encode("utf-8")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "wb") as f:
            f.write(data)
            os.fchmod(fd, mode)
        path = os.path.join(directory, name)
        os.rename(temporary, path)
        return path

    def put_objects(self, name, *objects, **options_of_put):
        return self.put(name, manifest(*objects), **options_of_put)

    def delete(self, name, manifest_dir=None):
        os.unlink(os.path.join(manifest_dir or self.manifest_dir, name))

    # -- questions

    def get_json(self, path, want_status=200):
        return self.client.get_json(path, want_status)

    def watch(self, path, deadline_s=DEADLINE_S):
        return self.client.watch(path, deadline_s)

    def status(self):
        return self.get_json("/v1/status")

    def problems(self, severity=None):
        return [p for p in self.status()["problems"]
                if severity is None or p.get("severity") == severity]

    def volumes(self, **query):
        suffix = "?" + urllib.parse.urlencode(query) if query else ""
        return self.get_json("/v1/volumes" + suffix)["items"]

    def volume(self, namespace, pod, name):
        for v in self.volumes(namespace=namespace, pod=pod):
            if (v["namespace"], v["pod"], v["volume"]) == (namespace, pod, name):
                return v
        return None

    def pods(self):
        return self.get_json("/v1/pods")["items"]

    def secrets(self):
        return self.get_json("/v1/secrets")["items"]

    def events(self):
        return self.get_json("/v1/events")["items"]

    def ctl(self, *args, timeout=DEADLINE_S, env=None, input=None):
        """secretvolctl against this daemon: CompletedProcess with text output."""
        environment = dict(self.environment(), SECRETVOLD_SOCKET=self.socket_path, **(env or {}))
        return subprocess.run([os.path.join(options.build, "secretvolctl")] + list(args), text=True,
                              capture_output=True, timeout=timeout, env=environment, input=input,
                              **({} if input is not None else {"stdin": subprocess.DEVNULL}))

    # -- waiting

    def wait_volume(self, namespace, pod, name, predicate, deadline_s=DEADLINE_S):
        """The first state of a volume that satisfies predicate(volume or None), by watching."""
        path = "/v1/volumes?" + urllib.parse.urlencode({"namespace": namespace, "pod": pod})
        last, synced = None, False
        try:
            for event in self.watch(path, deadline_s):
                obj = event["object"]
                if event["type"] == "SYNCED":
                    synced = True
                elif (obj["namespace"], obj["pod"], obj["volume"]) != (namespace, pod, name):
                    continue
                else:
                    last = None if event["type"] == "DELETED" else obj
                # Before SYNCED absence means nothing.
                if (synced or last is not None) and predicate(last):
                    return last
        except Deadline as e:
            raise Deadline(
                "volume %s/%s/%s: waited %g s for %s; last seen: %s"
                % (namespace, pod, name, deadline_s, getattr(predicate, "__name__", "a condition"),
                   volume_in_short(last))) from e
        raise AssertionError("volume watch ended")  # watch() raises before this

    def wait_published(self, namespace, pod, name, deadline_s=DEADLINE_S):
        return self.wait_volume(namespace, pod, name, in_state("Published"), deadline_s)

    def wait_gone(self, namespace, pod, name, deadline_s=DEADLINE_S):
        self.wait_volume(namespace, pod, name, gone, deadline_s)

    def wait_event(self, predicate, what="an event", deadline_s=DEADLINE_S):
        """The first event, old or new, that satisfies predicate(event)."""
        seen = []
        try:
            for event in self.watch("/v1/events", deadline_s):
                if event["type"] in ("ADDED", "MODIFIED"):
                    if predicate(event["object"]):
                        return event["object"]
                    seen.append("%(type)s %(reason)s %(message)s" % event["object"])
        except Deadline:
            raise Deadline("%s: not within %g s; seen: %s"
                           % (what, deadline_s, shorten("; ".join(seen) or "none"))) from None
        raise AssertionError("event watch ended")

    def wait_status(self, predicate, what, deadline_s=DEADLINE_S):
        """The first status that satisfies predicate(status). Polled: status has no watch."""
        def satisfied():
            status = self.status()
            return status if predicate(status) else None
        return poll_until(satisfied, what, deadline_s)

    def wait_problem(self, reason, deadline_s=DEADLINE_S, **fields):
        """The first problem of this reason whose fields hold these texts."""
        def matching(status):
            for p in status["problems"]:
                if p["reason"] == reason and all(v in p[k] for k, v in fields.items()):
                    return p
            return None
        status = self.wait_status(matching, "a problem %s %s" % (reason, fields), deadline_s)
        return matching(status)

    def wait_no_problems(self, deadline_s=DEADLINE_S):
        self.wait_status(lambda status: not status["problems"], "no more problems", deadline_s)

    def marker(self, deadline_s=DEADLINE_S):
        """Returns when the daemon has handled every change of the first manifest directory so far.

        Changes are handled in order, so a new volume that is published tells that all before was
        seen: the way to wait for "nothing happens".
        """
        self.n_markers += 1
        name = "marker-%d" % self.n_markers
        self.put("zz-%s.yaml" % name, MARKER % {"name": name})
        self.wait_published("secretvold-test", name, "marker", deadline_s)


MARKER = """\
apiVersion: v1
kind: Secret
metadata: {name: %(name)s, namespace: secretvold-test}
data: {k: MQ==}
---
apiVersion: v1
kind: Pod
metadata: {name: %(name)s, namespace: secretvold-test}
spec:
  containers:
  - name: c
    image: img
    volumeMounts:
    - {name: marker, mountPath: /marker}
  volumes:
  - name: marker
    secret: {secretName: %(name)s}
"""


def daemon_with(*objects, **options):
    """A Daemon, started, that has read these objects; options are the Daemon's."""
    d = Daemon(start=False, **options)
    d.put_objects("objects.yaml", *objects)
    try:
        d.start()
    except BaseException:
        d.cleanup()
        raise
    return d


def volume_in_short(volume):
    if volume is None:
        return "not listed"
    return "state %s, generation %s, reason %r, message %r" % (
        volume.get("state"), volume.get("generation"), volume.get("reason"),
        shorten(volume.get("message", "")))


_running = set()  # daemons that would have to be killed if the suite had to end at once


def end_at_once(signum, _frame):
    """Signal handler: tests that wait are not waited for, but nothing is left behind."""
    for daemon in list(_running):
        daemon.process.kill()
    if _work_dir is not None:
        _remove_work_dir(os.getpid())
    os._exit(128 + signum)


# ---- registry --------------------------------------------------------------------------------


def is_sanitized():
    """Is the build one whose allocator keeps what is freed, for a while or longer?"""
    program = read_file(os.path.join(options.build, "secretvold"))
    return b"__asan_init" in program or b"__tsan_init" in program


@contextlib.contextmanager
def connection(d):
    """A socket that is connected to a daemon's status socket."""
    s = connect_unix(d.socket_path)
    try:
        yield s
    finally:
        s.close()


class Suite:
    """Test functions, run in the order they were added; names read as sentences."""

    def __init__(self, name, needs_root=True, jobs=1):
        self.name = name
        self.needs_root = needs_root
        self.jobs = jobs
        self.tests = []
        self.parser = argparse.ArgumentParser(description="test suite " + name)
        self.parser.add_argument("--build", default=options.build, help="build directory")
        self.parser.add_argument("--only", metavar="PATTERN", default="*",
                                 help="names that match; a word without * matches anywhere")
        self.parser.add_argument("--jobs", type=int, default=None, help="tests at a time")
        self.parser.add_argument("--list", action="store_true", help="names, nothing run")
        self.parser.add_argument("-v", "--verbose", action="store_true",
                                 help="a line for each test, tracebacks")

    def add(self, name, function, skip=None):
        self.tests.append((name, function, skip))

    def test(self, function=None, skip=None):
        """@suite.test, or @suite.test(skip="why it cannot run")"""
        def register(f):
            self.add(f.__name__, f, skip)
            return f
        return register(function) if function else register

    def selected(self, pattern):
        if not any(c in pattern for c in "*?["):
            pattern = "*%s*" % pattern
        return [t for t in self.tests if fnmatch.fnmatch(t[0], pattern)]

    def main(self, argv=None):
        """Runs what was asked for; the exit status. The last line printed is the total."""
        args = self.parser.parse_args(argv)
        options.build = os.path.abspath(args.build)
        options.verbose = args.verbose
        for key, value in vars(args).items():  # a suite's own options
            setattr(options, key, getattr(options, key, value))
        tests = self.selected(args.only)
        if args.list:
            print("\n".join(name for name, _, _ in tests))
            return 0
        if self.needs_root:
            if os.geteuid() != 0:
                print("skipped: suite %s needs root" % self.name)
                return self.total(0, 0, 1)
            enter_private_mount_namespace()
            work_dir()
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, end_at_once)
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # by nohup: what tests start has it
            signal.signal(signal.SIGHUP, lambda *_: None)      # by default all the same
        return self.run(tests, args.jobs or self.jobs)

    def run(self, tests, jobs):
        counts = {"passed": 0, "failed": 0, "skipped": 0}
        reasons = {}
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            for name, (outcome, detail, seconds) in zip((t[0] for t in tests),
                                                        pool.map(self.run_one, tests)):
                counts[outcome] += 1
                if outcome == "failed":
                    print("FAILED %s: %s" % (name, detail), flush=True)
                elif options.verbose:
                    print("%s %s (%.2f s)%s" % (outcome, name, seconds,
                                                ": " + detail if detail else ""), flush=True)
                if outcome == "skipped":
                    reasons.setdefault(detail, []).append(name)
        for reason, names in sorted(reasons.items()):
            print("skipped %d: %s (%s)" % (len(names), reason, shorten(", ".join(names), 200)))
        if not tests:
            print("no test matches")
            counts["failed"] = 1
        return self.total(**counts)

    @staticmethod
    def run_one(test):
        name, function, skip = test
        start = time.monotonic()
        outcome, detail = "passed", ""
        try:
            if skip:
                raise Skip(skip)
            function()
        except Skip as e:
            outcome, detail = "skipped", str(e)
        except AssertionError as e:
            outcome, detail = "failed", str(e) or "assertion at line %d" % (
                traceback.extract_tb(e.__traceback__)[-1].lineno)
            if options.verbose:
                detail += "\n" + "".join(traceback.format_tb(e.__traceback__)).rstrip()
        except Exception:  # pylint: disable=broad-except; an error in one test is a failed test
            outcome, detail = "failed", traceback.format_exc().rstrip()
        return outcome, detail, time.monotonic() - start

    @staticmethod
    def total(passed, failed, skipped):
        print("%d passed, %d failed, %d skipped" % (passed, failed, skipped), flush=True)
        return 1 if failed else 0
