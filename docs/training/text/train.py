"""Trains an encoder of EEG into the space of captions, and writes world, gallery, model and parity samples.

    python train.py [--models FOLDER]
"""

import argparse
import pathlib

import numpy as np
import planted
import torch
import world
from common import heads, scores
from common.convolution import predict, train_encoder
from common.export import export

SEED = 10
# Captions from FIRST on are never learned from.
FIRST, REPETITIONS, TEST_REPETITIONS, EPOCHS = 150, 20, 20, 24


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=pathlib.Path, default=world.models())
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    path = given.models / "worlds/text.safetensors"
    world.write(planted.make(), path)
    which, embeddings = world.read(path), planted.embeddings(planted.latents())
    world.write_gallery(given.models / "galleries/text.safetensors", which.items, embeddings)
    session = lambda first, last, times, seed: np.random.default_rng(planted.SEED + seed).permutation(np.tile(np.arange(first, last), times))
    learn, test = session(0, FIRST, REPETITIONS, 100), session(0, len(which.items), TEST_REPETITIONS, 200)
    cut = lambda items, seed: scores.robust(world.simulate(which, items, planted.SEED + seed, planted.START_S, planted.LENGTH_S))
    x, x_test, positions = cut(learn, 101), cut(test, 201), heads.scaled_places(which.positions)
    net = train_encoder(x, learn, embeddings, positions, EPOCHS, SEED, terms=8, virtual=24, width=48)
    guess, known = predict(net, x_test, positions), test < FIRST
    found = {}
    for name, rows in (("captions it learned from", known), ("captions it never learned from", ~known)):
        found[name] = scores.retrieval(f"{name}, among all 200", guess[rows], embeddings, test[rows])
    manifest = {
        "#": "Planted EEG to the embedding of the caption that was heard.",
        "input": {"axes": ["one", "channels", "samples"], "rate_hz": which.rate_hz, "scaling": "robust", "clamp": 20.0,
                  "positions": "positions"},
        "output": {"name": "embedding", "kind": "embedding"},
        "provenance": {"script": f"docs/training/text/train.py, seed {SEED}", "data": "simulated: models/worlds/text.safetensors",
                       "trials": len(learn), "window_s": [planted.START_S, planted.START_S + planted.LENGTH_S],
                       "tested_on": f"among all 200 captions, {TEST_REPETITIONS} new trials each; value and 95 % interval",
                       "learned_top_5": found["captions it learned from"]["single top-5"],
                       "new_top_5": found["captions it never learned from"]["single top-5"],
                       "new_averaged_top_5": found["captions it never learned from"]["averaged top-5"], "chance_top_5": 5 / len(which.items)},
    }
    export(net, given.models / "text", {"x": x_test.transpose(0, 2, 1), "positions": positions}, ["embedding", "estimate"], manifest, True)


if __name__ == "__main__":
    main()
