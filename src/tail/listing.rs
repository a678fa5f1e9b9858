//! What stands in directories now.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::fingerprint::{Ident, Stat};
use super::names::{self, Found, Pattern};

/// Names looked at in one directory.
const MAX_NAMES: usize = 50_000;

/// How often a directory is listed in one look until it stands still.
const MAX_LISTS: usize = 8;

/// A regular file.
#[derive(Debug, Clone)]
pub struct Entry {
    /// As the configuration leads to it.
    pub path: PathBuf,
    /// The path without symbolic links.
    pub real: PathBuf,
    /// Its inode.
    pub ident: Ident,
    /// Its state.
    pub stat: Stat,
    /// The name says that it is compressed.
    pub gzip: bool,
}

/// Why a path is no [`Entry`].
#[derive(Debug)]
pub enum Skipped {
    /// It vanished, as files do.
    Vanished,
    /// A link that leads nowhere.
    Dangling,
    /// A directory, a FIFO or the like, or compressed in a way that is not read.
    Kind(&'static str),
    /// What a link leads to cannot be looked at.
    Target(io::Error),
    /// The system refused.
    Io(io::Error),
}

/// Looks at one path.
pub fn entry(path: PathBuf) -> Result<Entry, Skipped> {
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => Skipped::Vanished,
        _ => Skipped::Io(e),
    };
    super::meanwhile();
    let mut meta = path.symlink_metadata().map_err(failed)?;
    let mut real = path.clone();
    if meta.is_symlink() {
        let dangling = |e: io::Error| match e.kind() {
            io::ErrorKind::NotFound => Skipped::Dangling,
            _ => Skipped::Target(e),
        };
        real = path.canonicalize().map_err(dangling)?;
        meta = real.metadata().map_err(dangling)?;
    }
    if meta.is_dir() {
        return Err(Skipped::Kind("a directory"));
    }
    if !meta.is_file() {
        return Err(Skipped::Kind("not a regular file"));
    }
    if names::is_opaque(&real) {
        return Err(Skipped::Kind("compressed, and only gzip is read"));
    }
    let gzip = names::is_gzip(&real);
    Ok(Entry { path, real, ident: Ident::of(&meta), stat: Stat::of(&meta), gzip })
}

/// What the patterns lead to.
pub fn expand(patterns: &[Pattern]) -> Found {
    let mut found = Found::default();
    patterns.iter().for_each(|pattern| pattern.expand(&mut found));
    found
}

/// The file at each path, each file once. Paths that are skipped go to `skipped`.
pub fn entries(paths: BTreeSet<PathBuf>, skipped: &mut dyn FnMut(PathBuf, Skipped)) -> Vec<Entry> {
    let mut known: HashSet<Ident> = HashSet::new();
    let mut entries = Vec::new();
    for path in paths {
        match entry(path.clone()) {
            Ok(found) if known.insert(found.ident) => entries.push(found),
            Ok(_) => {}
            Err(why) => skipped(path, why),
        }
    }
    entries
}

/// Directories that were listed for one look around.
#[derive(Debug, Default)]
pub struct Listing {
    directories: HashMap<PathBuf, Rc<Directory>>,
    /// What could not be looked at.
    pub refused: Vec<(PathBuf, io::Error)>,
}

/// One directory's files.
#[derive(Debug, Default)]
pub struct Directory {
    /// In no order.
    pub entries: Vec<Entry>,
    /// Two lists were the same.
    is_steady: bool,
    /// A name was listed and its file was gone a moment later.
    lost_one: bool,
    /// It, or a file in it, could not be looked at: nothing is known of what is missing here.
    is_refused: bool,
    by_ident: HashMap<Ident, usize>,
    /// Files with a number or date in their name, by the name that it was added to.
    by_base: HashMap<Vec<u8>, Vec<usize>>,
}

impl Directory {
    /// The file with that inode.
    pub fn with_ident(&self, ident: &Ident) -> Option<&Entry> {
        self.by_ident.get(ident).map(|i| &self.entries[*i])
    }

    /// The files that rotation may have made of the one called `name`.
    pub fn rotations(&self, name: &OsStr) -> impl Iterator<Item = &Entry> {
        self.by_base.get(name.as_bytes()).into_iter().flatten().map(|i| &self.entries[*i])
    }

    fn list(dir: &Path, refused: &mut Vec<(PathBuf, io::Error)>) -> Directory {
        let mut directory = Directory::default();
        let names = names::list(dir).and_then(|names| names.take(MAX_NAMES).collect::<io::Result<Vec<_>>>());
        let names = names.unwrap_or_else(|error| {
            // Where a directory may be entered and not listed, files are known by the paths that lead to them, and by no other name.
            let is_unlisted = error.kind() == io::ErrorKind::PermissionDenied && dir.join(".").symlink_metadata().is_ok();
            directory.is_refused = !is_unlisted;
            refused.push((dir.to_owned(), error));
            Vec::new()
        });
        for name in names {
            // Links are left out: they give no file a new name.
            match entry(dir.join(&name)) {
                Ok(entry) if entry.real == entry.path => directory.add(entry),
                Err(Skipped::Vanished) => directory.lost_one = true,
                Err(Skipped::Io(error)) => {
                    refused.push((dir.join(name), error));
                    directory.is_refused = true;
                }
                Ok(_) | Err(_) => {}
            }
        }
        directory
    }

    fn names(&self) -> HashMap<&Path, Ident> {
        self.entries.iter().map(|e| (e.real.as_path(), e.ident)).collect()
    }

    fn add(&mut self, entry: Entry) {
        let i = self.entries.len();
        if let Some(name) = entry.path.file_name() {
            for base in names::rotated_from(name) {
                self.by_base.entry(base).or_default().push(i);
            }
        }
        self.by_ident.insert(entry.ident, i);
        self.entries.push(entry);
    }
}

impl Listing {
    /// The directory that `path` is in. A file that is renamed at this moment may be missing.
    pub fn around(&mut self, path: &Path) -> Rc<Directory> {
        let dir = path.parent().unwrap_or(Path::new("."));
        if let Some(known) = self.directories.get(dir) {
            return Rc::clone(known);
        }
        let directory = Rc::new(Directory::list(dir, &mut self.refused));
        self.directories.insert(dir.to_owned(), Rc::clone(&directory));
        directory
    }

    /// Whether the directory that `path` is in could not be listed, or not as a whole.
    pub fn is_refused(&mut self, path: &Path) -> bool {
        self.around(path).is_refused
    }

    /// The same, listed until two lists are the same, so that no file is missing. `None` where names do not stop changing, or it is
    /// refused.
    pub fn steady_around(&mut self, path: &Path) -> Option<Rc<Directory>> {
        let dir = path.parent().unwrap_or(Path::new("."));
        let mut last = self.around(path);
        for _ in 0..MAX_LISTS {
            if last.is_steady {
                return Some(last);
            }
            if last.is_refused {
                return None;
            }
            let mut now = Directory::list(dir, &mut self.refused);
            now.is_steady = !now.lost_one && !now.is_refused && now.names() == last.names();
            last = Rc::new(now);
            self.directories.insert(dir.to_owned(), Rc::clone(&last));
        }
        last.is_steady.then_some(last)
    }
}
