#!/usr/bin/env bats
# The gate and the real-disk run: output and exit status.

bats_require_minimum_version 1.5.0

load harness

gate=${GATE:-$BATS_TEST_DIRNAME/../../build/gcc/gate}
realdisk=${REALDISK:-$BATS_TEST_DIRNAME/../../build/gcc/realdisk}
root=$BATS_TEST_DIRNAME/../..
without_leak_checks

gate() {
    "$gate" --corpus "$root/corpus" "$@"
}

# corpus_error TEXT: the corpus in ./broken, made anew from five cases each time, must be refused with TEXT, and at
# once.
corpus_error() {
    run timeout 20 "$gate" --impl fast --corpus broken
    echo "$output"
    [ "$status" -eq 2 ] && [[ "$output" == *"$1"* ]]
}

small_corpus() {
    rm -rf broken
    mkdir -p broken/cases spec
    cp "$root/spec/add-cow.md" spec/
    cp "$root/corpus/corpus.json" broken/
    cp "$root"/corpus/cases/requests/rd-0* broken/cases/
}

@test "gate: the production engine conforms" {
    run gate --impl fast --no-observe
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "${lines[-1]}" == "corpus "*", fast: "*": conforms as writer ("*" clauses); concurrency "* ]]
    [[ "${lines[-1]}" == *"; durability not judged (no observer)" ]]
}

@test "gate: neither the gate nor the judges in its children leak memory" {
    sample_corpus small
    ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=1 run "$gate" --impl fast --corpus small --no-observe
    echo "$output"
    [ "$status" -eq 0 ] && [[ "${lines[-1]}" == *" cases passed: conforms as "* ]]
    ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=1 run "$gate" --impl ref --corpus small --applicable --no-observe
    [ "$status" -eq 0 ]
}

@test "gate: the reference engine passes all applicable cases, and skipped cases make the run incomplete" {
    run gate --impl ref --no-observe
    echo "$output"
    [ "$status" -eq 4 ]
    [[ "$output" == *"example-create: not applicable to ref, which does not claim create"* ]]
    run gate --impl ref --applicable --no-observe
    [ "$status" -eq 0 ]
}

@test "gate: the TAP output counts every case, and prove accepts it" {
    gate --impl fast --clause BMP-03 --tap >out.tap
    [ "$(head -n 1 out.tap)" = "TAP version 13" ]
    [ "$(grep -c '^ok ' out.tap)" -ge 4 ]
    run prove --exec cat out.tap
    [ "$status" -eq 0 ]
}

@test "gate: --case, --filter and --clause select cases, and an empty selection is incomplete" {
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
    [[ "${lines[-1]}" == *": incomplete as writer (0 of "* ]]
}

@test "corpus: the generated cases are up to date, and there are enough of them" {
    run "$root/corpus/generate" --check
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(find "$root/corpus/cases" -name '*.json' | wc -l)" -ge 400 ]
    [ "$(du -sb "$root/corpus" | cut -f 1)" -lt 5000000 ]
    cp -r "$root/corpus" changed
    sed -i 's/"pattern": 2/"pattern": 4/' changed/cases/generated/grid-write-4k-head-none-full.json
    rm changed/cases/generated/grid-map-0-0-1.json
    cp changed/cases/generated/grid-map-0-0-64.json changed/cases/generated/grid-extra.json
    run changed/generate --check
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 4 ]
}

# Nothing that the cases of concurrency and of killing expect is found by an engine that they do not fit.
@test "gate: cases with concurrent requests and cases with a killed process can fail" {
    cp -r "$root/corpus" "$root/spec" .
    sed -i 's/"any": \[2, 3\]/"any": [4, 5]/' corpus/cases/generated/grid-beside-same-sectors-4k.json
    sed -i '/"op": "flush"/d' corpus/cases/generated/grid-kill-write-4k.json
    sed -i 's/\["ok", "range"\]/"io"/' corpus/cases/generated/grid-beside-shrink-writes.json
    local id
    for id in grid-beside-same-sectors-4k grid-kill-write-4k grid-beside-shrink-writes; do
        run "$gate" --impl fast --corpus corpus --case "$id"
        echo "$output"
        [ "$status" -eq 1 ]
    done
}

@test "gate: the production engine conforms behind `gate serve`" {
    run gate --impl "exec:'$gate' serve fast" --filter wr-0
    echo "$output"
    [ "$status" -eq 0 ]
    run gate --impl "exec:'$gate' serve nonsense"
    [ "$status" -eq 3 ]
    [[ "$output" == *'did not start: it exited with status 2'*'no engine'* ]]
}

@test "gate: wrong usage ends with 2" {
    local arguments
    for arguments in "" "--impl" "--impl nonsense" "--impl fast extra" "--impl fast --nonsense" \
        "--impl fast --timeout 0" "--impl fast --timeout x" "--impl fast --jobs 0" "--impl fast --jobs 257" \
        "--impl fast --level guru" "--impl fast --case" "nonsense" "list extra" "list --applicable" "explain" \
        "explain one two" "serve" "serve nonsense"; do
        # shellcheck disable=SC2086 # a list of words
        run gate $arguments
        echo "'$arguments': $status $output"
        [ "$status" -eq 2 ]
        [ -n "$output" ]
    done
}

@test "gate: an invalid corpus ends with 2 and names the file and the position" {
    run "$gate" --impl fast --corpus nowhere
    [ "$status" -eq 2 ]
    [[ "$output" == *"nowhere/corpus.json: No such file"* ]]
    small_corpus
    sed -i 's/"mode": "ro"/"mode": "ro", "colour": 1/' broken/cases/rd-01-mixed.json
    corpus_error 'broken/cases/rd-01-mixed.json: $.steps[0]: unknown field "colour"'
    small_corpus
    truncate -s 300 broken/cases/rd-01-mixed.json
    corpus_error "broken/cases/rd-01-mixed.json: line "
    small_corpus
    printf '\0\377\376' >broken/cases/a.json
    corpus_error "broken/cases/a.json: line 1"
    small_corpus
    head -c 1000000 /dev/zero | tr '\0' '[' >broken/cases/a.json
    corpus_error "broken/cases/a.json: line 1"
    small_corpus
    rm broken/corpus.json
    corpus_error "broken/corpus.json: No such file"
    small_corpus
    rm -r broken/cases
    corpus_error "broken/cases: No such file"
    small_corpus
    sed -i 's/"format": 2/"format": 3/' broken/corpus.json
    corpus_error "the corpus has format 3, but this program reads format 2"
}

@test "gate: a case that is not a regular file is refused without blocking" {
    small_corpus
    mkfifo broken/cases/a.json
    corpus_error "broken/cases/a.json: Invalid argument"
    small_corpus
    ln -s /dev/zero broken/cases/a.json
    corpus_error "broken/cases/a.json: Invalid argument"
    small_corpus
    ln -s nowhere broken/cases/a.json
    corpus_error "broken/cases/a.json: No such file"
    small_corpus
    mkdir broken/cases/a.json
    corpus_error "broken/cases/a.json: Is a directory"
    small_corpus
    truncate -s 1T broken/cases/a.json
    corpus_error "broken/cases/a.json: File too large"
    small_corpus
    echo >broken/cases/README
    corpus_error "broken/cases/README: only cases"
}

@test "gate: an empty corpus is incomplete" {
    small_corpus
    rm broken/cases/*
    run "$gate" --impl fast --corpus broken --no-observe
    [ "$status" -eq 4 ]
    [[ "${lines[-1]}" == *"0 of 0 cases passed: incomplete as "* ]]
}

@test "gate: parallel cases are reported in the order of the corpus" {
    cp -r "$root/corpus" "$root/spec" .
    sed -i '/"steps"/,$s/"pattern": 9}/"pattern": 8}/' corpus/cases/requests/rd-0*.json
    local jobs
    for jobs in 1 7; do
        "$gate" --impl fast --corpus corpus --filter d-0 --tap --jobs $jobs >out.$jobs || [ $? -eq 1 ]
    done
    cmp out.1 out.7
    [ "$(grep -c '^not ok' out.7)" -ge 1 ]
    run gate --impl fast --jobs 0
    [ "$status" -eq 2 ]
}

@test "gate: cases that its own engine has no addresses for are not applicable" {
    [[ "$gate" != */build/*-*/gate ]] || return 0 # a sanitizer needs more address space than this leaves
    run bash -c 'ulimit -v 4000000; "$0" --impl fast --corpus "$1" --filter grid-sectors-whole-cluster' \
        "$gate" "$root/corpus"
    [ "$status" -eq 4 ]
    [[ "$output" == *"large (nor does the reference engine of this gate)"* ]]
}

@test "gate: ten failing cases are printed in full, the others on one line each, unless --all is given" {
    cp -r "$root/corpus" "$root/spec" .
    sed -i '/"steps"/,$s/"pattern": 9}/"pattern": 8}/' corpus/cases/*/*.json
    run "$gate" --impl fast --corpus corpus --filter wr-0
    [ "$status" -eq 1 ]
    local failing last eleventh
    failing=$(grep -c ': failed: ' <<<"$output")
    [ "$failing" -gt 10 ]
    [ "$(grep -c '^  Repeat: ' <<<"$output")" -eq 10 ]
    # The first ten, and then lines that still say why.
    last=$(grep -n '^  Repeat: ' <<<"$output" | tail -n 1)
    eleventh=$(grep -n ': failed: ' <<<"$output" | sed -n 11p)
    [ "${last%%:*}" -lt "${eleventh%%:*}" ]
    [[ "$eleventh" == *": failed: step "* ]]
    run "$gate" --impl fast --corpus corpus --filter wr-0 --all
    [ "$status" -eq 1 ]
    [ "$(grep -c '^  Repeat: ' <<<"$output")" -eq "$failing" ]
}

@test "gate: explain prints a case in plain English" {
    run gate explain grid-kill-write-4k
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "${lines[0]}" == "grid-kill-write-4k: What a flush made durable survives"* ]]
    [[ "$output" == *"DUR-01: When flush returns success"*"It needs: kill"* ]]
    [[ "$output" == *"It needs: kill"*"disk.addcow: 8192 bytes, zeros (a hole) except"* ]]
    [[ "$output" == *'at 0: the text "ACOW"'*"at 4: the 32-bit numbers 76 11 87 9 12"* ]]
    [[ "$output" == *"2. write 4396 bytes at offset 700: must succeed; the data"*"4. the implementation's"* ]]
    [[ "$output" == *"4. the implementation's process is killed"* ]]
    [[ "$output" == *"let the reference engine open disk.addcow for reading: must succeed"* ]]
    [[ "$output" == *"must succeed and give"*"at 700: 4396 bytes of pattern 2"*"Run it: "*"--case grid-kill-write-4k" ]]
    run gate explain hdr-05-double
    [[ "$output" == *"must end with malformed, for HDR-05"* ]]
    run gate explain no-such-case
    [ "$status" -eq 4 ]
    run gate explain
    [ "$status" -eq 2 ]
    # Every case of the corpus can be explained.
    local id
    gate list | cut -d ' ' -f 1 | shuf -n 40 --random-source=<(yes) >ids
    while read -r id; do
        gate explain "$id" >explained
        [ "$(wc -l <explained)" -gt 8 ]
    done <ids
}

@test "gate: progress is shown on a terminal" {
    script -qec true /dev/null >/dev/null 2>&1 || skip "no pseudo-terminal can be opened here"
    run script -qec "'$gate' --corpus '$root/corpus' --impl fast --filter rd-0 --jobs 1" /dev/null
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *" of "*": rd-0"* ]]
    run gate --impl fast --filter rd-0
    [[ "$output" != *" of "*": rd-0"* ]]
}

@test "gate: output that cannot be written ends with 2" {
    run bash -c "'$gate' --corpus '$root/corpus' --impl fast --filter rd-0 >/dev/full"
    echo "$output"
    [ "$status" -eq 2 ]
    [[ "$output" == *"cannot write standard output"* ]]
    run bash -c "set -o pipefail; '$gate' --corpus '$root/corpus' --impl fast --tap | head -n 1"
    echo "$output"
    [ "$status" -eq 2 ]
}

@test "gate: the reference engine judges the files that a killed process left" {
    cp -r "$root/corpus" "$root/spec" .
    sed -i 's/"needs": \["kill"\]/"needs": ["kill", "cut"]/
        s/\( *\){"op": "kill"},/&{"op": "cut", "path": "disk.addcow", "size": 4096},/
        /"op": "file"/d' corpus/cases/generated/grid-kill-write-4k.json
    run "$gate" --impl fast --corpus corpus --case grid-kill-write-4k
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"step 6 of "*", open disk.addcow by the reference engine: expected ok, got malformed"* ]]
}

@test "gate: a case for an unknown clause ends with 2" {
    cp -r "$root/corpus" "$root/spec" .
    local unknown="RD-$((70 + 7))" # not spelled out: it would be taken for a clause that this test witnesses
    sed -i "s/\"clauses\": \[\"RD-01\"\]/\"clauses\": [\"$unknown\"]/" corpus/cases/requests/rd-01-mixed.json
    run "$gate" --impl fast --corpus corpus --case rd-01-mixed
    [ "$status" -eq 2 ]
    [[ "$output" == *"rd-01-mixed: the specification has no clause $unknown"* ]]
}

# A corpus whose expectation is wrong makes a right implementation fail: the failure as people see it.
@test "gate: a failure shows the clause, the bytes, and the command that repeats it" {
    cp -r "$root/corpus" "$root/spec" .
    sed -i '/"steps"/,$s/"pattern": 9}/"pattern": 8}/' corpus/cases/requests/rd-01-mixed.json
    run "$gate" --impl fast --corpus corpus --filter rd-01 --json out.json --junit out.xml
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"step 2 of 2, read 2000+18000: byte 4096: expected "*", got "* ]]
    [[ "$output" == *"RD-01: Read returns virt(i)"* ]]
    local repeat
    repeat=$(sed -n 's/^ *Repeat: //p' <<<"$output")
    [[ "$repeat" == *"$gate"*" --impl fast --corpus corpus --case rd-01-mixed" ]]
    [[ "$output" == *"broken clauses: 1"*"the shortest: rd-01-mixed"*" clauses claimed: 1 kept, 1 broken, "* ]]
    [[ "${lines[-1]}" == *": does not conform" ]]
    run bash -c "$repeat" # the gate's path may have spaces
    [ "$status" -eq 1 ]
    [[ "$output" == *"rd-01-mixed: failed: "* ]]
    run python3 - <<'PYTHON'
import json, xml.etree.ElementTree as tree
report = json.load(open("out.json"))
assert report["exit"] == 1 and report["implementation"] == "fast"
assert [b["clause"] for b in report["broken"]] == ["RD-01"] and report["broken"][0]["shortest"] == "rd-01-mixed"
verdicts = {c["id"]: c["verdict"] for c in report["cases"]}
assert verdicts == {"rd-01-mixed": "failed", "rd-01-mixed-no-backing": "passed"}, verdicts
assert report["report"] == 2 and report["conclusion"] == "does not conform"
assert [c["broken"] for c in report["clauses"] if c["clause"] == "RD-01"] == [1]
# What Jenkins, GitLab and GitHub's readers of JUnit XML take: this nesting, these attributes, the numbers right.
root = tree.parse("out.xml").getroot()
assert root.tag == "testsuites" and not root.attrib
suite, clauses = root
assert suite.tag == "testsuite" and set(suite.attrib) == {"name", "tests", "failures", "errors", "skipped", "time"}
assert [suite.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["2", "1", "0", "0"]
float(suite.get("time"))
for case in suite:
    assert case.tag == "testcase" and set(case.attrib) == {"classname", "name", "time"} and float(case.get("time")) >= 0
[failure] = suite.findall("testcase/failure")
assert set(failure.attrib) == {"message", "type"} and len(suite.findall("testcase/*")) == 1
assert "RD-01: Read returns" in failure.text and "Repeat: " in failure.text and "expected" in failure.text
PYTHON
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "gate: reports are valid for any output of an adapter, and skipped cases do not count as passed" {
    cat >adapter <<'SCRIPT'
read line
echo '0 ok 1 layouts=r20 operations= granularity=1 concurrency=1 level=reader lacks='
read line
printf '1 error io HDR-05 +9\n]]>\001\377&<"\n'
cat >/dev/null
SCRIPT
    run gate --impl "exec:sh ./adapter # $(printf '\377<&"')" --clause HDR-05 --json out.json --junit out.xml
    echo "$output"
    [ "$status" -eq 1 ]
    run gate --impl "exec:sh ./adapter" --filter wr-0 --json skipped.json --junit skipped.xml
    [ "$status" -eq 4 ]
    run python3 - <<'PYTHON'
import json, xml.etree.ElementTree as tree
assert [c for c in json.load(open("out.json"))["cases"] if "]]>??&" in c["text"]]
assert "]]>??&<" in "".join(tree.parse("out.xml").getroot().itertext())
report = json.load(open("skipped.json"))
assert {c["verdict"] for c in report["cases"]} == {"not applicable"} and report["exit"] == 4
assert all(c["passed"] == 0 for c in report["clauses"])
assert {c["clause"] for c in report["clauses"] if c["not judged"]} >= {"WR-01", "WR-03"}
suite = tree.parse("skipped.xml").getroot()[0]
assert suite.get("skipped") == suite.get("tests") == str(len(suite.findall("testcase/skipped")))
PYTHON
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "gate: a report that cannot be written ends with 2" {
    for report in --json --junit --html; do
        run gate --impl fast --case hdr-05-double "$report" nowhere/out
        [ "$status" -eq 2 ]
        [[ "$output" == *"cannot write nowhere/out: No such file or directory"* ]]
    done
}

@test "corpus: every case matches the schema, and the schema refuses unknown members" {
    run python3 - "$root/corpus" <<'PYTHON'
import json, pathlib, sys, jsonschema
corpus = pathlib.Path(sys.argv[1])
schema = json.load(open(corpus / "schema.json"))
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
cases = [json.load(open(path)) for path in sorted((corpus / "cases").rglob("*.json"))]
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

@test "real disk: both engines copy an image to another image" {
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

@test "make gate: an adapter is judged by the corpus only, and the options are passed on" {
    IMPL="exec:python3 '$root/corpus/example/adapter.py'" B=$(dirname "$gate") \
        run "$root/scripts/gate" --filter rd-01 --junit out.xml
    echo "$output"
    [ "$status" -eq 0 ]
    [ -s out.xml ]
    [[ "$output" != *"hunt"* ]]
    [[ "${lines[-1]}" == "gate: exec:python3 '"*"': CONFORMS" ]]
    IMPL="exec:exit 9" B=$(dirname "$gate") run "$root/scripts/gate"
    [ "$status" -eq 3 ]
}

@test "make gate: an unknown IMPL or TIME ends with 2" {
    IMPL=nonsense run "$root/scripts/gate"
    [ "$status" -eq 2 ]
    TIME=soon run "$root/scripts/gate"
    [ "$status" -eq 2 ]
}
