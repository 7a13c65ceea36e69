#!/usr/bin/env python3
"""Every flag and command of the protocol against a served disk: `conformance.py URI EXPECTED CLUSTER`.

The disk is that of make_disk in common.bash, untouched, and EXPECTED the file that reads the same; this program applies
to it what it writes. Prints the first thing that is not as it should be, and fails.
"""

import errno
import sys

import nbd

uri, expected_path, cluster = sys.argv[1], sys.argv[2], int(sys.argv[3])
MIB = 1 << 20
SIZE = 8 * MIB + 1000
HOLE = nbd.STATE_HOLE | nbd.STATE_ZERO

with open(expected_path, "rb") as file:
    model = bytearray(file.read())


def expect(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: found {found!r}, wanted {wanted!r}")


def connect(strict=True):
    handle = nbd.NBD()
    handle.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
    handle.set_full_info(True)
    if not strict:
        handle.set_strict_mode(0)
    handle.connect_uri(uri)
    return handle


def fails(what, wanted, call, *arguments):
    try:
        call(*arguments)
    except nbd.Error as error:
        expect(what, errno.errorcode[error.errnum], errno.errorcode[wanted])
        return
    sys.exit(f"{what}: succeeded")


def extents(handle, offset, length, flags=0):
    """[(length, type)] with neighbours of one type joined."""
    found = []

    def collect(context, at, entries, error):
        expect("context", context, nbd.CONTEXT_BASE_ALLOCATION)
        for size, kind in zip(entries[::2], entries[1::2]):
            if found and found[-1][1] == kind:
                found[-1] = (found[-1][0] + size, kind)
            else:
                found.append((size, kind))

    while (done := sum(size for size, _ in found)) < length:
        handle.block_status(length - done, offset + done, collect, flags)
        if flags:
            break
    return found


def check(handle, what, offset=0, length=SIZE):
    for at in range(offset, offset + length, 4 * MIB):
        part = min(4 * MIB, offset + length - at)
        if handle.pread(part, at) != model[at : at + part]:
            sys.exit(f"{what}: the disk has other bytes from {at} on")


def advertised(handle):
    for name in ("flush", "fua", "trim", "zero", "fast_zero", "multi_conn", "cache", "df"):
        expect(name, getattr(handle, "can_" + name)(), True)
    expect("read-only", handle.is_read_only(), False)
    expect("rotational", handle.is_rotational(), False)
    expect("structured replies", handle.get_structured_replies_negotiated(), True)
    expect("size", handle.get_size(), SIZE)
    expect("least block", handle.get_block_size(nbd.SIZE_MINIMUM), 1)
    expect("preferred block", handle.get_block_size(nbd.SIZE_PREFERRED), cluster)
    expect("largest block", handle.get_block_size(nbd.SIZE_MAXIMUM), 32 * MIB)
    wanted = f"add-cow disk, clusters of {cluster} bytes, backing file of format raw"
    expect("description", handle.get_export_description(), wanted)


def untouched_extents(handle):
    """Holes of the backing file, and what lies past its end."""
    wanted = [(2 * MIB, 0), (2 * MIB, HOLE), (2 * MIB, 0), (2 * MIB + 1000, HOLE)]
    expect("extents", extents(handle, 0, SIZE), wanted)
    expect("extents of a part", extents(handle, 2 * MIB - 5, 10), [(5, 0), (5, HOLE)])
    expect("one extent", extents(handle, 3 * MIB, 4 * MIB, nbd.CMD_FLAG_REQ_ONE), [(1 * MIB, HOLE)])


def write(handle, offset, data, flags=0):
    handle.pwrite(bytes(data), offset, flags)
    model[offset : offset + len(data)] = data


def writes(handle):
    write(handle, 0, b"first", 0)
    write(handle, 3 * MIB + 100, b"x" * 1000, nbd.CMD_FLAG_FUA)
    write(handle, cluster - 3, b"over the edge")
    write(handle, SIZE - 7, b"the end")
    write(handle, MIB, b"y" * (3 * cluster + 512), nbd.CMD_FLAG_FUA)
    handle.flush()
    check(handle, "write")
    fails("write past the end", errno.ENOSPC, handle.pwrite, b"12345678", SIZE - 4)
    fails("read past the end", errno.EINVAL, handle.pread, 8, SIZE - 4)
    fails("trim past the end", errno.EINVAL, handle.trim, 8, SIZE - 4)
    check(handle, "refused requests")
    expect("read with DF", handle.pread_structured(9, 3, lambda *_: 0, nbd.CMD_FLAG_DF), model[3:12])
    handle.cache(2 * MIB, 0)


def zeros(handle):
    def zero(offset, length, flags=0):
        handle.zero(length, offset, flags)
        model[offset : offset + length] = bytes(length)

    at = 4 * MIB  # nothing is allocated there, and the backing file has data
    zero(at, 4 * cluster)
    expect("zeros become a hole", extents(handle, at, 4 * cluster), [(4 * cluster, HOLE)])
    zero(at, 2 * cluster, nbd.CMD_FLAG_NO_HOLE)
    expect("zeros without hole", extents(handle, at, 4 * cluster), [(2 * cluster, 0), (2 * cluster, HOLE)])
    at += 4 * cluster
    zero(at, 2 * cluster, nbd.CMD_FLAG_FAST_ZERO)
    zero(at + 2 * cluster, cluster, nbd.CMD_FLAG_FAST_ZERO | nbd.CMD_FLAG_FUA)
    zero(at, 100, nbd.CMD_FLAG_FAST_ZERO)  # allocated by now
    check(handle, "zeros")
    fast = nbd.CMD_FLAG_FAST_ZERO
    fails("fast zero without hole", errno.ENOTSUP, handle.zero, cluster, at, fast | nbd.CMD_FLAG_NO_HOLE)
    at += 4 * cluster
    fails("fast zero of a part", errno.ENOTSUP, handle.zero, cluster, at + 512, fast)
    fails("fast zero of the end of a part", errno.ENOTSUP, handle.zero, cluster + 512, at, fast)
    check(handle, "refused fast zeros")
    zero(at + 512, 2 * cluster)
    zero(SIZE - 2000, 2000)
    zero(SIZE - SIZE % cluster, SIZE % cluster, nbd.CMD_FLAG_FAST_ZERO)
    check(handle, "zeros of parts")


def trims(handle):
    at = 5 * MIB
    handle.trim(4 * cluster, at, nbd.CMD_FLAG_FUA)
    model[at : at + 4 * cluster] = bytes(4 * cluster)
    expect("trim of what was not allocated", extents(handle, at, 4 * cluster), [(4 * cluster, HOLE)])
    write(handle, at, b"z" * (4 * cluster))
    handle.trim(2 * cluster, at + cluster // 2)
    model[at + cluster // 2 : at + cluster // 2 + 2 * cluster] = bytes(2 * cluster)
    blocks = 2 * cluster if cluster > 4096 else 4096  # a block of the file system is free if all of it is
    expect("trim of a part", extents(handle, at, 4 * cluster)[1], (blocks, HOLE))
    # Clusters that are not allocated, and covered in part, stay as they are.
    at += 5 * cluster
    handle.trim(100, at + 5)
    handle.trim(cluster, at + 512)
    handle.trim(2 * cluster, at + cluster + 512)
    model[at + 2 * cluster : at + 3 * cluster] = bytes(cluster)
    check(handle, "trim")


def connections(handle):
    """What one connection writes, another one reads; its flush covers it, and a client that goes leaves it."""
    others = [connect() for _ in range(3)]
    for number, other in enumerate(others):
        write(other, 1000 * number, b"by %d" % number)
    handle.flush()
    for other in others:
        check(other, "another connection", 0, MIB)
    others[0].shutdown()
    fails("a name of no disk", errno.ENOENT, connect_as, "nothing")
    expect("the name of the file", connect_as("disk.addcow").get_size(), SIZE)


def connect_as(name):
    handle = nbd.NBD()
    handle.set_export_name(name)
    handle.set_uri_allow_local_file(True)
    handle.connect_unix(uri.partition("socket=")[2])
    return handle


client = connect(strict=False)
advertised(client)
check(client, "before any write")
untouched_extents(client)
writes(client)
zeros(client)
trims(client)
connections(client)
check(client, "at the end")
client.shutdown()
with open(expected_path, "wb") as file:
    file.write(model)
