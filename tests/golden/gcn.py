"""Reference arrays for the graph convolutional network, in plain NumPy.

Run from the root of the checkout: .venv/bin/python tests/golden/gcn.py
Writes tests/golden/gcn.safetensors (float64). Needs NumPy and safetensors only.

For each case: graphs, a network with random parameters, its probabilities, the loss (cross-entropy, the
mean over graphs by their weights) and its gradient by central differences, which know nothing of backpropagation.
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

GRAPHS, NODES, FEATURES, HIDDEN, EMBEDDING, CLASSES = 7, 6, 3, 5, 4, 3
STEP = 1e-6
NAMES = ["weights_1", "bias_1", "weights_2", "bias_2", "weights_head", "bias_head"]


def graphs(rng):
    """Weights, lengths and features: each node has an edge to its two nearest, but the last node has none."""
    features = rng.normal(2.0, 3.0, (GRAPHS, NODES, FEATURES))
    lengths = np.linalg.norm(features[:, :, None] - features[:, None], axis=-1) / 4
    near = np.argsort(np.argsort(lengths, axis=-1), axis=-1)
    edges = (near <= 2) & (near > 0)
    edges |= edges.transpose(0, 2, 1)
    edges[:, -1] = edges[:, :, -1] = False
    weights = np.exp(-(lengths**2) / 2)
    return np.where(edges, weights, 0), np.where(edges, lengths, 0), features


def parameters(rng, pool, identity):
    inputs = FEATURES + NODES * identity
    pooled = EMBEDDING * (NODES if pool == "concat" else 1)
    shapes = [(inputs, HIDDEN), (1, HIDDEN), (HIDDEN, EMBEDDING), (1, EMBEDDING), (pooled, CLASSES), (1, CLASSES)]
    return [rng.normal(0, 0.6, shape) for shape in shapes]


def probabilities(theta, adjacency, x, pool, identity):
    """Of one graph."""
    w1, b1, w2, b2, w3, b3 = theta
    loops = adjacency + np.eye(NODES)
    roots = np.diag(loops.sum(axis=1) ** -0.5)
    mixing = roots @ loops @ roots
    if identity:
        x = np.hstack([x, np.eye(NODES)])
    first = np.maximum(mixing @ x @ w1 + b1, 0)
    second = np.maximum(mixing @ first @ w2 + b2, 0)
    pooled = second.mean(axis=0) if pool == "mean" else second.ravel()
    logits = pooled @ w3 + b3[0]
    odds = np.exp(logits - logits.max())
    return odds / odds.sum()


def case(rng, pool, identity, adjacency):
    weights, lengths, features = graphs(rng)
    mean, scale = rng.normal(2, 1, (NODES, FEATURES)), rng.uniform(1, 4, (NODES, FEATURES))
    labels = np.arange(GRAPHS) % CLASSES
    counts = rng.uniform(0.5, 2, GRAPHS)
    theta = parameters(rng, pool, identity)
    a = weights if adjacency == "weights" else np.where(weights > 0, np.exp(-lengths), 0)
    x = (features - mean) / scale

    def decide(theta):
        return np.array([probabilities(theta, a[i], x[i], pool, identity) for i in range(GRAPHS)])

    def loss(theta):
        own = decide(theta)[np.arange(GRAPHS), labels]
        return -(counts * np.log(own)).sum() / counts.sum()

    gradient = [np.zeros_like(array) for array in theta]
    for array, slopes in zip(theta, gradient):
        for place in np.ndindex(array.shape):
            kept = array[place]
            array[place] = kept + STEP
            above = loss(theta)
            array[place] = kept - STEP
            slopes[place] = (above - loss(theta)) / (2 * STEP)
            array[place] = kept
    return {
        "weights": weights,
        "lengths": lengths,
        "features": features,
        "adjacency": a,
        "standardised": x,
        "labels": labels,
        "counts": counts,
        "mean": mean,
        "scale": scale,
        **dict(zip(NAMES, theta)),
        "probabilities": decide(theta),
        "loss": [loss(theta)],
        **{f"gradient_{name}": slopes for name, slopes in zip(NAMES, gradient)},
    }


arrays = {}
rng = np.random.default_rng(20260211)
for pool in ("mean", "concat"):
    for identity in (False, True):
        for adjacency in ("lengths", "weights"):
            name = f"{pool}.{str(identity).lower()}.{adjacency}"
            for key, value in case(rng, pool, identity, adjacency).items():
                arrays[f"{name}.{key}"] = np.ascontiguousarray(value, float)
path = Path(__file__).with_suffix(".safetensors")
save_file(arrays, path)
print(path, f"{path.stat().st_size} bytes, {len(arrays)} arrays")
