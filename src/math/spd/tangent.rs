//! Tangent maps and geodesics of every metric that has them: see [`super::metric`] for the formulas.

use super::metric::{Geometry, Metric, diagonal, upper};
use super::{NotSpd, Whitener, copy_columns, linalg, positive_eigen};
use crate::error::{Error, Result};

/// The tangent space at a reference M, as the maps to and from it need it.
#[derive(Debug, Clone)]
pub struct Tangent(Space);

#[derive(Debug, Clone)]
enum Space {
    Riemann {
        whitener: Whitener,
        root: Vec<f64>,
    },
    Euclid {
        at: Vec<f64>,
    },
    /// M = V diag(v) V^T: log M, V, and the divided differences of exp at the logarithms of v.
    LogEuclid {
        at: Vec<f64>,
        vectors: Vec<f64>,
        differences: Vec<f64>,
    },
    /// M = L L^T: L with logarithms on its diagonal, and L.
    LogChol {
        at: Vec<f64>,
        lower: Vec<f64>,
    },
    /// M = L L^T: L, and the eigenvectors and eigenvalues of M.
    Wasserstein {
        lower: Vec<f64>,
        vectors: Vec<f64>,
        values: Vec<f64>,
    },
}

impl Geometry {
    /// The tangent space at `m`. Allocates.
    pub fn tangent_at(&mut self, m: &[f64]) -> Result<Tangent> {
        if !self.metric.has_tangent() {
            return Err(no_tangent());
        }
        let space = self.space(m);
        space.map(Tangent).map_err(|e| Error::mismatch(format!("the reference matrix {e}")))
    }

    fn space(&mut self, m: &[f64]) -> Result<Space, NotSpd> {
        let n = self.n();
        Ok(match self.metric {
            Metric::Riemann | Metric::LogDet => {
                let mut root = vec![0.0; n * n];
                self.spd.sqrt(m, &mut root)?;
                Space::Riemann { whitener: self.spd.whitener(m)?, root }
            }
            Metric::Euclid => {
                self.chart(m)?;
                Space::Euclid { at: self.chart.clone() }
            }
            Metric::LogEuclid => {
                self.chart(m)?;
                let (vectors, values) = self.eigen(m)?;
                let differences =
                    (0..n * n).map(|e| mean_growth(values[e / n], values[e % n])).collect();
                Space::LogEuclid { at: self.chart.clone(), vectors, differences }
            }
            Metric::LogChol => {
                self.chart(m)?;
                Space::LogChol { at: self.chart.clone(), lower: self.root(m)? }
            }
            Metric::Wasserstein => {
                let (vectors, values) = self.eigen(m)?;
                Space::Wasserstein { lower: self.root(m)?, vectors, values }
            }
        })
    }

    /// Eigenvectors and eigenvalues.
    fn eigen(&mut self, m: &[f64]) -> Result<(Vec<f64>, Vec<f64>), NotSpd> {
        let work = &mut self.spd.work;
        positive_eigen(work, m)?;
        Ok((work.vectors().to_vec(), work.values().to_vec()))
    }

    /// The tangent vector of `c`: n(n+1)/2 numbers.
    pub fn tangent(&mut self, at: &Tangent, c: &[f64], out: &mut [f64]) -> Result<(), NotSpd> {
        if let Space::Riemann { whitener, .. } = &at.0 {
            return self.spd.tangent(whitener, c, out);
        }
        let mut tangent = std::mem::take(&mut self.tangent);
        let found = self.log_map(at, c, &mut tangent);
        upper(self.n(), &tangent, out);
        self.tangent = tangent;
        found
    }

    /// The tangent vector of `c` as a symmetric matrix (pyRiemann's `log_map`).
    pub fn log_map(&mut self, at: &Tangent, c: &[f64], out: &mut [f64]) -> Result<(), NotSpd> {
        let n = self.n();
        match &at.0 {
            Space::Riemann { whitener, .. } => {
                self.spd.factorise(c)?;
                self.spd.whitened_log(whitener)?;
                self.spd.log.mirror();
                copy_columns(n, &self.spd.log, out);
            }
            Space::Euclid { at } => {
                self.chart(c)?;
                out.iter_mut().zip(&self.chart).zip(at).for_each(|((o, c), m)| *o = c - m);
            }
            Space::LogEuclid { at, vectors, differences } => {
                self.chart(c)?;
                self.chart.iter_mut().zip(at).for_each(|(c, m)| *c -= m);
                self.weigh(vectors, |e| differences[e], out);
            }
            Space::LogChol { at, lower } => {
                self.chart(c)?;
                self.chart.iter_mut().zip(at).for_each(|(c, m)| *c -= m);
                for (k, l) in diagonal(n, &mut self.chart).zip(lower.iter().step_by(n + 1)) {
                    *k *= l;
                }
                linalg::outer_twice(lower, &self.chart, out, n);
            }
            Space::Wasserstein { lower, .. } => {
                self.spd.factorise(c)?;
                copy_columns(n, &self.spd.factor, &mut self.chart);
                self.align(lower)?;
                self.moved.iter_mut().zip(lower).for_each(|(to, l)| *to -= l);
                linalg::outer_twice(lower, &self.moved, out, n);
            }
        }
        Ok(())
    }

    /// The matrix whose tangent vector is the symmetric matrix `s` (pyRiemann's `exp_map`). For `euclid` it
    /// need not be positive, for `wasserstein` it may be on the border.
    pub fn exp_map(&mut self, at: &Tangent, s: &[f64], out: &mut [f64]) -> Result<(), NotSpd> {
        let n = self.n();
        linalg::finite(s)?;
        match &at.0 {
            Space::Riemann { root, .. } => {
                self.spd.exp(s, &mut self.chart)?;
                linalg::congruence(root, &self.chart, n, &mut self.product, out);
            }
            Space::Euclid { at } => {
                out.iter_mut().zip(s).zip(at).for_each(|((o, s), m)| *o = s + m);
            }
            Space::LogEuclid { at, vectors, differences } => {
                self.chart.copy_from_slice(s);
                self.weigh(vectors, |e| 1.0 / differences[e], out);
                self.chart.iter_mut().zip(out.iter()).zip(at).for_each(|((c, d), m)| *c = d + m);
                self.unchart(out)?;
            }
            Space::LogChol { at, lower } => {
                // K = L (the lower half of L^-1 S L^-T), its diagonal halved.
                linalg::whiten(lower, s, &mut self.product, &mut self.chart, n);
                for (j, column) in self.chart.chunks_exact_mut(n).enumerate() {
                    column[..j].fill(0.0);
                    column[j] /= 2.0;
                }
                linalg::product(lower, &self.chart, &mut self.product, n);
                // In the chart, the diagonal is logarithms.
                for (e, c) in self.chart.iter_mut().enumerate() {
                    let k = if e / n == e % n { *c } else { self.product[e] };
                    *c = k + at[e];
                }
                self.unchart(out)?;
            }
            Space::Wasserstein { lower, vectors, values } => {
                // (1 + X) M (1 + X) with X M + M X = S.
                self.chart.copy_from_slice(s);
                self.weigh(vectors, |e| 1.0 / (values[e / n] + values[e % n]), out);
                diagonal(n, out).for_each(|v| *v += 1.0);
                linalg::product(out, lower, &mut self.moved, n);
                linalg::outer(&self.moved, &self.moved, out, n);
            }
        }
        linalg::finite(out)
    }

    /// V (K o (V^T S V)) V^T for the symmetric S in `self.chart`, o entry by entry, which is used up.
    fn weigh(&mut self, vectors: &[f64], k: impl Fn(usize) -> f64, out: &mut [f64]) {
        let n = self.n();
        // By rows, the eigenvectors are the rows of V^T.
        linalg::congruence(vectors, &self.chart, n, &mut self.product, out);
        out.iter_mut().enumerate().for_each(|(e, v)| *v *= k(e));
        linalg::transpose(vectors, &mut self.moved, n);
        self.chart.copy_from_slice(out);
        linalg::congruence(&self.moved, &self.chart, n, &mut self.product, out);
    }

    /// The point `t` of the way from `a` (0) to `b` (1). For `wasserstein`, `t` is between 0 and 1.
    /// Allocates unless the metric is `riemann`.
    pub fn geodesic(&mut self, a: &[f64], b: &[f64], t: f64, out: &mut [f64]) -> Result<()> {
        let bad = |e: NotSpd| Error::mismatch(format!("one of two matrices {e}"));
        match self.metric {
            Metric::Riemann => self.spd.geodesic(a, b, t, out).map_err(bad),
            Metric::LogDet => Err(no_tangent()),
            Metric::Wasserstein if !(0.0..=1.0).contains(&t) => {
                Err(Error::mismatch(format!("a Wasserstein geodesic ends at 0 and 1, not at {t}")))
            }
            Metric::Wasserstein => {
                let root = self.root(a).map_err(bad)?;
                self.chart = self.root(b).map_err(bad)?;
                self.align(&root).map_err(bad)?;
                let between = self.moved.iter_mut().zip(&root);
                between.for_each(|(b, a)| *b = (1.0 - t) * a + t * *b);
                linalg::outer(&self.moved, &self.moved, out, self.spd.n());
                Ok(())
            }
            Metric::LogEuclid | Metric::Euclid | Metric::LogChol => {
                self.chart(a).map_err(bad)?;
                let start = self.chart.clone();
                self.chart(b).map_err(bad)?;
                let between = self.chart.iter_mut().zip(&start);
                between.for_each(|(b, a)| *b = (1.0 - t) * a + t * *b);
                self.unchart(out).map_err(bad)
            }
        }
    }
}

fn no_tangent() -> Error {
    Error::setting(
        "metric",
        "the metric `logdet` has neither tangent space nor geodesics; expected `riemann`, \
         `logeuclid`, `euclid`, `logchol` or `wasserstein`",
    )
}

/// (a - b) / (ln a - ln b), the divided difference of exp between ln a and ln b, without a difference
/// that might cancel: sqrt(a b) sinh(x) / x, x = (ln a - ln b) / 2.
fn mean_growth(a: f64, b: f64) -> f64 {
    let x = (a / b).ln() / 2.0;
    let growth = if x.abs() < 1e-4 { 1.0 + x * x / 6.0 } else { x.sinh() / x };
    (a * b).sqrt() * growth
}
