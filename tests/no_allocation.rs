//! The lane leaves the heap alone: thirty seconds of a live run, fed through LSL by a process of
//! its own, with every allocation on the lane's thread counted after a warm-up.
#![allow(unsafe_code, clippy::unwrap_used)]

#[path = "support/lab.rs"]
mod lab;

use lab::Lab;
use saltatory::control::run::{Options, run};
use saltatory::control::stop::Stop;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

const RUN_S: f64 = 32.0;
const WARM_UP: Duration = Duration::from_secs(5);
/// Ends before the run does, when the lane gives back its memory.
const WATCH: Duration = Duration::from_secs(25);

/// The thread that is watched, and how often it used the heap.
static WATCHED: AtomicI64 = AtomicI64::new(0);
static USES: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static THREAD: Cell<i64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static HEAP: Counting = Counting;

fn count() {
    let watched = WATCHED.load(Ordering::Relaxed);
    if watched != 0 && this_thread() == watched {
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
fn a_live_lane_does_not_use_the_heap() {
    this_counts();
    let lab = Lab::joined();
    lab.decoder("lane", SOURCES, VOTE);
    let play = lab.saltatory(&["play", "synthetic:1", "--name", "heap", "--wait"]);
    let config = saltatory::config::load(&lab.path("lane.toml"), &[]).unwrap();
    let watch = std::thread::spawn(|| {
        lab::until("the lane", || lane().is_some());
        std::thread::sleep(WARM_UP);
        WATCHED.store(lane().expect("the lane runs"), Ordering::Relaxed);
        std::thread::sleep(WATCH);
        WATCHED.store(0, Ordering::Relaxed);
        assert!(lane().is_some(), "the lane ended while it was watched");
    });
    let options = Options { for_s: Some(RUN_S), ..Default::default() };
    let report = run(config, &options, &Stop::default()).unwrap();
    watch.join().unwrap();
    let uses = USES.load(Ordering::Relaxed);
    play.kill();

    let page = |place: &str| report.ledger.iter().find(|p| p.place == place).unwrap();
    assert!(page("vote").passed_on > 200, "{} decisions", page("vote").passed_on);
    assert!(page("augmented").passed_on > 1, "{} epochs", page("augmented").passed_on);
    assert_eq!(uses, 0, "uses of the heap on the lane");
}

/// The counter counts, and only on the thread that is watched.
fn this_counts() {
    let used = || USES.swap(0, Ordering::Relaxed);
    WATCHED.store(this_thread(), Ordering::Relaxed);
    drop(std::hint::black_box(vec![1]));
    assert!(used() >= 2);
    WATCHED.store(-1, Ordering::Relaxed);
    drop(std::hint::black_box(vec![1]));
    assert_eq!(used(), 0);
    WATCHED.store(0, Ordering::Relaxed);
}

/// The kernel's number of the thread named `lane`.
fn lane() -> Option<i64> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks.flatten().find_map(|task| {
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        (name.trim() == "lane").then(|| task.file_name().to_str().unwrap().parse().unwrap())
    })
}
