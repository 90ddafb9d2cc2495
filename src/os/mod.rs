//! What the operating system gives: signals, the lock, durable files, who has a file open, a word to the
//! supervisor, the machine's name.

pub mod durable;
pub mod lock;
pub mod mirror;
pub mod notify;
pub mod open_files;
pub mod signals;

/// This machine's name, for `<hostname>` and for sessions with STS.
pub fn hostname() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}
