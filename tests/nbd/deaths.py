#!/usr/bin/env python3
"""Kills the server under load, again and again: `deaths.py ROUNDS`. $ADDCOW is the command.

In each round nbdkit serves one disk. Two threads write stamped blocks over connections of their own, some with FUA,
and flush now and then; fio writes another part in order, with an fsync after each block; in every second round a stream
runs. At a random moment the server dies by SIGKILL. Then the disk has to be sound, and to hold

    in each sector, the last stamp that was durable (by FUA, or by a later flush of either connection that succeeded),
    or a later one that was sent; and nothing but these;
    each block of fio that was synced;
    everywhere else, what it held before.

The next round goes on with what is there. The first deviation is printed, and fails. Works in the current directory.
"""

import json
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time

import nbd

ADDCOW = os.environ["ADDCOW"]
PLUGIN = os.path.join(os.path.dirname(ADDCOW), "nbdkit-addcow-plugin.so")
MIB = 1 << 20
SIZE, BACKING = 16 * MIB, 12 * MIB
BLOCK, SECTOR = 4096, 512
STAMPED = (0, 2 * MIB)  # the part of the threads: beginning and length
FIO = (4 * MIB, 4 * MIB)
PATTERN = 0x5A


class Stamps:
    """What each block of the stamped part may hold. Block k belongs to the thread k % 2, so its stamps are in order."""

    def __init__(self):
        count = STAMPED[1] // BLOCK
        self.sent, self.completed, self.durable = [0] * count, [0] * count, [0] * count
        self.lock = threading.Lock()

    def write(self, handle, block, fua):
        self.sent[block] += 1
        stamp = self.sent[block]
        data = struct.pack("<QQ", block, stamp) * (BLOCK // 16)
        handle.pwrite(data, STAMPED[0] + block * BLOCK, nbd.CMD_FLAG_FUA if fua else 0)
        self.completed[block] = stamp
        if fua:
            with self.lock:
                self.durable[block] = max(self.durable[block], stamp)

    def flush(self, handle):
        before = list(self.completed)
        handle.flush()
        with self.lock:
            self.durable = [max(a, b) for a, b in zip(self.durable, before)]

    def check(self, disk, original):
        """Takes what is there as the beginning of the next round."""
        for block, (least, most) in enumerate(zip(self.durable, self.sent)):
            found = []
            for at in range(STAMPED[0] + block * BLOCK, STAMPED[0] + (block + 1) * BLOCK, SECTOR):
                sector = disk[at : at + SECTOR]
                number, stamp = struct.unpack("<QQ", sector[:16])
                if sector == original[at : at + SECTOR]:
                    number, stamp = block, 0
                elif sector != struct.pack("<QQ", number, stamp) * (SECTOR // 16):
                    sys.exit(f"deaths: sector at {at}: holds what nobody wrote")
                if number != block or not least <= stamp <= most:
                    sys.exit(f"deaths: at {at}: block {number}, stamp {stamp}; wanted {block}, {least} to {most}")
                found.append(stamp)
            self.durable[block] = self.completed[block] = min(found)


def write_until_death(uri, stamps, number):
    handle = nbd.NBD()
    handle.connect_uri(uri)
    blocks = range(number, len(stamps.sent), 2)
    try:
        while True:
            for _ in range(random.randrange(1, 20)):
                stamps.write(handle, random.choice(blocks), fua=random.random() < 0.1)
            stamps.flush(handle)
    except nbd.Error:
        pass


def start_server(number):
    for name in ("socket", "pid"):
        if os.path.exists(name):
            os.unlink(name)
    stream = ["stream=background", "stream-rate=4M"] if number % 2 else []
    server = subprocess.Popen(
        ["nbdkit", "--exit-with-parent", "--unix", "socket", "--pidfile", "pid", PLUGIN, "file=disk.addcow", *stream],
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 20
    while not (os.path.exists("pid") and os.path.getsize("pid")):
        if server.poll() is not None or time.monotonic() > deadline:
            sys.exit("deaths: the server did not start")
        time.sleep(0.005)
    return server


def start_fio(uri):
    job = ["--name=load", "--ioengine=nbd", "--rw=write", "--bs=4k", "--fsync=1", f"--buffer_pattern={PATTERN}"]
    part = [f"--offset={FIO[0]}", f"--size={FIO[1]}", "--loops=1000"]
    # fio divides the address at the colon unless it is escaped.
    return subprocess.Popen(
        ["fio", *job, *part, f"--uri={uri}", "--output-format=json", "--output=fio.json"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def synced_by_fio():
    """How many blocks fio had synced; the last sync may be the one that failed."""
    with open("fio.json", encoding="utf-8") as file:
        text = file.read()
    job = json.loads(text[text.index("{\n") :])["jobs"][0]
    return max(0, min(job["write"]["total_ios"], job["sync"]["total_ios"]) - 1)


def read_disk():
    subprocess.run([ADDCOW, "check", "-q", "disk.addcow"], check=True)
    return subprocess.run([ADDCOW, "read", "disk.addcow"], check=True, capture_output=True).stdout


def check_fio(disk, original, synced):
    begin, length = FIO
    for at in range(begin, begin + length, SECTOR):
        old = disk[at : at + SECTOR] == original[at : at + SECTOR]
        new = disk[at : at + SECTOR] == bytes([PATTERN]) * SECTOR
        if not new and (not old or at < begin + min(synced * BLOCK, length)):
            sys.exit(f"deaths: at {at}: fio had synced {synced} blocks from {begin} on, and this one is not there")


def play(number, stamps, original):
    server = start_server(number)
    uri = f"nbd+unix:///?socket={os.getcwd()}/socket"
    fio = start_fio(uri)
    threads = [threading.Thread(target=write_until_death, args=(uri, stamps, k)) for k in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(random.uniform(0.3, 1.0))
    sent = sum(stamps.sent)
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    for process in (*threads, fio):
        process.join() if process in threads else process.wait()
    disk = read_disk()
    stamps.check(disk, original)
    synced = synced_by_fio()
    check_fio(disk, original, synced)
    for begin, end in ((STAMPED[0] + STAMPED[1], FIO[0]), (FIO[0] + FIO[1], SIZE)):
        if disk[begin:end] != original[begin:end]:
            sys.exit(f"deaths: something wrote between {begin} and {end}")
    return sent, synced


def main():
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():
        print(__doc__, file=sys.stderr)
        return 2
    seed = os.environ.get("SEED") or str(random.randrange(1 << 32))
    random.seed(seed)
    with open("base.raw", "wb") as file:
        file.write(random.randbytes(BACKING))
    create = ["create", "-q", "-f", "-c", "16k", "-b", "base.raw", "-i", "disk.raw", "-s", str(SIZE), "disk.addcow"]
    stamps, original, total = Stamps(), None, 0
    for number in range(int(sys.argv[1])):
        if number % 10 == 0:
            for name in ("disk.raw", "disk.addcow"):
                if os.path.exists(name):
                    os.unlink(name)
            subprocess.run([ADDCOW, *create], check=True)
            stamps, original = Stamps(), read_disk()
        sent, synced = play(number, stamps, original)
        total += sent
        print(f"round {number + 1}: {sent} blocks sent, {synced} synced by fio", flush=True)
    if total == 0:
        sys.exit("deaths: nothing was written")
    print(f"deaths: {sys.argv[1]} rounds, nothing was lost (SEED={seed})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
