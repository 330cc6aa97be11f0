"""Places of sensors on the head, and what a source in the head gives at each: for the making of worlds.

Unit vectors, x to the right, y to the front, z up. The 10-10 places follow the rule of src/math/montage.rs: the ring through Fpz, T7,
Oz, T8 with an electrode every 18 degrees, the midline with one every 22.5 degrees, rows on circles in equal steps.
"""

import numpy as np

EEG_32 = ("Fp1 Fp2 AF3 AF4 F7 F3 Fz F4 F8 FC5 FC1 FC2 FC6 T7 C3 Cz C4 T8 CP5 CP1 CP2 CP6 P7 P3 Pz P4 P8 PO3 PO4 O1 Oz O2").split()
EEG_26 = ("Fp1 Fp2 F7 F3 Fz F4 F8 FC5 FC1 FC2 FC6 T7 C3 Cz C4 T8 CP5 CP1 CP2 CP6 P7 P3 Pz P4 P8 Oz").split()
EEG_16 = "Fp1 Fp2 F7 F3 F4 F8 T7 C3 C4 T8 P7 P3 P4 P8 O1 O2".split()
ROWS = {"AF": 1, "F": 2, "FC": 3, "FT": 3, "C": 4, "T": 4, "CP": 5, "TP": 5, "P": 6, "PO": 7}
RIM = 5 * np.pi / 8


def electrode(label):
    """The unit vector of a 10-10 electrode."""
    row, number = label.rstrip("z0123456789"), label[len(label.rstrip("z0123456789")) :]
    column = 0 if number == "z" else (int(number) + 1) // 2
    side = 1 if number != "z" and int(number) % 2 == 0 else -1
    midline = lambda steps: np.array([0.0, np.sin(steps * np.pi / 8), np.cos(steps * np.pi / 8)])
    ring = lambda steps: np.array([-np.sin(steps * np.pi / 10), np.cos(steps * np.pi / 10), 0.0])
    if row in ("Fp", "O"):
        place = midline(4 if row == "Fp" else -4) if column == 0 else ring(1 if row == "Fp" else 9)
    else:
        top, end = midline(4 - ROWS[row]), ring(1 + ROWS[row])
        dy, dz = top[1:] - end[1:]
        height = np.hypot(dy, dz)
        radius = (end[0] ** 2 + height**2) / (2 * height)
        angle = column / 4 * np.arctan2(-end[0], radius - height)
        sink = radius * (1 - np.cos(angle)) / height
        place = np.array([-radius * np.sin(angle), top[1] - sink * dy, top[2] - sink * dz])
    return place * [-side, 1, 1]


def electrodes(labels):
    return np.array([electrode(label) for label in labels])


def helmet(count, reach=np.radians(105.0)):
    """`count` places spread evenly over a helmet that reaches `reach` down from the vertex."""
    i = np.arange(count)
    z = 1 - (i + 0.5) / count * (1 - np.cos(reach))
    angle = np.pi * (3 - np.sqrt(5)) * i
    across = np.sqrt(1 - z**2)
    return np.stack([across * np.sin(angle), across * np.cos(angle), z], 1)


def dipoles(rng, count, depth=(0.65, 0.8)):
    """Places in the upper head, and unit vectors of directions along the surface."""
    up = helmet(4096, np.radians(95))[rng.choice(4096, count, replace=False)]
    direction = np.cross(up, rng.standard_normal((count, 3)))
    return up * rng.uniform(*depth, (count, 1)), direction / np.linalg.norm(direction, axis=1, keepdims=True)


def magnetic(sensors, places, directions, height=1.25):
    """The field across the helmet, sensors x sources, each source's largest 1. It is the exact radial field of a current dipole in
    a conducting sphere of radius 1, (q x r0) . n / |r - r0|^3, at sensors `height` from its centre."""
    away = sensors[:, None] * height - places
    field = (sensors[:, None] * np.cross(directions, places)).sum(2) / np.linalg.norm(away, axis=2) ** 3
    return field / np.abs(field).max(0)


def electric(sensors, places, directions):
    """The potential against the average of all electrodes, each source's largest 1, of a current dipole in an endless conductor:
    q . (r - r0) / |r - r0|^3. The skull, which blurs, is left out."""
    away = sensors[:, None] - places
    potential = (away * directions).sum(2) / np.linalg.norm(away, axis=2) ** 3
    potential -= potential.mean(0)
    return potential / np.abs(potential).max(0)


def project(positions):
    """Places on a head seen from above, as src/math/topomap.rs: distances from the vertex true to the angle, the rim at 1."""
    across = np.hypot(positions[:, 0], positions[:, 1])
    radius = np.arctan2(across, positions[:, 2]) / RIM
    return radius[:, None] * positions[:, :2] / np.maximum(across, 1e-12)[:, None]


def scaled_places(positions):
    """What the engine feeds to the input `positions`: `project` with the known channels from 0 to 1 on each axis, and (-1, -1) for
    channels whose place is not known."""
    known = np.isfinite(positions).all(1)
    places = np.full((len(positions), 2), -1.0)
    flat = project(positions[known])
    places[known] = (flat - flat.min(0)) / (flat.max(0) - flat.min(0))
    return places.astype(np.float32)
