//! Nearest neighbours on a trajectory, by brute force: exact, branch-free, and in the first-level cache.
//!
//! The squared distances from one point to all others are summed up column by column. They are
//! made anew when a column is added rather than kept for all pairs: that takes D passes over T numbers in
//! the first-level cache, where the T x T matrix would go through memory once to be read and once to
//! be written: with the few columns of an embedding there is less to move, and nothing to keep.

use crate::math::simd::{Cpu, Simd, Work};

/// The nearest neighbours of all points of a trajectory.
#[derive(Debug, Clone, Default)]
pub struct Neighbours {
    /// Each of the first `inner` points with the nearest other one of these. Points on top of each
    /// other are left out, as they have no direction.
    pub pairs: Vec<(usize, usize)>,
    /// The mean over the pairs of the logarithm (base 10) of their distance.
    pub log_distance: f64,
    /// The distance of each point to the nearest among all points.
    pub distances: Vec<f64>,
}

impl Neighbours {
    /// Finds, on the trajectory of these `columns`, which are equally long, for each point the nearest
    /// one that is more than `window` samples away in time. Of two that are as near, the earlier.
    pub fn find(columns: &[&[f64]], inner: usize, window: usize) -> Self {
        let (pairs, distances) = Cpu::best().run(Search { columns, inner, window });
        let logs = pairs.iter().map(|(_, _, square)| 0.5 * square.log10());
        let log_distance = logs.sum::<f64>() / pairs.len() as f64;
        let pairs = pairs.into_iter().map(|(i, j, _)| (i, j)).collect();
        Self { pairs, log_distance, distances }
    }
}

struct Search<'a> {
    columns: &'a [&'a [f64]],
    inner: usize,
    window: usize,
}

impl Work for Search<'_> {
    /// Pairs with their squared distance, and the distances among all points.
    type Output = (Vec<(usize, usize, f64)>, Vec<f64>);

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Self::Output {
        let Self { columns, inner, window } = self;
        let count = columns.first().map_or(0, |column| column.len());
        let (mut pairs, mut distances) = (Vec::with_capacity(inner), Vec::with_capacity(count));
        let mut squares = vec![0.0; count];
        for i in 0..count {
            squares.fill(0.0);
            columns.iter().for_each(|column| add_squares(column, i, &mut squares));
            squares[i.saturating_sub(window)..count.min(i + window + 1)].fill(f64::INFINITY);
            let (inside, outside) = squares.split_at(inner);
            let square = least(inside, ANY);
            distances.push(square.min(least(outside, ANY)).sqrt());
            if i < inner && square > 0.0 && square.is_finite() {
                pairs.extend(place(inside, square).map(|j| (i, j, square)));
            }
        }
        (pairs, distances)
    }
}

/// Adds the squared distances in one column from point `i` to each point.
#[inline(always)]
pub fn add_squares(column: &[f64], i: usize, squares: &mut [f64]) {
    let own = column[i];
    for (square, x) in squares.iter_mut().zip(column) {
        let difference = x - own;
        *square += difference * difference;
    }
}

/// How many numbers are looked at side by side: the compiler may not take a minimum apart by itself.
const LANES: usize = 16;
/// Below all squares.
const ANY: f64 = -1.0;

/// The least of some numbers that is larger than `above`; infinity for none.
#[inline(always)]
pub fn least(numbers: &[f64], above: f64) -> f64 {
    let smaller = |m: f64, x: f64| if x < m && x > above { x } else { m };
    let mut least = [f64::INFINITY; LANES];
    let (lanes, rest) = numbers.as_chunks::<LANES>();
    for lane in lanes {
        least.iter_mut().zip(lane).for_each(|(m, x)| *m = smaller(*m, *x));
    }
    rest.iter().chain(&least).fold(f64::INFINITY, |m, x| smaller(m, *x))
}

/// Where `wanted` stands first.
#[inline(always)]
pub fn place(numbers: &[f64], wanted: f64) -> Option<usize> {
    let (lanes, _) = numbers.as_chunks::<LANES>();
    let holds = |lane: &[f64; LANES]| lane.iter().fold(false, |found, x| found | (*x == wanted));
    let skipped = lanes.iter().position(holds).unwrap_or(lanes.len()) * LANES;
    let place = numbers[skipped..].iter().position(|x| *x == wanted)?;
    Some(skipped + place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::testing::numbers;

    /// Entry by entry. Bit for bit: both add up the columns in the same order.
    #[test]
    fn agrees_with_all_pairs_one_by_one() {
        for (count, inner, window, dimension) in [(40, 40, 0, 1), (61, 50, 3, 2), (150, 101, 9, 5)]
        {
            let data = numbers(count * dimension, count as u64);
            let columns: Vec<&[f64]> = data.chunks_exact(count).collect();
            let square =
                |i: usize, j: usize| columns.iter().fold(0.0, |s, c| s + (c[j] - c[i]).powi(2));
            let nearest = |i: usize, among: usize| {
                (0..among).filter(|j| i.abs_diff(*j) > window).fold((0, f64::INFINITY), |m, j| {
                    if square(i, j) < m.1 { (j, square(i, j)) } else { m }
                })
            };
            let got = Neighbours::find(&columns, inner, window);
            let pairs: Vec<_> = (0..inner).map(|i| (i, nearest(i, inner).0)).collect();
            let distances: Vec<_> = (0..count).map(|i| nearest(i, count).1.sqrt()).collect();
            assert_eq!((got.pairs, got.distances), (pairs, distances));
        }
    }

    #[test]
    fn the_earlier_of_two_and_none_on_top_of_each_other() {
        let got = Neighbours::find(&[&[0.0, 5.0, 2.0, 2.0, 7.0, 4.0]], 6, 0);
        assert_eq!(got.pairs, [(0, 2), (1, 5), (4, 1), (5, 1)]);
        assert_eq!(got.distances, [2.0, 1.0, 0.0, 0.0, 2.0, 1.0]);
    }
}
