//! Which webhook deliveries were stored, so that a repeated one is not.

use std::collections::{HashSet, VecDeque};

use sha2::{Digest, Sha256};

/// How many are remembered; the oldest go first. Senders repeat within minutes.
const MAX: usize = 1_000_000;

/// Deliveries by a hash of source and id, 128 bits of SHA-256: a sender cannot make up one that another's is taken for.
#[derive(Debug, Default)]
pub struct Deliveries {
    known: HashSet<[u8; 16]>,
    order: VecDeque<[u8; 16]>,
}

impl Deliveries {
    /// Remembers a delivery. False if it was known.
    pub fn remember(&mut self, source: &str, id: &str) -> bool {
        let digest = Sha256::new().chain_update(source).chain_update([0]).chain_update(id).finalize();
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        if !self.known.insert(key) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_first() {
        let mut deliveries = Deliveries::default();
        assert!(deliveries.remember("a", "1"));
        assert!(!deliveries.remember("a", "1"));
        assert!(deliveries.remember("b", "1"), "another source");
        for i in 0..MAX {
            assert!(deliveries.remember("c", &i.to_string()));
        }
        assert!(!deliveries.remember("c", "999999"));
        assert!(deliveries.remember("a", "1"), "forgotten by now");
    }
}
