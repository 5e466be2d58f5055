#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The daemon on a node of a real Kubernetes API server, with the identity that a kubelet has.

Without one to start (see tests/support/cluster.py) the suite is skipped. On a server that is there
already it has the identity that KUBECONFIG gives, and tests that take own_server() are skipped.
"""

import base64
import contextlib
import functools
import http.client
import itertools
import json
import os
import ssl
import subprocess
import sys
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cluster  # noqa: E402
import harness  # noqa: E402
from harness import (check, check_eq, check_in, in_state, newer_than, poll_until,  # noqa: E402
                     read_file)

suite = harness.Suite("kube")

NS = cluster.NAMESPACE
pod = functools.partial(harness.pod, namespace=NS)
secret = functools.partial(harness.secret, namespace=NS)


def node_args(k, kubeconfig=None, *more):
    return ["--kubeconfig", kubeconfig or k.node_kubeconfig, "--node-name", k.node_name] + list(more)


def Node(k, *more, kubeconfig=None, **options):  # noqa: N802 (it makes a Daemon)
    """A daemon of the node that knows no manifests, unless it is told."""
    options.setdefault("n_manifest_dirs", 0)
    return harness.Daemon(args=node_args(k, kubeconfig, *more), **options)


def volume_path(d, name, volume="v", namespace=NS):
    return os.path.join(d.root, "by-name", namespace, name, volume)


def content(d, name, key, volume="v"):
    return read_file(os.path.join(volume_path(d, name, volume), key)).decode()


def kube_source(d):
    return [s for s in d.status()["sources"] if s["type"] == "kubernetes"][0]


def held_secrets(d):
    return sorted("%(namespace)s/%(name)s" % s for s in d.secrets() if s["source"] == "api")


def kubeconfig_of(k, path, edit):
    """A copy of the node's kubeconfig, as JSON (which is YAML), changed by edit(config)."""
    config = json.loads(k.kubectl("config", "view", "--raw", "-o", "json",
                                  kubeconfig=k.node_kubeconfig).stdout)
    edit(config)
    with open(path, "w", opener=lambda p, f: os.open(p, f, 0o600)) as f:
        json.dump(config, f)
    return path


def server(give=cluster.shared):
    """The API server, with nothing in it that an earlier test has left."""
    k = give()
    for kind in ("Pod", "Secret"):
        k.request("DELETE", k.path_of(kind) + "?gracePeriodSeconds=0")
    return k


def own_server():
    return server(cluster.own)


@contextlib.contextmanager
def outage(k):
    """The API server is away, and back in the end whatever happens."""
    k.stop_apiserver()
    try:
        yield
    finally:
        k.start_apiserver()


# ---- volumes ---------------------------------------------------------------------------------


@suite.test
def a_pod_of_the_node_gets_its_volumes_and_loses_them():
    k = server()
    k.create(secret("shape", {"username": "admin", "password": "first"}),
             pod("shape", {
                 "all": "shape",
                 "some": {"secretName": "shape", "defaultMode": 0o400, "items": [
                     {"key": "username", "path": "my/name", "mode": 0o440},
                     {"key": "password", "path": "word"}]},
                 "both": {"projected": {"sources": [
                     {"secret": {"name": "shape", "items": [{"key": "username", "path": "u"}]}},
                     {"secret": {"name": "shape-none", "optional": True}}]}}}))
    with Node(k) as d:
        for name in ("all", "some", "both"):
            d.wait_published(NS, "shape", name)
        check_eq(content(d, "shape", "password", "all"), "first", "a file")
        check_eq(content(d, "shape", "my/name", "some"), "admin", "an item")
        check_eq(os.stat(volume_path(d, "shape", "some") + "/my/name").st_mode & 0o777, 0o440, "mode")
        check_eq(os.stat(volume_path(d, "shape", "some") + "/word").st_mode & 0o777, 0o400, "default")
        check_eq(sorted(os.listdir(volume_path(d, "shape", "both")))[-1], "u", "projected")
        generation = d.volume(NS, "shape", "all")["generation"]
        k.patch("Secret", "shape", {"stringData": {"password": "second"}})
        d.wait_volume(NS, "shape", "all", newer_than(generation))
        check_eq(content(d, "shape", "password", "all"), "second", "the file after an update")
        volume = d.volume(NS, "shape", "all")
        check_eq(volume["source"], "api", "source")
        check(volume["secrets"][0]["resourceVersion"] != "", "resourceVersion of the Secret")
        k.remove("Pod", "shape")
        for name in ("all", "some", "both"):
            d.wait_gone(NS, "shape", name)
        poll_until(lambda: held_secrets(d) == [], "the Secret to be let go of")
        check(not os.path.exists(volume_path(d, "shape", "all")), "the link is gone")


@suite.test
def a_pod_that_has_ended_loses_its_volumes_and_one_that_is_ending_does_not():
    k = server()
    k.create(secret("life", {"a": "1"}), pod("life-done", {"v": "life"}),
             pod("life-going", {"v": "life"}, terminationGracePeriodSeconds=600))
    with Node(k) as d:
        d.wait_published(NS, "life-done", "v")
        d.wait_published(NS, "life-going", "v")
        running = {"status": {"phase": "Running", "containerStatuses": [{
            "name": "c", "image": "i", "imageID": "", "restartCount": 0, "ready": True,
            "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]}}
        k.patch("Pod", "life-going", running, subresource="/status")
        k.remove("Pod", "life-going", grace_s=600)
        k.patch("Pod", "life-done", {"status": {"phase": "Succeeded"}}, subresource="/status")
        d.wait_gone(NS, "life-done", "v")  # the deletion came before: it has been seen
        check_eq(d.volume(NS, "life-going", "v")["state"], "Published", "while it runs")
        k.remove("Pod", "life-going", "life-done")
        d.wait_gone(NS, "life-going", "v")


@suite.test
def a_secret_that_is_missing_comes_goes_and_comes_again():
    k = server()
    k.create(pod("late", {"v": "late", "o": {"secretName": "late", "optional": True}}))
    with Node(k) as d:
        v = d.wait_volume(NS, "late", "v", in_state("Refused"))
        check_eq((v["reason"], v["message"]), ("SecretNotFound", 'secret "late" not found'), "refusal")
        d.wait_published(NS, "late", "o")
        k.create(secret("late", {"a": "1"}))
        d.wait_published(NS, "late", "v")
        d.wait_volume(NS, "late", "o", newer_than(1))
        k.remove("Secret", "late")
        v = d.wait_volume(NS, "late", "v", in_state("Stale"))
        check_eq(v["reason"], "SecretNotFound", "reason")
        check_eq(content(d, "late", "a"), "1", "the last good content")
        k.create(secret("late", {"a": "2"}))
        d.wait_published(NS, "late", "v")
        poll_until(lambda: content(d, "late", "a") == "2", "the content of the new Secret")
        k.remove("Pod", "late")
        d.wait_gone(NS, "late", "v")


@suite.test
def a_missing_key_is_refused_in_the_kubelets_words_and_told_to_the_api_server():
    k = server()
    k.create(secret("short", {"a": "1"}),
             pod("short", {"v": {"secretName": "short", "items": [{"key": "token", "path": "t"}]}}))
    with Node(k) as d:
        v = d.wait_volume(NS, "short", "v", in_state("Refused"))
        check_eq(v["message"], "references non-existent secret key: token", "message")

        def events():
            items = k.request("GET", k.path_of("Event") +
                              "?fieldSelector=involvedObject.name%3Dshort")["items"]
            return [e for e in items if e["reason"] == "FailedMount"]
        event = poll_until(lambda: events() or None, "an Event at the API server")[0]
        check_eq(event["message"], 'MountVolume.SetUp failed for volume "v" : '
                 "references non-existent secret key: token", "the Event's text")
        check_eq(event["source"], {"component": "secretvold", "host": k.node_name}, "its source")
        check_eq(event["involvedObject"]["kind"], "Pod", "what it is about")
        k.patch("Secret", "short", {"stringData": {"token": "x"}})
        d.wait_published(NS, "short", "v")
        k.remove("Pod", "short")
        d.wait_gone(NS, "short", "v")


@suite.test
def an_immutable_secret_is_read_once_and_anew_for_later_pods():
    k = server()
    k.create(secret("fixed", {"a": "1"}, immutable=True), pod("fixed-1", {"v": "fixed"}))
    with Node(k) as d:
        d.wait_published(NS, "fixed-1", "v")
        poll_until(lambda: kube_source(d)["watches"] == 1, "only the Pods to be watched")
        k.remove("Secret", "fixed")
        k.create(secret("fixed", {"a": "2"}, immutable=True), pod("fixed-2", {"v": "fixed"}))
        d.wait_published(NS, "fixed-2", "v")
        check_eq(content(d, "fixed-2", "a"), "2", "a Pod that starts later")
        check_eq(content(d, "fixed-1", "a"), "1", "a Pod that was there")
        k.remove("Pod", "fixed-1", "fixed-2")
        d.wait_gone(NS, "fixed-1", "v")
        d.wait_gone(NS, "fixed-2", "v")


@suite.test
def two_hundred_pods_at_once_share_few_connections():
    k = server()
    n = 200
    with Node(k) as d:
        for i in range(n):
            k.create(secret("many-%d" % i, {"k": "value-%d" % i}))
        for i in range(n):
            k.create(pod("many-%d" % i, {"v": "many-%d" % i}))
        poll_until(lambda: d.status()["counts"]["states"]["Published"] == n, "all to be published")
        for i in range(0, n, 17):
            check_eq(content(d, "many-%d" % i, "k"), "value-%d" % i, "content")
        source = poll_until(lambda: kube_source(d)["watches"] == n + 1 and kube_source(d),
                            "all watches to be open")
        check(source["connections"] <= 3, "%d connections" % source["connections"])
        k.request("DELETE", k.path_of("Pod") + "?gracePeriodSeconds=0")
        poll_until(lambda: d.volumes() == [], "all to be gone")
        check_eq(harness.mounts_below(os.path.join(d.root, "pods")), [], "mounts that are left")
        check_eq(held_secrets(d), [], "Secrets that are held")


# ---- rights ----------------------------------------------------------------------------------


@suite.test
def only_secrets_that_pods_of_the_node_mount_are_read():
    k = server()
    k.create(secret("mine", {"a": "1"}), secret("others", {"a": "2"}), secret("nobodys", {"a": "3"}),
             pod("mine", {"v": "mine"}), pod("others", {"v": "others"}, nodeName=k.stranger_name))
    with Node(k) as d:
        d.wait_published(NS, "mine", "v")
        check_eq(held_secrets(d), [NS + "/mine"], "what is held")
        check_eq([p["name"] for p in d.pods()], ["mine"], "the node's Pods")


@suite.test
def a_nodes_identity_may_read_no_other_secrets():
    k = own_server()
    k.create(secret("others"), secret("nobodys"),
             pod("others", {"v": "others"}, nodeName=k.stranger_name))
    for name in ("others", "nobodys"):
        status = k.request("GET", k.path_of("Secret", name), as_user="node", want=(403,))
        check_eq(status["reason"], "Forbidden", "the identity's right to %s" % name)


@suite.test
def an_identity_of_another_node_is_refused_volume_by_volume():
    k = own_server()
    k.create(secret("strange", {"a": "1"}), pod("strange", {"v": "strange"}))
    with Node(k, kubeconfig=k.stranger_kubeconfig) as d:  # Pods it may list, Secrets it may not
        v = d.wait_volume(NS, "strange", "v", in_state("Refused"))
        check_eq(v["reason"], "Forbidden", "reason")
        check_in("no relationship found between node", v["message"], "the server's words")
        check("Forbidden" in [p["reason"] for p in d.problems()], "a problem says so")
        other = d.wait_problem("OtherNode")
        check_eq((other["severity"], other["name"]), ("warning", k.node_name), "the warning")
        check_in('is that of node "node-b"', other["message"], "its text")
        check_in("next: kubectl get nodes\n", d.ctl("status").stdout, "advice")


@suite.test
def a_secret_that_only_an_environment_names_is_fetched_and_not_kept():
    k = server()
    spec = pod("envy", {"v": "envy-volume"})
    spec["spec"]["containers"][0]["env"] = [
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "envy", "key": "token"}}}]
    k.create(secret("envy", {"token": "t1"}), secret("envy-volume", {"a": "1"}), spec)
    with Node(k) as d:
        d.wait_published(NS, "envy", "v")
        check_eq(held_secrets(d), [NS + "/envy-volume"], "before it is asked for")
        done = d.ctl("env", NS + "/envy")
        check_eq((done.returncode, done.stdout), (0, "TOKEN=t1\n"), "env")
        k.patch("Secret", "envy", {"stringData": {"token": "t2"}})
        check_eq(d.ctl("env", NS + "/envy").stdout, "TOKEN=t2\n", "env after an update")
        done = d.ctl("exec", NS + "/envy", "--", "sh", "-c", "echo $TOKEN; cat /v/a")
        check_eq(done.stdout, "t2\n1", "exec")
        poll_until(lambda: held_secrets(d) == [NS + "/envy-volume"], "it to be let go of")
        k.remove("Secret", "envy")
        done = d.ctl("env", NS + "/envy")
        check_eq(done.returncode, 5, "exit status without the Secret")
        check_in('secret "envy" not found', done.stderr, "the kubelet's text")


# ---- identities ------------------------------------------------------------------------------


def service_account(k, name, namespace=NS):
    """A service account that may read Pods everywhere and the Secrets of one namespace."""
    k.apply({"apiVersion": "v1", "kind": "ServiceAccount",
             "metadata": {"name": name, "namespace": namespace}},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
             "metadata": {"name": name}, "rules": [
                 {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}]},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
             "metadata": {"name": name}, "roleRef": {
                 "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
             "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}]},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
             "metadata": {"name": name, "namespace": namespace}, "rules": [
                 {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]}]},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
             "metadata": {"name": name, "namespace": namespace}, "roleRef": {
                 "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
             "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}]})


def bound_token(k, account, bound_to):
    """A token that is valid for as long as the Secret that it is bound to exists."""
    answer = k.request("POST", k.path_of("ServiceAccount", account) + "/token", {
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {
            "boundObjectRef": {"kind": "Secret", "apiVersion": "v1", "name": bound_to}}})
    return answer["status"]["token"]


def wait_refused(k, token):
    """A server knows a token for ten seconds after it has last made sure."""
    url = urllib.parse.urlsplit(k.url)
    context = ssl.create_default_context(cafile=k.ca_file)

    def refused():
        with contextlib.closing(http.client.HTTPSConnection(url.hostname, url.port, context=context,
                                                            timeout=harness.DEADLINE_S)) as c:
            c.request("GET", "/version", headers={"Authorization": "Bearer " + token})
            return c.getresponse().status == 401
    poll_until(refused, "the end of a token", interval_s=0.1)


@suite.test
def a_service_account_watches_its_namespace_and_goes_on_with_a_new_token():
    k = own_server()
    service_account(k, "reader")
    k.create(secret("bound-1"), secret("bound-2"), secret("ns", {"a": "1"}),
             secret("unneeded", {"a": "x"}), pod("ns", {"v": "ns"}))
    home = harness.make_dir("token.")
    token_file = os.path.join(home, "token")

    def put(token):
        with open(token_file + ".new", "w") as f:
            f.write(token + "\n")
        os.rename(token_file + ".new", token_file)

    def edit(config):
        config["users"][0]["user"] = {"tokenFile": "token"}
    put(bound_token(k, "reader", "bound-1"))
    kubeconfig = kubeconfig_of(k, os.path.join(home, "kubeconfig"), edit)
    with contextlib.ExitStack() as end, \
            Node(k, "--secrets=by-namespace", kubeconfig=kubeconfig) as d:
        d.wait_published(NS, "ns", "v")
        check_eq(held_secrets(d), [NS + "/ns"], "what is held of the namespace")
        poll_until(lambda: kube_source(d)["watches"] == 2, "Pods and one namespace to be watched")
        second = bound_token(k, "reader", "bound-2")
        put(second)
        k.remove("Secret", "bound-1")  # and with it, the first token
        k.restart_apiserver()          # whatever was open has to be asked for anew
        k.patch("Secret", "ns", {"stringData": {"a": "2"}})
        poll_until(lambda: content(d, "ns", "a") == "2", "an update after the rotation")
        check_eq(kube_source(d)["error"], "", "the source's error")
        k.create(pod("ns-later", {"v": "unneeded"}))
        d.wait_published(NS, "ns-later", "v")
        k.make_namespace("elsewhere")
        k.remove("Secret", "bound-2")
        wait_refused(k, second)
        end.callback(k.remove, "Pod", "ns", namespace="elsewhere")
        k.create(pod("ns", {"v": "ns"}, namespace="elsewhere"))  # a request with the dead token
        d.wait_status(lambda s: "401" in s["sources"][0]["error"], "that nobody knows us")
        check_eq(d.volume(NS, "ns", "v")["state"], "Published", "a volume meanwhile")
        k.create(secret("bound-3"))
        put(bound_token(k, "reader", "bound-3"))
        d.wait_status(lambda s: s["sources"][0]["available"], "the new token to be taken")
        v = d.wait_volume("elsewhere", "ns", "v", in_state("Refused"))
        check_eq(v["reason"], "Forbidden", "Secrets of a namespace without a role")


def node_certificate(k, path):
    """A new key and certificate of the node in one file, as the kubelet keeps them."""
    pki = os.path.join(k.dir, "pki")
    key, csr, crt = (path + end for end in (".key", ".csr", ".crt"))
    for command in (
            ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key],
            ["openssl", "req", "-new", "-key", key, "-subj", "/O=system:nodes/CN=system:node:node-a",
             "-out", csr],
            ["openssl", "x509", "-req", "-in", csr, "-CA", pki + "/ca.crt", "-CAkey", pki + "/ca.key",
             "-set_serial", str(int.from_bytes(os.urandom(8), "big")), "-days", "1", "-out", crt]):
        subprocess.run(command, check=True, capture_output=True)
    with open(path, "w", opener=lambda p, f: os.open(p, f, 0o600)) as out:
        out.write(read_file(crt).decode() + read_file(key).decode())


@suite.test
def a_client_certificate_that_is_rotated_is_used_for_new_connections():
    k = own_server()
    k.create(secret("cert", {"a": "1"}), pod("cert", {"v": "cert"}))
    home = harness.make_dir("cert.")
    current = os.path.join(home, "kubelet-client-current.pem")
    node_certificate(k, os.path.join(home, "1.pem"))
    os.symlink("1.pem", current)

    def edit(config):
        config["users"][0]["user"] = {"client-certificate": current, "client-key": current}
    kubeconfig = kubeconfig_of(k, os.path.join(home, "kubeconfig"), edit)
    with Node(k, kubeconfig=kubeconfig) as d:
        d.wait_published(NS, "cert", "v")
        before = kube_source(d)["certificateExpires"]
        check(before is not None, "when the certificate expires is told")
        node_certificate(k, os.path.join(home, "2.pem"))
        os.symlink("2.pem", current + ".new")
        os.rename(current + ".new", current)
        for i in itertools.count():  # files are looked at when requests go out, once a second at most
            k.create(secret("cert-%d" % i, {"a": "2"}), pod("cert-%d" % i, {"v": "cert-%d" % i}))
            d.wait_published(NS, "cert-%d" % i, "v")
            if "credentials have changed" in d.log():
                break
        k.create(secret("cert-last", {"a": "2"}), pod("cert-last", {"v": "cert-last"}))
        d.wait_published(NS, "cert-last", "v")


@suite.test
def what_must_not_be_used_is_refused_at_the_start_with_one_line():
    k = server()
    home = harness.make_dir("bad.")

    def cluster_of(config):
        return config["clusters"][0]["cluster"]

    def with_exec(config):
        config["users"][0]["user"] = {"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1",
                                               "command": "sh"}}

    def with_http(config):
        cluster_of(config)["server"] = "http://127.0.0.1:1"
        cluster_of(config).pop("certificate-authority-data", None)

    def without_check(config):
        cluster_of(config).pop("certificate-authority-data", None)
        cluster_of(config)["insecure-skip-tls-verify"] = True
    for edit, want in ((with_exec, "exec"), (with_http, "--allow-insecure-kubeconfig"),
                       (without_check, "--allow-insecure-kubeconfig")):
        path = kubeconfig_of(k, os.path.join(home, edit.__name__), edit)
        with Node(k, kubeconfig=path, start=False) as d:
            done = d.run_once()
            check_eq(done.returncode, 1, "exit status, %s" % edit.__name__)
            check_in(want, done.stderr, "what is said, %s" % edit.__name__)


@suite.test
def a_server_that_cannot_prove_its_name_is_not_spoken_to():
    k = server()
    home = harness.make_dir("tls.")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", home + "/ca.key",
                    "-subj", "/CN=other", "-days", "1", "-out", home + "/ca.crt"],
                   check=True, capture_output=True)

    def other_ca(config):
        config["clusters"][0]["cluster"]["certificate-authority-data"] = base64.b64encode(
            read_file(home + "/ca.crt")).decode()

    def other_name(config):
        config["clusters"][0]["cluster"]["tls-server-name"] = "example.org"

    def its_name(config):
        config["clusters"][0]["cluster"]["tls-server-name"] = "kubernetes.default.svc"
    for edit in (other_ca, other_name):
        path = kubeconfig_of(k, os.path.join(home, edit.__name__), edit)
        with Node(k, kubeconfig=path, start=False) as d:
            d.start(wait_ready=False)
            d.wait_alive()
            status = d.wait_status(lambda s: s["sources"][0]["error"] != "", "an error")
            check_in("SSL", status["sources"][0]["error"], "the error, %s" % edit.__name__)
            check_eq(d.pods(), [], "Pods heard of")
    path = kubeconfig_of(k, os.path.join(home, "good"), its_name)
    with Node(k, kubeconfig=path) as d:
        check_eq(kube_source(d)["synced"], True, "with another name of the server's")


# ---- bad days --------------------------------------------------------------------------------


@suite.test
def an_outage_harms_nobody_and_its_end_is_noticed():
    k = own_server()
    names = ["out-%d" % i for i in range(10)]
    k.create(*[secret(n, {"a": "before"}) for n in names])
    k.create(*[pod(n, {"v": n}) for n in names])
    with Node(k) as d:
        for n in names:
            d.wait_published(NS, n, "v")
        mounted = sorted(m["path"] for m in harness.mounts_below(os.path.join(d.root, "pods")))
        with outage(k):
            status = d.wait_status(lambda s: not s["sources"][0]["available"], "the outage to be seen")
            check(status["sources"][0]["unavailableSince"] is not None, "since when")
            check_in("SourceUnavailable", [p["reason"] for p in status["problems"]], "problems")
            check_eq({v["state"] for v in d.volumes()}, {"Published"}, "the volumes' states")
            d.stop()
            d.start(wait_ready=False)  # while nobody can say which Pods there are
            d.wait_alive()
            d.wait_status(lambda s: s["sources"][0]["error"] != "", "the outage to be seen again")
            check_eq(sorted(m["path"] for m in harness.mounts_below(os.path.join(d.root, "pods"))),
                     mounted, "the mounts")
            check_eq(content(d, names[0], "a"), "before", "the content")
        k.patch("Secret", names[3], {"stringData": {"a": "after"}})
        k.remove("Pod", names[4])
        poll_until(lambda: content(d, names[3], "a") == "after", "an update after the outage")
        d.wait_gone(NS, names[4], "v")
        for n in names[:4] + names[5:]:
            d.wait_published(NS, n, "v")
        check_eq(kube_source(d)["available"], True, "available")
        check_eq({v["generation"] for v in d.volumes() if v["pod"] != names[3]}, {1},
                 "generations of volumes that did not change")


@suite.test
def half_a_minute_of_a_failing_network_leaves_every_volume_as_its_secret_is():
    if cluster.why_not_own():  # else the program starts a server of its own
        raise harness.Skip(cluster.why_not_own())
    done = subprocess.run(
        ["setpriv", "--pdeathsig", "TERM", "--", os.path.join(os.path.dirname(__file__), "kube-torture"),
         "--build", harness.options.build, "--seconds", "30"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=400, check=False)
    check_eq(done.returncode, 0, "kube-torture: %s%s" % (done.stdout[-2000:], done.stderr[-2000:]))


# ---- both sources ----------------------------------------------------------------------------


@suite.test
def manifests_and_the_api_server_do_not_mix():
    k = server()
    k.create(secret("both", {"a": "from the API"}), pod("both-api", {"v": "both"}),
             pod("cross-api", {"v": "only-manifest"}), secret("only-api", {"a": "x"}))
    with Node(k, n_manifest_dirs=1) as d:
        d.put_objects("x.yaml", secret("both", {"a": "from a manifest"}),
                      secret("only-manifest", {"a": "y"}), pod("both-manifest", {"v": "both"}),
                      pod("cross-manifest", {"v": "only-api"}))
        d.wait_published(NS, "both-api", "v")
        d.wait_published(NS, "both-manifest", "v")
        check_eq(content(d, "both-api", "a"), "from the API", "a Pod of the API server")
        check_eq(content(d, "both-manifest", "a"), "from a manifest", "a Pod of a manifest")
        for name in ("cross-api", "cross-manifest"):
            v = d.wait_volume(NS, name, "v", in_state("Refused"))
            check_eq(v["reason"], "SecretNotFound", "the other source's Secret, %s" % name)
        d.delete("x.yaml")
        d.wait_gone(NS, "both-manifest", "v")
        check_eq(d.volume(NS, "both-api", "v")["state"], "Published", "the other's volume")


@suite.test
def once_says_whether_everything_is_published():
    k = own_server()
    k.create(secret("once", {"a": "1"}), pod("once", {"v": "once"}))
    with Node(k, start=False) as d:
        done = d.run_once()
        check_eq((done.returncode, done.stdout), (0, ""), "all is published")
        check_eq(content(d, "once", "a"), "1", "the content")
        k.create(pod("once-bad", {"v": "once-none"}))
        done = d.run_once()
        check_eq(done.returncode, 1, "exit status with a refusal")
        check_in("SecretNotFound", done.stdout, "what is said")
        with outage(k):
            done = d.run_once()
        check_eq(done.returncode, 1, "exit status while the server is away")
        check_in("127.0.0.1:%d" % k.port, done.stdout, "what is said then")
        check_eq(content(d, "once", "a"), "1", "the content meanwhile")
        harness.unmount_below(os.path.join(d.root, "pods"))


if __name__ == "__main__":
    sys.exit(cluster.main(suite))
