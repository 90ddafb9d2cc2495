//! Where a job's bucket is reached: the seed's one host that says everything, or
//! bucket, region and endpoint apart.

use super::aws::{self, AccessPoint, EndpointOptions};
use super::fields::{Field, Reported};
use super::host::{self, Host};
use super::model::{Addressing, Destination, RegionRule};
use super::names::{self, Store};
use super::secrets::{Kind, Text};
use super::section::Section;
use super::url;

/// A value and the field to blame for it.
type Given<'a> = Option<(Field<'a>, Text)>;

/// The keys as they stand in the file.
struct Keys<'a> {
    host: Given<'a>,
    bucket: Given<'a>,
    region: Given<'a>,
    endpoint: Given<'a>,
    port: Option<u16>,
    tls: Option<bool>,
    /// `None` is `auto`.
    addressing: Option<(Field<'a>, Addressing)>,
    options: EndpointOptions,
}

/// What the keys come to; only the addressing is still open.
struct Target {
    bucket: String,
    /// The host itself named the bucket.
    bucket_in_host: bool,
    region: String,
    store: Store,
    tls: bool,
    host: String,
    port: u16,
    base_path: String,
    region_rule: RegionRule,
    /// The host takes no path style.
    virtual_only: bool,
}

pub(super) fn read(job: &Section<'_>) -> Result<Destination, Reported> {
    let keys = read_keys(job)?;
    let place = match (&keys.host, &keys.endpoint) {
        (Some(_), Some((endpoint, _))) => {
            return Err(endpoint.problem("stands beside `host`; keep one of the two"));
        }
        (Some((field, text)), None) => from_host(&keys, field, text)?,
        (None, Some((field, text))) => from_endpoint(job, &keys, field, text)?,
        (None, None) => from_bucket_and_region(job, &keys)?,
    };
    let addressing = addressing(job, &keys, &place)?;
    Ok(Destination {
        bucket: place.bucket,
        region: place.region,
        tls: place.tls,
        host: place.host,
        port: place.port,
        base_path: place.base_path,
        addressing,
        region_rule: place.region_rule,
    })
}

fn usual_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

fn read_keys<'a>(job: &Section<'a>) -> Result<Keys<'a>, Reported> {
    let given = |key| match job.get(key) {
        None => Ok(None),
        Some(field) => field.resolved(Kind::Id).map(|text| Some((field, text))),
    };
    let (host, bucket) = (given("host"), given("bucket"));
    let (region, endpoint) = (given("region"), given("endpoint"));
    let port = job.optional("port", |field| field.count(1..=65535, "1 to 65535"));
    let tls = job.optional("tls", Field::boolean);
    let addressing = job.read("addressing", None, |field| {
        let known = [None, Some(Addressing::Path), Some(Addressing::VirtualHost)];
        Ok(known[field.choice(&["auto", "path", "virtual"])?])
    });
    let addressing = addressing.map(|wanted| job.get("addressing").zip(wanted));
    let options = aws::endpoint_options(job);
    Ok(Keys {
        host: host?,
        bucket: bucket?,
        region: region?,
        endpoint: endpoint?,
        port: port?.map(|port| port as u16),
        tls: tls?,
        addressing: addressing?,
        options: options?,
    })
}

/// `host`, alone or with `bucket` beside it.
fn from_host(keys: &Keys<'_>, field: &Field<'_>, text: &Text) -> Result<Target, Reported> {
    names::check_host(&text.value).map_err(|cause| blame(field, text, cause))?;
    let mut parts = host::understand(&text.value).map_err(|cause| field.problem(cause))?;
    let named = parts.bucket.take();
    let (bucket, bucket_in_host) = match (named, &keys.bucket) {
        (None, None) => {
            let cause = "names no bucket; write `<bucket>.s3.<region>.amazonaws.com`, \
                         or give `bucket` beside it";
            return Err(blame(field, text, cause));
        }
        (Some(bucket), None) => (check_bucket(field, text, bucket, parts.store)?, true),
        (None, Some((field, text))) => {
            let bucket = text.value.clone();
            (check_bucket(field, text, bucket, parts.store)?, false)
        }
        (Some(bucket), Some((field, text))) if bucket == text.value => {
            (check_bucket(field, text, bucket, parts.store)?, true)
        }
        (Some(_), Some((field, text))) if parts.store == Store::Aws => {
            return Err(blame(
                field,
                text,
                "is not the bucket that `host` names; leave it out",
            ));
        }
        // Whoever names the bucket means a host that only looks as if it held one.
        (Some(_), Some((bucket, name))) => {
            parts.service = text.value.to_ascii_lowercase();
            parts.region = None;
            (
                check_bucket(bucket, name, name.value.clone(), parts.store)?,
                false,
            )
        }
    };
    let tls = keys.tls.unwrap_or(true);
    Ok(Target {
        bucket,
        bucket_in_host,
        region: region(keys, &parts)?,
        store: parts.store,
        tls,
        host: parts.service,
        port: keys.port.unwrap_or(usual_port(tls)),
        base_path: String::new(),
        region_rule: parts.region_rule,
        virtual_only: parts.virtual_only,
    })
}

/// `endpoint`, with `bucket` and perhaps `region`.
fn from_endpoint(
    job: &Section<'_>,
    keys: &Keys<'_>,
    field: &Field<'_>,
    text: &Text,
) -> Result<Target, Reported> {
    let url = url::split(&text.value).map_err(|cause| blame(field, text, cause))?;
    let tls = match url.scheme.as_str() {
        "https" => true,
        "http" => false,
        _ => {
            return Err(blame(
                field,
                text,
                "has an unknown scheme; use `https://` or `http://`",
            ));
        }
    };
    if url.user.is_some() {
        return Err(field.problem("holds a user or a password; give `credentials` instead"));
    }
    let base_path = base_path(url.path).map_err(|cause| blame(field, text, cause))?;
    let mut parts = host::understand(url.host).map_err(|cause| field.problem(cause))?;
    match (parts.store, &parts.bucket) {
        (Store::Aws, Some(_)) => {
            let cause = "names a bucket; write it as `host`, or leave the bucket out";
            return Err(blame(field, text, cause));
        }
        (_, None) => {}
        // It only looks as if it held a bucket.
        (Store::Other, Some(_)) => {
            parts.region = None;
            parts.service = url.host.to_ascii_lowercase();
        }
    }
    check_same(job, "tls", keys.tls.is_none_or(|given| given == tls))?;
    let port = url.port.unwrap_or(usual_port(tls));
    check_same(job, "port", keys.port.is_none_or(|given| given == port))?;
    Ok(Target {
        bucket: given_bucket(job, keys, parts.store)?,
        bucket_in_host: false,
        region: region(keys, &parts)?,
        store: parts.store,
        tls,
        host: parts.service,
        port,
        base_path,
        region_rule: parts.region_rule,
        virtual_only: parts.virtual_only,
    })
}

/// `bucket` and `region` alone: AWS.
fn from_bucket_and_region(job: &Section<'_>, keys: &Keys<'_>) -> Result<Target, Reported> {
    if keys.bucket.is_none() && keys.region.is_none() {
        return Err(job.missing(
            "host",
            "write `<bucket>.s3.<region>.amazonaws.com`, or give `bucket` with `region` or `endpoint`",
        ));
    }
    if let Some((field, text)) = &keys.bucket
        && let Some(point) = aws::access_point(&text.value)
    {
        let point = point.map_err(|cause| blame(field, text, cause))?;
        return from_access_point(job, keys, point);
    }
    let bucket = given_bucket(job, keys, Store::Aws);
    let region = match &keys.region {
        None => Err(job.missing("region", "name the bucket's region, or give `endpoint`")),
        Some((field, text)) => check_region(field, text, Store::Aws),
    };
    let (bucket, region) = (bucket?, region?);
    let host = keys.options.host(&region).map_err(|cause| {
        job.problem_of("endpoint_options", format!("the region `{region}` {cause}"))
    })?;
    let tls = keys.tls.unwrap_or(true);
    Ok(Target {
        bucket,
        bucket_in_host: false,
        host,
        region,
        store: Store::Aws,
        tls,
        port: keys.port.unwrap_or(usual_port(tls)),
        base_path: String::new(),
        region_rule: if keys.options.accelerate {
            RegionRule::Signed
        } else {
            RegionRule::Derived(keys.options.form)
        },
        virtual_only: keys.options.accelerate,
    })
}

/// `bucket` is the ARN of an access point, which names its region.
fn from_access_point(
    job: &Section<'_>,
    keys: &Keys<'_>,
    point: AccessPoint,
) -> Result<Target, Reported> {
    if let Some((field, text)) = &keys.region
        && text.value != point.region
    {
        let cause = "is not the region that the ARN names; leave it out";
        return Err(blame(field, text, cause));
    }
    if keys.options.accelerate {
        let cause = "`accelerate` is not for access points; leave it out";
        return Err(job.problem_of("endpoint_options", cause.to_string()));
    }
    keys.options.host(&point.region).map_err(|cause| {
        let cause = format!("the region `{}` {cause}", point.region);
        job.problem_of("endpoint_options", cause)
    })?;
    let tls = keys.tls.unwrap_or(true);
    Ok(Target {
        host: point.host(keys.options.form),
        bucket: point.bucket,
        bucket_in_host: true,
        region: point.region,
        store: Store::Aws,
        tls,
        port: keys.port.unwrap_or(usual_port(tls)),
        base_path: String::new(),
        region_rule: RegionRule::Fixed,
        virtual_only: true,
    })
}

fn given_bucket(job: &Section<'_>, keys: &Keys<'_>, store: Store) -> Result<String, Reported> {
    match &keys.bucket {
        None => Err(job.missing("bucket", "name the bucket that takes the files")),
        Some((field, text)) => check_bucket(field, text, text.value.clone(), store),
    }
}

fn check_bucket(
    field: &Field<'_>,
    text: &Text,
    bucket: String,
    store: Store,
) -> Result<String, Reported> {
    match names::check_bucket(&bucket, store) {
        Ok(()) => Ok(bucket),
        Err(cause) if bucket == text.value => Err(blame(field, text, cause)),
        Err(cause) => Err(field.problem(format!("the bucket in the host {cause}"))),
    }
}

fn check_region(field: &Field<'_>, text: &Text, store: Store) -> Result<String, Reported> {
    names::check_region(&text.value, store).map_err(|cause| blame(field, text, cause))?;
    Ok(text.value.clone())
}

/// The host's region, which the given one must not contradict.
fn region(keys: &Keys<'_>, host: &Host) -> Result<String, Reported> {
    let Some((field, text)) = &keys.region else {
        let named = host.region.as_deref().unwrap_or(host.usual_region);
        return Ok(named.to_string());
    };
    let given = check_region(field, text, host.store)?;
    if host.region.as_ref().is_some_and(|named| *named != given) {
        let cause = "is not the region that the host names; leave it out";
        return Err(blame(field, text, cause));
    }
    Ok(given)
}

fn check_same(job: &Section<'_>, key: &str, same: bool) -> Result<(), Reported> {
    match job.get(key) {
        Some(field) if !same => Err(field.problem("is not what `endpoint` says; leave it out")),
        _ => Ok(()),
    }
}

/// `/storage/v1` without a slash at its end.
fn base_path(path: &str) -> Result<String, &'static str> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let characters = path
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte));
    let segments = path
        .split('/')
        .skip(1)
        .all(|segment| !matches!(segment, "" | "." | ".."));
    if characters && segments {
        Ok(path.to_string())
    } else {
        Err(
            "has a path that cannot stand before a bucket; use letters, digits, `-`, `.`, `_` and `~` between single slashes",
        )
    }
}

fn addressing(job: &Section<'_>, keys: &Keys<'_>, place: &Target) -> Result<Addressing, Reported> {
    let obstacle = virtual_host_obstacle(place);
    match (&keys.addressing, obstacle) {
        (Some((field, Addressing::VirtualHost)), Some(cause)) => {
            Err(field.problem(format!("`virtual` {cause}; use `path`")))
        }
        (Some((field, Addressing::Path)), _) if place.virtual_only => {
            Err(field
                .problem("`path` does not work with access points and acceleration; use `auto`"))
        }
        (None, Some(cause)) if place.virtual_only => Err(job.problem_of(
            "bucket",
            format!("has to be a part of the host, but that {cause}; use a plain host of S3"),
        )),
        (Some((_, wanted)), _) => Ok(*wanted),
        (None, obstacle) => {
            let usual = place.bucket_in_host || place.store == Store::Aws;
            let dotted = place.bucket.contains('.');
            Ok(if usual && !dotted && obstacle.is_none() {
                Addressing::VirtualHost
            } else {
                Addressing::Path
            })
        }
    }
}

/// Why the bucket cannot be a part of the host.
fn virtual_host_obstacle(place: &Target) -> Option<&'static str> {
    if names::is_address(&place.host) {
        Some("needs a host name, not an address")
    } else if place.bucket.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Some("cannot carry upper case in the bucket's name")
    } else if place.store == Store::Aws && place.tls && place.bucket.contains('.') {
        Some("fails over TLS when the bucket's name has a dot")
    } else {
        None
    }
}

/// The value, unless a user or a password may be in it, and the cause.
fn blame(field: &Field<'_>, text: &Text, cause: &str) -> Reported {
    let shown = if text.value.contains('@') {
        "the value"
    } else {
        text.shown()
    };
    field.problem(format!("{shown} {cause}"))
}
