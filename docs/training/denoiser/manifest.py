"""Write the manifests of the three models, from the models, their scores and the recordings they were made of.

    python manifest.py DATA_FOLDER models docs/training/denoiser/scores.json
"""

import argparse
import datetime
import hashlib
import json
from pathlib import Path

import data
import train

LICENCES = {"physionet": "ODC-BY 1.0", "ssvep": "CC0 1.0", "muse": "BSD-3-Clause", "yasa": "BSD-3-Clause",
            "eeglab": "BSD-2-Clause", "bci2000": "GPL-3.0 (part of BCI2000)"}
FOLDERS = {"physionet": "physionet-eegmmidb", "ssvep": "ssvep-exoskeleton", "muse": "muse-lsl", "yasa": "sleep",
           "eeglab": "eeglab", "bci2000": "bci2000-samples"}
PATTERNS = {"physionet": "{0}R*.edf", "ssvep": "subject{0}_*_raw.fif", "muse": "*.csv",
            "yasa": "data_resting_EO_200Hz_raw.fif", "eeglab": "eeglab_data.*", "bci2000": "{0}_*.dat"}

# What made the committed weights: options of each stage, step whose weights were kept.
RUNS = {"denoiser": [("--steps 16000", 12000)],
        "denoiser_ocular": [("--kind ocular", 22500), ("--kind ocular --refine", 3000)],
        "denoiser_muscle": [("--kind muscle", 12500)]}
UNMIXED = {"denoiser": "general", "denoiser_ocular": "ocular", "denoiser_muscle": "muscle"}
MADE_FOR = {"denoiser": "any artefact: blinks, eye movements, muscle", "denoiser_ocular": "blinks and eye movements",
            "denoiser_muscle": "muscle"}


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def recordings(folder, split):
    """One TOML line per file of the split's subjects."""
    for subject in (s for s, part in data.SPLIT_OF.items() if part == split):
        source, number = subject.split("-")
        for path in sorted((Path(folder) / FOLDERS[source]).glob(PATTERNS[source].format(number))):
            yield (f'  {{ subject = "{subject}", file = "{FOLDERS[source]}/{path.name}", '
                   f'licence = "{LICENCES[source]}", sha256 = "{sha256(path)}" }},')


def at_2_db(name, scores):
    """The lines of [score] of one model: its own kinds of mixtures, and clean EEG."""
    method = "general" if name == "denoiser" else "specialist"
    for kind in {"denoiser_ocular": ("blinks", "ocular", "narrow"), "denoiser_muscle": ("muscle",)}.get(name, scores["levels"]):
        row = scores["levels"][kind]["2"][method]["cc"]
        yield f"{kind}_cc = {row['mean']}\n{kind}_cc_interval = {row['interval']}"
    yield f"unmixed_cc = {scores['unmixed_cc'][UNMIXED[name]]}   # clean EEG in, against itself"


def text(folder, stem, scores):
    name = Path(stem).name
    lines = [
        "# What the model is, what goes in, what comes out, and where it comes from. Written by",
        "# docs/training/denoiser/manifest.py; docs/training/denoiser/README.md has the method and all figures.",
        f'name = "{name}"', f'removes = "{MADE_FOR[name]}"', f'file = "{name}.onnx"', f'sha256 = "{sha256(stem + ".onnx")}"',
        f'parity = "{name}.npz"   # eight windows x, and y as PyTorch computed it',
        f'date = "{datetime.date.today()}"', 'opset = 17', "",
        "[input]", 'name = "x"', 'shape = ["channels", 512]', 'type = "float32"', "rate_hz = 256", "",
        "[output]", 'name = "y"', 'shape = ["channels", 512]', 'type = "float32"',
        'meaning = "estimate of the clean signal, in the units of the input"', "",
        "[scaling]", 'rule = "per row: subtract the mean, divide by the standard deviation; multiply the output by it"',
        'band_hz = [0.3, 80.0]   # what comes out begins at 1 Hz', 'line_noise = "removed before"', "",
        "[training]",
        "# Each stage goes on from the weights of the one before; steps are chosen on the subjects of \"validation\".",
        "stages = [",
        *[f'  {{ command = "python train.py EPOCHS.npz STEM {options}", kept_step = {step} }},'
          for options, step in RUNS[name]],
        "]",
        f"seed = {train.SEED}",
        *[f"{split} = [\n" + "\n".join(recordings(folder, split)) + "\n]" for split in data.SPLITS], "",
        "[score]", '# mean correlation with the clean signal at 2 dB (10 log10 of the RMS ratio), subjects of "test"',
        *at_2_db(name, scores), ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("models", type=Path)
    parser.add_argument("scores")
    args = parser.parse_args()
    scores = json.loads(Path(args.scores).read_text())
    for name in RUNS:
        stem = str(args.models / name)
        Path(f"{stem}.toml").write_text(text(args.folder, stem, scores))


if __name__ == "__main__":
    main()
