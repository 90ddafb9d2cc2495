//! Instructions of the program itself for each MiB that goes up over TLS, as QEMU counts them.

use crate::weed::Weed;
use crate::{agent, figure, write_large};

/// MiB. The difference between the two is free of what every run costs once.
const SIZES: [u64; 2] = [16, 48];

#[test]
#[ignore = "a measurement: cross/footprint.sh"]
fn instructions_per_mebibyte() {
    let counted =
        std::env::var("S3FERRY_INSTRUCTIONS").expect("the file that QEMU's plugin writes");
    let weed = Weed::shared().expect("S3FERRY_WEED");
    let bucket = weed.bucket("instructions");
    let instructions = SIZES.map(|size| {
        let agent = agent(weed, &bucket);
        write_large(&agent.source_file("large"), size);
        agent.once().expect_code(0);
        let text = std::fs::read_to_string(&counted).unwrap();
        text.trim().parse::<u64>().unwrap()
    });
    let per_mebibyte = (instructions[1] - instructions[0]) / (SIZES[1] - SIZES[0]);
    figure("instructions per MiB", per_mebibyte);
}
