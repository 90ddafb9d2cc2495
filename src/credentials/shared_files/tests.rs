//! The corner cases that AWS documents for its tools, and the ways from profile to profile.

use super::*;
use crate::config::model::{ProcessSource, Secret};
use crate::credentials::ErrorKind;

/// `name{key=value,…}` for each profile, or `LINE: cause`.
fn parsed(config: &str, credentials: &str) -> String {
    let mut profiles = Profiles::default();
    for (kind, text) in [(Kind::Config, config), (Kind::Credentials, credentials)] {
        if let Err(error) = profiles.add(kind, text) {
            return format!("{}: {}", error.line, error.cause);
        }
    }
    profiles.to_string()
}

impl std::fmt::Display for Profiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for name in self.names() {
            let found = self.get(name).into_iter().flatten();
            let pairs: Vec<String> = found.map(|(key, value)| format!("{key}={value}")).collect();
            write!(f, "{name}{{{}}}", pairs.join(","))?;
        }
        Ok(())
    }
}

#[test]
fn config_files_are_read_by_awss_rules() {
    let cases = [
        // Sections.
        ("", ""),
        ("[profile a]", "a{}"),
        ("[profile a]\n[profile b]", "a{}b{}"),
        ("[profile A-z:0/_%.@+9]\n[profile no!t]", "A-z:0/_%.@+9{}"),
        ("[profile a", "1: has no `]` at its end"),
        ("[profile \ta \t]", "a{}"),
        ("[profile\ta]", "a{}"),
        ("[   profile a    ]\nk = v", "a{k=v}"),
        ("[profile \"a\"]\nk = v", "a{k=v}"),
        ("[profilea]\nk = v\n[profile b]", "b{}"),
        ("[a]\nk = v", ""),
        ("[profile in valid]\nk = v\n[profile a]\nk = v", "a{k=v}"),
        ("[sso-session a]\nk = v\n[profile b]", "b{}"),
        ("[default]\nk = v", "default{k=v}"),
        ("[profile a] b", "1: has more than a comment after its `]`"),
        // A profile given twice.
        ("[profile a]\nk = v\n[profile a]\nl = w", "a{k=v,l=w}"),
        ("[profile a]\nk = v\nk = w", "a{k=w}"),
        ("[profile a]\nK = v\n[profile a]\nk = w", "a{k=w}"),
        ("[profile default]\nk = v\n[default]\nl = w", "default{k=v}"),
        ("[default]\nl = w\n[profile default]\nk = v", "default{k=v}"),
        (
            "[profile default]\nk = v\n[default]\nl = w\n[profile default]\nm = x",
            "default{k=v,m=x}",
        ),
        // Properties.
        ("k = v", "1: stands before the first `[section]`"),
        ("[profile a]\r\nk = v\r\n", "a{k=v}"),
        ("\u{feff}[profile a]\nk = v", "a{k=v}"),
        ("[profile a]\nk = v=w", "a{k=v=w}"),
        ("[profile a]\nk = 😂", "a{k=😂}"),
        ("[profile a]\nk \t=  \tv \t", "a{k=v}"),
        ("[profile a]\nk =", "a{k=}"),
        ("[profile a]\n= v", "2: has no name before its `=`"),
        ("[profile a]\nk : v", "2: has no `=`"),
        ("[profile a]\nin valid = v", "a{}"),
        (
            "\t \n[profile a]\n\t\n \nk = v\n\t \n[profile b]\n \t",
            "a{k=v}b{}",
        ),
        // Comments.
        ("# x\n[profile a] # x\nk = v # x # y", "a{k=v}"),
        ("; x\n[profile a] ; x\nk = v ; x ; y", "a{k=v}"),
        (";\n[profile a];\nk = v ;\n", "a{k=v}"),
        ("[profile a]# x\nk = v# x\nl = w; y", "a{k=v# x,l=w; y}"),
        ("[profile a]\nk = # x", "a{k=}"),
        // Values of several lines.
        ("[profile a]\nk = v\n -w", "a{k=v\n-w}"),
        ("[profile a]\nk = v\n \t -w \t \n -x", "a{k=v\n-w\n-x}"),
        ("[profile a]\nk = v\n -w # x", "a{k=v\n-w # x}"),
        ("[profile a]\nk = v\n -w ; x", "a{k=v\n-w ; x}"),
        (" -w", "1: stands before the first `[section]`"),
        (
            "[profile a]\n -w",
            "2: is indented, and there is no property that it goes on",
        ),
        (
            "[profile a]\nk = v\n[profile a]\n -w",
            "4: is indented, and there is no property that it goes on",
        ),
        // Properties below a property.
        ("[profile a]\ns3 =\n k = v", "a{s3=\nk = v}"),
        ("[profile a]\ns3 =\n k", "3: has no `=`"),
        ("[profile a]\ns3 =\n = v", "3: has no name before its `=`"),
        ("[profile a]\ns3 =\n k =", "a{s3=\nk =}"),
        ("[profile a]\ns3 =\n in valid = v", "a{s3=\nin valid = v}"),
        (
            "[profile a]\ns3 =\n k = v\n\t \n l = w",
            "a{s3=\nk = v\nl = w}",
        ),
        (
            "[profile a]\ns3 =\n aws_secret_access_key = x\nk = v",
            "a{k=v,s3=\naws_secret_access_key = x}",
        ),
    ];
    for (config, expected) in cases {
        assert_eq!(parsed(config, ""), expected, "{config:?}");
    }
}

#[test]
fn credentials_files_have_names_without_a_prefix_and_go_before_the_config() {
    let cases = [
        ("", "[a]\nk = v\n[ b ]\nk = w", "a{k=v}b{k=w}"),
        ("", "[profile a]\nk = v", ""),
        ("", "[in valid]\nk = v", ""),
        ("", "[sso-sessiona]\nk = v", "sso-sessiona{k=v}"),
        ("[profile a]\nk = v\nl = w", "[a]\nk = x", "a{k=x,l=w}"),
        (
            "[profile default]\nk = v\n[default]\nl = w",
            "[default]\nm = x",
            "default{k=v,m=x}",
        ),
        (
            "[profile default]\nk = v",
            "[default]\nk = x",
            "default{k=x}",
        ),
    ];
    for (config, credentials, expected) in cases {
        assert_eq!(
            parsed(config, credentials),
            expected,
            "{config:?} {credentials:?}"
        );
    }
}

#[test]
fn a_secret_in_a_file_is_noticed() {
    for (text, expected) in [
        ("[a]\naws_secret_access_key = x", true),
        ("[a]\nAWS_Session_Token=x", true),
        ("[a]\naws_secret_access_key =", false),
        ("[in valid]\naws_secret_access_key = x", true),
        ("[a]\naws_access_key_id = x\nregion = y", false),
    ] {
        let found = Profiles::default().add(Kind::Credentials, text);
        assert_eq!(found, Ok(expected), "{text}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, cases: 2000, ..Default::default() })]

    #[test]
    fn any_text_is_read_without_a_panic(text in "(\\[?(profile |services )?[a-z\"]{0,3}\\]?|[ \t]?[a-z#; ]{0,4}=?[ \ta-z#;=é]{0,6}|\\PC{0,9}|\r?\n){0,12}") {
        let _ = parsed(&text, "");
        let _ = parsed("", &text);
    }
}

/// The whole way of `name`, as `keys AK`, `process`, `role R by …`; or the kind and the reason.
fn check(config: &str, env: &[(&str, &str)], name: &str, expected: &str) {
    let mut profiles = Profiles::default();
    profiles.add(Kind::Config, config).unwrap();
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
    assert_eq!(got, format!("{expected}"), "{config}");
}

fn told(source: &CredentialSource) -> String {
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

fn told_role(
    role: &crate::config::model::RoleOptions,
    sts: &crate::config::model::StsPlace,
) -> String {
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

fn read_at(folder: &Path, env: &[(&str, &str)]) -> Result<(String, CredentialSource), String> {
    let home = folder.to_str().unwrap();
    let env = |asked: &str| match asked {
        "HOME" => Some(home.to_owned()),
        _ => Some(env.iter().find(|(known, _)| *known == asked)?.1.to_owned()),
    };
    resolve(&env, &ProfileSource::default()).map_err(|error| format!("{:?} {error}", error.kind))
}

#[test]
fn the_files_are_found_where_awss_tools_look() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let nothing = read_at(home, &[]).unwrap_err();
    assert!(
        nothing.starts_with("Absent shared files: `")
            && nothing.contains("/.aws/config` is not there, `"),
        "{nothing}"
    );
    let named = read_at(home, &[("AWS_PROFILE", "x")]).unwrap_err();
    assert!(named.starts_with("Misconfigured"), "{named}");
    std::fs::create_dir(home.join(".aws")).unwrap();
    let config = home.join(".aws/config");
    std::fs::write(
        &config,
        "[default]\nregion = eu-west-2\n[profile x]\ncredential_process = /bin/x\n",
    )
    .unwrap();
    let nothing = read_at(home, &[]).unwrap_err();
    assert!(nothing.starts_with("Absent"), "{nothing}");
    let process = |found: (String, CredentialSource), name: &str| {
        assert_eq!(found.0, name);
        let expected = ProcessSource {
            command: vec![Secret::new("/bin/x")],
            timeout: ProcessSource::TIMEOUT,
        };
        assert_eq!(found.1, CredentialSource::Process(expected));
    };
    process(read_at(home, &[("AWS_PROFILE", "x")]).unwrap(), "x");
    process(read_at(home, &[("AWS_DEFAULT_PROFILE", "x")]).unwrap(), "x");
    let credentials = home.join("elsewhere");
    std::fs::write(
        &credentials,
        "[default]\naws_access_key_id = K\naws_secret_access_key = hush\n",
    )
    .unwrap();
    let elsewhere = [("AWS_SHARED_CREDENTIALS_FILE", "~/elsewhere")];
    std::fs::set_permissions(&credentials, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = read_at(home, &elsewhere).unwrap_err();
    assert!(
        open.starts_with("Misconfigured")
            && open.contains(&format!("chmod 600 {}", credentials.display())),
        "{open}"
    );
    std::fs::set_permissions(&credentials, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(told(&read_at(home, &elsewhere).unwrap().1), "keys K");
    std::fs::write(
        &credentials,
        "[default]\naws_access_key_id = K\nhush hush\n",
    )
    .unwrap();
    let broken = read_at(home, &elsewhere).unwrap_err();
    assert!(
        broken.contains("elsewhere:3: has no `=`") && !broken.contains("hush"),
        "{broken}"
    );
    std::fs::write(&credentials, b"[default]\n\xff").unwrap();
    assert!(read_at(home, &elsewhere).unwrap_err().contains("not UTF-8"));
}
