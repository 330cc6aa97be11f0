#!/usr/bin/env bash
# The planted MEG benchmark by the engine: the native ridge and the convolutional encoder on the same trials, which
# docs/training/meg/benchmark.py has written.
#
#   python docs/training/meg/benchmark.py --epochs FOLDER     # writes the trials, and scores encoder and ridge in Python
#   benches/rivals/meg.sh FOLDER [SALTATORY]
set -euo pipefail
folder=$1 saltatory=${2:-target/release/saltatory}
for world in meg meg_high; do
    train=$folder/${world}_train.safetensors test=$folder/${world}_test.safetensors
    echo "== $world: ridge, fitted by the engine"
    "$saltatory" fit configs/meg_ridge.toml "$train" --out "$folder/$world.ridge.safetensors"
    "$saltatory" evaluate configs/meg_ridge.toml "$test" --protocol held-out --set "model=$folder/$world.ridge.safetensors"
    echo "== $world: the encoder that comes along (trained on the low-signal world)"
    "$saltatory" evaluate configs/meg_images.toml "$test" --protocol held-out --set embedding.budget_ms=60000
done
