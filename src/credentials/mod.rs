//! Who signs: the keys of a job.
//!
//! In this version they come from the configuration or from the environment.

use std::fmt;

use crate::config::model::{CredentialSource, Secret};

/// What a signature is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    pub access_key: String,
    pub secret_key: Secret,
    pub session_token: Option<Secret>,
}

/// Hands out a job's keys.
#[derive(Debug)]
pub enum Provider {
    Static(Keys),
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.
    Environment,
}

impl Provider {
    pub fn new(source: &CredentialSource) -> Provider {
        match source {
            CredentialSource::Static {
                access_key,
                secret_key,
                session_token,
            } => Provider::Static(Keys {
                access_key: access_key.clone(),
                secret_key: secret_key.clone(),
                session_token: session_token.clone(),
            }),
            CredentialSource::Chain => Provider::Environment,
        }
    }

    /// Where the keys come from, for `check`.
    pub fn name(&self) -> &'static str {
        match self {
            Provider::Static(_) => "configuration",
            Provider::Environment => "environment",
        }
    }

    /// The keys to sign the next request with.
    pub fn keys(&self) -> Result<Keys, CredentialError> {
        match self {
            Provider::Static(keys) => Ok(keys.clone()),
            Provider::Environment => from_environment(&|name| std::env::var(name).ok()),
        }
    }
}

/// No keys to sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialError {
    /// The variable that is missing.
    NotInEnvironment(&'static str),
}

impl CredentialError {
    pub fn hint(&self) -> &'static str {
        "set `credentials` in the configuration, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment"
    }
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CredentialError::NotInEnvironment(name) => {
                write!(f, "no credentials configured, and `{name}` is not set")
            }
        }
    }
}

impl std::error::Error for CredentialError {}

fn from_environment(get: &dyn Fn(&str) -> Option<String>) -> Result<Keys, CredentialError> {
    let needed = |name: &'static str| {
        get(name)
            .filter(|value| !value.is_empty())
            .ok_or(CredentialError::NotInEnvironment(name))
    };
    Ok(Keys {
        access_key: needed("AWS_ACCESS_KEY_ID")?,
        secret_key: Secret::new(needed("AWS_SECRET_ACCESS_KEY")?),
        session_token: get("AWS_SESSION_TOKEN")
            .filter(|value| !value.is_empty())
            .map(Secret::new),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_needs_both_keys_and_may_have_a_token() {
        let check = |pairs: &[(&str, &str)]| {
            from_environment(&|name| {
                pairs
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(
            check(&[("AWS_ACCESS_KEY_ID", "a")]),
            Err(CredentialError::NotInEnvironment("AWS_SECRET_ACCESS_KEY"))
        );
        let keys = check(&[
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("AWS_SESSION_TOKEN", ""),
        ])
        .unwrap();
        assert_eq!(keys.session_token, None);
        assert!(!format!("{keys:?}").contains("\"s\""));
    }
}
