"""Exact search in NumPy, beside `cargo bench --bench retrieval -- FOLDER`, on the gallery that it has written.

Usage: OPENBLAS_NUM_THREADS=1 .venv/bin/python benches/rivals/retrieval.py FOLDER
Prints the median times of one query: one product of the (normalised) float32 matrix with a float32 vector and the best five
of it (argpartition); then of all queries at once. And how many of the queries give the same five items in the same order
as the engine's exact search, in float32 and in float64.
"""

import statistics
import sys
import time
from pathlib import Path

import numpy as np

ITEMS, LENGTH, TOP = 100_000, 768, 5


def best(similarity):
    """The numbers of the best, of equals the first first."""
    near = np.argpartition(-similarity, TOP)[:TOP]
    return near[np.lexsort((near, -similarity[near]))]


def main():
    folder = Path(sys.argv[1])
    rows = np.fromfile(folder / "rows.f4", "<f4").reshape(ITEMS, LENGTH)
    queries = np.fromfile(folder / "queries.f8", "<f8").reshape(-1, LENGTH)
    ours = np.fromfile(folder / "best.u8", "<u8").reshape(-1, TOP)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    unit = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float32)
    times, same = [], 0
    for query, want in zip(unit, ours):
        start = time.perf_counter()
        got = best(rows @ query)
        times.append(time.perf_counter() - start)
        same += (got == want).all()
    print(f"one query, float32: median {1e3 * statistics.median(times):.2f} ms of {len(times)}; {same} as ours")
    start = time.perf_counter()
    similarities = unit @ rows.T
    for similarity in similarities:
        best(similarity)
    print(f"all at once: {1e3 * (time.perf_counter() - start) / len(unit):.2f} ms a query")
    rows = np.fromfile(folder / "rows.f4", "<f4").reshape(ITEMS, LENGTH).astype(float)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    same = sum((best(rows @ query) == want).all() for query, want in zip(queries, ours))
    print(f"float64: {same} of {len(ours)} queries give the same items in the same order as ours")


if __name__ == "__main__":
    main()
