#!/usr/bin/env bats
# The library on systems that cannot be run here: it compiles against headers that declare what these systems have, and
# calls nothing else. tests/platforms has the headers, and which functions are called.

bats_require_minimum_version 1.5.0

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    cd "$root" || return
}

# compile SYSTEM: all sources of the library, with the warnings of the build.
compile() {
    local headers=tests/platforms source
    for source in fast/*.c ref/addcow_header*.c; do
        gcc -std=c11 -O1 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
            -Werror -ffreestanding -fno-pic -U__linux__ -nostdinc -isystem "$headers/$1" -isystem "$headers/posix" \
            -isystem "$(gcc -print-file-name=include)" -Iref -Ifast -c "$source" \
            -o "$BATS_TEST_TMPDIR/$(basename "$source" .c).o" || return
    done
}

# The functions outside the library that the objects call. __popcountdi2 is the compiler's.
called() {
    nm "$BATS_TEST_TMPDIR"/*.o | awk '
        NF == 2 && $1 == "U" { used[$2] }
        NF == 3 && $2 ~ /[TDRBC]/ { defined[$3] }
        END { for (name in used) if (!(name in defined) && name !~ /^__|^_GLOBAL/) print name }' | sort
}

listed() {
    sed -n "s/^\(all\|$1\): //p" tests/platforms/symbols.txt | tr ' ' '\n' | sort
}

check_system() {
    run compile "$1"
    echo "$output"
    [ "$status" -eq 0 ]
    diff <(listed "$1") <(called)
}

@test "the library needs only POSIX and flock" {
    check_system posix
}

@test "FreeBSD: holes by fspacectl" {
    check_system freebsd
}

@test "macOS: without fdatasync" {
    check_system macos
}

@test "the headers refuse what a system does not have" {
    printf '#include <fcntl.h>\n#include <unistd.h>\nint main(void) { return %s; }\n' \
        'fdatasync(0)' >"$BATS_TEST_TMPDIR/a.c"
    printf '#include <endian.h>\n' >"$BATS_TEST_TMPDIR/b.c"
    for source in a b; do
        run gcc -std=c11 -Werror -ffreestanding -nostdinc -isystem tests/platforms/macos \
            -isystem tests/platforms/posix -isystem "$(gcc -print-file-name=include)" -fsyntax-only \
            "$BATS_TEST_TMPDIR/$source.c"
        [ "$status" -ne 0 ]
    done
}
