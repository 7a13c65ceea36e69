#!/usr/bin/python3
"""Compares add-cow with its peers, as clients see them: fio over a Unix socket, one connection, every server in turn.

    bench/peers/peers.py [--runs N] [--size SIZE] [--seconds S] [--quick] [--cell TEXT] [--json FILE] [--svg FILE]
                         [--directory DIR]

Needs the command and the plugin, built (`make bench-peers` builds them), nbdkit, qemu-utils and fio. Only ratios within
one run mean something: the servers take turns within each cell, and each figure is the median of N runs (5).

A cell is what is done (first writes, second writes, reads of the backing file, reads of the image, 70 % reads and
30 % writes), the size of a request, the depth of the queue, and for writes whether every 32nd is followed by a
flush. A first write goes to a cluster that no write has met: requests that are smaller than 64 KiB begin at
multiples of that. Every run of a cell gets new files, and where something was written before, the cache of the system
holds it for every server alike. Beside the cells: the time until a server answers, its peak
of memory, and processor time per request.

The goals: where the image has the cluster, at least 0.95 of nbdkit's file plugin, which copies nothing; in every cell
more than both copy-on-write peers as they come; first writes 1.5 times those of qcow2.

Exit status: 0 all goals are met; 1 one is missed; 2 the machine lacks a program, or one failed.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import comparison
from comparison import BUILD, Broken, run

CLUSTER = 65536
FIRST_WRITES_MAX = 8192
PROGRAMS = ["fio", "nbdkit", "qemu-nbd", "qemu-img", "nbdinfo"]


# ---- The servers: each makes its files over the raw file `base`, and gives the command that serves them ----


def make_raw(base, directory):
    run("cp", "--reflink=never", "--sparse=always", base, directory / "raw")
    return directory / "raw"


def serve_file(base, directory):
    return ["nbdkit", "file", make_raw(base, directory)]


def serve_cow(base, directory):
    return ["nbdkit", "--filter=cow", "file", base]


def serve_qemu_raw(base, directory):
    return ["qemu-nbd", "-f", "raw", make_raw(base, directory)]


def serve_qcow2(base, directory):
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", directory / "overlay")
    return ["qemu-nbd", "-f", "qcow2", directory / "overlay"]


def serve_qcow2_tuned(base, directory):
    options = "cluster_size=128k,extended_l2=on,lazy_refcounts=on"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, "-b", base, "-F", "raw", directory / "overlay")
    image = f"driver=qcow2,l2-cache-size=64M,file.driver=file,file.filename={directory}/overlay"
    return ["qemu-nbd", "--cache=writeback", "--aio=threads", "--image-opts", image]


def serve_addcow(base, directory):
    run(BUILD / "addcow", "create", "-q", "-b", base, "-F", "raw", "-i", directory / "image", directory / "disk")
    return ["nbdkit", BUILD / "nbdkit-addcow-plugin.so", directory / "disk"]


SERVERS = {
    "nbdkit file": serve_file,
    "qemu-nbd raw": serve_qemu_raw,
    "nbdkit cow": serve_cow,
    "qcow2": serve_qcow2,
    "qcow2 tuned": serve_qcow2_tuned,
    "add-cow": serve_addcow,
}
LIMIT, OURS = "nbdkit file", "add-cow"
COW_PEERS = ["nbdkit cow", "qcow2"]


class Server:
    """A running server; on leaving it is ended, and its memory and processor time are known."""

    def __init__(self, name, base, directory):
        self.name, self.base, self.directory = name, base, directory
        self.socket = directory / "socket"

    def __enter__(self):
        command = SERVERS[self.name](self.base, self.directory)
        if command[0] == "nbdkit":
            command[1:1] = ["--foreground", "--exit-with-parent", "--unix", self.socket]
        else:
            command[1:1] = ["--persistent", "--shared=16", "--socket", self.socket]
        begin = time.monotonic()
        with open(self.directory / "log", "wb") as log:
            self.process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log)
        while subprocess.run(["nbdinfo", "--size", self.uri()], capture_output=True, check=False).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > begin + 30:
                raise Broken(f"{self.name}: does not serve\n{(self.directory / 'log').read_text()[-1500:]}")
        self.open_seconds = time.monotonic() - begin
        return self

    def uri(self):
        return f"nbd+unix:///?socket={self.socket}"

    def processor_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_bytes(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


# ---- The work ----


class Cell:
    """One kind of work."""

    def __init__(self, work, block, depth, flush):
        self.work, self.block, self.depth, self.flush = work, block, depth, flush

    def name(self):
        size = f"{self.block >> 20} MiB" if self.block >> 20 else f"{self.block >> 10} KiB"
        return f"{self.work}, {size}, depth {self.depth}{', flushed' if self.flush else ''}"

    def prepared(self):
        """Whether the range is written before it is measured."""
        return self.work in ("second write", "image read", "mixed")

    def options(self, span, seconds):
        """What fio is told: requests within the first `span` bytes."""
        mode = {"first write": "write", "second write": "randwrite", "mixed": "randrw"}.get(self.work, "randread")
        options = {"bs": self.block, "iodepth": self.depth, "size": span, "runtime": seconds}
        if self.work == "first write":
            stride = max(CLUSTER - self.block, 0)
            options["rw"] = f"{mode}:{stride}" if stride else mode
            options["number_ios"] = min(span // max(CLUSTER, self.block), FIRST_WRITES_MAX)
        else:
            options["rw"] = mode
            options["time_based"] = 1
        if self.work == "mixed":
            options["rwmixread"] = 70
        if self.flush:
            options["fsync"] = 32
        return options


def fio(server, options):
    """The report of fio's one job."""
    words = [f"--{key}={value}" for key, value in options.items()]
    text = run("fio", "--name=job", "--ioengine=nbd", f"--uri={server.uri()}", "--output-format=json", "--randrepeat=1",
               "--norandommap=1", *words)
    return json.loads(text[text.index("{"):])["jobs"][0]


def load_cache(server):
    """Makes the cache of the system hold the files of a server in the same way, however they were written.

    A write of a page takes longer where the cache holds it as a part of a large folio, as after a large write.
    """
    opened = pathlib.Path(f"/proc/{server.process.pid}/fd")  # some have no name any more
    for path in [*server.directory.iterdir(), *opened.iterdir()]:
        if path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)  # small folios
                while file.read(1 << 20):
                    pass


def measure(cell, name, base, span, seconds, scratch):
    """Requests a second, processor seconds per request, and what starting cost."""
    with tempfile.TemporaryDirectory(dir=scratch) as directory, Server(name, base, pathlib.Path(directory)) as server:
        if cell.prepared():
            fio(server, {"rw": "write", "bs": 1 << 20, "iodepth": 4, "size": span, "end_fsync": 1})
            load_cache(server)
        before = server.processor_seconds()
        job = fio(server, cell.options(span, seconds))
        requests = job["read"]["total_ios"] + job["write"]["total_ios"]
        took = max(job["read"]["runtime"], job["write"]["runtime"]) / 1000
        if job["error"] != 0 or requests == 0:
            raise Broken(f"{name}: {cell.name()}: fio did nothing, error {job['error']}")
        return {
            "rate": requests / max(took, 0.001),
            "processor": (server.processor_seconds() - before) / requests,
            "open": server.open_seconds,
            "memory": server.peak_bytes(),
        }


def median_of(samples):
    return {key: statistics.median(sample[key] for sample in samples) for key in samples[0]}


def measure_cell(cell, options, base, scratch):
    """Server -> medians. The servers take turns, so that a slow moment of the machine meets all of them."""
    samples = {name: [] for name in SERVERS}
    for _ in range(options.runs):
        for name, list_of in samples.items():
            list_of.append(measure(cell, name, base, options.span, options.seconds, scratch))
    return {name: median_of(list_of) for name, list_of in samples.items()}


def cells(quick):
    blocks, depths = ([4096, 65536], [1, 16]) if quick else ([4096, 65536, 1 << 20], [1, 16, 64])
    for work in ("first write", "second write", "backing read", "image read", "mixed"):
        for block in blocks:
            for depth in depths:
                for flush in (False, True) if work.endswith("write") and not quick else (False,):
                    yield Cell(work, block, depth, flush)


# ---- The goals ----


def goals_of(cell, result):
    """(goal, ratio, least) of a cell."""
    def ratio(peer):
        return result[OURS]["rate"] / result[peer]["rate"]

    if cell.work in ("second write", "image read"):
        yield f"of {LIMIT}", ratio(LIMIT), 0.95
    for peer in COW_PEERS:
        least = 1.5 if cell.work == "first write" and peer == "qcow2" else 1.0
        yield f"of {peer}", ratio(peer), least


# ---- Output ----


def print_cell(cell, result, missed):
    rates = "  ".join(f"{result[name]['rate']:>12,.0f}" for name in SERVERS)
    print(f"{cell.name():<40}{rates}{'  missed: ' + '; '.join(missed) if missed else ''}", flush=True)


def print_servers(results):
    print(f"\n{'':<14}{'answers after':>14}{'peak memory':>14}{'processor time per request':>28}")
    for name in SERVERS:
        of_server = median_of([result[name] for _, result in results])
        print(f"{name:<14}{of_server['open'] * 1000:>11.1f} ms{of_server['memory'] / (1 << 20):>10.1f} MiB"
              f"{of_server['processor'] * 1e6:>25.1f} us")


def draw(results, path):
    """Bars of the requests a second, each cell relative to nbdkit's file plugin."""
    import matplotlib  # only for the picture

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 0.55 * len(results) + 1.5))
    names = [name for name in SERVERS if name != LIMIT]
    for i, name in enumerate(names):
        places = [row + (i - len(names) / 2) * 0.16 for row in range(len(results))]
        axes.barh(places, [result[name]["rate"] / result[LIMIT]["rate"] for _, result in results], 0.15, label=name)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(results)), [cell.name() for cell, _ in results])
    axes.invert_yaxis()
    axes.set_xlabel(f"requests a second, relative to {LIMIT}")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)


def compare(options, scratch):
    chosen = [cell for cell in cells(options.quick) if options.cell in cell.name()]
    if not chosen:
        raise Broken(f"no cell has '{options.cell}' in its name")
    base = scratch / "base"
    run("truncate", "-s", options.size, base)
    options.span = min(base.stat().st_size, 1 << 30)
    run("fio", "--name=fill", f"--filename={base}", "--rw=write", "--bs=1M", f"--size={options.span}",
        "--refill_buffers=1", "--end_fsync=1")
    print(f"requests a second, medians of {options.runs} runs of {options.seconds} s\n{'':<40}"
          + "  ".join(f"{name:>12}" for name in SERVERS))
    results, missed_goals, goals = [], 0, 0
    for cell in chosen:
        result = measure_cell(cell, options, base, scratch)
        judged = list(goals_of(cell, result))
        missed = [f"{ratio:.2f} {goal}" for goal, ratio, least in judged if ratio < least]
        goals, missed_goals = goals + len(judged), missed_goals + len(missed)
        print_cell(cell, result, missed)
        results.append((cell, result))
    print_servers(results)
    print(f"\nbench-peers: {goals - missed_goals} goals met, {missed_goals} missed")
    if options.json:
        report = [{"cell": cell.name(), **vars(cell), "servers": result} for cell, result in results]
        pathlib.Path(options.json).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if options.svg:
        draw(results, options.svg)
    return 1 if missed_goals else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, metavar="N")
    parser.add_argument("--size", default="1G", help="of the disk; at most its first GiB is used and full (1G)")
    parser.add_argument("--seconds", type=int, default=1, metavar="S", help="of each run")
    parser.add_argument("--quick", action="store_true", help="a part of the cells")
    parser.add_argument("--cell", default="", metavar="TEXT", help="only cells whose name has TEXT in it")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--svg", metavar="FILE", help="a picture; needs python3-matplotlib")
    parser.add_argument("--directory", metavar="DIR", help="where the disks are; on the file system to be measured")
    options = parser.parse_args()
    return comparison.make("bench-peers", PROGRAMS, compare, options)


if __name__ == "__main__":
    sys.exit(main())
