//! The offset between our clock and the server's, learnt from `Date` headers.
//!
//! S3 refuses a signature that is more than 15 minutes off (`RequestTimeTooSkewed`), and an
//! appliance may believe that it is 1970.

use std::time::Duration as StdDuration;

use time::{Duration, OffsetDateTime, PrimitiveDateTime};

/// Below this, a refusal is not the clock's fault.
const MATTERS_FROM: Duration = Duration::minutes(4);
/// An answer that took longer says too little about when it was written.
const TRUSTED_WITHIN: StdDuration = StdDuration::from_secs(15 * 60);

/// What an answer says about the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateSeen {
    /// The server's clock minus ours.
    pub skew: Duration,
}

/// Reads the skew out of an answer's `Date`. `sent_at` is our wall clock when the request went out,
/// `elapsed` the monotonic time until the answer came. `age`: an `Age` header was there, so a cache
/// answered and the date is an old one.
pub fn observe(
    date: Option<&str>,
    age: bool,
    sent_at: OffsetDateTime,
    elapsed: StdDuration,
) -> Option<DateSeen> {
    if age || elapsed > TRUSTED_WITHIN {
        return None;
    }
    let server = parse_http_date(date?)?;
    let midpoint = sent_at + elapsed / 2;
    Some(DateSeen {
        skew: server - midpoint,
    })
}

/// Whether a refusal with `code` is explained by a skew of `skew` against the offset in use.
pub fn explains(code: &str, skew: Duration, offset: Duration) -> bool {
    matches!(
        code,
        "RequestTimeTooSkewed"
            | "SignatureDoesNotMatch"
            | "InvalidSignatureException"
            | "AuthFailure"
            | "AccessDenied"
    ) && (skew - offset).abs() > MATTERS_FROM
}

/// RFC 9110's preferred form: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn parse_http_date(text: &str) -> Option<OffsetDateTime> {
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    PrimitiveDateTime::parse(text.trim(), format)
        .ok()
        .map(PrimitiveDateTime::assume_utc)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn the_skew_is_measured_against_the_middle_of_the_exchange() {
        let sent = datetime!(1994-11-06 08:49:30 UTC);
        let cases = [
            (Some("Sun, 06 Nov 1994 08:49:37 GMT"), false, 4, Some(5)),
            (Some("Sun, 06 Nov 1994 07:49:30 GMT"), false, 0, Some(-3600)),
            (Some("Sun, 06 Nov 1994 08:49:37 GMT"), true, 4, None),
            (Some("Sun, 06 Nov 1994 08:49:37 GMT"), false, 901, None),
            (Some("yesterday"), false, 0, None),
            (None, false, 0, None),
        ];
        for (date, age, elapsed, expected) in cases {
            let seen = observe(date, age, sent, StdDuration::from_secs(elapsed));
            assert_eq!(
                seen.map(|seen| seen.skew.whole_seconds()),
                expected,
                "{date:?}"
            );
        }
    }

    #[test]
    fn only_a_large_skew_against_the_offset_in_use_explains_a_refusal() {
        let hour = Duration::HOUR;
        assert!(explains("RequestTimeTooSkewed", hour, Duration::ZERO));
        assert!(explains("AccessDenied", -hour, Duration::ZERO));
        assert!(!explains("RequestTimeTooSkewed", hour, hour));
        assert!(!explains("NoSuchBucket", hour, Duration::ZERO));
        assert!(!explains("AccessDenied", Duration::MINUTE, Duration::ZERO));
    }

    proptest::proptest! {
        #[test]
        fn a_date_of_any_text_does_not_panic(
            text in "([A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{1,6} [0-9:]{4,9} GMT)|.{0,40}",
            seconds in -300_000_000_000_i64..250_000_000_000,
        ) {
            let sent = OffsetDateTime::from_unix_timestamp(seconds).unwrap();
            let _ = observe(Some(&text), false, sent, StdDuration::from_secs(1));
        }
    }
}
