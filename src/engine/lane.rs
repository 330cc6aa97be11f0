//! A lane: one thread with a name, its own pipeline, a bounded inbox per source and a reason why
//! it ended. This is the data plane: after the first frames it neither allocates nor locks, and
//! its only wait is for an empty inbox.

use super::pipeline::Pipeline;
use crate::error::{Error, Result};
use crate::frame::{Flags, Frame};
use crate::ring::{Consumer, Doorbell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a lane sleeps at most before it looks at the stop flag.
const NAP: Duration = Duration::from_millis(100);

/// The inboxes of a lane, one per source.
pub struct Inbox {
    /// The rings that the sources fill.
    pub rings: Vec<Consumer<Frame>>,
    /// What they ring after a push.
    pub bell: Doorbell,
    /// Whether frames are taken in order of time over all sources (offline runs) rather than as
    /// they come.
    pub ordered: bool,
}

/// A running lane.
pub struct Lane {
    thread: JoinHandle<()>,
}

impl Lane {
    /// Starts a lane that runs `pipeline` until every source has ended or `stop` is set.
    pub fn start(mut pipeline: Pipeline, inbox: Inbox, stop: Arc<AtomicBool>) -> Result<Self> {
        let thread = std::thread::Builder::new()
            .name("lane".into())
            .spawn(move || {
                run(&mut pipeline, inbox, &stop);
                pipeline.end();
            })
            .map_err(|e| Error::run(format!("the lane's thread does not start: {e}")))?;
        Ok(Self { thread })
    }

    /// Waits for the lane to end.
    pub fn join(self) -> Result<()> {
        self.thread.join().map_err(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Error::run(format!(
                "the lane stopped by a fault of ours: {}",
                text.unwrap_or("unknown")
            ))
        })
    }

    /// Whether the lane has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

/// **Data.** The loop.
fn run(pipeline: &mut Pipeline, mut inbox: Inbox, stop: &AtomicBool) {
    let mut ended = vec![false; inbox.rings.len()];
    while !ended.iter().all(|e| *e) && !stop.load(Ordering::Relaxed) {
        let next = if inbox.ordered { oldest(&inbox.rings, &ended) } else { any(&inbox.rings) };
        let Some(i) = next else {
            let rings = &inbox.rings;
            // In an ordered run there may be waiting frames that have to wait for other sources:
            // only something new is work.
            let before: usize = rings.iter().map(Consumer::waiting).sum();
            inbox.bell.wait(NAP, || {
                let now: usize = rings.iter().map(Consumer::waiting).sum();
                now > if inbox.ordered { before } else { 0 }
            });
            continue;
        };
        inbox.rings[i].pop_with(|frame| {
            if frame.flags.has(Flags::END) {
                ended[i] = true;
            } else {
                pipeline.take(i, frame);
            }
        });
    }
}

/// The first inbox that has something.
fn any(rings: &[Consumer<Frame>]) -> Option<usize> {
    rings.iter().position(|r| r.waiting() > 0)
}

/// The inbox with the oldest frame, once every source that has not ended has one waiting.
fn oldest(rings: &[Consumer<Frame>], ended: &[bool]) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (i, ring) in rings.iter().enumerate().filter(|(i, _)| !ended[*i]) {
        let frame = ring.peek()?;
        let time_s = if frame.flags.has(Flags::END) { f64::INFINITY } else { frame.span.last_s };
        if best.is_none_or(|(_, t)| time_s < t) {
            best = Some((i, time_s));
        }
    }
    best.map(|(i, _)| i)
}
