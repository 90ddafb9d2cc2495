//! What AWS's hosts are made of: partitions, the forms of a regional host, access points.
//!
//! From AWS's own rules for endpoints, see
//! <https://docs.aws.amazon.com/general/latest/gr/s3.html> and `partitions.json` of botocore.

use super::fields::{Field, Reported};
use super::model::{Destination, HostForm, RegionRule};
use super::names::{self, Store};
use super::section::Section;

pub(super) const ENDPOINT_KEYS: &[&str] = &["dual_stack", "fips", "accelerate"];

/// How regions begin that are not in `amazonaws.com`; the longer beginning first.
const PARTITIONS: &[(&str, &str)] = &[
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("us-iso-", "c2s.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
];

const USUAL_DOMAIN: &str = "amazonaws.com";

/// With a region that is meant where a host of the domain names none.
pub(super) const DOMAINS: &[(&str, &str)] = &[
    ("amazonaws.com.cn", "cn-north-1"),
    ("amazonaws.eu", "eusc-de-east-1"),
    (USUAL_DOMAIN, super::host::DEFAULT_REGION),
];

/// The domain of a region's hosts.
pub(crate) fn domain(region: &str) -> &'static str {
    PARTITIONS
        .iter()
        .find(|(start, _)| region.starts_with(start))
        .map_or(USUAL_DOMAIN, |(_, domain)| domain)
}

impl HostForm {
    /// `s3.eu-west-2.amazonaws.com`, or `s3-fips.dualstack.…`.
    pub(super) fn host(self, region: &str) -> String {
        format!("s3{self}.{region}.{}", domain(region))
    }
}

impl std::fmt::Display for HostForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.fips { "-fips" } else { "" })?;
        f.write_str(if self.dual_stack { ".dualstack" } else { "" })
    }
}

impl Destination {
    /// Whether it is Amazon's own S3, in any of its partitions and by any of its names.
    pub fn is_aws(&self) -> bool {
        let known = DOMAINS.iter().map(|(domain, _)| domain);
        let further = PARTITIONS.iter().map(|(_, domain)| domain);
        known.chain(further).any(|domain| {
            let rest = self.host.strip_suffix(domain);
            rest.is_some_and(|rest| rest.ends_with('.'))
        })
    }

    /// The same bucket where AWS says that it is. `None`: the configuration leads to no other
    /// host, or what was said is no region of the same partition.
    pub fn moved_to(&self, region: &str) -> Option<Destination> {
        let known = names::check_region(region, Store::Aws).is_ok();
        if !known || region == self.region || domain(region) != domain(&self.region) {
            return None;
        }
        let host = match self.region_rule {
            RegionRule::Fixed => return None,
            RegionRule::Signed => self.host.clone(),
            RegionRule::Derived(form) => form.host(region),
        };
        Some(Destination {
            region: region.to_owned(),
            host,
            ..self.clone()
        })
    }
}

/// `endpoint_options`: which of a region's hosts is meant.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct EndpointOptions {
    pub form: HostForm,
    pub accelerate: bool,
}

pub(super) fn endpoint_options(job: &Section<'_>) -> Result<EndpointOptions, Reported> {
    job.read("endpoint_options", EndpointOptions::default(), |field| {
        let section = field.section(&[ENDPOINT_KEYS])?;
        let flag = |key| section.read(key, false, Field::boolean);
        let (dual_stack, fips) = (flag("dual_stack"), flag("fips"));
        let accelerate = flag("accelerate");
        let form = HostForm {
            dual_stack: dual_stack?,
            fips: fips?,
        };
        let accelerate = accelerate?;
        let beside = ["host", "endpoint"]
            .into_iter()
            .find(|key| job.get(key).is_some());
        if let Some(key) = beside
            && (accelerate || form != HostForm::default())
        {
            let cause = format!(
                "has no effect beside `{key}`, which says it all; leave it out, or give `bucket` and `region` instead"
            );
            return Err(field.problem(cause));
        }
        if accelerate && form.fips {
            let cause = "cannot be had together with `fips`; leave one of the two out";
            return Err(section.problem_of("accelerate", cause.to_owned()));
        }
        Ok(EndpointOptions { form, accelerate })
    })
}

impl EndpointOptions {
    /// The host in `region`, or why there is none.
    pub(super) fn host(self, region: &str) -> Result<String, &'static str> {
        let north_america = region.starts_with("us-") || region.starts_with("ca-");
        if self.form.fips && !north_america {
            return Err("has no `fips` hosts; leave it out, or use a region of the US or Canada");
        }
        if !self.accelerate {
            return Ok(self.form.host(region));
        }
        if domain(region) != USUAL_DOMAIN || region.starts_with("us-gov-") {
            return Err("has no `accelerate`; leave it out");
        }
        Ok(format!("s3-accelerate{}.{USUAL_DOMAIN}", self.form))
    }
}

/// An access point: in virtual-host style it is a bucket of a host of its own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AccessPoint {
    /// `name-123456789012`
    pub bucket: String,
    pub region: String,
}

impl AccessPoint {
    pub(super) fn host(&self, form: HostForm) -> String {
        let region = &self.region;
        format!("s3-accesspoint{form}.{region}.{}", domain(region))
    }
}

/// `arn:aws:s3:eu-west-2:123456789012:accesspoint/name`, see
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-naming.html>. `None`: it is
/// no ARN at all. Errors are the cause and the cure.
pub(super) fn access_point(text: &str) -> Option<Result<AccessPoint, &'static str>> {
    text.starts_with("arn:").then(|| read_arn(text))
}

fn read_arn(text: &str) -> Result<AccessPoint, &'static str> {
    const FORM: &str = "is not the ARN of an access point; write it like `arn:aws:s3:eu-west-2:123456789012:accesspoint/name`";
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [_, partition, service, region, account, resource] = parts[..] else {
        return Err(FORM);
    };
    match service {
        "s3" => {}
        "s3-object-lambda" | "s3-outposts" => {
            return Err(
                "belongs to a service that takes no plain uploads; name a bucket or an access point of S3",
            );
        }
        _ => return Err(FORM),
    }
    let name = resource
        .strip_prefix("accesspoint")
        .and_then(|rest| rest.strip_prefix(['/', ':']))
        .ok_or(FORM)?;
    if region.is_empty() || name.ends_with(".mrap") {
        return Err(
            "is a multi-region access point, which wants signatures that s3ferry does not make; name the access point of one region",
        );
    }
    let digits = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    let well_named = (3..=50).contains(&name.len()) && name.bytes().all(plain);
    if !digits || !well_named || names::check_region(region, Store::Aws).is_err() {
        return Err(FORM);
    }
    let expected = match partition_of(region) {
        "aws" => partition == "aws",
        other => partition == other,
    };
    if !expected {
        return Err("names a region that is not in its partition; copy it anew");
    }
    Ok(AccessPoint {
        bucket: format!("{name}-{account}"),
        region: region.to_owned(),
    })
}

/// As ARNs name it.
pub(crate) fn partition_of(region: &str) -> &'static str {
    match region {
        _ if region.starts_with("cn-") => "aws-cn",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ if region.starts_with("eusc-") => "aws-eusc",
        _ if region.starts_with("us-isob-") => "aws-iso-b",
        _ if region.starts_with("us-isof-") => "aws-iso-f",
        _ if region.starts_with("us-iso-") => "aws-iso",
        _ if region.starts_with("eu-isoe-") => "aws-iso-e",
        _ => "aws",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Addressing;

    #[test]
    fn an_arn_is_an_access_point_or_says_what_it_is() {
        let cases = [
            (
                "arn:aws:s3:eu-west-2:123456789012:accesspoint/reports",
                Ok("reports-123456789012 s3-accesspoint.eu-west-2.amazonaws.com"),
            ),
            (
                "arn:aws:s3:eu-west-2:123456789012:accesspoint:reports",
                Ok("reports-123456789012 s3-accesspoint.eu-west-2.amazonaws.com"),
            ),
            (
                "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint/r-1",
                Ok("r-1-123456789012 s3-accesspoint.cn-north-1.amazonaws.com.cn"),
            ),
            (
                "arn:aws:s3:cn-north-1:123456789012:accesspoint/reports",
                Err("partition"),
            ),
            ("arn:aws:s3:::bucket", Err("is not the ARN")),
            (
                "arn:aws:s3::123456789012:accesspoint/abc.mrap",
                Err("multi-region"),
            ),
            (
                "arn:aws:s3-outposts:us-east-1:123456789012:outpost/op-1/accesspoint/a",
                Err("no plain uploads"),
            ),
            (
                "arn:aws:s3:eu-west-2:123:accesspoint/reports",
                Err("is not the ARN"),
            ),
            (
                "arn:aws:s3:eu-west-2:123456789012:accesspoint/a.b/c",
                Err("is not the ARN"),
            ),
            (
                "arn:aws:s3:evil.example:123456789012:accesspoint/abc",
                Err("is not the ARN"),
            ),
            ("arn:aws:sqs:eu-west-2:1:q", Err("is not the ARN")),
        ];
        for (text, expected) in cases {
            let got = access_point(text).unwrap();
            let got =
                got.map(|point| format!("{} {}", point.bucket, point.host(HostForm::default())));
            match (got, expected) {
                (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{text}"),
                (Err(got), Err(expected)) => assert!(got.contains(expected), "{text}: {got}"),
                (got, _) => panic!("{text}: {got:?}"),
            }
        }
        assert_eq!(access_point("mybucket"), None);
    }

    #[test]
    fn a_bucket_moves_only_to_a_region_of_its_partition_and_only_where_the_host_follows() {
        let at = |host: &str, region: &str, region_rule| Destination {
            bucket: "mybucket".into(),
            region: region.into(),
            tls: true,
            host: host.into(),
            port: 443,
            base_path: String::new(),
            addressing: Addressing::VirtualHost,
            region_rule,
        };
        let derived = RegionRule::Derived(HostForm::default());
        let dual = RegionRule::Derived(HostForm {
            dual_stack: true,
            fips: false,
        });
        let cases = [
            (
                derived,
                "us-east-1",
                "eu-west-1",
                Some("s3.eu-west-1.amazonaws.com"),
            ),
            (
                dual,
                "us-east-1",
                "eu-west-1",
                Some("s3.dualstack.eu-west-1.amazonaws.com"),
            ),
            (RegionRule::Signed, "us-east-1", "eu-west-1", Some("given")),
            (RegionRule::Fixed, "us-east-1", "eu-west-1", None),
            (derived, "eu-west-1", "eu-west-1", None),
            (derived, "us-east-1", "cn-north-1", None),
            (
                derived,
                "cn-north-1",
                "cn-northwest-1",
                Some("s3.cn-northwest-1.amazonaws.com.cn"),
            ),
            (derived, "us-east-1", "evil.example.com/x-1", None),
            (derived, "us-east-1", "", None),
        ];
        for (rule, from, to, expected) in cases {
            let moved = at("given", from, rule).moved_to(to);
            assert_eq!(
                moved.as_ref().map(|there| there.host.as_str()),
                expected,
                "{to}"
            );
            assert!(moved.is_none_or(|there| there.region == to));
        }
    }
}
