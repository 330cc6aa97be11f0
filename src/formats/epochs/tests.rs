use super::*;
use proptest::prelude::*;
use safetensors::tensor::TensorView;
use std::collections::HashMap;

const ABOUT: &str = r#"{"version": 1, "rate_hz": 4.0, "channels": ["C3", "C4"], "unit": "uV",
    "classes": ["left", "right"], "start_s": 0.5, "source": "made by hand"}"#;

/// A file with `labels.len()` trials of 3 samples of 2 channels, whose numbers count up from 0.
fn file(about: &str, labels: &[i64], dtype: Dtype) -> Vec<u8> {
    let numbers = (0..labels.len() * 6).map(|i| i as f64);
    let data: Vec<u8> = match dtype {
        Dtype::F32 => numbers.flat_map(|v| (v as f32).to_le_bytes()).collect(),
        _ => numbers.flat_map(f64::to_le_bytes).collect(),
    };
    let labels: Vec<u8> = labels.iter().flat_map(|v| v.to_le_bytes()).collect();
    let trials = labels.len() / 8;
    write(about, (dtype, &[trials, 3, 2], &data), (Dtype::I64, &[trials], &labels))
}

type Array<'a> = (Dtype, &'a [usize], &'a [u8]);

fn write(about: &str, data: Array, labels: Array) -> Vec<u8> {
    let view =
        |(dtype, shape, bytes)| TensorView::new(dtype, <[usize]>::to_vec(shape), bytes).unwrap();
    let tensors = [("data", view(data)), ("labels", view(labels))];
    let metadata = HashMap::from([(KEY.to_string(), about.to_string())]);
    safetensors::serialize(tensors, Some(metadata)).unwrap()
}

fn with(from: &str, to: &str) -> Vec<u8> {
    let about = ABOUT.replace(from, to);
    assert_ne!(about, ABOUT);
    file(&about, &[0, 1], Dtype::F64)
}

fn error(bytes: &[u8]) -> String {
    parse(bytes, "x").unwrap_err().to_string()
}

fn cues(recording: &Recording) -> Vec<(f64, &str)> {
    recording.all_markers().iter().map(|m| (m.time_s, m.text.as_str())).collect()
}

#[test]
fn each_trial_is_a_segment_behind_its_cue() {
    for dtype in [Dtype::F64, Dtype::F32] {
        let got = parse(&file(ABOUT, &[1, -1, 0], dtype), "x").unwrap();
        assert_eq!((got.format, got.warnings.len()), ("Saltatory epochs", 0));
        let (stream, samples) = got.samples().unwrap();
        assert_eq!((stream.name.as_str(), stream.rate_hz), ("x", 4.0));
        let c4 = Channel { kind: "EEG".into(), unit: "uV".into(), ..Channel::named("C4") };
        assert_eq!((stream.channels.len(), &stream.channels[1]), (2, &c4));
        assert_eq!(samples.values, (0..18).map(f64::from).collect::<Vec<_>>());
        // A trial of 3 samples and a pause of 1.5 s, 6 samples; the first cue is at 0 s.
        let segment =
            |i: usize| Segment { first_row: 3 * i, rows: 3, start_s: (2 + 9 * i) as f64 / 4.0 };
        assert_eq!(samples.segments, [segment(0), segment(1), segment(2)]);
        assert_eq!(samples.gaps_s(4.0), [1.5, 1.5]);
        assert_eq!(cues(&got), [(0.0, "right"), (4.5, "left")]);
    }
}

#[test]
fn a_cue_may_lie_in_its_trial_or_at_its_start() {
    let got = parse(&with("0.5", "-0.25"), "x").unwrap();
    assert_eq!(got.samples().unwrap().1.segments[1].start_s, 2.0);
    assert_eq!(cues(&got), [(0.25, "left"), (2.25, "right")]);
    let got = parse(&with("0.5", "0"), "x").unwrap();
    assert_eq!(cues(&got), [(0.0, "left"), (1.75, "right")]);
    // Half a sample is rounded as the event stage rounds it.
    let got = parse(&with("0.5", "0.375"), "x").unwrap();
    assert_eq!(got.samples().unwrap().1.segments[0].start_s, 0.5);
}

#[test]
fn units_may_be_unknown() {
    let unit = |unit: &str| {
        let got = parse(&with("\"uV\"", unit), "x").unwrap();
        let channel = got.streams[0].channels[0].clone();
        (channel.unit, channel.kind)
    };
    assert_eq!(unit("\"unknown\""), (String::new(), "EEG".to_string()));
    assert_eq!(unit("\"fT\""), ("fT".to_string(), "MISC".to_string()));
}

#[test]
fn metadata_are_checked() {
    let cases = [
        ("\"version\": 1", "\"version\": 2", "have format 2, this program reads 1"),
        ("\"version\": 1", "\"version\": \"1\"", "have no version"),
        ("4.0", "0.0", "rate_hz is 0, expected 0.001"),
        ("4.0", "1e9", "rate_hz is 1000000000"),
        ("4.0", "\"fast\"", "invalid type"),
        ("\"rate_hz\"", "\"rate\"", "missing field `rate_hz`"),
        ("0.5", "1e5", "start_s is 100000, expected -3600 to 3600"),
        ("\"right\"", "\"left\"", "two classes `left`"),
        ("\"right\"", "\"\"", "a name of 1 to 200 bytes"),
        ("[\"C3\", \"C4\"]", "[\"C3\"]", "the metadata name 1 channels"),
        (", \"right\"]", "]", "label of trial 2 is 1, expected 0 to 0 for one of the 1 classes"),
        ("{\"version", "{{\"version", "the metadata `saltatory_epochs`"),
    ];
    for (from, to, want) in cases {
        let text = error(&with(from, to));
        assert!(text.contains(want), "{to}: {text}");
    }
    let long = format!("\"{}\"", "n".repeat(201));
    assert!(parse(&with("0.5", "-0.5"), "x").is_ok());
    assert!(error(&with("0.5", "-0.75")).contains("start_s is -0.75, and the trials end before"));
    assert!(error(&with("\"right\"", &long)).contains("1 to 200 bytes"));
    assert!(error(&file(ABOUT, &[0, -2], Dtype::F64)).contains("label of trial 2 is -2"));
    let none =
        safetensors::serialize([("data", TensorView::new(Dtype::U8, vec![0], &[]).unwrap())], None);
    assert!(error(&none.unwrap()).contains("a model is shown by `saltatory inspect`"));
}

#[test]
fn tensors_are_checked() {
    let eight = [0; 8];
    let cases: [(Array, Array, &str); 6] = [
        ((Dtype::I64, &[1, 1, 1], &eight), (Dtype::I64, &[1], &eight), "holds I64, expected F64"),
        (
            (Dtype::F64, &[1, 1], &eight),
            (Dtype::I64, &[1], &eight),
            "shape [1, 1], expected trials",
        ),
        ((Dtype::F64, &[0, 3, 2], &[]), (Dtype::I64, &[0], &[]), "expected at least one of each"),
        (
            (Dtype::F64, &[1, 0, 2], &[]),
            (Dtype::I64, &[1], &eight),
            "expected at least one of each",
        ),
        ((Dtype::F32, &[1, 1, 2], &eight), (Dtype::F64, &[1], &eight), "holds F64 of shape [1]"),
        ((Dtype::F32, &[1, 1, 2], &eight), (Dtype::I64, &[], &eight), "expected I64 of shape [1]"),
    ];
    for (data, labels, want) in cases {
        let text = error(&write(ABOUT, data, labels));
        assert!(text.contains(want), "{want}: {text}");
    }
    let huge = format!(
        "{{\"__metadata__\":{{\"{KEY}\":{}}},\"data\":{{\"dtype\":\"F64\",\"shape\":[{1},{1},0],\
         \"data_offsets\":[0,0]}}}}",
        serde_json::to_string(ABOUT).unwrap(),
        usize::MAX
    );
    let bytes = [&(huge.len() as u64).to_le_bytes(), huge.as_bytes()].concat();
    assert!(error(&bytes).contains("header of the safetensors file is damaged"));
}

#[test]
fn reads_what_is_left_of_a_cut_file() {
    let whole = file(ABOUT, &[0, 1, 0], Dtype::F32);
    let got = parse(&whole[..whole.len() - 25], "x").unwrap();
    assert_eq!(got.samples().unwrap().1.rows(), 3);
    assert_eq!(cues(&got), [(0.0, "left")]);
    assert!(got.warnings[0].contains("inside trial 2 of 3; 1 whole trials were read"));
    assert!(error(&whole[..whole.len() - 49]).contains("inside its first trial: 23 of 24 bytes"));

    // The usual writers put labels first, but a file may have them behind the numbers.
    let behind = format!(
        "{{\"__metadata__\":{{\"{KEY}\":{}}},\"data\":{{\"dtype\":\"F64\",\"shape\":[3,3,2],\
         \"data_offsets\":[0,144]}},\"labels\":{{\"dtype\":\"I64\",\"shape\":[3],\
         \"data_offsets\":[144,168]}}}}",
        serde_json::to_string(ABOUT).unwrap()
    );
    let whole =
        [&(behind.len() as u64).to_le_bytes(), behind.as_bytes(), &[0; 144], &[0; 15]].concat();
    let got = parse(&whole, "x").unwrap();
    assert_eq!((got.samples().unwrap().1.rows(), cues(&got).len()), (9, 1));
    assert!(got.warnings[0].contains("the trials from 2 on have no marker"), "{:?}", got.warnings);

    let size = u64::from_le_bytes(*whole.first_chunk().unwrap());
    let text = error(&whole[..20]);
    assert!(text.contains(&format!("inside its header: 12 of {size} bytes")), "{text}");
    assert!(error(&whole[..7]).contains("not a safetensors file"));
}

#[test]
fn a_file_is_known_by_its_first_bytes() {
    let whole = file(ABOUT, &[0, 1], Dtype::F64);
    assert!(is_safetensors(&whole[..64]));
    assert!(
        !is_safetensors(b"HeaderLen= 8366") && !is_safetensors(&[]) && !is_safetensors(&[0; 9])
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trials.bin");
    std::fs::write(&path, &whole).unwrap();
    assert!(are_in(&path) && !are_in(folder.path()));
    assert_eq!(crate::formats::read(&path).unwrap().streams[1].name, "trials cues");
    std::fs::write(&path, &file(ABOUT, &[0], Dtype::F64)[8..]).unwrap();
    assert!(!are_in(&path));
}

proptest! {
    #[test]
    fn survives_mutations(
        cut in 0_usize..500,
        changes in prop::collection::vec((0_usize..500, any::<u8>()), 0..4),
        digits in prop::collection::vec((0_usize..500, b'0'..=b'9'), 0..8),
        single: bool,
    ) {
        let mut bytes = file(ABOUT, &[0, 1, -1], if single { Dtype::F32 } else { Dtype::F64 });
        for (at, byte) in changes.into_iter().chain(digits) {
            if let Some(b) = bytes.get_mut(at) { *b = byte; }
        }
        let whole = parse(&bytes, "x");
        bytes.truncate(cut);
        for recording in [whole, parse(&bytes, "x")].into_iter().flatten() {
            let (stream, samples) = recording.samples().unwrap();
            assert_eq!(samples.values.len(), samples.rows() * samples.cols);
            assert_eq!(stream.channels.len(), samples.cols);
            let _ = recording.describe().to_string();
        }
    }
}
