#!/usr/bin/env bats
# The inputs that fuzzing keeps are regression tests: every target replays its seeds and regressions.

load common

fuzzers=${FUZZERS:-$BATS_TEST_DIRNAME/../../build/gcc/fuzz}
inputs=$BATS_TEST_DIRNAME/../../fuzz

# replays TARGET: every input of the target passes, and there are some.
replays() {
    local found=() place
    for place in "$inputs/seeds/$1" "$inputs/regressions/$1"; do
        [ -d "$place" ] && found+=("$place")
    done
    run --separate-stderr "$fuzzers/$1" "${found[@]}"
    # shellcheck disable=SC2154 # run sets it
    [ "$status" -eq 0 ] || { echo "$stderr" | tail -n 20; return 1; }
    # shellcheck disable=SC2154
    echo "$output"
    [[ "$output" =~ ^replayed:\ [1-9][0-9]*\ inputs$ ]]
}

@test "fuzz_crash replays its seeds and regressions" {
    replays fuzz_crash
}

@test "fuzz_create replays its seeds and regressions" {
    replays fuzz_create
}

@test "fuzz_encode replays its seeds and regressions" {
    replays fuzz_encode
}

@test "fuzz_fault replays its seeds and regressions" {
    replays fuzz_fault
}

@test "fuzz_header replays its seeds and regressions" {
    replays fuzz_header
}

@test "fuzz_image replays its seeds and regressions" {
    replays fuzz_image
}

@test "fuzz_json replays its seeds and regressions" {
    replays fuzz_json
}

@test "fuzz_protocol replays its seeds and regressions" {
    replays fuzz_protocol
}

@test "fuzz_schedule replays its seeds and regressions" {
    replays fuzz_schedule
}

@test "fuzz_trace replays its seeds and regressions" {
    replays fuzz_trace
}

@test "every target has seeds, and all seeds a target" {
    for target in "$inputs"/targets/fuzz_*.c; do
        name=$(basename "$target" .c)
        [ -n "$(ls "$inputs/seeds/$name")" ]
        grep -q "^    replays $name\$" "$BATS_TEST_FILENAME"
    done
    for place in "$inputs"/seeds/* "$inputs"/regressions/*; do
        [ ! -e "$place" ] || [ -f "$inputs/targets/$(basename "$place").c" ]
    done
}

@test "a directory without inputs is not a success" {
    mkdir empty
    run "$fuzzers/fuzz_header" empty
    [ "$status" -eq 4 ]
}

@test "an input that cannot be read is told, and is no success" {
    run "$fuzzers/fuzz_header" missing
    [ "$status" -eq 2 ]
    [[ "$output" == *"missing: No such file or directory"* ]]
}
