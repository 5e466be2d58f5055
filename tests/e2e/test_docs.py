#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What is written about the programs is what they do: manual pages, README, completions.

Needs neither root nor a daemon.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness  # noqa: E402
from harness import REPO, Skip, check, check_eq, check_in  # noqa: E402

suite = harness.Suite("docs", needs_root=False)

DAEMON_PAGE = "daemon/secretvold.8"
CONFIG_PAGE = "daemon/secretvold.yaml.5"
CTL_PAGE = "daemon/ctl/secretvolctl.1"
COMPLETIONS = "daemon/ctl/completion/"
NO_KEYS = {"config", "help", "version"}  # options that have no place in the configuration file

OPTION_RE = re.compile(r"^ +(?:-(\w), )?--([a-z-]+)(?:[= ](\S+))?(?: +(.*)|$)")
DEFAULT_RE = re.compile(r"\(default:? (?:/etc/secretvold/config\.yaml, )?([^)]*)\)$")

# What the completion asks in place of secretvolctl.
FAKE = r"""#!/bin/bash
case "$*" in
"get pods -A --no-headers") printf 'default   web   1/1\nshop   till   1/1\n' ;;
"get secrets -A --no-headers") printf 'extra   s   Opaque\nshop   s   Opaque\n' ;;
"get volumes -n default -o name") printf 'volume/web/a\nvolume/web/b\n' ;;
"get pods -n default -o name") echo pod/web ;;
"get pods -n shop -o name") echo pod/till ;;
"--socket /tmp/x.sock get secrets -n default -o name") echo secret/elsewhere ;;
"get pods web -n default -o yaml")
	printf 'items:\n- name: web\n  volumes:\n  - name: v\n  containers:\n  - name: app\n'
	printf '    kind: app\n  - name: "1"\n    kind: init\n  reason: ""\n' ;;
*) echo "unexpected: $*" >&2; exit 2 ;;
esac
"""


def path_of(name):
    return os.path.join(REPO, name)


def read(name):
    with open(path_of(name), encoding="utf-8") as f:
        return f.read()


def run(*command, **options):
    return subprocess.run(command, text=True, capture_output=True, stdin=subprocess.DEVNULL,
                          timeout=harness.DEADLINE_S, **options)


def program(name):
    return os.path.join(harness.options.build, name)


def help_text(name, *verb):
    r = run(program(name), *verb, "--help")
    check_eq((r.returncode, r.stderr), (0, ""), "%s --help" % " ".join((name,) + verb))
    return r.stdout


def options_of(text):
    """long name -> (letter, value, help) of the options in a --help."""
    found, name = {}, None
    for line in text.partition("ptions")[2].splitlines() if "Usage: secretvolctl" in text \
            else text.splitlines():
        m = OPTION_RE.match(line)
        if m:
            name = m.group(2)
            found[name] = (m.group(1) or "", m.group(3) or "", m.group(4) or "")
        elif name and line.startswith(" " * 30):  # a help text that stands on its own line
            found[name] = found[name][:2] + (line.strip(),)
    check(found, "no options in the help")
    return found


def verbs():
    """The commands that `secretvolctl --help` lists."""
    block = help_text("secretvolctl").partition("Commands:\n")[2].partition("\n\n")[0]
    names = [line.split()[0] for line in block.splitlines()]
    check_in("status", names, "commands")
    return names


def common_options():
    return options_of(help_text("secretvolctl"))


def own_options(verb):
    common = common_options()
    return {k: v for k, v in options_of(help_text("secretvolctl", verb)).items()
            if k not in common}


def camel_case(flag):
    return re.sub("-([a-z])", lambda m: m.group(1).upper(), flag)


# ---- manual pages ----------------------------------------------------------------------------


def part(page, kind, title):
    """A section (.Sh) or subsection (.Ss) of a page's source."""
    m = re.search(r"^\.%s %s$(.*?)(?=^\.S[hs] |\Z)" % (kind, re.escape(title)), read(page),
                  re.M | re.S)
    check(m, "%s has no part '%s'" % (page, title))
    return m.group(1)


def items(text):
    """long name -> (letter, the text below) of the `.It Fl …` entries."""
    found = {}
    for m in re.finditer(r"^\.It (Fl .*)\n((?:(?!\.It Fl |\.El).*\n)*)", text, re.M):
        names = re.findall(r"(?:^Fl | , )(-?[A-Za-z][A-Za-z-]*)", m.group(1))
        longs = [n[1:] for n in names if n.startswith("-")]
        letters = [n for n in names if not n.startswith("-")]
        check_eq(len(longs), 1, "long names in '.It %s'" % m.group(1))
        found[longs[0]] = ("".join(letters), m.group(2))
    return found


def plain(text):
    """Words of a piece of a page, without macros."""
    return re.sub(r"\s+", " ", re.sub(r"^\.[A-Z][a-z] |\\&|\b(?:Ns|Ar|Cm|Ql|Pa)\b", " ", text,
                                      flags=re.M))


@suite.test
def every_option_of_the_daemon_is_in_its_page():
    want = options_of(help_text("secretvold"))
    got = items(part(DAEMON_PAGE, "Sh", "OPTIONS"))
    check_eq(sorted(got), sorted(want), "options in the page and in --help")
    for name, (_, _, words) in want.items():
        m = DEFAULT_RE.search(words)
        if m and " " not in m.group(1):
            check_in(m.group(1).replace("ROOT/", "").lower(), plain(got[name][1]).lower(),
                     "default of --" + name)


@suite.test
def every_command_and_option_is_in_the_page():
    names = verbs()
    sections = re.findall(r"^\.Ss (\S+)$", read(CTL_PAGE), re.M)
    check_eq(sections, names + ["help"], "commands in the page")
    got = items(part(CTL_PAGE, "Sh", "DESCRIPTION"))
    check_eq({k: v[0] for k, v in got.items()}, {k: v[0] for k, v in common_options().items()},
             "options of every command")
    for verb in names:
        want = own_options(verb)
        got = items(part(CTL_PAGE, "Ss", verb))
        check_eq({k: v[0] for k, v in got.items()}, {k: v[0] for k, v in want.items()},
                 "options of %s in the page and in --help" % verb)
        for name, (_, value, _) in want.items():
            for word in value.split("|") if value.islower() else []:
                check_in(word, plain(got[name][1]).replace(",", " ").replace(".", " ")
                         .replace(";", " ").split(), "values of %s --%s" % (verb, name))


@suite.test
def exit_statuses_are_in_the_page():
    words = re.sub(r"\s+", " ", help_text("secretvolctl").partition("Exit codes:")[2])
    codes = re.findall(r"\b(\d) ", words)
    check_eq(codes, list("012345"), "codes in --help")
    check_eq(re.findall(r"^\.It (\d)$", part(CTL_PAGE, "Sh", "EXIT STATUS"), re.M), codes,
             "codes in the page")


@suite.test
def every_key_is_in_the_configurations_page():
    keys = [camel_case(o) for o in options_of(help_text("secretvold")) if o not in NO_KEYS]
    documented = re.findall(r"^\.It Cm (\w+)", part(CONFIG_PAGE, "Sh", "DESCRIPTION"), re.M)
    check_eq(sorted(documented), sorted(keys), "keys in the page and options")
    for key in documented:
        check_eq(config_error("%s: null\n" % key), "unknown key 'bogus'", "key " + key)


def config_error(text):
    """What the daemon has to say about a configuration, after which comes a wrong key."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
        f.write(text + "bogus: 1\n")
        f.flush()
        r = run(program("secretvold"), "--config", f.name)
        check_eq(r.returncode, 2, "exit status (%s)" % r.stderr.strip())
        return r.stderr.strip().rpartition("': ")[2] if "': " in r.stderr else r.stderr.strip()


@suite.test
def the_examples_of_the_configuration_are_right():
    check_eq(config_error("nodeName: 1\n"), "nodeName: value of the wrong type", "a wrong value")
    example = re.search(r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed", part(CONFIG_PAGE, "Sh", "EXAMPLES"),
                        re.M | re.S).group(1)
    check(len(yaml.safe_load(example)) >= 3, "no example")
    check_eq(config_error(example), "unknown key 'bogus'", "the page's example")
    if os.path.exists(path_of("systemd/config.yaml")):
        text = re.sub(r"^#(\w+:|  - )", r"\1", read("systemd/config.yaml"), flags=re.M)
        check(len(yaml.safe_load(text)) >= 3, "no keys in systemd/config.yaml")
        check_eq(config_error(text), "unknown key 'bogus'", "systemd/config.yaml")


@suite.test
def every_state_and_reason_is_written_down():
    block = re.search(r"names\[\] = \{(.*?)\}", read("lib/core/actual.c"), re.S).group(1)
    words = set(re.findall(r'"([A-Z]\w+)"', block))
    check_eq(len(words), 7, "states in the source")
    words |= set(re.findall(r'return "([A-Z]\w+)";', read("lib/core/reconcile.c")))
    words |= set(re.findall(r'reason = "([A-Z]\w+)"',
                            read("lib/core/catalog.c") + read("daemon/source/dir.c")
                            + read("lib/node/fsutil.c")))
    check_in("KeyNotFound", words, "reasons in the source")
    page, readme = plain(part(DAEMON_PAGE, "Sh", "VOLUME STATES")), read("README.md")
    check_eq([w for w in sorted(words) if w not in page], [], "states and reasons not in the page")
    check_eq([w for w in sorted(words) if "`%s`" % w not in readme], [],
             "states and reasons not in the README")
    block = re.search(r"state = gone(.*?);", read("lib/core/status.c"), re.S).group(1)
    states = re.search(r"`PodList` items hold .*?`state` \((.*?)\)", readme, re.S).group(1)
    check_eq(sorted(re.findall(r"`(\w+)`", states)), sorted(re.findall(r'"([A-Z]\w+)"', block)),
             "states of Pods in the README")


@suite.test
def pages_are_clean():
    if not shutil.which("mandoc"):
        raise Skip("no mandoc")
    for page in (DAEMON_PAGE, CONFIG_PAGE, CTL_PAGE):
        r = run("mandoc", "-T", "lint", path_of(page))
        # Pages that are not installed here are none of the page's faults.
        found = [line for line in (r.stdout + r.stderr).splitlines()
                 if "referenced manual not found" not in line and "mandoc.db" not in line]
        check_eq(found, [], "lint of " + page)
        text = run("mandoc", "-T", "ascii", path_of(page)).stdout
        check(len(text) > 1000, "%s renders to %d characters" % (page, len(text)))


@suite.test
def everything_is_installed():
    rules = read("Makefile").partition("\ninstall:")[2]
    for name in (DAEMON_PAGE, CONFIG_PAGE, CTL_PAGE, COMPLETIONS + "secretvolctl.bash",
                 COMPLETIONS + "_secretvolctl", COMPLETIONS + "secretvolctl.fish"):
        check(os.path.isfile(path_of(name)), name + " is not there")
        check_in(name, rules, "make install")


@suite.test
def what_is_installed_knows_where():
    """PREFIX is told when it is installed, and may not have been when it was built."""
    with tempfile.TemporaryDirectory() as tree:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
        subprocess.run(["make", "-C", REPO, "-o", "all", "install", "BUILD=" + harness.options.build,
                        "DESTDIR=" + tree, "PREFIX=/opt/x"], env=env, check=True,
                       stdout=subprocess.DEVNULL)
        for name, line in (("lib/pkgconfig/libsecretvol.pc", "libdir=/opt/x/lib"),
                           ("lib/pkgconfig/libsecretvol.pc", "includedir=/opt/x/include"),
                           ("lib/systemd/system/secretvold.service",
                            "ExecStart=/opt/x/sbin/secretvold")):
            with open(tree + "/opt/x/" + name, encoding="utf-8") as f:
                check_in(line, f.read().splitlines(), name)


# ---- README ----------------------------------------------------------------------------------


@suite.test
def the_readme_has_the_options():
    table = read("README.md").partition("\n## Options\n")[2].partition("\n## ")[0]
    rows = dict((m.group(1), (m.group(2) or "", m.group(3))) for m in re.finditer(
        r"^\| `--([a-z-]+)(?: ([^`]+))?` \| (.*?) \|", table, re.M))
    want = options_of(help_text("secretvold"))
    check_eq(sorted(rows), sorted(set(want) - {"help", "version"}),
             "options in the README and in --help")
    for name, (value, default) in rows.items():
        check_eq(value, want[name][1], "value of --%s in the README" % name)
        m = DEFAULT_RE.search(want[name][2])
        if m and "fine" not in m.group(1) and "off" not in m.group(1):
            check_eq(default.strip("`"), m.group(1), "default of --%s in the README" % name)


@suite.test
def the_readme_has_the_commands():
    table = read("README.md").partition("\n## secretvolctl\n")[2].partition("\n## ")[0]
    got = re.findall(r"^\| `secretvolctl ([a-z]+)", table, re.M)
    check_eq(sorted(got), sorted(verbs()), "commands in the README and in --help")


# ---- completion ------------------------------------------------------------------------------

BASH = r"""
. "$1" || exit 1
shift
complete -p secretvolctl >/dev/null || exit 1
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_secretvolctl
printf '%s\n' "${COMPREPLY[@]}"
"""


def bash(*words, name="secretvolctl"):
    r = run("bash", "--norc", "-c", BASH, "bash", path_of(COMPLETIONS + "secretvolctl.bash"), name,
            *words)
    check_eq((r.returncode, r.stderr), (0, ""), "completion of %s" % (words,))
    return [line for line in r.stdout.splitlines() if line]


def fish(line):
    r = run("fish", "--no-config", "-c", "source $argv[1]; complete -C $argv[2]",
            path_of(COMPLETIONS + "secretvolctl.fish"), line)
    check_eq((r.returncode, r.stderr), (0, ""), "completion of '%s'" % line)
    return [x.split("\t")[0] for x in r.stdout.splitlines()]


@suite.test
def bash_completes_commands_and_options():
    check_eq(sorted(bash("")), sorted(verbs() + ["help"]), "commands")
    check_eq(sorted(bash("help", "")), sorted(verbs()), "commands for help")
    check_eq(bash("stat"), ["status"], "a command that was begun")
    common = set(common_options())
    for verb in verbs():
        own = own_options(verb)
        check_eq(sorted(bash(verb, "--")), sorted("--" + o for o in common | set(own)),
                 "options of " + verb)
        for name, (letter, value, _) in own.items():
            if "|" in value and value.islower():
                want = sorted(value.split("|"))
                check_eq(sorted(bash(verb, "--" + name, "")), want, "values of --" + name)
                check_eq(sorted(bash(verb, "--" + name, "=")), want, "values of --%s=" % name)
                check_eq(bash(verb, "--" + name, "=", want[-1][:3]), [want[-1]], "a value begun")
                if letter:
                    check_eq(sorted(bash(verb, "-" + letter, "")), want, "values of -" + letter)


@suite.test
def bash_completes_names():
    with tempfile.TemporaryDirectory() as directory:
        fake = os.path.join(directory, "secretvolctl")
        with open(fake, "w", encoding="ascii") as f:
            f.write(FAKE)
        os.chmod(fake, 0o755)
        for words, want in (
                (["get", ""], ["volumes", "pods", "secrets"]),
                (["wait", ""], ["volume", "pod"]),
                (["get", "vol", ""], ["web/a", "web/b"]),
                (["describe", "volume", "web/b"], ["web/b"]),
                (["get", "-o", "json", "volumes", ""], ["web/a", "web/b"]),
                (["describe", "pod", "-n", "shop", ""], ["till"]),
                (["describe", "pod", "--namespace", "=", "shop", ""], ["till"]),
                (["exec", ""], ["web"]),
                (["exec", "web", ""], []),
                (["exec", "web", "-c", ""], ["app", "1"]),
                (["get", "pods", "-n", ""], ["default", "extra", "shop"]),
                (["get", "pods", "-n", "s"], ["shop"]),
                (["--socket", "/tmp/x.sock", "get", "secret", ""], ["elsewhere"]),
                (["--socket", "=", "/tmp/x.sock", "get", "secret", ""], ["elsewhere"]),
                (["check", "-f", directory + "/secret"], [fake]),
                (["exec", "web", "--", directory + "/secret"], [fake])):
            check_eq(bash(*words, name=fake), want, "completion of %s" % (words,))
        check_eq(bash("get", "pods", "", name=directory + "/absent"), [], "without a daemon")


@suite.test
def bash_completion_is_clean():
    if not shutil.which("shellcheck"):
        raise Skip("no shellcheck")
    r = run("shellcheck", path_of(COMPLETIONS + "secretvolctl.bash"))
    check_eq((r.returncode, r.stdout), (0, ""), "shellcheck")


def block_of(text, verb, end):
    m = re.search(r"^\t\t%s\)\n(.*?)%s" % (verb, end), text, re.M | re.S)
    check(m, "zsh completion has no block for " + verb)
    return m.group(1)


@suite.test
def zsh_completion_has_commands_and_options():
    text = read(COMPLETIONS + "_secretvolctl")
    check_eq(text.splitlines()[0], "#compdef secretvolctl", "first line")
    check_eq(sorted(re.findall(r"^\t\t'([a-z]+):[^']*'$", text, re.M)), sorted(verbs() + ["help"]),
             "commands")
    arrays = dict(re.findall(r"local -a (\w+)=\((.*?)\)\n", text, re.S))
    for name in common_options():
        check_in("--" + name, arrays["common"], "common options")
    for verb in verbs():
        block = block_of(text, verb, ";;")
        block = re.sub(r"\$(\w+)", lambda m: arrays.get(m.group(1), m.group(0)), block)
        got = set(re.findall(r"(?<![\w(-])--([a-z-]+)=?[\[}]", block)) - set(common_options())
        check_eq(sorted(got), sorted(own_options(verb)), "options of " + verb)
        for name, (_, value, _) in own_options(verb).items():
            if "|" in value and value.islower():
                check_in("(%s)" % value.replace("|", " "), block, "values of --" + name)
    if not shutil.which("zsh"):
        raise Skip("no zsh to parse it")
    r = run("zsh", "-f", "-n", path_of(COMPLETIONS + "_secretvolctl"))
    check_eq((r.returncode, r.stderr), (0, ""), "zsh -n")


@suite.test
def fish_completion_has_commands_and_options():
    text = read(COMPLETIONS + "secretvolctl.fish")
    for verb in verbs():
        check_in("-n $none -a %s " % verb, text, "commands")
        for name in own_options(verb):
            lines = [x for x in text.splitlines() if "-l %s " % name in x + " "]
            check(any(verb in re.search("verb_is ([a-z ]+)'", x).group(1).split()
                      for x in lines if "verb_is" in x), "%s --%s is missing" % (verb, name))
    if not shutil.which("fish"):
        raise Skip("no fish to run it")
    check_eq(sorted(fish("secretvolctl ")), sorted(verbs() + ["help"]), "commands")
    for verb in verbs():
        want = ["--" + o for o in set(common_options()) | set(own_options(verb))]
        check_eq(sorted(fish("secretvolctl %s --" % verb)), sorted(want), "options of " + verb)
        for name, (_, value, _) in own_options(verb).items():
            if "|" in value and value.islower():
                check_eq(sorted(fish("secretvolctl %s --%s=" % (verb, name))),
                         sorted("--%s=%s" % (name, v) for v in value.split("|")),
                         "values of --" + name)


if __name__ == "__main__":
    sys.exit(suite.main())
