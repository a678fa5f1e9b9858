//! Sigma rules: what an operator writes in YAML → [`Rules`] that a record can be held against. Pure: text in, rules out.
//!
//! ```text
//!   YAML document ──┬─ logsource, detection ─▶ Detection    which records match           detection, search, condition, fields, logsource
//!                   └─ correlation ──────────▶ Correlation  how many, of whom, how soon   correlation
//! ```
//!
//! Read are detection rules and correlation rules of the Sigma Specification 2.1 (SigmaHQ, 2025): searches by field and by keyword,
//! all modifiers but `expand` and those of times; correlations of the types `event_count`, `value_count` and `temporal`. A rule that
//! needs something else is refused with its line, never read as if it said less.
//!
//! **Fields** are ECS names as in `logs.fields`, the columns of `logs`, or the names of Sigma's taxonomy for web servers, proxies, firewalls
//! and DNS ([`fields`] has the table). **Log sources** are told by what a record holds ([`logsource`] has the table).
//!
//! What the specification leaves open: a line counts once for each event that it stands for ("message repeated 5 times": 5); an event
//! without one of the `group-by` fields counts nowhere; a rule of level `informational`, and one that only correlations refer to, raises
//! no incident by itself; a rule that fires on single events groups them by the remote end, otherwise by the host.

mod condition;
mod correlation;
mod detection;
mod fields;
mod logsource;
mod rule;
mod search;
mod text;
mod yaml;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) use correlation::{Correlation, Distinct, Member};
pub(super) use detection::Detection;
pub(super) use fields::Field;

use crate::record::LogRecord;
use crate::record::incident::{Detector, RuleAbout};

/// A rule that cannot be used, or a file that holds none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong, and what to do.
    pub what: String,
}

/// `rules/ssh.yml:12: what is wrong`
impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file.display(), self.what),
            line => write!(f, "{}:{line}: {}", self.file.display(), self.what),
        }
    }
}

/// What is wrong with a document, and where.
type Wrong = (usize, String);

/// Rules that work, ready to be held against records.
#[derive(Debug, Default)]
pub struct Rules {
    pub(super) detections: Vec<Detection>,
    pub(super) correlations: Vec<Correlation>,
}

impl Rules {
    /// Reads the rules in the texts of files. What cannot be used is left out and reported; a correlation goes with the rules that it
    /// refers to. They may stand in any file and in any order.
    pub fn read<'t>(files: impl IntoIterator<Item = (&'t Path, &'t str)>) -> (Rules, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut drafts = Vec::new();
        for (file, text) in files {
            let mut wrong = |(line, what)| problems.push(Problem { file: file.to_owned(), line, what });
            match yaml::documents(text) {
                Err(error) => wrong(error),
                Ok(documents) => {
                    for document in &documents {
                        match rule::read(document) {
                            Ok(draft) => drafts.push((file, draft)),
                            Err(error) => wrong(error),
                        }
                    }
                }
            }
        }
        let rules = Rules::assemble(drafts, &mut problems);
        problems.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        (rules, problems)
    }

    fn assemble(drafts: Vec<(&Path, rule::Draft)>, problems: &mut Vec<Problem>) -> Rules {
        let mut names: HashMap<String, (PathBuf, usize)> = HashMap::new();
        // A correlation may refer to a rule by its name or by its id.
        let mut by_reference: HashMap<String, usize> = HashMap::new();
        let mut rules = Rules::default();
        let mut correlations = Vec::new();
        for (file, draft) in drafts {
            let mut wrong = |what| problems.push(Problem { file: file.to_owned(), line: draft.line, what });
            let name = draft.about.name.clone();
            if Detector::from_name(&name).is_some() {
                wrong(format!("\"{name}\" is the name of a detector that is always there; give the rule another name"));
                continue;
            }
            if let Some((other, line)) = names.get(&name) {
                wrong(format!(
                    "there is a rule named \"{name}\" already, in {}:{line}; give this one another name",
                    other.display()
                ));
                continue;
            }
            names.insert(name.clone(), (file.to_owned(), draft.line));
            match draft.kind {
                rule::Kind::Detection(detection) => {
                    for reference in [Some(name), draft.id].into_iter().flatten() {
                        by_reference.insert(reference, rules.detections.len());
                    }
                    rules.detections.push(Detection::new(Arc::new(draft.about), detection));
                }
                rule::Kind::Correlation(correlation) => correlations.push((file, draft.line, draft.about, correlation)),
            }
        }
        let known_correlations: Vec<String> = correlations.iter().map(|(_, _, about, _)| about.name.clone()).collect();
        for (file, line, about, draft) in correlations {
            match draft.resolve(about, &by_reference, &known_correlations, &mut rules.detections) {
                Ok(correlation) => rules.correlations.push(correlation),
                Err(what) => problems.push(Problem { file: file.to_owned(), line, what }),
            }
        }
        rules
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.detections.len() + self.correlations.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.detections.is_empty()
    }

    /// The detections that a record matches, by their numbers, into `matched`.
    pub(super) fn matching(&self, record: &LogRecord<'_>, matched: &mut Vec<usize>) {
        matched.clear();
        matched.extend((0..self.detections.len()).filter(|&n| self.detections[n].matches(record)));
    }

    /// The longest window of a correlation, in microseconds; `None` without correlations.
    pub fn widest_window_micros(&self) -> Option<i64> {
        self.correlations.iter().map(|c| c.window_micros).max()
    }

    /// Everything that is known of the rules, in the order in which they were read: detections, then correlations.
    pub fn about(&self) -> impl Iterator<Item = &Arc<RuleAbout>> {
        self.detections.iter().map(|d| &d.about).chain(self.correlations.iter().map(|c| &c.about))
    }
}

#[cfg(test)]
mod tests;
