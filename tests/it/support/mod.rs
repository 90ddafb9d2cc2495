//! What the tests stand on: a real server, ways to make it fail, and the program itself.

pub mod agent;
pub mod connect_proxy;
pub mod files;
pub mod process;
pub mod proxy;
pub mod running;
pub mod scripted;
pub mod server;
pub mod tls;
