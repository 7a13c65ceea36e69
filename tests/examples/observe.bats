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
    [[ "$output" == *"observed: 8 clauses kept, 0 broken, 0 not judged"*" 92 delay plans: conforms" ]]
    # Writes take no lock. The example makes no pause of its own.
    wrong '        with self.lock.cluster(k):\n            if' '        if True:\n            if'
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
    [[ "$output" == *"observed: 6 clauses kept, 0 broken, 0 not judged"*" 68 delay plans: conforms" ]]
    wrong '        with self.lock:\n            self.make_durable()\n' '        joined_flush(self)\n'
    cat >>wrong/addcow.py <<'END'


FLUSHING = threading.Condition()


def joined_flush(disk):
    with FLUSHING:
        if getattr(disk, "in_flush", False):
            FLUSHING.wait_for(lambda: not disk.in_flush)
            return
        disk.in_flush = True
    try:
        with disk.dirty_sectors() as sectors:
            disk.sync_image()
            disk.write_bitmap(sectors)
    finally:
        with FLUSHING:
            disk.in_flush = False
            FLUSHING.notify_all()
END
    observe "exec:python3 -S '$PWD/wrong/adapter.py'" flushes
    [ "$status" -eq 1 ]
    [[ "$output" == *"DUR-05: broken in "* ]]
}
