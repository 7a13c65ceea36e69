#!/usr/bin/env bats
# scripts/run-tests says why a test failed, which prove does not, and what was skipped.

setup() {
    cd "$BATS_TEST_TMPDIR" || return
    run_tests=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)/scripts/run-tests
}

# program NAME: a test program with the commands of the standard input.
program() {
    { echo '#!/bin/bash'; cat; } >"$1"
    chmod +x "$1"
}

# run_tests STATUS PROGRAM...
run_tests() {
    # Without what the bats around these tests has set.
    local path
    path=$(tr : '\n' <<<"$PATH" | grep -v bats | paste -sd :)
    run env -i PATH="$path" UNDER="${UNDER:-}" B=build "$run_tests" "${@:2}"
    echo "$output"
    [ "$status" -eq "$1" ]
}

@test "a failed bats test: its file, its name, the line and what it printed" {
    mkdir "a path"
    # bats takes every line that begins with its word for a test of this file.
    sed 's/^%/@/' >"a path/wrong.bats" <<'END'
#!/usr/bin/env bats
%test "a right one" {
    echo "nobody needs this"
}
%test "a wrong one" {
    run echo "seventeen apples"
    echo "$output"
    [ "$status" -eq 3 ]
}
%test "one that is skipped" {
    skip "no apples"
}
END
    chmod +x "a path/wrong.bats"
    run_tests 1 "a path/wrong.bats"
    [[ "$output" == *"failed: a path/wrong.bats: 2 a wrong one"*"wrong.bats, line 8)"*"seventeen apples"* ]]
    [[ "$output" == *"\`[ \"\$status\" -eq 3 ]' failed"* ]]
    [[ "$output" == *"  one that is skipped (no apples)"* ]]
    [[ "$output" != *"nobody needs this"* ]]
    [ "${lines[-1]}" = "tests: 2 ran, 1 skipped, some failed" ]
}

@test "a failed unit test: what it says behind the result" {
    program wrong <<'END'
printf '1..2\nok 1 - first\nnot ok 2 - second\n# 0x1 != 0x2\n# test.c:7: error: Failure!\n'
exit 1
END
    run_tests 1 ./wrong
    [[ "$output" == *"failed: ./wrong: 2 - second"*"    0x1 != 0x2"*"    test.c:7: error: Failure!"* ]]
}

@test "a program that ends before its last test: with what status, and its last lines" {
    program dies <<<"printf '1..2\nok 1 - first\nassertion of a program\n'; kill -SEGV \$\$"
    run_tests 1 ./dies
    [[ "$output" == *"failed: ./dies: it ended with status 139"*"    assertion of a program"* ]]
}

@test "of a long output, the beginning and the end" {
    program long <<<"echo 1..1; echo not ok 1 - long; seq 1000 | sed 's/^/# line /'; exit 1"
    run_tests 1 ./long
    [[ "$output" == *"    line 10"$'\n'"    ... (940 lines)"$'\n'"    line 951"*"    line 1000"* ]]
}

@test "nothing more is said of tests that pass" {
    program right <<<"printf '1..1\n# a remark\nok 1 - first\n'"
    run_tests 0 ./right
    [[ "$output" != *"failed"* ]] && [[ "$output" != *"a remark"* ]]
    [ "${lines[-1]}" = "tests: 1 ran, 0 skipped" ]
}

@test "under a command, as valgrind, that command decides" {
    program right <<<"printf '1..1\nok 1 - first\n'"
    # shellcheck disable=SC2016 # the program expands it
    program wrapper <<<'"$2"; echo "# 17 leaks"; exit 99'
    UNDER="$PWD/wrapper -q"
    run_tests 1 ./right
    [[ "$output" == *"failed: ./right: it ended with status 99"*"    17 leaks"* ]]
}

@test "a unit test that is skipped, which cmocka calls not ok" {
    program skipping <<'END'
echo "1..2"
echo "not ok 1 # SKIP no_apples"
echo "ok 2 - pears"
END
    run_tests 0 ./skipping
    [[ "$output" == *"skipped, so not tested:"*"no_apples"* ]]
    [[ "${lines[-1]}" == "tests: 1 ran, 1 skipped" ]]
}
