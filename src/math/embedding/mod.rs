//! Order and lag of augmented covariances, chosen from the data alone.
//!
//! In: epochs, each T samples x C channels. Out: a [`Choice`] of order and lag, or, from
//! [`mdop`], an irregular embedding. Three ways, from the slowest to the quickest:
//!
//! | module | looks at | cost of an epoch |
//! |---|---|---|
//! | [`mdop`] | which delayed channel unfolds the trajectory most | O(C T^2 + C^2 T) |
//! | [`cao`] | whether neighbours stay neighbours with one more copy | O(C D T^2) |
//! | [`quick`] | the period of the dominating rhythm, or the sampling rate alone | O(C T^2), or none |
//!
//! None of them looks at classes, so none needs to be nested in a cross-validation to be fair; but
//! none knows what is good for decoding either. All are offline and deterministic. References:
//! Carrara, Papadopoulo, arXiv 2302.04508; the others are named where they belong.

pub mod cao;
pub mod information;
pub mod mdop;
mod neighbours;
pub mod quick;

use crate::error::{Error, Result};

/// The order and the lag of augmented windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// How many copies there are, the window itself included.
    pub order: usize,
    /// From one copy to the next, in samples. Zero where all that was found is the window itself
    /// (order 1, for which the lag does not matter) or other channels at the same time.
    pub lag: usize,
}

impl Choice {
    /// The means of some choices, rounded half to even; an error where there are none.
    pub fn mean(choices: &[Self]) -> Result<Self> {
        if choices.is_empty() {
            return Err(Error::input("there are no epochs to choose order and lag from"));
        }
        let mean = |of: fn(&Self) -> usize| {
            let sum: usize = choices.iter().map(of).sum();
            (sum as f64 / choices.len() as f64).round_ties_even() as usize
        };
        Ok(Self { order: mean(|choice| choice.order), lag: mean(|choice| choice.lag) })
    }
}

/// An epoch channel by channel, checked: finite numbers, and no channel constant.
#[derive(Debug, Clone)]
struct Series {
    samples: usize,
    data: Vec<f64>,
}

impl Series {
    /// Takes an epoch of samples x `channels`, row by row.
    fn new(epoch: &[f64], channels: usize) -> Result<Self> {
        if channels == 0 || epoch.is_empty() || !epoch.len().is_multiple_of(channels) {
            return Err(Error::input(format!(
                "an epoch has {} numbers, expected some samples of {channels} channels each",
                epoch.len()
            )));
        }
        let samples = epoch.len() / channels;
        let mut data = Vec::with_capacity(epoch.len());
        for c in 0..channels {
            data.extend(epoch.iter().skip(c).step_by(channels));
            check(&data[c * samples..]).map_err(|e| e.at(format!("channel {}", c + 1)))?;
        }
        Ok(Self { samples, data })
    }

    fn channels(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.data.chunks_exact(self.samples)
    }

    fn channel(&self, c: usize) -> &[f64] {
        &self.data[c * self.samples..][..self.samples]
    }

    /// Gives every channel the mean 0 and the variance 1 (divisor T - 1).
    fn standardise(&mut self) {
        let n = self.samples as f64;
        for series in self.data.chunks_exact_mut(self.samples) {
            let mean = series.iter().sum::<f64>() / n;
            series.iter_mut().for_each(|x| *x -= mean);
            let scale = (series.iter().map(|x| x * x).sum::<f64>() / (n - 1.0)).sqrt();
            series.iter_mut().for_each(|x| *x /= scale);
        }
    }
}

/// A series must be finite and must not be constant.
fn check(series: &[f64]) -> Result<()> {
    if let Some(at) = series.iter().position(|x| !x.is_finite()) {
        return Err(Error::input(format!(
            "sample {} of an epoch is {}, expected a finite number: leave the epoch out",
            at + 1,
            series[at]
        )));
    }
    if series.iter().all(|x| *x == series[0]) {
        return Err(Error::input(
            "it is constant over an epoch, so that it says nothing of its own past: leave the \
             channel out",
        ));
    }
    Ok(())
}

/// The error for an epoch of `has` samples where at least `wants` are needed.
fn too_short(has: usize, wants: usize, what_for: &str) -> Error {
    Error::input(format!(
        "an epoch has {has} samples, expected {wants} or more {what_for}: take longer epochs"
    ))
}

/// The place of the first value that is no larger than the next one; the last place if all fall.
fn first_minimum(curve: &[f64]) -> usize {
    let rise = curve.windows(2).position(|pair| pair[1] >= pair[0]);
    rise.unwrap_or(curve.len().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_rounded_half_to_even() {
        let choice = |order, lag| Choice { order, lag };
        assert_eq!(Choice::mean(&[choice(4, 7), choice(5, 8)]).unwrap(), choice(4, 8));
        assert_eq!(
            Choice::mean(&[choice(5, 2), choice(6, 2), choice(6, 3)]).unwrap(),
            choice(6, 2)
        );
        assert!(Choice::mean(&[]).is_err());
    }

    #[test]
    fn the_first_minimum() {
        assert_eq!(first_minimum(&[3.0, 2.0, 1.0, 1.5, 0.0]), 2);
        assert_eq!(first_minimum(&[1.0, 1.0]), 0);
        assert_eq!(first_minimum(&[3.0, 2.0, 1.0]), 2);
    }

    /// What is wrong is said by every way, before any work.
    #[test]
    fn degenerate_epochs_are_refused() {
        let mut good: Vec<f64> = (0..1200).map(|i| f64::from(i * i * 37 % 101)).collect();
        let refusals = |epoch: &[f64]| {
            [
                mdop::mdop(epoch, 2).map(|_| ()),
                cao::cao(&[epoch], 2, 10).map(|_| ()),
                quick::from_epochs(&[epoch], 2).map(|_| ()),
            ]
            .map(|result| result.map_err(|e| e.to_string()).unwrap_err())
        };
        for (wrong, what) in [(f64::NAN, "sample 4"), (f64::INFINITY, "sample 4")] {
            let mut epoch = good.clone();
            epoch[7] = wrong;
            for text in refusals(&epoch) {
                assert!(text.starts_with("channel 2: ") && text.contains(what), "{text}");
            }
        }
        good.iter_mut().step_by(2).for_each(|x| *x = 5.0);
        for text in refusals(&good) {
            assert!(text.starts_with("channel 1: it is constant"), "{text}");
        }
        for text in refusals(&good[..3]) {
            assert!(text.contains("has 3 numbers"), "{text}");
        }
        for text in refusals(&[1.0, 2.0, 2.0, 4.0, 3.0, 1.0]) {
            assert!(text.contains("samples, expected"), "{text}");
        }
    }
}
