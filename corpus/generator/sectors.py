"""The rules on partial clusters and on ends inside clusters, in multiples of 512.

Implementations that work in sectors cannot be asked for odd bytes. For them these cases ask the same questions with
offsets, sizes and files that are whole sectors; for all others they are the requests that a guest really sends, which
an implementation may treat in a way of its own.
"""

import itertools

from generator.cases import add
from generator.disk import BACKING, Canvas, DATA, Disk, IMAGE, OPEN_RO, OPEN_RW
from generator.requests import CLAUSES, request

C = 4096
SHAPES = {
    "head": (0, 1024),
    "middle": (512, 1536),
    "tail": (1024, None),
    "across": (-512, None),
}


def disk_of(below, partial, allocated=()):
    """A disk of three clusters, the start of the one that is aimed at, and its length."""
    size = 2 * C + 2560 if partial else 3 * C
    start = 2 * C if partial else C
    length = min(C, size - start)
    backing = {"none": None, "shorter": start - 512, "straddling": start + 1536, "longer": size + 5120}[below]
    return Disk(12, size, backing, allocated), start, length


def contents():
    ops = [("write", shape) for shape in SHAPES] + [("zero", "head"), ("zero", "tail"), ("discard", "middle")]
    for (op, shape), below, partial in itertools.product(ops, ("none", "shorter", "straddling", "longer"), (0, 1)):
        disk, start, length = disk_of(below, partial)
        if (op, shape, below, partial) == ("write", "head", "longer", 0):
            continue  # the plainest write, which other cases do too
        first, last = SHAPES[shape]
        begin, end = start + first, start + (length if last is None else last)
        disk.write(begin, end, DATA if op == "write" else None)
        add(
            f"sectors-{op}-{shape}-{below}-{'partial' if partial else 'full'}",
            f"{op.capitalize()} of whole sectors, {shape}, of an unallocated cluster"
            f"{' that is the last and not full' if partial else ''}; backing file: {below}",
            CLAUSES[op],
            "writer",
            (["partial-cluster"] if partial else []) + (["no-backing"] if below == "none" else ["backing-end"]),
            disk.start,
            [OPEN_RW, request(op, begin, end), disk.read()] + disk.check_all(),
        )


def read():
    for states, below in itertools.product(((0, 0), (0, 1), (1, 0), (1, 1)), ("straddling", "longer")):
        allocated = [k for k in (1, 2) if states[k - 1]]
        disk, _, _ = disk_of(below, 1, allocated)
        add(
            f"sectors-read-{states[0]}{states[1]}-{below}",
            f"Read of whole sectors up to a last cluster that is not full; bits {states}; backing file: {below}",
            ["RD-01", "VRT-02"],
            "reader",
            ["backing-end", "partial-cluster"],
            disk.start,
            [OPEN_RO, disk.read(), disk.read(C + 512, disk.size - 512), disk.map(2 * C, disk.size)],
        )


def last_clusters():
    for count in (1, 8, 9, 4097):
        size = (count - 1) * C + 512
        disk = Disk(12, size, backing=0)
        disk.write(size - 512, size, DATA)
        add(
            f"sectors-last-of-{count}",
            f"The last of {count} clusters has one sector and a bit of its own",
            ["BMP-02", "BMP-05"],
            "writer",
            ["partial-cluster"],
            disk.start,
            [OPEN_RW, request("write", size - 512, size), disk.read(max(0, size - C), size)] + disk.check_all(),
        )


def resized():
    old = 2 * C + 512
    for new, below, before in itertools.product(
        (2 * C + 1024, 3 * C, 5 * C + 512), ("none", "shorter", "between", "longer"), (0, 1)
    ):
        between = (old + new) // 1024 * 512
        if below == "between" and between == old:
            continue  # there is no sector between them
        backing = {"none": None, "shorter": old - 512, "between": between, "longer": new + 3072}[below]
        disk = Disk(12, old, backing, (2,) if before else ())
        disk.resize(new)
        add(
            f"sectors-grow-{new}-{below}-{'allocated' if before else 'unallocated'}",
            f"Grow from {old} to {new}; last cluster: {'' if before else 'un'}allocated; backing file: {below}",
            ["RSZ-01", "RSZ-02", "RSZ-03"],
            "writer",
            ["resize", "partial-cluster"],
            disk.start,
            [OPEN_RW, {"op": "resize", "size": new}, {"op": "size", "size": new}, disk.read()] + disk.check_all(),
        )
    for new, state in itertools.product((C + 512, 512), ("allocated", "unallocated")):
        disk = Disk(12, old, old + 5120, range(3) if state == "allocated" else ())
        disk.resize(new)
        disk.resize(old)
        add(
            f"sectors-shrink-{new}-{state}",
            f"Shrink from {old} to {new} bytes and grow again; clusters: {state}",
            ["RSZ-05", "RSZ-06"],
            "writer",
            ["resize", "partial-cluster"],
            Disk(12, old, old + 5120, range(3) if state == "allocated" else ()).start,
            [OPEN_RW, {"op": "resize", "size": new}, {"op": "resize", "size": old}, disk.read()] + disk.check_all(),
        )


def maintained():
    for below in ("none", "straddling", "longer"):
        disk, _, _ = disk_of(below, 1, (1,))
        files, image = disk.start, Canvas(disk.size)
        image.put(disk.virt(0, disk.size))
        disk.image, disk.allocated = image, {0, 1, 2}
        flag = {"op": "file", "path": "disk.addcow", "content": [{"at": 32, "le64": [1]}] + disk.bitmap(True)}
        add(
            f"sectors-stream-{below}",
            f"Stream of a disk whose last cluster is not full; backing file: {below}",
            ["STR-01", "STR-02", "VRT-05"],
            "writer",
            ["maintenance", "partial-cluster"],
            files,
            [OPEN_RW, {"op": "stream"}, disk.read(), {"op": "close"}, disk.check_image(), flag],
        )
    disk, _, _ = disk_of("longer", 1, (2,))
    files, read_all = disk.start, disk.read()
    disk.backing.put(disk.virt(2 * C, disk.size))
    disk.allocated = set()
    add(
        "sectors-commit",
        "Commit of a last cluster that is not full",
        ["CMT-01"],
        "writer",
        ["maintenance", "partial-cluster"],
        files,
        [OPEN_RW, {"op": "commit"}, read_all, {"op": "close"}, disk.check_bitmap(), disk.check_backing()],
    )


def whole_clusters_far_out():
    """Writes of one whole cluster at 1, 2, 4 and 8 TiB: nothing is copied up, and numbers leave 31 and 32 bits."""
    for name, place in (("1t", 2**40), ("2t", 2**41), ("4t", 2**42), ("8t", 2**43)):
        size, cluster = place + (1 << 17), 1 << 16
        image, backing = Canvas(size), Canvas(size)
        image.paint(place - cluster, size, IMAGE)
        backing.paint(place - cluster, size, BACKING)
        disk = Disk(16, size, image=image, below=backing)
        disk.write(place, place + cluster, DATA)
        add(
            f"sectors-whole-cluster-{name}",
            f"Write of a whole cluster at {name.upper()}iB",
            ["WR-01", "WR-02"],
            "writer",
            ["large-disk"],
            disk.start,
            [
                OPEN_RW,
                request("write", place, place + cluster),
                disk.read(place - cluster, size),
                disk.read(0, C),
                {"op": "close"},
                disk.check_bitmap(),
                {"op": "open", "path": "disk.addcow", "mode": "ro", "by": "reference"},
                disk.read(place - cluster, size),
                disk.read(0, C),
            ],
            ["large"],
        )
