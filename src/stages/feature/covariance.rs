//! Covariance: how the channels of a window go together.
//!
//! In: windows, n samples x p channels. Out: one symmetric p x p matrix per window, with the
//! window's span, marks and text. Formulas: [`crate::math::covariance`]. Delay: none.

use crate::error::Result;
use crate::frame::{Frame, Payload, Spec};
use crate::kind;
use crate::math::covariance::{Covariance as Estimate, Estimator};
use crate::stages::{Emit, Fault, Stage, single};
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
        Ok(Box::new(Covariance {
            settings: self,
            rows: 0,
            estimate: Estimate::default(),
            out: Spec::markers().frame(),
        }))
    }
}

struct Covariance {
    settings: Settings,
    rows: usize,
    estimate: Estimate,
    out: Frame,
}

impl Stage for Covariance {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let spec = single(inputs, &[Payload::Window])?;
        self.rows = spec.rows;
        self.estimate = Estimate::new(self.settings.estimator, spec.rows, spec.cols);
        let out = Spec { payload: Payload::Matrix, rows: spec.cols, ..spec.clone() };
        self.out = out.frame();
        self.out.resize(out.rows, out.cols);
        Ok(out)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        if frame.rows == 0 {
            return Ok(());
        }
        if frame.rows != self.rows {
            return Err(Fault("the covariance was given a window of another length"));
        }
        self.out.copy_head(frame);
        self.out.resize(frame.cols, frame.cols);
        self.estimate.estimate(&frame.data, &mut self.out.data);
        if self.out.data.iter().any(|v| !v.is_finite()) {
            return Err(Fault("the covariance is not finite"));
        }
        emit.emit(&mut self.out);
        Ok(())
    }

    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use crate::frame::{Payload, Spec};
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
        assert!(built.unit.process(&mut numbers(2, &[f64::NAN; 6]), &mut seen).is_err());
        assert!(built.unit.process(&mut numbers(2, &[1.0; 4]), &mut seen).is_err());
        assert_eq!(seen.frames.len(), 1);
    }

    #[test]
    fn the_default_shrinks() {
        assert_eq!(KINDS[1].from_toml("").unwrap().settings["estimator"], "oas");
        assert!(KINDS[1].from_toml("estimator = \"mcd\"").is_err());
    }
}
