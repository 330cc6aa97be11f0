//! Ending in good order: the flag that Ctrl-C sets.

use crate::error::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Asks what runs to end. Clones share the request.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<State>);

#[derive(Debug, Default)]
struct State {
    asked: AtomicBool,
    /// Whether somebody looks at `asked`; before that, Ctrl-C ends the process.
    heard: AtomicBool,
}

impl Stop {
    /// A request that Ctrl-C and SIGTERM make: the first in good order, the second at once. While
    /// nothing runs yet (a stream is waited for), the first one ends the process too.
    pub fn on_signal() -> Result<Self> {
        let stop = Self::default();
        let state = stop.0.clone();
        ctrlc::set_handler(move || {
            let again = state.asked.swap(true, Ordering::Relaxed);
            if again || !state.heard.load(Ordering::Relaxed) {
                std::process::exit(130);
            }
        })
        .map_err(|e| Error::run(format!("cannot listen to Ctrl-C: {e}")))?;
        Ok(stop)
    }

    /// Says that from now on the request is looked at.
    pub fn listen(&self) {
        self.0.heard.store(true, Ordering::Relaxed);
    }

    /// Whether it was made.
    pub fn asked(&self) -> bool {
        self.0.asked.load(Ordering::Relaxed)
    }
}
