//! Where STS is, and whose: as AWS's tools find it.

use super::REGION_HINT;
use crate::config::aws::{domain, partition_of};
use crate::config::model::StsPlace;
use crate::config::names::{Store, is_aws_region};
use crate::config::url::http_origin;
use crate::config::wording::quoted;
use crate::credentials::{CredentialError, Env, variable};

const ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"];

const PARTITION_HINT: &str = "correct `role_arn`, or set `region` in `credentials`, or AWS_REGION, to one of the role's partition";
const ENDPOINT_HINT: &str =
    "correct AWS_ENDPOINT_URL_STS or AWS_ENDPOINT_URL: `https://host[:port]`";

/// The region that AWS's tools would take; `None` where the job's bucket is in no region of AWS.
pub(super) fn region(env: &Env<'_>, place: &StsPlace, of_the_bucket: &str) -> Option<String> {
    let explicit = place.region.clone();
    explicit
        .or_else(|| variable(env, "AWS_REGION"))
        .or_else(|| variable(env, "AWS_DEFAULT_REGION"))
        .or_else(|| Some(of_the_bucket.to_owned()))
        .filter(|region| is_aws_region(region))
}

/// Whose STS it is; `own`: the configuration names an endpoint.
pub(crate) fn store(env: &Env<'_>, own: bool) -> Store {
    let named = |name: &&str| variable(env, name).is_some();
    if own || ENDPOINTS.iter().any(named) {
        Store::Other
    } else {
        Store::Aws
    }
}

pub(super) fn endpoint(
    env: &Env<'_>,
    name: &'static str,
    place: &StsPlace,
    region: Option<&str>,
    role_arn: &str,
) -> Result<String, CredentialError> {
    if let Some(configured) = &place.endpoint {
        return Ok(configured.clone());
    }
    let ignored = variable(env, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"));
    for variable_name in ENDPOINTS {
        if let Some(url) = variable(env, variable_name).filter(|_| !ignored) {
            return http_origin(&url).map_err(|cause| {
                CredentialError::misconfigured(
                    name,
                    format!("{variable_name} {cause}"),
                    ENDPOINT_HINT,
                )
            });
        }
    }
    let Some(region) = region else {
        return Err(CredentialError::misconfigured(
            name,
            "no region of AWS is known",
            REGION_HINT,
        ));
    };
    in_one_partition(name, role_arn, region)?;
    Ok(format!("https://sts.{region}.{}", domain(region)))
}

/// Keys and tokens are shown to no partition but the role's own, which no other knows anyway.
fn in_one_partition(
    name: &'static str,
    role_arn: &str,
    region: &str,
) -> Result<(), CredentialError> {
    let of_the_role = role_arn.split(':').nth(1).unwrap_or_default();
    let of_the_region = partition_of(region);
    if of_the_role == of_the_region {
        return Ok(());
    }
    let reason = format!(
        "the role is in the partition {}, and the region `{region}` in `{of_the_region}`",
        quoted(of_the_role)
    );
    Err(CredentialError::misconfigured(name, reason, PARTITION_HINT))
}

/// As the transport writes it: without the scheme's own port.
pub(super) fn host_header(origin: &str) -> &str {
    let (scheme, authority) = origin.split_once("://").unwrap_or_default();
    let port = if scheme == "https" { ":443" } else { ":80" };
    authority.strip_suffix(port).unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_the_one_that_awss_tools_would_take() {
        let configured = || StsPlace {
            endpoint: Some("https://minio:9000".to_owned()),
            ..StsPlace::default()
        };
        let in_region = || StsPlace {
            region: Some("ap-south-1".to_owned()),
            ..StsPlace::default()
        };
        let sts = "AWS_ENDPOINT_URL_STS";
        type Case<'a> = (StsPlace, &'a str, &'a [(&'a str, &'a str)], &'a str);
        let cases: &[Case<'_>] = &[
            (
                StsPlace::default(),
                "eu-west-2",
                &[],
                "https://sts.eu-west-2.amazonaws.com",
            ),
            (
                StsPlace::default(),
                "cn-north-1",
                &[],
                "https://sts.cn-north-1.amazonaws.com.cn",
            ),
            (
                StsPlace::default(),
                "eu-west-2",
                &[("AWS_REGION", "us-east-2")],
                "https://sts.us-east-2.amazonaws.com",
            ),
            (
                StsPlace::default(),
                "garage",
                &[("AWS_DEFAULT_REGION", "us-east-2")],
                "https://sts.us-east-2.amazonaws.com",
            ),
            (
                in_region(),
                "eu-west-2",
                &[("AWS_REGION", "us-east-2")],
                "https://sts.ap-south-1.amazonaws.com",
            ),
            (
                StsPlace::default(),
                "garage",
                &[],
                "Misconfigured STS: no region of AWS is known",
            ),
            (
                StsPlace::default(),
                "eu-west-2",
                &[("AWS_REGION", "evil.example.com/")],
                "Misconfigured STS: no region of AWS is known",
            ),
            (
                configured(),
                "garage",
                &[(sts, "http://127.0.0.1:1")],
                "https://minio:9000",
            ),
            (
                StsPlace::default(),
                "eu-west-2",
                &[
                    ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
                    (sts, "http://127.0.0.1:2/"),
                ],
                "http://127.0.0.1:2",
            ),
            (
                StsPlace::default(),
                "eu-west-2",
                &[("AWS_ENDPOINT_URL", "http://127.0.0.1:1")],
                "http://127.0.0.1:1",
            ),
            (
                StsPlace::default(),
                "eu-west-2",
                &[
                    (sts, "http://127.0.0.1:2"),
                    ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"),
                ],
                "https://sts.eu-west-2.amazonaws.com",
            ),
            (
                StsPlace::default(),
                "eu-west-2",
                &[(sts, "127.0.0.1")],
                "Misconfigured STS: AWS_ENDPOINT_URL_STS is not a URL; begin it with `https://` or `http://`",
            ),
        ];
        for (place, of_the_bucket, pairs, expected) in cases {
            let env = |name: &str| {
                let found = pairs.iter().find(|(known, _)| *known == name)?;
                Some(found.1.to_owned())
            };
            let region = region(&env, place, of_the_bucket);
            let partition = region.as_deref().map_or("aws", partition_of);
            let role = format!("arn:{partition}:iam::123456789012:role/x");
            let got = endpoint(&env, "STS", place, region.as_deref(), &role)
                .unwrap_or_else(|error| format!("{:?} {error}", error.kind));
            assert_eq!(got, *expected, "{place:?} {of_the_bucket} {pairs:?}");
        }
    }

    #[test]
    fn a_role_is_asked_for_in_its_own_partition() {
        for (role, region, expected) in [
            ("aws", "eu-west-2", "https://sts.eu-west-2.amazonaws.com"),
            (
                "aws-us-gov",
                "us-gov-west-1",
                "https://sts.us-gov-west-1.amazonaws.com",
            ),
            (
                "aws-cn",
                "cn-northwest-1",
                "https://sts.cn-northwest-1.amazonaws.com.cn",
            ),
            (
                "aws-eusc",
                "eusc-de-east-1",
                "https://sts.eusc-de-east-1.amazonaws.eu",
            ),
            (
                "aws-iso",
                "us-iso-east-1",
                "https://sts.us-iso-east-1.c2s.ic.gov",
            ),
            (
                "aws-iso-b",
                "us-isob-east-1",
                "https://sts.us-isob-east-1.sc2s.sgov.gov",
            ),
            (
                "aws-iso-e",
                "eu-isoe-west-1",
                "https://sts.eu-isoe-west-1.cloud.adc-e.uk",
            ),
            (
                "aws-iso-f",
                "us-isof-south-1",
                "https://sts.us-isof-south-1.csp.hci.ic.gov",
            ),
            (
                "aws",
                "eusc-de-east-1",
                "Misconfigured STS: the role is in the partition `aws`, and the region `eusc-de-east-1` in `aws-eusc`",
            ),
            (
                "aws-us-gov",
                "us-east-1",
                "Misconfigured STS: the role is in the partition `aws-us-gov`, and the region `us-east-1` in `aws`",
            ),
        ] {
            let arn = format!("arn:{role}:iam::123456789012:role/x");
            let place = StsPlace::default();
            let got = endpoint(&|_| None, "STS", &place, Some(region), &arn)
                .unwrap_or_else(|error| format!("{:?} {error}", error.kind));
            assert_eq!(got, expected, "{role} {region}");
        }
    }

    #[test]
    fn the_host_header_is_as_the_transport_writes_it() {
        for (origin, expected) in [
            ("https://sts.amazonaws.com", "sts.amazonaws.com"),
            ("https://sts.amazonaws.com:443", "sts.amazonaws.com"),
            ("http://127.0.0.1:9000", "127.0.0.1:9000"),
            ("http://[::1]:80", "[::1]"),
        ] {
            assert_eq!(host_header(origin), expected);
        }
    }
}
