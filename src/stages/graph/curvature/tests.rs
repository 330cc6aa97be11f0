//! Tests of the stage.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::stages::testing::{Seen, numbers, samples};

const LAYOUT: Layout = Layout { nodes: 5, features: 1 };

/// A graph frame with these edges and lengths; the feature of a node is its number.
fn graph(edges: &[(usize, usize, f64)]) -> Frame {
    let mut frame = numbers(LAYOUT.cols(), &[0.0; 5 * 16]);
    for (u, v, length) in edges {
        for (i, j) in [(*u, *v), (*v, *u)] {
            frame.data[LAYOUT.weight(i, j)] = 0.5;
            frame.data[LAYOUT.length(i, j)] = *length;
        }
    }
    (0..5).for_each(|i| frame.data[LAYOUT.features(i).start] = i as f64);
    frame
}

const TWO_TRIANGLES: [(usize, usize, f64); 6] =
    [(0, 1, 1.0), (0, 2, 1.0), (1, 2, 1.0), (2, 3, 4.0), (2, 4, 4.0), (3, 4, 1.0)];

fn run(toml: &str, mut frame: Frame) -> (Frame, Seen) {
    let settings: Settings = toml::from_str(toml).unwrap();
    let mut stage = kind::Settings::build(settings).unwrap();
    let spec = stage.prepare(&[LAYOUT.spec(&samples(&["C3"], 100.0))]).unwrap();
    let mut seen = Seen::default();
    stage.process(&mut frame, &mut seen).unwrap();
    let out = seen.frames[0].clone();
    assert_eq!((out.rows, out.cols, out.data.len()), (5, spec.cols, 5 * spec.cols));
    assert!(out.data.iter().all(|v| v.is_finite()), "{out:?}");
    let made = Layout::of(&spec).unwrap();
    for (i, j) in (0..5).flat_map(|i| (0..5).map(move |j| (i, j))) {
        for block in [Layout::weight, Layout::length, Layout::curvature] {
            assert_eq!(out.data[block(made, i, j)], out.data[block(made, j, i)]);
            let has_edge = out.data[made.weight(i, j)] > 0.0;
            assert!(has_edge || out.data[block(made, i, j)] == 0.0);
        }
    }
    (out, seen)
}

#[test]
fn curvatures_and_lengths_are_written_and_all_else_stays() {
    let given = graph(&TWO_TRIANGLES);
    let (plain, _) = run("", given.clone());
    assert_eq!(plain.flags, Flags::NONE);
    for i in 0..5 {
        assert_eq!(plain.data[LAYOUT.features(i)], given.data[LAYOUT.features(i)]);
        for j in 0..5 {
            assert_eq!(plain.data[LAYOUT.weight(i, j)], given.data[LAYOUT.weight(i, j)]);
            assert_eq!(plain.data[LAYOUT.length(i, j)], given.data[LAYOUT.length(i, j)]);
        }
    }
    let curvature = |i, j| plain.data[LAYOUT.curvature(i, j)];
    assert!(curvature(0, 1) > curvature(2, 3), "{} {}", curvature(0, 1), curvature(2, 3));

    let (flowed, _) = run("flow_steps = 4\nnode_curvature = true", given);
    let made = Layout { features: 2, ..LAYOUT };
    let sum: f64 = made.edges(&flowed.data).map(|(i, j)| flowed.data[made.length(i, j)]).sum();
    assert!((sum - 6.0).abs() < 1e-9, "{sum}");
    let at_zero = [1, 2].map(|j| flowed.data[made.curvature(0, j)]);
    assert_eq!(flowed.data[made.features(0).start + 1], at_zero.iter().sum::<f64>() / 2.0);
}

#[test]
fn a_length_of_one_stands_for_all() {
    let mut given = graph(&TWO_TRIANGLES);
    let ones = TWO_TRIANGLES.map(|(u, v, _)| (u, v, 1.0));
    for toml in ["", "method = \"average\"", "method = \"sinkhorn\""] {
        let want = run(toml, graph(&ones)).0;
        let got = run(&format!("unit_lengths = true\n{toml}"), given.clone()).0;
        assert_eq!(got.data, want.data);
    }
    given.data[LAYOUT.length(0, 1)] = f64::NAN;
    assert!(run("unit_lengths = true", given).0.flags.has(Flags::BAD));
}

#[test]
fn communities_part() {
    let mut edges = TWO_TRIANGLES.to_vec();
    edges.truncate(3);
    edges.extend([(2, 3, 6.0), (3, 4, 1.0)]);
    let (parted, _) = run("flow_steps = 6\nstep = 0.5\ncommunities = true", graph(&edges));
    assert_eq!(parted.data[LAYOUT.weight(2, 3)], 0.0);
    assert!(parted.data[LAYOUT.weight(3, 4)] > 0.0 && parted.data[LAYOUT.weight(0, 2)] > 0.0);
    let (cut, _) = run("flow_steps = 6\nsurgery_cutoff = 1.5\nsurgery_every = 2", graph(&edges));
    assert_eq!(cut.data[LAYOUT.weight(2, 3)], 0.0);
}

#[test]
fn degenerate_graphs_are_marked() {
    let mut nan = graph(&TWO_TRIANGLES);
    nan.data[LAYOUT.features(2).start] = f64::NAN;
    let mut infinite = graph(&TWO_TRIANGLES);
    infinite.data[LAYOUT.weight(0, 1)] = f64::INFINITY;
    infinite.data[LAYOUT.weight(1, 0)] = f64::INFINITY;
    let mut twins = TWO_TRIANGLES;
    twins[0].2 = 0.0;
    let with = |length| graph(&[(0, 1, length), (0, 2, 1.0), (0, 3, 1.0), (0, 4, 1.0)]);
    let bad = [
        graph(&[]),
        graph(&TWO_TRIANGLES[..3]),
        graph(&twins),
        with(f64::NAN),
        with(f64::INFINITY),
        with(1e300),
        with(1e-300),
        with(-1.0),
        nan,
        infinite,
    ];
    for toml in [
        "",
        "power = 0.0",
        "method = \"sinkhorn\"",
        "method = \"average\"",
        "flow_steps = 3\nstep = 1.0",
        "flow_steps = 3\ncommunities = true\nnode_curvature = true",
    ] {
        for frame in &bad {
            assert!(run(toml, frame.clone()).0.flags.has(Flags::BAD), "{toml}: {frame:?}");
        }
    }
}

#[test]
fn a_budget_that_runs_out_is_counted() {
    for toml in ["budget_ms = 1e-9", "budget_ms = 1e-9\nflow_steps = 3"] {
        let (short, seen) = run(toml, graph(&TWO_TRIANGLES));
        assert_eq!(seen.counts, [(Cause::Budget, 1)]);
        assert_eq!(short.flags, Flags::NONE);
        assert!(short.data[LAYOUT.curvature(0, 1)] != 0.0);
    }
    assert_eq!(run("budget_ms = 1e6", graph(&TWO_TRIANGLES)).1.counts, []);
}

#[test]
fn settings_are_checked() {
    let build = |toml: &str| kind::Settings::build(toml::from_str::<Settings>(toml).unwrap());
    for toml in [
        "alpha = 1.0",
        "alpha = nan",
        "power = -1.0",
        "step = 0.0",
        "step = 1.5",
        "surgery_cutoff = 0.0",
        "surgery_every = 0",
        "communities = true",
        "budget_ms = 0.0",
    ] {
        let key = toml.split(' ').next().unwrap();
        let error = build(toml).err().unwrap().to_string();
        assert!(!error.is_empty(), "{key}");
    }
    let is_realtime = |toml| build(toml).unwrap().realtime();
    assert!(is_realtime("method = \"average\""));
    assert!(!is_realtime("method = \"average\"\nflow_steps = 1") && !is_realtime(""));
    let mut stage = build("").unwrap();
    assert!(stage.prepare(&[samples(&["C3"], 100.0)]).is_err());
    let large = Layout { nodes: 513, features: 0 }.spec(&samples(&["C3"], 100.0));
    assert!(stage.prepare(&[large]).is_err());
    stage.prepare(&[LAYOUT.spec(&samples(&["C3"], 100.0))]).unwrap();
    assert!(stage.process(&mut numbers(2, &[0.0; 4]), &mut Seen::default()).is_err());
}
