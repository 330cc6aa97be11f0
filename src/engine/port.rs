//! Ports: the way from one lane into another.
//!
//! Windows, and what is made of them, go through a mailbox that keeps the newest. A stream goes through a
//! ring that keeps all of it; where a slower lane falls so far behind that the ring is full, blocks are lost
//! and counted, and the next one carries the GAP mark.

use super::inbox::inbox;
use super::pipeline::Branch;
use crate::frame::{Flags, Frame, Payload, Spec};
use crate::ledger::{Cause, Counters};
use crate::ring::{BlockReader, BlockWriter, Doorbell, MailReader, MailWriter, mailbox};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// What a lane tells of a frame that leaves it.
#[derive(Debug, Clone, Copy)]
pub struct Passage<'a> {
    /// Nanoseconds that each stage of the graph has spent on it so far.
    pub spent_ns: &'a [u64],
    /// How often stages of the lane were reset by a gap.
    pub resets: u64,
    /// How many frames have left the lane before it: the order in which they are to be read.
    pub sequence: u64,
}

/// The reading end of a mailbox.
pub struct Mail {
    reader: MailReader<Letter>,
    sent: Arc<AtomicU64>,
}

impl Mail {
    /// When the letter that waits was sent, as [`Passage::sequence`]; `None` where none waits.
    pub fn waiting(&self) -> Option<u64> {
        self.reader.has_mail().then(|| self.sent.load(Ordering::Relaxed))
    }

    /// Whether no letter waits and none will come.
    pub fn is_over(&self) -> bool {
        self.reader.is_over()
    }

    /// Lets `take` read the letter that waits.
    pub fn take_with<R>(&mut self, take: impl FnOnce(&mut Letter) -> R) -> Option<R> {
        self.reader.take_with(take)
    }
}

/// The data plane's end: hands frames to a lane that may be slower.
pub struct Port {
    way: Way,
    bell: Doorbell,
    /// The pages of the stages that are reached: what they never get to see is counted there.
    readers: Vec<Arc<Counters>>,
    /// Set for offline runs: wait until there is room.
    patient: bool,
    /// Which windows go this way.
    branch: Branch,
    payload: Payload,
}

/// What lies between the lanes.
enum Way {
    /// The newest frame, and when it was sent.
    Newest(MailWriter<Letter>, Arc<AtomicU64>),
    /// All of a stream, and whether a block was lost since the last one that was sent.
    All(BlockWriter, bool),
}

impl Port {
    /// A port for those frames of `spec` that go by `branch`, from a graph of `stages` stages; it rings
    /// `bell`. `readers` are the pages of the stages that are reached.
    pub fn newest(
        spec: &Spec,
        stages: usize,
        bell: Doorbell,
        readers: Vec<Arc<Counters>>,
        patient: bool,
        branch: Branch,
    ) -> (Self, Mail) {
        let letter = || Letter { frame: spec.frame(), spent_ns: vec![0; stages], resets: 0 };
        let (mail, reader) = mailbox([letter(), letter(), letter()]);
        let sent = Arc::new(AtomicU64::new(0));
        let (way, mail) = (Way::Newest(mail, sent.clone()), Mail { reader, sent });
        (Self { way, bell, readers, patient, branch, payload: spec.payload }, mail)
    }

    /// A port for a stream of `spec`.
    pub fn all(
        spec: &Spec,
        bell: Doorbell,
        readers: Vec<Arc<Counters>>,
        patient: bool,
    ) -> (Self, BlockReader) {
        let (writer, reader) = inbox(spec);
        let (way, branch) = (Way::All(writer, false), Branch::All);
        (Self { way, bell, readers, patient, branch, payload: spec.payload }, reader)
    }

    /// **Data.** Sends `frame`; one that is lost, or that takes the place of one that was not taken yet,
    /// is counted.
    pub fn send(&mut self, frame: &Frame, passage: Passage<'_>) {
        if !self.branch.takes(frame) {
            return;
        }
        while self.patient && self.way.must_wait(frame) {
            // Whoever was sent something before may not have been woken yet.
            self.bell.ring();
            std::thread::yield_now();
        }
        if let Some(cause) = self.way.send(frame, passage) {
            let n = self.payload.units(frame);
            self.readers.iter().for_each(|page| page.add(cause, n));
        }
        self.bell.ring();
    }

    /// **Data.** Nothing more will come: the reader takes what is left and sees that the writing end is
    /// gone.
    pub fn end(self) {
        let Self { way, bell, .. } = self;
        drop(way);
        bell.ring();
    }
}

impl Way {
    /// Whether a reader is still busy with what was sent before.
    fn must_wait(&self, frame: &Frame) -> bool {
        match self {
            Self::Newest(mail, _) => !mail.is_taken() && mail.has_reader(),
            Self::All(ring, _) => !ring.has_room(frame) && ring.has_reader(),
        }
    }

    /// Sends `frame`; says how one was lost, if one was.
    fn send(&mut self, frame: &Frame, passage: Passage<'_>) -> Option<Cause> {
        match self {
            Self::Newest(mail, sent) => {
                // Sending publishes this number with the letter.
                sent.store(passage.sequence, Ordering::Relaxed);
                let replaced = mail.send_with(|letter| {
                    letter.frame.copy_from(frame);
                    letter.spent_ns.copy_from_slice(passage.spent_ns);
                    letter.resets = passage.resets;
                });
                replaced.then_some(Cause::Skipped)
            }
            Self::All(ring, broken) => {
                let gap = if *broken { Flags::GAP } else { Flags::NONE };
                let sent = ring.push_as(frame, frame.flags | gap, passage.sequence);
                // A marker that is lost leaves no gap behind.
                *broken = !sent && frame.rows > 0;
                (!sent).then_some(Cause::Drop)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Channel;

    struct Bench {
        port: Port,
        mail: Mail,
        pages: [Arc<Counters>; 2],
        frame: Frame,
    }

    fn bench(patient: bool, branch: Branch) -> Bench {
        let spec = Spec { rows: 1, cols: 2, ..Spec::markers() };
        let pages = ["a", "b"].map(Counters::new);
        let readers = pages.to_vec();
        let (port, mail) = Port::newest(&spec, 3, Doorbell::default(), readers, patient, branch);
        Bench { port, mail, pages, frame: spec.frame() }
    }

    impl Bench {
        fn send(&mut self, n: u64) {
            self.frame.span.last = n;
            let passage = Passage { spent_ns: &[n, n + 1, n + 2], resets: n / 2, sequence: 0 };
            self.port.send(&self.frame, passage);
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
    fn a_letter_says_when_it_was_sent() {
        let mut bench = bench(false, Branch::All);
        assert_eq!(bench.mail.waiting(), None);
        for sequence in [4, 9] {
            bench.port.send(&bench.frame, Passage { spent_ns: &[0; 3], resets: 0, sequence });
            assert_eq!(bench.mail.waiting(), Some(sequence));
        }
        bench.mail.take_with(|_| ());
        assert_eq!(bench.mail.waiting(), None);
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
                    Passage { spent_ns: &[0; 3], resets: 0, sequence: 0 },
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

    #[test]
    fn a_stream_is_kept_whole_and_what_does_not_fit_leaves_a_gap() {
        let spec = Spec::samples(vec![Channel::named("C3")], 1.0, 8);
        let pages = vec![Counters::new("a")];
        let (mut port, mut ring) = Port::all(&spec, Doorbell::default(), pages.clone(), false);
        let mut frame = spec.frame();
        frame.resize(8, 1);
        let mut send = |n: u64| {
            frame.span.first = n;
            port.send(&frame, Passage { spent_ns: &[], resets: 0, sequence: n });
        };
        // There is room for 30 s.
        (0..5).for_each(&mut send);
        assert_eq!(pages[0].get(Cause::Drop), 16);
        let mut got = spec.frame();
        for n in 0..3 {
            assert_eq!(ring.peek().unwrap().sequence, n);
            assert!(ring.pop(&mut got));
            assert_eq!((got.span.first, got.flags), (n, Flags::NONE));
        }
        assert!(!ring.pop(&mut got));
        (5..7).for_each(&mut send);
        assert!(ring.pop(&mut got) && got.flags == Flags::GAP);
        assert!(ring.pop(&mut got) && got.flags == Flags::NONE);
    }
}
