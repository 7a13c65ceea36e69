#!/usr/bin/env bats
# `make install`: a user's program must compile and run against what was installed, statically and shared, and
# find nothing but the documented names in it.

bats_require_minimum_version 1.5.0

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return
    export STAGE="$BATS_FILE_TMPDIR/st age"
    install_it || return
    export ROOT="$STAGE/opt/add cow" LIBRARIES="$STAGE/opt/add cow/lib/multi arch"
    # Both a C and a C++ program. It begins each struct as the headers say.
    cat >"$BATS_FILE_TMPDIR/user.c" <<'END'
#include <addcow_fast.h>
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    struct addcow_create_options options = ADDCOW_CREATE_OPTIONS_INIT;
    struct addcow_info info = ADDCOW_INFO_INIT;
    struct addcow_extent extent = ADDCOW_EXTENT_INIT;
    struct addcow_check_result result = ADDCOW_CHECK_RESULT_INIT;
    struct addcow *disk;
    options.image_name = "new.raw";
    options.make_image = true;
    options.image_size = 70000;
    if (argc != 2 || addcow_create(argv[1], &options, NULL, &error) != ADDCOW_OK ||
        addcow_check(argv[1], false, NULL, NULL, NULL, &result, &error) != ADDCOW_OK ||
        addcow_open(argv[1], ADDCOW_OPEN_READWRITE, NULL, &disk, &error) != ADDCOW_OK) {
        puts(error.message);
        return 1;
    }
    addcow_get_info(disk, &info);
    if (addcow_map_chain(disk, 0, 70000, &extent, &error) != ADDCOW_OK || strcmp(addcow_version(), ADDCOW_VERSION)) {
        return 2;
    }
    printf("%llu %u %llu %u\n", (unsigned long long)info.virtual_size, info.cluster_size,
           (unsigned long long)extent.length, (unsigned)result.broken);
    return addcow_close(disk, &error) == ADDCOW_OK ? 0 : 1;
}
END
}

# The library as users build it, not a variant for tests: what was said to the make above does not count.
make_for_users() {
    env -u MAKEFLAGS -u MAKEOVERRIDES -u SAN -u CFLAGS -u LDFLAGS make --no-print-directory CC=gcc "$@" \
        >"$BATS_FILE_TMPDIR/log" 2>&1 || {
        cat "$BATS_FILE_TMPDIR/log" >&2
        return 1
    }
}

# install_it [VARIABLE=VALUE]...
install_it() {
    make_for_users install DESTDIR="$STAGE" PREFIX="/opt/add cow" LIBDIR="/opt/add cow/lib/multi arch" "$@"
}

# Everything that a program needs, as pkg-config prints it for the shell.
flags() {
    PKG_CONFIG_PATH="$LIBRARIES/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$STAGE" pkg-config --cflags --libs "$@" addcow
}

# build COMMAND FLAGS SOURCE OPTION...: compiles ./user
build() {
    local command=$1 words=$2
    shift 2
    eval "$command -Wall -Wextra -Wpedantic -Werror -o user \"\$@\" $words"
}

works() {
    rm -f new.addcow new.raw
    run "$@" new.addcow
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$output" = "70000 65536 70000 0" ]
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return
    "$ROOT/bin/addcow" create -q -i disk.raw --size 70000 disk.addcow
}

@test "the installed command runs" {
    run "$ROOT/bin/addcow" --version
    [ "$status" -eq 0 ]
    [ "$output" = "addcow $(PKG_CONFIG_PATH="$LIBRARIES/pkgconfig" pkg-config --modversion addcow)" ]
}

@test "a C and a C++ program link against the shared library through pkg-config, and run" {
    cp "$BATS_FILE_TMPDIR/user.c" user.cpp
    for compiler in "gcc -std=c99 $BATS_FILE_TMPDIR/user.c" "g++ -std=c++11 user.cpp"; do
        build "$compiler" "$(flags)"
        works env LD_LIBRARY_PATH="$LIBRARIES" ./user
        run -127 env LD_LIBRARY_PATH=/nowhere ./user new.addcow # it is the shared one
    done
}

@test "a C and a C++ program link against the static library through pkg-config, and run" {
    cp "$BATS_FILE_TMPDIR/user.c" user.cpp
    for compiler in "gcc $BATS_FILE_TMPDIR/user.c" "g++ user.cpp"; do
        build "$compiler -static" "$(flags --static)"
        works ./user
    done
    # With all other libraries shared.
    build "gcc $BATS_FILE_TMPDIR/user.c -Wl,-Bstatic" "$(flags --static) -Wl,-Bdynamic"
    works ./user
}

@test "the pkg-config file has private libraries only for static programs" {
    [[ "$(flags)" != *-pthread* ]]
    [[ "$(flags --static)" == *-pthread* ]]
}

@test "programs that know other sizes of the structs run with the library" {
    # Headers of an older version, without the last members, and of a newer one, with more.
    for change in 's/^    unsigned chain_depth;.*//; s/^    uint64_t image_size;.*/    bool unused;/' \
        's/^    (unsigned chain_depth|uint64_t image_size);.*/&\n    char more[100];/'; do
        rm -rf other
        cp -r "$ROOT/include/addcow" other
        sed -i -E "$change" other/addcow_fast.h
        run cmp -s other/addcow_fast.h "$ROOT/include/addcow/addcow_fast.h"
        [ "$status" -eq 1 ]
        # The options of the older version cannot make an image.
        sed 's/^    options.\(make_image = \).*/    options.\1false;/; /options.image_size/d' \
            "$BATS_FILE_TMPDIR/user.c" >other.c
        build "gcc -fsanitize=address other.c -Iother" "$(flags)"
        truncate -s 70000 new.raw
        rm -f new.addcow
        LD_LIBRARY_PATH="$LIBRARIES" run ./user new.addcow
        echo "$output"
        [ "$status" -eq 0 ]
        [ "$output" = "70000 65536 70000 0" ]
    done
}

@test "the example in README.md compiles without warnings, and reads what it wrote" {
    awk '/^## / { section = $0 }
         /^```/ { inside = section == "## Use it from C" && $0 == "```c"; next }
         inside' "$BATS_TEST_DIRNAME/../../README.md" >example.c
    [ -s example.c ]
    build "gcc -std=c11 example.c" "$(flags)"
    LD_LIBRARY_PATH="$LIBRARIES" run ./user
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$output" = hello ]
    [ "$("$ROOT/bin/addcow" read disk.addcow 0 5)" = hello ]
    rm disk.addcow
    LD_LIBRARY_PATH="$LIBRARIES" run ./user
    [ "$status" -eq 1 ]
    [[ "$output" == *disk.addcow*"No such file"* ]]
}

@test "every exported symbol is versioned and declared in a public header" {
    nm -D --defined-only "$LIBRARIES/libaddcow.so" | awk '$2 != "A" { print $3 }' >symbols
    [ -s symbols ]
    while read -r symbol; do
        [[ "$symbol" == addcow_*@@ADDCOW_0 ]]
        grep -q "\b${symbol%@@*}(" "$ROOT"/include/addcow/*.h
    done <symbols
}

@test "the static library defines no global name but the public ones" {
    nm -g --defined-only "$LIBRARIES/libaddcow.a" | awk 'NF == 3 { print $3 }' >symbols
    [ -s symbols ]
    while read -r symbol; do
        grep -q "\b$symbol(" "$ROOT"/include/addcow/*.h
    done <symbols
}

@test "both libraries export every function that the public headers declare" {
    grep -hoE '^[a-z][a-z0-9_ ]*[ *]addcow_[a-z_]+\(' "$ROOT"/include/addcow/*.h | grep -v '^typedef' |
        sed 's/.*[ *]\(addcow_[a-z_]*\)(/\1/' | sort -u >declared
    grep -qx addcow_status_name declared
    nm -D --defined-only "$LIBRARIES/libaddcow.so" | sed -n 's/.* T \(addcow_[a-z_]*\)@@.*/\1/p' | sort >shared
    nm -g --defined-only "$LIBRARIES/libaddcow.a" | sed -n 's/.* T //p' | sort >static
    diff declared shared
    diff declared static
}

@test "neither library contains the oracle" {
    for library in "$LIBRARIES/libaddcow.a" "$LIBRARIES/libaddcow.so"; do
        # Local names too. The engine is there, so an empty list is no success.
        nm "$library" >symbols
        grep -q ' addcow_open' symbols
        run grep addcow_ref_ symbols
        [ "$status" -eq 1 ]
    done
}

# headers_compile COMPILER LANGUAGE STANDARD...: each header alone, without any warning
headers_compile() {
    local compiler=$1 language=$2 standard
    shift 2
    for standard in "$@"; do
        echo "$compiler -std=$standard"
        for header in "$ROOT"/include/addcow/*.h; do
            "$compiler" -std="$standard" -Wall -Wextra -Wpedantic -Werror -fsyntax-only -x "$language" "$header"
        done
        "$compiler" -std="$standard" -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I "$ROOT/include/addcow" \
            -x "$language" "$BATS_FILE_TMPDIR/user.c"
    done
}

@test "each public header compiles alone, as C99 to C23, with gcc" {
    headers_compile gcc c c99 c11 c17 c2x
}

@test "each public header compiles alone, as C++11 to C++20, with g++" {
    headers_compile g++ c++ c++11 c++14 c++17 c++20
}

@test "each public header compiles alone, as C and C++, with clang" {
    command -v clang-19 >/dev/null && command -v clang++-19 >/dev/null || skip "clang-19 is not there"
    headers_compile clang-19 c c99 c11 c17 c2x
    headers_compile clang++-19 c++ c++11 c++14 c++17 c++20
}

@test "the public headers hold no contracts, and declare functions for C++ too" {
    for header in "$ROOT"/include/addcow/*.h; do
        run grep -F '/*@' "$header"
        [ "$status" -eq 1 ]
        ! grep -q '^[a-z].*(.*);' "$header" || grep -qxF 'extern "C" {' "$header"
    done
}

@test "the man page is installed" {
    run man -l "$ROOT/share/man/man1/addcow.1"
    [ "$status" -eq 0 ]
}

@test "the installed command finds the installed plugin" {
    mk=$BATS_TEST_DIRNAME/../../mk
    "$mk/has-nbdkit" gcc && command -v nbdkit >/dev/null || skip "nbdkit and its headers are not installed"
    "$ROOT/bin/addcow" create -q -i served.raw --size 70000 served.addcow
    # shellcheck disable=SC2016 # the inner shell expands it
    "$ROOT/bin/addcow" nbd -r served.addcow -- sh -c 'qemu-img info -f raw "$uri"' | grep -q "virtual size: 68.5 KiB"
}

@test "without nbdkit's headers, the plugin is named as left out, and everything else is installed" {
    cd "$BATS_TEST_DIRNAME/../.."
    local other=$BATS_TEST_TMPDIR/other
    make_for_users install DESTDIR="$other" PREFIX=/usr HAS_NBDKIT=false
    grep -q "left out: the plugin for nbdkit" "$BATS_FILE_TMPDIR/log"
    [ -x "$other/usr/bin/addcow" ]
    [ -z "$(find "$other" -name 'nbdkit*')" ]
}

@test "each directory of the installation can be chosen, and the pkg-config file names the right ones" {
    cd "$BATS_TEST_DIRNAME/../.."
    export STAGE=$BATS_TEST_TMPDIR/other
    local everything=(PREFIX=/usr BINDIR=/b LIBDIR=/usr/lib/x86_64-linux-gnu INCLUDEDIR=/i DATADIR=/d)
    install_it "${everything[@]}"
    (cd "$STAGE" && find . ! -type d | sort) >"$BATS_TEST_TMPDIR/files"
    version=$("$STAGE/b/addcow" --version | cut -d ' ' -f 2)
    local plugin=()
    if mk/has-nbdkit gcc; then
        plugin=(./d/man/man1/nbdkit-addcow-plugin.1 ./usr/lib/x86_64-linux-gnu/nbdkit/plugins/nbdkit-addcow-plugin.so)
    fi
    ! mk/has-libnbd gcc || plugin+=(./b/addcow-gate-nbd)
    # The corpus is the same whatever is chosen.
    [ "$(grep -c '^./d/addcow/corpus/cases/' "$BATS_TEST_TMPDIR/files")" -gt 800 ]
    sed -i '/^.\/d\/addcow\//d' "$BATS_TEST_TMPDIR/files"
    { cat && printf '%s\n' "${plugin[@]}"; } <<END | grep . | sort >"$BATS_TEST_TMPDIR/wanted"
./b/addcow
./b/addcow-gate
./b/addcow-hunt
./d/bash-completion/completions/addcow
./d/fish/vendor_completions.d/addcow.fish
./d/man/man1/addcow-gate.1
./d/man/man1/addcow-hunt.1
./d/man/man1/addcow.1
./d/zsh/site-functions/_addcow
./i/addcow/addcow_fast.h
./i/addcow/addcow_format.h
./i/addcow/addcow_storage.h
./i/addcow/addcow_version.h
./usr/lib/x86_64-linux-gnu/libaddcow.a
./usr/lib/x86_64-linux-gnu/libaddcow.so
./usr/lib/x86_64-linux-gnu/libaddcow.so.0
./usr/lib/x86_64-linux-gnu/libaddcow.so.$version
./usr/lib/x86_64-linux-gnu/pkgconfig/addcow.pc
END
    diff "$BATS_TEST_TMPDIR/wanted" "$BATS_TEST_TMPDIR/files"
    local file=$STAGE/usr/lib/x86_64-linux-gnu/pkgconfig/addcow.pc
    [ "$(pkg-config --variable=libdir "$file")" = /usr/lib/x86_64-linux-gnu ]
    [ "$(pkg-config --variable=includedir "$file")" = /i ]
    [ "$(pkg-config --variable=prefix "$file")" = /usr ]
    run grep -r "$STAGE" "$STAGE/usr/lib/x86_64-linux-gnu/pkgconfig"
    [ "$status" -eq 1 ]
    make_for_users uninstall DESTDIR="$STAGE" "${everything[@]}"
    [ -z "$(find "$STAGE" ! -type d)" ]
    [ ! -e "$STAGE/i/addcow" ]
    # Each one can be given on its own.
    install_it "${everything[@]}" MANDIR=/m PKGCONFIGDIR=/p INSTALL="install -p"
    [ -e "$STAGE/m/man1/addcow.1" ]
    [ -e "$STAGE/p/addcow.pc" ]
}
