//! The other process: sends samples, receives decisions, and prints what it saw.

use super::{AGES, CHUNK, DECISIONS, RATE_HZ, SAMPLES, WARM_UP, channels, failed};
use crate::clock;
use crate::control::print_json;
use crate::error::{Error, Result};
use crate::wire::lsl::{Inlet, Outlet, Pulled, Query, Search, Wire};
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long to wait for the engine's streams.
const PATIENCE_S: f64 = 60.0;

/// What was seen of one decision. Times in seconds on the LSL clock.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Seen {
    /// The time stamp that it carried.
    pub stamp_s: f64,
    /// When its newest sample was pushed.
    pub pushed_s: f64,
    /// When it came.
    pub received_s: f64,
    /// The age of the newest sample that was published with it.
    pub age_s: f64,
}

/// Sends and receives until `seconds` have passed after the first decisions; prints what it saw as JSON.
pub fn peer(seconds: f64) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let start_s = clock::now_s() + 0.2;
    let sender = {
        let stop = stop.clone();
        std::thread::spawn(move || send(start_s, &stop))
    };
    let received = receive(seconds);
    stop.store(true, Ordering::Relaxed);
    let pushed_s = sender.join().unwrap_or_else(|_| Err(failed(&"the sender stopped")))?;
    let (decisions, ages) = received?;
    let seen = decisions.into_iter().skip(WARM_UP).filter_map(|(stamp_s, received_s)| {
        let sample = ((stamp_s - start_s) * RATE_HZ).round() as usize;
        let pushed_s = *pushed_s.get(sample / CHUNK)?;
        let age_s = ages.get(&stamp_s.to_bits()).copied().filter(|age| age.is_finite())?;
        Some(Seen { stamp_s, pushed_s, received_s, age_s })
    });
    print_json(&seen.collect::<Vec<_>>())
}

/// Pushes five samples whenever the last of them is due; returns when each push was.
fn send(start_s: f64, stop: &AtomicBool) -> Result<Vec<f64>> {
    let wire = Wire::Float32;
    let mut outlet = Outlet::open(SAMPLES, "EEG", SAMPLES, &channels(), RATE_HZ, wire, &[])?;
    let mut random = Pcg64::seed_from_u64(1);
    let mut pushed_s = Vec::new();
    let mut row = vec![0.0; channels().len()];
    while !stop.load(Ordering::Relaxed) {
        let first = pushed_s.len() * CHUNK;
        let stamp_s = |i: usize| start_s + (first + i) as f64 / RATE_HZ;
        let wait_s = stamp_s(CHUNK - 1) - clock::now_s();
        if wait_s > 0.0 {
            std::thread::sleep(Duration::from_secs_f64(wait_s));
        }
        pushed_s.push(clock::now_s());
        for i in 0..CHUNK {
            row.iter_mut().for_each(|v| *v = StandardNormal.sample(&mut random));
            outlet.push_exact(&row, stamp_s(i), i + 1 == CHUNK)?;
        }
    }
    Ok(pushed_s)
}

/// Stamp and arrival of every decision, and the published age by stamp.
type Received = (Vec<(f64, f64)>, BTreeMap<u64, f64>);

/// Takes decisions and ages for `seconds` after the warm-up.
fn receive(seconds: f64) -> Result<Received> {
    let mut inlet = connect(DECISIONS)?;
    let ages = connect(AGES)?;
    let end = Arc::new(AtomicBool::new(false));
    let ages = {
        let end = end.clone();
        std::thread::spawn(move || collect_ages(ages, &end))
    };
    let decisions = collect_decisions(&mut inlet, seconds);
    // The ages of the newest may still be on their way.
    std::thread::sleep(Duration::from_millis(100));
    end.store(true, Ordering::Relaxed);
    let ages = ages.join().unwrap_or_else(|_| Err(failed(&"a thread stopped")))?;
    Ok((decisions?, ages))
}

fn collect_decisions(inlet: &mut Inlet, seconds: f64) -> Result<Vec<(f64, f64)>> {
    let mut decisions = Vec::new();
    let (mut end_s, mut last_s) = (f64::INFINITY, clock::now_s());
    while clock::now_s() < end_s {
        match inlet.pull(0.5) {
            Pulled::Sample(stamp_s) => {
                last_s = clock::now_s();
                decisions.push((stamp_s, last_s));
                if decisions.len() == WARM_UP {
                    end_s = last_s + seconds;
                }
            }
            Pulled::Lost => return Err(Error::run("the engine is gone")),
            Pulled::Nothing if clock::now_s() - last_s > PATIENCE_S => {
                return Err(Error::run("no decision comes"));
            }
            Pulled::Nothing => {}
        }
    }
    Ok(decisions)
}

fn collect_ages(mut inlet: Inlet, end: &AtomicBool) -> Result<BTreeMap<u64, f64>> {
    let (mut ages, mut row) = (BTreeMap::new(), Vec::new());
    while !end.load(Ordering::Relaxed) {
        if let Pulled::Sample(stamp_s) = inlet.pull(0.2) {
            row.clear();
            inlet.numbers(&mut row);
            ages.insert(stamp_s.to_bits(), row.first().copied().unwrap_or(f64::NAN));
        }
    }
    Ok(ages)
}

fn connect(name: &str) -> Result<Inlet> {
    let query = Query { name: Some(name.into()), ..Query::default() };
    let found = Search::new(&query)?.wait(PATIENCE_S);
    let opened = found.first().map(Inlet::open).transpose()?.flatten();
    opened.map(|(inlet, _)| inlet).ok_or_else(|| Error::run(format!("no stream `{name}` came")))
}
