# shellcheck shell=bash
# For the tests of the harness's programs: each test runs in its own directory, with its own TMPDIR in it. A test fails
# if a program leaves a file in TMPDIR. A test file that redefines teardown must remove TMPDIR itself.

setup() {
    cd "$BATS_TEST_TMPDIR" || return
    export TMPDIR=$BATS_TEST_TMPDIR/temporary
    mkdir "$TMPDIR"
}

teardown() {
    rmdir "$TMPDIR"
}
