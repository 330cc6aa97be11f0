"""Turns the peers' model into a model file of ours (src/model.rs): same reference matrix, same weights.

Usage: model.py CONFIG.toml PEERS.npz OUT.safetensors

The peers' file holds `ref` (reference matrix), `coef` and `intercept`. The stages and their settings come from the config,
which states every one of them except the defaults of the logistic regression.
"""
import json, struct, sys, tomllib

import numpy as np

DEFAULTS = {"logistic": {"c": 1.0, "penalty": "l2", "l1_ratio": 0.5}}


def chain(config):
    """The stages as the model file records them: id, kind, settings with defaults filled in."""
    links = []
    for stage in config["stage"]:
        kind = stage["kind"]
        settings = {k: v for k, v in stage.items() if k not in ("kind", "id", "from")}
        links.append({"id": stage.get("id", kind), "kind": kind, "settings": DEFAULTS.get(kind, {}) | settings})
    return links


def write(path, facts, arrays):
    """A safetensors file: length of the header, header, numbers."""
    header, data = {"__metadata__": {"saltatory": json.dumps(facts)}}, b""
    for name, array in arrays.items():
        raw = np.ascontiguousarray(array, "<f8").tobytes()
        header[name] = {"dtype": "F64", "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def main():
    config_path, peers, out = sys.argv[1:]
    config = tomllib.load(open(config_path, "rb"))
    model = np.load(peers)
    channels = [{"label": f"E{i}", "type": "EEG", "unit": "microvolts"} for i in range(len(model["ref"]))]
    facts = {
        "version": 1, "written_by": "benches/rivals/model.py", "input": {"rate_hz": 1000.0, "channels": channels},
        "chain": chain(config), "classes": [str(i) for i in range(len(model["intercept"]))], "data": [], "scores": None,
    }
    write(out, facts, {"tangent/reference": model["ref"], "logistic/coef": model["coef"], "logistic/intercept": model["intercept"]})


if __name__ == "__main__":
    main()
