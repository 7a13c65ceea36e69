#!/usr/bin/env bats
# shellcheck disable=SC2154 # what common.bash defines
# Every number that the command line takes, at the values where a parser or a comparison may go wrong: sizes of every
# form, and the limits of each option and operand. No number stands for "not given".

load common

# Each test needs one disk of 1000001 bytes whose backing file has 500001.
disk() {
    random 500001 base.raw
    addcow create -q -b base.raw -i image.raw --size 1000001 disk.addcow
    addcow read disk.addcow >model
}

MAX=18446744073709551615

# Sizes, each with its bytes.
SIZES='
1000002 1000002
1000002b 1000002
1000002B 1000002
1000002.0 1000002
0001000002 1000002
977k 1000448
977K 1000448
1m 1048576
1M 1048576
1g 1073741824
1G 1073741824
1t 1099511627776
1T 1099511627776
1p 1125899906842624
1P 1125899906842624
1e 1152921504606846976
1E 1152921504606846976
5.5M 5767168
5.5m 5767168
1.5g 1610612736
.5g 536870912
5.g 5368709120
1.99999999999999999999999999m 2097151
0.9999999999e 1152921504491554825
976.99999k 1000447
0x1000000 16777216
0XfffffF 16777215
0x1000k 4194304
0x1000000b 268435467
0x1000000e 268435470
0x1000000E 268435470
18014398509481983k 18446744073709550592
17592186044415M 18446744073708503040
17179869183G 18446744072635809792
16777215T 18446742974197923840
16383P 18445618173802708992
15E 17293822569102704640
15.999999999999999999E 18446744073709551614
18014398509481983.9999k 18446744073709551615
18446744073709551614 18446744073709551614
18446744073709551615 18446744073709551615
0xffffffffffffffff 18446744073709551615
9223372036854775807 9223372036854775807
9223372036854775808 9223372036854775808
4294967295 4294967295
4294967296 4294967296
'

# each STATUS ARGUMENTS TEXT <TABLE: for every line `VALUE RESULT` (a tab between them) the command must end with
# STATUS, print nothing on standard output, and one line with TEXT on standard error. @ stands for VALUE in ARGUMENTS, %
# for RESULT in TEXT. In Python, as bats takes longer for a command than the command does.
each() {
    python3 -c '
import subprocess, sys
status, arguments, text = int(sys.argv[2]), sys.argv[3].split(" "), sys.argv[4]
for line in sys.stdin.read().split("\n"):
    value, _, result = line.partition("\t")
    if not line:
        continue
    value = value.encode().decode("unicode_escape").encode("latin-1").decode()
    run = subprocess.run([sys.argv[1]] + [word.replace("@", value) for word in arguments], stdin=subprocess.DEVNULL,
                         capture_output=True)
    error = run.stderr.decode()
    wanted = text.replace("%", result)
    assert run.returncode == status and not run.stdout and error.count("\n") == 1, (value, run)
    assert error.startswith("addcow: ") and wanted in error, (value, wanted, error)
' "$addcow" "$@"
}

@test "sizes of every form mean the bytes that they say" {
    disk
    table=$(sed '/^$/d; s/ /\t/' <<<"$SIZES")
    each 1 "read disk.addcow @ 1" ": 1 bytes at offset % are not within" <<<"$table"
    each 1 "read disk.addcow 0 @" ": % bytes at offset 0 are not within" < <(tail -n 2 <<<"$table")
    each 1 "map --start-offset=@ disk.addcow" "offset % is past the end" <<<"$table"
}

# What people type that is no size: nothing, signs, spaces, unknown or doubled suffixes, exponents, a byte that is not
# whole, digits of other bases and scripts, and for each suffix the first number of 2^64 bytes.
NO_SIZES='\x20
\x201
1\x20
1\n
\t1
k
x
1x
1kk
1kB
1KiB
1k\x20
1\x20k
1e3
1_000
1,5k
++1
+-1
.
.k
..5k
1..5k
1.5.5k
1.5
.5
1.5b
1.5B
1.-5k
1.+5k
1.\x205k
0x
0X
0xg
0x\x201
0x-1
0x1.8k
0x.8k
x10
0b1
0x1p3
nan
inf
infinity
1k1
\xef\xbc\x91
18446744073709551616
18446744073709551616b
99999999999999999999999999
0x10000000000000000
18014398509481984k
17592186044416M
17179869184G
16777216T
16384P
16E
18014398509481984K
17592186044416m
17179869184g
16777216t
16384p
16e
16.0E
18014398509481984.5k
'

@test "what is no size is refused by every option and operand, and nothing is touched" {
    disk
    cp disk.addcow before
    each 2 "read disk.addcow @" "is not a size" <<<"$NO_SIZES"
    each 2 "create -i new.raw --size=@ new.addcow" "invalid value" <<<"$NO_SIZES"
    # The others use the same parser: a few values show that they heed its answer.
    for arguments in "read disk.addcow 0 @" "write disk.addcow @" "zero disk.addcow 0 @" "zero disk.addcow @ 0" \
        "discard disk.addcow 0 @" "discard disk.addcow @ 0" "resize --shrink disk.addcow @" \
        "resize --shrink disk.addcow +@" "resize --shrink disk.addcow -@"; do
        each 2 "$arguments" "is not a size" < <(tail -n 4 <<<"$NO_SIZES")
    done
    for arguments in "map --start-offset=@ disk.addcow" "map --max-length=@ disk.addcow" \
        "create -i new.raw --size=1M --cluster-size=@ new.addcow"; do
        each 2 "$arguments" "invalid value" < <(tail -n 4 <<<"$NO_SIZES")
    done
    for text in -1 +1 ''; do
        refused 2 "is not a size" read disk.addcow -- "$text"
        refused 2 "is not a size" zero disk.addcow 0 -- "$text"
        refused 2 "invalid value" create -i new.raw -s "$text" new.addcow
        refused 2 "invalid value" create -i new.raw -s 1M -c "$text" new.addcow
        refused 2 "invalid value" map --max-length "$text" disk.addcow
    done
    cmp disk.addcow before
    [ ! -e new.raw ] && [ ! -e new.addcow ]
}

@test "read: offsets and lengths at the limits of the disk and of 64 bits" {
    disk
    for range in "0 0" "0 1" "0 1000000" "0 1000001" "1 1000000" "1000000 1" "1000000 0" "1000001 0" "500000 2"; do
        # shellcheck disable=SC2086 # a list of words
        addcow read disk.addcow $range >out
        read -r offset count <<<"$range"
        cmp out <(tail -c "+$((offset + 1))" model | head -c "$count")
    done
    [ "$(addcow read disk.addcow 1000000 | wc -c)" -eq 1 ]
    [ "$(addcow read disk.addcow 1000001 | wc -c)" -eq 0 ]
    for range in "0 1000002" "1 1000001" "1000001 1" "1000002 0" "1000002" "0 $MAX" "1 $MAX" "$MAX 0" "$MAX 1" \
        "$MAX $MAX" "$MAX" "2 18446744073709551614" "9223372036854775808 9223372036854775808"; do
        # shellcheck disable=SC2086 # a list of words
        refused 1 "are not within the disk" read disk.addcow $range
    done
}

@test "write, zero and discard: offsets and lengths at the limits of the disk and of 64 bits" {
    disk
    cp disk.addcow before
    for command in zero discard; do
        for range in "0 1000002" "1 1000001" "1000001 1" "1000002 0" "0 $MAX" "1 $MAX" "$MAX 0" "$MAX 1" "$MAX $MAX"; do
            # shellcheck disable=SC2086 # a list of words
            refused 1 "(range" $command disk.addcow $range
        done
        for range in "0 0" "1000000 0" "1000001 0"; do
            # shellcheck disable=SC2086 # a list of words
            addcow $command disk.addcow $range
        done
        cmp disk.addcow before
    done
    for offset in 1000002 "$MAX" 9223372036854775808; do
        refused 1 "(range" write disk.addcow "$offset"
        refused 1 "(range" write -i base.raw disk.addcow "$offset"
    done
    refused 1 "(range" write -i base.raw disk.addcow 500001
    cmp disk.addcow before
    addcow write disk.addcow 1000001 </dev/null
    addcow write disk.addcow 500000 <base.raw
    for range in "1000000 1" "0 1" "0 1000001"; do
        # shellcheck disable=SC2086 # a list of words
        addcow zero disk.addcow $range
    done
    cmp <(addcow read disk.addcow) <(head -c 1000001 /dev/zero)
}

@test "map: start and length at the limits of the disk and of 64 bits" {
    disk
    # covers OPTION... : the bytes that the listed entries have together
    covers() {
        addcow map --output=json "$@" disk.addcow >map.json
        json map.json "sum(e['length'] for e in j)"
    }
    [ "$(covers)" -eq 1000001 ]
    for pair in "0 0" "1 1" "1000000 1000000" "1000001 1000001" "1000002 1000001" "$MAX 1000001" "15E 1000001"; do
        read -r count wanted <<<"$pair"
        [ "$(covers --max-length="$count")" -eq "$wanted" ]
    done
    for pair in "0 1000001" "1 1000000" "1000000 1" "1000001 0"; do
        read -r start wanted <<<"$pair"
        [ "$(covers --start-offset="$start")" -eq "$wanted" ]
        [ "$(covers --start-offset="$start" --max-length="$MAX")" -eq "$wanted" ]
    done
    for start in 1000002 "$MAX" 9223372036854775808; do
        refused 1 "past the end of the disk" map --output=json --start-offset="$start" disk.addcow
    done
}

@test "create: sizes and cluster sizes at their limits" {
    random 5000 base.raw
    for size in 0 1 511 512 4095 4096 4097 65536 5.5M 1t; do
        addcow create -q -i image.raw --size "$size" disk.addcow
        addcow check -q disk.addcow
        rm image.raw disk.addcow
    done
    for size in 4611686018427387905 4.5E 9223372036854775807 9223372036854775808 18446744073709551614 "$MAX"; do
        refused 1 "unsupported, VRT-01" create -i image.raw -s "$size" disk.addcow
        refused 1 "unsupported, VRT-01" create -b base.raw -i image.raw -s "$size" disk.addcow
        : >image.raw
        refused 1 "image.raw: File exists" create -i image.raw -s "$size" disk.addcow
        rm image.raw
    done
    for cluster in 4k 4K 4096 8k 64k 1m 1M 2m 2M 2097152 0x1000 0.5m; do
        addcow create -q -i image.raw -s 1 -c "$cluster" disk.addcow
        rm image.raw disk.addcow
    done
    for cluster in 0 1 2 4095 4097 2048 6k 2097151 2097153 4M 4294967296 4294971392 1E 9223372036854775808 \
        18446744073709551614 "$MAX" 0xffffffffffffffff; do
        refused 2 "must be a power of two from 4k to 2M" create -i image.raw -s 1 -c "$cluster" disk.addcow
    done
    [ "$(echo *)" = base.raw ]
}

@test "resize: absolute and relative sizes at their limits" {
    disk
    cp disk.addcow before
    refused 1 "--shrink" resize disk.addcow 0
    refused 1 "--shrink" resize disk.addcow 1000000
    refused 1 "--shrink" resize disk.addcow -1
    refused 1 "(range" resize --shrink disk.addcow -1000002
    refused 1 "(range" resize --shrink disk.addcow "-$MAX"
    for size in 4611686018427387905 18446744073709551614 "$MAX" "+$MAX" +18446744073708551615 +4.1E 4.1e; do
        refused 1 "(range" resize disk.addcow "$size"
    done
    for size in 1000001 +0 -0; do
        addcow resize -q disk.addcow "$size"
    done
    cmp disk.addcow before
    addcow resize -q disk.addcow +0.5k
    [ "$(length image.raw)" -eq 1000513 ]
    addcow resize -q disk.addcow 1.5m
    [ "$(length image.raw)" -eq 1572864 ]
    addcow resize -q --shrink disk.addcow -1.5M
    [ "$(length image.raw)" -eq 0 ]
}

@test "measure: sizes and cluster sizes at their limits" {
    for size in 0 1 511 512 4611686018427387903 4611686018427387904; do
        [ "$(addcow measure --size "$size" | wc -l)" -eq 2 ]
    done
    for size in 4611686018427387905 9223372036854775808 18446744073709551614 "$MAX" 0xffffffffffffffff; do
        refused 1 "above 2^62" measure --size "$size"
    done
    for cluster in 4096 2M; do
        addcow measure -c "$cluster" --size 1 >/dev/null
    done
    for cluster in 0 1 4095 4097 2097153 4M 4294967296 9223372036854775808 18446744073709551614 "$MAX"; do
        refused 2 "must be a power of two from 4k to 2M" measure -c "$cluster" --size 1
    done
    each 2 "measure --size=@" "invalid value" < <(tail -n 4 <<<"$NO_SIZES")
    each 2 "measure --size=1 --cluster-size=@" "invalid value" < <(tail -n 4 <<<"$NO_SIZES")
}

@test "resize --image-was: an old length at the limits of the disk and of 64 bits" {
    disk
    cp disk.addcow before
    for old in 1000002 9223372036854775808 18446744073709551614 "$MAX" 0xffffffffffffffff; do
        refused 1 "which is less than" resize --image-was="$old" disk.addcow
        refused 1 "which is less than" resize --image-was="$old" disk.addcow 1000001
    done
    each 2 "resize --image-was=@ disk.addcow" "invalid value" < <(tail -n 4 <<<"$NO_SIZES")
    refused 2 "invalid value ''" resize --image-was= disk.addcow
    cmp disk.addcow before
    addcow resize -q --image-was=1000001 disk.addcow
    [ "$(length image.raw)" -eq 1000001 ]
}

@test "--lock-wait: seconds at the limits, and what is none" {
    disk
    for seconds in 0 1 999999 000001; do
        addcow info --lock-wait="$seconds" disk.addcow >/dev/null
    done
    for seconds in '' ' ' -1 +1 1.5 1k 0x1 1000000 4294967296 4294967297 18446744073709551616 "$MAX" ' 1' '1 '; do
        refused 2 "invalid value '$seconds' for option '--lock-wait'" info --lock-wait="$seconds" disk.addcow
    done
}

# A new option that takes a number gets a test above, and then its name here. What `addcow nbd` does with --port is a
# matter of nbdkit.
@test "every option that takes a number has its limits tested" {
    for command in $(addcow --help | sed -n 's/^  addcow \([a-z]*\) .*/\1/p'); do
        addcow "$command" --help
    done | sed -nE 's/^ .*--([a-z-]+)=(SIZE|OFFSET|LENGTH|OLD|SECONDS|PORT|N|NUMBER|COUNT).*/\1/p' | sort -u >found
    diff found - <<'END'
cluster-size
image-was
lock-wait
max-length
port
size
start-offset
END
}

# A new option that takes the name of a file gets a line above, and then its name below.
@test "an empty name of a file is refused by every option that takes one" {
    disk
    cp disk.addcow before
    while read -r option command arguments; do
        # shellcheck disable=SC2086 # a list of words
        refused 2 "invalid value '' for option '$option'" $command "$option" '' $arguments
        echo "${option#--}" >>tested
    done <<'END'
--image create -s 1M new.addcow
--backing create -i new.raw -s 1M new.addcow
-o read disk.addcow
-i write disk.addcow
--base commit disk.addcow
--socket nbd disk.addcow
END
    cmp disk.addcow before
    [ ! -e new.raw ] && [ ! -e new.addcow ]
    addcow rebase -q -b '' disk.addcow # the one for which it means none
    for command in $(addcow --help | sed -n 's/^  addcow \([a-z]*\) .*/\1/p'); do
        addcow "$command" --help
    done | sed -nE -e 's/^ .*--([a-z-]+)=(IMAGE|BACKING|BASE|SOCKET|FILE|IN|OUT|PATH).*/\1/p' \
        -e 's/^ +-([a-z]) (IN|OUT) .*/-\1/p' | sort -u >found
    sort -u tested | diff found -
}

@test "--hide-image-data implies nothing but what it says" {
    random 5000 base.raw
    random 9000 image.raw
    cp image.raw before
    addcow create -q --hide-image-data -b base.raw -i image.raw disk.addcow
    cp disk.addcow disk.before
    # Not --force, no new image, no other length, not the backing file of the same name.
    refused 1 "disk.addcow: File exists" create --hide-image-data -b base.raw -i image.raw disk.addcow
    refused 1 "disk.addcow: File exists" create --hide-image-data -i image.raw disk.addcow
    refused 1 "image.raw: File exists" create --hide-image-data -b base.raw -i image.raw --size 9000 new.addcow
    refused 1 "image.raw: holds data" create --force -b base.raw -i image.raw disk.addcow
    refused 1 "LNK-07" create --hide-image-data -b image.raw -i ./image.raw new.addcow
    refused 1 "no add-cow file" create --hide-image-data --force -b base.raw -i image.raw before
    cmp image.raw before
    cmp disk.addcow disk.before
    [ "$(echo *)" = "base.raw before disk.addcow disk.before image.raw" ]
}
