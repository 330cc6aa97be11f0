//! The lanes leave the heap alone: every allocation on their threads is counted after a warm-up, in live
//! runs of some length. One is fed through LSL by a process of its own, one is a whole-head MEG, one never
//! sleeps.
#![allow(unsafe_code, clippy::unwrap_used)]

#[path = "support/doubles.rs"]
mod doubles;
#[path = "support/lab.rs"]
mod lab;

use doubles::{decide, load, paced, page, samples};
use lab::Lab;
use saltatory::config::Config;
use saltatory::control::run::{Options, Report, run};
use saltatory::control::stop::Stop;
use saltatory::engine::balance::faults;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const WARM_UP: Duration = Duration::from_secs(5);
/// The watch ends so long before the run does, when the lanes give back their memory.
const END: Duration = Duration::from_secs(2);

/// The threads that are watched, and how often they used the heap.
static WATCHED: [AtomicI64; 2] = [const { AtomicI64::new(0) }; 2];
static USES: AtomicU64 = AtomicU64::new(0);

/// Lanes are found by name in the whole process, so only one run at a time.
static TURN: Mutex<()> = Mutex::new(());

thread_local! {
    static THREAD: Cell<i64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static HEAP: Counting = Counting;

fn count() {
    let is_watched = |watched: &AtomicI64| match watched.load(Ordering::Relaxed) {
        0 => false,
        thread => thread == this_thread(),
    };
    if WATCHED.iter().any(is_watched) {
        USES.fetch_add(1, Ordering::Relaxed);
    }
}

/// The kernel's number of this thread, asked once.
fn this_thread() -> i64 {
    // SAFETY: the call has no arguments and cannot fail.
    let ask = || unsafe { libc::syscall(libc::SYS_gettid) };
    THREAD
        .try_with(|thread| {
            if thread.get() == 0 {
                thread.set(ask());
            }
            thread.get()
        })
        .unwrap_or_else(|_| ask())
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// More than the small decoder: a branch of epochs cut at the markers, and a vote.
const SOURCES: &str = r#"
[[source]]
kind = "lsl"
id = "eeg"
name = "heap"
wait_s = 60.0

[[source]]
kind = "lsl"
id = "markers"
name = "heap-markers"
wait_s = 60.0

[[stage]]
kind = "average"
from = "eeg"

[[stage]]
kind = "notch"
freq_hz = 50.0

[[stage]]
kind = "event"
from = ["notch", "markers"]
classes = { left = "T1", right = "T2" }
start_s = 0.5
length_s = 1.0

[[stage]]
kind = "augmented"
order = 2
lag = 4
"#;

const VOTE: &str = "[[stage]]\nkind = \"vote\"\nwindows = 5\n";

#[test]
fn a_live_lane_and_its_inlet_do_not_use_the_heap() {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    this_counts();
    let lab = Lab::joined();
    lab.decoder("lane", SOURCES, VOTE);
    let play = lab.saltatory(&["play", "synthetic:1", "--name", "heap", "--wait"]);
    let config = saltatory::config::load(&lab.path("lane.toml"), &[]).unwrap();
    let report = watched(config, 32, &["lane", "in:eeg"]);
    play.kill();
    drop(turn);
    assert!(page(&report, "vote").passed_on > 200, "{} decisions", page(&report, "vote").passed_on);
    let epochs = page(&report, "augmented").passed_on;
    assert!(epochs > 1, "{epochs} epochs");
}

#[test]
fn a_whole_head_meg_does_not_use_the_heap_on_its_lanes() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut config = load(
        r#"
[[source]]
kind = "synthetic"
id = "meg"

[[stage]]
kind = "bandpass"
low_hz = 1.0
high_hz = 100.0

[[stage]]
kind = "notch"
freq_hz = 50.0

[[stage]]
kind = "window"
length_s = 1.0
step_s = 0.05

[[stage]]
kind = "covariance"

[[stage]]
kind = "vote"
id = "slow"
lane = "worker"
"#,
    );
    config.sources[0].unit = paced(samples(306, 5000.0));
    config.stages[4].unit = decide(|_| ());
    let report = watched(config, 20, &["lane", "lane:slow"]);
    let [window, slow] = ["window", "slow"].map(|id| page(&report, id));
    assert!(window.passed_on > 100 && slow.passed_on > 50, "{window:?} {slow:?}");
}

#[test]
fn a_lane_that_never_sleeps_does_not_use_the_heap() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let lab = Lab::new();
    let source = "[realtime]\nwait = \"spin\"\n[[source]]\nkind = \"synthetic\"\nid = \"eeg\"\n";
    lab.decoder("spin", source, "");
    let config = saltatory::config::load(&lab.path("spin.toml"), &[]).unwrap();
    let report = watched(config, 10, &["lane"]);
    assert!(page(&report, "mdm").passed_on > 50);
}

/// Runs `config` for `run_s` seconds; after a warm-up the threads named `lanes` must not use the heap.
fn watched(config: Config, run_s: u64, lanes: &'static [&'static str]) -> Report {
    let watch = std::thread::spawn(move || {
        lab::until("the lanes", || lanes.iter().all(|lane| thread(lane).is_some()));
        std::thread::sleep(WARM_UP);
        for (watched, lane) in WATCHED.iter().zip(lanes) {
            watched.store(thread(lane).expect("the lane runs"), Ordering::Relaxed);
        }
        std::thread::sleep(Duration::from_secs(run_s) - WARM_UP - END);
        WATCHED.iter().for_each(|watched| watched.store(0, Ordering::Relaxed));
        assert!(
            lanes.iter().all(|lane| thread(lane).is_some()),
            "a lane ended while it was watched"
        );
    });
    USES.store(0, Ordering::Relaxed);
    let options = Options { for_s: Some(run_s as f64), ..Default::default() };
    let report = run(config, &options, &Stop::default()).unwrap();
    watch.join().unwrap();
    assert_eq!(faults(&report.balance), [""; 0]);
    assert_eq!(USES.load(Ordering::Relaxed), 0, "uses of the heap on the lanes");
    report
}

/// The counter counts, and only on the thread that is watched.
fn this_counts() {
    let used = || USES.swap(0, Ordering::Relaxed);
    for watched in &WATCHED {
        watched.store(this_thread(), Ordering::Relaxed);
        drop(std::hint::black_box(vec![1]));
        assert!(used() >= 2);
        watched.store(-1, Ordering::Relaxed);
        drop(std::hint::black_box(vec![1]));
        assert_eq!(used(), 0);
        watched.store(0, Ordering::Relaxed);
    }
}

/// The kernel's number of the thread named `name`.
fn thread(name: &str) -> Option<i64> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks.flatten().find_map(|task| {
        let comm = std::fs::read_to_string(task.path().join("comm")).ok()?;
        (comm.trim() == name).then(|| task.file_name().to_str().unwrap().parse().unwrap())
    })
}
