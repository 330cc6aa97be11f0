"""Fits pipelines with pyRiemann and scikit-learn on epochs that our program cut, and imports them.

Usage: models.py FOLDER PROGRAM
FOLDER has for each set of classes SET.json (names in the config's order, shapes and labels of the epochs, recordings), SET.train
and SET.test (64-bit floats, epochs x samples x channels) and the configs SET-PIPELINE.toml. Written there:
SET-PIPELINE.safetensors and SET-PIPELINE.json, the probabilities that Python gives for the epochs of the
test, one object from class to number each, and the class it decides for. Prints a line per pipeline.
"""
import json, pathlib, subprocess, sys
import joblib
import numpy as np
from pyriemann.classification import MDM
from pyriemann.estimation import Covariances
from pyriemann.spatialfilters import CSP
from pyriemann.tangentspace import TangentSpace
from scipy.special import expit, softmax
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs/interop"))
from import_pyriemann import Differs, write_model  # noqa: E402


def calibrated(**settings):
    return CalibratedClassifierCV(SVC(**settings), method="sigmoid", cv=5, ensemble=False)


def pipelines():
    """By the name of their config, which says the same."""
    return {
        "ts-lr": make_pipeline(Covariances("oas"), TangentSpace(), LogisticRegression(C=0.5, max_iter=10_000)),
        "ts-lda": make_pipeline(Covariances("oas"), TangentSpace(),
                                LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")),
        "ts-svc": make_pipeline(Covariances("lwf"), TangentSpace(), calibrated(C=0.7, kernel="linear")),
        "ts-rbf": make_pipeline(Covariances("oas"), TangentSpace(), calibrated(kernel="rbf", gamma="scale")),
        "ts-plain": make_pipeline(Covariances("oas"), TangentSpace(), SVC(kernel="linear")),
        "mdm": make_pipeline(Covariances("scm"), MDM()),
        "csp-lda": make_pipeline(Covariances("cov"), CSP(nfilter=6), LinearDiscriminantAnalysis()),
        "csp-lr": make_pipeline(Covariances("oas"), CSP(nfilter=4), LogisticRegression(max_iter=10_000)),
        "csp-skew": make_pipeline(Covariances("scm"), CSP(nfilter=6), calibrated(kernel="linear")),
        "csp-svc": make_pipeline(Covariances("lwf"), CSP(nfilter=6), calibrated(kernel="linear")),
    }


def skew(model):
    """Moves the sigmoids, so that some of the probabilities are against the decision."""
    for sigmoid in model[-1].calibrated_classifiers_[0].calibrators:
        sigmoid.b_ += 1.5 if sigmoid is model[-1].calibrated_classifiers_[0].calibrators[0] else -1.0


def probabilities(model, x):
    """Those of the pipeline; of an SVC without any, what we make of its decision values."""
    if hasattr(model, "predict_proba"):
        return model.predict_proba(x)
    values = model.decision_function(x)
    if values.ndim == 1:
        return np.stack([expit(-values), expit(values)], axis=1)
    return softmax(values, axis=1)


def decided(model, x):
    """What an SVC decides for, which its calibrated probabilities need not follow; else what the pipeline does."""
    last = model[-1]
    if isinstance(last, CalibratedClassifierCV):
        return last.calibrated_classifiers_[0].estimator.predict(model[:-1].transform(x))
    return model.predict(x)


def epochs(folder, name, facts, part):
    shape = facts[part]["shape"]
    x = np.fromfile(folder / f"{name}.{part}").reshape(shape).transpose(0, 2, 1)
    return x, np.array([facts["classes"][k] for k in facts[part]["labels"]])


def refuses(write, *parts):
    """Importing what does not agree is an error that says what differs."""
    try:
        write()
    except Differs as error:
        assert all(part in str(error) for part in parts), str(error)
    else:
        raise AssertionError(f"was not refused: {parts}")


def check_refusals(folder, name, program, recording, fitted):
    def write(pipeline, config, **more):
        return lambda: write_model(fitted[pipeline], folder / f"{name}-{config}.toml", [recording],
                                   folder / "refused.safetensors", program=program, **more)
    refuses(write("ts-lr", "ts-lr", sets=["logistic.c=2.0"]), "logistic", "c = 2.0", "C = 0.5")
    refuses(write("ts-lr", "ts-lda"), "is a lda where the pipeline has LogisticRegression")
    refuses(write("ts-lr", "mdm"), "one step for each stage")
    refuses(write("ts-svc", "ts-lr"), "estimator")
    refuses(write("ts-plain", "ts-plain", sets=["svm.calibrate=true"]), "calibrate = true")
    refuses(write("ts-rbf", "ts-rbf", sets=["svm.kernel=linear"]), "kernel", "rbf")
    refuses(write("csp-lr", "csp-lr", sets=["csp.filters=5"]), "filters = 5", "nfilter = 4")
    refuses(write("csp-lr", "csp-lr", classes=["a", "b"]), "--classes")
    refuses(write("mdm", "mdm", sets=["mdm.reject=2.0"]), "rejects")
    refuses(write("mdm", "nothing"), "nothing.toml")
    assert not (folder / "refused.safetensors").exists()


def check_script(folder, name, program, recording, model):
    """As a script on a joblib file it writes the same bytes as as a module."""
    joblib.dump(model, folder / "pipeline.joblib")
    out = folder / "script.safetensors"
    subprocess.run([sys.executable, ROOT / "docs/interop/import_pyriemann.py", folder / "pipeline.joblib",
                    folder / f"{name}-ts-lr.toml", "--recording", recording, "--out", out, "--program", program],
                   check=True)
    assert out.read_bytes() == (folder / f"{name}-ts-lr.safetensors").read_bytes()


def main(folder, program):
    for path in sorted(folder.glob("set*.json")):
        name, facts = path.stem, json.loads(path.read_text())
        (x, y), (test, _) = (epochs(folder, name, facts, part) for part in ("train", "test"))
        fitted, recording = {}, facts["recording"]
        for label, model in pipelines().items():
            fitted[label] = model.fit(x, y)
            if label == "csp-skew":
                skew(model)
            write_model(model, folder / f"{name}-{label}.toml", [recording],
                        folder / f"{name}-{label}.safetensors", program=program)
            want = {"probabilities": [dict(zip(model.classes_, map(float, p))) for p in probabilities(model, test)],
                    "decided": [str(c) for c in decided(model, test)]}
            (folder / f"{name}-{label}.json").write_text(json.dumps(want))
            print(f"{name} {label}: {len(x)} epochs learned, {len(test)} decided")
        check_refusals(folder, name, program, recording, fitted)
        check_script(folder, name, program, recording, fitted["ts-lr"])


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2])
