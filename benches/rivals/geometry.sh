#!/usr/bin/env bash
# Usage: geometry.sh FOLDER_OF_SHARED_DATA [OUT=target/results]
# Scores the geometric chain and what it is compared with, with and without the denoiser, on every subject with 64
# channels, into OUT/*.json (what is there already stays), and writes the tables of docs/results.md. Takes some minutes.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd); root=$(cd "$here/../.." && pwd)
data=$(cd "$1" && pwd); out=${2:-$root/target/results}; mkdir -p "$out"; out=$(cd "$out" && pwd)
saltatory=${SALTATORY:-$root/target/release/saltatory}; python=${PYTHON:-$root/.venv/bin/python}
cd "$root"
eeg=$data/physionet-eegmmidb; bci=$data/bci2000-samples

score() { # NAME ARGUMENTS...
  local name=$1; shift
  [ -s "$out/$name.json" ] && return
  echo "$name" >&2
  "$saltatory" evaluate "$@" --json >"$out/$name.part"
  mv "$out/$name.part" "$out/$name.json"
}

# The denoiser takes most of the time; it comes last.
for task in hands rest; do
  for config in geometry motor_imagery_acm geometry_denoised; do
    only=()
    [ $config = geometry_denoised ] && only=(--only "spectrum+graph+eigenmap+curvature+gcn,MDM,TS+LR")
    [ $config = motor_imagery_acm ] && only=(--only "augmented+covariance+tangent+svm")
    classes=()
    [ $task = rest ] && classes=(--set 'fit.classes={rest = "T0", imagery = ["T1", "T2"]}')
    for s in S001 S002 S003 S007 S012; do
      score "$s.$config.$task" configs/$config.toml "${only[@]}" "${classes[@]}" \
        "$eeg/${s}R04.edf" "$eeg/${s}R08.edf" "$eeg/${s}R12.edf"
    done
    [ $task = hands ] && score "eeg1.$config.hands" configs/$config.toml "${only[@]}" \
      --set 'fit.classes={one = "TargetCode 1", two = "TargetCode 2"}' "$bci"/eeg1_1.dat "$bci"/eeg1_2.dat "$bci"/eeg1_3.dat
  done
done
"$python" "$here/geometry.py" "$out" docs/results.md
