"""Runs WP on copies of the sources, several at a time, for the tests of the proof.

A run stops at the first goal that is not proven. A goal may fail only because a prover ran out of time. So what is
lost counts if it is lost with four times the limit too.
"""

import concurrent.futures
import importlib.machinery
import importlib.util
import itertools
import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PROOFS = ROOT / "proofs"
LISTS = ROOT / "mutants" / "proof"

loader = importlib.machinery.SourceFileLoader("prove", str(PROOFS / "prove"))
prove = importlib.util.module_from_spec(importlib.util.spec_from_loader("prove", loader))
loader.exec_module(prove)

PATIENCE = 4  # a lost goal is tried again with so many times the limit
RESULT = re.compile(r"^\[wp\] \[(?P<by>[^\]]*)\] Goal typed_(?P<name>\S+)(?P<rest>.*)")


class Proof:
    """One run of WP on some functions of a file. It reports goals one by one, and can be stopped after each."""

    def __init__(self, directory, file, functions, limit):
        source = prove.source_with(file, functions[0])
        command = ["frama-c", *prove.language(source, directory), "-warn-unsigned-overflow"]
        command += ["-wp", "-wp-rte", "-wp-prover", "z3,cvc4", "-wp-timeout", str(limit), "-wp-par", "2"]
        command += ["-wp-cache", "update", "-wp-session", str(directory / "session")]
        command += ["-wp-fct", ",".join(functions), str(directory / source)]
        environment = {**os.environ, "PWD": str(directory), "TMPDIR": str(directory / "tmp")}
        self.child = subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            text=True,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.complete, self.output = False, []

    def goals(self):
        """Yields (goal, seconds of the prover), with None for the seconds of a goal that is not proven."""
        for line in self.child.stdout:
            self.output.append(line)
            self.complete = self.complete or "Proved goals" in line
            match = RESULT.match(line)
            if match:
                found = prove.SECONDS.findall(match.group("rest"))
                times = [float(n) / (1000 if unit == "ms" else 1) for n, unit in found]
                yield match.group("name"), max(times, default=0.0) if ": Valid" in line else None

    def stop(self):
        """Kills the whole process group, because Frama-C leaves its provers running."""
        if self.child.poll() is None:
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.stdout.close()
        self.child.wait()

    def first_lost(self, counts=lambda goal: True):
        """The first goal that counts and is not proven, or None. Raises ValueError if WP gives no answer."""
        try:
            for goal, seconds in self.goals():
                if seconds is None and counts(goal):
                    return goal
        finally:
            self.stop()
        if not self.complete:
            raise ValueError("".join(self.output)[-2000:])
        return None


def first_lost(directory, file, functions, limit, counts=lambda goal: True):
    """The first goal that counts and is proven neither within the limit nor within PATIENCE times as much; or None.

    Prints a note about goals that only more time proves.
    """
    lost = Proof(directory, file, functions, limit).first_lost(counts)
    if not lost:
        return None
    again = Proof(directory, file, functions, PATIENCE * limit).first_lost(counts)
    if not again:
        print(f"note: {lost} takes over {limit} s, and is proved within {PATIENCE * limit}", flush=True)
    return again


def read_reasons(file):
    """`NAME reason` lines of a list in mutants/proof/. A line that begins with a space continues the one before."""
    lines = re.sub(r"\n +", " ", (LISTS / file).read_text(encoding="utf-8")).split("\n")
    return dict(line.split(None, 1) for line in lines if line and not line.startswith("#"))


def in_copies(mutants, work, jobs):
    """Calls work(directory, mutants of one function) for every function. `directory` is a copy of the sources."""

    def one(group):
        with tempfile.TemporaryDirectory() as scratch:
            directory = Path(scratch)
            for folder in ("ref", "fast"):
                shutil.copytree(ROOT / folder, directory / folder)
            shutil.copytree(PROOFS, directory / "proofs", ignore=shutil.ignore_patterns("__pycache__"))
            (directory / "tmp").mkdir()
            prove.unpack_cache(directory / "session")
            return work(directory, group)

    by_function = lambda mutant: mutant.function
    groups = [list(group) for _, group in itertools.groupby(sorted(mutants, key=by_function), by_function)]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(one, sorted(groups, key=len, reverse=True)))
