"""Convolutional encoder against ridge regression on the planted MEG worlds: retrieval of images that were never learned from.

    python benchmark.py [--epochs FOLDER] [--scores FILE.json] [--models FOLDER]

writes the trials to FOLDER for `saltatory fit` and `evaluate` (meg_train.safetensors and so on; 590 MB and 390 MB a setting), and scores both
decoders on the same trials. The encoder of the low-signal setting is the committed one, run by ONNX Runtime; that of the other
setting is trained here.

The ridge gets the whole window (all samples of all channels), scaled robustly, the penalty of each of the 64 targets chosen by
5-fold cross-validation over items on a grid of 28 from 1e-5 to 1e4 of the mean kernel. It is tried with the scale of each window (as
the encoder has it) and with that of the channel over all training trials, and the better cross-validated one is scored.
"""

import argparse
import json
import pathlib

import numpy as np
import onnxruntime
import planted
import torch
import train
import world
from common import heads, scores
from common.convolution import predict, train_encoder
from common.ridge import Ridge

FIRST = planted.ITEMS - planted.HELD_OUT


def channel_scaled(x, like):
    """Median 0 and quartiles 1 apart of each channel over all trials of `like`."""
    low, middle, high = np.percentile(like[::10], [25, 50, 75], axis=(0, 1))
    return (np.clip((x - middle) / (high - low), -train.CLAMP, train.CLAMP)).astype(np.float32)


def by_ridge(x, items, x_test, embeddings):
    """The predictions of the better of two scalings."""
    fits = {}
    for name, scale in (("window", lambda v: scores.robust(v)), ("channel", lambda v: channel_scaled(v, x))):
        flat = lambda v: scale(v).reshape(len(v), -1)
        ridge = Ridge().fit(flat(x), embeddings[items], items)
        fits[name] = (ridge.error, ridge.predict(flat(x_test)))
        print(f"ridge, scaled by {name}: cross-validated error {ridge.error:.4f} of the variance", flush=True)
    best = min(fits, key=lambda name: fits[name][0])
    return best, fits[best][1]


def by_model(path, x, positions):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    rows = [session.run(["embedding"], {"x": t.T[None], "positions": positions})[0] for t in x]
    return np.concatenate(rows)


def score(name, models, folder):
    """All scores of one setting."""
    which = world.read(models / f"worlds/{name}.safetensors")
    (x, items), (x_test, test) = planted.sessions(which, train.REPETITIONS, train.TEST_REPETITIONS)
    if folder:
        world.write_epochs(folder / f"{name}_train.safetensors", which, x, items, planted.START_S)
        world.write_epochs(folder / f"{name}_test.safetensors", which, x_test, test, planted.START_S)
    embeddings, positions = planted.embeddings(planted.latents()), heads.scaled_places(which.positions)
    scaling, linear = by_ridge(x, items, x_test, embeddings)
    x, x_test = scores.robust(x), scores.robust(x_test)
    if name == "meg":
        deep = by_model(models / "meg.onnx", x_test, positions)
    else:
        deep = predict(train_encoder(x, items, embeddings, positions, train.EPOCHS, train.SEED), x_test, positions)
    truth, gallery = test - FIRST, embeddings[FIRST:]
    result = {"train_trials": len(items), "test_trials": len(test), "chance_top_1": 1 / len(gallery), "chance_top_5": 5 / len(gallery),
              "ridge_scaling": scaling, "ridge": scores.retrieval(f"{name}: ridge", linear, gallery, truth),
              "encoder": scores.retrieval(f"{name}: convolutional encoder", deep, gallery, truth)}
    (mean_deep, at), (mean_linear, _) = scores.averaged(deep, truth), scores.averaged(linear, truth)
    for how, d, l, t in (("single", deep, linear, truth), ("averaged", mean_deep, mean_linear, at)):
        ratio, (low, high) = scores.ratio_interval(scores.hits(d, gallery, t, 5), scores.hits(l, gallery, t, 5), t)
        result[f"{how} top-5 ratio"] = [round(float(v), 2) for v in (ratio, low, high)]
        print(f"{name}: {how} top-5, encoder over ridge {ratio:.2f} [{low:.2f}, {high:.2f}]", flush=True)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=pathlib.Path, default=world.models())
    parser.add_argument("--epochs", type=pathlib.Path, help="a folder for the trials")
    parser.add_argument("--scores", type=pathlib.Path, default=pathlib.Path(__file__).with_name("scores.json"))
    parser.add_argument("--only", choices=["meg", "meg_high"])
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if given.epochs:
        given.epochs.mkdir(parents=True, exist_ok=True)
    done = json.loads(given.scores.read_text()) if given.scores.exists() else {}
    for name in ("meg", "meg_high"):
        if given.only in (None, name):
            done[name] = score(name, given.models, given.epochs)
            given.scores.write_text("{\n" + ",\n".join(f' "{k}": {json.dumps(v)}' for k, v in done.items()) + "\n}\n")


if __name__ == "__main__":
    main()
