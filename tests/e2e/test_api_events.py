#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Events about Pods in the API: what kubectl describe pod shows, and what the server is spared."""

import contextlib
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import fake_api  # noqa: E402
import harness  # noqa: E402
from harness import Daemon, check, check_eq, check_in, newer_than, poll_until  # noqa: E402

suite = harness.Suite("api-events")

NODE = "node-a"
NO_SECRET = 'MountVolume.SetUp failed for volume "v" : secret "s" not found'
WRITES = ("create", "patch")


@contextlib.contextmanager
def daemon_of(api, *args):
    with Daemon(args=api.daemon_args(NODE) + ["--log-level", "debug"] + list(args)) as d:
        yield d
        check_eq(d.stop(), 0, "exit status")


def writes(api, *statuses):
    """Requests about Events that were answered with one of these, or at all: (status, verb, body)."""
    found = [r for r in api.requests(kind="events") if r["verb"] in WRITES]
    return [(r["status"], r["verb"], json.loads(r["body"])) for r in found
            if (r["status"] in statuses if statuses else r["status"])]


def wait_writes(api, n, *statuses):
    def enough():
        found = writes(api, *statuses)
        return found if len(found) >= n else None
    try:
        return poll_until(enough, "%d writes of events" % n)
    except harness.Deadline as e:
        seen = ["%d to %s of %s, count %s" % (status, verb, body.get("reason", "?"), body["count"])
                for status, verb, body in writes(api)]
        raise harness.Deadline("%s, answered %s; seen: %s" % (
            e, statuses or "at all", "; ".join(seen) or "none")) from None


def failures(api):
    """The Events that were made of failures."""
    return [body for _, _, body in writes(api, 201) if body["reason"] == "FailedMount"]


def key_of(body):
    return body["metadata"]["namespace"] + "/" + body["metadata"]["name"]


def wait_count(api, key, n):
    def counted():
        event = api.object("events", key)
        return event if event and event["count"] == n else None
    return poll_until(counted, "a count of %d" % n)


def counted(d):
    """What metrics say became of the Events, by result; "combined" is one more."""
    text = d.client.get("/metrics")[1]
    text = text.decode() if isinstance(text, bytes) else text
    counts = dict(re.findall(r'^secretvold_api_events_total\{result="(\w+)"\} (\d+)$', text, re.M))
    counts["combined"] = re.search(r"^secretvold_api_events_combined_total (\d+)$", text,
                                   re.M).group(1)
    return {result: int(n) for result, n in counts.items()}


def fail_again(api, d):
    """The Secret appears, or changes, and goes: the volume that is mounted says so."""
    volume = d.volume("team", "web", "v")
    api.put_secret(key="team/s", keys="k=%d" % (volume["generation"] + 1))
    d.wait_volume("team", "web", "v", newer_than(volume["generation"]))
    api.delete(kind="secrets", key="team/s")


@suite.test
def a_volume_that_fails_is_an_event_of_its_pod():
    with fake_api.FakeApi() as api:
        api.put_pod(key="team/web", node=NODE, volumes="v=s")
        pod = api.object("pods", "team/web")
        with daemon_of(api):
            _, _, sent = wait_writes(api, 1, 201)[0]
            event = api.object("events", key_of(sent))
            check_eq(event["involvedObject"],
                     {"kind": "Pod", "apiVersion": "v1", "namespace": "team", "name": "web",
                      "uid": pod["metadata"]["uid"]}, "involvedObject")
            check_eq(event["message"], NO_SECRET, "message")
            check_eq((event["type"], event["reason"], event["count"]),
                     ("Warning", "FailedMount", 1), "type, reason, count")
            check_eq(event["source"], {"component": "secretvold", "host": NODE}, "source")
            check_eq(event["firstTimestamp"], event["lastTimestamp"], "times")
            check(event["metadata"]["name"].startswith("web."), "name of the event")


@suite.test
def a_new_generation_is_an_event_and_tells_no_value():
    with fake_api.FakeApi() as api:
        api.put_secret(key="team/s", keys="password=value-of-old")
        api.put_pod(key="team/web", node=NODE, volumes="v=s")
        with daemon_of(api) as d:
            volume = d.wait_published("team", "web", "v")
            api.put_secret(key="team/s", keys="password=value-of-new")
            d.wait_volume("team", "web", "v", newer_than(volume["generation"]))
            _, _, sent = wait_writes(api, 1, 201)[0]
            check_eq((sent["type"], sent["reason"], sent["message"]),
                     ("Normal", "SecretUpdated", 'volume "v" has generation 2'), "event")
            fail_again(api, d)
            wait_writes(api, 3)  # the failure, and another generation before it
            check("value-of" not in json.dumps(writes(api)), "an event tells a value")


@suite.test
def a_repetition_is_counted_and_an_event_that_expired_is_made_anew():
    with fake_api.FakeApi() as api:
        api.put_pod(key="team/web", node=NODE, volumes="v=s")
        with daemon_of(api) as d:
            key = key_of(wait_writes(api, 1, 201)[0][2])
            fail_again(api, d)
            event = wait_count(api, key, 2)
            check_eq(event["message"], NO_SECRET, "message")
            check_eq(writes(api)[-1][2], {"count": 2, "lastTimestamp": event["lastTimestamp"]},
                     "the patch")
            api.delete(kind="events", key=key)
            fail_again(api, d)
            wait_writes(api, 1, 404)
            new = poll_until(lambda: failures(api)[1:], "another event of the failure")[0]
            check(key_of(new) != key, "the new event has another name")
            check_eq((new["count"], new["firstTimestamp"]), (3, event["firstTimestamp"]),
                     "count and first time")


@suite.test
def an_event_outlives_errors_of_the_server():
    with fake_api.FakeApi() as api:
        api.fault(what="status", kind="events", verb="create", status=500, times=2)
        api.put_pod(key="team/web", node=NODE, volumes="v=s")
        with daemon_of(api):
            wait_writes(api, 1, 201)
            check_eq([w[0] for w in writes(api)], [500, 500, 201], "answers")


@suite.test
def an_event_whose_answer_was_lost_is_there_once():
    with fake_api.FakeApi() as api:
        api.fault(what="lose", kind="events", verb="create")
        api.put_pod(key="team/web", node=NODE, volumes="v=s")
        with daemon_of(api) as d:
            wait_writes(api, 1, 409)
            check_eq(api.state()["events"], 1, "events of the server")
            fail_again(api, d)
            wait_writes(api, 1, 200)  # it is known to be there: counted up
            check_eq(api.state()["events"], 1, "events of the server")


@suite.test
def an_event_waits_while_the_server_is_away():
    with fake_api.FakeApi() as api:
        api.fault(what="status", kind="events", status=503, forever=True)
        api.put_pod(key="team/web", node=NODE, volumes="v=s")
        with daemon_of(api) as d:
            wait_writes(api, 1, 503)
            api.down()
            d.wait_status(lambda s: not s["sources"][0]["available"], "the server seen down")
            api.clear_faults()
            api.up()
            wait_writes(api, 1, 201)
            check_eq(api.state()["events"], 1, "events of the server")


@suite.test
def the_server_is_left_alone_as_long_as_it_asks_for():
    with fake_api.FakeApi() as api:
        api.fault(what="status", kind="events", status=429, retry_after_s=2)
        api.put_pod(key="team/web", node=NODE, volumes="v=s")
        with daemon_of(api):
            wait_writes(api, 1, 201)
            first, second = [r for r in api.requests(kind="events") if r["verb"] in WRITES]
            check_eq((first["status"], second["status"]), (429, 201), "answers")
            check(second["at_ns"] - first["at_ns"] >= 2e9, "sent again within 2 s")


@suite.test
def without_the_right_it_says_so_once_and_volumes_do_not_mind():
    with fake_api.FakeApi() as api:
        api.fault(what="status", kind="events", status=403, forever=True)
        for name in ("web", "b", "c"):
            api.put_pod(key="team/" + name, node=NODE, volumes="v=s")
        with daemon_of(api) as d:
            wait_writes(api, 1, 403)
            problem = d.wait_status(lambda s: s["problems"], "a problem")["problems"][0]
            check_eq((problem["kind"], problem["reason"], problem["severity"]),
                     ("Event", "Forbidden", "warning"), "the problem")
            check_in("the right to create and patch events", problem["message"], "its text")
            check_eq(problem["namespace"], "team", "where")
            status = d.ctl("status")
            check_in("next: kubectl auth can-i create events -n team", status.stdout, "advice")
            api.put_secret(key="team/s", keys="k=1")
            volume = d.wait_published("team", "web", "v")
            api.put_secret(key="team/s", keys="k=2")
            d.wait_volume("team", "web", "v", newer_than(volume["generation"]))
            d.wait_event(lambda e: e["reason"] == "SecretUpdated")
            # those that were under way at the first refusal may have come, too
            check_eq({w[2]["reason"] for w in writes(api)}, {"FailedMount"}, "what was sent")
            counts = counted(d)
            check_eq(counts["denied"], len(writes(api)), "denied")
            check(counts["dropped"] > 0, "nothing was dropped")
            check_eq((counts["sent"], counts["failed"], counts["combined"]), (0, 0, 0), "others")
            check_eq(d.log().count("no events are written"), 1, "lines about it")


@suite.test
def what_becomes_of_events_is_counted():
    with fake_api.FakeApi() as api:
        api.fault(what="status", kind="events", status=400)  # for one of them
        for name in ("a", "b", "c"):
            api.put_pod(key="team/" + name, node=NODE, volumes="v=s")
        with daemon_of(api) as d:
            wait_writes(api, 2, 201)
            poll_until(lambda: counted(d)["sent"] == 2 or None, "two that were taken")
            check_eq(counted(d), {"sent": 2, "denied": 0, "failed": 1, "dropped": 0,
                                  "combined": 0}, "counts")


@suite.test
def pods_of_manifests_are_not_the_servers_concern():
    with fake_api.FakeApi() as api:
        with daemon_of(api) as d:
            d.put_objects("pod.yaml", harness.pod("local", {"v": "missing"}))
            d.wait_event(lambda e: e["pod"] == "local" and e["reason"] == "FailedMount")
            api.put_pod(key="team/web", node=NODE, volumes="v=s")
            wait_writes(api, 1, 201)
            check_eq([w[2]["involvedObject"]["name"] for w in writes(api)], ["web"], "events of")


@suite.test
def none_are_written_if_nobody_wants_them():
    with fake_api.FakeApi() as api:
        api.put_pod(key="team/web", node=NODE, volumes="v=s")
        with daemon_of(api, "--no-api-events") as d:
            d.wait_event(lambda e: e["reason"] == "FailedMount")
            api.put_secret(key="team/s", keys="k=1")
            d.wait_published("team", "web", "v")  # after another round trip
            check_eq(writes(api), [], "requests about events")
            check("secretvold_api_events" not in str(d.client.get("/metrics")[1]), "metrics of them")


if __name__ == "__main__":
    sys.exit(suite.main())
