//! A relay that notes when bytes reach its socket, for measuring a rate where it arrives.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a read waits before it is noted that there was nothing to read.
const TICK: Duration = Duration::from_millis(5);

/// Bytes of a request that begins or completes an upload in parts, and more.
const AROUND: u64 = 4096;

/// What a look at the socket showed.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: Instant,
    /// All bytes until then.
    bytes: u64,
    /// Nothing waited in the socket, so that what comes after has been sent after.
    drained: bool,
}

/// Its threads end with their connections, and the one that accepts them with the process.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    looks: Arc<Mutex<Vec<Look>>>,
}

impl Relay {
    pub fn start(upstream: SocketAddr) -> Relay {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let looks = Arc::<Mutex<Vec<Look>>>::default();
        let noted = Arc::clone(&looks);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(upstream).unwrap());
                server.set_nodelay(true).unwrap();
                let answers = (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut &answers.0, &mut &answers.1));
                let noted = Arc::clone(&noted);
                std::thread::spawn(move || carry(&client, &server, &noted));
            }
        });
        Relay { address, looks }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From the first to the last byte of the bodies: what comes before and after is a request
    /// without one.
    pub fn time_of_bodies(&self) -> Duration {
        let looks = self.looks.lock().unwrap();
        let all = looks.last().unwrap().bytes;
        let first = looks.iter().find(|look| look.bytes > AROUND).unwrap();
        let last = looks.iter().find(|look| look.bytes + AROUND >= all);
        last.unwrap().at.duration_since(first.at)
    }

    /// The most bytes that were sent within one second. A relay that was late itself sees fewer.
    pub fn fullest_second(&self) -> u64 {
        let looks = self.looks.lock().unwrap();
        let starts = looks.iter().enumerate().filter(|(_, look)| look.drained);
        let within = starts.map(|(index, start)| {
            let later = looks[index..].iter();
            let inside = later.take_while(|look| look.at <= start.at + Duration::from_secs(1));
            inside.last().unwrap().bytes - start.bytes
        });
        within.max().unwrap()
    }
}

fn carry(client: &TcpStream, server: &TcpStream, looks: &Mutex<Vec<Look>>) {
    client.set_read_timeout(Some(TICK)).unwrap();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let before = Instant::now();
        let (at, read) = match (&mut &*client).read(&mut buffer) {
            Ok(0) => return drop(server.shutdown(Shutdown::Write)),
            Ok(read) => (Instant::now(), read),
            // The socket was still empty at the end of the tick.
            Err(error) if error.kind() == ErrorKind::WouldBlock => (before + TICK, 0),
            Err(_) => return drop(server.shutdown(Shutdown::Both)),
        };
        {
            let mut looks = looks.lock().unwrap();
            let bytes = looks.last().map_or(0, |look| look.bytes) + read as u64;
            looks.push(Look {
                at,
                bytes,
                drained: read == 0,
            });
        }
        if (&mut &*server).write_all(&buffer[..read]).is_err() {
            return drop(client.shutdown(Shutdown::Both));
        }
    }
}
