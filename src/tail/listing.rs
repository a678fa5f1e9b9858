//! What stands in directories now.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::fingerprint::{Ident, Stat};
use super::names::{self, Pattern};

/// Names looked at in one directory.
const MAX_NAMES: usize = 50_000;

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
    /// A directory, a FIFO or the like, or compressed in a way that is not read.
    Kind(&'static str),
    /// The system refused.
    Io(std::io::Error),
}

/// Looks at one path.
pub fn entry(path: PathBuf) -> Result<Entry, Skipped> {
    let failed = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => Skipped::Vanished,
        _ => Skipped::Io(e),
    };
    super::meanwhile();
    let mut meta = path.symlink_metadata().map_err(failed)?;
    let mut real = path.clone();
    if meta.is_symlink() {
        real = path.canonicalize().map_err(failed)?;
        meta = real.metadata().map_err(failed)?;
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

/// Each file that the patterns lead to, once, and the directories to watch. Paths that are skipped go to `skipped`.
pub fn expand(patterns: &[Pattern], skipped: &mut dyn FnMut(PathBuf, Skipped)) -> (Vec<Entry>, BTreeSet<PathBuf>) {
    let (mut paths, mut directories) = (BTreeSet::new(), BTreeSet::new());
    for pattern in patterns {
        pattern.expand(&mut directories, &mut |path| {
            paths.insert(path);
        });
    }
    let mut known: HashSet<Ident> = HashSet::new();
    let mut entries = Vec::new();
    for path in paths {
        match entry(path.clone()) {
            Ok(found) => {
                if let Some(parent) = found.real.parent() {
                    directories.insert(parent.to_owned());
                }
                if known.insert(found.ident) {
                    entries.push(found);
                }
            }
            Err(why) => skipped(path, why),
        }
    }
    (entries, directories)
}

/// Directories that were listed for one look around.
#[derive(Debug, Default)]
pub struct Listing {
    directories: HashMap<PathBuf, Rc<Directory>>,
}

/// One directory's files.
#[derive(Debug, Default)]
pub struct Directory {
    /// In no order.
    pub entries: Vec<Entry>,
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
    /// The directory that `path` is in.
    pub fn around(&mut self, path: &Path) -> Rc<Directory> {
        let dir = path.parent().unwrap_or(Path::new("."));
        if let Some(known) = self.directories.get(dir) {
            return Rc::clone(known);
        }
        let mut directory = Directory::default();
        for name in names::list(dir).take(MAX_NAMES) {
            // Links are left out: they give no file a new name.
            if let Ok(entry) = entry(dir.join(name))
                && entry.real == entry.path
            {
                directory.add(entry);
            }
        }
        let directory = Rc::new(directory);
        self.directories.insert(dir.to_owned(), Rc::clone(&directory));
        directory
    }
}
