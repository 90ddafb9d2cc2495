//! Where to, with which keys, and by which way.

use super::*;

/// `{"source_path": "/data", <fields>}`, the fields from column 1 of line 2.
fn bare(fields: &str) -> String {
    format!("{{\"source_path\": \"/data\",\n{fields}}}")
}

#[test]
fn every_form_of_a_destination_is_understood() {
    let cases = [
        (
            r#""host": "mybucket.s3.eu-west-2.amazonaws.com""#,
            "mybucket eu-west-2 https s3.eu-west-2.amazonaws.com:443 VirtualHost",
        ),
        (
            r#""host": "mybucket.s3.eu-west-2.amazonaws.com", "bucket": "mybucket", "region": "eu-west-2""#,
            "mybucket eu-west-2 https s3.eu-west-2.amazonaws.com:443 VirtualHost",
        ),
        (
            r#""host": "mybucket.s3.eu-west-2.amazonaws.com", "addressing": "path", "port": 8443"#,
            "mybucket eu-west-2 https s3.eu-west-2.amazonaws.com:8443 Path",
        ),
        (
            r#""host": "my.bucket.s3.eu-west-2.amazonaws.com", "tls": false"#,
            "my.bucket eu-west-2 http s3.eu-west-2.amazonaws.com:80 Path",
        ),
        (
            r#""host": "my.bucket.s3.eu-west-2.amazonaws.com", "tls": false, "addressing": "virtual""#,
            "my.bucket eu-west-2 http s3.eu-west-2.amazonaws.com:80 VirtualHost",
        ),
        (
            r#""host": "mybucket.s3.amazonaws.com""#,
            "mybucket us-east-1 https s3.amazonaws.com:443 VirtualHost",
        ),
        (
            r#""host": "mybucket.s3.amazonaws.com", "region": "eu-west-1""#,
            "mybucket eu-west-1 https s3.amazonaws.com:443 VirtualHost",
        ),
        (
            r#""host": "s3.eu-west-2.amazonaws.com", "bucket": {"env": "BUCKET"}"#,
            "mybucket eu-west-2 https s3.eu-west-2.amazonaws.com:443 VirtualHost",
        ),
        (
            r#""host": "mybucket.s3.fr-par.scw.cloud""#,
            "mybucket fr-par https s3.fr-par.scw.cloud:443 VirtualHost",
        ),
        (
            r#""host": "MyBucket.s3.fr-par.scw.cloud""#,
            "MyBucket fr-par https s3.fr-par.scw.cloud:443 Path",
        ),
        (
            r#""host": "gate.s3.lab.example.com", "bucket": "data", "region": "r1""#,
            "data r1 https gate.s3.lab.example.com:443 Path",
        ),
        (
            r#""host": "127.0.0.1", "port": 9000, "tls": false, "bucket": "My_Bucket""#,
            "My_Bucket us-east-1 http 127.0.0.1:9000 Path",
        ),
        (
            r#""host": "[::1]", "bucket": "data", "region": "garage""#,
            "data garage https [::1]:443 Path",
        ),
        (
            r#""bucket": "mybucket", "region": "eu-west-2""#,
            "mybucket eu-west-2 https s3.eu-west-2.amazonaws.com:443 VirtualHost",
        ),
        (
            r#""bucket": "my.bucket", "region": "cn-north-1""#,
            "my.bucket cn-north-1 https s3.cn-north-1.amazonaws.com.cn:443 Path",
        ),
        (
            r#""bucket": "data", "endpoint": "https://minio.local""#,
            "data us-east-1 https minio.local:443 Path",
        ),
        (
            r#""bucket": "data", "endpoint": "http://Minio.local:9000/storage/v1/", "region": "lab", "tls": false, "port": 9000"#,
            "data lab http minio.local:9000/storage/v1 Path",
        ),
        (
            r#""bucket": "data", "endpoint": "https://minio.local", "addressing": "virtual", "port": 443"#,
            "data us-east-1 https minio.local:443 VirtualHost",
        ),
        (
            r#""bucket": "data", "endpoint": "https://s3.eu-west-2.amazonaws.com/""#,
            "data eu-west-2 https s3.eu-west-2.amazonaws.com:443 VirtualHost",
        ),
        (
            r#""bucket": "data", "endpoint": "https://a.s3.fr-par.scw.cloud""#,
            "data us-east-1 https a.s3.fr-par.scw.cloud:443 Path",
        ),
    ];
    for (fields, expected) in cases {
        let got = job_of(&bare(fields)).destination;
        let scheme = if got.tls { "https" } else { "http" };
        let shown = format!(
            "{} {} {scheme} {}:{}{} {:?}",
            got.bucket, got.region, got.host, got.port, got.base_path, got.addressing
        );
        assert_eq!(shown, expected, "{fields}");
    }
}

#[test]
fn a_wrong_destination_is_told_with_its_cure() {
    let cases: &[(&str, &str)] = &[
        (
            r#""host": §"minio.local""#,
            "§: host: `minio.local` names no bucket; write `<bucket>.s3.<region>.amazonaws.com`, or give `bucket` beside it",
        ),
        (
            r#""host": §"""#,
            "§: host: `` is not a host; write a name like `s3.example.com` or an address",
        ),
        (
            r#""host": §"https://x.y""#,
            "§: host: `https://x.y` is not a host alone; leave out the scheme and the path, or use `endpoint`",
        ),
        (
            r#""host": §"u:p@x.y""#,
            "§: host: the value is not a host alone; put the port into `port`",
        ),
        (
            r#""host": {"env": §"TWO_LINES"}"#,
            "§: host.env: the value of the environment variable `TWO_LINES` holds a line break or another control character; remove it",
        ),
        (
            r#""host": §"ab.s3.eu-west-2.amazonaws.com""#,
            "§: host: the bucket in the host is not a bucket's name; it has 3 to 63 characters",
        ),
        (
            r#""host": §"a_b.s3.eu-west-2.amazonaws.com""#,
            "§: host: the bucket in the host is not a bucket's name; use lower case letters, digits, `.` and `-`",
        ),
        (
            r#""host": §"abc.s3.london.amazonaws.com""#,
            "§: host: `london` is not a region of AWS; write it like `eu-west-2`",
        ),
        (
            r#""host": §"abc.s3-accelerate.amazonaws.com""#,
            "§: host: `accelerate` is not available in this version of s3ferry; use `<bucket>.s3.<region>.amazonaws.com`",
        ),
        (
            r#""host": "abc.s3.eu-west-2.amazonaws.com", "bucket": §"abd""#,
            "§: bucket: `abd` is not the bucket that `host` names; leave it out",
        ),
        (
            r#""host": "abc.s3.eu-west-2.amazonaws.com", "region": §"eu-west-1""#,
            "§: region: `eu-west-1` is not the region that the host names; leave it out",
        ),
        (
            r#""host": "abc.s3.lab.example.com", "region": §"us-east-1""#,
            "§: region: `us-east-1` is not the region that the host names; leave it out",
        ),
        (
            r#""host": "minio.local", "bucket": "abc", "region": §"EU""#,
            "§: region: `EU` is not a region; use lower case letters, digits and `-`, like `eu-west-2`",
        ),
        (
            r#""host": "minio.local", "endpoint": §"https://minio.local""#,
            "§: endpoint: stands beside `host`; keep one of the two",
        ),
        (
            r#""bucket": "abc""#,
            "1:1: region: is missing; name the bucket's region, or give `endpoint`",
        ),
        (
            r#""region": "eu-west-2""#,
            "1:1: bucket: is missing; name the bucket that takes the files",
        ),
        (
            r#""endpoint": "https://minio.local""#,
            "1:1: bucket: is missing; name the bucket that takes the files",
        ),
        (
            r#""bucket": "abc", "region": §"eu""#,
            "§: region: `eu` is not a region of AWS; write it like `eu-west-2`",
        ),
        (
            r#""bucket": §"A", "region": "eu-west-2""#,
            "§: bucket: `A` is not a bucket's name; it has 3 to 63 characters",
        ),
        (
            r#""bucket": "abc", "endpoint": §"minio.local:9000""#,
            "§: endpoint: `minio.local:9000` is not a URL; begin it with `https://` or `http://`",
        ),
        (
            r#""bucket": "abc", "endpoint": §"ftp://minio.local""#,
            "§: endpoint: `ftp://minio.local` has an unknown scheme; use `https://` or `http://`",
        ),
        (
            r#""bucket": "abc", "endpoint": §"https://u:p@minio.local""#,
            "§: endpoint: holds a user or a password; give `credentials` instead",
        ),
        (
            r#""bucket": "abc", "endpoint": §"https://minio.local/a/../b""#,
            "§: endpoint: `https://minio.local/a/../b` has a path that cannot stand before a bucket; use letters, digits, `-`, `.`, `_` and `~` between single slashes",
        ),
        (
            r#""bucket": "abc", "endpoint": §"https://abc.s3.eu-west-2.amazonaws.com""#,
            "§: endpoint: `https://abc.s3.eu-west-2.amazonaws.com` names a bucket; write it as `host`, or leave the bucket out",
        ),
        (
            r#""bucket": "abc", "endpoint": "https://minio.local", "tls": §false"#,
            "§: tls: is not what `endpoint` says; leave it out",
        ),
        (
            r#""bucket": "abc", "endpoint": "https://minio.local", "port": §9000"#,
            "§: port: is not what `endpoint` says; leave it out",
        ),
        (
            r#""bucket": "abc", "endpoint": "https://127.0.0.1", "addressing": §"virtual""#,
            "§: addressing: `virtual` needs a host name, not an address; use `path`",
        ),
        (
            r#""bucket": "ABC", "endpoint": "https://minio.local", "addressing": §"virtual""#,
            "§: addressing: `virtual` cannot carry upper case in the bucket's name; use `path`",
        ),
        (
            r#""bucket": "a.bc", "region": "eu-west-2", "addressing": §"virtual""#,
            "§: addressing: `virtual` fails over TLS when the bucket's name has a dot; use `path`",
        ),
        (
            r#""bucket": "abc", "region": "eu-west-2", "addressing": §"vhost""#,
            "§: addressing: `vhost` is not known here; use `auto`, `path` or `virtual`",
        ),
        (
            r#""bucket": "abc", "region": "eu-west-2", "port": §0"#,
            "§: port: `0` is out of range; give 1 to 65535",
        ),
        (
            r#""bucket": "abc", "region": "eu-west-2", "port": §"443""#,
            "§: port: expected a whole number, 1 to 65535, found a string",
        ),
    ];
    for (fields, expected) in cases {
        check(&bare(fields), &[expected]);
    }
}

#[test]
fn the_proxy_is_understood_in_all_its_forms() {
    let url = |text: &str| ProxyChoice::Url(Secret::new(text));
    let cases = [
        ("", ProxyChoice::Environment),
        (r#""proxy": "environment""#, ProxyChoice::Environment),
        (
            r#""proxy": "environment", "device_address": """#,
            ProxyChoice::Environment,
        ),
        (r#""proxy": "bypass""#, ProxyChoice::Bypass),
        (r#""device_address": "bypassproxy""#, ProxyChoice::Bypass),
        (
            r#""device_address": "BypassProxy", "proxy": "bypass""#,
            ProxyChoice::Bypass,
        ),
        (r#""proxy": "http://proxy:3128""#, url("http://proxy:3128")),
        (
            r#""proxy": "http://u:p%40w@[::1]:3128/""#,
            url("http://u:p%40w@[::1]:3128/"),
        ),
    ];
    for (fields, expected) in cases {
        assert_eq!(job_of(&with(fields)).proxy, expected, "{fields}");
    }
}

#[test]
fn a_wrong_proxy_is_told_with_its_cure() {
    let cases: &[(&str, &str)] = &[
        (
            r#""proxy": §"bypas""#,
            "§: proxy: this is no proxy; did you mean `bypass`?",
        ),
        (
            r#""proxy": §"proxy:3128""#,
            "§: proxy: this is no proxy; use `environment`, `bypass` or `http://user:password@host:port`",
        ),
        (
            r#""proxy": §"socks5://proxy:1080""#,
            "§: proxy: `socks5://…` is not available in this version of s3ferry; use `http://host:port`, `environment` or `bypass`",
        ),
        (
            r#""proxy": §"HTTPS://proxy:1080""#,
            "§: proxy: `https://…` is not available in this version of s3ferry; use `http://host:port`, `environment` or `bypass`",
        ),
        (
            r#""proxy": §"ftp://proxy:1080""#,
            "§: proxy: the proxy's URL has an unknown scheme; use `http://`",
        ),
        (
            r#""proxy": §"http://proxy:0""#,
            "§: proxy: the proxy's URL has a wrong port; give 1 to 65535",
        ),
        (
            r#""proxy": §"http://proxy:1/x""#,
            "§: proxy: the proxy's URL has a path; leave it out",
        ),
        (
            r#""proxy": §"http://u:p@w@proxy:1""#,
            "§: proxy: the user or password in the proxy's URL has a character that is not allowed there; percent-encode it, like `%40` for `@`",
        ),
        (
            r#""device_address": §"17""#,
            "§: device_address: `17` is not understood; the one known value is `BypassProxy`",
        ),
        (
            r#""device_address": §"BypassProxy", "proxy": "environment""#,
            "§: device_address: `BypassProxy` contradicts `proxy`; leave one of the two out",
        ),
        (
            r#""device_address": §"BypassProxy", "proxy": "http://proxy:3128""#,
            "§: device_address: `BypassProxy` contradicts `proxy`; leave one of the two out",
        ),
    ];
    for (fields, expected) in cases {
        check(&with(fields), &[expected]);
    }
}

#[test]
fn jobs_without_a_name_are_numbered() {
    let text = format!(
        "{{\"jobs\": [{0}, {1}, {0}]}}",
        with(""),
        with("\"name\": \"x\"")
    );
    let config = parsed(&text).expect("it is right");
    let names: Vec<_> = config.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["job1", "x", "job3"]);
    assert_eq!(job_of(&with("")).name, "default");
}
