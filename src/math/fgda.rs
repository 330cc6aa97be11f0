//! Fisher geodesic discriminant analysis: keeps of a tangent vector what tells the classes apart.
//!
//! In: tangent vectors at the mean M of all examples, each with a class. Out: orthonormal directions u_j, one
//! less than there are classes, that span what the weights W of a discriminant analysis ([`super::lda`], shrunk
//! by itself) span. A vector t is filtered to sum_j (u_j t) u_j, which is W^T (W W^T)^+ W t. At M the means of
//! the classes, weighted by their shares, cancel, and so do the rows of W: that is why there is one
//! direction less, whatever rounding makes of the last one.
//!
//! Reference: Barachant et al., LVA/ICA 2010; pyRiemann's `FGDA`.

use super::lda::{self, Shrinkage};
use super::linalg::Symmetric;
use crate::error::{Error, Result};

/// The directions for examples `x` with class indices `y` below `classes`, one row after the other; rows of
/// zeros where the means of the classes lie on fewer.
pub fn directions(x: &[&[f64]], y: &[usize], classes: usize) -> Result<Vec<f64>> {
    let weights = lda::fit(x, y, classes, Shrinkage::Auto)?.coef;
    let p = x[0].len();
    let rows: Vec<&[f64]> = weights.chunks_exact(p).collect();
    let count = rows.len();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let gram: Vec<f64> = rows.iter().flat_map(|a| rows.iter().map(|b| dot(a, b))).collect();
    let mut work = Symmetric::new(count);
    work.eigen(&gram)
        .map_err(|_| Error::run("the weights of the discriminant analysis are not finite"))?;
    let least = work.values()[count - 1] * count as f64 * f64::EPSILON;
    let mut out = vec![0.0; (classes - 1) * p];
    for (j, out) in (0..count).rev().zip(out.chunks_exact_mut(p)) {
        let (value, vector) = (work.values()[j], &work.vectors()[j * count..(j + 1) * count]);
        if value > least {
            for (row, v) in rows.iter().zip(vector) {
                out.iter_mut().zip(*row).for_each(|(o, w)| *o += v * w / value.sqrt());
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three clouds in a plane of five dimensions: two directions, of length one, square to each other.
    #[test]
    fn directions_are_orthonormal_and_one_less_than_classes() {
        let numbers = crate::math::testing::numbers(30 * 5, 3);
        let y: Vec<usize> = (0..30).map(|i| i % 3).collect();
        let mut x: Vec<Vec<f64>> = numbers.chunks_exact(5).map(<[f64]>::to_vec).collect();
        x.iter_mut().zip(&y).for_each(|(x, y)| x[*y] += 2.0);
        let x: Vec<&[f64]> = x.iter().map(Vec::as_slice).collect();
        let u = directions(&x, &y, 3).unwrap();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        assert_eq!(u.len(), 10);
        assert!((dot(&u[..5], &u[..5]) - 1.0).abs() < 1e-9);
        assert!((dot(&u[5..], &u[5..]) - 1.0).abs() < 1e-9);
        assert!(dot(&u[..5], &u[5..]).abs() < 1e-9);
    }

    #[test]
    fn equal_classes_leave_nothing() {
        let x: Vec<&[f64]> = vec![&[1.0, -1.0], &[-1.0, 1.0], &[1.0, -1.0], &[-1.0, 1.0]];
        assert_eq!(directions(&x, &[0, 0, 1, 1], 2).unwrap(), [0.0; 2]);
    }
}
