//! Epochs: the samples around each marker.
//!
//! In: samples and markers, two inputs in any order. Out: one window of exactly
//! `round(length_s rate)` rows per marker that names a class, with the marker's text; the classes go
//! into the spec. The epoch begins `round(start_s rate)` samples from the sample that is nearest to
//! the marker's time (the later of two that are equally near).
//!
//! A marker may come before or after its samples. An epoch goes out when its last sample is there,
//! or with its marker if that comes later. What cannot be cut is counted: `broken_epoch` when a gap
//! or the start of the stream took some of its samples, `late_marker` when the marker came more than
//! `history_s` after its time, `drop` when too many markers wait. Markers that name no class are
//! passed over. No epoch reaches across a gap; markers whose epoch lies after it stay through a
//! reset. Delay: none; the span tells when the epoch ended.

use super::classes::Classes;
use super::history::{History, samples};
use crate::error::{Error, Result};
use crate::frame::{Flags, Frame, Payload, Spec};
use crate::kind;
use crate::ledger::Cause;
use crate::stages::{Emit, Fault, Stage, regular};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many markers may wait for their samples.
const MAX_WAITING: usize = 256;

/// Cuts out the samples around each marker that names a class.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The classes in order, each with the marker text, or the list of texts, that stands for it.
    pub classes: Classes,
    /// Where the epoch begins, in seconds from the marker; negative for before it.
    #[serde(default)]
    pub start_s: f64,
    /// Length of the epoch in seconds.
    pub length_s: f64,
    /// How many seconds after its time a marker may still come.
    #[serde(default = "default_history_s")]
    pub history_s: f64,
}

fn default_history_s() -> f64 {
    5.0
}

impl kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "classes = { left = \"T1\", right = [\"T2\", \"T2b\"] }\n\
                                   start_s = 0.5\nlength_s = 2.0\nhistory_s = 5.0\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        let texts = self.classes.texts()?;
        if !(-3600.0..=3600.0).contains(&self.start_s) {
            return Err(Error::setting(
                "start_s",
                format!("start_s is {}, expected -3600 to 3600", self.start_s),
            ));
        }
        Ok(Box::new(Event {
            settings: self,
            texts,
            markers: 0,
            rate_hz: 0.0,
            start: 0,
            length: 0,
            late: 0,
            history: History::default(),
            waiting: Vec::with_capacity(MAX_WAITING),
            gap: false,
            out: Spec::markers().frame(),
        }))
    }
}

struct Event {
    settings: Settings,
    texts: Vec<String>,
    /// Which input the markers come from.
    markers: usize,
    rate_hz: f64,
    start: i64,
    length: usize,
    /// How many samples after its own a marker may still come.
    late: i64,
    history: History,
    waiting: Vec<Waiting>,
    /// Whether the next epoch is the first after a gap.
    gap: bool,
    out: Frame,
}

/// A marker whose epoch is not complete.
#[derive(Clone, Copy)]
struct Waiting {
    time_s: f64,
    /// Which of the texts.
    text: usize,
    /// Index of the first sample of its epoch, once a sample of the marker's time is there.
    first: Option<i64>,
}

impl Stage for Event {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let is_markers = |spec: &Spec| spec.payload == Payload::Markers;
        self.markers = match inputs {
            [a, b] if is_markers(a) && !is_markers(b) => 0,
            [a, b] if is_markers(b) && !is_markers(a) => 1,
            _ => {
                return Err(Error::mismatch(
                    "takes two inputs, samples and markers: from = [\"eeg\", \"markers\"]",
                ));
            }
        };
        let spec = regular(&inputs[1 - self.markers..][..1], &[Payload::Samples])?;
        let Settings { start_s, length_s, history_s, .. } = self.settings;
        self.rate_hz = spec.rate_hz;
        self.length = samples("length_s", length_s, spec.rate_hz)?;
        self.start = (start_s * spec.rate_hz).round() as i64;
        let late = samples("history_s", history_s, spec.rate_hz)?;
        self.late = late as i64;
        // The epoch of the latest marker, and a whole block that comes before it is looked at.
        let before = (-self.start).max(0) as usize;
        self.history = History::new(late + before + self.length + spec.rows, spec.cols);
        self.waiting.clear();
        self.gap = false;
        let classes = self.settings.classes.names();
        let out = Spec { payload: Payload::Window, rows: self.length, classes, ..spec.clone() };
        self.out = out.frame();
        Ok(out)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        if frame.input == self.markers {
            self.add_marker(frame, emit);
        } else if frame.rows > 0 {
            self.add_samples(frame);
        }
        self.cut(emit);
        Ok(())
    }

    fn reset(&mut self) {
        self.forget_samples();
        self.gap = false;
    }
}

impl Event {
    /// Forgets the samples; markers that wait are looked up anew among those to come.
    fn forget_samples(&mut self) {
        self.history.clear();
        self.waiting.iter_mut().for_each(|marker| marker.first = None);
    }

    fn add_samples(&mut self, frame: &Frame) {
        let broken = !self.history.continues(frame);
        if broken {
            self.forget_samples();
        }
        self.gap |= broken || frame.flags.has(Flags::GAP);
        (0..frame.rows).for_each(|r| self.history.push(frame, r));
        for i in 0..self.waiting.len() {
            let Waiting { time_s, first, .. } = self.waiting[i];
            self.waiting[i].first = first.or_else(|| self.first_at(time_s));
        }
    }

    fn add_marker(&mut self, frame: &Frame, emit: &mut dyn Emit) {
        let Some(text) = self.texts.iter().position(|text| *text == frame.text) else { return };
        let time_s = frame.span.last_s;
        let first = self.first_at(time_s);
        let oldest = self.history.end() as i64 - self.late + self.start;
        if !time_s.is_finite() || first.is_some_and(|first| first < oldest) {
            emit.count(Cause::LateMarker, 1);
            return;
        }
        if self.waiting.len() == MAX_WAITING {
            self.waiting.remove(0);
            emit.count(Cause::Drop, 1);
        }
        self.waiting.push(Waiting { time_s, text, first });
    }

    /// Where the epoch of a marker at `time_s` begins, if samples of that time are there.
    fn first_at(&self, time_s: f64) -> Option<i64> {
        let at = self.history.index_at(time_s, self.rate_hz)?;
        Some(at.saturating_add(self.start))
    }

    /// Sends off the epochs that are complete, the earliest first, and gives up the broken ones.
    fn cut(&mut self, emit: &mut dyn Emit) {
        let (begin, end) = (self.history.begin() as i64, self.history.end() as i64);
        if begin == end {
            return;
        }
        let before = self.waiting.len();
        self.waiting.retain(|marker| marker.first.is_none_or(|first| first >= begin));
        let broken = before - self.waiting.len();
        if broken > 0 {
            emit.count(Cause::BrokenEpoch, broken as u64);
        }
        while let Some((first, i)) = self
            .waiting
            .iter()
            .enumerate()
            .filter_map(|(i, marker)| marker.first.map(|first| (first, i)))
            .filter(|(first, _)| first + self.length as i64 <= end)
            .min()
        {
            let marker = self.waiting.remove(i);
            if !self.history.holds(first as u64, self.length) {
                emit.count(Cause::LateMarker, 1);
                continue;
            }
            self.history.copy(first as u64, self.length, &mut self.out);
            self.out.text.push_str(&self.texts[marker.text]);
            if std::mem::take(&mut self.gap) {
                self.out.flags |= Flags::GAP;
            }
            emit.emit(&mut self.out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::testing::{Seen, block, samples};

    struct Bench {
        stage: Box<dyn Stage>,
        spec: Spec,
        seen: Seen,
    }

    impl Bench {
        /// 100 Hz, epochs of 5 samples; markers are input 0.
        fn new(start_s: f64) -> Self {
            let snippet = format!(
                "classes = {{ left = \"T1\", right = [\"T2\", \"T3\"] }}\nstart_s = {start_s:?}\n\
                 length_s = 0.05\nhistory_s = 0.2"
            );
            let mut stage = super::super::KINDS[1].from_toml(&snippet).unwrap().unit;
            let spec = samples(&["C3"], 100.0);
            let out = stage.prepare(&[Spec::markers(), spec.clone()]).unwrap();
            assert_eq!((out.payload, out.rows, out.cols), (Payload::Window, 5, 1));
            assert_eq!(out.classes, ["left", "right"]);
            Self { stage, spec, seen: Seen::default() }
        }

        fn samples(&mut self, first: u64, rows: usize) -> &mut Self {
            let mut frame = block(&self.spec, first, rows);
            frame.input = 1;
            self.stage.process(&mut frame, &mut self.seen).unwrap();
            self
        }

        /// A marker at the time of the sample `at`.
        fn marker(&mut self, text: &str, at: f64) -> &mut Self {
            let mut frame = Spec::markers().frame();
            frame.text.push_str(text);
            frame.span.last_s = 100.0 + at / 100.0;
            self.stage.process(&mut frame, &mut self.seen).unwrap();
            self
        }

        fn epochs(&self) -> Vec<(&str, u64)> {
            self.seen.frames.iter().map(|f| (f.text.as_str(), f.span.first)).collect()
        }
    }

    #[test]
    fn markers_before_and_after_their_samples() {
        let mut bench = Bench::new(0.0);
        bench.samples(0, 10).marker("T1", 3.0).marker("rest", 4.0).marker("T2", 8.2);
        assert_eq!(bench.epochs(), [("T1", 3)]);
        assert_eq!(bench.seen.frames[0].data, [30.0, 40.0, 50.0, 60.0, 70.0]);
        bench.samples(10, 2);
        assert_eq!(bench.epochs().len(), 1);
        bench.marker("T3", 21.0).samples(12, 20).marker("T1", 20.5);
        assert_eq!(bench.epochs()[1..], [("T2", 8), ("T3", 21), ("T1", 21)]);
        assert!(bench.seen.counts.is_empty());
    }

    #[test]
    fn epochs_may_begin_before_the_marker() {
        let mut bench = Bench::new(-0.04);
        bench.samples(0, 10).marker("T1", 9.0).marker("T1", 2.0);
        assert_eq!(bench.epochs(), [("T1", 5)]);
        assert_eq!(bench.seen.counts, [(Cause::BrokenEpoch, 1)], "begins before the stream");
    }

    #[test]
    fn a_marker_may_be_late_by_the_history_but_no_more() {
        for size in [1, 40] {
            let mut bench = Bench::new(0.0);
            (0..80).step_by(size).for_each(|first| {
                bench.samples(first, size);
            });
            bench.marker("T1", 60.0).marker("T2", 59.0);
            assert_eq!(bench.epochs(), [("T1", 60)]);
            assert_eq!(bench.seen.counts, [(Cause::LateMarker, 1)]);
        }
    }

    #[test]
    fn a_gap_breaks_the_epochs_across_it_only() {
        for reset in [false, true] {
            let mut bench = Bench::new(0.0);
            bench.samples(0, 10).marker("T1", 7.0).marker("T2", 25.0);
            if reset {
                bench.stage.reset();
            }
            bench.samples(20, 12).marker("T3", 15.0).marker("T3", 22.0);
            assert_eq!(bench.epochs(), [("T2", 25), ("T3", 22)]);
            assert_eq!(bench.seen.counts, [(Cause::BrokenEpoch, 1), (Cause::BrokenEpoch, 1)]);
            assert_eq!(bench.seen.frames[0].flags.has(Flags::GAP), !reset);
        }
    }

    #[test]
    fn waiting_markers_have_an_end() {
        let mut bench = Bench::new(0.0);
        bench.samples(0, 10);
        (0..300).for_each(|i| {
            bench.marker("T1", 1e6 + f64::from(i));
        });
        bench.marker("T2", 8.0).marker("T1", f64::NAN).samples(10, 10);
        assert_eq!(bench.epochs(), [("T2", 8)]);
        assert_eq!(bench.seen.counts.len(), 46);
    }

    #[test]
    fn needs_samples_and_markers() {
        let mut stage = super::super::KINDS[1]
            .from_toml("classes = { a = \"x\" }\nlength_s = 1.0")
            .unwrap()
            .unit;
        let (samples, markers) = (samples(&["C3"], 100.0), Spec::markers());
        assert!(stage.prepare(&[samples.clone(), markers.clone()]).is_ok());
        assert!(stage.prepare(&[samples.clone(), samples.clone()]).is_err());
        assert!(stage.prepare(&[markers.clone(), markers]).is_err());
        assert!(stage.prepare(&[samples]).is_err());
    }
}
