//! The corner cases that AWS documents for the files' text.

use super::*;

/// `name{key=value,…}` for each profile, or `LINE: cause`.
fn parsed(config: &str, credentials: &str) -> String {
    let mut profiles = Profiles::default();
    for (kind, text) in [(Kind::Config, config), (Kind::Credentials, credentials)] {
        if let Err(error) = profiles.add(kind, Path::new("/x"), text) {
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
        let found = Profiles::default().add(Kind::Credentials, Path::new("/x"), text);
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
