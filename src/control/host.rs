//! `saltatory host`: runs networks for stages on other machines.

use super::stop::Stop;
use super::{print, print_json};
use crate::error::Result;
use crate::runtime::{Options, Serving, Tally};
use crate::wire::zenoh::access::{Access, Endpoint};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// How long the thread sleeps before it looks whether it is to end.
const NAP: Duration = Duration::from_millis(50);

/// What is asked for.
pub struct Host {
    /// The models to serve.
    pub models: Vec<PathBuf>,
    /// Where to listen.
    pub listen: String,
    /// Who may come in.
    pub access: Access,
    /// How networks are run.
    pub options: Options,
    /// Whether the counts at the end are printed as JSON.
    pub json: bool,
}

/// Serves until it is told to stop, then tells what became of the windows.
pub fn host(asked: &Host, stop: &Stop) -> Result<()> {
    let place = Endpoint::parse(&asked.listen).map_err(|e| e.at("--listen"))?;
    let serving = Serving::start(&asked.models, asked.options, &place, &asked.access)?;
    if !asked.json {
        print(&begun(asked, &serving.tallies()))?;
    }
    stop.listen();
    while !stop.asked() {
        std::thread::sleep(NAP);
    }
    let tallies = serving.tallies();
    drop(serving);
    if asked.json { print_json(&tallies) } else { print(&ended(&tallies)) }
}

fn begun(asked: &Host, tallies: &[Tally]) -> String {
    let mut text = String::new();
    for tally in tallies {
        let provider = format!("{:?}", asked.options.provider).to_lowercase();
        let _ = writeln!(text, "serves {} on {provider}, {}", tally.model.display(), tally.sha256);
    }
    let who = match &asked.access.token_file {
        Some(path) => format!("who has a token of {}", path.display()),
        None => "anybody on this machine".to_owned(),
    };
    let _ = writeln!(text, "listens at {} to {who}; Ctrl-C ends", asked.listen);
    text
}

fn ended(tallies: &[Tally]) -> String {
    let mut text = format!("{:<32} {:>10} {:>10} {:>10}\n", "model", "answered", "busy", "failed");
    for t in tallies {
        let model = t.model.display().to_string();
        let _ = writeln!(text, "{model:<32} {:>10} {:>10} {:>10}", t.answered, t.busy, t.failed);
    }
    text
}
