# shellcheck shell=bash
# What the tests of served disks share: `load common`. Each test has at most one server, which dies with it.

load ../cli/common

# The module of libnbd is one of the distribution's Python, which need not be the first on PATH.
PATH=/usr/bin:$PATH

# shellcheck disable=SC2154 # ../cli/common.bash sets it
export ADDCOW=$addcow
plugin=${addcow%/*}/nbdkit-addcow-plugin.so

# start ARGUMENT...: nbdkit with the plugin, on the socket ./socket, its log in ./log. Returns when it listens.
# shellcheck disable=SC2034 # tests use uri
start() {
    uri="nbd+unix:///?socket=${PWD// /%20}/socket"
    rm -f socket pid
    # bats waits for whoever has its descriptor 3.
    nbdkit --exit-with-parent --unix socket --pidfile pid "$@" 3>&- 2>>log &
    server=$!
    for _ in $(seq 500); do
        [ ! -s pid ] || return 0
        kill -0 "$server" 2>/dev/null || break
        sleep 0.02
    done
    cat log
    return 1
}

# serve ARGUMENT...: the same for the plugin and its parameters. Options of nbdkit stand before `--`.
serve() {
    local options=()
    while [ "${1-}" != -- ] && [[ "${1-}" == -* ]]; do
        options+=("$1")
        shift
    done
    [ "${1-}" != -- ] || shift
    start "${options[@]}" "$plugin" "$@"
}

# Ends the server, which has to end well.
stop() {
    local ended=$server
    server=
    kill "$ended" && wait "$ended"
}

# make_disk [OPTION...]: disk.addcow of 8 MiB and 1000 bytes over base.raw of 6 MiB, of which 2 to 4 MiB are a hole; and
# expected, a plain file that reads the same.
make_disk() {
    truncate -s 6M base.raw
    random 2M noise
    dd if=noise of=base.raw conv=notrunc status=none
    dd if=noise of=base.raw conv=notrunc status=none bs=1M seek=4
    addcow create -q -b base.raw -i disk.raw -s $((8 * 1024 * 1024 + 1000)) "$@" disk.addcow
    cp --sparse=always base.raw expected
    truncate -s $((8 * 1024 * 1024 + 1000)) expected
}

# The disk, which nobody serves any more, is sound and reads as ./expected; its backing file is as it was.
is_as_expected() {
    addcow check disk.addcow
    reads_as disk.addcow expected
}

# Waits until FILE contains TEXT: appears FILE TEXT.
appears() {
    for _ in $(seq 500); do
        ! grep -q -- "$2" "$1" || return 0
        sleep 0.02
    done
    cat "$1"
    return 1
}

teardown() {
    [ -z "${server-}" ] || kill -9 "$server" 2>/dev/null || true
    if mountpoint -q small 2>/dev/null; then
        umount small
    fi
    if mountpoint -q readonly 2>/dev/null; then
        umount readonly
    fi
}
