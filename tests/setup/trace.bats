#!/usr/bin/env bats
# scripts/trace must fail for each reason that it exists for. Each test breaks a copy of the tree in one way. IDs are
# put together from $p, so that they do not look like witnesses when this file itself is traced.

p=HDR

setup() {
    cd "$BATS_TEST_TMPDIR" || return
    mkdir -p spec ref proofs/model corpus tests/unit/exhaustive tests/cli scripts
    cp "$BATS_TEST_DIRNAME/../../scripts/trace" scripts/
    grep -n '^<!--' "$BATS_TEST_DIRNAME/../../SOUNDNESS.md" | sed 's/^[0-9]*://' >SOUNDNESS.md
    printf "**%s-01** First clause.\n\n**%s-02** Second clause,\non two lines.\n" $p $p >spec/add-cow.md
    printf "/*@ ensures first: %s_01: 1;\n*/\n/* %s-02 in a comment witnesses nothing */\n" $p $p >ref/a.h
    printf '{"clauses": ["%s-02"]}\n' "$p" >corpus/a.json
    scripts/trace --confirm --update
}

# The kinds of witness that the first clause has: proof, model, exhaustive, corpus, test.
first_clause_has() {
    [ "$(scripts/trace | awk -v clause="$p-01" '$1 == clause { print $2, $3, $4, $5, $6 }')" = "$1" ]
}

@test "passes when every clause has a witness" {
    run scripts/trace
    [ "$status" -eq 0 ]
    [[ "$output" == *"clauses: 2, 0 without a witness" ]]
    grep -q "$p-01 | proof" SOUNDNESS.md
    grep -q "$p-02 | conformance cases" SOUNDNESS.md
}

@test "fails on a clause without a witness" {
    rm corpus/a.json
    run scripts/trace
    [ "$status" -eq 1 ]
    [[ "$output" == *"$p-02: no witness"* ]]
    [[ "$output" == *"clauses: 2, 1 without a witness" ]]
}

@test "a comment in a contract, a requires and an assert prove nothing" {
    first_clause_has "1 0 0 0 0"
    for text in "/*@ ensures first: 1; // $p-01" "/*@ // $p-01" "/*@ requires ${p}_01: 1;" "/*@ assert ${p}_01: 1;" \
        "/*@ requires 1; // CON-12, DUR-12, LCK-01, $p-01"; do
        printf '%s\n    ensures other: 1;\n*/\n' "$text" >ref/a.h
        first_clause_has "0 0 0 0 0"
    done
}

@test "a predicate counts if an ensures uses it, directly or not" {
    local low=${p,,}_01
    printf '/*@ predicate %s = 1;\n    predicate all = %s;\n*/\n/*@ ensures a: all;\n*/\n' "$low" "$low" >ref/a.h
    first_clause_has "1 0 0 0 0"
    printf '/*@ predicate %s = 1;\n    predicate all = %s;\n*/\n/*@ requires all;\n*/\n' "$low" "$low" >ref/a.h
    first_clause_has "0 0 0 0 0"
}

@test "a contract names only what it can state" {
    for other in CON-04 CON-07 RSZ-04 STR-03 CMT-03 DUR-01 LCK-01; do
        printf '\n\n**%s** Another clause.\n' "$other" >>spec/add-cow.md
        printf '/*@ ensures first: %s_01: %s: 1;\n*/\n' "$p" "${other/-/_}" >ref/a.h
        run scripts/trace --confirm --update
        [ "$status" -eq 1 ]
        [[ "$output" == *"$other: ref/a.h: a contract of this file cannot state it"* ]]
    done
    printf '/*@ ensures first: DUR_01: 1;\n*/\n' >proofs/durability.c
    run scripts/trace
    [[ "$output" != *"DUR-01: proofs/durability.c"* ]]
}

@test "a test is named before it or in code, and by its folder" {
    printf '/* %s-01 */\nstatic void a(void **state)\n{\n}\n' "$p" >tests/unit/a.c
    printf '/* %s-01 */\nstatic void a(void **state)\n{\n}\n' "$p" >tests/unit/exhaustive/a.c
    printf '@test "%s-01: it works" {\n}\n' "$p" >tests/cli/a.bats
    printf 'ltl %s_01 { true }\n' "$p" >proofs/model/a.pml
    first_clause_has "1 1 1 0 2"
    printf '/* %s-01 */\nint a;\n' "$p" >tests/unit/a.c
    printf '/*\n * Witnesses %s-01.\n */\n\nstatic void a(void **state)\n{\n}\n' "$p" >tests/unit/exhaustive/a.c
    printf '# %s-01\n' "$p" >tests/cli/a.bats
    printf '/* %s_01 */\nbit %s_01 = 1;\n' "$p" "$p" >proofs/model/a.pml
    first_clause_has "1 0 0 0 0"
}

@test "fails on a witness that names no clause" {
    printf '/* %s-03 */\nstatic void a(void **state)\n{\n}\n' "$p" >tests/unit/test_a.c
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

@test "fails on a table that tells other evidence, until it is updated" {
    printf '/*@ ensures second: %s_02: 1;\n*/\n' "$p" >ref/b.h
    run scripts/trace
    [ "$status" -eq 1 ]
    [[ "$output" == *"SOUNDNESS.md: the table of evidence is not that of today"* ]]
    scripts/trace --update
    scripts/trace
    grep -q "$p-02 | proof" SOUNDNESS.md
}

@test "a range names every clause in it" {
    printf '{"clauses": ["%s-01..02"]}\n' "$p" >corpus/a.json
    rm ref/a.h
    scripts/trace --update
}
