//! A lane: one thread with a name, its own pipeline, a bounded inbox per source and a reason why
//! it ended. This is the data plane: after the first frames it neither allocates nor locks, and
//! its only wait is for an empty inbox.

use super::pipeline::Pipeline;
use super::port::Mail;
use super::rights::{self, Grant};
use crate::config::{Realtime, Wait};
use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::ring::{BlockReader, Consumer, Doorbell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a lane sleeps at most before it looks at the stop flag.
const NAP: Duration = Duration::from_millis(100);

/// What comes into a lane.
pub struct Inbox {
    /// The rings that sources, or lanes before, fill with streams; entries of the pipeline from 0 on.
    pub rings: Vec<BlockReader>,
    /// The mailboxes that other lanes fill; the entries behind those of the rings.
    pub mail: Vec<Mail>,
    /// What they ring after a push.
    pub bell: Doorbell,
    /// Pipelines to become.
    pub swaps: Consumer<Swap>,
    /// Room for the largest block of any ring.
    pub block: Frame,
    /// In which order the blocks of several rings are taken.
    pub order: Order,
}

/// An order of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Whatever waits, ring by ring: live sources.
    AsTheyCome,
    /// By the time of their samples: sources that are recordings, so that a run is as the one before.
    ByTime,
    /// As the lane before sent them, so that a lane of its own decides what one lane would have.
    AsSent,
}

/// A pipeline on its way into a lane, or the old one on its way out.
#[derive(Default)]
pub struct Swap(pub Option<Box<(Pipeline, Vec<bool>)>>);

/// A running lane.
pub struct Lane {
    name: String,
    thread: JoinHandle<()>,
    stop: Arc<AtomicBool>,
}

impl Inbox {
    /// A frame with room for the largest block of sources that send `specs`.
    pub fn block_for<'a>(specs: impl Iterator<Item = &'a Spec>) -> Frame {
        let mut frame = Spec::markers().frame();
        let streams = specs.filter(|s| matches!(s.payload, Payload::Samples | Payload::Markers));
        let largest = streams.map(|s| s.rows * s.cols).max().unwrap_or(0);
        frame.data.reserve(largest);
        frame
    }
}

impl Lane {
    /// Starts a lane that runs `pipeline` until everything that feeds it has ended or it is stopped.
    /// Says what it was granted of what it `asked` for.
    pub fn start(
        name: &str,
        mut pipeline: Pipeline,
        inbox: Inbox,
        asked: Realtime,
    ) -> Result<(Self, Vec<Grant>)> {
        let (tell, told) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                // Nobody listens only when the start has failed elsewhere.
                let _ = tell.send(rights::for_lane(&asked));
                rights::with_denormals(&asked, || run(&mut pipeline, inbox, asked.wait, &stopped));
                pipeline.end();
            })
            .map_err(|e| Error::run(format!("the lane's thread does not start: {e}")))?;
        let grants = told.recv().unwrap_or_default();
        Ok((Self { name: name.into(), thread, stop }, grants))
    }

    /// The name of its thread.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Ends the lane between two frames; what still waits is counted as unread.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits for the lane to end.
    pub fn join(self) -> Result<()> {
        self.thread.join().map_err(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Error::run(format!(
                "the lane `{}` stopped by a fault of ours: {}",
                self.name,
                text.unwrap_or("unknown")
            ))
        })
    }

    /// Whether the lane has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

/// How often a lane that spins looks before it lets others on its core have a turn.
const LOOKS: u32 = 32;

/// **Data.** The loop.
fn run(pipeline: &mut Pipeline, mut inbox: Inbox, wait: Wait, stop: &AtomicBool) {
    let mut looks = 0;
    while !stop.load(Ordering::Relaxed) {
        inbox.swaps.pop_with(|swap| {
            if let Some(exchange) = &mut swap.0 {
                pipeline.adopt(&mut exchange.0, &exchange.1);
            }
        });
        match inbox.next() {
            Some(entry) => inbox.take(entry, pipeline),
            None if inbox.is_over() => return,
            None if wait == Wait::Spin => spin(&mut looks),
            None => inbox.sleep(),
        }
    }
    inbox.pass_over(pipeline);
}

/// **Data.** Waits for a moment without sleeping. Whoever else has been put on this core, a sender of
/// ours perhaps, would otherwise wait until the scheduler takes the core away, for milliseconds; on a
/// core of its own the lane goes on at once.
fn spin(looks: &mut u32) {
    *looks = (*looks + 1) % LOOKS;
    match *looks {
        0 => std::thread::yield_now(),
        _ => std::hint::spin_loop(),
    }
}

impl Inbox {
    /// The entry whose turn it is.
    fn next(&self) -> Option<usize> {
        let ring = match self.order {
            Order::AsTheyCome => self.rings.iter().position(|r| r.waiting() > 0),
            Order::ByTime => oldest(&self.rings),
            // What was sent before the one found first can be seen by now, even if it could not be when
            // its ring was looked at.
            Order::AsSent => first_sent(&self.rings).and_then(|_| first_sent(&self.rings)),
        };
        // Of several letters the one that was sent first, so that none waits for ever behind others.
        let mail = || first_mailed(&self.mail).and_then(|_| first_mailed(&self.mail));
        ring.or_else(|| mail().map(|i| self.rings.len() + i))
    }

    /// Takes what waits at `entry` through the pipeline.
    fn take(&mut self, entry: usize, pipeline: &mut Pipeline) {
        match self.rings.get_mut(entry) {
            Some(ring) => {
                ring.pop(&mut self.block);
                pipeline.take(entry, &mut self.block);
            }
            None => {
                let mail = &mut self.mail[entry - self.rings.len()];
                mail.take_with(|letter| pipeline.open(entry, letter));
            }
        }
    }

    /// Sleeps until something comes.
    fn sleep(&self) {
        self.bell.wait(NAP, || self.next().is_some() || self.swaps.waiting() > 0 || self.is_over());
    }

    /// Whether everything that feeds the lane has ended, and nothing waits.
    fn is_over(&self) -> bool {
        self.rings.iter().all(BlockReader::is_over) && self.mail.iter().all(Mail::is_over)
    }

    /// Counts what the lane will not read any more.
    fn pass_over(&mut self, pipeline: &mut Pipeline) {
        for (entry, ring) in self.rings.iter_mut().enumerate() {
            while ring.pop(&mut self.block) {
                pipeline.pass_over(entry, &self.block);
            }
        }
        for (i, mail) in self.mail.iter_mut().enumerate() {
            mail.take_with(|letter| pipeline.pass_over(self.rings.len() + i, &letter.frame));
        }
    }
}

/// The ring with the oldest block, once every source that has not ended has one waiting.
fn oldest(rings: &[BlockReader]) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (i, ring) in rings.iter().enumerate().filter(|(_, ring)| !ring.is_over()) {
        let time_s = ring.peek()?.span.last_s;
        if best.is_none_or(|(_, t)| time_s < t) {
            best = Some((i, time_s));
        }
    }
    best.map(|(i, _)| i)
}

/// The ring with the block that was sent first of those that wait.
fn first_sent(rings: &[BlockReader]) -> Option<usize> {
    let waiting = rings.iter().enumerate().filter_map(|(i, ring)| Some((ring.peek()?.sequence, i)));
    waiting.min().map(|(_, i)| i)
}

/// The mailbox whose letter was sent first.
fn first_mailed(mail: &[Mail]) -> Option<usize> {
    let waiting = mail.iter().enumerate().filter_map(|(i, mail)| Some((mail.waiting()?, i)));
    waiting.min().map(|(_, i)| i)
}

#[cfg(test)]
mod tests {
    use super::super::guard::Guard;
    use super::super::pipeline::{Branch, Edge, Node, Route};
    use super::*;
    use crate::config::OnGap;
    use crate::frame::Channel;
    use crate::ledger::{Cause, Counters};
    use crate::ring::{BlockWriter, blocks, ring};
    use crate::stages::{Emit, Fault, Stage};
    use std::sync::Barrier;

    /// A stage that holds its first frame until somebody else is at the barrier.
    struct Held(Option<Arc<Barrier>>);

    impl Stage for Held {
        fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
            Ok(inputs[0].clone())
        }

        fn process(&mut self, _: &mut Frame, _: &mut dyn Emit) -> Result<(), Fault> {
            if let Some(barrier) = self.0.take() {
                barrier.wait();
            }
            Ok(())
        }

        fn reset(&mut self) {}
    }

    /// A lane with one stage that is held at its first block of ten samples, and four more that wait.
    fn held() -> (Lane, BlockWriter, Arc<Counters>, Arc<Barrier>) {
        let spec = Spec::samples(vec![Channel::named("C3")], 100.0, 10);
        let (page, barrier) = (Counters::new("held"), Arc::new(Barrier::new(2)));
        let route = Route::new(&spec, Vec::new());
        let stage = Box::new(Held(Some(barrier.clone())));
        let nodes = vec![Node::new(stage, 0, route, page.clone())];
        let entry = Route::new(&spec, vec![Edge { node: 0, input: 0, branch: Branch::All }]);
        let pipeline = Pipeline::new(vec![entry], nodes, 1, OnGap::Reset, Guard::none());
        let (mut writer, reader) = blocks(16, 100);
        let mut block = spec.frame();
        block.resize(10, 1);
        (0..5).for_each(|_| assert!(writer.push(&block)));
        let inbox = Inbox {
            rings: vec![reader],
            mail: Vec::new(),
            bell: Doorbell::default(),
            swaps: ring(vec![Swap::default()]).1,
            block: spec.frame(),
            order: Order::AsTheyCome,
        };
        let (lane, _) = Lane::start("lane", pipeline, inbox, Realtime::default()).unwrap();
        while page.page().taken_in == 0 {
            std::thread::yield_now();
        }
        (lane, writer, page, barrier)
    }

    #[test]
    fn a_lane_works_off_what_waits_when_its_sources_are_gone() {
        let (lane, writer, page, barrier) = held();
        drop(writer);
        barrier.wait();
        lane.join().unwrap();
        assert_eq!((page.page().taken_in, page.get(Cause::Unread)), (50, 0));
    }

    #[test]
    fn a_lane_that_is_stopped_counts_what_it_leaves_unread() {
        let (lane, _writer, page, barrier) = held();
        lane.stop();
        barrier.wait();
        lane.join().unwrap();
        assert_eq!((page.page().taken_in, page.get(Cause::Unread)), (10, 40));
    }
}
