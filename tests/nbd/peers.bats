#!/usr/bin/env bats
# shellcheck disable=SC2154,SC2317 # what common.bash defines, and what `run` calls
# The comparisons with other servers and with cp: that they measure, and say what they lack. Not what is faster.

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

@test "copies are compared with cp, and sharing with copying" {
    [ "$(id -u)" = 0 ] || skip "only root can mount"
    run env B="${addcow%/*}" "${peers%/*}/copies.py" --runs 1 --size 64M --shared-size 300M --json report
    [ "$status" -le 1 ]
    [[ "${lines[-1]}" =~ ^"bench-copies: "[0-5]" goals met, "[0-5]" missed"$ ]]
    python3 -c 'import json; goals = json.load(open("report")); assert len(goals) == 5 and goals[3]["met"], goals'
}
