//! Where requests go: AWS's many hosts, regions that are learnt, and what is never followed.
//!
//! AWS's names lead nowhere here, so a proxy leads all of them to a server of the test; what it was
//! asked for is where the program wanted to go.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::agent::Agent;
use crate::support::connect_proxy::ConnectProxy;
use crate::support::files::holds_content;
use crate::support::scripted::{Line, ScriptedServer};
use crate::support::server::{ACCESS_KEY, S3Options, S3Server, SECRET_KEY};

/// `{"Code", "Region"}` as AWS words them, see
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.
const PERMANENT: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>PermanentRedirect</Code><Message>The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.</Message><Endpoint>mybucket.s3.eu-west-1.amazonaws.com</Endpoint><Bucket>mybucket</Bucket><RequestId>R</RequestId></Error>";
const MALFORMED: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'</Message><Region>eu-west-1</Region><RequestId>R</RequestId></Error>";
const TEMPORARY: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>TemporaryRedirect</Code><Message>Please re-send this request to the specified temporary endpoint. Continue to use the original request endpoint for future requests.</Message><Endpoint>mybucket.s3-eu-west-1.amazonaws.com</Endpoint></Error>";
const ELSEWHERE: (&str, &str) = ("x-amz-bucket-region", "eu-west-1");

/// One job with the fields of `destination`, over plain HTTP through the proxy.
fn agent_to(destination: Value, proxy: &ConnectProxy) -> Agent {
    let agent = Agent::with_endpoint("http://unused.invalid");
    let mut config = json!({
        "state_dir": agent.state(),
        "log": { "level": "debug" },
        "source_path": agent.source(),
        "settle": "0s",
        "tls": false,
        "proxy": proxy.url(),
        "access_key": ACCESS_KEY,
        "secret_key": SECRET_KEY,
    });
    for (key, value) in destination.as_object().unwrap() {
        config[key] = value.clone();
    }
    agent.with_config(config)
}

/// The host and the region that each request was signed for.
fn signed_for(server: &ScriptedServer) -> Vec<(String, String)> {
    let requests = server.requests();
    let parts = requests.iter().map(|request| {
        let authorization = request.header("authorization").unwrap();
        let region = authorization.split('/').nth(2).unwrap();
        (
            request.header("host").unwrap().to_owned(),
            region.to_owned(),
        )
    });
    parts.collect()
}

fn pair(host: &str, region: &str) -> (String, String) {
    (host.to_owned(), region.to_owned())
}

#[test]
fn the_region_of_a_bucket_is_learnt_once_and_its_host_with_it() {
    let global = json!({ "host": "mybucket.s3.amazonaws.com" });
    let wrong = json!({ "bucket": "mybucket", "region": "us-east-1" });
    let dual = json!({
        "bucket": "mybucket", "region": "us-east-1", "endpoint_options": { "dual_stack": true },
    });
    let dotted = json!({ "bucket": "my.bucket", "region": "us-east-1" });
    let fast = json!({ "host": "mybucket.s3-accelerate.amazonaws.com" });
    let (from_global, from_regional) = (
        "mybucket.s3.amazonaws.com",
        "mybucket.s3.us-east-1.amazonaws.com",
    );
    let regional = "mybucket.s3.eu-west-1.amazonaws.com";
    let cases = [
        (
            &global,
            Line::new(301, &[ELSEWHERE], PERMANENT),
            from_global,
            regional,
        ),
        (
            &global,
            Line::new(400, &[], MALFORMED),
            from_global,
            regional,
        ),
        (
            &global,
            Line::new(307, &[ELSEWHERE], TEMPORARY),
            from_global,
            regional,
        ),
        (
            &wrong,
            Line::new(301, &[ELSEWHERE], PERMANENT),
            from_regional,
            regional,
        ),
        (
            &wrong,
            Line::new(301, &[ELSEWHERE], ""),
            from_regional,
            regional,
        ),
        (
            &dual,
            Line::new(301, &[ELSEWHERE], PERMANENT),
            "mybucket.s3.dualstack.us-east-1.amazonaws.com",
            "mybucket.s3.dualstack.eu-west-1.amazonaws.com",
        ),
        (
            &dotted,
            Line::new(301, &[ELSEWHERE], PERMANENT),
            "s3.us-east-1.amazonaws.com",
            "s3.eu-west-1.amazonaws.com",
        ),
        (
            &fast,
            Line::new(400, &[], MALFORMED),
            "mybucket.s3-accelerate.amazonaws.com",
            "mybucket.s3-accelerate.amazonaws.com",
        ),
    ];
    for (destination, refusal, from, to) in cases {
        let fine = Line::new(200, &[("ETag", "\"e\"")], "").for_ever();
        // The server has one connection at a time, and the next host is another one.
        let server = ScriptedServer::start([refusal.close(), fine]);
        let proxy = ConnectProxy::start(server.address());
        let agent = agent_to(destination.clone(), &proxy);
        agent.write_file("a", 1000, 1);
        agent.write_file("b", 1000, 2);
        let output = agent.run(&["once", "--give-up", "5s"]).expect_code(0);
        let expected = [
            pair(from, "us-east-1"),
            pair(to, "eu-west-1"),
            pair(to, "eu-west-1"),
        ];
        assert_eq!(signed_for(&server), expected, "{destination}");
        let hosts = [format!("{from}:80"), format!("{to}:80")];
        assert_eq!(proxy.asked_for(), hosts, "{destination}");
        assert!(output.stderr.contains("`eu-west-1`"), "{}", output.stderr);
        assert_eq!(agent.history().len(), 2);
        assert!(agent.events_of("connection_failed").is_empty());
    }
}

/// The clock is wrong, the region is, and the connection that said so is gone: one file, one attempt.
#[test]
fn several_causes_are_mended_one_after_the_other() {
    let skewed = "<Error><Code>RequestTimeTooSkewed</Code></Error>";
    let date = ("Date", "Tue, 01 Jan 2041 00:00:00 GMT");
    let server = ScriptedServer::start([
        Line::new(400, &[], MALFORMED),
        Line::new(403, &[date], skewed),
        Line::raw("").close(),
        Line::new(200, &[("ETag", "\"e\"")], ""),
    ]);
    let proxy = ConnectProxy::start(server.address());
    let agent = agent_to(
        json!({ "host": "mybucket.s3-accelerate.amazonaws.com" }),
        &proxy,
    );
    agent.write_file("a", 1000, 1);
    agent.run(&["once", "--give-up", "5s"]).expect_code(0);
    let regions: Vec<String> = signed_for(&server).into_iter().map(|(_, r)| r).collect();
    assert_eq!(
        regions,
        ["us-east-1", "eu-west-1", "eu-west-1", "eu-west-1"]
    );
    assert!(
        server.requests()[3]
            .header("x-amz-date")
            .unwrap()
            .starts_with("2041")
    );
    assert_eq!(agent.history()[0]["attempts"], 1);
    assert!(agent.events_of("connection_failed").is_empty());
}

#[test]
fn every_job_of_the_process_knows_what_one_has_learnt() {
    let fine = Line::new(200, &[("ETag", "\"e\"")], "").for_ever();
    let refusal = Line::new(301, &[ELSEWHERE], PERMANENT);
    let server = ScriptedServer::start([refusal.close(), fine.close()]);
    let proxy = ConnectProxy::start(server.address());
    let agent = Agent::with_endpoint("http://unused.invalid");
    let job = |name: &str| {
        let folder = agent.folder().join(name);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("a"), name).unwrap();
        json!({
            "name": name, "source_path": folder, "settle": "0s", "proxy": proxy.url(),
            "host": "mybucket.s3.amazonaws.com", "tls": false, "prefix": format!("{name}/"),
            "access_key": ACCESS_KEY, "secret_key": SECRET_KEY,
        })
    };
    let jobs = [job("one"), job("two"), job("three")];
    let config = json!({ "state_dir": agent.state(), "jobs": jobs });
    let agent = agent.with_config(config);
    agent.run(&["once", "--give-up", "5s"]).expect_code(0);
    let regions: Vec<String> = signed_for(&server).into_iter().map(|(_, r)| r).collect();
    assert_eq!(regions[0], "us-east-1");
    assert!(
        regions[1..].iter().all(|region| region == "eu-west-1"),
        "{regions:?}"
    );
    assert_eq!(regions.len(), 4);
}

#[test]
fn nobody_leads_the_keys_to_a_host_that_the_configuration_does_not() {
    let global = json!({ "host": "mybucket.s3.amazonaws.com" });
    let regional = json!({ "host": "mybucket.s3.us-east-1.amazonaws.com" });
    let point = json!({ "bucket": "arn:aws:s3:us-east-1:123456789012:accesspoint/reports" });
    let trap = ScriptedServer::start([Line::new(200, &[], "").for_ever()]);
    let location = format!("http://{}/a", trap.address());
    let other_partition = ("x-amz-bucket-region", "cn-north-1");
    let hostile = ("x-amz-bucket-region", "evil.example.com/");
    let at = ("Location", location.as_str());
    let same = ("x-amz-bucket-region", "us-east-1");
    let cases = [
        (&global, Line::new(301, &[at], "")),
        (&global, Line::new(301, &[hostile, at], PERMANENT)),
        (&global, Line::new(301, &[other_partition], PERMANENT)),
        (&global, Line::new(301, &[same, at], PERMANENT)),
        (&regional, Line::new(301, &[ELSEWHERE], PERMANENT)),
        (&point, Line::new(301, &[ELSEWHERE], PERMANENT)),
    ];
    for (destination, answer) in cases {
        let server = ScriptedServer::start([answer.for_ever()]);
        let proxy = ConnectProxy::start(server.address());
        let agent = agent_to(destination.clone(), &proxy);
        agent.write_file("a", 1000, 1);
        agent.run(&["once", "--give-up", "2s"]).expect_code(77);
        assert_eq!(server.requests().len(), 1, "{destination}");
        assert_eq!(proxy.asked_for().len(), 1, "{destination}");
        let blocked = agent.events_of("job_blocked");
        let hint = blocked[0]["error"]["hint"].as_str().unwrap();
        assert!(hint.contains("region"), "{hint}");
    }
    assert!(trap.requests().is_empty());
}

/// MinIO and Garage say it in AWS's words, and have one region alone.
#[test]
fn another_store_names_its_region_and_the_job_is_blocked_with_it() {
    let body = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>Authorization header malformed, unexpected scope.</Message><Region>garage</Region></Error>";
    let server = ScriptedServer::start([Line::new(400, &[], body).for_ever()]);
    let agent = Agent::with_endpoint(&server.endpoint());
    agent.write_file("a", 1000, 1);
    agent.run(&["once", "--give-up", "2s"]).expect_code(77);
    assert_eq!(server.requests().len(), 1);
    let blocked = agent.events_of("job_blocked");
    let message = blocked[0]["message"].as_str().unwrap();
    assert!(
        message.contains("unexpected scope; the bucket is in `garage`"),
        "{message}"
    );
    let checked = agent.run(&["check"]).expect_code(77);
    assert!(checked.stdout.contains("`garage`"), "{checked:#?}");
    assert!(checked.stdout.contains("set `region`"), "{checked:#?}");
}

#[test]
fn a_redirect_to_https_says_so() {
    let to = ("Location", "https://minio.example.com/bucket/a");
    let server = ScriptedServer::start([Line::new(308, &[to], "<html>").for_ever()]);
    let agent = Agent::with_endpoint(&server.endpoint());
    agent.write_file("a", 1000, 1);
    agent.run(&["once", "--give-up", "2s"]).expect_code(77);
    let blocked = agent.events_of("job_blocked");
    let said = blocked[0].to_string();
    assert!(
        said.contains("https://minio.example.com/bucket/a"),
        "{said}"
    );
    assert!(said.contains("redirects are not followed"), "{said}");
}

/// Each host as a real server of S3 sees it, which checks the signature over it.
#[test]
fn every_form_of_an_aws_host_is_signed_as_the_server_reads_it() {
    let cases = [
        (
            json!({ "bucket": "mybucket", "region": "eu-west-2", "endpoint_options": { "dual_stack": true } }),
            "mybucket",
            "s3.dualstack.eu-west-2.amazonaws.com",
        ),
        (
            json!({ "bucket": "mybucket", "region": "us-gov-west-1", "endpoint_options": { "fips": true } }),
            "mybucket",
            "s3-fips.us-gov-west-1.amazonaws.com",
        ),
        (
            json!({ "bucket": "mybucket", "region": "eu-west-2", "endpoint_options": { "accelerate": true } }),
            "mybucket",
            "s3-accelerate.amazonaws.com",
        ),
        (
            json!({ "bucket": "arn:aws:s3:eu-west-2:123456789012:accesspoint/reports" }),
            "reports-123456789012",
            "s3-accesspoint.eu-west-2.amazonaws.com",
        ),
        (
            json!({ "bucket": "reports-ab12metadata-s3alias", "region": "eu-west-2" }),
            "reports-ab12metadata-s3alias",
            "s3.eu-west-2.amazonaws.com",
        ),
        (
            json!({ "bucket": "mybucket", "region": "cn-north-1" }),
            "mybucket",
            "s3.cn-north-1.amazonaws.com.cn",
        ),
        (
            json!({ "bucket": "mybucket", "endpoint": "http://store.example.com:9000", "addressing": "virtual", "tls": null }),
            "mybucket",
            "store.example.com:9000",
        ),
        (
            json!({ "host": "mybucket.s3.fr-par.scw.cloud" }),
            "mybucket",
            "s3.fr-par.scw.cloud",
        ),
    ];
    for (destination, bucket, host) in cases {
        let server = S3Server::start(S3Options {
            buckets: vec![bucket.into()],
            domains: vec![host.into()],
            ..S3Options::default()
        });
        let proxy = ConnectProxy::start(server.address());
        let agent = agent_to(destination, &proxy);
        agent.write_file("a b+c", 1000, 1);
        agent.run(&["once", "--give-up", "5s"]).expect_code(0);
        assert!(
            holds_content(&server.object_path(bucket, "a b+c"), 1000, 1),
            "{host}"
        );
        let port = if host.contains(':') { "" } else { ":80" };
        assert_eq!(proxy.asked_for(), [format!("{bucket}.{host}{port}")]);
        assert_eq!(agent.history()[0]["bucket"], bucket);
    }
}

#[test]
fn an_endpoint_may_be_an_ipv6_address_and_may_have_a_path() {
    let Some(server) = S3Server::start_on_ipv6(S3Options::default()) else {
        return;
    };
    let address: SocketAddr = server.address();
    assert!(address.is_ipv6());
    let agent = Agent::new(&server);
    agent.write_file("a", 1000, 1);
    agent.run(&["once", "--give-up", "5s"]).expect_code(0);
    assert!(holds_content(&server.object_path("bucket", "a"), 1000, 1));

    // To the server the path is the bucket and the bucket a folder: all of it is signed.
    let inner = agent.with_job(json!({
        "endpoint": format!("{}/bucket/", server.endpoint()), "bucket": "folder",
    }));
    inner.write_file("b", 1000, 2);
    inner.run(&["once", "--give-up", "5s"]).expect_code(0);
    assert!(holds_content(
        &server.object_path("bucket", "folder/b"),
        1000,
        2
    ));
}
