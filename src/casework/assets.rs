//! Assets: what there is to protect. Whoever changes the list changes the priorities of incidents that are not over; the daemon sees to that.

use serde_json::json;
use sqlx::postgres::PgConnection;

use super::audit::Act;
use super::incidents::{MAX_AFFECTED, subject, unseen};
use super::{Actor, Casework, CaseworkError, ONE_LINE, Permission, text};
use crate::record::assets::{self, Assets, Match};
use crate::record::case::Criticality;
use crate::store::StoreError;
use crate::store::assets::{self as rows, Assessment, AssetRow, shown};

/// Assets that the list has.
pub const MAX_ASSETS: usize = 10_000;
/// By how much one of them is recognised.
const MAX_MATCHES: usize = 50;
/// Characters of a comment.
const COMMENT: usize = 2_000;

/// An asset to be entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAsset {
    /// What people call it.
    pub name: String,
    /// Host names, `*.suffixes`, addresses, networks.
    pub matches: Vec<String>,
    /// How much depends on it.
    pub criticality: Criticality,
    /// Who answers for it.
    pub owner: Option<String>,
    /// What else there is to know.
    pub comment: Option<String>,
}

/// What is to be changed of an asset; `None` leaves it, and an empty text takes it away.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)]
pub struct AssetEdit {
    pub matches: Option<Vec<String>>,
    pub criticality: Option<Criticality>,
    pub owner: Option<String>,
    pub comment: Option<String>,
}

fn matches(given: &[String]) -> Result<Vec<String>, CaseworkError> {
    if given.is_empty() || given.len() > MAX_MATCHES {
        return Err(CaseworkError::invalid("matches", format!("has {} entries; it takes 1 to {MAX_MATCHES}", given.len())));
    }
    let read = |text: &String| text.parse::<Match>().map_err(|e| CaseworkError::invalid("matches", e.to_string()));
    let mut all = given.iter().map(|text| Ok(read(text)?.to_string())).collect::<Result<Vec<_>, CaseworkError>>()?;
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

fn optional(field: &'static str, given: &str, max: usize) -> Result<Option<String>, CaseworkError> {
    if given.trim().is_empty() { Ok(None) } else { text(field, given, max).map(Some) }
}

fn edited(before: &AssetRow, edit: &AssetEdit) -> Result<AssetRow, CaseworkError> {
    let mut after = before.clone();
    if let Some(given) = &edit.matches {
        after.matches = matches(given)?;
    }
    if let Some(criticality) = edit.criticality {
        after.criticality = criticality.to_string();
    }
    if let Some(owner) = &edit.owner {
        after.owner = optional("owner", owner, ONE_LINE)?;
    }
    if let Some(comment) = &edit.comment {
        after.comment = optional("comment", comment, COMMENT)?;
    }
    Ok(after)
}

fn no_asset(name: &str) -> CaseworkError {
    CaseworkError::NotFound(format!("asset {name:?}"))
}

fn named(asset: &AssetRow) -> String {
    format!("asset:{}", asset.name)
}

impl NewAsset {
    fn row(&self, now: crate::record::Timestamp) -> Result<AssetRow, CaseworkError> {
        Ok(AssetRow {
            id: 0,
            name: text("name", &self.name, 200)?,
            matches: matches(&self.matches)?,
            criticality: self.criticality.to_string(),
            owner: optional("owner", self.owner.as_deref().unwrap_or_default(), ONE_LINE)?,
            comment: optional("comment", self.comment.as_deref().unwrap_or_default(), COMMENT)?,
            version: 1,
            created_at: now,
            updated_at: now,
        })
    }
}

/// The list, to be looked up in.
pub(super) async fn known(connection: &mut PgConnection) -> Result<Assets, StoreError> {
    let mut known = Assets::default();
    for asset in rows::all(connection).await? {
        let criticality = asset.criticality.parse().unwrap_or(Criticality::Medium);
        for by in asset.matches.iter().filter_map(|by| by.parse().ok()) {
            known.add(&by, criticality);
        }
    }
    Ok(known)
}

async fn is_room(connection: &mut PgConnection) -> Result<(), CaseworkError> {
    if rows::count(connection).await? >= MAX_ASSETS as i64 {
        return Err(CaseworkError::Conflict(format!("there are {MAX_ASSETS} assets, which is as many as there can be")));
    }
    Ok(())
}

impl Casework {
    /// Incidents that [`Casework::assess`] looks at.
    pub const ASSESSED_AT_ONCE: usize = 200;

    /// All assets, by name.
    ///
    /// # Errors
    /// Not permitted, or the database.
    pub async fn assets(&self, actor: &Actor) -> Result<Vec<AssetRow>, CaseworkError> {
        let mut reading = self.look(actor, Permission::ReadIncidents).await?;
        let all = rows::all(&mut reading.connection).await?;
        reading.done();
        Ok(all)
    }

    /// Enters an asset. Returns it as it is then.
    ///
    /// # Errors
    /// Not permitted; there is one of that name; there are too many; what was given is wrong; the database.
    pub async fn add_asset(&self, actor: &Actor, new: &NewAsset) -> Result<AssetRow, CaseworkError> {
        let mut change = self.change(actor, Permission::ManageAssets).await?;
        let row = new.row(change.now)?;
        rows::begin_change(change.connection()).await?;
        if rows::by_name(change.connection(), &row.name).await?.is_some() {
            return Err(CaseworkError::Conflict(format!("there is an asset {:?} already", row.name)));
        }
        is_room(change.connection()).await?;
        rows::insert(change.connection(), &row).await?;
        change.commit(&[Act::new("asset.add", named(&row)).values(None, shown(&row))]).await?;
        Ok(row)
    }

    /// Changes an asset. Returns it as it is then.
    ///
    /// # Errors
    /// Not permitted; no such asset; somebody has changed it since `version`; what was given is wrong; the database.
    pub async fn change_asset(
        &self,
        actor: &Actor,
        name: &str,
        edit: &AssetEdit,
        version: Option<i64>,
    ) -> Result<AssetRow, CaseworkError> {
        let mut change = self.change(actor, Permission::ManageAssets).await?;
        rows::begin_change(change.connection()).await?;
        let before = rows::by_name(change.connection(), name).await?.ok_or_else(|| no_asset(name))?;
        unseen(&format!("asset {name:?}"), before.version, version)?;
        let after = edited(&before, edit)?;
        if after == before {
            return Ok(before);
        }
        let after = AssetRow { updated_at: change.now, ..after };
        rows::update(change.connection(), &after).await?;
        change.commit(&[Act::new("asset.change", named(&before)).values(shown(&before), shown(&after))]).await?;
        Ok(AssetRow { version: before.version + 1, ..after })
    }

    /// Removes an asset.
    ///
    /// # Errors
    /// Not permitted; no such asset; the database.
    pub async fn remove_asset(&self, actor: &Actor, name: &str) -> Result<(), CaseworkError> {
        let mut change = self.change(actor, Permission::ManageAssets).await?;
        rows::begin_change(change.connection()).await?;
        let asset = rows::by_name(change.connection(), name).await?.ok_or_else(|| no_asset(name))?;
        rows::delete(change.connection(), asset.id).await?;
        change.commit(&[Act::new("asset.remove", named(&asset)).values(shown(&asset), None)]).await
    }

    /// Enters all of a list, and changes those that are there by their names; all or nothing. How many were entered, and how many changed.
    ///
    /// # Errors
    /// Not permitted; there are too many; what was given is wrong, with its number in the list; the database.
    pub async fn import_assets(&self, actor: &Actor, list: &[NewAsset]) -> Result<(usize, usize), CaseworkError> {
        let mut change = self.change(actor, Permission::ManageAssets).await?;
        if list.len() > MAX_ASSETS {
            return Err(CaseworkError::invalid("assets", format!("has {} entries; at most {MAX_ASSETS} are taken", list.len())));
        }
        rows::begin_change(change.connection()).await?;
        let (mut acts, mut entered) = (Vec::new(), 0);
        for (n, new) in list.iter().enumerate() {
            let row = new.row(change.now).map_err(|error| match error {
                CaseworkError::Invalid { field, problem } => {
                    CaseworkError::Invalid { field: "assets", problem: format!("asset {}: {field}: {problem}", n + 1) }
                }
                other => other,
            })?;
            match rows::by_name(change.connection(), &row.name).await? {
                None => {
                    is_room(change.connection()).await?;
                    rows::insert(change.connection(), &row).await?;
                    entered += 1;
                    acts.push(Act::new("asset.add", named(&row)).values(None, shown(&row)));
                }
                Some(before) => {
                    let after = AssetRow { id: before.id, name: before.name.clone(), ..row };
                    if shown(&after) != shown(&before) {
                        rows::update(change.connection(), &after).await?;
                        acts.push(Act::new("asset.change", named(&before)).values(shown(&before), shown(&after)));
                    }
                }
            }
        }
        if acts.is_empty() {
            return Ok((0, 0));
        }
        change.commit(&acts).await?;
        Ok((entered, acts.len() - entered))
    }

    /// Looks at incidents whose evidence grew, or whose priority was found with another list of assets: which systems they affect, and what
    /// priority follows. How many were looked at; if there may be more, [`Casework::ASSESSED_AT_ONCE`].
    ///
    /// # Errors
    /// Not permitted, or the database.
    pub async fn assess(&self, actor: &Actor) -> Result<usize, CaseworkError> {
        let mut reading = self.look(actor, Permission::WorkIncidents).await?;
        // The version first: a list that is newer than it says is looked up once more.
        let version = rows::version(&mut reading.connection).await?;
        let due = rows::to_assess(&mut reading.connection, version, Casework::ASSESSED_AT_ONCE as i64).await?;
        let known = if due.is_empty() { Assets::default() } else { known(&mut reading.connection).await? };
        reading.done();
        for incident in &due {
            self.assess_one(actor, *incident, version, &known).await?;
        }
        Ok(due.len())
    }

    /// Systems are added as evidence names them and never taken away: what people say is affected stays, and what they took away does not
    /// come back with the evidence that they had seen.
    async fn assess_one(&self, actor: &Actor, id: i64, version: i64, known: &Assets) -> Result<(), CaseworkError> {
        let mut change = self.change(actor, Permission::WorkIncidents).await?;
        let Some(before) = rows::assess(change.connection(), id).await? else { return Ok(()) };
        let (found, evidence) = rows::systems(change.connection(), id, before.assessed_evidence).await?;
        let mut affected = before.affected.clone();
        affected.extend(found);
        affected.sort_unstable();
        affected.dedup();
        if affected.len() > MAX_AFFECTED {
            affected.clone_from(&before.affected);
        }
        let priority = match &before.priority_reason {
            Some(_) => before.priority.clone(),
            None => assets::priority(&before.severity, &affected, known).map_or(before.priority.clone(), |p| p.to_string()),
        };
        let mut old = serde_json::Map::new();
        let mut new = serde_json::Map::new();
        for (field, was, is) in
            [("affected", json!(before.affected), json!(affected)), ("priority", json!(before.priority), json!(priority))]
        {
            if was != is {
                change.tell(id, field, Some(was.clone()), Some(is.clone())).await?;
                old.insert(field.to_owned(), was);
                new.insert(field.to_owned(), is);
            }
        }
        let written = Assessment {
            incident: id,
            events: before.event_count,
            evidence,
            assets: version,
            affected: &affected,
            priority: &priority,
            changed_at: (!new.is_empty()).then_some(change.now),
        };
        rows::write(change.connection(), &written).await?;
        let act = Act::new("incident.assess", subject(&before.number));
        // That it was looked at and nothing changed is nobody's act.
        let acts = if new.is_empty() { Vec::new() } else { vec![act.values(json!(old), json!(new))] };
        change.commit(&acts).await
    }
}
