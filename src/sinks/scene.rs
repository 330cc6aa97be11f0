//! What a page draws: places of windows, graphs of channels, what was retrieved, read out or reconstructed, as
//! JSON. The format is documented in `docs/formats.md` and stable.

use super::Delivery;
use super::picture::{Format, Picture};
use crate::error::Result;
use crate::frame::graph::Layout;
use crate::frame::{Channel, Direction, Frame, Payload, Spec};
use crate::math::montage::position;
use crate::math::topomap::project;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// The inputs of a sink that can be drawn.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    /// For each input what it shows, if it shows anything.
    inputs: Vec<Option<Shows>>,
    /// How pixels are told; `None` where they are left out.
    pictures: Option<Format>,
}

#[derive(Debug, Clone)]
enum Shows {
    /// Places, with these classes.
    Places(Vec<String>),
    /// Graphs whose nodes are these channels.
    Graphs(Layout, Vec<Channel>),
    /// Numbers under these labels.
    Numbers(Vec<String>),
    /// So many of the nearest items of a gallery.
    Rankings(usize),
    /// Words.
    Texts,
    /// Pictures.
    Images(Picture),
}

impl Scene {
    /// What can be drawn of `inputs`, pictures as files of `pictures`, or without their pixels.
    pub fn of(inputs: &[Spec], pictures: Option<Format>) -> Self {
        let labels = |spec: &Spec| spec.channels.iter().map(|c| c.label.clone()).collect();
        let shows = |spec: &Spec| match spec.payload {
            Payload::Embedding => Some(Shows::Places(spec.classes.clone())),
            Payload::Graph => {
                Layout::of(spec).map(|layout| Shows::Graphs(layout, spec.channels.clone()))
            }
            Payload::Vector if spec.channels.len() == spec.cols => {
                Some(Shows::Numbers(labels(spec)))
            }
            Payload::Ranking => Some(Shows::Rankings(spec.rows)),
            Payload::Text => Some(Shows::Texts),
            Payload::Image => Picture::of(spec).map(Shows::Images),
            _ => None,
        };
        Self { inputs: inputs.iter().map(shows).collect(), pictures }
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
            Some(Shows::Rankings(items)) => json!({ "shows": "ranking", "items": items }),
            Some(Shows::Texts) => json!({ "shows": "text" }),
            Some(Shows::Images(Picture { width, height, colours })) => {
                json!({ "shows": "image", "width": width, "height": height, "colours": colours })
            }
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

    /// What the frame in `delivery` is about, by one key or two; nothing if it cannot be drawn.
    pub fn subject(&self, delivery: &Delivery) -> Result<Map<String, Value>> {
        let frame = &delivery.frame;
        let mut subject = Map::new();
        let Some(shows) = self.inputs.get(frame.input).and_then(Option::as_ref) else {
            return Ok(subject);
        };
        let (key, value) = match shows {
            _ if frame.data.is_empty() => return Ok(subject),
            Shows::Texts => {
                subject.insert("text".into(), json!(frame.text));
                ("codes", Some(json!(codes(frame))))
            }
            Shows::Places(classes) => ("embedding", place(&frame.data, classes)),
            Shows::Numbers(_) => ("numbers", Some(json!(frame.data))),
            Shows::Rankings(_) => ("ranking", Some(json!(ranking(frame)))),
            Shows::Graphs(layout, _) => {
                ("graph", layout.fits(frame).then(|| graph(*layout, &frame.data)))
            }
            Shows::Images(picture) => {
                let image = picture.fits(frame).then(|| self.image(*picture, frame));
                ("image", image.transpose()?)
            }
        };
        subject.extend(value.map(|value| (key.to_owned(), value)));
        Ok(subject)
    }

    fn image(&self, picture: Picture, frame: &Frame) -> Result<Value> {
        let Picture { width, height, colours } = picture;
        let Some(format) = self.pictures else {
            return Ok(json!({ "width": width, "height": height, "colours": colours }));
        };
        let data = STANDARD.encode(picture.encode(&frame.data, format)?);
        Ok(
            json!({ "format": format, "width": width, "height": height, "colours": colours, "data": data }),
        )
    }
}

/// The items of a ranking, the best first.
fn ranking(frame: &Frame) -> Vec<Value> {
    let mut labels = frame.text.lines();
    let item = |row: &[f64]| json!({ "item": row[0] as u64, "label": labels.next().unwrap_or_default(), "similarity": row[1] });
    frame.data.chunks_exact(2).map(item).collect()
}

/// The codes of a text.
fn codes(frame: &Frame) -> Vec<u64> {
    frame.data.iter().filter(|code| **code >= 0.0).map(|code| *code as u64).collect()
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
        let scene = Scene::of(&[graphs.clone(), Spec::markers(), places.clone()], None);
        let told =
            |spec: &Spec, input, data: &[f64]| scene.subject(&delivery(spec, input, data)).unwrap();
        let hello = scene.describe();
        assert_eq!(hello[0]["nodes"][0]["label"], "C3");
        assert!(hello[0]["nodes"][0]["place"][0].as_f64().unwrap() < 0.0, "left of the middle");
        assert!(hello[0]["nodes"][1]["place"].is_null() && hello[1].is_null());
        let data = [0.0, 0.5, 0.0, 2.0, 0.0, -0.25, 7.0, 0.5, 0.0, 2.0, 0.0, -0.25, 0.0, 8.0];
        let graph = &told(&graphs, 0, &data)["graph"];
        assert_eq!(graph["edges"], json!([[0, 1, 0.5, 2.0, -0.25]]));
        assert_eq!(graph["features"], json!([[7.0], [8.0]]));
        let want = json!({ "coordinates": [1.0, 2.0], "class": "left", "p": 0.9 });
        assert_eq!(told(&places, 2, &[1.0, 2.0, 0.0, 0.9])["embedding"], want);
        let place = &told(&places, 2, &[1.0, 2.0, -1.0, 0.0])["embedding"];
        assert!(place["class"].is_null() && place["p"].is_null());
    }

    #[test]
    fn rankings_texts_and_pictures_are_told() {
        let of = |payload, rows, cols| Spec { payload, rows, cols, ..Spec::markers() };
        let rankings = of(Payload::Ranking, 2, 2);
        let texts = of(Payload::Text, 1, 3);
        let images = Spec { channels: vec![Channel::named("grey")], ..of(Payload::Image, 1, 2) };
        let inputs = [rankings.clone(), texts.clone(), images.clone()];
        let scene = Scene::of(&inputs, Some(Format::Png));
        let mut items = delivery(&rankings, 0, &[7.0, 0.75, 3.0, 0.5]);
        items.frame.text.push_str("cat\nblack dog");
        let told = scene.subject(&items).unwrap();
        let want = json!({ "ranking": [
            { "item": 7, "label": "cat", "similarity": 0.75 },
            { "item": 3, "label": "black dog", "similarity": 0.5 },
        ]});
        assert_eq!(Value::Object(told), want);
        let mut text = delivery(&texts, 1, &[4.0, 0.0, -1.0]);
        text.frame.text.push_str("good day");
        let told = scene.subject(&text).unwrap();
        assert_eq!(Value::Object(told), json!({ "text": "good day", "codes": [4, 0] }));
        let picture = delivery(&images, 2, &[0.0, 1.0]);
        let told = scene.subject(&picture).unwrap();
        assert_eq!(told["image"]["format"], "png");
        let file = STANDARD.decode(told["image"]["data"].as_str().unwrap()).unwrap();
        assert_eq!(image::load_from_memory(&file).unwrap().into_luma8().into_raw(), [0, 255]);
        let told = Scene::of(&inputs, None).subject(&picture).unwrap();
        assert_eq!(told["image"], json!({ "width": 2, "height": 1, "colours": 1 }));
        assert_eq!(scene.describe()[2]["height"], 1);
    }
}
