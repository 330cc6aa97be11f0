//! The inner loops: products of rows with one vector, written for any vector instructions.
//!
//! Four rows go side by side, so that each piece of the vector is loaded once for all of them and that an addition need
//! not wait for the one before. A row gets the same sum, bit for bit, whether it goes alone or with others.
//! No closures here, which the compiler may choose to call rather than inline.

use super::Top;
use super::{Items, Query};
use crate::math::simd::{Simd, Work};

/// Rows side by side.
pub const ROWS: usize = 4;
/// Rows of bytes are padded with zeros to a multiple of this.
pub const BLOCK: usize = 16;

/// The product of a row with a vector.
pub struct Single<'a> {
    pub row: &'a [f32],
    pub query: &'a [f64],
}

impl Work for Single<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        products::<S, 1>(simd, self.row, self.query)[0]
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
        let rows = &items.rows.as_ref()[..items.count() * items.length];
        let mut least = top.least();
        let mut first = 0;
        let (whole, rest) = rows.split_at(items.count() / ROWS * ROWS * items.length);
        for rows in whole.chunks_exact(ROWS * items.length) {
            let products = products::<S, ROWS>(simd, rows, unit);
            for (r, product) in products.into_iter().enumerate() {
                let similarity = items.from_product(first + r, product, query);
                if similarity > least {
                    top.offer(similarity, first + r);
                    least = top.least();
                }
            }
            first += ROWS;
        }
        for row in rest.chunks_exact(items.length) {
            let product = products::<S, 1>(simd, row, unit)[0];
            top.offer(items.from_product(first, product, query), first);
            first += 1;
        }
    }
}

/// The products of `N` rows, one behind the other, with `query`.
#[inline(always)]
fn products<S: Simd, const N: usize>(simd: S, rows: &[f32], query: &[f64]) -> [f64; N] {
    let length = query.len();
    let mut row = [&rows[..0]; N];
    for (r, row) in row.iter_mut().enumerate() {
        *row = &rows[r * length..][..length];
    }
    let mut sums = [simd.splat(0.0); N];
    let whole = length / S::LANES * S::LANES;
    let mut i = 0;
    while i < whole {
        let x = simd.load(&query[i..]);
        for r in 0..N {
            sums[r] = simd.mul_add(simd.widen(&row[r][i..]), x, sums[r]);
        }
        i += S::LANES;
    }
    let mut totals = [0.0; N];
    for r in 0..N {
        totals[r] = total(simd, sums[r]);
        for i in whole..length {
            totals[r] += f64::from(row[r][i]) * query[i];
        }
    }
    totals
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
        let length = self.words.len();
        let mut least = self.top.least();
        let over_size = 1.0 / self.items.size;
        let mut first = 0;
        for rows in self.rows.chunks(ROWS * length) {
            let mut totals = [0; ROWS];
            if rows.len() == ROWS * length {
                totals = byte_products::<S, ROWS>(simd, rows, self.words);
            } else {
                for (r, row) in rows.chunks_exact(length).enumerate() {
                    totals[r] = byte_products::<S, 1>(simd, row, self.words)[0];
                }
            }
            let count = rows.len() / length;
            for (r, total) in totals.into_iter().enumerate().take(count) {
                let item = first + r;
                let (scale, lift) = self.scales[item];
                let rest = total as f64 * self.scale * f64::from(scale) + f64::from(lift);
                let product = rest * over_size + self.query.mean;
                let similarity = self.items.from_product(item, product, self.query);
                if similarity > least {
                    self.top.offer(similarity, item);
                    least = self.top.least();
                }
            }
            first += count;
        }
    }
}

/// The products of `N` rows, one behind the other, with `query`.
#[inline(always)]
fn byte_products<S: Simd, const N: usize>(simd: S, rows: &[i8], query: &[i16]) -> [i64; N] {
    let length = query.len();
    let mut row = [&rows[..0]; N];
    for (r, row) in row.iter_mut().enumerate() {
        *row = &rows[r * length..][..length];
    }
    let mut sums = [simd.no_sums(); N];
    let mut i = 0;
    while i < length {
        for r in 0..N {
            sums[r] = simd.add_products(sums[r], &row[r][i..], &query[i..]);
        }
        i += S::PRODUCTS;
    }
    let mut totals = [0; N];
    for r in 0..N {
        totals[r] = simd.total(sums[r]);
    }
    totals
}

/// The product of two rows of bytes, whose length is a multiple of [`BLOCK`].
pub struct Bytewise<'a>(pub &'a [i8], pub &'a [i8]);

impl Work for Bytewise<'_> {
    type Output = i64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> i64 {
        let Bytewise(a, b) = self;
        let length = a.len().min(b.len()) / BLOCK * BLOCK;
        let mut sums = simd.no_sums();
        let mut i = 0;
        while i < length {
            sums = simd.add_byte_products(sums, &a[i..], &b[i..]);
            i += S::PRODUCTS;
        }
        simd.total(sums)
    }
}
