//! Order and lag by rule of thumb: five copies a quarter of a period apart.
//!
//! In: the sampling rate, or epochs that are band-passed already. Out: order and lag. Delay: none.
//!
//! ```text
//! lag   = round(0.02 rate)                                 from the rate alone, at least 1
//! lag   = round(half / 2)                                  from epochs, at least 1
//! half  = first minimum of the mean over channels and epochs of r(k)
//! r(k)  = sum over t of x(t) x(t + k) / sum over t of x(t)^2,     x less its mean
//! order = 5
//! ```
//!
//! **Why.** A rhythm of period P has an autocorrelation that is lowest near lag P / 2 and crosses zero near
//! P / 4: there a copy says most that the window itself does not (a sine and its quarter period are
//! independent coordinates), while a lag of P / 2 only turns the sign, and adds nothing. Five copies at a
//! quarter of a period span one whole period. Of the mu rhythm at 12.5 Hz a quarter of a period is the 20
//! ms of the first rule, which is 5 samples at 250 Hz; by grid search on motor imagery the best lags there were
//! 4 to 7, with orders of 8 to 10, but order 5 is a quarter of the matrix. A start, to be tuned.
//! References: methods of Carrara, Papadopoulo, arXiv 2302.04508 (the grid); the rule is ours.

use super::{Choice, Series, too_short};
use crate::error::{Error, Result};

/// How many copies.
const ORDER: usize = 5;
/// A quarter of a period of the mu rhythm.
const LAG_S: f64 = 0.02;
/// Shorter epochs hold no period.
const FEWEST: usize = 8;

/// Order and lag from the sampling rate alone.
pub fn from_rate(rate_hz: f64) -> Result<Choice> {
    if !(rate_hz.is_finite() && rate_hz > 0.0) {
        return Err(Error::input(format!(
            "the sampling rate is {rate_hz} Hz, expected a number above zero"
        )));
    }
    Ok(Choice { order: ORDER, lag: ((LAG_S * rate_hz).round() as usize).max(1) })
}

/// Order and lag from band-passed epochs of samples x `channels`, row by row.
pub fn from_epochs(epochs: &[&[f64]], channels: usize) -> Result<Choice> {
    let curve = autocorrelation(epochs, channels)?;
    let rises = |pair: &[f64]| pair[1] >= pair[0];
    let half = curve.windows(2).position(rises).ok_or_else(|| {
        Error::input(format!(
            "the autocorrelation falls up to lag {}, expected a rhythm: take longer epochs, or \
             band-pass them",
            curve.len() - 1
        ))
    })?;
    // Half to even would do as well, but a lag of half a sample is rather one than none.
    Ok(Choice { order: ORDER, lag: half.div_ceil(2).max(1) })
}

/// The mean autocorrelation at lags 0, 1, .. half the shortest epoch.
pub fn autocorrelation(epochs: &[&[f64]], channels: usize) -> Result<Vec<f64>> {
    let epochs =
        epochs.iter().map(|epoch| Series::new(epoch, channels)).collect::<Result<Vec<_>>>()?;
    let Some(shortest) = epochs.iter().map(|epoch| epoch.samples).min() else {
        return Err(Error::input("there are no epochs to choose order and lag from"));
    };
    if shortest < FEWEST {
        return Err(too_short(shortest, FEWEST, "for an autocorrelation"));
    }
    let share = 1.0 / (epochs.len() * channels) as f64;
    let mut curve = vec![0.0; shortest / 2 + 1];
    for series in epochs.iter().flat_map(Series::channels) {
        let mean = series.iter().sum::<f64>() / series.len() as f64;
        let centred: Vec<f64> = series.iter().map(|x| x - mean).collect();
        let product = |lag: usize| {
            centred.iter().zip(&centred[lag..]).map(|(x, later)| x * later).sum::<f64>()
        };
        let power = product(0);
        curve.iter_mut().enumerate().for_each(|(lag, r)| *r += share * product(lag) / power);
    }
    Ok(curve)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_milliseconds() {
        let lag = |rate_hz| from_rate(rate_hz).unwrap().lag;
        assert_eq!([250.0, 512.0, 160.0, 1000.0, 10.0].map(lag), [5, 10, 3, 20, 1]);
        assert_eq!(from_rate(250.0).unwrap().order, 5);
        assert!(from_rate(0.0).is_err() && from_rate(f64::NAN).is_err());
    }

    /// 12.5 Hz at 250 Hz has a period of 20 samples.
    #[test]
    fn a_quarter_of_the_period() {
        let sine = |phase: f64| -> Vec<f64> {
            (0..500).map(|i| (f64::from(i) * std::f64::consts::TAU / 20.0 + phase).sin()).collect()
        };
        let epochs = [sine(0.3), sine(1.0)];
        let epochs: Vec<&[f64]> = epochs.iter().map(Vec::as_slice).collect();
        assert_eq!(from_epochs(&epochs, 1).unwrap(), Choice { order: 5, lag: 5 });
        let drift: Vec<f64> = (0..100).map(f64::from).collect();
        let text = from_epochs(&[&drift], 1).map(|choice| choice.lag);
        assert!(text.is_err(), "{text:?}");
    }
}
