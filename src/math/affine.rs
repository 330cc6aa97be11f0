//! A linear map with an offset, from vectors to vectors: what regressions find.

use faer::Mat;

/// `y = W x + b`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Affine {
    /// W: a row for each number of y.
    pub weights: Vec<f64>,
    /// b: one number each.
    pub intercept: Vec<f64>,
}

impl Affine {
    /// The map with these weights that leads from one mean to the other.
    pub fn between(weights: Vec<f64>, mean_x: &[f64], mean_y: &[f64]) -> Self {
        let rows = mean_y.iter().zip(weights.chunks_exact(mean_x.len()));
        let intercept = rows.map(|(y, w)| y - dot(w, mean_x)).collect();
        Self { weights, intercept }
    }

    /// **Data.** Writes the `y` of `x`.
    pub fn apply(&self, x: &[f64], y: &mut [f64]) {
        let rows = self.weights.chunks_exact(x.len()).zip(&self.intercept);
        y.iter_mut().zip(rows).for_each(|(y, (w, b))| *y = b + dot(w, x));
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Takes the mean of each column off, and returns the means; `share` is how much each row counts, in all 1.
pub fn centre(x: &mut Mat<f64>, share: &dyn Fn(usize) -> f64) -> Vec<f64> {
    (0..x.ncols())
        .map(|column| {
            let column = x.col_mut(column);
            let mean: f64 = column.as_ref().iter().enumerate().map(|(i, v)| share(i) * v).sum();
            column.iter_mut().for_each(|v| *v -= mean);
            mean
        })
        .collect()
}
