//! One incident as a report: everything of its dossier, a hash of each record that proves it, and its rows of the audit log, so that somebody
//! who was not there can check that nothing was changed since.
//!
//! ```text
//!  Casework::incident_report ─▶ IncidentReport ─▶ JSON
//!                                     ├─────────▶ html (notes through markdown)
//!                                     └─────────▶ stix: a bundle of STIX 2.1
//! ```
//!
//! Who is a victim, a suspect or a witness is in none of them.

mod html;
mod markdown;
mod stix;

use std::str::FromStr;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::casework::audit::{Act, hexadecimal};
use crate::casework::incidents::{Dossier, subject};
use crate::casework::{Actor, Casework, CaseworkError, Permission};
use crate::record::Timestamp;
use crate::record::observable::Tlp;
use crate::store::audit as rows;
use crate::store::cases::Evidence;

/// Rows of the audit log that are shown.
const MAX_AUDIT_ROWS: i64 = 10_000;

/// How somebody checks the hashes, for those who read the report.
pub const HOW_EVIDENCE: &str = "SHA-256 of each record of evidence, over this text as UTF-8: the JSON object with the keys event_time, log_id \
     and record as they are in this report, keys of every object in the order of their code points, no white space between tokens, and in \
     strings only the escapes that JSON demands (\\\" \\\\ \\b \\f \\n \\r \\t, \\u00xx for other control characters).";
/// The same for the audit log.
pub const HOW_AUDIT: &str = "SHA-256 of each row of the audit log, over these fields in this order: previous (32 bytes), id and time in \
     microseconds since 1970 (8 bytes each, the highest first), then as UTF-8 actor, role, via, action, subject, address, old, new, reason. \
     Before each field stand a byte 1 and its length in 8 bytes, the highest first; a field that is absent is a single byte 0. previous is the \
     hash of the row before, of whatever it tells. `tocsin audit verify --head` with the head below proves, on the database, that the chain \
     which held these rows then is still there.";

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// A page that needs nothing else.
    Html,
    /// All of it, for programs.
    Json,
    /// A bundle of STIX 2.1, to share.
    Stix,
}

impl FromStr for Form {
    type Err = String;

    fn from_str(text: &str) -> Result<Form, String> {
        match text {
            "html" => Ok(Form::Html),
            "json" => Ok(Form::Json),
            "stix" => Ok(Form::Stix),
            _ => Err("give html, json or stix".to_owned()),
        }
    }
}

impl Form {
    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Form::Html => "text/html; charset=utf-8",
            Form::Json => "application/json",
            Form::Stix => "application/stix+json;version=2.1",
        }
    }
}

/// Everything about an incident, with what proves it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IncidentReport {
    /// When the report was made.
    pub made_at: Timestamp,
    /// By whom.
    pub made_by: String,
    /// The incident with all that belongs to it.
    #[serde(flatten)]
    pub dossier: Dossier,
    /// A hash for each record of evidence, in their order.
    pub evidence_sha256: Vec<EvidenceHash>,
    /// How they are made.
    pub evidence_hashing: &'static str,
    /// Its rows of the audit log.
    pub audit: Proof,
    /// What tells this installation from others: the hash of the first row of its audit log, if there is one.
    #[serde(skip)]
    pub installation: String,
}

/// The hash of a record of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EvidenceHash {
    /// Which record.
    pub log_id: i64,
    /// In hexadecimal digits.
    pub sha256: String,
}

/// The rows of the audit log that tell of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// In order.
    pub rows: Vec<AuditRow>,
    /// How many there are; more than are here only of an incident with very many.
    pub rows_total: i64,
    /// The last row of the whole audit log when the report was made.
    pub head_id: i64,
    /// Its hash, in hexadecimal digits.
    pub head: String,
    /// How the hashes are made.
    pub hashing: &'static str,
}

/// A row of the audit log, with everything that its hash is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct AuditRow {
    pub id: i64,
    pub at: Timestamp,
    /// The same, as it is hashed.
    pub at_micros: i64,
    pub actor: String,
    pub role: String,
    pub via: String,
    pub address: Option<String>,
    pub action: String,
    pub subject: String,
    /// JSON, as the text that is hashed.
    pub old: Option<String>,
    /// JSON, as the text that is hashed.
    pub new: Option<String>,
    pub reason: Option<String>,
    pub previous: String,
    pub hash: String,
}

impl Casework {
    /// An incident with all that proves it. That somebody took it out is in the audit log, behind the rows that are in the report.
    ///
    /// # Errors
    /// Not permitted; no such incident; the database.
    pub async fn incident_report(&self, actor: &Actor, number: &str) -> Result<IncidentReport, CaseworkError> {
        let mut reading = self.look(actor, Permission::Export).await?;
        let (rows, rows_total) = rows::of_subject(&mut reading.connection, &subject(number), MAX_AUDIT_ROWS).await?;
        // Read after the rows, it is none before them.
        let (head_id, head) = rows::head(&mut reading.connection).await?;
        let installation = rows::first_hash(&mut reading.connection).await?;
        reading.done();
        let dossier = self.incident(actor, number).await?;
        let change = self.change(actor, Permission::Export).await?;
        let made_at = change.now;
        change.commit(&[Act::new("incident.report", subject(number))]).await?;
        Ok(IncidentReport {
            made_at,
            made_by: actor.name.clone(),
            evidence_sha256: dossier.evidence.iter().map(EvidenceHash::of).collect(),
            evidence_hashing: HOW_EVIDENCE,
            audit: Proof {
                rows: rows.into_iter().map(AuditRow::from).collect(),
                rows_total,
                head_id,
                head: hexadecimal(&head),
                hashing: HOW_AUDIT,
            },
            installation: installation.map(|hash| hexadecimal(&hash)).unwrap_or_default(),
            dossier,
        })
    }
}

impl IncidentReport {
    /// As it is sent or written to a file. `tlp` marks what is to be shared with others.
    ///
    /// # Errors
    /// None that is known: what it consists of can be written as JSON.
    pub fn written(&self, form: Form, tlp: Tlp) -> Result<String, serde_json::Error> {
        match form {
            Form::Html => Ok(html::page(self)),
            Form::Json => serde_json::to_string(self).map(|text| text + "\n"),
            Form::Stix => serde_json::to_string_pretty(&stix::bundle(self, tlp)).map(|text| text + "\n"),
        }
    }
}

impl IncidentReport {
    /// How many observables a bundle for these leaves out, since they may be told to fewer.
    pub fn withheld(&self, tlp: Tlp) -> usize {
        self.dossier.observables.iter().filter(|row| stix::is_withheld(row, tlp)).count()
    }
}

impl EvidenceHash {
    fn of(evidence: &Evidence) -> EvidenceHash {
        let object = serde_json::json!({
            "event_time": evidence.event_time,
            "log_id": evidence.log_id,
            "record": evidence.record,
        });
        let mut text = String::new();
        push_canonical(&mut text, &object);
        EvidenceHash { log_id: evidence.log_id, sha256: hexadecimal(&Sha256::digest(text)) }
    }
}

/// JSON with sorted keys and without white space: the same text for the same value, whoever writes it. In the way of RFC 8785, but for keys
/// beyond the Basic Multilingual Plane, which are in the order of their code points, and fractions, which are as serde_json has them.
fn push_canonical(out: &mut String, value: &Value) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            out.push('{');
            for (n, (name, value)) in members.into_iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                push_canonical(out, &Value::String(name.clone()));
                out.push(':');
                push_canonical(out, value);
            }
            out.push('}');
        }
        Value::Array(values) => {
            out.push('[');
            for (n, value) in values.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                push_canonical(out, value);
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

impl From<rows::Row> for AuditRow {
    fn from(row: rows::Row) -> AuditRow {
        AuditRow {
            id: row.id,
            at: row.at,
            at_micros: row.at.as_micros(),
            actor: row.actor,
            role: row.role,
            via: row.via,
            address: row.address,
            action: row.action,
            subject: row.subject,
            old: row.old,
            new: row.new,
            reason: row.reason,
            previous: hexadecimal(&row.previous),
            hash: hexadecimal(&row.hash),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_form_has_sorted_keys_and_no_white_space() {
        let value: Value = serde_json::from_str(
            "{ \"b\": [1, -2.5, null, true], \"a\": {\"z\": \"\\u001b\\n\\u00fc\", \"\u{e9}\": 1, \"y\": \"\"} }",
        )
        .unwrap();
        let mut text = String::new();
        push_canonical(&mut text, &value);
        assert_eq!(text, "{\"a\":{\"y\":\"\",\"z\":\"\\u001b\\n\u{fc}\",\"\u{e9}\":1},\"b\":[1,-2.5,null,true]}");
    }
}
