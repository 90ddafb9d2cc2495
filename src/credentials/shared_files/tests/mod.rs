//! The shared files: their text, the ways from profile to profile, and where they are found.

mod parsing;
mod ways;

use super::*;
use crate::config::model::{ProcessSource, Secret};
use ways::told;

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
