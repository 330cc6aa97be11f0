"""What the networks are compared with. All are told the kind of artefact but `wiener_blind`, and all but that and
`wiener_kind` the SNR.

Every baseline is set on training epochs only: `fit(kind, snr_db)` returns a function from mixtures to estimates.
The kinds are ocular, muscle, blinks (those ocular epochs that are of blinks) and narrow (these from 1 Hz on).
"""

import numpy as np
from scipy.linalg import sqrtm
from scipy.signal import butter, sosfiltfilt

import data
from mixing import chance

ARTEFACTS = ("ocular", "muscle", "blinks", "narrow")
FIT_PAIRS, MANY = 240, 4000
LOW_EDGES_HZ = (None, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0)
HIGH_EDGES_HZ = (None, 45.0, 30.0, 25.0, 20.0, 17.0, 15.0, 13.0)
ANY_SNR_DB = (-7.0, 2.0)


def correlation(a, b):
    a, b = a - a.mean(axis=-1, keepdims=True), b - b.mean(axis=-1, keepdims=True)
    return (a * b).sum(axis=-1) / np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1) + 1e-12)


class Training:
    """Training epochs, subjects weighted as in training, and fixed pairs to choose settings on."""

    def __init__(self, path, seed):
        self.epochs, rng = data.with_blinks(data.load(path, "train")), np.random.default_rng(seed)
        draw = lambda kind, n: self.epochs[kind][rng.choice(
            len(self.epochs[kind]), n, p=chance(self.epochs[f"{kind}_subject"]))]
        self.pairs = {kind: (draw("clean", FIT_PAIRS), draw(kind, FIT_PAIRS)) for kind in ARTEFACTS}
        self.spectrum = {kind: (np.abs(np.fft.rfft(draw(kind, MANY))) ** 2).mean(axis=0) for kind in ("clean", *ARTEFACTS)}
        self.calibration = draw("clean", 400)
        self.many = {kind: (draw("clean", MANY), draw(kind, MANY)) for kind in ARTEFACTS}
        self.of_any_level = {kind: [np.fft.rfft(part) for part in data.mix(*self.many[kind], rng.uniform(*ANY_SNR_DB, MANY))]
                             for kind in ARTEFACTS}

    def mixtures(self, kind, snr_db):
        return data.mix(*self.pairs[kind], np.full(FIT_PAIRS, snr_db))

    def best(self, candidates, kind, snr_db):
        """The candidate function with the highest mean correlation on the training pairs."""
        x, y = self.mixtures(kind, snr_db)
        return max(candidates, key=lambda clean: correlation(clean(x), y).mean())


def bandpass(training):
    """The best fixed band: Butterworth, fourth order, forwards and backwards."""
    candidates = [lambda x, band=(low, high): filtered(x, *band) for low in LOW_EDGES_HZ for high in HIGH_EDGES_HZ]
    return lambda kind, snr_db: training.best(candidates, kind, snr_db)


def filtered(x, low_hz, high_hz):
    if low_hz:
        x = sosfiltfilt(butter(4, low_hz, "highpass", fs=data.RATE_HZ, output="sos"), x, axis=-1)
    if high_hz:
        x = sosfiltfilt(butter(4, high_hz, "lowpass", fs=data.RATE_HZ, output="sos"), x, axis=-1)
    return x


def wiener(training):
    """S / (S + g^2 N) from the mean spectra of clean and of artefact, with the true gain g."""
    def fit(kind, snr_db):
        clean, artefact = training.spectrum["clean"], training.spectrum[kind] * 10 ** (-snr_db / 5)
        gain = clean / (clean + artefact)
        return lambda x: np.fft.irfft(np.fft.rfft(x) * gain, data.SAMPLES)
    return fit


def wiener_kind(training):
    """The filter of least squares over training mixtures of the kind at every level: it is not told the SNR."""
    filters = {kind: least_squares(*mixtures) for kind, mixtures in training.of_any_level.items()}
    return lambda kind, snr_db: filters[kind]


def wiener_blind(training):
    """One such filter for ocular and muscle mixtures."""
    both = [training.of_any_level[kind] for kind in ("ocular", "muscle")]
    one = least_squares(*map(np.concatenate, zip(*both)))
    return lambda kind, snr_db: one


def least_squares(x, y):
    gain = (x.conj() * y).real.sum(axis=0) / np.maximum((np.abs(x) ** 2).sum(axis=0), 1e-9)
    return lambda z: np.fft.irfft(np.fft.rfft(z) * gain, data.SAMPLES)


def oracle(clean, artefact, snr_db):
    """No baseline but a bound for stationary filters: Wiener with each epoch's own spectra, smoothed over 2.5 Hz."""
    smooth = lambda z: np.apply_along_axis(np.convolve, -1, np.abs(np.fft.rfft(z)) ** 2, np.ones(5) / 5, "same")
    s, n = smooth(clean), smooth(artefact) * 10 ** (-snr_db / 5)
    return lambda x: np.fft.irfft(np.fft.rfft(x) * s / (s + n), data.SAMPLES)


# ---------------------------------------------------------------- artifact subspace reconstruction

ASR_EMBEDDINGS = ((16, 1), (16, 3))     # lags, samples between them
ASR_CUTOFFS = (1.0, 2.0, 3.0, 4.0, 6.0, 20.0)
ASR_WINDOW, ASR_STEP = 128, 64          # 0.5 s, half overlapping


def asr(training):
    """ASR of one channel: its delayed copies stand for the channels; otherwise as published.

    Calibrated on clean training epochs of unit RMS; the mixtures are handed over in units of the clean signal's RMS
    (which the method would know from a calibration of the same person). Embedding and cut-off are the best ones.
    """
    candidates = [Asr(training.calibration, *embedding, cutoff)
                  for embedding in ASR_EMBEDDINGS for cutoff in ASR_CUTOFFS]

    def fit(kind, snr_db):
        scale = training_scale(training, kind, snr_db)
        scaled = [lambda x, method=method: method(x * scale(x)) for method in candidates]
        return training.best(scaled, kind, snr_db)
    return fit


def training_scale(training, kind, snr_db):
    """RMS of the mixture in units of the clean signal's, from the SNR (the two are uncorrelated on average)."""
    return lambda x: np.sqrt(1 + 10 ** (-snr_db / 5)) / x.std(axis=-1, keepdims=True)


class Asr:
    def __init__(self, calibration, lags, spacing, cutoff):
        self.lags, self.spacing = lags, spacing
        cut = self.cut(self.embedded(calibration))                       # [n, windows, lags, 128]
        covariance = np.einsum("nwit,nwjt->ij", cut, cut) / (cut.shape[0] * cut.shape[1] * cut.shape[3])
        self.mixing = np.real(sqrtm(covariance))
        _, vectors = np.linalg.eigh(covariance)
        size = np.sqrt(((vectors.T @ cut) ** 2).mean(axis=-1)).reshape(-1, lags)
        self.threshold = (size.mean(axis=0) + cutoff * size.std(axis=0))[:, None] * vectors.T

    def embedded(self, x):
        """[n, 512] to [n, lags, 512]: every sample with its neighbours, the ends mirrored."""
        half = self.lags * self.spacing // 2
        wide = np.pad(x, ((0, 0), (half, half)), mode="reflect")
        return np.stack([wide[:, i * self.spacing:i * self.spacing + data.SAMPLES] for i in range(self.lags)], axis=1)

    def cut(self, embedded):
        view = np.lib.stride_tricks.sliding_window_view(embedded, ASR_WINDOW, axis=-1)[:, :, ::ASR_STEP]
        return view.transpose(0, 2, 1, 3)

    def __call__(self, x):
        cut = self.cut(self.embedded(x))
        values, vectors = np.linalg.eigh(cut @ cut.transpose(0, 1, 3, 2) / ASR_WINDOW)
        keep = values < ((self.threshold @ vectors) ** 2).sum(axis=-2)
        keep |= np.arange(self.lags) < self.lags // 3                      # at most two thirds are replaced
        rebuilt = self.mixing @ np.linalg.pinv(keep[..., None] * (vectors.transpose(0, 1, 3, 2) @ self.mixing)) \
            @ vectors.transpose(0, 1, 3, 2)
        return self.joined(rebuilt @ cut)

    def joined(self, cut):
        """Windows cross-faded, then the copies of every sample averaged."""
        fade, out = np.hanning(ASR_WINDOW + 2)[1:-1], np.zeros((len(cut), self.lags, data.SAMPLES))
        weight = np.zeros(data.SAMPLES)
        for window in range(cut.shape[1]):
            at = slice(window * ASR_STEP, window * ASR_STEP + ASR_WINDOW)
            out[:, :, at] += cut[:, window] * fade
            weight[at] += fade
        out /= weight
        half = self.lags * self.spacing // 2
        total, count = np.zeros((len(cut), data.SAMPLES + 2 * half)), np.zeros(data.SAMPLES + 2 * half)
        for lag in range(self.lags):
            at = slice(lag * self.spacing, lag * self.spacing + data.SAMPLES)
            total[:, at] += out[:, lag]
            count[at] += 1
        return (total / np.maximum(count, 1))[:, half:half + data.SAMPLES]
