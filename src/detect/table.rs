//! A bounded map: a hash table of slot numbers over slots that never move, with a clock hand that goes over the slots a few at a
//! time. Nothing ever looks at all entries at once, and what is forgotten does not depend on hashes.

use hashbrown::HashTable;

use super::names::spread;

const CHUNK: usize = 4096;
/// Slots the hand looks at to find one that was not touched since it came by last.
const SECOND_CHANCES: usize = 64;

struct Slot<K, V> {
    key: K,
    value: V,
    touched: bool,
}

/// Where an entry is, until one is removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SlotNumber(u32);

/// See the module.
pub(super) struct Table<K, V> {
    /// Hash and slot number: growing needs no look into the slots.
    index: HashTable<(u32, u32)>,
    chunks: Vec<Vec<Option<Slot<K, V>>>>,
    free: Vec<u32>,
    hand: usize,
    max: usize,
}

impl<K, V> Table<K, V> {
    /// A table of at most `max` entries, at least one.
    pub(super) fn new(max: usize) -> Table<K, V> {
        Table { index: HashTable::new(), chunks: Vec::new(), free: Vec::new(), hand: 0, max: max.clamp(1, u32::MAX as usize) }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.max
    }

    /// The slot of the entry of that hash for which `same` holds, marked as touched.
    pub(super) fn find(&mut self, hash: u32, same: impl Fn(&K) -> bool) -> Option<SlotNumber> {
        let chunks = &self.chunks;
        let here = |slot: u32| chunks[slot as usize / CHUNK][slot as usize % CHUNK].as_ref();
        let (_, slot) = *self.index.find(spread(hash), |&(h, slot)| h == hash && here(slot).is_some_and(|s| same(&s.key)))?;
        self.chunks[slot as usize / CHUNK][slot as usize % CHUNK].as_mut()?.touched = true;
        Some(SlotNumber(slot))
    }

    /// The value in a slot that was just found or filled.
    pub(super) fn at(&mut self, SlotNumber(slot): SlotNumber) -> &mut V {
        let slot = self.chunks[slot as usize / CHUNK][slot as usize % CHUNK].as_mut();
        &mut slot.expect("nothing was removed since the slot was found").value
    }

    /// Adds an entry that is not there yet. The caller has made room.
    pub(super) fn insert(&mut self, hash: u32, key: K, value: V) -> SlotNumber {
        let slot = self.free.pop().unwrap_or_else(|| {
            if self.chunks.last().is_none_or(|c| c.len() == CHUNK) {
                // The first chunk grows with use, so that an idle program is small.
                self.chunks.push(if self.chunks.is_empty() { Vec::new() } else { Vec::with_capacity(CHUNK) });
            }
            let before = (self.chunks.len() - 1) * CHUNK;
            let last = self.chunks.last_mut().expect("a chunk was just made sure of");
            last.push(None);
            (before + last.len() - 1) as u32
        });
        self.index.insert_unique(spread(hash), (hash, slot), |&(h, _)| spread(h));
        self.chunks[slot as usize / CHUNK][slot as usize % CHUNK] = Some(Slot { key, value, touched: true });
        SlotNumber(slot)
    }

    /// Moves the hand over `steps` slots and hands out the first entry for which `over` holds, removed.
    pub(super) fn sweep(&mut self, steps: usize, over: impl Fn(&V) -> bool, hash: impl Fn(&K) -> u32) -> Option<V> {
        for _ in 0..steps.min(self.slots()) {
            let here = self.step();
            match &mut self.chunks[here / CHUNK][here % CHUNK] {
                Some(slot) if over(&slot.value) => return self.remove(here, hash),
                // Written only where it changes something: most are as the hand left them, and their memory stays clean.
                Some(slot) if slot.touched => slot.touched = false,
                _ => {}
            }
        }
        None
    }

    /// Makes room by removing an entry that was not touched lately.
    pub(super) fn evict(&mut self, hash: impl Fn(&K) -> u32) -> Option<V> {
        let mut candidate = None;
        for _ in 0..self.slots().min(SECOND_CHANCES) {
            let here = self.step();
            if let Some(slot) = &mut self.chunks[here / CHUNK][here % CHUNK] {
                if !slot.touched {
                    return self.remove(here, hash);
                }
                slot.touched = false;
                candidate = candidate.or(Some(here));
            }
        }
        // All were touched, or there are so few entries that the hand met none: the first it met goes.
        let here = candidate.or_else(|| (0..self.slots()).find(|&n| self.chunks[n / CHUNK][n % CHUNK].is_some()))?;
        self.remove(here, hash)
    }

    fn remove(&mut self, here: usize, hash: impl Fn(&K) -> u32) -> Option<V> {
        let slot = self.chunks[here / CHUNK][here % CHUNK].take()?;
        let number = here as u32;
        if let Ok(entry) = self.index.find_entry(spread(hash(&slot.key)), |&(_, s)| s == number) {
            entry.remove();
        }
        self.free.push(number);
        Some(slot.value)
    }

    fn step(&mut self) -> usize {
        let here = if self.hand < self.slots() { self.hand } else { 0 };
        self.hand = here + 1;
        here
    }

    fn slots(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    /// Memory in bytes, without what keys and values own elsewhere.
    pub(super) fn bytes(&self) -> usize {
        self.chunks.iter().map(|c| c.capacity() * size_of::<Option<Slot<K, V>>>()).sum::<usize>()
            + self.free.capacity() * size_of::<u32>()
            + self.index.allocation_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(key: &u32) -> u32 {
        key.wrapping_mul(0x85EB_CA6B)
    }

    #[test]
    fn a_full_table_forgets_what_was_not_touched() {
        let mut table: Table<u32, u32> = Table::new(3);
        for key in 0..3 {
            table.insert(hash(&key), key, key * 10);
        }
        assert!(table.is_full());
        assert_eq!(table.sweep(3, |_| false, hash), None);
        assert!(table.find(hash(&0), |k| *k == 0).is_some());
        assert_eq!(table.evict(hash), Some(10));
        assert_eq!(table.len(), 2);
        assert_eq!(table.sweep(3, |v| *v == 20, hash), Some(20));
        table.insert(hash(&7), 7, 70);
        let seven = table.find(hash(&7), |k| *k == 7).unwrap();
        assert_eq!(*table.at(seven), 70);
        assert_eq!(table.find(hash(&1), |k| *k == 1), None);
    }

    #[test]
    fn many_entries_come_and_go() {
        let mut table: Table<u32, u32> = Table::new(10_000);
        for key in 0..50_000 {
            if table.is_full() {
                assert!(table.evict(hash).is_some());
            }
            table.insert(hash(&key), key, key);
        }
        assert_eq!(table.len(), 10_000);
        let live: Vec<u32> = (0..50_000).filter(|key| table.find(hash(key), |k| k == key).is_some()).collect();
        assert_eq!(live.len(), 10_000);
        for key in live {
            let slot = table.find(hash(&key), |k| *k == key).unwrap();
            assert_eq!(*table.at(slot), key);
        }
    }
}
