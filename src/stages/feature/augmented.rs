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
//! says. Or any columns at all, out: T' samples x columns, such as
//! [`crate::math::embedding::mdop`] finds:
//!
//! ```text
//! out[t][k] = in[t + delay_k][channel_k]        T' = T - the latest delay
//! ```
//!
//! Columns are named after the channel and how many samples before the latest they are, such as
//! `C3@-8`. Delay: none; it is part of the span. Where windows come a step at a time the samples pass as
//! they are, and the spec says how they are to be read; chosen columns take whole windows only.
//! Reference: Carrara, Papadopoulo, arXiv 2302.04508.

use crate::error::{Error, Result};
use crate::frame::{Channel, Flags, Frame, Hop, Payload, Spec};
use crate::kind;
pub use crate::math::augmented::Crop;
use crate::stages::spatial::labels;
use crate::stages::{Emit, Fault, Hops, Stage, regular};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Puts delayed copies of the channels beside them, for augmented covariances.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How many copies there are, the window itself included; 1 changes nothing. Needs `lag`.
    pub order: Option<usize>,
    /// From one copy to the next, in samples. Needs `order`.
    pub lag: Option<usize>,
    /// In place of `order` and `lag`: the columns one by one, each the label of a channel and how many
    /// samples later than the earliest column it is, such as [["C3", 0], ["C4", 0], ["C3", 12]].
    pub embedding: Option<Vec<(String, usize)>>,
    /// Which edges are cut off; of an `embedding` only what must be.
    #[serde(default)]
    pub crop: Crop,
}

/// No delay can be longer than this, in samples.
const LONGEST: usize = 1_000_000;

impl kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "order = 4\nlag = 8\ncrop = \"tight\"\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        let copies = match (self.order, self.lag, self.embedding) {
            (Some(order), Some(lag), None) => Copies::Uniform(Uniform::new(order, lag, self.crop)?),
            (None, None, Some(columns)) => Copies::Chosen(Chosen::new(columns, self.crop)?),
            (_, _, Some(_)) => {
                return Err(Error::setting(
                    "embedding",
                    "embedding stands in place of order and lag, expected one or the other",
                ));
            }
            (order, _, None) => {
                let missing = if order.is_none() { "order" } else { "lag" };
                return Err(Error::setting(
                    missing,
                    format!("{missing} is missing, expected order and lag, or embedding"),
                ));
            }
        };
        let out = Spec::markers().frame();
        Ok(Box::new(Augmented { copies, rows: 0, by_hops: false, rate_hz: 0.0, out }))
    }
}

struct Augmented {
    copies: Copies,
    /// Rows that come in.
    rows: usize,
    /// Whether windows come a step at a time.
    by_hops: bool,
    rate_hz: f64,
    out: Frame,
}

/// What stands beside each other.
enum Copies {
    Uniform(Uniform),
    Chosen(Chosen),
}

impl Stage for Augmented {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let spec = regular(inputs, &[Payload::Window])?;
        let out = match &mut self.copies {
            Copies::Uniform(uniform) => uniform.augment(spec)?,
            Copies::Chosen(chosen) => chosen.prepare(spec)?,
        };
        (self.rows, self.rate_hz, self.by_hops) = (spec.rows, spec.rate_hz, spec.hop.is_some());
        self.out = out.frame();
        Ok(out)
    }

    fn takes_hops(&self, windows: &Spec) -> Hops {
        let plain = windows.hop.is_some_and(|hop| hop.order == 1);
        match &self.copies {
            Copies::Uniform(uniform) if plain => {
                uniform.augment(windows).map_or(Hops::Refused, Hops::PassedOn)
            }
            _ => Hops::Refused,
        }
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        if frame.rows == 0 {
            return Ok(());
        }
        match &self.copies {
            // What the samples are copied to is in the spec.
            Copies::Uniform(uniform) if self.by_hops => {
                uniform.make_older(frame, self.rate_hz);
                emit.emit(frame);
                return Ok(());
            }
            _ if frame.rows != self.rows => {
                return Err(Fault("the augmented window was given a window of another length"));
            }
            Copies::Uniform(uniform) => {
                self.out.copy_head(frame);
                uniform.make_older(&mut self.out, self.rate_hz);
                uniform.copy(frame, &mut self.out);
            }
            Copies::Chosen(chosen) => {
                self.out.copy_head(frame);
                chosen.copy(frame, &mut self.out);
            }
        }
        emit.emit(&mut self.out);
        Ok(())
    }

    fn reset(&mut self) {}
}

/// Copies of all channels, equally far apart.
struct Uniform {
    order: usize,
    lag: usize,
    crop: Crop,
}

impl Uniform {
    fn new(order: usize, lag: usize, crop: Crop) -> Result<Self> {
        for (key, value) in [("order", order), ("lag", lag)] {
            if !(1..=LONGEST).contains(&value) {
                return Err(Error::setting(
                    key,
                    format!("{key} is {value}, expected 1 to {LONGEST}"),
                ));
            }
        }
        Ok(Self { order, lag, crop })
    }

    /// How many of the newest samples are not used.
    fn unused(&self) -> usize {
        self.crop.unused(self.order, self.lag)
    }

    /// By how many samples the window gets shorter.
    fn lost(&self) -> usize {
        self.crop.lost(self.order, self.lag)
    }

    /// What windows of `spec` become.
    fn augment(&self, spec: &Spec) -> Result<Spec> {
        let Self { order, lag, .. } = *self;
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

    fn copy(&self, from: &Frame, to: &mut Frame) {
        let cols = self.order * from.cols;
        to.resize(from.rows - self.lost(), cols);
        for (t, to) in to.data.chunks_exact_mut(cols).enumerate() {
            for (p, to) in to.chunks_exact_mut(from.cols).enumerate() {
                to.copy_from_slice(from.row(t + p * self.lag));
            }
        }
    }
}

/// Columns of any channel and delay.
struct Chosen {
    columns: Vec<(String, usize)>,
    /// For each column the place of its first number in a window. Known once prepared.
    places: Vec<usize>,
}

impl Chosen {
    fn new(columns: Vec<(String, usize)>, crop: Crop) -> Result<Self> {
        let wrong = |message| Err(Error::setting("embedding", message));
        if columns.is_empty() {
            return wrong("embedding is empty, expected columns such as [\"C3\", 0]".to_string());
        }
        if crop == Crop::Compat {
            return Err(Error::setting(
                "crop",
                "crop is \"compat\", expected \"tight\" with an embedding",
            ));
        }
        if let Some((label, delay)) = columns.iter().find(|(_, delay)| *delay > LONGEST) {
            return wrong(format!("the delay of {label} is {delay}, expected 0 to {LONGEST}"));
        }
        Ok(Self { columns, places: Vec::new() })
    }

    /// Finds the channels, and says what windows of `spec` become.
    fn prepare(&mut self, spec: &Spec) -> Result<Spec> {
        if spec.hop.is_some() {
            return Err(Error::mismatch("takes whole windows, but is given steps"));
        }
        let latest = self.columns.iter().map(|(_, delay)| *delay).max().unwrap_or_default();
        if latest >= spec.rows {
            return Err(Error::setting(
                "embedding",
                format!(
                    "the latest delay is {latest} samples, expected fewer than the {} of the window",
                    spec.rows
                ),
            ));
        }
        self.places.clear();
        let mut channels = Vec::new();
        for (label, delay) in &self.columns {
            let channel = only_one(label, &spec.channels)?;
            let place = delay * spec.cols + channel;
            if self.places.contains(&place) {
                return Err(Error::setting(
                    "embedding",
                    format!("[\"{label}\", {delay}] is there twice, expected each column once"),
                ));
            }
            self.places.push(place);
            channels.push(earlier(&spec.channels[channel], latest - delay));
        }
        let (rows, cols) = (spec.rows - latest, channels.len());
        Ok(Spec { rows, cols, channels, ..spec.clone() })
    }

    fn copy(&self, from: &Frame, to: &mut Frame) {
        let latest = self.places.iter().max().map_or(0, |place| place / from.cols);
        to.resize(from.rows - latest, self.places.len());
        let windows = (0..from.data.len()).step_by(from.cols).map(|start| &from.data[start..]);
        for (to, from) in to.data.chunks_exact_mut(self.places.len()).zip(windows) {
            to.iter_mut().zip(&self.places).for_each(|(to, place)| *to = from[*place]);
        }
    }
}

/// The one channel with this label.
fn only_one(label: &str, channels: &[Channel]) -> Result<usize> {
    match labels::find("embedding", &[label.to_string()], channels)?[..] {
        [channel] => Ok(channel),
        _ => Err(Error::setting(
            "embedding",
            format!("several channels match `{label}`, expected the label of one"),
        )),
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

    #[test]
    fn chosen_columns_can_be_those_of_a_uniform_window() {
        let columns = "embedding = [[\"C3\", 0], [\"C4\", 0], [\"C3\", 4], [\"C4\", 4]]";
        let (want, uniform) = augmented("order = 2\nlag = 4").unwrap();
        let (spec, frame) = augmented(columns).unwrap();
        assert_eq!(spec, want);
        assert_eq!(
            (frame.data, frame.rows, frame.span),
            (uniform.data, uniform.rows, uniform.span)
        );
    }

    #[test]
    fn chosen_columns_in_the_order_in_which_they_stand() {
        let (spec, frame) =
            augmented("embedding = [[\"C4\", 7], [\"c3\", 2], [\"C4\", 0]]").unwrap();
        let labels: Vec<_> = spec.channels.iter().map(|c| c.label.as_str()).collect();
        assert_eq!(labels, ["C4", "C3@-5", "C4@-7"]);
        assert_eq!((spec.rows, spec.cols, frame.rows, frame.cols), (3, 3, 3, 3));
        assert_eq!(frame.row(0), [571.0, 520.0, 501.0]);
        assert_eq!(frame.row(2), [591.0, 540.0, 521.0]);
        assert_eq!((frame.span.first, frame.span.last), (50, 59));
    }

    #[test]
    fn one_or_the_other() {
        let refusal = |snippet: &str| {
            let e = augmented(snippet).unwrap_err();
            (e.key().map(str::to_string).unwrap_or_default(), e.to_string())
        };
        let refused = |snippet: &str, key: &str, what: &str| {
            let (blamed, text) = refusal(snippet);
            assert!(blamed == key && text.contains(what), "{snippet}: {blamed}: {text}");
        };
        refused("", "order", "order is missing");
        refused("order = 2", "lag", "lag is missing");
        refused("lag = 2", "order", "order is missing");
        refused("lag = 2\nembedding = [[\"C3\", 0]]", "embedding", "one or the other");
        refused("embedding = []", "embedding", "is empty");
        refused("embedding = [[\"C3\", 10]]", "embedding", "fewer than the 10");
        refused("embedding = [[\"C5\", 0]]", "embedding", "did you mean `C3`");
        refused("embedding = [[\"C*\", 0]]", "embedding", "several channels match");
        refused("embedding = [[\"C3\", 1], [\"C3\", 1]]", "embedding", "twice");
        refused("embedding = [[\"C3\", 2000000]]", "embedding", "the delay of C3");
        refused("crop = \"compat\"\nembedding = [[\"C3\", 1]]", "crop", "tight");
    }

    #[test]
    fn chosen_columns_take_whole_windows_only() {
        let stage = KINDS[0].from_toml("embedding = [[\"C3\", 1]]").unwrap().unit;
        let hop = Hop { rows: 2, order: 1, lag: 1, unused: 0 };
        let spec = samples(&["C3"], 100.0);
        let spec = Spec { payload: Payload::Window, rows: 10, hop: Some(hop), ..spec };
        assert_eq!(stage.takes_hops(&spec), Hops::Refused);
        assert_ne!(
            KINDS[0].from_toml("order = 2\nlag = 1").unwrap().unit.takes_hops(&spec),
            Hops::Refused
        );
    }
}
