//! What the detectors find in records that are stored already, and incidents for it.
//!
//! The detectors run in memory, over the records of a range of time in the order of that time. What was before the range they do not know,
//! so an attack that reaches into it is found only if what lies inside is enough.

use std::sync::Arc;

use serde_json::json;

use super::audit::Act;
use super::incidents::subject;
use super::{Actor, Casework, CaseworkError, Permission};
use crate::detect::{Engine, EngineStats, Finding, Findings, Options, Rules};
use crate::parse;
use crate::record::Timestamp;
use crate::record::incident::IncidentChange;
use crate::store::incidents::{self as rows, Found};
use crate::store::warmup::{self, Looked, Observed};

/// Records after which changes are collected: fewer than the accounts that one change can name.
const COLLECT_EVERY: u64 = 64;
/// Incidents that are opened at once.
pub const MAX_OPENED: usize = 1_000;

/// Where to look, and how.
#[derive(Debug, Clone)]
pub struct Watch {
    /// From this time on.
    pub from: Timestamp,
    /// Up to, and not including, this one.
    pub to: Timestamp,
    /// The detectors.
    pub options: Options,
    /// Rules beside them.
    pub rules: Arc<Rules>,
    /// The operator's formats.
    pub formats: Arc<[parse::own::Own]>,
    /// Log records that an incident has as evidence at most.
    pub max_evidence: usize,
}

/// What was found.
#[derive(Debug)]
pub struct Detected {
    /// Records that were looked at.
    pub records: u64,
    /// In the order in which they began.
    pub findings: Vec<Finding>,
    /// For each the number of the incident that tells of it, where there is one.
    pub incidents: Vec<Option<String>>,
    /// What the engine could not do exactly.
    pub stats: EngineStats,
    /// Changes for which there was no room.
    pub left_out: u64,
}

impl Watch {
    fn looked(&self) -> Looked {
        if self.rules.is_empty() { Looked::Detected } else { Looked::All }
    }
}

impl Casework {
    /// Runs the detectors over stored records. `progress` is told of each record, and about how many there will be.
    ///
    /// # Errors
    /// Not permitted; the range is none; the database.
    pub async fn detect(
        &self,
        actor: &Actor,
        watch: &Watch,
        progress: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<Detected, CaseworkError> {
        if watch.from >= watch.to {
            return Err(CaseworkError::invalid("to", "has to be later than from"));
        }
        let mut reading = self.look(actor, Permission::ReadLogs).await?;
        let connection = &mut reading.connection;
        let (range, looked) = ((watch.from, watch.to), watch.looked());
        let expected = warmup::expected(connection, range, looked).await?;
        let mut engine = Engine::with_rules(watch.options.clone(), Arc::clone(&watch.rules));
        let (mut records, mut findings) = (0, Findings::new(watch.max_evidence));
        let observe = &mut |Observed { id, event_time, mut record }: Observed| {
            if !record.message.is_empty() {
                (record.told_by, record.count) = parse::message::told(record.app.as_deref(), &record.message, &watch.formats);
            }
            engine.observe(&record, id, event_time);
            records += 1;
            if records % COLLECT_EVERY == 0 {
                findings.add(engine.take_changes());
                progress(records, expected);
            }
        };
        warmup::each_between(connection, range, looked, observe).await?;
        findings.add(engine.take_changes());
        let (left_out, findings) = (findings.left_out(), findings.into_sorted());
        let keys: Vec<Found> = findings.iter().map(key).collect();
        let incidents = rows::telling_of(connection, &keys).await?;
        reading.done();
        let incidents = incidents.into_iter().map(|told| told.map(|(_, number)| number)).collect();
        Ok(Detected { records, findings, incidents, stats: engine.stats(), left_out })
    }

    /// Opens an incident, with its evidence, for each finding of which none tells yet; returns the numbers. New events go to them as to those
    /// that the daemon opens.
    ///
    /// # Errors
    /// Not permitted; more than [`MAX_OPENED`]; the database.
    pub async fn open_found(&self, actor: &Actor, watch: &Watch, findings: &[Finding]) -> Result<Vec<String>, CaseworkError> {
        let mut change = self.change(actor, Permission::WorkIncidents).await?;
        rows::take_place(change.connection()).await?;
        let keys: Vec<Found> = findings.iter().map(key).collect();
        let told = rows::telling_of(change.connection(), &keys).await?;
        let (mut new, mut new_keys): (Vec<IncidentChange>, Vec<Found>) = (Vec::new(), Vec::new());
        for ((finding, key), _) in findings.iter().zip(keys).zip(told).filter(|(_, told)| told.is_none()) {
            new.push(finding.change.clone());
            new_keys.push(key);
        }
        if new.len() > MAX_OPENED {
            let problem = format!("comes to {} incidents; at most {MAX_OPENED} are opened at once", new.len());
            return Err(CaseworkError::invalid("range", problem));
        }
        if new.is_empty() {
            return Ok(Vec::new());
        }
        rows::apply(change.connection(), &new, watch.max_evidence).await?;
        let opened = rows::telling_of(change.connection(), &new_keys).await?;
        let (mut acts, mut numbers) = (Vec::new(), Vec::new());
        let range = json!({ "from": watch.from, "to": watch.to });
        for ((id, number), finding) in opened.into_iter().flatten().zip(&new) {
            change.tell(id, "detection", None, Some(range.clone())).await?;
            let shown = json!({ "detector": finding.raised_by.name(), "group": finding.group.to_string(), "range": range });
            acts.push(Act::new("incident.open", subject(&number)).values(None, shown));
            numbers.push(number);
        }
        change.commit(&acts).await?;
        Ok(numbers)
    }
}

fn key(finding: &Finding) -> Found {
    let change = &finding.change;
    (change.raised_by.name().to_owned(), change.group.to_string(), change.first_seen, change.last_seen)
}
