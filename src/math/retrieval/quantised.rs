//! Search in bytes: what is left of a row without the mean of all rows is rounded to 255 steps of its own size; what is
//! left of the query, to 16 bits. All rows are compared so, in whole numbers, and the best few of them exactly.
//!
//! What all rows share is not rounded, so that a common direction, as embeddings of pictures have it, costs nothing. The
//! error of such a similarity has a standard deviation of s / sqrt(12), where s is the largest number of the rest / 127
//! / the length of the row, times how long the rest of the query is: 3e-4 or less for rows of 768 numbers like noise.
//! Unless far more items than wanted lie as close together as that, [`CANDIDATES`] for each item that is wanted leave
//! none out: docs/benchmarks.md says what share of the exact ones was found.

use super::code::{encode, encode_wide, padded};
use super::kernel::ScanBytes;
use super::{Items, Query, Top, rank};

/// How many are compared exactly for each item that is wanted...
pub const CANDIDATES: usize = 4;
/// ... and how many more.
pub const MORE_CANDIDATES: usize = 12;

/// All rows in bytes, and room for a query.
#[derive(Debug)]
pub struct Quantised {
    rows: Vec<i8>,
    /// Of each row what its bytes are multiplied with, and its product of rest and mean.
    scales: Vec<(f32, f32)>,
    words: Vec<i16>,
    candidates: Top,
}

impl Quantised {
    /// Rounds the rows of `items`, for queries that want the best `top`.
    pub fn new<R: AsRef<[f32]>>(items: &Items<R>, top: usize) -> Self {
        let width = padded(items.length());
        let mut rows = vec![0; items.count() * width];
        let mut rest = vec![0.0; items.length()];
        let mut scales = Vec::with_capacity(items.count());
        for (item, row) in rows.chunks_exact_mut(width).enumerate() {
            let lift = items.rest(item, &mut rest) as f32;
            scales.push((encode(&rest, row) as f32, lift));
        }
        let candidates = Top::new((CANDIDATES * top + MORE_CANDIDATES).min(items.count()));
        Self { rows, scales, words: vec![0; width], candidates }
    }

    /// **Data.** Puts the items most similar to what `query` was aimed at into `top`. `items` are those that this was
    /// made of.
    pub fn search<R: AsRef<[f32]>>(&mut self, items: &Items<R>, query: &Query, top: &mut Top) {
        self.candidates.clear();
        items.cpu.run(ScanBytes {
            items,
            query,
            scale: encode_wide(&query.rest, &mut self.words),
            rows: &self.rows,
            words: &self.words,
            scales: &self.scales,
            top: &mut self.candidates,
        });
        rank(items, query, self.candidates.best().iter().map(|(_, item)| *item), top);
    }
}
