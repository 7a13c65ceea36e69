#!/usr/bin/env bats
# The hunt: what it prints and with what status it ends, for implementations that are right, wrong, dead and stuck.

bats_require_minimum_version 1.5.0

hunt=${HUNT:-$BATS_TEST_DIRNAME/../../build/gcc/hunt}
example=$BATS_TEST_DIRNAME/../../corpus/example

setup() {
    cd "$BATS_TEST_TMPDIR" || return
    export TMPDIR=$BATS_TEST_TMPDIR/temporary
    mkdir "$TMPDIR"
}

# Nothing may be left behind.
teardown() {
    rmdir "$TMPDIR"
}

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
        run "$hunt" --impl $impl --seed 1 --traces 15
        echo "$output"
        [ "$status" -eq 0 ]
        [[ "${lines[-1]}" == "hunt: $impl: 15 traces, "*" operations, "*" sectors compared, 0 failures; seeds 1..15" ]]
    done
}

@test "hunt: options choose the workloads, and a time ends it" {
    run "$hunt" --time 1 --threads 2 --ops 30 --cluster-bits 12 --layout r20
    echo "$output"
    [ "$status" -eq 0 ]
    run "$hunt" --layout r9 --traces 3 --threads 1
    [ "$status" -eq 0 ]
}

@test "hunt: a wrong implementation is told, with a replay that fails too" {
    mistaken 'ceil(self.bitmap_bytes(size), unit) * unit' 'self.bitmap_bytes(size)'
    run "$hunt" --impl "exec:python3 adapter.py" --seed 1 --traces 100 --threads 2
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "${lines[-1]}" == *" 1 failures"* ]]
    [[ "$output" == *"--replay hunt-"*".trace"* ]]
    run "$hunt" --impl "exec:python3 adapter.py" --replay hunt-*.trace
    echo "$output"
    [ "$status" -eq 1 ]
}

@test "hunt: an implementation that dies or hangs" {
    run "$hunt" --impl "exec:false" --traces 1
    echo "$output"
    [ "$status" -eq 3 ]
    run "$hunt" --impl "exec:sleep 60" --traces 1 --hang 1
    echo "$output"
    [ "$status" -eq 3 ]
    [[ "$output" == *"hangs"* ]]
}

@test "hunt: wrong usage" {
    printf 'layout r20\nlayout r20\n' >bad.trace
    printf 'layout r20\ncluster-bits 12\nsize 4096\nbacking none\nallocated none\nunknown-compatible no\n' >beside.trace
    printf 'seed 0\nthreads 2\n0 reopen\n1 flush\n' >>beside.trace
    for options in "--impl nothing" "--threads 0" "--threads 17" "--time x" "--traces -1" "--cluster-bits 11" \
        "--layout r10" "--layout r9 --cluster-bits 12" "--replay missing" "--replay bad.trace" \
        "--replay beside.trace" "--dir missing" "--nothing" "surplus"; do
        # shellcheck disable=SC2086 # words on purpose
        run "$hunt" $options
        echo "$options: $output"
        [ "$status" -eq 2 ]
        [ -n "$output" ]
    done
    run "$hunt" --replay bad.trace
    [[ "$output" == *"bad.trace: line 2: a second 'layout'"* ]]
}

@test "hunt: help" {
    run "$hunt" --help
    [ "$status" -eq 0 ]
    [[ "$output" == *"Exit status"* ]]
}
