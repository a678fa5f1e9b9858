//! `/api/v1/incidents`, with notes.

use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::document::{Line, LineOrNothing, Sought, Technique, Text, TextOrNothing};
use super::problem::Problem;
use super::{Api, Body, Caller, Path, Query, precondition, seen, versioned};
use crate::casework::incidents::{Dossier, IncidentEdit, MAX_PAGE, NewIncident};
use crate::casework::levels::{DueFilter, DueList, MAX_DUE};
use crate::casework::reports::incident::Form;
use crate::casework::searches::{IncidentSearch, sought};
use crate::record::Timestamp;
use crate::record::case::{Category, NoteKind, Priority, Status};
use crate::record::observable::Tlp;
use crate::record::{Severity, UnknownWord};
use crate::store::cases::CaseRow;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, open))
        .routes(routes!(due))
        .routes(routes!(show, edit))
        .routes(routes!(report))
        .routes(routes!(add_note))
        .routes(routes!(edit_note))
}

/// A word of a closed vocabulary, or a problem that names the field and every word that is known.
pub(super) fn word<T: FromStr<Err = UnknownWord>>(field: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|unknown: UnknownWord| Problem::field(field, unknown.to_string()))
}

/// A time in RFC 3339, or a problem that names the field.
pub(super) fn time(field: &str, text: &str) -> Result<Timestamp, Problem> {
    Timestamp::parse_rfc3339(text).map_err(|_| Problem::field(field, "is no time such as 2026-11-21T12:00:00Z"))
}

/// Which incidents to list.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Any of these, separated by commas.
    #[param(inline, value_type = Vec<Status>, style = Form, explode = false, required = false)]
    status: Option<String>,
    /// Any of these, separated by commas.
    #[param(inline, value_type = Vec<Severity>, style = Form, explode = false, required = false)]
    severity: Option<String>,
    /// This severity, or worse.
    #[param(inline, value_type = Option<Severity>)]
    min_severity: Option<String>,
    /// Any of these, separated by commas.
    #[param(inline, value_type = Vec<Priority>, style = Form, explode = false, required = false)]
    priority: Option<String>,
    /// Any of these, separated by commas.
    #[param(inline, value_type = Vec<Category>, style = Form, explode = false, required = false)]
    category: Option<String>,
    /// Whose.
    #[param(inline, value_type = Option<Sought>)]
    assignee: Option<String>,
    /// By which detector or rule.
    #[param(inline, value_type = Option<Sought>)]
    detector: Option<String>,
    /// Text in the title, whatever the case.
    #[param(inline, value_type = Option<Sought>)]
    title: Option<String>,
    /// Text in number, title, description or group, whatever the case.
    #[param(inline, value_type = Option<Sought>)]
    text: Option<String>,
    /// Opened at this time or later.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<String>,
    /// Opened before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<String>,
    /// Those that were archived, too.
    #[serde(default)]
    archived: bool,
    /// At most so many.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// `next` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")]
    cursor: Option<String>,
}

/// A page of incidents, the newest first.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Page {
    /// The incidents.
    incidents: Vec<CaseRow>,
    /// What to send as `cursor` for the page behind it; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// List incidents, the newest first
#[utoipa::path(get, path = "/incidents", params(ListQuery),
    responses((status = 200, body = Page), (status = 401, body = Problem), (status = 403, body = Problem), (status = 422, body = Problem),
        (status = 503, body = Problem)))]
async fn list(State(api): State<Api>, caller: Caller, Query(query): Query<ListQuery>) -> Result<Json<Page>, Problem> {
    let search = IncidentSearch {
        status: query.status,
        severity: query.severity,
        min_severity: query.min_severity,
        priority: query.priority,
        category: query.category,
        assignee: query.assignee,
        detector: query.detector,
        title: query.title,
        text: query.text,
        from: query.from,
        to: query.to,
        archived: query.archived,
    };
    let filter = search.filter()?;
    let limit = query.limit.unwrap_or(50);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::field("limit", format!("has to be 1 to {MAX_PAGE}")));
    }
    let behind = query.cursor.as_deref().map(place).transpose()?;
    let incidents = api.casework()?.incidents(&caller.actor, &filter, behind, limit).await?;
    let next = incidents.last().filter(|_| incidents.len() == limit).map(|last| cursor([last.created_at.as_micros(), last.id]));
    Ok(Json(Page { incidents, next }))
}

/// Text that is looked for, or a problem that names the field.
pub(super) fn plain(field: &'static str, text: Option<String>) -> Result<Option<String>, Problem> {
    Ok(sought(field, text)?)
}

/// The number of an incident, likewise.
pub(super) fn numbered(number: String) -> Result<String, Problem> {
    Ok(plain("number", Some(number))?.unwrap_or_default())
}

/// What leads to a place in a list: two numbers, by which it is ordered.
pub(super) fn cursor(place: [i64; 2]) -> String {
    URL_SAFE_NO_PAD.encode(place.map(i64::to_be_bytes).concat())
}

/// The numbers in a cursor: any sixteen bytes are two.
pub(super) fn pair(cursor: &str) -> Result<[i64; 2], Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    let bytes = bytes.ok_or_else(|| Problem::field("cursor", "is none that came with a page"))?;
    Ok([0, 8].map(|at| i64::from_be_bytes(std::array::from_fn(|n| bytes[at + n]))))
}

/// A place among incidents; one at a time that there is not lies before or behind everything.
fn place(cursor: &str) -> Result<(Timestamp, i64), Problem> {
    let [at, id] = pair(cursor)?;
    Ok((Timestamp::from_micros(at).clamp(Timestamp::MIN, Timestamp::MAX), id))
}

/// What of what is due to list.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DueQuery {
    /// Whose.
    #[param(inline, value_type = Option<Sought>)]
    assignee: Option<String>,
    /// Only what is overdue.
    #[serde(default)]
    overdue: bool,
    /// At most so many.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
}

/// Show what is due next, what is overdue, and who is late
#[utoipa::path(get, path = "/incidents/due", params(DueQuery),
    responses((status = 200, body = DueList), (status = 401, body = Problem), (status = 403, body = Problem), (status = 422, body = Problem),
        (status = 503, body = Problem)))]
async fn due(State(api): State<Api>, caller: Caller, Query(query): Query<DueQuery>) -> Result<Json<DueList>, Problem> {
    let limit = query.limit.unwrap_or(50);
    if !(1..=MAX_DUE).contains(&limit) {
        return Err(Problem::field("limit", format!("has to be 1 to {MAX_DUE}")));
    }
    let filter = DueFilter { assignee: plain("assignee", query.assignee)?, overdue: query.overdue };
    Ok(Json(api.casework()?.due(&caller.actor, &filter, limit).await?))
}

/// An incident to be opened.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IncidentRequest {
    /// One line.
    #[schema(inline, value_type = Line)]
    title: String,
    /// What happened.
    #[serde(default)]
    #[schema(inline, value_type = TextOrNothing)]
    description: String,
    /// How bad it is.
    #[schema(value_type = Severity)]
    severity: String,
    /// Category of the Reference Security Incident Taxonomy; `other` without.
    #[schema(value_type = Option<Category>)]
    category: Option<String>,
    /// When it began.
    #[schema(value_type = Option<Timestamp>)]
    first_seen: Option<String>,
}

/// The number of an incident.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Opened {
    /// Such as INC-2026-000123.
    pub(super) number: String,
}

/// Open an incident
#[utoipa::path(post, path = "/incidents", request_body = IncidentRequest,
    responses((status = 201, body = Opened), (status = 401, body = Problem), (status = 403, body = Problem), (status = 422, body = Problem),
        (status = 400, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem), (status = 503, body = Problem)))]
async fn open(
    State(api): State<Api>,
    caller: Caller,
    Body(given): Body<IncidentRequest>,
) -> Result<(StatusCode, Json<Opened>), Problem> {
    let new = NewIncident {
        title: given.title,
        description: given.description,
        severity: word("severity", &given.severity)?,
        category: given.category.as_deref().map_or(Ok(Category::Other), |c| word("category", c))?,
        first_seen: given.first_seen.as_deref().map(|t| time("first_seen", t)).transpose()?,
    };
    let number = api.casework()?.open_incident(&caller.actor, &new).await?;
    Ok((StatusCode::CREATED, Json(Opened { number })))
}

/// Everything about an incident
#[utoipa::path(get, path = "/incidents/{number}", params(("number" = String, Path)),
    responses((status = 200, body = Dossier, headers(("ETag" = String, description = "Its version"))), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn show(State(api): State<Api>, caller: Caller, Path(number): Path<String>) -> Result<Response, Problem> {
    let number = numbered(number)?;
    let dossier = api.casework()?.incident(&caller.actor, &number).await?;
    Ok(versioned(dossier.incident.version, &dossier))
}

/// How a report is written.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReportQuery {
    /// As a page, as JSON, or as a bundle of STIX 2.1; JSON without.
    #[param(inline)]
    format: Option<Form>,
    /// To whom a STIX bundle may be told, by the Traffic Light Protocol 2.0; amber without. Observables that may be told to fewer are left out.
    #[param(inline, value_type = Option<Tlp>)]
    tlp: Option<String>,
}

/// Everything about an incident, with hashes of its evidence and the proof of its audit rows
///
/// Who took it out is in the audit log.
#[utoipa::path(get, path = "/incidents/{number}/report", params(("number" = String, Path), ReportQuery),
    responses((status = 200, content((Object = "application/json"), (String = "text/html"), (Object = "application/stix+json"))),
        (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem),
        (status = 503, body = Problem)))]
async fn report(
    State(api): State<Api>,
    caller: Caller,
    Path(number): Path<String>,
    Query(query): Query<ReportQuery>,
) -> Result<Response, Problem> {
    let number = numbered(number)?;
    let form = query.format.unwrap_or(Form::Json);
    let tlp = query.tlp.as_deref().map_or(Ok(Tlp::Amber), |tlp| word("tlp", tlp))?;
    let report = api.casework()?.incident_report(&caller.actor, &number).await?;
    let text = report.written(form, tlp).map_err(|error| {
        tracing::error!(%error, "a report could not be written");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "something went wrong; the log of the daemon says what")
    })?;
    // The page says so, too, but a browser is told before it has read any of it.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox";
    Ok(([(header::CONTENT_TYPE, form.media_type()), (header::CONTENT_SECURITY_POLICY, policy)], text).into_response())
}

/// What is to be changed of an incident; what is absent stays. An empty text takes one away.
#[derive(Debug, Default, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IncidentPatch {
    /// One line.
    #[schema(inline, value_type = Option<Line>)]
    title: Option<String>,
    /// What happened.
    #[schema(inline, value_type = Option<Text>)]
    description: Option<String>,
    /// Where it goes from where it is.
    #[schema(value_type = Option<Status>)]
    status: Option<String>,
    /// How bad it is.
    #[schema(value_type = Option<Severity>)]
    severity: Option<String>,
    /// Otherwise it follows from the severity.
    #[schema(value_type = Option<Priority>)]
    priority: Option<String>,
    /// Why that priority; needed where it is not the one that follows.
    #[schema(inline, value_type = Option<LineOrNothing>)]
    priority_reason: Option<String>,
    /// Category of the Reference Security Incident Taxonomy.
    #[schema(value_type = Option<Category>)]
    category: Option<String>,
    /// Type within the category.
    #[schema(inline, value_type = Option<LineOrNothing>)]
    kind: Option<String>,
    /// How it came in.
    #[schema(inline, value_type = Option<LineOrNothing>)]
    attack_vector: Option<String>,
    /// ATT&CK technique, such as T1110.001.
    #[schema(inline, value_type = Option<Technique>)]
    technique: Option<String>,
    /// Systems that are affected.
    #[schema(value_type = Option<Vec<Line>>, max_items = 1000)]
    affected: Option<Vec<String>>,
    /// Who works on it; an empty text for nobody.
    #[schema(pattern = "^([a-z][a-z0-9._-]{0,63})?$")]
    assignee: Option<String>,
    /// What made it possible; needed to resolve grave ones.
    #[schema(inline, value_type = Option<TextOrNothing>)]
    root_cause: Option<String>,
    /// How it ended; needed at the end.
    #[schema(inline, value_type = Option<TextOrNothing>)]
    resolution: Option<String>,
    /// What to do better; needed to resolve grave ones.
    #[schema(inline, value_type = Option<TextOrNothing>)]
    lessons_learned: Option<String>,
    /// Out of sight, once it is over.
    archived: Option<bool>,
}

impl IncidentPatch {
    fn wanted(self) -> Result<IncidentEdit, Problem> {
        Ok(IncidentEdit {
            title: self.title,
            description: self.description,
            status: self.status.as_deref().map(|s| word("status", s)).transpose()?,
            severity: self.severity.as_deref().map(|s| word("severity", s)).transpose()?,
            priority: match self.priority.as_deref() {
                Some(priority) => Some((word("priority", priority)?, self.priority_reason.unwrap_or_default())),
                None => None,
            },
            category: self.category.as_deref().map(|c| word("category", c)).transpose()?,
            kind: self.kind,
            attack_vector: self.attack_vector,
            technique: self.technique,
            affected: self.affected,
            assignee: plain("assignee", self.assignee)?.map(|name| Some(name).filter(|name| !name.is_empty())),
            root_cause: self.root_cause,
            resolution: self.resolution,
            lessons_learned: self.lessons_learned,
            archived: self.archived,
        })
    }
}

/// Change an incident
#[utoipa::path(patch, path = "/incidents/{number}", request_body = IncidentPatch,
    params(("number" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = CaseRow, headers(("ETag" = String, description = "Its new version"))), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem),
        (status = 422, body = Problem), (status = 400, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 503, body = Problem)))]
async fn edit(
    State(api): State<Api>,
    caller: Caller,
    Path(number): Path<String>,
    headers: HeaderMap,
    Body(given): Body<IncidentPatch>,
) -> Result<Response, Problem> {
    let (version, number) = (seen(&headers)?, numbered(number)?);
    let edited = api.casework()?.edit_incident(&caller.actor, &number, &given.wanted()?, version).await;
    let edited = edited.map_err(|error| precondition(error.into(), version))?;
    Ok(versioned(edited.version, &edited))
}

/// Something to be written down.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoteRequest {
    /// What it is; a note without.
    #[schema(value_type = Option<NoteKind>)]
    kind: Option<String>,
    /// Markdown.
    #[schema(inline, value_type = Text)]
    body: String,
}

/// Where something was written down.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Written {
    /// Which note.
    id: i64,
    /// Which version of it.
    version: i32,
}

/// Write a note
#[utoipa::path(post, path = "/incidents/{number}/notes", request_body = NoteRequest, params(("number" = String, Path)),
    responses((status = 201, body = Written), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem), (status = 400, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 503, body = Problem)))]
async fn add_note(
    State(api): State<Api>,
    caller: Caller,
    Path(number): Path<String>,
    Body(given): Body<NoteRequest>,
) -> Result<(StatusCode, Json<Written>), Problem> {
    let number = numbered(number)?;
    let kind = given.kind.as_deref().map_or(Ok(NoteKind::Note), |kind| word("kind", kind))?;
    let id = api.casework()?.add_note(&caller.actor, &number, kind, &given.body).await?;
    Ok((StatusCode::CREATED, Json(Written { id, version: 1 })))
}

/// New words for a note.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoteEdit {
    /// Markdown.
    #[schema(inline, value_type = Text)]
    body: String,
}

/// Write a note anew; what it said is kept
#[utoipa::path(put, path = "/incidents/{number}/notes/{id}", request_body = NoteEdit,
    params(("number" = String, Path), ("id" = i64, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = Written), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 412, body = Problem), (status = 422, body = Problem), (status = 400, body = Problem), (status = 413, body = Problem),
        (status = 415, body = Problem), (status = 503, body = Problem)))]
async fn edit_note(
    State(api): State<Api>,
    caller: Caller,
    Path((number, id)): Path<(String, i64)>,
    headers: HeaderMap,
    Body(given): Body<NoteEdit>,
) -> Result<Response, Problem> {
    let (version, number) = (seen(&headers)?, numbered(number)?);
    let written = api.casework()?.edit_note(&caller.actor, &number, id, &given.body, version).await;
    let next = written.map_err(|error| precondition(error.into(), version))?;
    Ok(versioned(i64::from(next), &Written { id, version: next }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_place_and_anything_else_is_a_problem() {
        let at = Timestamp::from_micros(1_772_323_200_123_456);
        assert_eq!(place(&cursor([at.as_micros(), -7])).unwrap(), (at, -7));
        for none in ["", "x", "!!", &URL_SAFE_NO_PAD.encode("1"), &URL_SAFE_NO_PAD.encode([0; 17])] {
            assert!(place(none).is_err(), "{none:?}");
        }
        assert_eq!(place(&cursor([i64::MAX, 1])).unwrap(), (Timestamp::MAX, 1));
        assert_eq!(place(&cursor([i64::MIN, 1])).unwrap(), (Timestamp::MIN, 1));
    }
}
