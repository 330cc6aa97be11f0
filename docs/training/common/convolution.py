"""Training of the convolutional encoder: windows of a brain signal to the embedding of what was shown."""

import time

import numpy as np
import torch
from torch.nn import functional as F

from . import networks

BATCH, RATE, DECAY = 125, 2e-3, 0.02
# Weight of the contrastive loss, the rest is that of the squared one; factor of the cosines in it.
LAMBDA, SCALE = 0.75, 12.0
# Windows are moved by up to so many samples while learning.
SHIFT = 4


def batches(items, rng):
    """One epoch: batches of trials in which no item is twice."""
    order = rng.permutation(len(items))
    rank = np.zeros(len(items), int)
    seen = {}
    for i in order:
        rank[i] = seen[items[i]] = seen.get(items[i], -1) + 1
    for r in range(rank.max() + 1):
        part = order[rank[order] == r]
        yield from (part[i : i + BATCH] for i in range(0, len(part) - BATCH + 1, BATCH))


def train_encoder(trials, items, embeddings, positions, epochs, seed, **shape):
    """A convolutional encoder from windows (trials x samples x channels, scaled) to the embedding of the item."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = networks.ConvEncoder(trials.shape[1], embeddings.shape[1], **shape)
    target, positions = torch.from_numpy(embeddings), torch.from_numpy(positions)
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    per_epoch = len(list(batches(items, np.random.default_rng(0))))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=epochs * per_epoch)
    start = time.time()
    for epoch in range(epochs):
        net.train()
        total = 0.0
        for part in batches(items, rng):
            x = torch.from_numpy(trials[part]).transpose(1, 2)
            x = torch.roll(x, int(rng.integers(-SHIFT, SHIFT + 1)), 2)
            wanted = target[items[part]]
            direction, estimate = net(x, positions)
            contrast = networks.clip_loss(direction, wanted, SCALE)
            loss = LAMBDA * contrast + (1 - LAMBDA) * wanted.shape[1] * F.mse_loss(estimate, wanted)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += contrast.item()
        print(f"epoch {epoch + 1}: contrastive loss {total / per_epoch:.3f}, {time.time() - start:.0f} s", flush=True)
    return net.eval()


def predict(net, trials, positions):
    """The places that a trained encoder gives."""
    with torch.no_grad():
        parts = [net(torch.from_numpy(t).transpose(1, 2), torch.from_numpy(positions))[0] for t in np.array_split(trials, 20)]
    return torch.cat(parts).numpy()
