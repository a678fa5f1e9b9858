//! File descriptors: a flood of connections must not take those that the journal, files and database need.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::debug;

use super::DaemonError;
use crate::config::Config;

/// For the journal, the database, the runtime, and what is open for a moment.
const OURSELVES: u64 = 128;
/// Files that a set holds open at a time, and what it watches them with.
const FILE_SET: u64 = 512 + 16;

/// Raises the process's soft limit as far as it may be, and makes sure that everything configured fits.
///
/// # Errors
/// [`DaemonError::Setting`]: it does not.
pub fn ensure(config: &Config) -> Result<(), DaemonError> {
    let needed = needed(config);
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return Ok(()) };
    if soft < hard {
        match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
            Ok(()) => debug!(before = soft, now = hard, "the limit on open files was raised"),
            Err(error) => debug!(%error, "the limit on open files cannot be raised"),
        }
    }
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, _)) if soft < needed => {
            let what = format!(
                "{needed} files and connections may be open at a time, but this process may open {soft}: raise its limit \
                 (LimitNOFILE in systemd, ulimit -n) or lower max_connections"
            );
            Err(DaemonError::Setting { key: "max_connections".into(), what })
        }
        _ => Ok(()),
    }
}

fn needed(config: &Config) -> u64 {
    let syslog = config.syslog.iter().filter(|s| s.tcp.is_some()).map(|s| s.max_connections as u64).sum::<u64>();
    let http = if config.http.listen == "off" { 0 } else { config.http.max_connections as u64 };
    let listeners = 2 * config.syslog.len() as u64;
    syslog + http + listeners + FILE_SET * config.files.len() as u64 + OURSELVES
}
