//! What arrived at the test server, and what a test can make of a request instead of
//! letting the server have it.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use s3s::service::S3Service;

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// As sent: percent-encoded.
    pub path: String,
    /// Without the `?`; empty if there is none.
    pub query: String,
    pub headers: Vec<(String, String)>,
    /// Counts accepted connections from 1, across restarts.
    pub connection_id: u64,
    pub content_length: Option<u64>,
    /// `None` while it is under way, and for good if it was never answered.
    pub status: Option<u16>,
}

impl Request {
    /// The first header of that name, which must be lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name)?;
        Some(&found.1)
    }

    /// `PUT` of a part: its number.
    pub fn part_number(&self) -> Option<u32> {
        (self.method == "PUT").then_some(())?;
        self.query_value("partNumber")?.parse().ok()
    }

    /// `PUT` of a whole object.
    pub fn is_put_object(&self) -> bool {
        self.method == "PUT" && self.part_number().is_none()
    }

    pub fn is_create_multipart(&self) -> bool {
        self.method == "POST" && self.query_value("uploads").is_some()
    }

    pub fn is_complete_multipart(&self) -> bool {
        self.method == "POST" && self.query_value("uploadId").is_some()
    }

    fn query_value(&self, name: &str) -> Option<&str> {
        self.query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find_map(|(n, value)| (n == name).then_some(value))
    }
}

/// What happens to a request that a test has chosen to fail.
#[derive(Clone)]
pub struct Failure {
    /// `None` closes the connection without an answer.
    answer: Option<Answer>,
    body: BodyIs,
}

#[derive(Clone)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

#[derive(Clone, Copy, PartialEq)]
enum BodyIs {
    /// Read to its end and thrown away, so that the connection stays usable.
    Drained,
    /// Not read: the answer comes early and the connection closes, as S3 does it.
    Refused,
    /// Given to the real server, whose answer is then replaced.
    Served,
}

impl Failure {
    /// An S3 error document.
    pub fn error(status: u16, code: &str) -> Self {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
             <Message>scripted by the test</Message><RequestId>4442587FB7D0A2F9</RequestId></Error>"
        );
        Failure::answer(status, body).header("x-amz-request-id", "4442587FB7D0A2F9")
    }

    pub fn slow_down() -> Self {
        Failure::error(503, "SlowDown")
    }

    pub fn access_denied() -> Self {
        Failure::error(403, "AccessDenied")
    }

    /// Any answer, as XML.
    pub fn answer(status: u16, body: impl Into<String>) -> Self {
        let answer = Answer {
            status,
            headers: vec![("content-type".into(), "application/xml".into())],
            body: body.into(),
        };
        Failure {
            answer: Some(answer),
            body: BodyIs::Drained,
        }
    }

    /// The connection closes, and no answer comes.
    pub fn hang_up() -> Self {
        Failure {
            answer: None,
            body: BodyIs::Drained,
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Some(answer) = &mut self.answer {
            answer.headers.push((name.into(), value.into()));
        }
        self
    }

    /// Answers before the body is read.
    pub fn early(mut self) -> Self {
        self.body = BodyIs::Refused;
        self
    }

    /// Lets the server carry the request out first: the success that the client never sees.
    pub fn after_success(mut self) -> Self {
        self.body = BodyIs::Served;
        self
    }
}

/// An error closes the connection.
pub type Reply = Result<hyper::Response<s3s::Body>, Box<dyn std::error::Error + Send + Sync>>;

/// The record of a request that has just arrived.
pub fn describe(request: &hyper::Request<Incoming>, connection_id: u64) -> Request {
    let headers: Vec<(String, String)> = request
        .headers()
        .iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into(),
            )
        })
        .collect();
    let mut noted = Request {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        headers,
        connection_id,
        content_length: None,
        status: None,
    };
    noted.content_length = noted.header("content-length").and_then(|v| v.parse().ok());
    noted
}

/// Carries out what the test asked for in the server's place.
pub async fn fail(
    failure: Failure,
    request: hyper::Request<Incoming>,
    service: S3Service,
) -> Reply {
    match failure.body {
        BodyIs::Refused => {}
        BodyIs::Served => drop(service.call(request.map(s3s::Body::from)).await?),
        BodyIs::Drained => {
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                frame?;
            }
        }
    }
    let Some(answer) = failure.answer else {
        return Err("hung up as the test asked".into());
    };
    let mut reply = hyper::Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        reply = reply.header(name, value);
    }
    Ok(reply.body(s3s::Body::from(answer.body))?)
}
