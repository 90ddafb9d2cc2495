//! What a host says about bucket and region: `<bucket>.s3.<region>.amazonaws.com`
//! and its relatives.

use super::names::{self, Store};
use super::wording::unavailable;

const AWS_SUFFIXES: &[&str] = &[".amazonaws.com.cn", ".amazonaws.com"];

/// Where an AWS host names no region, this one is meant.
pub(super) const DEFAULT_REGION: &str = "us-east-1";

/// Names of AWS that look like a region and are another kind of service.
const OTHER_SERVICES: &[&str] = &[
    "accelerate",
    "accesspoint",
    "control",
    "object-lambda",
    "outposts",
    "website",
];

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Host {
    /// `None`: the host does not name it.
    pub bucket: Option<String>,
    /// `None`: the host does not name it.
    pub region: Option<String>,
    /// The host without the bucket, in lower case.
    pub service: String,
    pub store: Store,
}

/// Takes a host apart that [`names::check_host`] has passed. Errors are sentences
/// about the host's form.
pub(super) fn understand(host: &str) -> Result<Host, String> {
    let lower = host.to_ascii_lowercase();
    let aws = AWS_SUFFIXES
        .iter()
        .find_map(|suffix| lower.strip_suffix(suffix));
    match aws {
        // A VPC's endpoint looks like a bucket's host, but names none.
        Some(head) if head.ends_with(".vpce") => Ok(unshaped(lower)),
        Some(head) => on_aws(host, &lower, head),
        None => Ok(elsewhere(host, lower)),
    }
}

/// `head` is what stands in front of the suffix.
fn on_aws(host: &str, lower: &str, head: &str) -> Result<Host, String> {
    let Some(start) = service_start(head) else {
        return Ok(unshaped(lower.to_string()));
    };
    let region = match region_of(&head[start + "s3".len()..]) {
        Ok(region) => region,
        Err(what) => {
            return Err(unavailable(
                what,
                "use `<bucket>.s3.<region>.amazonaws.com`",
            ));
        }
    };
    if let Some(region) = region {
        names::check_region(region, Store::Aws)
            .map_err(|cause| format!("{} {cause}", super::wording::quoted(region)))?;
    }
    Ok(Host {
        bucket: start.checked_sub(1).map(|dot| host[..dot].to_string()),
        region: region.map(str::to_string),
        service: lower[start..].to_string(),
        store: Store::Aws,
    })
}

/// Where the last label that is `s3` or begins with `s3-` starts; a bucket's own
/// name may hold such labels as well.
fn service_start(head: &str) -> Option<usize> {
    let mut end = head.len();
    for label in head.rsplit('.') {
        let start = end - label.len();
        if label == "s3" || label.starts_with("s3-") {
            return Some(start);
        }
        end = start.saturating_sub(1);
    }
    None
}

/// The region in what follows `s3`, or the name of a service that is another one.
fn region_of(tail: &str) -> Result<Option<&str>, &'static str> {
    let tail = tail.strip_prefix("-fips").unwrap_or(tail);
    let tail = tail.strip_prefix(".dualstack").unwrap_or(tail);
    let Some(region) = tail.get(1..) else {
        return Ok(None);
    };
    match OTHER_SERVICES.iter().find(|name| region.starts_with(*name)) {
        Some(other) => Err(other),
        None if region == "external-1" => Ok(None),
        None => Ok(Some(region)),
    }
}

/// Other stores: `<bucket>.s3.<region>.<anything>`, or any host.
fn elsewhere(host: &str, lower: String) -> Host {
    let shape = lower.rfind(".s3.").and_then(|dot| {
        let (region, rest) = lower[dot + ".s3.".len()..].split_once('.')?;
        let right = dot > 0 && !rest.is_empty() && !names::is_address(host);
        (right && names::check_region(region, Store::Other).is_ok())
            .then(|| (dot, region.to_string()))
    });
    match shape {
        None => unshaped(lower),
        Some((dot, region)) => Host {
            bucket: Some(host[..dot].to_string()),
            region: Some(region),
            service: lower[dot + 1..].to_string(),
            store: Store::Other,
        },
    }
}

fn unshaped(service: String) -> Host {
    Host {
        bucket: None,
        region: None,
        service,
        store: Store::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bucket, region and service, `-` for what the host does not name; or the error.
    fn check(host: &str, expected: &str) {
        let got = match understand(host) {
            Err(error) => error,
            Ok(host) => format!(
                "{} {} {} {:?}",
                host.bucket.as_deref().unwrap_or("-"),
                host.region.as_deref().unwrap_or("-"),
                host.service,
                host.store
            ),
        };
        assert_eq!(got, expected, "{host}");
    }

    #[test]
    fn every_form_of_an_aws_host_is_understood() {
        let cases = [
            (
                "mybucket.s3.eu-west-2.amazonaws.com",
                "mybucket eu-west-2 s3.eu-west-2.amazonaws.com Aws",
            ),
            (
                "mybucket.S3.EU-West-2.AmazonAWS.com",
                "mybucket eu-west-2 s3.eu-west-2.amazonaws.com Aws",
            ),
            (
                "mybucket.s3-eu-west-1.amazonaws.com",
                "mybucket eu-west-1 s3-eu-west-1.amazonaws.com Aws",
            ),
            (
                "mybucket.s3.amazonaws.com",
                "mybucket - s3.amazonaws.com Aws",
            ),
            (
                "mybucket.s3-external-1.amazonaws.com",
                "mybucket - s3-external-1.amazonaws.com Aws",
            ),
            (
                "mybucket.s3.dualstack.eu-west-2.amazonaws.com",
                "mybucket eu-west-2 s3.dualstack.eu-west-2.amazonaws.com Aws",
            ),
            (
                "mybucket.s3-fips.us-gov-west-1.amazonaws.com",
                "mybucket us-gov-west-1 s3-fips.us-gov-west-1.amazonaws.com Aws",
            ),
            (
                "mybucket.s3-fips.dualstack.us-east-2.amazonaws.com",
                "mybucket us-east-2 s3-fips.dualstack.us-east-2.amazonaws.com Aws",
            ),
            (
                "mybucket.s3-fips-us-gov-west-1.amazonaws.com",
                "mybucket us-gov-west-1 s3-fips-us-gov-west-1.amazonaws.com Aws",
            ),
            (
                "mybucket.s3.cn-north-1.amazonaws.com.cn",
                "mybucket cn-north-1 s3.cn-north-1.amazonaws.com.cn Aws",
            ),
            (
                "my.s3.bucket.s3.eu-west-2.amazonaws.com",
                "my.s3.bucket eu-west-2 s3.eu-west-2.amazonaws.com Aws",
            ),
            (
                "my.s3-data.s3.eu-west-2.amazonaws.com",
                "my.s3-data eu-west-2 s3.eu-west-2.amazonaws.com Aws",
            ),
            (
                "s3.eu-west-2.amazonaws.com",
                "- eu-west-2 s3.eu-west-2.amazonaws.com Aws",
            ),
            ("s3.amazonaws.com", "- - s3.amazonaws.com Aws"),
            (
                "mybucket.s3.eu.amazonaws.com",
                "`eu` is not a region of AWS; write it like `eu-west-2`",
            ),
            (
                "mybucket.s3-accelerate.amazonaws.com",
                "`accelerate` is not available in this version of s3ferry; use `<bucket>.s3.<region>.amazonaws.com`",
            ),
            (
                "mybucket.s3-website.eu-central-1.amazonaws.com",
                "`website` is not available in this version of s3ferry; use `<bucket>.s3.<region>.amazonaws.com`",
            ),
            (
                "bucket.vpce-1a.s3.us-east-1.vpce.amazonaws.com",
                "- - bucket.vpce-1a.s3.us-east-1.vpce.amazonaws.com Other",
            ),
            ("mybucket.amazonaws.com", "- - mybucket.amazonaws.com Other"),
        ];
        for (host, expected) in cases {
            check(host, expected);
        }
    }

    #[test]
    fn other_stores_are_understood_where_they_have_the_same_shape() {
        let cases = [
            (
                "Data.s3.fr-par.scw.cloud",
                "Data fr-par s3.fr-par.scw.cloud Other",
            ),
            (
                "a.b.s3.garage.example.com",
                "a.b garage s3.garage.example.com Other",
            ),
            ("s3.fr-par.scw.cloud", "- - s3.fr-par.scw.cloud Other"),
            ("data.s3.com", "- - data.s3.com Other"),
            ("minio.local", "- - minio.local Other"),
            ("127.0.0.1", "- - 127.0.0.1 Other"),
            ("[::1]", "- - [::1] Other"),
        ];
        for (host, expected) in cases {
            check(host, expected);
        }
    }
}
