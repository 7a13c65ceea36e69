"""The mutants of the proof: changes of one function of the reference engine or of the model of flush.

Those of mutants/proof/picked.txt are picked by hand. The rules of operators.py make the others; its rules for errors,
locks and memory orders have nothing to do here.
"""

import collections
import subprocess
import sys
from pathlib import Path

import operators
from wp import LISTS, ROOT, prove

Mutant = collections.namedtuple("Mutant", "name file function text")

KINDS = {"by-one", "turned", "logic", "arithmetic", "more", "swapped", "drop"}
COMPILER = [
    "gcc",
    "-std=c11",
    "-O1",
    "-w",
    "-Werror=int-conversion",
    "-Werror=incompatible-pointer-types",
    "-Werror=discarded-qualifiers",
    f"-I{ROOT / 'ref'}",
    "-x",
    "c",
    "-S",
    "-o",
    "-",
    "-",
]


def mutated_files():
    """The proved sources, but for those that only use the contracts."""
    users = ("proofs/witness.c", "proofs/clients.c")
    return [file for file in prove.SOURCES if file not in users and (ROOT / file).exists()]


def generated():
    """Every mutant of the reference engine that the rules give.

    Not of the model of flush: it contains an adversary, and most rules would only make that weaker.
    """
    for file in (file for file in mutated_files() if file.startswith("ref/")):
        text = (ROOT / file).read_text(encoding="utf-8")
        for mutation in operators.mutations_of(Path(file).name, text):
            if mutation.kind in KINDS:
                yield Mutant(mutation.name, file, mutation.function, mutation.text)


def picked():
    """Those of picked.txt: `NAME FILE FUNCTION` on a line, then `- old` and `+ new` lines."""
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
    """What a source compiles to, or None if it does not. Line numbers and names of labels are not part of it."""
    directory = (ROOT / file).parent
    result = subprocess.run(COMPILER, input=text, capture_output=True, text=True, check=False, cwd=directory)
    return result.stdout if result.returncode == 0 else None


def differing(mutants):
    """Those that compile, and to something else than the unmutated source."""
    originals = {file: compiled(file, (ROOT / file).read_text(encoding="utf-8")) for file in mutated_files()}
    return (mutant for mutant in mutants if compiled(mutant.file, mutant.text) not in (None, originals[mutant.file]))
