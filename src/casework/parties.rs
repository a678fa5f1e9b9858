//! Parties: the people behind an incident, sealed in the database.
//!
//! Who they are is in no log, no timeline, no audit row: those tell that somebody was added, changed, seen or erased, under which id, in
//! which role, and which fields that concerned. Reading is told, too, since it is personal data.
//!
//! They are found by exact values through a blind index: of name, contact and organisation the database has the first half of an
//! HMAC-SHA-256 under a key that it does not have. Whoever reads the database learns which rows have the same value, and no value.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;

use super::audit::Act;
use super::incidents::{no_incident, subject, unseen};
use super::keys::{self, Key, KeyError, Place, Ring};
use super::{Actor, Casework, CaseworkError, Change, ONE_LINE, Permission, text};
use crate::record::Timestamp;
use crate::record::case::PartyRole;
use crate::store::cases;
use crate::store::keys::{Owner, Wrapped};
use crate::store::parties::{self as rows, FoundParty, PartyRow};

/// Parties of one incident.
const MAX_PARTIES: i64 = 1_000;
/// Characters of an address.
const ADDRESS: usize = 2_000;
/// Characters of what else is to be said.
const NOTES: usize = 4_000;
/// Parties on a page.
pub const MAX_PAGE: usize = 50;
/// Parties that a search shows.
const MAX_FOUND: i64 = 200;
/// Bytes of a token of the blind index.
const TOKEN_BYTES: usize = 16;

/// Who somebody is. Debug output shows nothing of it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Person {
    /// What they are called.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// E-mail address or telephone number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub contact: Option<String>,
    /// Where they live or work.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub address: Option<String>,
    /// Whom they belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub organisation: Option<String>,
    /// What else is to be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub notes: Option<String>,
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Person(…)")
    }
}

/// A party of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Party {
    /// Its key.
    pub id: i64,
    /// What they have to do with the incident.
    #[schema(value_type = PartyRole)]
    pub role: String,
    /// Who it is; nothing once they are erased.
    #[serde(flatten)]
    pub person: Person,
    /// Who added them.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// When they were last changed.
    pub updated_at: Timestamp,
    /// When they were erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub erased_at: Option<Timestamp>,
    /// By whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub erased_by: Option<String>,
    /// Counts changes.
    pub version: i64,
}

impl Casework {
    /// The parties of an incident from behind an id on, in the order in which they were added. That somebody looked is written down.
    ///
    /// # Errors
    /// Not permitted; no such incident; a key is missing; the database.
    pub async fn parties(
        &self,
        actor: &Actor,
        number: &str,
        behind: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Party>, CaseworkError> {
        let mut change = self.change(actor, Permission::ReadParties).await?;
        let incident = cases::by_number(change.connection(), number).await?.ok_or_else(|| no_incident(number))?;
        let limit = limit.clamp(1, MAX_PAGE) as i64;
        let sealed = rows::sealed_of(change.connection(), incident.id, behind.unwrap_or(0), limit).await?;
        let mut parties = Vec::with_capacity(sealed.len());
        let mut opened: Option<(Ring, Key)> = None;
        for row in sealed {
            let wrapped = row.master_key_id.zip(row.wrapped);
            if let (None, Some((master_key_id, wrapped)), true) = (&opened, wrapped, row.party.sealed.is_some()) {
                let mut ring = self.ring()?;
                let key = keys::open(&mut ring, Owner::Incident(incident.id), &Wrapped { master_key_id, wrapped })?;
                opened = Some((ring, key));
            }
            parties.push(party(row.party, opened.as_ref().map(|(_, key)| key))?);
        }
        let seen: Vec<Value> =
            parties.iter().filter(|p| p.erased_at.is_none()).map(|p| json!({ "id": p.id, "role": p.role })).collect();
        if seen.is_empty() {
            change.commit(&[]).await?;
            return Ok(parties);
        }
        let seen = Value::Array(seen);
        change.tell(incident.id, "party_seen", None, Some(seen.clone())).await?;
        change.commit(&[Act::new("party.read", subject(number)).values(None, seen)]).await?;
        Ok(parties)
    }

    /// In which incidents somebody has a part: who has exactly that name, contact or organisation, whatever the case and the white space.
    ///
    /// # Errors
    /// Not permitted; nothing to look for; a key is missing; the database.
    pub async fn find_parties(&self, actor: &Actor, value: &str) -> Result<Vec<FoundParty>, CaseworkError> {
        let value = text("value", value, ONE_LINE)?;
        let mut change = self.change(actor, Permission::ReadParties).await?;
        let mut ring = self.ring()?;
        let key = change.data_key(&mut ring, Owner::BlindIndex).await?;
        let tokens: Vec<Vec<u8>> = INDEXED.iter().map(|field| token(&key, field, &value)).collect();
        let found = rows::with_tokens(change.connection(), &tokens, MAX_FOUND).await?;
        let parties: Vec<i64> = found.iter().map(|party| party.id).collect();
        change.commit(&[Act::new("party.find", "parties").values(None, json!({ "found": parties }))]).await?;
        Ok(found)
    }

    /// Adds a party to an incident; returns its id.
    ///
    /// # Errors
    /// Not permitted; no such incident; what was given is wrong; too many; a key is missing; the database.
    pub async fn add_party(&self, actor: &Actor, number: &str, role: PartyRole, person: &Person) -> Result<i64, CaseworkError> {
        let person = checked(person)?;
        let mut change = self.change_parties(actor).await?;
        let now = change.now;
        let incident = cases::by_number_to_change(change.connection(), number).await?.ok_or_else(|| no_incident(number))?;
        if rows::count(change.connection(), incident.id).await? >= MAX_PARTIES {
            return Err(CaseworkError::Conflict(format!("incident {number} has {MAX_PARTIES} parties; no more are taken")));
        }
        let id = rows::next_id(change.connection()).await?;
        let mut row = PartyRow {
            id,
            incident_id: incident.id,
            role: role.to_string(),
            sealed: None,
            tokens: Vec::new(),
            created_by: actor.name.clone(),
            created_at: now,
            updated_at: now,
            version: 1,
            erased_at: None,
            erased_by: None,
        };
        self.seal(&mut change, &mut row, &person).await?;
        rows::insert(change.connection(), &row).await?;
        let shown = json!({ "id": id, "role": row.role, "fields": person.fields() });
        change.tell(incident.id, "party_added", None, Some(shown.clone())).await?;
        change.commit(&[Act::new("party.add", subject(number)).values(None, shown)]).await?;
        Ok(id)
    }

    /// Changes a party: what is absent stays, and an empty text takes one away. Returns its version.
    ///
    /// # Errors
    /// Not permitted; no such party; it is erased; somebody has changed it since `version`; what was given is wrong; a key is missing; the
    /// database.
    pub async fn edit_party(
        &self,
        actor: &Actor,
        number: &str,
        id: i64,
        role: Option<PartyRole>,
        edit: &Person,
        version: Option<i64>,
    ) -> Result<i64, CaseworkError> {
        let mut change = self.change_parties(actor).await?;
        let (incident, mut row) = change.party(number, id).await?;
        unseen(&format!("party {id}"), row.version, version)?;
        let mut ring = self.ring()?;
        let key = change.data_key(&mut ring, Owner::Incident(incident)).await?;
        let before = unsealed(&row, &key)?;
        let mut wanted = before.clone();
        for (field, slot) in wanted.slots() {
            if let Some(given) = edit.get(field) {
                *slot = Some(given.to_owned()).filter(|given| !given.trim().is_empty());
            }
        }
        let after = checked(&wanted)?;
        let old_role = row.role.clone();
        if let Some(role) = role {
            row.role = role.to_string();
        }
        let mut fields: Vec<&str> = FIELDS.into_iter().filter(|field| before.get(field) != after.get(field)).collect();
        if row.role != old_role {
            fields.push("role");
        }
        if fields.is_empty() {
            return Ok(row.version);
        }
        row.updated_at = change.now;
        self.seal(&mut change, &mut row, &after).await?;
        rows::update(change.connection(), &row).await?;
        let (old, new) = (json!({ "id": id, "role": old_role }), json!({ "id": id, "role": row.role, "fields": fields }));
        change.tell(incident, "party_changed", Some(old.clone()), Some(new.clone())).await?;
        change.commit(&[Act::new("party.change", subject(number)).values(old, new)]).await?;
        Ok(row.version + 1)
    }

    /// Erases a person for good: what was sealed and its index are gone, and the incident has another data key, under which what is kept
    /// was sealed anew. A row without anything stays, and the audit log as it is.
    ///
    /// # Errors
    /// Not permitted; no such party; it is erased already; no reason; a key is missing; the database.
    pub async fn erase_party(&self, actor: &Actor, number: &str, id: i64, reason: &str) -> Result<(), CaseworkError> {
        let reason = text("reason", reason, ONE_LINE)?;
        let mut change = self.change(actor, Permission::PurgeIncidents).await?;
        let (incident, row) = change.party(number, id).await?;
        let now = change.now;
        let mut ring = self.ring()?;
        let (erased_at, erased_by) = (Some(now), Some(actor.name.clone()));
        let tombstone = PartyRow { sealed: None, tokens: Vec::new(), updated_at: now, erased_at, erased_by, ..row };
        rows::update(change.connection(), &tombstone).await?;
        if let Some((old, new)) = change.replace_data_key(&mut ring, incident).await? {
            change.reseal_parties((incident, &old), (incident, &new)).await?;
            change.rewrap_files((incident, &old), (incident, &new)).await?;
        }
        let (old, new) = (json!({ "id": id, "role": tombstone.role }), json!({ "id": id, "erased": true }));
        change.tell(incident, "party_erased", Some(old.clone()), Some(new.clone())).await?;
        change.commit(&[Act::new("party.erase", subject(number)).values(old, new).because(Some(&reason))]).await
    }

    /// Begins a change of parties, which takes seeing them, too.
    async fn change_parties<'a>(&self, actor: &'a Actor) -> Result<Change<'a>, CaseworkError> {
        super::allowed(actor, Permission::ReadParties)?;
        self.change(actor, Permission::WorkIncidents).await
    }

    /// Seals who a party is into its row.
    async fn seal(&self, change: &mut Change<'_>, row: &mut PartyRow, person: &Person) -> Result<(), CaseworkError> {
        let mut ring = self.ring()?;
        let key = change.data_key(&mut ring, Owner::Incident(row.incident_id)).await?;
        let index = change.data_key(&mut ring, Owner::BlindIndex).await?;
        let plain = serde_json::to_vec(person).expect("texts become JSON");
        row.sealed = Some(key.seal(&place(row), &plain)?);
        let values = INDEXED.iter().filter_map(|field| Some((field, person.get(field)?)));
        row.tokens = values.map(|(field, value)| token(&index, field, value)).collect();
        Ok(())
    }
}

impl Change<'_> {
    /// A party that is not erased, and its incident, which is locked.
    async fn party(&mut self, number: &str, id: i64) -> Result<(i64, PartyRow), CaseworkError> {
        let incident = cases::by_number_to_change(self.connection(), number).await?.ok_or_else(|| no_incident(number))?;
        let party = rows::by_id(self.connection(), incident.id, id).await?;
        let party = party.ok_or_else(|| CaseworkError::NotFound(format!("party {id} of incident {number}")))?;
        if let Some(at) = party.erased_at {
            return Err(CaseworkError::Conflict(format!("party {id} of incident {number} was erased at {at}")));
        }
        Ok((incident.id, party))
    }

    /// Seals what is known of the people of an incident with another data key, which may be that of another incident: they are its own then.
    pub(super) async fn reseal_parties(&mut self, from: (i64, &Key), to: (i64, &Key)) -> Result<(), CaseworkError> {
        let mut behind = 0;
        loop {
            let page = rows::of(self.connection(), from.0, behind, MAX_PAGE as i64).await?;
            let Some(last) = page.last() else { return Ok(()) };
            behind = last.id;
            for party in page {
                let moved = PartyRow { incident_id: to.0, ..party.clone() };
                let sealed = match &party.sealed {
                    Some(sealed) => Some(to.1.seal(&place(&moved), &from.1.open(&place(&party), sealed)?)?),
                    None => None,
                };
                rows::reseal(self.connection(), party.id, to.0, sealed.as_deref()).await?;
            }
        }
    }
}

/// The fields of a person.
const FIELDS: [&str; 5] = ["name", "contact", "address", "organisation", "notes"];
/// Those by which people are found.
const INDEXED: [&str; 3] = ["name", "contact", "organisation"];

impl Person {
    /// A field.
    fn get(&self, field: &str) -> Option<&str> {
        match field {
            "name" => self.name.as_deref(),
            "contact" => self.contact.as_deref(),
            "address" => self.address.as_deref(),
            "organisation" => self.organisation.as_deref(),
            _ => self.notes.as_deref(),
        }
    }

    fn slots(&mut self) -> [(&'static str, &mut Option<String>); 5] {
        [
            ("name", &mut self.name),
            ("contact", &mut self.contact),
            ("address", &mut self.address),
            ("organisation", &mut self.organisation),
            ("notes", &mut self.notes),
        ]
    }

    /// The fields that there are.
    fn fields(&self) -> Vec<&'static str> {
        FIELDS.into_iter().filter(|field| self.get(field).is_some()).collect()
    }
}

/// A person as somebody may be written down.
fn checked(person: &Person) -> Result<Person, CaseworkError> {
    let mut person = person.clone();
    for (field, slot) in person.slots() {
        let max = match field {
            "address" => ADDRESS,
            "notes" => NOTES,
            _ => ONE_LINE,
        };
        if let Some(given) = slot {
            *slot = Some(text(field, given, max)?);
        }
    }
    if person.fields().is_empty() {
        return Err(CaseworkError::invalid("name", "is needed, or another field: nothing is said of this party"));
    }
    Ok(person)
}

fn place(row: &PartyRow) -> Place {
    Place::new("party", &[row.incident_id, row.id])
}

fn unsealed(row: &PartyRow, key: &Key) -> Result<Person, KeyError> {
    let Some(sealed) = &row.sealed else { return Ok(Person::default()) };
    let plain = key.open(&place(row), sealed)?;
    serde_json::from_slice(&plain).map_err(|_| KeyError::Broken(place(row).to_string()))
}

fn party(row: PartyRow, key: Option<&Key>) -> Result<Party, KeyError> {
    let person = match (&row.sealed, key) {
        (None, _) => Person::default(),
        (Some(_), Some(key)) => unsealed(&row, key)?,
        (Some(_), None) => return Err(KeyError::Broken(place(&row).to_string())),
    };
    Ok(Party {
        id: row.id,
        role: row.role,
        person,
        created_by: row.created_by,
        created_at: row.created_at,
        updated_at: row.updated_at,
        erased_at: row.erased_at,
        erased_by: row.erased_by,
        version: row.version,
    })
}

/// What stands in the database for a value: the first half of an HMAC-SHA-256 over the field's name, a zero, and the value in lower case,
/// each run of white space one space.
fn token(key: &Key, field: &str, value: &str) -> Vec<u8> {
    let words: Vec<&str> = value.split_whitespace().collect();
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length (RFC 2104 §2)");
    mac.update(field.as_bytes());
    mac.update(&[0]);
    mac.update(words.join(" ").to_lowercase().as_bytes());
    mac.finalize().into_bytes()[..TOKEN_BYTES].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_found_whatever_the_case_and_the_white_space_but_by_field_and_key() {
        let (key, other) = (Key::new().unwrap(), Key::new().unwrap());
        let ada = token(&key, "name", "Ada Example");
        assert_eq!(ada.len(), TOKEN_BYTES);
        assert_eq!(token(&key, "name", "  ada\t EXAMPLE "), ada);
        for different in
            [token(&key, "name", "AdaExample"), token(&key, "contact", "Ada Example"), token(&other, "name", "Ada Example")]
        {
            assert_ne!(different, ada);
        }
    }

    #[test]
    fn nobody_shows_in_debug_output_and_nothing_is_no_person() {
        let ada = Person { name: Some(" Ada ".into()), ..Person::default() };
        assert_eq!(format!("{ada:?}"), "Person(…)");
        assert_eq!(checked(&ada).unwrap().name.as_deref(), Some("Ada"));
        assert!(checked(&Person::default()).is_err());
        assert!(checked(&Person { notes: Some("x".repeat(NOTES + 1)), ..Person::default() }).is_err());
        assert!(checked(&Person { contact: Some("a\nb".into()), ..Person::default() }).is_err());
    }
}
