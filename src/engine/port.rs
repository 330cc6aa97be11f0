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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Flags;

    struct Bench {
        port: Port,
        mail: MailReader<Letter>,
        pages: [Arc<Counters>; 2],
        frame: Frame,
    }

    fn bench(patient: bool, branch: Branch) -> Bench {
        let spec = Spec { rows: 1, cols: 2, ..Spec::markers() };
        let pages = ["a", "b"].map(Counters::new);
        let readers = pages.to_vec();
        let (port, mail) = Port::new(&spec, 3, Doorbell::default(), readers, patient, branch);
        Bench { port, mail, pages, frame: spec.frame() }
    }

    impl Bench {
        fn send(&mut self, n: u64) {
            self.frame.span.last = n;
            self.port.send(&self.frame, &[n, n + 1, n + 2], n / 2);
        }

        fn take(&mut self) -> Option<u64> {
            self.mail.take_with(|letter| {
                let n = letter.frame.span.last;
                assert_eq!((&letter.spent_ns[..], letter.resets), (&[n, n + 1, n + 2][..], n / 2));
                n
            })
        }

        fn skipped(&self) -> [u64; 2] {
            self.pages.each_ref().map(|page| page.get(Cause::Skipped))
        }
    }

    #[test]
    fn the_newest_is_taken_and_the_others_are_counted_for_every_reader() {
        let mut bench = bench(false, Branch::All);
        assert_eq!(bench.take(), None);
        (1..=5).for_each(|n| bench.send(n));
        assert_eq!((bench.take(), bench.take()), (Some(5), None));
        assert_eq!(bench.skipped(), [4, 4]);
        bench.send(6);
        assert_eq!(bench.take(), Some(6));
        assert_eq!(bench.skipped(), [4, 4]);
    }

    #[test]
    fn windows_of_the_other_branch_go_by_and_take_no_place() {
        for (branch, seen) in [(Branch::Main, 1), (Branch::Degraded, 2)] {
            let mut bench = bench(false, branch);
            bench.send(1);
            bench.frame.flags = Flags::DEGRADED;
            bench.send(2);
            bench.frame.flags = if branch == Branch::Main { Flags::DEGRADED } else { Flags::NONE };
            bench.send(3);
            assert_eq!((bench.take(), bench.skipped()), (Some(seen), [0, 0]));
        }
    }

    #[test]
    fn a_patient_port_waits_until_the_frame_before_was_taken() {
        let Bench { mut port, mut mail, pages, frame } = bench(true, Branch::All);
        let lane = std::thread::spawn(move || {
            for n in 0..100 {
                port.send(
                    &Frame { span: crate::frame::Span { last: n, ..frame.span }, ..frame.clone() },
                    &[0; 3],
                    0,
                );
            }
            port.end();
        });
        let mut seen = Vec::new();
        while !mail.is_over() {
            mail.take_with(|letter| seen.push(letter.frame.span.last));
            std::thread::yield_now();
        }
        lane.join().unwrap();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        assert_eq!(pages[0].get(Cause::Skipped), 0);
    }

    #[test]
    fn the_last_frame_is_still_read_after_the_end() {
        let mut bench = bench(false, Branch::All);
        bench.send(1);
        let Bench { port, mut mail, .. } = bench;
        port.end();
        assert!(!mail.is_over());
        assert_eq!(mail.take_with(|letter| letter.frame.span.last), Some(1));
        assert!(mail.is_over());
    }
}
