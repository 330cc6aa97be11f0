//! Windowing: samples to windows, and what is made of windows back to samples.

use super::Stage;
use crate::kind::{Kind, kind};

pub mod classes;
pub mod event;
pub(super) mod history;
mod hops;
pub mod series;
#[expect(clippy::module_inception, reason = "a file is named after its kind")]
pub mod window;

/// The list of this family.
pub const KINDS: &[Kind<dyn Stage>] = &[
    kind::<_, window::Settings>("window"),
    kind::<_, event::Settings>("event"),
    kind::<_, series::Settings>("series"),
];
