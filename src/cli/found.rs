//! What the detectors found, for people and for programs: what `tocsin replay` and `tocsin detect` share.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::table::{self, Width};
use crate::config;
use crate::detect::{EngineStats, Finding, Rules};
use crate::record::incident::Group;

/// The rules of that directory or file, none without one; `None` after telling why they cannot be used. `named` is where the path was given.
pub fn rules(path: Option<&Path>, named: &str) -> Option<Arc<Rules>> {
    let Some(path) = path else { return Some(Arc::default()) };
    let (rules, problems) = match config::rules::load(path) {
        Ok(read) => read,
        Err(what) => {
            eprintln!("tocsin: {named}: {what}");
            return None;
        }
    };
    for problem in &problems {
        eprintln!("tocsin: left out: {problem}");
    }
    if rules.is_empty() {
        eprintln!("tocsin: none of these rules can be used");
        return None;
    }
    Some(Arc::new(rules))
}

/// Says on standard error what could not be done exactly.
pub fn warn(stats: &EngineStats, left_out: u64) {
    let warn = |n: u64, what: &str| {
        if n > 0 {
            eprintln!("tocsin: {n} {what}");
        }
    };
    warn(stats.points_dropped_total, "events of very busy groups were forgotten for lack of room; counts may be low");
    warn(stats.evicted_full_total, "remote ends were forgotten for lack of room; counts may be low");
    warn(left_out, "changes were left out: there are too many incidents");
}

/// A finding, as a line of JSON has it.
#[derive(Serialize)]
struct Line<'a> {
    detector: &'a str,
    severity: &'a str,
    title: String,
    #[serde(serialize_with = "group_map")]
    group: &'a Group,
    first_seen: String,
    last_seen: String,
    event_count: u64,
    distinct_count: usize,
    /// Which tells of it; absent where nobody asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    incident: Option<Option<&'a str>>,
}

/// For each finding the number of the incident that tells of it, where somebody has looked for it.
pub type Told<'a> = Option<&'a [Option<String>]>;

/// A line of JSON for each finding.
///
/// # Errors
/// `out` takes no more.
pub fn write_json(found: &[Finding], told: Told<'_>, out: &mut impl Write) -> io::Result<()> {
    for (n, finding) in found.iter().enumerate() {
        let change = &finding.change;
        let line = Line {
            detector: change.raised_by.name(),
            severity: finding.severity.as_str(),
            title: finding.title(),
            group: &change.group,
            first_seen: change.first_seen.to_string(),
            last_seen: change.last_seen.to_string(),
            event_count: change.events,
            distinct_count: finding.names.len(),
            incident: told.map(|told| told[n].as_deref()),
        };
        serde_json::to_writer(&mut *out, &line)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// A table of them.
///
/// # Errors
/// `out` takes no more.
pub fn write_table(found: &[Finding], told: Told<'_>, out: &mut impl Write) -> io::Result<()> {
    if found.is_empty() {
        return writeln!(out, "No incidents.");
    }
    let columns = [
        ("severity", 0),
        ("incident", 0),
        ("events", 0),
        ("accounts or values", 90),
        ("first seen", 70),
        ("last seen", 110),
        ("number", if told.is_some() { 0 } else { Width::NEVER }),
    ];
    let mut table = table::listing(columns, None, Width::of_terminal());
    for (n, finding) in found.iter().enumerate() {
        table.add([
            finding.severity.to_string(),
            finding.title(),
            finding.change.events.to_string(),
            names(&finding.names),
            finding.change.first_seen.to_string(),
            finding.change.last_seen.to_string(),
            told.map_or(String::new(), |told| told[n].clone().unwrap_or_else(|| "none yet".to_owned())),
        ]);
    }
    writeln!(out, "{table}")
}

/// A few account names and how many more there are.
fn names(names: &BTreeSet<String>) -> String {
    const SHOWN: usize = 3;
    let mut text = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

fn group_map<S: Serializer>(group: &Group, to: S) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(group.0.len()))?;
    for (name, value) in &group.0 {
        map.serialize_entry(name, value)?;
    }
    map.end()
}
