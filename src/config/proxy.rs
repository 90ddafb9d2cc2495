//! The way to the network: `proxy`, and the seed's `device_address`.

use super::fields::{Field, Reported};
use super::model::{ProxyChoice, Secret};
use super::secrets::Kind;
use super::section::Section;
use super::url;
use super::wording::{nearest, quoted, unavailable};

const WORDS: &[&str] = &["environment", "bypass"];

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
    let url = url::split(&text.value)
        .map_err(|cause| field.problem(format!("the proxy's URL {cause}")))?;
    check_scheme(field, &url.scheme)?;
    if !matches!(url.path, "" | "/") {
        return Err(field.problem("the proxy's URL has a path; leave it out"));
    }
    if !url.user.is_none_or(is_user) {
        return Err(field.problem(
            "the user or password in the proxy's URL has a character that is not allowed there; percent-encode it, like `%40` for `@`",
        ));
    }
    if url.user.is_some_and(|user| user.contains(':')) && field.as_text().is_some() {
        field.is_written_secret();
    }
    Ok(ProxyChoice::Url(Secret::new(text.value)))
}

fn check_scheme(field: &Field<'_>, scheme: &str) -> Result<(), Reported> {
    let known = ["https", "socks4", "socks4a", "socks5", "socks5h", "socks"];
    match known.iter().find(|name| **name == scheme) {
        _ if scheme == "http" => Ok(()),
        Some(name) => Err(field.problem(unavailable(
            &format!("{name}://…"),
            "use `http://host:port`, `environment` or `bypass`",
        ))),
        None => Err(field.problem("the proxy's URL has an unknown scheme; use `http://`")),
    }
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
