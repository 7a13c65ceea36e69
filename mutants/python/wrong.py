#!/usr/bin/env python3
"""An adapter for the Python example that is wrong in one situation and right in all others.

    wrong.py --record FILE    behaves right; appends a line to FILE for each request: the case, a tab, the situation
    wrong.py --table FILE     FILE maps cases to situations (JSON); misbehaves in the situation of the running case

Mistakes hide in combinations. An example is a copy that is wrong only if the backing file ends inside the last cluster
and that cluster is partial. These would be hundreds of patches. Instead, there is one mistake for each situation that
the corpus reaches. A situation says in a few words what is asked of which disk, see `Situation`. It says it in classes,
not in numbers: `one more than allowed`, not 4097.

scripts/corpus-strength records first, see mutants/tool/situations.py.
"""

import json
import os
import pathlib
import re
import stat
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "corpus" / "example"))
import adapter
import addcow

CASE = re.compile(r".*/([a-z0-9-]+)\.[A-Za-z0-9]{6}/(.*)")


def split_path(path):
    """The case that a path belongs to, and the path within its directory."""
    found = CASE.search(os.fsdecode(path))
    return found.groups() if found else ("", os.fsdecode(path))


def edge(value, *limits):
    """The position of a number among limits."""
    for limit in limits:
        if abs(value - limit) <= 1:
            return f"{limit}{value - limit:+d}" if value != limit else f"{limit}"
    return f"above {max((limit for limit in limits if limit < value), default='nothing')}"


def place(at, begin, end):
    """The position of a byte in a field [begin, end)."""
    return "first" if at == begin else "last" if at == end - 1 else "inside"


# ---- Headers ----


def first_other(data, begin):
    """The first byte from `begin` on that is not zero."""
    return next((at for at in range(begin, len(data)) if data[at]), None)


def broken_rules(head, length):
    """The broken rules of section 2, as far as the decoder gets."""
    if head[:4] == b"ACOW" and max(struct.unpack_from("<5I", head, 4)) > len(head):
        return []  # such a name or cluster size would fill the memory
    broken, require = [], addcow.require

    def note(holds, clause, _message, _kind="malformed"):
        if not holds:
            broken.append(clause)

    addcow.require = note
    try:
        addcow.Header(head, length)
    except (AttributeError, struct.error, ValueError, OverflowError, MemoryError):
        pass  # the decoder cannot continue after some broken rules
    finally:
        addcow.require = require
    return broken


def name_place(at, size, limit):
    """What is special about the offset and size of a name, and about their sum in 32 bits."""
    words = [f"offset {edge(at, 76, limit)}", f"end {edge(at + size, limit, 2**32)}"]
    states = (
        ("sum wraps", at + size >= 2**32),
        ("negative offset", at >= 2**31),
        ("negative size", size >= 2**31),
        ("wraps into the header", at + size >= 2**32 and 76 <= (at + size) % 2**32 <= limit),
    )
    words += [word for word, holds in states if holds]
    return ", ".join(words)


def format_place(field):
    nul = field.find(b"\0")
    if nul < 0:
        return "no NUL"
    return f"{'empty' if nul == 0 else 'text'}, then {place(first_other(field, nul), nul + 1, 16)}"


def overlap(backing, image):
    if backing == image:
        return "same"
    order = "image first" if image[0] < backing[0] else "backing first"
    first, second = sorted((backing, image))
    return f"{order}, by {edge(sum(first) - second[0], 1)}, {'inside' if sum(second) <= sum(first) else 'beyond'}"


def describe_r20(head, length, clause):
    backing_at, backing_size, image_at, image_size, bits, features, _, limit = struct.unpack_from("<5I2QI", head, 4)
    right = max(4096, 1 << bits) if bits < 32 else 0
    kinds = {
        "HDR-03": lambda: "bit "
        + place(features.bit_length() - 1, 0, 64)
        + {32: ", last of a word", 33: ", first of a word"}.get(features.bit_length(), ""),
        "HDR-04": lambda: f"{edge(bits, 0, 12, 21, 32, 2**32 - 1)}; "
        f"as a shift: {12 <= bits % 32 <= 21}, {12 <= bits % 64 <= 21}; "
        f"negative: {bits >= 2**31}; as a byte: {12 <= bits % 256 <= 21}",
        "HDR-05": lambda: f"bits {edge(bits, 12, 21)}: {edge(limit, 0, right // 2, right, right * 2)}".replace(
            str(right), "right"
        ),
        "HDR-06": lambda: f"bits {bits}: {edge(length, 4096, limit)}",
        "HDR-07": lambda: f"offset {edge(backing_at, 0)}, size {edge(backing_size, 0)}",
        "HDR-08": lambda: name_place(backing_at, backing_size, limit),
        "HDR-09": lambda: "NUL " + place(head.find(b"\0", backing_at), backing_at, backing_at + backing_size),
        "HDR-10": lambda: f"offset {edge(image_at, 0)}, size {edge(image_size, 0)}",
        "HDR-11": lambda: name_place(image_at, image_size, limit),
        "HDR-12": lambda: "NUL " + place(head.find(b"\0", image_at), image_at, image_at + image_size),
        "HDR-13": lambda: overlap((backing_at, backing_size), (image_at, image_size)),
        "HDR-14": lambda: format_place(head[44:60]),
        "HDR-15": lambda: f"name: {backing_at > 0}",
        "HDR-16": lambda: format_place(head[60:76]),
        "HDR-18": lambda: describe_rest(head[:limit], (backing_at, backing_size), (image_at, image_size)),
    }
    return kinds.get(clause, lambda: "")()


def describe_rest(head, *names):
    rest = bytearray(head)
    for at, size in names:
        rest[at : at + size] = bytes(size)
    at = first_other(rest, 76)
    behind = max(begin + size for begin, size in names)
    return f"{place(at, behind, len(head))}{' between the names' if at < behind else ''}, of {len(head)}"


def describe_r9(head, length, clause):
    (version,) = struct.unpack_from("<I", head, 8)
    if clause == "HR9-01":
        parts = [f"{bits} bits" for bits in (8, 16, 24, 31) if version % 2**bits == 1]
        turned = ", turned round" if head[8:12] == bytes([0, 0, 0, 1]) else ""
        return f"{edge(version, 1)}; right in {parts or 'no part'}{turned}"
    if clause in ("HR9-02", "HR9-04"):
        begin = 12 if clause == "HR9-02" else 1036
        nul = head.find(b"\0", begin, begin + 1024)
        return "no NUL" if nul < 0 else place(first_other(head, nul), nul + 1, begin + 1024)
    if clause == "HR9-06":
        return place(first_other(head, 2060), 2060, 4096)
    return ""


def describe_header(path, clause):
    """How the header breaks `clause`, a rule of section 2, and which other rules it breaks."""
    with open(path, "rb") as file:
        head = file.read(2 << 20)
    length = os.stat(path).st_size
    others = [rule for rule in broken_rules(head.ljust(4096, b"\0"), length) if rule != clause]
    if clause == "HDR-01":
        return f"{edge(length, 0, 4096)}, {head[:4].hex()}"
    if clause == "HDR-02":
        return f"{head[:8].hex()}"
    describe = describe_r20 if head[:4] == b"ACOW" else describe_r9
    return f"{describe(head, length, clause)}; also {', '.join(others) or 'nothing'}"


# ---- Names and files ----


def special(path):
    """A FIFO or a device in words, or nothing."""
    mode = os.stat(path).st_mode if os.path.exists(path) else 0
    return "a FIFO" if stat.S_ISFIFO(mode) else "a device" if stat.S_ISCHR(mode) else ""


def describe_file(directory, name):
    """How a name leads to a file."""
    path = os.path.join(directory, name)
    words = ["absolute" if name.startswith(b"/") else "relative"]
    words += [
        word
        for word, holds in (
            ("in a directory", b"/" in name.lstrip(b"/")),
            ("with a dot", b"./" in name),
            ("with a colon", b":" in name),
            ("long", len(name) > 100),
            ("a symbolic link", os.path.islink(path)),
            ("missing", not os.path.exists(path)),
            ("a directory", os.path.isdir(path)),
            (special(path), special(path)),
            ("with two names", os.path.isfile(path) and os.stat(path).st_nlink > 1),
        )
        if holds
    ]
    if os.path.isfile(path):
        with open(path, "rb") as file:
            looks = {b"ACOW": "looks like a disk", b"ADD_": "looks like a disk", b"QFI\xfb": "looks like qcow2"}
            words.append(looks.get(file.read(4), "plain"))
    return " ".join(words)


def describe_names(path):
    try:
        with open(path, "rb") as file:
            header = addcow.Header(file.read(2 << 20), os.stat(path).st_size)
    except (addcow.Error, OSError, struct.error):
        return "no header"
    directory = os.path.dirname(path)
    formats = (
        f"{header.layout} {os.fsdecode(header.image_format)} over {os.fsdecode(header.backing_format) or 'nothing'}"
    )
    names = [describe_file(directory, name) if name else "none" for name in (header.image, header.backing)]
    same = [other for other in ("metadata", "image") if alike(path, directory, header, other)]
    return (
        f"{formats}; image {names[0]}; backing {names[1]}; flags {header.compatible:x}; meets itself: {' '.join(same)}"
    )


def alike(path, directory, header, other):
    try:
        image = os.path.join(directory, header.image)
        if other == "metadata":
            return (
                os.path.samefile(path, image)
                or bool(header.backing)
                and os.path.samefile(path, os.path.join(directory, header.backing))
            )
        return bool(header.backing) and os.path.samefile(image, os.path.join(directory, header.backing))
    except OSError:
        return False


def describe_lengths(disk):
    """The class of the metadata file's length (BMP-03, BMP-04), and whether bits past the last cluster are set."""
    header = disk.header
    length, needed = os.fstat(disk.metadata).st_size, header.size + header.bitmap_bytes(disk.size)
    full = header.file_length(disk.size)
    kind = "padded" if length == full else "exact" if length == needed else "longer" if length > full else "in between"
    spare = bool(disk.clusters() % 8 and disk.bitmap and disk.bitmap[-1] >> disk.clusters() % 8)
    empty = ", no clusters" if not disk.clusters() else ""
    return f"{header.layout} {header.cluster_bits}: bitmap {kind}{' with bits past the end' if spare else ''}{empty}"


def describe_shortage(path):
    """How much of its bitmap a metadata file lacks."""
    with open(path, "rb") as file:
        header = addcow.Header(file.read(2 << 20), os.stat(path).st_size)
    size = os.stat(os.path.join(os.path.dirname(path), header.image)).st_size
    missing = header.size + header.bitmap_bytes(size) - os.stat(path).st_size
    return f" by {'all' if missing == header.bitmap_bytes(size) else edge(missing, 1)}"


# ---- Requests ----


def unit_places(k):
    """The position of a bit in its byte, words, cache line, sector and page."""
    return "".join({0: "[", unit - 1: "]"}.get(k % unit, ".") for unit in (8, 32, 64, 512, 4096, 32768))


def powers(begin, end):
    """The largest power of two that a range crosses or lies beyond."""
    for power in (43, 42, 41, 40, 32, 31):
        if end > 1 << power:
            return f"{'across' if begin < 1 << power else 'beyond'} 2^{power}"
    return ""


def backing_size(disk):
    return disk.backing.size if disk.backing else None


def describe_backing(disk, begin, end):
    """Where the backing file ends, relative to the clusters of a range."""
    size = backing_size(disk)
    if size is None:
        return "no backing"
    cluster = disk.header.cluster
    first, last = begin // cluster * cluster, min(disk.size, -(-end // cluster) * cluster)
    where = (
        "before"
        if size <= first
        else "behind"
        if size > last
        else "at the end"
        if size == last
        else "in the range"
        if begin < size < end
        else "in the clusters"
    )
    return (
        f"{'chain' if isinstance(disk.backing, addcow.Disk) else 'backing'} ends {where}{' empty' if size == 0 else ''}"
    )


def states(disk, first, end):
    """The bits of clusters [first, end), with runs shortened."""
    bits = "".join(str(int(disk.bit(k))) for k in range(first, min(end, first + 300)))
    return re.sub(r"(.)\1\1+", r"\1+", bits)


def in_sectors(disk, *numbers):
    """Whether all numbers and the lengths of the files are whole sectors, as a word."""
    lengths = (disk.size, backing_size(disk) or 0)
    return "" if any(number % 512 for number in (*numbers, *lengths)) else "in sectors"


def describe_range(disk, offset, length):
    cluster, end = disk.header.cluster, offset + length
    first, last = offset // cluster, (end - 1) // cluster
    stop = min(disk.size, (last + 1) * cluster)
    words = [
        f"{disk.header.layout} {disk.header.cluster_bits}",
        "flag" if disk.all_allocated() else "",
        f"{'[' if offset % cluster == 0 else '('}{min(last - first, 2)}{']' if end == stop else ')'}",
        "one byte" if length == 1 else "",
        f"bits {states(disk, first, last + 1)}",
        describe_backing(disk, offset, end),
        "partial" if stop == disk.size and stop % cluster else "",
        "last" if stop == disk.size else "",
        in_sectors(disk, offset, length),
        powers(offset, end),
        unit_places(first),
    ]
    return " ".join(word for word in words if word)


def describe_outside(disk, offset, length):
    return (
        f"offset {edge(offset, disk.size, 2**63, 2**64 - 1)}, length {edge(length, 0, 1)}, "
        f"end {edge((offset + length) % 2**64, 0, disk.size)}{' wraps' if offset + length >= 2**64 else ''}"
    ).replace(str(disk.size), "size")


def describe_map(disk, offset, length):
    """Where the run begins and ends in the words of the bitmap, and whether the range ends it."""
    cluster = disk.header.cluster
    k, end = offset // cluster, offset + length
    status = disk.bit(k)
    while k * cluster < end and k < disk.clusters() and disk.bit(k) == status:
        k = disk.skip_alike(k + 1, status)
    ends = "clipped" if k * cluster > end else "with the range" if k * cluster == end else f"at {unit_places(k)}"
    return f"run from {unit_places(offset // cluster)}, {ends}, {describe_range(disk, offset, length)}"


def describe_resize(disk, size):
    cluster, old, below = disk.header.cluster, disk.size, backing_size(disk)
    way = "grow" if size > old else "shrink" if size < old else "same"
    low, high = sorted((old, size))
    if size > addcow.SIZE_MAX:
        return f"too large: {edge(size, addcow.SIZE_MAX, 2**63, 2**64 - 1)}"
    ends = "none" if below is None else "before" if below <= low else "between" if below < high else "behind"
    boundary = states(disk, (low - 1) // cluster, (low - 1) // cluster + 1) if low else "nothing"
    more = -(-high // cluster) - -(-low // cluster)
    inside = " in the boundary" if below is not None and low < below < -(-low // cluster) * cluster else ""
    stale = (
        bool(disk.clusters() % 8 and disk.bitmap[-1] >> disk.clusters() % 8)
        or os.fstat(disk.metadata).st_size > disk.header.size + len(disk.bitmap)
        and any(os.pread(disk.metadata, 1 << 16, disk.header.size + len(disk.bitmap)))
    )
    before = "full" if old % cluster == 0 else "partial"
    after = "nothing" if size == 0 else "full" if size % cluster == 0 else "partial"
    padding = way == "grow" and disk.header.file_length(size) == disk.header.file_length(old)
    return (
        f"{way} {disk.header.layout}{' flag' if disk.all_allocated() else ''}: from {before} to {after}, "
        f"{min(more, 2)} clusters, backing ends {ends}{inside}, "
        f"boundary {boundary}, all {states(disk, 0, disk.clusters())}{', stale bits' if stale else ''}"
        f"{', within the padding' if padding else ''} {in_sectors(disk, size)}"
    )


def describe_disk(disk):
    """The disk, for requests that concern all of it."""
    words = [
        disk.header.layout,
        "flag" if disk.all_allocated() else "",
        f"bits {states(disk, 0, disk.clusters())}",
        describe_backing(disk, 0, disk.size) if disk.size else "empty",
        "partial" if disk.size % disk.header.cluster else "",
        in_sectors(disk),
    ]
    size = backing_size(disk)
    if size is not None and disk.size:
        allocated = [k for k in range(disk.clusters()) if disk.bit(k)]
        reach = min(disk.size, (allocated[-1] + 1) * disk.header.cluster) if allocated else 0
        words.append(f"reaches {'behind' if reach > size else 'up to' if reach == size else 'inside'} the backing file")
    return " ".join(word for word in words if word)


class Situation:
    """A request, and the disk that gets it.

    The answer decides for `open` and `create`; the state before the request decides for all others.
    """

    def __init__(self, owner):
        self.owner = owner
        self.history = []

    def before(self, operation, arguments):
        disk = self.owner.disk
        numbers = [int(word) for word in arguments if isinstance(word, str) and word.isdigit()]
        if operation in ("read", "write", "zero", "discard", "map"):
            offset, length = numbers[0], numbers[1]
            if not disk.writable and operation not in ("read", "map"):
                return f"{operation} read-only{' outside' if offset + length > disk.size else ''}"
            if offset > disk.size or length > disk.size - offset:
                return f"{operation} outside: {describe_outside(disk, offset, length)}"
            if length == 0:
                return f"{operation} nothing: {edge(offset, 0, disk.size)}".replace(str(disk.size), "size")
            describe = describe_map if operation == "map" else describe_range
            return f"{operation} {describe(disk, offset, length)}; after {self.after()}"
        if operation == "resize" and disk.writable:
            return f"resize {describe_resize(disk, *numbers)}; after {self.after()}"
        if operation in ("stream", "commit") and disk.writable:
            return f"{operation} {describe_disk(disk)}; after {self.after()}"
        return f"{operation} {'' if not disk or disk.writable else 'read-only '}after {self.after()}"

    def after(self):
        """The last two operations before this one that could change the disk."""
        return " ".join(self.history[-2:]) or "opening"

    def opened(self, mode, path, problem):
        if problem is None:
            disk = self.owner.disk
            depth = len(list(levels(disk)))
            state = f"{describe_lengths(disk)}; {depth} levels; {powers(0, disk.size)}; after {self.after()}"
            return f"open {mode}: {describe_names(path)}; {state}"
        words = f"{problem.kind} {problem.clause}" if isinstance(problem, addcow.Error) else "io"
        clause = getattr(problem, "clause", "-")
        if clause.startswith("H"):
            return f"open: {words}: {describe_header(path, clause)}"
        message = re.sub(r"\S*/", "", str(problem)) + (describe_shortage(path) if clause == "BMP-03" else "")
        names = describe_names(path) if os.path.isfile(path) else special(path) or "no file"
        return f"open {mode}: {words}: {message}; {names}"

    def created(self, arguments, problem):
        layout, bits, path, image, backing, backing_format = arguments
        directory = os.path.dirname(path)
        words = (
            f"{problem.kind} {problem.clause} {re.sub(r'^.*/', '', str(problem))}"
            if isinstance(problem, addcow.Error)
            else (f"bitmap of {edge(os.stat(path).st_size // (1 << int(bits)), 2)} clusters")
        )
        return (
            f"create {layout} {edge(int(bits), 12, 16, 21)}: "
            f"image {describe_file(directory, image)} {edge(len(image), 1023)}, "
            f"backing {'none' if backing == '-' else describe_file(directory, backing)} {edge(len(backing), 1023)} "
            f"{'' if backing == '-' else os.fsdecode(backing_format)}: {words}"
        )


def levels(disk):
    while isinstance(disk, addcow.Disk):
        yield disk
        disk = disk.backing


# ---- Wrong answers ----


class Misbehaving(adapter.Adapter):
    def __init__(self, requests, answers, record, table):
        super().__init__(requests, answers)
        self.record, self.table = record, table
        self.case, self.pretending = "", False
        self.situation = Situation(self)

    def is_here(self, situation):
        """Records the situation. True if the adapter must misbehave in it."""
        if self.record:
            with open(self.record, "a", encoding="utf-8") as file:
                file.write(f"{self.case}\t{situation}\n")
        return self.table.get(self.case) == situation

    def __getattribute__(self, name):
        if not name.startswith("do_") or name == "do_hello":
            return super().__getattribute__(name)
        return lambda *arguments: self.perform(name[3:], super(Misbehaving, self).__getattribute__, arguments)

    def perform(self, operation, method, arguments):
        try:
            do = method("do_" + operation)
        except AttributeError:
            do = self.__getattr__("do_" + operation)
        if operation == "simple":
            return do(*arguments)
        if operation in ("open", "create"):
            return self.perform_outside(operation, do, arguments)
        if self.pretending:
            return []
        return self.perform_inside(operation, do, arguments)

    def perform_outside(self, operation, do, arguments):
        path = arguments[1] if operation == "open" else arguments[2]
        self.case, _ = split_path(path)
        problem = result = None
        try:
            result = do(*arguments)
        except (addcow.Error, OSError) as error:
            problem = error
        if operation == "open":
            here = self.is_here(self.situation.opened(arguments[0], path, problem))
        else:
            here = self.is_here(self.situation.created(arguments, problem))
        self.situation.history += [operation] if self.situation.history or operation == "create" else []
        if here and problem:
            self.pretending = operation == "open"
            return []
        if here:
            if operation == "open":
                self.disk.close()
                self.disk = None
            raise addcow.Error("io", "-", "wrong on purpose")
        if problem:
            raise problem
        return result

    def perform_inside(self, operation, do, arguments):
        here = self.is_here(self.situation.before(operation, arguments))
        disk = self.disk
        if here and operation in ("flush", "close"):
            disk.dirty.clear()
        if operation not in ("read", "map", "size"):
            self.situation.history.append(operation)
        allocated = [k for k in range(disk.clusters()) if disk.bit(k)] if here and operation == "commit" else []
        try:
            result = do(*arguments)
        except addcow.Error:
            if here:
                return [bytes(int(arguments[1]))] if operation == "read" else [0, 0] if operation == "map" else []
            raise
        return self.spoil(operation, disk, arguments, result, allocated) if here else result

    def spoil(self, operation, disk, arguments, result, allocated):
        """Spoils the result of a successful request a little. `allocated`: the clusters that a commit copied."""
        if operation == "read":
            data = result[0]
            if not data:
                raise addcow.Error("range", "-", "wrong on purpose")
            return [data[:-1] + bytes([data[-1] ^ 1])]
        if operation == "map":
            return [result[0], result[1] - 1] if result[1] else [1, 1]
        if operation == "size":
            return [result[0] + 1]
        if operation in ("write", "zero", "discard"):
            flip(disk.image, *self.beside(disk, int(arguments[0]), int(arguments[1])))
        elif operation == "resize":
            spoil_resize(disk)
        elif operation == "stream":
            flip(disk.image, 0, 1) if disk.size else disk.write_compatible(0)
        elif operation == "commit":
            spoil_commit(disk, allocated)
        return result

    @staticmethod
    def beside(disk, offset, length):
        """A byte of the request's clusters, after the range, before it, or the last one in it: (offset, length)."""
        cluster, end = disk.header.cluster, offset + length
        if end < disk.size and end % cluster:
            return end, 1
        return (offset - 1, 1) if offset % cluster else (end - 1, 1)


def flip(fd, offset, length):
    data = os.pread(fd, length, offset)
    os.pwrite(fd, bytes(byte ^ 1 for byte in data), offset)


def spoil_resize(disk):
    """The image is a byte too long, and the bit of the last cluster is wrong."""
    os.ftruncate(disk.image, disk.size + 1)
    if disk.clusters():
        disk.set_bit(disk.clusters() - 1, not disk.bit(disk.clusters() - 1))
        disk.write_bitmap()


def spoil_commit(disk, allocated):
    """A byte that was copied is wrong, or the bitmap if there was none."""
    if allocated and isinstance(disk.backing, addcow.RawFile):
        with open(disk.resolve(disk.header.backing), "r+b") as file:
            flip(file.fileno(), allocated[0] * disk.header.cluster, 1)
    else:
        flip(disk.metadata, disk.header.size, 1)


def main():
    kind, path = sys.argv[1:]
    table = json.loads(pathlib.Path(path).read_text(encoding="utf-8")) if kind == "--table" else {}
    Misbehaving(sys.stdin.buffer, sys.stdout.buffer, path if kind == "--record" else None, table).run()


if __name__ == "__main__":
    main()
