use super::*;
use proptest::prelude::*;

/// A header of two channels; `common` and `binary` are put into their sections.
fn header(common: &str, binary: &str) -> String {
    format!(
        "Brain Vision Data Exchange Header File Version 1.0\r\n; A comment\r\n\r\n\
         [Common Infos]\r\nCodepage=UTF-8\r\nDataFile=a.eeg\r\nMarkerFile=a.vmrk\r\n\
         DataOrientation=MULTIPLEXED\r\nNumberOfChannels=2\r\nSamplingInterval=2000\r\n{common}\r\n\
         [Binary Infos]\r\nBinaryFormat={binary}\r\n\
         [Channel Infos]\r\nCh1=C\\13,,0.5,mV\r\nCh2=GSR,,,µS\r\n[Comment]\r\nCh1=no\r\n"
    )
}

const MARKS: &str = "Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\n\
    [Marker Infos]\nMk1=New Segment,,1,1,0,20240229235959500000\nMk2=Stimulus,S\\1 1,2,3,0\n\
    Mk3=New Segment,,3,1,0,20240301000000504000\nMk4=Response,R  2,4,1,0\n";

fn shorts(values: &[i16]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn samples(recording: &Recording) -> &Samples {
    recording.samples().unwrap().1
}

#[test]
fn reads_samples_markers_and_pauses() {
    let data = shorts(&[1, 10, 2, 20, 3, 30, 4, 40]);
    let got = parse(header("", "INT_16").as_bytes(), &data, Some(MARKS.as_bytes()), "x").unwrap();
    assert_eq!(got.warnings, Vec::<String>::new());
    let (stream, samples) = got.samples().unwrap();
    assert_eq!(stream.rate_hz, 500.0);
    let channels: Vec<_> =
        stream.channels.iter().map(|c| [&*c.label, &*c.kind, &*c.unit].join("/")).collect();
    assert_eq!(channels, ["C,3/EEG/mV", "GSR/MISC/µS"]);
    assert_eq!(samples.values, [0.5, 10.0, 1.0, 20.0, 1.5, 30.0, 2.0, 40.0]);
    let pause = Segment { first_row: 2, rows: 2, start_s: 1.004 };
    assert_eq!(samples.segments, [Segment { first_row: 0, rows: 2, start_s: 0.0 }, pause]);
    let markers: Vec<_> =
        got.all_markers().iter().map(|m| (m.time_s, m.duration_s, m.text.as_str())).collect();
    assert_eq!(
        markers,
        [
            (0.002, 0.006, "Stimulus/S, 1"),
            (1.004, 0.002, "New Segment/"),
            (1.006, 0.002, "Response/R  2")
        ]
    );
}

#[test]
fn reads_every_format() {
    let read = |common: &str, binary: &str, data: &[u8]| {
        let got = parse(header(common, binary).as_bytes(), data, None, "x").unwrap();
        samples(&got).values.clone()
    };
    let longs: Vec<u8> = [100_000_i32, -2].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(read("", "INT_32", &longs), [50_000.0, -2.0]);
    let floats: Vec<u8> = [0.5_f32, -2.5].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(read("", "IEEE_FLOAT_32", &floats), [0.25, -2.5]);
    assert_eq!(read("", "INT_16\nUseBigEndianOrder=YES", &[0, 2, 1, 0]), [1.0, 256.0]);
    let ascii = "DataFormat=ASCII\n[ASCII Infos]\nDecimalSymbol=,\nSkipLines=1\nSkipColumns=0";
    assert_eq!(read(ascii, "", b"C3 GSR\n1,5 2\n-2 3,25\n"), [0.75, 2.0, -1.0, 3.25]);
}

#[test]
fn reads_channel_by_channel() {
    let vhdr = header("", "INT_16").replace("MULTIPLEXED", "VECTORIZED");
    let data = shorts(&[2, 4, 6, 10, 20, 30]);
    let got = parse(vhdr.as_bytes(), &data, None, "x").unwrap();
    assert_eq!(samples(&got).values, [1.0, 10.0, 2.0, 20.0, 3.0, 30.0]);
    let vhdr = vhdr.replace("NumberOf", "DataPoints=3\nNumberOf");
    let got = parse(vhdr.as_bytes(), &data[..10], None, "x").unwrap();
    assert_eq!(samples(&got).values, [1.0, 10.0, 2.0, 20.0]);
    assert!(got.warnings[0].contains("DataPoints=3, the data hold 2"));
    assert!(parse(vhdr.as_bytes(), &data[..6], None, "x").is_err());
}

#[test]
fn reads_latin_1_without_a_codepage() {
    let vhdr = header("", "INT_16").replace("Codepage=UTF-8\r\n", "");
    let latin: Vec<u8> = vhdr.chars().map(|c| c as u8).collect();
    let got = parse(&latin, &shorts(&[1, 2]), None, "x").unwrap();
    assert_eq!(got.streams[0].channels[1].unit, "µS");
}

#[test]
fn says_what_is_wrong() {
    let fails = |from: &str, to: &str| {
        let vhdr = header("", "INT_16").replace(from, to);
        parse(vhdr.as_bytes(), &shorts(&[1, 2]), None, "x").unwrap_err().to_string()
    };
    assert!(fails("Channels=2", "Channels=2147483648").contains("1 to 65536 were expected"));
    assert!(fails("INT_16", "UINT_16").contains("BinaryFormat=UINT_16"));
    assert!(fails("Interval=2000", "Interval=0").contains("SamplingInterval=0"));
    assert!(fails("Interval=2000", "").contains("SamplingInterval= in"));
    assert!(fails("MULTIPLEXED", "DIAGONAL").contains("DataOrientation=DIAGONAL"));
    assert!(fails(",0.5,", ",half,").contains("the resolution is no number"));
    let vhdr = header("", "INT_16");
    let got = parse(vhdr.as_bytes(), &shorts(&[1, 2, 3]), None, "x").unwrap();
    assert!(got.warnings[0].contains("inside sample 2 (byte 4, 2 of 4 bytes)"));
    let marks = format!("{MARKS}Mk5=broken\n");
    let got = parse(vhdr.as_bytes(), &shorts(&[1, 2]), Some(marks.as_bytes()), "x").unwrap();
    assert!(got.warnings[0].contains("the first in line 8"), "{:?}", got.warnings);
}

#[test]
fn finds_companions() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("b.vhdr"), header("", "INT_16")).unwrap();
    let text = crate::formats::read(&path("b.vhdr")).unwrap_err().to_string();
    assert!(text.contains("DataFile=a.eeg") && text.contains("b.eeg exists"), "{text}");
    std::fs::write(path("b.eeg"), shorts(&[1, 2])).unwrap();
    let got = crate::formats::read(&path("b.eeg")).unwrap();
    assert!(got.warnings[0].contains("b.eeg was read"), "{:?}", got.warnings);
    assert!(got.warnings[1].contains("MarkerFile=a.vmrk") && got.warnings[1].contains("without"));
    std::fs::write(path("a.eeg"), shorts(&[1, 2, 3, 4])).unwrap();
    std::fs::write(path("a.vmrk"), MARKS).unwrap();
    std::fs::write(path("b.vmrk"), "").unwrap();
    for name in ["b.vhdr", "b.eeg", "b.vmrk"] {
        let got = crate::formats::read(&path(name)).unwrap();
        assert_eq!(samples(&got).rows(), 2);
        assert_eq!(got.streams[0].name, "b");
    }
}

proptest! {
    #[test]
    fn survives_any_bytes(
        vhdr in prop::collection::vec(any::<u8>(), 0..300),
        data in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let _ = parse(&vhdr, &data, Some(&vhdr), "x");
        let start = header("", "INT_16");
        let _ = parse(&[start.as_bytes(), &vhdr].concat(), &data, Some(&vhdr), "x");
    }

    #[test]
    fn survives_mutations(
        cut in 0_usize..500,
        changes in prop::collection::vec((0_usize..500, any::<u8>()), 0..8),
        format in prop::sample::select(vec!["INT_16", "INT_32", "IEEE_FLOAT_32"]),
        vectorized: bool,
        data in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut vhdr = header("DataPoints=7", format);
        if vectorized { vhdr = vhdr.replace("MULTIPLEXED", "VECTORIZED"); }
        let mut vhdr = vhdr.into_bytes();
        let mut marks = MARKS.as_bytes().to_vec();
        for (at, byte) in changes {
            if let Some(b) = vhdr.get_mut(at) { *b = byte; }
            if let Some(b) = marks.get_mut(at) { *b = byte; }
        }
        let whole = parse(&vhdr, &data, Some(&marks), "x");
        vhdr.truncate(cut);
        for recording in [whole, parse(&vhdr, &data, Some(&marks), "x")].into_iter().flatten() {
            let samples = samples(&recording);
            assert_eq!(samples.values.len(), samples.rows() * samples.cols);
            let _ = recording.describe().to_string();
        }
    }
}
