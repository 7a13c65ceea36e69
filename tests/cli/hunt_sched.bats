#!/usr/bin/env bats
# hunt explore and hunt replay: they are reproducible, replay the regression traces, and refuse wrong usage.

bats_require_minimum_version 1.5.0

load harness

hunt=${HUNT:-$BATS_TEST_DIRNAME/../../build/gcc/hunt}
regressions=$BATS_TEST_DIRNAME/../../corpus/regressions

# The counts of a hunt's last line, without what depends on the time.
counts() {
    sed -n 's/^hunt: \(.* workloads, [0-9]* schedules\) ([0-9]* a second)\(.*\)$/\1\2/p'
}

@test "hunt explore: every judge and strategy finds nothing wrong" {
    for judge in schedule crash fault all; do
        run "$hunt" explore --judge $judge --seed 1 --traces 8
        echo "$output"
        [ "$status" -eq 0 ]
        [[ "$output" == *", 0 failures"*" different behaviours; switches at "*" points of the code"* ]]
    done
    for strategy in random pct exhaustive all; do
        run "$hunt" explore --strategy $strategy --judge schedule --seed 1 --traces 3 --schedules 20 --threads 3 --ops 2
        echo "$output"
        [ "$status" -eq 0 ]
        [[ "$output" == "hunt: 3 workloads, "*" 0 failures"* ]]
    done
}

@test "hunt explore: a seed determines the whole hunt" {
    first=$("$hunt" explore --seed 5 --traces 9 --self-check | counts)
    second=$("$hunt" explore --seed 5 --traces 9 --self-check | counts)
    other=$("$hunt" explore --seed 6 --traces 9 --self-check | counts)
    echo "$first"
    [ -n "$first" ]
    [ "$first" = "$second" ]
    [ "$first" != "$other" ]
}

@test "hunt explore --census: the values of each dimension, those that never occurred too" {
    run "$hunt" explore --seed 1 --traces 6 --schedules 1 --judge schedule --census
    echo "$output"
    [ "$status" -eq 0 ]
    for row in layout 'cluster size' 'blocks of the bitmap' allocated holes request length reach; do
        [[ "$output" == *"| $row | "* ]]
    done
    shares=$(sed -n 's/^| layout | r20 \([0-9.]*\), r9 .*/\1/p' <<<"$output")
    [ "$shares" = 100 ] || [[ "$output" != *"r9 **never**"* ]]
    [[ "$output" == *"**never**"* ]]
    run -2 "$hunt" explore --memory weak --census --traces 1
}

@test "hunt replay: all regression traces conform" {
    for file in "$regressions"/*.trace; do
        run "$hunt" replay "$file"
        echo "$output"
        [ "$status" -eq 0 ]
        [[ "${lines[-1]}" == "hunt: the replay conforms" ]]
    done
}

# The schedule that a refused replay says that the run has; empty if the replay was not refused for that.
schedule_of() {
    "$hunt" replay "$1" 2>&1 >/dev/null | sed -n 's/.* the run leaves the schedule at segment [0-9]*; it is //p'
}

@test "hunt replay: the judge, the fault and the schedule come from the file" {
    faulty='judge fault
crash-seed 5
storage punch-refused
fault EIO at sync 1 of disk.raw'
    two_threads "$faulty
schedule 0x20,1x5 continue" >beside.trace
    run "$hunt" replay beside.trace
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *"syncs or cuts disk.raw"* ]]
    [[ "${lines[-1]}" == "hunt: the replay conforms" ]]
    # Whole, that schedule is exact.
    two_threads "$faulty
schedule 0x20,1x5" >cut.trace
    schedule=$(schedule_of cut.trace)
    [ -n "$schedule" ]
    two_threads "$faulty
schedule $schedule" >exact.trace
    run "$hunt" replay --self-check exact.trace
    echo "$output"
    [ "$status" -eq 0 ]
    # Other threads' steps are not what it says, nor is one step more or less.
    for other in "0x1,$schedule" "$schedule,0x1" "${schedule}9" "1x1,$schedule"; do
        two_threads "$faulty
schedule $other" >other.trace
        run "$hunt" replay other.trace
        echo "$output"
        [ "$status" -eq 2 ]
        [[ "$output" == *"hunt: other.trace:6: the run leaves the schedule at segment "* ]]
        [[ "$output" != *"conforms"* ]]
    done
    # Comments mean nothing.
    { cat exact.trace && printf '# schedule 0x1\n# fault nonsense\n'; } >commented.trace
    run "$hunt" replay commented.trace
    [ "$status" -eq 0 ]
}

@test "hunt replay: a file that cannot be replayed exactly is refused with its line" {
    refused() { # LINES EXPECTED
        two_threads "$1" >file.trace
        run "$hunt" replay file.trace
        echo "$output"
        [ "$status" -eq 2 ]
        [[ "$output" == *"hunt: file.trace:$2"* ]]
        [[ "$output" != *"conforms"* ]]
    }
    refused "# judge crash" "1: no 'judge'"
    refused "judge crash
speed 1" "3: unknown keyword 'speed'"
    refused "judge schedule
schedule 0x3;1x4" "3: expected 'schedule "
    refused "judge schedule
schedule 0x3,2x4" "3: the schedule has a thread 2, the trace has 2"
    refused "judge schedule" "2: no 'schedule'"
    refused "judge schedule
schedule 0x1" "3: the run leaves the schedule at segment 1"
    refused "judge fault
crash-seed 1
fault EIO at sync 9 of disk.raw
schedule 0x1 continue" "4: the fault does not happen"
    refused "judge fault
crash-seed 1
fault EIO at sync 0 of disk.raw
schedule 0x1 continue" "4: the number of the call"
    refused "judge crash
schedule 0x1 continue" "2: no 'crash-seed'"
    sed 1d file.trace >old.trace
    run "$hunt" replay old.trace
    echo "$output"
    [ "$status" -eq 2 ]
    [ "$output" = "hunt: old.trace:1: the first line is not 'add-cow trace 2'" ]
    two_threads "judge schedule
schedule 0x1 continue" >file.trace
    run "$hunt" replay --impl ref file.trace
    echo "$output"
    [ "$status" -eq 2 ]
    [[ "$output" == "hunt: --impl: file.trace is replayed under the scheduler"* ]]
}

@test "hunt replay: a timeline names the locks" {
    two_threads "judge schedule
schedule 0x1 continue" >file.trace
    run "$hunt" replay file.trace
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *" locks allocation "* ]] && [[ "$output" == *" unlocks flush "* ]]
    [[ ! "$output" =~ locks\ [0-9a-f]{4} ]]
}

@test "hunt explore --memory weak: random requests under C11's memory" {
    run "$hunt" explore --memory weak --seed 1 --traces 2 --schedules 40
    echo "$output"
    if [[ "$status" -eq 4 && "$output" == *"built without weak memory"* ]]; then
        skip "the compiler cannot build it"
    fi
    [ "$status" -eq 0 ]
    [[ "$output" =~ ^"hunt: weak memory: 2 workloads, "[1-9][0-9]*" executions, "[1-9][0-9]*" steps, " ]]
    [[ "$output" =~ " "[1-9][0-9]*" old stores read; ".*" 0 failures"$ ]]
    again=$("$hunt" explore --memory weak --seed 1 --traces 2 --schedules 40)
    [ "$output" = "$again" ]
}

@test "hunt bench: prints schedules per second" {
    run "$hunt" bench --seed 1
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "${lines[-1]}" =~ ^[1-9][0-9]*\ schedules\ a\ second,\ [1-9][0-9]*\ a\ second\ of\ processor\ time ]]
}

@test "hunt explore: wrong usage is refused" {
    for words in "explore --judge nobody" "explore --strategy none" "explore --threads 0" "explore --seed x" \
        "explore extra" \
        "explore --unknown" "explore --impl ref" "explore --replay file" "bench --keep" "bench extra" \
        "explore --strategy pct --ops 101" "explore --memory strong" "explore --memory weak --judge crash" \
        "explore --memory weak --threads 5" "explore --memory weak --ops 9"; do
        # shellcheck disable=SC2086 # a list of words
        run "$hunt" $words
        echo "$words: $status $output"
        [ "$status" -eq 2 ]
    done
}
