#!/usr/bin/env bash
# The engine under test for peerbench's d_e2e.py: --engine "saltatory=benches/rivals/engine.sh".
# Takes the peers' model from $BENCH_MODEL.npz. Settings: SALTATORY (the binary), SALTATORY_ARGS (more arguments for
# `run`), RIVALS_PYTHON (a Python with numpy).
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd); root=$(cd "$here/../.." && pwd)
config=$root/configs/bench_e2e.toml
"${RIVALS_PYTHON:-$root/target/rivals/venv/bin/python}" "$here/model.py" "$config" "$BENCH_MODEL.npz" "$BENCH_MODEL.safetensors"
# shellcheck disable=SC2086
exec "${SALTATORY:-$root/target/release/saltatory}" run "$config" --set "model=$BENCH_MODEL.safetensors" ${SALTATORY_ARGS:-}
