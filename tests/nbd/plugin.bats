#!/usr/bin/env bats
# shellcheck disable=SC2154 # what common.bash defines
# nbdkit-addcow-plugin: what it tells clients, and that it does what it says.

load common

conformance() {
    "$BATS_TEST_DIRNAME/conformance.py" "$uri" expected "$1"
}

@test "every flag and command, with clusters of 4 KiB, 64 KiB and 256 KiB" {
    for size in 4096 65536 262144; do
        rm -f ./*.raw disk.addcow
        make_disk -c "$size"
        cp base.raw before
        serve disk.addcow
        conformance "$size"
        stop
        is_as_expected
        cmp base.raw before
    done
}

@test "a trim of the whole disk frees all of it, also the cluster that is cut by its end" {
    random 1000000 base.raw
    addcow create -q -b base.raw -i disk.raw disk.addcow
    serve disk.addcow
    nbdsh -u "$uri" -c 'h.trim(h.get_size(), 0)' -c 'assert h.pread(1000000, 0) == bytes(1000000)'
    stop
}

@test "without holes, a fast zero is refused, and a zero is written" {
    make_disk
    cat >no_holes.c <<'END'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
int fallocate64(int descriptor, int mode, off64_t offset, off64_t length)
{
    (void)descriptor, (void)mode, (void)offset, (void)length;
    errno = EOPNOTSUPP;
    return -1;
}
int fallocate(int descriptor, int mode, off_t offset, off_t length) __attribute__((alias("fallocate64")));
END
    gcc -shared -fPIC -o no_holes.so no_holes.c
    LD_PRELOAD=$PWD/no_holes.so serve disk.addcow
    cat >client.py <<'END'
import errno
try:
    h.zero(65536, 0, nbd.CMD_FLAG_FAST_ZERO)
    assert False, "the fast zero is not refused"
except nbd.Error as failure:
    assert failure.errnum == errno.ENOTSUP, failure
assert h.pread(65536, 0) != bytes(65536)
h.zero(65536, 0)
assert h.pread(65536, 0) == bytes(65536)
END
    nbdsh -u "$uri" -c - <client.py
    stop
    head -c 65536 /dev/zero | dd of=expected conv=notrunc status=none
    is_as_expected
}

# same_map: the extents that nbdinfo gets are those of addcow map. Neighbours of one kind are one extent of NBD.
same_map() {
    nbdinfo --map --json "$uri" >served.json
    addcow map -U --output=json disk.addcow >map.json
    local joined='[(k, sum(l for _, l in g)) for k, g in __import__("itertools").groupby(j, lambda e: e[0])]'
    json served.json "(lambda j: $joined)([(e['type'] == 0, e['length']) for e in j])" >served
    json map.json "(lambda j: $joined)([(e['data'], e['length']) for e in j])" >mapped
    cmp served mapped
}

@test "nbdinfo shows the disk; extents are those of addcow map" {
    make_disk
    addcow write -q disk.addcow 1M <noise
    addcow zero -q disk.addcow 2M 512k
    serve disk.addcow
    nbdinfo --json "$uri" >info.json
    [ "$(json info.json 'j["exports"][0]["export-size"]')" = 8389608 ]
    [ "$(json info.json 'j["exports"][0]["can_multi_conn"]')" = True ]
    [[ "$(json info.json 'j["exports"][0]["description"]')" == "add-cow disk, clusters of 65536 bytes, "* ]]
    same_map
    stop
}

@test "extents of a large disk with many holes, in several replies" {
    truncate -s 1G base.raw
    python3 -c 'import os
base = os.open("base.raw", os.O_RDWR)
for at in range(0, 160 << 20, 8192):
    os.pwrite(base, b"x" * 4096, at)
os.pwrite(base, b"y" * (1 << 20), 900 << 20)'
    addcow create -q -c 4k -b base.raw -i disk.raw disk.addcow
    serve -r disk.addcow
    same_map
    [ "$(json map.json 'len(j)')" -gt 32768 ]
    stop
}

@test "read-only: no client can write, and the files do not change" {
    make_disk
    cat ./*.raw disk.addcow | sha256sum >before
    serve -r disk.addcow
    run nbdsh -u "$uri" -c 'h.set_strict_mode(0)' -c 'print(h.is_read_only(), h.can_fua(), h.can_multi_conn())' \
        -c 'h.pwrite(b"x", 0)'
    [ "$status" -ne 0 ]
    [[ "$output" == "True False True"*"Operation not permitted"* ]]
    nbdcopy "$uri" copy
    # Another reader may have the disk at the same time; a writer may not.
    reads_as disk.addcow expected
    stop
    cmp copy expected
    cat ./*.raw disk.addcow | sha256sum | cmp - before
}

@test "a disk whose files cannot be written is served read-only" {
    make_disk
    mkdir readonly
    mount -t tmpfs tmpfs readonly 2>/dev/null || skip "no permission to mount"
    cp --sparse=always base.raw disk.raw disk.addcow readonly
    mount -o remount,ro readonly
    serve readonly/disk.addcow
    [ "$(nbdsh -u "$uri" -c 'print(h.is_read_only())')" = True ]
    nbdcopy "$uri" copy
    stop
    umount readonly
    cmp copy expected
}

@test "dir=: each file that ends in .addcow is an export, and nothing else is" {
    make_disk
    mkdir disks
    mv ./*.raw disk.addcow expected disks
    cd disks
    addcow create -q -i other.raw -s 1M other.addcow
    # A guest has written a header of its choice into its image.
    printf 'secret' >"$OLDPWD/secret"
    addcow create -q -i "$OLDPWD/secret" evil.addcow
    mv evil.addcow evil.raw
    mkdir dir.addcow
    cd "$OLDPWD"
    serve dir=disks
    nbdinfo --list --json "$uri" >list.json
    [ "$(json list.json '[e["export-name"] for e in j["exports"]]')" = "['disk.addcow', 'other.addcow']" ]
    base="nbd+unix:///NAME?socket=${PWD// /%20}/socket"
    nbdcopy "${base/NAME/disk.addcow}" copy
    cmp copy disks/expected
    [ "$(nbdinfo --size "${base/NAME/other.addcow}")" = 1048576 ]
    for name in evil.raw nothing.addcow dir.addcow .addcow ../disks/disk.addcow base.raw ''; do
        run nbdinfo "${base/NAME/$name}"
        [ "$status" -ne 0 ]
    done
    grep -q "export 'evil.raw': is not the name of a file that ends in .addcow" log
    grep -q "export 'nothing.addcow': there is no disk of this name" log
    stop
}

@test "a disk is free when its last client has left, and the next client finds its new size" {
    make_disk
    serve disk.addcow
    nbdsh -u "$uri" -c 'h.pwrite(b"x", 0)' -c 'import subprocess, sys' \
        -c "sys.exit(subprocess.call(['$addcow', 'check', 'disk.addcow'], stderr=subprocess.DEVNULL) != 1)"
    for _ in $(seq 200); do
        ! addcow resize -q disk.addcow 10M 2>/dev/null || break
        sleep 0.02
    done
    [ "$(nbdinfo --size "$uri")" = 10485760 ]
    stop
    addcow check disk.addcow
}

@test "a server that ends while it has clients keeps what they wrote" {
    make_disk
    serve disk.addcow
    nbdsh -u "$uri" -c 'import os, signal, time' -c 'h.pwrite(b"written", 77)' \
        -c "os.kill($server, signal.SIGTERM)" -c 'time.sleep(0.3)'
    wait "$server"
    server=
    printf written | dd of=expected bs=1 seek=77 conv=notrunc status=none
    is_as_expected
}

@test "stream=background: throttled, shown, kept when the server ends, and finished" {
    make_disk
    serve disk.addcow stream=background stream-rate=1M
    nbdsh -u "$uri" -c 'h.pwrite(b"guest", 3000000)' -c 'h.flush()'
    printf guest | dd of=expected conv=notrunc bs=1 seek=3000000 status=none
    # 4 MiB of data and a few steps over holes, at 1 MiB per second.
    appears log "stream: 10 %"
    [[ "$(nbdinfo "$uri")" == *"description: add-cow disk"*"; stream: "*" %"* ]]
    run grep "stream: 100 %" log
    [ "$status" -ne 0 ]
    stop
    [ "$(info disk.addcow 'j["format-specific"]["data"]["all-allocated"]')" = False ]
    serve disk.addcow stream=background stream-rate=0
    nbdsh -u "$uri" -c 'h.pwrite(b"more", 6000000)' -c 'h.flush()'
    printf more | dd of=expected conv=notrunc bs=1 seek=6000000 status=none
    appears log "stream: 100 %"
    stop
    is_as_expected
    [ "$(info disk.addcow 'j["format-specific"]["data"]["all-allocated"]')" = True ]
    cmp disk.raw expected
    # Nothing is left to do, and the preferred block is that of a plain file.
    serve disk.addcow stream=background
    [ "$(nbdsh -u "$uri" -c 'print(h.get_block_size(nbd.SIZE_PREFERRED))')" = 4096 ]
    stop
    [ "$(grep -c "stream: 100 %" log)" -eq 1 ]
}
