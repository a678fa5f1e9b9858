//! Which webhook deliveries were stored, so that a repeated one is not.

use std::collections::{HashSet, VecDeque};

use sha2::{Digest, Sha256};

/// Deliveries by a hash of source and id, 128 bits of SHA-256. It has no secret key and needs none: to make up an id that is taken for
/// one of another sender takes more than 2^100 attempts, and two ids of one's own that are taken for one harm nobody else. By chance
/// that happens in one of 10^26 sets of [`Deliveries::MAX`].
#[derive(Debug, Default)]
pub struct Deliveries {
    known: HashSet<[u8; 16]>,
    /// The oldest first.
    order: VecDeque<[u8; 16]>,
}

impl Deliveries {
    /// How many are remembered; the oldest go first. Senders repeat within minutes. Fewer than half of what a set of 2^20 places takes
    /// (seven of eight), so that one in which many came and went is put in order where it is, and never becomes larger.
    pub const MAX: usize = 450_000;

    /// Memory in the worst case, in bytes: the set while it grows from 2^19 to 2^20 places of 17 bytes each, and the queue.
    pub const WORST_BYTES: usize = (17 << 20) + (17 << 19) + (8 << 20);

    /// Remembers a delivery. False if it was known.
    pub fn remember(&mut self, source: &str, id: &str) -> bool {
        self.add(key(source, id))
    }

    /// Remembers one that was before all others, if there is room.
    pub fn remember_older(&mut self, source: &str, id: &str) {
        let key = key(source, id);
        if self.order.len() < Deliveries::MAX && self.known.insert(key) {
            self.order.push_front(key);
        }
    }

    fn add(&mut self, key: [u8; 16]) -> bool {
        if self.known.contains(&key) {
            return false;
        }
        if self.order.len() == Deliveries::MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.known.insert(key);
        self.order.push_back(key);
        true
    }
}

fn key(source: &str, id: &str) -> [u8; 16] {
    let digest = Sha256::new().chain_update(source).chain_update([0]).chain_update(id).finalize();
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_first_and_the_memory_has_a_limit() {
        let mut deliveries = Deliveries::default();
        deliveries.remember_older("a", "2");
        deliveries.remember_older("a", "1");
        deliveries.remember_older("a", "2");
        assert!(!deliveries.remember("a", "1") && !deliveries.remember("a", "2"));
        assert!(deliveries.remember("b", "1"), "another source");
        let number = |n: usize| (n as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes();
        for n in 0..Deliveries::MAX - 2 {
            assert!(deliveries.add(number(n)));
        }
        assert!(!deliveries.remember("a", "2"), "the second");
        assert!(!deliveries.remember("b", "1"), "the third");
        assert!(deliveries.remember("a", "1"), "the first is forgotten by now");
        deliveries.remember_older("c", "1");
        assert!(deliveries.remember("c", "1"), "there was no room for one that is older than all");
        for n in Deliveries::MAX..3 * Deliveries::MAX {
            assert!(deliveries.add(number(n)));
        }
        assert_eq!((deliveries.known.len(), deliveries.order.len()), (Deliveries::MAX, Deliveries::MAX));
        assert!(deliveries.known.capacity() <= 1 << 20, "{}", deliveries.known.capacity());
        assert!(deliveries.order.capacity() <= 1 << 19, "{}", deliveries.order.capacity());
    }
}
