"""The world of the emotion recipe: three emotions, told apart by the power of rhythms.

Seven rhythms, each a train of bursts of random phase (10 in 8 s, every burst at a frequency of its own within the band). Between the
emotions differs how strong they are: the table POWER. That positive feelings go with less alpha on the left of the front than on the
right is a textbook idea of how it might be, and here it is no more than a made-up rule.
"""

import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import world
from common import heads

SEED = 60
CHANNELS = "AF3 F7 F3 FC5 T7 P7 O1 O2 P8 T8 FC6 F4 F8 AF4".split()
EMOTIONS = ["positive", "neutral", "negative"]
RATE_HZ, ITEM_S, JITTER_S, AR = 128.0, 8.0, 0.05, 0.95
BURSTS, BURST_S, BURST_WIDTH_S = 10, 0.8, 0.25
BACKGROUND, BACKGROUND_UV, SENSOR_UV = 10, 8.0, 3.0
# Rhythm: nearest electrode, band in Hz, microvolts; times so much for each emotion.
RHYTHMS = {
    "theta, front": ("F3", (4.5, 7.5), 7.0),
    "alpha, front left": ("F3", (8.5, 13.5), 6.0),
    "alpha, front right": ("F4", (8.5, 13.5), 6.0),
    "alpha, back": ("O1", (8.5, 13.5), 10.0),
    "beta, side": ("FC6", (15.0, 30.0), 4.0),
    "gamma, left": ("T7", (32.0, 48.0), 3.0),
    "gamma, right": ("T8", (32.0, 48.0), 3.0),
}
POWER = np.array([
    [0.9, 0.75, 1.25, 1.0, 1.1, 1.3, 1.1],
    [1.0, 1.0, 1.0, 1.15, 1.0, 1.0, 1.0],
    [1.15, 1.25, 0.8, 0.95, 1.05, 1.0, 1.25],
])


def make():
    rng = np.random.default_rng(SEED)
    sensors = heads.electrodes(CHANNELS)
    _, directions = heads.dipoles(rng, len(RHYTHMS))
    places = np.array([0.75 * heads.electrode(near) for near, _, _ in RHYTHMS.values()])
    # Half along the radius, so that the nearest electrode sees most of it.
    directions = 0.7 * directions + places / 0.75
    patterns = heads.electric(sensors, places, directions) * [size for _, _, size in RHYTHMS.values()]
    count = BURSTS * len(RHYTHMS)
    low, high = np.repeat([band for _, band, _ in RHYTHMS.values()], BURSTS, axis=0).T
    delays = np.tile((np.arange(BURSTS) + 0.5) * BURST_S, len(RHYTHMS)) + rng.uniform(-0.2, 0.2, count)
    return world.World(
        rate_hz=RATE_HZ, unit="microvolts", kind="EEG", channels=CHANNELS, items=EMOTIONS, item_s=ITEM_S, jitter_s=JITTER_S, ar=AR,
        mixing=np.repeat(patterns, BURSTS, axis=1), amplitude=np.repeat(POWER, BURSTS, axis=1), frequency_hz=rng.uniform(low, high),
        delay_s=delays, width_s=np.full(count, BURST_WIDTH_S), locked=np.zeros(count),
        noise=BACKGROUND_UV * heads.electric(sensors, *heads.dipoles(rng, BACKGROUND)), sensor_noise=np.full(len(CHANNELS), SENSOR_UV),
        positions=sensors,
    )
