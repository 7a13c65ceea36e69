#!/usr/bin/env bats
# The example adapters, judged by the whole corpus: `make check-examples`. It starts Python more than a thousand times,
# which takes longer than all other tests of the gate. tests/cli/protocol.bats runs a sample.

bats_require_minimum_version 1.5.0

load ../cli/harness

gate=${GATE:-$BATS_TEST_DIRNAME/../../build/gcc/gate}
export ADDCOW=${ADDCOW:-$BATS_TEST_DIRNAME/../../build/gcc/addcow}
root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)

setup_file() {
    compile_example
}

gate() {
    "$gate" --corpus "$root/corpus" --impl "exec:$1" "${@:2}"
}

make_wrong() {
    mkdir -p "$1/corpus"
    cp -r "$root/corpus/second" "$1/corpus/"
    patch -p1 -s -d "$1" <"$root/mutants/second/$1.patch"
    gcc -std=c11 -D_GNU_SOURCE -O1 -w -pthread -o "$1/second" "$1"/corpus/second/*.c
}

# found NAME SCENARIO CLAUSE: the scenario finds this clause broken by the implementation in C with this patch.
found() {
    make_wrong "$1"
    run gate "'$PWD/$1/second'" --scenario "$2"
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"$3: broken in 1 observed scenario"* ]]
}

# caught NAME CASE CLAUSE: the same by a case of the corpus.
caught() {
    make_wrong "$1"
    run gate "'$PWD/$1/second'" --no-observe --case "$2" --json report.json
    echo "$output"
    [ "$status" -eq 1 ]
    run python3 -c 'import json; print(*(each["clause"] for each in json.load(open("report.json"))["broken"]))'
    [ "$output" = "$3" ]
}

@test "an implementation in Python, written from the specification alone, conforms" {
    local cases
    cases=$(find "$root/corpus/cases" -name '*.json' | wc -l)
    run gate "$(example)" --no-observe --timeout 120
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "${lines[-1]}" == *": $cases of $cases cases passed: conforms as writer ("* ]]
    # It leaves no compiled files beside it, where nobody has compiled it.
    unset PYTHONPYCACHEPREFIX
    gate "$(example)" --case rd-01-mixed
    [ ! -e "$root/corpus/example/__pycache__" ]
}

@test "an implementation in C, with threads, conforms in the corpus and under the observer" {
    local cases
    cases=$(find "$root/corpus/cases" -name '*.json' | wc -l)
    run gate "'${gate%/*}/second'" --observe --timeout 120
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *" 0 broken, 0 not judged"* ]]
    [[ "${lines[-1]}" == *": $cases of $cases cases passed: conforms as writer ("* ]]
}

@test "wrong variants of it are found" {
    found no-sync write-flush/power DUR-01
    found commit-clears-first commit/death CMT-03
    found failed-flag-forgotten stream/faults STR-02
    found created-name-not-synced create CRE-06
    found created-in-place create CRE-06
    found failed-close-keeps-the-lock once/faults ERR-03
    found growing-with-the-flag-not-flushed grow-flag/power RSZ-04
}

@test "a create leaves a file; a lock is one of the process: the clause is named, whatever the case is about" {
    caught failed-create-leaves-its-file cre-05-format CRE-04
    caught locks-of-the-process wr-02-one-byte LCK-01
    caught commit-leaves-out-zeros cmt-01-zeros CMT-01
}

@test "flushes share a sync that fails: each of them says so" {
    make_wrong failed-flush-told-to-one
    run gate "'$PWD/failed-flush-told-to-one/second'" --scenario flushes
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"DUR-06: broken in "*"(the fault: EIO at sync number "* ]]
}

@test "a wrapped command-line tool conforms in what it declares; the rest is not applicable" {
    local part
    for part in wr-0 map- cre- rsz- req- lnk-0; do
        run gate "python3 '$root/corpus/example/wrap_addcow.py'" --no-observe --applicable --filter "$part"
        echo "$output"
        [ "$status" -eq 0 ]
    done
    run gate "python3 '$root/corpus/example/wrap_addcow.py'" --no-observe --filter lck
    [ "$status" -eq 4 ]
    [[ "$output" == *"lck-01-two-readers: not applicable to "*", which does not claim locks"* ]]
}
