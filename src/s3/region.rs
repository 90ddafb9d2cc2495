//! Where AWS keeps a bucket, learnt from the answer that says so, once for the whole process.
//!
//! A request in the wrong region is answered with 301, 307 or 400 and `x-amz-bucket-region`, or
//! with `<Region>` in the body, see
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>. A `Location` is never
//! followed: the new host is made here, of the configured bucket and the region's name.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::failure::Failure;
use crate::config::model::{Destination, RegionRule};

/// Regions by configured host and bucket. One entry a destination.
static LEARNT: Mutex<BTreeMap<(String, String), String>> = Mutex::new(BTreeMap::new());

/// Where the bucket is, if that has been learnt and `current` is not it.
pub fn news(configured: &Destination, current: &Destination) -> Option<Destination> {
    if configured.region_rule == RegionRule::Fixed {
        return None;
    }
    let region = with_learnt(|learnt| learnt.get(&key(configured)).cloned())?;
    current.moved_to(&region)
}

/// Takes over what `failure` says. False: nothing that leads anywhere else than `current`.
pub fn learn(configured: &Destination, current: &Destination, failure: &Failure) -> bool {
    let elsewhere = matches!(failure.http_status, Some(301 | 307 | 400));
    let Some(region) = failure.region.as_deref().filter(|_| elsewhere) else {
        return false;
    };
    let leads_there = current.moved_to(region).is_some();
    if leads_there {
        with_learnt(|learnt| learnt.insert(key(configured), region.to_owned()));
    }
    leads_there
}

fn key(destination: &Destination) -> (String, String) {
    (destination.host.clone(), destination.bucket.clone())
}

fn with_learnt<T>(work: impl FnOnce(&mut BTreeMap<(String, String), String>) -> T) -> T {
    // Nothing panics inside: what a poisoned lock holds is as good as ever.
    match LEARNT.lock() {
        Ok(mut learnt) => work(&mut learnt),
        Err(poisoned) => work(&mut poisoned.into_inner()),
    }
}
