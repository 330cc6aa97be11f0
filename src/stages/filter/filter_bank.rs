//! Filter bank: the same channels in several frequency bands, side by side.
//!
//! In: samples of a regular stream. Out: the same samples, filtered by a causal Butterworth band-pass for each
//! band; all channels of the first band, then all of the second, and so on, named like `C3@8-12`. Each
//! band is what `bandpass` makes of it. Delay: that of the slowest band, which is the
//! narrowest one. With `window`, `covariance`, `csp` with as many `bands`, and `lda` behind it: filter-bank
//! common spatial patterns (Ang et al., IJCNN 2008).

use super::bandpass::{self, Design};
use crate::error::{Error, Result};
use crate::frame::{Channel, Frame, Payload, Spec};
use crate::kind;
use crate::math::sos::Cascade;
use crate::stages::{Emit, Fault, Stage, regular};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most bands.
const MAX_BANDS: usize = 100;

/// Filters every channel into several frequency bands side by side, with causal Butterworth filters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The lower and the upper edge of each band in Hz, where half the power is let through.
    pub bands_hz: Vec<[f64; 2]>,
    /// Order, 1 to 20, counted as SciPy does: each edge is as steep as a filter of this order.
    /// Steeper edges delay more.
    #[serde(default = "default_order")]
    pub order: usize,
}

fn default_order() -> usize {
    4
}

impl kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "bands_hz = [[8.0, 12.0], [12.0, 16.0]]\norder = 4\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        if !(1..=MAX_BANDS).contains(&self.bands_hz.len()) {
            let text = format!("has {} bands, expected 1 to {MAX_BANDS}", self.bands_hz.len());
            return Err(Error::setting("bands_hz", text));
        }
        for design in self.designs() {
            design.check().map_err(blaming_bands)?;
        }
        Ok(Box::new(FilterBank {
            settings: self,
            cascades: Vec::new(),
            delay_s: 0.0,
            band: Vec::new(),
            out: Spec::markers().frame(),
        }))
    }
}

impl Settings {
    /// The band-pass of each band.
    fn designs(&self) -> impl Iterator<Item = Design> {
        let order = self.order;
        self.bands_hz.iter().map(move |[low_hz, high_hz]| Design {
            low_hz: *low_hz,
            high_hz: *high_hz,
            order,
        })
    }
}

/// Names the key under which the edges of a band stand here.
fn blaming_bands(error: Error) -> Error {
    match error.key() {
        Some("low_hz" | "high_hz") => error.blaming("bands_hz"),
        _ => error,
    }
}

struct FilterBank {
    settings: Settings,
    /// One for each band.
    cascades: Vec<Cascade>,
    delay_s: f64,
    /// Room for the samples of one band.
    band: Vec<f64>,
    out: Frame,
}

impl Stage for FilterBank {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let spec = regular(inputs, &[Payload::Samples])?;
        self.delay_s = 0.0;
        self.cascades.clear();
        let mut channels = Vec::new();
        for design in self.settings.designs() {
            let bandpass::Made { sections, delay_s } =
                design.make(spec.rate_hz).map_err(blaming_bands)?;
            self.delay_s = self.delay_s.max(delay_s);
            self.cascades.push(Cascade::new(sections, spec.cols));
            let Design { low_hz, high_hz, .. } = design;
            channels.extend(spec.channels.iter().map(|channel| Channel {
                label: format!("{}@{low_hz}-{high_hz}", channel.label),
                ..channel.clone()
            }));
        }
        self.band = Vec::with_capacity(spec.rows * spec.cols);
        let out = Spec { cols: channels.len(), channels, ..spec.clone() };
        self.out = out.frame();
        Ok(out)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        let (channels, bands) = (frame.cols, self.cascades.len());
        self.out.copy_head(frame);
        self.out.resize(frame.rows, channels * bands);
        for (b, cascade) in self.cascades.iter_mut().enumerate() {
            self.band.clear();
            self.band.extend_from_slice(&frame.data);
            cascade.process(&mut self.band);
            if !cascade.is_finite() {
                return Err(Fault("the filter bank was given numbers that are not finite"));
            }
            let rows = self.out.data.chunks_exact_mut((channels * bands).max(1));
            for (to, from) in rows.zip(self.band.chunks_exact(channels.max(1))) {
                to[b * channels..(b + 1) * channels].copy_from_slice(from);
            }
        }
        emit.emit(&mut self.out);
        Ok(())
    }

    fn reset(&mut self) {
        self.cascades.iter_mut().for_each(Cascade::reset);
    }

    fn delay_s(&self) -> f64 {
        self.delay_s
    }
}

#[cfg(test)]
mod tests {
    use crate::stages::filter::KINDS;
    use crate::stages::testing::{Seen, block, samples};
    use crate::stages::{Stage, filter};

    fn stage(kind: &str, snippet: &str) -> Box<dyn Stage> {
        KINDS.iter().find(|k| k.name == kind).unwrap().from_toml(snippet).unwrap().unit
    }

    /// Each band, bit by bit, is what the band-pass makes of the channels.
    #[test]
    fn bands_lie_side_by_side() {
        let spec = samples(&["C3", "C4"], 160.0);
        let mut bank = stage("filter_bank", "bands_hz = [[8, 12.5], [14, 30]]\norder = 3");
        let out = bank.prepare(std::slice::from_ref(&spec)).unwrap();
        let labels: Vec<_> = out.channels.iter().map(|c| c.label.as_str()).collect();
        assert_eq!(labels, ["C3@8-12.5", "C4@8-12.5", "C3@14-30", "C4@14-30"]);
        let mut whole = Seen::default();
        let blocks = |i: u64| block(&spec, 40 * i, 40);
        (0..5).for_each(|i| bank.process(&mut blocks(i), &mut whole).unwrap());
        let mut slowest = 0.0_f64;
        for (b, edges) in
            ["low_hz = 8\nhigh_hz = 12.5", "low_hz = 14\nhigh_hz = 30"].iter().enumerate()
        {
            let mut one = stage("bandpass", &format!("{edges}\norder = 3"));
            one.prepare(std::slice::from_ref(&spec)).unwrap();
            slowest = slowest.max(one.delay_s());
            let mut seen = Seen::default();
            (0..5).for_each(|i| one.process(&mut blocks(i), &mut seen).unwrap());
            for (all, band) in whole.frames.iter().zip(&seen.frames) {
                assert_eq!((all.span, all.rows, all.cols), (band.span, band.rows, 4));
                for r in 0..all.rows {
                    assert_eq!(all.row(r)[2 * b..2 * b + 2], *band.row(r));
                }
            }
        }
        assert_eq!(bank.delay_s(), slowest);
    }

    #[test]
    fn bad_settings_name_their_key() {
        let kind = filter::KINDS.iter().find(|k| k.name == "filter_bank").unwrap();
        for snippet in ["bands_hz = []", "bands_hz = [[0, 4]]", "bands_hz = [[8, 12], [12, 12]]"] {
            assert_eq!(kind.from_toml(snippet).err().unwrap().key(), Some("bands_hz"), "{snippet}");
        }
        let order = kind.from_toml("bands_hz = [[8, 12]]\norder = 0").err().unwrap();
        assert_eq!(order.key(), Some("order"));
        let mut high = stage("filter_bank", "bands_hz = [[8, 60]]");
        let error = high.prepare(&[samples(&["C3"], 100.0)]).unwrap_err();
        assert_eq!(error.key(), Some("bands_hz"));
    }
}
