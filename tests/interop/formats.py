"""Compares dumps of recordings made by Saltatory's readers with MNE, pyxdf, NumPy and SciPy.

    python tests/interop/formats.py FOLDER RECORDINGS

FOLDER holds a folder for each recording: `recording.json` (what `formats::read` gave, without
numbers), `N.values` and `N.stamps` (the numbers of stream N as little-endian doubles).
RECORDINGS is the folder of real recordings.

Values
  EDF, BDF  Exact. MNE computes `(digital * cal + offset) * unit` in doubles; Saltatory computes the
            same without the unit, so our number times the unit must be MNE's, bit for bit.
  Mixed     MNE resamples slower channels to the fastest rate, so those are compared, exactly, with
            the raw samples read here with NumPy.
  BrainVision  MNE computes `stored * (resolution * unit)`, we compute `stored * resolution`: two
            roundings in a different order, so 4 units in the last place.
  XDF       Exact: both keep the stored number.
  BCI2000   Exact: `(stored - offset) * gain` in doubles, read here with NumPy; MNE leaves numbers as
            stored and knows no state but StimulusCode, which are compared too.
  Trials    Exact: the numbers of the MATLAB file that docs/interop/graz_epochs.py read.

Times
  EDF, BDF, BrainVision  MNE rounds the onsets of annotations to a microsecond, so half of one;
            all other times are sums or quotients of the same decimal numbers: 1e-9 s.
  XDF       Stamps come out of iterated fits, whose last digits depend on the order of the sums:
            with offsets of 650,000 s in units of 0.1 ms, pyxdf is 1e-8 s off the same fit in
            extended precision. The bound is ten times that, 1e-7 s.

Where Saltatory differs on purpose
  EDF+D     MNE puts the records one behind the other, as if there were no gaps, but leaves the
            annotations at their real time. Saltatory gives each record its real time. The starts are
            compared with those read here with NumPy.
  Labels    MNE makes double labels unique and keeps PhysioNet's trailing dots.
  Status    MNE cuts trigger channels to 17 bits; Saltatory keeps all.
  Range     MNE drops annotations that lie outside of the data.
"""

import json
import re
import sys
import warnings
from collections import Counter
from pathlib import Path

import mne
import numpy as np
import pyxdf
from scipy.io import loadmat

TIME_S = 1e-9
MNE_ONSET_S = 0.5e-6 + TIME_S
XDF_S = 1e-7

worst = Counter()


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def near(got, want, bound, what):
    got, want = np.asarray(got, float), np.asarray(want, float)
    check(got.shape == want.shape, f"{what}: {got.shape} and not {want.shape}")
    off = float(np.max(np.abs(got - want), initial=0.0))
    worst[what] = max(worst[what], off)
    check(off <= bound, f"{what}: off by {off}, allowed {bound}")


class Dump:
    def __init__(self, folder, recordings):
        self.folder, self.recordings = folder, recordings
        self.json = json.loads((folder / "recording.json").read_text())
        self.path = Path(self.json["path"])
        self.streams = self.json["streams"]

    def numbers(self, index, kind):
        return np.fromfile(self.folder / f"{index}.{kind}", "<f8")

    def values(self, index):
        cols = self.streams[index]["content"]["samples"]["cols"]
        return self.numbers(index, "values").reshape(-1, cols)

    def sampled(self):
        return [i for i, s in enumerate(self.streams) if "samples" in s["content"]]

    def markers(self, name):
        for stream in self.streams:
            if stream["name"].endswith(name) and "markers" in stream["content"]:
                return stream["content"]["markers"]
        return []


def same_events(got, raw, what):
    """Compares markers with the annotations of `raw`, both ordered by time and text."""
    end = raw.n_times / raw.info["sfreq"]
    got = [m for m in got if 0 <= m["time_s"] < end]
    got.sort(key=lambda m: (round(m["time_s"], 6), m["text"]))
    want = sorted(raw.annotations, key=lambda a: (round(a["onset"], 6), a["description"]))
    texts = [m["text"] for m in got], [str(a["description"]) for a in want]
    check(texts[0] == texts[1], f"{what}: {texts[0]} and not {texts[1]}")
    near([m["time_s"] for m in got], [a["onset"] for a in want], MNE_ONSET_S, f"{what} onset")
    near([m["duration_s"] for m in got], [a["duration"] for a in want], TIME_S, f"{what} duration")
    return len(got)


def read_edf(path):
    """An independent reading: per signal (label, samples a record, physical values), record starts."""
    raw = path.read_bytes()
    n = int(raw[252:256])
    head = raw[256 : 256 * (n + 1)]

    def field(before, width):
        part = head[before * n : before * n + width * n]
        return [part[i * width : (i + 1) * width].decode("latin-1").strip() for i in range(n)]

    labels, counts = field(0, 16), [int(c) for c in field(216, 8)]
    low, high = np.array(field(104, 8), float), np.array(field(112, 8), float)
    dlow, dhigh = np.array(field(120, 8), float), np.array(field(128, 8), float)
    width = 3 if raw[:1] == b"\xff" else 2
    body = np.frombuffer(raw[256 * (n + 1) :], np.uint8)
    size = sum(counts) * width
    body = body[: len(body) // size * size].reshape(-1, size)
    signals, starts, at = [], [], 0
    for i in range(n):
        part = body[:, at : at + counts[i] * width]
        at += counts[i] * width
        if labels[i].endswith("Annotations"):
            if not starts:
                starts = [float(re.match(rb"([+-][\d.]+)\x14\x14", r.tobytes())[1]) for r in part]
            continue
        digits = part.reshape(-1, width).astype(np.int64)
        number = sum(digits[:, k] << (8 * k) for k in range(width))
        number = np.where(number >= 1 << (8 * width - 1), number - (1 << (8 * width)), number)
        gain = (high[i] - low[i]) / (dhigh[i] - dlow[i])
        signals.append((labels[i], counts[i], number * gain + (low[i] - dlow[i] * gain)))
    return signals, np.array(starts), float(raw[244:252])


def compare_edf(dump):
    read = mne.io.read_raw_bdf if dump.path.suffix == ".bdf" else mne.io.read_raw_edf
    raw = read(dump.path, preload=True)
    signals, starts, record_s = read_edf(dump.path)
    streams = dump.sampled()
    channels = [(i, c) for i in streams for c in range(len(dump.streams[i]["channels"]))]
    check(len(channels) == len(raw.ch_names) == len(signals), "number of channels")
    compared = Counter()
    of_rate = {dump.streams[i]["rate_hz"]: iter(range(10**6)) for i in streams}
    for k, (name, (label, count, values)) in enumerate(zip(raw.ch_names, signals)):
        rate = count / record_s
        index = next(i for i in streams if abs(dump.streams[i]["rate_hz"] - rate) < 1e-9 * rate)
        col = next(of_rate[dump.streams[index]["rate_hz"]])
        channel = dump.streams[index]["channels"][col]
        check(channel["label"] == label.rstrip("."), f"label {channel['label']} of {label}")
        got = dump.values(index)[:, col]
        check(np.array_equal(got, values), f"{label}: differs from the NumPy reading")
        if abs(rate - raw.info["sfreq"]) > 1e-9 * rate:
            compared["channels by NumPy"] += 1
            continue
        unit = {"uV": 1e-6, "µV": 1e-6, "mV": 1e-3}.get(channel["unit"], 1.0)
        want = raw.get_data(picks=[k])[0]
        if raw.get_channel_types(picks=[k]) == ["stim"]:
            got, unit = np.bitwise_and(got.astype(int), 2**17 - 1).astype(float), 1.0
            events = mne.find_events(
                raw, name, shortest_event=1, uint_cast=True, initial_event=False, verbose="error"
            )
            found = dump.markers(f" {name.lower()}")
            check([int(m["text"]) for m in found] == events[:, 2].tolist(), f"codes of {name}")
            near([m["time_s"] for m in found], events[:, 0] / raw.info["sfreq"], TIME_S, "triggers")
            compared["triggers"] += len(found)
        check(np.array_equal(got * unit, want), f"{label}: differs from MNE")
        compared["channels exactly"] += 1
    compared["annotations"] = same_events(dump.markers("annotations"), raw, "EDF annotations")
    for index in streams:
        segments = dump.streams[index]["content"]["samples"]["segments"]
        per_record = round(dump.streams[index]["rate_hz"] * record_s)
        if dump.json["format"].endswith("D"):
            begin = np.repeat(starts - starts[0], per_record)
            want = begin + np.tile(np.arange(per_record), len(starts)) / dump.streams[index]["rate_hz"]
            got = np.concatenate(
                [s["start_s"] + np.arange(s["rows"]) / dump.streams[index]["rate_hz"] for s in segments]
            )
            near(got, want, TIME_S, "EDF+D sample times")
            compared["segments"] += len(segments)
        else:
            check(len(segments) == 1 and segments[0]["start_s"] == 0, "one segment from 0 s")
    return compared


def compare_brainvision(dump):
    raw = mne.io.read_raw_brainvision(dump.path, preload=True)
    channels = dump.streams[0]["channels"]
    check([c["label"] for c in channels] == raw.ch_names, "labels")
    scales = {"µV": 1e-6, "uV": 1e-6, "mV": 1e-3, "V": 1, "nV": 1e-9, "µS": 1e-6, "uS": 1e-6}
    for k, (got, channel) in enumerate(zip(dump.values(0).T, channels)):
        want = raw.get_data(picks=[k])[0]
        got = got * scales.get(channel["unit"], 1.0)
        near(got - want, np.zeros_like(want), 4 * np.spacing(np.abs(want).max()), "BrainVision values")
    check(abs(dump.streams[0]["rate_hz"] - raw.info["sfreq"]) < 1e-9, "rate")
    found = same_events(dump.markers("markers"), raw, "BrainVision markers")
    return Counter({"channels": len(channels), "markers": found})


def compare_xdf(dump):
    streams, _ = pyxdf.load_xdf(dump.path)
    check(len(streams) == len(dump.streams), "number of streams")
    compared = Counter(streams=len(streams))
    for index, (stream, mine) in enumerate(zip(streams, dump.streams)):
        info = stream["info"]
        check(mine["name"] == info["name"][0], "name")
        check(mine["kind"] == info["type"][0], "type")
        check(mine["rate_hz"] == float(info["nominal_srate"][0]), "rate")
        check(len(mine["channels"]) == int(info["channel_count"][0]), "channels")
        if "markers" in mine["content"]:
            markers = mine["content"]["markers"]
            want = ["\t".join(row) for row in stream["time_series"]]
            check([m["text"] for m in markers] == want, "texts")
            near([m["time_s"] for m in markers], stream["time_stamps"], XDF_S, "XDF marker times")
            compared["markers"] += len(markers)
        else:
            check(np.array_equal(dump.values(index), stream["time_series"]), "values")
            near(dump.numbers(index, "stamps"), stream["time_stamps"], XDF_S, "XDF time stamps")
            segments = mine["content"]["samples"]["segments"]
            got = [(s["first_row"], s["first_row"] + s["rows"] - 1) for s in segments]
            check(got == [tuple(s) for s in info["segments"]], f"segments {got} {info['segments']}")
            compared["samples"] += len(stream["time_stamps"])
            compared["segments"] += len(segments)
    return compared


def read_bci2000(path):
    """An independent reading: values and their scale, rate, labels, states as (name, values)."""
    raw = path.read_bytes()
    first = raw.split(b"\n", 1)[0].decode()
    fields = dict(re.findall(r"(\w+)=\s*(\S+)", first))
    size, cols, state_bytes = (int(fields[k]) for k in ("HeaderLen", "SourceCh", "StatevectorLen"))
    kind = {"int16": "<i2", "int32": "<i4", "float32": "<f4"}[fields.get("DataFormat", "int16")]
    header = raw[:size].decode("latin-1")

    def entries(name):
        return re.search(rf"\s{name}=\s*(.*)", header)[1].split()

    def listed(name):
        words = entries(name)
        return words[1 : 1 + int(words[0])]

    row = np.dtype([("stored", kind, cols), ("states", "u1", state_bytes)])
    body = raw[size : size + (len(raw) - size) // row.itemsize * row.itemsize]
    rows = np.frombuffer(body, row)
    gain, offset = (np.array(listed(k), float) for k in ("SourceChGain", "SourceChOffset"))
    bits = np.unpackbits(rows["states"], axis=1, bitorder="little").astype(np.int64)
    states = []
    section = header.split("[ State Vector Definition ]")[1].split("[ Parameter Definition ]")[0]
    for line in section.strip().splitlines():
        name, length, _, byte, bit = line.split()
        at = 8 * int(byte) + int(bit)
        states.append((name, bits[:, at : at + int(length)] @ (1 << np.arange(int(length)))))
    rate = float(re.match(r"[\d.]+", entries("SamplingRate")[0])[0])
    values = (rows["stored"].astype(float) - offset) * gain
    return (values, (gain, offset)), rate, listed("ChannelNames"), states


def compare_bci2000(dump):
    raw = mne.io.read_raw_bci2k(dump.path, preload=True)
    (values, scale), rate, labels, states = read_bci2000(dump.path)
    stream = dump.streams[0]
    check(stream["rate_hz"] == rate, "rate")
    check([c["label"] for c in stream["channels"]] == labels, "labels")
    check({c["unit"] for c in stream["channels"]} == {"uV"}, "units")
    check(np.array_equal(dump.values(0), values), "values differ from the NumPy reading")
    stored = raw.get_data(picks="eeg").T
    check(np.array_equal(dump.values(0), (stored - scale[1]) * scale[0]), "values differ from MNE")
    check(rate == raw.info["sfreq"], "rate of MNE")
    codes = dict(states).get("StimulusCode")
    check(codes is None or np.array_equal(codes, raw.get_data(picks="stim")[0]), "codes of MNE")
    want = []
    for number, (name, held) in enumerate(states):
        rows = np.flatnonzero(np.diff(held)) + 1
        if name not in ("SourceTime", "StimulusTime") and len(rows) <= 20 * len(values) / rate:
            want += [(row, number, f"{name} {held[row]}") for row in rows]
    want.sort()
    got = dump.markers("states")
    check([m["text"] for m in got] == [text for _, _, text in want], "states")
    near([m["time_s"] for m in got], [row / rate for row, _, _ in want], TIME_S, "BCI2000 states")
    return Counter({"samples exactly": len(values), "channels": len(labels), "markers": len(got)})


def compare_epochs(dump):
    held = loadmat(dump.recordings / "bci-competition-iv-2b" / f"{dump.path.stem}.mat")
    data, labels = held["data"].transpose(2, 0, 1), held["label"].ravel()
    trials, rows, cols = data.shape
    check(np.array_equal(dump.values(0), data.reshape(-1, cols)), "values")
    stream = dump.streams[0]
    check([c["label"] for c in stream["channels"]] == ["C3", "Cz", "C4"], "labels")
    check({c["unit"] for c in stream["channels"]} == {""}, "units")
    check(stream["rate_hz"] == 250, "rate")
    starts = np.arange(trials) * (rows + 250) / 250
    segments = stream["content"]["samples"]["segments"]
    check([(s["first_row"], s["rows"]) for s in segments] == [(i * rows, rows) for i in range(trials)], "trials")
    near([s["start_s"] for s in segments], starts, TIME_S, "starts of trials")
    got = dump.markers("cues")
    check([m["text"] for m in got] == [["left", "right"][label - 1] for label in labels.astype(int)], "classes")
    near([m["time_s"] for m in got], starts, TIME_S, "cues")
    return Counter({"trials exactly": trials, "samples": trials * rows})


def main(folder, recordings):
    mne.set_log_level("ERROR")
    warnings.simplefilter("ignore")
    compare = {
        ".edf": compare_edf,
        ".bdf": compare_edf,
        ".vhdr": compare_brainvision,
        ".xdf": compare_xdf,
        ".dat": compare_bci2000,
        ".safetensors": compare_epochs,
    }
    failed = 0
    for entry in sorted(Path(folder).iterdir()):
        dump = Dump(entry, recordings)
        try:
            compared = compare[dump.path.suffix](dump)
            said = ", ".join(f"{n} {what}" for what, n in compared.items())
            print(f"agrees   {dump.path.name} ({dump.json['format']}): {said}")
        except AssertionError as e:
            failed += 1
            print(f"DIFFERS  {dump.path.name}: {e}")
        for warning in dump.json["warnings"]:
            print(f"         warning: {warning}")
    for what, off in worst.items():
        print(f"largest difference, {what}: {off:.3g}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
