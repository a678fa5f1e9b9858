//! What people do: with users, incidents, notes, tasks. The command line, the API and the pages use this room and add no rules of their
//! own.
//!
//! ```text
//!  Actor ─┐
//!         ├─▶ Casework::change(actor, permission) ─▶ Change: statements … ─▶ commit(what was done) ─▶ audit_log
//!  wish ──┘        refused unless the role may          one transaction            the only way to commit
//! ```
//!
//! Every change goes through that one door: somebody who was recognised, a permission, and a transaction that holds the change together
//! with its row in the audit log. A [`Change`] that is dropped has changed nothing.

mod actor;
pub mod assets;
pub mod audit;
pub mod backups;
pub mod detection;
pub mod evidence;
pub mod export;
pub mod files;
mod holds;
pub mod incidents;
pub mod keys;
pub mod levels;
pub mod links;
pub mod logs;
pub mod maintenance;
mod merge;
pub mod notes;
pub mod observables;
pub mod overview;
pub mod parties;
pub mod password;
mod purge;
pub mod reports;
pub mod searches;
pub mod second_factor;
pub mod sessions;
pub mod split;
pub mod suppressions;
pub mod tasks;
pub mod tokens;
pub mod users;

use std::path::PathBuf;
use std::sync::Arc;

use sqlx::postgres::PgConnection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use actor::{Actor, Permission, Role, Via};

use crate::record::Timestamp;
use crate::record::levels::Levels;
use crate::store::{self, Store, StoreError};
use audit::Act;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum CaseworkError {
    /// The role does not permit it.
    #[error("{actor} ({role}) may not {permission}")]
    Forbidden {
        /// Who.
        actor: String,
        /// Their role.
        role: Role,
        /// What it takes.
        permission: Permission,
    },
    /// There is no such thing.
    #[error("there is no {0}")]
    NotFound(String),
    /// What was given is wrong.
    #[error("{field}: {problem}")]
    Invalid {
        /// Which part of it.
        field: &'static str,
        /// What is wrong with it, and how it has to be.
        problem: String,
    },
    /// Somebody else has changed it meanwhile, or it stands in the way.
    #[error("{0}")]
    Conflict(String),
    /// Name, password or token are not right. Which of them is not said.
    #[error("name or password is wrong")]
    Unrecognised,
    /// Too many wrong passwords.
    #[error("too many wrong passwords; signing in is refused until {0}")]
    LockedOut(Timestamp),
    /// The password is right, and that is not enough.
    #[error("a second factor is needed: send its code, or a recovery code, as well")]
    SecondFactorNeeded,
    /// The second factor is not right.
    #[error("the code is wrong, or was used already")]
    WrongCode,
    /// The password was made by somebody else.
    #[error("the password was made by somebody else: change it first")]
    MustChangePassword,
    /// What was sent is too large.
    #[error("{0}")]
    TooLarge(String),
    /// Others are at it; later it may be possible.
    #[error("{0}")]
    Busy(String),
    /// What was to be written out could not be.
    #[error("write it down")]
    Output(#[source] std::io::Error),
    /// What is sealed cannot be opened, or nothing be sealed.
    #[error("sealed data")]
    Keys(#[from] keys::KeyError),
    /// The database.
    #[error("database")]
    Store(#[from] StoreError),
}

impl CaseworkError {
    /// What was given is wrong.
    pub fn invalid(field: &'static str, problem: impl Into<String>) -> CaseworkError {
        CaseworkError::Invalid { field, problem: problem.into() }
    }
}

/// Connections that casework has at a time: so many requests are served at once, the others wait.
const MAX_CONNECTIONS: usize = 4;

/// Passwords that are hashed at a time, some 50 a second.
const MAX_HASHES: usize = 1;

/// What the configuration says of casework.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Where backups go, and who can read them.
    pub backups: backups::Policy,
    /// `keys.file`: the master keys.
    pub key_file: PathBuf,
    /// `[service_levels]`: what is promised for incidents.
    pub levels: Levels,
    /// `[retention]`: what is kept for how long.
    pub retention: maintenance::Retention,
}

/// The room's entrance. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Casework {
    store: Store,
    settings: Arc<Settings>,
    places: Arc<Semaphore>,
    /// Places for passwords to be hashed in.
    hashing: Arc<Semaphore>,
    /// Places for files on their way in or out.
    transfers: Arc<Semaphore>,
    /// The place for a backup that is being made or tried.
    backing_up: Arc<Semaphore>,
}

impl Casework {
    /// Memory in the worst case, in bytes: passwords that are hashed, for each connection a page with the longest texts, as rows and as
    /// what is written of them, and files on their way.
    pub const WORST_BYTES: usize =
        MAX_HASHES * password::BYTES + MAX_CONNECTIONS * (2 << 20) + files::MAX_TRANSFERS * files::TRANSFER_BYTES;

    /// Over an open store.
    pub fn new(store: Store, settings: Settings) -> Casework {
        Casework {
            store,
            settings: Arc::new(settings),
            places: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            hashing: Arc::new(Semaphore::new(MAX_HASHES)),
            transfers: Arc::new(Semaphore::new(files::MAX_TRANSFERS)),
            backing_up: Arc::new(Semaphore::new(1)),
        }
    }

    /// What the configuration says.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A connection to look something up with.
    async fn look(&self, actor: &Actor, permission: Permission) -> Result<Reading, CaseworkError> {
        allowed(actor, permission)?;
        self.connection().await
    }

    /// Begins a change.
    async fn change<'a>(&self, actor: &'a Actor, permission: Permission) -> Result<Change<'a>, CaseworkError> {
        allowed(actor, permission)?;
        self.begin(actor).await
    }

    /// Begins a change that everybody may make: to what is their own.
    async fn begin<'a>(&self, actor: &'a Actor) -> Result<Change<'a>, CaseworkError> {
        let mut reading = self.connection().await?;
        store::begin(&mut reading.connection).await?;
        Ok(Change { reading, actor, now: Timestamp::now() })
    }

    async fn connection(&self) -> Result<Reading, CaseworkError> {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("nobody closes it");
        Ok(Reading { connection: self.store.connection().await?, store: self.store.clone(), _place: place })
    }
}

fn allowed(actor: &Actor, permission: Permission) -> Result<(), CaseworkError> {
    if actor.must_change_password {
        return Err(CaseworkError::MustChangePassword);
    }
    if actor.role.may(permission) {
        return Ok(());
    }
    Err(CaseworkError::Forbidden { actor: actor.name.clone(), role: actor.role, permission })
}

/// A connection on loan. One that is dropped instead of given back is closed.
struct Reading {
    connection: PgConnection,
    store: Store,
    _place: OwnedSemaphorePermit,
}

impl Reading {
    fn done(self) {
        self.store.keep(self.connection);
    }
}

/// Text that somebody typed: trimmed, within `max` characters, without control characters, of which a line break is none where there may
/// be several lines.
fn text(field: &'static str, text: &str, max: usize) -> Result<String, CaseworkError> {
    let text = text.trim();
    let lines = max > ONE_LINE;
    if text.chars().any(|c| c.is_control() && !(lines && matches!(c, '\n' | '\t'))) {
        return Err(CaseworkError::invalid(field, "there are control characters in it"));
    }
    match text.chars().count() {
        0 => Err(CaseworkError::invalid(field, "is empty")),
        n if n > max => Err(CaseworkError::invalid(field, format!("has {n} characters; at most {max} are taken"))),
        _ => Ok(text.to_owned()),
    }
}

/// Characters of a text of one line.
const ONE_LINE: usize = 500;

/// A transaction that somebody has begun. Dropped, it is rolled back.
struct Change<'a> {
    reading: Reading,
    actor: &'a Actor,
    now: Timestamp,
}

impl Change<'_> {
    fn connection(&mut self) -> &mut PgConnection {
        &mut self.reading.connection
    }

    /// Commits, with what was done.
    async fn commit(mut self, acts: &[Act]) -> Result<(), CaseworkError> {
        audit::append(&mut self.reading.connection, self.actor, self.now, acts).await?;
        store::commit(&mut self.reading.connection).await?;
        self.reading.done();
        Ok(())
    }
}
