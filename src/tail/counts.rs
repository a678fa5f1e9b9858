//! What a file set counts.

use std::sync::Arc;

use crate::stats::{Counter, Stats};

/// Counters of a file set.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) followed: Arc<Counter>,
    pub(super) left_out: Arc<Counter>,
    pub(super) lag: Arc<Counter>,
    pub(super) cut: Arc<Counter>,
    pub(super) truncated: Arc<Counter>,
    pub(super) errors: Arc<Counter>,
}

impl Counts {
    pub(super) fn new(stats: &Stats, source: &str) -> Counts {
        let labels = [("source", source)];
        Counts {
            followed: stats.gauge("files_followed", "Files that are followed.", &labels),
            left_out: stats.gauge("files_left_out", "Files that are not read, since there is no room to follow more.", &labels),
            lag: stats.gauge("lag_bytes", "Bytes that wait to be read.", &labels),
            cut: stats.counter("lines_cut_total", "Lines that were longer than the limit and lost their end.", &labels),
            truncated: stats.counter(
                "truncated_unread_bytes_total",
                "Bytes known to have been in files that were truncated or deleted before they were read.",
                &labels,
            ),
            errors: stats.counter("read_errors_total", "Failures to look at a file or to read it.", &labels),
        }
    }
}
