#!/usr/bin/env bats
# The report of the gate as a web page, in headless Chromium.

bats_require_minimum_version 1.5.0

load ../cli/harness

gate=${GATE:-$BATS_TEST_DIRNAME/../../build/gcc/gate}
root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)

# The modules are those of the distribution's Python, which need not be the first on PATH.
PATH=/usr/bin:$PATH

# The driver leaves directories of its own in TMPDIR.
teardown() {
    rm -rf "$TMPDIR"
}

@test "html: content, links, filter, narrow and wide, light and dark, keyboard, screen reader" {
    cp -r "$root/corpus/example" wrong
    # Wrong bytes, no sync, and messages that would be elements of the page.
    python3 - <<'PYTHON'
import pathlib

path = pathlib.Path("wrong/addcow.py")
text = path.read_text(encoding="utf-8")
place = "        with self.lock.cluster(k):\n            if not self.bit(k):\n                start, end"
for old, new in (("os.fsync(", "(lambda _: None)("),
                 ("self.virt(begin + len(data), end) if", "bytes(end - begin - len(data)) if"),
                 (place, '        require(begin != 9000, "WR-01", "<img src=x> & <b>", "io")\n' + place)):
    assert old in text, old
    text = text.replace(old, new)
path.write_text(text, encoding="utf-8")
PYTHON
    for part in "--filter wr-03" "--scenario write-flush/power"; do
        # shellcheck disable=SC2086 # two words
        run "$gate" --impl "exec:python3 -S '$PWD/wrong/adapter.py' # <b>" --corpus "$root/corpus" $part \
            --html report.html --json report.json
        [ "$status" -eq 1 ] || echo "$output"
        [ "$status" -eq 1 ]
        "$BATS_TEST_DIRNAME/report.py" check report.html report.json
    done
}
