"""The generated cases: how one is added, and what it looks like in its file."""

import json
import pathlib

CASES = pathlib.Path(__file__).resolve().parent.parent / "cases" / "generated"
cases = {}

# Places of the tables that a case written by hand takes, as it tells the story. One case for a situation is enough.
TOLD = {
    "write-4k-head-longer-full": "wr-03-head",
    "write-4k-middle-longer-full": "wr-03-middle",
    "write-4k-tail-longer-full": "wr-03-tail",
    "write-4k-middle-longer-partial": "wr-04-partial-last-cluster",
    "write-4k-middle-none-full": "wr-03-no-backing",
    "write-4k-middle-shorter-full": "wr-03-behind-backing-end",
    "write-4k-middle-straddling-full": "wr-03-straddles-backing-end",
    "write-64k-middle-longer-full": "example-write",
    "write-2m-spanning-longer-full": "wr-02-2m-clusters",
    "header-backing-4294967295-1": "hdr-08-wraps",
    "header-backing-75-1": "hdr-08-offset-75",
    "header-backing-76-4294967295": "hdr-08-size-max",
    "header-image-75-1": "hdr-11-offset-75",
    "header-image-76-4294967295": "hdr-11-wraps",
    "header-backing-format-16": "hdr-14-no-nul",
    "header-backing-format-behind-15": "hdr-14-after-nul",
    "header-backing-format-empty": "hdr-15-name-without-format",
    "header-image-format-16": "hdr-16-no-nul",
    "header-image-format-behind-4": "hdr-16-after-nul",
    "header-image-format-empty": "hdr-17-empty",
    "header-bits-11": "hdr-04-bits-11",
    "header-bits-21": "hdr-04-bits-21",
    "header-bits-22": "hdr-04-bits-22",
    "header-bits-44": "hdr-04-bits-44",
    "header-bits-4294967295": "hdr-04-bits-max",
    "header-bits-12-cut": "hdr-01-length-4095",
    "header-bits-12-size-8192": "hdr-05-double",
    "header-bits-16-cut": "hdr-06-cut-header",
    "header-feature-0": "hdr-03-feature-0",
    "header-feature-63": "hdr-03-feature-63",
    "header-nul-95": "hdr-12-nul",
    "header-order-hdr-03-hdr-04": "hdr-03-judged-first",
    "header-overlap-86-10": "hdr-13-one-byte",
    "header-padding-96": "hdr-18-behind-names",
    "header-padding-4095": "hdr-18-last-byte",
    "header-r9-version-0": "hr9-01-version-0",
    "header-r9-version-2": "hr9-01-version-2",
    "header-r9-byte-1035": "hr9-02-after-nul",
    "header-r9-byte-2059": "hr9-04-after-nul",
    "header-r9-byte-2060": "hr9-06-first",
    "header-r9-byte-4095": "hr9-06-last",
}


def add(name, title, clauses, level, flags, files, steps, needs=(), notes=""):
    told = TOLD.pop(name, None)
    if told:
        assert set(clauses) & set(json.loads(next(CASES.parent.glob(f"*/{told}.json")).read_text())["clauses"]), (
            name,
            told,
        )
        return
    name = "grid-" + name
    assert name not in cases, name
    case = {"id": name, "title": title, "clauses": clauses, "level": level, "flags": flags}
    case.update({"needs": list(needs)} if needs else {})
    case.update({"notes": notes} if notes else {})
    cases[name] = {**case, "files": files, "steps": steps}


def dump(case):
    """A line for each file and step."""
    lines = []
    for key, value in case.items():
        if key in ("files", "steps"):
            inner = ",\n".join("    " + json.dumps(item) for item in value)
            lines.append(f'  "{key}": [\n{inner}\n  ]')
        else:
            lines.append(f'  "{key}": {json.dumps(value)}')
    return "{\n" + ",\n".join(lines) + "\n}\n"
