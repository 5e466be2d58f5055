#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Crashes at every point: SIGKILL before or after each system call that changes something.

A publication, an update and a removal are each done again and again, and the daemon is killed one
call later every time (tests/support/killer.py), until one of them ends unharmed. What a reader sees
of the dead daemon's volumes is the old or the new generation; the next daemon finishes the work,
or takes it back when the manifests were put back meanwhile, and nothing half-made is left.
`--long SECONDS` adds crashes at random calls for that time; the seed is printed.
"""

import json
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness  # noqa: E402
from harness import Daemon, check, check_eq, pod, poll_until, secret  # noqa: E402
from test_restart import Churn, check_settled, check_tidy, check_whole, identity  # noqa: E402

suite = harness.Suite("torture", jobs=3)
suite.parser.add_argument("--long", type=float, default=3, metavar="SECONDS",
                          help="how long to kill at random calls")
suite.parser.add_argument("--seed", type=int, default=None, help="of the random calls")

KILLER = os.path.join(harness.REPO, "tests", "support", "killer.py")
STARTING_STRIDE = 4  # of the calls of a daemon that starts, every fourth is enough
MANY = 2000          # no operation has as many calls
GRACE = ["--generation-grace", "10ms"]

OLD, NEW = "old", "new"
CONTENT = {OLD: {"dir/a": (b"1", "0644"), "b": (b"old-" * 3000, "0400"), "gone": (b"x", "0644")},
           NEW: {"dir/a": (b"2", "0640"), "b": (b"new-" * 2000, "0644"), "more/c": (b"", "0644")}}


def victim(generation):
    """Secret and Pod: paths that stay, go and come, in the root and below; fsGroup adds calls."""
    content = CONTENT[generation]
    items = [{"key": path.replace("/", "."), "path": path, "mode": int(mode, 8)}
             for path, (_, mode) in content.items()]
    return (secret("victim", {p.replace("/", "."): value for p, (value, _) in content.items()}),
            pod("victim", {"v": {"secretName": "victim", "items": items}},
                securityContext={"fsGroup": 7}))


# ---- killing ---------------------------------------------------------------------------------


class Killer:
    """Watches a running daemon, and kills it at a call."""

    def __init__(self, d, at, when):
        self.process = subprocess.Popen(
            [sys.executable, KILLER, "--pid", str(d.process.pid), "--at", str(at), "--when", when],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "attached\n":
            message = self.process.communicate()[1].strip()
            raise harness.Skip("the daemon cannot be traced here: " + message)

    def has_struck(self):
        return self.process.poll() is not None

    def end(self):
        """What it has seen: {"calls", "killed", "log"}"""
        self.process.terminate()
        return json.loads(self.process.communicate()[0])


def strike_at(state):
    """The same state of the disk can be had twice: after call N, and before call N + 1."""
    return (state, "after") if state % 2 else (state + 1, "before")


# ---- what may be seen ------------------------------------------------------------------------


def describe(path):
    """The victim's volume, less what differs from one time to the next; None: it is not there."""
    if not harness.mount_at(path):
        check(not os.path.lexists(os.path.join(path, "..data")), "a volume that is no mount")
        return None
    tree = harness.read_tree(path)
    del tree["data"]
    for f in tree["files"].values():
        del f["ino"]
    return tree


def settled(path, want):
    """Is the volume just as it should be, with no older generation in it?"""
    try:
        if want is None:
            return not os.path.lexists(path)
        return describe(path) == want
    except (OSError, AssertionError):  # it changes while it is looked at
        return False


def generation_of(tree, trees):
    """Which generation is what ..data leads to: OLD, NEW, or None for neither as a whole."""
    parts = ("data_dir", "files", "dirs")
    for name in (OLD, NEW):
        if all(tree[p] == trees[name][p] for p in parts):
            return name
    return None


def check_published(path, trees):
    """Killed while publishing: complete in one step, or not there."""
    check(describe(path) in (None, trees[OLD]), "a volume is visible and not complete")


def check_updated(path, trees):
    """Killed while updating: one generation whole, also by way of the links."""
    tree = describe(path)
    check(tree is not None, "the volume is gone")
    name = generation_of(tree, trees)
    check(name is not None, "..data leads to neither generation as a whole")
    check_eq(tree["dir"], trees[OLD]["dir"], "the root")
    for link, target in tree["links"].items():
        check(target == "..data/" + link, "link %s leads to %s" % (link, target))
    for p in set(CONTENT[OLD]) & set(CONTENT[NEW]):
        check_eq(harness.read_file(os.path.join(path, p)), CONTENT[name][p][0], p)


def check_removed(path, trees):
    """Killed while removing: whole, or on its way out with no content but the old one or zeros."""
    tree = describe(path)
    if tree is None or tree == trees[OLD]:
        return
    for base, _, files in os.walk(path):
        for name in files:
            f = os.path.join(base, name)
            if os.path.islink(f):
                continue
            rel = os.path.relpath(f, path).partition("/")[2]
            data = harness.read_file(f)
            check(rel in CONTENT[OLD], "a file %s" % rel)
            check(not data.strip(b"\0") or data == CONTENT[OLD][rel][0], "content of " + rel)


# ---- the scene -------------------------------------------------------------------------------


class Scene:
    """A daemon with volumes that must never change, and the one that is worked on."""

    STAY = ("a-stays", "z-stays")

    def __init__(self, d):
        self.d = d
        for name in self.STAY:
            d.put_objects(name + ".yaml", secret(name, {"k": name}), pod(name, {"v": name}))
        self.stay = {n: identity(d.wait_published("default", n, "v")) for n in self.STAY}
        self.trees = {None: None}
        for generation in (OLD, NEW):
            self.put(generation)
            # not until it is seen is it known what is to be seen: the contents say when
            poll_until(lambda g=generation: self.has_content(g), "the %s generation" % generation)
            self.trees[generation] = describe(self.path)
            check_eq(self.modes(), {p: m for p, (_, m) in self.expected_modes(generation)}, "modes")

    @property
    def path(self):
        return os.path.join(self.d.root, "pods", self.uid, "volumes/kubernetes.io~secret/v")

    def has_content(self, generation):
        v = self.d.volume("default", "victim", "v")
        if not v or v["state"] != "Published":
            return False
        self.uid = v["podUid"]
        files = harness.read_tree(v["path"])["files"]
        return ({p: f["content"] for p, f in files.items()}
                == {p: value for p, (value, _) in CONTENT[generation].items()}
                and sum(n.startswith("..2") for n in os.listdir(v["path"])) == 1)

    def modes(self):
        return {p: f["mode"] for p, f in harness.read_tree(self.path)["files"].items()}

    @staticmethod
    def expected_modes(generation):
        """With fsGroup the group may always read (R44)."""
        return [(p, (None, "%04o" % (int(mode, 8) | 0o440)))
                for p, (_, mode) in CONTENT[generation].items()]

    def put(self, generation):
        if generation is None:
            self.d.delete("victim.yaml")
        else:
            self.d.put_objects("victim.yaml", *victim(generation))

    def settle(self, generation):
        poll_until(lambda: settled(self.path, self.trees[generation]),
                   "the volume with %s generation" % (generation or "no"))

    def check(self, generation, more=()):
        """A daemon that has recovered: nothing else is there, and nothing else was touched."""
        d = self.d
        self.settle(generation)
        self.wait_settled(generation, more)
        check_tidy(d)
        check_eq({n: identity(d.wait_published("default", n, "v")) for n in self.STAY}, self.stay,
                 "the other volumes")
        check_eq(d.problems(), [], "problems")

    def reset(self, generation, more=()):
        self.put(generation)
        self.settle(generation)
        self.wait_settled(generation, more)

    def wait_settled(self, generation, more=()):
        """The daemon has these volumes, all published: the pods of the scene and @more."""
        want = sorted(self.STAY + tuple(more) + (("victim",) if generation else ()))
        poll_until(lambda: sorted(v["pod"] for v in self.d.volumes()
                                  if v["state"] == "Published") == want
                   and len(self.d.volumes()) == len(want), "just the volumes of %s" % want)


def strike(scene, after, state):
    """Makes the change with a crash in it; what the killer has seen."""
    d = scene.d
    at, when = strike_at(state)
    killer = Killer(d, at, when)
    try:
        scene.put(after)
        poll_until(lambda: killer.has_struck() or settled(scene.path, scene.trees[after]),
                   "the change or its end")
        if not killer.has_struck():  # on disk it is done; what follows is for the daemon itself
            poll_until(lambda: killer.has_struck() or links_agree(scene, after), "the link")
    finally:
        seen = killer.end()
    if seen["killed"]:
        d.process.wait()
    return seen


def links_agree(scene, generation):
    """The by-name link is made last, and goes first."""
    link = os.path.join(scene.d.root, "by-name/default/victim/v")
    return os.path.lexists(link) == bool(generation)


def everywhere(before, after, check_seen, need):
    """Crashes at each state between two generations, and on to both ends from there."""
    with Daemon(args=GRACE) as d:
        scene = Scene(d)
        scene.reset(before)
        log, n_kills = [], 0
        for state in range(MANY):
            for goal in (before, after):
                seen = strike(scene, after, state)
                log = max(log, seen["log"], key=len)
                if not seen["killed"]:
                    break
                n_kills += 1
                what = "killed %s (call %d)" % (seen["killed"], strike_at(state)[0])
                try:
                    check_seen(scene.path, scene.trees)
                    for n in Scene.STAY:
                        check_eq(harness.read_file("%s/by-name/default/%s/v/k" % (d.root, n)),
                                 n.encode(), "the volume of " + n)
                    if goal == before:  # as if the change had never been made
                        scene.put(before)
                    d.start()
                    scene.check(goal)
                except AssertionError as e:
                    raise AssertionError("%s, then back to %s: %s" % (what, goal, e)
                                         if goal == before else "%s: %s" % (what, e)) from e
                if goal == after:
                    scene.reset(before)
            if not seen["killed"]:
                break
        check(not seen["killed"], "it never ended")
        check_eq(sorted(need - set(log)), [], "calls that were never seen")
        if harness.options.verbose:
            print("    %d crashes in %d calls: %s" % (n_kills, len(log), " ".join(log)))


WRITING = {"mkdirat", "openat", "write", "fchown", "fchmod", "symlinkat", "renameat"}


@suite.test
def a_crash_while_publishing():
    everywhere(None, OLD, check_published,
               WRITING | {"fsopen", "fsconfig", "fsmount", "mount_setattr", "move_mount"})


@suite.test
def a_crash_while_updating():
    everywhere(OLD, NEW, check_updated, WRITING | {"open_tree", "mount_setattr", "unlinkat"})


@suite.test
def a_crash_while_removing():
    everywhere(OLD, None, check_removed,
               {"open_tree", "mount_setattr", "write", "unlinkat", "umount2"})


# ---- the start after a crash -----------------------------------------------------------------


def start_with_killer(d, *killer_args):
    """The killer runs the daemon, from its first call on; returns the path of its report."""
    report = os.path.join(d.home, "killer.json")
    if os.path.exists(report):
        os.unlink(report)
    d.wrapper = [sys.executable, KILLER, "--report", report] + list(killer_args) + ["--"]
    try:
        d.start(wait_ready=False)
    finally:
        d.wrapper = []
    return report


def leave_half_made(d, volume_path):
    """What a crash may leave, and more, in one volume and around it."""
    pods, names = os.path.join(d.root, "pods"), os.path.join(d.root, "by-name/default")
    os.makedirs(os.path.join(pods, "some-uid/volumes/kubernetes.io~secret/half"), exist_ok=True)
    os.makedirs(os.path.join(names, "nobody"), exist_ok=True)
    whole = os.readlink(os.path.join(names, "a-stays/v"))
    for link, target in (("nobody/half", "../../../pods/some-uid/volumes/kubernetes.io~secret/half"),
                         ("a-stays/dangling", "../../../pods/none"), ("a-stays/.tmp99", whole)):
        if not os.path.lexists(os.path.join(names, link)):
            os.symlink(target, os.path.join(names, link))
    with harness.writable(volume_path) as v:
        stray = os.path.join(v, "..2026_01_02_03_04_05.7000001")
        os.makedirs(os.path.join(stray, "sub"))
        with open(os.path.join(stray, "sub", "k"), "w", encoding="ascii") as f:
            f.write("stray")
        os.symlink(os.path.basename(stray), os.path.join(v, "..data_tmp"))
        os.symlink("..data/stale", os.path.join(v, "stale"))


def put_other(d, name):
    d.put_objects(name + ".yaml", secret(name, {"k": "1"}), pod(name, {"v": name}))


@suite.test
def a_crash_while_starting_after_a_crash():
    with Daemon(args=GRACE) as d:
        scene = Scene(d)
        n_kills = 0
        for state in range(0, MANY, STARTING_STRIDE):
            put_other(d, "goes")
            scene.reset(OLD, more=["goes"])
            d.kill()
            leave_half_made(d, scene.path)
            scene.put(NEW)
            d.delete("goes.yaml")
            put_other(d, "comes")
            at, when = strike_at(state + n_kills % STARTING_STRIDE)
            report = start_with_killer(d, "--at", str(at), "--when", when)
            poll_until(lambda: not d.is_running() or is_settled(d, scene), "the start or a crash")
            if d.is_running():
                d.process.terminate()
            d.process.wait()
            with open(report, encoding="ascii") as f:
                seen = json.loads(f.read().splitlines()[1])
            try:
                check_updated_with_leftovers(scene)
                d.start()
                scene.check(NEW, more=["comes"])
            except AssertionError as e:
                raise AssertionError("killed %s (call %d of a start): %s"
                                     % (seen["killed"], at, e)) from e
            if not seen["killed"]:
                break
            n_kills += 1
            d.delete("comes.yaml")
        check(not seen["killed"], "it never started")
        check(n_kills > 10, "only %d crashes" % n_kills)
        if harness.options.verbose:
            print("    %d crashes in %d calls: %s" % (n_kills, seen["calls"],
                                                      " ".join(seen["log"])))


def is_settled(d, scene):
    """All that is on disk is as it will be."""
    names = os.path.join(d.root, "by-name/default")
    return (settled(scene.path, scene.trees[NEW]) and os.path.lexists(names + "/comes/v")
            and not os.path.lexists(names + "/goes")
            and len(os.listdir(os.path.join(d.root, "pods"))) == len(Scene.STAY) + 2)


def check_updated_with_leftovers(scene):
    tree = describe(scene.path)
    check(generation_of(tree, scene.trees) is not None, "neither generation as a whole")
    for n, was in scene.stay.items():
        path = os.path.join(scene.d.root, "by-name/default", n, "v")
        check_eq(harness.mount_at(os.path.realpath(path)), was[0], "mount of " + n)
        check_eq(harness.read_file(os.path.join(path, "k")), n.encode(), "content of " + n)


# ---- what is seen meanwhile ------------------------------------------------------------------

GRACE_MS = 2000  # readers are much faster, also on a busy machine

# Paths that are always there, and others that come, go, and change from file to directory.
PATHS = (("set", "stay/always", "one", "flip"), ("set", "stay/always", "two/deep/file", "flip/in"),
         ("set", "stay/always", "one", "two/deep/other", "flip/on"))


def numbered(n):
    """Secret and Pod of generation @n, as tests/torture/reader.h wants them."""
    paths = PATHS[n % len(PATHS)]
    data = {p.replace("/", "."): b"%d\n" % n + b"filling " * 600 for p in paths}
    data["set"] = b"%d\n" % n + b"".join(p.encode() + b"\n" for p in paths)
    items = [{"key": p.replace("/", "."), "path": p} for p in paths]
    return secret("torn", data), pod("torn", {"v": {"secretName": "torn", "items": items}})


@suite.test
def readers_while_manifests_change():
    with Daemon(args=["--generation-grace", "%dms" % GRACE_MS]) as d:
        d.put_objects("torn.yaml", *numbered(1))
        v = d.wait_published("default", "torn", "v")
        first = v["generation"]
        with subprocess.Popen([os.path.join(harness.options.build, "tests/torture/readers"),
                               v["path"], str(GRACE_MS * 3 // 4)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as readers:
            check_eq(readers.stdout.readline(), "looking\n", "the readers")
            end = time.monotonic() + harness.options.long
            n = 1
            while readers.poll() is None and (
                    time.monotonic() < end
                    or d.volume("default", "torn", "v")["generation"] - first < 10):
                n += 1
                d.put_objects("torn.yaml", *numbered(n))
            poll_until(lambda: harness.read_file(os.path.join(v["path"], "stay/always"))
                       .startswith(b"%d\n" % n), "the last content")
            poll_until(lambda: sum(f.startswith("..2") for f in os.listdir(v["path"])) == 1,
                       "the end of old generations")
            last = d.volume("default", "torn", "v")["generation"]
            seen = readers.communicate()[0]
        check("broken" not in seen, seen)
        check_eq(readers.returncode, 0, "the readers' exit status")
        words = dict(line.split(" ", 1) for line in seen.splitlines())
        check(words["moves"] in ("unknown", str(last - first)),
              "%d generations, and ..data moved %s times" % (last - first, words["moves"]))
        check(all(int(n) > 20 for n in words["passes"].split()), "few looks: " + words["passes"])
        check(last - first > 5, "only %d generations" % (last - first))
        if harness.options.verbose or harness.options.long > 10:
            print("    %d generations of %d manifests, looked %s times"
                  % (last - first, n, words["passes"]))


# ---- at random -------------------------------------------------------------------------------


@suite.test
def crashes_at_random_calls():
    seed = harness.options.seed
    if seed is None:
        seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    end = time.monotonic() + harness.options.long
    n_kills = 0
    with Daemon(start=False, args=["--generation-grace", "20ms"]) as d:
        churn = Churn(d)
        churn.start()
        try:
            while time.monotonic() < end:
                churn.running.set()
                # few calls: it is killed while it starts
                at = rng.randrange(1, rng.choice((600, 3000, 12000)))
                start_with_killer(d, "--at", str(at), "--when", rng.choice(("before", "after")),
                                  "--calls", "all")
                poll_until(lambda: not d.is_running(), "a crash at call %d" % at)
                n_kills += 1
                for m in harness.mounts_below(d.root):
                    check_whole(m["path"])
                churn.pause()
                if n_kills % 5 == 0 or time.monotonic() >= end:
                    d.start()
                    check_settled(d, churn.latest)
                    for v in d.volumes():
                        poll_until(lambda v=v: len(os.listdir(v["path"])) == 8, "one generation")
                    check_tidy(d)
                    d.kill()
        except AssertionError as e:
            raise AssertionError("seed %d, crash %d: %s" % (seed, n_kills, e)) from e
        finally:
            churn.close()
    if harness.options.verbose or harness.options.long > 10:
        print("    %d crashes, %d changes, seed %d" % (n_kills, churn.n, seed))


if __name__ == "__main__":
    sys.exit(suite.main())
