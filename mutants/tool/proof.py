"""The mutants of scripts/prove-mutants: each changes one function of an engine or of the model of flush.

mutants/proof/picked.txt lists mutants that were written by hand. The rules of operators.py make the others, except its
rules for errors, locks and memory orders, which find nothing to change here.
"""

import collections
import subprocess
import sys
from pathlib import Path

import operators
from wp import LISTS, ROOT, prove

Mutant = collections.namedtuple("Mutant", "name file function text")

KINDS = {"by-one", "turned", "logic", "arithmetic", "more", "swapped", "drop"}
COMPILER = ["gcc", "-std=c11", "-O1", "-w", "-Werror=int-conversion", "-Werror=incompatible-pointer-types"]
COMPILER += ["-Werror=discarded-qualifiers", f"-I{ROOT / 'ref'}", *"-x c -S -o - -".split()]


def mutated_files():
    """The proven sources, except those that only use the contracts."""
    users = ("proofs/witness.c", "proofs/clients.c", "proofs/shapes.c")
    return [file for file in prove.SOURCES if file not in users and (ROOT / file).exists()]


def generated():
    """Every mutant of the reference engine that the rules make.

    The model of flush has none: it contains an adversary, and most rules would only make the adversary weaker.
    """
    for file in (file for file in mutated_files() if file.startswith("ref/")):
        text = (ROOT / file).read_text(encoding="utf-8")
        for mutation in operators.mutations_of(Path(file).name, text):
            if mutation.kind in KINDS:
                yield Mutant(mutation.name, file, mutation.function, mutation.text)


def picked():
    """The mutants of picked.txt: a line `NAME FILE FUNCTION`, then `- old` and `+ new` lines."""
    blocks = (LISTS / "picked.txt").read_text(encoding="utf-8").split("\n\n")
    for block in blocks:
        lines = [line for line in block.split("\n") if line and not line.startswith("#")]
        if not lines:
            continue
        name, file, function = lines[0].split()
        old = "\n".join(line[2:] for line in lines[1:] if line.startswith("- "))
        new = "\n".join(line[2:] for line in lines[1:] if line.startswith("+ "))
        text = (ROOT / file).read_text(encoding="utf-8")
        body = next((m for m in operators.FUNCTION.finditer(text) if m.group("name") == function), None)
        place = text.find(old, body.start(), body.end()) if body else -1
        if place < 0:
            sys.exit(f"mutants: {name}: its text is not in {function}")
        yield Mutant(name, file, function, text[:place] + new + text[place + len(old) :])


def compiled(file, text):
    """The assembly of a source, without line numbers; None if it does not compile."""
    directory = (ROOT / file).parent
    result = subprocess.run(COMPILER, input=text, capture_output=True, text=True, check=False, cwd=directory)
    return result.stdout if result.returncode == 0 else None


def differing(mutants):
    """The mutants that compile to other code than the original source."""
    originals = {file: compiled(file, (ROOT / file).read_text(encoding="utf-8")) for file in mutated_files()}
    return (mutant for mutant in mutants if compiled(mutant.file, mutant.text) not in (None, originals[mutant.file]))
