#!/usr/bin/env bash
# Usage: setup.sh [FOLDER=target/rivals]
# Makes the two Python environments that the rivals need: FOLDER/venv (pylsl, MNE-LSL, ezmsg, pyRiemann, ...) and
# FOLDER/venv-timeflux (Timeflux pins packages that the others cannot live with). A package that does not install
# does not stop the rest; the peers that work are named at the end. Takes minutes the first time, nothing afterwards.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd); root=$(cd "$here/../.." && pwd)
out=${1:-$root/target/rivals}; bench=${PEERBENCH:-$root/../shared/peerbench}
python=${PYTHON:-$(command -v python3.11 || command -v python3)}
mkdir -p "$out"

# make NAME REQUIREMENTS: an environment with the pinned packages, or as many of them as install.
make() {
  if [ -f "$out/$1/complete" ] && cmp -s "$2" "$out/$1/complete"; then return; fi
  [ -x "$out/$1/bin/python" ] || "$python" -m venv "$out/$1" || return
  pip="$out/$1/bin/python -m pip install --quiet --disable-pip-version-check"
  if $pip -r "$2"; then cp "$2" "$out/$1/complete"; return; fi
  echo "$1: not everything installs together; trying one by one" >&2
  grep -v '^ *\(#\|$\)' "$2" | while read -r pin; do
    $pip --no-deps "$pin" || echo "$1: $pin does not install" >&2
  done
}

# works NAME PEER CODE: says whether the imports of a peer work.
works() {
  if "$out/$1/bin/python" -c "$3" 2>"$out/import.log"; then echo "ready: $2"; else
    echo "NOT ready: $2 ($(tail -n 1 "$out/import.log"))"; fi
}

make venv "$bench/requirements.txt"
make venv-timeflux "$bench/requirements-timeflux.txt"
export MNE_LOGGING_LEVEL=ERROR
lsl=$("$out/venv/bin/python" -c 'import os, pylsl; print(os.path.join(os.path.dirname(pylsl.__file__), "lib", "liblsl.so"))')
[ -f "$lsl" ] && export PYLSL_LIB=$lsl
works venv pylsl 'import pylsl, scipy, pyriemann, sklearn, psutil, joblib'
works venv mnelsl 'import mne_lsl.lsl, mne_lsl.stream'
works venv ezmsg 'import ezmsg.core, ezmsg.lsl.inlet, ezmsg.sigproc.butterworthfilter'
works venv-timeflux timeflux 'import timeflux.nodes.lsl, timeflux_dsp.nodes.filters, pyriemann'
