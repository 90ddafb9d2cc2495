//! Everybody in turn, in the order of AWS's tools: environment, shared files (with roles and
//! processes), web identity, container, instance metadata. What a person has written goes before what
//! a platform puts into each container. Whoever is set up and does not work ends the search: keys of
//! somebody else would be a surprise.

use std::path::Path;

use super::{Context, CredentialError, Env, ErrorKind, Fetched};
use super::{container, environment, instance_metadata, shared_files, systemd, web_identity};
use crate::config::model::{CredentialSource, ProfileSource};

type Ask = dyn Fn(&Context<'_>) -> Result<Fetched, CredentialError>;

pub(super) fn fetch(context: &Context<'_>) -> Result<Fetched, CredentialError> {
    let mut tried = Vec::new();
    let providers: [&Ask; 5] = [
        &|context| environment::fetch(context.env),
        &|context| shared_files::fetch(context, &ProfileSource::default()),
        &|context| {
            let source = web_identity::from_environment(context.env)?;
            web_identity::fetch(context, &source)
        },
        &container::fetch,
        &metadata,
    ];
    for ask in providers {
        match ask(context) {
            Err(error) if error.is_absent() => tried.push(error.to_string()),
            Err(error) => return Err(error.after(tried)),
            found => return found,
        }
    }
    Err(CredentialError::nowhere(tried))
}

/// The last one, who is asked on machines that are not on EC2 as well: silence is an answer there,
/// and so is what somebody else says, such as a router's page.
fn metadata(context: &Context<'_>) -> Result<Fetched, CredentialError> {
    instance_metadata::fetch(context, None).map_err(|error| {
        if error.is_stopped() || instance_metadata::is_expected(context.env, Path::new("/sys")) {
            return error;
        }
        match &error.kind {
            ErrorKind::Transport(_) => {
                CredentialError::absent(instance_metadata::NAME, "does not answer here")
            }
            ErrorKind::Misconfigured | ErrorKind::Temporary => error.of_somebody_else(),
            ErrorKind::Absent => error,
        }
    })
}

/// What keeps `source` from working that only a restart can change: its variables, or, where
/// nothing is configured, nothing in the environment, in no file, and nobody to ask. `env` looks a
/// variable up.
pub fn missing_at_start(source: &CredentialSource, env: &Env<'_>) -> Option<CredentialError> {
    match source {
        CredentialSource::Environment => environment::fetch(env).err(),
        CredentialSource::Systemd(names) => systemd::fetch(env, names).err(),
        CredentialSource::Container => container::url(env).err(),
        CredentialSource::InstanceMetadata { endpoint: None } => {
            instance_metadata::endpoint(env).err()
        }
        CredentialSource::AssumeRole(role) => missing_at_start(&role.source, env),
        CredentialSource::Chain => missing_everywhere(env),
        _ => None,
    }
}

fn missing_everywhere(env: &Env<'_>) -> Option<CredentialError> {
    let mut tried = Vec::new();
    for found in [
        environment::fetch(env).map(drop),
        shared_files::resolve(env, &ProfileSource::default()).map(drop),
        web_identity::from_environment(env).map(drop),
        container::url(env).map(drop),
        instance_metadata::endpoint(env).map(drop),
    ] {
        match found {
            Err(error) if error.is_absent() => tried.push(error.to_string()),
            Ok(()) | Err(_) => return None,
        }
    }
    Some(CredentialError::nowhere(tried))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_any_keys_is_known_before_the_start() {
        let nobody = |name: &str| (name == "AWS_EC2_METADATA_DISABLED").then(|| "true".to_owned());
        let error = missing_at_start(&CredentialSource::Chain, &nobody).unwrap();
        assert_eq!(error.tried().len(), 5, "{error}");
        let words = [
            "no credentials found: environment: AWS_ACCESS_KEY_ID is not set; ",
            "shared files: HOME is not set",
            "web identity: AWS_WEB_IDENTITY_TOKEN_FILE is not set; ",
            "container: neither ",
            "instance metadata: AWS_EC2_METADATA_DISABLED is `true`",
        ];
        for word in words {
            assert!(error.to_string().contains(word), "{word}: {error}");
        }
        // Whoever may answer later is no mistake of the configuration.
        assert!(missing_at_start(&CredentialSource::Chain, &|_| None).is_none());
        for (name, value) in [
            ("AWS_ACCESS_KEY_ID", "half"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere"),
            ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x"),
            ("AWS_PROFILE", "gone"),
        ] {
            let env = |asked: &str| {
                if asked == name {
                    Some(value.to_owned())
                } else {
                    nobody(asked)
                }
            };
            assert!(
                missing_at_start(&CredentialSource::Chain, &env).is_none(),
                "{name}"
            );
        }
        assert!(missing_at_start(&CredentialSource::Environment, &nobody).is_some());
    }
}
