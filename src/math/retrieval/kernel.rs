//! The inner loops: products of rows with one vector, written for any vector instructions.
//!
//! One row after the other, so that memory is read in one go, each with several sums at once, so that an addition need not
//! wait for the one before. What comes [`AHEAD`] is asked for meanwhile: without that the processor itself asks too
//! late, since the work on a row fills its view of what is to come (10^5 rows of 768 numbers on a Xeon of 2023: 36 ms without,
//! 26 ms with it, where reading them alone takes 23; as bytes 10.1 and 6.6 ms).
//! No closures here, which the compiler may choose to call rather than inline.

use super::Top;
use super::{Items, Query};
use crate::math::simd::{Simd, Work};

/// Sums at once.
const SUMS: usize = 4;
/// How far ahead memory is asked for, in bytes. From 4096 to 16384 makes no difference.
const AHEAD: usize = 8192;
/// What memory is fetched in, in bytes.
const LINE: usize = 64;
/// Rows of bytes are padded with zeros to a multiple of this.
pub const BLOCK: usize = 64;

/// The product of a row with a vector.
pub struct Single<'a> {
    pub row: &'a [f32],
    pub query: &'a [f64],
}

impl Work for Single<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        product(simd, self.row, self.query)
    }
}

/// Offers all items to `top`.
pub struct Scan<'a, R> {
    pub items: &'a Items<R>,
    pub query: &'a Query,
    pub top: &'a mut Top,
}

impl<R: AsRef<[f32]>> Work for Scan<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Scan { items, query, top } = self;
        let unit = &query.unit[..items.length];
        let rows = items.rows.as_ref().chunks_exact(items.length);
        let mut least = top.least();
        for (item, row) in rows.enumerate().take(items.count()) {
            let similarity = items.scored(item, product(simd, row, unit), query);
            if similarity > least {
                top.offer(similarity, item);
                least = top.least();
            }
        }
    }
}

/// The product of a row with `query`, which is as long.
#[inline(always)]
fn product<S: Simd>(simd: S, row: &[f32], query: &[f64]) -> f64 {
    let mut sums = [simd.splat(0.0); SUMS];
    let (rows, queries) = (row.chunks_exact(SUMS * S::LANES), query.chunks_exact(SUMS * S::LANES));
    let (row_rest, query_rest) = (rows.remainder(), queries.remainder());
    for (row, query) in rows.zip(queries) {
        fetch(simd, row);
        for (s, sum) in sums.iter_mut().enumerate() {
            let x = simd.widen(&row[s * S::LANES..]);
            *sum = simd.mul_add(x, simd.load(&query[s * S::LANES..]), *sum);
        }
    }
    let [a, b, c, d] = sums;
    let mut total = total(simd, simd.add(simd.add(a, b), simd.add(c, d)));
    for (x, y) in row_rest.iter().zip(query_rest) {
        total += f64::from(*x) * y;
    }
    total
}

/// Asks for as much as `piece` is, [`AHEAD`] of it.
#[inline(always)]
fn fetch<S: Simd, T>(simd: S, piece: &[T]) {
    for line in 0..size_of_val(piece).div_ceil(LINE) {
        simd.fetch(piece, AHEAD + line * LINE);
    }
}

/// The numbers of a register together.
#[inline(always)]
fn total<S: Simd>(simd: S, sums: S::Vector) -> f64 {
    let mut each = [0.0; 8];
    simd.store(sums, &mut each);
    // The halves onto each other, which takes fewer steps than one after the other.
    let mut width = S::LANES / 2;
    while width > 0 {
        for i in 0..width {
            each[i] += each[i + width];
        }
        width /= 2;
    }
    each[0]
}

/// Offers all items to `top` by what is left of their rows without the mean, in bytes.
pub struct ScanBytes<'a, R> {
    pub items: &'a Items<R>,
    pub query: &'a Query,
    /// Rows as long as `words`, a multiple of [`BLOCK`].
    pub rows: &'a [i8],
    /// The query.
    pub words: &'a [i16],
    /// What the product of each row is multiplied with, besides `scale`, and what is added then.
    pub scales: &'a [(f32, f32)],
    pub scale: f64,
    pub top: &'a mut Top,
}

impl<R: AsRef<[f32]>> Work for ScanBytes<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let rows = self.rows.chunks_exact(self.words.len());
        let mut least = self.top.least();
        for (item, (row, (scale, lift))) in rows.zip(self.scales).enumerate() {
            let bytes = byte_product(simd, row, self.words) as f64;
            let rest = bytes * self.scale * f64::from(*scale) + f64::from(*lift);
            let product = rest * self.items.size + self.query.mean;
            let similarity = self.items.scored(item, product, self.query);
            if similarity > least {
                self.top.offer(similarity, item);
                least = self.top.least();
            }
        }
    }
}

/// The product of a row of bytes with `query`, which is as long, a multiple of [`BLOCK`].
#[inline(always)]
fn byte_product<S: Simd>(simd: S, row: &[i8], query: &[i16]) -> i64 {
    let mut sums = [simd.no_sums(); SUMS];
    let rows = row.chunks_exact(SUMS * S::PRODUCTS);
    for (row, query) in rows.zip(query.chunks_exact(SUMS * S::PRODUCTS)) {
        fetch(simd, row);
        for (s, sum) in sums.iter_mut().enumerate() {
            *sum = simd.add_products(*sum, &row[s * S::PRODUCTS..], &query[s * S::PRODUCTS..]);
        }
    }
    let [a, b, c, d] = sums;
    simd.total(simd.add_sums(simd.add_sums(a, b), simd.add_sums(c, d)))
}

/// The product of two rows of bytes, whose length is a multiple of [`BLOCK`].
pub struct Bytewise<'a>(pub &'a [i8], pub &'a [i8]);

impl Work for Bytewise<'_> {
    type Output = i64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> i64 {
        let mut sums = [simd.no_sums(); SUMS];
        let rows = self.0.chunks_exact(SUMS * S::PRODUCTS);
        for (a, b) in rows.zip(self.1.chunks_exact(SUMS * S::PRODUCTS)) {
            for (s, sum) in sums.iter_mut().enumerate() {
                *sum = simd.add_byte_products(*sum, &a[s * S::PRODUCTS..], &b[s * S::PRODUCTS..]);
            }
        }
        let [a, b, c, d] = sums;
        simd.total(simd.add_sums(simd.add_sums(a, b), simd.add_sums(c, d)))
    }
}
