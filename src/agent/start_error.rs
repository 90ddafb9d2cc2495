//! Why an agent cannot start, with the cure.

use std::io;

use crate::os::durable::cure_of_folder;
use crate::transport::TransportError;

/// Why an agent cannot start.
#[derive(Debug)]
pub enum StartError {
    AlreadyRunning,
    StateDirectory(io::Error),
    Signals(io::Error),
    Transport(String, TransportError),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::AlreadyRunning => f.write_str(
                "s3ferry is already running on this state directory; stop it first, or give this one a `state_dir` of its own",
            ),
            StartError::StateDirectory(error) => {
                let cure = cure_of_folder(error);
                write!(f, "cannot use the state directory: {error}; {cure}")
            }
            StartError::Signals(error) => write!(f, "cannot catch signals: {error}"),
            StartError::Transport(job, error) => write!(f, "job `{job}`: {error}"),
        }
    }
}

impl std::error::Error for StartError {}
