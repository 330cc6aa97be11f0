//! Windows to a network on another host, and its answers back, over zenoh.
//!
//! In: bytes of one message. Out: bytes of one message, at the other end or not at all: what cannot be sent at once
//! is dropped, for nobody wants it later. Delay: that of the network.
//!
//! Nothing else in the tree knows the `zenoh` crate, which comes with the feature `remote`. What is sent
//! ([`message`]) and who may ([`access`]) can be looked at without it. In a build without the feature a [`Link`] cannot
//! be made.

pub mod access;
pub mod message;

#[cfg(feature = "remote")]
mod link;
#[cfg(not(feature = "remote"))]
#[path = "no_link.rs"]
mod link;

pub use link::{Back, Link};
