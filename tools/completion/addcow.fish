# Completion of addcow for fish. The commands and their options are those that the help texts list.

function __addcow_commands
    addcow --help 2>/dev/null | sed -n 's/^  addcow \([a-z]*\) .*/\1/p'
end

function __addcow_command
    set -l words (commandline -opc)
    test (count $words) -ge 2; and echo $words[2]
end

function __addcow_options
    addcow (__addcow_command) --help 2>/dev/null | grep -E '^ +-' |
        grep -oE '(^ +|, )-(-[a-z-]+=?|[a-zA-Z])' | sed 's/^[ ,]*//'
end

# The values of the option before the cursor, or, as --option=value, of the one at it.
function __addcow_values
    set -l words (commandline -opc)
    set -l prefix
    set -l option $words[-1]
    if string match -q -- '--*=*' (commandline -ct)
        set option (string replace -r '=.*' '' -- (commandline -ct))
        set prefix $option=
    end
    set -l values
    switch $option
        case --output
            set values human json
        case --layout
            set values r20 r9
        case --preallocation
            set values off falloc full
        case -F -O --backing-format --second-format --target-format --format
            set values raw add-cow
        case -c --cluster-size
            set values 4k 8k 16k 32k 64k 128k 256k 512k 1M 2M
        case -f
            if test (__addcow_command) != create
                set values raw add-cow
            end
    end
    for value in $values
        echo $prefix$value
    end
end

complete -c addcow -n 'test (count (commandline -opc)) -eq 1' -f -a '(__addcow_commands) --help --version'
complete -c addcow -n 'test (count (commandline -opc)) -ge 2; and string length -q -- (__addcow_values)' -f \
    -a '(__addcow_values)'
complete -c addcow -n 'test (count (commandline -opc)) -ge 2; and string match -q -- "-*" (commandline -ct)' \
    -a '(__addcow_options)'
