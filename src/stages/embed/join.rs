//! Vectors of several streams to one: EEG and MEG, or EEG and the eyes, of the same moment.
//!
//! In: two or more inputs of vectors, in any order of arrival, each in the order of its time. Frames whose newest
//! samples are at most `tolerance_s` apart belong together. Out: for each moment the mean of the vectors, each
//! divided by its length before if `normalise`, or the vectors one behind the other. The span reaches from the oldest
//! sample to the newest; the indices are those of the first input that is there.
//!
//! A moment goes out when all inputs are there. One that misses an input goes out, or not, when that input has
//! passed it or when any other input is `wait_s` ahead; it is counted (`unpaired`), and flagged BAD if it goes out.
//! A frame that comes for a moment that is over is counted (`drop`). Time is that of the streams, so a run offline
//! waits as a live one does. Delay: none when all are there, at most `wait_s` when not.

use crate::error::{Error, Result};
use crate::frame::{Channel, Flags, Frame, Payload, Span, Spec};
use crate::ledger::Cause;
use crate::stages::{Emit, Fault, Stage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many frames of one input may wait for the others.
const ROOM: usize = 64;
/// The most inputs.
const MAX_INPUTS: usize = 16;
/// A stream that falls so far behind what was sent has another time than before.
const CLOCK_RESET_S: f64 = 120.0;

/// Joins what several streams say of the same moment, such as the embeddings of EEG and MEG: `from` names them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How far apart in time two vectors may be to belong together, in seconds.
    pub tolerance_s: f64,
    /// How long a missing stream is waited for, in seconds of the other streams.
    pub wait_s: f64,
    /// Where a stream is missing: "rest" goes on with those that are there, "skip" passes the moment over.
    pub missing: Missing,
    /// "mean" of the vectors, which then have one length, or "concatenate".
    pub how: How,
    /// Whether each vector is divided by its length first, as embeddings are that are compared by their angle.
    pub normalise: bool,
    /// How much each input counts in the mean; all alike when left out.
    pub weights: Option<Vec<f64>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tolerance_s: 0.02,
            wait_s: 0.2,
            missing: Missing::Rest,
            how: How::Mean,
            normalise: true,
            weights: None,
        }
    }
}

/// What happens where a stream is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// The others answer; where vectors are put one behind the other, its numbers are 0.
    Rest,
    /// Nobody does.
    Skip,
}

/// How vectors are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// Their mean.
    Mean,
    /// One behind the other.
    Concatenate,
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "tolerance_s = 0.02\nwait_s = 0.2\nmissing = \"rest\"\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        let is_time = |s: f64| (0.0..=60.0).contains(&s);
        if !is_time(self.tolerance_s) {
            return Err(Error::setting("tolerance_s", "expected 0 to 60 seconds"));
        }
        if !is_time(self.wait_s) || self.wait_s < self.tolerance_s {
            return Err(Error::setting("wait_s", "expected `tolerance_s` to 60 seconds"));
        }
        let weights = self.weights.as_deref().unwrap_or_default();
        if weights.iter().any(|w| !(*w > 0.0 && w.is_finite())) {
            return Err(Error::setting("weights", "expected numbers above 0"));
        }
        Ok(Box::new(Join {
            settings: self,
            queues: Vec::new(),
            weights: Vec::new(),
            passed_s: f64::NEG_INFINITY,
            out: Spec::markers().frame(),
        }))
    }
}

struct Join {
    settings: Settings,
    /// What waits of each input.
    queues: Vec<Queue>,
    weights: Vec<f64>,
    /// The time of the newest moment that is over.
    passed_s: f64,
    out: Frame,
}

/// What waits of one input, the oldest first.
struct Queue {
    frames: Vec<Frame>,
    waiting: usize,
    /// The time of the newest frame that came.
    newest_s: f64,
    /// Where its numbers go in the output.
    at: usize,
    length: usize,
}

impl Stage for Join {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let spec = self.joined(inputs)?;
        let mut at = 0;
        self.queues = inputs
            .iter()
            .map(|input| {
                let queue = Queue::new(input, at);
                at += if self.settings.how == How::Mean { 0 } else { input.cols };
                queue
            })
            .collect();
        self.weights = self.settings.weights.clone().unwrap_or_else(|| vec![1.0; inputs.len()]);
        self.passed_s = f64::NEG_INFINITY;
        self.out = spec.frame();
        Ok(spec)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        let Some(queue) = self.queues.get_mut(frame.input) else {
            return Err(Fault("a frame came by an input that there is not"));
        };
        if frame.data.len() != queue.length {
            // The end of a stream carries no numbers.
            return match frame.data.is_empty() {
                true => Ok(()),
                false => Err(Fault("the vector has another length than was promised")),
            };
        }
        let time_s = frame.span.last_s;
        if time_s < self.passed_s - CLOCK_RESET_S {
            // The clock of the streams was set back.
            self.reset();
        }
        let (passed_s, queue) = (self.passed_s, &mut self.queues[frame.input]);
        queue.newest_s = queue.newest_s.max(time_s);
        if time_s <= passed_s || !queue.push(frame) {
            emit.count(Cause::Drop, 1);
        }
        while self.send_one(emit) {}
        Ok(())
    }

    fn reset(&mut self) {
        for queue in &mut self.queues {
            queue.waiting = 0;
            queue.newest_s = f64::NEG_INFINITY;
        }
        self.passed_s = f64::NEG_INFINITY;
    }

    /// A gap in one stream says nothing of the others.
    fn interrupt(&mut self) {}
}

impl Join {
    /// What goes out, given what comes in.
    fn joined(&self, inputs: &[Spec]) -> Result<Spec> {
        let [first, _, ..] = inputs else {
            let text = "takes two inputs or more: from = [\"eeg_embedding\", \"meg_embedding\"]";
            return Err(Error::mismatch(text));
        };
        if inputs.len() > MAX_INPUTS {
            return Err(Error::mismatch(format!("takes at most {MAX_INPUTS} inputs")));
        }
        if let Some(other) = inputs.iter().find(|spec| spec.payload != Payload::Vector) {
            let text = format!("takes vectors, but is given {:?}", other.payload).to_lowercase();
            return Err(Error::mismatch(text));
        }
        let weights = self.settings.weights.as_ref().map_or(inputs.len(), Vec::len);
        if weights != inputs.len() {
            let text = format!("has {weights} weights for {} inputs", inputs.len());
            return Err(Error::mismatch(text).blaming("weights"));
        }
        if self.settings.how == How::Concatenate {
            let channels: Vec<Channel> = inputs.iter().flat_map(|s| s.channels.clone()).collect();
            let cols = inputs.iter().map(|s| s.cols).sum();
            let channels = if channels.len() == cols { channels } else { Vec::new() };
            return Ok(Spec { cols, channels, ..first.clone() });
        }
        match inputs.iter().find(|spec| spec.cols != first.cols) {
            Some(other) => Err(Error::mismatch(format!(
                "cannot take the mean of vectors of {} and of {} numbers: bring them into one space, or `how = \"concatenate\"`",
                first.cols, other.cols
            ))),
            None => Ok(first.clone()),
        }
    }

    /// Sends the oldest moment, if it is complete or nothing more of it is to come.
    fn send_one(&mut self, emit: &mut dyn Emit) -> bool {
        let firsts = self.queues.iter().filter_map(Queue::first_s);
        let anchor_s = firsts.fold(f64::INFINITY, f64::min);
        if anchor_s == f64::INFINITY {
            return false;
        }
        let Settings { tolerance_s, wait_s, missing, .. } = self.settings;
        let limit_s = anchor_s + tolerance_s;
        let newest_s = self.queues.iter().map(|q| q.newest_s).fold(f64::NEG_INFINITY, f64::max);
        let given_up = newest_s > anchor_s + wait_s;
        let is_here = |queue: &Queue| queue.first_s().is_some_and(|s| s <= limit_s);
        let decided = |queue: &Queue| is_here(queue) || queue.newest_s > limit_s || given_up;
        if !self.queues.iter().all(decided) {
            return false;
        }
        let absent = self.queues.iter().filter(|queue| !is_here(queue)).count() as u64;
        if absent > 0 {
            emit.count(Cause::Unpaired, 1);
        }
        if absent == 0 || missing == Missing::Rest {
            self.join(limit_s);
            if absent > 0 {
                self.out.flags |= Flags::BAD;
            }
            emit.emit(&mut self.out);
        }
        self.passed_s = limit_s;
        self.queues.iter_mut().for_each(|queue| queue.pass(limit_s));
        true
    }

    /// Joins what is there up to `limit_s`.
    fn join(&mut self, limit_s: f64) {
        let Settings { how, normalise, .. } = self.settings;
        let out = &mut self.out;
        let length = match how {
            How::Mean => self.queues[0].length,
            How::Concatenate => self.queues.iter().map(|q| q.length).sum(),
        };
        out.resize(1, length);
        out.data.fill(0.0);
        let here = |queue: &Queue| queue.first_s().is_some_and(|s| s <= limit_s);
        let weights = self.queues.iter().zip(&self.weights);
        let total: f64 = weights.filter(|(queue, _)| here(queue)).map(|(_, w)| w).sum();
        let mut is_first = true;
        for (queue, weight) in self.queues.iter().zip(&self.weights).filter(|(q, _)| here(q)) {
            let frame = &queue.frames[0];
            let norm = frame.data.iter().map(|v| v * v).sum::<f64>().sqrt();
            let scale = if normalise && norm > 0.0 { 1.0 / norm } else { 1.0 };
            let share = if how == How::Mean { weight / total } else { 1.0 };
            let place = out.data[queue.at..].iter_mut();
            place.zip(&frame.data).for_each(|(to, v)| *to += v * scale * share);
            match is_first {
                true => (out.span, out.flags) = (frame.span, frame.flags),
                false => {
                    out.span = around(out.span, frame.span);
                    out.flags |= frame.flags;
                }
            }
            if is_first || out.text.is_empty() {
                out.text.clear();
                out.text.push_str(&frame.text);
            }
            is_first = false;
        }
        out.input = 0;
    }
}

/// The times of both, and the indices of the first.
fn around(a: Span, b: Span) -> Span {
    Span {
        first_s: a.first_s.min(b.first_s),
        last_s: a.last_s.max(b.last_s),
        arrived_s: a.arrived_s.max(b.arrived_s),
        ..a
    }
}

impl Queue {
    fn new(spec: &Spec, at: usize) -> Self {
        let frames = (0..ROOM).map(|_| spec.frame()).collect();
        Self { frames, waiting: 0, newest_s: f64::NEG_INFINITY, at, length: spec.cols }
    }

    /// The time of the oldest frame that waits.
    fn first_s(&self) -> Option<f64> {
        (self.waiting > 0).then(|| self.frames[0].span.last_s)
    }

    /// Puts a copy of `frame` at the end; false if the oldest had to go for it.
    fn push(&mut self, frame: &Frame) -> bool {
        let has_room = self.waiting < self.frames.len();
        if !has_room {
            self.frames.rotate_left(1);
            self.waiting -= 1;
        }
        self.frames[self.waiting].copy_from(frame);
        self.waiting += 1;
        has_room
    }

    /// Throws away what belongs to moments up to `limit_s`.
    fn pass(&mut self, limit_s: f64) {
        while self.first_s().is_some_and(|s| s <= limit_s) {
            self.frames.rotate_left(1);
            self.waiting -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::testing::Seen;

    fn vectors(cols: usize) -> Spec {
        Spec { payload: Payload::Vector, rows: 1, cols, ..Spec::markers() }
    }

    fn vector(input: usize, time_s: f64, data: &[f64]) -> Frame {
        let mut frame = vectors(data.len()).frame();
        frame.resize(1, data.len());
        frame.data.copy_from_slice(data);
        frame.input = input;
        let index = (time_s * 10.0).round() as u64;
        let first_s = time_s - 1.0;
        frame.span = Span { first: index, last: index, first_s, last_s: time_s, arrived_s: time_s };
        frame
    }

    /// What comes of `frames`, and how often each cause is counted.
    fn run(settings: &str, inputs: &[Spec], frames: &[Frame]) -> (Vec<Frame>, Vec<(Cause, u64)>) {
        let settings: Settings = toml::from_str(settings).unwrap();
        let mut stage = crate::kind::Settings::build(settings).unwrap();
        stage.prepare(inputs).unwrap();
        let mut seen = Seen::default();
        for frame in frames {
            stage.process(&mut frame.clone(), &mut seen).unwrap();
        }
        (seen.frames, seen.counts)
    }

    #[test]
    fn what_belongs_together_is_joined_whatever_comes_first() {
        let inputs = [vectors(2), vectors(2)];
        let frames = [
            vector(1, 1.01, &[0.0, 3.0]),
            vector(0, 1.0, &[2.0, 0.0]),
            vector(0, 1.1, &[0.0, 5.0]),
            vector(1, 1.11, &[0.0, 1.0]),
        ];
        let (out, counts) = run("", &inputs, &frames);
        assert!(counts.is_empty());
        assert_eq!((&out[0].data[..], &out[1].data[..]), (&[0.5, 0.5][..], &[0.0, 1.0][..]));
        assert_eq!((out[0].span.first, out[0].span.first_s, out[0].span.last_s), (10, 0.0, 1.01));
        let (out, _) = run("how = \"concatenate\"\nnormalise = false", &inputs, &frames);
        assert_eq!(out[0].data, [2.0, 0.0, 0.0, 3.0]);
        let (out, _) = run("weights = [3.0, 1.0]\nnormalise = false", &inputs, &frames);
        assert_eq!(out[0].data, [1.5, 0.75]);
    }

    #[test]
    fn a_missing_stream_is_waited_for_and_then_counted() {
        let inputs = [vectors(1), vectors(1)];
        // The second stream misses the moments 1.1 and all from 1.3 on.
        let mut frames =
            vec![vector(0, 1.0, &[1.0]), vector(1, 1.0, &[1.0]), vector(0, 1.1, &[1.0])];
        frames.extend([vector(0, 1.2, &[1.0]), vector(1, 1.2, &[1.0])]);
        frames.extend((13..20).map(|i| vector(0, f64::from(i) / 10.0, &[1.0])));
        let (out, counts) = run("wait_s = 0.25", &inputs, &frames);
        let times: Vec<f64> = out.iter().map(|f| f.span.last_s).collect();
        // 1.9 - 0.25: what is later may still come.
        assert_eq!(times, [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6]);
        let bad: Vec<bool> = out.iter().map(|f| f.flags.has(Flags::BAD)).collect();
        assert_eq!(bad, [false, true, false, true, true, true, true]);
        assert_eq!(counts, vec![(Cause::Unpaired, 1); 5]);
        let (out, counts) = run("wait_s = 0.25\nmissing = \"skip\"", &inputs, &frames);
        assert_eq!((out.len(), counts.len()), (2, 5));
    }

    #[test]
    fn what_comes_too_late_is_counted_and_a_clock_set_back_is_followed() {
        let inputs = [vectors(1), vectors(1)];
        let late = [vector(0, 1.0, &[1.0]), vector(0, 1.5, &[1.0]), vector(1, 1.0, &[1.0])];
        let (out, counts) = run("", &inputs, &late);
        assert_eq!((out.len(), counts), (1, vec![(Cause::Unpaired, 1), (Cause::Drop, 1)]));
        let back = [
            vector(0, 500.0, &[1.0]),
            vector(1, 500.0, &[1.0]),
            vector(0, 1.0, &[1.0]),
            vector(1, 1.0, &[1.0]),
        ];
        assert_eq!(run("", &inputs, &back).0.len(), 2);
    }

    #[test]
    fn room_is_bounded() {
        let inputs = [vectors(1), vectors(1)];
        let frames: Vec<Frame> = (0..100).map(|i| vector(0, f64::from(i) / 10.0, &[1.0])).collect();
        let (out, counts) = run("wait_s = 60.0", &inputs, &frames);
        assert!(out.is_empty() && counts == vec![(Cause::Drop, 1); 100 - ROOM]);
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let prepare = |settings: &str, inputs: &[Spec]| {
            let settings: Settings = toml::from_str(settings).unwrap();
            let mut stage = crate::kind::Settings::build(settings).unwrap();
            stage.prepare(inputs).map_err(|e| e.to_string())
        };
        assert!(prepare("", &[vectors(2)]).unwrap_err().contains("two inputs"));
        assert!(prepare("", &[vectors(2), vectors(3)]).unwrap_err().contains("of 2 and of 3"));
        assert_eq!(prepare("how = \"concatenate\"", &[vectors(2), vectors(3)]).unwrap().cols, 5);
        assert!(prepare("weights = [1.0]", &[vectors(2), vectors(2)]).is_err());
    }
}
