//! Exponential forgetting: an average over the windows of a stream in which older ones count less and
//! less.
//!
//! C_t = a C_(t-1) + (1 - a) S_t, a = exp(-step / time constant), where S_t is what was made of window t and
//! the step is from the newest sample of the window before to that of this one.
//!
//! The average begins anew, C_t = S_t, where windows neither overlap nor adjoin, where the stream does
//! (GAP, a reset), and where time goes back. Windows that belong to a marker, which carry its text, are
//! trials: each stands alone, neither takes from the average nor adds to it. A window that is marked BAD is
//! averaged with what came before, but not kept, so that what comes after does not rest on it.

use crate::frame::{Flags, Frame, Span};

/// The average and what it rests on.
pub struct Forgetting {
    time_constant_s: f64,
    rate_hz: f64,
    average: Vec<f64>,
    /// The newest window in it.
    newest: Option<Span>,
}

impl Forgetting {
    /// For averages of `len` numbers over windows of a stream of `rate_hz`.
    pub fn new(time_constant_s: f64, rate_hz: f64, len: usize) -> Self {
        Self { time_constant_s, rate_hz, average: vec![0.0; len], newest: None }
    }

    /// Begins anew.
    pub fn reset(&mut self) {
        self.newest = None;
    }

    /// Puts the average in the place of `matrix`, which was made of `window`. Of finite numbers only.
    pub fn apply(&mut self, window: &Frame, matrix: &mut [f64]) {
        if !window.text.is_empty() {
            return;
        }
        let Span { first, last, .. } = window.span;
        let follows = |newest: &Span| newest.last < last && first <= newest.last + 1;
        self.newest = self.newest.filter(|s| follows(s) && !window.flags.has(Flags::GAP));
        if let Some(newest) = self.newest {
            let step_s = (last - newest.last) as f64 / self.rate_hz;
            let old = (-step_s / self.time_constant_s).exp();
            for (new, average) in matrix.iter_mut().zip(&self.average) {
                *new = old * average + (1.0 - old) * *new;
            }
        }
        if !window.flags.has(Flags::BAD) {
            self.average.copy_from_slice(matrix);
            self.newest = Some(window.span);
        }
    }
}
