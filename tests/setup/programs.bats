#!/usr/bin/env bats
# scripts/check-programs finds each way in which a script can call a program that no package is listed for. Each test
# adds one call to a small tree. The program no-such-program is in no list.

# shellcheck disable=SC2016 # the scripts are text here
bats_require_minimum_version 1.5.0

setup() {
    check=$BATS_TEST_DIRNAME/../../scripts/check-programs
    command -v dpkg >/dev/null || skip "no dpkg"
    mkdir -p "$BATS_TEST_TMPDIR/tree"/{tests/cli,scripts,mk,fuzz,harness}
    cd "$BATS_TEST_TMPDIR/tree" || return
    git init -q .
}

# check_file FILE: runs the check on a tree with a file whose content is the standard input.
check_file() {
    mkdir -p "$(dirname "$1")"
    sed 's/^%/@/' >"$1" # bats takes every line that begins with its word for a test of this file
    git add .
    run "$check" "$PWD"
    cat "$1"
    echo "$output"
    git rm -qf "$1"
}

# finds FILE TEXT: the check fails with TEXT, for a file whose content is the standard input.
finds() {
    check_file "$1"
    [ "$status" -eq 1 ]
    [[ "$output" == *"$1:$2"* ]]
}

# passes FILE: the check finds nothing in a file whose content is the standard input.
passes() {
    check_file "$1"
    [ "$status" -eq 0 ]
    [ -z "$output" ]
}

@test "this tree passes" {
    [ -e "$BATS_TEST_DIRNAME/../../.git" ] || skip "no git work tree"
    run "$check"
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "a program anywhere in a shell script" {
    # A call a line.
    { echo '#!/bin/bash'; grep . <<'END'; } >scripts/gate
no-such-program
x=1 no-such-program -a
if ! no-such-program; then :; fi
ls | no-such-program
echo "$(no-such-program)"
true && no-such-program
f() { no-such-program; }; f
(no-such-program)
run -1 --separate-stderr no-such-program
env -u X A=b no-such-program
exec -a name no-such-program
bash -c "no-such-program"
trap 'no-such-program' EXIT
find . -exec no-such-program {} +
timeout -s KILL 5 no-such-program
ls | xargs -n 1 no-such-program
cat < <(no-such-program)
case x in a) no-such-program ;; esac
for x in 1 2; do no-such-program; done
x=`no-such-program`
{ no-such-program; } 2>/dev/null
"no-such-program" 1
END
    git add .
    run "$check" "$PWD"
    echo "$output"
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 22 ]
    local line
    for line in {2..23}; do
        [[ "$output" == *"scripts/gate:$line: program: no-such-program is not in scripts/programs.txt"* ]]
    done
}

@test "words that are no calls" {
    passes tests/cli/a.bats <<'END'
#!/usr/bin/env bats
# no-such-program
%test "no-such-program" {
    echo no-such-program "no-such-program; no-such-program" 'a | no-such-program'
    x=no-such-program y=(no-such-program no-such-program)
    cat >no-such-program <<EOF
no-such-program
EOF
    case $x in no-such-program | b) echo ;; esac
    [[ "$x" == no-such-program ]] || ((x < no_such_program))
    for z in no-such-program; do "$z"; ./no-such-program; $y; done
    mine() { :; }
    mine
}
END
}

@test "a program in a Makefile" {
    finds mk/a.mk '2: program: no-such-program is not in scripts/programs.txt' <<<$'a:\n\t@no-such-program $@'
    finds mk/a.mk '1: program: no-such-program' <<<'A := $(shell no-such-program $(B) | sort)'
    finds mk/a.mk '3: program: no-such-program' <<<$'TOOL := no-such-program\na:\n\t$(TOOL) $@ $$(date)'
    finds mk/a.mk '3: program: no-such-program' <<<$'a:\n\techo $$x \\\n\t    | no-such-program'
    passes mk/a.mk <<<$'A := $(wildcard no-such-program)\na: no-such-program\n\t$(CC) -o $@ $(A:%=no-such-program)'
}

@test "a program and a module in Python" {
    finds fuzz/a.py "2: program: no-such-program" <<<$'import subprocess\nsubprocess.run(["no-such-program", "a"])'
    finds fuzz/a.py "2: program: no-such-program" \
        <<<$'import subprocess\nc = ["no-such-program"]\nsubprocess.run([*c, 1])'
    finds fuzz/a.py "1: program: python3:no_such_module" <<<'import no_such_module.part'
    finds tests/cli/a.bats "2: program: python3:no_such_module" \
        <<<$'#!/usr/bin/env bats\npython3 -c "import no_such_module"'
    finds tests/cli/a.bats "3: program: python3:no_such_module" \
        <<<$'#!/usr/bin/env bats\nrun python3 - <<END\nfrom no_such_module import a\nEND'
    # A program that is installed and reaches subprocess in another way.
    finds fuzz/a.py "2: program: bats needs bats" <<<$'import subprocess\nstart("bats", "-a")'
}

@test "a program in C" {
    finds harness/a.c "1: program: no-such-program" <<<'execlp("no-such-program", "no-such-program", (char *)NULL);'
}

@test "a listed program where the purposes of the file do not list its package" {
    finds scripts/gate "2: program: git needs git, which no purpose of this file lists" <<<$'#!/bin/sh\ngit status'
    passes tests/cli/a.bats <<<$'#!/usr/bin/env bats\ngit status'
}

@test "a script without a row, a wrong use" {
    finds other/a "1: program: scripts/programs.txt has no row for this file" <<<$'#!/bin/sh\ngit status'
    run "$check" missing
    [ "$status" -eq 2 ]
}
