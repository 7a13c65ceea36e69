#!/usr/bin/env bats
# shellcheck disable=SC2154,SC2317 # what common.bash defines, and what `run` calls
# Bad disks, bad parameters, failing storage, dying clients and servers: a clear message, and nothing lost.

load common

# will_not_start TEXT ARGUMENT...: nbdkit has to end with status 1 and a message that contains TEXT.
will_not_start() {
    local text=$1
    shift
    run timeout 10 nbdkit --exit-with-parent --unix none "$plugin" "$@"
    echo "status $status: $output"
    [ "$status" -eq 1 ] && [[ "$output" == *"$text"* ]] && [ ! -e none ]
}

@test "a server that has no disk to serve does not start, and says why" {
    make_disk
    will_not_start "either a disk (file=FILE) or a directory of disks"
    will_not_start "either a disk (file=FILE) or a directory of disks" disk.addcow dir=.
    will_not_start "there is one file" disk.addcow other.addcow
    will_not_start "nothing: No such file or directory" dir=nothing
    will_not_start "unknown parameter 'fiel'" disk.addcow fiel=x
    will_not_start "stream=now: is neither background nor none" disk.addcow stream=now
    will_not_start "could not parse size string (much)" disk.addcow stream-rate=much
    will_not_start "nothing.addcow: cannot open for reading: No such file or directory (unlinkable" nothing.addcow
    cp disk.addcow damaged.addcow
    poke damaged.addcow 20 '\x40'
    will_not_start "cluster_bits is not in 12..21 (malformed, HDR-04)" damaged.addcow
    mv base.raw gone.raw
    will_not_start "base.raw: cannot open for reading: No such file or directory (unlinkable, LNK-06)" disk.addcow
    mv gone.raw base.raw
    hold disk.addcow noise
    will_not_start "is in use elsewhere: Resource temporarily unavailable (busy, LCK-02)" disk.addcow
    exec 5>&-
    wait
    addcow check disk.addcow
}

@test "a socket that exists is not taken" {
    make_disk
    touch taken
    run timeout 10 nbdkit --exit-with-parent --unix taken "$plugin" disk.addcow
    [ "$status" -eq 1 ]
    [[ "$output" == *"taken: Address already in use"* ]]
}

@test "a client gets no disk that is damaged, missing or busy by now; the server goes on" {
    make_disk
    serve disk.addcow
    hold disk.addcow noise
    run nbdinfo "$uri"
    [ "$status" -ne 0 ]
    exec 5>&-
    wait %2
    grep -q "is in use elsewhere: Resource temporarily unavailable (busy, LCK-02)" log
    mv base.raw gone.raw
    run nbdinfo "$uri"
    [ "$status" -ne 0 ]
    grep -q "base.raw: cannot open for reading: No such file or directory (unlinkable, LNK-06)" log
    mv gone.raw base.raw
    poke disk.addcow 20 '\x40'
    run nbdinfo "$uri"
    [ "$status" -ne 0 ]
    grep -q "malformed, HDR-04" log
    poke disk.addcow 20 '\x10'
    nbdinfo --size "$uri"
    run nbdinfo "${uri/?socket/name?socket}"
    [ "$status" -ne 0 ]
    grep -q "export 'name': there is no disk of this name" log
    # Names of clients forge no lines of the log.
    run nbdinfo "${uri/?socket/a%0Ab?socket}"
    grep -q "export 'a?b': there is no disk of this name" log
    stop
}

@test "a full file system: ENOSPC, what was written stays, and once there is room the client goes on" {
    small_filesystem 6M
    random 8M base.raw
    addcow create -q -b "$PWD/base.raw" -i disk.raw -s 8M small/disk.addcow
    head -c 5M /dev/zero >small/filler
    serve small/disk.addcow
    cat >client.py <<'END'
written = 0
try:
    while True:
        h.pwrite(b"w" * 65536, written)
        written += 65536
except nbd.Error as error:
    assert error.errnum == 28, error
assert 0 < written < 1 << 20, written
assert h.pread(written, 0) == b"w" * written
try:
    h.flush()
except nbd.Error:
    pass
import os
os.unlink("small/filler")
h.pwrite(b"w" * 65536, written)
h.flush()
open("written", "w").write(str(written + 65536))
END
    nbdsh -u "$uri" -c - <client.py
    grep -q "No space left on device (nospace, ERR-05)" log
    stop
    addcow check small/disk.addcow
    cp base.raw expected
    head -c "$(cat written)" /dev/zero | tr '\0' w | dd of=expected conv=notrunc bs=64k status=none
    reads_as small/disk.addcow expected
}

@test "a stream that fills the file system fails alone: clients go on, and the next stream finishes" {
    small_filesystem 6M
    random 8M base.raw
    addcow create -q -b "$PWD/base.raw" -i disk.raw -s 8M small/disk.addcow
    serve small/disk.addcow stream=background stream-rate=0
    nbdsh -u "$uri" -c 'h.pread(512, 0)' -c 'import time' -c 'time.sleep(0.5)'
    appears log "disk.raw: .*No space left on device (nospace, ERR-05)" # the stream's, and not that of a last flush
    nbdcopy "$uri" copy
    cmp copy base.raw
    mount -o remount,size=20M small
    nbdinfo --size "$uri"
    appears log "stream: 100 %"
    stop
    addcow check small/disk.addcow
    cmp small/disk.raw base.raw
}

@test "a limit on the size of files is an error of the write, and the server goes on" {
    make_disk
    # The limit is in units of 1 KiB. Only the server has it: the log and the files of its clients are small.
    ulimit -f 4096
    serve disk.addcow
    cat >client.py <<'END'
try:
    h.pwrite(b"w" * 65536, 5 << 20)
    raise SystemExit("the write succeeded")
except nbd.Error as error:
    assert error.errnum == 5, error
h.pwrite(b"w" * 65536, 1 << 20)
h.flush()
END
    nbdsh -u "$uri" -c - <client.py
    grep -q "File too large (io" log
    stop
    head -c 65536 /dev/zero | tr '\0' w | dd of=expected conv=notrunc bs=1M seek=1 iflag=fullblock status=none
    is_as_expected
}

# vanish COUNT: so many clients, one after the other, die while they send 64 requests.
vanish() {
    cat >client.py <<'END'
import os, signal
data = nbd.Buffer.from_bytearray(bytearray(b"v" * 65536))
for i in range(64):
    h.aio_pwrite(data, i << 16)
os.kill(os.getpid(), signal.SIGKILL)
END
    for _ in $(seq "$1"); do
        nbdsh -u "$uri" -c - <client.py 2>/dev/null || true
    done
}

# The disk is sound, and each sector of it is what it was or what the clients sent.
is_old_or_new() {
    addcow check disk.addcow
    addcow read -o new disk.addcow
    python3 - <<'END'
old = open("expected", "rb").read()
new = open("new", "rb").read()
for at in range(0, 64 << 16, 512):
    assert new[at:at + 512] in (old[at:at + 512], b"v" * 512), at
assert new[64 << 16:] == old[64 << 16:]
END
}

@test "clients that vanish in the middle of their requests cost nothing" {
    make_disk
    serve --threads=1 disk.addcow
    nbdsh -u "$uri" -c 'h.pwrite(b"synced", 7 << 20)' -c 'h.flush()'
    printf synced | dd of=expected conv=notrunc bs=1M seek=7 status=none
    vanish 10
    nbdcopy "$uri" null:
    stop
    is_old_or_new
}

@test "nor with requests in parallel, unless nbdkit stops itself: even then, nothing that was synced is lost" {
    make_disk
    serve disk.addcow
    nbdsh -u "$uri" -c 'h.pwrite(b"synced", 7 << 20)' -c 'h.flush()'
    printf synced | dd of=expected conv=notrunc bs=1M seek=7 status=none
    vanish 10
    # An assertion of nbdkit 1.32 fails with any plugin, if a client goes between the two halves of its request.
    stop || grep -q "connections.c:.*Assertion .sock >= 0. failed" log
    is_old_or_new
}

@test "the server dies by SIGKILL under load, 3 times: what was synced is there" {
    timeout 60 "$BATS_TEST_DIRNAME/deaths.py" 3
}
