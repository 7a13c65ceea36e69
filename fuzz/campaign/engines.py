"""libFuzzer and AFL++ as processes: how they are started, watched and stopped, and what they have found."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from campaign import builds

LOOK_SECONDS = 0.1
HANG_SECONDS = 25  # of wall-clock time, which passes while others use the processor
TICKS = os.sysconf("SC_CLK_TCK")


def processor_seconds(pid):
    """What a process and its descendants, the waited-for and the living ones, have used."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS + sum(map(processor_seconds, children))


class Run:
    """A run of a fuzzer on one target, which is one process. It writes below `out`."""

    def __init__(self, target, out):
        self.target, self.out = target, Path(out)
        self.process, self.used, self.log = None, 0.0, self.out / "log"
        self.out.mkdir(parents=True, exist_ok=True)

    def start(self, command, environment):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                list(map(str, command)), env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        return self

    def watch(self, limit, until_found=False):
        """Stops it after `limit` seconds of processor time, or at the first finding; waits until it has ended."""
        while self.process.poll() is None and self.used < limit and not (until_found and self.findings()):
            time.sleep(LOOK_SECONDS)
            self.used = max(self.used, processor_seconds(self.process.pid))
        self.stop()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()

    def text(self):
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""


class LibFuzzer(Run):
    """Resumes from out/corpus; findings are in out/crashes."""

    engine = "libfuzzer"

    def __init__(self, target, out, program=None):
        super().__init__(target, out)
        self.program = program or builds.build(self.engine, [target]) / target
        self.corpus, self.crashes = self.out / "corpus", self.out / "crashes"

    def begin(self, seeds, more=()):
        for place in (self.corpus, self.crashes):
            place.mkdir(parents=True, exist_ok=True)
        words = [
            f"-max_len={builds.MAX_LENGTH}",
            f"-timeout={HANG_SECONDS}",
            "-rss_limit_mb=4096",
            "-print_final_stats=1",
        ]
        words += [f"-artifact_prefix={self.crashes}/", *(f"-dict={path}" for path in builds.dictionary(self.target))]
        return self.start([self.program, *words, *more, self.corpus, *seeds], builds.environment())

    def with_seed(self, seed):
        return [f"-seed={seed}"]

    def findings(self):
        """Inputs that crash or hang; slow ones do not count."""
        return sorted(path for path in self.crashes.glob("*-*") if not path.name.startswith("slow-unit"))

    def totals(self):
        """Executions, coverage and size of the corpus."""
        text = self.text()
        lines = re.findall(r"^#(\d+)\t.*cov: (\d+) ft: (\d+) corp: (\d+)", text, re.M)
        executions, edges, features, count = map(int, lines[-1]) if lines else (0, 0, 0, 0)
        final = re.search(r"stat::number_of_executed_units:\s*(\d+)", text)
        return {
            "executions": int(final.group(1)) if final else executions,
            "coverage": f"{edges} edges, {features} features",
            "corpus": count,
        }


class Afl(Run):
    """One instance of AFL++; several on one target share `out`, and each has its own name there."""

    engine = "afl"

    def __init__(self, target, out, program=None, name="default"):
        super().__init__(target, out)
        self.program, self.name = program or builds.build(self.engine, [target]) / target, name
        self.log = self.out / f"{name}.log"
        self.place = self.out / name

    def begin(self, seeds, more=()):
        resumed = (self.place / "fuzzer_stats").exists()
        words = [
            "-i",
            "-" if resumed else self.gather(seeds),
            "-o",
            self.out,
            "-t",
            f"{HANG_SECONDS * 1000}+",
            "-m",
            "none",
        ]
        words += [word for path in builds.dictionary(self.target) for word in ("-x", path)]
        return self.start(["afl-fuzz", *words, *more, "--", self.program], self.environment())

    def gather(self, seeds):
        """AFL++ takes one directory of seeds. They are not copied anew while another instance uses them."""
        place = self.out / ".seeds"
        place.mkdir(exist_ok=True)
        for source in seeds:
            for path in source.iterdir():
                if not (place / path.name).exists():
                    shutil.copy(path, place)
        return place

    def environment(self):
        more = {
            "AFL_SKIP_CPUFREQ": "1",
            "AFL_NO_UI": "1",
            "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1",
            "AFL_NO_AFFINITY": "1",
        }
        if builds.is_structured(self.target):
            more["AFL_CUSTOM_MUTATOR_LIBRARY"] = str(builds.mutator())
        return builds.environment(**more)

    def with_seed(self, seed):
        """None: with a given seed AFL++ no longer measures how long an execution takes, and assumes the time limit."""
        return []

    def findings(self):
        return sorted([*self.place.glob("crashes/id:*"), *self.place.glob("hangs/id:*")])

    def statistics(self):
        path = self.place / "fuzzer_stats"
        return dict(re.findall(r"^(\w+)\s*: (.*)$", path.read_text(encoding="utf-8"), re.M)) if path.exists() else {}

    def totals(self):
        values = self.statistics()
        return {
            "executions": int(values.get("execs_done", 0)),
            "coverage": f"{values.get('edges_found', '?')} edges",
            "corpus": int(values.get("corpus_count", 0)),
        }


class AflAddress(Afl):
    """AFL++ with the address and undefined-behaviour sanitizers."""

    engine = "afl-asan"


ENGINES = {"libfuzzer": LibFuzzer, "afl": Afl, "afl-asan": AflAddress}
