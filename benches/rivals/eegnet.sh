#!/usr/bin/env bash
# EEGNet live over LSL on the recordings that its training never saw, beside its score in PyTorch and beside Riemannian
# decoders that learn from the same trials.
#
#   benches/rivals/eegnet.sh PHYSIONET_FOLDER OUT_FOLDER [SALTATORY]
#
# PHYSIONET_FOLDER holds SxxxR04.edf, R08 and R12. Run 12 of each subject is played at the pace of life (two minutes, all at once) and
# decided on once for each cue; then the same by `evaluate --protocol held-out`, and mdm, tangent space and ACM fitted on runs 4
# and 8 of all five, and of each subject alone. eegnet.py makes a table of it.
set -euo pipefail
data=$1 out=$2 saltatory=${3:-target/release/saltatory}
export LSLAPICFG=${LSLAPICFG:-$PWD/configs/lsl_loopback.cfg}
subjects="S001 S002 S003 S007 S012"
mkdir -p "$out"

pids=()
for s in $subjects; do
    "$saltatory" run configs/eegnet_cues.toml --set "eeg.name=eegnet-$s" --set "markers.name=eegnet-$s-markers" \
        --set eeg.recover_s=3 --set markers.recover_s=3 --set "lsl.probabilities=out-$s" --set "lsl.labels=out-$s-labels" --report "$out/$s.live.json" > "$out/$s.log" 2>&1 &
    pids+=($!)
    "$saltatory" play "$data/${s}R12.edf" --name "eegnet-$s" --wait > "$out/$s.play.log" 2>&1 &
    pids+=($!)
done
# A run whose stream ends for good ends with an error, after its report.
for pid in "${pids[@]}"; do wait "$pid" || true; done

for s in $subjects; do
    "$saltatory" evaluate configs/eegnet.toml "$data/${s}R12.edf" --protocol held-out --json > "$out/$s.held_out.json"
done
learn() { # NAME CONFIG SUBJECTS...
    local name=$1 config=$2; shift 2
    local runs=()
    for s in "$@"; do runs+=("$data/${s}R04.edf" "$data/${s}R08.edf"); done
    "$saltatory" fit "$config" "${runs[@]}" --out "$out/$name.safetensors" > "$out/$name.fit.log"
}
for decoder in motor_imagery motor_imagery_acm; do
    learn "$decoder-all" "configs/$decoder.toml" $subjects
    for s in $subjects; do
        learn "$decoder-$s" "configs/$decoder.toml" "$s"
        for model in all "$s"; do
            "$saltatory" evaluate "configs/$decoder.toml" "$data/${s}R12.edf" --protocol held-out --json \
                --set "model=$out/$decoder-$model.safetensors" > "$out/$decoder-$s-by-${model/$s/own}.json"
        done
    done
done
python3 benches/rivals/eegnet.py "$out"
