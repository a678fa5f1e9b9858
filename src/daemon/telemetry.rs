//! Our own log: to standard error, where systemd and people expect it. Contents of ingested lines never reach it.

use tracing_subscriber::EnvFilter;

/// Sets up the log of the process; a second call changes nothing.
///
/// # Errors
/// `level` is no filter.
pub fn init(level: &str, format: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(level).map_err(|e| format!("log.level: {level:?} is no level: {e}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = match format {
        "json" => builder.json().try_init(),
        _ => builder.with_target(false).with_ansi(takes_colour()).try_init(),
    };
    Ok(())
}

/// Whether standard error is a terminal that knows colours, and nobody has said that there are to be none (no-color.org).
fn takes_colour() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    std::io::IsTerminal::is_terminal(&std::io::stderr()) && !is_set("NO_COLOR") && !is_dumb
}
