//! With which keys, and by which way.

use super::*;

#[test]
fn the_proxy_is_understood_in_all_its_forms() {
    let server = |protocol, host: &str, port, login: Option<(&str, &str)>| {
        ProxyChoice::Server(ProxyServer {
            protocol,
            host: host.to_string(),
            port,
            login: login.map(|(user, password)| ProxyLogin {
                user: user.to_string(),
                password: Secret::new(password),
            }),
        })
    };
    let cases = [
        ("", ProxyChoice::Environment),
        (r#""proxy": "environment""#, ProxyChoice::Environment),
        (
            r#""proxy": "environment", "device_address": """#,
            ProxyChoice::Environment,
        ),
        (r#""proxy": "bypass""#, ProxyChoice::Bypass),
        (r#""device_address": "bypassproxy""#, ProxyChoice::Bypass),
        (
            r#""device_address": "BypassProxy", "proxy": "bypass""#,
            ProxyChoice::Bypass,
        ),
        (
            r#""proxy": "http://proxy:3128""#,
            server(ProxyProtocol::Http, "proxy", 3128, None),
        ),
        (
            r#""proxy": "http://u:p%40w@[::1]:3128/""#,
            server(ProxyProtocol::Http, "[::1]", 3128, Some(("u", "p@w"))),
        ),
        (
            r#""proxy": "HTTPS://u:a:b@Proxy""#,
            server(ProxyProtocol::Https, "proxy", 443, Some(("u", "a:b"))),
        ),
        (
            r#""proxy": "http://u@proxy""#,
            server(ProxyProtocol::Http, "proxy", 80, Some(("u", ""))),
        ),
        (
            r#""proxy": "socks5://10.0.0.1""#,
            server(ProxyProtocol::Socks5, "10.0.0.1", 1080, None),
        ),
        (
            r#""proxy": "socks5h://u:p@proxy:9050""#,
            server(ProxyProtocol::Socks5h, "proxy", 9050, Some(("u", "p"))),
        ),
    ];
    for (fields, expected) in cases {
        assert_eq!(job_of(&with(fields)).proxy, expected, "{fields}");
    }
}

#[test]
fn a_wrong_proxy_is_told_with_its_cure() {
    let cases: &[(&str, &str)] = &[
        (
            r#""proxy": §"bypas""#,
            "§: proxy: this is no proxy; did you mean `bypass`?",
        ),
        (
            r#""proxy": §"proxy:3128""#,
            "§: proxy: this is no proxy; use `environment`, `bypass` or `http://user:password@host:port`",
        ),
        (
            r#""proxy": §"socks4a://proxy:1080""#,
            "§: proxy: the proxy's URL asks for SOCKS4, which knows no password and no IPv6; use `socks5h://`",
        ),
        (
            r#""proxy": §"ftp://proxy:1080""#,
            "§: proxy: the proxy's URL has an unknown scheme; use `http://`, `https://`, `socks5h://` or `socks5://`",
        ),
        (
            r#""proxy": §"http://u%3a:p@proxy:1""#,
            "§: proxy: the proxy's URL has a `:` in its user, which no proxy understands; correct it",
        ),
        (
            r#""proxy": §"http://u:p%0a@proxy:1""#,
            "§: proxy: the proxy's URL has a user or a password with control characters, bytes that are no UTF-8, or more than 255 bytes; correct it",
        ),
        (
            r#""proxy": §"http://proxy:0""#,
            "§: proxy: the proxy's URL has a wrong port; give 1 to 65535",
        ),
        (
            r#""proxy": §"http://proxy:1/x""#,
            "§: proxy: the proxy's URL has a path; leave it out",
        ),
        (
            r#""proxy": §"http://u:p@w@proxy:1""#,
            "§: proxy: the proxy's URL has a character in its user or password that is not allowed there; percent-encode it, like `%40` for `@`",
        ),
        (
            r#""device_address": §"17""#,
            "§: device_address: `17` is not understood; the one known value is `BypassProxy`",
        ),
        (
            r#""device_address": §"BypassProxy", "proxy": "environment""#,
            "§: device_address: `BypassProxy` contradicts `proxy`; leave one of the two out",
        ),
        (
            r#""device_address": §"BypassProxy", "proxy": "http://proxy:3128""#,
            "§: device_address: `BypassProxy` contradicts `proxy`; leave one of the two out",
        ),
    ];
    for (fields, expected) in cases {
        check(&with(fields), &[expected]);
    }
}

#[test]
fn jobs_without_a_name_are_numbered() {
    let text = format!(
        "{{\"jobs\": [{0}, {1}, {0}]}}",
        with(""),
        with("\"name\": \"x\"")
    );
    let config = parsed(&text).expect("it is right");
    let names: Vec<_> = config.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["job1", "x", "job3"]);
    assert_eq!(job_of(&with("")).name, "default");
}
