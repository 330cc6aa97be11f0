//! Compares what the readers make of every real recording with what MNE, pyxdf, NumPy and SciPy
//! make of it.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use saltatory::formats::{self, Content, Recording};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The Python that has MNE, pyxdf and SciPy.
fn python() -> Option<PathBuf> {
    let set = std::env::var_os("SALTATORY_PYTHON").map(PathBuf::from);
    let path = set.unwrap_or_else(|| support::root().join(".venv/bin/python"));
    path.is_file().then_some(path)
}

/// Every recording below the folder of real data that the readers are for.
fn files(data: &Path) -> Vec<PathBuf> {
    let folders = [
        "physionet-eegmmidb",
        "bci2000-samples",
        "xdf",
        "formats",
        "formats/brainvision",
        "ieeg",
        "ieeg/fedele-hfo",
    ];
    let mut found: Vec<PathBuf> = folders
        .iter()
        .flat_map(|f| listed(&data.join(f), &["edf", "bdf", "xdf", "vhdr", "dat"]))
        .collect();
    found.sort();
    found
}

/// The files of a folder that have one of these extensions, sorted.
fn listed(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let wanted = |p: &PathBuf| {
        p.extension().is_some_and(|found| extensions.iter().any(|extension| found == *extension))
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut found: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).filter(wanted).collect();
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

/// The Python and the folder of recordings that a comparison needs; nothing, said aloud, where one of
/// them is not there.
fn needs() -> Option<(PathBuf, PathBuf)> {
    let required = std::env::var("SALTATORY_REQUIRE_PYTHON").is_ok_and(|v| v == "1");
    let Some(python) = python() else {
        assert!(!required, "no Python at .venv/bin/python nor in SALTATORY_PYTHON");
        println!("skipped: no Python; `make test` makes one and runs this");
        return None;
    };
    let data = support::recordings();
    if data.is_none() {
        println!("skipped: the recordings in ../shared/data are not there");
    }
    Some((python, data?))
}

/// Runs a Python script of this repository and gives what it said.
fn run(python: &Path, script: &str, arguments: &[&Path]) -> String {
    let path = support::root().join(script);
    let output = Command::new(python).arg(path).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// Compares what the readers make of `files` with what Python makes of them.
fn compare(files: &[PathBuf], python: &Path, data: &Path) {
    let folder = tempfile::tempdir().unwrap();
    for (index, path) in files.iter().enumerate() {
        let recording = formats::read(path).unwrap_or_else(|e| panic!("{e}"));
        dump(recording, &folder.path().join(format!("{index:03}")));
    }
    println!("{}", run(python, "tests/interop/formats.py", &[folder.path(), data]));
}

#[test]
fn agrees_with_mne_pyxdf_and_numpy() {
    let Some((python, data)) = needs() else { return };
    let files = files(&data);
    assert!(files.len() >= 35, "only {} recordings in {}", files.len(), data.display());
    compare(&files, &python, &data);
}

#[test]
fn trials_come_back_as_they_were_written() {
    let Some((python, data)) = needs() else { return };
    let written = tempfile::tempdir().unwrap();
    let sessions = listed(&data.join("bci-competition-iv-2b"), &["mat"]);
    assert_eq!(sessions.len(), 5);
    let mut arguments = vec![written.path()];
    arguments.extend(sessions.iter().map(PathBuf::as_path));
    run(&python, "docs/interop/graz_epochs.py", &arguments);
    let files = listed(written.path(), &["safetensors"]);
    assert_eq!(files.len(), 5);
    compare(&files, &python, &data);
}
