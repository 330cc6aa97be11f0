//! Ports: the way from one lane into another, through a mailbox that keeps the newest frame.

use super::pipeline::Branch;
use crate::frame::{Frame, Spec};
use crate::ledger::{Cause, Counters};
use crate::ring::{Doorbell, MailReader, MailWriter, mailbox};
use std::sync::Arc;

/// What lies in a mailbox.
pub struct Letter {
    /// The frame.
    pub frame: Frame,
    /// Nanoseconds that each stage of the graph has spent on it so far.
    pub spent_ns: Vec<u64>,
    /// How often the stages before were reset by a gap. A letter that is replaced may have been the
    /// one behind a gap; its successor still tells.
    pub resets: u64,
}

/// The data plane's end: hands frames to a lane that may be slower.
pub struct Port {
    mail: MailWriter<Letter>,
    bell: Doorbell,
    /// The pages of the stages that are reached: what they never get to see is counted there.
    readers: Vec<Arc<Counters>>,
    /// Set for offline runs: wait until the frame before was taken.
    patient: bool,
    /// Which windows go this way.
    branch: Branch,
}

impl Port {
    /// A port for those frames of `spec` that go by `branch`, from a graph of `stages` stages; it rings
    /// `bell`. `readers` are the pages of the stages that are reached.
    pub fn new(
        spec: &Spec,
        stages: usize,
        bell: Doorbell,
        readers: Vec<Arc<Counters>>,
        patient: bool,
        branch: Branch,
    ) -> (Self, MailReader<Letter>) {
        let letter = || Letter { frame: spec.frame(), spent_ns: vec![0; stages], resets: 0 };
        let (mail, reader) = mailbox([letter(), letter(), letter()]);
        (Self { mail, bell, readers, patient, branch }, reader)
    }

    /// **Data.** Makes `frame` the newest; one that was not taken yet is passed over and counted.
    pub fn send(&mut self, frame: &Frame, spent_ns: &[u64], resets: u64) {
        if !self.branch.takes(frame) {
            return;
        }
        while self.patient && !self.mail.is_taken() && self.mail.has_reader() {
            std::thread::yield_now();
        }
        let replaced = self.mail.send_with(|letter| {
            letter.frame.copy_from(frame);
            letter.spent_ns.copy_from_slice(spent_ns);
            letter.resets = resets;
        });
        if replaced {
            self.readers.iter().for_each(|page| page.add(Cause::Skipped, 1));
        }
        self.bell.ring();
    }

    /// **Data.** Nothing more will come: the reader takes what is left and sees that the writing end is
    /// gone.
    pub fn end(self) {
        let Self { mail, bell, .. } = self;
        drop(mail);
        bell.ring();
    }
}
