//! Bytes → frames, and the [`Batch`] in which frames travel.
//!
//! A *frame* is one log line or message as its sender delimited it. Frames never travel alone: a batch holds up to thousands of
//! them over one buffer, with what is known of their origin and the position up to which the input has been read.

pub mod event;
pub mod line;
pub mod octet;

use std::net::IpAddr;
use std::sync::Arc;

use crate::parse::Named;
use crate::record::{Timestamp, Zone};

/// A configured source: what becomes `logs.source`, and how its lines are to be read.
#[derive(Debug, Clone)]
pub struct Source {
    /// The configured name.
    pub name: String,
    /// The zone of times that name none.
    pub zone: Zone,
    /// What its lines are read as first, where somebody said so.
    pub format: Option<Named>,
}

/// Where frames come from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The configured source.
    pub source: Arc<Source>,
    /// The address of the sender, for frames from the network.
    pub peer: Option<IpAddr>,
    /// The file, for frames from files (`log.file.path`).
    pub path: Option<Arc<str>>,
}

/// One frame in a batch's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameSpan {
    /// First byte in [`Batch::bytes`].
    pub start: u32,
    /// One past the last byte. The delimiter is not part of the frame.
    pub end: u32,
    /// Index into [`Batch::origins`].
    pub origin: u32,
    /// Bytes that were cut off because the frame was longer than its limit; 0 for a whole frame.
    pub cut: u32,
    /// When it was received (read, for files).
    pub received_at: Timestamp,
}

/// Frames that travel together, in the order in which they were received: of the journal, or of one file.
#[derive(Debug, Default)]
pub struct Batch {
    /// Files of the same input that have unread backlog and have not delivered a batch yet: nobody knows how old what they hold is.
    pub unread_files: u32,
    /// The frames' bytes.
    pub bytes: Vec<u8>,
    /// The frames. Spans lie within `bytes`.
    pub frames: Vec<FrameSpan>,
    /// The origins that frames refer to.
    pub origins: Vec<Arc<Origin>>,
    /// Deliveries with an id of their own, of which a repetition must not be stored.
    pub deliveries: Vec<Delivery>,
    /// How far the input has been read with these frames: goes into the transaction that stores them.
    pub positions: Vec<PositionChange>,
    /// What is known to be lost: likewise.
    pub losses: Vec<Loss>,
}

impl Batch {
    /// The bytes of a frame of this batch.
    pub fn bytes_of(&self, frame: &FrameSpan) -> &[u8] {
        &self.bytes[frame.start as usize..frame.end as usize]
    }
}

/// A webhook request that carried a delivery id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Name of the source it was posted to.
    pub source: String,
    /// The id as its sender gave it, at most 255 bytes.
    pub id: String,
    /// Indices of its frames in the batch.
    pub frames: std::ops::Range<usize>,
}

/// A range of an input that has been read: a row of `positions`, and the proof that nothing was left out between.
#[derive(Debug, Clone, PartialEq)]
pub struct PositionChange {
    /// The input: `journal`, or `files:<name of the set>`.
    pub input: Arc<str>,
    /// Which part of it: a file's identity, or the journal's.
    pub part: Arc<str>,
    /// Where the range begins, in bytes: the position that was told before.
    pub from: u64,
    /// Where it ends: the new position.
    pub to: u64,
    /// What else the input needs to go on from there; `None` forgets the part (its file is gone and was read to its end).
    pub detail: Option<serde_json::Value>,
}

/// Something that was there and will not be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The input, as in [`PositionChange`]; for what was lost before it reached the journal, `syslog:<name>` or `webhook:<name>`.
    pub input: Arc<str>,
    /// Which part of it; empty for what was lost before it reached the journal.
    pub part: Arc<str>,
    /// The bytes of the input that are concerned, from and to; `None` where nobody knows.
    pub range: Option<(u64, u64)>,
    /// How many frames, where somebody knows.
    pub frames: Option<u64>,
    /// Why.
    pub reason: LossReason,
    /// When it was noticed.
    pub noticed_at: Timestamp,
}

/// Why something is lost. The words are those of the `losses` table and of the metric `lost_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LossReason {
    /// The kernel's receive buffer was full.
    KernelDrop,
    /// The journal was at its limit, or its disk refused, and the sender could not be made to wait.
    JournalFull,
    /// A record of the journal can no longer be read.
    DamagedRecord,
    /// A file was truncated, deleted or replaced before it was read to its end.
    TruncatedUnread,
    /// A file was written to between its copy and its truncation (`copytruncate`): lines at that place may be lost.
    CopyTruncate,
}

impl LossReason {
    /// Every reason.
    pub const ALL: [LossReason; 5] = [
        LossReason::KernelDrop,
        LossReason::JournalFull,
        LossReason::DamagedRecord,
        LossReason::TruncatedUnread,
        LossReason::CopyTruncate,
    ];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            LossReason::KernelDrop => "kernel_drop",
            LossReason::JournalFull => "journal_full",
            LossReason::DamagedRecord => "damaged_record",
            LossReason::TruncatedUnread => "truncated_unread",
            LossReason::CopyTruncate => "copytruncate",
        }
    }

    /// The reason of that word.
    pub fn from_word(word: &str) -> Option<LossReason> {
        LossReason::ALL.into_iter().find(|r| r.as_str() == word)
    }
}
