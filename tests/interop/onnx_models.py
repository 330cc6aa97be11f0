"""Runs exported pipelines with ONNX Runtime on the epochs that our program decided.

Usage: onnx_models.py FOLDER
FOLDER as models.py leaves it, with SET-PIPELINE.onnx and SET-PIPELINE.report.json of `saltatory run --report`.
Behind `tangent` the graph begins with the tangent vector, which pyRiemann computes here. Prints the largest
difference of each pipeline; fails where it is above 1e-6.
"""
import json, pathlib, sys
import numpy as np
import onnxruntime
from pyriemann.estimation import Covariances
from pyriemann.tangentspace import tangent_space

TOLERANCE = 1e-6


def check(folder, path):
    name = path.stem.split("-")[0]
    facts = json.loads((folder / f"{name}.json").read_text())
    windows = np.fromfile(folder / f"{name}.test").reshape(facts["test"]["shape"])
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    classes, model = json.loads(metadata["classes"]), json.loads(metadata["saltatory"])
    assert classes == model["classes"] and sorted(classes) == sorted(facts["classes"])
    assert len(model["input"]["channels"]) == windows.shape[2] and model["input"]["rate_hz"] == 160.0
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    assert made.name == "probabilities" and made.shape == [len(classes)]
    inputs = windows
    if given.name == "tangent":
        estimator = next(s for s in model["chain"] if s["kind"] == "covariance")["settings"]["estimator"]
        matrices = Covariances(estimator).transform(windows.transpose(0, 2, 1))
        inputs = tangent_space(matrices, np.array(json.loads(metadata["reference"])), metric="riemann")
    decisions = json.loads(path.with_suffix(".report.json").read_text())["decisions"]
    assert len(decisions) == len(inputs) > 10
    worst = 0.0
    for x, decision in zip(inputs, decisions):
        (got,) = session.run(None, {given.name: x})
        want = [decision["scores"][c] for c in classes]
        worst = max(worst, np.abs(got - want).max())
        assert classes[int(np.argmax(got))] == decision["label"]
    print(f"{path.stem}: input {given.name}, {len(inputs)} epochs, largest difference {worst:.1e}")
    assert worst < TOLERANCE, worst


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    models = sorted(folder.glob("*.onnx"))
    assert models
    for path in models:
        check(folder, path)
