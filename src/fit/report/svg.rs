//! Drawings as text. Colours and fonts come from the style sheet of the page.

use super::html::escape;
use std::fmt::{self, Write as _};

/// How many colours and shapes there are to tell series apart; more than that and they repeat.
pub const SERIES: usize = 6;

/// Longest names beside a drawing, along an axis, and at a scale of colours, in letters; longer ones
/// are cut, or they would run into it.
pub const NAME: usize = 26;
/// See [`NAME`].
pub const AXIS: usize = 40;
/// See [`NAME`].
pub const UNIT: usize = 12;

/// A coordinate, to a tenth of a pixel.
pub struct Px(pub f64);

impl fmt::Display for Px {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is not a number must not break the drawing.
        let tenths = if self.0.is_finite() { (self.0 * 10.0).round() } else { 0.0 };
        write!(f, "{}", (tenths + 0.0) / 10.0)
    }
}

/// Which end of a text is at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// Its beginning.
    Start,
    /// Its middle.
    Middle,
    /// Its end.
    End,
}

/// A drawing in the making.
pub struct Svg {
    text: String,
}

impl Svg {
    /// An empty drawing; `label` says what it shows to those who cannot see it, empty if nothing new.
    pub fn new(width: f64, height: f64, label: &str) -> Self {
        let (width, height) = (Px(width), Px(height));
        let told = match escape(label) {
            none if none.is_empty() => "aria-hidden=\"true\"".to_owned(),
            label => format!("role=\"img\" aria-label=\"{label}\""),
        };
        let text = format!(
            "<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" {told}>"
        );
        Self { text }
    }

    /// The whole drawing.
    pub fn finish(mut self) -> String {
        self.text.push_str("</svg>");
        self.text
    }

    /// Adds markup as it is.
    pub fn raw(&mut self, markup: &str) {
        self.text.push_str(markup);
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2]) {
        let (x1, y1, x2, y2) = (Px(x1), Px(y1), Px(x2), Px(y2));
        let _ = write!(
            self.text,
            "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"
        );
    }

    /// A rectangle; `fill` is a colour or empty for that of the class.
    pub fn rect(&mut self, class: &str, [x, y]: [f64; 2], [width, height]: [f64; 2], fill: &str) {
        let (x, y, width, height) = (Px(x), Px(y), Px(width.max(0.0)), Px(height.max(0.0)));
        let fill = if fill.is_empty() { String::new() } else { format!(" fill=\"{fill}\"") };
        let _ = write!(
            self.text,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"{fill}/>"
        );
    }

    /// A text.
    pub fn text(&mut self, class: &str, [x, y]: [f64; 2], anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let _ = write!(
            self.text,
            "<text class=\"{class}\" x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
            Px(x),
            Px(y),
            escape(text)
        );
    }

    /// A text on a coloured ground, its middle at the place.
    pub fn text_in(&mut self, colour: &str, class: &str, [x, y]: [f64; 2], text: &str) {
        let (x, y, text) = (Px(x), Px(y), escape(text));
        let _ = write!(
            self.text,
            "<text class=\"{class}\" style=\"fill:{colour}\" x=\"{x}\" y=\"{y}\" \
             text-anchor=\"middle\">{text}</text>"
        );
    }

    /// A text that reads upwards, its middle at the place.
    pub fn upwards(&mut self, class: &str, [x, y]: [f64; 2], text: &str) {
        let (x, y) = (Px(x), Px(y));
        let _ = write!(
            self.text,
            "<text class=\"{class}\" transform=\"translate({x} {y}) rotate(-90)\" \
             text-anchor=\"middle\">{}</text>",
            escape(text)
        );
    }

    /// A line through points, closed if it bounds an area.
    pub fn path(&mut self, class: &str, lines: &[Vec<[f64; 2]>], closed: bool, fill: &str) {
        let fill = if fill.is_empty() { String::new() } else { format!(" fill=\"{fill}\"") };
        let _ =
            write!(self.text, "<path class=\"{class}\"{fill} d=\"{}\"/>", course(lines, closed));
    }

    /// The mark of series `i` at a place, with a text that shows when pointed at.
    pub fn mark(&mut self, i: usize, hollow: bool, at: [f64; 2], size: f64, title: &str) {
        let class = format!("{} s{}", if hollow { "hollow" } else { "mark" }, i % SERIES);
        let _ = write!(self.text, "<path class=\"{class}\" d=\"{}\">", shape(i, at, size));
        let _ = write!(self.text, "<title>{}</title></path>", escape(title));
    }
}

/// What goes into the `d` of a path.
pub fn course(lines: &[Vec<[f64; 2]>], closed: bool) -> String {
    let mut d = String::new();
    for line in lines {
        for (i, [x, y]) in line.iter().enumerate() {
            let _ = write!(d, "{}{} {}", if i == 0 { 'M' } else { 'L' }, Px(*x), Px(*y));
        }
        if closed {
            d.push('Z');
        }
    }
    d
}

/// The outline of a mark: a shape of its own for each series, so that colour is not all.
fn shape(i: usize, [x, y]: [f64; 2], r: f64) -> String {
    let corners = |corners: &[[f64; 2]]| {
        course(&[corners.iter().map(|[a, b]| [x + r * a, y + r * b]).collect()], true)
    };
    match i % SERIES {
        0 => {
            let (left, r) = (Px(x - r), Px(r));
            let y = Px(y);
            let right = Px(x + r.0);
            format!("M{left} {y}A{r} {r} 0 1 1 {right} {y}A{r} {r} 0 1 1 {left} {y}Z")
        }
        1 => corners(&[[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]]),
        2 => corners(&[[0.0, -1.2], [1.1, 0.8], [-1.1, 0.8]]),
        3 => corners(&[[0.0, -1.3], [1.3, 0.0], [0.0, 1.3], [-1.3, 0.0]]),
        4 => corners(&[[0.0, 1.2], [1.1, -0.8], [-1.1, -0.8]]),
        _ => {
            let plus =
                [[-0.4, -1.2], [0.4, -1.2], [0.4, -0.4], [1.2, -0.4], [1.2, 0.4], [0.4, 0.4]];
            let rest = plus.map(|[a, b]| [-a, -b]);
            corners(&[plus, rest].concat())
        }
    }
}

/// A range of values on a line of pixels.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// `low` is drawn at `from`, `high` at `to`.
    pub fn new([low, high]: [f64; 2], [from, to]: [f64; 2]) -> Self {
        Self { low, high: if high > low { high } else { low + 1.0 }, from, to }
    }

    /// Where a value is drawn.
    pub fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Round values within the range, about `count` of them.
    pub fn ticks(&self, count: f64) -> Vec<f64> {
        let step = step((self.high - self.low) / count);
        let (first, last) = ((self.low / step - 1e-9).ceil(), (self.high / step + 1e-9).floor());
        // No more than a drawing could show, whatever the numbers are.
        let ticks = (last - first).clamp(0.0, 100.0) as usize;
        (0..=ticks).map(|i| (first + i as f64) * step).collect()
    }
}

/// The round number (1, 2 or 5 times a power of ten) that is not below `least`.
pub fn step(least: f64) -> f64 {
    if !(least.is_finite() && least > 0.0) {
        return 1.0;
    }
    let power = 10_f64.powf(least.log10().floor());
    let round = [1.0, 2.0, 5.0, 10.0].into_iter().find(|s| s * power >= least * (1.0 - 1e-9));
    round.unwrap_or(10.0) * power
}

/// A name of at most so many letters.
pub fn short(name: &str, longest: usize) -> String {
    if name.chars().count() <= longest {
        return name.to_owned();
    }
    name.chars().take(longest.saturating_sub(1)).chain(['\u{2026}']).collect()
}

/// A number with as many decimals as steps of this size need.
pub fn label(value: f64, step: f64) -> String {
    let decimals = (-(step.log10() + 1e-9).floor()).clamp(0.0, 6.0) as usize;
    format!("{:.decimals$}", value + 0.0)
}

/// The ends of a range of shares (0 to 1) that holds all `values`, at steps of 10 %.
pub fn share_range(values: impl Iterator<Item = f64>) -> [f64; 2] {
    let ends = |[low, high]: [f64; 2], v: f64| [low.min(v), high.max(v)];
    let [low, high] = values.filter(|v| v.is_finite()).fold([1.0, 0.0], ends);
    if low > high {
        return [0.0, 1.0];
    }
    [((low - 0.02) * 10.0).floor() / 10.0, ((high + 0.02) * 10.0).ceil() / 10.0]
        .map(|v| v.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let ticks = |low, high| Scale::new([low, high], [0.0, 1.0]).ticks(5.0);
        assert_eq!(ticks(0.0, 10.0), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks(-0.3, 3.2), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(ticks(5.0, 5.0).len(), 6);
        for (low, high) in [(f64::NAN, 1.0), (0.0, f64::INFINITY), (1e300, -1e300)] {
            assert!(ticks(low, high).len() <= 101);
        }
        assert_eq!(
            (label(0.30000000000000004, 0.1), label(20.0, 5.0)),
            ("0.3".into(), "20".into())
        );
        assert_eq!(label(0.25, 0.05), "0.25");
        assert_eq!((short("àbc", 3), short("àbcd", 3)), ("àbc".into(), "àb\u{2026}".into()));
    }

    #[test]
    fn nothing_that_is_not_a_number_is_written() {
        assert_eq!(Px(f64::NAN).to_string(), "0");
        assert_eq!(Px(-0.01).to_string(), "0");
        assert_eq!(Px(12.345).to_string(), "12.3");
        assert_eq!(share_range([0.55, 0.81].into_iter()), [0.5, 0.9]);
        assert_eq!(share_range([f64::NAN].into_iter()), [0.0, 1.0]);
    }
}
