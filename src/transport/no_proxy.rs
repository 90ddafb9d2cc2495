//! `no_proxy`: the destinations that are reached without the proxy of the environment.
//!
//! There is no standard. This takes what curl, Go and Python's requests take between them: names
//! with their subdomains, a port behind them, addresses, and networks. See
//! <https://everything.curl.dev/usingcurl/proxies/env.html> and
//! <https://pkg.go.dev/golang.org/x/net/http/httpproxy>.

use std::net::IpAddr;

/// A list that has been read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct NoProxy(Vec<Entry>);

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    what: What,
    /// `None`: every port.
    port: Option<u16>,
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    Everything,
    /// In lower case, without a dot in front: the name and all below it.
    Name(String),
    /// An address is a network of all its bits.
    Network(IpAddr, u8),
}

impl NoProxy {
    /// Entries between commas or blanks. One that cannot be understood matches nothing.
    pub fn parse(text: &str) -> NoProxy {
        let entries = text.split(|c: char| c == ',' || c.is_whitespace());
        NoProxy(entries.filter_map(entry).collect())
    }

    /// `host` is a name or an address, an IPv6 address with or without brackets.
    pub fn covers(&self, host: &str, port: u16) -> bool {
        let host = unbracketed(host).trim_end_matches('.').to_ascii_lowercase();
        let address = host.parse().ok().map(canonical);
        self.0.iter().any(|entry| {
            let same = match &entry.what {
                What::Everything => true,
                What::Name(name) => {
                    address.is_none()
                        && host
                            .strip_suffix(name.as_str())
                            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                }
                What::Network(network, bits) => {
                    address.is_some_and(|address| within(address, *network, *bits))
                }
            };
            same && entry.port.is_none_or(|wanted| wanted == port)
        })
    }
}

fn entry(text: &str) -> Option<Entry> {
    let (host, port) = split_port(text);
    let what = if host == "*" {
        What::Everything
    } else if let Some((network, bits)) = network(host) {
        What::Network(network, bits)
    } else {
        let name = host.strip_prefix('*').unwrap_or(host);
        let name = name.trim_matches('.').to_ascii_lowercase();
        if name.is_empty() || name.contains(['*', '/', ':']) {
            return None;
        }
        What::Name(name)
    };
    Some(Entry { what, port })
}

/// An IPv6 address has colons of its own: a port stands behind its brackets only.
fn split_port(text: &str) -> (&str, Option<u16>) {
    let single = text.matches(':').count() == 1;
    match text.rsplit_once(':') {
        Some((host, port)) if single || host.ends_with(']') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (text, None),
        },
        _ => (text, None),
    }
}

fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = unbracketed(address).parse().ok()?;
    let Some(bits) = bits else {
        let address = canonical(address);
        return Some((address, width(address)));
    };
    (bits <= width(address)).then_some((address, bits))
}

/// In bits.
fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// `::ffff:10.0.0.1` is `10.0.0.1`.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let differing = address.to_bits() ^ network.to_bits();
            differing.leading_zeros() >= u32::from(bits)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let differing = address.to_bits() ^ network.to_bits();
            differing.leading_zeros() >= u32::from(bits)
        }
        _ => false,
    }
}

fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_that_people_write_cover_what_they_mean() {
        let cases = [
            // list, host, port, covered
            ("", "a.example.com", 443, false),
            ("*", "a.example.com", 443, true),
            ("example.com", "example.com", 443, true),
            ("example.com", "a.example.com", 443, true),
            ("example.com", "A.Example.COM", 443, true),
            ("example.com", "badexample.com", 443, false),
            ("example.com", "example.com.evil.org", 443, false),
            (".example.com", "a.b.example.com", 443, true),
            (".example.com", "example.com", 443, true),
            ("*.example.com", "a.example.com", 443, true),
            ("EXAMPLE.com.", "example.com", 443, true),
            ("example.com", "example.com.", 443, true),
            (" a.org ,\texample.com , ", "example.com", 443, true),
            ("a.org example.com", "example.com", 443, true),
            ("example.com:443", "example.com", 443, true),
            ("example.com:443", "example.com", 9000, false),
            ("example.com:port", "example.com", 443, false),
            ("*:9000", "minio", 9000, true),
            ("10.0.0.1", "10.0.0.1", 80, true),
            ("10.0.0.1", "10.0.0.10", 80, false),
            ("10.0.0.1:80", "10.0.0.1", 443, false),
            ("0.0.1", "10.0.0.1", 80, false),
            ("10.0.0.0/8", "10.255.1.2", 80, true),
            ("10.0.0.0/8", "11.0.0.1", 80, false),
            ("192.168.1.0/25", "192.168.1.127", 80, true),
            ("192.168.1.0/25", "192.168.1.128", 80, false),
            ("0.0.0.0/0", "8.8.8.8", 80, true),
            ("0.0.0.0/0", "::1", 80, false),
            ("10.0.0.0/33", "10.0.0.1", 80, false),
            ("10.0.0.0/x", "10.0.0.1", 80, false),
            ("10.0.0.0/8", "10.example.com", 80, false),
            ("::1", "[::1]", 80, true),
            ("[::1]", "::1", 80, true),
            ("[::1]:9000", "[::1]", 9000, true),
            ("[::1]:9000", "[::1]", 80, false),
            ("fd00::/8", "[fd12:3456::1]", 80, true),
            ("fd00::/8", "[fe80::1]", 80, false),
            ("10.0.0.1", "[::ffff:10.0.0.1]", 80, true),
            ("::ffff:10.0.0.1", "10.0.0.1", 80, true),
            (",,..,*.", "a", 80, false),
        ];
        for (list, host, port, covered) in cases {
            assert_eq!(
                NoProxy::parse(list).covers(host, port),
                covered,
                "{list:?} and {host}:{port}"
            );
        }
    }
}
