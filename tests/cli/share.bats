#!/usr/bin/env bats
# shellcheck disable=SC2154,SC2317 # what common.bash defines, and what `run` calls
# Sharing storage instead of copying, on a file system that can.

load common

setup() {
    cd "$BATS_TEST_TMPDIR" || return
    truncate -s 400M xfs
    mkfs.xfs -q xfs 2>/dev/null || skip "no mkfs.xfs here"
    mkdir shared
    mount -o loop xfs shared 2>/dev/null || skip "no permission to mount"
    cd shared || return
    random 40000000 base
    sync
}

teardown() {
    cd "$BATS_TEST_TMPDIR" || return
    umount shared 2>/dev/null || true
}

used() { # bytes on the file system
    sync
    df --output=used -B1 . | tail -n 1
}

# STR-01
@test "a stream shares the storage of the backing file" {
    addcow create -q -b base -F raw -i disk.raw disk.addcow
    before=$(used)
    addcow stream -q disk.addcow
    [ $(($(used) - before)) -lt 1000000 ]
    cmp disk.raw base
    addcow info disk.addcow | grep -q '^shared with other files: 38.1 MiB$'
    truncate -s 0 base # frees its blocks at once; XFS frees those of a removed file some time later
    run addcow info disk.addcow
    [[ "$output" != *"shared with"* ]]
    addcow check -q disk.addcow
}

# STR-01 VRT-02: a lower image and the raw file below it, and a disk that is longer than they
@test "a stream shares what each file of a chain has" {
    addcow create -q -b base -F raw -i middle.raw middle.addcow
    random 3000000 piece
    addcow write -i piece middle.addcow 1000000
    addcow create -q -b middle.addcow -F add-cow -s 50M -i disk.raw disk.addcow
    addcow read -o expected disk.addcow 0 50M
    before=$(used)
    addcow stream -q disk.addcow
    [ $(($(used) - before)) -lt 1000000 ]
    cmp disk.raw expected
}

# WR-03: with clusters of 2 MiB, 4 KiB that are written take little more
@test "the first write to a large cluster shares the rest of it" {
    addcow create -q -c 2M -b base -F raw -i disk.raw disk.addcow
    cp base expected
    before=$(used)
    for at in 0 5000000 10000000 20000000 30000000; do
        random 4096 piece
        addcow write -i piece disk.addcow $at
        dd if=piece of=expected bs=4096 seek=$at oflag=seek_bytes conv=notrunc status=none
    done
    [ $(($(used) - before)) -lt 4000000 ]
    addcow read -o after disk.addcow 0 40000000
    cmp after expected
}

# CMT-01 CMT-04
@test "a commit shares the storage of the image" {
    addcow create -q -b base -F raw -i disk.raw disk.addcow
    random 20000000 piece
    cp base expected
    dd if=piece of=expected bs=1M conv=notrunc status=none
    addcow write -i piece disk.addcow 0
    before=$(used)
    addcow commit -q disk.addcow
    [ $(($(used) - before)) -lt 1000000 ]
    cmp base expected
}
