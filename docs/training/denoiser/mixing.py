"""Training batches: random pairs of clean and artefact epochs, changed at random, mixed at random SNR."""

import numpy as np

import data

SNR_DB = (-7.0, 3.0)
UPPER_HALF_DB = -2.0                    # where every second mixture starts: else the worst ones rule the loss
REFINED_DB, REFINED_BLINKS = 0.5, 0.5   # that, and the share of blinks, when a trained network is refined
EASY_SNR_DB = (3.0, 10.0)
EASY, CLEAN, BOTH = 0.05, 0.03, 0.02   # shares of easy mixtures, unmixed clean EEG, and both artefacts at once
OCULAR_SHARE = {"both": 0.5, "ocular": 0.92, "muscle": 0.08}   # a specialist sees a little of the other, to do no harm
NARROW_SHARE = 0.25        # of the ocular epochs: from 1 Hz on, as behind a high-pass
BLINK_SHARE = {"both": None, "ocular": 0.75, "muscle": None}   # of the ocular epochs; None: as they come


class Mixer:
    """Endless batches of one split. Subjects are drawn by the square root of what they offer."""

    def __init__(self, epochs, seed, kind="both", refine=False):
        self.rng, self.ocular_share = np.random.default_rng(seed), OCULAR_SHARE[kind]
        self.blink_share = REFINED_BLINKS if refine else BLINK_SHARE[kind]
        self.upper_half_db = REFINED_DB if refine else UPPER_HALF_DB
        blinks = epochs["ocular_blinks"]
        self.pools = {kind: Pool(epochs[kind], epochs[f"{kind}_subject"]) for kind in ("clean", "muscle")}
        high_rate = ~np.isin(epochs["clean_subject"], data.LOW_RATE)
        self.pools["high_rate"] = Pool(epochs["clean"][high_rate], epochs["clean_subject"][high_rate])
        self.pools |= {name: Pool(epochs["ocular"][rows], epochs["ocular_subject"][rows], epochs["ocular_narrow"][rows])
                       for name, rows in (("ocular", blinks | True), ("blinks", blinks), ("slow", ~blinks))}

    def draw(self, kind, size):
        return self.pools[kind].draw(self.rng, size)

    def batch(self, size):
        """(mixtures, targets), [size, 512] float32 each."""
        rng = self.rng
        is_ocular = rng.random((size, 1)) < self.ocular_share
        ocular, muscle = self.oculars(size), self.muscles(size)
        # EEG that ends below the muscle would give it away.
        clean = np.where(is_ocular, self.blended("clean", size), self.blended("high_rate", size))
        clean = reversed_now_and_then(rng, polarity(rng, equalised(rng, clean, 3.5)))
        artefact = np.where(is_ocular, ocular, muscle)
        both = rng.random(size) < BOTH
        share = rng.uniform(0.3, 1.0, (size, 1))
        artefact = np.where(both[:, None], share * ocular + np.sqrt(1 - share**2) * muscle, artefact)
        lowest = np.where(rng.random(size) < 0.5, SNR_DB[0], self.upper_half_db)
        snr_db = rng.uniform(lowest, SNR_DB[1])
        kind = rng.random(size)
        snr_db = np.where(kind < EASY, rng.uniform(*EASY_SNR_DB, size), snr_db)
        snr_db = np.where(kind > 1 - CLEAN, 100.0, snr_db)
        return data.mix(data.unit(clean), data.unit(artefact), snr_db)

    def blended(self, kind, size):
        """Epochs, every second one of two: as of people who were not recorded."""
        second = np.where(self.rng.random((size, 1)) < 0.5, self.rng.uniform(0, 1, (size, 1)), 0.0)
        return np.sqrt(1 - second**2) * self.draw(kind, size) + second * self.draw(kind, size)

    def oculars(self, size):
        if not self.blink_share:
            return self.movements("ocular", size)
        return np.where(self.rng.random((size, 1)) < self.blink_share, self.blinks(size), self.movements("slow", size))

    def movements(self, kind, size):
        """Eye movements, quicker or slower, now and then two epochs at once, forwards or backwards."""
        rng = self.rng
        second = np.where(rng.random((size, 1)) < 0.35, rng.uniform(-1, 1, (size, 1)), 0.0)
        both = stretched(rng, self.draw(kind, size)) + second * stretched(rng, self.draw(kind, size))
        return reversed_now_and_then(rng, polarity(rng, both))

    def blinks(self, size):
        """Blinks, 0.7 to 1.4 times as quick, now and then of two epochs, moved; seldom upside down."""
        rng = self.rng
        second = np.where(rng.random((size, 1)) < 0.3, rng.uniform(0.2, 1, (size, 1)), 0.0)
        both = stretched(rng, self.draw("blinks", size), 0.7) + second * stretched(rng, self.draw("blinks", size), 0.7)
        return both * np.where(rng.random((size, 1)) < 0.1, -1.0, 1.0)

    def muscles(self, size):
        """Muscle, moved in time, coloured, and now and then as a burst."""
        rng = self.rng
        muscle = equalised(rng, self.blended("muscle", size), 3.0)
        muscle = np.stack([np.roll(row, rng.integers(data.SAMPLES)) for row in muscle])
        burst = np.where(rng.random((size, 1)) < 0.35, envelopes(rng, size), 1.0)
        return reversed_now_and_then(rng, polarity(rng, muscle * burst))


class Pool:
    """Epochs of one kind, and as often as NARROW_SHARE says their narrow versions."""

    def __init__(self, epochs, subjects, narrow=None):
        self.versions, self.chance = (epochs, epochs if narrow is None else narrow), chance(subjects)

    def draw(self, rng, size):
        rows = rng.choice(len(self.chance), size, p=self.chance)
        wide, narrow = (version[rows] for version in self.versions)
        return np.where(rng.random((size, 1)) < NARROW_SHARE, narrow, wide)


def chance(subjects):
    names, index, counts = np.unique(subjects, return_inverse=True, return_counts=True)
    weight = (1.0 / np.sqrt(counts))[index]
    return weight / weight.sum()


def polarity(rng, epochs):
    return epochs * rng.choice([-1.0, 1.0], (len(epochs), 1))


def reversed_now_and_then(rng, epochs):
    return np.where(rng.random((len(epochs), 1)) < 0.25, epochs[:, ::-1], epochs)


def equalised(rng, epochs, spread_db):
    """Every spectrum tilted by a random smooth curve over log frequency, as electrodes and heads differ."""
    hz = np.fft.rfftfreq(data.SAMPLES, 1 / data.RATE_HZ)
    knots = np.log([1, 3, 6, 10, 16, 25, 45, 128])
    gain_db = np.stack([np.interp(np.log(np.maximum(hz, 0.5)), knots, row)
                        for row in rng.normal(0, spread_db, (len(epochs), len(knots)))])
    return np.fft.irfft(np.fft.rfft(epochs) * 10 ** (gain_db / 20), data.SAMPLES)


def stretched(rng, epochs, slowest=0.5):
    """Slow signals read at another speed, up to 1.4; the ends are mirrored."""
    at = np.arange(data.SAMPLES) - data.SAMPLES / 2
    out = np.empty_like(epochs)
    for row, (epoch, speed) in enumerate(zip(epochs, rng.uniform(slowest, 1.4, len(epochs)))):
        wide = np.pad(epoch, 128, mode="reflect", reflect_type="odd")
        out[row] = np.interp(at * speed + data.SAMPLES / 2 + 128, np.arange(len(wide)), wide)
    return out


def envelopes(rng, size):
    """Smooth bumps of 0.15 to 1 s on a floor."""
    at = np.arange(data.SAMPLES) / data.RATE_HZ
    centre, width = rng.uniform(0, 2, (size, 1)), rng.uniform(0.08, 0.5, (size, 1))
    return rng.uniform(0.05, 0.5, (size, 1)) + np.exp(-0.5 * ((at - centre) / width) ** 2)
