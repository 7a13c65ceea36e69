"""The targets, and how each engine has them built."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FUZZ = ROOT / "fuzz"
SOURCE = ROOT
WORK = ROOT / "build" / "fuzz"
PARTS = ("mk", "fast", "ref", "harness", "fuzz")  # of the sources, that the targets are built from
MAX_LENGTH = 8192  # bytes of an input
PACKAGES = {
    "replay": (),
    "libfuzzer": ("clang-19", "libclang-rt-19-dev"),
    "cover": ("clang-19", "libclang-rt-19-dev", "llvm-19"),
    "afl": ("afl++",),
}
COVERAGE = "-fprofile-instr-generate -fcoverage-mapping"
# What each engine is built with; all else is the Makefile's.
SETTINGS = {
    "replay": ["CC=gcc"],
    "libfuzzer": ["CC=clang-19", "SAN=address,undefined,fuzzer-no-link", "LIB_FUZZING_ENGINE=-fsanitize=fuzzer"],
    # Assertions hold, so what would happen if one did not is not to be covered.
    "cover": ["CC=clang-19", f"OPT=-O1 -g -DNDEBUG {COVERAGE} -fcoverage-mcdc", f"FUZZ_LD=clang-19 {COVERAGE}"],
    "afl": ["CC=afl-clang-fast", "LIB_FUZZING_ENGINE=-fsanitize=fuzzer"],
    "afl-cmplog": ["CC=afl-clang-fast", "LIB_FUZZING_ENGINE=-fsanitize=fuzzer"],
    "afl-asan": ["CC=afl-clang-fast", "SAN=address,undefined", "LIB_FUZZING_ENGINE=-fsanitize=fuzzer"],
}
ENVIRONMENT = {"afl-cmplog": {"AFL_LLVM_CMPLOG": "1"}}
SANITIZERS = {
    "ASAN_OPTIONS": "abort_on_error=1:symbolize=0:detect_leaks=0",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}


def targets():
    return sorted(path.stem for path in FUZZ.glob("targets/fuzz_*.c"))


def is_structured(target):
    """Whether its inputs have the sections of fuzz.h, which the custom mutator knows."""
    return target not in ("fuzz_encode", "fuzz_json", "fuzz_protocol")


def fail(message):
    print(f"run: {message}", file=sys.stderr)
    sys.exit(2)


def need(*packages):
    if packages and subprocess.run([ROOT / "scripts/need", *packages], check=False).returncode != 0:
        sys.exit(2)


def processors():
    """How many there are for this process: `taskset` and the like are heeded."""
    return len(os.sched_getaffinity(0))


def environment(**more):
    return dict(os.environ, AFL_QUIET="1", **SANITIZERS, **more)


def goals(engine, chosen):
    return [f"fuzz/{name}" for name in [*chosen, *(("make_seeds", "mutator_afl.so") if engine == "replay" else ())]]


def take_defect(name):
    """From now on, builds are of an engine with this defect of mutants/, in a copy of the sources; and findings are its own."""
    global SOURCE, WORK
    sys.path.insert(0, str(ROOT / "mutants" / "tool"))
    import mutation

    try:
        (patch,) = mutation.read_patches(ROOT / "mutants" / "engine", [name])
        WORK = ROOT / "build" / "fuzz" / "defects" / name
        SOURCE = WORK / "source"
        for part in PARTS:
            shutil.copytree(ROOT / part, SOURCE / part, dirs_exist_ok=True)
        shutil.copy2(ROOT / "GNUmakefile", SOURCE)
        patch.apply(SOURCE)
    except mutation.Broken as problem:
        fail(problem)


def renew(out, known, settings):
    """Forgets what was built with other settings than these, which make does not look at."""
    known.seek(0)
    if known.read() != " ".join(settings):
        shutil.rmtree(out)
        out.mkdir()
        known.truncate(0)
        known.write(" ".join(settings))


def build(engine, chosen):
    """Builds the targets for an engine; returns where they are. Jobs that begin at once wait for one another."""
    need(*PACKAGES[engine.split("-")[0]])
    out = WORK / "builds" / engine
    out.mkdir(parents=True, exist_ok=True)
    command = ["make", "-s", "-C", SOURCE, f"-j{processors()}", f"B={out}", *SETTINGS[engine], *(f"{out}/{goal}" for goal in goals(engine, chosen))]
    with open(WORK / "builds" / f"{engine}.lock", "a+", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        renew(out, lock, SETTINGS[engine])
        done = subprocess.run(command, env=environment(**ENVIRONMENT.get(engine, {})), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        fail(f"the build for {engine} fails\n{done.stdout}{done.stderr}")
    return out / "fuzz"


def inputs_of(target):
    """The directories of the repository that hold inputs of a target."""
    places = (FUZZ / "seeds" / target, FUZZ / "regressions" / target)
    return [place for place in places if place.is_dir() and any(place.iterdir())]


def dictionary(target):
    path = FUZZ / "targets" / f"{target}.dict"
    return [path] if path.exists() else []


def replay(program, paths, **more):
    """Runs a target on inputs, whatever engine it is built for."""
    return subprocess.run([program, *paths], env=environment(**more), capture_output=True, text=True, errors="replace", check=False)
