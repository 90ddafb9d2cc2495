//! Arguments to a command, and its result to an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(s3ferry::cli::main())
}
