"""Shows which cases of the corpus are needed, with implementations that are wrong in one situation only.

mutants/python/wrong.py is such an implementation. First it records the situations of every case, with right behaviour.
Then it is run once for each situation that only one case reaches, if misbehaviour in that situation breaks a clause of
that case. No other case can catch this implementation, because it behaves right in every other situation. So the case
is needed if it catches the implementation.
"""

import collections
import json

import mutation

ADAPTER = mutation.ROOT / "mutants" / "python" / "wrong.py"

REQUESTS = {"read", "write", "zero", "discard", "map", "resize", "stream", "commit"}

# The operations that the clauses of each group are about. A wrong read after a commit breaks no clause of commit.
ABOUT = {
    "HDR": {"open", "create", "stream", "commit"},
    "HR9": {"open", "create", "write", "stream"},
    "BMP": {"open", "create", "read", "write", "map", "resize"},
    "LNK": {"open", "create", "read", "write"},
    "VRT": {"open", "create", "read", "map", "stream", "commit"},
    "REQ": REQUESTS,
    "RD": {"read"},
    "WR": {"write"},
    "ZR": {"zero"},
    "DC": {"discard"},
    "MAP": {"map", "zero", "discard"},
    "CRE": {"create"},
    "RSZ": {"resize", "write"},
    "STR": {"stream"},
    "CMT": {"commit"},
    "CON": REQUESTS,
    "DUR": {"flush", "close", "resize", "stream", "commit"},
    "ERR": REQUESTS | {"open", "create"},
    "LCK": {"open", "commit"},
    "SEC": {"open", "read"},
}


def broken_clauses(situation, clauses):
    """The clauses, of those of a case, that misbehaviour in the situation breaks."""
    operation = situation.split()[0].rstrip(":")
    return {clause for clause in clauses if operation in ABOUT.get(clause.partition("-")[0], ())}


class Recording:
    """The situations that each case reaches."""

    def __init__(self, path, clauses):
        self.clauses = {case: set(names) for case, names in clauses.items()}
        self.cases = collections.defaultdict(set)  # situation -> cases
        self.situations = collections.defaultdict(dict)  # case -> situations, in their order
        for line in path.read_text(encoding="utf-8").splitlines():
            case, situation = line.split("\t")
            self.cases[situation].add(case)
            self.situations[case][situation] = True

    def own(self, case):
        """The situations in which only this case, of all that witness a broken clause, can catch the mistake."""
        for situation in self.situations[case]:
            broken = broken_clauses(situation, self.clauses[case])
            if broken and not any(broken & self.clauses[other] for other in self.cases[situation] - {case}):
                yield situation


def record(run, directory, clauses):
    """Runs every case with the right implementation. `run(command)` runs the gate and returns the verdicts."""
    path = directory / "recorded"
    verdicts = run(f"python3 -S {ADAPTER} --record {path}")
    wrong = sorted(case for case, verdict in verdicts.items() if verdict != "passed")
    if wrong:
        raise mutation.Broken(f"the implementation without a defect does not pass {', '.join(wrong[:5])}")
    return Recording(path, clauses)


def judge(run, directory, recording, cases):
    """Case -> the situation in which only this case catches the mistake. Cases that catch none are left out."""
    candidates = {case: list(recording.own(case)) for case in cases}
    table = directory / "table.json"
    caught = {}
    while any(candidates.values()):
        chosen = {case: situations.pop(0) for case, situations in candidates.items() if situations}
        table.write_text(json.dumps(chosen), encoding="utf-8")
        verdicts = run(f"python3 -S {ADAPTER} --table {table}", set(chosen))
        for case, situation in chosen.items():
            if verdicts[case] != "passed":
                caught[case] = situation
                candidates[case] = []
    return caught
