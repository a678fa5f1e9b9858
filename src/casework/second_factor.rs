//! Second factors: time-based one-time passwords (RFC 6238: SHA-1, six digits, 30 seconds), which is what every authenticator app takes.
//!
//! Enrolling takes two steps, so that nobody is shut out by a secret that never reached the app: the second shows a first code, and gets
//! ten recovery codes. A code of a time step is accepted once, one step early or late; a wrong one counts as a wrong password does.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::audit::Act;
use super::keys::{Place, Ring};
use super::users::subject;
use super::{Actor, Casework, CaseworkError, Change, Permission, password};
use crate::random;
use crate::record::Timestamp;
use crate::store::keys::Owner;
use crate::store::second_factors::{self as rows, FactorRow};
use crate::store::users::{self as users, UserRow};

/// Bytes of a secret, as RFC 4226 §4 recommends.
const SECRET_BYTES: usize = 20;
/// How long a code is the code.
const STEP_MICROS: i64 = 30 * 1_000_000;
/// Digits of a code.
const DIGITS: usize = 6;
/// Recovery codes that somebody gets.
const RECOVERY_CODES: usize = 10;

/// What an authenticator app needs. It is shown once.
#[derive(Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Enrolment {
    /// To be typed in, in base32.
    pub secret: String,
    /// To be scanned.
    pub uri: String,
}

impl Casework {
    /// Begins to enrol one's own second factor, which takes one's password: a session that was left open is not enough.
    ///
    /// # Errors
    /// The password is wrong; there is a second factor already; a key is missing; the database.
    pub async fn begin_own_second_factor(&self, actor: &Actor, password: String) -> Result<Enrolment, CaseworkError> {
        if actor.must_change_password {
            return Err(CaseworkError::MustChangePassword);
        }
        let mut reading = self.connection().await?;
        let user = users::by_name(&mut reading.connection, &actor.name).await?;
        reading.done();
        let fits = {
            let _place = self.hashing.acquire().await.expect("nobody closes it");
            password::verify(password, user.map(|user| user.password_hash)).await
        };
        let mut change = self.begin(actor).await?;
        let user = change.user(&actor.name).await?;
        not_locked(&user, change.now)?;
        if !fits {
            return Err(change.refuse_sign_in(&user, CaseworkError::Unrecognised).await);
        }
        self.begin_enrolment(change, &user).await
    }

    /// Begins to enrol the second factor of somebody, who looks over the shoulder of an admin.
    ///
    /// # Errors
    /// Not permitted; no such user; there is a second factor already; a key is missing; the database.
    pub async fn begin_second_factor(&self, actor: &Actor, name: &str) -> Result<Enrolment, CaseworkError> {
        let mut change = self.change(actor, Permission::ManageUsers).await?;
        let user = change.user(name).await?;
        self.begin_enrolment(change, &user).await
    }

    async fn begin_enrolment(&self, mut change: Change<'_>, user: &UserRow) -> Result<Enrolment, CaseworkError> {
        if user.second_factor {
            return Err(CaseworkError::Conflict(format!("{} has a second factor; remove it first", user.name)));
        }
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        random::fill(&mut *secret).map_err(|e| CaseworkError::Conflict(format!("no random numbers: {e}")))?;
        let (mut ring, now) = (self.ring()?, change.now);
        let key = change.data_key(&mut ring, Owner::SecondFactor).await?;
        let sealed = key.seal(&place(user.id), &*secret)?;
        rows::begin(change.connection(), user.id, &sealed, now).await?;
        change.commit(&[Act::new("user.begin_second_factor", subject(&user.name))]).await?;
        let (secret, name) = (base32(&*secret), &user.name);
        // Key URI Format of Google Authenticator; the characters of a name need no escape.
        let uri = format!("otpauth://totp/tocsin:{name}?secret={secret}&issuer=tocsin&algorithm=SHA1&digits=6&period=30");
        Ok(Enrolment { secret, uri })
    }

    /// From now on a code is asked for; returns the recovery codes, which are kept nowhere. One's own, or anybody's by an admin.
    ///
    /// # Errors
    /// Not permitted; none was begun; the code is wrong; a key is missing; the database.
    pub async fn confirm_second_factor(&self, actor: &Actor, name: &str, code: &str) -> Result<Vec<String>, CaseworkError> {
        if actor.name != name {
            super::allowed(actor, Permission::ManageUsers)?;
        }
        let mut change = self.begin(actor).await?;
        let user = change.user(name).await?;
        let begun = rows::of(change.connection(), user.id).await?.filter(|factor| factor.confirmed_at.is_none());
        let Some(begun) = begun else {
            return Err(CaseworkError::Conflict(format!("{name} has not begun to enrol a second factor")));
        };
        if !self.accepts_code(&mut change, user.id, &begun, &plain(code)).await? {
            return Err(CaseworkError::invalid("code", "is not the code of this moment; are the clocks right?"));
        }
        let now = change.now;
        rows::confirm(change.connection(), user.id, now).await?;
        let codes: Result<Vec<String>, _> = (0..RECOVERY_CODES).map(|_| password::one_time()).collect();
        let codes = codes.map_err(|e| CaseworkError::Conflict(format!("no random numbers: {e}")))?;
        let hashes: Vec<Vec<u8>> = codes.iter().map(|code| hash(&plain(code))).collect();
        rows::add_recovery_codes(change.connection(), user.id, &hashes).await?;
        change.commit(&[Act::new("user.enrol_second_factor", subject(name))]).await?;
        Ok(codes)
    }

    /// Removes one's own second factor, which takes a code.
    ///
    /// # Errors
    /// There is none; the code is wrong; locked out; a key is missing; the database.
    pub async fn remove_own_second_factor(&self, actor: &Actor, code: &str) -> Result<(), CaseworkError> {
        let mut change = self.begin(actor).await?;
        let user = change.user(&actor.name).await?;
        not_locked(&user, change.now)?;
        let factor = rows::of(change.connection(), user.id).await?.filter(|factor| factor.confirmed_at.is_some());
        let factor = factor.ok_or_else(|| CaseworkError::NotFound(format!("second factor of {}", actor.name)))?;
        if !self.accepts(&mut change, user.id, &factor, code).await? {
            return Err(change.refuse_sign_in(&user, CaseworkError::WrongCode).await);
        }
        rows::remove(change.connection(), user.id).await?;
        change.commit(&[Act::new("user.remove_second_factor", subject(&actor.name))]).await
    }

    /// Removes the second factor of somebody who has lost it.
    ///
    /// # Errors
    /// Not permitted; no such user; there is none; the database.
    pub async fn reset_second_factor(&self, actor: &Actor, name: &str) -> Result<(), CaseworkError> {
        let mut change = self.change(actor, Permission::ManageUsers).await?;
        let user = change.user(name).await?;
        if !rows::remove(change.connection(), user.id).await? {
            return Err(CaseworkError::NotFound(format!("second factor of {name}")));
        }
        let act = Act::new("user.reset_second_factor", subject(name)).values(json!({ "enrolled": user.second_factor }), None);
        change.commit(&[act]).await
    }

    /// What signing in takes beside the password: `Ok` where there is no second factor, or this is its code.
    pub(super) async fn check_second_factor(
        &self,
        change: &mut Change<'_>,
        user: i64,
        code: Option<&str>,
    ) -> Result<(), CaseworkError> {
        let factor = rows::of(change.connection(), user).await?.filter(|factor| factor.confirmed_at.is_some());
        match (factor, code) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(CaseworkError::SecondFactorNeeded),
            (Some(factor), Some(code)) if self.accepts(change, user, &factor, code).await? => Ok(()),
            (Some(_), Some(_)) => Err(CaseworkError::WrongCode),
        }
    }

    /// Whether that is a code of the app, or a recovery code; either is used up.
    async fn accepts(&self, change: &mut Change<'_>, user: i64, factor: &FactorRow, code: &str) -> Result<bool, CaseworkError> {
        let (code, now) = (plain(code), change.now);
        if code.len() == DIGITS {
            return self.accepts_code(change, user, factor, &code).await;
        }
        Ok(rows::use_recovery_code(change.connection(), user, &hash(&code), now).await?)
    }

    async fn accepts_code(
        &self,
        change: &mut Change<'_>,
        user: i64,
        factor: &FactorRow,
        code: &str,
    ) -> Result<bool, CaseworkError> {
        let mut ring: Ring = self.ring()?;
        let key = change.data_key(&mut ring, Owner::SecondFactor).await?;
        let secret = key.open(&place(user), &factor.secret)?;
        let now = step(change.now);
        let fits = |step: &i64| bool::from(self::code(&secret, *step).as_bytes().ct_eq(code.as_bytes()));
        let Some(step) = (now - 1..=now + 1).filter(|step| *step > factor.last_step).find(fits) else { return Ok(false) };
        rows::accepted(change.connection(), user, step).await?;
        Ok(true)
    }
}

impl Change<'_> {
    /// A user, locked.
    async fn user(&mut self, name: &str) -> Result<UserRow, CaseworkError> {
        let user = users::by_name_to_change(self.connection(), name).await?;
        user.ok_or_else(|| CaseworkError::NotFound(format!("user {name:?}")))
    }
}

fn not_locked(user: &UserRow, now: Timestamp) -> Result<(), CaseworkError> {
    match user.locked_until.filter(|until| *until > now) {
        Some(until) => Err(CaseworkError::LockedOut(until)),
        None => Ok(()),
    }
}

fn place(user: i64) -> Place {
    Place::new("second factor of user", &[user])
}

/// Codes as people type them: in groups, in capitals.
fn plain(code: &str) -> String {
    code.chars().filter(|c| !c.is_whitespace() && *c != '-').take(64).collect::<String>().to_ascii_lowercase()
}

/// There is nothing to guess in the 80 bits of a recovery code, so it takes no salt and no slow hash.
fn hash(code: &str) -> Vec<u8> {
    Sha256::digest(code.as_bytes()).to_vec()
}

/// Which time step a moment is in, RFC 6238 §4.2.
pub fn step(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(STEP_MICROS)
}

/// The code of a time step, RFC 6238 §4 and RFC 4226 §5.3.
pub fn code(secret: &[u8], step: i64) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret).expect("HMAC takes keys of any length (RFC 2104 §2)");
    mac.update(&step.to_be_bytes());
    let digest = mac.finalize().into_bytes();
    let offset = usize::from(digest[19] & 0xf);
    let four: [u8; 4] = digest[offset..offset + 4].try_into().expect("four bytes");
    let number = (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000;
    format!("{number:0DIGITS$}")
}

/// RFC 4648 §6, without padding.
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for group in bytes.chunks(5) {
        let bits = group.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte)) << (8 * (5 - group.len()));
        for n in 0..(8 * group.len()).div_ceil(5) {
            text.push(char::from(ALPHABET[(bits >> (35 - 5 * n)) as usize & 31]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B: the rows of SHA1, of whose eight digits ours are the last six.
    #[test]
    fn codes_are_those_of_the_rfc() {
        for (seconds, digits) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            assert_eq!(code(b"12345678901234567890", seconds / 30), digits[2..], "{seconds}");
            assert_eq!(step(Timestamp::from_micros(59_999_999)), 1);
        }
    }

    /// RFC 4648 §10, without the padding.
    #[test]
    fn base32_is_that_of_the_rfc() {
        for (text, encoded) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(text.as_bytes()), encoded);
        }
    }

    #[test]
    fn codes_are_read_as_people_type_them() {
        assert_eq!(plain(" 123 456\n"), "123456");
        assert_eq!(plain("AB123-CD456-00000-fffff"), "ab123cd45600000fffff");
    }
}
