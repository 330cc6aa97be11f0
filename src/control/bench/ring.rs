//! How threads hand each other frames: what it costs, and how long it takes.

use super::{Options, Pace, Record, Watch};
use crate::control::progress;
use crate::frame::{Channel, Frame, Spec};
use crate::ring::{Doorbell, blocks, mailbox, ring};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Hand-overs between threads come at this pace, so that a parked reader is asleep.
const BETWEEN: Duration = Duration::from_millis(2);
/// How long a reader sleeps at most.
const NAP: Duration = Duration::from_millis(100);
const CHANNELS: usize = 64;

/// A case: its name, its shape, what measures it.
type Case = (&'static str, String, Box<dyn Fn(&Options) -> Watch>);

pub fn run(options: &Options) -> Vec<Record> {
    let mut cases: Vec<Case> = Vec::new();
    for rows in [1, 5, 50] {
        let shape = format!("{rows} x {CHANNELS}");
        cases.push(("inbox, in and out", shape, Box::new(move |o| block(o, rows))));
    }
    cases.push(("mailbox, in and out", format!("64 x {CHANNELS}"), Box::new(newest)));
    type HandOver = fn(&Options, bool) -> Watch;
    let ways: [(&str, HandOver); 3] = [
        ("inbox, from thread to thread", inbox),
        ("outbox, from thread to thread", outbox),
        ("mailbox, from thread to thread", mail),
    ];
    for (how, spin) in [("parked", false), ("spinning", true)] {
        for (name, measure) in ways {
            let shape = format!("5 x {CHANNELS}, reader {how}, one per 2 ms");
            cases.push((name, shape, Box::new(move |o| measure(o, spin))));
        }
    }
    cases.push(("doorbell, from ring to awake", "one per 2 ms".into(), Box::new(wake_up)));

    cases.retain(|(name, ..)| options.wants_case(name));
    let bar = progress(cases.len(), "ring");
    let mut records = Vec::new();
    for (name, shape, measure) in cases {
        records.push(measure(options).record(name, shape));
        bar.inc(1);
    }
    bar.finish_and_clear();
    records
}

/// A block of `rows` samples, and what it is.
fn samples(rows: usize) -> (Spec, Frame) {
    let channels = (0..CHANNELS).map(|i| Channel::named(i.to_string())).collect();
    let spec = Spec::samples(channels, 1e3, rows);
    let mut frame = spec.frame();
    frame.resize(rows, CHANNELS);
    (spec, frame)
}

/// A block into the inbox and out again, on one thread.
fn block(options: &Options, rows: usize) -> Watch {
    let (mut writer, mut reader) = blocks(256, 8192);
    let (spec, frame) = samples(rows);
    let mut out = spec.frame();
    let work = || assert!(writer.push(&frame) && reader.pop(&mut out), "there is room for one");
    Watch::of(Pace::Hot, options.seconds, || {}, work)
}

/// A window into a mailbox and out again, on one thread.
fn newest(options: &Options) -> Watch {
    let (spec, frame) = samples(64);
    let (mut tx, mut rx) = mailbox([spec.frame(), spec.frame(), spec.frame()]);
    let work = || {
        tx.send_with(|slot| slot.copy_from(&frame));
        rx.take_with(|slot| slot.rows);
    };
    Watch::of(Pace::Hot, options.seconds, || {}, work)
}

/// From the push of a block on one thread to the pop on another, copies included.
fn inbox(options: &Options, spin: bool) -> Watch {
    let (spec, mut frame) = samples(5);
    let (mut writer, mut reader) = blocks(256, 8192);
    let (started, mut out) = (Instant::now(), spec.frame());
    let send = move || {
        frame.span.arrived_s = started.elapsed().as_secs_f64();
        // A reader that gets no processor time leaves it full.
        writer.push(&frame);
    };
    let take = move |really: bool| match really {
        false => (reader.waiting() > 0).then_some(0.0),
        true => reader.pop(&mut out).then(|| started.elapsed().as_secs_f64() - out.span.arrived_s),
    };
    hand_over(options, spin, send, take)
}

/// From sending a frame to a sink on one thread to taking it on another, copies included.
fn outbox(options: &Options, spin: bool) -> Watch {
    let (spec, mut frame) = samples(5);
    let (mut tx, mut rx) = ring((0..16).map(|_| spec.frame()).collect());
    let (started, mut out) = (Instant::now(), spec.frame());
    let send = move || {
        frame.span.arrived_s = started.elapsed().as_secs_f64();
        tx.push_with(|slot| slot.copy_from(&frame));
    };
    let take = move |really: bool| match really {
        false => (rx.waiting() > 0).then_some(0.0),
        true => rx
            .pop_with(|slot| out.copy_from(slot))
            .map(|()| started.elapsed().as_secs_f64() - out.span.arrived_s),
    };
    hand_over(options, spin, send, take)
}

/// From sending a frame on one thread to taking it on another, copies included.
fn mail(options: &Options, spin: bool) -> Watch {
    let (spec, mut frame) = samples(5);
    let (mut tx, mut rx) = mailbox([spec.frame(), spec.frame(), spec.frame()]);
    let (started, mut out) = (Instant::now(), spec.frame());
    let send = move || {
        frame.span.arrived_s = started.elapsed().as_secs_f64();
        tx.send_with(|slot| slot.copy_from(&frame));
    };
    let take = move |really: bool| match really {
        false => rx.has_mail().then_some(0.0),
        true => rx
            .take_with(|slot| out.copy_from(slot))
            .map(|()| started.elapsed().as_secs_f64() - out.span.arrived_s),
    };
    hand_over(options, spin, send, take)
}

/// Calls `send` on this thread now and then, while another one waits for what comes and takes it. `take`
/// says how long what it took was under way; when it is not to take really, whether something is there.
fn hand_over(
    options: &Options,
    spin: bool,
    mut send: impl FnMut(),
    mut take: impl FnMut(bool) -> Option<f64> + Send + 'static,
) -> Watch {
    let (bell, stop) = (Doorbell::default(), Arc::new(AtomicBool::new(false)));
    let (theirs, stopped) = (bell.clone(), stop.clone());
    let reader = std::thread::spawn(move || {
        let mut watch = Watch::default();
        while !stopped.load(Ordering::Relaxed) {
            match take(true) {
                Some(time_s) => watch.add_s(time_s),
                None if spin => std::hint::spin_loop(),
                None => {
                    let take = std::cell::RefCell::new(&mut take);
                    theirs.wait(NAP, || take.borrow_mut()(false).is_some());
                }
            }
        }
        while let Some(time_s) = take(true) {
            watch.add_s(time_s);
        }
        watch
    });
    let since = Instant::now();
    while since.elapsed().as_secs_f64() < options.seconds {
        std::thread::sleep(BETWEEN);
        send();
        bell.ring();
    }
    std::thread::sleep(BETWEEN);
    stop.store(true, Ordering::Relaxed);
    bell.ring();
    reader.join().unwrap_or_default()
}

/// From a ring of the bell on one thread to the other one being awake, with nothing else to do.
fn wake_up(options: &Options) -> Watch {
    let rung_ns = Arc::new(AtomicU64::new(0));
    let (started, theirs) = (Instant::now(), rung_ns.clone());
    let now = move || (started.elapsed().as_nanos() as u64).max(1);
    let send = move || rung_ns.store(now(), Ordering::Release);
    let take = move |really: bool| {
        let sent = match really {
            true => theirs.swap(0, Ordering::AcqRel),
            false => theirs.load(Ordering::Acquire),
        };
        (sent > 0).then(|| now().saturating_sub(sent) as f64 * 1e-9)
    };
    hand_over(options, false, send, take)
}
