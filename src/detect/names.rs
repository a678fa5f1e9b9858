//! Account names as numbers: each name is held once, however many points refer to it, and goes with the last of them.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::quality::RandomState;

use super::index::Index;

/// A name's number. 0 is no name; with the top bit set it tells names apart that there was no room to hold.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct Name(u32);

const UNHELD: u32 = 1 << 31;

impl Name {
    pub(super) const NONE: Name = Name(0);

    pub(super) const fn is_some(self) -> bool {
        self.0 != 0
    }
}

struct Held {
    text: Arc<str>,
    hash: u32,
    references: u32,
}

/// The names in use. Longer ones are cut, so names that agree in their first [`Names::MAX_BYTES`] bytes are one account.
pub(super) struct Names {
    hasher: RandomState,
    index: Index,
    held: Vec<Held>,
    free: Vec<u32>,
    max: usize,
    text_bytes: usize,
    /// Names that there was no room to hold.
    pub(super) unheld_total: u64,
}

impl Names {
    /// The most of a name that is held.
    pub(super) const MAX_BYTES: usize = 128;

    pub(super) fn new(max: usize) -> Names {
        Names {
            hasher: RandomState::default(),
            index: Index::default(),
            held: Vec::new(),
            free: Vec::new(),
            max: max.min(UNHELD as usize - 1),
            text_bytes: 0,
            unheld_total: 0,
        }
    }

    /// The number of a name; the caller owns one reference. An empty name is no name.
    pub(super) fn hold(&mut self, text: &str) -> Name {
        if text.is_empty() {
            return Name::NONE;
        }
        let text = cut(text, Names::MAX_BYTES);
        let hash = self.hasher.hash_one(text) as u32;
        if let Some(slot) = self.index.find(hash, |slot| *self.held[slot as usize].text == *text) {
            self.held[slot as usize].references += 1;
            return Name(slot + 1);
        }
        if self.index.len() >= self.max {
            self.unheld_total += 1;
            return Name(UNHELD | hash);
        }
        let held = Held { text: text.into(), hash, references: 1 };
        self.text_bytes += text.len();
        let slot = match self.free.pop() {
            Some(slot) => {
                self.held[slot as usize] = held;
                slot
            }
            None => {
                self.held.push(held);
                (self.held.len() - 1) as u32
            }
        };
        self.index.insert(hash, slot);
        Name(slot + 1)
    }

    /// One more reference.
    pub(super) fn retain(&mut self, name: Name) -> Name {
        if name.is_some() && name.0 & UNHELD == 0 {
            self.held[name.0 as usize - 1].references += 1;
        }
        name
    }

    /// One reference less.
    pub(super) fn release(&mut self, name: Name) {
        if !name.is_some() || name.0 & UNHELD != 0 {
            return;
        }
        let slot = name.0 - 1;
        let held = &mut self.held[slot as usize];
        held.references -= 1;
        if held.references == 0 {
            self.index.remove(held.hash, slot);
            self.text_bytes -= held.text.len();
            held.text = Arc::default();
            self.free.push(slot);
        }
    }

    /// The name's text, if it is held.
    pub(super) fn text(&self, name: Name) -> Option<&Arc<str>> {
        (name.is_some() && name.0 & UNHELD == 0).then(|| &self.held[name.0 as usize - 1].text)
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Memory in bytes, without the allocator's overhead.
    pub(super) fn bytes(&self) -> usize {
        self.text_bytes + self.held.capacity() * size_of::<Held>() + self.free.capacity() * size_of::<u32>() + self.index.bytes()
    }
}

/// The first bytes of a text, at most `max`, whole characters only.
pub(super) fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let end = (0..=max).rev().find(|&n| text.is_char_boundary(n)).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_lives_as_long_as_its_references() {
        let mut names = Names::new(2);
        let root = names.hold("root");
        assert_eq!(names.hold("root"), root);
        names.release(root);
        assert_eq!(names.text(root).map(|t| &**t), Some("root"));
        names.release(root);
        assert_eq!((names.len(), names.text_bytes), (0, 0));
        let (a, b) = (names.hold("a"), names.hold("b"));
        let (c, d) = (names.hold("c"), names.hold("d"));
        assert!(a != b && c != d && c != a, "names beyond the limit are told apart");
        assert_eq!((names.text(c), names.unheld_total), (None, 2));
        assert_eq!(names.hold("c"), c);
        names.release(c);
        assert_eq!(names.hold(""), Name::NONE);
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let mut names = Names::new(9);
        let long = names.hold(&"é".repeat(500));
        assert_eq!(names.text(long).map(|t| t.len()), Some(128));
    }
}
