use super::*;
use proptest::prelude::*;

const BOUNDARY: [u8; 16] = [
    0x43, 0xA5, 0x46, 0xDC, 0xCB, 0xF5, 0x41, 0x0F, 0xB3, 0x0E, 0xD5, 0x46, 0x73, 0x83, 0xCB, 0xE4,
];

fn chunk(tag: u16, content: &[u8]) -> Vec<u8> {
    let mut out = vec![4];
    out.extend((content.len() as u32 + 2).to_le_bytes());
    out.extend(tag.to_le_bytes());
    out.extend(content);
    out
}

fn of_stream(tag: u16, id: u32, content: &[u8]) -> Vec<u8> {
    chunk(tag, &[&id.to_le_bytes(), content].concat())
}

fn head(id: u32, channels: u64, rate: f64, format: &str, more: &str) -> Vec<u8> {
    let xml = format!(
        "<?xml version=\"1.0\"?><info><name>s{id}</name><type>EEG</type>\
         <channel_count>{channels}</channel_count><nominal_srate>{rate}</nominal_srate>\
         <channel_format>{format}</channel_format><uid>u{id}</uid>{more}</info>"
    );
    of_stream(2, id, xml.as_bytes())
}

/// A chunk of samples, each a stamp and the bytes of its values.
fn data(id: u32, samples: &[(Option<f64>, Vec<u8>)]) -> Vec<u8> {
    let mut out = vec![1, samples.len() as u8];
    for (stamp, values) in samples {
        match stamp {
            Some(s) => out.extend([&[8], s.to_le_bytes().as_slice()].concat()),
            None => out.push(0),
        }
        out.extend(values);
    }
    of_stream(3, id, &out)
}

fn offset(id: u32, time: f64, value: f64) -> Vec<u8> {
    of_stream(4, id, &[time.to_le_bytes(), value.to_le_bytes()].concat())
}

/// Two streams, numbers at 10 Hz and texts, with clock offsets and a boundary.
fn small() -> Vec<u8> {
    let labels = "<desc><channels><channel><label>C3</label><unit>microvolts</unit></channel>\
                  </channels></desc>";
    [
        b"XDF:".to_vec(),
        chunk(1, b"<?xml version=\"1.0\"?><info><version>1.0</version></info>"),
        head(1, 2, 10.0, "int16", labels),
        head(2, 1, 0.0, "string", ""),
        offset(1, 1.0, 0.5),
        data(1, &[(Some(1.0), vec![1, 0, 255, 255]), (None, vec![2, 0, 3, 0])]),
        chunk(5, &BOUNDARY),
        data(2, &[(Some(7.0), vec![1, 3, b'a', 0xC3, 0xBC])]),
        data(1, &[(None, vec![4, 0, 5, 0])]),
        of_stream(6, 1, b"<info><sample_count>3</sample_count></info>"),
    ]
    .concat()
}

fn numbers(recording: &Recording, stream: usize) -> &Samples {
    match &recording.streams[stream].content {
        Content::Samples(samples) => samples,
        Content::Markers(_) => panic!("stream {stream} holds markers"),
    }
}

fn close(got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-9), "{got:?} {want:?}");
}

#[test]
fn reads_numbers_and_texts() {
    let got = parse(&small()).unwrap();
    assert_eq!(got.warnings, Vec::<String>::new());
    let stream = &got.streams[0];
    assert_eq!((stream.name.as_str(), stream.source_id.as_str()), ("s1", "u1"));
    let channels: Vec<_> =
        stream.channels.iter().map(|c| [&*c.label, &*c.kind, &*c.unit].join("/")).collect();
    assert_eq!(channels, ["C3/EEG/microvolts", "Ch2/EEG/"]);
    let samples = numbers(&got, 0);
    assert_eq!(samples.values, [1.0, -1.0, 2.0, 3.0, 4.0, 5.0]);
    close(samples.stamps.as_deref().unwrap(), &[1.5, 1.6, 1.7]);
    assert_eq!(samples.segments.len(), 1);
    let markers = got.all_markers();
    assert_eq!((markers[0].time_s, markers[0].text.as_str()), (7.0, "aü"));
}

#[test]
fn reads_every_format() {
    let cases: [(&str, Vec<u8>, f64); 6] = [
        ("int8", (-7_i8).to_le_bytes().to_vec(), -7.0),
        ("int16", (-300_i16).to_le_bytes().to_vec(), -300.0),
        ("int32", (-70_000_i32).to_le_bytes().to_vec(), -70_000.0),
        ("int64", (-5_000_000_000_i64).to_le_bytes().to_vec(), -5e9),
        ("float32", 0.5_f32.to_le_bytes().to_vec(), 0.5),
        ("double64", 0.1_f64.to_le_bytes().to_vec(), 0.1),
    ];
    for (format, bytes, want) in cases {
        let file = [b"XDF:".to_vec(), head(1, 1, 0.0, format, ""), data(1, &[(Some(1.0), bytes)])];
        assert_eq!(numbers(&parse(&file.concat()).unwrap(), 0).values, [want], "{format}");
    }
    let text = parse(&[b"XDF:".to_vec(), head(1, 1, 0.0, "int7", "")].concat()).unwrap_err();
    assert!(text.to_string().contains("channel_format \"int7\""), "{text}");
}

#[test]
fn joins_the_texts_of_several_channels() {
    let texts = data(1, &[(Some(1.0), vec![1, 1, b'a', 1, 1, b'b'])]);
    let got = parse(&[b"XDF:".to_vec(), head(1, 2, 0.0, "string", ""), texts].concat()).unwrap();
    assert_eq!(got.all_markers()[0].text, "a\tb");
}

#[test]
fn follows_a_clock_through_drift_and_reset() {
    // The clock is 1e-4 slow, then starts again at 0 while the recorder goes on.
    let mut file = [b"XDF:".to_vec(), head(1, 1, 0.0, "int8", "")].concat();
    for k in 0..20 {
        let t = 1000.0 + 5.0 * f64::from(k);
        file.extend(offset(1, t, 1e-4 * (t - 1000.0)));
    }
    for k in 0..20 {
        file.extend(offset(1, 5.0 * f64::from(k), 1100.0));
    }
    file.extend(data(1, &[(Some(1050.0), vec![1]), (Some(2.0), vec![2])]));
    let got = parse(&file).unwrap();
    close(numbers(&got, 0).stamps.as_deref().unwrap(), &[1050.005, 1102.0]);
    assert!(got.warnings[0].contains("reset 1 times"));
}

#[test]
fn breaks_a_regular_stream_at_a_pause() {
    let rows: Vec<_> = (0..4).map(|i| (i == 0).then_some(5.0)).map(|s| (s, vec![0])).collect();
    let later: Vec<_> = (0..3).map(|i| (i == 0).then_some(9.0)).map(|s| (s, vec![0])).collect();
    let file = [b"XDF:".to_vec(), head(1, 1, 1000.0, "int8", ""), data(1, &rows), data(1, &later)];
    let got = parse(&file.concat()).unwrap();
    let rows: Vec<_> = numbers(&got, 0).segments.iter().map(|s| (s.first_row, s.rows)).collect();
    assert_eq!(rows, [(0, 4), (4, 3)]);
    let gap = got.describe().streams[0].gaps[0].missing_s;
    assert!((gap - (4.0 - 0.004)).abs() < 1e-9, "{gap}");
}

#[test]
fn leaves_out_the_sample_of_a_dying_outlet() {
    let mut file = [b"XDF:".to_vec(), head(1, 1, 0.0, "int8", "")].concat();
    file.extend((0..5).flat_map(|k| offset(1, f64::from(k) * 5.0, 0.0)));
    file.extend(offset(1, 9000.0, -77.0));
    file.extend(data(1, &[(Some(1.0), vec![1]), (Some(9000.0), vec![2])]));
    file.extend(of_stream(6, 1, b"<info><sample_count>1</sample_count></info>"));
    let got = parse(&file).unwrap();
    assert_eq!(numbers(&got, 0).values, [1.0]);
    assert!(got.warnings[0].contains("left out"), "{:?}", got.warnings);
}

#[test]
fn reads_what_is_left_of_a_cut_file() {
    let whole = small();
    let at = whole.len() - of_stream(6, 1, b"<info><sample_count>3</sample_count></info>").len();
    let got = parse(&whole[..at - 1]).unwrap();
    assert_eq!(numbers(&got, 0).rows(), 2);
    assert!(got.warnings.iter().any(|w| w.contains("cut off inside a sample")), "{got:?}");
    assert!(got.warnings.iter().any(|w| w.contains("cut off by the end of the file")), "{got:?}");
    assert!(parse(b"XDF:").unwrap_err().to_string().contains("no stream"));
    assert!(parse(b"XDF").is_err());
}

#[test]
fn goes_on_behind_the_next_boundary() {
    let mut file = small();
    let at = file.windows(6).position(|w| w == b"<name>").unwrap(); // Inside the header of stream 1.
    let length = at - b"<?xml version=\"1.0\"?><info>".len() - 4 - 2 - 4;
    file[length..length + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let got = parse(&file);
    // Both headers are lost, so nothing can be read, but the reason is said.
    assert!(got.unwrap_err().to_string().contains("after a boundary"));
    let mut file = small();
    let samples = file.windows(4).position(|w| w == [1, 0, 255, 255]).unwrap();
    file[samples - 11 - 4 - 2 - 4..][..4].copy_from_slice(&u32::MAX.to_le_bytes());
    let got = parse(&file).unwrap();
    assert_eq!(got.all_markers().len(), 1);
    assert_eq!(numbers(&got, 0).values, [4.0, 5.0]);
}

#[test]
fn believes_no_absurd_header() {
    let claim = [b"XDF:".to_vec(), head(1, 1 << 31, 10.0, "double64", "")].concat();
    assert!(parse(&claim).unwrap_err().to_string().contains("claims 2147483648 channels"));
    let mut samples = vec![8];
    samples.extend(u64::MAX.to_le_bytes());
    for channels in [0, 1] {
        let file =
            [b"XDF:".to_vec(), head(1, channels, 10.0, "int8", ""), of_stream(3, 1, &samples)];
        let got = parse(&file.concat()).unwrap();
        assert_eq!(numbers(&got, 0).rows(), 0);
        assert!(got.warnings[0].contains("0 were read"), "{:?}", got.warnings);
    }
    let deep = format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
    assert!(parse(&[b"XDF:".to_vec(), of_stream(2, 1, deep.as_bytes())].concat()).is_err());
}

/// What must hold of anything that was read.
fn check(recording: &Recording) {
    for stream in &recording.streams {
        if let Content::Samples(samples) = &stream.content {
            assert_eq!(samples.values.len(), samples.rows() * samples.cols);
            assert_eq!(samples.stamps.as_ref().unwrap().len(), samples.rows());
        }
    }
    let _ = recording.describe().to_string();
}

proptest! {
    #[test]
    fn survives_any_bytes(tail in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = parse(&[b"XDF:", tail.as_slice()].concat());
        let _ = parse(&[small(), tail].concat()).map(|r| check(&r));
    }

    #[test]
    fn survives_mutations(
        cut in 0_usize..900,
        changes in prop::collection::vec((0_usize..900, any::<u8>()), 0..8),
    ) {
        let mut bytes = small();
        for (at, byte) in changes {
            if let Some(b) = bytes.get_mut(at) { *b = byte; }
        }
        let whole = parse(&bytes);
        bytes.truncate(cut);
        for recording in [whole, parse(&bytes)].into_iter().flatten() {
            check(&recording);
        }
    }
}
