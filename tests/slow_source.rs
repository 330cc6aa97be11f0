//! A stream of one sample every two seconds, as regions of fMRI come, is a source like any other: no sample is missed, none
//! is taken for late, and the source is not taken for lost while it waits.
#![allow(clippy::unwrap_used)]

#[path = "support/lab.rs"]
mod lab;

use lab::Lab;
use saltatory::clock;
use saltatory::frame::{Channel, Flags, Payload};
use saltatory::ledger::{Cause, Counters};
use saltatory::sources::{self, Read};
use saltatory::wire::lsl::Outlet;
use std::sync::mpsc;
use std::time::Duration;

const RATE_HZ: f64 = 0.5;
const VOLUMES: usize = 4;

#[test]
fn a_volume_every_two_seconds() {
    let _lab = Lab::joined();
    let channels: Vec<Channel> = ["V1", "V2"].into_iter().map(Channel::named).collect();
    let (ready, listening) = mpsc::channel::<()>();
    let sender = std::thread::spawn(move || {
        let mut outlet = Outlet::numbers("volumes", "fMRI", "scanner", &channels, RATE_HZ).unwrap();
        listening.recv().unwrap();
        for i in 0..VOLUMES {
            std::thread::sleep(Duration::from_secs(2));
            outlet.push(&[i as f64, -(i as f64)], clock::now_s()).unwrap();
        }
        // The outlet stays until everything was read.
        let _ = listening.recv();
    });
    let kind = sources::KINDS.iter().find(|k| k.name == "lsl").unwrap();
    let mut source = kind.from_toml("name = \"volumes\"").unwrap().unit;
    let page = Counters::new("volumes");
    let spec = source.open(page.clone()).unwrap();
    assert_eq!((spec.payload, spec.rate_hz, spec.cols), (Payload::Samples, RATE_HZ, 2));
    ready.send(()).unwrap();
    let (mut block, mut seen) = (spec.frame(), Vec::new());
    while seen.len() < VOLUMES {
        match source.read(&mut block).unwrap() {
            Read::Filled => {
                assert!(!block.flags.has(Flags::GAP) || seen.is_empty(), "no sample is missing");
                seen.extend(
                    (0..block.rows).map(|r| (block.span.first + r as u64, block.row(r)[0])),
                );
            }
            Read::Idle => {}
            Read::End => panic!("it ended"),
        }
    }
    drop(ready);
    sender.join().unwrap();
    let want: Vec<(u64, f64)> = (0..VOLUMES).map(|i| (i as u64, i as f64)).collect();
    assert_eq!(seen, want);
    for cause in [Cause::Gap, Cause::Restart, Cause::Duplicate, Cause::ClockReset] {
        assert_eq!(page.get(cause), 0, "{cause:?}");
    }
}
