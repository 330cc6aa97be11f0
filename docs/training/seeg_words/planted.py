"""The world of the sEEG recipe: 61 words, spoken in eight steps of 0.2 s.

In each step, five groups of contacts answer with a strength that is the word's own (log-normal, GAIN): a burst of random phase between
70 and 120 Hz, and half as strongly related, a locked slow wave. So most of a word is in the power of high frequencies, as in the ECoG and
sEEG of speech.
"""

import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import world

SEED = 80
CHANNELS, WORDS, GROUPS, STEPS = 10, 61, 5, 8
RATE_HZ, ITEM_S, JITTER_S, AR = 1000.0, 4.0, 0.03, 0.95
START_S, LENGTH_S = -0.5, 3.0
STEP_S, FAST_WIDTH_S, SLOW_WIDTH_S, GAIN = 0.2, 0.06, 0.07, 0.7
# Microvolts.
FAST_UV, SLOW_UV, BACKGROUND_UV, SENSOR_UV = 10.0, 12.0, 25.0, 8.0


def make():
    rng = np.random.default_rng(SEED)
    count = GROUPS * STEPS
    # A group is heard at contacts near its own along the electrode.
    middle = np.linspace(0.5, CHANNELS - 1.5, GROUPS)
    near = np.exp(-0.5 * ((np.arange(CHANNELS)[:, None] - middle) / 1.2) ** 2) * rng.choice([-1, 1], (1, GROUPS))
    fast = np.exp(GAIN * rng.standard_normal((WORDS, count)))
    slow = rng.standard_normal((WORDS, count))
    delays = np.tile(0.1 + STEP_S * np.arange(STEPS), GROUPS)
    background = np.linalg.qr(rng.standard_normal((CHANNELS, CHANNELS)))[0][:, :4]
    return world.World(
        rate_hz=RATE_HZ, unit="microvolts", kind="SEEG", channels=[f"A{i + 1}-A{i + 2}" for i in range(CHANNELS)],
        items=[f"word {i + 1:02d}" for i in range(WORDS)], item_s=ITEM_S, jitter_s=JITTER_S, ar=AR,
        mixing=np.concatenate([FAST_UV * np.repeat(near, STEPS, 1), SLOW_UV * np.repeat(near, STEPS, 1)], 1),
        amplitude=np.concatenate([fast, slow], 1),
        frequency_hz=np.concatenate([rng.uniform(70, 120, count), rng.uniform(2, 4, count)]), delay_s=np.tile(delays, 2),
        width_s=np.repeat([FAST_WIDTH_S, SLOW_WIDTH_S], count), locked=np.repeat([0.0, 1.0], count),
        noise=BACKGROUND_UV * np.sqrt(CHANNELS / 4) * background, sensor_noise=np.full(CHANNELS, SENSOR_UV),
        positions=np.full((CHANNELS, 3), np.nan),
    )
