//! `saltatory streams`: the LSL streams on the network.

use super::{print, print_json};
use crate::error::Result;
use crate::wire::lsl;
use std::fmt::Write as _;

/// Lists every stream that answers within `wait_s`.
pub fn streams(wait_s: f64, json: bool) -> Result<()> {
    let found = lsl::streams(wait_s)?;
    if json {
        return print_json(&found);
    }
    if found.is_empty() {
        return print(&format!(
            "no LSL stream answered within {wait_s} s; is the sender running, on this network, and \
             not blocked by a firewall?"
        ));
    }
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{:<28} {:<12} {:>8} {:>10} {:<9} host",
        "name", "type", "channels", "rate", "format"
    );
    for s in found {
        let rate = if s.rate_hz > 0.0 { format!("{} Hz", s.rate_hz) } else { "irregular".into() };
        let format = format!("{:?}", s.format).to_lowercase();
        let _ = writeln!(
            text,
            "{:<28} {:<12} {:>8} {rate:>10} {format:<9} {}",
            s.name, s.kind, s.channel_count, s.host
        );
    }
    print(&text)
}
