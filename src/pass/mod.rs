//! One pass over one job, a file at a time.
//!
//! A [`JobRunner`] is a state machine without waits of its own: [`JobRunner::step`] does the next
//! piece of work and says what comes then, so that the agent can serve several jobs with one thread.

mod announcement;
mod attempt;
mod batch;
mod failure;
mod room;
mod settle;
mod state;
mod stuck;
mod tally;
mod trouble;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock;
use crate::config::model::{IfExists, Job, TimeZone};
use crate::os::hostname;
use crate::os::signals::Signals;
use crate::progress::Progress;
use crate::record::keeper::Records;
use crate::record::ledger::{Fingerprint, KeyHash, key_hash};
use crate::record::{Event, EventKind, Severity, timestamp};
use crate::s3::Client;
use crate::source::scan::folder_id;
use crate::source::settled::Settling;
use crate::status::{CurrentFile, StatusFile, Told};
use crate::text::{escape_bytes, human_duration};
use crate::transport::TransportError;
use crate::upload::Limiter;

use attempt::Attempts;
use room::Judged;
pub use room::windows_closed_for;
use state::Pass;
use stuck::Stuck;
use tally::files;
pub use tally::{Left, Tally};
use trouble::Trouble;

/// How many files' refusals are remembered between passes.
const REFUSALS_REMEMBERED: usize = 8192;
/// How many keys of a pass are compared with each other.
const KEYS_COMPARED: usize = 65_536;
/// A pass waits for files to settle when that takes no longer, once.
const SECOND_LOOK_WITHIN: Duration = Duration::from_secs(60);

/// What the agent lends to a step.
#[derive(Debug)]
pub struct Env<'a> {
    pub records: &'a mut Records,
    pub signals: &'a Signals,
    pub status: &'a StatusFile,
    pub on_terminal: bool,
}

/// What comes after a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// There is more to do at once.
    Continue,
    /// Nothing before then.
    WaitUntil(Instant),
    PassFinished(Tally),
    /// A signal wants the agent's attention.
    Interrupted,
}

/// A job with all that it remembers between passes.
#[derive(Debug)]
pub struct JobRunner {
    job: Job,
    client: Client,
    limiter: RefCell<Option<Limiter>>,
    time_zone: TimeZone,
    hostname: String,
    enabled: bool,
    excluded: Vec<(u64, u64)>,
    settling: Settling,
    /// Versions of files that can never be sent as they are, and of which that has been said; with
    /// what to do about it.
    refused: HashMap<Fingerprint, Option<&'static str>>,
    stuck: Stuck,
    /// Files and folders that could not be read, and of which that has been said.
    told_local: HashSet<Fingerprint>,
    /// Files that go to the back of the queue.
    deferred: HashSet<Fingerprint>,
    attempts: HashMap<Fingerprint, Attempts>,
    trouble: Trouble,
    /// How often the part size is halved.
    shrink: u32,
    /// How many walks over the folder there have been.
    walks: u32,
    next_due: Instant,
    /// `next_due` is when a window opens.
    waits_for_window: bool,
    /// When files were last looked for that can go.
    made_room_at: Option<Instant>,
    pass: Option<Pass>,
}

impl JobRunner {
    /// Prepares `job`; its first pass is due at once.
    ///
    /// # Errors
    /// The job's proxy or certificates are not usable.
    pub fn new(
        job: Job,
        time_zone: TimeZone,
        state_dir: &Path,
        signals: &Arc<Signals>,
    ) -> Result<JobRunner, TransportError> {
        let now = clock::monotonic();
        let limiter = job
            .transfer
            .bandwidth_limit
            .map(|rate| Limiter::new(rate, now));
        Ok(JobRunner {
            client: Client::new(&job, signals)?,
            limiter: RefCell::new(limiter),
            time_zone,
            hostname: hostname(),
            enabled: job.enabled,
            excluded: folder_id(state_dir).into_iter().collect(),
            settling: Settling::default(),
            refused: HashMap::new(),
            stuck: Stuck::default(),
            told_local: HashSet::new(),
            deferred: HashSet::new(),
            attempts: HashMap::new(),
            trouble: Trouble::default(),
            shrink: 0,
            walks: 0,
            next_due: now,
            waits_for_window: false,
            made_room_at: None,
            pass: None,
            job,
        })
    }

    pub fn job(&self) -> &Job {
        &self.job
    }

    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    pub fn set_enabled(&mut self, enabled: bool) {
        if enabled && !self.enabled {
            self.run_now(clock::monotonic());
        }
        self.enabled = enabled;
    }

    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// A pass is due at once, and no back-off holds it.
    pub fn run_now(&mut self, now: Instant) {
        self.next_due = now;
        self.trouble.retry_now();
    }

    /// Goes on from the bad news that a former run, or the runner before this one, has told.
    pub fn remember(&mut self, told: Told) {
        self.trouble.remember(told);
    }

    /// Takes over when the next pass is due from the runner that this one replaces.
    pub fn inherit(&mut self, old: &JobRunner) {
        self.trouble.remember(old.trouble.told());
        // What waited for a window, or for somebody, is due at once: the windows may be others now,
        // and the reload may be the cure.
        let waited = old.waits_for_window || old.trouble.told() != Told::default();
        if old.pass.is_none() && !waited && old.stuck.count() == 0 {
            self.next_due = old.next_due.min(clock::monotonic() + self.job.interval);
        }
    }

    /// Since when nothing could be sent for a temporary reason.
    pub fn failing_since(&self) -> Option<Instant> {
        self.trouble.failing_since()
    }

    /// When there is something to do; `None` while the job is not enabled.
    pub fn ready_at(&self) -> Option<Instant> {
        if !self.enabled {
            return None;
        }
        let Some(pass) = &self.pass else {
            return Some(self.next_due);
        };
        let second_look = pass.second_look.filter(|_| pass.queue.is_empty());
        Some(match (self.trouble.retry_at(), second_look) {
            (Some(retry), _) => retry,
            (None, Some(look)) => look,
            (None, None) => pass.started,
        })
    }

    /// Does the next piece of work: a walk over the folder, or one try of one file.
    pub fn step(&mut self, env: &mut Env<'_>) -> Step {
        let now = clock::monotonic();
        self.trouble.retry_now();
        if let Some(closed) = self.window_closed_for() {
            return self.leave_until(now + closed, env);
        }
        let Some(mut pass) = self.pass.take() else {
            return self.begin(now, env);
        };
        let step = self.go_on(&mut pass, now, env);
        match step {
            Some(step) => {
                self.pass = Some(pass);
                step
            }
            None => self.finish(pass, env),
        }
    }

    /// Gives up what is left of the pass, for `once` when its time is over.
    pub fn abandon(&mut self, env: &mut Env<'_>) -> Tally {
        match self.pass.take() {
            Some(mut pass) => {
                pass.tally.left += pass.queue.len() as u64 + u64::from(pass.more);
                let tally = pass.tally.clone();
                log::warn!(
                    "[{}] given up for now, {} left",
                    self.job.name,
                    files(tally.left)
                );
                self.finish(pass, env);
                tally
            }
            None => Tally::default(),
        }
    }

    /// What the pass under way has not come to, or all where none has begun.
    pub fn left(&self) -> Left {
        let unseen = Left {
            at_least: self.walks == 0,
            ..Left::default()
        };
        self.pass.as_ref().map_or(unseen, Pass::left)
    }

    fn begin(&mut self, now: Instant, env: &mut Env<'_>) -> Step {
        self.next_due = now + self.job.interval;
        self.waits_for_window = false;
        self.settling
            .forget_before(now.checked_sub(self.job.interval.max(DAY)).unwrap_or(now));
        env.status.job(&self.job.name, |status| {
            status.state = "working".to_owned();
            status.last_pass = Some(timestamp(clock::wall()));
            status.next_pass = None;
        });
        self.make_room(Judged::Later, env);
        self.stuck.begin();
        let mut pass = Pass::new(now);
        if !self.fill_queue(&mut pass, env) {
            return self.finish(pass, env);
        }
        self.abort_leftovers(env);
        self.pass = Some(pass);
        Step::Continue
    }

    /// `None`: the pass is over.
    fn go_on(&mut self, pass: &mut Pass, now: Instant, env: &mut Env<'_>) -> Option<Step> {
        if let Some(candidate) = pass.queue.pop_front() {
            return self.try_candidate(pass, candidate, env);
        }
        if pass.more {
            // Only as long as walks yield something to try.
            return (self.fill_queue(pass, env) && !pass.queue.is_empty())
                .then_some(Step::Continue);
        }
        if pass.unsettled > 0 && !pass.looked_twice && self.job.settle <= SECOND_LOOK_WITHIN {
            let look = *pass.second_look.get_or_insert(now + self.job.settle);
            if now < look {
                return Some(Step::WaitUntil(look));
            }
            pass.looked_twice = true;
            return (self.fill_queue(pass, env) && !pass.queue.is_empty())
                .then_some(Step::Continue);
        }
        None
    }

    fn finish(&mut self, pass: Pass, env: &mut Env<'_>) -> Step {
        let mut tally = pass.tally;
        tally.left += pass.unsettled;
        env.records.flush();
        let did_something = tally.uploaded + tally.passed_over > 0 || tally.local > pass.not_tried;
        if did_something {
            let elapsed = clock::monotonic().saturating_duration_since(pass.started);
            let message = tally.summary(elapsed);
            let event = self.event(EventKind::PassFinished, Severity::Info, &message);
            env.records.event(&event);
        }
        self.attempts.clear();
        self.stuck.end();
        if tally.left == 0 {
            self.deferred.clear();
        }
        self.make_room(Judged::Now, env);
        self.settle_status(env);
        Step::PassFinished(tally)
    }

    /// Outside its windows a job keeps what it has and waits.
    fn leave_until(&mut self, opens: Instant, env: &mut Env<'_>) -> Step {
        let wait = opens.saturating_duration_since(clock::monotonic());
        log::info!(
            "[{}] outside its windows for {}",
            self.job.name,
            human_duration(wait)
        );
        self.next_due = self.next_look(opens);
        self.waits_for_window = true;
        // Without a walk nobody knows whether something waits; to be asked again is the safe answer.
        let mut pass = self.pass.take().unwrap_or_else(|| Pass::new(opens));
        pass.tally.left += (pass.queue.len() as u64 + u64::from(pass.more)).max(1);
        self.finish(pass, env)
    }

    /// Puts the job's standing between two passes into the status.
    pub fn settle_status(&self, env: &mut Env<'_>) {
        if self.pass.is_some() {
            return;
        }
        let state = if !self.enabled {
            "paused"
        } else if self.waits_for_window {
            "outside_window"
        } else if self.trouble.is_blocked() {
            "blocked"
        } else {
            "waiting"
        };
        let wait = self.next_due.saturating_duration_since(clock::monotonic());
        let next = self.enabled.then(|| timestamp(clock::wall() + wait));
        env.status.job(&self.job.name, |status| {
            status.state = state.to_owned();
            status.told = self.trouble.told();
            status.next_pass = next;
            status.next_try = None;
        });
    }

    fn window_closed_for(&self) -> Option<Duration> {
        windows_closed_for(&self.job, clock::in_zone(clock::wall(), self.time_zone))
    }

    fn event<'a>(&'a self, kind: EventKind, severity: Severity, message: &'a str) -> Event<'a> {
        Event::new(clock::wall(), kind, severity, message).job(&self.job.name)
    }

    fn destination(&self) -> String {
        destination_of(&self.job)
    }

    /// Whether a local cause is news.
    fn tell_local(&mut self, what: Fingerprint) -> bool {
        if self.told_local.len() >= REFUSALS_REMEMBERED {
            self.told_local.clear();
        }
        self.told_local.insert(what)
    }

    fn path_shown(&self, relative: &[u8]) -> String {
        escape_bytes(&self.path_bytes(relative))
    }

    fn path_bytes(&self, relative: &[u8]) -> Vec<u8> {
        use std::os::unix::ffi::OsStrExt;
        crate::source::file::full_path(&self.job.source_path, relative)
            .as_os_str()
            .as_bytes()
            .to_owned()
    }
}

const DAY: Duration = Duration::from_secs(86_400);

/// The hash of a file's key, where two files can come out at one: where the job changes names, and
/// the second does not get a name of its own.
pub fn counted_key(job: &Job, key: &str) -> Option<KeyHash> {
    job.change_filename.as_ref()?;
    if job.object.if_exists == IfExists::Rename {
        return None;
    }
    Some(key_hash(&destination_of(job), key))
}

/// What a fingerprint is bound to: another bucket has none of the files yet.
pub fn destination_of(job: &Job) -> String {
    format!("{}/{}", job.destination.host, job.destination.bucket)
}

fn progress_of<'a>(env: &Env<'a>, job: &'a str, file: CurrentFile) -> Progress<'a> {
    Progress::new(env.status, job, env.on_terminal, file)
}
