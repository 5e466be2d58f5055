#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs every case of cases.yaml, as changed by overrides.yaml, against a real daemon.

conformance.py [--build DIR] [--only S05*] [-v] [--jobs N]

A daemon a case: the texts are used as they stand, and nearly all of them name one pod `p`. Cases
that difference 9 changes run once more under --env-names=strict, where the table holds as it is.
"""

import base64
import hashlib
import json
import os
import sys

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import harness  # noqa: E402
from harness import Daemon, check, check_eq, check_in  # noqa: E402

STRICT = "--env-names=strict"
STRICT_CASES = ("S115", "S129")  # what --env-names=strict takes back of difference 9

# The sources of a reference that is ours.
OUR_REFERENCES = {"secretRef", "secretKeyRef", "fieldRef"}

# What the kubelet's text for a failure means in our words.
REASONS = (
    ("references non-existent secret key", "KeyNotFound"),
    ("not found", "SecretNotFound"),
    ("invalid path", "InvalidPath"),
    ("is a directory", "PathConflict"),
)

MOUNT_OPTIONS = {"ro", "nosuid", "nodev", "noexec"}


# ---- the table -------------------------------------------------------------------------------


def load_yaml(name):
    with open(os.path.join(HERE, name), encoding="utf-8") as f:
        return yaml.load(f, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def load_table():
    cases = load_yaml("cases.yaml")["cases"]
    check_eq(len({case["id"] for case in cases}), len(cases), "number of different case ids")
    return cases


def load_cases():
    """As the kubelet does it but for the differences, then what strict names take back of them."""
    cases = load_table()
    by_id = {case["id"]: case for case in cases}
    for override in load_yaml("overrides.yaml")["overrides"]:
        check(override.get("why") and override.get("difference"),
              "override of %(case)s says neither why nor which difference" % override)
        case = by_id[override["case"]]
        replace_fields(case["expect"], override.get("expect", {}))
        for number, fields in override.get("steps", {}).items():
            replace_fields(case["steps"][number]["expect"], fields)
    strict = [dict(case, id=case["id"] + "-strict", args=[STRICT])
              for case in load_table() if case["id"] in STRICT_CASES]
    check_eq(len(strict), len(STRICT_CASES), "cases for " + STRICT)
    return cases + strict


def replace_fields(expect, fields):
    for key, value in fields.items():
        if value is None:
            expect.pop(key, None)
        else:
            expect[key] = value


def missing_source(case):
    """Why a case cannot run: the source of values that secretvold does not have, or None."""
    if "containers" not in case["expect"]:
        return None
    for container in parse(case["pod"])["spec"]["containers"]:
        references = [r for var in container.get("env", []) for r in var.get("valueFrom", {})]
        references += [r for source in container.get("envFrom", []) for r in source]
        for reference in references:
            if reference not in OUR_REFERENCES | {"prefix"}:
                return "%s: no source for it" % reference
    return None


# ---- manifests -------------------------------------------------------------------------------


def parse(text):
    """The object of a manifest; {} where the text is meant to be malformed."""
    try:
        return yaml.safe_load(text) or {}
    except (yaml.YAMLError, ValueError):
        return {}


def extension(text):
    return ".json" if text.lstrip().startswith("{") else ".yaml"


def generated(text, case, name):
    """The text with the keys that `generate` adds to the Secret of this name."""
    entries = [g for g in case.get("generate", []) if g["secret"] == name]
    if not entries:
        return text
    obj = parse(text)
    for g in entries:
        value = g["byte"].encode() * g["count"]
        obj.setdefault("data", {})[g["key"]] = base64.b64encode(value).decode()
    return json.dumps(obj)  # JSON is YAML


def with_status(text, pod_status):
    """The Pod as the API server would show it in this state."""
    pod = parse(text)
    if pod_status.get("deletionTimestamp"):
        pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        pod["metadata"]["deletionGracePeriodSeconds"] = 30
    state = {"running": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
             "exited": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
    pod["status"] = {
        "phase": pod_status["phase"],
        "containerStatuses": [
            {"name": c["name"], "image": c["image"], "imageID": "", "ready": False,
             "restartCount": 0, "state": state[pod_status["containers"]]}
            for c in pod["spec"]["containers"]],
    }
    return json.dumps(pod, indent=1)


class Manifests:
    """Which file holds which object; each has one of its own."""

    def __init__(self, daemon, case):
        self.daemon = daemon
        self.case = case
        self.files = {}

    def apply(self, text, kind=None):
        """Writes the object's file anew; its name."""
        obj = parse(text)
        kind = kind or obj["kind"]
        name = (obj.get("metadata") or {}).get("name", "p")
        namespace = (obj.get("metadata") or {}).get("namespace", "default")
        if kind == "Secret":
            text = generated(text, self.case, name)
        key = (kind, namespace, name)
        if key not in self.files:
            self.files[key] = "%s-%d%s" % (kind.lower(), len(self.files), extension(text))
        self.daemon.put(self.files[key], text)
        return self.files[key]

    def delete_secret(self, name):
        self.daemon.delete(self.files.pop(("Secret", "default", name)))


# ---- checks ----------------------------------------------------------------------------------


class CaseRun:
    """One case on one daemon."""

    def __init__(self, daemon, case):
        self.d = daemon
        self.case = case
        self.manifests = Manifests(daemon, case)
        self.pod_name = "p"
        self.uid = None       # as the daemon tells it
        self.before = {}      # volume -> ..data before the step
        self.generation = {}  # volume -> generation before the step

    def run(self):
        for text in self.case.get("secrets", []):
            name = self.manifests.apply(text, "Secret")
        if "pod" in self.case:
            self.pod_name = (parse(self.case["pod"]).get("metadata") or {}).get("name", "p")
            name = self.manifests.apply(self.case["pod"], "Pod")
        self.object_file = name
        self.d.start()

        if "pod_status" in self.case:
            self.apply_pod_status()
        self.settle_and_check(self.case["expect"])
        self.check_pod(self.case["expect"])
        self.check_environments(self.case["expect"])
        self.check_events(self.case["expect"])
        for number, step in enumerate(self.case.get("steps", [])):
            self.remember()
            try:
                self.step(step)
            except AssertionError as e:
                e.args = ("step %d: %s" % (number, e),) + e.args[1:]
                raise
        check_eq(self.d.stop(), 0, "exit status after SIGTERM")

    def check_pod(self, expect):
        """No container may start before every mounted volume is there (R58)."""
        if expect["result"] == "reject" or "pod" not in self.case:
            return
        pod = next(p for p in self.d.pods() if p["name"] == self.pod_name)
        if self.case.get("pod_status", {}).get("phase") == "Succeeded":
            check_eq(pod["terminated"], True, "the pod is terminated")
        else:
            ready = expect["result"] == "ok" or "container" in expect["error"]
            check_eq(pod["state"], "Ready" if ready else "NotReady", "pod state")

    # -- environments (R65-R73)

    def check_environments(self, expect):
        for name, want in expect.get("containers", {}).items():
            self.check_environment(name, want)
        if "container" in (expect.get("error") or {}):
            self.check_no_environment(expect["error"])
        if "containers" in expect:
            self.check_name_events(expect.get("events", []))

    def post_env(self, container):
        body = json.dumps({"namespace": "default", "pod": self.pod_name, "container": container})
        status, _, answer = self.d.client.request("POST", "/v1/env", body)
        return status, json.loads(answer)

    def ctl_env(self, container):
        return self.d.ctl("env", self.pod_name, "-c", container, "-o", "json")

    def check_environment(self, container, want):
        result = self.ctl_env(container)
        check_eq(result.returncode, 0, "exit status of secretvolctl env: " + result.stderr)
        status, answer = self.post_env(container)
        check_eq(status, 200, "POST /v1/env: %s" % answer)
        for source, entries in (("secretvolctl", json.loads(result.stdout)["env"]),
                                ("POST /v1/env", answer["env"])):
            got = environment(entries)
            check_eq(got, {str(k): expected_value(v) for k, v in want.get("env", {}).items()},
                     "environment by " + source)
            for name in want.get("env_absent", []):
                check(name not in got, "%s: variable %s is there" % (source, name))
        for field in ("command", "args"):
            check_eq(answer[field], want.get(field), field)

    def check_no_environment(self, error):
        result = self.ctl_env(error["container"])
        check_eq((result.returncode, result.stdout), (5, ""), "secretvolctl env")
        check_in(error["substring"], result.stderr, "complaint of secretvolctl env")
        status, answer = self.post_env(error["container"])
        check_eq(status, 409, "status of POST /v1/env")
        check_in(error["substring"], answer["error"], "complaint of POST /v1/env")
        check_eq(error["class"], "CreateContainerConfigError", "class of the failure")
        self.check_event("Warning", "Failed", "Error: " + error["substring"])

    def check_name_events(self, want):
        reason = "InvalidEnvironmentVariableNames"
        got = [e["message"] for e in self.d.events() if e["reason"] == reason]
        check_eq(len(got), len([e for e in want if e["reason"] == reason]), "events " + reason)

    def apply_pod_status(self):
        """A volume can only be taken down, or be left alone, once it is there."""
        names = list(self.case["expect"]["volumes"])
        for volume in names:
            self.uid = self.wait(volume, harness.in_state("Published"))["podUid"]
        self.manifests.apply(with_status(self.case["pod"], self.case["pod_status"]), "Pod")
        self.d.marker()

    def remember(self):
        for volume in self.d.volumes(namespace="default", pod=self.pod_name):
            self.generation[volume["volume"]] = volume["generation"]
            if os.path.isdir(volume["path"]):
                tree = harness.read_tree(volume["path"])
                self.before[volume["volume"]] = (volume["path"], tree["data"])

    def step(self, step):
        if "apply" in step:
            self.object_file = self.manifests.apply(step["apply"])
        else:
            self.manifests.delete_secret(step["delete"])
        expect = step["expect"]
        for volume, changed in expect.get("data_dir_changed", {}).items():
            if changed:
                self.wait(volume, harness.newer_than(self.generation[volume]))
        if not any(expect.get("data_dir_changed", {}).values()):
            self.d.marker()
        self.settle_and_check(expect)
        if expect["result"] == "reject":  # the object as it was before still counts
            self.check_unchanged()
        for volume, changed in expect.get("data_dir_changed", {}).items():
            path, data = self.before[volume]
            now = os.readlink(os.path.join(path, "..data"))
            check_eq(now != data, changed, "volume %s: ..data changed" % volume)

    def check_unchanged(self):
        for name, spec in self.case["expect"]["volumes"].items():
            self.check_volume(name, spec)
            path, data = self.before[name]
            check_eq(os.readlink(os.path.join(path, "..data")), data, "volume %s: ..data" % name)

    def wait(self, volume, predicate):
        return self.d.wait_volume("default", self.pod_name, volume, predicate)

    # -- one expectation

    def settle_and_check(self, expect):
        if expect["result"] == "reject":
            self.check_rejected(expect)
        else:
            errors = self.d.problems("error")
            check(not errors, "unexpected problem: %s" % json.dumps(errors[:1]))
            check_eq([p["name"] for p in self.d.pods() if p["namespace"] == "default"],
                     [self.pod_name], "pods in namespace default")
        for name, spec in expect.get("volumes", {}).items():
            self.check_volume(name, spec)
        if expect["result"] == "fail" and "volume" in expect["error"]:
            self.check_failure(expect)
        for path in expect.get("host_paths", []):
            check(os.path.exists(self.host_path(path)), "host path %s is missing" % path)
        for path in expect.get("host_paths_absent", []):
            check(not os.path.lexists(self.host_path(path)), "host path %s exists" % path)

    def host_path(self, path):
        return os.path.join(self.d.root, path.replace("{uid}", self.uid))

    # -- rejected objects

    def check_rejected(self, expect):
        kind = expect["object"].capitalize()
        name = self.pod_name if kind == "Pod" else "s"
        first_time = self.uid is None
        if kind == "Pod":
            listed = [(p["namespace"], p["name"]) for p in self.d.pods()]
            check(("default", name) not in listed, "the pod was accepted")
            check_eq(self.d.volumes(namespace="default", pod=name), [], "volumes of a refused pod")
            pods_dir = os.path.join(self.d.root, "pods")
            check_eq(os.listdir(pods_dir) if os.path.isdir(pods_dir) else [], [], "pods on disk")
        elif first_time:
            listed = [(s["namespace"], s["name"]) for s in self.d.secrets()]
            check(("default", name) not in listed, "the secret was accepted")
        self.check_problem(kind, name, expect["error"])

    def check_problem(self, kind, name, error):
        problems = self.d.problems("error")
        misses = [problem_mismatch(p, kind, name, error, self.object_file) for p in problems]
        if problems and None in misses:
            return
        lines = ["  %s: %s" % (miss, json.dumps(p, sort_keys=True, ensure_ascii=False))
                 for p, miss in zip(problems, misses)]
        raise AssertionError("no problem in the status matches %s:\n    %s" % (
            json.dumps(error, ensure_ascii=False), "\n    ".join(lines) or "  none is listed"))

    # -- failed volumes

    def check_failure(self, expect):
        error = expect["error"]
        substrings = as_list(error["substring"])
        volume = self.d.volume("default", self.pod_name, error["volume"])
        check(any(s in volume["message"] for s in substrings),
              "message of volume %s: %r holds none of %r" % (error["volume"], volume["message"],
                                                             substrings))
        reason = expect.get("reason") or next(
            word for text, word in REASONS if text in substrings[0])
        check_eq(volume["reason"], reason, "reason of volume %s" % error["volume"])
        self.check_event("Warning", error["class"], substrings, error["volume"])

    def check_events(self, expect):
        for event in expect.get("events", []):
            self.check_event(event["type"], event["reason"], event["substring"])

    def check_event(self, kind, reason, substrings, volume=None):
        def matches(event):
            return (event["type"] == kind and event["reason"] == reason
                    and (event["namespace"], event["pod"]) == ("default", self.pod_name)
                    and volume in (None, event["volume"])
                    and any(s in event["message"] for s in as_list(substrings)))
        self.d.wait_event(matches, "event %s %s with %r" % (kind, reason, substrings))

    # -- volumes

    def check_volume(self, name, spec):
        state = spec["state"]
        if state == "mounted":
            volume = self.wait(name, harness.in_state("Published"))
            self.check_mounted(volume, spec)
            self.check_by_name(volume, True)
            self.check_listed_files(volume, spec)
        elif state == "failed_keeps_old":
            volume = self.wait(name, harness.in_state("Stale"))
            self.check_mounted(volume, spec)
        elif state == "failed":
            volume = self.wait(name, harness.in_state("Refused", "Failed"))
            self.check_absent(volume)
        elif state == "not_materialised":
            volume = self.wait(name, harness.in_state("Unused"))
            check_eq(volume["reason"], "", "complaint about unused volume " + name)
            self.check_absent(volume)
        elif state == "unmounted":
            self.wait(name, harness.gone)
            self.check_gone(name)
        else:
            raise ValueError("unknown state " + state)

    def volume_path(self, volume):
        kind = {"secret": "kubernetes.io~secret", "projected": "kubernetes.io~projected"}
        self.uid = volume["podUid"]
        check(self.uid, "volume %s has no podUid" % volume["volume"])
        return os.path.join(self.d.root, "pods", self.uid, "volumes", kind[volume["type"]],
                            volume["volume"])

    def check_absent(self, volume):
        path = self.volume_path(volume)
        check(not os.path.lexists(path), "%s exists" % path)
        self.check_by_name(volume, False)

    def check_gone(self, name):
        for base, dirs, _ in os.walk(os.path.join(self.d.root, "pods")):
            check(name not in dirs, "%s is left in %s" % (name, base))
        check(not os.path.lexists(self.by_name(name)), "by-name link stays")

    def by_name(self, name):
        return os.path.join(self.d.root, "by-name", "default", self.pod_name, name)

    def check_by_name(self, volume, present):
        link = self.by_name(volume["volume"])
        check_eq(os.path.islink(link), present, "by-name link of %s exists" % volume["volume"])
        if present:
            check_eq(os.path.realpath(link), os.path.realpath(volume["path"]), "by-name link")

    def check_mounted(self, volume, spec):
        name, path = volume["volume"], self.volume_path(volume)
        check_eq(volume["path"], path, "path of volume %s" % name)
        mount = harness.mount_at(path)
        check(mount, "%s is not a mount" % path)
        check_eq(mount["fstype"], spec["fstype"], "file system of volume %s" % name)
        check(MOUNT_OPTIONS <= mount["options"], "volume %s lacks mount options %s" % (
            name, ",".join(sorted(MOUNT_OPTIONS - mount["options"]))))
        check_eq(len([m for m in harness.mounts() if m["path"] == path]), 1,
                 "mounts at volume %s" % name)
        if name in self.before:
            self.wait_old_generation_gone(*self.before[name])
        self.check_tree(name, harness.read_tree(path), spec)

    @staticmethod
    def wait_old_generation_gone(path, data):
        """It stays for the grace period; nothing tells its end."""
        old = os.path.join(path, data)

        def only_one():
            return os.readlink(os.path.join(path, "..data")) == data or not os.path.lexists(old)
        harness.poll_until(only_one, "removal of the old generation " + data)

    def check_tree(self, name, tree, spec):
        what = "volume %s: " % name
        check_fields(tree["dir"], spec["dir"], what + "root")
        check(tree["data"], what + "no ..data")
        check(harness.DATA_DIR_RE.match(tree["data"]), what + "..data holds " + tree["data"])
        check_fields(tree["data_dir"], spec["data_dir"], what + "data directory")
        check_names(tree["files"], spec["files"], what + "files")
        for path, want in spec["files"].items():
            check_file(tree["files"][str(path)], want, what + "file %s" % path)
        # A directory that is only listed through its files is not spelt out in every case.
        dirs = {str(p) for p in spec.get("dirs", {})}
        implied = {parent for f in spec["files"] for parent in parents(str(f))}
        check_eq(set(tree["dirs"]), dirs | implied, what + "directories")
        for path, want in spec.get("dirs", {}).items():
            check_fields(tree["dirs"][str(path)], want, what + "directory %s" % path)
        check_eq(tree["links"], {str(k): str(v) for k, v in spec["links"].items()}, what + "links")
        check_names(tree["extra_dirs"], spec.get("extra_dirs", {}), what + "extra directories")
        for path, want in spec.get("extra_dirs", {}).items():
            check_fields(tree["extra_dirs"][str(path)], want, what + "extra directory %s" % path)
        check_eq(tree["others"], [], what + "things that do not belong there")

    @staticmethod
    def check_listed_files(volume, spec):
        """What the daemon says is there is what is there."""
        got = {f["path"]: (f["mode"], f["uid"], f["gid"], f["size"]) for f in volume["files"]}
        want = {str(path): (f["mode"], f["uid"], f["gid"], size_of(f))
                for path, f in spec["files"].items()}
        check_eq(got, want, "files that the daemon lists for volume %s" % volume["volume"])


def expected_value(value):
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else str(value).encode()


def environment(entries):
    """name -> bytes of "env" in an answer; a name is there once."""
    result = {}
    for entry in entries:
        check(entry["name"] not in result, "variable %(name)s twice" % entry)
        result[entry["name"]] = (entry["value"].encode("utf-8", "surrogatepass")
                                 if "value" in entry else base64.b64decode(entry["valueBase64"]))
    return result


def as_list(value):
    return value if isinstance(value, list) else [value]


def parents(path):
    parts = path.split("/")
    return ["/".join(parts[:i]) for i in range(1, len(parts))]


def size_of(want):
    return want["size"] if "size" in want else len(base64.b64decode(want["content"]))


def check_fields(got, want, what):
    check_eq({k: got[k] for k in want}, {k: want[k] for k in want}, what)


def check_names(got, want, what):
    check_eq(sorted(map(str, got)), sorted(map(str, want)), what)


def check_file(got, want, what):
    check_fields(got, {k: want[k] for k in ("mode", "uid", "gid")}, what)
    if "content" in want:
        check_eq(got["content"], base64.b64decode(want["content"]), what)
    else:
        check_eq(len(got["content"]), want["size"], what + ": size")
        check_eq(hashlib.sha256(got["content"]).hexdigest(), want["sha256"], what + ": SHA-256")


def problem_mismatch(problem, kind, name, error, file_name):
    """None if a problem of the status is the expected one, else what differs.

    The field of a decode error is a hint, which must turn up somewhere; but a text that is malformed
    as a whole has no kind, no name and no field at all.
    """
    decode = error["class"] == "decode"
    unknown = ("",) if decode else ()
    if problem["kind"] not in (kind,) + unknown:
        return "other kind"
    if problem["name"] not in (name,) + unknown:
        return "other name"
    if problem["namespace"] not in ("default",) + unknown:
        return "other namespace"
    if os.path.basename(problem["file"]) != file_name:
        return "other file than " + file_name
    if problem["category"] != error["class"]:
        return "other category"
    if error["substring"] not in problem["message"]:
        return "other message"
    if (decode and problem["kind"]
            and error["field"] not in problem["field"] + " " + problem["message"]):
        return "field not hinted at"
    if not decode and problem["field"] != error["field"]:
        return "other field"
    return None


# ---- main ------------------------------------------------------------------------------------


def make_test(case):
    def test():
        with Daemon(start=False, args=case.get("args", ())) as daemon:
            try:
                CaseRun(daemon, case).run()
            except AssertionError as e:
                e.args = ("%s: %s" % (case["title"], e),) + e.args[1:]
                raise
    return test


def main():
    suite = harness.Suite("conformance", jobs=2)
    for case in load_cases():
        suite.add(case["id"], make_test(case), missing_source(case))
    return suite.main()


if __name__ == "__main__":
    sys.exit(main())
