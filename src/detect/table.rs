//! A bounded map: an [`Index`] of slot numbers over slots that never move, and beside them when each was seen last, so that a hand
//! can go over the slots, a few at a time, without touching them. Nothing ever looks at all entries at once, and what is forgotten
//! does not depend on hashes. Slots that are free are used again first.

use std::hint::black_box;

use smallvec::SmallVec;

use super::index::Index;

const CHUNK: usize = 4096;
/// Of how many entries the one not seen for longest is forgotten where there are too many.
const CANDIDATES: usize = 16;
const FREE: u32 = u32::MAX;

struct Slot<K, V> {
    key: K,
    value: V,
}

/// What is known of a slot without looking into it.
#[derive(Clone, Copy)]
struct Tag {
    hash: u32,
    /// The second in which the entry was seen last, or [`FREE`].
    seen: u32,
}

/// Where an entry is, until one is removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SlotNumber(u32);

/// See the module.
pub(super) struct Table<K, V> {
    index: Index,
    chunks: Vec<Vec<Option<Slot<K, V>>>>,
    /// By slot.
    tags: Vec<Tag>,
    free: Vec<u32>,
    hand: usize,
    max: usize,
}

impl<K, V> Table<K, V> {
    /// A table of at most `max` entries, at least one.
    pub(super) fn new(max: usize) -> Table<K, V> {
        let (index, max) = (Index::default(), max.clamp(1, FREE as usize - 1));
        Table { index, chunks: Vec::new(), tags: Vec::new(), free: Vec::new(), hand: 0, max }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.max
    }

    /// The slot of the entry of that hash for which `same` holds, seen at `secs`.
    pub(super) fn find(&mut self, hash: u32, secs: u32, same: impl Fn(&K) -> bool) -> Option<SlotNumber> {
        let chunks = &self.chunks;
        let here = |slot: u32| chunks[slot as usize / CHUNK][slot as usize % CHUNK].as_ref();
        let slot = self.index.find(hash, |slot| here(slot).is_some_and(|s| same(&s.key)))?;
        let seen = &mut self.tags[slot as usize].seen;
        *seen = secs.min(FREE - 1).max(*seen);
        Some(SlotNumber(slot))
    }

    /// The value in a slot that was just found or filled.
    pub(super) fn at(&mut self, SlotNumber(slot): SlotNumber) -> &mut V {
        let slot = self.chunks[slot as usize / CHUNK][slot as usize % CHUNK].as_mut();
        &mut slot.expect("nothing was removed since the slot was found").value
    }

    /// Adds an entry that is not there yet, seen at `secs`. The caller has made room.
    pub(super) fn insert(&mut self, hash: u32, secs: u32, key: K, value: V) -> SlotNumber {
        let number = self.free.pop().unwrap_or_else(|| {
            if self.chunks.last().is_none_or(|c| c.len() == CHUNK) {
                // The first chunk grows with use, so that an idle program is small.
                self.chunks.push(if self.chunks.is_empty() { Vec::new() } else { Vec::with_capacity(CHUNK) });
            }
            self.chunks.last_mut().expect("a chunk was just made sure of").push(None);
            self.tags.push(Tag { hash, seen: FREE });
            (self.tags.len() - 1) as u32
        });
        let here = number as usize;
        self.index.insert(hash, number);
        self.tags[here] = Tag { hash, seen: secs.min(FREE - 1) };
        self.chunks[here / CHUNK][here % CHUNK] = Some(Slot { key, value });
        SlotNumber(number)
    }

    /// Moves the hand over `steps` slots and removes the entries not seen since `secs`; `gone` gets them.
    pub(super) fn sweep(&mut self, steps: usize, secs: u32, mut gone: impl FnMut(V)) {
        let mut over: SmallVec<[usize; 64]> = SmallVec::new();
        for _ in 0..steps.min(self.tags.len()) {
            let here = self.step();
            if self.tags[here].seen < secs {
                over.push(here);
            }
        }
        // Nothing of them is in a cache: asked for all at once, it comes together and not one after the other.
        for &here in &over {
            self.index.touch(self.tags[here].hash);
            black_box(self.chunks[here / CHUNK][here % CHUNK].is_some());
        }
        for here in over {
            if let Some(value) = self.remove(here) {
                gone(value);
            }
        }
    }

    /// Lets the processor fetch what a look at that hash begins with, while it does something else.
    pub(super) fn touch(&self, hash: u32) {
        self.index.touch(hash);
    }

    /// Makes room in a full table by removing an entry that was not seen for long.
    pub(super) fn evict(&mut self) -> Option<V> {
        let mut oldest = self.step();
        for _ in 1..CANDIDATES {
            let here = self.step();
            if self.tags.get(here)?.seen < self.tags.get(oldest)?.seen {
                oldest = here;
            }
        }
        self.remove(oldest)
    }

    fn remove(&mut self, here: usize) -> Option<V> {
        let slot = self.chunks[here / CHUNK][here % CHUNK].take()?;
        self.index.remove(self.tags[here].hash, here as u32);
        self.tags[here].seen = FREE;
        self.free.push(here as u32);
        Some(slot.value)
    }

    fn step(&mut self) -> usize {
        let here = if self.hand < self.tags.len() { self.hand } else { 0 };
        self.hand = here + 1;
        here
    }

    /// Memory in bytes, without what keys and values own elsewhere.
    pub(super) fn bytes(&self) -> usize {
        self.chunks.iter().map(|c| c.capacity() * size_of::<Option<Slot<K, V>>>()).sum::<usize>()
            + self.tags.capacity() * size_of::<Tag>()
            + self.free.capacity() * size_of::<u32>()
            + self.index.bytes()
    }
}

/// The second of a time in microseconds, counted from 1970 and rounded up, at the nearest end of the range where it does not fit.
pub(super) fn secs(micros: i64) -> u32 {
    micros.div_euclid(1_000_000).saturating_add(1).clamp(0, i64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(key: u32) -> u32 {
        key.wrapping_mul(0x85EB_CA6B)
    }

    fn swept(table: &mut Table<u32, u32>, steps: usize, secs: u32) -> Vec<u32> {
        let mut gone = Vec::new();
        table.sweep(steps, secs, |value| gone.push(value));
        gone
    }

    #[test]
    fn a_full_table_forgets_what_was_not_seen_for_long() {
        let mut table: Table<u32, u32> = Table::new(3);
        for key in 0..3 {
            table.insert(hash(key), 100 + key, key, key * 10);
        }
        assert!(table.is_full());
        assert!(swept(&mut table, 3, 100).is_empty());
        assert!(table.find(hash(0), 200, |k| *k == 0).is_some());
        assert_eq!(table.evict(), Some(10));
        assert_eq!(table.len(), 2);
        assert_eq!(swept(&mut table, 3, 103), [20]);
        table.insert(hash(7), u32::MAX, 7, 70);
        assert_eq!(swept(&mut table, 100, u32::MAX - 1), [0]);
        let seven = table.find(hash(7), 0, |k| *k == 7).unwrap();
        assert_eq!(*table.at(seven), 70);
        assert_eq!(table.find(hash(1), 0, |k| *k == 1), None);
        assert_eq!(table.tags.len(), 3, "free slots are used again");
    }

    #[test]
    fn many_entries_come_and_go() {
        let mut table: Table<u32, u32> = Table::new(10_000);
        for key in 0..50_000 {
            if table.is_full() {
                assert!(table.evict().is_some());
            }
            table.insert(hash(key), key, key, key);
        }
        assert_eq!(table.len(), 10_000);
        let live: Vec<u32> = (0..50_000).filter(|&key| table.find(hash(key), 0, |k| *k == key).is_some()).collect();
        assert_eq!(live.len(), 10_000);
        for key in live {
            let slot = table.find(hash(key), 0, |k| *k == key).unwrap();
            assert_eq!(*table.at(slot), key);
        }
    }
}
