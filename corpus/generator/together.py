"""Requests in flight together, and what a killed process leaves."""

from generator.cases import add
from generator.disk import BACKING, Canvas, DATA, Disk, IMAGE, OPEN_RO, OPEN_RW, OTHER, as_json
from generator.requests import request


# ---- Requests in flight together ----


def at_once(*steps):
    return [{**step, "beside": True} if i else step for i, step in enumerate(steps)]


def written(begin, end, pattern):
    return {"op": "write", "offset": begin, "length": end - begin, "data": as_json([(begin, end, pattern)])}


def repeated(*steps):
    """Asked for again and again, until the first request of the group is answered."""
    return [{**step, "repeated": True} for step in steps]


def any_of(begin, end, *patterns):
    return {"at": begin, "length": end - begin, "any": list(patterns)}


def concurrent(name, title, clauses, disk, steps, *after):
    add("beside-" + name, title, clauses, "concurrent writer", ["concurrent"], disk.start, [OPEN_RW, *steps, *after])


def fresh(bits, clusters=8):
    return Disk(bits, clusters << bits, clusters << bits)


def same_sectors():
    """Each in every cluster of a disk, like the following ones, so that a race has several chances."""
    c, disk = 4096, fresh(12)
    starts = range(0, 8 * c, c)
    concurrent(
        "same-sectors-4k",
        "Two first writes to the same sectors: each sector is of one of them",
        ["CON-02"],
        disk,
        [step for s in starts for step in at_once(written(s + 512, s + 2048, DATA), written(s + 512, s + 2048, OTHER))],
        *(
            {
                "op": "read",
                "offset": s,
                "length": 4096,
                "expect": as_json([(s, s + 512, BACKING)])
                + [any_of(s + 512, s + 2048, DATA, OTHER)]
                + as_json([(s + 2048, s + 4096, BACKING)]),
            }
            for s in starts
        ),
    )
    for op, below in (("zero", "ZR-01"), ("discard", "DC-01")):
        disk = fresh(12)
        concurrent(
            f"{op}-write-4k",
            f"A {op} beside a write of the same sectors: each sector is of one of them",
            ["CON-02", below],
            disk,
            [
                step
                for s in starts
                for step in at_once(written(s, s + 2048, DATA), {"op": op, "offset": s, "length": 2048})
            ],
            *(
                {
                    "op": "read",
                    "offset": s,
                    "length": 4096,
                    "expect": [any_of(s, s + 2048, DATA, None)] + as_json([(s + 2048, s + 4096, BACKING)]),
                }
                for s in starts
            ),
        )
    disk = fresh(12)
    concurrent(
        "read-first-write-4k",
        "A read beside a first write sees old or new, never what the image held",
        ["CON-02", "CON-04"],
        disk,
        [
            step
            for s in starts
            for step in at_once(
                written(s + 512, s + 1536, DATA),
                *repeated(
                    *(
                        {
                            "op": "read",
                            "offset": s,
                            "length": 4096,
                            "expect": [
                                *as_json([(s, s + 512, BACKING)]),
                                any_of(s + 512, s + 1536, BACKING, DATA),
                                *as_json([(s + 1536, s + 4096, BACKING)]),
                            ],
                        }
                        for _ in range(3)
                    )
                ),
            )
        ],
    )


def same_cluster():
    """The parts are 8 KiB apart in the large cluster: an implementation that locks 4 KiB, not clusters, loses some."""
    c, disk, steps = 4096, fresh(12), []
    for s in range(0, 8 * c, c):
        steps += at_once(written(s + 100, s + 700, DATA), written(s + c - 900, s + c - 3, OTHER))
        disk.write(s + 100, s + 700, DATA)
        disk.write(s + c - 900, s + c - 3, OTHER)
    concurrent(
        "head-and-tail-4k",
        "Two first writes to different bytes of a cluster: neither is lost",
        ["CON-05", "CON-06"],
        disk,
        steps,
        disk.read(),
        *disk.check_all(),
    )
    c, disk, steps = 65536, fresh(16), []
    for s in range(0, 8 * c, c):
        parts = [(s + i * c // 8, s + (i + 1) * c // 8, 10 + i) for i in range(8)]
        steps += at_once(*(written(*part) for part in parts))
        for part in parts:
            disk.write(*part)
    concurrent(
        "eight-parts-64k",
        "Eight first writes fill one cluster: none is lost",
        ["CON-06"],
        disk,
        steps,
        disk.read(),
        *disk.check_all(),
    )


def same_byte_of_bits():
    c, disk = 4096, fresh(12)
    parts = [(k * c + 512 * k, k * c + 512 * k + 512, 10 + k) for k in range(8)]
    for part in parts:
        disk.write(*part)
    concurrent(
        "one-byte-of-bits-4k",
        "First writes to eight clusters whose bits share a byte: all bits are set",
        ["CON-07"],
        disk,
        at_once(*(written(*part) for part in parts)),
        disk.read(),
        *disk.check_all(),
    )
    disk = fresh(12)
    parts = [(k * c + 700, k * c + 1500, 10 + k) for k in range(7)]
    for part in parts:
        disk.write(*part)
    disk.allocate(7)
    concurrent(
        "stream-4k",
        "A stream beside writes overwrites none of them",
        ["CON-11", "STR-01"],
        disk,
        at_once({"op": "stream"}, *(written(*part) for part in parts)),
        disk.read(),
        {"op": "close"},
        disk.check_image(),
        disk.check_bitmap(),
    )


def interlocking():
    disk = fresh(12)
    steps, expect = [], []
    for i, edge in enumerate(range(4096, 8 * 4096, 8192)):
        steps += [written(edge - 1024, edge + 512, 10 + i), written(edge - 512, edge + 1024, 20 + i)]
        expect += [
            *as_json([(edge - 4096, edge - 1024, BACKING), (edge - 1024, edge - 512, 10 + i)]),
            any_of(edge - 512, edge + 512, 10 + i, 20 + i),
            *as_json([(edge + 512, edge + 1024, 20 + i), (edge + 1024, edge + 4096, BACKING)]),
        ]
    concurrent(
        "interlocking",
        "Pairs of first writes that need the same two clusters: none waits for ever",
        ["CON-01", "CON-12"],
        disk,
        at_once(*steps),
        {"op": "read", "offset": 0, "length": disk.size, "expect": expect},
    )


def beside_whole_disk_operations():
    disk = Disk(12, 8 * 4096, 8 * 4096, range(8))
    reads = [disk.read(k * 4096, k * 4096 + 4096) for k in range(7)]
    concurrent(
        "commit-reads",
        "Reads beside a commit see what the disk held before and holds after",
        ["CON-09"],
        disk,
        at_once({"op": "commit"}, *reads),
        disk.read(),
        {"op": "close"},
        {"op": "file", "path": "backing.raw", "length": 8 * 4096, "content": as_json(disk.image.spans)},
    )
    disk = Disk(12, 8 * 4096, 16 * 4096)
    reads = [disk.read(0, 8 * 4096)] * 6
    concurrent(
        "grow-reads",
        "Reads beside a grow see the bytes that were there before",
        ["CON-09"],
        disk,
        at_once({"op": "resize", "size": 16 * 4096}, *reads),
        {"op": "size", "size": 16 * 4096},
    )
    disk = Disk(12, 8 * 4096, 8 * 4096)
    late = [{**written(6 * 4096, 6 * 4096 + 512, DATA), "result": ["ok", "range"]}] * 6
    concurrent(
        "shrink-writes",
        "Writes beside a shrink are done before it or refused after it",
        ["CON-09", "WR-04"],
        disk,
        at_once({"op": "resize", "size": 4 * 4096}, *late),
        {"op": "size", "size": 4 * 4096},
        {"op": "close"},
        {"op": "file", "path": "image.raw", "length": 4 * 4096},
    )
    disk = Disk(12, 8 * 4096, 8 * 4096)
    maps = [{"op": "map", "offset": 4096, "length": 4096, "allocated": False, "run": 4096}] * 6
    concurrent(
        "map-other-cluster",
        "A map beside a write to another cluster reports what is true",
        ["CON-10"],
        disk,
        at_once(written(100, 200, DATA), *maps),
    )


# ---- Pairs ----

BY_REFERENCE = {**OPEN_RO, "by": "reference"}


def pair(name, title, clauses, files, steps, expected, *after):
    """What is left is read by the reference engine. `expected` is the disk afterwards."""
    add(
        "pair-" + name,
        title,
        clauses,
        "concurrent writer",
        ["concurrent"],
        files,
        [OPEN_RW, *steps, {"op": "close"}, *after, BY_REFERENCE, expected],
    )


def commit_pairs():
    """The last cluster is not full and not allocated, so that a commit has both kinds before it."""
    c = 4096
    disk = Disk(12, 9 * c + 512, 9 * c + 512, range(8))
    files = disk.start
    parts = [(k * c + 512, k * c + 1024, 10 + k) for k in range(7)]
    for part in parts:
        disk.write(*part)
    pair(
        "commit-writes",
        "A commit beside writes to the clusters that it copies loses none of them",
        ["CON-09", "CMT-01"],
        files,
        at_once({"op": "commit"}, *(written(*part) for part in parts)),
        disk.read(),
    )
    disk = Disk(12, 10 * c, 10 * c, range(10))
    status = {"op": "map", "offset": 0, "length": 10 * c, "allocated": "either", "run": 10 * c}
    pair(
        "commit-maps",
        "A map beside a commit sees all bits set or all bits clear",
        ["CON-09"],
        disk.start,
        [*at_once({"op": "commit"}, *repeated(status, status, status)), {**status, "allocated": False}],
        disk.read(),
    )


def resize_pairs():
    c = 4096
    disk = Disk(12, 8 * c + 512, 20 * c, (0, 7))
    files, inside = disk.start, disk.read(3 * c, 4 * c)
    removed = {**disk.read(7 * c, 8 * c), "result": ["ok", "range"]}
    disk.resize(4 * c)
    pair(
        "shrink-reads",
        "Reads beside a shrink see what was there, or are refused",
        ["CON-09"],
        files,
        at_once({"op": "resize", "size": 4 * c}, *[inside, removed] * 3),
        disk.read(),
        {"op": "file", "path": "image.raw", "length": 4 * c},
    )
    new = 12 * c + 512
    disk = Disk(12, 8 * c + 1024, 20 * c, (1, 6))
    files = disk.start
    disk.resize(new)
    pair(
        "grow-flushes",
        "Flushes beside a grow leave the disk as it must be then",
        ["CON-09", "RSZ-01"],
        files,
        at_once({"op": "resize", "size": new}, *[{"op": "flush"}] * 5),
        disk.read(),
        disk.check_bitmap(),
    )


def stream_pairs():
    c = 4096
    disk = Disk(12, 16 * c + 1536, 16 * c + 1536, (0, 15))
    files, expected = disk.start, disk.read()
    image = Canvas(disk.size)
    image.put(disk.virt(0, disk.size))
    disk.image, disk.allocated = image, set(range(17))
    flag = {"op": "file", "path": "disk.addcow", "content": [{"at": 32, "le64": [1]}] + disk.bitmap(True)}
    pair(
        "stream-flushes",
        "Flushes beside the end of a stream do not take back that all is allocated",
        ["STR-01", "STR-02"],
        files,
        [*at_once({"op": "stream"}, *repeated(*[{"op": "flush"}] * 3)), {"op": "flush"}],
        expected,
        flag,
    )
    disk = Disk(12, 16 * c + 2048, 32 * c, (0, 15))
    files = disk.start
    disk.resize(24 * c)
    pair(
        "stream-grow",
        "A grow beside a stream: the new bytes are zeros, and what was there stays",
        ["STR-01", "CON-09", "RSZ-02"],
        files,
        at_once({"op": "stream"}, {"op": "resize", "size": 24 * c}),
        disk.read(),
        {"op": "file", "path": "image.raw", "length": 24 * c},
    )
    disk = Disk(12, 16 * c + 2560, 16 * c + 2560, (0, 15))
    files = disk.start
    disk.resize(24 * c)
    expected = disk.read()
    disk.allocated = set(range(24))
    pair(
        "stream-grow-beyond",
        "A grow past the backing file beside a stream: the stream allocates the new clusters, or the next one does",
        ["STR-01", "STR-02"],
        files,
        [*at_once({"op": "stream"}, {"op": "resize", "size": 24 * c}), {"op": "stream"}],
        expected,
        {"op": "file", "path": "disk.addcow", "content": [{"at": 32, "le64": [1]}] + disk.bitmap(True)},
    )
    disk = Disk(12, 24 * c + 1024, 32 * c, (0, 23))
    files = disk.start
    disk.resize(6 * c)
    pair(
        "stream-shrink",
        "A shrink beside a stream: the image keeps the length that it was cut to",
        ["STR-01", "CON-09", "RSZ-05"],
        files,
        at_once({"op": "stream"}, {"op": "resize", "size": 6 * c}),
        disk.read(),
        {"op": "file", "path": "image.raw", "length": 6 * c},
    )
    disk = Disk(12, 16 * c + 1024, 16 * c + 1024, (0, 16))
    both = at_once({"op": "stream"}, {"op": "commit"})
    pair(
        "stream-commit",
        "A commit beside a stream: whatever is allocated at the end, the disk reads the same",
        ["STR-01", "STR-02", "CON-09"],
        disk.start,
        [*both, *both],
        disk.read(),
    )


def allocated_pairs():
    """A read beside a write is judged by bytes: the file systems of Linux may return half a sector."""
    c = 4096
    disk, steps, expect = Disk(12, 8 * c + 2560, 8 * c, range(9)), [], []
    for s in range(0, 8 * c, c):
        begin, end = s + 512, s + 2560
        second = written(begin, end, OTHER)
        steps += at_once(written(begin, end, DATA), second, second)
        expect += [*as_json([(s, begin, IMAGE)]), any_of(begin, end, DATA, OTHER), *as_json([(end, s + c, IMAGE)])]
    pair(
        "writes-on-allocated",
        "Writes of the same allocated sectors at once: each sector is of one of them",
        ["CON-02"],
        disk.start,
        steps,
        {"op": "read", "offset": 0, "length": 8 * c, "expect": expect},
    )
    disk, steps = Disk(12, 8 * c + 1536, 8 * c, range(9)), []
    files = disk.start
    for s in range(0, 8 * c, c):
        begin, end = s + 1024, s + 3072
        any_byte = {**any_of(begin, end, IMAGE, DATA), "each": "byte"}
        expect = [*as_json([(s, begin, IMAGE)]), any_byte, *as_json([(end, s + c, IMAGE)])]
        look = {"op": "read", "offset": s, "length": c, "expect": expect}
        steps += at_once(written(begin, end, DATA), *repeated(look, look))
        disk.write(begin, end, DATA)
    pair(
        "write-reads-on-allocated",
        "Reads at every moment of a write of allocated sectors: each byte is old or new",
        ["CON-02"],
        files,
        steps,
        disk.read(),
    )


def flush_pairs():
    c = 4096
    disk = Disk(12, 8 * c + 3072, 8 * c, ())
    files = disk.start
    parts = [(100, 700, DATA), (2 * c + 100, 2 * c + 700, DATA), (5 * c + 100, 5 * c + 700, OTHER)]
    for part in parts:
        disk.write(*part)
    add(
        "pair-flush-write",
        "A write beside a flush is durable after the next flush",
        ["DUR-01", "DUR-05"],
        "durable writer",
        ["killed", "concurrent"],
        files,
        [
            OPEN_RW,
            written(*parts[0]),
            written(*parts[1]),
            *at_once({"op": "flush"}, written(*parts[2]), {"op": "flush"}),
            {"op": "flush"},
            {"op": "kill"},
            disk.check_bitmap(),
            BY_REFERENCE,
            disk.read(),
        ],
        ["kill"],
    )


# ---- Killed ----


def reopened(after):
    """The steps after a kill. The reference engine must find the same as the implementation, and before it."""
    opened = next((i for i, step in enumerate(after) if step["op"] == "open"), len(after))
    reading = list(after[opened + 1 :])
    if {"op": "close"} in reading:
        del reading[reading.index({"op": "close"}) :]
    by_reference = [OPEN_RO | {"by": "reference"}, *reading, {"op": "close"}] if reading else []
    return [*after[:opened], *by_reference, *after[opened:]]


def killed(name, title, clauses, disk, steps, *after):
    add(
        "kill-" + name,
        title,
        clauses,
        "durable writer",
        ["killed"],
        disk.start,
        [OPEN_RW, *steps, {"op": "kill"}, *reopened(after)],
        ["kill"],
        "Killing a process loses what it held in its own memory; what the system holds for it stays.",
    )


def after_kill():
    for op in ("write", "zero", "discard"):
        disk = fresh(12, 3)
        disk.write(700, 5096, DATA if op == "write" else None)
        killed(
            f"{op}-4k",
            f"What a flush made durable survives that the process is killed: {op}",
            ["DUR-01"],
            disk,
            [request(op, 700, 5096), {"op": "flush"}],
            disk.check_image(),
            disk.check_bitmap(),
            OPEN_RO,
            disk.read(),
        )
    disk = fresh(12)
    disk.write(100, 9000, DATA)
    killed(
        "not-flushed",
        "Without a flush each sector is old or new after the process was killed",
        ["DUR-02"],
        disk,
        [request("write", 0, 8192)],
        OPEN_RO,
        {"op": "read", "offset": 0, "length": 8192, "expect": [any_of(0, 8192, BACKING, DATA)]},
    )
    disk = fresh(12)
    disk.write(100, 9000, DATA)
    killed(
        "joined-flush",
        "Flushes beside each other all wait for what came before them",
        ["DUR-05"],
        disk,
        [request("write", 100, 9000), *at_once(*[{"op": "flush"}] * 6)],
        disk.check_bitmap(),
        OPEN_RO,
        disk.read(),
    )
    disk = fresh(12)
    image = Canvas(disk.size, BACKING)
    killed(
        "stream",
        "A stream that is done is done when the process is killed",
        ["STR-02", "DUR-08"],
        disk,
        [{"op": "stream"}],
        {"op": "file", "path": "image.raw", "length": disk.size, "content": as_json(image.spans)},
        {"op": "file", "path": "disk.addcow", "content": [{"at": 32, "le64": [1]}, {"at": 4096, "hex": "ff"}]},
        OPEN_RO,
        disk.read(),
    )
    disk = Disk(12, 8 * 4096, 8 * 4096, range(8))
    killed(
        "commit",
        "A commit that is done is done when the process is killed",
        ["CMT-03", "DUR-11"],
        disk,
        [{"op": "commit"}],
        {"op": "file", "path": "backing.raw", "content": as_json(disk.image.spans)},
        OPEN_RO,
        disk.read(),
    )
    for new in (10 * 4096 + 5, 3 * 4096 + 5):
        disk = Disk(12, 8 * 4096, 16 * 4096, (0, 3, 5))
        disk.resize(new)
        killed(
            f"resize-{new}",
            "A resize that is done is done when the process is killed",
            ["RSZ-04" if new > 8 * 4096 else "RSZ-05", "DUR-11"],
            disk,
            [{"op": "resize", "size": new}],
            OPEN_RO,
            {"op": "size", "size": new},
            disk.read(),
            {"op": "close"},
            disk.check_bitmap(),
        )
    disk = fresh(12)
    killed("locks", "A killed process holds no lock", ["LCK-01"], disk, [], OPEN_RW, disk.read())
