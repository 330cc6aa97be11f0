//! The mailbox: one place for the newest item, between a quick writer and a slower reader.
//!
//! Three items, made once: one the writer fills, one the reader reads, one in the middle. Sending and
//! taking both swap their own item with the middle one, in a single atomic step; neither ever waits.
//! An item that is replaced before it was taken is reported to the writer, exactly once.

#![allow(unsafe_code)]

use super::sync::{Arc, AtomicU8, Ordering, UnsafeCell, fence};

/// Set in `middle` while the item there has not been taken.
const FRESH: u8 = 4;
/// The part of `middle` that says which item lies there.
const INDEX: u8 = 3;

/// What both ends share.
struct Shared<T> {
    items: [UnsafeCell<T>; 3],
    middle: AtomicU8,
}

// SAFETY: an item is reached only by the end that owns its index (see `MailWriter` and `MailReader`);
// indices change hands through `middle` with acquire and release, so accesses are ordered.
unsafe impl<T: Send> Sync for Shared<T> {}

/// The writing end.
pub struct MailWriter<T> {
    shared: Arc<Shared<T>>,
    /// The item that only this end touches.
    own: u8,
}

/// The reading end.
pub struct MailReader<T> {
    shared: Arc<Shared<T>>,
    /// The item that only this end touches.
    own: u8,
}

/// A mailbox over three items.
pub fn mailbox<T>(items: [T; 3]) -> (MailWriter<T>, MailReader<T>) {
    let shared = Shared { items: items.map(UnsafeCell::new), middle: AtomicU8::new(1) };
    let shared = Arc::new(shared);
    (MailWriter { shared: shared.clone(), own: 0 }, MailReader { shared, own: 2 })
}

impl<T> MailWriter<T> {
    /// Lets `fill` write an item and makes it the newest. Says whether the one before was replaced
    /// without having been taken.
    pub fn send_with(&mut self, fill: impl FnOnce(&mut T)) -> bool {
        // SAFETY: the three indices 0, 1, 2 are in `own` of the writer, in `middle` and in `own` of
        // the reader, one in each, and only swaps change that; so this item is ours alone.
        self.shared.items[usize::from(self.own)].with_mut(|item| fill(unsafe { &mut *item }));
        let before = self.shared.middle.swap(self.own | FRESH, Ordering::AcqRel);
        self.own = before & INDEX;
        before & FRESH != 0
    }

    /// Whether the newest item has been taken (or none was sent yet).
    pub fn is_taken(&self) -> bool {
        self.shared.middle.load(Ordering::Acquire) & FRESH == 0
    }

    /// Whether the reading end still exists.
    pub fn has_reader(&self) -> bool {
        Arc::strong_count(&self.shared) > 1
    }
}

impl<T> MailReader<T> {
    /// Whether nothing waits and nothing will come: the writing end is gone.
    pub fn is_over(&self) -> bool {
        if Arc::strong_count(&self.shared) > 1 {
            return false;
        }
        // The count is read without order; with the fence, what was sent before the writer went is seen.
        fence(Ordering::Acquire);
        !self.has_mail()
    }

    /// Whether there is an item that was not taken yet.
    pub fn has_mail(&self) -> bool {
        self.shared.middle.load(Ordering::Acquire) & FRESH != 0
    }

    /// Lets `take` read the newest item; `None` when it was taken before.
    pub fn take_with<R>(&mut self, take: impl FnOnce(&mut T) -> R) -> Option<R> {
        if !self.has_mail() {
            return None;
        }
        // Only this end clears FRESH, so what is swapped out is fresh.
        let before = self.shared.middle.swap(self.own, Ordering::AcqRel);
        self.own = before & INDEX;
        let item = &self.shared.items[usize::from(self.own)];
        // SAFETY: as for the writer: this item is ours alone.
        Some(item.with_mut(|item| take(unsafe { &mut *item })))
    }
}
