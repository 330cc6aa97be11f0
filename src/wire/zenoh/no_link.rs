//! In place of `link.rs` where the feature `remote` is off: there is no connection, and an error says why.

use super::access::{Access, Endpoint};
use crate::error::{Error, Result};
use std::convert::Infallible;

/// A connection; there is none in this build.
pub struct Link(Infallible);

/// The way back to who has asked; there is none in this build.
#[derive(Clone)]
pub struct Back(Infallible);

impl Link {
    /// Says that this build cannot.
    pub fn connect(
        _: &Endpoint,
        _: &Access,
        _: impl Fn(&[u8]) + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::check()?;
        Err(refusal())
    }

    /// Says that this build cannot.
    pub fn listen(
        _: &Endpoint,
        _: &Access,
        _: impl Fn(&Back, &[u8]) + Send + Sync + 'static,
    ) -> Result<Self> {
        Err(refusal())
    }

    /// Whether this build can reach other hosts: it cannot.
    pub fn check() -> Result<()> {
        Err(refusal())
    }

    /// Sends to the host.
    pub fn ask(&self, _: &[u8]) {
        match self.0 {}
    }
}

impl Back {
    /// Who has asked.
    pub fn client(&self) -> &str {
        match self.0 {}
    }

    /// Sends to who has asked.
    pub fn answer(&self, _: &[u8]) {
        match self.0 {}
    }
}

fn refusal() -> Error {
    Error::config(
        "this build of saltatory reaches no other hosts: build it with `cargo build --release --features remote`",
    )
}
