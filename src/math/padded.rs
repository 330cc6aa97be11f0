//! Matrices laid out for vector instructions: what the kernels of linear algebra work on.

use super::simd::Simd;

/// The width of the widest registers in numbers. Columns begin at a multiple of it in memory and are
/// padded with zeros to a multiple of it, so that no kernel meets a rest.
pub const WIDTH: usize = 8;

/// Numbers that begin where a cache line begins.
#[derive(Debug)]
pub struct Aligned {
    room: Vec<f64>,
    start: usize,
    len: usize,
}

impl Aligned {
    /// `len` zeros.
    pub fn new(len: usize) -> Self {
        let room = vec![0.0; len + WIDTH];
        let start = room.as_ptr().align_offset(WIDTH * size_of::<f64>()).min(WIDTH);
        Self { room, start, len }
    }
}

impl std::ops::Deref for Aligned {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        &self.room[self.start..self.start + self.len]
    }
}

impl std::ops::DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f64] {
        &mut self.room[self.start..self.start + self.len]
    }
}

impl Clone for Aligned {
    fn clone(&self) -> Self {
        let mut other = Self::new(self.len);
        other.copy_from_slice(self);
        other
    }
}

/// An n x n matrix, column by column. Rows and columns beyond n are zero.
#[derive(Debug, Clone)]
pub struct Padded {
    n: usize,
    stride: usize,
    data: Aligned,
}

impl Padded {
    /// A zero matrix.
    pub fn new(n: usize) -> Self {
        let width = n.next_multiple_of(WIDTH);
        // At a distance of a power of two, the columns of a large matrix would push each other out of
        // the cache.
        let stride = if width >= 128 && width.is_multiple_of(64) { width + WIDTH } else { width };
        Self { n, stride, data: Aligned::new(stride * width) }
    }

    /// A matrix of the numbers in `a`, column by column.
    pub fn from_columns(n: usize, a: &[f64]) -> Self {
        let mut padded = Self::new(n);
        padded.fill_from(a);
        padded
    }

    /// Takes over the numbers in `a`, column by column.
    pub fn fill_from(&mut self, a: &[f64]) {
        let n = self.n;
        for (to, from) in self.columns_mut().zip(a.chunks_exact(n)) {
            to[..n].copy_from_slice(from);
        }
    }

    /// The numbers without the padding, column by column.
    pub fn to_columns(&self) -> Vec<f64> {
        self.columns().flat_map(|column| &column[..self.n]).copied().collect()
    }

    /// The size.
    pub fn n(&self) -> usize {
        self.n
    }

    /// From one column to the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// All numbers, the padding too.
    pub fn data(&self) -> &[f64] {
        &self.data
    }

    /// All numbers. The padding must stay zero.
    pub fn data_mut(&mut self) -> &mut [f64] {
        &mut self.data
    }

    /// Column `j` with its padding.
    pub fn column(&self, j: usize) -> &[f64] {
        &self.data[j * self.stride..(j + 1) * self.stride]
    }

    /// Column `j`; its padding must stay zero.
    pub fn column_mut(&mut self, j: usize) -> &mut [f64] {
        &mut self.data[j * self.stride..(j + 1) * self.stride]
    }

    /// The columns with their padding.
    pub fn columns(&self) -> impl Iterator<Item = &[f64]> {
        self.data.chunks_exact(self.stride).take(self.n)
    }

    /// The columns; their padding must stay zero.
    pub fn columns_mut(&mut self) -> impl Iterator<Item = &mut [f64]> {
        let (n, stride) = (self.n, self.stride);
        self.data.chunks_exact_mut(stride).take(n)
    }

    /// Copies the part below the diagonal to the part above.
    pub fn mirror(&mut self) {
        let (n, stride, data) = (self.n, self.stride, &mut self.data[..]);
        // Square by square, so that the rows that are written stay in the cache.
        for block in (0..n).step_by(WIDTH) {
            for i in block + 1..n {
                for j in block..i.min(block + WIDTH) {
                    data[i * stride + j] = data[j * stride + i];
                }
            }
        }
    }
}

/// The sum of the products of two vectors whose length is a multiple of [`WIDTH`].
///
/// The order of the additions does not depend on the width of the registers.
#[inline(always)]
pub fn dot<S: Simd>(simd: S, a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; WIDTH];
    for lane in (0..WIDTH).step_by(S::LANES) {
        let mut sum = simd.splat(0.0);
        for (a, b) in a.chunks_exact(WIDTH).zip(b.chunks_exact(WIDTH)) {
            sum = simd.mul_add(simd.load(&a[lane..]), simd.load(&b[lane..]), sum);
        }
        simd.store(sum, &mut sums[lane..]);
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// `a - x b`.
#[inline(always)]
pub fn subtract<S: Simd>(simd: S, a: &mut [f64], b: &[f64], x: f64) {
    let x = simd.splat(x);
    for (a, b) in a.chunks_exact_mut(S::LANES).zip(b.chunks_exact(S::LANES)) {
        simd.store(simd.sub_mul(x, simd.load(b), simd.load(a)), a);
    }
}

/// `x a`.
#[inline(always)]
pub fn scale<S: Simd>(simd: S, a: &mut [f64], x: f64) {
    let x = simd.splat(x);
    for a in a.chunks_exact_mut(S::LANES) {
        simd.store(simd.mul(x, simd.load(a)), a);
    }
}

/// What is done to a strip of rows, as many registers high as stay in registers.
pub trait Strip {
    /// Works on `R` registers of rows from row `row` on. Must be `#[inline(always)]`.
    fn run<S: Simd, const R: usize>(&mut self, simd: S, row: usize);
}

/// Goes down `rows`, which begin and end at multiples of [`WIDTH`], in strips of at most `most`
/// registers, eight or fewer.
#[inline(always)]
pub fn strips<S: Simd>(simd: S, rows: std::ops::Range<usize>, most: usize, work: &mut impl Strip) {
    let mut row = rows.start;
    while row < rows.end {
        let height = most.min((rows.end - row) / S::LANES);
        match height {
            8 => work.run::<S, 8>(simd, row),
            7 => work.run::<S, 7>(simd, row),
            6 => work.run::<S, 6>(simd, row),
            5 => work.run::<S, 5>(simd, row),
            4 => work.run::<S, 4>(simd, row),
            3 => work.run::<S, 3>(simd, row),
            2 => work.run::<S, 2>(simd, row),
            _ => work.run::<S, 1>(simd, row),
        }
        row += height.max(1) * S::LANES;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::simd::Work;
    use crate::math::testing::{SIZES, numbers, on_every_cpu};

    #[test]
    fn columns_lie_where_registers_want_them() {
        for n in [1, 8, 9, 64, 120, 128, 129, 256, 306] {
            let a = numbers(n * n, 1);
            let padded = Padded::from_columns(n, &a);
            assert_eq!(padded.data().as_ptr().align_offset(64), 0);
            assert!(padded.stride() >= n && padded.stride().is_multiple_of(WIDTH));
            assert!(n < 128 || !padded.stride().is_multiple_of(64), "{n}: columns collide");
            assert_eq!(padded.to_columns(), a);
            assert_eq!(padded.clone().column(n - 1), padded.column(n - 1));
            let inside: f64 = a.iter().map(|v| v.abs()).sum();
            let all: f64 = padded.data().iter().map(|v| v.abs()).sum();
            assert!((inside - all).abs() < 1e-9 * all, "{n}: the padding is not zero");
        }
    }

    #[test]
    fn mirrored_is_symmetric() {
        for n in SIZES {
            let mut padded = Padded::from_columns(n, &numbers(n * n, 2));
            let lower = padded.to_columns();
            padded.mirror();
            for i in 0..n {
                for j in 0..n {
                    assert_eq!(padded.column(j)[i], lower[i.min(j) * n + i.max(j)]);
                }
            }
        }
    }

    struct Dot<'a>(&'a [f64], &'a [f64]);

    impl Work for Dot<'_> {
        type Output = f64;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> f64 {
            dot(simd, self.0, self.1)
        }
    }

    #[test]
    fn sums_of_products() {
        let (a, b) = (numbers(40, 3), numbers(40, 4));
        let want: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
        let mut fused = Vec::new();
        on_every_cpu(|cpu| {
            let got = cpu.run(Dot(&a, &b));
            assert!((got - want).abs() < 1e-14, "{cpu:?}");
            if cpu.is_fused() {
                fused.push(got.to_bits());
            }
        });
        assert!(fused.windows(2).all(|w| w[0] == w[1]), "registers of every width add alike");
    }
}
