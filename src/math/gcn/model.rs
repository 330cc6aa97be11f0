//! The network as candle sees it, which finds gradients. Numbers have 32 bits.

use super::{Parameters, Pool, Shape, normalise};
use candle_core::{CpuStorage, CustomOp1, Device, Error, Layout, Result, Tensor, Var};
use candle_nn::ops::log_softmax;
use rand::RngExt;
use rand_pcg::Pcg64;

/// Graphs to train on, one after the other.
#[derive(Debug, Clone, Default)]
pub struct Graphs {
    /// S of each, n x n.
    mixing: Vec<f32>,
    /// X of each, n x f.
    features: Vec<f32>,
    pub(super) labels: Vec<usize>,
    weights: Vec<f64>,
}

impl Graphs {
    /// Adds a graph of class `label` that counts `weight`, above 0: its adjacency (n x n), which is
    /// overwritten, and its features (n x f).
    pub fn push(&mut self, adjacency: &mut [f64], features: &[f64], label: usize, weight: f64) {
        normalise(adjacency, &mut vec![0.0; adjacency.len().isqrt()]);
        self.mixing.extend(adjacency.iter().map(|v| *v as f32));
        self.features.extend(features.iter().map(|v| *v as f32));
        self.labels.push(label);
        self.weights.push(weight);
    }

    /// Scales the weights so that all of `classes` classes count alike, as much as a graph each on
    /// average.
    pub fn balance(&mut self, classes: usize) {
        let mut of_class = vec![0.0; classes];
        self.labels.iter().zip(&self.weights).for_each(|(k, weight)| of_class[*k] += weight);
        let share = self.labels.len() as f64 / classes as f64;
        for (weight, k) in self.weights.iter_mut().zip(&self.labels) {
            *weight *= share / of_class[*k];
        }
    }
}

/// Some graphs at once.
pub(super) struct Batch {
    /// S: graphs x n x n.
    mixing: Tensor,
    /// S X with the identity: graphs x n x inputs. It holds for all parameters.
    mixed: Tensor,
    /// The weight of each graph in the column of its class: graphs x classes.
    targets: Tensor,
}

impl Batch {
    /// All `graphs`, which are of `shape`.
    pub fn new(shape: Shape, graphs: &Graphs) -> Result<Self> {
        let (count, n, cpu) = (graphs.labels.len(), shape.nodes, &Device::Cpu);
        let mixing = Tensor::from_slice(&graphs.mixing, (count, n, n), cpu)?;
        let features = Tensor::from_slice(&graphs.features, (count, n, shape.features), cpu)?;
        let mixed = mixing.matmul(&features)?;
        let mixed = if shape.identity { Tensor::cat(&[&mixed, &mixing], 2)? } else { mixed };
        let mut targets = vec![0.0; count * shape.classes];
        for (i, (k, weight)) in graphs.labels.iter().zip(&graphs.weights).enumerate() {
            targets[i * shape.classes + k] = *weight as f32;
        }
        let targets = Tensor::from_vec(targets, (count, shape.classes), cpu)?;
        Ok(Self { mixing, mixed, targets })
    }

    /// The graphs with these numbers.
    pub fn select(&self, members: &[usize]) -> Result<Self> {
        let members: Vec<u32> = members.iter().map(|i| *i as u32).collect();
        let members = Tensor::new(members, &Device::Cpu)?;
        let of = |tensor: &Tensor| tensor.index_select(&members, 0);
        let Self { mixing, mixed, targets } = self;
        Ok(Self { mixing: of(mixing)?, mixed: of(mixed)?, targets: of(targets)? })
    }
}

/// A product whose left side holds no parameters. Candle would find a gradient for both sides.
struct LeftFixed(Tensor);

impl CustomOp1 for LeftFixed {
    fn name(&self) -> &'static str {
        "left-fixed-matmul"
    }

    fn cpu_fwd(
        &self,
        right: &CpuStorage,
        layout: &Layout,
    ) -> Result<(CpuStorage, candle_core::Shape)> {
        let (start, end) = layout
            .contiguous_offsets()
            .ok_or_else(|| Error::RequiresContiguous { op: self.name() })?;
        let numbers = &right.as_slice::<f32>()?[start..end];
        let product = self.0.matmul(&Tensor::from_slice(numbers, layout.shape(), &Device::Cpu)?)?;
        let numbers = product.flatten_all()?.to_vec1::<f32>()?;
        Ok((CpuStorage::F32(numbers), product.shape().clone()))
    }

    fn bwd(&self, _right: &Tensor, _product: &Tensor, slope: &Tensor) -> Result<Option<Tensor>> {
        self.0.t()?.matmul(slope).map(Some)
    }
}

/// Leaves out numbers at random.
pub(super) struct Dropout {
    /// How many of all.
    pub share: f64,
    /// Chance.
    pub rng: Pcg64,
}

impl Dropout {
    /// `x` without those that are left out; the others grow, so that sums stay the same on average.
    fn apply(&mut self, x: Tensor) -> Result<Tensor> {
        if self.share == 0.0 {
            return Ok(x);
        }
        let kept = (1.0 - self.share) as f32;
        let draw = |_| if self.rng.random::<f32>() < kept { 1.0 / kept } else { 0.0 };
        let mask: Vec<f32> = (0..x.elem_count()).map(draw).collect();
        let mask = Tensor::from_vec(mask, x.shape(), &Device::Cpu)?;
        x * mask
    }
}

/// The network.
pub(super) struct Model {
    shape: Shape,
    pub variables: [Var; 6],
}

impl Model {
    pub fn new(shape: Shape, parameters: &Parameters) -> Result<Self> {
        let mut variables = Vec::with_capacity(parameters.len());
        for ((_, size), numbers) in shape.arrays().iter().zip(parameters) {
            let numbers: Vec<f32> = numbers.iter().map(|v| *v as f32).collect();
            variables.push(Var::from_vec(numbers, (size[0], size[1]), &Device::Cpu)?);
        }
        let one_each = |_| Error::msg("a network has six arrays");
        Ok(Self { shape, variables: variables.try_into().map_err(one_each)? })
    }

    /// The logarithms of the probabilities: graphs x classes.
    pub fn log_probabilities(
        &self,
        batch: &Batch,
        mut dropout: Option<&mut Dropout>,
    ) -> Result<Tensor> {
        let mut drop = |x: Tensor| match &mut dropout {
            Some(dropout) => dropout.apply(x),
            None => Ok(x),
        };
        let [w1, b1, w2, b2, w3, b3] = &self.variables;
        let (count, nodes, inputs) = batch.mixed.dims3()?;
        let mixed = batch.mixed.reshape((count * nodes, inputs))?;
        let first = w1.apply_op1(LeftFixed(mixed))?;
        let first = drop(first.broadcast_add(b1)?.relu()?)?;
        let products = first.matmul(w2)?.reshape((count, nodes, self.shape.embedding))?;
        let second = products.apply_op1(LeftFixed(batch.mixing.clone()))?;
        let second = second.broadcast_add(b2)?.relu()?;
        let pooled = match self.shape.pool {
            Pool::Mean => second.mean(1)?,
            Pool::Concat => second.flatten_from(1)?,
        };
        let logits = drop(pooled)?.matmul(w3)?.broadcast_add(b3)?;
        log_softmax(&logits, 1)
    }

    /// The cross-entropy, the mean over graphs by their weights.
    pub fn loss(&self, batch: &Batch, dropout: Option<&mut Dropout>) -> Result<Tensor> {
        let each = (self.log_probabilities(batch, dropout)? * &batch.targets)?;
        each.sum_all()?.neg()? / batch.targets.sum_all()?
    }

    /// What `of` makes of each variable, in 64 bits.
    pub fn read(&self, of: impl Fn(&Var) -> Result<Tensor>) -> Result<Parameters> {
        let mut parameters = Parameters::default();
        for (numbers, variable) in parameters.iter_mut().zip(&self.variables) {
            let values = of(variable)?.flatten_all()?.to_vec1::<f32>()?;
            *numbers = values.into_iter().map(f64::from).collect();
        }
        Ok(parameters)
    }

    /// The parameters.
    pub fn parameters(&self) -> Result<Parameters> {
        self.read(|variable| Ok(variable.as_tensor().clone()))
    }
}
