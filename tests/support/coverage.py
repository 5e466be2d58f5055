#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Line and branch coverage of lib/, from what a build with --coverage has counted.

coverage.py --build DIR [--under lib/] [--strict]

Every function with lines that no test has reached is listed with the reason from `unreached` beside
this file, or as not explained; then the reasons that nothing needs, as the function is reached in
full or does not exist. With --strict both are failures.
"""

import argparse
import collections
import json
import os
import subprocess
import sys

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class File:
    def __init__(self):
        self.lines = collections.Counter()     # line -> times it was executed
        self.branches = collections.Counter()  # (line, index) -> times it was taken
        self.functions = {}                    # name -> (first line, last line, times)

    def numbers(self):
        """(lines seen, lines, branches taken, branches)"""
        return (sum(n > 0 for n in self.lines.values()), len(self.lines),
                sum(n > 0 for n in self.branches.values()), len(self.branches))

    def missed(self, first, last):
        return [line for line, n in sorted(self.lines.items()) if first <= line <= last and not n]


def notes_below(build):
    for base, _, names in os.walk(build):
        for name in names:
            if name.endswith(".gcno"):
                yield os.path.join(base, name)


def read(path, under, files):
    """gcov's counts of one object; a header's are added up over the objects that use it."""
    text = subprocess.run(["gcov", "--json-format", "--stdout", "--branch-probabilities", path],
                          cwd=REPO, check=True, capture_output=True, text=True).stdout
    for line in text.splitlines():
        for found in json.loads(line)["files"]:
            name = os.path.relpath(os.path.join(REPO, found["file"]), REPO)
            if name.startswith(under):
                add(files[name], found)


def add(f, found):
    for line in found["lines"]:
        number = line["line_number"]
        f.lines[number] += line["count"]
        for i, branch in enumerate(line["branches"]):
            f.branches[number, i] += branch["count"]
    for function in found["functions"]:
        name = function["name"]
        times = f.functions.get(name, (0, 0, 0))[2] + function["execution_count"]
        f.functions[name] = (function["start_line"], function["end_line"], times)


def percent(part, whole):
    return "%5.1f %%" % (100.0 * part / whole if whole else 100)


def row(name, numbers):
    seen, lines, taken, branches = numbers
    print("%-28s %s of %5d lines   %s of %5d branches"
          % (name, percent(seen, lines), lines, percent(taken, branches), branches))


def read_reasons():
    """{(file, function): why some of its lines are not reached}"""
    reasons = {}
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "unreached"),
              encoding="utf-8") as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                where, why = line.strip().split(": ", 1)
                reasons[tuple(where.split(" "))] = why
    return reasons


def print_unreached(files, reasons):
    """What no test reaches, and why. Returns how many functions nobody has an explanation for."""
    unexplained = 0
    print("\nlines that no test reaches:")
    for name in sorted(files):
        for function, (first, last, _) in sorted(files[name].functions.items(),
                                                 key=lambda item: item[1]):
            missed = files[name].missed(first, last)
            if not missed:
                continue
            why = reasons.get((name, function))
            unexplained += why is None
            print("  %s:%s %s: %s" % (name, ",".join(map(str, missed)), function,
                                      why or "NOT EXPLAINED"))
    return unexplained


def print_idle(files, reasons, under):
    """Reasons that nothing needs (any more). Returns how many."""
    idle = 0
    for name, function in sorted(reasons):
        if not name.startswith(under):
            continue
        lines = files[name].functions.get(function) if name in files else None
        if lines and files[name].missed(lines[0], lines[1]):
            continue
        idle += 1
        print("  %s %s: %s" % (name, function,
                               "is reached in full" if lines else "there is no such function"))
    return idle


def main():
    parser = argparse.ArgumentParser(description="coverage of a build")
    parser.add_argument("--build", required=True)
    parser.add_argument("--under", default="lib/")
    parser.add_argument("--strict", action="store_true", help="all must be explained, and no more")
    args = parser.parse_args()
    files = collections.defaultdict(File)
    for path in sorted(notes_below(os.path.abspath(args.build))):
        read(path, args.under, files)
    if not files:
        print("nothing was counted below " + args.build, file=sys.stderr)
        return 1
    total = [0, 0, 0, 0]
    for name in sorted(files):
        numbers = files[name].numbers()
        if numbers[1]:
            row(name, numbers)
            total = [a + b for a, b in zip(total, numbers)]
    reasons = read_reasons()
    unexplained = print_unreached(files, reasons)
    print("\nreasons that nothing needs:")
    idle = print_idle(files, reasons, args.under)
    print()
    row("total of " + args.under, total)
    print("%d functions have lines that no test reaches and that nobody has explained"
          % unexplained)
    print("%d reasons are there for nothing" % idle)
    return 1 if (unexplained or idle) and args.strict else 0


if __name__ == "__main__":
    sys.exit(main())
