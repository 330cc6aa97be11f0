//! MDOP ("maximising derivatives on projection"): an irregular embedding, one delayed channel after
//! the other, each the one along which neighbours part most.
//!
//! In: an epoch of T samples x C channels. Out: an [`Embedding`], and the order and lag that the
//! authors make of it. With s_c the channels, each of mean 0 and variance 1, and Y(i) a point of the
//! trajectory of the columns so far, nn(i) its nearest neighbour more than w samples away in time:
//!
//! ```text
//! w         = the latest over the channels of the first minima of self information, lags 1..100
//! beta(tau) = mean over i of log10(|s_c(i + tau) - s_c(nn(i) + tau)| / |Y(i) - Y(nn(i))|)
//! share     = #{new / old > r and old < 1 / r} / #{old < 1 / r}        r = 2
//! ```
//!
//! The first cycle tries every channel alone as Y; each cycle takes the channel and the delay of
//! 0..50 with the largest beta. `old` and `new` are the distances to the nearest neighbours without and
//! with the new column. The search ends when their share is at most 0.05 or has risen, or after 50 cycles;
//! the last column is then one too many, and dropped. Neighbours for beta are those among the first
//! N - 50 of N points, so that every delay can be tried on all of them.
//!
//! Where values repeat: points on top of each other have no derivative and are left out of beta; a delay
//! at which two neighbours have the same value gets minus infinity, and is never taken. A share of
//! none counts as 1, as the authors' library has it: to find no false neighbour at all ends the search at
//! the second cycle or later, as the share has risen.
//!
//! **Cost.** The logarithms go over products of 16 differences; the neighbours of the first cycle are
//! those of C series, not of C^2 pairs. References: Nichkawde, Phys. Rev. E 87, 022905 (2013);
//! DelayEmbeddings.jl `mdop_embedding`; Carrara, Papadopoulo, arXiv 2302.04508 ("Unified").

use super::information::first_minimum_lag;
use super::neighbours::Neighbours;
use super::{Choice, Series, too_short};
use crate::error::{Error, Result};
use crate::math::simd::{Cpu, Simd, Work};

/// The latest delay that is tried, in samples.
pub const LATEST: usize = 50;
/// How many delays are tried.
const DELAYS: usize = LATEST + 1;
/// Neighbours that part by more than this factor are false.
const PARTING: f64 = 2.0;
/// A share of false neighbours that is small enough.
const ENOUGH: f64 = 0.05;
/// After so many cycles it ends.
const MOST_CYCLES: usize = 50;

/// A channel that is so many samples later than the first column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// The number of the channel.
    pub channel: usize,
    /// How much later, in samples.
    pub delay: usize,
}

/// One cycle of the search.
#[derive(Debug, Clone)]
pub struct Cycle {
    /// What was tried: for each channel the beta of each delay. In the first cycle for each pair of channels, the
    /// second one running faster.
    pub beta: Vec<f64>,
    /// The column that was taken.
    pub taken: Column,
    /// Which share of the neighbours it showed to be false.
    pub false_share: f64,
}

/// What was found in one epoch.
#[derive(Debug, Clone)]
pub struct Embedding {
    /// The columns that are kept, in the order in which they were taken.
    pub columns: Vec<Column>,
    /// All cycles; the column of the last one is not kept.
    pub cycles: Vec<Cycle>,
    /// Neighbours are more than so many samples apart in time.
    pub window: usize,
}

impl Embedding {
    /// As many copies as there are columns, at their mean delay, rounded half to even.
    pub fn choice(&self) -> Choice {
        let sum: usize = self.columns.iter().map(|column| column.delay).sum();
        let lag = (sum as f64 / self.columns.len() as f64).round_ties_even() as usize;
        Choice { order: self.columns.len(), lag }
    }
}

/// The rounded means of order and lag over some epochs.
pub fn over_epochs(epochs: &[&[f64]], channels: usize) -> Result<Choice> {
    let choice = |(i, epoch): (usize, &&[f64])| {
        mdop(epoch, channels)
            .map(|found| found.choice())
            .map_err(|e| e.at(format!("epoch {}", i + 1)))
    };
    Choice::mean(&epochs.iter().enumerate().map(choice).collect::<Result<Vec<_>>>()?)
}

/// The irregular embedding of an epoch of samples x `channels`, row by row.
pub fn mdop(epoch: &[f64], channels: usize) -> Result<Embedding> {
    let mut series = Series::new(epoch, channels)?;
    let firsts = series.channels().map(first_minimum_lag).collect::<Result<Vec<_>>>()?;
    let window = firsts.into_iter().max().unwrap_or_default();
    // Each point of the shortest trajectory must have a neighbour to look for.
    let wants = 2 * LATEST + 2 * window + 2;
    if series.samples < wants {
        let what_for = format!("for neighbours more than {window} samples apart at all delays");
        return Err(too_short(series.samples, wants, &what_for));
    }
    series.standardise();

    let mut search = Search::start(&series, window)?;
    while !search.is_over() {
        search.go_on()?;
    }
    search.columns.pop();
    Ok(Embedding { columns: search.columns, cycles: search.cycles, window })
}

struct Search<'a> {
    series: &'a Series,
    window: usize,
    columns: Vec<Column>,
    /// On the trajectory of these columns.
    neighbours: Neighbours,
    cycles: Vec<Cycle>,
}

impl<'a> Search<'a> {
    /// The first cycle: every channel with every other and itself.
    fn start(series: &'a Series, window: usize) -> Result<Self> {
        let (mut alone, mut beta) = (Vec::new(), Vec::new());
        for own in series.channels() {
            let neighbours = Neighbours::find(&[own], series.samples - LATEST, window);
            series.channels().for_each(|other| beta.extend(curve(other, &neighbours)));
            alone.push(neighbours);
        }
        let (pair, delay) = largest(&beta)?;
        let (first, channel) = (pair / alone.len(), pair % alone.len());
        let columns = vec![Column { channel: first, delay: 0 }];
        let neighbours = alone.swap_remove(first);
        let mut search = Self { series, window, columns, neighbours, cycles: Vec::new() };
        search.take(Column { channel, delay }, beta);
        Ok(search)
    }

    /// Any other cycle: the trajectory with every channel.
    fn go_on(&mut self) -> Result<()> {
        let beta: Vec<f64> =
            self.series.channels().flat_map(|other| curve(other, &self.neighbours)).collect();
        let (channel, delay) = largest(&beta)?;
        self.take(Column { channel, delay }, beta);
        Ok(())
    }

    /// Adds a column, and finds which share of the neighbours were false.
    fn take(&mut self, taken: Column, beta: Vec<f64>) {
        self.columns.push(taken);
        let latest = self.columns.iter().map(|column| column.delay).max().unwrap_or_default();
        let points = self.series.samples - latest;
        let column = |c: &Column| &self.series.channel(c.channel)[c.delay..c.delay + points];
        let columns: Vec<&[f64]> = self.columns.iter().map(column).collect();
        let neighbours = Neighbours::find(&columns, points - LATEST, self.window);
        let false_share = false_share(&self.neighbours.distances, &neighbours.distances);
        self.neighbours = neighbours;
        self.cycles.push(Cycle { beta, taken, false_share });
    }

    fn is_over(&self) -> bool {
        let share = |back: usize| {
            self.cycles
                .len()
                .checked_sub(back)
                .map_or(f64::INFINITY, |i| self.cycles[i].false_share)
        };
        share(1) <= ENOUGH || share(1) > share(2) || self.cycles.len() == MOST_CYCLES
    }
}

/// The share of false ones among neighbours that were near; 1 for none.
fn false_share(old: &[f64], new: &[f64]) -> f64 {
    let near = || old.iter().zip(new).filter(|(old, _)| **old < 1.0 / PARTING);
    match near().filter(|(old, new)| **new / **old > PARTING).count() {
        0 => 1.0,
        parted => parted as f64 / near().count() as f64,
    }
}

/// The curve (counted from 0) and the delay of the largest beta; of several the first.
fn largest(beta: &[f64]) -> Result<(usize, usize)> {
    let none = (0, f64::NEG_INFINITY);
    let (at, most) =
        beta.iter().enumerate().fold(none, |best, (i, b)| if *b > best.1 { (i, *b) } else { best });
    if most == f64::NEG_INFINITY {
        return Err(Error::input(
            "the values of an epoch repeat, so that neighbours cannot be told apart: take epochs \
             that are not quantised so coarsely",
        ));
    }
    Ok((at / DELAYS, at % DELAYS))
}

/// Beta of a channel for each delay, given the neighbours on a trajectory.
fn curve(channel: &[f64], neighbours: &Neighbours) -> [f64; DELAYS] {
    let pairs = &neighbours.pairs;
    if pairs.is_empty() {
        return [f64::NEG_INFINITY; DELAYS];
    }
    let logs = Cpu::best().run(Logs { channel, pairs });
    logs.map(|sum| sum / pairs.len() as f64 - neighbours.log_distance)
}

/// How many differences go into a product of which the logarithm is taken. They are above 1e-19, since
/// channels have the variance 1, so that the product is above the smallest number there is.
const FACTORS: usize = 16;

/// For each delay the sum of log10(|x(i + delay) - x(j + delay)|) over pairs (i, j).
struct Logs<'a> {
    channel: &'a [f64],
    pairs: &'a [(usize, usize)],
}

impl Work for Logs<'_> {
    type Output = [f64; DELAYS];

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> [f64; DELAYS] {
        let mut sums = [0.0; DELAYS];
        for pairs in self.pairs.chunks(FACTORS) {
            let mut products = [1.0; DELAYS];
            for (i, j) in pairs {
                let (x, y) = (&self.channel[*i..][..DELAYS], &self.channel[*j..][..DELAYS]);
                for ((product, x), y) in products.iter_mut().zip(x).zip(y) {
                    *product *= (x - y).abs();
                }
            }
            sums.iter_mut().zip(&products).for_each(|(sum, product)| *sum += product.log10());
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::testing::numbers;

    /// Tolerance: sums of 300 logarithms, with and without products.
    #[test]
    fn beta_is_the_mean_logarithm() {
        let data = numbers(700, 3);
        let (y, s) = data.split_at(350);
        let neighbours = Neighbours::find(&[y], 300, 4);
        for (delay, got) in curve(s, &neighbours).into_iter().enumerate() {
            let logs = neighbours.pairs.iter().map(|(i, j)| {
                ((s[i + delay] - s[j + delay]).abs() / (y[*i] - y[*j]).abs()).log10()
            });
            let want = logs.sum::<f64>() / 300.0;
            assert!((got - want).abs() < 1e-12, "{delay}: {got} {want}");
        }
    }

    #[test]
    fn shares_and_the_end() {
        assert_eq!(false_share(&[0.1, 0.2, 0.6, 0.4, 9.0], &[0.3, 0.3, 1.9, 0.9]), 2.0 / 3.0);
        assert_eq!(false_share(&[0.1, 0.6], &[0.1, 1.9]), 1.0);
        assert_eq!(false_share(&[0.0], &[0.1]), 1.0);
    }

    #[test]
    fn values_that_repeat_are_an_error_not_a_choice() {
        let steps: Vec<f64> = (0..600).map(|i| f64::from(i / 7 % 2)).collect();
        let text = mdop(&steps, 1).unwrap_err().to_string();
        assert!(text.starts_with("the values of an epoch repeat"), "{text}");
    }

    #[test]
    fn epochs_are_named_and_means_are_rounded() {
        let epochs: Vec<Vec<f64>> = (0..3).map(|seed| numbers(800, seed)).collect();
        let epochs: Vec<&[f64]> = epochs.iter().map(Vec::as_slice).collect();
        let one_by_one: Vec<Choice> =
            epochs.iter().map(|epoch| mdop(epoch, 2).unwrap().choice()).collect();
        let want = Choice::mean(&one_by_one).unwrap();
        assert_eq!(over_epochs(&epochs, 2).unwrap(), want);
        let text = over_epochs(&[epochs[0], &epochs[1][..100]], 2).unwrap_err().to_string();
        assert!(text.starts_with("epoch 2: "), "{text}");
    }
}
