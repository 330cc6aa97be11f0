//! Power: the mean square of each channel.
//!
//! In: samples of a regular stream, or windows; filtered before, so that their power is that of a
//! band. Out: one vector with a number for each channel, `mean of x^2` in the square of the input's
//! unit, or the natural logarithm of that; for a stream one every `round(step_s rate)` samples, over
//! the last `round(length_s rate)`, the first as soon as there are enough. Delay: none; the newest
//! sample of a vector is the one that completed it.
//!
//! The squares of a stream are added up step by step, and a vector is the sum over the steps of its
//! length. Nothing is ever subtracted, so there is no drift, and each sample costs one multiplication,
//! however long the length. After a gap counting begins anew; the first vector after it carries the
//! GAP mark. A vector with a sample that is marked BAD is marked BAD.

use crate::error::{Error, Result};
use crate::frame::{Channel, Flags, Frame, Payload, Spec};
use crate::kind;
use crate::stages::window::history::samples;
use crate::stages::{Emit, Fault, Stage, regular, single};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Mean square of each channel: the power in a band, when a band-pass comes before. Of a stream it
/// is taken over the last `length_s`, every `step_s`; of a window it is taken over all of it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// From one vector to the next in seconds.
    pub step_s: f64,
    /// Over how many seconds the mean is taken: a whole number of steps; one step when left out.
    #[serde(default)]
    pub length_s: Option<f64>,
    /// Whether to give the natural logarithm of the power, which decoders prefer.
    #[serde(default)]
    pub log: bool,
}

impl kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "step_s = 0.05\nlength_s = 0.2\nlog = false\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        Ok(Box::new(BandPower {
            settings: self,
            stream: true,
            steps: Steps::default(),
            out: Spec::markers().frame(),
        }))
    }
}

impl Settings {
    fn steps(&self, rate_hz: f64, cols: usize) -> Result<Steps> {
        let step = samples("step_s", self.step_s, rate_hz)?;
        let length = match self.length_s {
            Some(length_s) => samples("length_s", length_s, rate_hz)?,
            None => step,
        };
        if length % step != 0 {
            return Err(Error::setting(
                "length_s",
                format!("the length, {length} samples, is not a whole number of steps of {step}"),
            ));
        }
        Ok(Steps::new(step, length / step, cols))
    }

    /// A channel with the unit of its power.
    fn measured(&self, channel: &Channel) -> Channel {
        let squared = match channel.unit.as_str() {
            "" => String::new(),
            unit => format!("{unit}^2"),
        };
        let unit = match self.log && !squared.is_empty() {
            true => format!("ln({squared})"),
            false => squared,
        };
        Channel { unit, ..channel.clone() }
    }
}

struct BandPower {
    settings: Settings,
    /// Whether it is given a stream, not windows.
    stream: bool,
    steps: Steps,
    out: Frame,
}

impl Stage for BandPower {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let spec = single(inputs, &[Payload::Samples, Payload::Window])?;
        self.stream = spec.payload == Payload::Samples;
        if self.stream {
            let rate_hz = regular(inputs, &[Payload::Samples])?.rate_hz;
            self.steps = self.settings.steps(rate_hz, spec.cols)?;
        }
        let channels = spec.channels.iter().map(|c| self.settings.measured(c)).collect();
        let out = Spec { payload: Payload::Vector, rows: 1, channels, ..spec.clone() };
        self.out = out.frame();
        self.out.resize(1, out.cols);
        Ok(out)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        if frame.rows == 0 {
            return Ok(());
        }
        if !self.stream {
            self.out.copy_head(frame);
            self.out.resize(1, frame.cols);
            self.out.data.fill(0.0);
            add_squares(&frame.data, &mut self.out.data);
            return self.finish(frame.rows, emit);
        }
        self.steps.meet(frame);
        let mut row = 0;
        while row < frame.rows {
            row = self.steps.take(frame, row);
            if self.steps.sum(&mut self.out) {
                self.out.span.last = frame.span.first + row as u64 - 1;
                self.out.span.last_s = frame.time_of(row - 1);
                self.out.span.arrived_s = frame.span.arrived_s;
                self.finish(self.steps.step * self.steps.marks.len(), emit)?;
            }
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.steps.clear();
    }
}

impl BandPower {
    /// Makes means of the sums over `n` samples and sends them.
    fn finish(&mut self, n: usize, emit: &mut dyn Emit) -> Result<(), Fault> {
        let mut finite = true;
        for power in &mut self.out.data {
            *power /= n as f64;
            finite &= power.is_finite();
            if self.settings.log {
                *power = power.max(f64::MIN_POSITIVE).ln();
            }
        }
        if !finite {
            return Err(Fault("the power is not finite"));
        }
        emit.emit(&mut self.out);
        Ok(())
    }
}

/// The sums of squares of the newest steps of a stream.
#[derive(Default)]
struct Steps {
    /// Samples in a step.
    step: usize,
    cols: usize,
    /// For each of the newest steps the sum of each channel; step `i` is in row `i` modulo the rows.
    sums: Vec<f64>,
    marks: Vec<Mark>,
    /// Complete steps since the last gap.
    complete: usize,
    /// Samples in the step that is under way.
    filled: usize,
    /// Index of the sample that should come next.
    next: u64,
    /// Whether the next vector is the first after a gap.
    gap: bool,
}

/// What is known of a step besides its sums.
#[derive(Clone, Copy, Default)]
struct Mark {
    first: u64,
    first_s: f64,
    bad: bool,
}

impl Steps {
    /// `length` steps of `step` samples of `cols` channels.
    fn new(step: usize, length: usize, cols: usize) -> Self {
        let (sums, marks) = (vec![0.0; length * cols], vec![Mark::default(); length]);
        Self { step, cols, sums, marks, ..Self::default() }
    }

    /// Forgets everything.
    fn clear(&mut self) {
        (self.complete, self.filled, self.gap) = (0, 0, false);
    }

    /// Begins anew if `frame` does not follow on what came before.
    fn meet(&mut self, frame: &Frame) {
        let gap = frame.flags.has(Flags::GAP);
        let empty = (self.complete, self.filled) == (0, 0);
        let follows = (frame.span.first == self.next && !gap) || frame.flags.has(Flags::BRIDGE);
        if !empty && !follows {
            self.clear();
            self.gap = true;
        }
        self.gap |= gap;
        self.next = frame.span.first + frame.rows as u64;
    }

    /// Adds the samples of `frame` from `row` on to the step under way, up to its end. Returns the row
    /// after the last.
    fn take(&mut self, frame: &Frame, row: usize) -> usize {
        let slot = self.complete % self.marks.len();
        let (sums, mark) = (&mut self.sums[slot * self.cols..][..self.cols], &mut self.marks[slot]);
        if self.filled == 0 {
            sums.fill(0.0);
            let (first, first_s) = (frame.span.first + row as u64, frame.time_of(row));
            *mark = Mark { first, first_s, bad: false };
        }
        let end = frame.rows.min(row + self.step - self.filled);
        add_squares(&frame.data[row * self.cols..end * self.cols], sums);
        mark.bad |= frame.flags.has(Flags::BAD);
        self.filled += end - row;
        if self.filled == self.step {
            self.filled = 0;
            self.complete += 1;
        }
        end
    }

    /// When a step has just been completed and there are enough of them: writes their sum to `out`,
    /// from the oldest to the newest, and where it begins.
    fn sum(&mut self, out: &mut Frame) -> bool {
        let length = self.marks.len();
        if self.filled > 0 || self.complete < length {
            return false;
        }
        out.resize(1, self.cols);
        out.data.fill(0.0);
        out.flags = Flags::NONE;
        for i in self.complete - length..self.complete {
            let slot = i % length;
            let sums = &self.sums[slot * self.cols..][..self.cols];
            out.data.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
            if self.marks[slot].bad {
                out.flags |= Flags::BAD;
            }
        }
        if std::mem::take(&mut self.gap) {
            out.flags |= Flags::GAP;
        }
        let oldest = self.marks[self.complete % length];
        (out.span.first, out.span.first_s) = (oldest.first, oldest.first_s);
        out.input = 0;
        out.text.clear();
        true
    }
}

/// Adds the squares of `samples`, row by row, to `sums`.
fn add_squares(samples: &[f64], sums: &mut [f64]) {
    for row in samples.chunks_exact(sums.len()) {
        sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x * x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::testing::{Seen, block, samples};

    const NONE: Flags = Flags::NONE;

    fn stage(snippet: &str, spec: &Spec) -> (Box<dyn Stage>, Spec) {
        let kind = super::super::KINDS.iter().find(|k| k.name == "band_power").unwrap();
        let mut stage = kind.from_toml(snippet).unwrap().unit;
        let out = stage.prepare(std::slice::from_ref(spec)).unwrap();
        (stage, out)
    }

    /// Steps of 3 samples; the power of sample i is `(10 i)^2` in one channel, `(10 i + 1)^2` in the
    /// other.
    fn vectors(snippet: &str, blocks: &[(u64, usize, Flags)]) -> Vec<Frame> {
        let spec = samples(&["C3", "C4"], 100.0);
        let (mut stage, _) = stage(&format!("step_s = 0.03\n{snippet}"), &spec);
        let mut seen = Seen::default();
        for &(first, rows, flags) in blocks {
            let mut frame = block(&spec, first, rows);
            frame.flags = flags;
            stage.process(&mut frame, &mut seen).unwrap();
        }
        seen.frames
    }

    /// The mean of `(10 i + c)^2` from `first` to `last`.
    fn mean(first: u64, last: u64, c: f64) -> f64 {
        let squares = (first..=last).map(|i| (10.0 * i as f64 + c).powi(2));
        squares.sum::<f64>() / (last - first + 1) as f64
    }

    #[test]
    fn each_step_gives_the_mean_square_of_its_length() {
        for (snippet, length) in [("", 3), ("length_s = 0.06", 6), ("length_s = 0.12", 12)] {
            let got = vectors(snippet, &[(7, 4, NONE), (11, 1, NONE), (12, 30, NONE)]);
            assert_eq!(got.len() as u64, (35 - length) / 3 + 1);
            for (i, vector) in got.iter().enumerate() {
                let first = 7 + 3 * i as u64;
                let last = first + length - 1;
                assert_eq!((vector.span.first, vector.span.last), (first, last));
                assert!((vector.span.first_s - 100.0 - first as f64 / 100.0).abs() < 1e-9);
                assert!((vector.span.last_s - 100.0 - last as f64 / 100.0).abs() < 1e-9);
                for c in 0..2 {
                    let want = mean(first, last, c as f64);
                    // sums of whole numbers are exact; the division rounds
                    assert!((vector.data[c] / want - 1.0).abs() < 1e-15, "{length} {i}");
                }
            }
        }
    }

    #[test]
    fn the_logarithm_of_nothing_is_a_number() {
        let got = vectors("log = true", &[(0, 6, NONE)]);
        assert!((got[1].data[1] - mean(3, 5, 1.0).ln()).abs() < 1e-14);
        let spec = samples(&["C3"], 100.0);
        let (mut stage, _) = stage("step_s = 0.01\nlog = true", &spec);
        let mut seen = Seen::default();
        stage.process(&mut block(&spec, 0, 1), &mut seen).unwrap();
        assert_eq!(seen.frames[0].data, [f64::MIN_POSITIVE.ln()]);
    }

    #[test]
    fn no_vector_reaches_across_a_gap() {
        let bridge = Flags::BRIDGE;
        let blocks = [(0, 5, NONE), (9, 6, Flags::GAP), (20, 4, NONE), (30, 5, bridge)];
        let got = vectors("length_s = 0.06", &blocks);
        let spans: Vec<_> = got.iter().map(|v| (v.span.first, v.span.last, v.flags)).collect();
        assert_eq!(spans, [(9, 14, Flags::GAP), (20, 31, Flags::GAP), (23, 34, NONE)]);
    }

    #[test]
    fn bad_samples_mark_the_vectors_they_are_in() {
        let got = vectors("length_s = 0.06", &[(0, 5, NONE), (5, 1, Flags::BAD), (6, 9, NONE)]);
        let bad: Vec<_> = got.iter().map(|v| v.flags.has(Flags::BAD)).collect();
        assert_eq!(bad, [true, true, false, false]);
    }

    #[test]
    fn a_window_gives_one_vector() {
        let spec = samples(&["C3", "C4"], 100.0);
        let (mut stage, out) =
            stage("step_s = 7.0", &Spec { payload: Payload::Window, ..spec.clone() });
        assert_eq!((out.payload, out.rows, out.cols), (Payload::Vector, 1, 2));
        let mut seen = Seen::default();
        let mut window = block(&spec, 3, 5);
        window.text.push_str("T1");
        stage.process(&mut window, &mut seen).unwrap();
        assert_eq!(seen.frames[0].text, "T1");
        assert_eq!(seen.frames[0].span, window.span);
        assert_eq!(seen.frames[0].data, [mean(3, 7, 0.0), mean(3, 7, 1.0)]);
    }

    #[test]
    fn what_is_measured_is_named() {
        let mut spec = samples(&["C3"], 100.0);
        spec.channels[0].unit = "microvolts".into();
        let unit = |snippet| stage(snippet, &spec).1.channels[0].unit.clone();
        assert_eq!(unit("step_s = 0.1"), "microvolts^2");
        assert_eq!(unit("step_s = 0.1\nlog = true"), "ln(microvolts^2)");
        spec.channels[0].unit.clear();
        assert_eq!(stage("step_s = 0.1", &spec).1.channels[0].unit, "");
    }

    #[test]
    fn lengths_must_be_whole_steps() {
        let refused = |snippet: &str| {
            let kind = super::super::KINDS.iter().find(|k| k.name == "band_power").unwrap();
            let mut stage = kind.from_toml(snippet).unwrap().unit;
            stage.prepare(&[samples(&["C3"], 100.0)]).unwrap_err().key().map(str::to_owned)
        };
        assert_eq!(refused("step_s = 0.04\nlength_s = 0.1").as_deref(), Some("length_s"));
        assert_eq!(refused("step_s = 0.001").as_deref(), Some("step_s"));
        assert_eq!(refused("step_s = 0.1\nlength_s = 0.0").as_deref(), Some("length_s"));
    }
}
