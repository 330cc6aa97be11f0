//! `saltatory list --toml`: every key that a config may hold, as the file `configs/reference.toml`.
//!
//! In: the lists of kinds. Out: TOML in which keys that must be given have an example value, keys
//! with a default have that, and the others are commented out.

use super::list::{Entry, Setting, entries, settings_of};
use crate::config::{Fit, Realtime, Tune};
use std::fmt::Write as _;

/// Comments are wrapped behind this many characters.
const WIDTH: usize = 98;

/// Stands at the head of the reference.
const HEAD: &str = "\
# Every key that a config may hold. Made by `saltatory list --toml`; a test fails when it is stale.
# This is a page to copy from, not a config to run: how one is written is in docs/config.md.
#
# Keys without a comment sign must be given (an example value is shown) or have the default shown.
# Keys behind a comment sign can be left out and have no default value.

# The model that stages which learn are filled from, relative to the working directory.
# model = \"model.safetensors\"

# What filters and windows do when samples are missing: \"reset\" starts anew, so that no decision
# mixes samples from both sides; \"bridge\" goes on as if nothing were missing.
on_gap = \"reset\"

# The deadline of a decision in milliseconds, from the arrival of its newest sample; no limit when
# left out. What happens to a window whose deadline has passed: \"skip\" passes it over for a newer
# one, \"degrade\" lets the branch of the stage `degrade` answer, \"block\" works on it all the same.
# deadline_ms = 5.0
# late = \"skip\"
# degrade = \"id of a stage\"

# Keys of every [[source]], [[stage]] and [[sink]] besides `kind` and those below:
#   id    its name in this config; the kind when left out. Each id is used once.
#   from  stages and sinks: the id, or list of ids, that the input comes from; the stage above when
#         left out (the last stage for sinks, the first source for the first stage).
#   lane  stages: \"realtime\" or \"worker\", a lane of its own behind a mailbox that keeps the newest
#         frame, for what is too slow; what follows on it runs there too.
";

/// Stands before the keys of `[fit]`.
const FIT: &str = "How `saltatory fit` and `evaluate` cut labelled epochs out of recordings. Not needed \
     when the pipeline has an `event` stage.";

/// Stands before the keys of `[tune]`.
const TUNE: &str = "What `saltatory fit --tune` and the tuned pipelines of `evaluate` search. Each list \
     applies to every stage behind the windowing that has a setting of that name; an empty one is not \
     searched.";

/// Stands for `[[compare]]`.
const COMPARE: &str = "
# Pipelines that `saltatory evaluate` scores beside the one above, on the same folds. Their stages take
# the place of those behind the windowing.
# [[compare]]
# name = \"MDM\"
# stages = [{ kind = \"covariance\" }, { kind = \"mdm\" }]
# tune = { method = \"grid\" }     # search on the training data of each fold, as in [tune]
";

/// Stands before the keys of `[realtime]`.
const REALTIME: &str =
    "What the lane asks of the machine. What is refused is reported and done without.";

/// The text of the reference.
pub fn text() -> String {
    let mut text = HEAD.to_owned();
    for entry in entries(None) {
        let head = format!("[[{}]]\nkind = \"{}\"\n", entry.family, entry.kind);
        table(&mut text, &head, &entry);
    }
    let fit = Entry {
        family: "fit",
        kind: "fit",
        summary: FIT.into(),
        settings: settings_of(&schemars::schema_for!(Fit)),
        example: "classes = { left = \"T1\", right = \"T2\" }\n",
    };
    table(&mut text, "[fit]\n", &fit);
    let tune = Entry {
        family: "tune",
        kind: "tune",
        summary: TUNE.into(),
        settings: settings_of(&schemars::schema_for!(Tune)),
        example: "",
    };
    table(&mut text, "[tune]\n", &tune);
    text.push_str(COMPARE);
    let realtime = Entry {
        family: "realtime",
        kind: "realtime",
        summary: REALTIME.into(),
        settings: settings_of(&schemars::schema_for!(Realtime)),
        example: "core = 1\n",
    };
    table(&mut text, "[realtime]\n", &realtime);
    text
}

/// Writes one table: what it is, its `head`, its keys.
fn table(text: &mut String, head: &str, entry: &Entry) {
    text.push('\n');
    wrap(text, &entry.summary);
    text.push_str(head);
    let example: toml::Table = entry.example.parse().unwrap_or_default();
    for setting in &entry.settings {
        wrap(text, &format!("{} ({})", setting.help, note(setting)));
        let key = &setting.key;
        let _ = match (value(setting), example.get(key)) {
            (Some(default), _) => writeln!(text, "{key} = {default}"),
            (None, Some(shown)) if setting.required => writeln!(text, "{key} = {shown}"),
            (None, Some(shown)) => writeln!(text, "# {key} = {shown}"),
            (None, None) => writeln!(text, "# {key} ="),
        };
    }
}

/// The type of a key and whether it can be left out.
fn note(setting: &Setting) -> String {
    let kind = &setting.kind;
    match (setting.required, setting.default.is_null()) {
        (true, _) => format!("{kind}, required"),
        (_, true) => format!("{kind}, optional"),
        _ => kind.clone(),
    }
}

/// The default of a key as TOML.
fn value(setting: &Setting) -> Option<toml::Value> {
    if setting.default.is_null() {
        return None;
    }
    toml::Value::try_from(&setting.default).ok()
}

/// Writes `words` as comment lines.
fn wrap(text: &mut String, words: &str) {
    let mut line = String::from("#");
    for word in words.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(text, "{line}");
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
}
