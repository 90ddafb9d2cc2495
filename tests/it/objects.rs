//! What every object gets, and what is done about an object that is there already.

use serde_json::json;

use crate::support::agent::Agent;
use crate::support::server::{S3Options, S3Server};

#[test]
fn names_that_begin_alike_do_not_break_the_signature() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server).with_job(json!({ "object": {
        "metadata": { "site": "7", "site-name": "north", "site.z": "1" },
        "server_side_encryption": "aws:kms",
        "kms_key_id": "a-key",
    } }));
    agent.write_file("a", 100, 1);
    agent.run(&["once", "--give-up", "1s"]).expect_code(0);
}
