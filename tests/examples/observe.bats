#!/usr/bin/env bats
# The observer's judges of concurrent requests, on the engine and on wrong implementations in Python: the delay plans
# take long. tests/cli/observe.bats has all other judges.

bats_require_minimum_version 1.5.0

load ../cli/harness
load ../cli/observing

export gate=${GATE:-$BATS_TEST_DIRNAME/../../build/gcc/gate}
root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
export root
without_leak_checks

setup_file() {
    compile_example
}

@test "observe: slow storage" {
    observe fast slow
    [ "$status" -eq 0 ]
    [[ "$output" == *"observed: 8 clauses kept, 0 broken, 0 not judged"*" 72 delay plans: conforms" ]]
    # Writes take no lock. The example makes no pause of its own.
    local write='    def write(self, offset, length, data):\n'
    wrong "$write        with self.lock:" "$write        if True:"
    observe "exec:python3 -S '$PWD/wrong/adapter.py'" slow
    [ "$status" -eq 1 ]
    [[ "$output" == *"CON-02: broken in "* ]]
    # Nothing is judged of one that takes one request at a time.
    sed -i 's/^CONCURRENCY = 16/CONCURRENCY = 1/' wrong/adapter.py
    observe "exec:python3 -S '$PWD/wrong/adapter.py'" slow
    [ "$status" -eq 4 ]
    [[ "$output" == *"CON-02: not judged: the adapter takes one request at a time"* ]]
}

@test "observe: a flush joins one that began before it" {
    observe fast flushes
    [ "$status" -eq 0 ]
    [[ "$output" == *"observed: 4 clauses kept, 0 broken, 0 not judged"*" 30 delay plans: conforms" ]]
    local other='\n\n    def other(self):\n        if True:\n            if True:\n'
    wrong '    def flush(self):\n        with self.lock:\n            if self.writable:\n' \
        "    def flush(self):\n        joined_flush(self)$other"
    cat >>wrong/addcow.py <<'END'


FLUSHING = threading.Condition()


def joined_flush(disk):
    with FLUSHING:
        if getattr(disk, "in_flush", False):
            FLUSHING.wait_for(lambda: not disk.in_flush)
            return
        disk.in_flush = True
    try:
        with disk.lock:
            bits = disk.bitmap
            sectors = {sector: bytes(bits[sector * 512:(sector + 1) * 512]) for sector in disk.dirty}
            disk.dirty.clear()
        disk.sync_image()
        for sector, data in sectors.items():
            write_all(disk.metadata, disk.header.size + sector * 512, data)
        if sectors:
            os.fsync(disk.metadata)
    finally:
        with FLUSHING:
            disk.in_flush = False
            FLUSHING.notify_all()
END
    observe "exec:python3 -S '$PWD/wrong/adapter.py'" flushes
    [ "$status" -eq 1 ]
    [[ "$output" == *"DUR-05: broken in "* ]]
}
