//! What the wall clock would say if nobody had set it.

use tokio::time::Instant;

use crate::record::Timestamp;

/// How far ahead of the wall clock it may begin, in microseconds: each day that a claim may name is a partition that somebody can have us
/// make.
const MAX_AHEAD_MICROS: i64 = 400 * 86_400 * 1_000_000;

/// A clock that goes on from where the wall clock was, or from the latest receipt of late where the wall clock is behind that: a machine
/// that has lost the time begins at some earlier one, and is told the right one only later. Never set.
#[derive(Debug, Clone, Copy)]
pub struct SteadyClock {
    base: Timestamp,
    began: Instant,
}

impl SteadyClock {
    /// From now on. `last_received`: the latest receipt of late.
    pub fn since(last_received: Option<Timestamp>) -> SteadyClock {
        let now = Timestamp::now();
        let last = last_received.unwrap_or(now).min(now.plus_micros(MAX_AHEAD_MICROS));
        SteadyClock { base: now.max(last), began: Instant::now() }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.base.plus_micros(i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_not_behind_what_was_received_last_nor_far_ahead() {
        let ahead = Timestamp::now().plus_micros(86_400_000_000);
        let clock = SteadyClock::since(Some(ahead));
        assert!(clock.now() >= ahead && clock.now().micros_since(ahead) < 3_600_000_000);
        let absurd = SteadyClock::since(Some(Timestamp::MAX)).now();
        assert!(absurd.micros_since(Timestamp::now()) <= MAX_AHEAD_MICROS);
        let (before, behind) = (Timestamp::now(), Timestamp::from_secs(0));
        assert!([None, Some(behind)].into_iter().all(|last| SteadyClock::since(last).now() >= before));
    }
}
