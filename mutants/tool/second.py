"""Wrong implementations made of the one in C, corpus/second/, and the right ones as controls.

scripts/corpus-strength uses it. A patch of mutants/second/ names in `Expected:` what must find it: `corpus`, the cases
that witness its clauses; or the scenarios of the observer, such as `grow/power`. Each of them has to.
"""

import collections
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import mutation

FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64", "-O1", "-w", "-pthread"]
TIMEOUT = "10"  # seconds for a case
CONTROLS = {
    "ref": "ref",
    "fast": "fast",
    "python": f"exec:python3 {mutation.ROOT}/corpus/example/adapter.py",
    "second": None,  # built
}


def compile_second(directory, patch):
    """The command of the implementation with the patch, or without one if `patch` is None."""
    shutil.copytree(mutation.ROOT / "corpus" / "second", directory / "corpus" / "second")
    if patch:
        patch.apply(directory)
    sources = sorted(str(path) for path in (directory / "corpus" / "second").glob("*.c"))
    program = directory / "second"
    command = [os.environ.get("CC", "cc"), *FLAGS, "-o", str(program), *sources]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise mutation.Broken(f"{patch.name if patch else 'corpus/second'}: does not build\n{done.stderr}")
    return f"exec:{program}"


def run_gate(gate, implementation, corpus, selection, directory):
    """The exit status of the gate, its report, and what it printed."""
    report = directory / "report.json"
    report.unlink(missing_ok=True)
    command = [str(gate), "--impl", implementation, "--corpus", str(corpus), "--json", str(report), *selection]
    environment = os.environ | {"TMPDIR": str(directory)}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    if not report.exists():
        raise mutation.Broken(f"{' '.join(command)}: cannot judge\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode, json.loads(report.read_text(encoding="utf-8")), done.stdout


class Wrong:
    """One wrong implementation, and what found it."""

    kind = "second"

    def __init__(self, patch, repeat, targets):
        self.patch, self.repeat, self.targets = patch, repeat, targets
        self.name = f"second/{patch.name}"
        self.judges = re.split(r", *", patch.expected)
        self.failed = set()  # IDs of cases
        self.found = collections.Counter()  # judge -> runs in which it found a clause of the patch broken
        self.clauses = collections.Counter()  # clause -> runs in which it was found broken

    def judge(self, sources, corpus):
        gate = sources.prepare(self.targets) / mutation.BUILD / "gate"
        with tempfile.TemporaryDirectory(dir=sources.work) as name:
            directory = pathlib.Path(name)
            implementation = compile_second(directory, self.patch)
            for _ in range(self.repeat):
                broken = set()
                for judge in self.judges:
                    found = self.ask(judge, gate, implementation, corpus, directory)
                    self.found[judge] += bool(found & set(self.patch.clauses))
                    broken |= found
                self.clauses.update(broken)

    def ask(self, judge, gate, implementation, corpus, directory):
        """The clauses that a judge finds broken."""
        if judge != "corpus":
            _, report, _ = run_gate(gate, implementation, corpus.directory, ["--scenario", judge], directory)
            return {entry["clause"] for entry in report["broken"]}
        broken = set()
        for clause in sorted(set(self.patch.clauses) & set(corpus.witnesses)):
            selection = ["--timeout", TIMEOUT, "--clause", clause]
            _, report, _ = run_gate(gate, implementation, corpus.directory, selection, directory)
            for case in report["cases"]:
                ended = case["verdict"] in ("crashed", "hung")
                if ended or clause in case["broken"]:
                    self.failed.add(case["id"])
                broken |= {clause} if ended else set(case["broken"])
        return broken

    def is_caught(self):
        return all(self.found[judge] == self.repeat for judge in self.judges)

    def line(self):
        found = ", ".join(f"{judge} {self.found[judge]} of {self.repeat}" for judge in self.judges)
        verdict = "caught" if self.is_caught() else "MISSED"
        return f"{verdict}  {self.name}: {found}: {', '.join(self.patch.clauses)}: {self.patch.defect}"


def print_table(wrongs):
    """A row for each wrong implementation: its clauses that were found broken, and the others that were."""
    if not wrongs:
        return
    width = max(len(wrong.name) for wrong in wrongs)
    print(f"\n{'wrong implementation':{width}}  clauses found broken; in brackets those that the patch does not name")
    for wrong in wrongs:
        own = [clause for clause in wrong.patch.clauses if wrong.clauses[clause]]
        others = sorted(set(wrong.clauses) - set(wrong.patch.clauses))
        print(f"{wrong.name:{width}}  {' '.join(own)}{' [' + ' '.join(others) + ']' if others else ''}")
    print()


def judge_controls(runs, only, targets):
    """Judges the right implementations by everything, `runs` times each. The exit status: 1 if there is an alarm."""
    alarms = 0
    with mutation.make_work_directory() as work:
        shutil.copytree(mutation.ROOT / "corpus", pathlib.Path(work) / "corpus")
        shutil.copytree(mutation.ROOT / "spec", pathlib.Path(work) / "spec")
        gate = mutation.Sources(work, "controls", "OPT=-O1").prepare(targets) / mutation.BUILD / "gate"
        directory = pathlib.Path(work) / "run"
        directory.mkdir()
        for run in range(1, runs + 1):
            for name, command in CONTROLS.items():
                if only and name not in only:
                    continue
                if command is None:
                    shutil.rmtree(directory / "corpus", ignore_errors=True)
                    command = compile_second(directory, None)
                corpus = pathlib.Path(work) / "corpus"
                selection = ["--observe", "--timeout", "300", "--applicable"]
                status, report, output = run_gate(gate, command, corpus, selection, directory)
                good = status == 0 and not report["broken"]
                alarms += not good
                print(f"run {run}: {name}: {'no alarm' if good else f'ALARM, exit status {status}'}", flush=True)
                if not good:
                    print(output, flush=True)
    print(f"controls: {alarms} false alarms")
    return 1 if alarms else 0
