//! Compares what the readers make of every real recording with what MNE and pyxdf make of it.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use saltatory::formats::{self, Content, Recording};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The Python that has MNE and pyxdf.
fn python() -> Option<PathBuf> {
    let set = std::env::var_os("SALTATORY_PYTHON").map(PathBuf::from);
    let path = set.unwrap_or_else(|| support::root().join(".venv/bin/python"));
    path.is_file().then_some(path)
}

/// Every recording below the folder of real data that the readers are for.
fn files(data: &Path) -> Vec<PathBuf> {
    let folders = ["physionet-eegmmidb", "xdf", "formats", "formats/brainvision", "ieeg"];
    let mut found: Vec<PathBuf> = folders
        .iter()
        .chain(&["ieeg/fedele-hfo"])
        .filter_map(|f| std::fs::read_dir(data.join(f)).ok())
        .flat_map(|entries| entries.map(|e| e.unwrap().path()))
        .filter(|p| {
            let extension = p.extension().unwrap_or_default().to_string_lossy();
            matches!(&*extension, "edf" | "bdf" | "xdf" | "vhdr")
        })
        .collect();
    found.sort();
    found
}

/// Writes numbers as little-endian doubles.
fn write(path: &Path, numbers: &[f64]) {
    let bytes: Vec<u8> = numbers.iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(path, bytes).unwrap();
}

/// Writes a recording as JSON beside files of numbers, which leave the JSON empty.
fn dump(mut recording: Recording, folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    for (index, stream) in recording.streams.iter_mut().enumerate() {
        if let Content::Samples(samples) = &mut stream.content {
            write(&folder.join(format!("{index}.values")), &samples.values);
            if let Some(stamps) = &samples.stamps {
                write(&folder.join(format!("{index}.stamps")), stamps);
            }
            samples.values.clear();
            samples.stamps = None;
        }
    }
    let json = serde_json::to_string(&recording).unwrap();
    std::fs::write(folder.join("recording.json"), json).unwrap();
}

#[test]
fn agrees_with_mne_and_pyxdf() {
    let required = std::env::var("SALTATORY_REQUIRE_PYTHON").is_ok_and(|v| v == "1");
    let Some(python) = python() else {
        assert!(!required, "no Python at .venv/bin/python nor in SALTATORY_PYTHON");
        println!("skipped: no Python; `make test` makes one and runs this");
        return;
    };
    let Some(data) = support::recordings() else {
        println!("skipped: the recordings in ../shared/data are not there");
        return;
    };
    let files = files(&data);
    assert!(files.len() >= 30, "only {} recordings in {}", files.len(), data.display());
    let folder = tempfile::tempdir().unwrap();
    for (index, path) in files.iter().enumerate() {
        let recording = formats::read(path).unwrap_or_else(|e| panic!("{e}"));
        dump(recording, &folder.path().join(format!("{index:03}")));
    }
    let output = Command::new(python)
        .arg(support::root().join("tests/interop/formats.py"))
        .arg(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
