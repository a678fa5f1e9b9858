//! A document → a rule: what is common to all, and what kind it is.

use super::Wrong;
use super::correlation;
use super::detection::{self, Matcher};
use super::yaml::{self, Node};
use crate::record::Severity;
use crate::record::incident::RuleAbout;

/// A document that has been read.
#[derive(Debug)]
pub(super) struct Draft {
    pub line: usize,
    pub id: Option<String>,
    pub about: RuleAbout,
    pub kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Detection(Matcher),
    Correlation(correlation::Draft),
}

/// Reads a document.
pub(super) fn read(document: &Node<'_>) -> Result<Draft, Wrong> {
    let line = yaml::line(document);
    if yaml::entries(document).is_none() {
        return Err((line, "a rule is a map with title, logsource and detection".to_owned()));
    }
    if let Some(action) = yaml::get(document, "action") {
        return Err((yaml::line(action), "\"action\" is of Sigma 1; write out each rule, and correlations as such".to_owned()));
    }
    if let Some(filter) = yaml::get(document, "filter") {
        return Err((
            yaml::line(filter),
            "Sigma filters are not supported; put the exception into the rule's condition".to_owned(),
        ));
    }
    let title = yaml::text_of(document, "title")?.ok_or_else(|| (line, "the rule has no title".to_owned()))?.trim().to_owned();
    let name = match yaml::text_of(document, "name")? {
        Some(name) => name.trim().to_owned(),
        None => as_name(&title),
    };
    if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
        return Err((line, "the rule needs a name, or a title that makes one, of 1 to 128 bytes".to_owned()));
    }
    let level = level(document)?;
    let tags = tags(document)?;
    let about = RuleAbout {
        name,
        title,
        description: yaml::text_of(document, "description")?.map_or_else(String::new, |d| d.trim().to_owned()),
        severity: level.map_or(Severity::Medium, |l| l.unwrap_or(Severity::Low)),
        technique: tags.iter().find_map(|tag| technique(tag)),
        category: category(&tags),
        window: None,
    };
    let kind = match (yaml::get(document, "correlation"), yaml::get(document, "detection")) {
        (Some(node), None) => Kind::Correlation(correlation::Draft::read(node, level.flatten().is_some())?),
        (None, Some(node)) => Kind::Detection(detection::read(document, node, level == Some(None))?),
        (None, None) => return Err((line, "the rule has neither a detection nor a correlation".to_owned())),
        (Some(node), Some(_)) => {
            return Err((yaml::line(node), "detection and correlation are two rules: put \"---\" between them".to_owned()));
        }
    };
    Ok(Draft { line, id: yaml::text_of(document, "id")?.map(|id| id.into_owned()), about, kind })
}

/// The rule's level: `None` if it names none, `Some(None)` for `informational`.
fn level(document: &Node<'_>) -> Result<Option<Option<Severity>>, Wrong> {
    let Some(text) = yaml::text_of(document, "level")? else { return Ok(None) };
    if text == "informational" {
        return Ok(Some(None));
    }
    let at = yaml::get(document, "level").map_or(0, yaml::line);
    let severity =
        text.parse().map_err(|_| (at, format!("level is informational, low, medium, high or critical, not \"{text}\"")))?;
    Ok(Some(Some(severity)))
}

fn tags(document: &Node<'_>) -> Result<Vec<String>, Wrong> {
    let Some(node) = yaml::get(document, "tags") else { return Ok(Vec::new()) };
    let mut tags = Vec::new();
    for tag in yaml::one_or_more(node) {
        tags.push(yaml::text(tag).ok_or_else(|| (yaml::line(tag), "a tag must be text".to_owned()))?.to_lowercase());
    }
    Ok(tags)
}

/// `attack.t1110.001` → `T1110.001`.
fn technique(tag: &str) -> Option<String> {
    let rest = tag.strip_prefix("attack.t")?;
    let is_technique = rest.len() >= 4 && rest.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    is_technique.then(|| format!("T{rest}"))
}

/// The category of RSIT (machine names of 2024) that a rule's ATT&CK tactic stands for.
fn category(tags: &[String]) -> &'static str {
    let of_tactic = |tag: &String| {
        Some(match tag.strip_prefix("attack.")?.replace('_', "-").as_str() {
            "reconnaissance" | "discovery" => "information-gathering",
            "initial-access" | "credential-access" => "intrusion-attempts",
            "execution"
            | "persistence"
            | "privilege-escalation"
            | "defense-evasion"
            | "lateral-movement"
            | "command-and-control" => "intrusions",
            "collection" | "exfiltration" => "information-content-security",
            "impact" => "availability",
            _ => return None,
        })
    };
    tags.iter().find_map(of_tactic).unwrap_or("other")
}

/// `Failed logins (SSH)` → `failed_logins_ssh`.
fn as_name(title: &str) -> String {
    let mut name = String::new();
    for c in title.chars() {
        if c.is_alphanumeric() {
            name.extend(c.to_lowercase());
        } else if !name.ends_with('_') && !name.is_empty() {
            name.push('_');
        }
    }
    name.trim_end_matches('_').to_owned()
}
