#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2154 # each test is a subshell, and what common.bash defines
# Block devices as backing file and as image (LNK-06): loop devices, where they may be made.

load common

# device NAME FILE OPTION...: a loop device over FILE, linked to as NAME.
device() {
    local made
    made=$(losetup --find --show "${@:3}" "$2" 2>/dev/null) || skip "no loop device can be made"
    echo "$made" >>devices
    ln -s "$made" "$1"
}

teardown() {
    ! mountpoint -q mounted || umount mounted
    if [ -e devices ]; then
        xargs -n 1 losetup --detach <devices
    fi
}

# base_device: base, of 307,200 bytes of noise, over the file base.raw.
base_device() {
    random 307200 base.raw
    cp base.raw model
    device base base.raw
}

@test "a device as backing file gives the size, and commit writes to it (LNK-06, VRT-01, CMT-01)" {
    base_device
    addcow create -q -c 4k -b base -i image.raw disk.addcow
    [ "$(length image.raw)" -eq 307200 ]
    reads_as disk.addcow model
    overlay_write 5000 100000
    addcow discard disk.addcow 200000 5000
    model_write model 200000 < <(head -c 5000 /dev/zero)
    reads_as disk.addcow model
    addcow check -q disk.addcow
    addcow commit -q disk.addcow
    cmp base model
    reads_as disk.addcow model
    addcow stream -q disk.addcow
    cmp image.raw model
}

@test "a device as backing file: rebase, compare, map and measure" {
    base_device
    addcow create -q -c 4k -b base -i image.raw disk.addcow
    overlay_write 5000 30000
    random 307200 other.raw
    addcow rebase -q -b other.raw disk.addcow
    reads_as disk.addcow model
    addcow rebase -q -b base disk.addcow
    reads_as disk.addcow model
    addcow compare -q -F raw disk.addcow model
    addcow measure -f raw base >/dev/null
}

@test "map of devices: all is data, of the image and of the backing file" {
    base_device
    truncate -s 409600 image.raw
    device image image.raw
    addcow create -q -c 4k -b base -i image disk.addcow
    random 100000 data
    addcow write -q disk.addcow 4096 <data
    addcow map --output=json disk.addcow >map.json
    [ "$(json map.json "[(e['start'], e['length'], e['depth'], e['data']) for e in j]")" = \
        "[(0, 4096, 1, True), (4096, 102400, 0, True), (106496, 200704, 1, True), (307200, 102400, 0, False)]" ]
}

@test "a device as image keeps its length, and discards free storage below it (RSZ-01, DC-01)" {
    random 500000 base.raw
    truncate -s 819200 image.raw
    device image image.raw
    addcow create -q -c 4k -b base.raw -i image disk.addcow
    cp base.raw model
    truncate -s 819200 model
    overlay_write 100000 400000
    reads_as disk.addcow model
    sync image.raw
    before=$(stat -c %b image.raw)
    addcow discard disk.addcow 102400 393216
    model_write model 102400 < <(head -c 393216 /dev/zero)
    reads_as disk.addcow model
    sync image.raw
    [ "$(stat -c %b image.raw)" -lt $((before - 600)) ]
    refused 1 "image: its length cannot be changed (unsupported, RSZ-01)" resize disk.addcow 900000
    refused 1 "image: its length cannot be changed (unsupported, RSZ-01)" resize --shrink disk.addcow 400000
    reads_as disk.addcow model
    addcow check -q disk.addcow
    addcow stream -q disk.addcow
    cmp image model
    addcow commit -q disk.addcow 2>error && false
    grep -q "range, CMT-02" error
}

@test "two names of one device are one file (LNK-07), and locks know it (LCK-05)" {
    truncate -s 409600 image.raw
    device image image.raw
    mknod node b $((0x$(stat -Lc %t image))) $((0x$(stat -Lc %T image))) || skip "no device can be made here"
    refused 1 "LNK-07" create -q -c 4k -b node -i image disk.addcow
    truncate -s 409600 upper.raw
    addcow create -q -b image -i upper.raw upper.addcow
    addcow commit -q --base node upper.addcow
    addcow create -q -i image disk.addcow
    cp disk.addcow copy.addcow
    random 300000 data
    hold disk.addcow data
    refused 1 "busy" write copy.addcow 0
    exec 5>&-
    wait
}

@test "a device on which a file system is mounted is not written to, and can be read (LCK-02)" {
    truncate -s 4M image.raw
    mkfs.ext4 -q -F image.raw
    device image image.raw
    addcow create -q -i image disk.addcow
    mkdir mounted
    mount -t ext4 "$(readlink image)" mounted || skip "nothing can be mounted"
    refused 1 "busy" write disk.addcow 0
    addcow read disk.addcow 0 4096 >/dev/null
}

@test "a device that may not be written is read-only, and other devices are no files (LNK-06)" {
    random 307200 image.raw
    device image image.raw --read-only
    addcow create -q -i image disk.addcow
    refused 1 "readonly" zero disk.addcow 0 512
    reads_as disk.addcow image.raw
    refused 1 "unlinkable" create -i /dev/null null.addcow
    refused 1 "unlinkable" create -i /dev/zero null.addcow
}

@test "read -o to a device: what the disk itself, QEMU or a file system uses is not written to (LCK-05)" {
    base_device
    truncate -s 307200 image.raw
    device image image.raw
    addcow create -q -b base -i image disk.addcow
    overlay_write 5000 100000
    cp image.raw image.before
    refused 1 "base: is in use elsewhere (busy, LCK-05)" read -o base disk.addcow
    refused 1 "image: is in use elsewhere (busy, LCK-05)" read -o image disk.addcow
    cmp base.raw base
    cmp image.raw image.before
    # One that is free gets every byte, also zeros, and the rest stays.
    random 409600 other.raw
    cp other.raw expected
    device other other.raw
    addcow zero disk.addcow 200000 70000
    model_write model 200000 < <(head -c 70000 /dev/zero)
    model_write expected 0 <model
    for option in "" --direct; do
        addcow read ${option:+"$option"} -o other disk.addcow
        cmp other expected
        random 307200 noise
        model_write other 0 <noise
    done
    addcow read --direct -o other disk.addcow 1001 70001
    model_write noise 0 < <(tail -c +1002 model | head -c 70001)
    cmp -n 307200 other noise
    # Too small: nothing is written. Mounted: neither.
    truncate -s 200704 short.raw
    device short short.raw
    refused 1 "short: has 200704 bytes, and 307200 are needed (nospace)" read -o short disk.addcow
    cmp short <(head -c 200704 /dev/zero)
    truncate -s 4M mounted.raw
    mkfs.ext4 -q -F mounted.raw
    device used mounted.raw
    mkdir mounted
    mount -t ext4 "$(readlink used)" mounted || skip "nothing can be mounted"
    refused 1 "used: Device or resource busy" read -o used disk.addcow
}

@test "write -i of a device: its data, and it is locked meanwhile (LCK-05)" {
    base_device
    addcow create -q -b base.raw -i image.raw -s 1M disk.addcow
    truncate -s 1M model
    addcow write -i base disk.addcow 100001
    model_write model 100001 <base
    reads_as disk.addcow model
    addcow write --direct -i base disk.addcow 500001
    model_write model 500001 <base
    reads_as disk.addcow model
    refused 1 "are not within the disk" write -i base disk.addcow 1000000
    reads_as disk.addcow model
}
