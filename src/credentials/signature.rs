//! Signature Version 4 for a form that is posted to the root of a service.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use hmac::{Hmac, Mac};
use sha2::Sha256;
use time::OffsetDateTime;
use time::macros::format_description;

use super::Keys;
use crate::s3::signing_key::derive;
use crate::upload::hash::{hex, sha256_hex};

pub(super) const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";

/// For whom a form is signed.
pub(super) struct Scope<'a> {
    pub service: &'a str,
    pub region: &'a str,
    /// With its port, unless that is the scheme's own.
    pub host: &'a str,
}

/// The headers of a signed request, but for `host`, which the transport writes.
pub(super) struct Signed {
    pub date: String,
    pub authorization: String,
}

/// Signs `form` for the time `at`; a session token is signed as `x-amz-security-token`.
pub(super) fn sign(keys: &Keys, scope: &Scope<'_>, form: &str, at: OffsetDateTime) -> Signed {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    // A calendar date always has these parts.
    let date = at
        .to_offset(time::UtcOffset::UTC)
        .format(format)
        .unwrap_or_default();
    let day = date.get(..8).unwrap_or_default();
    let mut headers = format!(
        "content-type:{CONTENT_TYPE}\nhost:{}\nx-amz-date:{date}\n",
        scope.host
    );
    let mut names = "content-type;host;x-amz-date".to_owned();
    if let Some(token) = &keys.session_token {
        headers += &format!("x-amz-security-token:{}\n", token.expose());
        names += ";x-amz-security-token";
    }
    let canonical = format!(
        "POST\n/\n\n{headers}\n{names}\n{}",
        sha256_hex(form.as_bytes())
    );
    let place = format!("{day}/{}/{}/aws4_request", scope.region, scope.service);
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{date}\n{place}\n{}",
        sha256_hex(canonical.as_bytes())
    );
    let signature = derive(keys.secret_key.expose(), day, scope.region, scope.service)
        .and_then(|key| Hmac::<Sha256>::new_from_slice(&key))
        .map(|mut mac| {
            mac.update(to_sign.as_bytes());
            hex(&mac.finalize().into_bytes())
        })
        // HMAC takes keys of every length.
        .unwrap_or_default();
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{place}, SignedHeaders={names}, Signature={signature}",
        keys.access_key
    );
    Signed {
        date,
        authorization,
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::config::model::Secret;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    fn check(
        keys: (&str, &str, Option<&str>),
        scope: &Scope<'_>,
        form: &str,
        at: OffsetDateTime,
        expected: &str,
    ) {
        let keys = Keys {
            access_key: keys.0.to_owned(),
            secret_key: Secret::new(keys.1),
            session_token: keys.2.map(Secret::new),
        };
        let signed = sign(&keys, scope, form, at);
        let found = signed.authorization.rsplit_once("Signature=").unwrap().1;
        assert_eq!(found, expected, "{}", signed.authorization);
    }

    /// `post-x-www-form-urlencoded` of AWS's test suite for Signature Version 4.
    #[test]
    fn the_signature_is_the_one_of_awss_test_suite() {
        let scope = Scope {
            service: "service",
            region: "us-east-1",
            host: "example.amazonaws.com",
        };
        check(
            ("AKIDEXAMPLE", SECRET, None),
            &scope,
            "Param1=value1",
            datetime!(2015-08-30 12:36 UTC),
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        );
    }

    /// What botocore 1.43 signs for the same requests.
    #[test]
    fn requests_to_sts_are_signed_as_botocore_signs_them() {
        let at = datetime!(2026-11-22 6:06:07 +1);
        let token = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";
        let place = |region, host| Scope {
            service: "sts",
            region,
            host,
        };
        check(
            ("AKIDEXAMPLE", SECRET, None),
            &place("us-east-1", "sts.us-east-1.amazonaws.com"),
            "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fdemo&RoleSessionName=s3ferry-box",
            at,
            "e074f9c1adaea2dd92622f803e7441fba95b7eb9ee28e7fbb5f471ef338be696",
        );
        check(
            ("ASIAEXAMPLE", SECRET, Some(token)),
            &place("cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
            "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws-cn%3Aiam%3A%3A123456789012%3Arole%2Fa+b&RoleSessionName=x&ExternalId=e%3D1&DurationSeconds=900",
            at,
            "f808c9e1826f738f9b77e00eb090e0f4ebcb26d4e6a717c2f114ad375e46c520",
        );
        check(
            ("AKIDEXAMPLE", "secret", Some("token")),
            &place("eu-west-2", "127.0.0.1:4566"),
            "Action=AssumeRole",
            at,
            "ba15157979b8bbabcced7df4a52da011285450715cea0d6ab770b099c77028ad",
        );
    }
}
