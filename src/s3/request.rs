//! rust-s3's `Request` over ureq: the protocol from the one, the connection from the other.
//!
//! rust-s3 hashes and copies bodies that it finds in memory. Ours are streamed from a file, so the
//! headers and the canonical request are built here from a hash and a length that are known
//! beforehand; everything else (URL, string to sign, signing key, authorization) is rust-s3's.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, Read, Write};

use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue};
use s3::bucket::Bucket;
use s3::command::{Command, HttpMethod};
use s3::error::S3Error;
use s3::request::{Request, ResponseData};
use time::OffsetDateTime;
use ureq::SendBody;

use super::signing_key::SigningKeys;
use crate::transport::Transport;

/// The longest answer that is read. A page of ListParts stays below it.
pub const ANSWER_LIMIT: u64 = 1024 * 1024;
/// From this length on a body waits for `100 Continue`: a round trip, for not sending a part to a
/// server that has already refused it.
const EXPECT_FROM: u64 = 128 * 1024;

/// What stands in `x-amz-content-sha256`.
pub const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// One signed request, ready to be sent once.
pub struct SignedRequest<'a> {
    pub transport: &'a Transport,
    pub signing_keys: &'a SigningKeys,
    pub bucket: &'a Bucket,
    /// The object key; empty for a request to the bucket.
    pub key: &'a str,
    pub command: Command<'a>,
    /// The time it is signed for.
    pub signed_at: OffsetDateTime,
    /// Headers of the operation, signed.
    pub extra: HeaderMap,
    /// Lower-case hex SHA-256 of the body, or [`UNSIGNED`].
    pub payload_hash: String,
    /// `None`: a request that has no body at all.
    pub content_length: Option<u64>,
    /// Taken by the sending.
    pub body: RefCell<Option<Box<dyn Read + 'a>>>,
}

impl SignedRequest<'_> {
    fn method(&self) -> http::Method {
        match self.command.http_verb() {
            HttpMethod::Delete => http::Method::DELETE,
            HttpMethod::Get => http::Method::GET,
            HttpMethod::Put => http::Method::PUT,
            HttpMethod::Post => http::Method::POST,
            HttpMethod::Head => http::Method::HEAD,
        }
    }
}

impl Request for SignedRequest<'_> {
    type Response = http::Response<ureq::Body>;
    type HeaderMap = HeaderMap;

    /// Sends the request. A transport error is inside [`S3Error::Io`], a [`ureq::Error`] inside
    /// that where it was one.
    fn response(&self) -> Result<Self::Response, S3Error> {
        let mut headers = self.headers()?;
        if self
            .content_length
            .is_some_and(|length| length >= EXPECT_FROM)
        {
            headers.insert(
                http::header::EXPECT,
                HeaderValue::from_static("100-continue"),
            );
        }
        let mut request = http::Request::new(());
        *request.method_mut() = self.method();
        *request.uri_mut() = self
            .url()?
            .as_str()
            .parse()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        *request.headers_mut() = headers;
        self.transport.begin();
        let agent = self.transport.agent();
        let result = match self.body.borrow_mut().take() {
            Some(mut reader) => agent.run(request.map(|()| SendBody::from_reader(&mut *reader))),
            None => agent.run(request),
        };
        result.map_err(|error| S3Error::Io(error.into_io()))
    }

    fn response_data(&self, _etag: bool) -> Result<ResponseData, S3Error> {
        let mut response = self.response()?;
        let headers: HashMap<String, String> = response
            .headers()
            .iter()
            .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
            .collect();
        let status = response.status().as_u16();
        let body = response
            .body_mut()
            .with_config()
            .limit(ANSWER_LIMIT)
            .read_to_vec()
            .map_err(|error| S3Error::Io(error.into_io()))?;
        Ok(ResponseData::new(body.into(), status, headers))
    }

    fn response_data_to_writer<T: Write + Send + ?Sized>(
        &self,
        writer: &mut T,
    ) -> Result<u16, S3Error> {
        let mut response = self.response()?;
        io::copy(&mut response.body_mut().as_reader(), writer)?;
        Ok(response.status().as_u16())
    }

    fn response_header(&self) -> Result<(HeaderMap, u16), S3Error> {
        let response = self.response()?;
        let status = response.status().as_u16();
        Ok((response.into_parts().0.headers, status))
    }

    fn datetime(&self) -> OffsetDateTime {
        self.signed_at
    }

    fn bucket(&self) -> Bucket {
        self.bucket.clone()
    }

    fn command(&self) -> Command<'_> {
        self.command.clone()
    }

    fn path(&self) -> String {
        self.key.to_owned()
    }

    /// rust-s3's own puts `a-b:1` before `a:2`, since it sorts whole lines; the signature is made
    /// over lines in the order of their names,
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.
    fn canonical_request(&self, headers: &HeaderMap) -> Result<String, S3Error> {
        let url = self.url()?;
        let mut names: Vec<_> = headers.keys().collect();
        names.sort_unstable_by_key(|name| name.as_str());
        let mut lines = String::new();
        for name in names {
            let value = headers.get(name).map(HeaderValue::to_str).transpose()?;
            lines.push_str(&format!("{name}:{}\n", value.unwrap_or_default().trim()));
        }
        Ok(format!(
            "{}\n{}\n{}\n{lines}\n{}\n{}",
            self.method(),
            s3::signing::canonical_uri_string(&url),
            s3::signing::canonical_query_string(&url),
            s3::signing::signed_header_string(headers),
            self.payload_hash,
        ))
    }

    fn signing_key(&self) -> Result<Vec<u8>, S3Error> {
        let secret = self.bucket.secret_key()?.unwrap_or_default();
        let date = self.long_date()?;
        let region = self.bucket.region().to_string();
        // `20151231T235959Z` begins with the date.
        let day = date.get(..8).unwrap_or(&date);
        Ok(self.signing_keys.for_s3(&secret, day, &region)?.to_vec())
    }

    fn headers(&self) -> Result<HeaderMap, S3Error> {
        let mut headers = self.extra.clone();
        headers.insert(HOST, self.host_header().parse()?);
        if let Some(length) = self.content_length {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            if !headers.contains_key(CONTENT_TYPE) && length > 0 {
                headers.insert(CONTENT_TYPE, self.command.content_type().parse()?);
            }
        }
        headers.insert("x-amz-content-sha256", self.payload_hash.parse()?);
        headers.insert("x-amz-date", self.long_date()?.parse()?);
        if let Some(token) = self.bucket.session_token()? {
            let mut value: HeaderValue = token.parse()?;
            value.set_sensitive(true);
            headers.insert("x-amz-security-token", value);
        }
        let mut authorization: HeaderValue = self.authorization(&headers)?.parse()?;
        authorization.set_sensitive(true);
        headers.insert(AUTHORIZATION, authorization);
        Ok(headers)
    }
}
