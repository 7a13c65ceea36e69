#!/usr/bin/env bats
# proofs/model/check must fail for each reason that it exists for. Each test breaks a copy of the model in one way.

bats_require_minimum_version 1.5.0

setup() {
    cp "$BATS_TEST_DIRNAME"/{check,*.pml} "$BATS_TEST_TMPDIR"
    cd "$BATS_TEST_TMPDIR" || return
    echo 'small writes.pml quick WRITERS=2 FLUSHERS=2 FAILURES=1 CLUSTERS=2 CLUSTERS_OF_BLOCK=1 NARROW=1' \
        >configurations.txt
    echo 'least writes.pml quick WRITERS=1 FLUSHERS=1 FAILURES=1 CLUSTERS=2 CLUSTERS_OF_BLOCK=1 NARROW=1' \
        >>configurations.txt
    sed -i 's/ranges:\|joined:/small:/' defects.pml
}

# The run fails, and says so with the words given.
fails_with() {
    local expected=$1
    shift
    run ./check "$@"
    [ "$status" -eq 1 ]
    [[ "$output" == *"$expected"* ]]
}

@test "model: passes and counts" {
    run ./check --only least --only BIT_FIRST --only WAITERS_NOT_WOKEN
    [ "$status" -eq 0 ]
    [[ "$output" =~ model:\ 1\ configurations,\ [0-9,]+\ states,\ 2\ mutants\ found,\ 0\ missed$ ]]
}

@test "model: fails on a violation, and names the clause" {
    sed -i 's/^    dirty = dirty | .*/    skip;/' allocate.pml
    fails_with "least        FAILED: assertion violated DUR_01" --only least
}

@test "model: fails when a process cannot go on" {
    sed -i 's/^    :: !DEFECT(FLUSHES_NOT_WOKEN) -> .*/    :: !DEFECT(FLUSHES_NOT_WOKEN)/' flush.pml
    fails_with "small        FAILED: invalid end state" --only small
}

@test "model: fails when a search is not complete" {
    fails_with "least        FAILED: the search is not complete" --only least --depth 20
}

@test "model: fails on a defect that is not found" {
    sed -i 's/ || DEFECT(RANGES_OVERLAP)//; s/ && !DEFECT(RANGES_OVERLAP)//' allocate.pml
    fails_with "MISSED: RANGES_OVERLAP: small should find CON_06, and finds None" --only RANGES_OVERLAP
    [[ "$output" == *" 0 mutants found, 1 missed" ]]
}

@test "model: fails on a defect that something else finds" {
    sed -i '/BIT_FIRST/s/CON_04/DUR_03/' defects.pml
    fails_with "MISSED: BIT_FIRST: small should find DUR_03, and finds assertion violated CON_04" --only BIT_FIRST
}

@test "model: fails on a statement that nothing reaches" {
    # Nobody joins a flush here.
    sed -i '/^small/d' configurations.txt
    sed -i 's/^\(#define [A-Z_]* [0-9]*\) *\/\*.*/\1/' defects.pml
    fails_with "writes.pml: no configuration reaches: flusher"
    [[ "$output" == *"0 mutants found, 0 missed" ]]
}

@test "model: fails when Spin cannot read it" {
    echo 'proctype' >>writes.pml
    fails_with "least        FAILED: spin fails: " --only least
}
