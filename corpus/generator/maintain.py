"""Resize, stream and commit."""

import itertools

from generator.cases import add
from generator.disk import Canvas, Disk, OPEN_RO, OPEN_RW
from generator.requests import backings, geometry


def grown():
    c = 4096
    for old, new, below, before in itertools.product(
        (2 * c, 2 * c + 100), (2 * c + 200, 3 * c, 5 * c + 77), ("none", "shorter", "between", "longer"), (0, 1)
    ):
        backing = {"none": None, "shorter": old - 50, "between": old + (new - old) // 2, "longer": new + 3000}[below]
        boundary = (old - 1) // c
        disk = Disk(12, old, backing, (boundary,) if before else ())
        disk.resize(new)
        state = "allocated" if before else "unallocated"
        add(
            f"grow-{old}-{new}-{below}-{state}",
            f"Grow from {old} to {new}; last cluster: {state}; backing file: {below}",
            ["RSZ-01", "RSZ-02", "RSZ-03"],
            "writer",
            ["resize"],
            disk.start,
            [
                OPEN_RW,
                {"op": "resize", "size": new},
                {"op": "size", "size": new},
                disk.read(),
                {"op": "close"},
                disk.check_bitmap(),
                OPEN_RO,
                disk.read(),
            ],
        )


def shrunk():
    c = 4096
    for new, state in itertools.product((5 * c, 4 * c + 10, 1, 0), ("allocated", "unallocated")):
        old = 5 * c + 77
        disk = Disk(12, old, old + 5000, range(6) if state == "allocated" else ())
        files = disk.start
        disk.resize(new)
        steps = [OPEN_RW, {"op": "resize", "size": new}, disk.read(), {"op": "close"}]
        add(
            f"shrink-{new}-{state}",
            f"Shrink from {old} to {new} bytes; clusters: {state}",
            ["RSZ-01", "RSZ-05"],
            "writer",
            ["resize"],
            files,
            steps + [{"op": "file", "path": "image.raw", "length": new}, disk.check_bitmap(8192)],
        )
        disk.resize(old)
        add(
            f"shrink-{new}-{state}-grow",
            f"Shrink from {old} to {new} bytes and grow again; clusters: {state}",
            ["RSZ-06"],
            "writer",
            ["resize"],
            files,
            steps + [OPEN_RW, {"op": "resize", "size": old}, disk.read(), {"op": "close"}, disk.check_bitmap(8192)],
        )


STATES = {"none": (), "first": (0,), "last": (2,), "every": (0, 1, 2)}


def streamed():
    for state, below, partial in itertools.product(STATES, ("none", "straddling", "longer"), (False, True)):
        size, start, length = geometry(4096, partial)
        disk = Disk(12, size, backings(start, length, size)[below], STATES[state])
        image = Canvas(size)
        image.put(disk.virt(0, size))
        disk.image, disk.allocated = image, {0, 1, 2}
        end = {"op": "file", "path": "disk.addcow", "content": [{"at": 32, "le64": [1]}] + disk.bitmap(True)}
        add(
            f"stream-{state}-{below}-{'partial' if partial else 'full'}",
            f"Stream; allocated before: {state}; backing file: {below}",
            ["STR-01", "STR-02", "VRT-05"],
            "writer",
            ["maintenance"],
            disk.start,
            [OPEN_RW, {"op": "stream"}, disk.read(), {"op": "close"}, disk.check_image(), end],
        )


def committed():
    for state, below in itertools.product(STATES, ("exact", "longer", "shorter")):
        size = 2 * 4096 + 2000
        length = {"exact": size, "longer": size + 5000, "shorter": 4096}[below]
        reach = {"none": 0, "first": 4096, "last": size, "every": size}[state]
        disk = Disk(12, size, length, STATES[state])
        files = disk.start
        if reach > length:
            steps = [{"op": "commit", "result": "range", "clause": "CMT-02"}, disk.read()] + disk.check_all()
            clauses = ["CMT-02"]
        else:
            read = disk.read()
            disk.backing.put(
                [span for k in STATES[state] for span in disk.virt(k * 4096, min(size, k * 4096 + 4096))]
                if state != "none"
                else []
            )
            disk.allocated = set()
            steps = [{"op": "commit"}, read, {"op": "close"}, disk.check_bitmap(), disk.check_backing()]
            clauses = ["CMT-01"]
        add(
            f"commit-{state}-{below}",
            f"Commit; allocated: {state}; backing file: {below}",
            clauses,
            "writer",
            ["maintenance"],
            files,
            [OPEN_RW] + steps,
        )
