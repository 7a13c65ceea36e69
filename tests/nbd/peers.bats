#!/usr/bin/env bats
# shellcheck disable=SC2154,SC2317 # what common.bash defines, and what `run` calls
# The comparison with other servers: that it measures all of them, and says what it lacks. Not what is faster.

load common

peers=$BATS_TEST_DIRNAME/../../bench/peers/peers.py

@test "a cell is measured on every server, and the report has it" {
    run env B="${addcow%/*}" "$peers" --runs 1 --size 16M --cell "first write, 64 KiB, depth 16" --quick --json report
    [ "$status" -le 1 ]
    [[ "${lines[-1]}" =~ ^"bench-peers: "[0-2]" goals met, "[0-2]" missed"$ ]]
    python3 - <<'END'
import json
[cell] = json.load(open("report"))
assert cell["block"] == 65536 and cell["depth"] == 16
assert set(cell["servers"]) >= {"nbdkit file", "nbdkit cow", "qcow2", "add-cow"}
for server in cell["servers"].values():
    assert server["rate"] > 0 and server["open"] > 0 and server["memory"] > 1 << 20 and server["processor"] >= 0
END
}

@test "a cell that is not there, and a plugin that does not serve, are refused" {
    run "$peers" --cell "third write"
    [ "$status" -eq 2 ]
    [[ "$output" == *"bench-peers: no cell has 'third write' in its name"* ]]
    run env B=/nonexistent "$peers" --runs 1 --size 16M --cell "backing read, 64 KiB, depth 16" --quick
    [ "$status" -eq 2 ]
    [[ "$output" == *"/nonexistent/addcow"* ]]
}
