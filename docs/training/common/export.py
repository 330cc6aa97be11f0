"""A trained network as the engine takes it: `NAME.onnx`, its manifest `NAME.toml` and parity samples `NAME.npz` beside it."""

import hashlib
import json
import pathlib

import numpy as np
import onnx
import onnxruntime
import torch

OPSET = 17
MAX_BYTES = 5_000_000
TOLERANCE = 1e-5
PARITY_WINDOWS = 8


def export(net, stem, inputs, outputs, manifest, free_channels=False):
    """Writes the three files of `net`.

    `inputs`: arrays by name, the first with windows along its first axis (the network takes one at a time), others as they are;
    `outputs`: names. `manifest`: tables by name, without what is known here. With `free_channels` the network takes any number of
    channels. Returns the largest difference between PyTorch and ONNX Runtime."""
    net.eval()
    stem = pathlib.Path(stem)
    stem.parent.mkdir(parents=True, exist_ok=True)
    path = stem.with_suffix(".onnx")
    name, *others = inputs
    windows = torch.from_numpy(np.ascontiguousarray(inputs[name][:PARITY_WINDOWS], np.float32))
    rest = [torch.from_numpy(np.ascontiguousarray(inputs[other], np.float32)) for other in others]
    free = {name: {1: "channels"}} | {other: {0: "channels"} for other in others} if free_channels else None
    torch.onnx.export(net, (windows[:1], *rest), str(path), input_names=list(inputs), output_names=outputs, opset_version=OPSET,
                      dynamo=False, dynamic_axes=free)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert path.stat().st_size < MAX_BYTES, f"{path} has {path.stat().st_size} bytes"
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}, "operators that are no part of ONNX"
    expected, difference = compare(net, path, windows, rest, list(inputs), outputs)
    # The engine asks window by window where every input has one first axis; else all at once, so that one window is all there is.
    kept = 1 if others else len(windows)
    arrays = {name: windows[:kept].numpy()} | {o: r.numpy() for o, r in zip(others, rest)}
    np.savez_compressed(stem.with_suffix(".npz"), **arrays, **{o: e[:kept] for o, e in zip(outputs, expected)})
    manifest = dict(manifest)
    made = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "parity_difference": float(f"{difference:.1e}")}
    manifest["provenance"] = {"made_with": f"torch {torch.__version__}, onnx {onnx.__version__}"} | manifest["provenance"] | made
    stem.with_suffix(".toml").write_text(toml(manifest))
    print(f"{path.name}: {path.stat().st_size} bytes, differs from PyTorch by {difference:.1e} at most")
    assert difference < TOLERANCE
    return difference


def compare(net, path, windows, rest, names, outputs):
    """What PyTorch says of each window, and by how much ONNX Runtime differs."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    expected, difference = [[] for _ in outputs], 0.0
    for window in windows.split(1):
        with torch.no_grad():
            wanted = net(window, *rest)
        wanted = [w.numpy() for w in (wanted if isinstance(wanted, tuple) else (wanted,))]
        got = session.run(outputs, {n: v.numpy() for n, v in zip(names, [window, *rest])})
        for all_of_it, w, g in zip(expected, wanted, got):
            all_of_it.append(w)
            difference = max(difference, float(np.abs(w - g).max()))
    return [np.concatenate(e) for e in expected], difference


def toml(tables):
    """TOML of tables of plain values; a key with "#" is a comment."""
    value = lambda v: json.dumps(v, ensure_ascii=False)
    lines = []
    for table, entries in tables.items():
        lines += ["", f"[{table}]"] if table != "#" else [f"# {entries}"]
        lines += [f"{key} = {value(v)}" for key, v in entries.items()] if table != "#" else []
    return "\n".join(lines) + "\n"
