//! From which event time on records may still be about to come.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::frame::Batch;
use crate::record::Timestamp;
use crate::store::Saved;

/// How long a record that came late holds the floor down. As long as the longest window in which an attacker's attempts are counted, so
/// that slow attacks are seen also where a sender's clock is wrong by hours.
const RECENT: Duration = Duration::from_secs(60 * 60);
/// Records that were received within this time are remembered as one.
const MINUTE: Duration = Duration::from_secs(60);

/// The detectors forget nothing that is newer than the earliest event time that was received within the last hour. Clocks of senders
/// differ, files of last week are caught up with while syslog comes in live: what is late for one sender is the present of another.
/// While files wait of which nobody knows what is in them, nothing is forgotten at all. The hour is one of a clock that nobody sets: after
/// a step of the wall clock, records hold the floor down neither for a year nor for a moment.
#[derive(Debug, Default)]
pub struct Floor {
    /// When a minute began, and the earliest event time of the records that were taken note of in it.
    recent: VecDeque<(Instant, Timestamp)>,
    /// Inputs with files that nobody has looked into yet.
    unread: HashSet<Arc<str>>,
}

impl Floor {
    /// The floor of a daemon that goes on where another ended: what held the floor down then does so for another hour.
    pub fn resumed(saved: &Saved, now: Instant) -> Floor {
        let mut floor = Floor::default();
        if saved.transaction > 0 {
            floor.note(saved.floor.map_or(Timestamp::MIN, Timestamp::from_micros), now);
        }
        floor
    }

    /// Takes note of a record. True if that may change the floor.
    pub fn note(&mut self, event_time: Timestamp, now: Instant) -> bool {
        match self.recent.back_mut() {
            Some((began, earliest)) if now.duration_since(*began) < MINUTE => {
                let lower = event_time < *earliest;
                *earliest = (*earliest).min(event_time);
                lower
            }
            _ => {
                self.recent.push_back((now, event_time));
                while self.recent.front().is_some_and(|(began, _)| now.duration_since(*began) >= RECENT + MINUTE) {
                    self.recent.pop_front();
                }
                true
            }
        }
    }

    /// Takes note of whether a batch's input has files that nobody has looked into yet.
    pub fn note_unread(&mut self, batch: &Batch) {
        if let Some(position) = batch.positions.first() {
            if batch.unread_files > 0 {
                self.unread.insert(Arc::clone(&position.input));
            } else {
                self.unread.remove(&position.input);
            }
        }
    }

    /// The floor; `None` while nothing is known or such files wait.
    pub fn get(&self) -> Option<Timestamp> {
        if self.unread.is_empty() { self.recent.iter().map(|(_, earliest)| *earliest).min() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::PositionChange;

    #[test]
    fn late_records_hold_it_down_for_an_hour_and_unread_files_altogether() {
        let at = |minutes: i64| Timestamp::from_secs(minutes * 60);
        let start = Instant::now();
        let after = |minutes: u64| start + MINUTE * minutes as u32;
        let mut floor = Floor::default();
        assert_eq!(floor.get(), None);
        assert!(floor.note(at(1000), after(0)));
        assert!(!floor.note(at(1000), after(0)));
        assert_eq!(floor.get(), Some(at(1000)));
        assert!(floor.note(at(20), after(1)), "a file of long ago");
        floor.note(at(1050), after(50));
        assert_eq!(floor.get(), Some(at(20)));
        floor.note(at(1062), after(62));
        assert_eq!(floor.get(), Some(at(1050)));
        let position =
            PositionChange { input: "files:a".into(), part: "1".into(), from: 0, to: 0, detail: Some(serde_json::Value::Null) };
        let mut batch = Batch { unread_files: 2, positions: vec![position], ..Batch::default() };
        floor.note_unread(&batch);
        assert_eq!(floor.get(), None);
        batch.unread_files = 0;
        floor.note_unread(&batch);
        assert_eq!(floor.get(), Some(at(1050)));
    }
}
