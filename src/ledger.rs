//! The causes that the ledger counts by. The counters themselves live with the engine.

/// Why something was lost, repaired or late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Samples that never arrived: missing between two neighbours.
    Gap,
    /// Samples or frames that arrived and were thrown away for want of room.
    Drop,
    /// Samples that arrived twice, or with a time that ran backwards.
    Duplicate,
    /// Markers that came too late to be used.
    LateMarker,
    /// Markers whose text was longer than a frame carries.
    LongMarker,
    /// Epochs given up because samples in them are missing.
    BrokenEpoch,
    /// Jumps of the sender's clock.
    ClockReset,
    /// Times a source was lost and came back.
    Restart,
    /// Numbers that were not finite and were replaced.
    NotFinite,
    /// Channels that held one value for a second or longer.
    Flat,
    /// Frames that a stage could not process.
    Fault,
}

impl Cause {
    /// Every cause, in the order they are shown.
    pub const ALL: [Cause; 11] = [
        Cause::Gap,
        Cause::Drop,
        Cause::Duplicate,
        Cause::LateMarker,
        Cause::LongMarker,
        Cause::BrokenEpoch,
        Cause::ClockReset,
        Cause::Restart,
        Cause::NotFinite,
        Cause::Flat,
        Cause::Fault,
    ];
}
