//! README says what the code does: its tables hold every error and every key.

use s3ferry::s3::{HINTS, NETWORK_HINTS, by_status};
use serde_json::Value;

const README: &str = include_str!("../../README.md");
const SCHEMA: &str = include_str!("../../config/s3ferry.schema.json");

/// The cells of the one table row under `heading` whose first cell has `` `name` `` in it.
fn row(heading: &str, name: &str) -> Vec<&'static str> {
    let section = README.split_once(heading).unwrap().1;
    let section = section.split("\n## ").next().unwrap();
    let quoted = format!("`{name}`");
    let rows: Vec<Vec<&str>> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").collect::<Vec<_>>())
        .filter(|cells| cells[0].contains(&quoted))
        .collect();
    assert_eq!(rows.len(), 1, "rows of {quoted} under {heading:?}");
    rows.concat()
}

fn check_error(name: &str, class: &str, hint: Option<&str>) {
    let cells = row("\n## Troubleshooting\n", name);
    assert_eq!(cells[1], class, "the kind of {name}");
    if let Some(hint) = hint {
        assert_eq!(cells[3], hint, "the cure of {name}");
    }
}

#[test]
fn every_error_stands_in_the_table_with_its_kind_and_cure() {
    for (code, class, hint) in HINTS {
        check_error(code, class.name(), Some(hint));
    }
    for status in [
        301, 307, 400, 401, 403, 404, 405, 408, 409, 413, 425, 429, 500, 501, 502, 503, 504,
    ] {
        let (class, hint) = by_status(status);
        check_error(&format!("HTTP {status}"), class.name(), hint);
    }
}

#[test]
fn every_failure_of_the_transport_stands_in_the_table_with_its_kind_and_cure() {
    for (code, class, hint) in NETWORK_HINTS {
        // A signal is no trouble.
        if *code != "Stopped" {
            check_error(code, class.name(), Some(hint));
        }
    }
}

#[test]
fn every_key_stands_in_the_configuration_table_with_its_default() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let mut keys = Vec::new();
    for list in ["settings", "job_keys"] {
        collect(&schema["$defs"][list], "", &mut keys);
    }
    assert!(keys.len() > 50, "{keys:?}");
    for (key, default) in keys {
        let cells = row("\n## Configuration\n", &key);
        match default {
            Some(default) => assert_eq!(cells[1], format!("`{default}`"), "{key}"),
            None => assert_eq!(cells[1], "—", "{key}"),
        }
    }
}

/// Every key that holds a value, as `transfer.part_size`, and its default where it has one.
fn collect(object: &Value, above: &str, keys: &mut Vec<(String, Option<String>)>) {
    for (name, key) in object["properties"].as_object().unwrap() {
        let path = format!("{above}{name}");
        let forms = key["anyOf"].as_array().into_iter().flatten();
        let default = key.get("default").map(Value::to_string);
        let groups: Vec<&Value> = std::iter::once(key)
            .chain(forms)
            .filter(|form| form.get("properties").is_some())
            .collect();
        // A group has a row of its own only where the whole of it has a default.
        if groups.is_empty() || default.is_some() {
            keys.push((path.clone(), default));
        }
        for group in groups {
            collect(group, &format!("{path}."), keys);
        }
    }
}
