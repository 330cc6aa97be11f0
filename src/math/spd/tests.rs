use super::*;
use crate::math::testing::{SIZES, difference, numbers, on_every_cpu, positive, with_eigenvalues};

#[test]
fn commuting_matrices_by_hand() {
    let mut spd = Spd::new(2);
    let (a, b) = ([1.0, 0.0, 0.0, 4.0], [9.0, 0.0, 0.0, 1.0]);
    let want = (9.0_f64.ln().powi(2) + 0.25_f64.ln().powi(2)).sqrt();
    assert!((spd.distance(&a, &b).unwrap() - want).abs() < 1e-14);
    let mean = spd.mean(&[&a, &b], None).unwrap();
    assert!(mean.converged);
    for (got, want) in mean.matrix.iter().zip([3.0, 0.0, 0.0, 2.0]) {
        assert!((got - want).abs() < 1e-7, "{mean:?}");
    }
}

#[test]
fn the_length_of_a_tangent_vector_is_the_distance() {
    let mut spd = Spd::new(2);
    let (a, b) = ([2.0, 0.3, 0.3, 1.0], [1.0, -0.2, -0.2, 5.0]);
    let mut vector = [0.0; 3];
    let whitener = spd.whitener(&a).unwrap();
    spd.tangent(&whitener, &b, &mut vector).unwrap();
    let length = vector.iter().map(|v| v * v).sum::<f64>().sqrt();
    assert!((length - spd.distance(&a, &b).unwrap()).abs() < 1e-13);
}

#[test]
fn bad_input_is_an_error() {
    let mut spd = Spd::new(2);
    let (good, flat) = ([1.0, 0.0, 0.0, 1.0], [1.0, 2.0, 2.0, 4.0]);
    let mut out = [0.0; 4];
    assert_eq!(spd.log(&flat, &mut out), Err(NotSpd::NotPositive));
    let whitener = spd.whitener(&good).unwrap();
    assert_eq!(spd.tangent(&whitener, &flat, &mut out[..3]), Err(NotSpd::NotPositive));
    assert_eq!(spd.distance(&good, &flat), Err(NotSpd::NotPositive));
    assert_eq!(spd.distance(&flat, &good), Err(NotSpd::NotPositive));
    assert_eq!(spd.distance(&good, &[1e-300, 0.0, 0.0, 1e-300]), Err(NotSpd::NotPositive));
    assert_eq!(spd.sqrt(&[f64::NAN; 4], &mut out), Err(NotSpd::NotFinite));
    assert_eq!(spd.exp(&[1e3, 0.0, 0.0, 0.0], &mut out), Err(NotSpd::NotFinite));
    let error = spd.mean(&[&good, &flat], None).unwrap_err();
    assert_eq!(error.to_string(), "matrix 2 of 2 is not positive definite");
    assert!(spd.mean(&[], None).is_err());
    assert!(spd.mean(&[&good], Some(&[0.0])).is_err());
    assert!(spd.mean(&[&good[..1]], None).is_err());
}

/// What rounding may do to a logarithm: epsilon times the condition, for each of some steps.
fn tolerance(n: usize, condition: f64) -> f64 {
    (condition + 100.0) * (20 + n) as f64 * f64::EPSILON
}

#[test]
fn logarithms_are_those_by_eigenvectors() {
    for n in SIZES {
        let mut plain = Spd::new(n);
        let (mut want, mut got) = (vec![0.0; n * n], vec![0.0; n * n]);
        for (name, condition, c) in positive(n) {
            plain.function(&c, f64::ln, &mut want).unwrap();
            on_every_cpu(|cpu| {
                let mut spd = Spd::on(cpu, n);
                spd.log(&c, &mut got).unwrap();
                let error = difference(&got, &want, 1.0);
                assert!(error < tolerance(n, condition), "{cpu:?} {name} {n}: {error:e}");
                for e in 0..n * n {
                    assert_eq!(got[e], got[e % n * n + e / n], "{name} {n}: not symmetric");
                }
            });
        }
    }
}

/// Tangent vectors, distances and linear functions of all pairs, each beside its plain version.
#[test]
fn the_quick_ways_lead_where_the_plain_ones_do() {
    for n in SIZES {
        let all = positive(n);
        let weights = numbers(3 * tangent_len(n), 8);
        let mut plain = Spd::new(n);
        for (m_name, m_condition, m) in all.iter().filter(|(_, condition, _)| *condition < 1e5) {
            let whitener = plain.whitener(m).unwrap();
            for (c_name, c_condition, c) in &all {
                let name = format!("{c_name} at {m_name}, {n}");
                let tolerance = tolerance(n, m_condition * c_condition);
                triangular::cholesky(plain.cpu, c, &mut plain.factor).unwrap();
                if plain.log_by_eigenvectors(&whitener).is_err() {
                    continue;
                }
                let want = by_rows(&plain.log);
                let length = want.iter().map(|v| v * v).sum::<f64>().sqrt();
                on_every_cpu(|cpu| {
                    let mut spd = Spd::on(cpu, n);
                    let mut vector = vec![0.0; tangent_len(n)];
                    spd.tangent(&whitener, c, &mut vector).unwrap();
                    let error = difference(&vector, &want, 1.0);
                    assert!(error < tolerance, "{cpu:?} {name}: tangent {error:e}");

                    let lower = spd.lower_whitener(m).unwrap();
                    let mut distances = [0.0; 2];
                    spd.distances(c, &[lower.clone(), lower], &mut distances).unwrap();
                    for distance in distances {
                        let error = (distance - length).abs() / length.max(1.0);
                        assert!(error < tolerance, "{cpu:?} {name}: distance {error:e}");
                    }

                    let forms = spd.linear_forms(m, &weights).unwrap();
                    let mut products = [0.0; 3];
                    assert_eq!(forms.count(), 3);
                    spd.linear(&forms, c, &mut products).unwrap();
                    for (product, w) in products.iter().zip(weights.chunks_exact(want.len())) {
                        let wanted: f64 = w.iter().zip(&want).map(|(w, t)| w * t).sum();
                        let scale = length.max(1.0) * (want.len() as f64).sqrt();
                        let error = (product - wanted).abs() / scale;
                        assert!(error < tolerance, "{cpu:?} {name}: product {error:e}");
                    }
                });
            }
        }
    }
}

fn by_rows(log: &Padded) -> Vec<f64> {
    let row = |(j, column): (usize, &[f64])| -> Vec<f64> {
        let scaled = |(i, v): (usize, &f64)| if i == 0 { *v } else { SQRT_2 * v };
        column[j..log.n()].iter().enumerate().map(scaled).collect()
    };
    log.columns().enumerate().flat_map(row).collect()
}

/// Conditions that only the eigendecomposition can deal with, up to where it refuses. Tolerance: epsilon
/// times the condition.
#[test]
fn beyond_the_table_eigenvalues_take_over() {
    for n in [2, 3, 22] {
        let one: Vec<f64> = (0..n * n).map(|e| f64::from(e / n == e % n)).collect();
        for exponent in [11, 12, 13, 15, 17] {
            let least = 10.0_f64.powi(-exponent);
            let mut c = one.clone();
            c[0] = least;
            let refused = least <= linalg::rounding(n);
            let mut spd = Spd::new(n);
            let (whitener, lower) =
                (spd.whitener(&one).unwrap(), spd.lower_whitener(&one).unwrap());
            let mut vector = vec![0.0; tangent_len(n)];
            let mut distance = [0.0];
            let mut log = vec![0.0; n * n];
            let got = [
                spd.tangent(&whitener, &c, &mut vector),
                spd.distances(&c, &[lower], &mut distance),
                spd.log(&c, &mut log),
            ];
            let want = if refused { Err(NotSpd::NotPositive) } else { Ok(()) };
            assert_eq!(got, [want; 3], "{n} {exponent}");
            if !refused {
                for value in [vector[0], -distance[0], log[0]] {
                    let tolerance = 4.0 * f64::EPSILON / least;
                    assert!((value - least.ln()).abs() < tolerance, "{n} {exponent}: {value}");
                }
            }
        }
    }
}

/// Seen from the mean, the logarithms cancel; and the mean of inverses is the inverse of the mean.
#[test]
fn at_the_mean_the_gradient_vanishes() {
    for (n, spread) in [(1, 1.0), (2, 0.1), (5, 1.0), (22, 0.3), (64, 0.1)] {
        let mut spd = Spd::new(n);
        let exp_of = |spd: &mut Spd, seed: u64| {
            let half = numbers(n * n, seed);
            let s: Vec<f64> =
                (0..n * n).map(|e| spread * (half[e] + half[e % n * n + e / n])).collect();
            let mut out = vec![0.0; n * n];
            spd.exp(&s, &mut out).unwrap();
            out
        };
        let matrices: Vec<Vec<f64>> = (0..10).map(|i| exp_of(&mut spd, i)).collect();
        let views: Vec<&[f64]> = matrices.iter().map(Vec::as_slice).collect();
        let weights: Vec<f64> = (1..=10).map(f64::from).collect();
        let mean = spd.mean(&views, Some(&weights)).unwrap();
        assert!(mean.converged && mean.gradient <= 1e-8, "{n}: {}", mean.gradient);
        let whitener = spd.whitener(&mean.matrix).unwrap();
        let mut sum = vec![0.0; tangent_len(n)];
        let mut vector = sum.clone();
        for (x, w) in views.iter().zip(&weights) {
            spd.tangent(&whitener, x, &mut vector).unwrap();
            sum.iter_mut().zip(&vector).for_each(|(s, v)| *s += w / 55.0 * v);
        }
        let gradient = sum.iter().map(|v| v * v).sum::<f64>().sqrt();
        assert!(gradient < 1e-8, "{n}: {gradient:e}");

        let inverse = |spd: &mut Spd, x: &[f64]| {
            let mut out = vec![0.0; n * n];
            spd.function(x, f64::recip, &mut out).unwrap();
            out
        };
        let inverses: Vec<Vec<f64>> = matrices.iter().map(|x| inverse(&mut spd, x)).collect();
        let views: Vec<&[f64]> = inverses.iter().map(Vec::as_slice).collect();
        let other = spd.mean(&views, Some(&weights)).unwrap();
        let error = difference(&inverse(&mut spd, &other.matrix), &mean.matrix, 0.0);
        assert!(error < 1e-7, "{n}: {error:e}");
    }
}

#[test]
fn a_mean_that_rounding_keeps_from_converging_ends_soon() {
    let n = 8;
    let ill = |seed| {
        let values: Vec<f64> = (0..n).map(|i| 10.0_f64.powi(-(i as i32 * 11) / 7)).collect();
        with_eigenvalues(&values, seed)
    };
    let (a, b) = (ill(1), ill(2));
    let mean = Spd::new(n).mean(&[&a, &b], None).unwrap();
    assert!(!mean.converged && mean.gradient < 1e-2, "{:e}", mean.gradient);
}
