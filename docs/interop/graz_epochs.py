"""Makes trials that Saltatory reads out of trials in MATLAB files, one file per session.

    python docs/interop/graz_epochs.py OUTPUT_FOLDER SESSION.mat [SESSION.mat ...]
    saltatory inspect OUTPUT_FOLDER/SESSION.safetensors
    saltatory evaluate my.toml OUTPUT_FOLDER/*.safetensors

It is written for sessions of BCI Competition IV 2b (Graz) that were cut before: `data` (samples x
channels x trials; C3, Cz, C4 at 250 Hz) and `label` (1 left hand, 2 right hand). These files say
neither the unit nor where the cue lies, so the unit is "unknown" and `start_s` counts from a trial's
first sample; `--start-s` says where a trial begins if you know. For other trials, take
`write_epochs`. docs/formats.md describes the file. Needs NumPy, SciPy and safetensors.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from scipy.io import loadmat


def write_epochs(path, data, labels, rate_hz, channels, classes, unit="unknown", start_s=0.0, source=""):
    """Writes `data` (trials x samples x channels) with the number of each trial's class, from 0.

    `start_s` is the time of a trial's first sample, in seconds from the cue. A label of -1 is a trial
    whose class is not known.
    """
    about = {
        "version": 1,
        "rate_hz": rate_hz,
        "channels": list(channels),
        "unit": unit,
        "classes": list(classes),
        "start_s": start_s,
        "source": source,
    }
    kind = np.float32 if data.dtype == np.float32 else np.float64
    tensors = {
        "data": np.ascontiguousarray(data, kind),
        "labels": np.ascontiguousarray(labels, np.int64),
    }
    save_file(tensors, path, metadata={"saltatory_epochs": json.dumps(about)})


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the files go; made if it is not there")
    parser.add_argument("sessions", type=Path, nargs="+", help="MATLAB files with data and label")
    parser.add_argument("--start-s", type=float, default=0.0, help="first sample, from the cue (s)")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for session in options.sessions:
        held = loadmat(session)
        data, labels = held["data"].transpose(2, 0, 1), held["label"].ravel().astype(int) - 1
        if data.shape[2] != 3 or len(labels) != len(data) or not set(labels) <= {0, 1}:
            parser.error(f"{session}: expected samples x 3 channels x trials and labels 1 and 2")
        path = options.folder / f"{session.stem}.safetensors"
        write_epochs(
            path,
            data,
            labels,
            rate_hz=250.0,
            channels=["C3", "Cz", "C4"],
            classes=["left", "right"],
            start_s=options.start_s,
            source=f"BCI Competition IV 2b, {session.name}",
        )
        print(f"{path}: {len(data)} trials, {data.shape[1]} samples, {data.shape[2]} channels")


if __name__ == "__main__":
    main()
