#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The scripted API server as a program: what its control interface does, and that it goes away."""

import http.client
import json
import os
import sys
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness
from fake_api import ControlError, FakeApi
from harness import check, check_eq, check_in

suite = harness.Suite("fake_api", needs_root=False)

SECRETS = "/api/v1/namespaces/default/secrets"


def connect(api):
    return http.client.HTTPConnection(urllib.parse.urlsplit(api.url).netloc,
                                      timeout=harness.DEADLINE_S)


def get(api, path):
    c = connect(api)
    c.request("GET", path)
    r = c.getresponse()
    answer = r.status, r.read().decode()
    c.close()
    return answer


def refused(call):
    try:
        call()
    except ControlError as e:
        return str(e)
    raise AssertionError("was not refused")


@suite.test
def objects_are_written_and_read():
    with FakeApi() as api:
        check_eq(api.put_secret(key="db", keys="user=me"), 96, "version")
        check_eq(api.put_pod(key="p", node="node-a", volumes="v=db"), 97, "version")
        check_eq(api.edit(kind="pods", key="p", patch={"status": {"phase": "Failed"}}), 98, "version")
        check_eq(api.object("pods", "p")["status"]["phase"], "Failed", "phase")
        check_eq(api.put({"kind": "Secret", "metadata": {"name": "x"}}), 99, "version")
        check_eq(api.terminate(key="p"), 100, "version")
        check("deletionTimestamp" in api.object("pods", "p")["metadata"], "not terminating")
        check_eq(api.delete(kind="pods", key="p"), 101, "version")
        check_eq(api.object("pods", "p"), None, "a deleted object")
        check_eq(api.put_big_secret(key="big", bytes=5000), 102, "version")
        check_in('"db"', get(api, SECRETS)[1], "list")
        check_eq(api.set_version(version=200), 200, "version")
        check_eq(api.compact(), 200, "version")
        check_eq(get(api, SECRETS + "?resourceVersion=100&limit=5")[0], 410, "compacted")
        state = api.state()
        check_eq((state["secrets"], state["pods"], state["requests"]), (3, 0, 2), "state")


@suite.test
def a_batch_is_done_in_order():
    with FakeApi() as api:
        commands = [{"do": "put_secret", "key": "s%d" % i, "keys": "k=v"} for i in range(500)]
        check_eq(api.batch(commands), 95 + 500, "version")
        check_eq(api.restore(version=95 + 100), 195, "version")
        check_eq(api.state()["secrets"], 100, "secrets")


@suite.test
def requests_are_logged_for_those_who_ask():
    with FakeApi() as api:
        get(api, "/version")
        get(api, SECRETS + "?fieldSelector=metadata.name%3Ddb&limit=7")
        check_eq([r["kind"] for r in api.requests()], ["version", "secrets"], "kinds")
        (r,) = api.requests(verb="list", name="db")
        check_eq((r["query"]["limit"], r["ns"], r["status"], r["ended"]), ("7", "default", 200, True),
                 "the list")
        check_eq(api.requests(after=r["serial"]), [], "later ones")
        api.clear_log()
        check_eq(api.state()["requests"], 0, "requests")


@suite.test
def watches_are_told_and_ended():
    with FakeApi() as api:
        c = connect(api)
        c.request("GET", SECRETS + "?watch=true&resourceVersion=95&allowWatchBookmarks=true")
        r = c.getresponse()
        api.wait(lambda s: s["watches"] == 1, "the watch")
        api.put_secret(key="db", keys="k=v")
        api.bookmark(kind="secrets", version=150)
        api.watch_event(kind="secrets", type="ODD", object={"kind": "X"})
        api.watch_send(kind="secrets", text="half")
        api.watch_error(kind="secrets", code=410)
        lines = r.read().decode().split("\n")
        check_eq([json.loads(x)["type"] for x in lines[:3]], ["ADDED", "BOOKMARK", "ODD"], "types")
        check_in('half{"type":"ERROR"', lines[3], "the end")
        c.request("GET", SECRETS + "?watch=true&allowWatchBookmarks=true")
        r = c.getresponse()
        r.fp.readline()
        api.bookmarks(every_ms=1)
        while b"BOOKMARK" not in r.fp.readline():
            pass
        api.bookmarks(every_ms=0)
        api.watch_cut(kind="secrets", how="rst")
        api.wait(lambda s: s["watches"] == 0, "the end of the watch")
        c.close()


@suite.test
def faults_wait_for_their_requests():
    with FakeApi() as api:
        api.fault(what="status", verb="list", status=429, times=2, retry_after_s=3)
        check_eq(api.state()["faults"], 1, "faults")
        check_eq(get(api, SECRETS)[0], 429, "first")
        check_eq(get(api, "/version")[0], 200, "another verb")
        check_eq(get(api, SECRETS)[0], 429, "second")
        check_eq(get(api, SECRETS)[0], 200, "third")
        api.fault(what="hang", forever=True)
        api.clear_faults()
        check_eq(get(api, SECRETS)[0], 200, "after all")


@suite.test
def it_goes_down_and_comes_back_while_its_control_stays():
    with FakeApi() as api:
        get(api, "/version")
        api.down()
        try:
            get(api, "/version")
            raise AssertionError("it answered")
        except ConnectionRefusedError:
            pass
        api.up()
        check_eq(get(api, "/version")[0], 200, "status")
        c = connect(api)
        c.request("GET", "/version")
        c.getresponse().read()
        api.cut_all()
        api.wait(lambda s: s["connections"] == 0, "no connections")
        c.close()


@suite.test
def it_authorizes_like_a_node_and_wants_a_token():
    with FakeApi() as api:
        api.put_secret(key="db", keys="k=v")
        api.authorize_node(node="node-a", denials=1)
        api.put_pod(key="p", node="node-a", volumes="v=db")
        check_eq([get(api, SECRETS + "/db")[0] for _ in range(2)], [403, 200], "statuses")
        api.require_token(token="good")
        check_eq(get(api, SECRETS + "/db")[0], 403, "anonymous")


@suite.test
def nonsense_is_refused_and_does_no_harm():
    with FakeApi() as api:
        for call, why in (
                (lambda: api.nonsense(), "no such command"),
                (lambda: api.put_secret(key="x"), "a member is missing"),
                (lambda: api.delete(kind="pods", key="none"), "no such object"),
                (lambda: api.edit(kind="things", key="x", patch={}), "no such object"),
                (lambda: api.put({"kind": "Node", "metadata": {"name": "n"}}), "put wants"),
                (lambda: api.fault(what="nothing"), "no such fault"),
                (lambda: api.restore(version=1000), "does not have"),
                (lambda: api.bookmark(kind="things"), "no such kind"),
                (lambda: api.batch({"do": "up"}), "array is wanted"),
                (lambda: api.batch([7]), "JSON object")):
            check_in(why, refused(call), "the refusal")
        check_eq(api.state()["version"], 95, "version")


@suite.test
def it_ends_with_the_one_who_started_it():
    api = FakeApi()
    api.process.stdin.close()
    check_eq(api.process.wait(harness.DEADLINE_S), 0, "exit status")
    api.process.stdout.close()


if __name__ == "__main__":
    sys.exit(suite.main())
