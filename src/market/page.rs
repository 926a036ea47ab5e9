//! What a market pipeline's messages carry.

use bytes::Bytes;
use jiff::Timestamp;

use super::wire::Decoded;
use crate::killmail::RegionId;

/// One page of a sweep of a region, or the end of the sweep.
#[derive(Debug, Clone)]
pub struct Page {
    pub region: RegionId,
    /// Which sweep: no other of this process has its number.
    pub sweep: u64,
    pub part: Part,
}

/// What of the sweep it is.
#[derive(Debug, Clone)]
pub enum Part {
    /// A page that was answered with its orders.
    Orders {
        /// From 1.
        number: u32,
        tag: Tag,
        /// As received: a JSON array. Empty once it was read.
        body: Bytes,
        /// Read from the body by the stage `decode_orders`.
        decoded: Option<Decoded>,
    },
    /// A page that is as it was: answered with 304, or not expired yet.
    Unchanged { number: u32, tag: Tag },
    /// Every page of the sweep is safe.
    End(Ending),
}

impl Page {
    /// Bytes that it holds for others to count.
    #[must_use]
    pub fn size(&self) -> usize {
        match &self.part {
            Part::Orders { body, .. } => body.len(),
            Part::Unchanged { .. } | Part::End(_) => 0,
        }
    }
}

/// What ESI says of a page beside its orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// To be sent back in `If-None-Match`.
    pub etag: Option<String>,
    /// When its snapshot was made.
    pub last_modified: Option<Timestamp>,
    /// Not to be asked for again before, by our clock.
    pub expires_at: Timestamp,
}

/// The address of a page below ESI's own: where it is asked for, and its name in the table of tags.
#[must_use]
pub fn route(region: RegionId, number: u32) -> String {
    format!("/markets/{region}/orders?order_type=all&page={number}")
}

/// How a sweep went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The region's name, when it is known.
    pub name: Option<String>,
    /// Pages of the region: those above are no more.
    pub pages: u32,
    pub started_at: Timestamp,
    /// When the last page was there.
    pub swept_at: Timestamp,
    /// No page is to be asked for again before.
    pub not_before: Timestamp,
    pub quality: Quality,
}

/// What the absence of an order from a sweep means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quality {
    /// All pages are of one snapshot, or all are as they were in the sweep before: what is not there is gone.
    Whole,
    /// Pages of several snapshots: an order may have slipped between two of them.
    Mixed,
    /// A page is missing.
    Incomplete,
}

impl Quality {
    /// The word used in tables, metrics and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Mixed => "mixed",
            Self::Incomplete => "incomplete",
        }
    }
}
