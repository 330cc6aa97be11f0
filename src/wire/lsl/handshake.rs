//! What is said on a new connection before samples flow, in protocol 1.10: a request with headers,
//! an answer with headers, and two samples that both sides know.

use super::discovery::Found;
use std::fmt::Write as _;

/// Seconds of data that the sender keeps for us while we are busy, ...
const BUFFER_S: f64 = 360.0;
/// ... for an irregular stream as if it had this rate, and at least so many samples.
const IRREGULAR_HZ: f64 = 100.0;
const LEAST_SAMPLES: f64 = 100.0;
/// Longer headers are refused.
const MAX_HEADER: usize = 16 << 10;

const LITTLE: &str = "1234";
const BIG: &str = "4321";
const NATIVE: &str = if cfg!(target_endian = "little") { LITTLE } else { BIG };

/// What the sender answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Not all of it has come.
    Part,
    /// Samples follow behind `length` bytes; `swapped` says that their byte order is not ours.
    Agreed {
        /// See above.
        length: usize,
        /// See above.
        swapped: bool,
    },
    /// The stream is not there any more: nothing is wrong but the time.
    Gone,
    /// We cannot understand each other.
    Refused(String),
}

/// The request for the samples of a stream.
pub(super) fn request(found: &Found) -> String {
    let facts = &found.facts;
    // What a stream says of itself must not become a header of its own.
    let line = |text: &str| text.replace(|c: char| c.is_control(), " ");
    let rate_hz = if facts.rate_hz > 0.0 { facts.rate_hz } else { IRREGULAR_HZ };
    let samples = (rate_hz * BUFFER_S).clamp(LEAST_SAMPLES, f64::from(i32::MAX)) as u32;
    let mut text = format!("LSL:streamfeed/110 {}\r\n", line(&facts.uid));
    let _ = write!(
        text,
        "Native-Byte-Order: {NATIVE}\r\n\
         Endian-Performance: 1000000000\r\n\
         Has-IEEE754-Floats: 1\r\n\
         Supports-Subnormals: 1\r\n"
    );
    // For texts it would be the size of a C++ object, and a sender with another size would fall back
    // to protocol 1.00; left out, it is taken to be the sender's own.
    if let Some(width) = facts.layout().width() {
        let _ = write!(text, "Value-Size: {width}\r\n");
    }
    let _ = write!(
        text,
        "Data-Protocol-Version: 110\r\n\
         Max-Buffer-Length: {samples}\r\n\
         Max-Chunk-Length: 0\r\n\
         Hostname: {}\r\n\
         Source-Id: {}\r\n\
         Session-Id: {}\r\n\r\n",
        line(&facts.host),
        line(&facts.source_id),
        line(&found.session),
    );
    text
}

/// Reads the answer to a request for the stream `uid`. `ended` says that nothing more will come.
pub fn answer(bytes: &[u8], uid: &str, ended: bool) -> Answer {
    let header = &bytes[..bytes.len().min(MAX_HEADER)];
    let Some(length) = find(header, b"\r\n\r\n").map(|at| at + 4) else {
        return match () {
            // A refusal is one line, without an end.
            () if ended => status(&String::from_utf8_lossy(header)).unwrap_or(Answer::Gone),
            () if header.len() < MAX_HEADER => Answer::Part,
            () => Answer::Refused("its answer has no end".into()),
        };
    };
    let text = String::from_utf8_lossy(&header[..length]);
    if let Some(refusal) = status(&text) {
        return refusal;
    }
    let mut swapped = false;
    for line in text.lines().skip(1) {
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.split(';').next().unwrap_or_default().trim();
        match key.trim().to_ascii_lowercase().as_str() {
            "uid" if !value.eq_ignore_ascii_case(uid) => return Answer::Gone,
            "byte-order" => match value {
                LITTLE | BIG => swapped = value != NATIVE,
                // liblsl 1.13 says so with protocol 1.00, which is refused below.
                "0" => swapped = false,
                other => return Answer::Refused(format!("it sends bytes in the order {other}")),
            },
            "data-protocol-version" if value != "110" => {
                return Answer::Refused(format!("it speaks protocol {value}; 110 is understood"));
            }
            _ => {}
        }
    }
    Answer::Agreed { length, swapped }
}

/// What the first line of an answer says against us, if anything.
fn status(text: &str) -> Option<Answer> {
    let line = text.lines().next().unwrap_or_default();
    let refused = |why: &str| Some(Answer::Refused(format!("{why}: `{line:.100}`")));
    let mut words = line.split_ascii_whitespace();
    let version = words.next().and_then(|w| w.strip_prefix("LSL/")?.parse::<u32>().ok());
    let status = words.next().and_then(|w| w.parse::<u32>().ok());
    match (version, status) {
        (Some(version), _) if version / 100 > 1 => refused("its protocol is too new"),
        (Some(_), Some(404 | 300..400)) => Some(Answer::Gone),
        (Some(_), Some(400..)) => refused("it refuses"),
        (Some(_), Some(_)) => None,
        _ if line.is_empty() => Some(Answer::Gone),
        _ => refused("its answer makes no sense"),
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|w| w == what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::lsl::{Format, StreamFacts};
    use proptest::prelude::*;

    const AGREED: &str = "LSL/110 200 OK\r\nUID: Ab-1\r\nByte-Order: 1234\r\n\
                          Suppress-Subnormals: 0\r\nData-Protocol-Version: 110\r\n\r\n";

    fn answered(text: &str) -> Answer {
        answer(text.as_bytes(), "ab-1", false)
    }

    fn found(format: Format, rate_hz: f64) -> Found {
        Found {
            facts: StreamFacts {
                name: "a".into(),
                kind: "EEG".into(),
                rate_hz,
                format,
                channel_count: 3,
                channels: Vec::new(),
                source_id: "x\r\nMax-Buffer-Length: 0".into(),
                uid: "ab-1".into(),
                host: "vm".into(),
            },
            session: "lab".into(),
            data: "127.0.0.1:1".parse().unwrap(),
            service: "127.0.0.1:2".parse().unwrap(),
        }
    }

    #[test]
    fn a_request_says_what_we_can() {
        let text = request(&found(Format::Int16, 100.0));
        let lines: Vec<_> = text.split("\r\n").collect();
        assert_eq!(lines[0], "LSL:streamfeed/110 ab-1");
        assert_eq!(lines[lines.len() - 2..], ["", ""]);
        for line in ["Value-Size: 2", "Max-Buffer-Length: 36000", "Session-Id: lab"] {
            assert!(lines.contains(&line), "{text}");
        }
        assert!(lines.contains(&"Source-Id: x  Max-Buffer-Length: 0"), "{text}");
        let text = request(&found(Format::String, 0.0));
        assert!(!text.contains("Value-Size") && text.contains("Max-Buffer-Length: 36000\r\n"));
        assert!(request(&found(Format::Int8, 1e7)).contains("Max-Buffer-Length: 2147483647\r\n"));
        // With none a sender of liblsl sends nothing.
        assert!(request(&found(Format::Int8, 1e-3)).contains("Max-Buffer-Length: 100\r\n"));
    }

    #[test]
    fn an_answer_may_come_in_parts() {
        let bytes = [AGREED.as_bytes(), b"\x01\r\n\r\n"].concat();
        for length in 0..bytes.len() {
            let got = answer(&bytes[..length], "ab-1", false);
            if length < AGREED.len() {
                assert_eq!(got, Answer::Part, "{length}");
            } else {
                let swapped = cfg!(target_endian = "big");
                assert_eq!(got, Answer::Agreed { length: AGREED.len(), swapped }, "{length}");
            }
        }
    }

    #[test]
    fn byte_orders_are_told_apart() {
        for (order, little) in [("1234", true), ("4321", false)] {
            let text = AGREED.replace("1234", &format!(" {order} ; a remark"));
            let Answer::Agreed { swapped, .. } = answered(&text) else { panic!("{text}") };
            assert_eq!(swapped, little != cfg!(target_endian = "little"));
        }
        let native = answered(&AGREED.replace("1234", "0"));
        assert!(matches!(native, Answer::Agreed { swapped: false, .. }));
        assert!(matches!(answered(&AGREED.replace("1234", "2134")), Answer::Refused(_)));
    }

    #[test]
    fn who_is_gone_is_told_from_who_refuses() {
        assert_eq!(answered(&AGREED.replace("Ab-1", "ab-2")), Answer::Gone);
        assert_eq!(answered(&AGREED.replace("200 OK", "302 Found")), Answer::Gone);
        for (text, why) in [
            (AGREED.replace("200 OK", "500 Oh"), "it refuses: `LSL/110 500 Oh`"),
            (AGREED.replace("LSL/110", "LSL/200"), "its protocol is too new"),
            (AGREED.replace("LSL/110", "HTTP/1.1"), "its answer makes no sense"),
            (AGREED.replace("Version: 110", "Version: 100"), "it speaks protocol 100"),
            ("\0".repeat(MAX_HEADER), "its answer has no end"),
        ] {
            let got = answered(&text);
            assert!(matches!(&got, Answer::Refused(w) if w.contains(why)), "{got:?}");
        }
        // A refusal of liblsl is a line without an end, and then the end of the connection.
        let ended = |text: &str| answer(text.as_bytes(), "ab-1", true);
        assert_eq!(ended("LSL/110 404 Not found"), Answer::Gone);
        assert_eq!(ended(""), Answer::Gone);
        assert_eq!(ended("LSL/110 200 OK\r\n"), Answer::Gone);
        assert!(matches!(ended("LSL/110 505 Version not supported"), Answer::Refused(_)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer(bytes: Vec<u8>, ended: bool) {
            let lines = [b"LSL/110 200 OK\r\n".as_slice(), &bytes, b"\r\n\r\n"].concat();
            for bytes in [&bytes, &lines] {
                if let Answer::Agreed { length, .. } = answer(bytes, "ab-1", ended) {
                    prop_assert!(length <= bytes.len());
                }
            }
        }
    }
}
