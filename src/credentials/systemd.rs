//! What systemd hands to the service with `LoadCredential=`: files in `$CREDENTIALS_DIRECTORY`.
//!
//! <https://systemd.io/CREDENTIALS/>

use std::path::Path;

use super::answer::is_key;
use super::{CredentialError, Env, Fetched, Keys, variable};
use crate::config::model::{Secret, SystemdSource};
use crate::config::secrets::read_secret;

const NAME: &str = "systemd";
const FOLDER: &str = "CREDENTIALS_DIRECTORY";
const HINT: &str =
    "give the unit `LoadCredential=NAME:/path` for each credential, and start s3ferry as that unit";

pub(super) fn fetch(env: &Env<'_>, source: &SystemdSource) -> Result<Fetched, CredentialError> {
    let Some(folder) = variable(env, FOLDER) else {
        return Err(CredentialError::misconfigured(
            NAME,
            format!("{FOLDER} is not set"),
            HINT,
        ));
    };
    let read = |name: &str| {
        let path = Path::new(&folder).join(name);
        let text = read_secret(&path, Some(&folder))
            .map_err(|reason| CredentialError::misconfigured(NAME, reason, HINT))?;
        if is_key(&text) {
            return Ok(text);
        }
        let reason =
            format!("the credential `{name}` holds a space or a character that no key has");
        Err(CredentialError::misconfigured(
            NAME,
            reason,
            "copy the key anew into the credential's file",
        ))
    };
    let keys = Keys {
        access_key: read(&source.access_key)?,
        secret_key: Secret::new(read(&source.secret_key)?),
        session_token: match &source.session_token {
            Some(name) => Some(Secret::new(read(name)?)),
            None => None,
        },
    };
    Ok(Fetched::lasting(keys, "systemd's credentials"))
}
