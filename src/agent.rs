//! The loop: which job is due, or which signal came.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock;
use crate::config::model::Config;
use crate::os::lock::StateLock;
use crate::os::notify;
use crate::os::signals::Signals;
use crate::pass::{Env, JobRunner, Left, Step, Tally};
use crate::processing_state::ProcessingStates;
use crate::progress;
use crate::record::keeper::{Records, Repaired, today};
use crate::record::{Event, EventKind, Severity, copy, parse_timestamp};
use crate::status::{
    self, ALL_PAUSED, LastError, RESUME, STATE_COPY_FAILING, STATE_DIR_FAILING, Status, StatusFile,
};
use crate::transport::raise_clock_floor;

mod changes;
mod recovery;
mod start_error;

pub use start_error::StartError;

/// A running agent: it holds the lock of its state directory.
#[derive(Debug)]
pub struct Agent {
    config: Config,
    signals: Arc<Signals>,
    records: Records,
    status: StatusFile,
    runners: Vec<JobRunner>,
    on_terminal: bool,
    _lock: StateLock,
}

impl Agent {
    /// Takes the lock, opens the records, and prepares the jobs that are named (all, if none is).
    pub fn start(config: Config, only: &[String]) -> Result<Agent, StartError> {
        let state_dir = config.state_dir.clone();
        create_state_dir(&state_dir).map_err(StartError::StateDirectory)?;
        let lock = StateLock::take(&state_dir)
            .map_err(StartError::StateDirectory)?
            .ok_or(StartError::AlreadyRunning)?;
        let signals = Signals::install().map_err(StartError::Signals)?;
        if let Err(error) = copy::restore(&config) {
            // What it holds is taken over as soon as it can be read, and not replaced before.
            log::warn!("cannot fill the state directory from its copy: {error}");
        }
        let (records, repairs) = Records::open(&config).map_err(StartError::StateDirectory)?;
        let runners = runners_for(&config, only, &signals)?;
        let names: Vec<String> = config.jobs.iter().map(|job| job.name.clone()).collect();
        let former = status::read(&state_dir).unwrap_or_default();
        let mut agent = Agent {
            status: StatusFile::new(&state_dir, &names),
            config,
            signals,
            records,
            runners,
            on_terminal: progress::on_terminal(),
            _lock: lock,
        };
        agent.remember_troubles(former);
        agent.report_repairs(&repairs);
        agent.records.begin_copy();
        agent.records.adopt_copy();
        agent.recover();
        agent.apply_processing_states(false);
        Ok(agent)
    }

    /// The service: passes at their intervals until TERM or INT.
    pub fn run(&mut self) -> io::Result<()> {
        self.service_event(EventKind::ServiceStarted, "s3ferry has started");
        notify::ready();
        while !self.signals.stop_requested() {
            self.look_for_copy();
            self.heed_signals();
            match self.next() {
                Some((index, at)) if at <= clock::monotonic() => {
                    self.step(index);
                }
                next => self.wait(next.map(|(_, at)| at))?,
            }
        }
        notify::stopping();
        self.service_event(EventKind::ServiceStopped, "s3ferry has stopped");
        self.records.flush();
        self.status.write(clock::monotonic());
        self.records.copy();
        self.note_failing();
        self.status.write(clock::monotonic());
        Ok(())
    }

    /// One pass over each enabled job. Retries for `give_up` after the last success of a job.
    pub fn once(&mut self, give_up: Duration) -> io::Result<Tally> {
        let mut total = Tally::default();
        let mut open: Vec<bool> = self.runners.iter().map(JobRunner::is_enabled).collect();
        for runner in self.runners.iter().filter(|runner| !runner.is_enabled()) {
            log::info!(
                "[{}] processing is paused or disabled, nothing is done",
                runner.job().name
            );
        }
        while open.contains(&true) && !self.signals.stop_requested() {
            self.look_for_copy();
            self.heed_signals_once();
            let Some((index, at)) = self.next_of(&open) else {
                break;
            };
            // The last try is when the time is over, however long the back-off would be.
            let deadline = |runner: &JobRunner| Some(runner.failing_since()? + give_up);
            let wake = deadline(&self.runners[index]).map_or(at, |deadline| deadline.min(at));
            if wake > clock::monotonic() {
                self.wait(Some(wake))?;
                continue;
            }
            let mut finished = match self.step(index) {
                Step::PassFinished(tally) => Some(tally),
                _ => None,
            };
            let over = deadline(&self.runners[index]).is_some_and(|at| at <= clock::monotonic());
            if finished.is_none() && over {
                finished = Some(self.with_runner(index, |runner, env| runner.abandon(env)));
            }
            if let Some(tally) = finished {
                total.add(&tally);
                open[index] = false;
            }
        }
        self.records.flush();
        self.records.copy();
        // What is done is not all written down: the next run will do some of it again.
        total.local += u64::from(self.records.is_failing() || self.records.is_copy_failing());
        // Nothing is sent, and not because somebody wants it so.
        total.local += u64::from(self.status.current().processing_damaged);
        self.note_failing();
        self.status.write(clock::monotonic());
        Ok(total)
    }

    /// What went wrong with a job since `since`, is not mended, and is not in this run's log as an
    /// error, with its cure, a line each.
    pub fn troubles(&self, since: &str) -> Vec<String> {
        let status = self.status.current();
        let paused = (status.processing_damaged && !status.damage_logged)
            .then(|| format!("{ALL_PAUSED}; {RESUME}"));
        let dir = status.state_dir_failing.then(|| {
            let dir = self.config.state_dir.display();
            format!("the state directory `{dir}` {STATE_DIR_FAILING}")
        });
        let copy = (status.state_copy_failing).then(|| STATE_COPY_FAILING.to_owned());
        let of_jobs = status.jobs.into_iter().filter_map(|job| {
            let is_untold = |error: &LastError| *error.time >= *since && !error.logged;
            let error = job.last_error.filter(is_untold)?;
            let cure = error.hint.map(|hint| format!("; {hint}"));
            let cure = cure.unwrap_or_default();
            Some(format!("[{}] {}{cure}", job.name, error.message))
        });
        let own = paused.into_iter().chain(dir).chain(copy);
        own.chain(of_jobs).collect()
    }

    /// What is left where TERM or INT has ended the passes.
    pub fn stopped(&self) -> Option<Left> {
        self.signals.stop_requested().then(|| {
            let mut left = Left::default();
            for runner in self.runners.iter().filter(|runner| runner.is_enabled()) {
                left.add(runner.left());
            }
            left
        })
    }

    /// The job that is due first, and when.
    fn next(&self) -> Option<(usize, Instant)> {
        self.next_of(&vec![true; self.runners.len()])
    }

    fn next_of(&self, open: &[bool]) -> Option<(usize, Instant)> {
        let ready = self.runners.iter().enumerate();
        ready
            .filter(|(index, _)| open[*index])
            .filter_map(|(index, runner)| Some((index, runner.ready_at()?)))
            .min_by_key(|(_, at)| *at)
    }

    /// The disk of the state's copy may be mounted at any time.
    fn look_for_copy(&mut self) {
        if self.records.adopt_copy() {
            self.records.flush();
            self.recover();
            self.apply_processing_states(true);
        }
    }

    fn step(&mut self, index: usize) -> Step {
        let step = self.with_runner(index, JobRunner::step);
        if matches!(step, Step::PassFinished(_)) {
            self.compact();
        }
        self.note_failing();
        self.status.write_if_due(clock::monotonic());
        self.records.copy_if_due(clock::monotonic());
        step
    }

    fn with_runner<T>(
        &mut self,
        index: usize,
        work: impl FnOnce(&mut JobRunner, &mut Env<'_>) -> T,
    ) -> T {
        let mut env = Env {
            records: &mut self.records,
            signals: &self.signals,
            status: &self.status,
            on_terminal: self.on_terminal,
        };
        work(&mut self.runners[index], &mut env)
    }

    /// Nothing is left to be written when the wait begins, so nothing has to wake up for it.
    fn wait(&mut self, until: Option<Instant>) -> io::Result<()> {
        self.records.flush();
        self.records.copy_if_due(clock::monotonic());
        self.note_failing();
        self.status.write(clock::monotonic());
        let copy = self.records.copy_due();
        self.signals
            .sleep_until(until.into_iter().chain(copy).min())
    }

    fn note_failing(&self) {
        let (dir, copy) = (self.records.is_failing(), self.records.is_copy_failing());
        self.status.service(|status| {
            status.state_dir_failing = dir;
            status.state_copy_failing = copy;
        });
    }

    fn heed_signals(&mut self) {
        if self.signals.take_reload() {
            notify::reloading();
            self.reload();
            notify::ready();
        }
        if self.signals.take_states_changed() {
            self.apply_processing_states(true);
        }
        if self.signals.take_run_now() {
            let now = clock::monotonic();
            for runner in &mut self.runners {
                runner.run_now(now);
            }
        }
    }

    /// As [`Agent::heed_signals`]; the configuration stays as it is for the one pass.
    fn heed_signals_once(&mut self) {
        if self.signals.take_reload() {
            log::warn!("HUP has no meaning for `once`, which reads its configuration at the start");
        }
        self.signals.take_run_now();
        if self.signals.take_states_changed() {
            self.apply_processing_states(true);
        }
    }

    fn compact(&mut self) {
        let written = self.records.ledger().compact_if_worthwhile(today());
        if let Err(error) = written {
            log::warn!("cannot compact the ledger: {error}");
        }
    }

    /// Bad news is told once, also over restarts and from one call by cron to the next.
    fn remember_troubles(&mut self, former: Status) {
        if let Some(told) = former.server_time.as_deref().and_then(parse_timestamp) {
            raise_clock_floor(told);
        }
        self.records
            .remember_failing_copy(former.state_copy_failing);
        self.status
            .service(|status| status.processing_damaged = former.processing_damaged);
        for job in former.jobs {
            let mut runners = self.runners.iter_mut();
            if let Some(runner) = runners.find(|runner| runner.job().name == job.name) {
                runner.remember(job.told);
            }
            let mut jobs = self.config.jobs.iter();
            let prunes = jobs.any(|known| known.name == job.name && known.prune.is_some());
            self.status.job(&job.name.clone(), |status| {
                status.told = job.told;
                status.last_pass = job.last_pass;
                status.backlog = job.backlog;
                status.backlog_bytes = job.backlog_bytes;
                status.last_error = job.last_error;
                status.stuck = job.stuck;
                status.stuck_files = job.stuck_files;
                status.room_lacking = if prunes { job.room_lacking } else { 0 };
            });
        }
    }

    fn report_repairs(&mut self, repairs: &[Repaired]) {
        for repaired in repairs {
            let message = repaired.to_string();
            let event = Event::new(
                clock::wall(),
                EventKind::RecordRepaired,
                Severity::Warning,
                &*message,
            );
            self.records.event(&event);
        }
    }

    fn service_event(&mut self, kind: EventKind, message: &str) {
        let event = Event::new(clock::wall(), kind, Severity::Info, message);
        self.records.event(&event);
    }
}

fn runners_for(
    config: &Config,
    only: &[String],
    signals: &Arc<Signals>,
) -> Result<Vec<JobRunner>, StartError> {
    let wanted = config
        .jobs
        .iter()
        .filter(|job| only.is_empty() || only.contains(&job.name));
    let states = ProcessingStates::load(&config.state_dir).map_err(StartError::StateDirectory)?;
    let mut runners = Vec::new();
    for job in wanted {
        let name = job.name.clone();
        let enabled = states.enabled(&name, job.enabled);
        let mut runner = JobRunner::new(job.clone(), config.time_zone, &config.state_dir, signals)
            .map_err(|error| StartError::Transport(name, error))?;
        runner.set_enabled(enabled);
        runners.push(runner);
    }
    Ok(runners)
}

fn create_state_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(path)
}
