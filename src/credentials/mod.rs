//! Who signs: the keys of a job, where they come from, and how long they are good for.
//!
//! One provider a file; [`chain`] asks them in the order of AWS's tools. A [`Provider`] keeps what it
//! was given and asks again before that expires, each time that a request is about to be signed.

mod answer;
mod chain;
mod container;
mod environment;
mod error;
mod http;
mod instance_metadata;
mod iot;
mod lifetime;
mod process;
mod provider;
mod shared_files;
mod signature;
mod sts;
mod systemd;
mod web_identity;

use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::config::model::{CredentialSource, ProxyChoice, Secret, TlsOptions};
use crate::os::signals::Signals;

pub use chain::missing_at_start;
pub use error::{CredentialError, ErrorKind};
pub use process::split_command;
pub use provider::{Identity, Provider};
pub(crate) use sts::store as sts_of;

/// What a signature is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    pub access_key: String,
    pub secret_key: Secret,
    pub session_token: Option<Secret>,
}

/// Keys as a provider handed them out.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    pub keys: Keys,
    /// `None`: they do not expire.
    pub expires: Option<OffsetDateTime>,
    /// Where they come from, for people: `profile \`backup\``.
    pub from: String,
}

impl Fetched {
    fn lasting(keys: Keys, from: impl Into<String>) -> Fetched {
        Fetched {
            keys,
            expires: None,
            from: from.into(),
        }
    }
}

/// What providers need of the job and of the program.
#[derive(Debug)]
struct Network {
    /// The job's way, for STS and AWS IoT. Metadata and container endpoints are never asked through
    /// a proxy.
    proxy: ProxyChoice,
    /// The job's roots.
    tls: TlsOptions,
    /// The region of the job's bucket.
    region: String,
    signals: Arc<Signals>,
}

/// The moment at which keys are asked for.
struct Context<'a> {
    env: &'a Env<'a>,
    network: &'a Network,
    /// The corrected time.
    now: OffsetDateTime,
    patience: Patience,
}

/// How long somebody is waited for. The one thread that waits is that of all jobs.
#[derive(Debug, Clone, Copy)]
enum Patience {
    /// Nothing can be sent without the keys: each provider's own limits and tries.
    Full,
    /// There are others that are still good: one try, and not beyond that moment.
    Until(Instant),
}

impl Patience {
    /// `limit`, or what is left of it.
    fn at_most(self, limit: Duration) -> Duration {
        match self {
            Patience::Full => limit,
            Patience::Until(end) => {
                limit.min(end.saturating_duration_since(crate::clock::monotonic()))
            }
        }
    }

    fn tries(self, times: u32) -> u32 {
        match self {
            Patience::Full => times,
            Patience::Until(_) => 1,
        }
    }
}

/// Looks a variable of the environment up.
type Env<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// A variable that is there and not empty, which is the same to AWS's tools.
fn variable(env: &Env<'_>, name: &str) -> Option<String> {
    env(name).filter(|value| !value.is_empty())
}

/// Asks the source, and whatever it leads to.
fn fetch(context: &Context<'_>, source: &CredentialSource) -> Result<Fetched, CredentialError> {
    match source {
        CredentialSource::Static {
            access_key,
            secret_key,
            session_token,
        } => Ok(Fetched::lasting(
            Keys {
                access_key: access_key.clone(),
                secret_key: secret_key.clone(),
                session_token: session_token.clone(),
            },
            "the configuration",
        )),
        CredentialSource::Chain => chain::fetch(context),
        CredentialSource::Environment => environment::fetch(context.env),
        CredentialSource::Profile(profile) => shared_files::fetch(context, profile),
        CredentialSource::Process(process) => process::fetch(context, process),
        CredentialSource::WebIdentity(source) => web_identity::fetch(context, source),
        CredentialSource::AssumeRole(source) => sts::assume_role(context, source),
        CredentialSource::Container => container::fetch(context),
        CredentialSource::InstanceMetadata { endpoint } => {
            instance_metadata::fetch(context, endpoint.as_deref())
        }
        CredentialSource::Iot(source) => iot::fetch(context, source),
        CredentialSource::Systemd(source) => systemd::fetch(context.env, source),
    }
}
