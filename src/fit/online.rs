//! Pseudo-online: a whole recording through the whole pipeline, window after window, as it would have run
//! live.
//!
//! In: a pipeline, a model fitted on other recordings, a recording. Out: what was decided for every window,
//! beside what was meant at its end: a class while a trial lasts, else nothing. The stages are prepared
//! and joined as for a run, so that the decisions are those of a run.
//! Reference: Carrara and Papadopoulo, pseudo-online framework for BCI evaluation (2023).

use super::Plan;
use super::epochs::{Collector, feed};
use super::plan::{feeds_markers, main_branch};
use crate::config::{Config, Node};
use crate::engine::guard::Guard;
use crate::engine::pipeline::{Branch, Edge, Node as Placed, Pipeline, Route};
use crate::error::{Error, Result};
use crate::formats::{Content, Stream};
use crate::frame::{Payload, Spec};
use crate::ledger::Counters;
use crate::model::Model;
use crate::stages::window::classes::Classes;
use serde::Serialize;

/// What the decisions over one recording came to.
#[derive(Debug, Clone)]
pub struct Online {
    /// Names of the classes that the decoder scores.
    pub classes: Vec<String>,
    /// How many of them, from the first, are classes of the config; a decoder may have one more, for what
    /// it rejects.
    pub known: usize,
    /// The class that stands for nothing being meant, if the decoder knows one.
    pub idle: Option<usize>,
    /// The windows, in order.
    pub windows: Vec<Window>,
    /// When something was meant: from, to, class.
    pub trials: Vec<(f64, f64, usize)>,
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Window {
    /// Index of its newest sample.
    pub last_sample: u64,
    /// Time of its newest sample, in seconds from the recording's own zero.
    pub time_s: f64,
    /// The scores of all classes.
    pub scores: Vec<f64>,
}

impl Plan {
    /// Runs over the streams of a recording with what `model` has learned.
    pub fn online(&self, streams: &[Stream], model: &Model) -> Result<Online> {
        let mut config = self.config()?;
        let players = &mut self.players(&mut config, streams)?;
        let by_entry: Vec<usize> =
            (0..config.sources.len()).map(|i| usize::from(feeds_markers(&config, i))).collect();
        let sources: Vec<Spec> = by_entry.iter().map(|i| players[*i].spec().clone()).collect();
        let specs = config.prepare(&sources, Some(model))?;
        let main = main_branch(&config);
        let decides = |i: &usize| main[*i] && specs[*i].payload == Payload::Scores;
        let last = (0..specs.len()).rev().find(decides);
        let last = last.ok_or_else(|| Error::config("no stage of this config decides"))?;
        config.fuse(&[Node::Stage(last)]);
        let classes = specs[last].classes.clone();
        let wanted = config.classes();
        let idle = config.fit.as_ref().and_then(|fit| fit.idle.clone());
        let place = |name: String| {
            let found = classes.iter().position(|c| *c == name);
            found.ok_or_else(|| {
                let known = classes.join(", ");
                Error::config(format!("[fit] idle = {name:?} is none of the classes ({known})"))
            })
        };
        let idle = idle.map(place).transpose()?;
        let collector = Collector::default();
        let entries = [players[0].spec().clone(), players[1].spec().clone()];
        let mut pipeline = assemble(config, &entries, &by_entry, &specs, last, &collector);
        feed(&mut pipeline, players, &entries, &Counters::new("recording"));
        let window = |frame: crate::frame::Frame| Window {
            last_sample: frame.span.last,
            time_s: frame.span.last_s,
            scores: frame.data,
        };
        let decided = collector.take().into_iter().filter(|frame| frame.rows > 0);
        Ok(Online {
            windows: decided.map(window).collect(),
            known: wanted.as_ref().map_or(classes.len(), |wanted| wanted.names().len()),
            trials: wanted.map(|wanted| trials(streams, &wanted, idle)).unwrap_or_default(),
            classes,
            idle,
        })
    }
}

/// The pipeline of `config` with the collector behind stage `last`. Entry 0 are samples, 1 markers.
pub(super) fn assemble(
    config: Config,
    entries: &[Spec; 2],
    by_entry: &[usize],
    specs: &[Spec],
    last: usize,
    collector: &Collector,
) -> Pipeline {
    let stages = specs.len();
    let readers = |is: &dyn Fn(Node) -> bool| -> Vec<Edge> {
        let inputs = config.stages.iter().enumerate();
        let edges = inputs.flat_map(|(node, stage)| {
            let found = stage.from.iter().enumerate().filter(|(_, from)| is(**from));
            found.map(move |(input, _)| Edge { node, input, branch: Branch::All })
        });
        edges.collect()
    };
    let entry = |e: usize| {
        let edges = readers(&|node| matches!(node, Node::Source(i) if by_entry[i] == e));
        Route::new(&entries[e], edges)
    };
    let routes = vec![entry(0), entry(1)];
    let mut behind: Vec<Vec<Edge>> =
        (0..stages).map(|i| readers(&|node| node == Node::Stage(i))).collect();
    behind[last].push(Edge { node: stages, input: 0, branch: Branch::All });
    let on_gap = config.on_gap;
    let place =
        |(i, (stage, edges)): (usize, (crate::config::Unit<dyn crate::stages::Stage>, _))| {
            Placed::new(stage.unit, i, Route::new(&specs[i], edges), Counters::new(stage.id))
        };
    let mut nodes: Vec<Placed> =
        config.stages.into_iter().zip(behind).enumerate().map(place).collect();
    let end = Route::new(&specs[last], Vec::new());
    nodes.push(Placed::new(Box::new(collector.clone()), stages, end, Counters::new("end")));
    Pipeline::new(routes, nodes, stages + 1, on_gap, Guard::none())
}

/// When something was meant: while a marker of a class lasts, or until the next one where it does not say
/// how long that is.
fn trials(streams: &[Stream], classes: &Classes, idle: Option<usize>) -> Vec<(f64, f64, usize)> {
    let markers = streams.iter().find_map(|s| match &s.content {
        Content::Markers(markers) => Some(markers),
        Content::Samples(_) => None,
    });
    let mut markers = markers.cloned().unwrap_or_default();
    markers.sort_by(|a, b| a.time_s.total_cmp(&b.time_s));
    let mut found = Vec::new();
    for (i, marker) in markers.iter().enumerate() {
        let next_s = markers.get(i + 1).map_or(f64::INFINITY, |next| next.time_s);
        let end_s = match marker.duration_s {
            s if s > 0.0 => (marker.time_s + s).min(next_s),
            _ => next_s,
        };
        if let Some(class) = classes.index_of(&marker.text).filter(|class| Some(*class) != idle) {
            found.push((marker.time_s, end_s, class));
        }
    }
    found
}
