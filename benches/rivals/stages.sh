#!/usr/bin/env bash
# Usage: stages.sh [SECONDS=1.5]
# Measures single stages beside SciPy and pyRiemann (peerbench's b_stages.py, one BLAS thread) in one go, and refreshes the
# second table in docs/benchmarks.md. SECONDS is spent on each case of the peers. Settings as in run.sh.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd); root=$(cd "$here/../.." && pwd)
rivals=${RIVALS:-$root/target/rivals}; bench=$(cd "${PEERBENCH:-$root/../shared/peerbench}" && pwd)
python=$rivals/venv/bin/python; saltatory=${SALTATORY:-$root/target/release/saltatory}
[ -x "$python" ] || { echo "no $python: run benches/rivals/setup.sh first" >&2; exit 2; }
[ -x "$saltatory" ] || { echo "no $saltatory: run cargo build --release first" >&2; exit 2; }
out=$rivals/results; mkdir -p "$out"
(cd "$bench" && ./env.sh "$python" b_stages.py --only filters riemann --seconds "${1:-1.5}" --json "$out/b.peers.json")
"$saltatory" bench stages --json >"$out/b.ours.json"
[ "${TABLE:-1}" = 0 ] || "$python" "$here/stages.py" "$out/b.peers.json" "$out/b.ours.json" "$root/docs/benchmarks.md"
