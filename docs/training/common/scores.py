"""Retrieval scores, with what chance is and how sure they are."""

import numpy as np


def unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def robust(x, clamp=20.0):
    """Windows (trials x samples x channels) as the manifest's `scaling = "robust"` with `clamp` makes them."""
    low, middle, high = np.percentile(x, [25, 50, 75], axis=1, keepdims=True)
    return np.clip((x - middle) / np.maximum(high - low, 1e-30), -clamp, clamp).astype(np.float32)


def hits(guess, gallery, truth, k):
    """Whether the row `truth` of `gallery` is among the `k` nearest (cosine) to each guess."""
    scores = unit(guess) @ unit(gallery).T
    own = scores[np.arange(len(guess)), truth]
    return (scores > own[:, None]).sum(1) < k


def averaged(guess, truth):
    """The mean of the guesses for each item, and the items."""
    items = np.unique(truth)
    return np.array([unit(guess[truth == i]).mean(0) for i in items]), items


def interval(right, truth, seed=0, rounds=2000):
    """95 % interval of the mean of `right`, from drawing items (not trials) with replacement."""
    per_item = np.array([right[truth == i].mean() for i in np.unique(truth)])
    draws = np.random.default_rng(seed).integers(0, len(per_item), (rounds, len(per_item)))
    return np.percentile(per_item[draws].mean(1), [2.5, 97.5])


def ratio_interval(a, b, truth, seed=0, rounds=2000):
    """Mean of `a` over mean of `b`, with its 95 % interval, items drawn with replacement for both alike."""
    items = np.unique(truth)
    a, b = (np.array([x[truth == i].mean() for i in items]) for x in (a, b))
    draws = np.random.default_rng(seed).integers(0, len(items), (rounds, len(items)))
    return a.mean() / max(b.mean(), 1e-9), np.percentile(a[draws].mean(1) / np.maximum(b[draws].mean(1), 1e-9), [2.5, 97.5])


def retrieval(name, guess, gallery, truth):
    """Prints and returns top-1 and top-5 of single trials and of predictions averaged over the repetitions of an item."""
    mean, items = averaged(guess, truth)
    scores = {}
    for how, g, t in (("single", guess, truth), ("averaged", mean, items)):
        for k in (1, 5):
            right = hits(g, gallery, t, k)
            low, high = interval(right, t)
            scores[f"{how} top-{k}"] = [round(float(v), 4) for v in (right.mean(), low, high)]
    show = ", ".join(f"{k} {v[0]:.3f} [{v[1]:.3f}, {v[2]:.3f}]" for k, v in scores.items())
    print(f"{name}: {show}; chance {1 / len(gallery):.4f}, {5 / len(gallery):.4f}", flush=True)
    return scores
