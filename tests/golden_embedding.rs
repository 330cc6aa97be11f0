//! The choice of order and lag against a plain version of the same formulas (tests/golden/embedding.py).
//!
//! Picks, columns and windows must be equal, curves to 1e-9: both sum up some thousand terms in
//! another order, and beta is relative to no scale but its own, which is about one.

#![allow(clippy::unwrap_used)]

mod support;

use saltatory::math::embedding::mdop::{Embedding, mdop, over_epochs};
use saltatory::math::embedding::{Choice, cao, information, quick};
use support::Golden;

/// A set of epochs, and what is known of it.
struct Case {
    golden: Golden,
    name: String,
    channels: usize,
    x: Vec<Vec<f64>>,
}

impl Case {
    fn epochs(&self) -> Vec<&[f64]> {
        self.x.iter().map(Vec::as_slice).collect()
    }

    fn get(&self, key: &str) -> Vec<f64> {
        self.golden.array(&format!("{}.{key}", self.name)).1
    }

    fn choice(&self, key: &str) -> Choice {
        let numbers = self.get(key);
        Choice { order: numbers[0] as usize, lag: numbers[1] as usize }
    }

    fn check(&self, key: &str, got: &[f64]) {
        let want = self.get(key);
        assert_eq!(got.len(), want.len(), "{}.{key}", self.name);
        let error = got.iter().zip(&want).map(|(a, b)| (a - b).abs() / b.abs().max(1.0));
        // What is minus infinity on both sides is equal.
        let error =
            error.zip(got.iter().zip(&want)).map(|(e, (a, b))| if a == b { 0.0 } else { e });
        let worst = error.fold(0.0, |m: f64, e| if e.is_nan() { f64::INFINITY } else { m.max(e) });
        println!("{}.{key}: {worst:.1e}", self.name);
        assert!(worst <= 1e-9, "{}.{key}: error {worst:.1e}", self.name);
    }
}

fn cases() -> Vec<Case> {
    let names = Golden::open("embedding").names("");
    let cases: Vec<Case> = names
        .iter()
        .filter_map(|name| name.strip_suffix(".x"))
        .map(|name| {
            let golden = Golden::open("embedding");
            let (shape, x) = golden.array(&format!("{name}.x"));
            let x = x.chunks_exact(shape[1] * shape[2]).map(<[f64]>::to_vec).collect();
            Case { golden, name: name.to_string(), channels: shape[2], x }
        })
        .collect();
    assert_eq!(cases.len(), 6);
    cases
}

#[test]
fn self_information_is_that_of_the_formula() {
    for case in cases() {
        let mut got = Vec::new();
        for epoch in &case.x {
            for c in 0..case.channels {
                let series: Vec<f64> =
                    epoch.iter().skip(c).step_by(case.channels).copied().collect();
                got.extend(information::self_information(&series, information::LAGS).unwrap());
            }
        }
        case.check("information", &got);
    }
}

#[test]
fn mdop_is_that_of_the_formula() {
    for case in cases() {
        for (i, epoch) in case.x.iter().enumerate() {
            let found = mdop(epoch, case.channels).unwrap();
            let key = |what: &str| format!("mdop{i}.{what}");
            assert_eq!(case.get(&key("window")), [found.window as f64]);
            assert_eq!(columns(&found), case.get(&key("columns")), "{} {i}", case.name);
            assert_eq!(found.choice(), case.choice(&key("choice")), "{} {i}", case.name);
            let shares: Vec<f64> = found.cycles.iter().map(|cycle| cycle.false_share).collect();
            assert_eq!(shares, case.get(&key("shares")), "{} {i}", case.name);
            let beta: Vec<f64> =
                found.cycles.iter().flat_map(|cycle| &cycle.beta).copied().collect();
            case.check(&key("beta"), &beta);
        }
        let choice = over_epochs(&case.epochs(), case.channels).unwrap();
        assert_eq!(choice, case.choice("mdop.choice"), "{}", case.name);
    }
}

/// Channels and delays in the order in which they were taken, the one that was dropped at the end.
fn columns(found: &Embedding) -> Vec<f64> {
    let last = found.cycles.last().unwrap().taken;
    let all = found.columns.iter().chain([&last]);
    all.flat_map(|column| [column.channel as f64, column.delay as f64]).collect()
}

#[test]
fn cao_is_that_of_the_formula() {
    for case in cases() {
        let most = case.get("cao.e1").len();
        let want = case.choice("cao.choice");
        match cao::cao(&case.epochs(), case.channels, most) {
            Ok(found) => {
                assert_eq!(found.choice, want, "{}", case.name);
                case.check("cao.e1", &found.e1);
                case.check("cao.information", &found.information);
            }
            // Order 0 stands for none.
            Err(e) => assert_eq!(want.order, 0, "{}: {e}", case.name),
        }
    }
}

#[test]
fn the_rule_of_thumb_is_that_of_the_formula() {
    for case in cases() {
        let epochs = case.epochs();
        case.check("autocorrelation", &quick::autocorrelation(&epochs, case.channels).unwrap());
        let choice = quick::from_epochs(&epochs, case.channels).unwrap();
        assert_eq!(choice, case.choice("quick.choice"), "{}", case.name);
    }
}
