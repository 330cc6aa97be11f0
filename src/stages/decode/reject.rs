//! Rejection: what is like no class is answered by one more class, `none`.
//!
//! At fit, the logarithms of the distances of the training examples of class k to the centre of that
//! class have a mean m_k and a standard deviation s_k (divisor n). A new frame at distances d_k is rejected
//! where the least of (ln d_k - m_k) / s_k is above the threshold; then `none` has probability 1 and the classes
//! have 0, else `none` has 0 and the classes have what the decoder says. The distance is the decoder's own
//! where it has one ([`Decoder::distances`]), and the Euclidean one to the mean vector of the class
//! otherwise. This is the potential of Barachant, Andreev and Congedo (TOBI Workshop 2013) with a
//! normal distribution of the logarithm.

use super::Decoder;
use crate::error::{Error, Result};
use crate::frame::{Frame, Spec};
use crate::stages::manifold::not_fitted;
use crate::stages::{Examples, Fault, Part, Tensor};

/// The name of the class of what is like no other.
pub const NONE: &str = "none";
/// The names of the arrays in a model.
const LOG: &str = "reject_log";
const CENTRES: &str = "reject_centres";
/// The least standard deviation of the logarithms; below, the examples of a class are too few or too equal.
const LEAST_SPREAD: f64 = 1e-6;

/// Rejects beyond a threshold.
pub struct Reject {
    threshold: f64,
    classes: Vec<Around>,
    /// The distances to the classes.
    distances: Vec<f64>,
}

/// What was learned of a class.
struct Around {
    /// The mean and the standard deviation of the logarithm of the distance.
    mean: f64,
    spread: f64,
    /// The mean vector; empty where the decoder measures distances of its own.
    centre: Vec<f64>,
}

impl Reject {
    /// Nothing has been learned yet.
    pub fn new(threshold: f64) -> Result<Self> {
        if !threshold.is_finite() {
            let text = format!("is {threshold}, expected a finite number");
            return Err(Error::setting("reject", text));
        }
        Ok(Self { threshold, classes: Vec::new(), distances: Vec::new() })
    }

    /// **Data.** Whether `x` is like no class.
    pub fn rejects(&mut self, decoder: &mut impl Decoder, x: &Frame) -> Result<bool, Fault> {
        self.measure(decoder, x)?;
        let z = |(d, around): (&f64, &Around)| (d.ln() - around.mean) / around.spread;
        let least = self.distances.iter().zip(&self.classes).map(z).fold(f64::INFINITY, f64::min);
        Ok(least > self.threshold)
    }

    /// Puts the distances of `x` to the classes into `self.distances`.
    fn measure(&mut self, decoder: &mut impl Decoder, x: &Frame) -> Result<(), Fault> {
        if let Some(measured) = decoder.distances(x, &mut self.distances) {
            return measured;
        }
        for (d, around) in self.distances.iter_mut().zip(&self.classes) {
            let squares = x.data.iter().zip(&around.centre).map(|(a, b)| (a - b) * (a - b));
            *d = squares.sum::<f64>().sqrt();
        }
        super::finite(&self.distances)
    }

    /// Learns from what `decoder` has just been fitted on.
    pub fn fit(&mut self, decoder: &mut impl Decoder, examples: &Examples<'_>) -> Result<()> {
        let Examples { frames, labels, classes, .. } = *examples;
        if classes.iter().any(|class| class == NONE) {
            let text =
                format!("a class is called `{NONE}`, which is the answer to what is rejected");
            return Err(Error::mismatch(text).blaming("reject"));
        }
        let (rows, cols) = (frames[0].rows, frames[0].cols);
        decoder.prepare(&Spec { payload: decoder.takes()[0], rows, cols, ..Spec::markers() })?;
        let own = |k: usize| frames.iter().zip(labels).filter(move |(_, l)| **l == k);
        self.distances = vec![0.0; classes.len()];
        let measured = decoder.distances(&frames[0], &mut self.distances).is_some();
        let centre = |k: usize| match measured {
            true => Vec::new(),
            false => mean_vector(own(k).map(|(x, _)| x.data.as_slice())),
        };
        let around = |k: usize| Around { mean: 0.0, spread: 1.0, centre: centre(k) };
        self.classes = (0..classes.len()).map(around).collect();
        for (k, class) in classes.iter().enumerate() {
            let mut logs = Vec::new();
            for (x, _) in own(k) {
                self.measure(decoder, x).map_err(|fault| Error::input(fault.0))?;
                logs.push(self.distances[k].ln());
            }
            let n = logs.len() as f64;
            let mean = logs.iter().sum::<f64>() / n;
            let spread = (logs.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / n).sqrt();
            if spread.is_nan() || spread <= LEAST_SPREAD {
                let text = format!(
                    "rejection has nothing to go by: the examples of class `{class}` are too few or too \
                     equal; record more, or leave `reject` out"
                );
                return Err(Error::missing(text));
            }
            (self.classes[k].mean, self.classes[k].spread) = (mean, spread);
        }
        Ok(())
    }

    /// Adds what was learned to the part of the decoder.
    pub fn save(&self, part: &mut Part) {
        let count = self.classes.len();
        let moments: Vec<f64> = self.classes.iter().flat_map(|a| [a.mean, a.spread]).collect();
        let centres: Vec<f64> = self.classes.iter().flat_map(|a| a.centre.clone()).collect();
        let width = centres.len() / count.max(1);
        part.tensors.insert(LOG.into(), Tensor { shape: vec![count, 2], data: moments });
        if width > 0 {
            part.tensors
                .insert(CENTRES.into(), Tensor { shape: vec![count, width], data: centres });
        }
    }

    /// Takes over what was learned earlier.
    pub fn load(&mut self, part: &Part) -> Result<()> {
        let moments = part.tensor(LOG, 2)?;
        let count = part.classes.len();
        let (shape, centres) = match part.tensors.contains_key(CENTRES) {
            true => part.tensor(CENTRES, 2).map(|t| (t.shape.clone(), t.data.as_slice()))?,
            false => (vec![count, 0], &[][..]),
        };
        let positive = moments.data.chunks_exact(2).all(|m| m[1] > 0.0);
        if count == 0 || moments.shape != [count, 2] || shape[0] != count || !positive {
            return Err(Error::mismatch(format!(
                "the model has {count} classes and for the rejection arrays of shape {:?} and {shape:?}, \
                 which do not fit",
                moments.shape
            )));
        }
        let width = shape[1];
        self.classes = (0..count)
            .map(|k| Around {
                mean: moments.data[2 * k],
                spread: moments.data[2 * k + 1],
                centre: centres[k * width..(k + 1) * width].to_vec(),
            })
            .collect();
        self.distances = vec![0.0; count];
        Ok(())
    }

    /// Checks that the centres, where there are any, are as long as what comes in.
    pub fn check_input(&self, input: &Spec) -> Result<()> {
        match self.classes.first() {
            None => Err(not_fitted()),
            Some(around) if around.centre.is_empty() => Ok(()),
            Some(around) => super::check_width(input, around.centre.len()),
        }
    }
}

fn mean_vector<'a>(x: impl Iterator<Item = &'a [f64]>) -> Vec<f64> {
    let (mut sum, mut count) = (Vec::new(), 0.0);
    for x in x {
        sum.resize(x.len(), 0.0);
        sum.iter_mut().zip(x).for_each(|(s, x)| *s += x);
        count += 1.0;
    }
    sum.iter_mut().for_each(|s| *s /= count);
    sum
}
