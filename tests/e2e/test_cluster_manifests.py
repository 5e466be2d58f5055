#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The manifests, judged by a real Kubernetes API server: it accepts each, and the rights are least.

Without one to start (see tests/support/cluster.py) the suite is skipped.
"""

import glob
import json
import os
import re
import subprocess
import sys

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cluster  # noqa: E402
import harness  # noqa: E402
from harness import check, check_eq, check_in, pod, secret  # noqa: E402

suite = harness.Suite("cluster_manifests", needs_root=False)

MANIFESTS = os.path.join(harness.REPO, "manifests")
KUBERNETES = os.path.join(MANIFESTS, "kubernetes")
VARIANTS = ("all-namespaces", "chosen-namespaces", "kubelet-identity")
NAMESPACES = ("secretvold", "team-a", "team-b")
ACCOUNT = "system:serviceaccount:secretvold:secretvold"

# Enough of the Prometheus operator's own to see a field that it does not have.
RULES = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {"name": "prometheusrules.monitoring.coreos.com"},
    "spec": {
        "group": "monitoring.coreos.com", "scope": "Namespaced",
        "names": {"kind": "PrometheusRule", "plural": "prometheusrules"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
            "type": "object", "required": ["spec"],
            "properties": {"spec": {"type": "object", "properties": {"groups": {
                "type": "array", "items": {
                    "type": "object", "required": ["name"], "properties": {
                        "name": {"type": "string"}, "interval": {"type": "string"},
                        "rules": {"type": "array", "items": {
                            "type": "object", "required": ["expr"], "properties": dict(
                                {name: {"type": "string"} for name in ("alert", "record", "for")},
                                expr={"x-kubernetes-int-or-string": True},
                                **{name: {"type": "object",
                                          "additionalProperties": {"type": "string"}}
                                   for name in ("labels", "annotations")})}}}}}}}}}}}]}}


_prepared = []


def server():
    """The API server, with the namespaces that the manifests speak of."""
    k = cluster.shared()
    if not _prepared:
        for name in NAMESPACES:
            k.make_namespace(name)
        if not k.kubectl("get", "crd", RULES["metadata"]["name"], "--ignore-not-found").stdout:
            k.apply(RULES)
        k.kubectl("wait", "--for=condition=established", "--timeout=60s",
                  "crd/" + RULES["metadata"]["name"])
        _prepared.append(True)
    return k


def kustomize(variant):
    """All objects of a directory, as text."""
    version = json.loads(server().kubectl("version", "--client", "-o", "json").stdout)
    minor = version["clientVersion"]["minor"].rstrip("+")
    if int(minor) < 21:
        raise harness.Skip("kubectl 1.%s has an old kustomize: 1.21 is wanted" % minor)
    return server().kubectl("kustomize", os.path.join(KUBERNETES, variant)).stdout


def objects_of(text):
    """The objects of a file, and of the lists in it."""
    documents = [o for o in yaml.safe_load_all(text) if o]
    return [o for d in documents for o in (d["items"] if d.get("kind") == "List" else [d])]


def the_daemonset(variant):
    (found,) = [o for o in objects_of(kustomize(variant)) if o["kind"] == "DaemonSet"]
    return found


RIGHTS = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")


def apply_rights(variant):
    """Makes the account and its rights what a variant says, for real."""
    k = server()
    for kinds in (("rolebindings,roles", "-A"), ("clusterrolebindings,clusterroles",)):
        k.kubectl("delete", *kinds, "-l", k.label)
    k.apply(*[o for o in objects_of(kustomize(variant)) if o["kind"] in RIGHTS + ("ServiceAccount",)])
    return k


# ---- acceptance ------------------------------------------------------------------------------


def dry_run(text, want_status=0):
    return server().kubectl("apply", "--dry-run=server", "-f", "-", input=text,
                            want_status=want_status)


@suite.test
def the_server_accepts_every_object():
    paths = [p for p in sorted(glob.glob(MANIFESTS + "/**/*", recursive=True))
             if p.endswith((".yaml", ".yml", ".json"))]
    n = 0
    for path in paths:
        with open(path, encoding="utf-8") as f:
            text = f.read()
        objects = objects_of(text)
        if os.path.basename(path) in ("kustomization.yaml", "dashboard.json"):
            continue
        if os.path.dirname(path) == KUBERNETES + "/kubelet-identity":
            continue  # a patch, and no object by itself: see the next test
        check(objects and all("kind" in o for o in objects), "no objects in " + path)
        accepted = dry_run(text).stdout.splitlines()
        check_eq(len(accepted), len(objects), "objects of %s that were accepted" % path)
        n += len(objects)
    check(n >= 30, "only %d objects" % n)


@suite.test
def the_server_accepts_every_variant():
    for variant in VARIANTS + ("base",):
        text = kustomize(variant)
        check_eq(len(dry_run(text).stdout.splitlines()), len(objects_of(text)),
                 "objects of %s that were accepted" % variant)


@suite.test
def the_server_would_refuse_what_is_wrong():
    text = kustomize("all-namespaces")
    for wrong, why in ((text.replace("privileged: true", "privileged: false"), "Bidirectional"),
                       (text.replace("tolerations:", "tolerate:"), "tolerate"),
                       (text.replace("maxUnavailable: 1", "maxUnavailable: 0"), "maxUnavailable")):
        check(wrong != text, "nothing was changed to provoke '%s'" % why)
        check_in(why, dry_run(wrong, want_status=1).stderr, "refusal")
    with open(MANIFESTS + "/monitoring/prometheusrule.yaml", encoding="utf-8") as f:
        wrong = f.read().replace("        - alert:", "        - alarm:")
    check_in("alarm", dry_run(wrong, want_status=1).stderr, "refusal of a rule")


@suite.test
def the_image_has_the_version_of_the_build():
    with open(os.path.join(harness.REPO, "Makefile"), encoding="utf-8") as f:
        version = re.search(r"^VERSION\s*:= (\S+)$", f.read(), re.M).group(1)
    for variant in VARIANTS:
        (container,) = the_daemonset(variant)["spec"]["template"]["spec"]["containers"]
        check_eq(container["image"], "secretvold:" + version, "image of " + variant)


@suite.test
def each_variant_names_one_api_source_and_has_what_it_needs():
    for variant in VARIANTS:
        spec = the_daemonset(variant)["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        args = container["args"]
        by_kubelet = variant == "kubelet-identity"
        check_eq(("--in-cluster" in args, spec.get("automountServiceAccountToken", True)),
                 (not by_kubelet, not by_kubelet), "source and token of " + variant)
        for arg in ("--node-name=$(NODE_NAME)", "--no-api-events"):
            check_in(arg, args, "arguments of " + variant)
        mounts = {m["mountPath"]: m for m in container["volumeMounts"]}
        check_eq(mounts["/run/secretvold"].get("mountPropagation"), "Bidirectional",
                 "propagation of " + variant)
        check_eq([a.split("=")[1] in mounts for a in args if a.startswith("--kubeconfig=")],
                 [True] * by_kubelet, "mounts of the kubeconfig of " + variant)


@suite.test
def the_daemon_knows_the_arguments():
    for variant in VARIANTS:
        (container,) = the_daemonset(variant)["spec"]["template"]["spec"]["containers"]
        # Options are judged first (exit status 2), and then there is no such directory.
        done = subprocess.run([os.path.join(harness.options.build, "secretvold")]
                              + container["args"] + ["--root-dir=/dev/null/root"], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=harness.DEADLINE_S, check=False)
        check_eq(done.returncode, 1, "exit status with the arguments of %s (%s)"
                 % (variant, done.stderr.strip()))
        check_in("/dev/null/root", done.stderr, "complaint with the arguments of " + variant)


# ---- rights of the service account -----------------------------------------------------------


QUESTION_RE = re.compile(r"(\S+) (?:(/\S+)|([a-z*]+)(?:/([a-z]+))?(?::([a-z-]+))?)(?: in (\S+))?$")
GROUPS = {"rolebindings": "rbac.authorization.k8s.io"}  # of resources that are not of the core's


def question(line):
    """A review of 'VERB RESOURCE[/SUBRESOURCE][:NAME] [in NAMESPACE]', or of 'VERB /PATH'."""
    verb, path, resource, subresource, name, namespace = QUESTION_RE.match(line).groups()
    return review("SelfSubjectAccessReview", {
        "nonResourceAttributes": {"verb": verb, "path": path}} if path else {
            "resourceAttributes": {
                "verb": verb, "resource": resource, "subresource": subresource or "",
                "name": name or "", "group": GROUPS.get(resource, ""),
                "namespace": namespace or ""}})


def review(kind, spec):
    return {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}


def ask(k, who, output, *reviews):
    """As `kubectl auth can-i --as=WHO` does it, but all with one kubectl."""
    return k.kubectl("create", "-f", "-", "-o", output, "--as=" + who,
                     input=harness.manifest(*reviews)).stdout


def check_may(k, allowed, denied):
    """What the service account may, and may not: lines as question() takes them."""
    lines = list(allowed) + list(denied)
    answers = ask(k, ACCOUNT, r'jsonpath={.status.allowed}{"\n"}', *map(question, lines)).split()
    check_eq(len(answers), len(lines), "answers")
    may = [line for line, answer in zip(lines, answers) if answer == "true"]
    check_eq([line for line in denied if line in may], [], "what it may do and should not")
    check_eq([line for line in allowed if line not in may], [], "what it should do and may not")


NOBODY_MAY = (
    "create pods in team-a", "delete pods in team-a", "patch pods in team-a", "get pods in team-a",
    "create pods/exec in secretvold", "get nodes", "patch nodes", "create secrets in team-a",
    "update secrets in team-a", "delete secrets in team-a", "create events in team-a",
    "patch events in team-a", "list events in team-a", "delete events in team-a",
    "get configmaps in team-a", "create rolebindings in secretvold",
    "create serviceaccounts/token in secretvold", "impersonate users", "* *", "get /metrics",
)


def rights_of(k, who, namespace):
    """Triples (verb, resources, names) of what an account may, and everybody else may not."""
    def rules_for(account):
        status = json.loads(ask(k, account, "json", review("SelfSubjectRulesReview", {
            "namespace": namespace})))["status"]
        return {(verb, ",".join(rule.get("resources", rule.get("nonResourceURLs"))),
                 ",".join(rule.get("resourceNames", [])))
                for rule in status["resourceRules"] + status["nonResourceRules"]
                for verb in rule["verbs"]}
    return rules_for(who) - rules_for("system:serviceaccount:team-a:default")


def check_rights(k, namespace, want):
    """All that the account may. The server learns of new roles a moment after it has stored them."""
    try:
        harness.poll_until(lambda: rights_of(k, ACCOUNT, namespace) == want, "rights", interval_s=0.1)
    except harness.Deadline:
        check_eq(sorted(rights_of(k, ACCOUNT, namespace)), sorted(want), "rights in " + namespace)


def rights(verbs, resource, names=""):
    return {(verb, resource, names) for verb in verbs.split()}


EVERYWHERE = rights("list watch", "pods") | rights("get", "/version")
SECRETS = rights("get list watch", "secrets")
NAMED_SECRETS = rights("get list watch", "secrets", "database,api-credentials")


@suite.test
def the_base_reads_no_secret():
    k = apply_rights("base")
    check_rights(k, "team-a", EVERYWHERE)
    check_may(k, ["list pods", "watch pods", "get /version"],
              NOBODY_MAY + ("get secrets", "list secrets in secretvold", "watch secrets"))


@suite.test
def all_namespaces_reads_every_secret_and_no_more():
    k = apply_rights("all-namespaces")
    check_rights(k, "team-a", EVERYWHERE | SECRETS)
    check_may(k, ["list pods", "watch pods", "get /version", "get secrets in kube-system",
                  "list secrets", "watch secrets"], NOBODY_MAY)


@suite.test
def chosen_namespaces_reads_secrets_of_those_alone():
    k = apply_rights("chosen-namespaces")
    check_rights(k, "team-a", EVERYWHERE | SECRETS)
    check_rights(k, "team-b", EVERYWHERE | NAMED_SECRETS)
    check_rights(k, "kube-system", EVERYWHERE)
    check_may(k, ["list pods", "get secrets in team-a", "list secrets in team-a",
                  "watch secrets in team-a", "get secrets:database in team-b",
                  "list secrets:database in team-b", "watch secrets:database in team-b"],
              NOBODY_MAY + (
                  "list secrets", "watch secrets", "list secrets in kube-system",
                  "get secrets in kube-system", "get secrets in secretvold",
                  "list secrets in team-b", "watch secrets in team-b",
                  "get secrets:other in team-b", "delete secrets:database in team-b"))


@suite.test
def a_role_that_names_secrets_is_enough_to_list_and_watch_each():
    k = apply_rights("chosen-namespaces")
    check_rights(k, "team-b", EVERYWHERE | NAMED_SECRETS)
    k.apply(secret("database", {"k": "1"}, "team-b"), secret("other", {"k": "1"}, "team-b"))

    def secrets_of_team_b(query, want_status=0):
        return k.kubectl("get", "--raw", "/api/v1/namespaces/team-b/secrets" + query,
                         "--as=" + ACCOUNT, want_status=want_status)
    listed = json.loads(secrets_of_team_b("?fieldSelector=metadata.name%3Ddatabase").stdout)
    check_eq([s["metadata"]["name"] for s in listed["items"]], ["database"], "by name")
    watched = secrets_of_team_b(
        "?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Ddatabase").stdout
    check_eq(json.loads(watched.splitlines()[0])["object"]["metadata"]["name"], "database", "watch")
    for query in ("", "?fieldSelector=metadata.name%3Dother", "/other", "?watch=1"):
        check_in("Forbidden", secrets_of_team_b(query, want_status=1).stderr, "'%s'" % query)


@suite.test
def kubelet_identity_gives_the_account_nothing():
    k = apply_rights("kubelet-identity")
    check_rights(k, "secretvold", set())
    check_may(k, [], NOBODY_MAY + ("list pods", "watch pods", "get secrets",
                                   "list secrets in secretvold"))


# ---- rights of a node ------------------------------------------------------------------------


@suite.test
def the_kubelets_identity_reads_secrets_of_its_own_pods_by_name():
    cluster.own()
    k = server()
    k.apply(secret("mine", {"k": "1"}, "team-a"), secret("foreign", {"k": "1"}, "team-a"),
            pod("user", {"v": "mine"}, "team-a", nodeName=k.node_name,
                automountServiceAccountToken=False))

    def ask(path, kubeconfig=k.node_kubeconfig):
        """The names in the answer, or the word Forbidden."""
        done = k.kubectl("get", "--raw", path, kubeconfig=kubeconfig, want_status=None)
        if done.returncode:
            check_in("Forbidden", done.stderr, "refusal of " + path)
            return "Forbidden"
        answer = json.loads(done.stdout)
        return [o["metadata"]["name"] for o in answer.get("items", [answer])]

    secrets = "/api/v1/namespaces/team-a/secrets"
    mine = secrets + "?fieldSelector=metadata.name%3Dmine"
    # The server's own picture of who uses what comes a moment later.
    harness.poll_until(lambda: ask(mine) != "Forbidden", "the right to read its Secret",
                       interval_s=0.1)
    check_eq(ask(mine), ["mine"], "its Secret, listed by name")
    check_eq(ask(secrets + "/mine"), ["mine"], "its Secret")
    check_eq(ask("/api/v1/pods?fieldSelector=spec.nodeName%3D" + k.node_name), ["user"], "its Pods")
    for path in (secrets, secrets + "/foreign", secrets + "?fieldSelector=metadata.name%3Dforeign",
                 "/api/v1/secrets"):
        check_eq(ask(path), "Forbidden", path)
    check_eq(ask(mine, k.stranger_kubeconfig), "Forbidden", "another node's Secret")
    check(k.kubectl("get", "--raw", "/version", kubeconfig=k.node_kubeconfig).stdout, "/version")
    for verb in ("create", "patch"):
        k.kubectl("auth", "can-i", verb, "events", "-n", "team-a", kubeconfig=k.node_kubeconfig)


if __name__ == "__main__":
    sys.exit(cluster.main(suite))
