//! What is left over, and nobody will ask for, is removed.

use std::convert::Infallible;
use std::time::Duration;

use tracing::warn;

use crate::casework::Casework;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// Removes files of evidence that were never finished, without end. May be dropped at any time.
pub async fn sweep(casework: &Casework) -> Infallible {
    loop {
        if let Err(error) = casework.sweep_files().await {
            warn!(error = %super::chain(&error), "files that were never finished stay for now");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
