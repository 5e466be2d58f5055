#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""kube-play - the same Pods and Secrets by `podman kube play` and by secretvold, as a table

    tests/bench/kube-play.py [--build DIR] [--json FILE] [--save DIR] [--only WORD]

Each row is a manifest that both get byte for byte, and what its container then sees: files are
read through /proc/<pid of the container>/root, mounts from the container's own mountinfo. The
containers of both sides are podman's, of one image; secretvold's get their volume by
`secretvolctl mounts POD -o podman`. Every cell is computed from that run, nothing is quoted.

`optional: false` stands in every manifest but one because podman 4.3.1 needs it: see the row
that leaves it out.

Everything happens in namespaces of its own (mount, process, network: there is none) and below one
temporary directory beside podman's own storage, so on the same disk. Status: 0 done and secretvold
did in every row what Kubernetes documents, 1 it did not or something broke, 77 something needed is
not installed.
"""

import argparse
import base64
import contextlib
import glob
import json
import os
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import harness  # noqa: E402

SKIPPED = 77
INNER = "--inside"  # the second half of the program, in its namespaces
IMAGE = "localhost/secretvold-kube-play:latest"
MOUNT_PATH = "/etc/secret"
NEEDED = {"podman": "podman", "runc": "runc", "busybox": "busybox-static", "unshare": "util-linux",
          "setpriv": "util-linux", "tar": "tar"}
CATATONIT = ("/usr/libexec/podman/catatonit", "/usr/libexec/catatonit/catatonit",
             "/usr/bin/catatonit")
PODMAN_GRAPH_ROOT = "/var/lib/containers/storage"
PODMAN_CACHE = "/var/lib/containers/cache"  # written whatever --root says

# Default limits: a root without CAP_SYS_RESOURCE cannot raise them, which podman would. The
# file log of events is how the ids of everything made are known at the end.
CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=%(nofile)d:%(nofile)d", "nproc=%(nproc)d:%(nproc)d"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""

USERNAME, PASSWORD, NEW_PASSWORD = "my-app", "39528$vdg7Jb", "changed-Qz81x"


class BenchError(Exception):
    """Something that has to work for there to be a table did not."""


# ---- the manifests ----------------------------------------------------------------------------


def base64_text(text):
    return base64.b64encode(text.encode()).decode()


CHANGED = (NEW_PASSWORD, base64_text(NEW_PASSWORD))  # decoded or not: that is another row


def data_of(username=USERNAME, password=PASSWORD):
    return "data: {username: %s, password: %s}" % (base64_text(username), base64_text(password))


SECRET = """\
apiVersion: v1
kind: Secret
metadata:
  name: %(name)s
%(data)s
"""

POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: %(name)s
spec:
  hostNetwork: true
  containers:
  - name: c
    image: %(image)s
    imagePullPolicy: Never
    command: [/bin/busybox, sleep, "3600"]
    volumeMounts:
    - {name: v, mountPath: %(mount_path)s}
  volumes:
  - name: v
    secret:
%(volume)s
"""


class Row:
    """One manifest and one question.

    asks    what the Pod asks for: the first cell; the file name comes from `name`
    judge   judge(outcome) -> (right, words); right is judged alike on both sides
    data    the Secret's data; None: there is no Secret of that name
    volume  what stands below `secret:` besides secretName
    """

    def __init__(self, name, asks, judge, data=data_of(), volume=("optional: false",)):
        self.name, self.asks, self.judge, self.data = name, asks, judge, data
        self.volume = ["secretName: " + name] + list(volume)

    def secret(self, data=None):
        return SECRET % {"name": self.name, "data": data or self.data}

    def manifest(self, data=None):
        pod = POD % {"name": self.name, "image": IMAGE, "mount_path": MOUNT_PATH,
                     "volume": "\n".join("      " + line for line in self.volume)}
        return pod if self.data is None else self.secret(data) + "---\n" + pod


# ---- what a container sees --------------------------------------------------------------------


class Refusal:
    """No container came of the manifest; words says why, as short as it can be."""

    def __init__(self, words):
        self.words = words


class Container:
    """A running container with the volume at MOUNT_PATH."""

    def __init__(self, podman, name):
        self.podman, self.name = podman, name
        fields = podman.run("inspect", "--format", "{{.Id}} {{.State.Running}} {{.State.Pid}}",
                            name).stdout.split()
        if len(fields) != 3 or fields[1] != "true":
            raise BenchError("container %s does not run: %s" % (name, fields))
        self.id, self.pid = fields[0], int(fields[2])
        self.top = "/proc/%d/root%s" % (self.pid, MOUNT_PATH)

    def files(self):
        """Paths of the files, as `find` without the directories of the atomic writer shows them."""
        found = []
        for base, dirs, files in os.walk(self.top, followlinks=True):
            dirs[:] = [d for d in dirs if not d.startswith("..")]
            found += [os.path.relpath(os.path.join(base, f), self.top) for f in files
                      if not f.startswith("..")]
        return sorted(found)

    def read(self, path):
        """Its text, or None."""
        try:
            return harness.read_file(os.path.join(self.top, path)).decode("utf-8", "replace")
        except OSError:
            return None

    def mode(self, path):
        return "%04o" % stat.S_IMODE(os.stat(os.path.join(self.top, path)).st_mode)

    def mount(self):
        for m in reversed(harness.mounts(self.pid)):
            if m["path"] == MOUNT_PATH:
                return m
        return None

    def shell(self, script):
        return self.podman.run("exec", self.name, "/bin/busybox", "sh", "-c", script, check=False)


# ---- judging ----------------------------------------------------------------------------------


def of_container(judge):
    """A judge for the rows that are about a running container: a refusal is never right there."""
    def wrapped(outcome):
        if isinstance(outcome, Refusal):
            return False, outcome.words
        return judge(outcome)
    return wrapped


def listed(names):
    return ", ".join("`%s`" % n for n in names)


def contents(container):
    files = container.files()
    return listed(files) if files else "an empty directory"


def value_judge(key, value):
    @of_container
    def judge(container):
        text = container.read(key)
        if text == value:
            return True, "yes"
        if text is None:
            return False, "no: " + contents(container)
        if text == base64_text(value):
            return False, "no: the file holds the base64 text"
        return False, "no: the file holds something else"  # which is not for printing
    return judge


@of_container
def judge_items(container):
    if container.read("my-group/my-username") is not None:
        return True, "yes"
    return False, "no: there is " + contents(container)


@of_container
def judge_unlisted(container):
    if container.read("password") is not None:
        return False, "no: `password` is there too"
    if container.read("username") is None:  # so that an empty directory does not pass
        return False, "no: there is " + contents(container)
    return True, "yes: there is only " + contents(container)


def mode_judge(path, wanted):
    @of_container
    def judge(container):
        # The file may be elsewhere when items are ignored; its mode is still the question.
        actual = path if path in container.files() else (container.files() or [None])[0]
        if actual is None:
            return False, "no file"
        mode = container.mode(actual)
        return mode == wanted, mode if mode == wanted else "%s (asked: %s)" % (mode, wanted)
    return judge


def judge_must_refuse(outcome):
    if isinstance(outcome, Refusal):
        return outcome.words.startswith("refused"), outcome.words
    return False, "container runs, with " + contents(outcome)


def files_judge(*wanted):
    @of_container
    def judge(container):
        return container.files() == sorted(wanted), "container runs, with " + contents(container)
    return judge


@of_container
def judge_medium(container):
    mount = container.mount()
    if mount is None:
        return False, "not a mount"
    if mount["fstype"] == "ramfs":
        return True, "memory: ramfs, never swapped"
    if mount["fstype"] == "tmpfs":
        swap = "noswap" if "noswap" in mount["super"] else "can be swapped out"
        return swap == "noswap", "memory: tmpfs, " + swap
    return False, "disk: %s on %s" % (mount["fstype"], mount["source"])


@of_container
def judge_read_only(container):
    target = MOUNT_PATH + "/password"
    result = container.shell("echo overwritten >%s" % target)
    if container.read("password") == "overwritten\n":
        return False, "no: root in the container overwrote the file"
    reason = result.stderr.strip().rpartition(": ")[2] or "status %d" % result.returncode
    return "Read-only" in reason, "yes: " + reason


ROWS = [
    Row("base64", "`data:` reaches the file decoded", value_judge("password", PASSWORD)),
    Row("string-data", "`stringData:` reaches the file", value_judge("password", PASSWORD),
        data='stringData: {password: "%s"}' % PASSWORD),
    Row("items", "`items`: key → path (`my-group/my-username`)", judge_items,
        volume=["optional: false", "items:", "- {key: username, path: my-group/my-username}"]),
    Row("unlisted", "`items`: keys not listed are not projected", judge_unlisted,
        volume=["optional: false", "items:", "- {key: username, path: username}"]),
    Row("mode", "`items[].mode: 0400`", mode_judge("username", "0400"),
        volume=["optional: false", "items:", "- {key: username, path: username, mode: 0400}"]),
    Row("default-mode", "`defaultMode: 0440`", mode_judge("username", "0440"),
        volume=["optional: false", "defaultMode: 0440"]),
    Row("missing-key", "`items` lists a key that the Secret lacks", judge_must_refuse,
        volume=["optional: false", "items:", "- {key: nokey, path: nokey}"]),
    Row("missing-secret", "the Secret does not exist", judge_must_refuse, data=None),
    Row("optional-secret", "the same with `optional: true`", files_judge(), data=None,
        volume=["optional: true"]),
    Row("optional-present", "`optional: true`, and the Secret exists",
        files_judge("password", "username"), volume=["optional: true"]),
    Row("optional-key", "`optional: true`, one listed key of two is missing",
        files_judge("username"),
        volume=["optional: true", "items:", "- {key: username, path: username}",
                "- {key: nokey, path: nokey}"]),
    Row("optional-absent", "no `optional:` at all (the Secret exists)",
        files_judge("password", "username"), volume=[]),
    Row("medium", "where the files are", judge_medium),
    Row("read-only", "the container cannot write to them (`readOnly:` not given)", judge_read_only),
    Row("update", "a changed Secret reaches the running container", None),  # Side.update()
    Row("removal", "nothing stays when Pod and Secret are removed", None),  # Side.remove()
]


# ---- podman -----------------------------------------------------------------------------------


class Podman:
    """podman with storage of its own."""

    def __init__(self, top):
        self.top = top
        self.graph_root = os.path.join(top, "root")
        self.command = ["podman", "--root", self.graph_root,
                        "--runroot", "/run/containers", "--tmpdir", tmp_dir(top)]
        self.environment = dict(os.environ, HOME=top, TMPDIR=top,
                                CONTAINERS_CONF=os.path.join(top, "containers.conf"))
        soft = {name: own_limit(name) for name in ("nofile", "nproc")}
        with open(self.environment["CONTAINERS_CONF"], "w", encoding="ascii") as f:
            f.write(CONTAINERS_CONF % soft)

    def run(self, *args, check=True):
        result = subprocess.run(self.command + list(args), text=True, capture_output=True,
                                stdin=subprocess.DEVNULL, env=self.environment, cwd="/",
                                timeout=120)
        if check and result.returncode:
            raise BenchError("podman %s: %s" % (" ".join(args), failure_words(result)))
        return result

    def import_image(self):
        """A root file system of one static program, so that no registry is asked."""
        rootfs = os.path.join(self.top, "rootfs")
        for name in ("bin", "etc", "proc", "dev", "sys"):
            os.makedirs(os.path.join(rootfs, name))
        shutil.copy(os.path.realpath(shutil.which("busybox")), os.path.join(rootfs, "bin/busybox"))
        if subprocess.run(["chroot", rootfs, "/bin/busybox", "true"], check=False,
                          stderr=subprocess.DEVNULL).returncode:
            skip("busybox is not static: apt-get install busybox-static")
        archive = os.path.join(self.top, "rootfs.tar")
        subprocess.run(["tar", "-C", rootfs, "-cf", archive, "."], check=True)
        self.run("import", "--quiet", archive, IMAGE)


def tmp_dir(top):
    return os.path.join(top, "tmp")


def own_limit(name):
    """What podman may ask for without raising anything."""
    hard = resource.getrlimit(getattr(resource, "RLIMIT_" + name.upper()))[1]
    ceiling = {"nofile": 20000, "nproc": 4096}[name]
    return ceiling if hard == resource.RLIM_INFINITY else min(hard, ceiling)


def failure_words(result):
    """Why a podman command failed, in a few words."""
    panic = re.search(r"^panic: (.*)$", result.stderr, re.M)
    if panic:
        return "crash: " + panic.group(1).rpartition(": ")[2]
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    text = (lines or ["status %d" % result.returncode])[-1]
    return "refused: " + re.sub(r"^Error: ", "", text)


# ---- the two sides ----------------------------------------------------------------------------


class KubePlay:
    """`podman kube play FILE`"""

    def __init__(self, podman, watch_s):
        self.podman, self.watch_s = podman, watch_s
        self.title = "podman kube play " + podman.run("--version").stdout.split()[-1]

    def file(self, row, text):
        path = os.path.join(self.podman.top, row.name + ".yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def play(self, row):
        result = self.podman.run("kube", "play", self.file(row, row.manifest()), check=False)
        if result.returncode:
            return Refusal(failure_words(result))
        return Container(self.podman, row.name + "-c")

    def update(self, row):
        """Plays the changed Secret beside the running container, then what replaces the Pod."""
        container = self.play(row)
        if isinstance(container, Refusal):
            return False, container.words
        old, changed = container.read("password"), data_of(password=NEW_PASSWORD)
        result = self.podman.run("kube", "play", self.file(row, row.secret(changed)), check=False)
        played = failure_words(result) if result.returncode else "done"
        ms = self.milliseconds_to_change(container)
        if ms is not None:
            return True, "yes, after %d ms" % ms
        words = "no: not within %g s (play of the Secret: %s)" % (self.watch_s, played)
        return False, "%s; %s" % (words, self.replace(row, container, old, changed))

    def replace(self, row, container, old, changed):
        begin = time.monotonic()
        result = self.podman.run("kube", "play", "--replace", self.file(row, row.manifest(changed)),
                                 check=False)
        if result.returncode:
            return "`--replace`: " + failure_words(result)
        new = Container(self.podman, container.name)
        seconds = time.monotonic() - begin
        text = new.read("password")
        return "`--replace`: %s container after %.1f s, with %s value" % (
            "the same" if new.id == container.id else "a new", seconds,
            "the new" if text in CHANGED else "the old" if text == old else "neither")

    def milliseconds_to_change(self, container):
        begin = time.monotonic()
        while time.monotonic() - begin < self.watch_s:
            if container.read("password") in CHANGED:
                return (time.monotonic() - begin) * 1e3
            time.sleep(0.001)  # there is no event for "nothing happens"
        return None

    def remove(self, row):
        """`kube down`, then a search for the value in everything podman stores."""
        container = self.play(row)
        if isinstance(container, Refusal):
            return False, container.words
        down = self.podman.run("kube", "down", self.file(row, row.manifest()), check=False)
        if down.returncode:
            return False, "`kube down`: " + failure_words(down)
        left = self.files_with(row.name)
        if not left:
            return True, "yes: nothing after `kube down`"
        return False, "no: after `kube down` the value is in %s" % listed(left)

    def files_with(self, secret_name):
        """Files of the storage that hold the value of this row's Secret, plain or in base64."""
        places = [os.path.join(self.podman.graph_root, "volumes", secret_name)]
        ids = self.podman.run("secret", "inspect", "--format", "{{.ID}}", secret_name, check=False)
        found = [path for place in places for path in files_below(place)
                 if holds_password(harness.read_file(path))]
        for path in glob.glob(self.podman.graph_root + "/secrets/*/secretsdata.json"):
            with open(path, encoding="utf-8") as f:
                value = json.load(f).get(ids.stdout.strip())
            if value and holds_password(base64.b64decode(value)):
                found.append(path)
        return [os.path.relpath(path, self.podman.graph_root) for path in found]


class Secretvold:
    """The daemon, and a container that gets its volume by `secretvolctl mounts`."""

    def __init__(self, podman, daemon):
        self.podman, self.daemon = podman, daemon
        self.title = "secretvold " + daemon.status()["version"]

    def play(self, row):
        self.daemon.put(row.name + ".yaml", row.manifest())
        settled = harness.in_state("Published", "Refused", "Failed", "Stale", "Unused")
        volume = self.daemon.wait_volume("default", row.name, "v", settled)
        if volume["state"] != "Published":
            return Refusal("%s: %s" % (volume["state"].lower(), volume["message"]))
        mounts = self.daemon.ctl("mounts", row.name, "-o", "podman")
        if mounts.returncode:
            raise BenchError("secretvolctl mounts: " + mounts.stderr.strip())
        name = "secretvold-" + row.name
        self.podman.run("run", "--detach", "--name", name, "--network=none", "--pull=never",
                        *mounts.stdout.split(), IMAGE, "/bin/busybox", "sleep", "3600")
        return Container(self.podman, name)

    def update(self, row):
        container = self.play(row)
        if isinstance(container, Refusal):
            return False, container.words
        begin = time.monotonic()
        self.daemon.put(row.name + ".yaml", row.manifest(data_of(password=NEW_PASSWORD)))
        try:
            harness.poll_until(lambda: container.read("password") == NEW_PASSWORD, "the new value",
                               interval_s=0.0002)
        except harness.Deadline as e:
            return False, "no: %s" % e
        ms = (time.monotonic() - begin) * 1e3
        same = Container(self.podman, container.name).pid == container.pid
        return same, "yes: %s process, %.1f ms after the file was saved" % (
            "same" if same else "another", ms)

    def remove(self, row):
        """The container ends, the manifest goes; then a search below the daemon's directory."""
        container = self.play(row)
        if isinstance(container, Refusal):
            return False, container.words
        path = self.daemon.volume("default", row.name, "v")["path"]
        self.podman.run("rm", "--force", "--time=0", container.name)
        self.daemon.delete(row.name + ".yaml")
        self.daemon.wait_gone("default", row.name, "v")
        harness.poll_until(lambda: harness.mount_at(path) is None, "the unmount of " + path)
        left = [p for p in files_below(os.path.join(self.daemon.root, "pods"))
                if row.name in p and holds_password(harness.read_file(p))]
        if left or os.path.exists(path):
            return False, "no: %s" % listed(left or [path])
        return True, "yes: unmounted, nothing left"


def files_below(top):
    return [os.path.join(base, f) for base, _, files in os.walk(top) for f in files
            if os.path.isfile(os.path.join(base, f))]


def holds_password(content):
    return PASSWORD.encode() in content or base64_text(PASSWORD).encode() in content


# ---- the table --------------------------------------------------------------------------------


def observe(side, row):
    """(right, words) for one row of one side."""
    if row.name == "update":
        return side.update(row)
    if row.name == "removal":
        return side.remove(row)
    return row.judge(side.play(row))


def compare(rows, sides):
    result = []
    for row in rows:
        cells = []
        for side in sides:
            right, words = observe(side, row)
            cells.append({"right": right, "words": words})
        result.append({"name": row.name, "asks": row.asks, "manifest": row.manifest(),
                       "podman": cells[0], "secretvold": cells[1]})
    return result


def markdown(titles, results):
    lines = ["| what the Pod asks for | %s | %s |" % tuple(titles), "| --- | --- | --- |"]
    for r in results:
        cells = [r["asks"], r["podman"]["words"], r["secretvold"]["words"]]
        lines.append("| %s |" % " | ".join(c.replace("|", "\\|") for c in cells))
    return "\n".join(lines)


def inside(args):
    """In the namespaces: mounts and processes made here end with this process."""
    # Opened before something is mounted over its path.
    json_file = open(args.json, "w", encoding="utf-8") if args.json else None
    for path in ("/run", "/dev/shm"):  # podman, runc and their locks keep state there
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", path], check=True)
    cache = os.path.join(args.inside, "cache")
    os.mkdir(cache)
    harness.bind_mount(cache, PODMAN_CACHE)
    harness.options.build = args.build
    podman = Podman(args.inside)
    podman.import_image()
    with harness.Daemon() as daemon:
        sides = [KubePlay(podman, args.watch), Secretvold(podman, daemon)]
        results = compare(selected(args.only), sides)
    titles = [side.title for side in sides]
    print(markdown(titles, results))
    if json_file:
        with json_file:
            json.dump({"columns": titles, "rows": results}, json_file, indent=2,
                      ensure_ascii=False)
            json_file.write("\n")
    wrong = [r["name"] for r in results if not r["secretvold"]["right"]]
    if wrong:
        print("kube-play: not as Kubernetes documents it, by secretvold: " + ", ".join(wrong),
              file=sys.stderr)
    return 1 if wrong else 0


# ---- around it --------------------------------------------------------------------------------


def skip(reason):
    print("kube-play: skipped: " + reason, file=sys.stderr, flush=True)
    sys.exit(SKIPPED)


def check_needed(build):
    if os.geteuid() != 0:
        skip("needs root")
    missing = sorted({package for program, package in NEEDED.items() if not shutil.which(program)})
    if not any(os.access(path, os.X_OK) for path in CATATONIT):
        missing.append("catatonit")
    if missing:
        skip("not installed: %s (apt-get install -y --no-install-recommends %s)"
             % (", ".join(missing), " ".join(missing)))
    for program in ("secretvold", "secretvolctl"):
        if not os.access(os.path.join(build, program), os.X_OK):
            raise BenchError("%s is not in %s: make, or --build DIR" % (program, build))


def storage_parent():
    """A directory on the file system on which podman would keep its storage."""
    path = PODMAN_GRAPH_ROOT
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def run_in_namespaces(args, top):
    """This program again; it dies with this process, and everything in there dies with it."""
    options = ["--build", args.build, "--watch", str(args.watch), "--only", args.only]
    if args.json:
        options += ["--json", os.path.abspath(args.json)]
    child = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "--", "unshare", "--mount", "--propagation", "private",
         "--pid", "--fork", "--kill-child", "--mount-proc", "--net", "--",
         sys.executable, "-u", os.path.abspath(__file__), INNER, top] + options)
    try:
        return child.wait()
    finally:  # also on SIGTERM and SIGINT
        if child.poll() is None:
            child.kill()
            child.wait()


def made_ids(top):
    """Ids of the pods and containers that podman made below top, from its log of events."""
    ids = set()
    for path in files_below(tmp_dir(top)):
        if os.path.basename(path).startswith("events.log"):
            ids |= set(re.findall(rb"\b[0-9a-f]{64}\b", harness.read_file(path)))
    return {i.decode() for i in ids}


def control_group_parents():
    return {path for pattern in ("/sys/fs/cgroup/libpod_parent", "/sys/fs/cgroup/*/libpod_parent")
            for path in glob.glob(pattern)}


def remove_control_groups(ids, parents_before):
    """podman leaves them behind, empty. Only those of our ids: others may use podman as well."""
    def removed(path):
        try:
            os.rmdir(path)
        except FileNotFoundError:
            pass
        except OSError:  # busy for a moment after its last process
            return False
        return True

    for parent in control_group_parents():
        for base, dirs, _ in os.walk(parent, topdown=False):
            for path in (os.path.join(base, d) for d in dirs):
                parts = os.path.relpath(path, parent).split("/")
                if any(re.sub(r"^libpod-(conmon-)?", "", part) in ids for part in parts):
                    harness.poll_until(lambda p=path: removed(p), "removal of " + path)
        if parent not in parents_before:
            for path in (os.path.join(parent, "conmon"), parent):
                with contextlib.suppress(OSError):  # somebody else's by now
                    os.rmdir(path)


def save_manifests(rows, directory):
    os.makedirs(directory, exist_ok=True)
    for row in rows:
        with open(os.path.join(directory, row.name + ".yaml"), "w", encoding="utf-8") as f:
            f.write(row.manifest())


def selected(word):
    return [row for row in ROWS if word in row.name]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--build", default=harness.options.build, help="build directory")
    parser.add_argument("--json", metavar="FILE", help="the same, with the manifests, as JSON")
    parser.add_argument("--save", metavar="DIR", help="write the manifests there, run nothing")
    parser.add_argument("--only", metavar="WORD", default="", help="rows whose name holds WORD")
    parser.add_argument("--watch", metavar="SECONDS", type=float, default=5.0,
                        help="how long to look for an update that does not come (default 5)")
    parser.add_argument(INNER, metavar="DIR", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.build = os.path.abspath(args.build)
    if not selected(args.only):
        parser.error("no row's name holds '%s'" % args.only)
    if args.save:
        save_manifests(selected(args.only), args.save)
        return 0
    if args.inside:
        return inside(args)
    check_needed(args.build)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    parents = control_group_parents()
    with contextlib.ExitStack() as undo:
        top = tempfile.mkdtemp(prefix="secretvold-kube-play.", dir=storage_parent())
        undo.callback(shutil.rmtree, top)
        undo.callback(lambda: remove_control_groups(made_ids(top), parents))
        for path in (os.path.dirname(PODMAN_CACHE), PODMAN_CACHE):
            if not os.path.isdir(path):
                os.mkdir(path, 0o700)
                undo.callback(os.rmdir, path)
        return run_in_namespaces(args, top)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BenchError, AssertionError, OSError, subprocess.SubprocessError) as e:
        print("kube-play: %s" % e, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
