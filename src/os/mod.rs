//! What the operating system gives: signals, the lock, durable files, who has a file open.

pub mod durable;
pub mod lock;
pub mod open_files;
pub mod signals;
