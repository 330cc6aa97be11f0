"""Trains a network from the embedding of a caption to its words, and writes model and parity samples; `train.py` comes first.

    python words.py [--models FOLDER]

It learns all 200 captions: it is there so that the engine's sequences have a network, and is no language model.
"""

import argparse
import pathlib

import numpy as np
import onnxruntime
import planted
import torch
import world
from common import heads, networks, scores
from common.export import export
from torch import nn
from train import FIRST

SEED = 11
# What ends a caption and fills the steps behind it.
END = "."
STEPS, RATE, DECAY, SMOOTHING, NOISE, HIDDEN = 3000, 4e-3, 0.05, 0.1, 0.06, 96
# What the logits are multiplied by while learning.
FACTOR = 4.0


class Speaker(nn.Module):
    def __init__(self, numbers, words, units):
        super().__init__()
        self.shape = (words, units)
        self.body = nn.Sequential(nn.Linear(numbers, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, words * 24), nn.Tanh())
        self.units = nn.Linear(24, units)

    def forward(self, embedding):
        x = self.body(8 * networks.unit(embedding))
        return self.units(x.view(-1, self.shape[0], 24))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=pathlib.Path, default=world.models())
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(SEED)
    captions, embeddings = planted.captions(), planted.embeddings(planted.latents())
    units = [END] + sorted({w for caption in captions for w in caption.split()})
    words = max(len(caption.split()) for caption in captions) + 1
    spelt = lambda caption: [units.index(w) for w in caption.split()] + [0] * (words - len(caption.split()))
    x, y = torch.from_numpy(embeddings), torch.tensor([spelt(caption) for caption in captions])
    net = Speaker(x.shape[1], words, len(units))
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=STEPS)
    for step in range(STEPS):
        guess = net(x + NOISE * torch.randn_like(x)).flatten(0, 1)
        # Smooth labels and the factor keep the logits small, and with them what rounding does to them.
        loss = nn.functional.cross_entropy(FACTOR * guess, y.flatten(), label_smoothing=SMOOTHING)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    net.eval()
    clean, heard = score(net, x, y), score(net, torch.from_numpy(from_eeg(given.models, captions)), y[FIRST:])
    print(f"{len(units)} words; right words and whole captions from embeddings {clean}, from EEG (captions new to the encoder) {heard}")
    manifest = {
        "#": "The embedding of a caption to its words.",
        "input": {"axes": ["one", "numbers"]},
        "output": {"name": "words", "kind": "sequence", "classes": units},
        "provenance": {"script": f"docs/training/text/words.py, seed {SEED}", "data": "docs/training/text/captions.txt",
                       "right_words_and_captions_from_embeddings": clean, "right_words_and_captions_from_eeg": heard},
    }
    export(net, given.models / "text_words", {"embedding": embeddings}, ["words"], manifest)


def from_eeg(models, captions):
    """What the encoder makes of one new trial of each caption that it never learned from."""
    which = world.read(models / "worlds/text.safetensors")
    items = np.arange(FIRST, len(captions))
    x = scores.robust(world.simulate(which, items, planted.SEED + 400, planted.START_S, planted.LENGTH_S)).transpose(0, 2, 1)
    session = onnxruntime.InferenceSession(str(models / "text.onnx"), providers=["CPUExecutionProvider"])
    places = heads.scaled_places(which.positions)
    return np.concatenate([session.run(["embedding"], {"x": row[None], "positions": places})[0] for row in x])


def score(net, x, y):
    """Share of steps that are right, and of captions that are so as a whole."""
    with torch.no_grad():
        right = net(x).argmax(2) == y
    return [round(float(v), 3) for v in (right.float().mean(), right.all(1).float().mean())]


if __name__ == "__main__":
    main()
