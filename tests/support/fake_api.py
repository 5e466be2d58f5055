# SPDX-License-Identifier: Apache-2.0
"""The scripted API server as a program (tests/fake/apiserver.c), for Python suites.

    with FakeApi() as api:
        api.put_secret(key="db", keys="user=me password=x")
        api.put_pod(key="p", node="node-a", volumes="v=db")
        api.fault(what="status", verb="watch", status=500, times=3)
        start_something(api.url)
        api.wait(lambda s: s["watches"] == 2, "its watches")
"""

import http.client
import json
import os
import subprocess
import urllib.parse

import harness


class ControlError(Exception):
    pass


class FakeApi:
    """Every command of the control interface is a method that takes its members by name."""

    def __init__(self):
        program = os.path.join(harness.options.build, "tests", "fake", "apiserver")
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE,  # it ends when we do
                                        stdout=subprocess.PIPE)
        addresses = json.loads(self.process.stdout.readline())
        self.url = addresses["url"]
        self._control = http.client.HTTPConnection(
            urllib.parse.urlsplit(addresses["control"]).netloc, timeout=harness.DEADLINE_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Ends it; its exit status says whether it had anything left open."""
        self._control.close()
        self.process.terminate()
        status = self.process.wait(harness.DEADLINE_S)
        self.process.stdin.close()
        self.process.stdout.close()
        harness.check_eq(status, 0, "exit status of the scripted API server")

    def daemon_args(self, node):
        """What makes a daemon ask this server for the Pods of a node."""
        path = os.path.join(harness.make_dir("kubeconfig."), "config")
        with open(path, "w", encoding="utf-8") as f:
            json.dump({"apiVersion": "v1", "kind": "Config", "current-context": "c",
                       "clusters": [{"name": "c", "cluster": {"server": self.url}}],
                       "users": [{"name": "u", "user": {}}],
                       "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}, f)
        os.chmod(path, 0o600)
        return ["--kubeconfig", path, "--allow-insecure-kubeconfig", "--node-name", node]

    def _ask(self, method, path, body=None):
        self._control.request(method, "/_control/" + path,
                              None if body is None else json.dumps(body))
        response = self._control.getresponse()
        answer = json.loads(response.read())
        if response.status != 200:
            raise ControlError(answer.get("error", "status %d" % response.status))
        return answer

    def command(self, name, **arguments):
        """The version afterwards."""
        return self._ask("POST", name, arguments)["version"]

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda **arguments: self.command(name, **arguments)

    def put(self, obj):
        """A Pod or a Secret as a dict."""
        return self._ask("POST", "put", obj)["version"]

    def batch(self, commands):
        """Dicts with "do" and the command's members, in one request."""
        return self._ask("POST", "batch", commands)["version"]

    def state(self):
        return self._ask("GET", "state")

    def requests(self, **wanted):
        """The log as dicts, oldest first; only those with this verb, kind, name, or after a serial."""
        return self._ask("GET", "requests?" + urllib.parse.urlencode(wanted))

    def object(self, kind, key):
        """An object as a dict, or None."""
        try:
            return self._ask("GET", "object?" + urllib.parse.urlencode({"kind": kind, "key": key}))
        except ControlError:
            return None

    def wait(self, condition, what, deadline_s=harness.DEADLINE_S):
        """Until condition(state) holds; the state."""
        def holds():
            state = self.state()
            return state if condition(state) else None
        return harness.poll_until(holds, what, deadline_s)
