//! The files of `tls_options`: what is wrong with them is named with its place and its cure, by every
//! command, and keeps no other job from its files longer than it must.

use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::agent::{Agent, Output, SOON};
use crate::support::server::{BUCKET, S3Options, S3Server};
use crate::support::tls::{Authority, Claims, TlsFront};

/// The files of a job that works, in the agent's folder.
struct Files {
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn new(folder: &Path) -> Files {
        let authority = Authority::new("a CA");
        let ca = folder.join("ca.pem");
        authority.write(&ca);
        let (certificate, key) = authority.sign(&Claims::default()).write(folder, "device");
        Files {
            ca,
            certificate,
            key,
        }
    }

    fn options(&self) -> Value {
        json!({
            "ca_file": self.ca, "client_certificate": self.certificate, "client_key": self.key,
        })
    }
}

/// Two jobs: `job` works over plain HTTP, `secured` over TLS that nobody speaks.
fn two_jobs(server: &S3Server) -> (Agent, Files) {
    let agent = Agent::new(server);
    let files = Files::new(agent.folder());
    let mut config = agent.config.clone();
    let mut secured = config["jobs"][0].clone();
    secured["name"] = json!("secured");
    secured["prefix"] = json!("secured/");
    secured["endpoint"] = json!("https://127.0.0.1:1");
    secured["tls_options"] = files.options();
    config["jobs"].as_array_mut().unwrap().insert(0, secured);
    (agent.with_config(config), files)
}

/// `FILE:LINE:COLUMN: jobs[0].tls_options.KEY: `, as the configuration is written.
fn place(agent: &Agent, key: &str) -> String {
    let text = std::fs::read_to_string(agent.config_path()).unwrap();
    let (number, line) = text
        .lines()
        .enumerate()
        .find(|(_, line)| line.trim_start().starts_with(&format!("\"{key}\"")))
        .unwrap();
    let column = line.find(": ").unwrap() + 3;
    format!(
        "{}:{}:{column}: jobs[0].tls_options.{key}: ",
        agent.config_path().display(),
        number + 1
    )
}

fn finding(output: &Output, step: &str) -> Vec<Value> {
    let mut findings = output.json_lines();
    findings.retain(|finding| finding["step"] == step);
    findings
}

#[test]
fn each_mistake_has_its_place_and_its_cure_in_every_command() {
    let server = S3Server::start(S3Options::default());
    let (agent, files) = two_jobs(&server);
    let (_, stranger) = Authority::new("another")
        .sign(&Claims::default())
        .write(agent.folder(), "stranger");
    let good = std::fs::read(&files.key).unwrap();
    let gone = |path: &Path| std::fs::rename(path, path.with_extension("away")).unwrap();
    let back = |path: &Path| std::fs::rename(path.with_extension("away"), path).unwrap();
    let told = |name: &str, path: &Path, key: &str, cause: &str, cure: &str| {
        for command in [&["check", "--offline", "--json"][..], &["check", "--json"]] {
            let output = agent.run(command).expect_code(78);
            let found = finding(&output, "tls_options");
            assert_eq!(found.len(), 1, "{name}: {output:#?}");
            assert_eq!(found[0]["job"], "secured", "{name}");
            let message = found[0]["message"].as_str().unwrap();
            assert!(
                message.starts_with(&place(&agent, key)),
                "{name}: {message}"
            );
            assert!(
                message.contains(path.to_str().unwrap()),
                "{name}: {message}"
            );
            assert!(message.contains(cause), "{name}: {message}");
            let said = found[0]["cure"].as_str().unwrap();
            assert!(said.contains(cure), "{name}: {said}");
            assert!(
                said.contains(&format!("`tls_options.{key}`")),
                "{name}: {said}"
            );
            // The other job is checked all the same.
            let credentials = finding(&output, "credentials");
            assert_eq!(credentials.len(), 1, "{name}: {output:#?}");
            assert_eq!(credentials[0]["job"], "job", "{name}");
        }
        for command in ["once", "run", "cleanup"] {
            let output = agent.run(&[command]).expect_code(78);
            assert!(
                output.stderr.starts_with(&place(&agent, key)),
                "{name}: {output:#?}"
            );
            assert!(
                output.stderr.contains(cause) && output.stderr.contains(cure),
                "{name}"
            );
        }
        // Who names another job is not kept from it.
        agent.run(&["once", "--job", "job"]).expect_code(0);
    };
    for (path, key) in [
        (&files.ca, "ca_file"),
        (&files.certificate, "client_certificate"),
        (&files.key, "client_key"),
    ] {
        gone(path);
        told("missing", path, key, "No such file", "or correct");
        std::fs::create_dir(path).unwrap();
        told("a folder", path, key, "is not a regular file", "or correct");
        std::fs::remove_dir(path).unwrap();
        back(path);
    }
    for (path, key) in [
        (&files.ca, "ca_file"),
        (&files.certificate, "client_certificate"),
    ] {
        let text = std::fs::read(path).unwrap();
        std::fs::write(path, "no PEM").unwrap();
        told("no PEM", path, key, "is not a certificate in PEM", "in PEM");
        std::fs::write(path, text).unwrap();
    }
    for encrypted in [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGjMF8G\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMIGj\n-----END EC PRIVATE KEY-----\n",
    ] {
        std::fs::write(&files.key, encrypted).unwrap();
        let (key, cure) = ("client_key", "openssl pkey");
        told("encrypted", &files.key, key, "is encrypted", cure);
    }
    std::fs::write(&files.key, "no PEM").unwrap();
    told(
        "no key",
        &files.key,
        "client_key",
        "is not a private key in PEM",
        "in PEM",
    );
    std::fs::write(&files.key, std::fs::read(&stranger).unwrap()).unwrap();
    let cause = "do not belong together";
    told(
        "another's",
        &files.key,
        "client_key",
        cause,
        "the private key of",
    );
    std::fs::write(&files.key, good).unwrap();
    agent.run(&["check", "--offline"]).expect_code(0);
}

#[test]
fn all_of_them_are_told_together() {
    let server = S3Server::start(S3Options::default());
    let (agent, files) = two_jobs(&server);
    for path in [&files.ca, &files.certificate, &files.key] {
        std::fs::remove_file(path).unwrap();
    }
    let output = agent.run(&["once"]).expect_code(78);
    for key in ["ca_file", "client_certificate", "client_key"] {
        assert!(output.stderr.contains(&place(&agent, key)), "{output:#?}");
    }
    assert_eq!(output.stderr.lines().count(), 3, "{output:#?}");
}

#[test]
fn a_reload_with_a_bad_file_leaves_the_old_configuration_in_force() {
    let server = S3Server::start(S3Options::default());
    let (mut agent, files) = two_jobs(&server);
    agent.config["jobs"][1]["interval"] = json!("1s");
    let good = agent.config.clone();
    let mut before = good.clone();
    before["jobs"].as_array_mut().unwrap().remove(0);
    let mut agent = agent.with_config(before);
    let running = agent.start();
    std::fs::remove_file(&files.ca).unwrap();
    agent.config = good;
    agent.write_config();
    running.signal(Signal::HUP);
    let rejected = agent.wait_for_events("configuration_rejected", 1, SOON);
    let message = rejected[0]["message"].as_str().unwrap();
    assert!(message.contains(&place(&agent, "ca_file")), "{message}");
    assert!(
        message.contains("or correct `tls_options.ca_file`"),
        "{message}"
    );
    agent.write_file("later", 1000, 1);
    running.wait_for_event("upload_finished", SOON);
    assert_eq!(server.keys(BUCKET), ["later".to_owned()].into());
    assert_eq!(running.stop().code(), Some(0));
}

/// The CAs of the job hold for those who hand out its keys, and are read when these are asked.
#[test]
fn a_file_that_vanishes_while_the_service_runs_blocks_its_job_alone() {
    let server = S3Server::start(S3Options::default());
    let front = TlsFront::start(server.address());
    let (mut agent, files) = two_jobs(&server);
    front.write_certificate(&files.ca);
    agent.config["jobs"][0]["processing_state"] = json!("disabled");
    agent.config["jobs"][0]["tls_options"] = json!({ "ca_file": files.ca });
    agent.config["jobs"][0]["credentials"] = json!({
        "provider": "assume_role", "role_arn": "arn:aws:iam::123456789012:role/a",
        "sts_endpoint": "https://127.0.0.1:1",
        "source": { "access_key": "AKIDSOURCE", "secret_key": "hush" },
    });
    agent.config["jobs"][1]["interval"] = json!("1s");
    let running = agent.start();
    std::fs::remove_file(&files.ca).unwrap();
    agent.write_file("a", 1000, 1);
    agent.run_as_it_is(&["resume", "secured"]).expect_code(0);
    let blocked = agent.wait_for_events("job_blocked", 1, SOON);
    assert_eq!(blocked[0]["job"], "secured");
    let hint = blocked[0]["error"]["hint"].as_str().unwrap();
    assert!(hint.contains("or correct `tls_options.ca_file`"), "{hint}");
    agent.write_file("b", 1000, 2);
    agent.wait_for_events("upload_finished", 2, SOON);
    assert_eq!(running.stop().code(), Some(0));
    assert_eq!(server.keys(BUCKET).len(), 2);
}
