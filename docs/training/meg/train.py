"""Trains the MEG encoder and the image network on the planted worlds, and writes worlds, galleries, models and parity samples.

    python train.py [--models FOLDER] [--only worlds|encoder|images]
"""

import argparse
import pathlib

import numpy as np
import planted
import torch
import world
from common import heads, networks, scores
from common.convolution import predict, train_encoder
from common.export import export
from torch import nn
from torch.nn import functional as F

SEED = 3
REPETITIONS, TEST_REPETITIONS = 3, 10
EPOCHS, CLAMP = 24, 20.0
IMAGES, COMPONENTS, HIDDEN, IMAGE_STEPS, IMAGE_BATCH, IMAGE_RATE = 5000, 128, 256, 2000, 64, 3e-3


class Painter(nn.Module):
    """From the direction of an embedding to an image: how much of each of the main components of images, and their sum."""

    def __init__(self, numbers, mean, components):
        super().__init__()
        count = len(components)
        self.body = nn.Sequential(nn.Linear(numbers, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, count))
        self.register_buffer("mean", mean)
        self.register_buffer("components", components)

    def forward(self, embedding):
        flat = self.mean + self.body(8 * networks.unit(embedding)) @ self.components
        return flat.clamp(0, 1).view(-1, 3, planted.SIZE, planted.SIZE)


def train_painter():
    """On latents of its own, drawn as those of the items: none of the 1200 images is seen."""
    torch.manual_seed(SEED)
    z = np.random.default_rng(SEED + 50).standard_normal((IMAGES, planted.LATENTS))
    x, images = torch.from_numpy(planted.embeddings(z)), torch.from_numpy(planted.images(z)).flatten(1)
    mean = images.mean(0)
    components = torch.svd_lowrank(images - mean, COMPONENTS, niter=3)[2].T.contiguous()
    wanted = (images - mean) @ components.T
    left = 1 - float(wanted.square().sum() / (images - mean).square().sum())
    net = Painter(planted.EMBEDDING, mean, components)
    optimiser = torch.optim.AdamW(net.parameters(), lr=IMAGE_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, IMAGE_RATE, total_steps=IMAGE_STEPS)
    for step in range(IMAGE_STEPS):
        part = torch.randint(0, IMAGES, (IMAGE_BATCH,))
        # The sum over components is the squared error of the image, but for what lies outside of them.
        loss = (net.body(8 * x[part]) - wanted[part]).square().sum(1).mean() / images.shape[1]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 500 == 499:
            print(f"step {step + 1}: squared error {loss.item():.5f}, {left:.4f} of the variance lie outside", flush=True)
    return net.eval()


def write_worlds(models):
    (models / "worlds").mkdir(parents=True, exist_ok=True)
    (models / "galleries").mkdir(parents=True, exist_ok=True)
    world.write(planted.make(), models / "worlds/meg.safetensors")
    world.write(planted.make(high=True), models / "worlds/meg_high.safetensors")
    labels, embeddings = planted.labels(), planted.embeddings(planted.latents())
    world.write_gallery(models / "galleries/meg.safetensors", labels, embeddings)
    held_out = slice(-planted.HELD_OUT, None)
    world.write_gallery(models / "galleries/meg_heldout.safetensors", labels[held_out], embeddings[held_out])


def encoder(models):
    which = world.read(models / "worlds/meg.safetensors")
    (x, items), (x_test, test) = planted.sessions(which, REPETITIONS, TEST_REPETITIONS)
    x, x_test = scores.robust(x), scores.robust(x_test)
    embeddings, positions = planted.embeddings(planted.latents()), heads.scaled_places(which.positions)
    net = train_encoder(x, items, embeddings, positions, EPOCHS, SEED)
    first = planted.ITEMS - planted.HELD_OUT
    score = scores.retrieval("convolutional encoder, low signal", predict(net, x_test, positions), embeddings[first:], test - first)
    manifest = {
        "#": "Planted MEG to the embedding of the image that was seen: what it expects and what comes out.",
        "input": {"axes": ["one", "channels", "samples"], "rate_hz": which.rate_hz, "scaling": "robust", "clamp": CLAMP,
                  "positions": "positions"},
        "output": {"name": "embedding", "kind": "embedding"},
        "provenance": {"script": f"docs/training/meg/train.py, seed {SEED}", "data": "simulated: models/worlds/meg.safetensors",
                       "trials": len(items), "window_s": [planted.START_S, planted.START_S + planted.LENGTH_S],
                       "tested_on": "200 images that were never learned from, 10 trials each; value and 95 % interval",
                       "chance_top_5": 5 / planted.HELD_OUT} | {k.replace(" ", "_").replace("-", "_"): v for k, v in score.items()},
    }
    export(net, models / "meg", {"x": x_test.transpose(0, 2, 1), "positions": positions}, ["embedding", "estimate"], manifest, True)


def painter(models):
    net = train_painter()
    held_out = planted.latents()[-planted.HELD_OUT :]
    embeddings = planted.embeddings(held_out)
    with torch.no_grad():
        error = float(np.sqrt(np.mean((net(torch.from_numpy(embeddings)).numpy() - planted.images(held_out)) ** 2)))
    spread = float(planted.images(held_out).std(0).mean())
    print(f"images: root mean squared error {error:.4f} on held-out images, whose standard deviation is {spread:.4f}")
    manifest = {
        "#": "From the embedding of a planted image to the image.",
        "input": {"axes": ["one", "numbers"]},
        "output": {"name": "image", "kind": "image", "size": [planted.SIZE, planted.SIZE], "colours": 3, "layout": "chw"},
        "provenance": {"script": f"docs/training/meg/train.py, seed {SEED}", "data": "drawn by docs/training/meg/planted.py",
                       "error_held_out": round(error, 4), "deviation_held_out": round(spread, 4)},
    }
    export(net, models / "meg_images", {"embedding": embeddings}, ["image"], manifest)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=pathlib.Path, default=world.models())
    parser.add_argument("--only", choices=["worlds", "encoder", "images"])
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for name, step in (("worlds", write_worlds), ("encoder", encoder), ("images", painter)):
        if given.only in (None, name):
            step(given.models)


if __name__ == "__main__":
    main()
