"""Ridge regression from many features to many targets, in its dual form, the penalty of each target by cross-validation over items."""

import numpy as np

# As shares of the mean of the kernel's diagonal.
PENALTIES = np.logspace(-5, 4, 28)
FOLDS = 5


class Ridge:
    """Trials are rows. Features and targets are centred on the training data; no item is in two folds."""

    def fit(self, x, y, items, seed=0):
        self.x, self.mean, self.offset = x, x.mean(0), y.mean(0)
        kernel = (x @ x.T).astype(np.float64)
        self.scale = np.mean(np.diag(_centred(kernel)))
        fold = np.random.default_rng(seed).permutation(items.max() + 1)[items] % FOLDS
        errors = np.zeros((len(PENALTIES), y.shape[1]))
        for f in range(FOLDS):
            inside, outside = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
            block = kernel[np.ix_(inside, inside)]
            across = kernel[np.ix_(outside, inside)]
            # The kernel between features less the mean of the training part.
            across = across - across.mean(1, keepdims=True) - block.mean(0) + block.mean()
            for p, guess in enumerate(_solutions(_centred(block), across, y[inside])):
                errors[p] += ((guess - y[outside]) ** 2).sum(0)
        best = errors.argmin(0)
        self.penalties = PENALTIES[best]
        # Cross-validated, all targets together, as a share of their variance.
        self.error = float(errors.min(0).sum() / ((y - self.offset) ** 2).sum())
        values, vectors = np.linalg.eigh(_centred(kernel))
        turned = vectors.T @ (y - self.offset)
        self.dual = vectors @ (turned / (np.maximum(values, 0)[:, None] + self.penalties * self.scale))
        return self

    def predict(self, x):
        weights = self.x.T @ self.dual.astype(np.float32)
        weights -= np.outer(self.mean, self.dual.sum(0))
        return (x - self.mean) @ weights + self.offset


def _centred(kernel):
    means = kernel.mean(0)
    return kernel - means - means[:, None] + means.mean()


def _solutions(kernel, across, y):
    """The predictions for each penalty."""
    values, vectors = np.linalg.eigh(kernel)
    offset, scale = y.mean(0), np.mean(np.diag(kernel))
    turned, across = vectors.T @ (y - offset), across @ vectors
    for penalty in PENALTIES:
        yield across @ (turned / (np.maximum(values, 0)[:, None] + penalty * scale)) + offset
