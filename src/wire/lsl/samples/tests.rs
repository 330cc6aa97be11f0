use super::*;
use crate::wire::lsl::fake::{self, Value};
use proptest::prelude::*;

const FORMATS: [Format; 7] = [
    Format::Float32,
    Format::Double64,
    Format::String,
    Format::Int8,
    Format::Int16,
    Format::Int32,
    Format::Int64,
];

fn layout(format: Format, channels: usize, swapped: bool) -> Layout {
    Layout { format, channels, rate_hz: 100.0, swapped }
}

/// What a reader makes of `bytes` that come in pieces of the given lengths, over and over: time,
/// numbers and first text of each sample.
fn read(reader: &mut Reader, bytes: &[u8], pieces: &[usize]) -> Vec<(f64, Vec<f64>, String)> {
    let mut samples = Vec::new();
    let (mut rest, mut pieces) = (bytes, pieces.iter().cycle());
    loop {
        while let Some(stamp_s) = reader.next_sample().unwrap() {
            let (mut numbers, mut text) = (Vec::new(), String::new());
            reader.numbers(&mut numbers);
            reader.text(&mut text);
            samples.push((stamp_s, numbers, text));
        }
        if rest.is_empty() {
            return samples;
        }
        let room = reader.room();
        let n = room.len().min(rest.len()).min(*pieces.next().unwrap());
        room[..n].copy_from_slice(&rest[..n]);
        reader.came(n);
        rest = &rest[n..];
    }
}

#[test]
fn the_test_pattern_is_known_in_every_format_and_order() {
    for format in FORMATS {
        for (channels, swapped) in [(1, false), (2, true), (300, false), (300, true)] {
            let layout = layout(format, channels, swapped);
            let mut bytes = fake::test_pattern(&layout, 4);
            bytes.extend(fake::test_pattern(&layout, 2));
            let mut reader = Reader::new(layout);
            reader.room()[..bytes.len()].copy_from_slice(&bytes);
            reader.came(bytes.len());
            assert_eq!(reader.next_sample(), Ok(Some(123_456.789)));
            assert!(reader.is_test(4), "{layout:?}");
            assert!(!reader.is_test(2) || format == Format::String, "{layout:?}");
            assert_eq!(reader.next_sample(), Ok(Some(123_456.789)));
            assert!(reader.is_test(2), "{layout:?}");
            assert_eq!(reader.next_sample(), Ok(None));
            // One bit is enough.
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            let mut reader = Reader::new(layout);
            reader.room()[..bytes.len()].copy_from_slice(&bytes);
            reader.came(bytes.len());
            reader.next_sample().unwrap();
            reader.next_sample().unwrap();
            assert!(!reader.is_test(2), "{layout:?}");
        }
    }
}

#[test]
fn times_are_taken_or_deduced() {
    let layout = layout(Format::Int8, 1, false);
    let value = [Value::Number(7.0)];
    let stamps = [None, None, Some(50.0), None, Some(f64::NAN), Some(f64::INFINITY), Some(49.0)];
    let bytes: Vec<u8> = stamps.iter().flat_map(|s| fake::sample(&layout, *s, &value)).collect();
    let mut reader = Reader::new(layout);
    reader.begin(3.0);
    let times: Vec<f64> = read(&mut reader, &bytes, &[100]).iter().map(|s| s.0).collect();
    let wanted = [3.0, 3.01, 50.0, 50.01, 50.02, 50.03, 49.0];
    assert!(times.iter().zip(wanted).all(|(t, w)| (t - w).abs() < 1e-9), "{times:?}");
    assert_eq!(times.len(), wanted.len());
}

#[test]
fn lengths_of_texts_may_be_wide_and_texts_may_be_no_text() {
    let mut bytes = vec![1];
    for width in [1_usize, 2, 4, 8] {
        bytes.push(width as u8);
        bytes.extend(&3_u64.to_le_bytes()[..width]);
        bytes.extend(b"a\xffb");
    }
    let layout = layout(Format::String, 4, cfg!(target_endian = "big"));
    let mut reader = Reader::new(layout);
    let samples = read(&mut reader, &bytes, &[1]);
    assert_eq!(samples.len(), 1);
    assert_eq!(samples[0].2, "a\u{fffd}b");
    assert!(samples[0].1.len() == 4 && samples[0].1.iter().all(|v| v.is_nan()));
}

#[test]
fn a_long_text_is_taken_and_the_memory_stays_bounded() {
    let layout = layout(Format::String, 2, false);
    let long = vec![b'x'; LONGEST - 100];
    let bytes = fake::sample(&layout, None, &[Value::Text(long.clone()), Value::Text(vec![])]);
    let mut reader = Reader::new(layout);
    let samples = read(&mut reader, &[&bytes[..], &bytes].concat(), &[1 << 20]);
    assert_eq!(samples.len(), 2);
    assert_eq!(samples[1].2.len(), long.len());
    assert!(reader.buffer.len() <= 2 * LONGEST);
    let bytes = fake::sample(&layout, None, &[Value::Text(long), Value::Text(vec![0; 100])]);
    reader.room()[..bytes.len().min(1 << 20)].copy_from_slice(&bytes[..1 << 20]);
    reader.came(1 << 20);
    assert_eq!(reader.next_sample(), Ok(None), "the second length has not come");
}

#[test]
fn nonsense_is_told_before_it_is_waited_for() {
    let nonsense = |format, bytes: &[u8]| {
        let mut reader = Reader::new(layout(format, 2, false));
        reader.room()[..bytes.len()].copy_from_slice(bytes);
        reader.came(bytes.len());
        reader.next_sample().unwrap_err()
    };
    assert_eq!(nonsense(Format::Int64, &[0]), "a sample begins with an unknown tag");
    assert_eq!(nonsense(Format::Int64, &[3]), "a sample begins with an unknown tag");
    let width = "the length of a text has an unknown width";
    assert_eq!(nonsense(Format::String, &[1, 3]), width);
    assert_eq!(nonsense(Format::String, &[1, 1, 0, 0]), width);
    let long = "a sample is longer than 16 MiB";
    assert_eq!(nonsense(Format::String, &[&[1, 8][..], &[0xff; 8]].concat()), long);
    assert_eq!(nonsense(Format::String, &[&[1, 1, 0, 4][..], &[0x01; 4]].concat()), long);
}

/// A number that `format` holds exactly.
fn number(format: Format, seed: i64) -> f64 {
    match format {
        Format::Int8 => f64::from(seed as i8),
        Format::Int16 => f64::from(seed as i16),
        Format::Int32 => f64::from(seed as i32),
        Format::Int64 => (seed >> 10) as f64,
        Format::Float32 => f64::from(f32::from_bits(seed as u32)),
        Format::Double64 | Format::String => f64::from_bits(seed as u64),
    }
}

proptest! {
    /// Whatever is sent comes out, however it is cut.
    #[test]
    fn samples_come_as_they_were_sent(
        which in 0..FORMATS.len(),
        swapped: bool,
        channels in 1..6_usize,
        sent in prop::collection::vec((any::<Option<i32>>(), any::<[i64; 5]>(), any::<[String; 5]>()), 0..8),
        pieces in prop::collection::vec(1..40_usize, 1..20),
    ) {
        let format = FORMATS[which];
        let layout = layout(format, channels, swapped);
        let values = |(_, numbers, texts): &(Option<i32>, [i64; 5], [String; 5])| -> Vec<Value> {
            (0..channels).map(|c| match format {
                Format::String => Value::Text(texts[c].clone().into_bytes()),
                _ => Value::Number(number(format, numbers[c])),
            }).collect()
        };
        let bytes: Vec<u8> = sent
            .iter()
            .flat_map(|s| fake::sample(&layout, s.0.map(f64::from), &values(s)))
            .collect();
        let mut reader = Reader::new(layout);
        reader.begin(0.0);
        let got = read(&mut reader, &bytes, &pieces);
        prop_assert_eq!(got.len(), sent.len());
        let mut last_s = -0.01;
        for (sent, (stamp_s, numbers, text)) in sent.iter().zip(&got) {
            last_s = sent.0.map_or(last_s + 0.01, f64::from);
            prop_assert!((stamp_s - last_s).abs() < 1e-6);
            for (value, got) in values(sent).iter().zip(numbers) {
                match value {
                    Value::Number(v) if v.is_nan() => prop_assert!(got.is_nan()),
                    Value::Number(v) => prop_assert_eq!(v.to_bits(), got.to_bits()),
                    Value::Text(_) => prop_assert!(got.is_nan()),
                }
            }
            match &values(sent)[0] {
                Value::Text(t) => prop_assert_eq!(t, text.as_bytes()),
                Value::Number(v) if v.is_nan() => prop_assert_eq!(text, "NaN"),
                Value::Number(v) => prop_assert_eq!(text.parse::<f64>().unwrap() as f32, *v as f32),
            }
        }
        prop_assert_eq!(reader.next_sample(), Ok(None));
    }

    /// Bytes of any kind give samples, nothing, or an error.
    #[test]
    fn any_bytes_are_read(which in 0..FORMATS.len(), swapped: bool, bytes: Vec<u8>) {
        let mut reader = Reader::new(layout(FORMATS[which], 2, swapped));
        for piece in bytes.chunks(7) {
            reader.room()[..piece.len()].copy_from_slice(piece);
            reader.came(piece.len());
            while let Ok(Some(_)) = reader.next_sample() {}
        }
        prop_assert!(reader.buffer.len() <= 128 << 10);
    }
}
