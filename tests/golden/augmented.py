"""Reference arrays for augmented windows with crop = "compat": MOABB's own class, and NumPy's covariance.

MOABB is needed for nothing else, and only one file of it here, so it goes without its dependencies into
an environment of its own outside the checkout, which sees the packages of the other one:

    .venv/bin/pip install --no-deps --target /tmp/moabb moabb==1.7.2
    PYTHONPATH=/tmp/moabb .venv/bin/python tests/golden/augmented.py

Writes tests/golden/augmented.safetensors (float64). Made with moabb 1.7.2, numpy 2.4.
"""

import importlib.util
from importlib.metadata import version
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

# The package as a whole would import all that it depends on.
package = Path(importlib.util.find_spec("moabb").submodule_search_locations[0])
spec = importlib.util.spec_from_file_location("features", package / "pipelines" / "features.py")
features = importlib.util.module_from_spec(spec)
spec.loader.exec_module(features)

rng = np.random.default_rng(2302)
channels, samples = 2, 108
# Orders and lags of the authors' grid; the longest leaves 8 samples.
x = 20 * rng.standard_normal((1, channels, samples)) + np.array([5.0, -40.0])[:, None]
arrays = {"x": x[0].T}
for order in range(1, 11):
    for lag in range(1, 11):
        z = features.AugmentedDataset(order=order, lag=lag).fit(x, None).transform(x)[0]
        arrays[f"{order}.{lag}.z"] = z.T
        arrays[f"{order}.{lag}.cov"] = np.cov(z)

path = Path(__file__).with_suffix(".safetensors")
save_file({name: np.ascontiguousarray(a) for name, a in arrays.items()}, path)
print("moabb", version("moabb"), path, path.stat().st_size)
