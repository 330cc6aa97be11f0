"""Two worlds of one brain: EEG and MEG of the same items, with the same sources.

Each item is 8 latent numbers z. 8 locked sources carry them in their amplitude, 16 induced ones in their power (as in
docs/training/meg/planted.py). Both worlds have the same amplitudes, frequencies, delays and widths, and differ in what
each sensor sees: MEG sees hardly anything of the sources that lie along the radius (the first half of each kind: RADIAL_SEEN of
them), EEG sees the others weakly (TANGENTIAL_SEEN). So each has a part of z for itself, and a mean of both knows more.
"""

import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import world
from common import heads
from common.scores import unit

SEED = 40
EVOKED, INDUCED, LATENTS, BACKGROUND = 8, 16, 8, 12
ITEMS, HELD_OUT, EMBEDDING = 600, 100, 32
RATE_HZ, ITEM_S, JITTER_S, AR = 120.0, 2.0, 0.05, 0.95
START_S, LENGTH_S = -0.5, 1.5
RADIAL_SEEN, TANGENTIAL_SEEN = 0.15, 0.2
GAIN = 0.7
# Peaks of evoked and induced sources, standard deviations of background and sensors.
MICROVOLTS = (2.5, 5.0, 6.0, 3.0)
FEMTOTESLA = (40.0, 80.0, 150.0, 60.0)


def latents():
    return np.random.default_rng(SEED).standard_normal((ITEMS, LATENTS))


def embeddings(z):
    """Unit vectors: unit(tanh(z W))."""
    weights = np.random.default_rng(SEED + 1).standard_normal((LATENTS, EMBEDDING)) / np.sqrt(LATENTS)
    return unit(np.tanh(z @ weights)).astype(np.float32)


def make(kind):
    """The world of "EEG" or "MEG"."""
    rng = np.random.default_rng(SEED + 2)
    z = latents()
    rows = lambda n: unit(rng.standard_normal((n, LATENTS)))
    evoked, induced = z @ rows(EVOKED).T, np.exp(GAIN * (z @ rows(INDUCED).T))
    spread = lambda low, high: np.concatenate([rng.uniform(*low, EVOKED), rng.uniform(*high, INDUCED)])
    timing = dict(frequency_hz=spread((4, 7), (9, 42)), delay_s=spread((0.1, 0.35), (0.15, 0.55)), width_s=spread((0.05, 0.08), (0.08, 0.11)))
    sources, background = (heads.dipoles(rng, n) for n in (EVOKED + INDUCED, BACKGROUND))
    if kind == "EEG":
        channels, field, scale = heads.EEG_32, heads.electric, MICROVOLTS
        sensors = heads.electrodes(channels)
    else:
        channels, field, scale = [f"MEG{i + 1:03d}" for i in range(64)], heads.magnetic, FEMTOTESLA
        sensors = heads.helmet(64)
    radial = np.concatenate([np.arange(n) < n // 2 for n in (EVOKED, INDUCED)])
    seen = np.where(radial, *((1.0, TANGENTIAL_SEEN) if kind == "EEG" else (RADIAL_SEEN, 1.0)))
    # The amplitudes are the same in both worlds; units are in the mixing.
    size = np.repeat(scale[:2], [EVOKED, INDUCED])
    return world.World(
        rate_hz=RATE_HZ, unit="microvolts" if kind == "EEG" else "femtotesla", kind=kind, channels=channels,
        items=[f"thing {i + 1:03d}" for i in range(ITEMS)], item_s=ITEM_S, jitter_s=JITTER_S, ar=AR,
        mixing=field(sensors, *sources) * seen * size, amplitude=np.concatenate([evoked, induced], 1),
        locked=np.repeat([1.0, 0.0], [EVOKED, INDUCED]), noise=scale[2] * field(sensors, *background),
        sensor_noise=np.full(len(channels), scale[3]), positions=sensors, **timing,
    )


def sequence(first, last, times, seed):
    return np.random.default_rng(SEED + seed).permutation(np.tile(np.arange(first, last), times))
