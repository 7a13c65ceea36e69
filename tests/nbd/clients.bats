#!/usr/bin/env bats
# shellcheck disable=SC2154 # what common.bash defines
# Real clients on a served disk. Afterwards it has, byte for byte, what a plain file has that was treated the same.

load common

@test "nbdcopy, both ways, keeps the data and the holes" {
    make_disk
    serve disk.addcow
    nbdcopy "$uri" copy
    cmp copy expected
    [ "$(stat -c %b copy)" -le $((4 * 2048 + 64)) ] # 4 MiB are data
    random 3M change
    cp --sparse=always copy changed
    dd if=change of=changed bs=64k seek=30 conv=notrunc status=none
    nbdcopy --connections=4 --flush changed "$uri"
    stop
    cp changed expected
    is_as_expected
}

@test "qemu-img: convert both ways, compare, map, bench, info" {
    make_disk
    addcow resize -q disk.addcow $((8 * 1024 * 1024 + 1024)) # qemu counts in sectors
    truncate -s $((8 * 1024 * 1024 + 1024)) expected
    serve disk.addcow
    qemu-img convert -f raw -O qcow2 "$uri" copy.qcow2
    qemu-img compare -f raw -F qcow2 "$uri" copy.qcow2
    qemu-img compare -f raw -F raw "$uri" expected
    qemu-img map -f raw --output=json "$uri" >map.json
    [ "$(json map.json '[(e["start"], e["length"], e["data"], e["zero"]) for e in j][:3]')" = \
        "[(0, 2097152, True, False), (2097152, 2097152, False, True), (4194304, 2097152, True, False)]" ]
    qemu-img info -f raw "$uri" | grep -q 'virtual size: 8 MiB'
    qemu-img bench -f raw -w -c 2000 -d 32 -s 4096 --flush-interval=200 --pattern=0x5a "$uri" >bench.log
    # Back into the disk, whose size stays.
    random 5M new
    truncate -s $((8 * 1024 * 1024 + 1024)) new
    qemu-img convert -n -f raw -O raw -W -m 8 new "$uri"
    stop
    cp new expected
    is_as_expected
}

@test "fio: verify=crc32c, mixed sizes from 512 bytes, four connections, trims" {
    make_disk
    serve disk.addcow
    cat >jobs.fio <<END
[global]
ioengine=nbd
uri=$uri
iodepth=16
rw=randrw
bsrange=512-64k
blockalign=512
verify=crc32c
verify_fatal=1
verify_backlog=64
fsync=50
randseed=${BATS_RANDOM_SEED:-4711}
size=1m
io_size=3m
[a]
offset=0
[b]
offset=1m
[c]
offset=2m
[d]
offset=5m
[trims]
rw=randtrimwrite
verify=0
bsrange=4k-64k
offset=7m
END
    fio --output=fio.log jobs.fio || { cat fio.log; false; }
    run grep -E 'err= *[1-9]|verify:' fio.log
    [ "$status" -eq 1 ]
    nbdcopy "$uri" before
    stop
    addcow check disk.addcow
    reads_as disk.addcow before
    # What no job wrote is what it was.
    cmp <(tail -c +$((3 * 1048576 + 1)) before | head -c 2M) <(tail -c +$((3 * 1048576 + 1)) expected | head -c 2M)
    cmp <(tail -c 1000 before) <(tail -c 1000 expected)
}

@test "nbdfuse: a file system on the disk is made, filled, unmounted and sound" {
    [ -c /dev/fuse ] && [ -w /dev/fuse ] || skip "no permission to use FUSE"
    make_disk
    addcow resize -q disk.addcow 24M
    serve disk.addcow
    mkdir mnt files
    nbdfuse --pidfile fuse.pid mnt "$uri" 3>&- 2>>log &
    appears_file fuse.pid
    for i in $(seq 40); do
        random $((i * 3001)) "files/$i"
    done
    mke2fs -q -t ext4 -d files mnt/nbd
    e2fsck -fn mnt/nbd
    sync -f mnt/nbd
    fusermount3 -u mnt
    wait %2
    nbdcopy --flush "$uri" expected
    stop
    is_as_expected
    addcow stream -q disk.addcow
    e2fsck -fn disk.raw
    mkdir out
    debugfs -R 'rdump / out' disk.raw 2>/dev/null
    diff -r --exclude=lost+found files out
}

appears_file() {
    for _ in $(seq 500); do
        [ ! -s "$1" ] || return 0
        sleep 0.02
    done
    cat log
    return 1
}

@test "several clients of different kinds at once, each on a part of its own" {
    make_disk -c 4k
    serve disk.addcow stream=background stream-rate=4M
    random 1M part
    fio --name=a --ioengine=nbd --uri="$uri" --rw=randwrite --bs=4k --iodepth=16 --size=1m --offset=0 --fsync=16 \
        --verify=crc32c --do_verify=1 --verify_fatal=1 --loops=2 --output=fio.log &
    local first=$!
    for _ in 1 2 3 4 5; do
        qemu-io -f raw -c 'write -P 7 2M 1M' -c 'read -P 7 2M 1M' -c flush "$uri" >io.log
    done &
    local second=$!
    cat >client.py <<'END'
part = open("part", "rb").read()
for i in range(0, 1 << 20, 5000):
    h.pwrite(part[i:i + 5000], (6 << 20) + i)
    assert h.pread(100, (6 << 20) + i)[:len(part) - i] == part[i:i + 100]
h.flush()
END
    nbdsh -u "$uri" -c - <client.py &
    local third=$!
    for _ in 1 2 3; do
        nbdcopy --request-size=65536 "$uri" null:
    done
    wait "$first" "$second" "$third"
    # A client that vanishes in the middle of its requests disturbs nobody.
    nbdcopy --requests=64 "$uri" null: &
    kill -9 $!
    nbdcopy "$uri" expected
    cmp <(tail -c +$((6 * 1048576 + 1)) expected | head -c 1M) part
    stop
    is_as_expected
}

@test "patterns of writes, zeros and discards, aligned and not, as a plain file has them" {
    "$BATS_TEST_DIRNAME/patterns"
}
