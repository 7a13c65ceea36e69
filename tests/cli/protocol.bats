#!/usr/bin/env bats
# The gate and implementations in a child process (corpus/PROTOCOL.md): the examples conform, and whatever a child does has its verdict.

bats_require_minimum_version 1.5.0

gate=${GATE:-$BATS_TEST_DIRNAME/../../build/gcc/gate}
export ADDCOW=${ADDCOW:-$BATS_TEST_DIRNAME/../../build/gcc/addcow}
root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)

hello="read line; echo '0 ok 1 layouts=r20 operations= granularity=1 concurrency=1 level=reader lacks='; "

setup() {
    cd "$BATS_TEST_TMPDIR" || return
    export TMPDIR=$BATS_TEST_TMPDIR/temporary
    mkdir "$TMPDIR"
}

# Nothing may be left behind: no file, and no process that was started from here.
teardown() {
    rmdir "$TMPDIR" && [ -z "$(find_strays)" ]
}

find_strays() {
    for process in /proc/[0-9]*; do
        if [ "$(readlink "$process/cwd")" = "$BATS_TEST_TMPDIR" ] && grep -qa stray "$process/cmdline"; then
            echo "$process"
        fi
    done 2>/dev/null
}

gate() {
    "$gate" --corpus "$root/corpus" --impl "exec:$1" "${@:2}"
}

# verdict STATUS TEXT COMMAND...: the gate must end with STATUS and say TEXT of the adapter COMMAND.
verdict() {
    run gate "$3" --case rd-01-mixed "${@:4}"
    echo "$3: $status $output"
    [ "$status" -eq "$1" ] && [[ "$output" == *"$2"* ]]
}

@test "protocol: an implementation in Python, written from the specification alone, conforms" {
    local cases
    cases=$(find "$root/corpus/cases" -name '*.json' | wc -l)
    run gate "python3 '$root/corpus/example/adapter.py'" --timeout 120
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "${lines[-1]}" == *": $cases of $cases cases passed: conforms" ]]
    [ ! -e "$root/corpus/example/__pycache__" ]
}

@test "protocol: the example adapters are as short as they are said to be" {
    [ "$(wc -l <"$root/corpus/example/adapter.py")" -lt 100 ]
    [ "$(grep -cvE '^ *(#.*|""".*""")?$' "$root/corpus/example/addcow.py")" -lt 450 ]
}

@test "protocol: a wrapped command-line tool conforms as far as it claims, and the rest is not applicable" {
    local part
    for part in wr-0 map- cre- rsz- req- lnk-0; do
        run gate "python3 '$root/corpus/example/wrap_addcow.py'" --applicable --filter "$part"
        echo "$output"
        [ "$status" -eq 0 ]
    done
    run gate "python3 '$root/corpus/example/wrap_addcow.py'" --filter lck
    [ "$status" -eq 4 ]
    [[ "$output" == *"lck-02-two-writers: not applicable to "*", which does not claim locks"* ]]
}

@test "protocol: what an adapter does not declare is not applicable, by name" {
    local reader="${hello}cat >/dev/null" # not exec: the standard output must stay open
    run gate "$reader" --case wr-05-second-write
    [ "$status" -eq 4 ]
    [[ "$output" == *"does not claim write"*"level writer"* ]]
    run gate "${reader/granularity=1/granularity=512}" --case rd-01-mixed
    [ "$status" -eq 4 ]
    [[ "$output" == *"does not claim granularity 1"* ]]
    run gate "$reader" --case hr9-08-valid-r9
    [ "$status" -eq 4 ]
    [[ "$output" == *"does not claim r9"* ]]
    run gate "${reader/lacks=/lacks=chain}" --clause LNK-08 --filter lnk-08
    [ "$status" -eq 4 ]
    [[ "$output" == *"does not claim chain"* ]]
}

@test "protocol: an adapter that cannot be met ends the run with 3" {
    verdict 3 "gate: the adapter did not start: it exited with status 127" "/no/such/program"
    verdict 3 "did not start: it exited with status 0" "true"
    verdict 3 "did not start: it died of signal 11" 'kill -SEGV $$'
    verdict 3 "speaks another version: the adapter speaks version 2" "read line; echo 0 ok 2"
    verdict 3 "broke the protocol" "echo hello"
    verdict 3 "hung: it did not answer hello" "exec sleep 1000" --timeout 1
}

@test "protocol: an adapter that ends, hangs or babbles in a case is not taken for a failure" {
    verdict 3 "the adapter ended: it exited with status 9" "$hello read line; exit 9"
    verdict 3 "the adapter ended: it died of signal 6" "$hello read line; kill -ABRT \$\$"
    verdict 3 "the adapter hung: it did not answer open" "$hello exec sleep 1000" --timeout 1
    verdict 3 "the adapter hung" "$hello trap '' TERM INT HUP; while :; do sleep 1; done" --timeout 1
    verdict 3 "the adapter broke the protocol: an answer has the tag 77" "$hello echo 77 ok; sleep 1000"
    verdict 3 "the adapter broke the protocol: a line is longer" "$hello cat /dev/zero"
    verdict 3 "the adapter broke the protocol" "$hello yes"
    verdict 3 "the adapter broke the protocol: it closed its standard output" "$hello exec >&-; sleep 1000"
    verdict 3 "the adapter hung" "$hello cat /dev/zero >&2" --timeout 1
    [[ "${lines[-1]}" == *"crashed or hung" ]]
}

@test "protocol: an adapter that answers everything with ok does not conform" {
    # The tag, the operation and the rest; behind an open comes its path, which has no end of line.
    # shellcheck disable=SC2016 # for the adapter to expand
    run gate "$hello"'while read -r tag operation rest; do
        [ "$operation" != open ] || head -c "${rest##*+}" >/dev/null
        case $operation in size) echo $tag ok 0;; *) echo $tag ok;; esac; done' --case hdr-05-double
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"expected malformed, got ok"* ]]
}

@test "protocol: what an adapter starts in the background is killed with it" {
    run gate "$hello bash -c 'exec -a stray sleep 1000' & read line; exit 1" --case rd-01-mixed
    [ "$status" -eq 3 ]
    run gate "bash -c '(exec -a stray sleep 1000) & exec python3 \"$root/corpus/example/adapter.py\"'" --case rd-01-mixed
    echo "$output"
    [ "$status" -eq 0 ]
    sleep 0.2
}
