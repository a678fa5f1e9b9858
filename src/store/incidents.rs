//! The SQL of incidents, as far as detectors open and feed them.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::{PgConnection, Row};

use super::StoreError;
use crate::detect::incidents::{Account, description, title};
use crate::record::incident::IncidentChange;
use crate::record::{Severity, Timestamp};

/// Who opens incidents when no person does.
const REPORTER: &str = "anomaly_detection_system";

/// An incident as it will be after the changes.
struct Merged<'c> {
    id: Option<i64>,
    change: &'c IncidentChange,
    /// Changes of other groups that go to it, too, since their incidents became part of it.
    others: Vec<&'c IncidentChange>,
    /// Others are part of it, or somebody attached records: what is told of may be there already, so it is held against the evidence.
    by_evidence: bool,
    /// Log records that it has: one for each event, unless `by_evidence`.
    held: u64,
    events: u64,
    first_seen: Timestamp,
    last_seen: Timestamp,
    severity: Severity,
    severity_before: Severity,
    usernames: BTreeSet<String>,
    /// Event time, id, and the events that the record stands for.
    evidence: Vec<(Timestamp, i64, u32)>,
}

/// Applies the changes of one transaction: feeds the unresolved incident of each detector and group, or else the unresolved one that an
/// incident of theirs became part of, or opens one. Runs after the transaction's place in the order is sure, so no other daemon and no
/// other transaction opens one at the same time, and nobody merges any.
///
/// # Errors
/// A statement failed.
pub async fn apply(connection: &mut PgConnection, changes: &[IncidentChange], max_evidence: usize) -> Result<(), StoreError> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut merged = merge_with_stored(connection, changes).await?;
    let (mut open, mut new): (Vec<&mut Merged<'_>>, Vec<&mut Merged<'_>>) = merged.values_mut().partition(|m| m.id.is_some());
    update(connection, &mut open).await?;
    tell_raised(connection, &open).await?;
    insert(connection, &mut new).await?;
    attach(connection, merged.into_values(), max_evidence).await
}

/// Takes a place in the order of the daemon's transactions until this one has ended: it opens no incident meanwhile. Before [`apply`].
///
/// # Errors
/// The statement failed.
pub async fn take_place(connection: &mut PgConnection) -> Result<(), StoreError> {
    let locked = sqlx::query("SELECT FROM positions WHERE input = 'pipeline' FOR UPDATE").execute(connection).await;
    locked.map(|_| ()).map_err(StoreError::at("wait for the daemon's transaction"))
}

/// What one detector, or rule, found for one group: its name, the group's key, the first and the last event.
pub type Found = (String, String, Timestamp, Timestamp);

/// For each of them the incident that tells of it, if there is one, by id and number: the unresolved one, or else the last one whose time
/// overlaps.
///
/// # Errors
/// The statement failed.
pub async fn telling_of(connection: &mut PgConnection, found: &[Found]) -> Result<Vec<Option<(i64, String)>>, StoreError> {
    let rows: Vec<(i64, i64, String)> = sqlx::query_as(
        "SELECT DISTINCT ON (k.n) k.n, i.id, i.number \
         FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[]) WITH ORDINALITY AS k (detector, group_key, first, last, n) \
         JOIN incidents i ON i.detector = k.detector AND i.group_key = k.group_key \
         WHERE i.status IN ('open', 'investigating', 'contained') OR (i.first_seen <= k.last AND i.last_seen >= k.first) \
         ORDER BY k.n, i.status IN ('open', 'investigating', 'contained') DESC, i.id DESC",
    )
    .bind(found.iter().map(|f| f.0.as_str()).collect::<Vec<_>>())
    .bind(found.iter().map(|f| clean(&f.1)).collect::<Vec<_>>())
    .bind(found.iter().map(|f| f.2).collect::<Vec<_>>())
    .bind(found.iter().map(|f| f.3).collect::<Vec<_>>())
    .fetch_all(connection)
    .await
    .map_err(StoreError::at("look for incidents that tell of this"))?;
    let mut told = vec![None; found.len()];
    for (n, id, number) in rows {
        if let Some(slot) = usize::try_from(n - 1).ok().and_then(|n| told.get_mut(n)) {
            *slot = Some((id, number));
        }
    }
    Ok(told)
}

/// Locks the unresolved incidents that the changes feed and adds the changes to them.
async fn merge_with_stored<'c>(
    connection: &mut PgConnection,
    changes: &'c [IncidentChange],
) -> Result<BTreeMap<(String, String), Merged<'c>>, StoreError> {
    let mut merged: BTreeMap<(String, String), Merged<'c>> = BTreeMap::new();
    for change in changes {
        let key = (change.raised_by.name().to_owned(), clean(&change.group.to_string()));
        merged.entry(key).or_insert_with(|| Merged::of(change)).add(change);
    }
    let (detectors, groups): (Vec<&str>, Vec<&str>) = merged.keys().map(|(d, g)| (d.as_str(), g.as_str())).unzip();
    let rows = sqlx::query(
        "WITH k AS MATERIALIZED (SELECT detector, group_key, coalesce( \
             (SELECT i.id FROM incidents i WHERE i.detector = n.detector AND i.group_key = n.group_key \
                 AND i.status IN ('open', 'investigating', 'contained')), \
             (SELECT w.id FROM incidents p JOIN incidents w ON w.id = p.merged_into \
                 WHERE p.detector = n.detector AND p.group_key = n.group_key AND p.merged_into IS NOT NULL \
                     AND w.status IN ('open', 'investigating', 'contained') ORDER BY p.id DESC LIMIT 1)) AS id \
             FROM unnest($1::text[], $2::text[]) AS n (detector, group_key)) \
         SELECT i.id, k.detector, k.group_key, i.event_count, i.severity::text, i.usernames, \
                (extract(epoch FROM i.first_seen) * 1000000)::bigint, (extract(epoch FROM i.last_seen) * 1000000)::bigint, i.absorbed \
         FROM k JOIN incidents i USING (id) \
         WHERE i.status IN ('open', 'investigating', 'contained') ORDER BY i.id FOR UPDATE OF i",
    )
    .bind(detectors)
    .bind(groups)
    .fetch_all(&mut *connection)
    .await
    .map_err(StoreError::at("find the incidents that go on"))?;
    let mut by_id: HashMap<i64, (String, String)> = HashMap::new();
    for row in &rows {
        add_stored(&mut merged, &mut by_id, row).map_err(StoreError::at("read an incident"))?;
    }
    count_once(connection, merged.values_mut().filter(|m| m.by_evidence).collect()).await?;
    for m in merged.values_mut() {
        let worst = std::iter::once(&m.change).chain(&m.others).map(|change| change.severity_at(m.events)).max();
        m.severity = m.severity.max(worst.unwrap_or(m.severity));
        while m.usernames.len() > IncidentChange::MAX_USERNAMES {
            m.usernames.pop_last();
        }
    }
    Ok(merged)
}

/// Adds what is stored to the changes of its group, or these to the changes of another group that go to the same incident.
fn add_stored<'c>(
    merged: &mut BTreeMap<(String, String), Merged<'c>>,
    by_id: &mut HashMap<i64, (String, String)>,
    row: &sqlx::postgres::PgRow,
) -> Result<(), sqlx::Error> {
    let (id, key): (i64, (String, String)) = (row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?));
    if let Some(first) = by_id.get(&id) {
        if let Some(more) = merged.remove(&key)
            && let Some(m) = merged.get_mut(first)
        {
            m.join(more);
        }
        return Ok(());
    }
    let Some(m) = merged.get_mut(&key) else { return Ok(()) };
    by_id.insert(id, key);
    m.id = Some(id);
    m.held = u64::try_from(row.try_get::<i64, _>(3)?).unwrap_or(0);
    m.events = m.events.saturating_add(m.held);
    let severity: String = row.try_get(4)?;
    m.severity_before = severity.parse().unwrap_or(Severity::Low);
    m.severity = m.severity.max(m.severity_before);
    m.usernames.extend(row.try_get::<Vec<String>, _>(5)?);
    m.first_seen = m.first_seen.min(row.try_get::<Option<i64>, _>(6)?.map_or(m.first_seen, Timestamp::from_micros));
    m.last_seen = m.last_seen.max(row.try_get::<Option<i64>, _>(7)?.map_or(m.last_seen, Timestamp::from_micros));
    m.by_evidence = row.try_get(8)?;
    Ok(())
}

/// Of incidents to which evidence comes from several sides: leaves out the events of log records that are there already, and of those
/// that another detector tells of in the same changes. What is beyond the limit of evidence is not known by its record, and may be counted for each of
/// the groups.
async fn count_once(connection: &mut PgConnection, mut mixed: Vec<&mut Merged<'_>>) -> Result<(), StoreError> {
    if mixed.is_empty() {
        return Ok(());
    }
    let id_of = |m: &&mut Merged<'_>| m.id.unwrap_or_default();
    let told: Vec<(i64, i64)> = mixed.iter().flat_map(|m| m.evidence.iter().map(move |(_, log, _)| (id_of(m), *log))).collect();
    let known: Vec<(i64, i64, i64)> = sqlx::query_as(
        "SELECT e.incident_id, e.log_id, e.events FROM unnest($1::bigint[], $2::bigint[]) AS n (incident, log) \
         JOIN incident_evidence e ON e.incident_id = n.incident AND e.log_id = n.log",
    )
    .bind(told.iter().map(|t| t.0).collect::<Vec<_>>())
    .bind(told.iter().map(|t| t.1).collect::<Vec<_>>())
    .fetch_all(&mut *connection)
    .await
    .map_err(StoreError::at("find what is in evidence"))?;
    let held: Vec<(i64, i64)> =
        sqlx::query_as("SELECT incident_id, count(*) FROM incident_evidence WHERE incident_id = ANY($1) GROUP BY incident_id")
            .bind(mixed.iter().map(id_of).collect::<Vec<_>>())
            .fetch_all(connection)
            .await
            .map_err(StoreError::at("count evidence"))?;
    let held: HashMap<i64, i64> = held.into_iter().collect();
    let mut known: HashMap<(i64, i64), u32> =
        known.into_iter().map(|(incident, log, events)| ((incident, log), u32::try_from(events).unwrap_or(u32::MAX))).collect();
    for m in &mut mixed {
        let id = id_of(m);
        m.held = u64::try_from(held.get(&id).copied().unwrap_or(0)).unwrap_or(0);
        let mut twice = 0;
        m.evidence.retain(|(_, log, events)| match known.entry((id, *log)) {
            Entry::Vacant(new) => {
                new.insert(*events);
                true
            }
            Entry::Occupied(mut seen) => {
                twice += u64::from(*events.min(seen.get()));
                seen.insert(*events.max(seen.get()));
                false
            }
        });
        m.events = m.events.saturating_sub(twice);
    }
    Ok(())
}

impl<'c> Merged<'c> {
    fn of(change: &'c IncidentChange) -> Merged<'c> {
        Merged {
            id: None,
            change,
            others: Vec::new(),
            by_evidence: false,
            held: 0,
            events: 0,
            first_seen: change.first_seen,
            last_seen: change.last_seen,
            severity: change.severity,
            severity_before: change.severity,
            usernames: BTreeSet::new(),
            evidence: Vec::new(),
        }
    }

    fn add(&mut self, change: &IncidentChange) {
        self.events = self.events.saturating_add(change.events);
        self.first_seen = self.first_seen.min(change.first_seen);
        self.last_seen = self.last_seen.max(change.last_seen);
        self.usernames.extend(change.usernames.iter().map(|u| u.to_string()));
        self.evidence.extend(&change.evidence);
    }

    /// Takes in what goes to the same incident.
    fn join(&mut self, more: Merged<'c>) {
        self.others.push(more.change);
        self.events = self.events.saturating_add(more.events);
        self.first_seen = self.first_seen.min(more.first_seen);
        self.last_seen = self.last_seen.max(more.last_seen);
        self.severity = self.severity.max(more.severity);
        self.usernames.extend(more.usernames);
        self.evidence.extend(more.evidence);
    }
}

impl Merged<'_> {
    fn description(&self) -> String {
        let usernames: Vec<String> = self.usernames.iter().cloned().collect();
        let change = self.change;
        clean(&description(&Account {
            raised_by: &change.raised_by,
            group: &change.group,
            events: self.events,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            usernames: &usernames,
            window_micros: change.window_micros,
            threshold: change.threshold,
        }))
    }

    /// As a JSON array, since arrays of arrays of different lengths are none in SQL.
    fn usernames_json(&self) -> serde_json::Value {
        self.usernames.iter().map(|u| serde_json::Value::String(clean(u))).collect()
    }
}

/// NUL is the one character that `text` does not take.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{2400}")
}

/// The priority rises with the severity, and is otherwise left to those who know which systems are affected ([`super::assets`]): one that was
/// lowered since nothing depends on them stays so.
async fn update(connection: &mut PgConnection, open: &mut [&mut Merged<'_>]) -> Result<(), StoreError> {
    if open.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE incidents i SET event_count = n.events, severity = n.severity::severity, description = coalesce(n.description, i.description), \
             usernames = ARRAY(SELECT jsonb_array_elements_text(n.usernames)), updated_at = now(), \
             priority = CASE WHEN n.severity::severity <= i.severity OR i.priority_reason IS NOT NULL THEN i.priority \
                 ELSE least(i.priority, CASE n.severity WHEN 'critical' THEN 'P1' WHEN 'high' THEN 'P2' WHEN 'medium' THEN 'P3' ELSE 'P4' END) END, \
             first_seen = timestamptz 'epoch' + n.first_seen * interval '1 microsecond', \
             last_seen = timestamptz 'epoch' + n.last_seen * interval '1 microsecond' \
         FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::jsonb[], $6::bigint[], $7::bigint[]) \
             AS n (id, events, severity, description, usernames, first_seen, last_seen) \
         WHERE i.id = n.id",
    )
    .bind(open.iter().map(|m| m.id.unwrap_or_default()).collect::<Vec<_>>())
    .bind(open.iter().map(|m| i64::try_from(m.events).unwrap_or(i64::MAX)).collect::<Vec<_>>())
    .bind(open.iter().map(|m| m.severity.as_str()).collect::<Vec<_>>())
    // No one detector can say what came from several sides.
    .bind(open.iter().map(|m| (!m.by_evidence).then(|| m.description())).collect::<Vec<_>>())
    .bind(open.iter().map(|m| m.usernames_json()).collect::<Vec<_>>())
    .bind(open.iter().map(|m| m.first_seen.as_micros()).collect::<Vec<_>>())
    .bind(open.iter().map(|m| m.last_seen.as_micros()).collect::<Vec<_>>())
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("feed the incidents that go on"))
}

/// Writes into the timelines which incidents have become worse.
async fn tell_raised(connection: &mut PgConnection, open: &[&mut Merged<'_>]) -> Result<(), StoreError> {
    let raised: Vec<&&mut Merged<'_>> = open.iter().filter(|m| m.severity > m.severity_before).collect();
    if raised.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO incident_timeline (incident_id, at, actor, event, old, new) \
         SELECT id, now(), $4, 'severity', to_jsonb(was), to_jsonb(is_now) FROM unnest($1::bigint[], $2::text[], $3::text[]) AS r (id, was, is_now)",
    )
    .bind(raised.iter().map(|m| m.id.unwrap_or_default()).collect::<Vec<_>>())
    .bind(raised.iter().map(|m| m.severity_before.as_str()).collect::<Vec<_>>())
    .bind(raised.iter().map(|m| m.severity.as_str()).collect::<Vec<_>>())
    .bind(REPORTER)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("write the timelines"))
}

/// Opens incidents, but for those that somebody suppressed: what they would have had is counted there. By the times of events and in the
/// statement that would open them, so that it does not matter when a transaction is tried again, nor who marks a false positive meanwhile.
async fn insert(connection: &mut PgConnection, new: &mut [&mut Merged<'_>]) -> Result<(), StoreError> {
    if new.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query(
        "WITH found AS (SELECT u.* \
             FROM unnest($1::text[], $2::text[], $3::jsonb[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], \
                         $9::bigint[], $10::bigint[], $11::bigint[], $12::jsonb[]) \
             AS u (detector, group_key, group_values, title, description, severity, category, technique, events, first_seen, last_seen, usernames)), \
         held AS (UPDATE suppressions s SET events = s.events + found.events, \
                 first_seen = least(s.first_seen, timestamptz 'epoch' + found.first_seen * interval '1 microsecond'), \
                 last_seen = greatest(s.last_seen, timestamptz 'epoch' + found.last_seen * interval '1 microsecond') \
             FROM found WHERE s.detector = found.detector AND s.group_key = found.group_key AND s.ended_at IS NULL \
                 AND timestamptz 'epoch' + found.last_seen * interval '1 microsecond' < s.until \
             RETURNING s.detector, s.group_key), \
         n AS (SELECT nextval(pg_get_serial_sequence('incidents', 'id')) AS id, found.* FROM found \
             WHERE NOT EXISTS (SELECT FROM held WHERE held.detector = found.detector AND held.group_key = found.group_key)), \
         opened AS (INSERT INTO incidents (id, number, title, description, severity, priority, category, attack_vector, reporter, detector, group_key, \
             group_values, first_seen, last_seen, event_count, usernames, technique) \
         SELECT id, 'INC-' || to_char(now() AT TIME ZONE 'UTC', 'YYYY') || '-' || lpad(id::text, greatest(6, length(id::text)), '0'), \
             title, description, severity::severity, \
             CASE severity WHEN 'critical' THEN 'P1' WHEN 'high' THEN 'P2' WHEN 'medium' THEN 'P3' ELSE 'P4' END, \
             category, 'network', $13, detector, group_key, group_values, \
             timestamptz 'epoch' + first_seen * interval '1 microsecond', timestamptz 'epoch' + last_seen * interval '1 microsecond', \
             events, ARRAY(SELECT jsonb_array_elements_text(usernames)), technique \
         FROM n RETURNING id, detector, group_key, title, severity, event_count, reporter), \
         told AS (INSERT INTO incident_timeline (incident_id, at, actor, event, new) \
             SELECT id, now(), reporter, 'opened', jsonb_build_object('title', title, 'severity', severity, 'events', event_count) FROM opened) \
         SELECT id, detector, group_key FROM opened",
    )
    .bind(new.iter().map(|m| m.change.raised_by.name()).collect::<Vec<_>>())
    .bind(new.iter().map(|m| clean(&m.change.group.to_string())).collect::<Vec<_>>())
    .bind(
        new.iter()
            .map(|m| m.change.group.0.iter().map(|(k, v)| ((**k).to_owned(), serde_json::Value::String(clean(v)))).collect())
            .collect::<Vec<serde_json::Value>>(),
    )
    .bind(new.iter().map(|m| clean(&title(&m.change.raised_by, &m.change.group))).collect::<Vec<_>>())
    .bind(new.iter().map(|m| m.description()).collect::<Vec<_>>())
    .bind(new.iter().map(|m| m.severity.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|m| m.change.raised_by.category()).collect::<Vec<_>>())
    .bind(new.iter().map(|m| m.change.raised_by.technique()).collect::<Vec<_>>())
    .bind(new.iter().map(|m| i64::try_from(m.events).unwrap_or(i64::MAX)).collect::<Vec<_>>())
    .bind(new.iter().map(|m| m.first_seen.as_micros()).collect::<Vec<_>>())
    .bind(new.iter().map(|m| m.last_seen.as_micros()).collect::<Vec<_>>())
    .bind(new.iter().map(|m| m.usernames_json()).collect::<Vec<_>>())
    .bind(REPORTER)
    .fetch_all(connection)
    .await
    .map_err(StoreError::at("open incidents"))?;
    let mut by_key: HashMap<(String, String), &mut Option<i64>> =
        new.iter_mut().map(|m| ((m.change.raised_by.name().to_owned(), clean(&m.change.group.to_string())), &mut m.id)).collect();
    for row in &rows {
        let key = (|| Ok((row.try_get::<i64, _>(0)?, row.try_get::<String, _>(1)?, row.try_get::<String, _>(2)?)))();
        let (id, detector, group) = key.map_err(StoreError::at("read an incident"))?;
        if let Some(slot) = by_key.get_mut(&(detector, group)) {
            **slot = Some(id);
        }
    }
    Ok(())
}

/// Copies the log records that prove the incidents, up to the limit.
async fn attach(
    connection: &mut PgConnection,
    merged: impl Iterator<Item = Merged<'_>>,
    max_evidence: usize,
) -> Result<(), StoreError> {
    let (mut incidents, mut ids, mut times, mut events) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for m in merged {
        // What is suppressed has no incident.
        let Some(incident) = m.id else { continue };
        let room = max_evidence.saturating_sub(usize::try_from(m.held).unwrap_or(usize::MAX));
        for (time, id, stands_for) in m.evidence.iter().take(room) {
            incidents.push(incident);
            ids.push(*id);
            times.push(time.as_micros());
            events.push(i64::from(*stands_for));
        }
    }
    let (Some(earliest), Some(latest)) = (times.iter().min(), times.iter().max()) else { return Ok(()) };
    let (earliest, latest) = (earliest.div_euclid(1_000_000) as f64, (latest.div_euclid(1_000_000) + 1) as f64);
    sqlx::query(
        "INSERT INTO incident_evidence (incident_id, log_id, event_time, record, events) \
         SELECT e.incident, l.id, l.event_time, to_jsonb(l), e.events \
         FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $6::bigint[]) AS e (incident, id, at, events) \
         JOIN logs l ON l.event_time = timestamptz 'epoch' + e.at * interval '1 microsecond' AND l.id = e.id \
         WHERE l.event_time BETWEEN to_timestamp($4::float8) AND to_timestamp($5::float8) \
         ON CONFLICT DO NOTHING",
    )
    // The bounds say nothing new, but known when the statement is planned they leave most partitions out of it, unlocked.
    .bind(incidents)
    .bind(ids)
    .bind(&times)
    .bind(earliest)
    .bind(latest)
    .bind(events)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("attach evidence"))
}
