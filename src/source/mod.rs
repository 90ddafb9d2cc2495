//! The folder that files come from: what is in it, what of that is to be sent, and what becomes
//! of a file afterwards.

pub mod afterwards;
pub mod file;
pub mod filter;
pub mod scan;
pub mod settled;
pub mod space;
