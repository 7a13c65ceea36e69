#!/usr/bin/env bats
# scripts/lint finds each kind of violation. Each test puts one violation into a small clean tree.

bats_require_minimum_version 1.5.0

lint=$BATS_TEST_DIRNAME/../../scripts/lint

setup() {
    command -v clang-format-19 shellcheck >/dev/null || skip "clang-format-19 or shellcheck is not installed"
    mkdir -p "$BATS_TEST_TMPDIR/tree/fast" "$BATS_TEST_TMPDIR/tree/ref" "$BATS_TEST_TMPDIR/tree/scripts"
    cd "$BATS_TEST_TMPDIR/tree" || return
    git init -q .
    printf 'int addcow_ref_open(void);\n' >ref/addcow_ref.h
    printf 'int addcow_header(void);\n' >ref/addcow_header.h
    printf '#include "addcow_header.h"\n\nint main(void)\n{\n    return 0;\n}\n' >fast/main.c
    printf '# A text\n' >text.md
}

# passes: lint passes. finds TEXT: lint fails and prints TEXT.
passes() {
    git add .
    run "$lint" "$PWD"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *"lint: clean"* ]]
}
finds() {
    git add .
    run "$lint" "$PWD"
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"$1"* ]]
}

# repeat COUNT TEXT
repeat() {
    for ((i = 0; i < $1; i++)); do
        printf '%s' "$2"
    done
}

# function_of LINES: prints a function whose body has so many lines, braces included.
function_of() {
    printf 'void count(int *n)\n{\n'
    repeat $(($1 - 2)) $'    ++*n;\n'
    printf '}\n'
}

@test "the tree without a violation passes" {
    passes
}

@test "an include against the table of layers" {
    printf '#include "addcow_ref.h"\n' >fast/other.c
    finds "fast/other.c:1: include: fast must not include ref/addcow_ref.h"
}

@test "an include by a path, and with <>" {
    printf '#include "../fast/addcow_fast.h"\n' >ref/a.c
    printf '\n#include <addcow_fast.h>\n' >ref/b.c
    printf 'int addcow_open(void);\n' >fast/addcow_fast.h
    finds "ref/a.c:1: include: ref must not include fast/addcow_fast.h"
    finds "ref/b.c:2: include: ref must not include fast/addcow_fast.h"
}

@test "a folder that is in no layer" {
    mkdir other
    echo 'int n;' >other/n.c
    finds "other/n.c:1: include: "
}

@test "a line of 121 columns; not one of 120 columns that are not ASCII" {
    repeat 120 é >>text.md
    passes
    repeat 1 é >>text.md
    finds "text.md:2: width: over 120 columns"
}

@test "a long line in a script, a Makefile, a test" {
    for file in GNUmakefile mk/a.mk tests/a.bats scripts/a; do
        mkdir -p "$(dirname "$file")"
        repeat 121 '#' >"$file"
        chmod +x "$file"
        finds "$file:1: width: "
        rm "$file"
    done
}

@test "data and the licence of the corpus may be wide" {
    mkdir corpus
    repeat 121 1 | tee data.json >corpus/LICENSE
    passes
}

@test "a file or folder that Markdown names and that does not exist" {
    # shellcheck disable=SC2016 # text
    printf '`ref/addcow_ref.h`, `addcow_header.h`, `ref/addcow_*.{h}`, `ref/addcow_NAME.h`, `fast/`, `build/x.o`\n' \
        >>text.md
    passes
    for path in ref/addcow_gone.h gone.h ref/gone_*.h 'ref/addcow_ref.{h,c}' ref/gone/; do
        # shellcheck disable=SC2016 # text
        printf '`%s`\n' "$path" >other.md
        finds "other.md:1: path: there is no $path"
    done
}

@test "a function of 71 lines; not one of 70" {
    function_of 70 >fast/long.c
    passes
    function_of 71 >fast/long.c
    finds "fast/long.c:2: function: count has over 70 lines"
}

@test "a file of 601 lines; not one of 600" {
    for file in fast/long.h tests/long.bats scripts/long mk/long.mk; do
        mkdir -p "$(dirname "$file")"
        printf '#!/bin/sh\n%s' "$(repeat 598 $'#\n')" >"$file"
        printf '\n#\n' >>"$file"
        git add .
        run "$lint" "$PWD"
        [[ "$output" != *"length: "* ]]
        echo '#' >>"$file"
        finds "$file:601: length: over 600 lines"
        rm "$file"
    done
}

@test "a file of 1,001 lines in ref; not one of 1,000" {
    repeat 1000 $'int n;\n' >ref/long.h
    passes
    echo 'int n;' >>ref/long.h
    finds "ref/long.h:1001: length: over 1000 lines"
}

@test "a proven source that the prover and the compiler might read differently" {
    cat >ref/a.h <<'END'
/* A guard, the inclusion of a model, definitions and <stdint.h> are no difference. */
#ifndef A_H
#define A_H

#include <stdint.h>

#ifdef __FRAMAC__
#include "a_model.h"
#endif

#define TWO 2

#endif
END
    printf '/* # if 0 in a comment */\n#ifndef A_MODEL_H\n#define A_MODEL_H\n\n#endif\n' >ref/a_model.h
    passes
    local text='int a(void);'
    for line in '#ifdef __FRAMAC__' '#ifndef __FRAMAC__' '#if defined __GNUC__' '#ifdef NDEBUG' '#if 1'; do
        printf '%s\n%s\n#endif\n' "$line" "$text" >ref/b.c
        finds "ref/b.c:1: view: \`$line\`"
    done
    for line in 'int a = __x86_64__;' '#pragma pack(1)' '#undef TWO' '#include <limits.h>' '#line 3'; do
        printf '\n%s\n' "$line" >ref/b.c
        finds "ref/b.c:2: view: "
    done
    rm ref/b.c
    printf '#ifdef __FRAMAC__\n%s\n#endif\n' "$text" >fast/b.c
    finds "fast/b.c:1: view: \`__FRAMAC__\`"
    rm fast/b.c
    printf '#ifndef A_MODEL_H\n#define A_MODEL_H\n%s\n#endif\n' "$text" >ref/a_model.h
    finds "ref/a_model.h:1: view: a model has more than comments"
}

@test "a folder of 26 .c files; not one of 25" {
    for ((i = 2; i <= 25; i++)); do
        echo 'int n;' >"fast/$i.c"
    done
    passes
    echo 'int n;' >fast/26.c
    finds "fast:1: folder: over 25 .c files"
}

@test "a missing brace" {
    printf 'void count(int *n)\n{\n    if (*n)\n        ++*n;\n}\n' >fast/brace.c
    finds "fast/brace.c:3"
}

@test "a shell script that shellcheck objects to" {
    # shellcheck disable=SC2016 # text
    printf '#!/bin/sh\nrm $1\n' >scripts/wrong
    chmod +x scripts/wrong
    finds SC2086
}

@test "a script that is not executable, and a leftover" {
    printf '#!/bin/sh\n' >scripts/mode
    finds "scripts/mode: is not executable"
    rm scripts/mode
    echo "/* TO""DO */" >fast/left.c
    finds "fast/left.c:1:"
}

@test "a patch of mutants/ that does not apply" {
    mkdir -p mutants/engine
    sed 's/return 0/return 1/' fast/main.c >changed.c
    diff -u --label a/fast/main.c --label b/fast/main.c fast/main.c changed.c >mutants/engine/wrong.patch || true
    rm changed.c
    passes
    sed -i 's/return 0/return 2/' fast/main.c
    finds "mutants/engine/wrong.patch: does not apply"
}
