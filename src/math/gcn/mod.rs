//! A graph convolutional network: two layers that mix every node with its neighbours, a pool over the
//! nodes, a linear head.
//!
//! In: the adjacency A of n nodes (n x n, not negative; its diagonal does not matter) and their features X
//! (n x f). Out: one probability per class,
//!
//! ```text
//! S   = D^-1/2 (A + I) D^-1/2      D: the row sums of A + I, on a diagonal
//! H_1 = ReLU(S X W_1 + b_1)        n x hidden
//! H_2 = ReLU(S H_1 W_2 + b_2)      n x embedding
//! p   = softmax(pool(H_2) W_3 + b_3)
//! ```
//!
//! with the mean of the rows of H_2 or all of them, one after the other, as the pool. Where nodes have an
//! identity, the unit matrix stands behind X, so that each node has a row of W_1 to itself. Features are
//! standardised first ([`Standard`]).
//!
//! [`Network`] is the inference, in 64 bits and without a heap; [`train`] finds the parameters.
//!
//! Reference: Kipf and Welling, ICLR 2017 (arXiv 1609.02907).

use super::logistic::softmax;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod model;
mod standard;
pub mod train;

pub use standard::Standard;

/// How the nodes become one vector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pool {
    /// Their mean: it does not matter which node is which.
    #[default]
    Mean,
    /// One after the other: every node has weights of its own in the head.
    Concat,
}

/// The sizes of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Nodes of a graph, n.
    pub nodes: usize,
    /// Features of a node, f.
    pub features: usize,
    /// Columns of H_1.
    pub hidden: usize,
    /// Columns of H_2.
    pub embedding: usize,
    /// Classes, two or more.
    pub classes: usize,
    /// How the nodes become one vector.
    pub pool: Pool,
    /// Whether nodes have an identity.
    pub identity: bool,
}

/// What is learned: W_1, b_1, W_2, b_2, W_3, b_3, each row by row, of the sizes that
/// [`Shape::arrays`] says.
pub type Parameters = [Vec<f64>; 6];

impl Shape {
    /// Columns of X, with the identity.
    pub fn inputs(self) -> usize {
        self.features + if self.identity { self.nodes } else { 0 }
    }

    /// Whether it matters which node is which.
    pub fn tells_nodes_apart(self) -> bool {
        self.identity || self.pool == Pool::Concat
    }

    /// Numbers behind the pool.
    pub fn pooled(self) -> usize {
        match self.pool {
            Pool::Mean => self.embedding,
            Pool::Concat => self.nodes * self.embedding,
        }
    }

    /// Name, rows and columns of each of the [`Parameters`]; what is added has one row.
    pub fn arrays(self) -> [(&'static str, [usize; 2]); 6] {
        [
            ("weights_1", [self.inputs(), self.hidden]),
            ("bias_1", [1, self.hidden]),
            ("weights_2", [self.hidden, self.embedding]),
            ("bias_2", [1, self.embedding]),
            ("weights_head", [self.pooled(), self.classes]),
            ("bias_head", [1, self.classes]),
        ]
    }
}

/// Turns the adjacency `a` of n nodes into S. `roots` is room for n numbers.
pub fn normalise(a: &mut [f64], roots: &mut [f64]) {
    let n = roots.len();
    for (i, (row, root)) in a.chunks_exact_mut(n).zip(roots.iter_mut()).enumerate() {
        row[i] = 1.0;
        *root = row.iter().sum::<f64>().sqrt();
    }
    for (row, left) in a.chunks_exact_mut(n).zip(&*roots) {
        row.iter_mut().zip(&*roots).for_each(|(s, right)| *s /= left * right);
    }
}

/// A network that has learned, with room to work in.
#[derive(Debug, Clone)]
pub struct Network {
    shape: Shape,
    standard: Standard,
    parameters: Parameters,
    adjacency: Vec<f64>,
    features: Vec<f64>,
    roots: Vec<f64>,
    /// What a layer mixes: the product of its input with its weights.
    products: Vec<f64>,
    first: Vec<f64>,
    second: Vec<f64>,
    pooled: Vec<f64>,
}

impl Network {
    /// A network of these sizes. Allocates.
    ///
    /// # Panics
    /// Where the parameters have other sizes than [`Shape::arrays`].
    pub fn new(shape: Shape, standard: Standard, parameters: Parameters) -> Self {
        for ((name, [rows, cols]), array) in shape.arrays().iter().zip(&parameters) {
            assert_eq!(array.len(), rows * cols, "`{name}` has another size");
        }
        let room = |cols: usize| vec![0.0; shape.nodes * cols];
        Self {
            shape,
            standard,
            parameters,
            adjacency: room(shape.nodes),
            features: room(shape.features),
            roots: room(1),
            products: room(shape.hidden.max(shape.embedding)),
            first: room(shape.hidden),
            second: room(shape.embedding),
            pooled: vec![0.0; shape.embedding],
        }
    }

    /// The sizes.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// What is done to the features.
    pub fn standard(&self) -> &Standard {
        &self.standard
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Where the next graph is to be written: its adjacency (n x n) and its features (n x f).
    pub fn graph(&mut self) -> (&mut [f64], &mut [f64]) {
        (&mut self.adjacency, &mut self.features)
    }

    /// Writes the probabilities of the classes for the graph that was written, and overwrites that. They
    /// are not finite where the graph is not. No heap.
    pub fn probabilities(&mut self, out: &mut [f64]) {
        let Shape { nodes, features, hidden, embedding, identity, pool, .. } = self.shape;
        let [w1, b1, w2, b2, w3, b3] = &self.parameters;
        let (w1, own) = w1.split_at(features * hidden);
        self.standard.apply(&mut self.features);
        normalise(&mut self.adjacency, &mut self.roots);

        let products = &mut self.products[..nodes * hidden];
        if identity {
            products.copy_from_slice(own)
        } else {
            products.fill(0.0)
        }
        add_product(&self.features, features, w1, products);
        mix(&self.adjacency, products, b1, &mut self.first);

        let products = &mut self.products[..nodes * embedding];
        products.fill(0.0);
        add_product(&self.first, hidden, w2, products);
        mix(&self.adjacency, products, b2, &mut self.second);

        out.copy_from_slice(b3);
        match pool {
            Pool::Concat => add_product(&self.second, nodes * embedding, w3, out),
            Pool::Mean => {
                self.pooled.fill(0.0);
                for row in self.second.chunks_exact(embedding) {
                    self.pooled.iter_mut().zip(row).for_each(|(sum, v)| *sum += v / nodes as f64);
                }
                add_product(&self.pooled, embedding, w3, out);
            }
        }
        softmax(out);
    }
}

/// ReLU(S products + bias).
fn mix(s: &[f64], products: &[f64], bias: &[f64], out: &mut [f64]) {
    out.chunks_exact_mut(bias.len()).for_each(|row| row.copy_from_slice(bias));
    add_product(s, out.len() / bias.len(), products, out);
    // Unlike `max`, this lets through what is not a number.
    out.iter_mut().filter(|v| **v < 0.0).for_each(|v| *v = 0.0);
}

/// Adds x w to `out`; x has rows of `inner` numbers. Nodes have few neighbours and half of what a ReLU
/// lets through is nothing, so that zeros are passed over.
fn add_product(x: &[f64], inner: usize, w: &[f64], out: &mut [f64]) {
    let width = w.len() / inner.max(1);
    for (x, out) in x.chunks_exact(inner.max(1)).zip(out.chunks_exact_mut(width.max(1))) {
        for (x, w) in x.iter().zip(w.chunks_exact(width.max(1))).filter(|(x, _)| **x != 0.0) {
            out.iter_mut().zip(w).for_each(|(sum, w)| *sum += x * w);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two nodes with an edge of weight 1 and one without edges.
    const ADJACENCY: [f64; 9] = [9.0, 1.0, 0.0, 1.0, 9.0, 0.0, 0.0, 0.0, 9.0];

    fn shape(pool: Pool, identity: bool) -> Shape {
        Shape { nodes: 3, features: 1, hidden: 1, embedding: 1, classes: 2, pool, identity }
    }

    /// Leaves features as they are.
    fn plain() -> Standard {
        Standard { mean: vec![0.0; 3], scale: vec![1.0; 3] }
    }

    /// The log odds of the second class for features 1, 3 and -4.
    fn log_odds(shape: Shape, parameters: Parameters) -> f64 {
        let mut network = Network::new(shape, plain(), parameters);
        let mut p = [0.0; 2];
        // The second time shows that nothing is left of the first.
        for _ in 0..2 {
            let (a, x) = network.graph();
            a.copy_from_slice(&ADJACENCY);
            x.copy_from_slice(&[1.0, 3.0, -4.0]);
            network.probabilities(&mut p);
        }
        (p[1] / p[0]).ln()
    }

    #[test]
    fn rows_and_columns_are_divided_by_the_roots_of_their_sums() {
        let (mut a, mut roots) = (ADJACENCY, [0.0; 3]);
        normalise(&mut a, &mut roots);
        let want = [0.5, 0.5, 0.0, 0.5, 0.5, 0.0, 0.0, 0.0, 1.0];
        assert!(a.iter().zip(&want).all(|(s, w)| (s - w).abs() < 1e-15), "{a:?}");
    }

    #[test]
    fn a_network_that_can_be_computed_by_hand() {
        // S X = (2, 2, -4); with W_1 = 1, b_1 = 1, H_1 = (3, 3, 0); with W_2 = 2, b_2 = -1, H_2 = (5, 5, 0).
        let hand = |head: &[f64]| {
            [vec![1.0], vec![1.0], vec![2.0], vec![-1.0], head.to_vec(), vec![0.0, 0.5]]
        };
        let mean = log_odds(shape(Pool::Mean, false), hand(&[0.0, 0.3]));
        assert!((mean - (10.0 / 3.0 * 0.3 + 0.5)).abs() < 1e-12, "{mean}");
        let concat = log_odds(shape(Pool::Concat, false), hand(&[0.0, 0.1, 0.2, 0.0, 7.0, -7.0]));
        assert!((concat - (5.0 * (0.1 - 0.2) + 0.5)).abs() < 1e-12, "{concat}");
    }

    #[test]
    fn an_identity_gives_each_node_a_weight() {
        // X W_1 = (1, 3, -4) + (1, -1, 5), S of it = (2, 2, 1).
        let parameters = [
            vec![1.0, 1.0, -1.0, 5.0],
            vec![0.0],
            vec![1.0],
            vec![0.0],
            vec![0.0, 1.0],
            vec![0.0, 0.0],
        ];
        let odds = log_odds(shape(Pool::Mean, true), parameters);
        assert!((odds - 5.0 / 3.0).abs() < 1e-12, "{odds}");
    }

    #[test]
    fn what_is_not_finite_is_not_hidden() {
        let parameters =
            [vec![1.0], vec![0.0], vec![1.0], vec![0.0], vec![0.0, 1.0], vec![0.0, 0.0]];
        let mut network = Network::new(shape(Pool::Mean, false), plain(), parameters);
        let (a, x) = network.graph();
        a.copy_from_slice(&ADJACENCY);
        x.copy_from_slice(&[f64::NAN, 1.0, 1.0]);
        let mut p = [0.0; 2];
        network.probabilities(&mut p);
        assert!(p.iter().all(|v| v.is_nan()), "{p:?}");
    }
}
