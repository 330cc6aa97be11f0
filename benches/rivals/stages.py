"""Writes the table of single stages into docs/benchmarks.md, between its markers.

Usage: stages.py PEERS.json OURS.json DOCUMENT     (what stages.sh made: b_stages.py and `saltatory bench stages --json`)
"""
import json, sys

BEGIN, END = "<!-- stages: begin -->", "<!-- stages: end -->"
PACED = ", one per 50 ms"
# What is compared with what: title, the peers' name and shape, ours, and whether the peers were measured once per 50 ms too.
PAIRS = [
    ("band-pass + notch, 5 sections, 64 ch x 50", "sosfilt 5 sections (bp+notch)", "64 ch x 50 f64 ch x time",
     "band-pass + notch, 5 sections", "64 ch x 50", True),
    ("band-pass + notch, 5 sections, 306 ch x 250", "sosfilt 5 sections (bp+notch)", "306 ch x 250 f64 ch x time",
     "band-pass + notch, 5 sections", "306 ch x 250", True),
    ("covariance (OAS), 64 ch x 2000, hop 50", "Covariances(oas)", "64 ch x 2000",
     "sliding covariance (oas)", "64 ch x 2000, hop 50", False),
    ("augmented covariance (4, lag 8, OAS), 64 ch x 2000, hop 50", "augment(4, lag 8) + Covariances(oas)", "64 ch x 2000 -> 256",
     "sliding augmented covariance (4, lag 8, oas)", "64 ch x 2000 -> 256, hop 50", False),
    *[(f"MDM, 4 classes, {n} x {n}", "MDM.predict, 4 classes", f"1 of {n}x{n}", "mdm, 4 classes", f"1 of {n}x{n}", False)
      for n in (22, 64, 88, 256)],
    *[(f"tangent space, {n} x {n}", "TangentSpace.transform", f"1 of {n}x{n}", "tangent", f"1 of {n}x{n}", False)
      for n in (22, 64, 88, 256)],
    *[(f"tangent space + logistic, 4 classes, {n} x {n}", "TangentSpace+LR predict, 4 classes", f"1 of {n}x{n}",
       "tangent + logistic, 4 classes", f"1 of {n}x{n}", False) for n in (22, 64, 88)],
    ("Riemannian mean of 100, 64 x 64", "mean_riemann", "100 of 64x64", "mean", "100 of 64x64", False),
    ("decision: covariance + tangent + logistic, 64 ch x 2000", "Cov(oas)+TS+LR predict, 4 classes", "64 ch x 2000",
     "decision: covariance (oas) + tangent + logistic, 4 classes", "64 ch x 2000, hop 50", True),
]


def find(records, name, shape):
    return next((r for r in records if r["name"] == name and r["shape"] == shape), None)


def time(us):
    return f"{us:.1f} us" if us < 1e3 else f"{us / 1e3:.2f} ms"


def main():
    peers_path, ours_path, document = sys.argv[1:]
    peers_file = json.load(open(peers_path))
    peers, ours = peers_file["results"], json.load(open(ours_path))
    lines = ["| what | peers p50 / p99 | Saltatory p50 / p99 | ratio of p50 | one per 50 ms: peers | Saltatory | ratio |", "|" + "---|" * 7]
    for title, name, shape, our_name, our_shape, paced in PAIRS:
        theirs, mine = find(peers, name, shape), find(ours, our_name, our_shape)
        if not theirs or not mine:
            lines.append(f"| {title} | not measured |" + " |" * 5)
            continue
        cells = [title, f"{time(theirs['p50_us'])} / {time(theirs['p99_us'])}", f"{time(mine['p50_us'])} / {time(mine['p99_us'])}",
                 f"**{theirs['p50_us'] / mine['p50_us']:.1f} x**"]
        cold, our_cold = find(peers, name + PACED, shape), find(ours, our_name + PACED, our_shape)
        cells += [time(cold["p50_us"]) if cold else "", time(our_cold["p50_us"]) if our_cold else "",
                  f"{cold['p50_us'] / our_cold['p50_us']:.1f} x" if cold and our_cold else ""]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "| tangent space + logistic beside the bare eigendecomposition (faer) of such a matrix | 22 | 64 | 88 | 256 |", "|" + "---|" * 5]
    eigen = [find(ours, "bare eigendecomposition (faer)", f"{n}x{n}") for n in (22, 64, 88, 256)]
    whole = [find(ours, "tangent + logistic, 4 classes", f"1 of {n}x{n}") for n in (22, 64, 88, 256)]
    if all(eigen) and all(whole):
        lines.append("| eigendecomposition | " + " | ".join(time(e["p50_us"]) for e in eigen) + " |")
        lines.append("| tangent space + logistic | " + " | ".join(time(w["p50_us"]) for w in whole) + " |")
        lines.append("| ratio | " + " | ".join(f"{w['p50_us'] / e['p50_us']:.2f}" for w, e in zip(whole, eigen)) + " |")
    machine, when = peers_file["machine"], peers_file["when"][:10]
    facts = (f"Measured {when} on {machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, peers and ours one after the other; "
             + ", ".join(f"{k} {v}" for k, v in peers_file["versions"].items() if k in ("numpy", "scipy", "pyriemann", "scikit-learn")) + ".")
    text = "\n".join([BEGIN, facts, "", *lines, END])
    old = open(document).read()
    if old.count(BEGIN) != 1 or old.count(END) != 1:
        sys.exit(f"{document} must hold {BEGIN} and {END} once each")
    open(document, "w").write(old.split(BEGIN)[0] + text + old.split(END)[1])
    print(text)


if __name__ == "__main__":
    main()
