//! The S3 operations that an upload is made of, one method each, named as S3 names them.

use std::time::Duration;

use http::HeaderMap;
use percent_encoding::utf8_percent_encode;
use s3::command::{Command, Multipart};
use s3::serde_types::CompleteMultipartUploadData;

use super::QUERY_VALUE;
use super::answer::{self, Malformed, PartsPage, UploadsPage, checksum_element};
use super::checksum::Checksum;
use super::client::Client;
use super::completion::{Completion, SentPart, list_of};
use super::failure::{self, Class, Failure};
use super::headers::{self, CreateOptions};
use super::operation::{Answer, Body, Limits, Operation, Payload};
use crate::config::model::ChecksumAlgorithm;

/// S3 keeps the connection alive with white space while it joins the parts.
const COMPLETE_WITHIN: Duration = Duration::from_secs(20 * 60);

const NOT_S3: &str =
    "something on the way answers in S3's place: log in to the network, set `proxy`, or use TLS";

/// S3's name for a multipart upload, as S3 gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadId(pub String);

impl UploadId {
    fn encoded(&self) -> String {
        utf8_percent_encode(&self.0, QUERY_VALUE).to_string()
    }
}

/// What S3 said of an object that it now holds.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub etag: Option<String>,
    pub version_id: Option<String>,
    /// Those that S3 keeps with the object and has named.
    pub checksums: Vec<Checksum>,
}

impl Receipt {
    pub fn checksum(&self, algorithm: ChecksumAlgorithm) -> Option<&Checksum> {
        let mut known = self.checksums.iter();
        known.find(|checksum| checksum.algorithm == algorithm)
    }
}

/// What a HEAD says of an object.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Bytes.
    pub size: Option<u64>,
    /// As [`CreateOptions::token`].
    pub token: Option<String>,
    /// As [`CreateOptions::sha256`].
    pub sha256: Option<String>,
    pub receipt: Receipt,
}

impl Client {
    /// A whole object in one request; with `only_if_new` where no other has the key.
    pub fn put_object(
        &mut self,
        key: &str,
        options: CreateOptions<'_>,
        only_if_new: bool,
        body: &dyn Body,
    ) -> Result<Receipt, Failure> {
        let command = Command::PutObject {
            content: &[],
            content_type: options.content_type,
            custom_headers: None,
            multipart: None,
        };
        let name = "PutObject";
        let lock = &options.object.object_lock;
        self.refuse_past_retention(name, lock)?;
        let mut extra = headers::of_creation(options, self.signing_time())?;
        self.add_customer_key(&mut extra);
        self.add_condition(&mut extra, only_if_new)?;
        add_hashes(&mut extra, body)?;
        let payload = Payload::Stream(body);
        let answer = self
            .send(&operation(name, key, command, extra, payload))
            .map_err(|failure| self.by_retention(failure, lock))?;
        confirmed_by_s3(name, &answer)?;
        Ok(receipt(&answer))
    }

    /// `checksum` is the algorithm of all that follows for this upload.
    pub fn create_multipart_upload(
        &mut self,
        key: &str,
        options: CreateOptions<'_>,
        checksum: Option<ChecksumAlgorithm>,
    ) -> Result<UploadId, Failure> {
        let command = Command::InitiateMultipartUpload {
            content_type: options.content_type,
        };
        let name = "CreateMultipartUpload";
        let lock = &options.object.object_lock;
        self.refuse_past_retention(name, lock)?;
        let mut extra = headers::of_creation(options, self.signing_time())?;
        self.add_customer_key(&mut extra);
        if let Some(algorithm) = checksum {
            headers::add_algorithm(&mut extra, algorithm)?;
        }
        let payload = Payload::Bytes(Vec::new());
        let answer = self
            .send(&operation(name, key, command, extra, payload))
            .map_err(|failure| self.by_retention(failure, lock))?;
        let path = ["InitiateMultipartUploadResult", "UploadId"];
        match answer::text_at(&answer.body, &path) {
            Ok(Some(id)) if !id.is_empty() => Ok(UploadId(id)),
            _ => Err(failure::from_answer(
                name,
                200,
                &answer.headers,
                &answer.body,
            )),
        }
    }

    /// Sends part `number` (1 to 10,000). The ETag as S3 gave it, empty where it gave none.
    pub fn upload_part(
        &mut self,
        key: &str,
        upload: &UploadId,
        number: u32,
        body: &dyn Body,
    ) -> Result<String, Failure> {
        let id = upload.encoded();
        let command = Command::PutObject {
            content: &[],
            content_type: "application/octet-stream",
            custom_headers: None,
            multipart: Some(Multipart::new(number, &id)),
        };
        let mut extra = HeaderMap::new();
        self.add_customer_key(&mut extra);
        add_hashes(&mut extra, body)?;
        let payload = Payload::Stream(body);
        let name = "UploadPart";
        let answer = self.send(&operation(name, key, command, extra, payload))?;
        confirmed_by_s3(name, &answer)?;
        Ok(answer.header("etag").unwrap_or_default())
    }

    /// Joins `parts`, ascending. A 200 counts only with a `CompleteMultipartUploadResult` in it.
    pub fn complete_multipart_upload(
        &mut self,
        key: &str,
        upload: &UploadId,
        parts: &[SentPart],
        completion: Completion<'_>,
    ) -> Result<Receipt, Failure> {
        let name = "CompleteMultipartUpload";
        let id = upload.encoded();
        let mut extra = HeaderMap::new();
        self.add_condition(&mut extra, completion.only_if_new)?;
        let algorithm = completion.checksum.map(|checksum| checksum.algorithm);
        if let Some(checksum) = completion.checksum {
            self.add_customer_key(&mut extra);
            headers::add_checksum(&mut extra, checksum)?;
            let size = completion.size.to_string();
            headers::add(&mut extra, "x-amz-mp-object-size", &size)?;
        }
        let command = Command::CompleteMultipartUpload {
            upload_id: &id,
            // It knows no checksums: the body is ours.
            data: CompleteMultipartUploadData { parts: Vec::new() },
        };
        let content = list_of(parts, algorithm).into_bytes();
        let mut operation = operation(name, key, command, extra, Payload::Bytes(content));
        operation.limits = Limits {
            answer_body: COMPLETE_WITHIN,
        };
        let answer = self.send(&operation)?;
        if answer::root(&answer.body).as_deref() != Some("CompleteMultipartUploadResult") {
            return Err(failure::from_answer(
                name,
                200,
                &answer.headers,
                &answer.body,
            ));
        }
        let field = |name| {
            let path = ["CompleteMultipartUploadResult", name];
            answer::text_at(&answer.body, &path).ok().flatten()
        };
        let named = algorithm.and_then(|algorithm| {
            let value = field(checksum_element(algorithm))?;
            Some(Checksum { algorithm, value })
        });
        let mut receipt = Receipt {
            etag: field("ETag"),
            ..receipt(&answer)
        };
        receipt.checksums.extend(named);
        Ok(receipt)
    }

    /// Done when S3 says so, and when it says that there is no such upload.
    pub fn abort_multipart_upload(&mut self, key: &str, upload: &UploadId) -> Result<(), Failure> {
        let id = upload.encoded();
        let command = Command::AbortMultipartUpload { upload_id: &id };
        let name = "AbortMultipartUpload";
        match self.send(&operation(
            name,
            key,
            command,
            HeaderMap::new(),
            Payload::None,
        )) {
            Ok(_) => Ok(()),
            Err(failure) if failure.has_code("NoSuchUpload") => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    /// One page of the parts that S3 holds, from `marker` on.
    pub fn list_parts(
        &mut self,
        key: &str,
        upload: &UploadId,
        marker: Option<&str>,
    ) -> Result<PartsPage, Failure> {
        let name = "ListParts";
        let mut extra = HeaderMap::new();
        self.add_customer_key(&mut extra);
        let mut operation = operation(name, key, Command::GetObject, extra, Payload::None);
        // rust-s3 encodes these by itself.
        operation.query = vec![("uploadId", upload.0.clone())];
        if let Some(marker) = marker {
            operation
                .query
                .push(("part-number-marker", marker.to_owned()));
        }
        let answer = self.send(&operation)?;
        if answer::root(&answer.body).as_deref() != Some("ListPartsResult") {
            return Err(failure::from_answer(
                name,
                200,
                &answer.headers,
                &answer.body,
            ));
        }
        answer::parts(&answer.body).map_err(|error| malformed(name, error))
    }

    /// One page of the multipart uploads that are open below `prefix`.
    pub fn list_multipart_uploads(
        &mut self,
        prefix: &str,
        from: Option<&(String, String)>,
    ) -> Result<UploadsPage, Failure> {
        let name = "ListMultipartUploads";
        let command = Command::ListMultipartUploads {
            prefix: Some(prefix),
            delimiter: None,
            key_marker: from.map(|(key, _)| key.clone()),
            upload_id_marker: from.map(|(_, id)| id.clone()),
            max_uploads: None,
        };
        let answer = self.send(&operation(
            name,
            "",
            command,
            HeaderMap::new(),
            Payload::None,
        ))?;
        if answer::root(&answer.body).as_deref() != Some("ListMultipartUploadsResult") {
            return Err(failure::from_answer(
                name,
                200,
                &answer.headers,
                &answer.body,
            ));
        }
        answer::uploads(&answer.body).map_err(|error| malformed(name, error))
    }

    /// `Ok(None)`: there is no such object.
    pub fn head_object(&mut self, key: &str) -> Result<Option<ObjectInfo>, Failure> {
        self.head(key, HeaderMap::new())
    }

    /// As [`Client::head_object`], and S3 names the object's checksums; of an object under a KMS key
    /// only to who may use that (`kms:Decrypt`).
    pub fn head_object_with_checksums(&mut self, key: &str) -> Result<Option<ObjectInfo>, Failure> {
        let mut extra = HeaderMap::new();
        headers::add(&mut extra, "x-amz-checksum-mode", "ENABLED")?;
        self.head(key, extra)
    }

    fn head(&mut self, key: &str, mut extra: HeaderMap) -> Result<Option<ObjectInfo>, Failure> {
        self.add_customer_key(&mut extra);
        let command = Command::HeadObject;
        let answer = match self.send(&operation("HeadObject", key, command, extra, Payload::None)) {
            Ok(answer) => answer,
            Err(failure) if failure.http_status == Some(404) => return Ok(None),
            Err(failure) => return Err(failure),
        };
        Ok(Some(ObjectInfo {
            size: answer
                .header("content-length")
                .and_then(|length| length.parse().ok()),
            token: answer.header(headers::TOKEN),
            sha256: answer.header(headers::SHA256),
            receipt: receipt(&answer),
        }))
    }

    pub fn delete_object(&mut self, key: &str) -> Result<(), Failure> {
        let command = Command::DeleteObject;
        self.send(&operation(
            "DeleteObject",
            key,
            command,
            HeaderMap::new(),
            Payload::None,
        ))
        .map(|_| ())
    }
}

fn operation<'a>(
    name: &'static str,
    key: &'a str,
    command: Command<'a>,
    extra: HeaderMap,
    payload: Payload<'a>,
) -> Operation<'a> {
    Operation {
        name,
        key,
        command,
        extra,
        query: Vec::new(),
        payload,
        limits: Limits::default(),
    }
}

fn receipt(answer: &Answer) -> Receipt {
    Receipt {
        etag: answer.header("etag"),
        version_id: answer
            .header("x-amz-version-id")
            .filter(|version| version != "null"),
        checksums: headers::checksums(answer),
    }
}

fn add_hashes(extra: &mut HeaderMap, body: &dyn Body) -> Result<(), Failure> {
    if let Some(checksum) = body.checksum() {
        let name = headers::of_checksum(checksum.algorithm);
        headers::add(extra, name, &checksum.value)?;
    }
    if let Some(md5) = body.md5() {
        headers::add(extra, "content-md5", md5)?;
    }
    Ok(())
}

/// A 200 alone is no confirmation: the log-in page of a network is one, too. S3 names the object's
/// ETag, and itself in a request id.
fn confirmed_by_s3(name: &'static str, answer: &Answer) -> Result<(), Failure> {
    if ["etag", "x-amz-request-id"]
        .iter()
        .any(|header| answer.headers.contains_key(*header))
    {
        return Ok(());
    }
    Err(Failure {
        hint: Some(NOT_S3),
        ..failure::from_answer(name, 200, &answer.headers, &answer.body)
    })
}

fn malformed(name: &'static str, error: Malformed) -> Failure {
    Failure {
        code: Some("MalformedAnswer".to_owned()),
        ..Failure::new(Class::Temporary, name, error.0)
    }
}
