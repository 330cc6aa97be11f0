//! Curvature, Ricci flow, communities and motifs of graphs against GraphRicciCurvature and networkx
//! (tests/golden/graph.py).
//!
//! Tolerances: 1e-8 for curvatures by optimal transport, since the least cost is a number of its own, however
//! it is found (POT rounds at about 1e-12), and for lengths after a flow: ten steps carry such errors on, and may make
//! them some times larger. 1e-10 for the average, which is a sum of a hundred terms. 1e-6 for Sinkhorn: it ends
//! where the masses are met within 1e-9, and an error of that size in the plan weighs as much as the largest
//! cost over the shortest edge. The values of the karate club that were published are given to six digits, so 1e-6.

#![allow(clippy::unwrap_used)]

mod support;

use saltatory::math::graph::Graph;
use saltatory::math::graph::community::{Components, Cut, modularity};
use saltatory::math::graph::curvature::{Curvature, Method, Settings};
use saltatory::math::graph::flow::{self, Flow, Outcome, Surgery};
use saltatory::math::graph::motifs::Motifs;
use support::Golden;

/// A graph of the golden file, and what is known of it.
struct Case {
    golden: Golden,
    name: String,
}

impl Case {
    fn open(name: &str) -> Self {
        Self { golden: Golden::open("graph"), name: name.to_string() }
    }

    fn get(&self, key: &str) -> Vec<f64> {
        self.golden.array(&format!("{}.{key}", self.name)).1
    }

    fn edges(&self) -> Vec<(usize, usize, f64)> {
        let edge = |row: &[f64]| (row[0] as usize, row[1] as usize, row[2]);
        self.get("edges").chunks_exact(3).map(edge).collect()
    }

    fn graph(&self) -> Graph {
        let edges = self.edges();
        let nodes = edges.iter().map(|(_, v, _)| v + 1).max().unwrap();
        let mut graph = Graph::new(nodes);
        assert_eq!(graph.fill(nodes, edges), 0);
        graph
    }

    fn check(&self, key: &str, got: &[f64], tolerance: f64) {
        let want = self.get(key);
        assert_eq!(got.len(), want.len(), "{}.{key}", self.name);
        let error = |(a, b): (&f64, &f64)| match b.is_nan() {
            true => f64::from(u8::from(!a.is_nan())),
            false => (a - b).abs() / b.abs().max(1.0),
        };
        let worst = got.iter().zip(&want).map(error).fold(0.0, f64::max);
        println!("{}.{key}: {worst:.1e}", self.name);
        assert!(worst <= tolerance, "{}.{key}: error {worst:.1e}", self.name);
        assert!(got.iter().zip(&want).all(|(a, b)| a.is_nan() == b.is_nan()));
    }

    /// Length and curvature of each edge, not a number for those that went.
    fn lengths(&self, graph: &Graph) -> Vec<f64> {
        let find = |(u, v, _): &(usize, usize, f64)| {
            let found = graph.edges().iter().find(|edge| (edge.u, edge.v) == (*u, *v));
            found.map_or([f64::NAN; 2], |edge| [edge.length, edge.curvature])
        };
        self.edges().iter().flat_map(find).collect()
    }
}

/// The cases with the exponent of each, by the keys `NAME.pP.otd`.
fn cases() -> Vec<(Case, String, f64)> {
    let names = Golden::open("graph").names("");
    let split = |name: &String| {
        let (name, power) = name.strip_suffix(".otd")?.rsplit_once(".p")?;
        Some((Case::open(name), format!("p{power}"), power.parse().unwrap()))
    };
    let cases: Vec<_> = names.iter().filter_map(split).collect();
    assert_eq!(cases.len(), 12);
    cases
}

fn settings(case: &Case, method: Method, power: f64) -> Settings {
    let alpha = if case.name == "alpha" { 0.3 } else { 0.5 };
    Settings { method, alpha, power, ..Settings::default() }
}

fn run_flow(graph: &mut Graph, power: f64, settings: flow::Settings) -> Outcome {
    let mut curvature = Curvature::new(Settings { power, ..Settings::default() }, graph.nodes());
    Flow::new(settings, graph.nodes()).run(graph, &mut curvature, || true)
}

#[test]
fn curvature_is_that_of_the_reference() {
    for (case, p, power) in cases() {
        let mut graph = case.graph();
        for (method, key, tolerance) in [
            (Method::Exact, "otd", 1e-8),
            (Method::Sinkhorn, "sinkhorn", 1e-8),
            (Method::Average, "atd", 1e-10),
        ] {
            let settings = settings(&case, method, power);
            let pass = Curvature::new(settings, graph.nodes()).find(&mut graph, || true);
            let got: Vec<f64> = graph.edges().iter().map(|edge| edge.curvature).collect();
            assert_eq!((pass.solved, pass.left), (graph.edges().len(), 0), "{}", case.name);
            case.check(&format!("{p}.{key}"), &got, tolerance);
            if method == Method::Exact {
                println!("{} edges, {} pivots", pass.solved, pass.pivots);
                let nodes: Vec<f64> = (0..graph.nodes()).map(|u| graph.node_curvature(u)).collect();
                case.check(&format!("{p}.node"), &nodes, tolerance);
            }
        }
    }
}

#[test]
fn flow_is_that_of_the_reference() {
    for (case, p, power) in cases().into_iter().filter(|(case, ..)| case.name != "alpha") {
        for (key, steps, step) in [("flow3", 3, 1.0), ("flow10", 10, 1.0), ("half5", 5, 0.5)] {
            let mut graph = case.graph();
            let out = run_flow(&mut graph, power, flow::Settings { steps, step, surgery: None });
            assert_eq!((out.outside, out.cut, out.is_short), (0, 0, false));
            let lengths: Vec<f64> = graph.edges().iter().map(|edge| edge.length).collect();
            let sum: f64 = lengths.iter().sum();
            assert!((sum - lengths.len() as f64).abs() < 1e-9, "{}: sum {sum}", case.name);
            case.check(&format!("{p}.{key}"), &case.lengths(&graph), 1e-8);
        }
    }
}

#[test]
fn surgery_is_that_of_the_reference() {
    let case = Case::open("near");
    let mut graph = case.graph();
    let surgery = Some(Surgery { every: 3, cutoff: 2.0 });
    let out = run_flow(&mut graph, 2.0, flow::Settings { steps: 8, step: 1.0, surgery });
    assert_eq!(graph.edges().len(), case.edges().len() - out.cut);
    case.check("surgery", &case.lengths(&graph), 1e-8);
}

#[test]
fn communities_are_those_of_the_reference() {
    for name in ["karate", "clusters"] {
        let case = Case::open(name);
        let mut graph = case.graph();
        run_flow(&mut graph, 2.0, flow::Settings { steps: 10, step: 1.0, surgery: None });
        let mut cut = Cut::new(graph.nodes());
        let cutoff = cut.find(&graph).unwrap();
        case.check("cut", &[cutoff], 1e-8);
        let of = |u| cut.communities.of(u);
        let first = |u| (0..graph.nodes()).find(|v| of(*v) == of(u)).unwrap() as f64;
        let communities: Vec<f64> = (0..graph.nodes()).map(first).collect();
        println!("{name}: {} communities", cut.communities.count());
        case.check("communities", &communities, 0.0);
        case.check("modularity", &[modularity(&graph, of)], 1e-8);
    }
}

#[test]
fn triangles_are_those_of_networkx() {
    for name in ["karate", "near", "clusters", "random", "far"] {
        let case = Case::open(name);
        let graph = case.graph();
        let mut motifs = Motifs::new(graph.nodes());
        motifs.take(&graph);
        let triangles: Vec<f64> =
            (0..graph.nodes()).map(|u| motifs.triangles(&graph, u).into()).collect();
        case.check("triangles", &triangles, 0.0);
        let degrees = (0..graph.nodes()).map(|u| motifs.degree(u) as usize);
        assert_eq!(degrees.sum::<usize>(), 2 * graph.edges().len());
    }
}

/// The values of the reference's own test, `test/test_OllivierRicci.py`.
#[test]
fn the_karate_club_is_as_published() {
    let near = |got: f64, want: f64| assert!((got - want).abs() <= 1e-6, "{got} is not {want}");
    let mut graph = Case::open("karate").graph();
    Curvature::new(Settings::default(), 34).find(&mut graph, || true);
    let curvatures =
        [0.111111, -0.143750, 0.041667, -0.114583, -0.281250, -0.281250, 0.062500, -0.200000];
    graph.edges().iter().zip(curvatures).for_each(|(edge, want)| near(edge.curvature, want));
    run_flow(&mut graph, 2.0, flow::Settings { steps: 3, step: 1.0, surgery: None });
    let lengths = [0.584642, 1.222957, 0.828566, 1.893597, 2.179315, 2.179315];
    graph.edges().iter().zip(lengths).for_each(|(edge, want)| near(edge.length, want));
}

fn curved(nodes: usize, edges: &[(usize, usize, f64)]) -> (Graph, usize) {
    let mut graph = Graph::new(nodes);
    let refused = graph.fill(nodes, edges.iter().copied());
    Curvature::new(Settings::default(), nodes).find(&mut graph, || true);
    let settings = flow::Settings { steps: 5, step: 0.5, surgery: None };
    let mut flowed = graph.clone();
    run_flow(&mut flowed, 2.0, settings);
    for edge in graph.edges().iter().chain(flowed.edges()) {
        assert!(edge.length.is_finite() && edge.curvature.is_finite(), "{edge:?}");
    }
    (graph, refused)
}

#[test]
fn degenerate_graphs_have_finite_curvature() {
    assert_eq!(curved(0, &[]).0.edges().len(), 0);
    assert_eq!(curved(1, &[]).0.node_curvature(0), 0.0);
    // Two nodes: with alpha = 1/2 both walks are the same.
    assert_eq!(curved(2, &[(0, 1, 3.0)]).0.edges()[0].curvature, 1.0);
    // Three islands, one of them a single node.
    let (islands, _) = curved(5, &[(0, 1, 1.0), (2, 3, 2.0)]);
    assert_eq!(islands.node_curvature(4), 0.0);
    let mut components = Components::new(5);
    components.find(&islands, f64::INFINITY);
    assert_eq!(components.count(), 3);
    // Twins, and twins only.
    let (twins, _) = curved(3, &[(0, 1, 0.0), (0, 2, 1.0), (1, 2, 1.0)]);
    assert_eq!(twins.edges()[0].curvature, 0.0);
    curved(3, &[(0, 1, 0.0), (0, 2, 0.0), (1, 2, 0.0)]);
    // Lengths that are no lengths.
    let bad =
        [(0, 1, f64::NAN), (1, 2, -1.0), (2, 2, 1.0), (0, 2, 1e300), (0, 3, 1.0), (1, 2, 1.0)];
    assert_eq!(curved(3, &bad).1, 5);
    assert_eq!(curved(3, &[(0, 1, f64::INFINITY)]).0.edges(), []);
    curved(4, &[(0, 1, 1e150), (1, 2, 1e-300), (2, 3, 1e-7), (0, 3, 1e-6), (0, 2, 1e80)]);
}

#[test]
fn what_time_does_not_allow_is_a_bound() {
    let case = Case::open("near");
    let mut graph = case.graph();
    let mut bounds = case.graph();
    let mut curvature = Curvature::new(Settings::default(), graph.nodes());
    curvature.find(&mut graph, || true);
    let mut left = 10;
    let pass = curvature.find(&mut bounds, || {
        left -= 1;
        left >= 0
    });
    assert_eq!((pass.solved, pass.left), (10, graph.edges().len() - 10));
    assert_eq!(bounds.edges()[..10], graph.edges()[..10]);
    for (bound, exact) in bounds.edges()[10..].iter().zip(&graph.edges()[10..]) {
        assert!(bound.curvature < exact.curvature, "{bound:?} {exact:?}");
    }
    // Without pivots, the first plan is a bound that is closer.
    let settings = Settings { pivots: 0, ..Settings::default() };
    let pass = Curvature::new(settings, graph.nodes()).find(&mut bounds, || true);
    assert!(pass.left > 0 && pass.pivots == 0);
    for (bound, exact) in bounds.edges().iter().zip(graph.edges()) {
        assert!(bound.curvature < exact.curvature + 1e-12, "{bound:?} {exact:?}");
    }
}

#[test]
fn a_flow_ends_when_it_is_told_or_done() {
    let mut graph = Case::open("near").graph();
    let mut curvature = Curvature::new(Settings::default(), graph.nodes());
    let settings = flow::Settings { steps: 10, step: 0.5, surgery: None };
    let mut asked = 0;
    let out = Flow::new(settings, graph.nodes()).run(&mut graph, &mut curvature, || {
        asked += 1;
        asked < 300
    });
    assert!(out.is_short && out.steps < 10 && out.pass.left > 0, "{out:?}");
    // A ring: all edges are alike, and so are their curvatures after one step.
    let mut ring = Graph::new(8);
    ring.fill(8, (0..8).map(|i| (i, (i + 1) % 8, 2.0)));
    let out = run_flow(&mut ring, 2.0, settings);
    assert!(!out.is_short && out.steps == 1 && out.pass.spread < 1e-12, "{out:?}");
    assert!(ring.edges().iter().all(|edge| (edge.length - 1.0).abs() < 1e-12));
}
