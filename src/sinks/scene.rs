//! What a page draws: places of windows and graphs of channels, as JSON. The format is documented in
//! `docs/formats.md` and stable.

use super::Delivery;
use crate::frame::graph::Layout;
use crate::frame::{Channel, Direction, Flags, Payload, Spec};
use crate::math::montage::position;
use crate::math::topomap::project;
use serde_json::{Value, json};

/// The inputs of a sink that can be drawn.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    /// For each input what it shows, if it shows anything.
    inputs: Vec<Option<Shows>>,
}

#[derive(Debug, Clone)]
enum Shows {
    /// Places, with these classes.
    Places(Vec<String>),
    /// Graphs whose nodes are these channels.
    Graphs(Layout, Vec<Channel>),
    /// Numbers under these labels.
    Numbers(Vec<String>),
}

impl Scene {
    /// What can be drawn of `inputs`.
    pub fn of(inputs: &[Spec]) -> Self {
        let labels = |spec: &Spec| spec.channels.iter().map(|c| c.label.clone()).collect();
        let shows = |spec: &Spec| match spec.payload {
            Payload::Embedding => Some(Shows::Places(spec.classes.clone())),
            Payload::Graph => {
                Layout::of(spec).map(|layout| Shows::Graphs(layout, spec.channels.clone()))
            }
            Payload::Vector if spec.channels.len() == spec.cols => {
                Some(Shows::Numbers(labels(spec)))
            }
            _ => None,
        };
        Self { inputs: inputs.iter().map(shows).collect() }
    }

    /// Whether there is nothing to draw.
    pub fn is_empty(&self) -> bool {
        self.inputs.iter().all(Option::is_none)
    }

    /// What a page must know before the first frame, input by input.
    pub fn describe(&self) -> Value {
        let describe = |shows: &Option<Shows>| match shows {
            None => Value::Null,
            Some(Shows::Places(classes)) => json!({ "shows": "embedding", "classes": classes }),
            Some(Shows::Numbers(labels)) => json!({ "shows": "numbers", "labels": labels }),
            Some(Shows::Graphs(_, channels)) => {
                let node = |channel: &Channel| {
                    let given = channel.direction.map(Direction::unit);
                    let direction = given.or_else(|| position(&channel.label));
                    json!({ "label": channel.label, "place": direction.map(project) })
                };
                json!({ "shows": "graph", "nodes": channels.iter().map(node).collect::<Vec<_>>() })
            }
        };
        self.inputs.iter().map(describe).collect()
    }

    /// The frame in `delivery`, if it can be drawn.
    pub fn message(&self, delivery: &Delivery) -> Option<Value> {
        let frame = &delivery.frame;
        let shows = self.inputs.get(frame.input)?.as_ref()?;
        let (key, value) = match shows {
            _ if frame.data.is_empty() => return None,
            Shows::Places(classes) => ("embedding", place(&frame.data, classes)?),
            Shows::Numbers(_) => ("numbers", json!(frame.data)),
            Shows::Graphs(layout, _) if layout.fits(frame) => {
                ("graph", graph(*layout, &frame.data))
            }
            Shows::Graphs(..) => return None,
        };
        Some(json!({
            key: value,
            "input": frame.input,
            "first_sample": frame.span.first,
            "last_sample": frame.span.last,
            "time_s": frame.span.last_s,
            "bad": frame.flags.has(Flags::BAD),
        }))
    }
}

/// A row of coordinates, class and probability.
fn place(data: &[f64], classes: &[String]) -> Option<Value> {
    let [coordinates @ .., class, p] = data else { return None };
    // -1 stands for no class.
    let class = (*class >= 0.0).then(|| classes.get(*class as usize)).flatten();
    Some(json!({ "coordinates": coordinates, "class": class, "p": class.map(|_| p) }))
}

fn graph(layout: Layout, data: &[f64]) -> Value {
    let edge = |(i, j)| {
        let [weight, length, curvature] =
            [layout.weight(i, j), layout.length(i, j), layout.curvature(i, j)].map(|at| data[at]);
        json!([i, j, weight, length, curvature])
    };
    let edges: Vec<Value> = layout.edges(data).map(edge).collect();
    let features: Vec<&[f64]> = (0..layout.nodes).map(|i| &data[layout.features(i)]).collect();
    json!({ "edges": edges, "features": features })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(spec: &Spec, input: usize, data: &[f64]) -> Delivery {
        let mut delivery = Delivery::with_room(spec, 0);
        delivery.frame.resize(spec.rows, spec.cols);
        delivery.frame.data.copy_from_slice(data);
        delivery.frame.input = input;
        delivery
    }

    #[test]
    fn graphs_and_places_are_told() {
        let channels = ["C3", "nowhere"].map(Channel::named).to_vec();
        let graphs = Layout { nodes: 2, features: 1 }.spec(&Spec::samples(channels, 1.0, 1));
        let classes = vec!["left".to_owned()];
        let places =
            Spec { payload: Payload::Embedding, rows: 1, cols: 4, classes, ..Spec::markers() };
        let scene = Scene::of(&[graphs.clone(), Spec::markers(), places.clone()]);
        let hello = scene.describe();
        assert_eq!(hello[0]["nodes"][0]["label"], "C3");
        assert!(hello[0]["nodes"][0]["place"][0].as_f64().unwrap() < 0.0, "left of the middle");
        assert!(hello[0]["nodes"][1]["place"].is_null() && hello[1].is_null());
        let data = [0.0, 0.5, 0.0, 2.0, 0.0, -0.25, 7.0, 0.5, 0.0, 2.0, 0.0, -0.25, 0.0, 8.0];
        let message = scene.message(&delivery(&graphs, 0, &data)).unwrap();
        assert_eq!(message["graph"]["edges"], json!([[0, 1, 0.5, 2.0, -0.25]]));
        assert_eq!(message["graph"]["features"], json!([[7.0], [8.0]]));
        let message = scene.message(&delivery(&places, 2, &[1.0, 2.0, 0.0, 0.9])).unwrap();
        let want = json!({ "coordinates": [1.0, 2.0], "class": "left", "p": 0.9 });
        assert_eq!(message["embedding"], want);
        let message = scene.message(&delivery(&places, 2, &[1.0, 2.0, -1.0, 0.0])).unwrap();
        assert!(message["embedding"]["class"].is_null() && message["embedding"]["p"].is_null());
    }
}
