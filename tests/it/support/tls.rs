//! TLS in front of any server: what the plain test servers do not speak.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

/// Ends TLS for `127.0.0.1` and passes on what is inside. Stops when dropped.
pub struct TlsFront {
    address: SocketAddr,
    certificate: String,
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl TlsFront {
    /// With a self-signed certificate that is valid from 2024 to 2090.
    pub fn start(upstream: SocketAddr) -> TlsFront {
        let mut parameters = rcgen::CertificateParams::new(vec!["127.0.0.1".into()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2024, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2090, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        TlsFront::with_config(upstream, config, certificate.pem())
    }

    /// With any other setting; `certificate` is what clients trust, in PEM.
    pub fn with_config(
        upstream: SocketAddr,
        config: rustls::ServerConfig,
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
    config: rustls::ServerConfig,
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
