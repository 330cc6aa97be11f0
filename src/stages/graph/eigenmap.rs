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
//! Where the m-th eigenvalue comes close to the next one, the eigenvectors behind them may change places,
//! which no rotation of m coordinates undoes. With a `pool` of more than m eigenvectors, the m axes are those
//! in their span that come nearest to the ones before; the first window has the first m.
//!
//! A graph that falls into several parts, that has a node of hardly any weight, or weights that are no
//! weights, is marked BAD; its coordinates are finite.

use super::embedder::Embedder;
use crate::error::{Error, Result};
use crate::frame::graph::Layout;
use crate::frame::{Flags, Frame, Payload, Spec};
use crate::math::linalg;
use crate::math::manifold::procrustes::{self, Procrustes, truncate};
use crate::stages::manifold::not_fitted;
use crate::stages::{Emit, Examples, Fault, Fitted, Part, Stage, Tensor, single};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// No edge is shorter: two nodes in the same place are still two.
const SHORTEST: f64 = 1e-12;

/// Coordinates of the nodes of a graph, such as channels, in which those that are alike lie near each other: the
/// Laplacian eigenmap, steady from window to window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How many coordinates each node gets; fewer than there are nodes.
    pub dimensions: usize,
    /// What the coordinates are rotated onto.
    pub align: Align,
    /// The axes are looked for among so many of the smoothest ones, which keeps them steady where two of them change
    /// places. `dimensions` when left out.
    pub pool: Option<usize>,
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

impl Settings {
    /// How many eigenvectors are looked at.
    pub(super) fn pool(&self) -> usize {
        self.pool.unwrap_or(self.dimensions)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dimensions: 3,
            align: Align::Previous,
            pool: None,
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
        if self.pool() < self.dimensions {
            return Err(Error::setting("pool", "must not be less than `dimensions`"));
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
    /// What the next window is rotated onto, with zeros for the axes of the pool that are not kept, and
    /// whether that is sound, if there is something.
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
        let (m, pool) = (self.settings.dimensions, self.settings.pool());
        if pool >= input.nodes {
            let text = format!("{pool} is too many for {} nodes: expected fewer", input.nodes);
            return Err(Error::setting(if m < pool { "pool" } else { "dimensions" }, text));
        }
        self.check_reference(input.nodes * m)?;
        let kept = if self.settings.keep_features { input.features } else { 0 };
        let output = Layout { features: m + kept, ..input };
        let out = output.spec(spec);
        self.ready = Some(Ready {
            input,
            output,
            embedder: Embedder::new(input.nodes, &self.settings),
            procrustes: Procrustes::new(pool),
            target: vec![0.0; input.nodes * pool],
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
            let (m, pool) = (self.settings.dimensions, self.settings.pool());
            let rows = ready.target.chunks_exact_mut(pool).zip(self.reference.chunks_exact(m));
            rows.for_each(|(to, from)| to[..m].copy_from_slice(from));
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
        self.align(settings);
        self.write_edges(settings);
        self.write_features(&frame.data, settings);
    }

    /// Rotates the coordinates, and lets the next ones be rotated onto them.
    fn align(&mut self, settings: &Settings) {
        let coordinates = &mut self.embedder.coordinates;
        if self.state != Target::None {
            self.procrustes.align(coordinates, &self.target);
        }
        let bad = self.out.flags.has(Flags::BAD);
        if settings.align == Align::Previous && !(bad && self.state == Target::Sound) {
            self.target.copy_from_slice(coordinates);
            truncate(&mut self.target, settings.pool(), settings.dimensions);
            self.state = if bad { Target::Bad } else { Target::Sound };
        }
    }

    fn write_edges(&mut self, settings: &Settings) {
        let (layout, n) = (self.output, self.output.nodes);
        self.out.resize(n, layout.cols());
        self.out.data.fill(0.0);
        let (m, pool) = (settings.dimensions, settings.pool());
        let place = |i: usize| &self.embedder.coordinates[i * pool..i * pool + m];
        for e in (0..n * n).filter(|e| self.embedder.given[*e] > 0.0) {
            let (i, j) = (e / n, e % n);
            self.out.data[layout.weight(i, j)] = self.embedder.given[e];
            self.out.data[layout.length(i, j)] = linalg::distance(place(i), place(j)).max(SHORTEST);
        }
    }

    fn write_features(&mut self, data: &[f64], settings: &Settings) {
        let (m, pool) = (settings.dimensions, settings.pool());
        for (i, place) in self.embedder.coordinates.chunks_exact(pool).enumerate() {
            let (coordinates, kept) = self.out.data[self.output.features(i)].split_at_mut(m);
            coordinates.copy_from_slice(&place[..m]);
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

impl Fitted for Eigenmap {
    fn fit(&mut self, examples: &Examples<'_>) -> Result<()> {
        let Examples { frames, weights, .. } = *examples;
        let (m, pool) = (self.settings.dimensions, self.settings.pool());
        let first = frames.first().ok_or_else(|| Error::missing("there is no example"))?;
        let unlike = || Error::mismatch("expected graphs of one size");
        let features = first.cols.checked_sub(3 * first.rows).ok_or_else(unlike)?;
        let layout = Layout { nodes: first.rows, features };
        if pool >= layout.nodes || !frames.iter().all(|frame| layout.fits(frame)) {
            return Err(unlike().behind(format!(", each with more than {pool} nodes")));
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
        let mean = procrustes::mean(&sets, &shares, pool, m).ok_or_else(none)?;
        self.reference = mean.chunks_exact(pool).flat_map(|row| &row[..m]).copied().collect();
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

#[cfg(test)]
mod tests;
