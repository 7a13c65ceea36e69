"""
Time to kill: how long until fuzzing notices each defect of mutants/.

A patch says with `Fuzz:` which target should find it. That target is built with the defect, for each engine, and fuzzed
from the seeds until the defect is found or the time is over, once for each random seed. Seconds are of processor time
on one core, so a busy machine changes little. A defect that shows when the seeds are replayed takes no time, and is
listed as such.

Each defect has a file of results below build/fuzz/timetokill, which holds as long as sources, inputs and patch are the
same; so the command resumes where it was stopped.
"""

import hashlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from campaign import builds, engines

sys.path.insert(0, str(builds.ROOT / "mutants" / "tool"))
import mutation

PLACE = builds.WORK / "timetokill"
SLACK = 4  # how many times its processor time a replay may take on a busy machine
NAMES = {"libfuzzer": "libFuzzer", "afl": "AFL++"}


def engine_for(name, patch):
    """A defect that needs a sanitizer to be seen needs it with AFL++ too."""
    return "afl-asan" if name == "afl" and patch.expected == "memory" else name


def fingerprint(patch):
    """Of all that a result depends on: the patch, the sources, the inputs."""
    digest = hashlib.sha256(patch.path.read_bytes())
    sources = [path for part in builds.PARTS for path in sorted((builds.ROOT / part).rglob("*.[ch]"))]
    inputs = [path for place in builds.inputs_of(patch.fuzz) for path in sorted(place.iterdir())]
    for path in [*sources, *builds.dictionary(patch.fuzz), *inputs]:
        digest.update(str(path.relative_to(builds.ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


class Results:
    """What is known of one defect: for each engine whether the seeds kill it, and the seconds of each run, or null."""

    def __init__(self, patch):
        self.path = PLACE / f"{patch.name}.json"
        self.of = fingerprint(patch)
        self.known = json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else {}
        if self.known.get("of") != self.of:
            self.known = {"of": self.of, "target": patch.fuzz, "engines": {}}

    def of_engine(self, name, limit):
        found = self.known["engines"].get(name)
        if not found or found["limit"] != limit:
            found = self.known["engines"][name] = {"limit": limit, "seeds": None, "runs": []}
        return found

    def save(self):
        PLACE.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.known, indent=1) + "\n", encoding="utf-8")


def seeds_kill(program, target, limit):
    """Whether a replay of the inputs of the repository shows the defect, by an abort, a report or a hang."""
    files = [path for place in builds.inputs_of(target) for path in sorted(place.iterdir())]
    command = ["timeout", "-s", "KILL", str(SLACK * limit), program, *files]
    return subprocess.run(command, env=builds.environment(), capture_output=True, check=False).returncode != 0


def one_run(patch, program, name, seed, limit):
    """Seconds until it was found, or None."""
    place = PLACE / "run"
    shutil.rmtree(place, ignore_errors=True)
    run = engines.ENGINES[name](patch.fuzz, place, program)
    run.begin(builds.inputs_of(patch.fuzz), run.with_seed(seed))
    run.watch(limit, until_found=True)
    found = bool(run.findings())
    if not found and not run.totals()["executions"]:
        raise mutation.Broken(f"{patch.name}: {name} does not run\n{run.text()[-2000:]}")
    return round(run.used, 1) if found else None


def measure(patch, name, results, options):
    known = results.of_engine(name, options.time)
    engine = engine_for(name, patch)
    with tempfile.TemporaryDirectory(prefix="add-cow-timetokill.") as copy:
        builds.copy_with(patch, Path(copy) / patch.name)
        program = builds.build_copy(Path(copy) / patch.name, engine, [patch.fuzz]) / patch.fuzz
        if known["seeds"] is None:
            known["seeds"] = seeds_kill(program, patch.fuzz, options.time)
            results.save()
        while not known["seeds"] and len(known["runs"]) < options.runs:
            known["runs"].append(one_run(patch, program, engine, 1 + len(known["runs"]), options.time))
            results.save()


def median(known):
    """Of the runs: infinity if most of them did not find it."""
    return (
        0.0
        if known["seeds"]
        else statistics.median_high([float("inf") if run is None else run for run in known["runs"]] or [float("inf")])
    )


def cell(known):
    if known is None:
        return "–"
    if known["seeds"]:
        return "seeds"
    value = median(known)
    return f"{value:.1f}" if value <= known["limit"] else f"> {known['limit']}"


def summary(rows, engine):
    known = [results["engines"][engine] for _, results in rows if engine in results["engines"]]
    if not known:
        return None
    seeds = sum(bool(one["seeds"]) for one in known)
    killed = sum(median(one) <= one["limit"] for one in known)
    percent = f"{100 * killed / len(known):.0f} %"
    return f"{NAMES[engine]}: {killed} of {len(known)} ({percent}) found, {seeds} of them by the seeds alone"


def table(rows, unreachable, options):
    lines = [
        "The table gives seconds of processor time, on one core, until a defect is found from the seeds: the median of",
        f"{options.runs} runs of at most {options.time} s. `seeds` means that replaying the seeds shows the defect.",
        "",
        *(f"- {text}" for text in (summary(rows, engine) for engine in NAMES) if text),
        f"- {len(unreachable)} defects that no target can reach are listed below",
        "",
        "| defect | target | libFuzzer | AFL++ |",
        "| --- | --- | ---: | ---: |",
        *(
            f"| {patch.name} | {patch.fuzz} | "
            + " | ".join(cell(results["engines"].get(engine)) for engine in NAMES)
            + " |"
            for patch, results in rows
        ),
    ]
    if unreachable:
        lines += ["", "| not reached by fuzzing | why |", "| --- | --- |"]
        lines += [f"| {patch.name} | {patch.fuzz.partition(': ')[2]} |" for patch in unreachable]
    return "\n".join(lines) + "\n"


def read_patches(only):
    patches = mutation.read_patches(builds.ROOT / "mutants" / "engine", only)
    for patch in patches:
        if not patch.fuzz or not (patch.fuzz in builds.targets() or patch.fuzz.startswith("none: ")):
            raise mutation.Broken(f"{patch.name}: wants a line `Fuzz: TARGET`, or `Fuzz: none: REASON`")
    return patches


def check_control(name, chosen):
    """The engine without a defect must pass the inputs that are to find the defects."""
    for target in chosen:
        if seeds_kill(builds.build(name, [target]) / target, target, 60):
            raise mutation.Broken(f"{target}, built for {name}: the engine without a defect fails")


def is_complete(known, options):
    return known["seeds"] or len(known["runs"]) >= options.runs


def measure_all(patches, options):
    wanted = [name for name in NAMES if options.engine in (None, name)]
    rows = [(patch, Results(patch)) for patch in patches]
    left = [
        (patch, results, name)
        for patch, results in rows
        for name in wanted
        if not is_complete(results.of_engine(name, options.time), options)
    ]
    for name in sorted({engine_for(name, patch) for patch, _, name in left}):
        check_control(name, sorted({patch.fuzz for patch, _, _ in left}))
    for number, (patch, results, name) in enumerate(left, 1):
        measure(patch, name, results, options)
        text = cell(results.of_engine(name, options.time))
        print(f"{number}/{len(left)} {patch.name}: {patch.fuzz}, {NAMES[name]}: {text}", flush=True)
    return [(patch, results.known) for patch, results in rows]


def command(options):
    """Exit status 1 if a defect that should be found is not."""
    try:
        patches = read_patches(options.only)
        if options.list:
            print("\n".join(f"{patch.name}: {patch.fuzz}" for patch in patches))
            return 0
        unreachable = [patch for patch in patches if patch.fuzz.startswith("none: ")]
        rows = measure_all([patch for patch in patches if patch not in unreachable], options)
    except mutation.Broken as problem:
        builds.fail(problem)
    text = table(rows, unreachable, options)
    out = options.out or builds.WORK / "timetokill.md"
    out.write_text(text, encoding="utf-8")
    out.with_suffix(".json").write_text(
        json.dumps({patch.name: known for patch, known in rows}, indent=1) + "\n", encoding="utf-8"
    )
    print(text)
    late = [patch.name for patch, known in rows if any(median(one) > one["limit"] for one in known["engines"].values())]
    print(f"timetokill: {len(late)} not found in time{': ' if late else ''}{', '.join(late)}")
    return 1 if late else 0
