"""Trains a transformer over patches of sEEG to tell 61 words apart, and writes world, model and parity samples.

    python train.py [--models FOLDER]

The network has the shape of Du-IN's decoder (a linear layer across channels, patches of 100 samples through three convolutions without
activations, blocks normalised after each layer), with two blocks of four small heads instead of eight of eight, and from random weights.
"""

import argparse
import pathlib

import numpy as np
import planted
import torch
import world
from common import networks
from common.export import export
from torch import nn

SEED = 8
REPETITIONS, TEST_REPETITIONS = 30, 8
PATCH, CHANNELS_IN, FILTERS, FEW = 100, 16, 128, 16
EPOCHS, BATCH, RATE, DECAY, SHIFT = 14, 32, 1e-3, 0.05, 0.05


def patches(windows):
    """Windows x samples x channels as windows x patches x (channel after channel, samples of the patch), as the engine's stage `patch`."""
    n, samples, channels = windows.shape
    return windows.reshape(n, samples // PATCH, PATCH, channels).transpose(0, 1, 3, 2).reshape(n, samples // PATCH, channels * PATCH)


def scaled(windows):
    """Mean 0 and standard deviation 1 over all of each window: the manifest's `scaling = "window"`."""
    x = windows - windows.mean((1, 2), keepdims=True)
    return x / x.std((1, 2), keepdims=True)


class PatchTransformer(nn.Module):
    def __init__(self, channels, patches, classes, blocks=2, heads=4, size=32, hidden=320, dropout=0.2):
        super().__init__()
        self.channels, width = channels, FEW * PATCH // 10
        self.merge = nn.Conv1d(channels, CHANNELS_IN, 1)
        norm = nn.BatchNorm1d
        self.patch = nn.Sequential(
            nn.Conv1d(CHANNELS_IN, FILTERS, 19, stride=10, padding=9), norm(FILTERS),
            nn.Conv1d(FILTERS, FILTERS, 3, padding=1), norm(FILTERS),
            nn.Conv1d(FILTERS, FEW, 3, padding=1), norm(FEW),
        )
        self.when = nn.Parameter(0.02 * torch.randn(1, patches, width))
        self.blocks = nn.Sequential(*(networks.Transformer(width, heads, size, hidden, dropout, pre=False) for _ in range(blocks)))
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(patches * width, 128), nn.GELU(), nn.Dropout(dropout), nn.Linear(128, classes))

    def forward(self, x):
        windows, patches, _ = x.shape
        x = self.patch(self.merge(x.reshape(windows * patches, self.channels, PATCH)))
        return self.head(self.blocks(x.reshape(windows, patches, -1) + self.when))


def moved(x, rng):
    """Windows moved by up to SHIFT of their length, with zeros where nothing comes in."""
    reach = int(SHIFT * x.shape[1])
    padded = np.pad(x, ((0, 0), (reach, reach), (0, 0)))
    return np.stack([row[s : s + x.shape[1]] for row, s in zip(padded, rng.integers(0, 2 * reach + 1, len(x)))])


def train(x, y, epochs=EPOCHS):
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    net = PatchTransformer(x.shape[2], x.shape[1] // PATCH, planted.WORDS)
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    steps = -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=epochs * steps)
    for epoch in range(epochs):
        net.train()
        total = 0.0
        for part in np.array_split(rng.permutation(len(x)), steps):
            guess = net(torch.from_numpy(patches(moved(x[part], rng))))
            loss = nn.functional.cross_entropy(guess, torch.from_numpy(y[part]), label_smoothing=0.1)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += loss.item() / steps
        print(f"epoch {epoch + 1}: loss {total:.3f}", flush=True)
    return net.eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=pathlib.Path, default=world.models())
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    path = given.models / "worlds/seeg.safetensors"
    world.write(planted.make(), path)
    which = world.read(path)
    session = lambda times, seed: np.random.default_rng(planted.SEED + seed).permutation(np.tile(np.arange(planted.WORDS), times))
    y, y_test = session(REPETITIONS, 100), session(TEST_REPETITIONS, 200)
    cut = lambda items, seed: scaled(world.simulate(which, items, planted.SEED + seed, planted.START_S, planted.LENGTH_S))
    net = train(cut(y, 101), y)
    x_test = patches(cut(y_test, 201))
    with torch.no_grad():
        logits = torch.cat([net(part) for part in torch.from_numpy(x_test).split(64)]).numpy()
    right = logits.argmax(1) == y_test
    top_5 = ((logits > logits[np.arange(len(y_test)), y_test][:, None]).sum(1) < 5).mean()
    draws = np.random.default_rng(0).integers(0, len(right), (2000, len(right)))
    score = [round(float(v), 4) for v in (right.mean(), *np.percentile(right[draws].mean(1), [2.5, 97.5]))]
    print(f"accuracy {score}, top-5 {top_5:.4f}, {len(y_test)} trials; chance {1 / planted.WORDS:.4f}")
    manifest = {
        "#": "30 patches of 0.1 s of 10 sEEG channels (the stage `patch`) to one of 61 planted words.",
        "input": {"axes": ["one", "channels", "samples"], "rate_hz": planted.RATE_HZ, "scaling": "window"},
        "output": {"name": "logits", "kind": "logits", "classes": which.items},
        "provenance": {"script": f"docs/training/seeg_words/train.py, seed {SEED}", "data": "simulated: models/worlds/seeg.safetensors",
                       "trials": len(y), "window_s": [planted.START_S, planted.START_S + planted.LENGTH_S],
                       "channels": planted.CHANNELS, "patch_samples": PATCH,
                       "tested_on": f"{len(y_test)} trials apart; 95 % interval over trials", "accuracy": score,
                       "top_5": round(float(top_5), 4), "chance": round(1 / planted.WORDS, 4)},
    }
    export(net, given.models / "seeg_words", {"x": x_test[:2]}, ["logits"], manifest)


if __name__ == "__main__":
    main()
