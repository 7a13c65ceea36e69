# Completion of addcow for bash.
#
# The commands and their options are those that the help texts list, so this file knows only which values there are.

# _addcow_options COMMAND: the options in the help text of the command; long ones that take a value end in `=`.
_addcow_options() {
    addcow "$1" --help 2>/dev/null | grep -E '^ +-' | grep -oE '(^ +|, )-(-[a-z-]+=?|[a-zA-Z])' | sed 's/^[ ,]*//'
}

_addcow_commands() {
    addcow --help 2>/dev/null | sed -n 's/^  addcow \([a-z]*\) .*/\1/p'
}

# _addcow_values OPTION: the values that the option can have; none for a file name or a number.
_addcow_values() {
    case $1 in
    --output) echo human json ;;
    --layout) echo r20 r9 ;;
    --preallocation) echo off falloc full ;;
    -F | -O | --backing-format | --second-format | --target-format | --format) echo raw add-cow ;;
    -c | --cluster-size) echo 4k 8k 16k 32k 64k 128k 256k 512k 1M 2M ;;
    -f) [ "$2" = create ] || echo raw add-cow ;;
    esac
}

_addcow() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} values
    # bash splits --option=value into three words.
    if [ "$word" = = ]; then
        word=
    elif [ "$before" = = ]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    if [ "$COMP_CWORD" -eq 1 ]; then
        values="$(_addcow_commands) --help --version"
    elif [[ "$word" == -* ]]; then
        values=$(_addcow_options "${COMP_WORDS[1]}")
    else
        values=$(_addcow_values "$before" "${COMP_WORDS[1]}")
    fi
    COMPREPLY=()
    # Without values, bash completes file names (-o default).
    [ -z "$values" ] || mapfile -t COMPREPLY < <(compgen -W "$values" -- "$word")
    if [[ "${COMPREPLY[0]-}" == *= ]]; then
        compopt -o nospace 2>/dev/null
    fi
    return 0
}

complete -o default -F _addcow addcow
