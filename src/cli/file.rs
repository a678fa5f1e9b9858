//! Files that are there whole or not at all, and that replace no other unless told to.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

/// What becomes of a file of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It is kept, and ours is not written.
    Kept,
    /// It is replaced.
    Replaced,
}

/// Writes a file at once.
///
/// # Errors
/// There is one already that is to be kept, or it cannot be written.
pub fn write_whole(path: &Path, existing: Existing, content: &[u8]) -> anyhow::Result<()> {
    let (unfinished, mut file) = Unfinished::begin(path, existing)?;
    file.write_all(content).with_context(|| format!("write {}", path.display()))?;
    unfinished.finish(&file)
}

/// A file that is being written, beside the place where it will be. Dropped, it is removed.
pub struct Unfinished {
    path: PathBuf,
    temporary: PathBuf,
    existing: Existing,
    done: bool,
}

impl Unfinished {
    /// Begins a file that only we may read.
    ///
    /// # Errors
    /// There is one already, or none can be made there.
    pub fn begin(path: &Path, existing: Existing) -> anyhow::Result<(Unfinished, File)> {
        if existing == Existing::Kept && path.symlink_metadata().is_ok() {
            return Err(there_already(path));
        }
        let name = path.file_name().with_context(|| format!("{} names no file", path.display()))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.part", std::process::id()));
        let temporary = path.with_file_name(hidden);
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        let file = opened.with_context(|| format!("make {}", temporary.display()))?;
        Ok((Unfinished { path: path.to_owned(), temporary, existing, done: false }, file))
    }

    /// Gives it its name, now that all of it is written.
    ///
    /// # Errors
    /// The disk is full, or somebody else made a file of that name meanwhile.
    pub fn finish(mut self, file: &File) -> anyhow::Result<()> {
        file.sync_all().with_context(|| format!("write {}", self.temporary.display()))?;
        let named = match self.existing {
            Existing::Replaced => std::fs::rename(&self.temporary, &self.path),
            Existing::Kept => {
                renameat2(AT_FDCWD, &self.temporary, AT_FDCWD, &self.path, RenameFlags::RENAME_NOREPLACE).map_err(io::Error::from)
            }
        };
        match named {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(there_already(&self.path)),
            named => named.with_context(|| format!("name {}", self.path.display()))?,
        }
        self.done = true;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.done {
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

fn there_already(path: &Path) -> anyhow::Error {
    anyhow::anyhow!("{} is there already; --force replaces it", path.display())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_there_whole_and_replaces_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.csv");
        let write = |text: &str, existing| {
            let (unfinished, mut file) = Unfinished::begin(&path, existing)?;
            assert_ne!(std::fs::read_to_string(&path).ok().as_deref(), Some(text), "not yet");
            file.write_all(text.as_bytes())?;
            unfinished.finish(&file)
        };
        write("one", Existing::Kept).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(write("two", Existing::Kept).unwrap_err().to_string().contains("--force"));
        write("three", Existing::Replaced).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three");
        // Somebody else makes one meanwhile.
        let other = dir.path().join("y.csv");
        let (unfinished, file) = Unfinished::begin(&other, Existing::Kept).unwrap();
        std::fs::write(&other, "theirs").unwrap();
        assert!(unfinished.finish(&file).is_err());
        drop(Unfinished::begin(&dir.path().join("z.csv"), Existing::Kept).unwrap());
        let mut left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["x.csv", "y.csv"]);
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "theirs");
    }
}
