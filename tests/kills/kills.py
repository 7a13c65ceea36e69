#!/usr/bin/env python3
"""Kills each command at each of its system calls: `kills.py [--changes | --faults] [--only=NAME,NAME]`. $ADDCOW is it.

Works in the current directory, which has to be empty, on whatever file system it is. strace lists the calls of a run;
then the command runs once for each of them, and dies by SIGKILL before it. With --changes only those calls count that
change a file or a name: before any other, the files are as before the next one that does. Afterwards the disk has to
read as before the command or as after it, and the same command has to complete what was begun (commands.py).

With --faults nothing dies. Each call that works on a file or a name fails once with EIO: then the command may succeed
only if it can do without that call, and otherwise ends with one line that says so, and again leaves the disk as before
or as after. Where a call can be interrupted, it also fails once with EINTR, which no command may notice. That is not so
of close: strace does not make a call that is to fail, and the system always completes this one.

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

TRANSFERS = {"pread64", "pwrite64", "read", "fdatasync", "ftruncate"}  # without these a command cannot succeed
FAULTS = TRANSFERS | {"openat", "write", "fsync", "fallocate", "fcntl", "fstat", "newfstatat", "lseek", "link"}
FAULTS |= {"linkat", "unlink", "rename", "renameat2", "chmod", "chown", "ioctl", "copy_file_range", "close"}
INTERRUPTED = TRANSFERS | {"openat", "write", "fsync", "fallocate", "fcntl", "link", "unlink", "rename", "renameat2"}
CALL = re.compile(r"\d+ +(\w+)\((.*)")
FIRST = "rt_sigaction"  # the command begins with signals; what is before is the dynamic loader's

# A leak checker cannot run under a tracer.
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}


def strace(case, log, *options):
    arguments = ["strace", "-qq", "-f", "-o", log, *options, commands.COMMAND, *case.arguments]
    return subprocess.run(arguments, input=case.data, capture_output=True, check=False, env=ENVIRONMENT)


def system_calls(case, log):
    """The calls of the command in their order: name, the how many'th of that name it is, and whether it is about /proc.

    The address sanitizer reads there about the process, at moments of its own.
    """
    case.reset()
    status = strace(case, log, "--decode-fds=path").returncode
    if status != 0:
        raise commands.Wrong(f"under strace the command ends with {status}")
    counts, calls = {}, []
    with open(log, encoding="utf-8", errors="replace") as lines:
        found = [(match[1], "/proc/" in match[2]) for match in (CALL.match(line) for line in lines) if match]
    for name, in_proc in found[1:]:  # before execve there is no command
        counts[name] = counts.get(name, 0) + 1
        calls.append((name, counts[name], in_proc))
    return calls


def kill_at(case, log, name, count):
    """Whether the command died there. What it left is judged, and then completed."""
    case.reset()
    status = strace(case, log, "-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:when={count}").returncode
    if status not in (0, -signal.SIGKILL, 128 + signal.SIGKILL):
        raise commands.Wrong(f"the command ends with {status}")
    case.check_stopped(died=True)
    if status == 0:
        case.check_result()
    found = commands.state(case.disk)
    case.check_repeated()
    return status != 0, found == case.after and found != case.before


def fail_at(case, log, name, count, errnum):
    """Whether the command failed. What it left is judged, and then completed."""
    case.reset()
    done = strace(case, log, "-e", f"trace={name}", "-e", f"inject={name}:error={errnum}:when={count}")
    text = done.stderr.decode(errors="replace").strip()
    with open(log, encoding="utf-8", errors="replace") as lines:
        if "(INJECTED)" not in lines.read():
            raise commands.Wrong("this time the call is not made")
    if done.returncode == 0:
        if errnum == "EIO" and name in TRANSFERS and not case.again:
            raise commands.Wrong("the command succeeds")
        case.check_result()
        return False
    if errnum == "EINTR":
        raise commands.Wrong(f"the command ends with {done.returncode}: {text}")
    if done.returncode not in (1, 4) or not text.startswith("addcow: ") or "\n" in text:
        raise commands.Wrong(f"the command ends with {done.returncode}: {text}")
    # A name that cannot be removed stays.
    case.check_stopped(died=name == "unlink")
    case.check_repeated()
    return True


def judge_faults(case, log):
    case.prepare()
    calls = system_calls(case, log)
    names = [name for name, *_ in calls]
    started = len(names) - names[::-1].index("execve") if "execve" in names else 0  # by another program
    skipped = {name: count for name, count, _ in calls[: names.index(FIRST, started)]}
    faults = failures = 0
    for name, count, in_proc in calls:
        if name not in FAULTS or count <= skipped.get(name, 0) or in_proc:
            continue
        for errnum in ["EIO"] + ["EINTR"] * (name in INTERRUPTED):
            try:
                failures += fail_at(case, log, name, count, errnum)
                faults += 1
            except commands.Wrong as error:
                raise commands.Wrong(f"{errnum} from {name} number {count}: {error}") from error
    print(f"{case.name:26}{len(calls):8}{faults:8}{failures:8}", flush=True)
    if failures == 0:
        raise commands.Wrong("no failure")
    return faults


def judge(case, log, only_changes):
    case.prepare()
    calls = system_calls(case, log)
    deaths = after = 0
    for name, count, _ in calls:
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
    # Devices are detached at exit.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    only_changes = "--changes" in sys.argv
    only = next((a.removeprefix("--only=").split(",") for a in sys.argv if a.startswith("--only=")), None)
    log = os.path.join("..", f"strace.{os.getpid()}")
    faults = "--faults" in sys.argv
    total = 0
    columns = ["faults", "failed"] if faults else ["deaths", "before", "after"]
    print(f"{'command':26}{'calls':>8}" + "".join(f"{column:>8}" for column in columns))
    for case in commands.all_cases():
        if only and case.name not in only:
            continue
        for name in os.listdir("."):
            os.unlink(name)
        try:
            total += judge_faults(case, log) if faults else judge(case, log, only_changes)
        except commands.Wrong as error:
            sys.exit(f"kills: {case.name}: {error}")
        finally:
            if os.path.exists(log):
                os.unlink(log)
    print(f"kills: {total} {columns[0]}, each left a disk as before or as after")


if __name__ == "__main__":
    main()
