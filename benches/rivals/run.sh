#!/usr/bin/env bash
# Usage: run.sh [SECONDS=60] [REPEATS=3] [PEERS="echo pylsl mnelsl ezmsg timeflux"]
# Measures the peers and our engine end to end, in one run of peerbench's d_e2e.py per repeat, and refreshes the table in
# docs/benchmarks.md. Our engine runs twice: as it comes (parking), and as on a rig (spinning, pinned to core RIG_CORE,
# the last one by default). Wants a quiet machine: every measurement waits for one (BENCH_QUIET_TIMEOUT seconds at most).
# Settings: RIVALS (folder of setup.sh and of the results), PEERBENCH (the harness), SALTATORY (the binary),
# TABLE=0 (leave docs/benchmarks.md alone).
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd); root=$(cd "$here/../.." && pwd)
seconds=${1:-60}; repeats=${2:-3}; peers=${3-echo pylsl mnelsl ezmsg timeflux}
rivals=${RIVALS:-$root/target/rivals}; bench=$(cd "${PEERBENCH:-$root/../shared/peerbench}" && pwd)
export RIVALS_PYTHON=$rivals/venv/bin/python SALTATORY=${SALTATORY:-$root/target/release/saltatory}
[ -x "$RIVALS_PYTHON" ] || { echo "no $RIVALS_PYTHON: run benches/rivals/setup.sh first" >&2; exit 2; }
[ -x "$SALTATORY" ] || { echo "no $SALTATORY: run cargo build --release first" >&2; exit 2; }
rig="--set realtime.wait=spin --set realtime.core=${RIG_CORE:-$(($(nproc) - 1))}"
out=$rivals/results; mkdir -p "$out"; rm -f "$out"/d.*.json
cd "$bench"
for i in $(seq "$repeats"); do
  echo "repeat $i of $repeats" >&2
  # shellcheck disable=SC2086
  ./env.sh "$RIVALS_PYTHON" d_e2e.py --seconds "$seconds" --peers $peers --timeflux-python "$rivals/venv-timeflux/bin/python" \
    --engine "saltatory=$here/engine.sh" --engine "saltatory-rig=env 'SALTATORY_ARGS=$rig' $here/engine.sh" --json "$out/d.$i.json"
done
cd "$root"
[ "${TABLE:-1}" = 0 ] || "$RIVALS_PYTHON" "$here/table.py" "$out" docs/benchmarks.md
