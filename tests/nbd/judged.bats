#!/usr/bin/env bats
# shellcheck disable=SC2154,SC2016 # what common.bash defines; the server and the tools expand their commands
# The gate judges a server of NBD, without an adapter.

load common

root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
gate=${addcow%/*}/gate

setup() {
    cd "$BATS_TEST_TMPDIR" || return
    export TMPDIR=$BATS_TEST_TMPDIR/temporary
    mkdir "$TMPDIR"
    ln -s "$plugin" "$BATS_TEST_TMPDIR/plugin.so"
    plugin=$BATS_TEST_TMPDIR/plugin.so
    export plugin addcow
}

# Nothing is left behind, neither a file nor a server of this test, which has a name of its own for the plugin.
teardown() {
    rmdir "$TMPDIR"
    run pgrep -f "nbdkit.*$plugin"
    [ "$status" -eq 1 ]
}

# judge SERVER OPTION...: the gate, with the tools that resize and so on.
judge() {
    local create='cd "$(dirname {file})" && test -e {image} && "$addcow" create -q --layout {layout} -c {cluster} '
    create+='-i {image} --hide-image-data ${backing:+-b "$backing" -F "$format"} {file}'
    run "$gate" --impl "nbd:$1" --corpus "$root/corpus" --applicable --timeout 120 --nbd-create "$create" \
        --nbd-resize '"$addcow" resize -q --shrink {file} {size}' --nbd-stream '"$addcow" stream -q {file}' \
        --nbd-commit '"$addcow" commit -q {file}' "${@:2}"
    echo "$output"
}

right='exec nbdkit -f -U {socket} ${readonly:+-r} "$plugin" {file}'

@test "judged: the plugin conforms: requests, tools, locks, concurrency" {
    for filter in wr-0 zr-0 rsz-0 cre-0 cmt-0 str-0 lck-0 grid-beside-head grid-kill-write; do
        judge "$right" --filter "$filter"
        [ "$status" -eq 0 ]
    done
}

@test "judged: the plugin conforms under the observer" {
    judge "$right" --scenario write-flush/power
    [ "$status" -eq 0 ]
    [[ "$output" == *"observed: 7 clauses kept, 0 broken, 0 not judged"* ]]
    # Without maps, and with errors whose class is not known.
    judge "$right" --scenario slow
    [ "$status" -eq 0 ]
    [[ "$output" == *"observed: 8 clauses kept, 0 broken, 0 not judged"* ]]
}

@test "judged: a daemon, which ends with its disk" {
    judge 'nbdkit -U {socket} ${readonly:+-r} "$plugin" {file}' --case rd-01-mixed
    [ "$status" -eq 0 ]
}

@test "judged: a server that takes flushes and does nothing" {
    local wrong='exec nbdkit -f --filter=cache -U {socket} ${readonly:+-r} "$plugin" {file} cache=unsafe'
    judge "$wrong" --case grid-kill-write-4k
    [ "$status" -eq 1 ]
    judge "$wrong" --scenario write-flush/power
    [ "$status" -eq 1 ]
    [[ "$output" == *"DUR-01: broken in 1 observed scenario"* ]]
}

@test "judged: a server that serves the metadata file as it is" {
    judge 'exec nbdkit -f -U {socket} file {file}' --case vrt-03-no-backing
    [ "$status" -eq 1 ]
    [[ "$output" == *"broken clauses: 1"*"VRT-03 "*"broken by 1 case"* ]]
}

@test "judged: a server that dies is a crash" {
    judge 'exec nbdkit -f -U {socket} eval get_size="echo 65536" pread="kill -9 \$PPID" # {file}' \
        --case vrt-03-no-backing
    [ "$status" -eq 3 ]
    [[ "$output" == *"the server ended by itself, with signal 9"* ]]
    judge 'trap "kill -9 \$!; kill -9 \$\$" TERM; nbdkit -f -U {socket} "$plugin" {file} & wait' \
        --case rd-01-mixed
    [ "$status" -eq 3 ]
    [[ "$output" == *"died of signal 9"* ]]
    judge 'exit 7 # {file} {socket}'
    [ "$status" -eq 3 ]
    [[ "$output" == *"no disk could be opened: the command ended with status 7"* ]]
}

@test "judged: what NBD cannot say is not judged, and named" {
    run "$gate" --impl "nbd:$right" --corpus "$root/corpus" --applicable --case map-01-runs
    [ "$status" -eq 4 ]
    run "$gate" list --impl "nbd:${right/'${readonly:+-r} '/}" --corpus "$root/corpus" --applicable
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -gt 400 ]
    [[ "$output" != *resize* ]]
    judge "${right/'${readonly:+-r} '/}" --clause REQ-03
    [ "$status" -eq 0 ] || [ "$status" -eq 4 ]
    [[ "$output" == *"  readonly: "* ]]
}

@test "judged: wrong usage ends with 2" {
    judge 'nbdkit {file}'
    [ "$status" -eq 2 ]
    [[ "$output" == *"the command has to name {file} and {socket}"* ]]
    cp "$gate" gate
    run ./gate --impl "nbd:$right" --corpus "$root/corpus"
    [ "$status" -eq 2 ]
    [[ "$output" == *"nbd: is left out of this build, which had no libnbd"* ]]
}
