#!/usr/bin/env bats
# shellcheck disable=SC2154 # what common.bash defines
# addcow nbd: runs nbdkit with the plugin.

load common

@test "with COMMAND: serves as long as it runs, and ends with its status" {
    make_disk
    # shellcheck disable=SC2016 # the inner shell expands it
    addcow nbd disk.addcow -- sh -c 'nbdcopy "$uri" copy && printf "%s" "$0" >word; exit 7' "it's \"a word\"; \$x" ||
        status=$?
    [ "$status" -eq 7 ]
    cmp copy expected
    [ "$(cat word)" = "it's \"a word\"; \$x" ]
    # shellcheck disable=SC2016
    addcow nbd --socket=here disk.addcow -- sh -c 'echo "$uri"; test -S here' >uri
    [ "$(cat uri)" = "nbd+unix://?socket=${PWD// /%20}/here" ]
    is_as_expected
}

@test "without COMMAND: serves on a socket until a signal, and writes are kept" {
    make_disk
    "$addcow" nbd --socket=socket disk.addcow 3>&- 2>>log &
    # shellcheck disable=SC2034 # stop uses it
    server=$!
    for _ in $(seq 500); do
        [ ! -S socket ] || break
        sleep 0.02
    done
    uri="nbd+unix:///?socket=${PWD// /%20}/socket"
    nbdsh -u "$uri" -c 'h.pwrite(b"written", 77)'
    stop
    printf written | dd of=expected bs=1 seek=77 conv=notrunc status=none
    is_as_expected
}

@test "--port listens on this machine only; --read-only; --stream" {
    make_disk
    port=$((20000 + RANDOM % 10000))
    # shellcheck disable=SC2016 # the inner shell expands it
    addcow nbd --port=$port -r disk.addcow -- sh -c 'nbdinfo --is read-only nbd://localhost:$0 &&
        grep -il "$(printf " 0100007F:%04X 00000000:0000 0A" $0)" /proc/net/tcp &&
        ! grep -i "$(printf " 00000000:%04X 00000000:0000 0A" $0)" /proc/net/tcp' $port
    # shellcheck disable=SC2016
    addcow nbd --stream disk.addcow -- sh -c 'nbdcopy "$uri" copy; sleep 0.5' 2>log
    cmp copy expected
    grep -q "stream: 100 %" log
    is_as_expected
    cmp disk.raw expected
}

@test "a file system without locks is named, and --without-locks goes on there (LCK-07)" {
    make_disk
    cat >no_locks.c <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
int fcntl64(int descriptor, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (command == F_OFD_SETLK || command == F_OFD_GETLK) {
        errno = ENOLCK;
        return -1;
    }
    return ((int (*)(int, int, ...))dlsym(RTLD_NEXT, "fcntl64"))(descriptor, command, argument);
}
END
    gcc -shared -fPIC -o no_locks.so no_locks.c
    export LD_PRELOAD=$PWD/no_locks.so
    refused_run 1 "its file system has no locks" "$addcow" nbd disk.addcow -- true
    run nbdkit -U - "$plugin" disk.addcow --run true
    [ "$status" -ne 0 ]
    [[ "$output" == *"its file system has no locks"* ]]
    # shellcheck disable=SC2016 # the inner shell expands it
    addcow nbd --without-locks disk.addcow -- sh -c 'nbdcopy "$uri" copy'
    unset LD_PRELOAD
    cmp copy expected
    # It does not go on where there are locks, and somebody else has one.
    hold disk.addcow noise
    run nbdkit -U - "$plugin" disk.addcow without-locks=true --run true
    exec 5>&-
    wait
    echo "$output"
    [ "$status" -ne 0 ]
    [[ "$output" == *"is in use elsewhere"*"busy"* ]]
}

@test "--direct and direct=true: past the cache, or refused where that cannot be" {
    make_disk
    # shellcheck disable=SC2016 # the inner shell expands it
    addcow nbd --direct disk.addcow -- sh -c 'nbdcopy "$uri" copy'
    cmp copy expected
    mkdir small
    mount -t ramfs ramfs small 2>/dev/null || skip "no permission to mount a file system"
    cp --sparse=always ./*.addcow ./*.raw small
    refused_run 1 "without the cache of the system" "$addcow" nbd --direct small/disk.addcow -- true
    run nbdkit -U - "$plugin" small/disk.addcow direct=true --run true
    [ "$status" -ne 0 ]
    [[ "$output" == *"without the cache of the system"* ]]
}

@test "wrong usage and wrong disks, before nbdkit is started" {
    make_disk
    refused 2 "too few operands" nbd
    refused 2 "too few operands" nbd -- true
    refused 2 "too many operands: 'true'" nbd disk.addcow true
    refused 2 "--socket and --port exclude each other" nbd --socket=s --port=1 disk.addcow
    refused 2 "--read-only and --stream exclude each other" nbd -r --stream disk.addcow
    for port in 0 65536 x 1x ''; do
        refused 2 "invalid value '$port' for option '--port'" nbd --port="$port" disk.addcow
    done
    refused 1 "nothing.addcow: cannot open for writing: No such file" nbd nothing.addcow
    touch taken
    refused 1 "taken: exists; remove it if no server uses it" nbd --socket=taken disk.addcow
    refused_run 1 "nbdkit is not installed" env PATH=/nowhere "$addcow" nbd disk.addcow
    hold disk.addcow noise
    refused 1 "is in use elsewhere: Resource temporarily unavailable (busy, LCK-02)" nbd disk.addcow -- true
    exec 5>&-
    wait
    addcow check disk.addcow
}
