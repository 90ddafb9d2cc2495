//! Where a job's keys come from.

use std::path::PathBuf;
use std::time::Duration;

use super::Secret;

/// Whom to ask for the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSource {
    /// Keys that the configuration names.
    Static {
        access_key: String,
        secret_key: Secret,
        session_token: Option<Secret>,
    },
    /// Nothing configured: what AWS tools would find.
    Chain,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.
    Environment,
    /// A profile of the files that AWS tools share.
    Profile(ProfileSource),
    Process(ProcessSource),
    WebIdentity(WebIdentitySource),
    AssumeRole(Box<AssumeRoleSource>),
    /// Where `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` or `…_FULL_URI` leads.
    Container,
    /// EC2's metadata service; `endpoint` is `http://host[:port]`.
    InstanceMetadata {
        endpoint: Option<String>,
    },
    Iot(Box<IotSource>),
    Systemd(SystemdSource),
}

/// `None` everywhere: what AWS tools would take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileSource {
    pub profile: Option<String>,
    pub config_file: Option<PathBuf>,
    pub credentials_file: Option<PathBuf>,
}

/// A program that prints keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessSource {
    /// The program and its arguments, which may hold secrets; at least one.
    pub command: Vec<Secret>,
    pub timeout: Duration,
}

impl ProcessSource {
    /// What a program may take unless the configuration says otherwise.
    pub const TIMEOUT: Duration = Duration::from_secs(60);
}

/// How a role is taken on. `None`: STS's own defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleOptions {
    /// `None`: named after this machine.
    pub session_name: Option<String>,
    /// 15 minutes to 12 hours.
    pub duration: Option<Duration>,
}

/// Where STS is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StsPlace {
    /// `None`: the job's.
    pub region: Option<String>,
    /// `https://host[:port]`; `None`: AWS's, in the region.
    pub endpoint: Option<String>,
    /// `None`: as for the job's own destination.
    pub ca_file: Option<PathBuf>,
}

/// A role for the bearer of a token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebIdentitySource {
    /// `None`: `AWS_ROLE_ARN`.
    pub role_arn: Option<String>,
    /// `None`: `AWS_WEB_IDENTITY_TOKEN_FILE`. Read anew each time.
    pub token_file: Option<PathBuf>,
    pub role: RoleOptions,
    pub sts: StsPlace,
}

/// A role for the owner of other keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssumeRoleSource {
    pub role_arn: String,
    pub external_id: Option<String>,
    pub role: RoleOptions,
    pub sts: StsPlace,
    /// The keys that STS is asked with.
    pub source: CredentialSource,
}

/// AWS IoT Core's credential provider, which knows a device by its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IotSource {
    /// `https://host[:port]`
    pub endpoint: String,
    pub role_alias: String,
    pub thing_name: Option<String>,
    pub certificate: PathBuf,
    pub private_key: PathBuf,
    /// `None`: as for the job's own destination.
    pub ca_file: Option<PathBuf>,
}

/// Names of files in `$CREDENTIALS_DIRECTORY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemdSource {
    pub access_key: String,
    pub secret_key: String,
    pub session_token: Option<String>,
}
