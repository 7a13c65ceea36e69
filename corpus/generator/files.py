"""Files that are no disk, or are no longer one; names that keep their word; locks of disks that are in use."""

from generator.cases import add
from generator.disk import BACKING, Disk, IMAGE, OPEN_RO, OPEN_RW, as_json, header

C = 4096


def disk_files(size=4 * C, allocated=()):
    return Disk(12, size, size, allocated).start


def lengths():
    """Metadata files of every length from 0 to 100, and around 4096."""
    starts = {
        "r20": header(12),
        "r9": [{"at": 0, "text": "ADD_COW"}, {"at": 7, "hex": "ff"}, {"at": 8, "le32": [1]}]
        + [{"at": 12, "text": "backing.raw"}],
    }
    for layout, content in starts.items():
        bytes_of = bytearray(101)
        for span in content:
            data = (
                span["text"].encode()
                if "text" in span
                else bytes.fromhex(span["hex"])
                if "hex" in span
                else b"".join(number.to_bytes(4, "little") for number in span["le32"])
            )
            bytes_of[span["at"] : span["at"] + len(data)] = data[: max(0, 101 - span["at"])]
        files, steps = disk_files(), []
        for length in [*range(101), 511, 512, 4094]:
            head = bytes(bytes_of[: min(length, 101)]).hex()
            spans = [{"at": 0, "hex": head}] if head else []
            files = files + [{"path": f"{length}.addcow", "size": length, "content": spans}]
            steps.append(
                {"op": "open", "path": f"{length}.addcow", "mode": "ro", "result": "malformed", "clause": "HDR-01"}
            )
        add(
            f"length-{layout}",
            f"A metadata file of layout {layout} that ends early, at any byte, is refused",
            ["HDR-01"],
            "reader",
            ["header", "cut-file"],
            files,
            steps,
            ["r9"] if layout == "r9" else [],
        )


def cut_bits():
    """Bits that were set, in a bitmap that is cut while the disk is open: their clusters never read as unallocated."""
    disk = Disk(12, 16 * C, 16 * C, range(16))
    add(
        "cut-set-bits",
        "Set bits of a bitmap that was cut while open are never taken for clear ones",
        ["ERR-01", "BMP-03"],
        "reader",
        ["cut-file"],
        disk.start,
        [
            OPEN_RO,
            {"op": "cut", "path": "disk.addcow", "size": C},
            {**disk.read(), "result": ["ok", "io"]},
            {**disk.map(0, 16 * C), "result": ["ok", "io"]},
        ],
        ["cut"],
        "An implementation that has read the bitmap when it opened the disk answers from memory; one that reads it on "
        "demand fails. The backing file must not show.",
    )


def qcow2(path, size):
    """The header of a valid, empty qcow2 image of this virtual size: version 2, clusters of 64 KiB."""
    be = b"".join(
        number.to_bytes(width, "big")
        for number, width in (
            (0x514649FB, 4),  # magic
            (2, 4),  # version
            (0, 8),  # no backing file
            (0, 4),
            (16, 4),  # cluster_bits
            (size, 8),
            (0, 4),  # not encrypted
            (1, 4),  # entries of the L1 table
            (0x30000, 8),  # L1 table
            (0x10000, 8),  # refcount table
            (1, 4),  # clusters of the refcount table
            (0, 4),  # no snapshots
            (0, 8),
        )
    )
    counts = {"at": 0x10000, "hex": (0x20000).to_bytes(8, "big").hex()}  # one refcount block
    block = {"at": 0x20000, "hex": "0001" * 4}  # its four clusters are in use
    return {"path": path, "size": 0x40000, "content": [{"at": 0, "hex": be.hex()}, counts, block]}


def true_names():
    """What is refused is what its name says, so that nobody refuses it for another reason."""
    for role, clause, at in (("image", "LNK-03", 60), ("backing", "LNK-04", 44)):
        files = disk_files()
        files[0]["content"] = [span for span in files[0]["content"] if span["at"] != at]
        files[0]["content"].append({"at": at, "text": "qcow2"})
        files = [file for file in files if file["path"] != f"{role}.raw"] + [qcow2(f"{role}.raw", 4 * C)]
        add(
            f"qcow2-{role}",
            f"A qcow2 image as {role} file, named as what it is, is refused",
            [clause],
            "reader",
            ["probing"],
            files,
            [{"op": "open", "path": "disk.addcow", "mode": "ro", "result": "unsupported", "clause": clause}],
        )
    names = [{"at": 4, "le32": [76, 4, 80, 9, 12]}, {"at": 76, "text": "ACOWimage.raw"}]
    kept = [span for span in header(12) if span["at"] not in (4, 76)]
    add(
        "name-acow",
        "A backing file called ACOW is a name like any other",
        ["LNK-05"],
        "reader",
        ["names"],
        [
            {"path": "disk.addcow", "size": 2 * C, "content": kept + names},
            {"path": "image.raw", "size": 4 * C, "content": as_json([(0, 4 * C, IMAGE)])},
            {"path": "ACOW", "size": 4 * C, "content": as_json([(0, 4 * C, BACKING)])},
        ],
        [
            OPEN_RO,
            {"op": "read", "offset": 0, "length": 4 * C, "expect": as_json([(0, 4 * C, BACKING)])},
        ],
    )


def no_regular_files():
    """A FIFO, a directory and a device in each role: refused, and at once, though opening a FIFO may wait for ever."""
    kinds = (
        ("fifo", "A FIFO", {"fifo": True}),
        ("directory", "A directory", {"directory": True}),
        ("device", "A device", {"symlink": "/dev/null"}),
    )
    for role, path in (("metadata", "disk.addcow"), ("image", "image.raw"), ("backing", "backing.raw")):
        for kind, subject, fields in kinds:
            files = [file for file in disk_files() if file["path"] != path] + [{"path": path, **fields}]
            refused = {"op": "open", "path": "disk.addcow", "result": "unlinkable", "clause": "LNK-06"}
            add(
                f"{kind}-{role}",
                f"{subject} as {role} file is refused",
                ["LNK-06"],
                "reader",
                [],
                files,
                [{**refused, "mode": "ro"}],
            )


def no_permission():
    """Files that exist, but cannot be opened as asked."""
    roles = (("metadata", "disk.addcow"), ("image", "image.raw"), ("backing", "backing.raw"))
    for role, path in roles:
        files = [{**file, "mode": "000"} if file["path"] == path else file for file in disk_files()]
        add(
            f"unreadable-{role}",
            f"A {role} file that may not be read is refused as such",
            ["LNK-06"],
            "reader",
            [],
            files,
            [{"op": "open", "path": "disk.addcow", "mode": "ro", "result": "io", "clause": "LNK-06"}],
        )
    for role, path in roles[:2]:
        files = [{**file, "mode": "444"} if file["path"] == path else file for file in disk_files()]
        add(
            f"unwritable-{role}",
            f"A disk whose {role} file may only be read is refused for writing",
            ["LNK-06"],
            "writer",
            [],
            files,
            [{"op": "open", "path": "disk.addcow", "mode": "rw", "result": "readonly", "clause": "LNK-06"}],
        )
    disk = Disk(12, 4 * C, 4 * C, (0, 1))
    add(
        "unwritable-backing",
        "A backing file that may only be read serves a disk that is written to; only commit is refused",
        ["LNK-06", "CMT-02"],
        "writer",
        [],
        [{**file, "mode": "444"} if file["path"] == "backing.raw" else file for file in disk.start],
        [
            {**OPEN_RW, "observes": ["LNK-06"]},
            {"op": "commit", "result": "readonly", "observes": ["CMT-02"]},
            disk.read(),
        ],
    )


def overlay(path, below, image, backing_format="add-cow", bits="01"):
    """A metadata file of a disk over `below`, with these bits."""
    spans = [
        {"at": 0, "text": "ACOW"},
        {"at": 4, "le32": [76, len(below), 76 + len(below), len(image), 12]},
        {"at": 40, "le32": [C]},
        {"at": 44, "text": backing_format},
        {"at": 60, "text": "raw"},
        {"at": 76, "text": below + image},
        {"at": C, "hex": bits},
    ]
    return {"path": path, "size": 2 * C, "content": spans}


def raw(path, pattern, size=4 * C):
    return {"path": path, "size": size, "content": as_json([(0, size, pattern)])}


def directories():
    """A chain whose levels lie in several directories, opened through a symbolic link from elsewhere."""
    files = [{"path": path, "directory": True} for path in ("top", "top/images", "middle", "middle/nested")]
    files += [
        overlay("top/disk.addcow", "../way/middle.addcow", "images/image.raw"),
        raw("top/images/image.raw", IMAGE),
        overlay("middle/middle.addcow", "nested/base.raw", "middle.raw", "raw", "02"),
        raw("middle/middle.raw", 8),
        raw("middle/nested/base.raw", BACKING),
        {"path": "way", "symlink": "middle"},
        {"path": "here", "symlink": "top"},
    ]
    add(
        "chain-of-directories",
        "Each level of a chain resolves its names against the path that it was opened with",
        ["LNK-01", "LNK-08"],
        "reader",
        ["names", "chain"],
        files,
        [
            {"op": "open", "path": "here/disk.addcow", "mode": "ro"},
            {
                "op": "read",
                "offset": 0,
                "length": 4 * C,
                "expect": as_json([(0, C, IMAGE), (C, 2 * C, 8), (2 * C, 4 * C, BACKING)]),
            },
        ],
        ["chain"],
    )


def held_locks():
    """Locks that stay: after a commit, after one that failed, and at the third level."""
    other = {"op": "open", "path": "disk.addcow", "disk": "other", "result": "busy", "clause": "LCK-02"}
    for name, backing, result in (("commit", 4 * C, {}), ("failed-commit", C, {"result": "range", "clause": "CMT-02"})):
        disk = Disk(12, 4 * C, backing, (3,))
        disk.start[0]["size"] += C  # a bitmap may be longer
        add(
            f"lock-after-{name}",
            f"After a {name.replace('-', ' ')} the disk is still locked",
            ["LCK-01"],
            "writer",
            ["locks", "maintenance"],
            disk.start,
            [OPEN_RW, {"op": "commit", **result, "observes": ["CMT-02"]}]
            + [{**other, "mode": mode, "observes": ["LCK-01"]} for mode in ("ro", "rw")],
            ["locks"],
        )
    files = [
        overlay("disk.addcow", "two.addcow", "image.raw"),
        raw("image.raw", IMAGE),
        overlay("two.addcow", "three.addcow", "two.raw"),
        raw("two.raw", 8),
        overlay("three.addcow", "backing.raw", "three.raw", "raw"),
        raw("three.raw", 7),
        raw("backing.raw", BACKING),
    ]
    add(
        "lock-third-level",
        "The third level of an open chain is locked, shared, too",
        ["LCK-03"],
        "reader",
        ["locks", "chain"],
        files,
        [
            OPEN_RO,
            {**other, "path": "three.addcow", "mode": "rw", "observes": ["LCK-03"]},
            {"op": "open", "path": "three.addcow", "disk": "other", "mode": "ro"},
        ],
        ["chain", "locks"],
    )
    add(
        "lock-before-header",
        "Whether a disk is in use is judged before the rules of its header",
        ["LNK-11"],
        "writer",
        ["locks", "cut-file"],
        disk_files(),
        [
            OPEN_RW,
            {"op": "cut", "path": "disk.addcow", "size": 100},
            {**other, "mode": "ro", "observes": ["LNK-11"]},
            {"op": "close", "result": ["ok", "io"]},
        ],
        ["cut", "locks"],
    )
