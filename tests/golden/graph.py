"""Reference arrays for curvature, Ricci flow, communities and motifs of graphs (src/math/graph).

Run from the root of the checkout, with an environment that has GraphRicciCurvature:
    PYTHON tests/golden/graph.py
Writes tests/golden/graph.safetensors (float64). Made with GraphRicciCurvature 0.5.3.1, POT 0.9.7, networkx 3.6.1,
networkit 11.3, numpy 2.4.6 (the pins of the peers' benchmark, benches/rivals/setup.sh).

Each graph NAME has `NAME.edges` (E x 3: u, v, length). `NAME.pP.*` are made with exponent P of the walk and alpha
0.5 (0.3 where the name says `alpha`), in the order of the edges:
    otd, sinkhorn, atd    curvature by optimal transport, with an entropy of 0.1, by the average (no exponent)
    node                  curvature of the nodes (otd)
    flow3, flow10         lengths and curvatures after so many steps of 1 (E x 2)
    half5                 the same after 5 steps of 0.5
`NAME.surgery` is a flow of 8 steps in which edges longer than 2 are cut every third step: E x 2, nan for those
that went. No length in these comes near 1e-6, below which our own flow differs: it holds them there.
`NAME.cut` is the cutoff of the communities after flow10, `NAME.communities` their numbers (by the lowest node),
`NAME.modularity` that of the communities in the whole graph with lengths as weights, by networkx;
`NAME.triangles` counts them for each node.
"""

import logging
from pathlib import Path

import networkx as nx
import numpy as np
from GraphRicciCurvature.OllivierRicci import OllivierRicci
from GraphRicciCurvature.util import cut_graph_by_cutoff
from safetensors.numpy import save_file

logging.disable(logging.CRITICAL)
arrays = {}


# --- graphs -------------------------------------------------------------------------------------


def nearest(rng, n, dim, k, scale=1.0):
    """Each of n points in a Gaussian cloud is joined to its k nearest."""
    x = scale * rng.standard_normal((n, dim))
    d = np.linalg.norm(x[:, None] - x, axis=-1)
    near = np.argsort(d, axis=1)[:, 1 : k + 1]
    return weighted({(min(i, j), max(i, j)): d[i, j] for i in range(n) for j in near[i]}, n)


def clusters(rng, sizes, k):
    """Clouds that are some way apart, joined by few edges."""
    n = sum(sizes)
    label = np.repeat(np.arange(len(sizes)), sizes)
    x = 0.6 * rng.standard_normal((n, 3)) + 3 * rng.standard_normal((len(sizes), 3))[label]
    d = np.linalg.norm(x[:, None] - x, axis=-1)
    near = np.argsort(d, axis=1)[:, 1 : k + 1]
    edges = {(min(i, j), max(i, j)): d[i, j] for i in range(n) for j in near[i]}
    for a, b in zip(range(len(sizes)), range(1, len(sizes))):
        pairs = [(d[i, j], i, j) for i in np.flatnonzero(label == a) for j in np.flatnonzero(label == b)]
        edges |= {(min(i, j), max(i, j)): w for w, i, j in sorted(pairs)[:3]}
    return weighted(edges, n)


def random(rng, n, p):
    """Edges at random, with lengths from 0.05 to 2: many of them are no shortest path."""
    while True:
        g = nx.gnp_random_graph(n, p, seed=int(rng.integers(1 << 30)))
        if nx.is_connected(g):
            break
    return weighted({(u, v): rng.uniform(0.05, 2) for u, v in g.edges()}, n)


def weighted(edges, n):
    g = nx.Graph()
    g.add_nodes_from(range(n))
    g.add_weighted_edges_from((u, v, float(w)) for (u, v), w in sorted(edges.items()))
    return g


def karate():
    return weighted({(u, v): 1.0 for u, v in nx.karate_club_graph().edges()}, 34)


# --- what is made of them -----------------------------------------------------------------------


def ricci(g, power, method="OTD", alpha=0.5):
    return OllivierRicci(g, alpha=alpha, method=method, exp_power=power, proc=1, verbose="ERROR")


def column(g, edges, key):
    return np.array([g[u][v][key] if g.has_edge(u, v) else np.nan for u, v in edges], float)


def curvatures(case, g, edges, power, alpha=0.5):
    for method in ("OTD", "Sinkhorn", "ATD"):
        made = ricci(g, power, method, alpha).compute_ricci_curvature()
        arrays[f"{case}.{method.lower()}"] = column(made, edges, "ricciCurvature")
        if method == "OTD":
            arrays[f"{case}.node"] = np.array([made.nodes[i]["ricciCurvature"] for i in range(len(g))])


def flow(g, edges, power, **keys):
    made = ricci(g, power)
    made.compute_ricci_flow(**keys)
    values = [column(made.G, edges, key) for key in ("weight", "ricciCurvature")]
    assert np.nanmin(values[0]) > 1e-5, np.nanmin(values[0])
    return made, np.stack(values, axis=1)


def communities(name, made, edges, n):
    cutoff, label = made.ricci_community()
    first = {c: min(i for i in range(n) if label[i] == c) for c in set(label.values())}
    arrays[f"{name}.cut"] = np.array([cutoff])
    arrays[f"{name}.communities"] = np.array([first[label[i]] for i in range(n)], float)
    groups = [{i for i in range(n) if label[i] == c} for c in first]
    arrays[f"{name}.modularity"] = np.array([nx.community.modularity(made.G, groups, weight="weight")])


def case(name, g, powers=(0, 2), alpha=None):
    edges = sorted(tuple(sorted(e)) for e in g.edges())
    n = len(g)
    arrays[f"{name}.edges"] = np.array([(u, v, g[u][v]["weight"]) for u, v in edges])
    arrays[f"{name}.triangles"] = np.array([nx.triangles(g, i) for i in range(n)], float)
    for power in powers:
        curvatures(f"{name}.p{power}", g, edges, power)
    for power in powers:
        arrays[f"{name}.p{power}.flow3"] = flow(g, edges, power, iterations=3)[1]
        arrays[f"{name}.p{power}.half5"] = flow(g, edges, power, iterations=5, step=0.5)[1]
        made, arrays[f"{name}.p{power}.flow10"] = flow(g, edges, power, iterations=10)
    if name in ("karate", "clusters"):
        communities(name, made, edges, n)
    if name == "near":
        cut = (lambda g, weight: cut_graph_by_cutoff(g, 2.0, weight), 3)
        arrays[f"{name}.surgery"] = flow(g, edges, 2, iterations=8, surgery=cut)[1]


def main():
    rng = np.random.default_rng(20261129)
    case("karate", karate())
    case("near", nearest(rng, 24, 4, 5))
    case("clusters", clusters(rng, [14, 12, 15], 5))
    case("random", random(rng, 20, 0.3), powers=(0, 1, 2))
    case("far", nearest(rng, 16, 3, 3, scale=12.0))
    g = nearest(rng, 18, 3, 4)
    arrays["alpha.edges"] = np.array([(u, v, w) for u, v, w in sorted(g.edges(data="weight"))])
    curvatures("alpha.p1", g, sorted(g.edges()), 1, alpha=0.3)
    path = Path(__file__).with_suffix(".safetensors")
    save_file({name: np.ascontiguousarray(x, dtype=np.float64) for name, x in arrays.items()}, path)
    print(f"{path.name}: {len(arrays)} arrays, {path.stat().st_size} bytes")


main()
