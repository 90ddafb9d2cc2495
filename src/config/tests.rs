//! The configuration as a whole; each part's table is in a file of its own.

mod credentials;
mod deliverables;
mod destinations;
mod disk;
mod jobs;
mod objects;
mod options;
mod room;
mod schema;
mod values;

use std::path::Path;

use proptest::prelude::*;

use super::*;

const HOST: &str = "mybucket.s3.eu-west-2.amazonaws.com";

fn environment(name: &str) -> Option<String> {
    match name {
        "BUCKET" => Some("mybucket".to_string()),
        "SECRET" => Some("hunter2".to_string()),
        "TWO_LINES" => Some("one\ntwo".to_string()),
        "ROLE" => Some("arn:aws:iam::123456789012:role/r".to_string()),
        "PROXY" => Some("http://proxy:3128".to_string()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

/// What the program takes, the schema takes as well.
fn parsed(text: &str) -> Result<Config, ConfigError> {
    let config = parse(text, Path::new("c.json"), &environment)?;
    assert!(
        schema::takes(text),
        "the schema refuses what is right: {text}"
    );
    Ok(config)
}

/// The problems, a line each, without the file's name.
fn problems(text: &str) -> Vec<String> {
    match parsed(text) {
        Ok(_) => Vec::new(),
        Err(error) => error
            .to_string()
            .lines()
            .map(|line| line.strip_prefix("c.json:").unwrap_or(line).to_string())
            .collect(),
    }
}

/// `§` marks the place in the text that `§` stands for in the expected lines.
fn check(text: &str, expected: &[&str]) {
    let before = text.split('§').next().unwrap_or(text);
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let place = format!("{}:{column}", before.matches('\n').count() + 1);
    let expected: Vec<_> = expected
        .iter()
        .map(|line| line.replacen('§', &place, 1))
        .collect();
    assert_eq!(problems(&text.replace('§', "")), expected, "{text}");
}

/// A job that is right, with `fields` in its second line.
fn with(fields: &str) -> String {
    format!("{{\"host\": \"{HOST}\", \"source_path\": \"/data\",\n{fields}}}")
}

/// The only job of a file that is right.
fn job_of(text: &str) -> Job {
    let config = parsed(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    assert_eq!(config.jobs.len(), 1);
    config.jobs.into_iter().next().expect("one job")
}

#[test]
fn all_mistakes_are_told_together_in_the_files_order() {
    let text = r#"{
  "state_dir": "var",
  "time_zone": "UTC",
  "jobs": [
    {
      "name": "a b",
      "host": "mybucket.s3.eu-west-2.amazonaws.com",
      "intervall": "1h",
      "interval": "0s",
    },
    {"object": {"tags": {"é": 1}, "acl": "privat"}, "interval": "1s", "interval": "2s"},
  ],
}"#;
    check(
        text,
        &[
            "2:16: state_dir: `var` is not an absolute path; begin it with `/`",
            "3:16: time_zone: `UTC` is not known here; did you mean `utc`?",
            "5:5: jobs[0].source_path: is missing; name the folder that holds the files",
            "6:15: jobs[0].name: `a b` is not a job's name; use 1 to 64 letters, digits, `.`, `_` and `-`",
            "8:7: jobs[0].intervall: unknown key `intervall`; did you mean `interval`?",
            "9:19: jobs[0].interval: `0s` is out of range; give 1s to 365d",
            "11:5: jobs[1].host: is missing; write `<bucket>.s3.<region>.amazonaws.com`, or give `bucket` with `region` or `endpoint`",
            "11:5: jobs[1].source_path: is missing; name the folder that holds the files",
            "11:31: jobs[1].object.tags[\"é\"]: expected a string, found the number `1`; put it in double quotes",
            "11:42: jobs[1].object.acl: `privat` is not known here; did you mean `private`?",
            "11:71: jobs[1].interval: is given twice, first in line 11; keep one",
        ],
    );
}

#[test]
fn the_form_of_the_whole_file_is_checked() {
    let jobs = |jobs: &str| format!("{{\"jobs\": {jobs}}}");
    let cases: &[(&str, &[&str])] = &[
        ("[]", &["1:1: expected an object, found an array"]),
        (
            "{",
            &["1:2: expected a key in double quotes or `}`, found the end of the file"],
        ),
        (
            "{}",
            &[
                "1:1: host: is missing; write `<bucket>.s3.<region>.amazonaws.com`, or give `bucket` with `region` or `endpoint`",
                "1:1: source_path: is missing; name the folder that holds the files",
            ],
        ),
        (
            &jobs("{}"),
            &["1:10: jobs: expected an array, found an object"],
        ),
        (
            &jobs("[]"),
            &["1:10: jobs: is empty; give at least one job"],
        ),
        (
            &jobs("[null, 1]"),
            &[
                "1:11: jobs[0]: expected an object, found null",
                "1:17: jobs[1]: expected an object, found the number `1`",
            ],
        ),
        (
            &jobs(&format!(
                "[{}], \"interval\": \"1h\", \"windows\": null",
                with("")
            )),
            &["2:17: interval: stands beside `jobs`; move it into a job"],
        ),
        (
            &jobs(&format!(
                "[{0},\n{0},\n{1}]",
                with(""),
                with("\"name\": \"job2\"")
            )),
            &["6:9: jobs[2].name: `job2` is already the name of the job in line 3; choose another"],
        ),
        (
            &jobs(&format!("[{},\n{}]", with("\"name\": \"job2\""), with(""))),
            &["3:1: jobs[1]: `job2` is already the name of the job in line 1; choose another"],
        ),
        (
            &with("\"retention\": 1"),
            &["2:1: retention: unknown key `retention`; remove it"],
        ),
        (
            &with("\"log\": {\"colour\": 1}"),
            &[
                "2:9: log.colour: unknown key `colour`; known here: `level`, `file`, `max_size` or `files`",
            ],
        ),
        (
            &with("\"a.b\\n\": 1"),
            &["2:1: [\"a.b\\n\"]: unknown key `a.b\\n`; remove it"],
        ),
        (
            &with("\"$schema\": 1"),
            &["2:12: $schema: expected a string, found the number `1`; put it in double quotes"],
        ),
        (
            &with("\"state_dir\": \"/data/./\""),
            &[
                "2:14: state_dir: `/data/./` lies in the source folder of the job `default`; keep the state outside of it",
            ],
        ),
        (
            &with("\"recursive\": true, \"state_dir\": \"/data/state\""),
            &[
                "2:33: state_dir: `/data/state` lies in the source folder of the job `default`; keep the state outside of it",
            ],
        ),
        (
            &with("\"state_dir\": \"/data/state\""),
            &[
                "2:14: state_dir: `/data/state` lies in the source folder of the job `default`; keep the state outside of it",
            ],
        ),
        (&with("\"state_dir\": \"/data-state\""), &[]),
    ];
    for (text, expected) in cases {
        check(text, expected);
    }
}

#[test]
fn null_is_the_same_as_leaving_a_key_out() {
    let nulls = |keys: &[&str]| {
        keys.iter()
            .filter(|key| !matches!(**key, "host" | "source_path"))
            .map(|key| format!("\"{key}\": null,"))
            .collect::<String>()
    };
    let groups = [
        ("log", settings::LOG_KEYS),
        ("history", settings::HISTORY_KEYS),
        ("events", settings::EVENTS_KEYS),
        ("tls_options", job::TLS_KEYS),
        ("object", object::OBJECT_KEYS),
        ("transfer", transfer::TRANSFER_KEYS),
    ];
    let expected = format!("{:?}", job_of(&with("")));
    let mut texts = vec![nulls(settings::SETTINGS_KEYS) + &nulls(job::JOB_KEYS)];
    texts.extend(
        groups
            .iter()
            .map(|(name, keys)| format!("\"{name}\": {{{}}}", nulls(keys))),
    );
    for text in texts {
        assert_eq!(format!("{:?}", job_of(&with(&text))), expected, "{text}");
    }
}

#[test]
fn a_secret_is_in_no_message_and_in_no_debug_output() {
    let right = [
        "\"access_key\": \"AK\", \"secret_key\": \"hunter2\", \"session_token\": \"hunter2\"",
        "\"proxy\": \"http://u:hunter2@proxy:3128\"",
        "\"proxy\": \"socks5://u:hunter2@proxy:1080\"",
        "\"access_key\": \"AK\", \"secret_key\": {\"env\": \"SECRET\"}",
    ];
    for fields in right {
        let config = parsed(&with(fields)).expect(fields);
        assert!(!format!("{config:?}").contains("hunter2"), "{fields}");
    }
    let wrong = [
        "\"secret_key\": \"hunter2\"",
        "\"access_key\": \"hunter2 \", \"secret_key\": \"hunter2 \"",
        "\"access_key\": \"A\", \"secret_key\": {\"env\": \"hunter2/\"}",
        "\"access_key\": \"A\", \"secret_key\": {\"file\": \"hunter2\"}",
        "\"access_key\": \"A\", \"secret_key\": {\"value\": \"hunter2\"}",
        "\"access_key\": \"A\", \"secret_key\": [\"hunter2\"]",
        "\"access_key\": \"A\", \"secret_key\": hunter2",
        "\"access_key\": \"A\", \"secret_key\": \"hunter2\n\"",
        "\"access_key\": \"A\", \"secret_key\": \"\\hunter2\"",
        "\"access_key\": \"A\", \"secret_key\": \"hunter2\", \"secret_key\": \"hunter2\"",
        "\"access_key\": \"A\", \"secret_kye\": \"hunter2\"",
        "\"credentials\": \"A:hunter2\"",
        "\"proxy\": \"hunter2\"",
        "\"proxy\": \"socks4://u:hunter2@proxy:1080\"",
        "\"proxy\": \"http://u:hunter2%0a@proxy\"",
        "\"proxy\": \"http://u:hunter2@proxy:99999\"",
        "\"proxy\": \"ftp://u:hunter2@proxy\"",
        "\"proxy\": \"http://u:hunter2^@proxy:1\"",
        "\"proxy\": \"http://u:hunter2@pro xy\"",
        "\"proxy\": \"http://u:hunter2@proxy/x\"",
        "\"region\": {\"env\": \"SECRET\"}",
        "\"prefix\": {\"env\": \"SECRET\"}, \"name\": 1",
        "\"host\": null, \"bucket\": \"abc\", \"endpoint\": \"https://u:hunter2@host\"",
        "\"host\": null, \"bucket\": \"abc\", \"endpoint\": \"https://u:hunter2@host:0\"",
        "\"object\": {\"kms_key_id\": {\"env\": \"SECRET\"}}",
        "\"object\": {\"expected_bucket_owner\": {\"env\": \"SECRET\"}}",
        "\"object\": {\"customer_key\": \"hunter2\"}",
    ];
    for fields in wrong {
        let text = match fields.strip_prefix("\"host\": null, ") {
            Some(fields) => format!("{{\"source_path\": \"/data\", {fields}}}"),
            None => with(fields),
        };
        let error = parsed(&text).expect_err(fields);
        assert!(!error.problems.is_empty());
        assert!(!format!("{error}{error:?}").contains("hunter2"), "{error}");
    }
}

/// Text that looks enough like a configuration to come far.
fn likely_text() -> impl Strategy<Value = String> {
    let words = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\\",
        "\\ud83d",
        "é",
        "//",
        "/*",
        "*/",
        "\n",
        "1",
        "-",
        "null",
        "true",
        "\"host\":",
        "\"a.s3.eu-west-2.amazonaws.com\"",
        "\"source_path\":",
        "\"/d\"",
        "\"filter\":",
        "\"(?>\"",
        "\"object\":{",
        "\"tags\":{",
        "\"jobs\":[{",
        "\"proxy\":",
        "\"http://u@h\"",
        "\"endpoint\":",
        "\"https://[::1]:1/\"",
        "{\"env\":\"BUCKET\"}",
        "\"interval\":",
        "\"1h\"",
        "\"windows\":[",
        "\"22:00-06:00\"",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..40)
        .prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = parsed(&text);
    }

    #[test]
    fn no_likely_text_makes_it_panic(text in likely_text()) {
        let _ = parsed(&text);
    }

    #[test]
    fn no_damage_to_the_example_makes_it_panic(at in 0usize..7000, length in 0usize..30, with in ".{0,3}") {
        let mut text = include_str!("../../config/s3ferry.json").to_string();
        let start = text.floor_char_boundary(at.min(text.len()));
        let end = text.floor_char_boundary((start + length).min(text.len())).max(start);
        text.replace_range(start..end, &with);
        if let Err(error) = parsed(&text) {
            prop_assert!(!error.problems.is_empty());
            for problem in error.problems {
                prop_assert!(problem.line >= 1 && problem.column >= 1);
                prop_assert!(!problem.to_string().contains('\n'));
            }
        }
    }
}
