"""Reference arrays for the linear maps to embeddings (src/math/ridge.rs, src/math/cca.rs).

Run from the root of the checkout: .venv/bin/python tests/golden/linear.py
Writes tests/golden/linear.safetensors (float64). Made with numpy 2.4, scikit-learn 1.9.1.

Ridge: scikit-learn's RidgeCV with a penalty for each target, for more examples than numbers, fewer, as many, with
weights of examples, and with numbers that depend on each other. Canonical correlations: scikit-learn's CCA, whose
iteration gives the correlations and the predictions to about 1e-6 where the correlations are apart; and, to rounding and
with a ridge, singular values by NumPy from the formula.
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from sklearn.cross_decomposition import CCA
from sklearn.linear_model import RidgeCV

arrays = {}
rng = np.random.default_rng(20261129)
ALPHAS = 10.0 ** np.arange(-2, 5)


def put(name, **values):
    arrays.update({f"{name}.{k}": np.ascontiguousarray(v, float) for k, v in values.items()})


def case(n, p, t, rank=None):
    x = rng.normal(size=(n, p)) if rank is None else rng.normal(size=(n, rank)) @ rng.normal(size=(rank, p))
    # Targets from clear to hopeless, so that the best penalties differ.
    noise = np.logspace(-1, 2, t)
    y = x @ rng.normal(size=(p, t)) / np.sqrt(p) + noise * rng.normal(size=(n, t)) + rng.normal(size=t)
    return x + rng.normal(size=p), y


def ridge(name, x, y, weights=None):
    model = RidgeCV(alphas=ALPHAS, alpha_per_target=True, store_cv_results=True)
    model.fit(x, y, sample_weight=weights)
    put(f"ridge.{name}", x=x, y=y, alphas=ALPHAS, coef=model.coef_, intercept=model.intercept_, alpha=model.alpha_)
    if weights is not None:
        put(f"ridge.{name}", weights=weights)


ridge("tall", *case(60, 12, 4))
ridge("wide", *case(40, 150, 4))
ridge("square", *case(30, 30, 3))
ridge("dependent", *case(50, 20, 3, rank=6))
ridge("dependent_wide", *case(20, 50, 3, rank=6))
ridge("weighted", *case(60, 12, 3), weights=rng.uniform(0.2, 3, 60))
ridge("weighted_wide", *case(25, 60, 3), weights=rng.uniform(0.2, 3, 25))


def formula(x, y, components, r):
    """The map of canonical correlations with a ridge, by NumPy."""
    mx, my = x.mean(0), y.mean(0)
    xc, yc = x - mx, y - my
    n = len(x)
    s11, s22 = xc.T @ xc / n, yc.T @ yc / n
    s11 += r * np.trace(s11) / len(s11) * np.eye(len(s11))
    s22 += r * np.trace(s22) / len(s22) * np.eye(len(s22))

    def power(s, e):
        w, v = np.linalg.eigh(s)
        return v * w**e @ v.T

    u, rho, vt = np.linalg.svd(power(s11, -0.5) @ (xc.T @ yc / n) @ power(s22, -0.5))
    k = components
    coef = power(s22, 0.5) @ vt[:k].T @ np.diag(rho[:k]) @ u[:, :k].T @ power(s11, -0.5)
    return rho[:k], coef, my - coef @ mx


for name, n, p, t, k, r in [("plain", 200, 8, 5, 3, 0.0), ("ridge", 60, 20, 6, 4, 0.1), ("all", 100, 4, 6, 4, 0.0)]:
    z = rng.normal(size=(n, 4))
    x = z @ rng.normal(size=(4, p)) + rng.normal(size=(n, p))
    y = z @ np.diag([3, 1.5, 0.7, 0.3]) @ rng.normal(size=(4, t)) + rng.normal(size=(n, t))
    rho, coef, intercept = formula(x, y, k, r)
    put(f"cca.{name}", x=x, y=y, k=k, r=r, rho=rho, coef=coef, intercept=intercept)
    if r == 0.0:
        model = CCA(n_components=k, scale=False, max_iter=100_000, tol=1e-14).fit(x, y)
        a, b = model.transform(x, y)
        theirs = [np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(k)]
        print(name, "scikit-learn's correlations differ by", np.abs(theirs - rho).max())
        put(f"cca.{name}", sklearn_rho=theirs)

save_file(arrays, Path(__file__).with_suffix(".safetensors"))
