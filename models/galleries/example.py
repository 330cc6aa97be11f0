"""A small gallery, for the examples and the tests: eight colours.

Run from the root of the checkout: .venv/bin/python models/galleries/example.py
Writes models/galleries/example.safetensors. An embedding has 36 numbers (as the tangent vector of 8 channels has): cosines
and sines of the colour's red, green and blue along 18 random directions, so that similar colours lie close together.
"""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

COLOURS = {
    "black": (0, 0, 0), "red": (1, 0, 0), "green": (0, 1, 0), "yellow": (1, 1, 0),
    "blue": (0, 0, 1), "magenta": (1, 0, 1), "cyan": (0, 1, 1), "white": (1, 1, 1),
}
# How often each was shown, say.
SHOWN = [10, 20, 20, 10, 20, 5, 5, 10]

phase = np.array(list(COLOURS.values()), float) @ np.random.default_rng(1).normal(0, 1, (3, 18))
tensors = {
    "embeddings": np.hstack([np.cos(phase), np.sin(phase)]).astype(np.float32),
    "prior": np.array(SHOWN, np.float32),
}
about = {"saltatory_gallery": json.dumps({"labels": list(COLOURS)})}
save_file(tensors, Path("models/galleries/example.safetensors"), metadata=about)
