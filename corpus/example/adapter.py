#!/usr/bin/env python3
"""An adapter, as corpus/PROTOCOL.md describes it, for the implementation in addcow.py beside it.

    gate --impl 'exec:python3 corpus/example/adapter.py'
"""

import errno
import os
import sys
import threading

sys.dont_write_bytecode = True
import addcow

PROTOCOL = 1
CONCURRENCY = 16
ABILITIES = ["layouts=r20,r9", "operations=write,zero,discard,map,flush,resize,stream,commit,create", "granularity=1",
             f"concurrency={CONCURRENCY}", "level=durable", "lacks="]


class Adapter:
    def __init__(self, requests, answers):
        self.requests, self.answers = requests, answers
        self.answering = threading.Lock()
        self.disk = None

    def receive(self):
        """The words of the next request, each `+N` replaced by its N bytes; none at the end of the input."""
        words = self.requests.readline().split()
        return [self.requests.read(int(word[1:])) if word.startswith(b"+") else word.decode() for word in words]

    def answer(self, *words):
        """Bytes among the words become data."""
        line = " ".join(f"+{len(word)}" if isinstance(word, bytes) else str(word) for word in words)
        with self.answering:
            self.answers.write(line.encode() + b"\n" + b"".join(word for word in words if isinstance(word, bytes)))
            self.answers.flush()

    def handle(self, tag, operation, *arguments):
        try:
            self.answer(tag, "ok", *getattr(self, "do_" + operation)(*arguments))
        except addcow.Error as problem:
            self.answer(tag, "error", problem.kind, problem.clause, str(problem).encode()[:1000])
        except OSError as problem:
            kind = "nospace" if problem.errno in (errno.ENOSPC, errno.EDQUOT) else "io"  # ERR-05
            self.answer(tag, "error", kind, "-", str(problem).encode()[:1000])
        except Exception:  # a defect: better no adapter than no answer
            sys.excepthook(*sys.exc_info())
            os._exit(1)

    def do_hello(self, _version):
        return [PROTOCOL, *ABILITIES]

    def do_open(self, mode, path):
        self.disk = addcow.Disk(path, mode == "rw")
        return []

    def do_close(self):
        disk, self.disk = self.disk, None
        disk.close()
        return []

    def do_size(self):
        return [self.disk.size]

    def do_read(self, offset, length):
        return [self.disk.read(int(offset), int(length))]

    def do_write(self, offset, length, data):
        self.disk.write(int(offset), int(length), data)
        return []

    def do_map(self, offset, length):
        allocated, run = self.disk.map(int(offset), int(length))
        return [int(allocated), run]

    def do_create(self, layout, bits, path, image, backing, backing_format):
        none = backing == "-"
        addcow.create(path, layout, int(bits), image, None if none else backing, None if none else backing_format)
        return []

    def do_simple(self, operation, *arguments):
        getattr(self.disk, operation)(*map(int, arguments))
        return []

    def __getattr__(self, name):
        operation = {"do_discard": "zero"}.get(name, name[3:])  # DC-01
        return lambda *arguments: self.do_simple(operation, *arguments)

    def run(self):
        while request := self.receive():
            threading.Thread(target=self.handle, args=request).start()


if __name__ == "__main__":
    Adapter(sys.stdin.buffer, sys.stdout.buffer).run()
