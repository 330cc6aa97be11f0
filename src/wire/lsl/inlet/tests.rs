use super::*;
use crate::wire::lsl::Format;
use crate::wire::lsl::fake::{self, Value};

/// Long enough for any machine; what is there is there sooner.
const LONG_S: f64 = 20.0;

fn layout(format: Format, swapped: bool) -> Layout {
    Layout { format, channels: 2, rate_hz: 100.0, swapped }
}

/// A sample of a stream of numbers: its number `k`, and `-k`.
fn numbered(layout: &Layout, k: f64) -> Vec<u8> {
    fake::sample(layout, Some(1000.0 + k), &[Value::Number(k), Value::Number(-k)])
}

fn open(found: &Found) -> Inlet {
    Inlet::open(found).unwrap().expect("a sender").0
}

/// Pulls the samples `from..to` as [`numbered`] makes them.
fn expect_samples(inlet: &mut Inlet, from: i32, to: i32) {
    for k in from..to {
        let k = f64::from(k);
        assert_eq!(inlet.pull(LONG_S), Pulled::Sample(1000.0 + k));
        let mut numbers = Vec::new();
        inlet.numbers(&mut numbers);
        assert_eq!(numbers, [k, -k]);
    }
}

#[test]
fn samples_come_whole_however_the_network_cuts_them() {
    for (busy, swapped) in [(false, false), (true, true)] {
        for size in [1, 2, 3, 7, 64, 1000] {
            let layout = layout(Format::Int32, swapped);
            let found = fake::sender("127.0.0.1", layout, move |mut stream| {
                stream.set_nodelay(true).unwrap();
                let mut bytes = fake::agreement(&layout, "UID-1");
                bytes.extend((0..8).flat_map(|k| numbered(&layout, f64::from(k))));
                for piece in bytes.chunks(size) {
                    stream.write_all(piece).unwrap();
                }
            });
            let mut inlet = open(&found);
            inlet.set_busy(busy).unwrap();
            expect_samples(&mut inlet, 0, 8);
            assert_eq!(inlet.pull(LONG_S), Pulled::Lost);
        }
    }
}

#[test]
fn what_came_at_once_is_taken_without_waiting() {
    let layout = layout(Format::Float32, false);
    let found = fake::sender("127.0.0.1", layout, move |mut stream| {
        stream.write_all(&fake::agreement(&layout, "uid-1")).unwrap();
        let mut hello = [0];
        stream.read_exact(&mut hello).unwrap();
        let chunk: Vec<u8> = (0..5).flat_map(|k| numbered(&layout, f64::from(k))).collect();
        stream.write_all(&chunk).unwrap();
        stream.read_exact(&mut hello).unwrap_err();
    });
    let mut inlet = open(&found);
    assert_eq!(inlet.pull(0.0), Pulled::Nothing);
    assert_eq!(inlet.pull(0.001), Pulled::Nothing);
    inlet.stream.write_all(b"!").unwrap();
    assert_eq!(inlet.pull(LONG_S), Pulled::Sample(1000.0));
    for k in 1..5 {
        assert_eq!(inlet.pull(0.0), Pulled::Sample(1000.0 + f64::from(k)));
    }
    assert_eq!(inlet.pull(0.0), Pulled::Nothing);
}

#[test]
fn descriptions_and_clocks_are_read_over_both_protocols() {
    for address in ["127.0.0.1", "::1"] {
        let layout = Layout { rate_hz: 0.0, ..layout(Format::String, false) };
        let found = fake::sender(address, layout, move |mut stream| {
            let mut bytes = fake::agreement(&layout, "uid-1");
            let values = ["Grüße", "second"].map(|t| Value::Text(t.as_bytes().to_vec()));
            bytes.extend(fake::sample(&layout, Some(5.0), &values));
            bytes.extend(fake::sample(&layout, None, &values));
            stream.write_all(&bytes).unwrap();
        });
        let (mut inlet, facts) = Inlet::open(&found).unwrap().expect("a sender");
        let labels: Vec<_> = facts.channels.iter().map(|c| c.label.as_str()).collect();
        assert_eq!(labels, ["first", "2"]);
        let offset_s = inlet.clock_offset_s().expect("an offset");
        assert!((offset_s + 100.0).abs() < 0.1, "{offset_s}");
        for _ in 0..2 {
            assert_eq!(inlet.pull(LONG_S), Pulled::Sample(5.0));
            let mut text = String::new();
            inlet.text(&mut text);
            assert_eq!(text, "Grüße");
        }
    }
}

#[test]
fn a_first_sample_without_a_time_was_taken_when_it_came() {
    let layout = layout(Format::Int8, false);
    let value = [Value::Number(1.0), Value::Number(2.0)];
    let found = fake::sender("127.0.0.1", layout, move |mut stream| {
        stream.write_all(&fake::agreement(&layout, "uid-1")).unwrap();
        stream.write_all(&fake::sample(&layout, None, &value)).unwrap();
    });
    let mut inlet = open(&found);
    let Pulled::Sample(stamp_s) = inlet.pull(LONG_S) else { panic!("no sample") };
    let age_s = clock::now_s() - (stamp_s + inlet.clock_offset_s().unwrap());
    assert!((-0.2..20.0).contains(&age_s), "{age_s}");
}

#[test]
fn nonsense_and_a_reset_end_the_connection() {
    let layout = layout(Format::Int16, false);
    let found = fake::sender("127.0.0.1", layout, move |mut stream| {
        let mut bytes = fake::agreement(&layout, "uid-1");
        bytes.extend(numbered(&layout, 0.0));
        bytes.push(77);
        stream.write_all(&bytes).unwrap();
        let _ = stream.read(&mut [0]);
    });
    let mut inlet = open(&found);
    expect_samples(&mut inlet, 0, 1);
    assert_eq!(inlet.pull(LONG_S), Pulled::Lost);
    assert_eq!(inlet.pull(LONG_S), Pulled::Lost, "and it stays so");

    let found = fake::sender("127.0.0.1", layout, move |mut stream| {
        stream.write_all(&fake::agreement(&layout, "uid-1")).unwrap();
        stream.read_exact(&mut [0]).unwrap();
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    });
    let mut inlet = open(&found);
    inlet.stream.write_all(b"!").unwrap();
    assert_eq!(inlet.pull(LONG_S), Pulled::Lost);
}

#[test]
fn who_cannot_be_understood_is_refused_and_who_is_gone_is_not_there() {
    let layout = layout(Format::Float32, false);
    let answered = |bytes: Vec<u8>| {
        let found = fake::sender("127.0.0.1", layout, move |mut stream| {
            // Who was understood does not listen any more.
            let _ = stream.write_all(&bytes);
        });
        Inlet::open(&found)
    };
    let agreement = fake::agreement(&layout, "uid-1");
    assert!(answered(agreement.clone()).unwrap().is_some());
    for gone in [
        agreement[..agreement.len() - 1].to_vec(),
        fake::agreement(&layout, "uid-2"),
        b"LSL/110 404 Not found".to_vec(),
        Vec::new(),
    ] {
        assert!(answered(gone).unwrap().is_none());
    }
    let refused = |bytes| answered(bytes).err().expect("a refusal").to_string();
    let other = Layout { format: Format::Int32, ..layout };
    let says = "its samples are not what it said";
    assert!(refused(fake::agreement(&other, "uid-1")).contains(says));
    let other = Layout { channels: 3, ..layout };
    assert!(refused(fake::agreement(&other, "uid-1")).contains(says));
    let mut one_bit = agreement;
    let last = one_bit.len() - 1;
    one_bit[last] ^= 1;
    assert!(refused(one_bit).contains(says));
    assert!(refused(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()).contains("makes no sense"));
    assert!(refused(vec![b'x'; 1 << 20]).contains("no end"));
}

#[test]
fn a_sender_that_trickles_does_not_hold_up_the_caller() {
    let layout = Layout { channels: 4000, ..layout(Format::Double64, false) };
    let found = fake::sender("127.0.0.1", layout, move |mut stream| {
        stream.write_all(&fake::agreement(&layout, "uid-1")).unwrap();
        let byte_by_byte = std::iter::once(1).chain(std::iter::repeat(0));
        for byte in byte_by_byte {
            if stream.write_all(&[byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let mut inlet = open(&found);
    for busy in [false, true] {
        inlet.set_busy(busy).unwrap();
        assert_eq!(inlet.pull(0.05), Pulled::Nothing);
    }
}

#[test]
fn a_description_that_breaks_off_is_none() {
    for (said, there) in [("<info><desc>", false), ("", false), ("<info></info>\n\n", true)] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sender = std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut request = [0; 14];
            stream.read_exact(&mut request).unwrap();
            assert_eq!(&request, b"LSL:fullinfo\r\n");
            stream.write_all(said.as_bytes()).unwrap();
        });
        assert_eq!(full_description(address).is_ok(), there, "{said}");
        sender.join().unwrap();
    }
}
