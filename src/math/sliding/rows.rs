//! The newest samples, counted since the last clearing.

/// The newest samples, in memory that is taken once.
#[derive(Debug, Clone)]
pub struct Rows {
    cols: usize,
    capacity: usize,
    /// Sample i is in row `i % capacity`.
    data: Vec<f64>,
    end: usize,
}

impl Rows {
    /// Room for the newest `capacity` samples of `cols` channels.
    pub fn new(capacity: usize, cols: usize) -> Self {
        Self { cols, capacity, data: vec![0.0; capacity * cols], end: 0 }
    }

    /// Forgets all samples.
    pub fn clear(&mut self) {
        self.end = 0;
    }

    /// Adds samples, no more than there is room for; the oldest make room.
    pub fn push(&mut self, rows: &[f64]) {
        let start = self.end % self.capacity.max(1) * self.cols;
        let (head, tail) = rows.split_at(rows.len().min(self.data.len() - start));
        self.data[start..start + head.len()].copy_from_slice(head);
        self.data[..tail.len()].copy_from_slice(tail);
        self.end += rows.len() / self.cols;
    }

    /// The `count` samples from number `first` on, which must be among those held.
    pub fn get(&self, first: usize, count: usize) -> impl Iterator<Item = &[f64]> {
        debug_assert!(first + self.capacity >= self.end && first + count <= self.end);
        let start = first % self.capacity.max(1) * self.cols;
        let head = (count * self.cols).min(self.data.len() - start);
        let tail = count * self.cols - head;
        let (head, tail) = (&self.data[start..start + head], &self.data[..tail]);
        head.chunks_exact(self.cols).chain(tail.chunks_exact(self.cols))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_samples() {
        let mut rows = Rows::new(5, 2);
        for restart in 0..2 {
            for i in (0..24).step_by(3) {
                let block: Vec<f64> = (2 * i..2 * i + 6).map(f64::from).collect();
                rows.push(&block);
                let end = i as usize + 3;
                let first = end.saturating_sub(5);
                let got: Vec<f64> = rows.get(first, end - first).flatten().copied().collect();
                let want: Vec<f64> = (2 * first..2 * end).map(|v| v as f64).collect();
                assert_eq!(got, want, "{restart}");
            }
            rows.clear();
        }
        assert_eq!(Rows::new(0, 2).get(0, 0).count(), 0);
    }
}
