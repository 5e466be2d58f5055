#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Environments from Secrets: what secretvolctl env prints, to whom, and what is remembered."""

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness  # noqa: E402
from fake_api import FakeApi  # noqa: E402
from harness import Daemon, check, check_eq, check_in, daemon_with, poll_until, secret  # noqa: E402

suite = harness.Suite("env")

NOBODY = 65534
SHELLS = ("sh", "dash", "bash")


# ---- objects and answers ---------------------------------------------------------------------


def pod(name, containers, namespace="default", metadata=None, **spec):
    """A Pod; containers: name -> fields beside the name."""
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": dict({"name": name, "namespace": namespace}, **(metadata or {})),
            "spec": dict({"containers": [dict({"name": n, "image": "img"}, **fields)
                                         for n, fields in containers.items()]}, **spec)}


def key_ref(name, secret_name, key, **fields):
    return {"name": name,
            "valueFrom": {"secretKeyRef": dict({"name": secret_name, "key": key}, **fields)}}


def field_ref(name, path):
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def value(name, text):
    return {"name": name, "value": text}


def env_from(secret_name, prefix=None, **fields):
    result = {"secretRef": dict({"name": secret_name}, **fields)}
    if prefix is not None:
        result["prefix"] = prefix
    return result


def env_json(d, *args):
    """name -> bytes, by -o json."""
    result = d.ctl("env", *args, "-o", "json")
    check_eq((result.returncode, result.stderr), (0, ""), "secretvolctl env " + " ".join(args))
    answer = json.loads(result.stdout)
    check_eq(list(answer), ["env"], "members of the answer")
    check_eq(len({e["name"] for e in answer["env"]}), len(answer["env"]), "different names")
    return {e["name"]: e["value"].encode() if "value" in e
            else base64.b64decode(e["valueBase64"], validate=True) for e in answer["env"]}


def check_refused(d, args, code, *texts):
    result = d.ctl("env", *args)
    check_eq((result.returncode, result.stdout), (code, ""), "env %s" % " ".join(args))
    check_eq(result.stderr.count("\n"), 1, "lines on stderr: " + result.stderr)
    check(result.stderr.startswith("Error: "), "complaint: " + result.stderr)
    for text in texts:
        check_in(text, result.stderr, "complaint of env %s" % " ".join(args))


# ---- the three forms -------------------------------------------------------------------------


@suite.test
def env_form_is_one_line_a_variable_in_order():
    with daemon_with(secret("s", {"user": "alice", "pass": "a b=c $x '\"\\ é"}),
                     pod("p", {"c": {"envFrom": [env_from("s")],
                                     "env": [value("Z", "z"), value("EMPTY", "")]}})) as d:
        result = d.ctl("env", "p")
        check_eq(result.stdout, "pass=a b=c $x '\"\\ é\nuser=alice\nZ=z\nEMPTY=\n", "stdout")
        check_eq((result.returncode, result.stderr), (0, ""), "the rest")
        check_eq(d.ctl("env", "p", "-o", "env").stdout, result.stdout, "-o env")
        check_eq(d.ctl("env", "default/p").stdout, result.stdout, "NAMESPACE/POD")
        check_eq(d.ctl("env", "pod/p", "-n", "default").stdout, result.stdout, "pod/POD")


@suite.test
def env_form_names_the_variable_that_it_cannot_hold():
    for bad, why in ((b"a\nb", "line break"), (b"a\rb", "line break"), (b"a\0b", "NUL")):
        with daemon_with(secret("s", {"bad": bad}),
                         pod("p", {"c": {"env": [value("GOOD", "1"),
                                                 key_ref("BAD", "s", "bad")]}})) as d:
            check_refused(d, ("p",), 1, "BAD", why)
            check_eq(env_json(d, "p"), {"GOOD": b"1", "BAD": bad}, "-o json")


@suite.test
def env_form_holds_bytes_that_are_no_utf8():
    with daemon_with(secret("s", {"k": b"\xff\xfe\x80"}),
                     pod("p", {"c": {"envFrom": [env_from("s")]}})) as d:
        got = subprocess.run([os.path.join(harness.options.build, "secretvolctl"), "--socket",
                              d.socket_path, "env", "p"], capture_output=True, check=True)
        check_eq(got.stdout, b"k=\xff\xfe\x80\n", "stdout")


@suite.test
def json_form_has_base64_only_for_what_is_no_text():
    data = {"text": b"caf\xc3\xa9\n\t\x01", "nul": b"a\0", "latin1": b"caf\xe9", "none": b"",
            "surrogate": b"\xed\xa0\x80", "long": b"x" * 100000}
    with daemon_with(secret("s", data), pod("p", {"c": {"envFrom": [env_from("s")]}})) as d:
        answer = json.loads(d.ctl("env", "p", "-o", "json").stdout)
        forms = {e["name"]: sorted(set(e) - {"name"}) for e in answer["env"]}
        check_eq({n for n, f in forms.items() if f == ["valueBase64"]},
                 {"nul", "latin1", "surrogate"}, "names with base64")
        check_eq({n for n, f in forms.items() if f == ["value"]}, {"text", "none", "long"},
                 "names with text")
        check_eq(env_json(d, "p"), data, "values")


NASTY = {
    "QUOTE": b"it's '' \"'\" \\' $HOME `id` $(id) !x",
    "LINES": b"\n\nfirst\n second\\\n\n",
    "BYTES": bytes(range(1, 256)),
    "EMPTY": b"",
    "SPACES": b"  a  *  ?  [x]  ~ ",
    "OPTION": b"-n",
    "_1": b"; exit 3 #",
}


@suite.test
def shell_form_gives_the_bytes_back_in_every_shell():
    with daemon_with(secret("s", NASTY), pod("p", {"c": {"envFrom": [env_from("s")]}})) as d:
        code = os.path.join(d.home, "env.sh")
        with open(code, "wb") as out:
            subprocess.run([os.path.join(harness.options.build, "secretvolctl"), "--socket",
                            d.socket_path, "env", "p", "-o", "shell"], stdout=out, check=True)
        for shell in SHELLS:
            path = shutil.which(shell)
            check(path, shell + " is missing")
            # As it is used: eval "$(…)"; read back from the environment of a child.
            got = subprocess.run([path, "-c", 'eval "$(cat "$1")"; exec env -0', shell, code],
                                 env={"PATH": os.environ["PATH"], "LC_ALL": "C"}, check=True,
                                 capture_output=True).stdout
            variables = dict(entry.split(b"=", 1) for entry in got.split(b"\0") if entry)
            for name, want in NASTY.items():
                check_eq(variables.get(name.encode()), want, "%s in %s" % (name, shell))


@suite.test
def shell_form_names_what_no_shell_can_hold():
    with daemon_with(secret("s", {"a.b": "1"}), secret("t", {"NUL": b"\0"}),
                     secret("u", {"a": "1"}),
                     pod("dots", {"c": {"envFrom": [env_from("s")]}}),
                     pod("digit", {"c": {"env": [value("1A", "x")]}}),
                     pod("inject", {"c": {"envFrom": [env_from("u", "x;id;#")]}}),
                     pod("nul", {"c": {"envFrom": [env_from("t")]}})) as d:
        check_refused(d, ("dots", "-o", "shell"), 1, "a.b", "no shell variable")
        check_refused(d, ("digit", "-o", "shell"), 1, "1A", "no shell variable")
        check_refused(d, ("inject", "-o", "shell"), 1, "x;id;#a", "no shell variable")
        check_refused(d, ("nul", "-o", "shell"), 1, "NUL", "NUL character")
        check_eq(d.ctl("env", "dots").stdout, "a.b=1\n", "the env form has no such limit")


@suite.test
def an_empty_environment_is_no_error():
    with daemon_with(pod("p", {"c": {}})) as d:
        check_eq(d.ctl("env", "p").stdout, "", "env")
        check_eq(d.ctl("env", "p", "-o", "shell").stdout, "", "shell")
        check_eq(d.ctl("env", "p", "-o", "json").stdout, '{"env":[]}\n', "json")


# ---- who may ask -----------------------------------------------------------------------------


@suite.test
def only_root_gets_values():
    place = harness.make_dir("public.", 0o755)
    ctl = shutil.copy(os.path.join(harness.options.build, "secretvolctl"), place)
    os.chmod(ctl, 0o755)
    d = Daemon(start=False, args=["--socket", place + "/sock", "--socket-group", "daemon"])
    d.socket_path = place + "/sock"
    d.client = harness.Client(d.socket_path)
    d.put_objects("o.yaml", secret("s", {"k": "top-secret-value"}),
                  pod("p", {"c": {"envFrom": [env_from("s")]}}))

    def as_user(groups, *args):
        return subprocess.run(["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY)]
                              + groups + ["--", ctl, "--socket", d.socket_path] + list(args),
                              text=True, capture_output=True, timeout=harness.DEADLINE_S,
                              stdin=subprocess.DEVNULL, cwd="/")
    with d:
        d.start()
        member = ["--groups", "daemon"]
        check_eq(as_user(member, "get", "pods", "-o", "name").stdout, "pod/p\n",
                 "a member of the group may read status")
        for verb in ("env", "exec"):
            for groups in (member, ["--clear-groups"]):
                result = as_user(groups, verb, "p", *(["--", "env"] if verb == "exec" else []))
                heard = groups == member or verb == "exec"  # others cannot open the socket
                check_eq((result.returncode, result.stdout), (1 if heard else 3, ""),
                         "%s as %s: %s" % (verb, groups, result.stderr))
                check_in("only root may" if heard else "Permission denied", result.stderr,
                         "complaint")
        check_eq(d.ctl("env", "p").stdout, "k=top-secret-value\n", "root")
        check(all(not p["containers"][0]["environment"]["stale"] for p in d.pods()), "handed out")


@suite.test
def a_bad_request_is_refused_and_told():
    with daemon_with(pod("p", {"c": {}})) as d:
        for body, status in (("", 400), ("{", 400), ("[]", 400), ("{}", 400), ('{"pod":1}', 400),
                             ('{"pod":"nope"}', 404), ('{"pod":"p","namespace":"x"}', 404),
                             ('{"pod":"p","container":"x"}', 404), ('{"pod":"p"}', 200),
                             ('{"pod":"p","more":{"a":[1]}}', 200)):
            got, _, answer = d.client.request("POST", "/v1/env", body)
            check_eq(got, status, "POST %s: %s" % (body, answer))
            if status != 200:
                check(json.loads(answer)["error"], "a text")
        for name in ("namespace", "pod", "container"):
            for wrong in (5, "", "\0", "c\0", [], {}, False):
                body = json.dumps(dict({"pod": "p"}, **{name: wrong}))
                got, _, answer = d.client.request("POST", "/v1/env", body)
                check_eq((got, json.loads(answer)["error"]), (400, name + ": expects a name"),
                         "POST " + body)
        check_eq(d.client.get("/v1/env")[0], 405, "GET")


# ---- which objects ---------------------------------------------------------------------------


@suite.test
def containers_are_chosen_by_name():
    with daemon_with(secret("s", {"k": "v"}), secret("s", {"k": "other"}, namespace="ns"),
                     pod("p", {"a": {"env": [value("WHO", "a")]},
                               "b": {"env": [value("WHO", "b"), key_ref("K", "s", "k")]}},
                         initContainers=[{"name": "i", "image": "img",
                                          "env": [value("WHO", "init"), key_ref("K", "s", "k")]}]),
                     pod("p", {"a": {"envFrom": [env_from("s")]}}, namespace="ns")) as d:
        check_eq(env_json(d, "p"), {"WHO": b"a"}, "the first that is no init container")
        check_eq(env_json(d, "p", "-c", "b"), {"WHO": b"b", "K": b"v"}, "-c b")
        check_eq(env_json(d, "p", "--container=i"), {"WHO": b"init", "K": b"v"}, "init container")
        check_eq(env_json(d, "p", "-n", "ns"), {"k": b"other"}, "the other namespace")
        check_eq(env_json(d, "ns/p"), {"k": b"other"}, "NAMESPACE/POD")
        check_refused(d, ("p", "-c", "x"), 4, 'container "x" not found')
        check_refused(d, ("nope",), 4, 'pod "nope" not found')
        check_refused(d, ("p", "-n", "elsewhere"), 4, 'pod "p" not found')
        check_refused(d, (), 2)
        check_refused(d, ("p", "q"), 2)
        check_refused(d, ("p", "-o", "yaml"), 2)
        check_refused(d, ("p", "-c", ""), 2, "the container of option '-c' is empty")


# ---- missing things (R66, R67, R71) ----------------------------------------------------------


@suite.test
def a_missing_required_reference_is_the_kubelets_text():
    with daemon_with(secret("s", {"k": "v"}, namespace="ns"),
                     pod("key", {"c": {"env": [key_ref("A", "s", "nope")]}}, namespace="ns"),
                     pod("secret", {"c": {"env": [key_ref("A", "gone", "k")]}}, namespace="ns"),
                     pod("all", {"c": {"envFrom": [env_from("gone")]}}, namespace="ns")) as d:
        for name, text in (("key", "couldn't find key nope in Secret ns/s"),
                           ("secret", 'secret "gone" not found'),
                           ("all", 'secret "gone" not found')):
            for form in ("env", "json", "shell"):
                check_refused(d, ("ns/" + name, "-o", form), 5, text)
            event = d.wait_event(lambda e, n=name: e["pod"] == n, "an event of " + name)
            check_eq((event["type"], event["reason"], event["namespace"], event["message"]),
                     ("Warning", "Failed", "ns", "Error: " + text), "event")
            status, _, body = d.client.request("POST", "/v1/env", json.dumps(
                {"namespace": "ns", "pod": name}))
            check_eq((status, json.loads(body)["error"]), (409, text), "POST /v1/env")
        check(all(p["containers"][0]["environment"] is None for p in d.pods()),
              "a failure counts as handed out")


@suite.test
def what_was_missing_counts_once_it_is_there():
    with daemon_with(pod("p", {"c": {"env": [key_ref("A", "s", "k")]}})) as d:
        check_refused(d, ("p",), 5, 'secret "s" not found')
        d.put_objects("s.yaml", secret("s", {"k": "v"}))
        d.marker()
        check_eq(env_json(d, "p"), {"A": b"v"}, "environment")


@suite.test
def optional_references_leave_what_is_there():
    with daemon_with(secret("s", {"A": "from-secret", "B": "b"}),
                     pod("p", {"c": {
                         "envFrom": [env_from("gone", optional=True), env_from("s")],
                         "env": [key_ref("A", "gone", "k", optional=True),
                                 key_ref("B", "s", "nokey", optional=True),
                                 value("C", "1"), key_ref("C", "s", "nokey", optional=True),
                                 key_ref("D", "gone", "k", optional=True)]}})) as d:
        check_eq(env_json(d, "p"), {"A": b"from-secret", "B": b"b", "C": b"1"}, "environment")


@suite.test
def a_refused_secret_is_told_apart_from_a_missing_one():
    with daemon_with(pod("p", {"c": {"env": [key_ref("A", "s", "k")]}}),
                     secret("s", data={}, type="kubernetes.io/tls")) as d:
        check_refused(d, ("p",), 5, 'secret "s" not found', "invalid")


# ---- order, prefixes, expansion (R65-R70) ----------------------------------------------------


@suite.test
def later_sources_win_and_env_beats_envfrom():
    with daemon_with(secret("s", {"A": "s", "B": "s", "C": "s"}),
                     secret("t", {"B": "t", "C": "t", "D": "t"}),
                     pod("p", {"c": {"env": [value("C", "env"), value("E", "1"), value("E", "2")],
                                     "envFrom": [env_from("s"), env_from("t")]}})) as d:
        check_eq(env_json(d, "p"), {"A": b"s", "B": b"t", "C": b"env", "D": b"t", "E": b"2"},
                 "environment")


@suite.test
def prefixes_go_in_front_of_every_key():
    with daemon_with(secret("s", {"user": "alice", "1st": "x", "a.b-c": "y"}),
                     pod("p", {"c": {"envFrom": [env_from("s", "DB_"), env_from("s", "")]}})) as d:
        check_eq(env_json(d, "p"), {"DB_user": b"alice", "DB_1st": b"x", "DB_a.b-c": b"y",
                                    "user": b"alice", "1st": b"x", "a.b-c": b"y"}, "environment")


@suite.test
def strict_names_skip_keys_and_say_so_once_a_source():
    objects = (secret("s", {"2b": "x", "1a": "y", "ok": "z"}), secret("t", {"3c": "x"}),
               pod("p", {"c": {"envFrom": [env_from("s"), env_from("t"), env_from("s", "K")]}}))
    text = "Keys [%s] from the EnvFrom secret default/%s were skipped since they are considered " \
           "invalid environment variable names."
    want = [text % ("1a, 2b", "s"), text % ("3c", "t")]
    with daemon_with(*objects, args=["--env-names=strict"]) as d:
        result = d.ctl("env", "p")
        check_eq(result.stdout, "ok=z\nK1a=y\nK2b=x\nKok=z\n", "stdout")
        check_eq(result.stderr, "".join("Notice: %s\n" % line for line in want), "stderr")
        check_eq([(e["type"], e["message"], e["count"]) for e in d.events()
                  if e["reason"] == "InvalidEnvironmentVariableNames"],
                 [("Warning", line, 1) for line in want], "events")
    with daemon_with(*objects) as d:
        result = d.ctl("env", "p")
        check_eq((len(result.stdout.splitlines()), result.stderr), (7, ""), "relaxed names")


@suite.test
def references_are_expanded_once_and_only_in_values():
    data = {"user": "alice", "ref": "$(user) $$", "odd)": "x"}
    del data["odd)"]
    with daemon_with(secret("s", data), pod("p", {"c": {
            "envFrom": [env_from("s")],
            "env": [value("A", "$(user)/$(B)/$(NOPE)"), value("B", "b"), value("C", "$(B)$(A)"),
                    value("D", "$$(user) $$$(user) $$$$(user)"), value("E", "$(user $(ref)"),
                    value("F", "$()$ $x $"), value("G", "$(ref)"), key_ref("H", "s", "ref"),
                    value("I", "$(I)"), value("J", "$(H)"), value("K", "$($(user))")],
            "command": ["prog", "$(A)", "$$(A)", "$(NOPE)"], "args": ["$(C)", ""]}})) as d:
        got = env_json(d, "p")
        for name in ("user", "ref"):
            check_eq(got.pop(name), data[name].encode(), name)
        check_eq(got, {"A": b"alice/$(B)/$(NOPE)", "B": b"b", "C": b"balice/$(B)/$(NOPE)",
                       "D": b"$(user) $alice $$(user)", "E": b"$(user $(ref)", "F": b"$()$ $x $",
                       "G": b"$(user) $$", "H": b"$(user) $$", "I": b"$(I)", "J": b"$(user) $$",
                       "K": b"$($(user))"}, "environment")
        status, _, body = d.client.request("POST", "/v1/env", '{"pod":"p"}')
        answer = json.loads(body)
        check_eq((status, answer["command"], answer["args"]),
                 (200, ["prog", "alice/$(B)/$(NOPE)", "$(A)", "$(NOPE)"],
                  ["balice/$(B)/$(NOPE)", ""]), "command and args")


# ---- other kinds of sources ------------------------------------------------------------------


@suite.test
def fields_of_the_pod_are_known():
    metadata = {"uid": "11111111-2222", "labels": {"app": "web", "x/y": "z"},
                "annotations": {"note": "a'b]c"}}
    fields = {"NAME": "metadata.name", "NS": "metadata.namespace", "UID": "metadata.uid",
              "APP": "metadata.labels['app']", "XY": "metadata.labels['x/y']",
              "NOTE": "metadata.annotations['note']", "NONE": "metadata.labels['nope']",
              "NODE": "spec.nodeName"}
    container = {"env": [field_ref(n, p) for n, p in fields.items()]
                 + [value("ID", "$(NS)/$(NAME)")]}
    want = {"NAME": b"p", "NS": b"ns", "UID": b"11111111-2222", "APP": b"web", "XY": b"z",
            "NOTE": b"a'b]c", "NONE": b"", "NODE": b"node-7", "ID": b"ns/p"}
    with daemon_with(pod("p", {"c": container}, namespace="ns", metadata=metadata),
                     args=["--node-name", "node-7"]) as d:
        check_eq(env_json(d, "ns/p"), want, "environment")


@suite.test
def other_sources_are_refused_by_name():
    refused = {
        "configMapKeyRef": ({"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {
            "name": "settings", "key": "k"}}}]}, "settings"),
        "configMapRef": ({"envFrom": [{"configMapRef": {"name": "settings"}}]}, "settings"),
        "resourceFieldRef": ({"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {
            "resource": "limits.cpu"}}}]}, "limits.cpu"),
        "fieldPath": ({"env": [field_ref("A", "status.podIP")]}, "status.podIP"),
    }
    for kind, (container, what) in refused.items():
        with daemon_with(pod("p", {"c": container, "other": {"env": [value("B", "1")]}})) as d:
            check_refused(d, ("p",), 5, kind, what)
            r = d.ctl("check", "-f", d.manifest_dir)
            check_eq((r.returncode, r.stdout.count("\n")), (1, 1), "check: " + r.stdout)
            for part in (kind, what, ': Pod default/p: container "c": '):
                check_in(part, r.stdout, "check")
            check_eq(env_json(d, "p", "-c", "other"), {"B": b"1"}, "the other container")


# ---- what is remembered ----------------------------------------------------------------------


class PodWatch:
    """A watch that is there when the change comes: what it tells is a change, not a state."""

    def __init__(self, d, name):
        self.events = d.watch("/v1/pods")
        self.name = name
        while next(self.events)["type"] != "SYNCED":
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.events.close()

    def wait(self, reason):
        """The Pod, once it has this reason."""
        for event in self.events:
            if (event["type"], event["object"]["name"]) == ("MODIFIED", self.name) \
                    and event["object"]["reason"] == reason:
                return event["object"]
        raise AssertionError("the watch ended")


def environment(pod_object, container="c"):
    return next(c for c in pod_object["containers"] if c["name"] == container)["environment"]


def generations(pod_object, container="c"):
    return {s["name"]: (s["generation"], s["currentGeneration"])
            for s in environment(pod_object, container)["secrets"]}


@suite.test
def a_change_makes_what_was_handed_out_stale_until_it_is_handed_out_again():
    with Daemon() as d:
        d.put_objects("s.yaml", secret("s", {"k": "1"}))
        d.put_objects("t.yaml", secret("t", {"k": "1"}))
        d.put_objects("p.yaml", pod("p", {"c": {"envFrom": [env_from("s"), env_from("t", "T_")]},
                                          "x": {"envFrom": [env_from("t")]}}))
        d.marker()
        check_eq([environment(p) for p in d.pods() if p["name"] == "p"], [None], "nothing yet")
        env_json(d, "p")
        before = next(p for p in d.pods() if p["name"] == "p")
        check_eq((before["reason"], environment(before)["stale"], generations(before)),
                 ("", False, {"s": (1, 1), "t": (1, 1)}), "fresh")
        check_eq(environment(before, "x"), None, "the other container")

        with PodWatch(d, "p") as watch:
            d.put_objects("s.yaml", secret("s", {"k": "2"}))
            stale = watch.wait("StaleEnvironment")
        check_eq((environment(stale)["stale"], generations(stale)),
                 (True, {"s": (1, 2), "t": (1, 1)}), "stale")
        check_eq(environment(stale)["handedOutAt"], environment(before)["handedOutAt"], "time")
        rows = [line.split() for line in d.ctl("get", "pods").stdout.splitlines()]
        check_eq(rows[0], ["NAME", "READY", "STATE", "REASON", "SOURCE", "AGE"], "heads")
        check_eq(rows[1][:5], ["p", "0/0", "Ready", "StaleEnvironment", "manifest"], "row")
        words = d.ctl("describe", "pod", "p").stdout
        check_in("StaleEnvironment", words, "describe")
        table = [line.split() for line in words[words.index("Environment:"):].splitlines()]
        check_eq(table[1], ["CONTAINER", "HANDED-OUT", "STALE", "SECRET", "GENERATION"], "heads")
        check_eq([row[:1] + row[2:] for row in table[2:4]],
                 [["c", "yes", "s", "1,", "now", "2"], ["c", "yes", "t", "1"]], "describe")

        with PodWatch(d, "p") as watch:
            env_json(d, "p")
            fresh = watch.wait("")
        check_eq((environment(fresh)["stale"], generations(fresh)),
                 (False, {"s": (2, 2), "t": (1, 1)}), "fresh again")
        check_in("<none>", d.ctl("get", "pods", "--no-headers").stdout, "no reason in the table")


@suite.test
def a_secret_that_goes_or_comes_makes_it_stale_too():
    with Daemon() as d:
        d.put_objects("p.yaml", pod("p", {"c": {"envFrom": [env_from("s", optional=True)]}}))
        d.put_objects("q.yaml", pod("q", {"c": {"env": [value("A", "1")]}}))
        d.marker()
        env_json(d, "p")
        env_json(d, "q")
        with PodWatch(d, "p") as watch:
            d.put_objects("s.yaml", secret("s", {"k": "1"}))
            check_eq(generations(watch.wait("StaleEnvironment")), {"s": (0, 1)}, "came")
        check_in("absent, now 1", d.ctl("describe", "pod", "p").stdout, "describe")
        with PodWatch(d, "p") as watch:
            env_json(d, "p")
            watch.wait("")
            d.delete("s.yaml")
            check_eq(generations(watch.wait("StaleEnvironment")), {"s": (1, 0)}, "went")
        check_in("1, now absent", d.ctl("describe", "pod", "p").stdout, "describe")
        d.put_objects("s.yaml", secret("s", {"k": "1"}))
        d.marker()
        p = next(p for p in d.pods() if p["name"] == "p")
        check(environment(p)["stale"], "made anew with the same bytes is another Secret")
        check_eq(next(p for p in d.pods() if p["name"] == "q")["reason"], "", "uses no Secret")


@suite.test
def an_unchanged_rewrite_makes_nothing_stale():
    with Daemon() as d:
        d.put_objects("s.yaml", secret("s", {"k": "1"}))
        d.put_objects("p.yaml", pod("p", {"c": {"envFrom": [env_from("s")]}}))
        d.marker()
        env_json(d, "p")
        d.put_objects("s.yaml", secret("s", {"k": b"1"}))
        d.put_objects("p.yaml", pod("p", {"c": {"envFrom": [env_from("s")]}}))
        d.marker()
        check_eq(next(p for p in d.pods() if p["name"] == "p")["reason"], "", "reason")


@suite.test
def a_pod_that_is_made_anew_remembers_nothing():
    with Daemon() as d:
        d.put_objects("s.yaml", secret("s", {"k": "1"}))
        d.put_objects("p.yaml", pod("p", {"c": {"envFrom": [env_from("s")]}}))
        d.marker()
        env_json(d, "p")
        d.delete("p.yaml")
        poll_until(lambda: all(p["name"] != "p" for p in d.pods()), "removal of the pod")
        d.put_objects("s.yaml", secret("s", {"k": "2"}))
        d.put_objects("p.yaml", pod("p", {"c": {"envFrom": [env_from("s")]}}))
        d.marker()
        p = next(p for p in d.pods() if p["name"] == "p")
        check_eq((p["reason"], environment(p)), ("", None), "environment")


@suite.test
def a_pod_that_takes_the_place_of_another_leaves_nothing_of_it():
    with Daemon() as d:
        def put(uid):
            d.put_objects("p.yaml", pod("p", {"c": {"envFrom": [env_from("s")]}},
                                        metadata={"uid": uid}))
            d.marker()

        d.put_objects("s.yaml", secret("s", {"k": "1"}))
        put("one")
        env_json(d, "p")
        put("two")
        env_json(d, "p")
        d.put_objects("s.yaml", secret("s", {"k": "2"}))
        d.marker()
        check_in("\nsecretvold_stale_environments 1\n", d.client.get("/metrics")[1], "metrics")
        d.delete("p.yaml")
        poll_until(lambda: all(p["name"] != "p" for p in d.pods()), "removal of the pod")
        check_in("\nsecretvold_stale_environments 0\n", d.client.get("/metrics")[1], "metrics")


# ---- a daemon that stops -----------------------------------------------------------------------


@contextlib.contextmanager
def api_daemon(**big):
    """A daemon with the Pod job of a scripted API server, whose environment is from Secret s alone."""
    spec = pod("job", {"c": {"envFrom": [env_from("s")]}}, nodeName="node-a")
    spec["status"] = {"phase": "Running"}
    with FakeApi() as api:
        if big:
            api.put_big_secret(key="s", **big)
        else:
            api.put_secret(key="s", keys="k=1")
        api.put(spec)
        with Daemon(args=api.daemon_args("node-a"), n_manifest_dirs=0) as d:
            yield api, d


def ask_for_job(s, start=0, end=None):
    body = b'{"pod":"job"}'
    s.sendall((b"POST /v1/env HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
               % len(body) + body)[start:end])


def read_status(s):
    got = b""
    while b"\r\n" not in got:
        part = s.recv(4096)
        check(part, "the daemon hung up")
        got += part
    return int(got.split()[1])


@suite.test
def a_daemon_stops_while_an_environment_is_not_read():
    with api_daemon(bytes=900000) as (_, d), harness.connection(d) as s:
        ask_for_job(s)
        poll_until(lambda: "environments_handed_out_total 1\n" in d.client.get("/metrics")[1],
                   "the environment to be handed out")
        check_eq(d.stop(), 0, "exit status")


@suite.test
def a_daemon_stops_while_the_api_server_is_asked_for_an_environment():
    with api_daemon() as (api, d), harness.connection(d) as s:
        api.fault(what="hang", verb="list", kind="secrets", forever=True)
        ask_for_job(s)
        poll_until(lambda: api.requests(verb="list", kind="secrets"), "the API server to be asked")
        d.signal(signal.SIGTERM)
        check_eq(read_status(s), 503, "status of the answer")
        check_eq(d.wait_exit(), 0, "exit status")


@suite.test
def a_request_for_an_environment_that_comes_during_the_stop_waits_for_nobody():
    with api_daemon() as (api, d), harness.connection(d) as s:
        api.fault(what="hang", verb="list", kind="secrets", forever=True)
        ask_for_job(s, 0, 20)
        check_eq(d.client.get("/healthz")[0], 200, "health, asked for later")
        d.signal(signal.SIGTERM)
        poll_until(lambda: "stopping" in d.log(), "the stop to begin", interval_s=0.001)
        ask_for_job(s, 20)
        check_eq(read_status(s), 503, "status of the answer")
        check_eq(d.wait_exit(), 0, "exit status")
        check_eq(api.requests(verb="list", kind="secrets"), [], "requests for the Secret")


# ---- secrecy ---------------------------------------------------------------------------------


def files_outside_volumes(root):
    for base, dirs, files in os.walk(root):
        dirs[:] = [n for n in dirs if not n.startswith("kubernetes.io~")]
        for name in files:
            path = os.path.join(base, name)
            if os.path.isfile(path) and not os.path.islink(path):
                yield path


@suite.test
def values_are_nowhere_but_in_the_answer():
    marker = "s3cr3t-%d-marker" % os.getpid()
    encoded = base64.b64encode(marker.encode()).decode()
    with daemon_with(secret("s", {"k": marker, "nul": marker.encode() + b"\0"}),
                     pod("p", {"c": {"envFrom": [env_from("s")],
                                     "env": [value("A", "$(k)")], "command": ["x", "$(k)"]}}),
                     pod("fails", {"c": {"envFrom": [env_from("s")],
                                         "env": [key_ref("B", "s", "nokey")]}}),
                     args=["--log-level", "debug"]) as d:
        check_in(marker, d.ctl("env", "p", "-o", "json").stdout, "the answer")
        said = [d.ctl("env", "p").stderr, d.ctl("env", "p", "-o", "shell").stderr,
                d.ctl("env", "fails").stderr, d.log()]
        for path in ("/v1/status", "/v1/events", "/v1/pods", "/v1/secrets", "/v1/volumes",
                     "/metrics"):
            said.append(d.client.get(path)[1])
        said += [d.ctl("describe", "pod", "p").stdout, d.ctl("events").stdout,
                 d.ctl("status").stdout]
        for text in said:
            check(marker not in text and encoded not in text, "a value in: " + text[:200])
        for path in files_outside_volumes(d.root):
            check(marker.encode() not in harness.read_file(path), "a value in " + path)
        with open("/proc/%d/cmdline" % d.process.pid, "rb") as f:
            check(marker.encode() not in f.read(), "a value among the daemon's arguments")
        # The daemon starts nobody, so nobody's arguments or environment could show one.
        with open("/proc/%d/task/%d/children" % (d.process.pid, d.process.pid),
                  encoding="ascii") as f:
            check_eq(f.read(), "", "children of the daemon")


if __name__ == "__main__":
    sys.exit(suite.main())
