//! Series: vectors that come at a steady pace become a stream of their own.
//!
//! In: vectors made of windows of a regular stream. Out: samples at `rate_hz`, one for each vector, with its
//! numbers as channels. Samples are counted from 0; where vectors are missing so are the samples, which the ledger
//! counts (`gap`), and the next one carries the GAP mark. How many are missing is told by the indices of the samples
//! that the vectors rest on, not by a clock. Each sample has the time of the newest sample that it rests on.
//! Delay: none.
//!
//! So a sink may publish a series that a network makes of EEG, such as the activity of regions as fMRI
//! sees it, at its own slow rate, and stages for samples, filters among them, may go on with it.

use crate::error::{Error, Result};
use crate::frame::{Channel, Flags, Frame, Payload, Spec};
use crate::ledger::Cause;
use crate::stages::{Emit, Fault, Stage, regular};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far a step may be from a whole number of periods.
const TOLERANCE: f64 = 0.25;

/// Makes a stream of vectors that come at a steady pace, so that it can be published, filtered, windowed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How many vectors come a second: one by the step of their windows, such as 0.476 for 2.1 s.
    pub rate_hz: f64,
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "rate_hz = 10.0\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        if !(self.rate_hz > 0.0 && self.rate_hz.is_finite()) {
            return Err(Error::setting("rate_hz", "must be above 0"));
        }
        Ok(Box::new(Series { settings: self, input_hz: 0.0, cols: 0, last: None }))
    }
}

struct Series {
    settings: Settings,
    /// Samples per second of the stream that the vectors are made of.
    input_hz: f64,
    cols: usize,
    /// Of the newest vector: the newest sample that it rests on, and its own number.
    last: Option<(u64, u64)>,
}

impl Stage for Series {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let input = regular(inputs, &[Payload::Vector])?;
        (self.input_hz, self.cols, self.last) = (input.rate_hz, input.cols, None);
        let channels = match input.channels.len() == input.cols {
            true => input.channels.clone(),
            false => (1..=input.cols).map(|i| Channel::named(i.to_string())).collect(),
        };
        Ok(Spec::samples(channels, self.settings.rate_hz, 1))
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        if frame.data.is_empty() {
            frame.resize(0, self.cols);
            emit.emit(frame);
            return Ok(());
        }
        if frame.data.len() != self.cols {
            return Err(Fault("the frame has another shape than was promised"));
        }
        let number = match self.last {
            None => 0,
            Some((last, number)) => {
                let step = self.step(last, frame)?;
                if step > 1 {
                    emit.count(Cause::Gap, step - 1);
                    frame.flags |= Flags::GAP;
                }
                number + step
            }
        };
        self.last = Some((frame.span.last, number));
        (frame.span.first, frame.span.last) = (number, number);
        frame.span.first_s = frame.span.last_s;
        frame.resize(1, self.cols);
        emit.emit(frame);
        Ok(())
    }

    fn reset(&mut self) {
        self.last = None;
    }

    /// The samples go on being counted: what is missing is found when the next vector comes.
    fn interrupt(&mut self) {}
}

impl Series {
    /// How many samples after the one that rests on the sample `last` this one is.
    fn step(&self, last: u64, frame: &Frame) -> Result<u64, Fault> {
        let samples = frame.span.last as f64 - last as f64;
        let periods = samples / self.input_hz * self.settings.rate_hz;
        // Behind a gap windows begin anew, wherever that is.
        if frame.flags.has(Flags::GAP) && periods > 0.0 {
            return Ok(periods.round().max(1.0) as u64);
        }
        match periods >= 1.0 - TOLERANCE && (periods - periods.round()).abs() <= TOLERANCE {
            true => Ok(periods.round() as u64),
            false => Err(Fault("the vectors do not come at the rate that `series` was told")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Settings as _;
    use crate::stages::testing::{Seen, block, samples};

    /// A vector of two numbers on the 100 Hz sample `last`.
    fn vector(last: u64, flags: Flags) -> Frame {
        let mut frame = block(&samples(&["a", "b"], 100.0), last, 1);
        frame.flags = flags;
        frame
    }

    fn stage(rate_hz: f64) -> (Box<dyn Stage>, Spec) {
        let mut stage = Settings { rate_hz }.build().unwrap();
        let spec = Spec { payload: Payload::Vector, rows: 1, ..samples(&["a", "b"], 100.0) };
        let out = stage.prepare(&[spec]).unwrap();
        (stage, out)
    }

    #[test]
    fn vectors_become_samples_that_are_counted_from_0() {
        // 210 samples at 100 Hz are 2.1 s: a rate of 0.476 is near enough, for ever.
        let (mut stage, out) = stage(0.476);
        assert_eq!((out.payload, out.rate_hz, out.cols), (Payload::Samples, 0.476, 2));
        let mut seen = Seen::default();
        for i in 0..1000 {
            stage.process(&mut vector(1599 + 210 * i, Flags::NONE), &mut seen).unwrap();
        }
        for (i, frame) in seen.frames.iter().enumerate() {
            assert_eq!((frame.span.first, frame.span.last, frame.rows), (i as u64, i as u64, 1));
            assert!((frame.span.last_s - 100.0 - (15.99 + 2.1 * i as f64)).abs() < 1e-6);
            assert_eq!(frame.flags, Flags::NONE);
        }
        assert_eq!(seen.frames[2].data, [20190.0, 20191.0]);
        assert!(seen.counts.is_empty());
    }

    #[test]
    fn what_is_missing_is_counted() {
        let (mut stage, _) = stage(2.0);
        let mut seen = Seen::default();
        // Two windows are missing; then a gap of the stream, behind which windows begin anew.
        for (last, flags) in
            [(50, Flags::NONE), (200, Flags::NONE), (317, Flags::GAP), (367, Flags::NONE)]
        {
            stage.interrupt();
            stage.process(&mut vector(last, flags), &mut seen).unwrap();
        }
        let got: Vec<_> = seen.frames.iter().map(|f| (f.span.first, f.flags)).collect();
        assert_eq!(got, [(0, Flags::NONE), (3, Flags::GAP), (5, Flags::GAP), (6, Flags::NONE)]);
        assert_eq!(seen.counts, [(Cause::Gap, 2), (Cause::Gap, 1)]);
    }

    #[test]
    fn another_pace_is_a_fault() {
        for (rate_hz, second) in [(2.0, 70), (2.0, 60), (2.0, 40), (1.0, 100)] {
            let (mut stage, _) = stage(rate_hz);
            let mut seen = Seen::default();
            stage.process(&mut vector(50, Flags::NONE), &mut seen).unwrap();
            assert!(
                stage.process(&mut vector(second, Flags::NONE), &mut seen).is_err(),
                "{second}"
            );
        }
        assert!(Settings { rate_hz: 0.0 }.build().is_err());
    }
}
