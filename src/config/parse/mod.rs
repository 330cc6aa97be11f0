//! Reads a config file and builds its units, keeping the place of everything for errors.

mod compared;

use super::overrides::Override;
use super::{Config, Deadline, Fit, Key, Node, Placement, Realtime, Tune, Unit};
use crate::deadline::Late;
use crate::error::{Error, Result, nearest};
use crate::kind::{BuildError, Kind};
use crate::model::Model;
use crate::stages::Stage;
use crate::{sinks, sources, stages};
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

type Table<'i> = Spanned<DeTable<'i>>;

/// The keys of the file itself.
const TOP: [&str; 12] = [
    "model",
    "on_gap",
    "deadline_ms",
    "late",
    "degrade",
    "realtime",
    "source",
    "stage",
    "sink",
    "fit",
    "tune",
    "compare",
];

/// The keys of the file that a pipeline under `[[compare]]` does without: it is evaluated, not run.
const LIVE: [&str; 6] = ["model", "deadline_ms", "late", "degrade", "realtime", "sink"];

/// Reads `path` and applies `sets` (`key=value` or `id.key=value`). All errors of the file come
/// at once, in the order of the file.
///
/// Settings that were tuned when the config's model was fitted come with it: they take the place of
/// those in the file, and `sets` that of both.
pub fn load(path: &Path, sets: &[String]) -> Result<Config> {
    let text = text(path)?;
    let config = parse(path, &text, sets)?;
    // A model that cannot be read is reported where it is needed.
    let model = config.model.as_deref().and_then(|path| Model::load(path).ok());
    match model.map(|model| model.facts.tuned) {
        Some(tuned) if !tuned.is_empty() => {
            tracing::info!("tuned with the model: {}", tuned.join(" "));
            parse(path, &text, &[&tuned, sets].concat())
        }
        _ => Ok(config),
    }
}

/// The text of the config at `path`.
pub fn text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|e| Error::config(format!("{}: cannot be read: {e}", path.display())))
}

/// Reads `text` as if it stood in `path`.
pub fn parse(path: &Path, text: &str, sets: &[String]) -> Result<Config> {
    read(path, text, sets, None)
}

/// Like [`parse`], with the stages of the `[[compare]]` of that name in the place of those behind the
/// windowing. `sets` for other stages are passed over.
pub fn parse_compared(path: &Path, text: &str, sets: &[String], name: &str) -> Result<Config> {
    read(path, text, sets, Some(name))
}

fn read(path: &Path, text: &str, sets: &[String], compared: Option<&str>) -> Result<Config> {
    let mut overrides: Vec<Override> = Vec::new();
    for set in sets {
        let behind = overrides.last().map_or(text.len(), |o| o.padded.len());
        overrides.push(Override::parse(set, behind)?);
    }
    let mut reader = Reader { path, text, sets: &overrides, compared, errors: Vec::new() };
    let config = reader.read();
    match config {
        Some(config) if reader.errors.is_empty() => Ok(config),
        _ => Err(Error::config(reader.errors.join("\n\n"))),
    }
}

/// Reads one file and collects its errors.
struct Reader<'i> {
    path: &'i Path,
    text: &'i str,
    sets: &'i [Override],
    /// The pipeline to read in place of the main one.
    compared: Option<&'i str>,
    errors: Vec<String>,
}

/// A table of the file that will become a unit.
struct Entry<'i> {
    table: Table<'i>,
    kind: Spanned<String>,
    id: String,
    from: Option<Vec<Spanned<String>>>,
    lane: Option<Placement>,
}

impl<'i> Reader<'i> {
    fn read(&mut self) -> Option<Config> {
        let root = match DeTable::parse(self.text) {
            Ok(root) => root,
            Err(e) => {
                self.report(e.span(), e.message(), "");
                return None;
            }
        };
        let mut root = root.into_inner();
        for set in self.sets.iter().filter(|s| s.path.len() == 1) {
            self.set(&mut root, set, &set.path[0]);
        }
        self.check_keys(&root);
        if self.compared.is_some() {
            LIVE.iter().for_each(|key| drop(root.remove(*key)));
        }
        let mut sources = self.entries(&mut root, "source");
        let mut stages = self.entries(&mut root, "stage");
        let mut sinks = self.entries(&mut root, "sink");
        let compared = self.compared(&mut root);
        let compare = compared.iter().map(|c| c.name.clone()).collect();
        let compared_tune = match self.compared {
            Some(name) => Some(self.put_in_place(name, compared, &mut stages)?),
            None => {
                compared.into_iter().for_each(|c| self.check_compared(c));
                None
            }
        };
        for set in self.sets.iter().filter(|s| s.path.len() == 2) {
            self.set_in_unit(&mut root, [&mut sources, &mut stages, &mut sinks], set);
        }
        let tune = self.value::<Tune>(&mut root, "tune");
        let tune = compared_tune.unwrap_or(tune);
        self.check_ids([&sources, &stages, &sinks]);
        if sources.is_empty() {
            self.report(None, "there is no [[source]]: say where samples come from", "");
        }
        let ids: Vec<String> = sources.iter().chain(&stages).map(|e| e.id.clone()).collect();
        let n_sources = sources.len();
        let node =
            |i: usize| if i < n_sources { Node::Source(i) } else { Node::Stage(i - n_sources) };

        let mut config = Config {
            path: self.path.to_owned(),
            model: self.value(&mut root, "model"),
            on_gap: self.value(&mut root, "on_gap").unwrap_or_default(),
            deadline: self.deadline(&mut root, &stages),
            realtime: self.realtime(&mut root),
            fit: self.value::<Fit>(&mut root, "fit"),
            tune,
            compare,
            sources: Vec::new(),
            stages: Vec::new(),
            sinks: Vec::new(),
        };
        for entry in sources {
            let unit = self.unit(entry, sources::KINDS.iter(), "source", Vec::new());
            config.sources.extend(unit);
        }
        for (i, entry) in stages.into_iter().enumerate() {
            let before = n_sources + i;
            let default = if i == 0 { Node::Source(0) } else { Node::Stage(i - 1) };
            let from = self.from(&entry, &ids[..before], &node, default);
            config.stages.extend(self.unit(entry, stages::kinds(), "stage", from));
        }
        for entry in sinks {
            let default = node(ids.len().saturating_sub(1).max(n_sources.saturating_sub(1)));
            let default = if ids.len() == n_sources { Node::Source(0) } else { default };
            let from = match entry.from {
                // Where a cheaper branch may answer, a sink wants the decisions of both.
                None if config.deadline.degrade.is_some() => ends(&config.stages),
                _ => self.from(&entry, &ids, &node, default),
            };
            config.sinks.extend(self.unit(entry, sinks::KINDS.iter(), "sink", from));
        }
        Some(config)
    }

    /// Takes the tables of `[[name]]` out of the file.
    fn entries(&mut self, root: &mut DeTable<'i>, name: &str) -> Vec<Entry<'i>> {
        let tables = self.tables(root, name);
        tables.into_iter().filter_map(|table| self.unit_table(table, name)).collect()
    }

    /// Takes the list of tables `name` out of `root`.
    fn tables(&mut self, root: &mut DeTable<'i>, name: &str) -> Vec<Table<'i>> {
        let Some(value) = root.remove(name) else { return Vec::new() };
        let span = value.span();
        let DeValue::Array(array) = value.into_inner() else {
            self.report(Some(span), &format!("`{name}` must be written as [[{name}]]"), "");
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in array {
            let span = item.span();
            match item.into_inner() {
                DeValue::Table(table) => tables.push(Spanned::new(span, table)),
                _ => self.report(Some(span), &format!("`{name}` must be a list of tables"), ""),
            }
        }
        tables
    }

    /// Takes the keys that every unit has out of its table.
    fn unit_table(&mut self, table: Table<'i>, name: &str) -> Option<Entry<'i>> {
        let span = table.span();
        let mut table = table.into_inner();
        let Some(kind) = table.remove("kind") else {
            self.report(Some(span), "the key `kind` is missing", &format!("[[{name}]]"));
            return None;
        };
        let at = kind.span();
        let kind = Spanned::new(at, self.read_as::<String>(kind, &format!("[[{name}]]"))?);
        let id = match table.remove("id") {
            Some(id) => self.read_as::<String>(id, &format!("[[{name}]] {}", kind.get_ref()))?,
            None => kind.get_ref().clone(),
        };
        let from = match table.remove("from") {
            Some(from) => Some(self.read_from(from, &format!("[[{name}]] {id}"))?),
            None => None,
        };
        let lane = match table.remove("lane") {
            Some(lane) if name == "stage" => {
                self.read_as::<Placement>(lane, &format!("[[{name}]] {id}"))
            }
            Some(lane) => {
                self.report(
                    Some(lane.span()),
                    "only a stage has a `lane`",
                    &format!("[[{name}]] {id}"),
                );
                None
            }
            None => None,
        };
        Some(Entry { table: Spanned::new(span, table), kind, id, from, lane })
    }

    /// The deadline and its policy; the stage that `degrade` names is looked for among `stages`.
    fn deadline(&mut self, root: &mut DeTable<'i>, stages: &[Entry<'_>]) -> Deadline {
        let span = |root: &DeTable<'i>, key: &str| root.get(key).map(Spanned::span);
        let at = [span(root, "deadline_ms"), span(root, "late"), span(root, "degrade")];
        let budget_ms: Option<f64> = self.value(root, "deadline_ms");
        let late = self.value(root, "late").unwrap_or_default();
        let name: Option<String> = self.value(root, "degrade");
        if budget_ms.is_some_and(|ms| !(ms > 0.0 && ms.is_finite())) {
            self.report(at[0].clone(), "key `deadline_ms`: expected a time above 0", "");
        }
        if budget_ms.is_none() && (at[1].is_some() || at[2].is_some()) {
            let first = at[1].clone().or(at[2].clone());
            self.report(first, "`late` and `degrade` need a deadline: add `deadline_ms`", "");
        }
        match (late, &name) {
            (Late::Degrade, None) => {
                let text =
                    "late = \"degrade\" needs `degrade`: the id of the stage that answers instead";
                self.report(at[1].clone(), text, "");
            }
            (Late::Skip | Late::Block, Some(_)) => {
                let text = "`degrade` is used only with late = \"degrade\"";
                self.report(at[2].clone(), text, "");
            }
            _ => {}
        }
        let degrade = name.and_then(|name| {
            let found = stages.iter().position(|e| e.id == name);
            if found.is_none() {
                let ids: Vec<&str> = stages.iter().map(|e| e.id.as_str()).collect();
                let text = format!("degrade: there is no stage `{name}`");
                self.report(at[2].clone(), &with_choices(&text, &name, &ids), "");
            }
            found
        });
        Deadline { budget_s: budget_ms.map(|ms| ms / 1e3), late, degrade }
    }

    fn realtime(&mut self, root: &mut DeTable<'i>) -> Realtime {
        let span = root.get("realtime").map(Spanned::span);
        let realtime: Realtime = self.value(root, "realtime").unwrap_or_default();
        if realtime.priority > 99 {
            let text = format!("key `priority` = {}: expected 0 to 99", realtime.priority);
            self.report(span, &text, "[realtime]");
        }
        realtime
    }

    /// `from` is one id or a list of ids.
    fn read_from(
        &mut self,
        value: Spanned<DeValue<'i>>,
        within: &str,
    ) -> Option<Vec<Spanned<String>>> {
        if value.get_ref().is_str() {
            let span = value.span();
            return Some(vec![Spanned::new(span, self.read_as(value, within)?)]);
        }
        self.read_as(value, within)
    }

    /// Makes the unit of an entry, or reports why not.
    fn unit<T: ?Sized + 'static>(
        &mut self,
        entry: Entry<'i>,
        kinds: impl Iterator<Item = &'static Kind<T>> + Clone,
        family: &str,
        from: Vec<Node>,
    ) -> Option<Unit<T>> {
        let span = entry.table.span();
        let wanted = entry.kind.get_ref();
        let Some(kind) = kinds.clone().find(|k| k.name == wanted) else {
            let names: Vec<_> = kinds.map(|k| k.name).collect();
            let message = format!("there is no {family} of kind `{wanted}`");
            self.report(Some(entry.kind.span()), &with_choices(&message, wanted, &names), "");
            return None;
        };
        let within = format!("[[{family}]] {}", entry.id);
        let spans: Vec<(String, Range<usize>)> = entry
            .table
            .get_ref()
            .iter()
            .map(|(k, v)| (k.get_ref().to_string(), v.span()))
            .collect();
        let keys: Vec<Key> = spans
            .iter()
            .map(|(name, span)| Key {
                name: name.clone(),
                place: self.place(Some(span.clone())),
                seen: self.slice(span.clone()),
            })
            .collect();
        let table = Spanned::new(span.clone(), DeValue::Table(entry.table.into_inner()));
        match (kind.build)(ValueDeserializer::from(table)) {
            Ok(built) => Some(Unit {
                id: entry.id,
                kind: kind.name,
                from,
                lane: entry.lane,
                settings: built.settings,
                place: self.place(Some(span)),
                keys,
                unit: built.unit,
            }),
            Err(BuildError::Parse(e)) => {
                let at = e.span().filter(|s| !s.is_empty()).unwrap_or(span);
                self.report(Some(at), &explain(e.message()), &within);
                None
            }
            Err(BuildError::Value(e)) => {
                let named = keys.iter().zip(&spans).find(|(k, _)| e.key() == Some(&k.name));
                let (at, message) = match (named, e.key()) {
                    (Some((key, (name, at))), _) => {
                        (at.clone(), format!("key `{name}` = {}: {e}", key.seen))
                    }
                    (None, Some(name)) => (span, format!("key `{name}`: {e}")),
                    (None, None) => (span, e.to_string()),
                };
                self.report(Some(at), &message, &within);
                None
            }
        }
    }

    /// Resolves the `from` of an entry among the ids before it.
    fn from(
        &mut self,
        entry: &Entry<'_>,
        ids: &[String],
        node: &impl Fn(usize) -> Node,
        default: Node,
    ) -> Vec<Node> {
        let Some(names) = &entry.from else { return vec![default] };
        let mut nodes = Vec::new();
        for name in names {
            match ids.iter().position(|id| id == name.get_ref()) {
                Some(i) => nodes.push(node(i)),
                None => {
                    let known: Vec<&str> = ids.iter().map(String::as_str).collect();
                    let message =
                        format!("from: there is no source or earlier stage `{}`", name.get_ref());
                    let message = with_choices(&message, name.get_ref(), &known);
                    self.report(Some(name.span()), &message, &entry.id);
                }
            }
        }
        nodes
    }

    fn check_keys(&mut self, root: &DeTable<'i>) {
        for key in root.keys() {
            if !TOP.contains(&key.get_ref().as_ref()) {
                let message = format!("unknown key `{}`", key.get_ref());
                self.report(Some(key.span()), &with_choices(&message, key.get_ref(), &TOP), "");
            }
        }
    }

    fn check_ids(&mut self, families: [&Vec<Entry<'i>>; 3]) {
        let mut seen: Vec<&str> = Vec::new();
        for entry in families.into_iter().flatten() {
            if seen.contains(&entry.id.as_str()) {
                let message =
                    format!("the id `{}` is taken; give this one an id of its own", entry.id);
                self.report(Some(entry.table.span()), &message, "");
            }
            if entry.id.is_empty() || entry.id.contains('.') {
                let message = format!("the id `{}` must not be empty or hold a dot", entry.id);
                self.report(Some(entry.table.span()), &message, "");
            }
            seen.push(&entry.id);
        }
    }

    fn set(&mut self, table: &mut DeTable<'i>, set: &'i Override, key: &str) {
        if let Some(value) = set.value() {
            table.insert(Spanned::new(value.span(), key.to_owned().into()), value);
        }
    }

    /// Applies `id.key=value` to the unit `id`, or to a table of that name.
    fn set_in_unit(
        &mut self,
        root: &mut DeTable<'i>,
        families: [&mut Vec<Entry<'i>>; 3],
        set: &'i Override,
    ) {
        let (id, key) = (&set.path[0], &set.path[1]);
        if id == "realtime" && !root.contains_key("realtime") {
            let empty = Spanned::new(0..0, DeValue::Table(DeTable::new()));
            root.insert(Spanned::new(0..0, "realtime".into()), empty);
        }
        if ["fit", "tune", "realtime"].contains(&id.as_str())
            && let Some(table) = root.get_mut(id.as_str())
        {
            if let DeValue::Table(table) = table.get_mut() {
                self.set(table, set, key);
            }
            return;
        }
        let mut known = Vec::new();
        for entry in families.into_iter().flatten() {
            if entry.id == *id {
                let span = entry.table.span();
                let table =
                    std::mem::replace(&mut entry.table, Spanned::new(span.clone(), DeTable::new()));
                let mut inner = table.into_inner();
                self.set(&mut inner, set, key);
                entry.table = Spanned::new(span, inner);
                return;
            }
            known.push(entry.id.clone());
        }
        if self.compared.is_some() {
            // It may be meant for the main pipeline, which was checked before.
            return;
        }
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let message = format!("--set {}: nothing has the id `{id}`", set.given);
        self.errors.push(with_choices(&message, id, &known));
    }

    /// Takes the value of a top-level key.
    fn value<T: serde::de::DeserializeOwned>(
        &mut self,
        root: &mut DeTable<'i>,
        key: &str,
    ) -> Option<T> {
        let value = root.remove(key)?;
        self.read_as(value, key)
    }

    fn read_as<T: serde::de::DeserializeOwned>(
        &mut self,
        value: Spanned<DeValue<'i>>,
        within: &str,
    ) -> Option<T> {
        let span = value.span();
        match T::deserialize(ValueDeserializer::from(value)) {
            Ok(value) => Some(value),
            Err(e) => {
                self.report(Some(e.span().unwrap_or(span)), &explain(e.message()), within);
                None
            }
        }
    }

    /// Writes down one error with its place and the line it stands in.
    fn report(&mut self, span: Option<Range<usize>>, message: &str, within: &str) {
        let mut text = format!("{}: {message}", self.place(span.clone()));
        if !within.is_empty() {
            let _ = write!(text, " (in {within})");
        }
        if let Some(span) = span.filter(|s| s.start < self.text.len()) {
            let start = self.text[..span.start].rfind('\n').map_or(0, |i| i + 1);
            let line = self.text[start..].lines().next().unwrap_or_default();
            let number = self.text[..start].matches('\n').count() + 1;
            let _ = write!(text, "\n  {number} | {line}");
        }
        self.errors.push(text);
    }

    /// `file:line:column` of a span, or the override that it lies in.
    fn place(&self, span: Option<Range<usize>>) -> String {
        let file = self.path.display();
        let Some(span) = span else { return file.to_string() };
        // Spans of overrides lie behind the end of the file.
        let behind = span.start >= self.text.len() && !span.is_empty();
        if behind && let Some(set) = self.sets.iter().find(|s| s.padded.len() >= span.end) {
            return format!("--set {}", set.given);
        }
        let before = &self.text[..span.start.min(self.text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        format!("{file}:{line}:{column}")
    }

    /// The text of a value, shortened to one line.
    fn slice(&self, span: Range<usize>) -> String {
        let text = if span.start < self.text.len() {
            self.text.get(span).unwrap_or_default()
        } else {
            let set = self.sets.iter().find(|s| s.padded.len() >= span.end);
            set.and_then(|s| s.padded.get(span)).unwrap_or_default()
        };
        text.lines().next().unwrap_or_default().to_owned()
    }
}

/// The stages that no other reads from.
fn ends(stages: &[Unit<dyn Stage>]) -> Vec<Node> {
    let all = (0..stages.len()).map(Node::Stage);
    all.filter(|node| !stages.iter().any(|s| s.from.contains(node))).collect()
}

/// Adds the nearest name and the list of choices to an error.
fn with_choices(message: &str, word: &str, known: &[&str]) -> String {
    let hint = nearest(word, known.iter().copied())
        .map(|near| format!("; did you mean `{near}`?"))
        .unwrap_or_default();
    format!("{message}{hint} (there is: {})", known.join(", "))
}

/// Adds the nearest name to serde's errors on unknown names, and says types in plain words.
fn explain(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let unknown = message.starts_with("unknown field") || message.starts_with("unknown variant");
    match quoted.split_first() {
        Some((word, known)) if unknown && !known.is_empty() => {
            let what = if message.starts_with("unknown field") { "key" } else { "value" };
            with_choices(&format!("unknown {what} `{word}`"), word, known)
        }
        _ => message
            .replace("missing field", "missing key")
            .replace("unknown field", "unknown key")
            .replace("invalid type: ", "wrong type: ")
            .replace("floating point", "number")
            .replace("f64", "a number")
            .replace("usize", "a whole number of 0 or more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
[[source]]
kind = \"synthetic\"
id = \"eeg\"

[[stage]]
kind = \"bandpass\"
low_hz = 8.0
high_hz = 30.0
";

    fn errors(text: &str, sets: &[&str]) -> String {
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        match parse(Path::new("my.toml"), text, &sets) {
            Ok(_) => panic!("must not parse"),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn a_good_config_parses_and_takes_overrides() {
        let sets = ["bandpass.low_hz=6".to_owned(), "model=m.safetensors".to_owned()];
        let config = parse(Path::new("my.toml"), GOOD, &sets).unwrap();
        assert_eq!(config.stages[0].settings["low_hz"], 6.0);
        assert_eq!(config.model.as_deref(), Some(Path::new("m.safetensors")));
        assert_eq!(config.stages[0].from, [Node::Source(0)]);
    }

    #[test]
    fn a_wrong_key_names_place_and_nearest() {
        let text = errors(&GOOD.replace("low_hz", "lo_hz"), &[]);
        assert!(
            text.starts_with("my.toml:7:1: unknown key `lo_hz`; did you mean `low_hz`?"),
            "{text}"
        );
        assert!(text.contains("7 | lo_hz = 8.0"), "{text}");
    }

    #[test]
    fn a_wrong_value_names_place_key_and_value() {
        let text = errors(&GOOD.replace("8.0", "40.0"), &[]);
        assert!(text.starts_with("my.toml:8:11: key `high_hz` = 30.0:"), "{text}");
        let text = errors(&GOOD.replace("8.0", "\"x\""), &[]);
        assert!(text.starts_with("my.toml:7:10: wrong type:"), "{text}");
    }

    #[test]
    fn wrong_kinds_ids_and_inputs_are_found_together() {
        let text = errors(
            &GOOD
                .replace("\"bandpass\"", "\"bandpas\"\nfrom = \"egg\"")
                .replace("[[stage]]", "sinks = 1\n[[stage]]"),
            &["bandpas.x=1", "nobody.y=2"],
        );
        assert!(text.contains("did you mean `bandpass`?"), "{text}");
        assert!(text.contains("no source or earlier stage `egg`; did you mean `eeg`?"), "{text}");
        assert!(text.contains("--set nobody.y=2: nothing has the id `nobody`"), "{text}");
    }

    #[test]
    fn an_error_in_an_override_says_so() {
        let text = errors(GOOD, &["bandpass.low_hz=6", "bandpass.high_hz=5"]);
        assert!(text.starts_with("--set bandpass.high_hz=5: key `high_hz` = 5:"), "{text}");
        assert!(errors(GOOD, &["nonsense"]).contains("expected key=value"));
    }

    #[test]
    fn a_file_without_a_source_or_toml_is_refused() {
        assert!(errors("", &[]).contains("no [[source]]"));
        let text = errors("[[source", &[]);
        assert!(text.starts_with("my.toml:1:"), "{text}");
    }
}
