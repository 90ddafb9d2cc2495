//! From a profile to the source that it amounts to: keys, a process, or a role by way of others.
//!
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-assume-role-credentials.html>

use std::path::PathBuf;
use std::time::Duration;

use super::parse::{Profiles, Properties, sub_property};
use super::{NAME, PROFILE_HINT};
use crate::config::model::{
    AssumeRoleSource, CredentialSource, ProcessSource, RoleOptions, Secret, StsPlace,
    WebIdentitySource,
};
use crate::config::names::{ROLE_FORM, is_aws_region, is_role_arn};
use crate::config::url::http_origin;
use crate::config::wording::quoted;
use crate::credentials::answer::is_key;
use crate::credentials::{CredentialError, Env, split_command, sts_of, variable};

const HINT: &str = "correct the profile in the shared files";
const SSO_HINT: &str = "a sign-in needs a person; use a profile with keys, a role or a `credential_process`, such as `aws configure export-credentials --profile NAME --format process`";
const MFA_HINT: &str = "nobody is there to type a code; use a role that asks for none";

/// The source that `wanted` amounts to.
pub(super) fn resolve(
    env: &Env<'_>,
    profiles: &Profiles,
    wanted: &str,
) -> Result<CredentialSource, CredentialError> {
    let mut resolver = Resolver {
        env,
        profiles,
        visited: Vec::new(),
    };
    resolver.resolve(wanted)
}

struct Resolver<'a> {
    env: &'a Env<'a>,
    profiles: &'a Profiles,
    /// The profiles on the way, in order.
    visited: Vec<String>,
}

impl<'a> Resolver<'a> {
    fn resolve(&mut self, name: &str) -> Result<CredentialSource, CredentialError> {
        let Some(profile) = self.profiles.get(name) else {
            let reason = match self.visited.last() {
                Some(from) => {
                    format!("there is no profile `{name}`, which `{from}` names as its source")
                }
                None => format!("there is no profile `{name}`"),
            };
            return Err(CredentialError::misconfigured(NAME, reason, PROFILE_HINT));
        };
        if self.visited.iter().any(|visited| visited == name) {
            let way = self.visited.join("` → `");
            let reason = format!("the profiles lead in a circle: `{way}` → `{name}`");
            return Err(CredentialError::misconfigured(NAME, reason, HINT));
        }
        let profile = Profile { name, profile };
        let is_source = !self.visited.is_empty();
        self.visited.push(name.to_owned());
        // A profile that is somebody's source gives its keys before it takes on a role.
        if is_source && let Some(keys) = profile.keys()? {
            return Ok(keys);
        }
        if profile.get("role_arn").is_some() {
            return self.role(&profile);
        }
        if profile.get("web_identity_token_file").is_some() {
            return Err(profile.wrong("has `web_identity_token_file` and no `role_arn`", HINT));
        }
        if let Some(keys) = profile.keys()? {
            return Ok(keys);
        }
        for sign_in in ["sso_session", "sso_start_url", "login_session"] {
            if profile.get(sign_in).is_some() {
                return Err(profile.wrong(&format!("signs in by `{sign_in}`"), SSO_HINT));
            }
        }
        match profile.get("credential_process") {
            Some(command) => profile.process(command),
            None => Err(profile.wrong("has no credentials", HINT)),
        }
    }

    fn role(&mut self, profile: &Profile<'a, '_>) -> Result<CredentialSource, CredentialError> {
        if profile.get("mfa_serial").is_some() {
            return Err(profile.wrong("asks for a code by `mfa_serial`", MFA_HINT));
        }
        let role_arn = profile.get("role_arn").unwrap_or_default().to_owned();
        let role = profile.role_options()?;
        let sts = self.sts_place(profile)?;
        if !is_role_arn(&role_arn, sts_of(self.env, sts.endpoint.is_some())) {
            let place = self.profiles.place(profile.name, "role_arn");
            let reason = format!(
                "{}: the profile `{}` has a `role_arn` that is not the ARN of a role: {}",
                place.unwrap_or_default(),
                profile.name,
                quoted(&role_arn)
            );
            return Err(CredentialError::misconfigured(NAME, reason, ROLE_FORM));
        }
        if let Some(file) = profile.get("web_identity_token_file") {
            return Ok(CredentialSource::WebIdentity(WebIdentitySource {
                role_arn: Some(role_arn),
                token_file: Some(PathBuf::from(file)),
                role,
                sts,
            }));
        }
        let source = match (profile.get("source_profile"), profile.get("credential_source")) {
            (Some(_), Some(_)) => {
                return Err(profile.wrong("has both `source_profile` and `credential_source`", HINT));
            }
            (None, None) => {
                return Err(profile.wrong("has `role_arn` and neither `source_profile` nor `credential_source`", HINT));
            }
            // Its own source: the keys beside the role.
            (Some(source), None) if source == profile.name => profile
                .keys()?
                .ok_or_else(|| profile.wrong("is its own source and has no keys", HINT))?,
            (Some(source), None) => self.resolve(source)?,
            (None, Some(source)) => named_source(source)
                .ok_or_else(|| profile.wrong("has a `credential_source` other than Environment, Ec2InstanceMetadata and EcsContainer", HINT))?,
        };
        Ok(CredentialSource::AssumeRole(Box::new(AssumeRoleSource {
            role_arn,
            external_id: profile.get("external_id").map(str::to_owned),
            role,
            sts,
            source,
        })))
    }

    /// The environment goes before the profile, a service's own endpoint before that of all.
    fn sts_place(&self, profile: &Profile<'_, '_>) -> Result<StsPlace, CredentialError> {
        let from_env = |name| variable(self.env, name);
        let region = match from_env("AWS_REGION").or_else(|| from_env("AWS_DEFAULT_REGION")) {
            Some(region) => Some(region),
            None => profile.get("region").map(str::to_owned),
        };
        if region
            .as_deref()
            .is_some_and(|region| !is_aws_region(region))
        {
            return Err(profile.wrong(
                "is used with a region that is none of AWS's",
                "correct `region` in the profile, or AWS_REGION",
            ));
        }
        let ignored = from_env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
            .or_else(|| {
                profile
                    .get("ignore_configured_endpoint_urls")
                    .map(str::to_owned)
            })
            .is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let by_env = from_env("AWS_ENDPOINT_URL_STS").or_else(|| from_env("AWS_ENDPOINT_URL"));
        let own = || {
            let services = self.profiles.service(profile.get("services")?)?;
            let lines = services
                .get("sts")?
                .lines()
                .filter_map(|line| sub_property(line).ok());
            lines
                .filter(|(name, _)| *name == "endpoint_url")
                .map(|(_, url)| url)
                .next_back()
        };
        let endpoint = match own().or_else(|| profile.get("endpoint_url")) {
            Some(url) if by_env.is_none() && !ignored => {
                Some(http_origin(url).map_err(|cause| {
                    profile.wrong(&format!("has an `endpoint_url` that {cause}"), HINT)
                })?)
            }
            _ => None,
        };
        Ok(StsPlace {
            region,
            endpoint,
            ca_file: None,
        })
    }
}

fn named_source(name: &str) -> Option<CredentialSource> {
    Some(match name {
        "Environment" => CredentialSource::Environment,
        "Ec2InstanceMetadata" => CredentialSource::InstanceMetadata { endpoint: None },
        "EcsContainer" => CredentialSource::Container,
        _ => return None,
    })
}

#[derive(Clone, Copy)]
struct Profile<'a, 'n> {
    name: &'n str,
    profile: &'a Properties,
}

impl<'a> Profile<'a, '_> {
    /// An empty value is none.
    fn get(&self, key: &str) -> Option<&'a str> {
        let value = self.profile.get(key)?;
        (!value.is_empty()).then_some(value)
    }

    fn wrong(&self, what: &str, hint: &'static str) -> CredentialError {
        CredentialError::misconfigured(NAME, format!("the profile `{}` {what}", self.name), hint)
    }

    fn keys(&self) -> Result<Option<CredentialSource>, CredentialError> {
        let key = |name: &str| match self.get(name) {
            Some(key) if !is_key(key) => Err(self.wrong(
                &format!("has a `{name}` with a character that no key has"),
                HINT,
            )),
            found => Ok(found.map(str::to_owned)),
        };
        let token = key("aws_session_token")?;
        match (key("aws_access_key_id")?, key("aws_secret_access_key")?) {
            (None, None) => Ok(None),
            (Some(access_key), Some(secret_key)) => Ok(Some(CredentialSource::Static {
                access_key,
                secret_key: Secret::new(secret_key),
                session_token: token.map(Secret::new),
            })),
            (None, Some(_)) => {
                Err(self.wrong("has no `aws_access_key_id` beside its secret", HINT))
            }
            (Some(_), None) => Err(self.wrong("has no `aws_secret_access_key`", HINT)),
        }
    }

    fn process(&self, command: &str) -> Result<CredentialSource, CredentialError> {
        let words = split_command(command).map_err(|cause| {
            self.wrong(&format!("has a `credential_process` that {cause}"), HINT)
        })?;
        Ok(CredentialSource::Process(ProcessSource {
            command: words.into_iter().map(Secret::new).collect(),
            timeout: ProcessSource::TIMEOUT,
        }))
    }

    fn role_options(&self) -> Result<RoleOptions, CredentialError> {
        let duration = match self.get("duration_seconds").map(str::parse) {
            None => None,
            Some(Ok(seconds @ 900..=43_200)) => Some(Duration::from_secs(seconds)),
            Some(_) => {
                return Err(self.wrong("has a `duration_seconds` that is not 900 to 43200", HINT));
            }
        };
        Ok(RoleOptions {
            session_name: self.get("role_session_name").map(str::to_owned),
            duration,
        })
    }
}
