//! SPD geometry under one of several metrics.
//!
//! | metric | distance(A, B)^2 | mean |
//! |---|---|---|
//! | `riemann` | sum of ln(v)^2, v the eigenvalues of A^-1 B | [`Spd::mean`] |
//! | `logeuclid` | \|log A - log B\|^2 | exp(mean of log) |
//! | `euclid` | \|A - B\|^2 | arithmetic |
//! | `logchol` | \|f(A) - f(B)\|^2, f the Cholesky factor with logarithms on its diagonal | f^-1(mean of f) |
//! | `wasserstein` | tr(A + B - 2 (A^1/2 B A^1/2)^1/2) | of the least sum of squares, iterated |
//! | `logdet` | ln det((A + B) / 2) - ln det(A B) / 2 | the same |
//!
//! Three of them are flat: there is a chart f in which they are Euclidean, and means, geodesics and tangent
//! vectors are those of f(X). Wasserstein's is flat along each geodesic, in
//! roots: with A = R R^T, B = L L^T and the rotation Q nearest to L^T R, the root L Q of B is the one nearest
//! to R, distance(A, B) = |L Q - R|. Nothing is subtracted there that might cancel.
//!
//! Tangent vectors follow pyRiemann's `tangent_space(X, M, metric)`: the upper triangle, row by row,
//! entries off the diagonal times sqrt(2), of
//!
//! ```text
//! riemann      log(M^-1/2 X M^-1/2)
//! logeuclid    D exp at log M, applied to log X - log M
//! euclid       X - M
//! logchol      L K^T + K L^T, M = L L^T, K = f(X) - f(M) with the diagonal times that of L
//! wasserstein  (X M)^1/2 + (M X)^1/2 - 2 M
//! ```
//!
//! Only under `riemann` and `euclid` is such a vector as long as the distance to M. References: Moakher (2005); Arsigny et al., SIAM J. Matrix Anal. Appl. 29 (2007); Lin, SIAM J.
//! Matrix Anal. Appl. 40 (2019); Bhatia, Jain, Lim, Expo. Math. 37 (2019); Sra, NIPS (2012).

use super::geodesic::copy_columns;
use super::{NotSpd, Spd, Whitener, linalg};
use crate::math::decompose::Singular;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::SQRT_2;

/// How far covariance matrices are from each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// Affine-invariant: it does not matter how the sources are mixed into the channels.
    #[default]
    Riemann,
    /// Euclidean distance of the logarithms: close to `riemann`, with a mean that needs no search.
    LogEuclid,
    /// Euclidean distance of the numbers.
    Euclid,
    /// Euclidean distance of Cholesky factors with logarithms on the diagonal: the cheapest that keeps
    /// clear of the border; depends on the order of the channels.
    LogChol,
    /// Distance of Gaussian distributions as the earth mover sees it (Bures).
    Wasserstein,
    /// Stein's divergence of determinants: has no tangent space.
    LogDet,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Riemann,
        Self::LogEuclid,
        Self::Euclid,
        Self::LogChol,
        Self::Wasserstein,
        Self::LogDet,
    ];

    /// Whether matrices have tangent vectors and geodesics.
    pub fn has_tangent(self) -> bool {
        self != Self::LogDet
    }
}

/// Scratch for SPD matrices of one size under one metric. What says so allocates; nothing else does
/// after the first call.
pub struct Geometry {
    pub(super) metric: Metric,
    pub(super) spd: Spd,
    pub(super) singular: Singular,
    pub(super) chart: Vec<f64>,
    pub(super) moved: Vec<f64>,
    pub(super) product: Vec<f64>,
    pub(super) tangent: Vec<f64>,
}

/// A matrix as the distances to it need it.
#[derive(Debug, Clone)]
pub struct Reference(Prepared);

#[derive(Debug, Clone)]
enum Prepared {
    Whitener(Whitener),
    /// In the chart.
    Chart(Vec<f64>),
    /// Its Cholesky factor, column by column.
    Root(Vec<f64>),
}

impl Geometry {
    /// Room for matrices of `n` x `n`, `n` at least 1. Allocates.
    pub fn new(metric: Metric, n: usize) -> Self {
        let square = || vec![0.0; n * n];
        Self {
            metric,
            spd: Spd::new(n),
            singular: Singular::new(n),
            chart: square(),
            moved: square(),
            product: square(),
            tangent: square(),
        }
    }

    /// The metric.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// The affine-invariant geometry, whatever the metric.
    pub fn spd(&mut self) -> &mut Spd {
        &mut self.spd
    }

    /// Makes `reference` that of `m`; on an error it stays as it was. No heap for the affine-invariant
    /// metric.
    pub fn follow(&mut self, reference: &mut Reference, m: &[f64]) -> Result<(), NotSpd> {
        match &mut reference.0 {
            Prepared::Whitener(whitener) => self.spd.follow(whitener, m),
            _ => {
                *reference = self.reference(m)?;
                Ok(())
            }
        }
    }

    pub(super) fn n(&self) -> usize {
        self.spd.n()
    }

    /// Prepares distances to `m`. Allocates.
    pub fn reference(&mut self, m: &[f64]) -> Result<Reference, NotSpd> {
        Ok(Reference(match self.metric {
            Metric::Riemann | Metric::LogDet => Prepared::Whitener(self.spd.lower_whitener(m)?),
            Metric::Wasserstein => Prepared::Root(self.root(m)?),
            Metric::LogEuclid | Metric::Euclid | Metric::LogChol => {
                self.chart(m)?;
                Prepared::Chart(self.chart.clone())
            }
        }))
    }

    /// The distance of `c` to each of the references, which were prepared for the same metric and size.
    /// What is the same for all of them is done once.
    pub fn distances(
        &mut self,
        c: &[f64],
        references: &[Reference],
        out: &mut [f64],
    ) -> Result<(), NotSpd> {
        match self.metric {
            Metric::Riemann | Metric::LogDet => self.spd.factorise(c)?,
            Metric::Wasserstein => {
                self.spd.factorise(c)?;
                copy_columns(self.n(), &self.spd.factor, &mut self.chart);
            }
            Metric::LogEuclid | Metric::Euclid | Metric::LogChol => self.chart(c)?,
        }
        for (Reference(reference), d) in references.iter().zip(out) {
            *d = match reference {
                Prepared::Whitener(whitener) if self.metric == Metric::LogDet => {
                    self.spd.logdet_distance(whitener)?
                }
                Prepared::Whitener(whitener) => self.spd.distance_to(whitener)?,
                Prepared::Chart(m) => linalg::distance(&self.chart, m),
                Prepared::Root(root) => {
                    self.align(root)?;
                    linalg::distance(&self.moved, root)
                }
            };
        }
        Ok(())
    }

    /// The distance between `a` and `b`. For many distances to one matrix prefer
    /// [`Self::distances`]; this one allocates.
    pub fn distance(&mut self, a: &[f64], b: &[f64]) -> Result<f64, NotSpd> {
        let reference = self.reference(a)?;
        let mut distance = [0.0];
        self.distances(b, &[reference], &mut distance)?;
        Ok(distance[0])
    }

    /// Puts `c` as it is in the chart of a flat metric into `self.chart`.
    pub(super) fn chart(&mut self, c: &[f64]) -> Result<(), NotSpd> {
        match self.metric {
            Metric::LogEuclid => self.spd.log(c, &mut self.chart),
            Metric::LogChol => {
                self.spd.factorise(c)?;
                copy_columns(self.n(), &self.spd.factor, &mut self.chart);
                diagonal(self.spd.n(), &mut self.chart).for_each(|v| *v = v.ln());
                Ok(())
            }
            _ => {
                linalg::finite(c)?;
                self.chart.copy_from_slice(c);
                Ok(())
            }
        }
    }

    /// Puts the matrix that `self.chart` stands for into `out`; what is in the chart may be lost.
    pub(super) fn unchart(&mut self, out: &mut [f64]) -> Result<(), NotSpd> {
        let n = self.n();
        match self.metric {
            Metric::LogEuclid => return self.spd.exp(&self.chart, out),
            Metric::LogChol => {
                diagonal(n, &mut self.chart).for_each(|v| *v = v.exp());
                linalg::outer(&self.chart, &self.chart, out, n);
            }
            _ => out.copy_from_slice(&self.chart),
        }
        linalg::finite(out)
    }

    /// The Cholesky factor of `m`, column by column. Allocates.
    pub(super) fn root(&mut self, m: &[f64]) -> Result<Vec<f64>, NotSpd> {
        self.spd.factorise(m)?;
        Ok(self.spd.factor.to_columns())
    }

    /// Turns the root L in `self.chart` as near to `root` as a rotation Q can: L Q into `self.moved`.
    ///
    /// Q = U V^T for L^T root = U S V^T.
    pub(super) fn align(&mut self, root: &[f64]) -> Result<(), NotSpd> {
        let n = self.n();
        linalg::product_of_transposed(&self.chart, root, &mut self.product, n);
        self.singular.decompose(&self.product)?;
        self.singular.rebuild(|_| 1.0, &mut self.product);
        linalg::product(&self.chart, &self.product, &mut self.moved, n);
        Ok(())
    }
}

impl Spd {
    /// The root of ln det((C + M) / 2) - ln det(C M) / 2, for C given by `self.factor` and M by its
    /// whitener.
    ///
    /// With v the eigenvalues of M^-1 C, it is the sum of ln((1 + v) / (2 sqrt v)), in which
    /// (1 + v) / (2 sqrt v) = 1 + (1 - sqrt v)^2 / (2 sqrt v).
    fn logdet_distance(&mut self, whitener: &Whitener) -> Result<f64, NotSpd> {
        self.whiten(whitener)?;
        self.reflections.reduce();
        let values = self.whitened_values()?;
        let term = |v: &f64| {
            let root = v.sqrt();
            ((1.0 - root) * (1.0 - root) / (2.0 * root)).ln_1p()
        };
        Ok(values.iter().map(term).sum::<f64>().sqrt())
    }
}

pub(super) fn diagonal(n: usize, a: &mut [f64]) -> impl Iterator<Item = &mut f64> {
    a.iter_mut().step_by(n + 1)
}

/// The upper triangle of the symmetric `a`, row by row, entries off the diagonal times sqrt(2).
pub(super) fn upper(n: usize, a: &[f64], out: &mut [f64]) {
    let mut out = out.iter_mut();
    for (i, row) in a.chunks_exact(n).enumerate() {
        for (j, (v, out)) in row[i..].iter().zip(&mut out).enumerate() {
            *out = if j == 0 { *v } else { SQRT_2 * v };
        }
    }
}
