//! Names of files: glob patterns, and what rotation makes of a name. Pure apart from [`Pattern::expand`], which lists directories.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How deep `**` descends.
const MAX_DEPTH: usize = 16;

/// A glob over paths: `*`, `?` and `[a-z]` (`[!a-z]`) within a name, `**` for any number of directories.
/// As in a shell, a wildcard at the start of a name does not match a dot.
#[derive(Debug, Clone)]
pub struct Pattern {
    root: PathBuf,
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    Literal(String),
    Wild(String),
    AnyDirectories,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// The text says why it is none: empty, or a `[` that is not closed.
    pub fn parse(text: &str) -> Result<Pattern, &'static str> {
        if text.is_empty() || text.ends_with('/') {
            return Err("it names no file");
        }
        let root = PathBuf::from(if text.starts_with('/') { "/" } else { "." });
        let mut parts = Vec::new();
        for name in text.split('/').filter(|n| !n.is_empty() && *n != ".") {
            parts.push(match name {
                "**" => Part::AnyDirectories,
                n if n.contains(['*', '?', '[']) => {
                    if matches(n.as_bytes(), b"").is_none() {
                        return Err("a [ is not closed");
                    }
                    Part::Wild(n.to_owned())
                }
                n => Part::Literal(n.to_owned()),
            });
        }
        match parts.last() {
            Some(Part::AnyDirectories) | None => Err("it names no file"),
            Some(_) => Ok(Pattern { root, parts }),
        }
    }

    /// Adds what it leads to.
    pub fn expand(&self, found: &mut Found) {
        walk(&self.root, &self.parts, MAX_DEPTH, found);
    }
}

/// What patterns lead to.
#[derive(Debug, Default)]
pub struct Found {
    /// Paths that match, and exist.
    pub paths: BTreeSet<PathBuf>,
    /// Every directory in which a match may appear.
    pub directories: BTreeSet<PathBuf>,
    /// What could not be looked at: there may be more.
    pub refused: Vec<(PathBuf, io::Error)>,
}

impl Found {
    /// The names in a directory that are to be kept.
    fn list(&mut self, dir: &Path, keep: impl Fn(&OsStr) -> bool) -> Vec<OsString> {
        let kept = |name: &io::Result<OsString>| name.as_ref().map_or(true, |name| keep(name));
        let names = list(dir).and_then(|names| names.filter(kept).collect());
        names.unwrap_or_else(|error| {
            self.refused.push((dir.to_owned(), error));
            Vec::new()
        })
    }
}

fn walk(dir: &Path, parts: &[Part], depth: usize, found: &mut Found) {
    let Some((part, rest)) = parts.split_first() else { return };
    if rest.is_empty() {
        found.directories.insert(dir.to_owned());
    }
    match part {
        Part::Literal(name) => {
            let path = dir.join(name);
            match path.symlink_metadata() {
                Ok(_) if rest.is_empty() => drop(found.paths.insert(path)),
                Ok(_) => walk(&path, rest, depth, found),
                Err(error) if is_nowhere(&error) => {}
                Err(error) => found.refused.push((path, error)),
            }
        }
        Part::Wild(pattern) => {
            found.directories.insert(dir.to_owned());
            for name in found.list(dir, |name| matches(pattern.as_bytes(), name.as_bytes()) == Some(true)) {
                let path = dir.join(name);
                if rest.is_empty() {
                    found.paths.insert(path);
                } else if path.is_dir() {
                    walk(&path, rest, depth, found);
                }
            }
        }
        Part::AnyDirectories => {
            found.directories.insert(dir.to_owned());
            walk(dir, rest, depth, found);
            if depth == 0 {
                return;
            }
            for name in found.list(dir, |name| !name.as_bytes().starts_with(b".")) {
                let path = dir.join(&name);
                // Links to directories are not followed: they can lead in circles.
                if path.symlink_metadata().is_ok_and(|m| m.is_dir()) {
                    walk(&path, parts, depth - 1, found);
                }
            }
        }
    }
}

/// The names in a directory; none where there is no directory.
///
/// # Errors
/// It cannot be listed, which says nothing of what is in it.
pub fn list(dir: &Path) -> io::Result<impl Iterator<Item = io::Result<OsString>>> {
    super::meanwhile();
    super::descriptor()?;
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => Some(entries),
        Err(error) if is_nowhere(&error) => None,
        Err(error) => return Err(error),
    };
    Ok(entries.into_iter().flatten().map(|entry| Ok(entry?.file_name())))
}

fn is_nowhere(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Whether a name matches a pattern without slashes; `None` where the pattern has an unclosed `[`.
fn matches(pattern: &[u8], name: &[u8]) -> Option<bool> {
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') {
        return Some(false);
    }
    let (mut p, mut n) = (0, 0);
    // Where to go on when what follows the last `*` does not match: one byte of the name later.
    let mut star: Option<(usize, usize)> = None;
    // An unclosed bracket is refused wherever it stands, so that validity does not depend on the name.
    let mut at = 0;
    while at < pattern.len() {
        at = if pattern[at] == b'[' { class(&pattern[at..], 0)?.1 + at } else { at + 1 };
    }
    loop {
        let step = match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, n));
                p += 1;
                continue;
            }
            None if n == name.len() => return Some(true),
            Some(_) if n == name.len() => None,
            Some(b'?') => Some(1),
            Some(b'[') => class(&pattern[p..], name[n]).and_then(|(hit, len)| hit.then_some(len)),
            Some(byte) => (*byte == name[n]).then_some(1),
            None => None,
        };
        match (step, star) {
            (Some(len), _) => (p, n) = (p + len, n + 1),
            (None, Some((after, from))) if from < name.len() => {
                star = Some((after, from + 1));
                (p, n) = (after, from + 1);
            }
            (None, _) => return Some(false),
        }
    }
}

/// Whether a byte is in the bracket class that `pattern` starts with, and the length of the class.
fn class(pattern: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let first = if negated { 2 } else { 1 };
    // A `]` that comes first is a member.
    let end = first + 1 + pattern.get(first + 1..)?.iter().position(|b| *b == b']')?;
    let (mut i, mut hit) = (first, false);
    while i < end {
        if i + 2 < end && pattern[i + 1] == b'-' {
            hit |= (pattern[i]..=pattern[i + 2]).contains(&byte);
            i += 3;
        } else {
            hit |= pattern[i] == byte;
            i += 1;
        }
    }
    Some((hit != negated, end + 1))
}

/// Whether the name says that the content is gzip.
pub fn is_gzip(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz"))
}

/// Whether the name says that the content is compressed in a way that is not read here.
pub fn is_opaque(path: &Path) -> bool {
    const OTHERS: [&str; 9] = ["xz", "zst", "bz2", "z", "lz4", "lzma", "zip", "7z", "br"];
    path.extension().and_then(OsStr::to_str).is_some_and(|e| OTHERS.iter().any(|o| e.eq_ignore_ascii_case(o)))
}

/// Whether `name` is what a rotation makes of `base`: `auth.log` → `auth.log.1`, `auth.log-20260101`, `auth.log.2.gz`, `auth.log.old`,
/// and, with the number before the extension, `auth-20260101.log` (logrotate's `extension`).
pub fn is_rotation(name: &OsStr, base: &OsStr) -> bool {
    let (name, base) = (plain(name.as_bytes()), base.as_bytes());
    let numbered = |middle: &[u8]| match middle.split_first() {
        Some((b'.' | b'-' | b'_', rest)) => {
            rest == b"old"
                || (rest.first().is_some_and(u8::is_ascii_digit)
                    && rest.iter().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_' | b'T' | b'Z' | b':')))
        }
        _ => false,
    };
    if name.strip_prefix(base).is_some_and(numbered) {
        return true;
    }
    let (stem, extension) = base.split_at(stem_len(base));
    !extension.is_empty() && name.strip_prefix(stem).and_then(|m| m.strip_suffix(extension)).is_some_and(numbered)
}

/// Whether `name` may be a copy of the file called `base`: the name with something appended, or a rotation of it.
pub fn is_derived(name: &OsStr, base: &OsStr) -> bool {
    (name.len() > base.len() && name.as_bytes().starts_with(base.as_bytes())) || is_rotation(name, base)
}

/// The name without `.gz` and without a trailing number or date: `auth.log.2.gz` → `auth.log`.
pub fn base(name: &OsStr) -> &[u8] {
    let plain = plain(name.as_bytes());
    let end = plain.iter().rposition(|b| !b.is_ascii_digit() && !matches!(b, b'.' | b'-' | b'_')).map_or(0, |i| i + 1);
    let suffix = &plain[end..];
    let numbered = matches!(suffix.first(), Some(b'.' | b'-' | b'_')) && suffix.iter().any(u8::is_ascii_digit);
    if end > 0 && numbered { &plain[..end] } else { plain }
}

/// The names of which rotation may have made `name`: [`is_rotation`] read backwards.
pub fn rotated_from(name: &OsStr) -> Vec<Vec<u8>> {
    let plain = plain(name.as_bytes());
    let (stem, extension) = plain.split_at(stem_len(plain));
    let mut bases = Vec::new();
    for (whole, suffix) in [(plain, &b""[..]), (stem, extension)] {
        for end in (1..whole.len()).filter(|i| matches!(whole[*i], b'.' | b'-' | b'_')) {
            let candidate = [&whole[..end], suffix].concat();
            if !bases.contains(&candidate) && is_rotation(name, OsStr::from_bytes(&candidate)) {
                bases.push(candidate);
            }
        }
    }
    bases
}

/// The name without `.gz`.
pub fn plain(name: &[u8]) -> &[u8] {
    let end = name.len().saturating_sub(3);
    if end > 0 && name[end..].eq_ignore_ascii_case(b".gz") { &name[..end] } else { name }
}

fn stem_len(name: &[u8]) -> usize {
    match name.iter().rposition(|b| *b == b'.') {
        Some(dot) if dot > 0 => dot,
        _ => name.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_in_a_shell() {
        let table = [
            ("auth.log*", "auth.log", true),
            ("auth.log*", "auth.log.1.gz", true),
            ("*.log", ".log", false),
            (".*", ".log", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b", "xxaxxab", true),
            ("*a*b", "xxaxxa", false),
            ("[a-c]x[!0-9]", "bxz", true),
            ("[a-c]x[!0-9]", "bx5", false),
            ("[]x]", "]", true),
            ("", "", true),
        ];
        for (pattern, name, want) in table {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), Some(want), "{pattern} {name}");
        }
        assert_eq!(matches(b"a[b", b"x"), None);
        assert!(Pattern::parse("/var/log/[x").is_err());
        assert!(Pattern::parse("/var/log/").is_err());
        assert!(Pattern::parse("/var/log/**").is_err());
    }

    #[test]
    fn a_pattern_finds_files_below_directories() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["a/x.log", "a/b/y.log", "a/b/z.txt", "c/x.log"] {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let expand = |pattern: &str| {
            let mut found = Found::default();
            Pattern::parse(&format!("{}/{pattern}", dir.path().display())).unwrap().expand(&mut found);
            assert!(found.refused.is_empty());
            let relative = |p: &PathBuf| p.strip_prefix(dir.path()).unwrap().to_str().unwrap().to_owned();
            found.paths.iter().map(relative).collect::<Vec<_>>()
        };
        assert_eq!(expand("*/x.log"), ["a/x.log", "c/x.log"]);
        assert_eq!(expand("**/*.log"), ["a/b/y.log", "a/x.log", "c/x.log"]);
        assert_eq!(expand("a/b/z.txt"), ["a/b/z.txt"]);
        assert!(expand("none/*").is_empty());
    }

    #[test]
    fn rotated_names_belong_to_their_file() {
        for name in
            ["auth.log.1", "auth.log.12.gz", "auth.log-20260101", "auth.log-20260101-12", "auth-20260101.log", "auth.log.old"]
        {
            assert!(is_rotation(OsStr::new(name), OsStr::new("auth.log")), "{name}");
            assert!(rotated_from(OsStr::new(name)).contains(&b"auth.log".to_vec()), "{name}");
        }
        for name in ["auth.log", "auth.log.gz", "auth.log.swp", "auth.log.1.tmp", "authpriv.log", "auth2.log"] {
            assert!(!is_rotation(OsStr::new(name), OsStr::new("auth.log")), "{name}");
        }
        assert_eq!(base(OsStr::new("auth.log.2.gz")), b"auth.log");
        assert_eq!(base(OsStr::new("syslog-20260101")), b"syslog");
        assert_eq!(base(OsStr::new("12345")), b"12345");
        assert_eq!(base(OsStr::new("worker1")), b"worker1");
        assert!(is_derived(OsStr::new("auth.log.1.gz"), OsStr::new("auth.log.1")));
        assert!(!is_derived(OsStr::new("b.log"), OsStr::new("a.log")));
    }
}
