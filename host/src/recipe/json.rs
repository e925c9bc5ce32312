//! A component's own configuration as JSON, for components that were not written in Rust.
//!
//! Both kinds of brackets with names become objects, tuples become arrays, `Some(x)` becomes x, `None` null, a bare word its name, and a word with a
//! bracket an object with that one key, which is how `serde` writes enums as well.

use serde_json::{Map, Number, Value};

use super::syntax::{self, Kind, Node};

/// Converts RON text; empty text is `{}`.
///
/// # Errors
/// A sentence, if the text is not RON or has numbers or keys that JSON does not have.
pub fn from_ron(text: &str) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let mut findings = Vec::new();
    let node = syntax::parse(text, 0, 0, &mut findings).map_err(|finding| finding.message)?;
    match findings.into_iter().next() {
        Some(finding) => Err(finding.message),
        None => value(&node),
    }
}

fn value(node: &Node) -> Result<Value, String> {
    let tagged = |name: &Option<String>, value: Value| match name {
        Some(name) => Value::Object(Map::from_iter([(name.clone(), value)])),
        None => value,
    };
    Ok(match &node.without_some().kind {
        Kind::Scalar(token) => scalar(token)?,
        Kind::Struct { name, fields } => {
            let fields = fields.iter().map(|f| Ok((f.name.clone(), value(&f.value)?))).collect::<Result<Map<_, _>, String>>()?;
            tagged(name, Value::Object(fields))
        }
        Kind::Tuple { name: Some(name), items } if items.len() == 1 => tagged(&Some(name.clone()), value(&items[0])?),
        Kind::Tuple { name, items } => tagged(name, list(items)?),
        Kind::List(items) => list(items)?,
        Kind::Map(entries) => {
            let entries = entries.iter().map(|(key, v)| {
                let name = match value(key)? {
                    Value::String(name) => name,
                    Value::Number(number) => number.to_string(),
                    other => return Err(format!("JSON has no key `{other}`")),
                };
                Ok((name, value(v)?))
            });
            Value::Object(entries.collect::<Result<Map<_, _>, String>>()?)
        }
    })
}

fn list(items: &[Node]) -> Result<Value, String> {
    items.iter().map(value).collect::<Result<Vec<_>, _>>().map(Value::Array)
}

fn scalar(token: &str) -> Result<Value, String> {
    match ron::from_str::<ron::Value>(token) {
        Ok(ron::Value::Bool(value)) => Ok(Value::Bool(value)),
        Ok(ron::Value::Char(value)) => Ok(Value::String(value.to_string())),
        Ok(ron::Value::String(value)) => Ok(Value::String(value)),
        Ok(ron::Value::Number(_)) => number(token),
        _ if token == "None" => Ok(Value::Null),
        _ if token.starts_with(|c: char| c.is_alphabetic() || c == '_') => Ok(Value::String(token.to_owned())),
        _ => Err(format!("`{token}` has no counterpart in JSON")),
    }
}

fn number(token: &str) -> Result<Value, String> {
    let whole = ron::from_str::<i64>(token).map(Number::from).or_else(|_| ron::from_str::<u64>(token).map(Number::from)).ok();
    let number = whole.or_else(|| ron::from_str::<f64>(token).ok().and_then(Number::from_f64));
    number.map(Value::Number).ok_or_else(|| format!("JSON has no number `{token}`"))
}

#[cfg(test)]
mod tests {
    use super::from_ron;

    #[test]
    fn every_form_has_a_counterpart() {
        let check =
            |ron: &str, json: &str| assert_eq!(from_ron(ron).unwrap(), serde_json::from_str::<serde_json::Value>(json).unwrap(), "{ron}");
        check("", "{}");
        check("()", "{}");
        check("(gain: 0.5, count: 3, on: true)", r#"{"count":3,"gain":0.5,"on":true}"#);
        check("(goal: (0.1, -2, 3e2), names: [\"a\", 'b'])", r#"{"goal":[0.1,-2,300.0],"names":["a","b"]}"#);
        check(
            "(a: Some(1), b: None, c: Fast, d: Slow(by: 2), e: Pair(1, 2), f: One(1))",
            r#"{"a":1,"b":null,"c":"Fast","d":{"Slow":{"by":2}},"e":{"Pair":[1,2]},"f":{"One":1}}"#,
        );
        check("({\"x\": 1, 2: 0x10})", r#"[{"2":16,"x":1}]"#);
        check("(seed: 18446744073709551615)", r#"{"seed":18446744073709551615}"#);
    }

    #[test]
    fn what_json_does_not_have_is_told() {
        let check = |ron: &str, words: &str| {
            let e = from_ron(ron).unwrap_err();
            assert!(e.contains(words), "{ron}: {e}");
        };
        check("(a: inf)", "no number `inf`");
        check("(a: 1, a: 2)", "a");
        check("(a: ", "");
    }
}
