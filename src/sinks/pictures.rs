//! Writes pictures as PNG files, and what is known of each beside them.
//!
//! Each run has a folder of its own, named after the time at which it began, so that nothing that an earlier run
//! wrote is overwritten. A picture is named after the number of the newest sample that it rests on.
//! `index.jsonl` has a line for each, with what the other inputs of the sink say of the same window. A line is
//! written when all inputs have spoken, or when so many later windows have come that the others are not waited for
//! any longer, or at the end of the run. The format is documented in `docs/formats.md`.

use super::messages::Messages;
use super::picture::{Format, Picture};
use super::{Delivery, RunFacts, Sink};
use crate::clock;
use crate::error::{Error, Result};
use crate::frame::Spec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// For so many later windows what other inputs say of a picture is waited for.
const PATIENCE: usize = 64;

/// Writes pictures as PNG files into a new folder for each run, with an index that says what the sink's other inputs
/// (decisions, rankings, texts) say of the same window.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The folder in which each run makes its own.
    pub path: PathBuf,
}

impl crate::kind::Settings<dyn Sink> for Settings {
    const EXAMPLE: &'static str = "path = \"pictures\"\n";

    fn build(self) -> Result<Box<dyn Sink>> {
        Ok(Box::new(Pictures {
            path: self.path,
            folder: PathBuf::new(),
            index: None,
            shapes: Vec::new(),
            says: Messages::default(),
            run: RunFacts::default(),
            windows: VecDeque::new(),
        }))
    }
}

/// The sink.
struct Pictures {
    path: PathBuf,
    /// That of this run.
    folder: PathBuf,
    index: Option<File>,
    /// For each input the shape of its pictures, if it has any.
    shapes: Vec<Option<Picture>>,
    says: Messages,
    run: RunFacts,
    /// The newest windows whose line is not written yet.
    windows: VecDeque<Window>,
}

/// What is known of a window.
struct Window {
    last: u64,
    /// How many inputs have spoken.
    heard: usize,
    /// The file of the picture, once there is one.
    file: Option<String>,
    line: Map<String, Value>,
}

impl Sink for Pictures {
    fn open(&mut self, inputs: &[Spec], run: &RunFacts) -> Result<()> {
        self.shapes = inputs.iter().map(Picture::of).collect();
        if self.shapes.iter().all(Option::is_none) {
            return Err(Error::mismatch("takes pictures, but none of its inputs makes any"));
        }
        self.says = Messages::of(inputs, run, None)?;
        self.run = run.clone();
        self.folder = new_folder(&self.path)?;
        let index = self.folder.join("index.jsonl");
        self.index = Some(File::create_new(&index).map_err(|e| failed(&index, &e))?);
        let mut head = Map::new();
        head.insert("saltatory".into(), env!("CARGO_PKG_VERSION").into());
        head.insert("started_s".into(), clock::now_s().into());
        head.extend(self.says.head());
        self.line(&head)
    }

    fn urgent(&self) -> bool {
        false
    }

    fn write(&mut self, delivery: &Delivery) -> Result<()> {
        let frame = &delivery.frame;
        let subject = self.says.subject(delivery)?;
        if subject.is_empty() {
            return Ok(());
        }
        let shape = self.shapes.get(frame.input).copied().flatten();
        let file = shape.map(|shape| self.save(shape, delivery)).transpose()?;
        let facts = self.says.facts(delivery)?;
        let last = frame.span.last;
        let at = match self.windows.iter().position(|w| w.last == last) {
            Some(at) => at,
            None => {
                self.windows.push_back(Window { last, heard: 0, file: None, line: Map::new() });
                self.windows.len() - 1
            }
        };
        let window = &mut self.windows[at];
        window.heard += 1;
        window.line.extend(subject);
        if file.is_some() {
            // The times are those of the picture.
            window.file = file;
            window.line.extend(facts);
        }
        if window.heard == self.shapes.len() {
            self.finish(at)?;
        }
        match self.windows.len() > PATIENCE {
            true => self.finish(0),
            false => Ok(()),
        }
    }

    fn close(&mut self) -> Result<()> {
        while !self.windows.is_empty() {
            self.finish(0)?;
        }
        let pages = serde_json::to_value(self.run.ledger.pages()).unwrap_or_default();
        self.line(&Map::from_iter([("ledger".to_owned(), pages)]))
    }
}

impl Pictures {
    /// Writes a picture, and gives the name of its file.
    fn save(&self, shape: Picture, delivery: &Delivery) -> Result<String> {
        let frame = &delivery.frame;
        let bytes = shape.encode(&frame.data, Format::Png)?;
        let several = self.shapes.iter().flatten().count() > 1;
        let input = if several { format!("-{}", frame.input) } else { String::new() };
        let stem = format!("{:012}{input}", frame.span.last);
        let names = (1..).map(|n| match n {
            1 => format!("{stem}.png"),
            n => format!("{stem}-{n}.png"),
        });
        for name in names {
            let path = self.folder.join(&name);
            match File::create_new(&path) {
                Ok(mut file) => {
                    file.write_all(&bytes).map_err(|e| failed(&path, &e))?;
                    return Ok(name);
                }
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(failed(&path, &e)),
            }
        }
        Err(Error::run("there are no more names for pictures"))
    }

    /// Writes the line of window `at`, if there is a picture of it.
    fn finish(&mut self, at: usize) -> Result<()> {
        let Some(window) = self.windows.remove(at) else { return Ok(()) };
        let Some(file) = window.file else { return Ok(()) };
        let mut line = Map::from_iter([("file".to_owned(), Value::from(file))]);
        line.extend(window.line);
        self.line(&line)
    }

    fn line(&mut self, line: &Map<String, Value>) -> Result<()> {
        let Some(index) = &mut self.index else { return Ok(()) };
        let failed = |e: std::io::Error| failed(&self.folder.join("index.jsonl"), &e);
        let text = serde_json::to_string(line).map_err(|e| failed(e.into()))? + "\n";
        index.write_all(text.as_bytes()).map_err(failed)
    }
}

/// Makes a folder that was not there before, named after the time.
fn new_folder(path: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(path).map_err(|e| failed(path, &e))?;
    let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let stamp = stamp(unix_s);
    let names = (1..=1000).map(|n| match n {
        1 => stamp.clone(),
        n => format!("{stamp}-{n}"),
    });
    for folder in names.map(|name| path.join(name)) {
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(failed(&folder, &e)),
        }
    }
    Err(Error::run(format!("{}: has a thousand folders of this second", path.display())))
}

/// Seconds since 1970 as `20261129T122335Z`.
fn stamp(unix_s: u64) -> String {
    let (days, second) = (unix_s / 86400, unix_s % 86400);
    // Years counted from March, in periods of 400 years that all have as many days.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + 400 * era + next;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

fn failed(path: &Path, e: &std::io::Error) -> Error {
    Error::run(format!("{}: cannot write: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Channel, Payload};

    fn images() -> Spec {
        let grey = vec![Channel::named("grey")];
        Spec { payload: Payload::Image, rows: 2, cols: 2, channels: grey, ..Spec::markers() }
    }

    fn scores() -> Spec {
        let classes = vec!["left".to_owned(), "right".to_owned()];
        Spec { payload: Payload::Scores, rows: 1, cols: 2, classes, ..Spec::markers() }
    }

    fn delivery(spec: &Spec, input: usize, last: u64, data: &[f64]) -> Delivery {
        let mut delivery = Delivery::with_room(spec, 0);
        delivery.frame.resize(spec.rows, spec.cols);
        delivery.frame.data.copy_from_slice(data);
        (delivery.frame.input, delivery.frame.span.last) = (input, last);
        delivery
    }

    fn sink(path: &Path) -> Box<dyn Sink> {
        crate::kind::Settings::build(Settings { path: path.to_owned() }).unwrap()
    }

    /// What one run wrote: the lines of its index, and its folder.
    fn run(path: &Path, deliveries: &[Delivery]) -> (Vec<Value>, PathBuf) {
        let before: Vec<PathBuf> = folders(path);
        let mut sink = sink(path);
        sink.open(&[images(), scores()], &RunFacts::default()).unwrap();
        deliveries.iter().for_each(|d| sink.write(d).unwrap());
        sink.close().unwrap();
        let new: Vec<PathBuf> = folders(path).into_iter().filter(|f| !before.contains(f)).collect();
        assert_eq!(new.len(), 1, "a folder for each run");
        let index = std::fs::read_to_string(new[0].join("index.jsonl")).unwrap();
        let lines = index.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (lines, new[0].clone())
    }

    fn folders(path: &Path) -> Vec<PathBuf> {
        std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn each_picture_is_a_file_with_a_line_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let picture = |last| delivery(&images(), 0, last, &[0.0, 1.0, 0.2, 0.4]);
        let decision = |last| delivery(&scores(), 1, last, &[0.25, 0.75]);
        // A decision before its picture, one behind it, one without; a picture without.
        let sent = [decision(7), picture(7), picture(9), decision(9), decision(11), picture(13)];
        let (lines, first) = run(folder.path(), &sent);
        let files: Vec<_> = lines.iter().filter_map(|line| line["file"].as_str()).collect();
        assert_eq!(files, ["000000000007.png", "000000000009.png", "000000000013.png"]);
        assert_eq!((&lines[1]["label"], &lines[2]["label"]), (&"right".into(), &"right".into()));
        assert!(lines[3].get("label").is_none() && lines[3]["image"]["width"] == 2);
        assert_eq!(lines[2]["last_sample"], 9);
        assert!(lines[0]["inputs"][0]["shows"] == "image" && lines[4].get("ledger").is_some());
        let bytes = std::fs::read(first.join(files[1])).unwrap();
        let pixels = image::load_from_memory(&bytes).unwrap().into_luma8().into_raw();
        assert_eq!(pixels, [0, 255, 51, 102]);
        let (_, second) = run(folder.path(), &[picture(7), picture(7)]);
        assert!(first != second && second.join("000000000007-2.png").exists());
    }

    #[test]
    fn what_is_not_complete_is_not_waited_for_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let picture = |last| delivery(&images(), 0, last, &[0.0; 4]);
        let mut sink = sink(folder.path());
        sink.open(&[images(), scores()], &RunFacts::default()).unwrap();
        (0..100).for_each(|i| sink.write(&picture(i)).unwrap());
        let index = std::fs::read_to_string(folders(folder.path())[0].join("index.jsonl")).unwrap();
        assert_eq!(index.lines().count(), 1 + 100 - PATIENCE);
    }

    #[test]
    fn it_wants_pictures() {
        let folder = tempfile::tempdir().unwrap();
        assert!(sink(folder.path()).open(&[scores()], &RunFacts::default()).is_err());
    }

    #[test]
    fn days_are_counted_as_the_calendar_does() {
        assert_eq!(stamp(0), "19700101T000000Z");
        assert_eq!(stamp(951_782_400), "20000229T000000Z");
        assert_eq!(stamp(1_795_954_955), "20261129T122235Z");
        assert_eq!(stamp(4_107_542_399), "21000228T235959Z");
    }
}
