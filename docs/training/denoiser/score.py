"""Score the denoiser and its baselines on subjects that training never saw; time it; draw the curve.

    python score.py EPOCHS.npz models/denoiser.onnx docs/training/denoiser

Writes scores.json and curve.svg into the folder and prints the tables. Every clean test epoch is mixed once with an
artefact epoch drawn from all test subjects, at each of ten levels. Intervals: 95 %, bootstrap over the 2 s windows
(the channels of one window are kept together, as they are no independent samples).
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import onnxruntime

import baselines
import data

SEED = 7
LEVELS_DB = range(-7, 3)
RESAMPLES = 1000
BATCHES = (1, 8, 64)
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


def score(epochs_path, model, split):
    epochs, rng = data.load(epochs_path, split), np.random.default_rng(SEED)
    training = baselines.Training(epochs_path, SEED)
    fits = {"band-pass": baselines.bandpass(training), "wiener": baselines.wiener(training),
            "asr": baselines.asr(training)}
    clean, subjects = epochs["clean"], epochs["clean_subject"]
    boot = Bootstrap([f"{n}{s}" for n, s in zip(epochs["clean_recording"], epochs["clean_start"])], rng)
    out = {}
    for kind in ("ocular", "muscle"):
        artefact = epochs[kind][rng.integers(0, len(epochs[kind]), len(clean))]
        for level in LEVELS_DB:
            x, y = data.mix(clean, artefact, np.full(len(clean), level))
            methods = {"denoiser": model, "input": lambda x: x}
            methods |= {name: fit(kind, level) for name, fit in fits.items()}
            methods["oracle"] = baselines.oracle(clean, artefact, level)
            values = {name: measures(clean_up(x), y) for name, clean_up in methods.items()}
            out.setdefault(kind, {})[level] = {name: summary(v, values["denoiser"], subjects, boot)
                                               for name, v in values.items()}
    unmixed = baselines.correlation(model(clean), clean)
    return {"levels": out, "unmixed_cc": float(unmixed.mean()), "clean_epochs": len(clean), "windows": int(boot.groups),
            "artefact_epochs": {kind: len(epochs[kind]) for kind in ("ocular", "muscle")}}


def summary(values, ours, subjects, boot):
    """Means and intervals; the correlation by subject; how far the denoiser's correlation is above."""
    out = {metric: {"mean": float(values[metric].mean()), "interval": boot.interval(values[metric])}
           for metric in METRICS}
    out["cc_by_subject"] = {str(s): float(values["cc"][subjects == s].mean()) for s in np.unique(subjects)}
    out["denoiser_above"] = {"mean": float((ours["cc"] - values["cc"]).mean()),
                             "interval": boot.interval(ours["cc"] - values["cc"])}
    return out


def timing(run):
    """{batch: [median, 99th percentile] in ms} of one call."""
    out = {}
    for batch in BATCHES:
        x = np.random.default_rng(0).standard_normal((batch, data.SAMPLES)).astype(np.float32)
        taken = []
        for call in range(320):
            started = time.perf_counter()
            run(x)
            taken.append((time.perf_counter() - started) * 1e3)
        out[batch] = [float(v) for v in np.percentile(taken[20:], [50, 99])]
    return out


def draw(levels, path):
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "denoiser", "font.size": 9}
    from matplotlib import pyplot
    styles = {"denoiser": ("#c03028", "-", 2.2), "wiener": ("#2060a0", "-", 1.2), "asr": ("#208050", "-", 1.2),
              "band-pass": ("#b08000", "-", 1.2), "input": ("#707070", "-", 1.0), "oracle": ("#000000", ":", 1.0)}
    figure, axes = pyplot.subplots(1, 2, figsize=(8.4, 3.4), sharey=True)
    for axis, (kind, rows) in zip(axes, levels.items()):
        for name, (colour, dashes, width) in styles.items():
            values = [rows[level][name]["cc"] for level in LEVELS_DB]
            axis.plot(LEVELS_DB, [v["mean"] for v in values], dashes, color=colour, lw=width, label=name)
        ours = [rows[level]["denoiser"]["cc"]["interval"] for level in LEVELS_DB]
        axis.fill_between(LEVELS_DB, *zip(*ours), color="#c03028", alpha=0.2, lw=0)
        axis.set(title=kind, xlabel="SNR, dB (10 log10 of the RMS ratio)", ylim=(0.1, 1.0), xticks=list(LEVELS_DB))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("correlation with the clean signal")
    axes[1].legend(loc="lower right", frameon=False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def table(kind, rows, metric):
    names = list(rows[LEVELS_DB[0]])
    print(f"\n{kind}, {metric}\n| dB | " + " | ".join(names) + " |\n|" + "---|" * (len(names) + 1))
    for level in LEVELS_DB:
        cells = []
        for name in names:
            low, high = rows[level][name][metric]["interval"]
            spread = f" ({low:.3f}–{high:.3f})" if name == "denoiser" else ""
            cells.append(f"{rows[level][name][metric]['mean']:.3f}{spread}")
        print(f"| {level} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("epochs")
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", default="test", choices=data.SPLITS)
    args = parser.parse_args()
    network = session(args.model)
    run = lambda x: network.run(None, {"x": x})[0]
    standardised = lambda x: run(np.ascontiguousarray((x - x.mean(axis=-1, keepdims=True))
                                                      / x.std(axis=-1, keepdims=True), np.float32))
    out = score(args.epochs, standardised, args.split) | {"split": args.split, "timing_ms": timing(run)}
    out["machine"] = {"cpus": os.cpu_count(), "onnxruntime": onnxruntime.__version__}
    args.folder.mkdir(parents=True, exist_ok=True)
    (args.folder / "scores.json").write_text(json.dumps(rounded(out), indent=1) + "\n")
    draw(out["levels"], args.folder / "curve.svg")
    for kind, rows in out["levels"].items():
        for metric in METRICS:
            table(kind, rows, metric)
        print(f"at 2 dB by subject: {rounded(rows[2]['denoiser']['cc_by_subject'])}")
        worst = min((rows[level][name]["denoiser_above"]["interval"][0], name, level) for level in LEVELS_DB
                    for name in ("input", "band-pass", "wiener", "asr"))
        print(f"nearest baseline: {worst[1]} at {worst[2]} dB, the denoiser is above by {worst[0]:.4f} or more")
    print({key: rounded(value) for key, value in out.items() if key != "levels"})


def rounded(value):
    if isinstance(value, dict):
        return {key: rounded(v) for key, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return round(value, 4) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
