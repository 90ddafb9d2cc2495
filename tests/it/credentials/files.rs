//! Keys that lie on the machine: the environment, shared files, systemd's credentials; and the chain.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::*;
use crate::support::agent::binary;
use crate::support::server::S3Options;

fn write(path: &Path, mode: u32, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn shared(agent: &Agent, name: &str) -> PathBuf {
    agent.folder().join(".aws").join(name)
}

fn profile_of_keys(name: &str) -> String {
    format!("[{name}]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n")
}

#[test]
fn the_environment_signs_by_name_and_by_the_chain() {
    let server = S3Server::start(S3Options::default());
    for credentials in [json!(null), json!({ "provider": "environment" })] {
        let agent = agent(&server, credentials)
            .with_env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .with_env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            .with_env("AWS_SESSION_TOKEN", TOKEN);
        assert_eq!(
            uploads("environment", &server, &agent).as_deref(),
            Some(TOKEN)
        );
        assert!(checked(&agent).contains("from the environment, access key …key"));
    }
}

#[test]
fn a_profile_signs_by_name_and_by_the_chain() {
    let server = S3Server::start(S3Options::default());
    let by_default = agent(&server, json!(null));
    write(
        &shared(&by_default, "credentials"),
        0o600,
        &profile_of_keys("default"),
    );
    assert_eq!(uploads("default", &server, &by_default), None);
    assert!(checked(&by_default).contains("from profile `default`, access key …key"));

    let by_variable = agent(&server, json!(null)).with_env("AWS_PROFILE", "backup");
    let both = profile_of_keys("default").replace(SECRET_KEY, "wrong") + &profile_of_keys("backup");
    write(&shared(&by_variable, "credentials"), 0o400, &both);
    uploads("variable", &server, &by_variable);

    let mut by_name = agent(&server, json!(null)).with_env("AWS_PROFILE", "nobody");
    let file = by_name.folder().join("elsewhere");
    write(
        &file,
        0o600,
        &format!("{}aws_session_token = {TOKEN}\n", profile_of_keys("backup")),
    );
    by_name.config["jobs"][0]["credentials"] =
        json!({ "provider": "profile", "profile": "backup", "credentials_file": file });
    assert_eq!(uploads("name", &server, &by_name).as_deref(), Some(TOKEN));
}

#[test]
fn shared_files_that_lead_nowhere_are_told_with_what_to_do() {
    let server = S3Server::start(S3Options::default());
    let cases: &[(&str, u32, &str, &[&str])] = &[
        (
            "open to the group",
            0o640,
            &profile_of_keys("x"),
            &["is open to others than its owner (mode 0640); run `chmod 600 "],
        ),
        (
            "open to all",
            0o604,
            &profile_of_keys("x"),
            &["run `chmod 600 "],
        ),
        (
            "no such profile",
            0o600,
            &profile_of_keys("y"),
            &["there is no profile `x`"],
        ),
        (
            "no secret",
            0o600,
            "[x]\naws_access_key_id = a\n",
            &["the profile `x` has no `aws_secret_access_key`"],
        ),
        (
            "no profile",
            0o600,
            "aws_secret_access_key = hush-hush\n",
            &["credentials:1: stands before the first `[section]`"],
        ),
        (
            "no property",
            0o600,
            "[x]\nhush-hush\n",
            &["credentials:2: has no `=`"],
        ),
        (
            "a circle",
            0o600,
            "[x]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = y\n\
             [y]\nrole_arn = arn:aws:iam::123456789012:role/y\nsource_profile = x\n",
            &["lead in a circle: `x` → `y` → `x`"],
        ),
        (
            "no role",
            0o600,
            "[x]\nsource_profile = y\nrole_arn = arn:aws:iam::123456789012:user/x\n",
            &[
                "credentials:3: the profile `x` has a `role_arn` that is not the ARN of a role: `arn:aws:iam::123456789012:user/x`",
                "write it like `arn:aws:iam::123456789012:role/",
            ],
        ),
        (
            "a sign-in",
            0o600,
            "[x]\nsso_session = s\n",
            &["signs in by `sso_session`"],
        ),
    ];
    for (name, mode, text, words) in cases {
        let mut agent = agent(&server, json!({ "provider": "profile", "profile": "x" }));
        write(&shared(&agent, "credentials"), *mode, text);
        is_refused(name, &server, &agent, 77, words);
        // The chain does not pass over what is set up and wrong.
        agent.config["jobs"][0]["credentials"] = json!(null);
        let agent = agent.with_env("AWS_PROFILE", "x");
        is_refused(name, &server, &agent, 77, words);
    }
}

#[test]
fn a_config_file_without_secrets_may_be_open() {
    let server = S3Server::start(S3Options::default());
    let agent = agent(&server, json!(null));
    write(
        &shared(&agent, "config"),
        0o644,
        "[default]\nregion = eu-west-2\n",
    );
    write(
        &shared(&agent, "credentials"),
        0o600,
        &profile_of_keys("default"),
    );
    uploads("open config", &server, &agent);
}

#[test]
fn systemds_credentials_sign_and_may_be_open_to_the_group() {
    let server = S3Server::start(S3Options::default());
    let agent = agent(
        &server,
        json!({ "provider": "systemd", "secret_key": "s3-secret", "session_token": "s3-token" }),
    );
    let folder = agent.folder().join("credentials");
    write(&folder.join("access_key"), 0o440, ACCESS_KEY);
    write(&folder.join("s3-secret"), 0o440, &format!("{SECRET_KEY}\n"));
    write(&folder.join("s3-token"), 0o400, TOKEN);
    let output = agent.once().expect_code(78);
    assert!(
        output
            .stderr
            .contains("systemd: CREDENTIALS_DIRECTORY is not set"),
        "{output:#?}"
    );
    let agent = agent.with_env("CREDENTIALS_DIRECTORY", folder.to_str().unwrap());
    assert_eq!(uploads("systemd", &server, &agent).as_deref(), Some(TOKEN));
    assert!(checked(&agent).contains("from systemd's credentials, access key …key"));
    write(&folder.join("s3-secret"), 0o444, SECRET_KEY);
    let output = agent.once().expect_code(78);
    assert!(output.stderr.contains("run `chmod 600 "), "{output:#?}");
    write(&folder.join("s3-secret"), 0o400, "hush-hush hush-hush");
    let output = agent.once().expect_code(78);
    assert!(
        output.stderr.contains("`s3-secret` holds a space") && !output.stderr.contains("hush-hush"),
        "{output:#?}"
    );
}

#[test]
fn a_machine_without_any_keys_is_told_of_everybody_who_was_asked() {
    let server = S3Server::start(S3Options::default());
    let agent = agent(&server, json!(null));
    agent.write_file("a", 10, 1);
    let output = agent.once().expect_code(78);
    for word in [
        "jobs[0].credentials: no credentials found: environment: AWS_ACCESS_KEY_ID is not set; shared files: `",
        "; web identity: AWS_WEB_IDENTITY_TOKEN_FILE is not set; ",
        "container: neither ",
        "instance metadata: AWS_EC2_METADATA_DISABLED is `true`; set `credentials`",
    ] {
        assert!(output.stderr.contains(word), "{word}: {output:#?}");
    }
    assert!(server.requests().is_empty());
    // What sends nothing needs no keys.
    let output = agent.run(&["plan"]).expect_code(0);
    assert!(output.stdout.contains("1 to upload"), "{output:#?}");
}

#[test]
fn half_a_pair_in_the_environment_ends_the_search() {
    let server = S3Server::start(S3Options::default());
    let agent = agent(&server, json!(null)).with_env("AWS_SECRET_ACCESS_KEY", "hush-hush");
    write(
        &shared(&agent, "credentials"),
        0o600,
        &profile_of_keys("default"),
    );
    let words = ["AWS_SECRET_ACCESS_KEY is set, and AWS_ACCESS_KEY_ID is not"];
    is_refused("half a pair", &server, &agent, 77, &words);
}

/// Runs the `chmod` that the message shows, as somebody who copies it would.
#[track_caller]
fn mend(message: &str) {
    let (_, rest) = message.split_once("run `").expect(message);
    let (command, _) = rest.split_once('`').unwrap();
    let status = std::process::Command::new("sh")
        .args(["-c", command])
        .status();
    assert!(status.unwrap().success(), "{command}");
}

#[test]
fn the_command_that_mends_a_mode_can_be_copied_whatever_the_path() {
    let server = S3Server::start(S3Options::default());
    for name in [
        "plain",
        "two words",
        "it's a $(touch here) \"box\";& *",
        "-x",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = |last: &str| folder.path().join(name).join(last);
        write(&file("secret"), 0o644, SECRET_KEY);
        write(&file("shared"), 0o640, &profile_of_keys("x"));
        let elsewhere =
            json!({ "access_key": ACCESS_KEY, "secret_key": { "file": file("secret") } });
        let profile =
            json!({ "provider": "profile", "profile": "x", "credentials_file": file("shared") });
        for (credentials, code) in [(elsewhere, 78), (profile, 77)] {
            let agent = super::agent(&server, credentials);
            let refused = agent.run(&["check"]).expect_code(code);
            mend(&(refused.stdout + &refused.stderr));
            agent.run(&["check"]).expect_code(0);
        }

        // The configuration itself, with a secret in it.
        let configured = Agent::new(&server);
        let itself = file("s3ferry.json");
        write(&itself, 0o644, &configured.config.to_string());
        let check = || {
            let mut command = std::process::Command::new(binary());
            command.args(["check", "--offline", "-c"]).arg(&itself);
            let output = command.output().unwrap();
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
        };
        mend(&check());
        assert!(!check().contains("chmod"), "{}", check());
    }
}
