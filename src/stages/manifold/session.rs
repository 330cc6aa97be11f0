//! What the stages share that tie sessions together: means of recordings, and whitening by them.

use super::moving::Method;
use crate::error::{Error, Result};
use crate::math::linalg;
use crate::math::spd::{NotSpd, Spd};
use crate::stages::{Examples, Part};

/// Whitening by a reference: C to M^-1/2 C M^-1/2. Only [`Whitening::new`] allocates.
pub(super) struct Whitening {
    n: usize,
    spd: Spd,
    /// M^-1/2.
    matrix: Vec<f64>,
    /// Where the next one is made, so that a failure leaves this one as it is.
    next: Vec<f64>,
    product: Vec<f64>,
}

impl Whitening {
    /// Whitening by `reference`, n x n.
    pub fn new(n: usize, reference: &[f64]) -> Result<Self> {
        let room = || vec![0.0; n * n];
        let spd = Spd::new(n);
        let mut new = Self { n, spd, matrix: room(), next: room(), product: room() };
        new.follow(reference).map_err(|e| Error::mismatch(format!("the reference matrix {e}")))?;
        Ok(new)
    }

    /// M^-1/2.
    pub fn matrix(&self) -> &[f64] {
        &self.matrix
    }

    /// **Data.** Whitens by `reference` from now on.
    pub fn follow(&mut self, reference: &[f64]) -> Result<(), NotSpd> {
        self.spd.inverse_sqrt(reference, &mut self.next)?;
        std::mem::swap(&mut self.matrix, &mut self.next);
        Ok(())
    }

    /// **Data.** Whitens by `matrix`, an M^-1/2, from now on.
    pub fn restore(&mut self, matrix: &[f64]) {
        self.matrix.copy_from_slice(matrix);
    }

    /// **Data.** Whitens `c`.
    pub fn apply(&mut self, c: &[f64], out: &mut [f64]) -> Result<(), NotSpd> {
        linalg::product(&self.matrix, c, &mut self.product, self.n);
        linalg::outer(&self.product, &self.matrix, out, self.n);
        if out.iter().all(|v| v.is_finite()) { Ok(()) } else { Err(NotSpd::NotFinite) }
    }
}

/// The size of the examples, which must be square matrices of one size.
pub(super) fn size(examples: &Examples<'_>) -> Result<usize> {
    let n = examples.frames.first().map_or(0, |frame| frame.rows);
    if n == 0 || examples.frames.iter().any(|frame| (frame.rows, frame.cols) != (n, n)) {
        return Err(Error::mismatch("expected one or more square matrices of one size"));
    }
    Ok(n)
}

/// The examples of each recording.
pub(super) fn recordings(examples: &Examples<'_>) -> Vec<Vec<usize>> {
    let mut recordings: Vec<Vec<usize>> = Vec::new();
    for i in 0..examples.frames.len() {
        let group = examples.group(i);
        recordings.resize(recordings.len().max(group + 1), Vec::new());
        recordings[group].push(i);
    }
    recordings.retain(|recording| !recording.is_empty());
    recordings
}

/// The mean of `some` of the examples.
pub(super) fn mean(examples: &Examples<'_>, some: &[usize], method: Method) -> Result<Vec<f64>> {
    let frames: Vec<&[f64]> = some.iter().map(|i| examples.frames[*i].data.as_slice()).collect();
    let weights: Vec<f64> =
        some.iter().map(|i| examples.weights.get(*i).copied().unwrap_or(1.0)).collect();
    if method == Method::Riemann {
        let mean = Spd::new(size(examples)?).mean(&frames, Some(&weights))?;
        if !mean.converged {
            let (count, gradient) = (frames.len(), mean.gradient);
            tracing::warn!(gradient, "the mean of {count} matrices has not fully converged");
        }
        return Ok(mean.matrix);
    }
    let (mut sum, total) = (vec![0.0; frames[0].len()], weights.iter().sum::<f64>());
    for (frame, weight) in frames.iter().zip(&weights) {
        sum.iter_mut().zip(*frame).for_each(|(sum, v)| *sum += weight / total * v);
    }
    Ok(sum)
}

/// The square array `name` of a model, with its size.
pub(super) fn square(part: &Part, name: &str) -> Result<(usize, Vec<f64>)> {
    let tensor = part.tensor(name, 2)?;
    if tensor.shape[0] == 0 || tensor.shape[0] != tensor.shape[1] {
        return Err(Error::mismatch(format!(
            "the model's array `{name}` has shape {:?}, expected a square matrix",
            tensor.shape
        )));
    }
    Ok((tensor.shape[0], tensor.data.clone()))
}
