//! The newest ranking or text.

use super::bar;
use crate::frame::{Frame, Payload};

/// How many items of a ranking are shown.
const ITEMS: usize = 3;
/// How many characters of a label are shown, and of a text.
const LABEL: usize = 20;
const TEXT: usize = 64;

/// What is shown of an input that sends rankings or texts.
#[derive(Debug, PartialEq)]
pub enum Newest {
    /// The first items, with how alike they are.
    Ranking(Vec<(String, f64)>),
    /// What was read out.
    Text(String),
}

impl Newest {
    /// Nothing yet of an input that sends `payload`; `None` if it is neither.
    pub fn of(payload: Payload) -> Option<Self> {
        match payload {
            Payload::Ranking => Some(Self::Ranking(Vec::new())),
            Payload::Text => Some(Self::Text(String::new())),
            _ => None,
        }
    }

    /// Takes a new one.
    pub fn take(&mut self, frame: &Frame) {
        match self {
            Self::Ranking(items) => {
                let labels = frame.text.lines().chain(std::iter::repeat(""));
                let item = |(row, label): (&[f64], &str)| match label {
                    "" => (format!("{}", row[0]), row[1]),
                    label => (cut(label, LABEL), row[1]),
                };
                *items = frame.data.chunks_exact(2).zip(labels).take(ITEMS).map(item).collect();
            }
            Self::Text(text) => *text = cut(&frame.text, TEXT),
        }
    }

    /// What it is called.
    pub fn what(&self) -> &'static str {
        match self {
            Self::Ranking(_) => "retrieved",
            Self::Text(_) => "read",
        }
    }

    /// With bars, a line for each item.
    pub fn view(&self) -> Vec<String> {
        let line = |(label, alike): &(String, f64)| {
            format!("{label:<width$} {} {alike:.2}", bar(*alike), width = LABEL + 1)
        };
        match self {
            Self::Ranking(items) if items.is_empty() => vec!["nothing yet".into()],
            Self::Ranking(items) => items.iter().map(line).collect(),
            Self::Text(text) => vec![text.clone()],
        }
    }

    /// On one line, for logs.
    pub fn line(&self) -> String {
        match self {
            Self::Ranking(items) => {
                let shown: Vec<String> =
                    items.iter().map(|(label, alike)| format!("{label} {alike:.2}")).collect();
                shown.join(", ")
            }
            Self::Text(text) => text.clone(),
        }
    }
}

/// As much of a text as there is room for, on one line.
fn cut(text: &str, room: usize) -> String {
    let shown: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(room).collect();
    if text.chars().count() > room { format!("{shown}…") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Spec;

    #[test]
    fn the_first_items_and_short_texts_are_shown() {
        let mut frame =
            Spec { payload: Payload::Ranking, rows: 4, cols: 2, ..Spec::markers() }.frame();
        frame.resize(4, 2);
        frame.data.copy_from_slice(&[4.0, 0.75, 9.0, 0.5, 2.0, -0.1, 7.0, -0.2]);
        frame.text.push_str("cat\na dog whose name is rather long\n");
        let mut newest = Newest::of(Payload::Ranking).unwrap();
        newest.take(&frame);
        assert_eq!(newest.line(), "cat 0.75, a dog whose name is … 0.50, 2 -0.10");
        let view = newest.view();
        assert_eq!(view.len(), 3);
        assert!(view[0].starts_with("cat   ") && view[0].ends_with("█░░░░░░ 0.75"), "{view:?}");
        assert!(view[2].ends_with("░ -0.10"), "{view:?}");
        let mut newest = Newest::of(Payload::Text).unwrap();
        frame.text = "good\u{1b}[31m day".into();
        newest.take(&frame);
        assert_eq!(newest.view(), ["good [31m day"]);
        assert_eq!(Newest::of(Payload::Scores), None);
    }
}
