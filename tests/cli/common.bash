# shellcheck shell=bash
# What the tests of the command share: `load common`. Each test runs in an empty directory of its own.

bats_require_minimum_version 1.5.0

addcow=${ADDCOW:-$BATS_TEST_DIRNAME/../../build/gcc/addcow}

setup() {
    mkdir "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work" || return
}

# The command under test, by the name that the tests use.
addcow() {
    "$addcow" "$@"
}

# refused_run STATUS TEXT COMMAND...: the command, which may be a function, must end with STATUS, print nothing on
# standard output, and on standard error one line that begins as documented and contains TEXT.
refused_run() {
    local wanted=$1 text=$2
    shift 2
    run --separate-stderr "$@"
    # shellcheck disable=SC2154 # run sets it
    echo "status $status, output '$output', error '$stderr'"
    # shellcheck disable=SC2154 # run sets it
    [ "$status" -eq "$wanted" ] && [ -z "$output" ] && [ "${#stderr_lines[@]}" -eq 1 ] || return 1
    [[ "$stderr" == "addcow: "* ]] && [[ "$stderr" == *"$text"* ]]
}

# refused STATUS TEXT ARGUMENT...: the same of addcow with these arguments and no input.
refused() {
    local wanted=$1 text=$2
    shift 2
    refused_run "$wanted" "$text" "$addcow" "$@" </dev/null
}

# random BYTES FILE: a file of noise.
random() {
    head -c "$1" /dev/urandom >"$2"
}

# poke FILE OFFSET BYTES: overwrites bytes, given as printf escapes.
poke() {
    # shellcheck disable=SC2059 # the escapes are meant
    printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# peek FILE OFFSET COUNT: bytes in hexadecimal, without spaces.
peek() {
    od -An -v -tx1 -j "$2" -N "$3" "$1" | tr -d ' \n'
}

# overlay SIZE BASE OPTION...: a disk of SIZE over a base of BASE bytes, and the file `model` that it has to equal.
overlay() {
    local size=$1 base=$2
    shift 2
    random "$base" base.raw
    addcow create -q "$@" -b base.raw -i image.raw --size "$size" disk.addcow
    cp base.raw model
    truncate -s "$size" model
}

# model_write FILE OFFSET <DATA: what a write does to a plain file.
model_write() {
    dd of="$1" bs=64k seek="$2" oflag=seek_bytes conv=notrunc status=none
}

# overlay_write OFFSET BYTES: writes noise, which the file `data` then holds, to that disk and to `model`.
overlay_write() {
    random "$2" data
    addcow write disk.addcow "$1" <data
    model_write model "$1" <data
}

# reads_as DISK FILE: the whole disk, byte for byte.
reads_as() {
    addcow read "$1" | cmp - "$2"
}

length() {
    stat -c %s "$1"
}

# json FILE EXPRESSION: evaluates a Python expression over the JSON document, `j`.
json() {
    python3 -S -c 'import json, sys; j = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"
}

# info DISK EXPRESSION: the same over `addcow info`.
info() {
    addcow info --output=json "$1" >info.json && json info.json "$2"
}

# small_filesystem BYTES: mounts a file system of that size on ./small; skips the test where that is not allowed.
small_filesystem() {
    mkdir small
    mount -t tmpfs -o "size=$1" tmpfs small 2>/dev/null || skip "no permission to mount a small file system"
}

teardown() {
    if mountpoint -q small 2>/dev/null; then
        umount small
    fi
    if mountpoint -q readonly 2>/dev/null; then
        umount readonly
    fi
}

# hold DISK FILE: a command in the background that has the disk's lock until descriptor 5 is closed. It writes the start
# of FILE to the disk's, which is more than a pipe holds: when that has gone, the command reads, and so has the lock.
# Asking for the lock meanwhile could take it away from it.
hold() {
    mkfifo input
    addcow write "$1" 0 <input &
    exec 5>input
    head -c 200000 "$2" >&5
}
