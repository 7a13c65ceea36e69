"""Requests: every way in which one meets a cluster, its backing file, the bitmap and the end of the disk."""

import itertools

from generator.cases import add
from generator.disk import BACKING, Canvas, DATA, Disk, IMAGE, OPEN_RO, OPEN_RW, as_json


# ---- Contents ----


SIZES = {"4k": 12, "64k": 16, "2m": 21}


def shapes(start, length):
    """Ranges around the cluster [start, start + length)."""
    return {
        "head": (start, start + 1000),
        "middle": (start + 700, start + 1212),
        "tail": (start + length - 900, start + length),
        "whole": (start, start + length),
        "spanning": (start - 300, start + 500),
        "across": (start - 10, start + length),
    }


def backings(start, length, size):
    return {"none": None, "shorter": start - 100, "straddling": start + length // 2 + 3, "longer": size + 5000}


def geometry(cluster, partial):
    """(size of the disk, start of the cluster that is aimed at, its length)"""
    size = 2 * cluster + cluster * 5 // 8 + 7 if partial else 3 * cluster
    start = 2 * cluster if partial else cluster
    return size, start, min(cluster, size - start)


def request(op, begin, end):
    data = {"data": as_json([(begin, end, DATA)])} if op == "write" else {}
    return {"op": op, "offset": begin, "length": end - begin, **data}


CLAUSES = {"write": ["WR-01", "WR-02", "WR-03", "WR-04", "WR-05"], "zero": ["ZR-01"], "discard": ["DC-01"]}


def contents(op, size_name, shape, below, partial, before=()):
    bits = SIZES[size_name]
    size, start, length = geometry(1 << bits, partial)
    begin, end = shapes(start, length)[shape]
    disk = Disk(bits, size, backings(start, length, size)[below], before)
    disk.write(begin, end, DATA if op == "write" else None)
    name = f"{op}-{size_name}-{shape}-{below}-{'partial' if partial else 'full'}" + ("-allocated" if before else "")
    title = (
        f"{op.capitalize()}, {shape}, of {'an allocated' if before else 'an unallocated'} cluster of {size_name}"
        f"{' that is the last and not full' if partial else ''}; backing file: {below}"
    )
    flags = (["partial-cluster"] if partial else []) + (["no-backing"] if below == "none" else ["backing-end"])
    add(
        name,
        title,
        CLAUSES[op],
        "writer",
        flags,
        disk.start,
        [OPEN_RW, request(op, begin, end), disk.read()] + disk.check_all(),
    )


def all_contents():
    for size_name, shape, below, partial in itertools.product(SIZES, shapes(0, 0), backings(0, 0, 0), (False, True)):
        contents("write", size_name, shape, below, partial)
    for shape, below, partial in itertools.product(("head", "tail", "whole", "across"), backings(0, 0, 0), (0, 1)):
        contents("zero", "4k", shape, below, partial)
    for shape, below, partial in itertools.product(("middle", "whole", "across"), ("none", "longer"), (0, 1)):
        contents("discard", "64k", shape, below, partial)
    for op, shape in itertools.product(("write", "zero", "discard"), ("head", "middle", "tail", "whole")):
        contents(op, "4k", shape, "longer", False, (1,))


def mixed_states():
    """Three clusters, each allocated or not."""
    for states, below in itertools.product(itertools.product((0, 1), repeat=3), ("none", "straddling")):
        allocated = [k for k in range(3) if states[k]]
        word = "".join(map(str, states))
        backing = {"none": None, "straddling": 4096 + 2000}[below]
        disk = Disk(12, 10000, backing, allocated)
        add(
            f"read-{word}-{below}",
            f"Read of three clusters whose bits are {word}; backing file: {below}",
            ["RD-01", "VRT-02"],
            "reader",
            ["backing-end"],
            disk.start,
            [OPEN_RO, disk.read(), disk.read(100, 9000)],
        )
        disk.write(1000, 9500, DATA)
        add(
            f"write-{word}-{below}",
            f"Write across three clusters whose bits are {word}; backing file: {below}",
            ["WR-01", "WR-02", "WR-03"],
            "writer",
            ["copy-up"],
            disk.start,
            [OPEN_RW, request("write", 1000, 9500), disk.read()] + disk.check_all(),
        )


def r9_contents():
    for shape, below, partial in itertools.product(("middle", "across"), ("shorter", "longer"), (False, True)):
        size, start, length = geometry(1 << 16, partial)
        begin, end = shapes(start, length)[shape]
        disk = Disk(16, size, backings(start, length, size)[below], layout="r9")
        disk.write(begin, end, DATA)
        add(
            f"r9-write-{shape}-{below}-{'partial' if partial else 'full'}",
            f"Layout r9: write, {shape}, of a cluster{' that is not full' if partial else ''}; backing file: {below}",
            ["HR9-08", "WR-03"],
            "writer",
            ["copy-up"],
            disk.start,
            [OPEN_RW, request("write", begin, end), disk.read()] + disk.check_all(),
            ["r9"],
        )


# ---- Bits at the edges of bytes, words, sectors and pages of the bitmap, and disks beyond 32 bits ----


EDGES = (0, 7, 8, 31, 32, 63, 64, 511, 4095, 4096, 32767, 32768)


def sparse_disk(bits, size, begin, end, allocated=()):
    """Patterns in the image and the backing file only around [begin, end)."""
    cluster = 1 << bits
    around = max(0, begin - begin % cluster - cluster), min(size, end - end % -cluster + cluster)
    image, backing = Canvas(size), Canvas(size)
    image.paint(*around, IMAGE)
    backing.paint(*around, BACKING)
    return Disk(bits, size, image=image, below=backing, allocated=allocated), around


def bitmap_edges():
    for k in EDGES:
        begin = k * 4096
        disk, around = sparse_disk(12, (k + 2) * 4096, begin, begin + 4096, (k,))
        add(
            f"bit-{k}-read",
            f"Bit {k} is where it should be: read",
            ["BMP-01"],
            "reader",
            ["bit-order"],
            disk.start,
            [OPEN_RO, disk.read(*around), disk.map(begin, begin + 8192)],
        )
        disk, around = sparse_disk(12, (k + 2) * 4096, begin, begin + 4096)
        disk.write(begin + 10, begin + 20, DATA)
        add(
            f"bit-{k}-write",
            f"Bit {k} is where it should be: write",
            ["BMP-01", "WR-02"],
            "writer",
            ["bit-order"],
            disk.start,
            [
                OPEN_RW,
                request("write", begin + 10, begin + 20),
                disk.read(*around),
                {"op": "close"},
                disk.check_bitmap(),
            ],
        )


def last_clusters():
    for count in (1, 7, 8, 9, 64, 65, 4096, 4097):
        size = (count - 1) * 4096 + 1
        disk = Disk(12, size, backing=0)
        disk.write(size - 1, size, DATA)
        add(
            f"last-of-{count}",
            f"The last of {count} clusters has one byte and a bit of its own",
            ["BMP-02", "BMP-05"],
            "writer",
            ["partial-cluster"],
            disk.start,
            [
                OPEN_RW,
                request("write", size - 1, size),
                disk.read(max(0, size - 4097), size),
                {"op": "close"},
                disk.check_bitmap(),
            ],
        )


def full_last_clusters():
    for count in (7, 8, 64, 4096):
        size = count * 4096
        disk = Disk(12, size, backing=size + 1)
        disk.write(size - 512, size, DATA)
        add(
            f"full-last-of-{count}",
            f"The last sector of a disk of {count} whole clusters",
            ["BMP-02", "WR-03"],
            "writer",
            ["copy-up"],
            disk.start,
            [
                OPEN_RW,
                request("write", size - 512, size),
                disk.read(size - 4096, size),
                {"op": "close"},
                disk.check_bitmap(),
            ],
        )


def beyond():
    """Around 2^31, 2^32, 2^40, 2^41 and 2^42, where offsets, sector numbers or cluster numbers leave 31 or 32 bits."""
    for name, place in (("2g", 2**31), ("4g", 2**32), ("1t", 2**40), ("2t", 2**41), ("4t", 2**42)):
        size, begin, end = place + (1 << 17), place - 700, place + 900
        k = place >> 16
        for op in ("read", "write", "zero", "map"):
            disk, around = sparse_disk(16, size, begin, end, (k,) if op in ("read", "map") else ())
            steps, files = [OPEN_RO if op in ("read", "map") else OPEN_RW], disk.start
            if op == "map":
                steps += [disk.map(place - 65536, size), disk.map(place + 5, size), disk.map(place + 65536, size)]
            if op in ("write", "zero"):
                disk.write(begin, end, DATA if op == "write" else None)
                steps.append(request(op, begin, end))
            steps += [disk.read(*around), disk.read(0, 4096)]
            if op in ("write", "zero"):
                steps += [{"op": "close"}, disk.check_bitmap()]
            clauses = {"read": ["RD-01", "BMP-01"], "map": ["MAP-01"], "write": ["WR-01", "WR-02"], "zero": ["ZR-01"]}
            add(
                f"beyond-{name}-{op}",
                f"{op.capitalize()} across {name.upper()}iB",
                clauses[op],
                "reader" if op in ("read", "map") else "writer",
                ["large-disk"],
                files,
                steps,
                ["large"],
            )


# ---- Map ----


def runs():
    for status, (first, end) in itertools.product((0, 1), ((0, 1), (0, 64), (1, 63), (63, 65), (64, 128), (5, 130))):
        inside = set(range(first, end))
        allocated = inside if status else set(range(130)) - inside
        disk = Disk(12, 129 * 4096 + 77, 0, allocated)
        begin = first * 4096
        add(
            f"map-{status}-{first}-{end}",
            f"Map of a run of clusters {first} to {end - 1} with bit {status}",
            ["MAP-01"],
            "reader",
            ["map"],
            disk.start,
            [OPEN_RO, disk.map(begin, disk.size), disk.map(begin + 100, disk.size), disk.map(begin, begin + 513)],
        )


# ---- Requests at the edge of the disk ----


def ranges():
    size = 10000
    disk = Disk(12, size, 20000)
    edges = {
        "inside-empty": (100, 0, "ok"),
        "end-empty": (size, 0, "ok"),
        "end": (size, 1, "range"),
        "behind-empty": (size + 1, 0, "range"),
        "crossing": (size - 1, 2, "range"),
        "sign": (2**63, 1, "range"),
        "top": (2**64 - 1, 1, "range"),
    }
    carried = {"wraps-to-0": (2**64 - 512, 512, "range")}  # with so many bytes of data
    wraps = {"wraps-to-0": (1, 2**64 - 1, "range"), "wraps-to-4096": (8192, 2**64 - 4096, "range")}
    for op in ("read", "write", "zero", "discard", "map"):
        for name, (offset, length, result) in {**edges, **(carried if op in ("read", "write") else wraps)}.items():
            step = {"op": op, "offset": as_number(offset), "length": as_number(length), "result": result}
            if op == "write":
                step["data"] = [{"at": as_number(offset), "length": length, "pattern": DATA}] if length else []
            if result == "ok":
                step.update({"read": {"expect": []}, "map": {"allocated": False, "run": 0}}.get(op, {}))
            else:
                step["clause"] = "REQ-01"
            writes = op not in ("read", "map")
            add(
                f"range-{op}-{name}",
                f"{op.capitalize()} of {length} bytes at {offset} of a disk of {size}",
                ["REQ-01"] if result == "range" else ["REQ-02"] + (["MAP-03"] if op == "map" else []),
                "writer" if writes else "reader",
                ["range"],
                disk.start,
                [OPEN_RW if writes else OPEN_RO, step] + (disk.check_all() if writes else []),
            )


def as_number(number):
    return number if number < 2**63 else f"{number:#x}"
