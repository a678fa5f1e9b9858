//! The file of a backup: what it holds as a line of JSON, then what `pg_dump` wrote, all of it encrypted with age (age-encryption.org/v1):
//! `age -d FILE | tail -n +2 | pg_restore …` opens it without us.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use age::secrecy::{ExposeSecret as _, SecretString};
use age::stream::StreamWriter;
use age::{Decryptor, Encryptor, IdentityFile};

use crate::casework::CaseworkError;
use crate::record::Timestamp;
use crate::store::StoreError;
use crate::store::dump::Contents;

/// The version of this layout.
pub(super) const FORMAT: u32 = 1;
/// The line of JSON has no more bytes: names of a century's partitions.
const MAX_MANIFEST_BYTES: u64 = 16 << 20;

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Manifest {
    /// Version of the layout of the file.
    pub format: u32,
    /// Version of tocsin that made it.
    pub tocsin: String,
    /// Version of the server that it is from.
    pub postgresql: String,
    /// As of when it is.
    pub created_at: Timestamp,
    /// What is in it.
    pub contents: Contents,
    /// The file of the master keys, unless it is kept elsewhere.
    pub keys: Option<String>,
}

/// Who can make and read backups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// Public keys, `age1…`, whose holders can read them.
    pub recipients: Vec<String>,
    /// Or a file with a passphrase.
    pub passphrase_file: Option<PathBuf>,
    /// File of private keys, `AGE-SECRET-KEY-1…`: needed only to read them.
    pub identity_file: Option<PathBuf>,
}

/// What encrypts.
pub(super) struct Sealer(Encryptor);

impl Lock {
    /// Whether backups can be made.
    pub fn is_set(&self) -> bool {
        !self.recipients.is_empty() || self.passphrase_file.is_some()
    }

    pub(super) fn sealer(&self) -> Result<Sealer, CaseworkError> {
        if let Some(path) = &self.passphrase_file {
            return Ok(Sealer(Encryptor::with_user_passphrase(passphrase(path)?)));
        }
        let parse = |text: &String| -> Result<age::x25519::Recipient, CaseworkError> {
            text.parse().map_err(|why| CaseworkError::invalid("backup.recipients", format!("{text:?} is no age1… key: {why}")))
        };
        let recipients: Vec<age::x25519::Recipient> = self.recipients.iter().map(parse).collect::<Result<_, _>>()?;
        Encryptor::with_recipients(recipients.iter().map(|r| r as &dyn age::Recipient)).map(Sealer).map_err(|_| {
            let problem = "backups are encrypted, and nobody is named who can read them: \"tocsin backup key FILE\" makes a key and says what to configure";
            CaseworkError::invalid("backup.recipients", problem)
        })
    }

    /// Opens a backup: what it says of itself, and the dump behind it. Whoever reads the dump to its end knows that nobody has changed it.
    ///
    /// # Errors
    /// There is none; it is none of ours; it is encrypted for somebody else.
    pub fn open(&self, path: &Path) -> Result<(Manifest, impl io::Read + use<>), CaseworkError> {
        let disk = |source| StoreError::Disk { what: "open the backup", path: path.to_owned(), source };
        let file = BufReader::new(File::open(path).map_err(disk)?);
        let decryptor = Decryptor::new_buffered(file).map_err(|e| damaged(path, io::Error::other(e)))?;
        let opened = if decryptor.is_scrypt() {
            let Some(path) = &self.passphrase_file else {
                return Err(CaseworkError::invalid("backup.passphrase_file", "is needed to read this backup"));
            };
            let identity = age::scrypt::Identity::new(passphrase(path)?);
            decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity))
        } else {
            let identities = self.identities()?;
            decryptor.decrypt(identities.iter().map(|identity| &**identity))
        };
        let opened = opened.map_err(|e| match e {
            age::DecryptError::NoMatchingKeys | age::DecryptError::DecryptionFailed => CaseworkError::Conflict(format!(
                "{} cannot be read with this key: it is encrypted for another one",
                path.display()
            )),
            other => damaged(path, io::Error::other(other)),
        })?;
        let mut dump = BufReader::with_capacity(256 << 10, opened);
        let mut line = Vec::new();
        (&mut dump).take(MAX_MANIFEST_BYTES).read_until(b'\n', &mut line).map_err(|e| damaged(path, e))?;
        let manifest: Manifest = serde_json::from_slice(&line).map_err(|e| damaged(path, e.into()))?;
        if manifest.format != FORMAT {
            let problem =
                format!("{} has layout {}, of a later tocsin; this one knows layout {FORMAT}", path.display(), manifest.format);
            return Err(CaseworkError::Conflict(problem));
        }
        Ok((manifest, dump))
    }

    fn identities(&self) -> Result<Vec<Box<dyn age::Identity>>, CaseworkError> {
        let Some(path) = &self.identity_file else {
            let problem =
                "is needed to read this backup: the file with the AGE-SECRET-KEY of one of its recipients (--identity FILE)";
            return Err(CaseworkError::invalid("backup.identity_file", problem));
        };
        let disk = |source| StoreError::Disk { what: "read", path: path.clone(), source };
        let file = BufReader::new(File::open(path).map_err(disk)?);
        // Neither of these errors repeats a key.
        let wrong = |why: String| CaseworkError::invalid("backup.identity_file", format!("{}: {why}", path.display()));
        let identities = IdentityFile::from_buffer(file).map_err(|e| wrong(e.to_string()))?;
        identities.into_identities().map_err(|e| wrong(e.to_string()))
    }
}

impl Sealer {
    /// Begins a backup.
    pub(super) fn seal<W: Write>(self, out: W, manifest: &Manifest) -> Result<StreamWriter<W>, CaseworkError> {
        let mut out = self.0.wrap_output(out).map_err(CaseworkError::Output)?;
        let line = serde_json::to_string(manifest).map_err(|e| CaseworkError::Output(e.into()))?;
        out.write_all(line.as_bytes()).and_then(|()| out.write_all(b"\n")).map_err(CaseworkError::Output)?;
        Ok(out)
    }
}

fn passphrase(path: &Path) -> Result<SecretString, CaseworkError> {
    let disk = |source| StoreError::Disk { what: "read", path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(disk)?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() {
        return Err(CaseworkError::invalid("backup.passphrase_file", format!("{} is empty", path.display())));
    }
    Ok(SecretString::from(text.to_owned()))
}

pub(super) fn damaged(path: &Path, error: io::Error) -> CaseworkError {
    CaseworkError::Conflict(format!("{} is no backup of tocsin, or it is damaged: {error}", path.display()))
}

/// A new private key with its public one: text of an identity file, and the recipient.
pub fn generate_identity(now: Timestamp) -> (String, String) {
    let identity = age::x25519::Identity::generate();
    let recipient = identity.to_public().to_string();
    (format!("# created: {now}\n# public key: {recipient}\n{}\n", identity.to_string().expose_secret()), recipient)
}

/// A backup that is being written, beside its place. Dropped, it is removed.
pub(super) struct Unfinished {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
    done: bool,
}

impl Unfinished {
    /// Begins a file that only we may read; the directory is made where there is none.
    pub(super) fn begin(dir: &Path, name: &str) -> Result<Unfinished, CaseworkError> {
        let disk = |what, path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Disk { what, path, source }
        };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(disk("make", dir))?;
        let (path, temporary) = (dir.join(name), dir.join(format!(".{name}.part")));
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        let file = opened.map_err(disk("make", &temporary))?;
        Ok(Unfinished { path, temporary, file, done: false })
    }

    /// Gives it its name, now that all of it is written; returns its size.
    pub(super) fn finish(mut self) -> Result<u64, CaseworkError> {
        let named = self.file.sync_all().and_then(|()| std::fs::rename(&self.temporary, &self.path));
        // The name is on disk when the directory is.
        let named = named.and_then(|()| File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all());
        let size = named.and_then(|()| self.file.metadata()).map(|metadata| metadata.len());
        self.done = size.is_ok();
        size.map_err(|source| StoreError::Disk { what: "write", path: self.path.clone(), source }.into())
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.done {
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}
