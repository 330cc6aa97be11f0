//! Scores in tables and with their intervals; differences; confusions.

use super::data::distinct;
use super::html::{escape, legend, percent, section};
use super::svg::{Anchor, NAME, SERIES, Scale, Svg, label, share_range, short, step};
use super::{ConfusionTable, LEVEL, Report, Score};
use crate::fit::stats::Interval;
use std::fmt::Write as _;

/// Pipelines beside recordings: a table, then the same with intervals.
pub fn summary(report: &Report) -> String {
    if report.scores.is_empty() {
        return String::new();
    }
    let pipelines = distinct(report.scores.iter().map(|s| s.pipeline.as_str()));
    let recordings = distinct(report.scores.iter().map(|s| s.recording.as_str()));
    let note = "Share of trials decided rightly, with 95 % intervals (Wilson; over recordings for the \
                mean: bootstrap). Bold: best of the row. &#8727; not better than chance at 5 %.";
    let content = table(report, &pipelines, &recordings) + &forest(report, &pipelines, &recordings);
    section("Accuracy", note, &content)
}

fn find<'a>(report: &'a Report, pipeline: &str, recording: &str) -> Option<&'a Score> {
    report.scores.iter().find(|s| s.pipeline == pipeline && s.recording == recording)
}

fn table(report: &Report, pipelines: &[&str], recordings: &[&str]) -> String {
    let mut text = String::from("<table><thead><tr><th class=\"name\">recording</th>");
    for pipeline in pipelines {
        let _ = write!(text, "<th>{}</th>", escape(pipeline));
    }
    text.push_str("<th>chance<br/>limit at 5 %</th></tr></thead><tbody>");
    for recording in recordings {
        let row: Vec<_> = pipelines.iter().map(|p| find(report, p, recording)).collect();
        let best = row.iter().flatten().map(|s| s.accuracy.value).fold(f64::MIN, f64::max);
        let _ = write!(text, "<tr><td class=\"name\">{}</td>", escape(recording));
        for score in &row {
            text.push_str(&score.map_or("<td>&#8211;</td>".to_owned(), |s| cell(s, best)));
        }
        let first = row.iter().flatten().next();
        let limit = first.and_then(|s| s.better_than_chance).map_or("&#8211;".into(), percent);
        let chance = first.map_or(String::new(), |s| percent(s.chance));
        let _ = write!(text, "<td>{chance}<small>{limit}</small></td></tr>");
    }
    if !report.means.is_empty() {
        text.push_str("<tr class=\"mean\"><td class=\"name\">mean</td>");
        for pipeline in pipelines {
            let mean = report.means.iter().find(|m| m.pipeline == *pipeline);
            let mean = mean.map_or("&#8211;".to_owned(), |m| with_interval(&m.accuracy));
            let _ = write!(text, "<td>{mean}</td>");
        }
        text.push_str("<td></td></tr>");
    }
    text + "</tbody></table>"
}

fn cell(score: &Score, best: f64) -> String {
    let mut class = Vec::new();
    if score.accuracy.value >= best {
        class.push("best");
    }
    let mut remark = "";
    if !score.is_better_than_chance() {
        class.push("chance");
        remark = "&#8727; ";
    }
    format!("<td class=\"{}\">{remark}{}</td>", class.join(" "), with_interval(&score.accuracy))
}

fn with_interval(share: &Interval) -> String {
    let [value, low, high] = [share.value, share.low, share.high].map(|v| 100.0 * v);
    format!("{value:.1} %<small>{low:.0} to {high:.0}</small>")
}

/// One line per recording, one mark with its interval per pipeline.
fn forest(report: &Report, pipelines: &[&str], recordings: &[&str]) -> String {
    let (left, width, pitch) = (190.0, 960.0, 15.0);
    let band = pitch * pipelines.len() as f64 + 14.0;
    let bottom = 10.0 + band * recordings.len() as f64;
    let mut svg = Svg::new(width, bottom + 44.0, "accuracy with intervals");
    let ends = report.scores.iter().flat_map(|s| [s.accuracy.low, s.accuracy.high, s.chance]);
    let scale = Scale::new(share_range(ends), [left, width - 24.0]);
    for tick in scale.ticks(8.0) {
        let x = scale.at(tick);
        svg.line("grid", [x, 10.0], [x, bottom]);
        svg.text("tick", [x, bottom + 17.0], Anchor::Middle, &percent(tick));
    }
    svg.text("soft", [(left + width - 24.0) / 2.0, bottom + 37.0], Anchor::Middle, "accuracy");
    for (row, recording) in recordings.iter().enumerate() {
        let top = 10.0 + band * row as f64;
        if row > 0 {
            svg.line("grid", [0.0, top], [width - 24.0, top]);
        }
        svg.text(
            "name",
            [left - 14.0, top + band / 2.0 + 4.0],
            Anchor::End,
            &short(recording, NAME),
        );
        for (i, pipeline) in pipelines.iter().enumerate() {
            let Some(score) = find(report, pipeline, recording) else { continue };
            let y = top + 7.0 + pitch * (i as f64 + 0.5);
            one(&mut svg, &scale, score, i, y);
        }
        let chances: Vec<&Score> =
            report.scores.iter().filter(|s| s.recording == *recording).collect();
        if let Some(score) = chances.first() {
            let x = scale.at(score.chance);
            svg.line("chance", [x, top], [x, top + band]);
            if let Some(limit) = score.better_than_chance {
                let x = scale.at(limit);
                svg.line("limit", [x, top + 4.0], [x, top + band - 4.0]);
            }
        }
    }
    svg.line("axis", [left, bottom], [width - 24.0, bottom]);
    let mut swatch = Svg::new(28.0, 14.0, "");
    swatch.line("chance", [6.0, 0.0], [6.0, 14.0]);
    swatch.line("limit", [20.0, 1.0], [20.0, 13.0]);
    let more = format!("<span>{}chance, and its limit at 5 %</span>", swatch.finish());
    format!("<br/>{}{}", legend(pipelines.iter().copied(), &more), svg.finish())
}

fn one(svg: &mut Svg, scale: &Scale, score: &Score, i: usize, y: f64) {
    let Interval { value, low, high } = score.accuracy;
    let class = format!("whisker s{}", i % SERIES);
    svg.line(&class, [scale.at(low), y], [scale.at(high), y]);
    let title = format!(
        "{}, {}: {} of {} right, {:.1} %",
        score.pipeline,
        score.recording,
        score.correct,
        score.n,
        100.0 * value
    );
    svg.mark(i, false, [scale.at(value), y], 5.0, &title);
}

/// Pipelines two by two.
pub fn differences(report: &Report) -> String {
    if report.differences.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "<table><thead><tr><th class=\"name\">first</th><th class=\"name\">second</th>\
         <th class=\"name\">recordings</th><th>difference<br/>in points</th>\
         <th class=\"name\">test</th><th>p</th><th>p adjusted</th><th class=\"name\">finding</th>\
         </tr></thead><tbody>",
    );
    for d in &report.differences {
        let Interval { value, low, high } = d.difference;
        let range = if low < high {
            format!("<small>{:+.1} to {:+.1}</small>", 100.0 * low, 100.0 * high)
        } else {
            String::new()
        };
        let finding = if d.p_adjusted > LEVEL {
            "not told apart".to_owned()
        } else {
            let better = if value > 0.0 { &d.first } else { &d.second };
            format!("<span class=\"found\">{} is better</span>", escape(better))
        };
        let _ = write!(
            text,
            "<tr><td class=\"name\">{}</td><td class=\"name\">{}</td><td class=\"name\">{}</td>\
             <td>{:+.1}{range}</td><td class=\"name\">{}</td><td>{}</td><td>{}</td>\
             <td class=\"name\">{finding}</td></tr>",
            escape(&d.first),
            escape(&d.second),
            escape(&d.recordings),
            100.0 * value,
            escape(&d.test),
            p_value(d.p),
            p_value(d.p_adjusted),
        );
    }
    text.push_str("</tbody></table>");
    let note = "Accuracy of the first less that of the second, on the same trials or recordings. All tests \
                are two-sided; the adjusted p accounts for their number (Holm), and a finding is one \
                below 0.05.";
    section("Differences", note, &text)
}

fn p_value(p: f64) -> String {
    if p < 0.001 { "&lt; 0.001".to_owned() } else { format!("{p:.3}") }
}

/// What each column of the table of details shows: `None` where a score has no such number.
type Column = (&'static str, fn(&Score) -> Option<String>);

const COLUMNS: [Column; 9] = [
    ("right", |s| Some(format!("{} / {}", s.correct, s.n))),
    ("balanced<br/>accuracy", |s| Some(format!("{:.1} %", 100.0 * s.balanced_accuracy))),
    ("kappa", |s| Some(format!("{:.2}", s.kappa))),
    ("nMCC", |s| Some(format!("{:.2}", s.nmcc))),
    ("AUC", |s| s.auc.map(|v| format!("{v:.2}"))),
    ("bits<br/>per min", |s| s.bits_per_minute.map(|v| format!("{v:.1}"))),
    ("false<br/>per min", |s| s.false_per_minute.map(|v| format!("{v:.1}"))),
    ("time to<br/>decision", |s| s.time_to_decision_s.map(|v| format!("{v:.2} s"))),
    ("hits", |s| s.hit_rate.map(|v| format!("{:.0} %", 100.0 * v))),
];

/// All numbers of each score. Columns that nothing has a number for are left out.
pub fn details(report: &Report) -> String {
    let scores = &report.scores;
    let columns: Vec<&Column> =
        COLUMNS.iter().filter(|(_, get)| scores.iter().any(|s| get(s).is_some())).collect();
    if scores.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "<table><thead><tr><th class=\"name\">recording</th><th class=\"name\">pipeline</th>",
    );
    for (name, _) in &columns {
        let _ = write!(text, "<th>{name}</th>");
    }
    text.push_str("</tr></thead><tbody>");
    for score in scores {
        let (recording, pipeline) = (escape(&score.recording), escape(&score.pipeline));
        let _ = write!(
            text,
            "<tr><td class=\"name\">{recording}</td><td class=\"name\">{pipeline}</td>"
        );
        for (_, get) in &columns {
            let _ = write!(text, "<td>{}</td>", get(score).unwrap_or("&#8211;".into()));
        }
        text.push_str("</tr>");
    }
    text.push_str("</tbody></table>");
    let mut note =
        "nMCC: Matthews correlation moved to 0 to 1, where 0.5 is chance. AUC: area under the ROC \
                    curve, 0.5 is chance."
            .to_owned();
    if scores.iter().any(|s| s.hit_rate.is_some()) {
        note += " False: decisions that took effect while nothing was meant, per minute of idle time. Time \
                 to decision: median from the cue until the right class took effect; hits: share of the \
                 trials in which it did.";
    }
    section("All scores", &note, &text)
}

/// What was taken for what.
pub fn confusions(report: &Report) -> String {
    if report.confusions.is_empty() {
        return String::new();
    }
    let tables: String = report.confusions.iter().map(confusion).collect();
    let note =
        "Rows: what was meant; columns: what was decided. The shade is the share of the row.";
    section("Confusions", note, &format!("<div class=\"row\">{tables}</div>"))
}

fn confusion(table: &ConfusionTable) -> String {
    let mut text = format!(
        "<div><h3>{}</h3><table class=\"confusion\"><thead><tr><th></th>",
        escape(&table.title)
    );
    for class in &table.classes {
        let _ = write!(text, "<th>{}</th>", escape(class));
    }
    text.push_str("</tr></thead><tbody>");
    for (class, row) in table.classes.iter().zip(table.counts.counts()) {
        let total = row.iter().sum::<usize>().max(1) as f64;
        let _ = write!(text, "<tr><th class=\"name\">{}</th>", escape(class));
        for n in row {
            let share = *n as f64 / total;
            let deep = if share > 0.7 { " class=\"deep\"" } else { "" };
            let shown = label(100.0 * share, step(1.0));
            let _ = write!(
                text,
                "<td{deep} style=\"--share:{shown}%\">{n}<small>{shown} %</small></td>"
            );
        }
        text.push_str("</tr>");
    }
    text + "</tbody></table></div>"
}
