#!/usr/bin/env bats
# hunt stress: output and exit status for implementations that conform, differ, crash and hang.

bats_require_minimum_version 1.5.0

load harness

hunt=${HUNT:-$BATS_TEST_DIRNAME/../../build/gcc/hunt}
example=$BATS_TEST_DIRNAME/../../corpus/example

# An adapter like the example, in which the text $1 is replaced by $2: an implementation with a mistake.
mistaken() {
    cp "$example"/adapter.py "$example"/addcow.py "$example"/locks.py .
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

@test "hunt: options select the workloads, and --time ends the hunt" {
    run "$hunt" stress --time 1 --threads 2 --ops 30 --cluster-bits 12 --layout r20
    echo "$output"
    [ "$status" -eq 0 ]
    run "$hunt" stress --layout r9 --traces 3 --threads 1
    [ "$status" -eq 0 ]
}

@test "hunt: a wrong implementation fails, and the last line gives the reason and a command that fails too" {
    mistaken 'self.virt(begin + len(data), end) if end' 'bytes(end - begin - len(data)) if end'
    run "$hunt" stress --impl "exec:python3 adapter.py" --seed 1 --traces 100 --threads 2
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "${lines[-2]}" == *" 1 failures"* ]]
    command="hunt replay --impl 'exec:python3 adapter.py' hunt-"
    [[ "${lines[-1]}" == "hunt: failed: "*"; run it again: $command"*".trace" ]]
    reason=${lines[-1]#hunt: failed: }
    [ "${reason%; run it again*}" = "${lines[0]}" ]
    eval "set -- ${lines[-1]##*run it again: hunt}"
    run "$hunt" "$@"
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "${lines[-1]}" == "hunt: failed: "*"; run it again: hunt replay "*" hunt-"*".trace" ]]
}

@test "hunt: a trace file that cannot be written is named, and the last line has the seed" {
    mistaken 'self.virt(begin + len(data), end) if end' 'bytes(end - begin - len(data)) if end'
    run "$hunt" stress --impl "exec:python3 adapter.py" --seed 1 --traces 100 --threads 2
    file=$(echo hunt-*.trace)
    rm "$file"
    mkdir "$file"
    run "$hunt" stress --impl "exec:python3 adapter.py" --seed 1 --traces 100 --threads 2
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"$file cannot be written: Is a directory"* ]]
    [[ "${lines[-1]}" == "hunt: failed: "*"; run it again: hunt stress "*" --traces 1 --threads 2 --ops "* ]]
}

@test "hunt: an implementation that crashes or hangs ends the hunt with 3" {
    run "$hunt" stress --impl "exec:false" --traces 1
    echo "$output"
    [ "$status" -eq 3 ]
    [[ "${lines[-1]}" == "hunt: failed: the implementation "*"; run it again: hunt replay "* ]]
    run "$hunt" stress --impl "exec:sleep 60" --traces 1 --hang 1
    echo "$output"
    [ "$status" -eq 3 ]
    [[ "${lines[-1]}" == "hunt: failed: the implementation hangs: nothing happened for 1 seconds"* ]]
}

# in_background WORDS...: starts hunt in a process group of its own, as $group, and waits until its child $child runs.
in_background() {
    set -m
    "$hunt" "$@" >output 2>&1 &
    group=$!
    set +m
    for ((i = 0; i < 200; i++)); do
        child=$(pgrep -P "$group") && return
        sleep 0.05
    done
    return 1
}

# ends_with STATUS TEXT: hunt must end so, with TEXT somewhere in its output.
ends_with() {
    status=0
    wait "$group" || status=$?
    cat output
    echo "status $status"
    [ "$status" -eq "$1" ]
    [[ "$(cat output)" == *"$2"* ]]
}

@test "hunt: the time during which the whole hunt was stopped does not count as a hang" {
    in_background stress --seed 1 --time 4 --hang 2
    kill -STOP -- "-$group"
    sleep 4.5
    kill -CONT -- "-$group"
    ends_with 0 " 0 failures"
}

@test "hunt: a stopped child counts as a hang" {
    in_background stress --seed 1 --time 60 --hang 1
    kill -STOP "$child"
    ends_with 3 "hunt: failed: the implementation hangs"
}

@test "hunt: a child killed from outside does not count as a crash" {
    for command in stress explore; do
        in_background $command --seed 1 --time 60
        kill -KILL "$child"
        ends_with 4 "not judged: signal 9 (Killed) from outside"
        [ ! -e hunt-1.trace ]
        rm -rf "$TMPDIR"/addcow-explore.*
    done
}

@test "hunt explore: the last line gives the seed if the engine crashes" {
    in_background explore --seed 1 --time 60 --brief --judge schedule --threads 2
    kill -SEGV "$child"
    ends_with 3 "hunt: failed: the engine dies in the workload of --seed "
    [[ "$(tail -n 1 output)" == "hunt: failed: "*"; run it again: the same options with --seed "*" --traces 1" ]]
    rm -rf "$TMPDIR"/addcow-explore.*
}

@test "hunt: a workload whose storage fails is not judged" {
    trap '' XFSZ # a write beyond the limit fails, instead of ending the process
    ulimit -f 3000
    for ((seed = 1; seed < 40; seed++)); do
        run "$hunt" stress --seed $seed --traces 1 --cluster-bits 17
        echo "$output"
        [ "$status" -eq 0 ] || [ "$status" -eq 4 ]
        if [[ "$output" == *"hunt: not judged: the storage under the hunt failed: "*": File too large"* ]]; then
            return
        fi
    done
    false
}

@test "hunt replay: a trace for real threads runs repeatedly" {
    two_threads $'judge stress\nstorage punch-refused short-transfers pause 3' >beside.trace
    run "$hunt" replay --repeat 5 beside.trace
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "${lines[-1]}" == "hunt: fast: 5 traces, 20 operations, "*" 0 failures" ]]
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
