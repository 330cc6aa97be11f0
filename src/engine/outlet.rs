//! The outlet: one thread per sink that takes what its taps collected and writes it.

use super::tap::Flow;
use crate::error::{Error, Result};
use crate::ledger::{Cause, Counters};
use crate::ring::Doorbell;
use crate::sinks::{Delivery, Sink};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a sink waits at most between two calls of [`Sink::idle`].
const NAP: Duration = Duration::from_millis(100);

/// What an outlet thread works with.
pub struct Outlet {
    /// The id of the sink.
    pub id: String,
    /// The opened sink.
    pub sink: Box<dyn Sink>,
    /// One flow per `from`.
    pub flows: Vec<Flow>,
    /// Wakes this thread.
    pub bell: Doorbell,
    /// The sink's page in the ledger.
    pub counters: Arc<Counters>,
    /// Set when a sink fails, so that the run ends.
    pub failed: Arc<AtomicBool>,
}

impl Outlet {
    /// Starts the thread; its result is the reason why it ended.
    pub fn start(self) -> Result<JoinHandle<Result<()>>> {
        std::thread::Builder::new()
            .name(format!("out:{}", self.id))
            .spawn(move || self.run())
            .map_err(|e| Error::run(format!("a sink's thread does not start: {e}")))
    }

    fn run(mut self) -> Result<()> {
        let mut result = self.pump();
        if result.is_err() {
            self.failed.store(true, Ordering::Relaxed);
            self.discard();
        }
        result = result.and(self.sink.close());
        result.map_err(|e| e.at(format_args!("sink `{}`", self.id)))
    }

    /// Writes what comes until nothing will come any more, or the sink fails.
    fn pump(&mut self) -> Result<()> {
        loop {
            let sink = &mut self.sink;
            let Some((written, n)) = take(&mut self.flows, |delivery| sink.write(delivery)) else {
                if self.flows.iter().all(|f| f.ring.is_over()) {
                    return Ok(());
                }
                self.sink.idle()?;
                self.wait();
                continue;
            };
            match written {
                Ok(()) => self.counters.pass_on(n),
                Err(e) => {
                    self.counters.add(Cause::Drop, n);
                    return Err(e);
                }
            }
        }
    }

    /// Counts as lost what still comes to a sink that has failed.
    fn discard(&mut self) {
        while !self.flows.iter().all(|f| f.ring.is_over()) {
            match take(&mut self.flows, |_| ()) {
                Some(((), n)) => self.counters.add(Cause::Drop, n),
                None => self.wait(),
            }
        }
    }

    fn wait(&self) {
        let ready = || self.flows.iter().any(|f| f.ring.waiting() > 0);
        let over = || self.flows.iter().all(|f| f.ring.is_over());
        self.bell.wait(NAP, || ready() || over());
    }
}

/// Lets `work` have the delivery that left the lane first, and says how many it counts for: a sink sees
/// its inputs in the order in which they were made.
fn take<R>(flows: &mut [Flow], work: impl FnOnce(&Delivery) -> R) -> Option<(R, u64)> {
    // What left the lane before a delivery that is seen here is seen by the second look.
    flows.iter().find(|f| f.ring.waiting() > 0)?;
    let heads = flows.iter().enumerate().filter_map(|(i, f)| Some((i, f.ring.peek()?.emitted_s)));
    let (oldest, _) = heads.min_by(|a, b| a.1.total_cmp(&b.1))?;
    let Flow { ring, payload } = &mut flows[oldest];
    ring.pop_with(|delivery| (work(delivery), payload.units(&delivery.frame)))
}
