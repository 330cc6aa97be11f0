//! SPD geometry and logistic regression against pyRiemann and scikit-learn (tests/golden/spd.py).
//!
//! Tolerances: 1e-8 for matrices, distances and tangent vectors, 1e-6 for probabilities.
//! Logarithms are compared relative to at least one: that of an eigenvalue near one is known to
//! within epsilon, not to within a share of itself. The ill-conditioned sets (condition k up to 1e9)
//! need no tolerance of their own, though epsilon * k = 2e-7 is what storing a matrix as float64 may
//! cost its least eigenvalue: the errors that are measured stay below 3e-9.

#![allow(clippy::unwrap_used)]

mod support;

use saltatory::frame::{Flags, Frame, Payload, Spec};
use saltatory::math::logistic::Logistic;
use saltatory::math::spd::{Spd, tangent_len};
use saltatory::stages::{Examples, Fault, decode};
use support::stages::{frame, names, run, spec, stage};
use support::{Golden, relative_error};

/// The largest difference, relative to the largest number wanted but at least to one.
fn log_error(got: &[f64], want: &[f64]) -> f64 {
    let scale = want.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / scale.max(1.0)
}

#[test]
fn geometry_is_that_of_pyriemann() {
    let golden = Golden::open("spd");
    for name in golden.names("spd.") {
        let Some(case) = name.strip_suffix(".x") else { continue };
        let get = |key: &str| golden.array(&format!("{case}.{key}")).1;
        let check = |key: &str, error: f64| {
            println!("{case}.{key}: {error:.1e}");
            assert!(error <= 1e-8, "{case}.{key}: error {error:.1e}");
        };
        let (shape, x) = golden.array(&name);
        let n = shape[1];
        let x: Vec<&[f64]> = x.chunks_exact(n * n).collect();
        let mut spd = Spd::new(n);
        let mut out = vec![0.0; n * n];

        let mean = spd.mean(&x, None).unwrap().matrix;
        check("mean", relative_error(&mean, &get("mean")));
        let weighted = spd.mean(&x, Some(&get("weights"))).unwrap().matrix;
        check("mean_weighted", relative_error(&weighted, &get("mean_weighted")));

        let distance: Vec<f64> = x[1..].iter().map(|a| spd.distance(a, x[0]).unwrap()).collect();
        check("distance", log_error(&distance, &get("distance")));

        spd.sqrt(x[0], &mut out).unwrap();
        check("sqrt", relative_error(&out, &get("sqrt")));
        spd.inverse_sqrt(x[0], &mut out).unwrap();
        check("invsqrt", relative_error(&out, &get("invsqrt")));
        spd.log(x[0], &mut out).unwrap();
        check("log", log_error(&out, &get("log")));
        let norm = x[0].iter().map(|v| v * v).sum::<f64>().sqrt();
        let scaled: Vec<f64> = x[0].iter().map(|v| v / norm).collect();
        spd.exp(&scaled, &mut out).unwrap();
        check("exp", relative_error(&out, &get("exp")));

        let whitener = spd.whitener(&get("mean")).unwrap();
        let mut vectors = vec![0.0; x.len() * tangent_len(n)];
        for (c, v) in x.iter().zip(vectors.chunks_exact_mut(tangent_len(n))) {
            spd.tangent(&whitener, c, v).unwrap();
        }
        check("tangent", log_error(&vectors, &get("tangent")));
    }
}

#[test]
fn mdm_is_that_of_pyriemann() {
    let golden = Golden::open("spd");
    for name in golden.names("spd.") {
        let Some(case) = name.strip_suffix(".mdm_x") else { continue };
        let (shape, x) = golden.array(&format!("{case}.x"));
        let (count, n) = (shape[0], shape[1]);
        let frames: Vec<Frame> = x.chunks_exact(n * n).map(|x| frame(n, n, x)).collect();
        let labels: Vec<usize> = (0..count).map(|i| i * 2 / count).collect();
        let mut mdm = stage("mdm", "");
        mdm.fitted().unwrap().fit(&Examples::new(&frames, &labels, &names(2))).unwrap();
        let spec = mdm.prepare(&[spec(Payload::Matrix, n, n)]).unwrap();
        assert_eq!((spec.payload, spec.cols, spec.classes), (Payload::Scores, 2, names(2)));
        let got: Vec<f64> = golden
            .array(&name)
            .1
            .chunks_exact(n * n)
            .flat_map(|x| run(mdm.as_mut(), frame(n, n, x)).unwrap().data)
            .collect();
        let error = relative_error(&got, &golden.array(&format!("{case}.mdm")).1);
        println!("{case}.mdm: {error:.1e}");
        assert!(error <= 1e-6, "{case}: error {error:.1e}");
    }
}

#[test]
fn logistic_regression_is_that_of_scikit_learn() {
    let golden = Golden::open("spd");
    for name in golden.names("logistic.") {
        let Some(case) = name.strip_suffix(".x") else { continue };
        let get = |key: &str| golden.array(&format!("{case}.{key}")).1;
        let (shape, x) = golden.array(&name);
        let rows: Vec<&[f64]> = x.chunks_exact(shape[1]).collect();
        let y: Vec<usize> = get("y").iter().map(|y| *y as usize).collect();
        let classes = y.iter().max().unwrap() + 1;
        let model = Logistic::fit(&rows, &y, classes, get("c")[0]).unwrap();
        let mut got = Vec::new();
        let mut out = vec![0.0; classes];
        for x in get("held_out").chunks_exact(shape[1]) {
            model.probabilities(x, &mut out);
            got.extend_from_slice(&out);
        }
        for (key, got, tolerance) in [
            ("coef", &model.coef, 1e-8),
            ("intercept", &model.intercept, 1e-8),
            ("exact", &got, 1e-8),
            ("probabilities", &got, 1e-6),
        ] {
            let error = relative_error(got, &get(key));
            println!("{case}.{key}: {error:.1e}");
            assert!(error <= tolerance, "{case}.{key}: error {error:.1e}");
        }
    }
}

#[test]
fn a_chain_of_stages_survives_saving_and_bad_matrices() {
    let golden = Golden::open("spd");
    let (shape, x) = golden.array("spd.well.08.x");
    let n = shape[1];
    let frames: Vec<Frame> = x.chunks_exact(n * n).map(|x| frame(n, n, x)).collect();
    let labels: Vec<usize> = (0..shape[0]).map(|i| i % 2).collect();
    let input = spec(Payload::Matrix, n, n);

    let mut tangent = stage("tangent", "");
    let error = tangent.prepare(std::slice::from_ref(&input)).unwrap_err().to_string();
    assert!(error.contains("saltatory fit"), "{error}");
    assert!(tangent.fitted().unwrap().save().is_err());
    tangent.fitted().unwrap().fit(&Examples::new(&frames, &labels, &names(2))).unwrap();
    let part = tangent.fitted().unwrap().save().unwrap();
    let mut loaded = stage("tangent", "");
    loaded.fitted().unwrap().load(&part).unwrap();
    assert!(loaded.prepare(&[spec(Payload::Matrix, n + 1, n + 1)]).is_err());
    let vector = loaded.prepare(std::slice::from_ref(&input)).unwrap();
    assert_eq!((vector.rows, vector.cols), (1, tangent_len(n)));
    let vectors: Vec<Frame> =
        frames.iter().map(|f| run(loaded.as_mut(), f.clone()).unwrap()).collect();

    let mut logistic = stage("logistic", "c = 0.5");
    logistic.fitted().unwrap().fit(&Examples::new(&vectors, &labels, &names(2))).unwrap();
    let part = logistic.fitted().unwrap().save().unwrap();
    assert_eq!(part.tensors["coef"].shape, [1, tangent_len(n)]);
    let mut again = stage("logistic", "");
    assert!(again.prepare(std::slice::from_ref(&vector)).is_err());
    again.fitted().unwrap().load(&part).unwrap();
    assert!(again.prepare(&[spec(Payload::Vector, 1, 2)]).is_err());
    let scores = again.prepare(&[vector]).unwrap();
    assert_eq!(scores.classes, names(2));
    for (v, y) in vectors.iter().zip(&labels) {
        let p = run(again.as_mut(), v.clone()).unwrap();
        assert!((p.data.iter().sum::<f64>() - 1.0).abs() < 1e-15);
        assert!(p.data[*y] > 0.5);
        assert_eq!(p.span, v.span);
    }

    let mut mdm = stage("mdm", "");
    mdm.fitted().unwrap().fit(&Examples::new(&frames, &labels, &names(2))).unwrap();
    let part = mdm.fitted().unwrap().save().unwrap();
    assert_eq!(part.tensors["means"].shape, [2, n, n]);
    let mut mdm = stage("mdm", "");
    mdm.fitted().unwrap().load(&part).unwrap();
    mdm.prepare(&[input]).unwrap();

    let mut flat = frames[0].clone();
    for i in 0..n {
        flat.data[i] = flat.data[n + i];
    }
    for i in 0..n {
        flat.data[i * n] = flat.data[i];
    }
    flat.data[0] = flat.data[1];
    let mut nan = frames[0].clone();
    nan.data[3] = f64::NAN;
    for stage in [&mut loaded, &mut mdm] {
        let Fault(text) = run(stage.as_mut(), flat.clone()).unwrap_err();
        assert!(text.starts_with("covariance is not positive definite"), "{text}");
        let Fault(text) = run(stage.as_mut(), nan.clone()).unwrap_err();
        assert!(text.starts_with("covariance holds numbers that are not finite"), "{text}");
        assert!(run(stage.as_mut(), frames[0].clone()).is_ok());
        assert!(run(stage.as_mut(), frame(2, 2, &[1.0, 0.0, 0.0, 1.0])).is_err());
        let mut end = frame(0, n, &[]);
        end.flags = Flags::END;
        let end = run(stage.as_mut(), end).unwrap();
        assert!(end.flags.has(Flags::END) && end.data.is_empty());
    }
}

#[test]
fn what_cannot_be_learned_is_an_error() {
    let good = frame(2, 2, &[2.0, 0.5, 0.5, 1.0]);
    let flat = frame(2, 2, &[1.0, 1.0, 1.0, 1.0]);
    let mut mdm = stage("mdm", "");
    let mdm = mdm.fitted().unwrap();
    let one =
        mdm.fit(&Examples::new(&[good.clone(), good.clone()], &[0, 0], &names(1))).unwrap_err();
    assert!(one.to_string().contains("at least two"), "{one}");
    let empty =
        mdm.fit(&Examples::new(&[good.clone(), good.clone()], &[0, 0], &names(2))).unwrap_err();
    assert_eq!(empty.to_string(), "class `class 1` has no example");
    let bad = mdm.fit(&Examples::new(&[good.clone(), flat], &[0, 1], &names(2))).unwrap_err();
    assert_eq!(bad.to_string(), "class `class 1`: matrix 1 of 1 is not positive definite");
    assert!(stage("tangent", "").fitted().unwrap().fit(&Examples::new(&[], &[], &[])).is_err());
    assert!(
        stage("logistic", "")
            .fitted()
            .unwrap()
            .fit(&Examples::new(&[good], &[0], &names(1)))
            .is_err()
    );
}

#[test]
fn votes_smooth_and_forget() {
    let scores = |a: f64| frame(1, 2, &[a, 1.0 - a]);
    let input = Spec { classes: names(2), ..spec(Payload::Scores, 1, 2) };
    let play = |snippet: &str, given: &[f64]| -> Vec<f64> {
        let mut vote = stage("vote", snippet);
        assert_eq!(vote.prepare(std::slice::from_ref(&input)).unwrap(), input);
        run(vote.as_mut(), scores(1.0)).unwrap();
        vote.reset();
        given.iter().map(|a| run(vote.as_mut(), scores(*a)).unwrap().data[0]).collect()
    };
    let mean = play("windows = 2", &[0.0, 0.5, 1.0, 0.0]);
    assert_eq!(mean, [0.0, 0.25, 0.75, 0.5]);
    let majority = play("windows = 2\nmode = \"majority\"", &[0.1, 0.5, 0.9, 0.2]);
    assert_eq!(majority, [0.0, 0.5, 1.0, 0.5]);
    let vote = decode::KINDS.iter().find(|k| k.name == "vote").unwrap();
    assert!(vote.from_toml("windows = 0").is_err());
    assert!(vote.from_toml("window = 2").is_err());
}
