//! Band-pass: keeps what lies between two frequencies.
//!
//! In: samples of a regular stream. Out: the same samples, filtered per channel; same rows, channels
//! and times. A causal Butterworth filter as second-order sections whose memory lives on from block
//! to block. Delay: the group delay at the geometric centre of the band, `sqrt(low high)`.
//! Reference: `scipy.signal.butter` and `sosfilt`.

use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::kind;
use crate::math::filter_design::{Band, MAX_ORDER, butterworth, group_delay};
use crate::math::sos::{Cascade, Section};
use crate::stages::{Emit, Fault, Stage, regular};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Keeps what lies between two frequencies, with a causal Butterworth filter.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Lower edge of the band in Hz, where half the power is let through.
    pub low_hz: f64,
    /// Upper edge of the band in Hz; less than half the sampling rate.
    pub high_hz: f64,
    /// Order, 1 to 20, counted as SciPy does: each edge is as steep as a filter of this order.
    /// Steeper edges delay more.
    #[serde(default = "default_order")]
    pub order: usize,
}

fn default_order() -> usize {
    4
}

impl kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "low_hz = 8.0\nhigh_hz = 30.0\norder = 4\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        self.design().check()?;
        Ok(Box::new(Bandpass { settings: self, cascade: Cascade::default(), delay_s: 0.0 }))
    }
}

impl Settings {
    fn design(&self) -> Design {
        let Self { low_hz, high_hz, order } = *self;
        Design { low_hz, high_hz, order }
    }
}

/// A Butterworth band-pass, as it is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Design {
    pub low_hz: f64,
    pub high_hz: f64,
    pub order: usize,
}

/// A band-pass at a sampling rate.
pub(super) struct Made {
    pub sections: Vec<Section>,
    pub delay_s: f64,
}

impl Design {
    /// Checks what can be checked without a sampling rate.
    pub fn check(&self) -> Result<()> {
        let Self { low_hz, high_hz, order } = *self;
        if !(low_hz > 0.0 && low_hz.is_finite()) {
            let text = format!("low_hz is {low_hz}, expected more than 0");
            return Err(Error::setting("low_hz", text));
        }
        if !(high_hz > low_hz && high_hz.is_finite()) {
            let text = format!("high_hz is {high_hz}, expected more than low_hz, {low_hz}");
            return Err(Error::setting("high_hz", text));
        }
        if !(1..=MAX_ORDER).contains(&order) {
            let text = format!("order is {order}, expected 1 to {MAX_ORDER}");
            return Err(Error::setting("order", text));
        }
        Ok(())
    }

    /// The filter for streams of `rate_hz`.
    pub fn make(&self, rate_hz: f64) -> Result<Made> {
        let Self { low_hz, high_hz, order } = *self;
        if high_hz >= rate_hz / 2.0 {
            let half = rate_hz / 2.0;
            let text =
                format!("high_hz is {high_hz}, expected less than half the sampling rate, {half}");
            return Err(Error::setting("high_hz", text));
        }
        let sections = butterworth(order, Band::Pass(low_hz, high_hz), rate_hz)?;
        let delay_s = group_delay(&sections, (low_hz * high_hz).sqrt(), rate_hz) / rate_hz;
        Ok(Made { sections, delay_s })
    }
}

struct Bandpass {
    settings: Settings,
    cascade: Cascade,
    delay_s: f64,
}

impl Stage for Bandpass {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let spec = regular(inputs, &[Payload::Samples])?;
        let Made { sections, delay_s } = self.settings.design().make(spec.rate_hz)?;
        self.delay_s = delay_s;
        self.cascade = Cascade::new(sections, spec.cols);
        Ok(spec.clone())
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        self.cascade.process(&mut frame.data);
        if !self.cascade.is_finite() {
            return Err(Fault("the band-pass was given numbers that are not finite"));
        }
        emit.emit(frame);
        Ok(())
    }

    fn reset(&mut self) {
        self.cascade.reset();
    }

    fn delay_s(&self) -> f64 {
        self.delay_s
    }
}

#[cfg(test)]
mod tests {
    use crate::stages::filter::KINDS;
    use crate::stages::testing::samples;

    fn error(snippet: &str) -> String {
        match KINDS[0].from_toml(snippet) {
            Err(e) => format!("{}: {e}", e.key().unwrap_or("?")),
            Ok(mut built) => {
                let e = built.unit.prepare(&[samples(&["C3"], 100.0)]).unwrap_err();
                format!("{}: {e}", e.key().unwrap_or("?"))
            }
        }
    }

    #[test]
    fn bad_settings_name_their_key() {
        assert!(error("low_hz = 0.0\nhigh_hz = 3.0").starts_with("low_hz: "));
        assert!(error("low_hz = 8.0\nhigh_hz = 3.0").starts_with("high_hz: "));
        assert!(error("low_hz = 8.0\nhigh_hz = 13.0\norder = 0").starts_with("order: "));
        assert!(error("low_hz = 8.0\nhigh_hz = 50.0").starts_with("high_hz: "));
        assert!(error("low_hz = 8.0\nhigh_hz = 13.0\norde = 4").contains("unknown field"));
    }

    #[test]
    fn delay_is_known_after_prepare() {
        let mut built = KINDS[0].from_toml("low_hz = 8.0\nhigh_hz = 30.0").unwrap();
        built.unit.prepare(&[samples(&["C3"], 250.0)]).unwrap();
        assert!((0.02..0.1).contains(&built.unit.delay_s()), "{}", built.unit.delay_s());
        assert_eq!(built.settings["order"], 4);
    }
}
