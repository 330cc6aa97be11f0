"""Reference arrays for the adapters in front of decoders that others have trained.

Run from the root of the checkout: .venv/bin/python tests/golden/adapters.py
Writes tests/golden/adapters.safetensors (float64). Needs NumPy, SciPy, scikit-learn, MNE-Python, pyRiemann and safetensors.

Windows are samples x channels, as a frame holds them.
"""

from pathlib import Path

import mne
import numpy as np
from mne.channels.interpolation import _make_interpolation_matrix
from pyriemann.geometry.base import invsqrtm, sqrtm
from safetensors.numpy import save_file
from scipy.signal import butter, get_window, sosfilt
from sklearn.preprocessing import RobustScaler, StandardScaler

ROWS, COLS, RATE = 512, 6, 128.0
BANDS = [(4, 8), (8, 14), (14, 31), (31, 49)]
LABELS = ["Fp1", "FPz", "F7", "F3", "Fz", "F4", "T7", "C3", "C4", "T8", "P7", "Pz", "P8", "O1", "O2"]
WANTED = ["C3", "Cz", "FC1", "CP2", "Oz", "Pz"]


def noise(rng, rows=ROWS, cols=COLS):
    """Rows of correlated noise with a rhythm, an offset and a channel that is much larger."""
    x = np.cumsum(rng.normal(size=(rows, cols)), axis=0) * 0.3 + rng.normal(size=(rows, cols))
    x += 4 * np.sin(2 * np.pi * 10 * np.arange(rows)[:, None] / RATE + np.arange(cols))
    return x * np.array([1, 2, 5, 1, 0.1, 30][:cols]) + np.arange(cols)


def scale(out, rng):
    windows = np.stack([noise(rng) for _ in range(3)])
    out["scale.windows"] = windows
    x = windows[0]
    z = StandardScaler().fit_transform(x)
    out["scale.channel"] = z
    out["scale.centre"] = x - x.mean(axis=0)
    out["scale.window"] = (x - x.mean()) / x.std()
    base = x - x[:64].mean(axis=0)
    out["scale.robust"] = np.clip(RobustScaler().fit_transform(base), -1.5, 1.5)
    based = windows - windows[:, :64].mean(axis=1, keepdims=True)
    out["scale.learned_robust"] = RobustScaler().fit(based.reshape(-1, COLS)).transform(based[1])
    out["scale.learned_channel"] = StandardScaler().fit(based.reshape(-1, COLS)).transform(based[1])


def entropy(x, standardise):
    """Channels x bands."""
    if standardise == "window":
        x = (x - x.mean()) / x.std()
    if standardise == "channel":
        x = (x - x.mean(axis=0)) / x.std(axis=0)
    filtered = [sosfilt(butter(5, band, "bandpass", fs=RATE, output="sos"), x, axis=0) for band in BANDS]
    return np.stack([0.5 * np.log2(2 * np.pi * np.e * f.var(axis=0)) for f in filtered], axis=1)


def bde(out, rng):
    x = noise(rng, 256 + ROWS)
    out["bde.input"] = x
    for standardise in ["window", "channel", "none"]:
        out[f"bde.{standardise}"] = entropy(x, standardise)
    baseline, rest = x[:256], x[256:]
    piece = baseline.reshape(2, 128, COLS).mean(axis=0)
    out["bde.baseline"] = entropy(rest, "window") - entropy(piece, "window")


def patch(out, rng):
    x = noise(rng)
    out["patch.window"] = x
    # Channels x patches x samples, as the transformers have it.
    patches = x.T.reshape(COLS, 16, 32)
    out["patch.time"] = patches.transpose(1, 0, 2).reshape(16, COLS * 32)
    out["patch.channel"] = patches.reshape(COLS * 16, 32)
    sliding = np.lib.stride_tricks.sliding_window_view(x.T, 64, axis=1)[:, ::32]
    out["patch.overlapping"] = sliding.transpose(1, 0, 2).reshape(15, COLS * 64)


def stft(out, rng):
    x = noise(rng)
    out["stft.window"] = x
    for window in ["none", "hann"]:
        scales = []
        for n in [64, 128, 256, 512]:
            segments = x.T.reshape(COLS, -1, n)
            if window == "hann":
                segments = segments * get_window("hann", n)
            scales.append(np.abs(np.fft.rfft(segments)).reshape(COLS, -1))
        out[f"stft.{window}"] = np.hstack(scales)


def midline(steps):
    """So many steps of 22.5 degrees in front of Cz."""
    return np.array([0, np.sin(steps * np.pi / 8), np.cos(steps * np.pi / 8)])


def ring(steps):
    """So many steps of 18 degrees from Fpz to the left."""
    return np.array([-np.sin(steps * np.pi / 10), np.cos(steps * np.pi / 10), 0])


def arc(top, end, share):
    """On the circle through `end`, `top` and the mirror image of `end`: so much of the way from `top` to `end`."""
    chord = np.array([0, *(end - top)[1:]])
    height = np.linalg.norm(chord)
    radius = (end[0] ** 2 + height**2) / (2 * height)
    angle = share * np.arctan2(-end[0], radius - height)
    return top + chord / height * radius * (1 - np.cos(angle)) - np.array([radius * np.sin(angle), 0, 0])


MIRROR = np.array([-1, 1, 1])
ROWS_OF = {"F": 2, "FC": 1, "C": 0, "CP": -1, "P": -2}


def row(name, share, right=False):
    """In the row `name`, so much of the way down from the midline."""
    place = arc(midline(ROWS_OF[name]), ring(5 - ROWS_OF[name]), share)
    return place * MIRROR if right else place


PLACES = {
    "Fp1": ring(1), "FPz": midline(4), "O1": ring(9), "O2": ring(9) * MIRROR, "Oz": midline(-4),
    "Fz": midline(2), "Cz": midline(0), "Pz": midline(-2),
    "F7": row("F", 1), "F3": row("F", 0.5), "F4": row("F", 0.5, True),
    "T7": row("C", 1), "C3": row("C", 0.5), "C4": row("C", 0.5, True), "T8": row("C", 1, True),
    "P7": row("P", 1), "P8": row("P", 1, True), "FC1": row("FC", 0.25), "CP2": row("CP", 0.25, True),
}


def montage(out, rng):
    """The weights of MNE-Python at random places, and what interpolate_bads does with a cap."""
    for name, count, wanted in [("few", 3, 4), ("many", 60, 9)]:
        vectors = rng.normal(size=(count + wanted, 3))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        out[f"montage.{name}.from"], out[f"montage.{name}.to"] = vectors[:count], vectors[count:]
        out[f"montage.{name}.weights"] = _make_interpolation_matrix(vectors[:count], vectors[count:])
    # The whole of interpolate_bads, at the places that math::montage gives these electrodes.
    names = LABELS + [label for label in WANTED if label not in LABELS]
    place = np.array([PLACES[name] for name in names])
    info = mne.create_info(names, RATE, "eeg")
    info.set_montage(mne.channels.make_dig_montage({n: 0.095 * p for n, p in zip(names, place)}, coord_frame="head"))
    sources = 0.4 * np.array([[0.6, 0.2, 0.77], [-0.5, 0.5, 0.7], [0.1, -0.7, 0.7]])
    field = 1 / np.linalg.norm(place[:, None] - sources, axis=2)
    values = field @ rng.normal(size=(3, 20)) * 1e-5
    raw = mne.io.RawArray(values, info, verbose="error")
    raw.info["bads"] = [name for name in WANTED if name not in LABELS]
    done = raw.copy().interpolate_bads(reset_bads=True, origin=(0, 0, 0), verbose="error")
    out["montage.cap"] = values[: len(LABELS)].T * 1e6
    out["montage.mne"] = done.get_data(picks=WANTED).T * 1e6
    out["montage.true"] = raw.get_data(picks=WANTED).T * 1e6


def subject(out, rng):
    """Two people's windows, 2 classes; the map by the formulas."""
    n, trials = 4, 10
    labels = np.arange(2 * trials) % 2
    out["subject.labels"] = labels.astype(float)
    facts = {}
    for person in ["other", "own"]:
        mixing = rng.normal(size=(n, n))
        power = np.where(labels[:, None] == 0, [3.0, 0.5, 1, 2], [0.5, 3.0, 1, 2])
        template = np.stack([np.outer(np.hanning(64), [2, 0, 1, 0]), np.outer(np.hanning(64), [0, -1, 0, 2])])
        sources = rng.normal(size=(2 * trials, 64, n)) * power[:, None] + template[labels]
        x = sources @ mixing.T
        out[f"subject.{person}"] = x
        c = np.stack([np.cov(w.T) for w in x])
        facts[person] = (c.mean(axis=0), np.stack([x[labels == k].mean(axis=0) for k in (0, 1)]))
    (r, t), (s, m) = facts["other"], facts["own"]
    out["subject.covariance"] = sqrtm(r) @ invsqrtm(s)
    square, across = np.einsum("kti,ktj->ij", m, m), np.einsum("kti,ktj->ij", t, m)
    ridge = 0.05 * np.trace(square) / n
    out["subject.means"] = (across + ridge * np.eye(n)) @ np.linalg.inv(square + ridge * np.eye(n))


def main():
    rng = np.random.default_rng(20261129)
    out = {}
    for part in [scale, bde, patch, stft, montage, subject]:
        part(out, rng)
    out = {name: np.ascontiguousarray(array, dtype=np.float64) for name, array in out.items()}
    save_file(out, Path(__file__).with_suffix(".safetensors"))
    for name, array in sorted(out.items()):
        print(name, array.shape, float(np.abs(array).max()))


if __name__ == "__main__":
    main()
