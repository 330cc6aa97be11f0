"""Writes the table of the end-to-end comparison into docs/benchmarks.md, between its markers.

Usage: table.py RESULTS_FOLDER DOCUMENT     (RESULTS_FOLDER holds the d.N.json of run.sh)

Every figure is the median over the repeats, except `worst`, the largest of them. A repeat in which other programs took more
than a quarter of a core is left out if there is a quieter one, as peerbench itself does.
"""
import glob, json, os, statistics, subprocess, sys

BEGIN, END = "<!-- rivals: begin -->", "<!-- rivals: end -->"
OURS, RIG, FLOOR, NOISY = "saltatory", "saltatory-rig", "echo", 0.25
NAMES = {
    "echo": "floor: echo, no work", "pylsl": "pylsl + SciPy + pyRiemann loop", "mnelsl": "MNE-LSL + pyRiemann",
    "ezmsg": "ezmsg", "timeflux": "Timeflux, graph rate 100", "timeflux1k": "Timeflux, graph rate 1000", OURS: "**Saltatory**", RIG: "**Saltatory, rig** (pinned, spinning)",
}


def rows(documents):
    """The results by engine, in the order of the run; errors and noisy repeats left out."""
    by_name = {}
    for document in documents:
        for result in document["results"]:
            by_name.setdefault(result["name"], []).append(result)
    out = {}
    for name, results in by_name.items():
        good = [r for r in results if "error" not in r]
        out[name] = [r for r in good if r["others_cpu"] <= NOISY] or good
    return out


def median(results, key):
    return statistics.median(r[key] for r in results)


def command(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    return done.stdout.strip()


def table(measured):
    lines = [
        "| engine | p50 | p99 | p99.9 | max (worst) | CPU, cores | RSS, MiB | decisions/s | accuracy | others, cores |",
        "|" + "---|" * 10,
    ]
    for name, results in measured.items():
        if not results:
            lines.append(f"| {NAMES.get(name, name)} | failed |" + " |" * 8)
            continue
        ms = {k: f"{median(results, k + '_us') / 1e3:.2f} ms" for k in ("p50", "p99", "p999", "max")}
        worst = max(r["max_us"] for r in results) / 1e3
        accuracy = "" if name == FLOOR else f"{median(results, 'accuracy'):.3f}"
        lines.append(
            f"| {NAMES.get(name, name)} | {ms['p50']} | {ms['p99']} | {ms['p999']} | {ms['max']} ({worst:.2f}) | "
            f"{median(results, 'cpu_cores'):.3f} | {median(results, 'rss_mib'):.0f} | {median(results, 'decisions_s'):.2f} | "
            f"{accuracy} | {median(results, 'others_cpu'):.2f} |")
    return lines


def ratios(measured):
    """How ours stands beside the best of the peers, figure by figure, and above the floor."""
    floor, ours = measured.get(FLOOR), [n for n in (OURS, RIG) if measured.get(n)]
    peers = {n: r for n, r in measured.items() if r and n not in (OURS, RIG, FLOOR)}
    if not ours or not peers:
        return []
    head = ["figure", "best peer"]
    for name in ours:
        short = NAMES[name].strip("*").split("**")[0]
        head += [short, "times better", "above the floor"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for key, name, scale, unit in (
        ("p50_us", "p50", 1e-3, " ms"), ("p99_us", "p99", 1e-3, " ms"), ("p999_us", "p99.9", 1e-3, " ms"),
        ("max_us", "max", 1e-3, " ms"), ("cpu_cores", "CPU, cores", 1, ""), ("rss_mib", "RSS", 1, " MiB"),
    ):
        best = min(peers, key=lambda n: median(peers[n], key))
        theirs = median(peers[best], key)
        digits = 3 if key == "cpu_cores" else 0 if key == "rss_mib" else 2
        cells = [name, f"{theirs * scale:.{digits}f}{unit} ({best})"]
        for engine in ours:
            mine = median(measured[engine], key)
            above = f"{(mine - median(floor, key)) * scale:.{digits}f}{unit}" if floor else ""
            cells += [f"{mine * scale:.{digits}f}{unit}", f"{theirs / mine:.2f} x", above]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def facts(documents, measured):
    first = documents[0]
    machine, run = first["machine"], first["args"]
    repeats = {name: len(results) for name, results in measured.items()}
    few = ", ".join(f"{n} {k}" for n, k in repeats.items() if k < len(documents))
    lsl = command(sys.executable, "-c", "import pylsl; v = pylsl.library_version(); print(f'{v // 100}.{v % 100}')")
    commit = command("git", "rev-parse", "--short", "HEAD")
    if command("git", "status", "--porcelain", "--untracked-files=no", "src", "Cargo.toml", "Cargo.lock", "build"):
        commit += " with changes"
    versions = ", ".join(f"{k} {v}" for k, v in first["versions"].items())
    return [
        f"Measured {first['when'][:10]} on {machine['cpu']}, {machine['cores']} cores, {machine['mem_mib'] / 1024:.0f} GiB, "
        f"Linux {machine['kernel']}; {len(documents)} repeats of {run['seconds']:.0f} s"
        + (f" (quiet ones used: {few})" if few else "") + f". Saltatory {commit}, {command('rustc', '--version')}; "
        f"Python {machine['python']}, liblsl {lsl} under pylsl, {versions}.",
    ]


def main():
    folder, path = sys.argv[1:]
    documents = [json.load(open(f)) for f in sorted(glob.glob(os.path.join(folder, "d.*.json")))]
    if not documents:
        sys.exit(f"no d.N.json in {folder}")
    measured = rows(documents)
    text = "\n".join([BEGIN, *facts(documents, measured), "", *table(measured), "", *ratios(measured), END])
    old = open(path).read()
    if old.count(BEGIN) != 1 or old.count(END) != 1:
        sys.exit(f"{path} must hold {BEGIN} and {END} once each")
    before, after = old.split(BEGIN)[0], old.split(END)[1]
    open(path, "w").write(before + text + after)
    print(text)


if __name__ == "__main__":
    main()
