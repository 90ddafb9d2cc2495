//! The S3 operations that an upload is made of, one method each, named as S3 names them.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use quick_xml::escape::escape;
use s3::command::{Command, Multipart};
use s3::serde_types::{CompleteMultipartUploadData, Part};

use super::answer::{self, Malformed, PartsPage, UploadsPage};
use super::client::{Answer, Body, Client, Limits, Operation, Payload};
use super::failure::{self, Class, Failure};
use crate::config::model::ObjectOptions;

/// S3 keeps the connection alive with white space while it joins the parts.
const COMPLETE_WITHIN: Duration = Duration::from_secs(20 * 60);
/// Everything but RFC 3986's unreserved characters: rust-s3 writes an upload id as it stands, and
/// a `+` in it would break the signature.
const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The user metadata that tells our object from anybody else's.
const TOKEN_HEADER: &str = "x-amz-meta-s3ferry-token";

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
}

/// What a HEAD says of an object.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Bytes.
    pub size: Option<u64>,
    pub token: Option<String>,
    pub receipt: Receipt,
}

/// What an object is created with.
#[derive(Debug, Clone, Copy)]
pub struct CreateOptions<'a> {
    pub object: &'a ObjectOptions,
    pub content_type: &'a str,
    /// Ours, to recognise the object again.
    pub token: Option<&'a str>,
}

impl Client {
    /// A whole object in one request.
    pub fn put_object(
        &mut self,
        key: &str,
        options: CreateOptions<'_>,
        body: &dyn Body,
    ) -> Result<Receipt, Failure> {
        let command = Command::PutObject {
            content: &[],
            content_type: options.content_type,
            custom_headers: None,
            multipart: None,
        };
        let extra = creation_headers(options)?;
        let payload = Payload::Stream(body);
        let name = "PutObject";
        let answer = self.send(&operation(name, key, command, extra, payload))?;
        confirmed_by_s3(name, &answer)?;
        Ok(receipt(&answer))
    }

    pub fn create_multipart_upload(
        &mut self,
        key: &str,
        options: CreateOptions<'_>,
    ) -> Result<UploadId, Failure> {
        let command = Command::InitiateMultipartUpload {
            content_type: options.content_type,
        };
        let name = "CreateMultipartUpload";
        let extra = creation_headers(options)?;
        let payload = Payload::Bytes(Vec::new());
        let answer = self.send(&operation(name, key, command, extra, payload))?;
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
        let payload = Payload::Stream(body);
        let name = "UploadPart";
        let answer = self.send(&operation(name, key, command, HeaderMap::new(), payload))?;
        confirmed_by_s3(name, &answer)?;
        Ok(answer.header("etag").unwrap_or_default())
    }

    /// Joins `parts` (number and ETag, ascending). A 200 counts only with a
    /// `CompleteMultipartUploadResult` in it.
    pub fn complete_multipart_upload(
        &mut self,
        key: &str,
        upload: &UploadId,
        parts: &[(u32, String)],
    ) -> Result<Receipt, Failure> {
        let name = "CompleteMultipartUpload";
        let id = upload.encoded();
        let data = CompleteMultipartUploadData {
            parts: parts
                .iter()
                .map(|(number, etag)| Part {
                    part_number: *number,
                    etag: escape(etag.as_str()).into_owned(),
                })
                .collect(),
        };
        let content = data.to_string().into_bytes();
        let command = Command::CompleteMultipartUpload {
            upload_id: &id,
            data,
        };
        let mut operation = operation(
            name,
            key,
            command,
            HeaderMap::new(),
            Payload::Bytes(content),
        );
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
        let etag = answer::text_at(&answer.body, &["CompleteMultipartUploadResult", "ETag"]);
        Ok(Receipt {
            etag: etag.ok().flatten(),
            ..receipt(&answer)
        })
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
        let mut operation = operation(
            name,
            key,
            Command::GetObject,
            HeaderMap::new(),
            Payload::None,
        );
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
        let command = Command::HeadObject;
        let answer = match self.send(&operation(
            "HeadObject",
            key,
            command,
            HeaderMap::new(),
            Payload::None,
        )) {
            Ok(answer) => answer,
            Err(failure) if failure.http_status == Some(404) => return Ok(None),
            Err(failure) => return Err(failure),
        };
        Ok(Some(ObjectInfo {
            size: answer
                .header("content-length")
                .and_then(|length| length.parse().ok()),
            token: answer.header(TOKEN_HEADER),
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
    }
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

/// The headers of PutObject and CreateMultipartUpload.
fn creation_headers(options: CreateOptions<'_>) -> Result<HeaderMap, Failure> {
    let object = options.object;
    let mut headers = HeaderMap::new();
    let mut add = |name: &str, value: &str| -> Result<(), Failure> {
        let name = HeaderName::try_from(name).map_err(unusable)?;
        headers.insert(name, HeaderValue::from_str(value).map_err(unusable)?);
        Ok(())
    };
    add("content-type", options.content_type)?;
    for (name, value) in [
        ("x-amz-storage-class", &object.storage_class),
        (
            "x-amz-server-side-encryption",
            &object.server_side_encryption,
        ),
        (
            "x-amz-server-side-encryption-aws-kms-key-id",
            &object.kms_key_id,
        ),
        ("x-amz-acl", &object.acl),
    ] {
        if let Some(value) = value {
            add(name, value)?;
        }
    }
    if !object.tags.is_empty() {
        add("x-amz-tagging", &tagging(object))?;
    }
    for (name, value) in &object.metadata {
        add(&format!("x-amz-meta-{name}"), value)?;
    }
    if let Some(token) = options.token {
        add(TOKEN_HEADER, token)?;
    }
    Ok(headers)
}

fn tagging(object: &ObjectOptions) -> String {
    let encode = |text: &str| utf8_percent_encode(text, QUERY_VALUE).to_string();
    let pairs: Vec<String> = object
        .tags
        .iter()
        .map(|(key, value)| format!("{}={}", encode(key), encode(value)))
        .collect();
    pairs.join("&")
}

fn unusable(error: impl ToString) -> Failure {
    Failure {
        hint: Some("correct the value under `object`: a header takes printable ASCII only"),
        ..Failure::new(Class::Blocked, "PutObject", error.to_string())
    }
}
