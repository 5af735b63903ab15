#!/usr/bin/env bash
# Runs the Autobahn test suite against the WebSocket layer of this crate, through its echo program, and
# writes the outcome of each case to results/autobahn. The suite wants Python 2.7 with pip: PYTHON2 names it.
set -euo pipefail
cd "$(dirname "$0")/.."
python2=${PYTHON2:-python2.7}
address=127.0.0.1:9101
out=$(mktemp -d)
"$python2" -m pip install -q virtualenv==20.15.1 --target "$out/virtualenv"
PYTHONPATH=$out/virtualenv "$python2" -m virtualenv -q "$out/venv"
"$out/venv/bin/pip" install -q autobahntestsuite==0.8.2
cargo build -q --release -p protocol --example websocket_echo
target/release/examples/websocket_echo "$address" >/dev/null &
echo=$!
trap 'kill "$echo"; rm -rf "$out"' EXIT
# 12 and 13 are compression, which is not offered.
cat >"$out/spec.json" <<EOF
{"outdir": "$out/report", "servers": [{"agent": "uringcast", "url": "ws://$address"}],
 "cases": ["*"], "exclude-cases": ["12.*", "13.*"], "exclude-agent-cases": {}}
EOF
"$out/venv/bin/wstest" -m fuzzingclient -s "$out/spec.json" >/dev/null
jq '.uringcast | map_values({behavior, behaviorClose})' "$out/report/index.json" >results/autobahn/data.json
jq -e 'all(.[]; [.behavior, .behaviorClose] | all(. == "OK" or . == "INFORMATIONAL"))' results/autobahn/data.json
