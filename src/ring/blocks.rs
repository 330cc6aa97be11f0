//! A ring of blocks of any length: what lies between a source and its lane.
//!
//! The numbers of all blocks lie one after the other in one ring and their heads in another, so a
//! ring holds as many *samples* as it has room for, whether they came one at a time or a hundred.
//! One writer, one reader, no lock, no heap.

use crate::frame::{Flags, Frame, MAX_MARKER_BYTES, Span};
use ringbuf::traits::{Consumer as _, Observer as _, Producer as _, Split as _};
use ringbuf::{HeapCons, HeapProd, HeapRb};

/// What is known of a block besides its numbers.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    /// The samples in it.
    pub span: Span,
    /// Its marks.
    pub flags: Flags,
    /// Its place in the order of all that its writer sends, by whatever ring, where it numbers that.
    pub sequence: u64,
    rows: usize,
    cols: usize,
    /// Length of a marker's text in bytes.
    text: usize,
}

/// The writing end.
pub struct BlockWriter {
    heads: HeapProd<Head>,
    numbers: HeapProd<f64>,
    texts: HeapProd<u8>,
}

/// The reading end.
pub struct BlockReader {
    heads: HeapCons<Head>,
    numbers: HeapCons<f64>,
    texts: HeapCons<u8>,
    bytes: Vec<u8>,
}

/// A ring with room for `blocks` blocks that hold at most `numbers` numbers together. With no
/// numbers it is a ring for markers.
pub fn blocks(blocks: usize, numbers: usize) -> (BlockWriter, BlockReader) {
    let (heads_in, heads_out) = HeapRb::new(blocks.max(1)).split();
    let (numbers_in, numbers_out) = HeapRb::new(numbers.max(1)).split();
    let bytes = if numbers == 0 { blocks.max(1) * MAX_MARKER_BYTES } else { 1 };
    let (texts_in, texts_out) = HeapRb::new(bytes).split();
    let writer = BlockWriter { heads: heads_in, numbers: numbers_in, texts: texts_in };
    let reader = BlockReader {
        heads: heads_out,
        numbers: numbers_out,
        texts: texts_out,
        bytes: Vec::with_capacity(MAX_MARKER_BYTES),
    };
    (writer, reader)
}

impl BlockWriter {
    /// Copies `block` in; `false` when there is no room for all of it.
    pub fn push(&mut self, block: &Frame) -> bool {
        self.push_as(block, block.flags, 0)
    }

    /// The same with other marks, and a number.
    pub fn push_as(&mut self, block: &Frame, flags: Flags, sequence: u64) -> bool {
        if !self.has_room(block) {
            return false;
        }
        self.numbers.push_slice(&block.data);
        self.texts.push_slice(block.text.as_bytes());
        let Frame { span, rows, cols, .. } = *block;
        // Last, so that the reader finds everything that a head speaks of.
        let text = block.text.len();
        self.heads.try_push(Head { span, flags, sequence, rows, cols, text }).is_ok()
    }

    /// Whether there is room for `block`.
    pub fn has_room(&self, block: &Frame) -> bool {
        self.heads.vacant_len() > 0
            && self.numbers.vacant_len() >= block.data.len()
            && self.texts.vacant_len() >= block.text.len()
    }

    /// Whether the reading end still exists.
    pub fn has_reader(&self) -> bool {
        self.heads.read_is_held()
    }
}

impl BlockReader {
    /// Moves the oldest block into `frame`, which allocates only beyond its capacity; `false` when
    /// there is none.
    pub fn pop(&mut self, frame: &mut Frame) -> bool {
        let Some(head) = self.heads.try_pop() else { return false };
        (frame.input, frame.span, frame.flags) = (0, head.span, head.flags);
        frame.resize(head.rows, head.cols);
        self.numbers.pop_slice(&mut frame.data);
        self.bytes.resize(head.text, 0);
        self.texts.pop_slice(&mut self.bytes);
        frame.text.clear();
        // It came out of a `String`, whole.
        frame.text.push_str(std::str::from_utf8(&self.bytes).unwrap_or_default());
        true
    }

    /// Shows the head of the oldest block without taking it.
    pub fn peek(&self) -> Option<&Head> {
        self.heads.try_peek()
    }

    /// How many blocks wait.
    pub fn waiting(&self) -> usize {
        self.heads.occupied_len()
    }

    /// Whether nothing waits and nothing will come: the writing end is gone.
    pub fn is_over(&self) -> bool {
        // In this order: what was sent before the writer went is seen by the second look.
        !self.heads.write_is_held() && self.heads.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Spec;

    fn block(rows: usize, from: u64) -> Frame {
        let mut frame = Spec::markers().frame();
        frame.resize(rows, 2);
        frame.span.first = from;
        for (i, v) in frame.data.iter_mut().enumerate() {
            *v = from as f64 + i as f64;
        }
        frame
    }

    #[test]
    fn blocks_of_any_length_come_out_as_they_went_in() {
        let (mut tx, mut rx) = blocks(8, 20);
        let mut out = Spec::markers().frame();
        for round in 0..50 {
            let sent: Vec<Frame> = (0..3).map(|i| block((round + i) % 4, 10 * i as u64)).collect();
            for b in &sent {
                assert!(tx.push(b));
            }
            for b in &sent {
                assert!(rx.pop(&mut out));
                assert_eq!(&out, b);
            }
            assert!(!rx.pop(&mut out));
        }
    }

    #[test]
    fn a_block_that_does_not_fit_is_refused_whole() {
        let (mut tx, mut rx) = blocks(8, 10);
        assert!(tx.push(&block(3, 0)));
        assert!(!tx.push(&block(3, 3)), "six numbers where there is room for four");
        assert!(tx.push(&block(2, 3)));
        let mut out = Spec::markers().frame();
        assert!(rx.pop(&mut out) && out.rows == 3);
        assert!(rx.pop(&mut out) && out.rows == 2 && out.data == block(2, 3).data);
        assert_eq!(rx.waiting(), 0);
        drop(tx);
        assert!(rx.is_over());
    }

    #[test]
    fn markers_carry_their_text() {
        let (mut tx, mut rx) = blocks(2, 0);
        for text in ["left", "", "größer"] {
            let mut marker = block(0, 7);
            marker.text.push_str(text);
            assert!(tx.push(&marker));
            let mut out = block(1, 0);
            assert!(rx.pop(&mut out));
            assert_eq!(out.text, text);
        }
    }
}
