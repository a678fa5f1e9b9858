//! How often somebody may ask: a token bucket for each client.
//!
//! A bucket holds as many requests as may come at once (the burst), and fills at a steady rate. All that is kept of one is when it will be
//! full again (GCRA, ITU-T I.371): what is missing until then is what was taken. A client of whom nothing is kept has a full one, so those
//! that are full can be forgotten, and the table is bounded: where there are too many clients, the one with the fullest bucket is forgotten,
//! which gives it the least.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use crate::listen::refused::{Refusals, Refused};
use crate::stats::Stats;

/// Clients that are known at a time.
const MAX_CLIENTS: usize = 10_000;
/// A token that was good is listened to for so long, whatever else its address sends.
const REMEMBERED: Duration = Duration::from_secs(60);

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// How often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Requests a minute: of a user, or of an address from which nobody was recognised.
    pub requests_per_minute: u32,
    /// So many of them at once.
    pub burst: u32,
    /// Attempts to sign in a minute, of an address; all of them at once, if need be.
    pub sign_ins_per_minute: u32,
}

/// Who.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// A user, by id.
    User(i64),
    /// An address, or a /64 of IPv6, from which nobody was recognised.
    Address(IpAddr),
    /// The same, as somebody who signs in.
    SignIn(IpAddr),
    /// A token that was good: the beginning of its hash. No bucket.
    Token([u8; 16]),
}

/// All buckets.
#[derive(Debug)]
pub struct Limits {
    requests: Policy,
    sign_ins: Policy,
    /// When each bucket will be full, and until when a token is remembered.
    until: Mutex<HashMap<Key, Instant>>,
    /// Requests that were refused.
    pub refused: Refused,
}

#[derive(Debug, Clone, Copy)]
struct Policy {
    name: &'static str,
    burst: u32,
    /// Until there is room for another one.
    interval: Duration,
}

/// How a client stands.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    policy: Policy,
    left: u32,
    /// Until the bucket is full.
    full: Duration,
    /// Until there is room for a request.
    wait: Duration,
}

impl Limits {
    /// Memory in the worst case, in bytes: a table that has doubled, and each entry with its place in it.
    pub const WORST_BYTES: usize = 3 * MAX_CLIENTS * (size_of::<(Key, Instant)>() + 1);

    /// Full buckets for everybody.
    pub fn new(options: Options, stats: &Stats, refusals: &Arc<Refusals>) -> Limits {
        let policy = |name, per_minute: u32, burst: u32| Policy {
            name,
            burst: burst.max(1),
            interval: Duration::from_secs(60) / per_minute.max(1),
        };
        Limits {
            requests: policy("requests", options.requests_per_minute, options.burst),
            sign_ins: policy("sign-ins", options.sign_ins_per_minute, options.sign_ins_per_minute),
            until: Mutex::default(),
            refused: Refused::visits(stats, refusals, "http", "too many requests"),
        }
    }

    /// Takes a request out of a bucket; an error where there is none in it.
    ///
    /// # Errors
    /// How long it takes until there is room.
    pub fn take(&self, key: Key) -> Result<Standing, Standing> {
        let now = Instant::now();
        self.at(key, now, |until, full| keep(until, key, full, now))
    }

    /// The same, and leaves it there.
    ///
    /// # Errors
    /// As of [`Limits::take`].
    pub fn look(&self, key: Key) -> Result<Standing, Standing> {
        self.at(key, Instant::now(), |_, _| {})
    }

    fn at(&self, key: Key, now: Instant, taken: impl FnOnce(&mut HashMap<Key, Instant>, Instant)) -> Result<Standing, Standing> {
        let policy = if matches!(key, Key::SignIn(_)) { self.sign_ins } else { self.requests };
        let Policy { burst, interval, .. } = policy;
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let full = until.get(&key).map_or(now, |full| (*full).max(now));
        let (before, after) = (full - now, full - now + interval);
        if after > interval * burst {
            return Err(Standing { policy, left: 0, full: before, wait: after - interval * burst });
        }
        let left = (interval * burst - after).as_nanos() / interval.as_nanos().max(1);
        taken(&mut until, now + after);
        Ok(Standing { policy, left: u32::try_from(left).unwrap_or(u32::MAX), full: after, wait: Duration::ZERO })
    }

    /// Notes that a token is good.
    pub fn remember(&self, token: &str) {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        keep(&mut until, hashed(token), now + REMEMBERED, now);
    }

    /// Whether a token was good a moment ago.
    pub fn knows(&self, token: &str) -> bool {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.get(&hashed(token)).is_some_and(|until| *until > Instant::now())
    }
}

fn hashed(token: &str) -> Key {
    let hash = Sha256::digest(token.as_bytes());
    Key::Token(std::array::from_fn(|n| hash[n]))
}

fn keep(until: &mut HashMap<Key, Instant>, key: Key, full: Instant, now: Instant) {
    if until.len() >= MAX_CLIENTS && !until.contains_key(&key) {
        until.retain(|_, full| *full > now);
        if until.len() >= MAX_CLIENTS
            && let Some(fullest) = until.iter().min_by_key(|(_, full)| **full).map(|(key, _)| *key)
        {
            until.remove(&fullest);
        }
    }
    until.insert(key, full);
}

impl Standing {
    /// Seconds until there is room for a request, at least one.
    pub fn wait_secs(&self) -> u32 {
        u32::try_from(secs(self.wait)).unwrap_or(u32::MAX).max(1)
    }

    /// As draft-ietf-httpapi-ratelimit-headers-10 has it: `q` requests in `w` seconds; `r` are left, and all of them again in `t` seconds.
    pub fn tell(&self, headers: &mut HeaderMap) {
        let Policy { name, burst, interval } = self.policy;
        let policy = format!("\"{name}\";q={burst};w={}", secs(interval * burst).max(1));
        let now = format!("\"{name}\";r={};t={}", self.left, secs(self.full));
        for (header, value) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, now)] {
            headers.insert(header, HeaderValue::from_str(&value).expect("ASCII"));
        }
    }
}

fn secs(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        let options = Options { requests_per_minute: 60, burst: 3, sign_ins_per_minute: 2 };
        Limits::new(options, &Stats::default(), &Arc::default())
    }

    fn address(n: u32) -> Key {
        Key::Address(IpAddr::from(n.to_be_bytes()))
    }

    #[test]
    fn a_burst_is_let_in_and_then_as_many_as_the_rate_allows() {
        let (limits, began) = (limits(), Instant::now());
        let take = |secs: f32| {
            let now = began + Duration::from_secs_f32(secs);
            let taken = limits.at(address(1), now, |until, full| keep(until, address(1), full, now));
            taken.map(|standing| standing.left).map_err(|standing| standing.wait_secs())
        };
        assert_eq!([take(0.0), take(0.0), take(0.0)], [Ok(2), Ok(1), Ok(0)]);
        assert_eq!([take(0.0), take(0.5), take(0.9)], [Err(1), Err(1), Err(1)], "what is refused takes nothing");
        assert_eq!([take(1.0), take(1.0)], [Ok(0), Err(1)]);
        assert_eq!([take(100.0), take(100.0), take(100.0), take(100.0)], [Ok(2), Ok(1), Ok(0), Err(1)], "no more than the burst");
        assert!(limits.take(address(2)).is_ok(), "everybody has a bucket");
        let sign_in = Key::SignIn([192, 0, 2, 1].into());
        assert!(limits.take(sign_in).is_ok() && limits.take(sign_in).is_ok());
        assert_eq!(limits.take(sign_in).unwrap_err().wait_secs(), 30);
        assert!(limits.look(address(3)).is_ok() && limits.until.lock().unwrap().get(&address(3)).is_none());
    }

    #[test]
    fn the_table_is_bounded_and_whoever_was_refused_stays_so() {
        let (limits, now) = (limits(), Instant::now());
        let take = |key| limits.at(key, now, |until, full| keep(until, key, full, now));
        let worst = address(u32::MAX);
        while take(worst).is_ok() {}
        for n in 0..MAX_CLIENTS as u32 + 100 {
            take(address(n)).unwrap();
        }
        assert_eq!(limits.until.lock().unwrap().len(), MAX_CLIENTS);
        assert!(limits.at(worst, now, |_, _| {}).is_err());
        limits.remember("tct_good");
        assert!(limits.knows("tct_good") && !limits.knows("tct_bad"));
    }

    #[test]
    fn what_a_client_is_told() {
        let (limits, mut headers) = (limits(), HeaderMap::new());
        limits.take(address(1)).unwrap().tell(&mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"requests\";q=3;w=3");
        assert_eq!(headers["ratelimit"], "\"requests\";r=2;t=1");
    }
}
