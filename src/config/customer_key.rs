//! The key of SSE-C: `object.customer_key`.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::fields::{Field, Reported};
use super::model::CustomerKey;
use super::secrets::Kind;

/// 32 bytes as they are, or in base64. Neither form can be mistaken for the other, which is longer.
pub(super) fn read(field: &Field<'_>) -> Result<CustomerKey, Reported> {
    if field.as_text().is_some() {
        field.is_written_secret();
    }
    let bytes = field.resolved_bytes(Kind::Secret)?;
    key(&bytes).map(CustomerKey::new).ok_or_else(|| {
        field.problem(format!(
            "the key has {} bytes; give 32, as they are or in base64: `openssl rand -base64 32` makes some",
            bytes.len()
        ))
    })
}

fn key(bytes: &[u8]) -> Option<[u8; 32]> {
    bytes.try_into().ok().or_else(|| {
        BASE64_STANDARD
            .decode(bytes.trim_ascii_end())
            .ok()?
            .try_into()
            .ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_32_bytes_or_their_base64() {
        let base64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let counted: [u8; 32] = std::array::from_fn(|index| index as u8);
        let cases: &[(&[u8], Option<[u8; 32]>)] = &[
            (base64.as_bytes(), Some(counted)),
            (&[base64.as_bytes(), b"\n"].concat(), Some(counted)),
            (&counted, Some(counted)),
            (
                b"exactly thirty-two bytes, as is\n",
                Some(*b"exactly thirty-two bytes, as is\n"),
            ),
            (&[base64.as_bytes(), b"A"].concat(), None),
            (b"c2hvcnQ=", None),
            (b"", None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(key(bytes), *expected, "{bytes:?}");
        }
    }
}
