//! What a job asks before each signature: keeps the keys, and sees to it that they are good.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::lifetime::{Lifetime, Standing};
use super::{Context, CredentialError, Fetched, Keys, Network, Patience, fetch};
use crate::clock;
use crate::config::model::{CredentialSource, Job, TlsOptions};
use crate::os::signals::Signals;
use crate::record::timestamp;

/// Keys that are refused so soon after they came are not asked for again at once.
const JUST_FETCHED: Duration = Duration::from_secs(5);

/// Hands out a job's keys.
#[derive(Debug)]
pub struct Provider {
    source: CredentialSource,
    network: Network,
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    keys: Keys,
    from: String,
    lifetime: Lifetime,
}

/// Whose keys a job signs with, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `instance metadata (role \`recorder\`)`
    pub from: String,
    /// Shortened: `AKIA…WXYZ`.
    pub access_key: String,
    /// `None`: never.
    pub expires: Option<OffsetDateTime>,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {}, access key {}", self.from, self.access_key)?;
        match self.expires {
            Some(expires) => write!(f, ", good until {}", timestamp(expires)),
            None => Ok(()),
        }
    }
}

impl Provider {
    /// For `job`; nothing is asked yet.
    pub fn new(job: &Job, signals: &Arc<Signals>) -> Provider {
        Provider {
            source: job.credentials.clone(),
            network: Network {
                proxy: job.proxy.clone(),
                tls: TlsOptions {
                    client_certificate: None,
                    client_key: None,
                    ..job.tls.clone()
                },
                region: job.destination.region.clone(),
                signals: Arc::clone(signals),
            },
            kept: None,
        }
    }

    /// The keys to sign the next request with. `now` is the corrected time. Asks the provider where
    /// there are none, and before they expire; where that does not work, those that there are do
    /// until their end, and nobody is waited for at length before it.
    ///
    /// # Errors
    /// There are none that are good.
    pub fn keys(&mut self, now: OffsetDateTime) -> Result<&Keys, CredentialError> {
        match self.standing(now) {
            Standing::Good => {}
            Standing::Over => self.refresh(now, Patience::Full)?,
            Standing::Refresh(limit) => self.refresh_early(now, limit)?,
        }
        match &self.kept {
            Some(kept) => Ok(&kept.keys),
            // A refresh leaves keys or an error.
            None => Err(CredentialError::nowhere(Vec::new())),
        }
    }

    /// The store has refused the keys: asks anew. True when there are others now.
    ///
    /// # Errors
    /// The provider has none.
    pub fn renew(&mut self, now: OffsetDateTime) -> Result<bool, CredentialError> {
        let written_down = matches!(
            self.source,
            CredentialSource::Static { .. } | CredentialSource::Environment
        );
        let just_fetched = |kept: &Kept| kept.lifetime.age(clock::monotonic()) < JUST_FETCHED;
        if written_down || self.kept.as_ref().is_some_and(just_fetched) {
            return Ok(false);
        }
        let old = self.kept.as_ref().map(|kept| kept.keys.clone());
        self.refresh(now, Patience::Full)?;
        Ok(self.kept.as_ref().map(|kept| &kept.keys) != old.as_ref())
    }

    /// Whose keys are in use; `None` before the first request.
    pub fn identity(&self) -> Option<Identity> {
        let kept = self.kept.as_ref()?;
        Some(Identity {
            from: kept.from.clone(),
            access_key: shortened(&kept.keys.access_key),
            expires: kept.lifetime.expires(),
        })
    }

    fn standing(&self, now: OffsetDateTime) -> Standing {
        match &self.kept {
            Some(kept) => kept.lifetime.standing(now, clock::monotonic()),
            None => Standing::Over,
        }
    }

    /// One try within `limit`. The old keys may end while it lasts, and then nothing else does.
    fn refresh_early(
        &mut self,
        now: OffsetDateTime,
        limit: Duration,
    ) -> Result<(), CredentialError> {
        let started = clock::monotonic();
        let Err(error) = self.refresh(now, Patience::Until(started + limit)) else {
            return Ok(());
        };
        let now = now + clock::monotonic().saturating_duration_since(started);
        if !error.is_stopped() && self.standing(now) == Standing::Over {
            return self.refresh(now, Patience::Full);
        }
        self.go_on_with_the_old(&error);
        Ok(())
    }

    fn refresh(&mut self, now: OffsetDateTime, patience: Patience) -> Result<(), CredentialError> {
        let context = Context {
            env: &|name| std::env::var(name).ok(),
            network: &self.network,
            now,
            patience,
        };
        let Fetched {
            keys,
            expires,
            from,
        } = fetch(&context, &self.source).map_err(CredentialError::final_one)?;
        self.kept = Some(Kept {
            keys,
            from,
            lifetime: Lifetime::new(expires, now, clock::monotonic()),
        });
        if let Some(identity) = self.identity() {
            log::debug!(target: "s3ferry::credentials", "signs with keys {identity}");
        }
        Ok(())
    }

    /// Said once for each set of keys.
    fn go_on_with_the_old(&mut self, error: &CredentialError) {
        let Some(kept) = &mut self.kept else { return };
        if kept.lifetime.not_refreshed(clock::monotonic()) && !error.is_stopped() {
            let end = kept.lifetime.expires().map(timestamp).unwrap_or_default();
            log::warn!(
                "the credentials could not be refreshed, the old ones are used until {end}: {error}"
            );
        }
    }
}

/// Enough to tell keys apart.
fn shortened(access_key: &str) -> String {
    let length = access_key.len();
    // Keys are ASCII.
    let piece = |range: std::ops::Range<usize>| access_key.get(range).unwrap_or_default();
    if length < 16 {
        return format!("…{}", piece(length - length.min(8) / 2..length));
    }
    format!("{}…{}", piece(0..4), piece(length - 4..length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_key_is_shown_in_part() {
        for (key, expected) in [
            ("AKIAIOSFODNN7EXAMPLE", "AKIA…MPLE"),
            ("testkey", "…key"),
            ("minioadmin", "…dmin"),
            ("a", "…"),
        ] {
            assert_eq!(shortened(key), expected);
        }
    }
}
