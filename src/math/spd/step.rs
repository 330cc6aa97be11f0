//! Steps along geodesics: a reference that moves towards what is seen.
//!
//! A #_t C = A^1/2 (A^-1/2 C A^-1/2)^t A^1/2 lies at the share t of the way from A to C. Any factor of
//! A = L L^T serves as well as its square root, since the rotation between the two cancels:
//! A #_t C = L (L^-1 C L^-T)^t L^T. So a step takes two Cholesky factors and one eigendecomposition, whose
//! eigenvalues are those that the distance is made of.
//!
//! Reference: Bhatia, Positive Definite Matrices (2007), section 6.1.

use super::{NotSpd, Spd, Whitener, linalg, positive_eigen};
use crate::math::padded::Padded;
use crate::math::triangular::{self, Shape};

/// Room for steps between matrices of one size. Only [`Geodesic::new`] allocates.
pub struct Geodesic {
    spd: Spd,
    /// L^-1.
    whitener: Whitener,
    /// L, column by column.
    root: Vec<f64>,
    power: Vec<f64>,
    product: Vec<f64>,
}

impl Geodesic {
    /// Room for matrices of `n` x `n`, `n` at least 1.
    pub fn new(n: usize) -> Self {
        let room = || vec![0.0; n * n];
        let whitener = Whitener { matrix: Padded::new(n), shape: Shape::Lower };
        Self { spd: Spd::new(n), whitener, root: room(), power: room(), product: room() }
    }

    /// Lets `a` take a step towards `c`: the share of the way that `share` makes of their distance; none
    /// where that is 0. Returns the distance. On an error `a` stays as it was.
    pub fn step(
        &mut self,
        a: &mut [f64],
        c: &[f64],
        share: impl FnOnce(f64) -> f64,
    ) -> Result<f64, NotSpd> {
        let n = self.spd.n();
        let spd = &mut self.spd;
        triangular::cholesky(spd.cpu, a, &mut spd.factor)?;
        for (to, from) in self.root.chunks_exact_mut(n).zip(spd.factor.columns()) {
            to.copy_from_slice(&from[..n]);
        }
        linalg::invert_lower_into(&spd.factor, &mut self.whitener.matrix);
        triangular::cholesky(spd.cpu, c, &mut spd.factor)?;
        spd.whiten(&self.whitener)?;
        for (to, from) in self.power.chunks_exact_mut(n).zip(spd.reflections.matrix().columns()) {
            to.copy_from_slice(&from[..n]);
        }
        positive_eigen(&mut spd.work, &self.power)?;
        let distance = spd.work.values().iter().map(|v| v.ln().powi(2)).sum::<f64>().sqrt();
        let share = share(distance);
        if share > 0.0 {
            spd.work.rebuild(|v| v.powf(share), &mut self.power);
            linalg::product(&self.root, &self.power, &mut self.product, n);
            linalg::outer(&self.product, &self.root, a, n);
        }
        Ok(distance)
    }
}

impl Spd {
    /// Makes `whitener`, from [`Spd::lower_whitener`], that of `m`; on an error it stays as it was.
    pub fn follow(&mut self, whitener: &mut Whitener, m: &[f64]) -> Result<(), NotSpd> {
        triangular::cholesky(self.cpu, m, &mut self.factor)?;
        linalg::invert_lower_into(&self.factor, &mut whitener.matrix);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Between commuting matrices the way is that of the logarithms of their eigenvalues.
    #[test]
    fn by_hand() {
        let mut way = Geodesic::new(2);
        let (mut a, c) = ([1.0, 0.0, 0.0, 4.0], [4.0, 0.0, 0.0, 1.0]);
        let distance = way.step(&mut a, &c, |_| 0.0).unwrap();
        assert!((distance - (2.0 * 4.0_f64.ln().powi(2)).sqrt()).abs() < 1e-12);
        assert_eq!(a, [1.0, 0.0, 0.0, 4.0]);
        way.step(&mut a, &c, |_| 0.5).unwrap();
        for (got, want) in a.iter().zip([2.0, 0.0, 0.0, 2.0]) {
            assert!((got - want).abs() < 1e-12, "{a:?}");
        }
        way.step(&mut a, &c, |_| 1.0).unwrap();
        for (got, want) in a.iter().zip(c) {
            assert!((got - want).abs() < 1e-12, "{a:?}");
        }
    }

    #[test]
    fn a_bad_matrix_leaves_the_reference_alone() {
        let mut way = Geodesic::new(2);
        let mut a = [2.0, 0.5, 0.5, 1.0];
        for bad in [[1.0, 1.0, 1.0, 1.0], [0.0; 4], [f64::NAN; 4]] {
            assert!(way.step(&mut a, &bad, |_| 0.5).is_err());
            assert_eq!(a, [2.0, 0.5, 0.5, 1.0]);
        }
    }
}
