"""The table of benches/rivals/eegnet.sh: EEGNet live, offline and in PyTorch, beside Riemannian decoders."""

import json
import pathlib
import re
import sys

out = pathlib.Path(sys.argv[1])
subjects = ["S001", "S002", "S003", "S007", "S012"]
manifest = pathlib.Path("models/eegnet.toml").read_text()
torch = dict(re.findall(r'"(S\d+) (\d+)/\d+"', manifest))


def live(subject):
    """Trials that a live run decided rightly, of how many, and its median and largest engine time in milliseconds."""
    report = json.loads((out / f"{subject}.live.json").read_text())
    truth = json.loads((out / f"{subject}.held_out.json").read_text())["results"][0]["trials"]
    decided = [d["label"] for d in report["decisions"]]
    right = sum(d == ["left", "right"][t["truth"]] for d, t in zip(decided, truth, strict=True))
    times = sorted(d["engine_us"] / 1e3 for d in report["decisions"])
    offline = [["left", "right"][t["decided"]] for t in truth]
    assert decided == offline, f"{subject}: live and offline differ"
    lost = {p["place"]: p["counts"] for p in report["ledger"] if p.get("counts")}
    return right, len(decided), times[len(times) // 2], times[-1], lost


def score(name):
    result = json.loads((out / f"{name}.json").read_text())["results"][0]
    return result["correct"]


rows = {"EEGNet in PyTorch": [int(torch[s]) for s in subjects]}
lives = [live(s) for s in subjects]
rows["EEGNet live over LSL"] = [l[0] for l in lives]
rows["EEGNet, `evaluate --protocol held-out`"] = [score(f"{s}.held_out") for s in subjects]
for decoder, label in [("motor_imagery", "tangent space + logistic"), ("motor_imagery_acm", "ACM")]:
    rows[f"{label}, all five's runs 4 and 8"] = [score(f"{decoder}-{s}-by-all") for s in subjects]
    rows[f"{label}, own runs 4 and 8"] = [score(f"{decoder}-{s}-by-own") for s in subjects]
n = [l[1] for l in lives]
print("| decoder | " + " | ".join(subjects) + " | all |")
print("|---|" + "---|" * (len(subjects) + 1))
for name, right in rows.items():
    print(f"| {name} | " + " | ".join(f"{r}/{k}" for r, k in zip(right, n)) + f" | {sum(right)}/{sum(n)} = {sum(right) / sum(n):.2f} |")
print("engine time, median and largest, ms:", ", ".join(f"{s} {l[2]:.1f} / {l[3]:.1f}" for s, l in zip(subjects, lives)))
print("counted:", {s: l[4] for s, l in zip(subjects, lives)})
