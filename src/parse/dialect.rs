//! Dialects: how each product writes what happened, and how a line shows which of them it is in.
//!
//! A dialect is a file of [`super::message`] that ends in a [`Dialect`]: its name, its marks, its parser. Marks are put together once into
//! tables, so that a line is looked at once, whatever the number of dialects; only those whose mark it bears are tried, and each
//! of them checks for itself. Nothing that came before enters: the same line is the same record today, after a restart and in a replay.

use std::collections::HashMap;
use std::sync::LazyLock;

use foldhash::quality::RandomState;

use super::Context;
use super::message::DIALECTS;
use super::scan;
use crate::record::LogRecord;

/// Reads a text into a record and names itself in `format.message`. False: it is not of this dialect, and the record is as it was.
pub(crate) type Parser = for<'a> fn(&'a str, &mut LogRecord<'a>, &Context<'_>) -> bool;

/// How a product writes.
pub(crate) struct Dialect {
    /// What it is called in `format`, `--format` and the configuration.
    pub name: &'static str,
    /// Whose it is.
    pub product: &'static str,
    /// The page that the parser follows.
    pub reference: &'static str,
    /// What shows it.
    pub marks: &'static [Mark],
    /// Reads it.
    pub parse: Parser,
    /// Lines, as they come in, of every kind that it understands.
    pub samples: &'static [&'static str],
}

impl Dialect {
    /// Its lines may have no envelope but its own.
    pub fn reads_lines(&self) -> bool {
        self.marks.iter().any(|mark| matches!(mark, Mark::Line(_)))
    }
}

/// What shows a dialect. Whoever bears a mark is not yet recognised: the parser decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The message comes from a program of that name (see [`Recogniser::by_app`]).
    App(&'static str),
    /// The message begins so.
    Begins(&'static str),
    /// This is in the first [`LOOK_BYTES`] of the message.
    Holds(&'static str),
    /// This is in the first [`LOOK_BYTES`] of a line that has no envelope that others know: the parser reads time and host, too.
    Line(&'static str),
    /// This is in the first [`JSON_LOOK_BYTES`] of a JSON object: mostly the name of a member, in its quotes.
    Member(&'static str),
}

/// How much of a text is searched for marks.
pub(crate) const LOOK_BYTES: usize = 256;
/// How much of a JSON object is.
pub(crate) const JSON_LOOK_BYTES: usize = 2048;

/// Marks of one kind.
const MAX_MARKS: usize = 512;

/// All marks, put together.
pub(crate) struct Recogniser {
    apps: HashMap<&'static str, Vec<&'static Dialect>, RandomState>,
    begins: Marks,
    holds: Marks,
    lines: Marks,
    members: Marks,
}

/// Made at the first line.
pub(crate) static RECOGNISER: LazyLock<Recogniser> = LazyLock::new(|| Recogniser::new(DIALECTS));

impl Recogniser {
    fn new(dialects: &'static [Dialect]) -> Recogniser {
        let mut apps: HashMap<_, Vec<_>, RandomState> = HashMap::default();
        for dialect in dialects {
            for mark in dialect.marks {
                if let Mark::App(app) = mark {
                    apps.entry(*app).or_default().push(dialect);
                }
            }
        }
        let marks = |anchored, pick: fn(Mark) -> Option<&'static str>| {
            let all = dialects.iter().flat_map(|dialect| dialect.marks.iter().map(move |mark| (*mark, dialect)));
            Marks::new(anchored, all.filter_map(|(mark, dialect)| Some((pick(mark)?, dialect))).collect())
        };
        Recogniser {
            apps,
            begins: marks(true, |mark| if let Mark::Begins(text) = mark { Some(text) } else { None }),
            holds: marks(false, |mark| if let Mark::Holds(text) = mark { Some(text) } else { None }),
            lines: marks(false, |mark| if let Mark::Line(text) = mark { Some(text) } else { None }),
            members: marks(false, |mark| if let Mark::Member(text) = mark { Some(text) } else { None }),
        }
    }

    /// The dialects of what a program of that name writes. What stands before the name (a path) and behind it (a number, the suffix of a
    /// helper process) is left out where the whole is not known; what has a module of PAM behind it, in brackets, is PAM's: `(pam_`.
    pub fn by_app<'n>(&self, app: &'n str) -> &[&'static Dialect] {
        let known = |name: &str| self.apps.get(name);
        let file = app.rsplit('/').next().unwrap_or(app);
        let stem = |name: &'n str| name.find(|c: char| !c.is_ascii_alphanumeric() && c != '%').map_or(name, |end| &name[..end]);
        let found = known(app).or_else(|| known(file)).or_else(|| match app.split_once('(') {
            Some((_, module)) => module.starts_with("pam_").then(|| known("(pam_")).flatten(),
            None => known(stem(app)).or_else(|| known(stem(file))),
        });
        found.map_or(&[], Vec::as_slice)
    }

    /// A program of exactly that name writes in some dialect.
    pub fn is_known_app(&self, app: &str) -> bool {
        self.apps.contains_key(app) || app.rsplit('/').next().is_some_and(|file| self.apps.contains_key(file))
    }

    /// Hands out the dialects whose mark a message bears, those of the longest beginning first, until `each` says that one was right.
    pub fn of_message(&self, message: &str, each: &mut dyn FnMut(&'static Dialect, &'static str) -> bool) -> bool {
        self.begins.search(message, LOOK_BYTES, each) || self.holds.search(message, LOOK_BYTES, each)
    }

    /// The same of a line as it came in.
    pub fn of_line(&self, line: &str, each: &mut dyn FnMut(&'static Dialect, &'static str) -> bool) -> bool {
        self.lines.search(line, LOOK_BYTES, each)
    }

    /// The same of a JSON object.
    pub fn of_object(&self, object: &str, each: &mut dyn FnMut(&'static Dialect, &'static str) -> bool) -> bool {
        self.members.search(object, JSON_LOOK_BYTES, each)
    }
}

/// Bytes of a mark that are looked at before the whole is compared.
const PLACES: usize = 4;

/// Marks of one kind.
struct Marks {
    /// They stand at the very beginning.
    anchored: bool,
    /// The longest first: what it is, and the dialects that it, or a shorter one within it, shows.
    shown: Vec<(&'static str, Vec<&'static Dialect>)>,
    /// In 64 groups, like beside like, with their places in `shown`, in its order.
    groups: Vec<Vec<(&'static str, usize)>>,
    /// By byte and by place in a mark: the groups of which a mark has that byte there, or ends before, a bit each. This table fits into the
    /// nearest cache; an automaton of all marks takes megabytes, and a line would wait for them.
    bits: Box<[[u64; PLACES]; 256]>,
}

impl Marks {
    fn new(anchored: bool, mut marks: Vec<(&'static str, &'static Dialect)>) -> Marks {
        // The longer a mark, the more it says. The order of the dialects decides between equals.
        marks.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        let mut shown: Vec<(&'static str, Vec<&'static Dialect>)> = Vec::new();
        for (text, _) in &marks {
            if shown.iter().any(|(known, _)| known == text) {
                continue;
            }
            let is_within = |other: &str| if anchored { text.starts_with(other) } else { text.contains(other) };
            let mut dialects: Vec<&'static Dialect> = Vec::new();
            for (_, dialect) in marks.iter().filter(|(other, _)| is_within(other)) {
                if !dialects.iter().any(|known| std::ptr::eq(*known, *dialect)) {
                    dialects.push(dialect);
                }
            }
            shown.push((text, dialects));
        }
        assert!(shown.len() <= MAX_MARKS, "there is room for {MAX_MARKS} marks");
        let mut sorted: Vec<usize> = (0..shown.len()).collect();
        sorted.sort_by_key(|mark| shown[*mark].0);
        let groups: Vec<Vec<(&'static str, usize)>> = sorted
            .chunks_mut(shown.len().div_ceil(64).max(1))
            .map(|group| {
                group.sort_unstable();
                group.iter().map(|mark| (shown[*mark].0, *mark)).collect()
            })
            .collect();
        let mut bits = Box::new([[0; PLACES]; 256]);
        for (group, marks) in groups.iter().enumerate() {
            for (mark, place) in marks.iter().flat_map(|(mark, _)| (0..PLACES).map(move |place| (mark, place))) {
                let at = mark.as_bytes().get(place);
                for byte in (0..=u8::MAX).filter(|byte| at.is_none_or(|at| at == byte)) {
                    bits[usize::from(byte)][place] |= 1 << group;
                }
            }
        }
        Marks { anchored, shown, groups, bits }
    }

    fn search(&self, text: &str, look: usize, each: &mut dyn FnMut(&'static Dialect, &'static str) -> bool) -> bool {
        let text = &text.as_bytes()[..text.len().min(look)];
        // A line that repeats a mark is not tried again.
        let mut seen = [0_u64; MAX_MARKS / 64];
        let mut from = 0;
        while let Some((at, found)) = self.next(text, from) {
            let (mark, dialects) = &self.shown[found];
            let (word, bit) = (found / 64, 1 << (found % 64));
            if seen[word] & bit == 0 && dialects.iter().any(|dialect| each(dialect, mark)) {
                return true;
            }
            seen[word] |= bit;
            from = at + mark.len();
        }
        false
    }

    /// The first place at or behind `from` where a mark stands, and the longest that does.
    fn next(&self, text: &[u8], from: usize) -> Option<(usize, usize)> {
        if self.anchored {
            return self.longest(text).filter(|_| from == 0).map(|mark| (0, mark));
        }
        let rest = text.get(from..)?;
        // The groups that the last byte, the last two and the last three go with.
        let (mut one, mut two, mut three) = (0, 0, 0);
        for (end, byte) in rest.iter().enumerate() {
            let [first, second, third, fourth] = self.bits[usize::from(*byte)];
            let groups = three & fourth;
            (three, two, one) = (two & third, one & second, first);
            let at = (end + 1).saturating_sub(PLACES);
            if groups != 0
                && let Some(mark) = self.longest_of(groups, &rest[at..])
            {
                return Some((from + at, mark));
            }
        }
        let last = rest.len().saturating_sub(PLACES - 1);
        (last..rest.len()).find_map(|at| self.longest(&rest[at..]).map(|mark| (from + at, mark)))
    }

    /// The longest mark that `text` begins with.
    fn longest(&self, text: &[u8]) -> Option<usize> {
        let fitting = text.iter().zip(0..PLACES).map(|(byte, place)| self.bits[usize::from(*byte)][place]);
        self.longest_of(fitting.fold(u64::MAX, |groups, fitting| groups & fitting), text)
    }

    fn longest_of(&self, mut groups: u64, text: &[u8]) -> Option<usize> {
        let mut longest = None;
        while groups != 0 {
            let group = groups.trailing_zeros() as usize;
            groups &= groups - 1;
            // Where there is no text, there may be no such group. The longer stands first, here as in `shown`.
            let mut group = self.groups.get(group).into_iter().flatten();
            let fitting = group.find(|(mark, _)| scan::begins(text, mark.as_bytes()));
            longest = fitting.map(|(_, mark)| *mark).into_iter().chain(longest).min();
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MARKS: [&str; 10] = ["[", "] [", "ab", "abc", "abcab", "bca", "c] [a", "aaaaa", "b a b", "\u{e9}a"];

    /// The marks in `text`, the leftmost first and the longest of those, none within another, each once.
    fn expected(text: &str, anchored: bool) -> Vec<&'static str> {
        let (mut at, mut all) = (0, Vec::new());
        while at < text.len() {
            let here =
                MARKS.into_iter().filter(|mark| text.as_bytes()[at..].starts_with(mark.as_bytes())).max_by_key(|mark| mark.len());
            at += here.map_or(1, str::len);
            all.extend(here.filter(|mark| !all.contains(mark)));
            if anchored {
                break;
            }
        }
        all
    }

    proptest! {
        #[test]
        fn marks_are_found_in_their_order(text in "([abc\\[\\] \u{e9}]|abc|\\] \\[){0,30}", look in 0_usize..80) {
            let look = (0..=look.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            static ALL: LazyLock<[Marks; 2]> =
                LazyLock::new(|| [false, true].map(|anchored| Marks::new(anchored, MARKS.into_iter().zip(DIALECTS).collect())));
            for marks in &*ALL {
                let mut found = Vec::new();
                let understood = marks.search(&text, look, &mut |_, mark| {
                    if found.last() != Some(&mark) {
                        found.push(mark);
                    }
                    false
                });
                prop_assert!(!understood);
                prop_assert_eq!(found, expected(&text[..look], marks.anchored));
            }
        }
    }
}
