use super::*;
use crate::formats::{Marker, Recording};
use proptest::prelude::*;

const STATES: &str = "Running 1 0 0 0\nTargetCode 4 0 0 1\nWide 10 0 0 6\nSourceTime 16 0 2 0";
const PARAMETERS: &str = "Source int SamplingRate= 4 128 1 4000 // this is the sample rate\n\
    Source list ChannelNames= 2 C%203 % // names\n\
    Filtering floatlist SourceChGain= 2 0.5 2e-1mV 0.003 -500 500 // A/D units -> muV\n\
    Filtering floatlist SourceChOffset= 2 10 -1 0 -500 500 // A/D units";

/// A file of `rows`, each with bytes of numbers and states; `line` is the first line but for its
/// HeaderLen.
fn file(line: &str, states: &str, parameters: &str, data: &[u8]) -> Vec<u8> {
    let text = format!(
        "\r\n[ State Vector Definition ] \r\n{states}\r\n[ Parameter Definition ] \r\n\
         {parameters}\r\n\r\n"
    );
    let (before, after) = line.split_once("SourceCh").unwrap();
    let length = line.len() + "HeaderLen= 00000 ".len() + text.len();
    let mut out = format!("{before}HeaderLen= {length:05} SourceCh{after}{text}").into_bytes();
    assert_eq!(out.len(), length);
    out.extend(data);
    out
}

/// A sample of two 16 bit numbers with a state vector of 4 bytes.
fn sample(numbers: [i16; 2], running: u8, target: u8, wide: u16, time: u16) -> Vec<u8> {
    let vector = u32::from(running) | u32::from(target) << 1 | u32::from(wide) << 6;
    let mut out: Vec<u8> = numbers.iter().flat_map(|v| v.to_le_bytes()).collect();
    out.extend((vector | u32::from(time) << 16).to_le_bytes());
    out
}

/// Four samples: `Running` is set from the start, `TargetCode` and `Wide` change.
fn small() -> Vec<u8> {
    let data = [
        sample([10, -1], 1, 0, 0, 100),
        sample([12, 4], 1, 2, 1023, 101),
        sample([-32768, 32767], 1, 2, 0, 102),
        sample([0, 0], 0, 0, 0, 103),
    ];
    file("SourceCh= 2 StatevectorLen= 4", STATES, PARAMETERS, &data.concat())
}

fn with(from: &str, to: &str) -> Vec<u8> {
    let parameters = PARAMETERS.replace(from, to);
    assert_ne!(parameters, PARAMETERS);
    file("SourceCh= 2 StatevectorLen= 4", STATES, &parameters, &sample([3, 5], 0, 0, 0, 0))
}

fn values(recording: &Recording) -> &[f64] {
    &recording.samples().unwrap().1.values
}

fn error(bytes: &[u8]) -> String {
    parse(bytes, "x").unwrap_err().to_string()
}

#[test]
fn reads_numbers_names_and_units() {
    let got = parse(&small(), "x").unwrap();
    assert_eq!((got.format, got.warnings.len()), ("BCI2000 1.0", 0), "{:?}", got.warnings);
    let (stream, samples) = got.samples().unwrap();
    assert_eq!((stream.rate_hz, samples.rows()), (4.0, 4));
    let of = |i: usize| (stream.channels[i].label.as_str(), stream.channels[i].unit.as_str());
    assert_eq!((of(0), of(1)), (("C 3", "uV"), ("2", "mV")));
    assert_eq!(samples.values[..4], [0.0, 0.0, 1.0, 1.0]);
    assert_eq!(samples.row(2), [-32778.0 * 0.5, 32768.0 * 0.2]);
    assert_eq!(samples.segments, [Segment { first_row: 0, rows: 4, start_s: 0.0 }]);
}

#[test]
fn changes_of_states_are_markers() {
    let got = parse(&small(), "x").unwrap();
    assert_eq!(got.streams[1].name, "x states");
    let marker = |m: &&Marker| (m.time_s, m.text.clone());
    let got: Vec<_> = got.all_markers().iter().map(marker).collect();
    let want = [
        (0.25, "TargetCode 2"),
        (0.25, "Wide 1023"),
        (0.5, "Wide 0"),
        (0.75, "Running 0"),
        (0.75, "TargetCode 0"),
    ];
    assert_eq!(got, want.map(|(time, text)| (time, text.to_string())));
}

#[test]
fn reads_the_other_formats() {
    let parameters = "Source int SamplingRate= 0.5kHz\nSource list ChannelNames= { a b } Fz Cz\n\
        Source list SourceChGain= 2 1 3muV\nSource list SourceChOffset= { a b } 0 1";
    let line = |format| format!("BCI2000V= 1.1 SourceCh= 2 StatevectorLen= 0 DataFormat= {format}");
    let ints: Vec<u8> = [70_000_i32, -70_001].iter().flat_map(|v| v.to_le_bytes()).collect();
    let got = parse(&file(&line("int32"), "", parameters, &ints), "x").unwrap();
    assert_eq!((got.format, values(&got)), ("BCI2000 1.1", &[70_000.0, -210_006.0][..]));
    let floats: Vec<u8> = [0.25_f32, -1.5].iter().flat_map(|v| v.to_le_bytes()).collect();
    let got = parse(&file(&line("float32"), "", parameters, &floats), "x").unwrap();
    assert_eq!(values(&got), [0.25, -7.5]);
    assert_eq!(got.streams[0].rate_hz, 500.0);
    assert_eq!(got.describe().streams[0].channels, ["Fz", "Cz"]);
    let text = error(&file(&line("int24"), "", parameters, &ints));
    assert!(text.contains("DataFormat is int24, expected int16"), "{text}");
    let text = error(&file(&line("int16").replace("1.1", "2.0"), "", parameters, &ints));
    assert!(text.contains("format 2.0; 1.0 and 1.1"), "{text}");
}

#[test]
fn parameters_may_be_missing_or_odd() {
    let got = parse(&with("ChannelNames= 2 C%203 %", "ChannelNames= 3 A B C"), "x").unwrap();
    assert!(got.warnings[0].contains("ChannelNames has 3 entries for 2 channels"));
    assert_eq!(got.describe().streams[0].channels, ["1", "2"]);

    let got = parse(&with("2 0.5 2e-1mV", "2 0.5 auto"), "x").unwrap();
    assert!(got.warnings[0].contains("holds \"auto\", which is no number"), "{:?}", got.warnings);
    assert_eq!((values(&got), got.describe().streams[0].units[""]), (&[-7.0, 6.0][..], 2));

    let got = parse(&with("SourceChOffset= 2 10 -1", "Other= 2 10 -1"), "x").unwrap();
    assert!(got.warnings[0].contains("no SourceChOffset; the offsets were taken to be 0"));
    assert_eq!(values(&got)[0], 1.5);

    let text = error(&with("SamplingRate= 4", "SamplingRate= fast"));
    assert!(text.contains("SamplingRate is \"fast\", expected a rate such as 256"), "{text}");
    for bad in ["0", "-4", "nan", "4s", "1e300", ""] {
        assert!(
            error(&with("SamplingRate= 4 128", &format!("SamplingRate= {bad} //")))
                .contains("expected a rate")
        );
    }
    assert!(error(&with("SamplingRate", "Rate")).contains("the header has no SamplingRate"));
    assert_eq!(parse(&with("= 4 128", "= 160Hz"), "x").unwrap().streams[0].rate_hz, 160.0);
}

#[test]
fn states_that_are_signals_are_left_out() {
    // 100 samples at 4 Hz are 25 s: up to 500 changes are events; so raise the rate.
    let parameters = PARAMETERS.replace("SamplingRate= 4", "SamplingRate= 100");
    let rows: Vec<u8> = (0..300_u16)
        .flat_map(|i| sample([0, 0], 0, (i / 50 % 16) as u8, i % 1024, i * 10))
        .collect();
    let file = file("SourceCh= 2 StatevectorLen= 4", STATES, &parameters, &rows);
    let got = parse(&file, "x").unwrap();
    let texts: Vec<_> = got.all_markers().iter().map(|m| m.text.clone()).collect();
    assert_eq!(texts, (1..6).map(|i| format!("TargetCode {i}")).collect::<Vec<_>>());
    assert_eq!(got.warnings.len(), 1);
    assert!(
        got.warnings[0].contains("more than 20 times a second") && got.warnings[0].contains("Wide")
    );
}

#[test]
fn reads_what_is_left_of_a_cut_file() {
    let whole = small();
    let got = parse(&whole[..whole.len() - 3], "x").unwrap();
    assert_eq!(got.samples().unwrap().1.rows(), 3);
    let at = whole.len() - 8;
    assert!(got.warnings[0].contains(&format!("inside sample 4 (byte {at}, 5 of 8 bytes)")));
    let header = whole.len() - 32;
    let text = error(&whole[..header + 7]);
    assert!(text.contains(&format!("no whole sample: 7 bytes from byte {header}")), "{text}");
    let text = error(&whole[..header - 1]);
    assert!(
        text.contains(&format!("inside its header: {} of {header} bytes", header - 1)),
        "{text}"
    );
    assert!(error(&whole[..20]).contains("SourceCh in the first line is missing"));
    assert!(error(b"EDF").contains("not a BCI2000 file"));
}

#[test]
fn believes_no_absurd_header() {
    let claims = |line: &str| error(&file(line, STATES, PARAMETERS, &[0; 64]));
    assert!(claims("SourceCh= 0 StatevectorLen= 4").contains("SourceCh in the first line is 0"));
    assert!(claims("SourceCh= 99999999 StatevectorLen= 4").contains("expected 1 to 65536"));
    assert!(
        claims("SourceCh= -2 StatevectorLen= 4").contains("is -2, a whole number was expected")
    );
    assert!(claims("SourceCh= 60000 StatevectorLen= 4").contains("no whole sample: 64 bytes"));
    let text = claims(&format!("SourceCh= 2 StatevectorLen= {}", usize::MAX));
    assert!(text.contains("beyond any size"), "{text}");
    assert!(
        error(b"HeaderLen= 99999999999 SourceCh= 1 StatevectorLen= 1\n").contains("breaks off")
    );
    assert!(error(b"HeaderLen= 0 SourceCh= 1 StatevectorLen= 1\n").contains("no SamplingRate"));
}

#[test]
fn states_beyond_the_vector_are_left_out() {
    let long = format!("{} 1 0 0 0", "n".repeat(300));
    for bad in
        ["A 8 0 3 1", "A 65 0 0 0", "A 0 0 0 0", "A 1 0 99999999999999999999 0", "A 1", &long]
    {
        let bytes = file("SourceCh= 2 StatevectorLen= 4", bad, PARAMETERS, &[0; 16]);
        let got = parse(&bytes, "x").unwrap();
        assert!(got.warnings[0].contains("1 states were left out, the first is \""), "{bad}");
        assert!(got.warnings[0].len() < 300);
    }
    // Together they have no more bits than the vector, or a small file could give a flood of markers.
    let many = "A 16 0 0 0\n".repeat(50);
    let data = [sample([0, 0], 0, 0, 0, 0), sample([0, 0], 1, 0, 0, 0)].concat();
    let got = parse(&file("SourceCh= 2 StatevectorLen= 4", &many, PARAMETERS, &data), "x").unwrap();
    assert_eq!(got.all_markers().len(), 2);
    assert!(got.warnings[0].contains("48 states were left out"));
}

/// What must hold of anything that was read: segments cover the rows, rows fit the values.
fn check(recording: &Recording) {
    let (stream, samples) = recording.samples().unwrap();
    assert_eq!(samples.values.len(), samples.rows() * samples.cols);
    assert_eq!(stream.channels.len(), samples.cols);
    assert!(recording.all_markers().is_sorted_by_key(|m| m.time_s));
    let _ = recording.describe().to_string();
}

proptest! {
    #[test]
    fn survives_any_bytes(tail in prop::collection::vec(any::<u8>(), 0..600)) {
        for magic in MAGICS {
            if let Ok(recording) = parse(&[magic, &tail].concat(), "x") {
                check(&recording);
            }
        }
    }

    #[test]
    fn survives_mutations(
        cut in 0_usize..700,
        changes in prop::collection::vec((0_usize..700, any::<u8>()), 0..8),
        digits in prop::collection::vec((0_usize..700, b'0'..=b'9'), 0..8),
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
