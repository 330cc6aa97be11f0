//! Scores, statistics and the maths of the pictures against SciPy, scikit-learn and MNE
//! (tests/golden/stats.py).
//!
//! Tolerances, absolute on numbers of the size of one: 1e-12 for what is counting and arithmetic; 1e-10
//! where a distribution function of `statrs` or a matrix solution is involved, whose own error is a
//! few units of 1e-12.

#![allow(clippy::unwrap_used)]

mod support;

use saltatory::fit::metrics::{Confusion, auc};
use saltatory::fit::pictures::{patterns, plane};
use saltatory::fit::stats;
use saltatory::math::topomap::Spline;
use support::Golden;

fn close(what: &str, got: f64, want: f64, tolerance: f64) {
    assert!((got - want).abs() <= tolerance, "{what}: {got}, expected {want}");
}

fn whole(values: &[f64]) -> Vec<usize> {
    values.iter().map(|v| *v as usize).collect()
}

/// What stands before `.KEY` in the names of the arrays.
fn cases(golden: &Golden, prefix: &str, key: &str) -> Vec<String> {
    let names = golden.names(prefix);
    let found: Vec<String> =
        names.iter().filter_map(|n| n.strip_suffix(key).map(str::to_owned)).collect();
    assert!(found.len() >= 3, "{prefix}: {found:?}");
    found
}

#[test]
fn scores_are_those_of_scikit_learn() {
    let golden = Golden::open("stats");
    for case in cases(&golden, "scores.", ".truth") {
        let get = |key: &str| golden.array(&format!("{case}.{key}"));
        let (truth, decided) = (whole(&get("truth").1), whole(&get("decided").1));
        let (shape, scores) = get("scores");
        let scores: Vec<Vec<f64>> = scores.chunks_exact(shape[1]).map(<[f64]>::to_vec).collect();
        let confusion = Confusion::of(shape[1], &truth, &decided);
        let got = [
            confusion.accuracy(),
            confusion.balanced_accuracy(),
            confusion.kappa(),
            confusion.mcc(),
            auc(&scores, &truth, shape[1]).unwrap(),
        ];
        for (i, (got, want)) in got.iter().zip(get("want").1).enumerate() {
            close(&format!("{case} {i}"), *got, want, 1e-12);
        }
    }
}

#[test]
fn intervals_and_chance_are_those_of_scipy() {
    let golden = Golden::open("stats");
    for row in golden.array("wilson").1.chunks_exact(5) {
        let got = stats::wilson(row[0] as usize, row[1] as usize, row[2]);
        close(&format!("{row:?}"), got.low, row[3], 1e-10);
        close(&format!("{row:?}"), got.high, row[4], 1e-10);
    }
    for row in golden.array("chance.p").1.chunks_exact(4) {
        let got = stats::chance_p(row[0] as usize, row[1] as usize, row[2]);
        close(&format!("{row:?}"), got, row[3], 1e-10);
    }
    for row in golden.array("chance.threshold").1.chunks_exact(3) {
        let [n, classes, want] = [row[0], row[1], row[2]].map(|v| v as usize);
        let got = stats::chance_threshold(n, classes, 0.05);
        assert_eq!(got, (want <= n).then_some(want), "{n} {classes}");
    }
    for case in cases(&golden, "bca.", ".x") {
        let get = |key: &str| golden.array(&format!("{case}.{key}")).1;
        let (x, want) = (get("x"), get("want"));
        let (n, sum) = (x.len() as f64, x.iter().sum::<f64>());
        let without: Vec<f64> = x.iter().map(|v| (sum - v) / (n - 1.0)).collect();
        for (confidence, want) in [0.8, 0.95].into_iter().zip(want.chunks_exact(2)) {
            let got = stats::bca(&get("resampled"), sum / n, &without, confidence);
            close(&case, got.low, want[0], 1e-10);
            close(&case, got.high, want[1], 1e-10);
        }
    }
}

#[test]
fn paired_tests_are_those_of_scipy() {
    let golden = Golden::open("stats");
    for row in golden.array("mcnemar").1.chunks_exact(3) {
        let (b, c) = (row[0] as usize, row[1] as usize);
        let first: Vec<bool> = (0..b + c + 5).map(|i| i < b || i >= b + c).collect();
        let second: Vec<bool> = (0..b + c + 5).map(|i| i >= b).collect();
        let got = stats::mcnemar(&first, &second);
        assert_eq!((got.only_first, got.only_second), (b, c));
        close(&format!("{row:?}"), got.p, row[2], 1e-10);
    }
    for case in cases(&golden, "signed_rank.", ".d") {
        let get = |key: &str| golden.array(&format!("{case}.{key}")).1;
        close(&case, stats::signed_rank(&get("d")), get("p")[0], 1e-10);
    }
    for case in cases(&golden, "sign_flip.", ".d") {
        let get = |key: &str| golden.array(&format!("{case}.{key}")).1;
        close(&case, stats::sign_flip(&get("d"), 0, 1), get("p")[0], 1e-12);
    }
    let got = stats::holm(&golden.array("holm.p").1);
    for (got, want) in got.iter().zip(golden.array("holm.want").1) {
        close("holm", *got, want, 1e-12);
    }
}

#[test]
fn splines_are_those_of_mne() {
    let golden = Golden::open("stats");
    let points = |values: Vec<f64>| -> Vec<[f64; 3]> {
        values.chunks_exact(3).map(|v| [v[0], v[1], v[2]]).collect()
    };
    for case in cases(&golden, "spline.", ".values") {
        let get = |key: &str| golden.array(&format!("{case}.{key}")).1;
        let values = get("values");
        let spline = Spline::new(&points(get("electrodes")), &values).unwrap();
        // The matrix has a condition of up to 1e5, from 1e-5 on its diagonal, and both sides lose that
        // much of 1e-16 times the size of the coefficients.
        for (place, want) in points(get("places")).into_iter().zip(get("want")) {
            close(&case, spline.at(place), want, 1e-8);
        }
    }
}

#[test]
fn planes_and_patterns_are_those_of_numpy() {
    let golden = Golden::open("stats");
    for case in cases(&golden, "pca.", ".x") {
        let (shape, x) = golden.array(&format!("{case}.x"));
        let x: Vec<Vec<f64>> = x.chunks_exact(shape[1]).map(<[f64]>::to_vec).collect();
        let got = plane(&x).unwrap();
        let want = golden.array(&format!("{case}.want")).1;
        // The sign of a component is free: here and there its largest entry decides it, but by
        // different rules.
        for axis in 0..2 {
            let wanted: Vec<f64> = want.iter().skip(axis).step_by(2).copied().collect();
            let same = got.points.iter().zip(&wanted).map(|(p, w)| p[axis] * w).sum::<f64>();
            for (point, want) in got.points.iter().zip(&wanted) {
                close(&case, point[axis] * same.signum(), *want, 1e-10);
            }
        }
        let explained = golden.array(&format!("{case}.explained")).1;
        close(&case, got.explained[0], explained[0], 1e-10);
        close(&case, got.explained[1], explained[1], 1e-10);

        let case = case.replace("pca", "haufe");
        let (_, w) = golden.array(&format!("{case}.w"));
        let columns: Vec<Vec<f64>> =
            (0..3).map(|k| w.iter().skip(k).step_by(3).copied().collect()).collect();
        let got = patterns(&x, &columns).unwrap();
        let want = golden.array(&format!("{case}.want")).1;
        for (k, pattern) in got.iter().enumerate() {
            for (i, value) in pattern.iter().enumerate() {
                close(&case, *value, want[i * 3 + k], 1e-10);
            }
        }
    }
}
