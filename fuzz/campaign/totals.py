"""Campaigns in figures: each target for the same time of one processor, a row a run in CAMPAIGNS.md."""

import datetime
import re
import subprocess

from campaign import builds, cover, engines

TABLE = builds.ROOT / "reports" / "CAMPAIGNS.md"
HEAD = """# Campaigns

These are the results of `fuzz/run campaign`. It fuzzes each target for some minutes of one processor, from the seeds
and the existing corpus. Coverage counts the lines and branches of `ref/` and `fast/` that the target reaches with its
seeds and the corpus that the campaign has left. AFL++ counts edges of its own.

| date | commit | target | engine | seconds | executions | per second | corpus | lines | branches | findings |
| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""


def git(*arguments):
    return subprocess.run(
        ["git", "-C", builds.ROOT, *arguments], capture_output=True, text=True, check=False
    ).stdout.strip()


def revision():
    """The commit that is built; marked as dirty if any file but the table itself has changed."""
    changes = git("status", "--porcelain", "--untracked-files=no", "--", ":!reports/CAMPAIGNS.md")
    return (git("rev-parse", "--short", "HEAD") or "?") + ("-dirty" if changes else "")


def row(run, built):
    figures = run.totals()
    cells = [
        datetime.date.today().isoformat(),
        built,
        run.target,
        run.engine,
        f"{run.used:.0f}",
        figures["executions"],
        f"{figures['executions'] / max(run.used, 1):.0f}",
        figures["corpus"],
        *covered(run),
        len(run.findings()),
    ]
    return "| " + " | ".join(map(str, cells)) + " |\n"


def covered(run):
    """Lines and branches. They are measured over the corpus of libFuzzer; AFL++ counts edges of its own."""
    if run.engine != "libfuzzer":
        return run.totals()["coverage"], ""
    return re.findall(r"\d+/\d+", cover.totals(run.target, builds.build("cover", [run.target])).replace(" of ", "/"))


def command(options):
    table = options.table or TABLE
    failures = 0
    for target in options.targets:
        built = revision()
        run = engines.ENGINES[options.engine](target, builds.WORK / options.engine / target)
        run.log.unlink(missing_ok=True)
        run.begin(builds.inputs_of(target))
        run.watch(options.time)
        if not run.totals()["executions"]:
            builds.fail(f"{target} does not run\n{run.text()[-2000:]}")
        line = row(run, built)
        if not table.exists():
            table.write_text(HEAD, encoding="utf-8")
        with open(table, "a", encoding="utf-8") as out:
            out.write(line)
        print(line, end="", flush=True)
        failures += len(run.findings())
    print(f"campaign: {failures} failures")
    return 1 if failures else 0
