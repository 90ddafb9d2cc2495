//! The files that are handed out with the program hold what the program reads.

use serde_json::Value;

use super::*;
use crate::config::json::{self, Node};

const EXAMPLE: &str = include_str!("../../../config/s3ferry.json");
const MINIMAL: &str = include_str!("../../../config/s3ferry.minimal.json");
pub(super) const SCHEMA: &str = include_str!("../../../config/s3ferry.schema.json");

/// Where the keys of each object stand in the schema, and the parser's own table.
fn tables() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![
        (
            "/$defs/settings/properties",
            settings::SETTINGS_KEYS.to_vec(),
        ),
        (
            "/$defs/settings/properties/state_copy/properties",
            space::COPY_KEYS.to_vec(),
        ),
        (
            "/$defs/job_keys/properties/windows_override/properties",
            space::OVERRIDE_KEYS.to_vec(),
        ),
        (
            "/$defs/job_keys/properties/prune/properties",
            space::PRUNE_KEYS.to_vec(),
        ),
        (
            "/$defs/settings/properties/log/properties",
            settings::LOG_KEYS.to_vec(),
        ),
        (
            "/$defs/settings/properties/history/properties",
            settings::HISTORY_KEYS.to_vec(),
        ),
        (
            "/$defs/settings/properties/events/properties",
            settings::EVENTS_KEYS.to_vec(),
        ),
        ("/$defs/job_keys/properties", job::JOB_KEYS.to_vec()),
        (
            "/$defs/job_keys/properties/after_upload/anyOf/1/properties",
            job::AFTER_UPLOAD_KEYS.to_vec(),
        ),
        (
            "/$defs/job_keys/properties/credentials/properties",
            super::super::credentials::CREDENTIALS_KEYS.to_vec(),
        ),
        (
            "/$defs/job_keys/properties/endpoint_options/properties",
            aws::ENDPOINT_KEYS.to_vec(),
        ),
        (
            "/$defs/job_keys/properties/tls_options/properties",
            job::TLS_KEYS.to_vec(),
        ),
        (
            "/$defs/job_keys/properties/object/properties",
            object::OBJECT_KEYS.to_vec(),
        ),
        (
            "/$defs/job_keys/properties/object/properties/object_lock/properties",
            object_lock::OBJECT_LOCK_KEYS.to_vec(),
        ),
        (
            "/$defs/job_keys/properties/transfer/properties",
            transfer::TRANSFER_KEYS.to_vec(),
        ),
        (
            "/$defs/elsewhere/anyOf/1/properties",
            secrets::ELSEWHERE_KEYS[..1].to_vec(),
        ),
        (
            "/$defs/elsewhere/anyOf/2/properties",
            secrets::ELSEWHERE_KEYS[1..].to_vec(),
        ),
    ]
}

fn schema() -> Value {
    serde_json::from_str(SCHEMA).expect("the schema is JSON")
}

fn keys_of(object: &Value) -> Vec<&str> {
    let object = object.as_object().expect("an object");
    object.keys().map(String::as_str).collect()
}

/// Every `properties` of the schema that lists keys of its own, and is no condition on them.
fn listed(value: &Value, at: &str, found: &mut Vec<String>) {
    let Some(object) = value.as_object() else {
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            listed(item, &format!("{at}/{index}"), found);
        }
        return;
    };
    for (key, value) in object {
        let at = format!("{at}/{key}");
        let condition = ["/if/", "/then/", "/not/"]
            .iter()
            .any(|part| at.contains(part));
        if key == "properties" && !condition {
            found.push(at.clone());
        }
        listed(value, &at, found);
    }
}

#[test]
fn the_schema_lists_exactly_the_keys_that_are_read() {
    let schema = schema();
    let tables = tables();
    for (pointer, mut known) in tables.clone() {
        let mut listed = keys_of(schema.pointer(pointer).expect(pointer));
        listed.sort_unstable();
        known.sort_unstable();
        assert_eq!(listed, known, "{pointer}");
    }
    let mut all = Vec::new();
    listed(&schema, "", &mut all);
    all.sort_unstable();
    let mut checked: Vec<_> = tables
        .iter()
        .map(|(pointer, _)| pointer.to_string())
        .collect();
    checked.sort_unstable();
    assert_eq!(all, checked);
}

fn member<'a>(node: &'a Node, key: &str) -> &'a Node {
    let json::Value::Object(members) = &node.value else {
        panic!("{key}: not in an object");
    };
    let member = members.iter().find(|member| member.key == key);
    &member
        .unwrap_or_else(|| panic!("{key} is not in the example"))
        .node
}

pub(super) fn plain(node: &Node) -> Value {
    match &node.value {
        json::Value::Null => Value::Null,
        json::Value::Bool(value) => (*value).into(),
        json::Value::Number(text) => serde_json::from_str(text).expect("a JSON number"),
        json::Value::String(text) => text.as_str().into(),
        json::Value::Array(nodes) => nodes.iter().map(plain).collect(),
        json::Value::Object(members) => members
            .iter()
            .map(|member| (member.key.clone(), plain(&member.node)))
            .collect(),
    }
}

/// Every key of `properties` stands in the example, with the schema's default.
fn same_defaults(properties: &Value, example: &Node) {
    for (key, description) in properties.as_object().expect("an object") {
        let shown = member(example, key);
        if let Some(default) = description.get("default") {
            assert_eq!(plain(shown), *default, "{key}");
        }
        if let (Some(inner), json::Value::Object(_)) = (description.get("properties"), &shown.value)
        {
            same_defaults(inner, shown);
        }
    }
}

#[test]
fn the_example_has_every_key_with_the_schemas_default() {
    let schema = schema();
    let Ok(example) = json::read(EXAMPLE) else {
        panic!("the example is no JSON");
    };
    same_defaults(&schema["$defs"]["settings"]["properties"], &example);
    let json::Value::Array(jobs) = &member(&example, "jobs").value else {
        panic!("jobs is no array");
    };
    same_defaults(&schema["$defs"]["job_keys"]["properties"], &jobs[0]);
}

#[test]
fn the_examples_defaults_are_the_programs() {
    let mut written = parsed(EXAMPLE).unwrap_or_else(|error| panic!("{error}"));
    let bare =
        format!("{{\"jobs\": [{{\"host\": \"{HOST}\", \"source_path\": \"/data/backups\"}}]}}");
    let mut left_out = parsed(&bare).unwrap_or_else(|error| panic!("{error}"));
    // The places differ, as the texts do.
    written.places.clone_from(&left_out.places);
    assert_eq!(format!("{written:#?}"), format!("{left_out:#?}"));
    left_out.state_dir = "/other".into();
    assert_ne!(format!("{written:#?}"), format!("{left_out:#?}"));
}

#[test]
fn the_seeds_short_list_is_a_whole_configuration() {
    let config = parsed(MINIMAL).unwrap_or_else(|error| panic!("{error}"));
    let job = &config.jobs[0];
    assert_eq!((config.jobs.len(), job.name.as_str()), (1, "default"));
    assert_eq!(config.state_dir, Path::new("/var/lib/s3ferry"));
    assert_eq!(job.destination.bucket, "mybucket");
    assert_eq!(job.destination.port, 443);
    assert!(job.enabled && job.filter.is_some() && job.change_filename.is_none());
    assert!(matches!(job.credentials, CredentialSource::Static { .. }));
}
