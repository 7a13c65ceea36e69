#!/usr/bin/env python3
"""An adapter, as corpus/PROTOCOL.md describes it, for a command-line tool that cannot be changed: here the addcow
command, one call a request.

    ADDCOW=build/gcc/addcow gate --impl 'exec:python3 corpus/example/wrap_addcow.py'

Replace the commands below by those of your tool. What a tool that opens the disk anew for each call cannot show is
declared as lacking: it holds no lock between two calls and cannot have a file cut while it is open.
"""

import json
import os
import re
import subprocess
import sys
import tempfile

TOOL = os.environ.get("ADDCOW", "addcow")
ABILITIES = ["layouts=r20,r9", "operations=write,zero,discard,map,flush,resize,stream,commit,create", "granularity=1",
             "concurrency=1", "level=writer", "lacks=locks,cut"]


class Refused(Exception):
    """The words of an error answer."""


def tool(*arguments):
    """Runs the tool and returns what it printed. Its diagnostics say "(CLASS, CLAUSE)" or "(CLASS)"."""
    done = subprocess.run([TOOL, *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode != 0:
        message = done.stderr.strip()
        found = re.search(rb".*\(([a-z]+)(?:, (\w+-\d\d))?\)", message)
        kind, clause = (word.decode() if word else "-" for word in (found.groups() if found else (b"io", None)))
        raise Refused("error", kind, clause, message[:1000])
    return done.stdout


class Wrapper:
    def __init__(self):
        self.path, self.writable = None, False

    def size(self):
        return json.loads(tool("info", "--output=json", self.path))["virtual-size"]

    def do_hello(self, _version):
        return [1, *ABILITIES]

    def do_open(self, mode, path):
        self.path, self.writable = path, mode == "rw"
        tool("read", path, "0", "0")  # info would not open the files below

    def do_close(self):
        self.path = None

    def do_size(self):
        return [self.size()]

    def do_read(self, offset, length):
        return [tool("read", self.path, offset, length)]

    def do_map(self, offset, length):
        # The tool clips a range at the end of the disk, as qemu-img does.
        if int(offset) > self.size() or int(length) > self.size() - int(offset):
            raise Refused("error", "range", "REQ-01")
        found = tool("map", "--output=json", f"--start-offset={offset}", f"--max-length={length}", self.path)
        extents = json.loads(found)
        mine = [extent["depth"] == 0 and extent["present"] for extent in extents]
        same = mine.index(not mine[0]) if len(set(mine)) > 1 else len(mine)
        return [int(mine[0]) if mine else 0, sum(extent["length"] for extent in extents[:same])]

    def change(self, *arguments):
        # The tool opens a disk for writing when a command writes; that it was opened read-only, only the adapter knows.
        if not self.writable:
            raise Refused("error", "readonly", "REQ-03")
        tool(*arguments)

    def do_write(self, offset, length, data):
        if len(data) < int(length):  # far outside the disk
            return self.change("zero", "-q", self.path, offset, length)
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            return self.change("write", "-q", "-i", file.name, self.path, offset)

    def do_zero(self, offset, length):
        self.change("zero", "-q", self.path, offset, length)

    def do_discard(self, offset, length):
        self.change("discard", "-q", self.path, offset, length)

    def do_flush(self):
        """What the tool does is durable when it has ended."""

    def do_resize(self, size):
        self.change("resize", "-q", "--shrink", self.path, size)

    def do_stream(self):
        self.change("stream", "-q", self.path)

    def do_commit(self):
        self.change("commit", "-q", self.path)

    def do_create(self, layout, bits, path, image, backing, backing_format):
        below = [] if backing == "-" else ["-b", backing, "-F", backing_format, "--hide-image-data"]
        if not 12 <= int(bits) <= 21:  # a wrong command line for the tool, which names no class then
            raise Refused("error", "malformed", "HDR-04")
        # The tool would make the image, as long as the backing file; the request must not.
        if not os.path.lexists(os.path.join(os.path.dirname(path), image)):
            raise Refused("error", "unlinkable", "CRE-05")
        tool("create", "-q", f"--layout={layout}", "-c", str(1 << int(bits)), "-i", image, *below, path)


def main():
    requests, answers, wrapper = sys.stdin.buffer, sys.stdout.buffer, Wrapper()
    while words := requests.readline().split():
        words = [requests.read(int(word[1:])) if word.startswith(b"+") else word.decode() for word in words]
        try:
            answer = ["ok", *(getattr(wrapper, "do_" + words[1])(*words[2:]) or [])]
        except Refused as refusal:
            answer = refusal.args
        answer = [words[0], *answer]
        line = " ".join(f"+{len(word)}" if isinstance(word, bytes) else str(word) for word in answer)
        answers.write(line.encode() + b"\n" + b"".join(word for word in answer if isinstance(word, bytes)))
        answers.flush()


if __name__ == "__main__":
    main()
