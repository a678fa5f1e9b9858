//! Signing in, and who holds a token.

use std::net::IpAddr;

use sha2::{Digest, Sha256};

use super::audit::Act;
use super::users::subject;
use super::{Actor, Casework, CaseworkError, Change, Reading, Role, Via, password};
use crate::random;
use crate::record::Timestamp;
use crate::store::users::{self as rows, Holder, UserRow};

/// A session that is not used for so long has ended.
pub const IDLE_MICROS: i64 = 30 * 60 * 1_000_000;
/// A session ends then, however much it is used.
pub const LONGEST_MICROS: i64 = 12 * 60 * 60 * 1_000_000;
/// After so many wrong passwords …
pub const MAX_FAILURES: i32 = 5;
/// … signing in is refused for so long.
pub const LOCK_MICROS: i64 = 15 * 60 * 1_000_000;
/// That something was used is written down at most so often.
const TOUCH_MICROS: i64 = 60 * 1_000_000;

/// What a session's token begins with, so that people and scanners know what they have found.
const SESSION_PREFIX: &str = "tcs_";
/// What the token of a program begins with.
pub(super) const TOKEN_PREFIX: &str = "tct_";

/// From where somebody comes.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// Their address.
    pub address: Option<IpAddr>,
    /// What they come with, as it says itself.
    pub user_agent: Option<String>,
}

/// What somebody shows to be let in.
pub struct Proof {
    /// What they know.
    pub password: String,
    /// What their second factor says, if they have one.
    pub code: Option<String>,
}

impl From<String> for Proof {
    fn from(password: String) -> Proof {
        Proof { password, code: None }
    }
}

impl Casework {
    /// Begins a session; returns its token, which is kept nowhere.
    ///
    /// # Errors
    /// [`CaseworkError::Unrecognised`], [`CaseworkError::LockedOut`], [`CaseworkError::SecondFactorNeeded`], [`CaseworkError::WrongCode`];
    /// a key is missing; the database.
    pub async fn sign_in(
        &self,
        name: &str,
        proof: impl Into<Proof>,
        via: Via,
        origin: &Origin,
    ) -> Result<(String, Actor), CaseworkError> {
        let Proof { password: secret, code } = proof.into();
        let mut reading = self.connection().await?;
        let user = rows::by_name(&mut reading.connection, name).await?;
        reading.done();
        let fits = {
            let _place = self.hashing.acquire().await.expect("nobody closes it");
            password::verify(secret, user.as_ref().map(|user| user.password_hash.clone())).await
        };
        let nobody = Actor {
            name: user.as_ref().map_or("unknown", |user| &user.name).to_owned(),
            role: Role::Viewer,
            via,
            address: origin.address,
            user_id: None,
            must_change_password: false,
        };
        let mut change = self.begin(&nobody).await?;
        let now = change.now;
        let Some(seen) = user else {
            // What was typed is not written down: it may be a password in the wrong field.
            change.commit(&[Act::new("session.refuse", "user:unknown")]).await?;
            return Err(CaseworkError::Unrecognised);
        };
        // Again, since somebody else may try passwords of this user at the same time.
        let user = rows::by_name_to_change(change.connection(), name).await?.ok_or(CaseworkError::Unrecognised)?;
        if let Some(until) = user.locked_until.filter(|until| *until > now) {
            change.commit(&[Act::new("session.refuse", subject(name)).because(Some("locked out"))]).await?;
            return Err(CaseworkError::LockedOut(until));
        }
        if !fits || user.disabled_at.is_some() || user.password_hash != seen.password_hash {
            return Err(change.refuse_sign_in(&user, CaseworkError::Unrecognised).await);
        }
        match self.check_second_factor(&mut change, user.id, code.as_deref()).await {
            Ok(()) => {}
            Err(error @ CaseworkError::WrongCode) => return Err(change.refuse_sign_in(&user, error).await),
            Err(error @ CaseworkError::SecondFactorNeeded) => {
                change.commit(&[Act::new("session.refuse", subject(name)).because(Some("second factor needed"))]).await?;
                return Err(error);
            }
            Err(error) => return Err(error),
        }
        let token = make_token(SESSION_PREFIX)?;
        rows::note_attempt(change.connection(), user.id, 0, None).await?;
        rows::forget_sessions(change.connection(), now.plus_micros(-LONGEST_MICROS), now.plus_micros(-IDLE_MICROS)).await?;
        let agent =
            origin.user_agent.as_deref().map(|agent| agent.chars().filter(|c| !c.is_control()).take(200).collect::<String>());
        rows::begin_session(change.connection(), &hash(&token), user.id, now, origin.address, agent.as_deref()).await?;
        change.commit(&[Act::new("session.begin", subject(name))]).await?;
        let actor = Actor {
            role: user.role.parse().unwrap_or(Role::Viewer),
            user_id: Some(user.id),
            must_change_password: user.must_change,
            ..nobody
        };
        Ok((token, actor))
    }

    /// Who holds the token of a session or of a program.
    ///
    /// # Errors
    /// [`CaseworkError::Unrecognised`], or the database.
    pub async fn recognise(&self, token: &str, via: Via, address: Option<IpAddr>) -> Result<Actor, CaseworkError> {
        let now = Timestamp::now();
        let (mut reading, holder) = self.holder(token, now).await?;
        // Beside the requests themselves that would be a write for each of them.
        if holder.last_used_at.is_none_or(|last| now.micros_since(last) > TOUCH_MICROS) {
            match token.starts_with(SESSION_PREFIX) {
                true => rows::touch_session(&mut reading.connection, &hash(token), now).await?,
                false => rows::touch_token(&mut reading.connection, &hash(token), now).await?,
            }
        }
        reading.done();
        Ok(actor(holder, via, address))
    }

    /// The same of somebody who was recognised before and does nothing: a session does not go on because of it.
    ///
    /// # Errors
    /// [`CaseworkError::Unrecognised`], or the database.
    pub async fn still_recognise(&self, token: &str, via: Via, address: Option<IpAddr>) -> Result<Actor, CaseworkError> {
        let (reading, holder) = self.holder(token, Timestamp::now()).await?;
        reading.done();
        Ok(actor(holder, via, address))
    }

    async fn holder(&self, token: &str, now: Timestamp) -> Result<(Reading, Holder), CaseworkError> {
        let is_session = token.starts_with(SESSION_PREFIX);
        if !is_session && !token.starts_with(TOKEN_PREFIX) {
            return Err(CaseworkError::Unrecognised);
        }
        let mut reading = self.connection().await?;
        let (connection, hash) = (&mut reading.connection, hash(token));
        let holder = if is_session {
            rows::session(connection, &hash, now.plus_micros(-LONGEST_MICROS), now.plus_micros(-IDLE_MICROS)).await?
        } else {
            rows::token(connection, &hash, now).await?
        };
        match holder {
            Some(holder) => Ok((reading, holder)),
            None => {
                reading.done();
                Err(CaseworkError::Unrecognised)
            }
        }
    }

    /// Ends the session of that token, if it is one.
    ///
    /// # Errors
    /// The database.
    pub async fn sign_out(&self, actor: &Actor, token: &str) -> Result<(), CaseworkError> {
        let mut change = self.begin(actor).await?;
        if rows::end_session(change.connection(), &hash(token)).await? {
            change.commit(&[Act::new("session.end", subject(&actor.name))]).await?;
        }
        Ok(())
    }

    /// Ends every session of a user: one's own, or anybody's by an admin. Returns how many those were.
    ///
    /// # Errors
    /// Not permitted; no such user; the database.
    pub async fn end_sessions(&self, actor: &Actor, name: &str) -> Result<u64, CaseworkError> {
        if actor.name != name {
            super::allowed(actor, super::Permission::ManageUsers)?;
        }
        let mut change = self.begin(actor).await?;
        let user = rows::by_name(change.connection(), name).await?;
        let user = user.ok_or_else(|| CaseworkError::NotFound(format!("user {name:?}")))?;
        let ended = rows::end_sessions_of(change.connection(), user.id).await?;
        change
            .commit(&[Act::new("session.end_all", subject(name)).values(None, serde_json::json!({ "sessions": ended }))])
            .await?;
        Ok(ended)
    }
}

fn actor(holder: Holder, via: Via, address: Option<IpAddr>) -> Actor {
    let Holder { user_id, name, role, must_change, .. } = holder;
    let role = role.parse().unwrap_or(Role::Viewer);
    Actor { name, role, via, address, user_id: Some(user_id), must_change_password: must_change }
}

impl Change<'_> {
    /// Counts a wrong password or code, and commits; returns what to say about it.
    pub(super) async fn refuse_sign_in(mut self, user: &UserRow, why: CaseworkError) -> CaseworkError {
        let failures = user.failed_logins + 1;
        let (failures, locked_until) =
            if failures >= MAX_FAILURES { (0, Some(self.now.plus_micros(LOCK_MICROS))) } else { (failures, None) };
        let reason = matches!(why, CaseworkError::WrongCode).then_some("wrong code");
        let mut acts = vec![Act::new("session.refuse", subject(&user.name)).because(reason)];
        acts.extend(locked_until.map(|_| Act::new("user.lock", subject(&user.name)).because(Some("too many wrong passwords"))));
        if let Err(error) = rows::note_attempt(self.connection(), user.id, failures, locked_until).await {
            return error.into();
        }
        if let Err(error) = self.commit(&acts).await {
            return error;
        }
        locked_until.map_or(why, CaseworkError::LockedOut)
    }
}

/// 256 bits of chance behind a prefix.
pub(super) fn make_token(prefix: &str) -> Result<String, CaseworkError> {
    let digits = random::hex(32).map_err(|e| CaseworkError::Conflict(format!("no random numbers: {e}")))?;
    Ok(format!("{prefix}{digits}"))
}

/// What the database keeps of a token: there is nothing to guess in 256 bits, so it takes no salt and no slow hash.
pub(super) fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}
