"""Reference arrays for the choice of order and lag (src/math/embedding).

Run from the root of the checkout: .venv/bin/python tests/golden/embedding.py
Writes tests/golden/embedding.safetensors (float64). Made with numpy 2.4, scipy 1.17.

Written from the formulas, the plain way: sets of values, full distance matrices, and one logarithm for
each pair of points. Everything is seeded.
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from scipy.signal import butter, lfilter
from scipy.spatial.distance import cdist

arrays = {}
DELAYS = range(51)


# --- series -------------------------------------------------------------------------------------


def autoregressive(rng, samples, channels):
    """AR(2) processes with a rhythm, mixed."""
    x = np.zeros((samples + 200, channels))
    noise = rng.standard_normal(x.shape)
    radius, angle = rng.uniform(0.85, 0.97, channels), rng.uniform(0.15, 0.6, channels)
    for t in range(2, len(x)):
        x[t] = 2 * radius * np.cos(angle) * x[t - 1] - radius**2 * x[t - 2] + noise[t]
    return x[200:] @ rng.uniform(-1, 1, (channels, channels))


def lorenz(samples, step=0.03):
    """The three coordinates, by the classical Runge-Kutta method."""

    def slope(v):
        x, y, z = v
        return np.array([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])

    v, path = np.array([1.0, 1.0, 20.0]), []
    for _ in range(samples + 500):
        a = slope(v)
        b = slope(v + step / 2 * a)
        c = slope(v + step / 2 * b)
        d = slope(v + step * c)
        v = v + step / 6 * (a + 2 * b + 2 * c + d)
        path.append(v)
    return np.array(path[500:])


def sines(rng, samples, channels):
    """Two sines of unrelated frequencies for each channel, and a little noise."""
    t = np.arange(samples)[:, None]
    frequency, phase = rng.uniform(0.1, 0.5, (2, channels)), rng.uniform(0, 6, (2, channels))
    clean = np.sin(t * frequency[0] + phase[0]) + 0.5 * np.sin(t * frequency[1] + phase[1])
    return clean + 0.01 * rng.standard_normal((samples, channels))


def band_passed(rng, samples, channels):
    """What is decoded: mixed noise from 8 to 35 Hz at 250 Hz, in microvolts."""
    b, a = butter(4, [8, 35], "bandpass", fs=250)
    x = lfilter(b, a, rng.standard_normal((samples + 500, channels)), axis=0)[500:]
    return 20 * x @ rng.standard_normal((channels, channels))


# --- self information ---------------------------------------------------------------------------


def is_uniform(values):
    n = len(values)
    if n < 10:
        return True
    ranges, critical = (2, 2.706) if n < 20 else (4, 6.251)
    expected = round(n / ranges)  # half to even
    width = (values[-1] - values[0]) / ranges
    bounds = [values[0] + (i + 1) * width for i in range(ranges)]
    ends = [int(np.sum(values <= bound)) for bound in bounds]
    statistic, start = 0.0, 0
    for end in ends:
        statistic += (end - start - expected) ** 2 / expected
        if end == n:
            break
        start = end
    return statistic < critical


def parts(values):
    """Sorted values, cut into halves until each part is uniform."""
    if is_uniform(values):
        return [values]
    half = len(values) // 2
    return parts(values[:half]) + parts(values[half:])


def self_information(x, lags):
    n = len(x) - lags
    order = np.argsort(x[:n], kind="stable")
    bins = parts(x[:n][order])
    size = np.array([len(b) for b in bins])
    members = np.split(order, np.cumsum(size)[:-1])
    upper = np.array([b[-1] for b in bins])[:-1]
    information = []
    for lag in range(1, lags + 1):
        bits = 0.0
        for a, places in enumerate(members):
            later = np.searchsorted(upper, x[places + lag], side="left")
            for b, count in zip(*np.unique(later, return_counts=True)):
                bits += count / n * np.log2(n * count / (size[a] * size[b]))
        information.append(bits)
    return np.array(information)


def first_minimum(curve):
    """The place, counted from 0, of the first value that is no larger than the next."""
    for i in range(len(curve) - 1):
        if curve[i + 1] >= curve[i]:
            return i
    return len(curve) - 1


# --- MDOP ---------------------------------------------------------------------------------------


def nearest(y, window):
    """For each row of y the place and the distance of the nearest row that is far enough in time."""
    distance = cdist(y, y)
    i = np.arange(len(y))
    distance[abs(i[:, None] - i) <= window] = np.inf
    place = distance.argmin(axis=1)
    return place, distance[i, place]


def beta(y, series, window):
    n = len(y) - DELAYS[-1]
    place, distance = nearest(y[:n], window)
    i = np.arange(n)
    return np.array(
        [np.mean(np.log10(abs(series[i + d] - series[place + d]) / distance)) for d in DELAYS]
    )


def false_share(old, new):
    old = old[: len(new)]
    near = old < 1 / 2
    parted = np.sum(near & (new / old > 2))
    return parted / np.sum(near) if parted > 0 else 1.0


def with_column(y, series, delay):
    n = min(len(y), len(series) - delay)
    return np.column_stack([y[:n], series[delay : delay + n]])


def mdop(x):
    window = max(first_minimum(self_information(series, 100)) + 1 for series in x.T)
    x = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    channels = x.shape[1]
    columns, shares, curves = [], [], []
    while True:
        if not columns:
            curve = [beta(x[:, [a]], x[:, b], window) for a in range(channels) for b in range(channels)]
            pair, delay = divmod(int(np.argmax(curve)), len(DELAYS))
            first, channel = divmod(pair, channels)
            columns.append((first, 0))
            y = x[:, [first]]
        else:
            curve = [beta(y, x[:, b], window) for b in range(channels)]
            channel, delay = divmod(int(np.argmax(curve)), len(DELAYS))
        columns.append((channel, delay))
        old = nearest(y, window)[1]
        y = with_column(y, x[:, channel], delay)
        shares.append(false_share(old, nearest(y, window)[1]))
        curves.append(np.array(curve))
        rose = len(shares) > 1 and shares[-1] > shares[-2]
        if shares[-1] <= 0.05 or rose or len(shares) == 50:
            kept = columns[:-1]
            lag = round(np.mean([d for _, d in kept]))
            return window, columns, shares, curves, (len(kept), lag)


# --- Cao ----------------------------------------------------------------------------------------


def parting(series, lag, space):
    n = len(series) - space * lag
    y = np.column_stack([series[d * lag : d * lag + n] for d in range(space)])
    distance = cdist(y, y)
    distance[distance == 0] = np.inf
    place = distance.argmin(axis=1)
    i = np.arange(n)
    near = distance[i, place]
    further = series[i + space * lag] - series[place + space * lag]
    return np.mean(np.sqrt(near**2 + further**2) / near)


def cao(epochs, most):
    e1, information = [], []
    for x in epochs:
        for series in x.T:
            information.append(self_information(series, 30))
            lag = first_minimum(self_information(series, 100)) + 1
            a = np.array([parting(series, lag, space) for space in range(1, most + 2)])
            e1.append(a[1:] / a[:-1])
    e1, information = np.mean(e1, axis=0), np.mean(information, axis=0)
    flat = (abs(np.diff(e1)) < 0.03) & (abs(e1[:-1] - 1) < 0.1)
    order = int(np.argmax(flat)) + 1 if flat.any() else 0
    return e1, information, (order, first_minimum(information) + 1)


# --- quick --------------------------------------------------------------------------------------


def autocorrelation(epochs):
    curves = []
    for x in epochs:
        for series in x.T:
            series = series - series.mean()
            full = np.correlate(series, series, "full")[len(series) - 1 :]
            curves.append(full[: len(series) // 2 + 1] / full[0])
    return np.mean(curves, axis=0)


def case(name, epochs, most):
    """`epochs` is epochs x samples x channels; `most` is the largest order that Cao looks at."""
    put = lambda key, value: arrays.update({f"{name}.{key}": np.ascontiguousarray(value, float)})
    put("x", epochs)
    put("information", [[self_information(s, 100) for s in x.T] for x in epochs])
    choices = []
    for i, x in enumerate(epochs):
        window, columns, shares, curves, choice = mdop(x)
        put(f"mdop{i}.window", [window])
        put(f"mdop{i}.columns", columns)
        put(f"mdop{i}.shares", shares)
        put(f"mdop{i}.beta", np.concatenate([c.ravel() for c in curves]))
        put(f"mdop{i}.choice", choice)
        choices.append(choice)
        print(name, i, "window", window, columns, np.round(shares, 3), choice)
    put("mdop.choice", [round(v) for v in np.mean(choices, axis=0)])
    e1, information, choice = cao(epochs, most)
    put("cao.e1", e1)
    put("cao.information", information)
    put("cao.choice", choice)
    curve = autocorrelation(epochs)
    put("autocorrelation", curve)
    half = first_minimum(curve)
    put("quick.choice", [5, max(1, (half + 1) // 2)])
    print(name, "mdop", arrays[f"{name}.mdop.choice"], "cao", choice, np.round(e1, 3), "half", half)


rng = np.random.default_rng(20260)
case("autoregressive", np.stack([autoregressive(rng, 400, 3) for _ in range(3)]), 10)
case("lorenz", lorenz(900)[None], 8)
case("noise", rng.standard_normal((2, 350, 2)), 12)
case("sines", np.stack([sines(rng, 500, 2) for _ in range(2)]), 8)
case("band_passed", np.stack([band_passed(rng, 450, 8) for _ in range(2)]), 12)
case("wide", band_passed(rng, 400, 22)[None], 10)

path = Path(__file__).with_suffix(".safetensors")
save_file(arrays, path)
print(path, path.stat().st_size)
