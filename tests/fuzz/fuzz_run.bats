#!/usr/bin/env bats
# What fuzz/run does beside fuzzing itself: `make check-fuzz`. It builds with compilers of its own. Each build is made
# once below build/fuzz and shared; an engine with a defect is built from a copy of one.

load ../cli/common

setup() {
    mkdir "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work" || return
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
}

count() {
    find "$@" -type f | wc -l
}

@test "wrong usage ends with 2" {
    run "$root/fuzz/run" regress fuzz_missing
    [ "$status" -eq 2 ]
    [[ "$output" == *"there is no target fuzz_missing"* ]]
    run "$root/fuzz/run" batch fuzz_json --in missing --out out
    [ "$status" -eq 2 ]
    run "$root/fuzz/run" timetokill --list --only no-such-defect
    [ "$status" -eq 2 ]
}

@test "every mutant names the fuzz target that should find it, or the reason why none can" {
    run "$root/fuzz/run" timetokill --list
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq "$(find "$root/mutants/engine" -name '*.patch' | wc -l)" ]
}

@test "fuzzing finds a mutant, and triage prints a small workload for it" {
    place=$root/build/fuzz/defects/tail-not-copied
    rm -rf "$place/libfuzzer" "$place/afl" "$place/findings"
    run "$root/fuzz/run" libfuzzer fuzz_trace --defect tail-not-copied --time 60
    [ "$status" -eq 1 ]
    run "$root/fuzz/run" triage fuzz_trace --defect tail-not-copied
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"to keep it: "* ]]
    [[ "$output" == *"# operation 0"* ]]
    [[ "$output" != *"# operation 4"* ]]
    [[ "$output" == *"triage: "[1-3]" kinds of failure"* ]]
    for found in "$place"/findings/fuzz_trace/*.txt; do
        [ "$(stat -c %s "${found%.txt}")" -lt 100 ]
    done
}

@test "the results of all jobs of a cluster are merged" {
    mkdir first second seeds
    echo 'ok 1 2' >seeds/one
    for job in first second; do
        run "$root/fuzz/run" batch fuzz_protocol --in seeds --out "$job" --time 2 --seed "${#job}"
        echo "$output"
        [ "$status" -eq 0 ]
        grep -q '"findings": 0' "$job/report.json"
        [ -n "$(ls "$job/corpus")" ]
    done
    run "$root/fuzz/run" merge fuzz_protocol first second --out together
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(count together)" -gt 0 ]
    [ "$(count together)" -le "$(count first/corpus second/corpus)" ]
}

@test "a campaign writes a row of figures" {
    run "$root/fuzz/run" campaign fuzz_protocol --time 2 --table table.md
    echo "$output"
    [ "$status" -eq 0 ]
    grep -qE '^\| [0-9-]+ \| .* \| fuzz_protocol \| libfuzzer \| [0-9]+ \| [1-9][0-9]* \|' table.md
}

@test "time to kill: zero if the seeds show the defect" {
    rm -f "$root/build/fuzz/timetokill/tail-not-copied.json"
    run "$root/fuzz/run" timetokill --only tail-not-copied no-such-thing --engine libfuzzer
    [ "$status" -eq 2 ]
    run "$root/fuzz/run" timetokill --only tail-not-copied --engine libfuzzer --runs 1 --time 20 --out table.md
    echo "$output"
    [ "$status" -eq 0 ]
    grep -q '^| tail-not-copied | fuzz_trace | seeds | – |$' table.md
}

@test "the OSS-Fuzz build makes the files that OSS-Fuzz expects" {
    run "$root/fuzz/run" oss-fuzz --sanitizer address
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *"fuzz_trace: finds the planted defect after "* ]]
}
