#!/usr/bin/env bats
# The entry points of the build if packages are missing: some install them, others only name them.
#
# The tools that know packages are replaced: of all packages, dpkg-query finds those that $INSTALLED names, apt-get
# writes down what it is asked for, and sudo refuses.

# shellcheck disable=SC2016 # what the replaced tools do is text here
bats_require_minimum_version 1.5.0

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    fakes=$BATS_TEST_TMPDIR/fakes
    asked=$BATS_TEST_TMPDIR/asked
    mkdir "$fakes"
    fake dpkg-query 'for package in $INSTALLED; do echo "installed $package"; done'
    fake apt-get "echo \"\$@\" >>'$asked'; exit \${APT_STATUS:-0}"
    fake sudo 'exit 1'
    fake id 'echo ${FAKE_UID:-0}'
    # A compiler that finds no header of jansson.
    fake cc-without-jansson 'if grep -q jansson; then echo "jansson.h: No such file" >&2; exit 1; fi'
    export PATH=$fakes:$PATH INSTALLED='' NO_INSTALL=''
    cd "$root" || return
}

# The goals that install packages.
installing="check check-setup check-examples check-fuzz gate lint hunt bench mutants trace check-contracts contracts"
installing+=" check-valgrind"

# fake NAME COMMANDS
fake() {
    printf '#!/bin/sh\n%s\n' "$2" >"$fakes/$1"
    chmod +x "$fakes/$1"
}

# Each run of make is on its own, and builds elsewhere.
make() {
    env -u MAKEFLAGS -u MAKEOVERRIDES -u MFLAGS -u SAN -u CC make --no-print-directory "B=$BATS_TEST_TMPDIR/build" "$@"
}

@test "need installs missing packages and names them" {
    INSTALLED="libjansson-dev gcc" run scripts/need library command
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$output" = "need: installing make binutils libc6-dev" ]
    [ "$(cat "$asked")" = "install -o DPkg::Lock::Timeout=300 -y -q --no-install-recommends make binutils libc6-dev" ]
}

@test "need is silent if nothing is missing" {
    INSTALLED="libjansson-dev" run scripts/need command
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    [ ! -e "$asked" ]
}

@test "with NO_INSTALL=1, need names what is missing and fails" {
    NO_INSTALL=1 run scripts/need command
    echo "$output"
    [ "$status" -eq 1 ]
    [ "$output" = "need: packages are missing; as root, type: apt-get install --no-install-recommends libjansson-dev" ]
    [ ! -e "$asked" ]
}

@test "without root and sudo, need names the command to type and fails" {
    FAKE_UID=1000 run scripts/need command
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"as root, type: apt-get install --no-install-recommends libjansson-dev" ]]
    [ ! -e "$asked" ]
}

@test "need fails if the installation fails, and if it does not know the purpose" {
    APT_STATUS=1 run scripts/need command
    [ "$status" -eq 1 ]
    [[ "$output" == *"could not install libjansson-dev" ]]
    run scripts/need no-such-purpose
    [ "$status" -eq 2 ]
}

@test "make check and make gate install missing packages and name them" {
    for goal in $installing; do
        rm -f "$asked"
        APT_STATUS=1 run make "$goal"
        echo "$output"
        [ "$status" -ne 0 ]
        [[ "$output" == *"need: installing "* ]]
        [ -s "$asked" ]
    done
}

@test "with NO_INSTALL=1 they name the missing packages and fail" {
    for goal in $installing; do
        run make "$goal" NO_INSTALL=1
        echo "$output"
        [ "$status" -ne 0 ]
        [[ "$output" == *"need: packages are missing; as root, type: "* ]]
        [ ! -e "$asked" ]
    done
}

@test "make check-bare without root says that it was not run, and fails" {
    FAKE_UID=1000 run scripts/bare-check "$BATS_TEST_TMPDIR/bare"
    echo "$output"
    [ "$status" -eq 4 ]
    [[ "$output" == "bare-check: not run: only root can "* ]]
    FAKE_UID=1000 run make check-bare BARE="$BATS_TEST_TMPDIR/bare"
    [ "$status" -ne 0 ]
    [[ "$output" == *"bare-check: not run: "* ]]
    [ ! -e "$BATS_TEST_TMPDIR/bare" ] && [ ! -e "$asked" ]
}

@test "make and make install never install packages; they name missing ones and fail" {
    for goal in all install; do
        INSTALLED="make gcc binutils libc6-dev" run make "$goal" CC=cc-without-jansson DESTDIR="$BATS_TEST_TMPDIR/stage"
        echo "$output"
        [ "$status" -ne 0 ]
        [[ "$output" == *"packages are missing; "*" libjansson-dev"* ]]
        [ ! -e "$asked" ]
        [ ! -e "$BATS_TEST_TMPDIR/stage" ]
    done
}

@test "make prints the compiler's error if no package is missing" {
    INSTALLED="make gcc binutils libc6-dev libjansson-dev" run make CC=cc-without-jansson
    echo "$output"
    [ "$status" -ne 0 ]
    [[ "$output" == *"jansson.h: No such file"* ]]
}

@test "make lib needs no jansson and no package that the compiler finds by itself" {
    run make lib
    echo "$output"
    [ "$status" -eq 0 ]
    [ -e "$BATS_TEST_TMPDIR/build/libaddcow.a" ]
    [ ! -e "$asked" ]
    fake cc-without-anything 'echo "stdio.h: No such file" >&2; exit 1'
    run make lib CC=cc-without-anything
    [ "$status" -ne 0 ]
    [[ "$output" == *"--no-install-recommends make gcc binutils libc6-dev"* ]]
}

@test "a warning of the compiler stops make check and make lint, not make lib" {
    mkdir -p "$BATS_TEST_TMPDIR/copy/fast"
    cp -r GNUmakefile mk scripts "$BATS_TEST_TMPDIR/copy"
    cp fast/libaddcow.map fast/addcow_version.h "$BATS_TEST_TMPDIR/copy/fast"
    cd "$BATS_TEST_TMPDIR/copy"
    git init -q .
    printf 'int addcow_close(void);\nint addcow_close(void)\n{\n    int unused;\n    return 0;\n}\n' >fast/warned.c
    run make lib
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *"warning: unused variable"* ]]
    INSTALLED=$(sed -n 's/^[a-z-]*: *//p' scripts/packages.txt | tr '\n' ' ')
    export INSTALLED
    for goal in check lint; do
        run make "$goal"
        echo "$output"
        [ "$status" -ne 0 ]
        [[ "$output" == *"[-Werror=unused-variable]"* ]]
    done
    run make WERROR=-Werror "$BATS_TEST_TMPDIR/build/fast/warned.o" -B
    [ "$status" -ne 0 ]
    run make -n check
    [[ "$output" == *"WERROR=-Werror programs tests fuzzers"* ]]
}

@test "all packages are in one list" {
    run git grep --no-index --exclude-standard -lE 'apt-get install|apt install' -- \
        ':!*.md' ':!tests/setup/build.bats' ':!scripts/bare-check' ':!scripts/minimal-debian' \
        ':!scripts/check-deb' ':!ci/Containerfile' ':!ci/gitlab.yml' # these set up machines of others
    [ "$output" = scripts/need ]
}
