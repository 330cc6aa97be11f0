"""Score the denoisers and their baselines on subjects that training never saw; time them; draw the curve.

    python score.py EPOCHS.npz models docs/training/denoiser

Writes scores.json and curve.svg into the folder and prints the tables. Every clean test epoch is mixed once with an
artefact epoch drawn from all test subjects, at each of ten levels. Of the three networks, "general" is told
nothing, "specialist" is the one for the kind of artefact, "other" the one for the other kind. Intervals: 95 %,
bootstrap over the 2 s windows (the channels of one window are kept together, as they are no independent samples).
"""

import argparse
import json
import os
import pickle
import time
from pathlib import Path

import numpy as np
import onnxruntime

import baselines
import data

SEED = 7
LEVELS_DB = range(-7, 3)
RESAMPLES = 1000
TOLD_PAIRS = 1500
BATCHES = (1, 8, 64)
TIMED_RUNS = 5
SETS = baselines.ARTEFACTS
SPECIALIST = {"ocular": "ocular", "blinks": "ocular", "narrow": "ocular", "muscle": "muscle"}
OTHER = {"ocular": "muscle", "blinks": "muscle", "narrow": "muscle", "muscle": "ocular"}
FILES = {"general": "denoiser.onnx", "ocular": "denoiser_ocular.onnx", "muscle": "denoiser_muscle.onnx"}
BASELINES = {"band-pass": baselines.bandpass, "wiener": baselines.wiener, "wiener kind": baselines.wiener_kind,
             "wiener blind": baselines.wiener_blind, "asr": baselines.asr}
OURS = ("general", "specialist", "specialist with SNR")
METRICS = ("cc", "rrmse_temporal", "rrmse_spectral")


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def measures(estimate, target):
    """{metric: one value per epoch}; spectra are periodograms."""
    rms = lambda z: np.sqrt((z ** 2).mean(axis=-1))
    psd = lambda z: np.abs(np.fft.rfft(z)) ** 2
    return {"cc": baselines.correlation(estimate, target),
            "rrmse_temporal": rms(estimate - target) / rms(target),
            "rrmse_spectral": rms(psd(estimate) - psd(target)) / rms(psd(target))}


class Bootstrap:
    """Resampled windows, the same for every method and level."""

    def __init__(self, groups, rng):
        _, self.index = np.unique(groups, return_inverse=True)
        self.groups = int(self.index.max()) + 1
        self.draws = rng.multinomial(self.groups, np.full(self.groups, 1 / self.groups), RESAMPLES)
        self.sizes = self.draws @ np.bincount(self.index)

    def interval(self, values):
        means = self.draws @ np.bincount(self.index, values, self.groups) / self.sizes
        return [float(v) for v in np.percentile(means, [2.5, 97.5])]


def mixtures(clean, artefact):
    """(level, input, target) at every level."""
    for level in LEVELS_DB:
        yield (level, *data.mix(clean, artefact, np.full(len(clean), level)))


def baseline_values(training, epochs, artefacts):
    """{"kind level name": measures}; they do not depend on the networks."""
    out = {}
    fits = {name: baseline(training) for name, baseline in BASELINES.items()}
    for kind, artefact in artefacts.items():
        for level, x, y in mixtures(epochs["clean"], artefact):
            methods = {"input": lambda x: x} | {name: fit(kind, level) for name, fit in fits.items()}
            methods["oracle"] = baselines.oracle(epochs["clean"], artefact, level)
            out |= {f"{kind} {level} {name}": measures(clean_up(x), y) for name, clean_up in methods.items()}
    return out


def told_snr(run, training):
    """A network that is told the SNR, as most baselines are: what it says is put together with the mixture by the two
    Wiener filters that are best on training mixtures of the level."""
    def fit(kind, snr_db):
        clean, artefact = (part[:TOLD_PAIRS] for part in training.many[kind])
        x, y = data.mix(clean, artefact, np.full(TOLD_PAIRS, snr_db))
        given, target = np.stack([np.fft.rfft(run(x)), np.fft.rfft(x)]), np.fft.rfft(y)
        square = np.einsum("anf,bnf->fab", given.conj(), given).real + 1e-6 * TOLD_PAIRS * np.eye(2)
        gains = np.linalg.solve(square, np.einsum("anf,nf->fa", given.conj(), target).real[..., None])[..., 0].T
        return lambda x: np.fft.irfft(gains[0] * np.fft.rfft(run(x)) + gains[1] * np.fft.rfft(x), data.SAMPLES)
    return fit


def kept(path, compute):
    """What `compute` gives, from the file if there is one."""
    if not path:
        return compute()
    if not path.exists():
        path.write_bytes(pickle.dumps(compute()))
    return pickle.loads(path.read_bytes())


def score(epochs_path, networks, split, keep):
    epochs, rng = data.with_blinks(data.load(epochs_path, split)), np.random.default_rng(SEED)
    clean, subjects = epochs["clean"], epochs["clean_subject"]
    boot = Bootstrap([f"{n}{s}" for n, s in zip(epochs["clean_recording"], epochs["clean_start"])], rng)
    artefacts = {kind: epochs[kind][rng.integers(0, len(epochs[kind]), len(clean))] for kind in SETS}
    training = baselines.Training(epochs_path, SEED)
    known = kept(keep, lambda: baseline_values(training, epochs, artefacts))
    out = {}
    for kind, artefact in artefacts.items():
        told = {"general": networks["general"], "specialist": networks[SPECIALIST[kind]],
                "other": networks[OTHER[kind]]}
        with_snr = told_snr(told["specialist"], training)
        for level, x, y in mixtures(epochs["clean"], artefact):
            values = {name: measures(run(x), y) for name, run in told.items()}
            values["specialist with SNR"] = measures(with_snr(kind, level)(x), y)
            values |= {name: known[f"{kind} {level} {name}"] for name in ("input", *BASELINES, "oracle")}
            out.setdefault(kind, {})[level] = {name: summary(v, values, subjects, boot) for name, v in values.items()}
    unmixed = {name: float(baselines.correlation(run(clean), clean).mean()) for name, run in networks.items()}
    return {"levels": out, "unmixed_cc": unmixed, "clean_epochs": len(clean), "windows": int(boot.groups),
            "artefact_epochs": {kind: len(epochs[kind]) for kind in SETS}}


def summary(values, every, subjects, boot):
    """Means and intervals; the correlation by subject; how far the networks' correlation is above."""
    out = {metric: {"mean": float(values[metric].mean()), "interval": boot.interval(values[metric])}
           for metric in METRICS}
    out["cc_by_subject"] = {str(s): float(values["cc"][subjects == s].mean()) for s in np.unique(subjects)}
    for ours in OURS:
        above = every[ours]["cc"] - values["cc"]
        out[f"{ours}_above"] = {"mean": float(above.mean()), "interval": boot.interval(above)}
    return out


def timing(run):
    """{batch: [median, 99th percentile] of one call, in ms}, of the quietest of several short runs."""
    out = {}
    for batch in BATCHES:
        x = np.random.default_rng(0).standard_normal((batch, data.SAMPLES)).astype(np.float32)
        runs = []
        for _ in range(TIMED_RUNS):
            taken = []
            for call in range(110):
                started = time.perf_counter()
                run(x)
                taken.append((time.perf_counter() - started) * 1e3)
            runs.append([float(v) for v in np.percentile(taken[10:], [50, 99])])
        out[batch] = min(runs)
    return out


def draw(levels, path):
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "denoiser", "font.size": 9}
    from matplotlib import pyplot
    styles = {"specialist": ("#c03028", "-", 2.2), "specialist with SNR": ("#c03028", ":", 1.4),
              "general": ("#e08878", "-", 1.6), "wiener": ("#2060a0", "-", 1.2), "wiener kind": ("#2060a0", "--", 1.0),
              "wiener blind": ("#2060a0", ":", 1.0), "asr": ("#208050", "-", 1.2), "band-pass": ("#b08000", "-", 1.2),
              "input": ("#707070", "-", 1.0), "oracle": ("#000000", ":", 1.0)}
    figure, axes = pyplot.subplots(1, 4, figsize=(13.6, 3.6), sharey=True)
    for axis, kind in zip(axes, ("blinks", "ocular", "muscle", "narrow")):
        rows = levels[kind]
        for name, (colour, dashes, width) in styles.items():
            values = [rows[level][name]["cc"] for level in LEVELS_DB]
            axis.plot(LEVELS_DB, [v["mean"] for v in values], dashes, color=colour, lw=width, label=name)
        ours = [rows[level]["specialist"]["cc"]["interval"] for level in LEVELS_DB]
        axis.fill_between(LEVELS_DB, *zip(*ours), color="#c03028", alpha=0.2, lw=0)
        title = {"ocular": "all ocular", "narrow": "blinks from 1 Hz on"}.get(kind, kind)
        axis.set(title=title, xlabel="SNR, dB (10 log10 of the RMS ratio)",
                 ylim=(0.1, 1.0), xticks=list(LEVELS_DB))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("correlation with the clean signal")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="center right", frameon=False)
    figure.tight_layout(rect=(0, 0, 0.88, 1))
    figure.savefig(path, metadata={"Date": None})


def table(kind, rows, metric):
    names = list(rows[LEVELS_DB[0]])
    print(f"\n{kind}, {metric}\n| dB | " + " | ".join(names) + " |\n|" + "---|" * (len(names) + 1))
    for level in LEVELS_DB:
        cells = []
        for name in names:
            low, high = rows[level][name][metric]["interval"]
            spread = f" ({low:.3f}–{high:.3f})" if name == "specialist" else ""
            cells.append(f"{rows[level][name][metric]['mean']:.3f}{spread}")
        print(f"| {level} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("epochs")
    parser.add_argument("models", type=Path, help="folder of denoiser.onnx, denoiser_ocular.onnx, denoiser_muscle.onnx")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", default="test", choices=data.SPLITS)
    parser.add_argument("--keep", type=Path, help="file for the baselines' results, to score other networks sooner")
    args = parser.parse_args()
    networks = {name: runner(session(args.models / file)) for name, file in FILES.items()}
    out = score(args.epochs, networks, args.split, args.keep)
    out |= {"split": args.split, "timing_ms": timing(networks["general"])}
    out["machine"] = {"cpus": os.cpu_count(), "onnxruntime": onnxruntime.__version__}
    args.folder.mkdir(parents=True, exist_ok=True)
    (args.folder / "scores.json").write_text(json.dumps(rounded(out), indent=1) + "\n")
    draw(out["levels"], args.folder / "curve.svg")
    for kind, rows in out["levels"].items():
        table(kind, rows, "cc")
        for ours in OURS:
            print(f"{ours} at 2 dB by subject: {rounded(rows[2][ours]['cc_by_subject'])}")
            worst = min((rows[level][name][f"{ours}_above"]["mean"], name, level) for level in LEVELS_DB
                        for name in ("input", *BASELINES))
            print(f"nearest baseline to {ours}: {worst[1]} at {worst[2]} dB, above it by {worst[0]:.4f}")
    print({key: rounded(value) for key, value in out.items() if key != "levels"})


def runner(network):
    """From rows of any size to standardised estimates."""
    return lambda x: network.run(None, {"x": np.ascontiguousarray(
        (x - x.mean(axis=-1, keepdims=True)) / x.std(axis=-1, keepdims=True), np.float32)})[0]


def rounded(value):
    if isinstance(value, dict):
        return {key: rounded(v) for key, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return round(value, 4) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
