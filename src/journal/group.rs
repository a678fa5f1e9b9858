//! A group of frames: what one record holds, and how it is written.

use std::net::IpAddr;

use super::JournalError;
use crate::record::Timestamp;

/// Frames of one source that were received together, in order. A record of the journal holds one group, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    source: String,
    received_at: Timestamp,
    delivery: Option<String>,
    peers: Vec<IpAddr>,
    frames: Vec<GroupFrame>,
    bytes: Vec<u8>,
}

/// One frame of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupFrame {
    /// Length in bytes. Frames follow each other in the group's bytes without a gap.
    pub length: u32,
    /// Bytes that were cut off because the frame was longer than its limit.
    pub cut: u32,
    /// Who sent it: 0 for unknown, otherwise 1 + its index among the group's peers.
    pub peer: u16,
}

impl Group {
    /// The longest name of a source and the longest delivery id, in bytes; longer ones are cut at a character.
    pub const MAX_NAME_BYTES: usize = 255;

    /// An empty group of the source of that name.
    pub fn new(source: &str, received_at: Timestamp) -> Group {
        let source = shortened(source);
        Group { source, received_at, delivery: None, peers: Vec::new(), frames: Vec::new(), bytes: Vec::new() }
    }

    /// The id under which its sender may deliver this group again.
    #[must_use]
    pub fn with_delivery(mut self, id: Option<&str>) -> Group {
        self.delivery = id.map(shortened);
        self
    }

    /// Adds a frame, of which `cut` bytes over its limit are already gone.
    pub fn push(&mut self, peer: Option<IpAddr>, frame: &[u8], cut: u32) {
        let peer = peer.map_or(0, |peer| self.peer_index(peer));
        // A frame that does not fit into its length field cannot come from a listener, whose limits are far below.
        let kept = frame.len().min(u32::MAX as usize);
        self.frames.push(GroupFrame { length: kept as u32, cut, peer });
        self.bytes.extend_from_slice(&frame[..kept]);
    }

    /// Neighbours mostly share their peer, and a group has few of them, so looking from the end is quicker than a map.
    fn peer_index(&mut self, peer: IpAddr) -> u16 {
        match self.peers.iter().rposition(|p| *p == peer) {
            Some(index) => index as u16 + 1,
            None if self.peers.len() < usize::from(u16::MAX) => {
                self.peers.push(peer);
                self.peers.len() as u16
            }
            None => 0,
        }
    }

    /// Its frames.
    pub fn frames(&self) -> &[GroupFrame] {
        &self.frames
    }

    /// The peer of a frame of this group.
    pub fn peer_of(&self, frame: GroupFrame) -> Option<IpAddr> {
        usize::from(frame.peer).checked_sub(1).map(|index| self.peers[index])
    }

    /// Without a frame.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Bytes of all its frames together.
    pub fn frame_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The body of its record (see the room's page for the layout).
    pub(super) fn encode(&self) -> Vec<u8> {
        let delivery = self.delivery.as_deref().unwrap_or("");
        let names = self.source.len() + delivery.len();
        let mut out = Vec::with_capacity(24 + names + 17 * self.peers.len() + 10 * self.frames.len() + self.bytes.len());
        out.extend_from_slice(&self.received_at.as_micros().to_le_bytes());
        for name in [self.source.as_str(), delivery] {
            out.push(name.len() as u8); // at most MAX_NAME_BYTES by construction
            out.extend_from_slice(name.as_bytes());
        }
        out.extend_from_slice(&(self.peers.len() as u16).to_le_bytes());
        for peer in &self.peers {
            match peer {
                IpAddr::V4(ip) => {
                    out.push(4);
                    out.extend_from_slice(&ip.octets());
                }
                IpAddr::V6(ip) => {
                    out.push(6);
                    out.extend_from_slice(&ip.octets());
                }
            }
        }
        out.extend_from_slice(&(self.frames.len() as u32).to_le_bytes());
        for frame in &self.frames {
            out.extend_from_slice(&frame.length.to_le_bytes());
            out.extend_from_slice(&frame.cut.to_le_bytes());
            out.extend_from_slice(&frame.peer.to_le_bytes());
        }
        out.extend_from_slice(&self.bytes);
        out
    }
}

pub(super) fn shortened(name: &str) -> String {
    let fits = |at: &usize| name.is_char_boundary(*at);
    let end = (0..=name.len().min(Group::MAX_NAME_BYTES)).rev().find(fits).unwrap_or(0);
    name[..end].to_owned()
}

/// A group as it stands in a record's body, which it borrows. Every index in it is in range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupView<'b> {
    /// Name of the source.
    pub source: &'b str,
    /// When it was received.
    pub received_at: Timestamp,
    /// The delivery id, where its sender gave one.
    pub delivery: Option<&'b str>,
    /// The peers that frames refer to.
    pub peers: Vec<IpAddr>,
    /// How many frames there are.
    pub frame_count: usize,
    table: &'b [u8],
    /// The bytes of all frames, one after the other.
    pub bytes: &'b [u8],
}

const FRAME_ENTRY: usize = 10;

impl<'b> GroupView<'b> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`JournalError::Malformed`]: a checksum said that these bytes are what was written, but what was written is no group.
    pub fn decode(body: &'b [u8]) -> Result<GroupView<'b>, JournalError> {
        decode(body).ok_or(JournalError::Malformed)
    }

    /// Its frames with their bytes.
    pub fn frames(&self) -> impl Iterator<Item = (GroupFrame, &'b [u8])> + '_ {
        let mut at = 0;
        self.table.chunks_exact(FRAME_ENTRY).map(move |entry| {
            let frame = frame_entry(entry);
            let bytes = &self.bytes[at..at + frame.length as usize];
            at += frame.length as usize;
            (frame, bytes)
        })
    }

    /// The peer of a frame of this group.
    pub fn peer_of(&self, frame: GroupFrame) -> Option<IpAddr> {
        usize::from(frame.peer).checked_sub(1).map(|index| self.peers[index])
    }
}

fn frame_entry(entry: &[u8]) -> GroupFrame {
    let u32_at = |at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
    GroupFrame { length: u32_at(0), cut: u32_at(4), peer: u16::from_le_bytes([entry[8], entry[9]]) }
}

fn decode(mut body: &[u8]) -> Option<GroupView<'_>> {
    let received_at = Timestamp::from_micros(i64::from_le_bytes(*take(&mut body)?));
    let source = name(&mut body)?;
    let delivery = Some(name(&mut body)?).filter(|id| !id.is_empty());
    let peer_count = u16::from_le_bytes(*take(&mut body)?);
    let mut peers = Vec::new();
    for _ in 0..peer_count {
        let [tag] = *take(&mut body)?;
        peers.push(match tag {
            4 => IpAddr::from(*take::<4>(&mut body)?),
            6 => IpAddr::from(*take::<16>(&mut body)?),
            _ => return None,
        });
    }
    let frame_count = u32::from_le_bytes(*take(&mut body)?) as usize;
    let (table, bytes) = body.split_at_checked(frame_count.checked_mul(FRAME_ENTRY)?)?;
    let mut total = 0usize;
    for frame in table.chunks_exact(FRAME_ENTRY).map(frame_entry) {
        total = total.checked_add(frame.length as usize)?;
        if usize::from(frame.peer) > peers.len() {
            return None;
        }
    }
    (total == bytes.len()).then_some(GroupView { source, received_at, delivery, peers, frame_count, table, bytes })
}

pub(super) fn take<'b, const N: usize>(body: &mut &'b [u8]) -> Option<&'b [u8; N]> {
    let (head, tail) = body.split_first_chunk::<N>()?;
    *body = tail;
    Some(head)
}

pub(super) fn name<'b>(body: &mut &'b [u8]) -> Option<&'b str> {
    let [length] = *take(body)?;
    let (head, tail) = body.split_at_checked(usize::from(length))?;
    *body = tail;
    std::str::from_utf8(head).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_group_reads_back_with_its_peers_and_cuts() {
        let (a, b) = (IpAddr::from([192, 0, 2, 1]), "2001:db8::1".parse().unwrap());
        let mut group = Group::new("lan", Timestamp::from_secs(7)).with_delivery(Some("d-1"));
        for (peer, frame, cut) in [(Some(a), "one", 0), (Some(b), "", 3), (None, "three", 0), (Some(a), "x", 1)] {
            group.push(peer, frame.as_bytes(), cut);
        }
        let body = group.encode();
        let view = GroupView::decode(&body).unwrap();
        assert_eq!((view.source, view.delivery, view.received_at), ("lan", Some("d-1"), Timestamp::from_secs(7)));
        let got: Vec<_> = view.frames().map(|(f, bytes)| (view.peer_of(f), bytes, f.cut)).collect();
        assert_eq!(got, [(Some(a), &b"one"[..], 0), (Some(b), b"", 3), (None, b"three", 0), (Some(a), b"x", 1)]);
    }

    proptest! {
        #[test]
        fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(view) = GroupView::decode(&body) {
                prop_assert_eq!(view.frames().count(), view.frame_count);
            }
        }

        #[test]
        fn a_shortened_body_is_refused(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..5), less in 1usize..30) {
            let mut group = Group::new("s", Timestamp::from_secs(1));
            for frame in &frames {
                group.push(Some(IpAddr::from([127, 0, 0, 1])), frame, 0);
            }
            let body = group.encode();
            prop_assert!(GroupView::decode(&body[..body.len().saturating_sub(less)]).is_err());
        }
    }
}
