//! Principal components: the directions in which vectors vary most.
//!
//! In: N vectors of p numbers, one at a time, each with a weight. Out: their mean, the m directions, and the
//! variance along each, largest first; the entry of largest magnitude of each direction is positive. In
//! memory are a block of vectors and a matrix of min(N, p)^2 numbers, and all vectors only where
//! N < p. Same as scikit-learn's `PCA`, whose variances are larger by N / (N - 1).

use crate::error::{Error, Result};
use crate::math::linalg::{self, Symmetric};

/// How many vectors are taken together.
const BLOCK: usize = 128;
/// Where both N and p are larger, only so many vectors, evenly spread, are looked at.
const MOST: usize = 2048;
/// A variance that is a smaller share of the largest is rounding, and so is a deviation that is a smaller
/// share of the mean.
const LEAST_SHARE: f64 = 1e-12;
const LEAST_DEVIATION: f64 = 1e-14;

/// The mean and the directions.
#[derive(Debug, Clone, PartialEq)]
pub struct Pca {
    /// p numbers.
    pub mean: Vec<f64>,
    /// m rows of p numbers, of length 1.
    pub directions: Vec<f64>,
    /// The mean squares along them.
    pub variances: Vec<f64>,
}

impl Pca {
    /// Finds `m` directions of as many vectors of `p` numbers as there are `weights`, all above 0; `vector` writes one
    /// of them. An error where they vary in fewer directions. Allocates.
    pub fn fit(
        p: usize,
        m: usize,
        weights: &[f64],
        mut vector: impl FnMut(usize, &mut [f64]) -> Result<()>,
    ) -> Result<Self> {
        let step = if weights.len().min(p) > MOST { weights.len().div_ceil(MOST) } else { 1 };
        let used: Vec<usize> = (0..weights.len()).step_by(step).collect();
        let total: f64 = used.iter().map(|i| weights[*i]).sum();
        let mut mean = vec![0.0; p];
        let mut room = vec![0.0; p];
        for i in &used {
            vector(*i, &mut room)?;
            mean.iter_mut().zip(&room).for_each(|(m, v)| *m += weights[*i] / total * v);
        }
        linalg::finite(&mean)
            .map_err(|e| Error::mismatch(format!("the mean of the examples {e}")))?;
        let mut centred = |i: usize, out: &mut [f64]| {
            vector(i, out)?;
            let root = (weights[i] / total).sqrt();
            out.iter_mut().zip(&mean).for_each(|(v, m)| *v = root * (*v - m));
            Ok(())
        };
        let size = mean.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        let wanted = Wanted { count: m, least: (LEAST_DEVIATION * size).powi(2) };
        let (variances, directions) = match used.len() < p {
            true => few_vectors(&used, p, wanted, &mut centred)?,
            false => many_vectors(&used, p, wanted, &mut centred)?,
        };
        Ok(Self { mean, directions, variances })
    }

    /// The coordinates of the vector `x`.
    pub fn apply(&self, x: &[f64], out: &mut [f64]) {
        for (o, row) in out.iter_mut().zip(self.directions.chunks_exact(self.mean.len())) {
            *o = row.iter().zip(x).zip(&self.mean).map(|((r, x), m)| r * (x - m)).sum();
        }
    }
}

type Centred<'a> = &'a mut dyn FnMut(usize, &mut [f64]) -> Result<()>;

/// Variances and directions by the p x p matrix of products.
fn many_vectors(
    used: &[usize],
    p: usize,
    wanted: Wanted,
    centred: Centred<'_>,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut sum, mut part) = (vec![0.0; p * p], vec![0.0; p * p]);
    let mut block = vec![0.0; BLOCK * p];
    for places in used.chunks(BLOCK) {
        let block = &mut block[..places.len() * p];
        for (i, to) in places.iter().zip(block.chunks_exact_mut(p)) {
            centred(*i, to)?;
        }
        linalg::scatter(block, p, &mut part);
        sum.iter_mut().zip(&part).for_each(|(s, v)| *s += places.len() as f64 * v);
    }
    let mut work = Symmetric::new(p);
    let variances = wanted.largest(&mut work, &sum)?;
    let vectors = work.vectors().rchunks_exact(p).take(variances.len());
    Ok((variances, vectors.flat_map(signed).collect()))
}

/// Variances and directions by the N x N matrix of products.
fn few_vectors(
    used: &[usize],
    p: usize,
    wanted: Wanted,
    centred: Centred<'_>,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let count = used.len();
    let (mut room, mut turned) = (vec![0.0; p], vec![0.0; p * count]);
    for (i, place) in used.iter().enumerate() {
        centred(*place, &mut room)?;
        turned.iter_mut().skip(i).step_by(count).zip(&room).for_each(|(to, v)| *to = *v);
    }
    let mut products = vec![0.0; count * count];
    linalg::scatter(&turned, count, &mut products);
    products.iter_mut().for_each(|v| *v *= p as f64);
    let mut work = Symmetric::new(count);
    let variances = wanted.largest(&mut work, &products)?;
    let mut directions = Vec::with_capacity(variances.len() * p);
    for (vector, variance) in work.vectors().rchunks_exact(count).zip(&variances) {
        let dot = |x: &[f64]| x.iter().zip(vector).map(|(x, v)| x * v).sum::<f64>();
        for (to, x) in room.iter_mut().zip(turned.chunks_exact(count)) {
            *to = dot(x) / variance.sqrt();
        }
        directions.extend(signed(&room));
    }
    Ok((variances, directions))
}

/// How many directions are wanted.
#[derive(Clone, Copy)]
struct Wanted {
    count: usize,
    /// A variance no larger than this is rounding.
    least: f64,
}

impl Wanted {
    /// Decomposes `a`; returns its largest eigenvalues, largest first.
    fn largest(self, work: &mut Symmetric, a: &[f64]) -> Result<Vec<f64>> {
        work.eigen(a)
            .map_err(|e| Error::mismatch(format!("the covariance of the examples {e}")))?;
        let values: Vec<f64> = work.values().iter().rev().take(self.count).copied().collect();
        let least = self.least.max(LEAST_SHARE * values[0]);
        let found = values.iter().take_while(|v| **v > least).count();
        if found < self.count {
            let text = format!("the examples vary in {found} directions, expected {}", self.count);
            return Err(Error::setting("dimensions", text));
        }
        Ok(values)
    }
}

/// The vector, its entry of largest magnitude positive.
fn signed(v: &[f64]) -> impl Iterator<Item = f64> + '_ {
    let most = v.iter().fold(0.0_f64, |m, v| if v.abs() > m.abs() { *v } else { m });
    v.iter().map(move |v| v * most.signum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::testing::{difference, numbers};

    /// Vectors along (1, 2, 2) / 3, some noise beside it.
    #[test]
    fn the_long_axis_is_found_both_ways() {
        let noise = numbers(900, 5);
        let vector = |i: usize, out: &mut [f64]| {
            let along = (i % 7) as f64 - 3.0;
            let axis = [1.0, 2.0, 2.0];
            out.iter_mut().enumerate().for_each(|(e, v)| {
                let a = axis.get(e).copied().unwrap_or_default();
                *v = along * a / 3.0 + 1e-3 * noise[(3 * i + e) % 900] + 5.0;
            });
            Ok(())
        };
        for (count, p) in [(300, 3), (21, 40)] {
            let pca = Pca::fit(p, 1, &vec![1.0; count], vector).unwrap();
            let mut want = vec![0.0; p];
            want[..3].copy_from_slice(&[1.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0]);
            assert!(difference(&pca.directions, &want, 0.0) < 1e-3, "{:?}", pca.directions);
            assert!((pca.variances[0] - 4.0).abs() < 0.1, "{:?}", pca.variances);
            let (mut x, mut y) = (vec![0.0; p], [0.0]);
            vector(6, &mut x).unwrap();
            pca.apply(&x, &mut y);
            assert!((y[0] - 3.0).abs() < 0.1, "{y:?}");
        }
    }

    #[test]
    fn both_ways_agree_and_weights_count() {
        let x = numbers(12 * 12, 8);
        let weights: Vec<f64> = (0..12).map(|i| 1.0 + f64::from(i % 3)).collect();
        let vector = |i: usize, out: &mut [f64]| {
            out.fill(0.0);
            out[..11].copy_from_slice(&x[12 * i..12 * i + 11]);
            Ok(())
        };
        let narrow = Pca::fit(11, 4, &weights, vector).unwrap();
        let wide = Pca::fit(13, 4, &weights, vector).unwrap();
        assert!(difference(&narrow.variances, &wide.variances, 0.0) < 1e-12);
        for (a, b) in narrow.directions.chunks(11).zip(wide.directions.chunks(13)) {
            assert!(difference(a, &b[..11], 0.0) < 1e-9);
        }
        let again = |i: usize, out: &mut [f64]| vector([0, 0, 1][i], out);
        let once = Pca::fit(11, 1, &[2.0, 1.0], vector).unwrap();
        let twice = Pca::fit(11, 1, &[1.0; 3], again).unwrap();
        assert!(difference(&once.directions, &twice.directions, 0.0) < 1e-9);
    }

    #[test]
    fn too_many_dimensions_are_an_error() {
        let flat = |_: usize, out: &mut [f64]| {
            out.fill(2.0);
            Ok(())
        };
        assert!(Pca::fit(3, 1, &[1.0; 9], flat).unwrap_err().to_string().contains("0 directions"));
        let nan = |_: usize, out: &mut [f64]| {
            out.fill(f64::NAN);
            Ok(())
        };
        assert!(Pca::fit(3, 1, &[1.0; 9], nan).is_err());
    }
}
