//! One error type for everything outside the data plane.
//!
//! An error says what was wrong, where, what was expected and what to do. The data plane never
//! makes one: it reports a [`crate::stages::Fault`].

use std::fmt;

/// What went wrong, which decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A config, an option or a setting is wrong.
    Config,
    /// A file could not be read or is not what it claims to be.
    Input,
    /// A stream, channel or class that is needed is not there.
    Missing,
    /// Two things do not fit together: a model and a config, a stream and a montage.
    Mismatch,
    /// The run itself failed: a device went away, a disk is full, a port is taken.
    Run,
}

/// An error of the control plane.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    key: Option<String>,
}

/// The result type of the control plane.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A new error; `message` is lower case, without a full stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), key: None }
    }

    /// Names the setting that is to blame.
    #[must_use]
    pub fn blaming(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// A wrong config, option or setting.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// The value of the setting `key` is wrong; the config layer adds file, line and column.
    pub fn setting(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::config(message).blaming(key)
    }

    /// An unreadable or corrupt file.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, message)
    }

    /// Something needed is not there.
    pub fn missing(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Missing, message)
    }

    /// Two things do not fit together.
    pub fn mismatch(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Mismatch, message)
    }

    /// The run failed.
    pub fn run(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Run, message)
    }

    /// What kind of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The setting that is to blame, where one is.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Puts `place` (a file, a stage, a stream) in front of the message.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// Puts `remark` behind the message.
    #[must_use]
    pub fn behind(mut self, remark: impl fmt::Display) -> Self {
        self.message = format!("{}{remark}", self.message);
        self
    }

    /// The exit code of the process: 1 a run that failed, 2 bad use, bad config, unreadable input.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            ErrorKind::Run => 1,
            _ => 2,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// The entry of `known` that is closest to `word`, if any is close enough to be a likely typo.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|k| (strsim::damerau_levenshtein(&word.to_lowercase(), &k.to_lowercase()), k))
        .filter(|(distance, k)| *distance <= 1 + k.chars().count() / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}
