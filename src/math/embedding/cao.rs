//! Cao's method: the order at which neighbours stay neighbours when one more copy is added.
//!
//! In: epochs, each T samples x C channels. Out: order and lag, with the curves they were read from. Per
//! channel s of an epoch, with tau its own first minimum of self information (lags 1..100), and
//! nn the nearest neighbour of point i in the space of D copies, of those that are not on top of it:
//!
//! ```text
//! a(D)  = mean over i of sqrt(d^2 + (s(i + D tau) - s(nn + D tau))^2) / d     d: their distance
//! E1(D) = a(D + 1) / a(D)
//! order = the smallest D with |E1(D + 1) - E1(D)| < 0.03 and |E1(D) - 1| < 0.1      of the mean E1
//! lag   = the first minimum of the mean self information, lags 1..30
//! ```
//!
//! The means are over channels and epochs. The distance is Euclidean, as the authors of augmented
//! covariances have it (Cao himself took the maximum), and there is no least distance in time. The
//! bounds are ours. Even where all neighbours are true ones, each copy adds as much to the distance as
//! those before, so that E1 rises to 1 as sqrt(D (D + 2)) / (D + 1), which is 0.943, 0.968, 0.980 from
//! D = 2 on: a narrower band would take that for parting. The authors' code
//! looks for the first local maximum of E1 instead, which is not Cao's rule. References: Cao, Physica D
//! 110, 43 (1997); Carrara, Papadopoulo, arXiv 2302.04508.

use super::information::{first_minimum_lag, self_information};
use super::neighbours::{add_squares, least, place};
use super::{Choice, Series, first_minimum, too_short};
use crate::error::{Error, Result};
use crate::math::simd::{Cpu, Simd, Work};

/// The largest order that the authors try.
pub const MOST: usize = 30;
/// The latest lag that can be chosen.
pub const LATEST_LAG: usize = 30;
/// E1 changes by less than this where it is flat ...
const FLAT: f64 = 0.03;
/// ... and is as near to 1 as this.
const NEAR: f64 = 0.1;
/// Fewer points than this in the largest space do not say anything.
const FEWEST: usize = 10;

/// What was found.
#[derive(Debug, Clone)]
pub struct Cao {
    /// Order and lag.
    pub choice: Choice,
    /// The mean E1 of D = 1, 2, ..
    pub e1: Vec<f64>,
    /// The mean self information at lags 1, 2, .., in bits.
    pub information: Vec<f64>,
}

/// Order and lag of epochs of samples x `channels`, row by row; orders up to `most` are looked at.
pub fn cao(epochs: &[&[f64]], channels: usize, most: usize) -> Result<Cao> {
    if epochs.is_empty() {
        return Err(Error::input("there are no epochs to choose order and lag from"));
    }
    let (mut e1, mut information) = (vec![0.0; most], vec![0.0; LATEST_LAG]);
    let share = 1.0 / (epochs.len() * channels) as f64;
    for epoch in epochs {
        for series in Series::new(epoch, channels)?.channels() {
            add(share, &self_information(series, LATEST_LAG)?, &mut information);
            add(share, &growth(series, first_minimum_lag(series)?, most)?, &mut e1);
        }
    }
    let lag = first_minimum(&information) + 1;
    let order = saturation(&e1).ok_or_else(|| {
        Error::input(format!(
            "neighbours still part at order {most}, expected them to stay by then: take longer \
             epochs, or choose the order in another way"
        ))
    })?;
    Ok(Cao { choice: Choice { order, lag }, e1, information })
}

fn add(share: f64, curve: &[f64], sum: &mut [f64]) {
    sum.iter_mut().zip(curve).for_each(|(sum, x)| *sum += share * x);
}

/// The smallest D at which E1(D), E1(1) coming first, is near 1 and flat.
fn saturation(e1: &[f64]) -> Option<usize> {
    let is_flat = |pair: &[f64]| (pair[1] - pair[0]).abs() < FLAT && (pair[0] - 1.0).abs() < NEAR;
    e1.windows(2).position(is_flat).map(|i| i + 1)
}

/// E1(1), .., E1(most) of one channel.
fn growth(series: &[f64], lag: usize, most: usize) -> Result<Vec<f64>> {
    let wants = (most + 1) * lag + FEWEST;
    if series.len() < wants {
        let what_for = format!("for order {most} at lag {lag}");
        return Err(too_short(series.len(), wants, &what_for));
    }
    let a = Cpu::best().run(Parting { series, lag, spaces: most + 1 });
    let e1: Vec<f64> = a.windows(2).map(|pair| pair[1] / pair[0]).collect();
    match e1.iter().all(|x| x.is_finite()) {
        true => Ok(e1),
        false => Err(Error::input(
            "the values of an epoch repeat, so that points have no neighbours: take epochs that \
             are not quantised so coarsely",
        )),
    }
}

/// a(1), a(2), .. of so many spaces.
struct Parting<'a> {
    series: &'a [f64],
    lag: usize,
    spaces: usize,
}

impl Work for Parting<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Vec<f64> {
        let Self { series, lag, spaces } = self;
        let mut sums = vec![(0.0, 0.0); spaces];
        let mut squares = vec![0.0; series.len() - lag];
        // Point by point through all spaces: each takes one column more than the one before.
        for i in 0..squares.len() {
            squares.fill(0.0);
            for (d, (sum, count)) in (1..).zip(&mut sums) {
                let points = series.len() - d * lag;
                if i >= points {
                    break;
                }
                let squares = &mut squares[..points];
                add_squares(&series[(d - 1) * lag..][..points], i, squares);
                let Some((nn, square)) = nearest(squares) else { continue };
                let more = series[i + d * lag] - series[nn + d * lag];
                *sum += ((square + more * more) / square).sqrt();
                *count += 1.0;
            }
        }
        sums.into_iter().map(|(sum, count)| sum / count).collect()
    }
}

/// The place and the squared distance of the nearest point that is not in the same place, such as the point
/// itself.
#[inline(always)]
fn nearest(squares: &[f64]) -> Option<(usize, f64)> {
    let square = least(squares, 0.0);
    let found = square.is_finite().then(|| place(squares, square))?;
    Some((found?, square))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::testing::numbers;

    #[test]
    fn the_first_flat_place_near_one() {
        assert_eq!(saturation(&[0.5, 0.51, 0.7, 0.91, 0.92, 0.925]), Some(4));
        assert_eq!(saturation(&[0.95, 0.9, 1.2, 1.2]), None);
        assert_eq!(saturation(&[0.95]), None);
    }

    #[test]
    fn a_sine_needs_fewer_copies_than_noise() {
        let sine: Vec<f64> = (0..1000).map(|i| (f64::from(i) * 0.13).sin()).collect();
        let order = |series: &[f64]| cao(&[series], 1, 12).unwrap().choice.order;
        let [sine, noise] = [order(&sine), order(&numbers(1000, 7))];
        assert!(sine < noise, "{sine} {noise}");
    }

    #[test]
    fn what_cannot_be_found_is_said() {
        let noise = numbers(500, 7);
        let text = cao(&[&noise], 1, 3).unwrap_err().to_string();
        assert!(text.starts_with("neighbours still part at order 3"), "{text}");
        let text = cao(&[&noise], 1, 490).unwrap_err().to_string();
        assert!(text.contains("for order 490 at lag"), "{text}");
        assert!(cao(&[], 1, 3).is_err());
    }
}
