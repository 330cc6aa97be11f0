//! Filters: samples to samples, per channel.

use super::Stage;
use crate::kind::{Kind, kind};

pub mod bandpass;
pub mod decimate;
pub mod denoise;
pub mod filter_bank;
pub mod notch;

/// The list of this family.
pub const KINDS: &[Kind<dyn Stage>] = &[
    kind::<_, bandpass::Settings>("bandpass"),
    kind::<_, notch::Settings>("notch"),
    kind::<_, decimate::Settings>("decimate"),
    kind::<_, filter_bank::Settings>("filter_bank"),
    kind::<_, denoise::Settings>("denoise"),
];
