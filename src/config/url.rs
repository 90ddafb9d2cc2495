//! The two kinds of URL that a configuration holds, a store's endpoint and a
//! proxy's. A URL parser would accept much more than either may be.
//!
//! Errors are the cause and the cure; they never show the URL, which may hold a
//! password.

use super::names::check_host;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url<'a> {
    /// In lower case.
    pub scheme: String,
    /// `user` or `user:password`, still percent-encoded.
    pub user: Option<&'a str>,
    pub host: &'a str,
    pub port: Option<u16>,
    /// Empty, or begins with `/`.
    pub path: &'a str,
}

pub(super) fn split(text: &str) -> Result<Url<'_>, &'static str> {
    let (scheme, rest) = text
        .split_once("://")
        .ok_or("is not a URL; begin it with `https://` or `http://`")?;
    if rest.contains(['?', '#']) {
        return Err("has a query or a fragment; leave it out");
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (user, address) = match authority.rsplit_once('@') {
        Some((user, address)) => (Some(user), address),
        None => (None, authority),
    };
    let (host, port) = split_port(address)?;
    check_host(host)?;
    Ok(Url {
        scheme: scheme.to_ascii_lowercase(),
        user,
        host,
        port,
        path,
    })
}

/// `https://host[:port]` or `http://…` of a service that is spoken to at its root.
pub(crate) fn http_origin(text: &str) -> Result<String, &'static str> {
    let url = split(text)?;
    if !matches!(url.scheme.as_str(), "http" | "https") {
        return Err("has an unknown scheme; use `https://` or `http://`");
    }
    if url.user.is_some() {
        return Err("holds a user or a password; leave them out");
    }
    if !matches!(url.path, "" | "/") {
        return Err("has a path; leave it out");
    }
    let port = url.port.map(|port| format!(":{port}")).unwrap_or_default();
    Ok(format!("{}://{}{port}", url.scheme, url.host))
}

fn split_port(address: &str) -> Result<(&str, Option<u16>), &'static str> {
    let after_host = address.find(']').unwrap_or(0);
    match address[after_host..].rfind(':') {
        None => Ok((address, None)),
        Some(colon) => {
            let (host, port) = address.split_at(after_host + colon);
            match port[1..].parse() {
                Ok(port) if port > 0 => Ok((host, Some(port))),
                _ => Err("has a wrong port; give 1 to 65535"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scheme, user, host, port and path; or a word of the error.
    fn check(text: &str, expected: Result<&str, &str>) {
        let got = split(text).map(|url| {
            format!(
                "{} {} {} {} {}",
                url.scheme,
                url.user.unwrap_or("-"),
                url.host,
                url.port.map_or(0, |port| port),
                url.path
            )
        });
        match (got, expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{text}"),
            (Err(got), Err(expected)) => assert!(got.contains(expected), "{text}: {got}"),
            (got, _) => panic!("{text}: {got:?}"),
        }
    }

    #[test]
    fn a_url_is_taken_apart() {
        let cases = [
            ("https://s3.example.com", Ok("https - s3.example.com 0 ")),
            ("HTTP://minio:9000/", Ok("http - minio 9000 /")),
            (
                "https://[::1]:9000/storage/v1",
                Ok("https - [::1] 9000 /storage/v1"),
            ),
            ("https://[::1]", Ok("https - [::1] 0 ")),
            ("http://u:p@w@proxy:3128", Ok("http u:p@w proxy 3128 ")),
            ("s3.example.com", Err("begin it with")),
            ("https://", Err("not a host")),
            ("https://a:0", Err("wrong port")),
            ("https://a:65536", Err("wrong port")),
            ("https://a:", Err("wrong port")),
            ("https://a:80:90", Err("not a host alone")),
            ("https://a?x", Err("query")),
            ("https://a b", Err("not a host")),
        ];
        for (text, expected) in cases {
            check(text, expected);
        }
    }
}
