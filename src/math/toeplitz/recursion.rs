//! From a covariance to its coordinates: averages of blocks, and Whittle's recursion.

use super::Coordinates;
use crate::math::linalg::{self, NotSpd, Symmetric};
use crate::math::spd::positive_eigen;

/// Puts the averages of the blocks of `c` along each diagonal, each column by column, into `out`.
pub(super) fn average(c: &[f64], order: usize, cols: usize, out: &mut [f64]) {
    let size = order * cols;
    for (k, block) in out.chunks_exact_mut(cols * cols).enumerate() {
        let share = 1.0 / (order - k) as f64;
        block.fill(0.0);
        for first in (0..order - k).map(|i| i * cols) {
            for (q, column) in block.chunks_exact_mut(cols).enumerate() {
                // Symmetric, so a column may be read as a row.
                let from = &c[(first + k * cols + q) * size + first..][..cols];
                column.iter_mut().zip(from).for_each(|(to, from)| *to += share * from);
            }
        }
    }
}

/// Whittle's recursion with its memory. All blocks are column by column.
pub(super) struct Recursion {
    order: usize,
    cols: usize,
    work: Symmetric,
    /// r_0 .. r_(d-1).
    averages: Vec<f64>,
    /// What predicts the first sample from those that follow, and the last from those before: block j is
    /// the factor of sample j + 1.
    forward: Vec<f64>,
    backward: Vec<f64>,
    before: Vec<f64>,
    /// F and G.
    first: Vec<f64>,
    last: Vec<f64>,
    common: Vec<f64>,
    first_root: Vec<f64>,
    last_root: Vec<f64>,
    /// D G^-1/2 and F^-1/2 D.
    from_last: Vec<f64>,
    from_first: Vec<f64>,
    /// D G^-1 and D' F^-1.
    by_last: Vec<f64>,
    by_first: Vec<f64>,
    product: Vec<f64>,
}

impl Recursion {
    pub(super) fn new(order: usize, cols: usize) -> Self {
        let blocks = || vec![0.0; order * cols * cols];
        let block = || vec![0.0; cols * cols];
        Self {
            order,
            cols,
            work: Symmetric::new(cols),
            averages: blocks(),
            forward: blocks(),
            backward: blocks(),
            before: blocks(),
            first: block(),
            last: block(),
            common: block(),
            first_root: block(),
            last_root: block(),
            from_last: block(),
            from_first: block(),
            by_last: block(),
            by_first: block(),
            product: block(),
        }
    }

    /// Finds the coordinates of `c`.
    pub(super) fn run(&mut self, c: &[f64], out: &mut Coordinates) -> Result<(), NotSpd> {
        let (n, block) = (self.cols, self.cols * self.cols);
        average(c, self.order, n, &mut self.averages);
        let power = &self.averages[..block];
        out.power.copy_from_slice(power);
        self.first.copy_from_slice(power);
        self.last.copy_from_slice(power);
        for (l, omega) in out.omegas.chunks_exact_mut(block).enumerate() {
            self.find_common(l);
            self.find_roots()?;
            linalg::product(&self.common, &self.last_root, &mut self.from_last, n);
            linalg::product(&self.first_root, &self.common, &mut self.from_first, n);
            linalg::product(&self.first_root, &self.from_last, omega, n);
            self.extend(l);
            self.reduce();
        }
        // The Toeplitz matrix is positive if this is, and all that were before.
        positive_eigen(&mut self.work, &self.first)
    }

    /// D = r_(l+1) - sum over j = 1..l of A_j r_(l+1-j), A the forward factors.
    fn find_common(&mut self, l: usize) {
        let (n, block) = (self.cols, self.cols * self.cols);
        let r = |k: usize| k * block..(k + 1) * block;
        self.common.copy_from_slice(&self.averages[r(l + 1)]);
        for j in 1..=l {
            let factor = &self.forward[r(j - 1)];
            linalg::product(factor, &self.averages[r(l + 1 - j)], &mut self.product, n);
            subtract(&mut self.common, &self.product);
        }
    }

    /// F^-1/2 and G^-1/2.
    fn find_roots(&mut self) -> Result<(), NotSpd> {
        for (a, root) in [(&self.first, &mut self.first_root), (&self.last, &mut self.last_root)] {
            positive_eigen(&mut self.work, a)?;
            self.work.rebuild(|v| v.sqrt().recip(), root);
        }
        Ok(())
    }

    /// From the factors of l samples to those of l + 1:
    /// A'_j = A_j - D G^-1 B_j, A'_(l+1) = D G^-1; B'_1 = D' F^-1, B'_(j+1) = B_j - D' F^-1 A_j.
    fn extend(&mut self, l: usize) {
        let (n, block) = (self.cols, self.cols * self.cols);
        let r = |k: usize| k * block..(k + 1) * block;
        linalg::product(&self.from_last, &self.last_root, &mut self.by_last, n);
        linalg::product_of_transposed(&self.from_first, &self.first_root, &mut self.by_first, n);
        self.before[..l * block].copy_from_slice(&self.forward[..l * block]);
        for j in 0..l {
            linalg::product(&self.by_last, &self.backward[r(j)], &mut self.product, n);
            subtract(&mut self.forward[r(j)], &self.product);
        }
        self.forward[r(l)].copy_from_slice(&self.by_last);
        self.backward.copy_within(..l * block, block);
        for j in 0..l {
            linalg::product(&self.by_first, &self.before[r(j)], &mut self.product, n);
            subtract(&mut self.backward[r(j + 1)], &self.product);
        }
        self.backward[r(0)].copy_from_slice(&self.by_first);
    }

    /// F - D G^-1 D' and G - D' F^-1 D.
    fn reduce(&mut self) {
        let n = self.cols;
        linalg::outer(&self.from_last, &self.from_last, &mut self.product, n);
        subtract(&mut self.first, &self.product);
        linalg::transpose(&self.from_first, &mut self.common, n);
        linalg::outer(&self.common, &self.common, &mut self.product, n);
        subtract(&mut self.last, &self.product);
    }
}

fn subtract(a: &mut [f64], b: &[f64]) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a -= b);
}
