//! What the commands that only look need of a configuration. A wrong one does not blind them: the
//! state directory stands in it all the same, and the rest in there.

use std::path::PathBuf;

use super::arguments::Invocation;
use super::{complain, exit, know_jobs, read_config, refuse};
use crate::config::{self, Config, ConfigError, TimeZone};
use crate::record::copy::records_dir;
use crate::status;

pub struct View {
    pub state_dir: PathBuf,
    pub records_dir: PathBuf,
    pub time_zone: TimeZone,
    pub history_files: u32,
    pub events_files: u32,
    pub events_shown: usize,
    /// Name, and whether it is enabled; `None`: those that ran last, as they were.
    pub jobs: Option<Vec<(String, bool)>>,
    /// That of a command that could show everything.
    pub code: u8,
}

impl View {
    /// On failure it is complained about, and the exit code is returned.
    pub fn load(invocation: &Invocation) -> Result<View, u8> {
        match read_config(invocation) {
            Ok(config) => {
                know_jobs(&config, invocation)?;
                Ok(View::of(&config))
            }
            Err(error) => View::despite(&error, invocation),
        }
    }

    fn of(config: &Config) -> View {
        let jobs = config.jobs.iter();
        View {
            state_dir: config.state_dir.clone(),
            records_dir: records_dir(config).to_owned(),
            time_zone: config.time_zone,
            history_files: config.history.files,
            events_files: config.events.files,
            events_shown: config.events_shown,
            jobs: Some(jobs.map(|job| (job.name.clone(), job.enabled)).collect()),
            code: exit::OK,
        }
    }

    fn despite(error: &ConfigError, invocation: &Invocation) -> Result<View, u8> {
        let code = refuse(&error.problems);
        let found = config::salvage(&invocation.config).ok_or(code)?;
        // Where nothing has ever run, a wrong folder is as likely.
        if !status::path(&found.state_dir).is_file() {
            return Err(code);
        }
        complain(&format!(
            "s3ferry: the configuration is wrong; this is what the state directory `{}` holds",
            found.state_dir.display()
        ));
        Ok(View {
            records_dir: found.state_dir.clone(),
            state_dir: found.state_dir,
            time_zone: found.time_zone,
            history_files: found.files,
            events_files: found.files,
            events_shown: found.events_shown,
            jobs: None,
            code,
        })
    }
}
