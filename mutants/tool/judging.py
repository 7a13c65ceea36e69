"""Runs one judge of scripts/mutants as a child process, which may crash, hang or fill its scratch directory."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading
import time

import mutation

# A line by which a judge reports a problem before it ends.
COMPLAINT = re.compile(r"^not ok|^\[  FAILED  \]|^==\d+==ERROR|^WARNING: ThreadSanitizer")
SCHEDULES = re.compile(r"^hunt: .* (\d+) schedules")
CANNOT_JUDGE = (2, 4)  # exit statuses of gate and hunt: wrong usage, an unusable corpus, nothing to run
SCRATCH_MAX = 4 << 30  # bytes that one judge may store
LOOK_SECONDS = 0.25
IDLE_LOOKS = 12  # a test that is idle at so many looks in a row is in a deadlock


def why(lines, status):
    """The failure that the judge noticed, in one line."""
    for pattern in (
        r"^not ok \d+ (?:- )?(.*)",
        r"^\[  FAILED  \] (.*)",
        r"(\S*Sanitizer: .*)",
        r"(.*\((?:[A-Z0-9]{2,3}-\d\d[, ]*)+\).*)",
        r"(.*Assertion.*)",
        r"(.*(?:crashed|killed by|did not come back).*)",
        r"^(?:hunt|gate): (.*)",
    ):
        for line in lines:
            match = re.search(pattern, line)
            if match:
                return match.group(1).strip()[:100]
    return f"status {status}"


def schedules(lines):
    """The number of schedules that hunt printed at its end, or None."""
    found = [match.group(1) for match in map(SCHEDULES.search, lines) if match]
    return int(found[-1]) if found else None


def kill(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def stored_bytes(directory):
    total = 0
    for root, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total


def is_idle(process):
    """True if every thread of the process sleeps. A thread that waits for a processor is not idle."""
    try:
        states = [
            path.read_text().rpartition(")")[2].split()[0]
            for path in pathlib.Path(f"/proc/{process.pid}/task").glob("*/stat")
        ]
    except OSError:
        return False
    return all(state == "S" for state in states)


class Watch(threading.Thread):
    """Kills a judge that takes too long or stores too much. `verdict` says which."""

    def __init__(self, process, directory, limit, is_test):
        super().__init__(daemon=True)
        self.process, self.directory, self.limit, self.is_test = process, directory, limit, is_test
        self.verdict, self.idle = None, 0
        self.over = threading.Event()

    def run(self):
        deadline = time.monotonic() + self.limit
        while not self.over.wait(LOOK_SECONDS):
            self.idle = self.idle + 1 if self.is_test and is_idle(self.process) else 0
            if time.monotonic() >= deadline or self.idle >= IDLE_LOOKS:
                self.verdict = "hangs"
            elif stored_bytes(self.directory) > SCRATCH_MAX:
                self.verdict = "fills the disk"
            if self.verdict:
                kill(self.process)
                return

    def stop(self):
        self.over.set()
        self.join()


def run(command, directory, limit, is_test=False, variables=None):
    """The failure that the judge noticed, or None; and the lines that it printed.

    `limit` is in seconds. A test never waits for long, so an idle test hangs. `variables` are added to the environment.
    """
    temporary = directory / "tmp"
    temporary.mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(temporary)}
    environment |= {"TSAN_OPTIONS": "halt_on_error=1", "CMOCKA_MESSAGE_OUTPUT": "TAP"} | (variables or {})
    # The gate continues after a failure, so its output must not be buffered. Sanitizers do not work under stdbuf.
    unbuffered = ["stdbuf", "-oL"] if any(word.endswith("/gate") for word in command) else []
    process = subprocess.Popen(
        [*unbuffered, *command],
        cwd=temporary,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    lines = []
    watch = Watch(process, temporary, limit, is_test)
    watch.start()
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if COMPLAINT.search(line):
            break
    complained = lines and COMPLAINT.search(lines[-1])
    if complained:
        kill(process)
    process.wait()
    process.stdout.close()
    watch.stop()
    shutil.rmtree(temporary, ignore_errors=True)
    if complained:
        return why(lines, process.returncode), lines
    if watch.verdict:
        return watch.verdict, lines
    if process.returncode == -signal.SIGXCPU:
        return "does not end", lines
    no_witness = process.returncode == 4 and "--clause" in command  # no case is a witness of this clause
    if process.returncode == 0 or no_witness:
        return None, lines
    if process.returncode in CANNOT_JUDGE:
        raise mutation.Broken(f"{' '.join(command)}: cannot judge\n" + "\n".join(lines[-3:]))
    return why(lines, process.returncode), lines
