//! An aggregate over the newest leaves of a stream, by joining alone.
//!
//! Nothing is ever taken out of an aggregate, so nothing is lost to rounding and what a leaf brought
//! in is gone with the leaf. Leaves are grouped into blocks of half a window. The newest `length`
//! leaves are the end of one block, at most one whole block, and the beginning of the newest:
//!
//! ```text
//! block      |. . . a b c|d e f g h i|j k l . . .|
//! window            <----------------------->
//! kept              suffix   total    prefix
//! ```
//!
//! The prefix grows by each leaf. The suffixes of a block are made from its end backwards while the
//! next block fills, one with each leaf, and are done before the first of them is needed. So each
//! leaf costs two joins and each reading two more, always; there is no leaf that costs more.
//! The order of joining depends on the number of leaves since the last clearing and on nothing else.

/// What can be joined with what follows on it.
pub trait Join {
    /// Becomes the aggregate of itself and `newer`.
    fn join(&mut self, newer: &Self);

    /// Becomes the aggregate of `parts`, the oldest first.
    fn unite(&mut self, parts: &[&Self]);
}

/// The newest `length` leaves.
#[derive(Debug, Clone)]
pub struct Queue<T> {
    /// Leaves in a block.
    block: usize,
    /// Leaf i, or the aggregate from leaf i to the end of its block, is in place `i % length`.
    leaves: Vec<T>,
    /// The newest block so far, and the whole of the one before.
    prefix: T,
    total: T,
    /// How many leaves came since the last clearing.
    count: usize,
}

impl<T: Join + Clone> Queue<T> {
    /// Room for `length` leaves, at least one, each of the size of `leaf`.
    pub fn new(length: usize, leaf: &T) -> Self {
        Self {
            block: (length / 2).max(1),
            leaves: vec![leaf.clone(); length],
            prefix: leaf.clone(),
            total: leaf.clone(),
            count: 0,
        }
    }

    /// Forgets all leaves.
    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// Whether there are as many leaves as it has room for.
    pub fn is_full(&self) -> bool {
        self.count >= self.leaves.len()
    }

    /// Adds the leaf that `fill` makes; the oldest makes room.
    pub fn push(&mut self, fill: impl FnOnce(&mut T)) {
        let (slot, place) = (self.slot(self.count), self.count % self.block);
        fill(&mut self.leaves[slot]);
        if place == 0 {
            std::mem::swap(&mut self.total, &mut self.prefix);
            self.prefix.unite(&[&self.leaves[slot]]);
        } else {
            self.prefix.join(&self.leaves[slot]);
        }
        if place > 0 && self.count > self.block {
            // The block before is worked on from its end.
            self.make_suffix(self.count - 2 * place - 1);
        }
        self.count += 1;
    }

    /// Joins to leaf `i` what follows on it in its block.
    fn make_suffix(&mut self, i: usize) {
        let (leaf, next) = (self.slot(i), self.slot(i + 1));
        if let Ok([leaf, next]) = self.leaves.get_disjoint_mut([leaf, next]) {
            leaf.join(next);
        }
    }

    /// Puts the aggregate of the newest leaves into `out`. The queue must be full.
    pub fn read(&self, out: &mut T) {
        debug_assert!(self.is_full());
        let (oldest, newest) = (self.count - self.leaves.len(), self.count - 1);
        let (suffix, total, prefix) = (&self.leaves[self.slot(oldest)], &self.total, &self.prefix);
        match newest / self.block - oldest / self.block {
            0 => out.unite(&[prefix]),
            1 => out.unite(&[suffix, prefix]),
            _ => out.unite(&[suffix, total, prefix]),
        }
    }

    fn slot(&self, leaf: usize) -> usize {
        leaf % self.leaves.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        static JOINS: Cell<usize> = const { Cell::new(0) };
    }

    /// The leaves `self.0..self.1`.
    #[derive(Debug, Clone, PartialEq)]
    struct Leaves(usize, usize);

    impl Join for Leaves {
        fn join(&mut self, newer: &Self) {
            assert_eq!(self.1, newer.0, "{self:?} {newer:?}");
            self.1 = newer.1;
            JOINS.set(JOINS.get() + 1);
        }

        fn unite(&mut self, parts: &[&Self]) {
            self.clone_from(parts[0]);
            parts[1..].iter().for_each(|part| self.join(part));
        }
    }

    #[test]
    fn the_newest_leaves_at_the_same_cost_each() {
        for length in (1..20).chain([40, 77]) {
            let mut queue = Queue::new(length, &Leaves(9, 9));
            let mut out = Leaves(7, 7);
            for restart in [5 * length + 3, length + 1, 4 * length] {
                for i in 0..restart {
                    JOINS.set(0);
                    queue.push(|leaf| *leaf = Leaves(i, i + 1));
                    assert_eq!(queue.is_full(), i + 1 >= length);
                    assert!(JOINS.get() <= 2, "{length}");
                    if queue.is_full() {
                        queue.read(&mut out);
                        assert_eq!(out, Leaves(i + 1 - length, i + 1), "{length}");
                        assert!(JOINS.get() <= 4, "{length}");
                    }
                }
                queue.clear();
            }
        }
    }
}
