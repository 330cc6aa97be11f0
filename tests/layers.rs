//! A module may use only modules below it, and some things stay where they belong: `unsafe`, and the
//! crates `lsl` and `zenoh`.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers from the bottom up. Modules of one row do not know each other.
const LAYERS: &[&[&str]] = &[
    &["error"],                                 // what everything may return
    &["math", "frame", "clock"],                // numbers, what flows, and when
    &["kind", "ledger", "latency", "deadline"], // how a unit enters a list; what was lost, late, promised
    &["ring", "formats", "wire"],               // threads, files and networks as bytes <-> values
    &["runtime"],                               // models that others have trained
    &["sources", "stages", "sinks"],            // the units
    &["model"],                                 // what stages learned
    &["config", "onnx"],                        // units, made and connected; models for others
    &["engine"],                                // makes them run
    &["fit"],                                   // calibration and evaluation
    &["control"],                               // what the commands do
    &["main"],                                  // the command line
];

/// Where `unsafe` may stand.
const UNSAFE: [&str; 8] = [
    "src/wire/lsl/",
    "src/ring/",
    "src/engine/rights.rs",
    "src/runtime/output.rs",
    "src/math/simd.rs",
    "src/math/simd/",
    "src/math/retrieval/approximate.rs",
    "src/formats/mapped.rs",
];

/// Where the `lsl` crate may be used.
const LSL: &str = "src/wire/lsl/";
/// Where the `zenoh` crate may be used.
const ZENOH: &str = "src/wire/zenoh/";

#[test]
fn modules_use_only_lower_ones() {
    let layer = layers();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let module = module_of(&path);
        if module == "lib" {
            continue;
        }
        let Some(own) = layer.get(module.as_str()) else {
            wrong.push(format!("{}: give the module `{module}` a layer", path.display()));
            continue;
        };
        for (number, used) in used_modules(&text) {
            let Some(other) = layer.get(used.as_str()) else { continue };
            if used != module && other >= own {
                wrong.push(format!("{}:{number}: `{module}` uses `{used}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "these break the layers:\n{}", wrong.join("\n"));
}

#[test]
fn unsafe_and_the_crates_of_networks_stay_at_home() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let shown = path.display().to_string();
        for (number, line) in code_lines(&text) {
            let words: Vec<&str> = words(line).collect();
            if words.contains(&"unsafe") && !UNSAFE.iter().any(|home| shown.starts_with(home)) {
                wrong.push(format!("{shown}:{number}: unsafe"));
            }
            let imports = line.contains("use lsl::") || line.contains("use lsl_sys");
            let names = words.contains(&"lsl_sys") || line.contains(" ::lsl::");
            if (imports || names) && !shown.starts_with(LSL) {
                wrong.push(format!("{shown}:{number}: the lsl crate"));
            }
            // As a path of its own, and not as the module of that name.
            let mut zenoh = line.match_indices("zenoh::").map(|(at, _)| &line[..at]);
            if zenoh.any(|before| !before.ends_with("::")) && !shown.starts_with(ZENOH) {
                wrong.push(format!("{shown}:{number}: the zenoh crate"));
            }
        }
    }
    assert!(wrong.is_empty(), "these are not at home:\n{}", wrong.join("\n"));
}

/// The layer of each module.
fn layers() -> BTreeMap<&'static str, usize> {
    let number = |(i, row): (usize, &&'static [&'static str])| -> Vec<_> {
        row.iter().map(|module| (*module, i)).collect()
    };
    LAYERS.iter().enumerate().flat_map(number).collect()
}

/// Every file under `src` with its text; paths are relative to the repository.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                files.push((path.strip_prefix(root).unwrap().to_owned(), text));
            }
        }
    }
    assert!(files.len() > 50, "the sources were not found");
    files
}

/// The top module that a file belongs to: `stages` for `src/stages/filter/notch.rs`.
fn module_of(path: &Path) -> String {
    let top = path.iter().nth(1).unwrap().to_str().unwrap();
    top.trim_end_matches(".rs").to_owned()
}

/// The modules of ours that a file names, with line numbers. The program itself says `saltatory`
/// where the library says `crate`.
fn used_modules(text: &str) -> Vec<(usize, String)> {
    let mut used = Vec::new();
    for (number, line) in code_lines(text) {
        for root in ["crate::", "saltatory::"] {
            for after in line.split(root).skip(1) {
                let names = match after.strip_prefix('{') {
                    Some(group) => group.split('}').next().unwrap_or_default().split(',').collect(),
                    None => vec![after],
                };
                let first = |name: &&str| words(name).next().map(str::to_owned);
                used.extend(names.iter().filter_map(first).map(|name| (number, name)));
            }
        }
    }
    used
}

/// The lines that are not comments, counted from 1.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let code = |line: &&str| !line.trim_start().starts_with("//");
    (1..).zip(text.lines()).filter(move |(_, line)| code(line))
}

/// The words of a line.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty())
}

#[test]
fn names_are_found_in_every_form() {
    let text = "use crate::frame::Frame;\nuse crate::{sinks, sources::Read};\n// crate::engine\n\
                let x = crate::ring::ring();";
    let names: Vec<String> = used_modules(text).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["frame", "sinks", "sources", "ring"]);
}
