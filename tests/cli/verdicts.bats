#!/usr/bin/env bats
# What the gate concludes: a verdict on every clause, broken only where that was seen, and a conclusion that says what
# it covers. The implementations are the Python example with one defect each.

bats_require_minimum_version 1.5.0

load harness

gate=${GATE:-$BATS_TEST_DIRNAME/../../build/gcc/gate}
root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
without_leak_checks

setup_file() {
    compile_example
}

# defect NAME: the Python example with this defect, as --impl takes it.
defect() {
    cat >defective.py <<'PYTHON'
import os, sys, threading, time
sys.path.insert(0, os.environ["EXAMPLE"])
import adapter, addcow

class Defective(adapter.Adapter):
    def do_read(self, offset, length):
        data = bytearray(super().do_read(offset, length)[0])
        if defect == "wrong-read" and data:
            data[-1] ^= 1
        return [bytes(data)]

    def do_open(self, mode, path):
        if defect == "no-writer" and mode == "rw":
            raise addcow.Error("malformed", "-", "it only reads")
        if defect == "slow-once" and not os.path.exists(os.environ["MARK"]):
            open(os.environ["MARK"], "w").close()
            time.sleep(1000)
        return super().do_open(mode, path)

    def do_write(self, offset, length, data):
        if defect == "keeps-no-tail" and int(length) > 0:
            self.disk.write_part = self.forget_tail
        return super().do_write(offset, length, data)

    def forget_tail(self, k, begin, data):
        type(self.disk).write_part(self.disk, k, begin, data)
        os.pwrite(self.disk.image, b"?", min(self.disk.size, (k + 1) * self.disk.header.cluster) - 1)

    def do_close(self):
        if defect == "dies-at-close":
            os.abort()
        return super().do_close()

    def do_size(self):
        if defect == "no-size":
            raise addcow.Error("io", "-", "who knows")
        return super().do_size()

    def answer(self, tag, *words):
        if defect == "no-classes" and words[0] == "error":
            words = ("error", "-", "-", words[3])
        super().answer(tag, *words)

    def handle(self, tag, *request):
        if defect == "overtakes" and int(tag) % 2:
            time.sleep(0.05)
        super().handle(tag, *request)

    def run(self):
        while request := self.receive():
            if defect == "serial":
                self.handle(*request)
            else:
                threading.Thread(target=self.handle, args=request).start()
        if defect == "dies-at-end":
            os.abort()

defect = sys.argv[1]
Defective(sys.stdin.buffer, sys.stdout.buffer).run()
PYTHON
    echo "exec:EXAMPLE='$root/corpus/example' MARK='$PWD/mark' python3 -S '$PWD/defective.py' $1"
}

# judge DEFECT OPTION...: runs the gate; the reports are out.json and out.xml.
judge() {
    local implementation
    implementation=$(defect "$1")
    run "$gate" --corpus "$root/corpus" --no-observe --impl "$implementation" "${@:2}" --json out.json --junit out.xml
    echo "$output"
}

# report PYTHON: statements about `report`, `clauses` (ID -> clause) and `cases` (ID -> case).
report() {
    python3 - "$root" <<PYTHON
import json, re, sys, xml.etree.ElementTree as tree
report = json.load(open("out.json"))
clauses = {clause["clause"]: clause for clause in report["clauses"]}
cases = {case["id"]: case for case in report["cases"]}
suites = tree.parse("out.xml").getroot()
$1
PYTHON
}

@test "verdicts: every clause of the specification has one, and each that is not judged has a reason" {
    judge none --case hdr-05-double
    [ "$status" -eq 0 ]
    [[ "$output" == *" clauses claimed: 1 kept, 0 broken, "*" not judged"* ]]
    [[ "${lines[-1]}" == *"conforms as writer (1 of "*"; concurrency not judged ("* ]]
    [[ "${lines[-1]}" == *"; durability not judged (no observer)" ]]
    report '
spec = open(sys.argv[1] + "/spec/add-cow.md").read()
assert list(clauses) == re.findall(r"^\*\*([A-Z0-9]+-\d\d)\*\* ", spec, re.M)
assert clauses["HDR-05"]["verdict"] == "kept"
assert all(c["verdict"] == "kept" or c["reason"] for c in clauses.values())
assert clauses["DUR-06"]["reason"] == "no observer: a sync has to fail"
assert clauses["WR-01"]["reason"] == "no case of it was selected"
assert not clauses["RBS-01"]["claimed"] and not clauses["CHK-01"]["claimed"]
skipped = {case.get("name"): case.find("skipped") for case in suites[1]}
assert skipped["HDR-05"] is None and skipped["DUR-06"].get("message") == clauses["DUR-06"]["reason"]
assert set(skipped) == {c["clause"] for c in clauses.values() if c["claimed"]}
assert suites[1].get("skipped") == str(len(skipped) - 1) and report["exit"] == 0
assert report["covers"].startswith("conforms as writer (1 of ")'
}

@test "verdicts: --complete demands that all is judged that can be" {
    judge none --case hdr-05-double --complete
    [ "$status" -eq 4 ]
    [[ "${lines[-1]}" == *": incomplete as writer (1 of "* ]]
}

@test "verdicts: a wrong read breaks what is about reading, and what a write left is taken from the files" {
    judge wrong-read --filter wr-03-m
    [ "$status" -eq 1 ]
    [[ "$output" == *"broken clauses: 1"* ]]
    report '
assert [b["clause"] for b in report["broken"]] == ["RD-01"]
assert clauses["WR-03"]["verdict"] == "kept"
assert cases["wr-03-middle"]["verdict"] == "failed" and cases["wr-03-middle"]["broken"] == ["RD-01"]'
}

@test "verdicts: a wrong write breaks what is about writing, not reading" {
    judge keeps-no-tail --case wr-03-middle
    [ "$status" -eq 1 ]
    report '
assert clauses["WR-03"]["verdict"] == "broken" and "RD-01" in clauses'
}

@test "verdicts: where a precondition fails, the case is not judged and says which case is about it" {
    judge no-writer --filter wr-03-m
    [ "$status" -eq 1 ]
    [[ "$output" == *"wr-03-middle: not judged here: step 1 of "*"open disk.addcow: expected ok, got malformed"* ]]
    [[ "$output" == *"; LNK-11 is broken, see "* ]]
    report '
case = cases["wr-03-middle"]
assert case["verdict"] == "not judged here" and case["broken"] == ["LNK-11"] and case["see"] in cases
assert clauses["WR-03"]["verdict"] == "not judged"
assert clauses["WR-03"]["reason"].startswith("a precondition of its cases failed: ")'
}

@test "verdicts: a crash at the closing step is a crash" {
    judge dies-at-close --case rd-01-mixed
    [ "$status" -eq 3 ]
    [[ "$output" == *"rd-01-mixed: crashed"*"the adapter ended: it "* ]]
    judge dies-at-end --case rd-01-mixed
    [ "$status" -eq 3 ]
    [[ "$output" == *"rd-01-mixed: crashed"*"the adapter ended: at the end of its input, it "* ]]
    report '
assert cases["rd-01-mixed"]["verdict"] == "crashed" and not report["broken"]
assert clauses["RD-01"]["reason"] == "its case crashed: rd-01-mixed"'
}

@test "verdicts: an error in place of the size is shown as one" {
    judge no-size --case vrt-01-odd-size
    [ "$status" -eq 1 ]
    [[ "$output" == *"size: expected ok, got io (who knows)"* ]]
    judge no-size --case rd-01-mixed
    [ "$status" -eq 1 ]
    [[ "$output" == *"read 2000+18000: expected ok, got io (the adapter answered size with an error)"* ]]
}

@test "verdicts: an error whose class is unknown is a refusal, and nothing else" {
    judge no-classes --filter hdr-05
    [ "$status" -eq 0 ]
    judge no-classes --case err-04-cut-image
    [ "$status" -eq 0 ]
    sed -i 's/defect == "no-writer" and mode == "rw"/defect == "no-classes"/' defective.py
    cp defective.py kept.py
    run "$gate" --corpus "$root/corpus" --case rd-01-mixed \
        --impl "exec:EXAMPLE='$root/corpus/example' python3 -S '$PWD/kept.py' no-classes"
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"expected ok, got an error of an unknown class (it only reads)"* ]]
}

@test "verdicts: a case that hung beside others is run again alone, and only that counts" {
    judge slow-once --filter rd-01 --jobs 2 --timeout 10
    [ "$status" -eq 0 ]
    [ -e mark ]
}

@test "verdicts: requests at once that are claimed, but never happen, are noticed" {
    judge serial --clause CON-02
    [ "$status" -eq 0 ]
    [[ "$output" == *"CON-02"*": no two requests were ever seen in progress at once"* ]]
    [[ "${lines[-1]}" == *"; concurrency not judged (no two requests were ever seen in progress at once); "* ]]
    judge overtakes --clause CON-02
    [ "$status" -eq 0 ]
    [[ "${lines[-1]}" == *"; concurrency judged at "[1-9]*" interleaving"* ]]
}

@test "verdicts: --applicable names what it left out, totalled by what is missing" {
    local hello="0 ok 1 layouts=r20 operations= granularity=512 concurrency=1 level=reader lacks=chain"
    run "$gate" --corpus "$root/corpus" --impl "exec:read line; echo '$hello'; cat >/dev/null" --filter wr-03 \
        --applicable --json out.json --junit out.xml
    echo "$output"
    [ "$status" -eq 4 ]
    [[ "$output" == *"cases left out, as the implementation does not claim:"* ]]
    [[ "$output" == *"  level writer: "*" cases: wr-03-"*" ..."* ]]
    [[ "$output" == *"  write: "*" cases: wr-03-"* ]]
    report '
left_out = {entry["not claimed"]: entry for entry in report["not applicable"]}
assert left_out["write"]["left out"] and "wr-03-middle" in left_out["write"]["cases"]
assert not report["cases"] and not clauses["WR-03"]["claimed"]'
}
