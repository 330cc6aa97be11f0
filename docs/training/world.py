"""Worlds: made-up brain signals with a planted structure, from a small file.

A world is a `.safetensors` file of 32-bit floats. Its metadata hold, under `saltatory_world`, JSON with `version` (1), `rate_hz`,
`unit`, `kind`, `channels` and `items` (labels), `item_s` (from one item's onset to the next), `jitter_s` and `ar`. The engine's
source `planted` simulates live from the same file, with random numbers of its own. Channel c at the time t is

    x_c(t) = sum_k mixing[c, k] a_k(t) + sum_b noise[c, b] n_b(t) + sensor_noise[c] w_c(t)

    n_b   first-order autoregressive noise of variance 1: n(t) = ar n(t - 1) + sqrt(1 - ar^2) e(t)
    w_c   white noise of variance 1
    a_k   sum over the trials of  amplitude[item, k] exp(-s^2 / 2) cos(2 pi frequency_hz[k] u + theta_k),
          u = t - t0 - d - delay_s[k],  s = u / width_s[k],  where |s| <= 4 and 0 elsewhere;
          theta_k = 0 where locked[k] is 1, else uniform in [0, 2 pi) for each trial and source;
          d uniform in [-jitter_s, jitter_s] for each trial, the same for all sources
    t0    item_s (1, 2, 3, ...); the item is drawn at random

`positions` are unit vectors of the channels (x right, y front, z up; NaN where unknown). Trials that follow each other closely
overlap as the formula says. Here, all of a session is one continuous signal, and windows are cut from it, so that they hold what
a live run would.
"""

import json
import pathlib
from dataclasses import dataclass

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file
from scipy.signal import lfilter

KEY, EPOCHS_KEY, GALLERY_KEY = "saltatory_world", "saltatory_epochs", "saltatory_gallery"
VERSION = 1
WIDTHS = 4.0
# Trials that are simulated at once.
CHUNK = 100
TENSORS = ["mixing", "amplitude", "frequency_hz", "delay_s", "width_s", "locked", "noise", "sensor_noise", "positions"]


@dataclass
class World:
    rate_hz: float
    unit: str
    kind: str
    channels: list
    items: list
    item_s: float
    jitter_s: float
    ar: float
    mixing: np.ndarray
    amplitude: np.ndarray
    frequency_hz: np.ndarray
    delay_s: np.ndarray
    width_s: np.ndarray
    locked: np.ndarray
    noise: np.ndarray
    sensor_noise: np.ndarray
    positions: np.ndarray


def write(world, path):
    """Writes a world, after a look at the shapes of its tensors."""
    channels, sources = world.mixing.shape
    assert world.amplitude.shape == (len(world.items), sources) and channels == len(world.channels)
    assert all(getattr(world, name).shape == (sources,) for name in ["frequency_hz", "delay_s", "width_s", "locked"])
    assert world.noise.shape[0] == channels and world.sensor_noise.shape == (channels,) and world.positions.shape == (channels, 3)
    about = {"version": VERSION} | {k: v for k, v in vars(world).items() if k not in TENSORS}
    tensors = {name: np.ascontiguousarray(getattr(world, name), np.float32) for name in TENSORS}
    save_file(tensors, path, metadata={KEY: json.dumps(about)})


def read(path):
    """Reads a world."""
    with safe_open(path, "numpy") as file:
        about = json.loads(file.metadata()[KEY])
        tensors = {name: file.get_tensor(name).astype(np.float64) for name in TENSORS}
    version = about.pop("version")
    if version != VERSION:
        raise ValueError(f"{path}: a world of version {version}, not {VERSION}")
    return World(**about, **tensors)


def session(world, items, seed):
    """Yields (index of the first sample, samples x channels as float32) for a session in which `items` (indices) come one after the
    other, chunk by chunk. The session ends one `item_s` behind the onset of its last item."""
    rng = np.random.default_rng([seed, 0])
    items = np.asarray(items)
    sources = world.mixing.shape[1]
    onsets = world.item_s * (1 + np.arange(len(items))) + rng.uniform(-world.jitter_s, world.jitter_s, len(items))
    phases = np.where(world.locked > 0.5, 0.0, rng.uniform(0, 2 * np.pi, (len(items), sources)))
    end = round((len(items) + 1) * world.item_s * world.rate_hz)
    step = max(1, round(CHUNK * world.item_s * world.rate_hz))
    # Worlds of two kinds with one seed are one brain (delays, phases) with two sorts of noise.
    rng = np.random.default_rng([seed, 1, *world.kind.encode()])
    state = rng.standard_normal(world.noise.shape[1])
    fresh = np.sqrt(1 - world.ar**2)
    for first in range(0, end, step):
        count = min(step, end - first)
        drive = fresh * rng.standard_normal((count, len(state)))
        background, last = lfilter([1.0], [1.0, -world.ar], drive, axis=0, zi=(world.ar * state)[None])
        state = background[-1] if count else state
        activity = _activity(world, items, onsets, phases, first, count)
        x = rng.standard_normal((count, len(world.channels)), dtype=np.float32) * world.sensor_noise.astype(np.float32)
        x += (activity @ world.mixing.T + background @ world.noise.T).astype(np.float32)
        yield first, x


def _activity(world, items, onsets, phases, first, count):
    """a_k of samples `first` .. `first + count`."""
    a = np.zeros((count, world.mixing.shape[1]))
    for k in range(a.shape[1]):
        reach = WIDTHS * world.width_s[k]
        middle = onsets + world.delay_s[k]
        near = (middle + reach >= first / world.rate_hz) & (middle - reach <= (first + count) / world.rate_hz)
        begin = np.ceil((middle[near] - reach) * world.rate_hz).astype(int)
        index = begin[:, None] + np.arange(int(2 * reach * world.rate_hz) + 2)
        u = index / world.rate_hz - middle[near][:, None]
        value = np.exp(-0.5 * (u / world.width_s[k]) ** 2) * np.cos(2 * np.pi * world.frequency_hz[k] * u + phases[near, k][:, None])
        value *= world.amplitude[items[near], k][:, None]
        inside = (np.abs(u) <= reach) & (index >= first) & (index < first + count)
        np.add.at(a[:, k], index[inside] - first, value[inside])
    return a


def simulate(world, items, seed, start_s, length_s):
    """The windows from `start_s` behind the onset of each of `items` (indices) on: trials x samples x channels, float32. The first
    window must not begin before the session."""
    length = round(length_s * world.rate_hz)
    starts = np.round((world.item_s * (1 + np.arange(len(items))) + start_s) * world.rate_hz).astype(int)
    assert starts[0] >= 0 and starts[-1] + length <= round((len(items) + 1) * world.item_s * world.rate_hz), "a window leaves the session"
    cut = np.empty((len(items), length, len(world.channels)), np.float32)
    for first, x in session(world, items, seed):
        touched = np.flatnonzero((starts < first + len(x)) & (starts + length > first))
        for i in touched:
            low, high = max(starts[i], first), min(starts[i] + length, first + len(x))
            cut[i, low - starts[i] : high - starts[i]] = x[low - first : high - first]
    return cut


def write_epochs(path, world, trials, items, start_s, source="simulated by docs/training/world.py"):
    """Writes windows, and which item each belongs to, as `saltatory fit` and `evaluate` read them."""
    about = {"version": 1, "rate_hz": world.rate_hz, "channels": world.channels, "unit": world.unit, "classes": world.items,
             "start_s": start_s, "source": source,
             "positions": [None if np.isnan(p).any() else [float(v) for v in p] for p in world.positions]}
    tensors = {"data": np.ascontiguousarray(trials, np.float32), "labels": np.asarray(items, np.int64)}
    save_file(tensors, path, metadata={EPOCHS_KEY: json.dumps(about)})


def write_gallery(path, labels, embeddings, prior=None):
    """Writes a gallery: one row of `embeddings` for each label."""
    assert len(labels) == len(embeddings) == len(set(labels)) and all(0 < len(label.encode()) <= 200 for label in labels)
    tensors = {"embeddings": np.ascontiguousarray(embeddings, np.float32)}
    if prior is not None:
        tensors["prior"] = np.ascontiguousarray(prior, np.float32)
    save_file(tensors, path, metadata={GALLERY_KEY: json.dumps({"labels": list(labels)})})


def read_gallery(path):
    """The labels and embeddings of a gallery."""
    with safe_open(path, "numpy") as file:
        return json.loads(file.metadata()[GALLERY_KEY])["labels"], file.get_tensor("embeddings")


def models():
    """The folder `models` of this repository."""
    return pathlib.Path(__file__).resolve().parents[2] / "models"
