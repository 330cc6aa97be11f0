//! The outlet: one thread per sink that takes what its taps collected and writes it.

use crate::error::{Error, Result};
use crate::frame::Flags;
use crate::ledger::Counters;
use crate::ring::{Consumer, Doorbell};
use crate::sinks::{Delivery, Sink};
use std::sync::Arc;
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
    pub flows: Vec<Consumer<Delivery>>,
    /// Wakes this thread.
    pub bell: Doorbell,
    /// The sink's page in the ledger.
    pub counters: Arc<Counters>,
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
        let result = self.pump();
        // With the rings gone, nobody waits for room in them.
        self.flows.clear();
        let closed = self.sink.close();
        result.and(closed).map_err(|e| e.at(format_args!("sink `{}`", self.id)))
    }

    fn pump(&mut self) -> Result<()> {
        let mut open = self.flows.len();
        while open > 0 {
            let Some(next) = oldest(&self.flows) else {
                self.sink.idle()?;
                let flows = &self.flows;
                self.bell.wait(NAP, || flows.iter().any(|f| f.waiting() > 0));
                continue;
            };
            let (sink, counters) = (&mut self.sink, &self.counters);
            let written = self.flows[next].pop_with(|delivery| {
                if delivery.frame.flags.has(Flags::END) {
                    open -= 1;
                    return Ok(());
                }
                counters.pass_on(1);
                sink.write(delivery)
            });
            written.unwrap_or(Ok(()))?;
        }
        Ok(())
    }
}

/// The flow with the delivery that left the lane first: a sink sees its inputs in the order in which
/// they were made.
fn oldest(flows: &[Consumer<Delivery>]) -> Option<usize> {
    // What left the lane before a delivery that is seen here is seen by the second look.
    flows.iter().find(|f| f.waiting() > 0)?;
    let heads = flows.iter().enumerate().filter_map(|(i, f)| Some((i, f.peek()?.emitted_s)));
    heads.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(i, _)| i)
}
