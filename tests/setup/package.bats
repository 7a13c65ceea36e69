#!/usr/bin/env bats
# What a packager takes: the tarball of `make dist`, and the gate of `make install-gate`, which needs neither this tree
# nor a compiler.

bats_require_minimum_version 1.5.0

# What was said to the make above, such as SAN, does not count here.
make() {
    env -u MAKEFLAGS -u MAKEOVERRIDES -u SAN -u B make "$@"
}

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return
    export TREE="$PWD" REPOSITORY="$BATS_FILE_TMPDIR/a clone"
    # The files as they are now, committed or not.
    mkdir "$REPOSITORY"
    { git ls-files -z 2>/dev/null || find . -path ./build -prune -o ! -type d -print0; } |
        xargs -0 cp --parents -t "$REPOSITORY"
    cd "$REPOSITORY" || return
    git init -q
    git add .
    GIT_COMMITTER_DATE=2020-01-01T00:00:00Z git -c user.name=a -c user.email=a@b.c commit -qm all
}

setup() {
    cd "$REPOSITORY" || return
    version=$(sed -n 's/^.define ADDCOW_VERSION_[A-Z]* \([0-9]*\)$/\1/p' fast/addcow_version.h | paste -sd .)
    tarball=build/addcow-$version.tar.gz
}

# install_gate: installs the gate, once for all tests, and moves it elsewhere.
install_gate() {
    prefix="$BATS_FILE_TMPDIR/installed gate"
    if [ ! -e "$prefix" ]; then
        make -s -C "$TREE" CC=gcc install-gate DESTDIR="$BATS_FILE_TMPDIR/stage" PREFIX="/opt/add cow" >&2
        mv "$BATS_FILE_TMPDIR/stage/opt/add cow" "$prefix"
    fi
}

@test "both changelogs begin with this version" {
    [[ "$version" =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]]
    [[ "$(grep -m 1 '^## ' CHANGELOG.md)" == "## [$version] - 2"* ]]
    [[ "$(head -n 1 debian/changelog)" == "addcow ($version) "* ]]
}

@test "the same commit makes the same tarball, whoever makes it and when" {
    make -s dist
    mv "$tarball" "$BATS_TEST_TMPDIR/first"
    touch README.md
    chmod -R go= scripts
    (umask 077 && TZ=Asia/Tokyo LC_ALL=C make -s dist)
    cmp "$BATS_TEST_TMPDIR/first" "$tarball"
    run ! grep -q . <(tar -tzf "$tarball" | grep -v "^addcow-$version/")
    [ "$(tar -tzf "$tarball" | grep -vc '/$')" = "$(git ls-files | wc -l)" ]
}

@test "a tree with changes makes no tarball, but a commit that is named does" {
    echo >>README.md
    rm -f "$tarball"
    run make -s dist
    [ "$status" -ne 0 ]
    [[ "$output" == *"differs from the last commit"* ]]
    [ ! -e "$tarball" ]
    make -s dist COMMIT=HEAD
    git checkout -q README.md
    tar -xOzf "$tarball" "addcow-$version/README.md" | cmp - README.md
}

@test "the unpacked tarball builds and installs" {
    make -s dist
    tar -C "$BATS_TEST_TMPDIR" -xzf "$tarball"
    cd "$BATS_TEST_TMPDIR/addcow-$version"
    make -s OPT=-O0
    make -s OPT=-O0 install DESTDIR="$BATS_TEST_TMPDIR/stage" PREFIX=/usr >&2
    [ "$("$BATS_TEST_TMPDIR/stage/usr/bin/addcow" --version)" = "addcow $version" ]
    run make -s dist
    [ "$status" -ne 0 ]
    [[ "$output" == *"is no git work tree; a tarball is made from a commit"* ]]
}

@test "the installed gate finds its corpus wherever it is put and started" {
    install_gate
    cd "$BATS_TEST_TMPDIR"
    mkdir corpus # another one, as fuzzers have
    diff <("$prefix/bin/addcow-gate" list | sed -n 's/^\([a-z][a-z0-9-]*\) .*/\1/p' | sort) \
        <(find "$TREE/corpus/cases" -name '*.json' -printf '%f\n' | sed 's/.json$//' | sort)
    ln -s "$prefix/bin/addcow-gate" gate
    run ./gate --impl fast --clause WR-03
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "${lines[-1]}" == *conforms* ]]
    run "$prefix/bin/addcow-gate" --impl "exec:exec '$prefix/bin/addcow-gate' serve ref" --applicable --filter wr-
    [ "$status" -eq 0 ]
    run --separate-stderr "$prefix/bin/addcow-gate" explain bmp-03-cut
    [ "$status" -eq 0 ]
    [ -z "$stderr" ] # the specification is there
    rm "$prefix/share/addcow/corpus/corpus.json"
    run ./gate --impl fast
    [ "$status" -eq 2 ]
    [[ "$output" == *"$prefix/share/addcow/corpus"* ]]
    cp "$TREE/corpus/corpus.json" "$prefix/share/addcow/corpus"
}

@test "installed programs name themselves as they are called" {
    install_gate
    cd "$BATS_TEST_TMPDIR"
    [ "$("$prefix/bin/addcow-gate" --version)" = "addcow-gate $version" ]
    [[ "$("$prefix/bin/addcow-gate" --help)" == "Usage: addcow-gate --impl "*" addcow-gate list "* ]]
    for command in "" " stress" " explore" " replay" " bench"; do
        # shellcheck disable=SC2086 # one word or none
        [[ "$("$prefix/bin/addcow-hunt" $command --help)" == "Usage: addcow-hunt$command "* ]]
    done
    "$prefix/bin/addcow-hunt" stress --traces 1 --dir .
    for page in addcow-gate addcow-hunt; do
        man -l "$prefix/share/man/man1/$page.1" >text
        [ -s text ]
    done
}

@test "all can read what is installed, and uninstall leaves nothing" {
    (umask 077 && make -s -C "$TREE" CC=gcc install-gate DESTDIR="$BATS_TEST_TMPDIR/stage" PREFIX=/usr >&2)
    [ -z "$(find "$BATS_TEST_TMPDIR/stage/usr/share/addcow/corpus" ! -perm -444)" ]
    make -s -C "$TREE" CC=gcc uninstall DESTDIR="$BATS_TEST_TMPDIR/stage" PREFIX=/usr >&2
    [ -z "$(find "$BATS_TEST_TMPDIR/stage" ! -type d)" ]
    [ ! -e "$BATS_TEST_TMPDIR/stage/usr/share/addcow" ]
}
