//! Rings: how threads hand each other frames without locks and without the heap.
//!
//! A ring has a fixed number of items, made once. They circulate: the producer takes a free one,
//! fills it and sends it; the consumer uses it and sends it back. One writer, one reader, neither
//! ever waits for the other; a full ring is the producer's to count. A writer that has nothing more to
//! send is dropped: the reader takes what is left and sees that it is over.
//!
//! [`blocks`] is the ring between a source and its lane, where items differ in length. A [`mailbox`]
//! holds only the newest item, for a reader that may be slower than the writer. A [`Doorbell`] wakes the
//! thread that reads. `tests/loom.rs` runs both under the model checker.

mod blocks;
mod doorbell;
mod mailbox;
mod sync;

pub use blocks::{BlockReader, BlockWriter, Head, blocks};
pub use doorbell::Doorbell;
pub use mailbox::{MailReader, MailWriter, mailbox};

use ringbuf::traits::{Consumer as _, Observer as _, Producer as _, Split as _};
use ringbuf::{HeapCons, HeapProd, HeapRb};

/// The writing end.
pub struct Producer<T> {
    full: HeapProd<T>,
    free: HeapCons<T>,
}

/// The reading end.
pub struct Consumer<T> {
    full: HeapCons<T>,
    free: HeapProd<T>,
}

/// A ring in which `items` circulate.
pub fn ring<T>(items: Vec<T>) -> (Producer<T>, Consumer<T>) {
    let (full_in, full_out) = HeapRb::new(items.len().max(1)).split();
    let (mut free_in, free_out) = HeapRb::new(items.len().max(1)).split();
    free_in.push_iter(items.into_iter());
    (Producer { full: full_in, free: free_out }, Consumer { full: full_out, free: free_in })
}

impl<T> Producer<T> {
    /// Lets `fill` write the next free item and sends it; `false` (and no call) when the ring is
    /// full.
    pub fn push_with(&mut self, fill: impl FnOnce(&mut T)) -> bool {
        let Some(mut item) = self.free.try_pop() else { return false };
        fill(&mut item);
        // There are as many places as items, so a free item always finds one.
        self.full.try_push(item).is_ok()
    }

    /// Whether the reading end still exists.
    pub fn has_reader(&self) -> bool {
        self.full.read_is_held()
    }

    /// Whether more than half of the items wait for the reader.
    pub fn is_half_full(&self) -> bool {
        2 * self.full.occupied_len() > self.full.capacity().get()
    }

    /// Whether a push would find a free item.
    pub fn has_room(&self) -> bool {
        !self.free.is_empty()
    }
}

impl<T> Consumer<T> {
    /// Lets `take` read the oldest item and frees it; `None` when there is none.
    pub fn pop_with<R>(&mut self, take: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut item = self.full.try_pop()?;
        let result = take(&mut item);
        // The item came out of a ring of the same size, so there is a place for it.
        let _ = self.free.try_push(item);
        Some(result)
    }

    /// Shows the oldest item without taking it.
    pub fn peek(&self) -> Option<&T> {
        self.full.try_peek()
    }

    /// How many items wait.
    pub fn waiting(&self) -> usize {
        self.full.occupied_len()
    }

    /// Whether nothing waits and nothing will come: the writing end is gone.
    pub fn is_over(&self) -> bool {
        // In this order: what was sent before the writer went is seen by the second look.
        !self.full.write_is_held() && self.full.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn items_arrive_in_order_and_circulate() {
        let (mut tx, mut rx) = ring(vec![0_u64; 3]);
        for round in 0..10 {
            for i in 0..3 {
                assert!(tx.push_with(|v| *v = round * 3 + i));
            }
            assert!(!tx.push_with(|_| unreachable!("a full ring must not call")));
            assert!(!tx.has_room());
            for i in 0..3 {
                assert_eq!(rx.peek().copied(), Some(round * 3 + i));
                assert_eq!(rx.pop_with(|v| *v), Some(round * 3 + i));
            }
            assert_eq!(rx.pop_with(|v| *v), None);
        }
    }

    #[test]
    fn a_ring_is_over_when_its_writer_is_gone_and_all_is_read() {
        let (mut tx, mut rx) = ring(vec![0_u64; 3]);
        assert!(!rx.is_over());
        assert!(tx.push_with(|v| *v = 1));
        drop(tx);
        assert!(!rx.is_over());
        assert_eq!(rx.pop_with(|v| *v), Some(1));
        assert!(rx.is_over());
    }

    #[test]
    fn no_wake_up_is_missed() {
        const N: u64 = 20_000;
        let (mut tx, mut rx) = ring(vec![0_u64; 4]);
        let bell = Doorbell::default();
        let theirs = bell.clone();
        let writer = std::thread::spawn(move || {
            let mut i = 0;
            while i < N {
                if tx.push_with(|v| *v = i) {
                    i += 1;
                    theirs.ring();
                } else {
                    std::thread::yield_now();
                }
            }
        });
        let mut next = 0;
        while next < N {
            match rx.pop_with(|v| *v) {
                Some(v) => {
                    assert_eq!(v, next);
                    next += 1;
                }
                // A missed wake-up would cost ten seconds and fail the harness's patience.
                None => bell.wait(Duration::from_secs(10), || rx.waiting() > 0),
            }
        }
        writer.join().expect("the writer ends");
    }
}
