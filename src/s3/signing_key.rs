//! The key that a day's requests are signed with, derived once and kept: four HMACs less a request.
//!
//! Signature Version 4's derivation, see
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.

use std::cell::RefCell;

use hmac::digest::InvalidLength;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::config::model::Secret;

/// The last derived key and what it was derived from.
#[derive(Debug, Default)]
pub struct SigningKeys(RefCell<Option<Derived>>);

#[derive(Debug)]
struct Derived {
    secret: Secret,
    /// `20151231`
    date: String,
    region: String,
    key: Secret256,
}

/// A key that does not print.
#[derive(Clone, Copy)]
struct Secret256([u8; 32]);

impl std::fmt::Debug for Secret256 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret256(…)")
    }
}

impl SigningKeys {
    /// The key for S3 requests of `date` (`20151231`) in `region`.
    pub fn for_s3(
        &self,
        secret: &str,
        date: &str,
        region: &str,
    ) -> Result<[u8; 32], InvalidLength> {
        let mut kept = self.0.borrow_mut();
        if let Some(derived) = &*kept
            && derived.secret.expose() == secret
            && derived.date == date
            && derived.region == region
        {
            return Ok(derived.key.0);
        }
        let key = derive(secret, date, region, "s3")?;
        *kept = Some(Derived {
            secret: Secret::new(secret),
            date: date.to_owned(),
            region: region.to_owned(),
            key: Secret256(key),
        });
        Ok(key)
    }
}

/// The key for requests of `date` (`20151231`) to `service` in `region`.
pub(crate) fn derive(
    secret: &str,
    date: &str,
    region: &str,
    service: &str,
) -> Result<[u8; 32], InvalidLength> {
    let start = format!("AWS4{secret}");
    let mut key = keyed_hash(start.as_bytes(), date)?;
    for step in [region, service, "aws4_request"] {
        key = keyed_hash(&key, step)?;
    }
    Ok(key)
}

fn keyed_hash(key: &[u8], message: &str) -> Result<[u8; 32], InvalidLength> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)?;
    mac.update(message.as_bytes());
    Ok(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upload::hash::hex;

    /// AWS's documented example.
    #[test]
    fn the_key_is_the_one_that_aws_documents() {
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let key = derive(secret, "20150830", "us-east-1", "iam").unwrap();
        assert_eq!(
            hex(&key),
            "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
        );
    }

    #[test]
    fn a_kept_key_serves_only_what_it_was_derived_from() {
        let keys = SigningKeys::default();
        let base = ("secret", "20260101", "eu-west-2");
        let first = keys.for_s3(base.0, base.1, base.2).unwrap();
        assert_eq!(keys.for_s3(base.0, base.1, base.2).unwrap(), first);
        for (secret, date, region) in [
            ("other", base.1, base.2),
            (base.0, "20260102", base.2),
            (base.0, base.1, "us-east-1"),
        ] {
            let expected = derive(secret, date, region, "s3").unwrap();
            assert_eq!(keys.for_s3(secret, date, region).unwrap(), expected);
            assert_ne!(expected, first);
        }
        let shown = format!("{keys:?}");
        assert!(
            shown.contains("Secret256(…)") && !shown.contains("secret\""),
            "{shown}"
        );
    }
}
