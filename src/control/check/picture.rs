//! The report for people.

use super::{Report, Row};
use crate::config::Config;
use crate::frame::graph::Layout;
use crate::frame::{Payload, Spec};
use console::style;
use std::fmt::Write as _;

/// What frames of `spec` are.
pub fn describe(spec: &Spec) -> String {
    match spec.payload {
        Payload::Markers => "markers".into(),
        Payload::Samples => format!("samples of {} channels", spec.cols),
        Payload::Window => format!("windows of {} x {}", spec.rows, spec.cols),
        Payload::Vector => format!("vectors of {}", spec.cols),
        Payload::Matrix => format!("matrices of {0} x {0}", spec.rows),
        Payload::Scores => format!("scores of {}", spec.classes.join(", ")),
        Payload::Embedding => format!("places in {} dimensions", spec.cols.saturating_sub(2)),
        Payload::Ranking => format!("the {} nearest items", spec.rows),
        Payload::Image => {
            let colours = spec.channels.len().max(1);
            format!("pictures of {} x {}", spec.cols / colours, spec.rows)
        }
        Payload::Text if spec.cols == 0 => "texts".into(),
        Payload::Text => format!("texts of up to {} units", spec.cols),
        Payload::Nodes => format!("{} features of {} nodes", spec.cols, spec.rows),
        Payload::Graph => match Layout::of(spec) {
            Some(graph) => format!("graphs of {} nodes, {} features", graph.nodes, graph.features),
            None => "graphs".into(),
        },
    }
}

/// The graph as a table, how long decisions take, and how old the signal is that they describe.
pub fn picture(config: &Config, report: &Report) -> String {
    let mut text = String::new();
    let verdict = match report.ok {
        true => style("good").green().bold(),
        false => style("refused").red().bold(),
    };
    let _ = writeln!(text, "{verdict} {}\n", config.path.display());
    table(&mut text, &report.graph);
    if report.engine.is_some() {
        text.push_str(
            "\nCost: a block of 5 ms before the windows, a window behind them; hot as fast as can be, paced \
             at the pace of the stream.\n",
        );
    }
    promises(&mut text, report);
    age(&mut text, config, &report.graph);
    for remark in &report.remarks {
        let _ = writeln!(text, "\n{} {remark}", style("note:").yellow());
    }
    text
}

/// The rows in columns as wide as they need to be.
fn table(text: &mut String, rows: &[Row]) {
    const HEAD: [&str; 10] =
        ["id", "kind", "from", "sends", "lane", "delay", "hot p50", "p99", "paced p50", "p99"];
    let mut lines = vec![HEAD.map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    let width = |c: usize| lines.iter().map(|l| l[c].chars().count()).max().unwrap_or(0);
    let widths: [usize; HEAD.len()] = std::array::from_fn(width);
    for line in &lines {
        let cell = |(c, cell): (usize, &String)| {
            // Words to the left, numbers to the right.
            let width = widths[c];
            if c < 5 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        };
        let cells: Vec<String> = line.iter().enumerate().map(cell).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
}

fn cells(row: &Row) -> [String; 10] {
    let is_source = row.from.is_empty();
    let sends = match (row.rate_hz, is_source) {
        (Some(rate), true) => format!("{} at {rate} Hz", row.sends),
        // A stage whose output is not known yet.
        (None, false) if row.lane.is_some() => "-".to_owned(),
        _ => row.sends.clone(),
    };
    let delay = if row.delay_ms > 0.0 { format!("{:.1} ms", row.delay_ms) } else { String::new() };
    let us = |us: f64| format!("{us:.1} us");
    let [hot, paced] = match &row.cost {
        Some(cost) => [&cost.hot, &cost.paced].map(|s| match s.n {
            0 => [String::new(), String::new()],
            _ => [us(s.p50_us), us(s.p99_us)],
        }),
        None => [const { [String::new(), String::new()] }; 2],
    };
    let ([hot_p50, hot_p99], [paced_p50, paced_p99]) = (hot, paced);
    [
        row.id.clone(),
        row.kind.to_owned(),
        row.from.join(", "),
        sends,
        row.lane.clone().unwrap_or_default(),
        delay,
        hot_p50,
        hot_p99,
        paced_p50,
        paced_p99,
    ]
}

/// How long decisions take and may take, and what the engine takes.
fn promises(text: &mut String, report: &Report) {
    for promise in &report.promises {
        let _ = write!(
            text,
            "\nfrom the newest sample to `{}`: {:.3} ms in the stages",
            promise.decision, promise.expected_ms
        );
        if let Some(measured) = &promise.measured {
            let ms = |us: f64| us / 1e3;
            let _ = write!(
                text,
                ", {:.3} ms from arrival to decision (p99 {:.3} ms, of {})",
                ms(measured.p50_us),
                ms(measured.p99_us),
                measured.n
            );
        }
        if let Some(deadline_ms) = promise.deadline_ms {
            let share = 100.0 * promise.expected_ms / deadline_ms;
            let _ = write!(text, "; deadline {deadline_ms} ms, {share:.0} % used");
        }
        text.push('\n');
    }
    let Some(engine) = &report.engine else { return };
    let _ = writeln!(
        text,
        "\nthe engine takes {:.3} cores{}; inboxes take {:.1} MiB",
        engine.cores,
        if engine.keeps_up { " and keeps up" } else { " and does not keep up" },
        engine.inbox_bytes as f64 / f64::from(1 << 20)
    );
    for grant in &engine.realtime {
        let _ = match grant.granted {
            true => writeln!(text, "{}: granted", grant.what),
            false => writeln!(text, "{}: refused: {}", grant.what, grant.why),
        };
    }
}

/// How old the signal is that a decision describes.
fn age(text: &mut String, config: &Config, rows: &[Row]) {
    let delay_ms: f64 = rows.iter().map(|r| r.delay_ms).sum();
    let windows = config.stages.iter().filter(|s| matches!(s.kind, "window" | "event"));
    for window in windows {
        let length_s = window.settings.get("length_s").and_then(serde_json::Value::as_f64);
        if let Some(length_s) = length_s {
            let _ = writeln!(
                text,
                "\na decision describes the signal of {:.0} ms ago: half the window of {:.0} ms, plus \
                 {delay_ms:.0} ms of filter delay",
                length_s * 500.0 + delay_ms,
                length_s * 1e3
            );
        }
    }
}
