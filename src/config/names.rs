//! What a bucket, a region, a host and a prefix may look like. Pure checks; each
//! error is the cause and the cure, to be put after the value.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Whose rules hold for a bucket's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    Aws,
    /// Other stores also allow upper case and `_`.
    Other,
}

pub(super) fn check_bucket(name: &str, store: Store) -> Result<(), &'static str> {
    let allowed = |byte: u8| match byte {
        b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' => true,
        b'A'..=b'Z' | b'_' => store == Store::Other,
        _ => false,
    };
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    if !(3..=63).contains(&name.len()) {
        Err("is not a bucket's name; it has 3 to 63 characters")
    } else if !name.bytes().all(allowed) {
        Err(match store {
            Store::Aws => "is not a bucket's name; use lower case letters, digits, `.` and `-`",
            Store::Other => "is not a bucket's name; use letters, digits, `.`, `-` and `_`",
        })
    } else if !edge(name.bytes().next()) || !edge(name.bytes().last()) {
        Err("is not a bucket's name; it begins and ends with a letter or a digit")
    } else if name.contains("..") {
        Err("is not a bucket's name; two dots never stand side by side")
    } else if name.parse::<Ipv4Addr>().is_ok() {
        Err("is an IP address; name the bucket")
    } else if store == Store::Aws && name.ends_with("--x-s3") {
        Err(
            "is a directory bucket of S3 Express, which s3ferry does not speak to; use a general purpose bucket",
        )
    } else {
        Ok(())
    }
}

pub(super) fn check_region(region: &str, store: Store) -> Result<(), &'static str> {
    let characters = region
        .bytes()
        .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if region.is_empty() || region.len() > 64 || !characters {
        return Err("is not a region; use lower case letters, digits and `-`, like `eu-west-2`");
    }
    if store == Store::Aws && !is_aws_region(region) {
        return Err("is not a region of AWS; write it like `eu-west-2`");
    }
    Ok(())
}

pub(crate) const ROLE_FORM: &str = "write it like `arn:aws:iam::123456789012:role/s3ferry`";

/// `arn:PARTITION:iam::ACCOUNT:role/PATH/NAME`. Other stores have ARNs of their own make.
pub(crate) fn is_role_arn(text: &str, store: Store) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    if store == Store::Other {
        return parts.len() > 1 && parts[0] == "arn" && text.bytes().all(|b| b.is_ascii_graphic());
    }
    let ["arn", partition, "iam", "", account, resource] = parts[..] else {
        return false;
    };
    let in_partition = partition == "aws" || partition.starts_with("aws-");
    let in_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let name = resource
        .strip_prefix("role/")
        .and_then(|path| path.rsplit('/').next());
    let named = name.is_some_and(|name| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
        (1..=64).contains(&name.len()) && name.bytes().all(allowed)
    });
    let visible = resource.bytes().all(|byte| byte.is_ascii_graphic());
    in_partition && in_account && named && visible
}

/// `eu-west-2`, `us-gov-east-1`: words, then a number.
pub(crate) fn is_aws_region(region: &str) -> bool {
    let mut parts = region.rsplit('-');
    let number = parts.next().unwrap_or("");
    let words: Vec<&str> = parts.collect();
    !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && words.len() >= 2
        && words
            .iter()
            .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()))
}

/// An ASCII host name, an IPv4 address, or an IPv6 address in brackets.
pub(super) fn check_host(host: &str) -> Result<(), &'static str> {
    if host.contains(':') && host.contains('%') {
        return Err(
            "is an IPv6 address with a zone, which is not supported; give a name, or an address that needs none",
        );
    }
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner.strip_suffix(']').map(str::parse::<Ipv6Addr>);
        return match address {
            Some(Ok(_)) => Ok(()),
            _ => Err("is not an IPv6 address in brackets; write it like `[2001:db8::1]`"),
        };
    }
    if host.parse::<Ipv6Addr>().is_ok() {
        return Err("is an IPv6 address without brackets; write it like `[2001:db8::1]`");
    }
    if host.contains("://") || host.contains('/') {
        return Err("is not a host alone; leave out the scheme and the path, or use `endpoint`");
    }
    if host.contains(':') {
        return Err("is not a host alone; put the port into `port`");
    }
    let labels = host.split('.').all(is_label);
    // A last label of digits alone is an address or a mistake, never a name.
    let numeric = host
        .rsplit('.')
        .next()
        .is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    if !labels || host.len() > 253 || numeric && host.parse::<Ipv4Addr>().is_err() {
        return Err("is not a host; write a name like `s3.example.com` or an address");
    }
    Ok(())
}

pub(super) fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok()
}

fn is_label(label: &str) -> bool {
    let characters = label
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    (1..=63).contains(&label.len())
        && characters
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// What stands in front of every key; may be empty.
pub(super) fn check_prefix(prefix: &str) -> Result<(), &'static str> {
    let folders = prefix.strip_suffix('/').unwrap_or(prefix);
    if prefix.is_empty() {
        Ok(())
    } else if prefix.starts_with('/') {
        Err("begins with `/`; leave it out, keys have none")
    } else if prefix.len() > 1000 {
        Err("is longer than 1000 bytes; a key has room for 1024")
    } else if folders.split('/').any(|segment| segment.is_empty()) {
        Err("has an empty segment; write a single `/`")
    } else if folders
        .split('/')
        .any(|segment| matches!(segment, "." | ".."))
    {
        Err("has a segment `.` or `..`; leave it out, keys are no paths")
    } else {
        Ok(())
    }
}

/// The name of a job: it stands in records and on the command line.
pub(super) fn check_job_name(name: &str) -> Result<(), &'static str> {
    let characters = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    if !(1..=64).contains(&name.len()) || !characters || matches!(name, "." | "..") {
        return Err("is not a job's name; use 1 to 64 letters, digits, `.`, `_` and `-`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `wrong` is a word of the error, or empty where the value is right.
    fn check(what: &str, result: Result<(), &'static str>, wrong: &str) {
        match result {
            Ok(()) => assert_eq!(wrong, "", "{what} was taken"),
            Err(error) => assert!(
                !wrong.is_empty() && error.contains(wrong),
                "{what}: {error}"
            ),
        }
    }

    #[test]
    fn buckets_follow_the_rules_of_their_store() {
        let long = "a".repeat(64);
        let cases = [
            ("mybucket", Store::Aws, ""),
            ("my.bucket-1", Store::Aws, ""),
            ("abc", Store::Aws, ""),
            (&long[..63], Store::Aws, ""),
            (&long, Store::Aws, "3 to 63"),
            ("ab", Store::Aws, "3 to 63"),
            ("MyBucket", Store::Aws, "lower case"),
            ("my_bucket", Store::Aws, "lower case"),
            ("My_Bucket", Store::Other, ""),
            ("my bucket", Store::Other, "letters"),
            ("my/bucket", Store::Other, "letters"),
            ("-bucket", Store::Aws, "begins"),
            ("bucket.", Store::Aws, "begins"),
            ("my..bucket", Store::Aws, "two dots"),
            ("192.168.0.1", Store::Other, "IP address"),
            ("point-a1b2c3d4metadata-s3alias", Store::Aws, ""),
            ("logs--use1-az4--x-s3", Store::Aws, "directory bucket"),
        ];
        for (name, store, wrong) in cases {
            check(name, check_bucket(name, store), wrong);
        }
    }

    #[test]
    fn roles_of_aws_have_a_partition_an_account_and_a_name() {
        let cases = [
            ("arn:aws:iam::123456789012:role/s3ferry", true, true),
            (
                "arn:aws-us-gov:iam::123456789012:role/a/b+=,.@-_c",
                true,
                true,
            ),
            ("arn:minio:iam:::role/site", false, true),
            ("arn:xxx:xxx:xxx:xxxx", false, true),
            ("s3ferry", false, false),
            ("arn", false, false),
            ("arn:aws:iam::123456789012:user/s3ferry", false, true),
            ("arn:aws:iam::123456789012:role/", false, true),
            ("arn:aws:iam::123456789012:role/a b", false, false),
            ("arn:aws:iam::12345678901:role/a", false, true),
            ("arn:aws:iam:eu-west-2:123456789012:role/a", false, true),
            ("arn:aws:sts::123456789012:assumed-role/a/b", false, true),
        ];
        for (text, aws, other) in cases {
            let found = (
                is_role_arn(text, Store::Aws),
                is_role_arn(text, Store::Other),
            );
            assert_eq!(found, (aws, other), "{text}");
        }
    }

    #[test]
    fn regions_of_aws_have_words_and_a_number() {
        let cases = [
            ("eu-west-2", Store::Aws, ""),
            ("us-gov-east-1", Store::Aws, ""),
            ("eu-west", Store::Aws, "AWS"),
            ("euwest2", Store::Aws, "AWS"),
            ("eu-west2", Store::Aws, "AWS"),
            ("auto", Store::Other, ""),
            ("fr-par", Store::Other, ""),
            ("", Store::Other, "lower case"),
            ("EU-WEST-2", Store::Other, "lower case"),
            ("eu.west", Store::Other, "lower case"),
        ];
        for (region, store, wrong) in cases {
            check(region, check_region(region, store), wrong);
        }
    }

    #[test]
    fn hosts_are_names_or_addresses() {
        let cases = [
            ("s3.example.com", ""),
            ("minio", ""),
            ("my_minio", ""),
            ("127.0.0.1", ""),
            ("[::1]", ""),
            ("::1", "without brackets"),
            ("[::1", "in brackets"),
            ("[x]", "in brackets"),
            ("https://a.b", "endpoint"),
            ("a.b/c", "endpoint"),
            ("a.b:443", "port"),
            ("300.1.1.1", "not a host"),
            ("a..b", "not a host"),
            ("a.b.", "not a host"),
            ("-a.b", "not a host"),
            ("a b", "not a host"),
            ("bücher.de", "not a host"),
            ("user@host", "not a host"),
            ("", "not a host"),
        ];
        for (host, wrong) in cases {
            check(host, check_host(host), wrong);
        }
    }

    #[test]
    fn prefixes_are_the_beginning_of_a_key() {
        let long = "a".repeat(1001);
        let cases = [
            ("", ""),
            ("site-7/", ""),
            ("a/b/c", ""),
            (&long[..1000], ""),
            (&long, "1000 bytes"),
            ("/a", "begins with"),
            ("/", "begins with"),
            ("a//b", "empty segment"),
            ("a//", "empty segment"),
            ("a/../b", "`..`"),
            ("./", "`..`"),
        ];
        for (prefix, wrong) in cases {
            check(prefix, check_prefix(prefix), wrong);
        }
    }
}
