//! A graph convolutional network as a graph of operators: the formulas of [`crate::math::gcn`].
//!
//! Inputs are the blocks of a graph frame: `weights` says which nodes share an edge (above 0), `lengths`, where the
//! network looks at these, how long it is, `features` what the nodes are.

use super::proto::{Axis, Graph};
use crate::error::{Error, Result};
use crate::math::gcn::{Network, Pool};
use crate::model::Link;
use crate::stages::Part;
use crate::stages::decode::gcn::{Adjacency, Settings};

/// The probabilities that the decoder `link`, which learned `part`, gives for a graph; adds the inputs.
pub(super) fn probabilities(g: &mut Graph, link: &Link, part: &Part) -> Result<String> {
    let settings: Settings = serde_json::from_value(link.settings.clone())
        .map_err(|e| Error::mismatch(format!("the model's settings of `{}`: {e}", link.id)))?;
    let network = settings.network(part)?;
    let n = network.shape().nodes;
    let square = || [Axis::Fixed(n), Axis::Fixed(n)];
    let help =
        "how alike two nodes are, nodes x nodes; above 0 where they share an edge, symmetric";
    let weights = g.input("weights", &square(), help);
    let ties = match settings.adjacency {
        Adjacency::Weights => weights.clone(),
        Adjacency::Lengths => {
            let help = "how far two nodes that share an edge are from each other, nodes x nodes, symmetric; \
                        elsewhere it does not matter";
            let lengths = g.input("lengths", &square(), help);
            let lengths = g.op("Neg", &[&lengths]);
            g.op("Exp", &[&lengths])
        }
    };
    let mixing = mixing(g, &weights, &ties, n);
    let x = standardised(g, &network);
    Ok(layers(g, &network, &mixing, &x))
}

/// D^-1/2 (A + I) D^-1/2.
fn mixing(g: &mut Graph, weights: &str, ties: &str, n: usize) -> String {
    let unit = unit(n);
    let others: Vec<f64> = unit.iter().map(|v| 1.0 - v).collect();
    let (unit, others) = (g.constant(&[n, n], &unit), g.constant(&[n, n], &others));
    let (zero, one_axis) = (g.number(0.0), g.whole(&[1]));
    let edges = g.op("Greater", &[weights, &zero]);
    let a = g.op("Where", &[&edges, ties, &zero]);
    let a = g.op("Mul", &[&a, &others]);
    let a = g.op("Add", &[&a, &unit]);
    let sums = g.op("ReduceSum", &[&a, &one_axis]);
    let roots = g.op("Sqrt", &[&sums]);
    let left = g.op("Div", &[&a, &roots]);
    let roots = g.op("Transpose", &[&roots]);
    g.op("Div", &[&left, &roots])
}

/// The features as the network takes them, followed by the identity of the nodes where it has one.
fn standardised(g: &mut Graph, network: &Network) -> String {
    let (shape, standard) = (network.shape(), network.standard());
    let size = [shape.nodes, shape.features];
    let x = g.input("features", &size.map(Axis::Fixed), "features of the nodes, nodes x features");
    let (mean, scale) = (g.constant(&size, &standard.mean), g.constant(&size, &standard.scale));
    let x = g.op("Sub", &[&x, &mean]);
    let x = g.op("Div", &[&x, &scale]);
    if !shape.identity {
        return x;
    }
    let unit = g.constant(&[shape.nodes, shape.nodes], &unit(shape.nodes));
    g.op_with("Concat", &[&x, &unit], &[("axis", 1)])
}

/// The unit matrix.
fn unit(n: usize) -> Vec<f64> {
    (0..n * n).map(|e| if e % (n + 1) == 0 { 1.0 } else { 0.0 }).collect()
}

/// The layers, the pool and the head.
fn layers(g: &mut Graph, network: &Network, mixing: &str, x: &str) -> String {
    let shape = network.shape();
    let (sizes, numbers) = (shape.arrays(), network.parameters());
    let [w1, b1, w2, b2, w3, b3] = std::array::from_fn(|i| g.constant(&sizes[i].1, &numbers[i]));
    let mut layer = |x: &str, weights: &str, bias: &str| {
        let products = g.op("MatMul", &[x, weights]);
        let mixed = g.op("MatMul", &[mixing, &products]);
        let sums = g.op("Add", &[&mixed, bias]);
        g.op("Relu", &[&sums])
    };
    let first = layer(x, &w1, &b1);
    let second = layer(&first, &w2, &b2);
    let pooled = match shape.pool {
        Pool::Mean => {
            let (zero_axis, count) = (g.whole(&[0]), g.number(shape.nodes as f64));
            let sum = g.op("ReduceSum", &[&second, &zero_axis]);
            g.op("Div", &[&sum, &count])
        }
        Pool::Concat => {
            let size = g.whole(&[1, shape.pooled() as i64]);
            g.op("Reshape", &[&second, &size])
        }
    };
    let products = g.op("MatMul", &[&pooled, &w3]);
    let logits = g.op("Add", &[&products, &b3]);
    let p = g.op("Softmax", &[&logits]);
    let size = g.whole(&[shape.classes as i64]);
    g.op("Reshape", &[&p, &size])
}
