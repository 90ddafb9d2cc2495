//! What only the disk can tell of `tls_options`: whether its files hold what TLS needs.

use super::model::{Config, Job};
use super::problem::{ConfigError, Problem};
use crate::transport::{TlsFile, tls_mistakes};

/// A file of `tls_options` that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateProblem {
    /// Without the cure.
    pub problem: Problem,
    pub cure: &'static str,
}

/// Looks into the files of one job of `config`.
pub fn validate_certificates(config: &Config, job: &Job) -> Vec<CertificateProblem> {
    let places = &config.places_of(job).tls;
    let mistakes = tls_mistakes(&job.tls).into_iter();
    mistakes
        .map(|mistake| {
            let place = match mistake.file {
                TlsFile::Authorities => &places.ca_file,
                TlsFile::Certificate => &places.client_certificate,
                TlsFile::Key => &places.client_key,
            };
            CertificateProblem {
                problem: place.problem(&config.path, mistake.to_string()),
                cure: mistake.cure(),
            }
        })
        .collect()
}

/// Those of all jobs that are `wanted`, with their cures.
///
/// # Errors
/// There is one at least.
pub fn refuse_certificates(
    config: &Config,
    wanted: impl Fn(&Job) -> bool,
) -> Result<(), ConfigError> {
    let problems: Vec<Problem> = config
        .jobs
        .iter()
        .filter(|job| wanted(job))
        .flat_map(|job| validate_certificates(config, job))
        .map(|CertificateProblem { problem, cure }| Problem {
            message: format!("{}; {cure}", problem.message),
            ..problem
        })
        .collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(ConfigError { problems })
    }
}
