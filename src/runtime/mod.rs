//! ONNX Runtime: networks that were trained elsewhere.
//!
//! The library is found and loaded when the first network is opened (`library.rs`); nothing is linked. A
//! model file is untrusted: it is bounded in size, walked through before the library sees it, and may
//! refer neither to other files nor to operators that ONNX does not define ([`scan()`]). A [`Network`] holds
//! its inputs and outputs ready, so that a run copies and allocates nothing of ours; [`Timed`] runs it on a thread of
//! its own, for those who cannot wait. What a network expects and gives is in its [`Manifest`]; a [`Feed`] makes
//! that of frames, and a [`Reading`] frames of what it says. A network may run on another machine, which is
//! [`Serving`] it and asked through a [`Remote`].

mod feed;
mod host;
mod library;
mod manifest;
mod network;
mod output;
mod places;
mod reading;
mod remote;
mod scan;
mod timed;

pub use feed::Feed;
pub use host::{Serving, Tally};
pub use library::{environment, found, version};
pub use manifest::{Input, Kind, Layout, Manifest, Meaning, Output, Scaling};
pub use network::{Axis, Network, Options, Port, Provider, Stop};
pub use places::{UNKNOWN, places};
pub use reading::Reading;
pub use remote::{Host, Remote};
pub use scan::{Facts, MAX_BYTES, scan};
pub use timed::{Timed, Unanswered};
