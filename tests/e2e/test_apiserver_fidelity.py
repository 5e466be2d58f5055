#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The scripted API server beside a real one: the same requests, the same answers.

Without a real one to start (see tests/support/cluster.py) the suite is skipped.

Both get the same writes; objects are made by the real server first and given to the scripted one as
they are, so that answers may differ in versions only. Those are compared as the number of the
write that made them.
"""

import atexit
import http.client
import json
import os
import re
import ssl
import sys
import threading
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cluster
import harness
from fake_api import FakeApi
from harness import check, check_eq

suite = harness.Suite("apiserver_fidelity")

SECRETS = "/api/v1/namespaces/default/secrets"
ONE = SECRETS + "?fieldSelector=metadata.name%3Ddb"
PODS = "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-a"
NODE_PODS = "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-"
EVENTS = "/api/v1/namespaces/default/events"
HEADERS = ("Content-Type", "Cache-Control", "Retry-After", "X-Content-Type-Options")
SECRET_NAMES = (("default", "a"), ("default", "b"), ("other", "c"), ("default", "db"))


class Real(cluster.Cluster):
    """A kube-apiserver with etcd, on loopback."""

    def connection(self, user):
        if user in ("admin", "node"):
            return self._connect(user)[0]
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=harness.DEADLINE_S,
                                           context=ssl.create_default_context(cafile=self.ca_file))

    def compact(self, revision):
        c = http.client.HTTPConnection("127.0.0.1", self.port + 1, timeout=harness.DEADLINE_S)
        c.request("POST", "/v3/kv/compaction", json.dumps({"revision": revision}))
        check_eq(c.getresponse().status, 200, "compaction")


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {h: headers.get(h) for h in HEADERS}
        self.body = body

    def tree(self):
        return json.loads(self.body)


def ask(connection, method, path, body=None, content_type=None, token=None):
    headers = {"User-Agent": "fidelity", "Accept": "application/json"}  # curl would get indented JSON
    if content_type:
        headers["Content-Type"] = content_type
    if token:
        headers["Authorization"] = "Bearer " + token
    connection.request(method, path, body, headers)
    r = connection.getresponse()
    return Answer(r.status, r.headers, r.read().decode())


class Pair:
    """Both servers, and which write made which version on each."""

    def __init__(self):
        self.real = Real().start()
        atexit.register(self.real.stop)
        self.fake = FakeApi()
        atexit.register(self.fake.stop)
        self.versions = {"real": {}, "fake": {}}  # version -> number of the write
        self.n_writes = 0
        self.differences = []

    # ---- writing

    def wrote(self, real, fake):
        self.n_writes += 1
        self.versions["real"][str(real)] = self.n_writes
        self.versions["fake"][str(fake)] = self.n_writes

    def admin(self, method, path, obj=None, content_type="application/json"):
        c = self.real.connection("admin")
        answer = ask(c, method, path, None if obj is None else json.dumps(obj), content_type)
        check(answer.status < 300, "%s %s: %s" % (method, path, answer.body))
        c.close()
        return answer.tree()

    def put(self, path, obj):
        made = self.admin("POST", path, obj)
        self.take(made)

    def take(self, made):
        """What the real one made of an object is the scripted one's object."""
        self.wrote(made["metadata"]["resourceVersion"], self.fake.put(made))

    def patch(self, path, patch):
        self.take(self.admin("PATCH", path, patch, "application/merge-patch+json"))

    def delete(self, kind, path):
        ns, name = re.search("/namespaces/([^/]+)/[^/]+/([^/]+)", path).groups()
        self.admin("DELETE", path)
        fake = self.fake.delete(kind=kind, key="%s/%s" % (ns, name))
        # The version of a deletion is in no answer of the real one: ask for the world's.
        listed = self.admin("GET", path.rsplit("/", 1)[0])
        self.wrote(listed["metadata"]["resourceVersion"], fake)

    # ---- comparing

    def version(self, side, write):
        """What write made, as that side has it: for requests, {v3} in a path."""
        return next(v for v, n in self.versions[side].items() if n == write)

    def fill(self, side, path):
        return re.sub(r"\{v(\d+)\}", lambda m: self.version(side, int(m.group(1))), path)

    def plain(self, side, text):
        """Versions become the numbers of their writes."""
        def number(m):
            return "v%s" % self.versions[side].get(m.group(2), "?" + m.group(2))
        text = re.sub(r'("resourceVersion":\s*")(\d+)(?=")', lambda m: m.group(1) + number(m), text)
        text = re.sub(r"((?:version: |current: |\())(\d+)(?=[,\)\" ])",
                      lambda m: m.group(1) + number(m), text)
        return re.sub(r'"continue":\s*"[^"]+"', '"continue":"…"', text)

    def compare(self, what, real, fake, unordered=False):
        pictures = []
        for side, answer in (("real", real), ("fake", fake)):
            text = self.plain(side, answer.body)
            try:
                tree = [json.loads(line) for line in text.splitlines()] if unordered == "lines" \
                    else json.loads(text)
                if unordered == "items" and "items" in tree:
                    tree["items"].sort(key=lambda i: i["metadata"]["name"])
                if unordered == "lines":
                    tree.sort(key=lambda e: json.dumps(e, sort_keys=True))
            except ValueError:
                tree = text
            pictures.append({"status": answer.status, "headers": answer.headers, "body": tree})
        if pictures[0] != pictures[1]:
            self.differences.append("%s:\n  real %s\n  fake %s" % (what, *(
                json.dumps(p, sort_keys=True) for p in pictures)))

    def both(self, path, user="admin", method="GET", unordered=False, **more):
        answers = []
        for side in ("real", "fake"):
            c = self.connection(side, user)
            answers.append(ask(c, method, self.fill(side, path), **more))
            c.close()
        self.compare("%s %s by %s" % (method, path, user), *answers, unordered=unordered)
        return answers

    def connection(self, side, user):
        if side == "real":
            return self.real.connection(user)
        self.fake.authorize_node(**({"node": "node-a"} if user == "node" else {}))
        return http.client.HTTPConnection(urllib.parse.urlsplit(self.fake.url).netloc,
                                          timeout=harness.DEADLINE_S)

    def watched(self, path, during, user="admin", unordered=False):
        """`during` writes while both watches are open; their whole bodies are compared.

        How often a bookmark is sent within a time is the server's business: one is as good as two.
        """
        answers, threads = {}, []

        def run(side, connection):
            answers[side] = ask(connection, "GET", self.fill(side, path))
            answers[side].body = without_repeated_bookmarks(answers[side].body)

        for side in ("real", "fake"):
            thread = threading.Thread(target=run, args=(side, self.connection(side, user)))
            thread.start()
            threads.append(thread)
        during()
        for thread in threads:
            thread.join()
        self.compare("watch %s by %s" % (path, user), answers["real"], answers["fake"], unordered)

    def verdict(self):
        found, self.differences = self.differences, []
        check(not found, "%d differences:\n%s" % (len(found), "\n".join(found)))


def without_repeated_bookmarks(body):
    """A watch's lines, less the bookmarks that only say once more what the line before them says."""
    lines = []
    for line in body.splitlines(keepends=True):
        if not (lines and line == lines[-1] and '"type":"BOOKMARK"' in line):
            lines.append(line)
    return "".join(lines)


_pair = None


def pair():
    """Made once: writes 1 to 4 are the Secrets, 5 is the Pod of node-a that names db, 6 another's."""
    global _pair
    if _pair is None:
        p = Pair()
        p.admin("POST", "/api/v1/namespaces", {"metadata": {"name": "other"}})
        for ns, name in SECRET_NAMES:
            p.put("/api/v1/namespaces/%s/secrets" % ns,
                  {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": name},
                   "data": {"k": "dg=="}})
        for name, node, secret in (("p", "node-a", "db"), ("q", "node-b", "b")):
            p.put("/api/v1/namespaces/default/pods", {
                "kind": "Pod", "apiVersion": "v1", "metadata": {"name": name},
                "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i"}],
                         "volumes": [{"name": "v", "secret": {"secretName": secret}}]}})
        _pair = p
    return _pair


@suite.test
def lists_agree():
    p = pair()
    for query in ("", "?limit=500", "?limit=1", "?limit=2", "?fieldSelector=metadata.name%3Dnone",
                  "?resourceVersion={v2}&limit=500",
                  "?resourceVersion={v2}&resourceVersionMatch=Exact",
                  "?resourceVersion={v2}&limit=500&resourceVersionMatch=NotOlderThan",
                  "?fieldSelector=metadata.name%3Ddb&resourceVersion={v2}&limit=500",
                  "?fieldSelector=metadata.name%3Ddb&resourceVersion={v2}"
                  "&resourceVersionMatch=Exact", "?limit=-1", "?watch=false"):
        p.both(SECRETS + query)
    for query in ("?resourceVersion=0", "?resourceVersion=0&limit=1", "?resourceVersion={v2}",
                  "?resourceVersion={v2}&resourceVersionMatch=NotOlderThan",
                  "?fieldSelector=metadata.name%3Ddb&resourceVersion=0&limit=500"):
        p.both(SECRETS + query, unordered="items")
    p.both("/api/v1/secrets?fieldSelector=metadata.namespace%3Dother")
    for node in ("a", "b", "none"):
        p.both(NODE_PODS + node)
        p.both(NODE_PODS + node + "&limit=1")
        p.both(NODE_PODS + node + "&resourceVersion=0", unordered="items")
    p.both(SECRETS + "/db")
    p.both(SECRETS + "/db?resourceVersion=0")
    p.both("/api/v1/namespaces/default/pods/p")
    p.verdict()


@suite.test
def refusals_agree():
    p = pair()
    for path in (SECRETS + "?resourceVersion={v6}",  # no Secret has changed since v4
                 SECRETS + "/db?resourceVersion={v6}", SECRETS + "?resourceVersion=x",
                 SECRETS + "?resourceVersion=99999999&limit=2", SECRETS + "?limit=x",
                 SECRETS + "?timeoutSeconds=x&watch=true", SECRETS + "?watch=true&resourceVersion=x",
                 SECRETS + "?continue=e30&resourceVersion=5", SECRETS + "?continue=e30",
                 SECRETS + "?continue=eyJ2Ijoi", SECRETS + "?fieldSelector=spec.nodeName%3Dx",
                 SECRETS + "?fieldSelector=name",
                 SECRETS + "?resourceVersion=0&resourceVersionMatch=Exact",
                 SECRETS + "?resourceVersionMatch=Exact",
                 SECRETS + "?watch=true&resourceVersion={v4}&resourceVersionMatch=Exact",
                 SECRETS + "/none", "/api/v1/nonsense"):
        p.both(path)
    p.both(SECRETS, method="PUT")
    p.verdict()


@suite.test
def the_node_authorizer_agrees():
    p = pair()
    for path in (SECRETS + "/b", SECRETS + "/none", SECRETS, "/api/v1/secrets",
                 SECRETS + "?fieldSelector=metadata.name%3Db",
                 SECRETS + "?fieldSelector=metadata.name%3Db&watch=true", EVENTS, EVENTS + "/e"):
        p.both(path, user="node")
    harness.poll_until(lambda: p.both(SECRETS + "/db", user="node")[0].status == 200,
                       "the real authorizer sees the Pod")
    p.differences.clear()  # of the time until then
    p.both(SECRETS + "/db", user="node")
    p.both(ONE, user="node")
    p.both(PODS, user="node")
    p.both(SECRETS + "/db", user="node", method="DELETE")
    p.fake.require_token(token="good")
    p.both(SECRETS + "/db", user="nobody", token="bad")
    p.both(SECRETS + "/db", user="nobody")
    p.fake.require_token()
    p.verdict()


@suite.test
def events_agree():
    p = pair()
    json_type, merge = "application/json", "application/merge-patch+json"
    event = json.dumps({
        "kind": "Event", "apiVersion": "v1", "metadata": {"name": "e", "namespace": "default"},
        "involvedObject": {"kind": "Pod", "namespace": "default", "name": "p"},
        "reason": "FailedMount", "message": "no", "type": "Warning", "count": 1,
        "source": {"component": "kubelet", "host": "node-a"},
        "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z"})
    real, fake = p.both(EVENTS, user="node", method="POST", body=event, content_type=json_type)
    p.differences.clear()  # in version, uid and times: compared by hand
    shapes = []
    for answer in (real, fake):
        tree = answer.tree()
        for name in ("uid", "resourceVersion", "creationTimestamp"):
            check(tree["metadata"].pop(name), name)
        tree["metadata"].pop("managedFields", None)
        shapes.append({"status": answer.status, "headers": answer.headers, "body": tree})
    check_eq(shapes[1], shapes[0], "a posted event")
    p.wrote(real.tree()["metadata"]["resourceVersion"], fake.tree()["metadata"]["resourceVersion"])
    p.both(EVENTS, user="node", method="POST", body=event, content_type=json_type)
    p.both(EVENTS, user="node", method="POST", body=event)
    p.both(EVENTS, user="node", method="POST", body="{}", content_type=json_type)
    p.both(EVENTS + "/none", user="node", method="PATCH", body="{}", content_type=merge)
    p.both(EVENTS + "/e", user="node", method="PATCH", body="{}", content_type=json_type)
    for content_type in (merge, "application/strategic-merge-patch+json"):
        real, fake = p.both(EVENTS + "/e", user="node", method="PATCH", content_type=content_type,
                            body=json.dumps({"count": 2 + len(content_type),
                                             "lastTimestamp": "2026-02-02T00:00:00Z"}))
        p.differences.pop()
        p.wrote(*(a.tree()["metadata"]["resourceVersion"] for a in (real, fake)))
        for name in ("count", "lastTimestamp", "firstTimestamp", "reason"):
            check_eq(fake.tree()[name], real.tree()[name], name)
        check_eq(fake.status, real.status, "status")
    p.verdict()


@suite.test
def watches_agree():
    p = pair()
    nothing = lambda: None
    p.watched(SECRETS + "?watch=true&resourceVersion=0&timeoutSeconds=1", nothing,
              unordered="lines")
    p.watched(SECRETS + "?watch=1&timeoutSeconds=1", nothing, unordered="lines")
    p.watched(SECRETS + "?watch=true&resourceVersion={v2}&timeoutSeconds=1", nothing)
    p.watched(SECRETS + "?watch=true&resourceVersion=99999999&timeoutSeconds=1", nothing)

    def change():
        p.patch(SECRETS + "/db", {"data": {"k": "dw=="}})
        p.patch(SECRETS + "/a", {"data": {"k": "dw=="}})
        p.delete("secrets", SECRETS + "/db")
        p.put(SECRETS, {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "db"}})

    p.watched(ONE + "&watch=true&resourceVersion={v4}&timeoutSeconds=3", change, user="node")
    p.watched("/api/v1/secrets?watch=true&resourceVersion={v4}&timeoutSeconds=1", nothing)

    def bind():
        pods = "/api/v1/namespaces/default/pods"
        p.put(pods, {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "r"},
                     "spec": {"containers": [{"name": "c", "image": "i"}]}})
        p.admin("POST", pods + "/r/binding", {"kind": "Binding", "apiVersion": "v1",
                                              "metadata": {"name": "r"},
                                              "target": {"kind": "Node", "name": "node-a"}})
        p.take(p.admin("GET", pods + "/r"))
        p.take(p.admin("DELETE", pods + "/r"))  # gracefully: it stays, with a deletionTimestamp

    p.watched(PODS + "&watch=true&resourceVersion={v6}&timeoutSeconds=3", bind)
    p.verdict()


@suite.test
def bookmarks_agree():
    p = pair()
    for kind, path in (("secrets", SECRETS + "/a"), ("pods", "/api/v1/namespaces/default/pods/p")):
        target = path.rsplit("/", 1)[0] + ("?watch=true&resourceVersion={v%d}&allowWatchBookmarks=true"
                                           "&timeoutSeconds=9" % p.n_writes)

        def change(kind=kind, path=path):
            """The real one sends a bookmark 2 s before the end, the scripted one when it is told to."""
            p.fake.wait(lambda s: s["watches"] == 1, "the watch")
            p.patch(path, {"metadata": {"labels": {"x": kind}}})
            p.fake.bookmark(kind=kind)

        p.watched(target, change)
    p.verdict()


@suite.test
def expiry_agrees():
    p = pair()
    tokens = {}
    for side in ("real", "fake"):
        c = p.connection(side, "admin")
        tokens[side] = ask(c, "GET", SECRETS + "?limit=1").tree()["metadata"]["continue"]
        c.close()
    p.patch(SECRETS + "/b", {"data": {"k": "eA=="}})
    write = p.n_writes
    p.real.compact(int(p.version("real", write)))
    p.fake.compact(version=int(p.version("fake", write)))
    answers = []
    for side in ("real", "fake"):
        c = p.connection(side, "admin")
        answers.append(ask(c, "GET", SECRETS + "?limit=5&continue=" + tokens[side]))
        tokens[side] = answers[-1].tree()["metadata"]["continue"]
        c.close()
    p.compare("an expired token", *answers)
    rest = []
    for side in ("real", "fake"):
        c = p.connection(side, "admin")
        rest.append(ask(c, "GET", SECRETS + "?limit=5&continue=" + tokens[side]))
        c.close()
    p.compare("its inconsistent rest", *rest)
    p.both(SECRETS + "?resourceVersion={v2}&limit=500")
    p.both(SECRETS + "?resourceVersion={v2}&resourceVersionMatch=Exact")
    p.both(ONE + "&resourceVersion={v2}&resourceVersionMatch=Exact")
    p.both(ONE + "&resourceVersion={v2}&limit=500")
    p.both(SECRETS + "?resourceVersion={v%d}&limit=500" % write)
    p.both(SECRETS + "?resourceVersion={v2}", unordered="items")
    p.real.restart_apiserver()  # the watch cache begins anew, at the version of now
    for path in (SECRETS + "?watch=true&timeoutSeconds=1&resourceVersion={v2}",
                 SECRETS + "?watch=true&timeoutSeconds=1&resourceVersion={v%d}" % write):
        p.both(path)
    p.verdict()


if __name__ == "__main__":
    sys.exit(suite.main())
