//! What a host says about bucket and region: `<bucket>.s3.<region>.amazonaws.com`
//! and its relatives.

use super::aws::{DOMAINS, domain};
use super::model::{HostForm, RegionRule};
use super::names::{self, Store};
use super::wording::{quoted, unavailable};

/// Where an AWS host names no region, this one is meant, mostly.
pub(super) const DEFAULT_REGION: &str = "us-east-1";

/// Names of AWS that look like a region and are another kind of service.
const OTHER_SERVICES: &[&str] = &["control", "global", "object-lambda", "outposts", "website"];

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Host {
    /// `None`: the host does not name it.
    pub bucket: Option<String>,
    /// `None`: the host does not name it.
    pub region: Option<String>,
    /// What is meant where it does not.
    pub usual_region: &'static str,
    /// The host without the bucket, in lower case.
    pub service: String,
    pub store: Store,
    pub region_rule: RegionRule,
    /// The bucket has to be a part of the host: access points, acceleration.
    pub virtual_only: bool,
}

/// Takes a host apart that [`names::check_host`] has passed. Errors are sentences
/// about the host's form.
pub(super) fn understand(host: &str) -> Result<Host, String> {
    let lower = host.to_ascii_lowercase();
    let aws = DOMAINS.iter().find_map(|(suffix, usual_region)| {
        let head = lower.strip_suffix(suffix)?.strip_suffix('.')?;
        Some((head, *suffix, *usual_region))
    });
    match aws {
        Some((head, suffix, usual_region)) => on_aws(host, &lower, head, suffix, usual_region),
        None => Ok(elsewhere(host, lower)),
    }
}

/// `head` is what stands in front of the suffix.
fn on_aws(
    host: &str,
    lower: &str,
    head: &str,
    suffix: &str,
    usual_region: &'static str,
) -> Result<Host, String> {
    // A VPC's endpoint looks like a bucket's host, but names none.
    if let Some(region) = head.strip_suffix(".vpce") {
        let region = region
            .rsplit_once(".s3.")
            .map(|(_, region)| region.to_owned());
        return Ok(Host {
            region: region.filter(|region| names::is_aws_region(region)),
            ..unshaped(lower.to_string())
        });
    }
    let Some(start) = service_start(head) else {
        return Ok(unshaped(lower.to_string()));
    };
    let service = service_of(&head[start + "s3".len()..])
        .map_err(|what| unavailable(what, "use `<bucket>.s3.<region>.amazonaws.com`"))?;
    if let Some(region) = service.region {
        names::check_region(region, Store::Aws)
            .map_err(|cause| format!("{} {cause}", quoted(region)))?;
        if domain(region) != suffix {
            let right = domain(region);
            let region = quoted(region);
            return Err(format!("{region} is in `{right}`; end the host with that"));
        }
    }
    Ok(Host {
        bucket: start.checked_sub(1).map(|dot| host[..dot].to_string()),
        region: service.region.map(str::to_string),
        usual_region,
        service: lower[start..].to_string(),
        store: Store::Aws,
        region_rule: match service.kind {
            _ if service.region.is_some() => RegionRule::Fixed,
            Kind::Buckets => RegionRule::Derived(service.form),
            Kind::Accelerate | Kind::AccessPoints => RegionRule::Signed,
        },
        virtual_only: service.kind != Kind::Buckets,
    })
}

/// Where the last label that is `s3` or begins with `s3-` starts; a bucket's own
/// name may hold such labels as well.
fn service_start(head: &str) -> Option<usize> {
    let mut end = head.len();
    for label in head.rsplit('.') {
        let start = end - label.len();
        if label == "s3" || label.starts_with("s3-") || label.starts_with("s3express-") {
            return Some(start);
        }
        end = start.saturating_sub(1);
    }
    None
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Buckets,
    Accelerate,
    AccessPoints,
}

struct Service<'a> {
    kind: Kind,
    form: HostForm,
    region: Option<&'a str>,
}

/// What follows `s3`, or the name of a service that takes no objects this way.
fn service_of(tail: &str) -> Result<Service<'_>, &'static str> {
    if tail.starts_with("express-") {
        return Err("s3express");
    }
    let (kind, tail) = if let Some(tail) = tail.strip_prefix("-accelerate") {
        (Kind::Accelerate, tail)
    } else if let Some(tail) = tail.strip_prefix("-accesspoint") {
        (Kind::AccessPoints, tail)
    } else {
        (Kind::Buckets, tail)
    };
    let without_fips = tail.strip_prefix("-fips");
    let tail = without_fips.unwrap_or(tail);
    let dual = tail.strip_prefix(".dualstack");
    let form = HostForm {
        dual_stack: dual.is_some(),
        fips: without_fips.is_some(),
    };
    let named = dual.unwrap_or(tail).get(1..);
    let region = match named {
        None | Some("external-1") => None,
        Some(region) => {
            let other = OTHER_SERVICES.iter().find(|name| region.starts_with(*name));
            match other {
                Some(other) => return Err(other),
                None => Some(region),
            }
        }
    };
    Ok(Service { kind, form, region })
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
            ..unshaped(lower[dot + 1..].to_string())
        },
    }
}

fn unshaped(service: String) -> Host {
    Host {
        bucket: None,
        region: None,
        usual_region: DEFAULT_REGION,
        service,
        store: Store::Other,
        region_rule: RegionRule::Fixed,
        virtual_only: false,
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
                "mybucket - s3-accelerate.amazonaws.com Aws",
            ),
            (
                "mybucket.s3-accelerate.dualstack.amazonaws.com",
                "mybucket - s3-accelerate.dualstack.amazonaws.com Aws",
            ),
            (
                "reports-123456789012.s3-accesspoint.eu-west-2.amazonaws.com",
                "reports-123456789012 eu-west-2 s3-accesspoint.eu-west-2.amazonaws.com Aws",
            ),
            (
                "reports-123456789012.s3-accesspoint-fips.dualstack.us-east-1.amazonaws.com",
                "reports-123456789012 us-east-1 s3-accesspoint-fips.dualstack.us-east-1.amazonaws.com Aws",
            ),
            (
                "alias.accesspoint.s3-global.amazonaws.com",
                "`global` is not available in this version of s3ferry; use `<bucket>.s3.<region>.amazonaws.com`",
            ),
            (
                "logs--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com",
                "`s3express` is not available in this version of s3ferry; use `<bucket>.s3.<region>.amazonaws.com`",
            ),
            (
                "mybucket.s3.cn-north-1.amazonaws.com",
                "`cn-north-1` is in `amazonaws.com.cn`; end the host with that",
            ),
            (
                "mybucket.s3.eusc-de-east-1.amazonaws.eu",
                "mybucket eusc-de-east-1 s3.eusc-de-east-1.amazonaws.eu Aws",
            ),
            (
                "mybucket.s3-website.eu-central-1.amazonaws.com",
                "`website` is not available in this version of s3ferry; use `<bucket>.s3.<region>.amazonaws.com`",
            ),
            (
                "bucket.vpce-1a.s3.us-east-1.vpce.amazonaws.com",
                "- us-east-1 bucket.vpce-1a.s3.us-east-1.vpce.amazonaws.com Other",
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
