//! A server that says exactly what a test wrote: AWS's documented answers, byte for byte.
//!
//! One request is answered at a time, and one connection at a time, which is all that a
//! program with one thread can ask for.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

const TICK: Duration = Duration::from_millis(5);

/// One line of the script.
#[derive(Debug, Clone)]
pub struct Line {
    method: Option<String>,
    target_part: Option<String>,
    answer: Vec<u8>,
    early: bool,
    close: bool,
    for_ever: bool,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Counts accepted connections from 1.
    pub connection_id: u64,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name)?;
        Some(&found.1)
    }
}

impl Line {
    /// With the `Content-Length` that belongs to the body. A `HEAD` must be answered with
    /// [`Line::raw`] if its length is to be another.
    pub fn new(status: u16, headers: &[(&str, &str)], body: &str) -> Line {
        let mut answer = format!("HTTP/1.1 {status} Scripted\r\n");
        for (name, value) in headers {
            answer += &format!("{name}: {value}\r\n");
        }
        answer += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        Line::raw(answer)
    }

    /// The whole answer, status line and headers included. Empty: none at all.
    pub fn raw(answer: impl Into<Vec<u8>>) -> Line {
        Line {
            method: None,
            target_part: None,
            answer: answer.into(),
            early: false,
            close: false,
            for_ever: false,
        }
    }

    /// Only for requests of this method whose path and query contain `target_part`.
    pub fn on(mut self, method: &str, target_part: &str) -> Line {
        self.method = Some(method.into());
        self.target_part = Some(target_part.into());
        self
    }

    /// Answers before the body is read, and closes.
    pub fn early(mut self) -> Line {
        self.early = true;
        self.close = true;
        self
    }

    /// Closes the connection after the answer.
    pub fn close(mut self) -> Line {
        self.close = true;
        self
    }

    /// Is never used up.
    pub fn for_ever(mut self) -> Line {
        self.for_ever = true;
        self
    }

    fn suits(&self, method: &str, target: &str) -> bool {
        self.method.as_ref().is_none_or(|m| m == method)
            && self
                .target_part
                .as_ref()
                .is_none_or(|part| target.contains(part))
    }
}

/// Stops when dropped.
#[derive(Debug)]
pub struct ScriptedServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    script: Mutex<Vec<Line>>,
    seen: Mutex<Vec<Seen>>,
    stopping: AtomicBool,
}

impl ScriptedServer {
    /// Each request takes the first line that suits it. One that finds none is answered with
    /// a 501 that says so.
    pub fn start(script: impl IntoIterator<Item = Line>) -> ScriptedServer {
        ScriptedServer::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), script)
    }

    /// The same at an address that the program knows by heart.
    pub fn start_at(address: SocketAddr, script: impl IntoIterator<Item = Line>) -> ScriptedServer {
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Mutex::new(script.into_iter().collect()),
            seen: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        let thread = std::thread::Builder::new().name("scripted-server".into());
        let spawned = thread.spawn({
            let shared = Arc::clone(&shared);
            move || serve(&listener, &shared)
        });
        ScriptedServer {
            address,
            shared,
            thread: Some(spawned.unwrap()),
        }
    }

    /// `http://127.0.0.1:PORT`
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn requests(&self) -> Vec<Seen> {
        lock(&self.shared.seen).clone()
    }

    /// Lines that no request has taken; those that are never used up do not count.
    pub fn lines_left(&self) -> usize {
        let script = lock(&self.shared.script);
        script.iter().filter(|line| !line.for_ever).count()
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.shared.stopping.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

fn serve(listener: &TcpListener, shared: &Shared) {
    let mut connection_id = 0;
    while !shared.stopping.load(SeqCst) {
        let Ok((socket, _)) = listener.accept() else {
            std::thread::sleep(TICK);
            continue;
        };
        connection_id += 1;
        // What a client does to its connection shows in the client.
        let _ = converse(&socket, connection_id, shared);
    }
}

/// Until either side has had enough.
fn converse(socket: &TcpStream, connection_id: u64, shared: &Shared) -> std::io::Result<()> {
    socket.set_nonblocking(false)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(TICK))?;
    let mut reader = BufReader::new(Patient { socket, shared });
    while let Some(mut seen) = read_head(&mut reader)? {
        seen.connection_id = connection_id;
        let line = take_line(shared, &seen);
        if !line.early {
            if seen.header("expect").is_some() {
                (&mut &*socket).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            seen.body = read_body(&mut reader, &seen)?;
        }
        lock(&shared.seen).push(seen);
        (&mut &*socket).write_all(&line.answer)?;
        if line.close || line.answer.is_empty() {
            break;
        }
    }
    Ok(())
}

fn take_line(shared: &Shared, seen: &Seen) -> Line {
    let mut script = lock(&shared.script);
    let found = script
        .iter()
        .position(|line| line.suits(&seen.method, &seen.target));
    match found {
        Some(index) if script[index].for_ever => script[index].clone(),
        Some(index) => script.remove(index),
        None => Line::new(501, &[], "the test's script has no line for this request"),
    }
}

/// `None` when the client has closed between two requests.
fn read_head(reader: &mut impl BufRead) -> std::io::Result<Option<Seen>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        lines.push(line.to_owned());
    }
    let Some((first, headers)) = lines.split_first() else {
        return Ok(None);
    };
    let mut words = first.split(' ');
    let header = |line: &String| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    Ok(Some(Seen {
        method: words.next().unwrap_or_default().to_owned(),
        target: words.next().unwrap_or_default().to_owned(),
        headers: headers.iter().filter_map(header).collect(),
        body: Vec::new(),
        connection_id: 0,
    }))
}

/// By its length only: the program never sends a body of unknown length, and one that came
/// would be read as the next request and fail the test.
fn read_body(reader: &mut impl Read, seen: &Seen) -> std::io::Result<Vec<u8>> {
    let length = seen.header("content-length").and_then(|v| v.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    Ok(body)
}

/// Reads until there is something, or the server is to stop.
struct Patient<'a> {
    socket: &'a TcpStream,
    shared: &'a Shared,
}

impl Read for Patient<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match (&mut &*self.socket).read(buffer) {
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                other => return other,
            }
            if self.shared.stopping.load(SeqCst) {
                return Ok(0);
            }
        }
    }
}
