//! Where a file is begun, and where a set is.

use std::hash::BuildHasher;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::SET_PART;
use super::content::{self, OpenError};
use super::elders::Elders;
use super::file::{Followed, Place};
use super::fingerprint::{Ident, Prefixes, Print, Stat};
use super::follow::Follower;
use super::listing::Entry;
use crate::frame::{Batch, Origin, PositionChange};

impl Follower {
    /// A new file, from its beginning, or from its end where the set is started that way.
    pub(super) fn add(&mut self, entry: Entry) {
        let lane = loop {
            let lane = self.random.hash_one((self.next_order, entry.ident, entry.stat.mtime));
            if lane != 0 && self.files.iter().all(|f| f.lane != lane) {
                break lane;
            }
            self.next_order += 1;
        };
        let mut file = self.followed(lane, entry.path, entry.real, entry.ident);
        file.gzip = entry.gzip;
        (file.stat, file.observed_bytes) = (entry.stat, entry.stat.size);
        file.tried = entry.stat.if_settled();
        if let Some(elders) = self.elders.get(&file.path) {
            file.elders = Arc::clone(elders);
        }
        file.ready = true;
        file.seen = true;
        if self.skip_existing {
            match content::end(&file.real, &file.ident, file.gzip, self.limits) {
                Ok((position, print)) => {
                    (file.position, file.told, file.print, file.saved) = (position, position, print, true);
                }
                Err(OpenError::Shortage(_)) => self.was_short = true,
                Err(error) => {
                    tracing::warn!(path = %file.real.display(), ?error, "cannot find the end of file, reading all of it")
                }
            }
        }
        self.files.push(file);
    }

    pub(super) fn followed(&mut self, lane: u64, path: PathBuf, real: PathBuf, ident: Ident) -> Followed {
        self.next_order += 1;
        let name: Arc<str> = path.to_string_lossy().into();
        Followed {
            part: format!("{lane:016x}").into(),
            lane,
            order: self.next_order,
            origin: Arc::new(Origin { source: Arc::clone(&self.options.source), peer: None, path: Some(name) }),
            path,
            real,
            ident,
            gzip: false,
            position: 0,
            told: 0,
            print: Print::default(),
            prefixes: Prefixes::default(),
            stat: Stat::default(),
            observed_bytes: 0,
            elders: Arc::new(Elders::NONE),
            tried: Stat::default(),
            content: None,
            ready: false,
            delivered: false,
            saved: false,
            row_is_stale: false,
            place: Place::Home,
            last_read: Instant::now(),
            replaced: false,
            searches: 0,
            seen: false,
            last_line_is_due: false,
            forget: false,
            done: false,
            complained: false,
        }
    }

    /// A batch without frames that says where each file is begun, so that a set that is read from the end is not begun at another
    /// end after a restart.
    pub(super) fn start_positions(&mut self) -> Batch {
        let mut batch = Batch::default();
        batch.positions.push(PositionChange {
            input: Arc::clone(&self.input),
            part: SET_PART.into(),
            from: 0,
            to: 0,
            detail: Some(serde_json::Value::Object(serde_json::Map::new())),
        });
        batch.positions.extend(self.files.iter_mut().filter(|f| f.saved).map(|f| f.change(&self.input)));
        batch
    }
}
