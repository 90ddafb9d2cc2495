//! What is wrong with a job, told once at each change.

use std::time::{Duration, Instant};

use super::Env;
use crate::clock;
use crate::record::timestamp;
use crate::retry::{Backoff, random};
use crate::s3::{Class, Failure};
use crate::status::{LastError, Told};

/// A job's standing with its network, its store and its folder.
#[derive(Debug, Default)]
pub struct Trouble {
    backoff: Backoff,
    throttled: bool,
    /// Since when nothing could be sent for a temporary reason.
    failing_since: Option<Instant>,
    told: Told,
    retry_at: Option<Instant>,
}

/// What a success ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovery {
    pub connection: bool,
    pub block: bool,
}

impl Trouble {
    /// Goes on from what a former run has told.
    pub fn remember(&mut self, told: Told) {
        self.told = told;
    }

    pub fn told(&self) -> Told {
        self.told
    }

    /// Counts a temporary failure; the next try is at [`Trouble::retry_at`]. True when the
    /// connection was fine until now.
    pub fn fail(&mut self, failure: &Failure, now: Instant) -> bool {
        let since = *self.failing_since.get_or_insert(now);
        let failing_for = now.saturating_duration_since(since);
        let wait = self
            .backoff
            .fail(random(), failing_for, failure.retry_after);
        self.retry_at = Some(now + wait);
        self.throttled |= failure.class == Class::Throttled;
        let news = failure.class == Class::Connection && !self.told.connection;
        self.told.connection |= news;
        news
    }

    /// S3 has taken something. After throttling the next request still waits a little.
    pub fn succeed(&mut self, now: Instant) -> Recovery {
        let recovery = Recovery {
            connection: self.told.connection,
            block: self.told.refused,
        };
        if self.throttled {
            self.backoff.ease();
            self.throttled = self.backoff.failures() > 0;
            let pause = Duration::from_millis(random() % 1000) * self.backoff.failures();
            self.retry_at = self.throttled.then_some(now + pause);
        } else {
            self.backoff.succeed();
            self.retry_at = None;
        }
        self.failing_since = None;
        self.told.connection = false;
        self.told.refused = false;
        recovery
    }

    /// The store refuses the job. True when that is news.
    pub fn block(&mut self) -> bool {
        !std::mem::replace(&mut self.told.refused, true)
    }

    /// The source folder cannot be read. True when that is news.
    pub fn block_by_folder(&mut self) -> bool {
        !std::mem::replace(&mut self.told.folder, true)
    }

    /// The source folder can be read. True when it could not before.
    pub fn folder_is_back(&mut self) -> bool {
        std::mem::take(&mut self.told.folder)
    }

    /// Whether `prune` has found too few files. Returns what was told of that before.
    pub fn lack_room(&mut self, lacks: bool) -> bool {
        std::mem::replace(&mut self.told.room, lacks)
    }

    pub fn is_blocked(&self) -> bool {
        self.told.refused || self.told.folder
    }

    pub fn failing_since(&self) -> Option<Instant> {
        self.failing_since
    }

    pub fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    pub fn retry_now(&mut self) {
        self.retry_at = None;
    }

    /// Puts the failure into the status. `logged`: it has just been an event of severity `error`.
    pub fn tell(
        &self,
        env: &mut Env<'_>,
        job: &str,
        class: &str,
        message: &str,
        hint: Option<&str>,
        logged: bool,
    ) {
        let (blocked, told) = (self.is_blocked(), self.told);
        let wait = self
            .retry_at
            .map(|at| at.saturating_duration_since(clock::monotonic()));
        env.status.job(job, |status| {
            status.state = if blocked { "blocked" } else { "retrying" }.to_owned();
            status.told = told;
            status.next_try = wait.map(|wait| timestamp(clock::wall() + wait));
            status.last_error = Some(LastError {
                time: timestamp(clock::wall()),
                class: class.to_owned(),
                message: message.to_owned(),
                hint: hint.map(str::to_owned),
                logged,
            });
        });
        env.status.write_if_due(clock::monotonic());
    }
}
