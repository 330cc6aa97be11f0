//! The classifiers against scikit-learn and pyRiemann (tests/golden/classifiers.py).
//!
//! Tolerance: 1e-6 on probabilities, decision values and features, and the same decided classes. What was fitted
//! by an iteration (support vector machines, elastic net, means of matrices) is as exact on both sides as
//! the tolerances of their solvers; what was not agrees to rounding.

#![allow(clippy::unwrap_used)]

#[path = "support/heap.rs"]
mod heap;
mod support;

use saltatory::frame::{Frame, Payload, Spec};
use saltatory::ledger::Cause;
use saltatory::math::svm::{Kernel, Machines, Products};
use saltatory::stages::{Emit, Examples, Stage, decode, kinds};
use support::stages::{frame, names, run, spec, stage};
use support::{Golden, relative_error};

const TOLERANCE: f64 = 1e-6;

/// One golden case: what is learned from, and what is held out.
struct Case {
    golden: Golden,
    name: String,
    width: usize,
    matrices: bool,
}

/// The cases whose names start with `prefix`.
fn cases(prefix: &str) -> Vec<Case> {
    let names = Golden::open("classifiers").names(prefix);
    let names = names.iter().filter_map(|name| name.strip_suffix(".x"));
    let case = |name: &str| {
        let golden = Golden::open("classifiers");
        let shape = golden.array(&format!("{name}.x")).0;
        Case { golden, name: name.to_string(), width: shape[1], matrices: shape.len() == 3 }
    };
    let cases: Vec<Case> = names.map(case).collect();
    assert!(!cases.is_empty(), "{prefix}");
    cases
}

impl Case {
    fn get(&self, key: &str) -> Vec<f64> {
        self.golden.array(&format!("{}.{key}", self.name)).1
    }

    fn spec(&self) -> Spec {
        match self.matrices {
            true => spec(Payload::Matrix, self.width, self.width),
            false => spec(Payload::Vector, 1, self.width),
        }
    }

    fn frames(&self, key: &str) -> Vec<Frame> {
        let Spec { rows, cols, .. } = self.spec();
        self.get(key).chunks_exact(rows * cols).map(|x| frame(rows, cols, x)).collect()
    }

    fn labels(&self) -> Vec<usize> {
        self.get("y").iter().map(|y| *y as usize).collect()
    }

    fn classes(&self) -> usize {
        self.labels().iter().max().unwrap() + 1
    }

    /// A stage fitted on the case, saved, and loaded into another one that is ready.
    fn fitted(&self, kind: &str, snippet: &str) -> (Box<dyn Stage>, Spec) {
        let (x, y) = (self.frames("x"), self.labels());
        let mut first = stage(kind, snippet);
        first.fitted().unwrap().fit(&Examples::new(&x, &y, &names(self.classes()))).unwrap();
        let mut part = first.fitted().unwrap().save().unwrap();
        // A model file knows one list of classes for all its stages.
        part.classes = names(self.classes());
        let mut stage = stage(kind, snippet);
        stage.fitted().unwrap().load(&part).unwrap();
        let narrow = Spec { rows: self.spec().rows.min(2), cols: 2, ..self.spec() };
        assert!(stage.prepare(&[narrow]).is_err(), "{}: takes another shape", self.name);
        let spec = stage.prepare(&[self.spec()]).unwrap();
        (stage, spec)
    }

    fn run(&self, stage: &mut dyn Stage, key: &str) -> Vec<Vec<f64>> {
        self.frames(key).into_iter().map(|x| run(stage, x).unwrap().data).collect()
    }

    /// What the decoder makes of what is held out.
    fn decisions(&self, kind: &str, snippet: &str) -> Vec<Vec<f64>> {
        let (mut stage, spec) = self.fitted(kind, snippet);
        assert_eq!((spec.payload, spec.cols), (Payload::Scores, self.classes()));
        self.run(stage.as_mut(), "held_out")
    }

    fn check(&self, key: &str, got: &[f64], tolerance: f64) {
        let error = relative_error(got, &self.get(key));
        println!("{}.{key}: {error:.1e}", self.name);
        assert!(error <= tolerance, "{}.{key}: error {error:.1e}", self.name);
    }

    /// Probabilities sum to one, are those wanted, and decide as the reference does.
    fn check_scores(&self, scores: &[Vec<f64>]) {
        assert!(
            scores.iter().all(|p| (p.iter().sum::<f64>() - 1.0).abs() < 1e-12),
            "{}",
            self.name
        );
        self.check("probabilities", &scores.concat(), TOLERANCE);
        assert_eq!(decided(scores), self.get("decided"), "{}", self.name);
    }
}

fn decided(scores: &[Vec<f64>]) -> Vec<f64> {
    let largest = |p: &Vec<f64>| (0..p.len()).fold(0, |b, k| if p[k] > p[b] { k } else { b });
    scores.iter().map(|p| largest(p) as f64).collect()
}

/// The decision values of the pairs, over a matrix of kernel values and nothing else.
#[test]
fn machines_are_those_of_libsvm() {
    for case in cases("svm.") {
        let (x, held_out) = (case.get("x"), case.get("held_out"));
        let both: Vec<&[f64]> =
            [&x, &held_out].into_iter().flat_map(|x| x.chunks_exact(case.width)).collect();
        let products = Products::new(&both).unwrap();
        let (y, classes) = (case.labels(), case.classes());
        let train: Vec<usize> = (0..y.len()).collect();
        let kernel = match (case.name.contains("rbf"), case.get("gamma")[0]) {
            (false, _) => Kernel::Linear,
            (true, gamma) if gamma > 0.0 => Kernel::Rbf { gamma },
            (true, _) => Kernel::Rbf { gamma: products.gamma(&train) },
        };
        let gram = products.gram(kernel, &train);
        let machines = Machines::fit(&gram, &y, classes, case.get("c")[0]).unwrap();
        assert!(machines.gap < 1e-9, "{}: {}", case.name, machines.gap);
        let mut out = vec![0.0; classes * (classes - 1) / 2];
        let mut got = Vec::new();
        for i in y.len()..both.len() {
            machines.decide(&products.row(kernel, i, &train), &mut out);
            got.extend_from_slice(&out);
        }
        case.check("decisions", &got, TOLERANCE);
    }
}

/// The probabilities are those of scikit-learn wherever their largest is the class that its SVC decides
/// for, and the nearest that decide as it does elsewhere: there the class decided for shares the lead.
#[test]
fn svm_is_that_of_scikit_learn() {
    let mut disagreed = 0;
    for case in cases("svm.") {
        let kernel = if case.name.contains("rbf") { "rbf" } else { "linear" };
        let gamma = match case.get("gamma")[0] {
            gamma if gamma > 0.0 => gamma.to_string(),
            _ => "\"scale\"".to_string(),
        };
        let c = case.get("c")[0];
        let snippet = format!("c = {c}\nkernel = \"{kernel}\"\ngamma = {gamma}");
        let scores = case.decisions("svm", &snippet);
        assert_eq!(decided(&scores), case.get("decided"), "{}", case.name);
        let (want, winners) = (case.get("probabilities"), case.get("decided"));
        let mut worst = 0.0_f64;
        for (i, (got, want)) in scores.iter().zip(want.chunks_exact(case.classes())).enumerate() {
            assert!((got.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{}: {got:?}", case.name);
            let winner = winners[i] as usize;
            if want.iter().any(|p| *p > want[winner]) {
                disagreed += 1;
                let top = got.iter().filter(|p| **p > got[winner] - 2e-9).count();
                assert!(top > 1, "{}: {got:?} {want:?}", case.name);
                continue;
            }
            let error = got.iter().zip(want).map(|(a, b)| (a - b).abs());
            worst = worst.max(error.fold(0.0, f64::max));
        }
        println!("{}.probabilities: {worst:.1e}", case.name);
        assert!(worst <= TOLERANCE, "{}: error {worst:.1e}", case.name);
        let plain = case.decisions("svm", &format!("{snippet}\ncalibrate = false"));
        assert_eq!(decided(&plain), case.get("decided"), "{}", case.name);
        assert!(plain.iter().all(|p| (p.iter().sum::<f64>() - 1.0).abs() < 1e-12));
    }
    println!("{disagreed} times the sigmoids alone would have decided otherwise");
}

#[test]
fn lda_is_that_of_scikit_learn() {
    for case in cases("lda.") {
        let shrinkage = match case.get("shrinkage")[0] {
            share if share > 0.0 => share.to_string(),
            0.0 => "\"none\"".to_string(),
            _ => "\"auto\"".to_string(),
        };
        case.check_scores(&case.decisions("lda", &format!("shrinkage = {shrinkage}")));
    }
}

#[test]
fn the_elastic_net_is_that_of_scikit_learn() {
    let mut sparse = 0;
    for case in cases("elastic.") {
        let (c, ratio) = (case.get("c")[0], case.get("ratio")[0]);
        let snippet = format!("c = {c}\npenalty = \"elastic\"\nl1_ratio = {ratio}");
        case.check_scores(&case.decisions("logistic", &snippet));
        let (mut stage, _) = case.fitted("logistic", &snippet);
        let coef = &stage.fitted().unwrap().save().unwrap().tensors["coef"].data.clone();
        case.check("coef", coef, TOLERANCE);
        // Exactly zero where the reference has a zero up to the tolerance of its solver.
        let zeros = coef.iter().filter(|w| **w == 0.0).count();
        let wanted = case.get("coef").iter().filter(|w| w.abs() < 1e-9).count();
        assert_eq!(zeros, wanted, "{}", case.name);
        sparse += zeros;
    }
    assert!(sparse > 100, "{sparse}");
}

#[test]
fn csp_is_that_of_pyriemann() {
    for case in cases("csp.") {
        let (mut stage, spec) = case.fitted("csp", "filters = 6");
        assert_eq!((spec.payload, spec.cols), (Payload::Vector, case.width.min(6)));
        case.check("features", &case.run(stage.as_mut(), "held_out").concat(), TOLERANCE);
        let part = stage.fitted().unwrap().save().unwrap();
        assert_eq!(part.tensors["filters"].shape, [1, case.width.min(6), case.width]);
        // The sign of a pattern is nobody's.
        let signed = |rows: &[f64]| -> Vec<f64> {
            let row = |row: &[f64]| {
                let top = row.iter().fold(0.0_f64, |m, v| if v.abs() > m.abs() { *v } else { m });
                row.iter().map(|v| v * top.signum()).collect::<Vec<_>>()
            };
            rows.chunks_exact(case.width).flat_map(row).collect()
        };
        let error =
            relative_error(&signed(&part.tensors["patterns"].data), &signed(&case.get("patterns")));
        println!("{}.patterns: {error:.1e}", case.name);
        assert!(error <= TOLERANCE, "{}: {error:.1e}", case.name);
    }
}

#[test]
fn a_filter_bank_has_patterns_of_its_own_in_every_band() {
    for case in cases("bank") {
        let count = |key: &str| case.get(key)[0] as usize;
        let snippet = format!("bands = {}\nfilters = {}", count("bands"), count("filters"));
        let (mut stage, spec) = case.fitted("csp", &snippet);
        assert_eq!(spec.cols, count("bands") * count("filters"));
        case.check("features", &case.run(stage.as_mut(), "held_out").concat(), TOLERANCE);
        let keep = count("keep");
        let (mut stage, spec) = case.fitted("csp", &format!("{snippet}\nkeep = {keep}"));
        assert_eq!(spec.cols, keep);
        case.check("kept", &case.run(stage.as_mut(), "held_out").concat(), TOLERANCE);
    }
}

#[test]
fn fgmdm_is_that_of_pyriemann() {
    for case in cases("fgmdm.") {
        case.check_scores(&case.decisions("fgmdm", ""));
    }
}

/// Below and above the threshold as by the formula in Python; what is not rejected is as without.
#[test]
fn what_is_like_no_class_is_rejected() {
    for (name, kind) in [("reject.mdm", "mdm"), ("reject.lda", "lda")] {
        let case = cases(name).remove(0);
        let z = case.get("z");
        let (mut plain, mut rejected) = (stage(kind, ""), 0);
        let (x, y) = (case.frames("x"), case.labels());
        plain.fitted().unwrap().fit(&Examples::new(&x, &y, &names(case.classes()))).unwrap();
        plain.prepare(&[case.spec()]).unwrap();
        for threshold in [0.5, 1.0, 2.0] {
            assert!(z.iter().all(|z| (z - threshold).abs() > 1e-6));
            let (mut stage, spec) = case.fitted(kind, &format!("reject = {threshold:?}"));
            assert_eq!(spec.classes.last().unwrap(), "none");
            assert!(stage.linear().is_none());
            for (x, z) in case.frames("held_out").into_iter().zip(&z) {
                let got = run(stage.as_mut(), x.clone()).unwrap().data;
                let mut want = run(plain.as_mut(), x).unwrap().data;
                if *z > threshold {
                    want.fill(0.0);
                    rejected += 1;
                }
                want.push(f64::from(*z > threshold));
                assert_eq!(got, want, "{name} at {threshold}: z {z}");
            }
        }
        assert!(rejected > 3 && rejected < 2 * z.len(), "{name}: {rejected} of {}", z.len());
    }
}

/// Every decoder of vectors, on examples that leave it little to learn: an answer that is finite and sums to
/// one, or an error, and in no time.
#[test]
fn degenerate_examples_give_an_answer_or_an_error() {
    let settings = [
        ("logistic", ""),
        ("logistic", "penalty = \"elastic\""),
        ("logistic", "penalty = \"elastic\"\nl1_ratio = 1.0"),
        ("lda", ""),
        ("lda", "shrinkage = \"none\""),
        ("svm", ""),
        ("svm", "kernel = \"rbf\""),
        ("svm", "c = 1e6\ncalibrate = false"),
        ("svm", "reject = 2.0"),
    ];
    let wave = |i: usize, j: usize| (1.3 * (i * 7 + j * 3) as f64 + (i * j) as f64).sin();
    type Maker<'a> = &'a dyn Fn(usize, usize, usize) -> f64;
    let sets: [(&str, usize, usize, Maker); 7] = [
        ("one example per class", 2, 4, &|i, j, _| wave(i, j)),
        ("identical", 12, 4, &|_, j, _| wave(3, j)),
        ("zeros", 12, 4, &|_, _, _| 0.0),
        ("identical within the class", 12, 4, &|_, j, k| wave(k, j)),
        ("constant features", 20, 4, &|i, j, _| if j < 3 { 5.0 } else { wave(i, j) }),
        ("separable", 40, 3, &|i, j, k| wave(i, j) + 50.0 * k as f64),
        ("wide", 10, 300, &|i, j, k| 1e3 * wave(i, j) + k as f64),
    ];
    for classes in [2, 3] {
        for (what, count, width, make) in &sets {
            let y: Vec<usize> = (0..count / 2 * classes).map(|i| i % classes).collect();
            let x: Vec<Frame> = y
                .iter()
                .enumerate()
                .map(|(i, k)| {
                    frame(1, *width, &(0..*width).map(|j| make(i, j, *k)).collect::<Vec<_>>())
                })
                .collect();
            for (kind, snippet) in settings {
                let told = format!("{kind} {snippet:?}, {classes} classes, {what}");
                let mut stage = stage(kind, snippet);
                match stage.fitted().unwrap().fit(&Examples::new(&x, &y, &names(classes))) {
                    Err(e) => println!("{told}: {e}"),
                    Ok(()) => {
                        stage.prepare(&[spec(Payload::Vector, 1, *width)]).unwrap();
                        for x in &x {
                            let p = run(stage.as_mut(), x.clone()).unwrap().data;
                            assert!(p.iter().all(|p| (0.0..=1.0).contains(p)), "{told}: {p:?}");
                            assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{told}: {p:?}");
                        }
                    }
                }
            }
        }
    }
}

/// What the examples of the conformance test leave out: other kernels, more classes, rejection, bands.
#[test]
fn variants_leave_the_heap_alone() {
    struct Nothing;
    impl Emit for Nothing {
        fn emit(&mut self, frame: &mut Frame) {
            frame.data.fill(f64::NAN);
        }
        fn count(&mut self, _cause: Cause, _n: u64) {}
    }
    for (name, kind, snippet) in [
        ("svm.rbf.150x5.4.scale", "svm", "kernel = \"rbf\"\nreject = 1.0"),
        ("svm.linear.150x5.4.1.0", "svm", ""),
        ("svm.linear.150x5.4.1.0", "svm", "calibrate = false"),
        ("lda.150x5.4.auto", "lda", "reject = 1.0"),
        ("fgmdm.5.4", "fgmdm", "reject = 1.0"),
        ("csp.8.4", "mdm", "reject = 1.0"),
        ("bank", "csp", "bands = 3\nfilters = 3\nkeep = 4"),
    ] {
        let case = cases(name).remove(0);
        let mut stage = case.fitted(kind, snippet).0;
        let mut frames = case.frames("held_out");
        stage.process(&mut frames[0], &mut Nothing).unwrap();
        let uses = heap::uses(|| {
            for frame in &mut frames[1..] {
                stage.process(frame, &mut Nothing).unwrap();
            }
        });
        assert_eq!(uses, 0, "{kind} {snippet}");
    }
}

#[test]
fn degenerate_matrices_give_an_answer_or_an_error() {
    let good = |a: f64| frame(2, 2, &[2.0 + a, 0.5, 0.5, 1.0]);
    let flat = frame(2, 2, &[1.0, 1.0, 1.0, 1.0]);
    for (kind, snippet) in
        [("csp", ""), ("csp", "keep = 1"), ("fgmdm", ""), ("mdm", "reject = 2.0")]
    {
        let fit = |x: &[Frame], y: &[usize]| {
            let mut stage = stage(kind, snippet);
            stage.fitted().unwrap().fit(&Examples::new(x, y, &names(2))).map(|()| stage)
        };
        assert!(fit(&[flat.clone(), flat.clone()], &[0, 1]).is_err(), "{kind}");
        assert!(fit(&[good(0.0), frame(1, 1, &[1.0])], &[0, 1]).is_err(), "{kind}");
        let same = [good(0.0), good(0.0), good(0.0), good(0.0)];
        for x in [same, [0.0, 1.0, 2.0, 4.0].map(good)] {
            if let Ok(mut stage) = fit(&x, &[0, 1, 0, 1]) {
                stage.prepare(&[spec(Payload::Matrix, 2, 2)]).unwrap();
                let out = run(stage.as_mut(), x[0].clone()).unwrap().data;
                assert!(out.iter().all(|v| v.is_finite()), "{kind}: {out:?}");
            }
        }
    }
}

#[test]
fn wrong_settings_name_their_key() {
    for (kind, snippet, key) in [
        ("svm", "c = 0.0", "c"),
        ("svm", "gamma = -1.0", "gamma"),
        ("lda", "shrinkage = 1.5", "shrinkage"),
        ("logistic", "l1_ratio = 2.0", "l1_ratio"),
        ("csp", "filters = 0", "filters"),
        ("csp", "keep = 0", "keep"),
        ("mdm", "reject = nan", "reject"),
    ] {
        let kind = kinds().find(|k| k.name == kind).unwrap();
        assert_eq!(kind.from_toml(snippet).err().unwrap().key(), Some(key), "{snippet}");
    }
    let svm = decode::KINDS.iter().find(|k| k.name == "svm").unwrap();
    let error = svm.from_toml("gamma = \"scal\"").err().unwrap().to_string();
    assert!(error.contains("expected \"scale\" or a number"), "{error}");
    assert!(svm.from_toml("gamma = 1").is_ok());
}
