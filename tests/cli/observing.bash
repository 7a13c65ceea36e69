# shellcheck shell=bash
# For the tests of the observer: the gate on one scenario, and wrong implementations made of the example in Python.

# observe IMPLEMENTATION SCENARIO
observe() {
    run "$gate" --impl "$1" --corpus "$root/corpus" --scenario "$2"
    echo "$output"
}

# wrong FROM TO: the example in ./wrong, with one text in the place of another.
wrong() {
    rm -rf wrong
    cp -r "$root/corpus/example" wrong
    python3 - "$1" "$2" <<'END'
import pathlib
import sys

path = pathlib.Path("wrong/addcow.py")
text = path.read_text(encoding="utf-8")
old, new = (argument.encode().decode("unicode_escape") for argument in sys.argv[1:])
assert old in text, old
path.write_text(text.replace(old, new), encoding="utf-8")
END
}

# breaks CLAUSE SCENARIO FROM TO [TIMES]: so changed, the example breaks the clause, in one or so many scenarios.
breaks() {
    wrong "$3" "$4"
    observe "exec:python3 -S '$PWD/wrong/adapter.py'" "$2"
    [ "$status" -eq 1 ]
    [[ "$output" == *"$1: broken in ${5:-1} observed scenario"* ]]
    [[ "${lines[-1]}" == "observed: "*": does not conform" ]]
}
