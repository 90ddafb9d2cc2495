//! A TCP proxy that hurts: what networks do to a connection, on demand.
//!
//! It knows nothing of HTTP but that a client speaks first and an answer follows, so the
//! server behind it stays real. Plain threads with short read timeouts carry the bytes; each
//! asks before every block what the plan is now.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a blocked read or an idle accept waits before it looks at the plan again.
const TICK: Duration = Duration::from_millis(5);

/// What happens to a connection. Byte counts start anew when the plan is set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Plan {
    Pass,
    /// Nobody listens; connections that exist are reset. Only as the plan for all.
    Refuse,
    /// Reset once this many bytes have gone to the server.
    ResetAfter(u64),
    /// Once this many bytes have gone to the server, nothing goes either way any more, and
    /// the connection stays open.
    StallAfter(u64),
    /// To the server, at most this many bytes a second.
    SlowUpload(u64),
    /// The answer comes one byte at a time, with this pause before each.
    TrickleAnswer(Duration),
    /// The answer ends, in good order, after this many bytes.
    TruncateAnswer(u64),
    /// After this many bytes of the answer, nothing more of it comes, and the connection stays.
    StallAnswer(u64),
    /// Everything that the server sends comes twice.
    DuplicateAnswer,
    /// The server carries the request out and answers; the client sees a reset instead.
    SwallowAnswer,
    /// An answer passes; the next request on the same connection is met by a close, as when a
    /// server has given up an idle connection just then. A `100 Continue` is an answer, too.
    CloseOnNextRequest,
    /// An answer passes, and the connection closes while it is idle.
    CloseWhenIdle,
}

/// Stops with all its connections and threads when dropped.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    listener: Mutex<Option<TcpListener>>,
    current: Mutex<Current>,
    /// Plans for the next connections, each for one of them.
    queue: Mutex<VecDeque<Plan>>,
    stopping: AtomicBool,
    accepted: AtomicU64,
    to_server: AtomicU64,
    to_client: AtomicU64,
}

/// The plan of every connection without one of its own.
#[derive(Debug, Clone, Copy)]
struct Current {
    plan: Plan,
    /// Grows with every change, so that a pump knows when to count from zero.
    generation: u64,
}

impl FaultProxy {
    /// Passes everything to `upstream` until told otherwise.
    pub fn start(upstream: SocketAddr) -> FaultProxy {
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into());
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream,
            listener: Mutex::new(Some(listener)),
            current: Mutex::new(Current {
                plan: Plan::Pass,
                generation: 0,
            }),
            queue: Mutex::default(),
            stopping: AtomicBool::new(false),
            accepted: AtomicU64::new(0),
            to_server: AtomicU64::new(0),
            to_client: AtomicU64::new(0),
        });
        let thread = spawn("fault-proxy", {
            let shared = Arc::clone(&shared);
            move || accept(&shared)
        });
        FaultProxy {
            address,
            shared,
            thread: Some(thread),
        }
    }

    /// `http://127.0.0.1:PORT`
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// For every connection from now on, those that exist included.
    pub fn set_plan(&self, plan: Plan) {
        let mut listener = self.shared.listener.lock().unwrap();
        let mut current = self.shared.current.lock().unwrap();
        current.plan = plan;
        current.generation += 1;
        if plan == Plan::Refuse {
            *listener = None;
        } else if listener.is_none() {
            *listener = Some(listen(self.address));
        }
    }

    /// For the next connections, one each; they keep it whatever is set for all.
    pub fn plan_next(&self, plans: impl IntoIterator<Item = Plan>) {
        self.shared.queue.lock().unwrap().extend(plans);
    }

    pub fn connections(&self) -> u64 {
        self.shared.accepted.load(SeqCst)
    }

    /// Bytes that reached the server.
    pub fn bytes_to_server(&self) -> u64 {
        self.shared.to_server.load(SeqCst)
    }

    /// Bytes that reached the client.
    pub fn bytes_to_client(&self) -> u64 {
        self.shared.to_client.load(SeqCst)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.stopping.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn listen(address: SocketAddr) -> TcpListener {
    let listener = TcpListener::bind(address).unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let thread = std::thread::Builder::new().name(name.into());
    thread.spawn(work).unwrap()
}

fn accept(shared: &Arc<Shared>) {
    let mut pumps: Vec<JoinHandle<()>> = Vec::new();
    while !shared.stopping.load(SeqCst) {
        let accepted = {
            let listener = shared.listener.lock().unwrap();
            listener
                .as_ref()
                .and_then(|listener| listener.accept().ok())
        };
        match accepted {
            Some((client, _)) => pumps.extend(connect(client, shared)),
            None => std::thread::sleep(TICK),
        }
        pumps.retain(|pump| !pump.is_finished());
    }
    for pump in pumps {
        pump.join().unwrap();
    }
}

/// One thread for each direction; none if the server cannot be reached, which the client
/// sees as a reset.
fn connect(client: TcpStream, shared: &Arc<Shared>) -> Vec<JoinHandle<()>> {
    shared.accepted.fetch_add(1, SeqCst);
    let own = shared.queue.lock().unwrap().pop_front();
    let Ok(server) = TcpStream::connect(shared.upstream) else {
        reset(&client);
        return Vec::new();
    };
    for socket in [&client, &server] {
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(TICK)).unwrap();
        socket.set_nodelay(true).unwrap();
    }
    let connection = Arc::new(Connection {
        client,
        server,
        own,
        shared: Arc::clone(shared),
        over: AtomicBool::new(false),
        answered: AtomicBool::new(false),
        sent: AtomicU64::new(0),
    });
    let upward = Arc::clone(&connection);
    vec![
        spawn("to-server", move || upward.pump_to_server()),
        spawn("to-client", move || connection.pump_to_client()),
    ]
}

#[derive(Debug)]
struct Connection {
    client: TcpStream,
    server: TcpStream,
    own: Option<Plan>,
    shared: Arc<Shared>,
    over: AtomicBool,
    /// Whether an answer has passed since the last request byte.
    answered: AtomicBool,
    /// Bytes that went to the server since the plan was set: what stalls one direction
    /// stalls the other.
    sent: AtomicU64,
}

impl Connection {
    fn plan(&self) -> Current {
        let current = *self.shared.current.lock().unwrap();
        match self.own {
            Some(plan) => Current {
                plan,
                generation: 0,
            },
            None => current,
        }
    }

    fn is_over(&self) -> bool {
        self.over.load(SeqCst) || self.shared.stopping.load(SeqCst)
    }

    fn pump_to_server(&self) {
        let mut buffer = [0; 16 * 1024];
        let mut generation = self.plan().generation;
        while !self.is_over() {
            let now = self.plan();
            if now.generation != generation {
                generation = now.generation;
                self.sent.store(0, SeqCst);
            }
            if now.plan == Plan::Refuse {
                return self.end_with_reset();
            }
            let room = self.room(now.plan);
            if room == 0 && matches!(now.plan, Plan::ResetAfter(_)) {
                return self.end_with_reset();
            }
            if room == 0 {
                std::thread::sleep(TICK);
                continue;
            }
            let wanted = room.min(buffer.len() as u64) as usize;
            match (&self.client).read(&mut buffer[..wanted]) {
                Ok(0) => {
                    let _ = self.server.shutdown(Shutdown::Write);
                    return;
                }
                Ok(n) => self.send(now.plan, &buffer[..n]),
                Err(e) if is_timeout(&e) => {}
                Err(_) => return self.end_with_reset(),
            }
        }
    }

    /// How much may go to the server now.
    fn room(&self, plan: Plan) -> u64 {
        let sent = self.sent.load(SeqCst);
        match plan {
            Plan::ResetAfter(limit) | Plan::StallAfter(limit) => limit.saturating_sub(sent),
            // A tenth of a second's worth, and then a pause of a tenth.
            Plan::SlowUpload(rate) => (rate / 10).max(1),
            _ => u64::MAX,
        }
    }

    fn send(&self, plan: Plan, bytes: &[u8]) {
        if plan == Plan::CloseOnNextRequest && self.answered.load(SeqCst) {
            return self.end_in_order();
        }
        self.answered.store(false, SeqCst);
        if (&self.server).write_all(bytes).is_err() {
            return self.end_with_reset();
        }
        self.sent.fetch_add(bytes.len() as u64, SeqCst);
        self.shared.to_server.fetch_add(bytes.len() as u64, SeqCst);
        if let Plan::SlowUpload(rate) = plan {
            std::thread::sleep(Duration::from_secs_f64(bytes.len() as f64 / rate as f64));
        }
    }

    fn pump_to_client(&self) {
        let mut buffer = [0; 16 * 1024];
        let mut generation = self.plan().generation;
        let mut received = 0;
        while !self.is_over() {
            let now = self.plan();
            if now.generation != generation {
                generation = now.generation;
                received = 0;
            }
            if let Plan::StallAfter(_) = now.plan
                && self.room(now.plan) == 0
            {
                std::thread::sleep(TICK);
                continue;
            }
            let answer = match (&self.server).read(&mut buffer) {
                Ok(0) => return self.end_in_order(),
                Ok(n) => &buffer[..n],
                Err(e) if is_timeout(&e) => {
                    if now.plan == Plan::CloseWhenIdle && self.answered.load(SeqCst) {
                        return self.end_in_order();
                    }
                    continue;
                }
                Err(_) => return self.end_with_reset(),
            };
            self.answer(now.plan, answer, received);
            received += answer.len() as u64;
        }
    }

    /// `before`: how much of the answer has passed already.
    fn answer(&self, plan: Plan, answer: &[u8], before: u64) {
        match plan {
            Plan::SwallowAnswer => self.end_with_reset(),
            Plan::TrickleAnswer(pause) => {
                for byte in answer {
                    if self.is_over() || self.plan().plan != plan {
                        break;
                    }
                    std::thread::sleep(pause);
                    self.give(std::slice::from_ref(byte));
                }
            }
            Plan::TruncateAnswer(limit) => {
                let left = limit.saturating_sub(before);
                let kept = answer.len().min(left as usize);
                self.give(&answer[..kept]);
                if kept as u64 == left {
                    self.end_in_order();
                }
            }
            Plan::StallAnswer(limit) => {
                let kept = answer.len().min(limit.saturating_sub(before) as usize);
                self.give(&answer[..kept]);
            }
            Plan::DuplicateAnswer => self.give(&[answer, answer].concat()),
            _ => self.give(answer),
        }
    }

    fn give(&self, bytes: &[u8]) {
        // Before it is given: the next request may come before this thread goes on.
        self.answered.store(true, SeqCst);
        if (&self.client).write_all(bytes).is_err() {
            return self.end_with_reset();
        }
        self.shared.to_client.fetch_add(bytes.len() as u64, SeqCst);
    }

    fn end_in_order(&self) {
        self.over.store(true, SeqCst);
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }

    fn end_with_reset(&self) {
        self.over.store(true, SeqCst);
        reset(&self.client);
        reset(&self.server);
    }
}

/// With a linger time of zero the close that follows, once both threads have let go of the
/// socket, sends a reset instead of an orderly end.
fn reset(socket: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}
