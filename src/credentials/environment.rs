//! `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.

use super::answer::is_key;
use super::{CredentialError, Env, Fetched, Keys, variable};
use crate::config::model::Secret;

const NAME: &str = "environment";
const ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
const TOKEN: &str = "AWS_SESSION_TOKEN";

/// One key without the other is a mistake, not an absence.
pub(super) fn fetch(env: &Env<'_>) -> Result<Fetched, CredentialError> {
    let half = |missing, given| {
        CredentialError::misconfigured(
            NAME,
            format!("{given} is set, and {missing} is not"),
            "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither",
        )
    };
    let (access_key, secret_key) = match (variable(env, ID), variable(env, SECRET)) {
        (Some(access_key), Some(secret_key)) => (access_key, secret_key),
        (None, None) => {
            return Err(CredentialError::absent(NAME, format!("{ID} is not set")));
        }
        (None, Some(_)) => return Err(half(ID, SECRET)),
        (Some(_), None) => return Err(half(SECRET, ID)),
    };
    let session_token = variable(env, TOKEN);
    for (name, value) in [
        (ID, Some(&access_key)),
        (SECRET, Some(&secret_key)),
        (TOKEN, session_token.as_ref()),
    ] {
        if value.is_some_and(|value| !is_key(value)) {
            return Err(CredentialError::misconfigured(
                NAME,
                format!("{name} holds a space or a character that no key has"),
                "copy the key anew, without spaces and line ends",
            ));
        }
    }
    let keys = Keys {
        access_key,
        secret_key: Secret::new(secret_key),
        session_token: session_token.map(Secret::new),
    };
    Ok(Fetched::lasting(keys, "the environment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pairs: &[(&str, &str)]) -> Result<Fetched, String> {
        let env = |name: &str| {
            let found = pairs.iter().find(|(known, _)| *known == name)?;
            Some(found.1.to_owned())
        };
        fetch(&env).map_err(|error| format!("{:?} {error}", error.kind))
    }

    #[test]
    fn the_environment_needs_both_keys_and_may_have_a_token() {
        let keys = check(&[(ID, "a"), (SECRET, "s"), (TOKEN, "")])
            .unwrap()
            .keys;
        assert_eq!(keys.session_token, None);
        assert!(!format!("{keys:?}").contains("\"s\""));
        let keys = check(&[(ID, "a"), (SECRET, "s"), (TOKEN, "t")])
            .unwrap()
            .keys;
        assert_eq!(keys.session_token, Some(Secret::new("t")));
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[], "Absent environment: AWS_ACCESS_KEY_ID is not set"),
            (
                &[(ID, ""), (SECRET, "")],
                "Absent environment: AWS_ACCESS_KEY_ID is not set",
            ),
            (
                &[(ID, "a")],
                "Misconfigured environment: AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not",
            ),
            (
                &[(SECRET, "s")],
                "Misconfigured environment: AWS_SECRET_ACCESS_KEY is set, and AWS_ACCESS_KEY_ID is not",
            ),
            (
                &[(ID, "a"), (SECRET, "s e")],
                "Misconfigured environment: AWS_SECRET_ACCESS_KEY holds a space or a character that no key has",
            ),
            (
                &[(ID, "a"), (SECRET, "s"), (TOKEN, "t\r\nx: y")],
                "Misconfigured environment: AWS_SESSION_TOKEN holds a space or a character that no key has",
            ),
        ];
        for (pairs, expected) in cases {
            assert_eq!(check(pairs).unwrap_err(), *expected);
        }
    }
}
