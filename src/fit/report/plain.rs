//! Shows results as a table for the terminal.

use crate::fit::{Choice, Evaluation, Felt, Phase};
use std::fmt::Write as _;

/// A table for the terminal.
pub fn table(results: &[Evaluation]) -> String {
    let online = results.iter().any(|r| r.online.is_some());
    // The name of the only pipeline says nothing.
    let named = results.iter().any(|r| r.pipeline != results[0].pipeline);
    let mut rows = vec![heads(online)];
    rows.extend(results.iter().map(|r| if online { felt(r) } else { scored(r) }));
    let skipped = usize::from(!named);
    let rows: Vec<&[String]> = rows.iter().map(|row| &row[skipped..]).collect();
    let width = |c: usize| rows.iter().map(|row| row[c].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        for (c, (cell, width)) in row.iter().zip(&widths).enumerate() {
            // Names and the list of folds at the end begin on the left, numbers end on the right.
            let left = c < 2 - skipped || c + 1 == row.len();
            let _ = match left {
                true if c + 1 == row.len() => write!(text, "{cell}"),
                true => write!(text, "{cell:<width$}  "),
                false => write!(text, "{cell:>width$}  "),
            };
        }
        text.push('\n');
    }
    if results.iter().any(|r| r.filter == Phase::ZeroPhase) {
        text.push_str(
            "zero-phase: filtered forward and backward, which no live system can do; for comparison with \
             papers\n",
        );
    }
    if online {
        text.push_str(
            "windows of whole recordings; outside the trials doing nothing is right. A class takes effect when \
             enough windows in a row agree (--dwell)\n",
        );
    }
    text
}

/// The names of the columns.
fn heads(online: bool) -> Vec<String> {
    let heads: &[&str] = match online {
        true => &["accuracy", "nMCC", "AUC", "false/min", "time to decision", "hits", "windows"],
        false => &["correct", "accuracy", "95 %", "AUC", "folds"],
    };
    ["pipeline", "recording"].iter().chain(heads).map(|head| (*head).to_owned()).collect()
}

/// The name of the recording, and how it was filtered where that is not as live.
fn recording(r: &Evaluation) -> String {
    match r.filter {
        Phase::Causal => r.recording.clone(),
        Phase::ZeroPhase => format!("{} (zero-phase)", r.recording),
    }
}

/// The columns of cross-validation.
fn scored(r: &Evaluation) -> Vec<String> {
    let folds: Vec<_> = r.folds.iter().map(|f| format!("{}/{}", f.correct, f.n)).collect();
    let range = |[low, high]: [f64; 2]| format!("{:.0} to {:.0}", low * 100.0, high * 100.0);
    vec![
        r.pipeline.clone(),
        recording(r),
        format!("{}/{}", r.correct, r.n),
        format!("{:.1}%", r.accuracy * 100.0),
        r.interval.map_or_else(dash, range),
        r.auc.map_or_else(dash, |auc| format!("{auc:.2}")),
        folds.join(" "),
    ]
}

/// The columns of a pseudo-online evaluation.
fn felt(r: &Evaluation) -> Vec<String> {
    let felt = r.online.as_ref();
    let false_per_minute = felt.and_then(|f| f.false_per_minute);
    let time_s = felt.and_then(|f| f.time_to_decision_s);
    let hits = |f: &Felt| {
        let hits = (f.hit_rate * f.trials as f64).round();
        format!("{hits}/{}", f.trials)
    };
    vec![
        r.pipeline.clone(),
        recording(r),
        format!("{:.1}%", r.accuracy * 100.0),
        format!("{:.2}", r.nmcc),
        r.auc.map_or_else(dash, |auc| format!("{auc:.2}")),
        false_per_minute.map_or_else(dash, |f| format!("{f:.1}")),
        time_s.map_or_else(dash, |s| format!("{s:.1} s")),
        felt.map_or_else(dash, hits),
        r.n.to_string(),
    ]
}

fn dash() -> String {
    "-".to_owned()
}

/// What was chosen, and how much its score flatters: found on the data that it was chosen for, beside
/// that of folds that the choice knew nothing of.
pub fn tuned(choice: &Choice, nested: &[Evaluation]) -> String {
    let mut text = format!("chosen: {}\n", choice.sets.join(" "));
    for r in nested {
        let two = r.classes.len() == 2;
        let (name, score) = if two { ("AUC", r.auc) } else { ("accuracy", Some(r.accuracy)) };
        let Some(score) = score else { continue };
        let _ = writeln!(
            text,
            "{name}: {:.3} where it was chosen, {score:.3} where the choice was made without the tested \
             epochs: selection flatters by {:+.3}",
            choice.score,
            choice.score - score
        );
    }
    text
}
