//! The daily backup.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::Zoned;
use jiff::civil::Time;
use tracing::{info, warn};

use crate::casework::backups::Backup;
use crate::casework::{Actor, Casework, CaseworkError};
use crate::record::Timestamp;
use crate::stats::{Counter, Stats};

/// Between two looks at the clock, which somebody may set.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// After one that failed.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Makes one a day, without end. May be dropped at any time.
pub async fn make_daily(casework: &Casework, at: Option<Time>, stats: &Stats) -> Infallible {
    let Some(at) = at else { return std::future::pending().await };
    let newest = stats.gauge("backup_newest_timestamp_seconds", "As of when the newest backup is; 0 for none.", &[]);
    let failures = stats.counter("backup_failures_total", "Backups that were to be made and were not.", &[]);
    loop {
        let pause = match make_if_due(casework, at, &newest).await {
            Ok(()) => LOOK_EVERY,
            Err(error) => {
                failures.add(1);
                let why = anyhow::Error::from(error);
                warn!(error = format!("{why:#}"), "the backup of today was not made; trying again in an hour");
                PATIENCE
            }
        };
        tokio::time::sleep(pause).await;
    }
}

async fn make_if_due(casework: &Casework, at: Time, newest: &Arc<Counter>) -> Result<(), CaseworkError> {
    let actor = Actor::daemon();
    let found = casework.backups(&actor)?;
    let last = found.first().map(|backup: &Backup| backup.at);
    newest.set(last.map_or(0, |at| at.as_micros().unsigned_abs() / 1_000_000));
    if !is_due(&Zoned::now(), at, last) {
        return Ok(());
    }
    let made = casework.create_backup(&actor, &mut |_| {}).await?;
    newest.set(made.backup.at.as_micros().unsigned_abs() / 1_000_000);
    info!(backup = made.backup.name, bytes = made.backup.bytes, rows = made.rows, removed = made.removed.len(), "backup made");
    Ok(())
}

/// Whether none was made since the last time of day that it should have been made at.
fn is_due(now: &Zoned, at: Time, last: Option<Timestamp>) -> bool {
    let on = |day: jiff::civil::Date| day.to_datetime(at).to_zoned(now.time_zone().clone()).ok();
    let today = on(now.date()).filter(|due| due <= now);
    let due = today.or_else(|| on(now.date().yesterday().ok()?));
    due.is_some_and(|due| last.is_none_or(|last| last.as_micros() < due.timestamp().as_microsecond()))
}

#[cfg(test)]
mod tests {
    use jiff::civil::time;

    use super::*;

    #[test]
    fn a_backup_is_due_once_a_day_and_made_up_for() {
        let now: Zoned = "2026-11-21T10:00:00+01:00[Europe/Paris]".parse().unwrap();
        let stamp = |text: &str| Some(Timestamp::parse_rfc3339(text).unwrap());
        let at = time(3, 30, 0, 0);
        assert!(is_due(&now, at, None), "there never was one");
        assert!(is_due(&now, at, stamp("2026-11-20T02:30:01Z")), "yesterday's");
        assert!(is_due(&now, at, stamp("2026-11-21T02:29:59Z")), "before the time of today");
        assert!(!is_due(&now, at, stamp("2026-11-21T02:30:00Z")));
        let later = time(23, 0, 0, 0);
        assert!(!is_due(&now, later, stamp("2026-11-20T22:00:00Z")), "that of last night");
        assert!(is_due(&now, later, stamp("2026-11-20T21:59:00Z")));
        // An hour that does not exist on that day, and one that there is twice.
        let spring: Zoned = "2026-03-29T12:00:00+02:00[Europe/Paris]".parse().unwrap();
        assert!(is_due(&spring, time(2, 30, 0, 0), stamp("2026-03-28T12:00:00Z")));
        let autumn: Zoned = "2026-10-25T12:00:00+01:00[Europe/Paris]".parse().unwrap();
        assert!(!is_due(&autumn, time(2, 30, 0, 0), stamp("2026-10-25T00:30:01Z")));
    }
}
