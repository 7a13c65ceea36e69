"""The targets, and how each engine has them built."""

import fcntl
import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FUZZ = ROOT / "fuzz"
SOURCE = ROOT  # what is built
WORK = ROOT / "build" / "fuzz"  # what campaigns leave
PARTS = ("mk", "fast", "ref", "harness", "fuzz")  # of the sources, from which the targets are built
MAX_LENGTH = 8192  # bytes of an input
PACKAGES = {  # purposes in scripts/packages.txt
    "replay": ("library", "command"),
    "libfuzzer": ("library", "command", "fuzz"),
    "cover": ("library", "command", "fuzz", "cover"),
    "afl": ("library", "command", "fuzz", "afl"),
}
COVERAGE = "-fprofile-instr-generate -fcoverage-mapping"
# The variables of make for each engine.
SETTINGS = {
    "replay": ["CC=gcc"],
    "libfuzzer": ["CC=clang-19", "SAN=address,undefined,fuzzer-no-link", "LIB_FUZZING_ENGINE=-fsanitize=fuzzer"],
    # Without assertions: the outcome that an assertion rules out need not be covered.
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


def source_of(target):
    return (FUZZ / "targets" / f"{target}.c").read_text(encoding="utf-8")


def is_structured(target):
    """Whether its inputs have the sections of fuzz.h, which the custom mutator knows."""
    return "fuzz_split" in source_of(target)


def fail(message):
    print(f"fuzz/run: {message}", file=sys.stderr)
    sys.exit(2)


def need(*purposes):
    """Names the packages of scripts/packages.txt that are missing, and fails. The caller may install them."""
    command = [ROOT / "scripts/need", *purposes]
    if subprocess.run(command, env=dict(os.environ, NO_INSTALL="1"), check=False).returncode != 0:
        sys.exit(2)


def processors():
    """How many this process may use: `taskset` and the like are heeded."""
    return len(os.sched_getaffinity(0))


def environment(**more):
    return dict(os.environ, AFL_QUIET="1", **SANITIZERS, **more)


# ---- Sources with a defect ----


def copy_with(patch, directory):
    """Makes a copy of the sources with a patch of mutants/ applied."""
    shutil.rmtree(directory, ignore_errors=True)
    for part in PARTS:
        shutil.copytree(ROOT / part, directory / part)
    shutil.copy2(ROOT / "GNUmakefile", directory)
    patch.apply(directory)


def take_defect(name):
    """From now on, builds are of an engine with this defect of mutants/, and findings are its own."""
    global SOURCE, WORK
    sys.path.insert(0, str(ROOT / "mutants" / "tool"))
    import mutation

    try:
        (patch,) = mutation.read_patches(ROOT / "mutants" / "engine", [name])
        WORK = ROOT / "build" / "fuzz" / "defects" / name
        SOURCE = WORK / "source"
        copy_with(patch, SOURCE)
    except mutation.Broken as problem:
        fail(problem)


# ---- Building ----


def place_of(engine):
    """The directory of a build, below the sources. Replaying uses the ordinary build, which `make` makes too."""
    return "build/gcc" if engine == "replay" else f"build/fuzz/builds/{engine}"


def make(source, engine, goals, *variables):
    """Builds goals, below the engine's directory of a tree of sources. Jobs that begin at once wait for one another."""
    out = source / place_of(engine)
    out.mkdir(parents=True, exist_ok=True)
    settings = SETTINGS[engine]
    words = [f"-j{processors()}", f"B={place_of(engine)}", *settings, *variables]
    command = ["make", "-s", "-C", source, "--no-print-directory", *words]
    with open(f"{out}.lock", "a+", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        renew(out, lock, settings)
        done = subprocess.run(
            [*command, *(f"{place_of(engine)}/{goal}" for goal in goals)],
            env=environment(**ENVIRONMENT.get(engine, {})), capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode != 0:
        fail(f"the build for {engine} fails\n{done.stdout}{done.stderr}")
    return out / "fuzz"


def renew(out, known, settings):
    """Removes what was built with other settings than these, which make does not notice."""
    known.seek(0)
    before = known.read()
    if before != " ".join(settings):
        if before:
            shutil.rmtree(out)
            out.mkdir()
        known.truncate(0)
        known.write(" ".join(settings))


def touch_changes(source):
    """
    Makes each file that differs from the repository's newer than every object. The patch may be older than the build
    that the copy begins with, and then make would compile nothing.
    """
    for part in PARTS:
        for path in (source / part).rglob("*.[ch]"):
            if path.read_bytes() != (ROOT / path.relative_to(source)).read_bytes():
                path.touch()


def build_copy(source, engine, chosen):
    """
    Builds targets in a copy of the sources. It begins with what is built of the repository, so that only what the copy
    changes is compiled again.
    """
    built = make(ROOT, engine, [f"fuzz/{target}" for target in chosen]).parent
    out = source / place_of(engine)
    if not out.exists():
        shutil.copytree(built, out, ignore=lambda _, names: [name for name in names if name in targets()])
    touch_changes(source)
    return make(source, engine, [f"fuzz/{target}" for target in chosen], "WARNINGS=-w")


def build(engine, chosen):
    """Builds the targets for an engine; returns the directory where they are."""
    need(*PACKAGES[engine.split("-")[0]])
    if SOURCE != ROOT:
        return build_copy(SOURCE, engine, chosen)
    return make(ROOT, engine, [f"fuzz/{target}" for target in chosen])


def mutator():
    """The custom mutator as AFL++ loads it. It does not depend on the engine under test."""
    return make(ROOT, "replay", ["fuzz/mutator_afl.so"]) / "mutator_afl.so"


# ---- Inputs ----


@functools.cache
def generated_seeds():
    """The directory where the seeds that generators make stand, a directory for each target."""
    return make(ROOT, "replay", ["fuzz/seeds"]) / "seeds"


def inputs_of(target):
    """The directories with inputs of a target: generated seeds, those of the repository, and regressions."""
    places = (generated_seeds() / target, FUZZ / "seeds" / target, FUZZ / "regressions" / target)
    return [place for place in places if place.is_dir() and any(place.iterdir())]


def dictionary(target):
    path = FUZZ / "targets" / f"{target}.dict"
    return [path] if path.exists() else []


def replay(program, paths, timeout=None, **more):
    """Executes a target on inputs, whatever engine it is built for, with more variables of the environment."""
    variables = environment() | more
    command = [program, *paths]
    options = {"capture_output": True, "text": True, "errors": "replace", "check": False}
    return subprocess.run(command, env=variables, timeout=timeout, **options)
