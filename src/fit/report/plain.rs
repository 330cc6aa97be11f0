//! Shows one evaluation: a table for the terminal, a small page.

use crate::fit::{Choice, Evaluation, Phase};
use std::fmt::Write as _;

/// A table for the terminal.
pub fn table(results: &[Evaluation]) -> String {
    let mut text = String::new();
    let longest = |name: fn(&Evaluation) -> &str, least: usize| {
        results.iter().map(|r| name(r).chars().count()).max().unwrap_or(0).max(least)
    };
    let width = longest(|r| &r.recording, 9);
    let zero_phase = results.iter().any(|r| r.filter == Phase::ZeroPhase);
    // The name of the only pipeline says nothing.
    let pipelines = results.iter().any(|r| r.pipeline != results[0].pipeline);
    let name = if pipelines { longest(|r| &r.pipeline, 8) + 2 } else { 0 };
    let pipeline = |text: &str| if pipelines { format!("{text:<name$}") } else { String::new() };
    let _ = writeln!(
        text,
        "{}{:<width$}  {:>7}  {:>8}  {:>5}  folds",
        pipeline("pipeline"),
        "recording",
        "correct",
        "accuracy",
        "AUC"
    );
    for r in results {
        let folds: Vec<_> = r.folds.iter().map(|f| format!("{}/{}", f.correct, f.n)).collect();
        let auc = r.auc.map_or_else(|| "-".to_owned(), |a| format!("{a:.2}"));
        let _ = writeln!(
            text,
            "{}{:<width$}  {:>7}  {:>7.1}%  {auc:>5}  {}{}",
            pipeline(&r.pipeline),
            r.recording,
            format!("{}/{}", r.correct, r.n),
            r.accuracy * 100.0,
            folds.join(" "),
            if r.filter == Phase::ZeroPhase { "  (zero-phase)" } else { "" }
        );
    }
    if zero_phase {
        text.push_str(
            "zero-phase: filtered forward and backward, which no live system can do; for comparison with \
             papers\n",
        );
    }
    text
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

/// A self-contained page with the scores and the confusion matrix.
pub fn page(title: &str, results: &[Evaluation]) -> String {
    let mut body = String::new();
    for r in results {
        let _ = write!(
            body,
            "<section><h2>{}</h2><p>{}: <b>{:.1} %</b> of {} epochs right{}</p>{}{}</section>",
            escape(&r.recording),
            escape(&r.pipeline),
            r.accuracy * 100.0,
            r.n,
            r.auc.map(|a| format!(", AUC {a:.2}")).unwrap_or_default(),
            confusion(r),
            folds(r)
        );
    }
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{0}</title><style>\
         body{{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;\
         color:#222}}table{{border-collapse:collapse;margin:1rem 0}}td,th{{padding:.4rem .8rem;\
         text-align:right;border:1px solid #ddd}}svg{{display:block}}</style><h1>{0}</h1>{body}</html>\n",
        escape(title)
    )
}

/// The confusion matrix, each row shaded by its shares.
fn confusion(r: &Evaluation) -> String {
    let mut text = String::from("<table><tr><th>true \\ decided</th>");
    for class in &r.classes {
        let _ = write!(text, "<th>{}</th>", escape(class));
    }
    text.push_str("</tr>");
    for (class, row) in r.classes.iter().zip(&r.confusion) {
        let total = row.iter().sum::<usize>().max(1);
        let _ = write!(text, "<tr><th>{}</th>", escape(class));
        for n in row {
            let share = *n as f64 / total as f64;
            let _ = write!(
                text,
                "<td style=\"background:rgba(40,110,220,{:.2})\">{n}</td>",
                share * 0.7
            );
        }
        text.push_str("</tr>");
    }
    text + "</table>"
}

/// One bar per fold, with the level of chance.
fn folds(r: &Evaluation) -> String {
    let (width, height) = (60, 120);
    let total = width * r.folds.len();
    let mut text = format!(
        "<svg width=\"{total}\" height=\"{}\" role=\"img\" aria-label=\"accuracy per fold\">",
        height + 20
    );
    for (i, f) in r.folds.iter().enumerate() {
        let share = f.correct as f64 / f.n.max(1) as f64;
        let h = share * f64::from(height);
        let (x, y) = (i * width + 8, f64::from(height) - h);
        let _ = write!(
            text,
            "<rect x=\"{x}\" y=\"{y:.1}\" width=\"44\" height=\"{h:.1}\" fill=\"#286edc\"/>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"middle\" font-size=\"12\">{}/{}</text>",
            x + 22,
            height + 15,
            f.correct,
            f.n
        );
    }
    let chance = f64::from(height) * (1.0 - 1.0 / r.classes.len().max(1) as f64);
    let _ = write!(
        text,
        "<line x1=\"0\" x2=\"{total}\" y1=\"{chance:.1}\" y2=\"{chance:.1}\" stroke=\"#c33\" \
         stroke-dasharray=\"4\"/></svg><p>Accuracy per fold; the dashed line is chance.</p>"
    );
    text
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
