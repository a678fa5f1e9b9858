//! Files that are evidence: streamed in and out, a chunk in memory at a time, sealed in the database.
//!
//! ```text
//!  bytes ─▶ chunks of 256 KiB ─▶ sealed with the file's own key ─▶ evidence_chunks, a statement each
//!     └──▶ SHA-256 ──────────────────────────────────────────────▶ evidence_files, when all is there
//! ```
//!
//! To each chunk its number is bound, and whether it is the last one, so that a file that is cut off, or whose chunks were put in another
//! order, does not open: the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár: "Online Authenticated-Encryption and its
//! Nonce-Reuse Misuse-Resistance", CRYPTO 2015), with both in the additional data rather than in the nonce.
//!
//! Whoever adds, reads, checks or archives a file is in the audit log, and that is the file's history.

use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::OwnedSemaphorePermit;
use zeroize::Zeroizing;

use super::audit::Act;
use super::incidents::{no_incident, subject as incident_subject};
use super::keys::{self, Key, KeyError, Place, Ring};
use super::{Actor, Casework, CaseworkError, Change, Permission};
use crate::record::text::is_treacherous;
use crate::store::audit::{self as audit_rows, Touch};
use crate::store::cases;
use crate::store::files::{self as rows, FileRow, NewFile};
use crate::store::keys::{self as key_rows, Owner, Wrapped};

/// Bytes of a file at most.
pub const MAX_FILE_BYTES: u64 = 100 << 20;
/// Files of an incident at most.
pub const MAX_FILES: i64 = 1_000;
/// Bytes that are sealed at a time.
pub const CHUNK_BYTES: usize = 256 << 10;
/// Files that come in or go out at a time.
pub(super) const MAX_TRANSFERS: usize = 8;
/// Memory of one of them in bytes: a chunk, sealed, in the statement that writes it, and what has come of the next.
pub(super) const TRANSFER_BYTES: usize = 6 * CHUNK_BYTES;
/// What is not there whole so long after its first byte never will be.
const UNFINISHED_MICROS: i64 = 24 * 60 * 60 * 1_000_000;
/// Of a file's history, the last so many.
const MAX_HISTORY: i64 = 1_000;
/// Characters of a name.
const MAX_NAME: usize = 255;

/// A file with its history.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct FileHistory {
    /// The file.
    #[serde(flatten)]
    pub file: FileRow,
    /// Who had it in hands, in order: the last thousand times.
    pub custody: Vec<Touch>,
}

/// What checking a file came to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct CheckedFile {
    /// Its key.
    pub id: i64,
    /// What is in it is what was added.
    pub intact: bool,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub problem: Option<String>,
}

impl Casework {
    /// The files of an incident, those that were archived, too.
    ///
    /// # Errors
    /// Not permitted; no such incident; the database.
    pub async fn files(&self, actor: &Actor, number: &str) -> Result<Vec<FileRow>, CaseworkError> {
        let mut reading = self.look(actor, Permission::ReadIncidents).await?;
        let Some(incident) = cases::by_number(&mut reading.connection, number).await? else {
            reading.done();
            return Err(no_incident(number));
        };
        let files = rows::of(&mut reading.connection, incident.id).await?;
        reading.done();
        Ok(files)
    }

    /// A file with its history.
    ///
    /// # Errors
    /// Not permitted; no such file; the database.
    pub async fn file(&self, actor: &Actor, number: &str, id: i64) -> Result<FileHistory, CaseworkError> {
        let mut reading = self.look(actor, Permission::ReadIncidents).await?;
        let incident = cases::by_number(&mut reading.connection, number).await?.ok_or_else(|| no_incident(number))?;
        let found = rows::sealed(&mut reading.connection, incident.id, id).await?.ok_or_else(|| no_file(number, id))?;
        let custody = audit_rows::touches(&mut reading.connection, &subject(id), MAX_HISTORY).await?;
        reading.done();
        Ok(FileHistory { file: found.file, custody })
    }

    /// Begins a file. Nobody sees it before [`Upload::finish`].
    ///
    /// # Errors
    /// Not permitted; no such incident; what was given is wrong; too many files; too many transfers; a key is missing; the database.
    pub async fn begin_file(
        &self,
        actor: &Actor,
        number: &str,
        name: &str,
        media_type: Option<&str>,
    ) -> Result<Upload, CaseworkError> {
        let (name, media_type) = (file_name(name)?, checked_media_type(media_type)?);
        super::allowed(actor, Permission::WorkIncidents)?;
        let place = self.transfer()?;
        let mut change = self.begin(actor).await?;
        let incident = cases::by_number_to_change(change.connection(), number).await?.ok_or_else(|| no_incident(number))?;
        if rows::count(change.connection(), incident.id).await? >= MAX_FILES {
            return Err(CaseworkError::Conflict(format!("incident {number} has {MAX_FILES} files; no more are taken")));
        }
        let id = rows::next_id(change.connection()).await?;
        let mut ring = self.ring()?;
        let (key, file_key) = (change.data_key(&mut ring, Owner::Incident(incident.id)).await?, Key::new()?);
        let new = NewFile {
            id,
            incident_id: incident.id,
            name: &name,
            media_type: &media_type,
            file_key: &key.wrap(&key_place(incident.id, id), &file_key)?,
            added_by: &actor.name,
            begun_at: change.now,
        };
        rows::begin(change.connection(), &new).await?;
        let shown = json!({ "incident": number, "name": name, "media_type": media_type });
        change.commit(&[Act::new("file.begin", subject(id)).values(None, shown)]).await?;
        Ok(Upload {
            casework: self.clone(),
            actor: actor.clone(),
            id,
            name,
            key: file_key,
            chunk: Zeroizing::new(Vec::with_capacity(CHUNK_BYTES)),
            chunks: 0,
            size: 0,
            hasher: Sha256::new(),
            _place: place,
        })
    }

    /// Begins to read a file, which is written down.
    ///
    /// # Errors
    /// Not permitted; no such file; too many transfers; a key is missing; the database.
    pub async fn read_file(&self, actor: &Actor, number: &str, id: i64) -> Result<Download, CaseworkError> {
        let (change, download) = self.open_file(actor, number, id).await?;
        change.commit(&[Act::new("file.read", subject(id))]).await?;
        Ok(download)
    }

    /// Reads a file to its end, and says whether that is what was added. `progress` is told how many bytes are checked, and of how many.
    ///
    /// # Errors
    /// Not permitted; no such file; too many transfers; a key is missing; the database.
    pub async fn verify_file(
        &self,
        actor: &Actor,
        number: &str,
        id: i64,
        progress: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<CheckedFile, CaseworkError> {
        let opened = self.open_file(actor, number, id).await;
        let problem = match opened {
            Ok((change, mut download)) => {
                change.commit(&[]).await?;
                loop {
                    match download.next().await {
                        Ok(Some(_)) => progress(download.read, download.file.size.unsigned_abs()),
                        Ok(None) => break None,
                        Err(CaseworkError::Keys(error @ KeyError::Broken(_))) => break Some(error.to_string()),
                        Err(other) => return Err(other),
                    }
                }
            }
            Err(CaseworkError::Keys(error @ KeyError::Broken(_))) => Some(error.to_string()),
            Err(other) => return Err(other),
        };
        let checked = CheckedFile { id, intact: problem.is_none(), problem };
        let change = self.change(actor, Permission::ReadIncidents).await?;
        change.commit(&[Act::new("file.verify", subject(id)).values(None, json!({ "intact": checked.intact }))]).await?;
        Ok(checked)
    }

    /// Takes a file out of sight; nothing of it is removed.
    ///
    /// # Errors
    /// Not permitted; no such file; the database.
    pub async fn archive_file(&self, actor: &Actor, number: &str, id: i64) -> Result<(), CaseworkError> {
        let mut change = self.change(actor, Permission::WorkIncidents).await?;
        let now = change.now;
        let incident = cases::by_number_to_change(change.connection(), number).await?.ok_or_else(|| no_incident(number))?;
        let found = rows::sealed(change.connection(), incident.id, id).await?.ok_or_else(|| no_file(number, id))?;
        if !rows::archive(change.connection(), id, &actor.name, now).await? {
            return change.commit(&[]).await;
        }
        let shown = json!({ "id": id, "name": found.file.name });
        change.tell(incident.id, "file_archived", None, Some(shown)).await?;
        change.commit(&[Act::new("file.archive", subject(id))]).await
    }

    /// Removes files that were begun more than a day ago and never finished; returns how many.
    ///
    /// # Errors
    /// The database.
    pub async fn sweep_files(&self) -> Result<u64, CaseworkError> {
        let daemon = Actor::daemon();
        let mut change = self.change(&daemon, Permission::Maintain).await?;
        let before = change.now.plus_micros(-UNFINISHED_MICROS);
        let swept = rows::sweep(change.connection(), before).await?;
        if swept > 0 {
            change.commit(&[Act::new("file.sweep", "files").values(None, json!({ "files": swept }))]).await?;
        }
        Ok(swept)
    }

    /// A place among those who send or take files.
    fn transfer(&self) -> Result<OwnedSemaphorePermit, CaseworkError> {
        let place = std::sync::Arc::clone(&self.transfers).try_acquire_owned();
        place.map_err(|_| CaseworkError::Busy(format!("{MAX_TRANSFERS} files are on their way already; try again")))
    }

    /// Opens the key of a file, within a change that tells why.
    async fn open_file<'a>(&self, actor: &'a Actor, number: &str, id: i64) -> Result<(Change<'a>, Download), CaseworkError> {
        super::allowed(actor, Permission::ReadIncidents)?;
        let place = self.transfer()?;
        let mut change = self.begin(actor).await?;
        let incident = cases::by_number(change.connection(), number).await?.ok_or_else(|| no_incident(number))?;
        let found = rows::sealed(change.connection(), incident.id, id).await?.ok_or_else(|| no_file(number, id))?;
        let key_place = key_place(incident.id, id);
        let (Some(master_key_id), Some(wrapped)) = (found.master_key_id, found.wrapped) else {
            return Err(KeyError::Broken(key_place.to_string()).into());
        };
        let mut ring = self.ring()?;
        let key = keys::open(&mut ring, Owner::Incident(incident.id), &Wrapped { master_key_id, wrapped })?;
        let key = key.unwrap(&key_place, &found.file_key)?;
        let (casework, hasher) = (self.clone(), Sha256::new());
        let download =
            Download { casework, file: found.file, chunks: found.chunks, next: 0, read: 0, key, hasher, _place: place };
        Ok((change, download))
    }
}

impl Change<'_> {
    /// Seals the keys of the files of an incident with another data key, which may be that of another incident: they are its own then.
    pub(super) async fn rewrap_files(&mut self, from: (i64, &Key), to: (i64, &Key)) -> Result<(), CaseworkError> {
        for (id, file_key) in rows::keys_of(self.connection(), from.0).await? {
            let file_key = from.1.unwrap(&key_place(from.0, id), &file_key)?;
            let file_key = to.1.wrap(&key_place(to.0, id), &file_key)?;
            rows::rewrap(self.connection(), id, to.0, &file_key).await?;
        }
        Ok(())
    }

    /// Hands what is sealed of an incident on to another one.
    pub(super) async fn hand_on_sealed(
        &mut self,
        ring: impl FnOnce() -> Result<Ring, KeyError>,
        from: i64,
        to: i64,
    ) -> Result<(), CaseworkError> {
        // Without a data key nothing is sealed, and no master key is needed.
        let Some(wrapped) = key_rows::data_key(self.connection(), Owner::Incident(from)).await? else { return Ok(()) };
        let mut ring = ring()?;
        let old = keys::open(&mut ring, Owner::Incident(from), &wrapped)?;
        let new = self.data_key(&mut ring, Owner::Incident(to)).await?;
        self.reseal_parties((from, &old), (to, &new)).await?;
        self.rewrap_files((from, &old), (to, &new)).await
    }
}

/// A file that is coming in. Between two chunks it holds no connection.
pub struct Upload {
    casework: Casework,
    actor: Actor,
    id: i64,
    name: String,
    key: Key,
    /// What has come of the next chunk. It is sealed when more comes, since the last one is sealed as such.
    chunk: Zeroizing<Vec<u8>>,
    chunks: i32,
    size: u64,
    hasher: Sha256,
    _place: OwnedSemaphorePermit,
}

impl Upload {
    /// Takes what has come.
    ///
    /// # Errors
    /// The file is too large; the database. It is to be abandoned then.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<(), CaseworkError> {
        self.size += bytes.len() as u64;
        if self.size > MAX_FILE_BYTES {
            return Err(too_large());
        }
        self.hasher.update(bytes);
        while !bytes.is_empty() {
            if self.chunk.len() == CHUNK_BYTES {
                self.seal(Position::Within).await?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK_BYTES - self.chunk.len()));
            self.chunk.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Everything has come: from now on others see it.
    ///
    /// # Errors
    /// Somebody has removed it meanwhile; the database.
    pub async fn finish(mut self) -> Result<FileRow, CaseworkError> {
        self.seal(Position::Last).await?;
        let sha256 = self.hasher.finalize_reset();
        let size = i64::try_from(self.size).unwrap_or(i64::MAX);
        let mut change = self.casework.change(&self.actor, Permission::WorkIncidents).await?;
        let now = change.now;
        let finished = rows::finish(change.connection(), self.id, size, self.chunks, &sha256, now).await?;
        // Not always that with which it began, which may have been merged meanwhile.
        let Some((incident, number)) = finished else {
            return Err(CaseworkError::Conflict("the file took more than a day to arrive, and was removed".to_owned()));
        };
        let found = rows::sealed(change.connection(), incident, self.id).await?;
        let found = found.ok_or_else(|| no_file(&number, self.id))?.file;
        let shown = json!({ "id": self.id, "name": self.name, "size": size, "sha256": found.sha256 });
        change.tell(incident, "file_added", None, Some(shown.clone())).await?;
        let acts = [
            Act::new("file.add", subject(self.id)).values(None, shown.clone()),
            Act::new("incident.file", incident_subject(&number)).values(None, shown),
        ];
        change.commit(&acts).await?;
        Ok(found)
    }

    /// It will never be whole.
    ///
    /// # Errors
    /// The database; then it is removed after a day.
    pub async fn abandon(self) -> Result<(), CaseworkError> {
        let mut change = self.casework.change(&self.actor, Permission::WorkIncidents).await?;
        rows::abandon(change.connection(), self.id).await?;
        change.commit(&[Act::new("file.abandon", subject(self.id))]).await
    }

    async fn seal(&mut self, position: Position) -> Result<(), CaseworkError> {
        let sealed = self.key.seal(&chunk_place(self.id, self.chunks, position), &self.chunk)?;
        let mut reading = self.casework.connection().await?;
        rows::add_chunk(&mut reading.connection, self.id, self.chunks, &sealed).await?;
        reading.done();
        self.chunk.clear();
        self.chunks += 1;
        Ok(())
    }
}

/// A file that is going out. Between two chunks it holds no connection.
pub struct Download {
    casework: Casework,
    /// The file.
    pub file: FileRow,
    chunks: i32,
    next: i32,
    /// Bytes that were read.
    read: u64,
    key: Key,
    hasher: Sha256,
    _place: OwnedSemaphorePermit,
}

impl Download {
    /// The next chunk. The last one comes only if all of it is what was added.
    ///
    /// # Errors
    /// [`KeyError::Broken`]: it is not; the database.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, CaseworkError> {
        if self.next >= self.chunks {
            return Ok(None);
        }
        let position = if self.next + 1 == self.chunks { Position::Last } else { Position::Within };
        let place = chunk_place(self.file.id, self.next, position);
        let mut reading = self.casework.connection().await?;
        let sealed = rows::chunk(&mut reading.connection, self.file.id, self.next).await?;
        reading.done();
        let plain = self.key.open(&place, &sealed.ok_or_else(|| KeyError::Broken(place.to_string()))?)?;
        self.next += 1;
        self.read += plain.len() as u64;
        self.hasher.update(&*plain);
        if position == Position::Last {
            let sha256: String = self.hasher.finalize_reset().iter().map(|byte| format!("{byte:02x}")).collect();
            if sha256 != self.file.sha256 || i64::try_from(self.read) != Ok(self.file.size) {
                return Err(KeyError::Broken(format!("file {}", self.file.id)).into());
            }
        }
        Ok(Some(plain.to_vec()))
    }
}

/// Where in its file a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    Within,
    Last,
}

fn key_place(incident: i64, file: i64) -> Place {
    Place::new("key of file", &[incident, file])
}

/// No incident is in it: the key that it is sealed with is bound to one, and goes with the file where incidents are merged.
fn chunk_place(file: i64, number: i32, position: Position) -> Place {
    let what = match position {
        Position::Within => "chunk of file",
        Position::Last => "last chunk of file",
    };
    Place::new(what, &[file, i64::from(number)])
}

/// What the audit log calls a file.
fn subject(id: i64) -> String {
    format!("file:{id}")
}

fn no_file(number: &str, id: i64) -> CaseworkError {
    CaseworkError::NotFound(format!("file {id} of incident {number}"))
}

/// A file that has too many bytes.
pub fn too_large() -> CaseworkError {
    CaseworkError::TooLarge(format!("a file has at most {} MiB", MAX_FILE_BYTES >> 20))
}

/// The last part of what may be a path, without what would deceive whoever reads it.
fn file_name(given: &str) -> Result<String, CaseworkError> {
    let last = given.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !is_treacherous(*c)).take(MAX_NAME).collect();
    match clean.trim() {
        "" | "." | ".." => Err(CaseworkError::invalid("name", "is no name of a file")),
        name => Ok(name.to_owned()),
    }
}

/// `type/subtype` (RFC 6838 §4.2), without parameters; what is not known is bytes.
fn checked_media_type(given: Option<&str>) -> Result<String, CaseworkError> {
    let Some(given) = given else { return Ok("application/octet-stream".to_owned()) };
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_name = |part: &str| {
        let ends = part.len() <= 127 && part.starts_with(|c: char| c.is_ascii_alphanumeric());
        ends && part.chars().all(|c| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c))
    };
    match essence.split_once('/') {
        Some((kind, sub)) if is_name(kind) && is_name(sub) => Ok(essence),
        _ => Err(CaseworkError::invalid("media_type", "is none such as application/pdf")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_a_path_and_deceives_nobody() {
        for (given, name) in [
            ("report.pdf", Some("report.pdf")),
            ("../../etc/passwd", Some("passwd")),
            ("C:\\Users\\ada\\mail box.eml", Some("mail box.eml")),
            ("in\u{202e}fdp.exe\n\u{1b}[31m", Some("infdp.exe[31m")),
            ("dir/", Some("dir")),
            ("..", None),
            ("a/..", None),
            ("", None),
            ("\0\n", None),
            (" / ", None),
        ] {
            assert_eq!(file_name(given).ok().as_deref(), name, "{given:?}");
        }
        assert_eq!(file_name(&"\u{e9}".repeat(1_000)).unwrap().chars().count(), MAX_NAME);
    }

    #[test]
    fn media_types_are_media_types() {
        for (given, media_type) in [
            (None, Some("application/octet-stream")),
            (Some("Text/HTML; charset=utf-8"), Some("text/html")),
            (Some("application/vnd.tcpdump.pcap"), Some("application/vnd.tcpdump.pcap")),
            (Some("text"), None),
            (Some("text/\r\nX: y"), None),
            (Some("/"), None),
        ] {
            assert_eq!(checked_media_type(given).ok().as_deref(), media_type, "{given:?}");
        }
    }
}
