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
    local sync='                self.sync_image()\n' write='                self.write_bitmap(sectors)\n'
    breaks DUR-03 write-flush/power "$sync$write" "$write$sync"
}

bit_before_the_data() {
    local data='            write_all(self.image, begin, data)\n' bit='            self.set_bit(k, True)\n'
    local kept='            with self.dirty_sectors() as sectors:\n                self.write_bitmap(sectors)\n'
    breaks DUR-03 "$1" "$data$bit" "$bit$kept$data"
}

@test "observe: a bit before the data" {
    bit_before_the_data write-flush/power
}

@test "observe: the bitmap is not synced" {
    breaks DUR-01 write-flush/power '        if sectors:\n            os.fsync(self.metadata)\n' ''
}

@test "observe: a flush syncs what it need not" {
    local sync='os.fsync(self.metadata)'
    breaks DUR-09 overwrite/power "        if sectors:\n            $sync" "        $sync"
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
    local flush='            self.make_durable()'
    breaks RSZ-04 grow-over-backing/power "$flush  # RSZ-04\n$cut" \
        "$cut            os.fsync(self.image)\n            self.size = size\n$flush\n"
}

@test "observe: shrinking clears the bits first" {
    local cut='        os.ftruncate(self.image, size)\n        self.size = size\n        with contextlib'
    local clear='        self.size = size\n        self.set_bits(self.clusters(), old, False)\n'
    clear+='        with self.dirty_sectors() as sectors:\n            self.write_bitmap(sectors)\n'
    breaks RSZ-05 shrink/power "$cut" "$clear$cut"
}

@test "observe: \"all allocated\" before the bits" {
    local flag='                if self.header.layout == "r20":\n'
    flag+='                    self.write_compatible(self.header.compatible | ALL_ALLOCATED)\n'
    local flush='                self.make_durable()'
    breaks DUR-08 stream/power "$flush  # STR-02, DUR-08\n$flag" "$flag$flush\n"
}

@test "observe: commit clears bits before the backing file is durable" {
    breaks CMT-03 commit/power '            backing.flush()  # CMT-03' '            pass'
}

@test "observe: death between a bit and its data" {
    bit_before_the_data once/death
}

@test "observe: death in a commit that copies what is not durable" {
    breaks CMT-03 commit/death '            self.make_durable()  # CMT-03\n' ''
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
    breaks DUR-06 once/faults '            with self.bits:\n                self.dirty.update(sectors)\n' ''
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
    [[ "$output" == *"observed: 5 clauses kept, 0 broken, 0 not judged"* ]]
    wrong '        sync_directory(path)  # CRE-06\n' ''
    observe "exec:python3 -S '$PWD/wrong/adapter.py'" create
    [ "$status" -eq 1 ]
    [[ "$output" == *"CRE-06: broken in 1 observed"*"the disk is gone"* ]]
    wrong '        os.fsync(fd)\n        Disk(temporary' '        Disk(temporary'
    observe "exec:python3 -S '$PWD/wrong/adapter.py'" create
    [ "$status" -eq 1 ]
    [[ "$output" == *"CRE-06: broken in 1 observed"*"is refused"* ]]
}

@test "observe: create gives the name before the content is durable, or leaves a file when it fails" {
    local sync='        os.fsync(fd)\n'
    local rest='        Disk(temporary, False).close()  # CRE-05: whatever open would refuse\n'
    rest+='        os.link(temporary, path)  # CRE-06: the file is whole\n'
    breaks CRE-06 create "$sync$rest" "$rest$sync"
    [[ "$output" == *"(the power failed during the create)"* ]]
    sync='        sync_directory(path)  # CRE-06\n'
    rest='        unfinished.append(path)\n'
    breaks CRE-04 create "$rest$sync        unfinished.remove(path)\n" "$sync"
    [[ "$output" == *"a create that fails leaves disk.add-cow behind"* ]]
}

@test "observe: an allocation waits for another one, and requests for a stream" {
    observe fast held
    [ "$status" -eq 0 ]
    [[ "$output" == *"observed: 2 clauses kept, 0 broken, 0 not judged"*" 9 delay plans: conforms" ]]
    breaks CON-08 held 'self.lock.cluster(k)' 'self.lock.cluster(0)' 2
    [[ "$output" == *"STR-01: broken in 2 observed"*"was not answered before it was let go, and was answered then"* ]]
    local stream='    def stream(self):\n'
    wrong "$stream" "$stream        with self.lock.alone():\n            self.stream_alone()\n"
    cat >>wrong/addcow.py <<'END'


def stream_alone(disk):
    for k in range(disk.clusters()):
        disk.write_part(k, k * disk.header.cluster, b"")


Disk.stream_alone = stream_alone
END
    # A request is held for longer than an answer may take: that is no hang.
    run "$gate" --impl "exec:python3 -S '$PWD/wrong/adapter.py'" --corpus "$root/corpus" --scenario held --timeout 10
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"STR-01: broken in 2 observed"* ]]
    sed -i 's/^CONCURRENCY = 16/CONCURRENCY = 1/' wrong/adapter.py
    observe "exec:python3 -S '$PWD/wrong/adapter.py'" held
    [ "$status" -eq 4 ]
    [[ "$output" == *"CON-08: not judged: the adapter takes one request at a time"* ]]
}

@test "observe: what cannot be seen is not judged" {
    local linking='        require(locks.lock_data(self.image, self.writable), '
    wrong "$linking" "        self.memory = __import__('mmap').mmap(self.image, 0)\n$linking"
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

@test "observe: an adapter that ends when it opens what a power cut has left is a crash" {
    wrong 'SIZE_MAX = ' 'SIZE_MAX = '
    sed -i 's/^class Adapter/OPENED = []\n\n\n&/' wrong/adapter.py
    local dies='        OPENED.append(path)\n        len(OPENED) == 1 or os._exit(9)'
    sed -i "s/^    def do_open(.*/&\n$dies/" wrong/adapter.py
    observe "exec:python3 -S '$PWD/wrong/adapter.py'" once/power
    [ "$status" -eq 3 ]
    [[ "$output" == *"exited with status 9"* ]]
}

@test "observe: an interruption leaves nothing behind" {
    run timeout -s TERM 5 "$gate" --impl "exec:$(example)" --corpus "$root/corpus" --case rd-01-mixed --observe
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
    [ "${#lines[@]}" -eq 18 ]
}

@test "observe: it is done unless cases are selected; where it does not work, the gate says why" {
    mkdir -p corpus/cases spec
    cp "$root/spec/add-cow.md" spec
    cp "$root/corpus/corpus.json" corpus
    cp "$root/corpus/cases/requests/rd-01-mixed.json" corpus/cases
    # Of a reader there is little to observe.
    cp -r "$root/corpus/example" reader
    sed -i 's/level=durable/level=reader/; s/^CONCURRENCY = 16/CONCURRENCY = 1/' reader/adapter.py
    local reader="exec:python3 -S '$PWD/reader/adapter.py'"
    run "$gate" --impl "$reader" --corpus corpus
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *$'\nobserved: 0 scenarios, '*": the adapter claims level reader, not durable"* ]]
    [[ "$output" != *"DUR-01: not judged"* ]] # which it does not claim
    for option in --no-observe "--filter rd" "--case rd-01-mixed" "--clause RD-01" "--level writer"; do
        # shellcheck disable=SC2086 # two words
        run "$gate" --impl "$reader" --corpus corpus $option
        [ "$status" -eq 0 ]
        [[ "$output" != *"observed:"* ]]
    done
    run "$gate" --impl "$reader" --corpus corpus --observe
    [ "$status" -eq 4 ]
    run "$gate" --impl "$reader" --corpus corpus --observe --no-observe
    [ "$status" -eq 2 ]
    # Who is observed cannot observe.
    local command="'$gate' --impl fast --corpus corpus"
    mkdir nothing
    printf %s "$PWD/nothing" >watch
    truncate -s 1M watch
    run "$gate" observe watch "$command"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *"CRE-06 "*": no observer here: Operation not permitted"* ]]
    [[ "${lines[-1]}" == *"durability not judged (no observer here)" ]]
    run "$gate" observe watch "$command --observe"
    [ "$status" -eq 4 ]
}
