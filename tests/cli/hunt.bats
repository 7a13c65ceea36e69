#!/usr/bin/env bats
# The hunt: what it prints and with what status it ends, for implementations that are right, wrong, dead and stuck.

bats_require_minimum_version 1.5.0

load harness

hunt=${HUNT:-$BATS_TEST_DIRNAME/../../build/gcc/hunt}
example=$BATS_TEST_DIRNAME/../../corpus/example

# An adapter like the example, in which the text $1 is replaced by $2: an implementation with a mistake.
mistaken() {
    cp "$example"/adapter.py "$example"/addcow.py .
    PATTERN=$1 REPLACEMENT=$2 python3 - <<'END'
import os
text = open("addcow.py").read()
assert text.count(os.environ["PATTERN"]) == 1
open("addcow.py", "w").write(text.replace(os.environ["PATTERN"], os.environ["REPLACEMENT"]))
END
}

@test "hunt: the engines conform" {
    for impl in fast ref; do
        run "$hunt" stress --impl $impl --seed 1 --traces 15
        echo "$output"
        [ "$status" -eq 0 ]
        [[ "${lines[-1]}" == "hunt: $impl: 15 traces, "*" operations, "*" sectors compared, 0 failures; seeds 1..15" ]]
    done
}

@test "hunt: options choose the workloads, and a time ends it" {
    run "$hunt" stress --time 1 --threads 2 --ops 30 --cluster-bits 12 --layout r20
    echo "$output"
    [ "$status" -eq 0 ]
    run "$hunt" stress --layout r9 --traces 3 --threads 1
    [ "$status" -eq 0 ]
}

@test "hunt: a wrong implementation is told, with a replay that fails too" {
    mistaken 'ceil(self.bitmap_bytes(size), unit) * unit' 'self.bitmap_bytes(size)'
    run "$hunt" stress --impl "exec:python3 adapter.py" --seed 1 --traces 100 --threads 2
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "${lines[-1]}" == *" 1 failures"* ]]
    [[ "$output" == *"hunt replay --impl "*" hunt-"*".trace"* ]]
    run "$hunt" replay --impl "exec:python3 adapter.py" hunt-*.trace
    echo "$output"
    [ "$status" -eq 1 ]
}

@test "hunt: an implementation that dies or hangs" {
    run "$hunt" stress --impl "exec:false" --traces 1
    echo "$output"
    [ "$status" -eq 3 ]
    run "$hunt" stress --impl "exec:sleep 60" --traces 1 --hang 1
    echo "$output"
    [ "$status" -eq 3 ]
    [[ "$output" == *"hangs"* ]]
}

@test "hunt replay: a file for real threads runs again and again" {
    cat >beside.trace <<'END'
add-cow trace 2
judge stress
storage punch-refused short-transfers pause 3
layout r20
cluster-bits 12
size 8192
backing 8192
allocated none
unknown-compatible no
seed 1
threads 2
0 write 0 512
1 write 1024 512
END
    run "$hunt" replay --repeat 5 beside.trace
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "${lines[-1]}" == "hunt: fast: 5 traces, 10 operations, "*" 0 failures" ]]
    run "$hunt" replay --impl ref --repeat 2 beside.trace
    [ "$status" -eq 0 ]
    run "$hunt" replay --self-check beside.trace
    echo "$output"
    [ "$status" -eq 2 ]
    [[ "$output" == "hunt: --self-check: beside.trace is replayed on real threads"* ]]
}

@test "hunt: wrong usage" {
    for words in nothing --nothing "stress --impl nothing" "stress --threads 0" "stress --threads 17" \
        "stress --time x" \
        "stress --traces -1" "stress --cluster-bits 11" "stress --layout r10" "stress --layout r9 --cluster-bits 12" \
        "stress --dir missing" "stress --nothing" "stress surplus" "stress --judge all" "stress --impl" \
        "stress --keep=1" \
        "replay" "replay missing" "replay one two"; do
        # shellcheck disable=SC2086 # a list of words
        run "$hunt" $words
        echo "$words: $output"
        [ "$status" -eq 2 ]
        [ -n "$output" ]
    done
}

@test "hunt: a message names the option and the value" {
    message() { # WORDS... EXPECTED
        run "$hunt" "${@:1:$#-1}"
        echo "$output"
        [ "$status" -eq 2 ]
        [ "${lines[0]}" = "${!#}" ]
        [[ "${lines[1]}" == "Try 'hunt"*"--help'." ]]
    }
    message stress --time 5x "hunt: --time: '5x' is not a number of seconds"
    message stress --threads 17 "hunt: --threads: '17' is not in 1..16"
    message stress --layout r10 "hunt: --layout: 'r10' is none of: r20, r9, both"
    message stress --impl slow "hunt: --impl: 'slow' is none of: ref, fast, exec:COMMAND"
    message stress --foo "hunt: unknown option '--foo'"
    message stress --foo=3 "hunt: unknown option '--foo=3'"
    message stress -x "hunt: unknown option '-x'"
    message stress --impl "hunt: --impl: a value is missing"
    message stress --keep=1 "hunt: --keep=1: the option takes no value"
    message stress here "hunt: unexpected argument 'here'"
    message explore --judge nobody "hunt: --judge: 'nobody' is none of: schedule, crash, fault, all"
    message explore --strategy none "hunt: --strategy: 'none' is none of: random, pct, exhaustive, all"
    message --foo "hunt: unknown option '--foo'"
    message foo "hunt: unknown command 'foo'"
    message stress --seed 99999999999999999999 "hunt: --seed: '99999999999999999999' is not in 0..9223372036854775807"
}

@test "hunt: each command has its own help" {
    run "$hunt" --help
    [ "$status" -eq 0 ]
    [[ "$output" == "Usage: hunt COMMAND"*"Exit status"* ]]
    run --separate-stderr "$hunt"
    [ "$status" -eq 2 ] && [ -z "$output" ]
    # shellcheck disable=SC2154 # run sets it
    [[ "$stderr" == "Usage: hunt COMMAND"* ]]
    for command in stress explore replay bench; do
        run "$hunt" $command --help
        echo "$output"
        [ "$status" -eq 0 ]
        [[ "$output" == "Usage: hunt $command "*"--help"* ]]
    done
    run "$hunt" stress --help
    [[ "$output" == *"--threads N "*"(1..16; default 4)"* ]] && [[ "$output" != *"--judge"* ]]
    run "$hunt" explore --help
    [[ "$output" == *"--judge J "*"schedule, crash, fault, all (default all)"* ]] && [[ "$output" != *"--impl"* ]]
}
