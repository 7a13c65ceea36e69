"""Patches that put a defect into the sources, and builds of the sources with one patch.

scripts/mutants and scripts/corpus-strength use it.
"""

import concurrent.futures
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = "build/mutant"
HEADER = re.compile(r"^(Defect|Clauses|Expected|Fuzz|Test): (.*(?:\n  .*)*)", re.M)


class Broken(Exception):
    """Nothing can be judged: a patch does not apply, or the sources do not build."""


class Patch:
    """One defect: a header and a unified diff.

    The header names the defect, the clauses that it breaks, and the judge that should find it. `fuzz` is the fuzz
    target that should find it, or "none: " and the reason why no target can. `tests` are pairs of a file of tests,
    such as cli/data.bats, and a part of the name of a test in it.
    """

    def __init__(self, path):
        self.path, self.name = path, path.stem
        text = path.read_text(encoding="utf-8").partition("\n--- ")[0]
        header = {key: " ".join(value.split()) for key, value in HEADER.findall(text)}
        try:
            self.defect, self.expected = header["Defect"], header["Expected"]
            self.clauses = re.split(r", *", header["Clauses"])
            self.fuzz = header.get("Fuzz")
            self.tests = [tuple(header["Test"].split(": ", 1))] if "Test" in header else []
        except KeyError as missing:
            raise Broken(f"{path}: the header lacks {missing}") from missing

    def apply(self, directory):
        command = ["patch", "-p1", "-s", "-d", str(directory), "-i", str(self.path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Broken(f"{self.name}: does not apply\n{done.stdout}{done.stderr}")


def read_patches(directory, only=()):
    patches = [Patch(path) for path in sorted(directory.glob("*.patch"))]
    unknown = set(only) - {patch.name for patch in patches}
    if unknown:
        raise Broken(f"no such patch: {', '.join(sorted(unknown))}")
    return [patch for patch in patches if not only or patch.name in only]


class Sources:
    """A copy of the sources in which the judges are built once. A patch costs only what it touches."""

    def __init__(self, work, name, *settings, parts=("mk", "fast", "ref", "harness", "tests/unit")):
        self.work, self.name, self.parts = pathlib.Path(work), name, parts
        self.settings = ["WARNINGS=-w", f"B={BUILD}", *settings]
        self.lock = threading.Lock()
        self.base = None

    def build(self, directory, targets):
        jobs = len(os.sched_getaffinity(0))
        command = ["make", "-s", "--no-print-directory", "-C", str(directory), f"-j{jobs}", *self.settings]
        command += [f"{BUILD}/{target}" for target in targets]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Broken(f"{directory.name}: does not build\n{done.stdout}{done.stderr}")

    def prepare(self, targets):
        """The unpatched copy, built."""
        with self.lock:
            if self.base is None:
                base = self.work / f"{self.name}-unpatched"
                for part in self.parts:
                    shutil.copytree(ROOT / part, base / part)
                shutil.copy2(ROOT / "GNUmakefile", base)
                self.build(base, targets)
                self.base = base
        return self.base

    def make(self, patch, targets):
        """A built copy with the patch, or without one if `patch` is None. The caller removes it."""
        base = self.prepare(targets)
        copy = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=self.work)) / (patch.name if patch else "none")
        shutil.copytree(base, copy, symlinks=True)
        if patch:
            patch.apply(copy)
            self.build(copy, targets)
        return copy


def make_work_directory():
    return tempfile.TemporaryDirectory(prefix="add-cow-mutants.")


def for_each(function, items, jobs):
    """The results in order, from up to `jobs` threads. The first exception or an interruption stops all of them."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        try:
            futures = [pool.submit(function, item) for item in items]
            for future in concurrent.futures.wait(futures, return_when=concurrent.futures.FIRST_EXCEPTION).done:
                future.result()
            return [future.result() for future in futures]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
