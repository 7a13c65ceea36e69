#!/usr/bin/env bats
# shellcheck disable=SC2154,SC2317 # what common.bash defines, and what `run` calls
# Completion of the command line in bash, zsh and fish. Each shell has to know every command and every option.

load ../cli/common

completion=$BATS_TEST_DIRNAME/../../tools/completion
rebase_options="--backing-format= --backing= --direct --help --lock-wait= --progress --quiet --unsafe --without-locks"

# The shells call the command by its name.
with_name() {
    mkdir bin
    ln -s "$(realpath "$addcow")" bin/addcow
    PATH=$PWD/bin:$PATH
}

# in_bash WORD...: what bash offers for the last word, sorted, in one line.
in_bash() {
    # shellcheck disable=SC2016 # the inner shell expands it
    bash -c 'source "$0"
        COMP_WORDS=(addcow "$@") COMP_CWORD=$#
        _addcow
        printf "%s\n" "${COMPREPLY[@]}"' "$completion/addcow.bash" "$@" | LC_ALL=C sort | tr '\n' ' '
}

# in_fish LINE: what fish offers for the end of the line.
in_fish() {
    HOME=$PWD fish --no-config -c "source '$completion/addcow.fish'; complete -C '$1'" | cut -f 1 | LC_ALL=C sort |
        tr '\n' ' '
}

commands() {
    addcow --help | sed -n 's/^  addcow \([a-z]*\) .*/\1/p'
}

@test "bash completes commands, options and values" {
    with_name
    [ "$(in_bash re)" = "read rebase resize " ]
    [ "$(in_bash '' | wc -w)" -eq $(($(commands | wc -l) + 2)) ]
    [ "$(in_bash rebase --)" = "$rebase_options " ]
    [ "$(in_bash info --output = j)" = "json " ]
    [ "$(in_bash info --output =)" = "human json " ]
    [ "$(in_bash create -F '')" = "add-cow raw " ]
    [ "$(in_bash compare -f '')" = "add-cow raw " ]
    # File names, which bash completes itself.
    [ "$(in_bash create -f '')" = " " ]
    [ "$(in_bash check '')" = " " ]
}

@test "every option of every command is completed, and is one" {
    with_name
    for command in $(commands); do
        for option in $(in_bash "$command" -); do
            [[ "$(addcow "$command" --help)" == *"$option"* ]]
            run addcow "$command" "${option%=}"
            [[ "$output" != *"unknown option"* ]] && [[ "$output" != *"does not apply"* ]]
        done
        [[ "$(in_bash "$command" -)" == *"--help "* ]]
    done
}

@test "fish completes commands, options and values" {
    with_name
    [ "$(in_fish 'addcow re')" = "read rebase resize " ]
    [ "$(in_fish 'addcow rebase --')" = "$rebase_options " ]
    [ "$(in_fish 'addcow info --output=')" = "--output= --output=human --output=json " ]
    [ "$(in_fish 'addcow create --layout=')" = "--layout= --layout=r20 --layout=r9 " ]
    [[ "$(in_fish 'addcow create --preallocation=')" == *" --preallocation=falloc "* ]]
    touch disk.addcow
    [ "$(in_fish 'addcow check disk')" = "disk.addcow " ]
}

@test "zsh completes commands, options and values" {
    with_name
    # Without a line editor: compadd prints what it would offer.
    cat >offer <<'END'
compadd() {
    if [[ $1 == -a ]]; then
        print -l -- ${(P)2}
        return
    fi
    while [[ $1 != -- ]]; do shift; done
    shift
    print -l -- "$@"
}
compset() { [[ $PREFIX == *=* ]] && IPREFIX=${PREFIX%%=*}= PREFIX=${PREFIX#*=}; }
_files() { print FILES }
words=("$@") CURRENT=$# PREFIX=${@[-1]} IPREFIX=
source $completion
END
    in_zsh() {
        completion=$completion/_addcow zsh -f offer "$@" | grep . | LC_ALL=C sort | tr '\n' ' '
    }
    [[ "$(in_zsh addcow '')" == *"rebase "* ]]
    [[ "$(in_zsh addcow rebase -)" == *"--backing= "*"--unsafe "* ]]
    [ "$(in_zsh addcow info --output=)" = "human json " ]
    [ "$(in_zsh addcow create -F '')" = "add-cow raw " ]
    [ "$(in_zsh addcow create -f '')" = "FILES " ]
}
