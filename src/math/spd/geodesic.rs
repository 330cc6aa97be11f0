//! Steps along geodesics, and congruences: what moves matrices about.

use super::{NotSpd, Spd, linalg, positive_eigen, triangular};

impl Spd {
    /// The point `t` of the way from `a` (0) to `b` (1) along the affine-invariant geodesic,
    /// A #_t B = A^1/2 (A^-1/2 B A^-1/2)^t A^1/2. Any finite `t` will do. `out` is another slice than `a`
    /// and `b`; for a mean that follows a stream, M <- M #_t C.
    ///
    /// With A = L L^T and L^-1 B L^-T = V diag(v) V^T, it is P P^T for P = L V diag(v^(t/2)): positive by
    /// construction. No heap after the first call.
    pub fn geodesic(
        &mut self,
        a: &[f64],
        b: &[f64],
        t: f64,
        out: &mut [f64],
    ) -> Result<(), NotSpd> {
        linalg::finite(&[t])?;
        let n = self.n();
        triangular::cholesky(self.cpu, b, &mut self.factor)?;
        copy_columns(n, &self.factor, &mut self.plain);
        triangular::cholesky(self.cpu, a, &mut self.factor)?;
        linalg::solve_lower(&self.factor, &mut self.plain);
        linalg::outer(&self.plain, &self.plain, out, n);
        positive_eigen(&mut self.work, out)?;
        copy_columns(n, &self.factor, &mut self.plain);
        self.work.scale_vectors(|v| v.powf(t / 2.0));
        linalg::product(&self.plain, self.work.vectors(), out, n);
        self.plain.copy_from_slice(out);
        linalg::outer(&self.plain, &self.plain, out, n);
        if out.iter().all(|v| v.is_finite()) { Ok(()) } else { Err(NotSpd::NotFinite) }
    }

    /// W C W^T, for any `w` of n x n, row by row: what becomes of the covariance when the signals are
    /// mapped by W. No heap after the first call.
    pub fn congruence(&mut self, w: &[f64], c: &[f64], out: &mut [f64]) {
        let n = self.n();
        linalg::congruence(w, c, n, &mut self.plain, out);
    }
}

/// The numbers without the padding.
pub(super) fn copy_columns(n: usize, from: &super::Padded, to: &mut [f64]) {
    for (to, from) in to.chunks_exact_mut(n).zip(from.columns()) {
        to.copy_from_slice(&from[..n]);
    }
}
