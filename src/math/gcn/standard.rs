//! Standardised features: less their mean, over their standard deviation.

use super::Shape;

/// Mean and standard deviation of each feature of each node, n x f.
#[derive(Debug, Clone, PartialEq)]
pub struct Standard {
    /// The means.
    pub mean: Vec<f64>,
    /// The standard deviations; 1 for what does not vary.
    pub scale: Vec<f64>,
}

impl Standard {
    /// Over `graphs`, each with its features (n x f) and a weight: of each node alone where a network of
    /// this shape can tell nodes apart, else of all nodes together.
    pub fn learn(shape: Shape, graphs: &[(Vec<f64>, f64)]) -> Self {
        let mean = average(shape, graphs, |_, v| v);
        let mut scale = average(shape, graphs, |e, v| (v - mean[e]).powi(2));
        for (scale, mean) in scale.iter_mut().zip(&mean) {
            *scale = scale.sqrt();
            // Of equal numbers nothing is left but rounding.
            if *scale <= 1e-12 * mean.abs() {
                *scale = 1.0;
            }
        }
        Self { mean, scale }
    }

    /// Standardises the features of a graph.
    pub fn apply(&self, features: &mut [f64]) {
        for ((v, mean), scale) in features.iter_mut().zip(&self.mean).zip(&self.scale) {
            *v = (*v - mean) / scale;
        }
    }
}

/// The weighted mean of what `of` makes of entry and value.
fn average(shape: Shape, graphs: &[(Vec<f64>, f64)], of: impl Fn(usize, f64) -> f64) -> Vec<f64> {
    let mut mean = vec![0.0; shape.nodes * shape.features];
    let total: f64 = graphs.iter().map(|(_, weight)| weight).sum();
    for (features, weight) in graphs {
        for (e, (sum, v)) in mean.iter_mut().zip(features).enumerate() {
            *sum += weight / total * of(e, *v);
        }
    }
    if !shape.tells_nodes_apart() {
        let column = |c: usize| mean.iter().skip(c).step_by(shape.features).sum::<f64>();
        let row: Vec<f64> = (0..shape.features).map(|c| column(c) / shape.nodes as f64).collect();
        mean.chunks_exact_mut(shape.features).for_each(|node| node.copy_from_slice(&row));
    }
    mean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::gcn::Pool;

    fn shape(pool: Pool) -> Shape {
        Shape { nodes: 2, features: 2, hidden: 1, embedding: 1, classes: 2, pool, identity: false }
    }

    /// Two graphs, the second of which counts three times.
    fn graphs() -> Vec<(Vec<f64>, f64)> {
        vec![(vec![0.0, 7.0, 10.0, 7.0], 1.0), (vec![4.0, 7.0, 14.0, 7.0], 3.0)]
    }

    #[test]
    fn nodes_that_can_be_told_apart_have_their_own() {
        let standard = Standard::learn(shape(Pool::Concat), &graphs());
        assert_eq!(standard.mean, [3.0, 7.0, 13.0, 7.0]);
        let root = 3.0_f64.sqrt();
        assert_eq!(standard.scale, [root, 1.0, root, 1.0]);
        let mut x = [3.0 + root, 8.0, 13.0, 7.0];
        standard.apply(&mut x);
        let want = [1.0, 1.0, 0.0, 0.0];
        assert!(x.iter().zip(want).all(|(x, w)| (x - w).abs() < 1e-12), "{x:?}");
    }

    #[test]
    fn nodes_that_cannot_share_theirs() {
        let standard = Standard::learn(shape(Pool::Mean), &graphs());
        assert_eq!(standard.mean, [8.0, 7.0, 8.0, 7.0]);
        let spread = 28.0_f64.sqrt();
        assert_eq!(standard.scale, [spread, 1.0, spread, 1.0]);
    }
}
