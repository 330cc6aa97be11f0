"""The reference for `saltatory evaluate`: pyRiemann and scikit-learn on the same epochs and folds.

Usage: evaluate.py FOLDER_OF_PHYSIONET_EEGMMIDB > evaluate.json
Prints for each subject and protocol how many epochs were decided rightly, fold by fold. Everything is
as configs/motor_imagery.toml says: causal Butterworth band-pass of order 4, 8-30 Hz, from the start
of each recording; epochs of 2.5 s from 0.5 s after T1 (left) and T2 (right); OAS covariance, tangent
space at the affine-invariant mean, logistic regression with C = 1.
"""
import json, os, sys
import mne
import numpy as np
from pyriemann.estimation import Covariances
from pyriemann.tangentspace import TangentSpace
from scipy.signal import butter, sosfilt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, StratifiedKFold
from sklearn.pipeline import make_pipeline

START_S, LENGTH_S = 0.5, 2.5
CLASSES = {"T1": 0, "T2": 1}
SUBJECTS, RUNS = ["S001", "S002", "S003", "S007", "S012"], [4, 8, 12]


def epochs(path):
    raw = mne.io.read_raw_edf(path, preload=True, verbose="error")
    rate = raw.info["sfreq"]
    x = sosfilt(butter(4, [8, 30], "bandpass", fs=rate, output="sos"), raw.get_data() * 1e6, axis=1)
    windows, labels = [], []
    for note in raw.annotations:
        if note["description"] in CLASSES:
            first = int(round(note["onset"] * rate)) + int(round(START_S * rate))
            window = x[:, first:first + int(round(LENGTH_S * rate))]
            if window.shape[1] == int(round(LENGTH_S * rate)):
                windows.append(window)
                labels.append(CLASSES[note["description"]])
    return np.array(windows), np.array(labels)


def right(model, split, x, y):
    """How many of each test fold are decided rightly."""
    folds = []
    for train, test in split:
        hits = model.fit(x[train], y[train]).predict(x[test]) == y[test]
        folds.append({"n": int(len(test)), "correct": int(hits.sum())})
    return folds


def evaluate(folder, subject):
    parts = [epochs(os.path.join(folder, f"{subject}R{run:02}.edf")) for run in RUNS]
    x, y = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    run = np.concatenate([np.full(len(p[1]), i) for i, p in enumerate(parts)])
    # A tight tolerance: the solution, not where the default stops on the way to it.
    logistic = LogisticRegression(C=1.0, tol=1e-9, max_iter=100_000)
    model = make_pipeline(Covariances("oas"), TangentSpace(metric="riemann"), logistic)
    return {"subject": subject,
            "within": right(model, StratifiedKFold(5).split(x, y), x, y),
            "cross": right(model, LeaveOneGroupOut().split(x, y, run), x, y)}


if __name__ == "__main__":
    print(json.dumps([evaluate(sys.argv[1], subject) for subject in SUBJECTS], indent=1))
