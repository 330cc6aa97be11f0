//! Sliding window: the newest stretch of samples, at a steady pace.
//!
//! In: samples, rows x channels, in blocks of any length. Out: windows of exactly
//! `round(length_s rate)` rows, one every `round(step_s rate)` samples; the first as soon as there
//! are enough samples. After a gap, counting begins anew, so no window reaches across one; the
//! first window after it carries the GAP mark. A window with a sample that is marked BAD is marked
//! BAD. Delay: none; the newest sample of a window is the one that completed it.
//!
//! Where all that read from it can make do with less, each step is sent once instead of the window
//! that it completes: see [`Hop`].

use super::history::{History, samples};
use super::hops::Hops;
use crate::error::Result;
use crate::frame::{Flags, Frame, Hop, Payload, Spec};
use crate::kind;
use crate::stages::{Emit, Fault, Stage, regular};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Cuts the stream into windows of one length at a steady pace.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Length of a window in seconds.
    pub length_s: f64,
    /// From one window to the next in seconds; less than the length makes windows overlap.
    pub step_s: f64,
}

impl kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "length_s = 2.0\nstep_s = 0.1\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        let spec = Spec::markers();
        let cut = Cut::Whole(Whole::new(0, &spec));
        Ok(Box::new(Window { settings: self, spec, step: 0, cut }))
    }
}

struct Window {
    settings: Settings,
    /// What it sends when windows are sent whole.
    spec: Spec,
    step: usize,
    cut: Cut,
}

/// How windows are sent.
enum Cut {
    Whole(Whole),
    Hops(Hops),
}

impl Stage for Window {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let spec = regular(inputs, &[Payload::Samples])?;
        let rows = samples("length_s", self.settings.length_s, spec.rate_hz)?;
        self.step = samples("step_s", self.settings.step_s, spec.rate_hz)?;
        self.spec = Spec { payload: Payload::Window, rows, ..spec.clone() };
        self.cut = Cut::Whole(Whole::new(self.step, &self.spec));
        Ok(self.spec.clone())
    }

    fn hops(&self) -> Option<Spec> {
        let hop = Some(Hop { rows: self.step, order: 1, lag: 1, unused: 0 });
        (self.step <= self.spec.rows).then(|| Spec { hop, ..self.spec.clone() })
    }

    fn send_hops(&mut self) {
        if let Some(spec) = self.hops() {
            self.cut = Cut::Hops(Hops::new(spec.rows, self.step, &spec));
        }
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        if frame.rows > 0 {
            match &mut self.cut {
                Cut::Whole(whole) => whole.process(frame, emit),
                Cut::Hops(hops) => hops.process(frame, emit),
            }
        }
        Ok(())
    }

    fn reset(&mut self) {
        match &mut self.cut {
            Cut::Whole(whole) => whole.clear(),
            Cut::Hops(hops) => hops.clear(),
        }
    }
}

/// Sends windows whole.
struct Whole {
    history: History,
    length: usize,
    step: usize,
    /// Samples that are lacking for the next window.
    until: usize,
    /// Whether the next window is the first after a gap.
    gap: bool,
    out: Frame,
}

impl Whole {
    fn new(step: usize, spec: &Spec) -> Self {
        let (length, history) = (spec.rows, History::new(spec.rows, spec.cols));
        Self { history, length, step, until: length, gap: false, out: spec.frame() }
    }

    fn clear(&mut self) {
        self.history.clear();
        self.until = self.length;
        self.gap = false;
    }

    fn process(&mut self, frame: &Frame, emit: &mut dyn Emit) {
        let broken = !self.history.continues(frame);
        if broken {
            self.clear();
        }
        self.gap |= broken || frame.flags.has(Flags::GAP);
        for r in 0..frame.rows {
            self.history.push(frame, r);
            self.until -= 1;
            if self.until == 0 {
                self.until = self.step;
                let first = self.history.end() - self.length as u64;
                self.history.copy(first, self.length, &mut self.out);
                if std::mem::take(&mut self.gap) {
                    self.out.flags |= Flags::GAP;
                }
                emit.emit(&mut self.out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::testing::{Seen, block, samples};

    fn windows(blocks: &[(u64, usize, Flags)]) -> Vec<Frame> {
        let snippet = "length_s = 0.05\nstep_s = 0.03";
        let mut stage = super::super::KINDS[0].from_toml(snippet).unwrap().unit;
        let spec = samples(&["C3", "C4"], 100.0);
        let out = stage.prepare(std::slice::from_ref(&spec)).unwrap();
        assert_eq!((out.payload, out.rows, out.cols), (Payload::Window, 5, 2));
        let mut seen = Seen::default();
        for &(first, rows, flags) in blocks {
            let mut frame = block(&spec, first, rows);
            frame.flags = flags;
            stage.process(&mut frame, &mut seen).unwrap();
        }
        seen.frames
    }

    const NONE: Flags = Flags::NONE;

    #[test]
    fn windows_follow_each_other_by_the_step() {
        let got = windows(&[(7, 4, NONE), (11, 1, NONE), (12, 9, NONE)]);
        let spans: Vec<_> = got.iter().map(|w| (w.span.first, w.span.last)).collect();
        assert_eq!(spans, [(7, 11), (10, 14), (13, 17), (16, 20)]);
        assert_eq!(got[1].row(0), [100.0, 101.0]);
        assert_eq!(got[1].row(4), [140.0, 141.0]);
        assert!((got[0].span.arrived_s - 100.61).abs() < 1e-9);
        assert!((got[1].span.arrived_s - 100.70).abs() < 1e-9, "its block ends at sample 20");
    }

    #[test]
    fn no_window_reaches_across_a_gap() {
        let got = windows(&[(0, 7, NONE), (9, 6, Flags::GAP), (20, 8, NONE)]);
        let spans: Vec<_> = got.iter().map(|w| (w.span.first, w.flags)).collect();
        assert_eq!(spans, [(0, NONE), (9, Flags::GAP), (20, Flags::GAP), (23, NONE)]);
    }

    #[test]
    fn bad_samples_mark_the_windows_they_are_in() {
        let got = windows(&[(0, 5, NONE), (5, 1, Flags::BAD), (6, 10, NONE)]);
        let bad: Vec<_> = got.iter().map(|w| w.flags.has(Flags::BAD)).collect();
        assert_eq!(bad, [false, true, false, false]);
    }

    #[test]
    fn steps_may_leave_samples_out_and_must_not_be_nothing() {
        let mut stage = super::super::KINDS[0].from_toml("length_s = 0.02\nstep_s = 0.04").unwrap();
        let spec = samples(&["C3"], 100.0);
        stage.unit.prepare(std::slice::from_ref(&spec)).unwrap();
        let mut seen = Seen::default();
        stage.unit.process(&mut block(&spec, 0, 12), &mut seen).unwrap();
        assert_eq!(seen.frames.iter().map(|w| w.span.first).collect::<Vec<_>>(), [0, 4, 8]);
        let mut stage = super::super::KINDS[0].from_toml("length_s = 1.0\nstep_s = 0.004").unwrap();
        assert_eq!(stage.unit.prepare(&[spec]).unwrap_err().key(), Some("step_s"));
    }
}
