#!/usr/bin/env bats
# scripts/lint-deep reports what its tools find, and fails when a tool does not work. The tools are stand-ins here: they
# report each line that says "defect: CHECK".

bats_require_minimum_version 1.5.0

lint_deep=$BATS_TEST_DIRNAME/../../scripts/lint-deep
tools=(clang-tidy-19 cppcheck gcc-12)

setup() {
    mkdir -p "$BATS_TEST_TMPDIR/bin" "$BATS_TEST_TMPDIR/tree/fast" "$BATS_TEST_TMPDIR/tree/scripts"
    cd "$BATS_TEST_TMPDIR/tree" || return
    PATH=$BATS_TEST_TMPDIR/bin:$PATH
    for tool in "${tools[@]}"; do
        stand_in "$tool" <<'END'
for check in bugprone-suspicious-semicolon cert-env33-c concurrency-mt-unsafe arrayIndexOutOfBounds \
    -Wanalyzer-double-free; do
    [[ " $* " != *" sample.c "* ]] || echo "sample.c:1:1: warning: found [$check]"
done
for file in "$@"; do
    [[ $file != *.c ]] || sed -n "s|.*defect: \(.*\) \*/|$file:3:1: warning: found [\1]|p" "$file"
done
END
    done
    printf 'int count(int n)\n{\n    return n; /* defect: some-check */\n}\n' >fast/count.c
}

# stand_in TOOL: the program TOOL is the shell script from standard input.
stand_in() {
    { echo '#!/bin/bash'; cat; } >"$BATS_TEST_TMPDIR/bin/$1"
    chmod +x "$BATS_TEST_TMPDIR/bin/$1"
}

list() {
    echo "$1" >>scripts/lint-deep-exceptions.txt
}

# ends STATUS TEXT: lint-deep has this exit status, and prints the text.
ends() {
    run "$lint_deep" "$PWD"
    echo "$output"
    [ "$status" -eq "$1" ]
    [[ "$output" == *"$2"* ]]
}

@test "a finding that is not listed" {
    ends 1 "fast/count.c:3: count: found [some-check]"
    for tool in "${tools[@]}"; do
        [[ "$output" == *"$tool: 1 files, 1 findings, 1 of them not listed"* ]]
    done
}

@test "a finding that is listed" {
    list "some-check fast/count.c:count a reason"
    ends 0 "lint-deep: clean"
}

@test "a finding that is listed for another function, file or check" {
    list "some-check fast/count.c:counts a reason"
    list "some-check fast/counts.c:count a reason"
    list "some-checks fast/count.c:count a reason"
    ends 1 "fast/count.c:3: count: found [some-check]"
    [ "$(grep -c "delete the line" <<<"$output")" = 3 ]
}

@test "a listed finding that is no longer there" {
    echo 'int n;' >fast/count.c
    list "some-check fast/count.c:count a reason"
    ends 1 "some-check fast/count.c:count: nothing is found there; delete the line"
}

@test "an exception without a reason" {
    list "some-check fast/count.c:count"
    ends 2 "lint-deep-exceptions.txt:1: is not CHECK PATH:FUNCTION REASON"
}

@test "a tool that fails, whichever it is" {
    echo 'int n;' >fast/count.c
    ends 0 "lint-deep: clean"
    for tool in "${tools[@]}"; do
        mv "$BATS_TEST_TMPDIR/bin/$tool" "$BATS_TEST_TMPDIR/kept"
        # shellcheck disable=SC2016 # text
        stand_in "$tool" <<<'[[ " $* " == *" sample.c "* ]] && exec "$BATS_TEST_TMPDIR/kept" "$@"; exit 3'
        ends 2 "$tool failed with status 3 on fast/count.c"
        mv "$BATS_TEST_TMPDIR/kept" "$BATS_TEST_TMPDIR/bin/$tool"
    done
}

@test "a tool that finds nothing, whichever it is" {
    echo 'int n;' >fast/count.c
    for tool in "${tools[@]}"; do
        mv "$BATS_TEST_TMPDIR/bin/$tool" "$BATS_TEST_TMPDIR/kept"
        stand_in "$tool" <<<'exit 0'
        ends 2 "$tool does not report"
        mv "$BATS_TEST_TMPDIR/kept" "$BATS_TEST_TMPDIR/bin/$tool"
    done
}

@test "a tool that is missing" {
    python=$(python3 -c 'import sys; print(sys.executable)')
    PATH=$BATS_TEST_TMPDIR run "$python" "$lint_deep" "$PWD"
    [ "$status" -eq 2 ]
    [[ "$output" == *"clang-tidy-19 is not installed"* ]]
}

@test "no file to analyse" {
    rm fast/count.c
    ends 2 "no C file"
}
