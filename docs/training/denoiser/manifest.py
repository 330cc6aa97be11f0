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
            "eeglab": "BSD-2-Clause"}
FOLDERS = {"physionet": "physionet-eegmmidb", "ssvep": "ssvep-exoskeleton", "muse": "muse-lsl", "yasa": "sleep",
           "eeglab": "eeglab"}
PATTERNS = {"physionet": "{0}R*.edf", "ssvep": "subject{0}_*_raw.fif", "muse": "*.csv",
            "yasa": "data_resting_EO_200Hz_raw.fif", "eeglab": "eeglab_data.*"}

# What made the committed weights: commit of the scripts, options, step whose weights were kept.
GENERAL = (("3425ad4", "--steps 7000", 3000), ("d4b1420", "--steps 4000 --start STEM.pt", 1500),
           ("87fe37f, with BOTH = 0.10", "--steps 1500 --start STEM.pt", 1000),
           ("87fe37f", "--steps 1400 --start STEM.pt", 1000))
OCULAR = (("06af0db, stopped after step 1000", "--steps 4000 --start STEM.pt --kind ocular --rate 6e-4", 250),
          ("208dd4f", "--steps 1250 --start STEM.pt --kind ocular --rate 4e-4", 1250))
MUSCLE = (("657615f, stopped after step 2000", "--steps 3000 --start STEM.pt --kind muscle --rate 1e-3", 500),)
STAGES = {"denoiser": GENERAL, "denoiser_ocular": GENERAL + OCULAR, "denoiser_muscle": GENERAL + MUSCLE}
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
    for kind in {"denoiser_ocular": ("blinks", "ocular"), "denoiser_muscle": ("muscle",)}.get(name, scores["levels"]):
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
        'band_hz = [1.0, 80.0]', 'line_noise = "removed before"', "",
        "[training]",
        "# Stages, each from the weights before; README.md has more on each.",
        "stages = [",
        *[f'  {{ commit = "{commit}", command = "python train.py EPOCHS.npz STEM {options}", kept_step = {step} }},'
          for commit, options, step in STAGES[name]],
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
    for name in STAGES:
        stem = str(args.models / name)
        Path(f"{stem}.toml").write_text(text(args.folder, stem, scores))


if __name__ == "__main__":
    main()
