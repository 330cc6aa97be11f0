//! A graph to the same graph with coordinates: the Laplacian eigenmap of its nodes.
//!
//! In: a graph of n nodes ([`crate::frame::graph`]). Out: its weights as they came; as features of a node
//! its m coordinates ([`crate::math::manifold::eigenmap`]), behind them what features it had, if they are
//! kept; as length of an edge the distance of its nodes in these coordinates, at least 1e-12; curvatures
//! are 0. No delay.
//!
//! Eigenvectors have no sign, and two whose eigenvalues come close may turn into each other from one
//! window to the next. Therefore coordinates are rotated ([`crate::math::manifold::procrustes`])
//! onto those of the window before, or onto a reference, the mean of the examples, each rotated onto
//! it, which `saltatory fit` learns. A frame that is marked BAD is rotated, but none is rotated onto it, as
//! long as there was one that is not.
//!
//! A graph that falls into several parts, that has a node of hardly any weight, or weights that are no
//! weights, is marked BAD; its coordinates are finite.

use crate::error::{Error, Result};
use crate::frame::graph::Layout;
use crate::frame::{Flags, Frame, Payload, Spec};
use crate::math::linalg;
use crate::math::manifold::eigenmap::{Eigenmap as Map, rescale};
use crate::math::manifold::procrustes::{self, Procrustes};
use crate::math::manifold::{components, heat};
use crate::stages::manifold::not_fitted;
use crate::stages::{Emit, Examples, Fault, Fitted, Part, Stage, Tensor, single};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// No edge is shorter: two nodes in the same place are still two.
const SHORTEST: f64 = 1e-12;
/// Weights above this are none.
const LARGEST_WEIGHT: f64 = 1e100;

/// Coordinates of the nodes of a graph, such as channels, in which those that are alike lie near each other: the
/// Laplacian eigenmap, steady from window to window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How many coordinates each node gets; fewer than there are nodes.
    pub dimensions: usize,
    /// What the coordinates are rotated onto.
    pub align: Align,
    /// Divides the weights by the products of their row sums first, which takes out how densely the nodes
    /// lie, as pyRiemann's `SpectralEmbedding` does.
    pub normalise: bool,
    /// How large the coordinates are.
    pub scale: Scale,
    /// Passes the features on, behind the coordinates.
    pub keep_features: bool,
}

/// What the coordinates are rotated onto.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Align {
    /// Those of the window before: steady, but a slow drift may add up.
    #[default]
    Previous,
    /// The mean of the examples (`saltatory fit`): the same axes in every session.
    Fitted,
    /// Nothing: signs and order as they come, the entry of largest magnitude positive.
    None,
}

/// How large the coordinates are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// y^T D y = 1, as SciPy and scikit-learn have it.
    #[default]
    Unit,
    /// Each coordinate has a mean square of 1, each node counted by its weight: lengths do not depend on how
    /// many nodes there are.
    Variance,
    /// Each coordinate reaches from -1 to 1, as pyRiemann has it.
    Range,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dimensions: 3,
            align: Align::Previous,
            normalise: false,
            scale: Scale::Unit,
            keep_features: false,
        }
    }
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "dimensions = 3\nalign = \"previous\"\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        if self.dimensions == 0 {
            return Err(Error::setting("dimensions", "is 0, expected 1 or more"));
        }
        Ok(Box::new(Eigenmap { settings: self, reference: Vec::new(), ready: None }))
    }
}

struct Eigenmap {
    settings: Settings,
    /// The coordinates that were learned, node by node; empty until then.
    reference: Vec<f64>,
    ready: Option<Ready>,
}

/// Once it is prepared.
struct Ready {
    input: Layout,
    output: Layout,
    embedder: Embedder,
    procrustes: Procrustes,
    /// What the next window is rotated onto, if there is something, and whether that is sound.
    target: Vec<f64>,
    state: Target,
    out: Frame,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    None,
    Bad,
    Sound,
}

impl Stage for Eigenmap {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let spec = single(inputs, &[Payload::Graph])?;
        let mismatch = || Error::mismatch("takes a graph, but is given a frame of another shape");
        let input = Layout::of(spec).ok_or_else(mismatch)?;
        let m = self.settings.dimensions;
        if m >= input.nodes {
            let text = format!("{m} is too many for {} nodes: expected fewer", input.nodes);
            return Err(Error::setting("dimensions", text));
        }
        self.check_reference(input.nodes * m)?;
        let kept = if self.settings.keep_features { input.features } else { 0 };
        let output = Layout { features: m + kept, ..input };
        let out = output.spec(spec);
        self.ready = Some(Ready {
            input,
            output,
            embedder: Embedder::new(input.nodes, &self.settings),
            procrustes: Procrustes::new(m),
            target: vec![0.0; input.nodes * m],
            state: Target::None,
            out: out.frame(),
        });
        self.reset();
        Ok(out)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        let ready = self.ready.as_mut().ok_or(Fault("the stage is not prepared"))?;
        ready.out.copy_head(frame);
        if frame.data.is_empty() {
            // The end of the stream.
            ready.out.resize(0, ready.output.cols());
        } else if ready.input.fits(frame) {
            ready.embed(frame, &self.settings);
        } else {
            return Err(Fault("the frame has another shape than was promised"));
        }
        emit.emit(&mut ready.out);
        Ok(())
    }

    fn reset(&mut self) {
        let Some(ready) = &mut self.ready else { return };
        ready.state = Target::None;
        if self.settings.align == Align::Fitted {
            ready.target.copy_from_slice(&self.reference);
            ready.state = Target::Sound;
        }
    }

    // The axes are kept: a lost packet makes the person no other.
    fn interrupt(&mut self) {}

    fn fitted(&mut self) -> Option<&mut dyn Fitted> {
        if self.settings.align == Align::Fitted { Some(self) } else { None }
    }
}

impl Eigenmap {
    /// What is needed was learned, for so many numbers.
    fn check_reference(&self, wanted: usize) -> Result<()> {
        if self.settings.align != Align::Fitted {
            return Ok(());
        }
        match self.reference.len() {
            0 => Err(not_fitted()),
            len if len == wanted => Ok(()),
            len => Err(Error::mismatch(format!(
                "was fitted to graphs with {} nodes, but is given {}",
                len / self.settings.dimensions,
                wanted / self.settings.dimensions
            ))),
        }
    }
}

impl Ready {
    /// Embeds the nodes, rotates their coordinates, and writes the new graph.
    fn embed(&mut self, frame: &Frame, settings: &Settings) {
        if !self.embedder.find(self.input, &frame.data, settings) {
            self.out.flags |= Flags::BAD;
        }
        self.align(settings.align);
        self.write_edges(settings.dimensions);
        self.write_features(&frame.data, settings.dimensions);
    }

    /// Rotates the coordinates, and lets the next ones be rotated onto them.
    fn align(&mut self, align: Align) {
        let coordinates = &mut self.embedder.coordinates;
        if self.state != Target::None {
            self.procrustes.align(coordinates, &self.target);
        }
        let bad = self.out.flags.has(Flags::BAD);
        if align == Align::Previous && !(bad && self.state == Target::Sound) {
            self.target.copy_from_slice(coordinates);
            self.state = if bad { Target::Bad } else { Target::Sound };
        }
    }

    fn write_edges(&mut self, m: usize) {
        let (layout, n) = (self.output, self.output.nodes);
        self.out.resize(n, layout.cols());
        self.out.data.fill(0.0);
        let place = |i: usize| &self.embedder.coordinates[i * m..(i + 1) * m];
        for e in (0..n * n).filter(|e| self.embedder.given[*e] > 0.0) {
            let (i, j) = (e / n, e % n);
            self.out.data[layout.weight(i, j)] = self.embedder.given[e];
            self.out.data[layout.length(i, j)] = linalg::distance(place(i), place(j)).max(SHORTEST);
        }
    }

    fn write_features(&mut self, data: &[f64], m: usize) {
        for (i, place) in self.embedder.coordinates.chunks_exact(m).enumerate() {
            let (coordinates, kept) = self.out.data[self.output.features(i)].split_at_mut(m);
            coordinates.copy_from_slice(place);
            for (to, v) in kept.iter_mut().zip(&data[self.input.features(i)]) {
                if v.is_finite() {
                    *to = *v;
                } else {
                    self.out.flags |= Flags::BAD;
                }
            }
        }
    }
}

/// Coordinates of one graph by itself.
struct Embedder {
    /// The weights as they came, n x n, and as they are used.
    given: Vec<f64>,
    weights: Vec<f64>,
    map: Map,
    coordinates: Vec<f64>,
    sums: Vec<f64>,
    queue: Vec<usize>,
    seen: Vec<bool>,
}

impl Embedder {
    fn new(n: usize, settings: &Settings) -> Self {
        Self {
            given: vec![0.0; n * n],
            weights: vec![0.0; n * n],
            map: Map::new(n, settings.dimensions),
            coordinates: vec![0.0; n * settings.dimensions],
            sums: vec![0.0; n],
            queue: vec![0; n],
            seen: vec![false; n],
        }
    }

    /// Finds the coordinates of the nodes of the graph in `data`; false if it is not sound.
    fn find(&mut self, layout: Layout, data: &[f64], settings: &Settings) -> bool {
        let n = layout.nodes;
        let mut sound = self.take_weights(layout, data);
        let edge = |i: usize, j: usize| self.given[i * n + j] > 0.0;
        sound &= components::count(n, &mut self.queue, &mut self.seen, edge) == 1;
        self.weights.copy_from_slice(&self.given);
        if settings.normalise {
            heat::normalise(&mut self.weights, n, &mut self.sums);
        }
        sound &= self.map.find(&self.weights);
        self.coordinates.copy_from_slice(self.map.coordinates());
        match settings.scale {
            Scale::Unit => {}
            Scale::Variance => {
                let factor = self.map.degrees().iter().sum::<f64>().sqrt();
                self.coordinates.iter_mut().for_each(|y| *y *= factor);
            }
            Scale::Range => rescale(&mut self.coordinates, settings.dimensions),
        }
        sound
    }

    /// Copies the weights; false if some are none.
    fn take_weights(&mut self, layout: Layout, data: &[f64]) -> bool {
        let (n, mut sound) = (layout.nodes, true);
        for i in 0..n {
            for j in 0..i {
                let w = data[layout.weight(i, j)];
                let fits = (0.0..LARGEST_WEIGHT).contains(&w);
                sound &= fits;
                let w = if fits { w } else { 0.0 };
                (self.given[i * n + j], self.given[j * n + i]) = (w, w);
            }
        }
        sound
    }
}

impl Fitted for Eigenmap {
    fn fit(&mut self, examples: &Examples<'_>) -> Result<()> {
        let Examples { frames, weights, .. } = *examples;
        let m = self.settings.dimensions;
        let first = frames.first().ok_or_else(|| Error::missing("there is no example"))?;
        let unlike = || Error::mismatch("expected graphs of one size");
        let features = first.cols.checked_sub(3 * first.rows).ok_or_else(unlike)?;
        let layout = Layout { nodes: first.rows, features };
        if m >= layout.nodes || !frames.iter().all(|frame| layout.fits(frame)) {
            return Err(unlike().behind(format!(", each with more than {m} nodes")));
        }
        let mut embedder = Embedder::new(layout.nodes, &self.settings);
        let (mut sets, mut shares) = (Vec::new(), Vec::new());
        for (i, frame) in frames.iter().enumerate() {
            let share = weights.get(i).copied().unwrap_or(1.0);
            let bad = frame.flags.has(Flags::BAD) || share <= 0.0;
            if !bad && embedder.find(layout, &frame.data, &self.settings) {
                sets.push(embedder.coordinates.clone());
                shares.push(share);
            }
        }
        let none =
            || Error::missing("no example holds a graph in one piece to learn the axes from");
        self.reference = procrustes::mean(&sets, &shares, m).ok_or_else(none)?;
        self.ready = None;
        Ok(())
    }

    fn save(&self) -> Result<Part> {
        if self.reference.is_empty() {
            return Err(not_fitted());
        }
        let m = self.settings.dimensions;
        let shape = vec![self.reference.len() / m, m];
        let reference = Tensor { shape, data: self.reference.clone() };
        Ok(Part { tensors: [("reference".to_string(), reference)].into(), classes: Vec::new() })
    }

    fn load(&mut self, part: &Part) -> Result<()> {
        let reference = part.tensor("reference", 2)?;
        let m = self.settings.dimensions;
        if reference.shape[1] != m || reference.shape[0] <= m {
            return Err(Error::mismatch(format!(
                "the model's array `reference` has shape {:?}, expected {m} columns and more rows",
                reference.shape
            )));
        }
        (self.reference, self.ready) = (reference.data.clone(), None);
        Ok(())
    }
}
