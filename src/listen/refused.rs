//! What the doors refuse: counted by source and reason for `/metrics`, and by peer for our own log.
//!
//! The reasons are few and known; the peers are an attacker's choice. Those refused most are found with Space-Saving (Metwally,
//! Agrawal, El Abbadi 2005): a fixed number of counters, and who has none takes over the smallest, with its count. So a count may be
//! too large, by at most what was taken over, and whoever was refused more often than one in [`COUNTERS`] is among them.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::shares::holder;
use crate::stats::{Counter, Stats};

/// Peers that are counted at a time.
pub const COUNTERS: usize = 256;
/// Lines in a report.
const SHOWN: usize = 10;

/// Who was refused most since the last report.
#[derive(Debug, Default)]
pub struct Refusals {
    most: Mutex<HashMap<Key, Tally>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    peer: IpAddr,
    source: Arc<str>,
    reason: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tally {
    count: u64,
    /// By how much the count may be too large.
    over: u64,
}

/// One reason for which a source refuses something.
#[derive(Debug, Clone)]
pub struct Refused {
    counter: Arc<Counter>,
    refusals: Arc<Refusals>,
    source: Arc<str>,
    reason: &'static str,
}

impl Refused {
    /// Frames that a source has received and not kept: `dropped_total`.
    pub fn frames(stats: &Stats, refusals: &Arc<Refusals>, source: &str, reason: &'static str) -> Refused {
        let labels = [("source", source), ("reason", reason)];
        let counter = stats.counter("dropped_total", "Frames that were received and not kept.", &labels);
        Refused { counter, refusals: Arc::clone(refusals), source: source.into(), reason }
    }

    /// Connections and requests that a source has turned away: `rejected_total`.
    pub fn visits(stats: &Stats, refusals: &Arc<Refusals>, source: &str, reason: &'static str) -> Refused {
        let labels = [("source", source), ("reason", reason)];
        let counter = stats.counter("rejected_total", "Connections and requests turned away.", &labels);
        Refused { counter, refusals: Arc::clone(refusals), source: source.into(), reason }
    }

    /// How many there were.
    pub fn total(&self) -> u64 {
        self.counter.get()
    }

    /// Counts `n` more; of a peer, where it is known.
    pub fn add(&self, peer: Option<IpAddr>, n: u64) {
        if n == 0 {
            return;
        }
        self.counter.add(n);
        if let Some(peer) = peer {
            self.refusals.note(Key { peer: holder(peer), source: Arc::clone(&self.source), reason: self.reason }, n);
        }
    }
}

impl Refusals {
    fn note(&self, key: Key, n: u64) {
        let mut most = self.most.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tally) = most.get_mut(&key) {
            tally.count = tally.count.saturating_add(n);
            return;
        }
        let mut over = 0;
        if most.len() >= COUNTERS
            && let Some((least, tally)) = most.iter().min_by_key(|(_, tally)| tally.count).map(|(k, t)| (k.clone(), *t))
        {
            most.remove(&least);
            over = tally.count;
        }
        most.insert(key, Tally { count: over.saturating_add(n), over });
    }

    /// Those refused since the last call, most first.
    fn take(&self) -> Vec<(Key, Tally)> {
        let most = std::mem::take(&mut *self.most.lock().unwrap_or_else(PoisonError::into_inner));
        let mut most: Vec<_> = most.into_iter().collect();
        most.sort_by(|(a, x), (b, y)| (Reverse(x.count), a).cmp(&(Reverse(y.count), b)));
        most
    }

    /// Tells our own log at every `interval` who was refused most, while somebody is; and once more when `stop` is cancelled.
    pub async fn report(&self, interval: Duration, stop: CancellationToken) {
        let mut stopping = false;
        while !stopping {
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = stop.cancelled() => stopping = true,
            }
            let most = self.take();
            for (Key { peer, source, reason }, Tally { count, over }) in most.iter().take(SHOWN) {
                warn!(%peer, source.id = %source, reason, count, over_by_at_most = over, "refused");
            }
            if most.len() > SHOWN {
                warn!(others = most.len() - SHOWN, "more peers were refused, less often");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_are_known_however_many_there_are() {
        let (stats, refusals) = (Stats::default(), Arc::new(Refusals::default()));
        let refused = Refused::visits(&stats, &refusals, "lan", "too many connections");
        let worst = IpAddr::from([192, 0, 2, 1]);
        for n in 0..100_000u32 {
            refused.add(Some((0x0A00_0000 + n).to_be_bytes().into()), 1);
            if n % 100 == 0 {
                refused.add(Some(worst), 1);
            }
        }
        refused.add(None, 5);
        assert_eq!(stats.total("rejected_total"), 101_005);
        assert_eq!(refusals.most.lock().unwrap().len(), COUNTERS);
        let most = refusals.take();
        let found = most.iter().find(|(key, _)| key.peer == worst).expect("one in a hundred is among them").1;
        assert!(found.count >= 1000 && found.count - found.over <= 1000, "{found:?}");
        assert_eq!(refusals.take(), []);
    }

    #[test]
    fn the_order_is_that_of_the_counts() {
        let (stats, refusals) = (Stats::default(), Arc::new(Refusals::default()));
        let (full, busy) = (
            Refused::frames(&stats, &refusals, "lan", "journal full"),
            Refused::frames(&stats, &refusals, "lan", "journal busy"),
        );
        let (a, b) = (Some(IpAddr::from([192, 0, 2, 1])), Some("2001:db8::7".parse().unwrap()));
        full.add(a, 3);
        busy.add(a, 1);
        full.add(b, 9);
        full.add(a, 0);
        let got: Vec<String> =
            refusals.take().into_iter().map(|(k, t)| format!("{} {} {} {}", k.peer, k.source, k.reason, t.count)).collect();
        assert_eq!(got, ["2001:db8:: lan journal full 9", "192.0.2.1 lan journal full 3", "192.0.2.1 lan journal busy 1"]);
    }
}
