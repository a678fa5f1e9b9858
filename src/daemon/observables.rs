//! Observables, looked for in the evidence that the pipeline attaches to incidents: beside the pipeline, so that nothing there waits for it.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::casework::Casework;

/// Between two looks when nothing waits.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two looks when something does, at least, and in times of what the last look took: what has piled up takes a small part of the
/// database's time, however slow that is, and the incidents that are looked at are mostly free for the pipeline.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_TIMES: u32 = 4;

/// Looks through what waits, without end. May be dropped at any time: what is not committed is looked through again.
pub async fn find(casework: &Casework) -> Infallible {
    let mut is_well = true;
    loop {
        let began = Instant::now();
        let done = casework.find_observables().await;
        let pause = if matches!(done, Ok(1..)) { PAUSE.max(began.elapsed() * PAUSE_TIMES) } else { LOOK_EVERY };
        match done {
            Ok(_) => is_well = true,
            // The pipeline tells of a database that is away.
            Err(error) if is_well && !error.is_transient() => {
                is_well = false;
                warn!(error = %error.in_one_line(), "evidence cannot be looked through for observables; trying again");
            }
            Err(_) => {}
        }
        tokio::time::sleep(pause).await;
    }
}
