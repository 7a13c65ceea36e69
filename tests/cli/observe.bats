#!/usr/bin/env bats
# The gate's observer: right implementations keep every clause, and each wrong one breaks the clause of its defect.
#
# The wrong implementations are the example in Python with one edit each. Each runs in the scenario in which its defect
# shows.

bats_require_minimum_version 1.5.0

load harness
load observing

gate=${GATE:-$BATS_TEST_DIRNAME/../../build/gcc/gate}
root=$BATS_TEST_DIRNAME/../..
without_leak_checks

setup_file() {
    root=$BATS_TEST_DIRNAME/../..
    compile_example
}

@test "observe: the production engine keeps every clause, under every judge" {
    run "$gate" --impl fast --corpus "$root/corpus" --scenario commit-chain --json report.json --junit report.xml
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *"observed: "[1-9]*" clauses kept, 0 broken, 0 not judged"* ]]
    [[ "$output" != *"not all"* ]]
    python3 - <<'END'
import json

with open("report.json", encoding="utf-8") as file:
    observed = json.load(file)["observed"]
assert observed["complete"] and observed["scenarios"] == 1
assert observed["states"] >= 20 and observed["deaths"] >= 15 and observed["faults"] >= 100, observed
assert {clause["verdict"] for clause in observed["clauses"]} == {"kept"}
assert {"DUR-03", "DUR-06", "CMT-03", "ERR-01"} <= {clause["clause"] for clause in observed["clauses"]}
END
    grep -q '<testcase classname="fast" name="DUR-03" time="0"></testcase>' report.xml
}

@test "observe: the example keeps every clause" {
    for scenario in again/power commit-chain/power once/faults; do
        observe "exec:$(example)" "$scenario"
        [ "$status" -eq 0 ]
        [[ "$output" == *"observed: "[1-9]*" clauses kept, 0 broken, 0 not judged"* ]]
    done
}

@test "observe: no sync at all" {
    breaks DUR-01 write-flush/power 'os.fsync(' '(lambda _: None)('
    [[ "$output" == *"DUR-12: broken"* ]]
    [[ "$output" == *"Repeat: "*" --scenario write-flush/power"* ]]
}

@test "observe: bits before the image" {
    local flush='                self.sync_image()\n                self.write_bitmap()'
    breaks DUR-03 write-flush/power "$flush" '                self.write_bitmap()\n                self.sync_image()'
}

@test "observe: a bit before the data" {
    breaks DUR-03 write-flush/power '        write_all(self.image, begin, data)\n        self.set_bit(k, True)' \
        '        self.set_bit(k, True)\n        self.write_bitmap()\n        write_all(self.image, begin, data)'
}

@test "observe: the bitmap is not synced" {
    breaks DUR-01 write-flush/power '            os.fsync(self.metadata)\n            self.dirty.clear()' \
        '            self.dirty.clear()'
}

@test "observe: a flush syncs what it need not" {
    breaks DUR-09 overwrite/power '        if self.dirty:\n            for' \
        '        os.fsync(self.metadata)\n        if self.dirty:\n            for'
}

@test "observe: close does not flush" {
    breaks DUR-10 write-flush/power '            if self.writable:\n                self.flush()\n        finally' \
        '            pass\n        finally'
}

@test "observe: opening does not sync" {
    breaks DUR-12 again/power '        if self.writable:  # DUR-12' '        if False:'
}

@test "observe: growing sets the bits last" {
    local cut='            os.ftruncate(self.image, size)\n'
    local flush='            self.flush()'
    breaks RSZ-04 grow-over-backing/power "$flush  # RSZ-04\n$cut" \
        "$cut            os.fsync(self.image)\n            self.size = size\n$flush\n"
}

@test "observe: shrinking clears the bits first" {
    local cut='        os.ftruncate(self.image, size)\n        self.size = size\n        with contextlib'
    local clear='        self.size = size\n        self.set_bits(self.clusters(), old, False)\n'
    clear+='        self.write_bitmap()\n'
    breaks RSZ-05 shrink/power "$cut" "$clear$cut"
}

@test "observe: \"all allocated\" before the bits" {
    local flag='                if self.header.layout == "r20":\n'
    flag+='                    self.write_compatible(self.header.compatible | ALL_ALLOCATED)\n'
    local flush='                self.flush()'
    breaks DUR-08 stream/power "$flush  # STR-02, DUR-08\n$flag" "$flag$flush\n"
}

@test "observe: commit clears bits before the backing file is durable" {
    breaks CMT-03 commit/power '            backing.flush()  # CMT-03' '            pass'
}

@test "observe: death between a bit and its data" {
    breaks DUR-03 once/death '        write_all(self.image, begin, data)\n        self.set_bit(k, True)' \
        '        self.set_bit(k, True)\n        self.write_bitmap()\n        write_all(self.image, begin, data)'
}

@test "observe: death in a commit that copies what is not durable" {
    breaks CMT-03 commit/death '            self.flush()  # CMT-03\n' ''
}

@test "observe: an earlier failed sync is forgotten" {
    local refusal='        require(not self.image_sync_failed, "DUR-07", "an earlier sync of the image failed", "io")\n'
    breaks DUR-07 once/faults "$refusal" ''
}

@test "observe: a failed sync is ignored" {
    local sync='        os.fsync(self.image)\n        self.image_sync_failed = False'
    local ignored='        with contextlib.suppress(OSError):\n            os.fsync(self.image)\n'
    breaks DUR-06 once/faults "$sync" "$ignored        self.image_sync_failed = False"
}

@test "observe: the sync of the bitmap is not repeated" {
    breaks DUR-06 once/faults '            os.fsync(self.metadata)\n            self.dirty.clear()' \
        '            self.dirty.clear()\n            os.fsync(self.metadata)'
}

@test "observe: write errors are ignored" {
    breaks ERR-01 once/faults '        count = os.pwrite(fd, data, offset)' \
        '        try:\n            count = os.pwrite(fd, data, offset)\n        except OSError:\n            return'
}

@test "observe: short writes are not continued" {
    breaks ERR-04 once/faults '        data, offset = data[count:], offset + count' '        break'
}

@test "observe: reads that fail are zeros" {
    local read='        part = os.pread(fd, length - len(data), offset + len(data))'
    local zeros='        except OSError:\n            part = bytes(length - len(data))'
    breaks ERR-05 once/faults "$read" "        try:\n    $read\n$zeros"
}

@test "observe: a full storage is not told apart" {
    cp -r "$root/corpus/example" wrong
    sed -i 's/kind = "nospace" if problem.errno in .*/kind = "io"/' wrong/adapter.py
    observe "exec:python3 -S '$PWD/wrong/adapter.py'" once/faults
    [ "$status" -eq 1 ]
    [[ "$output" == *"ERR-05: broken in 1 observed scenario"* ]]
}

@test "observe: a failed resize leaves another size, or bits past the end" {
    local done='            raise\n        self.size = size\n'
    breaks RSZ-07 grow/faults "$done" "$done        os.fsync(self.image)\n"
    local clear='            self.set_bits(first_new, end_new, False)  # BMP-05: the next flush writes them\n'
    breaks BMP-05 grow-over-backing/faults "$clear" ''
}

@test "observe: create does not make the name or the content durable" {
    observe fast create
    [ "$status" -eq 0 ]
    [[ "$output" == *"observed: 1 clauses kept, 0 broken, 0 not judged"* ]]
    wrong '        sync_directory(path)  # CRE-06\n' ''
    observe "exec:python3 -S '$PWD/wrong/adapter.py'" create
    [ "$status" -eq 1 ]
    [[ "$output" == *"CRE-06: broken in 1 observed"*"the disk is gone"* ]]
    wrong '        os.fsync(fd)\n        Disk(path' '        Disk(path'
    observe "exec:python3 -S '$PWD/wrong/adapter.py'" create
    [ "$status" -eq 1 ]
    [[ "$output" == *"CRE-06: broken in 1 observed"*"is refused"* ]]
}

@test "observe: what cannot be seen is not judged" {
    local linking='        self.check_identities()\n        lock_data(self.image, self.writable)'
    wrong "$linking" "$linking\n        self.memory = __import__('mmap').mmap(self.image, 0)"
    observe "exec:python3 '$PWD/wrong/adapter.py'" write-flush/power
    [ "$status" -eq 4 ]
    [[ "$output" == *"DUR-01: not judged: the observer does not see everything: a file is mapped into memory"* ]]
    [[ "$output" == *"observed: 0 clauses kept, 0 broken"* ]]
}

@test "observe: an adapter that ends is a crash" {
    local flush='    def flush(self):\n'
    wrong "$flush" "$flush        os._exit(9)\n"
    observe "exec:python3 -S '$PWD/wrong/adapter.py'" write-flush/power
    [ "$status" -eq 3 ]
    [[ "$output" == *"exited with status 9"* ]]
}

@test "observe: an interruption leaves nothing behind" {
    run timeout -s TERM 1 "$gate" --impl "exec:$(example)" --corpus "$root/corpus" --case rd-01-mixed --observe
    echo "$output"
    [[ "$output" == *"; not all"* ]]
    [ -z "$(ls -A "$TMPDIR")" ]
    run pgrep -f "observe $TMPDIR"
    [ "$status" -eq 1 ]
}

@test "observe: an unknown scenario is no success" {
    observe fast nonsense
    [ "$status" -eq 4 ]
    run "$gate" list --observe --corpus "$root/corpus"
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 16 ]
}
