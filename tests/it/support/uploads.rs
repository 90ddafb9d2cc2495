//! s3s-fs, and ListMultipartUploads, which it lacks: the uploads that lie open in its folder.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD;
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result};
use s3s_fs::FileSystem;

/// Everything is s3s-fs's own but the list.
#[derive(Debug)]
pub struct ListedUploads {
    files: FileSystem,
    root: PathBuf,
}

impl ListedUploads {
    pub fn new(root: &Path) -> ListedUploads {
        ListedUploads {
            files: FileSystem::new(root).unwrap(),
            root: root.to_owned(),
        }
    }
}

/// The open uploads with their buckets, as the folder has them. One whose creation was cut short, by
/// the end of the server, has but one of its two files, and never was.
pub fn open_uploads(root: &Path) -> Vec<(String, MultipartUpload)> {
    let names = std::fs::read_dir(root).unwrap();
    let names = names.filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    names
        .filter_map(|name| {
            let name = name
                .strip_prefix(".bucket-")?
                .strip_suffix(".metadata.json")?;
            let (bucket, rest) = name.split_once(".object-")?;
            let (key, id) = rest.split_once(".upload-")?;
            let begun = std::fs::metadata(root.join(format!(".upload-{id}.json"))).ok()?;
            let decode = |text| String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok();
            let upload = MultipartUpload {
                key: Some(decode(key)?),
                upload_id: Some(id.to_owned()),
                initiated: Some(begun.modified().ok()?.into()),
                ..Default::default()
            };
            Some((decode(bucket)?, upload))
        })
        .collect()
}

/// Hands each operation on as it is.
macro_rules! as_it_is {
    ($($name:ident: $input:ident => $output:ident,)*) => {
        #[async_trait::async_trait]
        impl S3 for ListedUploads {
            $(async fn $name(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                self.files.$name(request).await
            })*

            async fn list_multipart_uploads(
                &self,
                request: S3Request<ListMultipartUploadsInput>,
            ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
                let ListMultipartUploadsInput { bucket, prefix, .. } = request.input;
                let prefix = prefix.unwrap_or_default();
                let mut uploads: Vec<MultipartUpload> = open_uploads(&self.root)
                    .into_iter()
                    .filter(|(of, _)| *of == bucket)
                    .map(|(_, upload)| upload)
                    .filter(|upload| upload.key.as_ref().is_some_and(|key| key.starts_with(&prefix)))
                    .collect();
                uploads.sort_by(|one, other| one.key.cmp(&other.key));
                Ok(S3Response::new(ListMultipartUploadsOutput {
                    bucket: Some(bucket),
                    is_truncated: Some(false),
                    prefix: Some(prefix),
                    uploads: Some(uploads),
                    ..Default::default()
                }))
            }
        }
    };
}

as_it_is! {
    create_multipart_upload: CreateMultipartUploadInput => CreateMultipartUploadOutput,
    create_bucket: CreateBucketInput => CreateBucketOutput,
    copy_object: CopyObjectInput => CopyObjectOutput,
    delete_bucket: DeleteBucketInput => DeleteBucketOutput,
    delete_object: DeleteObjectInput => DeleteObjectOutput,
    delete_objects: DeleteObjectsInput => DeleteObjectsOutput,
    get_bucket_location: GetBucketLocationInput => GetBucketLocationOutput,
    get_object: GetObjectInput => GetObjectOutput,
    head_bucket: HeadBucketInput => HeadBucketOutput,
    head_object: HeadObjectInput => HeadObjectOutput,
    list_buckets: ListBucketsInput => ListBucketsOutput,
    list_objects: ListObjectsInput => ListObjectsOutput,
    list_objects_v2: ListObjectsV2Input => ListObjectsV2Output,
    put_object: PutObjectInput => PutObjectOutput,
    upload_part: UploadPartInput => UploadPartOutput,
    upload_part_copy: UploadPartCopyInput => UploadPartCopyOutput,
    list_parts: ListPartsInput => ListPartsOutput,
    complete_multipart_upload: CompleteMultipartUploadInput => CompleteMultipartUploadOutput,
    abort_multipart_upload: AbortMultipartUploadInput => AbortMultipartUploadOutput,
}
