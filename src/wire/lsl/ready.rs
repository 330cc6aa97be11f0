//! Waiting for several sockets at once.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use std::time::Duration;

/// Waits at most `wait_s` until one of the sockets has something to read, or is closed.
pub(super) fn readable<const N: usize>(sockets: [&dyn AsFd; N], wait_s: f64) -> [bool; N] {
    let mut all = sockets.map(|socket| PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN));
    let wait = Duration::from_secs_f64(wait_s.clamp(0.0, 1e6));
    let wait = Timespec::try_from(wait).unwrap_or_default();
    match poll(&mut all, Some(&wait)) {
        Ok(_) => all.map(|one| !one.revents().is_empty()),
        // Interrupted: the caller looks again.
        Err(_) => [false; N],
    }
}
