#!/usr/bin/env bats
# proofs/model/follow must reject what the engine did not do. Each test changes a real execution, or the model.

bats_require_minimum_version 1.5.0

setup() {
    cp "$BATS_TEST_DIRNAME"/{follow,*.pml} "$BATS_TEST_TMPDIR"
    cd "$BATS_TEST_TMPDIR" || return
    FOLLOWED=$(dirname "$HUNT")/followed
    "$FOLLOWED" --exhaustive 3 --traces 5 --schedules 3 real.txt
    # The events of a first write: 1280 is a look at the bits, 1536 sets them, 2305 writes cluster 0.
    sed -n '1,/ -2 /p' real.txt >first.txt
    # shellcheck disable=SC2016 # a script
    printf '#!/bin/sh\ncp "%s/given.txt" "$1"\n' "$PWD" >given
    chmod +x given
}

rejects_given() {
    run ./follow ./given
    [ "$status" -eq 1 ]
    [[ "$output" == *"execution 0 is rejected at event $1:"* ]]
    [[ "$output" == *"follow: 0 executions accepted, 1 rejected, "* ]]
}

@test "follow: accepts what the engine does" {
    run ./follow "$FOLLOWED" --exhaustive 3 --traces 5 --schedules 3
    [ "$status" -eq 0 ]
    [[ "$output" =~ follow:\ [0-9]+\ executions\ accepted,\ 0\ rejected,\ [0-9]+\ events$ ]]
    cp first.txt given.txt
    run ./follow ./given
    [ "$status" -eq 0 ]
}

@test "follow: rejects a bit that is set before the data, and shows what the model would allow" {
    awk '$2 == 2305 { held = $0; next } { print } $2 == 1536 { print held }' first.txt >given.txt
    rejects_given 6
    [[ "$output" == *"thread 0: write image of clusters [0, 1)"* ]]
}

@test "follow: rejects a step without the lock" {
    awk '$2 == 256 && !done { done = 1; next } { print }' first.txt >given.txt
    rejects_given 3
}

@test "follow: rejects another state" {
    sed '/ 2305 /s/65536/131072/' first.txt >given.txt
    rejects_given 6
}

@test "follow: an execution that breaks off is not at its end" {
    sed '/ -2 /s/ 1 1$/ 0 1/' first.txt >given.txt
    run ./follow ./given
    [ "$status" -eq 1 ]
}

@test "follow: no execution at all is no success" {
    : >given.txt
    run ./follow ./given
    [ "$status" -eq 1 ]
}

@test "follow: the engine's executions do not fit another model" {
    sed -i 's/^    dirty = dirty | .*/    skip;/' allocate.pml
    run ./follow "$FOLLOWED" --exhaustive 3 --traces 5 --schedules 3
    [ "$status" -eq 1 ]
}
