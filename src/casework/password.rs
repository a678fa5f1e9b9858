//! Passwords: Argon2id (RFC 9106) with 7 MiB, five passes and one lane, which OWASP's cheat sheet on password storage names as equal in
//! strength to more memory and fewer passes. What is easily guessed is not taken.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};

use super::CaseworkError;
use crate::random;

/// A password has at least so many characters.
const MIN_CHARS: usize = 12;
/// … and at most so many: more is no password, and each is read in full.
const MAX_CHARS: usize = 256;
/// zxcvbn's scale goes from 0 to 4; 3 is "safely unguessable: moderate protection from an offline slow-hash scenario".
const MIN_SCORE: u8 = 3;

/// Memory of one hash, in bytes.
pub const BYTES: usize = 7 << 20;

fn argon2() -> Argon2<'static> {
    Argon2::new(
        Algorithm::Argon2id,
        Version::V0x13,
        Params::new((BYTES >> 10) as u32, 5, 1, None).expect("parameters within their bounds"),
    )
}

/// Refuses what is too short, or easily guessed by somebody who knows `about` its owner.
///
/// # Errors
/// [`CaseworkError::Invalid`], with what to do about it.
pub fn check(password: &str, about: &[&str]) -> Result<(), CaseworkError> {
    let chars = password.chars().count();
    if !(MIN_CHARS..=MAX_CHARS).contains(&chars) {
        let problem = format!("has {chars} characters; {MIN_CHARS} to {MAX_CHARS} are needed");
        return Err(CaseworkError::invalid("password", problem));
    }
    let mut known = vec!["tocsin"];
    known.extend(about);
    // Names come in parts, too: of an address, before the dot and behind it.
    known.extend(about.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric())).filter(|part| part.len() > 2));
    let estimate = zxcvbn::zxcvbn(password, &known);
    if u8::from(estimate.score()) >= MIN_SCORE {
        return Ok(());
    }
    let mut problem = "is too easily guessed".to_owned();
    if let Some(feedback) = estimate.feedback() {
        feedback.warning().into_iter().for_each(|warning| problem.push_str(&format!(". {warning}")));
        feedback.suggestions().iter().for_each(|suggestion| problem.push_str(&format!(" {suggestion}")));
    }
    Err(CaseworkError::invalid("password", problem))
}

/// The PHC string of a password. Takes some 20 ms of a processor.
pub async fn hash(password: String) -> String {
    at_work(move || argon2().hash_password(password.as_bytes()).expect("a salt from the kernel").to_string()).await
}

/// Whether that is the password of a PHC string. Takes as long where there is none, so that nobody learns which accounts exist.
pub async fn verify(password: String, hash: Option<String>) -> bool {
    at_work(move || {
        let known = hash.as_deref().and_then(|hash| PasswordHash::new(hash).ok());
        match known {
            Some(known) => argon2().verify_password(password.as_bytes(), &known).is_ok(),
            None => {
                let _ = argon2().hash_password(password.as_bytes());
                false
            }
        }
    })
    .await
}

/// A password to be used once: 80 bits in four groups that can be read out.
///
/// # Errors
/// The kernel gives no chance.
pub fn one_time() -> std::io::Result<String> {
    let digits = random::hex(10)?;
    Ok([&digits[..5], &digits[5..10], &digits[10..15], &digits[15..]].join("-"))
}

/// A thread of its own, so that nothing else has to wait.
async fn at_work<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("hashing does not panic")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_or_easily_guessed_is_refused() {
        for (password, taken) in [
            ("correct-horse-battery", true),
            ("Tr0ub4dor&3", false),
            ("passwordpassword", false),
            ("lovelace1234", false),
            ("aaaaaaaaaaaaaaaaaaaa", false),
            ("\u{fc}ml\u{e4}ut-gh\u{f6}st-qu\u{ef}ver", true),
        ] {
            let checked = check(password, &["ada", "ada.lovelace@example.org"]);
            assert_eq!(checked.is_ok(), taken, "{password}: {checked:?}");
        }
        assert!(check(&"\u{1f600}x9".repeat(100), &[]).is_err(), "too long");
        assert!(check(&one_time().unwrap(), &[]).is_ok());
    }

    #[tokio::test]
    async fn only_the_right_password_fits_its_hash() {
        let hash = hash("correct-horse-battery".to_owned()).await;
        assert!(hash.starts_with("$argon2id$v=19$m=7168,t=5,p=1$"), "{hash}");
        assert!(verify("correct-horse-battery".to_owned(), Some(hash.clone())).await);
        assert!(!verify("correct-horse-batterz".to_owned(), Some(hash)).await);
        assert!(!verify("correct-horse-battery".to_owned(), None).await);
        assert!(!verify("correct-horse-battery".to_owned(), Some("no hash".to_owned())).await);
    }
}
