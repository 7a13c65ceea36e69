#!/usr/bin/env bats
# scripts/trace must fail for each reason that it exists for. Each test breaks a copy of the tree in one way. IDs are
# put together from $p, so that they do not look like witnesses when this file itself is traced.

p=AAA

setup() {
    cd "$BATS_TEST_TMPDIR" || return
    mkdir -p spec ref corpus tests/unit tests/cli scripts
    cp "$BATS_TEST_DIRNAME/../../scripts/trace" scripts/
    printf "**%s-01** First clause.\n\n**%s-02** Second clause,\non two lines.\n" $p $p >spec/add-cow.md
    printf "/*@ ensures first: 1; // %s-01\n*/\n/* %s-02 in a comment witnesses nothing */\n" $p $p >ref/a.h
    printf '{"clauses": ["%s-02"]}\n' "$p" >corpus/a.json
    scripts/trace --confirm
}

@test "passes when every clause has a witness" {
    run scripts/trace
    [ "$status" -eq 0 ]
    [[ "$output" == *"clauses: 2, 0 without a witness" ]]
}

@test "fails on a clause without a witness" {
    rm corpus/a.json
    run scripts/trace
    [ "$status" -eq 1 ]
    [[ "$output" == *"$p-02: no witness"* ]]
    [[ "$output" == *"clauses: 2, 1 without a witness" ]]
}

@test "fails on a witness that names no clause" {
    echo "/* $p-03 */" >tests/unit/test_a.c
    run scripts/trace
    [ "$status" -eq 1 ]
    [[ "$output" == *"$p-03: unknown clause, named by test tests/unit/test_a.c"* ]]
}

@test "fails on a clause whose text changed, until it is confirmed" {
    sed -i 's/two lines/three lines/' spec/add-cow.md
    run scripts/trace
    [ "$status" -eq 1 ]
    [[ "$output" == *"$p-02: the text changed"* ]]
    scripts/trace --confirm
    scripts/trace
}

@test "fails on a removed clause" {
    sed -i "/$p-01/d" spec/add-cow.md
    rm ref/a.h
    run scripts/trace
    [ "$status" -eq 1 ]
    [[ "$output" == *"$p-01: a confirmed clause is missing"* ]]
}

@test "a range names every clause in it" {
    echo "// $p-01..02" >tests/unit/test_a.c
    rm corpus/a.json ref/a.h
    scripts/trace
}
