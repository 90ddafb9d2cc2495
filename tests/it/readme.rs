//! README says what the code does: its tables hold every error and every key.

use s3ferry::s3::{HINTS, NETWORK_HINTS, by_status};
use serde_json::{Value, json};

use crate::support::agent::Agent;
use crate::support::connect_proxy::ConnectProxy;
use crate::support::server::{S3Options, S3Server};

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

/// The settings of a store's row, as an object: those that stand together, or each of its own.
fn recipes(store: &str, together: bool) -> Vec<Value> {
    let section = README.split_once("\n## Stores and networks\n").unwrap().1;
    let start = format!("| {store} | ");
    let row = section.lines().find_map(|line| line.strip_prefix(&start));
    let settings = row.unwrap().split(" | ").next().unwrap();
    let members: Vec<String> = settings
        .split('`')
        .filter(|span| span.starts_with('"'))
        .map(|span| span.replace('…', "1a2b3c-4d5e6f"))
        .collect();
    let texts = if together {
        vec![members.join(", ")]
    } else {
        members
    };
    let object = |text| serde_json::from_str(&format!("{{{text}}}")).unwrap();
    texts.into_iter().map(object).collect()
}

/// The program takes the recipe, and goes to that host.
#[track_caller]
fn check_recipe(recipe: &Value, host: &str) {
    let server = S3Server::start(S3Options::default());
    let proxy = ConnectProxy::start(server.address());
    let agent = Agent::new(&server);
    let mut config = json!({
        "state_dir": agent.state(), "source_path": agent.source(), "settle": "0s",
        "access_key": "AKIDEXAMPLE", "secret_key": "hush-hush", "proxy": proxy.url(),
    });
    if recipe.get("host").is_none() {
        config["bucket"] = json!("mybucket");
    }
    if recipe.get("endpoint_options").is_some() {
        config["region"] = json!("eu-west-2");
    }
    for (key, value) in recipe.as_object().unwrap() {
        config[key] = value.clone();
    }
    let agent = agent.with_config(config);
    agent.write_file("a", 10, 1);
    agent.run(&["check", "--offline"]).expect_code(0);
    agent.run(&["plan"]).expect_code(0);
    let output = agent.run(&["once", "--give-up", "100ms"]);
    let asked = proxy.asked_for();
    let first = asked.first().map(|host| host.to_lowercase());
    assert_eq!(first.as_deref(), Some(host), "{recipe}: {output:#?}");
}

#[test]
fn every_stores_recipe_is_taken_and_leads_to_its_host() {
    let aws = recipes("AWS", false);
    assert_eq!(aws.len(), 2, "{aws:?}");
    for recipe in aws {
        check_recipe(&recipe, "mybucket.s3.eu-west-2.amazonaws.com:443");
    }
    let others = recipes("AWS, other hosts", false);
    let hosts = [
        "mybucket.s3.dualstack.eu-west-2.amazonaws.com:443",
        "name-123456789012.s3-accesspoint.eu-west-2.amazonaws.com:443",
        "bucket.vpce-1a2b3c-4d5e6f.s3.eu-west-2.vpce.amazonaws.com:443",
    ];
    assert_eq!(others.len(), hosts.len(), "{others:?}");
    for (recipe, host) in others.iter().zip(hosts) {
        check_recipe(recipe, host);
    }
    for (store, host) in [
        ("MinIO", "minio.example.com:9000"),
        ("SeaweedFS", "seaweed:8333"),
        ("Garage", "garage:3900"),
        ("Ceph RGW", "rgw.example.com:443"),
        ("Cloudflare R2", "account.r2.cloudflarestorage.com:443"),
        ("Backblaze B2", "s3.us-west-004.backblazeb2.com:443"),
        ("Wasabi", "s3.eu-central-1.wasabisys.com:443"),
    ] {
        check_recipe(&recipes(store, true)[0], host);
    }
}

#[test]
fn an_address_with_a_zone_is_refused_in_so_many_words() {
    for endpoint in ["http://[fe80::1%25eth0]:9000", "http://[fe80::1%eth0]"] {
        let agent = Agent::with_endpoint(endpoint);
        let output = agent.run(&["check", "--offline"]).expect_code(78);
        let words = "is an IPv6 address with a zone, which is not supported; give a name";
        assert!(output.stderr.contains(words), "{output:#?}");
    }
}
