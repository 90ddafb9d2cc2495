//! The way to the network: `proxy`, and the seed's `device_address`.

use percent_encoding::percent_decode_str;

use super::fields::{Field, Reported};
use super::model::{ProxyChoice, ProxyLogin, ProxyProtocol, ProxyServer, Secret};
use super::secrets::Kind;
use super::section::Section;
use super::url;
use super::wording::{nearest, quoted};

const WORDS: &[&str] = &["environment", "bypass"];

const PROTOCOLS: &[ProxyProtocol] = &[
    ProxyProtocol::Http,
    ProxyProtocol::Https,
    ProxyProtocol::Socks5,
    ProxyProtocol::Socks5h,
];

/// The longest user and the longest password that SOCKS5 can carry (RFC 1929), in bytes.
const LOGIN_LIMIT: usize = 255;

pub(super) fn read(job: &Section<'_>) -> Result<ProxyChoice, Reported> {
    let proxy = job.optional("proxy", proxy);
    let bypass = job.read("device_address", false, bypasses);
    let (proxy, bypass) = (proxy?, bypass?);
    match (proxy, job.get("device_address")) {
        (Some(chosen), Some(field)) if bypass && chosen != ProxyChoice::Bypass => {
            Err(field.problem("`BypassProxy` contradicts `proxy`; leave one of the two out"))
        }
        (Some(chosen), _) => Ok(chosen),
        (None, _) if bypass => Ok(ProxyChoice::Bypass),
        (None, _) => Ok(ProxyChoice::Environment),
    }
}

/// The element's bus address is of use for one word only.
fn bypasses(field: &Field<'_>) -> Result<bool, Reported> {
    let text = field.text()?;
    if text.is_empty() || text.eq_ignore_ascii_case("BypassProxy") {
        return Ok(!text.is_empty());
    }
    Err(field.problem(format!(
        "{} is not understood; the one known value is `BypassProxy`",
        quoted(text)
    )))
}

/// Never shows the value, for the password that may be in it.
fn proxy(field: &Field<'_>) -> Result<ProxyChoice, Reported> {
    let text = field.resolved(Kind::Secret)?;
    match text.value.as_str() {
        "environment" => return Ok(ProxyChoice::Environment),
        "bypass" => return Ok(ProxyChoice::Bypass),
        _ => {}
    }
    if !text.value.contains("://") {
        let cure = match nearest(&text.value, WORDS) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "use `environment`, `bypass` or `http://user:password@host:port`".to_string(),
        };
        return Err(field.problem(format!("this is no proxy; {cure}")));
    }
    let server =
        parse(&text.value).map_err(|cause| field.problem(format!("the proxy's URL {cause}")))?;
    let has_password = server
        .login
        .as_ref()
        .is_some_and(|login| !login.password.expose().is_empty());
    if has_password && field.as_text().is_some() {
        field.is_written_secret();
    }
    Ok(ProxyChoice::Server(server))
}

/// The proxy that a URL names. Errors are the cause and the cure, without the URL and what may be
/// secret in it.
pub fn parse(text: &str) -> Result<ProxyServer, &'static str> {
    let url = url::split(text)?;
    let protocol = PROTOCOLS
        .iter()
        .find(|known| known.scheme() == url.scheme)
        .ok_or(match url.scheme.as_str() {
            "socks" | "socks4" | "socks4a" => {
                "asks for SOCKS4, which knows no password and no IPv6; use `socks5h://`"
            }
            _ => "has an unknown scheme; use `http://`, `https://`, `socks5h://` or `socks5://`",
        })?;
    if !matches!(url.path, "" | "/") {
        return Err("has a path; leave it out");
    }
    Ok(ProxyServer {
        protocol: *protocol,
        host: url.host.to_ascii_lowercase(),
        port: url.port.unwrap_or(protocol.usual_port()),
        login: url.user.map(login).transpose()?,
    })
}

/// `user` or `user:password`, percent-encoded.
fn login(text: &str) -> Result<ProxyLogin, &'static str> {
    if !is_user(text) {
        return Err(
            "has a character in its user or password that is not allowed there; percent-encode it, like `%40` for `@`",
        );
    }
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let decoded = |part| {
        let text = percent_decode_str(part).decode_utf8().ok()?.into_owned();
        (text.len() <= LOGIN_LIMIT && !text.chars().any(char::is_control)).then_some(text)
    };
    let wrong = "has a user or a password with control characters, bytes that are no UTF-8, or more than 255 bytes; correct it";
    let user = decoded(user).ok_or(wrong)?;
    // It ends the user where HTTP's proxies read both (RFC 7617).
    if user.contains(':') {
        return Err("has a `:` in its user, which no proxy understands; correct it");
    }
    Ok(ProxyLogin {
        user,
        password: Secret::new(decoded(password).ok_or(wrong)?),
    })
}

/// What RFC 3986 allows between `//` and `@`.
fn is_user(user: &str) -> bool {
    let bytes = user.as_bytes();
    bytes.iter().enumerate().all(|(at, byte)| match byte {
        b'%' => bytes
            .get(at + 1..at + 3)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)),
        other => other.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:".contains(other),
    })
}
