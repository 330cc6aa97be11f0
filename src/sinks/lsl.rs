//! Publishes decisions as LSL streams, stamped with the time of the newest sample they rest on.

use super::{Deciding, Delivery, RunFacts, Sink};
use crate::clock;
use crate::error::{Error, Result};
use crate::frame::{Channel, Spec};
use crate::wire::lsl::Outlet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Publishes decisions on the Lab Streaming Layer: probabilities as a stream of numbers with one
/// channel per class, and the decided class as a marker stream. Both carry the time stamp of the
/// newest sample that the decision rests on.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Name of the stream of probabilities; "" for none.
    #[serde(default = "probabilities")]
    pub probabilities: String,
    /// Name of the marker stream of class labels; "" for none.
    #[serde(default = "labels")]
    pub labels: String,
    /// Name of a stream with one channel that holds the index of the decided class, counted from
    /// 0; "" for none.
    #[serde(default)]
    pub index: String,
    /// Name of a stream that says how old the data of each decision were when it was handed over, in
    /// seconds: the age of the newest sample and that of the oldest, and how long the engine took; ""
    /// for none.
    #[serde(default)]
    pub ages: String,
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
        let names = [&self.probabilities, &self.labels, &self.index, &self.ages];
        if names.iter().all(|n| n.is_empty()) {
            return Err(Error::setting("probabilities", "at least one stream must have a name"));
        }
        Ok(Box::new(Lsl {
            settings: self,
            deciding: Deciding::default(),
            probabilities: None,
            labels: None,
            index: None,
            ages: None,
        }))
    }
}

/// The sink.
struct Lsl {
    settings: Settings,
    deciding: Deciding,
    probabilities: Option<Outlet>,
    labels: Option<Outlet>,
    index: Option<Outlet>,
    ages: Option<Outlet>,
}

impl Sink for Lsl {
    fn open(&mut self, inputs: &[Spec], _run: &RunFacts) -> Result<()> {
        self.deciding = Deciding::of(inputs)?;
        let probability = |class: &String| Channel {
            label: class.clone(),
            kind: "Probability".into(),
            unit: "1".into(),
            ..Channel::default()
        };
        let numbers = |name: &str, kind: &str, channels: Vec<Channel>| -> Result<Option<Outlet>> {
            if name.is_empty() {
                return Ok(None);
            }
            Outlet::numbers(name, kind, &source_id(name), &channels, 0.0).map(Some)
        };
        let classes = self.deciding.classes.iter().map(probability).collect();
        self.probabilities = numbers(&self.settings.probabilities, "Probability", classes)?;
        let index = Channel { kind: "Class".into(), ..Channel::named("class") };
        self.index = numbers(&self.settings.index, "Class", vec![index])?;
        let age = |label: &str| Channel { unit: "s".into(), ..Channel::named(label) };
        let ages = ["age_newest", "age_oldest", "engine"].map(age).to_vec();
        self.ages = numbers(&self.settings.ages, "Age", ages)?;
        let name = &self.settings.labels;
        if !name.is_empty() {
            self.labels = Some(Outlet::markers(name, &source_id(name))?);
        }
        Ok(())
    }

    fn write(&mut self, delivery: &Delivery) -> Result<()> {
        let frame = &delivery.frame;
        let (Some(winner), true) = (delivery.winner(), self.deciding.has(frame)) else {
            return Ok(());
        };
        let time_s = frame.span.last_s;
        let now_s = clock::now_s();
        if let Some(outlet) = &mut self.index {
            outlet.push(&[winner as f64], time_s)?;
        }
        if let Some(outlet) = &mut self.probabilities {
            outlet.push(&frame.data, time_s)?;
        }
        if let (Some(outlet), Some(label)) = (&mut self.labels, self.deciding.classes.get(winner)) {
            outlet.push_text(label, time_s)?;
        }
        if let Some(outlet) = &mut self.ages {
            // As they are when the decision is handed over, not when it was made.
            let age = |s: f64| if delivery.live { now_s - s } else { f64::NAN };
            outlet.push(&[age(time_s), age(frame.span.first_s), delivery.engine_s()], time_s)?;
        }
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        (self.probabilities, self.labels, self.index, self.ages) = (None, None, None, None);
        Ok(())
    }
}

/// The same for every run of one config, so that receivers find the stream again.
fn source_id(name: &str) -> String {
    format!("saltatory-{name}")
}
