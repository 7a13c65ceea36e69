#!/usr/bin/env bats
# The gate's observer: right implementations keep every clause, and each wrong one breaks the clause of its defect.
#
# The wrong implementations are the example in Python with one edit each. Each runs in the scenario in which its defect
# shows.

bats_require_minimum_version 1.5.0

load harness

gate=${GATE:-$BATS_TEST_DIRNAME/../../build/gcc/gate}
root=$BATS_TEST_DIRNAME/../..
without_leak_checks

setup_file() {
    root=$BATS_TEST_DIRNAME/../..
    compile_example
}

# observe IMPLEMENTATION SCENARIO
observe() {
    run "$gate" --impl "$1" --corpus "$root/corpus" --scenario "$2"
    echo "$output"
}

# wrong FROM TO: the example in ./wrong, with one text in the place of another.
wrong() {
    rm -rf wrong
    cp -r "$root/corpus/example" wrong
    python3 - "$1" "$2" <<'END'
import pathlib
import sys

path = pathlib.Path("wrong/addcow.py")
text = path.read_text(encoding="utf-8")
old, new = (argument.encode().decode("unicode_escape") for argument in sys.argv[1:])
assert old in text, old
path.write_text(text.replace(old, new), encoding="utf-8")
END
}

# breaks CLAUSE SCENARIO FROM TO: so changed, the example breaks the clause.
breaks() {
    wrong "$3" "$4"
    observe "exec:python3 -S '$PWD/wrong/adapter.py'" "$2"
    [ "$status" -eq 1 ]
    [[ "$output" == *"$1: broken in 1 observed scenario"* ]]
}

@test "observe: the production engine keeps every clause, in every scenario" {
    run "$gate" --impl fast --corpus "$root/corpus" --case rd-01-mixed --observe --json report.json
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *" 0 broken, 0 not judged"*"observed: 12 scenarios, "* ]]
    [[ "$output" != *"not all"* ]]
    local count
    count=$(sed -n 's/.* \([0-9]*\) states after power cuts.*/\1/p' <<<"$output")
    [ "$count" -ge 150 ]
    python3 - <<'END'
import json

with open("report.json", encoding="utf-8") as file:
    observed = json.load(file)["observed"]
assert observed["complete"] and observed["scenarios"] == 12
assert {clause["verdict"] for clause in observed["clauses"]} == {"kept"}
END
}

@test "observe: the example keeps every clause" {
    for scenario in again commit-chain shrink; do
        observe "exec:$(example)" "$scenario"
        [ "$status" -eq 0 ]
        [[ "$output" == *" 0 broken, 0 not judged"* ]]
    done
}

@test "observe: no sync at all" {
    breaks DUR-01 write-flush 'os.fsync(' '(lambda _: None)('
    [[ "$output" == *"DUR-12: broken"* ]]
}

@test "observe: bits before the image" {
    local flush='                self.sync_image()\n                self.write_bitmap()'
    breaks DUR-03 write-flush "$flush" '                self.write_bitmap()\n                self.sync_image()'
}

@test "observe: a bit before the data" {
    breaks DUR-03 write-flush '        write_all(self.image, begin, data)\n        self.set_bit(k, True)' \
        '        self.set_bit(k, True)\n        self.write_bitmap()\n        write_all(self.image, begin, data)'
}

@test "observe: the bitmap is not synced" {
    breaks DUR-01 write-flush '            os.fsync(self.metadata)\n            self.dirty.clear()' \
        '            self.dirty.clear()'
}

@test "observe: a flush syncs what it need not" {
    breaks DUR-09 overwrite '        if self.dirty:\n            for' \
        '        os.fsync(self.metadata)\n        if self.dirty:\n            for'
}

@test "observe: close does not flush" {
    breaks DUR-10 write-flush '            if self.writable:\n                self.flush()\n        finally' \
        '            pass\n        finally'
}

@test "observe: opening does not sync" {
    breaks DUR-12 again '        if self.writable:  # DUR-12' '        if False:'
}

@test "observe: growing sets the bits last" {
    local right='        self.flush()  # RSZ-04\n        os.ftruncate(self.image, size)\n        self.size = size\n'
    local change='        os.ftruncate(self.image, size)\n        os.fsync(self.image)\n        self.size = size\n'
    breaks RSZ-04 grow-over-backing "$right" "$change        self.flush()\n"
}

@test "observe: shrinking clears the bits first" {
    local cut='        os.ftruncate(self.image, size)\n'
    local rest='        self.size = size\n'
    local clear='        self.set_bits(self.clusters(), old, False)\n        self.write_bitmap()'
    local sync='        self.sync_image()\n'
    breaks RSZ-05 shrink "$cut$rest$sync$clear" "$rest$clear\n$cut$sync"
}

@test "observe: \"all allocated\" before the bits" {
    local flag='                if self.header.layout == "r20":\n'
    flag+='                    self.write_compatible(self.header.compatible | ALL_ALLOCATED)\n'
    breaks DUR-08 stream "                self.flush()  # STR-02, DUR-08\n$flag" "$flag                self.flush()\n"
}

@test "observe: commit clears bits before the backing file is durable" {
    breaks CMT-03 commit '            backing.flush()  # CMT-03' '            pass'
}

@test "observe: what cannot be seen is not judged" {
    local linking='        self.check_identities()\n        lock_data(self.image, self.writable)'
    wrong "$linking" "$linking\n        self.memory = __import__('mmap').mmap(self.image, 0)"
    observe "exec:python3 '$PWD/wrong/adapter.py'" write-flush
    [ "$status" -eq 4 ]
    [[ "$output" == *"DUR-01: not judged: the observer does not see everything: a file is mapped into memory"* ]]
    [[ "$output" == *"observed: 0 clauses kept, 0 broken"* ]]
}

@test "observe: an adapter that ends is a crash" {
    local flush='    def flush(self):\n'
    wrong "$flush" "$flush        os._exit(9)\n"
    observe "exec:python3 -S '$PWD/wrong/adapter.py'" write-flush
    [ "$status" -eq 3 ]
    [[ "$output" == *"exited with status 9"* ]]
}

@test "observe: an unknown scenario is no success" {
    observe fast nonsense
    [ "$status" -eq 4 ]
    run "$gate" list --observe --corpus "$root/corpus"
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 12 ]
}
