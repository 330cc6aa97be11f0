//! The control plane: what the commands do.

pub mod bench;
pub mod check;
pub mod doctor;
pub mod export;
pub mod fit;
pub mod host;
pub mod inspect;
pub mod list;
pub mod live;
pub mod loopback;
pub mod machine;
mod parity;
pub mod play;
pub mod reference;
pub mod run;
pub mod running;
pub mod stop;
pub mod streams;
pub mod trial;

use crate::error::{Error, Result};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::Write as _;

/// Prints `value` as indented JSON on standard output.
pub fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| Error::run(format!("cannot be written as JSON: {e}")))?;
    print(&text)
}

/// Prints `text` as lines on standard output. A reader that has gone (`| head`) is no error.
pub fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::run(format!("cannot write to standard output: {e}")))
        }
        _ => Ok(()),
    }
}

/// A progress bar on standard error; invisible where standard error is no terminal.
fn progress(steps: usize, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:>12} {bar:30} {pos}/{len} {eta}");
    let bar = ProgressBar::new(steps as u64).with_message(what);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
