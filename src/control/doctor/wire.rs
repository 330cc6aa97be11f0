//! LSL on loopback: whether a stream is found, and how long a sample is under way. In a process of its
//! own, because liblsl learns from the environment which network it is to use.

use crate::clock;
use crate::control::loopback::Group;
use crate::control::print_json;
use crate::error::{Error, Result};
use crate::frame::Channel;
use crate::latency::Summary;
use crate::wire::lsl::{Inlet, Outlet, Pulled, Query, Search};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a stream is looked for.
const PATIENCE_S: f64 = 5.0;
/// Samples that are sent, and what lies between them.
const SAMPLES: usize = 200;
const BETWEEN: Duration = Duration::from_millis(5);
/// A sample that takes longer is lost.
const LOST_S: f64 = 1.0;
const NAME: &str = "saltatory_doctor";

/// What was found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Loopback {
    /// From the question to the answer.
    pub found_after_ms: f64,
    /// From a sample's push to its arrival, in one process.
    pub under_way: Summary,
    /// Samples that did not arrive.
    pub lost: usize,
}

/// Starts the process that tries it.
pub fn measure() -> std::result::Result<Loopback, String> {
    let command = Group::new().and_then(|group| Ok((group.command()?, group)));
    let (mut command, _group) = command.map_err(|e| e.to_string())?;
    let output = command.args(["doctor", "--lsl"]).output().map_err(|e| e.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|e| e.to_string())
}

/// The process that tries it: sends to itself and prints what it saw as JSON.
pub fn try_lsl() -> Result<()> {
    let channel = [Channel::named("1")];
    let mut outlet = Outlet::numbers(NAME, "Test", NAME, &channel, 0.0)?;
    let asked_s = clock::now_s();
    let query = Query { name: Some(NAME.into()), ..Query::default() };
    let found = Search::new(&query)?.wait(PATIENCE_S);
    let found_after_ms = (clock::now_s() - asked_s) * 1e3;
    let opened = found.first().map(Inlet::open).transpose()?.flatten();
    let Some((inlet, _)) = opened else {
        return Err(Error::run(format!("a stream of its own was not found within {PATIENCE_S} s")));
    };
    while !outlet.has_listener() {
        if clock::now_s() - asked_s > 2.0 * PATIENCE_S {
            return Err(Error::run("a connection to a stream of its own does not come about"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let receiver = std::thread::spawn(move || receive(inlet));
    for _ in 0..SAMPLES {
        std::thread::sleep(BETWEEN);
        outlet.push(&[0.0], clock::now_s())?;
    }
    let times = receiver.join().map_err(|_| Error::run("the receiver stopped"))?;
    let us = |q: f64| times.value_at_quantile(q) as f64 / 1e3;
    let under_way = Summary {
        n: times.len(),
        p50_us: us(0.5),
        p99_us: us(0.99),
        p999_us: us(0.999),
        max_us: times.max() as f64 / 1e3,
    };
    print_json(&Loopback { found_after_ms, under_way, lost: SAMPLES - times.len() as usize })
}

/// How long each sample was under way, in nanoseconds.
fn receive(mut inlet: Inlet) -> Histogram<u64> {
    let mut times = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are valid");
    while times.len() < SAMPLES as u64 {
        match inlet.pull(LOST_S) {
            Pulled::Sample(sent_s) => {
                let time_ns = (clock::now_s() - sent_s) * 1e9;
                times.saturating_record((time_ns as u64).max(1));
            }
            Pulled::Nothing | Pulled::Lost => break,
        }
    }
    times
}
