#!/usr/bin/env bats
# shellcheck disable=SC2154,SC2317 # what common.bash defines, and what `run` calls
# addcow resize, stream, commit (spec sections 8 and 9).

load common

# written_overlay SIZE BASE OPTION...: the disk of `overlay`, with some data written to it and to the file `model`.
written_overlay() {
    overlay "$@"
    overlay_write 200000 70000
}

@test "growing adds zeros, also where the backing file is longer (RSZ-01, RSZ-02, RSZ-03)" {
    for options in "-c 4k" "-c 64k" "--layout=r9"; do
        # shellcheck disable=SC2086 # a list of words
        written_overlay 1000001 3000000 $options
        run addcow resize disk.addcow 2000003
        [ "$status" -eq 0 ]
        [ "$output" = "Image resized." ]
        [ "$(length image.raw)" -eq 2000003 ]
        truncate -s 2000003 model
        reads_as disk.addcow model
        addcow resize -q disk.addcow +3M
        truncate -s $((2000003 + 3145728)) model
        reads_as disk.addcow model
        addcow check -q disk.addcow
        rm image.raw disk.addcow
    done
}

@test "shrinking needs --shrink, and the data beyond the new end never comes back (RSZ-05, RSZ-06)" {
    for options in "-c 4k" "-c 1M" "--layout=r9"; do
        # shellcheck disable=SC2086 # a list of words
        written_overlay 3000000 2500000 $options
        refused 1 "--shrink" resize disk.addcow 1000
        refused 1 "--shrink" resize disk.addcow -1
        reads_as disk.addcow model
        addcow resize -q --shrink disk.addcow 222222
        [ "$(length image.raw)" -eq 222222 ]
        truncate -s 222222 model
        reads_as disk.addcow model
        addcow check -q disk.addcow
        addcow resize -q --shrink disk.addcow -22222
        truncate -s 200000 model
        reads_as disk.addcow model
        addcow resize -q disk.addcow 3M
        truncate -s 3M model
        reads_as disk.addcow model
        addcow check -q disk.addcow
        rm image.raw disk.addcow
    done
}

@test "growing extends the metadata file where it is too short (RSZ-08, BMP-04)" {
    written_overlay 1M 500000 -c 4k
    [ "$(length disk.addcow)" -eq 8192 ]
    addcow resize -q disk.addcow 200M
    [ "$(length disk.addcow)" -eq 12288 ]
    truncate -s 200M model
    reads_as disk.addcow model
    addcow resize -q --shrink disk.addcow 1M
    addcow check -q disk.addcow
}

@test "a wrapped image stays all allocated when it grows (RSZ-03)" {
    random 100000 image.raw
    cp image.raw model
    addcow create -q -c 4k -i image.raw disk.addcow
    addcow resize -q disk.addcow 10M
    truncate -s 10M model
    reads_as disk.addcow model
    cmp image.raw model
    addcow check -q disk.addcow
    [ "$(info disk.addcow "j['format-specific']['data']['all-allocated']")" = True ]
}

@test "resize to the same size, to 0, and to sizes that no disk can have (RSZ-09)" {
    written_overlay 1M 500000
    addcow resize -q disk.addcow 1M
    addcow resize -q disk.addcow +0
    reads_as disk.addcow model
    refused 1 "(range" resize disk.addcow 5E
    refused 1 "(range" resize disk.addcow +15E
    refused 1 "(range" resize --shrink disk.addcow -1048577
    reads_as disk.addcow model
    addcow resize -q --shrink disk.addcow 0
    [ "$(length image.raw)" -eq 0 ]
    addcow check -q disk.addcow
    addcow resize -q disk.addcow 1M
    truncate -s 0 model
    truncate -s 1M model
    reads_as disk.addcow model
}

@test "a resize on full storage changes nothing (RSZ-07)" {
    small_filesystem 512k
    random 500000 base.raw
    addcow create -q -c 4k -b "$PWD/base.raw" -i image.raw --size 100000 small/disk.addcow
    addcow read small/disk.addcow >model
    # The cluster in which the old end lies has to be copied up, and there is no room for it.
    ! head -c 1M /dev/zero >small/filler || return
    refused 1 "nospace" resize small/disk.addcow 500000
    [ "$(length small/image.raw)" -eq 100000 ]
    reads_as small/disk.addcow model
    rm small/filler
    addcow resize -q small/disk.addcow 500000
    truncate -s 500000 model
    reads_as small/disk.addcow model
}

@test "a resize beyond what a file can have changes nothing, and leaves nothing behind (RSZ-07)" {
    written_overlay 1000000 3000000
    cp disk.addcow before
    (
        ulimit -f 102400
        refused 1 "image.raw: at 1099511627776: setting the length failed: File too large" resize disk.addcow 1T
        refused 1 "File too large" resize disk.addcow 1P
    )
    cmp disk.addcow before
    [ "$(length image.raw)" -eq 1000000 ]
    reads_as disk.addcow model
    # No file system has such files.
    random 1000 wrapped.raw
    addcow create -q -c 4k -i wrapped.raw wrapped.addcow
    cp wrapped.addcow before
    (
        ulimit -f 20000000 # enough for the bitmap, not for the image
        run timeout 10 "$addcow" resize wrapped.addcow 500G
        [ "$status" -eq 1 ]
    )
    cmp wrapped.addcow before
}

@test "growing a wrapped image takes no memory in proportion to its size (RSZ-03)" {
    random 1000 image.raw
    addcow create -q -c 4k -i image.raw disk.addcow
    truncate -s 4T probe || skip "the file system has no files of 4 TiB"
    run env ASAN_OPTIONS=detect_leaks=0 python3 -S -c '
import resource, subprocess, sys
status = subprocess.call([sys.argv[1], "resize", "-q", "disk.addcow", "4T"])
print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' "$addcow"
    echo "$output"
    [ "${output% *}" -eq 0 ]
    # The bitmap has 128 MiB.
    [ "${output#* }" -lt 100000 ]
    addcow check -q disk.addcow
}

@test "check does not read the holes of a bitmap" {
    written_overlay 1000000 500000
    truncate -s 4T disk.addcow
    timeout 30 "$addcow" check -q disk.addcow
    timeout 30 "$addcow" check -q --repair disk.addcow
    reads_as disk.addcow model
    # Bits between and behind holes are found.
    poke disk.addcow 2199023255552 '\1'
    run timeout 30 "$addcow" check disk.addcow
    [ "$status" -eq 3 ]
    [[ "$output" == *"1 bits past the last cluster are set, the first one for cluster 17592185520128"* ]]
    timeout 30 "$addcow" check -q --repair disk.addcow
    addcow check --output=json disk.addcow >check.json
    [ "$(json check.json "j['allocated-clusters']")" -eq 2 ]
}

@test "after a stream the image alone is the disk (STR-01, STR-02)" {
    for options in "-c 4k" "-c 64k" "-c 2M" "--layout=r9"; do
        # shellcheck disable=SC2086 # a list of words
        written_overlay 3000001 2500000 $options
        run --separate-stderr addcow stream disk.addcow
        [ "$status" -eq 0 ]
        [ "$output" = "Image streamed." ]
        cmp image.raw model
        reads_as disk.addcow model
        addcow check -q disk.addcow
        addcow check --output=json disk.addcow >check.json
        [ "$(json check.json "j['allocated-clusters'] == j['total-clusters']")" = True ]
        mv base.raw moved
        if [ "$options" != "--layout=r9" ]; then
            # The backing file is not opened any more (LNK-10).
            reads_as disk.addcow model
            addcow check -q disk.addcow
        fi
        rm image.raw disk.addcow
    done
}

@test "a stream of a sparse backing file copies its data and zeroes old bytes of the image (STR-01)" {
    truncate -s 8M base.raw
    for offset in 0 65535 131072 1048575 3145727 3145728 5242880 8388607; do
        poke base.raw $offset '\x5a'
    done
    random 10000000 image.raw
    addcow create -q --hide-image-data -b base.raw -i image.raw disk.addcow
    addcow read disk.addcow >before
    addcow stream -q disk.addcow
    cmp before image.raw
    cmp -n 8388608 base.raw image.raw
    [ "$(peek image.raw 9999999 1)" = 00 ]
}

@test "a stream sets the bits that another writer left clear under \"all allocated\" (VRT-05)" {
    random 1000000 image.raw
    addcow create -q -c 4k -i image.raw disk.addcow
    poke disk.addcow 4100 '\0'
    addcow read disk.addcow | cmp - image.raw
    run addcow check disk.addcow
    [ "$status" -eq 3 ]
    addcow stream -q disk.addcow
    addcow check -q disk.addcow
    [ "$(peek disk.addcow 4096 5)" = ffffffffff ]
}

@test "create and stream skip holes of any size" {
    truncate -s 2T base.raw
    poke base.raw 1649267441664 '\x5a'
    truncate -s 3T image.raw
    addcow create -q -c 2M -b base.raw -i image.raw disk.addcow
    addcow stream -q disk.addcow
    [ "$(peek image.raw 1649267441663 3)" = 005a00 ]
    [ "$(stat -c %b image.raw)" -lt 16384 ]
    addcow check -q disk.addcow
}

@test "a stream of a wrapped image has nothing to do" {
    random 100000 image.raw
    cp image.raw model
    addcow create -q -i image.raw disk.addcow
    cp disk.addcow before
    addcow stream -q disk.addcow
    cmp disk.addcow before
    cmp image.raw model
}

@test "commit copies the data into the backing file and clears the bits (CMT-01)" {
    for options in "-c 4k" "-c 64k" "--layout=r9"; do
        # shellcheck disable=SC2086 # a list of words
        written_overlay 3000001 3000001 $options
        run --separate-stderr addcow commit disk.addcow
        [ "$status" -eq 0 ]
        [ "$output" = "Image committed." ]
        cmp base.raw model
        reads_as disk.addcow model
        addcow check --output=json disk.addcow >check.json
        [ "$(json check.json "j['allocated-clusters']")" -eq 0 ]
        rm image.raw disk.addcow
    done
}

@test "commit into a backing file that is an add-cow disk (LNK-08, LCK-03)" {
    random 1000000 image1.raw
    cp image1.raw model
    addcow create -q -i image1.raw 1.addcow
    addcow create -q -b 1.addcow -F add-cow -i image2.raw --size 1000000 2.addcow
    random 5000 data
    addcow write 2.addcow 700000 <data
    dd if=data of=model bs=64k seek=700000 oflag=seek_bytes conv=notrunc status=none
    reads_as 2.addcow model
    addcow commit -q 2.addcow
    reads_as 2.addcow model
    reads_as 1.addcow model
    cmp image1.raw model
}

@test "commit leaves an image without storage, and holes in the backing file (CMT-01, CMT-04)" {
    for format in raw add-cow; do
        rm -f ./*.raw ./*.addcow
        truncate -s 64M base.raw
        random 5000 data
        dd if=data of=base.raw bs=64k seek=20M oflag=seek_bytes conv=notrunc status=none
        backing=base.raw
        if [ "$format" = add-cow ]; then
            addcow create -q -c 64k -b base.raw -i lower.raw lower.addcow
            backing=lower.addcow
        fi
        addcow create -q -c 2M -b $backing -F $format -i image.raw --size 64M disk.addcow
        # All zeros, with some data in places.
        addcow zero disk.addcow 0 64M
        truncate -s 64M model
        for offset in 0 70000 10485760 33554433 67103864; do
            addcow write -i data disk.addcow $offset
            dd if=data of=model bs=64k seek=$offset oflag=seek_bytes conv=notrunc status=none
        done
        addcow commit -q disk.addcow
        cmp <(addcow read disk.addcow) model
        if [ "$format" = raw ]; then
            cmp base.raw model
        else
            cmp <(addcow read lower.addcow) model
        fi
        [ "$(stat -c %b image.raw)" -eq 0 ]
        [ "$(length image.raw)" -eq 67108864 ]
        [ "$(stat -c %b base.raw)" -le 500 ]
        [ ! -e lower.raw ] || [ "$(stat -c %b lower.raw)" -le 2000 ]
        addcow check -q disk.addcow
    done
}

@test "a commit of old data frees it in the image only, and hidden data stays (CMT-04)" {
    random 3000000 image.raw
    cp image.raw before
    random 3000000 base.raw
    addcow create -q --hide-image-data -b base.raw -i image.raw disk.addcow
    random 65536 data
    addcow write -i data disk.addcow 65536
    addcow commit -q disk.addcow
    cmp -n 65536 image.raw before
    cmp -n 65536 -i 65536:0 image.raw /dev/zero
    cmp -i 131072 image.raw before
    cmp -n 65536 -i 65536:0 base.raw data
}

@test "a stream gives holes for zeros between the data (STR-01)" {
    truncate -s 64M base.raw
    for offset in 0 1048576 3000001 67108863; do
        poke base.raw $offset '\x5a'
    done
    # Zeros that are stored are no hole of the backing file.
    dd if=/dev/zero of=base.raw bs=1M seek=10 count=20 conv=notrunc status=none
    poke base.raw 20000000 '\x5a'
    addcow create -q -c 2M -b base.raw -i image.raw disk.addcow
    addcow stream -q disk.addcow
    cmp base.raw image.raw
    [ "$(stat -c %b image.raw)" -le 200 ]
}

@test "commit without a backing file, and onto one that is too short, is refused (CMT-02)" {
    random 100000 image.raw
    addcow create -q -i image.raw wrapped.addcow
    refused 1 "unsupported" commit wrapped.addcow
    rm image.raw
    written_overlay 1000000 250000
    cp base.raw before
    cp disk.addcow disk.before
    refused 1 "range" commit disk.addcow
    cmp base.raw before
    cmp disk.addcow disk.before
    reads_as disk.addcow model
}

@test "progress is shown with -p, and not without a terminal or with -q" {
    written_overlay 3000000 2500000
    run --separate-stderr addcow stream disk.addcow
    [ -z "$stderr" ]
    addcow create -q --force --hide-image-data -b base.raw -i image.raw disk.addcow
    run --separate-stderr addcow stream -p disk.addcow
    [[ "$stderr" == *"(100.00/100%)"* ]]
    addcow create -q --force --hide-image-data -b base.raw -i image.raw disk.addcow
    run --separate-stderr addcow stream -p -q disk.addcow
    [ -z "$stderr$output" ]
    addcow create -q --force --hide-image-data -b base.raw -i image.raw disk.addcow
    addcow write -i data disk.addcow 0
    run --separate-stderr addcow commit -p disk.addcow
    [[ "$stderr" == *"(100.00/100%)"* ]]
}

@test "resize --image-was takes back what another program did to the image (BMP-03)" {
    for options in "-c 4k" "-c 64k" "--layout=r9"; do
        # shellcheck disable=SC2086 # a list of words
        written_overlay 1000001 3000000 $options
        truncate -s 40G image.raw
        refused 1 "and the image has 42949672960 (malformed, BMP-03)" info disk.addcow
        refused 1 "so none of 41875931136 (range, BMP-03)" resize --image-was 39G disk.addcow
        refused 1 "has 42949672960 bytes, which is less than 44023414784 (range)" resize --image-was 41G disk.addcow
        cp --sparse=always image.raw grown.raw
        printf x | dd of=image.raw bs=1 seek=1000001 conv=notrunc status=none
        refused 1 "holds data near offset 1000001, past the end of 1000001 (range)" \
            resize --image-was 1000001 disk.addcow
        [ "$(length image.raw)" -eq 42949672960 ]
        mv grown.raw image.raw
        run addcow resize --image-was 1000001 disk.addcow
        echo "$output"
        [ "$status" -eq 0 ] && [ "$output" = "Image resized." ]
        reads_as disk.addcow model
        addcow check -q disk.addcow
        truncate -s 40G image.raw
        addcow resize -q --image-was 1000001 disk.addcow +4M
        truncate -s $((1000001 + 4194304)) model
        reads_as disk.addcow model
        addcow check -q disk.addcow
        rm -f image.raw disk.addcow
    done
}

@test "resize --image-was: an image that still is covered, and wrong usage" {
    written_overlay 1000001 900000 -c 4k
    truncate -s 1500000 image.raw
    addcow zero disk.addcow 1200000 9000
    addcow resize -q --image-was=1000001 disk.addcow
    reads_as disk.addcow model
    addcow check -q disk.addcow
    refused 1 "has 1000001 bytes, which is less than 1000002" resize --image-was=1000002 disk.addcow
    refused 2 "SIZE or --image-was is required" resize disk.addcow
    refused 2 "" resize --image-was disk.addcow
}

# Holes of a disk in a chain are read like data, so a stream of 4 TiB of them takes far longer than any signal does.
@test "a signal stops a stream without data loss, and the stream can be restarted (STR-03)" {
    random 100000 data
    addcow create -q -i lower.raw --size 4T lower.addcow
    addcow write -i data lower.addcow 0
    addcow write -i data lower.addcow 33554432
    addcow create -q -b lower.addcow -F add-cow -i image.raw --size 4T disk.addcow
    "$addcow" stream -p disk.addcow 2>progress &
    pid=$!
    for ((tries = 0; tries < 6000; tries++)); do
        [ ! -s progress ] && kill -0 $pid || break
        sleep 0.01
    done
    kill -TERM $pid
    [ -s progress ] # within a minute
    status=0
    wait $pid || status=$?
    [ "$status" -eq 143 ] # it died of that signal
    grep -q "addcow: disk.addcow: .*interrupted" progress
    addcow check -q disk.addcow
    addcow resize -q --shrink disk.addcow 64M
    addcow stream -q disk.addcow
    head -c 64M lower.raw | cmp - image.raw
}

@test "commit --grow-backing: into a backing file that is too short, of either format" {
    written_overlay 1000001 100000
    refused 1 "range" commit disk.addcow
    [ "$(length base.raw)" -eq 100000 ]
    addcow commit -q --grow-backing disk.addcow
    cmp base.raw model
    reads_as disk.addcow model
    addcow check -q disk.addcow

    rm disk.addcow image.raw
    random 300000 lowest.raw
    addcow create -q -b lowest.raw -i base.image -s 400000 base.addcow
    addcow create -q -b base.addcow -F add-cow -i image.raw -s 2000003 disk.addcow
    addcow read disk.addcow >model
    overlay_write 1900000 100003
    refused 1 "range" commit disk.addcow
    addcow commit -q --grow-backing disk.addcow
    reads_as disk.addcow model
    reads_as base.addcow model
    addcow check -q base.addcow
    # A longer one keeps its length, and a disk without a backing file is refused as ever.
    addcow resize -q --shrink disk.addcow 1000000
    addcow commit -q --grow-backing disk.addcow
    [ "$(length base.image)" -eq 2000003 ]
    addcow create -q -i alone.raw -s 1M alone.addcow
    refused 1 "unsupported" commit --grow-backing alone.addcow
}

@test "commit --base: down a chain of several disks, all of which stay usable" {
    random 300000 base.raw
    addcow create -q -b base.raw -i low.raw low.addcow
    addcow create -q -b low.addcow -F add-cow -i middle.raw middle.addcow
    addcow create -q -b middle.addcow -F add-cow -i image.raw -s 500000 disk.addcow
    random 100000 data
    addcow write low.addcow 10000 <data
    addcow write middle.addcow 90000 <data
    addcow write disk.addcow 400000 <data
    addcow read disk.addcow >model
    cp base.raw before
    refused 1 "data: is no backing file below disk.addcow" commit -b data disk.addcow
    refused 1 "disk.addcow: is no backing file below disk.addcow" commit -b disk.addcow disk.addcow
    refused 1 "missing: No such file or directory" commit -b missing disk.addcow
    refused 1 "range" commit -b base.raw disk.addcow
    cmp base.raw before
    run addcow commit --grow-backing --base ./base.raw disk.addcow
    echo "$output"
    [ "$status" -eq 0 ] && [ "$output" = "Image committed." ]
    cmp base.raw model
    for disk in low middle disk; do
        reads_as $disk.addcow model
        addcow check -q $disk.addcow
        [ "$(addcow map --output=json $disk.addcow | grep -c '"depth": 0')" -eq 0 ]
    done
    # Only as far as it is asked for.
    addcow write disk.addcow 5 <data
    addcow write middle.addcow 200000 <data
    addcow read disk.addcow >model
    cp base.raw before
    addcow commit -q -b low.addcow disk.addcow
    reads_as low.addcow model
    cmp base.raw before
}

@test "commit --base: down the longest chain that there can be (LNK-09)" {
    random 50000 base.raw
    addcow create -q -b base.raw -i 1.raw 1.addcow
    for i in {2..16}; do
        addcow create -q -b $((i - 1)).addcow -F add-cow -i "$i.raw" "$i.addcow"
    done
    random 100 data
    addcow write 16.addcow 100 <data
    addcow write 9.addcow 30000 <data
    addcow read 16.addcow >model
    addcow commit -q -b base.raw 16.addcow
    cmp base.raw model
    reads_as 16.addcow model
}

@test "wrong usage of resize, stream, commit" {
    written_overlay 1M 500000
    cp disk.addcow before
    refused 2 "too few operands" resize
    refused 2 "'x' is not a size" resize disk.addcow x
    refused 2 "'+' is not a size" resize disk.addcow +
    refused 2 "'-1x' is not a size" resize disk.addcow -1x
    refused 2 "unknown option '--larger'" resize --larger disk.addcow 1
    refused 2 "too many operands" stream disk.addcow 1
    refused 2 "'--shrink' does not apply" commit --shrink disk.addcow
    cmp disk.addcow before
    reads_as disk.addcow model
}
