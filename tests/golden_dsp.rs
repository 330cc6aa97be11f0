//! Filters, covariances and the augmented transform against SciPy, scikit-learn and NumPy.
//!
//! Arrays and the script that made them: `tests/golden/dsp.py`.
#![allow(clippy::unwrap_used)]

mod support;

use saltatory::formats::{Content, Samples, Segment, Stream};
use saltatory::frame::{Channel, Frame, Payload, Spec};
use saltatory::ledger::Cause;
use saltatory::math::covariance::{Covariance, Estimator};
use saltatory::math::filter_design::{Band, butterworth, chebyshev, notch};
use saltatory::math::sos::{Cascade, Section};
use saltatory::stages::{self, Emit};
use support::{Golden, relative_error};

/// Coefficients: each one relative to itself. Both sides follow the same formula in float64; what is
/// left is rounding, which grows with the order and the narrowness of the band.
const COEFFICIENT: f64 = 1e-9;
/// Filtered samples, relative to the largest: the chain is the same as a whole, but its zeros lie in
/// other sections, its gain comes first and products are added without rounding, and a recursive
/// filter amplifies what rounding is left. The narrowest here keeps 1e-13.
const SAMPLE: f64 = 1e-12;
/// Covariances, relative to the largest entry: sums in another order.
const COVARIANCE: f64 = 1e-9;

fn rows(section: &Section) -> [f64; 6] {
    let ([b0, b1, b2], [a1, a2]) = (section.b, section.a);
    [b0, b1, b2, 1.0, a1, a2]
}

/// The largest difference of an entry relative to itself; zeros must be zeros to 1e-12.
fn entry_error(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let error = |(g, w): (&f64, &f64)| (g - w).abs() / w.abs().max(COEFFICIENT * 1e-3);
    got.iter().zip(want).map(error).fold(0.0, f64::max)
}

/// The largest difference of a coefficient of a chain; its gain, which may be tiny, is compared
/// relative to itself.
fn design_error(got: &[f64], want: &[f64]) -> f64 {
    let scaled = |sos: &[f64]| {
        let mut sos = sos.to_vec();
        let gain = sos[0];
        sos[..3].iter_mut().for_each(|b| *b /= gain);
        sos
    };
    entry_error(&scaled(got), &scaled(want)).max((got[0] / want[0] - 1.0).abs())
}

fn report(what: &str, worst: f64, tolerance: f64) {
    println!("{what}: largest relative error {worst:.1e}, tolerance {tolerance:.0e}");
    assert!(worst < tolerance, "{what}: {worst:e}");
}

#[test]
fn butterworth_designs_equal_scipy() {
    let golden = Golden::open("dsp");
    let mut worst: f64 = 0.0;
    let names = golden.names("butter/");
    assert!(names.len() > 150);
    for name in names {
        let parts: Vec<_> = name.split('/').collect();
        let [order, low, high, rate]: [f64; 4] =
            std::array::from_fn(|i| parts[i + 2].parse().unwrap());
        let band = match parts[1] {
            "low" => Band::Low(low),
            "high" => Band::High(low),
            "pass" => Band::Pass(low, high),
            _ => Band::Stop(low, high),
        };
        let got = butterworth(order as usize, band, rate).unwrap();
        let got: Vec<f64> = got.iter().flat_map(rows).collect();
        let (_, want) = golden.array(&name);
        let error = design_error(&got, &want);
        assert!(error < COEFFICIENT, "{name}: {error:e}\n{got:?}\n{want:?}");
        worst = worst.max(error);
    }
    report("butterworth", worst, COEFFICIENT);
}

#[test]
fn notches_equal_scipy() {
    let golden = Golden::open("dsp");
    let mut worst: f64 = 0.0;
    for name in golden.names("notch/") {
        let parts: Vec<f64> = name.split('/').skip(1).map(|p| p.parse().unwrap()).collect();
        let got = rows(&notch(parts[0], parts[1], parts[2]).unwrap());
        worst = worst.max(entry_error(&got, &golden.array(&name).1));
    }
    report("notch", worst, COEFFICIENT);
}

#[test]
fn chebyshev_designs_equal_scipy() {
    let golden = Golden::open("dsp");
    let mut worst: f64 = 0.0;
    let names = golden.names("chebyshev/");
    assert_eq!(names.len(), 7);
    for name in names {
        let parts: Vec<f64> = name.split('/').skip(1).map(|p| p.parse().unwrap()).collect();
        let got = chebyshev(parts[0] as usize, parts[1], parts[2], parts[3]).unwrap();
        let got: Vec<f64> = got.iter().flat_map(rows).collect();
        worst = worst.max(design_error(&got, &golden.array(&name).1));
    }
    report("chebyshev", worst, COEFFICIENT);
}

#[test]
fn decimation_equals_scipy_at_any_chunk_size() {
    let golden = Golden::open("dsp");
    let (shape, x) = golden.array("decimate/x");
    let kind = stages::kinds().find(|k| k.name == "decimate").unwrap();
    let mut worst: f64 = 0.0;
    for name in golden.names("decimate/y/") {
        let rate_hz = name.split('/').next_back().unwrap();
        let (want_shape, want) = golden.array(&name);
        for chunk in [1, 7, 50, shape[0]] {
            let mut stage = kind.from_toml(&format!("rate_hz = {rate_hz}.0")).unwrap().unit;
            let channels = (0..shape[1]).map(|c| Channel::named(format!("E{c}"))).collect();
            let spec = Spec::samples(channels, 600.0, chunk);
            assert_eq!(
                stage.prepare(std::slice::from_ref(&spec)).unwrap().rate_hz.to_string(),
                rate_hz
            );
            let (mut all, mut frame) = (All(Vec::new()), spec.frame());
            for (i, part) in x.chunks(chunk * shape[1]).enumerate() {
                frame.resize(part.len() / shape[1], shape[1]);
                frame.data.copy_from_slice(part);
                frame.span.first = (i * chunk) as u64;
                frame.span.last = frame.span.first + frame.rows as u64 - 1;
                stage.process(&mut frame, &mut all).unwrap();
            }
            assert_eq!(all.0.len(), want_shape[0] * want_shape[1]);
            worst = worst.max(relative_error(&all.0, &want));
        }
    }
    report("decimate", worst, SAMPLE);
}

#[test]
fn filtering_equals_scipy_at_any_chunk_size() {
    let golden = Golden::open("dsp");
    let (shape, x) = golden.array("filter/x");
    let mut worst: f64 = 0.0;
    for name in golden.names("filter/sos/") {
        let (_, sos) = golden.array(&name);
        let sections: Vec<_> = sos
            .chunks_exact(6)
            .map(|s| Section { b: [s[0], s[1], s[2]], a: [s[4], s[5]] })
            .collect();
        let (_, want) = golden.array(&name.replace("/sos/", "/y/"));
        for chunk in [1, 7, 50, shape[0]] {
            let mut cascade = Cascade::new(sections.clone(), shape[1]);
            let mut got = x.clone();
            got.chunks_mut(chunk * shape[1]).for_each(|part| cascade.process(part));
            worst = worst.max(relative_error(&got, &want));
        }
    }
    report("sosfilt", worst, SAMPLE);
}

#[test]
fn filtering_keeps_the_power_of_the_band() {
    let golden = Golden::open("dsp");
    let (_, mut x) = golden.array("power/x");
    let sections = butterworth(4, Band::Pass(8.0, 30.0), 250.0).unwrap();
    Cascade::new(sections, 1).process(&mut x);
    let half = &x[x.len() / 2..];
    let power = half.iter().map(|v| v * v).sum::<f64>() / half.len() as f64;
    // 5 %: Welch's estimate with a cut-off like a wall against a filter with slopes, over 5 s
    let want = golden.array("power/band").1[0];
    assert!((power / want - 1.0).abs() < 0.05, "{power} {want}");
}

#[test]
fn covariances_equal_scikit_learn() {
    let golden = Golden::open("dsp");
    for (folder, estimator) in
        [("scm", Estimator::Scm), ("oas", Estimator::Oas), ("lwf", Estimator::Lwf)]
    {
        let mut worst: f64 = 0.0;
        for name in golden.names("cov/x/") {
            let (shape, window) = golden.array(&name);
            let (_, want) = golden.array(&name.replace("/x/", &format!("/{folder}/")));
            let mut got = vec![0.0; want.len()];
            Covariance::new(estimator, shape[0], shape[1]).estimate(&window, &mut got);
            let error = relative_error(&got, &want);
            assert!(error < COVARIANCE, "{name} {folder}: {error:e}");
            worst = worst.max(error);
        }
        report(folder, worst, COVARIANCE);
    }
}

/// Copies of numbers: exact.
#[test]
fn augmented_windows_equal_numpy() {
    let golden = Golden::open("dsp");
    let (shape, x) = golden.array("augmented/x");
    let kind = stages::kinds().find(|k| k.name == "augmented").unwrap();
    let names: Vec<_> =
        ["compat", "tight"].iter().flat_map(|c| golden.names(&format!("augmented/{c}/"))).collect();
    assert_eq!(names.len(), 10);
    for name in names {
        let parts: Vec<_> = name.split('/').collect();
        let snippet = format!("crop = \"{}\"\norder = {}\nlag = {}", parts[1], parts[2], parts[3]);
        let mut stage = kind.from_toml(&snippet).unwrap().unit;
        let channels = (0..shape[1]).map(|c| Channel::named(format!("E{c}"))).collect();
        let samples = Spec::samples(channels, 100.0, shape[0]);
        let spec = Spec { payload: Payload::Window, ..samples };
        stage.prepare(std::slice::from_ref(&spec)).unwrap();
        let mut frame = spec.frame();
        frame.resize(shape[0], shape[1]);
        frame.data.copy_from_slice(&x);
        frame.span.last = shape[0] as u64 - 1;
        let mut only = Only(None);
        stage.process(&mut frame, &mut only).unwrap();
        let got = only.0.unwrap();
        let (want_shape, want) = golden.array(&name);
        assert_eq!([got.rows, got.cols], want_shape[..], "{name}");
        assert_eq!(got.data, want, "{name}");
    }
}

/// The numbers of all frames.
struct All(Vec<f64>);

impl Emit for All {
    fn emit(&mut self, frame: &mut Frame) {
        self.0.extend_from_slice(&frame.data);
    }
    fn count(&mut self, _: Cause, _: u64) {}
}

struct Only(Option<Frame>);

impl Emit for Only {
    fn emit(&mut self, frame: &mut Frame) {
        assert!(self.0.replace(frame.clone()).is_none());
    }
    fn count(&mut self, _: Cause, _: u64) {}
}

/// Seconds at both ends that are not compared: SciPy continues the signal by 27 samples and starts the
/// filters as if it had always been what it is there, we continue it by 3 s and start from nothing. What
/// is left of the difference dies away as exp(-20 t).
const ENDS_S: f64 = 2.0;

#[test]
fn filters_without_delay_equal_sosfiltfilt() {
    let golden = Golden::open("dsp");
    let (x, want) = (golden.array("both_ways/x").1, golden.array("both_ways/y").1);
    let channels = vec![Channel::named("a"), Channel::named("b")];
    let segments = vec![Segment { first_row: 0, rows: x.len() / 2, start_s: 0.0 }];
    let samples = Samples { cols: 2, values: x, segments, stamps: None };
    let mut stream = Stream {
        name: String::new(),
        kind: "EEG".into(),
        source_id: String::new(),
        channels,
        rate_hz: 160.0,
        content: Content::Samples(samples),
    };
    let kind = stages::kinds().find(|k| k.name == "bandpass").unwrap();
    let mut filter = kind.from_toml("low_hz = 8.0\nhigh_hz = 30.0").unwrap().unit;
    saltatory::fit::both_ways(filter.as_mut(), &mut stream).unwrap();
    let Content::Samples(got) = stream.content else { panic!("samples stay samples") };
    let ends = (ENDS_S * 160.0) as usize * 2;
    let inside = |v: &[f64]| v[ends..v.len() - ends].to_vec();
    let worst = relative_error(&inside(&got.values), &inside(&want));
    report("forward and backward", worst, 1e-9);
}
