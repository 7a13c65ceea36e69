"""
Coverage of the two engines by the seeds and regressions, and by what campaigns have found.

Every outcome of every condition, and every condition that never decides a decision alone (MC/DC), is covered or stands
in uncovered.txt with the reason. An entry names the function and the text of the condition, so that changes elsewhere
do not touch it. An entry that is covered, or whose condition is gone, is an error.
"""

import json
import re
import subprocess
from collections import defaultdict
from pathlib import Path

from campaign import builds

LIST = builds.FUZZ / "campaign" / "uncovered.txt"
PLACE = builds.WORK / "cover"
ENGINES = ("ref", "fast")
MCDC_BRANCH = 6  # the kind of a region in what llvm-cov exports


def sources():
    return [path for engine in ENGINES for path in sorted((builds.ROOT / engine).glob("*.c"))]


def profile(target, program, places):
    """Executes one target on inputs; returns the profile of what it covers."""
    out = PLACE / f"{target}.profraw"
    result = builds.replay(program, places, LLVM_PROFILE_FILE=str(out))
    if result.returncode != 0:
        builds.fail(f"{target} fails: {result.stderr[-2000:]}")
    return out


def corpus_of(target):
    """Where libFuzzer leaves what a campaign finds, if there was one."""
    grown = builds.WORK / "libfuzzer" / target / "corpus"
    return [grown] if grown.is_dir() else []


def measure(chosen, corpus=False, programs=None):
    """The coverage of targets by their inputs, and by what campaigns of libFuzzer have found if `corpus`."""
    PLACE.mkdir(parents=True, exist_ok=True)
    place = programs or builds.build("cover", chosen)
    profiles = []
    for target in chosen:
        more = corpus_of(target) if corpus else []
        profiles.append(profile(target, place / target, [*builds.inputs_of(target), *more]))
    return Coverage([place / target for target in chosen], profiles)


class Coverage:
    """The coverage of several programs together, from their profiles, as llvm-cov counts it."""

    def __init__(self, programs, profiles, name="all"):
        self.programs, self.data = programs, PLACE / f"{name}.profdata"
        subprocess.run(["llvm-profdata-19", "merge", "-sparse", "-o", self.data, *profiles], check=True)
        objects = [word for program in programs for word in ("-object", program)][1:]
        self.common = [*objects, f"-instr-profile={self.data}", *sources()]

    def with_profile(self, path, name):
        """The same with one more profile, in a file of this name."""
        return Coverage(self.programs, [self.data, path], name)

    def llvm_cov(self, *words, **more):
        return subprocess.run(["llvm-cov-19", *words, *self.common], check=True, text=True, **more)

    def report(self):
        self.llvm_cov("report", "-show-mcdc-summary", "-show-branch-summary")

    def html(self):
        self.llvm_cov("show", "-show-branches=count", "-show-mcdc", "-format=html", f"-output-dir={PLACE}/html")
        return PLACE / "html/index.html"

    def export(self):
        return json.loads(self.llvm_cov("export", "-format=text", stdout=subprocess.PIPE).stdout)["data"][0]


class Conditions:
    """
    Which outcomes each condition of the engines had, in any program: fast/ is compiled twice, for the threads of the
    system and for the scheduler, and every target is a program of its own.
    """

    def __init__(self, export):
        self.texts = {}
        self.calls = defaultdict(int)
        self.outcomes = defaultdict(set)  # of (file, function, condition)
        self.known = set()
        for function in export["functions"]:
            name = function["name"].rpartition(":")[2]
            file = self.inside(function["filenames"][0])
            if file:
                self.calls[file, name] += function["count"]
                self.add(function, file, name)

    def inside(self, filename):
        """The name of a file of the engines within the project, or None."""
        path = Path(filename)
        if path not in self.texts:
            good = path.is_relative_to(builds.ROOT) and path.relative_to(builds.ROOT).parts[0] in ENGINES
            self.texts[path] = path.read_text(encoding="utf-8").split("\n") if good else None
        return str(path.relative_to(builds.ROOT)) if self.texts[path] is not None else None

    def text(self, filename, region):
        lines = self.texts[Path(filename)]
        first, begin, last, end = region[:4]
        if first == last and begin == end:
            words = lines[first - 1][begin - 1 :]  # a macro: its use stands for its condition
        else:
            words = " ".join([*lines[first - 1 : last - 1], lines[last - 1][: end - 1]])[begin - 1 :]
        return " ".join(words.split())

    def add(self, function, file, name):
        conditions = []
        for region in function["branches"]:
            filename = function["filenames"][region[6]]
            if self.inside(filename):
                key = (file, name, self.text(filename, region))
                self.known.add(key)
                self.outcomes[key] |= {
                    outcome for outcome, count in (("true", region[4]), ("false", region[5])) if count
                }
                if region[8] == MCDC_BRANCH:
                    conditions.append((region[6], region[:4], key))
        for record in function["mcdc_records"]:
            within = [
                key for _, region, key in sorted(conditions) if record[:2] <= region[:2] and region[2:] <= record[2:4]
            ]
            for key, decides in zip(within, record[-1]):
                self.outcomes[key] |= {"decides"} if decides else set()
                self.outcomes[key] |= {"has to decide"}

    def uncovered(self):
        """Lines of the form of uncovered.txt."""
        lines = {f"{file}:{name}: never called" for (file, name), count in self.calls.items() if not count}
        for file, name, text in self.known:
            had = self.outcomes[file, name, text]
            if not self.calls[file, name]:
                continue
            missing = [outcome for outcome in ("true", "false") if outcome not in had]
            if missing:
                lines |= {f"{file}:{name}: {text}: never {outcome}" for outcome in missing}
            elif "has to decide" in had and "decides" not in had:
                lines.add(f"{file}:{name}: {text}: never decides alone")
        return lines


def read_list():
    """{entry: reason}"""
    entries, reason, was_reason = {}, "", False
    text = LIST.read_text(encoding="utf-8") if LIST.exists() else ""
    for line in re.sub(r"\n +", " ", text).split("\n"):
        if line.startswith("= "):
            reason = f"{reason} {line[2:]}" if was_reason else line[2:]
        elif line and not line.startswith("#"):
            if line in entries or not reason:
                problem = "stands there twice" if line in entries else "has no reason"
                builds.fail(f"uncovered.txt: {line}: {problem}")
            if line.startswith("ref/") and not reason.startswith("Impossible: "):
                builds.fail(f"uncovered.txt: {line}: of ref/ only what is impossible may be listed")
            entries[line] = reason
        was_reason = line.startswith("= ")
    return entries


def check(uncovered, stale_too):
    """Says what is not covered and not listed, or the other way round; true if nothing is."""
    listed = read_list()
    new = sorted(uncovered - set(listed))
    gone = sorted(set(listed) - uncovered)
    for line in new:
        print(f"not covered, and not in uncovered.txt: {line}")
    if stale_too:
        for line in gone:
            print(f"in uncovered.txt, but covered or no more: {line}")
    print(
        f"cover: {len(uncovered)} outcomes are not covered, {len(set(listed) & uncovered)} of them listed with a reason"
    )
    if not stale_too and gone:
        print(f"cover: {len(gone)} more of the list are covered by what campaigns have found")
    return not new and not (gone and stale_too)


def command(options):
    """Exit status 1 if the list of what is not covered is not right."""
    builds.need(*builds.PACKAGES["cover"])
    coverage = measure(options.targets, options.corpus)
    coverage.report()
    print(f"cover: {coverage.html().relative_to(builds.ROOT)}")
    if options.targets != builds.targets():
        print("cover: not all targets, so uncovered.txt is not looked at")
        return 0
    return 0 if check(Conditions(coverage.export()).uncovered(), not options.corpus) else 1


def totals(target, programs):
    """Lines and branches of the engines that one target covers by its inputs and its corpus, in words."""
    figures = measure([target], True, programs).export()["totals"]
    return ", ".join(f"{figures[kind]['covered']} of {figures[kind]['count']} {kind}" for kind in ("lines", "branches"))
