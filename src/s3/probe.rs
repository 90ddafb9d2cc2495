//! A question without keys: what stands between here and the store, before anything is signed.

use time::Duration;

use super::client::Client;
use super::failure::{self, Class, Failure};
use super::request::ANSWER_LIMIT;
use super::skew;
use crate::clock;
use crate::transport::Journey;

/// What S3 calls this question.
const NAME: &str = "GetBucketLocation";
/// For the answer's body, once its headers are there.
const BODY_WITHIN: std::time::Duration = std::time::Duration::from_secs(30);

/// What the way to the store and its first answer tell. Every status is an answer: a store refuses
/// who comes without keys.
#[derive(Debug, Clone)]
pub struct Probe {
    pub journey: Journey,
    pub status: u16,
    /// The server's clock minus ours.
    pub skew: Option<Duration>,
    /// Where AWS keeps the bucket, by its own word.
    pub region: Option<String>,
}

impl Client {
    /// Opens a connection and asks for the bucket, unsigned. The connection is kept for what follows.
    ///
    /// # Errors
    /// The store was not reached, with the stage at which that ended; or what answers is no store.
    pub fn probe(&self) -> Result<Probe, Failure> {
        let url = format!("{}?location", self.destination().bucket_url());
        let transport = self.transport();
        transport.begin();
        let (sent_at, started) = (clock::wall(), clock::monotonic());
        let mut response = transport
            .agent()
            .get(url)
            .call()
            .map_err(|error| self.unreached(NAME, &error.into_io()))?;
        let elapsed = clock::monotonic().duration_since(started);
        let headers = response.headers().clone();
        let status = response.status().as_u16();
        transport
            .pace()
            .body_within(clock::monotonic(), BODY_WITHIN);
        let body = response
            .body_mut()
            .with_config()
            .limit(ANSWER_LIMIT)
            .read_to_vec()
            .map_err(|error| self.unreached(NAME, &error.into_io()))?;
        let answer = failure::from_answer(NAME, status, &headers, &body);
        // A store's own refusal, whatever it is, comes from a store.
        if answer.class == Class::Connection {
            return Err(answer);
        }
        let date = headers.get("date").and_then(|date| date.to_str().ok());
        let seen = skew::observe(date, headers.contains_key("age"), sent_at, elapsed);
        Ok(Probe {
            journey: self.journey(),
            status,
            skew: seen.map(|seen| seen.skew),
            region: answer.region,
        })
    }
}
