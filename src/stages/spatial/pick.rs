//! Pick: keeps some channels and puts them in order.
//!
//! In: samples, rows x channels. Out: samples, rows x the channels named, in the order in which the
//! config names them, each once. Delay: none.

use super::labels::find;
use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::kind;
use crate::stages::{Emit, Fault, Stage, single};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Keeps some channels, in the order in which they are named.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Channels to keep: labels in any case, `*` for any letters, `?` for one: `["C3", "FC?", "P*"]`.
    pub channels: Vec<String>,
    /// Channels to leave out of these, written the same way.
    #[serde(default)]
    pub exclude: Vec<String>,
}

impl kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "channels = [\"C3\", \"Cz\", \"C4\"]\nexclude = []\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        if self.channels.is_empty() {
            return Err(Error::setting("channels", "channels is empty, expected labels"));
        }
        Ok(Box::new(Pick { settings: self, from: Vec::new(), out: Spec::markers().frame() }))
    }
}

struct Pick {
    settings: Settings,
    /// For each channel that goes out the column it comes from.
    from: Vec<usize>,
    out: Frame,
}

impl Stage for Pick {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let spec = single(inputs, &[Payload::Samples])?;
        let exclude = find("exclude", &self.settings.exclude, &spec.channels)?;
        self.from = find("channels", &self.settings.channels, &spec.channels)?;
        self.from.retain(|i| !exclude.contains(i));
        if self.from.is_empty() {
            return Err(Error::setting("exclude", "exclude leaves no channel"));
        }
        let channels = self.from.iter().map(|&i| spec.channels[i].clone()).collect();
        let out = Spec { cols: self.from.len(), channels, ..spec.clone() };
        self.out = out.frame();
        Ok(out)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        self.out.copy_head(frame);
        self.out.resize(frame.rows, self.from.len());
        for (r, to) in self.out.data.chunks_exact_mut(self.from.len()).enumerate() {
            let row = frame.row(r);
            for (to, &from) in to.iter_mut().zip(&self.from) {
                *to = row[from];
            }
        }
        emit.emit(&mut self.out);
        Ok(())
    }

    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Channel;
    use crate::stages::testing::{Seen, numbers, samples};

    fn spec() -> Spec {
        samples(&["C3", "Cz", "C4", "EOG"], 100.0)
    }

    fn pick(channels: &[&str], exclude: &[&str]) -> Result<(Box<dyn Stage>, Spec)> {
        let own = |list: &[&str]| list.iter().map(|s| s.to_string()).collect();
        let settings = Settings { channels: own(channels), exclude: own(exclude) };
        let mut stage = kind::Settings::build(settings)?;
        let out = stage.prepare(&[spec()])?;
        Ok((stage, out))
    }

    #[test]
    fn order_is_that_of_the_config() {
        let (mut stage, out) = pick(&["C4", "C*"], &["cz"]).unwrap();
        assert_eq!(out.channels, ["C4", "C3"].map(Channel::named));
        let mut frame = numbers(4, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        let mut seen = Seen::default();
        stage.process(&mut frame, &mut seen).unwrap();
        assert_eq!(seen.frames[0].data, [3.0, 1.0, 7.0, 5.0]);
    }

    #[test]
    fn nothing_left_is_refused() {
        assert!(pick(&[], &[]).is_err());
        assert!(pick(&["EOG"], &["E*"]).is_err());
        assert!(pick(&["C5"], &[]).is_err());
    }
}
