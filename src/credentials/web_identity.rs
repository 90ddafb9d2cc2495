//! A role for the bearer of an OpenID Connect token, as in EKS: STS's AssumeRoleWithWebIdentity.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>

use std::path::PathBuf;

use super::sts::{self, Sts};
use super::{Context, CredentialError, Env, Fetched, variable};
use crate::config::files::{self, Links};
use crate::config::model::WebIdentitySource;
use crate::config::names::{ROLE_FORM, is_role_arn};
use crate::config::wording::quoted;

const NAME: &str = "web identity";
const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
const ROLE: &str = "AWS_ROLE_ARN";
const SESSION: &str = "AWS_ROLE_SESSION_NAME";
/// STS takes 20,000 characters.
const TOKEN_LIMIT: u64 = 64 * 1024;
const TOKEN_HINT: &str =
    "check who writes the token's file: a JSON Web Token of the identity provider";

/// What the environment names, as AWS tools take it; absent without the token's file.
pub(super) fn from_environment(env: &Env<'_>) -> Result<WebIdentitySource, CredentialError> {
    if variable(env, TOKEN_FILE).is_none() {
        return Err(CredentialError::absent(
            NAME,
            format!("{TOKEN_FILE} is not set"),
        ));
    }
    completed(env, &WebIdentitySource::default())
}

/// `source` with the environment's values where it has none.
fn completed(
    env: &Env<'_>,
    source: &WebIdentitySource,
) -> Result<WebIdentitySource, CredentialError> {
    let mut source = source.clone();
    let missing = |name: &str| {
        CredentialError::misconfigured(
            NAME,
            format!("{name} is not set"),
            "set AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, or `token_file` and `role_arn`",
        )
    };
    if source.token_file.is_none() {
        let file = variable(env, TOKEN_FILE).ok_or_else(|| missing(TOKEN_FILE))?;
        source.token_file = Some(PathBuf::from(file));
    }
    if source.role_arn.is_none() {
        let role = variable(env, ROLE).ok_or_else(|| missing(ROLE))?;
        if !is_role_arn(&role, sts::store(env, source.sts.endpoint.is_some())) {
            let reason = format!("{ROLE} is not the ARN of a role: {}", quoted(&role));
            return Err(CredentialError::misconfigured(NAME, reason, ROLE_FORM));
        }
        source.role_arn = Some(role);
    }
    if source.role.session_name.is_none() {
        source.role.session_name = variable(env, SESSION);
    }
    Ok(source)
}

pub(super) fn fetch(
    context: &Context<'_>,
    source: &WebIdentitySource,
) -> Result<Fetched, CredentialError> {
    let source = completed(context.env, source)?;
    // Both are there now.
    let (role_arn, path) = (
        source.role_arn.unwrap_or_default(),
        source.token_file.unwrap_or_default(),
    );
    let token = files::open(&path, Links::Follow)
        .and_then(|opened| opened.read(&path, TOKEN_LIMIT))
        .map_err(|reason| CredentialError::misconfigured(NAME, reason, TOKEN_HINT))?;
    let token = String::from_utf8_lossy(&token).trim().to_owned();
    if !super::answer::is_key(&token) {
        let reason = format!("`{}` holds no token", path.display());
        return Err(CredentialError::misconfigured(NAME, reason, TOKEN_HINT));
    }
    let mut form = sts::form("AssumeRoleWithWebIdentity", &role_arn, &source.role);
    form.append_pair("WebIdentityToken", &token);
    let sts = Sts::new(context, NAME, &source.sts, &role_arn)?;
    let credentials = sts.ask(context, "AssumeRoleWithWebIdentity", &form.finish(), None)?;
    Ok(Fetched {
        from: format!("web identity (role `{role_arn}`)"),
        ..credentials
    })
}
