//! `[keys]`: where the master keys are.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Where the master keys are.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "config/tocsin.toml explains each")]
pub struct Keys {
    pub file: Option<PathBuf>,
}

impl Keys {
    /// The file, in the state directory unless configured.
    pub fn path(&self, state_dir: &Path) -> PathBuf {
        self.file.clone().unwrap_or_else(|| state_dir.join("keys/master.key"))
    }
}
