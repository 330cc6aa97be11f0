"""The world of the EEG-to-fMRI recipe: a state of the brain every 2.1 s, and what a scanner would make of it.

Each of 64 states is 4 latent numbers z. In the EEG they set the power of 12 sources of random phase, amplitude MICROVOLTS exp(GAIN (A z)_k).
Eight regions answer to them with R z (8 x 4), and the scanner sees that through the haemodynamic response: volumes come every 2.1 s, at
the onsets of the states, and

    y_r(n) = sum_j h(2.1 (n - j) s) (R z_j)_r        h(t) = t^5 e^-t / 5! - t^15 e^-t / (6 15!)

over the states j before the volume, standardised over the session, plus white noise of NOISE of its deviation.
"""

import math
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import world
from common import heads
from common.scores import unit

SEED = 120
STATES, LATENTS, SOURCES, BACKGROUND = 64, 4, 12, 12
REGIONS = ["cuneus", "Heschl", "middle frontal", "precuneus", "putamen", "thalamus", "insula", "hippocampus"]
RATE_HZ, ITEM_S, JITTER_S, AR = 200.0, 2.1, 0.1, 0.95
GAIN, SOURCE_UV, BACKGROUND_UV, SENSOR_UV = 0.5, 12.0, 8.0, 3.0
NOISE, PAST_S = 0.3, 16.0


def latents():
    return np.random.default_rng(SEED).standard_normal((STATES, LATENTS))


def make():
    rng = np.random.default_rng(SEED + 1)
    sensors = heads.electrodes(heads.EEG_26)
    strength = np.exp(GAIN * latents() @ unit(rng.standard_normal((SOURCES, LATENTS))).T)
    return world.World(
        rate_hz=RATE_HZ, unit="microvolts", kind="EEG", channels=heads.EEG_26, items=[f"state {i + 1:02d}" for i in range(STATES)],
        item_s=ITEM_S, jitter_s=JITTER_S, ar=AR, mixing=SOURCE_UV * heads.electric(sensors, *heads.dipoles(rng, SOURCES)),
        amplitude=strength, frequency_hz=rng.uniform(5, 40, SOURCES), delay_s=rng.uniform(0.9, 1.2, SOURCES), width_s=np.full(SOURCES, 0.5),
        locked=np.zeros(SOURCES), noise=BACKGROUND_UV * heads.electric(sensors, *heads.dipoles(rng, BACKGROUND)),
        sensor_noise=np.full(len(sensors), SENSOR_UV), positions=sensors,
    )


def response(t):
    """The haemodynamic response `t` seconds after a state; 0 before it."""
    t = np.maximum(t, 0)
    return np.exp(-t) * (t**5 / math.factorial(5) - t**15 / (6 * math.factorial(15)))


def regions(states, seed):
    """The series of the regions, volumes x regions, at the onsets of `states`."""
    weights = unit(np.random.default_rng(SEED + 2).standard_normal((len(REGIONS), LATENTS)))
    drive = latents()[states] @ weights.T
    kernel = response(ITEM_S * np.arange(16))
    clean = np.stack([np.convolve(d, kernel)[: len(states)] for d in drive.T], 1)
    clean = (clean - clean.mean(0)) / clean.std(0)
    return clean + NOISE * np.random.default_rng(seed).standard_normal(clean.shape)
