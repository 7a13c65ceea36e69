#!/usr/bin/env bats
# shellcheck disable=SC2154 # what common.bash defines
# addcow check (spec section 14): every broken clause is named (CHK-01), and only what is certain is repaired (CHK-02).

load common

# A valid disk of 17 clusters of 4096 bytes, the last one partial, two of them allocated.
small_overlay() {
    random 50000 base.raw
    addcow create -q -c 4k -b base.raw -i image.raw --size 65537 disk.addcow
    random 5000 data
    addcow write disk.addcow 8000 <data
    addcow read disk.addcow >model
    cp disk.addcow valid.addcow
}

# found STATUS CLAUSE...: check ends with STATUS and names exactly these clauses, in this order.
found() {
    local wanted=$1
    shift
    run --separate-stderr addcow check --output=json disk.addcow
    echo "status $status, $output, $stderr"
    [ "$status" -eq "$wanted" ] || return 1
    [ -z "$stderr" ] || return 1
    echo "$output" >found.json
    [ "$(json found.json "' '.join(f['clause'] for f in j['findings'])")" = "$*" ]
}

# unchanged COMMAND...: the command leaves disk.addcow, image.raw and base.raw as they are.
unchanged() {
    local before after
    before=$(cat disk.addcow image.raw base.raw | sha256sum)
    "$@" || true
    after=$(cat disk.addcow image.raw base.raw | sha256sum)
    [ "$before" = "$after" ]
}

@test "a valid disk: status 0, text and JSON" {
    small_overlay
    run addcow check disk.addcow
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = "No errors were found on the disk." ]
    [ "${lines[1]}" = "3/17 = 17.65% allocated" ]
    found 0
    [ "$(json found.json "sorted(j) == [
        'allocated-clusters', 'check-errors', 'corruptions', 'corruptions-fixed', 'filename', 'findings', 'format',
        'total-clusters']")" = True ]
    [ "$(json found.json "(j['allocated-clusters'], j['total-clusters'], j['corruptions'])")" = "(3, 17, 0)" ]
    run addcow check -q disk.addcow
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    unchanged addcow check --repair disk.addcow
}

@test "each rule of the r20 header is named (CHK-01)" {
    small_overlay
    local offset bytes clauses count=0
    while read -r offset bytes clauses; do
        cp valid.addcow disk.addcow
        poke disk.addcow "$offset" "$bytes"
        # shellcheck disable=SC2086 # a list of words
        found 3 $clauses
        unchanged addcow check --repair -q disk.addcow
        count=$((count + 1))
    done <<'END'
0 X HDR-02
24 \x01 HDR-03
31 \x80 HDR-03
20 \x0b HDR-04
20 \x16 HDR-04
40 \x01 HDR-05
4 \x00 HDR-07
8 \x00 HDR-07
4 \x4b HDR-08
10 \xff HDR-08
77 \x00 HDR-09
12 \x00 HDR-10
16 \x00\x00\x00\x00 HDR-10
18 \xff HDR-11
87 \x00 HDR-12
12 \x53 HDR-13 HDR-18 LNK-06
44 rawwwwwwwwwwwwww HDR-14
50 x HDR-14
44 \x00\x00\x00 HDR-15
65 x HDR-16
60 \x00\x00\x00 HDR-17
4095 x HDR-18
END
    [ "$count" -eq 22 ]
}

@test "files cut in the header and in the bitmap (HDR-01, HDR-06, BMP-03)" {
    small_overlay
    truncate -s 4095 disk.addcow
    found 3 HDR-01
    truncate -s 0 disk.addcow
    found 3 HDR-01
    cp valid.addcow disk.addcow
    truncate -s 4098 disk.addcow
    found 3 BMP-03
    unchanged addcow check -q --repair disk.addcow
    refused 1 "malformed, BMP-03" read disk.addcow
    rm image.raw
    addcow create -q --force -c 64k -b base.raw -i image.raw --size 65537 disk.addcow
    truncate -s 65535 disk.addcow
    found 3 HDR-06
}

@test "names that are the same (HDR-19), and the rules of r9" {
    random 50000 base.raw
    addcow create -q --layout r9 -b base.raw -i image.raw --size 65537 disk.addcow
    cp disk.addcow valid.addcow
    found 0
    local offset bytes clauses
    while read -r offset bytes clauses; do
        cp valid.addcow disk.addcow
        poke disk.addcow "$offset" "$bytes"
        # shellcheck disable=SC2086 # a list of words
        found 3 $clauses
    done <<'END'
8 \x02 HR9-01
21 x HR9-02
12 \x00\x00\x00\x00\x00\x00\x00\x00 HR9-03
1050 x HR9-04
1036 \x00\x00\x00\x00\x00\x00\x00\x00\x00 HR9-05
2060 x HR9-06
1036 base.raw\x00 HR9-07
END
    rm image.raw
    addcow create -q --force -b base.raw -i mage.raw --size 65537 disk.addcow
    poke disk.addcow 84 base.raw
    found 3 HDR-19
}

@test "several broken clauses are all named, also across the parts of a file (CHK-01)" {
    small_overlay
    poke disk.addcow 24 '\x01'
    poke disk.addcow 65 'x'
    poke disk.addcow 4000 'x'
    found 3 HDR-03 HDR-16 HDR-18
    cp valid.addcow disk.addcow
    poke disk.addcow 4000 'x'
    poke disk.addcow 65 'x'
    poke disk.addcow 4098 '\xff'
    rm base.raw
    found 3 HDR-16 HDR-18 LNK-06 BMP-05
    [ "$(json found.json "[f['repairable'] for f in j['findings']]")" = "[False, False, False, False]" ]
    cp valid.addcow disk.addcow
    poke disk.addcow 76 'nbd:x'
    poke disk.addcow 44 'foo'
    poke disk.addcow 60 'bar'
    found 3 LNK-03 LNK-02 LNK-04
}

@test "formats, protocols and links (LNK)" {
    small_overlay
    poke disk.addcow 44 'vpc'
    found 3 LNK-04
    cp valid.addcow disk.addcow
    poke disk.addcow 60 'vpc'
    found 3 LNK-03
    cp valid.addcow disk.addcow
    poke disk.addcow 76 'a:'
    found 3 LNK-02
    poke disk.addcow 84 'a:'
    found 3 LNK-02 LNK-02
    cp valid.addcow disk.addcow
    mv base.raw moved
    found 3 LNK-06
    mkdir base.raw
    found 3 LNK-06
    rmdir base.raw
    ln -s image.raw base.raw
    found 3 LNK-07
    ln -sf disk.addcow base.raw
    found 3 LNK-07
    rm base.raw
    mv moved base.raw
    rm image.raw
    found 3 LNK-06
    ln base.raw image.raw
    found 3 LNK-07
}

@test "chains: what is broken further down, loops, depth (LNK-07, LNK-08, LNK-09)" {
    small_overlay
    addcow create -q -b disk.addcow -F add-cow -i top.raw --size 65537 top.addcow
    addcow check -q top.addcow
    poke disk.addcow 24 '\x01'
    run addcow check top.addcow
    [ "$status" -eq 3 ]
    [[ "${lines[0]}" == "HDR-03: unsupported: disk.addcow: "* ]]
    cp valid.addcow disk.addcow
    mv base.raw moved
    ln top.raw base.raw
    run addcow check top.addcow
    [ "$status" -eq 3 ]
    [[ "${lines[0]}" == "LNK-07: unlinkable: base.raw: "* ]]
    rm base.raw
    ln -s top.addcow base.raw
    run addcow check top.addcow
    [ "$status" -eq 3 ]
    [[ "${lines[0]}" == "LNK-07: unlinkable: "* ]]
}

@test "the backing file of an all-allocated disk need not exist (LNK-10)" {
    small_overlay
    addcow stream -q disk.addcow
    rm base.raw
    addcow check -q disk.addcow
}

@test "bits past the last cluster: named and cleared (BMP-05, BMP-04)" {
    small_overlay
    # 17 clusters: bit 17 is in byte 2.
    poke disk.addcow 4098 '\x82'
    found 3 BMP-05
    [ "$(json found.json "[f['repairable'] for f in j['findings']]")" = "[True]" ]
    poke disk.addcow 8000 '\x01'
    found 3 BMP-04 BMP-05
    reads_as disk.addcow model
    run addcow check disk.addcow
    [ "$status" -eq 3 ]
    [ "${lines[1]% the first*}" = "BMP-05: malformed: disk.addcow: 3 bits past the last cluster are set," ]
    [[ "${lines[1]}" == *", the first one for cluster 17 [repairable with --repair]" ]]
    [ "${lines[2]}" = "2 broken clauses were found." ]
    cp image.raw image.before
    run addcow check --repair disk.addcow
    [ "$status" -eq 0 ]
    [[ "${lines[0]}" == "BMP-04: "*"[repaired]" ]]
    [ "${lines[2]}" = "2 broken clauses were repaired." ]
    [ "${lines[3]}" = "No errors are left on the disk." ]
    cmp disk.addcow valid.addcow
    cmp image.raw image.before
    found 0
    reads_as disk.addcow model
}

@test "bits past the end in a file that was not cut yet, as after a crash in a shrink" {
    small_overlay
    truncate -s 3M disk.addcow
    found 0
    poke disk.addcow 3000000 '\x10'
    found 3 BMP-04 BMP-05
    addcow check -q --repair disk.addcow
    found 0
    # Growing does not bring anything back.
    addcow resize -q disk.addcow 100M
    truncate -s 100M model
    reads_as disk.addcow model
}

@test "short padding: named and extended (BMP-04)" {
    small_overlay
    truncate -s 4099 disk.addcow
    found 3 BMP-04
    reads_as disk.addcow model
    addcow check -q --repair disk.addcow
    cmp disk.addcow valid.addcow
    # r9 has no padding.
    rm image.raw
    addcow create -q --force --layout r9 -b base.raw -i image.raw --size 65537 disk.addcow
    [ "$(length disk.addcow)" -eq 4097 ]
    found 0
    poke disk.addcow 4096 '\x04'
    found 3 BMP-05
}

@test "\"all allocated\" with clear bits: named and set (VRT-05)" {
    random 65537 image.raw
    cp image.raw model
    addcow create -q -c 4k -i image.raw disk.addcow
    cp disk.addcow valid.addcow
    poke disk.addcow 4096 '\xfe\xff\x00'
    found 3 VRT-05
    [[ "$output" == *"older drivers write such files; harmless, and a repair sets the bits"* ]]
    reads_as disk.addcow model
    addcow check -q --repair disk.addcow
    cmp disk.addcow valid.addcow
    cmp image.raw model
}

@test "a bitmap of many chunks is repaired everywhere" {
    truncate -s 100G base.raw
    addcow create -q -c 4k -b base.raw -i image.raw --size 99999999999 disk.addcow
    cp disk.addcow valid.addcow
    addcow resize -q --shrink disk.addcow 20000000000
    cp disk.addcow after
    # 4882813 clusters: bytes 4096 + 610351 and on hold bits past the end.
    for at in 614448 1052671 1052672 2101248 3000000; do
        poke disk.addcow $at '\x01'
    done
    found 3 BMP-04 BMP-05
    addcow check -q --repair disk.addcow
    cmp disk.addcow after
}

@test "repair changes nothing that is ambiguous" {
    small_overlay
    # With a broken header nothing is certain.
    poke disk.addcow 4000 x
    poke disk.addcow 4098 '\x82'
    found 3 HDR-18 BMP-05
    unchanged addcow check -q --repair disk.addcow
    # Without its image, neither.
    cp valid.addcow disk.addcow
    poke disk.addcow 4098 '\x82'
    mv image.raw moved
    found 3 LNK-06
    cp disk.addcow before
    run addcow check -q --repair disk.addcow
    [ "$status" -eq 3 ]
    cmp disk.addcow before
}

@test "files that cannot be checked: status 1 (LNK-06, LCK-02)" {
    refused 1 "No such file" check nowhere
    refused 1 "No such file" check --repair nowhere
    mkdir directory
    refused 1 "is not a regular file" check directory
    small_overlay
    hold disk.addcow model
    refused 1 "busy, LCK-02" check disk.addcow
    refused 1 "busy, LCK-02" check --repair disk.addcow
    exec 5>&-
    wait
    found 0
}

@test "repair on a file that can only be read: readonly, nothing changed" {
    small_overlay
    poke disk.addcow 4098 '\x82'
    mkdir readonly
    cp disk.addcow image.raw base.raw readonly/
    mount --bind readonly readonly 2>/dev/null && mount -o remount,ro,bind readonly || skip "no permission to mount"
    refused 1 "(readonly, LNK-06)" check --repair readonly/disk.addcow
    run addcow check -q readonly/disk.addcow
    [ "$status" -eq 3 ]
}

@test "for any bytes of the header, open and check agree and do not crash" {
    small_overlay
    python3 - "$addcow" <<'END'
import os, random, re, subprocess, sys
addcow = sys.argv[1]
source = random.Random(20260101)
valid = open("valid.addcow", "rb").read()
benign = {"BMP-04", "BMP-05", "VRT-05"}
def run(*arguments):
    done = subprocess.run([addcow, *arguments], capture_output=True, text=True, errors="replace")
    assert done.returncode in (0, 1, 3), (arguments, done.returncode, done.stderr)
    return done
opened = 0
for number in range(200):
    data = bytearray(valid)
    for _ in range(source.choice((1, 1, 2, 5))):
        data[source.choice((source.randrange(100), source.randrange(100), source.randrange(len(data))))] = \
            source.choice((0, 1, 0x7f, 0xff, source.randrange(256)))
    if source.random() < 0.2:
        del data[source.randrange(len(data)):]
    if source.random() < 0.05:
        data = source.randbytes(source.randrange(9000))
    with open("fuzzed.addcow", "wb") as file:
        file.write(data)
    opening = run("map", "fuzzed.addcow")
    check = run("check", "fuzzed.addcow")
    clauses = {line.split(":")[0] for line in check.stdout.splitlines() if re.match(r"[A-Z][A-Z0-9]{2}-\d\d: ", line)}
    if opening.returncode == 0:
        opened += 1
        assert clauses <= benign, (number, clauses)
        assert (check.returncode == 3) == bool(clauses), number
    else:
        refused = re.search(r"\((?:[a-z]+), ([A-Z0-9]+-\d\d)\)\n", opening.stderr).group(1)
        assert check.returncode == 3 and refused in clauses, (number, opening.stderr, check.stdout)
assert 10 < opened < 190, opened
END
}
