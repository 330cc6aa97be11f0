//! What a stage sends, kept.

use saltatory::frame::Frame;
use saltatory::ledger::Cause;
use saltatory::stages::Emit;

/// Frames, and how often the budget was counted.
#[derive(Default)]
pub struct Seen {
    pub frames: Vec<Frame>,
    pub over_budget: u64,
}

impl Emit for Seen {
    fn emit(&mut self, frame: &mut Frame) {
        self.frames.push(frame.clone());
    }

    fn count(&mut self, cause: Cause, n: u64) {
        self.over_budget += if cause == Cause::Budget { n } else { 0 };
    }
}
