//! Processes of this program that speak LSL with each other and with nobody else.

use crate::error::{Error, Result};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

/// What tells liblsl which network to use.
const VARIABLE: &str = "LSLAPICFG";
/// Keeps LSL on this machine.
const CONFIG: &str = include_str!("../../configs/lsl_loopback.cfg");
/// Its line that says who sees each other.
const SESSION: &str = "SessionID = saltatory\n";

/// Whether it was said which network LSL is to use.
pub fn is_set() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|v| !v.is_empty())
}

/// A group of processes. It is on loopback and in a session of its own unless the user has said which
/// settings LSL is to use.
pub struct Group {
    config: Option<PathBuf>,
}

impl Group {
    /// A new group.
    pub fn new() -> Result<Self> {
        if is_set() {
            return Ok(Self { config: None });
        }
        let id = std::process::id();
        let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
        let path = std::env::temp_dir().join(format!("saltatory-{id}-{now}.cfg"));
        let text = CONFIG.replace(SESSION, &format!("SessionID = saltatory-{id}\n"));
        let made = OpenOptions::new().write(true).create_new(true).open(&path);
        made.and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|e| Error::run(format!("{}: cannot write: {e}", path.display())))?;
        Ok(Self { config: Some(path) })
    }

    /// This program as one of the group.
    pub fn command(&self) -> Result<Command> {
        let program = std::env::current_exe()
            .map_err(|e| Error::run(format!("this program does not find itself: {e}")))?;
        let mut command = Command::new(program);
        if let Some(path) = &self.config {
            command.env(VARIABLE, path);
        }
        Ok(command)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(path) = &self.config {
            // Left behind it would do no harm.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_can_be_replaced() {
        assert!(CONFIG.contains(SESSION));
    }
}
