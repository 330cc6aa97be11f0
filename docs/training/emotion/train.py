"""Trains a transformer over electrodes on band differential entropies, and writes world, model and parity samples.

    python train.py [--models FOLDER]

The network has the shape of RBTransformer (electrodes as tokens with an identity of their own, four blocks of six heads). Whole
trials are kept apart: see README.md.
"""

import argparse
import pathlib

import numpy as np
import planted
import torch
import world
from common import networks
from common.export import export
from scipy.signal import butter, sosfilt
from torch import nn

SEED = 6
BANDS_HZ = ((4, 8), (8, 14), (14, 31), (31, 49))
ORDER, WINDOW, STRIDE = 5, 512, 117
TRIALS, TEST_TRIALS = 360, 150
EPOCHS, BATCH, RATE, LEAST_RATE, DECAY, SMOOTHING = 40, 64, 1e-3, 1e-6, 1e-3, 0.12


def entropies(windows):
    """Band differential entropies of windows x samples x channels: windows x channels x bands, as the engine's stage `bde`."""
    x = windows.astype(np.float64)
    x = (x - x.mean((1, 2), keepdims=True)) / x.std((1, 2), keepdims=True)
    bands = [sosfilt(butter(ORDER, band, "band", fs=planted.RATE_HZ, output="sos"), x, axis=1).var(axis=1) for band in BANDS_HZ]
    return (0.5 * np.log2(2 * np.pi * np.e * np.stack(bands, 2))).astype(np.float32)


def features(which, trials, seed):
    """Entropies and emotion of all windows of `trials` trials, window by window within each, and the trial of each."""
    emotions = np.random.default_rng(seed).permutation(np.arange(trials) % len(planted.EMOTIONS))
    # The last samples of a trial are in the time of its delays still; no window reaches into the next.
    x = world.simulate(which, emotions, seed + 1, 0.0, planted.ITEM_S)
    starts = range(0, x.shape[1] - WINDOW + 1, STRIDE)
    windows = np.stack([entropies(x[:, s : s + WINDOW]) for s in starts], 1)
    trial = np.repeat(np.arange(trials), len(starts))
    return windows.reshape(-1, *windows.shape[2:]), emotions[trial], trial


class BandTransformer(nn.Module):
    def __init__(self, electrodes, bands, classes, width=128, blocks=4, heads=6, size=32, hidden=128, dropout=0.1):
        super().__init__()
        # Entropies as deviations from their means over the training data.
        self.register_buffer("mean", torch.zeros(electrodes, bands))
        self.register_buffer("scale", torch.ones(electrodes, bands))
        self.token = nn.Linear(bands, width)
        self.identity = nn.Parameter(0.02 * torch.randn(1, electrodes, width))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(networks.Transformer(width, heads, size, hidden, dropout, pre=True) for _ in range(blocks)))
        sizes = (width, 256, 256, 128)
        layers = [nn.Sequential(nn.Linear(a, b), nn.GELU(), nn.Dropout(dropout)) for a, b in zip(sizes, sizes[1:])]
        self.head = nn.Sequential(nn.LayerNorm(width), *layers, nn.Linear(sizes[-1], classes))

    def forward(self, x):
        x = self.dropout(self.token((x - self.mean) / self.scale) + self.identity)
        return self.head(self.blocks(x).mean(1))


def train(x, y):
    torch.manual_seed(SEED)
    net = BandTransformer(x.shape[1], x.shape[2], len(planted.EMOTIONS))
    net.mean.copy_(torch.from_numpy(x.mean(0)))
    net.scale.copy_(torch.from_numpy(x.std(0)))
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, EPOCHS, LEAST_RATE)
    for epoch in range(EPOCHS):
        net.train()
        total = 0.0
        for part in torch.randperm(len(x)).split(BATCH):
            loss = nn.functional.cross_entropy(net(x[part]), y[part], label_smoothing=SMOOTHING)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            total += loss.item() * len(part)
        schedule.step()
        if epoch % 10 == 9:
            print(f"epoch {epoch + 1}: loss {total / len(x):.3f}", flush=True)
    return net.eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=pathlib.Path, default=world.models())
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    path = given.models / "worlds/emotion.safetensors"
    world.write(planted.make(), path)
    which = world.read(path)
    x, y, _ = features(which, TRIALS, planted.SEED + 100)
    x_test, y_test, trial = features(which, TEST_TRIALS, planted.SEED + 200)
    net = train(x, y)
    with torch.no_grad():
        odds = torch.log_softmax(net(torch.from_numpy(x_test)), 1).numpy()
    right = odds.argmax(1) == y_test
    summed = np.array([odds[trial == t].sum(0).argmax() == y_test[trial == t][0] for t in range(TEST_TRIALS)])
    table = np.array([[np.sum((y_test == a) & (odds.argmax(1) == b)) for b in range(3)] for a in range(3)])
    draws = np.random.default_rng(0).integers(0, TEST_TRIALS, (2000, TEST_TRIALS))
    spread = np.percentile(right.reshape(TEST_TRIALS, -1).mean(1)[draws].mean(1), [2.5, 97.5])
    score = [round(float(v), 4) for v in (right.mean(), *spread)]
    print(f"windows {score}, trials {summed.mean():.3f} of {TEST_TRIALS}; chance 0.333; true by decided:\n{table}")
    manifest = {
        "#": "Band differential entropies of 14 electrodes (the stage `bde`) to one of three planted emotions.",
        "input": {"axes": ["one", "channels", "samples"], "channels": planted.CHANNELS},
        "output": {"name": "logits", "kind": "logits", "classes": planted.EMOTIONS},
        "provenance": {"script": f"docs/training/emotion/train.py, seed {SEED}", "data": "simulated: models/worlds/emotion.safetensors",
                       "trials": TRIALS, "windows": len(y), "window_samples": WINDOW, "rate_hz": planted.RATE_HZ,
                       "tested_on": f"{TEST_TRIALS} trials apart; share of windows that are right, 95 % interval over trials",
                       "accuracy": score, "accuracy_of_trials": round(float(summed.mean()), 4), "chance": 1 / 3},
    }
    export(net, given.models / "emotion", {"x": x_test}, ["logits"], manifest)


if __name__ == "__main__":
    main()
