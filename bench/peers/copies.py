#!/usr/bin/python3
"""Measures the copies that add-cow makes: against cp where nothing can be shared, and on XFS where it can.

    bench/peers/copies.py [--runs N] [--size SIZE] [--shared-size SIZE] [--json FILE] [--directory DIR]

Needs the command and the plugin, built (`make bench-copies` builds them), qemu-utils, xfsprogs, and root for loop
mounts. Every file system is a new one in a file below DIR. What is compared takes turns, and each figure is the median
of N runs (5). Each copy is synced before its time ends.

The base has holes: each second MiB is one.

1. On ext4, `addcow stream` and `addcow commit` of SIZE (2G) against `cp --sparse=always`: at most 1.1 times its time.
2. On XFS with shared storage, a stream of a full base of SHARED-SIZE (10G): under 2 s, less than 1 % more space.
3. First writes of 4 KiB to clusters of 2 MiB, on XFS with shared storage and on one without: 5 times as many a second.

Exit status: 0 all goals are met; 1 one is missed; 2 the machine lacks something, or a program failed.
"""

import argparse
import contextlib
import json
import os
import pathlib
import statistics
import sys
import time

sys.dont_write_bytecode = True
import comparison
from comparison import BUILD, run

ADDCOW = BUILD / "addcow"
PROGRAMS = ["qemu-io", "mkfs.xfs", "mkfs.ext4", "mount", "cp"]
MIB = 1 << 20
FIRST_WRITES = 400


def seconds_of(*commands):
    began = time.monotonic()
    for command in commands:
        run(*command)
    return time.monotonic() - began


def bytes_of(text):
    scale = {"K": 1 << 10, "M": MIB, "G": 1 << 30}.get(text[-1].upper(), 1)
    return int(text[:-1] if scale > 1 else text) * scale


@contextlib.contextmanager
def file_system(scratch, size, *make):
    """A new file system of that size, made by the command `make`; its directory."""
    image, place = scratch / "device", scratch / "mounted"
    place.mkdir(exist_ok=True)
    with open(image, "wb") as file:
        file.truncate(size)
    run(*make, image)
    run("mount", "-o", "loop", image, place)
    try:
        yield place
    finally:
        run("umount", place)
        image.unlink()


def fill(path, size, step):
    """Random data in each MiB that is a multiple of `step` MiB; holes between."""
    block = os.urandom(MIB)
    with open(path, "wb") as file:
        file.truncate(size)
        for at in range(0, size, step * MIB):
            # No two blocks are alike, so that no storage can keep them once.
            os.pwrite(file.fileno(), at.to_bytes(8, "little") + block[8:], at)
        os.fsync(file.fileno())


def create(directory, *options):
    for name in ("disk.addcow", "disk.raw"):
        (directory / name).unlink(missing_ok=True)
    run(ADDCOW, "create", "-q", *options, "-b", directory / "base", "-F", "raw", "-i", directory / "disk.raw",
        directory / "disk.addcow")
    return directory / "disk.addcow"


def copy_by_cp(source, target):
    target.unlink(missing_ok=True)
    return seconds_of(["cp", "--reflink=never", "--sparse=always", source, target], ["sync", target])


def time_copies(directory, runs):
    """Lists of ratios to cp: of streams, and of commits."""
    streams, commits = [], []
    for _ in range(runs):
        disk = create(directory)
        by_cp = copy_by_cp(directory / "base", directory / "copy")
        streams.append(seconds_of([ADDCOW, "stream", "-q", disk]) / by_cp)
        (directory / "copy").unlink()
        # All of the image is committed into an empty base, as cp makes a file that was not there.
        (directory / "base").rename(directory / "full")
        with open(directory / "base", "wb") as file:
            file.truncate((directory / "full").stat().st_size)
        by_cp = copy_by_cp(directory / "disk.raw", directory / "copy")
        commits.append(seconds_of([ADDCOW, "commit", "-q", disk]) / by_cp)
        (directory / "copy").unlink()
        (directory / "full").rename(directory / "base")
    return streams, commits


def used(directory):
    run("sync", "-f", directory)
    status = os.statvfs(directory)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


def time_shared_stream(directory, runs):
    """Seconds, and the part of the base's size that the file system has less afterwards."""
    times, spaces = [], []
    for _ in range(runs):
        disk = create(directory)
        before = used(directory)
        times.append(seconds_of([ADDCOW, "stream", "-q", disk]))
        spaces.append((used(directory) - before) / (directory / "base").stat().st_size)
    return times, spaces


def first_writes(directory):
    """First writes a second: each to a cluster of its own; then a flush."""
    disk = create(directory, "-c", "2M")
    commands = [part for k in range(FIRST_WRITES) for part in ("-c", f"write {k * 2 * MIB + 65536} 4096")]
    script = ["qemu-io", "-f", "raw", *commands, "-c", "flush"]
    idle = seconds_of([ADDCOW, "nbd", disk, "--", "sh", "-c", 'qemu-io -f raw -c flush "$uri"'])
    took = seconds_of([ADDCOW, "nbd", disk, "--", "sh", "-c", '"$@" "$uri"', "sh", *script])
    return FIRST_WRITES / max(took - idle, 1e-3)


def time_first_writes(scratch, runs):
    """Lists of first writes a second, with shared storage and without."""
    size = FIRST_WRITES * 2 * MIB
    rates = {"1": [], "0": []}
    for _ in range(runs):
        for reflink, list_of in rates.items():
            with file_system(scratch, 3 * size, "mkfs.xfs", "-q", "-m", f"reflink={reflink}") as directory:
                fill(directory / "base", size, 1)
                list_of.append(first_writes(directory))
    return rates["1"], rates["0"]


def goal(goals, text, values, unit, most=None, least=None):
    value = statistics.median(values)
    met = value <= most if most is not None else value >= least
    bound = f"<= {most}" if most is not None else f">= {least}"
    print(f"{text:<58}{value:>9.3f} {unit:<3}{bound:>9}  {'yes' if met else 'NO'}", flush=True)
    goals.append({"goal": text, "value": value, "unit": unit, "values": values, "met": met})


def compare(options, scratch):
    goals = []
    size, shared = bytes_of(options.size), bytes_of(options.shared_size)
    with file_system(scratch, 4 * size, "mkfs.ext4", "-q") as directory:
        fill(directory / "base", size, 2)
        streams, commits = time_copies(directory, options.runs)
    goal(goals, f"stream of {options.size} on ext4, over cp", streams, "", most=1.1)
    goal(goals, f"commit of {options.size} on ext4, over cp", commits, "", most=1.1)
    with file_system(scratch, shared + shared // 2, "mkfs.xfs", "-q", "-m", "reflink=1") as directory:
        fill(directory / "base", shared, 1)
        times, spaces = time_shared_stream(directory, options.runs)
    goal(goals, f"stream of {options.shared_size} that is shared on XFS", times, "s", most=2)
    goal(goals, "space that it takes, over the size of the base", spaces, "", most=0.01)
    with_sharing, without = time_first_writes(scratch, options.runs)
    ratios = [shared_rate / rate for shared_rate, rate in zip(with_sharing, without)]
    goal(goals, "first writes with clusters of 2 MiB, shared over copied", ratios, "", least=5)
    missed = sum(not entry["met"] for entry in goals)
    print(f"\nbench-copies: {len(goals) - missed} goals met, {missed} missed")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(goals, indent=1) + "\n", encoding="utf-8")
    return 1 if missed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, metavar="N")
    parser.add_argument("--size", default="2G", help="of the base that is copied (2G)")
    parser.add_argument("--shared-size", default="10G", metavar="SIZE", help="of the base that is shared (10G)")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--directory", metavar="DIR", help="where the file systems are")
    options = parser.parse_args()
    return comparison.make("bench-copies", PROGRAMS, compare, options, root=True)


if __name__ == "__main__":
    sys.exit(main())
