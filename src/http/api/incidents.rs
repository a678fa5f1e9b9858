//! `/api/v1/incidents`, with notes.

use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Problem;
use super::{Api, Body, Caller, Path, Query, precondition, seen, versioned};
use crate::casework::incidents::{Dossier, IncidentEdit, MAX_PAGE, NewIncident};
use crate::casework::levels::{DueFilter, DueList, MAX_DUE};
use crate::record::Timestamp;
use crate::record::case::{Category, NoteKind, Status};
use crate::record::{Severity, UnknownWord};
use crate::store::cases::{CaseFilter, CaseRow};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, open))
        .routes(routes!(due))
        .routes(routes!(show, edit))
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
    /// Any of these, separated by commas: open, investigating, contained, resolved, false_positive.
    status: Option<String>,
    /// This severity, or worse.
    severity: Option<String>,
    /// Whose.
    assignee: Option<String>,
    /// By which detector or rule.
    detector: Option<String>,
    /// Text in number, title, description or group.
    text: Option<String>,
    /// Opened at this time or later (RFC 3339).
    from: Option<String>,
    /// Opened before this time (RFC 3339).
    to: Option<String>,
    /// Those that were archived, too.
    #[serde(default)]
    archived: bool,
    /// At most so many, 1 to 200.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// A page of incidents, the newest first.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Page {
    /// The incidents.
    incidents: Vec<CaseRow>,
    /// What to send as `cursor` for the page behind it; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// List incidents, the newest first
#[utoipa::path(get, path = "/incidents", params(ListQuery),
    responses((status = 200, body = Page), (status = 401, body = Problem), (status = 403, body = Problem), (status = 422, body = Problem),
        (status = 503, body = Problem)))]
async fn list(State(api): State<Api>, caller: Caller, Query(query): Query<ListQuery>) -> Result<Json<Page>, Problem> {
    let statuses = query.status.iter().flat_map(|statuses| statuses.split(',')).map(|s| word::<Status>("status", s.trim()));
    let filter = CaseFilter {
        statuses: statuses.map(|status| status.map(|s| s.to_string())).collect::<Result<_, _>>()?,
        least_severity: query.severity.as_deref().map(|s| word::<Severity>("severity", s)).transpose()?.map(|s| s.to_string()),
        assignee: plain("assignee", query.assignee)?,
        detector: plain("detector", query.detector)?,
        text: plain("text", query.text)?,
        from: query.from.as_deref().map(|t| time("from", t)).transpose()?,
        to: query.to.as_deref().map(|t| time("to", t)).transpose()?,
        archived: query.archived,
    };
    let limit = query.limit.unwrap_or(50);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::field("limit", format!("has to be 1 to {MAX_PAGE}")));
    }
    let behind = query.cursor.as_deref().map(place).transpose()?;
    let incidents = api.casework()?.incidents(&caller.actor, &filter, behind, limit).await?;
    let next = incidents.last().filter(|_| incidents.len() == limit).map(|last| cursor(last.created_at, last.id));
    Ok(Json(Page { incidents, next }))
}

/// Text that PostgreSQL takes: NUL is the one character that it does not.
pub(super) fn plain(field: &str, text: Option<String>) -> Result<Option<String>, Problem> {
    match text {
        Some(text) if text.contains('\0') => Err(Problem::field(field, "there are control characters in it")),
        text => Ok(text),
    }
}

fn cursor(at: Timestamp, id: i64) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}:{id}", at.as_micros()))
}

fn place(cursor: &str) -> Result<(Timestamp, i64), Problem> {
    let text = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let place =
        text.as_deref().and_then(|text| text.split_once(':')).and_then(|(at, id)| Some((at.parse().ok()?, id.parse().ok()?)));
    let within = |at: i64| (Timestamp::MIN.as_micros()..=Timestamp::MAX.as_micros()).contains(&at);
    let place = place.filter(|(at, _)| within(*at)).map(|(at, id)| (Timestamp::from_micros(at), id));
    place.ok_or_else(|| Problem::field("cursor", "is none that came with a page"))
}

/// What of what is due to list.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DueQuery {
    /// Whose.
    assignee: Option<String>,
    /// Only what is overdue.
    #[serde(default)]
    overdue: bool,
    /// At most so many, 1 to 200.
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
    title: String,
    /// What happened.
    #[serde(default)]
    description: String,
    /// low, medium, high or critical.
    severity: String,
    /// Category of the Reference Security Incident Taxonomy; `other` without.
    category: Option<String>,
    /// When it began (RFC 3339).
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
    let number = plain("number", Some(number))?.unwrap_or_default();
    let dossier = api.casework()?.incident(&caller.actor, &number).await?;
    Ok(versioned(dossier.incident.version, &dossier))
}

/// What is to be changed of an incident; what is absent stays. An empty text takes one away.
#[derive(Debug, Default, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IncidentPatch {
    /// One line.
    title: Option<String>,
    /// What happened.
    description: Option<String>,
    /// investigating, contained, resolved or false_positive.
    status: Option<String>,
    /// low, medium, high or critical.
    severity: Option<String>,
    /// P1 to P4; otherwise it follows from the severity.
    priority: Option<String>,
    /// Why that priority.
    priority_reason: Option<String>,
    /// Category of the Reference Security Incident Taxonomy.
    category: Option<String>,
    /// Type within the category.
    kind: Option<String>,
    /// How it came in.
    attack_vector: Option<String>,
    /// ATT&CK technique, such as T1110.001.
    technique: Option<String>,
    /// Systems that are affected.
    affected: Option<Vec<String>>,
    /// Who works on it; an empty text for nobody.
    assignee: Option<String>,
    /// What made it possible; needed to resolve grave ones.
    root_cause: Option<String>,
    /// How it ended; needed at the end.
    resolution: Option<String>,
    /// What to do better; needed to resolve grave ones.
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
    let (version, number) = (seen(&headers)?, plain("number", Some(number))?.unwrap_or_default());
    let edited = api.casework()?.edit_incident(&caller.actor, &number, &given.wanted()?, version).await;
    let edited = edited.map_err(|error| precondition(error.into(), version))?;
    Ok(versioned(edited.version, &edited))
}

/// Something to be written down.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoteRequest {
    /// note, action or finding; a note without.
    kind: Option<String>,
    /// Markdown.
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
    let number = plain("number", Some(number))?.unwrap_or_default();
    let kind = given.kind.as_deref().map_or(Ok(NoteKind::Note), |kind| word("kind", kind))?;
    let id = api.casework()?.add_note(&caller.actor, &number, kind, &given.body).await?;
    Ok((StatusCode::CREATED, Json(Written { id, version: 1 })))
}

/// New words for a note.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoteEdit {
    /// Markdown.
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
    let (version, number) = (seen(&headers)?, plain("number", Some(number))?.unwrap_or_default());
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
        assert_eq!(place(&cursor(at, -7)).unwrap(), (at, -7));
        for none in [
            "",
            "x",
            "!!",
            &URL_SAFE_NO_PAD.encode("1"),
            &URL_SAFE_NO_PAD.encode("9223372036854775807:1"),
            &URL_SAFE_NO_PAD.encode("a:b"),
        ] {
            assert!(place(none).is_err(), "{none:?}");
        }
    }
}
