//! `/api/v1/suppressions`, and `/api/v1/incidents/{number}/false-positive`, where they begin.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::document::Line;
use super::incidents::{numbered, time};
use super::problem::Problem;
use super::{Api, Body, Caller, Path, Query, precondition, seen, versioned};
use crate::casework::suppressions::MAX_PAGE;
use crate::record::Timestamp;
use crate::store::cases::CaseRow;
use crate::store::suppressions::SuppressionRow;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(end)).routes(routes!(mark))
}

/// Which suppressions to list.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Those that have ended, too.
    #[serde(default)]
    all: bool,
    /// At most so many.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// The id of the last one of the page before.
    behind: Option<i64>,
}

/// List what opens no incidents for a time, the newest first, with what was left out
#[utoipa::path(get, path = "/suppressions", params(ListQuery),
    responses((status = 200, body = Vec<SuppressionRow>), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Vec<SuppressionRow>>, Problem> {
    let limit = query.limit.unwrap_or(50);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::field("limit", format!("has to be 1 to {MAX_PAGE}")));
    }
    Ok(Json(api.casework()?.suppressions(&caller.actor, query.all, query.behind, limit).await?))
}

/// End a suppression: the next events open an incident
#[utoipa::path(delete, path = "/suppressions/{id}", params(("id" = i64, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 503, body = Problem)))]
async fn end(State(api): State<Api>, caller: Caller, Path(id): Path<i64>) -> Result<StatusCode, Problem> {
    api.casework()?.end_suppression(&caller.actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Why an incident is none, and until when nothing of the kind is to be reported.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FalsePositiveRequest {
    /// One line.
    #[schema(inline, value_type = Line)]
    reason: String,
    /// Until then, at most a year from now, events of the same detector and group open no incident.
    #[schema(value_type = Option<Timestamp>)]
    suppress_until: Option<String>,
}

/// Mark an incident as a false positive
#[utoipa::path(post, path = "/incidents/{number}/false-positive", request_body = FalsePositiveRequest,
    params(("number" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = CaseRow, headers(("ETag" = String, description = "Its new version"))), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem),
        (status = 400, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem), (status = 503, body = Problem)))]
async fn mark(
    State(api): State<Api>,
    caller: Caller,
    Path(number): Path<String>,
    headers: HeaderMap,
    Body(given): Body<FalsePositiveRequest>,
) -> Result<Response, Problem> {
    let (version, number) = (seen(&headers)?, numbered(number)?);
    let until = given.suppress_until.as_deref().map(|t| time("suppress_until", t)).transpose()?;
    let marked = api.casework()?.false_positive(&caller.actor, &number, &given.reason, until, version).await;
    let marked = marked.map_err(|error| precondition(error.into(), version))?;
    Ok(versioned(marked.version, &marked))
}
