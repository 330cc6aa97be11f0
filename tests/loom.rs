//! Every concurrent structure that is ours, under the model checker: loom tries each order in which
//! two threads can get at them, with the reorderings that the memory model allows.
//!
//! The sources of the structures are compiled here a second time, on loom's primitives (`sync`).
//! What is not ours (`ringbuf`, the channel under a ring) is tested by its makers.
#![allow(dead_code, missing_docs)]

/// Stands in for `src/ring/sync.rs`.
mod sync {
    pub use loom::sync::Arc;
    pub use loom::sync::atomic::{AtomicBool, AtomicU8, Ordering, fence};
    use std::time::Duration;

    pub struct Sleeper(loom::sync::Notify);

    impl Default for Sleeper {
        fn default() -> Self {
            Self(loom::sync::Notify::new())
        }
    }

    impl Sleeper {
        /// Without the time limit: a wake-up that is missed is a deadlock, which loom reports.
        pub fn sleep(&self, _at_most: Duration) {
            self.0.wait();
        }

        pub fn enlist(&self) {}

        pub fn wake(&self) {
            self.0.notify();
        }
    }

    pub struct UnsafeCell<T>(loom::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub fn new(value: T) -> Self {
            Self(loom::cell::UnsafeCell::new(value))
        }

        /// Loom panics when another thread is inside at the same time.
        pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            self.0.with_mut(f)
        }
    }
}

#[path = "../src/ring/doorbell.rs"]
mod doorbell;
#[path = "../src/ring/mailbox.rs"]
mod mailbox;

use doorbell::Doorbell;
use loom::sync::atomic::{AtomicU64, Ordering};
use mailbox::mailbox;
use std::time::Duration;

#[test]
fn a_mailbox_keeps_the_newest_and_counts_what_it_replaced() {
    loom::model(|| {
        let (mut writer, mut reader) = mailbox([[0_u64; 2]; 3]);
        let sender = loom::thread::spawn(move || {
            (1..=3_u64).filter(|n| writer.send_with(|item| *item = [*n, *n])).count() as u64
        });
        let (mut last, mut taken) = (0, 0);
        for _ in 0..2 {
            if let Some([a, b]) = reader.take_with(|item| *item) {
                assert_eq!(a, b, "an item was read while it was written");
                assert!(a > last, "an older item came after a newer one");
                (last, taken) = (a, taken + 1);
            }
        }
        let replaced = sender.join().unwrap();
        if let Some([a, _]) = reader.take_with(|item| *item) {
            assert!(a > last);
            (last, taken) = (a, taken + 1);
        }
        assert_eq!(last, 3, "the newest was lost");
        assert_eq!(taken + replaced, 3, "an item is neither taken nor counted as replaced");
    });
}

#[test]
fn a_mailbox_is_over_only_when_the_last_item_was_taken() {
    loom::model(|| {
        let (mut writer, mut reader) = mailbox([0_u64; 3]);
        let sender = loom::thread::spawn(move || {
            (1..=2_u64).filter(|n| writer.send_with(|item| *item = *n)).count()
        });
        let (mut last, mut taken) = (0, 0);
        while !reader.is_over() {
            if let Some(item) = reader.take_with(|item| *item) {
                (last, taken) = (item, taken + 1);
            }
            loom::thread::yield_now();
        }
        assert_eq!((last, taken + sender.join().unwrap()), (2, 2));
    });
}

#[test]
fn a_ring_of_the_bell_is_never_missed() {
    loom::model(|| {
        let bell = Doorbell::default();
        let work = loom::sync::Arc::new(AtomicU64::new(0));
        let (theirs, done) = (bell.clone(), work.clone());
        let ringer = loom::thread::spawn(move || {
            for _ in 0..2 {
                done.fetch_add(1, Ordering::Release);
                theirs.ring();
            }
        });
        let mut seen = 0;
        while seen < 2 {
            let now = work.load(Ordering::Acquire);
            if now == seen {
                bell.wait(Duration::from_secs(1), || work.load(Ordering::Acquire) > seen);
            }
            seen = work.load(Ordering::Acquire);
        }
        ringer.join().unwrap();
    });
}
