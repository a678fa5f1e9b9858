//! The file with the master keys: a line each, its id and its 32 bytes in base64, the newest last. Nobody but its owner may read it.
//!
//! ```text
//! # Master keys of tocsin …
//! 8f3a1c5e90d2b746 q83vEjRWeJA…=
//! ```
//!
//! It is written anew beside its place, synced and renamed, so that it is there whole or as it was before.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use zeroize::Zeroizing;

use super::{Key, KeyError};
use crate::random;

/// Master keys in a file at most: each rotation adds one.
const MAX_KEYS: usize = 100;
/// Bytes of the file at most.
const MAX_BYTES: u64 = 64 << 10;
const HEAD: &str =
    "# Master keys of tocsin, the newest last. Keep a copy in a safe place: without them what is sealed cannot be opened.\n";

/// The master keys.
#[derive(Debug)]
pub struct Ring {
    path: PathBuf,
    /// Never empty, the newest last.
    keys: Vec<(String, Key)>,
}

impl Ring {
    /// Reads the file; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be read, others may read it, or there is something else in it.
    pub fn read(path: &Path) -> Result<Option<Ring>, KeyError> {
        let failed = |source| KeyError::File { what: "read", path: path.to_owned(), source };
        let file = match File::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        let mode = file.metadata().map_err(failed)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::TooOpen { path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES as usize));
        file.take(MAX_BYTES).read_to_string(&mut text).map_err(failed)?;
        let mut keys = Vec::new();
        for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let key = line.split_once(' ').filter(|(id, _)| is_id(id)).and_then(|(id, key)| {
                let bytes = Zeroizing::new(STANDARD.decode(key.trim()).ok()?);
                Some((id.to_owned(), Key::from_slice(&bytes)?))
            });
            keys.push(key.ok_or_else(|| KeyError::Malformed { path: path.to_owned(), line: n + 1 })?);
        }
        if keys.is_empty() {
            return Err(KeyError::Malformed { path: path.to_owned(), line: 1 });
        }
        Ok(Some(Ring { path: path.to_owned(), keys }))
    }

    /// Makes the file with a first key, and its directory.
    ///
    /// # Errors
    /// There is one already, or it cannot be written.
    pub fn create(path: &Path) -> Result<Ring, KeyError> {
        let failed = |source| KeyError::File { what: "make", path: path.to_owned(), source };
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        }
        let ring = Ring { path: path.to_owned(), keys: vec![new_key()?] };
        ring.write(RenameFlags::RENAME_NOREPLACE)?;
        Ok(ring)
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The key that new data keys are sealed with.
    pub fn newest(&self) -> (&str, &Key) {
        let (id, key) = self.keys.last().expect("a ring has a key");
        (id, key)
    }

    /// The ids, the newest last.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(id, _)| &**id)
    }

    /// The key of that id. One that is not known yet may have been added since: the file is read again.
    ///
    /// # Errors
    /// It is not there, or the file cannot be read any more.
    pub fn get(&mut self, id: &str) -> Result<&Key, KeyError> {
        if !self.ids().any(|known| known == id) {
            *self = Ring::read(&self.path)?.ok_or_else(|| KeyError::Missing { path: self.path.clone(), id: id.to_owned() })?;
        }
        let key = self.keys.iter().find(|(known, _)| known == id).map(|(_, key)| key);
        key.ok_or_else(|| KeyError::Unknown { path: self.path.clone(), id: id.to_owned() })
    }

    /// Adds a new key to the file.
    ///
    /// # Errors
    /// There are too many, or it cannot be written.
    pub fn add(&mut self) -> Result<(), KeyError> {
        if self.keys.len() >= MAX_KEYS {
            return Err(KeyError::TooMany { path: self.path.clone(), most: MAX_KEYS });
        }
        self.keys.push(new_key()?);
        self.write(RenameFlags::empty())
    }

    /// Takes keys out of the file, for good. The newest stays.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn forget(&mut self, old: &[String]) -> Result<(), KeyError> {
        let newest = self.newest().0.to_owned();
        self.keys.retain(|(id, _)| *id == newest || !old.contains(id));
        self.write(RenameFlags::empty())
    }

    fn write(&self, flags: RenameFlags) -> Result<(), KeyError> {
        let failed = |source| KeyError::File { what: "write", path: self.path.clone(), source };
        let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES as usize));
        text.push_str(HEAD);
        for (id, key) in &self.keys {
            text.push_str(id);
            text.push(' ');
            STANDARD.encode_string(key.as_bytes(), &mut text);
            text.push('\n');
        }
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let temporary = self.path.with_file_name(name);
        // Of a writer that was ended half-way: its keys are to be nowhere either.
        match std::fs::remove_file(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
        let written = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            // Root may write it for a daemon that runs as somebody else, who must be able to read it still.
            if let Ok(before) = std::fs::metadata(&self.path)
                && file.metadata().is_ok_and(|ours| (ours.uid(), ours.gid()) != (before.uid(), before.gid()))
            {
                std::os::unix::fs::fchown(&file, Some(before.uid()), Some(before.gid()))?;
            }
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            renameat2(AT_FDCWD, &temporary, AT_FDCWD, &self.path, flags)?;
            let dir = self.path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(dir)?.sync_all()
        };
        written().map_err(failed)
    }
}

fn new_key() -> Result<(String, Key), KeyError> {
    Ok((random::hex(8).map_err(KeyError::Chance)?, Key::new()?))
}

fn is_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn keys_are_kept_in_a_file_that_only_its_owner_may_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys/master.key");
        assert!(Ring::read(&path).unwrap().is_none());
        let mut ring = Ring::create(&path).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert!(matches!(Ring::create(&path), Err(KeyError::File { .. })), "one that is there is not replaced");
        let first = ring.newest().0.to_owned();
        // Another process that has read it before it changes.
        let mut other = Ring::read(&path).unwrap().unwrap();
        ring.add().unwrap();
        let second = ring.newest().0.to_owned();
        assert!(other.get(&second).unwrap() == ring.newest().1, "it is read again");
        assert_eq!(other.ids().collect::<Vec<_>>(), [&*first, &*second]);
        ring.forget(&[first.clone(), second.clone()]).unwrap();
        let mut now = Ring::read(&path).unwrap().unwrap();
        assert_eq!(now.ids().collect::<Vec<_>>(), [&*second], "the newest stays");
        assert!(matches!(now.get(&first), Err(KeyError::Unknown { id, .. }) if id == first));
        assert!(other.get(&first).is_ok(), "who still has it, has it");
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(now.get(&first), Err(KeyError::Missing { .. })));
    }

    #[test]
    fn a_file_that_others_may_read_or_that_holds_something_else_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        Ring::create(&path).unwrap();
        for (mode, open) in [(0o640, true), (0o604, true), (0o620, true), (0o600, false), (0o400, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(matches!(Ring::read(&path), Err(KeyError::TooOpen { .. })), open, "{mode:o}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        for text in ["", "# nothing\n", "0123456789abcdef c2hvcnQ=\n", "x AAAA\n", "\u{0}"] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(Ring::read(&path), Err(KeyError::Malformed { line: 1, .. })), "{text:?}");
        }
    }
}
