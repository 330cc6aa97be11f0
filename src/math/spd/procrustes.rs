//! The rotation of one set of matrices onto another: orthogonal Procrustes for symmetric matrices.
//!
//! Wanted is the orthogonal Q at the least sum_k ||T_k - Q S_k Q^T||^2. Since rotations keep norms, that
//! is the Q at the most f(Q) = sum_k <T_k, Q S_k Q^T>. For positive matrices f is convex in Q, so it lies
//! above its tangent plane, and the best point on that plane, the orthogonal factor of
//! G = sum_k T_k Q S_k, is never worse than Q: repeating that climbs without a step length.
//!
//! It climbs to a local optimum, so it starts at several places. For a pair of matrices alone the answer
//! is known: eigenvectors onto eigenvectors in order of their eigenvalues (Bhatia and Congedo, Linear
//! Algebra Appl. 563, 2019), up to the sign of each, which the other pairs settle. Started at each
//! pair and at each difference of two pairs.
//!
//! Reference for its use in decoding: Rodrigues, Jutten, Congedo, IEEE Trans. Biomed. Eng. 66 (2019).

use super::NotSpd;
use crate::math::linalg::{self, Symmetric};
use crate::math::padded::Padded;

/// The most steps from one start.
const MAX_STEPS: usize = 5000;
/// It has arrived when a step gains less than this, relative to f.
const TOLERANCE: f64 = 1e-14;

/// The orthogonal Q, column by column, for which the `sources`, as Q S Q^T, come nearest to the
/// `targets`, matrix by matrix. All are symmetric positive definite, n x n. Control plane: allocates.
pub fn rotation(targets: &[&[f64]], sources: &[&[f64]], n: usize) -> Result<Vec<f64>, NotSpd> {
    let pairs = Pairs { targets, sources, n };
    let mut best = (f64::NEG_INFINITY, identity(n));
    for (t, s) in pairs.starts() {
        let found = pairs.climb(pairs.onto(&t, &s)?)?;
        if found.0 > best.0 {
            best = found;
        }
    }
    Ok(best.1)
}

/// The unit matrix.
pub fn identity(n: usize) -> Vec<f64> {
    (0..n * n).map(|e| f64::from(u8::from(e % n == e / n))).collect()
}

struct Pairs<'a> {
    targets: &'a [&'a [f64]],
    sources: &'a [&'a [f64]],
    n: usize,
}

impl Pairs<'_> {
    /// The pairs of matrices whose eigenvectors are tried.
    fn starts(&self) -> Vec<(Vec<f64>, Vec<f64>)> {
        let minus = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect();
        let (t, s) = (self.targets, self.sources);
        let mut starts: Vec<_> = t.iter().zip(s).map(|(t, s)| (t.to_vec(), s.to_vec())).collect();
        for i in 0..t.len() {
            starts.extend((0..i).map(|j| (minus(t[i], t[j]), minus(s[i], s[j]))));
        }
        starts
    }

    /// The eigenvectors of `s` onto those of `t`, each with the sign that suits all pairs.
    fn onto(&self, t: &[f64], s: &[f64]) -> Result<Vec<f64>, NotSpd> {
        let n = self.n;
        let vectors = |a: &[f64]| {
            let mut work = Symmetric::new(n);
            work.eigen(a).map(|()| work.vectors().to_vec())
        };
        let (to, from) = (vectors(t)?, vectors(s)?);
        // With signs d, f = d^T A d where A is the product, entry by entry, of the matrices as their
        // eigenvectors see them.
        let mut agreement = vec![0.0; n * n];
        for (t, s) in self.targets.iter().zip(self.sources) {
            let (t, s) = (linalg::rotated(&to, t, n), linalg::rotated(&from, s, n));
            for ((a, t), s) in agreement.iter_mut().zip(&t).zip(&s) {
                *a += t * s;
            }
        }
        let signs = signs(&agreement, n)?;
        let mut signed = to;
        for (column, sign) in signed.chunks_exact_mut(n).zip(signs) {
            column.iter_mut().for_each(|v| *v *= sign);
        }
        let mut q = vec![0.0; n * n];
        linalg::product(&signed, &transposed(&from, n), &mut q, n);
        Ok(q)
    }

    /// Climbs from `q` to where f has no slope. Returns f and the rotation.
    fn climb(&self, mut q: Vec<f64>) -> Result<(f64, Vec<f64>), NotSpd> {
        let mut before = f64::NEG_INFINITY;
        for _ in 0..MAX_STEPS {
            let slope = self.slope(&q);
            let f: f64 = slope.iter().zip(&q).map(|(g, q)| g * q).sum();
            if f - before <= TOLERANCE * f.abs() {
                break;
            }
            before = f;
            q = linalg::rotation(&Padded::from_columns(self.n, &slope))?;
        }
        Ok((before, q))
    }

    /// G = sum_k T_k Q S_k, half the gradient of f; and f = <G, Q>.
    fn slope(&self, q: &[f64]) -> Vec<f64> {
        let n = self.n;
        let (mut half, mut whole) = (vec![0.0; n * n], vec![0.0; n * n]);
        let mut sum = vec![0.0; n * n];
        for (t, s) in self.targets.iter().zip(self.sources) {
            linalg::product(t, q, &mut half, n);
            linalg::product(&half, s, &mut whole, n);
            sum.iter_mut().zip(&whole).for_each(|(sum, v)| *sum += v);
        }
        sum
    }
}

/// Signs d for which d^T A d is large: those of the leading eigenvector, then each that gains by it is
/// turned, the one that gains most first.
fn signs(a: &[f64], n: usize) -> Result<Vec<f64>, NotSpd> {
    let mut work = Symmetric::new(n);
    work.eigen(a)?;
    let leading = &work.vectors()[(n - 1) * n..];
    let mut d: Vec<f64> = leading.iter().map(|v| if *v < 0.0 { -1.0 } else { 1.0 }).collect();
    let scale = a.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    // Every turn gains, so no signs come twice.
    for _ in 0..n * n {
        let gain = |i: usize| -> f64 {
            let row = &a[i * n..(i + 1) * n];
            let others = row.iter().zip(&d).enumerate().filter(|(j, _)| *j != i);
            -d[i] * others.map(|(_, (a, d))| a * d).sum::<f64>()
        };
        let gains: Vec<f64> = (0..n).map(gain).collect();
        let best = (0..n).fold(0, |best, i| if gains[i] > gains[best] { i } else { best });
        if gains[best] <= linalg::rounding(n) * scale {
            break;
        }
        d[best] = -d[best];
    }
    Ok(d)
}

fn transposed(a: &[f64], n: usize) -> Vec<f64> {
    (0..n * n).map(|e| a[e % n * n + e / n]).collect()
}
