"""The automatic set: every small mistake that operators.py makes in the engine, before the judges, in bulk.

What costs is kept small. All that a judge is made of is built once; a mutant is one file, compiled again, and linked
with the rest when a judge needs it. A mutant that the compiler refuses is none. One whose optimised code is that of the
engine, or of a mutant before it, says nothing new and is left out. The others meet the judges from the cheapest to the
dearest, until one notices.

What survives is a check that is missing, or it is listed in equivalent.txt with the reason why no check could notice.
"""

import fcntl
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import judging
import mutation
import operators

LIST = mutation.ROOT / "mutants" / "engine" / "equivalent.txt"
CFLAGS = [
    "-std=c11",
    "-O2",
    "-fPIC",
    "-fvisibility=hidden",
    "-pthread",
    "-D_GNU_SOURCE",
    "-D_FILE_OFFSET_BITS=64",
    "-Werror=incompatible-pointer-types",
    "-Werror=int-conversion",
]
SCHEDULED = ["-include", "harness/sched/addcow_sync.h"]
PLAIN, ADDRESS, THREAD = (), ("-fsanitize=address,undefined", "-fno-sanitize-recover=all"), ("-fsanitize=thread",)
VARIANTS = {
    PLAIN: ("plain", "OPT=-O2"),
    ADDRESS: ("address", "OPT=-O1", "SAN=address,undefined"),
    THREAD: ("thread", "OPT=-O1", "SAN=thread"),
}
LIBRARIES = {
    "hunt": ["-ljansson"],
    "gate": ["-ljansson"],
    "tests/test_memory": ["-lcmocka", "-Wl,--wrap=malloc,--wrap=calloc,--wrap=strdup,--wrap=strndup"],
}
HANG_SECONDS = 240  # nothing below takes 10 on an idle machine
CPU_SECONDS = {
    "hunt": 30,
    "gate": 60,
    "tests/test_crash": 60,
    "tests/test_death": 30,
    "tests/test_fault": 60,
}  # of what is done; it takes a tenth of that
CPU_SECONDS_TEST = 6

# Programs that run the engine under the scheduler; the others have it on real threads.
UNDER_SCHEDULER = {"hunt", "tests/test_sched_engine", "tests/test_crash", "tests/test_death", "tests/test_fault"}

GATE = ["gate", "--impl", "fast", "--tap", "--timeout", "20", "--corpus", str(mutation.ROOT / "corpus")]
EXPLORE = ["hunt", "explore", "--seed", "1", "--brief", "--traces"]
HUNT = ["hunt", "stress", "--seed", "1", "--hang", "100", "--traces"]


def units(*names):
    return [[f"tests/test_{name}"] for name in names]


# Judges and what they run, from the cheapest to the dearest. They do so many workloads, not so many seconds: the same
# on every machine.
JUDGES = {
    "units": (
        PLAIN,
        units(
            "fast_durability",
            "fast_failing",
            "memory",
            "storage_posix",
            "resize",
            "stream",
            "commit",
            "maintain_edges",
            "maintain_calls",
            "fast",
            "open",
            "fast_threads",
            "waiting_threads",
        ),
    ),
    "create": (
        PLAIN,
        [["tests/test_links"], ["tests/test_check_findings"], ["tests/test_check"], ["tests/test_create"]],
    ),
    "fault": (PLAIN, [EXPLORE + ["200", "--judge", "fault"]]),
    "crash": (PLAIN, [EXPLORE + ["100", "--judge", "crash"]]),
    "scheduler": (PLAIN, [EXPLORE + ["80", "--judge", "schedule"]]),
    "hunt": (PLAIN, [HUNT + ["25"]]),
    "corpus": (PLAIN, [GATE]),
    "scopes": (PLAIN, [["tests/test_sched_engine"], ["tests/test_fault"], ["tests/test_death"], ["tests/test_crash"]]),
    "memory": (
        ADDRESS,
        [
            *units(
                "storage_posix",
                "fast_durability",
                "fast_failing",
                "memory",
                "resize",
                "stream",
                "commit",
                "maintain_edges",
                "maintain_calls",
                "fast",
                "open",
            ),
            HUNT + ["3"],
        ],
    ),
    "races": (THREAD, [*units("fast_threads", "waiting_threads"), HUNT + ["8"]]),
}

# Files that only creating and checking reach, and what judges those.
OUTSIDE = {"create.c", "check.c", "links.c"}
JUDGES_OUTSIDE = {
    "create": (
        PLAIN,
        [
            ["tests/test_links"],
            ["tests/test_check_findings"],
            ["tests/test_memory"],
            ["tests/test_check"],
            ["tests/test_create"],
        ],
    ),
    "crash": (PLAIN, [EXPLORE + ["1", "--judge", "crash"]]),
    "corpus": JUDGES["corpus"],
    "scopes": (PLAIN, [["tests/test_crash"]]),
    "memory": (
        ADDRESS,
        [
            ["tests/test_links"],
            ["tests/test_check_findings"],
            ["tests/test_memory"],
            ["tests/test_check"],
            ["tests/test_create"],
        ],
    ),
}


def programs_of(variant):
    both = [*JUDGES.values(), *JUDGES_OUTSIDE.values()]
    return sorted({command[0] for used, commands in both if used == variant for command in commands})


class Base:
    """The unchanged sources, with everything built, in build/automatic; kept there from one run to the next."""

    def __init__(self):
        self.directory = mutation.ROOT / "build" / "automatic"
        self.directory.mkdir(parents=True, exist_ok=True)
        self.alone = open(self.directory / "lock", "w", encoding="utf-8")  # held until this process ends
        try:
            fcntl.flock(self.alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as held:
            raise mutation.Broken(f"{self.directory} is in use by another run") from held
        self.lock = threading.Lock()
        self.ready = set()
        for part in ("mk", "fast", "ref", "harness", "tests/unit"):
            shutil.rmtree(self.directory / part, ignore_errors=True)
            shutil.copytree(mutation.ROOT / part, self.directory / part)
        shutil.copy2(mutation.ROOT / "GNUmakefile", self.directory)

    def objects(self, variant):
        """Where the variant is built, which happens when it is asked for first."""
        name, *settings = VARIANTS[variant]
        with self.lock:
            if variant not in self.ready:
                command = [
                    "make",
                    "-s",
                    "-C",
                    str(self.directory),
                    f"-j{os.cpu_count()}",
                    "--no-print-directory",
                    "WARNINGS=-w",
                    f"B={name}",
                    *settings,
                    *(f"{name}/{program}" for program in programs_of(variant)),
                ]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode != 0:
                    raise mutation.Broken(f"the engine does not build\n{done.stdout}{done.stderr}")
                self.ready.add(variant)
        return self.directory / name

    def text(self, file):
        return (self.directory / "fast" / file).read_text(encoding="utf-8")


def succeeds(command, directory):
    return subprocess.run(command, cwd=directory, capture_output=True, check=False).returncode == 0


class Engine:
    """One file of the engine in another text, compiled and linked as far as it was asked for."""

    def __init__(self, base, scratch, file, text):
        self.base, self.file, self.directory = base, file, scratch
        (scratch / "fast").mkdir()
        (scratch / "fast" / file).write_text(text, encoding="utf-8")

    def compile(self, flags, name):
        """An object file, or None if the compiler refuses."""
        target = self.directory / f"{name}.o"
        includes = [f"-I{self.base.directory / part}" for part in ("ref", "fast", "harness")]
        words = ["gcc", *CFLAGS, *flags, *includes, "-c", "-o", str(target), f"fast/{self.file}"]
        # Found through this directory's name, as the compiler writes it into assertions.
        words = [str(self.base.directory / word) if word == SCHEDULED[1] else word for word in words]
        return target if target.exists() or succeeds(words, self.directory) else None

    def plain(self):
        return self.compile([], "plain")

    def scheduled(self):
        """The engine for the scheduler as one object; see the GNUmakefile."""
        target = self.directory / "engine.o"
        changed = self.compile(SCHEDULED, "scheduled")
        if changed is None:
            return None
        if not target.exists():
            built = self.base.objects(PLAIN) / "sched"
            parts = [built / f"{path.stem}.o" for path in sorted((self.base.directory / "fast").glob("*.c"))]
            parts = [changed if part.stem == pathlib.Path(self.file).stem else part for part in parts]
            if not (
                succeeds(
                    [
                        "ld",
                        "-r",
                        "--force-group-allocation",
                        "-o",
                        str(target),
                        *map(str, parts),
                        str(built / "adapter_fast.o"),
                        str(built / "adapter_scheduled.o"),
                    ],
                    self.directory,
                )
                and succeeds(["objcopy", f"--redefine-syms={built / 'engine.o.names'}", str(target)], self.directory)
            ):
                return None
        return target

    def link(self, program, variant):
        """The program with this engine, or None if it cannot be made: then there is nothing to run."""
        target = self.directory / VARIANTS[variant][0] / program
        if target.exists():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        built = self.base.objects(variant)
        main = (
            next(built.glob(f"tests/unit/*/{target.name}.o"))
            if program.startswith("tests/")
            else built / "harness" / "programs" / f"{program}.o"
        )
        changed = self.plain() if variant == PLAIN else self.compile([*variant, "-g"], VARIANTS[variant][0])
        objects = [main, changed] + ([self.scheduled()] if program in UNDER_SCHEDULER and variant == PLAIN else [])
        if None in objects:
            return None
        libraries = LIBRARIES.get(program, ["-lcmocka", "-ljansson"])
        made = succeeds(
            [
                "gcc",
                *variant,
                "-pthread",
                "-o",
                str(target),
                *map(str, objects),
                str(built / "libharness.a"),
                str(built / "libaddcow.a"),
                *libraries,
            ],
            self.directory,
        )
        return target if made else None


def judges_of(file):
    return JUDGES_OUTSIDE if file in OUTSIDE else JUDGES


def judges_for(mutant, chosen):
    """The names of the judges; only what has to do with locks and atomics can be a race, and the wrong memory order is
    nothing else."""
    names = list(judges_of(mutant.file))
    if mutant.kind == "order":
        names = ["races"]
    elif not any(word in mutant.key[1] for word in ("sync_", "->running")) and mutant.kind != "unlocked":
        names = [name for name in names if name != "races"]
    return [name for name in names if not chosen or name in chosen]


def judge(engine, name):
    """What was noticed, or None; and after how many schedules, if the judge counts them."""
    variant, commands = judges_of(engine.file)[name]
    for program, *words in commands:
        linked = engine.link(program, variant)
        if linked is None:
            continue  # what stands in for the locks has other types: nothing to run
        seconds = CPU_SECONDS.get(program, CPU_SECONDS_TEST) * (1 if variant == PLAIN else 5)
        command = ["prlimit", f"--cpu={seconds}:{seconds + 1}", "--core=0", str(linked), *words]
        noticed, lines = judging.run(command, engine.directory, HANG_SECONDS, is_test=program.startswith("tests/"))
        if noticed:
            return noticed, judging.schedules(lines)
    return None, None


class Excuses:
    """equivalent.txt: blocks of `FILE:FUNCTION`, `- line`, `+ line` and `= reason`, as Mutation.key has them."""

    def __init__(self):
        self.reasons, self.used = {}, set()
        for block in re.split(r"\n\s*\n", LIST.read_text(encoding="utf-8") if LIST.exists() else ""):
            lines = [line for line in block.split("\n") if line and not line.startswith("#")]
            if lines:
                self.add(lines)

    def add(self, lines):
        place, _, number = lines[0].partition(" #")
        parts = {
            sign: " ".join(line[2:].strip() for line in lines[1:] if line.startswith(f"{sign} ")) for sign in "-+="
        }
        if not all(parts.values()):
            raise mutation.Broken(f"equivalent.txt: {lines[0]}: wants lines with -, + and =")
        key = (place, parts["-"], parts["+"]) + ((int(number),) if number else ())
        if key in self.reasons:
            raise mutation.Broken(f"equivalent.txt: {lines[0]}: stands there twice")
        self.reasons[key] = parts["="]

    def of(self, mutant):
        return self.reasons.get(mutant.key)


def block_of(mutant):
    """What equivalent.txt would say of it, without the reason."""
    number = f" #{mutant.key[3]}" if len(mutant.key) > 3 else ""
    return f"{mutant.key[0]}{number}\n- {mutant.key[1]}\n+ {mutant.key[2]}"


class Campaign:
    """A run over many mutants."""

    def __init__(self, options, scratch):
        self.options, self.scratch = options, pathlib.Path(scratch)
        self.base, self.excuses = Base(), Excuses()
        self.lock = threading.Lock()
        self.codes = {}  # the optimised code of the engine and of all mutants so far: whose it is
        self.counts = dict.fromkeys(("killed", "SURVIVED", "STALE", "equivalent", "refused", "same"), 0)
        self.killers = {}

    def mutants(self):
        """All of them, or a sample."""
        files = sorted(path.name for path in (self.base.directory / "fast").glob("*.c"))
        if set(self.options.file) - set(files):
            raise mutation.Broken(f"no such file: {', '.join(sorted(set(self.options.file) - set(files)))}")
        found = [
            mutant
            for file in files
            if not self.options.file or file in self.options.file
            for mutant in operators.mutations_of(file, self.base.text(file))
        ]
        self.check_excuses(found, files)
        if self.options.only:
            found = [mutant for mutant in found if any(text in mutant.name for text in self.options.only)]
        if self.options.listed or self.options.unlisted:
            found = [mutant for mutant in found if bool(self.excuses.of(mutant)) == self.options.listed]
        if self.options.sample and self.options.sample < len(found):
            chosen = set(random.Random(self.options.seed).sample(range(len(found)), self.options.sample))
            found = [mutant for i, mutant in enumerate(found) if i in chosen]
        return found

    def check_excuses(self, found, files):
        """An excuse for a mutation that cannot be made any more has to go."""
        keys = {mutant.key for mutant in found}
        looked_at = self.options.file or files
        lost = [
            key[0]
            for key in self.excuses.reasons
            if key not in keys and (key[0].partition(":")[0] in looked_at or key[0].partition(":")[0] not in files)
        ]
        if lost:
            raise mutation.Broken("equivalent.txt: no such mutation: " + ", ".join(sorted(lost)))

    def engine(self, file, text):
        return Engine(self.base, pathlib.Path(tempfile.mkdtemp(dir=self.scratch)), file, text)

    def tell(self, verdict, mutant, rest):
        with self.lock:
            self.counts[verdict] += 1
            if verdict not in ("refused", "same") or self.options.verbose:
                print(f"{verdict:<9} {mutant.name}: {rest}", flush=True)

    def owner_of(self, mutant, engine):
        """Whose optimised code this mutant's is: its own, the engine's, another one's. None if the compiler refuses
        it."""
        flags, name = ([*THREAD, "-g"], "thread") if mutant.kind == "order" else ([], "plain")
        made = engine.compile(flags, name)
        if made is None:
            return None
        code = mutant.kind == "order", made.read_bytes()
        with self.lock:
            return self.codes.setdefault(code, mutant.name)

    def learn_original(self, file):
        engine = self.engine(file, self.base.text(file))
        for flags, name in (([], "plain"), ([*THREAD, "-g"], "thread")):
            made = engine.compile(flags, name)
            if made is None:
                raise mutation.Broken(f"{file} does not compile")
            self.codes[name == "thread", made.read_bytes()] = "the engine"
        shutil.rmtree(engine.directory)

    def try_mutant(self, mutant):
        engine = self.engine(mutant.file, mutant.text)
        try:
            owner = self.owner_of(mutant, engine)
            if owner is None:
                self.tell("refused", mutant, "by the compiler")
            elif owner != mutant.name:
                self.tell("same", mutant, f"code as {owner}")
            else:
                self.judge_mutant(mutant, engine)
        finally:
            shutil.rmtree(engine.directory, ignore_errors=True)

    def judge_mutant(self, mutant, engine):
        started = time.monotonic()
        reason = self.excuses.of(mutant)
        for name in judges_for(mutant, self.options.judge):
            noticed, count = judge(engine, name)
            if noticed:
                after = f"{name}, {time.monotonic() - started:.1f} s" + (f", {count} schedules" if count else "")
                with self.lock:
                    self.killers[name] = self.killers.get(name, 0) + 1
                self.tell("STALE" if reason else "killed", mutant, f"{after}: {noticed}")
                return
        if reason:
            self.tell("equivalent", mutant, reason)
        else:
            self.tell("SURVIVED", mutant, "\n" + block_of(mutant))

    def control(self, file):
        """The unchanged engine passes all of it."""
        engine = self.engine(file, self.base.text(file))
        good = True
        for name in [name for name in judges_of(file) if not self.options.judge or name in self.options.judge]:
            started = time.monotonic()
            noticed, _ = judge(engine, name)
            good = good and not noticed
            print(
                f"control   {name}: {'OBJECTS: ' + noticed if noticed else 'passes'}, {time.monotonic() - started:.1f} s",
                flush=True,
            )
        shutil.rmtree(engine.directory)
        return good

    def run(self):
        mutants = self.mutants()
        if not self.options.no_control and not self.control("bitmap.c"):
            print("mutants: the unpatched engine does not pass")
            return 2
        for file in sorted({mutant.file for mutant in mutants}):
            self.learn_original(file)
        mutation.for_each(self.try_mutant, mutants, self.options.jobs)
        return self.summary(len(mutants))

    def summary(self, made):
        counts = self.counts
        survived = counts["SURVIVED"] + counts["STALE"]
        print(
            f"{made} mutations: {counts['refused']} refused by the compiler, {counts['same']} with the code of another or of the engine"
        )
        print(
            "killed by "
            + ", ".join(f"{name} {number}" for name, number in sorted(self.killers.items(), key=lambda one: -one[1]))
        )
        print(
            f"{counts['equivalent']} equivalent (mutants/engine/equivalent.txt), {counts['STALE']} listed as that and killed"
        )
        print(f"mutants: {counts['killed']} killed, {counts['SURVIVED']} survived")
        if counts["killed"] + counts["equivalent"] == 0 and made:
            print("mutants: nothing was judged", file=sys.stderr)
            return 2
        return 1 if survived else 0


def run(options):
    """Exit status: 0 all are killed or excused; 1 not; 2 nothing can be judged."""
    where = None if "TMPDIR" in os.environ or not os.access("/dev/shm", os.W_OK) else "/dev/shm"
    with tempfile.TemporaryDirectory(prefix="add-cow-mutants.", dir=where) as scratch:
        return Campaign(options, scratch).run()
