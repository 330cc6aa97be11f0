"""Reference arrays for the robust estimators, the metrics of SPD matrices and block Toeplitz matrices.

Run from the root of the checkout: .venv/bin/python tests/golden/metrics.py
Writes tests/golden/metrics.safetensors (float64). Made with pyriemann 0.12, numpy 2.4, scipy 1.17.
"""

from pathlib import Path
import warnings

import numpy as np
from pyriemann.classification import MDM
from pyriemann.geometry.covariance import covariances
from pyriemann.geometry.distance import distance
from pyriemann.geometry.geodesic import geodesic
from pyriemann.geometry.mean import gmean, mean_logdet, mean_wasserstein
from pyriemann.geometry.tangentspace import exp_map, tangent_space
from safetensors.numpy import save_file
from scipy.linalg import eigh, eigvals, sqrtm, svd
from scipy.special import softmax

from spd import converged_mean, matrices

arrays = {}
METRICS = ("riemann", "logeuclid", "euclid", "logchol", "wasserstein", "logdet")
# Those that are compared for large matrices, to keep the file small.
LARGE = ("riemann", "logeuclid", "wasserstein", "logdet")


def put(name, value):
    arrays[name] = np.ascontiguousarray(value, float)
    if not np.isfinite(arrays[name]).all():
        raise RuntimeError(f"{name} is not finite")


def estimators():
    """cov/x/NAME samples x channels; cov/ESTIMATOR/NAME channels x channels."""
    rng = np.random.default_rng(11)
    heavy = lambda n, p: rng.standard_t(2.5, (n, p)) @ rng.standard_normal((p, p))
    windows = {
        "03": heavy(200, 3),
        "08": heavy(250, 8),
        "22": heavy(200, 22),
        "88": rng.standard_normal((120, 88)) @ rng.standard_normal((88, 88)),
        "two": rng.standard_normal((100, 2)),
        "offset": rng.standard_normal((120, 5)) + 300 * rng.standard_normal(5),
        "volts": 1e-5 * heavy(160, 6),
        "ill": rng.standard_normal((300, 6)) * np.logspace(0, -4, 6),
        "one": rng.standard_normal((60, 1)),
        # Not for the M-estimators: no more samples than channels.
        "short": rng.standard_normal((20, 30)),
        "two_samples": rng.standard_normal((2, 4)),
        # Independent, so that all correlation is chance: the share is 1.
        "noise": rng.standard_normal((12, 10)),
    }
    for name, x in windows.items():
        put(f"cov/x/{name}", x)
        for estimator in ("cov", "sch", "hub", "tyl"):
            if estimator in ("hub", "tyl") and len(x) <= x.shape[1]:
                continue
            if name == "88" and estimator in ("cov", "tyl"):
                continue
            put(f"cov/{estimator}/{name}", covariances(x.T[None], estimator)[0].reshape(x.shape[1], -1))


# pyRiemann takes the root of A^1/2 B A^1/2, whose condition is up to the product of those of A and B: it
# has half of the digits, and beyond 1e16 none. Written with the singular values of A^1/2 B^1/2 = U S V^T
# instead, the root is U S U^T, and B^1/2 V U^T is the root of B that is nearest to A^1/2. Compared with pyRiemann
# where that is exact.


def aligned(a, b):
    root_a, root_b = power_of(a, 0.5), power_of(b, 0.5)
    u, _, vt = svd(root_a @ root_b)
    return root_a, root_b @ vt.T @ u.T


def wasserstein_distance(a, b):
    return np.linalg.norm(np.subtract(*aligned(a, b)))


def logdet_distance(a, b):
    """pyRiemann takes the determinant of A B, whose sign is chance where their conditions are high."""
    values = eigh(a, b, eigvals_only=True)
    return np.sqrt(np.sum(np.log((1 + values) / 2) - np.log(values) / 2))


def wasserstein_tangent(x, mean):
    vectors = []
    for b in x:
        root, near = aligned(mean, b)
        log = near @ root + root @ near.T - 2 * mean
        i, j = np.triu_indices(len(mean))
        vectors.append(np.where(i == j, 1, np.sqrt(2)) * log[i, j])
    return np.array(vectors)


def wasserstein_geodesic(a, b, t):
    root, near = aligned(a, b)
    between = (1 - t) * root + t * near
    return between @ between.T


def wasserstein_mean(x, weights=None):
    weights = np.ones(len(x)) if weights is None else weights
    mean = np.average(x, axis=0, weights=weights)
    for _ in range(2000):
        root = np.average([aligned(mean, b)[1] for b in x], axis=0, weights=weights)
        new = root @ root.T
        change, mean = np.linalg.norm(new - mean) / np.linalg.norm(mean), new
        if change < 2e-14:
            return mean
    if change > 1e-12:
        raise RuntimeError(change)
    return mean


def near(a, b, what):
    error = np.max(np.abs(a - b)) / np.max(np.abs(b))
    if not error < 1e-9:
        raise RuntimeError(f"{what}: {error}")
    return a


def mean_of(metric, x, weights=None):
    """pyRiemann's mean, started anew from where it got to until it stays where it is."""
    if metric == "riemann":
        return converged_mean(x, weights)
    if metric == "wasserstein":
        mean = wasserstein_mean(x, weights)
        if np.max(np.linalg.cond(x)) < 1e4:
            again = mean_wasserstein(x, init=mean, sample_weight=weights, tol=1e-7 * np.linalg.norm(mean))
            near(mean, again, "wasserstein mean")
        return mean
    if metric == "logdet":
        # The mean goes with congruences. Near the identity, the inverses are exact.
        root = np.linalg.cholesky(np.average(x, axis=0, weights=weights))
        white = np.linalg.solve(root, x)
        white = np.linalg.solve(root, white.transpose(0, 2, 1))
        mean = np.eye(len(root))
        for attempt in range(1000):
            new = mean_logdet(white, init=mean, tol=0, maxiter=20, sample_weight=weights)
            change, mean = np.linalg.norm(new - mean) / np.linalg.norm(new), new
            if change < (1e-15 if attempt < 20 else 1e-13):
                return root @ mean @ root.T
        raise RuntimeError(f"{metric}: {change}")
    return gmean(x, metric=metric, sample_weight=weights)


def geometry(name, x, rng, large=False):
    weights = rng.uniform(0.2, 3.0, len(x))
    put(f"{name}/x", x)
    put(f"{name}/weights", weights)
    exact = np.max(np.linalg.cond(x)) < 1e4
    for metric in LARGE if large else METRICS:
        at = f"{name}/{metric}"
        mean = mean_of(metric, x)
        put(f"{at}/mean", mean)
        distances = [distance(a, x[0], metric=metric) for a in x[1:]]
        if metric == "logdet":
            own = np.array([logdet_distance(a, x[0]) for a in x[1:]])
            distances = near(own, distances, "logdet distance") if exact else own
        if metric == "wasserstein":
            own = np.array([wasserstein_distance(a, x[0]) for a in x[1:]])
            distances = near(own, distances, "wasserstein distance") if exact else own
        put(f"{at}/distance", distances)
        if not large:
            put(f"{at}/mean_weighted", mean_of(metric, x, weights))
        if metric == "logdet":
            continue
        of = x[: 1 if large else 2 if len(mean) == 22 else 8]
        if metric == "wasserstein":
            tangents = wasserstein_tangent(of, mean)
            if exact:
                near(tangents, tangent_space(of, mean, metric=metric), "wasserstein tangent")
        else:
            tangents = tangent_space(of, mean, metric=metric)
        put(f"{at}/tangent", tangents)
        if large:
            continue
        places = (0.0, 0.3, 0.5, 1.0) if len(mean) < 22 else (0.3,)
        if metric == "wasserstein":
            points = np.array([wasserstein_geodesic(x[0], x[1], t) for t in places])
            if exact:
                near(points, [geodesic(x[0], x[1], t, metric=metric) for t in places], "geodesic")
        else:
            points = [geodesic(x[0], x[1], t, metric=metric) for t in places]
        put(f"{at}/geodesic", points)
        step = 0.1 * np.linalg.norm(mean) / len(mean) if metric != "riemann" else 0.3
        s = rng.standard_normal(mean.shape)
        s = step * (s + s.T) / np.linalg.norm(s)
        # A direction in which the mean can be moved by such a step.
        s = s if metric == "riemann" else sqrtm(mean).real @ s @ sqrtm(mean).real / np.linalg.norm(mean)
        put(f"{at}/direction", s)
        put(f"{at}/exp", exp_map(s, mean, metric=metric))
    if not large:
        labels = np.arange(len(x)) * 2 // len(x)
        scale = x.shape[1] / np.mean(np.trace(x, axis1=1, axis2=2))
        scaled = scale * x
        for metric in METRICS:
            means = [mean_of(metric, scaled[labels == k], weights[labels == k]) for k in range(2)]
            own = {"wasserstein": wasserstein_distance, "logdet": logdet_distance}.get(metric)
            if own:
                squared = np.array([[own(a, m) ** 2 for m in means] for a in scaled])
                put(f"{name}/{metric}/mdm", softmax(-squared, axis=1))
            else:
                mdm = MDM(metric=metric)
                mdm.classes_, mdm.covmeans_ = np.arange(2), np.array(means)
                mdm._metric_mean = mdm._metric_dist = metric
                put(f"{name}/{metric}/mdm", mdm.predict_proba(scaled))
        put(f"{name}/scale", [scale])


# Block Toeplitz matrices, written down from the definitions, with inverses of the leading blocks where
# the engine has a recursion.


def power_of(a, p):
    values, vectors = np.linalg.eigh(a)
    return (vectors * values**p) @ vectors.T


def averaged(c, order):
    n = len(c) // order
    block = lambda i, j: c[i * n:(i + 1) * n, j * n:(j + 1) * n]
    return [np.mean([block(i, i + k) for i in range(order - k)], axis=0) for k in range(order)]


def coordinates(c, order):
    power = averaged(c, order)[0]
    # With the channels whitened, the leading blocks can be inverted without loss.
    mixing = np.linalg.cholesky(power)
    r = [np.linalg.solve(mixing, np.linalg.solve(mixing, block).T).T for block in averaged(c, order)]
    n = len(power)
    whole = np.block([[r[j - i] if j >= i else r[i - j].T for j in range(order)] for i in range(order)])
    omegas = []
    for lag in range(order - 1):
        leading = np.linalg.inv(whole[:lag * n, :lag * n])
        a = np.hstack(r[1:lag + 1]) if lag else np.zeros((n, 0))
        b = np.hstack([r[k].T for k in range(lag, 0, -1)]) if lag else a
        first, last, common = (
            mixing @ left @ mixing.T
            for left in (r[0] - a @ leading @ a.T, r[0] - b @ leading @ b.T, r[lag + 1] - a @ leading @ b.T)
        )
        omegas.append(power_of(first, -0.5) @ common @ power_of(last, -0.5))
    return power, omegas


def siegel(o, p):
    one = np.eye(len(o))
    c = (p - o) @ np.linalg.inv(one - o.T @ p) @ (p.T - o.T) @ np.linalg.inv(one - o @ p.T)
    return np.sum(np.arctanh(np.sqrt(np.abs(eigvals(c)))) ** 2)


def shifted(o, x):
    one = np.eye(len(o))
    return power_of(one - o @ o.T, -0.5) @ (x - o) @ np.linalg.inv(one - o.T @ x) @ power_of(one - o.T @ o, 0.5)


def mapped(f, x):
    u, s, vt = svd(x)
    return u @ np.diag(f(s)) @ vt


def siegel_mean(points, weights):
    mean = np.tensordot(weights, points, 1)
    for _ in range(500):
        gradient = sum(w * mapped(np.arctanh, shifted(mean, p)) for w, p in zip(weights, points))
        if np.linalg.norm(gradient) < 1e-13:
            return mean
        mean = shifted(-mean, mapped(np.tanh, 0.7 * gradient))
    raise RuntimeError(np.linalg.norm(gradient))


def block_toeplitz():
    for order, n, count in ((1, 4, 8), (2, 3, 8), (3, 8, 8), (5, 2, 8), (4, 1, 8), (3, 16, 4)):
        rng = np.random.default_rng([7, order, n])
        name = f"toeplitz/{order}x{n:02}"
        mixing = rng.standard_normal((n, n))
        x = []
        for trial in range(count):
            signal = np.zeros((6 * order * n + 300, n))
            memory = (0.55 + 0.2 * (trial * 2 // count)) * np.linalg.qr(rng.standard_normal((n, n)) + 3 * np.eye(n))[0]
            for t in range(1, len(signal)):
                signal[t] = memory @ signal[t - 1] + rng.standard_normal(n)
            signal = signal @ mixing.T
            rows = len(signal) - (order - 1) * 2
            x.append(np.atleast_2d(np.cov(np.hstack([signal[2 * k:2 * k + rows] for k in range(order)]).T)))
        x = np.array(x)
        weights = rng.uniform(0.2, 3.0, count)
        shares = weights / weights.sum()
        points = [coordinates(c, order) for c in x]

        def squared(a, b):
            spd = distance(a[0], b[0], metric="riemann", squared=True)
            return order * spd + sum((order - 1 - k) * siegel(o, p) for k, (o, p) in enumerate(zip(a[1], b[1])))

        def mean(of, shares):
            power = converged_mean(np.array([points[i][0] for i in of]), shares)
            shares = shares / shares.sum()
            return power, [
                siegel_mean(np.array([points[i][1][k] for i in of]), shares) for k in range(order - 1)
            ]

        put(f"{name}/x", x)
        put(f"{name}/weights", weights)
        # Row by row here, column by column in the engine.
        columns = lambda omegas: np.array([o.T for o in omegas]).reshape(order - 1, n, n)
        put(f"{name}/power", points[0][0])
        put(f"{name}/omegas", columns(points[0][1]))
        put(f"{name}/squared", [squared(p, points[0]) for p in points])
        everything = mean(range(count), shares)
        put(f"{name}/mean_power", everything[0])
        put(f"{name}/mean_omegas", columns(everything[1]))
        put(f"{name}/norms", [squared(p, everything) for p in points])
        halves = [range(count // 2), range(count // 2, count)]
        means = [mean(h, weights[list(h)]) for h in halves]
        d2 = np.array([[squared(p, m) for m in means] for p in points])
        put(f"{name}/mdm", softmax(-d2, axis=1))


def main():
    warnings.filterwarnings("ignore", message="Convergence not reached")
    estimators()
    for n, count in ((1, 4), (2, 6), (3, 8), (8, 8), (22, 4), (88, 2)):
        for kind, condition, spread in (("well", 1e1, 0.5), ("wide", 1e3, 1.2), ("ill", 1e8, 0.5)):
            if (n == 88 and kind != "well") or (n == 22 and kind == "wide") or (n == 1 and kind == "ill"):
                continue
            rng = np.random.default_rng([5, n, int(np.log10(condition))])
            geometry(f"spd/{kind}/{n:02}", matrices(rng, count, n, condition, spread), rng, large=n == 88)
    block_toeplitz()
    path = Path(__file__).with_name("metrics.safetensors")
    save_file({name: arrays[name] for name in sorted(arrays)}, path)
    print(f"{path.name}: {len(arrays)} arrays, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
