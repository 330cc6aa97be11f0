//! Scaling of windows: centre and scale of each channel, or of all of a window.
//!
//! In: channels over time in any order of the axes. Out: the same numbers, less their centre and divided
//! by their scale:
//!
//! ```text
//! centre    the mean, 1
//! channel   the mean, the standard deviation (divisor n)
//! robust    the median, the distance between the quartiles (as NumPy's quantiles)
//! window    as channel, over the numbers of all channels together
//! ```
//!
//! A scale below 1e-30, such as that of a flat channel, counts as 1e-30, so that nothing is divided by 0.

use super::quantile;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Less than this is no scale to divide by.
const LEAST_SCALE: f64 = 1e-30;

/// What is done to a window before a network sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// Nothing.
    #[default]
    None,
    /// Mean 0 and standard deviation 1 over all of the window.
    Window,
    /// Mean 0 and standard deviation 1 of each channel.
    Channel,
    /// Median 0 and the distance between the quartiles 1, of each channel.
    Robust,
    /// Mean 0 of each channel.
    Centre,
}

/// Where the numbers of a window stand in a slice.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// How many channels there are.
    pub channels: usize,
    /// Samples of each channel.
    pub samples: usize,
    /// From one channel to the next.
    pub across: usize,
    /// From one sample of a channel to the next.
    pub along: usize,
}

impl Table {
    /// Where the numbers of channel `c` stand.
    fn places(self, c: usize) -> impl Iterator<Item = usize> {
        (0..self.samples).map(move |t| c * self.across + t * self.along)
    }
}

/// Scales windows of one shape.
#[derive(Debug, Clone)]
pub struct Scaler {
    scaling: Scaling,
    /// What lies beyond is cut off, after the scaling; infinity for nothing.
    clamp: f64,
    table: Table,
    channel: Vec<f64>,
}

impl Scaler {
    /// For windows that stand as `table` says.
    pub fn new(scaling: Scaling, clamp: Option<f64>, table: Table) -> Self {
        let clamp = clamp.unwrap_or(f64::INFINITY);
        Self { scaling, clamp, table, channel: vec![0.0; table.samples] }
    }

    /// **Data.** Scales `window` in place.
    pub fn apply(&mut self, window: &mut [f64]) {
        match self.scaling {
            Scaling::None => {}
            Scaling::Window => {
                let place = centre_and_scale(Scaling::Window, window);
                window.iter_mut().for_each(|v| *v = moved(*v, place));
            }
            _ => (0..self.table.channels).for_each(|c| self.scale(window, c)),
        }
        clamp(window, self.clamp);
    }

    /// Scales channel `c` by itself.
    fn scale(&mut self, window: &mut [f64], c: usize) {
        for (to, at) in self.channel.iter_mut().zip(self.table.places(c)) {
            *to = window[at];
        }
        let place = centre_and_scale(self.scaling, &mut self.channel);
        self.table.places(c).for_each(|at| window[at] = moved(window[at], place));
    }
}

/// The centre of `values` and what they are to be divided by. Puts them into another order for
/// [`Scaling::Robust`].
pub fn centre_and_scale(scaling: Scaling, values: &mut [f64]) -> [f64; 2] {
    if scaling == Scaling::None {
        return [0.0, 1.0];
    }
    if scaling == Scaling::Robust {
        let [low, middle, high] = [0.25, 0.5, 0.75].map(|q| quantile::select(values, q));
        return [middle, (high - low).max(LEAST_SCALE)];
    }
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    if scaling == Scaling::Centre {
        return [mean, 1.0];
    }
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    [mean, variance.sqrt().max(LEAST_SCALE)]
}

/// `value` less the centre, by the scale.
pub fn moved(value: f64, [centre, scale]: [f64; 2]) -> f64 {
    (value - centre) / scale
}

/// Cuts off what lies beyond `limit` on either side of 0; a limit that is no number from 0 on cuts nothing.
pub fn clamp(values: &mut [f64], limit: f64) {
    if limit.is_finite() && limit >= 0.0 {
        values.iter_mut().for_each(|v| *v = v.clamp(-limit, limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Scaling; 5] =
        [Scaling::None, Scaling::Window, Scaling::Channel, Scaling::Robust, Scaling::Centre];

    #[test]
    fn the_order_of_the_axes_does_not_matter() {
        let window = [1.0, 10.0, 2.0, 20.0, 3.0, 60.0, 7.0, -5.0];
        let turned = [1.0, 2.0, 3.0, 7.0, 10.0, 20.0, 60.0, -5.0];
        for scaling in ALL {
            let table = Table { channels: 2, samples: 4, across: 1, along: 2 };
            let mut rows = window;
            Scaler::new(scaling, Some(1.2), table).apply(&mut rows);
            let table = Table { across: 4, along: 1, ..table };
            let mut columns = turned;
            Scaler::new(scaling, Some(1.2), table).apply(&mut columns);
            for (at, v) in rows.iter().enumerate() {
                let other = columns[at % 2 * 4 + at / 2];
                assert!((v - other).abs() < 1e-14 && v.abs() <= 1.2, "{scaling:?}");
            }
        }
    }

    #[test]
    fn flat_and_empty_windows_are_survived() {
        for scaling in ALL {
            let table = Table { channels: 1, samples: 3, across: 0, along: 1 };
            let mut flat = [4.0; 3];
            Scaler::new(scaling, None, table).apply(&mut flat);
            assert!(flat.iter().all(|v| *v == if scaling == Scaling::None { 4.0 } else { 0.0 }));
            assert!(centre_and_scale(scaling, &mut []).iter().all(|v| v.is_finite()));
            let mut odd = [f64::NAN, 1.0, 2.0];
            Scaler::new(scaling, Some(1.0), table).apply(&mut odd);
        }
    }
}
