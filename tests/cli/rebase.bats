#!/usr/bin/env bats
# shellcheck disable=SC2154,SC2317 # what common.bash defines, and what `run` calls
# addcow rebase (spec section 9).

load common

# A disk of 3,000,000 bytes over `old.raw`, with some data of its own; and the file `model` that it equals. `new.raw`
# has another length, and other bytes in one cluster.
two_bases() {
    random 2500000 old.raw
    cp old.raw new.raw
    random 100 data
    model_write new.raw 700000 <data
    truncate -s "${1:-2000000}" new.raw
    addcow create -q -b old.raw -i image.raw --size 3000000 disk.addcow
    cp old.raw model
    truncate -s 3000000 model
    overlay_write 100000 70000
}

# The clusters that the image holds.
allocated() {
    addcow map --output=json disk.addcow >map.json
    json map.json "[k for i in j if i['depth'] == 0 and i['present']
        for k in range(i['start'] // 65536, -(-(i['start'] + i['length']) // 65536))]"
}

@test "rebase: the disk reads the same, and only what differs is copied (RBS-01)" {
    two_bases
    [ "$(allocated)" = "[1, 2]" ]
    run addcow rebase -b new.raw disk.addcow
    [ "$status" -eq 0 ] && [ "$output" = "Image rebased." ]
    reads_as disk.addcow model
    # 700000 is in cluster 10; new.raw ends in cluster 30, old.raw in 38.
    [ "$(allocated)" = "[1, 2, 10, 30, 31, 32, 33, 34, 35, 36, 37, 38]" ]
    [ "$(info disk.addcow "j['backing-filename']")" = new.raw ]
    rm old.raw
    reads_as disk.addcow model
    addcow check -q disk.addcow
}

@test "rebase onto a longer file, onto none, and from none (RBS-01)" {
    two_bases 2900000
    addcow rebase -q -b new.raw disk.addcow
    reads_as disk.addcow model
    [ "$(allocated)" = "[1, 2, 10]" ] # the rest is zeros in both
    addcow rebase -q -b '' disk.addcow
    reads_as disk.addcow model
    [ "$(info disk.addcow "'backing-filename' in j")" = False ]
    addcow check -q disk.addcow
    random 3000000 other.raw
    addcow rebase -q -b other.raw disk.addcow
    reads_as disk.addcow model
}

@test "rebase into the chain of the old backing file, with another format" {
    two_bases
    addcow create -q -b old.raw -i lower.raw --size 2600000 lower.addcow
    addcow write lower.addcow 2000000 <data
    addcow create -q -b lower.addcow -F add-cow -i top.raw --size 3000000 top.addcow
    addcow read top.addcow >before
    addcow rebase -q -b old.raw top.addcow
    reads_as top.addcow before
    [ "$(info top.addcow "j['backing-filename-format']")" = raw ]
    addcow rebase -q -b lower.addcow -F add-cow top.addcow
    reads_as top.addcow before
    [ "$(info top.addcow "j['backing-filename-format']")" = add-cow ]
    refused 1 "LNK-07" rebase -b top.addcow -F add-cow top.addcow
    refused 1 "LNK-07" rebase -b top.addcow -F add-cow lower.addcow
    reads_as top.addcow before
}

@test "rebase --unsafe changes the name only, also when the old backing file is gone (RBS-05)" {
    two_bases
    mv old.raw moved.raw
    refused 1 "old.raw: cannot open for reading" rebase -b moved.raw disk.addcow
    addcow rebase -q -u -b moved.raw disk.addcow
    reads_as disk.addcow model
    [ "$(allocated)" = "[1, 2]" ]
    addcow rebase -q --unsafe -b not-there-yet.raw disk.addcow
    [ "$(info disk.addcow "j['backing-filename']")" = not-there-yet.raw ]
    refused 1 "not-there-yet.raw" read disk.addcow
    ln moved.raw not-there-yet.raw
    reads_as disk.addcow model
}

@test "rebase of a disk that needs no backing file (LNK-10), and of layout r9" {
    two_bases
    addcow stream -q disk.addcow
    rm old.raw
    addcow rebase -q -b new.raw disk.addcow
    reads_as disk.addcow model
    random 300000 old.raw
    addcow create -q --layout r9 -b old.raw -i image9.raw disk9.addcow
    addcow rebase -q -b new.raw disk9.addcow
    reads_as disk9.addcow old.raw
    refused 1 "HR9-08" rebase -b '' disk9.addcow
    refused 1 "HR9-08" rebase -b disk.addcow -F add-cow disk9.addcow
}

@test "rebase is refused where the new disk would not open, and changes nothing (RBS-02)" {
    two_bases
    cp disk.addcow before
    refused 1 "nowhere.raw: cannot open for reading" rebase -b nowhere.raw disk.addcow
    refused 1 "HDR-19" rebase -b image.raw disk.addcow
    refused 1 "LNK-07" rebase -b ./image.raw disk.addcow
    refused 1 "LNK-04" rebase -b new.raw -F qcow2 disk.addcow
    refused 1 "LNK-02" rebase -u -b nbd:new.raw disk.addcow
    refused 1 "RBS-02" rebase -u -b "$(printf '%0500d' 0)" disk.addcow
    refused 2 "missing option -b" rebase disk.addcow
    refused 2 "requires a backing file" rebase -b '' -F raw disk.addcow
    refused 2 "requires a backing file" rebase -u -b '' -F raw disk.addcow
    cmp disk.addcow before
    hold disk.addcow model
    refused 1 "busy" rebase -u -b new.raw disk.addcow
    exec 5>&-
    wait
}

@test "rebase: a signal stops it without data loss, and SIGUSR1 shows progress" {
    strace -qq -o /dev/null true 2>/dev/null || skip "strace cannot be used here"
    two_bases
    ASAN_OPTIONS=detect_leaks=0 run --separate-stderr strace -qq -o strace.log -e trace=pwrite64 \
        -e inject=pwrite64:signal=USR1:when=1 "$addcow" rebase -q -b new.raw disk.addcow
    [ "$status" -eq 0 ] && [[ "$stderr" == *"/100%)"* ]]
    reads_as disk.addcow model
    random 3000000 third.raw
    ASAN_OPTIONS=detect_leaks=0 run --separate-stderr strace -qq -o strace.log -e trace=pwrite64 \
        -e inject=pwrite64:signal=TERM:when=2 "$addcow" rebase -q -b third.raw disk.addcow
    [ "$status" -eq 143 ] && [[ "$stderr" == "addcow: disk.addcow: interrupted; no data is lost"* ]]
    [ "$(info disk.addcow "j['backing-filename']")" = new.raw ]
    reads_as disk.addcow model
}
