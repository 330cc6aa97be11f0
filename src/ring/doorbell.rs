//! The doorbell: how a thread sleeps on its empty rings without missing what comes.

use super::sync::{Arc, AtomicBool, Ordering, Sleeper, fence};
use std::time::Duration;

/// What wakes the one thread that sleeps on its empty rings.
///
/// A push followed by [`Doorbell::ring`] is never missed by a thread that goes to sleep through
/// [`Doorbell::wait`]: both sides publish first and look second, with a full fence in between.
#[derive(Clone, Default)]
pub struct Doorbell(Arc<Bell>);

#[derive(Default)]
struct Bell {
    sleeper: Sleeper,
    asleep: AtomicBool,
}

impl Doorbell {
    /// Wakes the sleeper if it sleeps; a load and a fence if it does not.
    pub fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.0.asleep.load(Ordering::Relaxed) && self.0.asleep.swap(false, Ordering::AcqRel) {
            self.0.sleeper.wake();
        }
    }

    /// Sleeps until rung or `at_most` has passed, unless `has_work` says that there is something
    /// to do. Only one thread may wait on a bell.
    pub fn wait(&self, at_most: Duration, has_work: impl Fn() -> bool) {
        self.0.sleeper.enlist();
        // A swap rather than a store: it comes after the swap of a ring that is under way.
        self.0.asleep.swap(true, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        if !has_work() {
            self.0.sleeper.sleep(at_most);
        }
        self.0.asleep.store(false, Ordering::Relaxed);
    }
}
