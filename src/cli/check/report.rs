//! The findings of `check`, one line each, and the exit code that they come to.

use std::io::{self, Write};

use serde::Serialize;

use crate::cli::arguments::Form;
use crate::cli::{code_of, exit, printed};
use crate::s3::Failure;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Ok,
    /// It was not tried, and shows itself only later.
    Untried,
    /// Files are sent all the same; something else than sending suffers.
    Warning,
    Failed,
}

#[derive(Debug, Serialize)]
struct Finding<'a> {
    job: Option<&'a str>,
    step: &'a str,
    /// False only for what keeps files from being sent.
    ok: bool,
    verdict: Verdict,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cure: Option<String>,
}

/// Prints findings as they come.
#[derive(Debug)]
pub struct Report {
    json: bool,
    code: u8,
    written: io::Result<()>,
}

impl Report {
    pub fn new(form: Form) -> Report {
        Report {
            json: form == Form::Json,
            code: exit::OK,
            written: Ok(()),
        }
    }

    /// That of the first finding that failed; but findings that nobody could read come first.
    pub fn code(self) -> u8 {
        match printed(self.written) {
            exit::OK => self.code,
            code => code,
        }
    }

    /// The findings about one job, or with `None` about all of them.
    pub fn about<'a>(&'a mut self, job: Option<&'a str>) -> About<'a> {
        About { report: self, job }
    }

    fn print(&mut self, finding: &Finding<'_>) {
        let text = if self.json {
            serde_json::to_string(finding).unwrap_or_default()
        } else {
            let mark = match finding.verdict {
                Verdict::Ok => "ok  ",
                Verdict::Untried => "skip",
                Verdict::Warning => "warn",
                Verdict::Failed => "FAIL",
            };
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
        if self.written.is_ok() {
            self.written = writeln!(io::stdout(), "{text}");
        }
    }
}

/// See [`Report::about`].
#[derive(Debug)]
pub struct About<'a> {
    report: &'a mut Report,
    job: Option<&'a str>,
}

impl About<'_> {
    pub fn ok(&mut self, step: &str, message: impl Into<String>) {
        self.print(step, Verdict::Ok, message.into(), None);
    }

    pub fn untried(&mut self, step: &str, message: impl Into<String>, cure: Option<&str>) {
        self.print(step, Verdict::Untried, message.into(), cure);
    }

    pub fn warn(&mut self, step: &str, message: impl Into<String>, cure: Option<&str>) {
        self.print(step, Verdict::Warning, message.into(), cure);
    }

    /// `code`: what the program exits with, if this is the first to fail.
    pub fn fail(&mut self, step: &str, message: impl Into<String>, cure: Option<&str>, code: u8) {
        if self.report.code == exit::OK {
            self.report.code = code;
        }
        self.print(step, Verdict::Failed, message.into(), cure);
    }

    /// As [`About::fail`], of a request that did not work.
    pub fn fail_by(&mut self, step: &str, failure: &Failure) {
        self.fail(step, failure.to_string(), failure.cure(), code_of(failure));
    }

    fn print(&mut self, step: &str, verdict: Verdict, message: String, cure: Option<&str>) {
        self.report.print(&Finding {
            job: self.job,
            step,
            ok: verdict != Verdict::Failed,
            verdict,
            message,
            cure: cure.map(str::to_owned),
        });
    }
}
