//! Whether the store answers at all, found out without keys.

use std::time::Duration as StdDuration;

use s3::error::S3Error;
use time::Duration;

use super::client::Client;
use super::failure::{Class, Failure};
use super::skew;
use crate::clock;

/// What an answer to nobody tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// The server's clock minus ours; `None` where the answer has no `Date`.
    pub skew: Option<Duration>,
}

impl Client {
    /// A HEAD of the bucket's host, unsigned. Whatever is answered, name, proxy, connection and
    /// certificate have worked; [`Client::journey`] knows them.
    pub fn reach(&mut self) -> Result<Reached, Failure> {
        let name = "HEAD";
        let place = self.destination();
        let scheme = if place.tls { "https" } else { "http" };
        let uri = format!("{scheme}://{}:{}/", place.request_host(), place.port);
        let request = http::Request::head(uri)
            .body(())
            .map_err(|error| Failure::new(Class::Blocked, name, error.to_string()))?;
        let transport = self.transport();
        let (sent_at, started) = (clock::wall(), clock::monotonic());
        transport.begin();
        let answer = transport.agent().run(request);
        let elapsed: StdDuration = clock::monotonic().duration_since(started);
        let answer =
            answer.map_err(|error| self.unsent(name, S3Error::Io(error.into_io()), false))?;
        let headers = answer.headers();
        let date = headers.get("date").and_then(|date| date.to_str().ok());
        let seen = skew::observe(date, headers.contains_key("age"), sent_at, elapsed);
        Ok(Reached {
            skew: seen.map(|seen| seen.skew),
        })
    }
}
