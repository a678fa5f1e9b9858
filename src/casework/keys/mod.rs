//! Keys: what is sealed in the database can be opened only with a master key, and those are in a file, never in the database.
//!
//! ```text
//!  master key ──seals──▶ data key of an incident ──seals──▶ its parties
//!  (in a file)     │                            └─seals──▶ file keys ──seal──▶ chunks of files
//!                  └───▶ data keys of the system: blind index, second factors
//! ```
//!
//! So a new master key is a matter of the data keys alone, which are few and small: what they seal stays as it is. An erased person's
//! incident gets a new data key, so that the old one opens nothing that is kept, and nothing that is kept opens the old.
//!
//! Whoever seals a data key holds a lock that many may hold; whoever changes the file holds it alone: a master key is never taken out of
//! the file while somebody seals with it.

mod ring;
pub mod seal;

use std::path::PathBuf;

use serde_json::json;

use super::audit::Act;
use super::{Actor, Casework, CaseworkError, Change, Permission};
use crate::record::Timestamp;
use crate::store::audit as acts;
use crate::store::keys::{self as rows, Owner, Wrapped};
pub use ring::Ring;
pub use seal::{Key, Place};

/// What the audit log calls it that a master key was made.
const ADDED: &str = "keys.add";
/// Data keys that get a new master key in one transaction.
const BATCH: i64 = 100;

/// Why something sealed cannot be opened, or nothing sealed. Nothing in it is secret.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is no file.
    #[error("there is no key file {}, and data is sealed with the master key {id} of it: put it back from where a copy is kept", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
        /// One that is needed.
        id: String,
    },
    /// Nothing has made the file yet.
    #[error("there is no key file {} yet: the daemon makes it when it starts", .0.display())]
    NotYet(PathBuf),
    /// The file lacks a key.
    #[error("the master key {id} is not in {}, and data is sealed with it: put it back from where a copy is kept", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// Which key.
        id: String,
    },
    /// Others may read it.
    #[error("others may read the key file {} (its mode is {mode:o}): chmod 600 it", path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// There is something else in it.
    #[error("{}, line {line}: no master key, which is 16 hexadecimal digits, a space, and 32 bytes in base64", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where.
        line: usize,
    },
    /// No more go into it.
    #[error("there are {most} master keys in {} already: \"tocsin keys rotate --forget-old\" takes out those that are not needed", path.display())]
    TooMany {
        /// The file.
        path: PathBuf,
        /// How many there may be.
        most: usize,
    },
    /// The file cannot be read or written.
    #[error("{what} the key file {}", path.display())]
    File {
        /// What was attempted.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something sealed does not open.
    #[error("the sealed {0} does not open: it was changed behind our back, or belongs elsewhere")]
    Broken(String),
    /// The kernel gives no chance.
    #[error("no random numbers")]
    Chance(#[source] std::io::Error),
}

/// The master keys, and what is sealed with them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct KeyStatus {
    /// The key file.
    #[schema(value_type = String)]
    pub file: PathBuf,
    /// Each master key, the newest last; those that are missing first.
    pub keys: Vec<MasterKey>,
}

/// A master key, without itself.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct MasterKey {
    /// Its id.
    pub id: String,
    /// Whether it is in the file.
    pub present: bool,
    /// When it was made, as the audit log has it; null for one that came from elsewhere.
    pub made_at: Option<Timestamp>,
    /// How many data keys are sealed with it.
    pub data_keys: i64,
    /// Of how many incidents people and files are sealed with it.
    pub incidents: i64,
}

/// What a rotation came to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Rotated {
    /// The master key that everything is sealed with now.
    pub key: String,
    /// How many data keys were sealed anew; those that an interrupted rotation had done are not counted.
    pub data_keys: u64,
    /// Master keys that were taken out of the file.
    pub forgotten: Vec<String>,
}

impl Owner {
    fn place(self) -> Place {
        match self {
            Owner::Incident(id) => Place::new("data key of incident", &[id]),
            Owner::BlindIndex | Owner::SecondFactor => Place::new(self.purpose().unwrap_or_default(), &[]),
        }
    }
}

impl Casework {
    /// Makes the key file at the first start, and says what is wrong with it at any other.
    ///
    /// # Errors
    /// It cannot be made or read, or lacks a key that something is sealed with; the database.
    pub async fn prepare_keys(&self) -> Result<(), CaseworkError> {
        let daemon = Actor::daemon();
        let mut change = self.change(&daemon, Permission::Maintain).await?;
        rows::lock_master_keys(change.connection()).await?;
        let used = rows::by_master_key(change.connection()).await?;
        let path = &self.settings.key_file;
        match (Ring::read(path)?, used.first()) {
            (Some(mut ring), _) => {
                for used in &used {
                    ring.get(&used.master_key_id)?;
                }
                Ok(())
            }
            (None, Some(used)) => Err(KeyError::Missing { path: path.clone(), id: used.master_key_id.clone() }.into()),
            (None, None) => {
                let ring = Ring::create(path)?;
                change.commit(&[Act::new(ADDED, subject(ring.newest().0))]).await
            }
        }
    }

    /// The master keys, as the file has them now.
    pub(super) fn ring(&self) -> Result<Ring, KeyError> {
        let path = &self.settings.key_file;
        Ring::read(path)?.ok_or_else(|| KeyError::NotYet(path.clone()))
    }

    /// The master keys, and what is sealed with them.
    ///
    /// # Errors
    /// Not permitted; the key file cannot be read; the database.
    pub async fn key_status(&self, actor: &Actor) -> Result<KeyStatus, CaseworkError> {
        let mut reading = self.look(actor, Permission::Maintain).await?;
        let used = rows::by_master_key(&mut reading.connection).await?;
        let ring = Ring::read(&self.settings.key_file)?;
        let present: Vec<&str> = ring.iter().flat_map(Ring::ids).collect();
        let missing = used.iter().map(|used| &*used.master_key_id).filter(|id| !present.contains(id));
        let ids: Vec<(&str, bool)> = missing.map(|id| (id, false)).chain(present.iter().map(|id| (*id, true))).collect();
        let subjects: Vec<String> = ids.iter().map(|(id, _)| subject(id)).collect();
        let made = acts::first_times(&mut reading.connection, ADDED, &subjects).await?;
        reading.done();
        let keys = ids.into_iter().map(|(id, present)| {
            let made_at = made.iter().find(|(of, _)| *of == subject(id)).map(|(_, at)| *at);
            let (data_keys, incidents) =
                used.iter().find(|used| used.master_key_id == id).map_or((0, 0), |used| (used.data_keys, used.incidents));
            MasterKey { id: id.to_owned(), present, made_at, data_keys, incidents }
        });
        Ok(KeyStatus { file: self.settings.key_file.clone(), keys: keys.collect() })
    }

    /// Seals all data keys with a new master key, while others work. An interrupted rotation is taken up where it was. `progress` is told
    /// how many data keys are done, and of how many.
    ///
    /// # Errors
    /// Not permitted; the key file cannot be read or written; a master key is missing; the database. What was done until then stays.
    pub async fn rotate_keys(
        &self,
        actor: &Actor,
        forget_old: bool,
        progress: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<Rotated, CaseworkError> {
        let mut ring = self.add_master_key(actor).await?;
        let key = ring.newest().0.to_owned();
        let (mut done, mut behind) = (0, 0);
        let mut reading = self.look(actor, Permission::Maintain).await?;
        let all = rows::sealed_otherwise(&mut reading.connection, &key).await?;
        reading.done();
        progress(done, all);
        loop {
            let mut change = self.change(actor, Permission::Maintain).await?;
            // Those that are made from now on are sealed with the newest, so one pass meets all others.
            let batch = rows::sealed_otherwise_to_change(change.connection(), &key, behind, BATCH).await?;
            let Some((last, ..)) = batch.last() else { break };
            behind = *last;
            for (id, owner, wrapped) in &batch {
                let data_key = open(&mut ring, *owner, wrapped)?;
                let wrapped = ring.get(&key)?.wrap(&owner.place(), &data_key)?;
                rows::rewrap(change.connection(), *id, &Wrapped { master_key_id: key.clone(), wrapped }).await?;
            }
            let act = Act::new("keys.rewrap", subject(&key)).values(None, json!({ "data_keys": batch.len() }));
            change.commit(&[act]).await?;
            done += batch.len() as u64;
            progress(done, all.max(done));
        }
        let forgotten = if forget_old { self.forget_master_keys(actor).await? } else { Vec::new() };
        Ok(Rotated { key, data_keys: done, forgotten })
    }

    /// Adds a master key to the file; none where something is still to be sealed with the newest, since a rotation was interrupted.
    async fn add_master_key(&self, actor: &Actor) -> Result<Ring, CaseworkError> {
        let mut change = self.change(actor, Permission::Maintain).await?;
        rows::lock_master_keys(change.connection()).await?;
        let mut ring = self.ring()?;
        if rows::sealed_otherwise(change.connection(), ring.newest().0).await? > 0 {
            return Ok(ring);
        }
        ring.add()?;
        let act = Act::new(ADDED, subject(ring.newest().0));
        change.commit(&[act]).await?;
        Ok(ring)
    }

    /// Takes master keys out of the file that nothing is sealed with.
    async fn forget_master_keys(&self, actor: &Actor) -> Result<Vec<String>, CaseworkError> {
        let mut change = self.change(actor, Permission::Maintain).await?;
        rows::lock_master_keys(change.connection()).await?;
        let used = rows::by_master_key(change.connection()).await?;
        let mut ring = self.ring()?;
        let old = ring.ids().filter(|id| *id != ring.newest().0 && !used.iter().any(|used| used.master_key_id == *id));
        let old: Vec<String> = old.map(str::to_owned).collect();
        if !old.is_empty() {
            ring.forget(&old)?;
            let acts: Vec<Act> = old.iter().map(|id| Act::new("keys.forget", subject(id))).collect();
            change.commit(&acts).await?;
        }
        Ok(old)
    }
}

impl Change<'_> {
    /// The data key of that owner, which is made where there is none. Of an incident the row is to be locked before.
    pub(super) async fn data_key(&mut self, ring: &mut Ring, owner: Owner) -> Result<Key, CaseworkError> {
        if let Some(found) = rows::data_key(self.connection(), owner).await? {
            return Ok(open(ring, owner, &found)?);
        }
        let now = self.now;
        rows::share_master_keys(self.connection()).await?;
        let made = wrap_with_newest(ring, owner, &Key::new()?)?;
        rows::insert(self.connection(), owner, &made, now).await?;
        // Somebody else may have been faster.
        let found = rows::data_key(self.connection(), owner).await?;
        let found = found.ok_or_else(|| KeyError::Broken(owner.place().to_string()))?;
        Ok(open(ring, owner, &found)?)
    }

    /// Gives an incident a new data key; returns the old one, if it had one, and the new one.
    pub(super) async fn replace_data_key(&mut self, ring: &mut Ring, incident: i64) -> Result<Option<(Key, Key)>, CaseworkError> {
        let (owner, now) = (Owner::Incident(incident), self.now);
        rows::share_master_keys(self.connection()).await?;
        let Some(found) = rows::data_key_to_change(self.connection(), owner).await? else { return Ok(None) };
        let (old, new) = (open(ring, owner, &found)?, Key::new()?);
        let wrapped = wrap_with_newest(ring, owner, &new)?;
        rows::replace(self.connection(), owner, &wrapped, now).await?;
        Ok(Some((old, new)))
    }
}

/// Opens a data key.
pub(super) fn open(ring: &mut Ring, owner: Owner, wrapped: &Wrapped) -> Result<Key, KeyError> {
    ring.get(&wrapped.master_key_id)?.unwrap(&owner.place(), &wrapped.wrapped)
}

/// Seals a data key as the file has it at this moment; the caller has the lock under which nobody takes keys out of it.
fn wrap_with_newest(ring: &mut Ring, owner: Owner, key: &Key) -> Result<Wrapped, KeyError> {
    let path = ring.path().to_owned();
    *ring = Ring::read(&path)?.ok_or(KeyError::NotYet(path))?;
    let (id, master) = ring.newest();
    Ok(Wrapped { master_key_id: id.to_owned(), wrapped: master.wrap(&owner.place(), key)? })
}

/// What the audit log calls a master key.
fn subject(id: &str) -> String {
    format!("master-key:{id}")
}
