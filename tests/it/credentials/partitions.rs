//! STS in every partition of AWS: a role is asked for where it is, and nowhere else.

use serde_json::json;

use super::*;
use crate::support::connect_proxy::ConnectProxy;
use crate::support::server::S3Options;

/// The hosts of STS that were asked for, by a role of that partition in that region.
#[track_caller]
fn asked_for(partition: &str, region: &str, code: i32, word: &str) -> Vec<String> {
    let server = S3Server::start(S3Options::default());
    // Whoever is asked for, it is no STS that answers: no TLS.
    let proxy = ConnectProxy::start(server.address());
    let role = format!("arn:{partition}:iam::123456789012:role/site-7");
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "hush-hush.jwt").unwrap();
    let source = json!({ "access_key": "AKIDSOURCE", "secret_key": "hush-hush" });
    for credentials in [
        json!({ "provider": "assume_role", "role_arn": role, "source": source }),
        json!({ "provider": "web_identity", "role_arn": role, "token_file": token.path() }),
    ] {
        let agent = agent(&server, credentials)
            .with_job(json!({ "proxy": proxy.url() }))
            .with_env("AWS_REGION", region);
        is_refused(region, &server, &agent, code, &[word]);
    }
    let mut hosts = proxy.asked_for();
    hosts.dedup();
    hosts
}

#[test]
fn sts_is_asked_in_the_domain_of_its_partition() {
    for (partition, region, host) in [
        ("aws", "eu-west-2", "sts.eu-west-2.amazonaws.com"),
        ("aws-cn", "cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
        (
            "aws-eusc",
            "eusc-de-east-1",
            "sts.eusc-de-east-1.amazonaws.eu",
        ),
        ("aws-iso", "us-iso-east-1", "sts.us-iso-east-1.c2s.ic.gov"),
        (
            "aws-iso-b",
            "us-isob-east-1",
            "sts.us-isob-east-1.sc2s.sgov.gov",
        ),
        (
            "aws-iso-e",
            "eu-isoe-west-1",
            "sts.eu-isoe-west-1.cloud.adc-e.uk",
        ),
    ] {
        let asked = asked_for(partition, region, 75, host);
        assert_eq!(asked, [format!("{host}:443")]);
    }
}

#[test]
fn a_role_of_one_partition_is_not_shown_to_sts_of_another() {
    for (partition, region) in [
        ("aws-cn", "us-east-1"),
        ("aws", "eusc-de-east-1"),
        ("aws-us-gov", "us-east-1"),
    ] {
        let words =
            format!("the role is in the partition `{partition}`, and the region `{region}` in ");
        assert!(asked_for(partition, region, 77, &words).is_empty());
    }
}
