#!/usr/bin/env bats
# The gate and the real-disk run: what they print and with what status they end.

bats_require_minimum_version 1.5.0

gate=${GATE:-$BATS_TEST_DIRNAME/../../build/gcc/gate}
realdisk=${REALDISK:-$BATS_TEST_DIRNAME/../../build/gcc/realdisk}
root=$BATS_TEST_DIRNAME/../..

setup() {
    cd "$BATS_TEST_TMPDIR" || return
    export TMPDIR=$BATS_TEST_TMPDIR/temporary
    mkdir "$TMPDIR"
}

# Nothing may be left behind.
teardown() {
    rmdir "$TMPDIR"
}

gate() {
    "$gate" --corpus "$root/corpus" "$@"
}

@test "gate: the production engine conforms" {
    run gate --impl fast
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "${lines[-1]}" == "corpus "*", fast: "*": conforms" ]]
}

@test "gate: the reference engine passes what applies to it, and the rest makes the run incomplete" {
    run gate --impl ref
    echo "$output"
    [ "$status" -eq 4 ]
    [[ "$output" == *"example-create: not applicable to ref, which does not claim create"* ]]
    run gate --impl ref --applicable
    [ "$status" -eq 0 ]
}

@test "gate: TAP counts every case and is what prove reads" {
    gate --impl fast --clause BMP-03 --tap >out.tap
    [ "$(head -n 1 out.tap)" = "TAP version 13" ]
    [ "$(grep -c '^ok ' out.tap)" -ge 4 ]
    run prove --exec cat out.tap
    [ "$status" -eq 0 ]
}

@test "gate: --case, --filter and --clause choose, and choosing nothing is no success" {
    run gate list --case hdr-05-double
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ "$output" == "hdr-05-double"*"HDR-05"* ]]
    run gate list --filter hdr-0
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -ge 20 ]
    run gate list --clause MAP-01
    [[ "$output" != *"hdr-"* ]]
    local reader writer all
    reader=$(gate list --level reader | wc -l)
    writer=$(gate list --level writer | wc -l)
    all=$(gate list --level durable | wc -l)
    [ "$reader" -gt 100 ] && [ "$reader" -lt "$writer" ] && [ "$writer" -lt "$all" ]
    [ "$all" -eq "$(find "$root/corpus/cases" -name '*.json' | wc -l)" ]
    [ "$(gate list --level reader | grep -c writer)" -eq 0 ]
    run gate list --impl ref --applicable --filter example
    [[ "$output" != *"example-create"* ]]
    run gate list --filter no-such-case
    [ "$status" -eq 4 ]
    run gate --impl fast --case no-such-case
    [ "$status" -eq 4 ]
    [[ "$output" == *"gate: no case is selected"* ]]
    [[ "${lines[-1]}" == *": incomplete" ]]
}

@test "corpus: the generated cases are what the generator writes, and there are enough of them" {
    run "$root/corpus/generate" --check
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(find "$root/corpus/cases" -name '*.json' | wc -l)" -ge 400 ]
    [ "$(du -sb "$root/corpus" | cut -f 1)" -lt 5000000 ]
    cp -r "$root/corpus" changed
    sed -i 's/"pattern": 2/"pattern": 4/' changed/cases/grid-write-4k-head-none-full.json
    rm changed/cases/grid-map-0-0-1.json
    cp changed/cases/grid-map-0-0-64.json changed/cases/grid-extra.json
    run changed/generate --check
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 4 ]
}

# Nothing that the cases of concurrency and of killing expect is found by an engine that they do not fit.
@test "gate: cases with requests in flight together and with a killed process can fail" {
    cp -r "$root/corpus" "$root/spec" .
    sed -i 's/"any": \[2, 3\]/"any": [4, 5]/' corpus/cases/grid-beside-same-sectors-4k.json
    sed -i '/"op": "flush"/d' corpus/cases/grid-kill-write-4k.json
    sed -i 's/\["ok", "range"\]/"io"/' corpus/cases/grid-beside-shrink-writes.json
    local id
    for id in grid-beside-same-sectors-4k grid-kill-write-4k grid-beside-shrink-writes; do
        run "$gate" --impl fast --corpus corpus --case "$id"
        echo "$output"
        [ "$status" -eq 1 ]
    done
}

@test "gate: an engine behind the protocol, as another gate's adapter, conforms" {
    run gate --impl "exec:'$gate' serve fast" --filter wr-0
    echo "$output"
    [ "$status" -eq 0 ]
    run gate --impl "exec:'$gate' serve nonsense"
    [ "$status" -eq 3 ]
    [[ "$output" == *'did not start: it exited with status 2'*'no engine'* ]]
}

@test "gate: wrong usage ends with 2" {
    local arguments
    for arguments in "" "--impl" "--impl nonsense" "--impl fast extra" "--impl fast --nonsense" "--impl fast --timeout 0" "--impl fast --timeout x"; do
        # shellcheck disable=SC2086 # a list of words
        run gate $arguments
        echo "'$arguments': $status $output"
        [ "$status" -eq 2 ]
        [ -n "$output" ]
    done
}

@test "gate: a corpus that cannot be used ends with 2 and names file and place" {
    run "$gate" --impl fast --corpus nowhere
    [ "$status" -eq 2 ]
    [[ "$output" == *"nowhere/corpus.json"* ]]
    cp -r "$root/corpus" broken
    sed -i 's/"mode": "ro"/"mode": "ro", "colour": 1/' broken/cases/rd-01-mixed.json
    run "$gate" --impl fast --corpus broken
    [ "$status" -eq 2 ]
    [[ "$output" == *'broken/cases/rd-01-mixed.json: $.steps[0]: unknown field "colour"'* ]]
}

@test "gate: a case that witnesses a clause which does not exist ends with 2" {
    cp -r "$root/corpus" "$root/spec" .
    local unknown="RD-$((70 + 7))" # not spelled out: it would be taken for a clause that this test witnesses
    sed -i "s/\"clauses\": \[\"RD-01\"\]/\"clauses\": [\"$unknown\"]/" corpus/cases/rd-01-mixed.json
    run "$gate" --impl fast --corpus corpus --case rd-01-mixed
    [ "$status" -eq 2 ]
    [[ "$output" == *"rd-01-mixed: the specification has no clause $unknown"* ]]
}

# A corpus whose expectation is wrong makes a right implementation fail: the failure as people see it.
@test "gate: a failure shows the clause, the bytes, and the command that repeats it" {
    cp -r "$root/corpus" "$root/spec" .
    sed -i '/"steps"/,$s/"pattern": 9}/"pattern": 8}/' corpus/cases/rd-01-mixed.json
    run "$gate" --impl fast --corpus corpus --filter rd-01 --json out.json --junit out.xml
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"step 2 of 2, read 2000+18000: byte 4096: expected "*", got "* ]]
    [[ "$output" == *"RD-01: Read returns virt(i)"* ]]
    [[ "$output" == *"Repeat: $gate --impl fast --corpus corpus --case rd-01-mixed"* ]]
    [[ "$output" == *"broken clauses: 1"*"the shortest: rd-01-mixed"* ]]
    [[ "${lines[-1]}" == *": does not conform" ]]
    run python3 - <<'PYTHON'
import json, xml.etree.ElementTree as tree
report = json.load(open("out.json"))
assert report["exit"] == 1 and report["implementation"] == "fast"
assert [b["clause"] for b in report["broken"]] == ["RD-01"] and report["broken"][0]["shortest"] == "rd-01-mixed"
verdicts = {c["id"]: c["verdict"] for c in report["cases"]}
assert verdicts == {"rd-01-mixed": "failed", "rd-01-mixed-no-backing": "passed"}, verdicts
suite = tree.parse("out.xml").getroot()
assert suite.get("tests") == "2" and suite.get("failures") == "1"
assert len(suite.findall("testcase/failure")) == 1
PYTHON
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "gate: a report that cannot be written ends with 2" {
    run gate --impl fast --case hdr-05-double --json nowhere/out.json
    [ "$status" -eq 2 ]
}

@test "corpus: every case keeps its schema, and the schema refuses what is unknown" {
    run python3 - "$root/corpus" <<'PYTHON'
import json, pathlib, sys, jsonschema
corpus = pathlib.Path(sys.argv[1])
schema = json.load(open(corpus / "schema.json"))
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
cases = [json.load(open(path)) for path in sorted((corpus / "cases").glob("*.json"))]
assert len(cases) >= 60
for case in cases:
    errors = [error.message for error in validator.iter_errors(case)]
    assert not errors, (case["id"], errors)
for change in ({"colour": 1}, {"steps": []}, {"level": "guru"}, {"files": [{"path": "/f", "size": 1}]},
               {"files": [{"path": "f", "size": 1, "content": [{"at": 0, "hex": "0"}]}]},
               {"steps": [{"op": "flush", "size": 1}]}):
    assert not validator.is_valid(cases[0] | change), change
PYTHON
    echo "$output"
    [ "$status" -eq 0 ]
}

# images BYTES: two small images that differ in most blocks.
images() {
    head -c "$1" /dev/urandom >backing.raw
    head -c "$1" /dev/urandom >target.raw
    dd if=backing.raw of=target.raw bs=4096 count=40 conv=notrunc status=none
}

@test "real disk: both engines carry an image to another one" {
    local implementation
    for implementation in fast ref; do
        images 4194304
        cp backing.raw kept.raw
        run "$realdisk" --impl "$implementation" --no-fsck --seed 7 .
        echo "$output"
        [ "$status" -eq 0 ]
        [[ "${lines[-1]}" == *"984 of 1024 blocks carried by 8 threads"*"seed 7"*"the image alone is the target" ]]
        cmp image.raw target.raw
        [ ! -e backing.raw ] && [ ! -e disk.addcow ]
        rm image.raw
    done
}

@test "real disk: a damaged file system is found" {
    images 4194304
    run "$realdisk" --impl fast .
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"e2fsck -fn finds the file system damaged"* ]]
}

@test "real disk: wrong usage and images that do not fit end with 2" {
    run "$realdisk" --impl fast
    [ "$status" -eq 2 ]
    run "$realdisk" --impl nonsense .
    [ "$status" -eq 2 ]
    run "$realdisk" --impl fast --threads 65 .
    [ "$status" -eq 2 ]
    run "$realdisk" --impl fast nowhere
    [ "$status" -eq 2 ]
    run "$realdisk" --impl fast .
    [ "$status" -eq 2 ]
    images 4194304
    truncate -s 4198400 target.raw
    run "$realdisk" --impl fast .
    [ "$status" -eq 2 ]
    cp backing.raw target.raw
    run "$realdisk" --impl fast .
    [ "$status" -eq 2 ]
    [[ "$output" == *"hardly differ"* ]]
}

@test "make gate: an unknown IMPL or TIME ends with 2" {
    IMPL=nonsense run "$root/scripts/gate"
    [ "$status" -eq 2 ]
    TIME=soon run "$root/scripts/gate"
    [ "$status" -eq 2 ]
}
