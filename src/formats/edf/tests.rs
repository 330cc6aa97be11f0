use super::*;
use crate::formats::Recording;
use proptest::prelude::*;

/// A header for signals given as (label, unit, physical, digital, samples in a record).
type Row<'a> = (&'a str, &'a str, (&'a str, &'a str), (&'a str, &'a str), usize);

fn header(bdf: bool, reserved: &str, records: i64, record_s: &str, rows: &[Row]) -> Vec<u8> {
    let mut out = if bdf { BDF_MAGIC.to_vec() } else { EDF_MAGIC.to_vec() };
    let mut put = |text: &str, width: usize| {
        out.extend(format!("{text:<width$}").bytes().take(width));
    };
    put("X X X X", 80);
    put("Startdate X X X X", 80);
    put("01.01.2001.01.01", 16);
    put(&(256 * (rows.len() + 1)).to_string(), 8);
    put(reserved, 44);
    put(&records.to_string(), 8);
    put(record_s, 8);
    put(&rows.len().to_string(), 4);
    rows.iter().for_each(|r| put(r.0, 16));
    rows.iter().for_each(|_| put("", 80));
    rows.iter().for_each(|r| put(r.1, 8));
    rows.iter().for_each(|r| put(r.2.0, 8));
    rows.iter().for_each(|r| put(r.2.1, 8));
    rows.iter().for_each(|r| put(r.3.0, 8));
    rows.iter().for_each(|r| put(r.3.1, 8));
    rows.iter().for_each(|_| put("", 80));
    rows.iter().for_each(|r| put(&r.4.to_string(), 8));
    rows.iter().for_each(|_| put("", 32));
    out
}

const EEG: Row = ("Fc5.", "uV", ("-100", "100"), ("-1000", "1000"), 4);
const NOTES: Row = ("EDF Annotations", "", ("-1", "1"), ("-32768", "32767"), 16);

fn note(text: &str) -> Vec<u8> {
    let mut out = text.as_bytes().to_vec();
    out.resize(32, 0);
    out
}

fn shorts(values: &[i16]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Two records of a second with a gap of 1.5 s between them; it starts 0.25 s into its second.
fn small() -> Vec<u8> {
    let mut out = header(false, "EDF+D", 2, "1", &[EEG, NOTES]);
    out.extend(shorts(&[1, 2, 3, -4]));
    out.extend(note("+0.25\x14\x14\0+0.75\x151.5\x14T1\x14ü\x14\0"));
    out.extend(shorts(&[5, 6, 7, 8]));
    out.extend(note("+2.75\x14\x14\0+3.00\x14T2\x14\0"));
    out
}

fn samples(recording: &Recording) -> &Samples {
    recording.samples().unwrap().1
}

#[test]
fn reads_a_discontinuous_file() {
    let got = parse(&small(), "x").unwrap();
    assert_eq!((got.format, got.warnings.len()), ("EDF+D", 0));
    let (stream, samples) = got.samples().unwrap();
    assert_eq!((stream.channels[0].label.as_str(), stream.rate_hz), ("Fc5", 4.0));
    assert_eq!(stream.channels[0].unit, "uV");
    let want = [0.1, 0.2, 0.3, -0.4, 0.5, 0.6, 0.7, 0.8];
    assert!(samples.values.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-12));
    let gap = Segment { first_row: 4, rows: 4, start_s: 2.5 };
    assert_eq!(samples.segments, [Segment { first_row: 0, rows: 4, start_s: 0.0 }, gap]);
    let Content::Markers(markers) = &got.streams[1].content else { panic!("no markers") };
    let got: Vec<_> = markers.iter().map(|m| (m.time_s, m.duration_s, m.text.as_str())).collect();
    assert_eq!(got, [(0.5, 1.5, "T1"), (0.5, 1.5, "ü"), (2.75, 0.0, "T2")]);
}

#[test]
fn separates_rates_and_types() {
    let fast = ("EOG left", "mV", ("-1", "1"), ("-1", "1"), 4);
    let slow = ("SpO2", "%", ("0", "100"), ("0", "100"), 1);
    let mut bytes = header(false, "", 1, "0.5", &[fast, slow, EEG]);
    bytes.extend(shorts(&[1, 2, 3, 4, 97, 10, 20, 30, 40]));
    let got = parse(&bytes, "x").unwrap();
    assert_eq!(got.format, "EDF");
    let names: Vec<_> = got.streams.iter().map(|s| (s.name.as_str(), s.rate_hz)).collect();
    assert_eq!(names, [("x at 8 Hz", 8.0), ("x at 2 Hz", 2.0)]);
    assert_eq!(samples(&got).row(2), [3.0, 3.0]);
    let kinds: Vec<_> =
        got.streams.iter().flat_map(|s| &s.channels).map(|c| c.kind.as_str()).collect();
    assert_eq!(kinds, ["EOG", "EEG", "MISC"]);
}

#[test]
fn finds_triggers_of_a_bdf() {
    let status = ("Status", "Boolean", ("-8388608", "8388607"), ("-8388608", "8388607"), 6);
    let mut bytes = header(true, "24BIT", 1, "1", &[status]);
    // The upper byte holds flags of the amplifier and is negative as a 24 bit number.
    for low in [1_u32, 1, 5, 5, 2, 0xFFFF] {
        bytes.extend(&(0xE0_0000 | low).to_le_bytes()[..3]);
    }
    let got = parse(&bytes, "x").unwrap();
    assert_eq!(samples(&got).values[2], f64::from(0xE0_0005 - 0x100_0000));
    let markers: Vec<_> = got.all_markers().iter().map(|m| (m.time_s, m.text.clone())).collect();
    assert_eq!(markers, [(2.0 / 6.0, "5".to_string()), (5.0 / 6.0, "65535".to_string())]);
    assert_eq!(got.streams[1].name, "x status");
}

#[test]
fn reads_what_is_left_of_a_cut_file() {
    let whole = small();
    let got = parse(&whole[..whole.len() - 3], "x").unwrap();
    assert_eq!(samples(&got).rows(), 4);
    assert!(got.warnings[0].contains("inside data record 2 (byte 808"), "{:?}", got.warnings);
    assert!(got.warnings[1].contains("claims 2 data records, the file holds 1"));
    let text = parse(&whole[..780], "x").unwrap_err().to_string();
    assert!(text.contains("no whole data record: 12 bytes from byte 768"), "{text}");
    let text = parse(&whole[..700], "x").unwrap_err().to_string();
    assert!(text.contains("768 bytes of header, the file has 700"), "{text}");
    assert!(parse(&whole[..100], "x").unwrap_err().to_string().contains("100 of 256 bytes"));
}

#[test]
fn believes_no_absurd_header() {
    let mut bytes = small();
    bytes[252..256].copy_from_slice(b"9999");
    assert!(parse(&bytes, "x").unwrap_err().to_string().contains("claims 9999 signals"));
    bytes[252..256].copy_from_slice(b"-1  ");
    assert!(parse(&bytes, "x").unwrap_err().to_string().contains("\"-1\" (byte 252)"));
    let mut bytes = small();
    bytes[236..244].copy_from_slice(b"99999999");
    assert_eq!(samples(&parse(&bytes, "x").unwrap()).rows(), 8);
    let huge = ("A", "uV", ("-1", "1"), ("-1", "1"), 99_999_999);
    let mut bytes = header(false, "", 99_999_999, "1", &[huge; 20]);
    bytes.extend([0; 100]);
    assert!(parse(&bytes, "x").unwrap_err().to_string().contains("no whole data record"));
    let mut bytes = small();
    bytes[244..252].copy_from_slice(b"nan     ");
    assert!(parse(&bytes, "x").unwrap_err().to_string().contains("(byte 244)"));
}

#[test]
fn warns_of_annotations_that_make_no_sense() {
    let mut bytes = small();
    let at = 768 + 8;
    bytes[at..at + 32].copy_from_slice(&note("+0\x14\x14\0bogus\x14T1\x14\0+1\x14ok\x14\0"));
    let got = parse(&bytes, "x").unwrap();
    assert_eq!(got.all_markers()[0].text, "ok");
    assert!(got.warnings[0].contains("1 annotations could not be read"), "{:?}", got.warnings);
    assert!(got.warnings[0].contains("byte 781"), "{:?}", got.warnings);
}

/// What must hold of anything that was read: segments cover the rows, rows fit the values.
fn check(recording: &Recording) {
    for stream in &recording.streams {
        if let Content::Samples(samples) = &stream.content {
            assert_eq!(samples.values.len(), samples.rows() * samples.cols);
            assert_eq!(samples.segments.iter().map(|s| s.rows).sum::<usize>(), samples.rows());
        }
    }
    let _ = recording.describe().to_string();
}

proptest! {
    #[test]
    fn survives_any_bytes(tail in prop::collection::vec(any::<u8>(), 0..1200), bdf: bool) {
        let mut bytes = if bdf { BDF_MAGIC.to_vec() } else { EDF_MAGIC.to_vec() };
        bytes.extend(&tail);
        let _ = parse(&tail, "x");
        let _ = parse(&bytes, "x");
    }

    #[test]
    fn survives_mutations(
        cut in 0_usize..900,
        changes in prop::collection::vec((0_usize..900, any::<u8>()), 0..8),
        digits in prop::collection::vec((0_usize..900, b'0'..=b'9'), 0..8),
    ) {
        let mut bytes = small();
        for (at, byte) in changes.into_iter().chain(digits) {
            if let Some(b) = bytes.get_mut(at) { *b = byte; }
        }
        let whole = parse(&bytes, "x");
        bytes.truncate(cut);
        for recording in [whole, parse(&bytes, "x")].into_iter().flatten() {
            check(&recording);
        }
    }
}
