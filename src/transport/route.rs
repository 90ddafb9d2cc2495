//! Which proxy leads to a destination, if any: the configured one, or what the environment says,
//! as curl reads it.

use super::no_proxy::NoProxy;
use crate::config::model::{ProxyChoice, ProxyProtocol, ProxyServer};
use crate::config::parse_proxy;

/// What a job's `proxy` comes to.
#[derive(Debug)]
pub enum Proxies {
    Bypass,
    One(ProxyServer),
    Environment {
        https: Option<ProxyServer>,
        http: Option<ProxyServer>,
        except: NoProxy,
    },
}

/// A variable of the environment that names no proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongVariable {
    pub name: &'static str,
    /// Cause and cure, without the value and the password that may be in it.
    pub cause: &'static str,
}

impl Proxies {
    /// # Errors
    /// A variable of the environment that counts is not usable.
    pub fn new(choice: &ProxyChoice) -> Result<Proxies, WrongVariable> {
        match choice {
            ProxyChoice::Bypass => Ok(Proxies::Bypass),
            ProxyChoice::Server(server) => Ok(Proxies::One(server.clone())),
            ProxyChoice::Environment => from_environment(&|name| std::env::var(name).ok()),
        }
    }

    /// `host` as it stands in a URL.
    pub fn to(&self, tls: bool, host: &str, port: u16) -> Option<&ProxyServer> {
        match self {
            Proxies::Bypass => None,
            Proxies::One(server) => Some(server),
            Proxies::Environment { except, .. } if except.covers(host, port) => None,
            Proxies::Environment { https, .. } if tls => https.as_ref(),
            Proxies::Environment { http, .. } => http.as_ref(),
        }
    }

    /// Whether one of them may want TLS for itself.
    pub fn speak_tls(&self) -> bool {
        let known = match self {
            Proxies::Bypass => [None, None],
            Proxies::One(server) => [Some(server), None],
            Proxies::Environment { https, http, .. } => [https.as_ref(), http.as_ref()],
        };
        known
            .into_iter()
            .flatten()
            .any(|server| server.protocol == ProxyProtocol::Https)
    }
}

type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

fn from_environment(get: Environment<'_>) -> Result<Proxies, WrongVariable> {
    let all = ["all_proxy", "ALL_PROXY"];
    let proxy = |own: [&'static str; 2]| match first(get, &[own[0], own[1], all[0], all[1]]) {
        None => Ok(None),
        Some((name, value)) => proxy(&value)
            .map(Some)
            .map_err(|cause| WrongVariable { name, cause }),
    };
    let except = first(get, &["no_proxy", "NO_PROXY"]);
    Ok(Proxies::Environment {
        https: proxy(["https_proxy", "HTTPS_PROXY"])?,
        http: proxy(["http_proxy", "HTTP_PROXY"])?,
        except: except.map_or_else(NoProxy::default, |(_, list)| NoProxy::parse(&list)),
    })
}

/// The first of the variables that is not empty.
fn first(get: Environment<'_>, names: &[&'static str]) -> Option<(&'static str, String)> {
    names.iter().find_map(|name| {
        let value = get(name)?.trim().to_owned();
        (!value.is_empty()).then_some((*name, value))
    })
}

/// As everywhere in the environment, `proxy:3128` is a URL as well.
fn proxy(value: &str) -> Result<ProxyServer, &'static str> {
    if value.contains("://") {
        parse_proxy(value)
    } else {
        parse_proxy(&format!("http://{value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Result<Proxies, WrongVariable> {
        from_environment(&|name| {
            let found = pairs.iter().find(|(known, _)| *known == name)?;
            Some(found.1.to_owned())
        })
    }

    #[test]
    fn the_environment_leads_each_scheme_through_its_own_proxy() {
        type Variables = &'static [(&'static str, &'static str)];
        let cases: &[(Variables, &str, &str)] = &[
            // variables, proxy for https, proxy for http
            (&[], "-", "-"),
            (&[("https_proxy", "http://a:1")], "http://a:1", "-"),
            (&[("HTTPS_PROXY", "http://a:1")], "http://a:1", "-"),
            (&[("http_proxy", "a:1")], "-", "http://a:1"),
            (&[("HTTP_PROXY", " a:1 ")], "-", "http://a:1"),
            (
                &[("ALL_PROXY", "socks5h://a")],
                "socks5h://a:1080",
                "socks5h://a:1080",
            ),
            (
                &[("all_proxy", "b:2"), ("https_proxy", "")],
                "http://b:2",
                "http://b:2",
            ),
            (
                &[("all_proxy", "b:2"), ("https_proxy", "u:p@a:1")],
                "http://a:1",
                "http://b:2",
            ),
            (
                &[("https_proxy", "a:1"), ("HTTPS_PROXY", "b:2")],
                "http://a:1",
                "-",
            ),
            (
                &[("all_proxy", "b:2"), ("no_proxy", "s3.example.com")],
                "-",
                "-",
            ),
            (
                &[("all_proxy", "b:2"), ("NO_PROXY", "x, s3.example.com:443")],
                "-",
                "http://b:2",
            ),
        ];
        let shown = |proxy: Option<&ProxyServer>| proxy.map_or("-".into(), ToString::to_string);
        for (variables, https, http) in cases {
            let proxies = environment(variables).unwrap();
            let host = "s3.example.com";
            assert_eq!(shown(proxies.to(true, host, 443)), *https, "{variables:?}");
            assert_eq!(shown(proxies.to(false, host, 80)), *http, "{variables:?}");
        }
    }

    #[test]
    fn a_variable_that_is_no_proxy_is_named_without_its_value() {
        let cases = [
            ("https_proxy", "ftp://secret@a:1"),
            ("HTTP_PROXY", "http://a:1/path"),
            ("ALL_PROXY", "socks4://a:1"),
            ("all_proxy", "http://u:p@ss@a"),
        ];
        for (name, value) in cases {
            let error = environment(&[(name, value)]).unwrap_err();
            assert_eq!(error.name, name);
            assert!(!error.cause.contains("secret"));
        }
    }
}
