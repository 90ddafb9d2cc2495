use super::*;
use crate::transport::Stopped;

#[test]
fn an_answer_is_judged_by_its_code_and_else_by_its_status() {
    let cases = [
        (
            503,
            "<Error><Code>SlowDown</Code></Error>",
            Class::Throttled,
        ),
        (500, "", Class::Temporary),
        (
            403,
            "<Error><Code>SignatureDoesNotMatch</Code></Error>",
            Class::Credentials,
        ),
        (403, "", Class::Blocked),
        (
            403,
            "<Error><Code>RequestTimeTooSkewed</Code></Error>",
            Class::Clock,
        ),
        (
            404,
            "<Error><Code>NoSuchBucket</Code></Error>",
            Class::Blocked,
        ),
        (
            400,
            "<Error><Code>KeyTooLongError</Code></Error>",
            Class::ThisFile,
        ),
        (
            400,
            "<Error><Code>NeverHeardOf</Code></Error>",
            Class::ThisFile,
        ),
        (301, "", Class::Blocked),
        (
            200,
            "<Error><Code>InternalError</Code></Error>",
            Class::Temporary,
        ),
        (
            200,
            "<Error><Code>NeverHeardOf</Code></Error>",
            Class::Temporary,
        ),
        (200, "surprise", Class::Temporary),
    ];
    for (status, body, class) in cases {
        let failure = from_answer(
            "PutObject",
            status,
            &http::HeaderMap::new(),
            body.as_bytes(),
        );
        assert_eq!(failure.class, class, "{status} {body}");
    }
}

#[test]
fn transport_errors_are_named_through_their_wrapping() {
    let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
    let cases = [
        (reset(), Class::Connection, "ConnectionReset"),
        (
            io::Error::other(reset()),
            Class::Connection,
            "ConnectionReset",
        ),
        (
            io::Error::other(ureq::Error::HostNotFound),
            Class::Connection,
            "HostNotFound",
        ),
        (io::Error::other(Stopped), Class::Stopped, "Stopped"),
        (
            io::Error::other(rustls::Error::InvalidCertificate(
                rustls::CertificateError::UnknownIssuer,
            )),
            Class::Connection,
            "CertificateUnknownIssuer",
        ),
    ];
    for (error, class, code) in cases {
        let failure = from_transport("PutObject", &error);
        assert_eq!(
            (failure.class, failure.code.as_deref()),
            (class, Some(code))
        );
    }
}

#[test]
fn what_a_server_says_is_bounded_and_one_line() {
    let body = format!(
        "<Error><Code>X</Code><Message>a\nb{}</Message></Error>",
        "c".repeat(5000)
    );
    let failure = from_answer("PutObject", 400, &http::HeaderMap::new(), body.as_bytes());
    assert!(failure.message.chars().count() < 310);
    assert!(failure.message.starts_with("a bc"));

    let long = "c".repeat(5000);
    let body = format!("<Error><Code>{long}</Code><Region>{long}</Region></Error>");
    let failure = from_answer("PutObject", 400, &http::HeaderMap::new(), body.as_bytes());
    for word in [failure.code, failure.region] {
        assert!(word.is_some_and(|word| word.chars().count() < 110));
    }
}
