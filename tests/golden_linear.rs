//! Ridge regression and canonical correlations against scikit-learn and NumPy (tests/golden/linear.py).
//!
//! Tolerance of the ridge: 1e-8 relative to the largest weight; the smallest penalty is 1e-2 and products are of the size of
//! the number of examples, so the condition is at most 1e6 or so and rounding 1e-10. The penalties chosen are the same. Of the
//! correlations: 1e-9 by the formula, and 1e-6 for those of scikit-learn, which iterates.

#![allow(clippy::unwrap_used)]

mod support;

use faer::Mat;
use saltatory::math::cca::Cca;
use saltatory::math::ridge::Ridge;
use support::{Golden, relative_error};

fn matrix((shape, data): (Vec<usize>, Vec<f64>)) -> Mat<f64> {
    Mat::from_fn(shape[0], shape[1], |i, j| data[i * shape[1] + j])
}

fn check(name: &str, error: f64, tolerance: f64) {
    println!("{name}: {error:.1e}");
    assert!(error <= tolerance, "{name}: error {error:.1e}");
}

fn cases(golden: &Golden, prefix: &str) -> Vec<String> {
    let names = golden.names(prefix);
    names.iter().filter_map(|n| n.strip_suffix(".x")).map(str::to_owned).collect()
}

#[test]
fn ridge_is_that_of_scikit_learn() {
    let golden = Golden::open("linear");
    let cases = cases(&golden, "ridge.");
    assert_eq!(cases.len(), 7);
    for case in cases {
        let get = |key: &str| golden.array(&format!("{case}.{key}"));
        let has_weights = !golden.names(&format!("{case}.weights")).is_empty();
        let weights = has_weights.then(|| get("weights").1);
        let ridge =
            Ridge::fit(matrix(get("x")), matrix(get("y")), weights.as_deref(), &get("alphas").1);
        let ridge = ridge.unwrap();
        assert_eq!(ridge.alphas, get("alpha").1, "{case}: the penalties");
        check(&format!("{case} weights"), relative_error(&ridge.map.weights, &get("coef").1), 1e-8);
        check(
            &format!("{case} intercept"),
            relative_error(&ridge.map.intercept, &get("intercept").1),
            1e-8,
        );
    }
}

#[test]
fn canonical_correlations_are_those_of_the_formula_and_of_scikit_learn() {
    let golden = Golden::open("linear");
    for case in cases(&golden, "cca.") {
        let get = |key: &str| golden.array(&format!("{case}.{key}")).1;
        let (k, r) = (get("k")[0] as usize, get("r")[0]);
        let shaped = |key: &str| matrix(golden.array(&format!("{case}.{key}")));
        let cca = Cca::fit(shaped("x"), shaped("y"), k, r).unwrap();
        check(
            &format!("{case} correlations"),
            relative_error(&cca.correlations, &get("rho")),
            1e-9,
        );
        check(&format!("{case} weights"), relative_error(&cca.map.weights, &get("coef")), 1e-9);
        check(
            &format!("{case} intercept"),
            relative_error(&cca.map.intercept, &get("intercept")),
            1e-9,
        );
        if r == 0.0 {
            let theirs = get("sklearn_rho");
            check(
                &format!("{case} of scikit-learn"),
                relative_error(&cca.correlations, &theirs),
                1e-6,
            );
        }
    }
}
