//! How long to wait before trying again, how often to say so, and what is being waited for.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::record::Timestamp;
use crate::store::{Remedy, StoreError};

/// The pause before the first repetition.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// Everything that waits for the database now; one for a daemon, for those who ask how it is.
#[derive(Debug)]
pub struct Waits(Mutex<Table>);

#[derive(Debug)]
struct Table {
    next: u64,
    /// Of the pauses' jitter.
    chance: u64,
    waits: BTreeMap<u64, Wait>,
}

/// Something that is tried again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// When it failed first, as the wall clock showed it then.
    pub since: Timestamp,
    /// The same by the clock that nobody sets.
    pub began: Instant,
    /// What is being waited for.
    pub what: &'static str,
    /// Why it failed last, in one line.
    pub error: String,
}

impl Default for Waits {
    fn default() -> Waits {
        Waits::with_seed(RandomState::new().hash_one("pauses"))
    }
}

impl Waits {
    /// With the same seed, pauses are the same.
    pub fn with_seed(seed: u64) -> Waits {
        Waits(Mutex::new(Table { next: 0, chance: seed, waits: BTreeMap::new() }))
    }

    /// What has been waiting longest.
    pub fn longest(&self) -> Option<Wait> {
        self.table().waits.values().min_by_key(|wait| wait.began).cloned()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Pauses between the repetitions of one thing: doubling, with jitter, and a line in the log once a minute. What it waits for is told to
/// [`Waits`] until it is dropped.
#[derive(Debug)]
pub struct Pauses {
    waits: Arc<Waits>,
    /// Its key in `waits`.
    key: u64,
    tries: u32,
    began: Option<Instant>,
    reported: Option<Instant>,
}

impl Pauses {
    /// For something that has not failed yet.
    pub fn new(waits: &Arc<Waits>) -> Pauses {
        let mut table = waits.table();
        let key = table.next;
        table.next += 1;
        Pauses { waits: Arc::clone(waits), key, tries: 0, began: None, reported: None }
    }

    /// The next pause.
    pub fn next_pause(&mut self) -> Duration {
        let whole = FIRST_PAUSE.saturating_mul(1 << self.tries.min(10)).min(LONGEST_PAUSE);
        self.tries += 1;
        // Half to whole, so that two that failed together do not come back together.
        let mut table = self.waits.table();
        table.chance = table.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        whole / 2 + whole.mul_f64((table.chance >> 33) as f64 / (1u64 << 32) as f64)
    }

    /// Notes why it failed; says once a minute, and when something new is wrong, what is being waited for. What time alone will not mend
    /// is tried again all the same: somebody must act, and may be about to; what waits is in files and journal.
    pub fn report(&mut self, error: &StoreError, what: &'static str) {
        let what = match error.remedy() {
            Remedy::Wait => what,
            _ => "the database refuses, and somebody has to act; it is tried again until it is accepted",
        };
        let text = error.in_one_line();
        let wait = Wait { since: Timestamp::now(), began: Instant::now(), what, error: text.clone() };
        let before = {
            let mut table = self.waits.table();
            let (since, began) =
                table.waits.get(&self.key).map_or((wait.since, wait.began), |before| (before.since, before.began));
            table.waits.insert(self.key, Wait { since, began, ..wait })
        };
        self.began.get_or_insert_with(Instant::now);
        let is_new = before.is_none_or(|before| before.what != what);
        if is_new || self.reported.is_none_or(|at| at.elapsed() > REPORT_INTERVAL) {
            self.reported = Some(Instant::now());
            let advice = error.advice();
            if error.is_transient() {
                tracing::warn!(error = text, advice, "{what}");
            } else {
                tracing::error!(error = text, advice, "{what}");
            }
        }
    }

    /// It succeeded: says how long that took, if it failed before.
    pub fn over(self) {
        if let Some(began) = self.began {
            tracing::info!(seconds = began.elapsed().as_secs(), tries = self.tries, "the database works again");
        }
    }
}

impl Drop for Pauses {
    fn drop(&mut self) {
        self.waits.table().waits.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_seconds_and_never_vanish() {
        let waits = Arc::default();
        let mut pauses = Pauses::new(&waits);
        for i in 0..40 {
            let (pause, whole) = (pauses.next_pause(), (FIRST_PAUSE * (1 << i.min(10))).min(LONGEST_PAUSE));
            assert!(pause >= whole / 2 && pause <= whole, "{i}: {pause:?}");
        }
    }

    #[test]
    fn what_waits_longest_is_told_until_it_is_over() {
        let waits = Arc::default();
        let (mut one, mut two) = (Pauses::new(&waits), Pauses::new(&waits));
        assert_eq!(waits.longest(), None);
        one.report(&StoreError::Late, "waiting");
        let first = waits.longest().unwrap();
        assert_eq!((first.what, &*first.error), ("waiting", "the database does not answer"));
        two.report(&StoreError::ReadOnly, "waiting, too");
        one.report(&StoreError::ReadOnly, "waiting");
        let still = waits.longest().unwrap();
        assert_eq!((still.since, &*still.error), (first.since, "the server is read-only"));
        one.over();
        assert_eq!(waits.longest().unwrap().what, "waiting, too");
        two.report(&StoreError::TooOld { found: "9".into() }, "waiting, too");
        assert!(waits.longest().unwrap().what.contains("somebody has to act"));
        drop(two);
        assert_eq!(waits.longest(), None);
    }
}
