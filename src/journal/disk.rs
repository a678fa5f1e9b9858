//! What the journal asks of a disk, and the real one. The other implementation is a model that fails and crashes from a seed; it
//! lives with the tests, in `simulation/disk.rs`.

use std::fmt::Debug;
use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A directory of files, which all of the journal's state is. Names carry no path.
///
/// What is written to a file survives a power cut only after its `sync_data` or `sync_all`; that a file was created, renamed or
/// removed, only after [`Disk::sync`]. After an error nothing is known about what was attempted.
pub trait Disk: Debug + Send + Sync {
    /// Makes the directory, if it is missing.
    fn make(&self) -> io::Result<()>;

    /// Its files, in any order: name and length in bytes.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;

    /// A new file, to be written; fails if there is one of that name.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// A file that is there.
    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name, in place of whichever file had that.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Removes a file, unless it is gone already.
    fn remove_if_there(&self, name: &str) -> io::Result<()> {
        match self.remove(name) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Makes what was created, renamed and removed survive a power cut.
    fn sync(&self) -> io::Result<()>;
}

/// What an opened file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To be read.
    Read,
    /// To be cut to a length.
    Write,
}

/// An open file of a [`Disk`].
pub trait DiskFile: Debug + Send {
    /// Reads from the place `at` on; returns how many bytes there were, 0 at the end of the file.
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize>;

    /// Writes behind what was written before; returns how many of the bytes were taken.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Makes what was written survive a power cut, with the length that it takes to read it.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes what was written, and any change of the length, survive a power cut.
    fn sync_all(&self) -> io::Result<()>;

    /// Cuts the file to that many bytes.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// Writes all of the bytes; after an error, any number of them.
    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => bytes = &bytes[n..],
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Replaces what is in `out` with up to `length` bytes of the file, fewer where it ends; after an error, with nothing.
    fn read_up_to(&self, out: &mut Vec<u8>, at: u64, length: usize) -> io::Result<()> {
        out.resize(length, 0);
        let mut done = 0;
        while done < length {
            match self.read_at(&mut out[done..], at + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    out.clear();
                    return Err(e);
                }
            }
        }
        out.truncate(done);
        Ok(())
    }
}

/// A directory of a real disk.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// The directory of that path, which need not be there yet.
    pub fn new(path: &Path) -> Directory {
        Directory { path: path.to_owned() }
    }
}

impl Disk for Directory {
    fn make(&self) -> io::Result<()> {
        let missing = |dir: &&Path| !dir.as_os_str().is_empty() && !dir.exists();
        let made: Vec<&Path> = self.path.ancestors().take_while(missing).collect();
        // Log lines are nobody else's business.
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        std::fs::set_permissions(&self.path, Permissions::from_mode(0o700))?;
        for parent in made.into_iter().filter_map(Path::parent) {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            File::open(parent)?.sync_all()?;
        }
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            match entry.metadata() {
                Ok(meta) if meta.is_file() => found.push((name, meta.len())),
                Ok(_) => {}
                // Released while we were looking.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        Ok(found)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File::options().write(true).create_new(true).open(self.path.join(name))?))
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let write = access == Access::Write;
        Ok(Box::new(File::options().read(!write).write(write).open(self.path.join(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl DiskFile for File {
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        FileExt::read_at(self, into, at)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(self, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn sync_all(&self) -> io::Result<()> {
        File::sync_all(self)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        File::set_len(self, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_made_with_its_parents_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let disk = Directory::new(&path);
        disk.make().unwrap();
        disk.make().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_file_is_written_in_order_cut_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Directory::new(dir.path());
        let mut file = disk.create("new").unwrap();
        file.write_all(b"one ").unwrap();
        file.write_all(b"two three").unwrap();
        assert_eq!(disk.create("new").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        disk.open("new", Access::Write).unwrap().set_len(7).unwrap();
        disk.rename("new", "file").unwrap();
        disk.sync().unwrap();
        assert_eq!(disk.list().unwrap(), [("file".to_owned(), 7)]);
        let mut out = vec![0; 3];
        disk.open("file", Access::Read).unwrap().read_up_to(&mut out, 2, 100).unwrap();
        assert_eq!(out, b"e two");
        disk.remove("file").unwrap();
        assert_eq!(disk.open("file", Access::Read).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
