#!/usr/bin/env bash
# Usage: remote_namespaces.sh [SECONDS=20]
# Runs a network in one network namespace for a pipeline in another, with a veth pair between them, TLS and a token:
# first undisturbed, where each decision must be that of the same run without a host; then with the host killed at a
# third of the time and started again at two thirds. Needs root, `ip`, `openssl` and ONNX Runtime, and a program built with
# `--features remote`. Takes away what it has made, however it ends.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd); root=$(cd "$here/../.." && pwd); cd "$root"
saltatory=${SALTATORY:-$root/target/release/saltatory}; python=${PYTHON:-python3}
seconds=${1:-20}; out=$(mktemp -d); id=$$; near=saltatory-near-$id; far=saltatory-far-$id; host=
here_ip=10.213.7.1; there_ip=10.213.7.2; place=tls/$there_ip:7447

clean() {
  [ -z "$host" ] || kill -KILL "$host" 2>/dev/null || true
  ip netns del "$near" 2>/dev/null || true
  ip netns del "$far" 2>/dev/null || true
  rm -rf "$out"
}
trap clean EXIT

for space in "$near" "$far"; do ip netns add "$space"; ip -n "$space" link set lo up; done
ip -n "$near" link add near type veth peer name far netns "$far"
ip -n "$near" addr add $here_ip/30 dev near; ip -n "$near" link set near up
ip -n "$far" addr add $there_ip/30 dev far; ip -n "$far" link set far up

(umask 077; echo "lab:$(openssl rand -hex 32)" >"$out/token")
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=saltatory \
  -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=IP:$there_ip \
  -keyout "$out/host.key" -out "$out/host.pem" 2>/dev/null

cat >"$out/here.toml" <<END
[[source]]
kind = "synthetic"
id = "eeg"
channels = ["Fz", "FC1", "FC2", "C3", "Cz", "C4", "Pz", "Oz"]
rate_hz = 160.0
duration_s = $seconds.0

[[stage]]
kind = "window"
length_s = 2.0
step_s = 0.05

[[stage]]
kind = "onnx"
model = "models/eegnet.onnx"
budget_ms = 40.0
fallback = "previous"
END
sed "\$a host = { connect = \"$place\", token_file = \"$out/token\", ca = \"$out/host.pem\" }" "$out/here.toml" >"$out/there.toml"
for config in here there; do printf '\n[[sink]]\nkind = "jsonl"\npath = "%s"\n' "$out/$config.jsonl" >>"$out/$config.toml"; done

start_host() {
  ip netns exec "$far" "$saltatory" host models/eegnet.onnx --listen $place --token-file "$out/token" \
    --cert "$out/host.pem" --key "$out/host.key" >"$out/host.out" &
  host=$!
  until grep -q "listens at" "$out/host.out" 2>/dev/null; do kill -0 "$host"; sleep 0.02; done
}
run() { # CONFIG REPORT
  LSLAPICFG=$root/configs/lsl_loopback.cfg ip netns exec "$near" "$saltatory" run "$out/$1.toml" --report "$out/$2.json"
}

start_host
run here here; run there there
run there killed & running=$!
sleep $((seconds / 3)); { kill -KILL "$host"; wait "$host"; } 2>/dev/null || true
sleep $((seconds / 3)); start_host
wait $running

"$python" - "$out" <<'END'
import json, sys
load = lambda name: json.load(open(f"{sys.argv[1]}/{name}.json"))
here, there, killed = map(load, ("here", "there", "killed"))
scores = lambda report: {d["last_sample"]: d["scores"] for d in report["decisions"] if not d["degraded"]}
same, other = scores(here), scores(there)
both = same.keys() & other.keys()
assert len(both) > 0.9 * len(same), (len(both), len(same))
differ = sum(same[k] != other[k] for k in both)
print(f"decisions in both runs: {len(both)}, different: {differ}")
for name, report in (("here", here), ("in the other namespace", there), ("killed and back", killed)):
    stage = dict(report["latency"]["stages"])["onnx"] if isinstance(report["latency"]["stages"], list) else report["latency"]["stages"]["onnx"]
    page = next(p for p in report["ledger"] if p["place"] == "onnx")
    print(f"{name}: n {stage['n']}, p50 {stage['p50_us']:.0f} us, p99 {stage['p99_us']:.0f} us, ledger {page['counts']}")
    for event in page.get("events", []):
        print(f"  {event['text']}")
assert differ == 0 and next(p for p in killed["ledger"] if p["place"] == "onnx")["counts"]["host_lost"] == 1
assert not killed["decisions"][-1]["degraded"]
END
