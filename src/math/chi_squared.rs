//! The chi-squared distribution: how far from their mean Gaussian samples lie.
//!
//! P(x; k) = the probability that the sum of k squared standard normal numbers is at most x, which is the
//! regularised lower incomplete gamma function of k/2 and x/2. Control plane only.

use std::f64::consts::PI;

/// The probability of at most `x` with `k` degrees of freedom.
///
/// The power series, all of whose terms are positive:
/// P = z^a e^-z / gamma(a + 1) (1 + z / (a + 1) + z^2 / ((a + 1)(a + 2)) + ..), a = k/2, z = x/2
/// (Abramowitz and Stegun, 6.5.29).
pub fn cdf(x: f64, k: usize) -> f64 {
    let (a, z) = (k as f64 / 2.0, x / 2.0);
    if z <= 0.0 {
        return 0.0;
    }
    let (mut term, mut sum, mut i) = (1.0, 1.0, 1.0);
    while term > sum * f64::EPSILON {
        term *= z / (a + i);
        sum += term;
        i += 1.0;
    }
    let p = (a * z.ln() - z - ln_gamma_of_half(k + 2) + sum.ln()).exp();
    if p > 1.0 { 1.0 } else { p }
}

/// The x that is not exceeded with probability `q`, between 0 and 1, by bisection.
pub fn quantile(q: f64, k: usize) -> f64 {
    let (mut below, mut above) = (0.0, k as f64);
    while cdf(above, k) < q && above < 1e6 * k as f64 {
        above *= 2.0;
    }
    loop {
        let middle = f64::midpoint(below, above);
        if middle <= below || middle >= above {
            return middle;
        }
        if cdf(middle, k) < q { below = middle } else { above = middle }
    }
}

/// ln gamma(k / 2), by gamma(a + 1) = a gamma(a).
fn ln_gamma_of_half(k: usize) -> f64 {
    let (first, start) = if k.is_multiple_of(2) { (0.0, 2) } else { (PI.ln() / 2.0, 1) };
    (start..k).step_by(2).fold(first, |sum, i| sum + (i as f64 / 2.0).ln())
}

#[cfg(test)]
#[allow(clippy::excessive_precision)]
mod tests {
    use super::*;

    const CDF: [(f64, usize, f64); 6] = [
        (0.1, 1, 0.248170365954150717),
        (1.5, 2, 0.527633447258985292),
        (3.0, 7, 0.114997768356849358),
        (30.0, 22, 0.881535588470984911),
        (110.0, 88, 0.943702042631620994),
        (300.0, 250, 0.983481726842131279),
    ];
    const NINE_TENTHS: [(usize, f64); 7] = [
        (1, 2.705543454095414567),
        (2, 4.605170185988091368),
        (3, 6.251388631170323196),
        (8, 13.36156613651172727),
        (22, 30.81328234395303509),
        (88, 105.3722457856283668),
        (256, 285.3926666691409459),
    ];

    /// Against the series in 60 digits (SciPy's own error at 250 degrees of freedom is 1e-11). Tolerance: the
    /// logarithm of the series' factor is a difference of numbers of up to a few hundred.
    #[test]
    fn values_of_sixty_digits() {
        for (x, k, want) in CDF {
            assert!((cdf(x, k) - want).abs() < 1e-12, "{x} {k}: {}", cdf(x, k));
        }
        for (k, want) in NINE_TENTHS {
            assert!((quantile(0.9, k) / want - 1.0).abs() < 1e-12, "{k}: {}", quantile(0.9, k));
        }
    }

    #[test]
    fn ends() {
        assert_eq!(cdf(0.0, 3), 0.0);
        assert_eq!(cdf(1e4, 3), 1.0);
        assert!(cdf(f64::NAN, 3).is_nan());
        for k in [1, 2, 9, 250] {
            assert!((cdf(quantile(0.5, k), k) - 0.5).abs() < 1e-13);
        }
    }
}
