//! Wakes the threads of liblsl that send, when a sample comes, instead of letting them look once a
//! millisecond.
//!
//! The liblsl 1.13 that the `lsl` crate bundles waits on an empty sample queue by sleeping 1 ms at a
//! time, in every connection of an outlet: 0.5 ms of delay on average and more than 1 ms at worst
//! before a decision leaves, and a thousand wake-ups a second. (liblsl 1.14 and later wait on a
//! condition variable; our inlets have no such queue.) The linker puts the two functions
//! here in place of its own (`--wrap`, see `build.rs`); the queue itself stays liblsl's. Where that
//! is not done, nothing refers to them and liblsl works as it always did. On Linux every program that
//! links this library needs those linker arguments; `fuzz/Cargo.toml` shows how another crate gets them.

#![cfg(target_os = "linux")]
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Queues share this many waiting places; a wake-up that was meant for another is harmless.
const PLACES: usize = 64;
/// A wait is never longer than this at a stretch.
const LONGEST: Duration = Duration::from_secs(1);

/// Where readers of a queue wait.
struct Place {
    readers: AtomicUsize,
    lock: Mutex<()>,
    came: Condvar,
}

static ALL: [Place; PLACES] =
    [const { Place { readers: AtomicUsize::new(0), lock: Mutex::new(()), came: Condvar::new() } };
        PLACES];

/// The place of the queue at this address.
fn place(queue: *const c_void) -> &'static Place {
    let address = queue as usize as u64;
    &ALL[(address.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58) as usize % PLACES]
}

// `lsl::consumer_queue` is only ever known by its address. A `sample_p` is a pointer-sized class with
// a destructor, so it is returned through an address that the caller gives as first argument
// (Itanium C++ ABI, which all Linux targets follow).
unsafe extern "C-unwind" {
    #[link_name = "__real__ZN3lsl14consumer_queue11push_sampleERKN8lslboost13intrusive_ptrINS_6sampleEEE"]
    fn real_push(queue: *mut c_void, sample: *const c_void);
    #[link_name = "__real__ZN3lsl14consumer_queue10pop_sampleEd"]
    fn real_pop(sample: *mut c_void, queue: *mut c_void, timeout_s: f64) -> *mut c_void;
    #[link_name = "_ZN3lsl14consumer_queue5emptyEv"]
    fn empty(queue: *const c_void) -> bool;
}

/// `void consumer_queue::push_sample(const sample_p &)`: pushes, then wakes who waits.
///
/// # Safety
/// Only liblsl calls it, with a live queue and a live `sample_p`.
#[unsafe(export_name = "__wrap__ZN3lsl14consumer_queue11push_sampleERKN8lslboost13intrusive_ptrINS_6sampleEEE")]
unsafe extern "C-unwind" fn push(queue: *mut c_void, sample: *const c_void) {
    // SAFETY: the arguments are passed on as they came.
    unsafe { real_push(queue, sample) };
    let place = place(queue);
    // Publish first and look second, as the reader does, so that one of us sees the other.
    fence(Ordering::SeqCst);
    if place.readers.load(Ordering::Relaxed) > 0 {
        drop(place.lock.lock().unwrap_or_else(PoisonError::into_inner));
        place.came.notify_all();
    }
}

/// `sample_p consumer_queue::pop_sample(double timeout)`: waits for a push, then pops.
///
/// # Safety
/// Only liblsl calls it, with a live queue and room for a `sample_p`.
#[unsafe(export_name = "__wrap__ZN3lsl14consumer_queue10pop_sampleEd")]
unsafe extern "C-unwind" fn pop(
    sample: *mut c_void,
    queue: *mut c_void,
    timeout_s: f64,
) -> *mut c_void {
    // SAFETY: the queue is live; looking whether it is empty is what its reader may do.
    let nothing = || unsafe { empty(queue) };
    if timeout_s > 0.0 && nothing() {
        wait(place(queue), timeout_s, nothing);
    }
    // SAFETY: the arguments are passed on as they came; with 0 it does not wait.
    unsafe { real_pop(sample, queue, 0.0) }
}

/// Waits until something came or the time is over.
fn wait(place: &Place, timeout_s: f64, nothing: impl Fn() -> bool) {
    let end =
        Duration::try_from_secs_f64(timeout_s).ok().and_then(|t| Instant::now().checked_add(t));
    let mut guard = place.lock.lock().unwrap_or_else(PoisonError::into_inner);
    place.readers.fetch_add(1, Ordering::Relaxed);
    fence(Ordering::SeqCst);
    while nothing() {
        let left = end.map_or(LONGEST, |end| end.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            break;
        }
        let woken = place.came.wait_timeout(guard, left.min(LONGEST));
        guard = woken.unwrap_or_else(PoisonError::into_inner).0;
    }
    place.readers.fetch_sub(1, Ordering::Relaxed);
}
