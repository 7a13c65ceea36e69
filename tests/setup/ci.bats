#!/usr/bin/env bats
# What ci/ has for the CI of others. The steps of the templates run here as the services would run them, on a copy of
# the installed gate, without this tree where a job would have none.

# shellcheck disable=SC2030,SC2031 # every test has variables of its own
bats_require_minimum_version 1.5.0

setup_file() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    export root TEMPORARY=$BATS_FILE_TMPDIR/temporary
    # As a checkout of the action: only what is in the repository.
    export TREE=$BATS_FILE_TMPDIR/tree
    mkdir "$TREE" "$TEMPORARY"
    (cd "$root" && { git ls-files -z 2>/dev/null || find . -path ./build -prune -o ! -type d -print0; } |
        tar --null -T - -cf -) | tar -xf - -C "$TREE"
    mkdir "$BATS_FILE_TMPDIR/wrong"
    cp "$root"/corpus/example/*.py "$BATS_FILE_TMPDIR/wrong/"
    sed -i 's/min(self.size, (k + 1) \* self.header.cluster)/begin + len(data)/' "$BATS_FILE_TMPDIR/wrong/addcow.py"
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return
    right="exec:python3 -S '$root/corpus/example/adapter.py'"
    wrong="exec:python3 -S '$BATS_FILE_TMPDIR/wrong/adapter.py'"
}

# run_github IMPLEMENTATION OPTIONS: runs the steps of the action, as a runner does.
run_github() {
    run env -u MAKEFLAGS -u MAKEOVERRIDES /usr/bin/python3 - "$TREE" "$TEMPORARY" "$1" "$2" <<'PYTHON'
import os
import re
import subprocess
import sys
import yaml

tree, temporary, implementation, options = sys.argv[1:]
with open(tree + "/ci/github/action.yml", encoding="utf-8") as file:
    action = yaml.safe_load(file)
assert action["runs"]["using"] == "composite" and action["name"] and action["description"]
values = {"github.action_path": tree + "/ci/github", "runner.temp": temporary}
given = {"implementation": implementation, "options": options}
for name, what in action["inputs"].items():
    assert what["description"] and (name in given or "default" in what)
    values["inputs." + name] = given.get(name, what.get("default"))
for step in action["runs"]["steps"]:
    assert "${{" not in step["run"], "text of a user must not become a part of the script"
    variables = {name: re.sub(r"\$\{\{ (.*?) \}\}", lambda match: values[match[1]], value)
                 for name, value in step["env"].items()}
    command = [step["shell"], "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    done = subprocess.run(command, env={**os.environ, **variables}, check=False)
    if done.returncode:
        sys.exit(done.returncode)
PYTHON
    echo "$output"
}

reports_are_there() {
    /usr/bin/python3 - "$1" <<'PYTHON'
import json, sys, xml.etree.ElementTree as tree
assert json.load(open(sys.argv[1] + "/gate.json"))["cases"]
assert tree.parse(sys.argv[1] + "/gate.xml").getroot().tag == "testsuites"
assert "</html>" in open(sys.argv[1] + "/gate.html").read()
PYTHON
}

@test "ci: the GitHub action judges, reports and summarises" {
    export GITHUB_STEP_SUMMARY=$PWD/summary
    run_github "$right" "--filter wr-03 --jobs 2"
    [ "$status" -eq 0 ]
    reports_are_there add-cow-reports
    grep -q "10 of 10 cases passed: conforms as writer" summary
    run_github "$wrong" "--filter 'wr-03'"
    [ "$status" -eq 1 ]
    reports_are_there add-cow-reports
    grep -q "does not conform" summary
    run_github "exec:exit 3" ""
    [ "$status" -eq 3 ]
}

# run_gitlab: runs the script of the template, with the variables of the environment before its defaults.
run_gitlab() {
    run env -u MAKEFLAGS -u MAKEOVERRIDES /usr/bin/python3 - "$root/ci/gitlab.yml" <<'PYTHON'
import os
import subprocess
import sys
import yaml

with open(sys.argv[1], encoding="utf-8") as file:
    job = yaml.safe_load(file)[".add-cow"]
assert job["artifacts"]["when"] == "always" and job["artifacts"]["reports"]["junit"] == "add-cow-reports/gate.xml"
variables = {**job["variables"], **os.environ}
sys.exit(subprocess.run(["sh", "-e", "-c", "\n".join(job["script"])], env=variables, check=False).returncode)
PYTHON
    echo "$output"
}

@test "ci: the GitLab template installs what is missing, and judges" {
    export ADD_COW_TREE=$TREE ADD_COW_PREFIX=$BATS_TEST_TMPDIR/prefix IMPLEMENTATION=$right OPTIONS="--filter wr-03"
    run_gitlab
    [ "$status" -eq 0 ]
    reports_are_there add-cow-reports
    # The second job finds it installed, and needs no tree.
    export ADD_COW_TREE=/nowhere IMPLEMENTATION=$wrong
    run_gitlab
    [ "$status" -eq 1 ]
}

@test "ci: what is installed runs without a tree and without a compiler" {
    prefix=$BATS_TEST_TMPDIR/other
    env -u MAKEFLAGS -u MAKEOVERRIDES "$TREE/ci/install" "$prefix" >&2
    mkdir bin
    for program in sh env tail sed mkdir cat python3; do
        ln -s "$(PATH=/usr/bin:/bin command -v "$program")" "bin/$program"
    done
    run env -i PATH="$PWD/bin" GATE="$prefix/bin/addcow-gate" "$root/ci/judge" "$right" out --filter wr-03
    echo "$output"
    [ "$status" -eq 0 ]
    reports_are_there out
}

# Nothing here may fetch an image, so the container is not built; each of its parts is.
@test "ci: the container's recipe copies what is there, and runs what is tested" {
    run grep -E '^(FROM|COPY|ENTRYPOINT)' "$root/ci/Containerfile"
    [ "${lines[0]}" = "FROM debian:12 AS build" ]
    grep -q '^RUN /tree/ci/install /opt/add-cow$' "$root/ci/Containerfile"
    [ -x "$root/ci/install" ]
    [ -x "$root/ci/judge" ]
    sed -n 's/.*--no-install-recommends \([a-z0-9 -]*\).*/\1/p' "$root/ci/Containerfile" |
        xargs apt-cache show >/dev/null
    # The second stage has the libraries of the programs.
    ldd "$root"/build/gcc/gate "$root"/build/gcc/gate-nbd | sed -n 's/.*\(lib\(jansson\|nbd\)\.so[.0-9]*\) .*/\1/p' |
        sort -u >libraries
    [ "$(wc -l <libraries)" = 2 ]
    while read -r library; do
        package=$(dpkg -S "*/$library" | sed 's/:.*//' | head -1)
        sed -n '/^FROM debian:12$/,$p' "$root/ci/Containerfile" | grep -q " $package "
    done <libraries
}

@test "ci: wrong usage ends with 2" {
    run "$root/ci/install"
    [ "$status" -eq 2 ]
    run "$root/ci/install" relative
    [ "$status" -eq 2 ]
    run "$root/ci/judge" fast
    [ "$status" -eq 2 ]
}
