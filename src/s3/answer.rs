//! S3's XML answers, read defensively: bounded depth, no DTD, unknown elements ignored.
//!
//! rust-s3's own types demand fields that stores leave out (`RequestId`, ETags of parts), so the
//! few values that matter are picked out of the event stream instead.

use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::Event;

use super::checksum::Checksum;
use crate::config::model::ChecksumAlgorithm;

/// S3 never nests deeper than five elements.
const DEPTH_LIMIT: usize = 16;

/// An answer that is not what S3 sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub String);

/// The `<Error>` of an answer.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ErrorAnswer {
    pub code: String,
    pub message: String,
    pub request_id: String,
    /// `<Region>`, for AuthorizationHeaderMalformed and redirects.
    pub region: String,
}

/// A part that S3 holds.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct PartInfo {
    pub number: u32,
    /// Bytes.
    pub size: u64,
    /// As S3 gave it; some stores leave it out.
    pub etag: Option<String>,
    /// Those that S3 keeps with the part.
    pub checksums: Vec<Checksum>,
}

/// The element that holds a checksum, in requests and answers.
pub fn checksum_element(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "ChecksumCRC32",
        ChecksumAlgorithm::Crc32c => "ChecksumCRC32C",
        ChecksumAlgorithm::Crc64Nvme => "ChecksumCRC64NVME",
        ChecksumAlgorithm::Sha256 => "ChecksumSHA256",
    }
}

fn checksum_of(element: &str, value: &str) -> Option<Checksum> {
    let algorithm = ChecksumAlgorithm::ALL
        .into_iter()
        .find(|known| checksum_element(*known) == element)?;
    let value = value.to_owned();
    Some(Checksum { algorithm, value })
}

/// One page of ListParts.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct PartsPage {
    pub parts: Vec<PartInfo>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// One page of ListMultipartUploads.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct UploadsPage {
    pub uploads: Vec<UploadInfo>,
    pub next: Option<(String, String)>,
}

/// A multipart upload that S3 holds open.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct UploadInfo {
    pub key: String,
    pub upload_id: String,
    /// RFC 3339.
    pub initiated: String,
}

/// The name of the outermost element.
pub fn root(xml: &[u8]) -> Option<String> {
    let mut root = None;
    walk(xml, &mut |path, _| {
        if root.is_none() {
            root = path.first().cloned();
        }
    })
    .ok()?;
    root
}

/// The text of the first element at `path`, such as `["InitiateMultipartUploadResult", "UploadId"]`.
pub fn text_at(xml: &[u8], path: &[&str]) -> Result<Option<String>, Malformed> {
    let mut found = None;
    walk(xml, &mut |at, text| {
        if found.is_none() && at == path {
            found = Some(text.to_owned());
        }
    })?;
    Ok(found)
}

/// The `<Error>` in a body, if that is what it is.
pub fn error(xml: &[u8]) -> Option<ErrorAnswer> {
    let mut answer = ErrorAnswer::default();
    let mut found = false;
    walk(xml, &mut |path, text| match path {
        [root, rest @ ..] if root == "Error" => {
            found = true;
            match rest.first().map(String::as_str) {
                Some("Code") => answer.code = text.to_owned(),
                Some("Message") => answer.message = text.to_owned(),
                Some("RequestId") => answer.request_id = text.to_owned(),
                Some("Region") => answer.region = text.to_owned(),
                _ => {}
            }
        }
        _ => {}
    })
    .ok()?;
    found.then_some(answer)
}

/// A page of parts. A part listed twice (SeaweedFS, after it was sent again) is kept once, the last
/// one counts.
pub fn parts(xml: &[u8]) -> Result<PartsPage, Malformed> {
    let mut page = PartsPage::default();
    let mut truncated = false;
    let mut marker = None;
    let mut part = PartInfo::default();
    walk(xml, &mut |path, text| {
        let names: Vec<&str> = path.iter().skip(1).map(String::as_str).collect();
        match names.as_slice() {
            ["IsTruncated"] => truncated = text == "true",
            ["NextPartNumberMarker"] => marker = Some(text.to_owned()),
            ["Part", "PartNumber"] => part.number = text.parse().unwrap_or(0),
            ["Part", "Size"] => part.size = text.parse().unwrap_or(0),
            ["Part", "ETag"] => part.etag = Some(text.to_owned()).filter(|etag| !etag.is_empty()),
            ["Part", other] => part.checksums.extend(checksum_of(other, text)),
            ["Part"] => {
                let done = std::mem::take(&mut part);
                if done.number > 0 {
                    page.parts.retain(|kept| kept.number != done.number);
                    page.parts.push(done);
                }
            }
            _ => {}
        }
    })?;
    page.next = marker.filter(|_| truncated);
    Ok(page)
}

/// A page of open uploads.
pub fn uploads(xml: &[u8]) -> Result<UploadsPage, Malformed> {
    let mut page = UploadsPage::default();
    let mut truncated = false;
    let (mut key, mut id) = (String::new(), String::new());
    let mut upload = UploadInfo::default();
    walk(xml, &mut |path, text| {
        let names: Vec<&str> = path.iter().skip(1).map(String::as_str).collect();
        match names.as_slice() {
            ["IsTruncated"] => truncated = text == "true",
            ["NextKeyMarker"] => key = text.to_owned(),
            ["NextUploadIdMarker"] => id = text.to_owned(),
            ["Upload", "Key"] => upload.key = text.to_owned(),
            ["Upload", "UploadId"] => upload.upload_id = text.to_owned(),
            ["Upload", "Initiated"] => upload.initiated = text.to_owned(),
            ["Upload"] => page.uploads.push(std::mem::take(&mut upload)),
            _ => {}
        }
    })?;
    page.next = truncated.then_some((key, id));
    Ok(page)
}

/// Calls `visit` with the path and the text of every element, at its end.
fn walk(xml: &[u8], visit: &mut dyn FnMut(&[String], &str)) -> Result<(), Malformed> {
    let mut reader = Reader::from_reader(xml);
    reader.config_mut().expand_empty_elements = true;
    let mut path: Vec<String> = Vec::new();
    let mut text = String::new();
    loop {
        match reader.read_event().map_err(malformed)? {
            Event::Start(start) => {
                path.push(String::from_utf8_lossy(start.local_name().as_ref()).into_owned());
                text.clear();
                if path.len() > DEPTH_LIMIT {
                    return Err(Malformed("elements nested too deeply".into()));
                }
            }
            Event::End(_) => {
                visit(&path, text.trim());
                path.pop();
                text.clear();
            }
            Event::Text(piece) => text.push_str(&piece.decode().map_err(malformed)?),
            Event::CData(piece) => text.push_str(&piece.decode().map_err(malformed)?),
            Event::GeneralRef(name) => {
                let name = name.decode().map_err(malformed)?;
                text.push_str(&unescape(&format!("&{name};")).map_err(malformed)?);
            }
            Event::DocType(_) => return Err(Malformed("a document type declaration".into())),
            Event::Eof if path.is_empty() => return Ok(()),
            Event::Eof => return Err(Malformed("it ends in the middle".into())),
            // Empty elements come as a start and an end, by the reader's setting.
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

fn malformed(error: impl ToString) -> Malformed {
    Malformed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_read_whatever_the_store_leaves_out() {
        let full = b"<?xml version=\"1.0\"?>\n<Error><Code>NoSuchBucket</Code>\
                     <Message>a &amp; b &lt;c&gt;</Message><RequestId>4442</RequestId></Error>";
        let found = error(full).unwrap();
        assert_eq!(
            (found.code.as_str(), found.message.as_str()),
            ("NoSuchBucket", "a & b <c>")
        );
        assert_eq!(found.request_id, "4442");
        assert_eq!(
            error(b"<Error><Code>SlowDown</Code></Error>").unwrap().code,
            "SlowDown"
        );
        for other in [
            &b"<Fine/>"[..],
            b"",
            b"   ",
            b"<Error><Code>cut",
            b"{\"json\": true}",
            b"<!DOCTYPE x [<!ENTITY a \"b\">]><Error><Code>&a;</Code></Error>",
        ] {
            assert_eq!(error(other), None, "{:?}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn parts_are_read_without_etags_and_kept_once() {
        let xml = b"<ListPartsResult><IsTruncated>true</IsTruncated>\
            <NextPartNumberMarker>2</NextPartNumberMarker>\
            <Part><PartNumber>1</PartNumber><Size>5</Size></Part>\
            <Part><PartNumber>2</PartNumber><ETag>&quot;old&quot;</ETag><Size>7</Size></Part>\
            <Part><PartNumber>2</PartNumber><ETag>\"new\"</ETag><Size>7</Size></Part>\
            </ListPartsResult>";
        let page = parts(xml).unwrap();
        assert_eq!(page.next.as_deref(), Some("2"));
        let found: Vec<_> = page
            .parts
            .iter()
            .map(|part| (part.number, part.size, part.etag.as_deref()))
            .collect();
        assert_eq!(found, [(1, 5, None), (2, 7, Some("\"new\""))]);
    }

    #[test]
    fn deep_nesting_and_document_types_are_refused() {
        let deep = "<a>".repeat(40) + &"</a>".repeat(40);
        assert!(text_at(deep.as_bytes(), &["a"]).is_err());
        assert!(parts(b"<!DOCTYPE a><a/>").is_err());
        assert!(parts(b"<ListPartsResult><Part>").is_err());
    }

    /// Pieces of answers in any order, and bytes between them.
    fn soup() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
        use proptest::prelude::*;
        let piece = prop::sample::select(vec![
            "<?xml version=\"1.0\"?>",
            "<ListPartsResult>",
            "</ListPartsResult>",
            "<Part><PartNumber>3</PartNumber><Size>7</Size>",
            "</Part>",
            "<Error><Code>",
            "</Code></Error>",
            "<Upload/>",
            "<IsTruncated>true</IsTruncated>",
            "<![CDATA[",
            "]]>",
            "<!-- ",
            "-->",
            "<!DOCTYPE a [",
            "&#0;",
            "&amp;",
            "&lol;",
            "&#xffffffffff;",
            "<a b='c' b=\"",
            "<:>",
            "</",
        ]);
        let bytes = prop::collection::vec(any::<u8>(), 0..8);
        let part = prop_oneof![piece.prop_map(|text| text.as_bytes().to_vec()), bytes];
        prop::collection::vec(part, 0..20).prop_map(|parts| parts.concat())
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, cases: 3000, ..Default::default() })]

        #[test]
        fn anything_at_all_is_read_without_a_panic(xml in soup()) {
            let _ = (error(&xml), root(&xml), text_at(&xml, &["Error", "Code"]), uploads(&xml));
            if let Ok(page) = parts(&xml) {
                let mut numbers: Vec<_> = page.parts.iter().map(|part| part.number).collect();
                numbers.sort_unstable();
                numbers.dedup();
                assert_eq!(numbers.len(), page.parts.len());
                assert!(!numbers.contains(&0));
            }
        }
    }
}
