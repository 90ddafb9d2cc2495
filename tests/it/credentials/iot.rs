//! AWS IoT Core's credential provider: a real TLS server that demands the device's certificate.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    SignatureAlgorithm,
};
use rustls::RootCertStore;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use serde_json::json;

use super::*;
use crate::support::connect_proxy::ConnectProxy;
use crate::support::server::S3Options;
use crate::support::tls::TlsFront;

pub(super) struct Fleet {
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Fleet {
    pub(super) fn new() -> Fleet {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.not_before = rcgen::date_time_ymd(2024, 1, 1);
        let authority =
            CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        Fleet { authority }
    }

    fn signed(
        &self,
        purpose: ExtendedKeyUsagePurpose,
        algorithm: &'static SignatureAlgorithm,
    ) -> (rcgen::Certificate, KeyPair) {
        let mut parameters = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap();
        parameters.extended_key_usages = vec![purpose];
        parameters.not_before = rcgen::date_time_ymd(2024, 1, 1);
        let key = KeyPair::generate_for(algorithm).unwrap();
        (parameters.signed_by(&key, &self.authority).unwrap(), key)
    }

    /// Lets nobody in without a certificate of this fleet.
    pub(super) fn endpoint(&self, service: &ScriptedServer) -> TlsFront {
        let (certificate, key) = self.signed(
            ExtendedKeyUsagePurpose::ServerAuth,
            &rcgen::PKCS_ECDSA_P256_SHA256,
        );
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .unwrap();
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        TlsFront::with_config(service.address(), config, self.authority.pem())
    }

    /// A device with a certificate of this fleet.
    pub(super) fn device(&self, server: &S3Server, front: &TlsFront) -> Agent {
        self.device_with(server, front, &rcgen::PKCS_ECDSA_P256_SHA256)
    }

    fn device_with(
        &self,
        server: &S3Server,
        front: &TlsFront,
        algorithm: &'static SignatureAlgorithm,
    ) -> Agent {
        let mut agent = agent(server, json!(null));
        let (certificate, key) = self.signed(ExtendedKeyUsagePurpose::ClientAuth, algorithm);
        let file = |name: &str| agent.folder().join(name);
        std::fs::write(file("device.crt"), certificate.pem()).unwrap();
        std::fs::write(file("device.key"), key.serialize_pem()).unwrap();
        std::fs::set_permissions(file("device.key"), std::fs::Permissions::from_mode(0o600))
            .unwrap();
        front.write_certificate(&file("ca.crt"));
        let credentials = json!({
            "provider": "iot", "endpoint": format!("https://{}", front.address()), "role_alias": "s3ferry=fleet",
            "thing_name": "recorder-7", "certificate": file("device.crt"), "private_key": file("device.key"),
            "ca_file": file("ca.crt"),
        });
        agent.config["jobs"][0]["credentials"] = credentials;
        agent
    }
}

pub(super) fn credentials(expires: &str) -> String {
    json!({ "credentials": {
        "accessKeyId": ACCESS_KEY, "secretAccessKey": SECRET_KEY, "sessionToken": TOKEN, "expiration": expires,
    } })
    .to_string()
}

#[test]
fn a_device_signs_with_the_keys_that_its_certificate_brings() {
    let server = S3Server::start(S3Options::default());
    let fleet = Fleet::new();
    let service = ScriptedServer::start([text(200, &credentials(&in_seconds(3600))).for_ever()]);
    let front = fleet.endpoint(&service);
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
    ] {
        let agent = fleet.device_with(&server, &front, algorithm);
        assert_eq!(uploads("iot", &server, &agent).as_deref(), Some(TOKEN));
        let line = checked(&agent);
        assert!(
            line.contains(
                "from AWS IoT (role alias `s3ferry=fleet`), access key …key, good until 20"
            ),
            "{line}"
        );
    }
    for seen in service.requests() {
        assert_eq!(
            (seen.method.as_str(), seen.target.as_str()),
            ("GET", "/role-aliases/s3ferry%3Dfleet/credentials")
        );
        assert_eq!(seen.header("x-amzn-iot-thingname"), Some("recorder-7"));
    }
}

#[test]
fn the_devices_request_goes_the_jobs_way_through_a_proxy() {
    let server = S3Server::start(S3Options::default());
    let fleet = Fleet::new();
    let service = ScriptedServer::start([text(200, &credentials(&in_seconds(3600))).for_ever()]);
    let front = fleet.endpoint(&service);
    let proxy = ConnectProxy::start(front.address());
    let store = format!("http://localhost:{}", server.port());
    let agent = fleet
        .device(&server, &front)
        .with_job(json!({ "proxy": "environment", "endpoint": store }))
        .with_env("HTTPS_PROXY", &proxy.url())
        .with_env("NO_PROXY", "localhost");
    assert_eq!(uploads("proxy", &server, &agent).as_deref(), Some(TOKEN));
    assert_eq!(proxy.asked_for(), [front.address().to_string()]);
    assert_eq!(service.requests().len(), 1);
}

#[test]
fn a_device_without_a_certificate_of_the_fleet_is_let_nowhere() {
    let server = S3Server::start(S3Options::default());
    let (fleet, others) = (Fleet::new(), Fleet::new());
    let service = ScriptedServer::start([text(200, &credentials(&in_seconds(3600))).for_ever()]);
    let front = fleet.endpoint(&service);
    let stranger = others.device(&server, &front);
    is_refused(
        "another fleet",
        &server,
        &stranger,
        75,
        &[
            "AWS IoT: 127.0.0.1:",
            "the server refuses the client certificate",
            "give `credentials.certificate` and `credentials.private_key` a certificate that is active",
        ],
    );
    let impostor = others.endpoint(&service);
    let mut agent = fleet.device(&server, &front);
    agent.config["jobs"][0]["credentials"]["endpoint"] =
        json!(format!("https://{}", impostor.address()));
    is_refused(
        "an impostor",
        &server,
        &agent,
        75,
        &[
            "credentials: CertificateUnknownIssuer: AWS IoT: 127.0.0.1:",
            "set `credentials.ca_file` to the CA",
        ],
    );
    assert!(service.requests().is_empty());
}

/// The endpoint's keys are named, not those of the store: AWS IoT takes no plain HTTP, for one.
#[test]
fn what_keeps_the_device_from_its_endpoint_is_cured_at_the_endpoints_own_keys() {
    let server = S3Server::start(S3Options::default());
    let fleet = Fleet::new();
    let plain = S3Server::start(S3Options::default());
    let front = fleet.endpoint(&ScriptedServer::start([]));
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = nobody.local_addr().unwrap();
    drop(nobody);
    let by_name = format!("localhost:{}", front.address().port());
    let cases = [
        (
            plain.address().to_string(),
            "NoTls",
            "AWS IoT speaks TLS alone",
        ),
        (
            closed.to_string(),
            "ConnectionRefused",
            "nothing listens there",
        ),
        (by_name, "CertificateName", "iot:CredentialProvider` prints"),
        ("iot.invalid".into(), "HostNotFound", "typing error"),
    ];
    for (endpoint, code, cure) in cases {
        let mut agent = fleet.device(&server, &front);
        agent.config["jobs"][0]["credentials"]["endpoint"] = json!(endpoint);
        let words = [code, "`credentials.endpoint`", cure];
        is_refused(&endpoint, &server, &agent, 75, &words);
        let output = agent.run(&["check", "--json"]).expect_code(75);
        let finding = output
            .json_lines()
            .into_iter()
            .find(|f| f["step"] == "credentials");
        let told = finding.unwrap()["cure"].as_str().unwrap().to_owned();
        assert!(told.contains("`credentials.endpoint`"), "{told}");
        for of_the_store in ["`tls`", "`tls: false`", "http://", "`host`", "`port`"] {
            assert!(!told.contains(of_the_store), "{endpoint}: {told}");
        }
    }
}

/// Each file by its key, and the job's own `ca_file` by its own.
#[test]
fn a_file_of_the_device_that_is_not_there_or_wrong_is_cured_at_its_key() {
    let server = S3Server::start(S3Options::default());
    let fleet = Fleet::new();
    let service = ScriptedServer::start([]);
    let front = fleet.endpoint(&service);
    for (file, key) in [
        ("ca.crt", "`credentials.ca_file`"),
        ("device.crt", "`credentials.certificate`"),
        ("device.key", "`credentials.private_key`"),
    ] {
        let agent = fleet.device(&server, &front);
        let path = agent.folder().join(file);
        std::fs::write(&path, "hush-hush").unwrap();
        let shown = format!("`{}`", path.display());
        is_refused(
            file,
            &server,
            &agent,
            77,
            &["AWS IoT: ", &shown, &format!("let {key} name")],
        );
        std::fs::remove_file(&path).unwrap();
        let words = [
            &*format!("cannot read {shown}"),
            "put the",
            &format!("or correct {key}"),
        ];
        is_refused(file, &server, &agent, 77, &words);
    }
    assert!(service.requests().is_empty());
}

#[test]
fn a_private_key_that_cannot_be_used_is_told_with_what_to_do() {
    let server = S3Server::start(S3Options::default());
    let fleet = Fleet::new();
    let service = ScriptedServer::start([]);
    let front = fleet.endpoint(&service);
    let agent = fleet.device(&server, &front);
    let key = agent.folder().join("device.key");
    let mode =
        |mode| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o640);
    is_refused(
        "open",
        &server,
        &agent,
        77,
        &["(mode 0640); run `chmod 600 "],
    );
    mode(0o600);
    std::fs::write(&key, "hush-hush").unwrap();
    is_refused(
        "no key",
        &server,
        &agent,
        77,
        &["is not a private key in PEM"],
    );
    std::fs::write(&key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    is_refused(
        "another's key",
        &server,
        &agent,
        77,
        &["is not the private key of the client certificate"],
    );
    std::fs::remove_file(&key).unwrap();
    is_refused("none", &server, &agent, 77, &["cannot read `"]);
    std::os::unix::fs::symlink("device.crt", &key).unwrap();
    is_refused("a link", &server, &agent, 77, &["is a symbolic link"]);
    assert!(service.requests().is_empty());
}

#[test]
fn answers_that_bring_no_keys_are_told_with_what_to_do() {
    let server = S3Server::start(S3Options::default());
    let fleet = Fleet::new();
    let message = |status, text_of: &str| text(status, &json!({ "message": text_of }).to_string());
    let cases: Vec<(&str, Line, i32, &[&str])> = vec![
        (
            "no permission",
            message(403, "Access Denied"),
            77,
            &["AWS IoT: HTTP 403: Access Denied"],
        ),
        (
            "no alias",
            message(404, "Role alias does not exist"),
            77,
            &["HTTP 404: Role alias does not exist"],
        ),
        (
            "a bad request",
            message(400, "Invalid\r\nthing"),
            77,
            &["HTTP 400: Invalid  thing"],
        ),
        (
            "throttled",
            message(429, "Too many"),
            75,
            &["HTTP 429: Too many", "NoCredentialsNow"],
        ),
        ("busy", text(500, "<html>"), 75, &["HTTP 500"]),
        (
            "a redirect",
            Line::new(302, &[("Location", "https://127.0.0.1:9/")], ""),
            77,
            &["HTTP 302"],
        ),
        (
            "no JSON",
            text(200, "<html>hush-hush"),
            77,
            &["no JSON object"],
        ),
        (
            "no credentials",
            text(200, "{\"message\": \"hush-hush\"}"),
            77,
            &["the answer has no `credentials`"],
        ),
        (
            "no object",
            text(200, "{\"credentials\": \"hush-hush\"}"),
            77,
            &["the answer has no `credentials`"],
        ),
        (
            "no keys",
            text(200, "{\"credentials\": {}}"),
            77,
            &["`accessKeyId` in the answer is missing"],
        ),
        (
            "no time",
            text(200, &credentials("soon")),
            77,
            &["`expiration` in the answer is no time"],
        ),
        ("too long", too_long(), 75, &["AnswerTooLong"]),
        ("no answer", Line::raw(""), 75, &["AWS IoT: 127.0.0.1:"]),
    ];
    for (name, line, code, words) in cases {
        let service = ScriptedServer::start([line.for_ever()]);
        let front = fleet.endpoint(&service);
        is_refused(name, &server, &fleet.device(&server, &front), code, words);
    }
}
