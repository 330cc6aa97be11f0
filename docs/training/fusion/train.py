"""Trains an EEG and an MEG encoder into one space, and writes worlds, gallery, models and parity samples.

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

SEED = 4
REPETITIONS, TEST_REPETITIONS, EPOCHS = 4, 10, 16
FIRST = planted.ITEMS - planted.HELD_OUT


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=pathlib.Path, default=world.models())
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    embeddings = planted.embeddings(planted.latents())
    learn = planted.sequence(0, FIRST, REPETITIONS, 100)
    test = planted.sequence(FIRST, planted.ITEMS, TEST_REPETITIONS, 200)
    guesses, found, made = {}, {}, {}
    for kind in ("MEG", "EEG"):
        path = given.models / f"worlds/fusion_{kind.lower()}.safetensors"
        world.write(planted.make(kind), path)
        which = world.read(path)
        cut = lambda items, seed: scores.robust(world.simulate(which, items, planted.SEED + seed, planted.START_S, planted.LENGTH_S))
        x, x_test, positions = cut(learn, 101), cut(test, 201), heads.scaled_places(which.positions)
        net = train_encoder(x, learn, embeddings, positions, EPOCHS, SEED, terms=8, virtual=32, width=48)
        guesses[kind] = predict(net, x_test, positions)
        found[kind] = scores.retrieval(kind, guesses[kind], embeddings[FIRST:], test - FIRST)
        made[kind] = (net, {"x": x_test.transpose(0, 2, 1), "positions": positions}, which.rate_hz)
    both = scores.retrieval("mean of both", guesses["EEG"] + guesses["MEG"], embeddings[FIRST:], test - FIRST)
    world.write_gallery(given.models / "galleries/fusion.safetensors", planted.make("EEG").items, embeddings)
    for kind, (net, inputs, rate_hz) in made.items():
        manifest = {
            "#": f"Planted {kind} to an embedding that it shares with the other of EEG and MEG.",
            "input": {"axes": ["one", "channels", "samples"], "rate_hz": rate_hz, "scaling": "robust", "clamp": 20.0,
                      "positions": "positions"},
            "output": {"name": "embedding", "kind": "embedding"},
            "provenance": {"script": f"docs/training/fusion/train.py, seed {SEED}", "trials": len(learn),
                           "data": f"simulated: models/worlds/fusion_{kind.lower()}.safetensors",
                           "window_s": [planted.START_S, planted.START_S + planted.LENGTH_S],
                           "tested_on": "100 items that were never learned from, 10 trials each; value and 95 % interval",
                           "single_top_5": found[kind]["single top-5"], "single_top_5_of_both": both["single top-5"],
                           "chance_top_5": 5 / planted.HELD_OUT},
        }
        export(net, given.models / f"fusion_{kind.lower()}", inputs, ["embedding", "estimate"], manifest, True)


if __name__ == "__main__":
    main()
