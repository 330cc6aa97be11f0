"""The world of the MEG benchmark, and the images that its items stand for.

Each image is 12 latent numbers z, drawn from a normal distribution. The brain answers in two ways:

    evoked    12 locked sources (4 to 7 Hz, 0.1 to 0.35 s), amplitude evoked (B z)_k: what averaging and linear decoders see
    induced   24 sources of random phase (9 to 42 Hz, 0.1 to 0.6 s), amplitude induced exp(GAIN (A z)_k): the power carries z, the
              mean over trials is zero

Induced responses are a fact of physiology: rhythms change their power after a stimulus, but not their phase in step with it. A decoder
that is linear in the samples cannot see them, whatever the number of trials. B (12 x 12) and A (24 x 12) have rows of length 1.
The low-signal world `meg` has a weak evoked part; in `meg_high` it is HIGH times as strong, and all else is the same.
"""

import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import world
from common import heads
from common.scores import unit

SEED = 20
CHANNELS, LATENTS, EVOKED, INDUCED, BACKGROUND = 271, 12, 12, 24, 30
ITEMS, HELD_OUT, EMBEDDING, SIZE = 1200, 200, 64, 32
RATE_HZ, ITEM_S, JITTER_S, AR = 120.0, 2.0, 0.05, 0.95
START_S, LENGTH_S = -0.5, 1.5
# Femtotesla at the nearest sensor: sources at their peak; noise as standard deviations.
EVOKED_FT, INDUCED_FT, BACKGROUND_FT, SENSOR_FT = 65.0, 130.0, 150.0, 60.0
GAIN = 0.7
HIGH = 6.0


def latents():
    """z of all items; the last HELD_OUT are never learned from."""
    return np.random.default_rng(SEED).standard_normal((ITEMS, LATENTS))


def embeddings(z):
    """Unit vectors: unit(tanh(z W)), W of entries from N(0, 1 / LATENTS)."""
    weights = np.random.default_rng(SEED + 1).standard_normal((z.shape[1], EMBEDDING)) / np.sqrt(z.shape[1])
    return unit(np.tanh(z @ weights)).astype(np.float32)


def images(z):
    """Images of z, n x 3 x SIZE x SIZE from 0 to 1: an ellipse (place, size, shape, angle, colour) on a ground whose colour runs from
    left to right, with stripes."""
    g = lambda k: np.tanh(0.8 * z[:, k])[:, None, None]
    y, x = np.mgrid[0:SIZE, 0:SIZE] / (SIZE - 1) * 2 - 1
    dx, dy = x - 0.5 * g(3), y - 0.5 * g(4)
    angle = 1.5 * g(7)
    u, v = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    radius, shape = 0.45 + 0.15 * g(5), np.exp(0.4 * g(6))
    inside = 1 / (1 + np.exp(12 * (np.hypot(u / shape, v * shape) / radius - 1)))
    stripes = 0.12 * np.sin(2 * np.pi * (1.5 + 0.5 * g(11)) * y)
    ground = np.stack([0.5 + 0.3 * g(c) + 0.15 * x * g((c + 1) % 3) + stripes for c in range(3)], 1)
    colour = np.stack([0.5 + 0.45 * g(8 + c) + 0 * x for c in range(3)], 1)
    return np.clip(ground + inside[:, None] * (colour - ground), 0, 1).astype(np.float32)


def labels():
    return [f"image {i + 1:04d}" for i in range(ITEMS)]


def make(high=False):
    """The world."""
    rng = np.random.default_rng(SEED + 2)
    z = latents()
    rows = lambda n: unit(rng.standard_normal((n, LATENTS)))
    evoked = EVOKED_FT * (HIGH if high else 1.0) * (z @ rows(EVOKED).T)
    induced = INDUCED_FT * np.exp(GAIN * (z @ rows(INDUCED).T))
    sensors = heads.helmet(CHANNELS)
    spread = lambda low, high: np.concatenate([rng.uniform(*low, EVOKED), rng.uniform(*high, INDUCED)])
    noise = heads.magnetic(sensors, *heads.dipoles(rng, BACKGROUND))
    return world.World(
        rate_hz=RATE_HZ, unit="femtotesla", kind="MEG", channels=[f"MEG{i + 1:03d}" for i in range(CHANNELS)], items=labels(),
        item_s=ITEM_S, jitter_s=JITTER_S, ar=AR,
        mixing=heads.magnetic(sensors, *heads.dipoles(rng, EVOKED + INDUCED)),
        amplitude=np.concatenate([evoked, induced], 1),
        frequency_hz=spread((4, 7), (9, 42)), delay_s=spread((0.1, 0.35), (0.15, 0.55)), width_s=spread((0.05, 0.08), (0.08, 0.11)),
        locked=np.repeat([1.0, 0.0], [EVOKED, INDUCED]),
        noise=BACKGROUND_FT * noise, sensor_noise=np.full(CHANNELS, SENSOR_FT), positions=sensors,
    )


def sessions(which, repetitions, test_repetitions):
    """(trials, items) to learn from and to test on: each item so often, in random order, the test items never learned from."""
    parts = []
    for first, last, times, seed in ((0, ITEMS - HELD_OUT, repetitions, 100), (ITEMS - HELD_OUT, ITEMS, test_repetitions, 200)):
        order = np.random.default_rng(SEED + seed).permutation(np.tile(np.arange(first, last), times))
        parts.append((world.simulate(which, order, SEED + seed + 1, START_S, LENGTH_S), order))
    return parts
