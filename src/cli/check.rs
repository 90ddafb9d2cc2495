//! `s3ferry check`: is the configuration right, and can each destination be written.

use std::io::Read;
use std::io::Write;
use std::sync::Arc;

use serde::Serialize;

use super::arguments::{Form, Invocation};
use super::{
    code_of, code_of_machine, complain, exit, know_jobs, problems_of_machine, read_config, refuse,
};
use crate::config::model::{Job, ObjectLock, ObjectOptions};
use crate::config::{Config, Problem};
use crate::naming::ObjectKey;
use crate::os::signals::Signals;
use crate::s3::checksum::Checksum;
use crate::s3::{Body, Class, Client, CreateOptions, Failure};
use crate::upload::hash::{Hashes, Wanted};

/// What the test object holds.
const CONTENT: &[u8] = b"s3ferry check\n";
/// Its name, below the job's prefix.
const NAME: &str = ".s3ferry-check";

/// One finding.
#[derive(Debug, Serialize)]
struct Finding<'a> {
    job: Option<&'a str>,
    step: &'static str,
    ok: bool,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cure: Option<String>,
}

pub fn run(invocation: &Invocation) -> u8 {
    let mut out = Output {
        json: invocation.form == Form::Json,
    };
    let config = match read_config(invocation) {
        Ok(config) => config,
        Err(error) => {
            out.refuse(&error.problems);
            return exit::CONFIGURATION;
        }
    };
    if let Err(code) = know_jobs(&config, invocation) {
        return code;
    }
    for warning in &config.warnings {
        complain(&format!("warning: {warning}"));
    }
    let problems = problems_of_machine(&config);
    if !problems.is_empty() {
        out.refuse(&problems);
        return code_of_machine(&config, &problems);
    }
    out.print(&Finding {
        job: None,
        step: "configuration",
        ok: true,
        message: format!("`{}` is right", config.path.display()),
        cure: None,
    });
    let signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => {
            complain(&format!("s3ferry: cannot catch signals: {error}"));
            return exit::INTERNAL;
        }
    };
    let mut code = exit::OK;
    for job in jobs(&config, invocation) {
        let found = check_job(job, &signals, invocation.offline, &mut out);
        code = if code == exit::OK { found } else { code };
    }
    code
}

fn jobs<'a>(config: &'a Config, invocation: &'a Invocation) -> impl Iterator<Item = &'a Job> {
    config
        .jobs
        .iter()
        .filter(|job| invocation.jobs.is_empty() || invocation.jobs.contains(&job.name))
}

struct Output {
    json: bool,
}

impl Output {
    /// What is wrong with the configuration: findings for a program, lines as every command has them
    /// for people.
    fn refuse(&mut self, problems: &[Problem]) {
        if !self.json {
            refuse(problems);
            return;
        }
        for problem in problems {
            self.print(&Finding {
                job: None,
                step: "configuration",
                ok: false,
                message: problem.to_string(),
                cure: None,
            });
        }
    }

    fn print(&mut self, finding: &Finding<'_>) {
        let text = if self.json {
            serde_json::to_string(finding).unwrap_or_default()
        } else {
            let mark = if finding.ok { "ok  " } else { "FAIL" };
            let job = finding
                .job
                .map(|job| format!("{job}: "))
                .unwrap_or_default();
            let cure = finding
                .cure
                .as_ref()
                .map(|cure| format!("\n     cure: {cure}"))
                .unwrap_or_default();
            format!("{mark} {job}{}: {}{cure}", finding.step, finding.message)
        };
        // A reader that has gone away has seen enough.
        let _ = writeln!(std::io::stdout(), "{text}");
    }
}

fn check_job(job: &Job, signals: &Arc<Signals>, offline: bool, out: &mut Output) -> u8 {
    let name = Some(job.name.as_str());
    let fine = |step, message| Finding {
        job: name,
        step,
        ok: true,
        message,
        cure: None,
    };
    out.print(&fine(
        "folder",
        format!("`{}` can be read", job.source_path.display()),
    ));
    let mut client = match Client::new(job, signals) {
        Ok(client) => client,
        Err(error) => {
            out.print(&Finding {
                ok: false,
                ..fine("connection", error.to_string())
            });
            return exit::CONFIGURATION;
        }
    };
    if offline {
        return exit::OK;
    }
    match client.identity() {
        Ok(identity) => {
            let shown = identity.map(|identity| identity.to_string());
            out.print(&fine("credentials", shown.unwrap_or_default()));
        }
        Err(failure) => {
            out.print(&Finding {
                ok: false,
                cure: failure.hint.map(str::to_owned),
                ..fine("credentials", failure.message.clone())
            });
            return code_of(&failure);
        }
    }
    let place = &job.destination;
    match write_test_object(job, &mut client) {
        Ok(removed) => {
            let rest = if removed {
                "and removed again"
            } else {
                "and left there, since it may not be deleted"
            };
            let message = format!(
                "a test object was written to bucket `{}` at {} {rest}",
                place.bucket, place.host
            );
            out.print(&fine("destination", message));
            exit::OK
        }
        Err(failure) => {
            out.print(&Finding {
                ok: false,
                cure: failure.hint.map(str::to_owned),
                ..fine("destination", failure.to_string())
            });
            code_of(&failure)
        }
    }
}

/// Whether the object could be removed again.
fn write_test_object(job: &Job, client: &mut Client) -> Result<bool, Failure> {
    let key = ObjectKey::new(&job.prefix, NAME)
        .map_err(|error| Failure::new(Class::Blocked, "PutObject", error.to_string()))?;
    // It is to be removed again.
    let object = ObjectOptions {
        object_lock: ObjectLock::default(),
        ..ObjectOptions::clone(&job.object)
    };
    let options = CreateOptions {
        object: &object,
        content_type: "text/plain",
        token: None,
        sha256: None,
    };
    let wanted = Wanted::for_bodies(
        &job.transfer,
        job.transfer.checksum,
        &job.object.object_lock,
    );
    let body = TestBody(Hashes::of(wanted, CONTENT));
    client.put_object(key.as_str(), options, false, &body)?;
    Ok(client.delete_object(key.as_str()).is_ok())
}

struct TestBody(Hashes);

impl Body for TestBody {
    fn length(&self) -> u64 {
        CONTENT.len() as u64
    }

    fn sha256(&self) -> Option<String> {
        self.0.sha256.clone()
    }

    fn checksum(&self) -> Option<&Checksum> {
        self.0.checksum.as_ref()
    }

    fn md5(&self) -> Option<&str> {
        self.0.md5.as_deref()
    }

    fn open(&self) -> Box<dyn Read + '_> {
        Box::new(CONTENT)
    }
}
