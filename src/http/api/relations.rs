//! What incidents have to do with each other: links, merging, splitting; and the end of one for good.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::document::{Line, Number};
use super::incidents::{Opened, numbered, plain, word};
use super::problem::Problem;
use super::{Api, Body, Caller, Path, precondition, seen, versioned};
use crate::casework::split::Split;
use crate::record::Severity;
use crate::record::case::LinkKind;
use crate::store::cases::CaseRow;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(link))
        .routes(routes!(unlink))
        .routes(routes!(merge))
        .routes(routes!(split))
        .routes(routes!(purge))
}

/// What an incident has to do with another.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkRequest {
    /// What it is to the other.
    #[schema(value_type = LinkKind)]
    kind: String,
    /// The number of the other.
    #[schema(inline, value_type = Number)]
    incident: String,
}

/// Link an incident with another
#[utoipa::path(post, path = "/incidents/{number}/links", request_body = LinkRequest, params(("number" = String, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem), (status = 400, body = Problem), (status = 413, body = Problem),
        (status = 415, body = Problem), (status = 503, body = Problem)))]
async fn link(
    State(api): State<Api>,
    caller: Caller,
    Path(number): Path<String>,
    Body(given): Body<LinkRequest>,
) -> Result<StatusCode, Problem> {
    let number = numbered(number)?;
    let other = plain("incident", Some(given.incident))?.unwrap_or_default();
    api.casework()?.link(&caller.actor, &number, word("kind", &given.kind)?, &other).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End a link
#[utoipa::path(delete, path = "/incidents/{number}/links/{kind}/{other}",
    params(("number" = String, Path), ("kind" = inline(LinkKind), Path), ("other" = String, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn unlink(
    State(api): State<Api>,
    caller: Caller,
    Path((number, kind, other)): Path<(String, String, String)>,
) -> Result<StatusCode, Problem> {
    let number = numbered(number)?;
    let other = plain("other", Some(other))?.unwrap_or_default();
    api.casework()?.unlink(&caller.actor, &number, word("kind", &kind)?, &other).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What becomes a part of an incident.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MergeRequest {
    /// The number of the incident that ends.
    #[schema(inline, value_type = Number)]
    from: String,
}

/// Make another incident a part of this one, which goes on
///
/// Evidence, notes, tasks and observables come over, each log record once; new events of the other's detector and group come here as long
/// as this incident is unresolved.
#[utoipa::path(post, path = "/incidents/{number}/merge", request_body = MergeRequest,
    params(("number" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = CaseRow, headers(("ETag" = String, description = "Its new version"))), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem),
        (status = 422, body = Problem), (status = 400, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 503, body = Problem)))]
async fn merge(
    State(api): State<Api>,
    caller: Caller,
    Path(number): Path<String>,
    headers: HeaderMap,
    Body(given): Body<MergeRequest>,
) -> Result<Response, Problem> {
    let (version, number) = (seen(&headers)?, numbered(number)?);
    let from = plain("from", Some(given.from))?.unwrap_or_default();
    let merged = api.casework()?.merge_incidents(&caller.actor, &from, &number, version).await;
    let merged = merged.map_err(|error| precondition(error.into(), version))?;
    Ok(versioned(merged.version, &merged))
}

/// What goes to a new incident.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitRequest {
    /// Title of the new one.
    #[schema(inline, value_type = Line)]
    title: String,
    /// How bad that part is.
    #[schema(value_type = Severity)]
    severity: String,
    /// Log records in evidence, by their ids.
    #[serde(default)]
    #[schema(max_items = 10_000)]
    evidence: Vec<i64>,
    /// Notes, by their ids.
    #[serde(default)]
    #[schema(max_items = 10_000)]
    notes: Vec<i64>,
    /// Tasks, by their ids.
    #[serde(default)]
    #[schema(max_items = 10_000)]
    tasks: Vec<i64>,
}

/// Give some of what an incident has to a new one
#[utoipa::path(post, path = "/incidents/{number}/split", request_body = SplitRequest,
    params(("number" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 201, body = Opened), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem), (status = 400, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem), (status = 503, body = Problem)))]
async fn split(
    State(api): State<Api>,
    caller: Caller,
    Path(number): Path<String>,
    headers: HeaderMap,
    Body(given): Body<SplitRequest>,
) -> Result<(StatusCode, Json<Opened>), Problem> {
    let (version, number) = (seen(&headers)?, numbered(number)?);
    let SplitRequest { title, severity, evidence, notes, tasks } = given;
    let split = Split { title, severity: word("severity", &severity)?, evidence, notes, tasks };
    let number = api.casework()?.split_incident(&caller.actor, &number, &split, version).await;
    let number = number.map_err(|error| precondition(error.into(), version))?;
    Ok((StatusCode::CREATED, Json(Opened { number })))
}

/// Why an incident is to be removed.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PurgeRequest {
    /// Stays in the audit log.
    #[schema(inline, value_type = Line)]
    reason: String,
}

/// Remove an archived incident and everything that belongs to it, for good
#[utoipa::path(delete, path = "/incidents/{number}", request_body = PurgeRequest, params(("number" = String, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem), (status = 400, body = Problem), (status = 413, body = Problem),
        (status = 415, body = Problem), (status = 503, body = Problem)))]
async fn purge(
    State(api): State<Api>,
    caller: Caller,
    Path(number): Path<String>,
    Body(given): Body<PurgeRequest>,
) -> Result<StatusCode, Problem> {
    let number = numbered(number)?;
    api.casework()?.purge_incident(&caller.actor, &number, &given.reason).await?;
    Ok(StatusCode::NO_CONTENT)
}
