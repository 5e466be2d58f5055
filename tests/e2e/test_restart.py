#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Stops, crashes and starts: mounts outlive the daemon, and what it left half-done does not."""

import os
import random
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness  # noqa: E402
from harness import (Daemon, Inotify, check, check_eq, check_in, in_state,  # noqa: E402
                     newer_than, pod, poll_until, secret)

suite = harness.Suite("restart")

KILLS = 100


def put(d, name, value, source="s", **fields):
    """One file with Secret and Pod, each called NAME; volume v."""
    d.put_objects(name + ".yaml", secret(name, {"k": value}), pod(name, {"v": name}, **fields))


def wait(d, name):
    return d.wait_published("default", name, "v")


def content(volume):
    return harness.read_file(os.path.join(volume["path"], "k"))


def inode(path):
    st = os.stat(path)
    return st.st_dev, st.st_ino


def identity(volume):
    """What must not change as long as the content does not."""
    path = volume["path"]
    return (harness.mount_at(path), os.readlink(os.path.join(path, "..data")),
            inode(os.path.join(path, "k")), volume["generation"], volume["updatedAt"],
            volume["publishedAt"])


def below(path):
    """Everything below a directory, mounts not entered."""
    found = []
    for base, dirs, files in os.walk(path):
        found += [os.path.relpath(os.path.join(base, n), path) for n in dirs + files]
        dirs[:] = [x for x in dirs if not os.path.ismount(os.path.join(base, x))]
    return sorted(found)


def wanted_below(root, volumes):
    """What below() finds where just these volumes are published."""
    found = {"secretvold.sock", "pods", "by-name"}
    for v in volumes:
        parts = os.path.relpath(v["path"], root).split("/")
        found |= {"/".join(parts[:i]) for i in range(1, len(parts) + 1)}
        parts = ["by-name", v["namespace"], v["pod"], v["volume"]]
        found |= {"/".join(parts[:i]) for i in range(1, len(parts) + 1)}
    return sorted(found)


def check_tidy(d):
    """The root holds the volumes that are listed, whole, and nothing else."""
    volumes = d.volumes()
    check_eq({v["state"] for v in volumes} - {"Published"}, set(), "states")
    tree = below(d.root)
    want = wanted_below(d.root, volumes)
    check_eq([x for x in tree if x not in want], [], "what is left over")
    check_eq([x for x in want if x not in tree and x not in ("pods", "by-name")], [],
             "what is missing")
    check_eq(sorted(m["path"] for m in harness.mounts_below(d.root)),
             sorted(v["path"] for v in volumes), "mounts")
    for v in volumes:
        link = os.path.join(d.root, "by-name", v["namespace"], v["pod"], v["volume"])
        check_eq(os.path.realpath(link), v["path"], "by-name link")


# ---- stop and start --------------------------------------------------------------------------


@suite.test
def stopping_leaves_the_mounts():
    with Daemon() as d:
        put(d, "p", "1")
        v = wait(d, "p")
        mount = harness.mount_at(v["path"])
        for signum in (signal.SIGTERM, signal.SIGINT):
            d.signal(signum)
            check_eq(d.wait_exit(), 0, "exit status after " + signum.name)
            check_eq(harness.mount_at(v["path"]), mount, "mount")
            check_eq(content(v), b"1", "content")
            check(not os.path.lexists(d.socket_path), "the socket is left behind")
            d.start()


@suite.test
def unchanged_volumes_are_adopted_as_they_are():
    with Daemon() as d:
        for name in ("p", "q", "r"):
            put(d, name, "1", securityContext={"fsGroup": 7} if name == "q" else {})
            wait(d, name)
        put(d, "p", "2")
        d.wait_volume("default", "p", "v", newer_than(1))
        before = {n: identity(wait(d, n)) for n in ("p", "q", "r")}
        poll_until(lambda: len(os.listdir(wait(d, "p")["path"])) == 3, "the old generation's end")
        with Inotify(wait(d, "p")["path"], Inotify.CREATE | Inotify.MOVED_TO | Inotify.DELETE) as w:
            for end in (d.stop, d.kill):
                end()
                d.start()
                check_eq({n: identity(wait(d, n)) for n in before}, before, "volumes")
            check_eq(w.read(), [], "events in a volume")
        check_eq([e["reason"] for e in d.events()], [], "events of the new daemon")
        check_tidy(d)


@suite.test
def what_changed_meanwhile_is_updated():
    with Daemon() as d:
        put(d, "p", "1")
        put(d, "q", "1")
        v, q = wait(d, "p"), identity(wait(d, "q"))
        mount = harness.mount_at(v["path"])
        d.stop()
        put(d, "p", "2")
        put(d, "new", "3")
        d.start()
        after = wait(d, "p")
        check_eq(content(after), b"2", "content")
        check_eq(after["generation"], v["generation"] + 1, "generation")
        check_eq(harness.mount_at(v["path"]), mount, "mount")
        check_eq(identity(wait(d, "q")), q, "the volume that did not change")
        check_eq(content(wait(d, "new")), b"3", "content of the new volume")


@suite.test
def the_generation_number_goes_on():
    with Daemon() as d:
        put(d, "p", "0")
        v = wait(d, "p")
        for n in range(1, 6):
            put(d, "p", str(n))
            v = d.wait_volume("default", "p", "v", newer_than(v["generation"]))
        check_eq(v["generation"], 6, "generation")
        d.kill()
        d.start()
        check_eq(wait(d, "p")["generation"], 6, "generation after a crash")
        put(d, "p", "again")
        check_eq(d.wait_volume("default", "p", "v", newer_than(6))["generation"], 7, "the next")


@suite.test
def what_is_stale_at_the_start_tells_what_it_holds():
    with Daemon(args=["--generation-grace=1h"]) as d:
        d.put_objects("s.yaml", secret("s", {"k": "1"}))
        d.put_objects("p.yaml", pod("p", {"v": "s"}))
        wait(d, "p")
        d.put_objects("s.yaml", secret("s", {"k": "2"}))
        before = d.wait_volume("default", "p", "v", newer_than(1))
        os.unlink(os.path.join(d.manifest_dir, "s.yaml"))
        d.wait_volume("default", "p", "v", in_state("Stale"))
        d.stop()
        d.args = []  # an old generation that nobody could remove goes too
        d.start()
        after = d.wait_volume("default", "p", "v", in_state("Stale"))
        for field in ("generation", "publishedAt", "updatedAt", "path"):
            check_eq(after[field], before[field], field)
        check_eq(content(after), b"2", "content")
        poll_until(lambda: len([n for n in os.listdir(after["path"]) if n.startswith("..2")]) == 1,
                   "the old generation's end")


@suite.test
def pods_that_went_meanwhile_are_removed_and_emptied_first():
    with Daemon() as d:
        put(d, "gone", "planted-secret-of-a-gone-pod")
        put(d, "stays", "1")
        v = wait(d, "gone")
        stays = identity(wait(d, "stays"))
        held = harness.make_dir("held.")
        harness.bind_mount(v["path"], held)
        file = os.open(os.path.join(held, "k"), os.O_RDONLY)
        try:
            d.stop()
            d.delete("gone.yaml")
            d.start()
            d.wait_gone("default", "gone", "v")
            check_eq(os.listdir(held), [], "what a container that still has the volume sees")
            check_eq(os.pread(file, 100, 0).strip(b"\0"), b"", "what an open file still shows")
        finally:
            os.close(file)
            harness.umount(held)
        check_eq(identity(wait(d, "stays")), stays, "the other volume")
        check_tidy(d)


@suite.test
def removal_while_running_empties_first():
    with Daemon() as d:
        put(d, "p", "planted-secret-of-a-removed-pod")
        v = wait(d, "p")
        held = harness.make_dir("held.")
        harness.bind_mount(v["path"], held)
        file = os.open(os.path.join(held, "k"), os.O_RDONLY)
        try:
            d.delete("p.yaml")
            d.wait_gone("default", "p", "v")
            check_eq(os.listdir(held), [], "what is left in the volume")
            check_eq(os.pread(file, 100, 0).strip(b"\0"), b"", "what an open file still shows")
        finally:
            os.close(file)
            harness.umount(held)
        check_tidy(d)


@suite.test
def volumes_come_and_go_within_a_pod():
    with Daemon() as d:
        s = secret("s", {"k": "1"})
        d.put_objects("p.yaml", s, pod("p", {"v": "s", "w": "s"}))
        v, w = wait(d, "p"), d.wait_published("default", "p", "w")
        before = identity(v)
        d.stop()
        d.put_objects("p.yaml", s, pod("p", {"v": "s", "x": "s"}))
        d.start()
        d.wait_gone("default", "p", "w")
        check(not os.path.lexists(w["path"]), "the volume that went is left")
        d.wait_published("default", "p", "x")
        check_eq(identity(wait(d, "p")), before, "the volume that stayed")
        check_tidy(d)


# ---- leftovers -------------------------------------------------------------------------------


@suite.test
def half_made_leftovers_are_cleaned():
    with Daemon() as d:
        put(d, "p", "1")
        v = wait(d, "p")
        d.kill()
        pods, names = os.path.join(d.root, "pods"), os.path.join(d.root, "by-name")
        os.makedirs(os.path.join(pods, "some-uid/volumes/kubernetes.io~secret/half"))
        os.makedirs(os.path.join(pods, "other-uid/volumes"))
        os.makedirs(os.path.join(names, "default/nobody"))
        os.symlink("../../../pods/some-uid/volumes/kubernetes.io~secret/half",
                   os.path.join(names, "default/nobody/half"))
        os.symlink("../../../pods/none", os.path.join(names, "default/p/dangling"))
        with harness.writable(v["path"]) as volume:
            stray = os.path.join(volume, "..2026_01_02_03_04_05.7000001")
            os.makedirs(os.path.join(stray, "sub"))
            with open(os.path.join(stray, "sub", "k"), "w", encoding="ascii") as f:
                f.write("planted-stray")
            os.symlink("..2026_01_02_03_04_05.7000001", os.path.join(volume, "..data_tmp"))
        d.start()
        v = wait(d, "p")
        poll_until(lambda: len(os.listdir(v["path"])) == 3, "removal of stray generations")
        tree = harness.read_tree(v["path"])
        check_eq((tree["others"], tree["links"]), ([], {"k": "..data/k"}), "the volume")
        check_eq(content(v), b"1", "content")
        check_tidy(d)


@suite.test
def a_damaged_volume_is_repaired():
    def spoil_content(volume, data):
        with open(os.path.join(data, "k"), "w", encoding="ascii") as f:
            f.write("spoilt")

    def spoil_mode(volume, data):
        os.chmod(os.path.join(data, "k"), 0o666)

    def lose_link(volume, data):
        os.unlink(os.path.join(volume, "k"))

    def lose_data(volume, data):
        os.unlink(os.path.join(volume, "..data"))

    def add_file(volume, data):
        os.mknod(os.path.join(data, "foreign"))

    for damage in (spoil_content, spoil_mode, lose_link, lose_data, add_file):
        with Daemon() as d:
            put(d, "p", "1")
            v = wait(d, "p")
            want = harness.read_tree(v["path"])
            d.kill()
            with harness.writable(v["path"]) as volume:
                damage(volume, os.path.join(volume, os.readlink(os.path.join(volume, "..data"))))
            d.start()
            v = wait(d, "p")
            poll_until(lambda: len(os.listdir(v["path"])) == 3, "one generation", 10)
            got = harness.read_tree(v["path"])
            for tree in (want, got):
                del tree["data"]
                del tree["files"]["k"]["ino"]
            check_eq(got, want, "the volume after " + damage.__name__)


@suite.test
def a_volume_that_was_unmounted_is_made_anew():
    with Daemon() as d:
        put(d, "p", "1")
        v = wait(d, "p")
        d.stop()
        check(harness.umount(v["path"]), "umount failed")
        d.start()
        check_eq(content(wait(d, "p")), b"1", "content")
        check(harness.umount(v["path"]), "umount failed")
        put(d, "p", "2")  # while it runs, the next update finds out
        poll_until(lambda: os.path.lexists(os.path.join(v["path"], "k")), "the volume's return")
        check_eq(content(wait(d, "p")), b"2", "content")
        check_tidy(d)


@suite.test
def a_pod_of_another_uid_takes_the_name_over():
    with Daemon() as d:
        put(d, "p", "1")
        old = wait(d, "p")
        d.stop()
        d.put_objects("p.yaml", secret("p", {"k": "2"}), pod("p", {"v": "p"}, uid="another-uid"))
        d.start()
        poll_until(lambda: not os.path.lexists(old["path"]), "removal of the old volume")
        new = d.wait_volume("default", "p", "v",
                            lambda v: v and v["podUid"] == "another-uid"
                            and v["state"] == "Published")
        check_eq(content(new), b"2", "content")
        d.wait_status(lambda s: s["counts"]["volumes"] == 1, "one volume")
        check_tidy(d)


# ---- crashes ---------------------------------------------------------------------------------


class Churn(threading.Thread):
    """Updates, adds and removes Pods c0…c7 as fast as it can; knows what may be on disk."""

    PODS = 8

    def __init__(self, d):
        super().__init__(daemon=True)
        self.d, self.rng, self.n = d, random.Random(7), 0
        self.done, self.error = threading.Event(), None
        self.running = threading.Event()
        self.idle = threading.Event()
        self.latest = {}  # pod -> number, absent: removed

    def step(self):
        self.n += 1
        name = "c%d" % self.rng.randrange(self.PODS)
        if name in self.latest and self.rng.random() < 0.3:
            del self.latest[name]
            self.d.delete(name + ".yaml")
        else:
            self.latest[name] = self.n
            files = {"k%d" % i: "%d %s" % (self.n, "x" * (self.n % 3000)) for i in range(6)}
            self.d.put_objects(name + ".yaml", secret(name, files), pod(name, {"v": name}))

    def run(self):
        try:
            while not self.done.is_set():
                if self.running.wait(0.1):
                    self.step()
                else:
                    self.idle.set()
        except Exception as e:  # pylint: disable=broad-except; told by close()
            self.error = e

    def pause(self):
        self.idle.clear()
        self.running.clear()
        self.idle.wait(10)

    def close(self):
        self.done.set()
        self.running.set()
        self.join()
        if self.error:
            raise self.error


def check_whole(path):
    """A mount in the root is a volume of one generation, at every moment."""
    data = os.path.join(path, "..data")
    if not os.path.lexists(data):  # being removed: emptied before it is unmounted
        return
    names = sorted(os.listdir(data))
    check_eq(names, ["k%d" % i for i in range(6)], "files in " + path)
    check_eq(len({harness.read_file(os.path.join(data, n)) for n in names}), 1,
             "different contents in " + path)


def check_settled(d, latest):
    """The daemon has read the manifests: exactly these volumes, with the newest contents."""
    d.wait_status(lambda s: s["ready"] and s["counts"]["volumes"] == len(latest)
                  and s["counts"]["states"]["Published"] == len(latest), "settled volumes")
    for name, n in latest.items():
        path = os.path.join(d.root, "by-name/default", name, "v")
        poll_until(lambda: harness.read_file(os.path.join(path, "k0")).split()[0] ==
                   b"%d" % n, "content %d of %s" % (n, name))
        check_whole(path)


@suite.test
def kills_at_random_moments_leave_nothing_half_made():
    rng = random.Random(42)
    with Daemon(args=["--generation-grace", "20ms"]) as d:
        churn = Churn(d)
        churn.start()
        try:
            for n in range(KILLS):
                churn.running.set()
                time.sleep(rng.random() * 0.05)  # the moment of the crash, nothing awaited
                d.kill()
                for m in harness.mounts_below(d.root):
                    check_whole(m["path"])
                churn.pause()
                d.start(wait_ready=n % 2 == 0)  # every second one may be killed while it starts
                if n % 10 == 9:
                    d.wait_ready()
                    check_settled(d, churn.latest)
            d.wait_ready()
            check_settled(d, churn.latest)
            for v in d.volumes():
                poll_until(lambda v=v: len(os.listdir(v["path"])) == 8, "one generation")
            check_tidy(d)
        finally:
            churn.close()
        check(churn.n > KILLS, "only %d changes were made" % churn.n)


# ---- two daemons, no manifests ---------------------------------------------------------------


@suite.test
def a_second_daemon_on_the_same_root_refuses():
    with Daemon() as d:
        put(d, "p", "1")
        before = identity(wait(d, "p"))
        with Daemon(root=d.root, start=False) as second:
            second.root = second.home  # not ours to clean
            r = second.run_once("--root-dir", d.root)
            check_eq(r.returncode, 1, "exit status")
            check_in("another secretvold uses root directory", r.stderr, "message")
            second.args = ["--root-dir", d.root]
            second.start(wait_ready=False)
            check_eq(second.wait_exit(), 1, "exit status without --once")
            check_in("another secretvold uses root directory", second.log(), "message")
        check_eq(d.client.get("/healthz")[0], 200, "health of the first")
        check_eq(identity(wait(d, "p")), before, "volume")


@suite.test
def nothing_is_removed_before_the_manifests_have_been_read():
    with Daemon() as d:
        put(d, "p", "1")
        put(d, "q", "1")
        p, q = wait(d, "p"), wait(d, "q")
        before = identity(p)
        d.stop()
        away = d.manifest_dir + ".away"
        os.rename(d.manifest_dir, away)
        os.unlink(os.path.join(away, "q.yaml"))
        d.start(wait_ready=False)
        d.wait_alive()
        d.wait_problem("SourceUnavailable", message="does not exist yet")
        check_eq(d.client.get("/readyz")[0], 503, "readiness without manifests")
        check_eq({(v["pod"], v["state"]) for v in d.volumes()},
                 {("p", "Pending"), ("q", "Pending")}, "volumes")
        check_eq({(x["name"], x["state"]) for x in d.pods()},
                 {("p", "NotReady"), ("q", "NotReady")}, "Pods of which nobody has said anything")
        for v in (p, q):
            check_eq(content(v), b"1", "content without manifests")
        os.rename(away, d.manifest_dir)
        d.wait_ready()
        d.wait_gone("default", "q", "v")
        check(not os.path.lexists(q["path"]), "the volume of a Pod that is gone is left")
        check_eq(identity(wait(d, "p")), before, "the volume that stays")
        check_tidy(d)


@suite.test
def closed_standard_descriptors_do_no_harm():
    with Daemon(start=False) as d:
        put(d, "p", "1")
        r = subprocess.run(["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"] + d.command("--once"),
                           env=d.environment(), timeout=harness.DEADLINE_S, check=False)
        check_eq(r.returncode, 0, "exit status")
        d.start()
        check_eq(content(wait(d, "p")), b"1", "content")
        r = subprocess.run(["/bin/sh", "-c", 'exec "$@" <&- >&-', "sh",
                            os.path.join(harness.options.build, "secretvolctl"), "--socket",
                            d.socket_path, "get", "volumes", "-w"], stderr=subprocess.PIPE,
                           text=True, timeout=harness.DEADLINE_S, check=False)
        check_eq(r.returncode, 1, "exit status of secretvolctl")
        check_in("cannot write to standard output", r.stderr, "complaint")


@suite.test
def what_no_container_mounts_any_more_goes_when_the_manifests_have_been_read():
    with Daemon(n_manifest_dirs=2) as d:
        put(d, "p", "1")
        v = wait(d, "p")
        d.stop()
        put(d, "p", "1", mount=False)
        second = d.manifest_dirs[1]
        os.rmdir(second)
        d.start(wait_ready=False)
        d.wait_alive()
        d.wait_volume("default", "p", "v", in_state("Pending"))
        check_eq(content(v), b"1", "content while a directory is missing")
        os.mkdir(second, 0o700)
        d.wait_ready()
        d.wait_volume("default", "p", "v", in_state("Unused"))
        check(not os.path.lexists(v["path"]), "the volume is left")


@suite.test
def an_unusable_root_is_refused():
    with Daemon(start=False) as d:
        os.chmod(d.root, 0o777)
        r = d.run_once()
        check_eq(r.returncode, 1, "exit status with a root others may write to")
        check_in("must be owned by root and not writable by others", r.stderr, "message")
        os.chmod(d.root, 0o755)
        os.chown(d.root, 1000, 0)
        check_eq(d.run_once().returncode, 1, "exit status with another owner")
        os.chown(d.root, 0, 0)
        os.rmdir(d.root)
        check_eq(d.run_once().returncode, 0, "exit status with a root that has to be made")
        os.rmdir(d.root)
        with open(d.root, "w", encoding="ascii"):
            pass
        check_eq(d.run_once().returncode, 1, "exit status with a file for a root")
        os.unlink(d.root)


if __name__ == "__main__":
    sys.exit(suite.main())
