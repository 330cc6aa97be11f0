//! Network protocols as values in and out.

pub mod lsl;
pub mod zenoh;
