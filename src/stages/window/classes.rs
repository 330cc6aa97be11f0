//! The table `classes` in a config: class names in their order, each with the marker texts for it; or a file with the labels
//! of what was shown, each of which is a class and its marker text at once.

use crate::error::{Error, Result};
use crate::formats::items;
use crate::frame::MAX_MARKER_BYTES;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Class names in the order of the config, each with one or more marker texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classes {
    list: Vec<(String, Texts)>,
    /// The file that names them, if one does.
    file: Option<String>,
    /// Where to find a marker text.
    places: HashMap<String, usize>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Texts {
    fn all(&self) -> &[String] {
        match self {
            Texts::One(text) => std::slice::from_ref(text),
            Texts::Many(texts) => texts,
        }
    }
}

impl Classes {
    fn new(list: Vec<(String, Texts)>, file: Option<String>) -> Self {
        let mut places = HashMap::new();
        for (i, (_, texts)) in list.iter().enumerate() {
            texts.all().iter().for_each(|text| {
                places.entry(text.clone()).or_insert(i);
            });
        }
        Self { list, file, places }
    }

    /// The labels of the items in a gallery or a world.
    fn of_file(file: &str) -> Result<Self> {
        let labels = items::labels(Path::new(file))?;
        let list = labels.into_iter().map(|label| (label.clone(), Texts::One(label))).collect();
        Ok(Self::new(list, Some(file.to_owned())))
    }

    /// The names in order.
    pub fn names(&self) -> Vec<String> {
        self.list.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The names with their marker texts, in order.
    pub fn pairs(&self) -> Vec<(String, Vec<String>)> {
        self.list.iter().map(|(name, texts)| (name.clone(), texts.all().to_vec())).collect()
    }

    /// The index of the class that `text` stands for.
    pub fn index_of(&self, text: &str) -> Option<usize> {
        self.places.get(text).copied()
    }

    /// All marker texts, checked: at least one per class, none twice, none too long for a frame.
    pub fn texts(&self) -> Result<Vec<String>> {
        if self.list.is_empty() {
            return Err(Error::setting("classes", "classes is empty, expected `name = \"text\"`"));
        }
        let mut all: Vec<String> = Vec::new();
        let mut seen = HashSet::new();
        for (name, texts) in &self.list {
            let texts = texts.all();
            if texts.is_empty() {
                return Err(Error::setting(
                    "classes",
                    format!("class `{name}` has no marker text"),
                ));
            }
            for text in texts {
                if !seen.insert(text) {
                    return Err(Error::setting(
                        "classes",
                        format!("marker text `{text}` is listed twice"),
                    ));
                }
                if text.len() > MAX_MARKER_BYTES {
                    return Err(Error::setting(
                        "classes",
                        format!(
                            "a marker text of class `{name}` is {} bytes long, expected at most \
                             {MAX_MARKER_BYTES}",
                            text.len()
                        ),
                    ));
                }
                all.push(text.clone());
            }
        }
        Ok(all)
    }
}

impl Serialize for Classes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.file {
            Some(file) => serializer.serialize_str(file),
            None => serializer.collect_map(self.list.iter().map(|(name, texts)| (name, texts))),
        }
    }
}

impl<'de> Deserialize<'de> for Classes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Classes;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a table of class names with their marker texts, or a file with labels")
            }

            fn visit_str<E: serde::de::Error>(self, file: &str) -> Result<Classes, E> {
                Classes::of_file(file).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Classes, A::Error> {
                let mut list = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    list.push(entry);
                }
                Ok(Classes::new(list, None))
            }
        }

        deserializer.deserialize_any(InOrder)
    }
}

impl JsonSchema for Classes {
    fn schema_name() -> Cow<'static, str> {
        "Classes".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let texts = Texts::json_schema(generator);
        json_schema!({ "type": ["object", "string"], "additionalProperties": texts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, Serialize)]
    struct Table {
        classes: Classes,
    }

    #[test]
    fn order_is_that_of_the_config() {
        let text = "[classes]\nright = [\"T2\", \"T2b\"]\nleft = \"T1\"\nfeet = \"T3\"\n";
        let table: Table = toml::from_str(text).unwrap();
        assert_eq!(table.classes.names(), ["right", "left", "feet"]);
        assert_eq!(table.classes.texts().unwrap(), ["T2", "T2b", "T1", "T3"]);
        let json = serde_json::to_string(&table).unwrap();
        assert_eq!(json, r#"{"classes":{"right":["T2","T2b"],"left":"T1","feet":"T3"}}"#);
    }

    #[test]
    fn nonsense_is_refused() {
        let texts = |text: &str| toml::from_str::<Table>(text).map(|t| t.classes.texts().is_err());
        assert!(texts("classes = {}").unwrap());
        assert!(texts("classes = { a = [] }").unwrap());
        assert!(texts("classes = { a = \"x\", b = [\"y\", \"x\"] }").unwrap());
        assert!(texts("classes = { a = 3 }").is_err());
        assert!(texts("classes = [\"a\"]").is_err());
        assert!(texts("classes = \"nowhere.safetensors\"").is_err());
    }

    #[test]
    fn a_file_may_name_them() {
        let text = "classes = \"models/worlds/example.safetensors\"";
        let table: Table = toml::from_str(text).unwrap();
        assert_eq!(table.classes.texts().unwrap(), ["red", "green", "blue"]);
        assert_eq!(table.classes.index_of("green"), Some(1));
        assert_eq!(
            serde_json::to_string(&table).unwrap(),
            text.replace("classes = ", "{\"classes\":") + "}"
        );
    }
}
