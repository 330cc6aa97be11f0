//! Graph to scores: a graph convolutional network.
//!
//! In: a graph of n nodes with f features each. Out: one probability per class. The adjacency of two nodes that
//! share an edge is exp(-length), or the weight; of others, 0. The network and how it is trained:
//! [`crate::math::gcn`]. No delay.
//!
//! Features are standardised by mean and standard deviation over the training graphs: of each feature of each node where
//! the network can tell nodes apart (`pool = "concat"` or `identity = true`), else of each feature over all nodes. The classes
//! count alike, however many examples they have; within a class, examples count by their weights.
//!
//! Cost: n^2 + e (hidden + embedding) + n hidden (f + embedding) multiplications, e twice the number of edges plus n; quick
//! enough for the real-time lane. A graph with numbers that are not finite is a fault.

use super::{Decoder, DecoderStage, check_labels, finite};
use crate::error::{Error, Result};
use crate::frame::graph::Layout;
use crate::frame::{Frame, Payload, Spec};
use crate::math::gcn::train::{self, Graphs, Options};
use crate::math::gcn::{Network, Parameters, Pool, Shape, Standard};
use crate::stages::manifold::not_fitted;
use crate::stages::{Examples, Fault, Fitted, Part, Stage, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Graph convolutional network: two layers in which every node takes up what its neighbours have, then a linear
/// decision. Learns from a recording (`saltatory fit`); wants more examples than the other decoders.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How strongly two nodes with an edge are tied.
    pub adjacency: Adjacency,
    /// How many numbers the first layer has for each node.
    pub hidden: usize,
    /// How many numbers the second layer has for each node.
    pub embedding: usize,
    /// How the nodes become one vector: "mean", or "concat" for one after the other, which keeps them apart but has
    /// many more weights to learn.
    pub pool: Pool,
    /// Whether every node has weights of its own in the first layer. With `pool = "mean"` and without it, it does not
    /// matter which node is which: left and right are the same.
    pub identity: bool,
    /// How often the training goes through all examples, at most.
    pub epochs: usize,
    /// The step size of the training (AdamW).
    pub learning_rate: f64,
    /// By which share of the step size weights shrink with every step.
    pub weight_decay: f64,
    /// The share of the numbers between the layers that is left out at random in training, 0 to below 1.
    pub dropout: f64,
    /// The training ends when a fifth of the examples, which is held out, has not been decided better for so many
    /// epochs; 0 learns from all examples, through all epochs, which is better unless there are hundreds.
    pub patience: usize,
    /// Examples in a step of the training.
    pub batch: usize,
    /// Where chance starts: the same seed and examples give the same weights.
    pub seed: u64,
}

/// What the strength of an edge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Adjacency {
    /// exp(-length), so that what flow or embedding does to lengths counts. Lengths should be about 1.
    Lengths,
    /// The weight.
    Weights,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            adjacency: Adjacency::Lengths,
            hidden: 32,
            embedding: 16,
            pool: Pool::Mean,
            identity: false,
            epochs: 300,
            learning_rate: 0.01,
            weight_decay: 0.1,
            dropout: 0.5,
            patience: 0,
            batch: 32,
            seed: 1,
        }
    }
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str =
        "adjacency = \"lengths\"\nhidden = 32\nembedding = 16\npool = \"mean\"\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        let sizes = [
            ("hidden", self.hidden),
            ("embedding", self.embedding),
            ("epochs", self.epochs),
            ("batch", self.batch),
        ];
        if let Some((key, _)) = sizes.iter().find(|(_, size)| !(1..=1 << 20).contains(size)) {
            return Err(Error::setting(*key, "must be 1 to 1048576"));
        }
        let ranges = [
            ("learning_rate", self.learning_rate, 1.0),
            ("weight_decay", self.weight_decay, 1e3),
            ("dropout", self.dropout, 0.99),
        ];
        for (key, value, most) in ranges {
            if !(0.0..=most).contains(&value) {
                return Err(Error::setting(key, format!("is {value}, expected 0 to {most}")));
            }
        }
        Ok(Box::new(DecoderStage::new(Gcn { settings: self, classes: Vec::new(), network: None })))
    }
}

impl Settings {
    /// The network for these graphs.
    fn shape(&self, layout: Layout, classes: usize) -> Shape {
        let Self { hidden, embedding, pool, identity, .. } = *self;
        let Layout { nodes, features } = layout;
        Shape { nodes, features, hidden, embedding, classes, pool, identity }
    }

    fn options(&self) -> Options {
        let Self { epochs, learning_rate, weight_decay, dropout, patience, batch, seed, .. } =
            *self;
        Options { epochs, learning_rate, weight_decay, dropout, patience, batch, seed }
    }

    /// The network that was learned under these settings and saved as `part`; checks shapes.
    pub fn network(&self, part: &Part) -> Result<Network> {
        let mean = part.tensor("mean", 2)?;
        let layout = Layout { nodes: mean.shape[0], features: mean.shape[1] };
        let shape = self.shape(layout, part.classes.len());
        let array = |name: &str, want: [usize; 2]| {
            let tensor = part.tensor(name, 2)?;
            if tensor.shape == want && !tensor.data.is_empty() {
                return Ok(tensor.data.clone());
            }
            let is = &tensor.shape;
            Err(Error::mismatch(format!(
                "the model's array `{name}` has shape {is:?}, expected {want:?}"
            )))
        };
        let mut parameters = Parameters::default();
        for (numbers, (name, size)) in parameters.iter_mut().zip(shape.arrays()) {
            *numbers = array(name, size)?;
        }
        let size = [shape.nodes, shape.features];
        let standard = Standard { mean: array("mean", size)?, scale: array("scale", size)? };
        if shape.classes < 2 || standard.scale.iter().any(|s| *s <= 0.0) {
            return Err(Error::mismatch("the model's classes or scales make no sense"));
        }
        Ok(Network::new(shape, standard, parameters))
    }
}

impl Adjacency {
    /// Writes the adjacency of a graph frame, n x n; the diagonal is arbitrary.
    fn of(self, layout: Layout, data: &[f64], out: &mut [f64]) {
        let n = layout.nodes;
        for (row, out) in data.chunks_exact(layout.cols()).zip(out.chunks_exact_mut(n)) {
            let (weights, lengths) = row[..2 * n].split_at(n);
            for ((weight, length), out) in weights.iter().zip(lengths).zip(out) {
                *out = match self {
                    _ if *weight <= 0.0 => 0.0,
                    Self::Lengths => (-length).exp(),
                    Self::Weights => *weight,
                };
            }
        }
    }
}

struct Gcn {
    settings: Settings,
    classes: Vec<String>,
    network: Option<Network>,
}

impl Decoder for Gcn {
    fn takes(&self) -> &'static [Payload] {
        &[Payload::Graph]
    }

    fn prepare(&mut self, input: &Spec) -> Result<()> {
        let was = layout_of(self.network.as_ref().ok_or_else(not_fitted)?);
        let is = Layout::of(input).unwrap_or(Layout { nodes: 0, features: 0 });
        if is == was {
            return Ok(());
        }
        Err(Error::mismatch(format!(
            "was fitted to graphs of {} nodes with {} features, but is given {} nodes with {}",
            was.nodes, was.features, is.nodes, is.features
        )))
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn scores(&mut self, x: &Frame, out: &mut [f64]) -> Result<(), Fault> {
        let network = self.network.as_mut().ok_or(Fault("nothing has been learned yet"))?;
        finite(&x.data)?;
        let layout = layout_of(network);
        let (adjacency, features) = network.graph();
        self.settings.adjacency.of(layout, &x.data, adjacency);
        copy_features(layout, &x.data, features);
        network.probabilities(out);
        finite(out)
    }

    fn fitted(&mut self) -> Option<&mut dyn Fitted> {
        Some(self)
    }
}

impl Fitted for Gcn {
    fn fit(&mut self, examples: &Examples<'_>) -> Result<()> {
        check_labels(examples)?;
        let Examples { frames, labels, classes, .. } = *examples;
        let layout = common_layout(frames)?;
        let counting = counting(examples)?;
        let shape = self.settings.shape(layout, classes.len());
        let features = |(i, weight): &(usize, f64)| {
            let mut features = vec![0.0; layout.nodes * layout.features];
            copy_features(layout, &frames[*i].data, &mut features);
            (features, *weight)
        };
        let features: Vec<_> = counting.iter().map(features).collect();
        let standard = Standard::learn(shape, &features);

        let mut graphs = Graphs::default();
        let mut adjacency = vec![0.0; layout.nodes * layout.nodes];
        for ((i, weight), (mut features, _)) in counting.into_iter().zip(features) {
            self.settings.adjacency.of(layout, &frames[i].data, &mut adjacency);
            standard.apply(&mut features);
            graphs.push(&mut adjacency, &features, labels[i], weight);
        }
        graphs.balance(classes.len());
        let parameters = train::fit(shape, &graphs, &self.settings.options())?;
        self.network = Some(Network::new(shape, standard, parameters));
        self.classes = classes.to_vec();
        Ok(())
    }

    fn save(&self) -> Result<Part> {
        let network = self.network.as_ref().ok_or_else(not_fitted)?;
        let shape = network.shape();
        let (size, standard) = ([shape.nodes, shape.features], network.standard());
        let arrays = shape.arrays().into_iter().zip(network.parameters());
        let standard = [(("mean", size), &standard.mean), (("scale", size), &standard.scale)];
        let tensor = |((name, size), data): ((&str, [usize; 2]), &Vec<f64>)| {
            (name.to_string(), Tensor { shape: size.to_vec(), data: data.clone() })
        };
        let tensors = arrays.chain(standard).map(tensor).collect();
        Ok(Part { tensors, classes: self.classes.clone() })
    }

    fn load(&mut self, part: &Part) -> Result<()> {
        self.network = Some(self.settings.network(part)?);
        self.classes = part.classes.clone();
        Ok(())
    }
}

/// The graphs that `network` takes.
fn layout_of(network: &Network) -> Layout {
    let Shape { nodes, features, .. } = network.shape();
    Layout { nodes, features }
}

/// Writes the features of a graph frame, n x f.
fn copy_features(layout: Layout, data: &[f64], out: &mut [f64]) {
    for (i, row) in out.chunks_exact_mut(layout.features).enumerate() {
        row.copy_from_slice(&data[layout.features(i)]);
    }
}

/// The layout of all `frames`, checked to hold finite numbers.
fn common_layout(frames: &[Frame]) -> Result<Layout> {
    let first = frames.first().ok_or_else(|| Error::missing("there are no examples"))?;
    // A frame does not say that it is a graph, but its shape says how many features one would have.
    let features = first.cols.checked_sub(3 * first.rows).filter(|f| *f > 0 && first.rows > 0);
    let none = || Error::mismatch("learns from graphs whose nodes have features");
    let layout = Layout { nodes: first.rows, features: features.ok_or_else(none)? };
    for (i, frame) in frames.iter().enumerate() {
        if !layout.fits(frame) {
            return Err(Error::mismatch("the graphs of the examples differ in size"));
        }
        if finite(&frame.data).is_err() {
            let text = format!("example {} holds numbers that are not finite", i + 1);
            return Err(Error::mismatch(text));
        }
    }
    Ok(layout)
}

/// The examples that count, and how much.
fn counting(examples: &Examples<'_>) -> Result<Vec<(usize, f64)>> {
    let Examples { labels, classes, weights, .. } = *examples;
    let weight = |i: usize| (i, weights.get(i).copied().unwrap_or(1.0));
    let counting: Vec<_> = (0..labels.len()).map(weight).filter(|(_, w)| *w > 0.0).collect();
    match (0..classes.len()).find(|k| counting.iter().all(|(i, _)| labels[*i] != *k)) {
        None => Ok(counting),
        Some(k) => {
            let text = format!("class `{}` has no example that counts", classes[k]);
            Err(Error::missing(text))
        }
    }
}
