//! The mean of the last few vectors, of all of them or of each marker by itself, in bounded memory.

use crate::frame::{Flags, Frame, MAX_MARKER_BYTES};

/// The last vectors of one group.
struct Group {
    /// What their markers say; empty for the group of all.
    text: String,
    /// A ring of vectors.
    vectors: Vec<f64>,
    /// For each of them whether it was marked BAD.
    bad: Vec<bool>,
    /// How many came in all.
    count: usize,
    /// When the last one came.
    used: u64,
}

/// Means over the last vectors.
pub struct Means {
    length: usize,
    depth: usize,
    /// By the text of the marker.
    by_marker: bool,
    groups: Vec<Group>,
    /// Vectors so far.
    clock: u64,
    mean: Vec<f64>,
}

impl Means {
    /// Of the last `depth` vectors of `length` numbers, of all or, for up to `groups` markers at once, of each.
    pub fn new(length: usize, depth: usize, groups: Option<usize>) -> Self {
        let group = |_| Group {
            text: String::with_capacity(MAX_MARKER_BYTES),
            vectors: vec![0.0; length * depth],
            bad: vec![false; depth],
            count: 0,
            used: 0,
        };
        Self {
            length,
            depth,
            by_marker: groups.is_some(),
            groups: (0..groups.unwrap_or(1)).map(group).collect(),
            clock: 0,
            mean: vec![0.0; length],
        }
    }

    /// Forgets all vectors.
    pub fn clear(&mut self) {
        self.clock = 0;
        for group in &mut self.groups {
            group.text.clear();
            group.count = 0;
            group.used = 0;
        }
    }

    /// Forgets what rests on vectors in a row: nothing where they belong to markers.
    pub fn interrupt(&mut self) {
        if !self.by_marker {
            self.clear();
        }
    }

    /// Takes in the vector of `frame`, which is as long as promised. Returns the mean of the last ones of its group, and
    /// BAD if one of them was.
    pub fn with(&mut self, frame: &Frame) -> (&[f64], Flags) {
        self.clock += 1;
        let (depth, length) = (self.depth, self.length);
        let group = self.group(if self.by_marker { &frame.text } else { "" });
        let group = &mut self.groups[group];
        let place = group.count % depth;
        group.vectors[place * length..][..length].copy_from_slice(&frame.data);
        group.bad[place] = frame.flags.has(Flags::BAD);
        group.count += 1;
        let held = group.count.min(depth);
        let share = 1.0 / held as f64;
        self.mean.fill(0.0);
        // From the oldest to the newest, so that the sum does not depend on where the ring begins.
        let mut is_bad = false;
        for age in (0..held).rev() {
            let place = (group.count - 1 - age) % depth;
            is_bad |= group.bad[place];
            let vector = &group.vectors[place * length..][..length];
            self.mean.iter_mut().zip(vector).for_each(|(mean, v)| *mean += share * v);
        }
        (&self.mean, if is_bad { Flags::BAD } else { Flags::NONE })
    }

    /// The group of `text`: its own, or an unused one, or the one that was not used for the longest time.
    fn group(&mut self, text: &str) -> usize {
        let mut chosen = 0;
        for (i, group) in self.groups.iter().enumerate() {
            if group.count > 0 && group.text == text {
                chosen = i;
                break;
            }
            if group.used < self.groups[chosen].used {
                chosen = i;
            }
        }
        let group = &mut self.groups[chosen];
        if group.count == 0 || group.text != text {
            group.count = 0;
            group.text.clear();
            group.text.extend(text.chars().scan(0, |bytes, c| {
                *bytes += c.len_utf8();
                (*bytes <= MAX_MARKER_BYTES).then_some(c)
            }));
        }
        group.used = self.clock;
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Span;

    fn frame(text: &str, value: f64) -> Frame {
        Frame {
            input: 0,
            span: Span::default(),
            flags: Flags::NONE,
            rows: 1,
            cols: 2,
            data: vec![value, -value],
            text: text.into(),
            model: 0,
        }
    }

    #[test]
    fn the_last_few_count() {
        let mut means = Means::new(2, 3, None);
        let got = [4.0, 2.0, 3.0, 7.0].map(|v| means.with(&frame("x", v)).0[0]);
        assert_eq!(got.map(|v| (v * 1e9).round() / 1e9), [4.0, 3.0, 3.0, 4.0]);
        means.interrupt();
        assert_eq!(means.with(&frame("y", 1.0)).0, [1.0, -1.0]);
    }

    #[test]
    fn markers_are_kept_apart_and_the_oldest_goes() {
        let mut means = Means::new(2, 9, Some(2));
        assert_eq!(means.with(&frame("a", 2.0)).0[0], 2.0);
        assert_eq!(means.with(&frame("b", 8.0)).0[0], 8.0);
        means.interrupt();
        assert_eq!(means.with(&frame("a", 4.0)).0[0], 3.0);
        // There is no room for a third one: `b` was not seen for longest.
        assert_eq!(means.with(&frame("c", 5.0)).0[0], 5.0);
        assert_eq!(means.with(&frame("a", 6.0)).0[0], 4.0);
        assert_eq!(means.with(&frame("b", 1.0)).0[0], 1.0);
        means.clear();
        assert_eq!(means.with(&frame("a", 7.0)).0[0], 7.0);
    }

    #[test]
    fn a_bad_one_marks_all_that_rest_on_it() {
        let mut means = Means::new(2, 2, None);
        let bad = Frame { flags: Flags::BAD | Flags::GAP, ..frame("", 1.0) };
        assert_eq!(means.with(&bad).1, Flags::BAD);
        assert_eq!(means.with(&frame("", 1.0)).1, Flags::BAD);
        assert_eq!(means.with(&frame("", 1.0)).1, Flags::NONE);
    }
}
