"""Locks: of files, among processes (section 12), and of requests, among the threads of this one (section 10)."""

import contextlib
import fcntl
import os
import struct
import threading

# LCK-06: bytes by which programs tell what they do with a file, and what they allow. Those that each kind of lock
# takes, and those that it cannot stand with others.
SHARED = (100, 201, 203), (101, 103, 200)
EXCLUSIVE = (100, 101, 102, 103, 200, 201, 202, 203), (100, 101, 102, 103, 200, 201, 202, 203)


def call_lock(fd, call, kind, begin, length):
    """The kind of lock that the call tells."""
    answer = fcntl.fcntl(fd, call, struct.pack("@hhqqi4x", kind, os.SEEK_SET, begin, length, 0))
    return struct.unpack_from("@h", answer)[0]


def lock_metadata(fd, exclusive):
    """LCK-01. False if another one has a lock that conflicts."""
    try:
        call_lock(fd, fcntl.F_OFD_SETLK, fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK, 0, 0)
    except OSError:
        return False
    return True


def lock_data(fd, exclusive):
    """LCK-05. The lock ends when the file is closed, also after a conflict."""
    taken, conflicting = EXCLUSIVE if exclusive else SHARED
    for byte in taken:
        call_lock(fd, fcntl.F_OFD_SETLK, fcntl.F_RDLCK, byte, 1)
    return all(call_lock(fd, fcntl.F_OFD_GETLK, fcntl.F_WRLCK, byte, 1) == fcntl.F_UNLCK for byte in conflicting)


class RequestLock:
    """`with lock` is a request beside others; `with lock.alone()` excludes all others (CON-09).

    Within a request, `with lock.cluster(k)` excludes others from one cluster. A request holds one cluster at a time, so
    that none waits in a circle (CON-12), and different clusters are allocated in parallel (CON-08).
    """

    def __init__(self):
        self.changed = threading.Condition()
        self.running = 0  # requests that go on beside each other
        self.waiting = 0  # requests that want to be alone: no new one begins before them
        self.is_alone = False
        self.taken = set()  # clusters

    def __enter__(self):
        with self.changed:
            self.changed.wait_for(lambda: not self.is_alone and self.waiting == 0)
            self.running += 1

    def __exit__(self, *_):
        with self.changed:
            self.running -= 1
            self.changed.notify_all()

    @contextlib.contextmanager
    def alone(self):
        with self.changed:
            self.waiting += 1
            self.changed.wait_for(lambda: not self.is_alone and self.running == 0)
            self.waiting -= 1
            self.is_alone = True
        try:
            yield
        finally:
            with self.changed:
                self.is_alone = False
                self.changed.notify_all()

    @contextlib.contextmanager
    def cluster(self, k):
        with self.changed:
            self.changed.wait_for(lambda: k not in self.taken)
            self.taken.add(k)
        try:
            yield
        finally:
            with self.changed:
                self.taken.remove(k)
                self.changed.notify_all()
