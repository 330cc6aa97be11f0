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
        let Self { id, ring, bell, .. } = self;
        // The lane sees that the writing end is gone.
        drop(ring);
        bell.ring();
        result.map_err(|e| e.at(format_args!("source `{id}`")))
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
            guard.admit(&mut block, &self.counters);
            if !self.send(&block) {
                guard.dropped();
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
        let n = self.spec.payload.units(block);
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
}

/// Counts what comes, notices blocks that do not follow on from the one before and channels that went
/// flat, and keeps numbers that are not finite out of the filters.
pub struct Guard {
    payload: Payload,
    last: Vec<f64>,
    same_for: Vec<u64>,
    flat_after: u64,
    labels: Vec<String>,
    /// Index of the sample that should come next.
    next_index: u64,
    /// Whether the block before was lost after it was admitted.
    dropped: bool,
}

impl Guard {
    /// A guard for blocks of `spec`.
    pub fn new(spec: &Spec) -> Self {
        Self {
            payload: spec.payload,
            last: vec![0.0; spec.cols],
            same_for: vec![0; spec.cols],
            flat_after: (spec.rate_hz.ceil() as u64).max(2),
            labels: spec.channels.iter().map(|c| c.label.clone()).collect(),
            next_index: 0,
            dropped: false,
        }
    }

    /// Says that the block admitted last was lost: the next one does not follow on from what the lane
    /// has seen.
    fn dropped(&mut self) {
        self.dropped = true;
    }

    /// Counts `block`, repairs it in place and flags it BAD if it had to, GAP if samples are missing
    /// before it.
    pub fn admit(&mut self, block: &mut Frame, counters: &Counters) {
        let index = block.span.first;
        let missing = index.saturating_sub(self.next_index);
        self.next_index = block.span.last + 1;
        counters.take_in(self.payload.units(block));
        counters.reach(self.next_index);
        if missing > 0 {
            counters.note(Cause::Gap, missing, index, "samples are missing");
        } else if block.flags.has(Flags::GAP) {
            counters.note(Cause::Gap, 0, index, "a break of unknown length");
        }
        if self.payload == Payload::Samples {
            if std::mem::take(&mut self.dropped) || missing > 0 {
                block.flags |= Flags::GAP;
            }
            self.repair(block, counters);
        }
    }

    fn repair(&mut self, block: &mut Frame, counters: &Counters) {
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
    }
}
