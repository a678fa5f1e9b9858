//! `[backup]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::retention::TimeOfDay;
use super::units::Span;
use crate::casework::backups::{Lock, Policy};

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "config/tocsin.toml explains each")]
pub struct Backup {
    pub dir: Option<PathBuf>,
    pub recipients: Vec<String>,
    pub passphrase_file: Option<PathBuf>,
    pub identity_file: Option<PathBuf>,
    pub at: TimeOfDay,
    pub keep: usize,
    pub keep_for: Span,
    pub with_keys: bool,
}

impl Default for Backup {
    fn default() -> Backup {
        Backup {
            dir: None,
            recipients: Vec::new(),
            passphrase_file: None,
            identity_file: None,
            at: TimeOfDay(jiff::civil::time(3, 30, 0, 0)),
            keep: 14,
            keep_for: Span(Duration::from_secs(90 * 86_400)),
            with_keys: true,
        }
    }
}

impl Backup {
    /// What casework is to know of it. Without `dir`, backups lie in the state directory.
    pub(super) fn policy(&self, state_dir: &Path, key_file: &Path) -> Policy {
        Policy {
            dir: self.dir.clone().unwrap_or_else(|| state_dir.join("backups")),
            lock: Lock {
                recipients: self.recipients.clone(),
                passphrase_file: self.passphrase_file.clone(),
                identity_file: self.identity_file.clone(),
            },
            key_file: self.with_keys.then(|| key_file.to_owned()),
            keep: self.keep,
            keep_micros: self.keep_for.as_micros(),
        }
    }

    /// When the daemon makes one, each day, by this machine's clock; `None` where nobody is named who can read it.
    pub fn daily_at(&self) -> Option<jiff::civil::Time> {
        let is_set = !self.recipients.is_empty() || self.passphrase_file.is_some();
        is_set.then_some(self.at.0)
    }

    /// What no single value tells.
    pub(super) fn problems(&self) -> Vec<(String, String)> {
        let both = !self.recipients.is_empty() && self.passphrase_file.is_some();
        let problem =
            "and backup.passphrase_file exclude each other: a passphrase encrypts for whoever knows it, and for nobody else";
        both.then(|| ("backup.recipients".to_owned(), problem.to_owned())).into_iter().collect()
    }
}
