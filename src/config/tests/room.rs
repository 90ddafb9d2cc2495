//! Room on disks, and the copy of the state directory.

use super::*;

#[test]
fn room_is_a_share_or_a_size() {
    let cases = [
        ("\"10%\"", FreeSpace::Percent(10)),
        ("\" 1 % \"", FreeSpace::Percent(1)),
        ("\"99%\"", FreeSpace::Percent(99)),
        ("\"500MiB\"", FreeSpace::Bytes(500 << 20)),
        ("4096", FreeSpace::Bytes(4096)),
    ];
    for (text, expected) in cases {
        let job = job_of(&with(&format!(
            "\"prune\": {{\"keep_free\": {text}}}, \"windows\": [\"22:00-06:00\"], \
             \"windows_override\": {{\"source_free_below\": {text}}}"
        )));
        assert_eq!(
            (job.prune, job.windows_override),
            (Some(expected), Some(expected))
        );
    }
    let job = job_of(&with("\"prune\": null, \"windows_override\": null"));
    assert_eq!((job.prune, job.windows_override), (None, None));
}

#[test]
fn a_wrong_share_is_told_with_its_cure() {
    let cases: &[(&str, &[&str])] = &[
        (
            "\"prune\": {\"keep_free\": §\"0%\"}",
            &["§: prune.keep_free: `0%` is no share; give `1%` to `99%`, or a size"],
        ),
        (
            "\"prune\": {\"keep_free\": §\"100%\"}",
            &["§: prune.keep_free: `100%` is no share; give `1%` to `99%`, or a size"],
        ),
        (
            "\"prune\": {\"keep_free\": §0}",
            &[
                "§: prune.keep_free: `0` is out of range; give a size of 1 or more, or a share like `10%`",
            ],
        ),
        (
            "\"prune\": {\"keep_free\": §\"5\"}",
            &[
                "§: prune.keep_free: `5` has no unit; write for example `5%` for a share of the disk, or `500MiB` for a size",
            ],
        ),
        (
            "\"windows\": [\"22:00-06:00\"], \"windows_override\": {\"source_free_below\": §\" 4096 \"}",
            &[
                "§: windows_override.source_free_below: `4096` has no unit; write for example `5%` for a share of the disk, or `500MiB` for a size",
            ],
        ),
        (
            "\"prune\": §{}",
            &[
                "§: prune.keep_free: is missing; say how much of the source's disk to keep free: `\"10%\"` or `\"500MiB\"`",
            ],
        ),
        (
            "\"after_upload\": \"delete\", \"prune\": §{\"keep_free\": \"10%\"}",
            &[
                "§: prune: has nothing to remove where `after_upload` does not keep the files; leave one of both out",
            ],
        ),
        (
            "\"windows_override\": §{\"source_free_below\": \"5%\"}",
            &[
                "§: windows_override: overrides no `windows`: sending is always allowed; leave it out",
            ],
        ),
        (
            "\"state_copy\": {\"dir\": §\"flash\"}",
            &["§: state_copy.dir: `flash` is not an absolute path; begin it with `/`"],
        ),
        (
            "\"state_copy\": §{\"interval\": \"1h\"}",
            &["§: state_copy.dir: is missing; name the folder that takes the copy"],
        ),
        (
            "\"state_copy\": §{\"dir\": \"/var/lib/s3ferry/copy\"}",
            &[
                "§: state_copy: `/var/lib/s3ferry/copy` and `state_dir` lie in one another; name a folder on another disk",
            ],
        ),
        (
            "\"state_copy\": §{\"dir\": \"/data/copy\"}",
            &[
                "§: state_copy: `/data/copy` lies in the source folder of the job `default`; keep the state outside of it",
            ],
        ),
    ];
    for (text, expected) in cases {
        check(&with(text), expected);
    }
}
