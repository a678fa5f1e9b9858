//! The audit log: who did what, each row chained to the one before it by its hash, so that whoever changes or removes a row behind our
//! back would have to change all rows after it, and the head.

use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnection;

use super::{Actor, Casework, CaseworkError, Permission};
use crate::record::Timestamp;
use crate::store::audit::{self as rows, Row};

pub use crate::store::audit::AuditFilter;

/// Something that was done.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    /// What: `user.create`.
    pub action: &'static str,
    /// To what: `user:ada`.
    pub subject: String,
    /// What was changed, as it was.
    pub old: Option<Value>,
    /// What was changed, as it is.
    pub new: Option<Value>,
    /// Why, where that has to be said.
    pub reason: Option<String>,
}

impl Act {
    /// Something that made or changed nothing worth showing.
    pub fn new(action: &'static str, subject: impl Into<String>) -> Act {
        Act { action, subject: subject.into(), old: None, new: None, reason: None }
    }

    /// With what was changed.
    #[must_use]
    pub fn values(mut self, old: impl Into<Option<Value>>, new: impl Into<Option<Value>>) -> Act {
        (self.old, self.new) = (old.into(), new.into());
        self
    }

    /// With the reason that was given.
    #[must_use]
    pub fn because(mut self, reason: Option<&str>) -> Act {
        self.reason = reason.map(str::to_owned);
        self
    }
}

/// Appends rows, in the transaction of what they tell of. Whoever else appends waits until that has ended.
pub(super) async fn append(
    connection: &mut PgConnection,
    actor: &Actor,
    now: Timestamp,
    acts: &[Act],
) -> Result<(), CaseworkError> {
    let (mut id, mut previous) = rows::lock_head(connection).await?;
    for act in acts {
        id += 1;
        let json = |value: &Option<Value>| value.as_ref().map(Value::to_string);
        let mut row = Row {
            id,
            at: now,
            actor: actor.name.clone(),
            role: actor.role.as_str().to_owned(),
            via: actor.via.as_str().to_owned(),
            address: actor.address.map(|a| a.to_string()),
            action: act.action.to_owned(),
            subject: act.subject.clone(),
            old: json(&act.old),
            new: json(&act.new),
            reason: act.reason.clone(),
            previous,
            hash: Vec::new(),
        };
        row.hash = hash(&row);
        rows::append(connection, &row).await?;
        previous = row.hash;
    }
    rows::set_head(connection, id, &previous).await?;
    Ok(())
}

/// SHA-256 over the hash of the row before and every column, each with its length before it and told apart from one that is missing.
fn hash(row: &Row) -> Vec<u8> {
    let mut hasher = Sha256::new();
    let mut add = |bytes: Option<&[u8]>| match bytes {
        None => hasher.update([0]),
        Some(bytes) => {
            hasher.update([1]);
            hasher.update((bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        }
    };
    add(Some(&row.previous));
    add(Some(&row.id.to_be_bytes()));
    add(Some(&row.at.as_micros().to_be_bytes()));
    for text in [&row.actor, &row.role, &row.via, &row.action, &row.subject] {
        add(Some(text.as_bytes()));
    }
    for text in [&row.address, &row.old, &row.new, &row.reason] {
        add(text.as_deref().map(str::as_bytes));
    }
    hasher.finalize().to_vec()
}

/// Acts on a page.
pub const MAX_PAGE: usize = 500;
/// Bytes of values after which a page ends, however few acts there are on it; the last one may be longer.
const PAGE_BYTES: usize = 1 << 20;

/// A row of the audit log, for people.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = Act)]
pub struct Entry {
    /// 1, 2, 3, … without gaps.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Who: the name of a user, or `os:<name>` for somebody at the machine itself.
    pub actor: String,
    /// What they were allowed to do at that time.
    pub role: String,
    /// Through which door.
    pub via: String,
    /// From where, for those that came over the network.
    pub address: Option<String>,
    /// What.
    pub action: String,
    /// To what.
    pub subject: String,
    /// What was changed, as it was.
    pub old: Option<Value>,
    /// What was changed, as it is.
    pub new: Option<Value>,
    /// Why, where that had to be said.
    pub reason: Option<String>,
    /// Hash of the row, in hexadecimal digits.
    pub hash: String,
}

impl From<Row> for Entry {
    fn from(row: Row) -> Entry {
        // The column is json, so there is nothing else in it.
        let value = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
        Entry {
            id: row.id,
            at: row.at,
            actor: row.actor,
            role: row.role,
            via: row.via,
            address: row.address,
            action: row.action,
            subject: row.subject,
            old: value(row.old),
            new: value(row.new),
            reason: row.reason,
            hash: hexadecimal(&row.hash),
        }
    }
}

impl Casework {
    /// What people did, the newest first, from before a row on; and the row before which there is more.
    ///
    /// # Errors
    /// Not permitted, or the database.
    pub async fn audit(
        &self,
        actor: &Actor,
        filter: &AuditFilter,
        before: Option<i64>,
        limit: usize,
    ) -> Result<(Vec<Entry>, Option<i64>), CaseworkError> {
        let mut reading = self.look(actor, Permission::ReadAudit).await?;
        let limit = limit.clamp(1, MAX_PAGE);
        // One more tells whether there is another page.
        let (mut found, is_cut) = rows::list(&mut reading.connection, filter, before, limit as i64 + 1, PAGE_BYTES).await?;
        if !is_cut {
            reading.done();
        }
        let more = is_cut || found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|row| row.id);
        Ok((found.into_iter().map(Entry::from).collect(), next))
    }
}

/// What checking the audit log came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Rows that were looked at, up to the first that is not as it was written.
    pub rows: u64,
    /// Hash of the last row, in hexadecimal digits: to be noted somewhere else, and compared later.
    pub head: String,
    /// The first row that is not as it was written, and what is wrong with it.
    pub tampered: Option<(i64, &'static str)>,
}

impl Casework {
    /// Checks every row of the audit log, as of one moment. `noted` is the head that an earlier check told, in hexadecimal digits: it must
    /// be among the rows. `progress` is told of each.
    ///
    /// # Errors
    /// Not permitted, or the database.
    pub async fn check_audit(
        &self,
        actor: &Actor,
        noted: Option<&str>,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Checked, CaseworkError> {
        let mut reading = self.look(actor, Permission::ReadAudit).await?;
        let mut chain = Chain { next: 1, previous: vec![0; 32], tampered: None };
        let mut met = noted.is_none();
        let head = rows::each(&mut reading.connection, &mut |row| {
            progress(chain.next.unsigned_abs());
            met |= noted.is_some_and(|noted| noted == hexadecimal(&row.hash));
            chain.goes_on_with(row)
        })
        .await?;
        reading.done();
        let rows = chain.next.unsigned_abs() - 1;
        if chain.tampered.is_none() && head != (chain.next - 1, chain.previous.clone()) {
            chain.tampered = Some((chain.next, "it is missing: the log ends before it, and its head says that it was written"));
        }
        if chain.tampered.is_none() && !met {
            chain.tampered = Some((chain.next, "no row has the head that was noted: the log was written anew"));
        }
        let head = hexadecimal(&chain.previous);
        Ok(Checked { rows, head, tampered: chain.tampered })
    }
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Chain {
    next: i64,
    previous: Vec<u8>,
    tampered: Option<(i64, &'static str)>,
}

impl Chain {
    /// False at the first row that does not follow on.
    fn goes_on_with(&mut self, row: &Row) -> bool {
        self.tampered = if row.id != self.next {
            Some((self.next, "it is missing"))
        } else if row.previous != self.previous {
            Some((row.id, "it does not follow on the row before it: that one was replaced, or this one"))
        } else if hash(row) != row.hash {
            Some((row.id, "it was changed after it was written"))
        } else {
            None
        };
        if self.tampered.is_none() {
            self.next += 1;
            self.previous.clone_from(&row.hash);
        }
        self.tampered.is_none()
    }
}
