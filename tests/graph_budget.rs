//! Curvature and flow of graphs made to be awkward: they end within their budgets, and what comes out is
//! finite and within the limits that theory sets.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use saltatory::math::graph::curvature::{Curvature, Method, Settings};
use saltatory::math::graph::flow::{self, Flow, Surgery};
use saltatory::math::graph::shortest::Paths;
use saltatory::math::graph::walks::Walks;
use saltatory::math::graph::{Edge, Graph, MIN_LENGTH};

type Edges = Vec<(usize, usize, f64)>;

/// Far above what is needed, which is some pivots for each neighbour.
const PIVOTS: usize = 2000;

/// All edges, a star, a ring, or some edges at random, between up to 20 nodes.
fn pairs() -> impl Strategy<Value = (usize, Vec<(usize, usize)>)> {
    let all = |n: usize| (0..n).flat_map(move |i| (i + 1..n).map(move |j| (i, j)));
    (1_usize..20, 0..4, prop::collection::vec(any::<bool>(), 190)).prop_map(
        move |(n, shape, coins)| {
            let keep = |(e, (i, j)): &(usize, (usize, usize))| match shape {
                0 => true,
                1 => *i == 0,
                2 => j - i == 1 || (*i == 0 && *j == n - 1),
                _ => coins[*e],
            };
            (n, all(n).enumerate().filter(keep).map(|(_, pair)| pair).collect())
        },
    )
}

/// Lengths that tie, that vanish, that are ordinary, or that range over 300 decades.
fn length() -> impl Strategy<Value = f64> {
    prop_oneof![
        prop::sample::select(vec![0.0, 1e-8, 1e-7, 0.5, 1.0, 1.0, 2.0]),
        0.01..5.0,
        (-150.0..150.0).prop_map(|decade: f64| 10_f64.powf(decade)),
    ]
}

/// Graphs whose lengths are all of one sort or mixed.
fn graphs() -> impl Strategy<Value = (usize, Edges)> {
    (pairs(), prop::collection::vec(length(), 190), any::<bool>()).prop_map(
        |((n, pairs), lengths, is_unit)| {
            let length = |e: usize| if is_unit { 1.0 } else { lengths[e] };
            (n, pairs.iter().enumerate().map(|(e, (u, v))| (*u, *v, length(e))).collect())
        },
    )
}

fn filled(n: usize, edges: &Edges) -> Graph {
    let mut graph = Graph::new(n);
    assert_eq!(graph.fill(n, edges.iter().copied()), 0);
    graph
}

/// The largest |E_u f - E_v f| of a step from u and one from v, over the functions f = d(., z), none of which changes by
/// more than the distance: no transport can cost less.
fn dual_bound(graph: &Graph, walks: &Walks, paths: &Paths, alpha: f64, edge: &Edge) -> f64 {
    let mean = |u: usize, z: usize| {
        let shares = graph.arcs(u).iter().zip(walks.from(u));
        let moved: f64 = shares.map(|(arc, share)| share * paths.between(arc.to, z)).sum();
        alpha * paths.between(u, z) + (1.0 - alpha) * moved
    };
    let reached = (0..graph.nodes()).filter(|z| paths.between(edge.u, *z).is_finite());
    reached.map(|z| (mean(edge.u, z) - mean(edge.v, z)).abs()).fold(0.0, f64::max)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn curvature_keeps_to_budget_and_limits(
        (n, edges) in graphs(),
        alpha in prop::sample::select(vec![0.0, 0.3, 0.5, 0.9]),
        power in prop::sample::select(vec![0.0, 0.7, 1.0, 2.0]),
    ) {
        let settings = Settings { alpha, power, pivots: PIVOTS, ..Settings::default() };
        let mut graph = filled(n, &edges);
        let mut bounds = filled(n, &edges);
        let mut curvature = Curvature::new(settings, n);
        let pass = curvature.find(&mut graph, || true);
        prop_assert_eq!((pass.solved, pass.left), (edges.len(), 0));
        prop_assert_eq!(curvature.find(&mut bounds, || false).left, edges.len());
        let (mut paths, mut walks) = (Paths::new(n), Walks::new(n));
        paths.find(&graph);
        walks.find(&graph, power);
        for (edge, bound) in graph.edges().iter().zip(bounds.edges()) {
            prop_assert!(edge.curvature.is_finite() && edge.curvature <= 1.0, "{:?}", edge);
            if edge.length < MIN_LENGTH {
                prop_assert_eq!(edge.curvature, 0.0);
                continue;
            }
            // Numbers are rounded in units of the largest distance at hand.
            let reach = paths.from(edge.u).iter().filter(|d| d.is_finite()).fold(0.0, |m: f64, d| m.max(*d));
            let slack = 1e-11 * (reach + edge.length);
            let distance = (1.0 - edge.curvature) * edge.length;
            let above = (1.0 - bound.curvature) * edge.length;
            let below = dual_bound(&graph, &walks, &paths, alpha, edge);
            prop_assert!(distance <= above + slack, "{:?}: {} above {}", edge, distance, above);
            prop_assert!(distance >= below - slack, "{:?}: {} below {}", edge, distance, below);
        }
    }

    #[test]
    fn other_ways_stay_finite((n, edges) in graphs()) {
        for method in [Method::Sinkhorn, Method::Average] {
            let settings = Settings { method, rounds: 50, ..Settings::default() };
            let mut graph = filled(n, &edges);
            let pass = Curvature::new(settings, n).find(&mut graph, || true);
            prop_assert_eq!(pass.solved + pass.left, edges.len());
            prop_assert!(graph.edges().iter().all(|e| e.curvature.is_finite() && e.curvature <= 1.0));
        }
    }

    #[test]
    fn flow_ends_with_finite_lengths(
        (n, edges) in graphs(),
        step in prop::sample::select(vec![0.5, 1.0]),
        surgery in prop::sample::select(vec![None, Some(Surgery { every: 1, cutoff: 1.5 })]),
    ) {
        let mut graph = filled(n, &edges);
        let mut curvature = Curvature::new(Settings { pivots: PIVOTS, ..Settings::default() }, n);
        let settings = flow::Settings { steps: 6, step, surgery };
        let out = Flow::new(settings, n).run(&mut graph, &mut curvature, || true);
        prop_assert!(out.steps <= 6 && !out.is_short && out.pass.left == 0, "{:?}", out);
        prop_assert!(out.steps > 0 || graph.edges().is_empty());
        prop_assert_eq!(graph.edges().len() + out.outside + out.cut, edges.len());
        for edge in graph.edges() {
            prop_assert!(edge.length.is_finite() && edge.length > 0.0, "{:?}", edge);
            prop_assert!(edge.curvature.is_finite() && edge.curvature <= 1.0, "{:?}", edge);
        }
        let sum: f64 = graph.edges().iter().map(|edge| edge.length).sum();
        let count = graph.edges().len() as f64;
        prop_assert!(surgery.is_some() || (sum - count).abs() <= 1e-9 * count, "{} {}", sum, count);
    }
}
