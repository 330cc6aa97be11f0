//! Which rows of a large matrix are most like a vector: cosine similarity, the best few of up to a million.
//!
//! In: a matrix of f32, row by row (the embeddings of items), and vectors of f64 (what a decoder made of a brain). Out: for
//! each vector the numbers of the most similar rows, the best first, and how similar they are ([`Top`]).
//!
//! | module | looks at | cost of a query |
//! |---|---|---|
//! | [`exact`] | every number | all of the matrix once from memory |
//! | [`quantised`] | a byte for every number, then the best few exactly | a quarter of that |
//! | [`approximate`] | neighbours of neighbours in a graph, then the best few exactly | some thousand rows |
//!
//! All three rank by the same number, which [`Items`] defines: the cosine of the angle between row and vector, both less
//! the mean of the rows where that is asked for, plus what is known of the item beforehand. Rows are single precision,
//! all sums double: the products of such numbers are then exact, and what is rounded off the sum of a thousand of
//! them is some 1e-16. Since a row takes longer to come from memory than to be worked off, that costs no time.
//!
//! A row or a vector of zeros has no direction: its similarity is 0.

pub mod approximate;
mod code;
pub mod exact;
mod kernel;
pub mod quantised;

use super::simd::Cpu;
use kernel::Single;

/// The most rows, so that 32 bits number them.
pub const MAX_ITEMS: usize = 1 << 24;
/// The longest rows.
pub const MAX_LENGTH: usize = 1 << 16;

/// The rows that are searched, and what the similarity to them needs.
#[derive(Debug)]
pub struct Items<R> {
    rows: R,
    /// Numbers of a row.
    length: usize,
    /// One over the length of each row (less the mean, where there is one) as a vector; 0 for one of zeros.
    inverse: Vec<f64>,
    /// The mean of the rows.
    mean: Vec<f64>,
    /// Whether it is taken off rows and vectors.
    centre: bool,
    /// The mean length of the rows; 1 where they have none.
    size: f64,
    /// What is added to the similarity of each row; empty where nothing is.
    bonus: Vec<f64>,
    cpu: Cpu,
}

impl<R: AsRef<[f32]>> Items<R> {
    /// Rows of `length` numbers each. `centre` takes the mean of the rows off rows and vectors.
    pub fn new(rows: R, length: usize, centre: bool) -> Self {
        let length = length.clamp(1, MAX_LENGTH);
        let numbers = rows.as_ref();
        let mean = mean(numbers, length);
        let share = f64::from(u8::from(centre));
        let inverse = |row: &[f32]| {
            let square = |(v, m): (&f32, &f64)| (f64::from(*v) - share * m).powi(2);
            let norm = row.iter().zip(&mean).map(square).sum::<f64>().sqrt();
            if norm > 0.0 { 1.0 / norm } else { 0.0 }
        };
        let inverse: Vec<f64> = numbers.chunks_exact(length).take(MAX_ITEMS).map(inverse).collect();
        let size = mean_length(&inverse);
        Self { rows, length, inverse, mean, centre, size, bonus: Vec::new(), cpu: Cpu::best() }
    }

    /// Adds `bonus` to the similarities, one number for each row: what is known of the items beforehand, such as
    /// the logarithm of how likely they are.
    #[must_use]
    pub fn with_bonus(mut self, mut bonus: Vec<f64>) -> Self {
        bonus.resize(self.count(), 0.0);
        self.bonus = bonus;
        self
    }

    /// Lets other instructions do the work than the best there are; for tests.
    #[must_use]
    pub fn on(self, cpu: Cpu) -> Self {
        Self { cpu, ..self }
    }

    /// Their numbers, row by row.
    pub fn rows(&self) -> &[f32] {
        self.rows.as_ref()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.inverse.len()
    }

    /// Numbers of a row.
    pub fn length(&self) -> usize {
        self.length
    }

    /// **Data.** How similar row `item` is to what the query was aimed at, with its bonus.
    fn similarity(&self, item: usize, query: &Query) -> f64 {
        let row = &self.rows.as_ref()[item * self.length..(item + 1) * self.length];
        let product = self.cpu.run(Single { row, query: &query.unit });
        self.scored(item, product, query)
    }

    /// The similarity of `item` by the product of its row with the query.
    #[inline(always)]
    fn scored(&self, item: usize, product: f64, query: &Query) -> f64 {
        let bonus = if self.bonus.is_empty() { 0.0 } else { self.bonus[item] };
        (product - query.shift) * self.inverse[item] + bonus
    }

    /// Writes what is left of row `item` without the mean, in units of [`Self::size`]. Returns the product of that with
    /// the mean; 0 where the mean is taken off anyway.
    fn rest(&self, item: usize, out: &mut [f64]) -> f64 {
        let row = &self.rows.as_ref()[item * self.length..(item + 1) * self.length];
        for ((out, v), mean) in out.iter_mut().zip(row).zip(&self.mean) {
            *out = (f64::from(*v) - mean) / self.size;
        }
        self.lift(out)
    }

    /// The product of what is left of a row or query with the mean, in units of [`Self::size`]; 0 where the mean is taken
    /// off anyway.
    fn lift(&self, rest: &[f64]) -> f64 {
        if self.centre { 0.0 } else { dot(&self.mean, rest) / self.size }
    }
}

/// The mean of the lengths of which `inverse` are one over.
fn mean_length(inverse: &[f64]) -> f64 {
    let lengths = inverse.iter().filter(|inverse| **inverse > 0.0).map(|inverse| 1.0 / inverse);
    let (count, sum) = lengths.fold((0.0, 0.0), |(count, sum), length| (count + 1.0, sum + length));
    if count > 0.0 { sum / count } else { 1.0 }
}

fn mean(numbers: &[f32], length: usize) -> Vec<f64> {
    let mut mean = vec![0.0; length];
    let rows = numbers.chunks_exact(length);
    let count = rows.len().max(1) as f64;
    for row in rows {
        mean.iter_mut().zip(row).for_each(|(sum, v)| *sum += f64::from(*v));
    }
    mean.iter_mut().for_each(|sum| *sum /= count);
    mean
}

/// A vector that is searched for.
#[derive(Debug, Clone)]
pub struct Query {
    /// Its direction.
    unit: Vec<f64>,
    /// What is left of it without the mean, where that is not taken off anyway: the product of the direction with a row
    /// is [`Items::size`] times (the row's rest times this, and the row's lift), and `mean`.
    rest: Vec<f64>,
    /// The product of the direction with the mean of the rows.
    mean: f64,
    /// What of it is taken off the products with rows: all or nothing.
    shift: f64,
}

impl Query {
    /// Room for vectors of `length` numbers.
    pub fn new(length: usize) -> Self {
        Self { unit: vec![0.0; length], rest: vec![0.0; length], mean: 0.0, shift: 0.0 }
    }

    /// **Data.** Aims at `vector`, which is as long as the rows of `items` and finite.
    pub fn aim<R: AsRef<[f32]>>(&mut self, items: &Items<R>, vector: &[f64]) {
        self.unit.fill(0.0);
        self.unit.iter_mut().zip(vector).for_each(|(unit, v)| *unit = *v);
        if items.centre {
            self.unit.iter_mut().zip(&items.mean).for_each(|(unit, mean)| *unit -= mean);
        }
        // Twice, since the squares of very large and very small numbers are none.
        for scale in [largest, norm] {
            let scale = scale(&self.unit);
            if scale > 0.0 {
                self.unit.iter_mut().for_each(|v| *v /= scale);
            }
        }
        self.mean = dot(&items.mean, &self.unit);
        self.shift = if items.centre { self.mean } else { 0.0 };
        let share = if items.centre { 0.0 } else { 1.0 / items.size };
        for ((rest, unit), mean) in self.rest.iter_mut().zip(&self.unit).zip(&items.mean) {
            *rest = unit - share * mean;
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn largest(v: &[f64]) -> f64 {
    v.iter().fold(0.0, |largest, v| v.abs().max(largest))
}

fn norm(v: &[f64]) -> f64 {
    dot(v, v).sqrt()
}

/// The most similar items so far, the best first; of equally similar ones the one with the lower number.
#[derive(Debug, Clone)]
pub struct Top {
    best: Vec<(f64, usize)>,
    room: usize,
}

impl Top {
    /// Room for so many.
    pub fn new(room: usize) -> Self {
        Self { best: Vec::with_capacity(room + 1), room }
    }

    /// **Data.** Forgets them.
    pub fn clear(&mut self) {
        self.best.clear();
    }

    /// **Data.** Takes `item` in if it is among the best.
    pub fn offer(&mut self, similarity: f64, item: usize) {
        let is_before = |other: &(f64, usize)| {
            other.0 > similarity || (other.0 == similarity && other.1 < item)
        };
        let place = self.best.partition_point(is_before);
        if place < self.room {
            self.best.truncate(self.room - 1);
            self.best.insert(place, (similarity, item));
        }
    }

    /// Below this nothing is taken in.
    fn least(&self) -> f64 {
        match self.best.last() {
            Some((least, _)) if self.best.len() == self.room => *least,
            _ => f64::NEG_INFINITY,
        }
    }

    /// How many there is room for.
    pub fn room(&self) -> usize {
        self.room
    }

    /// The items with their similarities, the best first.
    pub fn best(&self) -> &[(f64, usize)] {
        &self.best
    }
}

/// **Data.** Puts those of `candidates` into `top` that are really the best.
fn rank<R: AsRef<[f32]>>(
    items: &Items<R>,
    query: &Query,
    candidates: impl Iterator<Item = usize>,
    top: &mut Top,
) {
    top.clear();
    for item in candidates {
        top.offer(items.similarity(item, query), item);
    }
}

#[cfg(test)]
mod tests;
