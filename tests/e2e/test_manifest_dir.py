#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Manifest directories as people and programs change them."""

import json
import mmap
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness  # noqa: E402
from harness import (Daemon, Inotify, check, check_eq, check_in, in_state,  # noqa: E402
                     manifest, newer_than, pod, poll_until, secret)

suite = harness.Suite("manifest_dir")


def text(name, value="1", **fields):
    """A manifest with Secret and Pod NAME, volume v."""
    return manifest(secret(name, {"k": value}), pod(name, {"v": name}, **fields))


def wait(d, name, value=None):
    """The published volume of Pod NAME; with a value, once the daemon has written that."""
    v = d.wait_published("default", name, "v")
    if value is not None:
        poll_until(lambda: content(v) == value.encode(), "content %r in %s" % (value, name))
    return v


def content(volume):
    try:
        return harness.read_file(os.path.join(volume["path"], "k"))
    except FileNotFoundError:
        return None


def path_of(d, name):
    return os.path.join(d.manifest_dir, name)


def write(path, data, mode=0o600):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(fd, "w", encoding="utf-8") as f:
        f.write(data)


def identity(volume):
    return (harness.mount_at(volume["path"])["id"],
            os.readlink(os.path.join(volume["path"], "..data")))


def problems(d):
    return sorted((p["reason"], os.path.basename(p["file"])) for p in d.problems())


class Untouched:
    """Checks that a volume is left alone: nothing moves in it, and it stays the same mount."""

    def __init__(self, d, name):
        self.d, self.volume = d, wait(d, name)
        self.before = identity(self.volume)

    def __enter__(self):
        self.watch = Inotify(self.volume["path"], Inotify.CREATE | Inotify.MOVED_TO
                             | Inotify.DELETE)
        return self.volume

    def __exit__(self, kind, *_):
        with self.watch:
            if kind is None:
                self.d.marker()
                check_eq(self.watch.read(), [], "events in the volume")
                check_eq(identity(self.volume), self.before, "mount and data directory")


# ---- how files are written -------------------------------------------------------------------


@suite.test
def a_file_is_replaced_by_renaming():
    with Daemon() as d:
        d.put("p.yaml", text("p", "1"))
        wait(d, "p", "1")
        d.put("p.yaml", text("p", "2"))
        wait(d, "p", "2")


@suite.test
def a_file_is_written_in_place_in_two_halves():
    with Daemon() as d:
        d.put("p.yaml", text("p", "1"))
        wait(d, "p", "1")
        whole = text("p", "2" * 5000)
        with Untouched(d, "p"):
            file = open(path_of(d, "p.yaml"), "w", encoding="utf-8")
            file.write(whole[:2000])
            file.flush()
        check_eq(problems(d), [], "problems with half a file")
        file.write(whole[2000:])
        file.close()
        wait(d, "p", "2" * 5000)
        check_eq(problems(d), [], "problems")
        check("p.yaml" not in d.log(), "a half-written file is complained about in the log")


@suite.test
def an_object_that_becomes_unreadable_keeps_its_volume():
    def without(o, key):
        return {k: v for k, v in o.items() if k != key}

    s, p = secret("p", {"k": "1"}), pod("p", {"v": "p"})
    whole = {"apiVersion": "v1", "kind": "List", "items": [s, p]}
    texts = [manifest(s, without(p, "kind")), manifest(s, dict(p, kind=5)),
             manifest(s, without(p, "apiVersion")), manifest(s, dict(p, apiVersion=1)),
             manifest(without(s, "kind"), p), manifest(s, without(p, "metadata")),
             manifest(s, dict(p, metadata={"name": "p", "namespace": 5})),
             manifest(without(whole, "kind")), manifest(without(whole, "apiVersion")),
             manifest(dict(whole, items={})), manifest("hello")]
    with Daemon() as d:
        d.put("p.yaml", manifest(whole))
        with Untouched(d, "p"):
            for bad in texts:
                d.put("p.yaml", bad)
                status = d.wait_status(lambda s: s["problems"], "a problem")
                check_eq(len(status["problems"]), 1, "problems with %s" % bad)
                check_eq(wait(d, "p")["reason"], "", "reason with %s" % bad)
                d.put("p.yaml", manifest(whole))
                d.wait_no_problems()
        d.put("p.yaml", manifest(s, dict(p, kind="ConfigMap")))  # which is something else
        d.wait_gone("default", "p", "v")


@suite.test
def a_new_file_is_written_in_two_halves():
    with Daemon() as d:
        whole = text("p", "2" * 5000)
        with open(path_of(d, "p.yaml"), "w", encoding="utf-8") as file:
            file.write(whole[:2000])
            file.flush()
            d.marker()
            check_eq(problems(d), [], "problems with half a file")
            file.write(whole[2000:])
        wait(d, "p", "2" * 5000)
        check("p.yaml" not in d.log(), "a half-written file is complained about in the log")


@suite.test
def a_file_that_is_renamed_or_chmodded_while_it_is_written_is_waited_for():
    def renamed(d):
        path = path_of(d, ".p.yaml.new")
        file = open(path, "w", encoding="utf-8")
        file.write(whole[:100])
        file.flush()
        os.utime(path, (later, later))
        os.rename(path, path_of(d, "p.yaml"))
        return file

    def chmodded(d):
        file = open(path_of(d, "p.yaml"), "w", encoding="utf-8")
        os.utime(file.fileno(), (later, later))
        os.fchmod(file.fileno(), 0o400)
        return file

    later = time.time() + 3600  # so that it was written just now, however long the test takes
    for begin, value in ((renamed, "2"), (chmodded, "3")):
        whole = text("p", value)
        with Daemon() as d:
            d.put("p.yaml", text("p", "1"))
            with Untouched(d, "p"):
                file = begin(d)
            check_eq(problems(d), [], "problems with a part of a file")
            file.seek(0)
            file.write(whole)
            file.close()
            wait(d, "p", value)


@suite.test
def a_file_of_another_user_is_waited_for_until_it_is_closed_or_renamed():
    later = time.time() + 3600
    with Daemon() as d:
        with open(path_of(d, "p.yaml"), "w", encoding="utf-8") as file:
            file.write(text("p")[:100])
            file.flush()
            os.utime(file.fileno(), (later, later))
            os.fchown(file.fileno(), 1000, 1000)
            d.marker()
            check_eq(problems(d), [], "problems with half a file")
            file.write(text("p")[100:])
        wait(d, "p")
        write(path_of(d, ".q"), text("q"))
        os.utime(path_of(d, ".q"), (later, later))
        os.chown(path_of(d, ".q"), 1000, 1000)
        os.rename(path_of(d, ".q"), path_of(d, "q.yaml"))
        d.marker()
        check_in("q", [s["name"] for s in d.secrets()], "Secrets of what was renamed")


@suite.test
def a_file_held_open_at_start_is_waited_for():
    with Daemon() as d:
        d.put("p.yaml", text("p", "1"))
        before = identity(wait(d, "p"))
        d.stop()
        with open(path_of(d, "p.yaml"), "w", encoding="utf-8") as file:
            file.write(text("p", "1")[:100])
            file.flush()
            d.start(wait_ready=False)
            d.wait_alive()
            for _ in range(3):
                check_eq(d.client.get("/readyz")[0], 503, "readiness with half a file")
            check_eq(identity(d.volume("default", "p", "v")), before, "volume")
            file.write(text("p", "1")[100:])
        d.wait_ready()
        check_eq(identity(wait(d, "p")), before, "volume")


@suite.test
def an_editor_saves_as_vim_does():
    with Daemon() as d:
        path = path_of(d, "p.yaml")
        write(path, text("p", "1"))
        wait(d, "p", "1")
        with Untouched(d, "p"):
            os.rename(path, path + "~")
            write(path, text("p", "1"))
            os.unlink(path + "~")
        os.rename(path, path + "~")
        write(path_of(d, "4913"), "")
        os.unlink(path_of(d, "4913"))
        write(path, text("p", "2"))
        os.unlink(path + "~")
        wait(d, "p", "2")  # on disk; then it is told
        poll_until(lambda: len(d.events()) > 1, "an event")
        check_eq([e["reason"] for e in d.events() if e["pod"] == "p"],
                 ["SuccessfulMountVolume", "SecretUpdated"], "events: nothing was removed")


@suite.test
def sed_edits_in_place():
    with Daemon() as d:
        d.put("p.yaml", text("p", "before"))
        mount = harness.mount_at(wait(d, "p", "before")["path"])
        subprocess.run(["sed", "-i", "s/before/after/", path_of(d, "p.yaml")], check=True)
        check_eq(harness.mount_at(wait(d, "p", "after")["path"]), mount, "mount")


@suite.test
def a_file_is_renamed():
    with Daemon() as d:
        d.put("a.yaml", text("p"))
        wait(d, "p")
        with Untouched(d, "p"):
            os.rename(path_of(d, "a.yaml"), path_of(d, "b.yaml"))
        with Untouched(d, "p"):
            os.rename(path_of(d, "b.yaml"), path_of(d, "a.yaml"))
        with Untouched(d, "p"):  # away and back within the settle time
            os.rename(path_of(d, "a.yaml"), path_of(d, "a.yaml.away"))
            os.rename(path_of(d, "a.yaml.away"), path_of(d, "a.yaml"))
        check_eq(problems(d), [], "problems")
        check_eq([e["reason"] for e in d.events() if e["pod"] == "p"], ["SuccessfulMountVolume"],
                 "events")


@suite.test
def a_hard_link_and_a_copy_appear():
    with Daemon() as d:
        outside = os.path.join(d.home, "outside.yaml")
        write(outside, text("linked"))
        os.link(outside, path_of(d, "linked.yaml"))
        wait(d, "linked")
        write(outside, text("copied"))
        subprocess.run(["cp", outside, path_of(d, "copied.yaml")], check=True)
        wait(d, "copied")


@suite.test
def a_deleted_file_takes_its_objects_along():
    with Daemon() as d:
        d.put("p.yaml", text("p"))
        d.put("q.yaml", text("q"))
        v = wait(d, "p")
        wait(d, "q")
        with Untouched(d, "q"):
            d.delete("p.yaml")
            d.wait_gone("default", "p", "v")
        check(not os.path.lexists(os.path.dirname(v["path"])), "directories are left behind")
        check_eq([s["name"] for s in d.secrets() if s["namespace"] == "default"], ["q"], "Secrets")


@suite.test
def chmod_is_noticed():
    with Daemon() as d:
        path = d.put("p.yaml", text("p"), mode=0o640)
        wait(d, "p")
        p = d.wait_problem("InsecurePermissions", file="p.yaml")
        check_eq(p["severity"], "warning", "severity")
        check_in("0600", p["message"], "message")
        os.chmod(path, 0o600)
        d.wait_no_problems()
        os.chmod(path, 0o604)
        d.wait_problem("InsecurePermissions", file="p.yaml")
        check_eq(d.ctl("status").returncode, 0, "exit code of status with a warning only")
        d.put("pod.yaml", manifest(pod("alone", {"v": "p"})), mode=0o644)
        d.wait_published("default", "alone", "v")
        check_eq(problems(d), [("InsecurePermissions", "p.yaml")], "problems without a Secret")


# ---- the directory itself --------------------------------------------------------------------


@suite.test
def the_directory_is_replaced_by_another():
    with Daemon() as d:
        d.put("p.yaml", text("p", "1"))
        d.put("q.yaml", text("q"))
        wait(d, "q")
        v = wait(d, "p", "1")
        mount = harness.mount_at(v["path"])["id"]
        new, old = d.manifest_dir + ".new", d.manifest_dir + ".old"
        os.mkdir(new)
        write(os.path.join(new, "p.yaml"), text("p", "2"))
        os.rename(d.manifest_dir, old)
        os.rename(new, d.manifest_dir)
        wait(d, "p", "2")
        d.wait_gone("default", "q", "v")
        check_eq(harness.mount_at(v["path"])["id"], mount, "mount")
        write(os.path.join(old, "r.yaml"), text("r"))  # nobody's any more
        d.marker()
        check_eq([x["name"] for x in d.pods() if x["namespace"] == "default"], ["p"], "pods")
        d.wait_no_problems()


@suite.test
def the_directory_is_exchanged_by_a_symbolic_link():
    with Daemon(start=False) as d:
        real = d.manifest_dir
        for name, value in (("one", "1"), ("two", "2")):
            os.mkdir(os.path.join(d.home, name))
            write(os.path.join(d.home, name, "p.yaml"), text("p", value))
        os.rmdir(real)
        os.symlink("one", real)
        d.start()
        wait(d, "p", "1")
        os.symlink("two", real + ".tmp")
        os.rename(real + ".tmp", real)
        wait(d, "p", "2")


@suite.test
def the_directory_is_removed_and_made_anew():
    with Daemon() as d:
        d.put("p.yaml", text("p", "1"))
        v = wait(d, "p", "1")
        before = identity(v)
        shutil.rmtree(d.manifest_dir)
        p = d.wait_problem("SourceUnavailable")
        check_in("gone away", p["message"], "message")
        check_in("gone away", d.status()["sources"][0]["error"], "error of the source")
        check_eq(d.client.get("/readyz")[0], 200, "readiness")
        check_eq(d.volume("default", "p", "v")["state"], "Published", "state")
        check_eq(identity(v), before, "mount and data directory")
        os.mkdir(d.manifest_dir, 0o700)
        d.put("p.yaml", text("p", "2"))
        wait(d, "p", "2")
        d.wait_no_problems()
        check_eq(harness.mount_at(v["path"])["id"], before[0], "mount")


@suite.test
def a_directory_that_comes_back_empty_counts():
    with Daemon() as d:
        d.put("p.yaml", text("p"))
        wait(d, "p")
        shutil.rmtree(d.manifest_dir)
        d.wait_problem("SourceUnavailable")
        os.mkdir(d.manifest_dir, 0o700)
        d.wait_gone("default", "p", "v")


@suite.test
def missing_at_start_and_made_later():
    with Daemon(start=False, n_manifest_dirs=2) as d:
        shutil.rmtree(d.manifest_dirs[1])
        deep = os.path.join(d.home, "not", "yet", "there")
        d.manifest_dirs[1] = deep
        d.put("p.yaml", text("p"))
        d.start(wait_ready=False)
        d.wait_alive()
        wait(d, "p")
        check_eq(d.client.get("/readyz")[0], 503, "readiness while a directory is missing")
        sources = d.status()["sources"]
        check_eq([s["synced"] for s in sources], [True, False], "synced")
        check_in("does not exist yet", sources[1]["error"], "error")
        os.makedirs(deep)
        d.wait_ready()
        d.put("q.yaml", text("q"), manifest_dir=deep)
        wait(d, "q")
        check_eq(problems(d), [], "problems")


@suite.test
def a_relative_path_is_meant_from_where_the_daemon_was_started():
    with Daemon(start=False, n_manifest_dirs=0) as d:
        d.args = ["--manifest-dir", "relative"]
        d.wrapper = ["env", "-C", d.home]
        path = os.path.join(d.home, "relative")
        d.start(wait_ready=False)
        d.wait_alive()
        os.mkdir(path, 0o700)
        write(os.path.join(path, "p.yaml"), text("p"))
        wait(d, "p")
        check_eq([s["name"] for s in d.status()["sources"]], [path], "name of the source")
        os.rename(path, path + ".old")
        os.mkdir(path, 0o700)
        write(os.path.join(path, "q.yaml"), text("q"))
        wait(d, "q")


@suite.test
def a_file_in_the_place_of_the_directory():
    with Daemon() as d:
        d.put("p.yaml", text("p"))
        before = identity(wait(d, "p"))
        os.rename(d.manifest_dir, d.manifest_dir + ".away")
        write(d.manifest_dir, "not a directory")
        d.wait_problem("SourceUnavailable", message="ot a directory")
        check_eq(identity(d.volume("default", "p", "v")), before, "volume")
        os.unlink(d.manifest_dir)
        os.rename(d.manifest_dir + ".away", d.manifest_dir)
        d.wait_no_problems()
        check_eq(identity(wait(d, "p")), before, "volume")


# ---- links and other things in it ------------------------------------------------------------


@suite.test
def a_mounted_configmap_is_switched():
    with Daemon(start=False) as d:
        top = d.manifest_dir

        def switch(name, files):
            os.mkdir(os.path.join(top, name))
            for file, data in files.items():
                write(os.path.join(top, name, file), data)
            os.symlink(name, os.path.join(top, "..data_tmp"))
            os.rename(os.path.join(top, "..data_tmp"), os.path.join(top, "..data"))

        switch("..2026_01_01_00_00_00.1", {"p.yaml": text("p", "1"), "q.yaml": text("q", "1")})
        for file in ("p.yaml", "q.yaml"):
            os.symlink("..data/" + file, os.path.join(top, file))
        d.start()
        wait(d, "p", "1")
        mount = harness.mount_at(wait(d, "q", "1")["path"])
        switch("..2026_01_01_00_00_01.2", {"p.yaml": text("p", "2"), "r.yaml": text("r", "2")})
        os.symlink("..data/r.yaml", os.path.join(top, "r.yaml"))
        os.unlink(os.path.join(top, "q.yaml"))
        shutil.rmtree(os.path.join(top, "..2026_01_01_00_00_00.1"))
        wait(d, "p", "2")
        wait(d, "r", "2")
        d.wait_gone("default", "q", "v")
        check(mount, "no mount before the switch")
        d.wait_no_problems()


@suite.test
def a_file_that_was_out_of_reach_is_used_again_as_it_was():
    with Daemon() as d:
        def look():
            """Has everything looked at, as when ..data is switched."""
            os.symlink("nothing", path_of(d, "..%d" % len(os.listdir(d.manifest_dir))))

        sub = path_of(d, "sub")
        os.mkdir(sub, 0o700)
        write(os.path.join(sub, "real.yaml"), text("p"))
        os.symlink("sub/real.yaml", path_of(d, "p.yaml"))
        wait(d, "p", "1")
        os.rename(sub, sub + ".off")
        look()
        d.wait_problem("Unreadable", file="p.yaml")
        os.rename(sub + ".off", sub)
        look()
        d.wait_no_problems()
        d.put_objects("late.yaml", pod("late", {"v": "p"}))  # for which the values are needed again
        wait(d, "late", "1")


@suite.test
def links_out_of_the_directory_are_not_followed():
    with Daemon() as d:
        outside = os.path.join(d.home, "outside.yaml")
        write(outside, text("outside"))
        os.symlink(outside, path_of(d, "absolute.yaml"))
        os.symlink("../outside.yaml", path_of(d, "relative.yaml"))
        os.symlink("nothing.yaml", path_of(d, "dangling.yaml"))
        os.symlink("loop.yaml", path_of(d, "loop.yaml"))
        d.put("p.yaml", text("p"))
        os.symlink("p.yaml", path_of(d, "inside.yaml"))
        for name in ("absolute", "relative"):
            d.wait_problem("OutsideDirectory", file=name)
        d.wait_problem("Unreadable", file="dangling")
        d.wait_problem("Unreadable", file="loop")
        d.wait_problem("DuplicateObject", file="p.yaml")  # inside.yaml comes first
        wait(d, "p")
        check_eq([x["name"] for x in d.pods()], ["p"], "pods")
        for name in ("absolute", "relative", "dangling", "loop", "inside"):
            os.unlink(path_of(d, name + ".yaml"))
        d.wait_no_problems()


@suite.test
def fifos_directories_and_devices_are_reported():
    with Daemon() as d:
        os.mkfifo(path_of(d, "fifo.yaml"))
        os.mkdir(path_of(d, "dir.yaml"))
        os.mknod(path_of(d, "null.json"), 0o600 | 0o020000, os.makedev(1, 3))
        d.put("p.yaml", text("p"))
        wait(d, "p")
        for name in ("fifo.yaml", "dir.yaml", "null.json"):
            d.wait_problem("NotAFile", file=name)
        os.unlink(path_of(d, "fifo.yaml"))
        os.rmdir(path_of(d, "dir.yaml"))
        os.unlink(path_of(d, "null.json"))
        d.wait_no_problems()


@suite.test
def a_good_file_that_becomes_a_fifo_keeps_its_objects():
    with Daemon() as d:
        d.put("p.yaml", text("p"))
        wait(d, "p")
        with Untouched(d, "p"):
            os.mkfifo(path_of(d, ".fifo"))
            os.rename(path_of(d, ".fifo"), path_of(d, "p.yaml"))
            d.wait_problem("NotAFile", file="p.yaml")


@suite.test
def names_that_are_not_manifests_are_ignored():
    names = (".hidden.yaml", ".#p.yaml", "#p.yaml#", "p.yaml~", "p.yaml.swp", ".p.yaml.swp",
             "p.yaml.dpkg-old", "p.yaml.dpkg-new", "p.yaml.bak", "p.txt", "README", "yaml", ".yaml",
             "p.YAML.orig", "..data_tmp")
    with Daemon() as d:
        for n, name in enumerate(names):
            write(path_of(d, name), text("x%d" % n))
        for n, name in enumerate(("a.yaml", "b.yml", "c.json")):
            obj = {"apiVersion": "v1", "kind": "List",
                   "items": [secret("y%d" % n, {"k": "1"}), pod("y%d" % n, {"v": "y%d" % n})]}
            d.put(name, json.dumps(obj))
        for n in range(3):
            wait(d, "y%d" % n)
        d.marker()
        check_eq([x["name"] for x in d.pods() if x["namespace"] == "default"],
                 ["y0", "y1", "y2"], "pods")
        check_eq(problems(d), [], "problems")


# ---- sizes and queues ------------------------------------------------------------------------


@suite.test
def a_file_of_fifty_megabytes_is_refused():
    with Daemon() as d:
        d.put("p.yaml", text("p"))
        wait(d, "p")
        with Untouched(d, "p"):
            with open(path_of(d, ".big"), "wb") as f:
                f.truncate(50 << 20)
            os.rename(path_of(d, ".big"), path_of(d, "big.yaml"))
            p = d.wait_problem("TooLarge", file="big.yaml")
        check_in("52428800", p["message"], "message")
        d.delete("big.yaml")
        d.wait_no_problems()


@suite.test
def the_size_limit_is_exact():
    whole = text("p")
    with Daemon(args=["--manifest-size-limit", str(len(whole) + 100)]) as d:
        d.put("p.yaml", whole + "#" + "x" * 99)
        wait(d, "p")
        with Untouched(d, "p"):
            d.put("p.yaml", whole + "#" + "x" * 100)
            d.wait_problem("TooLarge", file="p.yaml")
        d.put("p.yaml", text("p", "2"))
        wait(d, "p", "2")
        check_eq(problems(d), [], "problems")


@suite.test
def an_overflow_of_the_event_queue_loses_nothing():
    with open("/proc/sys/fs/inotify/max_queued_events", encoding="ascii") as f:
        limit = int(f.read())
    if limit > 100000:
        raise harness.Skip("the kernel keeps %d events" % limit)
    with Daemon() as d:
        d.put("p.yaml", text("p", "1"))
        d.put("gone.yaml", text("gone"))
        wait(d, "gone")
        wait(d, "p", "1")
        d.signal(signal.SIGSTOP)
        try:
            names = (path_of(d, ".n0"), path_of(d, ".n1"))  # two, or equal events would merge
            write(names[0], "")
            for n in range(limit):
                os.rename(names[n % 2], names[1 - n % 2])
            d.put("p.yaml", text("p", "2"))
            d.put("new.yaml", text("new"))
            d.delete("gone.yaml")
        finally:
            d.signal(signal.SIGCONT)
        wait(d, "p", "2")
        wait(d, "new")
        d.wait_gone("default", "gone", "v")
        check_in("more events than the kernel keeps", d.log(), "log")


@suite.test
def a_thousand_files_are_read():
    with Daemon(start=False) as d:
        for n in range(1000):
            write(path_of(d, "s%d.yaml" % n), manifest(secret("s%d" % n, {"k": str(n)})))
        d.put_objects("pod.yaml", pod("p", {"v": {"projected": {"sources": [
            {"secret": {"name": "s%d" % n, "items": [{"key": "k", "path": str(n)}]}}
            for n in range(0, 1000, 10)]}}}))
        d.start()
        v = wait(d, "p")
        check_eq(len(harness.read_tree(v["path"])["files"]), 100, "files")
        check_eq(d.status()["sources"][0]["files"], 1001, "files of the source")


# ---- objects ---------------------------------------------------------------------------------


@suite.test
def the_first_path_wins_a_name():
    with Daemon(n_manifest_dirs=2) as d:
        first, second = d.manifest_dirs
        check(first + "/" < second + "/", "order of the directories")
        d.put("b.yaml", text("p", "b"))
        wait(d, "p", "b")
        d.put("a.yaml", manifest(secret("p", {"k": "a"})))
        wait(d, "p", "a")
        p = d.wait_problem("DuplicateObject", file="b.yaml")
        check_eq((p["kind"], p["name"], p["category"]), ("Secret", "p", "Duplicate"), "problem")
        check_in(os.path.join(first, "a.yaml"), p["message"], "message")
        d.put("0.yaml", manifest(secret("p", {"k": "0"})), manifest_dir=second)
        d.wait_problem("DuplicateObject", file=os.path.join(second, "0.yaml"))
        check_eq(content(wait(d, "p")), b"a", "content")
        check_eq([(s["pods"], s["secrets"]) for s in d.status()["sources"]], [(1, 1), (0, 0)],
                 "what counts of each directory")
        d.delete("a.yaml")
        wait(d, "p", "b")
        d.put_objects("b.yaml", pod("p", {"v": "p"}))
        wait(d, "p", "0")
        d.wait_no_problems()
        check_eq([(s["pods"], s["secrets"]) for s in d.status()["sources"]], [(1, 0), (0, 1)],
                 "what counts of each directory")


@suite.test
def two_objects_of_a_name_in_one_file():
    with Daemon() as d:
        d.put_objects("p.yaml", secret("p", {"k": "first"}), secret("p", {"k": "second"}),
                      pod("p", {"v": "p"}))
        wait(d, "p", "first")
        p = d.wait_problem("DuplicateObject", file="p.yaml")
        check_eq(p["document"], 1, "document")


@suite.test
def of_two_pods_with_a_uid_the_second_is_refused():
    with Daemon() as d:
        d.put_objects("s.yaml", secret("s", {"k": "1"}))
        d.put_objects("a.yaml", pod("a", {"v": "s"}, uid="the-uid"))
        d.put_objects("b.yaml", pod("b", {"v": "s"}, uid="the-uid"))
        wait(d, "a")
        p = d.wait_problem("InvalidPod", file="b.yaml", field="metadata.uid")
        check_eq(p["category"], "Duplicate", "category")
        d.marker()
        check_eq(d.volume("default", "b", "v"), None, "the volume of the second")
        d.delete("a.yaml")
        wait(d, "b")
        d.wait_no_problems()


@suite.test
def lists_documents_and_other_kinds():
    def of_list(kind, *items):
        return {"apiVersion": "v1", "kind": kind, "items": list(items)}

    def bare(o):
        return {k: v for k, v in o.items() if k not in ("kind", "apiVersion")}
    with Daemon() as d:
        d.put("all.yaml", "---\n---\n# only a comment\n" + manifest(
            of_list("List", secret("a", {"k": "1"}), pod("a", {"v": "a"}),
                    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}}),
            of_list("SecretList", bare(secret("b", {"k": "1"}))),
            of_list("PodList", bare(pod("b", {"v": "b"}))),
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}},
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}) + "---\n")
        wait(d, "a")
        wait(d, "b")
        source = d.status()["sources"][0]
        check_eq((source["pods"], source["secrets"], source["ignored"]), (2, 2, 3),
                 "pods, secrets and ignored")
        check_eq(problems(d), [], "problems")
        d.put("none.yaml", manifest({"metadata": {"name": "x"}}))
        p = d.wait_problem("InvalidManifest", file="none.yaml")
        check_eq((p["field"], p["category"]), ("kind", "decode"), "problem of an object of no kind")


@suite.test
def a_parse_error_keeps_the_last_good_objects():
    with Daemon() as d:
        d.put("p.yaml", text("p", "1"))
        wait(d, "p", "1")
        with Untouched(d, "p"):
            d.put("p.yaml", text("p", "2") + "\n---\n{ not yaml: [")
            p = d.wait_problem("InvalidManifest", file="p.yaml")
        check_eq(p["category"], "decode", "category")
        check(p["line"] > 0, "no line in " + json.dumps(p))
        check_eq([s["name"] for s in d.secrets() if s["namespace"] == "default"], ["p"], "Secrets")
        d.put("p.yaml", text("p", "3"))
        wait(d, "p", "3")
        d.wait_no_problems()


@suite.test
def a_deleted_file_that_did_not_parse_takes_its_objects_along():
    with Daemon() as d:
        d.put("p.yaml", text("p"))
        wait(d, "p")
        d.put("p.yaml", "{")
        d.wait_problem("InvalidManifest")
        d.delete("p.yaml")
        d.wait_gone("default", "p", "v")
        d.wait_no_problems()


@suite.test
def a_bad_object_does_not_affect_the_others():
    bad = pod("bad", {"v": {"secretName": "s", "items": [{"key": "k", "path": "/absolute"}]}})
    with Daemon() as d:
        d.put_objects("a.yaml", secret("s", {"k": "1"}), bad, pod("good", {"v": "s"}),
                      secret("BAD_NAME", {"k": "1"}), secret("t", {"..": "1", "ok": "1"}))
        d.wait_published("default", "good", "v")
        check_eq(sorted((p["kind"], p["name"], p["document"], p["field"]) for p in d.problems()),
                 [("Pod", "bad", 1, "spec.containers[0].volumeMounts[0].name"),  # R11
                  ("Pod", "bad", 1, "spec.volumes[0].secret.items[0].path"),
                  ("Secret", "BAD_NAME", 3, "metadata.name"), ("Secret", "t", 4, "data[..]")],
                 "problems")
        check_eq([x["name"] for x in d.pods()], ["good"], "pods")


@suite.test
def a_refused_object_keeps_its_last_good_version():
    with Daemon() as d:
        d.put_objects("p.yaml", secret("s", {"k": "1"}), pod("p", {"v": "s"}))
        wait(d, "p", "1")
        with Untouched(d, "p"):
            d.put_objects("p.yaml", secret("s", {"..": "x"}), pod("p", {"v": "s"}),
                          secret("new", {"k": "1"}))
            d.wait_problem("InvalidSecret", field="data[..]")
        check_eq(sorted(s["name"] for s in d.secrets() if s["namespace"] == "default"),
                 ["new", "s"], "Secrets")
        d.put_objects("p.yaml", secret("s", {"k": "2"}), pod("p", {"v": "s"}))
        wait(d, "p", "2")
        d.wait_no_problems()


@suite.test
def a_refused_secret_without_a_good_version_is_not_found():
    with Daemon() as d:
        d.put_objects("p.yaml", secret("s", {"..": "x"}), pod("p", {"v": "s"}))
        v = d.wait_volume("default", "p", "v", in_state("Refused"))
        check_eq(v["reason"], "SecretNotFound", "reason")
        check_in('secret "s" not found: it exists and is invalid', v["message"], "message")


@suite.test
def a_terminated_pod_loses_its_volumes():
    with Daemon() as d:
        d.put_objects("s.yaml", secret("s", {"k": "1"}))
        d.put_objects("p.yaml", pod("p", {"v": "s"}))
        v = wait(d, "p")
        d.put_objects("p.yaml", dict(pod("p", {"v": "s"}), status={"phase": "Succeeded"}))
        d.wait_gone("default", "p", "v")
        check(not os.path.lexists(v["path"]), "the volume is left")
        d.put_objects("p.yaml", pod("p", {"v": "s"}))
        wait(d, "p")


@suite.test
def sighup_reads_everything_again():
    with Daemon() as d:
        d.put("p.yaml", text("p", "1"))
        v = wait(d, "p", "1")
        with Untouched(d, "p"):
            d.signal(signal.SIGHUP)
            poll_until(lambda: "read again" in d.log(), "the reload's log line")
        check_eq(d.volume("default", "p", "v")["generation"], v["generation"], "generation")


@suite.test
def sighup_reads_a_file_that_changed_without_an_event():
    with Daemon() as d:
        d.put("p.yaml", text("p", "1"))
        v = wait(d, "p", "1")
        with open(path_of(d, "p.yaml"), "r+b") as f:
            mapping = mmap.mmap(f.fileno(), 0)  # writing there is no event
        d.marker()
        at = mapping.find(b'"k": "1"') + len('"k": "')
        mapping[at:at + 1] = b"7"
        d.marker()
        check_eq(content(v), b"1", "content before the signal: an event was seen")
        d.signal(signal.SIGHUP)
        d.wait_volume("default", "p", "v", newer_than(v["generation"]))
        check_eq(content(v), b"7", "content")
        mapping.close()


@suite.test
def a_start_without_inotify_says_what_to_do_and_leaves_no_socket():
    none_left = ["unshare", "--user", "--map-root-user", "--mount", "--", "sh", "-c",
                 'echo 0 >/proc/sys/user/max_inotify_instances && exec "$@"', "sh"]
    with Daemon(wrapper=none_left, start=False) as d:
        d.start(wait_ready=False)
        check_eq(d.wait_exit(), 1, "exit status")
        check_in("raise sysctl fs.inotify.max_user_instances: Too many open files", d.log(),
                 "message")
        check(not os.path.lexists(d.socket_path), "the socket is left behind")


if __name__ == "__main__":
    sys.exit(suite.main())
