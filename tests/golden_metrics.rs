//! Robust estimators, metrics of SPD matrices and block Toeplitz matrices against pyRiemann and NumPy
//! (tests/golden/metrics.py).
//!
//! Tolerance: 1e-8, relative to the largest number wanted. Logarithms are compared relative to at least
//! one: that of an eigenvalue near one is known to within epsilon, not to within a share of itself.

#![allow(clippy::unwrap_used)]

#[path = "support/heap.rs"]
mod heap;
mod support;

use saltatory::frame::{Frame, Payload, Spec};
use saltatory::math::covariance::{Covariance, Estimator};
use saltatory::math::spd::{Geometry, Metric, NotSpd, Spd, tangent_len};
use saltatory::math::toeplitz::{Coordinates, Toeplitz};
use saltatory::stages::{Examples, Stage, kinds};
use support::stages::{frame, names, run, spec, stage};
use support::{Golden, relative_error};

const TOLERANCE: f64 = 1e-8;
/// M^-1/2 of a matrix of condition k = 1e9 is known to epsilon k = 2e-7: its least eigenvalue to that share of
/// itself. That is true of pyRiemann's as well as of ours.
const ILL: f64 = 2e-7;

const METRICS: [(&str, Metric); 6] = [
    ("riemann", Metric::Riemann),
    ("logeuclid", Metric::LogEuclid),
    ("euclid", Metric::Euclid),
    ("logchol", Metric::LogChol),
    ("wasserstein", Metric::Wasserstein),
    ("logdet", Metric::LogDet),
];

fn check(what: &str, error: f64, tolerance: f64) {
    println!("{what}: {error:.1e}");
    assert!(error <= tolerance, "{what}: error {error:.1e}, allowed {tolerance:.1e}");
}

/// The largest difference, relative to the largest number wanted but at least to one.
fn log_error(got: &[f64], want: &[f64]) -> f64 {
    let scale = want.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    relative_error(got, want) * scale / scale.max(1.0)
}

/// The names before `/x` of all sets under `folder`.
fn sets(golden: &Golden, folder: &str) -> Vec<String> {
    let names = golden.names(folder);
    let sets: Vec<_> =
        names.iter().filter_map(|n| n.strip_suffix("/x")).map(str::to_string).collect();
    assert!(!sets.is_empty(), "{folder} is empty");
    sets
}

/// The metrics that are compared on this set.
fn metrics(golden: &Golden, set: &str) -> impl Iterator<Item = (&'static str, Metric)> {
    let there = golden.names(set);
    METRICS
        .into_iter()
        .filter(move |(name, _)| there.iter().any(|n| n.ends_with(&format!("/{name}/mean"))))
}

/// The M-estimators stop where pyRiemann does, so they are compared as closely as the others. Tolerance: sums in
/// another order; Huber's rests on SciPy's quantile of chi-squared, which is known to some 1e-11.
#[test]
fn estimators_are_those_of_numpy_and_pyriemann() {
    let golden = Golden::open("metrics");
    let mut count = 0;
    for (folder, estimator) in [
        ("cov", Estimator::Cov),
        ("sch", Estimator::Sch),
        ("hub", Estimator::Hub),
        ("tyl", Estimator::Tyl),
    ] {
        for name in golden.names(&format!("cov/{folder}/")) {
            let (shape, window) = golden.array(&name.replace(&format!("/{folder}/"), "/x/"));
            let (_, want) = golden.array(&name);
            let mut got = vec![f64::NAN; want.len()];
            let mut covariance = Covariance::new(estimator, shape[0], shape[1]);
            covariance.estimate(&window, &mut got);
            check(&name, relative_error(&got, &want), 1e-10);
            let uses = heap::uses(|| covariance.estimate(&window, &mut got));
            assert_eq!(uses, 0, "{name}: uses of the heap");
            count += 1;
        }
    }
    assert_eq!(count, 42);
}

#[test]
fn windows_that_are_too_short_for_an_estimator_are_refused() {
    for (estimator, rows) in [("cov", 2), ("sch", 2), ("hub", 4), ("tyl", 4)] {
        let window = |rows| Spec { payload: Payload::Window, ..spec(Payload::Window, rows, 3) };
        let toml = format!("estimator = \"{estimator}\"");
        let error = stage("covariance", &toml).prepare(&[window(rows - 1)]).unwrap_err();
        assert!(error.to_string().contains("at least"), "{error}");
        assert!(stage("covariance", &toml).prepare(&[window(rows)]).is_ok());
    }
    // Channels that depend on each other: a fault of the window, not a number.
    let mut covariance = Covariance::new(Estimator::Tyl, 4, 2);
    let mut out = [0.0; 4];
    covariance.estimate(&[1.0, 1.0, 2.0, 2.0, -3.0, -3.0, 0.5, 0.5], &mut out);
    assert!(out.iter().all(|v| v.is_nan()));
    // A sample at the mean has no direction.
    covariance.estimate(&[0.0, 0.0, 1.0, 0.0, -1.0, 1.0, 0.0, -1.0], &mut out);
    assert!(out.iter().all(|v| v.is_finite()) && (out[0] + out[3] - 2.0).abs() < 1e-12);
}

#[test]
fn means_and_distances_are_those_of_pyriemann() {
    let golden = Golden::open("metrics");
    for set in sets(&golden, "spd/") {
        let (shape, x) = golden.array(&format!("{set}/x"));
        let n = shape[1];
        let x: Vec<&[f64]> = x.chunks_exact(n * n).collect();
        for (name, metric) in metrics(&golden, &set) {
            let key = |key: &str| format!("{set}/{name}/{key}");
            let mut geometry = Geometry::new(metric, n);
            let mean = geometry.mean(&x, None).unwrap();
            assert!(mean.converged, "{}: {:e}", key("mean"), mean.gradient);
            check(
                &key("mean"),
                relative_error(&mean.matrix, &golden.array(&key("mean")).1),
                TOLERANCE,
            );
            if n < 88 {
                let weights = golden.array(&format!("{set}/weights")).1;
                let mean = geometry.mean(&x, Some(&weights)).unwrap();
                let want = golden.array(&key("mean_weighted")).1;
                check(&key("mean_weighted"), relative_error(&mean.matrix, &want), TOLERANCE);
            }
            let reference = [geometry.reference(x[0]).unwrap()];
            let mut got = vec![0.0; x.len() - 1];
            for (c, d) in x[1..].iter().zip(&mut got) {
                geometry.distances(c, &reference, std::slice::from_mut(d)).unwrap();
                let back = geometry.distance(c, x[0]).unwrap();
                check(&key("distance, symmetric"), (back / *d - 1.0).abs(), TOLERANCE);
            }
            let want = golden.array(&key("distance")).1;
            check(&key("distance"), relative_error(&got, &want), TOLERANCE);
        }
    }
}

#[test]
fn tangent_spaces_and_geodesics_are_those_of_pyriemann() {
    let golden = Golden::open("metrics");
    for set in sets(&golden, "spd/") {
        let (shape, x) = golden.array(&format!("{set}/x"));
        let n = shape[1];
        let x: Vec<&[f64]> = x.chunks_exact(n * n).collect();
        for (name, metric) in metrics(&golden, &set).filter(|(_, m)| m.has_tangent()) {
            let key = |key: &str| format!("{set}/{name}/{key}");
            let get = |k: &str| golden.array(&key(k)).1;
            let error = |got: &[f64], want: &[f64]| match metric {
                Metric::Riemann => log_error(got, want),
                _ => relative_error(got, want),
            };
            let tolerance = match metric {
                Metric::Riemann if set.contains("ill") => ILL,
                _ => TOLERANCE,
            };
            let mut geometry = Geometry::new(metric, n);
            let at = geometry.tangent_at(&get("mean")).unwrap();
            let mut vector = vec![0.0; tangent_len(n)];
            let (mut log, mut back) = (vec![0.0; n * n], vec![0.0; n * n]);
            let wanted = get("tangent");
            for (c, want) in x.iter().zip(wanted.chunks_exact(tangent_len(n))) {
                geometry.tangent(&at, c, &mut vector).unwrap();
                check(&key("tangent"), error(&vector, want), tolerance);
                geometry.log_map(&at, c, &mut log).unwrap();
                geometry.exp_map(&at, &log, &mut back).unwrap();
                check(&key("there and back"), relative_error(&back, c), TOLERANCE);
            }
            if n == 88 {
                continue;
            }
            geometry.exp_map(&at, &get("direction"), &mut back).unwrap();
            check(&key("exp"), relative_error(&back, &get("exp")), TOLERANCE);
            let places: &[f64] = if n < 22 { &[0.0, 0.3, 0.5, 1.0] } else { &[0.3] };
            let geodesic = get("geodesic");
            assert_eq!(geodesic.len(), places.len() * n * n);
            for (t, want) in places.iter().zip(geodesic.chunks(n * n)) {
                geometry.geodesic(x[0], x[1], *t, &mut back).unwrap();
                check(&key("geodesic"), relative_error(&back, want), TOLERANCE);
            }
        }
    }
}

#[test]
fn only_logdet_has_no_tangent_space() {
    let one = [1.0, 0.0, 0.0, 1.0];
    let mut geometry = Geometry::new(Metric::LogDet, 2);
    assert!(geometry.tangent_at(&one).unwrap_err().to_string().contains("`logdet`"));
    assert!(geometry.geodesic(&one, &one, 0.5, &mut [0.0; 4]).is_err());
    let tangent = kinds().find(|k| k.name == "tangent").unwrap();
    let error = tangent.from_toml("metric = \"logdet\"").err().unwrap();
    assert_eq!(error.key(), Some("metric"));
    assert!(tangent.from_toml("metric = \"frobenius\"").is_err());
}

/// Tolerance: 1e-6, relative to a probability of one.
#[test]
fn mdm_of_every_metric_is_that_of_pyriemann() {
    let golden = Golden::open("metrics");
    for set in sets(&golden, "spd/").iter().filter(|s| !s.ends_with("88")) {
        let (shape, mut x) = golden.array(&format!("{set}/x"));
        let (count, n) = (shape[0], shape[1]);
        let scale = golden.array(&format!("{set}/scale")).1[0];
        x.iter_mut().for_each(|v| *v *= scale);
        let frames: Vec<Frame> = x.chunks_exact(n * n).map(|x| frame(n, n, x)).collect();
        let labels: Vec<usize> = (0..count).map(|i| i * 2 / count).collect();
        let weights = golden.array(&format!("{set}/weights")).1;
        for (name, _) in METRICS {
            let mut mdm = stage("mdm", &format!("metric = \"{name}\""));
            let classes = names(2);
            let examples =
                Examples { weights: &weights, ..Examples::new(&frames, &labels, &classes) };
            let got = scores(mdm.as_mut(), &examples, n);
            let want = golden.array(&format!("{set}/{name}/mdm")).1;
            let error = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            check(&format!("{set}/{name}/mdm"), error, 1e-6);
        }
    }
}

#[test]
fn weights_of_examples_count() {
    let golden = Golden::open("metrics");
    let (shape, x) = golden.array("spd/well/08/x");
    let n = shape[1];
    let frames: Vec<Frame> = x.chunks_exact(n * n).map(|x| frame(n, n, x)).collect();
    let labels = vec![0; frames.len()];
    let weights = golden.array("spd/well/08/weights").1;
    let learned = |metric: &str, frames: &[Frame], labels: &[usize], weights: &[f64]| {
        let mut tangent = stage("tangent", &format!("metric = \"{metric}\""));
        let classes = names(1);
        let examples = Examples { weights, ..Examples::new(frames, labels, &classes) };
        tangent.fitted().unwrap().fit(&examples)?;
        tangent.fitted().unwrap().save().map(|part| part.tensors["reference"].data.clone())
    };
    for (metric, _) in METRICS.into_iter().filter(|(_, m)| m.has_tangent()) {
        let got = learned(metric, &frames, &labels, &weights).unwrap();
        let want = golden.array(&format!("spd/well/08/{metric}/mean_weighted")).1;
        check(metric, relative_error(&got, &want), TOLERANCE);
        // Those that count nothing are not there.
        let mut some = vec![1.0; frames.len()];
        some[3..].fill(0.0);
        let got = learned(metric, &frames, &labels, &some).unwrap();
        let want = learned(metric, &frames[..3], &labels[..3], &[]).unwrap();
        assert_eq!(got, want);
    }
    assert!(learned("riemann", &frames, &labels, &weights[1..]).is_err());
    assert!(learned("riemann", &frames, &labels, &vec![-1.0; frames.len()]).is_err());
}

#[test]
fn the_stage_sends_the_vectors_of_its_metric() {
    let golden = Golden::open("metrics");
    let (shape, x) = golden.array("spd/well/08/x");
    let n = shape[1];
    let frames: Vec<Frame> = x.chunks_exact(n * n).map(|x| frame(n, n, x)).collect();
    for (name, metric) in METRICS.into_iter().filter(|(_, m)| m.has_tangent()) {
        let mut tangent = stage("tangent", &format!("metric = \"{name}\""));
        tangent.fitted().unwrap().fit(&Examples::new(&frames, &[], &[])).unwrap();
        tangent.prepare(&[spec(Payload::Matrix, n, n)]).unwrap();
        let got: Vec<f64> =
            frames.iter().flat_map(|x| run(tangent.as_mut(), x.clone()).unwrap().data).collect();
        let want = golden.array(&format!("spd/well/08/{name}/tangent")).1;
        check(name, relative_error(&got, &want), TOLERANCE);
        // Other metrics keep to vectors; their products would not be the cheaper ones.
        assert_eq!(tangent.absorb(&vec![1.0; tangent_len(n)]), metric == Metric::Riemann);
    }
}

/// The log-det mean of two matrices is their geometric mean (Sra), however far they are apart.
#[test]
fn two_matrices_have_one_middle() {
    let golden = Golden::open("metrics");
    for (set, scale) in [("spd/well/03", 1e4), ("spd/wide/08", 1e3), ("spd/ill/08", 1.0)] {
        let (shape, x) = golden.array(&format!("{set}/x"));
        let n = shape[1];
        let a = &x[..n * n];
        let b: Vec<f64> = x[n * n..2 * n * n].iter().map(|v| v * scale).collect();
        let mean = Geometry::new(Metric::LogDet, n).mean(&[a, &b], None).unwrap();
        assert!(mean.converged, "{set}: {:e}", mean.gradient);
        let mut want = vec![0.0; n * n];
        Spd::new(n).geodesic(a, &b, 0.5, &mut want).unwrap();
        // The gradient is flatter than the logarithm by up to cosh(ln(scale) / 2)^2.
        check(set, relative_error(&mean.matrix, &want), 1e-5);
    }
}

/// An error or a right answer, never a number that is not one.
#[test]
fn degenerate_matrices_give_errors_or_answers() {
    let good = [2.0, 0.5, 0.5, 1.0];
    let bad: [[f64; 4]; 6] = [
        [1.0, 1.0, 1.0, 1.0],
        [0.0; 4],
        [1.0, 0.0, 0.0, -1.0],
        [f64::NAN, 0.0, 0.0, 1.0],
        [f64::INFINITY, 0.0, 0.0, 1.0],
        [1e200, 0.0, 0.0, 1e200],
    ];
    for (name, metric) in METRICS {
        let mut geometry = Geometry::new(metric, 2);
        for c in &bad {
            if let Ok(d) = geometry.distance(&good, c) {
                assert!(d.is_finite() && metric == Metric::Euclid, "{name} {c:?}: {d}");
            }
            if let Ok(mean) = geometry.mean(&[&good, c], None) {
                assert!(mean.matrix.iter().all(|v| v.is_finite()) && metric == Metric::Euclid);
            }
            let mut out = [0.0; 4];
            if geometry.geodesic(&good, c, 0.5, &mut out).is_ok() {
                assert!(out.iter().all(|v| v.is_finite()) && metric == Metric::Euclid, "{name}");
            }
            if metric.has_tangent() {
                let at = geometry.tangent_at(&good).unwrap();
                if geometry.tangent(&at, c, &mut out[..3]).is_ok() {
                    assert!(out.iter().all(|v| v.is_finite()) && metric == Metric::Euclid);
                }
                assert!(
                    geometry.tangent_at(c).is_err() || metric == Metric::Euclid,
                    "{name} {c:?}"
                );
            }
        }
        assert!(geometry.mean(&[], None).is_err());
        assert!(geometry.mean(&[&good, &good[..3]], None).is_err());
        assert!(geometry.mean(&[&good], Some(&[0.0])).is_err());
        assert!(geometry.distance(&good, &good).unwrap() < 1e-14, "{name}");
    }
}

/// Tolerance: rounding, relative to the largest number.
#[test]
fn a_step_along_a_geodesic_is_a_mean_that_follows() {
    let golden = Golden::open("metrics");
    for set in ["spd/well/08", "spd/ill/22", "spd/wide/03"] {
        let (shape, x) = golden.array(&format!("{set}/x"));
        let n = shape[1];
        let x: Vec<&[f64]> = x.chunks_exact(n * n).collect();
        let mut spd = Spd::new(n);
        let (mut mean, mut next) = (x[0].to_vec(), vec![0.0; n * n]);
        spd.geodesic(&mean, x[1], 0.5, &mut next).unwrap();
        let want = spd.mean(&x[..2], None).unwrap().matrix;
        check(set, relative_error(&next, &want), TOLERANCE);
        let half = spd.distance(&next, x[1]).unwrap();
        check(set, (2.0 * half / spd.distance(x[0], x[1]).unwrap() - 1.0).abs(), TOLERANCE);
        let uses = heap::uses(|| {
            for (i, c) in x[1..].iter().enumerate() {
                spd.geodesic(&mean, c, 1.0 / (i as f64 + 2.0), &mut next).unwrap();
                std::mem::swap(&mut mean, &mut next);
            }
        });
        assert_eq!(uses, 0);
        assert_eq!(spd.geodesic(&mean, x[0], f64::NAN, &mut next), Err(NotSpd::NotFinite));
    }
    let mut spd = Spd::new(2);
    let mut out = [0.0; 4];
    spd.congruence(&[1.0, 2.0, 0.0, 3.0], &[2.0, 1.0, 1.0, 5.0], &mut out);
    assert_eq!(out, [26.0, 33.0, 33.0, 45.0]);
}

#[test]
fn distances_and_tangent_vectors_use_no_heap() {
    let golden = Golden::open("metrics");
    for set in ["spd/well/22", "spd/well/88"] {
        let (shape, x) = golden.array(&format!("{set}/x"));
        let n = shape[1];
        let x: Vec<&[f64]> = x.chunks_exact(n * n).collect();
        for (name, metric) in METRICS {
            let mut geometry = Geometry::new(metric, n);
            let references: Vec<_> = x.iter().map(|m| geometry.reference(m).unwrap()).collect();
            let at = geometry.tangent_at(x[0]).ok();
            let (mut d, mut v) = (vec![0.0; x.len()], vec![0.0; tangent_len(n)]);
            let mut work = || {
                geometry.distances(x[1], &references, &mut d).unwrap();
                if let Some(at) = &at {
                    geometry.tangent(at, x[1], &mut v).unwrap();
                }
            };
            work();
            assert_eq!(heap::uses(work), 0, "{set} {name}");
        }
    }
    let (shape, x) = golden.array("toeplitz/3x16/x");
    let x: Vec<&[f64]> = x.chunks_exact(shape[1] * shape[1]).collect();
    let mut toeplitz = Toeplitz::new(3, 16);
    let mean = toeplitz.mean(&x, None).unwrap();
    let (centre, at) = (toeplitz.centre(&mean).unwrap(), toeplitz.tangent_at(&mean).unwrap());
    let (mut d, mut v) = ([0.0], vec![0.0; toeplitz.tangent_len()]);
    let mut work = || {
        toeplitz.distances_squared(x[0], std::slice::from_ref(&centre), &mut d).unwrap();
        toeplitz.tangent(&at, x[0], &mut v).unwrap();
    };
    work();
    assert_eq!(heap::uses(work), 0, "block Toeplitz");
}

#[test]
fn block_toeplitz_matrices_are_those_of_numpy() {
    let golden = Golden::open("metrics");
    for set in sets(&golden, "toeplitz/") {
        let get = |key: &str| golden.array(&format!("{set}/{key}")).1;
        let (shape, x) = golden.array(&format!("{set}/omegas"));
        assert_eq!(x.len(), shape.iter().product::<usize>());
        let (order, n) = (shape[0] + 1, golden.array(&format!("{set}/power")).0[0]);
        let (shape, x) = golden.array(&format!("{set}/x"));
        let (count, size) = (shape[0], shape[1]);
        let frames: Vec<Frame> =
            x.chunks_exact(size * size).map(|x| frame(size, size, x)).collect();
        let x: Vec<&[f64]> = x.chunks_exact(size * size).collect();
        let mut toeplitz = Toeplitz::new(order, n);
        let check = |key: &str, got: &[f64], want: &[f64]| {
            check(&format!("{set}/{key}"), relative_error(got, want), TOLERANCE);
        };
        let first = toeplitz.coordinates(x[0]).unwrap();
        check("power", &first.power, &get("power"));
        check("omegas", &first.omegas, &get("omegas"));
        let centre = [toeplitz.centre(&first).unwrap()];
        let mut squared = vec![0.0; count];
        for (c, d) in x.iter().zip(&mut squared) {
            toeplitz.distances_squared(c, &centre, std::slice::from_mut(d)).unwrap();
        }
        assert!(squared[0] < 1e-24);
        check("squared", &squared, &get("squared"));

        let mean = toeplitz.mean(&x, Some(&get("weights"))).unwrap();
        let (power, omegas) = (get("mean_power"), get("mean_omegas"));
        check("mean_power", &mean.power, &power);
        check("mean_omegas", &mean.omegas, &omegas);
        let at = toeplitz.tangent_at(&Coordinates { power, omegas }).unwrap();
        let mut vector = vec![0.0; toeplitz.tangent_len()];
        let mut sum = vec![0.0; vector.len()];
        let mut norms = Vec::new();
        for (c, w) in x.iter().zip(get("weights")) {
            toeplitz.tangent(&at, c, &mut vector).unwrap();
            norms.push(vector.iter().map(|v| v * v).sum::<f64>());
            sum.iter_mut().zip(&vector).for_each(|(sum, v)| *sum += w * v);
        }
        check("norms", &norms, &get("norms"));
        let gradient = sum.iter().map(|v| v * v).sum::<f64>().sqrt();
        let scale = get("weights").iter().sum::<f64>();
        assert!(
            gradient < 1e-7 * scale,
            "{set}: the tangent vectors at the mean sum to {gradient:e}"
        );

        let weights = get("weights");
        let labels: Vec<usize> = (0..count).map(|i| i * 2 / count).collect();
        let classes = names(2);
        let examples = Examples { weights: &weights, ..Examples::new(&frames, &labels, &classes) };
        let mut decoder = stage("bt_mdm", &format!("order = {order}"));
        let got = scores(decoder.as_mut(), &examples, size);
        check("mdm", &got, &get("mdm"));
        if order == 1 {
            let plain = scores(stage("mdm", "").as_mut(), &examples, size);
            check("mdm of order 1", &got, &plain);
        }
        let part = decoder.fitted().unwrap().save().unwrap();
        assert!(stage("bt_mdm", "order = 9").fitted().unwrap().load(&part).is_err());
        assert!(stage("bt_mdm", "order = 7").fitted().unwrap().fit(&examples).is_err());
    }
}

/// An average of blocks need not be positive; then there is an error, and no number.
#[test]
fn what_is_no_covariance_of_a_stationary_signal_is_refused() {
    let mut toeplitz = Toeplitz::new(2, 1);
    assert_eq!(toeplitz.coordinates(&[1.0, 0.9, 0.9, 1.0]).unwrap().omegas, [0.9]);
    for bad in [[1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 2.0, 1.0], [0.0; 4], [f64::NAN; 4], [1e200; 4]] {
        assert!(toeplitz.coordinates(&bad).is_err(), "{bad:?}");
    }
    // Positive, but its averaged blocks are not: (1, 3, 6) of three lags.
    let c = [9.0, 3.0, 6.0, 3.0, 1.0 + 1e-3, 2.0, 6.0, 2.0, 4.0 + 1e-3];
    assert!(Spd::new(3).distance(&c, &c).is_ok());
    assert_eq!(Toeplitz::new(3, 1).coordinates(&c), Err(NotSpd::NotPositive));
}

/// The probabilities that a decoder, fitted on `examples` of size `n`, gives to them.
fn scores(decoder: &mut dyn Stage, examples: &Examples<'_>, n: usize) -> Vec<f64> {
    decoder.fitted().unwrap().fit(examples).unwrap();
    decoder.prepare(&[spec(Payload::Matrix, n, n)]).unwrap();
    examples.frames.iter().flat_map(|x| run(decoder, x.clone()).unwrap().data).collect()
}
