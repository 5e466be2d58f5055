#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Kills a process at the N-th system call that changes something: a crash at a chosen moment.

killer.py --pid PID [--at N] [--when before|after] [--calls changing|all]
killer.py [--at N] [--when before|after] [--calls changing|all] -- COMMAND [ARG...]

Calls of all threads are counted together. `before` kills where the call is entered, so that it
does nothing, `after` when it has been carried out. Without --at calls are only counted. Prints
`attached`, and at the end one line of JSON: {"calls": counted, "killed": call or null, "log": […]}.
With SIGTERM it lets go of PID, which runs on; COMMAND is killed.
"""

import argparse
import ctypes
import json
import os
import signal
import stat
import struct
import sys

TRACEME, SYSCALL, SETOPTIONS, SEIZE, INTERRUPT, SYSCALL_INFO = (
    0, 24, 0x4200, 0x4206, 0x4207, 0x420e)
O_TRACESYSGOOD, O_TRACECLONE, O_TRACEEXEC, O_EXITKILL = 1, 8, 16, 1 << 20
WALL = 0x40000000
ENTRY, EXIT = 1, 2

# What a volume is made, changed and removed with. The argument numbers are of what tells whether
# the call counts: flags of openat, descriptor of write.
CHANGING = ("fsopen fsconfig fsmount move_mount open_tree mount_setattr mount umount2 "
            "mkdir mkdirat mknod mknodat open openat creat write writev pwrite64 ftruncate "
            "fchmod fchmodat chmod fchown fchownat chown symlink symlinkat link linkat "
            "rename renameat renameat2 unlink unlinkat rmdir").split()
OPEN_FLAGS = {"open": 1, "openat": 2}
WRITES = ("write", "writev", "pwrite64", "ftruncate")

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
seccomp = ctypes.CDLL("libseccomp.so.2")  # it knows the numbers of every architecture


def ptrace(request, tid, addr=0, data=0):
    if libc.ptrace(request, tid, addr, data) < 0:
        raise OSError(ctypes.get_errno(), "ptrace: " + os.strerror(ctypes.get_errno()))


class Done(Exception):
    """SIGTERM came, and the process still runs."""


class Killer:
    def __init__(self, args):
        self.at, self.when, self.all = args.at, args.when, args.calls == "all"
        self.names = {seccomp.seccomp_syscall_resolve_name(n.encode()): n for n in CHANGING}
        self.pid, self.known, self.ended = None, set(), False
        self.inside = {}  # thread -> the call it is in, if that counts
        self.count, self.killed, self.log = 0, None, []
        self.buffer = ctypes.create_string_buffer(128)

    # -- attaching

    def attach(self, pid):
        """Every thread, also those that are made meanwhile."""
        self.pid = pid
        while True:
            tids = {int(t) for t in os.listdir("/proc/%d/task" % pid)} - self.known
            if not tids:
                return
            for tid in tids:
                ptrace(SEIZE, tid, 0, O_TRACESYSGOOD | O_TRACECLONE | O_TRACEEXEC)
                ptrace(INTERRUPT, tid)
                self.known.add(tid)

    def launch(self, command):
        self.pid = os.fork()
        if self.pid == 0:
            ptrace(TRACEME, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            os.execvp(command[0], command)
        os.waitpid(self.pid, 0)
        self.known.add(self.pid)
        ptrace(SETOPTIONS, self.pid, 0,
               O_TRACESYSGOOD | O_TRACECLONE | O_TRACEEXEC | O_EXITKILL)
        ptrace(SYSCALL, self.pid)

    # -- what happens

    def counts(self, tid, number, args):
        """The name of a call that counts, or None."""
        name = self.names.get(number)
        if self.all:
            return name or "call %d" % number
        if name in OPEN_FLAGS and not args[OPEN_FLAGS[name]] & os.O_CREAT:
            return None
        if name in WRITES:
            fd = args[0]
            try:  # files only: not the log, no socket, no event descriptor
                if fd <= 2 or not stat.S_ISREG(os.stat("/proc/%d/fd/%d" % (tid, fd)).st_mode):
                    return None
            except OSError:
                return None
        return name

    def on_call(self, tid):
        libc.ptrace(SYSCALL_INFO, tid, len(self.buffer), ctypes.addressof(self.buffer))
        op = self.buffer.raw[0]
        if op == ENTRY:
            number, *args = struct.unpack_from("<7Q", self.buffer.raw, 24)
            name = self.counts(tid, number, args)
            if name is None:
                return
            self.count += 1
            self.inside[tid] = (self.count, name)
            if not self.all:
                self.log.append(name)
            if self.when == "before":
                self.kill_if_due(self.count, name)
        elif op == EXIT and tid in self.inside:
            count, name = self.inside.pop(tid)
            if self.when == "after":
                self.kill_if_due(count, name)

    def kill_if_due(self, count, name):
        if count == self.at and not self.killed:
            self.killed = "%s %s" % (self.when, name)
            self.kill()

    def kill(self):
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:  # it has ended by itself
            pass

    def on_stop(self, tid, status):
        sig, event = os.WSTOPSIG(status), status >> 16
        pass_on = 0
        if sig == signal.SIGTRAP | 0x80:
            self.on_call(tid)
        elif not event and tid in self.known:
            pass_on = sig
        self.known.add(tid)
        self.resume(tid, pass_on)

    def resume(self, tid, pass_on):
        try:
            ptrace(SYSCALL, tid, 0, pass_on)
        except ProcessLookupError:  # killed while it was stopped
            pass

    def run(self):
        while True:
            try:
                tid, status = os.waitpid(-1, WALL)
            except ChildProcessError:
                self.ended = True
                return
            if os.WIFSTOPPED(status):
                self.on_stop(tid, status)

    def end(self, *_):
        if not self.ended:
            raise Done

    def report(self):
        print(json.dumps({"calls": self.count, "killed": self.killed, "log": self.log}), flush=True)


def main():
    parser = argparse.ArgumentParser(description="kill a process at a chosen system call")
    parser.add_argument("--pid", type=int)
    parser.add_argument("--at", type=int, default=0)
    parser.add_argument("--when", choices=("before", "after"), default="before")
    parser.add_argument("--calls", choices=("changing", "all"), default="changing")
    parser.add_argument("--report", help="where to write to instead of the standard output")
    parser.add_argument("command", nargs="*")
    args = parser.parse_args()
    if bool(args.pid) == bool(args.command):
        parser.error("either --pid or a command")
    killer = Killer(args)
    try:
        if args.pid:
            killer.attach(args.pid)
        else:
            killer.launch(args.command)
    except OSError as e:
        print(e.strerror, file=sys.stderr)
        return 77
    if args.report:
        # pylint: disable-next=consider-using-with
        sys.stdout = open(args.report, "w", encoding="ascii")
    signal.signal(signal.SIGTERM, killer.end)
    print("attached", flush=True)
    try:
        killer.run()
    except Done:  # a process that was attached to runs on
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if args.command:
            killer.at = 0
            killer.kill()
            killer.run()
    killer.report()
    return 0


if __name__ == "__main__":
    sys.exit(main())
