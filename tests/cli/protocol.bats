#!/usr/bin/env bats
# The gate and implementations in a child process (corpus/PROTOCOL.md): the examples conform, and whatever a child does
# has its verdict.

bats_require_minimum_version 1.5.0

load harness

gate=${GATE:-$BATS_TEST_DIRNAME/../../build/gcc/gate}
export ADDCOW=${ADDCOW:-$BATS_TEST_DIRNAME/../../build/gcc/addcow}
root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
without_leak_checks

setup_file() {
    compile_example
}

hello="read line; echo '0 ok 1 layouts=r20 operations= granularity=1 concurrency=1 level=reader lacks='; "

# Nothing may be left behind: no file, and no process that was started from here.
teardown() {
    if mountpoint -q "$TMPDIR"; then
        umount "$TMPDIR"
    fi
    rmdir "$TMPDIR" && [ -z "$(find_strays)" ]
}

# After a death by SIGKILL it takes the others a moment.
wait_for_no_strays() {
    SECONDS=0
    while [ -n "$(find_strays)" ]; do
        [ "$SECONDS" -lt 10 ] || return 1
    done
}

find_strays() {
    local process name
    # A process may end meanwhile, and those of others cannot be read.
    { find /proc/[0-9]* -maxdepth 1 -name cwd -lname "$BATS_TEST_TMPDIR" || true; } 2>/dev/null |
        while read -r process; do
            if IFS= read -rd '' name <"${process%/cwd}/cmdline" && [[ "$name" == stray* ]]; then
                echo "${process%/cwd}"
            fi
        done 2>/dev/null
}

gate() {
    "$gate" --corpus "$root/corpus" --no-observe --impl "exec:$1" "${@:2}"
}

# verdict STATUS TEXT COMMAND...: the gate must end with STATUS and say TEXT of the adapter COMMAND.
verdict() {
    run gate "$3" --case rd-01-mixed "${@:4}"
    echo "$3: $status $output"
    [ "$status" -eq "$1" ] && [[ "$output" == *"$2"* ]]
}

# observed_verdict STATUS TEXT COMMAND...: the same under the observer.
observed_verdict() {
    run "$gate" --corpus "$root/corpus" --impl "exec:$3" --scenario once/power "${@:4}"
    echo "$3: $status $output"
    [ "$status" -eq "$1" ] && [[ "$output" == *"$2"* ]]
}

# hangs TEXT COMMAND...: the same of an adapter that hangs. On a busy machine it may take more than a second until it
# does, so the gate waits longer the second time.
hangs() {
    verdict 3 "$@" --timeout 1 || verdict 3 "$@" --timeout 10
}

@test "protocol: an implementation in Python, written from the specification alone, passes a tenth of the corpus" {
    sample_corpus sample
    run "$gate" --corpus sample --impl "exec:$(example)" --timeout 120 --no-observe
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "${lines[-1]}" == *" cases passed: conforms as writer ("* ]]
}

@test "protocol: the example adapters are as short as documented" {
    [ "$(wc -l <"$root/corpus/example/adapter.py")" -lt 100 ]
    [ "$(grep -cvE '^ *(#.*|""".*""")?$' "$root/corpus/example/addcow.py")" -lt 500 ]
}

@test "protocol: a wrapped command-line tool passes what it declares" {
    run gate "python3 '$root/corpus/example/wrap_addcow.py'" --applicable --filter wr-0
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "${lines[-1]}" == *" cases passed: conforms as writer ("* ]]
}

@test "protocol: cases for undeclared abilities are not applicable, and the ability is named" {
    local reader="${hello}cat >/dev/null" # not exec: the standard output must stay open
    run gate "$reader" --case wr-05-second-write
    [ "$status" -eq 4 ]
    [[ "$output" == *"does not claim write"*"level writer"* ]]
    run gate "${reader/granularity=1/granularity=512}" --case rd-01-mixed
    [ "$status" -eq 4 ]
    [[ "$output" == *"does not claim granularity 1"* ]]
    run gate "$reader" --case hr9-08-valid-r9
    [ "$status" -eq 4 ]
    [[ "$output" == *"does not claim r9"* ]]
    run gate "${reader/lacks=/lacks=chain}" --clause LNK-08 --filter lnk-08
    [ "$status" -eq 4 ]
    [[ "$output" == *"does not claim chain"* ]]
}

@test "protocol: an adapter that does not answer hello ends the run with 3" {
    verdict 3 "gate: the adapter did not start: it exited with status 127" "/no/such/program"
    verdict 3 "did not start: it exited with status 0" "true"
    verdict 3 "did not start: it died of signal 11" 'kill -SEGV $$'
    verdict 3 "speaks another version: the adapter speaks version 2" "read line; echo 0 ok 2"
    verdict 3 "broke the protocol" "echo hello"
    hangs "hung: it did not answer hello" "exec sleep 1000"
}

@test "protocol: an adapter that exits, hangs or floods in a case ends the run with 3" {
    verdict 3 "the adapter ended: it exited with status 9" "$hello read line; exit 9"
    verdict 3 "the adapter ended: it died of signal 6" "$hello read line; kill -ABRT \$\$"
    hangs "the adapter hung: it did not answer open" "$hello exec sleep 1000"
    hangs "the adapter hung" "$hello trap '' TERM INT HUP; while :; do sleep 1; done"
    verdict 3 "the adapter broke the protocol: an answer has the tag 77" "$hello echo 77 ok; sleep 1000"
    verdict 3 "the adapter broke the protocol: a line is longer" "$hello cat /dev/zero"
    verdict 3 "the adapter broke the protocol" "$hello yes"
    verdict 3 "the adapter broke the protocol: it closed its standard output" "$hello exec >&-; sleep 1000"
    hangs "the adapter hung" "$hello cat /dev/zero >&2"
    [[ "${lines[-1]}" == *"crashed or hung" ]]
}

# The adapters read the tag and the path of an open, and then answer wrongly.
@test "protocol: wrong tags, lengths or other wrong answers of an adapter break the protocol" {
    local open="$hello read -r tag rest; head -c \"\${rest##*+}\" >/dev/null;"
    verdict 3 "broke the protocol: an answer has the tag 1, which is not in flight" \
        "$open echo \$tag ok; echo \$tag ok; sleep 1000"
    verdict 3 "broke the protocol: an answer has the tag 0, which is not in flight" \
        "$open echo 0 ok; sleep 1000"
    verdict 3 "broke the protocol" "$open echo -1 ok; sleep 1000"
    verdict 3 "broke the protocol" "$open echo 18446744073709551617 ok; sleep 1000"
    verdict 3 "broke the protocol: open was answered with 5 bytes of data" "$open echo \$tag ok +5; sleep 1000"
    verdict 3 "broke the protocol" "$open echo \$tag ok 5; sleep 1000"
    verdict 3 "broke the protocol" "$open echo \$tag fine; sleep 1000"
    verdict 3 "broke the protocol: " "$open printf '%s error io - +2000\\n' \$tag; sleep 1000"
    verdict 3 "broke the protocol: " "$open printf '\\377\\376\\000\\n'; sleep 1000"
    # Behind the open come the size that the gate asks for by itself, and the read.
    local read="$open echo \$tag ok; read -r tag rest; echo \$tag ok 20000; read -r tag rest;"
    verdict 3 "broke the protocol: read of 18000 bytes was answered with 17999 bytes" \
        "$read echo \$tag ok +17999; sleep 1000"
    verdict 3 "broke the protocol: " "$read echo \$tag ok +1099511627776; cat /dev/zero"
    verdict 3 "broke the protocol: read of 18000 bytes was answered with 0 bytes" "$read echo \$tag ok; sleep 1000"
    verdict 3 "the adapter ended: it exited with status 0" "$read echo \$tag ok +18000; head -c 17999 /dev/zero"
    hangs "the adapter hung" "$read echo \$tag ok +18000; head -c 17999 /dev/zero; exec sleep 1000"
    hangs "the adapter hung: it did not answer read" "$read while :; do printf '%s' 1; sleep 0.1; done"
}

# Endless output of an adapter is not stored. The limit on the gate's memory is lower than the output.
@test "protocol: a flood of output does not fill the memory" {
    [[ "$gate" != */build/*-*/gate ]] || return 0 # a sanitizer needs more address space than this leaves
    ulimit -v 2000000
    verdict 3 "broke the protocol" "$hello cat /dev/zero"
    verdict 3 "broke the protocol" "cat /dev/zero"
    verdict 3 "broke the protocol" "$hello while :; do echo 3 ok; done"
    hangs "hung" "$hello cat /dev/zero >&2"
    hangs "hung" "cat /dev/zero >&2"
}

# begin: a gate in the background, whose adapter does not answer and has started others, one of which has left its
# process group. $! is the gate.
begin() {
    "$gate" --corpus "$root/corpus" --jobs 2 --filter rd-0 --impl "exec:$hello
        bash -c 'exec -a stray sleep 1000' &
        setsid bash -c 'trap \"\" TERM INT HUP; exec -a stray2 sleep 1000' &
        sleep 1000" >out 2>&1 &
    SECONDS=0
    while [ "$(find_strays | wc -l)" -lt 4 ]; do
        [ "$SECONDS" -lt 20 ] || return 1
    done
}

@test "protocol: a terminated gate leaves no file and no process" {
    local signal status
    for signal in INT TERM HUP; do
        begin
        kill -$signal $!
        SECONDS=0
        status=0
        wait $! || status=$?
        echo "$signal: $status"; cat out
        [ "$status" -eq 4 ]
        [ "$SECONDS" -lt 15 ]
        [ -z "$(find_strays)" ]
        [ -z "$(ls "$TMPDIR")" ]
        [[ "$(tail -n 1 out)" == *" not run: incomplete as reader "* ]]
    done
}

@test "protocol: a killed gate leaves no process" {
    begin
    kill -KILL $!
    wait $! || true
    wait_for_no_strays
    rm -r "$TMPDIR"/add-cow-gate.*
}

@test "protocol: a gate whose case takes too long leaves no file and no process" {
    run gate "$hello touch started; bash -c 'trap \"\" TERM; exec -a stray sleep 1000' &
        while :; do touch more; sleep 0.01; done" \
        --filter rd-0 --timeout 1 --jobs 3
    echo "$output"
    [ "$status" -eq 3 ]
    [ -z "$(find_strays)" ]
    [ -z "$(ls "$TMPDIR")" ]
}

@test "protocol: an adapter that answers everything with ok does not conform" {
    # The tag, the operation and the rest; behind an open comes its path, which has no end of line.
    # shellcheck disable=SC2016 # for the adapter to expand
    run gate "$hello"'while read -r tag operation rest; do
        [ "$operation" != open ] || head -c "${rest##*+}" >/dev/null
        case $operation in size) echo $tag ok 0;; *) echo $tag ok;; esac; done' --case hdr-05-double
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"expected malformed, got ok"* ]]
}

@test "protocol: background processes of an adapter are killed with it" {
    run gate "$hello bash -c 'exec -a stray sleep 1000' & read line; exit 1" --case rd-01-mixed
    [ "$status" -eq 3 ]
    [ -z "$(find_strays)" ]
    run gate "bash -c '(exec -a stray sleep 1000) & exec setsid python3 \"$root/corpus/example/adapter.py\"'" \
        --case rd-01-mixed
    echo "$output"
    [ "$status" -eq 0 ]
    [ -z "$(find_strays)" ]
}

# make_bad WHAT [BEFORE [AFTER]]: bad.py, the example in Python which does WHAT with `place`, the directory of the disk,
# before it opens one, and BEFORE and AFTER it answers requests.
make_bad() {
    cat >bad.py <<PYTHON
import os, signal, sys, time
sys.path.insert(0, "$root/corpus/example")
import adapter

class Bad(adapter.Adapter):
    def do_open(self, mode, path):
        place = os.path.dirname(path)
        self.misbehave(place.decode() if isinstance(place, bytes) else place)
        return super().do_open(mode, path)

    def misbehave(self, place):
        $1

${2-}
Bad(sys.stdin.buffer, sys.stdout.buffer).run()
${3-}
PYTHON
}

# misbehaves STATUS TEXT WHAT...: the verdict on bad.py.
misbehaves() {
    make_bad "${@:3}"
    verdict "$1" "$2" "python3 -S '$PWD/bad.py'"
    [ -z "$(ls -A "$TMPDIR")" ]
}

# misbehaves_observed STATUS TEXT WHAT...: the same under the observer.
misbehaves_observed() {
    make_bad "${@:3}"
    observed_verdict "$1" "$2" "python3 -S '$PWD/bad.py'"
    [ -z "$(ls -A "$TMPDIR")" ]
}

@test "protocol: whatever an adapter does with files and descriptors, the verdict is clear and nothing is left" {
    misbehaves 3 "wrote outside of the directory of its case: ../mess" 'os.makedirs(place + "/../mess/deep")'
    misbehaves 0 "1 of 1 cases passed" 'os.makedirs(place + "/a/b/c"); os.chmod(place + "/a/b", 0)'
    # Its shell still has the pipes. So it ends, or hangs if it was reading already.
    local closing
    for closing in 'os.closerange(0, 64)' 'os.close(0)'; do
        make_bad "$closing"
        verdict 3 "the adapter " "python3 -S '$PWD/bad.py'" --timeout 5
        [[ "$output" == *"the adapter ended: "* || "$output" == *"the adapter hung: "* ]]
        [ -z "$(ls -A "$TMPDIR")" ]
    done
    local stays='"trap \"\" TERM; exec -a stray sleep 1000"'
    misbehaves 0 "1 of 1 cases passed" "os.fork() or os.execvp('bash', ['bash', '-c', $stays])"
    [ -z "$(find_strays)" ]
}

@test "protocol: an adapter that ignores requests to end is killed; one that leaves a daemon has ended" {
    misbehaves 0 "1 of 1 cases passed" pass "signal.signal(signal.SIGTERM, signal.SIG_IGN)" "time.sleep(1000)"
    misbehaves 3 "exited with status 0" pass "if os.fork(): os._exit(0)
os.setsid()
sys.argv[0] = 'stray'"
    [ -z "$(find_strays)" ]
}

@test "protocol: the observer notices what an adapter writes elsewhere, and keeps its hold on what it starts" {
    misbehaves_observed 3 "outside of the directory of its disk: ../mess" \
        'os.makedirs(place + "/../mess", exist_ok=True)'
    misbehaves_observed 3 "outside of the directory of its case: ../mess" \
        'os.makedirs(place + "/../../mess", exist_ok=True)'
    make_bad 'os.closerange(0, 64)'
    observed_verdict 3 "the adapter " "python3 -S '$PWD/bad.py'" --timeout 5
    [[ "$output" == *"ended"* || "$output" == *"the adapter hung: "* ]]
    [ -z "$(ls -A "$TMPDIR")" ]
    misbehaves_observed 3 "exited with status 0" pass "if os.fork(): os._exit(0)
os.setsid()"
    local stays='"trap \"\" TERM; exec -a stray sleep 1000"'
    misbehaves_observed 0 "conforms" "os.fork() or os.execvp('bash', ['bash', '-c', $stays])"
    [ -z "$(find_strays)" ]
}

@test "protocol: an adapter that fills the disk" {
    mount -t tmpfs -o size=24m tmpfs "$TMPDIR" 2>/dev/null || skip "no permission to mount a small file system"
    local fill='os.system("cat /dev/zero >%s/rubbish 2>/dev/null" % place)'
    misbehaves 0 "1 of 1 cases passed" "$fill" # it reads only, and the next case has space again
    misbehaves 3 "wrote outside of the directory of its case: ../rubbish" "${fill/rubbish/../rubbish}"
    misbehaves_observed 4 "No space left on device" "$fill"
    make_bad "$fill"
    run gate "python3 -S '$PWD/bad.py'" --filter wr-03-m
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"expected ok, got nospace"* ]]
    [ -z "$(ls -A "$TMPDIR")" ]
}

# Only processes without privileges are kept out by permissions.
@test "protocol: an unprivileged gate removes directories that an adapter has closed to it" {
    [ "$(id -u)" = 0 ] || skip "the test before is it"
    chmod 777 . "$TMPDIR"
    run setpriv --reuid=65534 --clear-groups /usr/bin/env "$gate" --corpus "$root/corpus" --case rd-01-mixed --impl \
        "exec:read line; echo '0 ok 1 layouts=r20 operations= granularity=1 concurrency=1 level=reader lacks='
         read -r tag rest; cd ${TMPDIR}/add-cow-gate.*/rd-01*; mkdir -p a/b/c; chmod 0 a/b a .; exit 9"
    echo "$output"
    [ "$status" -eq 3 ]
    [ -z "$(ls -A "$TMPDIR")" ]
}

@test "protocol: a daemon has gone away, and is a clear verdict" {
    verdict 3 "did not start: it exited with status 0" \
        "setsid bash -c 'trap \"\" TERM; exec -a stray sleep 1000' </dev/null >/dev/null 2>&1 & exit 0"
    [ -z "$(find_strays)" ]
}
