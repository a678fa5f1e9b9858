//! Tokens for programs.

use serde_json::json;

use super::audit::Act;
use super::sessions::{TOKEN_PREFIX, hash, make_token};
use super::{Actor, Casework, CaseworkError, ONE_LINE, Permission, Role, text};
use crate::store::users::{self as rows, TokenRow};

/// A token lives at most so long.
pub const MAX_DAYS: u32 = 366;

impl Casework {
    /// All tokens, by user and name; for who is no admin, their own.
    ///
    /// # Errors
    /// The database.
    pub async fn tokens(&self, actor: &Actor) -> Result<Vec<TokenRow>, CaseworkError> {
        let everybody = actor.role.may(Permission::ManageUsers);
        let mut reading = self.look(actor, Permission::ReadIncidents).await?;
        let tokens = rows::tokens(&mut reading.connection).await?;
        reading.done();
        Ok(tokens.into_iter().filter(|token| everybody || token.user == actor.name).collect())
    }

    /// Makes a token on behalf of a user: of oneself, or of anybody by an admin. Returns its secret, which is kept nowhere.
    ///
    /// # Errors
    /// Not permitted; a role above that of the user; a name that is taken; the database.
    pub async fn create_token(
        &self,
        actor: &Actor,
        user: &str,
        name: &str,
        role: Role,
        days: u32,
    ) -> Result<String, CaseworkError> {
        super::allowed(actor, if actor.name == user { Permission::ReadIncidents } else { Permission::ManageUsers })?;
        let name = text("name", name, ONE_LINE)?;
        if !(1..=MAX_DAYS).contains(&days) {
            return Err(CaseworkError::invalid("days", format!("has to be 1 to {MAX_DAYS}")));
        }
        let mut change = self.begin(actor).await?;
        let owner = rows::by_name_to_change(change.connection(), user).await?;
        let owner = owner.ok_or_else(|| CaseworkError::NotFound(format!("user {user:?}")))?;
        if role > owner.role.parse().unwrap_or(Role::Viewer) || role > actor.role {
            return Err(CaseworkError::invalid("role", format!("{role} is more than {} may do", owner.name)));
        }
        let secret = make_token(TOKEN_PREFIX)?;
        let row = TokenRow {
            name: name.clone(),
            user: user.to_owned(),
            role: role.as_str().to_owned(),
            created_at: change.now,
            expires_at: change.now.plus_micros(i64::from(days) * 86_400_000_000),
            last_used_at: None,
            revoked_at: None,
        };
        if !rows::insert_token(change.connection(), &row, &hash(&secret), owner.id).await? {
            return Err(CaseworkError::Conflict(format!("{user} has a token {name:?} already; choose another name")));
        }
        let shown = json!({ "role": row.role, "expires_at": row.expires_at });
        change.commit(&[Act::new("token.create", format!("token:{user}/{name}")).values(None, shown)]).await?;
        Ok(secret)
    }

    /// Refuses a token from now on.
    ///
    /// # Errors
    /// Not permitted; no such token; the database.
    pub async fn revoke_token(&self, actor: &Actor, user: &str, name: &str) -> Result<(), CaseworkError> {
        super::allowed(actor, if actor.name == user { Permission::ReadIncidents } else { Permission::ManageUsers })?;
        let mut change = self.begin(actor).await?;
        let now = change.now;
        let owner = rows::by_name(change.connection(), user).await?;
        let missing = || CaseworkError::NotFound(format!("token {name:?} of {user} that is still accepted"));
        let owner = owner.ok_or_else(missing)?;
        if !rows::revoke_token(change.connection(), owner.id, name, now).await? {
            return Err(missing());
        }
        change.commit(&[Act::new("token.revoke", format!("token:{user}/{name}"))]).await
    }
}
