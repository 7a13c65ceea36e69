#!/usr/bin/env python3
"""Runs each command where storage ends, with more room each time: `limits.py KIND [--only=NAME,NAME]`. $ADDCOW is it.

KIND is what ends:

    length   files cannot become longer (RLIMIT_FSIZE)
    tmpfs    the file system, which is a tmpfs, is full: it is mounted again with another size
    fill     any file system is full: another file takes the room
    quota    the file system, which is a btrfs, has a quota that is used up

Works in the current directory, which has to be empty. A command that does not succeed has to end with status 1 and a
line that says that the storage is full or the file too long, and to leave the disk as before or as after it
(commands.py). With room again, the same command has to succeed. Prints a line for each command: runs, how many of these
were refused, and the room with which it first succeeded.
"""

import os
import resource
import subprocess
import sys

import commands

PAGE = 4096
FINE = 64  # so many steps of room are tried one by one, then ever larger ones
STEPS = 20000  # at most


class Length:
    """The process may make no file longer than `room` steps of 41 sectors."""

    step = 5 * PAGE + 512

    def run(self, command, room):
        limit = room * self.step
        return command(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))


class Tmpfs:
    step = PAGE

    def run(self, command, room):
        status = os.statvfs(".")
        used = (status.f_blocks - status.f_bfree) * status.f_frsize
        self.resize(used + room * self.step)
        done = command()
        self.resize(64 << 20)
        return done

    @staticmethod
    def resize(size):
        subprocess.run(["mount", "-o", f"remount,size={max(size, PAGE)}", commands.mount_point(".")], check=True)


class Fill:
    """The other file stands beside the directory."""

    step = PAGE
    path = "../filler"

    def run(self, command, room):
        os.sync()
        with open(self.path, "wb") as file:
            self.take(file, room * self.step)
        done = command()
        os.unlink(self.path)
        os.sync()  # btrfs gives room back late
        return done

    @staticmethod
    def take(file, room):
        part = 64 << 20
        while part >= PAGE:
            status = os.statvfs(".")
            free = status.f_bavail * status.f_frsize
            try:
                if free - part < room:
                    raise OSError
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, part)
            except OSError:
                part //= 2


class Quota:
    step = 2 * PAGE
    least = 2 * step  # with less, btrfs cannot even change the limit

    def run(self, command, room):
        os.sync()
        shown = self.btrfs("qgroup", "show", "--raw", "-f", commands.mount_point("."))
        used = int(shown.splitlines()[-1].split()[1])
        self.limit(str(used + self.least + room * self.step))
        done = command()
        self.limit("none")
        return done

    def limit(self, size):
        self.btrfs("qgroup", "limit", size, commands.mount_point("."))

    @staticmethod
    def btrfs(*arguments):
        return subprocess.run(["btrfs", *arguments], check=True, capture_output=True, text=True).stdout


KINDS = {"length": Length, "tmpfs": Tmpfs, "fill": Fill, "quota": Quota}
REASONS = ("No space left on device", "Disk quota exceeded", "File too large", "nospace")


def attempt(case, kind, room):
    """Whether the command succeeds with so much room. What it leaves is judged, and then completed."""
    case.reset()

    def command(**how):
        arguments = [commands.COMMAND, *case.arguments]
        return subprocess.run(arguments, input=case.data, capture_output=True, check=False, **how)

    done = kind.run(command, room)
    text = done.stderr.decode().strip()
    if done.returncode == 0:
        case.check_result()
        return True
    if done.returncode != 1 or text.count("\n") > 0 or not any(reason in text for reason in REASONS):
        raise commands.Wrong(f"the command ends with {done.returncode}: {text}")
    case.check_stopped(died=False)
    case.check_repeated()
    return False


def judge(case, kind):
    case.prepare()
    refused = room = 0
    while True:
        try:
            success = attempt(case, kind, room)
        except commands.Wrong as error:
            raise commands.Wrong(f"with room for {room * kind.step} bytes: {error}") from error
        if success:
            break
        refused += 1
        if room > STEPS:
            raise commands.Wrong(f"does not succeed with room for {room * kind.step} bytes")
        room += 1 + room // FINE * FINE // 8
    print(f"{case.name:26}{refused + 1:8}{refused:8}{room * kind.step:10}", flush=True)
    return refused


def main():
    kind = KINDS[sys.argv[1]]()
    only = next((a.removeprefix("--only=").split(",") for a in sys.argv if a.startswith("--only=")), None)
    total = 0
    print(f"{'command':26}{'runs':>8}{'refused':>8}{'room':>10}")
    for case in commands.cases():
        if not only or case.name in only:
            for name in os.listdir("."):
                os.unlink(name)
            try:
                total += judge(case, kind)
            except commands.Wrong as error:
                sys.exit(f"limits: {sys.argv[1]}: {case.name}: {error}")
    if total == 0:
        sys.exit("limits: nothing was refused")
    print(f"limits: {sys.argv[1]}: {total} commands were refused, each left a disk as before or as after")


if __name__ == "__main__":
    main()
