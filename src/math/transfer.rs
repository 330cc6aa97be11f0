//! A linear map across channels that makes one person's signals like another's.
//!
//! In: what is known of the signals of both, as n x n covariances or as mean responses. Out: W, n x n, row by
//! row, for which W x takes the place of x. Two ways to find it:
//!
//! ```text
//! covariances   W = R^1/2 Q S^-1/2
//! responses     W at the least  sum_k ||W M_k - T_k||^2 + l ||W - 1||^2
//!               = (sum_k T_k M_k' + l 1) (sum_k M_k M_k' + l 1)^-1
//! ```
//!
//! R and S are the mean covariances of the other and of the person, so that W S W' = R. Q is a rotation, or
//! 1: the one that brings the covariances of the person's classes, whitened by S, nearest to those of the
//! other's, whitened by R ([`super::spd::procrustes`]). M_k and T_k are the mean responses to class k of the
//! person and of the other; l is `ridge` times the mean of the diagonal of sum_k M_k M_k'.
//!
//! References: Rodrigues, Jutten, Congedo, IEEE Trans. Biomed. Eng. 66 (2019); He and Wu, IEEE Trans. Biomed. Eng. 67
//! (2020), with Q = 1.

use super::linalg;
use super::spd::{NotSpd, Spd, procrustes};
use faer::Mat;
use faer::linalg::solvers::Solve;

/// The covariances of one person's windows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Covariances {
    /// The mean of all, n x n.
    pub all: Vec<f64>,
    /// The mean of each class, one after the other.
    pub classes: Vec<f64>,
}

/// The map from the covariances of `own` to those of `other`; `rotate` looks for the rotation, for which both must
/// have the same classes.
pub fn between_covariances(
    other: &Covariances,
    own: &Covariances,
    n: usize,
    rotate: bool,
) -> Result<Vec<f64>, NotSpd> {
    let mut spd = Spd::new(n);
    let room = || vec![0.0; n * n];
    let (mut root, mut whitener) = (room(), room());
    spd.sqrt(&other.all, &mut root)?;
    spd.inverse_sqrt(&own.all, &mut whitener)?;
    if rotate {
        let mut others = room();
        spd.inverse_sqrt(&other.all, &mut others)?;
        let targets = whitened(&others, &other.classes, n);
        let sources = whitened(&whitener, &own.classes, n);
        let (targets, sources) = (slices(&targets), slices(&sources));
        let q = procrustes::rotation(&targets, &sources, n)?;
        let mut turned = room();
        linalg::product(&q, &whitener, &mut turned, n);
        whitener = turned;
    }
    let (mut map, mut rows) = (room(), room());
    linalg::product(&root, &whitener, &mut map, n);
    linalg::transpose(&map, &mut rows, n);
    Ok(rows)
}

fn slices(matrices: &[Vec<f64>]) -> Vec<&[f64]> {
    matrices.iter().map(Vec::as_slice).collect()
}

/// Each of `matrices` as `whitener`, which is symmetric, sees it.
fn whitened(whitener: &[f64], matrices: &[f64], n: usize) -> Vec<Vec<f64>> {
    let whiten = |c: &[f64]| {
        let (mut half, mut out) = (vec![0.0; n * n], vec![0.0; n * n]);
        linalg::product(whitener, c, &mut half, n);
        linalg::outer(&half, whitener, &mut out, n);
        out
    };
    matrices.chunks_exact(n * n).map(whiten).collect()
}

/// The map from the mean responses `own` to those of `other`: rows x n for each class, one below the other, as many
/// rows for the one as for the other. `None` where it is not determined, or not finite.
pub fn between_responses(other: &[f64], own: &[f64], n: usize, ridge: f64) -> Option<Vec<f64>> {
    let (mut square, mut across) = (Mat::<f64>::zeros(n, n), Mat::<f64>::zeros(n, n));
    for (t, m) in other.chunks_exact(n).zip(own.chunks_exact(n)) {
        for i in 0..n {
            for j in 0..n {
                square[(i, j)] += m[i] * m[j];
                across[(i, j)] += m[i] * t[j];
            }
        }
    }
    let least = ridge * (0..n).map(|i| square[(i, i)]).sum::<f64>() / n as f64;
    for i in 0..n {
        square[(i, i)] += least;
        across[(i, i)] += least;
    }
    // W', which is the map row by row when read column by column.
    let map = square.partial_piv_lu().solve(&across);
    let rows: Vec<f64> = (0..n * n).map(|e| map[(e % n, e / n)]).collect();
    rows.iter().all(|w| w.is_finite()).then_some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(map: &[f64], x: &[f64]) -> Vec<f64> {
        map.chunks_exact(x.len()).map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
    }

    #[test]
    fn responses_are_mapped_onto_each_other() {
        // What the other sees is twice channel 1, and channel 0 less channel 1.
        let own = [1.0, 0.0, 0.0, 1.0, 1.0, 1.0, -2.0, 3.0];
        let other: Vec<f64> = own.chunks_exact(2).flat_map(|m| [2.0 * m[1], m[0] - m[1]]).collect();
        let map = between_responses(&other, &own, 2, 0.0).unwrap();
        let want = [0.0, 2.0, 1.0, -1.0];
        assert!(map.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-12), "{map:?}");
        let stiff = between_responses(&other, &own, 2, 1e9).unwrap();
        assert!(stiff.iter().zip([1.0, 0.0, 0.0, 1.0]).all(|(a, b)| (a - b).abs() < 1e-6));
        assert!(between_responses(&[0.0; 4], &[0.0; 4], 2, 0.0).is_none());
    }

    #[test]
    fn covariances_are_mapped_onto_each_other() {
        let other =
            Covariances { all: vec![4.0, 0.0, 0.0, 1.0], classes: vec![6.0, 0.0, 0.0, 0.5] };
        // The same two sources in the other order, one of them ten times as large.
        let own =
            Covariances { all: vec![1.0, 0.0, 0.0, 400.0], classes: vec![0.5, 0.0, 0.0, 600.0] };
        let plain = between_covariances(&other, &own, 2, false).unwrap();
        assert!((times(&plain, &[1.0, 0.0])[0].abs() - 2.0).abs() < 1e-12, "{plain:?}");
        let turned = between_covariances(&other, &own, 2, true).unwrap();
        let [first, second] = [times(&turned, &[1.0, 0.0]), times(&turned, &[0.0, 20.0])];
        assert!(first[0].abs() < 1e-9 && (first[1].abs() - 1.0).abs() < 1e-9, "{turned:?}");
        assert!(second[1].abs() < 1e-9 && (second[0].abs() - 2.0).abs() < 1e-9, "{turned:?}");
        let flat = Covariances { all: vec![1.0, 0.0, 0.0, 0.0], classes: Vec::new() };
        assert!(between_covariances(&other, &flat, 2, false).is_err());
    }
}
