"""Train the denoiser and export it.

    python train.py EPOCHS.npz models/denoiser

Writes models/denoiser.onnx, and models/denoiser.npz with eight windows and PyTorch's answers to them. One thread,
seeded: the same versions give the same weights. The weights kept are the average (decay 0.999) of those passed, at
the step where the validation subjects were cleaned best.
"""

import argparse
import time
from copy import deepcopy

import numpy as np
import onnx
import torch
from torch import nn

import data
from mixing import Mixer
from model import SAMPLES, Denoiser

SEED = 20261129
BATCH = 32
STEPS = 24000
RATE = 1e-3
REFINE_STEPS, REFINE_RATE = 4000, 3e-4
WARM_UP = 100
DECAY = 0.999
CHOSEN_BY = {"both": ("ocular", "muscle"), "ocular": ("ocular", "blinks", "blinks"), "muscle": ("muscle",)}
CALM_WEIGHT = {"both": 0.0, "ocular": 0.2, "muscle": 0.0}
CHECK_EVERY = 500
VALIDATION_SNR_DB = (-7.0, -2.5, 2.0)
VALIDATION_PAIRS = 300


def loss(estimate, target, mixture, calm_weight):
    """1 - correlation, the relative error, and that error where the artefact rests."""
    error, power = (estimate - target) ** 2, target ** 2
    value = 1 - correlation(estimate, target) + 0.4 * relative(error, power)
    if calm_weight:
        rest = calm(mixture - target)
        value = value + calm_weight * relative(error * rest, power * rest + 1e-3)
    return value.mean()


def relative(error, power):
    return torch.sqrt(error.sum(-1) / power.sum(-1) + 1e-4)


def calm(artefact):
    """1 where it stays below 15 % of its peak for 65 ms to both sides, else 0; never for muscle or clean EEG."""
    size = artefact.abs()
    return (nn.functional.max_pool1d(size[:, None], 33, 1, 16)[:, 0] < 0.15 * size.amax(-1, keepdim=True)).float()


def correlation(a, b):
    a, b = a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True)
    return (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1) + 1e-8)


def validation_set(path):
    """{kind: (mixtures, targets)} at three levels, the same pairs in every run; subjects weigh the same."""
    epochs, rng = data.with_blinks(data.load(path, "validation")), np.random.default_rng(SEED)
    out = {}
    for kind in ("ocular", "muscle", "blinks"):
        clean = epochs["clean"][balanced(rng, epochs["clean_subject"])]
        artefact = epochs[kind][balanced(rng, epochs[f"{kind}_subject"])]
        mixed = [data.mix(clean, artefact, np.full(len(clean), snr)) for snr in VALIDATION_SNR_DB]
        out[kind] = [torch.from_numpy(np.concatenate(part)) for part in zip(*mixed)]
    return out


def balanced(rng, subjects):
    names = np.unique(subjects)
    return np.concatenate([rng.choice(np.flatnonzero(subjects == name), VALIDATION_PAIRS // len(names))
                           for name in names])


@torch.no_grad()
def validate(model, sets):
    """{kind: mean correlation at each validation level}."""
    model.eval()
    out = {kind: correlation(model(x), y).view(len(VALIDATION_SNR_DB), -1).mean(1).tolist()
           for kind, (x, y) in sets.items()}
    model.train()
    return out


def train(path, stem, steps, kind, refine):
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    mixer, sets = Mixer(data.load(path, "train"), SEED, kind, refine), validation_set(path)
    model = Denoiser()
    if refine:
        model.load_state_dict(torch.load(f"{stem}.pt"))
    average, best, best_score, kept = deepcopy(model), None, -1.0, 0
    optimiser = torch.optim.AdamW(model.parameters(), REFINE_RATE if refine else RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(
        (step + 1) / WARM_UP, 0.5 * (1 + np.cos(np.pi * step / steps)) + 0.01))
    started, running = time.time(), 0.0
    for step in range(1, steps + 1):
        x, y = map(torch.from_numpy, mixer.batch(BATCH))
        value = loss(model(x), y, x, CALM_WEIGHT[kind])
        optimiser.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        keep = min(DECAY, step / (step + 10))
        for mean, now in zip(average.parameters(), model.parameters()):
            mean.data.lerp_(now.data, 1 - keep)
        running += value.item() / CHECK_EVERY
        if step % CHECK_EVERY == 0 or step == steps:
            scores = validate(average, sets)
            score = np.mean([scores[name] for name in CHOSEN_BY[kind]])
            shown = {name: " ".join(f"{v:.4f}" for v in row) for name, row in scores.items()}
            print(f"{step} {time.time() - started:.0f}s loss {running:.4f} validation {score:.4f} {shown}", flush=True)
            running = 0.0
            if score > best_score:
                best, best_score, kept = deepcopy(average), score, step
                torch.save(best.state_dict(), f"{stem}.pt")
    return best.eval(), best_score, kept


def export(model, stem, path):
    x = torch.zeros(2, SAMPLES)
    torch.onnx.export(model, (x,), f"{stem}.onnx", input_names=["x"], output_names=["y"], opset_version=17,
                      dynamic_axes={"x": {0: "channels"}, "y": {0: "channels"}}, dynamo=False)
    onnx.checker.check_model(f"{stem}.onnx", full_check=True)
    with torch.no_grad():
        batch = parity_windows(path)
        np.savez(f"{stem}.npz", x=batch.numpy(), y=model(batch).numpy())


def parity_windows(path):
    """Eight mixtures of the validation subjects: four of each artefact, at -7, -4, -1 and 2 dB."""
    epochs = data.load(path, "validation")
    rows = [data.mix(epochs["clean"][7 * i], epochs[kind][5 * i], np.float32(snr))[0]
            for kind in ("ocular", "muscle") for i, snr in enumerate((-7, -4, -1, 2))]
    return torch.from_numpy(np.stack(rows).astype(np.float32))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("epochs")
    parser.add_argument("stem", help="where to write: STEM.onnx and STEM.npz")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--refine", action="store_true", help="go on from STEM.pt, with more of the mixtures around 2 dB")
    parser.add_argument("--kind", default="both", choices=("both", "ocular", "muscle"), help="the artefact to learn")
    args = parser.parse_args()
    steps = args.steps or (REFINE_STEPS if args.refine else STEPS)
    model, score, kept = train(args.epochs, args.stem, steps, args.kind, args.refine)
    export(model, args.stem, args.epochs)
    print(f"validation {score:.4f} at step {kept}, {sum(p.numel() for p in model.parameters())} weights")


if __name__ == "__main__":
    main()
