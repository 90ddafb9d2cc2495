//! What CompleteMultipartUpload says of the parts and of the whole.

use quick_xml::escape::escape;

use super::answer::checksum_element;
use super::checksum::Checksum;
use crate::config::model::ChecksumAlgorithm;

/// A part that S3 has confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentPart {
    /// 1 to 10,000.
    pub number: u32,
    /// As S3 gave it, empty where it gave none.
    pub etag: String,
    /// In base64, of an upload that was begun with an algorithm.
    pub checksum: Option<String>,
}

/// What CompleteMultipartUpload says of the whole.
#[derive(Debug, Clone, Copy)]
pub struct Completion<'a> {
    /// Bytes.
    pub size: u64,
    /// Of the whole object, where the upload was begun with an algorithm.
    pub checksum: Option<&'a Checksum>,
    /// No other object may have the key.
    pub only_if_new: bool,
}

/// The body of CompleteMultipartUpload.
pub(super) fn list_of(parts: &[SentPart], algorithm: Option<ChecksumAlgorithm>) -> String {
    let mut xml = String::from("<CompleteMultipartUpload>");
    for part in parts {
        let etag = escape(part.etag.as_str());
        let number = part.number;
        xml.push_str(&format!(
            "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag>"
        ));
        if let (Some(algorithm), Some(checksum)) = (algorithm, &part.checksum) {
            let element = checksum_element(algorithm);
            xml.push_str(&format!("<{element}>{}</{element}>", escape(checksum)));
        }
        xml.push_str("</Part>");
    }
    xml.push_str("</CompleteMultipartUpload>");
    xml
}
