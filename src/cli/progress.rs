//! How far a command is, on standard error: where somebody looks on who has not said that their terminal is to be left alone.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Towards so much.
pub fn bar(length: u64) -> ProgressBar {
    ProgressBar::with_draw_target(Some(length), target())
}

/// Towards nobody knows how much.
pub fn spinner() -> ProgressBar {
    ProgressBar::with_draw_target(None, target()).with_style(ProgressStyle::default_spinner())
}

/// On a pipe, and where `TERM` is dumb, it hides by itself. Whoever wants no colours (no-color.org) wants no other escape sequences, either.
fn target() -> ProgressDrawTarget {
    if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        return ProgressDrawTarget::hidden();
    }
    ProgressDrawTarget::stderr()
}
