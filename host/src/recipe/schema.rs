//! The JSON schema of recipes (draft 2020-12), for editors: completion, documentation and ranges while typing.
//!
//! RON's brackets with named fields and its maps are JSON objects here, its lists and tuples arrays, its bare words strings.

use serde_json::{Map, Value, json};

use super::model::Recipe;
use super::shape::{Check, Decode, FieldShape, Record, Shape};

/// The schema's text, as it is kept in `recipes/schema.json`.
pub fn text() -> String {
    let Shape::Record(record) = Recipe::shape() else { unreachable!("a recipe is a record") };
    let mut schema = object(&record, true);
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!("Twinhost recipe"));
    // An included file and an arm are parts of a recipe: the same fields, none of them required.
    schema.insert("$defs".to_owned(), json!({ "part": Value::Object(object(&record, false)) }));
    format!("{:#}\n", Value::Object(schema))
}

fn object(record: &Record, require: bool) -> Map<String, Value> {
    let properties: Map<String, Value> = record.fields.iter().map(|f| (f.name.to_owned(), field(f, require))).collect();
    let required: Vec<_> = record.fields.iter().filter(|f| require && f.default.is_none()).map(|f| f.name).collect();
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("description".to_owned(), json!(sentence(record.doc)));
    schema.insert("properties".to_owned(), Value::Object(properties));
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    schema.insert("additionalProperties".to_owned(), json!(false));
    schema
}

fn field(field: &FieldShape, require: bool) -> Value {
    let mut schema = value(&field.shape, require);
    let Some(object) = schema.as_object_mut() else { return schema };
    let mut description = sentence(field.doc);
    if let Some(default) = field.default {
        description.push_str(&format!(" Default: `{default}`."));
    }
    object.insert("description".to_owned(), json!(description));
    match field.check {
        Some(Check::Range { min, open, max }) => {
            object.insert((if open { "exclusiveMinimum" } else { "minimum" }).to_owned(), json!(min));
            if max.is_finite() {
                object.insert("maximum".to_owned(), json!(max));
            }
        }
        Some(Check::NonEmpty) => {
            let key = match field.shape {
                Shape::Map(_) => "minProperties",
                Shape::List(_) => "minItems",
                _ => "minLength",
            };
            object.insert(key.to_owned(), json!(1));
        }
        Some(Check::Name) => {
            object.insert("pattern".to_owned(), json!("^[A-Za-z0-9_-][A-Za-z0-9_.-]*$"));
        }
        None => {}
    }
    schema
}

fn value(shape: &Shape, require: bool) -> Value {
    match shape {
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::Integer => json!({ "type": "integer" }),
        Shape::Number => json!({ "type": "number" }),
        Shape::Text | Shape::Path | Shape::Component => json!({ "type": "string" }),
        Shape::Choice(words) => {
            let choices: Vec<_> = words.iter().map(|(word, doc)| json!({ "const": word, "description": doc.trim() })).collect();
            json!({ "oneOf": choices })
        }
        Shape::List(inner) => json!({ "type": "array", "items": value(inner, require) }),
        Shape::Pair(inner) => json!({ "type": "array", "items": value(inner, require), "minItems": 2, "maxItems": 2 }),
        Shape::Map(inner) => json!({ "type": "object", "additionalProperties": value(inner, require) }),
        Shape::Optional(inner) => json!({ "anyOf": [value(inner, require), { "const": "None" }] }),
        Shape::Record(record) => Value::Object(object(record, require)),
        Shape::Raw => json!({}),
        Shape::Overlay => json!({ "$ref": "#/$defs/part" }),
    }
}

fn sentence(doc: &[&str]) -> String {
    doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}
