//! What the tests stand on: a real server, ways to make it fail, and the program itself.

pub mod agent;
pub mod connect_proxy;
pub mod files;
pub mod mounts;
pub mod process;
pub mod proxy;
pub mod relay;
pub mod running;
pub mod scripted;
pub mod server;
pub mod tls;
pub mod tools;

/// Whether a tool that only the tests need is not there. Then they say so and pass, so that
/// `cargo test` needs nothing but Rust; where `CI` is set they fail.
pub fn lacks(tool: &str, works: bool) -> bool {
    if !works {
        assert!(std::env::var_os("CI").is_none(), "{tool} is missing");
        println!("SKIPPED: {tool} is missing");
    }
    !works
}

/// libfaketime, where a distribution puts it. Without it these tests say so and pass, but in CI
/// they fail.
pub fn faketime() -> Option<&'static str> {
    let places = [
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
        "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
        "/usr/lib64/faketime/libfaketime.so.1",
        "/usr/lib/faketime/libfaketime.so.1",
    ];
    let found = places
        .into_iter()
        .find(|place| std::path::Path::new(place).exists());
    let lacks = lacks(
        "libfaketime (Debian: apt-get install faketime)",
        found.is_some(),
    );
    found.filter(|_| !lacks)
}
