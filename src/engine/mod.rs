//! The engine: makes sources, stages and sinks run.
//!
//! `pipeline` is the one loop to read first; `lane` is the thread it runs on; `intake` feeds the
//! lane from the sources; `tap` carries frames away to the sinks, `port` to slower lanes; `inbox` says how much of
//! a stream may wait. `guard` holds
//! windows against the deadline; `rights` asks the machine for priority. `assembly` makes all that of
//! a prepared config; `balance` holds the counts of all places against each other.

pub mod assembly;
pub mod balance;
pub mod guard;
pub mod inbox;
pub mod intake;
pub mod lane;
pub mod outlet;
pub mod pipeline;
pub mod port;
pub mod rights;
pub mod tap;
