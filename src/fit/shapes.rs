//! The geometry of the graphs that a pipeline decides on, for the report.

use super::report::Geometry;
use super::tail::Way;
use super::{Epochs, Plan};
use crate::error::Result;
use crate::frame::Frame;
use crate::frame::graph::Layout;
use crate::math::graph::Graph;
use crate::math::graph::community::Cut;
use crate::math::graph::curvature::{Curvature, Settings};
use crate::math::graph::flow::{self, Flow};
use std::collections::BTreeMap;

/// Steps of the flow that the mean graph is cut into communities by.
const STEPS: usize = 20;

/// Curvatures before and after the flow, and the mean graph; `None` where the pipeline has no `curvature`.
pub fn geometry(plan: &Plan, epochs: &Epochs) -> Result<Option<Geometry>> {
    let links = plan.learning()?;
    let Some(place) = links.iter().position(|link| link.kind == "curvature") else {
        return Ok(None);
    };
    let steps = links[place].settings.get("flow_steps").and_then(|v| v.as_u64()).unwrap_or(0);
    let embedded = links[..place].iter().any(|link| link.kind == "eigenmap");
    let mut tail = plan.tail()?;
    let way = Way { spec: epochs.spec.clone(), train: epochs.frames.clone(), test: Vec::new() };
    let before = tail.advance(place, way, &epochs.examples())?;
    let Some(layout) = Layout::of(&before.spec) else { return Ok(None) };
    let channels = before.spec.channels.iter().map(|c| c.label.clone()).collect();
    let mut mean = mean_graph(layout, &before.train);
    let curvatures = curvatures(layout, &before.train);
    let places = if embedded { mean_places(layout, &before.train) } else { Vec::new() };
    let mut finder = Curvature::new(Settings::default(), layout.nodes);
    finder.find(&mut mean, || true);
    let edges = mean.edges().iter().map(|e| (e.u, e.v, e.curvature)).collect();
    let communities = communities(&mut mean, &mut finder);
    let after = match steps {
        0 => Vec::new(),
        _ => flowed(tail.advance(1, before, &epochs.examples())?),
    };
    let steps = steps as usize;
    Ok(Some(Geometry { channels, before: curvatures, after, steps, edges, communities, places }))
}

/// The graph of the edges that at least half of the trials have, as long as they are on average.
fn mean_graph(layout: Layout, frames: &[Frame]) -> Graph {
    let mut lengths: BTreeMap<(usize, usize), Vec<f64>> = BTreeMap::new();
    for frame in frames {
        for (i, j) in layout.edges(&frame.data) {
            lengths.entry((i, j)).or_default().push(frame.data[layout.length(i, j)]);
        }
    }
    let mean = |of: &Vec<f64>| of.iter().sum::<f64>() / of.len() as f64;
    let often = lengths.iter().filter(|(_, of)| 2 * of.len() >= frames.len());
    let mut graph = Graph::new(layout.nodes);
    graph.fill(layout.nodes, often.map(|((i, j), of)| (*i, *j, mean(of))));
    graph
}

/// The exact curvature of every edge of every trial.
fn curvatures(layout: Layout, frames: &[Frame]) -> Vec<f64> {
    let mut finder = Curvature::new(Settings::default(), layout.nodes);
    let mut graph = Graph::new(layout.nodes);
    let mut all = Vec::new();
    for frame in frames {
        let length = |(i, j)| (i, j, frame.data[layout.length(i, j)]);
        graph.fill(layout.nodes, layout.edges(&frame.data).map(length));
        finder.find(&mut graph, || true);
        all.extend(graph.edges().iter().map(|e| e.curvature));
    }
    all
}

/// What the pipeline's own stage has written.
fn flowed(way: Way) -> Vec<f64> {
    let Some(layout) = Layout::of(&way.spec) else { return Vec::new() };
    let of = |frame: &Frame| {
        layout
            .edges(&frame.data)
            .map(|(i, j)| frame.data[layout.curvature(i, j)])
            .collect::<Vec<_>>()
    };
    way.train.iter().flat_map(of).collect()
}

/// The first two coordinates of each node, on average.
fn mean_places(layout: Layout, frames: &[Frame]) -> Vec<[f64; 2]> {
    if layout.features < 2 {
        return Vec::new();
    }
    let mean = |node: usize, k: usize| {
        let at = layout.features(node).start + k;
        frames.iter().map(|f| f.data[at]).sum::<f64>() / frames.len().max(1) as f64
    };
    (0..layout.nodes).map(|node| [mean(node, 0), mean(node, 1)]).collect()
}

/// The communities that the flow pulls apart, numbered from 0.
fn communities(mean: &mut Graph, finder: &mut Curvature) -> Vec<usize> {
    let settings = flow::Settings { steps: STEPS, step: 0.5, surgery: None };
    Flow::new(settings, mean.nodes()).run(mean, finder, || true);
    let mut cut = Cut::new(mean.nodes());
    cut.find(mean);
    let mut numbers: Vec<usize> = Vec::new();
    (0..mean.nodes())
        .map(|node| {
            let community = cut.communities.of(node);
            numbers.iter().position(|n| *n == community).unwrap_or_else(|| {
                numbers.push(community);
                numbers.len() - 1
            })
        })
        .collect()
}
