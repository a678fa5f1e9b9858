//! An incident as a bundle of STIX 2.1 (OASIS Standard of 10 June 2021), to be shared with others.
//!
//! Its observables, and addresses, accounts, domains, URLs and files of its evidence, are cyber-observable objects; their ids follow from
//! their values (§2.9), so that whoever has seen them elsewhere recognises them. Each observable is marked with its own TLP, and one that may
//! be told to fewer than the bundle is not in it, whether it is in the evidence or not. The `incident` object of STIX 2.1 has no properties of its own but name and
//! description (§4.5), so what else we know of one is in an extension that the bundle defines (§7.3). Ids of everything else follow from
//! the installation and the number of the incident: a later bundle of the same incident is a new version of its objects.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{IncidentReport, push_canonical};
use crate::record::Timestamp;
use crate::record::observable::{Kind, Tlp};
use crate::store::cases::Evidence;
use crate::store::observables::ObservableRow;

/// §2.9: the namespace of deterministic ids of cyber-observable objects.
const OBSERVABLES: Uuid = Uuid::from_u128(0x00abedb4_aa42_466c_9c01_fed23315a9b7);
/// Ours, for all other objects, which must not use that one.
const OURS: Uuid = Uuid::from_u128(0x8a5c2f0e_6d1b_4b8e_9f37_2c1f5b7ad940);
/// Our extension of `incident`.
const EXTENSION: &str = "extension-definition--5b1d6a52-3c0e-4f6f-8a0b-64a1c1f0e7d3";
/// The extension that defines TLP 2.0 ("Traffic Light Protocol 2.0", OASIS STIX common objects).
const TLP_EXTENSION: &str = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d";
/// When our extension was defined: the version of its definition.
const DEFINED: &str = "2026-11-21T00:00:00.000Z";

/// The fixed id of its marking definition.
fn marking(tlp: Tlp) -> &'static str {
    match tlp {
        Tlp::Clear => "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487",
        Tlp::Green => "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
        Tlp::Amber => "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421",
        Tlp::AmberStrict => "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
        Tlp::Red => "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1",
    }
}

fn marking_definition(tlp: Tlp) -> Value {
    json!({
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": marking(tlp),
        "created": "2022-10-01T00:00:00.000Z",
        "name": format!("TLP:{}", tlp.as_str().to_uppercase()),
        "extensions": { (TLP_EXTENSION): { "extension_type": "property-extension", "tlp_2_0": tlp.as_str() } },
    })
}

/// Whether it may be told to fewer than that.
pub(super) fn is_withheld(row: &ObservableRow, tlp: Tlp) -> bool {
    tlp_of(row) > tlp
}

/// What is not known is told to nobody.
fn tlp_of(row: &ObservableRow) -> Tlp {
    row.tlp.parse().unwrap_or(Tlp::Red)
}

/// The bundle. The incident and what belongs to it are marked with `tlp`; observables with their own, where they have one.
pub fn bundle(report: &IncidentReport, tlp: Tlp) -> Value {
    let incident = &report.dossier.incident;
    let told = report.dossier.observables.iter().filter(|row| !is_withheld(row, tlp));
    let markings: BTreeSet<Tlp> = told.map(tlp_of).chain([tlp]).collect();
    let objects = markings.into_iter().map(marking_definition).collect();
    let mut maker = Maker { report, tlp, identity: String::new(), objects };
    maker.identity = maker.add(
        "identity",
        "",
        (incident.created_at, incident.created_at),
        json!({
            "name": "tocsin",
            "description": "The installation of tocsin that noticed or kept this incident",
            "identity_class": "system",
        }),
    );
    maker.define_extension();
    let of_incident = maker.incident();
    maker.technique(&of_incident);
    maker.observables(&of_incident);
    for note in &report.dossier.notes {
        maker.add(
            "note",
            &format!("note {}", note.id),
            (note.created_at, note.edited_at),
            json!({
                "content": note.body,
                "abstract": note.kind,
                "authors": [note.author],
                "object_refs": [of_incident],
            }),
        );
    }
    let made = format!("bundle {} {}", incident.number, report.made_at);
    json!({ "type": "bundle", "id": id("bundle", &report.installation, &made), "objects": maker.objects })
}

/// How often the same was seen together.
struct Seen {
    first: Timestamp,
    last: Timestamp,
    times: u64,
}

struct Maker<'a> {
    report: &'a IncidentReport,
    tlp: Tlp,
    identity: String,
    objects: Vec<Value>,
}

impl Maker<'_> {
    /// Adds an object with what every one has; `name` tells it from others of its type in this incident, and an empty one is that of
    /// the installation. Returns its id.
    fn add(&mut self, kind: &str, name: &str, (created, modified): (Timestamp, Timestamp), more: Value) -> String {
        let incident = &self.report.dossier.incident;
        let name = if name.is_empty() { String::new() } else { format!("{} {} {name}", incident.number, incident.created_at) };
        let id = id(kind, &self.report.installation, &name);
        let mut object = json!({
            "type": kind,
            "spec_version": "2.1",
            "id": id,
            "created": millis(created),
            "modified": millis(modified),
            "object_marking_refs": [marking(self.tlp)],
        });
        if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
            if !self.identity.is_empty() {
                object.insert("created_by_ref".to_owned(), self.identity.clone().into());
            }
            object.extend(more.into_iter().filter(|(_, value)| !value.is_null()));
        }
        self.objects.push(object);
        id
    }

    fn define_extension(&mut self) {
        self.objects.push(json!({
            "type": "extension-definition",
            "spec_version": "2.1",
            "id": EXTENSION,
            "created_by_ref": self.identity,
            "created": DEFINED,
            "modified": DEFINED,
            "name": "tocsin incident",
            "description": "What tocsin knows of an incident; all properties are optional, and absent where nothing is known",
            "schema": "number, status (open, investigating, contained, resolved, false_positive), severity (low, medium, high, critical), \
                       priority (P1 to P4), category (machine names of the Reference Security Incident Taxonomy), detector, group, \
                       attack_vector, resolution, root_cause, lessons_learned: text. affected_systems: list of text. event_count: integer. \
                       first_seen, last_seen, acknowledged, resolved: timestamp.",
            "version": "1.0.0",
            "extension_types": ["property-extension"],
        }));
    }

    fn incident(&mut self) -> String {
        let incident = &self.report.dossier.incident;
        let time = |time: Option<Timestamp>| time.map(millis);
        let mut known = json!({
            "extension_type": "property-extension",
            "number": incident.number,
            "status": incident.status,
            "severity": incident.severity,
            "priority": incident.priority,
            "category": incident.category,
            "detector": incident.detector,
            "group": incident.group_key,
            "attack_vector": incident.attack_vector,
            "affected_systems": Some(&incident.affected).filter(|systems| !systems.is_empty()),
            "event_count": incident.event_count,
            "first_seen": time(incident.first_seen),
            "last_seen": time(incident.last_seen),
            "acknowledged": time(incident.acknowledged_at),
            "resolved": time(incident.resolved_at),
            "resolution": incident.resolution,
            "root_cause": incident.root_cause,
            "lessons_learned": incident.lessons_learned,
        });
        if let Some(known) = known.as_object_mut() {
            known.retain(|_, value| !value.is_null());
        }
        let description = Some(&incident.description).filter(|text| !text.is_empty());
        let more = json!({
            "name": incident.title,
            "description": description,
            "external_references": [{ "source_name": "tocsin", "external_id": incident.number }],
            "extensions": { (EXTENSION): known },
        });
        self.add("incident", "incident", (incident.created_at, incident.updated_at.max(incident.created_at)), more)
    }

    fn technique(&mut self, of_incident: &str) {
        let incident = &self.report.dossier.incident;
        let Some(technique) = &incident.technique else { return };
        let at = (incident.created_at, incident.created_at);
        let url = format!("https://attack.mitre.org/techniques/{}/", technique.replace('.', "/"));
        let pattern = self.add(
            "attack-pattern",
            &format!("technique {technique}"),
            at,
            json!({
                "name": technique,
                "external_references": [{ "source_name": "mitre-attack", "external_id": technique, "url": url }],
            }),
        );
        self.relate(of_incident, &pattern);
    }

    /// What the incident is about, as people see it and as the evidence shows it.
    fn observables(&mut self, of_incident: &str) {
        let mut known: BTreeMap<String, Value> = BTreeMap::new();
        let mut withheld: BTreeSet<String> = BTreeSet::new();
        let mut related = Vec::new();
        for row in &self.report.dossier.observables {
            let Some((id, mut object)) = observable(row) else { continue };
            if is_withheld(row, self.tlp) {
                withheld.insert(id);
                continue;
            }
            object["object_marking_refs"] = json!([marking(tlp_of(row))]);
            related.push((id.clone(), row));
            known.insert(id, object);
        }
        let seen = self.seen(&mut known, &withheld);
        self.objects.extend(known.into_values());
        for (id, row) in related {
            self.relate_observable(of_incident, &id, row);
        }
        self.observed(of_incident, seen);
    }

    /// What the evidence shows, but for what is withheld: records in which the same was seen are one observation, seen so often.
    fn seen(&self, known: &mut BTreeMap<String, Value>, withheld: &BTreeSet<String>) -> BTreeMap<Vec<String>, Seen> {
        let mut seen: BTreeMap<Vec<String>, Seen> = BTreeMap::new();
        for evidence in &self.report.dossier.evidence {
            let mut objects = observables(evidence);
            objects.retain(|id, _| !withheld.contains(id));
            if objects.is_empty() {
                continue;
            }
            let (at, ids) = (evidence.event_time, objects.keys().cloned().collect());
            let seen = seen.entry(ids).or_insert(Seen { first: at, last: at, times: 0 });
            *seen = Seen { first: seen.first.min(at), last: seen.last.max(at), times: seen.times + 1 };
            for (id, mut object) in objects {
                object["object_marking_refs"] = json!([marking(self.tlp)]);
                known.entry(id).or_insert(object);
            }
        }
        seen
    }

    fn observed(&mut self, of_incident: &str, seen: BTreeMap<Vec<String>, Seen>) {
        let incident = &self.report.dossier.incident;
        for (refs, seen) in seen {
            // §4.14: at most 999,999,999 times.
            let id = self.add(
                "observed-data",
                &refs.join(" "),
                (incident.created_at, incident.updated_at.max(incident.created_at)),
                json!({
                    "first_observed": millis(seen.first),
                    "last_observed": millis(seen.last),
                    "number_observed": seen.times.min(999_999_999),
                    "object_refs": refs,
                }),
            );
            self.relate(of_incident, &id);
        }
    }

    /// What somebody says of it may be told to no more than the observable itself.
    fn relate_observable(&mut self, of_incident: &str, id: &str, row: &ObservableRow) {
        self.add(
            "relationship",
            &format!("observable {of_incident} {id}"),
            (row.added_at, self.report.dossier.incident.updated_at.max(row.added_at)),
            json!({
                "relationship_type": "related-to",
                "source_ref": of_incident,
                "target_ref": id,
                "description": row.comment,
                "object_marking_refs": [marking(tlp_of(row))],
            }),
        );
    }

    fn relate(&mut self, source: &str, target: &str) {
        let at = self.report.dossier.incident.created_at;
        self.add(
            "relationship",
            &format!("{source} {target}"),
            (at, at),
            json!({
                "relationship_type": "related-to",
                "source_ref": source,
                "target_ref": target,
            }),
        );
    }
}

fn id(kind: &str, installation: &str, name: &str) -> String {
    format!("{kind}--{}", Uuid::new_v5(&OURS, format!("{installation} {kind} {name}").as_bytes()))
}

/// §3.2: `created` and `modified` have milliseconds.
fn millis(time: Timestamp) -> String {
    let at = jiff::Timestamp::from_microsecond(time.as_micros()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// A cyber-observable object with those properties, from which its id follows; and that id.
fn object(kind: &str, contributing: Value) -> (String, Value) {
    let mut text = String::new();
    push_canonical(&mut text, &contributing);
    let id = format!("{kind}--{}", Uuid::new_v5(&OBSERVABLES, text.as_bytes()));
    let mut object = Map::new();
    object.insert("type".to_owned(), kind.into());
    object.insert("spec_version".to_owned(), "2.1".into());
    object.insert("id".to_owned(), id.clone().into());
    if let Value::Object(contributing) = contributing {
        object.extend(contributing);
    }
    (id, Value::Object(object))
}

/// The object that an observable of the incident is.
fn observable(row: &ObservableRow) -> Option<(String, Value)> {
    let value = &*row.value;
    Some(match row.kind.parse().ok()? {
        Kind::Address if value.contains(':') => object("ipv6-addr", json!({ "value": value })),
        Kind::Address => object("ipv4-addr", json!({ "value": value })),
        Kind::Domain => object("domain-name", json!({ "value": value })),
        Kind::Url => object("url", json!({ "value": uri(value) })),
        Kind::Hash => {
            let algorithm = match value.len() {
                32 => "MD5",
                40 => "SHA-1",
                _ => "SHA-256",
            };
            object("file", json!({ "hashes": { (algorithm): value } }))
        }
        Kind::User => object("user-account", json!({ "account_login": value })),
        Kind::Email => object("email-addr", json!({ "value": value })),
    })
}

/// Whether it may stand in a URI as it is (RFC 3986 §2).
fn is_of_uri(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
}

/// A URL as it was seen, with what no URI has written as `%xx`.
fn uri(url: &str) -> String {
    url.bytes().fold(String::with_capacity(url.len()), |mut uri, byte| {
        if is_of_uri(byte) {
            uri.push(byte.into())
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
        uri
    })
}

/// The cyber-observable objects of a log record, by id.
fn observables(evidence: &Evidence) -> BTreeMap<String, Value> {
    let column = |name: &str| evidence.record.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let field = |name: &str| evidence.record.get("fields")?.get(name)?.as_str().filter(|text| !text.is_empty());
    let mut found = BTreeMap::new();
    let mut add = |kind: &str, contributing: Value| found.extend([object(kind, contributing)]);
    // As `inet` is written: without a length for a single address.
    for address in [column("src_ip"), column("dst_ip")].into_iter().flatten() {
        match address.split('/').next().unwrap_or(address).parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => add("ipv4-addr", json!({ "value": address.to_string() })),
            Ok(IpAddr::V6(address)) => add("ipv6-addr", json!({ "value": address.to_string() })),
            Err(_) => {}
        }
    }
    if let Some(name) = column("username") {
        add("user-account", json!({ "account_login": name }));
    }
    for domain in ["source.domain", "destination.domain", "url.domain", "dns.question.name"].into_iter().filter_map(field) {
        if is_domain(domain) {
            add("domain-name", json!({ "value": domain.to_ascii_lowercase() }));
        }
    }
    for url in ["url.full", "url.original"].into_iter().filter_map(field) {
        let is_whole = url.starts_with("http://") || url.starts_with("https://");
        if is_whole && url.bytes().all(is_of_uri) {
            add("url", json!({ "value": url }));
        }
    }
    // Where there are several hashes, the first of these makes the id.
    let hashes = [("file.hash.md5", "MD5", 32), ("file.hash.sha1", "SHA-1", 40), ("file.hash.sha256", "SHA-256", 64)];
    for (name, algorithm, digits) in hashes {
        if let Some(hash) = field(name).filter(|hash| hash.len() == digits && hash.bytes().all(|b| b.is_ascii_hexdigit())) {
            add("file", json!({ "hashes": { (algorithm): hash.to_ascii_lowercase() } }));
            break;
        }
    }
    found
}

/// Letters, digits, hyphens and underscores, in at least two parts.
fn is_domain(text: &str) -> bool {
    let part = |part: &str| {
        (1..=63).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    text.len() <= 253 && text.contains('.') && text.parse::<IpAddr>().is_err() && text.split('.').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As stix2 3.0.2, OASIS's own library for Python, gives them.
    #[test]
    fn ids_of_observables_follow_from_their_values() {
        let record = json!({ "src_ip": "198.51.100.3", "dst_ip": "2001:db8::1", "username": "root", "fields": {
            "source.domain": "Example.com", "url.full": "https://example.com/research/index.html", "url.original": "javascript:x",
            "dns.question.name": "not a name", "file.hash.sha256": "A".repeat(64) } });
        let evidence = Evidence { log_id: 1, event_time: Timestamp::from_secs(0), record };
        let ids: Vec<String> = observables(&evidence).into_keys().collect();
        assert_eq!(ids, IDS);
    }

    const IDS: [&str; 6] = [
        "domain-name--bedb4899-d24b-5401-bc86-8f6b4cc18ec7",
        "file--75cb38d5-2055-5354-b75a-8299a2d670b5",
        "ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4",
        "ipv6-addr--6469e3a9-b053-5e34-a025-9396ae051d26",
        "url--47c3cf9a-5027-5bf0-997a-017c7edc7c55",
        "user-account--3d209579-8f71-5179-b6a3-49509efb52cc",
    ];

    #[test]
    fn times_have_milliseconds() {
        assert_eq!(millis(Timestamp::from_micros(1_772_323_200_123_456)), "2026-03-01T00:00:00.123Z");
        assert_eq!(millis(Timestamp::from_secs(0)), "1970-01-01T00:00:00.000Z");
    }
}
