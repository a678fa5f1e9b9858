//! Which hosts the roll-ups name. Hosts are what senders call themselves: without a limit a row of the roll-ups could be made with every
//! datagram, and reports would count as many rows as there are records.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::quality::RandomState;

use crate::stats::{Counter, Stats};
use crate::store::rollups::Counted;

/// Hosts that are named for one hour and source. After a restart there may be so many others.
const MAX_HOSTS: usize = 1_000;
/// Hours and sources of which the hosts are known, those that were used last; of others, they are met anew.
const MAX_HOURS: usize = 128;

/// See the module.
#[derive(Debug)]
pub struct Hosts {
    /// By a hash of hour and source. Whatever has the same one shares the limit.
    hours: HashMap<u64, Known, RandomState>,
    uses: u64,
    others_total: Arc<Counter>,
}

#[derive(Debug, Default)]
struct Known {
    /// By hash, which keeps it small.
    hosts: HashSet<u64, RandomState>,
    last_used: u64,
}

impl Hosts {
    /// Memory in the worst case, in bytes: sets of 2,048 places of nine bytes each.
    pub const WORST_BYTES: usize = MAX_HOURS * (2_048 * 9 + 128);

    /// None are known.
    pub fn new(stats: &Stats) -> Hosts {
        let help = "Records whose host the roll-ups do not name, since their hour and source had too many.";
        Hosts { hours: HashMap::default(), uses: 0, others_total: stats.counter("rollup_other_hosts_total", help, &[]) }
    }

    /// Whether a row's host is named.
    pub fn admit(&mut self, row: &Counted<'_>) -> bool {
        self.uses += 1;
        let hour = self.hours.hasher().hash_one((row.hour(), row.source));
        let host = self.hours.hasher().hash_one(row.host);
        if !self.hours.contains_key(&hour) && self.hours.len() == MAX_HOURS {
            let oldest = self.hours.iter().min_by_key(|(_, known)| known.last_used).map(|(hour, _)| *hour);
            oldest.and_then(|oldest| self.hours.remove(&oldest));
        }
        let known = self.hours.entry(hour).or_default();
        known.last_used = self.uses;
        if known.hosts.len() < MAX_HOSTS {
            known.hosts.insert(host);
            return true;
        }
        let named = known.hosts.contains(&host);
        self.others_total.add(u64::from(!named));
        named
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{EventType, Severity, Timestamp};

    #[test]
    fn a_thousand_hosts_of_an_hour_and_source_are_named_and_the_memory_has_a_limit() {
        let stats = Stats::default();
        let mut hosts = Hosts::new(&stats);
        let mut admit = |hour: i64, source: &str, host: usize| {
            let (event_type, severity) = (EventType::Other, Severity::Low);
            let event_time = Timestamp::from_secs(hour * 3_600);
            hosts.admit(&Counted { event_time, source, host: &host.to_string(), event_type, severity })
        };
        for host in 0..MAX_HOSTS {
            assert!(admit(0, "lan", host) && admit(0, "lan", host));
        }
        assert!(!admit(0, "lan", MAX_HOSTS) && !admit(0, "lan", MAX_HOSTS + 1) && admit(0, "lan", 7));
        assert!(admit(0, "dmz", MAX_HOSTS) && admit(1, "lan", MAX_HOSTS), "another source, another hour");
        assert_eq!(stats.total("rollup_other_hosts_total"), 2);
        (2..MAX_HOURS as i64 - 1).for_each(|hour| assert!(admit(hour, "lan", 1)));
        assert!(!admit(0, "lan", MAX_HOSTS), "the hour that was used last goes last");
        (1_000..1_000 + 2 * MAX_HOURS as i64).for_each(|hour| assert!(admit(hour, "lan", 1)));
        assert!(admit(0, "lan", MAX_HOSTS), "forgotten");
        assert_eq!(hosts.hours.len(), MAX_HOURS);
        assert!(hosts.hours.values().all(|known| known.hosts.capacity() <= 1_792));
    }
}
