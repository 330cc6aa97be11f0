//! The intake: one thread per source that reads blocks, repairs what would poison the filters,
//! counts it, and puts the blocks into the lane's inbox.

use crate::clock;
use crate::error::{Error, Result};
use crate::frame::{Flags, Frame, Payload, Spec};
use crate::ledger::{Cause, Counters};
use crate::ring::{BlockWriter, Doorbell};
use crate::sources::{Read, Source};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// What an intake thread works with.
pub struct Intake {
    /// The id of the source.
    pub id: String,
    /// The opened source.
    pub source: Box<dyn Source>,
    /// What it delivers.
    pub spec: Spec,
    /// The way into the lane.
    pub ring: BlockWriter,
    /// Wakes the lane.
    pub bell: Doorbell,
    /// The source's page in the ledger.
    pub counters: Arc<Counters>,
    /// Ends the thread.
    pub stop: Arc<AtomicBool>,
    /// Set when a source fails, so that the run ends.
    pub failed: Arc<AtomicBool>,
}

impl Intake {
    /// Starts the thread; its result is the reason why it ended.
    pub fn start(self) -> Result<JoinHandle<Result<()>>> {
        std::thread::Builder::new()
            .name(format!("in:{}", self.id))
            .spawn(move || self.run())
            .map_err(|e| Error::run(format!("a source's thread does not start: {e}")))
    }

    fn run(mut self) -> Result<()> {
        let result = self.pump();
        if result.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        self.send_end();
        result.map_err(|e| e.at(format_args!("source `{}`", self.id)))
    }

    fn pump(&mut self) -> Result<()> {
        let mut guard = Guard::new(&self.spec);
        let mut block = self.spec.frame();
        while !self.stop.load(Ordering::Relaxed) {
            block.flags = Flags::NONE;
            match self.source.read(&mut block)? {
                Read::Idle => continue,
                Read::End => break,
                Read::Filled => block.span.arrived_s = clock::now_s(),
            }
            self.counters.take_in(guard.admit(&mut block, &self.counters));
            if !self.send(&block) {
                guard.expect(block.span.first);
            }
        }
        Ok(())
    }

    /// Puts `block` into the inbox: offline sources wait for room, live ones drop and count.
    fn send(&mut self, block: &Frame) -> bool {
        let patient = self.source.offline();
        while patient && !self.ring.has_room(block) && self.ring.has_reader() {
            std::thread::sleep(Duration::from_micros(50));
        }
        let n = match self.spec.payload {
            Payload::Markers => 1,
            _ => block.rows as u64,
        };
        let sent = self.ring.push(block);
        if sent {
            self.counters.pass_on(n);
        } else {
            let text = "the lane is too slow: its inbox was full";
            self.counters.note(Cause::Drop, n, block.span.last + 1, text);
        }
        self.bell.ring();
        sent
    }

    /// Tells the lane that nothing more will come; waits for room as long as there is a lane.
    fn send_end(&mut self) {
        let mut end = Spec::markers().frame();
        end.flags = Flags::END;
        while !self.ring.push(&end) && self.ring.has_reader() {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.bell.ring();
    }
}

/// Keeps numbers that are not finite out of the filters, notices channels that went flat and
/// blocks that do not follow on from the one before.
pub struct Guard {
    last: Vec<f64>,
    same_for: Vec<u64>,
    flat_after: u64,
    labels: Vec<String>,
    /// Index of the sample that should come next.
    next_index: Option<u64>,
}

impl Guard {
    /// A guard for blocks of `spec`.
    pub fn new(spec: &Spec) -> Self {
        Self {
            last: vec![0.0; spec.cols],
            same_for: vec![0; spec.cols],
            flat_after: (spec.rate_hz.ceil() as u64).max(2),
            labels: spec.channels.iter().map(|c| c.label.clone()).collect(),
            next_index: None,
        }
    }

    /// Says that the samples from `index` on were lost after they were admitted.
    fn expect(&mut self, index: u64) {
        self.next_index = Some(index);
    }

    /// Repairs `block` in place and flags it BAD if it had to, GAP if samples are missing before
    /// it. Returns how many samples (or markers) it holds.
    pub fn admit(&mut self, block: &mut Frame, counters: &Counters) -> u64 {
        if self.labels.is_empty() {
            return 1;
        }
        if self.next_index.is_some_and(|next| next != block.span.first) {
            block.flags |= Flags::GAP;
        }
        self.next_index = Some(block.span.last + 1);
        let index = block.span.first;
        if block.flags.has(Flags::GAP) {
            self.same_for.fill(0);
        }
        let mut not_finite = 0;
        for row in block.data.chunks_exact_mut(block.cols) {
            for (c, value) in row.iter_mut().enumerate() {
                if !value.is_finite() {
                    *value = self.last[c];
                    not_finite += 1;
                } else if *value == self.last[c] {
                    self.same_for[c] += 1;
                    if self.same_for[c] == self.flat_after {
                        let text = format!("channel `{}` holds one value", self.labels[c]);
                        counters.note(Cause::Flat, 1, index, text);
                    }
                } else {
                    self.same_for[c] = 0;
                }
                self.last[c] = *value;
            }
        }
        if not_finite > 0 {
            block.flags |= Flags::BAD;
            let text = "numbers that are not finite were replaced by the channel's last value";
            counters.note(Cause::NotFinite, not_finite, index, text);
        }
        block.rows as u64
    }
}
