#!/usr/bin/env bats
# The hunt under the deterministic scheduler: that it repeats itself, replays what once failed, and says what it was asked wrongly.

bats_require_minimum_version 1.5.0

hunt=${HUNT:-$BATS_TEST_DIRNAME/../../build/gcc/hunt}
regressions=$BATS_TEST_DIRNAME/../../corpus/regressions

setup() {
    cd "$BATS_TEST_TMPDIR" || return
    export TMPDIR=$BATS_TEST_TMPDIR/temporary
    mkdir "$TMPDIR"
}

# Nothing may be left behind.
teardown() {
    rmdir "$TMPDIR"
}

# The counts of a hunt's last line, without what depends on the time.
counts() {
    sed -n 's/^hunt: \(.* workloads, [0-9]* schedules\) ([0-9]* a second)\(.*\)$/\1\2/p'
}

@test "hunt --judge: every judge and strategy finds nothing wrong" {
    for judge in schedule crash fault all; do
        run "$hunt" --judge $judge --seed 1 --traces 8
        echo "$output"
        [ "$status" -eq 0 ]
        [[ "$output" == *", 0 failures"*" different behaviours; switches at "*" points of the code"* ]]
    done
    for strategy in random pct exhaustive all; do
        run "$hunt" --strategy $strategy --judge schedule --seed 1 --traces 3 --schedules 20 --threads 3 --ops 2
        echo "$output"
        [ "$status" -eq 0 ]
        [[ "$output" == "hunt: 3 workloads, "*" 0 failures"* ]]
    done
}

@test "hunt --judge: a seed decides everything" {
    first=$("$hunt" --judge all --seed 5 --traces 9 --self-check | counts)
    second=$("$hunt" --judge all --seed 5 --traces 9 --self-check | counts)
    other=$("$hunt" --judge all --seed 6 --traces 9 --self-check | counts)
    echo "$first"
    [ -n "$first" ]
    [ "$first" = "$second" ]
    [ "$first" != "$other" ]
}

@test "hunt --replay: what once failed does not any more" {
    for file in "$regressions"/*.trace; do
        run "$hunt" --judge all --seed 1 --replay "$file"
        echo "$output"
        [ "$status" -eq 0 ]
        [[ "${lines[-1]}" == "hunt: the replay conforms" ]]
    done
}

@test "hunt --replay: a schedule, a seed and a fault come from the file" {
    cat >beside.trace <<'END'
# seed 5
# fault EIO 1 sync disk.raw once
# schedule 0x20,1x30,0x9
layout r20
cluster-bits 12
size 8192
backing 8192
allocated none
unknown-compatible no
seed 1
threads 2

0 write 0 512
0 flush
1 write 1024 512
1 flush
END
    run "$hunt" --judge fault --replay beside.trace
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *"syncs or cuts disk.raw"* ]]
    [[ "${lines[-1]}" == "hunt: the replay conforms" ]]
    sed -i 's/EIO 1 sync/EIO 0 sync/' beside.trace
    run "$hunt" --judge fault --replay beside.trace
    [ "$status" -eq 2 ]
}

@test "hunt --bench: says how many schedules a second there are" {
    run "$hunt" --bench --seed 1
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "${lines[-1]}" =~ ^[1-9][0-9]*\ schedules\ a\ second,\ [1-9][0-9]*\ a\ second\ of\ processor\ time ]]
}

@test "hunt --judge: wrong usage is refused" {
    for words in "--judge nobody" "--strategy none" "--judge all --threads 0" "--judge all --seed x" "--judge all extra" \
        "--judge all --replay nothing.trace" "--judge all --unknown" "--judge all --impl ref" "--bench --keep" \
        "--strategy pct --ops 101"; do
        # shellcheck disable=SC2086 # a list of words
        run "$hunt" $words
        echo "$words: $status $output"
        [ "$status" -eq 2 ]
    done
    run "$hunt" --judge all --help
    [ "$status" -eq 0 ]
    [[ "$output" == "Usage: hunt "* ]]
}
