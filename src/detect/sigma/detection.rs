//! Detections: which records a rule is about, and which of them match.

use std::sync::Arc;

use super::Wrong;
use super::condition::{self, Condition};
use super::logsource::LogSource;
use super::search::Search;
use super::yaml::{self, Node};
use crate::record::LogRecord;
use crate::record::incident::RuleAbout;

/// A rule about single events.
#[derive(Debug)]
pub(in crate::detect) struct Detection {
    pub about: Arc<RuleAbout>,
    /// Raises incidents by itself: not `informational`, and no correlation has taken it over.
    pub is_alone: bool,
    matcher: Matcher,
}

/// What a detection is made of.
#[derive(Debug)]
pub(super) struct Matcher {
    source: LogSource,
    searches: Vec<Search>,
    condition: Condition,
    is_informational: bool,
}

impl Detection {
    pub(super) fn new(about: Arc<RuleAbout>, matcher: Matcher) -> Detection {
        Detection { about, is_alone: !matcher.is_informational, matcher }
    }

    /// Whether a record matches.
    pub(super) fn matches(&self, record: &LogRecord<'_>) -> bool {
        let Matcher { source, searches, condition, .. } = &self.matcher;
        source.holds(record) && condition.holds(&mut |n| searches[n].finds(record))
    }
}

/// Reads the `detection` of a rule, and its `logsource`.
pub(super) fn read(document: &Node<'_>, node: &Node<'_>, is_informational: bool) -> Result<Matcher, Wrong> {
    let logsource = yaml::get(document, "logsource")
        .ok_or_else(|| (yaml::line(document), "the rule has no logsource: which logs is it about?".to_owned()))?;
    let source = LogSource::read(logsource)?;
    let entries = yaml::entries(node).ok_or_else(|| (yaml::line(node), "detection must be a map".to_owned()))?;
    let (mut names, mut searches, mut conditions) = (Vec::new(), Vec::new(), None);
    for (key, value) in entries {
        let name = yaml::text(key).ok_or_else(|| (yaml::line(key), "a search needs a name".to_owned()))?;
        match &*name {
            "condition" => conditions = Some(value),
            "timeframe" => return Err((yaml::line(key), "\"timeframe\" is of Sigma 1; write a correlation rule".to_owned())),
            _ => {
                names.push(name.into_owned());
                searches.push(Search::read(value)?);
            }
        }
    }
    let conditions = conditions.ok_or_else(|| (yaml::line(node), "the detection has no condition".to_owned()))?;
    let mut read = Vec::new();
    for node in yaml::one_or_more(conditions) {
        let wrong = |what| (yaml::line(node), what);
        let text = yaml::text(node).ok_or_else(|| wrong("a condition must be text".to_owned()))?;
        read.push(condition::read(&text, &names).map_err(wrong)?);
    }
    // A list of conditions: any of them.
    let condition = if read.len() == 1 { read.remove(0) } else { Condition::Any(read) };
    Ok(Matcher { source, searches, condition, is_informational })
}
