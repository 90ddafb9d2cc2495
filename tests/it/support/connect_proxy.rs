//! An HTTP proxy that leads every name to one server, so that a test can use a host name that
//! does not resolve here.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Takes `CONNECT` and, for plain http, requests with an absolute target.
#[derive(Debug)]
pub struct ConnectProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    asked_for: Mutex<Vec<String>>,
    open: Mutex<Vec<TcpStream>>,
    stopping: AtomicBool,
}

impl ConnectProxy {
    pub fn start(upstream: SocketAddr) -> ConnectProxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream,
            asked_for: Mutex::default(),
            open: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        let thread = spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        ConnectProxy {
            address,
            shared,
            thread: Some(thread),
        }
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What the clients wanted to reach: `host:port` of a `CONNECT`, else the whole URL.
    pub fn asked_for(&self) -> Vec<String> {
        self.shared.asked_for.lock().unwrap().clone()
    }
}

impl Drop for ConnectProxy {
    fn drop(&mut self) {
        self.shared.stopping.store(true, SeqCst);
        for socket in self.shared.open.lock().unwrap().iter() {
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
        // Wakes the accept.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let thread = std::thread::Builder::new().name("connect-proxy".into());
    thread.spawn(work).unwrap()
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut tunnels = Vec::new();
    for client in listener.incoming() {
        if shared.stopping.load(SeqCst) {
            break;
        }
        let shared = Arc::clone(shared);
        // A broken tunnel shows in the client.
        tunnels.push(spawn(move || drop(tunnel(client, &shared))));
    }
    for tunnel in tunnels {
        tunnel.join().unwrap();
    }
}

fn tunnel(client: std::io::Result<TcpStream>, shared: &Shared) -> std::io::Result<()> {
    let client = client?;
    let server = TcpStream::connect(shared.upstream)?;
    for socket in [&client, &server] {
        socket.set_nodelay(true)?;
        shared.open.lock().unwrap().push(socket.try_clone()?);
    }
    let mut reader = BufReader::new(client.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let target = first.split(' ').nth(1).unwrap_or_default();
    shared.asked_for.lock().unwrap().push(target.to_owned());
    if first.starts_with("CONNECT ") {
        let mut header = String::new();
        while reader.read_line(&mut header)? > 2 {
            header.clear();
        }
        (&client).write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    } else {
        // Only this request's target is made relative; each request has its own connection
        // in that mode as far as the tests go.
        let path = target.splitn(4, '/').nth(3).unwrap_or_default();
        let relative = first.replacen(target, &format!("/{path}"), 1);
        (&server).write_all(relative.as_bytes())?;
    }
    let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
    let back = spawn(move || {
        let _ = std::io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(std::net::Shutdown::Both);
    });
    let copied = std::io::copy(&mut reader, &mut &server);
    let _ = server.shutdown(std::net::Shutdown::Write);
    let _ = back.join();
    copied.map(drop)
}
