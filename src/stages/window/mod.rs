//! Windowing: samples to windows.

use super::Stage;
use crate::kind::{Kind, kind};

pub mod classes;
pub mod event;
pub(super) mod history;
mod hops;
#[expect(clippy::module_inception, reason = "a file is named after its kind")]
pub mod window;

/// The list of this family.
pub const KINDS: &[Kind<dyn Stage>] =
    &[kind::<_, window::Settings>("window"), kind::<_, event::Settings>("event")];
