#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2154 # each test is a subshell, and what common.bash defines
# --direct: image and backing files, input and output are used without the cache of the system, on real file systems.

load common

# on_filesystem KIND: an empty file system of that kind, on ./small, which becomes the current directory.
on_filesystem() {
    mkdir small
    case $1 in
    ramfs) mount -t ramfs ramfs small 2>/dev/null ;;
    ext4) truncate -s 64M fs.img && mkfs.ext4 -q fs.img && mount -o loop fs.img small 2>/dev/null ;;
    xfs) truncate -s 320M fs.img && mkfs.xfs -q fs.img && mount -o loop fs.img small 2>/dev/null ;;
    esac || skip "no permission to mount a file system"
    cd small || return
}

teardown() {
    cd "$BATS_TEST_TMPDIR/work" || return
    ! mountpoint -q small || umount small
}

# directly FILES ARGUMENT...: the command, which has to use just these files, in alphabetical order, without the cache.
directly() {
    local wanted=$1
    shift
    ASAN_OPTIONS=detect_leaks=0 strace -qq -y -o calls -e trace=fcntl "$addcow" "$@"
    [ "$(sed -n 's/.*<.*\/\(.*\)>, F_SETFL, .*O_DIRECT.* = 0/\1/p' calls | sort -u | tr '\n' ' ')" = "$wanted " ]
    rm calls
}

# every_command: each of them, on a disk and a base whose lengths are no multiples of a block.
every_command() {
    strace -qq -o /dev/null true 2>/dev/null || skip "strace cannot be used here"
    overlay 2000003 1000001 -c 4k
    random 300001 data
    directly "base.raw data image.raw" write --direct -i data disk.addcow 999
    model_write model 999 <data
    random 1003 data
    directly "base.raw image.raw" write --direct disk.addcow 1999000 <data # the end goes through the cache, and back
    model_write model 1999000 <data
    directly "base.raw image.raw" zero --direct disk.addcow 5000 70001
    directly "base.raw image.raw" discard --direct disk.addcow 75001 9
    model_write model 5000 < <(head -c 70010 /dev/zero)
    directly "base.raw image.raw out" read --direct -o out disk.addcow
    cmp out model
    reads_as disk.addcow model
    directly "base.raw image.raw model" compare --direct -F raw disk.addcow model
    directly "base.raw image.raw part" read --direct -o part disk.addcow 999 1000003 # neither begins nor ends a block
    cmp part <(tail -c +1000 model | head -c 1000003)
    directly "model out" compare --direct -f raw -F raw out model
    cp base.raw other.raw
    poke other.raw 500000 changed
    directly "base.raw image.raw other.raw" rebase -q --direct -b other.raw disk.addcow
    reads_as disk.addcow model
    directly "image.raw other.raw" resize -q --direct disk.addcow 2100001 # its end, too
    truncate -s 2100001 model
    directly "image.raw other.raw" resize -q --direct --shrink disk.addcow 1000001
    truncate -s 1000001 model
    directly "image.raw other.raw" commit -q --direct disk.addcow
    cmp other.raw model
    directly "image.raw other.raw" stream -q --direct disk.addcow
    cmp image.raw model
    addcow check -q disk.addcow
}

@test "--direct on ext4: every command, and lengths that are no multiples of a block" {
    on_filesystem ext4
    every_command
}

@test "--direct on XFS: every command, and lengths that are no multiples of a block" {
    on_filesystem xfs
    every_command
}

@test "--direct: the files of all levels" {
    on_filesystem ext4
    strace -qq -o /dev/null true 2>/dev/null || skip "strace cannot be used here"
    overlay 200000 200000
    addcow create -q -b disk.addcow -F add-cow -i top.raw top.addcow
    directly "base.raw image.raw out top.raw" read --direct -o out top.addcow
    cmp out model
    random 5000 data
    addcow write -q top.addcow 100000 <data
    model_write model 100000 <data
    directly "base.raw image.raw top.raw" commit -q --direct top.addcow
    reads_as disk.addcow model
    refused 2 "does not apply" info --direct top.addcow
}

@test "--direct is refused where the file system cannot do that, and nothing is done" {
    on_filesystem ramfs
    overlay 100000 50000
    sum=$(cat ./* | md5sum)
    for command in "read" "write" "stream" "commit" "rebase -b base.raw" "zero disk.addcow 0" "resize disk.addcow"; do
        read -ra words <<<"$command"
        [ "${#words[@]}" -lt 2 ] || [ "${words[1]}" = -b ] || words+=(60000)
        [ "${words[-1]}" = 60000 ] || words+=(disk.addcow)
        refused 1 "image.raw: cannot be read and written without the cache of the system" "${words[@]}" --direct
    done
    random 1000 ../data
    (cd .. && addcow create -q -i data data.addcow)
    refused 1 "out: cannot be written without the cache of the system" read --direct -o out ../data.addcow
    refused 1 "base.raw: cannot be read without the cache of the system" write --direct -i base.raw ../data.addcow
    refused 2 "base.raw: cannot be read without the cache of the system" compare --direct -f raw -F raw base.raw model
    [ "$(cat ./* | md5sum)" = "$sum" ]
}
