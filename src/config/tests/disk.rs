//! What comes from files: the configuration itself, secrets, and the folders.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> String {
        let path = self.0.path().join(name);
        path.to_str().expect("an ASCII path").to_string()
    }

    fn file(&self, name: &str, mode: u32, content: &[u8]) -> String {
        let path = self.path(name);
        fs::write(&path, content).expect("a writable folder");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("our own file");
        path
    }

    fn folder(&self, name: &str) -> String {
        let path = self.path(name);
        fs::create_dir(&path).expect("a writable folder");
        path
    }
}

fn with_secret(path: &str) -> String {
    with(&format!(
        "\"access_key\": \"AK\", \"secret_key\": {{\"file\": \"{path}\"}}"
    ))
}

#[test]
fn a_secret_is_read_from_a_file_of_its_own() {
    let folder = Folder::new();
    let contents: [&[u8]; 3] = [b"hunter2", b"hunter2\n", b"hunter2\r\n"];
    for content in contents {
        let path = folder.file("secret", 0o600, content);
        let CredentialSource::Static { secret_key, .. } = job_of(&with_secret(&path)).credentials
        else {
            panic!("no static keys");
        };
        assert_eq!(secret_key.expose(), "hunter2");
    }
}

#[test]
fn a_secrets_file_that_is_not_right_is_refused() {
    let folder = Folder::new();
    let open = folder.file("open", 0o640, b"hunter2");
    let others = folder.file("others", 0o604, b"hunter2");
    let empty = folder.file("empty", 0o600, b"\n");
    let lines = folder.file("lines", 0o600, b"hunter2\n\n");
    let large = folder.file("large", 0o600, &[b'x'; 64 * 1024 + 1]);
    let binary = folder.file("binary", 0o600, b"hunter2\xff");
    let link = folder.path("link");
    symlink(&open, &link).expect("a link");
    let fifo = folder.path("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .expect("a FIFO");
    let missing = folder.path("missing");
    let cases = [
        (
            &open,
            format!(
                "`{open}` is open to others than its owner (mode 0640); run `chmod 600 {open}`"
            ),
        ),
        (
            &others,
            format!(
                "`{others}` is open to others than its owner (mode 0604); run `chmod 600 {others}`"
            ),
        ),
        (&empty, format!("`{empty}` is empty")),
        (
            &lines,
            format!(
                "the content of `{lines}` holds a line break or another control character; remove it"
            ),
        ),
        (&large, format!("`{large}` is larger than 64 KiB")),
        (&binary, format!("`{binary}` is not UTF-8 text")),
        (
            &link,
            format!("`{link}` is a symbolic link; name the file itself"),
        ),
        (&fifo, format!("`{fifo}` is not a regular file")),
        (
            &missing,
            format!("cannot read `{missing}`: No such file or directory (os error 2)"),
        ),
    ];
    for (path, expected) in cases {
        check(
            &with_secret(path),
            &[&format!("2:44: secret_key.file: {expected}")],
        );
    }
}

#[test]
fn a_proxy_with_its_password_is_a_secret_too() {
    let folder = Folder::new();
    let path = folder.file("proxy", 0o644, b"http://u:hunter2@proxy:3128\n");
    let text = with(&format!("\"proxy\": {{\"file\": \"{path}\"}}"));
    check(
        &text,
        &[&format!(
            "2:19: proxy.file: `{path}` is open to others than its owner (mode 0644); run `chmod 600 {path}`"
        )],
    );
    folder.file("proxy", 0o600, b"http://u:hunter2@proxy:3128\n");
    let expected = parse_proxy("http://u:hunter2@proxy:3128").expect("a proxy");
    assert_eq!(job_of(&text).proxy, ProxyChoice::Server(expected));
}

#[test]
fn an_id_may_stand_in_an_open_file() {
    let folder = Folder::new();
    let path = folder.file("bucket", 0o644, b"mybucket\n");
    symlink(&path, folder.path("link")).expect("a link");
    for name in ["bucket", "link"] {
        let path = folder.path(name);
        let text = format!(
            "{{\"source_path\": \"/data\", \"region\": \"eu-west-2\", \"bucket\": {{\"file\": \"{path}\"}}}}"
        );
        assert_eq!(job_of(&text).destination.bucket, "mybucket");
    }
}

#[test]
fn the_content_of_a_file_is_not_shown() {
    let folder = Folder::new();
    let path = folder.file("id", 0o644, b"hunter2 is no region");
    let text = format!(
        "{{\"source_path\": \"/data\", \"bucket\": \"abc\", \"region\": {{\"file\": \"{path}\"}}}}"
    );
    check(
        &text,
        &[&format!(
            "1:53: region: the content of `{path}` is not a region; use lower case letters, digits and `-`, like `eu-west-2`"
        )],
    );
}

#[test]
fn a_group_may_read_what_systemd_hands_over() {
    let folder = Folder::new();
    let credentials = folder.folder("credentials");
    let handed = folder.file("credentials/secret", 0o440, b"hunter2");
    let climbing = format!("{credentials}/../credentials/secret");
    let writable = folder.file("credentials/writable", 0o620, b"hunter2");
    let world = folder.file("credentials/world", 0o444, b"hunter2");
    let beside = folder.file("credentials-not", 0o440, b"hunter2");
    let cases = [
        (&handed, credentials.as_str(), true),
        (&handed, "", false),
        (&handed, "/", false),
        (&climbing, &credentials, false),
        (&writable, &credentials, false),
        (&world, &credentials, false),
        (&beside, &credentials, false),
    ];
    for (path, directory, taken) in cases {
        let env = |name: &str| (name == "CREDENTIALS_DIRECTORY").then(|| directory.to_string());
        let result = parse(&with_secret(path), Path::new("c.json"), &env);
        assert_eq!(result.is_ok(), taken, "{path} below {directory}");
    }
}

#[test]
fn a_written_secret_in_an_open_file_is_a_warning() {
    let folder = Folder::new();
    let written =
        with(r#""access_key": "AK", "secret_key": "hunter2", "proxy": "http://u:hunter2@proxy:1""#);
    let elsewhere =
        with(r#""access_key": "AK", "secret_key": {"env": "SECRET"}, "proxy": "http://proxy:1""#);
    let cases = [
        (&written, 0o600, 0),
        (&written, 0o640, 2),
        (&elsewhere, 0o644, 0),
    ];
    for (text, mode, count) in cases {
        let path = folder.file("c.json", mode, text.as_bytes());
        let config = load(Path::new(&path), &environment).expect("it is right");
        assert_eq!(config.warnings.len(), count, "{:?}", config.warnings);
        if let Some(warning) = config.warnings.first() {
            let expected = format!(
                "{path}:2:35: secret_key: a secret in a file that others than its owner can open (mode 0640); \
                 run `chmod 600 {path}`, or keep the secret in a file of its own"
            );
            assert_eq!(*warning, expected);
        }
    }
}

#[test]
fn a_file_that_is_no_text_is_told_with_its_name() {
    let folder = Folder::new();
    let binary = folder.file("binary", 0o600, b"{\n  \"\xc3\xa9\xff\"}");
    let large = folder.file("large", 0o600, &[b' '; (1 << 20) + 1]);
    let whole = folder.file("whole", 0o600, &[b' '; 1 << 20]);
    let missing = folder.path("missing");
    let directory = folder.folder("folder");
    let cases = [
        (
            &binary,
            format!("{binary}:2:5: not UTF-8; save the file as UTF-8"),
        ),
        (&large, format!("{large}: it is larger than 1024 KiB")),
        (
            &missing,
            format!(
                "{missing}: there is no such file; create it, or name another with `-c` or `$S3FERRY_CONFIG`"
            ),
        ),
        (&directory, format!("{directory}: it is not a regular file")),
    ];
    for (path, expected) in cases {
        let error = load(Path::new(path), &environment).expect_err(path);
        assert_eq!(error.to_string(), expected);
    }
    let error = load(Path::new(&whole), &environment).expect_err("it is empty");
    assert_eq!(
        (error.problems[0].line, error.problems[0].column),
        (1, (1 << 20) + 1)
    );
}

/// The problems of the folders, without the file's name.
fn folder_problems(text: &str) -> Vec<String> {
    let config = parsed(text).unwrap_or_else(|error| panic!("{error}"));
    let problems = validate_folders(&config);
    let line = |FolderProblem { problem, .. }: &FolderProblem| {
        problem.to_string().replacen("c.json:", "", 1)
    };
    problems.iter().map(line).collect()
}

#[test]
fn folders_that_can_be_used_are_no_problem() {
    let folder = Folder::new();
    let (source, sent) = (folder.folder("source"), folder.folder("sent"));
    let state = folder.path("var/lib/state");
    let new = folder.path("new/sent");
    for after in [
        "\"keep\"",
        "\"delete\"",
        &format!("{{\"move_to\": \"{sent}\"}}"),
        &format!("{{\"move_to\": \"{new}\"}}"),
    ] {
        let text = format!(
            "{{\"host\": \"{HOST}\", \"state_dir\": \"{state}\", \"source_path\": \"{source}\", \"after_upload\": {after}}}"
        );
        assert_eq!(folder_problems(&text), Vec::<String>::new());
    }
}

#[test]
fn folders_that_cannot_be_used_are_told_with_their_place() {
    let folder = Folder::new();
    let file = folder.file("file", 0o600, b"");
    let (missing, source) = (folder.path("missing"), folder.folder("source"));
    let below = folder.folder("source/below");
    symlink(&below, folder.path("link")).expect("a link");
    let link = folder.path("link");
    folder.file("other", 0o600, b"");
    let state = folder.path("other/state");
    let text = format!(
        r#"{{"jobs": [
{{"host": "{HOST}", "source_path": "{missing}"}},
{{"host": "{HOST}", "source_path": "{file}"}},
{{"host": "{HOST}", "source_path": "{missing}", "processing_state": "disabled"}},
{{"host": "{HOST}", "source_path": "{source}", "recursive": true,
"after_upload": {{"move_to": "{link}"}}}},
{{"host": "{HOST}", "source_path": "{source}",
"after_upload": {{"move_to": "{file}"}}}},
],
"state_dir": "{state}"}}"#
    );
    let below = fs::canonicalize(&below).expect("it is there");
    let expected = [
        format!(
            "2:64: jobs[0].source_path: cannot read folder `{missing}`: No such file or directory (os error 2); create it, or mount what holds it"
        ),
        format!(
            "3:64: jobs[1].source_path: cannot read folder `{file}`: Not a directory (os error 20); name the folder that holds the files"
        ),
        format!(
            "6:17: jobs[3].after_upload.move_to: `{}` lies in the source folder, which is recursive; name one outside of it",
            below.display()
        ),
        format!(
            "8:17: jobs[4].after_upload.move_to: cannot write into folder `{file}`: Not a directory (os error 20); name a folder"
        ),
        format!(
            "10:14: state_dir: cannot write into folder `{state}`: Not a directory (os error 20); name a folder"
        ),
    ];
    assert_eq!(folder_problems(&text), expected);
}
