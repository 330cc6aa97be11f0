"""Reference numbers for the scores and statistics of `evaluate`.

Run from the root of the checkout: .venv/bin/python tests/golden/stats.py
Writes tests/golden/stats.safetensors (float64). Made with scipy 1.17, scikit-learn 1.9.1,
mne 1.13.
"""

from itertools import product
from pathlib import Path

import numpy as np
from mne.channels.interpolation import _make_interpolation_matrix
from safetensors.numpy import save_file
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    cohen_kappa_score,
    matthews_corrcoef,
    roc_auc_score,
)

arrays = {}
rng = np.random.default_rng(20230821)


def put(name, value):
    arrays[name] = np.ascontiguousarray(np.atleast_1d(np.asarray(value, float)))


def scores_case(name, classes, n, skill):
    """Labels of unequal shares, scores that sum to one and have ties."""
    truth = rng.choice(classes, n, p=np.arange(1, classes + 1) / sum(range(1, classes + 1)))
    truth[:classes] = np.arange(classes)
    raw = rng.random((n, classes)) + skill * np.eye(classes)[truth]
    scores = np.round(raw / raw.sum(1, keepdims=True), 2)
    scores[:, -1] = 1 - scores[:, :-1].sum(1)
    decided = scores.argmax(1)
    area = (
        roc_auc_score(truth, scores[:, 1])
        if classes == 2
        else roc_auc_score(truth, scores, multi_class="ovr", average="macro")
    )
    put(f"scores.{name}.truth", truth)
    put(f"scores.{name}.decided", decided)
    put(f"scores.{name}.scores", scores)
    put(
        f"scores.{name}.want",
        [
            accuracy_score(truth, decided),
            balanced_accuracy_score(truth, decided),
            cohen_kappa_score(truth, decided),
            matthews_corrcoef(truth, decided),
            area,
        ],
    )


def signed_rank_by_trying(d):
    """All choices of signs, for differences with ties, where scipy is not exact."""
    d = d[d != 0]
    ranks = stats.rankdata(np.abs(d))
    sums = np.array([np.dot(s, ranks) for s in product([0, 1], repeat=len(d))])
    w = ranks[d > 0].sum()
    return min(1.0, 2 * min(np.mean(sums <= w + 1e-9), np.mean(sums >= w - 1e-9)))


for name, classes, n, skill in [
    ("two", 2, 45, 0.3), ("four", 4, 200, 0.4), ("bad", 3, 60, -0.3), ("sure", 3, 30, 5.0),
]:
    scores_case(name, classes, n, skill)

# Columns: correct, n, confidence, low, high.
rows = []
for k, n in [(0, 10), (1, 3), (27, 45), (45, 45), (150, 288), (9000, 10000)]:
    for confidence in [0.9, 0.95, 0.99]:
        ci = stats.binomtest(k, n).proportion_ci(confidence, method="wilson")
        rows.append([k, n, confidence, ci.low, ci.high])
put("wilson", rows)

# Columns: correct, n, chance, p.
put("chance.p", [
    [k, n, c, stats.binomtest(k, n, c, alternative="greater").pvalue]
    for k, n, c in [(0, 7, 0.5), (5, 7, 0.5), (30, 45, 0.5), (45, 45, 0.5), (100, 288, 0.25), (29, 288, 0.25)]
])

# Columns: n, classes, the smallest number better than chance at 5 % (n + 1: none).
put("chance.threshold", [
    [n, c, next(k for k in range(n + 2) if stats.binom.sf(k - 1, n, 1 / c) <= 0.05)]
    for n in [1, 4, 5, 10, 45, 90, 288, 2000] for c in [2, 3, 4, 11]
])

for i, n in enumerate([5, 9, 30]):
    # Of 1/64, so that all sums are exact: a resample that is as good as the data must be told to be.
    x = np.round(64 * rng.beta(8, 4, n)) / 64
    result = stats.bootstrap((x,), np.mean, n_resamples=499, method="BCa", rng=rng)
    put(f"bca.{i}.x", x)
    put(f"bca.{i}.resampled", result.bootstrap_distribution)
    again = [
        stats.bootstrap((x,), np.mean, n_resamples=0, bootstrap_result=result, method="BCa",
                        confidence_level=c).confidence_interval for c in [0.8, 0.95]
    ]
    put(f"bca.{i}.want", [[ci.low, ci.high] for ci in again])

# Columns: only the first right, only the second right, p.
put("mcnemar", [
    [b, c, min(1.0, 2 * stats.binom.cdf(min(b, c), b + c, 0.5)) if b + c else 1.0]
    for b, c in [(0, 0), (0, 1), (3, 12), (7, 7), (8, 7), (40, 71), (0, 30)]
])

for i, (n, step) in enumerate([(4, 0), (7, 0), (12, 0), (25, 0), (45, 0), (9, 0.1), (12, 0.1), (60, 0), (80, 0.1)]):
    d = rng.normal(0.08, 0.15, n)
    d = np.round(d / step) * step if step else d
    if n > 50:
        p = stats.wilcoxon(d, method="asymptotic").pvalue
    elif step:
        p = signed_rank_by_trying(d)
    else:
        p = stats.wilcoxon(d, method="exact").pvalue
    put(f"signed_rank.{i}.d", d)
    put(f"signed_rank.{i}.p", p)

for i, (n, step) in enumerate([(2, 0), (6, 0), (12, 0), (10, 0.1)]):
    d = rng.normal(0.08, 0.15, n)
    d = np.round(d / step) * step if step else d
    result = stats.permutation_test(
        (d, np.zeros(n)), lambda a, b, axis: np.mean(a - b, axis=axis), permutation_type="samples",
        vectorized=True, n_resamples=np.inf,
    )
    put(f"sign_flip.{i}.d", d)
    put(f"sign_flip.{i}.p", result.pvalue)

# Holm as its author states it: the k-th smallest p of m is held against level / (m - k + 1) until one
# fails. The adjusted p is the smallest level at which a test is still rejected.
p = np.round(rng.beta(0.5, 4, 12), 4)
p[3] = p[7]
order = np.sort(p)
first_failing = lambda v: max((len(p) - k) * order[k] for k in range(len(p)) if order[k] <= v)
put("holm.p", p)
put("holm.want", [min(1.0, first_failing(v)) for v in p])

# Spherical splines on the head: places of electrodes, places asked for, values at both.
for i, n in enumerate([4, 19, 64]):
    unit = lambda v: v / np.linalg.norm(v, axis=1, keepdims=True)
    electrodes = unit(rng.standard_normal((n, 3)) + [0, 0, 0.7])
    places = unit(rng.standard_normal((30, 3)))
    values = rng.standard_normal(n)
    put(f"spline.{i}.electrodes", electrodes)
    put(f"spline.{i}.places", places)
    put(f"spline.{i}.values", values)
    put(f"spline.{i}.want", _make_interpolation_matrix(electrodes, places) @ values)

# The first two principal components, and the patterns of a linear decoder.
for i, (n, p) in enumerate([(50, 6), (8, 30), (40, 2)]):
    x = rng.standard_normal((n, p)) * np.geomspace(3, 0.2, p) + rng.standard_normal(p)
    pca = PCA(2, svd_solver="full").fit(x)
    put(f"pca.{i}.x", x)
    put(f"pca.{i}.want", pca.transform(x))
    put(f"pca.{i}.explained", pca.explained_variance_ratio_)
    w = rng.standard_normal((p, 3))
    put(f"haufe.{i}.w", w)
    put(f"haufe.{i}.want", np.cov(x.T) @ w)

save_file(arrays, Path(__file__).with_suffix(".safetensors"))
print(sum(a.nbytes for a in arrays.values()), "bytes")
