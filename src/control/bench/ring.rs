//! How threads hand each other frames: what it costs, and how long it takes.

use super::{Options, Pace, Record, Watch};
use crate::control::progress;
use crate::error::Result;
use crate::frame::{Channel, Spec};
use crate::ring::{Doorbell, blocks, mailbox, ring};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Hand-overs between threads come at this pace, so that a parked reader is asleep.
const BETWEEN: Duration = Duration::from_millis(2);

pub fn run(options: &Options) -> Result<Vec<Record>> {
    let bar = progress(5, "ring");
    let mut records = Vec::new();
    for rows in [1, 5, 50] {
        records.push(block(options, rows));
        bar.inc(1);
    }
    for spin in [false, true] {
        records.push(hand_over(options, spin));
        bar.inc(1);
    }
    records.push(newest(options));
    bar.finish_and_clear();
    Ok(records)
}

/// A block into the inbox and out again, on one thread.
fn block(options: &Options, rows: usize) -> Record {
    let spec = Spec::samples((0..64).map(|i| Channel::named(format!("{i}"))).collect(), 1e3, rows);
    let (mut writer, mut reader) = blocks(256, 8192);
    let (mut frame, mut out) = (spec.frame(), spec.frame());
    frame.resize(rows, 64);
    let work = || {
        assert!(writer.push(&frame) && reader.pop(&mut out), "there is room for one");
    };
    let watch = Watch::of(Pace::Hot, options.seconds, || {}, work);
    watch.record("inbox, in and out", format!("{rows} x 64"))
}

/// From a push on one thread to the pop on another.
fn hand_over(options: &Options, spin: bool) -> Record {
    let (mut tx, mut rx) = ring((0..16).map(|_| Instant::now()).collect());
    let (bell, stop) = (Doorbell::default(), Arc::new(AtomicBool::new(false)));
    let (theirs, stopped) = (bell.clone(), stop.clone());
    let reader = std::thread::spawn(move || {
        let mut watch = Watch::default();
        while !stopped.load(Ordering::Relaxed) {
            match rx.pop_with(|sent| sent.elapsed()) {
                Some(time) => watch.add(time),
                None if spin => std::hint::spin_loop(),
                None => theirs.wait(Duration::from_millis(100), || rx.waiting() > 0),
            }
        }
        watch
    });
    let since = Instant::now();
    while since.elapsed().as_secs_f64() < options.seconds {
        std::thread::sleep(BETWEEN);
        tx.push_with(|sent| *sent = Instant::now());
        bell.ring();
    }
    stop.store(true, Ordering::Relaxed);
    bell.ring();
    let watch = reader.join().unwrap_or_default();
    let how = if spin { "spinning" } else { "parked" };
    watch.record("from thread to thread", format!("reader {how}, one per 2 ms"))
}

/// A window into a mailbox and out again, on one thread.
fn newest(options: &Options) -> Record {
    let spec = Spec::samples((0..64).map(|i| Channel::named(format!("{i}"))).collect(), 1e3, 64);
    let mut frame = spec.frame();
    frame.resize(64, 64);
    let (mut tx, mut rx) = mailbox([spec.frame(), spec.frame(), spec.frame()]);
    let work = || {
        tx.send_with(|slot| slot.copy_from(&frame));
        rx.take_with(|slot| slot.rows);
    };
    Watch::of(Pace::Hot, options.seconds, || {}, work).record("mailbox, in and out", "64 x 64")
}
