//! The chain: who is asked before whom, and where it ends on a machine that is nobody's.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::json;

use super::*;
use crate::support::lacks;
use crate::support::server::S3Options;

/// Set where a test has started itself again, in a network of its own.
const INSIDE: &str = "S3FERRY_TEST_INSIDE";

#[test]
fn a_profile_goes_before_a_web_identity_and_the_environment_before_both() {
    let server = S3Server::start(S3Options::default());
    let sts = ScriptedServer::start([text(
        200,
        &sts::answer("AssumeRoleWithWebIdentity", &in_seconds(3600)),
    )
    .for_ever()]);
    let agent = agent(&server, json!(null))
        .with_env("AWS_ENDPOINT_URL_STS", &sts.endpoint())
        .with_env("AWS_ROLE_ARN", sts::ROLE)
        .with_env("AWS_PROFILE", "backup");
    let file = |name: &str| agent.folder().join(name);
    std::fs::write(file("token"), "hush-hush.jwt").unwrap();
    std::fs::create_dir(file(".aws")).unwrap();
    // A process may stand in a file that others can open.
    let keys = keys(TOKEN, &in_seconds(3600)).replace("\"Code\"", "\"Version\":1,\"Code\"");
    std::fs::write(file("keys"), keys).unwrap();
    let process = format!(
        "[profile backup]\ncredential_process = /bin/cat {}\n",
        file("keys").display()
    );
    std::fs::write(file(".aws/config"), process).unwrap();
    let token = file("token");
    let mut agent = agent.with_env("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap());
    assert!(checked(&agent).contains("from profile `backup`, which leads to a process"));
    assert!(sts.requests().is_empty());
    // Without a profile that has anything it is the platform's turn.
    agent.set_env("AWS_PROFILE", "");
    assert!(checked(&agent).contains("from web identity (role "));
    agent.set_env("AWS_PROFILE", "backup");
    agent.set_env("AWS_ACCESS_KEY_ID", ACCESS_KEY);
    agent.set_env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    assert!(checked(&agent).contains("from the environment"));
}

/// Runs this test again where 169.254.169.254 is an address of the machine's own. True inside of it.
fn in_a_network_of_its_own(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let network = |rest: &str| {
        let set_up = "ip link set lo up && ip addr add 169.254.169.254/32 dev lo && ";
        let mut command = Command::new("unshare");
        command.args(["-n", "sh", "-c", &format!("{set_up}{rest}"), "sh"]);
        command
    };
    let works = network("true").output();
    let works = works.is_ok_and(|output| output.status.success());
    if !lacks("the right to a network of one's own (unshare, ip)", works) {
        let mut again = network("exec \"$@\"");
        again.arg(std::env::current_exe().unwrap());
        again
            .args(["--exact", test, "--nocapture"])
            .env(INSIDE, "1");
        let output = again.output().unwrap();
        assert!(output.status.success(), "{output:#?}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("1 passed"), "{said}");
    }
    false
}

#[test]
fn what_answers_at_the_metadata_address_need_not_be_ec2() {
    let name = "credentials::order::what_answers_at_the_metadata_address_need_not_be_ec2";
    if !in_a_network_of_its_own(name) {
        return;
    }
    let vendor = std::fs::read_to_string("/sys/class/dmi/id/sys_vendor").unwrap_or_default();
    if vendor.to_lowercase().starts_with("amazon ec2") {
        return;
    }
    let server = S3Server::start(S3Options::default());
    for (line, said) in [
        (text(404, "<html>"), "HTTP 404"),
        (text(403, ""), "HTTP 403"),
        (text(503, ""), "HTTP 503"),
        (
            text(200, "<html>log in here, please</html>"),
            "the answer is no token",
        ),
        (
            Line::raw("HTTP/1.1 200 OK\r\n\r\n"),
            "the answer is no token",
        ),
    ] {
        let address = SocketAddr::from(([169, 254, 169, 254], 80));
        let _somebody = ScriptedServer::start_at(address, [line.close().for_ever()]);
        let agent = agent(&server, json!(null)).with_env("AWS_EC2_METADATA_DISABLED", "false");
        let words = [
            "no credentials found: environment: AWS_ACCESS_KEY_ID is not set; ",
            &format!("instance metadata: {said}, on a machine that is not known to be EC2"),
        ];
        is_refused(said, &server, &agent, 77, &words);
        let output = agent.run(&["check"]).expect_code(77);
        let said = output.stdout + &output.stderr;
        assert!(
            said.contains("set `credentials` in the configuration"),
            "{said}"
        );
        assert!(!said.contains("hop limit"), "{said}");
    }
}
