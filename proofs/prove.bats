#!/usr/bin/env bats
# proofs/prove must fail for each reason that it exists for. Each test breaks a small proved tree in one way.

# shellcheck disable=SC2016 # back quotes and dollars are text here
bats_require_minimum_version 1.5.0

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return
    mkdir -p proofs ref scripts
    cp "$BATS_TEST_DIRNAME/prove" proofs/
    cp "$BATS_TEST_DIRNAME"/../scripts/{need,packages.txt} scripts/
    echo ref/small.c >proofs/sources.txt
    cat >ref/small.c <<'END'
/*@ requires bytes: \valid(p + (0 .. n - 1));
    terminates \true;
    assigns p[0 .. n - 1];
    ensures zero: \forall integer k; 0 <= k < n ==> p[k] == 0;
*/
static void clear(unsigned char *p, unsigned n)
{
    /*@ loop invariant place: 0 <= i <= n;
        loop invariant zero: \forall integer k; 0 <= k < i ==> p[k] == 0;
        loop assigns i, p[0 .. n - 1];
        loop variant n - i;
    */
    for (unsigned i = 0; i < n; i++)
        p[i] = 0;
}

/*@ requires bytes: \valid(p + (0 .. 9));
    terminates \true;
    assigns p[0 .. 9];
    ensures zero: p[9] == 0;
*/
void clear_ten(unsigned char *p)
{
    clear(p, 10);
}
END
    proofs/prove --update
}

setup() {
    cp -R "$BATS_FILE_TMPDIR/proofs" "$BATS_FILE_TMPDIR/ref" "$BATS_FILE_TMPDIR/scripts" "$BATS_TEST_TMPDIR"
    cd "$BATS_TEST_TMPDIR" || return
}

# The run fails, and says so with the words given.
fails_with() {
    run proofs/prove --timeout 2
    [ "$status" -eq 1 ]
    [[ "$output" == *"$1"* ]]
}

@test "prove: passes when everything is proved, from the cache and without it" {
    run proofs/prove
    [ "$status" -eq 0 ]
    [[ "$output" =~ goals:\ [0-9]+\ proved,\ 0\ unproved$ ]]
    run proofs/prove --cold
    [ "$status" -eq 0 ]
    [[ "$output" =~ goals:\ [0-9]+\ proved,\ 0\ unproved$ ]]
}

@test "prove: does not prove again what the report has as it is now, unless asked to" {
    run proofs/prove
    [ "$status" -eq 0 ]
    [[ "$output" == *"ref/small.c: as in proofs/report.json: "* ]]
    run proofs/prove --each
    [ "$status" -eq 0 ]
    [[ "$output" != *"as in proofs/report.json"* ]]
}

@test "prove: a changed header is proved with its sources" {
    printf '/*@ predicate none(integer n) = n == 0; */\n' >ref/model.h
    run proofs/prove
    [ "$status" -eq 0 ]
    [[ "$output" != *"as in proofs/report.json"* ]]
}

# A production engine of one function, with a contract that `proofs/shipped.txt` lists.
add_shipped() {
    mkdir fast proofs/shipped
    : >proofs/shipped/addcow_sync.h
    printf '/*@ terminates \\true; assigns \\nothing; ensures more: \\result == n + %s; */\n' "$1" >fast/next.c
    printf 'static unsigned next(unsigned char n)\n{\n    return n + 1u;\n}\n' >>fast/next.c
    echo 'fast/next.c: next' >proofs/shipped.txt
}

@test "prove: proves the listed functions of the production engine" {
    add_shipped 1
    run proofs/prove
    [ "$status" -eq 0 ]
    sed -i 's/n + 1;/n + 2;/' fast/next.c
    fails_with "next_ensures_more is not proved"
}

@test "prove: fails on a contract of the production engine that is not listed, and on a row without one" {
    add_shipped 1
    printf '/*@ terminates \\true; assigns \\nothing; */\nvoid other(void);\n' >>fast/next.c
    echo 'gone: a reason' >>proofs/shipped.txt
    fails_with "fast: other has a contract, and is not in proofs/shipped.txt"
    [[ "$output" == *"proofs/shipped.txt: gone has no contract in fast/"* ]]
}

@test "prove: fails on a goal that is not proved" {
    sed -i 's/p\[i\] = 0/p[i] = 1/' ref/small.c
    fails_with "clear_loop_invariant_zero_preserved is not proved"
    [[ "$output" =~ goals:\ [0-9]+\ proved,\ [1-9][0-9]*\ unproved$ ]]
}

@test "prove: fails on a function without a contract" {
    printf '\nint two(void)\n{\n    return 2;\n}\n' >>ref/small.c
    fails_with 'two has no contract with `assigns`'
}

@test "prove: fails on a contract that does not say that the function ends" {
    sed -i '0,/terminates/{/terminates/d}' ref/small.c
    fails_with 'clear has no contract with `terminates \true;`'
}

@test "prove: fails on a loop without a variant" {
    sed -i '/loop variant/d' ref/small.c
    fails_with "ref/small.c:12: loop without variant"
}

@test "prove: fails when a function has fewer goals than the report says" {
    sed -i '/ensures zero: p\[9\]/d' ref/small.c
    fails_with "clear_ten: "
    [[ "$output" == *"in proofs/report.json"* ]]
    [[ "$output" == *" 0 unproved" ]]
}

@test "prove: fails when a source is not proved any more" {
    printf 'int nothing;\n/*@ terminates \\true; assigns \\nothing; */\nvoid idle(void)\n{\n}\n' >ref/other.c
    echo ref/other.c >proofs/sources.txt
    fails_with "ref/small.c: clear: 0 goals"
}

@test "prove: fails on an axiom and on an admitted clause" {
    printf '/*@ axiomatic a { axiom wrong: \\false; } */\n' >>ref/small.c
    fails_with "ref/small.c: axiom: not allowed"
    cp "$BATS_FILE_TMPDIR/ref/small.c" ref/small.c
    sed -i 's/ensures zero: p.9. == 0;/&\n    admit ensures eight: p[8] == 0;/' ref/small.c
    fails_with "ref/small.c: admit: not allowed"
}

@test "prove: fails on a contract of a function that is not proved" {
    printf '/*@ terminates \\true; assigns \\nothing; ensures \\result == 3; */\nint three(void);\n' >>ref/small.c
    fails_with "three is declared, but not defined in any proved source"
}

@test "prove: fails on preconditions that contradict each other" {
    sed -i 's/requires bytes: .valid(p + (0 .. 9));/&\n    requires p[0] < 1 \&\& p[0] > 1;/' ref/small.c
    fails_with "clear_ten_wp_smoke_default_requires: smoke test failed"
    [[ "$output" == *" 0 unproved" ]]
}

@test "prove: fails on code that never runs" {
    local dead='unsigned char q = p[0];\n    if (q > 255)\n        q = 0;'
    sed -i "s/    clear(p, 10);/    $dead\n&/" ref/small.c
    fails_with "smoke test failed"
    [[ "$output" == *" 0 unproved" ]]
}

@test "prove: a smoke test without an answer in the cache is run" {
    local never='requires p[0] * p[0] * p[0] == 3 * p[1] * p[1] \&\& p[0] < 2 \&\& p[0] > 0;'
    sed -i "s/requires bytes: .valid(p + (0 .. 9));/&\n    $never/" ref/small.c
    fails_with "clear_ten_wp_smoke_default_requires: smoke test failed"
}

@test "prove: reports what Frama-C cannot read" {
    echo 'int broken(' >>ref/small.c
    run proofs/prove
    [ "$status" -eq 1 ]
    [[ "$output" == *"frama-c failed on ref/small.c"* ]]
}
