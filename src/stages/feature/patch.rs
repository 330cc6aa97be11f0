//! Window to tokens: a row of numbers for each patch.
//!
//! In: a window of T samples x C channels of a regular stream. Out, with patches of L samples that begin
//! every S, P = (T - L) / S + 1 of them, of which the last ends with the window:
//!
//! ```text
//! tokens = "time"       P rows;    out[p][c L + t]   = in[p S + t][c]
//! tokens = "channel"    C P rows;  out[c P + p][t]   = in[p S + t][c]
//! ```
//!
//! Rows are named after the time at which the patch begins, `0.1s`, or the channel as well, `C3@0.1s`.
//! Delay: none. Reference: the tokens of Du-IN and LaBraM (docs/onnx.md).

use crate::error::{Error, Result};
use crate::frame::{Channel, Frame, Payload, Spec};
use crate::stages::window::history::samples;
use crate::stages::{Emit, Fault, Stage, regular};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Cuts each window into patches: the tokens of a transformer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Length of a patch in seconds.
    pub length_s: f64,
    /// From one patch to the next in seconds; the length when left out.
    #[serde(default)]
    pub step_s: Option<f64>,
    /// `time`: a row holds a patch of all channels, one channel after the other; `channel`: a row holds a
    /// patch of one channel.
    #[serde(default)]
    pub tokens: Tokens,
}

/// What a row holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tokens {
    /// A patch of all channels.
    #[default]
    Time,
    /// A patch of one channel.
    Channel,
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "length_s = 0.1\nstep_s = 0.1\ntokens = \"time\"\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        let cut = Cut { rows: 0, cols: 0, length: 0, step: 0, patches: 0 };
        Ok(Box::new(Patch { settings: self, cut, out: Spec::markers().frame() }))
    }
}

struct Patch {
    settings: Settings,
    cut: Cut,
    out: Frame,
}

/// How windows are cut.
#[derive(Clone, Copy)]
struct Cut {
    rows: usize,
    cols: usize,
    length: usize,
    step: usize,
    patches: usize,
}

impl Stage for Patch {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let input = regular(inputs, &[Payload::Window])?;
        self.cut = self.settings.cut(input)?;
        let Cut { length, patches, .. } = self.cut;
        let (rows, cols) = match self.settings.tokens {
            Tokens::Time => (patches, input.cols * length),
            Tokens::Channel => (input.cols * patches, length),
        };
        let channels = self.settings.names(self.cut, input);
        let spec = Spec { payload: Payload::Nodes, rows, cols, channels, ..input.clone() };
        self.out = spec.frame();
        Ok(spec)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        self.out.copy_head(frame);
        if frame.data.is_empty() {
            // The end of the stream.
            self.out.resize(0, self.out.cols);
        } else if (frame.rows, frame.cols) == (self.cut.rows, self.cut.cols) {
            self.cut.copy(self.settings.tokens, frame, &mut self.out);
        } else {
            return Err(Fault("the frame has another shape than was promised"));
        }
        emit.emit(&mut self.out);
        Ok(())
    }

    fn reset(&mut self) {}
}

impl Settings {
    /// How windows of `input` are cut.
    fn cut(&self, input: &Spec) -> Result<Cut> {
        let length = samples("length_s", self.length_s, input.rate_hz)?;
        let step = match self.step_s {
            Some(step_s) => samples("step_s", step_s, input.rate_hz)?,
            None => length,
        };
        let (rows, cols) = (input.rows, input.cols);
        match rows.checked_sub(length) {
            Some(rest) if rest % step == 0 => {
                Ok(Cut { rows, cols, length, step, patches: rest / step + 1 })
            }
            _ => {
                let text = format!(
                    "patches of {length} samples every {step} do not fill the {rows} samples of the window"
                );
                Err(Error::setting("length_s", text))
            }
        }
    }

    /// The names of the rows, with their units.
    fn names(&self, cut: Cut, input: &Spec) -> Vec<Channel> {
        let start = |p: usize| format!("{}s", (p * cut.step) as f64 / input.rate_hz);
        let patches = 0..cut.patches;
        match self.tokens {
            Tokens::Time => {
                let first = input.channels.first().map_or("", |c| c.unit.as_str());
                let alike = input.channels.iter().all(|c| c.unit == first);
                let unit = if alike { first } else { "" };
                patches.map(|p| Channel { unit: unit.into(), ..Channel::named(start(p)) }).collect()
            }
            Tokens::Channel => input
                .channels
                .iter()
                .flat_map(|channel| patches.clone().map(move |p| (channel, p)))
                .map(|(channel, p)| Channel {
                    label: format!("{}@{}", channel.label, start(p)),
                    ..channel.clone()
                })
                .collect(),
        }
    }
}

impl Cut {
    /// **Data.** Writes the patches of a window.
    fn copy(self, tokens: Tokens, from: &Frame, to: &mut Frame) {
        let Self { cols, length, step, patches, .. } = self;
        match tokens {
            Tokens::Time => to.resize(patches, cols * length),
            Tokens::Channel => to.resize(cols * patches, length),
        }
        for c in 0..cols {
            for p in 0..patches {
                let at = match tokens {
                    Tokens::Time => p * cols + c,
                    Tokens::Channel => c * patches + p,
                } * length;
                let values = from.data[p * step * cols..].iter().skip(c).step_by(cols);
                to.data[at..at + length].iter_mut().zip(values).for_each(|(to, x)| *to = *x);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Settings as _;
    use crate::stages::testing::{Seen, block, samples as stream};

    fn patches(snippet: &str) -> Result<(Spec, Frame)> {
        let mut stage = toml::from_str::<Settings>(snippet).unwrap().build()?;
        let spec = Spec { payload: Payload::Window, rows: 6, ..stream(&["C3", "C4"], 100.0) };
        let out = stage.prepare(std::slice::from_ref(&spec))?;
        let mut seen = Seen::default();
        stage.process(&mut block(&spec, 0, 6), &mut seen).unwrap();
        Ok((out, seen.frames.remove(0)))
    }

    fn labels(spec: &Spec) -> Vec<&str> {
        spec.channels.iter().map(|c| c.label.as_str()).collect()
    }

    #[test]
    fn a_row_is_a_patch_of_all_channels_or_of_one() {
        let (spec, frame) = patches("length_s = 0.03").unwrap();
        assert_eq!(labels(&spec), ["0s", "0.03s"]);
        assert_eq!((spec.rows, spec.cols, frame.rows, frame.cols), (2, 6, 2, 6));
        assert_eq!(frame.row(1), [30.0, 40.0, 50.0, 31.0, 41.0, 51.0]);
        let (spec, frame) = patches("length_s = 0.03\ntokens = \"channel\"").unwrap();
        assert_eq!(labels(&spec), ["C3@0s", "C3@0.03s", "C4@0s", "C4@0.03s"]);
        assert_eq!((spec.rows, spec.cols, frame.rows, frame.cols), (4, 3, 4, 3));
        assert_eq!(frame.row(3), [31.0, 41.0, 51.0]);
    }

    #[test]
    fn patches_may_overlap_but_end_with_the_window() {
        let (spec, frame) = patches("length_s = 0.04\nstep_s = 0.02").unwrap();
        assert_eq!((spec.rows, spec.cols), (2, 8));
        assert_eq!(frame.row(1)[..4], [20.0, 30.0, 40.0, 50.0]);
        for wrong in ["length_s = 0.04", "length_s = 0.07", "length_s = 0.03\nstep_s = 0.02"] {
            assert_eq!(patches(wrong).unwrap_err().key(), Some("length_s"), "{wrong}");
        }
        assert_eq!(patches("length_s = 0.03\nstep_s = 0.0").unwrap_err().key(), Some("step_s"));
    }
}
