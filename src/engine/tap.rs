//! Taps: copies of frames on their way out of the pipeline.

use crate::clock;
use crate::frame::{Flags, Frame, Spec};
use crate::ledger::{Cause, Counters};
use crate::ring::{Consumer, Doorbell, Producer, ring};
use crate::sinks::Delivery;
use std::sync::Arc;

/// The data plane's end: copies frames into the ring of one sink.
pub struct Tap {
    ring: Producer<Delivery>,
    bell: Doorbell,
    input: usize,
    counters: Arc<Counters>,
    /// Set for offline runs: wait for room rather than drop.
    patient: bool,
    /// Whether the sink is woken for each frame.
    urgent: bool,
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
    ) -> (Self, Consumer<Delivery>) {
        let item = || Delivery { live: !patient, ..Delivery::with_room(spec, stages) };
        let items = (0..capacity).map(|_| item()).collect();
        let (producer, consumer) = ring(items);
        (Self { ring: producer, bell, input, counters, patient, urgent: true }, consumer)
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
        self.counters.take_in(1);
        if sent {
            if self.urgent || self.patient || self.ring.is_half_full() {
                self.bell.ring();
            }
        } else {
            self.counters.add(Cause::Drop, 1);
        }
    }

    /// **Data.** Tells the sink that nothing more will come. Waits for room: it is called once,
    /// when the lane has nothing else to do.
    pub fn end(&mut self) {
        let input = self.input;
        while self.ring.has_reader() {
            let sent = self.ring.push_with(|delivery| {
                delivery.frame.resize(0, 0);
                delivery.frame.flags = Flags::END;
                delivery.frame.input = input;
                delivery.emitted_s = clock::now_s();
            });
            self.bell.ring();
            if sent {
                return;
            }
            std::thread::yield_now();
        }
    }
}
