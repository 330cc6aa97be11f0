"""Reference arrays for the classifiers: SVM, LDA, elastic net, CSP, FgMDM, rejection.

Run from the root of the checkout: .venv/bin/python tests/golden/classifiers.py
Writes tests/golden/classifiers.safetensors (float64). Made with pyriemann 0.12, scikit-learn 1.9.1.
"""

from pathlib import Path
import warnings

import numpy as np
from pyriemann.classification import MDM, FgMDM
from pyriemann.spatialfilters import CSP
from safetensors.numpy import save_file
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import SVC

arrays = {}


def put(name, **values):
    for key, value in values.items():
        arrays[f"{name}.{key}"] = np.ascontiguousarray(value, float)


def vectors(n, p, classes, seed, spread=0.6):
    """Examples of clouds that overlap, in shuffled order, and some more that are held out."""
    rng = np.random.default_rng([n, p, classes, seed])
    y = rng.permutation(np.arange(n) % classes)
    centres = spread * rng.standard_normal((classes, p))
    scale = np.exp(0.5 * rng.standard_normal(p))
    x = scale * (centres[y] + rng.standard_normal((n, p)))
    truth = np.arange(24) % classes
    held_out = scale * (centres[truth] + rng.standard_normal((24, p)))
    return x, y, held_out


def svm_case(name, n, p, classes, c, kernel, gamma):
    x, y, held_out = vectors(n, p, classes, 1)
    svc = SVC(C=c, kernel=kernel, gamma=gamma, tol=1e-10, cache_size=500)
    folds = StratifiedKFold(5)
    calibrated = CalibratedClassifierCV(svc, method="sigmoid", ensemble=False, cv=folds).fit(x, y)
    svc.fit(x, y)
    pairs = SVC(C=c, kernel=kernel, gamma=gamma, tol=1e-10, decision_function_shape="ovo").fit(x, y)
    # Of two classes scikit-learn turns the sign to speak for the second; of more it does not.
    decisions = pairs.decision_function(held_out).reshape(len(held_out), -1)
    put(
        name, x=x, y=y, held_out=held_out, c=[c], gamma=[-1 if gamma == "scale" else gamma],
        decisions=decisions if classes == 2 else -decisions,
        decided=svc.predict(held_out), probabilities=calibrated.predict_proba(held_out),
    )


def lda_case(name, n, p, classes, shrinkage):
    x, y, held_out = vectors(n, p, classes, 2)
    if shrinkage == "auto":
        x[:, 1] = 2.0  # a number that never changes
    lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(x, y)
    share = {"auto": -1, None: 0}.get(shrinkage, shrinkage)
    put(
        name, x=x, y=y, held_out=held_out, shrinkage=[share],
        decided=lda.predict(held_out), probabilities=lda.predict_proba(held_out),
    )


def elastic_case(name, n, p, classes, c, ratio):
    x, y, held_out = vectors(n, p, classes, 3)
    model = LogisticRegression(
        C=c, l1_ratio=ratio, solver="saga", tol=1e-13, max_iter=1_000_000, random_state=0
    ).fit(x, y)
    put(
        name, x=x, y=y, held_out=held_out, c=[c], ratio=[ratio], coef=model.coef_,
        decided=model.predict(held_out), probabilities=model.predict_proba(held_out),
    )


def matrices(count, n, classes, seed):
    """Covariances of trials: the sources of a class are stronger than those of the others."""
    rng = np.random.default_rng([count, n, classes, seed])
    mixing = rng.standard_normal((n, n))
    y = rng.permutation(np.arange(count) % classes)
    power = np.ones((count, n)) * np.exp(0.3 * rng.standard_normal((count, n)))
    power[np.arange(count), y] *= 1.8
    sources = np.sqrt(power)[:, :, None] * rng.standard_normal((count, n, 5 * n))
    x = mixing @ (sources @ sources.transpose(0, 2, 1) / (5 * n)) @ mixing.T
    return (x + x.transpose(0, 2, 1)) / 2, y


def halves(count, n, classes, seed):
    """Matrices to learn from and some that are held out."""
    x, y = matrices(count + 16, n, classes, seed)
    assert len(set(y[:count])) == classes
    return x[:count], y[:count], x[count:]


def csp_case(name, count, n, classes, filters):
    x, y, held_out = halves(count, n, classes, 4)
    csp = CSP(nfilter=filters).fit(x, y)
    put(
        name, x=x, y=y, held_out=held_out, filters=[filters], patterns=csp.patterns_,
        features=csp.transform(held_out), learned=csp.transform(x),
    )


def information(values, y, classes):
    """Mutual information of a number and the class with Parzen windows (Ang et al., 2008), in bits."""
    joint = np.empty((len(values), classes))
    for k in range(classes):
        own = values[y == k]
        width = max(own.std(), 1e-3 * values.std()) * (4 / (3 * len(own))) ** 0.2
        density = np.exp(-0.5 * ((values[:, None] - own) / width) ** 2).mean(axis=1) / width
        joint[:, k] = density * len(own) / len(values)
    given = joint / joint.sum(axis=1, keepdims=True)
    prior = np.bincount(y) / len(y)
    plogp = lambda p: np.where(p > 0, p * np.log2(np.where(p > 0, p, 1)), 0)
    return -plogp(prior).sum() + plogp(given).sum(axis=1).mean()


def bank_case(name, count, n, bands, filters, keep):
    """Two bands side by side; what lies off the diagonal blocks is noise that must not matter."""
    sets = [matrices(count + 16, n, 2, seed) for seed in range(20, 20 + bands)]
    y = sets[0][1]
    order = [np.concatenate([np.flatnonzero(labels == k) for k in range(2)]) for _, labels in sets]
    place = np.concatenate([np.flatnonzero(y == k) for k in range(2)])
    x = np.random.default_rng(5).standard_normal((count + 16, bands * n, bands * n))
    x = (x + x.transpose(0, 2, 1)) / 2
    features = []
    for b, (matrix, _) in enumerate(sets):
        part = np.empty_like(matrix)
        part[place] = matrix[order[b]]
        x[:, b * n : (b + 1) * n, b * n : (b + 1) * n] = part
        csp = CSP(nfilter=filters).fit(part[:count], y[:count])
        features.append(csp.transform(part))
    features = np.hstack(features)
    worth = np.array([information(f[:count], y[:count], 2) for f in features.T])
    kept = np.sort(np.argsort(-worth)[:keep])
    put(
        name, x=x[:count], y=y[:count], held_out=x[count:], bands=[bands], filters=[filters],
        keep=[keep], worth=worth, learned=features[:count], features=features[count:],
        kept=features[count:, kept],
    )


def fgmdm_case(name, count, n, classes):
    x, y, held_out = halves(count, n, classes, 6)
    model = FgMDM().fit(x, y)
    # The filter has one direction less than classes; else rounding has found another one.
    assert abs(np.trace(model._fgda._W) - (classes - 1)) < 1e-6, name
    put(
        name, x=x, y=y, held_out=held_out, decided=model.predict(held_out),
        probabilities=model.predict_proba(held_out),
    )


def least_z(distances, y, held):
    """How far each example held out lies from the class it is nearest to, in standard deviations of
    the logarithm of the distance of the training examples of that class to its centre."""
    z = []
    for k in range(distances.shape[1]):
        logs = np.log(distances[y == k, k])
        z.append((np.log(held[:, k]) - logs.mean()) / logs.std())
    return np.min(z, axis=0)


def reject_cases():
    x, y, held_out = halves(40, 5, 2, 7)
    held_out = np.concatenate([held_out, 3 * held_out[:4]])
    mdm = MDM().fit(x, y)
    put("reject.mdm", x=x, y=y, held_out=held_out, z=least_z(mdm.transform(x), y, mdm.transform(held_out)))
    x, y, held_out = vectors(60, 7, 3, 8)
    held_out = np.concatenate([held_out, 2 * held_out[:6]])
    centres = np.array([x[y == k].mean(axis=0) for k in range(3)])
    distance = lambda x: np.linalg.norm(x[:, None] - centres, axis=2)
    put("reject.lda", x=x, y=y, held_out=held_out, z=least_z(distance(x), y, distance(held_out)))


def main():
    warnings.simplefilter("ignore")
    for classes in (2, 4):
        for n, p in ((30 + 10 * classes, 90), (150, 5)):
            for c in (0.1, 1.0):
                svm_case(f"svm.linear.{n}x{p}.{classes}.{c}", n, p, classes, c, "linear", "scale")
            for gamma in ("scale", 0.02):
                svm_case(f"svm.rbf.{n}x{p}.{classes}.{gamma}", n, p, classes, 1.0, "rbf", gamma)
            for shrinkage in ("auto", 0.2):
                lda_case(f"lda.{n}x{p}.{classes}.{shrinkage}", n, p, classes, shrinkage)
        lda_case(f"lda.150x5.{classes}.none", 150, 5, classes, None)
        for n, p in ((30, 60), (120, 5)):
            for c, ratio in ((0.3, 0.15), (0.3, 0.75)):
                elastic_case(f"elastic.{n}x{p}.{classes}.{ratio}", n, p, classes, c, ratio)
        csp_case(f"csp.8.{classes}", 40, 8, classes, 6)
        csp_case(f"csp.4.{classes}", 40, 4, classes, 6)
        fgmdm_case(f"fgmdm.5.{classes}", 60, 5, classes)
        fgmdm_case(f"fgmdm.10.{classes}", 24, 10, classes)
    bank_case("bank", 40, 4, 3, 3, 4)
    reject_cases()
    save_file(arrays, Path(__file__).with_name("classifiers.safetensors"))


main()
