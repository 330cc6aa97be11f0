"""The world of the EEG-to-text recipe: 200 captions.

A word that carries meaning (none of STOP) has 10 numbers from a normal distribution, seeded by the SHA-256 of the word. The
latent z of a caption is the sum over its words, each dimension standardised over all captions. So captions that share words are alike, to
the brain and in the gallery. Its embedding is unit(tanh(z W)), 64 numbers. Sources as in docs/training/meg/planted.py: locked ones whose amplitude
carries z weakly, and induced ones whose power carries it.
"""

import hashlib
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import world
from common import heads
from common.scores import unit

SEED = 100
LATENTS, EMBEDDING, EVOKED, INDUCED, BACKGROUND = 10, 64, 10, 20, 10
RATE_HZ, ITEM_S, JITTER_S, AR = 128.0, 2.0, 0.05, 0.95
START_S, LENGTH_S = -0.5, 1.5
EVOKED_UV, INDUCED_UV, BACKGROUND_UV, SENSOR_UV, GAIN = 5.0, 14.0, 6.0, 3.0, 0.6
STOP = set("a an the of in on by at to and his her its it is with from for over under".split())


def captions():
    return pathlib.Path(__file__).with_name("captions.txt").read_text().split("\n")[:-1]


def word(text):
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal(LATENTS)


def latents():
    z = np.array([sum(word(w) for w in caption.split() if w not in STOP) for caption in captions()])
    return (z - z.mean(0)) / z.std(0)


def embeddings(z):
    weights = np.random.default_rng(SEED + 1).standard_normal((LATENTS, EMBEDDING)) / np.sqrt(LATENTS)
    return unit(np.tanh(z @ weights)).astype(np.float32)


def make():
    rng = np.random.default_rng(SEED + 2)
    z = latents()
    rows = lambda n: unit(rng.standard_normal((n, LATENTS)))
    evoked, induced = EVOKED_UV * z @ rows(EVOKED).T, INDUCED_UV * np.exp(GAIN * (z @ rows(INDUCED).T))
    spread = lambda low, high: np.concatenate([rng.uniform(*low, EVOKED), rng.uniform(*high, INDUCED)])
    sensors = heads.electrodes(heads.EEG_16)
    return world.World(
        rate_hz=RATE_HZ, unit="microvolts", kind="EEG", channels=heads.EEG_16, items=captions(), item_s=ITEM_S, jitter_s=JITTER_S, ar=AR,
        mixing=heads.electric(sensors, *heads.dipoles(rng, EVOKED + INDUCED)), amplitude=np.concatenate([evoked, induced], 1),
        frequency_hz=spread((4, 7), (9, 45)), delay_s=spread((0.1, 0.4), (0.15, 0.55)), width_s=spread((0.05, 0.08), (0.08, 0.11)),
        locked=np.repeat([1.0, 0.0], [EVOKED, INDUCED]), noise=BACKGROUND_UV * heads.electric(sensors, *heads.dipoles(rng, BACKGROUND)),
        sensor_noise=np.full(len(sensors), SENSOR_UV), positions=sensors,
    )
