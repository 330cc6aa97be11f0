//! Augmented windows against MOABB's `AugmentedDataset`, over the authors' whole grid of orders and lags,
//! and their covariance against NumPy's (tests/golden/augmented.py).
//!
//! Tolerances: none for the windows, which are copies; 1e-12 of the largest entry for the covariances, which
//! are sums of at most 107 products in another order.

#![allow(clippy::unwrap_used)]

mod support;

use saltatory::frame::{Channel, Flags, Frame, Payload, Span, Spec};
use saltatory::math::augmented::{Crop, Orders, Shape, augmented_covariance};
use saltatory::math::covariance::Estimator;
use saltatory::stages::{Emit, kinds};
use support::{Golden, relative_error};

const GRID: std::ops::RangeInclusive<usize> = 1..=10;

/// Sends the window through stages, and gives back what comes out of the last one.
fn through(stages: &[(&str, &str)], golden: &Golden) -> Frame {
    let (shape, data) = golden.array("x");
    let channels = (0..shape[1]).map(|c| Channel::named(c.to_string())).collect();
    let samples = Spec::samples(channels, 250.0, shape[0]);
    let mut spec = Spec { payload: Payload::Window, rows: shape[0], ..samples };
    let mut frame = spec.frame();
    frame.resize(shape[0], shape[1]);
    frame.data.copy_from_slice(&data);
    frame.flags = Flags::NONE;
    let last = shape[0] as u64 - 1;
    frame.span = Span { last, last_s: last as f64 / 250.0, ..Span::default() };
    for (kind, snippet) in stages {
        let kind = kinds().find(|k| k.name == *kind).unwrap();
        let mut stage = kind.from_toml(snippet).unwrap().unit;
        spec = stage.prepare(std::slice::from_ref(&spec)).unwrap();
        let mut kept = Kept(None);
        stage.process(&mut frame, &mut kept).unwrap();
        frame = kept.0.unwrap();
        assert_eq!((frame.rows, frame.cols), (spec.rows, spec.cols));
    }
    frame
}

struct Kept(Option<Frame>);

impl Emit for Kept {
    fn emit(&mut self, frame: &mut Frame) {
        self.0 = Some(frame.clone());
    }

    fn count(&mut self, cause: saltatory::ledger::Cause, n: u64) {
        panic!("{cause:?} {n}");
    }
}

#[test]
fn windows_are_those_of_moabb_to_the_last_bit() {
    let golden = Golden::open("augmented");
    for (order, lag) in GRID.flat_map(|order| GRID.map(move |lag| (order, lag))) {
        let settings = format!("order = {order}\nlag = {lag}\ncrop = \"compat\"");
        let got = through(&[("augmented", &settings)], &golden);
        let (shape, want) = golden.array(&format!("{order}.{lag}.z"));
        assert_eq!([got.rows, got.cols], shape[..], "order {order} lag {lag}");
        let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert!(bits(&got.data) == bits(&want), "order {order} lag {lag}");
    }
}

#[test]
fn covariances_are_those_of_numpy_in_every_way() {
    let golden = Golden::open("augmented");
    let (shape, x) = golden.array("x");
    let (rows, cols) = (shape[0], shape[1]);
    let mut worst = 0.0_f64;
    for lag in GRID {
        let shape = Shape { rows, cols, lag, most: *GRID.end() };
        let mut orders = Orders::new(Estimator::Cov, Crop::Compat, shape).unwrap();
        orders.take(&x).unwrap();
        for order in GRID {
            let want = golden.array(&format!("{order}.{lag}.cov")).1;
            let settings = format!("order = {order}\nlag = {lag}\ncrop = \"compat\"");
            let stages = [("augmented", settings.as_str()), ("covariance", "estimator = \"cov\"")];
            let of_stages = through(&stages, &golden).data;
            let at = (order, lag);
            let alone = augmented_covariance(&x, cols, at, Crop::Compat, Estimator::Cov).unwrap();
            let mut shared = vec![f64::NAN; (order * cols).pow(2)];
            orders.estimate(order, &mut shared).unwrap();
            for got in [of_stages, alone, shared] {
                let error = relative_error(&got, &want);
                worst = worst.max(error);
                assert!(error <= 1e-12, "order {order} lag {lag}: error {error:.1e}");
            }
        }
    }
    println!("worst {worst:.1e}");
}
