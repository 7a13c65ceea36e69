"""
The build of .clusterfuzzlite, tried without a container: $OUT must pass what OSS-Fuzz's own check of a build asks.

build.sh runs with the variables of the image base-builder, in a copy of the repository. Each target must start in
another directory than it was built in, without inputs and on its seeds; be instrumented by the sanitizer and by the
engine; and need no library that the fuzzing machines lack. One target must find a defect that is planted in the copy,
without seeds.
"""

import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from campaign import builds

HOME = builds.ROOT / ".clusterfuzzlite"
PACKAGES = ("library", "fuzz", "oss-fuzz")  # purposes in scripts/packages.txt
BASE = "-O1 -fno-omit-frame-pointer -gline-tables-only -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION"
UNDEFINED = (
    "array-bounds,bool,builtin,enum,function,integer-divide-by-zero,null,object-size,return,returns-nonnull-attribute,"
    "shift,signed-integer-overflow,unreachable,vla-bound,vptr"
)
# As the image sets them, but for the library of C++, which is the system's here.
FLAGS = {
    "address": "-fsanitize=address -fsanitize-address-use-after-scope -fsanitize=fuzzer-no-link",
    "undefined": f"-fsanitize={UNDEFINED} -fno-sanitize-recover={UNDEFINED} -fsanitize=fuzzer-no-link",
    "memory": "-fsanitize=memory -fsanitize-memory-track-origins -fsanitize=fuzzer-no-link",
    "coverage": "-fprofile-instr-generate -fcoverage-mapping -pthread",
}
SANITIZERS = tuple(FLAGS)
# Calls that the instrumented code makes, and how many there are at least.
CALLS = {
    "address": (r"__asan_", 1000),
    "undefined": (r"__ubsan_", 50),
    "memory": (r"__msan_", 1000),
    "coverage": (r"__llvm_profile_", 1),
}
LIBRARIES = re.compile(r"linux-vdso|ld-linux|lib(c|m|dl|rt|pthread|resolv|stdc\+\+|gcc_s)\.so")
COUNTERS_MIN = 100
DEFECT, FINDER, FIND_SECONDS = "tail-not-copied", "fuzz_trace", 60


class Wrong(Exception):
    """A demand of OSS-Fuzz that is not met."""


def demand(holds, text):
    if not holds:
        raise Wrong(text)


def prepare(place):
    """$SRC: the repository as it stands, and the source of jansson, which is fetched once."""
    source, jansson = place / "src", builds.WORK / "jansson"
    if not (jansson / "CMakeLists.txt").exists():
        subprocess.run([HOME / "fetch-jansson", jansson], check=True, stdout=subprocess.DEVNULL)
    files = subprocess.run(
        ["git", "-C", builds.ROOT, "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, check=True
    )
    for name in files.stdout.split("\n"):
        if name and (builds.ROOT / name).exists():
            (source / "add-cow" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(builds.ROOT / name, source / "add-cow" / name, follow_symlinks=False)
    shutil.copytree(jansson, source / "jansson", symlinks=True)
    return source


def run_build(place, source, sanitizer):
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(place),
        "SRC": str(source),
        "OUT": str(place / "out"),
        "WORK": str(place / "work"),
        "SANITIZER": sanitizer,
        "FUZZING_ENGINE": "libfuzzer",
        "ARCHITECTURE": "x86_64",
        "CC": "clang-19",
        "CXX": "clang++-19",
        "CFLAGS": f"{BASE} {FLAGS[sanitizer]}",
        "CXXFLAGS": f"{BASE} {FLAGS[sanitizer]}",
        "LIB_FUZZING_ENGINE": "-fsanitize=fuzzer",
    }
    for name in ("OUT", "WORK"):
        Path(environment[name]).mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [source / "add-cow/.clusterfuzzlite/build.sh"],
        cwd=source,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    demand(done.returncode == 0, f"build.sh fails\n{done.stdout[-1500:]}{done.stderr[-1500:]}")
    return place / "out"


def start(program, *words, profile=os.devnull):
    """Executes a target away from where it was built, with an environment as on a fuzzing machine."""
    with tempfile.TemporaryDirectory(prefix="not-out.") as elsewhere:
        copy = shutil.copy2(program, elsewhere)
        environment = {"PATH": "/usr/bin:/bin", "LLVM_PROFILE_FILE": str(profile), **builds.SANITIZERS}
        return subprocess.run(
            [copy, *words],
            cwd=elsewhere,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )


def check_starts(out, target, place):
    seeds = place / "seeds" / target
    with zipfile.ZipFile(out / f"{target}_seed_corpus.zip") as archive:
        archive.extractall(seeds)
        count = len(archive.namelist())
    demand(count > 0, "it has no seeds")
    done = start(out / target, "-runs=4", "-seed=1337", "-len_control=0")
    demand(done.returncode == 0, f"it does not start\n{done.stderr[-1500:]}")
    counters = re.search(r"Loaded \d+ modules\s+\((\d+) inline 8-bit counters\)", done.stderr)
    done = start(out / target, *sorted(seeds.iterdir()), profile=place / "profile")
    demand(done.returncode == 0, f"a seed fails\n{done.stderr[-1500:]}")
    return count, int(counters.group(1)) if counters else 0


def count_calls(program, pattern, least):
    """How many calls of these functions the code makes. Counts no further than to the least that there must be."""
    call = re.compile(rf"(?:call|jmp)\S*\s.*<{pattern}")
    command = ["llvm-objdump-19", "-d", "--no-show-raw-insn", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listing:
        found = sum(1 for _ in itertools.islice(filter(call.search, listing.stdout), least))
        listing.kill()
    return found


def check_instrumented(out, target, sanitizer, counters, place):
    pattern, least = CALLS[sanitizer]
    if sanitizer == "coverage":
        demand((place / "profile").stat().st_size > 0, "it writes no profile")
    else:
        demand(counters >= COUNTERS_MIN, f"the engine sees {counters} counters only")
        calls = count_calls(out / target, pattern, least)
        demand(calls >= least, f"{calls} calls of {pattern} only")
    libraries = subprocess.run(["ldd", out / target], capture_output=True, text=True, check=True).stdout
    strange = [line.strip() for line in libraries.split("\n") if line.strip() and not LIBRARIES.search(line)]
    demand(not strange, f"it needs {', '.join(strange)}")


def check_target(out, target, sanitizer, place):
    for name in (
        target,
        f"{target}_seed_corpus.zip",
        f"{target}.options",
        *(path.name for path in builds.dictionary(target)),
    ):
        demand((out / name).exists(), f"{name} is missing")
    demand(not (out / f"{target}.dict").is_symlink(), "its dictionary is a link")
    with tempfile.TemporaryDirectory(dir=place) as own:
        seeds, counters = check_starts(out, target, Path(own))
        check_instrumented(out, target, sanitizer, counters, Path(own))
    print(f"  {target}: starts, passes {seeds} seeds, is instrumented", flush=True)


def check_planted(place, source, sanitizer):
    """The same build of an engine with a defect. Its fuzzers must find the defect without seeds."""
    sys.path.insert(0, str(builds.ROOT / "mutants" / "tool"))
    import mutation

    (patch,) = mutation.read_patches(builds.ROOT / "mutants" / "engine", [DEFECT])
    patch.apply(source / "add-cow")
    out = run_build(place, source, sanitizer)
    done = start(out / FINDER, f"-max_total_time={FIND_SECONDS}", "-seed=1", "-max_len=8192")
    demand(
        done.returncode != 0 and "property violated" in done.stderr,
        f"{FINDER} does not find {DEFECT} in {FIND_SECONDS} s\n{done.stderr[-1500:]}",
    )
    executions = re.findall(r"^#(\d+)\t", done.stderr, re.M)
    print(f"  {FINDER}: finds the planted defect after {executions[-1] if executions else 0} inputs", flush=True)


def check(sanitizer):
    print(f"{sanitizer}:", flush=True)
    with tempfile.TemporaryDirectory(prefix="add-cow-oss-fuzz.") as place:
        place = Path(place)
        source = prepare(place)
        out = run_build(place, source, sanitizer)
        for target in builds.targets():
            try:
                check_target(out, target, sanitizer, place)
            except Wrong as wrong:
                raise Wrong(f"{target}: {wrong}") from wrong
        if sanitizer != "coverage":
            check_planted(place, source, sanitizer)


def command(options):
    """Exit status 1 if OSS-Fuzz would refuse what build.sh makes."""
    builds.need(*PACKAGES)
    for sanitizer in options.sanitizer or SANITIZERS:
        try:
            check(sanitizer)
        except Wrong as wrong:
            print(f"oss-fuzz: {sanitizer}: {wrong}")
            return 1
    print("oss-fuzz: all as it must be")
    return 0
