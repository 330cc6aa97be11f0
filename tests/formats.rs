//! What the readers make of real recordings, without Python: counts, labels and first numbers that
//! are known from the recordings' own documentation.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use saltatory::formats::{self, Content, Recording, Samples};

/// A recording of the shared data; nothing, said aloud, where the data are not there.
fn real(name: &str) -> Option<Recording> {
    let Some(data) = support::recordings() else {
        println!("skipped: ../shared/data is not there; the unit tests read generated files");
        return None;
    };
    Some(formats::read(&data.join(name)).unwrap_or_else(|e| panic!("{e}")))
}

fn samples(recording: &Recording, stream: usize) -> &Samples {
    match &recording.streams[stream].content {
        Content::Samples(samples) => samples,
        Content::Markers(_) => panic!("stream {stream} holds markers"),
    }
}

fn close(got: &[f64], want: &[f64], bound: f64) {
    assert_eq!(got.len(), want.len());
    assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() <= bound), "{got:?} {want:?}");
}

#[test]
fn motor_imagery() {
    let Some(got) = real("physionet-eegmmidb/S001R04.edf") else { return };
    let summary = got.describe();
    let eeg = &summary.streams[0];
    assert_eq!((eeg.channels.len(), eeg.rate_hz, eeg.duration_s), (64, 160.0, 125.0));
    assert_eq!(eeg.channels[..3], ["Fc5", "Fc3", "Fc1"]);
    assert_eq!(eeg.units["uV"], 64);
    let texts: Vec<_> = summary.streams[1].markers.iter().map(|(t, n)| (t.as_str(), *n)).collect();
    assert_eq!(texts, [("T0", 15), ("T1", 8), ("T2", 7)]);
}

#[test]
fn gaps() {
    let Some(got) = real("formats/edfplus_discontinuous.edf") else { return };
    let gaps = &got.describe().streams[0].gaps;
    let ends: Vec<f64> = gaps.iter().map(|g| g.ends_s).collect();
    assert_eq!(ends, [2.0, 4.0, 12.0, 15.0, 19.0]);
    let missing: Vec<f64> = gaps.iter().map(|g| g.missing_s).collect();
    close(&missing, &[1.0, 1.0, 2.0, 2.0, 3.0], 1e-9);
}

#[test]
fn companion_files_lead_to_the_header() {
    let Some(header) = real("formats/brainvision/test.vhdr") else { return };
    for name in ["formats/brainvision/test.eeg", "formats/brainvision/test.vmrk"] {
        assert_eq!(real(name).unwrap().streams, header.streams);
    }
    let markers = &header.describe().streams[1].markers;
    assert_eq!((markers["Stimulus/S253"], markers["Optic/O  1"]), (2, 1));
}

#[test]
fn minimal_xdf() {
    let Some(got) = real("xdf/minimal.xdf") else { return };
    let eeg = samples(&got, 0);
    assert_eq!((got.streams[0].name.as_str(), eeg.rows(), eeg.cols), ("SendDataC", 9, 3));
    assert_eq!((eeg.row(0), eeg.row(8)), (&[192.0, 255.0, 238.0][..], &[15.0, 25.0, 35.0][..]));
    // The time stamps are 5.1 to 5.9, the clock offset is -0.1.
    let want: Vec<f64> = (0..9).map(|i| 5.0 + f64::from(i) / 10.0).collect();
    close(eeg.stamps.as_deref().unwrap(), &want, 1e-9);
    let markers = got.all_markers();
    assert!(markers[0].text.starts_with("<?xml"), "{}", markers[0].text);
    assert!((markers[0].time_s - 5.1).abs() < 1e-9);
    assert_eq!((got.streams[1].kind.as_str(), markers.len()), ("StringMarker", 9));
}

#[test]
fn clock_resets_xdf() {
    let Some(got) = real("xdf/clock_resets.xdf") else { return };
    let texts: Vec<_> = got.all_markers().iter().map(|m| m.text.clone()).collect();
    assert_eq!(texts.len(), 175);
    assert_eq!(texts[..3], ["XXX", "Test", "Blah"]);
    let eeg = samples(&got, 1);
    assert_eq!((eeg.rows(), eeg.cols, eeg.segments.len()), (27815, 8, 2));
    close(eeg.row(0), &[0.142, 0.463, 0.354, 0.220, 0.761, 0.323, 0.312, 0.861], 6e-4);
    close(eeg.row(27814), &[0.873, 0.064, 0.684, 0.153, 0.306, 0.123, 0.711, 0.892], 6e-4);
    // Device clock 653150.314061 with offset -652340.284, and 262.018644 with 1121.166, both tables
    // to a millisecond.
    let stamps = eeg.stamps.as_deref().unwrap();
    close(&[stamps[0], stamps[27814]], &[810.030, 1383.184], 2e-3);
}

#[test]
fn empty_streams_xdf() {
    let Some(got) = real("xdf/empty_streams.xdf") else { return };
    let counts: Vec<_> = got.describe().streams.iter().map(|s| (s.name.clone(), s.count)).collect();
    let count = |name: &str| counts.iter().find(|c| c.0 == name).unwrap().1;
    assert_eq!(count("ctrl"), 1);
    assert_eq!(count("Empty marker stream: test stream 0 counter"), 0);
    assert_eq!(count("Empty data stream: test stream 0 counter"), 0);
    assert_eq!(count("Data stream: test stream 0 counter"), 10);
    assert_eq!(got.all_markers()[0].text, "{\"state\": 2}");
    let data = got.streams.iter().position(|s| s.name.starts_with("Data stream")).unwrap();
    assert_eq!(samples(&got, data).values, (0..10).map(f64::from).collect::<Vec<_>>());
    assert_eq!(got.streams[data].channels[0].label, "ch:00");
}

/// The trials of a session with two targets, and the flashes of a speller (four letters of 15
/// sequences of 12 flashes, 2 of which are the target's).
#[test]
fn bci2000() {
    for run in 1..=3 {
        let Some(got) = real(&format!("bci2000-samples/eeg1_{run}.dat")) else { return };
        let summary = got.describe();
        let eeg = &summary.streams[0];
        assert_eq!((eeg.channels.len(), eeg.rate_hz, eeg.units["uV"]), (64, 160.0, 64));
        assert_eq!((eeg.channels[0].as_str(), eeg.channels[63].as_str()), ("Fc5", "Iz"));
        close(&[eeg.duration_s], &[123.1], 0.05);
        let markers = &summary.streams[1].markers;
        assert_eq!(markers["TargetCode 1"] + markers["TargetCode 2"], 15);
        assert!(markers.keys().all(|text| !text.starts_with("SourceTime")));
    }
    for run in 1..=2 {
        let got = real(&format!("bci2000-samples/eeg3_{run}.dat")).unwrap();
        let summary = got.describe();
        let eeg = &summary.streams[0];
        assert_eq!((eeg.channels.len(), eeg.rate_hz), (8, 256.0));
        close(&[eeg.duration_s], &[222.0], 0.05);
        let markers = &summary.streams[1].markers;
        assert_eq!(markers["StimulusType 1"], 4 * 15 * 2);
        let flashes = (1..=12).map(|code| markers[&format!("StimulusCode {code}")]);
        assert_eq!(flashes.collect::<Vec<_>>(), [60; 12]);
    }
}
