"""Curvature and Ricci flow in GraphRicciCurvature, beside `cargo bench --bench curvature`.

Usage: target/rivals/venv/bin/python benches/rivals/curvature.py [--seconds S] [--nodes N ...]
(the environment is made by setup.sh). Prints the median and the least time of each call.

The graph of 64 nodes is that of the peers' benchmark (shared/peerbench/b_stages.py, `ricci`): a Gaussian cloud in five
dimensions, each point joined to its 8 nearest, lengths equal to distances, alpha 0.5, p = 2. The peer forks a pool of
processes at every call, even of one; `pool` is what that costs on a graph of three nodes. Its floor is therefore
given too: `compute`, the median less the pool's.
"""

import argparse
import logging
import statistics
import time
import warnings

import networkx as nx
import numpy as np
from GraphRicciCurvature.OllivierRicci import OllivierRicci
from sklearn.neighbors import kneighbors_graph


def graph(nodes):
    points = np.random.default_rng(3).standard_normal((nodes, 5))
    near = kneighbors_graph(points, 8, mode="distance")
    return nx.from_scipy_sparse_array(near.maximum(near.T))


def ricci(g, method):
    return OllivierRicci(g, alpha=0.5, method=method, proc=1, verbose="ERROR")


def times_ms(call, seconds):
    """The times of calls one after the other, for so many seconds but at least three times."""
    call()
    times, end = [], time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    return times


def show(what, times, pool=None):
    median = statistics.median(times)
    compute = "" if pool is None else f"  compute {median - pool:9.2f}"
    print(f"{what:44} median {median:9.2f} ms  least {min(times):9.2f}{compute}  n {len(times)}", flush=True)
    return median


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--nodes", type=int, nargs="+", default=[64])
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    triangle = nx.complete_graph(3)
    pool = show("pool (3 nodes)", times_ms(lambda: ricci(triangle, "OTD").compute_ricci_curvature(), options.seconds))
    for nodes in options.nodes:
        g = graph(nodes)
        shape = f"{nodes} nodes, {g.number_of_edges()} edges"
        for method in ("OTD", "ATD", "Sinkhorn"):
            call = lambda: ricci(g, method).compute_ricci_curvature()
            show(f"{method}, {shape}", times_ms(call, options.seconds), pool)
        for method in ("OTD", "ATD", "Sinkhorn"):
            call = lambda: ricci(g, method).compute_ricci_flow(iterations=10)
            show(f"{method}, flow of 10, {shape}", times_ms(call, options.seconds), 11 * pool)


if __name__ == "__main__":
    main()
