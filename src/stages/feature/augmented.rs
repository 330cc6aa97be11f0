//! Augmented windows: each sample together with earlier ones, so that a covariance of them sees
//! how channels go together over time.
//!
//! In: windows, T samples x C channels. Out: windows, T' samples x (order C), where block p of the
//! columns, `p = 0..order-1`, is the window from sample `p lag` on:
//!
//! ```text
//! out[t][p C + c] = in[t + p lag][c]
//! T' = T - (order - 1) lag     crop = "tight"
//! T' = T - order lag           crop = "compat", as the authors' code has it
//! ```
//!
//! Block 0 is the oldest; order 1 changes nothing. With "tight" the newest sample is used; "compat"
//! never looks at the newest `lag` samples, so what goes out is `lag` samples old, which its span
//! says. Columns are named after the channel and how many samples before the newest block they are,
//! such as `C3@-8`. Delay: none; it is part of the span. Where windows come a step at a time the
//! samples pass as they are, and the spec says how they are to be read. Reference: Carrara, Papadopoulo,
//! arXiv 2302.04508.

use crate::error::{Error, Result};
use crate::frame::{Channel, Flags, Frame, Hop, Payload, Spec};
use crate::kind;
use crate::stages::{Emit, Fault, Hops, Stage, regular};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Puts delayed copies of the channels beside them, for augmented covariances.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How many copies there are, the window itself included; 1 changes nothing.
    pub order: usize,
    /// From one copy to the next, in samples.
    pub lag: usize,
    /// Which edges are cut off.
    #[serde(default)]
    pub crop: Crop,
}

/// Which edges of the window are cut off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Crop {
    /// Only what must be; the newest sample is used.
    #[default]
    Tight,
    /// As the authors' code does: the newest `lag` samples are not used, so decisions come later.
    Compat,
}

impl kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "order = 4\nlag = 8\ncrop = \"tight\"\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        for (key, value) in [("order", self.order), ("lag", self.lag)] {
            if !(1..=1_000_000).contains(&value) {
                return Err(Error::setting(
                    key,
                    format!("{key} is {value}, expected 1 to 1000000"),
                ));
            }
        }
        let out = Spec::markers().frame();
        Ok(Box::new(Augmented { settings: self, rows: 0, by_hops: false, rate_hz: 0.0, out }))
    }
}

struct Augmented {
    settings: Settings,
    /// Rows that come in.
    rows: usize,
    /// Whether windows come a step at a time.
    by_hops: bool,
    rate_hz: f64,
    out: Frame,
}

impl Stage for Augmented {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let spec = regular(inputs, &[Payload::Window])?;
        let out = self.settings.augment(spec)?;
        (self.rows, self.rate_hz, self.by_hops) = (spec.rows, spec.rate_hz, spec.hop.is_some());
        self.out = out.frame();
        Ok(out)
    }

    fn takes_hops(&self, windows: &Spec) -> Hops {
        let plain = windows.hop.is_some_and(|hop| hop.order == 1);
        match self.settings.augment(windows) {
            Ok(out) if plain => Hops::PassedOn(out),
            _ => Hops::Refused,
        }
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        if frame.rows == 0 {
            return Ok(());
        }
        if self.by_hops {
            // What the samples are copied to is in the spec.
            self.settings.make_older(frame, self.rate_hz);
            emit.emit(frame);
            return Ok(());
        }
        if frame.rows != self.rows {
            return Err(Fault("the augmented window was given a window of another length"));
        }
        let Settings { order, lag, .. } = self.settings;
        self.out.copy_head(frame);
        self.settings.make_older(&mut self.out, self.rate_hz);
        self.out.resize(self.rows - self.settings.lost(), order * frame.cols);
        for (t, to) in self.out.data.chunks_exact_mut(order * frame.cols).enumerate() {
            for (p, to) in to.chunks_exact_mut(frame.cols).enumerate() {
                to.copy_from_slice(frame.row(t + p * lag));
            }
        }
        emit.emit(&mut self.out);
        Ok(())
    }

    fn reset(&mut self) {}
}

impl Settings {
    /// How many of the newest samples are not used.
    fn unused(&self) -> usize {
        if self.crop == Crop::Compat && self.order > 1 { self.lag } else { 0 }
    }

    /// By how many samples the window gets shorter.
    fn lost(&self) -> usize {
        (self.order - 1) * self.lag + self.unused()
    }

    /// What windows of `spec` become.
    fn augment(&self, spec: &Spec) -> Result<Spec> {
        let Settings { order, lag, .. } = *self;
        let lost = self.lost();
        if lost >= spec.rows {
            return Err(Error::setting(
                "lag",
                format!(
                    "order {order} and lag {lag} take {lost} samples, expected fewer than the {} \
                     of the window",
                    spec.rows
                ),
            ));
        }
        let channels = (0..order)
            .map(|p| (order - 1 - p) * lag)
            .flat_map(|before| spec.channels.iter().map(move |channel| earlier(channel, before)))
            .collect();
        let hop = spec.hop.map(|hop| Hop { order, lag, unused: self.unused(), ..hop });
        let (rows, cols) = (spec.rows - lost, order * spec.cols);
        Ok(Spec { rows, cols, channels, hop, ..spec.clone() })
    }

    /// Takes the newest samples, which are not used, out of the span of a window.
    fn make_older(&self, frame: &mut Frame, rate_hz: f64) {
        if !frame.flags.has(Flags::PART) {
            frame.span.last -= self.unused() as u64;
            frame.span.last_s -= self.unused() as f64 / rate_hz;
        }
    }
}

/// The name of what `channel` was `samples` before.
fn earlier(channel: &Channel, samples: usize) -> Channel {
    match samples {
        0 => channel.clone(),
        _ => Channel { label: format!("{}@-{samples}", channel.label), ..channel.clone() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::feature::KINDS;
    use crate::stages::testing::{Seen, block, samples};

    fn augmented(snippet: &str) -> Result<(Spec, Frame)> {
        let mut stage = KINDS[0].from_toml(snippet)?.unit;
        let spec = Spec { payload: Payload::Window, rows: 10, ..samples(&["C3", "C4"], 100.0) };
        let out = stage.prepare(std::slice::from_ref(&spec))?;
        let mut seen = Seen::default();
        stage.process(&mut block(&spec, 50, 10), &mut seen).unwrap();
        Ok((out, seen.frames.remove(0)))
    }

    #[test]
    fn tight_uses_the_newest_sample() {
        let (spec, frame) = augmented("order = 3\nlag = 4").unwrap();
        let labels: Vec<_> = spec.channels.iter().map(|c| c.label.as_str()).collect();
        assert_eq!(labels, ["C3@-8", "C4@-8", "C3@-4", "C4@-4", "C3", "C4"]);
        assert_eq!((spec.rows, spec.cols, frame.rows, frame.cols), (2, 6, 2, 6));
        assert_eq!(frame.row(1), [510.0, 511.0, 550.0, 551.0, 590.0, 591.0]);
        assert_eq!((frame.span.first, frame.span.last), (50, 59));
        assert!((frame.span.last_s - 100.59).abs() < 1e-9);
    }

    #[test]
    fn compat_is_older_and_says_so() {
        let (spec, frame) = augmented("order = 2\nlag = 4\ncrop = \"compat\"").unwrap();
        assert_eq!((spec.rows, frame.rows), (2, 2));
        assert_eq!(frame.row(1), [510.0, 511.0, 550.0, 551.0]);
        assert_eq!((frame.span.first, frame.span.last), (50, 55));
        assert!((frame.span.last_s - 100.55).abs() < 1e-9);
    }

    #[test]
    fn order_one_changes_nothing() {
        let (spec, frame) = augmented("order = 1\nlag = 400\ncrop = \"compat\"").unwrap();
        assert_eq!((spec.rows, frame.rows, frame.span.last), (10, 10, 59));
        assert_eq!(spec.channels[0].label, "C3");
    }

    #[test]
    fn too_little_is_refused() {
        let key = |snippet| augmented(snippet).unwrap_err().key().map(str::to_string);
        assert_eq!(key("order = 0\nlag = 1").as_deref(), Some("order"));
        assert_eq!(key("order = 2\nlag = 0").as_deref(), Some("lag"));
        assert_eq!(key("order = 2\nlag = 10").as_deref(), Some("lag"));
        assert_eq!(key("order = 2\nlag = 5\ncrop = \"compat\"").as_deref(), Some("lag"));
        assert!(augmented("order = 2\nlag = 9").is_ok());
    }
}
