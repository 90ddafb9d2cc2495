//! TLS in front of any server: what the plain test servers do not speak.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

/// A day: year, month, day.
pub type Day = (i32, u8, u8);

/// What a certificate says.
#[derive(Debug, Clone)]
pub struct Claims {
    pub names: Vec<String>,
    pub from: Day,
    pub to: Day,
    pub is_ca: bool,
}

impl Default for Claims {
    fn default() -> Self {
        Claims {
            names: vec!["127.0.0.1".into()],
            from: (2024, 1, 1),
            to: (2090, 1, 1),
            is_ca: false,
        }
    }
}

/// A certificate and its key.
pub struct Certified {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Certified {
    /// `NAME.pem`, and `NAME.key` for its owner alone.
    pub fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        use std::os::unix::fs::PermissionsExt;
        let certificate = folder.join(format!("{name}.pem"));
        let key = folder.join(format!("{name}.key"));
        std::fs::write(&certificate, self.certificate.pem()).unwrap();
        std::fs::write(&key, self.key.serialize_pem()).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        (certificate, key)
    }
}

/// A CA.
pub struct Authority {
    pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        Authority {
            pem: certificate.pem(),
            der: certificate.der().clone(),
            issuer: Issuer::new(parameters, key),
        }
    }

    pub fn sign(&self, claims: &Claims) -> Certified {
        let mut parameters = CertificateParams::new(claims.names.clone()).unwrap();
        let day = |(year, month, day)| rcgen::date_time_ymd(year, month, day);
        (parameters.not_before, parameters.not_after) = (day(claims.from), day(claims.to));
        if claims.is_ca {
            parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let key = KeyPair::generate().unwrap();
        Certified {
            certificate: parameters.signed_by(&key, &self.issuer).unwrap(),
            key,
        }
    }

    pub fn write(&self, path: &Path) {
        std::fs::write(path, &self.pem).unwrap();
    }
}

/// How a [`TlsFront`] speaks.
#[derive(Default)]
pub struct Manners<'a> {
    /// Empty: all that rustls knows.
    pub versions: Vec<&'static SupportedProtocolVersion>,
    /// Demands a client certificate that this CA has signed.
    pub clients_of: Option<&'a Authority>,
}

/// Ends TLS for `127.0.0.1` and passes on what is inside. Stops when dropped.
pub struct TlsFront {
    address: SocketAddr,
    certificate: String,
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl TlsFront {
    /// With a certificate of its own CA that is valid from 2024 to 2090.
    pub fn start(upstream: SocketAddr) -> TlsFront {
        let authority = Authority::new("a CA of the tests");
        let mut front = TlsFront::with(
            upstream,
            &authority.sign(&Claims::default()),
            &Manners::default(),
        );
        front.certificate = authority.pem;
        front
    }

    /// With this certificate.
    pub fn with(upstream: SocketAddr, identity: &Certified, manners: &Manners<'_>) -> TlsFront {
        let chain = vec![identity.certificate.der().clone()];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(identity.key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = match manners.versions.as_slice() {
            [] => rustls::ALL_VERSIONS,
            some => some,
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .unwrap();
        let builder = match manners.clients_of {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.der.clone()).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let config = builder.with_single_cert(chain, key).unwrap();
        TlsFront::with_config(upstream, config, identity.certificate.pem())
    }

    /// With any other setting; `certificate` is what clients trust, in PEM.
    pub fn with_config(
        upstream: SocketAddr,
        config: ServerConfig,
        certificate: String,
    ) -> TlsFront {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(Notify::new());
        let thread = std::thread::Builder::new().name("tls-front".into());
        let stopped = Arc::clone(&stop);
        let spawned = thread.spawn(move || serve(listener, upstream, config, &stopped));
        TlsFront {
            address,
            certificate,
            stop,
            thread: Some(spawned.unwrap()),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// For `tls_options.ca_file`.
    pub fn write_certificate(&self, path: &Path) {
        std::fs::write(path, &self.certificate).unwrap();
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn serve(
    listener: std::net::TcpListener,
    upstream: SocketAddr,
    config: ServerConfig,
    stop: &Notify,
) {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap().block_on(async {
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        loop {
            let accepted = tokio::select! {
                () = stop.notified() => return,
                accepted = listener.accept() => accepted,
            };
            if let Ok((socket, _)) = accepted {
                tokio::spawn(pass_on(acceptor.clone(), socket, upstream));
            }
        }
    });
}

/// A client that does not like the certificate, or leaves, ends its connection and nothing else.
async fn pass_on(acceptor: TlsAcceptor, socket: TcpStream, upstream: SocketAddr) {
    let Ok(mut client) = acceptor.accept(socket).await else {
        return;
    };
    let Ok(mut server) = TcpStream::connect(upstream).await else {
        return;
    };
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}
