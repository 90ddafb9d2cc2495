//! Proxies that people really run, from the distribution's packages.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::lacks;

/// How long a program may take until it listens, and how often another port is tried.
const START_LIMIT: Duration = Duration::from_secs(20);
const TRIES: usize = 5;

/// A server that is a process of its own, on loopback. Killed when dropped.
pub struct Tool {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Tool {
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `scheme://[login@]127.0.0.1:PORT`
    pub fn url(&self, scheme: &str, login: &str) -> String {
        let at = if login.is_empty() { "" } else { "@" };
        format!("{scheme}://{login}{at}{}", self.address)
    }

    /// Neither program can be told to take any free port, so one is looked for; if somebody else
    /// was quicker, another.
    fn start(command: impl Fn(u16, &TempDir) -> Command) -> Tool {
        for _ in 0..TRIES {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let address = free.local_addr().unwrap();
            drop(free);
            let folder = TempDir::new().unwrap();
            let child = command(address.port(), &folder)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut tool = Tool {
                child,
                address,
                _folder: folder,
            };
            if tool.listens() {
                return tool;
            }
        }
        panic!("the program does not start");
    }

    /// False when it has ended.
    fn listens(&mut self) -> bool {
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(self.address).is_err() {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(Instant::now() < deadline, "the program does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn runs(program: &str, argument: &str) -> bool {
    Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

/// An HTTP proxy; `more` are lines of its configuration.
pub fn tinyproxy(more: &[&str]) -> Option<Tool> {
    let there = runs("tinyproxy", "-v");
    if lacks("tinyproxy (Debian: apt-get install tinyproxy-bin)", there) {
        return None;
    }
    Some(Tool::start(|port, folder| {
        let mut text = String::new();
        writeln!(
            text,
            "Port {port}\nListen 127.0.0.1\nTimeout 60\nLogLevel Critical"
        )
        .unwrap();
        for line in more {
            writeln!(text, "{line}").unwrap();
        }
        let path = folder.path().join("tinyproxy.conf");
        std::fs::write(&path, text).unwrap();
        let mut command = Command::new("tinyproxy");
        command.arg("-d").arg("-c").arg(path);
        command
    }))
}

/// A SOCKS5 proxy, with a login or without.
pub fn microsocks(login: Option<(&str, &str)>) -> Option<Tool> {
    let there = runs("microsocks", "--help");
    if lacks("microsocks (Debian: apt-get install microsocks)", there) {
        return None;
    }
    Some(Tool::start(|port, _| {
        let mut command = Command::new("microsocks");
        command.args(["-i", "127.0.0.1", "-p", &port.to_string()]);
        if let Some((user, password)) = login {
            command.args(["-u", user, "-P", password]);
        }
        command
    }))
}
