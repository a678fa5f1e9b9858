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
        _ => builder.with_target(false).with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
    };
    Ok(())
}
