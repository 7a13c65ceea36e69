"""Seeds, corpora and regressions: making, merging, replaying."""

import hashlib
import shutil
import subprocess

from campaign import builds


def merge(target, into, sources):
    """Adds to `into` the smallest set of inputs with the coverage that only the sources have (libFuzzer)."""
    program = builds.build("libfuzzer", [target]) / target
    into.mkdir(parents=True, exist_ok=True)
    command = [program, "-merge=1", f"-max_len={builds.MAX_LENGTH}", into, *sources]
    result = subprocess.run(
        command, env=builds.environment(), capture_output=True, text=True, errors="replace", check=False
    )
    if result.returncode != 0:
        builds.fail(f"{target}: merging fails:\n{result.stderr[-2000:]}")


def inputs_below(place):
    """The directories with inputs in what a batch has left, in the output of AFL++, or in a plain corpus."""
    inner = [place / "corpus", *place.glob("*/queue"), place / "queue"]
    return [path for path in inner if path.is_dir()] or [place]


def findings_below(place):
    paths = [
        *place.glob("findings/*"),
        *place.glob("crashes/*"),
        *place.glob("*/crashes/id:*"),
        *place.glob("*/hangs/id:*"),
    ]
    return [path for path in paths if path.is_file() and not path.name.startswith(("slow-unit", "README"))]


def command_merge(options):
    """Brings the corpora of several machines together; the findings go where triage looks."""
    own = builds.WORK / "libfuzzer" / options.target
    into = options.out or own / "corpus"
    into.mkdir(parents=True, exist_ok=True)
    before = len(list(into.iterdir()))
    for place in options.places:
        if not place.is_dir():
            builds.fail(f"{place}: no such directory")
    merge(options.target, into, [path for place in options.places for path in inputs_below(place)])
    (own / "crashes").mkdir(parents=True, exist_ok=True)
    found = {
        hashlib.sha256(path.read_bytes()).hexdigest(): path
        for place in options.places
        for path in findings_below(place)
    }
    for digest, path in found.items():
        shutil.copy(path, own / "crashes" / f"merged-{digest[:16]}")
    print(f"{options.target}: {len(list(into.iterdir())) - before} inputs added to {before}; {len(found)} failures")
    return 0


def command_regress(options):
    place = builds.build("replay", options.targets)
    status = 0
    for target in options.targets:
        result = builds.replay(place / target, builds.inputs_of(target))
        print(f"{target}: {result.stdout.strip() if result.returncode == 0 else 'fails'}")
        if result.returncode != 0:
            print(result.stderr[-3000:])
            status = 1
    return status
