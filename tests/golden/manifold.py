"""Reference arrays for graphs, eigenmaps, diffusion maps and what belongs to them (src/math/manifold).

Run from the root of the checkout: .venv/bin/python tests/golden/manifold.py
Writes tests/golden/manifold.safetensors (float64). Made with numpy 2.4, scipy 1.17, scikit-learn 1.9.1,
pyriemann 0.12.

Where a library has it, the library is asked; kernels of neighbours, landmarks and diffusion maps are
written here the plain way, from the formulas. Eigenvectors are compared up to sign; every case keeps its
eigenvalues apart (asserted below), without which they would not be defined.
"""

from pathlib import Path

import numpy as np
from pyriemann.embedding import SpectralEmbedding as Riemannian
from pyriemann.geometry.distance import pairwise_distance
from pyriemann.geometry.mean import mean_riemann
from pyriemann.geometry.tangentspace import tangent_space
from safetensors.numpy import save_file
from scipy.linalg import eigh, orthogonal_procrustes
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.manifold import SpectralEmbedding

arrays = {}
rng = np.random.default_rng(20260101)


def put(name, **values):
    arrays.update({f"{name}.{k}": np.ascontiguousarray(v, float) for k, v in values.items()})


def scale(distances):
    """pyRiemann's epsilon: half the squared median of the whole matrix, diagonal and all."""
    return np.median(distances) ** 2 / 2


def heat(distances, epsilon):
    return np.exp(-(distances**2) / (4 * epsilon))


def neighbours(distances, k):
    """True where one is among the k nearest others of the other."""
    n = len(distances)
    near = np.zeros((n, n), bool)
    for i in range(n):
        order = [j for j in np.argsort(distances[i], kind="stable") if j != i]
        near[i, order[:k]] = True
    return near | near.T


def laplacian(weights, m):
    """The m smallest but the first of (D - W) y = lambda D y."""
    degrees = np.diag(weights.sum(1))
    values, vectors = eigh(degrees - weights, degrees)
    gaps = np.diff(values[: m + 2])
    assert gaps.min() > 1e-3, gaps
    return values[1 : m + 1], vectors[:, 1 : m + 1]


# --- one graph for each window ------------------------------------------------------------------

for name, n, f, k, m in [("small", 8, 5, 3, 2), ("usual", 32, 40, 8, 3), ("large", 64, 30, 8, 4)]:
    # Nodes on a curved sheet, seen by many noisy features.
    sheet = rng.uniform(-1, 1, (n, 2))
    x = np.tanh(sheet @ rng.standard_normal((2, f))) + 0.05 * rng.standard_normal((n, f))
    for kind, metric in [("euclidean", "euclidean"), ("correlation", "correlation")]:
        distances = cdist(x, x, metric)
        np.fill_diagonal(distances, 0)
        weights = heat(distances, scale(distances)) * neighbours(distances, k)
        np.fill_diagonal(weights, 0)
        values, vectors = laplacian(weights, m)
        put(f"graph.{name}.{kind}", x=x, k=k, weights=weights)
        if n < 64:
            put(f"graph.{name}.{kind}", lengths=distances * (weights > 0))
        put(f"graph.{name}.{kind}", values=values, vectors=vectors)
        embedding = SpectralEmbedding(m, affinity="precomputed")
        put(f"graph.{name}.{kind}", sklearn=embedding.fit_transform(weights))

n = 12
mixing = rng.standard_normal((n, n)) * np.exp(-0.4 * np.abs(np.subtract.outer(range(n), range(n))))
covariance = mixing @ mixing.T
power = np.diag(covariance)
correlation = covariance / np.sqrt(np.outer(power, power))
put(
    "channels",
    x=covariance,
    euclidean=np.sqrt(np.maximum(power[:, None] + power - 2 * covariance, 0)),
    correlation=np.sqrt(2 * np.maximum(1 - np.abs(correlation), 0)),
)

# --- windows as nodes -----------------------------------------------------------------------------


def covariances(count, n):
    """Windows along a slow loop in the space of covariance matrices."""
    angle = np.linspace(0, 1.7 * np.pi, count)
    base = rng.standard_normal((n, n))
    x = []
    for a in angle:
        gains = np.exp(0.8 * np.array([np.cos(a), np.sin(a), 0.5 * np.cos(2 * a)] + [0] * (n - 3)))
        sources = rng.standard_normal((n, 40 * n)) * gains[:, None]
        y = base @ sources
        x.append(y @ y.T / y.shape[1])
    return np.array(x)


matrices = covariances(40, 5)
for metric in ["riemann", "logeuclid", "euclid"]:
    put(
        f"pyriemann.{metric}",
        x=matrices,
        distances=pairwise_distance(matrices, metric=metric),
        embedding=Riemannian(n_components=2, metric=metric).fit(matrices).embedding_,
    )


def walk(distances, masses, m, time, density, k):
    """A diffusion map of landmarks: eigenvalues and coordinates mu^t psi, and a function that gives
    the coordinates of a point from its distances to the landmarks, for the dense kernel."""
    epsilon = scale(np.repeat(np.repeat(distances, masses, 0), masses, 1))
    kernel = heat(distances, epsilon)
    if k:
        kernel = kernel * (neighbours(distances, k) | np.eye(len(distances), dtype=bool))
    q = kernel @ masses
    weights = kernel * np.outer(masses, masses) / np.outer(q, q) ** density
    degrees = weights.sum(1)
    # The walk itself, without symmetric tricks.
    values, vectors = np.linalg.eig(weights / degrees[:, None])
    order = np.argsort(-values.real)[: m + 2]
    values, vectors = values[order].real, vectors[:, order].real
    assert np.diff(-values).min() > 1e-3 and abs(values[0] - 1) < 1e-12, values
    vectors = vectors / np.sqrt((degrees @ vectors**2) / degrees.sum())
    values, psi = values[1 : m + 1], vectors[:, 1 : m + 1]

    def outside(d):
        p = heat(d, epsilon) * masses / q**density
        return p @ psi / p.sum(1, keepdims=True) * values ** (time - 1)

    return values, psi * values**time, outside


angle = rng.uniform(0, 1.5 * np.pi, 36)
x = np.column_stack([np.cos(angle), np.sin(angle), 0.3 * angle, 0.1 * rng.standard_normal(36)])
new = x[:6] + 0.05 * rng.standard_normal((6, 4))
masses = rng.integers(1, 5, 36)
for name, time, density, k, counted in [
    ("plain", 0, 0, 0, False),
    ("walk", 2, 1, 0, False),
    ("half", 1, 0.5, 0, True),
    ("near", 1, 1, 7, False),
]:
    weights = masses if counted else np.ones(36, int)
    values, y, outside = walk(cdist(x, x), weights, 2, time, density, k)
    put(f"walk.{name}", x=x, masses=weights, time=time, density=density, k=k, values=values, y=y)
    if not k:
        put(f"walk.{name}", new=new, mapped=outside(cdist(new, x)))

# --- principal components and rotations -------------------------------------------------------------

for name, count, p in [("many", 60, 7), ("few", 9, 20)]:
    x = rng.standard_normal((count, 3)) @ rng.standard_normal((3, p)) * 2
    x += 0.3 * rng.standard_normal((count, p)) + rng.standard_normal(p)
    pca = PCA(3, svd_solver="full").fit(x)
    put(f"pca.{name}", x=x, directions=pca.components_, y=pca.transform(x))
    put(f"pca.{name}", variances=pca.explained_variance_ * (count - 1) / count)

mean = mean_riemann(matrices, tol=1e-12, maxiter=200)
vectors = tangent_space(matrices, mean)
put("pca.matrices", x=matrices, y=PCA(2, svd_solver="full").fit_transform(vectors))

for m in [1, 2, 5]:
    a, b = rng.standard_normal((2, 11, m))
    rotation, _ = orthogonal_procrustes(a, b)
    put(f"procrustes.{m}", a=a, b=b, rotated=a @ rotation)

path = Path(__file__).with_suffix(".safetensors")
save_file(arrays, path)
print(f"{len(arrays)} arrays, {path.stat().st_size} bytes")
