use std::collections::BTreeMap;

use time::{OffsetDateTime, UtcOffset};

use super::*;

/// 2026-11-22 (a Sunday) 14:05:09 UTC.
const CREATED: i64 = 1_795_356_309;

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap()
}

fn file<'a>(directory: &'a str, name: &'a [u8]) -> FileFacts<'a> {
    FileFacts {
        name,
        directory: directory.as_bytes(),
        size: 1536,
        created: Some(at(CREATED)),
        modified: at(CREATED + 60),
        upload_time: at(CREATED + 3600),
        hostname: "gateway-7",
        job: "backups",
    }
}

fn own() -> BTreeMap<String, String> {
    let own = [
        ("dmaId", "17"),
        ("elementId", "204"),
        ("site", "north."),
        ("none", ""),
    ];
    own.map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn render(template: &str, file: &FileFacts) -> Result<String, KeyError> {
    Template::parse(template, &own()).unwrap().render(file)
}

#[test]
fn each_placeholder_becomes_its_value() {
    fn check(template: &str, expected: &str) {
        let rendered = render(template, &file("a/b", b"week 1.tar.gz"));
        assert_eq!(rendered.as_deref(), Ok(expected), "{template}");
    }
    check(
        "<dmaId>_<createTime>_<filename>.<extension>",
        "17_20261122140509_week 1.tar.gz",
    );
    check("<elementId>", "204");
    check("<modifyTime> <uploadTime>", "20261122140609 20261122150509");
    check("<filename>|<extension>", "week 1.tar|gz");
    check("<hostname>/<job>/<size>", "gateway-7/backups/1536");
    check("<directory>/<filename>", "a/b/week 1.tar");
    check("<directory><filename>", "a/bweek 1.tar");
    check("<site><extension>", "north.gz");
    check("<none><none>x", "x");
    check("plain", "plain");
    check("<<<filename>>>", "<week 1.tar>>");
    check("漢<job>字", "漢backups字");
}

#[test]
fn what_an_empty_value_would_leave_dangling_goes_with_it() {
    fn check(template: &str, name: &str, expected: &str) {
        let rendered = render(template, &file("", name.as_bytes()));
        assert_eq!(rendered.as_deref(), Ok(expected), "{template} of {name}");
    }
    check("<filename>.<extension>", "README", "README");
    check("<filename>.<extension>", ".bashrc", ".bashrc");
    check("<filename>.<extension>", ".bashrc.old", ".bashrc.old");
    check("<filename>.<extension>", "name.", "name.");
    check("<filename>.<extension>", "..", "..");
    check("<filename>.<extension>", "a.b", "a.b");
    check("<filename>_<extension>", "README", "README_");
    check("<filename>.<extension>.<size>", "README", "README.1536");
    check("<filename>.<job>", "README", "README.backups");
    // A dot of a value is no dot of the template.
    check("<site><extension>", "README", "north.");
    check("<directory>/<filename>", "README", "README");
    check("x/<directory>/<filename>", "README", "x/README");
    check("<directory>-<filename>", "README", "-README");
}

#[test]
fn a_file_without_birth_time_was_created_when_it_was_last_changed() {
    let facts = FileFacts {
        created: None,
        ..file("", b"x")
    };
    assert_eq!(
        render("<createTime>", &facts).as_deref(),
        Ok("20261122140609")
    );
}

#[test]
fn a_template_that_yields_nothing_is_an_error() {
    assert_eq!(
        render("<extension>", &file("", b"README")),
        Err(KeyError::Empty)
    );
}

#[test]
fn times_take_strftime_formats() {
    fn check(time: OffsetDateTime, format: &str, expected: &str) {
        let facts = FileFacts {
            created: Some(time),
            ..file("", b"x")
        };
        let rendered = render(&format!("<createTime:{format}>"), &facts);
        assert_eq!(rendered.as_deref(), Ok(expected), "{format}");
    }
    let time = at(CREATED);
    check(time, "%Y/%m/%d", "2026/11/22");
    check(time, "%y %e %j", "26 22 326");
    check(time, "%H-%M-%S", "14-05-09");
    check(time, "%I %p", "02 PM");
    check(time, "%b %B %a %A %u", "Nov November Sun Sunday 7");
    check(time, "%F %T %R", "2026-11-22 14:05:09 14:05");
    check(time, "%G-W%V", "2026-W47");
    check(time, "%s %z 100%%", "1795356309 +0000 100%");
    check(time, "Jahr: %Y", "Jahr: 2026");
    let new_york = UtcOffset::from_hms(-3, -30, 0).unwrap();
    check(time.to_offset(new_york), "%T %z", "10:35:09 -0330");
    // 1 January 2027 is a Friday and belongs to the last week of 2026.
    let new_year = at(1_798_761_600);
    check(
        new_year,
        "%Y %G %V %e %I %p %j",
        "2027 2026 53  1 12 AM 001",
    );
    check(at(-62_135_596_800), "%Y-%m-%d", "0001-01-01");
}

#[test]
fn mistakes_in_a_template_are_shown_with_place_and_cure() {
    fn check(template: &str, expected: &str) {
        let errors = Template::parse(template, &BTreeMap::new()).unwrap_err();
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors.join("\n"), expected, "{template}");
    }
    check(
        "<filename",
        "column 1: `<` opens a placeholder that is not closed; close it with `>`, or write `<<` \
         for a plain `<`",
    );
    check(
        "é<job>-a < <job>",
        "column 10: `<` opens a placeholder that is not closed; close it with `>`, or write \
         `<<` for a plain `<`",
    );
    check(
        "é<dmaId>",
        "column 2: there is no placeholder `<dmaId>`; set `placeholders.dmaId`",
    );
    check(
        "<job>_<elementId>",
        "column 7: there is no placeholder `<elementId>`; set `placeholders.elementId`",
    );
    check(
        "<FileName>",
        "column 1: there is no placeholder `<FileName>`; did you mean `<filename>`?",
    );
    check(
        "<dmaid>",
        "column 1: there is no placeholder `<dmaid>`; did you mean `<dmaId>`?",
    );
    check(
        "<>",
        "column 1: there is no placeholder `<>`; define it in `placeholders`, or write `<<` for \
         a plain `<`",
    );
    check(
        "<customer\n>",
        "column 1: there is no placeholder `<customer\\x0a>`; define it in `placeholders`, or \
         write `<<` for a plain `<`",
    );
    check(
        "<size:%Y>",
        "column 6: `<size>` takes no format; only `<createTime>`, `<modifyTime>` and \
         `<uploadTime>` do",
    );
    check(
        "x<createTime:>",
        "column 14: `<createTime:>` has an empty format; leave the colon out, or write one such \
         as `%Y/%m/%d`",
    );
    check(
        "<createTime:é%>",
        "column 14: `%` stands at the end of the format; write `%%` for a plain `%`",
    );
    check(
        "<uploadTime:%Y%Q>",
        "column 15: `%Q` is not known; known are %Y %y %m %d %e %H %M %S %I %p %j %b %B %a %A \
         %u %G %V %F %T %R %s %z, and %% for a plain `%`",
    );
}

#[test]
fn every_mistake_in_a_template_is_shown() {
    let errors = Template::parse("<fielname>-<site>-<createTime:%Q>-<job", &own()).unwrap_err();
    let columns: Vec<usize> = errors.iter().map(|error| error.column).collect();
    assert_eq!(columns, [1, 31, 35], "{errors:?}");
}

#[test]
fn a_placeholder_of_ones_own_is_suggested_too() {
    let errors = Template::parse("<Site>", &own()).unwrap_err();
    assert_eq!(errors[0].help, "did you mean `<site>`?");
}

#[test]
fn every_built_in_name_is_known() {
    for name in BUILT_IN {
        assert!(
            Template::parse(&format!("<{name}>"), &BTreeMap::new()).is_ok(),
            "{name}"
        );
    }
}

#[test]
fn keys_that_would_not_arrive_as_written_are_refused() {
    fn check(prefix: &str, name: &str, expected: Result<&str, &str>) {
        let key = ObjectKey::new(prefix, name).map_err(|error| error.to_string());
        let key = key.as_ref().map(ObjectKey::as_str).map_err(String::as_str);
        assert_eq!(key, expected, "{prefix:?} {name:?}");
    }
    check("", "a", Ok("a"));
    check("site-7/", "a/b.c", Ok("site-7/a/b.c"));
    check("site-7-", "a", Ok("site-7-a"));
    check("", "...", Ok("..."));
    check("", "a/.b/..c/d..", Ok("a/.b/..c/d.."));
    check("", "%2e%2e/a b\\c", Ok("%2e%2e/a b\\c"));
    let longest = "é".repeat(512);
    check("", &longest, Ok(&longest));
    check(
        "x",
        &longest,
        Err(
            "the object key has 1025 bytes, and S3 takes 1024: shorten the prefix, \
             change_filename or the file's path",
        ),
    );
    check(
        "p/",
        "",
        Err("the object key has no name: let change_filename yield one for every file"),
    );
    let dots = |key: &str| {
        format!(
            "the object key `{key}` has a `.` or `..` between slashes, which URLs drop: rename \
             the file, or change prefix or change_filename"
        )
    };
    check("", ".", Err(&dots(".")));
    check("a/", "../../x", Err(&dots("a/../../x")));
    check("./", "x", Err(&dots("./x")));
    check("a/.", ".", Err(&dots("a/..")));
    let empty = |key: &str| {
        format!(
            "the object key `{key}` has nothing between two slashes or after the last: change \
             prefix or change_filename"
        )
    };
    check("a//", "b", Err(&empty("a//b")));
    check("a/", "b/", Err(&empty("a/b/")));
    check("a/", "/b", Err(&empty("a//b")));
    check(
        "/",
        "a",
        Err("the object key `/a` starts with a slash: take it from prefix or change_filename"),
    );
    check(
        "a\n",
        "b",
        Err(
            "the object key `a\\x0ab` has a control character: take it from prefix or \
             change_filename",
        ),
    );
}

#[test]
fn the_key_of_a_file_is_its_path_or_what_the_template_says() {
    fn check(template: Option<&str>, file: &FileFacts, expected: &str) {
        let template = template.map(|text| Template::parse(text, &own()).unwrap());
        let key = key_for(template.as_ref(), "p/", file).unwrap();
        assert_eq!(key.as_str(), expected, "{template:?}");
    }
    check(None, &file("", b"x.y"), "p/x.y");
    check(None, &file("a/b", b"x.y"), "p/a/b/x.y");
    check(Some(""), &file("a/b", b"x.y"), "p/a/b/x.y");
    check(Some("<filename>-1"), &file("a/b", b"x.y"), "p/x-1");
    check(Some("<directory>/1"), &file("a/b", b"x.y"), "p/a/b/1");
    check(None, &file("", b"a\xff\n\\b"), "p/a\\xff\\x0a\\b");
    check(
        Some("<filename>.<extension>"),
        &file("", b"\xff.\xfe"),
        "p/\\xff.\\xfe",
    );
    check(
        Some("<directory>/x"),
        &FileFacts {
            directory: b"\xff",
            ..file("", b"")
        },
        "p/\\xff/x",
    );
}

#[test]
fn a_name_whose_escapes_make_it_too_long_has_no_key() {
    let name = [0xff_u8; 255];
    let directory = format!("{}/{}", "d".repeat(3), "e".repeat(4));
    let facts = file(&directory, &name);
    assert_eq!(
        key_for(None, "", &facts),
        Err(KeyError::TooLong { bytes: 1029 })
    );
}
