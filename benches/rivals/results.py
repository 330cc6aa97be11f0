"""Writes the tables of docs/results.md, between its markers, from what results.sh has scored.

Usage: results.py FOLDER DOCUMENT
"""
import json, os, re, sys

MAIN = "augmented+covariance+tangent+svm"
PIPELINES = ["MDM", "FgMDM", "TS+LR", "TS+SVM", "CSP+LDA", MAIN, "ACM+MDM (grid)", "ACM+TS+SVM (grid)",
             "ACM+TS+SVM (MDOP)", "BT-ACM (grid)"]
SHORT = {MAIN: "ACM+TS+SVM (order 5, default lag)"}
SETS = ["S001", "S002", "S003", "S007", "S012", "eeg1", "B04", "B08"]
SESSIONS = ["B0403T", "B0404E", "B0405E", "B0803T", "B0804E"]


def results(folder, name):
    path = os.path.join(folder, name + ".json")
    return json.load(open(path))["results"] if os.path.exists(path) and os.path.getsize(path) else []


def accuracy(rows, pipeline):
    own = [r for r in rows if r["pipeline"] == pipeline]
    n = sum(r["n"] for r in own)
    return sum(r["correct"] for r in own) / n if n else None


def table(folder, protocol, sets):
    lines = ["| pipeline | " + " | ".join(sets) + " | mean |", "|---" * (len(sets) + 2) + "|"]
    rows = {s: results(folder, f"{s}.{protocol}") for s in sets}
    for pipeline in PIPELINES:
        values = [accuracy(rows[s], pipeline) for s in sets]
        known = [v for v in values if v is not None]
        mean = f"**{sum(known) / len(known):.3f}**" if len(known) == len(sets) else ""
        cells = ["" if v is None else f"{v:.3f}" for v in values]
        lines.append(f"| {SHORT.get(pipeline, pipeline)} | " + " | ".join(cells) + f" | {mean} |")
    return lines


def picks(folder):
    """What the search chose, fold by fold."""
    lines = ["| data | protocol | pipeline | order, lag of each fold | score where chosen | score outside |", "|---" * 6 + "|"]
    for s in SETS:
        for protocol in ("within", "cross"):
            for pipeline in PIPELINES:
                own = [r for r in results(folder, f"{s}.{protocol}") if r["pipeline"] == pipeline]
                choices = [f["choice"] for r in own for f in r["folds"] if f.get("choice")]
                if not choices:
                    continue
                number = lambda c, key: next((re.search(r"=(\d+)", x).group(1) for x in c["sets"] if f".{key}=" in x), "?")
                chosen = ", ".join(f"{number(c, 'order')}/{number(c, 'lag')}" for c in choices)
                inside = sum(c["score"] for c in choices) / len(choices)
                outside = [r["auc"] for r in own if r["auc"] is not None]
                outside = f"{sum(outside) / len(outside):.3f}" if outside else ""
                lines.append(f"| {s} | {protocol} | {pipeline} | {chosen} | {inside:.3f} | {outside} |")
    return lines


def online(folder):
    lines = ["| subject | pipeline | filter | accuracy of windows | nMCC | AUC | false activations per minute | time to decision | hits |",
             "|---" * 9 + "|"]
    for s in SETS[:5]:
        rows = results(folder, f"{s}.pseudo-online")
        for pipeline in PIPELINES:
            for how in ("causal", "zero-phase"):
                own = [r for r in rows if r["pipeline"] == pipeline and r["filter"] == how]
                if not own:
                    continue
                mean = lambda of: sum(of(r) for r in own) / len(own)
                felt = [r["online"] for r in own]
                times = [f["time_to_decision_s"] for f in felt if f["time_to_decision_s"] is not None]
                hits, trials = sum(round(f["hit_rate"] * f["trials"]) for f in felt), sum(f["trials"] for f in felt)
                auc = [r["auc"] for r in own if r["auc"] is not None]
                lines.append(f"| {s} | {SHORT.get(pipeline, pipeline)} | {how} | {accuracy(own, pipeline):.3f} | {mean(lambda r: r['nmcc']):.3f} | "
                             f"{sum(auc) / len(auc):.3f} | {mean(lambda r: r['online']['false_per_minute']):.1f} | "
                             f"{sum(times) / len(times):.1f} s | {hits}/{trials} |")
    return lines


def write(document, parts):
    """Puts the lines of each part between its markers."""
    text = open(document).read()
    for name, lines in parts.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            sys.exit(f"{document} must hold {begin} and {end} once each")
        text = text.split(begin)[0] + "\n".join([begin, *lines, end]) + text.split(end)[1]
    open(document, "w").write(text)


def main():
    folder, document = sys.argv[1:]
    parts = {"within": table(folder, "within", SETS), "cross": table(folder, "cross", SETS),
             "sessions": table(folder, "within", SESSIONS), "picks": picks(folder), "online": online(folder)}
    write(document, parts)


if __name__ == "__main__":
    main()
