//! The configs that come with the engine parse, the reference is up to date, and what the
//! documentation links to and tells to run exists.

#![allow(clippy::unwrap_used)]

use saltatory::{config, control, sinks, sources, stages};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of `folder` with this ending.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let mut paths: Vec<_> = entries.map(|e| e.unwrap().path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == ending));
    assert!(!paths.is_empty(), "{folder} holds no .{ending}");
    paths.sort();
    paths
}

/// The README and the pages under docs.
fn pages() -> Vec<PathBuf> {
    let mut pages = files("docs", "md");
    pages.push(root().join("README.md"));
    pages
}

#[test]
fn the_reference_is_up_to_date() {
    let written = fs::read_to_string(root().join("configs/reference.toml")).unwrap();
    assert!(
        written == control::reference::text(),
        "configs/reference.toml is stale; make it anew: \
         cargo run -- list --toml > configs/reference.toml"
    );
}

#[test]
fn every_table_of_the_reference_builds() {
    let reference: toml::Table = control::reference::text().parse().unwrap();
    for (family, tables) in &reference {
        let Some(tables) = tables.as_array() else { continue };
        for table in tables {
            let mut table = table.as_table().unwrap().clone();
            let kind = table.remove("kind").unwrap();
            let kind = kind.as_str().unwrap();
            let text = table.to_string();
            let built = match family.as_str() {
                "source" => {
                    let kind = sources::KINDS.iter().find(|k| k.name == kind).unwrap();
                    // Which stream is meant is one of several keys, none of them required alone.
                    let text =
                        if kind.name == "lsl" { format!("type = \"EEG\"\n{text}") } else { text };
                    kind.from_toml(&text).map(|_| ())
                }
                "stage" => {
                    // Nor is any of those that say which copies there are.
                    let copies = "order = 4\nlag = 8\n";
                    let text = if kind == "augmented" { format!("{copies}{text}") } else { text };
                    stages::kinds().find(|k| k.name == kind).unwrap().from_toml(&text).map(|_| ())
                }
                _ => {
                    let kind = sinks::KINDS.iter().find(|k| k.name == kind).unwrap();
                    kind.from_toml(&text).map(|_| ())
                }
            };
            built.unwrap_or_else(|e| panic!("[[{family}]] {kind}: {e}"));
        }
    }
}

#[test]
fn every_config_parses() {
    for path in files("configs", "toml") {
        if !path.ends_with("reference.toml")
            && let Err(e) = config::load(&path, &[])
        {
            panic!("{e}");
        }
    }
}

#[test]
fn links_in_the_documentation_lead_somewhere() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let images = text.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next());
        for target in targets.chain(images).filter(|t| !t.contains("://") && !t.starts_with('#')) {
            let file = target.split('#').next().unwrap_or_default();
            let path = page.parent().unwrap().join(file);
            assert!(path.exists(), "{}: {target} leads nowhere", page.display());
        }
    }
}

#[test]
fn commands_in_the_documentation_exist() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for line in shell_lines(&text) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let wrong = |what: &str| panic!("{}: `{line}`: {what}", page.display());
            match words.as_slice() {
                ["make", target, ..] if !makefile.contains(&format!("\n{target}:")) => {
                    wrong("there is no such target");
                }
                [program, command, rest @ ..] if program.ends_with("saltatory") => {
                    let help = Command::new(env!("CARGO_BIN_EXE_saltatory"))
                        .args([command, "--help"])
                        .output()
                        .unwrap();
                    if !help.status.success() {
                        wrong("there is no such command");
                    }
                    let help = String::from_utf8(help.stdout).unwrap();
                    for option in rest.iter().filter(|w| w.starts_with("--")) {
                        if !help.contains(option) {
                            wrong("there is no such option");
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

/// The commands in the ```sh blocks of a page, without variables set in front and without what is
/// done with their output.
fn shell_lines(text: &str) -> Vec<String> {
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let joined: String = blocks.map(|b| b.replace("\\\n", " ")).collect();
    let command = |line: &str| {
        let line = line.split(" #").next().unwrap_or_default();
        let line = line.split(" > ").next().unwrap_or_default();
        let words = line.split_whitespace().skip_while(|w| w.contains('=') && !w.starts_with('-'));
        words.collect::<Vec<_>>().join(" ")
    };
    joined.lines().map(command).filter(|line| !line.is_empty()).collect()
}
