//! Incidents whose evidence grew, or that another list of assets puts in another light, looked at beside ingestion.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::casework::{Actor, Casework, CaseworkError};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// After a look that found something, at least, and in times of what it took: there may be more, and the pipeline goes first.
const GO_ON: Duration = Duration::from_millis(100);
const GO_ON_TIMES: u32 = 4;

/// Looks at them, without end. May be dropped at any time.
pub async fn assess(casework: &Casework) -> Infallible {
    let (daemon, mut is_well) = (Actor::daemon(), true);
    let mut pause = LOOK_EVERY;
    loop {
        tokio::time::sleep(pause).await;
        let began = Instant::now();
        pause = match casework.assess(&daemon).await {
            Ok(looked_at) => {
                is_well = true;
                if looked_at >= Casework::ASSESSED_AT_ONCE { GO_ON.max(began.elapsed() * GO_ON_TIMES) } else { LOOK_EVERY }
            }
            // The pipeline tells of a database that is away.
            Err(CaseworkError::Store(error)) if error.is_transient() => LOOK_EVERY,
            Err(error) => {
                if std::mem::replace(&mut is_well, false) {
                    warn!(error = &error as &dyn std::error::Error, "which systems incidents affect cannot be found out");
                }
                LOOK_EVERY
            }
        };
    }
}
