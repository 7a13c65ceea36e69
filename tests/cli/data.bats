#!/usr/bin/env bats
# shellcheck disable=SC2154,SC2317 # what common.bash defines, and what `run` calls
# addcow read, write, zero, discard: the bytes of a disk (spec section 6), and what is refused.

load common

# model_zero FILE OFFSET LENGTH
model_zero() {
    head -c "$3" /dev/zero | model_write "$1" "$2"
}

@test "writes, zeroes and discards of any alignment equal those of a plain file (WR-01, ZR-01, DC-01, WR-04)" {
    local size=700123 operation offset length
    RANDOM=1
    for options in "-c 4k" "-c 64k" "-c 1M" "--layout=r9"; do
        # shellcheck disable=SC2086 # a list of words
        overlay $size 400321 $options
        cp base.raw base.before
        for _ in {1..25}; do
            offset=$((RANDOM * 32768 % size + RANDOM % 2 * (RANDOM % 512)))
            [ $offset -lt $size ] || offset=$((size - 1))
            length=$((RANDOM * 7 % (size - offset + 1)))
            operation=$((RANDOM % 4))
            case $operation in
            0)
                addcow zero disk.addcow $offset $length
                model_zero model $offset $length
                ;;
            1)
                addcow discard disk.addcow $offset $length
                model_zero model $offset $length
                ;;
            *)
                random $length data
                addcow write disk.addcow $offset <data
                model_write model $offset <data
                ;;
            esac
        done
        reads_as disk.addcow model
        cmp base.raw base.before
        [ "$(length image.raw)" -eq $size ]
        addcow check -q disk.addcow
        rm image.raw disk.addcow
    done
}

@test "read: the whole disk, from an offset, a range; sizes with suffixes (RD-01)" {
    overlay 3M 2000000
    reads_as disk.addcow model
    addcow read disk.addcow 1M | cmp - <(tail -c +1048577 model)
    addcow read disk.addcow 0x1000 1k | cmp - <(tail -c +4097 model | head -c 1024)
    addcow read disk.addcow 1999999 2 | cmp - <(tail -c +2000000 model | head -c 2)
    [ "$(addcow read disk.addcow 3M | wc -c)" -eq 0 ]
    [ "$(addcow read disk.addcow 5 0 | wc -c)" -eq 0 ]
}

@test "read -o makes a file, with holes, and never overwrites one" {
    overlay 300M 2000000
    addcow read -o out disk.addcow
    cmp out model
    [ "$(stat -c %b out)" -lt 5000 ]
    refused 1 "out: exists" read -o out disk.addcow
    cmp out model
    refused 1 "image.raw: exists" read -o image.raw disk.addcow
    refused 1 "disk.addcow: exists" read -o disk.addcow disk.addcow
    reads_as disk.addcow model
    # The last block is a hole, and the length is no multiple of anything.
    addcow read -o part disk.addcow 1999000 123457
    cmp part <(tail -c +1999001 model | head -c 123457)
}

# The blocks that the files together have on storage.
blocks() {
    stat -c %b "$@" | awk '{ blocks += $1 } END { print blocks }'
}

@test "read: holes are not read, and stay holes; pipes get zeros" {
    truncate -s 2T base.raw
    poke base.raw 1099511627776 '\x5a'
    addcow create -q -b base.raw -i lower.raw --size 2T lower.addcow
    addcow create -q -c 2M -b lower.addcow -F add-cow -i image.raw --size 2T disk.addcow
    poke lower.raw 5000000 y # not allocated: not on the disk
    printf x | addcow write disk.addcow 3000000
    [ "$(blocks image.raw lower.raw)" -lt 16384 ]
    # 2 TiB of holes, at three levels, within the time that a test has.
    addcow read -o out disk.addcow
    [ "$(length out)" -eq 2199023255552 ]
    [ "$(stat -c %b out)" -lt 64 ]
    [ "$(peek out 2999999 3)" = 007800 ]
    [ "$(peek out 5000000 1)" = 00 ]
    [ "$(peek out 1099511627775 3)" = 005a00 ]
    addcow read disk.addcow 0 100M | cmp - <(head -c 100M out)
}

@test "read: standard output that is a file gets holes only where nothing can stand" {
    overlay 30M 2000000
    addcow read disk.addcow >out
    cmp out model
    [ "$(stat -c %b out)" -lt 5000 ]
    { printf head && addcow read disk.addcow && printf tail; } >out
    cmp out <(printf head && cat model && printf tail)
    [ "$(stat -c %b out)" -lt 5000 ]
    # In the middle of a file, and appending: every byte is written.
    tr '\0' x </dev/zero | head -c 31M >out
    addcow read disk.addcow 1<>out
    cmp out <(cat model && tr '\0' x </dev/zero | head -c 1M)
    printf head >out
    addcow read disk.addcow >>out
    cmp out <(printf head && cat model)
    addcow read disk.addcow 20M 0 >out
    [ "$(length out)" -eq 0 ]
}

@test "write: holes of the input become zeros that take no storage" {
    random 3000000 base.raw
    addcow create -q -b base.raw -i image.raw --size 100G disk.addcow
    truncate -s 90G sparse
    for offset in 0 69999 1000000 33554432 96636764159; do
        poke sparse $offset z
    done
    addcow write -i sparse disk.addcow 12345
    [ "$(stat -c %b image.raw)" -lt 8192 ]
    [ "$(addcow read disk.addcow 12345 1)" = z ]
    [ "$(addcow read disk.addcow 96636776504 1)" = z ]
    addcow read disk.addcow 12345 64M | cmp - <(head -c 64M sparse)
    addcow read disk.addcow 0 12345 | cmp - <(head -c 12345 base.raw)
    # Over data, from a position within the file, and by standard input.
    truncate -s 3M holes
    random 70000 part
    dd if=part of=holes bs=64k seek=1000000 oflag=seek_bytes conv=notrunc status=none
    rm image.raw disk.addcow
    overlay 3M 3000000
    {
        dd bs=500000 count=1 status=none >/dev/null
        addcow write disk.addcow 499999
        [ "$(wc -c)" -eq 0 ] # all of it was read
    } <holes
    tail -c +500001 holes | model_write model 499999
    reads_as disk.addcow model
    addcow check -q disk.addcow
    # Only holes; and a hole that goes past the end of the disk.
    truncate -s 1M empty
    addcow write -i empty disk.addcow 1000000
    model_zero model 1000000 1048576
    reads_as disk.addcow model
    refused 1 "are not within the disk" write -i sparse disk.addcow
    reads_as disk.addcow model
}

@test "ranges outside the disk are refused, and nothing is touched (REQ-01)" {
    overlay 1000001 500000
    cp disk.addcow before
    refused 1 "(range" read disk.addcow 1000002
    refused 1 "(range" read disk.addcow 0 1000002
    refused 1 "(range" read disk.addcow 1000001 1
    refused 1 "(range" read -o out disk.addcow 15E 15E
    [ ! -e out ]
    for command in zero discard; do
        refused 1 "(range" $command disk.addcow 1000001 1
        refused 1 "(range" $command disk.addcow 999999 3
        refused 1 "(range" $command disk.addcow 15E 2E
    done
    refused 1 "(range" write disk.addcow 1000002
    cmp disk.addcow before
    reads_as disk.addcow model
}

@test "a request of length 0 touches nothing (REQ-02)" {
    overlay 1000001 500000
    cp disk.addcow before
    addcow write disk.addcow 1000001 </dev/null
    addcow write disk.addcow 70000 </dev/null
    addcow zero disk.addcow 70000 0
    addcow discard disk.addcow 1000001 0
    cmp disk.addcow before
}

@test "write: input of known length that does not fit is refused before anything is written" {
    overlay 1000000 500000
    cp disk.addcow before
    random 500001 data
    write_data() {
        addcow write disk.addcow 500000 <data
    }
    refused_run 1 "disk.addcow: 500001 bytes at offset 500000 are not within the disk" write_data
    refused 1 "500001 bytes at offset 500000" write -i data disk.addcow 500000
    cmp disk.addcow before
}

@test "write: only the rest of the input counts" {
    overlay 1000000 500000
    random 200000 data
    { head -c 150000 >/dev/null; addcow write disk.addcow 940000; } < <(cat data)
    tail -c 50000 data | model_write model 940000
    reads_as disk.addcow model
    exec 6<data
    # A regular file that has been read to byte 150000: the last 50000 bytes fit exactly.
    dd bs=50000 count=3 status=none <&6 >/dev/null
    addcow write disk.addcow 950000 <&6
    exec 6<&-
    tail -c 50000 data | model_write model 950000
    reads_as disk.addcow model
}

@test "write: input of unknown length is written up to the end of the disk, and the command reports it" {
    overlay 1000000 500000
    random 600000 data
    write_pipe() {
        addcow write disk.addcow 500000 < <(cat data)
    }
    refused_run 1 "past the end of the disk (1000000 bytes)" write_pipe
    head -c 500000 data | model_write model 500000
    reads_as disk.addcow model
    refused_run 1 "; the first 500000 bytes were written" write_pipe
    head -c 500000 data | model_write model 500000
    reads_as disk.addcow model
}

@test "write: a slow pipe, in pieces of odd sizes, and more than one buffer" {
    overlay 20M 5000000
    random 12345678 data
    {
        head -c 1 data
        sleep 0.1
        tail -c +2 data | head -c 70000
        sleep 0.1
        tail -c +70002 data
    } | addcow write disk.addcow 3333333
    model_write model 3333333 <data
    reads_as disk.addcow model
}

@test "write -i: a file, a device, a missing file, a directory" {
    overlay 1M 500000
    random 100000 data
    addcow write -i data disk.addcow 1000
    model_write model 1000 <data
    reads_as disk.addcow model
    refused 1 "nowhere: No such file" write -i nowhere disk.addcow
    mkdir directory
    refused 1 "directory: Is a directory" write -i directory disk.addcow
    refused 1 "past the end" write -i /dev/zero disk.addcow 999999
    model_zero model 999999 48577
    reads_as disk.addcow model
}

@test "lost output is an error (ERR-01)" {
    overlay 1M 500000
    into_full() {
        addcow "$@" disk.addcow >/dev/full
    }
    into_nothing() {
        addcow "$@" disk.addcow >&-
    }
    into_closed_pipe() {
        addcow "$@" disk.addcow | head -c 10 >/dev/null
        return "${PIPESTATUS[0]}"
    }
    refused_run 1 "standard output: Broken pipe" into_closed_pipe read
    for command in read info map check; do
        refused_run 1 "standard output: No space left on device" into_full $command
        refused_run 1 "standard output: " into_nothing $command
    done
    refused_run 1 "standard output: No space left on device" into_full map --output=json
    # By another name, so that a mistake in the clean-up could not remove the device.
    ln -s /dev/full full
    refused 1 "full: No space left" read -o full disk.addcow
    [ -c full ]
}

@test "a full file system under -o: the output is removed" {
    overlay 1M 900000
    small_filesystem 64k
    refused 1 "small/out: No space left" read -o small/out disk.addcow
    [ -z "$(ls -A small)" ]
}

@test "a full file system under the image: nospace, and the disk stays valid (ERR-02, ERR-05)" {
    small_filesystem 1M
    random 3000000 base.raw
    addcow create -q -b "$PWD/base.raw" -i image.raw --size 4M small/disk.addcow
    cp base.raw model
    truncate -s 4M model
    random 2000000 data
    write_data() {
        addcow write small/disk.addcow 0 <data
    }
    refused_run 1 "(nospace" write_data
    addcow check small/disk.addcow
    # Each sector is old or new.
    addcow read small/disk.addcow >after
    model_write new 0 <data
    tail -c +2000001 model >>new
    python3 - model new after <<'END'
import sys
old, new, after = (open(name, "rb").read() for name in sys.argv[1:])
assert len(after) == len(old)
for at in range(0, len(after), 512):
    sector = after[at:at + 512]
    assert sector in (old[at:at + 512], new[at:at + 512]), at
END
}

@test "a file size limit under the image is an io error, no signal" {
    overlay 1M 500000
    random 100000 data
    write_limited() {
        ulimit -f 100
        addcow write disk.addcow 900000 <data
    }
    refused_run 1 "image.raw: " write_limited
    refused_run 1 "(io" write_limited
    reads_as disk.addcow model
}

@test "discard frees storage of the image" {
    truncate -s 64M empty
    addcow create -q -b empty -i image.raw --size 64M disk.addcow
    head -c 32M /dev/zero | tr '\0' x | addcow write disk.addcow 0
    before=$(stat -c %b image.raw)
    addcow discard disk.addcow 0 32M
    after=$(stat -c %b image.raw)
    [ "$before" -ge 65536 ]
    [ "$after" -lt 1000 ]
    cmp -n 64M <(addcow read disk.addcow) /dev/zero
}

@test "a disk that is open for writing is busy for all others (LCK-01, LCK-02)" {
    overlay 1M 500000
    hold disk.addcow model
    for command in info check map read stream commit "resize --shrink"; do
        operand=
        [ "$command" = "resize --shrink" ] && operand=1k
        # shellcheck disable=SC2086 # a list of words
        refused 1 "busy, LCK-02" $command disk.addcow $operand
    done
    refused 1 "busy, LCK-02" write disk.addcow 0
    refused 1 "busy, LCK-02" zero disk.addcow 0 1
    exec 5>&-
    wait
    reads_as disk.addcow model
}

@test "readers do not exclude each other" {
    overlay 1M 500000
    mkfifo output
    addcow read -o output disk.addcow &
    exec 5<output
    addcow info disk.addcow >/dev/null
    reads_as disk.addcow model
    cmp - model <&5
    exec 5<&-
    wait
}

@test "an ext4 file system as the guest: e2fsck finds the disk clean" {
    if ! command -v mke2fs >/dev/null || ! command -v e2fsck >/dev/null; then
        skip "e2fsprogs is not installed"
    fi
    mkdir tree
    cp "$BATS_TEST_DIRNAME"/*.bats tree/
    truncate -s 8M old.raw new.raw
    mke2fs -q -t ext4 -d tree old.raw
    cp "$addcow" tree/
    mke2fs -q -t ext4 -d tree new.raw
    addcow create -q -b old.raw -i image.raw --size 8M disk.addcow
    for ((block = 0; block < 8192; block += 64)); do
        if ! cmp -s -n 65536 -i $((block * 1024)) old.raw new.raw; then
            dd if=new.raw bs=1024 skip=$block count=64 status=none | addcow write disk.addcow ${block}k
        fi
    done
    reads_as disk.addcow new.raw
    addcow stream -q disk.addcow
    rm old.raw disk.addcow
    e2fsck -fn image.raw
}

@test "wrong usage of read, write, zero, discard" {
    overlay 1M 500000
    refused 2 "too few operands" read
    refused 2 "too many operands" read disk.addcow 1 2 3
    refused 2 "'x' is not a size" read disk.addcow x
    refused 2 "'' is not a size" read disk.addcow ''
    refused 2 "'1.5' is not a size" read disk.addcow 1.5
    refused 2 "' 1' is not a size" read disk.addcow ' 1'
    refused 2 "'16E' is not a size" read disk.addcow 16E
    refused 2 "'18446744073709551616' is not a size" read disk.addcow 18446744073709551616
    refused 2 "unknown option '-1'" write disk.addcow -1
    refused 2 "'-1' is not a size" write disk.addcow -- -1
    refused 2 "too few operands" zero disk.addcow 1
    refused 2 "too few operands" discard disk.addcow
    reads_as disk.addcow model
}

@test "- stands for standard input and standard output" {
    random 100000 data
    truncate -s 100000 image.raw
    addcow create -q -i image.raw disk.addcow
    addcow write -i - disk.addcow <data
    addcow read -o - disk.addcow | cmp - data
    [ ! -e - ]
    # A file of that name is still reached.
    addcow read -o ./- disk.addcow
    cmp ./- data
    addcow write -i ./- disk.addcow
}

@test "write --detect-zeroes: zeros take no storage, whatever was there" {
    random 3000000 base.raw
    addcow create -q -b base.raw -i image.raw disk.addcow
    cp base.raw data
    dd if=/dev/zero of=data bs=1000 seek=500 count=2000 conv=notrunc status=none
    # 4 KiB of zeros between data, a cluster that has both, and single zeros.
    dd if=/dev/zero of=data bs=4096 seek=3 count=1 conv=notrunc status=none
    dd if=/dev/zero of=data bs=1 seek=100 count=50 conv=notrunc status=none
    addcow write --detect-zeroes disk.addcow <data
    reads_as disk.addcow data
    [ "$(($(stat -c %b image.raw) * 512))" -lt 1200000 ]
    # Also over data.
    addcow write -i base.raw disk.addcow
    addcow write --detect-zeroes -i - disk.addcow <data
    reads_as disk.addcow data
    [ "$(($(stat -c %b image.raw) * 512))" -lt 1200000 ]
    # At an offset, and at most up to the end of the disk.
    head -c 100000 /dev/zero | addcow write --detect-zeroes disk.addcow 2900000
    head -c 100001 /dev/zero >zeros
    # shellcheck disable=SC2016 # the inner shell expands it
    refused_run 1 "the first 100000 bytes were written" \
        bash -c 'cat zeros | "$0" write --detect-zeroes disk.addcow 2900000' "$addcow"
    dd if=zeros of=data bs=1000 seek=2900 count=100 conv=notrunc status=none
    reads_as disk.addcow data
}
