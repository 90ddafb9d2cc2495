//! S3's checksums: of a range while it is read, and of a file from those of its parts.
//!
//! Values are as S3 writes them: base64 of the big-endian number or of the digest,
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html>.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use crc::{CRC_32_ISCSI, CRC_32_ISO_HDLC, CRC_64_NVME, Crc, Digest, Table};
use sha2::Digest as _;
use sha2::Sha256;

use crate::config::model::ChecksumAlgorithm;

/// A wide table is four times as fast and has 32 KB, which a box with a 32-bit CPU is short of.
#[cfg(target_pointer_width = "32")]
type Lanes = Table<1>;
#[cfg(not(target_pointer_width = "32"))]
type Lanes = Table<16>;

static CRC32: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);
static CRC32C: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISCSI);
static CRC64: Crc<u64, Lanes> = Crc::<u64, Lanes>::new(&CRC_64_NVME);

/// Of a whole object or of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    pub algorithm: ChecksumAlgorithm,
    /// Base64; of a composite one with `-` and the number of parts after it.
    pub value: String,
}

impl ChecksumAlgorithm {
    pub const ALL: [ChecksumAlgorithm; 4] = [
        ChecksumAlgorithm::Sha256,
        ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Crc32c,
        ChecksumAlgorithm::Crc32,
    ];

    /// As records and the configuration have it.
    pub fn name(self) -> &'static str {
        match self {
            ChecksumAlgorithm::Crc32 => "crc32",
            ChecksumAlgorithm::Crc32c => "crc32c",
            ChecksumAlgorithm::Crc64Nvme => "crc64nvme",
            ChecksumAlgorithm::Sha256 => "sha256",
        }
    }

    pub fn from_name(name: &str) -> Option<ChecksumAlgorithm> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// Whether S3 can tell the checksum of an object from those of its parts.
    pub fn joins(self) -> bool {
        self != ChecksumAlgorithm::Sha256
    }
}

impl std::fmt::Display for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.value)
    }
}

/// One of the three CRCs, under way.
pub enum CrcDigest {
    Crc32(Digest<'static, u32, Table<1>>),
    Crc64(Digest<'static, u64, Lanes>),
}

impl CrcDigest {
    /// `None`: the algorithm is no CRC.
    pub fn new(algorithm: ChecksumAlgorithm) -> Option<CrcDigest> {
        match algorithm {
            ChecksumAlgorithm::Crc32 => Some(CrcDigest::Crc32(CRC32.digest())),
            ChecksumAlgorithm::Crc32c => Some(CrcDigest::Crc32(CRC32C.digest())),
            ChecksumAlgorithm::Crc64Nvme => Some(CrcDigest::Crc64(CRC64.digest())),
            ChecksumAlgorithm::Sha256 => None,
        }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            CrcDigest::Crc32(digest) => digest.update(bytes),
            CrcDigest::Crc64(digest) => digest.update(bytes),
        }
    }

    pub fn finish(self) -> String {
        match self {
            CrcDigest::Crc32(digest) => BASE64_STANDARD.encode(digest.finalize().to_be_bytes()),
            CrcDigest::Crc64(digest) => BASE64_STANDARD.encode(digest.finalize().to_be_bytes()),
        }
    }
}

/// The checksum of an object whose parts have these checksums and lengths, in their order: of the
/// object's bytes where the algorithm [joins](ChecksumAlgorithm::joins), else S3's composite one.
/// `None`: a part's checksum is none.
pub fn of_parts<'a>(
    algorithm: ChecksumAlgorithm,
    parts: impl Iterator<Item = (&'a str, u64)>,
) -> Option<Checksum> {
    let value = match algorithm {
        ChecksumAlgorithm::Sha256 => composite(parts)?,
        ChecksumAlgorithm::Crc32 => {
            let polynomial = CRC_32_ISO_HDLC.poly.reverse_bits();
            let crc = joined::<4>(u64::from(polynomial), parts)?;
            BASE64_STANDARD.encode(&crc.to_be_bytes()[4..])
        }
        ChecksumAlgorithm::Crc32c => {
            let polynomial = CRC_32_ISCSI.poly.reverse_bits();
            let crc = joined::<4>(u64::from(polynomial), parts)?;
            BASE64_STANDARD.encode(&crc.to_be_bytes()[4..])
        }
        ChecksumAlgorithm::Crc64Nvme => {
            let crc = joined::<8>(CRC_64_NVME.poly.reverse_bits(), parts)?;
            BASE64_STANDARD.encode(crc.to_be_bytes())
        }
    };
    Some(Checksum { algorithm, value })
}

fn composite<'a>(parts: impl Iterator<Item = (&'a str, u64)>) -> Option<String> {
    let mut hasher = Sha256::new();
    let mut count = 0;
    for (value, _) in parts {
        hasher.update(BASE64_STANDARD.decode(value).ok()?);
        count += 1;
    }
    let digest = BASE64_STANDARD.encode(hasher.finalize());
    Some(format!("{digest}-{count}"))
}

fn joined<'a, const BYTES: usize>(
    polynomial: u64,
    parts: impl Iterator<Item = (&'a str, u64)>,
) -> Option<u64> {
    let mut whole = 0;
    for (value, length) in parts {
        let bytes: [u8; BYTES] = BASE64_STANDARD.decode(value).ok()?.try_into().ok()?;
        let part = bytes
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte));
        let field = Field {
            top: 1 << (BYTES * 8 - 1),
            polynomial,
        };
        whole = field.multiply(field.shift_by(length), whole) ^ part;
    }
    Some(whole)
}

/// Polynomials over GF(2) modulo a CRC's: the highest bit is the coefficient of x⁰, as in every
/// reflected CRC. Appending n bytes multiplies a CRC by x to the 8n; initial value and final xor,
/// which are all ones in each of the three, cancel out.
struct Field {
    top: u64,
    polynomial: u64,
}

impl Field {
    fn multiply(&self, a: u64, b: u64) -> u64 {
        let (mut product, mut shifted, mut bit) = (0, b, self.top);
        while bit != 0 {
            if a & bit != 0 {
                product ^= shifted;
            }
            let carry = if shifted & 1 == 1 { self.polynomial } else { 0 };
            shifted = (shifted >> 1) ^ carry;
            bit >>= 1;
        }
        product
    }

    /// x to the power of 8 `bytes`.
    fn shift_by(&self, bytes: u64) -> u64 {
        let (mut power, mut square, mut left) = (self.top, self.top >> 8, bytes);
        while left > 0 {
            if left & 1 == 1 {
                power = self.multiply(power, square);
            }
            square = self.multiply(square, square);
            left >>= 1;
        }
        power
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> String {
        match CrcDigest::new(algorithm) {
            Some(mut digest) => {
                digest.update(bytes);
                digest.finish()
            }
            None => BASE64_STANDARD.encode(Sha256::digest(bytes)),
        }
    }

    /// The CRC catalogue's check values, <https://reveng.sourceforge.io/crc-catalogue/all.htm>.
    #[test]
    fn the_check_values_of_the_catalogue_come_out() {
        let cases = [
            (ChecksumAlgorithm::Crc32, "cbf43926"),
            (ChecksumAlgorithm::Crc32c, "e3069283"),
            (ChecksumAlgorithm::Crc64Nvme, "ae8b14860a799888"),
        ];
        for (algorithm, expected) in cases {
            let found = BASE64_STANDARD.decode(of(algorithm, b"123456789")).unwrap();
            assert_eq!(crate::upload::hash::hex(&found), expected);
        }
    }

    /// From AWS's own test of its composite checksums: the digest of the parts' digests.
    #[test]
    fn a_composite_checksum_is_that_of_the_checksums_and_names_their_number() {
        let parts = ["a", "bc"].map(|part| of(ChecksumAlgorithm::Sha256, part.as_bytes()));
        let digests: Vec<u8> = ["a", "bc"].iter().flat_map(Sha256::digest).collect();
        let whole = of_parts(
            ChecksumAlgorithm::Sha256,
            parts.iter().map(|part| (part.as_str(), 1)),
        );
        let expected = format!("{}-2", of(ChecksumAlgorithm::Sha256, &digests));
        assert_eq!(whole.unwrap().value, expected);
    }

    #[test]
    fn what_is_no_checksum_joins_to_nothing() {
        for algorithm in ChecksumAlgorithm::ALL {
            let bad = of_parts(algorithm, [("!", 3)].into_iter());
            assert_eq!(bad, None, "{algorithm:?}");
        }
        let short = of_parts(ChecksumAlgorithm::Crc64Nvme, [("y/Q5Jg==", 9)].into_iter());
        assert_eq!(short, None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn parts_join_to_the_checksum_of_the_whole(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..6)) {
            for algorithm in ChecksumAlgorithm::ALL.into_iter().filter(|known| known.joins()) {
                let sums: Vec<_> = parts.iter().map(|part| (of(algorithm, part), part.len() as u64)).collect();
                let joined = of_parts(algorithm, sums.iter().map(|(sum, length)| (sum.as_str(), *length)));
                prop_assert_eq!(joined.unwrap().value, of(algorithm, &parts.concat()));
            }
        }
    }
}
