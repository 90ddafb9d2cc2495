//! What the operating system gives: signals, the lock, durable files, who has a file open, the
//! supervisor.

pub mod durable;
pub mod lock;
pub mod notify;
pub mod open_files;
pub mod signals;
