"""Campaigns on the cores of one machine, and as jobs of a cluster's scheduler."""

import json
import shutil
import sys
import time

from campaign import builds, engines

REFRESH_SECONDS = 10
POWERS = ("fast", "explore", "coe", "rare", "exploit", "lin", "quad")
# What AFL++ says of an instance, and the line for it.
STATISTICS = (
    "execs_done",
    "execs_per_sec",
    "corpus_count",
    "corpus_imported",
    "bitmap_cvg",
    "stability",
    "saved_crashes",
    "saved_hangs",
)
LINE = "  {:<10} {:<8} {:>12} {:>10} {:>8} {:>8} {:>8} {:>8} {:>8} {:>6}"
CLEAR = "\033[H\033[2J"


def command_libfuzzer(options):
    run = engines.LibFuzzer(options.target, builds.WORK / "libfuzzer" / options.target)
    run.log.unlink(missing_ok=True)
    run.begin(builds.inputs_of(options.target), [f"-max_total_time={options.time}"])
    shown = 0
    while run.process.poll() is None:
        time.sleep(0.5)
        text = run.text()
        print(text[shown:], end="", flush=True)
        shown = len(text)
    print(run.text()[shown:], end="")
    return 1 if run.findings() else run.process.returncode and 2


# ---- AFL++ on several cores ----


def instances(options):
    """An instance for each core: what differs between them finds more than the same thing twice."""
    out = builds.WORK / "afl" / options.target
    make = lambda kind, name: kind(options.target, out, name=name)
    yield make(engines.Afl, "main"), ["-M", "main", "-p", POWERS[0]]
    for i in range(1, options.jobs):
        if i == 1:
            yield make(engines.AflAddress, "address"), ["-S", "address", "-p", "explore"]
        elif i == 2:
            program = builds.build("afl-cmplog", [options.target]) / options.target
            yield make(engines.Afl, "cmplog"), ["-S", "cmplog", "-p", "explore", "-c", program, "-l", "2AT"]
        else:
            power = POWERS[(i - 2) % len(POWERS)]
            yield make(engines.Afl, f"{power}{i}"), [
                "-S",
                f"{power}{i}",
                "-p",
                power,
                *(["-L", "0"] if i % 4 == 0 else []),
            ]


def status_of(target):
    """A line for each instance, from the statistics that AFL++ writes, and one for all."""
    lines, executions, rate, found = [], 0, 0.0, 0
    for path in sorted((builds.WORK / "afl" / target).glob("*/fuzzer_stats")):
        run = engines.Afl(target, path.parent.parent, "", path.parent.name)
        values = run.statistics()
        alive = engines.processor_seconds(int(values.get("fuzzer_pid", 0))) > 0
        executions += int(values.get("execs_done", 0))
        rate += float(values.get("execs_per_sec", 0)) if alive else 0
        found += len(run.findings())
        figures = [values.get(key, "?") for key in STATISTICS]
        lines.append(LINE.format(run.name, "running" if alive else "stopped", *figures))
    return lines + [f"{target}: {executions} executions, {rate:.0f}/s now, {found} failures"] if lines else []


def print_status(chosen):
    head = ("instance", "", "executions", "per second", "inputs", "imported", "coverage", "stable", "failures", "hangs")
    lines = [line for target in chosen for line in status_of(target)]
    if lines:
        print(LINE.format(*head))
    print("\n".join(lines) if lines else "no campaign of AFL++ has been begun", flush=True)


def command_status(options):
    print_status(options.targets)
    return 0


def command_afl(options):
    builds.need(*builds.PACKAGES["afl"])
    seeds = builds.inputs_of(options.target)
    running = []
    try:
        for run, words in list(instances(options)):
            running.append(run)
            run.begin(seeds, [*words, "-V", str(options.time)])
        while any(run.process.poll() is None for run in running):
            time.sleep(min(REFRESH_SECONDS, options.time))
            if sys.stdout.isatty():
                print(CLEAR, end="")
            print_status([options.target])
    except KeyboardInterrupt:
        print("stopped; the same command continues")
    for run in running:
        if run.process:
            run.stop()
        if not run.statistics():
            builds.fail(f"AFL++ does not run: see {run.log}\n{run.text()[-1500:]}")
    return 1 if any(run.findings() for run in running) else 0


# ---- Jobs of a cluster ----


def command_batch(options):
    """One job: seeds in, findings out. Nothing outside of --out is written, but for the build."""
    name = "afl" if options.engine == "afl" else "libfuzzer"
    out = options.out
    program = options.program or builds.build(name, [options.target]) / options.target
    seeds = [
        *builds.inputs_of(options.target),
        *([options.seeds] if options.seeds and any(options.seeds.iterdir()) else []),
    ]
    run = engines.ENGINES[name](options.target, out / ".run", program.resolve())
    run.begin(seeds, run.with_seed(options.seed))
    run.watch(options.time)
    if not run.totals()["executions"]:
        builds.fail(f"the target does not run\n{run.text()[-2000:]}")
    collect(run, out, {path.read_bytes() for place in seeds for path in place.iterdir()})
    report = {
        "target": options.target,
        "engine": name,
        "seed": options.seed,
        "seconds": round(run.used, 1),
        **run.totals(),
    }
    report["findings"] = len(list((out / "findings").iterdir()))
    (out / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report))
    return 1 if report["findings"] else 0


def collect(run, out, known):
    """Leaves in out/corpus the inputs that are new, and in out/findings those that fail."""
    grown = run.corpus if run.engine == "libfuzzer" else run.place / "queue"
    for place, paths in ((out / "corpus", grown.iterdir()), (out / "findings", run.findings())):
        place.mkdir(parents=True, exist_ok=True)
        for path in paths:
            if path.is_file() and path.read_bytes() not in known:
                shutil.copy(path, place / path.name.replace(":", "-").replace(",", "-"))
