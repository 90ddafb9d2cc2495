//! `credentials`: keys, and everybody who can be asked for them.

use std::path::PathBuf;
use std::time::Duration;

use super::*;

#[test]
fn keys_are_understood_in_either_place() {
    let straight =
        with(r#""access_key": "AK", "secret_key": {"env": "SECRET"}, "session_token": "tok""#);
    let grouped = with(
        r#""credentials": {"access_key": "AK", "secret_key": "hunter2", "session_token": "tok"}"#,
    );
    let in_a_list = format!("{{\"jobs\": [{straight}]}}");
    for text in [&straight, &grouped, &in_a_list] {
        let expected = CredentialSource::Static {
            access_key: "AK".to_string(),
            secret_key: Secret::new("hunter2"),
            session_token: Some(Secret::new("tok")),
        };
        assert_eq!(job_of(text).credentials, expected);
    }
    assert_eq!(job_of(&with("")).credentials, CredentialSource::Chain);
}

#[test]
fn wrong_keys_are_told_with_their_cure() {
    let cases: &[(&str, &str)] = &[
        (
            r#""access_key": "AK""#,
            "1:1: secret_key: is missing; give both keys, or neither",
        ),
        (
            r#""secret_key": "x""#,
            "1:1: access_key: is missing; give both keys, or neither",
        ),
        (
            r#""credentials": {"access_key": "AK"}"#,
            "2:16: credentials.secret_key: is missing; give both keys, or neither",
        ),
        (
            r#""credentials": {"access_key": "AK", "secret_key": "x"}, "access_key": §"AK""#,
            "§: access_key: stands beside `credentials`; keep one of the two",
        ),
        (
            r#""credentials": §"profile""#,
            "§: credentials: expected an object with `provider`, or with `access_key` and `secret_key`; left out, what AWS tools would find, found a string",
        ),
        (
            r#""access_key": §"", "secret_key": "x""#,
            "§: access_key: is empty; give the key, or leave it out",
        ),
        (
            r#""access_key": §"A K", "secret_key": "x""#,
            "§: access_key: the value holds a space or a character that no key has; copy it anew",
        ),
        (
            r#""access_key": "AK", "secret_key": {"env": §"EMPTY"}"#,
            "§: secret_key.env: the environment variable `EMPTY` is not set or empty; set it for the service",
        ),
        (
            r#""access_key": "AK", "secret_key": §{"env": "A", "file": "/x"}"#,
            "§: secret_key: `env` and `file` exclude each other; keep one",
        ),
        (
            r#""access_key": "AK", "secret_key": §{}"#,
            "§: secret_key: names no source; write `{\"env\": \"NAME\"}` or `{\"file\": \"/path\"}`",
        ),
        (
            r#""access_key": "AK", "secret_key": {"env": §"A B"}"#,
            "§: secret_key.env: this is not the name of an environment variable; use letters, digits and `_`",
        ),
        (
            r#""access_key": "AK", "secret_key": {"file": §"x"}"#,
            "§: secret_key.file: this is not an absolute path; begin it with `/`",
        ),
    ];
    for (fields, expected) in cases {
        check(&with(fields), &[expected]);
    }
}

fn source_of(credentials: &str) -> CredentialSource {
    job_of(&with(&format!("\"credentials\": {credentials}"))).credentials
}

#[test]
fn every_provider_is_understood_with_all_its_keys() {
    let sts = |endpoint: Option<&str>| StsPlace {
        region: endpoint.map(|_| "eu-west-1".to_owned()),
        endpoint: endpoint.map(str::to_owned),
        ca_file: endpoint.map(|_| PathBuf::from("/ca.pem")),
    };
    let role = |given: bool| RoleOptions {
        session_name: given.then(|| "site-7".to_owned()),
        duration: given.then(|| Duration::from_secs(3600)),
    };
    let keys = CredentialSource::Static {
        access_key: "AK".to_owned(),
        secret_key: Secret::new("hunter2"),
        session_token: None,
    };
    let words = |words: &[&str]| words.iter().map(|word| Secret::new(*word)).collect();
    let cases = [
        (
            r#"{"provider": "static", "access_key": "AK", "secret_key": {"env": "SECRET"}}"#,
            keys.clone(),
        ),
        (
            r#"{"provider": "environment"}"#,
            CredentialSource::Environment,
        ),
        (
            r#"{"provider": "profile"}"#,
            CredentialSource::Profile(ProfileSource::default()),
        ),
        (
            r#"{"provider": "profile", "profile": "x", "config_file": "/c", "credentials_file": "/k"}"#,
            CredentialSource::Profile(ProfileSource {
                profile: Some("x".to_owned()),
                config_file: Some("/c".into()),
                credentials_file: Some("/k".into()),
            }),
        ),
        (
            r#"{"provider": "process", "command": ["/bin/x", "a b"], "timeout": "5s"}"#,
            CredentialSource::Process(ProcessSource {
                command: words(&["/bin/x", "a b"]),
                timeout: Duration::from_secs(5),
            }),
        ),
        (
            r#"{"provider": "process", "command": "/bin/x 'a b' c"}"#,
            CredentialSource::Process(ProcessSource {
                command: words(&["/bin/x", "a b", "c"]),
                timeout: Duration::from_secs(60),
            }),
        ),
        (
            r#"{"provider": "web_identity"}"#,
            CredentialSource::WebIdentity(WebIdentitySource::default()),
        ),
        (
            r#"{"provider": "web_identity", "role_arn": "arn:aws:iam::123456789012:role/r", "token_file": "/t", "session_name": "site-7", "duration": "1h",
                "region": "eu-west-1", "sts_endpoint": "http://[::1]:9000/", "ca_file": "/ca.pem"}"#,
            CredentialSource::WebIdentity(WebIdentitySource {
                role_arn: Some("arn:aws:iam::123456789012:role/r".to_owned()),
                token_file: Some("/t".into()),
                role: role(true),
                sts: sts(Some("http://[::1]:9000")),
            }),
        ),
        (
            r#"{"provider": "assume_role", "role_arn": {"env": "ROLE"}}"#,
            CredentialSource::AssumeRole(Box::new(AssumeRoleSource {
                role_arn: "arn:aws:iam::123456789012:role/r".to_owned(),
                external_id: None,
                role: role(false),
                sts: sts(None),
                source: CredentialSource::Chain,
            })),
        ),
        (
            r#"{"provider": "assume_role", "role_arn": "arn:aws:iam::123456789012:role/r", "external_id": "i", "session_name": "site-7", "duration": "1h",
                "region": "eu-west-1", "sts_endpoint": "https://sts", "ca_file": "/ca.pem",
                "source": {"access_key": "AK", "secret_key": {"env": "SECRET"}}}"#,
            CredentialSource::AssumeRole(Box::new(AssumeRoleSource {
                role_arn: "arn:aws:iam::123456789012:role/r".to_owned(),
                external_id: Some("i".to_owned()),
                role: role(true),
                sts: sts(Some("https://sts")),
                source: keys,
            })),
        ),
        (r#"{"provider": "container"}"#, CredentialSource::Container),
        (
            r#"{"provider": "instance_metadata", "endpoint": "http://127.0.0.1:1"}"#,
            CredentialSource::InstanceMetadata {
                endpoint: Some("http://127.0.0.1:1".to_owned()),
            },
        ),
        (
            r#"{"provider": "iot", "endpoint": "c2.credentials.iot.eu-west-1.amazonaws.com", "role_alias": "a", "thing_name": "t",
                "certificate": "/c.pem", "private_key": "/k.pem", "ca_file": "/ca.pem"}"#,
            CredentialSource::Iot(Box::new(IotSource {
                endpoint: "https://c2.credentials.iot.eu-west-1.amazonaws.com".to_owned(),
                role_alias: "a".to_owned(),
                thing_name: Some("t".to_owned()),
                certificate: "/c.pem".into(),
                private_key: "/k.pem".into(),
                ca_file: Some("/ca.pem".into()),
            })),
        ),
        (
            r#"{"provider": "systemd", "secret_key": "s3-secret", "session_token": "t"}"#,
            CredentialSource::Systemd(SystemdSource {
                access_key: "access_key".to_owned(),
                secret_key: "s3-secret".to_owned(),
                session_token: Some("t".to_owned()),
            }),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(source_of(text), expected, "{text}");
    }
}

#[test]
fn a_provider_that_is_told_something_wrong_says_so() {
    let cases: &[(&str, &str)] = &[
        (
            r#""provider": §"profiles""#,
            "§: credentials.provider: `profiles` is not known here; did you mean `profile`?",
        ),
        (
            r#""provider": §"imds""#,
            "§: credentials.provider: `imds` is not known here; use `static`, `environment`, `profile`, `process`, `web_identity`, `assume_role`, `container`, `instance_metadata`, `iot` or `systemd`",
        ),
        (
            r#""profile": §"x""#,
            "§: credentials.profile: has no effect with the provider `static`; it belongs to `profile`",
        ),
        (
            r#""provider": "container", "role_arn": §"x""#,
            "§: credentials.role_arn: has no effect with the provider `container`; it belongs to `web_identity` or `assume_role`",
        ),
        (
            r#""provider": "process""#,
            "2:16: credentials.command: is missing; give the program and its arguments",
        ),
        (
            r#""provider": "process", "command": §[]"#,
            "§: credentials.command: is empty; give the program and its arguments",
        ),
        (
            r#""provider": "process", "command": §"/x 'hunter2""#,
            "§: credentials.command: has a quote without an end; close it",
        ),
        (
            r#""provider": "process", "command": ["/x", §7]"#,
            "§: credentials.command[1]: expected a string, found a number; put it in double quotes",
        ),
        (
            r#""provider": "process", "command": "/x", "timeout": §"0s""#,
            "§: credentials.timeout: `0s` is out of range; give 1s to 10m",
        ),
        (
            r#""provider": "assume_role""#,
            "2:16: credentials.role_arn: is missing; name the role",
        ),
        (
            r#""provider": "assume_role", "role_arn": "arn:aws:iam::123456789012:role/r", "duration": §"1m""#,
            "§: credentials.duration: `1m` is out of range; give 15m to 12h",
        ),
        (
            r#""provider": "assume_role", "role_arn": "arn:aws:iam::123456789012:role/r", "session_name": §"a/b""#,
            "§: credentials.session_name: `a/b` is no session's name; use 2 to 64 letters, digits and `_+=,.@-`",
        ),
        (
            r#""provider": "assume_role", "role_arn": "arn:aws:iam::123456789012:role/r", "region": §"evil.example.com/""#,
            "§: credentials.region: `evil.example.com/` is not a region of AWS; write it like `eu-west-2`",
        ),
        (
            r#""provider": "assume_role", "role_arn": "arn:aws:iam::123456789012:role/r", "sts_endpoint": §"https://u:p@sts""#,
            "§: credentials.sts_endpoint: `https://u:p@sts` holds a user or a password; leave them out",
        ),
        (
            r#""provider": "assume_role", "role_arn": "arn:aws:iam::123456789012:role/r", "sts_endpoint": §"https://sts/path""#,
            "§: credentials.sts_endpoint: `https://sts/path` has a path; leave it out",
        ),
        (
            r#""provider": "assume_role", "role_arn": "arn:aws:iam::123456789012:role/r", "source": {"provider": "assume_role", "role_arn": §"a b"}"#,
            "§: credentials.source.role_arn: `a b` is not the ARN of a role; write it like `arn:aws:iam::123456789012:role/s3ferry`",
        ),
        (
            r#""provider": "instance_metadata", "endpoint": §"169.254.169.254""#,
            "§: credentials.endpoint: `169.254.169.254` is not a URL; begin it with `https://` or `http://`",
        ),
        (
            r#""provider": "iot", "role_alias": "a", "certificate": "/c", "private_key": "/k", "endpoint": §"c2-ats.iot.eu-west-1.amazonaws.com""#,
            "§: credentials.endpoint: `c2-ats.iot.eu-west-1.amazonaws.com` is the endpoint for messages; ask `aws iot describe-endpoint --endpoint-type iot:CredentialProvider` for the other one",
        ),
        (
            r#""provider": "iot", "role_alias": "a", "certificate": "/c", "private_key": "/k", "endpoint": §"http://c2""#,
            "§: credentials.endpoint: a certificate is shown over TLS alone; use `https://`",
        ),
        (
            r#""provider": "systemd", "secret_key": §"hunter2/x""#,
            "§: credentials.secret_key: this is not the name of a credential of systemd; give the one that stands in `LoadCredential=`",
        ),
    ];
    for (fields, expected) in cases {
        check(
            &with(&format!("\"credentials\": {{{fields}}}")),
            &[expected],
        );
    }
    let iot = with("\"credentials\": {\"provider\": \"iot\"}");
    let missing = ["endpoint", "role_alias", "certificate", "private_key"];
    for (problem, key) in problems(&iot).iter().zip(missing) {
        assert!(
            problem.contains(&format!("credentials.{key}: is missing; ")),
            "{problem}"
        );
    }
    assert_eq!(problems(&iot).len(), 4);
}

#[test]
fn the_arguments_of_a_process_are_secrets() {
    let text = r#"{"provider": "process", "command": ["/bin/x", "hunter2"]}"#;
    assert!(!format!("{:?}", source_of(text)).contains("hunter2"));
}
