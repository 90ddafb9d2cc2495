//! A bucket as curl sees it: a client that is not ours, with a signer of its own.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::support::server::{ACCESS_KEY, SECRET_KEY};

/// What Signature Version 4 leaves as it is, and the slashes of a key.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

pub struct Bucket {
    pub name: String,
    url: String,
    ca_file: Option<PathBuf>,
}

/// The answer to a HEAD.
#[derive(Debug)]
pub struct Head(Vec<(String, String)>);

impl Head {
    /// The header of that name, which must be lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(n, _)| n == name)?;
        Some(&found.1)
    }
}

impl Bucket {
    pub fn new(endpoint: &str, name: &str) -> Bucket {
        Bucket {
            name: name.to_owned(),
            url: format!("{endpoint}/{name}"),
            ca_file: None,
        }
    }

    /// Over TLS with a CA of its own.
    pub fn trusting(self, ca_file: Option<&Path>) -> Bucket {
        Bucket {
            ca_file: ca_file.map(Path::to_owned),
            ..self
        }
    }

    pub fn try_create(&self) -> bool {
        self.make().is_ok()
    }

    #[track_caller]
    pub fn create(&self) {
        self.make().unwrap();
    }

    /// The error is what curl said.
    fn make(&self) -> Result<(), String> {
        let region = "<CreateBucketConfiguration><LocationConstraint>eu-west-2\
                      </LocationConstraint></CreateBucketConfiguration>";
        let xml = "Content-Type: application/xml";
        let put = [
            "--fail", "--header", xml, "-X", "PUT", "--data", region, &self.url,
        ];
        let made = self.curl(&put).output().unwrap();
        // 22: an answer of 400 or more; here, that it exists.
        if made.status.success() || made.status.code() == Some(22) {
            return Ok(());
        }
        Err(format!("{}: {made:?}", self.url))
    }

    /// An object of a few bytes.
    pub fn try_put(&self, key: &str) -> bool {
        let put = ["--fail", "-X", "PUT", "--data", "ready", &self.object(key)];
        self.curl(&put).output().unwrap().status.success()
    }

    #[track_caller]
    pub fn get(&self, key: &str) -> Vec<u8> {
        let output = self.curl(&["--fail", &self.object(key)]).output().unwrap();
        assert!(output.status.success(), "`{key}`: {output:?}");
        output.stdout
    }

    /// Is the object the same, byte for byte? Holds neither in memory.
    pub fn has_same(&self, key: &str, file: &Path) -> bool {
        let mut child = self
            .curl(&["--fail", &self.object(key)])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let object = child.stdout.take().unwrap();
        let same = same_bytes(object, File::open(file).unwrap());
        // Where they differ, curl has met a closed pipe.
        child.wait().unwrap().success() && same
    }

    #[track_caller]
    pub fn head(&self, key: &str) -> Head {
        let output = self
            .curl(&["--fail", "--head", &self.object(key)])
            .output()
            .unwrap();
        assert!(output.status.success(), "`{key}`: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Head(text.lines().filter_map(header).collect())
    }

    /// All keys that XML writes as they are.
    pub fn keys(&self) -> BTreeSet<String> {
        let text = self.ask("?list-type=2");
        let keys = text.split("<Key>").skip(1);
        keys.map(|rest| rest.split("</Key>").next().unwrap().to_owned())
            .collect()
    }

    /// How many multipart uploads are under way.
    pub fn open_uploads(&self) -> usize {
        self.ask("?uploads=").matches("<UploadId>").count()
    }

    fn ask(&self, query: &str) -> String {
        let url = format!("{}{query}", self.url);
        let output = self.curl(&["--fail", &url]).output().unwrap();
        assert!(output.status.success(), "{url}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn curl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--show-error", "--path-as-is", "--globoff"])
            .args(["--noproxy", "*", "--max-time", "120"])
            // SeaweedFS resets a stream of HTTP/2 now and then.
            .arg("--http1.1")
            .args(["--aws-sigv4", "aws:amz:eu-west-2:s3"])
            .args(["--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"])
            .args(["--user", &format!("{ACCESS_KEY}:{SECRET_KEY}")])
            .args(arguments)
            .stdin(Stdio::null());
        if let Some(ca_file) = &self.ca_file {
            command.arg("--cacert").arg(ca_file);
        }
        command
    }

    fn object(&self, key: &str) -> String {
        format!("{}/{}", self.url, utf8_percent_encode(key, KEPT))
    }
}

fn same_bytes(one: impl Read, other: impl Read) -> bool {
    use std::io::BufRead;
    let (mut one, mut other) = (BufReader::new(one), BufReader::new(other));
    loop {
        let (a, b) = (one.fill_buf().unwrap(), other.fill_buf().unwrap());
        let length = a.len().min(b.len());
        if a[..length] != b[..length] || (length == 0 && a.len() != b.len()) {
            return false;
        }
        if length == 0 {
            return true;
        }
        one.consume(length);
        other.consume(length);
    }
}
