#!/usr/bin/env bats
# shellcheck disable=SC2154,SC2317 # what common.bash defines, and what `run` calls
# addcow create: spec section 7, and what is refused before any file is made.

load common

# nothing_made FILE...: after a refusal the directory holds just these files.
nothing_made() {
    diff <(printf '%s\n' "$@" | sed '/^$/d' | sort) <(find . -mindepth 1 -type f -printf '%P\n' | sort)
}

@test "the worked example of the specification, byte for byte (HDR-22, BMP-01, BMP-04, WR-02)" {
    random 10485760 backing.raw
    addcow create -q -b backing.raw -i test.raw --size 10M disk.addcow
    random 512 data
    addcow write disk.addcow 66048 <data
    [ "$(length disk.addcow)" -eq 131072 ]
    wanted=41434f574c0000000b0000005700000008000000100000000000000000000000
    wanted+=000000000000000000000100726177000000000000000000000000007261770000000000000000000000000
    wanted+=06261636b696e672e726177746573742e72617700
    [ "$(peek disk.addcow 0 96)" = "$wanted" ]
    [ "$(peek disk.addcow 65536 4)" = 02000000 ]
    cmp -n 512 -i 65536:65536 test.raw backing.raw
    cmp -n 512 -i 66048:0 test.raw data
    cmp -n 64512 -i 66560:66560 test.raw backing.raw
}

@test "the metadata file has the lengths that the specification gives (BMP-04)" {
    truncate -s 40G base
    addcow create -q -b base -i a.raw --size 40G a.addcow
    [ "$(length a.addcow)" -eq 196608 ]
    addcow create -q -b base -i b.raw --size 256M -c 4k b.addcow
    [ "$(length b.addcow)" -eq 12288 ]
    addcow create -q -b base -i c.raw --size 1 -c 2M c.addcow
    [ "$(length c.addcow)" -eq 4194304 ]
    addcow create -q -b base -i d.raw --size 10M --layout r9 d.addcow
    [ "$(length d.addcow)" -eq 4116 ]
}

@test "a disk with a backing file reads as that file, cut or extended with zeros (CRE-02)" {
    random 300001 base.raw
    for size in 1 65536 300000 300001 300002 1000000; do
        for options in "--layout=r9" "-c 4k" "-c 64k" "-c 2M"; do
            # shellcheck disable=SC2086 # a list of words
            addcow create -q $options -b base.raw -i image.raw --size $size disk.addcow
            cp base.raw wanted
            truncate -s $size wanted
            reads_as disk.addcow wanted
            rm image.raw disk.addcow
        done
    done
}

@test "without a backing file, create wraps the image and does not change it (CRE-01, CRE-03)" {
    random 700001 image.raw
    cp image.raw before
    addcow create -q -i image.raw disk.addcow
    cmp image.raw before
    reads_as disk.addcow before
    [ "$(info disk.addcow "j['format-specific']['data']['all-allocated']")" = True ]
    # 11 clusters: every bit is set, none behind them (VRT-05, BMP-05).
    [ "$(peek disk.addcow 65536 3)" = ff0700 ]
    addcow check disk.addcow
}

@test "a large disk without a backing file: every bit is set" {
    addcow create -q -i image.raw --size 100G -c 4k disk.addcow
    addcow check disk.addcow
    # 26214400 clusters are 3276800 bytes of bitmap.
    cmp -n 3276800 -i 4096:0 disk.addcow <(tr '\0' '\377' </dev/zero)
    [ "$(length disk.addcow)" -eq $((4096 + 3276800)) ]
}

@test "--size makes a sparse image of exactly that size" {
    addcow create -q -i image.raw --size 3G disk.addcow
    [ "$(length image.raw)" -eq 3221225472 ]
    [ "$(stat -c %b image.raw)" -lt 64 ]
}

@test "a missing image is refused, and the message says what to do (CRE-04)" {
    random 1000 base.raw
    refused 1 "--size" create -i image.raw disk.addcow
    refused 1 "image.raw: cannot open for reading: No such file" create -i image.raw disk.addcow
    refused 1 "unlinkable, LNK-06" create -i image.raw disk.addcow
    nothing_made base.raw
}

@test "a missing image over a backing file is made as long as that file" {
    random 70001 base.raw
    mkdir sub
    cp base.raw sub
    addcow create -q -b base.raw -i image.raw sub/disk.addcow
    [ "$(length sub/image.raw)" -eq 70001 ]
    [ "$(stat -c %b sub/image.raw)" -lt 64 ]
    reads_as sub/disk.addcow base.raw
    # Of a disk it is the virtual size, whatever its own backing file has.
    addcow create -q -b base.raw -i image1.raw -s 100k disk1.addcow
    addcow create -q -b disk1.addcow -F add-cow -i image2.raw disk2.addcow
    [ "$(length image2.raw)" -eq 102400 ]
    # An image that exists keeps its size, and one that was made goes when the disk cannot be made.
    truncate -s 5000 image3.raw
    addcow create -q -b base.raw -i image3.raw disk3.addcow
    [ "$(length image3.raw)" -eq 5000 ]
    refused 1 "nowhere.raw: cannot open for reading: No such file" create -b nowhere.raw -i image4.raw disk4.addcow
    refused 1 "disk3.addcow: File exists" create -b base.raw -i image4.raw disk3.addcow
    [ ! -e image4.raw ]
}

@test "--size does not change an existing image (CRE-01)" {
    random 1000 image.raw
    cp image.raw before
    refused 1 "image.raw: File exists" create -i image.raw --size 1M disk.addcow
    refused 1 "image.raw: File exists" create -f -i image.raw --size 1M disk.addcow
    cmp image.raw before
    nothing_made image.raw before
}

@test "an existing file is replaced only with --force" {
    random 5000 image.raw
    addcow create -q -i image.raw disk.addcow
    cp disk.addcow before
    refused 1 "disk.addcow: File exists" create -c 4k -i image.raw disk.addcow
    cmp disk.addcow before
    addcow create -q --force -c 4k -i image.raw disk.addcow
    [ "$(length disk.addcow)" -eq 8192 ]
    reads_as disk.addcow image.raw
    nothing_made image.raw before disk.addcow
}

@test "--force replaces only add-cow files" {
    random 5000 image.raw
    random 5000 precious
    cp precious before
    refused 1 "is no add-cow file" create --force -i image.raw precious
    cmp precious before
    : >empty
    refused 1 "is no add-cow file" create --force -i image.raw empty
    nothing_made image.raw precious before empty
}

@test "--force does not replace an open disk (LCK-02)" {
    random 300000 image.raw
    cp image.raw before.raw
    addcow create -q -i image.raw disk.addcow
    cp disk.addcow before
    hold disk.addcow before.raw
    refused 1 "busy" create --force -c 4k -i image.raw disk.addcow
    exec 5>&-
    wait
    cmp disk.addcow before
}

@test "the same file in two places is refused, under any spelling (LNK-07)" {
    random 5000 a.raw
    ln a.raw hard.raw
    ln -s a.raw soft.raw
    for other in ./a.raw hard.raw soft.raw "$PWD/a.raw"; do
        refused 1 "unlinkable, LNK-07" create --hide-image-data -b a.raw -i "$other" disk.addcow
    done
    refused 1 "HDR-19" create --hide-image-data -b a.raw -i a.raw disk.addcow
    nothing_made a.raw hard.raw
}

@test "a disk is not its own image or backing file" {
    random 5000 base.raw
    refused 1 "unlinkable" create -b base.raw -i disk.addcow --size 1M disk.addcow
    nothing_made base.raw
    addcow create -q -b base.raw -i image.raw --size 1M disk.addcow
    cp disk.addcow before
    refused 1 "LNK-07" create -f -i disk.addcow disk.addcow
    refused 1 "LNK-07" create -f -b disk.addcow -F add-cow -i other.raw --size 1M disk.addcow
    cmp disk.addcow before
}

@test "missing files and files that are not regular are refused (LNK-06)" {
    random 5000 image.raw
    mkdir directory
    mkfifo fifo
    refused 1 "nowhere.raw: cannot open for reading: No such file" \
        create --hide-image-data -b nowhere.raw -i image.raw disk.addcow
    refused 1 "directory: " create --hide-image-data -b directory -i image.raw disk.addcow
    refused 1 "directory: " create -i directory disk.addcow
    refused 1 "fifo: " create -i fifo disk.addcow
    refused 1 "directory: " create -i image.raw directory
    refused 1 "directory: " create --force -i image.raw directory
    refused 1 "No such file or directory (unlinkable)" create -i "$PWD/image.raw" no-such-directory/disk.addcow
    nothing_made image.raw
}

@test "a name whose directory does not exist is refused, and nothing is made (CRE-04, CRE-05)" {
    random 100000 base.raw
    touch file
    for directory in nowhere file; do
        refused 1 "unlinkable" create -b "$PWD/base.raw" -i "$PWD/image.raw" "$directory/disk.addcow"
        refused 1 "unlinkable" create -b base.raw --size 100000 -i "$directory/image.raw" disk.addcow
        refused 1 "unlinkable" create -b base.raw -i "$directory/image.raw" disk.addcow
        refused 1 "unlinkable" create -b "$directory/base.raw" -i image.raw disk.addcow
    done
    [ "$(echo *)" = "base.raw file" ]
}

@test "unknown formats and protocols are refused (LNK-02, LNK-04)" {
    random 5000 base.raw
    refused 1 "unsupported, LNK-04" create -b base.raw -F qcow2 -i image.raw --size 1M disk.addcow
    refused 1 "unsupported, LNK-04" create -b base.raw -F a-format-with-a-long-name -i image.raw --size 1M disk.addcow
    refused 1 "unsupported, LNK-02" create -b nbd:host -i image.raw --size 1M disk.addcow
    refused 1 "unsupported, LNK-02" create -b base.raw -i file:image.raw --size 1M disk.addcow
    nothing_made base.raw
    # A colon behind a slash is part of a file name.
    addcow create -q -b base.raw -i ./a:b --size 1M disk.addcow
    [ -f a:b ]
}

@test "names that are too long are refused (CRE-05)" {
    random 5000 base.raw
    long=$(printf '%4020s' '' | tr ' ' x)
    refused 1 "range" create -c 4k -b base.raw -i "./$long" --size 1M disk.addcow
    long=$(printf '%1022s' '' | tr ' ' x)
    refused 1 "range" create --layout r9 -b base.raw -i "./$long" --size 1M disk.addcow
    nothing_made base.raw
    # Exactly full: 4020 bytes of names behind the fields of a header of 4096.
    deep=$(printf './%.0s' {1..2004})
    addcow create -q -c 4k -b base.raw -i "${deep}disk" --size 1M disk.addcow
    cp base.raw wanted
    truncate -s 1M wanted
    reads_as disk.addcow wanted
}

@test "an image with data under a backing file is refused unless --hide-image-data is given" {
    random 5000 base.raw
    truncate -s 3M image.raw
    addcow create -q -b base.raw -i image.raw zero.addcow
    poke image.raw 3145727 x
    cp image.raw before
    refused 1 "image.raw: holds data" create -b base.raw -i image.raw disk.addcow
    cmp image.raw before
    [ ! -e disk.addcow ]
    addcow create -q --hide-image-data -b base.raw -i image.raw disk.addcow
    cp base.raw wanted
    truncate -s 3M wanted
    reads_as disk.addcow wanted
    cmp image.raw before
}

@test "layout r9: the header, and the options that it cannot store (HR9)" {
    random 200000 base.raw
    addcow create -q --layout r9 -b base.raw -i image.raw --size 200000 disk.addcow
    [ "$(peek disk.addcow 0 12)" = 4144445f434f57ff01000000 ]
    [ "$(peek disk.addcow 12 9)" = 626173652e72617700 ]
    [ "$(peek disk.addcow 1036 10)" = 696d6167652e72617700 ]
    reads_as disk.addcow base.raw
    refused 1 "unsupported, CRE-03" create --layout r9 -i other.raw --size 1M other.addcow
    refused 1 "unsupported, HR9-08" create --layout r9 -c 4k -b base.raw -i other.raw --size 1M other.addcow
    refused 1 "unsupported, HR9-08" create --layout r9 -b disk.addcow -F add-cow -i other.raw --size 1M other.addcow
    nothing_made base.raw image.raw disk.addcow
}

@test "names are relative to the directory of the metadata file (LNK-01)" {
    mkdir sub elsewhere
    random 5000 sub/base.raw
    addcow create -q -b base.raw -i image.raw --size 5000 sub/disk.addcow
    [ -f sub/image.raw ]
    cd elsewhere
    reads_as ../sub/disk.addcow ../sub/base.raw
    reads_as "$BATS_TEST_TMPDIR/work/sub/disk.addcow" ../sub/base.raw
}

@test "a backing file is never probed (LNK-05, SEC-01)" {
    random 100000 secret.raw
    addcow create -q -i secret.raw evil.addcow
    addcow create -q -b evil.addcow -i image.raw --size 131072 disk.addcow
    cp evil.addcow wanted
    truncate -s 131072 wanted
    reads_as disk.addcow wanted
}

@test "chains: the backing file is a disk (LNK-08), 16 levels and no more (LNK-09), no loop (LNK-07)" {
    random 100000 image1.raw
    addcow create -q -c 4k -i image1.raw 1.addcow
    poke 1.addcow 32 '\0' # not "all allocated", so that nothing below is left out
    for level in {2..16}; do
        addcow create -q -c 4k -b $((level - 1)).addcow -F add-cow -i "image$level.raw" --size 100000 "$level.addcow"
    done
    reads_as 16.addcow image1.raw
    refused 1 "LNK-09" create -c 4k -b 16.addcow -F add-cow -i image17.raw --size 100000 17.addcow
    refused 1 "LNK-07" create -c 4k --hide-image-data -b 9.addcow -F add-cow -i image3.raw 17.addcow
    refused 1 "LNK-07" create -c 4k --force -b 9.addcow -F add-cow -i new.raw --size 100000 3.addcow
    [ ! -e 17.addcow ]
    [ ! -e new.raw ]
    reads_as 16.addcow image1.raw
}

@test "a chain ends at an all-allocated disk (LNK-10)" {
    random 100000 base.raw
    addcow create -q -b base.raw -i 1.raw --size 100000 1.addcow
    addcow stream -q 1.addcow
    mv base.raw moved
    addcow create -q -b 1.addcow -F add-cow -i 2.raw --size 100000 2.addcow
    reads_as 2.addcow moved
    addcow check -q 2.addcow
}

@test "a full file system: nospace, and no file is left (ERR-05, CRE-04)" {
    small_filesystem 64k
    refused 1 "nospace" create -i image.raw --size 10G -c 4k small/disk.addcow
    [ -z "$(ls -A small)" ]
}

@test "a file size limit: no file is left" {
    (
        ulimit -f 100
        refused 1 "disk.addcow" create -i image.raw --size 1000 -c 64k disk.addcow
    )
    nothing_made
    (
        ulimit -f 100
        refused 1 "image.raw" create -i image.raw --size 1M -c 4k disk.addcow
    )
    nothing_made
}

@test "a read-only file system" {
    mkdir readonly
    random 5000 readonly/image.raw
    mount --bind readonly readonly 2>/dev/null && mount -o remount,ro,bind readonly || skip "no permission to mount"
    refused 1 "readonly/disk.addcow: " create -i image.raw readonly/disk.addcow
    refused 1 "(readonly)" create -i image.raw readonly/disk.addcow
    # The image of a disk may be read-only; the disk can then only be read.
    addcow create -q -i readonly/image.raw disk.addcow
    reads_as disk.addcow readonly/image.raw
    refused 1 "readonly" write disk.addcow 0
}

@test "create prints what it made, unless -q is given" {
    run addcow create -i image.raw --size 1M disk.addcow
    [ "$status" -eq 0 ]
    [[ "$output" == "Created disk.addcow"* ]]
    run addcow create -q -i image2.raw --size 1M disk2.addcow
    [ "$status" -eq 0 ]
    [ -z "$output" ]
}

@test "wrong usage of create" {
    refused 2 "-i IMAGE" create disk.addcow
    refused 2 "too few operands" create -i image.raw
    refused 2 "too many operands" create -i image.raw disk.addcow other
    refused 2 "cluster size" create -i image.raw --size 1M -c 100k disk.addcow
    refused 2 "cluster size" create -i image.raw --size 1M -c 4M disk.addcow
    refused 2 "cluster size" create -i image.raw --size 1M -c 2k disk.addcow
    refused 2 "'1X'" create -i image.raw --size 1X disk.addcow
    refused 2 "'r7'" create --layout r7 -i image.raw --size 1M disk.addcow
    refused 2 "-F FORMAT requires -b BACKING" create -F raw -i image.raw --size 1M disk.addcow
    refused 1 "unsupported, VRT-01" create -i image.raw --size 5E disk.addcow
    nothing_made
}

# inject SPEC... -- ARGUMENT...: the command, with system calls made to fail by strace.
inject() {
    local options=()
    while [ "$1" != -- ]; do
        options+=(-e "inject=$1")
        shift
    done
    shift
    ASAN_OPTIONS=detect_leaks=0 strace -qq -o strace.log -e trace=fsync,renameat2,link,rename,unlink "${options[@]}" \
        "$addcow" "$@"
}

@test "create where directories cannot be synced, or names not be given in one step (CRE-06)" {
    strace -qq -o /dev/null true 2>/dev/null || skip "strace cannot be used here"
    random 5000 image.raw
    for errnum in EINVAL EOPNOTSUPP EROFS; do
        inject fsync:error=$errnum -- create -q -i image.raw disk.addcow
        inject fsync:error=$errnum -- create -q -f -i image.raw disk.addcow
        addcow check -q disk.addcow
        rm disk.addcow
    done
    for errnum in EINVAL ENOSYS EPERM EINTR; do
        inject renameat2:error=$errnum -- create -q -i image.raw disk.addcow
        refused_run 1 "disk.addcow: File exists" inject renameat2:error=$errnum -- create -q -i image.raw disk.addcow
        addcow check -q disk.addcow
        rm disk.addcow
        # Without hard links either.
        inject renameat2:error=$errnum link:error=EPERM -- create -q -i image.raw disk.addcow
        addcow check -q disk.addcow
        rm disk.addcow
    done
    # Interruptions at each step.
    inject renameat2:error=ENOSYS link:error=EINTR:when=1 unlink:error=EINTR:when=1 fsync:error=EINTR:when=1 -- \
        create -q -i image.raw disk.addcow
    inject rename:error=EINTR:when=1 -- create -q -f -i image.raw disk.addcow
    rm strace.log
    nothing_made image.raw disk.addcow
}

@test "create --force that fails after the file was replaced says so (CRE-06)" {
    strace -qq -o /dev/null true 2>/dev/null || skip "strace cannot be used here"
    random 5000 image.raw
    addcow create -q -i image.raw disk.addcow
    refused_run 4 "was replaced, but a crash may bring the old file back: Input/output error (io, CRE-06)" \
        inject fsync:error=EIO -- create -q -f -c 4k -i image.raw disk.addcow
    [ "$(length disk.addcow)" -eq 8192 ]
    addcow check -q disk.addcow
    # Where nothing was replaced, nothing is left.
    refused_run 1 "(io)" inject fsync:error=EIO -- create -q -i image.raw new.addcow
    [ ! -e new.addcow ]
}

@test "create --force keeps mode and owner, and replaces what a symbolic link leads to (CRE-06)" {
    mkdir sub
    random 5000 image.raw
    cp image.raw sub/
    addcow create -q -i image.raw sub/disk.addcow
    chmod 640 sub/disk.addcow
    [ "$(id -u)" -ne 0 ] || chown 1234:2345 sub/disk.addcow
    before=$(stat -c '%a %u %g' sub/disk.addcow)
    ln -s sub/disk.addcow link.addcow
    addcow create -q -f -c 4k -i image.raw sub/disk.addcow
    [ "$(stat -c '%a %u %g %s' sub/disk.addcow)" = "$before 8192" ]
    addcow create -q -f -c 8k -i image.raw link.addcow
    [ -L link.addcow ]
    [ "$(stat -c '%a %u %g %s' sub/disk.addcow)" = "$before 16384" ]
    reads_as link.addcow image.raw
}

@test "--preallocation gives a new image its storage, and allocates no cluster" {
    random 1000000 base.raw
    for mode in off falloc full; do
        addcow create -q -b base.raw -i $mode.raw -s 9000000 --preallocation=$mode $mode.addcow
        [ "$(length $mode.raw)" -eq 9000000 ]
        addcow read $mode.addcow 0 1000000 | cmp - base.raw
        [ "$(info $mode.addcow "j['virtual-size']")" -eq 9000000 ]
        addcow check -q $mode.addcow
    done
    [ "$(stat -c %b off.raw)" -eq 0 ]
    [ "$(stat -c %b full.raw)" -ge $((9000000 / 512)) ]
    [ "$(stat -c %b falloc.raw)" -ge $((9000000 / 512)) ]
    # With a backing file and no size, and for a disk without a backing file.
    addcow create -q -b base.raw -i sized.raw --preallocation=full sized.addcow
    [ "$(stat -c %b sized.raw)" -ge $((1000000 / 512)) ]
    addcow create -q -i alone.raw -s 3M --preallocation=falloc alone.addcow
    [ "$(stat -c %b alone.raw)" -ge $((3 << 11)) ]
    addcow create -q -i none.raw -s 0 --preallocation=full none.addcow
}

@test "--preallocation: what is refused" {
    random 100000 base.raw
    : >old.raw
    refused 1 "old.raw: exists, and only a new image is preallocated" \
        create -b base.raw -i old.raw --preallocation=full disk.addcow
    refused 2 "invalid value 'metadata' for option '--preallocation'" \
        create -i new.raw -s 1M --preallocation=metadata disk.addcow
    [ ! -e disk.addcow ] && [ ! -e new.raw ]
}
