#!/usr/bin/env bats
# shellcheck disable=SC2154,SC2317 # what common.bash defines, and what `run` calls
# addcow info and map, and the command line as a whole.

load common

@test "info for people" {
    overlay 2M 1000001
    run addcow info disk.addcow
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = "image: disk.addcow" ]
    [ "${lines[1]}" = "file format: add-cow" ]
    [ "${lines[2]}" = "virtual size: 2 MiB (2097152 bytes)" ]
    [[ "${lines[3]}" == "disk size: "* ]]
    [ "${lines[4]}" = "cluster_size: 65536" ]
    [ "${lines[5]}" = "backing file: base.raw" ]
    [ "${lines[6]}" = "backing file format: raw" ]
    [[ "$output" == *"layout: r20"* ]]
    [[ "$output" == *"image file: image.raw"* ]]
    [[ "$output" == *"all allocated: false"* ]]
}

@test "info as JSON has the fields of qemu-img, and those of the format" {
    mkdir sub
    random 1000 sub/base.raw
    addcow create -q -c 4k -b base.raw -i image.raw --size 5000 sub/disk.addcow
    [ "$(info sub/disk.addcow "sorted(j) == [
        'actual-size', 'backing-filename', 'backing-filename-format', 'cluster-size', 'filename', 'format',
        'format-specific', 'full-backing-filename', 'virtual-size']")" = True ]
    [ "$(info sub/disk.addcow "[j[k] for k in ('filename', 'format', 'virtual-size', 'cluster-size')] == [
        'sub/disk.addcow', 'add-cow', 5000, 4096]")" = True ]
    [ "$(info sub/disk.addcow "[j[k] for k in ('backing-filename', 'full-backing-filename')] == [
        'base.raw', 'sub/base.raw']")" = True ]
    [ "$(info sub/disk.addcow "j['backing-filename-format']")" = raw ]
    [ "$(info sub/disk.addcow "str(j['format-specific']) == str({'type': 'add-cow', 'data': {
        'layout': 'r20', 'image-filename': 'image.raw', 'full-image-filename': 'sub/image.raw', 'image-format': 'raw',
        'all-allocated': False, 'compatible-features': '0x0', 'chain-depth': 0}})")" = True ]
    [ "$(info sub/disk.addcow "j['actual-size'] % 512 == 0 and j['actual-size'] > 0")" = True ]
    addcow create -q -b disk.addcow -F add-cow -i top.raw --size 5000 sub/top.addcow
    [ "$(info sub/top.addcow "j['format-specific']['data']['chain-depth']")" = 1 ]
    # Without a backing file its fields are absent.
    addcow create -q -i image2.raw --size 5000 sub/wrapped.addcow
    [ "$(info sub/wrapped.addcow "[k for k in j if 'backing' in k]")" = "[]" ]
}

@test "info does not need the backing file, and does not open it" {
    random 1000 base.raw
    addcow create -q -b base.raw -i image1.raw lower.addcow
    addcow create -q -b lower.addcow -F add-cow -i image2.raw top.addcow
    addcow info top.addcow | grep -q 'chain depth: 1$'
    rm base.raw
    addcow info lower.addcow | grep -q 'backing file: base.raw'
    addcow info top.addcow | grep -q 'chain depth: 1$'
    rm lower.addcow
    addcow info top.addcow | grep -q 'chain depth: unknown'
    [ "$(info top.addcow "'chain-depth' in j['format-specific']['data']")" = False ]
    [ "$(info top.addcow "j['full-backing-filename']")" = lower.addcow ]
    # All else that needs it still does.
    refused 1 "lower.addcow: cannot open for reading" map top.addcow
    refused 1 "lower.addcow: cannot open for reading" read top.addcow
}

@test "info --backing-chain shows every file below, down to the raw one" {
    mkdir sub
    random 1000 sub/base.raw
    addcow create -q -b base.raw -i image1.raw -s 2000 sub/lower.addcow
    addcow create -q -b sub/lower.addcow -F add-cow -i image2.raw -s 3000 top.addcow
    addcow info --backing-chain --output=json top.addcow >chain.json
    [ "$(json chain.json "[(i['filename'], i['format'], i['virtual-size']) for i in j] == [
        ('top.addcow', 'add-cow', 3000), ('sub/lower.addcow', 'add-cow', 2000),
        ('sub/base.raw', 'raw', 1000)]")" = True ]
    [ "$(json chain.json "sorted(j[2])")" = "['actual-size', 'filename', 'format', 'virtual-size']" ]
    [ "$(json chain.json "[i['format-specific']['data']['chain-depth'] for i in j[:2]]")" = "[1, 0]" ]
    # For people, each one is described as it is alone; an empty line stands between two.
    addcow info --backing-chain top.addcow >out
    { addcow info top.addcow && echo && addcow info sub/lower.addcow && echo; } >expected
    head -n "$(wc -l <expected)" out | cmp - expected
    [ "$(tail -n 4 out | head -n 3)" = "image: sub/base.raw
file format: raw
virtual size: 0.977 KiB (1000 bytes)" ]
    # What is not used any more is not shown (LNK-10).
    addcow stream -q top.addcow
    addcow info --backing-chain --output=json top.addcow >chain.json
    [ "$(json chain.json "len(j)")" = 1 ]
}

@test "info --backing-chain with a file missing, in a loop, of too many levels" {
    random 1000 base.raw
    addcow create -q -b base.raw -i image1.raw lower.addcow
    addcow create -q -b lower.addcow -F add-cow -i image2.raw top.addcow
    rm base.raw
    refused 1 "base.raw: No such file" info --backing-chain top.addcow
    rm lower.addcow
    refused 1 "lower.addcow: cannot open for reading: No such file" info --backing-chain top.addcow
    ln -s top.addcow lower.addcow
    refused 1 "lower.addcow: the chain of backing files is a loop" info --backing-chain top.addcow
    addcow info top.addcow | grep -q 'chain depth: unknown'
}

@test "an unknown compatible feature is shown, ignored and kept (HDR-20, HDR-21)" {
    overlay 2M 1000001
    poke disk.addcow 39 '\x80'
    [ "$(info disk.addcow "j['format-specific']['data']['compatible-features']")" = 0x8000000000000000 ]
    addcow stream -q disk.addcow
    [ "$(peek disk.addcow 32 8)" = 0100000000000080 ]
}

@test "file names with control characters or invalid UTF-8 are printed safely" {
    name=$(printf 'a\nb\033[31mc\377.raw')
    random 1000 "$name"
    addcow create -q -i "$name" disk.addcow
    run addcow info disk.addcow
    [[ "$output" == *"image file: a?b?[31mc"* ]]
    [[ "$output" != *$'\033'* ]]
    [ "$(info disk.addcow "j['format-specific']['data']['image-filename']")" = \
        "$(printf 'a\nb\033[31mc\357\277\275.raw')" ]
    rm "$name"
    refused 1 "a?b?[31mc" info disk.addcow
}

@test "control characters beyond ASCII do not reach a terminal, letters do" {
    # As bytes and in UTF-8: CSI, a line separator, a mark that turns the direction; long forms, half of a pair, a cut.
    name=$(printf 'x\233\302\2331m\342\200\250\342\200\256\300\233\340\202\233\355\240\200\303')
    random 1000 "$name"
    addcow create -q -i "$name" disk.addcow
    addcow info disk.addcow >out
    grep -qF 'image file: x??1m??????????' out
    addcow info --output=json disk.addcow >>out
    addcow map disk.addcow >>out
    refused 1 "File exists" create -i "$name" --size 1 disk2.addcow
    printf '%s' "$stderr" >>out
    refused 2 "unknown command 'x??1m" "$name"
    printf '%s' "$stderr" >>out
    [ "$(LC_ALL=C tr -d '\n -~' <out | wc -c)" -eq 0 ]
    # JSON keeps all that is UTF-8.
    [ "$(info disk.addcow "ascii(j['format-specific']['data']['image-filename'])")" = \
        "'x\\ufffd\\x9b1m\\u2028\\u202e$(printf '\\ufffd%.0s' {1..9})'" ]
    # Letters that have such bytes in UTF-8 stay as they are.
    name=$(printf 'L\304\200\304\233\303\200-\344\270\200-\360\237\230\200.raw')
    random 1000 "$name"
    addcow create -q -i "$name" letters.addcow
    run addcow info letters.addcow
    [[ "$output" == *"image file: $name"* ]]
    [ "$(info letters.addcow "j['format-specific']['data']['image-filename'].encode()")" = \
        "$(python3 -c 'import sys, os; print(os.fsencode(sys.argv[1]))' "$name")" ]
}

@test "a message ends with the reason, however long the name is" {
    long=$(printf '%9000s' '' | tr ' ' n)
    refused 1 "File name too long" info "$long"
    refused 1 "File name too long" write -i "$long" disk.addcow
    refused 2 "try 'addcow --help'" "$long"
    deep=$(printf 'directory-of-a-hundred-bytes-%070d/' {1..15})
    mkdir -p "$deep"
    refused 1 "No such file or directory (unlinkable, LNK-06)" info "${deep}missing.addcow"
    [[ "$stderr" == *"missing.addcow: cannot open for reading: "* ]]
}

@test "map reports a search for holes that fails" {
    overlay 2M 1000001
    strace -qq -o /dev/null true 2>/dev/null || skip "strace cannot be used here"
    searching() {
        ASAN_OPTIONS=detect_leaks=0 strace -qq -o strace.log -e trace=lseek -e "inject=lseek:error=$1" \
            "$addcow" map --output=json disk.addcow
    }
    run --separate-stderr searching EIO
    [ "$status" -eq 1 ] && [ "$stderr" = "addcow: base.raw: at 0: the search for holes failed: Input/output error" ]
    # A file system that cannot tell has no holes.
    searching EINVAL >map.json
    [ "$(json map.json "[e['data'] for e in j]")" = "[True, False]" ]
}

@test "map for people lists what holds data" {
    overlay 2M 1000001
    random 512 data
    addcow write disk.addcow 1M <data
    run addcow map disk.addcow
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = "Offset          Length          Mapped to       File" ]
    [ "${lines[1]}" = "0               0xf4241         0               base.raw" ]
    [ "${lines[2]}" = "0x100000        0x10000         0x100000        image.raw" ]
    [ "${#lines[@]}" -eq 3 ]
}

@test "map as JSON" {
    overlay 2M 1000001
    random 512 data
    addcow write disk.addcow 1M <data
    addcow map --output=json disk.addcow >map.json
    cat >wanted <<'END'
[{"start": 0, "length": 1000001, "depth": 1, "present": true, "zero": false, "data": true, "offset": 0},
{"start": 1000001, "length": 48575, "depth": 0, "present": false, "zero": true, "data": false},
{"start": 1048576, "length": 65536, "depth": 0, "present": true, "zero": false, "data": true, "offset": 1048576},
{"start": 1114112, "length": 983040, "depth": 0, "present": false, "zero": true, "data": false}]
END
    diff map.json wanted
}

@test "map: a part of the disk" {
    overlay 2M 1000001
    addcow map --output=json --start-offset=999k --max-length=2k disk.addcow >map.json
    [ "$(json map.json "[(e['start'], e['length'], e['offset']) for e in j]")" = "[(1022976, 2048, 1022976)]" ] ||
        [ "$(json map.json "sum(e['length'] for e in j)")" -eq 2048 ]
    addcow map --output=json --start-offset=2M disk.addcow >map.json
    [ "$(json map.json "j")" = "[]" ]
    addcow map --output=json --start-offset=1999k --max-length=1G disk.addcow >map.json
    [ "$(json map.json "j[-1]['start'] + j[-1]['length']")" -eq 2097152 ]
    refused 1 "past the end of the disk" map --output=json --start-offset=2097153 disk.addcow
}

@test "map covers the disk without gaps, down a chain" {
    overlay 2M 1000001
    random 70000 data
    addcow write disk.addcow 100000 <data
    addcow create -q -c 4k -b disk.addcow -F add-cow -i top.raw --size 3000001 top.addcow
    addcow write top.addcow 150000 <data
    addcow map --output=json top.addcow >map.json
    addcow read top.addcow >whole
    python3 - <<'END'
import json
entries = json.load(open("map.json"))
whole = open("whole", "rb").read()
files = [open(name, "rb").read() for name in ("top.raw", "image.raw", "base.raw")]
position = 0
for entry in entries:
    assert entry["start"] == position and entry["length"] > 0
    content = whole[position:position + entry["length"]]
    if entry["present"]:
        start = entry["offset"]
        assert files[entry["depth"]][start:start + entry["length"]] == content
    if entry["zero"]:
        assert not any(content)
    assert entry["data"] != entry["zero"]
    position += entry["length"]
assert position == len(whole) == 3000001
assert {entry["depth"] for entry in entries if entry["present"]} == {0, 1, 2}
END
}

@test "map agrees with qemu-img on a qcow2 overlay with the same writes" {
    command -v qemu-io >/dev/null || skip "qemu-utils is not installed"
    random 1M base.raw
    truncate -s 3M base.raw
    addcow create -q -b base.raw -i image.raw --size 4M disk.addcow
    qemu-img create -q -f qcow2 -b base.raw -F raw disk.qcow2 4M
    for at in 0 131072 196608 2097152 3145728 4128768; do
        random 65536 data
        addcow write disk.addcow $at <data
        qemu-io -f qcow2 -c "write -q -s data $at 65536" disk.qcow2
    done
    addcow map --output=json disk.addcow >ours
    qemu-img map --output=json disk.qcow2 >theirs
    python3 - <<'END'
import json
def merged(name):
    """The entries without their offsets, which differ by design. Neighbours that differ in nothing else are joined."""
    result = []
    for entry in json.load(open(name)):
        entry.pop("offset", None)
        if result and all(result[-1][key] == entry[key] for key in ("depth", "present", "zero", "data")):
            result[-1]["length"] += entry["length"]
        else:
            result.append(entry)
    return result
ours, theirs = merged("ours"), merged("theirs")
assert ours == theirs, (ours, theirs)
END
}

@test "map of a wrapped image is qemu-img's map of the raw file" {
    command -v qemu-img >/dev/null || skip "qemu-utils is not installed"
    truncate -s 10M image.raw
    poke image.raw 3000000 data
    poke image.raw 10485759 x
    addcow create -q -i image.raw disk.addcow
    addcow map --output=json disk.addcow >ours
    qemu-img map -f raw --output=json image.raw >theirs
    [ "$(json ours "j")" = "$(json theirs "j")" ]
}

# Every command that the help lists.
commands() {
    addcow --help | sed -n 's/^  addcow \([a-z]*\) .*/\1/p'
}

@test "help: for the command and each subcommand, on standard output" {
    run --separate-stderr addcow --help
    [ "$status" -eq 0 ]
    [ -z "$stderr" ]
    [[ "${lines[0]}" == "Usage: addcow COMMAND"* ]]
    for command in $(commands); do
        [[ "$output" == *"addcow $command"* ]]
    done
    for command in $(commands); do
        for option in --help -h; do
            run --separate-stderr addcow "$command" "$option"
            [ "$status" -eq 0 ]
            [ -z "$stderr" ]
            [[ "${lines[0]}" == "Usage: addcow $command "* ]]
        done
    done
}

@test "the man page names every option that the help names" {
    page=$BATS_TEST_DIRNAME/../../tools/addcow.1
    for command in $(commands); do
        grep -q "^.Ss $command$" "$page"
        for option in $(addcow "$command" --help | grep -o -- '--[a-z-]*' | sort -u); do
            [ "$option" = --help ] || grep -q -- "-${option#--}" "$page"
        done
    done
}

@test "the man page and the first line of the help name the options of each command" {
    page=$BATS_TEST_DIRNAME/../../tools/addcow.1
    for command in $(commands); do
        # Each line of the help is that of an option with one or two spellings.
        addcow "$command" --help >help
        sed -n '/^Every command also takes/q; s/^  *\(-[-a-zA-Z=]*\)\(, \(--[-a-z]*\)\)\{0,1\}.*/\1 \3/p' help |
            sed 's/=[A-Z]*//g' >options
        sed -n "/^.Sh DESCRIPTION/q; /^.Cm $command$/,/^.Nm/p" "$page" >synopsis
        [ "$(wc -l <options)" -gt 1 ]
        while read -r one other; do
            [ "$one" = -h ] && continue
            echo "$command: $one $other"
            head -n 1 help | grep -q -E -- "(^|[^-a-z])($one${other:+|$other})([^-a-z]|$)"
            grep -q -E -- "Fl (${one#-}${other:+|${other#-}})( |$)" synopsis
        done <options
        # And nothing else.
        grep -o -E 'Fl [-a-zA-Z]+' synopsis >named
        while read -r _ one; do
            echo "$command: $one"
            grep -q -E -- "(^| )-$one( |$)" options
        done <named
    done
}

@test "version" {
    run addcow --version
    [ "$status" -eq 0 ]
    [[ "$output" =~ ^addcow\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
}

@test "wrong usage of the command" {
    refused 2 "missing command"
    refused 2 "unknown command 'frobnicate'" frobnicate
    refused 2 "unknown option '-x'" info -x disk.addcow
    refused 2 "unknown option '--frobnicate'" info --frobnicate disk.addcow
    refused 2 "unknown option '--quiet=5'" check --quiet=5 disk.addcow
    refused 2 "option '--repair' does not apply" info --repair disk.addcow
    refused 2 "option '-o' does not apply" info -o out disk.addcow
    refused 2 "option '--output' requires a value" info --output
    refused 2 "invalid value 'xml' for option '--output'" info --output=xml disk.addcow
    refused 2 "too few operands" info
    refused 2 "too many operands: 'b'" info a b
}

@test "files that are not disks are refused (LNK-06, HDR-01, HDR-02)" {
    refused 1 "nowhere: cannot open for reading: No such file or directory (unlinkable, LNK-06)" info nowhere
    mkdir directory
    : >empty
    random 4095 short
    printf 'QFI\373' >qcow2
    truncate -s 1M qcow2
    for command in info map read check; do
        refused 1 "directory" $command directory
    done
    for command in info map read; do
        refused 1 "malformed, HDR-01" $command empty
        refused 1 "malformed, HDR-01" $command short
        refused 1 "malformed, HDR-02" $command qcow2
        refused 1 "No such file" $command ''
        refused 1 "File name too long" $command "$(printf '%0300d' 1)"
    done
}
