//! Why there are no keys.

use std::fmt;
use std::io;

use super::http::Service;
use crate::s3::from_transport;
use crate::transport::Stopped;

/// What the lack of keys means for the work.
#[derive(Debug)]
pub enum ErrorKind {
    /// Nothing of this provider's is set up here: a chain asks the next one.
    Absent,
    /// Nothing works until somebody changes something.
    Misconfigured,
    /// The same again after a while.
    Temporary,
    /// The provider was not reached: the same again after a while, unless a signal ended it.
    Transport(io::Error),
}

/// No keys to sign with.
#[derive(Debug)]
pub struct CredentialError {
    pub kind: ErrorKind,
    /// One line, without secrets: which provider, and its reason.
    message: String,
    hint: &'static str,
    /// The providers that a chain has asked before, each with its reason.
    tried: Vec<String>,
}

/// For whom nothing is set up.
const NOTHING: &str = "set `credentials` in the configuration, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment";
const LATER: &str = "nothing to do: s3ferry tries again by itself";

impl CredentialError {
    fn new(kind: ErrorKind, provider: &str, reason: impl fmt::Display, hint: &'static str) -> Self {
        CredentialError {
            kind,
            message: format!("{provider}: {reason}"),
            hint,
            tried: Vec::new(),
        }
    }

    pub(super) fn absent(provider: &str, reason: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Absent, provider, reason, NOTHING)
    }

    pub(super) fn misconfigured(
        provider: &str,
        reason: impl fmt::Display,
        hint: &'static str,
    ) -> Self {
        Self::new(ErrorKind::Misconfigured, provider, reason, hint)
    }

    pub(super) fn temporary(provider: &str, reason: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Temporary, provider, reason, LATER)
    }

    /// `place` is the host that was asked.
    pub(super) fn transport(service: Service, place: &str, error: io::Error) -> Self {
        let failure = from_transport("credentials", &error);
        let reason = format!("{place}: {}", failure.message);
        let code = failure.code.as_deref().unwrap_or_default();
        let hint = service.cure(code).or(failure.hint).unwrap_or(LATER);
        Self::new(ErrorKind::Transport(error), service.name, reason, hint)
    }

    pub(super) fn stopped(provider: &str) -> Self {
        let error = io::Error::other(Stopped);
        Self::new(ErrorKind::Transport(error), provider, Stopped, LATER)
    }

    /// No provider has anything.
    pub(super) fn nowhere(tried: Vec<String>) -> Self {
        CredentialError {
            kind: ErrorKind::Misconfigured,
            message: "no credentials found".to_owned(),
            hint: NOTHING,
            tried,
        }
    }

    /// With what the chain asked before.
    pub(super) fn after(mut self, tried: Vec<String>) -> Self {
        self.tried = tried;
        self
    }

    /// The same, where nobody else is asked.
    pub(super) fn final_one(mut self) -> Self {
        if matches!(self.kind, ErrorKind::Absent) {
            self.kind = ErrorKind::Misconfigured;
        }
        self
    }

    /// The same from somebody who need not be the provider at all: nothing is set up here.
    pub(super) fn of_somebody_else(self) -> Self {
        let message = format!("{}, on a machine that is not known to be EC2", self.message);
        CredentialError {
            kind: ErrorKind::Absent,
            message,
            hint: NOTHING,
            ..self
        }
    }

    /// With what the user can do, where trying again alone may not help.
    pub(super) fn cured_by(mut self, hint: &'static str) -> Self {
        self.hint = hint;
        self
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self.kind, ErrorKind::Absent)
    }

    pub(super) fn is_stopped(&self) -> bool {
        matches!(&self.kind, ErrorKind::Transport(error)
            if error.get_ref().is_some_and(|inner| inner.is::<Stopped>()))
    }

    /// Whether another try at once has a chance.
    pub(super) fn deserves_another_try(&self) -> bool {
        matches!(self.kind, ErrorKind::Temporary | ErrorKind::Transport(_)) && !self.is_stopped()
    }

    /// What the user can do.
    pub fn hint(&self) -> &'static str {
        self.hint
    }

    /// The providers that were asked in vain before, one a line.
    pub fn tried(&self) -> &[String] {
        &self.tried
    }
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for (index, reason) in self.tried.iter().enumerate() {
            let separator = match (index, &self.kind) {
                (0, ErrorKind::Misconfigured) if self.message.starts_with("no cred") => ": ",
                (0, _) => "; asked before: ",
                _ => "; ",
            };
            write!(f, "{separator}{reason}")?;
        }
        Ok(())
    }
}

impl std::error::Error for CredentialError {}
