"""
Failures: their kinds, the smallest input of each kind, and its report.

An input is minimised piece by piece, as long as it fails in the same way. An operation of a trace is one piece, so that
the result can be read.
"""

import hashlib
import re
import shutil
import struct
import subprocess
from pathlib import Path

from campaign import builds, engines, inputs

REPLAY_SECONDS = 20
SYMBOLS = {
    "ASAN_OPTIONS": "abort_on_error=1:symbolize=1:detect_leaks=0",
    "ASAN_SYMBOLIZER_PATH": "/usr/bin/llvm-symbolizer-19",
}
# Beginnings of the lines of a report that name the failure, the most specific first.
TELLING = (
    r"SUMMARY: (\w+Sanitizer: .*)",
    r"runtime error: (.*)",
    r"(Assertion .*)",
    r"^\s*(\S.*\([A-Z][A-Z0-9]{2}-\d\d.*\).*)",
    r"fuzz: (property violated: .*)",
    r"ERROR: (.*)",
)


def kind_of(text):
    """What distinguishes failures: the message of the judge or the sanitizer, without numbers."""
    for pattern in TELLING:
        match = re.search(pattern, text, re.M)
        if match:
            return re.sub(r"0x[0-9a-f]+|\d+", "N", match.group(1).strip())
    return "ends without a word"


def told(text):
    """A report without the messages of the engine about itself, and without the trace of the abort."""
    lines = re.sub(r"==\d+==\s*ERROR: libFuzzer: deadly signal.*", "", text, flags=re.S).split("\n")
    return "\n".join(
        line
        for line in lines
        if not re.match(r"INFO: |Running: |.*: Running \d+ inputs|.*Reading \d+ bytes|Warning: ", line)
    )


class Judge:
    """What a build of the target says about an input."""

    def __init__(self, target, engine):
        self.engine, self.program = engine, builds.build(engine, [target]) / target

    def report(self, path, more=None):
        """The kind of the failure, or None, and all that was said."""
        try:
            done = builds.replay(self.program, [path], timeout=REPLAY_SECONDS, **(more or {}))
        except subprocess.TimeoutExpired:
            return "hangs", f"it still runs after {REPLAY_SECONDS} s\n"
        return (kind_of(done.stderr) if done.returncode != 0 else None), done.stderr


def number_of(name):
    """A constant of the form of traces."""
    text = (builds.ROOT / "harness/workload/trace.h").read_text(encoding="utf-8")
    return int(re.search(rf"#define {name} (\d+)", text).group(1))


class Pieces:
    """An input as the pieces that minimising may remove, by section: those of fuzz.h, or one for text."""

    def __init__(self, target, data):
        self.sections = []
        if builds.is_structured(target):
            for unit, head in ((1, 0), (number_of("TRACE_OPERATION_BYTES"), number_of("TRACE_HEADER_BYTES"))):
                count = min(struct.unpack_from("<H", data.ljust(2, b"\0"))[0], max(len(data) - 2, 0))
                self.add(data[2 : 2 + count], unit, head, True)
                data = data[2 + count :]
        self.add(data, 1, 3 if builds.is_structured(target) else 0, False)

    def add(self, data, unit, head, counted):
        pieces = [data[at : at + unit] for at in range(head, len(data), unit)]
        self.sections.append((counted, data[:head], pieces))

    def join(self):
        out = b""
        for counted, head, pieces in self.sections:
            data = head + b"".join(pieces)
            out += (struct.pack("<H", len(data)) if counted else b"") + data
        return out


def shrink(judge, target, path, out):
    """Writes to `out` a smallest input that fails as `path` does: no single piece of it can be removed."""
    kind = judge.report(path)[0]
    shutil.copy(path, out)
    candidate = out.with_suffix(".candidate")
    pieces = Pieces(target, path.read_bytes())
    for _, _, section in pieces.sections:
        size = len(section)
        while size > 0:
            at, changed = 0, False
            while at < len(section):
                gone = section[at : at + size]
                del section[at : at + size]
                candidate.write_bytes(pieces.join())
                if judge.report(candidate)[0] == kind:
                    candidate.replace(out)
                    changed = True
                else:
                    section[at:at] = gone
                    at += size
            size = size if changed and size == 1 else size // 2
    candidate.unlink(missing_ok=True)
    return out


def failures_of(target):
    """Every failing input that campaigns have left."""
    return [path for engine in ("libfuzzer", "afl") for path in inputs.findings_below(builds.WORK / engine / target)]


def sort(target, paths):
    """{kind: (judge, inputs)}. The build of libFuzzer judges, then that of AFL++; the kind None passes in both."""
    kinds = {}
    judges = []
    for path in paths:
        kind, judge = None, None
        for engine in ("libfuzzer", "afl"):
            judge = next((known for known in judges if known.engine == engine), None)
            if not judge:
                judge = Judge(target, engine)
                judges.append(judge)
            kind = judge.report(path)[0]
            if kind:
                break
        kinds.setdefault(kind, (judge, []))[1].append(path)
    return kinds


def tell(target, kind, judge, paths):
    """Shrinks the smallest input of a kind, and stores it with a report."""
    place = builds.WORK / "findings" / target
    place.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(kind.encode()).hexdigest()[:12]
    small = shrink(judge, target, min(paths, key=lambda path: path.stat().st_size), place / name)
    story = told(judge.report(small, SYMBOLS)[1])
    size = small.stat().st_size
    text = f"{kind}\nbuild: {judge.engine}; {size} bytes, the smallest of {len(paths)} such inputs\n\n{story}"
    small.with_suffix(".txt").write_text(text, encoding="utf-8")
    print(f"\n{len(paths)} inputs: {kind}\n  {small}, {small.stat().st_size} bytes\n{story[-3000:]}")
    kept = hashlib.sha256(small.read_bytes()).hexdigest()[:12]  # one kind of failure can have several causes
    print(f"to keep it: mkdir -p fuzz/regressions/{target} && cp {small} fuzz/regressions/{target}/{kept}")


def command_triage(options):
    kinds = sort(options.target, failures_of(options.target))
    passing = kinds.pop(None, (None, []))[1]
    for kind, (judge, paths) in kinds.items():
        tell(options.target, kind, judge, paths)
    for path in passing:
        print(f"does not fail again: {path}")
    print(f"triage: {len(kinds)} kinds of failure")
    return 1 if kinds or passing else 0


def command_min(options):
    judge = Judge(options.target, "libfuzzer")
    kind = judge.report(options.file)[0]
    if not kind:
        builds.fail(f"{options.file} does not fail")
    out = shrink(judge, options.target, options.file, Path(f"{options.file}.min"))
    print(f"{out}: {out.stat().st_size} bytes: {kind}")
    return 0
