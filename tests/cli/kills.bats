#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # another shell expands it; tests are subshells; common.bash defines
# Some commands killed at each call that changes a file, and where storage ends: the small form of `make check-kills`.

load common

kills=$BATS_TEST_DIRNAME/../kills
some="create,write,resize --shrink,stream,commit --base,rebase,check --repair (flag)"

# judged PROGRAM ARGUMENT...: it finds no disk that is neither as before nor as after.
judged() {
    local command
    command=$(realpath "$addcow")
    mkdir -p empty
    (cd empty && ADDCOW=$command PYTHONDONTWRITEBYTECODE=1 "$kills/$1" "${@:2}")
}

# misbehave SHELL: the command does this first, with its arguments.
misbehave() {
    printf '#!/bin/sh\n%s\nexec "$RIGHT" "$@"\n' "$1" >wrong
    chmod +x wrong
    export RIGHT
    RIGHT=$(realpath "$addcow")
    addcow=./wrong
}

@test "killed at each call that changes a file: before or after, and it can be repeated (DUR-11, RBS-03, RBS-04)" {
    strace -qq -o /dev/null true 2>/dev/null || skip "strace cannot be used here"
    judged kills.py --changes --only="$some,write -i,write --detect-zeroes,device: stream"
}

@test "each call fails once, or is interrupted: before or after, and it can be repeated (ERR-01, ERR-02, ERR-04)" {
    strace -qq -o /dev/null true 2>/dev/null || skip "strace cannot be used here"
    judged kills.py --faults --only="create (wrap),write -i,commit --grow-backing,rebase -u"
}

@test "a device that is neither as before nor as after is found" {
    strace -qq -o /dev/null true 2>/dev/null || skip "strace cannot be used here"
    # The command changes a byte of the device that nothing asks it to change.
    misbehave '[ "$1" != zero ] || printf x | dd of=disk.raw bs=1 seek=100 conv=notrunc status=none'
    run judged kills.py --changes --only="device: zero"
    echo "$output"
    [[ "$output" != *"not run: block devices"* ]] || skip "no loop device can be made"
    [ "$status" -eq 1 ] && [[ "$output" == *"kills: device: zero: killed before "* ]]
}

@test "where files cannot become longer: before or after, and it can be repeated (ERR-02, RSZ-07)" {
    judged limits.py length --only="$some"
}

@test "a full file system: before or after, and it can be repeated (ERR-02, ERR-05, RSZ-07)" {
    small_filesystem 64M
    (cd small && judged limits.py tmpfs --only="$some")
}

@test "a disk that is neither as before nor as after is found" {
    # The command leaves a file behind, which stands for anything wrong.
    misbehave '[ "$1" != stream ] || : >left'
    run judged limits.py length --only=stream
    echo "$output"
    [ "$status" -eq 1 ] && [[ "$output" == *"stream: with room for 0 bytes: left is left behind" ]]
    strace -qq -o /dev/null true 2>/dev/null || skip "strace cannot be used here"
    run judged kills.py --faults --only=stream
    echo "$output"
    [ "$status" -eq 1 ] && [[ "$output" == *"stream: EIO from "*": left is left behind" ]]
}
