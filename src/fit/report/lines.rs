//! Accuracy against something that grows: time after the cue, number of calibration trials.

use super::html::{chance_legend, legend, section};
use super::svg::{Anchor, SERIES, Scale, Svg, label, share_range};
use super::{LearningCurve, Point, Series, TimeCourse, html};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = WIDTH - 24.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = HEIGHT - 50.0;

/// Accuracy against the time after the cue.
pub fn time(time: &TimeCourse) -> String {
    let window = time.window_s.map(|s| format!(" of {s} s")).unwrap_or_default();
    let note = format!(
        "Accuracy of the decision after each window{window}, against the end of the window. The bands are \
         95 % intervals."
    );
    chart("Accuracy over time", &note, "seconds after the cue", &time.series, time.chance, true)
}

/// Accuracy against the number of calibration trials.
pub fn curve(curve: &LearningCurve) -> String {
    let note = "Accuracy on trials that were never used for calibration, against the number of calibration \
                trials of each class. The bands are 95 % intervals.";
    let axis = "calibration trials per class";
    chart("Learning curve", note, axis, &curve.series, curve.chance, false)
}

fn chart(
    heading: &str,
    note: &str,
    axis: &str,
    series: &[Series],
    chance: f64,
    cue: bool,
) -> String {
    let series: Vec<(&str, Vec<Point>)> =
        series.iter().map(|s| (s.name.as_str(), drawable(&s.points))).collect();
    let points = || series.iter().flat_map(|(_, points)| points);
    let ends = points().flat_map(|p| [p.accuracy.low, p.accuracy.high, p.accuracy.value, chance]);
    let y = Scale::new(share_range(ends), [BOTTOM, TOP]);
    let least = points().map(|p| p.x).fold(if cue { 0.0 } else { f64::MAX }, f64::min);
    let most = points().map(|p| p.x).fold(f64::MIN, f64::max);
    if least > most {
        return String::new();
    }
    let x = Scale::new([least, most], [LEFT + 12.0, RIGHT - 12.0]);

    let mut svg = Svg::new(WIDTH, HEIGHT, heading);
    axes(&mut svg, &x, &y, axis);
    svg.line("chance", [LEFT, y.at(chance)], [RIGHT, y.at(chance)]);
    if cue {
        svg.line("cue", [x.at(0.0), TOP], [x.at(0.0), BOTTOM]);
        svg.text("soft", [x.at(0.0) + 5.0, TOP + 11.0], Anchor::Start, "cue");
    }
    for (i, (name, points)) in series.iter().enumerate() {
        band(&mut svg, i, points, &x, &y);
        line(&mut svg, i, name, points, &x, &y);
    }
    let names = series.iter().map(|(name, _)| *name);
    section(heading, note, &(legend(names, &chance_legend(chance)) + &svg.finish()))
}

fn drawable(points: &[Point]) -> Vec<Point> {
    let finite = |p: &&Point| {
        [p.x, p.accuracy.value, p.accuracy.low, p.accuracy.high].iter().all(|v| v.is_finite())
    };
    points.iter().filter(finite).copied().collect()
}

fn axes(svg: &mut Svg, x: &Scale, y: &Scale, name: &str) {
    for tick in y.ticks(6.0) {
        svg.line("grid", [LEFT, y.at(tick)], [RIGHT, y.at(tick)]);
        svg.text("tick", [LEFT - 9.0, y.at(tick) + 4.0], Anchor::End, &html::percent(tick));
    }
    let ticks = x.ticks(10.0);
    let step = ticks.windows(2).next().map_or(1.0, |w| w[1] - w[0]);
    for tick in &ticks {
        svg.line("axis", [x.at(*tick), BOTTOM], [x.at(*tick), BOTTOM + 5.0]);
        svg.text("tick", [x.at(*tick), BOTTOM + 19.0], Anchor::Middle, &label(*tick, step));
    }
    svg.line("axis", [LEFT, BOTTOM], [RIGHT, BOTTOM]);
    svg.text("soft", [(LEFT + RIGHT) / 2.0, BOTTOM + 40.0], Anchor::Middle, name);
    svg.upwards("soft", [14.0, (TOP + BOTTOM) / 2.0], "accuracy");
}

fn band(svg: &mut Svg, i: usize, points: &[Point], x: &Scale, y: &Scale) {
    let high = points.iter().map(|p| [x.at(p.x), y.at(p.accuracy.high)]);
    let low = points.iter().rev().map(|p| [x.at(p.x), y.at(p.accuracy.low)]);
    svg.path(&format!("ribbon s{}", i % SERIES), &[high.chain(low).collect()], true, "");
}

fn line(svg: &mut Svg, i: usize, name: &str, points: &[Point], x: &Scale, y: &Scale) {
    let places: Vec<[f64; 2]> =
        points.iter().map(|p| [x.at(p.x), y.at(p.accuracy.value)]).collect();
    svg.path(&format!("series s{}", i % SERIES), std::slice::from_ref(&places), false, "");
    for (point, place) in points.iter().zip(places) {
        let percent = 100.0 * point.accuracy.value;
        svg.mark(i, false, place, 4.0, &format!("{name}: {percent:.1} % at {}", point.x));
    }
}
