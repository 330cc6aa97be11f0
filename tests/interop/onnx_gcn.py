"""Runs exported graph convolutional networks with ONNX Runtime on graphs that our program decided.

Usage: onnx_gcn.py FOLDER
FOLDER holds, for each network, NAME.onnx and NAME.json: the blocks of the graphs, and our scores. Prints the largest
difference of each; fails where it is above 1e-6.
"""
import json, pathlib, sys
import numpy as np
import onnxruntime

TOLERANCE = 1e-6


def check(path):
    facts = json.loads(path.with_suffix(".json").read_text())
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
    shapes = {given.name: given.shape for given in session.get_inputs()}
    (made,) = session.get_outputs()
    assert made.name == "probabilities" and made.shape == [len(classes)]
    assert set(shapes) == {"weights", "features"} | ({"lengths"} if "lengths" in path.stem else set())
    graphs = {name: np.array(facts[name]).reshape(-1, *shape) for name, shape in shapes.items()}
    scores = np.array(facts["scores"]).reshape(-1, len(classes))
    assert len(scores) > 5 and np.ptp(scores, axis=0).min() > 0.01
    got = [session.run(None, {name: x[i] for name, x in graphs.items()})[0] for i in range(len(scores))]
    worst = np.abs(got - scores).max()
    print(f"{path.stem}: largest difference {worst:.1e}")
    assert worst < TOLERANCE, worst


if __name__ == "__main__":
    models = sorted(pathlib.Path(sys.argv[1]).glob("*.onnx"))
    assert models
    for path in models:
        check(path)
