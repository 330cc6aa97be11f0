//! Covariance: how the channels of a window go together.
//!
//! In: windows, n samples x p channels, whole or a step at a time. Out: one symmetric p x p matrix
//! per window, with the window's span, marks and text. Delay: none. Formulas:
//! [`crate::math::covariance`]; of windows that come a step at a time, [`crate::math::sliding`].
//! With `forget_s`, each matrix is averaged with those before it (`forgetting.rs`).

use super::forgetting::Forgetting;
use crate::error::{Error, Result};
use crate::frame::{Flags, Frame, Payload, Spec};
use crate::kind;
use crate::ledger::Cause;
use crate::math::covariance::{Covariance as Estimate, Estimator};
use crate::math::sliding::{Shape, Sliding};
use crate::stages::{Emit, Fault, Hops, Stage, single};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Turns a window into the covariance of its channels.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How it is estimated.
    #[serde(default)]
    pub estimator: Estimator,
    /// Averages over the windows of a stream, with older ones counting less and less: after so many
    /// seconds a window counts 1/e of what it did. The average begins anew after a gap, and where windows
    /// do not touch; epochs of markers are not averaged. None if it is left out.
    #[serde(default)]
    pub forget_s: Option<f64>,
}

impl kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "estimator = \"oas\"\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        if let Some(time_s) = self.forget_s.filter(|s| !(s.is_finite() && *s > 0.0)) {
            let text = format!("forget_s is {time_s}, expected more than 0");
            return Err(Error::setting("forget_s", text));
        }
        let (way, out) = (Way::Whole(0, Estimate::default()), Spec::markers().frame());
        Ok(Box::new(Covariance { settings: self, way, forgetting: None, out }))
    }
}

struct Covariance {
    settings: Settings,
    way: Way,
    forgetting: Option<Forgetting>,
    out: Frame,
}

/// How windows come: whole, of so many rows, or a step at a time.
enum Way {
    Whole(usize, Estimate),
    Hops(Box<Sliding>),
}

impl Stage for Covariance {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let spec = single(inputs, &[Payload::Window])?;
        let estimator = self.settings.estimator;
        if spec.hop.is_some() && self.takes_hops(spec) != Hops::Taken {
            return Err(Error::mismatch("takes whole windows, but is given steps"));
        }
        estimator.check(spec.rows, spec.cols)?;
        if self.settings.forget_s.is_some() && !(spec.rate_hz.is_finite() && spec.rate_hz > 0.0) {
            return Err(Error::setting("forget_s", "forget_s needs a stream with a sampling rate"));
        }
        let forgetting = |time_s| Forgetting::new(time_s, spec.rate_hz, spec.cols * spec.cols);
        self.forgetting = self.settings.forget_s.map(forgetting);
        self.way = match shape(spec) {
            Some(shape) => Way::Hops(Box::new(Sliding::new(estimator, shape))),
            None => Way::Whole(spec.rows, Estimate::new(estimator, spec.rows, spec.cols)),
        };
        let out = Spec { payload: Payload::Matrix, rows: spec.cols, hop: None, ..spec.clone() };
        self.out = out.frame();
        self.out.resize(out.rows, out.cols);
        Ok(out)
    }

    fn takes_hops(&self, windows: &Spec) -> Hops {
        let can = self.settings.estimator.needs_products_only();
        match shape(windows).is_some_and(|shape| can && shape.pays()) {
            true => Hops::Taken,
            false => Hops::Refused,
        }
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        match &mut self.way {
            _ if frame.rows == 0 => Ok(()),
            Way::Whole(rows, estimate) => {
                if frame.rows != *rows {
                    return Err(Fault("the covariance was given a window of another length"));
                }
                self.out.resize(frame.cols, frame.cols);
                estimate.estimate(&frame.data, &mut self.out.data);
                self.send(frame, emit)
            }
            Way::Hops(sliding) => {
                if frame.flags.has(Flags::GAP | Flags::PART) {
                    sliding.reset();
                }
                if !sliding.push(&frame.data) {
                    return Err(Fault("the covariance was given a step of another length"));
                }
                if frame.flags.has(Flags::PART) || !sliding.is_ready() {
                    return Ok(());
                }
                let size = sliding.size();
                self.out.resize(size, size);
                sliding.estimate(&mut self.out.data);
                self.send(frame, emit)
            }
        }
    }

    fn reset(&mut self) {
        if let Some(forgetting) = &mut self.forgetting {
            forgetting.reset();
        }
        if let Way::Hops(sliding) = &mut self.way {
            sliding.reset();
        }
    }
}

impl Covariance {
    /// Sends what was made of `frame`, if it is of use. A window that is not costs no samples: they
    /// are needed for the windows to come.
    fn send(&mut self, frame: &Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        if self.out.data.iter().all(|v| v.is_finite()) {
            if let Some(forgetting) = &mut self.forgetting {
                forgetting.apply(frame, &mut self.out.data);
            }
            self.out.copy_head(frame);
            emit.emit(&mut self.out);
        } else {
            emit.count(Cause::Fault, 1);
        }
        Ok(())
    }
}

/// The shape of windows that come a step at a time.
fn shape(spec: &Spec) -> Option<Shape> {
    let hop = spec.hop?;
    Some(Shape {
        rows: hop.window_rows(spec.rows),
        cols: spec.cols / hop.order,
        step: hop.rows,
        order: hop.order,
        lag: hop.lag,
        unused: hop.unused,
    })
}

#[cfg(test)]
mod tests {
    use crate::frame::{Flags, Payload, Span, Spec};
    use crate::ledger::Cause;
    use crate::stages::feature::KINDS;
    use crate::stages::testing::{Seen, numbers, samples};

    #[test]
    fn a_window_becomes_a_matrix() {
        let mut built = KINDS[1].from_toml("estimator = \"scm\"").unwrap();
        let window = Spec { payload: Payload::Window, rows: 3, ..samples(&["C3", "C4"], 100.0) };
        let out = built.unit.prepare(&[window]).unwrap();
        assert_eq!((out.payload, out.rows, out.cols), (Payload::Matrix, 2, 2));
        let mut seen = Seen::default();
        let mut frame = numbers(2, &[1.0, 4.0, 2.0, 5.0, 3.0, 9.0]);
        frame.span.last = 7;
        frame.text.push_str("T1");
        built.unit.process(&mut frame, &mut seen).unwrap();
        assert_eq!((seen.frames[0].span.last, seen.frames[0].text.as_str()), (7, "T1"));
        assert!((seen.frames[0].data[1] - 5.0 / 3.0).abs() < 1e-12);
        // What is not finite is no reason to start anew: the window is of no use, and counted.
        built.unit.process(&mut numbers(2, &[f64::NAN; 6]), &mut seen).unwrap();
        assert_eq!(seen.counts, [(Cause::Fault, 1)]);
        assert!(built.unit.process(&mut numbers(2, &[1.0; 4]), &mut seen).is_err());
        assert_eq!(seen.frames.len(), 1);
    }

    /// What comes out for windows of one channel, two samples each: `first`, variance, text, flags.
    fn averaged(forget_s: &str, windows: &[(u64, f64, &str, Flags)]) -> Vec<f64> {
        let toml = format!("estimator = \"scm\"\nforget_s = {forget_s}");
        let mut built = KINDS[1].from_toml(&toml).unwrap();
        let window = Spec { payload: Payload::Window, rows: 2, ..samples(&["C3"], 10.0) };
        built.unit.prepare(&[window]).unwrap();
        let mut seen = Seen::default();
        for (first, variance, text, flags) in windows {
            let mut frame = numbers(1, &[variance.sqrt(), -variance.sqrt()]);
            frame.span = Span { first: *first, last: first + 1, ..Span::default() };
            frame.text.push_str(text);
            frame.flags = *flags;
            built.unit.process(&mut frame, &mut seen).unwrap();
        }
        built.unit.reset();
        built.unit.process(&mut numbers(1, &[3.0, -3.0]), &mut seen).unwrap();
        assert!((seen.frames.pop().unwrap().data[0] - 9.0).abs() < 1e-12, "a reset forgets");
        seen.frames.iter().map(|f| f.data[0]).collect()
    }

    #[test]
    fn old_windows_are_forgotten() {
        let none = Flags::NONE;
        let close = |got: &[f64], want: &[f64]| {
            assert_eq!(got.len(), want.len());
            assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-12), "{got:?} {want:?}");
        };
        // Steps of 0.1 s and 0.2 s, with a time constant of 0.2 s.
        let (a, b) = ((-0.5_f64).exp(), (-1.0_f64).exp());
        let second = a + (1.0 - a) * 4.0;
        let third = b * second + (1.0 - b) * 9.0;
        let got = averaged("0.2", &[(0, 1.0, "", none), (1, 4.0, "", none), (3, 9.0, "", none)]);
        close(&got, &[1.0, second, third]);
        // Not across windows that do not touch, a gap, or when time goes back.
        let got = averaged("0.2", &[(0, 1.0, "", none), (3, 4.0, "", none), (0, 9.0, "", none)]);
        close(&got, &[1.0, 4.0, 9.0]);
        let got = averaged("0.2", &[(0, 1.0, "", none), (1, 4.0, "", Flags::GAP)]);
        close(&got, &[1.0, 4.0]);
        // Trials stand alone, even those that overlap, and nothing bleeds through them.
        let got = averaged(
            "0.2",
            &[(0, 1.0, "", none), (1, 4.0, "T1", none), (2, 9.0, "T2", none), (1, 4.0, "", none)],
        );
        close(&got, &[1.0, 4.0, 9.0, second]);
        // What is bad shows while it is there, and no longer.
        let got =
            averaged("0.2", &[(0, 1.0, "", none), (1, 1e6, "", Flags::BAD), (2, 9.0, "", none)]);
        close(&got, &[1.0, a + (1.0 - a) * 1e6, b + (1.0 - b) * 9.0]);
    }

    #[test]
    fn forgetting_takes_time() {
        for bad in ["0", "-1.0", "inf", "nan"] {
            let error = KINDS[1].from_toml(&format!("forget_s = {bad}")).err().unwrap();
            assert_eq!(error.key(), Some("forget_s"));
        }
        let mut built = KINDS[1].from_toml("forget_s = 1.0").unwrap();
        let timeless = Spec { payload: Payload::Window, rows: 3, ..samples(&["C3"], 0.0) };
        assert!(built.unit.prepare(&[timeless]).is_err());
    }

    #[test]
    fn the_default_shrinks() {
        assert_eq!(KINDS[1].from_toml("").unwrap().settings["estimator"], "oas");
        assert!(KINDS[1].from_toml("estimator = \"mcd\"").is_err());
    }
}
