#!/usr/bin/env bats
# The inputs of fuzzing are regression tests: every target replays its seeds, generated or kept, and its regressions.

load common

fuzzers=${FUZZERS:-$BATS_TEST_DIRNAME/../../build/gcc/fuzz}
inputs=$BATS_TEST_DIRNAME/../../fuzz

# replays TARGET: every input of the target passes, and there are some.
replays() {
    local found=() place
    for place in "$fuzzers/seeds/$1" "$inputs/seeds/$1" "$inputs/regressions/$1"; do
        [ -d "$place" ] && found+=("$place")
    done
    run --separate-stderr "$fuzzers/$1" "${found[@]}"
    # shellcheck disable=SC2154 # run sets it
    [ "$status" -eq 0 ] || { echo "$stderr" | tail -n 20; return 1; }
    # shellcheck disable=SC2154
    echo "$output"
    [[ "$output" =~ ^replayed:\ [1-9][0-9]*\ inputs$ ]]
}

@test "every target replays its seeds and regressions" {
    for target in "$inputs"/targets/fuzz_*.c; do
        name=$(basename "$target" .c)
        echo "$name"
        replays "$name"
    done
}

@test "every directory of inputs belongs to a target" {
    for place in "$fuzzers"/seeds/* "$inputs"/seeds/* "$inputs"/regressions/*; do
        [ -f "$inputs/targets/$(basename "$place").c" ]
    done
}

@test "making the seeds is reproducible" {
    mkdir made
    "$fuzzers/make_seeds" "$inputs/../corpus" made
    diff -r made "$fuzzers/seeds"
}

@test "a directory without inputs is an error" {
    mkdir empty
    run "$fuzzers/fuzz_header" empty
    [ "$status" -eq 4 ]
}

@test "an unreadable input is reported, and is an error" {
    run "$fuzzers/fuzz_header" missing
    [ "$status" -eq 2 ]
    [[ "$output" == *"missing: No such file or directory"* ]]
}
