#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Holds threads of a process where they enter a system call: calls that do not return.

freezer.py --pid PID --call NAME [--threads N]

Prints `attached`, and `held TID` for each of the N threads that is held from then on; all
others run. When it ends, by SIGTERM or otherwise, the calls are carried out.
"""

import argparse
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import killer  # noqa: E402


class Freezer(killer.Killer):
    def __init__(self, args):
        super().__init__(argparse.Namespace(at=0, when="before", calls="all"))
        self.call, self.threads, self.held = args.call, args.threads, set()

    def on_call(self, tid):
        before = self.count
        super().on_call(tid)
        if self.count > before and self.inside[tid][1] == self.call \
                and len(self.held) < self.threads:
            self.held.add(tid)
            print("held", tid, flush=True)

    def resume(self, tid, pass_on):
        if tid not in self.held:
            super().resume(tid, pass_on)


def main():
    parser = argparse.ArgumentParser(description="hold threads in a system call")
    parser.add_argument("--pid", type=int, required=True)
    parser.add_argument("--call", required=True)
    parser.add_argument("--threads", type=int, default=1)
    freezer = Freezer(parser.parse_args())
    try:
        freezer.attach(parser.parse_args().pid)
    except OSError as e:
        print(e.strerror, file=sys.stderr)
        return 77
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # the kernel lets go of all
    print("attached", flush=True)
    freezer.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
