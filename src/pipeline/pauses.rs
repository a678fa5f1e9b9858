//! How long to wait before trying again, and how often to say so.

use std::time::{Duration, Instant};

use crate::store::StoreError;

/// The pause before the first repetition.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Pauses between repetitions: doubling, with jitter, and a line in the log once a minute.
#[derive(Debug, Default)]
pub struct Pauses {
    tries: u32,
    reported: Option<Instant>,
}

impl Pauses {
    /// The next pause.
    pub fn next_pause(&mut self) -> Duration {
        let whole = FIRST_PAUSE.saturating_mul(1 << self.tries.min(10)).min(LONGEST_PAUSE);
        self.tries += 1;
        // Half to whole, so that two that failed together do not come back together. The clock's low digits are random enough.
        let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.subsec_nanos());
        whole / 2 + whole.mul_f64(f64::from(nanos % 1000) / 2000.0)
    }

    /// Says once a minute what is being waited for.
    pub fn report(&mut self, error: &StoreError, what: &'static str) {
        if self.reported.is_none_or(|at| at.elapsed() > Duration::from_secs(60)) {
            self.reported = Some(Instant::now());
            let error = in_one_line(error);
            tracing::warn!(error, "{what}");
        }
    }
}

/// An error with its causes, in one line.
fn in_one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(c) = cause {
        text.push_str(": ");
        text.push_str(&c.to_string());
        cause = c.source();
    }
    text
}
