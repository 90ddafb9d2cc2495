//! Where to: every form of a destination.

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
            r#""bucket": "data", "region": "eu-west-2", "endpoint_options": {"dual_stack": true}"#,
            "data eu-west-2 https s3.dualstack.eu-west-2.amazonaws.com:443 VirtualHost",
        ),
        (
            r#""bucket": "data", "region": "us-gov-west-1", "endpoint_options": {"dual_stack": true, "fips": true}"#,
            "data us-gov-west-1 https s3-fips.dualstack.us-gov-west-1.amazonaws.com:443 VirtualHost",
        ),
        (
            r#""bucket": "data", "region": "eu-west-2", "endpoint_options": {"accelerate": true}"#,
            "data eu-west-2 https s3-accelerate.amazonaws.com:443 VirtualHost",
        ),
        (
            r#""bucket": "data", "region": "eu-west-2", "endpoint_options": {"accelerate": true, "dual_stack": true}"#,
            "data eu-west-2 https s3-accelerate.dualstack.amazonaws.com:443 VirtualHost",
        ),
        (
            r#""bucket": "arn:aws:s3:eu-west-2:123456789012:accesspoint/reports""#,
            "reports-123456789012 eu-west-2 https s3-accesspoint.eu-west-2.amazonaws.com:443 VirtualHost",
        ),
        (
            r#""bucket": "arn:aws:s3:us-east-1:123456789012:accesspoint/reports", "region": "us-east-1", "endpoint_options": {"fips": true}"#,
            "reports-123456789012 us-east-1 https s3-accesspoint-fips.us-east-1.amazonaws.com:443 VirtualHost",
        ),
        (
            r#""bucket": "reports-ab12metadata-s3alias", "region": "eu-west-2""#,
            "reports-ab12metadata-s3alias eu-west-2 https s3.eu-west-2.amazonaws.com:443 VirtualHost",
        ),
        (
            r#""host": "mybucket.s3-accelerate.amazonaws.com""#,
            "mybucket us-east-1 https s3-accelerate.amazonaws.com:443 VirtualHost",
        ),
        (
            r#""host": "mybucket.s3.amazonaws.com.cn""#,
            "mybucket cn-north-1 https s3.amazonaws.com.cn:443 VirtualHost",
        ),
        (
            r#""bucket": "data", "endpoint": "https://bucket.vpce-1a.s3.eu-west-1.vpce.amazonaws.com""#,
            "data eu-west-1 https bucket.vpce-1a.s3.eu-west-1.vpce.amazonaws.com:443 Path",
        ),
        (
            r#""bucket": "data", "endpoint": "http://[::1]:9000""#,
            "data us-east-1 http [::1]:9000 Path",
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
            r#""host": §"abc.s3-website.eu-west-2.amazonaws.com""#,
            "§: host: `website` is not available in this version of s3ferry; use `<bucket>.s3.<region>.amazonaws.com`",
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
            r#""host": "mybucket.s3.eu-west-2.amazonaws.com", "endpoint_options": §{"fips": true}"#,
            "§: endpoint_options: has no effect beside `host`, which says it all; leave it out, or give `bucket` and `region` instead",
        ),
        (
            r#""bucket": "abc", "region": "eu-west-2", "endpoint_options": §{"fips": true}"#,
            "§: endpoint_options: the region `eu-west-2` has no `fips` hosts; leave it out, or use a region of the US or Canada",
        ),
        (
            r#""bucket": "abc", "region": "us-east-1", "endpoint_options": {"fips": true, "accelerate": §true}"#,
            "§: endpoint_options.accelerate: cannot be had together with `fips`; leave one of the two out",
        ),
        (
            r#""bucket": "abc", "region": "cn-north-1", "endpoint_options": §{"accelerate": true}"#,
            "§: endpoint_options: the region `cn-north-1` has no `accelerate`; leave it out",
        ),
        (
            r#""bucket": "abc", "region": "us-east-1", "endpoint_options": {"accelerate": true}, "addressing": §"path""#,
            "§: addressing: `path` does not work with access points and acceleration; use `auto`",
        ),
        (
            r#""bucket": §"a.bc", "region": "us-east-1", "endpoint_options": {"accelerate": true}"#,
            "§: bucket: has to be a part of the host, but that fails over TLS when the bucket's name has a dot; use a plain host of S3",
        ),
        (
            r#""bucket": §"arn:aws:s3:::abc", "region": "us-east-1""#,
            "§: bucket: `arn:aws:s3:::abc` is not the ARN of an access point; write it like `arn:aws:s3:eu-west-2:123456789012:accesspoint/name`",
        ),
        (
            r#""bucket": "arn:aws:s3:eu-west-2:123456789012:accesspoint/reports", "region": §"eu-west-1""#,
            "§: region: `eu-west-1` is not the region that the ARN names; leave it out",
        ),
        (
            r#""bucket": "abc", "region": "eu-west-2", "port": §"443""#,
            "§: port: expected a whole number, 1 to 65535, found the string `443`",
        ),
    ];
    for (fields, expected) in cases {
        check(&bare(fields), &[expected]);
    }
}
