//! Eigenvalues, without eigenvectors, of a symmetric tridiagonal matrix.
//!
//! In: the diagonal and the squares of the numbers beside it. Out: the eigenvalues, ascending, in
//! place of the diagonal. QL steps with Wilkinson's shift in the form that needs no square root per
//! rotation (Pal, Walker and Kahan; Parlett, The Symmetric Eigenvalue Problem, 1980, section 8.15).
//! Errors are of the order of epsilon times the largest eigenvalue. Twice as quick as rotations that
//! are ready to be applied to vectors.

/// The most steps per eigenvalue; two are usual.
const MAX_STEPS: usize = 30;

/// Replaces `d` by the eigenvalues; `e2` is one shorter and is used up. False if it does not
/// converge, which takes numbers that are not finite.
pub fn eigenvalues(d: &mut [f64], e2: &mut [f64]) -> bool {
    let n = d.len();
    let largest_d = d.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    let scale = e2.iter().fold(largest_d, |m, v| m.max(v.sqrt()));
    if scale == 0.0 {
        return true;
    }
    d.iter_mut().for_each(|v| *v /= scale);
    e2.iter_mut().for_each(|v| *v = *v / scale / scale);

    let mut steps = MAX_STEPS * n;
    let mut first = 0;
    while first < n {
        let last = block_end(d, e2, first, n - 1);
        // Eigenvalues are found from the first entry on, which should be the small end.
        if d[last].abs() < d[first].abs() {
            d[first..=last].reverse();
            e2[first..last].reverse();
        }
        while first <= last {
            let end = block_end(d, e2, first, last);
            if end == first {
                first += 1;
            } else if steps == 0 {
                return false;
            } else {
                steps -= 1;
                step(&mut d[first..=end], &mut e2[first..end]);
            }
        }
    }
    d.iter_mut().for_each(|v| *v *= scale);
    d.sort_unstable_by(f64::total_cmp);
    true
}

/// The first index from `first` on, `last` at most, that nothing couples to the next one.
fn block_end(d: &[f64], e2: &[f64], first: usize, last: usize) -> usize {
    const NEGLIGIBLE: f64 = f64::EPSILON * f64::EPSILON / 4.0;
    (first..last).find(|&i| e2[i] <= NEGLIGIBLE * (d[i] * d[i + 1]).abs()).unwrap_or(last)
}

/// One QL step on a block whose entries are all coupled.
fn step(d: &mut [f64], e2: &mut [f64]) {
    let m = e2.len();
    let root = e2[0].sqrt();
    let half = (d[1] - d[0]) / (2.0 * root);
    let shift = d[0] - root / (half + half.hypot(1.0).copysign(half));
    let (mut c, mut s) = (1.0, 0.0);
    let mut gamma = d[m] - shift;
    let mut p = gamma * gamma;
    for i in (0..m).rev() {
        let b = e2[i];
        let r = p + b;
        if i + 1 < m {
            e2[i + 1] = s * r;
        }
        let c_before = c;
        c = p / r;
        s = b / r;
        let gamma_before = gamma;
        gamma = c * (d[i] - shift) - s * gamma_before;
        d[i + 1] = gamma_before + (d[i] - gamma);
        p = if c == 0.0 { c_before * b } else { gamma * gamma / c };
    }
    e2[0] = s * p;
    d[0] = shift + gamma;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_difference_has_known_eigenvalues() {
        for n in [1, 2, 3, 10, 64, 301] {
            let (mut d, mut e2) = (vec![2.0; n], vec![1.0; n - 1]);
            assert!(eigenvalues(&mut d, &mut e2));
            for (k, got) in d.iter().enumerate() {
                let angle = std::f64::consts::PI * (k + 1) as f64 / (2 * (n + 1)) as f64;
                assert!((got - 4.0 * angle.sin().powi(2)).abs() < 1e-13, "{n}, {k}: {got}");
            }
        }
    }

    #[test]
    fn special_matrices() {
        for (d, e2, want) in [
            (vec![3.0, -1.0, 2.0], vec![0.0, 0.0], vec![-1.0, 2.0, 3.0]),
            (vec![0.0, 0.0], vec![4.0], vec![-2.0, 2.0]),
            (vec![0.0; 3], vec![0.0; 2], vec![0.0; 3]),
            (vec![0.0; 3], vec![2.0; 2], vec![-2.0, 0.0, 2.0]),
            (vec![1e200, 1e-200], vec![0.0], vec![1e-200, 1e200]),
            (vec![1.0; 4], vec![1e-320; 3], vec![1.0; 4]),
        ] {
            let (mut d, mut e2) = (d, e2);
            assert!(eigenvalues(&mut d, &mut e2));
            let largest = want.iter().fold(0.0_f64, |m: f64, v: &f64| m.max(v.abs()));
            for (got, want) in d.iter().zip(&want) {
                assert!((got - want).abs() <= 1e-15 * largest, "{d:?}, {want}");
            }
        }
        assert!(!eigenvalues(&mut [f64::NAN; 3], &mut [1.0; 2]));
    }
}
