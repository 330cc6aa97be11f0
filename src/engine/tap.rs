//! Taps: copies of frames on their way out of the pipeline.

use crate::clock;
use crate::frame::{Frame, Payload, Spec};
use crate::ledger::{Cause, Counters};
use crate::ring::{Consumer, Doorbell, Producer, ring};
use crate::sinks::Delivery;
use std::sync::Arc;

/// The data plane's end: copies frames into the ring of one sink.
pub struct Tap {
    ring: Producer<Delivery>,
    bell: Doorbell,
    input: usize,
    payload: Payload,
    counters: Arc<Counters>,
    /// Set for offline runs: wait for room rather than drop.
    patient: bool,
    /// Whether the sink is woken for each frame.
    urgent: bool,
}

/// The sink's end.
pub struct Flow {
    /// What waits to be written.
    pub ring: Consumer<Delivery>,
    /// What the frames hold.
    pub payload: Payload,
}

impl Tap {
    /// A tap for frames of `spec` with room for `capacity` of them, which rings `bell` and reaches
    /// its sink as input number `input`.
    pub fn new(
        spec: &Spec,
        stages: usize,
        capacity: usize,
        bell: Doorbell,
        input: usize,
        counters: Arc<Counters>,
        patient: bool,
    ) -> (Self, Flow) {
        let item = || Delivery { live: !patient, ..Delivery::with_room(spec, stages) };
        let items = (0..capacity).map(|_| item()).collect();
        let ((producer, consumer), payload) = (ring(items), spec.payload);
        let urgent = true;
        let tap = Self { ring: producer, bell, input, payload, counters, patient, urgent };
        (tap, Flow { ring: consumer, payload })
    }

    /// The same for a sink that need not be woken for each frame.
    pub fn unhurried(self) -> Self {
        Self { urgent: false, ..self }
    }

    /// **Data.** Copies `frame` out; counts it as dropped when the sink has fallen behind.
    pub fn offer(&mut self, frame: &Frame, stage_ns: &[u64]) {
        while self.patient && !self.ring.has_room() && self.ring.has_reader() {
            std::thread::yield_now();
        }
        let input = self.input;
        let sent = self.ring.push_with(|delivery| {
            delivery.frame.copy_from(frame);
            delivery.frame.input = input;
            delivery.stage_ns.copy_from_slice(stage_ns);
            delivery.emitted_s = clock::now_s();
        });
        let n = self.payload.units(frame);
        self.counters.take_in(n);
        if sent {
            if self.urgent || self.patient || self.ring.is_half_full() {
                self.bell.ring();
            }
        } else {
            self.counters.add(Cause::Drop, n);
        }
    }

    /// **Data.** Counts `n` samples (or frames) as never read.
    pub fn pass_over(&self, n: u64) {
        self.counters.add(Cause::Unread, n);
    }

    /// **Data.** Nothing more will come: the sink takes what is left and sees that the writing end is
    /// gone.
    pub fn end(self) {
        let Self { ring, bell, .. } = self;
        drop(ring);
        bell.ring();
    }
}
