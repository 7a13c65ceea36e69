#!/usr/bin/env python3
"""Kills each command at each of its system calls: `kills.py [--changes] [--only=NAME,NAME]`. $ADDCOW is the command.

Works in the current directory, which has to be empty, on whatever file system it is. strace lists the calls of a run;
then the command runs once for each of them, and dies by SIGKILL before it. With --changes only those calls count that
change a file or a name: before any other, the files are as before the next one that does. Afterwards the disk has to
read as before the command or as after it, and the same command has to complete what was begun (commands.py).

Prints a line for each command: calls, deaths, and how many of these left the disk as before and as after; all as before
if the command changes nothing that is read. The first deviation is printed, and fails.
"""

import os
import re
import signal
import subprocess
import sys

import commands

CHANGES = {"write", "pwrite64", "writev", "pwritev", "ftruncate", "fallocate", "fsync", "fdatasync", "link", "linkat"}
CHANGES |= {"unlink", "unlinkat", "rename", "renameat", "renameat2", "fchmod", "fchown", "copy_file_range", "ioctl"}
CHANGES |= {"sync_file_range", "close", "exit_group"}  # close gives up locks, and the last call is the end

# A leak checker cannot run under a tracer.
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}


def strace(case, log, *options):
    arguments = ["strace", "-qq", "-f", "-o", log, *options, commands.COMMAND, *case.arguments]
    return subprocess.run(arguments, input=case.data, capture_output=True, check=False, env=ENVIRONMENT).returncode


def system_calls(case, log):
    """The calls of the command in their order: name, and the how many'th of that name it is."""
    case.reset()
    status = strace(case, log)
    if status != 0:
        raise commands.Wrong(f"under strace the command ends with {status}")
    counts, calls = {}, []
    with open(log, encoding="utf-8", errors="replace") as lines:
        names = [match[1] for match in (re.match(r"\d+ +(\w+)\(", line) for line in lines) if match]
    for name in names[1:]:  # before execve there is no command
        counts[name] = counts.get(name, 0) + 1
        calls.append((name, counts[name]))
    return calls


def kill_at(case, log, name, count):
    """Whether the command died there. What it left is judged, and then completed."""
    case.reset()
    status = strace(case, log, "-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:when={count}")
    if status not in (0, -signal.SIGKILL, 128 + signal.SIGKILL):
        raise commands.Wrong(f"the command ends with {status}")
    case.check_stopped(died=True)
    if status == 0:
        case.check_result()
    found = commands.state(case.disk)
    case.check_repeated()
    return status != 0, found == case.after and found != case.before


def judge(case, log, only_changes):
    case.prepare()
    calls = system_calls(case, log)
    deaths = after = 0
    for name, count in calls:
        if only_changes and name not in CHANGES:
            continue
        try:
            died, is_after = kill_at(case, log, name, count)
        except commands.Wrong as error:
            raise commands.Wrong(f"killed before {name} number {count}: {error}") from error
        deaths += died
        after += died and is_after
    print(f"{case.name:26}{len(calls):8}{deaths:8}{deaths - after:8}{after:8}", flush=True)
    if deaths == 0:
        raise commands.Wrong("no death")
    return deaths


def main():
    only_changes = "--changes" in sys.argv
    only = next((a.removeprefix("--only=").split(",") for a in sys.argv if a.startswith("--only=")), None)
    log = os.path.join("..", f"strace.{os.getpid()}")
    total = 0
    print(f"{'command':26}{'calls':>8}{'deaths':>8}{'before':>8}{'after':>8}")
    for case in commands.all_cases():
        if only and case.name not in only:
            continue
        for name in os.listdir("."):
            os.unlink(name)
        try:
            total += judge(case, log, only_changes)
        except commands.Wrong as error:
            sys.exit(f"kills: {case.name}: {error}")
        finally:
            if os.path.exists(log):
                os.unlink(log)
    print(f"kills: {total} deaths, each left a disk as before or as after")


if __name__ == "__main__":
    main()
