"""Trains a network from the spectra of 16 s of EEG to eight regions of a simulated scan, and writes world, model and parity samples.

    python train.py [--models FOLDER]

The network is the multi-scale spectral branch of NeuroBOLT, in small (spectra of segments of four lengths, made to 32 steps each, summed,
linear attention over channels and steps), without its pretrained branch.
"""

import argparse
import pathlib

import numpy as np
import planted
import torch
import world
from common.export import export
from torch import nn

SEED = 12
SEGMENTS, SAMPLES, STEPS = (100, 200, 400, 800), 3200, 32
VOLUMES, VALIDATION, TEST_VOLUMES = 900, 100, 300
EPOCHS, BATCH, RATE, DECAY = 12, 32, 2e-3, 0.05


def spectra(windows):
    """Windows x samples x channels to windows x channels x numbers, as the engine's stage `stft`: magnitudes of the segments, one after the
    other, for one length of segments after the other."""
    x = windows.transpose(0, 2, 1)
    parts = [np.abs(np.fft.rfft(x.reshape(*x.shape[:2], -1, n), axis=3)).reshape(*x.shape[:2], -1) for n in SEGMENTS]
    return np.concatenate(parts, 2).astype(np.float32)


def scan(which, volumes, seed):
    """Spectra of the 16 s before each volume and what the regions show then, for a session of its own."""
    ahead = int(np.ceil(planted.PAST_S / planted.ITEM_S))
    states = np.random.default_rng(seed).integers(0, planted.STATES, volumes + ahead)
    x = np.concatenate([part for _, part in world.session(which, states, seed + 1)])
    y = planted.regions(states, seed + 2)[ahead:]
    ends = np.round((1 + np.arange(ahead, len(states))) * which.item_s * which.rate_hz).astype(int)
    features = np.concatenate([spectra(np.stack([x[e - SAMPLES : e] for e in part])) for part in np.array_split(ends, 20)])
    return features, y.astype(np.float32)


class LinearAttention(nn.Module):
    """Attention whose cost grows with the number of tokens and not with its square: phi(q) (phi(k)' v), phi = elu + 1."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.into, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        batch, tokens, width = x.shape
        parts = self.into(x).view(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = nn.functional.elu(parts[0]) + 1, nn.functional.elu(parts[1]) + 1, parts[2]
        total = q @ k.sum(2, keepdim=True).transpose(2, 3)
        mixed = (q @ (k.transpose(2, 3) @ v)) / total
        return self.out(mixed.transpose(1, 2).reshape(batch, tokens, width))


class SpectralNet(nn.Module):
    def __init__(self, channels, regions, width=32, blocks=2, heads=4, dropout=0.1):
        super().__init__()
        shapes = [(SAMPLES // n, n // 2 + 1) for n in SEGMENTS]
        self.shapes = shapes
        # Mean and deviation of each frequency of each length, from the training data.
        self.means = nn.ParameterList([nn.Parameter(torch.zeros(f), requires_grad=False) for _, f in shapes])
        self.scales = nn.ParameterList([nn.Parameter(torch.ones(f), requires_grad=False) for _, f in shapes])
        self.colours = nn.ModuleList(nn.Linear(f, width) for _, f in shapes)
        self.times = nn.ModuleList(nn.Linear(s, STEPS) for s, _ in shapes)
        self.channel = nn.Parameter(0.02 * torch.randn(channels, 1, width))
        phase = torch.arange(STEPS)[:, None] / 100 ** (torch.arange(width // 2) / (width // 2))
        self.register_buffer("when", 0.1 * torch.cat([phase.sin(), phase.cos()], 1))
        self.attention = nn.ModuleList(LinearAttention(width, heads) for _ in range(blocks))
        self.feed = nn.ModuleList(nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)) for _ in range(blocks))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * blocks))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Sequential(nn.LayerNorm(STEPS * width), nn.GELU(), nn.Dropout(0.3), nn.Linear(STEPS * width, regions))

    def learn_scale(self, x):
        for part, mean, scale in zip(self.split(torch.from_numpy(x)), self.means, self.scales):
            mean.data, scale.data = part.mean((0, 1, 2)), part.std((0, 1, 2))

    def split(self, x):
        sizes = [s * f for s, f in self.shapes]
        return [part.reshape(*x.shape[:2], s, f) for part, (s, f) in zip(x.split(sizes, 2), self.shapes)]

    def forward(self, x):
        batch, channels, _ = x.shape
        total = self.channel + self.when
        for part, mean, scale, colour, time in zip(self.split(x), self.means, self.scales, self.colours, self.times):
            total = total + time(colour((part - mean) / scale).transpose(2, 3)).transpose(2, 3)
        x = total.reshape(batch, channels * STEPS, -1)
        for i, (attention, feed) in enumerate(zip(self.attention, self.feed)):
            x = x + self.dropout(attention(self.norms[2 * i](x)))
            x = x + self.dropout(feed(self.norms[2 * i + 1](x)))
        # The mean over channels; the steps keep their place, since the response is slow.
        return self.head(x.reshape(batch, channels, STEPS, -1).mean(1).reshape(batch, -1))


def correlations(guess, truth):
    return np.array([np.corrcoef(g, t)[0, 1] for g, t in zip(guess.T, truth.T)])


def predict(net, x):
    net.eval()
    with torch.no_grad():
        return torch.cat([net(part) for part in torch.from_numpy(x).split(50)]).numpy()


def train(x, y, x_validation, y_validation):
    """The weights of the epoch that does best on the validation scan are kept."""
    torch.manual_seed(SEED)
    net = SpectralNet(x.shape[1], y.shape[1])
    net.learn_scale(x)
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=EPOCHS * -(-len(x) // BATCH))
    best, kept = -1.0, None
    for epoch in range(EPOCHS):
        net.train()
        for part in torch.randperm(len(x)).split(BATCH):
            loss = nn.functional.mse_loss(net(torch.from_numpy(x[part.numpy()])), torch.from_numpy(y[part.numpy()]))
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            schedule.step()
        r = correlations(predict(net, x_validation), y_validation).mean()
        print(f"epoch {epoch + 1}: squared error {loss.item():.3f}, correlation on the validation scan {r:.3f}", flush=True)
        if r > best:
            best, kept = r, {k: v.clone() for k, v in net.state_dict().items()}
    net.load_state_dict(kept)
    return net.eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=pathlib.Path, default=world.models())
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    path = given.models / "worlds/fmri_eeg.safetensors"
    world.write(planted.make(), path)
    which = world.read(path)
    net = train(*scan(which, VOLUMES, planted.SEED + 100), *scan(which, VALIDATION, planted.SEED + 200))
    x, y = scan(which, TEST_VOLUMES, planted.SEED + 300)
    r = {region: round(float(v), 3) for region, v in zip(planted.REGIONS, correlations(predict(net, x), y))}
    print(f"Pearson's r on a scan of {TEST_VOLUMES} volumes apart: {r}, mean {np.mean(list(r.values())):.3f}")
    manifest = {
        "#": "Spectra of 16 s of 26 channels of EEG (the stage `stft`) to eight regions of a planted scan.",
        "input": {"axes": ["one", "channels", "samples"], "rate_hz": planted.RATE_HZ, "channels": which.channels},
        "output": {"name": "regions", "kind": "regression", "labels": planted.REGIONS},
        "provenance": {"script": f"docs/training/fmri/train.py, seed {SEED}", "data": "simulated: models/worlds/fmri_eeg.safetensors",
                       "volumes": VOLUMES, "segments": list(SEGMENTS), "window_samples": SAMPLES, "eeg_unit": "microvolts",
                       "tested_on": f"a simulated scan of {TEST_VOLUMES} volumes apart; Pearson's r for each region",
                       "r": list(r.values()), "r_mean": round(float(np.mean(list(r.values()))), 3)},
    }
    export(net, given.models / "fmri", {"x": x[:1]}, ["regions"], manifest)


if __name__ == "__main__":
    main()
