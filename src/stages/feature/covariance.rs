//! Covariance: how the channels of a window go together.
//!
//! In: windows, n samples x p channels, whole or a step at a time. Out: one symmetric p x p matrix
//! per window, with the window's span, marks and text. Delay: none. Formulas:
//! [`crate::math::covariance`]; of windows that come a step at a time, [`crate::math::sliding`].

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
}

impl kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "estimator = \"oas\"\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        let way = Way::Whole(0, Estimate::default());
        Ok(Box::new(Covariance { settings: self, way, out: Spec::markers().frame() }))
    }
}

struct Covariance {
    settings: Settings,
    way: Way,
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
        let can = self.settings.estimator != Estimator::Lwf;
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
    use crate::frame::{Payload, Spec};
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

    #[test]
    fn the_default_shrinks() {
        assert_eq!(KINDS[1].from_toml("").unwrap().settings["estimator"], "oas");
        assert!(KINDS[1].from_toml("estimator = \"mcd\"").is_err());
    }
}
