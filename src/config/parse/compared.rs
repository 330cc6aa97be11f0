//! `[[compare]]`: pipelines that are evaluated beside that of the file.

use super::{DeTable, Entry, Reader, Spanned, Tune, with_choices};
use crate::stages::{self, window};

/// A `[[compare]]` table.
pub(super) struct Compared<'i> {
    pub name: String,
    tune: Option<Tune>,
    stages: Vec<Entry<'i>>,
}

impl<'i> Reader<'i> {
    /// Takes the `[[compare]]` tables out of the file.
    pub(super) fn compared(&mut self, root: &mut DeTable<'i>) -> Vec<Compared<'i>> {
        let mut all: Vec<Compared<'i>> = Vec::new();
        for mut table in self.tables(root, "compare") {
            let span = table.span();
            let keys = table.get_mut();
            let name = keys.remove("name").and_then(|v| self.read_as(v, "[[compare]]"));
            let name: String = name.unwrap_or_default();
            let within = format!("[[compare]] {name}");
            if name.is_empty() || all.iter().any(|c| c.name == name) {
                self.report(Some(span.clone()), "expected a `name` of its own", &within);
            }
            let tune = keys.remove("tune").and_then(|v| self.read_as(v, &within));
            let stages = self.tables(keys, "stages");
            if let Some(key) = keys.keys().next() {
                let text = format!("unknown key `{}`", key.get_ref());
                let known = ["name", "tune", "stages"];
                self.report(Some(key.span()), &with_choices(&text, key.get_ref(), &known), &within);
            }
            if stages.is_empty() {
                self.report(Some(span), "expected `stages = [{ kind = \"...\" }, ...]`", &within);
            }
            let stages = stages.into_iter().filter_map(|t| self.unit_table(t, "stage")).collect();
            all.push(Compared { name, tune, stages });
        }
        all
    }

    /// Reports what is wrong with the stages of a `[[compare]]`.
    pub(super) fn check_compared(&mut self, compared: Compared<'i>) {
        for entry in compared.stages {
            if let Some(from) = &entry.from {
                let at = from.first().map(Spanned::span);
                self.report(at, "the stages of a [[compare]] stand one behind the other", "");
            }
            self.unit(entry, stages::kinds(), "stage", Vec::new());
        }
    }

    /// Puts the stages of the pipeline `name` in the place of those behind the windowing, and says what
    /// is searched in it; reports it if there is none.
    pub(super) fn put_in_place(
        &mut self,
        name: &str,
        compared: Vec<Compared<'i>>,
        stages: &mut Vec<Entry<'i>>,
    ) -> Option<Option<Tune>> {
        let Some(other) = compared.into_iter().find(|c| c.name == name) else {
            self.report(None, &format!("there is no [[compare]] of the name `{name}`"), "");
            return None;
        };
        let windowed = stages.iter().rposition(|e| makes_windows(e.kind.get_ref()));
        stages.truncate(windowed.map_or(0, |i| i + 1));
        stages.extend(other.stages);
        Some(other.tune)
    }
}

/// Whether stages of `kind` cut samples into windows.
fn makes_windows(kind: &str) -> bool {
    window::KINDS.iter().any(|k| k.name == kind)
}
