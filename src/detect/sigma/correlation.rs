//! Correlation rules: how many events, of whom, how soon (Sigma Correlation Rules Specification 2.1).

use std::collections::HashMap;
use std::sync::Arc;

use saphyr::Scalar;

use super::Wrong;
use super::detection::Detection;
use super::fields::Field;
use super::yaml::{self, Node};
use crate::record::Severity;
use crate::record::incident::{Counted, RuleAbout, RuleWindow};

/// Work for an event grows with the number of events that a rule waits for …
const MAX_EVENTS: i64 = 1_000;
/// … and with the square of the number of values.
const MAX_VALUES: i64 = 100;
const MAX_TIMESPAN_SECS: i64 = 7 * 86_400;
const MAX_GROUP_BY: usize = 8;

/// A rule about several events.
#[derive(Debug)]
pub(in crate::detect) struct Correlation {
    pub about: Arc<RuleAbout>,
    /// The rules whose events it counts.
    pub members: Vec<Member>,
    /// The group-by fields, as the rule names them.
    pub group_by: Vec<Arc<str>>,
    pub distinct: Distinct,
    pub threshold: u32,
    pub window_micros: i64,
}

/// A rule that a correlation counts, and where its events have what the correlation looks at.
#[derive(Debug)]
pub(in crate::detect) struct Member {
    /// Number of the detection.
    pub detection: usize,
    /// By group-by field.
    pub group_by: Vec<Field>,
}

/// Of what a correlation counts different ones.
#[derive(Debug)]
pub(in crate::detect) enum Distinct {
    /// None: it counts events.
    No,
    /// Values of a field.
    Values(Field),
    /// Rules.
    Rules,
}

/// A correlation, before its rules are known.
#[derive(Debug)]
pub(super) struct Draft {
    kind: CorrelationType,
    rules: Vec<String>,
    group_by: Vec<String>,
    /// By alias: for each rule the field that it stands for.
    aliases: HashMap<String, HashMap<String, String>>,
    timespan_micros: i64,
    threshold: Option<i64>,
    field: Option<String>,
    /// The rules raise incidents of their own, too.
    generate: bool,
    has_level: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum CorrelationType {
    EventCount,
    ValueCount,
    Temporal,
}

impl Draft {
    /// Reads the `correlation` of a rule; `has_level`: the rule has a level of its own.
    pub(super) fn read(node: &Node<'_>, has_level: bool) -> Result<Draft, Wrong> {
        let entries = yaml::entries(node).ok_or_else(|| (yaml::line(node), "correlation must be a map".to_owned()))?;
        let known = ["type", "rules", "group-by", "timespan", "condition", "aliases", "generate"];
        for (key, _) in entries {
            let name = yaml::text(key).unwrap_or_default();
            if !known.contains(&&*name) {
                return Err((yaml::line(key), format!("a correlation has no \"{name}\"; it has {}", known.join(", "))));
            }
        }
        let missing = |key: &str| (yaml::line(node), format!("the correlation has no {key}"));
        let wanted = |key: &str| yaml::get(node, key).ok_or_else(|| missing(key));
        let kind = match &*yaml::text_of(node, "type")?.ok_or_else(|| missing("type"))? {
            "event_count" => CorrelationType::EventCount,
            "value_count" => CorrelationType::ValueCount,
            "temporal" => CorrelationType::Temporal,
            other => {
                let supported = "supported are event_count, value_count and temporal";
                return Err((yaml::line(wanted("type")?), format!("the type \"{other}\" is not supported; {supported}")));
            }
        };
        let timespan = wanted("timespan")?;
        let text = yaml::text(timespan).unwrap_or_default();
        let timespan_micros = timespan_micros(&text).map_err(|what| (yaml::line(timespan), what))?;
        let (threshold, field) = match yaml::get(node, "condition") {
            Some(condition) => read_condition(condition)?,
            None => (None, None),
        };
        let generate = match yaml::get(node, "generate").map(|g| (yaml::line(g), yaml::scalar(g))) {
            None => false,
            Some((_, Some(Scalar::Boolean(truth)))) => *truth,
            Some((line, _)) => return Err((line, "generate is true or false".to_owned())),
        };
        let group_by = yaml::get(node, "group-by").map_or(Ok(Vec::new()), texts)?;
        if group_by.len() > MAX_GROUP_BY {
            return Err((yaml::line(wanted("group-by")?), format!("at most {MAX_GROUP_BY} fields can be grouped by")));
        }
        Ok(Draft {
            kind,
            rules: texts(wanted("rules")?)?,
            group_by,
            aliases: yaml::get(node, "aliases").map_or(Ok(HashMap::new()), read_aliases)?,
            timespan_micros,
            threshold,
            field,
            generate,
            has_level,
        })
    }

    /// The correlation, once all rules are known, by their names and ids.
    pub(super) fn resolve(
        self,
        mut about: RuleAbout,
        rules: &HashMap<String, usize>,
        correlations: &[String],
        detections: &mut [Detection],
    ) -> Result<Correlation, String> {
        let mut members = Vec::new();
        for rule in &self.rules {
            let Some(&detection) = rules.get(rule) else {
                return Err(if correlations.contains(rule) {
                    format!("\"{rule}\" is a correlation itself; correlations of correlations are not supported")
                } else {
                    format!("there is no rule with the name or id \"{rule}\" that can be used")
                });
            };
            if members.iter().any(|m: &Member| m.detection == detection) {
                return Err(format!("the rule \"{rule}\" is named twice"));
            }
            let field_of = |group_by: &String| match self.aliases.get(group_by) {
                None => Ok(Field::named(group_by)),
                Some(by_rule) => match by_rule.get(rule).or_else(|| by_rule.get(&detections[detection].about.name)) {
                    Some(field) => Ok(Field::named(field)),
                    None => Err(format!("the alias \"{group_by}\" says nothing about the rule \"{rule}\"")),
                },
            };
            let group_by = self.group_by.iter().map(field_of).collect::<Result<_, _>>()?;
            members.push(Member { detection, group_by });
        }
        let (distinct, counted, most, what) = match (self.kind, &self.field) {
            (CorrelationType::EventCount, None) => (Distinct::No, Counted::Events, MAX_EVENTS, "events"),
            (CorrelationType::ValueCount, Some(name)) => {
                let field = Field::named(name);
                let counted = if field.is_account() { Counted::Accounts } else { Counted::Values(name.clone()) };
                (Distinct::Values(field), counted, MAX_VALUES, "values")
            }
            (CorrelationType::Temporal, None) => (Distinct::Rules, Counted::Rules, members.len() as i64, "rules"),
            (CorrelationType::ValueCount, None) => return Err("a value_count needs a field in its condition".to_owned()),
            (_, Some(_)) => return Err("only a value_count has a field in its condition".to_owned()),
        };
        let threshold = match (self.threshold, self.kind) {
            (Some(threshold), _) => threshold,
            (None, CorrelationType::Temporal) => members.len() as i64,
            (None, _) => return Err("the correlation has no condition".to_owned()),
        };
        if !(1..=most).contains(&threshold) {
            return Err(format!("the condition must ask for 1 to {most} {what}, not {threshold}"));
        }
        let threshold = threshold as u32; // at most MAX_EVENTS
        if !self.has_level {
            about.severity = Severity::Low;
        }
        for member in &members {
            let detection = &mut detections[member.detection];
            detection.is_alone &= self.generate;
            if !self.has_level {
                about.severity = about.severity.max(detection.about.severity);
            }
        }
        about.window = Some(RuleWindow { threshold, micros: self.timespan_micros, counted });
        let group_by = self.group_by.iter().map(|name| Arc::from(name.as_str())).collect();
        Ok(Correlation { about: Arc::new(about), members, group_by, distinct, threshold, window_micros: self.timespan_micros })
    }
}

/// A list of texts, or one.
fn texts(node: &Node<'_>) -> Result<Vec<String>, Wrong> {
    let text =
        |n: &Node<'_>| yaml::text(n).map(|t| t.into_owned()).ok_or_else(|| (yaml::line(n), "this must be text".to_owned()));
    let all: Vec<String> = yaml::one_or_more(node).iter().map(text).collect::<Result<_, _>>()?;
    if all.is_empty() { Err((yaml::line(node), "this list is empty".to_owned())) } else { Ok(all) }
}

/// `90m` → microseconds.
fn timespan_micros(text: &str) -> Result<i64, String> {
    let wrong = || format!("timespan is a number and s, m, h or d, such as 90m, not \"{text}\"");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: i64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
    match number.checked_mul(seconds) {
        Some(secs @ 1..=MAX_TIMESPAN_SECS) => Ok(secs * 1_000_000),
        _ => Err(format!("timespan must be between 1s and {}d", MAX_TIMESPAN_SECS / 86_400)),
    }
}

/// The threshold and the field of a condition.
fn read_condition(node: &Node<'_>) -> Result<(Option<i64>, Option<String>), Wrong> {
    let line = yaml::line(node);
    let entries = yaml::entries(node).ok_or_else(|| (line, "the condition must be a map such as gte: 10".to_owned()))?;
    let (mut threshold, mut field) = (None, None);
    for (key, value) in entries {
        let at = yaml::line(key);
        let name = yaml::text(key).unwrap_or_default();
        let number = || match yaml::scalar(value) {
            Some(Scalar::Integer(number)) => Ok(*number),
            _ => Err((at, format!("{name} takes a whole number"))),
        };
        match &*name {
            "gte" => threshold = Some(number()?),
            "gt" => threshold = Some(number()?.saturating_add(1)),
            "field" => {
                field = Some(yaml::text(value).ok_or_else(|| (at, "field takes the name of one field".to_owned()))?.into_owned())
            }
            "lt" | "lte" | "eq" | "neq" => {
                // What has been counted cannot be taken back when more comes.
                return Err((at, format!("\"{name}\" is not supported: a count only grows; use gte or gt")));
            }
            _ => return Err((at, format!("a condition has no \"{name}\""))),
        }
    }
    Ok((threshold, field))
}

fn read_aliases(node: &Node<'_>) -> Result<HashMap<String, HashMap<String, String>>, Wrong> {
    let wrong = |n: &Node<'_>| (yaml::line(n), "aliases are a map of maps: alias, rule, field".to_owned());
    let mut aliases = HashMap::new();
    for (alias, by_rule) in yaml::entries(node).ok_or_else(|| wrong(node))? {
        let mut fields = HashMap::new();
        for (rule, field) in yaml::entries(by_rule).ok_or_else(|| wrong(by_rule))? {
            let pair = yaml::text(rule).zip(yaml::text(field)).ok_or_else(|| wrong(rule))?;
            fields.insert(pair.0.into_owned(), pair.1.into_owned());
        }
        aliases.insert(yaml::text(alias).ok_or_else(|| wrong(alias))?.into_owned(), fields);
    }
    Ok(aliases)
}
