"""Trains EEGNet on imagined fists (left against right) and writes the model, its manifest and parity samples.

    python train.py RECORDINGS OUT

RECORDINGS is the folder `physionet-eegmmidb` (PhysioNet EEG Motor Movement/Imagery, ODC-BY 1.0). Runs 4 and 8 of each
subject are learned from, run 12 is never looked at before the score. The filter is causal, and windows are cut as
`saltatory` cuts them (docs/training/eegnet/README.md), so that the score here is the score of a live run.

Network: Lawhern et al., J. Neural Eng. 15 (2018), EEGNet-8,2.
"""

import argparse
import hashlib
import pathlib

import mne
import numpy as np
import torch
from scipy.signal import butter, sosfilt
from torch import nn

SUBJECTS = ["S001", "S002", "S003", "S007", "S012"]
LEARN, TEST = ["R04", "R08"], ["R12"]
CHANNELS = ["Fz", "FC1", "FC2", "C3", "Cz", "C4", "Pz", "Oz"]
CLASSES = {"left": "T1", "right": "T2"}
RATE_HZ, START_S, LENGTH_S = 160.0, 0.5, 2.0
BAND_HZ, ORDER = (4.0, 40.0), 4
SEED, EPOCHS, BATCH, RATE, DROPOUT = 7, 300, 32, 1e-3, 0.5


def windows(path):
    """The windows of a recording, trials x channels x samples in volts, and their classes."""
    raw = mne.io.read_raw_edf(path, preload=True, verbose="error")
    raw.rename_channels(lambda name: name.strip(".").upper())
    x = raw.get_data(picks=[c.upper() for c in CHANNELS])
    x = sosfilt(butter(ORDER, BAND_HZ, "bandpass", fs=RATE_HZ, output="sos"), x, axis=1)
    texts = list(CLASSES.values())
    cut, labels = [], []
    for onset, text in zip(raw.annotations.onset, raw.annotations.description):
        first = round(onset * RATE_HZ) + round(START_S * RATE_HZ)
        window = x[:, first : first + round(LENGTH_S * RATE_HZ)]
        if text in texts and window.shape[1] == round(LENGTH_S * RATE_HZ):
            cut.append(window)
            labels.append(texts.index(text))
    return np.array(cut), np.array(labels)


def scaled(x):
    """Each channel of each window with mean 0 and standard deviation 1: `scaling = "channel"`."""
    x = x - x.mean(axis=2, keepdims=True)
    return (x / x.std(axis=2, keepdims=True)).astype(np.float32)


class EEGNet(nn.Module):
    """A temporal filter bank, spatial filters for each, and a summary of what they give."""

    def __init__(self, channels, samples, classes):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, (1, 80), padding="same", bias=False),
            nn.BatchNorm2d(8),
            nn.Conv2d(8, 16, (channels, 1), groups=8, bias=False),
            nn.BatchNorm2d(16),
            nn.ELU(),
            nn.AvgPool2d((1, 4)),
            nn.Dropout(DROPOUT),
            nn.Conv2d(16, 16, (1, 20), padding="same", groups=16, bias=False),
            nn.Conv2d(16, 16, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ELU(),
            nn.AvgPool2d((1, 8)),
            nn.Dropout(DROPOUT),
            nn.Flatten(),
            nn.Linear(16 * (samples // 32), classes),
        )

    def forward(self, x):
        return self.body(x)


def train(x, y):
    torch.manual_seed(SEED)
    net = EEGNet(x.shape[2], x.shape[3], len(CLASSES))
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 10 * RATE, total_steps=EPOCHS)
    shuffle = torch.Generator().manual_seed(SEED)
    net.train()
    for _ in range(EPOCHS):
        for part in torch.randperm(len(x), generator=shuffle).split(BATCH):
            # A part of a second earlier or later it is the same movement.
            batch = torch.roll(x[part], int(torch.randint(-16, 17, (1,), generator=shuffle)), dims=3)
            loss = nn.functional.cross_entropy(net(batch), y[part], label_smoothing=0.1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            # As in the paper: no spatial filter may grow beyond a norm of 1.
            with torch.no_grad():
                net.body[2].weight.copy_(torch.renorm(net.body[2].weight, 2, 0, 1.0))
        schedule.step()
    return net.eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recordings", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    load = lambda runs: [(s, *windows(given.recordings / f"{s}{r}.edf")) for s in SUBJECTS for r in runs]
    tensor = lambda x: torch.from_numpy(scaled(x))[:, None]
    learn = load(LEARN)
    net = train(
        tensor(np.concatenate([x for _, x, _ in learn])),
        torch.from_numpy(np.concatenate([y for _, _, y in learn])),
    )
    scores = []
    with torch.no_grad():
        for subject, x, y in load(TEST):
            right = int((net(tensor(x)).argmax(1).numpy() == y).sum())
            scores.append(f"{subject} {right}/{len(y)}")
            print(scores[-1])
    given.out.mkdir(parents=True, exist_ok=True)
    model = given.out / "eegnet.onnx"
    example = tensor(load(TEST)[0][1])[:8]
    torch.onnx.export(
        net, (example[:1],), str(model), input_names=["x"], output_names=["logits"],
        opset_version=17, dynamo=False,
    )
    with torch.no_grad():
        single = torch.cat([net(row[None]) for row in example])
    np.savez(given.out / "eegnet.npz", x=example.numpy(), logits=single.numpy())
    (given.out / "eegnet.toml").write_text(manifest(model, scores, learn))


def manifest(model, scores, learn):
    names = lambda values: ", ".join(f'"{v}"' for v in values)
    files = [f"{s}{r}.edf" for s in SUBJECTS for r in LEARN]
    return f"""# EEGNet on imagined fists, left against right: what it expects and what comes out.

[input]
axes = ["one", "one", "channels", "samples"]
rate_hz = {RATE_HZ}
channels = [{names(CHANNELS)}]
scaling = "channel"

[output]
name = "logits"
kind = "logits"
classes = [{names(CLASSES)}]

[provenance]
made_with = "docs/training/eegnet/train.py, torch {torch.__version__}, seed {SEED}"
data = "PhysioNet EEG Motor Movement/Imagery 1.0.0 (ODC-BY 1.0; Schalk 2004, Goldberger 2000)"
learned_from = [{names(files)}]
trials = {sum(len(y) for _, _, y in learn)}
tested_on = [{names(scores)}]
sha256 = "{hashlib.sha256(model.read_bytes()).hexdigest()}"
"""


if __name__ == "__main__":
    main()
