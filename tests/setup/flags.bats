#!/usr/bin/env bats
# The user's flags and tools: they are used, what the build needs stays, and the libraries export the same names.

# shellcheck disable=SC2016 # what shells of make run is text here
bats_require_minimum_version 1.5.0

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || return
    build=$BATS_TEST_TMPDIR/build
}

# Each run of make is on its own, and builds elsewhere.
make() {
    env -u MAKEFLAGS -u MAKEOVERRIDES -u MFLAGS -u SAN -u CC -u CFLAGS make --no-print-directory "B=$build" "$@"
}

# The functions that the public headers declare, in order.
declared() {
    cat ref/addcow_format.h fast/addcow_{fast,storage,version}.h |
        grep -oE '^[a-z][a-z0-9_ ]*[ *]addcow_[a-z_]+\(' | grep -v '^typedef' | sed 's/.*[ *]\(addcow_[a-z_]*\)(/\1/' |
        sort
}

exports_what_is_declared() {
    declared >"$BATS_TEST_TMPDIR/declared"
    grep -qx addcow_open "$BATS_TEST_TMPDIR/declared"
    nm -D --defined-only "$build"/libaddcow.so.* | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort |
        diff "$BATS_TEST_TMPDIR/declared" -
    nm -g --defined-only "$build/install/libaddcow.a" | awk 'NF == 3 { print $3 }' | sort |
        diff "$BATS_TEST_TMPDIR/declared" -
}

# build_libraries VARIABLE=VALUE...: without a warning
build_libraries() {
    run make -s -j2 WERROR=-Werror libraries "$build/install/libaddcow.a" "$@"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" != *warning* ]]
}

# A program of another compiler, without link-time optimisation.
program_works() {
    local program=$BATS_TEST_TMPDIR/program
    printf '%s\n' '#include <addcow_fast.h>' '#include <stdio.h>' \
        'int main(void) { return puts(addcow_version()) < 0 || !addcow_posix_storage(); }' >"$program.c"
    gcc -Iref -Ifast -o "$program" "$program.c" "$build/install/libaddcow.a"
    [[ "$("$program")" == [0-9]*.[0-9]*.[0-9]* ]]
}

@test "both libraries export what the headers declare, with CFLAGS=-O0" {
    build_libraries CFLAGS=-O0 CPPFLAGS=-DUNUSED LDFLAGS=-Wl,-z,now
    exports_what_is_declared
    program_works
    readelf -d "$build"/libaddcow.so.* | grep -q 'NOW'
}

@test "both libraries export what the headers declare, with CFLAGS=-O3" {
    build_libraries CFLAGS=-O3
    exports_what_is_declared
    program_works
}

@test "both libraries export what the headers declare, with -O3 -flto of gcc" {
    build_libraries CFLAGS='-O3 -flto'
    exports_what_is_declared
    program_works
    run grep -a gnu.lto "$build/install/libaddcow.a"
    [ "$status" -eq 1 ]
}

@test "both libraries export what the headers declare, with -O3 -flto of clang" {
    local clang=clang-19
    command -v $clang >/dev/null || skip "$clang is not there"
    echo 'int main(void) { return 0; }' >"$BATS_TEST_TMPDIR/empty.c"
    $clang -flto -o "$BATS_TEST_TMPDIR/empty" "$BATS_TEST_TMPDIR/empty.c" 2>/dev/null ||
        skip "the linker has no plugin for $clang: llvm-19-linker-tools is not there"
    build_libraries CC=$clang CFLAGS='-O3 -flto'
    exports_what_is_declared
    program_works
}

@test "a static library of no use stops make install, which installs nothing" {
    make -s -j2 libraries
    for broken in OBJCOPY=true 'AR=sh -c "touch $$1" --' LD='sh -c "echo >$$2"'; do
        rm -rf "$build/install"
        run make -s install DESTDIR="$BATS_TEST_TMPDIR/stage" "$broken"
        echo "$output"
        [ "$status" -ne 0 ]
        [ ! -e "$BATS_TEST_TMPDIR/stage" ]
        [ ! -e "$build/install/libaddcow.a" ]
    done
    rm -rf "$build/install"
    run make -s install DESTDIR="$BATS_TEST_TMPDIR/stage" OBJCOPY=true
    [[ "$output" == *"check-archive: "*"is of no use to programs"* ]]
    # All names are there, but not the functions that these call.
    printf '%s\n' addcow_a >"$BATS_TEST_TMPDIR/public"
    echo 'void missing(void); void addcow_a(void) { missing(); }' | gcc -c -o "$BATS_TEST_TMPDIR/a.o" -x c -
    ar rcs "$BATS_TEST_TMPDIR/a.a" "$BATS_TEST_TMPDIR/a.o"
    NM=nm LIBS='' run scripts/check-archive "$BATS_TEST_TMPDIR/a.a" "$BATS_TEST_TMPDIR/public" gcc
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"undefined reference"*missing*"does not link"* ]]
    [ ! -e "$BATS_TEST_TMPDIR/a.a" ]
}

@test "flags of the user are added to those that the build needs" {
    run make -n CFLAGS=-Dc_flag CPPFLAGS=-Dcpp_flag LDFLAGS=-Dld_flag LDLIBS=-Dld_libs "$build/fast/open.o" \
        "$build/tests/test_memory" "$build/sched/engine.o" "$build/fuzz/fuzz_trace"
    [ "$status" -eq 0 ]
    compilations=0
    while read -r line; do
        [[ "$line" == *" -c -o "* ]] || continue
        compilations=$((compilations + 1))
        for flag in -Dc_flag -Dcpp_flag -std=c11 -fvisibility=hidden -fPIC -pthread -Iref -Ifast -D_GNU_SOURCE; do
            [[ "$line" == *" $flag "* ]]
        done
    done <<<"$output"
    [ "$compilations" -gt 30 ]
    [[ "$output" == *"-Dc_flag -Dld_flag"*"--wrap=malloc"*"-o $build/tests/test_memory"*"-Dld_libs"* ]]
    # Those of the environment count too.
    run env -u MAKEFLAGS CFLAGS=-Dfrom_environment make -n "B=$build" "$build/fast/open.o"
    [[ "$output" == *" -Dfrom_environment "*" -fvisibility=hidden "* ]]
}

@test "other flags than last time compile everything again, the same ones nothing" {
    make -s "$build/fast/image.o" CFLAGS=-O1
    run make -q "$build/fast/image.o" CFLAGS=-O1
    [ "$status" -eq 0 ]
    for other in CFLAGS=-O2 'CFLAGS=-O1 -g3' CPPFLAGS=-DX CC=gcc-12 LDFLAGS=-s; do
        run make -q "$build/fast/image.o" CFLAGS=-O1 "$other"
        [ "$status" -eq 1 ]
    done
}

@test "every tool of the compiler has the prefix CROSS_COMPILE, or is a variable" {
    goals=(install-files "$build/sched/engine.o" "$build/gate" "$build/fuzz/fuzz_trace")
    run make -n CROSS_COMPILE=s390x-linux-gnu- "${goals[@]}"
    [ "$status" -eq 0 ]
    commands=$output
    for tool in gcc ar ld nm objcopy ranlib; do
        [[ "$commands" == *"s390x-linux-gnu-$tool "* ]]
        run -1 grep -E "(^|[[:space:]/=])$tool " <<<"$commands"
    done
    run make -n CC=my-cc AR=my-ar LD=my-ld NM=my-nm OBJCOPY=my-objcopy RANLIB=my-ranlib INSTALL=my-install \
        PKG_CONFIG=false "${goals[@]}"
    for tool in cc ar ld nm objcopy ranlib install; do
        [[ "$output" == *"my-$tool"* ]]
    done
    # The directory of the build has the name of the compiler.
    run env -u MAKEFLAGS -u B -u CC make -n CROSS_COMPILE=s390x-linux-gnu- libraries
    [[ "$output" == *"-o build/s390x-linux-gnu-gcc/libaddcow.so."* ]]
    run env -u MAKEFLAGS -u B make -n CC='ccache gcc -m64' libraries
    [[ "$output" == *"ccache gcc -m64 "*" -o build/ccache-gcc--m64/libaddcow.so."* ]]
}

@test "jansson is taken from where pkg-config says" {
    printf '#!/bin/sh\necho "-Wl,$1-of-$2"\n' >"$BATS_TEST_TMPDIR/my-pkg-config"
    chmod +x "$BATS_TEST_TMPDIR/my-pkg-config"
    run make -n "$build/addcow" PKG_CONFIG="$BATS_TEST_TMPDIR/my-pkg-config"
    [[ "$output" == *"-Wl,--cflags-of-jansson"*"-o $build/addcow "*"-Wl,--libs-of-jansson"* ]]
    run make -n "$build/addcow" PKG_CONFIG=false
    [[ "$output" == *"-o $build/addcow "*" -ljansson"* ]]
}
