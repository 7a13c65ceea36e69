#!/usr/bin/env bats
# The corpus describes itself correctly: the clauses that it cannot test, the mistakes that it finds, and the mutants
# that apply.

bats_require_minimum_version 1.5.0

root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)

setup() {
    cd "$BATS_TEST_TMPDIR" || return
}

# The rows of the table of README.md that begins with `| WORD |`.
table() {
    awk -v head="| $1 |" 'index($0, head) == 1 { inside = 1; next } !/^\|/ { inside = 0 } inside && !/^\| ---/' \
        "$root/corpus/README.md"
}

# The names in a column of the table of mistakes.
names() {
    cut -d '|' -f "$1" mistakes | tr -d ' `' | tr , '\n'
}

@test "corpus: every clause has a case, or a reason why it cannot have one" {
    sed -n 's/^\*\*\([A-Z0-9]*-[0-9][0-9]\)\*\* .*/\1/p' "$root/spec/add-cow.md" | sort >clauses
    find "$root/corpus/cases" -name "*.json" -exec grep -h '"clauses":' {} + |
        grep -o '[A-Z][A-Z0-9]*-[0-9][0-9]' | sort -u >witnessed
    python3 -c 'import json, sys; print(*json.load(open(sys.argv[1]))["reserved"], sep="\n")' \
        "$root/corpus/corpus.json" | sort >reserved
    [ "$(wc -l <clauses)" -gt 100 ]
    sort -u witnessed reserved >named
    diff clauses named
}

@test "corpus: the cases and wrong implementations in the table of mistakes exist" {
    table mistake >mistakes
    [ "$(wc -l <mistakes)" -ge 40 ]
    local id patch
    for id in $(names 3); do
        [ -n "$(find "$root/corpus/cases" -name "$id.json")" ] || { echo "no case $id" && return 1; }
    done
    for patch in $(names 4); do
        [ -e "$root/mutants/${patch/#fast/engine}.patch" ] || { echo "no patch $patch" && return 1; }
    done
}

@test "corpus: the mutants of the Python example apply" {
    local patch copies=()
    for patch in "$root"/mutants/python/*.patch; do
        copies+=("copies/${patch##*/}")
        mkdir -p "${copies[-1]}/corpus/example"
        cp "$root"/corpus/example/*.py "${copies[-1]}/corpus/example"
        patch -d "${copies[-1]}" -p1 -s -i "$patch" || { echo "${patch##*/} does not apply" && return 1; }
    done
    [ "${#copies[@]}" -gt 0 ]
    python3 -c 'import ast, sys; [ast.parse(open(path).read()) for path in sys.argv[1:]]' \
        "${copies[@]/%//corpus/example/addcow.py}"
}

# The implementation that scripts/corpus-strength makes misbehave is right where it is not told to, and wrong where it
# is.
@test "corpus: an implementation that is wrong in one situation fails the case for that situation" {
    local gate=${GATE:-$root/build/gcc/gate} wrong="$root/mutants/python/wrong.py" situation
    run "$gate" --corpus "$root/corpus" --impl "exec:python3 '$wrong' --record '$PWD/recorded'" --case wr-03-tail
    echo "$output"
    [ "$status" -eq 0 ]
    situation=$(sed -n 's/^wr-03-tail\t\(write .*\)/\1/p' recorded)
    [ -n "$situation" ]
    printf '{"wr-03-tail": "%s", "wr-03-head": "%s"}\n' "$situation" "$situation" >table
    run "$gate" --corpus "$root/corpus" --impl "exec:python3 '$wrong' --table '$PWD/table'" --case wr-03-tail
    [ "$status" -eq 1 ]
    run "$gate" --corpus "$root/corpus" --impl "exec:python3 '$wrong' --table '$PWD/table'" --case wr-03-head
    [ "$status" -eq 0 ]
}
