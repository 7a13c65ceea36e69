"""Headers: each field, number, place and string at its edges, and the order of the rules."""

from generator.cases import add
from generator.disk import Canvas, Disk, IMAGE, OPEN_RO, canvas_file, header


def edit(content, changes, size=8192):
    """A small disk whose header has these spans painted over it."""
    base = Disk(12, 65536, 65536).start
    return [{"path": "disk.addcow", "size": size, "content": content + changes}] + base[1:]


def refused(name, title, clause, changes, kind="malformed", content=None, size=8192, needs=(), flags=("header",)):
    add(
        f"header-{name}",
        title,
        [clause],
        "reader",
        list(flags),
        edit(header(12) if content is None else content, changes, size),
        [{**OPEN_RO, "result": kind, "clause": clause}],
        needs,
    )


def accepted(name, title, clause, changes, content=None, size=8192, needs=(), disk=65536):
    files = edit(header(12) if content is None else content, changes, size)
    files[1] = canvas_file("image.raw", Canvas(disk, IMAGE))
    add(f"header-{name}", title, [clause], "reader", ["header"], files, [OPEN_RO, {"op": "size", "size": disk}], needs)


def numbers():
    for bit in (0, 31, 32, 62, 63):
        refused(
            f"feature-{bit}", f"Unknown feature bit {bit}", "HDR-03", [{"at": 24, "le64": [1 << bit]}], "unsupported"
        )
    for bits in (0, 11, 22, 32, 44, 76, 268, 2**31 + 12, 2**32 - 20, 2**32 - 1):
        refused(f"bits-{bits}", f"cluster_bits {bits}", "HDR-04", [{"at": 20, "le32": [bits]}])
    for bits in range(12, 22):
        size = max(4096, 1 << bits)
        content = header(bits)
        accepted(f"bits-{bits}", f"cluster_bits {bits} with its header_size", "HDR-04", [], content, size + (1 << bits))
        for wrong in {size - 1, size + 1, size * 2, size // 2} - ({4096} if bits == 12 else set()):
            if bits in (12, 13, 21):
                refused(
                    f"bits-{bits}-size-{wrong}",
                    f"header_size {wrong} with cluster_bits {bits}",
                    "HDR-05",
                    [{"at": 40, "le32": [wrong]}],
                    content=content,
                    size=2 * size + (1 << bits),
                )
        refused(
            f"bits-{bits}-cut",
            f"A file that is a byte shorter than its header of {size} bytes",
            "HDR-06" if bits > 12 else "HDR-01",
            [],
            content=content,
            size=size - 1,
            flags=("cut-file",),
        )
    accepted(
        "bits-13-exact",
        "A file that is its header and no more, of a disk without clusters",
        "HDR-06",
        [],
        header(13),
        8192,
        disk=0,
    )


def places():
    """Offsets and sizes of the names, where sums reach 2^32."""
    for what, at, clause in (("backing", 4, "HDR-08"), ("image", 12, "HDR-11")):
        for offset, size in (
            (1, 9),
            (75, 1),
            (4096, 1),
            (4095, 2),
            (2**32 - 1, 1),
            (2**32 - 1, 2),
            (2**31, 2**31),
            (76, 2**32 - 76),
            (76, 2**32 - 1),
            (77, 4096),
            (2**32 - 76, 4096),
        ):
            refused(
                f"{what}-{offset}-{size}",
                f"The {what} name is {size} bytes at {offset}",
                clause,
                [{"at": at, "le32": [offset, size]}],
                flags=("header", "wrap-around"),
            )

    accepted(
        "image-ends-with-header",
        "An image name that ends where the header ends",
        "HDR-11",
        [{"at": 12, "le32": [4087, 9]}, {"at": 87, "length": 9, "zero": True}, {"at": 4087, "text": "image.raw"}],
    )


def strings():
    for what, at, nul, absent in (("backing", 44, "HDR-14", "HDR-15"), ("image", 60, "HDR-16", "HDR-17")):
        for place in (4, 8, 15):
            refused(
                f"{what}-format-behind-{place}",
                f"Byte {place} of the {what} format, behind its NUL, is not zero",
                nul,
                [{"at": at + place, "hex": "01"}],
            )
        refused(
            f"{what}-format-16",
            f"A {what} format of 16 bytes has no NUL",
            nul,
            [{"at": at, "text": "rawrawrawrawrawr"}],
        )
        refused(f"{what}-format-empty", f"The {what} format is empty", absent, [{"at": at, "hex": "00 00 00 00"}])
        refused(
            f"{what}-format-15",
            f"A {what} format of 15 bytes is well-formed, but unknown",
            "LNK-04" if what == "backing" else "LNK-03",
            [{"at": at, "text": "rawrawrawrawraw"}],
            "unsupported",
        )
        refused(
            f"{what}-format-hidden",
            f"A {what} format that begins with NUL is no empty one",
            nul,
            [{"at": at, "hex": "00 72 61 77"}],
        )
    for place in (96, 2000, 4095):
        refused(
            f"padding-{place}",
            f"Byte {place} belongs to no name and is not zero",
            "HDR-18",
            [{"at": place, "hex": "80"}],
        )
    for place, clause in ((76, "HDR-09"), (86, "HDR-09"), (87, "HDR-12"), (95, "HDR-12")):
        refused(f"nul-{place}", f"A NUL at byte {place}, at the edge of a name", clause, [{"at": place, "hex": "00"}])
    gap = [{"at": 12, "le32": [88, 9]}, {"at": 87, "hex": "00"}, {"at": 88, "text": "image.raw"}]
    accepted("gap", "A zero byte between the names", "HDR-18", gap)
    refused("gap-filled", "A byte between the names that is not zero", "HDR-18", gap + [{"at": 87, "hex": "01"}])
    for first, size in ((86, 10), (77, 3)):
        refused(
            f"overlap-{first}-{size}",
            f"The image name, {size} bytes at {first}, overlaps the backing name",
            "HDR-13",
            [{"at": 12, "le32": [first, size]}],
        )


def orders():
    """Where two rules are broken, the first one is named."""
    broken = {
        "HDR-03": ([{"at": 24, "le64": [8]}], "unsupported"),
        "HDR-04": ([{"at": 20, "le32": [9]}], "malformed"),
        "HDR-05": ([{"at": 40, "le32": [4095]}], "malformed"),
        "HDR-07": ([{"at": 4, "le32": [76, 0]}], "malformed"),
        "HDR-10": ([{"at": 12, "le32": [0, 0]}, {"at": 87, "length": 9, "zero": True}], "malformed"),
        "HDR-14": ([{"at": 48, "hex": "01"}], "malformed"),
        "HDR-16": ([{"at": 64, "hex": "01"}], "malformed"),
        "HDR-18": ([{"at": 3000, "hex": "01"}], "malformed"),
    }
    names = list(broken)
    for first, second in zip(names, names[1:]):
        refused(
            f"order-{first.lower()}-{second.lower()}",
            f"{first} and {second} are broken: the first is named",
            first,
            broken[first][0] + broken[second][0],
            broken[first][1],
        )


def r9_headers():
    content = Disk(16, 65536, 65536, layout="r9").start[0]["content"]
    for version in (0, 2, 0x101, 0x10001, 0x1000000, 2**31 + 1, 2**32 - 1):
        refused(
            f"r9-version-{version}",
            f"Layout r9 with version {version}",
            "HR9-01",
            [{"at": 8, "le32": [version]}],
            "unsupported",
            content,
            4097,
            ["r9"],
        )
    for place, clause in (
        (24, "HR9-02"),
        (1035, "HR9-02"),
        (1046, "HR9-04"),
        (2059, "HR9-04"),
        (2060, "HR9-06"),
        (3000, "HR9-06"),
        (4095, "HR9-06"),
    ):
        refused(
            f"r9-byte-{place}",
            f"Layout r9: byte {place} is not zero",
            clause,
            [{"at": place, "hex": "01"}],
            content=content,
            size=4097,
            needs=["r9"],
        )
    refused(
        "r9-length",
        "Layout r9: a file of 4095 bytes",
        "HDR-01",
        [],
        content=content,
        size=4095,
        needs=["r9"],
        flags=("cut-file",),
    )
    accepted(
        "r9-exact",
        "Layout r9: a file that is its header and no more, of a disk without clusters",
        "HDR-01",
        [],
        content,
        4096,
        ["r9"],
        disk=0,
    )
    for what, at, name in (("backing", 12, "backing.raw"), ("image", 1036, "image.raw")):
        text = "./" * ((1023 - len(name)) // 2) + name
        accepted(
            f"r9-long-{what}",
            f"Layout r9: the {what} name has 1023 bytes and a NUL",
            "HR9-02" if what == "backing" else "HR9-04",
            [{"at": at, "text": text}],
            content,
            4097,
            ["r9"],
        )
    accepted(
        "r9-longer", "Layout r9: a metadata file that is longer than its bitmap", "BMP-04", [], content, 70000, ["r9"]
    )
