//! Learning the parameters of a graph convolutional network.
//!
//! Loss: cross-entropy, the mean over graphs by their weights. Steps of AdamW (Loshchilov and Hutter,
//! ICLR 2019) on batches in random order, from weights as Glorot and Bengio (2010) draw them, uniform, and
//! biases of zero. Dropout before the second layer and before the head.
//!
//! With a patience, a fifth of each class is held out: training ends when the loss on these has not
//! fallen for so many epochs, and the parameters are those of the lowest. Where a class has fewer than five
//! graphs nothing can be spared, and all epochs are done.
//!
//! All runs on one thread, and all chance comes from the seed: the same graphs give the same bits.

pub use super::model::Graphs;
use super::model::{Batch, Dropout, Model};
use super::{Parameters, Shape};
use crate::error::{Error, Result};
use candle_core::Result as Candle;
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// One in so many graphs of each class is held out.
const HELD_OUT: usize = 5;

/// How to train.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// How often all graphs are gone through, at most.
    pub epochs: usize,
    /// The step size of AdamW.
    pub learning_rate: f64,
    /// By which share of the step size the parameters shrink with every step.
    pub weight_decay: f64,
    /// The share of the inputs of a layer that is left out at random.
    pub dropout: f64,
    /// How many epochs without a lower loss on held-out graphs end the training; 0: all graphs are
    /// trained on, to the end.
    pub patience: usize,
    /// Graphs in a step.
    pub batch: usize,
    /// Where chance starts.
    pub seed: u64,
}

/// Learns `graphs`, which are of `shape`.
pub fn fit(shape: Shape, graphs: &Graphs, how: &Options) -> Result<Parameters> {
    let mut rng = Pcg64::seed_from_u64(how.seed);
    let (trained, held_out) = split(&graphs.labels, shape.classes, how.patience, &mut rng);
    let start = glorot(shape, &mut rng);
    let parameters = on_one_thread(|| {
        let all = Batch::new(shape, graphs)?;
        let held_out = if held_out.is_empty() { None } else { Some(all.select(&held_out)?) };
        let mut trainer = Trainer::new(Model::new(shape, &start)?, how, rng)?;
        trainer.train(&all, trained, held_out.as_ref())
    })?;
    match parameters.iter().flatten().all(|v| v.is_finite()) {
        true => Ok(parameters),
        false => Err(Error::run("the training has diverged: lower `learning_rate`")),
    }
}

/// The loss of `parameters` on all `graphs`, without dropout, and its gradient.
pub fn loss_and_gradient(
    shape: Shape,
    graphs: &Graphs,
    parameters: &Parameters,
) -> Result<(f64, Parameters)> {
    on_one_thread(|| {
        let model = Model::new(shape, parameters)?;
        let loss = model.loss(&Batch::new(shape, graphs)?, None)?;
        let gradients = loss.backward()?;
        let missing = || candle_core::Error::msg("the loss does not depend on a parameter");
        let of = |variable: &_| gradients.get(variable).cloned().ok_or_else(missing);
        Ok((f64::from(loss.to_scalar::<f32>()?), model.read(|variable| of(variable.as_tensor()))?))
    })
}

/// Runs `work`, and all that it would spread over threads, on one.
fn on_one_thread<T: Send>(work: impl FnOnce() -> Candle<T> + Send) -> Result<T> {
    let failed = |e: &dyn std::fmt::Display| Error::run(format!("the training failed: {e}"));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().map_err(|e| failed(&e))?;
    pool.install(work).map_err(|e| failed(&e))
}

/// Deals the graphs to those that are trained on and those that are held out.
fn split(
    labels: &[usize],
    classes: usize,
    patience: usize,
    rng: &mut Pcg64,
) -> (Vec<usize>, Vec<usize>) {
    let (mut trained, mut held_out) = (Vec::new(), Vec::new());
    for class in 0..classes {
        let mut members: Vec<usize> = (0..labels.len()).filter(|i| labels[*i] == class).collect();
        members.shuffle(rng);
        let spared = members.split_off(members.len() - members.len() / HELD_OUT);
        if spared.is_empty() || patience == 0 {
            return ((0..labels.len()).collect(), Vec::new());
        }
        trained.extend(members);
        held_out.extend(spared);
    }
    (trained, held_out)
}

/// The parameters to start from.
fn glorot(shape: Shape, rng: &mut Pcg64) -> Parameters {
    shape.arrays().map(|(name, [rows, cols])| {
        let limit = (6.0 / (rows + cols) as f64).sqrt();
        let is_bias = name.starts_with("bias");
        let draw = |_| if is_bias { 0.0 } else { rng.random_range(-limit..limit) };
        (0..rows * cols).map(draw).collect()
    })
}

struct Trainer<'a> {
    model: Model,
    how: &'a Options,
    optimiser: AdamW,
    dropout: Dropout,
}

impl<'a> Trainer<'a> {
    fn new(model: Model, how: &'a Options, rng: Pcg64) -> Candle<Self> {
        let Options { learning_rate: lr, weight_decay, dropout: share, .. } = *how;
        let parameters = ParamsAdamW { lr, weight_decay, ..ParamsAdamW::default() };
        let optimiser = AdamW::new(model.variables.to_vec(), parameters)?;
        Ok(Self { model, how, optimiser, dropout: Dropout { share, rng } })
    }

    /// Trains on those of `graphs` that are `members`, as long as that helps with those that are
    /// `held_out`; returns the best parameters.
    fn train(
        &mut self,
        graphs: &Batch,
        mut members: Vec<usize>,
        held_out: Option<&Batch>,
    ) -> Candle<Parameters> {
        let (mut best, mut least, mut since) = (self.model.parameters()?, f32::INFINITY, 0);
        for _ in 0..self.how.epochs {
            members.shuffle(&mut self.dropout.rng);
            for members in members.chunks(self.how.batch) {
                let loss = self.model.loss(&graphs.select(members)?, Some(&mut self.dropout))?;
                self.optimiser.backward_step(&loss)?;
            }
            let Some(held_out) = held_out else { continue };
            let loss = self.model.loss(held_out, None)?.to_scalar::<f32>()?;
            since += 1;
            if loss < least {
                (best, least, since) = (self.model.parameters()?, loss, 0);
            } else if since >= self.how.patience {
                break;
            }
        }
        // Where no loss was finite the last parameters show it.
        if least.is_finite() { Ok(best) } else { self.model.parameters() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::gcn::{Network, Pool, Standard};
    use crate::math::testing::numbers;

    const NODES: usize = 9;
    const FEATURES: usize = 4;

    fn shape(pool: Pool, identity: bool) -> Shape {
        let (nodes, features) = (NODES, FEATURES);
        Shape { nodes, features, hidden: 8, embedding: 6, classes: 3, pool, identity }
    }

    /// Ten graphs, as adjacency and features.
    fn some() -> Vec<(Vec<f64>, Vec<f64>)> {
        let adjacency = |seed| {
            let random = numbers(NODES * NODES, seed);
            let tie = |e: usize| {
                let (i, j) = (e / NODES, e % NODES);
                random[i.max(j) * NODES + i.min(j)].max(0.0)
            };
            (0..NODES * NODES).map(tie).collect()
        };
        (0..10).map(|i| (adjacency(i), numbers(NODES * FEATURES, 100 + i))).collect()
    }

    fn graphs() -> Graphs {
        let mut graphs = Graphs::default();
        for (i, (mut a, x)) in some().into_iter().enumerate() {
            graphs.push(&mut a, &x, i % 3, 1.0);
        }
        graphs
    }

    /// Tolerance: candle computes in 32 bits.
    #[test]
    fn training_and_inference_are_one_network() {
        for (pool, identity) in
            [(Pool::Mean, false), (Pool::Mean, true), (Pool::Concat, false), (Pool::Concat, true)]
        {
            let shape = shape(pool, identity);
            let mut parameters = glorot(shape, &mut Pcg64::seed_from_u64(5));
            for (i, bias) in [1, 3, 5].into_iter().enumerate() {
                parameters[bias] = numbers(parameters[bias].len(), i as u64);
            }
            let model = Model::new(shape, &parameters).unwrap();
            let logs = model.log_probabilities(&Batch::new(shape, &graphs()).unwrap(), None);
            let theirs = logs.unwrap().exp().unwrap().to_vec2::<f32>().unwrap();
            let size = NODES * FEATURES;
            let plain = Standard { mean: vec![0.0; size], scale: vec![1.0; size] };
            let mut network = Network::new(shape, plain, parameters);
            let mut ours = [0.0; 3];
            for ((a, x), theirs) in some().into_iter().zip(theirs) {
                let (adjacency, features) = network.graph();
                adjacency.copy_from_slice(&a);
                features.copy_from_slice(&x);
                network.probabilities(&mut ours);
                for (p, q) in ours.iter().zip(theirs) {
                    assert!((p - f64::from(q)).abs() < 1e-5, "{p} {q}");
                }
            }
        }
    }

    #[test]
    fn every_class_is_held_out_in_its_share() {
        let labels: Vec<usize> = (0..60).map(|i| usize::from(i % 3 == 0)).collect();
        let rng = &mut Pcg64::seed_from_u64(1);
        let (mut trained, held_out) = split(&labels, 2, 10, rng);
        assert_eq!(held_out.iter().filter(|i| labels[**i] == 0).count(), 8);
        assert_eq!(held_out.iter().filter(|i| labels[**i] == 1).count(), 4);
        trained.extend(held_out);
        trained.sort_unstable();
        assert_eq!(trained, (0..60).collect::<Vec<_>>());
        assert!(split(&labels, 2, 0, rng).1.is_empty(), "no patience");
        assert!(split(&labels[..9], 2, 10, rng).1.is_empty(), "too few of a class");
    }

    #[test]
    fn steps_that_are_too_long_are_an_error() {
        let how = Options {
            epochs: 20,
            learning_rate: 1e30,
            weight_decay: 0.0,
            dropout: 0.0,
            patience: 0,
            batch: 10,
            seed: 1,
        };
        let error = fit(shape(Pool::Mean, false), &graphs(), &how).unwrap_err().to_string();
        assert!(error.contains("learning_rate"), "{error}");
    }
}
