//! Which parts a file goes up in: pure arithmetic over S3's limits.

use crate::record::ledger::OpenUpload;

/// S3's limits, <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>.
pub const SMALLEST_PART: u64 = 5 * MIB;
pub const LARGEST_PART: u64 = 5 * 1024 * MIB;
pub const MOST_PARTS: u64 = 10_000;
/// 48.8 TiB, what 10,000 parts of 5 GiB hold.
pub const LARGEST_OBJECT: u64 = MOST_PARTS * LARGEST_PART;
/// One page of ListParts, and all that Scaleway takes.
const COMFORTABLE_PARTS: u64 = 1000;
/// Small enough to repeat on a bad link, large enough that the pauses between parts do not count.
const USUAL_PART: u64 = 16 * MIB;
const MIB: u64 = 1024 * 1024;

/// The parts of one file: all of the same size but the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartPlan {
    /// Bytes of the file.
    pub size: u64,
    /// Bytes of every part but the last.
    pub part_size: u64,
}

/// A range of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartRange {
    /// From 1 on.
    pub number: u32,
    pub offset: u64,
    pub length: u64,
}

impl PartPlan {
    /// `configured` is `part_size`, `None` for auto; `shrink` halves the automatic size that often.
    /// `None`: the file is larger than S3 takes.
    pub fn new(size: u64, configured: Option<u64>, shrink: u32) -> Option<PartPlan> {
        if size > LARGEST_OBJECT {
            return None;
        }
        let smallest = round_up(size.div_ceil(MOST_PARTS)).max(SMALLEST_PART);
        let wanted = match configured {
            Some(part_size) => part_size,
            None => {
                let comfortable = round_up(size.div_ceil(COMFORTABLE_PARTS)).max(USUAL_PART);
                comfortable >> shrink.min(16)
            }
        };
        Some(PartPlan {
            size,
            part_size: wanted.max(smallest).min(LARGEST_PART),
        })
    }

    pub fn of(open: &OpenUpload) -> PartPlan {
        PartPlan {
            size: open.size,
            part_size: open.part_size,
        }
    }

    pub fn count(&self) -> u32 {
        // At most 10,000 by construction.
        u32::try_from(self.size.div_ceil(self.part_size)).unwrap_or(u32::MAX)
    }

    pub fn ranges(self) -> impl Iterator<Item = PartRange> {
        (1..=self.count()).map(move |number| self.range(number))
    }

    pub fn range(self, number: u32) -> PartRange {
        let offset = u64::from(number - 1) * self.part_size;
        PartRange {
            number,
            offset,
            length: self.part_size.min(self.size - offset),
        }
    }
}

fn round_up(bytes: u64) -> u64 {
    bytes.div_ceil(MIB) * MIB
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_sizes_follow_file_size_setting_and_link() {
        let cases = [
            // size, configured, shrink, part size, parts
            (1, None, 0, USUAL_PART, 1),
            (16 * MIB, None, 0, 16 * MIB, 1),
            (16 * MIB + 1, None, 0, 16 * MIB, 2),
            (1024 * MIB, None, 0, 16 * MIB, 64),
            (1024 * MIB, None, 1, 8 * MIB, 128),
            (1024 * MIB, None, 9, SMALLEST_PART, 205),
            (100 * 1024 * MIB, None, 0, 103 * MIB, 995),
            (100 * 1024 * MIB, Some(SMALLEST_PART), 0, 11 * MIB, 9310),
            (64 * MIB, Some(8 * MIB), 3, 8 * MIB, 8),
            (LARGEST_OBJECT, None, 0, LARGEST_PART, 10_000),
        ];
        for (size, configured, shrink, part_size, parts) in cases {
            let plan = PartPlan::new(size, configured, shrink).unwrap();
            assert_eq!((plan.part_size, plan.count()), (part_size, parts), "{size}");
        }
        assert_eq!(PartPlan::new(LARGEST_OBJECT + 1, None, 0), None);
    }
}
