//! Backups: the whole database in one encrypted file, made while everything runs, and proven by restoring it.
//!
//! ```text
//!  a moment of the database ─▶ what is in it (rows of each table, end of the audit log) ─┐
//!                └───────────▶ pg_dump ─────────────────────────────────────────────────┴─▶ age ─▶ tocsin-<time>.age
//! ```
//!
//! Evidence files are in the database, so they are in its backup. `tocsin backup verify` restores into a database of its own, counts every
//! table, follows the chain of the audit log and holds the ledger against the logs, as `tocsin verify` does.

mod file;

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

pub use file::{Lock, Manifest, generate_identity};

use super::audit::Act;
use super::{Actor, Casework, CaseworkError, Permission, allowed};
use crate::record::Timestamp;
use crate::store::dump::{self, Contents, Program, Snapshot};
use crate::store::{Servers, Store, StoreError, verify};

/// What the configuration says of backups.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Where they are kept.
    pub dir: PathBuf,
    /// Who can read them.
    pub lock: Lock,
    /// File of the master keys, which goes into each backup; `None` leaves it out.
    pub key_file: Option<PathBuf>,
    /// So many are kept.
    pub keep: usize,
    /// Older ones are removed, but for the newest. In microseconds.
    pub keep_micros: i64,
}

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Backup {
    /// Name of the file.
    pub name: String,
    /// As of when it is.
    pub at: Timestamp,
    /// Size of the file.
    pub bytes: u64,
}

/// How far a copy has got: bytes of the dump.
pub type Progress<'p> = &'p mut (dyn FnMut(u64) + Send);

/// What a backup came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The new one.
    pub backup: Backup,
    /// Rows of all tables in it.
    pub rows: u64,
    /// Those that were removed, since there are newer ones.
    pub removed: Vec<Backup>,
}

/// What trying a backup came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// What it says of itself.
    pub manifest: Manifest,
    /// What is not as it should be; nothing where it is whole.
    pub problems: Vec<String>,
}

/// What the databases are called that backups are tried in.
const SCRATCH: &str = "tocsin_verify_";

/// How a backup's file is called.
fn name_of(at: Timestamp) -> String {
    let digits: String = at.to_string().chars().take_while(|c| *c != '.').filter(|c| !matches!(c, '-' | ':' | 'Z')).collect();
    format!("tocsin-{digits}Z.age")
}

/// The time in the name of a backup's file; `None` for other files.
fn time_of(name: &str) -> Option<Timestamp> {
    let text = name.strip_prefix("tocsin-")?.strip_suffix("Z.age")?;
    let (date, time) = text.split_once('T')?;
    let is_digits = |text: &str, n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(date, 8) || !is_digits(time, 6) {
        return None;
    }
    let rfc3339 = format!("{}-{}-{}T{}:{}:{}Z", &date[..4], &date[4..6], &date[6..], &time[..2], &time[2..4], &time[4..]);
    Timestamp::parse_rfc3339(&rfc3339).ok()
}

/// The backups in a directory, the newest first; none where there is no directory.
///
/// # Errors
/// The directory cannot be read.
pub fn list(dir: &Path) -> Result<Vec<Backup>, CaseworkError> {
    let failed = |source| CaseworkError::from(StoreError::Disk { what: "look for backups in", path: dir.to_owned(), source });
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if let Some(at) = time_of(&name) {
            found.push(Backup { name, at, bytes: entry.metadata().map_err(failed)?.len() });
        }
    }
    found.sort_unstable_by_key(|backup| std::cmp::Reverse(backup.at));
    Ok(found)
}

/// Those that are not kept: behind as many newer ones as are kept, or too old. The newest one always is.
fn surplus(backups: &[Backup], policy: &Policy, now: Timestamp) -> Vec<Backup> {
    let is_kept = |(i, backup): (usize, &Backup)| {
        i == 0 || (i < policy.keep && now.as_micros().saturating_sub(backup.at.as_micros()) <= policy.keep_micros)
    };
    backups.iter().enumerate().filter(|one| !is_kept(*one)).map(|(_, backup)| backup.clone()).collect()
}

impl Casework {
    /// The backups that there are, the newest first.
    ///
    /// # Errors
    /// Not permitted, or the directory cannot be read.
    pub fn backups(&self, actor: &Actor) -> Result<Vec<Backup>, CaseworkError> {
        allowed(actor, Permission::Maintain)?;
        list(&self.settings.backups.dir)
    }

    /// Where the backup of that name is.
    ///
    /// # Errors
    /// Not permitted, there is none, or the directory cannot be read.
    pub fn find_backup(&self, actor: &Actor, name: &str) -> Result<PathBuf, CaseworkError> {
        let found = self.backups(actor)?.into_iter().find(|backup| backup.name == name);
        let found = found.ok_or_else(|| CaseworkError::NotFound(format!("backup {name}")))?;
        Ok(self.settings.backups.dir.join(found.name))
    }

    /// The place for one at a time: two would only take longer.
    fn backup_place(&self) -> Result<OwnedSemaphorePermit, CaseworkError> {
        let taken = |_| CaseworkError::Conflict("a backup is being made or tried already".to_owned());
        Arc::clone(&self.backing_up).try_acquire_owned().map_err(taken)
    }

    /// Makes a backup, and removes those that are not kept any more. `progress` is told of 0 bytes once it has begun. Dropped, it leaves
    /// nothing behind.
    ///
    /// # Errors
    /// Not permitted; one is being made or tried; nobody is named who can read it; `pg_dump`, the disk or the database failed.
    pub async fn create_backup(&self, actor: &Actor, progress: Progress<'_>) -> Result<Made, CaseworkError> {
        allowed(actor, Permission::Maintain)?;
        let policy = &self.settings.backups;
        let sealer = policy.lock.sealer()?;
        let keys = policy.key_file.as_deref().map(read_keys).transpose()?.flatten();
        let _place = self.backup_place()?;
        progress(0);
        let at = Timestamp::now();
        let snapshot = Snapshot::take(self.store.servers()).await?;
        let manifest = Manifest {
            format: file::FORMAT,
            tocsin: env!("CARGO_PKG_VERSION").to_owned(),
            postgresql: snapshot.server.clone(),
            created_at: at,
            contents: snapshot.contents.clone(),
            keys,
        };
        let rows = manifest.contents.rows();
        let mut program = Program::dump(self.store.servers(), &snapshot)?;
        let mut unfinished = file::Unfinished::begin(&policy.dir, &name_of(at))?;
        let mut dumped = program.output();
        // A thread of its own reads, encrypts and writes; here it is heard how far it is, and dropping this stops the program.
        let (told, mut tells) = tokio::sync::mpsc::channel(16);
        let copying = tokio::task::spawn_blocking(move || -> Result<file::Unfinished, CaseworkError> {
            let mut out = sealer.seal(&mut unfinished, &manifest)?;
            copy(&mut dumped, &mut out, &told).map_err(CaseworkError::Output)?;
            out.finish().map_err(CaseworkError::Output)?;
            Ok(unfinished)
        });
        while let Some(bytes) = tells.recv().await {
            progress(bytes);
        }
        let copied = copying.await.map_err(|e| CaseworkError::Output(io::Error::other(e)))?;
        let ended = program.finish().await;
        // What pg_dump complains of says more than a disk that is full of the rest of it.
        let unfinished = match (copied, ended) {
            (Ok(unfinished), ended) => ended.map(|()| unfinished)?,
            (Err(error), _) => return Err(error),
        };
        snapshot.end().await?;
        let bytes = unfinished.finish()?;
        let backup = Backup { name: name_of(at), at, bytes };
        let removed = surplus(&list(&policy.dir)?, policy, at);
        for old in &removed {
            let path = policy.dir.join(&old.name);
            std::fs::remove_file(&path).map_err(|source| StoreError::Disk { what: "remove", path, source })?;
        }
        let made = Act::new("backup.create", subject(&backup.name)).values(None, json!({ "bytes": bytes, "rows": rows }));
        let gone = removed.iter().map(|old| Act::new("backup.remove", subject(&old.name)));
        let acts: Vec<Act> = std::iter::once(made).chain(gone).collect();
        self.change(actor, Permission::Maintain).await?.commit(&acts).await?;
        Ok(Made { backup, rows, removed })
    }

    /// Restores a backup into a database of its own, on the server that everything else is on, looks whether it is whole, and removes that
    /// database. `progress` is told of the first bytes once it is known that it can be read.
    ///
    /// # Errors
    /// Not permitted; one is being made or tried; it cannot be opened; no database can be made; `pg_restore` or the database failed. What is wrong with what it holds
    /// is no error but told.
    pub async fn try_backup(&self, actor: &Actor, path: &Path, progress: Progress<'_>) -> Result<Tried, CaseworkError> {
        allowed(actor, Permission::Maintain)?;
        let _place = self.backup_place()?;
        dump::drop_left(self.store.servers(), SCRATCH).await?;
        let scratch = format!("{SCRATCH}{}", crate::random::hex(6).map_err(CaseworkError::Output)?);
        let servers = dump::create(self.store.servers(), &scratch).await?;
        let tried = self.try_in(actor, &servers, path, progress).await;
        dump::drop(self.store.servers(), &scratch).await?;
        let tried = tried?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let act = Act::new("backup.verify", subject(&name)).values(None, json!({ "problems": tried.problems }));
        self.change(actor, Permission::Maintain).await?.commit(&[act]).await?;
        Ok(tried)
    }

    async fn try_in(
        &self,
        actor: &Actor,
        servers: &Servers,
        path: &Path,
        progress: Progress<'_>,
    ) -> Result<Tried, CaseworkError> {
        let restored = restore(servers, &self.settings.backups.lock, path, progress).await?;
        let mut problems = restored.problems;
        // An older version's tables are brought up to date for this.
        let copy = Casework::new(Store::connect(servers.clone()).await?, (*self.settings).clone());
        let checked = copy.check_audit(actor, None, &mut |_| {}).await?;
        problems.extend(checked.tampered.map(|(id, what)| format!("row {id} of audit_log: {what}")));
        let verdict = verify::judge(&verify::read(servers, None).await?);
        if !verdict.findings.is_empty() {
            problems.push(format!("not every frame is stored once: {} findings", verdict.findings.len()));
        }
        copy.store.close().await;
        Ok(Tried { problems, ..restored })
    }
}

/// Restores a backup into an empty database, and compares what came to be there with what it says of itself.
///
/// # Errors
/// It cannot be opened; the database is not empty; `pg_restore` or the database failed.
pub async fn restore(servers: &Servers, lock: &Lock, path: &Path, progress: Progress<'_>) -> Result<Tried, CaseworkError> {
    let store = Store::over(servers.clone());
    let mut connection = store.connection().await?;
    if !dump::is_empty(&mut connection).await? {
        let problem = "the database is not empty: restore into a new one (createdb NAME; --to postgres://…/NAME)";
        return Err(CaseworkError::Conflict(problem.to_owned()));
    }
    let mut program = Program::restore(servers)?;
    let mut input = program.input();
    let (told, mut tells) = tokio::sync::mpsc::channel(16);
    // A thread of its own reads and decrypts; dropping this stops the program, and with it the thread.
    let (lock, from) = (lock.clone(), path.to_owned());
    let copying = tokio::task::spawn_blocking(move || -> Result<_, CaseworkError> {
        let (manifest, mut dumped) = lock.open(&from)?;
        Ok((manifest, copy(&mut dumped, &mut input, &told)))
    });
    while let Some(bytes) = tells.recv().await {
        progress(bytes);
    }
    let (manifest, copied) = copying.await.map_err(|e| CaseworkError::Output(io::Error::other(e)))??;
    match copied {
        // Where the program has ended before, it says itself why.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(file::damaged(path, error)),
        _ => program.finish().await?,
    }
    let problems = differences(&manifest.contents, &dump::contents(&mut connection).await?);
    dump::analyze(&mut connection).await?;
    Ok(Tried { manifest, problems })
}

/// What is in a copy otherwise than in the original.
fn differences(original: &Contents, copy: &Contents) -> Vec<String> {
    let mut problems = Vec::new();
    let names: std::collections::BTreeSet<&String> = original.tables.keys().chain(copy.tables.keys()).collect();
    for name in names {
        let (was, is) = (original.tables.get(name), copy.tables.get(name));
        if was != is {
            let rows = |count: Option<&i64>| count.map_or_else(|| "no such table".to_owned(), |n| format!("{n} rows"));
            problems.push(format!("{name}: {} in the original, {} in the copy", rows(was), rows(is)));
        }
    }
    if (original.audit_id, &original.audit_head) != (copy.audit_id, &copy.audit_head) {
        problems.push(format!("the audit log ends with row {} instead of {}", copy.audit_id, original.audit_id));
    }
    problems
}

/// Copies in large pieces, and tells how far it has got.
fn copy(from: &mut impl Read, to: &mut impl io::Write, told: &tokio::sync::mpsc::Sender<u64>) -> io::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    let mut bytes = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return to.flush(),
            Ok(n) => {
                to.write_all(&buffer[..n])?;
                bytes += n as u64;
                // Whoever does not keep up hears of the next piece.
                let _ = told.try_send(bytes);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// The file of the master keys; `None` where there is none, since nothing was sealed yet.
fn read_keys(path: &Path) -> Result<Option<String>, CaseworkError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StoreError::Disk { what: "read", path: path.to_owned(), source }.into()),
    }
}

fn subject(name: &str) -> String {
    format!("backup:{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000_000;

    #[test]
    fn the_name_of_a_backup_tells_its_time() {
        let at = Timestamp::parse_rfc3339("2026-11-21T03:30:05.123456Z").unwrap();
        assert_eq!(name_of(at), "tocsin-20261121T033005Z.age");
        assert_eq!(time_of(&name_of(at)).unwrap().to_string(), "2026-11-21T03:30:05Z");
        for other in [
            "tocsin-20261121T033005Z.age.part",
            "tocsin-2026112T0330055Z.age",
            "tocsin-20261321T033005Z.age",
            "x",
            "tocsin-é61121T033005Z.age",
        ] {
            assert_eq!(time_of(other), None, "{other}");
        }
    }

    #[test]
    fn backups_are_kept_by_count_and_age_and_the_newest_always() {
        let now = Timestamp::parse_rfc3339("2026-11-21T04:00:00Z").unwrap();
        let backups: Vec<Backup> =
            (0..10).map(|day| Backup { name: day.to_string(), at: now.plus_micros(-day * DAY), bytes: 1 }).collect();
        let gone = |keep, days: i64, from: usize| {
            let policy = Policy { keep, keep_micros: days * DAY, ..Policy::default() };
            surplus(&backups[from..], &policy, now).len()
        };
        assert_eq!(gone(14, 90, 0), 0);
        assert_eq!(gone(3, 90, 0), 7);
        assert_eq!(gone(14, 4, 0), 5, "those of 0 to 4 days ago are kept");
        assert_eq!(gone(14, 4, 6), 3, "all are too old, but one is kept");
        assert_eq!(gone(0, 0, 0), 9);
    }

    #[test]
    fn every_difference_between_original_and_copy_is_told() {
        let contents = |tables: &[(&str, i64)], head: &str| Contents {
            tables: tables.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect(),
            audit_id: 3,
            audit_head: head.to_owned(),
            migration: 5,
        };
        let original = contents(&[("logs_2026_11_20", 5), ("users", 1)], "aa");
        assert!(differences(&original, &original.clone()).is_empty());
        let copy = contents(&[("logs_2026_11_20", 4), ("extra", 0)], "bb");
        let told = differences(&original, &copy);
        assert_eq!(told.len(), 4, "{told:?}");
    }
}
