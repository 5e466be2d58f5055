#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Updates of published volumes: atomic, one generation each, never worse than before."""

import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness  # noqa: E402
from harness import (Daemon, Inotify, check, check_eq, check_in, in_state,  # noqa: E402
                     newer_than, pod, poll_until, secret)

suite = harness.Suite("update")

READ_S = 3.0  # how long readers and a writer run against each other


def ready_daemon(data, source="s", args=(), **spec):
    """A daemon with Pod p, its volume v of Secret s published."""
    d = Daemon(args=args, start=False)
    d.start()
    d.put_objects("secret.yaml", secret("s", data))
    d.put_objects("pod.yaml", pod("p", {"v": source}, **spec))
    return d


def published(d):
    return d.wait_published("default", "p", "v")


def wait_newer(d, volume, *states):
    return d.wait_volume("default", "p", "v", newer_than(volume["generation"], *states))


def has_reason(reason):
    return lambda volume: volume is not None and volume["reason"] == reason


def data_of(volume):
    return os.readlink(os.path.join(volume["path"], "..data"))


def file_of(volume, name):
    return harness.read_file(os.path.join(volume["path"], name))


def generations(path):
    return [n for n in os.listdir(path) if harness.DATA_DIR_RE.match(n)]


# ---- plain updates ---------------------------------------------------------------------------


@suite.test
def an_update_moves_data_once():
    with ready_daemon({"k": "one"}) as d:
        v = published(d)
        before = data_of(v)
        with Inotify(v["path"], Inotify.MOVED_TO) as watch:
            d.put_objects("secret.yaml", secret("s", {"k": "two"}))
            after = wait_newer(d, v)
            d.marker()
            moves = [name for _, name in watch.read()]
        check_eq(moves, ["..data"], "what was moved into place")
        check_eq(after["generation"], v["generation"] + 1, "generation")
        check_eq(file_of(v, "k"), b"two", "content")
        check(data_of(v) != before, "..data leads to the old generation")
        check_eq(harness.mount_at(v["path"]), harness.mount_at(after["path"]), "mount")


@suite.test
def several_objects_in_one_file_are_one_generation():
    both = {"projected": {"sources": [{"secret": {"name": "s"}}, {"secret": {"name": "t"}}]}}
    with Daemon() as d:
        d.put_objects("secret.yaml", secret("s", {"a": "1"}), secret("t", {"b": "1"}))
        d.put_objects("pod.yaml", pod("p", {"v": both}))
        v = published(d)
        with Inotify(v["path"], Inotify.MOVED_TO) as watch:
            d.put_objects("secret.yaml", secret("s", {"a": "2"}), secret("t", {"b": "2"}))
            wait_newer(d, v)
            d.marker()
            check_eq([n for _, n in watch.read()], ["..data"], "moves for one changed file")
        check_eq((file_of(v, "a"), file_of(v, "b")), (b"2", b"2"), "contents")


@suite.test
def an_unchanged_rewrite_touches_nothing():
    with ready_daemon({"k": "same"}) as d:
        v = published(d)
        before = harness.read_tree(v["path"])
        with Inotify(v["path"], Inotify.CREATE | Inotify.MOVED_TO | Inotify.DELETE) as watch:
            d.put_objects("secret.yaml", secret("s", {"k": b"same"},
                                                metadata={"name": "s", "labels": {"new": "1"}}))
            d.put_objects("pod.yaml", pod("p", {"v": "s"}, restartPolicy="Always"))
            d.marker()
            check_eq(watch.read(), [], "events in the volume")
        check_eq(harness.read_tree(v["path"]), before, "the volume")
        check_eq(d.volume("default", "p", "v")["generation"], v["generation"], "generation")


@suite.test
def another_mode_in_the_pod_is_a_new_generation():
    with ready_daemon({"k": "x"}) as d:
        v = published(d)
        before = data_of(v)
        d.put_objects("pod.yaml", pod("p", {"v": {"secretName": "s", "defaultMode": 0o400}}))
        wait_newer(d, v)
        check(data_of(v) != before, "the data directory is the same")
        check_eq(harness.read_tree(v["path"])["files"]["k"]["mode"], "0400", "mode")


@suite.test
def keys_come_and_go_with_their_links():
    with ready_daemon({"a": "1", "b": "1"}) as d:
        v = published(d)
        d.put_objects("secret.yaml", secret("s", {"b": "2", "c": "2"}))
        v = wait_newer(d, v)
        tree = harness.read_tree(v["path"])
        check_eq(tree["links"], {"b": "..data/b", "c": "..data/c"}, "links")
        check_eq({n: f["content"] for n, f in tree["files"].items()}, {"b": b"2", "c": b"2"},
                 "files")
        check_eq([f["path"] for f in v["files"]], ["b", "c"], "files listed")


@suite.test
def items_move_between_directories():
    def source(path):
        return {"secretName": "s", "items": [{"key": "k", "path": path}]}
    with ready_daemon({"k": "x"}, source("d/e/f")) as d:
        v = published(d)
        for path, links in (("d/f", ["d"]), ("g", ["g"]), ("d", ["d"]), ("d/e/f", ["d"])):
            d.put_objects("pod.yaml", pod("p", {"v": source(path)}))
            v = wait_newer(d, v)
            check_eq(file_of(v, path), b"x", "content at " + path)
            check_eq(sorted(harness.read_tree(v["path"])["links"]), links, "links for " + path)


# ---- old generations -------------------------------------------------------------------------


@suite.test
def an_old_generation_stays_for_the_grace_and_is_wiped():
    value = b"planted-value-of-the-old-generation"
    grace = 1.0
    with ready_daemon({"k": value}, args=["--generation-grace", "1s"]) as d:
        v = published(d)
        old = os.path.join(v["path"], data_of(v))
        reader = os.open(os.path.join(old, "k"), os.O_RDONLY)
        with Inotify(v["path"], Inotify.MOVED_TO | Inotify.DELETE) as watch:
            d.put_objects("secret.yaml", secret("s", {"k": "new"}))
            watch.wait(lambda m, n: n == "..data", "the switch")
            switched = time.monotonic()
            check_eq(harness.read_file(os.path.join(old, "k")), value, "old content in the grace")
            watch.wait(lambda m, n: n == os.path.basename(old), "removal of the old generation")
            stayed = time.monotonic() - switched
        check(stayed > grace * 0.9, "the old generation was removed after %.3f s" % stayed)
        check_eq(os.pread(reader, 100, 0), b"\0" * len(value), "what an open file still shows")
        os.close(reader)
        check_eq(generations(v["path"]), [data_of(v)], "generations left")


@suite.test
def an_old_generation_is_not_wiped_where_a_container_holds_a_part():
    container = {"name": "c", "image": "img", "volumeMounts": [
        {"name": "v", "mountPath": "/file", "subPath": "k"}]}
    with ready_daemon({"k": "one"}, args=["--generation-grace", "50ms"],
                      containers=[container]) as d:
        v = published(d)
        old = os.path.join(v["path"], data_of(v))
        held = os.open(os.path.join(old, "k"), os.O_RDONLY)
        with Inotify(v["path"], Inotify.DELETE) as watch:
            d.put_objects("secret.yaml", secret("s", {"k": "two"}))
            watch.wait(lambda m, n: n == os.path.basename(old), "removal of the old generation")
        check_eq(os.pread(held, 100, 0), b"one", "the part that a container has")
        os.close(held)


@suite.test
def a_burst_ends_with_the_last_content_and_few_generations():
    with ready_daemon({"k": "0"}, args=["--generation-grace", "2s"]) as d:
        v = published(d)
        most, done = [0], threading.Event()

        def count():
            while not done.is_set():
                most[0] = max(most[0], len(generations(v["path"])))
        counter = threading.Thread(target=count)
        counter.start()
        try:
            with Inotify(v["path"], Inotify.MOVED_TO) as watch:
                for i in range(1, 201):
                    d.put_objects("secret.yaml", secret("s", {"k": str(i)}))
                    if i <= 64:  # each its own generation, until there is no room for more
                        watch.wait(lambda m, n: n == "..data", "update %d" % i)
                poll_until(lambda: file_of(v, "k") == b"200", "the last content")
        finally:
            done.set()
            counter.join()
        check_eq(most[0], 65, "generations at most")
        poll_until(lambda: len(generations(v["path"])) == 1, "the old generations' end")
        d.marker()
        check_eq(file_of(v, "k"), b"200", "content in the end")
        check_eq(d.volume("default", "p", "v")["state"], "Published", "state")


@suite.test
def no_grace_is_possible():
    with ready_daemon({"k": "0"}, args=["--generation-grace", "0s"]) as d:
        v = published(d)
        for i in range(1, 30):
            d.put_objects("secret.yaml", secret("s", {"k": str(i)}))
        poll_until(lambda: file_of(v, "k") == b"29", "the last content")
        poll_until(lambda: len(generations(v["path"])) == 1, "the old generations' end")


# ---- what is missing -------------------------------------------------------------------------


@suite.test
def an_optional_secret_empties_and_fills_the_volume():
    with ready_daemon({"k": "1"}, {"secretName": "s", "optional": True}) as d:
        v = published(d)
        mount = harness.mount_at(v["path"])
        d.delete("secret.yaml")
        v = wait_newer(d, v)
        tree = harness.read_tree(v["path"])
        check_eq((tree["files"], tree["links"]), ({}, {}), "files and links of an empty volume")
        check_eq(v["secrets"][0]["found"], False, "found")
        d.put_objects("secret.yaml", secret("s", {"k": "2"}))
        v = wait_newer(d, v)
        check_eq(file_of(v, "k"), b"2", "content")
        check_eq(harness.mount_at(v["path"])["id"], mount["id"], "mount")


@suite.test
def a_refused_volume_comes_up_by_itself():
    with Daemon() as d:
        items = {"secretName": "s", "items": [{"key": "late", "path": "f"}]}
        d.put_objects("pod.yaml", pod("p", {"v": items}))
        v = d.wait_volume("default", "p", "v", in_state("Refused"))
        check_eq(v["reason"], "SecretNotFound", "reason")
        check_in('secret "s" not found', v["message"], "message")
        check(not os.path.lexists(v["path"]), "a refused volume has a directory")
        d.put_objects("secret.yaml", secret("s", {"early": "1"}))
        v = d.wait_volume("default", "p", "v", has_reason("KeyNotFound"))
        check_eq(v["state"], "Refused", "state")
        check_in("references non-existent secret key: late", v["message"], "message")
        d.put_objects("secret.yaml", secret("s", {"late": "2"}))
        v = published(d)
        check_eq((v["reason"], v["message"]), ("", ""), "reason and message when all is well")
        check_eq(file_of(v, "f"), b"2", "content")


@suite.test
def a_required_key_that_goes_leaves_the_volume_stale():
    items = {"secretName": "s", "items": [{"key": "k", "path": "f"}]}
    with ready_daemon({"k": "1"}, items) as d:
        v = published(d)
        before, mount = harness.read_tree(v["path"]), harness.mount_at(v["path"])
        changes = (("KeyNotFound",
                    lambda: d.put_objects("secret.yaml", secret("s", {"other": "x"}))),
                   ("SecretNotFound", lambda: d.delete("secret.yaml")))
        for reason, change in changes:
            change()
            stale = d.wait_volume("default", "p", "v", has_reason(reason))
            check_eq(stale["state"], "Stale", "state with " + reason)
            d.marker()
            check_eq(harness.read_tree(v["path"]), before, "the volume while it is stale")
            check_eq(harness.mount_at(v["path"]), mount, "the mount while it is stale")
        d.put_objects("secret.yaml", secret("s", {"k": "1"}))
        back = published(d)
        check_eq(back["generation"], v["generation"], "generation of the same content")
        check_eq(harness.read_tree(v["path"]), before, "the volume when it is back")
        d.put_objects("secret.yaml", secret("s", {"k": "2"}))
        wait_newer(d, v)
        check_eq(file_of(v, "f"), b"2", "content")


@suite.test
def an_immutable_secret_does_not_change():
    with Daemon() as d:
        d.put_objects("pod.yaml", pod("p", {"v": "s"}))
        d.put_objects("secret.yaml", secret("s", {"k": "1"}, immutable=True))
        v = published(d)
        before = harness.read_tree(v["path"])
        d.put_objects("secret.yaml", secret("s", {"k": "2"}, immutable=True))
        p = d.wait_problem("InvalidSecret", field="data")
        check_eq(p["category"], "Forbidden", "category")
        check_eq(harness.read_tree(v["path"]), before, "the volume")
        d.put_objects("secret.yaml", secret("s", {"k": "1"}, immutable=True))
        d.wait_no_problems()


# ---- readers against a writer ----------------------------------------------------------------


class Writer(threading.Thread):
    """Puts contents as fast as it can, until stop()."""

    def __init__(self, put):
        super().__init__(daemon=True)
        self.put, self.n, self.done, self.error = put, 0, threading.Event(), None

    def run(self):
        try:
            while not self.done.is_set():
                self.n += 1
                self.put(self.n)
        except Exception as e:  # pylint: disable=broad-except; told by stop()
            self.error = e

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()
        if self.error:
            raise self.error


@suite.test
def a_reader_of_one_data_directory_sees_one_generation():
    keys = ["k%d" % i for i in range(10)]
    # A reader that has to wait for the processor must not outlast the grace period.
    with ready_daemon({k: "0" for k in keys}, args=["--generation-grace", "1s"]) as d:
        v = published(d)
        seen = set()
        with Writer(lambda n: d.put_objects("secret.yaml", secret(
                "s", {k: str(n) * (1 + n % 500) for k in keys}))):
            end = time.monotonic() + READ_S
            while time.monotonic() < end:
                fd = os.open(os.path.join(v["path"], "..data"), os.O_RDONLY | os.O_DIRECTORY)
                try:
                    values = set()
                    for k in keys:
                        file = os.open(k, os.O_RDONLY, dir_fd=fd)
                        values.add(os.read(file, 10000))
                        os.close(file)
                finally:
                    os.close(fd)
                check_eq(len(values), 1, "different contents in one generation")
                seen |= values
        check(len(seen) > 20, "only %d generations were seen" % len(seen))


@suite.test
def a_path_in_both_generations_is_never_absent():
    def source(n):
        items = [{"key": "k", "path": "always"}, {"key": "k", "path": "deep/er/always"},
                 {"key": "k", "path": "now-%d" % n}]
        return {"secretName": "s", "items": items}
    with ready_daemon({"k": "0"}, source(0)) as d:
        v = published(d)
        paths = [os.path.join(v["path"], p) for p in ("always", "deep/er/always")]
        bad, done = [], threading.Event()

        def read():
            reads = 0
            while not done.is_set() and not bad:
                for path in paths:
                    try:
                        if not harness.read_file(path):
                            bad.append(path + " is empty")
                    except OSError as e:
                        bad.append("%s after %d reads" % (e, reads))
                    reads += 1
        readers = [threading.Thread(target=read) for _ in range(2)]
        for r in readers:
            r.start()
        try:
            with Writer(lambda n: (d.put_objects("secret.yaml", secret("s", {"k": str(n)})),
                                   d.put_objects("pod.yaml", pod("p", {"v": source(n)})))):
                end = time.monotonic() + READ_S
                while time.monotonic() < end and not bad:
                    done.wait(0.05)
        finally:
            done.set()
            for r in readers:
                r.join()
        check_eq(bad, [], "reads that failed")
        d.marker()
        now = d.wait_published("default", "p", "v")
        check(now["generation"] > 20, "only generation %d was reached" % now["generation"])


@suite.test
def files_are_never_seen_without_their_group():
    with ready_daemon({"k": "0"}, {"secretName": "s", "defaultMode": 0o600},
                      securityContext={"fsGroup": 4242}) as d:
        v = published(d)
        n = 0
        with Writer(lambda n: d.put_objects("secret.yaml", secret("s", {"k": str(n)}))):
            end = time.monotonic() + READ_S
            while time.monotonic() < end:
                fd = os.open(os.path.join(v["path"], "..data"), os.O_RDONLY | os.O_DIRECTORY)
                try:
                    top = os.fstat(fd)
                    st = os.stat("k", dir_fd=fd)
                finally:
                    os.close(fd)
                check_eq((st.st_gid, oct(st.st_mode & 0o7777)), (4242, "0o640"), "file")
                check_eq((top.st_gid, oct(top.st_mode & 0o7777)), (4242, "0o2755"), "directory")
                n += 1
        check(n > 100, "looked %d times only" % n)


@suite.test
def many_volumes_of_one_secret_all_follow():
    pods = ["p%02d" % i for i in range(40)]
    with Daemon() as d:
        d.put_objects("pods.yaml", secret("s", {"k": "0"}), *[pod(p, {"v": "s"}) for p in pods])
        volumes = [d.wait_published("default", p, "v") for p in pods]
        for i in range(1, 11):
            d.put_objects("pods.yaml", secret("s", {"k": str(i)}),
                          *[pod(p, {"v": "s"}) for p in pods])
        for v in volumes:
            poll_until(lambda v=v: file_of(v, "k") == b"10", "last content in " + v["path"])
        d.marker()
        check_eq({x["state"] for x in d.volumes()}, {"Published"}, "states")


if __name__ == "__main__":
    sys.exit(suite.main())
