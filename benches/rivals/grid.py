"""One outer fold of the nested search of order, lag and C, in pyRiemann and scikit-learn and in ours.

Usage: grid.py FOLDER_OF_SHARED_DATA SALTATORY       (prints a table; about ten minutes on two cores)
16 channels of one PhysioNet subject (train on two runs, test on the third) and one 3-channel Graz session
(train on four fifths). Search: orders 1 to 10, lags 1 to 10, C 0.5, 1 and 1.5 by 3-fold cross-validation
inside the training data, area under the ROC curve; augmented covariance (tight crop, `cov`), tangent space,
linear SVM. Python uses all cores too (GridSearchCV, n_jobs = -1, one BLAS thread each). Ours runs every outer
fold; its time is divided by their number.
"""
import json, os, subprocess, sys, tempfile, time
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from pyriemann.estimation import Covariances
from pyriemann.tangentspace import TangentSpace

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/golden"))
import pipelines

NAME = "ACM+TS+SVM (grid)"
CHANNELS = "FC3 FC1 FCz FC2 FC4 C5 C3 C1 Cz C2 C4 C6 CP3 CP1 CP2 CP4".split()
PICK = f"pick.channels={json.dumps(CHANNELS)}"


class Augment(BaseEstimator, TransformerMixin):
    def __init__(self, order=1, lag=1):
        self.order, self.lag = order, lag

    def fit(self, x, y=None):
        return self

    def transform(self, x):
        rows = x.shape[2] - (self.order - 1) * self.lag
        return np.concatenate([x[:, :, p * self.lag:p * self.lag + rows] for p in range(self.order)], axis=1)


def theirs(x, y):
    model = make_pipeline(Augment(), Covariances("cov"), TangentSpace(), SVC(kernel="linear"))
    grid = {"augment__order": range(1, 11), "augment__lag": range(1, 11), "svc__C": [0.5, 1.0, 1.5]}
    search = GridSearchCV(model, grid, scoring="roc_auc", cv=StratifiedKFold(3), n_jobs=-1, error_score=0.0)
    start = time.perf_counter()
    search.fit(x, y)
    return time.perf_counter() - start, search.best_score_, search.best_params_


def ours(saltatory, config, protocol, recordings, folds, which):
    start = time.perf_counter()
    out = subprocess.run([saltatory, "evaluate", str(ROOT / "configs" / config), "--only", NAME, "--protocol", protocol,
                          "--json", *recordings], capture_output=True, check=True).stdout
    seconds = (time.perf_counter() - start) / folds
    results = json.loads(out)["results"]
    choices = [fold["choice"] for result in results for fold in result["folds"]]
    return seconds, choices[which]["score"], choices[which]["sets"]


def main():
    folder, saltatory = Path(sys.argv[1]), sys.argv[2]
    eeg = folder / "physionet-eegmmidb"
    parts = pipelines.physionet(str(eeg), "S007", CHANNELS)
    x, y = np.concatenate([p[0] for p in parts[:2]]), np.concatenate([p[1] for p in parts[:2]])
    runs = [str(eeg / f"S007R{run}.edf") for run in ("04", "08", "12")]
    mat = folder / "bci-competition-iv-2b"
    gx, gy = pipelines.graz(str(mat / "B0403T.mat"))
    train, _ = list(StratifiedKFold(5).split(gx, gy))[-1]
    with tempfile.TemporaryDirectory() as made:
        script = ROOT / "docs/interop/graz_epochs.py"
        subprocess.run([sys.executable, str(script), made, str(mat / "B0403T.mat")], check=True, capture_output=True)
        session = next(str(p) for p in Path(made).iterdir() if "B0403T" in p.name)
        cases = [("16 channels, 30 trials of 2.5 s at 160 Hz", (x, y), ("motor_imagery_acm.toml", "cross", ["--set", PICK, *runs], 3, 2)),
                 ("3 channels, 96 trials of 4 s at 250 Hz", (gx[train], gy[train]),
                  ("motor_imagery_epochs.toml", "within", [session], 5, 4))]
        for title, data, (config, protocol, recordings, folds, which) in cases:
            mine = ours(saltatory, config, protocol, recordings, folds, which)
            peer = theirs(*data)
            print(f"{title}: pyRiemann + scikit-learn {peer[0]:.1f} s (best AUC {peer[1]:.6f}, {peer[2]}), "
                  f"Saltatory {mine[0]:.2f} s (best AUC {mine[1]:.6f}, {mine[2]}): {peer[0] / mine[0]:.1f} x", flush=True)


if __name__ == "__main__":
    main()
