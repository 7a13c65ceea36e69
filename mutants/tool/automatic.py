"""Judges every mutation of the engine that operators.py makes: `scripts/mutants --automatic`; with --thinking those of
thinking.py.

Everything that a judge consists of is built once. A mutant is one file: it is compiled again, and linked with the rest
when a judge needs it. Mutants that the compiler refuses are left out. So are mutants whose optimised code equals that
of the engine or of an earlier mutant. The others go through the judges, the cheapest first, until one notices.

A mutant that survives shows that a check is missing, unless equivalent.txt lists it with the reason why no check can
notice it.
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
import thinking

LIST = mutation.ROOT / "mutants" / "engine" / "equivalent.txt"
CFLAGS = """
    -std=c11 -O2 -fPIC -fvisibility=hidden -pthread -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64
    -Werror=incompatible-pointer-types -Werror=int-conversion
""".split()
SCHEDULED = ["-include", "harness/sched/addcow_sync.h", "-include", "harness/sched/addcow_sizes.h"]
WEAK = ["-include", "harness/weak/addcow_sync.h", "-fsanitize=thread", "-fno-builtin"]
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
# Limits of processor time. Each program needs about a tenth of its limit.
CPU_SECONDS = {"hunt": 30, "gate": 60, "tests/test_crash": 60, "tests/test_death": 30, "tests/test_fault": 60,
               "tests/test_weak_engine": 60, "tests/test_call_errors": 30, "tests/test_posix_calls": 20}
CPU_SECONDS_TEST = 6

WEAK_TEST = "tests/test_weak_engine"  # runs the engine under weak memory
# Programs that run the engine under the scheduler. The others run it on real threads.
UNDER_SCHEDULER = {"hunt", "tests/test_sched_engine", "tests/test_crash", "tests/test_death", "tests/test_fault"}

GATE = ["gate", "--impl", "fast", "--tap", "--timeout", "20", "--corpus", str(mutation.ROOT / "corpus")]
EXPLORE = ["hunt", "explore", "--seed", "1", "--brief", "--traces"]
HUNT = ["hunt", "stress", "--seed", "1", "--hang", "100", "--traces"]


def units(names):
    return [[f"tests/test_{name}"] for name in names.split()]


MAINTAIN = (
    "resize stream commit rebase checkpoint maintain_edges maintain_calls blocks sparse beyond_32_bits restore_length"
)
TESTS_OUTSIDE = units("links check_findings memory check create lock_conflicts beyond_32_bits")

# Judges and what they run, from the cheapest to the dearest. The budget of hunt is a number of workloads, not of
# seconds, so that it is the same on every machine.
JUDGES = {
    "units": (
        PLAIN,
        units(f"fast_durability fast_failing memory storage_posix {MAINTAIN} fast open map_data share replaced "
              "data_locks fast_threads waiting_threads quiesce posix_calls lock_phases lock_conflicts call_errors "
              "direct devices"),
    ),
    "create": (PLAIN, units("links check_findings check create")),
    "fault": (PLAIN, [EXPLORE + ["200", "--judge", "fault"]]),
    "crash": (PLAIN, [EXPLORE + ["100", "--judge", "crash"]]),
    "scheduler": (PLAIN, [EXPLORE + ["80", "--judge", "schedule"]]),
    "hunt": (PLAIN, [HUNT + ["25"]]),
    "corpus": (PLAIN, [GATE]),
    "scopes": (PLAIN, units("sched_engine fault death crash")),
    "memory": (
        ADDRESS,
        [*units(f"storage_posix fast_durability fast_failing memory {MAINTAIN} fast open"), HUNT + ["3"]],
    ),
    "weak": (PLAIN, [[WEAK_TEST, "--engine"]]),
    "races": (THREAD, [*units("fast_threads waiting_threads quiesce"), HUNT + ["8"]]),
}

# Headers whose memory orders are weakened, and their judge. All of the engine is compiled again for one of them.
HEADERS = {"addcow_sync.h", "addcow_disk.h", "addcow_quiesce.h"}
JUDGES_HEADERS = {"weak": JUDGES["weak"]}

# Files that only create and check use, and their judges.
OUTSIDE = {"create.c", "check.c", "links.c"}
JUDGES_OUTSIDE = {
    "create": (PLAIN, TESTS_OUTSIDE),
    "crash": (PLAIN, [EXPLORE + ["1", "--judge", "crash"]]),
    "corpus": JUDGES["corpus"],
    "scopes": (PLAIN, units("crash")),
    "memory": (ADDRESS, TESTS_OUTSIDE),
}


def programs_of(variant):
    both = [*JUDGES.values(), *JUDGES_OUTSIDE.values()]
    return sorted({command[0] for used, commands in both if used == variant for command in commands})


class Base:
    """The unchanged sources in build/automatic, with everything built. They stay there for the next run."""

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
        """The build directory of a variant. The first call builds it."""
        name, *settings = VARIANTS[variant]
        with self.lock:
            if variant not in self.ready:
                command = ["make", "-s", "--no-print-directory", "-C", str(self.directory), f"-j{os.cpu_count()}"]
                command += ["WARNINGS=-w", f"B={name}", *settings]
                command += [f"{name}/{program}" for program in programs_of(variant)]
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
    """The engine with another text of one file. It is compiled and linked on demand."""

    def __init__(self, base, scratch, file, text):
        self.base, self.file, self.directory = base, file, scratch
        (scratch / "fast").mkdir()
        (scratch / "fast" / file).write_text(text, encoding="utf-8")

    def compile(self, flags, name, source=None):
        """An object file, or None if the compiler refuses."""
        target = self.directory / f"{name}.o"
        includes = [f"-I{self.base.directory / part}" for part in ("ref", "fast", "harness")]
        includes = [f"-I{self.directory / 'fast'}", *includes] if self.file in HEADERS else includes
        words = ["gcc", *CFLAGS, *flags, *includes, "-c", "-o", str(target), source or f"fast/{self.file}"]
        # The compiler writes paths into assertions, so all mutants must include the same file.
        words = [str(self.base.directory / word) if word in (SCHEDULED[1], WEAK[1]) else word for word in words]
        return target if target.exists() or succeeds(words, self.directory) else None

    def compile_all_weak(self):
        """The objects of the engine and its programs for weak memory, with another header. None: one is refused."""
        for source in (self.base.directory / "fast").iterdir():
            if source.name != self.file:
                shutil.copy2(source, self.directory / "fast")
        programs = self.directory / "programs"
        shutil.copytree(self.base.directory / "harness" / "weak" / "programs", programs)
        sources = [*(self.directory / "fast").glob("*.c"), *programs.glob("*.c")]
        objects = [
            self.compile(WEAK, f"weak-{source.parent.name}-{source.stem}", str(source)) for source in sorted(sources)
        ]
        return None if None in objects else objects

    def weak(self):
        """The engine for weak memory as one object, as mk/harness.mk makes it."""
        target = self.directory / "weak-engine.o"
        if target.exists():
            return target
        built = self.base.objects(PLAIN) / "weak"
        if self.file in HEADERS:
            parts = self.compile_all_weak()
        else:
            changed = self.compile(WEAK, "weak")
            parts = sorted([*built.glob("fast/*.o"), *built.glob("programs/*.o")])
            parts = [changed if part.stem == pathlib.Path(self.file).stem and part.parent.name == "fast" else part
                     for part in parts]
        if parts is None or None in parts:
            return None
        names, public = built / "engine.o.names", built / "engine.o.public"
        link = ["ld", "-r", "--force-group-allocation", "-o", str(target), *map(str, parts)]
        keep = ["objcopy", f"--keep-global-symbols={public}", str(target)]
        rename = ["objcopy", f"--redefine-syms={names}", str(target)]
        if not all(succeeds(step, self.directory) for step in (link, keep, rename)):
            raise mutation.Broken(f"{self.file}: the engine for weak memory does not link")
        return target

    def plain(self):
        return self.compile([], "plain")

    def scheduled(self):
        """The engine for the scheduler as one object, as mk/harness.mk makes it."""
        target = self.directory / "engine.o"
        changed = self.compile(SCHEDULED, "scheduled")
        if changed is None:
            return None
        if not target.exists():
            built = self.base.objects(PLAIN) / "sched"
            parts = [built / f"{path.stem}.o" for path in sorted((self.base.directory / "fast").glob("*.c"))]
            parts = [changed if part.stem == pathlib.Path(self.file).stem else part for part in parts]
            parts += [built / "adapter_fast.o", built / "adapter_scheduled.o"]
            link = ["ld", "-r", "--force-group-allocation", "-o", str(target), *map(str, parts)]
            rename = ["objcopy", f"--redefine-syms={built / 'engine.o.names'}", str(target)]
            if not (succeeds(link, self.directory) and succeeds(rename, self.directory)):
                return None
        return target

    def link(self, program, variant):
        """The program with this engine, or None if it does not link: then there is nothing to run."""
        target = self.directory / VARIANTS[variant][0] / program
        if target.exists():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        built = self.base.objects(variant)
        main = built / "harness" / "programs" / f"{program}.o"
        if program.startswith("tests/"):
            main = next(built.glob(f"tests/unit/*/{target.name}.o"))
        if program == WEAK_TEST:
            objects = [main, self.weak(), built / "weak" / "litmus.o"]
        else:
            changed = self.plain() if variant == PLAIN else self.compile([*variant, "-g"], VARIANTS[variant][0])
            objects = [main, changed] + ([self.scheduled()] if program in UNDER_SCHEDULER and variant == PLAIN else [])
        if None in objects:
            return None
        archives = [built / "libharness.a", built / "libaddcow.a"]
        libraries = LIBRARIES.get(program, ["-lcmocka", "-ljansson"])
        command = ["gcc", *variant, "-pthread", "-o", str(target), *map(str, objects + archives), *libraries]
        return target if succeeds(command, self.directory) else None


def judges_of(file):
    if file in HEADERS:
        return JUDGES_HEADERS
    return JUDGES_OUTSIDE if file in OUTSIDE else JUDGES


def judges_for(mutant, chosen):
    """The names of the judges of a mutant.

    Only a change of locks or atomics can make a race. A wrong memory order shows only under weak memory or as a race.
    """
    names = list(judges_of(mutant.file))
    if mutant.kind == "order":
        names = [name for name in names if name in ("weak", "races")]
    elif not any(word in mutant.key[1] for word in ("sync_", "->running")) and mutant.kind != "unlocked":
        names = [name for name in names if name not in ("weak", "races")]
    return [name for name in names if not chosen or name in chosen]


def judge(engine, name):
    """What the judge noticed, or None; and the number of schedules until then, if the judge counts them."""
    variant, commands = judges_of(engine.file)[name]
    for program, *words in commands:
        linked = engine.link(program, variant)
        if linked is None:
            continue  # the locks of the scheduler have other types, so the mutant does not compile for it
        seconds = CPU_SECONDS.get(program, CPU_SECONDS_TEST) * (1 if variant == PLAIN else 5)
        command = ["prlimit", f"--cpu={seconds}:{seconds + 1}", "--core=0", str(linked), *words]
        noticed, lines = judging.run(command, engine.directory, HANG_SECONDS, is_test=program.startswith("tests/"))
        if noticed:
            return noticed, judging.schedules(lines)
    return None, None


class Excuses:
    """The blocks of equivalent.txt: `FILE:FUNCTION`, `- line` and `+ line` as in Mutation.key, and `= reason`."""

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
            raise mutation.Broken(f"equivalent.txt: {lines[0]}: lines with -, + and = are required")
        key = (place, parts["-"], parts["+"]) + ((int(number),) if number else ())
        if key in self.reasons:
            raise mutation.Broken(f"equivalent.txt: {lines[0]}: listed twice")
        self.reasons[key] = parts["="]

    def of(self, mutant):
        return self.reasons.get(mutant.key)


def block_of(mutant):
    """The block of equivalent.txt for a mutant, without the reason."""
    number = f" #{mutant.key[3]}" if len(mutant.key) > 3 else ""
    return f"{mutant.key[0]}{number}\n- {mutant.key[1]}\n+ {mutant.key[2]}"


class Campaign:
    """A run over many mutants."""

    def __init__(self, options, scratch):
        self.options, self.scratch = options, pathlib.Path(scratch)
        self.base, self.excuses = Base(), Excuses()
        self.lock = threading.Lock()
        self.codes = {}  # optimised code -> its owner: the engine or the first mutant that has it
        self.counts = dict.fromkeys(("killed", "SURVIVED", "STALE", "equivalent", "refused", "same"), 0)
        self.killers = {}
        self.kinds = {}  # kind -> verdict -> how many

    def mutants(self):
        """All of them, or a sample."""
        files = sorted([path.name for path in (self.base.directory / "fast").glob("*.c")] + list(HEADERS))
        if set(self.options.file) - set(files):
            raise mutation.Broken(f"no such file: {', '.join(sorted(set(self.options.file) - set(files)))}")
        found = [
            mutant
            for file in files
            if not self.options.file or file in self.options.file
            for mutant in self.made_of(file, self.options.thinking)
        ]
        self.check_excuses(files)
        if self.options.only:
            found = [mutant for mutant in found if any(text in mutant.name for text in self.options.only)]
        if self.options.listed or self.options.unlisted:
            found = [mutant for mutant in found if bool(self.excuses.of(mutant)) == self.options.listed]
        if self.options.sample and self.options.sample < len(found):
            chosen = set(random.Random(self.options.seed).sample(range(len(found)), self.options.sample))
            found = [mutant for i, mutant in enumerate(found) if i in chosen]
        return found

    def made_of(self, file, by_thinking):
        rules = thinking if by_thinking else operators
        return rules.mutations_of(file, self.base.text(file))

    def check_excuses(self, files):
        """Refuses an excuse for a mutation that does not exist any more."""
        looked_at = self.options.file or files
        keys = {mutant.key for file in looked_at for kind in (False, True) for mutant in self.made_of(file, kind)}
        lost = [
            key[0]
            for key in self.excuses.reasons
            if key not in keys and (key[0].partition(":")[0] in looked_at or key[0].partition(":")[0] not in files)
        ]
        if lost:
            raise mutation.Broken("equivalent.txt: no such mutation: " + ", ".join(sorted(lost)))

    def engine(self, file, text):
        return Engine(self.base, pathlib.Path(tempfile.mkdtemp(dir=self.scratch)), file, text)

    def report(self, verdict, mutant, rest):
        with self.lock:
            self.counts[verdict] += 1
            of_kind = self.kinds.setdefault(mutant.kind, {})
            of_kind[verdict] = of_kind.get(verdict, 0) + 1
            if verdict not in ("refused", "same") or self.options.verbose:
                print(f"{verdict:<9} {mutant.name}: {rest}", flush=True)

    def owner_of(self, mutant, engine):
        """The owner of this mutant's optimised code: itself, the engine, or an earlier mutant.

        None if the compiler refuses the mutant.
        """
        if mutant.file in HEADERS:
            return mutant.name
        flags, name = ([*THREAD, "-g"], "thread") if mutant.kind == "order" else ([], "plain")
        made = engine.compile(flags, name)
        if made is None:
            return None
        code = mutant.kind == "order", made.read_bytes()
        with self.lock:
            return self.codes.setdefault(code, mutant.name)

    def learn_original(self, file):
        if file in HEADERS:
            return
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
                self.report("refused", mutant, "by the compiler")
            elif owner != mutant.name:
                self.report("same", mutant, f"code as {owner}")
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
                self.report("STALE" if reason else "killed", mutant, f"{after}: {noticed}")
                return
        if reason:
            self.report("equivalent", mutant, reason)
        else:
            self.report("SURVIVED", mutant, "\n" + block_of(mutant))

    def control(self, file):
        """True if every judge passes the unchanged engine."""
        engine = self.engine(file, self.base.text(file))
        good = True
        for name in [name for name in judges_of(file) if not self.options.judge or name in self.options.judge]:
            started = time.monotonic()
            noticed, _ = judge(engine, name)
            good = good and not noticed
            verdict = f"OBJECTS: {noticed}" if noticed else "passes"
            print(f"control   {name}: {verdict}, {time.monotonic() - started:.1f} s", flush=True)
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
        killers = sorted(self.killers.items(), key=lambda killer: -killer[1])
        print(f"{made} mutations: {counts['refused']} do not compile, {counts['same']} have the code of another")
        print("killed by " + ", ".join(f"{name} {number}" for name, number in killers))
        print(f"{counts['equivalent']} equivalent (equivalent.txt), {counts['STALE']} killed that it lists")
        print("\n".join(self.table()))
        print(f"mutants: {counts['killed']} killed, {counts['SURVIVED']} survived")
        if self.options.report:
            self.write_report(made)
        if counts["killed"] + counts["equivalent"] == 0 and made:
            print("mutants: nothing was judged", file=sys.stderr)
            return 2
        return 1 if survived else 0


    def table(self):
        """The results of each kind of mutation. The score leaves out the equivalent ones."""
        yield "| kind | killed | survived | equivalent | score |"
        yield "| --- | ---: | ---: | ---: | ---: |"
        total = {verdict: self.counts[verdict] for verdict in ("killed", "STALE", "SURVIVED", "equivalent")}
        for kind, of_kind in [*sorted(self.kinds.items()), ("all", total)]:
            killed = of_kind.get("killed", 0) + of_kind.get("STALE", 0)
            survived = of_kind.get("SURVIVED", 0)
            score = f"{100 * killed / (killed + survived):.0f} %" if killed + survived else "-"
            if killed + survived + of_kind.get("equivalent", 0):
                yield f"| {kind} | {killed} | {survived} | {of_kind.get('equivalent', 0)} | {score} |"

    def write_report(self, made):
        words = [word for word in sys.argv[1:] if word != "--no-control"]
        text = f"""# Mutations of the engine, by kind

`scripts/mutants {' '.join(words)}` made this. It ran {made} mutations, of which {self.counts['refused']} do not compile
and {self.counts['same']} have the code of another. [mutants/README.md](../mutants/README.md) describes the kinds.
What is equivalent is in `mutants/engine/equivalent.txt`, with the reason.

""" + "\n".join(self.table()) + "\n"
        pathlib.Path(self.options.report).write_text(text, encoding="utf-8")


def run(options):
    """Exit status: 0 all are killed or excused; 1 not; 2 nothing can be judged."""
    where = None if "TMPDIR" in os.environ or not os.access("/dev/shm", os.W_OK) else "/dev/shm"
    with tempfile.TemporaryDirectory(prefix="add-cow-mutants.", dir=where) as scratch:
        return Campaign(options, scratch).run()
