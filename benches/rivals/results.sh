#!/usr/bin/env bash
# Usage: results.sh FOLDER_OF_SHARED_DATA [OUT=target/results]
# Scores every pipeline of configs/motor_imagery_acm.toml and motor_imagery_epochs.toml on every subject, within and
# across recordings and pseudo-online, into OUT/*.json (what is there already stays), and writes docs/results.md's tables.
# The nested grids take about an hour on two cores.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd); root=$(cd "$here/../.." && pwd)
data=$(cd "$1" && pwd); out=${2:-$root/target/results}; mkdir -p "$out/graz"; out=$(cd "$out" && pwd)
saltatory=${SALTATORY:-$root/target/release/saltatory}; python=${PYTHON:-$root/.venv/bin/python}
cd "$root"
graz=$data/bci-competition-iv-2b; eeg=$data/physionet-eegmmidb; bci=$data/bci2000-samples
"$python" docs/interop/graz_epochs.py "$out/graz" "$graz"/B0403T.mat "$graz"/B0404E.mat "$graz"/B0405E.mat "$graz"/B0803T.mat "$graz"/B0804E.mat >/dev/null

score() { # NAME ARGUMENTS...
  local name=$1; shift
  [ -s "$out/$name.json" ] && return
  echo "$name" >&2
  "$saltatory" evaluate "$@" --json >"$out/$name.part"
  mv "$out/$name.part" "$out/$name.json"
}
session() { echo "$out/graz/$1.safetensors"; }

for protocol in within cross; do
  for s in S001 S002 S003 S007 S012; do
    score "$s.$protocol" configs/motor_imagery_acm.toml --protocol $protocol "$eeg/${s}R04.edf" "$eeg/${s}R08.edf" "$eeg/${s}R12.edf"
  done
  score "eeg1.$protocol" configs/motor_imagery_acm.toml --protocol $protocol \
    --set 'fit.classes={one = "TargetCode 1", two = "TargetCode 2"}' "$bci"/eeg1_1.dat "$bci"/eeg1_2.dat "$bci"/eeg1_3.dat
  score "B04.$protocol" configs/motor_imagery_epochs.toml --protocol $protocol "$(session B0403T)" "$(session B0404E)" "$(session B0405E)"
  score "B08.$protocol" configs/motor_imagery_epochs.toml --protocol $protocol "$(session B0803T)" "$(session B0804E)"
done
for s in B0403T B0404E B0405E B0803T B0804E; do
  score "$s.within" configs/motor_imagery_epochs.toml --protocol within "$(session $s)"
done
for s in S001 S002 S003 S007 S012; do
  score "$s.pseudo-online" configs/motor_imagery_acm.toml --protocol pseudo-online --filter causal,zero-phase \
    --only "augmented+covariance+tangent+svm,MDM,FgMDM,TS+LR,TS+SVM,CSP+LDA,ACM+TS+SVM (MDOP)" \
    --set 'fit.classes={left = "T1", right = "T2", rest = "T0"}' --set 'fit.idle="rest"' \
    "$eeg/${s}R04.edf" "$eeg/${s}R08.edf" "$eeg/${s}R12.edf"
done
"$python" "$here/results.py" "$out" docs/results.md
