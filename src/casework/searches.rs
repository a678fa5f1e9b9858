//! Searches that people keep: their own, and those that others share with everybody.

use std::str::FromStr;

use serde_json::{Value, json};

use super::audit::Act;
use super::incidents::unseen;
use super::{Actor, Casework, CaseworkError, ONE_LINE, Permission, text};
use crate::record::case::{Category, Priority, SearchKind, Status};
use crate::record::{Severity, Timestamp, UnknownWord};
use crate::store::StoreError;
use crate::store::cases::CaseFilter;
use crate::store::query::Query;
use crate::store::searches::{self as rows, SavedRow};

/// Searches on a page.
pub const MAX_PAGE: usize = 500;
/// Searches that somebody may have.
const MAX_OWN: i64 = 200;
/// Characters of a query.
pub const MAX_QUERY: usize = 8_192;

/// A search to be kept.
#[derive(Debug, Clone)]
pub struct NewSearch {
    /// What is searched.
    pub kind: SearchKind,
    /// What its owner calls it.
    pub name: String,
    /// What is looked for: as [`Query`] has it for logs, as [`IncidentSearch`] has it for incidents.
    pub query: String,
    /// Whether everybody sees it.
    pub shared: bool,
}

/// What is to be changed of a search; `None` leaves it.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)]
pub struct SearchEdit {
    pub name: Option<String>,
    pub query: Option<String>,
    pub shared: Option<bool>,
}

/// Which incidents somebody looks for, in words. Several of a kind are separated by commas.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct IncidentSearch {
    pub status: Option<String>,
    pub severity: Option<String>,
    /// This, or worse.
    pub min_severity: Option<String>,
    pub priority: Option<String>,
    pub category: Option<String>,
    pub assignee: Option<String>,
    pub detector: Option<String>,
    pub title: Option<String>,
    pub text: Option<String>,
    /// RFC 3339.
    pub from: Option<String>,
    /// RFC 3339.
    pub to: Option<String>,
    pub archived: bool,
}

impl IncidentSearch {
    /// Reads what stands behind the `?` of a URL.
    ///
    /// # Errors
    /// There is something else in it.
    pub fn read(text: &str) -> Result<IncidentSearch, CaseworkError> {
        serde_urlencoded::from_str(text).map_err(|error| {
            let problem = format!("is no search of incidents such as status=open&min_severity=high: {error}");
            CaseworkError::invalid("query", problem)
        })
    }

    /// What it means.
    ///
    /// # Errors
    /// A word or a time that is none, or a text that cannot be there.
    pub fn filter(self) -> Result<CaseFilter, CaseworkError> {
        let least = self.min_severity.map(|word| one::<Severity>("min_severity", &word)).transpose()?;
        Ok(CaseFilter {
            statuses: words::<Status>("status", self.status)?,
            severities: words::<Severity>("severity", self.severity)?,
            least_severity: least.map(|severity| severity.to_string()),
            priorities: words::<Priority>("priority", self.priority)?,
            categories: words::<Category>("category", self.category)?,
            assignee: sought("assignee", self.assignee)?,
            detector: sought("detector", self.detector)?,
            title: sought("title", self.title)?,
            text: sought("text", self.text)?,
            from: self.from.map(|text| time("from", &text)).transpose()?,
            to: self.to.map(|text| time("to", &text)).transpose()?,
            archived: self.archived,
        })
    }
}

fn one<T: FromStr<Err = UnknownWord>>(field: &'static str, word: &str) -> Result<T, CaseworkError> {
    word.parse().map_err(|unknown: UnknownWord| CaseworkError::invalid(field, unknown.to_string()))
}

fn words<T: FromStr<Err = UnknownWord> + ToString>(
    field: &'static str,
    text: Option<String>,
) -> Result<Vec<String>, CaseworkError> {
    let text = text.unwrap_or_default();
    let given = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    given.map(|word| one::<T>(field, word).map(|word| word.to_string())).collect()
}

fn time(field: &'static str, text: &str) -> Result<Timestamp, CaseworkError> {
    Timestamp::parse_rfc3339(text).map_err(|_| CaseworkError::invalid(field, "is no time such as 2026-11-21T12:00:00Z"))
}

/// Text that is looked for: any that can be there.
pub(crate) fn sought(field: &'static str, text: Option<String>) -> Result<Option<String>, CaseworkError> {
    match text {
        // NUL is the one character that PostgreSQL does not take.
        Some(text) if text.contains('\0') => Err(CaseworkError::invalid(field, "there are control characters in it")),
        Some(text) if text.chars().count() > ONE_LINE => {
            Err(CaseworkError::invalid(field, format!("has more than {ONE_LINE} characters")))
        }
        text => Ok(text),
    }
}

impl Casework {
    /// One's own searches and those that are shared, all of them for an admin, from behind an id on; and behind which there are more.
    ///
    /// # Errors
    /// Not permitted, or the database.
    pub async fn saved_searches(
        &self,
        actor: &Actor,
        kind: Option<SearchKind>,
        behind: Option<i64>,
        limit: usize,
    ) -> Result<(Vec<SavedRow>, Option<i64>), CaseworkError> {
        let mut reading = self.look(actor, kind.map_or(Permission::ReadLogs, reads)).await?;
        let owner = (!manages(actor)).then_some(&*actor.name);
        let limit = limit.clamp(1, MAX_PAGE);
        let kind = kind.map(SearchKind::as_str);
        let mut found = rows::list(&mut reading.connection, owner, kind, behind.unwrap_or(0), limit as i64 + 1).await?;
        reading.done();
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|row| row.id);
        Ok((found, next))
    }

    /// The search of that name: one's own, or one that is shared; of several, `owner/name` names one.
    ///
    /// # Errors
    /// Not permitted; no such search, or several; the database.
    pub async fn saved_search(&self, actor: &Actor, kind: SearchKind, name: &str) -> Result<SavedRow, CaseworkError> {
        let name = sought("name", Some(name.to_owned()))?.unwrap_or_default();
        let mut reading = self.look(actor, reads(kind)).await?;
        let mut found = rows::by_name(&mut reading.connection, &actor.name, kind.as_str(), &name).await?;
        if found.is_empty()
            && let Some((owner, name)) = name.split_once('/')
        {
            found = rows::by_name(&mut reading.connection, &actor.name, kind.as_str(), name).await?;
            found.retain(|row| row.owner == owner);
        }
        reading.done();
        let is_plain = found.len() == 1 || found.first().is_some_and(|row| row.owner == actor.name);
        match found.first() {
            Some(row) if is_plain => Ok(row.clone()),
            Some(_) => {
                let all: Vec<String> = found.iter().map(|row| format!("{}/{}", row.owner, row.name)).collect();
                Err(CaseworkError::Conflict(format!("several share a search of that name: {}", all.join(", "))))
            }
            None => Err(CaseworkError::NotFound(format!("saved search {name:?}"))),
        }
    }

    /// Keeps a search.
    ///
    /// # Errors
    /// Not permitted; a name or a query that is none; a name that is taken; too many; the database.
    pub async fn save_search(&self, actor: &Actor, new: &NewSearch) -> Result<SavedRow, CaseworkError> {
        let mut change = self.change(actor, reads(new.kind)).await?;
        let now = change.now;
        let row = SavedRow {
            id: 0,
            owner: actor.name.clone(),
            kind: new.kind.to_string(),
            name: name(&new.name)?,
            query: query(new.kind, &new.query, now)?,
            shared: new.shared,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        if rows::count(change.connection(), &actor.name).await? >= MAX_OWN {
            let problem = format!("there are {MAX_OWN} searches of {} already; delete one first", actor.name);
            return Err(CaseworkError::Conflict(problem));
        }
        let id = rows::insert(change.connection(), &row).await.map_err(|error| taken(error, &row))?;
        change.commit(&[Act::new("search.save", subject(id)).values(None, shown(&row))]).await?;
        Ok(SavedRow { id, ..row })
    }

    /// Changes a search of one's own.
    ///
    /// # Errors
    /// No such search of one's own; changed since `version`; a name or a query that is none; a name that is taken; the database.
    pub async fn edit_search(
        &self,
        actor: &Actor,
        id: i64,
        edit: &SearchEdit,
        version: Option<i64>,
    ) -> Result<SavedRow, CaseworkError> {
        let mut change = self.change(actor, Permission::ReadLogs).await?;
        let before = visible_to(actor, rows::by_id(change.connection(), id).await?, id)?;
        if before.owner != actor.name {
            return Err(CaseworkError::NotFound(format!("saved search {id} of {}", actor.name)));
        }
        unseen(&format!("search {id}"), before.version, version)?;
        let kind = before.kind.parse().map_err(|_| CaseworkError::invalid("kind", "is none that is known"))?;
        let mut after = SavedRow { updated_at: change.now, ..before.clone() };
        if let Some(given) = &edit.name {
            after.name = name(given)?;
        }
        if let Some(given) = &edit.query {
            after.query = query(kind, given, change.now)?;
        }
        after.shared = edit.shared.unwrap_or(before.shared);
        if shown(&after) == shown(&before) {
            return Ok(before);
        }
        rows::update(change.connection(), &after).await.map_err(|error| taken(error, &after))?;
        change.commit(&[Act::new("search.change", subject(id)).values(shown(&before), shown(&after))]).await?;
        Ok(SavedRow { version: before.version + 1, ..after })
    }

    /// Deletes a search: one's own, or anybody's by an admin.
    ///
    /// # Errors
    /// No such search; somebody else's; the database.
    pub async fn delete_search(&self, actor: &Actor, id: i64) -> Result<(), CaseworkError> {
        let mut change = self.change(actor, Permission::ReadLogs).await?;
        let row = visible_to(actor, rows::by_id(change.connection(), id).await?, id)?;
        if row.owner != actor.name {
            super::allowed(actor, Permission::ManageUsers)?;
        }
        rows::delete(change.connection(), id).await?;
        change.commit(&[Act::new("search.delete", subject(id)).values(shown(&row), None)]).await
    }
}

fn reads(kind: SearchKind) -> Permission {
    match kind {
        SearchKind::Logs => Permission::ReadLogs,
        SearchKind::Incidents => Permission::ReadIncidents,
    }
}

/// Whoever manages people manages what they leave behind.
fn manages(actor: &Actor) -> bool {
    actor.role.may(Permission::ManageUsers)
}

/// What somebody does not see is not there.
fn visible_to(actor: &Actor, row: Option<SavedRow>, id: i64) -> Result<SavedRow, CaseworkError> {
    row.filter(|row| row.shared || row.owner == actor.name || manages(actor))
        .ok_or_else(|| CaseworkError::NotFound(format!("saved search {id}")))
}

fn name(given: &str) -> Result<String, CaseworkError> {
    let name = text("name", given, 100)?;
    // It is what stands between an owner and a name.
    if name.contains('/') { Err(CaseworkError::invalid("name", "there is a / in it")) } else { Ok(name) }
}

fn query(kind: SearchKind, given: &str, now: Timestamp) -> Result<String, CaseworkError> {
    let given = given.trim();
    if given.chars().count() > MAX_QUERY {
        return Err(CaseworkError::invalid("query", format!("has more than {MAX_QUERY} characters")));
    }
    if given.contains('\0') {
        return Err(CaseworkError::invalid("query", "there are control characters in it"));
    }
    match kind {
        SearchKind::Logs => {
            Query::parse(given, now).map_err(|error| CaseworkError::invalid("query", error.to_string()))?;
        }
        SearchKind::Incidents => {
            IncidentSearch::read(given)?.filter()?;
        }
    }
    Ok(given.to_owned())
}

fn taken(error: StoreError, row: &SavedRow) -> CaseworkError {
    if error.sqlstate().as_deref() == Some("23505") {
        return CaseworkError::Conflict(format!("{} has a search {:?} of {} already", row.owner, row.name, row.kind));
    }
    error.into()
}

fn subject(id: i64) -> String {
    format!("search:{id}")
}

fn shown(row: &SavedRow) -> Value {
    json!({ "owner": row.owner, "kind": row.kind, "name": row.name, "query": row.query, "shared": row.shared })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_of_incidents_reads_what_the_api_takes() {
        let filter = |text: &str| IncidentSearch::read(text).and_then(IncidentSearch::filter);
        let read = filter("status=open%2Ccontained&min_severity=high&text=caf%C3%A9+x&archived=true").unwrap();
        assert_eq!(read.statuses, ["open", "contained"]);
        assert_eq!((read.least_severity.as_deref(), read.text.as_deref(), read.archived), (Some("high"), Some("café x"), true));
        assert_eq!(filter("").unwrap(), CaseFilter::default());
        for (wrong, at) in [
            ("status=closed", "status"),
            ("min_severity=high,low", "min_severity"),
            ("from=yesterday", "from"),
            ("text=%00", "text"),
            ("limit=5", "query"),
            ("archived=perhaps", "query"),
        ] {
            let error = filter(wrong).unwrap_err();
            assert!(matches!(&error, CaseworkError::Invalid { field, .. } if *field == at), "{wrong}: {error}");
        }
    }
}
