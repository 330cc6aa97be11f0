"""Reference arrays for the SPD geometry and the logistic regression.

Run from the root of the checkout: .venv/bin/python tests/golden/spd.py
Writes tests/golden/spd.safetensors (float64). Made with pyriemann 0.12, scikit-learn 1.9.1.
"""

from pathlib import Path
import warnings

import numpy as np
from pyriemann.classification import MDM
from pyriemann.geometry.base import expm, invsqrtm, logm, sqrtm
from pyriemann.geometry.distance import distance_riemann
from pyriemann.geometry.geodesic import geodesic_riemann
from pyriemann.geometry.mean import mean_riemann
from pyriemann.geometry.tangentspace import tangent_space
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression

arrays = {}


def matrices(rng, count, n, condition, spread):
    """Covariances of `count` trials: one mixing for all, independent sources of varying strength.

    `condition` is that of their common part, `spread` how much the trials differ.
    """
    q1, q2 = (np.linalg.qr(rng.standard_normal((n, n)))[0] for _ in range(2))
    mixing = q1 * np.logspace(0, -0.5 * np.log10(condition), n) @ q2
    sources = rng.standard_normal((count, n, 4 * n)) * np.exp(
        spread * rng.standard_normal((count, n, 1))
    )
    x = mixing @ (sources @ sources.transpose(0, 2, 1) / (4 * n)) @ mixing.T
    return (x + x.transpose(0, 2, 1)) / 2


def converged_mean(x, weights=None):
    """pyRiemann's mean, started anew from where it got to until the gradient is nothing: its steps
    become shorter and shorter, so that between matrices that differ much it does not arrive."""
    mean = mean_riemann(x, sample_weight=weights)
    share = np.full(len(x), 1.0) if weights is None else weights
    for _ in range(100):
        root = invsqrtm(mean)
        gradient = np.tensordot(share / share.sum(), logm(root @ x @ root), 1)
        if np.linalg.norm(gradient) < 2e-10:
            break
        mean = mean_riemann(x, sample_weight=weights, init=mean, maxiter=12, tol=1e-11)
    return mean


def spd_case(name, x, rng):
    """Everything that is compared for one set of matrices."""
    weights = rng.uniform(0.2, 3.0, len(x))
    mean = converged_mean(x)
    put = lambda key, value: arrays.update({f"{name}.{key}": np.ascontiguousarray(value, float)})
    put("x", x)
    put("weights", weights)
    put("mean", mean)
    put("mean_weighted", converged_mean(x, weights))
    put("distance", [distance_riemann(a, x[0]) for a in x[1:]])
    put("sqrt", sqrtm(x[0]))
    put("invsqrt", invsqrtm(x[0]))
    put("log", logm(x[0]))
    put("exp", expm(x[0] / np.linalg.norm(x[0])))
    put("tangent", tangent_space(x, mean))
    # The classes are told apart by position: first half, second half. Held out: matrices between
    # the means, where the probabilities are not simply 0 and 1.
    labels = np.arange(len(x)) * 2 // len(x)
    mdm = MDM().fit(x, labels)
    held_out = [geodesic_riemann(*mdm.covmeans_, t) for t in (0.2, 0.45, 0.49, 0.505, 0.53)]
    put("mdm_x", held_out)
    put("mdm", mdm.predict_proba(np.array(held_out)))


def logistic_case(name, x, y, held_out, c):
    """Weights from the Newton solver, which reaches the optimum; probabilities from the default one."""
    settings = {"C": c, "tol": 1e-12, "max_iter": 100_000}
    model = LogisticRegression(solver="newton-cholesky", **settings).fit(x, y)
    arrays[f"{name}.x"] = x
    arrays[f"{name}.y"] = y.astype(float)
    arrays[f"{name}.c"] = np.array([c])
    arrays[f"{name}.coef"] = np.ascontiguousarray(model.coef_)
    arrays[f"{name}.intercept"] = model.intercept_
    arrays[f"{name}.held_out"] = held_out
    default = LogisticRegression(**settings).fit(x, y)
    arrays[f"{name}.probabilities"] = default.predict_proba(held_out)
    arrays[f"{name}.exact"] = model.predict_proba(held_out)


def main():
    warnings.simplefilter("ignore")
    for n in (2, 3, 8, 22, 64):
        count = 4 if n == 64 else 8
        for kind, condition, spread in (
            ("well", 1e1, 0.5),
            ("wide", 1e3, 1.5),
            ("ill", 1e8, 0.5),
            ("near", 1e1, 0.0),
        ):
            if n == 64 and kind in ("wide", "near"):
                continue
            rng = np.random.default_rng([n, len(kind), int(np.log10(condition))])
            x = matrices(rng, count, n, condition, spread)
            if kind == "near":
                x = x[:1] * (1 + 1e-9 * np.arange(count))[:, None, None]
            spd_case(f"spd.{kind}.{n:02}", x, rng)
    for n, p, classes in ((20, 60, 2), (30, 80, 3), (40, 100, 4), (80, 6, 2), (90, 7, 3), (90, 5, 4)):
        for c in (0.1, 1.0, 10.0):
            rng = np.random.default_rng([n, p, classes])
            y = np.arange(n) % classes
            centres = rng.standard_normal((classes, p))
            x = 0.7 * centres[y] + rng.standard_normal((n, p))
            held_out = 0.7 * centres + rng.standard_normal((classes, p))
            logistic_case(f"logistic.{n}x{p}.{classes}.{c}", x, y, held_out, c)
    save_file(arrays, Path(__file__).with_name("spd.safetensors"))


if __name__ == "__main__":
    main()
