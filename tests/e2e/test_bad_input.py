#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Bad input and bad surroundings: a reason for each, and nobody else is affected.

Every test has a bystander, a good volume that must stay as it is, in a daemon that must live.
"""

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness  # noqa: E402
from harness import (Daemon, Inotify, check, check_eq, check_in, in_state,  # noqa: E402
                     manifest, newer_than, pod, poll_until, secret)

suite = harness.Suite("bad_input")

ESCAPE = "\x1b[31m"
NO_MOUNTING = ("setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin", "--")


@contextlib.contextmanager
def bystander(**options):
    """A daemon with a good volume; afterwards the same process still has it, untouched."""
    with Daemon(**options) as d:
        d.put_objects("good.yaml", secret("good", {"k": "1"}), pod("good", {"v": "good"}))
        v = d.wait_published("default", "good", "v")
        before, pid = harness.read_tree(v["path"]), d.process.pid
        mount = harness.mount_at(v["path"])
        with Inotify(v["path"], Inotify.CREATE | Inotify.MOVED_TO | Inotify.DELETE) as watch:
            yield d
            d.marker()
            check_eq(d.process.poll(), None, "exit status of the daemon")
            check_eq(d.status()["pid"], pid, "process id")
            check_eq(d.volume("default", "good", "v")["state"], "Published", "the bystander")
            check_eq(watch.read(), [], "events in the bystander's volume")
        check_eq(harness.mount_at(v["path"]), mount, "the bystander's mount")
        check_eq(harness.read_tree(v["path"]), before, "the bystander's volume")


def refused(d, name, reason, volume="v"):
    v = d.wait_volume("default", name, volume, in_state("Refused"))
    check_eq(v["reason"], reason, "reason of %s/%s (%s)" % (name, volume, v["message"]))
    check(v["message"], "no message for " + name)
    check(not os.path.lexists(v["path"]), "a refused volume has a directory")
    check_eq(v["nextRetryAt"], None, "next try of a refused volume")
    return v


def failed(d, name, reason, volume="v"):
    v = d.wait_volume("default", name, volume, in_state("Failed"))
    check_eq(v["reason"], reason, "reason of %s/%s (%s)" % (name, volume, v["message"]))
    check(v["nextRetryAt"], "a failed volume has no time to try again")
    return v


# ---- texts -----------------------------------------------------------------------------------


def bombs():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for n in range(1, 12):
        lines.append("a%d: &a%d [%s]" % (n, n, ", ".join(["*a%d" % (n - 1)] * 10)))
    return "\n".join(lines) + "\n"


GOOD = manifest(secret("x", {"k": "1"}), pod("x", {"v": "x"})).encode()

BAD_TEXTS = {
    "truncated.yaml": GOOD[:-30],
    "truncated.json": b'{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"',
    "binary.yaml": bytes(range(256)) * 20,
    "binary.json": bytes(range(256)) * 20,
    "elf.yaml": b"\x7fELF\x02\x01\x01" + b"\0" * 1000,
    "utf16.yaml": "\ud800".encode("utf-16", "surrogatepass") + b"\xff\xfe" * 30,
    "invalid-utf8.yaml": b'apiVersion: v1\nkind: Secret\nmetadata: {name: "x\xff\xfe"}\n',
    "invalid-utf8.json": b'{"apiVersion":"v1","kind":"Secret","metadata":{"name":"x\xff\xfe"}}',
    "overlong-utf8.json": b'{"apiVersion":"v1","kind":"Secret","metadata":{"name":"\xc0\xaf"}}',
    "alias-bomb.yaml": bombs().encode(),
    "alias-loop.yaml": b"a: &a [*a]\n",
    "unknown-alias.yaml": b"a: *nothing\n",
    "deep.yaml": b"[" * 5000 + b"]" * 5000,
    "deep.json": b"[" * 100000 + b"]" * 100000,
    "deep-block.yaml": b"".join(b" " * n + b"a:\n" for n in range(1500)),
    "tabs.yaml": b"a:\n\t- b\n\t\tc: d\n",
    "null-key.yaml": b"apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ndata: {~: MQ==}\n",
    "quote.yaml": b'apiVersion: v1\nkind: "Secret\n',
    "trailing.json": b'{"apiVersion":"v1","kind":"Secret","metadata":{"name":"x"}} }',
    "comment.json": b'{"apiVersion":"v1" /* no */}',
    "scalar.yaml": b"just some words\n",
    "list.json": b"[1, 2, 3]",
    "many-documents.yaml": b"---\na: 1\n" * 20000,
    "nul.yaml": b'apiVersion: v1\nkind: Secret\nmetadata: {name: "x\0y"}\n',
}


@suite.test
def files_that_cannot_be_parsed():
    with bystander() as d:
        for name, data in BAD_TEXTS.items():
            d.put(name, data)
        for name in BAD_TEXTS:
            p = d.wait_problem("InvalidManifest", file=name)
            check_eq(p["category"], "decode", "category for " + name)
            check(p["message"], "no message for " + name)
        check_eq([s["name"] for s in d.secrets() if s["namespace"] == "default"], ["good"],
                 "Secrets")
        for name in BAD_TEXTS:
            r = d.ctl("check", "-f", os.path.join(d.manifest_dir, name))
            check_eq(r.returncode, 1, "exit code of check -f %s (%s)" % (name, r.stdout))
            check_in(name, r.stdout, "complaint of check")
        check_eq(d.ctl("status").returncode, 0, "exit code of status: no volume is affected")


@suite.test
def every_prefix_of_a_manifest():
    with bystander(args=["--log-level", "error"]) as d:
        for n in range(0, len(GOOD), 3):
            d.put("prefix.yaml", GOOD[:n])
            d.put("prefix.json", GOOD[4:n])
        d.marker()
        d.delete("prefix.json")
        d.put("prefix.yaml", GOOD)
        d.wait_published("default", "x", "v")
        d.wait_no_problems()


@suite.test
def an_empty_file_is_no_problem():
    with bystander() as d:
        for n, data in enumerate((b"", b"\n", b"---\n", b"# nothing\n", b"\xef\xbb\xbf", b"null\n",
                                  b"--- # a\n--- # b\n...\n")):
            d.put("empty-%d.yaml" % n, data)
        d.put("empty.json", b"")
        d.marker()
        check_eq(d.problems(), [], "problems")


@suite.test
def of_duplicate_keys_the_last_wins():
    with bystander() as d:
        d.put("dup.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
                          "stringData: {k: first, k: last}\nstringData: {k: really last}\n"
              + manifest(pod("p", {"v": "s"})))
        v = d.wait_published("default", "p", "v")
        check_eq(harness.read_file(v["path"] + "/k"), b"really last", "content")


# ---- objects ---------------------------------------------------------------------------------


def with_metadata(o, **fields):
    return dict(o, metadata=dict(o["metadata"], **fields))


def volume_of(**source):
    return pod("p", {"v": dict({"secretName": "good"}, **source)})


def item(path):
    return volume_of(items=[{"key": "k", "path": path}])


PATH = "spec.volumes[0].secret.items[0].path"
MODE = "spec.volumes[0].secret.defaultMode"

# What the API server would refuse: (category, field, object)
BAD_OBJECTS = {
    "dotdot": ("Invalid", PATH, item("..")),
    "dotdot-first": ("Invalid", PATH, item("../x")),
    "dotdot-middle": ("Invalid", PATH, item("a/../b")),
    "dotdot-last": ("Invalid", PATH, item("a/..")),
    "dotdot-prefix": ("Invalid", PATH, item("..x")),
    "dotdot-far": ("Invalid", PATH, item("a/b/c/../../../../../../etc/x")),
    "absolute": ("Invalid", PATH, item("/etc/x")),
    "empty-path": ("Required", PATH, item("")),
    "mode-large": ("Invalid", MODE, volume_of(defaultMode=512)),
    "mode-negative": ("Invalid", MODE, volume_of(defaultMode=-1)),
    "mode-text": ("decode", MODE, volume_of(defaultMode="0400")),
    "mode-huge": ("decode", MODE, volume_of(defaultMode=10 ** 30)),
    "mode-2e31": ("decode", MODE, volume_of(defaultMode=2 ** 31)),
    "mode-float": ("decode", MODE, volume_of(defaultMode=1.5)),
    "mode-list": ("decode", MODE, volume_of(defaultMode=[256])),
    "group-huge": ("decode", "spec.securityContext.fsGroup",
                   pod("p", {"v": "good"}, securityContext={"fsGroup": 2 ** 70})),
    "group-negative": ("Invalid", "spec.securityContext.fsGroup",
                       pod("p", {"v": "good"}, securityContext={"fsGroup": -5})),
    "volume-name": ("Invalid", "spec.volumes[0].name", pod("p", {"../../v": "good"})),
    "volume-long": ("Invalid", "spec.volumes[0].name", pod("p", {"v" * 64: "good"})),
    "pod-name": ("Invalid", "metadata.name", pod("../p", {"v": "good"})),
    "pod-namespace": ("Invalid", "metadata.namespace", pod("p", {"v": "good"}, namespace="../n")),
    "no-name": ("Required", "metadata.name", pod("", {"v": "good"})),
    "uid-slash": ("Invalid", "metadata.uid", pod("p", {"v": "good"}, uid="../../../etc")),
    "uid-dotdot": ("Invalid", "metadata.uid", pod("p", {"v": "good"}, uid="..")),
    "uid-dot": ("Invalid", "metadata.uid", pod("p", {"v": "good"}, uid=".")),
    "uid-long": ("Invalid", "metadata.uid", pod("p", {"v": "good"}, uid="u" * 129)),
    "uid-newline": ("Invalid", "metadata.uid", pod("p", {"v": "good"}, uid="a\nb")),
    "key-dotdot": ("Invalid", "data[..]", secret("s", {"..": "1"})),
    "key-slash": ("Invalid", "data[a/b]", secret("s", {"a/b": "1"})),
    "key-long": ("Invalid", "data[" + "k" * 254 + "]", secret("s", {"k" * 254: "1"})),
    "too-long": ("TooLong", "data", secret("s", {"k": b"x" * (2 << 20)})),
    "base64": ("decode", "data", dict(secret("s"), data={"k": "not*base64"})),
    "data-list": ("decode", "data", dict(secret("s"), data=["k"])),
    "data-number": ("decode", "data", dict(secret("s"), data={"k": 7})),
    "metadata-text": ("decode", "metadata", dict(secret("s"), metadata="s")),
    "spec-list": ("decode", "spec", dict(pod("p", {}), spec=[])),
    "volumes-map": ("decode", "spec.volumes", dict(pod("p", {}), spec={"volumes": {}})),
}


@suite.test
def objects_that_the_api_would_refuse():
    with bystander() as d:
        for name, (_, _, o) in BAD_OBJECTS.items():
            d.put_objects(name + ".yaml", o)
        d.marker()
        problems = d.problems()
        wrong = []
        for name, (category, field, o) in BAD_OBJECTS.items():
            mine = [p for p in problems if os.path.basename(p["file"]) == name + ".yaml"]
            if not any(p["category"] == category and field in (p["field"] + " " + p["message"])
                       and p["kind"] in (o["kind"], "") for p in mine):
                wrong.append("%s: got %s, want %s at %s" % (
                    name, [(p["category"], p["field"], p["message"][:100]) for p in mine], category,
                    field))
        check(not wrong, "\n".join(wrong))
        check_eq([p["name"] for p in d.pods() if p["namespace"] == "default"], ["good"], "pods")
        check_eq([s["name"] for s in d.secrets() if s["namespace"] == "default"], ["good"],
                 "Secrets")
        check_eq(sorted(os.listdir(d.home)), ["manifests", "root", "stderr.log"],
                 "what is beside the root")


@suite.test
def nul_in_every_text():
    with bystander() as d:
        nul = "a\0b"
        objects = {
            "name": pod(nul, {"v": "good"}), "namespace": pod("p1", {"v": "good"}, namespace=nul),
            "uid": pod("p2", {"v": "good"}, uid=nul), "volume": pod("p3", {nul: "good"}),
            "secret-name": secret(nul, {"k": "1"}), "key": secret("s1", {nul: "1"}),
            "path": with_metadata(item(nul), name="p4"),
            "path-behind": with_metadata(item("ok\0/../../../x"), name="p5"),
            "source": pod("p6", {"v": "good\0x"}),
        }
        for name, o in objects.items():
            d.put_objects(name + ".yaml", o)
            d.put(name + "-json.json", json.dumps(o))
        d.marker()
        # Nothing of these is cut at the NUL and taken for something else.
        for v in d.volumes(namespace="default"):
            if v["pod"] != "good":
                check(v["state"] == "Refused", "%s/%s is %s" % (v["pod"], v["volume"], v["state"]))
        check_eq([s["name"] for s in d.secrets() if s["namespace"] == "default"], ["good"],
                 "Secrets")


@suite.test
def values_may_hold_any_bytes():
    value = bytes(range(256)) * 16
    with bystander() as d:
        d.put_objects("p.yaml", secret("s", {"k": value}), pod("p", {"v": "s"}))
        v = d.wait_published("default", "p", "v")
        check_eq(harness.read_file(v["path"] + "/k"), value, "content")
        d.put("p.json", json.dumps(secret("t", {"k": "a\0b\u00e9\U0001f600"}))
              + json.dumps(pod("q", {"v": "t"})))
        v = d.wait_published("default", "q", "v")
        check_eq(harness.read_file(v["path"] + "/k"), "a\0b\u00e9\U0001f600".encode(), "content")


@suite.test
def paths_that_only_the_node_refuses():
    paths = {"long-element": "x" * 300, "long-element-below": "a/" + "x" * 256, "dot": ".",
             "dot-slash": "./", "cleaned-dotdot": "./..x", "long": "x/" * 2048 + "x"}
    with bystander() as d:
        for name, path in paths.items():
            d.put_objects(name + ".yaml", with_metadata(item(path), name=name))
        for name in paths:
            v = refused(d, name, "InvalidPath")
            check_in("invalid path", v["message"], "message for " + name)
        longest = "/".join(["d" * 200] * 10) + "/" + "f" * 255
        d.put_objects("longest.yaml", with_metadata(item(longest), name="longest"))
        v = d.wait_published("default", "longest", "v")
        check_eq(harness.read_file(os.path.join(v["path"], longest)), b"1", "content")


@suite.test
def a_path_that_is_anothers_parent():
    with bystander() as d:
        for name, paths in (("one", ("a", "a/b")), ("two", ("a/b/c", "a/b")),
                            ("three", ("x", "a/./b//c/d", "a/b/c"))):
            d.put_objects(name + ".yaml", with_metadata(volume_of(
                items=[{"key": "k", "path": p} for p in paths]), name=name))
            v = refused(d, name, "PathConflict")
            check_in("is a directory", v["message"], "message")


@suite.test
def other_sources_and_missing_ones():
    with bystander() as d:
        d.put_objects("a.yaml", pod("none", {"v": "nothing"}),
                      pod("key", {"v": {"secretName": "good",
                                        "items": [{"key": "nope", "path": "x"}]}}),
                      pod("mixed", {"v": {"projected": {"sources": [
                          {"secret": {"name": "good"}}, {"configMap": {"name": "c"}}]}}}),
                      pod("impossible", {"v": "NOT_A_NAME/../x"}))
        check_in('secret "nothing" not found', refused(d, "none", "SecretNotFound")["message"],
                 "message")
        check_in("references non-existent secret key: nope",
                 refused(d, "key", "KeyNotFound")["message"], "message")
        check_in("configMap", refused(d, "mixed", "UnsupportedSource")["message"], "message")
        refused(d, "impossible", "SecretNotFound")


@suite.test
def two_thousand_keys():
    data = {"key-%04d" % n: str(n) for n in range(2000)}
    with bystander() as d:
        d.put_objects("p.yaml", secret("s", data), pod("p", {"v": "s"}))
        v = d.wait_published("default", "p", "v")
        check_eq(len(v["files"]), 2000, "files listed")
        check_eq(len(os.listdir(os.path.join(v["path"], "..data"))), 2000, "files")
        data["key-0000"] = "changed"
        del data["key-1999"]
        d.put_objects("p.yaml", secret("s", data), pod("p", {"v": "s"}))
        d.wait_volume("default", "p", "v", newer_than(v["generation"]))
        check_eq(harness.read_file(v["path"] + "/key-0000"), b"changed", "content")
        check_eq(len(os.listdir(v["path"])) >= 2001, True, "entries of the volume")


@suite.test
def names_are_never_printed_raw():
    nasty = "n%sx\r\ny\u202e\x07" % ESCAPE
    raw = ("\x1b", "\r", "\x07", "\u202e")
    with bystander(args=["--log-level", "debug"]) as d:
        d.put("a.yaml", manifest(
            secret(nasty, {"k": "1"}), secret("s", {nasty: "1"}), pod(nasty, {"v": "good"}),
            pod("p1", {nasty: "good"}), pod("p2", {"v": nasty}),
            pod("p3", {"v": {"secretName": "good", "items": [{"key": nasty, "path": "x"}]}}),
            pod("p4", {"v": {"secretName": "good", "items": [{"key": "k", "path": nasty}]}}),
            pod("p5", {"v": "good"}, uid=nasty),
            dict(pod("p6", {"v": "good"}), kind=nasty)))
        d.put("broken%s\n.yaml" % nasty, "{ %s: [" % json.dumps(nasty))
        d.put("tag.yaml", "a: !<%s> b\n" % "x\u009b31m")
        v = d.wait_published("default", "p4", "v")
        check_eq(harness.read_file(os.path.join(v["path"], nasty)), b"1", "content")
        d.marker()
        outputs = {"log": d.log()}
        for args in (["status"], ["get", "volumes", "-A", "-o", "wide"], ["get", "pods", "-A"],
                     ["get", "secrets", "-A", "-o", "wide"], ["get", "vol", "-o", "name"],
                     ["get", "vol", "-o", "yaml"], ["get", "vol", "-o", "json"],
                     ["describe", "volume", "p4/v"], ["describe", "pod", "p3"],
                     ["describe", "pod", nasty], ["get", "vol", nasty + "/v"],
                     ["wait", "pod", nasty, "--for=published", "--timeout=0"], ["events"],
                     ["events", "-o", "json"], ["render", "-f", d.manifest_dir],
                     ["check", "-f", d.manifest_dir], ["render", "-f", d.manifest_dir, nasty],
                     ["check", "-f", "/nowhere/" + nasty], [nasty], ["get", nasty]):
            r = d.ctl(*args)
            outputs[" ".join(args)] = r.stdout + r.stderr
        outputs["/v1/status"] = d.client.get("/v1/status")[1]
        outputs["/v1/volumes"] = d.client.get("/v1/volumes")[1]
        with Daemon(start=False, n_manifest_dirs=0) as other:
            other.manifest_dirs = d.manifest_dirs
            r = other.run_once()
            outputs["--once"] = r.stdout + r.stderr
        bad = [(what, repr(c)) for what, text in outputs.items() for c in raw
               if c in text and not (c == "\u202e" and what.startswith("/v1"))]
        check_eq(bad, [], "control characters in outputs")
        check(any("\\x1b" in text for text in outputs.values()), "nothing was escaped at all")
        for line in outputs["log"].splitlines():
            check(line.startswith("20"), "a line of the log was broken: %r" % line)


@suite.test
def two_pods_of_one_name():
    with bystander() as d:
        d.put_objects("a.yaml", pod("p", {"v": "good"}, uid="first"))
        d.put_objects("b.yaml", pod("p", {"w": "good"}, uid="second"))
        v = d.wait_published("default", "p", "v")
        check_eq(v["podUid"], "first", "uid")
        d.wait_problem("DuplicateObject", file="b.yaml", name="p")
        check_eq(d.volume("default", "p", "w"), None, "the other's volume")


# ---- places that are taken -------------------------------------------------------------------


def occupy_by_file(path, _):
    with open(path, "w", encoding="ascii") as f:
        f.write("canary")
    return lambda: (check_eq(harness.read_file(path), b"canary", "the file"), os.unlink(path))


def occupy_by_directory(path, _):
    os.mkdir(path)
    with open(path + "/canary", "w", encoding="ascii"):
        pass
    return lambda: (check_eq(os.listdir(path), ["canary"], "the directory"), shutil.rmtree(path))


def occupy_by_link(path, elsewhere):
    os.symlink(elsewhere, path)
    return lambda: os.unlink(path)


def occupy_by_mount(path, elsewhere):
    os.mkdir(path)
    harness.bind_mount(elsewhere, path)
    return lambda: (check_eq(os.listdir(path), ["canary"], "the mounted directory"),
                    check(harness.umount(path), "the mount is gone"))


def occupy_by_parent_link(path, elsewhere):
    parent = os.path.dirname(path)
    os.rmdir(parent)
    os.symlink(elsewhere, parent)
    return lambda: os.unlink(parent)


OCCUPIERS = (occupy_by_file, occupy_by_directory, occupy_by_link, occupy_by_mount,
             occupy_by_parent_link)


@suite.test
def targets_that_are_occupied():
    with bystander() as d, tempfile.TemporaryDirectory(prefix="secretvold-test.") as disk:
        elsewhere = {}
        for where, top in (("disk", disk), ("tmpfs", harness.make_dir("elsewhere."))):
            elsewhere[where] = os.path.join(top, "dir")
            os.mkdir(elsewhere[where])
            with open(elsewhere[where] + "/canary", "w", encoding="ascii"):
                pass
        clears = {}
        for n, (occupy, where) in enumerate((o, w) for o in OCCUPIERS for w in elsewhere):
            name = "p%d" % n
            path = os.path.join(d.root, "pods", name, "volumes/kubernetes.io~secret/v")
            os.makedirs(os.path.dirname(path))
            clears[name] = occupy(path, elsewhere[where])
            d.put_objects(name + ".yaml", pod(name, {"v": "good"}, uid=name))
        for name in clears:
            v = failed(d, name, "Busy")
            check(v["message"], "no message for " + name)
        check_eq(d.ctl("status").returncode, 5, "exit code of status")
        for e in elsewhere.values():
            check_eq(os.listdir(e), ["canary"], "what is elsewhere")
        for clear in clears.values():
            clear()
        for name in clears:  # by themselves, with back-off
            v = d.wait_published("default", name, "v")
            check_eq(harness.read_file(v["path"] + "/k"), b"1", "content in " + name)
        for e in elsewhere.values():
            check_eq(os.listdir(e), ["canary"], "what is elsewhere")


@suite.test
def foreign_mounts_survive_a_restart():
    """A part of somebody else's tmpfs, even with a volume's own options, is no volume."""
    with Daemon() as d:
        d.put_objects("s.yaml", secret("s", {"k": "1"}))
        elsewhere = harness.make_dir("elsewhere.")
        canary = os.path.join(elsewhere, "canary")
        with open(canary, "w", encoding="ascii") as f:
            f.write("alive")
        os.mkdir(os.path.join(elsewhere, "empty"))
        paths = {}
        for uid, mount_options in (("unknown", ()), ("wanted", ()),
                                   ("unknown-ro", ("ro", "nosuid", "nodev", "noexec")),
                                   ("wanted-ro", ("ro", "nosuid", "nodev", "noexec"))):
            paths[uid] = os.path.join(d.root, "pods", uid, "volumes/kubernetes.io~secret/v")
            os.makedirs(paths[uid])
            harness.bind_mount(elsewhere, paths[uid], *mount_options)
        wanted = ("wanted", "wanted-ro")
        d.put_objects("p.yaml", *[pod(uid, {"v": "s"}, uid=uid) for uid in wanted])
        for again in (False, True):
            for uid in wanted:
                failed(d, uid, "Busy")
            check_eq(harness.read_file(canary), b"alive", "a foreign file")
            check_eq(sorted(os.listdir(elsewhere)), ["canary", "empty"], "the foreign directory")
            if not again:
                d.restart()
                d.marker()
        for path in paths.values():
            check(harness.umount(path), path + " was unmounted")
        for uid in wanted:
            d.wait_published("default", uid, "v")


@suite.test
def a_mount_over_a_published_volume_is_left_alone():
    with bystander() as d:
        d.put_objects("p.yaml", secret("p", {"k": "1"}), pod("p", {"v": "p"}))
        path = d.wait_published("default", "p", "v")["path"]
        elsewhere = harness.make_dir("elsewhere.")
        with open(os.path.join(elsewhere, "canary"), "w", encoding="ascii"):
            pass
        harness.bind_mount(elsewhere, path)
        d.put_objects("p.yaml", secret("p", {"k": "2"}), pod("p", {"v": "p"}))
        failed(d, "p", "Busy")
        check_eq(os.listdir(elsewhere), ["canary"], "the directory that covers the volume")
        check(harness.umount(path), "the cover has been unmounted")
        v = d.wait_published("default", "p", "v")
        check_eq(harness.read_file(v["path"] + "/k"), b"2", "content")
        check_eq(len([m for m in harness.mounts_below(d.root) if m["path"] == path]), 1, "mounts")


@suite.test
def an_occupied_by_name_link():
    with bystander() as d:
        names = os.path.join(d.root, "by-name/default")
        os.makedirs(os.path.join(names, "p/v/full"))
        with open(os.path.join(names, "q"), "w", encoding="ascii"):
            pass
        d.put_objects("p.yaml", pod("p", {"v": "good"}), pod("q", {"v": "good"}))
        for name in ("p", "q"):
            v = d.wait_volume("default", name, "v", in_state("Failed", "Stale"))
            check_eq(v["reason"], "WriteFailed", "reason")
            check_eq(harness.read_file(v["path"] + "/k"), b"1", "content all the same")
        shutil.rmtree(os.path.join(names, "p"))
        os.unlink(os.path.join(names, "q"))
        for name in ("p", "q"):
            v = d.wait_published("default", name, "v")
            check_eq(os.path.realpath(os.path.join(names, name, "v")), v["path"], "by-name link")


# ---- space and rights ------------------------------------------------------------------------


@contextlib.contextmanager
def small_root(mount_options):
    root = harness.make_dir("small.", 0o755)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755," + mount_options, "small", root],
                   check=True)
    try:
        yield root
    finally:
        harness.unmount_below(root)
        harness.umount(root)


@suite.test
def a_root_without_inodes():
    with small_root("size=1m,nr_inodes=24") as root, bystander(root=root) as d:
        d.put_objects("more.yaml", pod("p0", {"v": "good"}))
        d.wait_published("default", "p0", "v")
        # side by side, each of these may get some inodes and none all that it needs
        d.put_objects("more.yaml", *[pod("p%d" % n, {"v": "good"}) for n in range(6)])
        d.wait_status(lambda s: s["counts"]["states"]["Failed"]
                      + s["counts"]["states"]["Stale"] > 0, "a failure")
        d.wait_status(lambda s: s["counts"]["states"]["Pending"] == 0, "no more to do")
        bad = [v for v in d.volumes(namespace="default") if v["state"] != "Published"]
        for v in bad:
            check_in(v["reason"], ("MountFailed", "WriteFailed"), "reason (%s)" % v["message"])
            check_in("No space left", v["message"], "message")
            check(v["nextRetryAt"], "no time to try again")
        check_eq(d.volume("default", "p0", "v")["state"], "Published", "what was there")
        d.delete("more.yaml")
        d.wait_status(lambda s: s["counts"]["volumes"] == 1, "an empty daemon")
        d.put_objects("more.yaml", pod("again", {"v": "good"}))
        d.wait_published("default", "again", "v")
        d.delete("more.yaml")
        d.wait_status(lambda s: s["counts"]["volumes"] == 1, "an empty daemon")


@suite.test
def a_failed_volume_comes_up_when_there_is_space():
    with small_root("size=1m,nr_inodes=64") as root, bystander(root=root) as d:
        filler = os.path.join(root, "filler")
        os.mkdir(filler)
        n = 0
        try:
            while True:
                os.mknod(os.path.join(filler, str(n)))
                n += 1
        except OSError as e:
            check_eq(e.strerror, "No space left on device", "why no more files can be made")
        d.put_objects("p.yaml", pod("p", {"v": "good"}))
        v = failed(d, "p", "MountFailed")
        check(not os.path.lexists(os.path.dirname(os.path.dirname(v["path"]))),
              "half-made directories are left")
        shutil.rmtree(filler)
        d.wait_published("default", "p", "v")


@suite.test
def a_volume_over_the_limit():
    with bystander(args=["--volume-size-limit", "1000"]) as d:
        d.put_objects("p.yaml", secret("s", {"a": "x" * 500, "b": "x" * 500}), pod("p", {"v": "s"}))
        v = d.wait_published("default", "p", "v")
        before = harness.read_tree(v["path"])
        d.put_objects("p.yaml", secret("s", {"a": "y" * 500, "b": "x" * 501}), pod("p", {"v": "s"}),
                      pod("q", {"v": "s"}))
        refused(d, "q", "TooLarge")
        v = d.wait_volume("default", "p", "v", in_state("Stale"))
        check_eq(v["reason"], "TooLarge", "reason")
        check_in("1001 bytes", v["message"], "message")
        check_eq(harness.read_tree(v["path"]), before, "the volume that is too large now")
        d.put_objects("p.yaml", secret("s", {"a": "y"}), pod("p", {"v": "s"}), pod("q", {"v": "s"}))
        d.wait_published("default", "q", "v")
        d.wait_published("default", "p", "v")


@suite.test
def updates_at_the_limit_do_not_run_out_of_space():
    size = 300 << 10
    with bystander(args=["--volume-size-limit", str(size), "--generation-grace", "500ms"]) as d:
        d.put_objects("p.yaml", pod("p", {"v": "s"}))
        for n in range(20):
            d.put_objects("s.yaml", secret("s", {"k": base64.b64encode(b"%06d" % n) * (size // 8)}))
        v = d.wait_published("default", "p", "v")
        last = base64.b64encode(b"%06d" % 19) * (size // 8)
        poll_until(lambda: harness.read_file(v["path"] + "/k") == last, "the last content")
        d.wait_published("default", "p", "v")
        check_eq([e["reason"] for e in d.events() if e["type"] == "Warning"
                  and e["reason"] == "FailedMount" and "space" in e["message"]], [], "failures")


@suite.test
def no_right_to_mount():
    with Daemon() as d:
        d.put_objects("good.yaml", secret("good", {"k": "1"}), pod("good", {"v": "good"}))
        v = d.wait_published("default", "good", "v")
        before = harness.read_tree(v["path"])
        d.stop()
        d.wrapper = list(NO_MOUNTING)
        d.put_objects("new.yaml", pod("new", {"v": "good"}))
        d.start()
        pid = d.process.pid
        failed(d, "new", "MountFailed")
        check_eq(d.volume("default", "good", "v")["state"], "Published", "the one that was there")
        check_eq(harness.read_tree(v["path"]), before, "the one that was there")
        d.put_objects("good.yaml", secret("good", {"k": "2"}), pod("good", {"v": "good"}))
        v = d.wait_volume("default", "good", "v", in_state("Stale"))
        check_eq(v["reason"], "MountFailed", "reason of an update")
        check(v["nextRetryAt"], "no time to try again")
        check_eq(harness.read_tree(v["path"]), before, "the one that was there")
        d.delete("good.yaml")
        v = d.wait_volume("default", "good", "v",
                          lambda x: x and x["state"] == "Removing" and x["reason"])
        check_eq(v["reason"], "MountFailed", "reason of a removal")
        check_eq(d.status()["pid"], pid, "process id")
        check_eq(d.ctl("status").returncode, 5, "exit code of status")
        d.stop()
        d.wrapper = []
        d.put_objects("s.yaml", secret("good", {"k": "3"}))
        d.start()
        d.wait_gone("default", "good", "v")
        v = d.wait_published("default", "new", "v")
        check_eq(harness.read_file(v["path"] + "/k"), b"3", "content")


@suite.test
def failures_are_tried_again_more_and_more_slowly():
    with bystander() as d:
        path = os.path.join(d.root, "pods/u/volumes/kubernetes.io~secret/v")
        os.makedirs(os.path.join(path, "full"))
        d.put_objects("p.yaml", pod("p", {"v": "good"}, uid="u"))
        e = d.wait_event(lambda e: e["pod"] == "p" and e["count"] >= 3, "a third failure")
        check_eq((e["type"], e["reason"]), ("Warning", "FailedMount"), "event")
        lines = [line for line in d.log().splitlines() if "default/p/v" in line]
        check_eq(len(lines), 1, "lines in the log for one failure that goes on")
        d.signal(signal.SIGHUP)
        os.rmdir(os.path.join(path, "full"))
        d.wait_published("default", "p", "v")


if __name__ == "__main__":
    sys.exit(suite.main())
