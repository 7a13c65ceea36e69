"""A whole implementation of add-cow, written from spec/add-cow.md alone and in the most naive way.

It is an example of an implementation for the gate, and a third reading of the specification. It is made to be read
beside the specification, not to be fast: each rule stands with its clause. Requests take turns at each cluster
(locks.py), and the bitmap is a bytearray, which flush writes. Python 3.9 or later on Linux, standard library only.
"""

import contextlib
import errno
import os
import stat
import struct
import threading

import locks

HEADER_MIN = 4096
SIZE_MAX = 2**62
CHAIN_MAX = 16
ALL_ALLOCATED = 1


class Error(Exception):
    """A refusal: its class (section 12), the clause that was broken or "-", and words."""

    def __init__(self, kind, clause, message):
        super().__init__(message)
        self.kind, self.clause = kind, clause


def require(holds, clause, message, kind="malformed"):
    if not holds:
        raise Error(kind, clause, message)


def ceil(a, b):
    return -(-a // b)


# ---- Section 2: the header ----


class Header:
    def __init__(self, head, length):
        """Decodes the first bytes of a metadata file: all of them, or 2 MiB, which no header exceeds."""
        require(length >= HEADER_MIN, "HDR-01", f"only {length} bytes")
        if head[:4] == b"ACOW":
            self.decode_r20(head, length)
        elif head[:8] == b"ADD_COW\xff":
            self.decode_r9(head)
        else:
            require(False, "HDR-02", f"unknown magic {head[:8].hex()}")
        self.cluster = 1 << self.cluster_bits

    def decode_r20(self, head, length):
        self.layout = "r20"
        (backing_at, backing_size, image_at, image_size, self.cluster_bits, features, self.compatible,
         self.size) = struct.unpack_from("<5I2QI", head, 4)
        backing_format, image_format = head[44:60], head[60:76]
        require(features == 0, "HDR-03", f"unknown features {features:#x}", "unsupported")
        require(12 <= self.cluster_bits <= 21, "HDR-04", f"cluster_bits {self.cluster_bits}")
        require(self.size == max(4096, 1 << self.cluster_bits), "HDR-05", f"header_size {self.size}")
        require(length >= self.size, "HDR-06", f"{length} bytes are no whole header")
        backing = head[backing_at:backing_at + backing_size]
        image = head[image_at:image_at + image_size]
        require((backing_at == 0) == (backing_size == 0), "HDR-07", "half a backing name")
        if backing_at:
            require(76 <= backing_at and backing_at + backing_size <= self.size, "HDR-08", "backing name outside")
            require(b"\0" not in backing, "HDR-09", "NUL in the backing name")
        require(image_at != 0 and image_size != 0, "HDR-10", "no image name")
        require(76 <= image_at and image_at + image_size <= self.size, "HDR-11", "image name outside")
        require(b"\0" not in image, "HDR-12", "NUL in the image name")
        if backing_at:
            apart = backing_at + backing_size <= image_at or image_at + image_size <= backing_at
            require(apart, "HDR-13", "the names overlap")
        self.backing_format = self.decode_string(backing_format, "HDR-14", "backing format")
        require((self.backing_format == b"") == (backing_at == 0), "HDR-15", "backing format without name, or not")
        self.image_format = self.decode_string(image_format, "HDR-16", "image format")
        require(self.image_format != b"", "HDR-17", "no image format")
        rest = bytearray(head[:self.size])
        rest[backing_at:backing_at + backing_size] = bytes(backing_size)
        rest[image_at:image_at + image_size] = bytes(image_size)
        require(not any(rest[76:]), "HDR-18", "a byte that belongs to no field is not zero")
        require(backing != image, "HDR-19", "the names are the same")
        self.backing, self.image = backing if backing_at else None, image

    def decode_r9(self, head):
        (version,) = struct.unpack_from("<I", head, 8)
        require(version == 1, "HR9-01", f"version {version}", "unsupported")
        self.backing = self.decode_string(head[12:1036], "HR9-02", "backing name")
        require(self.backing != b"", "HR9-03", "no backing name")
        self.image = self.decode_string(head[1036:2060], "HR9-04", "image name")
        require(self.image != b"", "HR9-05", "no image name")
        require(not any(head[2060:4096]), "HR9-06", "a byte that belongs to no field is not zero")
        require(self.backing != self.image, "HR9-07", "the names are the same")
        self.layout, self.cluster_bits, self.size = "r9", 16, 4096  # HR9-08
        self.backing_format = self.image_format = b"raw"
        self.compatible = 0

    @staticmethod
    def decode_string(field, clause, what):
        text, nul, rest = field.partition(b"\0")
        require(nul and not any(rest), clause, f"{what} is not NUL-terminated and zero-padded")
        return text

    def bitmap_bytes(self, size):
        return ceil(ceil(size, self.cluster), 8)

    def file_length(self, size):
        """BMP-04."""
        unit = self.cluster if self.layout == "r20" else 1
        return self.size + ceil(self.bitmap_bytes(size), unit) * unit


def encode_r20(bits, image, backing, backing_format, compatible):
    """HDR-22."""
    size = max(4096, 1 << bits)
    require(76 + len(backing) + len(image) <= size, "CRE-05", "the names do not fit into the header", "range")
    require(len(backing_format) < 16, "LNK-04", "unknown backing format", "unsupported")
    return (b"ACOW" + struct.pack("<5I2QI", 76 if backing else 0, len(backing), 76 + len(backing), len(image), bits, 0,
                                  compatible, size)
            + backing_format.ljust(16, b"\0") + b"raw".ljust(16, b"\0") + backing + image).ljust(size, b"\0")


def encode_r9(image, backing):
    require(max(len(image), len(backing)) < 1024, "CRE-05", "a name does not fit into the header", "range")
    head = b"ADD_COW\xff" + struct.pack("<I", 1) + backing.ljust(1024, b"\0") + image.ljust(1024, b"\0")
    return head.ljust(4096, b"\0")


# ---- Files ----


def refuse_open(path, writable, problem):
    """LNK-06."""
    missing = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
    kind = "unlinkable" if problem.errno in missing else "io"
    if kind == "io" and writable and os.access(path, os.R_OK):
        kind = "readonly"
    raise Error(kind, "LNK-06", f"{os.fsdecode(path)}: {problem.strerror}") from problem


def open_file(path, writable):
    try:
        # Looked at before it is opened: opening a pipe or a device may block or do something.
        require(stat.S_ISREG(os.stat(path).st_mode), "LNK-06", f"{os.fsdecode(path)}: no regular file", "unlinkable")
        return os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC)
    except OSError as problem:
        return refuse_open(path, writable, problem)


def read_exactly(fd, offset, length):
    """ERR-04."""
    data = b""
    while len(data) < length:
        part = os.pread(fd, length - len(data), offset + len(data))
        require(part, "ERR-04", "the file ends before its known length", "io")
        data += part
    return data


def write_all(fd, offset, data):
    while data:
        count = os.pwrite(fd, data, offset)
        data, offset = data[count:], offset + count


def sync_directory(path):
    fd = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class RawFile:
    """A raw backing file, with the methods of a disk that commit and reading use."""

    def __init__(self, path, writable):
        self.fd = open_file(path, writable)
        self.size = os.fstat(self.fd).st_size

    def identities(self):
        return [identity(self.fd)]

    def read(self, offset, length):
        return read_exactly(self.fd, offset, length)

    def write(self, offset, _length, data):
        write_all(self.fd, offset, data)

    def flush(self):
        os.fsync(self.fd)

    def close(self):
        os.close(self.fd)


def identity(fd):
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


# ---- Sections 3 to 6: the disk ----


class Disk:
    def __init__(self, path, writable, above=()):
        """`above`: the identities of the files of each disk that this one is below."""
        self.path, self.writable, self.above = path, writable, above
        self.lock = locks.RequestLock()
        self.bits, self.flushing = threading.Lock(), threading.Lock()  # bits: also while the backing file is opened
        self.metadata = self.image = self.backing = None
        self.dirty = set()  # sectors of the bitmap that differ from the file's
        self.image_sync_failed = False
        try:
            self.open()
        except BaseException:
            self.release()
            raise

    def open(self):
        require(len(self.above) < CHAIN_MAX, "LNK-09", "the chain is too long", "unsupported")
        self.metadata = open_file(self.path, self.writable)
        require(locks.lock_metadata(self.metadata, self.writable), "LCK-02", "another process holds the disk", "busy")
        self.check_identities()
        length = os.fstat(self.metadata).st_size
        self.header = Header(read_exactly(self.metadata, 0, min(length, 2 << 20)), length)
        for name in filter(None, (self.header.backing, self.header.image)):
            require(b":" not in name.partition(b"/")[0], "LNK-02", "a name has a protocol prefix", "unsupported")
        require(self.header.image_format == b"raw", "LNK-03", "the image is not raw", "unsupported")
        known = (b"", b"raw", b"add-cow")
        require(self.header.backing_format in known, "LNK-04", "unknown backing format", "unsupported")
        self.image = open_file(self.resolve(self.header.image), self.writable)
        self.size = os.fstat(self.image).st_size
        require(self.size <= SIZE_MAX, "VRT-01", "the image is too long", "unsupported")
        self.check_identities()
        require(locks.lock_data(self.image, self.writable), "LCK-05", "another process uses the image", "busy")
        needed = self.header.bitmap_bytes(self.size)
        require(length >= self.header.size + needed, "BMP-03", "the bitmap is cut")
        self.bitmap = bytearray(read_exactly(self.metadata, self.header.size, needed))
        self.below()  # LNK-10
        if self.writable:  # DUR-12
            os.fsync(self.image)
            os.fsync(self.metadata)

    def resolve(self, name):
        """LNK-01."""
        return os.path.join(os.path.dirname(self.path), name)

    def open_backing(self, writable):
        path = self.resolve(self.header.backing)
        if self.header.backing_format == b"raw":
            backing = RawFile(path, writable)
        else:
            backing = Disk(path, writable, self.above + (self.own_identities(),))
        try:
            self.check_identities(backing)
            if isinstance(backing, RawFile):
                require(locks.lock_data(backing.fd, writable), "LCK-05", "another process uses the file", "busy")
        except Error:
            backing.close()
            raise
        return backing

    def below(self):  # a commit that failed may have left the backing file closed
        with self.bits:
            if self.backing is None and self.header.backing is not None and not self.all_allocated():
                self.backing = self.open_backing(False)
            return self.backing

    def own_identities(self):
        return [identity(fd) for fd in (self.metadata, self.image) if fd is not None]

    def identities(self):
        return self.own_identities() + (self.backing.identities() if self.backing else [])

    def check_identities(self, backing=None):
        """LNK-07."""
        files = sum(self.above, []) + self.own_identities() + (backing.identities() if backing else [])
        require(len(files) == len(set(files)), "LNK-07", "the same file stands twice in the disk", "unlinkable")

    def release(self):
        for fd in (self.metadata, self.image):
            if fd is not None:
                os.close(fd)
        if self.backing:
            self.backing.close()

    def close(self):
        """DUR-10."""
        try:
            if self.writable:
                self.flush()
        finally:
            self.release()

    # Bits

    def all_allocated(self):
        return self.header.compatible & ALL_ALLOCATED != 0

    def clusters(self):
        return ceil(self.size, self.header.cluster)

    def bit(self, k):
        """BMP-01."""
        return self.all_allocated() or self.bitmap[k // 8] & (1 << (k % 8)) != 0

    def set_bit(self, k, value):
        with self.bits:
            old = self.bitmap[k // 8]
            new = old | (1 << (k % 8)) if value else old & ~(1 << (k % 8))
            if new != old:
                self.bitmap[k // 8] = new
                self.dirty.add(k // 8 // 512)

    def set_bits(self, first, end, value):
        """Bits [first, end), many at once."""
        while first < end:
            if first % 8 == 0 and end - first >= 8:
                at, count = first // 8, min((end - first) // 8, 512 - first // 8 % 512)
                wanted = (b"\xff" if value else b"\0") * count
                if self.bitmap[at:at + count] != wanted:
                    self.bitmap[at:at + count] = wanted
                    self.dirty.add(at // 512)
                first += 8 * count
            else:
                self.set_bit(first, value)
                first += 1

    # Requests

    def check(self, offset, length, writing=False):
        require(self.writable or not writing, "REQ-03", "the disk was opened read-only", "readonly")
        inside = offset <= self.size and length <= self.size - offset
        require(inside, "REQ-01", f"the disk has {self.size} bytes", "range")

    def parts(self, offset, length):
        """The range, cut at the ends of clusters: (cluster, begin, end)."""
        end = offset + length
        while offset < end:
            k = offset // self.header.cluster
            part_end = min(end, (k + 1) * self.header.cluster)
            yield k, offset, part_end
            offset = part_end

    def virt(self, begin, end):
        """VRT-02, VRT-03, VRT-04 for bytes of one cluster, or none."""
        if begin == end:
            return b""
        if self.bit(begin // self.header.cluster):
            return read_exactly(self.image, begin, end - begin)
        backing = self.below()
        limit = min(end, backing.size) if backing else 0
        data = backing.read(begin, limit - begin) if begin < limit else b""
        return data.ljust(end - begin, b"\0")

    def read(self, offset, length):
        with self.lock:
            self.check(offset, length)
            return b"".join(self.read_part(*part) for part in self.parts(offset, length))

    def read_part(self, k, begin, end):
        with self.lock.cluster(k):
            return self.virt(begin, end)

    def write(self, offset, length, data):
        with self.lock:
            self.check(offset, length, True)
            for k, begin, end in self.parts(offset, length):
                self.write_part(k, begin, data[begin - offset:end - offset])

    def write_part(self, k, begin, data):
        """WR-03: the whole cluster, clipped at the end of the disk, and then its bit."""
        with self.lock.cluster(k):
            if not self.bit(k):
                start, end = k * self.header.cluster, min(self.size, (k + 1) * self.header.cluster)
                data = self.virt(start, begin) + data + self.virt(begin + len(data), end) if end > start else data
                begin = start
            write_all(self.image, begin, data)
            self.set_bit(k, True)

    def zero(self, offset, length):
        with self.lock:
            self.check(offset, length, True)
            for k, begin, end in self.parts(offset, length):
                self.write_part(k, begin, bytes(end - begin))

    def map(self, offset, length):
        with self.lock:
            self.check(offset, length)
            if length == 0:
                return False, 0  # MAP-03
            k = offset // self.header.cluster
            status, end = self.bit(k), offset + length
            while k * self.header.cluster < end and self.bit(k) == status:
                k = self.skip_alike(k + 1, status)
            return status, min(k * self.header.cluster, end) - offset

    def skip_alike(self, k, status):
        """Passes over clusters of this status, a piece of the bitmap at a time, as far as that goes."""
        piece = (b"\xff" if status else b"\0") * 512
        while k % 8 == 0 and self.bitmap.startswith(piece, k // 8) and k + 8 * 512 <= self.clusters():
            k += 8 * 512
        return self.clusters() if self.all_allocated() else k

    # Section 11

    def flush(self):
        with self.lock:
            self.make_durable()

    def make_durable(self):
        """DUR-03: the bits that are written are those of before the image was synced."""
        with self.flushing, self.dirty_sectors() as sectors:
            if self.writable:
                self.sync_image()
                self.write_bitmap(sectors)

    @contextlib.contextmanager
    def dirty_sectors(self):
        """Number -> bytes of the sectors of the bitmap that are to be written. DUR-06: what fails stays dirty."""
        with self.bits:
            sectors = {sector: bytes(self.bitmap[sector * 512:(sector + 1) * 512]) for sector in self.dirty}
            self.dirty.clear()
        try:
            yield sectors
        except BaseException:
            with self.bits:
                self.dirty.update(sectors)
            raise

    def sync_image(self):
        """DUR-07."""
        require(not self.image_sync_failed, "DUR-07", "an earlier sync of the image failed", "io")
        self.image_sync_failed = True
        os.fsync(self.image)
        self.image_sync_failed = False

    def write_bitmap(self, sectors):
        for sector, data in sectors.items():
            write_all(self.metadata, self.header.size + sector * 512, data)
        if sectors:
            os.fsync(self.metadata)

    def write_compatible(self, value):
        """HDR-21: nothing else of the header is touched."""
        if value != self.header.compatible:
            write_all(self.metadata, 32, struct.pack("<Q", value))
            os.fsync(self.metadata)
            self.header.compatible = value

    # Section 8

    def resize(self, size):
        with self.lock.alone():
            self.check(0, 0, True)
            require(size <= SIZE_MAX, "RSZ-09", "no disk is that large", "range")
            if size > self.size:
                self.grow(size)
            elif size < self.size:
                self.shrink(size)

    def grow(self, size):
        old, cluster = self.size, self.header.cluster
        length = self.header.file_length(size)
        if os.fstat(self.metadata).st_size < length:
            os.ftruncate(self.metadata, length)  # RSZ-08
        # What the file holds for the new clusters is of no meaning and may be anything (BMP-05).
        self.bitmap = self.bitmap[:self.header.bitmap_bytes(old)]
        more = self.header.bitmap_bytes(size) - len(self.bitmap)
        self.bitmap += read_exactly(self.metadata, self.header.size + len(self.bitmap), more)
        first_new, end_new = ceil(old, cluster), ceil(size, cluster)
        limit = min(size, self.below().size) if self.below() else 0
        self.set_bits(first_new, end_new, self.all_allocated())
        if old < limit:  # RSZ-03
            if old % cluster and not self.bit(old // cluster):
                self.write_part(old // cluster, old, b"")
            self.set_bits(first_new, ceil(limit, cluster), True)
        try:
            self.make_durable()  # RSZ-04
            os.ftruncate(self.image, size)
        except BaseException:
            self.set_bits(first_new, end_new, False)  # BMP-05: the next flush writes them
            raise
        self.size = size

    def shrink(self, size):
        """RSZ-05."""
        old = self.clusters()
        os.ftruncate(self.image, size)
        self.size = size
        with contextlib.suppress(OSError, Error):  # RSZ-07: it is done. The next flush reports or repeats the rest.
            self.sync_image()
            self.set_bits(self.clusters(), old, False)
            with self.dirty_sectors() as sectors:
                self.write_bitmap(sectors)

    # Section 9

    def stream(self):
        with self.lock:
            self.check(0, 0, True)
        k = 0
        while True:
            with self.lock:  # for one cluster at a time: others come in between
                if k < self.clusters():
                    if not self.bit(k):
                        self.write_part(k, k * self.header.cluster, b"")
                    k += 1
                    continue
                if not all(map(self.bit, range(k))):  # a commit came in between (STR-01)
                    k = 0
                    continue
                self.make_durable()  # STR-02, DUR-08
                if self.header.layout == "r20":
                    self.write_compatible(self.header.compatible | ALL_ALLOCATED)
                return

    def commit(self):
        with self.lock.alone():
            self.check(0, 0, True)
            require(self.header.backing is not None, "CMT-02", "there is no backing file", "unsupported")
            if self.backing:
                self.backing.close()  # its shared lock would be in the way of the exclusive one
                self.backing = None
            try:
                self.commit_into(self.open_writable_backing())
            finally:
                self.below()

    def open_writable_backing(self):
        try:
            return self.open_backing(True)
        except Error as problem:
            clause = "CMT-02" if problem.kind == "readonly" else problem.clause
            raise Error(problem.kind, clause, str(problem)) from problem

    def commit_into(self, backing):
        try:
            allocated = [k for k in range(self.clusters()) if self.bit(k)]
            end = min(self.size, (allocated[-1] + 1) * self.header.cluster) if allocated else 0
            require(end <= backing.size, "CMT-02", "the backing file is too short", "range")
            self.make_durable()  # CMT-03
            for k in allocated:
                begin, end = k * self.header.cluster, min(self.size, (k + 1) * self.header.cluster)
                backing.write(begin, end - begin, read_exactly(self.image, begin, end - begin))
            backing.flush()  # CMT-03
        finally:
            backing.close()
        if self.all_allocated():
            self.set_bits(0, self.clusters(), True)
            self.make_durable()  # VRT-05: a reader that ignores the flag reads the same
        self.write_compatible(self.header.compatible & ~ALL_ALLOCATED)
        self.set_bits(0, self.clusters(), False)
        with self.dirty_sectors() as sectors:
            self.write_bitmap(sectors)


# ---- Section 7 ----


def create(path, layout, bits, image, backing, backing_format):
    """`image` and `backing` as they are to be stored; backing and backing_format may be None."""
    alone = backing is None
    if layout == "r9":
        require(not alone, "CRE-03", "r9 needs a backing file", "unsupported")
        require(bits == 16, "HR9-08", "r9 has clusters of 65536 bytes only", "unsupported")
        require(backing_format == b"raw", "HR9-08", "r9 has raw backing files only", "unsupported")
        head = encode_r9(image, backing)
    else:
        require(12 <= bits <= 21, "HDR-04", f"cluster_bits {bits}")
        head = encode_r20(bits, image, backing or b"", backing_format or b"", ALL_ALLOCATED if alone else 0)
    header = Header(head, len(head))
    image_fd = open_file(os.path.join(os.path.dirname(path), image), False)
    size = os.fstat(image_fd).st_size
    os.close(image_fd)
    require(size <= SIZE_MAX, "VRT-01", "the image is too long", "unsupported")
    bitmap = bytearray(header.bitmap_bytes(size))
    if alone:  # CRE-03; BMP-05
        bitmap = bytearray(b"\xff" * (ceil(size, header.cluster) // 8)).ljust(len(bitmap), b"\0")
        if ceil(size, header.cluster) % 8:
            bitmap[-1] = (1 << ceil(size, header.cluster) % 8) - 1
    require(not os.path.lexists(path), "CRE-01", "the file exists", "unlinkable")
    temporary = os.path.join(os.path.dirname(path), b".new-%d" % os.getpid())
    fd, unfinished = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), [temporary]
    try:
        write_all(fd, 0, head + bitmap)
        os.ftruncate(fd, header.file_length(size))
        os.fsync(fd)
        Disk(temporary, False).close()  # CRE-05: whatever open would refuse
        os.link(temporary, path)  # CRE-06: the file is whole
        unfinished.append(path)
        sync_directory(path)  # CRE-06
        unfinished.remove(path)
    finally:
        for name in unfinished:
            os.unlink(name)  # CRE-04
        os.close(fd)
