//! Whom TLS trusts and who it says we are: the files of `tls_options`, looked at before anything
//! is built on them.

use std::fmt;
use std::path::Path;
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

/// A file that TLS cannot be made with. A matter of configuration.
#[derive(Debug)]
pub struct TlsError {
    pub file: TlsFile,
    pub flaw: Flaw,
    /// The content is a key behind a password.
    encrypted: bool,
    /// A sentence with the path in it.
    message: String,
}

/// What the file is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFile {
    Authorities,
    Certificate,
    Key,
}

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It is not there, or not to be opened.
    Unreadable,
    /// A key that others than its owner can open.
    Exposed,
    /// It holds something else.
    Content,
}

impl TlsError {
    fn new(file: TlsFile, flaw: Flaw, message: impl Into<String>) -> TlsError {
        TlsError {
            file,
            flaw,
            encrypted: false,
            message: message.into(),
        }
    }

    fn content(file: TlsFile, path: &Path, expected: &str, found: impl fmt::Display) -> TlsError {
        let message = format!("`{}` is not {expected}: {found}", path.display());
        TlsError::new(file, Flaw::Content, message)
    }

    /// What mends a file of `tls_options`.
    pub fn cure(&self) -> &'static str {
        match (self.file, self.flaw) {
            (TlsFile::Key, _) if self.encrypted => {
                "decrypt it into a file of s3ferry's user alone (`umask 077; openssl pkey -in KEY -out NEW`), and let `tls_options.client_key` name that"
            }
            (TlsFile::Authorities, Flaw::Content) => {
                "let `tls_options.ca_file` name a file with the CA's certificate in PEM"
            }
            (TlsFile::Authorities, _) => {
                "put the CA's certificate there, readable for s3ferry's user, or correct `tls_options.ca_file`"
            }
            (TlsFile::Certificate, Flaw::Content) => {
                "let `tls_options.client_certificate` name a file with the client certificate and its chain in PEM"
            }
            (TlsFile::Certificate, _) => {
                "put the client certificate there, readable for s3ferry's user, or correct `tls_options.client_certificate`"
            }
            (TlsFile::Key, Flaw::Content) => {
                "let `tls_options.client_key` name the private key of `tls_options.client_certificate`, in PEM"
            }
            (TlsFile::Key, Flaw::Exposed) => {
                "make the file of `tls_options.client_key` the own one of s3ferry's user"
            }
            (TlsFile::Key, Flaw::Unreadable) => {
                "put the private key there, a file of s3ferry's user and no link, or correct `tls_options.client_key`"
            }
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TlsError {}

/// Everything that is wrong with the files.
pub fn mistakes(options: &TlsOptions) -> Vec<TlsError> {
    let mut found: Vec<TlsError> = roots(options).err().into_iter().collect();
    if let (Some(certificate), Some(key)) = (&options.client_certificate, &options.client_key) {
        let one = certificates(TlsFile::Certificate, certificate).err();
        let other = private_key(key).err();
        let alone = one.is_none() && other.is_none();
        let together = alone.then(|| identity(options).err()).flatten();
        found.extend(one.into_iter().chain(other).chain(together));
    }
    found
}

pub fn roots(options: &TlsOptions) -> Result<Arc<RootCertStore>, TlsError> {
    let file = TlsFile::Authorities;
    let built_in = options.built_in_roots.unwrap_or(options.ca_file.is_none());
    let mut store = RootCertStore::empty();
    if built_in {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if let Some(path) = &options.ca_file {
        for (index, certificate) in certificates(file, path)?.into_iter().enumerate() {
            store.add(certificate).map_err(|error| {
                let error = format!("certificate {}: {error}", index + 1);
                TlsError::content(file, path, "a file of CA certificates", error)
            })?;
        }
    }
    if store.is_empty() {
        return Err(TlsError::new(file, Flaw::Content, "no CA is trusted"));
    }
    Ok(Arc::new(store))
}

pub fn identity(options: &TlsOptions) -> Result<Identity, TlsError> {
    let (certificate, key) = match (&options.client_certificate, &options.client_key) {
        (Some(certificate), Some(key)) => (certificate, key),
        // One alone is refused with the configuration.
        _ => return Ok(Identity::default()),
    };
    let chain = certificates(TlsFile::Certificate, certificate)?;
    // Compares the two as well.
    CertifiedKey::from_der(chain, private_key(key)?, &ring::default_provider())
        .map(Identity::new)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TlsError::content(
                TlsFile::Key,
                key,
                "the private key of the client certificate",
                "the two do not belong together",
            ),
            rustls::Error::InvalidCertificate(_) => TlsError::content(
                TlsFile::Certificate,
                certificate,
                "a client certificate",
                error,
            ),
            _ => TlsError::content(TlsFile::Key, key, "a private key that TLS can use", error),
        })
}

fn certificates(file: TlsFile, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = files::open(path, Links::Follow)
        .and_then(|opened| opened.read(path, FILE_LIMIT))
        .map_err(|sentence| TlsError::new(file, Flaw::Unreadable, sentence))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let wrong =
        |found: &dyn fmt::Display| TlsError::content(file, path, "a certificate in PEM", found);
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(wrong(&"no `BEGIN CERTIFICATE` in it")),
        Err(error) => Err(wrong(&error)),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let wrong = |flaw| move |sentence: String| TlsError::new(TlsFile::Key, flaw, sentence);
    let opened = files::open(path, Links::Refuse).map_err(wrong(Flaw::Unreadable))?;
    let folder = std::env::var("CREDENTIALS_DIRECTORY").ok();
    owner_only(path, opened.mode, folder.as_deref()).map_err(wrong(Flaw::Exposed))?;
    let pem = opened
        .read(path, FILE_LIMIT)
        .map_err(wrong(Flaw::Unreadable))?;
    if is_encrypted(&pem) {
        let message = format!("the private key in `{}` is encrypted", path.display());
        return Err(TlsError {
            encrypted: true,
            ..TlsError::new(TlsFile::Key, Flaw::Content, message)
        });
    }
    PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|error| TlsError::content(TlsFile::Key, path, "a private key in PEM", error))
}

/// PKCS #8's way, and that of OpenSSL's older files.
fn is_encrypted(pem: &[u8]) -> bool {
    let text = String::from_utf8_lossy(pem);
    text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
        || text.contains("Proc-Type: 4,ENCRYPTED")
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
        let nobody = count(false, Some(false)).unwrap_err();
        assert_eq!(nobody.to_string(), "no CA is trusted");
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
