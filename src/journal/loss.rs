//! What a door had to drop, as a record of the journal: so it reaches the database in order, once, and whatever happens in between.

use super::group::{name, shortened, take};
use crate::frame::LossReason;
use crate::record::Timestamp;

/// Frames of a source that were received and could not be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoorLoss {
    /// The input: `syslog:<source>`.
    pub input: String,
    /// Why.
    pub reason: LossReason,
    /// How many frames.
    pub frames: u64,
    /// When it was noticed.
    pub noticed_at: Timestamp,
}

impl DoorLoss {
    /// The body of its record (see the room's page for the layout).
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32 + self.input.len());
        out.extend_from_slice(&self.noticed_at.as_micros().to_le_bytes());
        for text in [shortened(&self.input).as_str(), self.reason.as_str()] {
            out.push(text.len() as u8); // at most Group::MAX_NAME_BYTES, and a reason's word is shorter
            out.extend_from_slice(text.as_bytes());
        }
        out.extend_from_slice(&self.frames.to_le_bytes());
        out
    }

    /// Reads a body; `None` if it is none.
    pub fn decode(mut body: &[u8]) -> Option<DoorLoss> {
        let noticed_at = Timestamp::from_micros(i64::from_le_bytes(*take(&mut body)?));
        let input = name(&mut body)?.to_owned();
        let reason = LossReason::from_word(name(&mut body)?)?;
        let frames = u64::from_le_bytes(*take(&mut body)?);
        body.is_empty().then_some(DoorLoss { input, reason, frames, noticed_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_reads_back_and_nothing_else_does() {
        let at = Timestamp::from_secs(7);
        let loss = DoorLoss { input: "syslog:lan".into(), reason: LossReason::KernelDrop, frames: 1 << 40, noticed_at: at };
        let body = loss.encode();
        assert_eq!(DoorLoss::decode(&body), Some(loss));
        for n in 0..body.len() {
            assert_eq!(DoorLoss::decode(&body[..n]), None);
        }
        assert_eq!(DoorLoss::decode(&[&body[..], b"x"].concat()), None);
    }
}
