//! The daily backup.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use tracing::{info, warn};

use super::upkeep;
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
            // Somebody makes one, which will do, or tries one.
            Err(CaseworkError::Conflict(_)) => LOOK_EVERY,
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
    if last.is_some_and(|last| last >= upkeep::last_time(Timestamp::now(), at, &TimeZone::system())) {
        return Ok(());
    }
    let made = casework.create_backup(&actor, &mut |_| {}).await?;
    newest.set(made.backup.at.as_micros().unsigned_abs() / 1_000_000);
    info!(backup = made.backup.name, bytes = made.backup.bytes, rows = made.rows, removed = made.removed.len(), "backup made");
    Ok(())
}
