//! The primitives that our structures are built on. `tests/loom.rs` puts those of the model checker
//! in their place.

pub use std::sync::Arc;
pub use std::sync::atomic::{AtomicBool, AtomicU8, Ordering, fence};

use std::sync::OnceLock;
use std::thread::Thread;
use std::time::Duration;

/// One thread that can be put to sleep and woken.
#[derive(Default)]
pub struct Sleeper(OnceLock<Thread>);

impl Sleeper {
    /// Sleeps until woken, `at_most` so long; returns at once if it was woken since the last sleep.
    /// Only ever called by one thread.
    pub fn sleep(&self, at_most: Duration) {
        std::thread::park_timeout(at_most);
    }

    /// Says that the calling thread is the one that sleeps here.
    pub fn enlist(&self) {
        self.0.get_or_init(std::thread::current);
    }

    /// Wakes it.
    pub fn wake(&self) {
        if let Some(thread) = self.0.get() {
            thread.unpark();
        }
    }
}

/// A cell whose contents two threads hand each other.
pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    /// A cell that holds `value`.
    pub fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// Gives `f` a pointer to the contents; what it does with it is for the caller to argue.
    pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}
