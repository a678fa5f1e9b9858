//! Maintenance once a day: at the time of day that is configured, or at the start of a daemon that was down then.
//!
//! Of several daemons one does it, since the database lets only one. A clock that was set to another day takes nothing away: what is old is
//! told by it.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use jiff::civil::Time;
use jiff::tz::TimeZone;
use tracing::{info, warn};

use crate::casework::{Actor, Casework, CaseworkError};
use crate::record::Timestamp;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// After a run that could not be, or that put something off.
const AFTER_TROUBLE: Duration = Duration::from_secs(600);
/// A wall clock that is off from the time that went by for so long was set.
const SET_MICROS: i64 = 3_600_000_000;
/// After the clock was set it is believed again when it went on for so long.
const DOUBT: Duration = Duration::from_secs(86_400);

/// Keeps it up, without end. May be dropped at any time.
pub async fn keep_up(casework: &Casework, at: Time) -> Infallible {
    let mut clock = Clock::started(Timestamp::now(), Instant::now());
    loop {
        let now = Timestamp::now();
        let mut pause = LOOK_EVERY;
        if clock.is_believed(now, Instant::now()) {
            pause = look(casework, at).await;
        }
        tokio::time::sleep(pause).await;
    }
}

/// Does what is due; how long to wait then.
async fn look(casework: &Casework, at: Time) -> Duration {
    let daemon = Actor::daemon();
    let done = async {
        let (now, last) = casework.last_maintenance(&daemon).await?;
        match last {
            Some(last) if last >= last_time(now, at, &TimeZone::system()) => Ok(None),
            _ => casework.maintain(&daemon, &mut |_| {}).await.map(Some),
        }
    };
    match done.await {
        Ok(None) => LOOK_EVERY,
        Ok(Some(run)) => {
            for taken in &run.taken {
                info!(rows = taken.rows, bytes = taken.bytes, "taken away, since it was due: {}", taken.what);
            }
            for what in &run.put_off {
                warn!("due, and put off since others were at it for too long: {what}");
            }
            if run.put_off.is_empty() { LOOK_EVERY } else { AFTER_TROUBLE }
        }
        // Somebody else does it.
        Err(CaseworkError::Conflict(_)) => AFTER_TROUBLE,
        // The pipeline tells of a database that is away.
        Err(CaseworkError::Store(error)) if error.is_transient() => LOOK_EVERY,
        Err(CaseworkError::Store(error)) => {
            warn!(error = error.in_one_line(), "what is due could not be taken away");
            AFTER_TROUBLE
        }
        Err(error) => {
            warn!(%error, "what is due could not be taken away");
            AFTER_TROUBLE
        }
    }
}

/// The last time that clocks of a zone showed a time of day.
pub(super) fn last_time(now: Timestamp, at: Time, zone: &TimeZone) -> Timestamp {
    let Ok(instant) = jiff::Timestamp::from_microsecond(now.as_micros()) else { return Timestamp::MIN };
    let today = zone.to_datetime(instant).date();
    let shown = [Some(today), today.yesterday().ok()].into_iter().flatten().filter_map(|day| {
        let shown = zone.to_ambiguous_timestamp(day.to_datetime(at)).compatible().ok()?;
        Some(Timestamp::from_micros(shown.as_microsecond()))
    });
    shown.filter(|shown| *shown <= now).max().unwrap_or(Timestamp::MIN)
}

/// The wall clock held against one that nobody sets.
struct Clock {
    wall: Timestamp,
    steady: Instant,
    believed_from: Instant,
}

impl Clock {
    fn started(wall: Timestamp, steady: Instant) -> Clock {
        Clock { wall, steady, believed_from: steady }
    }

    fn is_believed(&mut self, wall: Timestamp, steady: Instant) -> bool {
        let passed = i64::try_from(steady.duration_since(self.steady).as_micros()).unwrap_or(i64::MAX);
        if (wall.micros_since(self.wall) - passed).abs() > SET_MICROS {
            warn!("the clock of this machine was set: nothing is taken away by it for a day");
            *self = Clock { wall, steady, believed_from: steady + DOUBT };
        }
        steady >= self.believed_from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn once_a_day_also_when_clocks_change() {
        let paris = TimeZone::get("Europe/Paris").unwrap();
        let last = |now: &str, hour: i8| last_time(at(now), Time::constant(hour, 30, 0, 0), &paris).to_string();
        assert_eq!(last("2026-11-21T02:29:59Z", 3), "2026-11-20T02:30:00Z");
        assert_eq!(last("2026-11-21T02:30:00Z", 3), "2026-11-21T02:30:00Z");
        // 02:30 is skipped on this day, and is there twice on that one.
        assert_eq!(last("2026-03-29T12:00:00Z", 2), "2026-03-29T01:30:00Z");
        assert_eq!(last("2026-10-25T12:00:00Z", 2), "2026-10-25T00:30:00Z");
        assert_eq!(last("2026-10-25T00:10:00Z", 2), "2026-10-24T00:30:00Z");
    }

    #[test]
    fn a_clock_that_was_set_takes_nothing_away_for_a_day() {
        let (wall, steady) = (at("2026-11-21T00:00:00Z"), Instant::now());
        let mut clock = Clock::started(wall, steady);
        let hour = Duration::from_secs(3_600);
        let later = |hours: u32| (wall.plus_micros(i64::from(hours) * 3_600_000_000), steady + hours * hour);
        let (one, two, thirty) = (later(1), later(2), later(30));
        assert!(clock.is_believed(one.0, one.1));
        let year = 365 * 86_400_000_000;
        assert!(!clock.is_believed(two.0.plus_micros(year), two.1), "a year ahead");
        assert!(clock.is_believed(thirty.0.plus_micros(year), thirty.1), "still, after a day");
        assert!(!clock.is_believed(thirty.0, thirty.1), "and back again");
    }
}
