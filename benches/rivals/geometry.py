"""Writes the tables of the geometric chain in docs/results.md, between its markers, from what geometry.sh has scored.

Usage: geometry.py FOLDER DOCUMENT
"""
import sys

from results import accuracy, results, write

CHAIN = "spectrum+graph+eigenmap+curvature+gcn"
ACM = "augmented+covariance+tangent+svm"
ROWS = [("full chain", "geometry_denoised", CHAIN), ("without denoiser", "geometry", CHAIN),
        ("without denoiser and flow", "geometry", "without flow"),
        ("without denoiser and eigenmap", "geometry", "without eigenmap"),
        ("without denoiser and GCN (LDA)", "geometry", "without GCN"),
        ("band power of each channel (LDA)", "geometry", "band power alone"),
        ("MDM", "geometry", "MDM"), ("TS+LR", "geometry", "TS+LR"),
        ("MDM behind the denoiser", "geometry_denoised", "MDM"), ("TS+LR behind the denoiser", "geometry_denoised", "TS+LR"),
        ("ACM+TS+SVM (9 channels)", "motor_imagery_acm", ACM)]


def table(folder, task, sets):
    lines = ["| pipeline | " + " | ".join(sets) + " | mean |", "|---" * (len(sets) + 2) + "|"]
    trials = {(s, sum(r["n"] for r in results(folder, f"{s}.{config}.{task}") if r["pipeline"] == pipeline))
              for s in sets for _, config, pipeline in ROWS}
    if len(trials) != len(sets):
        sys.exit(f"{task}: not all pipelines were scored on the same trials: {sorted(trials)}")
    for name, config, pipeline in ROWS:
        values = [accuracy(results(folder, f"{s}.{config}.{task}"), pipeline) for s in sets]
        cells = [f"{v:.3f}" for v in values]
        lines.append(f"| {name} | " + " | ".join(cells) + f" | **{sum(values) / len(values):.3f}** |")
    return lines


def main():
    folder, document = sys.argv[1:]
    subjects = ["S001", "S002", "S003", "S007", "S012"]
    parts = {"hands": table(folder, "hands", subjects + ["eeg1"]), "rest": table(folder, "rest", subjects)}
    write(document, parts)


if __name__ == "__main__":
    main()
