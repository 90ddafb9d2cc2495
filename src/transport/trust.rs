//! Whom TLS trusts and who it says we are: the files of `tls_options`, looked at before anything
//! is built on them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::tls::Identity;
use crate::config::files::{self, Links};
use crate::config::model::TlsOptions;
use crate::config::owner_only;

/// A system's whole bundle has a quarter of that, in bytes.
const FILE_LIMIT: u64 = 1024 * 1024;

/// Why a TLS configuration cannot be made. A matter of configuration.
#[derive(Debug)]
pub enum TlsError {
    /// A sentence with the path in it.
    Read(String),
    /// What was expected in the file, and what is wrong with it.
    Unusable(PathBuf, &'static str, String),
    /// A key without its certificate, or the other way round.
    HalfIdentity,
    /// The built-in roots are switched off and there are no others.
    NoRoots,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::Read(sentence) => f.write_str(sentence),
            TlsError::Unusable(path, expected, found) => {
                write!(f, "`{}` is not {expected}: {found}", path.display())
            }
            TlsError::HalfIdentity => {
                f.write_str("`client_certificate` and `client_key` belong together; give both")
            }
            TlsError::NoRoots => f.write_str("no CA is trusted; give `ca_file`"),
        }
    }
}

impl std::error::Error for TlsError {}

pub fn roots(options: &TlsOptions) -> Result<Arc<RootCertStore>, TlsError> {
    let built_in = options.built_in_roots.unwrap_or(options.ca_file.is_none());
    let mut store = RootCertStore::empty();
    if built_in {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if let Some(path) = &options.ca_file {
        for (index, certificate) in certificates(path)?.into_iter().enumerate() {
            store.add(certificate).map_err(|error| {
                let error = format!("certificate {}: {error}", index + 1);
                unusable(path, "a file of CA certificates", error)
            })?;
        }
    }
    if store.is_empty() {
        return Err(TlsError::NoRoots);
    }
    Ok(Arc::new(store))
}

pub fn identity(options: &TlsOptions) -> Result<Identity, TlsError> {
    let (certificate, key) = match (&options.client_certificate, &options.client_key) {
        (None, None) => return Ok(Identity::default()),
        (Some(certificate), Some(key)) => (certificate, key),
        _ => return Err(TlsError::HalfIdentity),
    };
    let chain = certificates(certificate)?;
    let pem = read(key, Access::OwnerOnly)?;
    let private_key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|error| unusable(key, "a private key in PEM", error))?;
    // Compares the two as well.
    CertifiedKey::from_der(chain, private_key, &ring::default_provider())
        .map(Identity::new)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                let error = "the two do not belong together";
                unusable(key, "the private key of the client certificate", error)
            }
            rustls::Error::InvalidCertificate(_) => {
                unusable(certificate, "a client certificate", error)
            }
            _ => unusable(key, "a private key that TLS can use", error),
        })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(path, Access::Any)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(unusable(
            path,
            "a certificate in PEM",
            "no `BEGIN CERTIFICATE` in it",
        )),
        Err(error) => Err(unusable(path, "a certificate in PEM", error)),
    }
}

#[derive(PartialEq, Eq)]
enum Access {
    Any,
    OwnerOnly,
}

fn read(path: &Path, access: Access) -> Result<Vec<u8>, TlsError> {
    let links = match access {
        Access::Any => Links::Follow,
        Access::OwnerOnly => Links::Refuse,
    };
    let opened = files::open(path, links).map_err(TlsError::Read)?;
    if access == Access::OwnerOnly {
        let folder = std::env::var("CREDENTIALS_DIRECTORY").ok();
        owner_only(path, opened.mode, folder.as_deref()).map_err(TlsError::Read)?;
    }
    opened.read(path, FILE_LIMIT).map_err(TlsError::Read)
}

fn unusable(path: &Path, expected: &'static str, error: impl ToString) -> TlsError {
    TlsError::Unusable(path.to_owned(), expected, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with this many CAs, each of its own.
    fn ca_file(count: usize) -> tempfile::NamedTempFile {
        let pem: String = (0..count)
            .map(|_| {
                let mut parameters = rcgen::CertificateParams::default();
                parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
                let key = rcgen::KeyPair::generate().unwrap();
                parameters.self_signed(&key).unwrap().pem()
            })
            .collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), pem).unwrap();
        file
    }

    #[test]
    fn the_roots_are_the_built_in_ones_the_file_or_both() {
        let file = ca_file(2);
        let count = |with_file: bool, built_in_roots| {
            let options = TlsOptions {
                ca_file: with_file.then(|| file.path().to_owned()),
                built_in_roots,
                ..TlsOptions::default()
            };
            roots(&options).map(|store| store.len())
        };
        let built_in = webpki_roots::TLS_SERVER_ROOTS.len();
        assert!(built_in > 100);
        assert_eq!(count(false, None).unwrap(), built_in);
        assert_eq!(count(false, Some(true)).unwrap(), built_in);
        assert_eq!(count(true, None).unwrap(), 2);
        assert_eq!(count(true, Some(false)).unwrap(), 2);
        assert_eq!(count(true, Some(true)).unwrap(), built_in + 2);
        assert!(matches!(count(false, Some(false)), Err(TlsError::NoRoots)));
    }

    /// Where there is one: every CA in it can be used, or the file would be refused as a whole.
    #[test]
    fn a_distributions_whole_bundle_is_taken() {
        let bundle = Path::new("/etc/ssl/certs/ca-certificates.crt");
        if !bundle.exists() {
            println!("SKIPPED: no {}", bundle.display());
            return;
        }
        let options = TlsOptions {
            ca_file: Some(bundle.to_owned()),
            ..TlsOptions::default()
        };
        let store = roots(&options).unwrap();
        assert!(store.len() > 50, "{}", store.len());
    }
}
