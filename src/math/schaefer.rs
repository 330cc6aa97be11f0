//! How far correlations are shrunk: Schaefer and Strimmer's share.
//!
//! In: a window of n samples x p channels and its covariance. Out: the share r by which what is off the
//! diagonal is to be made smaller:
//!
//! ```text
//! z = a sample less the mean, each channel divided by its deviation
//! q = sum over i != j of (mean over samples of z_i z_j)^2        the squared correlations
//! f = sum over samples and i != j of z_i^2 z_j^2 = sum over samples of (|z|^2)^2 - sum z_i^4
//! r = (f - n q) / (n (n - 1) q)                                  their variances over their squares
//! ```
//!
//! limited to 0..1, and 0 where nothing correlates. A constant channel correlates with nothing.
//! Reference: Schaefer, Strimmer, Stat. Appl. Genet. Mol. Biol. 4 (2005), as pyRiemann's
//! `covariance_sch` has it.

/// The share, from the covariance with divisor n - 1. `scale` is room for one number per channel.
pub fn share(window: &[f64], mean: &[f64], covariance: &[f64], scale: &mut [f64]) -> f64 {
    let p = mean.len();
    let n = (window.len() / p) as f64;
    for (scale, variance) in scale.iter_mut().zip(covariance.iter().step_by(p + 1)) {
        *scale = if *variance > 0.0 { variance.sqrt().recip() } else { 0.0 };
    }
    let mut squares = 0.0;
    for (i, row) in covariance.chunks_exact(p).enumerate() {
        for (j, c) in row[..i].iter().enumerate() {
            squares += 2.0 * (c * scale[i] * scale[j]).powi(2);
        }
    }
    // With the divisor n, as `z` is meant.
    let unbiased = n / (n - 1.0);
    let mut fourth = 0.0;
    for row in window.chunks_exact(p) {
        let (mut sum, mut own) = (0.0, 0.0);
        for ((x, m), scale) in row.iter().zip(mean).zip(&*scale) {
            let square = ((x - m) * scale).powi(2) * unbiased;
            sum += square;
            own += square * square;
        }
        fourth += sum * sum - own;
    }
    if squares == 0.0 {
        return 0.0;
    }
    ((fourth - n * squares) / (n * (n - 1.0) * squares)).clamp(0.0, 1.0)
}
