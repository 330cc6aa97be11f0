"""Reference arrays for filters, covariances and the augmented transform.

Run from the checkout:  .venv/bin/python tests/golden/dsp.py
Writes tests/golden/dsp.safetensors (float64). Versions: tests/requirements.txt.
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from scipy.signal import butter, cheby1, iirnotch, sosfilt, sosfiltfilt, welch
from sklearn.covariance import OAS, LedoitWolf, empirical_covariance

out = {}


def number(x):
    """A number as it stands in a name."""
    return format(x, "g")


# Butterworth designs. butter/BAND/ORDER/LOW/HIGH/RATE -> sections x 6; HIGH is 0 where there is one edge.
single = [(12.0, 250.0), (0.5, 512.0), (100.0, 256.0), (40.0, 1000.0), (1.0, 128.0)]
double = [(8.0, 30.0, 250.0), (0.5, 40.0, 512.0), (7.0, 35.0, 160.0), (4.0, 8.0, 1000.0),
          (45.0, 55.0, 250.0), (1.0, 100.0, 256.0), (13.0, 14.0, 500.0), (8.0, 70.0, 160.0)]
for order in (1, 2, 3, 4, 5, 6, 8):
    for band in ("low", "high"):
        for edge, rate in single:
            name = f"butter/{band}/{order}/{number(edge)}/0/{number(rate)}"
            out[name] = butter(order, edge, band, fs=rate, output="sos")
    for band in ("pass", "stop"):
        for low, high, rate in double:
            name = f"butter/{band}/{order}/{number(low)}/{number(high)}/{number(rate)}"
            out[name] = butter(order, [low, high], "band" + band, fs=rate, output="sos")

# Notches. notch/FREQ/Q/RATE -> 6
for freq, q, rate in [(50, 30, 250), (60, 30, 160), (50, 5, 1000), (16.7, 35, 512), (100, 30, 256)]:
    b, a = iirnotch(freq, q, fs=rate)
    out[f"notch/{number(freq)}/{number(q)}/{number(rate)}"] = np.concatenate([b, a])

# Filtering. filter/x rows x channels; filter/y/NAME the same through filter/sos/NAME.
rng = np.random.default_rng(11)
x = rng.standard_normal((400, 11)) * 20 + 300
out["filter/x"] = x
for name, sos in {
    "bandpass": butter(4, [8, 30], "bandpass", fs=250, output="sos"),
    "highpass": butter(5, 0.5, "highpass", fs=250, output="sos"),
    "narrow": butter(2, [49, 51], "bandstop", fs=250, output="sos"),
}.items():
    out[f"filter/sos/{name}"] = sos
    out[f"filter/y/{name}"] = sosfilt(sos, x, axis=0)

# Band power after filtering, mean square in microvolts^2 of the last half.
t = np.arange(2500) / 250
tones = 10 * np.sin(2 * np.pi * 10 * t) + 10 * np.sin(2 * np.pi * 50 * t) + rng.standard_normal(2500)
freqs, density = welch(tones, 250, nperseg=1250)
inside = (freqs >= 8) & (freqs <= 30)
out["power/x"] = tones
out["power/band"] = np.array([density[inside].sum() * (freqs[1] - freqs[0])])

# Covariances. cov/x/NAME samples x channels; cov/{scm,oas,lwf}/NAME.
windows = {
    "plain": rng.standard_normal((200, 8)),
    "mixed": rng.standard_normal((320, 22)) @ rng.standard_normal((22, 22)) + 50 * rng.standard_normal(22),
    "short": rng.standard_normal((20, 30)),
    "deficient": rng.standard_normal((100, 4)) @ rng.standard_normal((4, 9)),
    "constant": np.column_stack([rng.standard_normal((80, 4)), np.full(80, 7.5)]),
    "tiny": rng.standard_normal((60, 6)) * 1e-9,
    "huge": rng.standard_normal((60, 6)) * 1e9,
    "two": rng.standard_normal((2, 5)),
    "one_channel": rng.standard_normal((50, 1)),
    "unequal": rng.standard_normal((120, 5)) * np.array([1e-3, 1, 1e3, 10, 0.1]),
    "average": (lambda w: w - w.mean(1, keepdims=True))(rng.standard_normal((150, 10))),
}
for name, w in windows.items():
    out[f"cov/x/{name}"] = w
    out[f"cov/scm/{name}"] = np.atleast_2d(empirical_covariance(w))
    out[f"cov/oas/{name}"] = OAS().fit(w).covariance_
    out[f"cov/lwf/{name}"] = LedoitWolf().fit(w).covariance_

# The augmented transform. augmented/x rows x channels; augmented/CROP/ORDER/LAG rows' x (order * channels).
x = rng.standard_normal((60, 5))
out["augmented/x"] = x
for order, lag in [(1, 8), (2, 5), (3, 7), (4, 9), (5, 1)]:
    for crop, lost in (("compat", order * lag), ("tight", (order - 1) * lag)):
        rows = len(x) - (lost if order > 1 else 0)
        stacked = np.concatenate([x.T[:, p * lag:p * lag + rows] for p in range(order)])
        out[f"augmented/{crop}/{order}/{lag}"] = stacked.T

# Chebyshev designs. chebyshev/ORDER/RIPPLE/EDGE/RATE -> sections x 6.
for order, ripple, edge, rate in [(1, 1, 10, 250), (2, 0.5, 40, 250), (3, 0.1, 0.5, 512), (5, 3, 100, 256),
                                  (8, 0.05, 400, 30000), (8, 0.05, 50, 500), (8, 0.05, 12, 30000)]:
    name = f"chebyshev/{order}/{number(ripple)}/{number(edge)}/{number(rate)}"
    out[name] = cheby1(order, ripple, edge, fs=rate, output="sos")

# Decimation. decimate/x rows x channels at 600 Hz; decimate/y/RATE the same at a lower rate.
x = rng.standard_normal((901, 5)) * 20 + 300
out["decimate/x"] = x
for factor in (2, 6, 30):
    sos = cheby1(8, 0.05, 0.8 / factor, output="sos")
    out[f"decimate/y/{number(600 / factor)}"] = sosfilt(sos, x, axis=0)[::factor]

# Forward and backward. both_ways/x rows x channels at 160 Hz; both_ways/y the same.
x = rng.standard_normal((2400, 2)) + 5
out["both_ways/x"] = x
out["both_ways/y"] = sosfiltfilt(butter(4, [8, 30], "bandpass", fs=160, output="sos"), x, axis=0)

out = {name: np.ascontiguousarray(array, dtype=np.float64) for name, array in sorted(out.items())}
path = Path(__file__).with_suffix(".safetensors")
save_file(out, path)
print(f"{path.name}: {len(out)} arrays, {path.stat().st_size} bytes")
