#!/usr/bin/env bats
# `make install`: a user's program must compile and run against what was installed, statically and shared, and
# find nothing but the documented names in it.

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return
    export STAGE="$BATS_FILE_TMPDIR/stage"
    # The library as users build it, not a variant for tests: what was said to the make above does not count.
    env -u MAKEFLAGS -u MAKEOVERRIDES -u SAN make CC=gcc install DESTDIR="$STAGE" PREFIX=/opt/addcow \
        >"$BATS_FILE_TMPDIR/log" 2>&1 || {
        cat "$BATS_FILE_TMPDIR/log" >&2
        return 1
    }
    export ROOT="$STAGE/opt/addcow"
    cat >"$BATS_FILE_TMPDIR/user.c" <<'END'
#include <addcow_fast.h>
#include <stdio.h>
int main(int argc, char **argv)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    struct addcow *disk;
    if (argc != 2 || addcow_open(argv[1], ADDCOW_OPEN_READONLY, NULL, &disk, &error) != ADDCOW_OK) {
        puts(error.message);
        return 1;
    }
    printf("%llu\n", (unsigned long long)addcow_size(disk));
    return addcow_close(disk, &error) == ADDCOW_OK ? 0 : 1;
}
END
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return
    "$ROOT/bin/addcow" create -q -i disk.raw --size 70000 disk.addcow
}

@test "the installed command runs" {
    run "$ROOT/bin/addcow" --version
    [ "$status" -eq 0 ]
    [ "$output" = "addcow $(PKG_CONFIG_PATH="$ROOT/lib/pkgconfig" pkg-config --modversion addcow)" ]
}

@test "a program links against the shared library through pkg-config" {
    flags=$(PKG_CONFIG_PATH="$ROOT/lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$STAGE" pkg-config --cflags --libs addcow)
    # shellcheck disable=SC2086 # a list of words
    gcc -o user "$BATS_FILE_TMPDIR/user.c" $flags
    run env LD_LIBRARY_PATH="$ROOT/lib" ./user disk.addcow
    [ "$status" -eq 0 ]
    [ "$output" = 70000 ]
}

@test "a program links against the static library" {
    gcc -o user -I"$ROOT/include/addcow" "$BATS_FILE_TMPDIR/user.c" "$ROOT/lib/libaddcow.a" -pthread
    run ./user disk.addcow
    [ "$status" -eq 0 ]
    [ "$output" = 70000 ]
}

@test "the example in README.md compiles without warnings, and reads what it wrote" {
    awk '/^## / { section = $0 }
         /^```/ { inside = section == "## Use it from C" && $0 == "```c"; next }
         inside' "$BATS_TEST_DIRNAME/../../README.md" >example.c
    [ -s example.c ]
    flags=$(PKG_CONFIG_PATH="$ROOT/lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$STAGE" pkg-config --cflags --libs addcow)
    # shellcheck disable=SC2086 # a list of words
    gcc -std=c11 -Wall -Wextra -Wpedantic -Werror -o example example.c $flags
    LD_LIBRARY_PATH="$ROOT/lib" run ./example
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$output" = hello ]
    [ "$("$ROOT/bin/addcow" read disk.addcow 0 5)" = hello ]
    rm disk.addcow
    LD_LIBRARY_PATH="$ROOT/lib" run ./example
    [ "$status" -eq 1 ]
    [[ "$output" == *disk.addcow*"No such file"* ]]
}

@test "every exported symbol is versioned and declared in a public header" {
    nm -D --defined-only "$ROOT/lib/libaddcow.so" | awk '$2 != "A" { print $3 }' >symbols
    [ -s symbols ]
    while read -r symbol; do
        [[ "$symbol" == addcow_*@@ADDCOW_0 ]]
        grep -q "\b${symbol%@@*}(" "$ROOT"/include/addcow/*.h
    done <symbols
}

@test "the static library defines no global name but the public ones" {
    nm -g --defined-only "$ROOT/lib/libaddcow.a" | awk 'NF == 3 { print $3 }' >symbols
    [ -s symbols ]
    while read -r symbol; do
        grep -q "\b$symbol(" "$ROOT"/include/addcow/*.h
    done <symbols
}

@test "both libraries export every function that the public headers declare" {
    grep -hoE '^[a-z][a-z0-9_ ]*[ *]addcow_[a-z_]+\(' "$ROOT"/include/addcow/*.h | grep -v '^typedef' |
        sed 's/.*[ *]\(addcow_[a-z_]*\)(/\1/' | sort -u >declared
    grep -qx addcow_status_name declared
    nm -D --defined-only "$ROOT/lib/libaddcow.so" | sed -n 's/.* T \(addcow_[a-z_]*\)@@.*/\1/p' | sort >shared
    nm -g --defined-only "$ROOT/lib/libaddcow.a" | sed -n 's/.* T //p' | sort >static
    diff declared shared
    diff declared static
}

@test "neither library contains the oracle" {
    for library in "$ROOT/lib/libaddcow.a" "$ROOT/lib/libaddcow.so"; do
        # Local names too. The engine is there, so an empty list is no success.
        nm "$library" >symbols
        grep -q ' addcow_open' symbols
        run grep addcow_ref_ symbols
        [ "$status" -eq 1 ]
    done
}

@test "each public header compiles alone, as C11 and as C++, and holds no contracts" {
    for header in "$ROOT"/include/addcow/*.h; do
        gcc -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -x c "$header"
        g++ -Wall -Wextra -Wpedantic -Werror -fsyntax-only -x c++ "$header"
        run grep -F '/*@' "$header"
        [ "$status" -eq 1 ]
    done
}

@test "a C++ program links against the static library" {
    g++ -o user -I"$ROOT/include/addcow" "$BATS_FILE_TMPDIR/user.c" "$ROOT/lib/libaddcow.a" -pthread
    run ./user disk.addcow
    [ "$status" -eq 0 ]
    [ "$output" = 70000 ]
}

@test "the man page is installed" {
    run man -l "$ROOT/share/man/man1/addcow.1"
    [ "$status" -eq 0 ]
}
