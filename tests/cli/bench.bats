#!/usr/bin/env bats
# The benchmark runs, cleans up, and reports failures. Its figures are not tested: only cases without a clock run here.

load common

bench=${BENCH:-$BATS_TEST_DIRNAME/../../build/gcc/bench/bench}

@test "bench measures, writes JSON, and removes its files" {
    mkdir files
    "$bench" --quick --filter heap --dir files --json out.json >out.txt
    grep -q '^targets: [0-9]* met, [0-9]* missed$' out.txt
    [ "$(json out.json 'len(j["cases"]), j["met"] + j["missed"], j["quick"]')" = "(3, 3, True)" ]
    [ -z "$(ls files)" ]
}

@test "bench: wrong usage ends with 2" {
    run -2 "$bench" --fast
    run -2 "$bench" something
    run -2 "$bench" --filter 'no such case'
}

@test "bench: a failed measurement ends with 1 and the reason" {
    run -1 --separate-stderr "$bench" --filter heap --json missing/out.json
    # shellcheck disable=SC2154 # run sets it
    [[ "$stderr" == "bench: missing/out.json: "* ]]
    run -1 --separate-stderr "$bench" --filter heap --json out.json --dir missing
    [[ "$stderr" == "bench: missing/"* ]]
    [ ! -e out.json ]
}

@test "bench on a full file system leaves no files and no empty result" {
    small_filesystem 1m
    run -1 --separate-stderr "$bench" --filter 'random reads' --dir small --json out.json
    [[ "$stderr" == *"No space left on device"* ]]
    [ -z "$(ls small)" ] && [ ! -e out.json ]
}

@test "an interrupted bench removes its files" {
    mkdir files
    "$bench" --filter 'random writes' --dir files --json out.json >out.txt 3>&- &
    pid=$!
    until ls files/*/*.raw >ready 2>&1; do
        sleep 0.05
    done
    kill -TERM "$pid"
    status=0
    wait "$pid" || status=$?
    [ "$status" -eq 1 ]
    [ -z "$(ls files)" ] && [ ! -e out.json ]
}
