#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2154,SC2317 # each test is a subshell, what common.bash defines, what `run` calls
# Failing system calls and signals under the command itself. strace makes a call fail, or delivers a signal at it.

load common

# A disk of 3 MB, of which some is allocated, over a base of the same size; and the file `model` that it equals.
traced_overlay() {
    strace -qq -o /dev/null true 2>/dev/null || skip "strace cannot be used here"
    overlay 3000000 3000000
    overlay_write 100000 70000
}

# What inject starts the command with, if the signals that end it must not be ignored. Whatever starts these tests may
# ignore some, as nohup does, and a shell cannot change that back.
default_signals=()

# inject CALL WHAT ARGUMENT...: the command, with WHAT done to system calls of that name. A leak checker cannot run
# under strace.
inject() {
    local call=$1 what=$2
    shift 2
    ASAN_OPTIONS=detect_leaks=0 "${default_signals[@]}" strace -qq -y -o strace.log -e "trace=$call" \
        -e "inject=$call:$what" "$addcow" "$@"
}

# each_sync_fails MORE ARGUMENT...: whichever sync of the command fails, it says so and fails. `input` is its input.
# MORE is + if all later syncs fail too, or empty.
each_sync_fails() {
    local more=$1
    shift
    for ((at = 1; ; at++)); do
        cp --sparse=always image.raw image.copy
        cp disk.addcow disk.copy
        cp base.raw base.copy
        run --separate-stderr inject fdatasync "error=EIO:when=$at$more" "$@" <input
        echo "$*, sync $at: status $status, output '$output', error '$stderr'"
        if ! grep -q INJECTED strace.log; then
            break
        fi
        [ "$status" -eq 1 ] && [ -z "$output" ] && [[ "$stderr" == *"sync "*"failed: Input/output error"* ]]
        [ "${#stderr_lines[@]}" -eq 1 ]
        mv image.copy image.raw
        mv disk.copy disk.addcow
        mv base.copy base.raw
    done
    [ "$status" -eq 0 ] && [ "$at" -gt 2 ]
}

@test "a sync that fails is reported, whichever it is, also that of closing (ERR-01, DUR-10)" {
    traced_overlay
    random 1000 input
    # Two syncs of opening, and then at least one of closing.
    each_sync_fails '' write disk.addcow 2000000
    each_sync_fails '' zero disk.addcow 500000 70000
    each_sync_fails '' discard disk.addcow 900000 70000
    each_sync_fails '' resize -q disk.addcow 4000000
    # A shrink has happened when its image is cut. Closing tries again what failed after that.
    each_sync_fails + resize -q --shrink disk.addcow 3000000
    each_sync_fails '' commit -q disk.addcow
    each_sync_fails '' stream -q disk.addcow
}

@test "read: the output is synced, and a failing sync or close is an error" {
    traced_overlay
    for call in fdatasync fsync; do # of the data, and of the name
        run --separate-stderr inject $call error=EIO read -o out disk.addcow
        [ "$status" -eq 1 ] && [[ "$stderr" == "addcow: out: Input/output error" ]]
        [ ! -e out ]
    done
    grep -q "fsync([0-9]*<$PWD>)" strace.log
    read_out() { inject "$1" "$2" read disk.addcow >out; }
    run --separate-stderr read_out fsync error=EIO
    [ "$status" -eq 1 ] && [[ "$stderr" == "addcow: standard output: Input/output error" ]]
    grep -q 'fsync(1<.*/out>' strace.log
    # What cannot be synced has arrived all the same.
    for errnum in EINVAL EROFS EOPNOTSUPP; do
        for call in fdatasync fsync; do
            rm -f out
            inject $call "error=$errnum" read -o out disk.addcow
            cmp out model
        done
        read_out fsync "error=$errnum"
        cmp out model
    done
    # An interruption is no failure.
    for call in fdatasync fsync; do
        rm out
        inject $call error=EINTR:when=1..2 read -o out disk.addcow
        cmp out model
    done
    # To a pipe and to a device.
    addcow read disk.addcow | cmp - model
    addcow read disk.addcow >/dev/null
    addcow read -o /dev/null disk.addcow
}

@test "read: an output that cannot be closed is an error" {
    traced_overlay
    closing() {
        ASAN_OPTIONS=detect_leaks=0 strace -qq -o strace.log -P "$PWD/out" -e trace=close,fdatasync \
            -e inject=close:error=ENOSPC "$addcow" "$@"
    }
    run --separate-stderr closing read -o out disk.addcow
    [ "$status" -eq 1 ] && [ "$stderr" = "addcow: out: No space left on device" ]
    [ ! -e out ]
    closing_output() { closing read disk.addcow >out; }
    : >out
    run --separate-stderr closing_output
    [ "$status" -eq 1 ] && [ "$stderr" = "addcow: standard output: No space left on device" ]
}

@test "write: what it says about a part that was written is true" {
    traced_overlay
    truncate -s 20M base.raw
    addcow create -q -c 1M -b base.raw -i big.raw --size 20M big.addcow
    random 20M input
    for when in 1 2 5; do
        addcow create -q -f -c 1M --hide-image-data -b base.raw -i big.raw big.addcow
        addcow read big.addcow >before
        run --separate-stderr inject pwrite64 "error=ENOSPC:when=$when" write -i input big.addcow
        [ "$status" -eq 1 ]
        echo "write $when: $stderr"
        [[ "$stderr" =~ "(nospace, ERR-05); at least the first "([0-9]+)" and at most "([0-9]+)" bytes were written" ]]
        least=${BASH_REMATCH[1]}
        most=${BASH_REMATCH[2]}
        [ "$least" -lt "$most" ]
        addcow read big.addcow >after
        cmp -n "$least" after input
        cmp -i "$most" after before
    done
    # The flush that makes it durable fails: then that is not known either.
    two_faults() {
        ASAN_OPTIONS=detect_leaks=0 strace -qq -o strace.log -e trace=pwrite64,fdatasync \
            -e inject=pwrite64:error=EIO:when=2+ -e inject=fdatasync:error=EIO:when=3+ \
            "$addcow" write -i input big.addcow
    }
    run --separate-stderr two_faults
    echo "status $status, error '$stderr'"
    [ "$status" -eq 1 ] && [[ "$stderr" == *"; at most the first "*" bytes were written, and may not last" ]]
    # Input that goes too far, or fails, leaves an exact number.
    too_far() { addcow write big.addcow 19M < <(cat data input); }
    refused_run 1 "; the first 1048576 bytes were written" too_far
    unreadable() {
        ASAN_OPTIONS=detect_leaks=0 strace -qq -o strace.log -P "$PWD/input" -e trace=pread64 \
            -e inject=pread64:error=EIO:when=2+ "$addcow" write -i input big.addcow
    }
    run --separate-stderr unreadable
    echo "status $status, error '$stderr'"
    [ "$status" -eq 1 ]
    [ "$stderr" = "addcow: input: Input/output error (io); the first 4194304 bytes were written" ]
}

# ends_by SIGNAL CALL:WHEN ARGUMENT...: the signal arrives at that system call, and the command dies of it.
ends_by() {
    local signal=$1 at=$2 default_signals=(env '--default-signal=INT,TERM,HUP')
    shift 2
    run --separate-stderr inject "${at%:*}" "signal=$signal:when=${at#*:}" "$@"
    echo "status $status, output '$output', error '$stderr'"
    [ "$status" -eq $((128 + $(kill -l "$signal"))) ]
}

@test "stream and commit: they die of the signal that stopped them, and can be repeated (STR-03)" {
    traced_overlay
    for signal in INT TERM HUP; do
        ends_by $signal pwrite64:2 stream disk.addcow
        [ "$stderr" = "addcow: disk.addcow: interrupted; no data is lost, and the command can be repeated" ]
        reads_as disk.addcow model
        ends_by $signal pwrite64:1 commit disk.addcow
        reads_as disk.addcow model
        addcow check -q disk.addcow
    done
    # At the end, when there is nothing to stop any more: the work is done.
    ends_by INT fdatasync:3 stream disk.addcow
    addcow stream -q disk.addcow
    cmp image.raw model
}

@test "a loop of the shell ends when a command in it is interrupted" {
    traced_overlay
    cat >loop <<'END'
for i in 1 2 3; do
    strace -qq -o strace.log -e trace=pwrite64 -e inject=pwrite64:signal=INT:when=2 "$1" stream disk.addcow 2>/dev/null
    echo "went on"
done
END
    ASAN_OPTIONS=detect_leaks=0 run env --default-signal=INT bash -i ./loop "$addcow"
    [[ "$output" != *"went on"*"went on"* ]]
    reads_as disk.addcow model
}

@test "a signal that is ignored stays ignored" {
    traced_overlay
    (
        trap '' HUP INT
        inject pwrite64 signal=HUP:when=1 stream -q disk.addcow
    )
    cmp image.raw model
}

@test "SIGUSR1 shows progress and never kills" {
    traced_overlay
    random 1000 input
    run --separate-stderr inject pwrite64 signal=USR1:when=2 stream -q disk.addcow
    echo "status $status, error '$stderr'"
    [ "$status" -eq 0 ] && [[ "$stderr" =~ ^\ *"("[0-9.]+"/100%)"$ ]]
    for arguments in "write disk.addcow" "zero disk.addcow 1 2" "discard disk.addcow 1 2" "commit -q disk.addcow" \
        "resize -q disk.addcow 4M"; do
        # shellcheck disable=SC2086 # a list of words
        inject fdatasync signal=USR1:when=1 $arguments <input
    done
    for arguments in "info disk.addcow" "check disk.addcow" "map disk.addcow" "read disk.addcow" \
        "create -i new.raw -s 1M new.addcow"; do
        # shellcheck disable=SC2086 # a list of words
        inject fcntl signal=USR1:when=1+ $arguments >/dev/null
    done
    run --separate-stderr inject pwrite64 signal=USR1:when=1 read -o out disk.addcow
    [ "$status" -eq 0 ] && [[ "$stderr" =~ ^\ *"("[0-9.]+"/100%)"$ ]]
}

@test "read: a signal leaves no part of the output" {
    traced_overlay
    for signal in INT TERM HUP; do
        for at in pread64:5 pwrite64:1 openat:3 fdatasync:1 fsync:1; do
            ends_by $signal $at read -o out disk.addcow
            [ ! -e out ] || cmp out model
            rm -f out
        done
    done
    ends_by TERM write:1 read disk.addcow
}

@test "create: a signal leaves nothing, or a whole disk" {
    traced_overlay
    rm disk.addcow
    mkdir keep
    cp image.raw keep/image.raw
    cd keep
    cp ../base.raw .
    for signal in INT TERM HUP; do
        for at in pwrite64:1 fdatasync:1 fdatasync:2 ftruncate:1 ftruncate:2; do
            ends_by $signal $at create -q -b base.raw -i new.raw --size 3000000 disk.addcow
            if [ -e disk.addcow ]; then
                reads_as disk.addcow base.raw
                rm disk.addcow new.raw
            else
                [[ "$stderr" == "addcow: disk.addcow: interrupted; nothing was made" ]]
            fi
            rm strace.log
            [ "$(find . -type f | sort | tr '\n' ' ')" = "./base.raw ./image.raw " ]
        done
    done
    ends_by INT pread64:2 create -q -b base.raw -i image.raw disk.addcow
    rm strace.log
    [ "$(find . -type f | sort | tr '\n' ' ')" = "./base.raw ./image.raw " ]
}

@test "create: any number of files that crashes left behind is no obstacle" {
    random 5000 image.raw
    for ((i = 0; i < 1500; i++)); do
        : >".addcow-create-$i"
    done
    addcow create -q -i image.raw disk.addcow
    addcow check -q disk.addcow
    [ "$(find . -name '.addcow-create-*' | wc -l)" -eq 1500 ]
}

@test "holes that are refused, for whatever reason, are written instead" {
    for errnum in EINVAL ENOTTY EPERM ENODEV EOPNOTSUPP ENOSPC ENOSYS ETXTBSY; do
        rm -f disk.addcow image.raw
        traced_overlay
        inject fallocate error=$errnum zero disk.addcow 50000 100000
        inject fallocate error=$errnum discard disk.addcow 150000 10000
        head -c 110000 /dev/zero | dd of=model bs=64k seek=50000 oflag=seek_bytes conv=notrunc status=none
        reads_as disk.addcow model
        inject fallocate error=$errnum commit -q disk.addcow
        cmp base.raw model
        reads_as disk.addcow model
        inject fallocate error=$errnum resize -q disk.addcow 4M
        truncate -s 4M model
        reads_as disk.addcow model
        inject fallocate error=$errnum stream -q disk.addcow
        cmp image.raw model
    done
}

@test "where nothing can be punched, holes stay holes nevertheless" {
    traced_overlay
    truncate -s 64M sparse
    poke sparse 60000000 '\x5a'
    addcow create -q -b base.raw -i large.raw --size 64M large.addcow
    inject fallocate error=EOPNOTSUPP write -i sparse large.addcow
    reads_as large.addcow sparse
    [ "$(stat -c %b large.raw)" -le 1000 ]
    inject fallocate error=EOPNOTSUPP zero large.addcow 0 64M
    [ "$(stat -c %b large.raw)" -le 1000 ]
    # What cannot be freed stays.
    truncate -s 64M base.raw
    inject fallocate error=EOPNOTSUPP commit -q large.addcow
    [ "$(stat -c %b large.raw)" -gt 0 ]
    addcow read large.addcow | cmp -n 67108864 - /dev/zero
}

@test "create --preallocation: what the file system refuses is written, and a full one leaves nothing (ERR-05)" {
    traced_overlay
    for errnum in EOPNOTSUPP ENOSYS EINVAL EPERM; do
        inject fallocate error=$errnum create -q -i new.raw -s 3000001 --preallocation=falloc new.addcow
        grep -q INJECTED strace.log
        [ "$(stat -c %b new.raw)" -ge $((3000001 / 512)) ]
        addcow check -q new.addcow
        rm new.raw new.addcow
    done
    inject fallocate error=EINTR:when=1..2 create -q -i new.raw -s 3M --preallocation=falloc new.addcow
    rm new.raw new.addcow
    refused_run 1 "new.raw: reserving storage" inject fallocate error=ENOSPC \
        create -i new.raw -s 3M --preallocation=falloc new.addcow
    refused_run 1 "No space left on device" inject pwrite64 error=ENOSPC:when=2 \
        create -i new.raw -s 3M --preallocation=full new.addcow
    refused_run 1 "reserving storage" inject fallocate error=EIO \
        create -i new.raw -s 3M --preallocation=falloc new.addcow
    [ ! -e new.raw ] && [ ! -e new.addcow ] && [ -z "$(find . -name '.addcow-*')" ]
}

@test "commit --grow-backing: a backing file that cannot be made longer (ERR-05)" {
    traced_overlay
    truncate -s 1000000 base.raw
    truncate -s 1000000 model
    truncate -s 3000000 model
    refused_run 1 "base.raw: cannot be made longer: File too large" \
        inject ftruncate error=EFBIG commit --grow-backing disk.addcow
    [ "$(length base.raw)" -eq 1000000 ]
    refused_run 1 "base.raw: cannot be made longer: Input/output error" \
        inject fdatasync error=EIO:when=1 commit --grow-backing disk.addcow
    reads_as disk.addcow model
    addcow check -q disk.addcow
    addcow commit -q --grow-backing disk.addcow
    reads_as disk.addcow model
}
