#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Hostile neighbours: what a container that can write, a member of the socket's group or a tree
that somebody has prepared may try.

Whatever they do, nothing outside the root directory is read, written, removed or unmounted, no
value is shown, the daemon stays up and tells the state of the volume as it is, other volumes are
published, and all is well again when the obstacle has gone.
"""

import array
import base64
import contextlib
import fcntl
import grp
import json
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness  # noqa: E402
from harness import (Daemon, check, check_eq, check_in, in_state, newer_than,  # noqa: E402
                     pod, poll_until, secret)

suite = harness.Suite("hostile")

VALUE = "hostile-must-not-see-this"
NEWER = "nor-this-which-came-later"
OUR_FLAGS = "ro,nosuid,nodev,noexec"
NOBODY = pwd.getpwnam("nobody").pw_uid
MEMBERS = "daemon"  # a group that every system has


class Outside:
    """Things that are not the daemon's: on a tmpfs of their own, so that it can be mounted whole."""

    def __init__(self):
        self.path = harness.make_dir("outside.")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "outside", self.path],
                       check=True)
        os.makedirs(self.path + "/empty/within")
        os.mkdir(self.path + "/dir")
        for name in ("canary", "dir/canary"):
            with open(os.path.join(self.path, name), "w", encoding="ascii") as f:
                f.write("alive")
        os.symlink("canary", self.path + "/link")
        os.symlink("nowhere", self.path + "/dir/link")
        self.before = self.look()

    def look(self):
        found = {}
        for base, dirs, files in os.walk(self.path):
            for name in dirs + files:
                path = os.path.join(base, name)
                st = os.lstat(path)
                found[os.path.relpath(path, self.path)] = (
                    st.st_mode, st.st_uid, st.st_gid, st.st_nlink, st.st_mtime_ns,
                    os.readlink(path) if stat.S_ISLNK(st.st_mode) else None,
                    harness.read_file(path) if stat.S_ISREG(st.st_mode) else None)
        return found

    def check(self):
        check(harness.mount_at(self.path), "what is outside was unmounted")
        check_eq(self.look(), self.before, "what is outside")


def look_at_bystander(path, moves):
    """Mount, file system and content; the mount is another one where a test moves what is above."""
    mount = harness.mount_at(path)
    check(mount, "the bystander's volume is not mounted")
    if moves:
        del mount["id"]
    return mount, os.stat(path).st_dev, harness.read_tree(path)


@contextlib.contextmanager
def victim(bystander_moves=False, **options):
    """(daemon, outside): volume default/p/v with k=VALUE, a bystander, things that are not ours.

    The bystander is a volume that nobody touches: in the end it has to be as it was, whatever was
    done beside it, restarts included.
    """
    outside = Outside()
    with Daemon(start=False, **options) as d:
        d.put_objects("good.yaml", secret("good", {"k": VALUE}), pod("good", {"v": "good"}))
        put(d, VALUE)
        d.start()
        good = d.wait_published("default", "good", "v")
        before = look_at_bystander(good["path"], bystander_moves)
        d.wait_published("default", "p", "v")
        yield d, outside
        check_eq(d.process.poll(), None, "exit status of the daemon")
        d.marker()
        d.wait_published("default", "good", "v")
        for now, then, what in zip(look_at_bystander(good["path"], bystander_moves), before,
                                   ("mount", "file system", "volume")):
            check_eq(now, then, "the bystander's " + what)
        outside.check()
        check_shows_no_value(d)


def check_shows_no_value(d):
    shown = [d.log()] + [json.dumps(d.get_json(path)) for path in
                         ("/v1/status", "/v1/volumes", "/v1/pods", "/v1/secrets", "/v1/events")]
    for value in (VALUE, NEWER):
        for form in (value, base64.b64encode(value.encode()).decode()):
            check(not any(form in text for text in shown), "a value is shown")
    check("\x1b" not in d.log() and "\x01" not in d.log(), "control bytes in the log")


def put(d, value, uid="u"):
    d.put_objects("p.yaml", secret("p", {"k": value}), pod("p", {"v": "p"}, uid=uid))


def volume_path(d, uid="u"):
    return os.path.join(d.root, "pods", uid, "volumes/kubernetes.io~secret/v")


def content(d, uid="u"):
    fd = os.open(volume_path(d, uid) + "/k", os.O_RDONLY | os.O_NONBLOCK)  # it may be a FIFO
    with os.fdopen(fd, "rb") as f:
        return (f.read() or b"").decode()


def has_content(d, value):
    try:
        return content(d) == value
    except OSError:
        return False


def update(d, value=NEWER):
    """The new content comes, and takes the place of the old one."""
    put(d, value)
    poll_until(lambda: has_content(d, value), "the new content")
    d.wait_published("default", "p", "v")


def remove(d):
    path = volume_path(d)
    os.unlink(os.path.join(d.manifest_dir, "p.yaml"))
    d.wait_gone("default", "p", "v")
    check(not os.path.lexists(path), "the volume's directory is still there")
    check_eq([m["path"] for m in harness.mounts_below(d.root) if "/pods/u/" in m["path"]], [],
             "mounts of a removed volume")


def wait_bad(d, state, reason, volume="v", name="p"):
    v = d.wait_volume("default", name, volume,
                      lambda x: x and x["state"] == state and x["reason"] == reason)
    check(v["message"], "no message")
    check(v["nextRetryAt"], "no time to try again")
    r = d.ctl("status")
    check_in("volume default/%s/%s is %s (%s)" % (name, volume, state, reason), r.stdout, "status")
    check_eq(r.returncode, 0 if state == "Removing" else 5, "exit status of secretvolctl status")
    return v


def reload(d):
    """Every volume is looked at again."""
    d.signal(signal.SIGHUP)


# ---- inside a volume: a container that has made it writable ------------------------------------


def data_dir(view):
    return os.path.join(view, os.readlink(os.path.join(view, "..data")))


def replace(path, make):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)
    make(path)


def plant_socket(path):
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as s:
        s.bind("/proc/self/fd/%d/%s" % (dir_fd(path), os.path.basename(path)))


_dir_fds = {}


def dir_fd(path):
    """A short name of a directory, as socket paths are short; kept for the life of the test."""
    directory = os.path.dirname(path)
    if directory not in _dir_fds:
        _dir_fds[directory] = os.open(directory, os.O_PATH)
    return _dir_fds[directory]


def deep(path, levels):
    fd = os.open(path, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    with open(os.open("canary", os.O_WRONLY | os.O_CREAT, dir_fd=fd), "w", encoding="ascii") as f:
        f.write("x")
    os.close(fd)


def odd_names(view):
    for name in ("\x1b[31mred", "a\nb", "..2\x01\n", "..2 x", "-rf", "\udcff\udcfe", "..", "%s%n"):
        if name != "..":
            os.mkdir(os.path.join(view, name))
            os.symlink("/etc", os.path.join(view, name + "l"))


def huge_file(view):
    for directory in (view, data_dir(view)):
        with open(os.path.join(directory, "huge"), "wb") as f:
            f.truncate(1 << 45)


def hard_links(view):
    for name in (os.path.join(view, "kept"), os.path.join(data_dir(view), "k2")):
        with contextlib.suppress(FileExistsError):
            os.link(os.path.join(data_dir(view), "k"), name)


def many_generations(view):
    for n in range(3000):
        os.mkdir(os.path.join(view, "..2000_01_01_00_00_00.%d" % n))


def device(path):
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))


PLANTS = {
    "..data leads out": lambda v, out: replace(v + "/..data", lambda p: os.symlink(out, p)),
    "..data leads up": lambda v, out: replace(v + "/..data", lambda p: os.symlink("..", p)),
    "..data is a file": lambda v, out: replace(v + "/..data", lambda p: open(p, "w").close()),
    "..data is a fifo": lambda v, out: replace(v + "/..data", os.mkfifo),
    "..data_tmp leads out": lambda v, out: os.symlink(out, v + "/..data_tmp"),
    "a generation is a link": lambda v, out: replace(data_dir(v), lambda p: os.symlink(out, p)),
    "an old generation is a link": lambda v, out: os.symlink(out, v + "/..2000_01_01_00_00_00.1"),
    "a file is a link": lambda v, out: replace(data_dir(v) + "/k",
                                               lambda p: os.symlink(out + "/canary", p)),
    "a file is a fifo": lambda v, out: replace(data_dir(v) + "/k", os.mkfifo),
    "a file is a device": lambda v, out: replace(data_dir(v) + "/k", device),
    "a file is a socket": lambda v, out: replace(data_dir(v) + "/k", plant_socket),
    "a file is a directory": lambda v, out: replace(data_dir(v) + "/k", os.mkdir),
    "a link leads out": lambda v, out: replace(v + "/k", lambda p: os.symlink(out + "/canary", p)),
    "hard links": lambda v, out: hard_links(v),
    "files without rights": lambda v, out: (os.chmod(data_dir(v) + "/k", 0), os.chmod(v, 0)),
    "odd names": lambda v, out: odd_names(v),
    "huge files": lambda v, out: huge_file(v),
    "a deep tree": lambda v, out: deep(v, 3000),
    "a deep generation": lambda v, out: deep(data_dir(v), 3000),
    "many generations": lambda v, out: many_generations(v),
}


@suite.test
def what_is_planted_in_a_volume_leads_nowhere():
    wrong = []
    with victim() as (d, outside):
        for name, plant in PLANTS.items():
            for act in (update, reload, Daemon.restart, None):
                try:
                    with harness.writable(volume_path(d)) as view:
                        plant(view, outside.path)
                    if act:
                        act(d)
                        d.wait_published("default", "p", "v")
                        poll_until(lambda: not os.path.islink(volume_path(d) + "/..data/k")
                                   and os.path.isfile(volume_path(d) + "/k"), "a file")
                        update(d, "%s after %s" % (NEWER, name))
                    remove(d)
                except (AssertionError, OSError) as e:
                    wrong.append("%s, then %s: %s" % (name, act.__name__ if act else "remove", e))
                    with contextlib.suppress(OSError):
                        os.unlink(os.path.join(d.manifest_dir, "p.yaml"))
                    d.wait_gone("default", "p", "v")
                outside.check()
                put(d, VALUE)
                d.wait_published("default", "p", "v")
    check(not wrong, "\n".join(wrong))


UNPRIVILEGED = r"""
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
for name in ("user.secretvold", "trusted.secretvold"):
    try:
        os.setxattr(fd, name, sys.argv[2].encode())
    except OSError:
        pass
"""


@suite.test
def a_volume_cannot_be_marked_as_that_of_another_pod():
    with victim() as (d, _):
        d.put_objects("other.yaml", pod("other", {"v": "later"}, uid="other"))
        d.wait_volume("default", "other", "v", in_state("Refused"))
        other = os.path.join("pods", "other", os.path.relpath(volume_path(d), d.root + "/pods/u"))
        with harness.writable(volume_path(d)) as view:
            subprocess.run(["setpriv", "--inh-caps=-all", "--bounding-set=-all",
                            "/usr/bin/python3", "-c", UNPRIVILEGED, view, other], check=True)
            for act in (reload, Daemon.restart):
                act(d)
                d.put_objects("later.yaml", secret("later", {"password": "for the other one"}))
                v = d.wait_published("default", "other", "v")
                check(not os.path.lexists(view + "/password"), "it has the other Pod's Secret")
                check_eq(harness.read_file(v["path"] + "/password"), b"for the other one",
                         "the other Pod's Secret")
                os.unlink(os.path.join(d.manifest_dir, "later.yaml"))
                os.unlink(os.path.join(d.manifest_dir, "other.yaml"))
                d.wait_gone("default", "other", "v")
                d.put_objects("other.yaml", pod("other", {"v": "later"}, uid="other"))
                d.wait_volume("default", "other", "v", in_state("Refused"))
        check_eq(content(d), VALUE, "content of the marked volume")


@suite.test
def directories_in_the_way_are_reported_until_they_are_gone():
    with victim() as (d, _):
        for name in ("..data", "..data_tmp"):
            with harness.writable(volume_path(d)) as view:
                path = os.path.join(view, name)
                if os.path.islink(path):
                    os.unlink(path)
                os.makedirs(path + "/full")
                put(d, NEWER)
                wait_bad(d, "Stale", "WriteFailed")
                shutil.rmtree(path)
            d.wait_published("default", "p", "v")
            check_eq(content(d), NEWER, "content afterwards")
            update(d, VALUE)
        with harness.writable(volume_path(d)) as view:  # and they do not stop a removal
            os.unlink(view + "/..data")
            os.makedirs(view + "/..data/full")
        remove(d)


FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, IMMUTABLE, APPEND = 0x80086601, 0x40086602, 0x10, 0x20


def set_flags(path, flags):
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        fcntl.ioctl(fd, FS_IOC_SETFLAGS, array.array("l", [flags]))
    finally:
        os.close(fd)


@suite.test
def immutable_files_delay_and_do_not_confuse():
    with victim() as (d, _), harness.writable(volume_path(d)) as view:
        data = data_dir(view)
        try:
            set_flags(view, IMMUTABLE)
        except OSError:
            raise harness.Skip("tmpfs has no immutable files here") from None
        put(d, NEWER)
        v = wait_bad(d, "Stale", "WriteFailed")
        check_eq(content(d), VALUE, "content while nothing can be written")
        set_flags(view, 0)
        d.wait_published("default", "p", "v")
        poll_until(lambda: not os.path.exists(data), "the old generation is removed")
        set_flags(data_dir(view) + "/k", IMMUTABLE)
        os.unlink(os.path.join(d.manifest_dir, "p.yaml"))
        v = wait_bad(d, "Removing", "MountFailed")
        check_in("Operation not permitted", v["message"], "message")
        for base, _, files in os.walk(view):
            for name in files:
                set_flags(os.path.join(base, name), 0)
        d.wait_gone("default", "p", "v")
        check_eq(os.listdir(view), [], "what is left")


LEASE = r"""
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, lambda *_: None)  # told that it should let go, it does not
f = os.open(sys.argv[1], os.O_RDONLY)
fcntl.fcntl(f, fcntl.F_SETLEASE, getattr(fcntl, sys.argv[2]))
print("held", flush=True)
sys.stdin.readline()
fcntl.fcntl(f, fcntl.F_SETLEASE, fcntl.F_UNLCK)
print("released", flush=True)
sys.stdin.readline()
print(os.pread(f, 100, 0).hex(), flush=True)
"""


@contextlib.contextmanager
def lease(path, kind):
    holder = subprocess.Popen(["setpriv", "--inh-caps=-all", "--bounding-set=-all",
                               "/usr/bin/python3", "-c", LEASE, path, kind],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        check_eq(holder.stdout.readline(), "held\n", "the holder of the lease")
        yield holder
    finally:
        holder.kill()
        holder.communicate()


@suite.test
def a_lease_does_not_save_a_value_from_being_overwritten():
    with victim() as (d, _), lease(volume_path(d) + "/k", "F_RDLCK") as holder:
        os.unlink(os.path.join(d.manifest_dir, "p.yaml"))
        wait_bad(d, "Removing", "MountFailed")
        print("", file=holder.stdin, flush=True)
        check_eq(holder.stdout.readline(), "released\n", "the holder of the lease")
        d.wait_gone("default", "p", "v")
        print("", file=holder.stdin, flush=True)
        check_eq(holder.stdout.readline().strip(), "00" * len(VALUE), "what it still has open")


@suite.test
def a_lease_against_readers_delays_no_update():
    with victim() as (d, _), lease(volume_path(d) + "/k", "F_WRLCK") as holder:
        put(d, NEWER)
        d.wait_volume("default", "p", "v", newer_than(1))  # the file itself would make us wait
        check(has_content(d, NEWER), "the new content")
        check_eq(holder.poll(), None, "the holder of the lease")


@suite.test
def a_mount_inside_a_volume_is_left_alone():
    with victim() as (d, outside):
        path = os.path.join(volume_path(d), os.readlink(volume_path(d) + "/..data"))
        harness.bind_mount(outside.path, path)
        update(d)
        check_eq(len(harness.mounts_below(volume_path(d))), 1, "mounts in the volume")
        outside.check()
        os.unlink(os.path.join(d.manifest_dir, "p.yaml"))
        wait_bad(d, "Removing", "MountFailed")
        outside.check()
        check(harness.umount(path), "the mount in the volume is gone")
        d.wait_gone("default", "p", "v")


@suite.test
def a_volume_that_was_made_writable_is_protected_again():
    with victim() as (d, _):
        path = volume_path(d)
        for act in (lambda _: update(d), reload, Daemon.restart):
            subprocess.run(["mount", "-o", "remount,bind,rw,exec,suid,dev", path], check=True)
            check("rw" in harness.mount_at(path)["options"], "the volume is not writable")
            act(d)
            poll_until(lambda: set(OUR_FLAGS.split(",")) <= harness.mount_at(path)["options"],
                       "the volume is read-only, nosuid, nodev and noexec")
            d.wait_published("default", "p", "v")


# ---- mounts over what is ours ------------------------------------------------------------------


def bind_whole(outside, path):
    """The whole of somebody's tmpfs, with the options that our volumes have."""
    harness.bind_mount(outside.path, path)
    subprocess.run(["mount", "-o", "remount,bind," + OUR_FLAGS, path], check=True)


@suite.test
def somebodys_tmpfs_at_a_volumes_path_is_not_taken_for_one():
    with victim() as (d, outside):
        paths = {}
        for uid in ("wanted", "unknown"):
            paths[uid] = volume_path(d, uid)
            os.makedirs(paths[uid])
            bind_whole(outside, paths[uid])
        d.put_objects("w.yaml", pod("wanted", {"v": "p"}, uid="wanted"))
        wait_bad(d, "Failed", "Busy", name="wanted")
        d.restart()
        wait_bad(d, "Failed", "Busy", name="wanted")
        outside.check()
        os.unlink(os.path.join(d.manifest_dir, "w.yaml"))
        d.wait_gone("default", "wanted", "v")
        outside.check()
        for path in paths.values():
            check(harness.umount(path), "the mount at %s is gone" % path)


@suite.test
def a_volume_at_anothers_path_is_not_taken_for_that():
    with victim() as (d, _):
        other = volume_path(d, "other")
        os.makedirs(other)
        harness.bind_mount(volume_path(d), other)
        d.put_objects("o.yaml", secret("o", {"k": "o"}), pod("other", {"v": "o"}, uid="other"))
        wait_bad(d, "Failed", "Busy", name="other")
        d.restart()
        wait_bad(d, "Failed", "Busy", name="other")
        check_eq(content(d), VALUE, "the volume that was bound there")
        check(harness.umount(other), "the mount is gone")
        d.wait_published("default", "other", "v")
        check_eq(content(d, "other"), "o", "content")


@suite.test
def a_covered_volume_is_not_reported_as_removed():
    with victim() as (d, outside):
        for restart in (False, True):
            path = volume_path(d)
            bind_whole(outside, path)
            put(d, NEWER)
            wait_bad(d, "Failed", "Busy")
            if restart:
                d.restart()
                wait_bad(d, "Failed", "Busy")
            os.unlink(os.path.join(d.manifest_dir, "p.yaml"))
            wait_bad(d, "Removing", "Busy")
            outside.check()
            check(harness.umount(path), "the cover is gone")
            d.wait_gone("default", "p", "v")
            check_eq([m for m in harness.mounts_below(d.root) if m["path"] == path], [], "mounts")
            put(d, VALUE)
            d.wait_published("default", "p", "v")


COVERED = (  # what is covered; state and reason of a volume below it, and of one that is made meanwhile
    ("pods", ("Failed", "Busy"), ("Failed", "Busy")),
    ("pods/u", ("Failed", "Busy"), None),
    ("pods/u/volumes", ("Failed", "Busy"), None),
    ("by-name", ("Stale", "WriteFailed"), ("Stale", "WriteFailed")),
    ("by-name/default", ("Stale", "WriteFailed"), ("Stale", "WriteFailed")),
)


@suite.test
def mounts_over_directories_above_a_volume_are_not_written_to():
    with victim() as (d, outside):
        for name, below, fresh in COVERED:
            path = os.path.join(d.root, name)
            for restart in (False, True):
                harness.bind_mount(outside.path, path)
                put(d, NEWER)
                d.put_objects("new.yaml", pod("new", {"v": "p"}))
                wait_bad(d, *below)
                if fresh:
                    wait_bad(d, *fresh, name="new")
                if restart:
                    d.restart()
                    wait_bad(d, *below)
                outside.check()
                check(harness.umount(path), "the cover of %s is gone" % name)
                d.wait_published("default", "p", "v")
                v = d.wait_published("default", "new", "v")
                check_eq(content(d), NEWER, "content below %s" % name)
                check_eq(os.path.realpath(d.root + "/by-name/default/new/v"), v["path"], "by name")
                os.unlink(os.path.join(d.manifest_dir, "new.yaml"))
                d.wait_gone("default", "new", "v")
                check_eq(len([m for m in harness.mounts_below(d.root)
                              if m["path"] == volume_path(d)]), 1, "mounts of the volume")
                put(d, VALUE)
                poll_until(lambda: has_content(d, VALUE), "the next content below " + name)


@suite.test
def what_is_covered_may_be_removed_later():
    with victim() as (d, outside):
        for name, below, _ in COVERED[:3]:
            path = os.path.join(d.root, name)
            harness.bind_mount(outside.path, path)
            os.unlink(os.path.join(d.manifest_dir, "p.yaml"))
            wait_bad(d, "Removing", below[1])
            outside.check()
            check(harness.umount(path), "the cover of %s is gone" % name)
            d.wait_gone("default", "p", "v")
            check_eq([m for m in harness.mounts_below(d.root) if m["path"] == volume_path(d)], [],
                     "mounts of the volume")
            put(d, VALUE)
            d.wait_published("default", "p", "v")


def with_socket_elsewhere():
    path = os.path.join(harness.make_dir("socket."), "s")
    return path, ["--socket", path]


@suite.test
def a_root_that_nobody_can_reach_is_told():
    path, args = with_socket_elsewhere()
    outside = Outside()

    def cover(root):
        harness.bind_mount(outside.path, root)
        return lambda: check(harness.umount(root), "the cover is gone")

    def cover_by_itself(root):
        harness.bind_mount(root, root)
        return lambda: check(harness.umount(root), "the cover is gone")

    def move(root):
        os.rename(root, root + ".away")
        return lambda: os.rename(root + ".away", root)

    def replace_by_link(root):
        os.rename(root, root + ".away")
        os.symlink(outside.path, root)
        return lambda: (os.unlink(root), os.rename(root + ".away", root))

    with Daemon(start=False, args=args) as d:
        d.socket_path, d.client = path, harness.Client(path)
        put(d, VALUE)
        d.start()
        d.wait_published("default", "p", "v")
        for hide in (cover, cover_by_itself, move, replace_by_link):
            undo = hide(d.root)
            put(d, NEWER)
            d.put_objects("new.yaml", pod("new", {"v": "p"}))
            v = wait_bad(d, "Failed", "Busy")
            check_in(d.root, v["message"], "message")
            wait_bad(d, "Failed", "Busy", name="new")
            outside.check()
            undo()
            d.wait_published("default", "p", "v")
            d.wait_published("default", "new", "v")
            check_eq(content(d), NEWER, "content afterwards")
            d.delete("new.yaml")
            d.wait_gone("default", "new", "v")
            update(d, VALUE)
        check_shows_no_value(d)


# ---- directories that were moved, or prepared --------------------------------------------------


@suite.test
def a_volume_whose_parents_were_renamed_is_found():
    def identity():
        st = os.stat(volume_path(d))
        return st.st_dev, st.st_ino

    with victim(bystander_moves=True) as (d, outside):
        for name, new in (("pods/u", "pods/hidden"), ("pods", "elsewhere"),
                          ("pods/u/volumes/kubernetes.io~secret", "pods/u/volumes/x"),
                          ("pods/u", "by-name/default/q\x1b\n")):
            before, source = identity(), os.path.join(d.root, name)
            os.rename(source, os.path.join(d.root, new))
            update(d)  # containers have the old mount: it is the one that has to change
            check_eq(identity(), before, "the file system after %s was renamed" % name)
            poll_until(lambda: not os.path.lexists(os.path.join(d.root, new)) or name == "pods",
                       new + " is removed")
            shutil.rmtree(os.path.join(d.root, "elsewhere"), ignore_errors=True)
            update(d, VALUE)
        os.rename(d.root + "/pods/u", d.root + "/pods/hidden")
        d.restart()
        d.wait_published("default", "p", "v")
        os.rename(d.root + "/pods/u", d.root + "/hidden")
        with open(d.root + "/hidden/volumes/kubernetes.io~secret/v/k", "rb") as kept:
            os.unlink(os.path.join(d.manifest_dir, "p.yaml"))
            d.wait_gone("default", "p", "v")
            check_eq(kept.read(), b"\0" * len(VALUE), "what was in a volume that was moved away")
        check_eq([m for m in harness.mounts_below(d.root) if "hidden" in m["path"]], [], "mounts")
        outside.check()


@suite.test
def moved_while_it_works_leads_nowhere():
    """A race: the Pod's directory is a link to elsewhere now and then, while the Secret changes."""
    with victim() as (d, outside):
        target = outside.path + "/dir"
        real, aside = d.root + "/pods/u", d.root + "/pods/aside"
        end = threading.Event()

        def swap():
            while not end.is_set():
                with contextlib.suppress(OSError):
                    os.rename(real, aside)
                    os.symlink(target, real)
                with contextlib.suppress(OSError):
                    os.unlink(real)
                    os.rename(aside, real)
        attacker = threading.Thread(target=swap)
        attacker.start()
        try:
            for n in range(150):
                put(d, "%s%d" % (VALUE, n))
                d.marker() if n % 50 == 49 else time.sleep(0.01)  # events come as they do
        finally:
            end.set()
            attacker.join()
        outside.check()
        shutil.rmtree(aside, ignore_errors=True)
        if os.path.islink(real):
            os.unlink(real)
        poll_until(lambda: has_content(d, "%s149" % VALUE), "the last content", 60)
        remove(d)
        outside.check()
        put(d, VALUE)
        d.wait_published("default", "p", "v")


@suite.test
def directories_of_others_are_not_used():
    for path, state, reason in (("pods", "Failed", "Busy"), ("pods/u", "Failed", "Busy"),
                                ("pods/u/volumes", "Failed", "Busy"),
                                ("by-name", "Stale", "WriteFailed"),
                                ("by-name/default/p", "Stale", "WriteFailed")):
        for uid, mode in ((NOBODY, 0o755), (0, 0o777), (0, 0o770)):
            with Daemon(start=False) as d:
                prepared = os.path.join(d.root, path)
                os.makedirs(prepared, 0o755)
                os.chmod(prepared, mode)
                os.chown(prepared, uid, -1)
                with open(prepared + "/canary", "w", encoding="ascii") as f:
                    f.write("alive")
                put(d, VALUE)
                d.start()
                v = wait_bad(d, state, reason)
                check_in("owned", v["message"], "message")
                check_eq(sorted(os.listdir(prepared)), ["canary"], "what is in " + path)
                os.chown(prepared, 0, -1)
                os.chmod(prepared, 0o750)
                d.wait_published("default", "p", "v")
                check_eq(harness.read_file(prepared + "/canary"), b"alive", "the canary")


# What stands where a directory, a volume or a link by name has to be.
IN_THE_WAY = {
    "a link": lambda path, outside, near: os.symlink(outside.path, path),
    "a hard link": lambda path, outside, near: os.link(near, path),
    "a fifo": lambda path, outside, near: os.mkfifo(path),
    "a full directory": lambda path, outside, near: (os.mkdir(path, 0o750),
                                                     os.mkdir(path + "/full")),
}
FILLED = ("a full directory",)
BUSY, UNNAMED = ("Failed", "Busy"), ("Stale", "WriteFailed")
CRAFTED = (  # below the root directory; what is planted; state and reason, None: it is published
    ("pods", ("a link", "a hard link", "a fifo"), BUSY),
    ("pods/%s", ("a link", "a hard link", "a fifo"), BUSY),
    ("pods/%s/volumes", ("a link", "a hard link", "a fifo"), BUSY),
    ("pods/%s/volumes/kubernetes.io~secret", ("a link", "a hard link", "a fifo"), BUSY),
    ("pods/%s/volumes/kubernetes.io~secret/v", tuple(IN_THE_WAY), BUSY),
    ("by-name", ("a link", "a hard link", "a fifo"), UNNAMED),
    ("by-name/%s", ("a link", "a hard link", "a fifo"), UNNAMED),
    ("by-name/%s/p", ("a link", "a hard link", "a fifo"), UNNAMED),
    ("by-name/%s/p/v", ("a link", "a hard link", "a fifo"), None),
    ("by-name/%s/p/v", FILLED, UNNAMED),
)


class Crafted:
    """Something planted for a Pod p whose uid and namespace are of its own."""

    def __init__(self, d, outside, near, path, plant, name):
        self.d, self.name, self.what = d, name, "%s at %s" % (plant, path)
        self.path = os.path.join(d.root, path % name if "%" in path else path)
        os.makedirs(os.path.dirname(self.path), 0o750, exist_ok=True)
        IN_THE_WAY[plant](self.path, outside, near)
        self.before = self.look()

    def look(self):
        st = os.lstat(self.path)
        below = os.listdir(self.path) if stat.S_ISDIR(st.st_mode) else None
        return st.st_ino, st.st_mode, below

    def put(self):
        self.d.put_objects(self.name + ".yaml", secret("p", {"k": VALUE}, namespace=self.name),
                           pod("p", {"v": "p"}, namespace=self.name, uid=self.name))

    def check(self, want):
        if not want:
            v = self.d.wait_published(self.name, "p", "v")
            check_eq(os.path.realpath(self.path), v["path"], "by name, where there was "
                     + self.what)
            return
        v = self.d.wait_volume(self.name, "p", "v", in_state(want[0]))
        check_eq(v["reason"], want[1], "reason with " + self.what)
        check(v["nextRetryAt"], "no time to try again with " + self.what)
        check_eq(self.look(), self.before, self.what)

    def clear(self):
        replace(self.path, lambda _: None)


@contextlib.contextmanager
def near_by(d):
    """A file in the root directory's file system, which alone can be linked to from there."""
    path = d.home + "/near"
    with open(path, "w", encoding="ascii") as f:
        f.write("alive")
    os.chmod(path, 0o640)
    before = os.stat(path)
    yield path
    after = os.stat(path)
    check_eq((harness.read_file(path), after.st_mode, after.st_mtime_ns, after.st_uid),
             (b"alive", before.st_mode, before.st_mtime_ns, before.st_uid), "what was linked to")


@suite.test
def a_crafted_tree_is_told_and_not_touched():
    with victim() as (d, outside), near_by(d) as near:
        crafted = [(Crafted(d, outside, near, path, plant, "c%d-%d" % (n, i)), want)
                   for n, (path, plants, want) in enumerate(CRAFTED) if "%" in path
                   for i, plant in enumerate(plants)]
        for c, want in crafted:
            c.put()
        for act in (None, reload, Daemon.restart):
            if act:
                act(d)
            for c, want in crafted:
                if want or not act:
                    c.check(want)
            outside.check()
        for c, want in crafted[::2]:  # some go with what is in the way, others get their volume
            d.delete(c.name + ".yaml")
            d.wait_gone(c.name, "p", "v")
            check(not os.path.ismount(volume_path(d, c.name)), "a volume that is gone is mounted")
            if want:
                check_eq(c.look(), c.before, c.what + " after the Pod went")
        for c, want in crafted[1::2]:
            if want:
                c.clear()
        for c, _ in crafted[1::2]:
            v = d.wait_published(c.name, "p", "v")
            check_eq(harness.read_file(v["path"] + "/k").decode(), VALUE, "content after " + c.what)
            check_eq(os.path.realpath(os.path.join(d.root, "by-name", c.name, "p/v")), v["path"],
                     "by name after " + c.what)


@suite.test
def a_crafted_tree_is_told_at_a_first_start():
    """At the directories that all volumes share: there can be no bystander below them."""
    for path, plants, want in CRAFTED:
        for plant in () if "%" in path else plants:
            outside = Outside()
            with Daemon(start=False) as d, near_by(d) as near:
                c = Crafted(d, outside, near, path, plant, "first")
                c.put()
                d.start()
                c.check(want)
                d.restart()
                c.check(want)
                outside.check()
                c.clear()
                d.wait_published("first", "p", "v")
                check_shows_no_value(d)


@suite.test
def links_by_name_that_were_replaced_are_mended_or_left():
    with victim() as (d, outside), near_by(d) as near:
        link = d.root + "/by-name/default/p/v"
        for plant in CRAFTED[8][1]:
            for act in (update, reload, Daemon.restart):
                replace(link, lambda p, plant=plant: IN_THE_WAY[plant](p, outside, near))
                act(d)
                poll_until(lambda: os.path.realpath(link) == volume_path(d),
                           "the link where there was %s, after %s" % (plant, act.__name__))
                update(d, "%s after %s" % (NEWER, plant))
            replace(link, lambda p, plant=plant: IN_THE_WAY[plant](p, outside, near))
            remove(d)
            if os.path.lexists(link):
                os.unlink(link)
            put(d, VALUE)
            d.wait_published("default", "p", "v")


@suite.test
def by_name_links_that_were_planted_lead_nowhere():
    with victim() as (d, outside):
        names = d.root + "/by-name"
        for path in ("default/p/v", "default/p/w", "default/q\x1b[31m\n/v", "\x01/p/v", "x/y/z"):
            os.makedirs(os.path.dirname(os.path.join(names, path)), exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(names, path))
            os.symlink(outside.path, os.path.join(names, path))
        for name in ("\x01\x1b[31m/p\n/v", "../../x/v"):  # lead to the volume, by another name
            os.makedirs(os.path.dirname(os.path.join(names, name)), exist_ok=True)
            os.symlink("../../../pods/u/volumes/kubernetes.io~secret/v", os.path.join(names, name))
        os.symlink(outside.path, names + "/default/dir")
        d.put_objects("dir.yaml", pod("dir", {"v": "p"}))
        wait_bad(d, "Stale", "WriteFailed", name="dir")
        os.unlink(names + "/default/dir")
        d.wait_published("default", "dir", "v")
        d.restart()
        poll_until(lambda: os.path.realpath(names + "/default/p/v") == volume_path(d),
                   "the volume's name leads to it")
        d.wait_published("default", "p", "v")
        left = [os.path.join(base, name) for base, dirs, files in os.walk(names)
                for name in dirs + files if os.path.islink(os.path.join(base, name))
                and not os.path.realpath(os.path.join(base, name)).startswith(d.root + "/pods/")]
        check_eq(left, [], "planted links")
        remove(d)


# ---- the root directory and the socket ---------------------------------------------------------


def refuses_to_start(d, says):
    d.start(wait_ready=False)
    check_eq(d.wait_exit(), 1, "exit status with " + says)
    check_in(says, d.log().splitlines()[-1], "message")


@suite.test
def a_root_directory_below_somebody_elses_is_refused():
    for uid, mode in ((NOBODY, 0o755), (0, 0o777), (0, 0o775)):
        with Daemon(start=False) as d:
            put(d, VALUE)
            os.chmod(d.home, mode)
            os.chown(d.home, uid, -1)
            refuses_to_start(d, "above the root directory, must be owned by root")
            check_eq(os.listdir(d.root), [], "what is in the root directory")
            os.chown(d.home, 0, -1)
            os.chmod(d.home, 0o1777)  # as /tmp: nobody can rename what is root's
            d.start()
            d.wait_published("default", "p", "v")


@suite.test
def a_root_directory_may_be_a_link_and_then_its_target_counts():
    with Daemon(start=False) as d:
        real = harness.make_dir("real.", 0o755)
        os.rmdir(d.root)
        os.symlink(real, d.root)
        put(d, VALUE)
        os.chown(real, NOBODY, -1)
        refuses_to_start(d, "must be owned by root")
        os.chown(real, 0, -1)
        d.start()
        v = d.wait_published("default", "p", "v")
        check(v["path"].startswith(real + "/"), "the path goes through a link: " + v["path"])
        os.unlink(d.root)
        os.symlink("/nonexistent", d.root)  # it leads elsewhere now: that does not matter
        put(d, NEWER)
        poll_until(lambda: harness.read_file(v["path"] + "/k") == NEWER.encode(), "the update")
        d.stop()
        harness.unmount_below(real)


def full_queue(path):
    """A socket that somebody listens on and never accepts: connecting to it would block."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("/proc/self/fd/%d/%s" % (dir_fd(path), os.path.basename(path)))
    listener.listen(0)
    kept = [listener]
    while True:
        s = socket.socket(socket.AF_UNIX)
        s.setblocking(False)
        kept.append(s)
        try:
            s.connect("/proc/self/fd/%d/%s" % (dir_fd(path), os.path.basename(path)))
        except BlockingIOError:
            return kept


@suite.test
def a_planted_status_socket_is_not_used():
    outside = Outside()
    plants = (lambda p: open(p, "w").close(), os.mkdir, os.mkfifo,
              lambda p: os.symlink(outside.path + "/canary", p),
              lambda p: os.symlink(outside.path + "/new", p))
    for plant in plants:
        with Daemon(start=False, args=["--socket-group", MEMBERS]) as d:
            plant(d.socket_path)
            before = os.lstat(d.socket_path)
            refuses_to_start(d, "something else stands there")
            after = os.lstat(d.socket_path)
            check_eq((after.st_ino, after.st_mode, after.st_gid),
                     (before.st_ino, before.st_mode, before.st_gid), "what was planted")
            outside.check()
    with Daemon(start=False) as d:
        kept = full_queue(d.socket_path)
        refuses_to_start(d, "somebody listens on it")
        for s in kept:
            s.close()
        d.start()  # nobody listens any more: a leftover
    with Daemon(start=False) as d:
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as s:
            s.bind("/proc/self/fd/%d/%s" % (dir_fd(d.socket_path), os.path.basename(d.socket_path)))
            refuses_to_start(d, "somebody listens on it")
        d.start()


# ---- the status socket: members of its group ---------------------------------------------------

# Sends requests as somebody else, one connection for each; prints the answers.
ASK = r"""
import base64, json, socket, sys
path, requests = sys.argv[1], json.load(sys.stdin)
answers = []
for data in requests:
    s = socket.socket(socket.AF_UNIX)
    got = b""
    try:
        s.connect(path)  # blocks while the queue is full
        s.settimeout(20)
        s.sendall(base64.b64decode(data))
        if b"Connection: close" not in base64.b64decode(data):
            s.shutdown(socket.SHUT_WR)
        while True:
            part = s.recv(65536)
            if not part:
                break
            got += part
    except socket.timeout:
        got += b"TIMEOUT"
    except OSError:
        pass
    s.close()
    answers.append(base64.b64encode(got).decode())
print(json.dumps(answers))
"""


def as_member(command, uid=NOBODY):
    gid = str(grp.getgrnam(MEMBERS).gr_gid)
    return ["setpriv", "--reuid", str(uid), "--regid", str(NOBODY), "--groups", gid] + command


def ask(d, requests):
    """All that comes back for the raw bytes of each connection, asked by a member of the group."""
    given = json.dumps([base64.b64encode(r).decode() for r in requests])
    r = subprocess.run(as_member(["/usr/bin/python3", "-c", ASK, d.socket_path]), input=given,
                       text=True, capture_output=True, cwd="/", timeout=300, check=True)
    return [base64.b64decode(x) for x in json.loads(r.stdout)]


def statuses(answer):
    """The status codes of all answers on one connection."""
    return [int(n) for n in re.findall(rb"HTTP/1\.1 (\d+) ", answer)]


@contextlib.contextmanager
def open_to_members():
    with victim(args=["--socket-group", MEMBERS]) as (d, outside):
        os.chmod(d.home, 0o755)
        yield d, outside


def request(method, path, *lines, body=b""):
    head = [("%s %s HTTP/1.1" % (method, path)).encode("latin-1"), b"Host: x"]
    return b"\r\n".join(head + [x if isinstance(x, bytes) else x.encode("latin-1")
                                for x in lines]) + b"\r\n\r\n" + body


CLOSE = "Connection: close"
ENV = json.dumps({"namespace": "default", "pod": "e"}).encode()
LENGTH = "Content-Length: %d" % len(ENV)


@suite.test
def members_cannot_have_an_environment():
    e = {"name": "A", "valueFrom": {"secretKeyRef": {"name": "p", "key": "k"}}}
    tricks = [request("POST", path, CLOSE, LENGTH, *more, body=ENV)
              for path in ("/v1/env", "//v1/env", "/v1/env/", "/v1/./env", "/v1/../v1/env",
                           "/v1/%65nv", "/v1/env?root=1", "/v1/env%00", "http://x/v1/env",
                           "/v1/ENV", "/v1/env#x", "v1/env")
              for more in ((), ("X-Forwarded-User: root", "X-Remote-Uid: 0"))]
    tricks += [request(method, "/v1/env", CLOSE, "X-HTTP-Method-Override: POST", LENGTH, body=ENV)
               for method in ("GET", "PUT", "post", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PROPFIND")]
    tricks += [request("GET", "/v1/env?namespace=default&pod=e", CLOSE),
               request("POST", "/v1/env", CLOSE, "Transfer-Encoding: chunked",
                       body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(ENV), ENV)),
               # smuggled into the body of a request that is allowed
               request("GET", "/healthz", "Content-Length: 5", "Content-Length: 500",
                       body=b"hello" + request("POST", "/v1/env", CLOSE, LENGTH, body=ENV)),
               request("GET", "/healthz", "Content-Length: 4", "Transfer-Encoding: chunked",
                       body=b"0\r\n\r\n" + request("POST", "/v1/env", CLOSE, LENGTH, body=ENV))]
    with open_to_members() as (d, _):
        d.put_objects("e.yaml", pod("e", {"v": "p"}, containers=[
            {"name": "c", "image": "img", "env": [e],
             "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]))
        d.wait_published("default", "e", "v")
        status, _, body = d.client.request("POST", "/v1/env", body=ENV)
        check_eq(status, 200, "what root gets")
        check_in(VALUE.encode(), body, "what root gets")
        for trick, answer in zip(tricks, ask(d, tricks)):
            check(VALUE.encode() not in answer and b"TIMEOUT" not in answer,
                  "%r is answered %r" % (trick, answer[:300]))
            if trick.startswith(b"POST /v1/env HTTP"):
                check_eq(statuses(answer), [403], "status for %r" % trick)


# Tries what is not a member's to do below a directory: prints what came of each.
TRY = r"""
import errno, json, os, socket, sys
top, own = sys.argv[1:]
volume = top + "/pods/u/volumes/kubernetes.io~secret/v"
below = os.open(top, os.O_PATH)


def within(path, flags=os.O_RDONLY):
    return os.open(path, flags, dir_fd=below)


def bind(path):
    socket.socket(socket.AF_UNIX).bind("/proc/self/fd/%d/%s" % (below, path))


tries = {
    "read a value": lambda: within("pods/u/volumes/kubernetes.io~secret/v/k"),
    "read a value by name": lambda: within("by-name/default/p/v/k"),
    "read a value by its whole path": lambda: open(volume + "/k").close(),
    "open a volume": lambda: within("pods/u/volumes/kubernetes.io~secret/v", os.O_PATH),
    "open a volume by name": lambda: within("by-name/default/p/v/", os.O_PATH),
    "look at a file": lambda: os.stat(volume + "/k"),
    "read a link": lambda: os.readlink(top + "/by-name/default/p/v"),
    "list the root": lambda: os.listdir(top),
    "list the root by descriptor": lambda: within("."),
    "list Pods": lambda: os.listdir(top + "/pods"),
    "list names": lambda: os.listdir(top + "/by-name"),
    "list a volume": lambda: os.listdir(volume),
    "follow the root": lambda: os.chdir(top + "/pods"),
    "link a value": lambda: os.link(volume + "/k", own + "/stolen"),
    "close a directory": lambda: os.chmod(top + "/pods", 0o700),
    "give a directory away": lambda: os.chown(top + "/pods", os.getuid(), os.getgid()),
    "open a directory": lambda: os.chmod(top, 0o777),
}
for where in ("", "/pods", "/pods/u", "/by-name", "/by-name/default/p"):
    for what, make in {"link": lambda p: os.symlink("/etc", p),
                       "hard link": lambda p: os.link(own + "/f", p),
                       "fifo": os.mkfifo, "directory": os.mkdir,
                       "file": lambda p: os.close(os.open(p, os.O_CREAT | os.O_WRONLY))}.items():
        tries["plant a %s in ROOT%s" % (what, where)] = (
            lambda make=make, path=top + where + "/new " + what: make(path))
tries.update({
    "plant a socket": lambda: bind("new socket"),
    "replace a name": lambda: os.rename(own + "/link", top + "/by-name/default/p/v"),
    "rename a Pod": lambda: os.rename(top + "/pods/u", top + "/pods/other"),
    "rename Pods": lambda: os.rename(top + "/pods", top + "/elsewhere"),
    "take the names away": lambda: os.rename(top + "/by-name", own + "/by-name"),
    "replace the socket": lambda: os.rename(own + "/f", top + "/secretvold.sock"),
    "remove the socket": lambda: os.unlink(top + "/secretvold.sock"),
    "rename the root": lambda: os.rename(top, top + ".away"),
})
results = {}
for name, action in tries.items():
    try:
        action()
        results[name] = "done"
    except OSError as e:
        results[name] = errno.errorcode[e.errno]
print(json.dumps(results))
"""


def try_all(top, own):
    os.mkdir(own)
    with open(own + "/f", "w", encoding="ascii"):
        pass
    os.symlink("/etc", own + "/link")
    for path in (own, own + "/f"):
        os.chown(path, NOBODY, -1)
    r = subprocess.run(as_member(["/usr/bin/python3", "-c", TRY, top, own]), text=True,
                       capture_output=True, cwd="/", check=False, timeout=harness.DEADLINE_S)
    check_eq(r.stderr, "", "what is tried")
    return json.loads(r.stdout)


def all_below(top):
    return sorted(os.path.join(base, name) for base, dirs, files in os.walk(top)
                  for name in dirs + files)


@suite.test
def members_cannot_touch_or_read_what_is_below_the_root():
    with open_to_members() as (d, _):
        check_eq(stat.S_IMODE(os.stat(d.root).st_mode), 0o710, "mode of the root directory")
        before = all_below(d.root)
        results = try_all(d.root, d.home + "/own")
        check_eq({name: r for name, r in results.items() if r not in ("EACCES", "EPERM")}, {},
                 "what was not refused")
        check_eq(all_below(d.root), before, "what is below the root directory")
        check_eq(statuses(ask(d, [request("GET", "/v1/volumes", CLOSE)])[0]), [200],
                 "what a member may do")
        for command in (("env", "p"), ("exec", "p", "--", "true")):
            r = subprocess.run(as_member([os.path.join(harness.options.build, "secretvolctl"),
                                          "--socket", d.socket_path, *command]),
                               text=True, capture_output=True, cwd="/", check=False)
            check_eq((r.returncode, r.stdout), (1, ""), "what %s prints" % command[0])
            check_in("root", r.stderr, "what %s says" % command[0])
        # the same in a tree that is theirs: all of it can be done where nothing stops it
        theirs = d.home + "/theirs"
        os.mkdir(theirs)
        os.chown(theirs, NOBODY, -1)
        top = theirs + "/top"
        os.makedirs(top + "/pods/u/volumes/kubernetes.io~secret/v")
        os.makedirs(top + "/by-name/default/p")
        os.symlink("../../../pods/u/volumes/kubernetes.io~secret/v", top + "/by-name/default/p/v")
        for path in ("/secretvold.sock", "/pods/u/volumes/kubernetes.io~secret/v/k"):
            with open(top + path, "w", encoding="ascii"):
                pass
        for path in [top] + all_below(top):
            os.chown(path, NOBODY, -1, follow_symlinks=False)
        results = try_all(top, theirs + "/own")
        check_eq({name: r for name, r in results.items() if r != "done"}, {},
                 "what is refused there")


JUNK = {
    "nothing": b"",
    "NULs": b"\0" * 5000,
    "a NUL in the path": b"GET /v1/stat\0us HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "a NUL in a field": b"GET /healthz HTTP/1.1\r\nHost: x\0y\r\nX\0: y\r\nConnection: close\r\n\r\n",
    "no version": b"GET /v1/status\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "control bytes": request("GET", "/\x1b[31m\x07", CLOSE),
    "a very long method": b"A" * 30000 + b" / HTTP/1.1\r\n\r\n",
    "a very long name": request("GET", "/healthz", "A" * 30000 + ": x", CLOSE),
    "very many fields": request("GET", "/healthz", *["A%d: x" % n for n in range(5000)]),
    "very many arguments": request("GET", "/v1/volumes?" + "&".join("a%d" % n for n in range(3000)),
                                   CLOSE),
    "folded lines": request("GET", "/healthz", "A: x", " y" * 1000, CLOSE),
    "lines that end in LF": b"GET /healthz HTTP/1.1\nHost: x\n\n",
    "lines that end in CR": b"GET /healthz HTTP/1.1\rHost: x\r\r",
    "a blank before the colon": request("GET", "/healthz", "Content-Length : 5", CLOSE),
    "two lengths": request("POST", "/v1/env", "Content-Length: 1", "Content-Length: 2", body=b"xx"),
    "a negative length": request("POST", "/v1/env", "Content-Length: -1", body=b"x"),
    "a length that overflows": request("POST", "/v1/env", "Content-Length: 18446744073709551617",
                                       body=b"x"),
    "a length that is no number": request("POST", "/v1/env", "Content-Length: 0x10", body=b"x" * 16),
    "a large length and no body": request("POST", "/v1/env", "Content-Length: 99999999999"),
    "a chunk that overflows": request("POST", "/v1/env", "Transfer-Encoding: chunked",
                                      body=b"fffffffffffffffff\r\nx\r\n0\r\n\r\n"),
    "a negative chunk": request("POST", "/v1/env", "Transfer-Encoding: chunked",
                                body=b"-1\r\nx\r\n0\r\n\r\n"),
    "endless chunks": request("POST", "/v1/env", "Transfer-Encoding: chunked",
                              body=b"4000\r\n" + b"x" * 0x4000 + b"\r\n" * 1 + (
                                  b"4000\r\n" + b"x" * 0x4000 + b"\r\n") * 40),
    "an unknown encoding": request("POST", "/v1/env", "Transfer-Encoding: gzip", body=b"x"),
    "an upgrade": request("GET", "/healthz", "Upgrade: websocket", "Connection: Upgrade, close"),
    "expectations": request("POST", "/v1/env", "Expect: 100-continue", CLOSE, LENGTH, body=ENV),
    "up": request("GET", "/../../../../etc/passwd", CLOSE),
    "up, escaped": request("GET", "/v1/%2e%2e/%2e%2e/etc/passwd", CLOSE),
    "up, in an argument": request("GET", "/v1/volumes?namespace=../../etc&pod=%00%0a", CLOSE),
    "escapes that are none": request("GET", "/v1/volumes?namespace=%zz&pod=%", CLOSE),
    "a proxy's request": request("GET", "http://169.254.169.254/latest", CLOSE),
    "another scheme": request("GET", "file:///etc/passwd", CLOSE),
    "an asterisk": request("OPTIONS", "*", CLOSE),
}


@suite.test
def junk_from_members_is_answered_or_dropped():
    with open_to_members() as (d, _):
        names = sorted(JUNK)
        for name, answer in zip(names, ask(d, [JUNK[n] for n in names])):
            check(b"TIMEOUT" not in answer, "no answer and no end for " + name)
            check(b"root:" not in answer, "a file is shown for " + name)
            check(not any(b < 0x20 and b not in b"\r\n" for b in answer),
                  "%s: control bytes come back: %r" % (name, answer[:200]))
            for status in statuses(answer):
                check(status == 200 or 400 <= status < 600 or status == 100,
                      "%s: status %d" % (name, status))
                if status != 200:
                    continue
                check(name in ("lines that end in LF", "a NUL in a field", "folded lines",
                               "very many arguments", "up, in an argument", "an upgrade",
                               "a blank before the colon", "escapes that are none"),
                      "%s is served: %r" % (name, answer[:300]))
        check_eq(d.client.get("/healthz")[0], 200, "health")


@suite.test
def pipelined_requests_are_answered_one_by_one():
    with open_to_members() as (d, _):
        many = request("GET", "/healthz") * 200 + request("GET", "/healthz", CLOSE)
        mixed = (request("GET", "/v1/status") + request("POST", "/v1/env", LENGTH, body=ENV)
                 + request("GET", "/none") + request("GET", "/v1/secrets", CLOSE)
                 + request("GET", "/healthz"))
        watched = request("GET", "/v1/volumes?watch=1") + request("GET", "/healthz")
        answers = ask(d, [many, mixed])
        check_eq(statuses(answers[0]), [200] * 201, "answers to 201 requests")
        check_eq(statuses(answers[1]), [200, 403, 404, 200], "answers to mixed requests")
        with harness.connection(d) as s:  # a watch has no end
            s.sendall(watched)
            got = b""
            while b"SYNCED" not in got:
                got += s.recv(65536)
            check_eq(statuses(got), [200], "answers to a watch")


# As somebody else: connects, asks for watches, never reads, lets go, and again, until it is killed.
FLOOD = r"""
import socket, sys
ask = b"GET /v1/%s?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n"
topics = [b"volumes", b"pods", b"events"]
print("on", flush=True)
n = 0
kept = []
while True:
    s = socket.socket(socket.AF_UNIX)
    s.setblocking(False)
    try:
        s.connect(sys.argv[1])
        s.sendall(ask % topics[n % 3] * (1 + n % 5))
        kept.append(s)
    except OSError:
        s.close()
    n += 1
    if len(kept) > 20:
        kept.pop(n % 20).close()
"""


@suite.test
def floods_of_watches_do_not_keep_root_out():
    with open_to_members() as (d, _), contextlib.ExitStack() as stack:
        for uid in range(NOBODY - 2, NOBODY + 1):
            flood = subprocess.Popen(
                as_member(["/usr/bin/python3", "-c", FLOOD, d.socket_path], uid),
                stdout=subprocess.PIPE, text=True, cwd="/")
            stack.callback(flood.communicate)
            stack.callback(flood.kill)
            check_eq(flood.stdout.readline(), "on\n", "the flood")
        for n in range(20):
            put(d, "%s%d" % (VALUE, n))
            r = d.ctl("get", "volumes", "-o", "name")
            check_eq((r.returncode, r.stderr), (0, ""), "what root gets")
        poll_until(lambda: has_content(d, "%s19" % VALUE), "the last content")
        with open("/proc/%d/status" % d.process.pid, encoding="ascii") as f:
            rss = next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
        check(rss < 200 << 10, "the daemon has grown to %d KiB" % rss)


# ---- manifests ---------------------------------------------------------------------------------


@suite.test
def names_that_are_valid_cannot_meet_what_is_ours():
    """A Pod may be called almost anything: its names are parts of paths that others use, too."""
    with victim() as (d, _):
        odd = [pod("pods", {"by-name": "p"}, uid="volumes"),
               pod("secretvold.sock", {"data": "p"}, uid="secretvold.sock"),
               pod("x.y", {"v": "p"}, uid="..."), pod("a-b", {"v": "p"}, uid=".hidden"),
               pod("kubernetes.io", {"v": "p"}, uid="kubernetes.io-secret"),
               pod("long", {"v" * 63: "p"}, uid="u" * 128), pod("u", {"v": "p"}, uid="U")]
        d.put_objects("odd.yaml", *odd)
        for o in odd:
            name, volume = o["metadata"]["name"], o["spec"]["volumes"][0]["name"]
            v = d.wait_published("default", name, volume)
            check(v["path"].startswith(d.root + "/pods/" + o["metadata"]["uid"] + "/volumes/"),
                  "path of %s: %s" % (name, v["path"]))
            check_eq(harness.read_file(v["path"] + "/k").decode(), VALUE, "content of " + name)
            check_eq(os.path.realpath(os.path.join(d.root, "by-name/default", name, volume)),
                     v["path"], "by name")
        d.delete("odd.yaml")
        for o in odd:
            d.wait_gone("default", o["metadata"]["name"], o["spec"]["volumes"][0]["name"])
        check_eq(sorted(os.listdir(d.root + "/pods")),
                 sorted({"u"} | {p["uid"] for p in d.pods()}), "what is left of them")


@suite.test
def impossible_secret_names_are_only_not_found():
    with victim() as (d, outside):
        names = ["../p", "/etc/shadow", outside.path + "/canary", "p/../p", "p\x00", "p\n", "..",
                 "\x1b[31m", "x" * 5000]
        d.put_objects("n.yaml", *[pod("n%d" % n, {"v": name}) for n, name in enumerate(names)
                                  if "\x00" not in name])
        for n, name in enumerate(names):
            if "\x00" not in name:
                v = d.wait_volume("default", "n%d" % n, "v", in_state("Refused"))
                check_eq(v["reason"], "SecretNotFound", "reason of %r" % name)
                check(not os.path.lexists(v["path"]), "a path of a refused volume")


if __name__ == "__main__":
    sys.exit(suite.main())
