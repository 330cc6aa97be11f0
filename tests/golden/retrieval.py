"""Reference arrays for searching galleries and for the scores of retrieval.

Run from the root of the checkout: .venv/bin/python tests/golden/retrieval.py
Writes tests/golden/retrieval.safetensors (float64). Made with numpy 2.4, scipy 1.17.

search/CASE/: x items x numbers (float32 values), q queries, and the best seven by the cosine as NumPy has it in double
precision: index, similarity. Of equals the first one (a stable sort). scores/: predictions of items of a gallery, and
what follows from the rank of the true one.
"""

from math import comb
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from scipy.stats import norm

arrays = {}
TOP = 7


def put(name, value):
    arrays[name] = np.ascontiguousarray(value, float)
    if not np.isfinite(arrays[name]).all():
        raise RuntimeError(f"{name} is not finite")


def cosine(x, q):
    # Row by row, so that equal rows give equal sums.
    product = np.array([(x * v).sum(axis=1) for v in q])
    with np.errstate(invalid="ignore"):
        s = product / (np.linalg.norm(x, axis=1) * np.linalg.norm(q, axis=1)[:, None])
    return np.nan_to_num(s)


def clustered(rng, items, numbers, clusters):
    centres = rng.standard_normal((clusters, numbers)) / np.sqrt(np.arange(1, numbers + 1))
    noise = rng.standard_normal((items, numbers)) / np.sqrt(np.arange(1, numbers + 1))
    return (0.2 + centres[rng.integers(clusters, size=items)] + 0.6 * noise).astype(np.float32)


def search():
    rng = np.random.default_rng(5)
    cases = {
        "noise": rng.standard_normal((300, 37)).astype(np.float32),
        "clustered": clustered(rng, 301, 64, 20),
        "offset": (clustered(rng, 120, 24, 10) + np.float32(50)).astype(np.float32),
        "few": rng.standard_normal((7, 3)).astype(np.float32),
        "small": (1e-30 * rng.standard_normal((50, 16))).astype(np.float32),
        "large": (1e30 * rng.standard_normal((50, 16))).astype(np.float32),
    }
    ties = np.repeat(rng.standard_normal((10, 12)).astype(np.float32), 4, axis=0)
    ties[5] = 0
    cases["ties"] = ties
    for name, x in cases.items():
        x = x.astype(float)
        q = x[rng.integers(len(x), size=20)] + 0.5 * x.std() * rng.standard_normal((20, x.shape[1]))
        log_prior = np.log(rng.dirichlet(np.ones(len(x))) + 1e-4)
        centred = x - x.mean(axis=0), q - x.mean(axis=0)
        put(f"search/{name}/x", x)
        put(f"search/{name}/q", q)
        put(f"search/{name}/bonus", 0.1 * log_prior)
        for kind, s in {
            "plain": cosine(x, q),
            "centred": cosine(*centred),
            "prior": cosine(x, q) + 0.1 * log_prior,
        }.items():
            index = np.argsort(-s, axis=1, kind="stable")[:, :TOP]
            put(f"search/{name}/{kind}/index", index)
            put(f"search/{name}/{kind}/similarity", np.take_along_axis(s, index, axis=1))


def bca(statistic, clusters, rng, jackknife=True, draws=20000):
    """95 %, over clusters of trials."""
    n = len(clusters)
    drawn = [statistic(np.concatenate([clusters[i] for i in rng.integers(n, size=n)])) for _ in range(draws)]
    observed = statistic(np.concatenate(clusters))
    bias = norm.ppf((np.mean(drawn < observed - 1e-12) + np.mean(drawn <= observed + 1e-12)) / 2)
    a = 0.0
    if jackknife:
        without = np.array([statistic(np.concatenate(clusters[:i] + clusters[i + 1:])) for i in range(n)])
        d = without.mean() - without
        a = (d**3).sum() / (6 * (d**2).sum() ** 1.5)
    z = bias + norm.ppf([0.025, 0.975])
    return np.quantile(drawn, norm.cdf(bias + z / (1 - a * z)))


def scores():
    rng = np.random.default_rng(6)
    items, numbers = 60, 20
    x = clustered(rng, items, numbers, 15).astype(float)
    # Items repeated up to five times, some not at all.
    truth = np.sort(rng.integers(items, size=150))
    q = x[truth] + 1.1 * rng.standard_normal((len(truth), numbers))
    s = cosine(x, q)
    order = np.argsort(-s, axis=1, kind="stable")
    rank = 1 + np.argmax(order == truth[:, None], axis=1)
    put("scores/x", x)
    put("scores/q", q)
    put("scores/truth", truth)
    put("scores/rank", rank)
    hit = {"top_1": rank <= 1, "top_5": rank <= 5}
    for ways in (2, 4, 10):
        hit[f"ways_{ways}"] = np.array([comb(items - r, ways - 1) / comb(items - 1, ways - 1) for r in rank])
        # As papers do it: other items are drawn for each trial.
        wins = 0
        for _ in range(400):
            others = np.array([rng.choice(np.delete(np.arange(items), t), ways - 1, replace=False) for t in truth])
            wins += (np.take_along_axis(s, others, axis=1) < s[np.arange(len(s)), truth][:, None]).all(axis=1).mean()
        put(f"scores/drawn_{ways}", wins / 400)
    clusters = lambda values: [values[truth == t] for t in np.unique(truth)]
    for name, values in hit.items():
        values = values.astype(float)
        put(f"scores/{name}", [values.mean(), *bca(np.mean, clusters(values), rng)])
    put("scores/median", [np.median(rank), *bca(np.median, clusters(rank), rng, jackknife=False)])


search()
scores()
save_file(arrays, Path("tests/golden/retrieval.safetensors"))
