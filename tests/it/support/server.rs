//! A real S3 server inside the test process: s3s in front of a folder.
//!
//! It verifies signatures, the clock and the body's SHA-256, so a test that passes against
//! it has spoken S3 and not a mock's idea of it. Around it stands a thin layer that records
//! every request, answers in the server's place when a test asks for that ([`Failure`]), and
//! takes the whole server away and brings it back. Bodies stream through it unbuffered.
//!
//! The demo includes this file by path, so it uses nothing else of the support folder.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::host::MultiDomain;
use s3s::service::{S3Service, S3ServiceBuilder};
use tempfile::TempDir;
use tokio::sync::Notify;

// By path, because this file itself is included by path from the demo.
#[path = "requests.rs"]
mod requests;
#[path = "uploads.rs"]
mod uploads;

pub use requests::{Failure, Request};
use requests::{Reply, describe, fail};

pub const ACCESS_KEY: &str = "testkey";
pub const SECRET_KEY: &str = "testsecret";
pub const BUCKET: &str = "bucket";

/// What a server starts with. The default is one bucket, path style, a temporary root.
pub struct S3Options {
    pub access_key: String,
    pub secret_key: String,
    pub buckets: Vec<String>,
    /// Base domains under which a bucket may stand as a label: `s3.eu-west-2.amazonaws.com`,
    /// with `:PORT` where the client's `Host` header will carry one. The server's own
    /// address stays path style.
    pub domains: Vec<String>,
    /// The folder whose subfolders are the buckets; `None` makes one and removes it.
    pub root: Option<PathBuf>,
}

impl Default for S3Options {
    fn default() -> Self {
        S3Options {
            access_key: ACCESS_KEY.into(),
            secret_key: SECRET_KEY.into(),
            buckets: vec![BUCKET.into()],
            domains: Vec::new(),
            root: None,
        }
    }
}

type Matcher = Box<dyn Fn(&Request) -> bool + Send>;

struct Rule {
    matches: Matcher,
    failure: Failure,
    left: usize,
}

/// The server; dropping it stops it and removes a temporary root.
pub struct S3Server {
    root: PathBuf,
    service: S3Service,
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    // Last, so that the folder goes after the thread that writes into it.
    _temporary: Option<TempDir>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    connections: u64,
    /// Connections that have ended, and requests that the server is at work on.
    ended: u64,
    in_service: u64,
    rules: Vec<Rule>,
    /// How many more requests are served before the server goes away by itself.
    lifetime: Option<usize>,
    /// One for each start, so that a late stop cannot end the next one.
    stop: Arc<Notify>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A poisoned lock means that a test's matcher panicked; its own message is enough.
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl S3Server {
    /// Listens on a port of the system's choice.
    pub fn start(options: S3Options) -> S3Server {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        S3Server::start_with(listener, options)
    }

    /// The same on `[::1]`; `None`, and a word about it, where the machine has no IPv6.
    #[allow(dead_code, reason = "the demo includes this file too")]
    pub fn start_on_ipv6(options: S3Options) -> Option<S3Server> {
        match std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
            Ok(listener) => Some(S3Server::start_with(listener, options)),
            Err(error) => {
                println!("SKIPPED: no IPv6: {error}");
                None
            }
        }
    }

    fn start_with(listener: std::net::TcpListener, options: S3Options) -> S3Server {
        let temporary = options.root.is_none().then(|| TempDir::new().unwrap());
        let root = match (&options.root, &temporary) {
            (Some(root), _) => root.clone(),
            (None, made) => made.as_ref().unwrap().path().to_path_buf(),
        };
        for bucket in &options.buckets {
            std::fs::create_dir_all(root.join(bucket)).unwrap();
        }
        let address = listener.local_addr().unwrap();
        let mut server = S3Server {
            service: s3_service(&root, address, &options),
            root,
            address,
            shared: Arc::default(),
            thread: None,
            _temporary: temporary,
        };
        server.run(listener);
        server
    }

    /// `http://127.0.0.1:PORT`
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the object's bytes lie. Keys are stored as they stand, `/` makes folders.
    pub fn object_path(&self, bucket: &str, key: &str) -> PathBuf {
        self.root.join(bucket).join(key)
    }

    pub fn object(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        std::fs::read(self.object_path(bucket, key)).ok()
    }

    /// How many multipart uploads are open, and how many parts of any lie about.
    pub fn open_uploads(&self) -> (usize, usize) {
        let entries = std::fs::read_dir(&self.root).unwrap();
        let is_part = |entry: &std::fs::DirEntry| {
            entry
                .file_name()
                .to_string_lossy()
                .starts_with(".upload_id-")
        };
        let parts = entries.filter(|entry| entry.as_ref().is_ok_and(is_part));
        (uploads::open_uploads(&self.root).len(), parts.count())
    }

    /// All keys of a bucket, in order.
    pub fn keys(&self, bucket: &str) -> BTreeSet<String> {
        let mut keys = BTreeSet::new();
        let base = self.root.join(bucket);
        let mut folders = vec![base.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let key = path.strip_prefix(&base).unwrap();
                    keys.insert(key.to_str().unwrap().to_owned());
                }
            }
        }
        keys
    }

    /// Every request since the start, restarts included, in order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().requests.clone()
    }

    /// The same, and forgets them; for when none is under way.
    #[allow(dead_code, reason = "only a test that runs for hours needs it")]
    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.shared.lock().requests)
    }

    /// How many connections were ever accepted.
    pub fn connections(&self) -> u64 {
        self.shared.lock().connections
    }

    /// Waits until every byte that clients have sent so far is dealt with and every
    /// connection is over; false when `limit` passes first. For after a client's end.
    pub fn wait_until_idle(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let before = self.connections();
        // Connections are accepted in order: after this one, all that came before it are.
        drop(std::net::TcpStream::connect(self.address));
        let mut state = self.shared.lock();
        while state.connections == before || state.ended < state.connections || state.in_service > 0
        {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(|e| e.into_inner()).0;
        }
        true
    }

    /// Waits until `count` requests match; false when `limit` passes first.
    pub fn wait_for_requests(
        &self,
        count: usize,
        limit: Duration,
        matches: impl Fn(&Request) -> bool,
    ) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = self.shared.lock();
        loop {
            if state.requests.iter().filter(|r| matches(r)).count() >= count {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(|e| e.into_inner()).0;
        }
    }

    /// The next `times` requests that match meet `failure` instead of the server.
    /// Earlier rules come first.
    pub fn fail_next(
        &self,
        times: usize,
        matches: impl Fn(&Request) -> bool + Send + 'static,
        failure: Failure,
    ) {
        self.shared.lock().rules.push(Rule {
            matches: Box::new(matches),
            failure,
            left: times,
        });
    }

    /// Forgets every rule of [`S3Server::fail_next`].
    pub fn heal(&self) {
        self.shared.lock().rules.clear();
    }

    /// Serves `requests` more, then goes away in the middle of the next one.
    pub fn stop_after(&self, requests: usize) {
        self.shared.lock().lifetime = Some(requests);
    }

    /// Waits until the server has gone by itself; false when `limit` passes first.
    pub fn wait_until_stopped(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let is_down = || self.thread.as_ref().is_none_or(|t| t.is_finished());
        while !is_down() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        is_down()
    }

    /// Drops the listener and every connection: connects are refused from now on.
    pub fn stop(&mut self) {
        self.shared.lock().stop.notify_one();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    /// Comes back on the same port with the same objects.
    pub fn restart(&mut self) {
        self.stop();
        self.run(std::net::TcpListener::bind(self.address).unwrap());
    }

    fn run(&mut self, listener: std::net::TcpListener) {
        let stop = Arc::new(Notify::new());
        {
            let mut state = self.shared.lock();
            state.stop = Arc::clone(&stop);
            state.lifetime = None;
        }
        let (service, shared) = (self.service.clone(), Arc::clone(&self.shared));
        let thread = std::thread::Builder::new().name("s3-server".into());
        let spawned = thread.spawn(move || serve(listener, service, shared, stop));
        self.thread = Some(spawned.unwrap());
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn s3_service(root: &Path, address: SocketAddr, options: &S3Options) -> S3Service {
    let mut builder = S3ServiceBuilder::new(uploads::ListedUploads::new(root));
    builder.set_auth(SimpleAuth::from_single(
        options.access_key.as_str(),
        options.secret_key.as_str(),
    ));
    if !options.domains.is_empty() {
        let own = address.to_string();
        let domains = options.domains.iter().chain([&own]);
        builder.set_host(MultiDomain::new(domains).unwrap());
    }
    builder.build()
}

/// Ends, and with it every connection, when `stop` is notified.
fn serve(
    listener: std::net::TcpListener,
    service: S3Service,
    shared: Arc<Shared>,
    stop: Arc<Notify>,
) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::select! {
            () = stop.notified() => {}
            gone = accept(listener, service, shared) => match gone {},
        }
    });
}

async fn accept(
    listener: std::net::TcpListener,
    service: S3Service,
    shared: Arc<Shared>,
) -> Infallible {
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            continue;
        };
        // Without it each small answer waits for the client's delayed acknowledgement.
        let _ = socket.set_nodelay(true);
        let connection_id = {
            let mut state = shared.lock();
            state.connections += 1;
            state.connections
        };
        let accepted = Arc::clone(&shared);
        let (service, shared) = (service.clone(), Arc::clone(&shared));
        let handler = hyper::service::service_fn(move |request| {
            handle(request, connection_id, service.clone(), Arc::clone(&shared))
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(socket), handler);
        let shared = Arc::clone(&accepted);
        // The error of a connection is the client's business; a hang-up is one on purpose.
        tokio::spawn(async move {
            drop(connection.await);
            shared.lock().ended += 1;
            shared.changed.notify_all();
        });
    }
}

async fn handle(
    request: hyper::Request<Incoming>,
    connection_id: u64,
    service: S3Service,
    shared: Arc<Shared>,
) -> Reply {
    let Some((index, failure)) = record(&request, connection_id, &shared) else {
        return Err("the server is going away".into());
    };
    let reply = match failure {
        None => serve_to_the_end(request, service, Arc::clone(&shared)).await,
        Some(failure) => fail(failure, request, service).await,
    };
    if let Ok(reply) = &reply {
        if let Some(request) = shared.lock().requests.get_mut(index) {
            request.status = Some(reply.status().as_u16());
        }
        shared.changed.notify_all();
    }
    reply
}

/// As S3 does, finishes what has begun also when the client is gone meanwhile: a Complete
/// that is cancelled half-way would leave neither an upload nor an object.
async fn serve_to_the_end(
    request: hyper::Request<Incoming>,
    service: S3Service,
    shared: Arc<Shared>,
) -> Reply {
    shared.lock().in_service += 1;
    let work = tokio::spawn(async move {
        let reply = service.call(request.map(s3s::Body::from)).await;
        shared.lock().in_service -= 1;
        shared.changed.notify_all();
        reply
    });
    Ok(work.await??)
}

/// Notes the request and picks the rule that it meets; `None` when the lifetime is over.
fn record(
    request: &hyper::Request<Incoming>,
    connection_id: u64,
    shared: &Shared,
) -> Option<(usize, Option<Failure>)> {
    let noted = describe(request, connection_id);
    let mut state = shared.lock();
    let rule = state
        .rules
        .iter_mut()
        .find(|r| r.left > 0 && (r.matches)(&noted));
    let failure = rule.map(|rule| {
        rule.left -= 1;
        rule.failure.clone()
    });
    state.requests.push(noted);
    shared.changed.notify_all();
    if state.lifetime == Some(0) {
        state.stop.notify_one();
        return None;
    }
    state.lifetime = state.lifetime.map(|left| left - 1);
    Some((state.requests.len() - 1, failure))
}
