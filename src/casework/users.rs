//! Users: who there is, what they may do, and their passwords.

use serde_json::json;

use super::audit::Act;
use super::{Actor, Casework, CaseworkError, ONE_LINE, Permission, Role, password, text};
use crate::record::Timestamp;
use crate::store::users::{self as rows, UserRow};

/// A user, without anything secret.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct User {
    /// What they sign in with.
    pub name: String,
    /// What others call them.
    pub display_name: Option<String>,
    /// Where they are written to.
    pub email: Option<String>,
    /// What they may do.
    #[schema(value_type = Role)]
    pub role: String,
    /// Until when signing in is refused after too many wrong passwords.
    pub locked_until: Option<Timestamp>,
    /// Since when signing in is refused for good.
    pub disabled_at: Option<Timestamp>,
    /// They have yet to change a password that somebody else made.
    pub must_change_password: bool,
    /// Signing in takes a second factor.
    pub second_factor: bool,
    /// Counts changes.
    pub version: i64,
    /// When the account was made.
    pub created_at: Timestamp,
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> User {
        User {
            name: row.name,
            display_name: row.display_name,
            email: row.email,
            role: row.role,
            locked_until: row.locked_until.filter(|until| *until > Timestamp::now()),
            disabled_at: row.disabled_at,
            must_change_password: row.must_change,
            second_factor: row.second_factor,
            version: row.version,
            created_at: row.created_at,
        }
    }
}

/// A user to be made.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// What they sign in with: lower-case letters, digits, `.`, `-` and `_`, beginning with a letter.
    pub name: String,
    /// What others call them.
    pub display_name: Option<String>,
    /// Where they are written to.
    pub email: Option<String>,
    /// What they may do.
    pub role: Role,
}

/// What is to be changed of a user; `None` leaves it.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    /// What they may do.
    pub role: Option<Role>,
    /// Whether signing in is refused for good. Whoever is signed in is no longer.
    pub disabled: Option<bool>,
    /// Ends a lock-out.
    pub unlock: bool,
}

impl Casework {
    /// All users, by name.
    ///
    /// # Errors
    /// Not permitted, or the database.
    pub async fn users(&self, actor: &Actor) -> Result<Vec<User>, CaseworkError> {
        let mut reading = self.look(actor, Permission::ManageUsers).await?;
        let users = rows::all(&mut reading.connection).await?;
        reading.done();
        Ok(users.into_iter().map(User::from).collect())
    }

    /// Makes a user, with a password to be used once, which is returned and kept nowhere.
    ///
    /// # Errors
    /// Not permitted; a name that is none, or taken; the database.
    pub async fn create_user(&self, actor: &Actor, user: &NewUser) -> Result<String, CaseworkError> {
        let row = UserRow {
            id: 0,
            name: user_name(&user.name)?,
            display_name: user.display_name.as_deref().map(|t| text("display_name", t, ONE_LINE)).transpose()?,
            email: user.email.as_deref().map(email).transpose()?,
            role: user.role.as_str().to_owned(),
            password_hash: String::new(),
            must_change: true,
            failed_logins: 0,
            locked_until: None,
            disabled_at: None,
            version: 1,
            created_at: Timestamp::now(),
            updated_at: Timestamp::now(),
            second_factor: false,
        };
        super::allowed(actor, Permission::ManageUsers)?;
        let (secret, password_hash) = self.new_password().await?;
        let row = UserRow { password_hash, ..row };
        let mut change = self.change(actor, Permission::ManageUsers).await?;
        if !rows::insert(change.connection(), &row).await? {
            return Err(CaseworkError::Conflict(format!("there is a user {} already", row.name)));
        }
        let act = Act::new("user.create", subject(&row.name)).values(None, shown(&row));
        change.commit(&[act]).await?;
        Ok(secret)
    }

    /// Makes the first account, `admin`, if there is nobody; returns its password, to be used once.
    ///
    /// # Errors
    /// The database.
    pub async fn create_first_admin(&self) -> Result<Option<String>, CaseworkError> {
        let daemon = Actor::daemon();
        let mut reading = self.look(&daemon, Permission::ManageUsers).await?;
        let nobody = rows::all(&mut reading.connection).await?.is_empty();
        reading.done();
        if !nobody {
            return Ok(None);
        }
        let admin = NewUser { name: "admin".to_owned(), display_name: None, email: None, role: Role::Admin };
        match self.create_user(&daemon, &admin).await {
            Ok(secret) => Ok(Some(secret)),
            // Another daemon that starts at the same time was faster.
            Err(CaseworkError::Conflict(_)) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Changes what a user may do. There is always an admin who can sign in.
    ///
    /// # Errors
    /// Not permitted; no such user; the last admin; somebody changed the user since `version`; the database.
    pub async fn change_user(
        &self,
        actor: &Actor,
        name: &str,
        wanted: &UserChange,
        version: Option<i64>,
    ) -> Result<User, CaseworkError> {
        let mut change = self.change(actor, Permission::ManageUsers).await?;
        let before = rows::by_name_to_change(change.connection(), name).await?;
        let before = before.ok_or_else(|| CaseworkError::NotFound(format!("user {name:?}")))?;
        if let Some(seen) = version.filter(|seen| *seen != before.version) {
            let problem = format!("user {name} was changed since version {seen}; it has version {} now", before.version);
            return Err(CaseworkError::Conflict(problem));
        }
        let mut after = before.clone();
        if let Some(role) = wanted.role {
            role.as_str().clone_into(&mut after.role);
        }
        if let Some(disabled) = wanted.disabled {
            after.disabled_at = disabled.then(|| before.disabled_at.unwrap_or(change.now));
        }
        if wanted.unlock {
            (after.failed_logins, after.locked_until) = (0, None);
        }
        let was_admin = before.role == "admin" && before.disabled_at.is_none();
        let is_admin = after.role == "admin" && after.disabled_at.is_none();
        if was_admin && !is_admin && rows::other_admins(change.connection(), before.id).await? == 0 {
            return Err(CaseworkError::Conflict(format!("{name} is the last admin; make another one first")));
        }
        let now = change.now;
        rows::update(change.connection(), &after, now).await?;
        if after.disabled_at.is_some() {
            rows::end_sessions_of(change.connection(), after.id).await?;
        }
        let act = Act::new("user.change", subject(name)).values(shown(&before), shown(&after));
        change.commit(&[act]).await?;
        Ok(User::from(UserRow { version: before.version + 1, ..after }))
    }

    /// Gives a user a new password to be used once, which is returned, and ends their sessions.
    ///
    /// # Errors
    /// Not permitted; no such user; the database.
    pub async fn reset_password(&self, actor: &Actor, name: &str) -> Result<String, CaseworkError> {
        super::allowed(actor, Permission::ManageUsers)?;
        let (secret, password_hash) = self.new_password().await?;
        let mut change = self.change(actor, Permission::ManageUsers).await?;
        let before = rows::by_name_to_change(change.connection(), name).await?;
        let before = before.ok_or_else(|| CaseworkError::NotFound(format!("user {name:?}")))?;
        let now = change.now;
        let after = UserRow { password_hash, must_change: true, failed_logins: 0, locked_until: None, ..before };
        rows::update(change.connection(), &after, now).await?;
        rows::end_sessions_of(change.connection(), after.id).await?;
        change.commit(&[Act::new("user.reset_password", subject(name))]).await?;
        Ok(secret)
    }

    /// Changes one's own password, and ends one's sessions, this one too.
    ///
    /// # Errors
    /// The old one is wrong; the new one is easily guessed, or the old one; the database.
    pub async fn change_own_password(&self, actor: &Actor, old: String, new: String) -> Result<(), CaseworkError> {
        let mut reading = self.connection().await?;
        let user = rows::by_name(&mut reading.connection, &actor.name).await?;
        reading.done();
        let user = user.ok_or_else(|| CaseworkError::NotFound(format!("user {:?}", actor.name)))?;
        if old == new {
            return Err(CaseworkError::invalid("password", "is the old one"));
        }
        let about: Vec<&str> =
            [Some(&user.name), user.display_name.as_ref(), user.email.as_ref()].into_iter().flatten().map(|t| &**t).collect();
        password::check(&new, &about)?;
        let place = self.hashing.acquire().await.expect("nobody closes it");
        if !password::verify(old, Some(user.password_hash.clone())).await {
            return Err(CaseworkError::Unrecognised);
        }
        let password_hash = password::hash(new).await;
        drop(place);
        let mut change = self.begin(actor).await?;
        let before = rows::by_name_to_change(change.connection(), &actor.name).await?;
        let Some(before) = before.filter(|now| now.password_hash == user.password_hash) else {
            return Err(CaseworkError::Conflict("the password was changed meanwhile".to_owned()));
        };
        let now = change.now;
        let after = UserRow { password_hash, must_change: false, failed_logins: 0, locked_until: None, ..before };
        rows::update(change.connection(), &after, now).await?;
        rows::end_sessions_of(change.connection(), after.id).await?;
        change.commit(&[Act::new("user.change_password", subject(&after.name))]).await
    }

    /// A password to be used once, and its hash.
    async fn new_password(&self) -> Result<(String, String), CaseworkError> {
        let secret = password::one_time().map_err(|e| CaseworkError::Conflict(format!("no random numbers: {e}")))?;
        let _place = self.hashing.acquire().await.expect("nobody closes it");
        let hash = password::hash(secret.clone()).await;
        Ok((secret, hash))
    }
}

/// What the audit log calls a user.
pub(super) fn subject(name: &str) -> String {
    format!("user:{name}")
}

/// What the audit log shows of a user.
fn shown(row: &UserRow) -> serde_json::Value {
    json!({
        "role": row.role,
        "display_name": row.display_name,
        "email": row.email,
        "disabled": row.disabled_at.is_some(),
        "locked": row.locked_until.is_some(),
    })
}

fn user_name(name: &str) -> Result<String, CaseworkError> {
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 64
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_'));
    if is_name {
        return Ok(name.to_owned());
    }
    let problem = "has to be lower-case letters, digits, dots, hyphens and underscores, at most 64, beginning with a letter";
    Err(CaseworkError::invalid("name", problem))
}

/// Enough of RFC 5321 to catch a slip of the fingers; whether it works is known when something was sent there.
fn email(address: &str) -> Result<String, CaseworkError> {
    let address = text("email", address, 254)?;
    let is_address =
        address.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
    if is_address && !address.contains(char::is_whitespace) {
        return Ok(address);
    }
    Err(CaseworkError::invalid("email", "is no e-mail address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_what_they_should_be() {
        for (name, taken) in
            [("ada", true), ("a.b-c_9", true), ("Ada", false), ("9a", false), ("", false), ("os:root", false), ("a b", false)]
        {
            assert_eq!(user_name(name).is_ok(), taken, "{name:?}");
        }
        for (address, taken) in
            [("ada@example.org", true), ("@x", false), ("a@", false), ("a b@x", false), ("a@b@c", false), ("a\n@x", false)]
        {
            assert_eq!(email(address).is_ok(), taken, "{address:?}");
        }
    }
}
