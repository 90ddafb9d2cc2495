//! SOCKS5 as a client asks for a connection: RFC 1928, with user and password by RFC 1929.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr};

use super::fault::Fault;
use crate::config::model::{ProxyLogin, ProxyServer};

const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NONE_ACCEPTABLE: u8 = 0xff;

/// Where the proxy is asked to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Address(SocketAddr),
    /// A name that the proxy looks up, and a port.
    Name(String, u16),
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::Address(address) => address.fmt(f),
            Target::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

/// Opens the way to `target`; afterwards the stream is the connection to it.
///
/// # Errors
/// A [`Fault`] inside, or the stream's own error.
pub fn open<S: Read + Write>(
    stream: &mut S,
    proxy: &ProxyServer,
    target: &Target,
) -> std::io::Result<()> {
    let methods: &[u8] = match proxy.login {
        Some(_) => &[NO_LOGIN, USER_AND_PASSWORD],
        None => &[NO_LOGIN],
    };
    let mut hello = vec![VERSION, methods.len() as u8];
    hello.extend_from_slice(methods);
    stream.write_all(&hello)?;
    let mut chosen = [0; 2];
    stream.read_exact(&mut chosen)?;
    if chosen[0] != VERSION {
        let text = format!("{proxy} does not speak SOCKS5");
        return Err(Fault::ProxyFailed(text).into_io());
    }
    match (chosen[1], &proxy.login) {
        (NO_LOGIN, _) => {}
        (USER_AND_PASSWORD, Some(login)) => log_in(stream, proxy, login)?,
        (NONE_ACCEPTABLE | USER_AND_PASSWORD, None) => {
            let text = format!("the proxy {proxy} wants a user and a password");
            return Err(Fault::ProxyAuthentication(text).into_io());
        }
        (method, _) => {
            let text =
                format!("the proxy {proxy} takes no user and password (method {method:#04x})");
            return Err(Fault::ProxyAuthentication(text).into_io());
        }
    }
    stream.write_all(&request(target))?;
    reply(stream, proxy, target)
}

fn log_in<S: Read + Write>(
    stream: &mut S,
    proxy: &ProxyServer,
    login: &ProxyLogin,
) -> std::io::Result<()> {
    let mut message = vec![1];
    for part in [login.user.as_str(), login.password.expose()] {
        // The configuration holds no longer ones.
        message.push(part.len().min(255) as u8);
        message.extend_from_slice(&part.as_bytes()[..part.len().min(255)]);
    }
    stream.write_all(&message)?;
    let mut status = [0; 2];
    stream.read_exact(&mut status)?;
    if status[1] == 0 {
        return Ok(());
    }
    let text = format!("the proxy {proxy} refuses the user and the password");
    Err(Fault::ProxyAuthentication(text).into_io())
}

/// CONNECT, with an address of type 1 (IPv4), 3 (name) or 4 (IPv6).
fn request(target: &Target) -> Vec<u8> {
    let mut message = vec![VERSION, 1, 0];
    let port = match target {
        Target::Address(address) => {
            match address.ip() {
                IpAddr::V4(ip) => {
                    message.push(1);
                    message.extend_from_slice(&ip.octets());
                }
                IpAddr::V6(ip) => {
                    message.push(4);
                    message.extend_from_slice(&ip.octets());
                }
            }
            address.port()
        }
        Target::Name(name, port) => {
            // No host name is longer than 253 bytes.
            let name = &name.as_bytes()[..name.len().min(255)];
            message.extend_from_slice(&[3, name.len() as u8]);
            message.extend_from_slice(name);
            *port
        }
    };
    message.extend_from_slice(&port.to_be_bytes());
    message
}

fn reply<S: Read>(stream: &mut S, proxy: &ProxyServer, target: &Target) -> std::io::Result<()> {
    let mut head = [0; 4];
    stream.read_exact(&mut head)?;
    if head[1] != 0 {
        return Err(refusal(proxy, target, head[1]).into_io());
    }
    // The address that the proxy has bound is of no use here, but stands before what follows.
    let rest = match head[3] {
        1 => 4,
        3 => {
            let mut length = [0];
            stream.read_exact(&mut length)?;
            usize::from(length[0])
        }
        4 => 16,
        other => {
            let text = format!("{proxy} does not speak SOCKS5 (address type {other})");
            return Err(Fault::ProxyFailed(text).into_io());
        }
    };
    let mut bound = [0; 255 + 2];
    stream.read_exact(&mut bound[..rest + 2])
}

fn refusal(proxy: &ProxyServer, target: &Target, code: u8) -> Fault {
    if code == 2 {
        return Fault::ProxyRefused(format!("the proxy {proxy} does not allow {target}"));
    }
    let cause = match code {
        1 => "general failure",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "time to live expired",
        7 => "command not supported",
        8 => "address type not supported",
        _ => "unknown cause",
    };
    Fault::ProxyFailed(format!(
        "the proxy {proxy} cannot connect to {target}: {cause} ({code})"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_proxy;

    /// What the proxy says, and what it was told.
    struct Script<'a> {
        answers: &'a [u8],
        told: Vec<u8>,
    }

    impl Read for Script<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.answers.read(buffer)
        }
    }

    impl Write for Script<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.told.write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn ask(url: &str, target: &Target, answers: &[u8]) -> (Result<(), String>, Vec<u8>, usize) {
        let mut script = Script {
            answers,
            told: Vec::new(),
        };
        let result = open(&mut script, &parse_proxy(url).unwrap(), target);
        let left = script.answers.len();
        (result.map_err(|error| error.to_string()), script.told, left)
    }

    #[test]
    fn the_bytes_are_those_of_the_rfcs() {
        let granted = [5, 0, 5, 0, 0, 1, 127, 0, 0, 1, 0, 80, b'x'];
        let name = Target::Name("s3.example".into(), 443);
        let (result, told, left) = ask("socks5h://p", &name, &granted);
        assert_eq!(result, Ok(()));
        assert_eq!(left, 1, "what follows belongs to the connection");
        assert_eq!(told, b"\x05\x01\x00\x05\x01\x00\x03\x0as3.example\x01\xbb");

        let address = Target::Address("[::1]:80".parse().unwrap());
        let long = [&[5, 0, 5, 0, 0, 3, 2, b'a', b'b', 0, 80][..]].concat();
        let (result, told, left) = ask("socks5://p", &address, &long);
        assert_eq!((result, left), (Ok(()), 0));
        assert_eq!(told.len(), 3 + 4 + 16 + 2);
        assert_eq!(told[3..7], [5, 1, 0, 4]);

        let login = [&[5, 2, 1, 0][..], &granted[2..12]].concat();
        let four = Target::Address("10.0.0.1:80".parse().unwrap());
        let (result, told, _) = ask("socks5://u%40x:p%3a@p", &four, &login);
        assert_eq!(result, Ok(()));
        assert_eq!(
            told,
            b"\x05\x02\x00\x02\x01\x03u@x\x02p:\x05\x01\x00\x01\x0a\x00\x00\x01\x00\x50"
        );
    }

    #[test]
    fn every_refusal_says_what_it_is_about() {
        let target = Target::Name("s3.example".into(), 443);
        let cases: &[(&str, &[u8], &str)] = &[
            ("socks5h://p", &[5, 0xff], "wants a user"),
            ("socks5h://u:p@p", &[5, 0xff], "takes no user"),
            ("socks5h://u:p@p", &[5, 2, 1, 1], "refuses the user"),
            ("socks5h://p", b"HTTP/1.1 400", "does not speak SOCKS5"),
            (
                "socks5h://p",
                &[5, 0, 5, 2, 0, 1],
                "does not allow s3.example:443",
            ),
            ("socks5h://p", &[5, 0, 5, 5, 0, 1], "connection refused"),
            ("socks5h://p", &[5, 0, 5, 99, 0, 1], "unknown cause (99)"),
            ("socks5h://p", &[5, 0, 5, 0, 0, 9], "address type 9"),
            ("socks5h://p", &[5], "failed to fill"),
            ("socks5h://p", &[5, 0, 5, 0, 0, 1, 127], "failed to fill"),
        ];
        for (url, answers, expected) in cases {
            let error = ask(url, &target, answers).0.unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
