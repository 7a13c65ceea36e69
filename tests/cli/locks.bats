#!/usr/bin/env bats
# shellcheck disable=SC2154 # what common.bash defines
# Who else has the files open: other disks on the same image or backing file, and QEMU, both ways (LCK-05, LCK-06).

load common

setup() {
    mkdir "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work" || return
    random 4M base.raw
    addcow create -q -b base.raw -s 4M -i disk.raw disk.addcow
    addcow create -q -b base.raw -s 4M -i other.raw other.addcow
    printf x | addcow write -q disk.addcow 0
}

need_qemu() {
    command -v qemu-io >/dev/null || skip "qemu-utils is not installed"
}

# qemu_holds ARGUMENT...: a qemu-io in the background that has its file open until descriptor 6 is closed.
qemu_holds() {
    mkfifo orders answers
    qemu-io "$@" <orders >answers 2>&1 &
    exec 6>orders 7<answers
    echo 'length' >&6
    local line
    while read -r -t 20 line <&7; do
        [[ "$line" != *iB* ]] || return 0
    done
    return 1
}

qemu_ends() {
    exec 6>&- 7<&-
    wait
    rm orders answers
}

# qemu_refused COMMAND...: a program of QEMU that does not get the lock of its file.
qemu_refused() {
    run "$@"
    echo "$output"
    [[ "$output" == *"lock"* ]]
}

# stops_at_its_first_write ARGUMENT...: the command, in the background, until goes_on.
stops_at_its_first_write() {
    strace -qq -o /dev/null true 2>/dev/null || skip "strace cannot be used here"
    ASAN_OPTIONS=detect_leaks=0 strace -qq -o strace.log -e trace=pwrite64 -e inject=pwrite64:signal=STOP:when=1 \
        "$addcow" "$@" &
    tracer=$!
    until grep -q 'stopped by SIGSTOP' strace.log 2>/dev/null; do
        kill -0 "$tracer"
        sleep 0.05
    done
}

goes_on() {
    kill -CONT "$(pgrep -P "$tracer")"
    wait "$tracer"
}

@test "a copy of the metadata file does not make a second writer, nor a reader beside one (LCK-05)" {
    cp disk.addcow copy.addcow
    head -c 1M base.raw >data
    hold disk.addcow data
    refused 1 "disk.raw: is in use elsewhere: Resource temporarily unavailable (busy, LCK-05)" write copy.addcow 0
    for command in info check map read "check --repair"; do
        # shellcheck disable=SC2086 # several words
        refused 1 "busy, LCK-05" $command copy.addcow
    done
    refused 1 "busy" create -f -i disk.raw new.addcow
    exec 5>&-
    wait
    addcow check -q copy.addcow
}

@test "commit is refused while another disk uses the raw backing file (LCK-05, CMT-02)" {
    sha256sum base.raw >before
    head -c 1M base.raw >data
    hold other.addcow data
    refused 1 "base.raw: is in use elsewhere: Resource temporarily unavailable (busy, LCK-05)" commit disk.addcow
    sha256sum -c --quiet before
    [ "$(info disk.addcow 'j["virtual-size"]')" = 4194304 ]
    exec 5>&-
    wait
    addcow commit -q disk.addcow
    [ "$(head -c 1 base.raw)" = x ]
}

@test "QEMU that writes to the image keeps everybody away (LCK-06)" {
    need_qemu
    qemu_holds -f raw disk.raw
    for command in info check map read "zero disk.addcow 0"; do
        # shellcheck disable=SC2086 # several words
        set -- $command
        refused 1 "disk.raw: is in use elsewhere" "$1" disk.addcow ${3:+"$3" 1}
    done
    qemu_ends
    addcow zero disk.addcow 0 1
}

@test "QEMU that reads the image keeps a writer away, and no reader (LCK-06)" {
    need_qemu
    qemu_holds -r -f raw disk.raw
    refused 1 "busy, LCK-05" zero disk.addcow 0 1
    addcow read disk.addcow 0 1 | cmp - <(printf x)
    addcow check -q disk.addcow
    qemu_ends
    addcow zero disk.addcow 0 1
}

@test "QEMU that writes to the backing file keeps its overlays away (LCK-06)" {
    need_qemu
    qemu_holds -f raw base.raw
    refused 1 "base.raw: is in use elsewhere" read disk.addcow 0 1
    refused 1 "base.raw: is in use elsewhere" zero disk.addcow 0 1
    refused 1 "base.raw: is in use elsewhere" create -b base.raw -s 4M -i third.raw third.addcow
    [ ! -e third.addcow ] && [ ! -e third.raw ]
    qemu_ends
    addcow zero disk.addcow 0 1
}

@test "a raw file that others write to is not compared or measured, unless -U is given (LCK-05, LCK-07)" {
    need_qemu
    random 1M raw
    qemu_holds -f raw raw
    refused 2 "raw: is in use elsewhere (busy, LCK-05)" compare -f raw -F raw raw base.raw
    refused 2 "raw: is in use elsewhere (busy, LCK-05)" compare -F raw disk.addcow raw
    refused 1 "raw: is in use elsewhere (busy, LCK-05)" measure -f raw raw
    addcow measure -U -f raw raw >/dev/null
    run addcow compare -U -q -f raw -F raw raw base.raw
    [ "$status" -eq 1 ]
    qemu_ends
    addcow measure -f raw raw >/dev/null
}

@test "write -i locks a raw file as one that is read, and no disk gets its own files as input (LCK-05)" {
    need_qemu
    random 1M raw
    cp disk.raw before
    qemu_holds -f raw raw
    refused 1 "raw: is in use elsewhere (busy, LCK-05)" write -i raw disk.addcow
    cmp disk.raw before
    addcow write disk.addcow 5 <raw # standard input is whatever the shell has opened
    qemu_ends
    addcow read disk.addcow >before
    refused 1 "is in use elsewhere" write -i disk.raw disk.addcow
    refused 1 "is in use elsewhere" write -i disk.addcow disk.addcow 1M
    addcow read disk.addcow | cmp - before
    addcow write -i base.raw disk.addcow # others may read it, too
    addcow read disk.addcow | cmp - base.raw
    # QEMU is kept away while the file is read.
    stops_at_its_first_write write -i raw disk.addcow
    qemu_refused qemu-io -f raw -c 'write 0 512' raw
    goes_on
    qemu-io -f raw -c 'write 0 512' raw >/dev/null
}

@test "rebase keeps writers away from the new backing file while it compares (LCK-05, RBS-02)" {
    need_qemu
    random 4M new.raw
    stops_at_its_first_write rebase -q -b new.raw disk.addcow # when it has compared some
    qemu_refused qemu-io -f raw -c 'write 0 512' new.raw
    goes_on
    qemu-io -f raw -c 'read 0 512' new.raw >/dev/null
    [ "$(info disk.addcow "j['backing-filename']")" = new.raw ]
}

@test "QEMU with an overlay on the backing file lets disks be written, but no commit (LCK-06)" {
    need_qemu
    qemu-img create -q -f qcow2 -b base.raw -F raw disk.qcow2
    sha256sum base.raw >before
    qemu_holds -f qcow2 disk.qcow2
    printf y | addcow write -q disk.addcow 0
    refused 1 "base.raw: is in use elsewhere" commit disk.addcow
    sha256sum -c --quiet before
    qemu_ends
    addcow commit -q disk.addcow
    [ "$(head -c 1 base.raw)" = y ]
}

@test "QEMU gets no lock on the image of a disk that is open for writing, nor writes to its backing file (LCK-06)" {
    need_qemu
    head -c 1M base.raw >data
    hold disk.addcow data
    qemu_refused qemu-io -f raw -c 'write 0 512' disk.raw
    qemu_refused qemu-io -r -f raw -c 'read 0 512' disk.raw
    qemu_refused qemu-img resize -f raw disk.raw 8M
    qemu_refused qemu-io -f raw -c 'write 0 512' base.raw
    qemu-io -r -f raw -c 'read 0 512' base.raw
    [ "$(length disk.raw)" = 4194304 ]
    exec 5>&-
    wait
    qemu-io -f raw -c 'write 0 512' disk.raw
}

@test "QEMU can read, and not write, the image of a disk that is open for reading (LCK-06)" {
    need_qemu
    mkfifo pipe
    addcow read disk.addcow >pipe &
    exec 5<pipe
    head -c 1 <&5 >/dev/null # the command is open by now, and the pipe does not hold all that it reads
    qemu_refused qemu-io -f raw -c 'write 0 512' disk.raw
    qemu_refused qemu-img resize -f raw disk.raw 8M
    qemu-io -r -f raw -c 'read 0 512' disk.raw
    qemu-img info -f raw disk.raw
    qemu_refused qemu-io -f raw -c 'write 0 512' base.raw
    cat <&5 >/dev/null
    exec 5<&-
    wait
}

@test "-U shows a disk that is in use, and repairs none (LCK-07)" {
    random 1M data
    hold disk.addcow data
    refused 2 "busy" compare disk.addcow disk.addcow
    addcow compare -U disk.addcow disk.addcow >/dev/null
    for command in info check map read measure; do
        refused 1 "busy" $command disk.addcow
        addcow $command -U disk.addcow >/dev/null
        addcow $command --force-share disk.addcow >/dev/null
    done
    refused 2 "-U and --repair exclude each other" check -U --repair disk.addcow
    refused 2 "does not apply" zero -U disk.addcow 0 1
    exec 5>&-
    wait
}

@test "--lock-wait waits for a file that is in use, and not longer than that" {
    random 1M data
    hold disk.addcow data
    local start=$SECONDS
    refused 1 "busy, LCK-02" zero --lock-wait=2 disk.addcow 0 1
    [ $((SECONDS - start)) -ge 1 ]
    (sleep 1 && exec 5>&-) &
    addcow zero --lock-wait 60 disk.addcow 0 1 5>&- &
    local waiting=$!
    sleep 0.3
    exec 5>&-
    wait "$waiting"
    # The same of an image that another disk has.
    cp other.addcow copy.addcow
    rm input
    hold other.addcow data
    refused 1 "busy, LCK-05" zero --lock-wait=1 copy.addcow 0 1
    (sleep 1 && exec 5>&-) &
    addcow zero --lock-wait 60 copy.addcow 0 1 5>&- &
    waiting=$!
    sleep 0.3
    exec 5>&-
    wait "$waiting"
    for value in x -1 1.5 1234567 ""; do
        refused 2 "invalid value '$value' for option '--lock-wait'" info "--lock-wait=$value" disk.addcow
    done
}

@test "a file system without locks is named, and --without-locks goes on there (LCK-07)" {
    command -v strace >/dev/null || skip "strace is not installed"
    for reason in ENOLCK ENOSYS EOPNOTSUPP; do
        # A leak checker does not work under strace.
        ASAN_OPTIONS=detect_leaks=0 run strace -qq -o trace -e trace=fcntl -e "inject=fcntl:error=$reason" \
            "$addcow" zero disk.addcow 0 1
        [ "$status" -eq 1 ]
        [[ "$output" == *"its file system has no locks: "*"(io, LCK-07); --without-locks goes on"* ]]
        ASAN_OPTIONS=detect_leaks=0 strace -qq -o trace -e trace=fcntl -e "inject=fcntl:error=$reason" \
            "$addcow" zero --without-locks disk.addcow 0 1
    done
    random 1M data
    hold disk.addcow data
    refused 1 "busy" zero --without-locks disk.addcow 0 1
    exec 5>&-
    wait
}

@test "an image that another program made longer is refused with the length that the metadata covers (BMP-03)" {
    addcow create -q -c 4k -s 128M -i small.raw -b base.raw small.addcow
    truncate -s 200M small.raw
    refused 1 "it covers images of up to 134217728 bytes, and the image has 209715200 (malformed, BMP-03); if another" \
        info small.addcow
    truncate -s 128M small.raw
    addcow check -q small.addcow
    addcow resize -q small.addcow 200M
}

@test "commit --grow-backing: a backing file that is in use keeps its length (LCK-05)" {
    need_qemu
    truncate -s 1M base.raw
    cp base.raw before
    qemu_holds -f raw base.raw
    refused 1 "base.raw: is in use elsewhere (busy, LCK-05)" commit --grow-backing disk.addcow
    qemu_ends
    random 1M data
    hold other.addcow data
    refused 1 "base.raw: is in use elsewhere (busy, LCK-05)" commit --grow-backing disk.addcow
    exec 5>&-
    wait
    cmp base.raw before
    addcow read disk.addcow >model
    addcow commit -q --grow-backing disk.addcow
    addcow read disk.addcow | cmp - model
}
