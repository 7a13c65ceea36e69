"""
A symbolic disk: contents are lists of spans, and operations cut and paint spans as section 6 of the specification says.

What a case must find is computed here from offsets and patterns, and never by an engine.
"""

IMAGE, BACKING, DATA, OTHER = (
    9,
    1,
    2,
    3,
)  # patterns: image files hold IMAGE where nothing is allocated, which must never show
K = 1024


class Canvas:
    """Bytes [0, length): each is zero (None) or of a pattern."""

    def __init__(self, length, pattern=None):
        self.spans = [(0, length, pattern)] if length else []
        self.length = length

    def cut(self, begin, end):
        return [(max(a, begin), min(b, end), p) for a, b, p in self.spans if a < end and b > begin]

    def paint(self, begin, end, pattern):
        self.put([(begin, end, pattern)] if begin < end else [])

    def put(self, spans):
        if spans:
            begin, end = spans[0][0], spans[-1][1]
            self.spans = self.cut(0, begin) + spans + self.cut(end, self.length)

    def resize(self, length):
        self.spans = self.cut(0, length)
        if length > self.length:
            self.spans.append((self.length, length, None))
        self.length = length


def joined(spans):
    result = []
    for a, b, p in spans:
        if result and result[-1][1] == a and result[-1][2] == p:
            result[-1] = (result[-1][0], b, p)
        elif a < b:
            result.append((a, b, p))
    return result


def as_json(spans, zeros=True):
    limit = 64 << 20
    pieces = [(at, min(b, at + limit), p) for a, b, p in joined(spans) for at in range(a, b, limit)]
    return [
        {"at": a, "length": b - a, **({"zero": True} if p is None else {"pattern": p})}
        for a, b, p in pieces
        if zeros or p is not None
    ]


class Disk:
    """Sections 5, 6, 8 and 9 on spans."""

    def __init__(self, bits, size, backing=None, allocated=(), layout="r20", flag=False, image=None, below=None):
        self.bits, self.cluster, self.size = bits, 1 << bits, size
        self.layout, self.flag, self.allocated = layout, flag, set(allocated)
        self.image = image or Canvas(size, IMAGE)
        self.backing = below or (None if backing is None else Canvas(backing, BACKING))
        self.start = self.files()

    def header_size(self):
        return max(4096, self.cluster) if self.layout == "r20" else 4096

    def count(self):
        return -(-self.size // self.cluster)

    def bitmap_length(self):
        needed = -(-self.count() // 8)
        return -(-needed // self.cluster) * self.cluster if self.layout == "r20" else needed

    def bitmap(self, zeros, end=None):
        """Spans of the metadata file that say every bit; up to `end` if it is longer than a writer would make it."""
        begin, end = self.header_size(), end or self.header_size() + self.bitmap_length()
        groups = {}
        for k in self.allocated:
            groups[k // 8] = groups.get(k // 8, 0) | 1 << k % 8
        spans, at = [], begin
        for index in sorted(groups):
            if zeros and begin + index > at:
                spans.append({"at": at, "length": begin + index - at, "zero": True})
            if spans and "hex" in spans[-1] and at == begin + index:
                spans[-1]["hex"] += f" {groups[index]:02x}"
            else:
                spans.append({"at": begin + index, "hex": f"{groups[index]:02x}"})
            at = begin + index + 1
        if zeros and at < end:
            spans += as_json([(at, end, None)])
        return spans

    def files(self):
        has = self.backing is not None
        if self.layout == "r9":
            content = [
                {"at": 0, "text": "ADD_COW"},
                {"at": 7, "hex": "ff"},
                {"at": 8, "le32": [1]},
                {"at": 12, "text": "backing.raw"},
                {"at": 1036, "text": "image.raw"},
            ]
        else:
            content = header(self.bits, has, 1 if self.flag else 0)
        files = [
            {
                "path": "disk.addcow",
                "size": self.header_size() + self.bitmap_length(),
                "content": content + self.bitmap(False),
            },
            canvas_file("image.raw", self.image),
        ]
        return files + ([canvas_file("backing.raw", self.backing)] if has else [])

    def virt(self, begin, end):
        """VRT-02 to VRT-04."""
        spans = []
        while begin < end:
            k = begin // self.cluster
            stop = min(end, (k + 1) * self.cluster)
            if self.flag or k in self.allocated:
                spans += self.image.cut(begin, stop)
            else:
                limit = min(stop, max(begin, self.backing.length)) if self.backing else begin
                spans += self.backing.cut(begin, limit) if limit > begin else []
                spans += [(limit, stop, None)] if limit < stop else []
            begin = stop
        return joined(spans)

    def write(self, begin, end, pattern):
        """WR-01 to WR-05; a pattern of None is zero or discard."""
        for k in range(begin // self.cluster, -(-end // self.cluster)):
            self.allocate(k)
        self.image.paint(begin, end, pattern)

    def allocate(self, k):
        begin, end = k * self.cluster, min(self.size, (k + 1) * self.cluster)
        self.image.put(self.virt(begin, end))
        self.allocated.add(k)

    def resize(self, size):
        """RSZ-01 to RSZ-06."""
        old, length = self.size, self.backing.length if self.backing else 0
        shown = range(old // self.cluster, -(-min(size, length) // self.cluster)) if min(size, length) > old else ()
        if old % self.cluster and old // self.cluster in shown:
            self.allocate(old // self.cluster)
        self.size = size
        self.image.resize(size)
        self.allocated = {k for k in self.allocated if k < self.count()} | set(shown)
        if self.flag:
            self.allocated = set(range(self.count()))

    # Steps

    def read(self, begin=0, end=None):
        end = self.size if end is None else end
        return {"op": "read", "offset": begin, "length": end - begin, "expect": as_json(self.virt(begin, end))}

    def map(self, begin, end, whole=False):
        k = first = begin // self.cluster
        status = first in self.allocated
        while k * self.cluster < end and (k in self.allocated) == status:
            k += 1
        return {
            "op": "map",
            "offset": begin,
            "length": end - begin,
            "allocated": status,
            "run": min(k * self.cluster, end) - begin,
        }

    def check_bitmap(self, end=None):
        length = {} if end is None else {"length": end}
        return {"op": "file", "path": "disk.addcow", **length, "content": self.bitmap(True, end)}

    def check_image(self):
        return {"op": "file", "path": "image.raw", "length": self.size, "content": as_json(self.image.spans)}

    def check_backing(self):
        return {
            "op": "file",
            "path": "backing.raw",
            "length": self.backing.length,
            "content": as_json(self.backing.spans),
        }

    def check_all(self):
        return [{"op": "close"}, self.check_image(), self.check_bitmap()] + (
            [self.check_backing()] if self.backing else []
        )


def canvas_file(path, canvas):
    return {"path": path, "size": canvas.length, "content": as_json(canvas.spans, zeros=False)}


def header(bits, has_backing=True, compatible=0):
    names = ([76, 11, 87, 9] if has_backing else [0, 0, 76, 9]) + [bits]
    flag = [{"at": 24, "le64": [0, compatible]}] if compatible else []
    backing = [{"at": 44, "text": "raw"}] if has_backing else []
    return (
        [{"at": 0, "text": "ACOW"}, {"at": 4, "le32": names}]
        + flag
        + [{"at": 40, "le32": [max(4096, 1 << bits)]}]
        + backing
        + [{"at": 60, "text": "raw"}, {"at": 76, "text": "backing.rawimage.raw" if has_backing else "image.raw"}]
    )


OPEN_RW = {"op": "open", "path": "disk.addcow", "mode": "rw"}
OPEN_RO = {"op": "open", "path": "disk.addcow", "mode": "ro"}


def need_r9(disk):
    return ["r9"] if disk.layout == "r9" else []
