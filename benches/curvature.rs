//! What curvature and Ricci flow of a graph of channels cost, on one thread, beside their parts.
//!
//! `cargo bench --bench curvature`. The graphs are those of `benches/rivals/curvature.py`: points of a Gaussian cloud
//! in five dimensions, each joined to its 8 nearest, with lengths equal to distances (64 nodes: about 345 edges).
#![allow(missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use saltatory::math::graph::Graph;
use saltatory::math::graph::community::Cut;
use saltatory::math::graph::curvature::{Curvature, Method, Settings};
use saltatory::math::graph::flow::{self, Flow};
use saltatory::math::graph::motifs::Motifs;
use saltatory::math::graph::shortest::Paths;
use std::hint::black_box;

const NEAREST: usize = 8;

/// Edges with their lengths.
fn edges(nodes: usize) -> Vec<(usize, usize, f64)> {
    let rng = &mut Pcg64::seed_from_u64(3);
    let points: Vec<[f64; 5]> =
        (0..nodes).map(|_| std::array::from_fn(|_| StandardNormal.sample(rng))).collect();
    let distance = |i: usize, j: usize| {
        points[i].iter().zip(&points[j]).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    };
    let nearest = |i: usize| {
        let mut others: Vec<usize> = (0..nodes).filter(|j| *j != i).collect();
        others.sort_by(|a, b| distance(i, *a).total_cmp(&distance(i, *b)));
        others.truncate(NEAREST);
        others
    };
    let near: Vec<Vec<usize>> = (0..nodes).map(nearest).collect();
    (0..nodes)
        .flat_map(|i| (i + 1..nodes).map(move |j| (i, j)))
        .filter(|(i, j)| near[*i].contains(j) || near[*j].contains(i))
        .map(|(i, j)| (i, j, distance(i, j)))
        .collect()
}

fn graphs(c: &mut Criterion) {
    for nodes in [64, 128] {
        let edges = edges(nodes);
        let mut graph = Graph::new(nodes);
        graph.fill(nodes, edges.iter().copied());
        let mut group = c.benchmark_group(format!("{nodes} nodes, {} edges", edges.len()));
        let mut paths = Paths::new(nodes);
        group.bench_function("shortest paths", |b| b.iter(|| paths.find(black_box(&graph))));
        for method in [Method::Exact, Method::Sinkhorn, Method::Average] {
            let settings = Settings { method, ..Settings::default() };
            let mut curvature = Curvature::new(settings, nodes);
            group.bench_function(format!("curvature, {method:?}"), |b| {
                b.iter(|| curvature.find(black_box(&mut graph), || true));
            });
        }
        for (name, step) in [("step 1", 1.0), ("step 0.5", 0.5)] {
            let mut curvature = Curvature::new(Settings::default(), nodes);
            let mut flow = Flow::new(flow::Settings { steps: 10, step, surgery: None }, nodes);
            group.bench_function(format!("flow, 10 steps, {name}"), |b| {
                b.iter(|| {
                    graph.fill(nodes, black_box(&edges).iter().copied());
                    flow.run(&mut graph, &mut curvature, || true)
                });
            });
        }
        let (mut cut, mut motifs) = (Cut::new(nodes), Motifs::new(nodes));
        group.bench_function("communities", |b| b.iter(|| cut.find(black_box(&graph))));
        group.bench_function("triangles", |b| {
            b.iter(|| {
                motifs.take(black_box(&graph));
                (0..nodes).map(|u| motifs.triangles(&graph, u)).sum::<u32>()
            });
        });
        group.finish();
    }
}

criterion_group!(benches, graphs);
criterion_main!(benches);
