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

# A child of the gate inherits the whole corpus, in which a leak checker at its exit searches for 0.4 s: more than a
# hundred times as long as the case takes. A test in gate.bats lets the children of a small corpus check.
without_leak_checks() {
    export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
}

# sample_corpus FOLDER: every tenth case of the corpus, in the folder, with the specification beside it.
sample_corpus() {
    mkdir -p "$1/cases" spec
    # shellcheck disable=SC2154 # the test file sets it
    cp "$root/spec/add-cow.md" spec/
    cp "$root/corpus/corpus.json" "$1/"
    find "$root/corpus/cases" -name '*.json' | sort | awk 'NR % 10 == 0' | tr '\n' '\0' | xargs -0 cp -t "$1/cases"
}

# The example in Python is started a thousand times, so setup_file compiles it once, and it needs only the standard
# library.
compile_example() {
    export PYTHONPYCACHEPREFIX=$BATS_FILE_TMPDIR/compiled
    python3 -m py_compile "$root/corpus/example/addcow.py"
}

example() {
    echo "python3 -S '$root/corpus/example/adapter.py'"
}

# two_threads LINES: a trace file in which two threads write and flush, with these lines behind the first one.
two_threads() {
    cat <<END
add-cow trace 2
$1
layout r20
cluster-bits 12
size 8192
backing 8192
allocated none
unknown-compatible no
seed 1
threads 2

0 write 0 512
0 flush
1 write 1024 512
1 flush
END
}
