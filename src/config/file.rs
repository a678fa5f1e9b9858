//! The configuration file as text: every wrong key and value, with its line, before anything is built from it.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::KEYS;
use crate::record::incident::Detector;

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file; `None` where the environment is to blame.
    pub file: Option<PathBuf>,
    /// Line in the file, from 1; 0 where no line is to blame.
    pub line: usize,
    /// The key, such as `syslog[0].tcp`; empty for the file as a whole.
    pub key: String,
    /// What is wrong, and what to do.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", file.display())?;
            if self.line > 0 {
                write!(f, "{}:", self.line)?;
            }
            f.write_str(" ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)
    }
}

/// Where tables and keys stand in the file.
pub struct Lines<'t> {
    path: &'t Path,
    text: &'t str,
    found: Vec<(String, usize)>,
}

impl Lines<'_> {
    /// A problem at a key, with the line of the key or of the nearest table around it.
    pub fn problem(&self, key: &str, what: impl Into<String>) -> Problem {
        let mut at = key;
        let line = loop {
            if let Some((_, line)) = self.found.iter().find(|(k, _)| k == at) {
                break *line;
            }
            match at.rfind('.') {
                Some(dot) => at = &at[..dot],
                None => break 0,
            }
        };
        Problem { file: Some(self.path.to_owned()), line, key: key.to_owned(), what: what.into() }
    }

    fn line_of(&self, span: &Range<usize>) -> usize {
        1 + self.text.as_bytes()[..span.start.min(self.text.len())].iter().filter(|b| **b == b'\n').count()
    }
}

/// Checks every key and value of a file's text.
pub fn check<'t>(path: &'t Path, text: &'t str) -> (Lines<'t>, Vec<Problem>) {
    let mut lines = Lines { path, text, found: Vec::new() };
    let mut problems = Vec::new();
    let (table, errors) = DeTable::parse_recoverable(text);
    if let Some(error) = errors.first() {
        let line = error.span().map_or(0, |s| lines.line_of(&s));
        let what = error.message().trim().to_owned();
        problems.push(Problem { file: Some(path.to_owned()), line, key: String::new(), what });
        return (lines, problems);
    }
    walk(table.get_ref(), "", "", &mut lines, &mut problems);
    (lines, problems)
}

/// `at` is the key with indices for people (`syslog[0]`), `pattern` the one without (`syslog[]`).
fn walk(table: &DeTable<'_>, at: &str, pattern: &str, lines: &mut Lines<'_>, problems: &mut Vec<Problem>) {
    for (name, value) in table {
        let (key, key_pattern) = (joined(at, name.get_ref()), joined(pattern, name.get_ref()));
        let line = lines.line_of(&name.span());
        lines.found.push((key.clone(), line));
        item(value, &key, &key_pattern, line, lines, problems);
    }
}

fn item(value: &Spanned<DeValue<'_>>, key: &str, pattern: &str, line: usize, lines: &mut Lines<'_>, problems: &mut Vec<Problem>) {
    let known = known_pattern(pattern);
    let mut wrong = |what: String| problems.push(Problem { file: Some(lines.path.to_owned()), line, key: key.to_owned(), what });
    if let Some(found) = KEYS.iter().find(|k| k.path == known) {
        match toml_value(value) {
            Ok(value) => {
                if let Err(what) = found.kind.check(&value) {
                    wrong(what);
                }
            }
            Err(what) => wrong(what),
        }
        return;
    }
    let inside = |suffix: &str| KEYS.iter().any(|k| k.path.starts_with(&format!("{known}{suffix}")));
    match value.get_ref() {
        DeValue::Table(table) if inside(".") => walk(table, key, pattern, lines, problems),
        DeValue::Array(entries) if inside("[].") => {
            for (i, entry) in entries.iter().enumerate() {
                let (key, pattern) = (format!("{key}[{i}]"), format!("{pattern}[]"));
                let line = lines.line_of(&entry.span());
                match entry.get_ref() {
                    DeValue::Table(table) => {
                        lines.found.push((key.clone(), line));
                        walk(table, &key, &pattern, lines, problems);
                    }
                    _ => problems.push(Problem { file: Some(lines.path.to_owned()), line, key, what: "is to be a table".into() }),
                }
            }
        }
        _ if inside("[].") => wrong(format!("is a list of tables: write [[{key}]]")),
        _ if inside(".") => wrong(format!("is a table: write [{key}]")),
        _ => wrong(unknown(pattern)),
    }
}

/// The text for a key that is none, with the nearest one that is.
pub fn unknown(pattern: &str) -> String {
    let names = KEYS.iter().flat_map(|k| {
        let detectors: Vec<String> = match k.path.contains('*') {
            true => Detector::ALL.iter().map(|d| k.path.replace('*', d.as_str())).collect(),
            false => vec![k.path.to_owned()],
        };
        detectors.into_iter().flat_map(|path| {
            let parents: Vec<String> =
                path.match_indices('.').map(|(i, _)| path[..i].trim_end_matches("[]").to_owned()).collect();
            parents.into_iter().chain([path])
        })
    });
    let depth = pattern.matches('.').count();
    let near = names
        .filter(|n| n.matches('.').count() == depth)
        .map(|n| (strsim::damerau_levenshtein(&n, pattern), n))
        .min()
        .filter(|(distance, n)| *distance <= n.len().max(3) / 3);
    match near {
        Some((_, name)) => format!("no such key; did you mean {:?}?", name.replace("[]", "")),
        None => "no such key; config/tocsin.toml lists them all".to_owned(),
    }
}

/// `detect.brute_force.window` is listed as `detect.*.window`.
pub fn known_pattern(pattern: &str) -> String {
    let mut parts: Vec<&str> = pattern.split('.').collect();
    if parts.len() >= 2 && parts[0] == "detect" && Detector::from_name(parts[1]).is_some() {
        parts[1] = "*";
    }
    parts.join(".")
}

fn joined(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

fn toml_value(value: &Spanned<DeValue<'_>>) -> Result<toml::Value, String> {
    Ok(match value.get_ref() {
        DeValue::String(s) => toml::Value::String(s.to_string()),
        DeValue::Integer(n) => toml::Value::Integer(
            i64::from_str_radix(n.as_str(), n.radix()).map_err(|_| format!("{} is too large a number", n.as_str()))?,
        ),
        DeValue::Float(n) => toml::Value::Float(n.as_str().parse().map_err(|_| format!("{} is no number", n.as_str()))?),
        DeValue::Boolean(b) => toml::Value::Boolean(*b),
        DeValue::Datetime(d) => toml::Value::Datetime(*d),
        DeValue::Array(entries) => toml::Value::Array(entries.iter().map(toml_value).collect::<Result<_, _>>()?),
        DeValue::Table(entries) => {
            let entries = entries.iter().map(|(name, value)| Ok((name.get_ref().to_string(), toml_value(value)?)));
            toml::Value::Table(entries.collect::<Result<_, String>>()?)
        }
    })
}
