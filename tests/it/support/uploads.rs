//! s3s-fs, and ListMultipartUploads, which it lacks: the uploads that lie open in its folder.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result};
use s3s_fs::FileSystem;

/// Everything is s3s-fs's own but the list.
#[derive(Debug)]
pub struct ListedUploads {
    files: FileSystem,
    root: PathBuf,
    /// Every upload that was ever begun; those that are open have a file.
    begun: Mutex<Vec<(String, MultipartUpload)>>,
}

impl ListedUploads {
    pub fn new(root: &Path) -> ListedUploads {
        ListedUploads {
            files: FileSystem::new(root).unwrap(),
            root: root.to_owned(),
            begun: Mutex::default(),
        }
    }

    fn is_open(&self, upload: &MultipartUpload) -> bool {
        let id = upload.upload_id.as_deref().unwrap_or_default();
        self.root.join(format!(".upload-{id}.json")).exists()
    }
}

/// Hands each operation on as it is.
macro_rules! as_it_is {
    ($($name:ident: $input:ident => $output:ident,)*) => {
        #[async_trait::async_trait]
        impl S3 for ListedUploads {
            $(async fn $name(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                self.files.$name(request).await
            })*

            async fn create_multipart_upload(
                &self,
                request: S3Request<CreateMultipartUploadInput>,
            ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
                let (bucket, key) = (request.input.bucket.clone(), request.input.key.clone());
                let answer = self.files.create_multipart_upload(request).await?;
                let upload = MultipartUpload {
                    key: Some(key),
                    upload_id: answer.output.upload_id.clone(),
                    initiated: Some(SystemTime::now().into()),
                    ..Default::default()
                };
                self.begun.lock().unwrap().push((bucket, upload));
                Ok(answer)
            }

            async fn list_multipart_uploads(
                &self,
                request: S3Request<ListMultipartUploadsInput>,
            ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
                let ListMultipartUploadsInput { bucket, prefix, .. } = request.input;
                let prefix = prefix.unwrap_or_default();
                let begun = self.begun.lock().unwrap();
                let mut uploads: Vec<MultipartUpload> = begun
                    .iter()
                    .filter(|(of, upload)| *of == bucket && self.is_open(upload))
                    .map(|(_, upload)| upload.clone())
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
