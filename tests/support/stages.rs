//! Stages by their names, and frames to give them.

use saltatory::frame::{Frame, Payload, Spec};
use saltatory::ledger::Cause;
use saltatory::stages::{Emit, Fault, Stage, kinds};

/// The stage `name` with the settings of `snippet`.
pub fn stage(name: &str, snippet: &str) -> Box<dyn Stage> {
    kinds().find(|k| k.name == name).unwrap().from_toml(snippet).unwrap().unit
}

pub fn names(count: usize) -> Vec<String> {
    (0..count).map(|k| format!("class {k}")).collect()
}

pub fn spec(payload: Payload, rows: usize, cols: usize) -> Spec {
    Spec { payload, rows, cols, ..Spec::markers() }
}

/// A frame of `rows` x `cols` numbers that ends with sample 7.
pub fn frame(rows: usize, cols: usize, data: &[f64]) -> Frame {
    let mut frame = spec(Payload::Matrix, rows, cols).frame();
    frame.rows = rows;
    frame.data.extend_from_slice(data);
    frame.span.last = 7;
    frame
}

/// The one frame that the stage makes of `frame`.
pub fn run(stage: &mut dyn Stage, mut frame: Frame) -> Result<Frame, Fault> {
    struct Last(Option<Frame>);
    impl Emit for Last {
        fn emit(&mut self, frame: &mut Frame) {
            assert!(self.0.replace(frame.clone()).is_none(), "more than one frame");
        }
        fn count(&mut self, _cause: Cause, _n: u64) {}
    }
    let mut last = Last(None);
    stage.process(&mut frame, &mut last)?;
    Ok(last.0.expect("one frame"))
}
