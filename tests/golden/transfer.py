"""Reference arrays for recentring and Riemannian Procrustes.

Run from the root of the checkout: .venv/bin/python tests/golden/transfer.py
Writes tests/golden/transfer.safetensors (float64). Made with pyriemann 0.12.
"""

from pathlib import Path

import numpy as np
from pyriemann.geometry.geodesic import geodesic_riemann
from pyriemann.geometry.mean import mean_riemann
from pyriemann.optimization.grassmann import _get_rotation_manifold
from pyriemann.transfer import TLCenter, TLScale, encode_domains
from safetensors.numpy import save_file

arrays = {}


def session(rng, n, count, patterns):
    """Covariances of `count` trials of as many classes as there are patterns, in turn."""
    mixing = rng.standard_normal((n, n)) + 2 * np.eye(n)
    trials = []
    for i in range(count):
        sources = rng.standard_normal((n, 6 * n)) * np.exp(patterns[i % len(patterns)])[:, None]
        x = mixing @ (sources @ sources.T / (6 * n)) @ mixing.T
        trials.append((x + x.T) / 2)
    return np.array(trials), np.arange(count) % len(patterns)


def loss(q, targets, sources):
    return sum(np.linalg.norm(t - q @ s @ q.T) ** 2 for t, s in zip(targets, sources))


def case(name, n, classes, rng):
    put = lambda key, value: arrays.update({f"{name}.{key}": np.ascontiguousarray(value, float)})
    patterns = 0.8 * rng.standard_normal((classes, n))
    (a, ya), (b, yb) = (session(rng, n, 12 * classes, patterns) for _ in range(2))
    x, y = np.concatenate([a, b]), np.concatenate([ya, yb])
    x, coded = encode_domains(x, y, np.repeat(["source", "target"], len(a)))
    put("x", x)
    put("y", y)
    tight = lambda x: mean_riemann(x, tol=1e-12, maxiter=200)
    centred = TLCenter("target").fit_transform(x, coded)
    put("centred", centred)
    scaled = TLScale("target", centered_data=True).fit_transform(centred, coded)
    put("scaled", scaled)
    means = [[tight(scaled[d * len(a):(d + 1) * len(a)][ya == k]) for k in range(classes)]
             for d in (0, 1)]
    targets, sources = np.array(means)
    put("targets", targets)
    put("sources", sources)
    q = _get_rotation_manifold(sources, targets, weights=np.ones(classes))
    put("loss", [loss(q, targets, sources)])
    # A rotation that is known: what it brings forth is found again.
    q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    put("turned", q @ sources @ q.T)
    put("way", [geodesic_riemann(x[0], x[1], t) for t in (0.1, 0.5, 0.9)])


rng = np.random.default_rng(11)
for n, classes in ((3, 2), (8, 2), (8, 4), (16, 3)):
    case(f"transfer.{n:02}.{classes}", n, classes, rng)

save_file(arrays, Path(__file__).with_suffix(".safetensors"))
