"""The reference for the pipelines under [[compare]] in configs/motor_imagery_acm.toml and
configs/motor_imagery_epochs.toml: pyRiemann and scikit-learn on the same epochs and folds.

Usage: pipelines.py FOLDER_OF_SHARED_DATA > pipelines.json
Prints for each data set, pipeline and protocol how many epochs were decided rightly, fold by fold.
physionet: as evaluate.py, 9 channels. bci2000: the samples eeg1_*, TargetCode 1 against 2, the same channels.
graz: epochs as they are in the file, sessions for recordings.
"""
import json, os, re, sys
import numpy as np
import scipy.io
from pyriemann.classification import MDM, FgMDM
from pyriemann.estimation import Covariances
from pyriemann.spatialfilters import CSP
from pyriemann.tangentspace import TangentSpace
from scipy.signal import butter, sosfilt
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
import mne
from evaluate import LENGTH_S, RUNS, START_S, SUBJECTS, right
import evaluate

CHANNELS = "FC3 FCz FC4 C3 Cz C4 CP3 CPz CP4".split()
SESSIONS = {"B04": ["B0403T", "B0404E", "B0405E"], "B08": ["B0803T", "B0804E"]}


def pipelines():
    """Tight tolerances: the solution, not where the default stops on the way to it."""
    logistic = LogisticRegression(C=1.0, tol=1e-9, max_iter=100_000)
    return {
        "MDM": make_pipeline(Covariances("oas"), MDM()),
        "FgMDM": make_pipeline(Covariances("oas"), FgMDM()),
        "TS+LR": make_pipeline(Covariances("oas"), TangentSpace(), logistic),
        "TS+SVM": make_pipeline(Covariances("oas"), TangentSpace(), SVC(kernel="linear", C=1.0, tol=1e-10)),
        "CSP+LDA": make_pipeline(Covariances("oas"), CSP(nfilter=6, metric="euclid"),
                                 LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")),
    }


def physionet(folder, subject, channels=CHANNELS):
    names = mne.io.read_raw_edf(os.path.join(folder, f"{subject}R04.edf"), verbose="error").ch_names
    plain = [name.rstrip(".").lower() for name in names]
    picks = [plain.index(name.lower()) for name in channels]
    parts = [evaluate.epochs(os.path.join(folder, f"{subject}R{run:02}.edf")) for run in RUNS]
    return [(x[:, picks], y) for x, y in parts]


def bci2000(path):
    """The epochs of a BCI2000 file of 16-bit samples."""
    data = open(path, "rb").read()
    first = data[:data.index(b"\n")].decode()
    number = lambda key: int(re.search(key + r"=\s*(\d+)", first).group(1))
    head, channels, states = number("HeaderLen"), number("SourceCh"), number("StatevectorLen")
    text = data[:head].decode("latin1")
    rate = float(re.search(r"SamplingRate=\s*([\d.]+)", text).group(1))
    place = re.search(r"^TargetCode +(\d+) +\d+ +(\d+) +(\d+)", text, re.M)
    length, byte, bit = map(int, place.groups())
    rows = np.frombuffer(data[head:], np.uint8)
    rows = rows[:len(rows) // (2 * channels + states) * (2 * channels + states)].reshape(-1, 2 * channels + states)
    raw = rows[:, :2 * channels].copy().view("<i2").astype(float)
    names = re.search(r"ChannelNames= *\d+ +([^/\r\n]*)", text).group(1).lower().split()
    vector = lambda key: np.array([float(re.match(r"[-+.\d]+", v).group(0)) for v in
                                   re.search(key + r"= *\d+ +([^/\r\n]*)", text).group(1).split()[:channels]])
    raw = (raw - vector("SourceChOffset")) * vector("SourceChGain")
    bits = sum(rows[:, 2 * channels + byte + i].astype(int) << (8 * i) for i in range((bit + length + 7) // 8))
    code = bits >> bit & ((1 << length) - 1)
    raw = raw[:, [names.index(name.lower()) for name in CHANNELS]]
    x = sosfilt(butter(4, [8, 30], "bandpass", fs=rate, output="sos"), raw, axis=0)
    starts = [i for i in range(1, len(code)) if code[i] != code[i - 1] and code[i] in (1, 2)]
    begin, count = int(round(START_S * rate)), int(round(LENGTH_S * rate))
    starts = [i for i in starts if i + begin + count <= len(x)]
    windows = np.array([x[i + begin:i + begin + count].T for i in starts])
    return windows, np.array([code[i] - 1 for i in starts])


def graz(path):
    file = scipy.io.loadmat(path)
    return file["data"].transpose(2, 1, 0), file["label"].ravel() - 1


def tested(name, parts):
    x, y = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    group = np.concatenate([np.full(len(p[1]), i) for i, p in enumerate(parts)])
    for pipeline, model in pipelines().items():
        yield {"data": name, "pipeline": pipeline,
               "within": right(model, StratifiedKFold(5).split(x, y), x, y),
               "cross": right(model, LeaveOneGroupOut().split(x, y, group), x, y)}


if __name__ == "__main__":
    folder = sys.argv[1]
    sets = {s: physionet(os.path.join(folder, "physionet-eegmmidb"), s) for s in SUBJECTS}
    sets["eeg1"] = [bci2000(os.path.join(folder, "bci2000-samples", f"eeg1_{i}.dat")) for i in (1, 2, 3)]
    for name, files in SESSIONS.items():
        sets[name] = [graz(os.path.join(folder, "bci-competition-iv-2b", f + ".mat")) for f in files]
    print(json.dumps([r for name, parts in sets.items() for r in tested(name, parts)], indent=1))
