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

/// Whether a tool that only the tests need is not there. Then they say so and pass, so that
/// `cargo test` needs nothing but Rust; where `CI` is set they fail.
pub fn lacks(tool: &str, works: bool) -> bool {
    if !works {
        assert!(std::env::var_os("CI").is_none(), "{tool} is missing");
        println!("SKIPPED: {tool} is missing");
    }
    !works
}
