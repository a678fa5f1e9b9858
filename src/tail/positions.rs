//! What is kept of a file between runs, beside the number of its position.

use serde::{Deserialize, Serialize};

use super::file::Followed;
use super::fingerprint::{Ident, Prefixes, Print};

/// `positions.detail` of a file. Hashes are hexadecimal; times are nanoseconds since 1970.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Detail {
    /// The path under which the file was first found.
    pub path: String,
    /// Where its content was last.
    pub real: String,
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Time of birth.
    pub born: Option<u64>,
    /// Whether the content is compressed; the position is one in the decompressed stream.
    pub gzip: bool,
    /// Size in bytes when it was last looked at.
    pub size: u64,
    /// Time of its last modification.
    pub mtime: i64,
    /// Rotated neighbours of `path` that were modified then, or before, are older than the first look at it.
    pub since: i64,
    /// And those that were modified at these times.
    #[serde(default)]
    pub elders: Vec<i64>,
    /// Bytes that `fingerprint` covers.
    pub fingerprint_len: u32,
    /// Hash of the first bytes.
    pub fingerprint: String,
    /// Lengths and hashes of the content up to the end of each of its first lines.
    pub prefixes: Vec<(u32, String)>,
    /// Bytes before the position that `mark` covers.
    pub mark_len: u32,
    /// Hash of the bytes before the position.
    pub mark: String,
}

impl Detail {
    /// Of a file as it is now.
    pub fn new(file: &Followed) -> Detail {
        Detail {
            path: file.path.to_string_lossy().into_owned(),
            real: file.real.to_string_lossy().into_owned(),
            dev: file.ident.dev,
            ino: file.ident.ino,
            born: file.ident.born,
            gzip: file.gzip,
            size: file.stat.size,
            mtime: file.stat.mtime,
            since: file.elders.until,
            elders: file.elders.times.clone(),
            fingerprint_len: file.print.head_len,
            fingerprint: format!("{:032x}", file.print.head),
            prefixes: file.prefixes.0.iter().map(|(len, print)| (*len, format!("{print:032x}"))).collect(),
            mark_len: file.print.mark_len,
            mark: format!("{:032x}", file.print.mark),
        }
    }

    /// The inode.
    pub fn ident(&self) -> Ident {
        Ident { dev: self.dev, ino: self.ino, born: self.born }
    }

    /// The hashes of the first lines, up to the first that is none.
    pub fn prefixes(&self) -> Prefixes {
        let hash = |(len, text): &(u32, String)| Some((*len, u128::from_str_radix(text, 16).ok()?));
        Prefixes(self.prefixes.iter().take(Prefixes::MAX).map_while(hash).collect())
    }

    /// The fingerprint; `None` where the hashes are none.
    pub fn print(&self) -> Option<Print> {
        let hash = |text: &str| u128::from_str_radix(text, 16).ok();
        Some(Print {
            head_len: self.fingerprint_len,
            head: hash(&self.fingerprint)?,
            mark_len: self.mark_len,
            mark: hash(&self.mark)?,
        })
    }
}
