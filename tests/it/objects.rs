//! What goes with an object: its protection, its checksums, and what `verify` makes of the answer.

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use crate::support::agent::Agent;
use crate::support::scripted::{Line, ScriptedServer, Seen};
use crate::support::server::{BUCKET, Failure, Request, S3Options, S3Server};
use crate::support::tls::TlsFront;

/// 5 MiB parts, the smallest that S3 takes: three of them.
const LARGE: u64 = (10 << 20) + 4321;

/// The check value that every catalogue of checksums has.
const DIGITS: &[u8] = b"123456789";

fn server() -> S3Server {
    S3Server::start(S3Options::default())
}

fn in_parts() -> Value {
    json!({ "multipart_threshold": "8MiB", "part_size": "5MiB" })
}

fn write_digits(agent: &Agent) {
    std::fs::write(agent.write_file("digits", 0, 0), DIGITS).unwrap();
}

fn once(agent: &Agent) -> crate::support::agent::Output {
    agent.run(&["once", "--give-up", "2s"])
}

#[test]
fn names_that_begin_alike_do_not_break_the_signature() {
    let server = server();
    let agent = Agent::new(&server).with_job(json!({ "object": {
        "metadata": { "site": "7", "site-name": "north", "site.z": "1" },
        "server_side_encryption": "aws:kms",
        "kms_key_id": "a-key",
        "bucket_key": true,
        "cache_control": "max-age=60, private",
    } }));
    agent.write_file("a", 100, 1);
    once(&agent).expect_code(0);
    let put = &server.requests()[0];
    let expected = [
        ("x-amz-meta-site-name", "north"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "a-key"),
        ("x-amz-server-side-encryption-bucket-key-enabled", "true"),
        ("cache-control", "max-age=60, private"),
    ];
    for (name, value) in expected {
        assert_eq!(put.header(name), Some(value), "{put:#?}");
    }
}

#[test]
fn a_checksum_goes_as_a_plain_header_and_the_server_agrees_with_it() {
    // The catalogue's values, in base64.
    let cases = [
        ("crc32", "y/Q5Jg=="),
        ("crc32c", "4waSgw=="),
        ("crc64nvme", "rosUhgp5mIg="),
        ("sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
    ];
    for (algorithm, value) in cases {
        let server = server();
        let agent = Agent::new(&server)
            .with_job(json!({ "transfer": { "checksum": algorithm, "verify": "always" } }));
        write_digits(&agent);
        once(&agent).expect_code(0);
        let requests = server.requests();
        let [put, head] = &requests[..] else {
            panic!("{requests:#?}");
        };
        let header = format!("x-amz-checksum-{algorithm}");
        assert_eq!(put.header(&header), Some(value), "{put:#?}");
        assert_eq!(head.header("x-amz-checksum-mode"), Some("ENABLED"));
        for unwanted in [
            "x-amz-trailer",
            "x-amz-sdk-checksum-algorithm",
            "content-md5",
        ] {
            assert_eq!(put.header(unwanted), None, "{put:#?}");
        }
        let sha256 = "sha256:15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225";
        assert_eq!(agent.history()[0]["checksum"], sha256);
    }
}

#[test]
fn nothing_goes_with_a_body_unless_it_is_asked_for() {
    let server = server();
    let agent = Agent::new(&server).with_job(json!({ "transfer": in_parts() }));
    agent.write_file("small", 100, 1);
    agent.write_file("large", LARGE, 2);
    once(&agent).expect_code(0);
    let requests = server.requests();
    assert_eq!(requests.len(), 6);
    for request in requests {
        let unasked = request.headers.iter().find(|(name, _)| {
            name.contains("checksum")
                || name.contains("s3ferry-sha256")
                || name == "content-md5"
                || name == "if-none-match"
                || name == "x-amz-mp-object-size"
        });
        assert_eq!(unasked, None, "{request:#?}");
    }
}

#[test]
fn the_checksum_of_a_resumed_upload_is_that_of_the_whole_file() {
    let server = server();
    let transfer =
        json!({ "multipart_threshold": "8MiB", "part_size": "5MiB", "checksum": "crc64nvme" });
    let agent = Agent::new(&server).with_job(json!({ "transfer": transfer }));
    agent.write_file("large", LARGE, 2);
    let second = |request: &Request| request.part_number() == Some(2);
    server.fail_next(1000, second, Failure::error(500, "InternalError"));
    once(&agent).expect_code(75);
    server.heal();
    let before = server.requests().len();
    // Another algorithm now: the upload keeps the one that it was begun with.
    let agent = agent.with_job(json!({ "transfer": { "checksum": "sha256" } }));
    once(&agent).expect_code(0);

    let requests = server.requests();
    let create = requests.iter().find(|r| r.is_create_multipart()).unwrap();
    assert_eq!(create.header("x-amz-checksum-algorithm"), Some("CRC64NVME"));
    assert_eq!(create.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
    let resumed = &requests[before..];
    let parts: Vec<_> = resumed.iter().filter_map(Request::part_number).collect();
    assert_eq!(parts, [2, 3], "the first part was sent before");
    let complete = resumed.iter().find(|r| r.is_complete_multipart()).unwrap();
    let expected =
        s3ferry::s3::checksum::CrcDigest::new(s3ferry::config::model::ChecksumAlgorithm::Crc64Nvme);
    let mut whole = expected.unwrap();
    whole.update(&server.object(BUCKET, "large").unwrap());
    let whole = whole.finish();
    assert_eq!(
        complete.header("x-amz-checksum-crc64nvme"),
        Some(whole.as_str())
    );
    assert_eq!(complete.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
    let size = LARGE.to_string();
    assert_eq!(complete.header("x-amz-mp-object-size"), Some(size.as_str()));
    assert_eq!(agent.history()[0]["checksum"], format!("crc64nvme:{whole}"));
}

/// The answers to an upload in three parts, with `complete` as the body of the last.
fn multipart_script(list: &str, complete: &str) -> Vec<Line> {
    let id =
        "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>";
    vec![
        Line::new(200, &[], id).on("POST", "uploads"),
        Line::new(200, &[("ETag", "\"e\"")], "")
            .on("PUT", "partNumber")
            .for_ever(),
        Line::new(200, &[], list).on("GET", "uploadId").for_ever(),
        Line::new(200, &[], complete).on("POST", "uploadId"),
    ]
}

#[test]
fn the_list_of_parts_names_the_checksum_of_each() {
    let complete = "<CompleteMultipartUploadResult><ETag>\"e-3\"</ETag>\
        </CompleteMultipartUploadResult>";
    let server = ScriptedServer::start(multipart_script("", complete));
    let transfer =
        json!({ "multipart_threshold": "8MiB", "part_size": "5MiB", "checksum": "sha256" });
    let agent = Agent::with_endpoint(&server.endpoint()).with_job(json!({ "transfer": transfer }));
    agent.write_file("large", LARGE, 2);
    once(&agent).expect_code(0);
    let requests = server.requests();
    let create = &requests[0];
    assert_eq!(create.header("x-amz-checksum-algorithm"), Some("SHA256"));
    assert_eq!(create.header("x-amz-checksum-type"), Some("COMPOSITE"));
    let parts: Vec<&Seen> = requests
        .iter()
        .filter(|seen| seen.method == "PUT")
        .collect();
    let last = requests.last().unwrap();
    let body = String::from_utf8(last.body.clone()).unwrap();
    for (index, part) in parts.iter().enumerate() {
        let checksum = part.header("x-amz-checksum-sha256").unwrap();
        let listed = format!(
            "<Part><PartNumber>{}</PartNumber><ETag>&quot;e&quot;</ETag><ChecksumSHA256>{checksum}</ChecksumSHA256></Part>",
            index + 1
        );
        assert!(body.contains(&listed), "{listed} is not in {body}");
    }
    let composite = last.header("x-amz-checksum-sha256").unwrap();
    assert!(composite.ends_with("=-3"), "{composite}");
    assert_eq!(
        agent.history()[0]["checksum"],
        format!("sha256:{composite}")
    );
}

#[test]
fn an_answer_with_another_checksum_is_no_confirmation() {
    let other = ("x-amz-checksum-crc32", "AAAAAA==");
    let server =
        ScriptedServer::start([Line::new(200, &[("ETag", "\"e\""), other], "").for_ever()]);
    let agent = Agent::with_endpoint(&server.endpoint())
        .with_job(json!({ "transfer": { "checksum": "crc32" }, "after_upload": "delete" }));
    write_digits(&agent);
    let output = once(&agent).expect_code(75);
    assert!(output.stderr.contains("crc32:AAAAAA=="), "{output:#?}");
    assert!(agent.source_file("digits").exists() && agent.history().is_empty());
}

#[test]
fn verify_always_knows_the_object_of_a_single_put_by_more_than_its_size() {
    let head = |headers: &str| {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n{headers}\r\n");
        Line::raw(answer).on("HEAD", "digits").for_ever()
    };
    let ours = "x-amz-meta-s3ferry-sha256: 15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225\r\n";
    let other_crc = format!("{ours}x-amz-checksum-crc32: AAAAAA==\r\n");
    let cases = [
        ("none", ours, 0),
        ("none", "", 75),
        ("none", "x-amz-meta-s3ferry-sha256: 00\r\n", 75),
        ("crc32", ours, 0),
        ("crc32", other_crc.as_str(), 75),
    ];
    for (checksum, headers, code) in cases {
        let put = Line::new(200, &[("ETag", "\"e\"")], "")
            .on("PUT", "digits")
            .for_ever();
        let server = ScriptedServer::start([put, head(headers)]);
        let transfer = json!({ "checksum": checksum, "verify": "always" });
        let agent =
            Agent::with_endpoint(&server.endpoint()).with_job(json!({ "transfer": transfer }));
        write_digits(&agent);
        once(&agent).expect_code(code);
        let confirmed = usize::from(code == 0);
        assert_eq!(agent.history().len(), confirmed, "{checksum} {headers}");
    }
}

#[test]
fn an_unsigned_payload_is_asked_for_unless_the_answer_proves_it() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n";
    let short = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n".to_owned();
    let cases = [
        ("crc32", Some("y/Q5Jg=="), None, 0),
        // A store that knows no checksums and keeps no metadata.
        ("crc32", None, Some(format!("{head}\r\n")), 0),
        ("none", None, Some(format!("{head}\r\n")), 0),
        (
            "none",
            None,
            Some(format!("{head}x-amz-meta-s3ferry-token: other\r\n\r\n")),
            75,
        ),
        ("none", None, Some(short), 75),
    ];
    for (checksum, named, head, code) in cases {
        let mut headers = vec![("ETag", "\"e\"")];
        headers.extend(named.map(|value| ("x-amz-checksum-crc32", value)));
        let mut script = vec![Line::new(200, &headers, "").on("PUT", "digits").for_ever()];
        script.extend(head.map(|answer| Line::raw(answer).on("HEAD", "digits").for_ever()));
        let server = ScriptedServer::start(script);
        let front = TlsFront::start(server.address());
        let agent = Agent::with_endpoint(&format!("https://{}", front.address()));
        let ca = agent.folder().join("ca.pem");
        front.write_certificate(&ca);
        let agent = agent.with_job(json!({
            "tls_options": { "ca_file": ca },
            "transfer": { "payload": "unsigned", "checksum": checksum },
        }));
        write_digits(&agent);
        once(&agent).expect_code(code);
        assert_eq!(
            agent.history().len(),
            usize::from(code == 0),
            "{checksum} {named:?}"
        );
    }
}

#[test]
fn the_lock_goes_with_the_object_and_an_md5_with_each_body() {
    let complete = "<CompleteMultipartUploadResult><ETag>\"e-3\"</ETag>\
        </CompleteMultipartUploadResult>";
    let mut script = multipart_script("", complete);
    script.push(Line::new(200, &[("ETag", "\"e\"")], "").on("PUT", "digits"));
    let server = ScriptedServer::start(script);
    let lock = json!({ "mode": "compliance", "retain_until": "2031-12-31", "legal_hold": true });
    let agent = Agent::with_endpoint(&server.endpoint())
        .with_job(json!({ "transfer": in_parts(), "object": { "object_lock": lock } }));
    write_digits(&agent);
    agent.write_file("large", LARGE, 2);
    once(&agent).expect_code(0);
    let requests = server.requests();
    let locked: Vec<&Seen> = requests
        .iter()
        .filter(|seen| seen.header("x-amz-object-lock-mode").is_some())
        .collect();
    assert_eq!(locked.len(), 2, "PutObject and CreateMultipartUpload");
    for seen in locked {
        let expected = [
            ("x-amz-object-lock-mode", "COMPLIANCE"),
            (
                "x-amz-object-lock-retain-until-date",
                "2031-12-31T00:00:00.000Z",
            ),
            ("x-amz-object-lock-legal-hold", "ON"),
        ];
        for (name, value) in expected {
            assert_eq!(seen.header(name), Some(value), "{seen:#?}");
        }
    }
    let bodies: Vec<&Seen> = requests
        .iter()
        .filter(|seen| seen.method == "PUT")
        .collect();
    assert_eq!(bodies.len(), 4);
    for seen in bodies {
        use base64::Engine;
        let md5 = base64::prelude::BASE64_STANDARD.encode(md5::compute(&seen.body).0);
        assert_eq!(seen.header("content-md5"), Some(md5.as_str()));
    }
}

#[test]
fn a_retention_counts_from_the_upload_on_and_a_checksum_takes_the_md5s_place() {
    let server = ScriptedServer::start([Line::new(200, &[("ETag", "\"e\"")], "")]);
    let lock = json!({ "mode": "governance", "retain_for": "365d" });
    let agent = Agent::with_endpoint(&server.endpoint()).with_job(json!({
        "transfer": { "checksum": "crc32c" },
        "object": { "object_lock": lock },
    }));
    write_digits(&agent);
    once(&agent).expect_code(0);
    let put = &server.requests()[0];
    let until = put.header("x-amz-object-lock-retain-until-date").unwrap();
    let until = time::OffsetDateTime::parse(until, &Rfc3339).unwrap();
    let days = (until - time::OffsetDateTime::now_utc()).whole_hours() as f64 / 24.0;
    assert!((364.9..=365.0).contains(&days), "{days}");
    assert_eq!(put.header("x-amz-checksum-crc32c"), Some("4waSgw=="));
    assert_eq!(put.header("content-md5"), None);
}

#[test]
fn a_customer_key_goes_with_every_request_that_needs_it_and_nowhere_else() {
    let server = server();
    let front = TlsFront::start(server.address());
    let agent = Agent::with_endpoint(&format!("https://{}", front.address()));
    let ca = agent.folder().join("ca.pem");
    front.write_certificate(&ca);
    let key = "12345678901234567890123456789012";
    let agent = agent.with_job(json!({
        "tls_options": { "ca_file": ca },
        "transfer": { "multipart_threshold": "8MiB", "part_size": "5MiB", "verify": "always" },
        "object": { "customer_key": key },
    }));
    agent.write_file("small", 100, 1);
    agent.write_file("large", LARGE, 2);
    let output = agent.run(&["once", "--give-up", "2s"]).expect_code(0);
    // Of the key itself, in base64, and of its MD5.
    let sent = [
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
        (
            "x-amz-server-side-encryption-customer-key",
            "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=",
        ),
        (
            "x-amz-server-side-encryption-customer-key-md5",
            "dnF5x6K/8ZZRzpfSlMMM+w==",
        ),
    ];
    let requests = server.requests();
    for request in &requests {
        for (name, value) in sent {
            let expected = (!request.is_complete_multipart()).then_some(value);
            assert_eq!(request.header(name), expected, "{request:#?}");
        }
    }
    let heads = requests.iter().filter(|request| request.method == "HEAD");
    assert_eq!((requests.len(), heads.count()), (8, 2));
    let records = format!("{output:?} {:?} {:?}", agent.events(), agent.history());
    assert!(
        !records.contains(key) && !records.contains(sent[1].1),
        "{records}"
    );
}

#[test]
fn a_setting_that_the_store_refuses_blocks_the_job_and_says_so() {
    let server = server();
    let error = Failure::error(400, "InvalidRequest");
    server.fail_next(1, Request::is_put_object, error);
    let lock = json!({ "legal_hold": true });
    let agent = Agent::new(&server).with_job(json!({ "object": { "object_lock": lock } }));
    agent.write_file("a", 100, 1);
    once(&agent).expect_code(77);
    let blocked = agent.events_of("job_blocked");
    assert_eq!(blocked[0]["error"]["code"], "InvalidRequest", "{blocked:?}");
    once(&agent).expect_code(0);
}
