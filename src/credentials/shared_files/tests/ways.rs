//! From a profile to keys, by every way that AWS documents, and into every dead end.

use super::*;
use crate::config::model::{RoleOptions, StsPlace};
use crate::credentials::ErrorKind;

/// How the ARN of every role in these tests begins.
const ROLES: &str = "arn:aws:iam::123456789012:role/";

/// The whole way of `name`, as `keys AK`, `process`, `role R by …`; or the kind and the reason.
fn check(config: &str, env: &[(&str, &str)], name: &str, expected: &str) {
    let mut profiles = Profiles::default();
    let config = config.replace("role_arn = ", &format!("role_arn = {ROLES}"));
    profiles
        .add(Kind::Config, Path::new("/c"), &config)
        .unwrap();
    let env = |asked: &str| {
        let found = env.iter().find(|(known, _)| *known == asked)?;
        Some(found.1.to_owned())
    };
    let got = match resolve::resolve(&env, &profiles, name) {
        Ok(source) => told(&source),
        Err(error) => {
            assert!(matches!(error.kind, ErrorKind::Misconfigured), "{error:?}");
            error.to_string()
        }
    };
    assert_eq!(got.replace(ROLES, ""), expected, "{config}");
}

pub(super) fn told(source: &CredentialSource) -> String {
    match source {
        CredentialSource::Static { access_key, .. } => format!("keys {access_key}"),
        CredentialSource::Process(process) => format!("process of {}", process.command.len()),
        CredentialSource::Environment => "environment".to_owned(),
        CredentialSource::InstanceMetadata { .. } => "metadata".to_owned(),
        CredentialSource::Container => "container".to_owned(),
        CredentialSource::WebIdentity(web) => {
            let file = web.token_file.as_ref().unwrap().display();
            format!(
                "role {} with {file}{}",
                web.role_arn.as_ref().unwrap(),
                told_role(&web.role, &web.sts)
            )
        }
        CredentialSource::AssumeRole(role) => {
            let id = role.external_id.as_ref().map(|id| format!(" id {id}"));
            let rest = told_role(&role.role, &role.sts);
            let id = id.unwrap_or_default();
            format!("role {}{id}{rest} by {}", role.role_arn, told(&role.source))
        }
        other => panic!("{other:?}"),
    }
}

fn told_role(role: &RoleOptions, sts: &StsPlace) -> String {
    let mut text = String::new();
    for (what, value) in [
        ("as", role.session_name.clone()),
        ("for", role.duration.map(|time| time.as_secs().to_string())),
        ("in", sts.region.clone()),
        ("at", sts.endpoint.clone()),
    ] {
        if let Some(value) = value {
            text += &format!(" {what} {value}");
        }
    }
    text
}

#[test]
fn a_profile_leads_to_keys_by_every_documented_way() {
    let a = "[profile a]\nrole_arn = R\nsource_profile = b\n";
    let keys_b = "[profile b]\naws_access_key_id = KB\naws_secret_access_key = S\n";
    let keys = "aws_access_key_id = KA\naws_secret_access_key = S\n";
    let cases = [
        (keys_b.to_owned(), "b", "keys KB"),
        (format!("{a}{keys_b}"), "a", "role R by keys KB"),
        (format!("{a}{keys}{keys_b}"), "a", "role R by keys KB"),
        (
            format!(
                "{a}external_id = i\nrole_session_name = s\nduration_seconds = 900\nregion = eu-west-1\n{keys_b}"
            ),
            "a",
            "role R id i as s for 900 in eu-west-1 by keys KB",
        ),
        (
            format!("[profile a]\nrole_arn = R\nsource_profile = a\n{keys}"),
            "a",
            "role R by keys KA",
        ),
        (
            format!("{a}[profile b]\nrole_arn = Q\nsource_profile = c\n[profile c]\n{keys}"),
            "a",
            "role R by role Q by keys KA",
        ),
        // A source's own keys go before its role.
        (
            format!("{a}{keys_b}role_arn = Q\nsource_profile = c\n[profile c]\n{keys}"),
            "a",
            "role R by keys KB",
        ),
        (
            "[profile a]\nrole_arn = R\ncredential_source = Environment".into(),
            "a",
            "role R by environment",
        ),
        (
            "[profile a]\nrole_arn = R\ncredential_source = Ec2InstanceMetadata".into(),
            "a",
            "role R by metadata",
        ),
        (
            "[profile a]\nrole_arn = R\ncredential_source = EcsContainer".into(),
            "a",
            "role R by container",
        ),
        (
            "[profile a]\nrole_arn = R\nweb_identity_token_file = /t".into(),
            "a",
            "role R with /t",
        ),
        (
            format!(
                "{a}[profile b]\nrole_arn = Q\nweb_identity_token_file = /t\nrole_session_name = s"
            ),
            "a",
            "role R by role Q with /t as s",
        ),
        (
            "[profile a]\ncredential_process = /bin/x \"a b\" c".into(),
            "a",
            "process of 3",
        ),
        (
            format!("{a}[profile b]\ncredential_process = /bin/x"),
            "a",
            "role R by process of 1",
        ),
        (
            format!("{a}endpoint_url = http://127.0.0.1:1\n{keys_b}"),
            "a",
            "role R at http://127.0.0.1:1 by keys KB",
        ),
        (
            format!(
                "{a}endpoint_url = http://127.0.0.1:1\nservices = s\n{keys_b}[services s]\ns3 =\n endpoint_url = http://127.0.0.1:3\nsts =\n endpoint_url = http://127.0.0.1:2/\n"
            ),
            "a",
            "role R at http://127.0.0.1:2 by keys KB",
        ),
        (
            format!(
                "{a}endpoint_url = http://127.0.0.1:1\nignore_configured_endpoint_urls = true\n{keys_b}"
            ),
            "a",
            "role R by keys KB",
        ),
    ];
    for (config, name, expected) in cases {
        check(&config, &[], name, expected);
    }
    let env = [
        ("AWS_REGION", "us-east-2"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
    ];
    let config = format!("{a}region = eu-west-1\nendpoint_url = http://127.0.0.1:1\n{keys_b}");
    check(&config, &env, "a", "role R in us-east-2 by keys KB");
}

#[test]
fn what_is_no_role_is_told_with_its_line() {
    let told = |arn: &str, env: &Env<'_>| {
        let config =
            format!("# a\n[profile a]\n\nrole_arn = {arn}\ncredential_source = Environment\n");
        let mut profiles = Profiles::default();
        profiles
            .add(Kind::Config, Path::new("/home/.aws/config"), &config)
            .unwrap();
        resolve::resolve(env, &profiles, "a").map_err(|error| (error.to_string(), error.hint()))
    };
    let (message, hint) = told("s3ferry", &|_| None).unwrap_err();
    assert_eq!(
        message,
        "shared files: /home/.aws/config:4: the profile `a` has a `role_arn` that is not the ARN of a role: `s3ferry`"
    );
    assert!(hint.contains("`arn:aws:iam::123456789012:role/"), "{hint}");
    // Another store's STS has roles of its own.
    let env = |name: &str| (name == "AWS_ENDPOINT_URL_STS").then(|| "http://sts:1".to_owned());
    assert!(told("arn:minio:iam:::role/x", &env).is_ok());
    assert!(told("s3ferry", &env).is_err());
}

#[test]
fn a_profile_that_leads_nowhere_is_told_with_its_reason() {
    let a = "[profile a]\nrole_arn = R\nsource_profile = b\n";
    let keys = "aws_access_key_id = K\naws_secret_access_key = S\n";
    let cases = [
        ("".to_owned(), "there is no profile `a`"),
        (
            a.into(),
            "there is no profile `b`, which `a` names as its source",
        ),
        (
            "[profile a]\nregion = x".into(),
            "the profile `a` has no credentials",
        ),
        (
            format!("{a}[profile b]\n"),
            "the profile `b` has no credentials",
        ),
        (
            format!("{a}[profile b]\naws_access_key_id = K"),
            "the profile `b` has no `aws_secret_access_key`",
        ),
        (
            format!("{a}[profile b]\naws_secret_access_key = K"),
            "the profile `b` has no `aws_access_key_id` beside its secret",
        ),
        (
            format!("{a}[profile b]\nrole_arn = Q\nsource_profile = a\n"),
            "the profiles lead in a circle: `a` → `b` → `a`",
        ),
        (
            format!("{a}{keys}[profile b]\nrole_arn = Q\nsource_profile = a\n"),
            "the profiles lead in a circle: `a` → `b` → `a`",
        ),
        (
            format!(
                "{a}[profile b]\nrole_arn = Q\nsource_profile = c\n[profile c]\nrole_arn = P\nsource_profile = b\n"
            ),
            "the profiles lead in a circle: `a` → `b` → `c` → `b`",
        ),
        (
            "[profile a]\nrole_arn = R\nsource_profile = a".into(),
            "the profile `a` is its own source and has no keys",
        ),
        (
            "[profile a]\nrole_arn = R".into(),
            "the profile `a` has `role_arn` and neither `source_profile` nor `credential_source`",
        ),
        (
            format!("{a}credential_source = Environment"),
            "the profile `a` has both `source_profile` and `credential_source`",
        ),
        (
            "[profile a]\nrole_arn = R\ncredential_source = Cloud".into(),
            "the profile `a` has a `credential_source` other than Environment, Ec2InstanceMetadata and EcsContainer",
        ),
        (
            "[profile a]\nweb_identity_token_file = /t".into(),
            "the profile `a` has `web_identity_token_file` and no `role_arn`",
        ),
        (
            format!("{a}mfa_serial = M"),
            "the profile `a` asks for a code by `mfa_serial`",
        ),
        (
            "[profile a]\nsso_session = s".into(),
            "the profile `a` signs in by `sso_session`",
        ),
        (
            "[profile a]\nsso_start_url = s".into(),
            "the profile `a` signs in by `sso_start_url`",
        ),
        (
            "[profile a]\nlogin_session = s".into(),
            "the profile `a` signs in by `login_session`",
        ),
        (
            "[profile a]\ncredential_process = /bin/x 'a".into(),
            "the profile `a` has a `credential_process` that has a quote without an end; close it",
        ),
        (
            format!("{a}duration_seconds = 60"),
            "the profile `a` has a `duration_seconds` that is not 900 to 43200",
        ),
        (
            format!("{a}region = evil.example.com/"),
            "the profile `a` is used with a region that is none of AWS's",
        ),
        (
            "[profile a]\naws_access_key_id = K K\naws_secret_access_key = S".into(),
            "the profile `a` has a `aws_access_key_id` with a character that no key has",
        ),
    ];
    for (config, expected) in cases {
        check(&config, &[], "a", &format!("shared files: {expected}"));
    }
}
