//! From hashes to numbers: the one hash table under all maps of this room. It is a single array of 64-bit cells, probed one after
//! the other, so that a look at a large table costs one miss of the cache; what the numbers stand for, the caller knows.

use std::hint::black_box;

/// See the module.
#[derive(Default)]
pub(super) struct Index {
    /// A power of two of cells, or none: the hash above, the number + 1 below; 0 where there is nothing.
    cells: Vec<u64>,
    len: usize,
}

impl Index {
    /// How many numbers it holds.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The number of that hash for which `same` holds.
    pub(super) fn find(&self, hash: u32, mut same: impl FnMut(u32) -> bool) -> Option<u32> {
        self.find_cell(hash, &mut same).map(|at| number(self.cells[at]))
    }

    /// Reads the cell that a look at that hash begins with, and waits for nothing.
    pub(super) fn touch(&self, hash: u32) {
        if !self.cells.is_empty() {
            black_box(self.cells[self.home(u64::from(hash) << 32)]);
        }
    }

    /// Adds a number that is not there yet, below 2^32 − 1.
    pub(super) fn insert(&mut self, hash: u32, number: u32) {
        // At most three quarters full.
        if (self.len + 1) * 4 > self.cells.len() * 3 {
            let larger = vec![0; (self.cells.len() * 2).max(16)];
            for cell in std::mem::replace(&mut self.cells, larger).into_iter().filter(|c| *c != 0) {
                self.put(cell);
            }
        }
        self.put(u64::from(hash) << 32 | (u64::from(number) + 1));
        self.len += 1;
    }

    /// Removes a number that was added with that hash.
    pub(super) fn remove(&mut self, hash: u32, number: u32) {
        let Some(mut hole) = self.find_cell(hash, &mut |n| n == number) else { return };
        // What was put further on because this cell was taken moves up.
        let mask = self.cells.len() - 1;
        let mut next = (hole + 1) & mask;
        while self.cells[next] != 0 {
            let from_home = next.wrapping_sub(self.home(self.cells[next])) & mask;
            if from_home >= next.wrapping_sub(hole) & mask {
                self.cells[hole] = self.cells[next];
                hole = next;
            }
            next = (next + 1) & mask;
        }
        self.cells[hole] = 0;
        self.len -= 1;
    }

    /// Removes everything and keeps the room.
    pub(super) fn clear(&mut self) {
        if self.len > 0 {
            self.cells.fill(0);
            self.len = 0;
        }
    }

    /// Memory in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.cells.capacity() * size_of::<u64>()
    }

    fn find_cell(&self, hash: u32, same: &mut impl FnMut(u32) -> bool) -> Option<usize> {
        if self.cells.is_empty() {
            return None;
        }
        let mut at = self.home(u64::from(hash) << 32);
        loop {
            let cell = self.cells[at];
            if cell == 0 {
                return None;
            }
            if (cell >> 32) as u32 == hash && same(number(cell)) {
                return Some(at);
            }
            at = (at + 1) & (self.cells.len() - 1);
        }
    }

    fn put(&mut self, cell: u64) {
        let mut at = self.home(cell);
        while self.cells[at] != 0 {
            at = (at + 1) & (self.cells.len() - 1);
        }
        self.cells[at] = cell;
    }

    /// Where the search for a cell begins: at the highest bits of its hash.
    fn home(&self, cell: u64) -> usize {
        (cell >> (64 - self.cells.len().trailing_zeros())) as usize
    }
}

fn number(cell: u64) -> u32 {
    (cell - 1) as u32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Few hashes, some of them at the end of the array, so that cells run over each other and around the end.
        #[test]
        fn it_holds_what_a_set_holds(steps in prop::collection::vec((0u32..40, any::<bool>()), 0..300)) {
            let hash = |n: u32| [0, 1, 0x7FFF_FFFF, 0xFFFF_FFFE, u32::MAX][n as usize % 5];
            let (mut index, mut set) = (Index::default(), BTreeSet::new());
            for (n, add) in steps {
                if !add {
                    set.remove(&n);
                    index.remove(hash(n), n);
                } else if set.insert(n) {
                    index.insert(hash(n), n);
                }
                prop_assert_eq!(index.len(), set.len());
                for n in 0..40 {
                    prop_assert_eq!(index.find(hash(n), |m| m == n), set.get(&n).copied());
                }
            }
            index.clear();
            prop_assert_eq!((index.len(), index.find(0, |_| true)), (0, None));
        }
    }
}
