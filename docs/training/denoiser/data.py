"""Epochs for the denoiser: clean EEG, ocular and muscle artefacts, from real recordings.

    python data.py DATA_FOLDER EPOCHS.npz

DATA_FOLDER is the project's folder of recordings (shared/data). The file holds, for each kind, an array of
epochs [n, 512] float32 (2 s at 256 Hz, divided by their standard deviation) with subject, split, recording and
start. README.md says the rules in words; they are all here, and nothing else selects an epoch.
"""

import argparse
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import mne
import numpy as np
from scipy.linalg import eigh
from scipy.signal import butter, filtfilt, find_peaks, iirnotch, peak_widths, resample, sosfiltfilt

RATE_HZ = 256
SAMPLES = 512
KINDS = ("clean", "ocular", "muscle")
SPLITS = ("train", "validation", "test")

# The test was chosen by what a subject offers (both artefacts, clean windows, a device), before any model was scored; README.md
# says what moved into training since.
SPLIT_OF = {
    "physionet-S001": "train", "physionet-S002": "train", "physionet-S003": "train", "ssvep-03": "train",
    "ssvep-04": "train", "muse-1": "train", "yasa-1": "train", "eeglab-1": "train",
    "bci2000-eeg1": "validation", "bci2000-eeg3": "validation",
    "physionet-S007": "test", "physionet-S012": "test", "ssvep-12": "test",
}

LOW_RATE = ("eeglab-1",)   # recorded at 128 Hz: nothing above 64 Hz

# Where clean EEG is looked for: away from the eyes, the jaw and the neck.
CENTRAL = ("FC3 FC1 FCZ FC2 FC4 C3 C1 CZ C2 C4 CP3 CP1 CPZ CP2 CP4 P3 P1 PZ P2 P4 PO3 POZ PO4 "
           "PO7 PO8 O1 OZ O2 F4-A1 CZ-A2").split()
# Neighbours on the rim of the cap, subtracted: what two electrodes over a muscle would give.
RIM_PAIRS = [pair.split("-") for pair in (
    "F7-FT7 F8-FT8 FT7-T7 FT8-T8 T7-TP7 T8-TP8 T7-T9 T8-T10 TP7-P7 TP8-P8 AF7-F7 AF8-F8 FP1-AF7 FP2-AF8 "
    "P7-PO7 P8-PO8 PO7-O1 PO8-O2 O1-IZ O2-IZ").split()]
QUIET_PAIRS = [pair.split("-") for pair in "C1-CZ C2-CZ CP1-CPZ CP2-CPZ P1-PZ P2-PZ".split()]

SLOW_HZ = 0.3
LINE_HZ = (50.0, 60.0)
EYE_HZ = 10.0
MUSCLE_HZ = 15.0
EYE_PEAK_UV = ((40.0,), (60.0,))   # vertical, horizontal; an eye channel above its own: no clean epoch
CLEAN_MAX_P2P_UV = 120.0
CLEAN_MIN_STD_UV = 1.5
CLEAN_MAX_HIGH = 0.30      # RMS above 30 Hz, as a share of the RMS
CLEAN_MAX_BURST = 2.5      # loudest quarter of a second, as a multiple of the median one
OCULAR_MIN_RATIO = 5.0     # RMS of an ocular epoch over the quiet one of the same eye component
BLINK_MIN_UV = 60.0        # prominence of a blink's peak, at the forehead
BLINK_WIDTH_S = (0.05, 0.30)   # at half of it; from there to the peak and from the peak at most:
BLINK_MAX_RISE_S, BLINK_MAX_FALL_S = 0.15, 0.20
BLINK_AROUND_S = (0.2, 0.3)    # a blink lasts from so long before its peak to so long after it
BLINK_MIN_ENERGY = 0.8     # share of a window's energy in its blinks, for an epoch of blinks
MUSCLE_MIN_RATIO = 4.0     # RMS of a muscle epoch over that between central neighbours
MAX_KURTOSIS = 8.0         # above it, a muscle epoch is a pop of an electrode


@dataclass
class Recording:
    subject: str
    name: str
    labels: list
    signal_uv: np.ndarray   # [channels, samples] at 256 Hz, conditioned
    slow_uv: np.ndarray     # the same from SLOW_HZ on: ocular artefacts have much below the band of the EEG


# ---------------------------------------------------------------- reading

def recordings(folder):
    """Every recording that is used, conditioned, in a fixed order."""
    folder = Path(folder)
    for path in sorted((folder / "physionet-eegmmidb").glob("*.edf")):
        raw = mne.io.read_raw_edf(path, preload=True)
        labels = [label.strip(".").upper() for label in raw.ch_names]
        yield recording(f"physionet-{path.name[:4]}", path, labels, raw.get_data() * 1e6, raw.info["sfreq"])
    for path in sorted((folder / "ssvep-exoskeleton").glob("*_raw.fif")):
        raw = mne.io.read_raw_fif(path, preload=True)
        # The file says volts and holds thousandths of microvolts' size: 1e3 gives the usual EEG amplitudes.
        yield recording(f"ssvep-{path.name[7:9]}", path, upper(raw), raw.get_data() * 1e3, raw.info["sfreq"])
    for path in sorted((folder / "muse-lsl").glob("*.csv")):
        table = np.genfromtxt(path, delimiter=",", skip_header=1)
        yield recording("muse-1", path, ["TP9", "AF7", "AF8", "TP10"], table[:, 1:5].T, 256.0)
    path = folder / "sleep" / "data_resting_EO_200Hz_raw.fif"
    raw = mne.io.read_raw_fif(path, preload=True)
    yield recording("yasa-1", path, upper(raw), raw.get_data() * 1e6, raw.info["sfreq"])
    path = folder / "eeglab" / "eeglab_data.set"
    raw = mne.io.read_raw_eeglab(path, preload=True)
    yield recording("eeglab-1", path, upper(raw), raw.get_data() * 1e6, raw.info["sfreq"])
    for path in sorted((folder / "bci2000-samples").glob("*.dat")):
        yield recording(f"bci2000-{path.name[:4]}", path, *read_bci2000(path))


def read_bci2000(path):
    """(labels, signal in microvolts [channels, samples], rate) of a BCI2000 file of 16-bit samples."""
    content = path.read_bytes()
    first = content[:content.index(b"\n")].decode()
    length, channels, states = (int(re.search(rf"{key}=\s*(\d+)", first).group(1))
                                for key in ("HeaderLen", "SourceCh", "StatevectorLen"))
    header = content[:length].decode("latin1")
    words = lambda key: re.search(rf"{key}= *\d+ +([^/%\r\n]*)", header).group(1).split()[:channels]
    numbers = lambda key: np.array([float(re.match(r"[-+.\d]+", word).group(0)) for word in words(key)])
    rows = np.frombuffer(content, np.uint8, offset=length)
    rows = rows[:len(rows) // (2 * channels + states) * (2 * channels + states)].reshape(-1, 2 * channels + states)
    samples = np.ascontiguousarray(rows[:, :2 * channels]).view("<i2").astype(float)
    signal_uv = ((samples - numbers("SourceChOffset")) * numbers("SourceChGain")).T
    rate_hz = float(re.search(r"SamplingRate= *([\d.]+)", header).group(1))
    return [word.upper() for word in words("ChannelNames")], signal_uv, rate_hz


def upper(raw):
    return [label.upper() for label in raw.ch_names]


def recording(subject, path, labels, signal_uv, rate_hz):
    """Conditioned, without the constant tail that fills the last record of some files."""
    changing = np.flatnonzero(np.abs(np.diff(signal_uv, axis=-1)).max(axis=0) > 0)
    raw = signal_uv[:, :changing[-1] + 2]
    return Recording(subject, path.name, labels, condition(raw, rate_hz, 1.0), condition(raw, rate_hz, SLOW_HZ))


def condition(signal, rate_hz, low_hz):
    """The same for every recording: high-pass, notches, band limit 80 Hz, 256 Hz by FFT. Zero phase."""
    signal = signal - signal.mean(axis=-1, keepdims=True)
    signal = sosfiltfilt(butter(4, low_hz, "highpass", fs=rate_hz, output="sos"), signal, axis=-1)
    for line_hz in LINE_HZ:
        b, a = iirnotch(line_hz, 30.0, fs=rate_hz)
        signal = filtfilt(b, a, signal, axis=-1)
    if rate_hz > 160.0:
        signal = sosfiltfilt(butter(6, 80.0, "lowpass", fs=rate_hz, output="sos"), signal, axis=-1)
    return resample(signal, round(signal.shape[-1] * RATE_HZ / rate_hz), axis=-1)


# ---------------------------------------------------------------- small tools

def lowpass(signal, edge_hz):
    return sosfiltfilt(butter(4, edge_hz, "lowpass", fs=RATE_HZ, output="sos"), signal, axis=-1)


def highpass(signal, edge_hz):
    return sosfiltfilt(butter(4, edge_hz, "highpass", fs=RATE_HZ, output="sos"), signal, axis=-1)


def windows(signal, step):
    """[..., samples] to [..., windows, 512]."""
    return np.lib.stride_tricks.sliding_window_view(signal, SAMPLES, axis=-1)[..., ::step, :]


def rms(epochs):
    return epochs.std(axis=-1)


def rows(record, labels):
    return [record.labels.index(label) for label in labels if label in record.labels]


def pairs(record, wanted):
    found = [(a, b) for a, b in wanted if a in record.labels and b in record.labels]
    return np.array([record.signal_uv[record.labels.index(a)] - record.signal_uv[record.labels.index(b)]
                     for a, b in found]).reshape(len(found), record.signal_uv.shape[1])


def average_referenced(record, signal):
    """Average reference where the cap covers the head (30 channels and more); otherwise as recorded."""
    return signal - signal.mean(axis=0) if len(record.labels) >= 30 else signal


def eye_channels(record):
    """Vertical and horizontal eye signal below 10 Hz, [2, samples], or None without electrodes at the eyes."""
    signal = average_referenced(record, record.signal_uv)
    if "FP1" in record.labels:
        vertical = signal[rows(record, ["FP1", "FPZ", "FP2"])].mean(axis=0)
        horizontal = signal[record.labels.index("F8")] - signal[record.labels.index("F7")]
    elif "EOG1" in record.labels:
        vertical = signal[record.labels.index("FPZ")]
        horizontal = signal[record.labels.index("EOG1")] - signal[record.labels.index("EOG2")]
    else:
        return None
    return lowpass(np.array([vertical, horizontal]), EYE_HZ)


# ---------------------------------------------------------------- clean EEG

def clean_epochs(record, step):
    """(start, epoch) of clean EEG in central, parietal and occipital channels."""
    if record.subject.startswith("muse"):
        return []
    eyes = eye_channels(record)
    signal = average_referenced(record, record.signal_uv)[rows(record, CENTRAL)]
    if eyes is not None:
        signal = signal - regression(signal, eyes) @ eyes
    epochs = windows(signal, step)
    good = steady(epochs) & (rms(windows(highpass(signal, 30.0), step)) <= CLEAN_MAX_HIGH * rms(epochs))
    if eyes is not None:
        good &= (np.abs(windows(eyes, step)).max(axis=-1) < EYE_PEAK_UV).all(axis=0)
    else:
        # No electrode at the eyes: the slow wave of a blink must not stand out in the channel itself.
        slow = rms(windows(lowpass(signal, 4.0), step))
        good &= slow < 2.0 * np.median(slow, axis=-1, keepdims=True)
    return [(at * step, epochs[channel, at]) for channel, at in np.argwhere(good)]


def regression(signal, eyes):
    """Least-squares weights of the eye channels in every channel (both below 10 Hz), [channels, 2]."""
    return lowpass(signal, EYE_HZ) @ eyes.T @ np.linalg.inv(eyes @ eyes.T)


def steady(epochs):
    """Neither large, flat nor bursting."""
    loud = epochs.reshape(*epochs.shape[:-1], 8, -1).std(axis=-1)
    return ((np.ptp(epochs, axis=-1) <= CLEAN_MAX_P2P_UV) & (rms(epochs) >= CLEAN_MIN_STD_UV)
            & (loud.max(axis=-1) <= CLEAN_MAX_BURST * np.median(loud, axis=-1)))


# ---------------------------------------------------------------- ocular artefacts

def ocular_epochs(record, step):
    """(start, epoch, narrow, blinks) of eye movements and blinks, with the brain's part suppressed.

    The epoch is from SLOW_HZ to 10 Hz, "narrow" the same from 1 Hz on. They are found in the band of the EEG (from 1 Hz
    on), so that no drift of an electrode is taken for an eye; an epoch of blinks must be one in both bands.
    """
    eyes = eye_channels(record)
    if eyes is not None:
        eyes, slow = eye_components(record, eyes)
    elif record.subject.startswith("muse"):
        # Referenced at Fpz: the eyes are largest between the forehead and the ears.
        eyes, slow = (-lowpass(signal[rows(record, ["TP9", "TP10"])].mean(axis=0), EYE_HZ)[None]
                      for signal in (record.signal_uv, record.slow_uv))
    else:
        return []
    epochs, wide, near = windows(eyes, step), windows(slow, step), windows(near_blinks(eyes[0]), step)
    size = rms(epochs)
    strong = size >= OCULAR_MIN_RATIO * np.percentile(size, 10, axis=-1, keepdims=True)
    return [(at * step, wide[row, at], epochs[row, at],
             row == 0 and of_blinks(epochs[row, at], near[at]) and of_blinks(wide[row, at], near[at]))
            for row, at in np.argwhere(strong)]


def near_blinks(vertical_uv):
    """Where a blink is: a short peak of the vertical component, positive at the forehead, [samples] of bool."""
    peaks, _ = find_peaks(vertical_uv, prominence=BLINK_MIN_UV)
    width, _, left, right = peak_widths(vertical_uv, peaks, 0.5)
    good = ((np.abs(width / RATE_HZ - np.mean(BLINK_WIDTH_S)) <= np.ptp(BLINK_WIDTH_S) / 2)
            & (peaks - left <= BLINK_MAX_RISE_S * RATE_HZ) & (right - peaks <= BLINK_MAX_FALL_S * RATE_HZ))
    near = np.zeros(len(vertical_uv), bool)
    for peak in peaks[good]:
        near[max(0, peak - int(BLINK_AROUND_S[0] * RATE_HZ)):peak + int(BLINK_AROUND_S[1] * RATE_HZ)] = True
    return near


def of_blinks(epoch, near):
    energy = (epoch - epoch.mean()) ** 2
    return bool(energy[near].sum() >= BLINK_MIN_ENERGY * energy.sum())


def eye_components(record, eyes):
    """Two spatial filters whose output is large while the eyes move and small while they rest; from 1 Hz, from 0.3 Hz.

    Generalised eigenvectors of the covariance (1 to 10 Hz) in the windows with the most eye signal against that
    in the windows with the least: what an electrode at the eye gives, with the EEG it also picks up taken down.
    Polarity and size are those of the part of the eye channel that it explains.
    """
    signal, slow = (lowpass(average_referenced(record, part), EYE_HZ) for part in (record.signal_uv, record.slow_uv))
    found = []
    for eye in eyes:
        size = rms(windows(eye, RATE_HZ))
        cut = windows(signal, RATE_HZ)
        moving = covariance(cut[:, size >= np.percentile(size, 70)])
        resting = covariance(cut[:, size <= np.percentile(size, 30)])
        resting += 0.02 * np.trace(resting) / len(resting) * np.eye(len(resting))
        weights = eigh(moving, resting)[1][:, -1]
        component = weights @ signal
        weights *= (component @ eye) / (component @ component)
        found.append((weights @ signal, weights @ slow))
    return np.array(found).swapaxes(0, 1)


def covariance(cut):
    flat = cut.reshape(len(cut), -1)
    return flat @ flat.T / flat.shape[1]


# ---------------------------------------------------------------- muscle artefacts

def muscle_epochs(record, step):
    """(start, epoch) of muscle activity above 15 Hz between neighbours on the rim of the cap."""
    signal, quiet = pairs(record, RIM_PAIRS), pairs(record, QUIET_PAIRS)
    if not len(signal) or not len(quiet):
        return []
    epochs = windows(highpass(signal, MUSCLE_HZ), step)
    quiet_uv = np.median(rms(windows(highpass(quiet, MUSCLE_HZ), SAMPLES)))
    strong = rms(epochs) >= MUSCLE_MIN_RATIO * quiet_uv
    strong &= kurtosis(epochs) <= MAX_KURTOSIS
    return [(at * step, epochs[row, at]) for row, at in np.argwhere(strong)]


def kurtosis(epochs):
    centred = epochs - epochs.mean(axis=-1, keepdims=True)
    return (centred ** 4).mean(axis=-1) / (centred ** 2).mean(axis=-1) ** 2


# ---------------------------------------------------------------- the file

FINDERS = {"clean": clean_epochs, "ocular": ocular_epochs, "muscle": muscle_epochs}
COLUMNS = ("_subject", "_split", "_recording", "_start", "", "_narrow", "_blinks")   # the last two of ocular epochs
# Samples between the starts of windows: overlapping for training (closest where artefacts are rare), apart for scoring.
STEP = {"train": {"clean": 64, "ocular": 16, "muscle": 128},
        "validation": dict.fromkeys(KINDS, 256), "test": dict.fromkeys(KINDS, 512)}


def unit(epochs):
    """Less their mean, over their standard deviation."""
    epochs = epochs - epochs.mean(axis=-1, keepdims=True)
    return epochs / epochs.std(axis=-1, keepdims=True)


def build(folder):
    tables = {kind: [] for kind in KINDS}
    for record in recordings(folder):
        split = SPLIT_OF[record.subject]
        for kind in KINDS:
            for start, *found in FINDERS[kind](record, STEP[split][kind]):
                tables[kind].append((record.subject, split, record.name, start, *found))
    out = {}
    for kind, table in tables.items():
        for name, column in zip(COLUMNS, zip(*table)):
            if name in ("", "_narrow"):
                column = unit(np.stack(column)).astype(np.float32)
            out[kind + name] = np.array(column)
    return out


def load(path, split):
    """{kind: epochs, kind_subject: ..., ...} of one split."""
    stored = np.load(path)
    return {key: stored[key][stored[f"{key.split('_')[0]}_split"] == split] for key in stored.files}


def with_blinks(epochs):
    """Two more kinds: "blinks", the ocular epochs of blinks, and "narrow", the same from 1 Hz on."""
    rows = epochs["ocular_blinks"]
    out = {"blinks": epochs["ocular"][rows], "narrow": epochs["ocular_narrow"][rows]}
    return epochs | out | {f"{kind}_subject": epochs["ocular_subject"][rows] for kind in out}


def mix(clean, artefact, snr_db):
    """EEGdenoiseNet's mixture of unit-RMS epochs: snr_db is 10 log10 of the ratio of RMS values.

    Returns (input, target), both divided by the standard deviation of the mixture and less their mean.
    """
    gain = 10.0 ** (-np.asarray(snr_db, np.float32) / 10.0)
    mixture = clean + gain[..., None] * artefact
    scale = mixture.std(axis=-1, keepdims=True)
    centred = lambda rows: ((rows - rows.mean(axis=-1, keepdims=True)) / scale).astype(np.float32)
    return centred(mixture), centred(clean)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("epochs")
    args = parser.parse_args()
    mne.set_log_level("ERROR")
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    out = build(args.folder)
    np.savez(args.epochs, **out)
    for kind in KINDS:
        counts = {s: int((out[f"{kind}_subject"] == s).sum()) for s in SPLIT_OF}
        print(kind, {s: n for s, n in counts.items() if n})
    blinks = out["ocular_subject"][out["ocular_blinks"]]
    print("of them blinks", dict(zip(*(part.tolist() for part in np.unique(blinks, return_counts=True)))))


if __name__ == "__main__":
    main()
