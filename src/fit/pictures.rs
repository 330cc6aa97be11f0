//! The maths behind the pictures of a report: what many channels or features look like in few.

use crate::error::{Error, Result};
use faer::Mat;

/// Points in a plane, as principal component analysis puts them there.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane {
    /// One per vector: its first and second principal component.
    pub points: Vec<[f64; 2]>,
    /// Which share of the variance each of the two holds.
    pub explained: [f64; 2],
    mean: Vec<f64>,
    axes: [Vec<f64>; 2],
}

impl Plane {
    /// Where another vector lies in this plane, such as one that was not there to make it.
    pub fn place(&self, vector: &[f64]) -> [f64; 2] {
        self.axes.each_ref().map(|axis| {
            let centred = vector.iter().zip(&self.mean).map(|(v, m)| v - m);
            centred.zip(axis).map(|(v, a)| v * a).sum()
        })
    }
}

/// The plane in which `vectors` (all of one length) differ most: centred, then the first two right
/// singular vectors. The largest entry of each axis is positive, so that the picture does not flip
/// from one run to the next. What has one dimension only gets 0 for the second.
pub fn plane(vectors: &[Vec<f64>]) -> Result<Plane> {
    let (n, length) = (vectors.len(), shape(vectors)?);
    let mean = mean(vectors, length);
    let centred = Mat::from_fn(n, length, |i, j| vectors[i][j] - mean[j]);
    let svd = centred.thin_svd().map_err(|_| Error::run("the principal components diverge"))?;
    let strengths: Vec<f64> = (0..n.min(length)).map(|k| svd.S()[k].powi(2)).collect();
    let total: f64 = strengths.iter().sum();
    let share = |k: usize| strengths.get(k).filter(|_| total > 0.0).map_or(0.0, |s| s / total);
    let axis = |k: usize| -> Vec<f64> {
        if k >= strengths.len() {
            return vec![0.0; length];
        }
        let raw: Vec<f64> = (0..length).map(|j| svd.V()[(j, k)]).collect();
        let largest = raw.iter().fold(0.0_f64, |m, v| if v.abs() > m.abs() { *v } else { m });
        raw.iter().map(|v| v * largest.signum()).collect()
    };
    let (axes, explained) = ([axis(0), axis(1)], [share(0), share(1)]);
    let mut plane = Plane { points: Vec::new(), explained, mean, axes };
    plane.points = vectors.iter().map(|v| plane.place(v)).collect();
    Ok(plane)
}

/// The patterns of a linear decoder: what the brain's source looks like at the channels (or features),
/// unlike the weights, which also say how noise is cancelled. A = Cov(X) W, with Cov over n - 1.
///
/// `vectors` is what the decoder was trained on, one per trial, `weights` one vector per decoded
/// class or component. Returns one pattern for each.
///
/// Reference: Haufe et al., NeuroImage 87 (2014) 96-110.
pub fn patterns(vectors: &[Vec<f64>], weights: &[Vec<f64>]) -> Result<Vec<Vec<f64>>> {
    let length = shape(vectors)?;
    if let Some(wrong) = weights.iter().find(|w| w.len() != length) {
        let text = format!("{} weights for vectors of length {length}", wrong.len());
        return Err(Error::run(text));
    }
    let mean = mean(vectors, length);
    let pattern = |weights: &Vec<f64>| {
        // Cov(X) w = X^T (X w) / (n - 1), without the covariance.
        let mut pattern = vec![0.0; length];
        for vector in vectors {
            let centred = || vector.iter().zip(&mean).map(|(v, m)| v - m);
            let output: f64 = centred().zip(weights).map(|(v, w)| v * w).sum();
            for (p, v) in pattern.iter_mut().zip(centred()) {
                *p += v * output / (vectors.len() - 1).max(1) as f64;
            }
        }
        pattern
    };
    Ok(weights.iter().map(pattern).collect())
}

/// The common length of the vectors.
fn shape(vectors: &[Vec<f64>]) -> Result<usize> {
    let length = vectors.first().map_or(0, Vec::len);
    let good = |v: &Vec<f64>| v.len() == length && v.iter().all(|v| v.is_finite());
    if length == 0 || !vectors.iter().all(good) {
        let text = "expected vectors of finite numbers, all of one length, at least one";
        return Err(Error::run(text));
    }
    Ok(length)
}

fn mean(vectors: &[Vec<f64>], length: usize) -> Vec<f64> {
    let sum = |j: usize| vectors.iter().map(|v| v[j]).sum::<f64>();
    (0..length).map(|j| sum(j) / vectors.len() as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_lies_on_the_first_axis() {
        let line: Vec<Vec<f64>> =
            (0..5).map(|i| vec![3.0 * f64::from(i), 4.0 * f64::from(i)]).collect();
        let got = plane(&line).unwrap();
        for (i, [x, y]) in got.points.iter().enumerate() {
            assert!((x - 5.0 * (i as f64 - 2.0)).abs() < 1e-12 && y.abs() < 1e-12, "{x} {y}");
        }
        assert!((got.explained[0] - 1.0).abs() < 1e-12);
        assert!((got.place(&[0.0, 0.0])[0] + 10.0).abs() < 1e-12);
    }

    #[test]
    fn odd_input() {
        assert!(plane(&[]).is_err() && plane(&[vec![]]).is_err());
        assert!(plane(&[vec![1.0], vec![1.0, 2.0]]).is_err());
        assert!(plane(&[vec![f64::NAN]]).is_err());
        assert_eq!(plane(&[vec![1.0, 2.0]]).unwrap().points, [[0.0, 0.0]]);
        assert_eq!(plane(&[vec![1.0], vec![3.0]]).unwrap().points, [[-1.0, 0.0], [1.0, 0.0]]);
        assert!(patterns(&[vec![1.0, 2.0]], &[vec![1.0]]).is_err());
    }

    #[test]
    fn a_pattern_finds_the_source_that_weights_hide() {
        // The source s is seen by the first channel only; both see the noise d, which the weights
        // (1, -1) cancel. The weights name the second channel, the pattern does not.
        let trial = |s: f64, d: f64| vec![s + d, d];
        let trials: Vec<_> =
            [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)].map(|(s, d)| trial(s, d)).into();
        let got = patterns(&trials, &[vec![1.0, -1.0]]).unwrap();
        assert!((got[0][0] - 4.0 / 3.0).abs() < 1e-12 && got[0][1].abs() < 1e-12, "{got:?}");
    }
}
