//! JSON Schema 2020-12, as far as the configuration's schema goes. A keyword that is not known here
//! is an error, lest a rule be passed over.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The keys of the value that the schema has looked at, if it takes it.
pub fn keys_seen(root: &Value, schema: &Value, value: &Value) -> Option<BTreeSet<String>> {
    let Some(rules) = schema.as_object() else {
        return (*schema == Value::Bool(true)).then(BTreeSet::new);
    };
    let mut seen = BTreeSet::new();
    for (keyword, argument) in rules {
        seen.extend(apply(root, rules, keyword, argument, value)?);
    }
    if let (Some(rest), Some(object)) = (rules.get("unevaluatedProperties"), value.as_object()) {
        for (_, value) in object.iter().filter(|(key, _)| !seen.contains(*key)) {
            keys_seen(root, rest, value)?;
        }
    }
    Some(seen)
}

fn apply(
    root: &Value,
    rules: &Map<String, Value>,
    keyword: &str,
    argument: &Value,
    value: &Value,
) -> Option<BTreeSet<String>> {
    let look = |schema: &Value| keys_seen(root, schema, value);
    let schemas = || argument.as_array().expect(keyword).iter();
    match keyword {
        "$ref" => {
            let place = argument.as_str().expect(keyword).trim_start_matches('#');
            look(root.pointer(place).expect(place))
        }
        "allOf" => schemas()
            .map(look)
            .try_fold(BTreeSet::new(), |mut all, seen| {
                all.extend(seen?);
                Some(all)
            }),
        "anyOf" => {
            let taken: Vec<_> = schemas().filter_map(look).collect();
            (!taken.is_empty()).then(|| taken.into_iter().flatten().collect())
        }
        "not" => look(argument).is_none().then(BTreeSet::new),
        "if" => {
            let (mut seen, branch) = match look(argument) {
                Some(seen) => (seen, "then"),
                None => (BTreeSet::new(), "else"),
            };
            if let Some(branch) = rules.get(branch) {
                seen.extend(look(branch)?);
            }
            Some(seen)
        }
        "properties" | "additionalProperties" | "propertyNames" | "required" | "maxProperties" => {
            of_object(root, rules, keyword, argument, value)
        }
        _ => holds(root, keyword, argument, value).then(BTreeSet::new),
    }
}

fn of_object(
    root: &Value,
    rules: &Map<String, Value>,
    keyword: &str,
    argument: &Value,
    value: &Value,
) -> Option<BTreeSet<String>> {
    let mut seen = BTreeSet::new();
    let Some(object) = value.as_object() else {
        return Some(seen);
    };
    let listed = |key: &String| {
        rules
            .get("properties")
            .is_some_and(|all| all.get(key).is_some())
    };
    for (key, value) in object {
        let schema = match keyword {
            "properties" => argument.get(key),
            "additionalProperties" => (!listed(key)).then_some(argument),
            _ => None,
        };
        if let Some(schema) = schema {
            keys_seen(root, schema, value)?;
            seen.insert(key.clone());
        }
        if keyword == "propertyNames" {
            keys_seen(root, argument, &Value::from(key.as_str()))?;
        }
    }
    let fine = match keyword {
        "required" => {
            let mut keys = argument.as_array().expect(keyword).iter();
            keys.all(|key| object.contains_key(key.as_str().expect(keyword)))
        }
        "maxProperties" => object.len() as u64 <= argument.as_u64().expect(keyword),
        _ => true,
    };
    fine.then_some(seen)
}

/// Keywords that are about the value alone; those of another type than the value's hold.
fn holds(root: &Value, keyword: &str, argument: &Value, value: &Value) -> bool {
    let length = |text: &str| text.chars().count() as u64;
    let limit = || argument.as_u64().expect(keyword);
    match (keyword, value) {
        ("type", _) => match argument.as_array() {
            Some(types) => types.iter().any(|name| is_of(name, value)),
            None => is_of(argument, value),
        },
        ("enum", _) => argument.as_array().expect(keyword).contains(value),
        ("const", _) => argument == value,
        ("pattern", Value::String(text)) => {
            let pattern = argument.as_str().expect(keyword);
            let pattern = fancy_regex::Regex::new(pattern).expect(pattern);
            pattern.is_match(text).expect("it is short")
        }
        ("minLength", Value::String(text)) => length(text) >= limit(),
        ("maxLength", Value::String(text)) => length(text) <= limit(),
        ("minimum", Value::Number(number)) => number.as_u64().is_some_and(|n| n >= limit()),
        ("maximum", Value::Number(number)) => number.as_u64().is_none_or(|n| n <= limit()),
        ("items", Value::Array(items)) => items
            .iter()
            .all(|item| keys_seen(root, argument, item).is_some()),
        ("minItems", Value::Array(items)) => items.len() as u64 >= limit(),
        ("pattern" | "minLength" | "maxLength", _) => true,
        ("minimum" | "maximum" | "items" | "minItems", _) => true,
        ("then" | "else" | "unevaluatedProperties", _) => true,
        ("$schema" | "$defs" | "title" | "description" | "default", _) => true,
        _ => panic!("the keyword `{keyword}` is not known here"),
    }
}

fn is_of(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap_or_default() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the type `{other}` is not known here"),
    }
}
