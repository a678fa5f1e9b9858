//! Records that people add by hand (`added_logs`), taken into the journal: from there they go through parsers and detectors as any other.
//!
//! Exactly once: each goes into the journal as a delivery with an id of its own, and is taken note of when it is synced there. Whoever dies
//! between the two takes it again, and the pipeline knows the delivery.

use std::convert::Infallible;
use std::time::Duration;

use tracing::warn;

use crate::journal::{Group, JournalError, JournalHandle};
use crate::record::Timestamp;
use crate::store::{Store, StoreError, logs};

/// `logs.source` of what was added by hand.
pub const SOURCE: &str = "manual";

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Taken at a time.
const AT_ONCE: i64 = 100;

/// Takes what is added, without end. May be dropped at any time.
pub async fn take(store: &Store, journal: &JournalHandle) -> Infallible {
    let mut is_well = true;
    loop {
        match take_some(store, journal).await {
            Ok(()) => is_well = true,
            // The pipeline tells of a database that is away, and the doors of a journal that is full.
            Err(error) if is_well && !error.is_expected() => {
                is_well = false;
                warn!(error = %error, "records that were added by hand have to wait");
            }
            Err(_) => {}
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[derive(Debug, thiserror::Error)]
enum TakeError {
    #[error("{}", .0.in_one_line())]
    Store(#[source] StoreError),
    #[error("{0}")]
    Journal(#[source] JournalError),
}

impl TakeError {
    fn is_expected(&self) -> bool {
        match self {
            TakeError::Store(error) => error.is_transient(),
            TakeError::Journal(error) => !matches!(error, JournalError::TooLarge { .. }),
        }
    }
}

async fn take_some(store: &Store, journal: &JournalHandle) -> Result<(), TakeError> {
    let mut connection = store.connection().await.map_err(TakeError::Store)?;
    for (id, line) in logs::added(&mut connection, AT_ONCE).await.map_err(TakeError::Store)? {
        let mut group = Group::new(SOURCE, Timestamp::now()).with_delivery(Some(&format!("added-{id}")));
        group.push(None, line.as_bytes(), 0);
        journal.append_and_wait(&group).await.map_err(TakeError::Journal)?;
        logs::taken(&mut connection, id).await.map_err(TakeError::Store)?;
    }
    store.keep(connection);
    Ok(())
}
