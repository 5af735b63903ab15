#!/usr/bin/env bash
# Writes the whole of results/, and the figures in README.md and docs/tuning.md, on this machine: about 65
# minutes, the build included. `--quick` takes about 19, `--trial` a minute (its figures mean nothing),
# `--texts` measures nothing, `--only FOLDER` renews one report. Leave the machine alone meanwhile.
#
# Needs a Rust toolchain and a C compiler. Of redis-server, nats-server and mosquitto those are compared
# that are installed; benches/peers-install adds the WebSocket servers. As an ordinary user, raise the limit on open files first: `ulimit -n 20000`.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --locked --quiet -p benches
exec "${CARGO_TARGET_DIR:-target}/release/results" "$@"
