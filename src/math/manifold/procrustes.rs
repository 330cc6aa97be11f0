//! The rotation of one set of coordinates onto another: orthogonal Procrustes.
//!
//! In: coordinates A and B of the same n nodes, node by node, m each. Wanted is the orthogonal R, m x m,
//! at the least |A R - B|: R = U V^T for A^T B = U S V^T (Schoenemann, Psychometrika 31, 1966), as
//! `scipy.linalg.orthogonal_procrustes(A, B)`. R may reflect, which is what undoes the arbitrary sign
//! of an eigenvector.
//!
//! Where B has fewer axes than A, its others filled up with zeros, the first columns of A R are those axes
//! in the space of all of A's that come nearest to B's.

use crate::math::decompose::Singular;

/// The most rounds of [`mean`].
const MAX_ROUNDS: usize = 200;
/// It has arrived when the mean moves less than this, relative to its size.
const TOLERANCE: f64 = 1e-10;

/// Room for rotations of `m` dimensions.
pub struct Procrustes {
    m: usize,
    cross: Vec<f64>,
    rotation: Vec<f64>,
    singular: Singular,
}

impl Procrustes {
    /// Room for `m` dimensions, at least 1. Allocates.
    pub fn new(m: usize) -> Self {
        let square = || vec![0.0; m * m];
        Self { m, cross: square(), rotation: square(), singular: Singular::new(m) }
    }

    /// Rotates `a` onto `b`, and says whether it could: not if there are numbers that are not finite.
    pub fn align(&mut self, a: &mut [f64], b: &[f64]) -> bool {
        let m = self.m;
        if !self.find(a, b) {
            return false;
        }
        // The old row stays in `cross` while the new one is written.
        for row in a.chunks_exact_mut(m) {
            self.cross[..m].copy_from_slice(row);
            for (to, column) in row.iter_mut().zip(self.rotation.chunks_exact(m)) {
                *to = column.iter().zip(&self.cross[..m]).map(|(r, v)| r * v).sum();
            }
        }
        true
    }

    /// The rotation found last, column by column.
    pub fn rotation(&self) -> &[f64] {
        &self.rotation
    }

    fn find(&mut self, a: &[f64], b: &[f64]) -> bool {
        let m = self.m;
        self.cross.fill(0.0);
        for (a, b) in a.chunks_exact(m).zip(b.chunks_exact(m)) {
            for (column, b) in self.cross.chunks_exact_mut(m).zip(b) {
                column.iter_mut().zip(a).for_each(|(c, a)| *c += a * b);
            }
        }
        if self.singular.decompose(&self.cross).is_err() {
            return false;
        }
        self.singular.rebuild(|_| 1.0, &mut self.rotation);
        true
    }
}

/// The mean of several sets of coordinates once each is rotated onto it: generalised Procrustes (Gower,
/// Psychometrika 40, 1975), without moving or scaling them. They have `m` axes, of which the mean has the
/// first `kept`, the others are zero. `weights` say how much each set counts; all alike if there are none. It begins
/// with the axes of the first set. `None` if there is no set, or none that can be rotated. Allocates.
pub fn mean(sets: &[Vec<f64>], weights: &[f64], m: usize, kept: usize) -> Option<Vec<f64>> {
    let mut procrustes = Procrustes::new(m);
    let mut reference = sets.first()?.clone();
    truncate(&mut reference, m, kept);
    let mut turned = reference.clone();
    for _ in 0..MAX_ROUNDS {
        let mut next = vec![0.0; reference.len()];
        let mut total = 0.0;
        for (i, set) in sets.iter().enumerate() {
            turned.copy_from_slice(set);
            let weight = weights.get(i).copied().unwrap_or(1.0);
            if procrustes.align(&mut turned, &reference) {
                next.iter_mut().zip(&turned).for_each(|(n, t)| *n += weight * t);
                total += weight;
            }
        }
        next.iter_mut().for_each(|n| *n /= total);
        truncate(&mut next, m, kept);
        let moved = crate::math::linalg::distance(&next, &reference);
        let size = crate::math::linalg::norm(&next);
        if !size.is_finite() {
            return None;
        }
        reference = next;
        if moved <= TOLERANCE * size {
            break;
        }
    }
    Some(reference)
}

/// Makes zeros of all but the first `kept` of `m` axes.
pub fn truncate(coordinates: &mut [f64], m: usize, kept: usize) {
    coordinates.chunks_exact_mut(m).for_each(|row| row[kept..].fill(0.0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::testing::{difference, numbers};

    fn turned(a: &[f64], angle: f64) -> Vec<f64> {
        let (s, c) = angle.sin_cos();
        a.chunks_exact(2).flat_map(|v| [c * v[0] - s * v[1], s * v[0] + c * v[1]]).collect()
    }

    #[test]
    fn a_turn_and_a_flip_are_undone() {
        let a = numbers(30, 1);
        let flipped: Vec<f64> = turned(&a, 2.0).chunks(2).flat_map(|v| [v[1], v[0]]).collect();
        let mut procrustes = Procrustes::new(2);
        for b in [turned(&a, 0.7), flipped] {
            let mut b = b;
            assert!(procrustes.align(&mut b, &a));
            assert!(difference(&b, &a, 0.0) < 1e-14);
        }
        assert!(!procrustes.align(&mut [f64::NAN, 0.0], &[1.0, 1.0]));
    }

    /// The axis that is wanted is a mixture of two of three, which are as long as each other and upright.
    #[test]
    fn an_axis_is_found_among_more() {
        let turn = |k: usize, i: usize| (std::f64::consts::TAU * (k * i) as f64 / 20.0).cos();
        let a: Vec<f64> = (0..60).map(|e| turn(e % 3 + 1, e / 3)).collect();
        let wanted: Vec<f64> =
            a.chunks(3).flat_map(|v| [0.6 * v[0] + 0.8 * v[2], 0.0, 0.0]).collect();
        let mut found = a.clone();
        assert!(Procrustes::new(3).align(&mut found, &wanted));
        truncate(&mut found, 3, 1);
        assert!(difference(&found, &wanted, 0.0) < 1e-13);
        let both = mean(&[wanted.clone(), a], &[], 3, 1).unwrap();
        assert!(difference(&both, &wanted, 0.0) < 1e-9);
    }

    #[test]
    fn the_mean_of_turned_sets_is_the_set() {
        let a = numbers(24, 2);
        let sets: Vec<_> = (0..5).map(|i| turned(&a, f64::from(i))).collect();
        let got = mean(&sets, &[], 2, 2).unwrap();
        assert!(difference(&got, &a, 0.0) < 1e-12);
        assert_eq!(mean(&[], &[], 2, 2), None);
        assert_eq!(mean(&[vec![f64::NAN; 4]], &[], 2, 2), None);
        let other: Vec<f64> = a.iter().map(|v| 2.0 * v).collect();
        let weighted = mean(&[a.clone(), other], &[3.0, 1.0], 2, 2).unwrap();
        let want: Vec<f64> = a.iter().map(|v| 1.25 * v).collect();
        assert!(difference(&weighted, &want, 0.0) < 1e-9);
    }
}
