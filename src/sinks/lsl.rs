//! Publishes what comes out as LSL streams, stamped with the time of the newest sample that it rests on.

use super::{Deciding, Delivery, RunFacts, Sink};
use crate::clock;
use crate::error::{Error, Result};
use crate::frame::{Channel, Payload, Spec};
use crate::wire::lsl::{Outlet, Wire};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Publishes on the Lab Streaming Layer: of decisions the probabilities as a stream of numbers with one
/// channel per class, and the decided class as a marker stream; and, where they are given a name, rankings,
/// texts, numbers and streams of samples. All carry the time stamp of the newest sample that they rest on.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Name of the stream of probabilities; "" for none.
    #[serde(default = "probabilities")]
    pub probabilities: String,
    /// Name of the marker stream of labels: of the decided class or, where nothing is decided, of the best item of a
    /// ranking; "" for none.
    #[serde(default = "labels")]
    pub labels: String,
    /// Name of a stream with one channel that holds the index of the decided class, counted from
    /// 0; "" for none.
    #[serde(default)]
    pub index: String,
    /// Name of a stream that says how old the data of each decision (ranking, text or vector) were when it was
    /// handed over, in seconds: the age of the newest sample and that of the oldest, and how long the engine took; ""
    /// for none.
    #[serde(default)]
    pub ages: String,
    /// Name of a stream of whole numbers for rankings: the numbers of the items, one channel each, the best first; ""
    /// for none.
    #[serde(default)]
    pub ranking: String,
    /// Name of a marker stream for texts; "" for none.
    #[serde(default)]
    pub text: String,
    /// Name of a stream for vectors, one channel for each number; "" for none.
    #[serde(default)]
    pub values: String,
    /// Name of a stream for samples, such as those of the stage `series`, at their own rate; "" for none.
    #[serde(default)]
    pub series: String,
}

fn probabilities() -> String {
    "saltatory_probabilities".into()
}

fn labels() -> String {
    "saltatory_labels".into()
}

impl crate::kind::Settings<dyn Sink> for Settings {
    const EXAMPLE: &'static str =
        "probabilities = \"saltatory_probabilities\"\nlabels = \"saltatory_labels\"\n";

    fn build(self) -> Result<Box<dyn Sink>> {
        let Self { probabilities, labels, index, ages, ranking, text, values, series } = &self;
        let names = [probabilities, labels, index, ages, ranking, text, values, series];
        if names.iter().all(|n| n.is_empty()) {
            return Err(Error::setting("probabilities", "at least one stream must have a name"));
        }
        Ok(Box::new(Lsl {
            settings: self,
            deciding: Deciding::default(),
            inputs: Vec::new(),
            decisions: Decisions::default(),
            others: Others::default(),
            ages: None,
        }))
    }
}

/// The sink.
struct Lsl {
    settings: Settings,
    deciding: Deciding,
    /// What each input sends.
    inputs: Vec<Payload>,
    decisions: Decisions,
    others: Others,
    ages: Option<Outlet>,
}

/// The streams of decisions.
#[derive(Default)]
struct Decisions {
    probabilities: Option<Outlet>,
    labels: Option<Outlet>,
    index: Option<Outlet>,
}

/// The streams of what is no decision.
#[derive(Default)]
struct Others {
    ranking: Option<Outlet>,
    /// The labels of the best.
    best: Option<Outlet>,
    text: Option<Outlet>,
    values: Option<Outlet>,
    series: Option<Outlet>,
}

impl Sink for Lsl {
    fn open(&mut self, inputs: &[Spec], _run: &RunFacts) -> Result<()> {
        let others = [Payload::Ranking, Payload::Text, Payload::Vector, Payload::Samples];
        self.deciding = match inputs.iter().any(|spec| others.contains(&spec.payload)) {
            true => Deciding::if_any(inputs)?,
            false => Deciding::of(inputs)?,
        };
        self.inputs = inputs.iter().map(|spec| spec.payload).collect();
        self.others = self.settings.others(inputs)?;
        if !self.deciding.classes.is_empty() {
            self.decisions = self.settings.decisions(&self.deciding.classes)?;
        }
        let age = |label: &str| Channel { unit: "s".into(), ..Channel::named(label) };
        let ages = ["age_newest", "age_oldest", "engine"].map(age).to_vec();
        self.ages = numbers(&self.settings.ages, "Age", ages, Wire::Float32, 0.0)?;
        Ok(())
    }

    fn write(&mut self, delivery: &Delivery) -> Result<()> {
        let frame = &delivery.frame;
        let now_s = clock::now_s();
        let sent = match self.inputs.get(frame.input) {
            Some(Payload::Scores) => self.decisions.push(delivery, &self.deciding.classes)?,
            Some(payload) => self.others.push(*payload, delivery)?,
            None => false,
        };
        if let (Some(outlet), true) = (&mut self.ages, sent) {
            // As they are when the decision is handed over, not when it was made.
            let age = |s: f64| if delivery.live { now_s - s } else { f64::NAN };
            let ages = [age(frame.span.last_s), age(frame.span.first_s), delivery.engine_s()];
            outlet.push(&ages, frame.span.last_s)?;
        }
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        (self.decisions, self.others, self.ages) = (Decisions::default(), Others::default(), None);
        Ok(())
    }
}

impl Settings {
    fn decisions(&self, classes: &[String]) -> Result<Decisions> {
        let probability = |class: &String| Channel {
            label: class.clone(),
            kind: "Probability".into(),
            unit: "1".into(),
            ..Channel::default()
        };
        let classes = classes.iter().map(probability).collect();
        let index = vec![Channel { kind: "Class".into(), ..Channel::named("class") }];
        Ok(Decisions {
            probabilities: numbers(
                &self.probabilities,
                "Probability",
                classes,
                Wire::Float32,
                0.0,
            )?,
            labels: markers(&self.labels)?,
            index: numbers(&self.index, "Class", index, Wire::Float32, 0.0)?,
        })
    }

    /// The streams for inputs that are no decisions; each such input must have one, and each name an input.
    fn others(&self, inputs: &[Spec]) -> Result<Others> {
        let input =
            |payload, key, name: &str| the_input(inputs, payload, key, !name.is_empty(), false);
        let mut others = Others::default();
        let decides = inputs.iter().any(|spec| spec.payload == Payload::Scores);
        let best = if decides { "" } else { self.labels.as_str() };
        // The label of the best item may be all that is wanted of a ranking.
        let (named, enough) = (!self.ranking.is_empty(), !best.is_empty());
        if let Some(spec) = the_input(inputs, Payload::Ranking, "ranking", named, enough)? {
            let item = |i| Channel { kind: "Item".into(), ..Channel::named(format!("item_{i}")) };
            let items = (1..=spec.rows).map(item).collect();
            others.ranking = numbers(&self.ranking, "Ranking", items, Wire::Int32, 0.0)?;
            others.best = markers(best)?;
        }
        if input(Payload::Text, "text", &self.text)?.is_some() {
            others.text = markers(&self.text)?;
        }
        if let Some(spec) = input(Payload::Vector, "values", &self.values)? {
            others.values = numbers(&self.values, "Values", labelled(spec), Wire::Float32, 0.0)?;
        }
        if let Some(spec) = input(Payload::Samples, "series", &self.series)? {
            let kind = spec.channels.first().map_or("", |c| c.kind.as_str());
            let kind = if kind.is_empty() { "Series" } else { kind };
            let channels = labelled(spec);
            others.series = numbers(&self.series, kind, channels, Wire::Float32, spec.rate_hz)?;
        }
        Ok(others)
    }
}

/// The only one of `inputs` that sends `payload`; `None` where there is none. `named` says whether the setting `key`
/// names a stream for it, as it must unless there is another one (`enough`).
fn the_input<'a>(
    inputs: &'a [Spec],
    payload: Payload,
    key: &str,
    named: bool,
    enough: bool,
) -> Result<Option<&'a Spec>> {
    let what = format!("{payload:?}").to_lowercase();
    let wrong = |message| Err(Error::setting(key, message));
    let mut of = inputs.iter().filter(|spec| spec.payload == payload);
    match (of.next(), of.next()) {
        (None, _) if named => wrong(format!("no input of the sink sends {what}")),
        (None, _) => Ok(None),
        (Some(_), Some(_)) => wrong(format!("several inputs send {what}: take a sink for each")),
        (Some(spec), None) if named || enough => Ok(Some(spec)),
        (Some(_), None) => wrong(format!("an input sends {what}: give its stream a name")),
    }
}

/// The channels of a spec, with numbers for names where it has none.
fn labelled(spec: &Spec) -> Vec<Channel> {
    match spec.channels.len() == spec.cols {
        true => spec.channels.clone(),
        false => (1..=spec.cols).map(|i| Channel::named(i.to_string())).collect(),
    }
}

impl Decisions {
    /// Sends a decision, if it is one.
    fn push(&mut self, delivery: &Delivery, classes: &[String]) -> Result<bool> {
        let (frame, Some(winner)) = (&delivery.frame, delivery.winner()) else {
            return Ok(false);
        };
        let time_s = frame.span.last_s;
        if let Some(outlet) = &mut self.index {
            outlet.push(&[winner as f64], time_s)?;
        }
        if let Some(outlet) = &mut self.probabilities {
            outlet.push(&frame.data, time_s)?;
        }
        if let (Some(outlet), Some(label)) = (&mut self.labels, classes.get(winner)) {
            outlet.push_text(label, time_s)?;
        }
        Ok(true)
    }
}

impl Others {
    /// Sends what is no decision. Whether it is one thing on a window, of which an age can be told.
    fn push(&mut self, payload: Payload, delivery: &Delivery) -> Result<bool> {
        let frame = &delivery.frame;
        let time_s = frame.span.last_s;
        match (payload, frame.data.is_empty()) {
            (Payload::Ranking, false) => {
                if let Some(outlet) = &mut self.ranking {
                    outlet.push_whole(frame.data.iter().step_by(2).copied(), time_s)?;
                }
                if let Some(outlet) = &mut self.best {
                    outlet.push_text(frame.text.lines().next().unwrap_or_default(), time_s)?;
                }
            }
            (Payload::Text, false) => {
                if let Some(outlet) = &mut self.text {
                    outlet.push_text(&frame.text, time_s)?;
                }
            }
            (Payload::Vector, false) => {
                if let Some(outlet) = &mut self.values {
                    outlet.push(&frame.data, time_s)?;
                }
            }
            (Payload::Samples, false) => {
                if let Some(outlet) = &mut self.series {
                    for r in 0..frame.rows {
                        outlet.push(frame.row(r), frame.time_of(r))?;
                    }
                }
                return Ok(false);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// A stream of numbers; none without a name.
fn numbers(
    name: &str,
    kind: &str,
    channels: Vec<Channel>,
    wire: Wire,
    rate_hz: f64,
) -> Result<Option<Outlet>> {
    match name {
        "" => Ok(None),
        _ => Outlet::open(name, kind, &source_id(name), &channels, rate_hz, wire, &[]).map(Some),
    }
}

/// A stream of markers; none without a name.
fn markers(name: &str) -> Result<Option<Outlet>> {
    match name {
        "" => Ok(None),
        _ => Outlet::markers(name, &source_id(name)).map(Some),
    }
}

/// The same for every run of one config, so that receivers find the stream again.
fn source_id(name: &str) -> String {
    format!("saltatory-{name}")
}
