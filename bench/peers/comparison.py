"""What the comparisons with other programs share: running programs, and the frame of a comparison."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("B", ROOT / "build" / "gcc"))


class Broken(Exception):
    """Something that keeps the comparison from being made."""


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Broken(f"{' '.join(map(str, command[:6]))}: exit status {done.returncode}\n{done.stderr[-1500:]}")
    return done.stdout


def make(name, programs, compare, options, root=False):
    """Exit status: that of `compare`, which gets a scratch directory; 2 if the comparison cannot be made."""
    lacking = [program for program in programs if not shutil.which(program)]
    if root and os.geteuid() != 0:
        lacking.append("root, for loop mounts")
    if lacking:
        print(f"{name}: not run: {', '.join(lacking)} is missing; see scripts/packages.txt", file=sys.stderr)
        return 2
    try:
        with tempfile.TemporaryDirectory(dir=options.directory, prefix=f"addcow-{name}-") as scratch:
            return compare(options, pathlib.Path(scratch))
    except (Broken, OSError) as problem:
        print(f"{name}: {problem}", file=sys.stderr)
        return 2
